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
#include "tests/perf/bench_work.h"

enum { ROUNDS = 11, CALLS = 10, WIDTH = 256, HIDDEN = 1024 };

typedef struct work {
    bench_work base;
    int64_t m;
    nn_dtype dtype;
} work;

/* `tensors` of (m,columns) move in a call of `run`. */
static void time_calls(work *w, const char *what, int64_t columns, int tensors,
                       void (*run)(nn_backend *, const void *), const void *args)
{
    const size_t size = w->dtype == NN_BF16 ? 2 : sizeof(float);
    const double t = bench_median(&w->base, ROUNDS, CALLS, run, args),
                 bytes = (double)(w->m * columns * tensors) * (double)size;
    printf("%s,%lld x %lld,%s,%.1f,%.0f,\"%s\"\n", what, (long long)w->m, (long long)columns,
           w->dtype == NN_BF16 ? "bf16" : "f32", t * 1e6, bytes / t * 1e-9, w->base.be->device);
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

static void time_layernorm(work *w)
{
    const size_t size = w->dtype == NN_BF16 ? 2 : sizeof(float);
    const int64_t n = w->m * WIDTH;
    nn_layernorm_args args = {.m = w->m,
                              .d = WIDTH,
                              .dtype = w->dtype,
                              .eps = 1e-5f,
                              .x = bench_random(&w->base, n, w->dtype, 1),
                              .residual = bench_random(&w->base, n, w->dtype, 2),
                              .drop = {.p = 0.1f, .site = 3, .seed = 7},
                              .w = bench_random(&w->base, WIDTH, NN_F32, 3),
                              .b = bench_random(&w->base, WIDTH, NN_F32, 4),
                              .y = bench_take(&w->base, n, size),
                              .mean = bench_take(&w->base, w->m, sizeof(float)),
                              .rstd = bench_take(&w->base, w->m, sizeof(float)),
                              .dy = bench_random(&w->base, n, w->dtype, 5),
                              .dx = bench_take(&w->base, n, size),
                              .dresidual = bench_take(&w->base, n, size),
                              .dw = bench_random(&w->base, WIDTH, NN_F32, 6),
                              .db = bench_random(&w->base, WIDTH, NN_F32, 7),
                              .dbias = bench_random(&w->base, WIDTH, NN_F32, 8)};
    time_calls(w, "layernorm_fwd", WIDTH, 3, run_layernorm_fwd, &args);
    time_calls(w, "layernorm_bwd", WIDTH, 5, run_layernorm_bwd, &args);
    args.drop.p = 0;
    time_calls(w, "layernorm_fwd without dropout", WIDTH, 3, run_layernorm_fwd, &args);
    time_calls(w, "layernorm_bwd without dropout", WIDTH, 5, run_layernorm_bwd, &args);
    bench_release(&w->base);
}

static void time_linear_grad(work *w, int64_t columns)
{
    const size_t size = w->dtype == NN_BF16 ? 2 : sizeof(float);
    const int64_t n = w->m * columns;
    nn_linear_grad_args args = {.m = w->m,
                                .n = columns,
                                .dtype = w->dtype,
                                .slope = bench_random(&w->base, n, w->dtype, 1),
                                .dy = bench_random(&w->base, n, w->dtype, 2),
                                .dx = bench_take(&w->base, n, size),
                                .dbias = bench_random(&w->base, columns, NN_F32, 3)};
    time_calls(w, "linear_grad with slope", columns, 3, run_linear_grad, &args);
    args.slope = NULL;
    args.dx = (void *)args.dy;
    time_calls(w, "linear_grad sums alone", columns, 1, run_linear_grad, &args);
    bench_release(&w->base);
}

static void time_finish(work *w, nn_act act, const char *what, const char *dropped)
{
    const size_t size = w->dtype == NN_BF16 ? 2 : sizeof(float);
    nn_gemm_args args = {.m = w->m,
                         .n = HIDDEN,
                         .trans_b = true,
                         .bias = bench_random(&w->base, HIDDEN, w->dtype, 1),
                         .c = bench_take(&w->base, w->m * HIDDEN, size),
                         .slope = bench_take(&w->base, w->m * HIDDEN, size),
                         .act = act,
                         .drop = {.p = 0.1f, .site = 3, .seed = 7},
                         .dtype = w->dtype,
                         .c_dtype = w->dtype,
                         .precision = w->dtype == NN_BF16 ? NN_BF16_MIXED : NN_FP32,
                         .training = true};
    time_calls(w, dropped, HIDDEN, 4, run_gemm, &args);
    args.drop.p = 0;
    time_calls(w, what, HIDDEN, 4, run_gemm, &args);
    bench_release(&w->base);
}

int main(int argc, char **argv)
{
    static const int64_t rows[] = {3264, 26112};
    static const nn_dtype dtypes[] = {NN_BF16, NN_F32};
    nn_backend *be = bench_open(argc, argv);
    printf("figure,shape,type,median_us,gbytes_s,device\n");
    for (size_t t = 0; t < sizeof dtypes / sizeof dtypes[0]; t++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            work w = {.base = {.be = be}, .m = rows[i], .dtype = dtypes[t]};
            time_layernorm(&w);
            time_linear_grad(&w, WIDTH);
            time_linear_grad(&w, HIDDEN);
            time_finish(&w, NN_ACT_GELU_ERF, "finish GELU", "finish GELU and dropout");
            time_finish(&w, NN_ACT_NONE, "finish bias", "finish bias and dropout");
        }
    }
    nn_backend_close(be);
}
