/* tmr/embed.c: see embed.h. Clips are taken longest first, chunk by chunk: features and hashes on
 * all threads, then the encoder for those that were not met before. Memory does not grow with the
 * number of clips. While one thread queues a chunk's work for a GPU, the others compute the next
 * chunk's features, which travel there beside that work: two buffers on either side take turns. */
#include "tmr/embed.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/backend.h"

/* A device's: whole waves of the f32 product's blocks on 132 multiprocessors, for every width. */
enum { CPU_TOKENS = 2048, DEVICE_TOKENS = 50688 };

typedef struct identity {
    uint64_t hash[2];
    int64_t frames;
    int64_t slot; /* its row among the distinct ones; -1: none */
    bool finite;
} identity;

typedef struct work {
    tmr_encoder *encoder;
    const tmr_clip *clips;
    int64_t n;
    int64_t *order;  /* (n) clips, longest first */
    int64_t *slots;  /* (n) of each clip: its row among the distinct ones */
    identity *table; /* distinct ones, found by hash; `places` is a power of two above n */
    size_t places;
    int64_t distinct, frames;
    /* Of one chunk. */
    identity *ids;
    int64_t *start; /* first frame of each clip */
    int32_t *lengths;
    double feature_seconds; /* of waiting for features */
} work;

static int64_t kept(const tmr_clip *c)
{
    return c->keep && c->keep < c->frames ? c->keep : c->frames;
}

static me_code check_lengths(const tmr_clip *clips, int64_t n, me_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (clips[i].frames < 1)
            return me_fail(err, ME_EDATA, "%s: no frames (the motion needs one at least)",
                           clips[i].name);
        if (kept(&clips[i]) > TMR_MAX_FRAMES)
            return me_fail(
                err, ME_EDATA,
                "%s: %lld frames; the encoder's position table ends at %d (cut the motion)",
                clips[i].name, (long long)kept(&clips[i]), TMR_MAX_FRAMES);
    }
    return ME_OK;
}

/* Row t needs rows t-1 and t alone, so cutting before or after gives the same features. */
static void features_of(float *out, const tmr_encoder *e, const tmr_clip *c)
{
    motion_features(c->pose, kept(c), out);
    motion_normalize(out, kept(c), e->mean, e->std);
}

static bool all_finite(const float *f, int64_t n)
{
    /* x - x is 0 for a finite x and NaN otherwise; the sum vectorises. */
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += f[i] - f[i];
    return sum == 0;
}

/* Two times 64 bits over four lanes, which keep a processor's multiplier busy: one lane waits for
 * its product before it takes the next word. */
static void hash_rows(uint64_t out[2], const float *x, int64_t n)
{
    const uint64_t odd = 0x9e3779b97f4a7c15U;
    uint64_t lane[4] = {1, 2, 3, (uint64_t)n};
    const unsigned char *p = (const unsigned char *)x;
    const int64_t bytes = n * (int64_t)sizeof *x;
    int64_t at = 0;
    for (; at + 32 <= bytes; at += 32)
        for (int i = 0; i < 4; i++) {
            uint64_t word;
            memcpy(&word, p + at + 8 * i, sizeof word);
            lane[i] = (lane[i] ^ word) * odd;
            lane[i] ^= lane[i] >> 29;
        }
    const uint64_t tail = me_hash64(p + at, (uint64_t)(bytes - at), 0);
    out[0] = me_hash64(lane, sizeof lane, tail);
    out[1] = me_hash64(lane, sizeof lane, ~tail);
}

static me_code explain_not_finite(const work *w, int64_t longest, me_err *err)
{
    float *f = malloc((size_t)(longest * MOTION_POSE) * sizeof *f);
    if (!f) return me_fail_mem(err, "features");
    me_code code = ME_OK;
    for (int64_t c = 0; c < w->n && !code; c++) {
        features_of(f, w->encoder, &w->clips[c]);
        for (int64_t i = 0; i < kept(&w->clips[c]) * MOTION_POSE && !code; i++)
            if (!isfinite(f[i]))
                code = me_fail(
                    err, ME_EDATA, "%s: feature %lld of frame %lld is not a finite number",
                    w->clips[c].name, (long long)(i % MOTION_POSE), (long long)(i / MOTION_POSE));
    }
    free(f);
    return code;
}

/* Longest first, so that memory is at its largest in the first chunks; equal ones as they are
 * given. Counted, not compared: a device waits for this. */
static void sort_clips(work *w)
{
    int64_t next[TMR_MAX_FRAMES + 1] = {0}; /* of each length: how many, then where the next goes */
    for (int64_t i = 0; i < w->n; i++) next[kept(&w->clips[i])]++;
    int64_t longer = 0;
    for (int64_t frames = TMR_MAX_FRAMES; frames >= 0; frames--) {
        const int64_t equal = next[frames];
        next[frames] = longer;
        longer += equal;
    }
    for (int64_t i = 0; i < w->n; i++) w->order[next[kept(&w->clips[i])]++] = i;
}

static int64_t chunk_end(const work *w, int64_t from, int64_t max_clips, int64_t max_tokens)
{
    int64_t tokens = 0, to = from;
    while (to < w->n && (!max_clips || to - from < max_clips)) {
        tokens += kept(&w->clips[w->order[to]]) + TMR_TOKENS;
        if (to > from && tokens > max_tokens) break;
        to++;
    }
    return to;
}

/* Features, end to end, and identities of the clips at order[from..to), as tasks of the present
 * team. */
static void start_chunk(float *features, work *w, int64_t from, int64_t to)
{
    int64_t frames = 0;
    for (int64_t i = from; i < to; i++) {
        w->start[i - from] = frames;
        frames += kept(&w->clips[w->order[i]]);
    }
#pragma omp taskloop nogroup grainsize(4)
    for (int64_t i = from; i < to; i++) {
        const tmr_clip *c = &w->clips[w->order[i]];
        float *f = features + w->start[i - from] * MOTION_POSE;
        identity *id = &w->ids[i - from];
        features_of(f, w->encoder, c);
        hash_rows(id->hash, f, kept(c) * MOTION_POSE);
        id->frames = kept(c);
        id->finite = all_finite(f, kept(c) * MOTION_POSE);
    }
}

/* Waits for the tasks. False when a clip is not finite. */
static bool finish_chunk(work *w, int64_t from, int64_t to)
{
    const double begun = me_seconds();
#pragma omp taskwait
    w->feature_seconds += me_seconds() - begun;
    for (int64_t i = from; i < to; i++)
        if (!w->ids[i - from].finite) return false;
    return true;
}

/* The slot of `id`, which gets the next one when it is new. */
static int64_t slot_of(work *w, const identity *id)
{
    size_t at = id->hash[0] & (w->places - 1);
    for (; w->table[at].slot >= 0; at = (at + 1) & (w->places - 1)) {
        const identity *there = &w->table[at];
        if (there->frames == id->frames && there->hash[0] == id->hash[0] &&
            there->hash[1] == id->hash[1])
            return there->slot;
    }
    w->table[at] = *id;
    return w->table[at].slot = w->distinct++;
}

/* Numbers the chunk's clips and moves the new ones' features together. Returns how many are new;
 * their lengths are in w->lengths. */
static int64_t keep_new(float *features, work *w, int64_t from, int64_t to, int64_t *frames)
{
    int64_t fresh = 0;
    *frames = 0;
    for (int64_t i = from; i < to; i++) {
        const identity *id = &w->ids[i - from];
        const int64_t before = w->distinct, slot = slot_of(w, id);
        w->slots[w->order[i]] = slot;
        if (slot < before) continue;
        if (*frames != w->start[i - from])
            memmove(features + *frames * MOTION_POSE, features + w->start[i - from] * MOTION_POSE,
                    (size_t)(id->frames * MOTION_POSE) * sizeof *features);
        w->lengths[fresh++] = (int32_t)id->frames;
        *frames += id->frames;
    }
    w->frames += *frames;
    return fresh;
}

/* What encode_chunks needs beside the work. */
typedef struct stage {
    nn_ctx ctx;
    const tmr_embed_options *options;
    int64_t max_tokens;
    float *host[2];       /* features of two chunks */
    nn_tensor *device[2]; /* the same */
    nn_tensor *positions, *all;
} stage;

/* Queues the encoder for `n` clips, whose rows go to all[first..). */
static void encode_chunk(stage *s, work *w, int turn, int64_t first, int64_t n, int64_t frames)
{
    nn_ctx *ctx = &s->ctx;
    const int64_t width = w->encoder->config.width;
    nn_mark_state mark = nn_mark(ctx);
    nn_tensor *x = nn_rows(ctx, s->device[turn], 0, frames);
    nn_tensor *mu = tmr_encode(ctx, w->encoder, x, w->lengths, n, s->positions, s->options->gelu);
    mu = nn_cast(ctx, mu, NN_F32);
    if (!ctx->err.code)
        ctx->be->copy(ctx->be, (float *)s->all->data + first * width, mu->data,
                      (size_t)(n * width) * sizeof(float));
    nn_rewind(ctx, mark);
}

/* Runs on one thread of a team. Returns ME_EDATA when a clip is not finite; the encoder's failures
 * stay in the context. */
static me_code encode_chunks(stage *s, work *w)
{
    nn_backend *be = s->ctx.be;
    const tmr_embed_options *o = s->options;
    int turn = 0;
    /* Short chunks first, each twice as long as the one before: a device has work early, and enough
     * until the next one's features are there. */
    int64_t budget = s->max_tokens / 8;
    int64_t to = chunk_end(w, 0, o->batch_clips, budget);
    start_chunk(s->host[0], w, 0, to);
    for (int64_t from = 0; from < w->n && !s->ctx.err.code; turn = 1 - turn) {
        if (!finish_chunk(w, from, to)) return ME_EDATA;
        const int64_t first = w->distinct;
        int64_t frames;
        const int64_t n = keep_new(s->host[turn], w, from, to, &frames);
        be->upload_ahead(be, s->device[turn]->data, s->host[turn],
                         (size_t)(frames * MOTION_POSE) * sizeof(float));
        from = to;
        if (from < w->n) {
            budget = 2 * budget < s->max_tokens ? 2 * budget : s->max_tokens;
            to = chunk_end(w, from, o->batch_clips, budget);
            start_chunk(s->host[1 - turn], w, from, to);
        }
        if (n) encode_chunk(s, w, turn, first, n, frames);
        me_progress(o->log, "embedding", from, w->n);
    }
#pragma omp taskwait
    return ME_OK;
}

/* Embeddings of the distinct clips into out, (w->distinct, width). */
static me_code encode_distinct(float *out, work *w, nn_backend *be, const tmr_embed_options *o,
                               me_err *err)
{
    tmr_encoder *e = w->encoder;
    const int64_t width = e->config.width, longest = kept(&w->clips[w->order[0]]);
    const bool cpu = strcmp(be->name, "cpu") == 0;
    stage s = {.options = o,
               .max_tokens = o->batch_tokens ? o->batch_tokens
                             : cpu           ? CPU_TOKENS
                                             : DEVICE_TOKENS};
    const int64_t most = longest > s.max_tokens ? longest : s.max_tokens;
    const nn_precision precision = be->best == NN_FP32 ? NN_FP32 : o->precision;
    void *host[2] = {NULL, NULL};
    me_code code = ME_OK, found = ME_OK;
    for (int i = 0; i < 2 && !code; i++) {
        code = be->host_alloc(be, (size_t)most * MOTION_POSE * sizeof(float), &host[i], err);
        s.host[i] = host[i];
    }
    if (!code && precision == NN_BF16_MIXED) code = nn_params_shadow(&e->params, err);
    if (!code) code = nn_ctx_open(&s.ctx, be, precision, err);
    if (code) goto done;
    s.positions = tmr_positions_new(&s.ctx, longest + TMR_TOKENS, width);
    s.all = nn_new2(&s.ctx, NN_F32, w->n, width);
    for (int i = 0; i < 2; i++) s.device[i] = nn_new2(&s.ctx, NN_F32, most, MOTION_POSE);
    if (!cpu) {
        /* A whole chunk's activations, though a short one comes first: memory that is taken while
         * work is queued makes the next upload wait for that work. */
        const nn_mark_state mark = nn_mark(&s.ctx);
        nn_new2(&s.ctx, NN_F32, most, 9 * width + e->config.ff);
        nn_rewind(&s.ctx, mark);
    }
    if (!s.ctx.err.code) {
        /* The cpu back end has a team of its own in every operation. */
#pragma omp parallel if (!cpu)
#pragma omp single
        found = encode_chunks(&s, w);
    }
    me_progress_end(o->log);
    code = found ? explain_not_finite(w, longest, err) : nn_status(&s.ctx, err);
    if (!code) be->download(be, out, s.all->data, (size_t)(w->distinct * width) * sizeof *out);
    if (!code) code = nn_status(&s.ctx, err);

done:
    be->sync(be);
    nn_ctx_close(&s.ctx);
    for (int i = 0; i < 2; i++) be->host_release(be, host[i]);
    return code;
}

static me_code scatter(float *out, const float *rows, const int64_t *slots, const tmr_clip *clips,
                       int64_t n, int64_t width, me_err *err)
{
    int64_t bad = n;
#pragma omp parallel for schedule(static) reduction(min : bad) if (n * width > 1 << 16)
    for (int64_t i = 0; i < n; i++) {
        const float *row = rows + slots[i] * width;
        if (!all_finite(row, width) && i < bad) bad = i;
        memcpy(out + i * width, row, (size_t)width * sizeof *out);
    }
    if (bad == n) return ME_OK;
    return me_fail(err, ME_EDATA,
                   "%s: its embedding is not finite (are its values in metres and rotations, and "
                   "the statistics those of the encoder?)",
                   clips[bad].name);
}

static void close_work(work *w)
{
    free(w->order);
    free(w->slots);
    free(w->table);
    free(w->ids);
    free(w->start);
    free(w->lengths);
}

static me_code open_work(work *w, tmr_encoder *e, const tmr_clip *clips, int64_t n, me_err *err)
{
    *w = (work){.encoder = e, .clips = clips, .n = n, .places = 16};
    while (w->places < 2 * (size_t)n) w->places *= 2;
    w->order = malloc((size_t)n * sizeof *w->order);
    w->slots = malloc((size_t)n * sizeof *w->slots);
    w->table = malloc(w->places * sizeof *w->table);
    w->ids = malloc((size_t)n * sizeof *w->ids);
    w->start = malloc((size_t)n * sizeof *w->start);
    w->lengths = malloc((size_t)n * sizeof *w->lengths);
    if (!w->order || !w->slots || !w->table || !w->ids || !w->start || !w->lengths)
        return me_fail_mem(err, "embeddings");
    for (size_t i = 0; i < w->places; i++) w->table[i].slot = -1;
    sort_clips(w);
    return ME_OK;
}

me_code tmr_embed(float *out, int64_t *same, tmr_encoder *e, nn_backend *be, const tmr_clip *clips,
                  int64_t n, const tmr_embed_options *options, tmr_embed_report *report,
                  me_err *err)
{
    assert(e->config.features == MOTION_POSE);
    me_code code = check_lengths(clips, n, err);
    if (code || n == 0) return code;

    const double begun = me_seconds();
    const int64_t width = e->config.width;
    work w;
    void *rows = NULL; /* where a device writes by itself */
    code = open_work(&w, e, clips, n, err);
    if (!code) code = be->host_alloc(be, (size_t)n * (size_t)width * sizeof(float), &rows, err);
    if (!code) code = encode_distinct(rows, &w, be, options, err);
    if (!code) code = scatter(out, rows, w.slots, clips, n, width, err);
    if (!code && same) memcpy(same, w.slots, (size_t)n * sizeof *same);
    if (!code && report)
        *report = (tmr_embed_report){.distinct = w.distinct,
                                     .frames = w.frames,
                                     .feature_seconds = w.feature_seconds,
                                     .encode_seconds = me_seconds() - begun - w.feature_seconds};
    be->host_release(be, rows);
    close_work(&w);
    return code;
}
