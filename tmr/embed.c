/* tmr/embed.c: see embed.h. Two passes: the first computes every clip's features to check and
 * identify them, the second computes them again for the distinct ones, chunk by chunk. Features
 * cost little beside the encoder, and so memory does not grow with the number of clips. On a GPU
 * the second pass overlaps with the encoder, whose work is queued. */
#include "tmr/embed.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/backend.h"

enum { CPU_TOKENS = 2048, DEVICE_TOKENS = 32768 };

typedef struct identity {
    uint64_t hash[2];
    int64_t frames;
    int64_t clip; /* the first clip that has it */
    int64_t slot; /* its row among the distinct ones */
} identity;

static int64_t kept(const tmr_clip *c)
{
    return c->keep && c->keep < c->frames ? c->keep : c->frames;
}

static me_code check_lengths(const tmr_clip *clips, int64_t n, int64_t *longest, me_err *err)
{
    *longest = 1;
    for (int64_t i = 0; i < n; i++) {
        if (clips[i].frames < 1)
            return me_fail(err, ME_EDATA, "%s: no frames (the motion needs one at least)",
                           clips[i].name);
        if (kept(&clips[i]) > TMR_MAX_FRAMES)
            return me_fail(
                err, ME_EDATA,
                "%s: %lld frames; the encoder's position table ends at %d (cut the motion)",
                clips[i].name, (long long)kept(&clips[i]), TMR_MAX_FRAMES);
        if (kept(&clips[i]) > *longest) *longest = kept(&clips[i]);
    }
    return ME_OK;
}

/* Row t needs rows t-1 and t alone, so cutting before or after gives the same features. */
static void features_of(float *out, const tmr_encoder *e, const tmr_clip *c)
{
    motion_features(c->pose, kept(c), out);
    motion_normalize(out, kept(c), e->mean, e->std);
}

static me_code explain_not_finite(const float *f, const tmr_clip *c, me_err *err)
{
    for (int64_t i = 0; i < kept(c) * MOTION_POSE; i++)
        if (!isfinite(f[i]))
            return me_fail(err, ME_EDATA, "%s: feature %lld of frame %lld is not a finite number",
                           c->name, (long long)(i % MOTION_POSE), (long long)(i / MOTION_POSE));
    return ME_OK;
}

static bool all_finite(const float *f, int64_t n)
{
    /* x - x is 0 for a finite x and NaN otherwise; the sum vectorises. */
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += f[i] - f[i];
    return sum == 0;
}

static me_code identify(identity *ids, const tmr_encoder *e, const tmr_clip *clips, int64_t n,
                        int64_t longest, me_err *err)
{
    const int64_t row = longest * MOTION_POSE;
    float *scratch = malloc((size_t)omp_get_max_threads() * (size_t)row * sizeof *scratch);
    if (!scratch) return me_fail_mem(err, "features");
    int64_t bad = n;
#pragma omp parallel for schedule(dynamic, 8) reduction(min : bad)
    for (int64_t i = 0; i < n; i++) {
        float *f = scratch + omp_get_thread_num() * row;
        features_of(f, e, &clips[i]);
        int64_t count = kept(&clips[i]) * MOTION_POSE;
        uint64_t bytes = (uint64_t)count * sizeof *f;
        ids[i] = (identity){.hash = {me_hash64(f, bytes, 1), me_hash64(f, bytes, 2)},
                            .frames = kept(&clips[i]),
                            .clip = i};
        if (!all_finite(f, count) && i < bad) bad = i;
    }
    me_code code = ME_OK;
    if (bad < n) {
        features_of(scratch, e, &clips[bad]);
        code = explain_not_finite(scratch, &clips[bad], err);
    }
    free(scratch);
    return code;
}

/* Longest first, so that memory is at its largest in the first chunk. */
static int by_content(const void *pa, const void *pb)
{
    const identity *a = pa, *b = pb;
    if (a->frames != b->frames) return a->frames < b->frames ? 1 : -1;
    for (int i = 0; i < 2; i++)
        if (a->hash[i] != b->hash[i]) return a->hash[i] < b->hash[i] ? -1 : 1;
    return a->clip < b->clip ? -1 : a->clip > b->clip;
}

static bool same_content(const identity *a, const identity *b)
{
    return a->frames == b->frames && a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1];
}

/* Sorts, numbers the distinct inputs, and moves one of each to the front; slots[i] is clip i's. */
static int64_t number_distinct(identity *ids, int64_t *slots, int64_t n)
{
    qsort(ids, (size_t)n, sizeof *ids, by_content);
    int64_t distinct = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!distinct || !same_content(&ids[i], &ids[distinct - 1])) ids[distinct++] = ids[i];
        slots[ids[i].clip] = distinct - 1;
    }
    return distinct;
}

static int64_t chunk_end(const identity *ids, int64_t from, int64_t n, int64_t max_clips,
                         int64_t max_tokens)
{
    int64_t tokens = 0, to = from;
    while (to < n && (!max_clips || to - from < max_clips)) {
        tokens += ids[to].frames + TMR_TOKENS;
        if (to > from && tokens > max_tokens) break;
        to++;
    }
    return to;
}

/* Features of ids[from..to), end to end, and their lengths. */
static int64_t fill_chunk(float *features, int32_t *lengths, const tmr_encoder *e,
                          const tmr_clip *clips, const identity *ids, int64_t from, int64_t to,
                          int64_t *start)
{
    int64_t frames = 0;
    for (int64_t i = from; i < to; i++) {
        start[i - from] = frames;
        lengths[i - from] = (int32_t)ids[i].frames;
        frames += ids[i].frames;
    }
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t i = from; i < to; i++)
        features_of(features + start[i - from] * MOTION_POSE, e, &clips[ids[i].clip]);
    return frames;
}

typedef struct chunks {
    int64_t *start; /* first frame of each clip in its chunk */
    int32_t *lengths;
    float *features;
} chunks;

static me_code encode_distinct(float *out, tmr_encoder *e, nn_backend *be, const tmr_clip *clips,
                               const identity *ids, int64_t n, const tmr_embed_options *o,
                               me_err *err)
{
    const int64_t width = e->config.width;
    const int64_t max_tokens = o->batch_tokens                ? o->batch_tokens
                               : strcmp(be->name, "cpu") == 0 ? CPU_TOKENS
                                                              : DEVICE_TOKENS;
    const int64_t longest = ids[0].frames;
    const int64_t most = longest > max_tokens ? longest : max_tokens;
    chunks c = {.start = malloc((size_t)n * sizeof *c.start),
                .lengths = malloc((size_t)n * sizeof *c.lengths),
                .features = malloc((size_t)most * MOTION_POSE * sizeof *c.features)};
    nn_ctx ctx = {0};
    me_code code = c.start && c.lengths && c.features ? ME_OK : me_fail_mem(err, "features");
    const nn_precision precision = be->best == NN_FP32 ? NN_FP32 : o->precision;
    if (!code && precision == NN_BF16_MIXED) code = nn_params_shadow(&e->params, err);
    if (!code) code = nn_ctx_open(&ctx, be, precision, err);
    if (code) goto done;

    nn_tensor *positions = tmr_positions_new(&ctx, longest + TMR_TOKENS, width);
    nn_tensor *all = nn_new2(&ctx, NN_F32, n, width);
    for (int64_t from = 0, to; from < n && !ctx.err.code; from = to) {
        to = chunk_end(ids, from, n, o->batch_clips, max_tokens);
        int64_t frames = fill_chunk(c.features, c.lengths, e, clips, ids, from, to, c.start);
        nn_mark_state mark = nn_mark(&ctx);
        nn_tensor *x = nn_from_host(&ctx, c.features, frames, MOTION_POSE);
        nn_tensor *mu = tmr_encode(&ctx, e, x, c.lengths, to - from, positions, o->gelu);
        if (mu->dtype != NN_F32) mu = nn_cast(&ctx, mu, NN_F32);
        if (!ctx.err.code)
            be->copy(be, (float *)all->data + from * width, mu->data,
                     (size_t)((to - from) * width) * sizeof(float));
        nn_rewind(&ctx, mark);
        me_progress(o->log, "embedding", to, n);
    }
    me_progress_end(o->log);
    code = nn_status(&ctx, err);
    if (!code) code = nn_to_host(&ctx, all, out, err);

done:
    nn_ctx_close(&ctx);
    free(c.start);
    free(c.lengths);
    free(c.features);
    return code;
}

static me_code scatter(float *out, const float *rows, const int64_t *slots, const tmr_clip *clips,
                       int64_t n, int64_t width, me_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        const float *row = rows + slots[i] * width;
        if (!all_finite(row, width))
            return me_fail(
                err, ME_EDATA,
                "%s: its embedding is not finite (are its values in metres and rotations, and "
                "the statistics those of the encoder?)",
                clips[i].name);
        memcpy(out + i * width, row, (size_t)width * sizeof *out);
    }
    return ME_OK;
}

me_code tmr_embed(float *out, int64_t *same, tmr_encoder *e, nn_backend *be, const tmr_clip *clips,
                  int64_t n, const tmr_embed_options *options, tmr_embed_report *report,
                  me_err *err)
{
    assert(e->config.features == MOTION_POSE);
    tmr_embed_report r = {0};
    int64_t longest, distinct = 0;
    me_code code = check_lengths(clips, n, &longest, err);
    if (code || n == 0) return code;

    const double start = me_seconds();
    identity *ids = malloc((size_t)n * sizeof *ids);
    int64_t *slots = malloc((size_t)n * sizeof *slots);
    float *rows = NULL;
    code = ids && slots ? identify(ids, e, clips, n, longest, err) : me_fail_mem(err, "embeddings");
    r.feature_seconds = me_seconds() - start;
    if (!code) {
        distinct = number_distinct(ids, slots, n);
        rows = malloc((size_t)distinct * (size_t)e->config.width * sizeof *rows);
        code = rows ? encode_distinct(rows, e, be, clips, ids, distinct, options, err)
                    : me_fail_mem(err, "embeddings");
    }
    if (!code) code = scatter(out, rows, slots, clips, n, e->config.width, err);
    if (!code && same) memcpy(same, slots, (size_t)n * sizeof *slots);
    if (!code && report) {
        for (int64_t i = 0; i < distinct; i++) r.frames += ids[i].frames;
        r.distinct = distinct;
        r.encode_seconds = me_seconds() - start - r.feature_seconds;
        *report = r;
    }
    free(rows);
    free(slots);
    free(ids);
    return code;
}
