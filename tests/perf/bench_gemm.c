/* tests/perf/bench_gemm.c: times the products of a layer alone, forward and both gradients, at the
 * sizes that training and embedding have. Not a test: it only measures.
 *
 *     bench-gemm [DEVICE]
 *
 * A figure is the median of 11 rounds, each of 10 calls queued one behind the other and divided by
 * 10. Inputs are random. Forward has a bias, in training also dropout; "ff1" has GELU besides.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/backend.h"

enum { ROUNDS = 11, CALLS = 10 };

typedef struct shape {
    const char *name;
    int64_t m, n, k;
    nn_act act;
    bool training;
} shape;

static const shape shapes[] = {
    {"embedding qkv", 50688, 768, 256, NN_ACT_NONE, false},
    {"embedding out", 50688, 256, 256, NN_ACT_NONE, false},
    {"embedding ff1", 50688, 1024, 256, NN_ACT_GELU_TANH, false},
    {"embedding ff2", 50688, 256, 1024, NN_ACT_NONE, false},
    {"TMR 32 qkv", 3264, 768, 256, NN_ACT_NONE, true},
    {"TMR 32 out", 3264, 256, 256, NN_ACT_NONE, true},
    {"TMR 32 ff1", 3264, 1024, 256, NN_ACT_GELU_ERF, true},
    {"TMR 32 ff2", 3264, 256, 1024, NN_ACT_NONE, true},
    {"TMR 256 ff1", 26112, 1024, 256, NN_ACT_GELU_ERF, true},
    {"TMR 256 ff2", 26112, 256, 1024, NN_ACT_NONE, true},
    {"OmniME ff1", 23264, 1024, 512, NN_ACT_GELU_TANH, true},
    {"OmniME qkv", 23264, 1536, 512, NN_ACT_NONE, true},
};

typedef struct work {
    nn_backend *be;
    void *buffers[16];
    int used;
} work;

static void fail(const char *what)
{
    fprintf(stderr, "bench-gemm: %s\n", what);
    exit(1);
}

static void *take(work *w, int64_t n, size_t size)
{
    me_err err = {0};
    void *p;
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

static void time_product(work *w, const shape *s, const char *precision, const char *what,
                         const nn_gemm_args *g)
{
    double times[ROUNDS];
    me_err err = {0};
    for (int i = -2; i < ROUNDS; i++) {
        double from = w->be->now(w->be);
        for (int k = 0; k < CALLS; k++) w->be->gemm(w->be, g);
        if (i >= 0) times[i] = (w->be->now(w->be) - from) / CALLS;
    }
    if (w->be->status(w->be, &err) != ME_OK) fail(err.msg);
    qsort(times, ROUNDS, sizeof *times, by_value);
    const double t = times[ROUNDS / 2], flops = 2.0 * (double)(s->m * s->n) * (double)s->k;
    printf("%s,%s,%s,%.1f,%.1f,\"%s\"\n", s->name, precision, what, t * 1e6, flops / t * 1e-12,
           w->be->device);
    fflush(stdout);
}

static void time_shape(nn_backend *be, const shape *s, nn_precision precision, const char *name)
{
    work w = {.be = be};
    const nn_dtype dtype = precision == NN_BF16_MIXED ? NN_BF16 : NN_F32;
    const size_t size = dtype == NN_BF16 ? 2 : sizeof(float);
    void *x = random_tensor(&w, s->m * s->k, dtype, 1);
    void *weight = random_tensor(&w, s->n * s->k, dtype, 2);
    void *dy = random_tensor(&w, s->m * s->n, dtype, 3);
    void *bias = random_tensor(&w, s->n, dtype, 4);
    void *y = take(&w, s->m * s->n, size), *slope = take(&w, s->m * s->n, size);
    void *dx = take(&w, s->m * s->k, size), *dw = take(&w, s->n * s->k, sizeof(float));
    nn_gemm_args forward = {.m = s->m,
                            .n = s->n,
                            .k = s->k,
                            .trans_b = true,
                            .a = x,
                            .b = weight,
                            .bias = bias,
                            .c = y,
                            .act = s->act,
                            .dtype = dtype,
                            .c_dtype = dtype,
                            .precision = precision,
                            .training = s->training};
    if (s->training && s->act != NN_ACT_NONE) {
        forward.slope = slope;
        forward.drop = (nn_drop){.p = 0.1f, .site = 3, .seed = 7};
    }
    time_product(&w, s, name, "forward", &forward);
    if (s->training) {
        nn_gemm_args of_x = {.m = s->m,
                             .n = s->k,
                             .k = s->n,
                             .a = dy,
                             .b = weight,
                             .c = dx,
                             .dtype = dtype,
                             .c_dtype = dtype,
                             .precision = precision,
                             .training = true};
        time_product(&w, s, name, "dx", &of_x);
        nn_gemm_args of_w = {.m = s->n,
                             .n = s->k,
                             .k = s->m,
                             .trans_a = true,
                             .a = dy,
                             .b = x,
                             .c = dw,
                             .accumulate = 1,
                             .dtype = dtype,
                             .c_dtype = NN_F32,
                             .precision = precision,
                             .training = true};
        time_product(&w, s, name, "dw", &of_w);
    }
    while (w.used) be->release(be, w.buffers[--w.used]);
}

int main(int argc, char **argv)
{
    static const struct {
        nn_precision precision;
        const char *name;
    } precisions[] = {{NN_FP32, "fp32"}, {NN_TF32, "tf32"}, {NN_BF16_MIXED, "bf16"}};
    me_err err = {0};
    nn_backend *be;
    if (nn_backend_open(&be, argc > 1 ? argv[1] : "auto", 0, &err) != ME_OK) fail(err.msg);
    printf("figure,precision,what,median_us,tflops,device\n");
    for (size_t j = 0; j < sizeof precisions / sizeof precisions[0]; j++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            time_shape(be, &shapes[i], precisions[j].precision, precisions[j].name);
    nn_backend_close(be);
}
