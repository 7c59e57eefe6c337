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

#include "tests/perf/bench_work.h"

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

static void prepare(bench_work *w, nn_attention_args *out, const shape *s, nn_precision precision,
                    int32_t *offsets)
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
    char *qkv = bench_random(w, tokens * 3 * d, dtype, 1);
    char *dqkv = bench_take(w, tokens * 3 * d, (size_t)size);
    int32_t *at = bench_take(w, s->sequences + 1, sizeof *at);
    w->be->upload(w->be, at, offsets, (size_t)(s->sequences + 1) * sizeof *at);
    *out = (nn_attention_args){.sequences = s->sequences,
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
                               .out = bench_take(w, tokens * d, (size_t)size),
                               .dq = dqkv,
                               .dk = dqkv + d * size,
                               .dv = dqkv + 2 * d * size};
    float *statistics = bench_take(w, 2 * s->heads * tokens, sizeof *statistics);
    out->delta = statistics;
    if (s->training) out->lse = statistics + s->heads * tokens;
    out->dout = bench_random(w, tokens * d, dtype, 2);
}

static void forward(nn_backend *be, const void *args)
{
    be->attention_fwd(be, args);
}

static void backward(nn_backend *be, const void *args)
{
    be->attention_bwd(be, args);
}

int main(int argc, char **argv)
{
    static const struct {
        nn_precision precision;
        const char *name;
    } precisions[] = {{NN_BF16_MIXED, "bf16"}, {NN_TF32, "tf32"}, {NN_FP32, "fp32"}};
    nn_backend *be = bench_open(argc, argv);
    printf("figure,precision,forward_us,backward_us,device\n");
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (size_t j = 0; j < sizeof precisions / sizeof precisions[0]; j++) {
            int32_t offsets[512];
            nn_attention_args args;
            bench_work w = {.be = be};
            prepare(&w, &args, &shapes[i], precisions[j].precision, offsets);
            const double there = bench_median(&w, ROUNDS, CALLS, forward, &args);
            const double back =
                shapes[i].training ? bench_median(&w, ROUNDS, CALLS, backward, &args) : 0;
            printf("%s,%s,%.1f,%.1f,\"%s\"\n", shapes[i].name, precisions[j].name, there * 1e6,
                   back * 1e6, be->device);
            fflush(stdout);
            bench_release(&w);
        }
    }
    nn_backend_close(be);
}
