/* tests/perf/bench_attention.c: times attention alone, forward and backward, at the sizes that
 * training and embedding have. Not a test: it only measures.
 *
 *     bench-attention [DEVICE]
 *
 * A figure is the median of 15 rounds, each of 20 calls queued one behind the other and divided by
 * 20, so it has no launch or wait in it as long as a call is longer than its launch. Inputs are
 * random; lengths of a "mixed" batch are of a normal distribution, mean 100 and deviation 40, cut
 * to 20..200.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/backend.h"

enum { ROUNDS = 15, CALLS = 20 };

typedef struct shape {
    const char *name;
    int sequences, length; /* 0: mixed */
    int heads, head_dim;
    float dropout;
    bool training;
} shape;

static const shape shapes[] = {
    {"TMR training, batch 32 of 100", 32, 100, 4, 64, 0.1f, true},
    {"TMR training, batch 256 of 100", 256, 100, 4, 64, 0.1f, true},
    {"TMR training, batch 256 of 100, no dropout", 256, 100, 4, 64, 0, true},
    {"embedding, 306 mixed clips", 306, 0, 4, 64, 0, false},
    {"OmniME fusion, batch 128 of 200", 128, 200, 8, 64, 0.1f, true},
    {"OmniME blocks, batch 128 of 200", 128, 200, 8, 64, 0, true},
    {"OmniME blocks, batch 128 of 400", 128, 400, 8, 64, 0, true},
};

typedef struct work {
    nn_backend *be;
    nn_attention_args args;
    void *buffers[8];
    int used;
} work;

static void fail(const char *what)
{
    fprintf(stderr, "bench-attention: %s\n", what);
    exit(1);
}

static void *take(work *w, int64_t n, size_t size)
{
    me_err err = {0};
    void *p;
    if (w->be->alloc(w->be, (size_t)n * size, &p, &err) != ME_OK) fail(err.msg);
    return w->buffers[w->used++] = p;
}

/* A tensor of n deviates of the type. */
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

static void prepare(work *w, const shape *s, nn_precision precision, int32_t *offsets)
{
    me_rng g = me_rng_make(2, 0);
    nn_dtype dtype = precision == NN_BF16_MIXED ? NN_BF16 : NN_F32;
    int64_t longest = 0, d = (int64_t)s->heads * s->head_dim, size = dtype == NN_BF16 ? 2 : 4;
    offsets[0] = 0;
    for (int i = 0; i < s->sequences; i++) {
        int64_t n = s->length;
        if (!n) n = (int64_t)fmin(fmax(100 + 40 * me_rng_normal(&g), 20), 200);
        longest = n > longest ? n : longest;
        offsets[i + 1] = offsets[i] + (int32_t)n;
    }
    int64_t tokens = offsets[s->sequences];
    char *qkv = random_tensor(w, tokens * 3 * d, dtype, 1);
    char *dqkv = take(w, tokens * 3 * d, (size_t)size);
    int32_t *at = take(w, s->sequences + 1, sizeof *at);
    w->be->upload(w->be, at, offsets, (size_t)(s->sequences + 1) * sizeof *at);
    w->args = (nn_attention_args){.sequences = s->sequences,
                                  .tokens_q = tokens,
                                  .tokens_k = tokens,
                                  .longest_q = longest,
                                  .longest_k = longest,
                                  .offsets_q = at,
                                  .offsets_k = at,
                                  .host_offsets_q = offsets,
                                  .host_offsets_k = offsets,
                                  .heads = s->heads,
                                  .head_dim = s->head_dim,
                                  .dtype = dtype,
                                  .precision = precision,
                                  .q = qkv,
                                  .k = qkv + d * size,
                                  .v = qkv + 2 * d * size,
                                  .q_stride = 3 * d,
                                  .kv_stride = 3 * d,
                                  .scale = 1 / sqrtf((float)s->head_dim),
                                  .dropout = s->dropout,
                                  .seed = 7,
                                  .out = take(w, tokens * d, (size_t)size),
                                  .dq = dqkv,
                                  .dk = dqkv + d * size,
                                  .dv = dqkv + 2 * d * size};
    float *statistics = take(w, 2 * s->heads * tokens, sizeof *statistics);
    w->args.delta = statistics;
    if (s->training) w->args.lse = statistics + s->heads * tokens;
    w->args.dout = random_tensor(w, tokens * d, dtype, 2);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_us(work *w, void (*call)(nn_backend *, const nn_attention_args *))
{
    double times[ROUNDS];
    for (int i = -2; i < ROUNDS; i++) {
        double from = w->be->now(w->be);
        for (int k = 0; k < CALLS; k++) call(w->be, &w->args);
        if (i >= 0) times[i] = (w->be->now(w->be) - from) / CALLS;
    }
    qsort(times, ROUNDS, sizeof *times, by_value);
    return times[ROUNDS / 2] * 1e6;
}

int main(int argc, char **argv)
{
    static const struct {
        nn_precision precision;
        const char *name;
    } precisions[] = {{NN_BF16_MIXED, "bf16"}, {NN_TF32, "tf32"}, {NN_FP32, "fp32"}};
    me_err err = {0};
    nn_backend *be;
    if (nn_backend_open(&be, argc > 1 ? argv[1] : "auto", 0, &err) != ME_OK) fail(err.msg);
    printf("figure,precision,forward_us,backward_us,device\n");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (size_t j = 0; j < sizeof precisions / sizeof precisions[0]; j++) {
            int32_t offsets[512];
            work w = {.be = be};
            prepare(&w, &shapes[i], precisions[j].precision, offsets);
            double forward = median_us(&w, be->attention_fwd);
            double backward = shapes[i].training ? median_us(&w, be->attention_bwd) : 0;
            printf("%s,%s,%.1f,%.1f,\"%s\"\n", shapes[i].name, precisions[j].name, forward,
                   backward, be->device);
            fflush(stdout);
            if (be->status(be, &err) != ME_OK) fail(err.msg);
            while (w.used) be->release(be, w.buffers[--w.used]);
        }
    }
    nn_backend_close(be);
}
