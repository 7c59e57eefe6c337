/* tests/perf/bench_embed.c: times the evaluation's inner part: from poses in host memory to the
 * scores of a table, on an encoder of full size with random weights. Not a test: it only measures.
 *
 *     bench-embed [--device cpu|cuda[:N]] [--precision fp32|tf32|bf16] [--pairs N] [--tokens N]
 *                 [--runs N]
 *
 * N pairs are 3 N distinct clips (sources, targets, generated motions) with lengths of a normal
 * distribution, mean 100 and deviation 40 frames, cut to 20..200. One pass of warm-up loads the
 * kernels and chooses algorithms; then the median of the runs is printed. Scores are both protocols
 * in both directions, without bootstrap.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/rng.h"
#include "metrics/protocol.h"
#include "nn/backend.h"
#include "tmr/embed.h"
#include "tmr/weights.h"

enum { SETS = 3, MOST_RUNS = 200 };

typedef struct bench {
    const char *device, *precision;
    int64_t pairs, tokens, runs;
    tmr_clip *clips; /* (SETS * pairs) */
    const char **keys;
    int64_t frames;
    float *embeddings;
    me_arena arena;
} bench;

typedef struct timing {
    double whole, features, encode, rank;
} timing;

static int64_t clip_length(me_rng *g)
{
    const double x = 100 + 40 * me_rng_normal(g);
    return (int64_t)fmin(fmax(x, 20), 200);
}

/* A smooth body: every joint swings around an axis by sines of its own, the pelvis drifts. */
static void fill_pose(float *pose, int64_t frames, me_rng *g)
{
    double rate[22], phase[22], size[22];
    for (int j = 0; j < 22; j++) {
        rate[j] = me_rng_range(g, 0.02, 0.3);
        phase[j] = me_rng_range(g, 0, 6.28);
        size[j] = me_rng_range(g, 0.1, 0.8);
    }
    for (int64_t t = 0; t < frames; t++, pose += MOTION_POSE) {
        for (int d = 0; d < 3; d++)
            pose[d] =
                (float)(0.01 * (double)t * sin(phase[d]) + size[d] * sin(rate[d] * (double)t));
        for (int j = 0; j < 22; j++) {
            const double angle = size[j] * sin(rate[j] * (double)t + phase[j]);
            const double c = cos(angle), s = sin(angle), tilt = 0.3 * sin(phase[j]);
            float *r = pose + 3 + 6 * j;
            r[0] = (float)c;
            r[1] = (float)s;
            r[2] = 0;
            r[3] = (float)(-s * cos(tilt));
            r[4] = (float)(c * cos(tilt));
            r[5] = (float)sin(tilt);
        }
    }
}

static bool make_clips(bench *b)
{
    me_rng g = me_rng_make(7, 0);
    b->clips = ME_NEW_ARRAY(&b->arena, SETS * b->pairs, tmr_clip);
    b->keys = ME_NEW_ARRAY(&b->arena, b->pairs, const char *);
    b->embeddings = ME_NEW_ARRAY(&b->arena, SETS * b->pairs * tmr_config_default().width, float);
    if (!b->clips || !b->keys || !b->embeddings) return false;
    for (int64_t i = 0; i < SETS * b->pairs; i++) {
        const int64_t frames = clip_length(&g);
        float *pose = ME_NEW_ARRAY(&b->arena, frames * MOTION_POSE, float);
        if (!pose) return false;
        fill_pose(pose, frames, &g);
        b->clips[i] = (tmr_clip){.name = "a clip", .pose = pose, .frames = frames};
        b->frames += frames;
    }
    for (int64_t i = 0; i < b->pairs; i++)
        if (!(b->keys[i] = me_arena_printf(&b->arena, "%06lld", (long long)i))) return false;
    return true;
}

static me_code rank(const bench *b, double *check, me_err *err)
{
    const int64_t width = tmr_config_default().width, size = b->pairs * width;
    me_arena arena;
    me_arena_init(&arena);
    const metric_set set = {.n = b->pairs,
                            .dim = width,
                            .keys = b->keys,
                            .source = b->embeddings,
                            .target = b->embeddings + size,
                            .generated = b->embeddings + 2 * size};
    metric_options options = metric_options_row();
    options.full = options.batch32 = true;
    options.resamples = 0;
    metric_evaluation e;
    me_code code = metric_evaluate(&e, &arena, &set, &options, err);
    if (!code) *check = metric_block_value(e.full[METRIC_TO_TARGET], "AvgR");
    me_arena_release(&arena);
    return code;
}

static me_code run_once(timing *out, const bench *b, tmr_encoder *e, nn_backend *be, double *check,
                        me_err *err)
{
    const tmr_embed_options options = {.precision = !strcmp(b->precision, "tf32")   ? NN_TF32
                                                    : !strcmp(b->precision, "bf16") ? NN_BF16_MIXED
                                                                                    : NN_FP32,
                                       .batch_tokens = b->tokens};
    tmr_embed_report report;
    const double start = me_seconds();
    me_code code =
        tmr_embed(b->embeddings, NULL, e, be, b->clips, SETS * b->pairs, &options, &report, err);
    const double embedded = me_seconds();
    if (!code) code = rank(b, check, err);
    const double end = me_seconds();
    *out = (timing){end - start, report.feature_seconds, report.encode_seconds, end - embedded};
    return code;
}

static int by_whole(const void *pa, const void *pb)
{
    const timing *a = pa, *b = pb;
    return (a->whole > b->whole) - (a->whole < b->whole);
}

static me_code measure(const bench *b, me_err *err)
{
    timing times[MOST_RUNS];
    nn_backend *be;
    tmr_encoder e;
    double check = 0;
    me_code code = nn_backend_open(&be, b->device, 0, err);
    if (code) return code;
    code = tmr_open(&e, "random:1", be, err);
    if (code) {
        nn_backend_close(be);
        return code;
    }
    for (int64_t i = -1; i < b->runs && !code; i++)
        code = run_once(&times[i < 0 ? 0 : i], b, &e, be, &check, err);
    if (!code) {
        qsort(times, (size_t)b->runs, sizeof *times, by_whole);
        const timing *t = &times[b->runs / 2];
        printf("embed+rank %lld pairs, %lld frames, %s %s: median %.2f ms (features %.2f, encode "
               "%.2f, rank %.2f; fastest %.2f, slowest %.2f; AvgR %.6f; %s)\n",
               (long long)b->pairs, (long long)b->frames, be->name,
               be->best == NN_FP32 ? "fp32" : b->precision, 1e3 * t->whole, 1e3 * t->features,
               1e3 * t->encode, 1e3 * t->rank, 1e3 * times[0].whole, 1e3 * times[b->runs - 1].whole,
               check, be->device);
    }
    tmr_close(&e);
    nn_backend_close(be);
    return code;
}

int main(int argc, char **argv)
{
    bench b = {.device = "auto", .precision = "fp32", .pairs = 1013, .runs = 15};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (!strcmp(argv[i], "--device"))
            b.device = value;
        else if (!strcmp(argv[i], "--precision"))
            b.precision = value;
        else if (!strcmp(argv[i], "--pairs"))
            b.pairs = atoll(value);
        else if (!strcmp(argv[i], "--tokens"))
            b.tokens = atoll(value);
        else if (!strcmp(argv[i], "--runs"))
            b.runs = atoll(value);
        else
            argc = 0;
    }
    if (argc % 2 == 0 || b.pairs < 1 || b.runs < 1 || b.runs > MOST_RUNS) {
        fprintf(stderr, "usage: bench-embed [--device D] [--precision fp32|tf32|bf16] [--pairs N] "
                        "[--tokens N] [--runs N]\n");
        return 2;
    }
    me_err err = {0};
    me_arena_init(&b.arena);
    me_code code = make_clips(&b) ? measure(&b, &err) : me_fail_mem(&err, "clips");
    if (code) fprintf(stderr, "bench-embed: %s\n", err.msg);
    me_arena_release(&b.arena);
    return me_code_exit_status(code);
}
