/* tests/perf/bench_norm.c: times what surrounds the products of a layer, all of it bound by memory:
 * LayerNorm both ways, the gradient behind activation and dropout, and a product's finishing. Not a
 * test: it only measures.
 *
 *     bench-norm [DEVICE]
 *
 * A figure is the median of 11 rounds, each of 10 calls queued one behind the other and divided by
 * 10. Inputs are random, dropout is 0.1. GB/s counts every tensor that must be read or written
 * once; at the small size they stay in the GPU's cache from call to call. Finishing has no slot of
 * its own: it is what is left of a product over k = 0, which writes zeros first (counted too).
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/backend.h"

enum { ROUNDS = 11, CALLS = 10, WIDTH = 256, HIDDEN = 1024, BUFFERS = 32 };

typedef struct work {
    nn_backend *be;
    void *buffers[BUFFERS];
    int used;
    int64_t m;
    nn_dtype dtype;
} work;

static void fail(const char *what)
{
    fprintf(stderr, "bench-norm: %s\n", what);
    exit(1);
}

static void *take(work *w, int64_t n, size_t size)
{
    me_err err = {0};
    void *p;
    if (w->used == BUFFERS) fail("too many buffers");
    if (w->be->alloc(w->be, (size_t)n * size, &p, &err) != ME_OK) fail(err.msg);
    return w->buffers[w->used++] = p;
}

static void *random_tensor(work *w, int64_t n, nn_dtype dtype, uint64_t site)
{
    me_rng g = me_rng_make(1, site);
    float *host = malloc((size_t)n * sizeof *host);
    if (!host) fail("out of memory");
    for (int64_t i = 0; i < n; i++) host[i] = (float)me_rng_range(&g, -1.7, 1.7);
    float *wide = take(w, n, sizeof *wide);
    void *p = wide;
    w->be->upload(w->be, wide, host, (size_t)n * sizeof *host);
    if (dtype == NN_BF16) {
        p = take(w, n, 2);
        w->be->to_bf16(w->be, p, wide, n);
    }
    w->be->sync(w->be);
    free(host);
    return p;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* `tensors` of (m,columns) move in a call of `run`. */
static void time_calls(work *w, const char *what, int64_t columns, int tensors,
                       void (*run)(nn_backend *, const void *), const void *args)
{
    const size_t size = w->dtype == NN_BF16 ? 2 : sizeof(float);
    double times[ROUNDS];
    me_err err = {0};
    for (int i = -2; i < ROUNDS; i++) {
        double from = w->be->now(w->be);
        for (int k = 0; k < CALLS; k++) run(w->be, args);
        if (i >= 0) times[i] = (w->be->now(w->be) - from) / CALLS;
    }
    if (w->be->status(w->be, &err) != ME_OK) fail(err.msg);
    qsort(times, ROUNDS, sizeof *times, by_value);
    const double t = times[ROUNDS / 2], bytes = (double)(w->m * columns * tensors) * (double)size;
    printf("%s,%lld x %lld,%s,%.1f,%.0f,\"%s\"\n", what, (long long)w->m, (long long)columns,
           w->dtype == NN_BF16 ? "bf16" : "f32", t * 1e6, bytes / t * 1e-9, w->be->device);
    fflush(stdout);
}

static void run_layernorm_fwd(nn_backend *be, const void *args)
{
    be->layernorm_fwd(be, args);
}

static void run_layernorm_bwd(nn_backend *be, const void *args)
{
    be->layernorm_bwd(be, args);
}

static void run_linear_grad(nn_backend *be, const void *args)
{
    be->linear_grad(be, args);
}

static void run_gemm(nn_backend *be, const void *args)
{
    be->gemm(be, args);
}

static void release(work *w)
{
    while (w->used) w->be->release(w->be, w->buffers[--w->used]);
}

static void time_layernorm(work *w)
{
    const size_t size = w->dtype == NN_BF16 ? 2 : sizeof(float);
    const int64_t n = w->m * WIDTH;
    nn_layernorm_args args = {.m = w->m,
                              .d = WIDTH,
                              .dtype = w->dtype,
                              .eps = 1e-5f,
                              .x = random_tensor(w, n, w->dtype, 1),
                              .residual = random_tensor(w, n, w->dtype, 2),
                              .drop = {.p = 0.1f, .site = 3, .seed = 7},
                              .w = random_tensor(w, WIDTH, NN_F32, 3),
                              .b = random_tensor(w, WIDTH, NN_F32, 4),
                              .y = take(w, n, size),
                              .mean = take(w, w->m, sizeof(float)),
                              .rstd = take(w, w->m, sizeof(float)),
                              .dy = random_tensor(w, n, w->dtype, 5),
                              .dx = take(w, n, size),
                              .dresidual = take(w, n, size),
                              .dw = random_tensor(w, WIDTH, NN_F32, 6),
                              .db = random_tensor(w, WIDTH, NN_F32, 7),
                              .dbias = random_tensor(w, WIDTH, NN_F32, 8)};
    time_calls(w, "layernorm_fwd", WIDTH, 3, run_layernorm_fwd, &args);
    time_calls(w, "layernorm_bwd", WIDTH, 5, run_layernorm_bwd, &args);
    args.drop.p = 0;
    time_calls(w, "layernorm_fwd without dropout", WIDTH, 3, run_layernorm_fwd, &args);
    time_calls(w, "layernorm_bwd without dropout", WIDTH, 5, run_layernorm_bwd, &args);
    release(w);
}

static void time_linear_grad(work *w, int64_t columns)
{
    const size_t size = w->dtype == NN_BF16 ? 2 : sizeof(float);
    const int64_t n = w->m * columns;
    nn_linear_grad_args args = {.m = w->m,
                                .n = columns,
                                .dtype = w->dtype,
                                .slope = random_tensor(w, n, w->dtype, 1),
                                .dy = random_tensor(w, n, w->dtype, 2),
                                .dx = take(w, n, size),
                                .dbias = random_tensor(w, columns, NN_F32, 3)};
    time_calls(w, "linear_grad with slope", columns, 3, run_linear_grad, &args);
    args.slope = NULL;
    args.dx = (void *)args.dy;
    time_calls(w, "linear_grad sums alone", columns, 1, run_linear_grad, &args);
    release(w);
}

static void time_finish(work *w, nn_act act, const char *what, const char *dropped)
{
    const size_t size = w->dtype == NN_BF16 ? 2 : sizeof(float);
    nn_gemm_args args = {.m = w->m,
                         .n = HIDDEN,
                         .trans_b = true,
                         .bias = random_tensor(w, HIDDEN, w->dtype, 1),
                         .c = take(w, w->m * HIDDEN, size),
                         .slope = take(w, w->m * HIDDEN, size),
                         .act = act,
                         .drop = {.p = 0.1f, .site = 3, .seed = 7},
                         .dtype = w->dtype,
                         .c_dtype = w->dtype,
                         .precision = w->dtype == NN_BF16 ? NN_BF16_MIXED : NN_FP32,
                         .training = true};
    time_calls(w, dropped, HIDDEN, 4, run_gemm, &args);
    args.drop.p = 0;
    time_calls(w, what, HIDDEN, 4, run_gemm, &args);
    release(w);
}

int main(int argc, char **argv)
{
    static const int64_t rows[] = {3264, 26112};
    static const nn_dtype dtypes[] = {NN_BF16, NN_F32};
    me_err err = {0};
    nn_backend *be;
    if (nn_backend_open(&be, argc > 1 ? argv[1] : "auto", 0, &err) != ME_OK) fail(err.msg);
    printf("figure,shape,type,median_us,gbytes_s,device\n");
    for (size_t t = 0; t < sizeof dtypes / sizeof dtypes[0]; t++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            work w = {.be = be, .m = rows[i], .dtype = dtypes[t]};
            time_layernorm(&w);
            time_linear_grad(&w, WIDTH);
            time_linear_grad(&w, HIDDEN);
            time_finish(&w, NN_ACT_GELU_ERF, "finish GELU", "finish GELU and dropout");
            time_finish(&w, NN_ACT_NONE, "finish bias", "finish bias and dropout");
        }
    }
    nn_backend_close(be);
}
