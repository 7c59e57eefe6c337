/* tests/perf/bench_gemm.c: times the products of a layer alone, forward and both gradients, at the
 * sizes that training and embedding have. Not a test: it only measures.
 *
 *     bench-gemm [DEVICE [PRECISION]]
 *
 * A figure is the median of 11 rounds, each of 10 calls queued one behind the other and divided by
 * 10. Inputs are random. Forward has a bias, in training also dropout; "ff1" has GELU besides.
 */
#include "tests/perf/bench_work.h"

#include <string.h>

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

static void multiply(nn_backend *be, const void *args)
{
    be->gemm(be, args);
}

static void time_product(bench_work *w, const shape *s, const char *precision, const char *what,
                         const nn_gemm_args *g)
{
    const double t = bench_median(w, ROUNDS, CALLS, multiply, g),
                 flops = 2.0 * (double)(s->m * s->n) * (double)s->k;
    printf("%s,%s,%s,%.1f,%.1f,\"%s\"\n", s->name, precision, what, t * 1e6, flops / t * 1e-12,
           w->be->device);
    fflush(stdout);
}

static void time_shape(nn_backend *be, const shape *s, nn_precision precision, const char *name)
{
    bench_work w = {.be = be};
    const nn_dtype dtype = precision == NN_BF16_MIXED ? NN_BF16 : NN_F32;
    const size_t size = dtype == NN_BF16 ? 2 : sizeof(float);
    void *x = bench_random(&w, s->m * s->k, dtype, 1);
    void *weight = bench_random(&w, s->n * s->k, dtype, 2);
    void *dy = bench_random(&w, s->m * s->n, dtype, 3);
    void *bias = bench_random(&w, s->n, dtype, 4);
    void *y = bench_take(&w, s->m * s->n, size), *slope = bench_take(&w, s->m * s->n, size);
    void *dx = bench_take(&w, s->m * s->k, size), *dw = bench_take(&w, s->n * s->k, sizeof(float));
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
    bench_release(&w);
}

int main(int argc, char **argv)
{
    static const struct {
        nn_precision precision;
        const char *name;
    } precisions[] = {{NN_FP32, "fp32"}, {NN_TF32, "tf32"}, {NN_BF16_MIXED, "bf16"}};
    nn_backend *be = bench_open(argc, argv);
    printf("figure,precision,what,median_us,tflops,device\n");
    for (size_t j = 0; j < sizeof precisions / sizeof precisions[0]; j++) {
        if (argc > 2 && strcmp(argv[2], precisions[j].name) != 0) continue;
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            time_shape(be, &shapes[i], precisions[j].precision, precisions[j].name);
    }
    nn_backend_close(be);
}
