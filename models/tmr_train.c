/* models/tmr_train.c: TMR as the trainer sees it (tmr_model.h): its data, batches, validation and
 * export. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/rng.h"
#include "core/torch.h"
#include "metrics/protocol.h"
#include "metrics/ranks.h"
#include "metrics/retrieval.h"
#include "models/tmr_model.h"
#include "nn/backend.h"
#include "tmr/encoder.h"
#include "tmr/weights.h"

// clang-format off
#define FIELD(name) offsetof(model_tmr_options, name)
static const me_opt tmr_table[] = {
    {"width", ME_OPT_INT, FIELD(width), "256", 8, 4096, NULL, "N", "of the latent space and of every layer"},
    {"ff", ME_OPT_INT, FIELD(ff), "1024", 8, 65536, NULL, "N", "width of the feed-forward layers"},
    {"heads", ME_OPT_INT, FIELD(heads), "4", 1, 64, NULL, "N", "attention heads"},
    {"layers", ME_OPT_INT, FIELD(layers), "6", 1, 64, NULL, "N", "layers of both encoders and the decoder"},
    {"dropout", ME_OPT_FLOAT, FIELD(dropout), "0.1", 0, 0.9, NULL, "X", "everywhere but on the decoder's memory"},
    {"temperature", ME_OPT_FLOAT, FIELD(temperature), "0.1", 1e-4, 100, NULL, "X", "of the contrastive loss"},
    {"threshold", ME_OPT_FLOAT, FIELD(threshold), "-2", -2, 2, NULL, "X", "sentences nearer than this are no negatives; -2: 0.6, or 0.99 for --text hash"},
    {"w-recons", ME_OPT_FLOAT, FIELD(w_recons), "1", 0, 1e6, NULL, "X", "weight of the reconstructions"},
    {"w-kl", ME_OPT_FLOAT, FIELD(w_kl), "1e-5", 0, 1e6, NULL, "X", "weight of the four divergences"},
    {"w-latent", ME_OPT_FLOAT, FIELD(w_latent), "1e-5", 0, 1e6, NULL, "X", "weight of the latents' distance"},
    {"w-contrastive", ME_OPT_FLOAT, FIELD(w_contrastive), "0.1", 0, 1e6, NULL, "X", "weight of the contrastive loss"},
    {"min-frames", ME_OPT_INT, FIELD(min_frames), "20", 1, 4998, NULL, "N", "shorter clips are not trained on"},
    {"max-frames", ME_OPT_INT, FIELD(max_frames), "300", 1, 4998, NULL, "N", "longer clips are not trained on"},
    {"captions", ME_OPT_CHOICE, FIELD(captions), "auto", 0, 0, "auto|caption|instruction", "NAME", "which text belongs to a motion: its caption, or the edit that it results from"},
    {NULL, ME_OPT_BOOL, 0, NULL, 0, 0, NULL, NULL, NULL},
};
// clang-format on

/* Rows of many sequences end to end: on the device where they fit, else on the host. */
typedef struct rows_store {
    int64_t n, rows, columns;
    int64_t *start; /* (n+1) */
    float *host;    /* NULL once the rows are on the device */
    nn_tensor device;
} rows_store;

typedef struct item {
    const motion_clip *clip;
    const char *text, *key;
    int64_t sentence; /* row of texts and sentences */
    bool validation;
} item;

typedef struct tmr_train {
    model base;
    const model_tmr_options *o;
    nn_backend *be;
    model_tmr_net net;
    me_arena arena;
    item *items; /* training items first, then those of validation */
    int64_t train_n, all_n;
    rows_store motion, text;
    float *sentences; /* (texts, width) unit rows */
    int64_t sentence_width;
    double threshold;
    float mean[MOTION_POSE], std[MOTION_POSE];
    nn_tensor positions;
    const char **keys;
    const char *text_identity;
    me_log *log;
} tmr_train;

#define SMALLEST_STD 1e-3F /* of a channel that hardly moves: noise there must not be blown up */
#define MOST_VALIDATED 4096

/* ---- data
 * ------------------------------------------------------------------------------------------------
 */

static bool wants_captions(const motion_dataset *d, const model_tmr_options *o)
{
    if (!strcmp(o->captions, "caption")) return true;
    if (!strcmp(o->captions, "instruction")) return false;
    for (int64_t i = 0; i < d->n; i++)
        if (d->pairs[i].source_caption || d->pairs[i].target_caption) return true;
    return false;
}

/* Pairs of a benchmark share motions: the same motion with the same text is one item. */
typedef struct seen_set {
    uint64_t *hash;
    uint64_t mask;
} seen_set;

static bool first_time(seen_set *seen, const motion_clip *clip, const char *text)
{
    uint64_t h =
        me_hash64(clip->pose, (uint64_t)clip->frames * MOTION_POSE * sizeof *clip->pose, 1);
    h = me_hash64(text, strlen(text), h) | 1;
    for (uint64_t i = h >> 7;; i++) {
        uint64_t *slot = &seen->hash[i & seen->mask];
        if (*slot == h) return false;
        if (!*slot) {
            *slot = h;
            return true;
        }
    }
}

static void add_item(tmr_train *t, seen_set *seen, const motion_clip *clip, const char *text,
                     const char *key, motion_split split, bool validation)
{
    if (!text || !clip->frames || (split == MOTION_VAL) != validation) return;
    if (!validation && (clip->frames < t->o->min_frames || clip->frames > t->o->max_frames)) return;
    if (clip->frames > TMR_MAX_FRAMES || t->all_n - t->train_n >= MOST_VALIDATED) return;
    if (!first_time(seen, clip, text)) return;
    t->items[t->all_n++] = (item){.clip = clip, .text = text, .key = key, .validation = validation};
    if (!validation) t->train_n = t->all_n;
}

static me_code choose_items(tmr_train *t, const motion_dataset *d, me_err *err)
{
    bool captions = wants_captions(d, t->o);
    seen_set seen = {.mask = 63};
    while (seen.mask < (uint64_t)d->n * 6) seen.mask = 2 * seen.mask + 1;
    seen.hash = calloc(seen.mask + 1, sizeof *seen.hash);
    t->items = ME_NEW_ARRAY(&t->arena, 2 * d->n, item);
    if (!seen.hash || !t->items) {
        free(seen.hash);
        return me_fail_mem(err, "training items");
    }
    for (int validation = 0; validation < 2; validation++)
        for (int64_t i = 0; i < d->n; i++) {
            const motion_pair *p = &d->pairs[i];
            if (p->split == MOTION_TEST) continue;
            if (captions)
                add_item(t, &seen, &p->source, p->source_caption, p->key, p->split, validation);
            add_item(t, &seen, &p->target, captions ? p->target_caption : p->text, p->key, p->split,
                     validation);
        }
    free(seen.hash);
    if (!t->train_n)
        return me_fail(err, ME_EDATA,
                       "no motion of the train split has %s and %lld to %lld frames%s",
                       captions ? "a caption" : "an instruction", (long long)t->o->min_frames,
                       (long long)t->o->max_frames, captions ? "; try --captions instruction" : "");
    return ME_OK;
}

static me_code store_open(rows_store *s, int64_t n, int64_t columns, me_err *err)
{
    *s = (rows_store){.n = n, .columns = columns};
    s->start = calloc((size_t)n + 1, sizeof *s->start);
    return s->start ? ME_OK : me_fail_mem(err, "training data");
}

static me_code store_allocate(rows_store *s, me_err *err)
{
    s->rows = s->start[s->n];
    s->host = malloc((size_t)s->rows * (size_t)s->columns * sizeof *s->host);
    return s->host ? ME_OK : me_fail_mem(err, "training data");
}

/* Moves the rows to the device; where they do not fit they stay, and batches are sent one by one.
 */
static void store_settle(rows_store *s, nn_backend *be, me_log *log)
{
    void *device;
    size_t bytes = (size_t)s->rows * (size_t)s->columns * sizeof *s->host;
    if (be->alloc(be, bytes, &device, NULL) != ME_OK) {
        me_info(log, "%.1f GB of training data do not fit on %s: they stay in host memory",
                (double)bytes / 1e9, be->device);
        return;
    }
    be->upload(be, device, s->host, bytes);
    s->device =
        (nn_tensor){.dtype = NN_F32, .ndim = 2, .shape = {s->rows, s->columns}, .data = device};
    free(s->host);
    s->host = NULL;
}

static void store_close(rows_store *s, nn_backend *be)
{
    if (s->device.data) be->release(be, s->device.data);
    free(s->host);
    free(s->start);
}

/* The rows of some sequences as a packed batch. */
static nn_tensor *store_batch(nn_ctx *ctx, const rows_store *s, const int64_t *which, int64_t n,
                              int32_t *lengths)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = (int32_t)(s->start[which[i] + 1] - s->start[which[i]]);
        rows += lengths[i];
    }
    nn_tensor *batch = NULL;
    size_t row_bytes = (size_t)s->columns * sizeof *s->host;
    void *scratch = malloc((size_t)rows * (s->device.data ? sizeof(int32_t) : row_bytes) + 1);
    if (!scratch) {
        me_fail_mem(&ctx->err, "a batch");
        return nn_new2(ctx, NN_F32, rows, s->columns);
    }
    if (s->device.data) {
        int32_t *index = scratch, *p = index;
        for (int64_t i = 0; i < n; i++)
            for (int32_t k = 0; k < lengths[i]; k++) *p++ = (int32_t)(s->start[which[i]] + k);
        nn_tensor all = s->device;
        nn_tensor *view = nn_new2(ctx, NN_F32, 0, s->columns);
        *view = all;
        batch = nn_gather(ctx, view, nn_index_new(ctx, index, rows, s->rows));
    } else {
        float *p = scratch;
        for (int64_t i = 0; i < n; i++) {
            memcpy(p, s->host + s->start[which[i]] * s->columns, (size_t)lengths[i] * row_bytes);
            p += (int64_t)lengths[i] * s->columns;
        }
        batch = nn_from_host(ctx, scratch, rows, s->columns);
    }
    free(scratch);
    return batch;
}

/* Mean and standard deviation of the training items' features, in double and in the items' order.
 */
static void statistics_of(tmr_train *t)
{
    double sum[MOTION_POSE] = {0}, square[MOTION_POSE] = {0};
    int64_t n = t->motion.start[t->train_n];
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < MOTION_POSE; c++) sum[c] += t->motion.host[i * MOTION_POSE + c];
    for (int c = 0; c < MOTION_POSE; c++) t->mean[c] = (float)(sum[c] / (double)n);
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < MOTION_POSE; c++) {
            double x = (double)t->motion.host[i * MOTION_POSE + c] - t->mean[c];
            square[c] += x * x;
        }
    for (int c = 0; c < MOTION_POSE; c++) {
        float s = (float)sqrt(square[c] / (double)(n > 1 ? n - 1 : 1));
        t->std[c] = s > SMALLEST_STD ? s : SMALLEST_STD;
    }
}

static me_code load_motions(tmr_train *t, me_err *err)
{
    me_code code = store_open(&t->motion, t->all_n, MOTION_POSE, err);
    if (code != ME_OK) return code;
    for (int64_t i = 0; i < t->all_n; i++)
        t->motion.start[i + 1] = t->motion.start[i] + t->items[i].clip->frames;
    if (t->motion.start[t->all_n] > INT32_MAX)
        return me_fail(err, ME_EDATA,
                       "%lld frames are more than one run can index; train on a part",
                       (long long)t->motion.start[t->all_n]);
    code = store_allocate(&t->motion, err);
    if (code != ME_OK) return code;
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t i = 0; i < t->all_n; i++)
        motion_features(t->items[i].clip->pose, t->items[i].clip->frames,
                        t->motion.host + t->motion.start[i] * MOTION_POSE);
    statistics_of(t);
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t i = 0; i < t->all_n; i++)
        motion_normalize(t->motion.host + t->motion.start[i] * MOTION_POSE,
                         t->items[i].clip->frames, t->mean, t->std);
    store_settle(&t->motion, t->be, t->log);
    return ME_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static me_code load_texts(tmr_train *t, nn_text *text, me_err *err)
{
    const char **distinct = malloc((size_t)t->all_n * sizeof *distinct);
    if (!distinct) return me_fail_mem(err, "texts");
    for (int64_t i = 0; i < t->all_n; i++) distinct[i] = t->items[i].text;
    qsort(distinct, (size_t)t->all_n, sizeof *distinct, by_text);
    int64_t n = 0;
    for (int64_t i = 0; i < t->all_n; i++)
        if (!n || strcmp(distinct[n - 1], distinct[i]) != 0) distinct[n++] = distinct[i];
    for (int64_t i = 0; i < t->all_n; i++) {
        const char **at =
            bsearch(&t->items[i].text, distinct, (size_t)n, sizeof *distinct, by_text);
        t->items[i].sentence = at - distinct;
    }
    nn_text_vectors *v = malloc((size_t)n * sizeof *v);
    me_code code = v ? nn_text_encode(text, distinct, n, v, err) : me_fail_mem(err, "texts");
    if (code == ME_OK) code = store_open(&t->text, n, nn_text_token_width(text), err);
    for (int64_t i = 0; i < n && code == ME_OK; i++)
        t->text.start[i + 1] = t->text.start[i] + v[i].n;
    if (code == ME_OK) code = store_allocate(&t->text, err);
    t->sentence_width = nn_text_sentence_width(text);
    t->sentences = code == ME_OK ? ME_NEW_ARRAY(&t->arena, n * t->sentence_width, float) : NULL;
    if (code == ME_OK && !t->sentences) code = me_fail_mem(err, "sentences");
    for (int64_t i = 0; i < n && code == ME_OK; i++) {
        memcpy(t->text.host + t->text.start[i] * t->text.columns, v[i].tokens,
               (size_t)(v[i].n * t->text.columns) * sizeof *v[i].tokens);
        double norm = 0;
        for (int64_t c = 0; c < t->sentence_width; c++)
            norm += (double)v[i].sentence[c] * v[i].sentence[c];
        for (int64_t c = 0; c < t->sentence_width; c++)
            t->sentences[i * t->sentence_width + c] =
                (float)(v[i].sentence[c] / (norm > 0 ? sqrt(norm) : 1));
    }
    if (code == ME_OK) store_settle(&t->text, t->be, t->log);
    free(distinct);
    free(v);
    return code;
}

/* ---- the model
 * -------------------------------------------------------------------------------------------- */

static void tmr_train_close(model *m)
{
    tmr_train *t = (tmr_train *)m;
    store_close(&t->motion, t->be);
    store_close(&t->text, t->be);
    if (t->positions.data) t->be->release(t->be, t->positions.data);
    nn_params_close(&t->base.params);
    me_arena_release(&t->arena);
    free(t);
}

static me_code make_positions(tmr_train *t, me_err *err)
{
    int64_t rows = 0, width = t->o->width;
    const rows_store *stores[] = {&t->motion, &t->text};
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < stores[k]->n; i++)
            if (stores[k]->start[i + 1] - stores[k]->start[i] > rows)
                rows = stores[k]->start[i + 1] - stores[k]->start[i];
    rows += TMR_TOKENS;
    float *host = malloc((size_t)(rows * width) * sizeof *host);
    void *device = NULL;
    me_code code = host ? t->be->alloc(t->be, (size_t)(rows * width) * sizeof *host, &device, err)
                        : me_fail_mem(err, "positions");
    if (code == ME_OK) {
        tmr_positions(host, rows, width);
        t->be->upload(t->be, device, host, (size_t)(rows * width) * sizeof *host);
        t->positions =
            (nn_tensor){.dtype = NN_F32, .ndim = 2, .shape = {rows, width}, .data = device};
    }
    free(host);
    return code;
}

static me_code tmr_train_open(model **out, const model_setup *setup, me_err *err)
{
    *out = NULL;
    if (!setup->text) return me_fail(err, ME_EUSAGE, "tmr trains on texts: give --text");
    tmr_train *t = calloc(1, sizeof *t);
    if (!t) return me_fail_mem(err, "the model");
    t->base.kind = &model_kind_tmr;
    t->o = setup->options;
    t->be = setup->be;
    t->log = setup->log;
    t->text_identity = nn_text_identity(setup->text);
    bool hash = !strncmp(t->text_identity, "hash", 4);
    t->threshold = t->o->threshold > -2 ? t->o->threshold : hash ? 0.99 : 0.6;
    nn_params_init(&t->base.params);
    me_code code = choose_items(t, setup->data, err);
    if (code == ME_OK) code = load_motions(t, err);
    if (code == ME_OK) code = load_texts(t, setup->text, err);
    if (code == ME_OK) code = make_positions(t, err);
    if (code == ME_OK)
        code = model_tmr_net_declare(&t->net, &t->base.params, MOTION_POSE, t->text.columns, t->o,
                                     err);
    if (code == ME_OK) code = nn_params_alloc(&t->base.params, t->be, err);
    if (code == ME_OK) code = model_tmr_net_initialize(&t->net, setup->seed, err);
    if (code == ME_OK && !(t->keys = ME_NEW_ARRAY(&t->arena, t->train_n, const char *)))
        code = me_fail_mem(err, "keys");
    if (code != ME_OK) {
        tmr_train_close(&t->base);
        return code;
    }
    for (int64_t i = 0; i < t->train_n; i++)
        t->keys[i] = me_arena_strdup(&t->arena, t->items[i].key);
    t->base.keys = t->keys;
    t->base.items = t->train_n;
    me_info(t->log, "tmr: %lld motions to train on, %lld to validate, %lld distinct texts",
            (long long)t->train_n, (long long)(t->all_n - t->train_n), (long long)t->text.n);
    *out = &t->base;
    return ME_OK;
}

/* 1 where two items' sentences say so nearly the same that neither is a wrong answer for the other.
 */
static const nn_tensor *filtered_negatives(nn_ctx *ctx, const tmr_train *t, const int64_t *items,
                                           int64_t n)
{
    nn_tensor *device = nn_new2(ctx, NN_I32, n, n);
    int32_t *host = calloc((size_t)(n * n), sizeof *host);
    if (!host || !device->data) {
        me_fail_mem(&ctx->err, "filtered negatives");
        free(host);
        return device;
    }
#pragma omp parallel for schedule(static) if (n >= 64)
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            const float *a = t->sentences + t->items[items[i]].sentence * t->sentence_width;
            const float *b = t->sentences + t->items[items[j]].sentence * t->sentence_width;
            float dot = 0;
            for (int64_t c = 0; c < t->sentence_width; c++) dot += a[c] * b[c];
            host[i * n + j] = i != j && dot > t->threshold;
        }
    ctx->be->upload(ctx->be, device->data, host, (size_t)(n * n) * sizeof *host);
    free(host);
    return device;
}

static const nn_tensor *normal_noise(nn_ctx *ctx, uint64_t seed, int64_t step, const char *what,
                                     int64_t n, int64_t d)
{
    float *host = malloc((size_t)(n * d) * sizeof *host);
    if (!host) {
        me_fail_mem(&ctx->err, "noise");
        return nn_new2(ctx, NN_F32, n, d);
    }
    me_rng g = me_rng_make(seed, me_hash64(what, strlen(what), (uint64_t)step));
    for (int64_t i = 0; i < n * d; i++) host[i] = (float)me_rng_normal(&g);
    nn_tensor *noise = nn_from_host(ctx, host, n, d);
    free(host);
    return noise;
}

static nn_tensor *tmr_train_loss(model *m, nn_ctx *ctx, const model_batch *b, model_terms *terms)
{
    tmr_train *t = (tmr_train *)m;
    int32_t *lengths = malloc((size_t)(2 * b->n) * sizeof *lengths);
    int64_t *sentences = malloc((size_t)b->n * sizeof *sentences);
    if (!lengths || !sentences) {
        me_fail_mem(&ctx->err, "a batch");
        free(lengths);
        free(sentences);
        return nn_new2(ctx, NN_F32, 1, 1);
    }
    for (int64_t i = 0; i < b->n; i++) sentences[i] = t->items[b->items[i]].sentence;
    model_tmr_batch batch = {
        .n = b->n,
        .motion = store_batch(ctx, &t->motion, b->items, b->n, lengths),
        .text = store_batch(ctx, &t->text, sentences, b->n, lengths + b->n),
        .motion_lengths = lengths,
        .text_lengths = lengths + b->n,
        .noise_text = normal_noise(ctx, b->seed, b->step, "noise of texts", b->n, t->o->width),
        .noise_motion = normal_noise(ctx, b->seed, b->step, "noise of motions", b->n, t->o->width),
        .hidden = filtered_negatives(ctx, t, b->items, b->n),
    };
    nn_tensor *loss = model_tmr_loss(ctx, &t->net, &batch, t->o, &t->positions, terms, NULL);
    free(lengths);
    free(sentences);
    return loss;
}

/* ---- validation
 * --------------------------------------------------------------------------------------------- */

#define VALIDATION_CHUNK 64

static me_code embed_items(tmr_train *t, nn_ctx *ctx, bool text, float *out, me_err *err)
{
    int64_t width = t->o->width, n = t->all_n - t->train_n, which[VALIDATION_CHUNK];
    int32_t lengths[VALIDATION_CHUNK];
    for (int64_t from = 0; from < n; from += VALIDATION_CHUNK) {
        int64_t m = n - from < VALIDATION_CHUNK ? n - from : VALIDATION_CHUNK;
        for (int64_t i = 0; i < m; i++)
            which[i] = text ? t->items[t->train_n + from + i].sentence : t->train_n + from + i;
        nn_reset(ctx);
        nn_tensor *rows = store_batch(ctx, text ? &t->text : &t->motion, which, m, lengths);
        nn_tensor *mu = model_tmr_embed(ctx, &t->net, text, rows, lengths, m, &t->positions);
        me_code code = nn_status(ctx, err);
        if (code == ME_OK) code = nn_to_host(ctx, mu, out + from * width, err);
        if (code != ME_OK) return code;
    }
    nn_reset(ctx);
    return ME_OK;
}

static void add_scores(model_scores *s, const metric_retrieval *r, const char *const names[3])
{
    double values[] = {r->r1, r->r3, r->avg};
    for (int i = 0; i < 3; i++) {
        s->name[s->n] = names[i];
        s->value[s->n++] = r->n ? values[i] : NAN;
    }
}

static me_code tmr_train_validate(model *m, nn_ctx *ctx, model_scores *out, me_err *err)
{
    static const char *const names[4][3] = {
        {"t2m_batch32_R@1", "t2m_batch32_R@3", "t2m_batch32_AvgR"},
        {"m2t_batch32_R@1", "m2t_batch32_R@3", "m2t_batch32_AvgR"},
        {"t2m_full_R@1", "t2m_full_R@3", "t2m_full_AvgR"},
        {"m2t_full_R@1", "m2t_full_R@3", "m2t_full_AvgR"},
    };
    tmr_train *t = (tmr_train *)m;
    int64_t n = t->all_n - t->train_n, width = t->o->width;
    out->n = 0;
    out->items = n;
    if (!n) return ME_OK;
    float *raw = malloc((size_t)(n * width) * sizeof *raw);
    double *unit = malloc((size_t)(n * (2 * width + t->sentence_width)) * sizeof *unit);
    int64_t *order = malloc((size_t)n * sizeof *order);
    me_code code = raw && unit && order ? ME_OK : me_fail_mem(err, "validation");
    double *motions = unit, *texts = unit + n * width, *sentences = texts + n * width;
    for (int text = 0; text < 2 && code == ME_OK; text++) {
        code = embed_items(t, ctx, text, raw, err);
        if (code == ME_OK)
            code = metric_unit(text ? texts : motions, raw, NULL, text ? "text" : "motion", n,
                               width, err);
    }
    for (int64_t i = 0; i < n && code == ME_OK; i++)
        for (int64_t c = 0; c < t->sentence_width; c++)
            sentences[i * t->sentence_width + c] =
                t->sentences[t->items[t->train_n + i].sentence * t->sentence_width + c];
    /* Neighbours in the file share a person or a source: batches are drawn across them. */
    if (code == ME_OK) me_numpy_shuffle(0, order, n);
    for (int k = 0; k < 4 && code == ME_OK; k++) {
        metric_retrieval r;
        bool from_text = k % 2 == 0;
        code = metric_retrieve(&r, from_text ? texts : motions, from_text ? motions : texts, width,
                               sentences, t->sentence_width, 0.95, n, k < 2 ? METRIC_BATCH : 0,
                               order, err);
        if (code == ME_OK) add_scores(out, &r, names[k]);
    }
    free(raw);
    free(unit);
    free(order);
    return code;
}

/* ---- what a checkpoint and an export hold beside weights
 * ------------------------------------------------------ */

static me_code config_text(const tmr_train *t, bool text, char **out, me_arena *arena, me_err *err)
{
    const model_tmr_options *o = t->o;
    me_value *c = me_value_new(arena, ME_DICT);
    if (!c) return me_fail_mem(err, "a configuration");
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {{"nfeats", text ? t->text.columns : MOTION_POSE},
                   {"latent_dim", o->width},
                   {"ff_size", o->ff},
                   {"num_layers", o->layers},
                   {"num_heads", o->heads}};
    me_code code = ME_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && code == ME_OK; i++)
        code = me_dict_put(arena, c, numbers[i].key, me_value_int(arena, numbers[i].value), err);
    if (code == ME_OK) code = me_dict_put(arena, c, "vae", me_value_bool(arena, true), err);
    if (code == ME_OK)
        code = me_dict_put(arena, c, "dropout", me_value_float(arena, o->dropout), err);
    if (code == ME_OK)
        code = me_dict_put(arena, c, "activation", me_value_string(arena, "gelu"), err);
    return code == ME_OK ? me_json_text(out, arena, c, err) : code;
}

static me_code tmr_train_describe(model *m, me_arena *arena, me_value *tensors, me_value *metadata,
                                  me_err *err)
{
    tmr_train *t = (tmr_train *)m;
    int64_t n = MOTION_POSE;
    char *motion = NULL, *text = NULL;
    me_code code = me_dict_put(arena, tensors, "normalizer.mean",
                               me_value_array(arena, ME_F32, 1, &n, t->mean), err);
    if (code == ME_OK)
        code = me_dict_put(arena, tensors, "normalizer.std",
                           me_value_array(arena, ME_F32, 1, &n, t->std), err);
    if (code == ME_OK) code = config_text(t, false, &motion, arena, err);
    if (code == ME_OK) code = config_text(t, true, &text, arena, err);
    if (code == ME_OK)
        code = me_dict_put(arena, metadata, "motion_encoder", me_value_string(arena, motion), err);
    if (code == ME_OK)
        code = me_dict_put(arena, metadata, "text_encoder", me_value_string(arena, text), err);
    if (code == ME_OK)
        code = me_dict_put(arena, metadata, "text", me_value_string(arena, t->text_identity), err);
    return code;
}

/* The parameters below `prefix` as a state dictionary over `host`, the whole block. */
static me_code part_of_state(me_value **out, me_arena *arena, const nn_params *p, const float *host,
                             const char *prefix, me_err *err)
{
    *out = me_value_new(arena, ME_DICT);
    if (!*out) return me_fail_mem(err, "a state dictionary");
    for (int64_t i = 0; i < p->n; i++) {
        const nn_param *q = &p->items[i];
        if (strncmp(q->name, prefix, strlen(prefix)) != 0) continue;
        me_code code =
            me_dict_put(arena, *out, q->name + strlen(prefix),
                        me_value_array(arena, ME_F32, q->ndim, q->shape, host + q->offset), err);
        if (code != ME_OK) return code;
    }
    return ME_OK;
}

static me_code export_config(const tmr_train *t, me_arena *arena, const char *path, me_err *err)
{
    me_value *root = me_value_new(arena, ME_DICT), *both = me_value_new(arena, ME_DICT);
    static const char *const names[] = {"motion_encoder", "text_encoder"};
    me_code code = root && both ? ME_OK : me_fail_mem(err, "a configuration");
    for (int text = 0; text < 2 && code == ME_OK; text++) {
        char *json = NULL;
        me_value *part = NULL;
        code = config_text(t, text, &json, arena, err);
        if (code == ME_OK) code = me_json_parse(&part, arena, json, strlen(json), "config", err);
        if (code == ME_OK) code = me_dict_put(arena, both, names[text], part, err);
    }
    if (code == ME_OK) code = me_dict_put(arena, root, "model", both, err);
    return code == ME_OK ? me_json_write(path, root, err) : code;
}

/* The evaluator's folder, as the reference lays it out, and the same encoder in one file. */
static me_code tmr_train_export(model *m, const char *folder, me_err *err)
{
    tmr_train *t = (tmr_train *)m;
    nn_params *p = &m->params;
    me_arena arena = {0};
    float *host = malloc((size_t)p->size * sizeof *host);
    const char *weights = me_path_join(&arena, folder, "last_weights");
    const char *stats = me_path_join(&arena, folder, "stats/humanml3d/amass_feats");
    me_code code = host && weights && stats ? ME_OK : me_fail_mem(err, "an export");
    if (code == ME_OK)
        p->be->download(p->be, host, p->ema ? p->ema : p->data, (size_t)p->size * sizeof *host);
    if (code == ME_OK) code = me_make_directories(weights, err);
    if (code == ME_OK) code = me_make_directories(stats, err);
    static const char *const parts[] = {"motion_encoder", "text_encoder", "motion_decoder"};
    me_value *state[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 3 && code == ME_OK; i++) {
        char prefix[64], file[64];
        snprintf(prefix, sizeof prefix, "%s.", parts[i]);
        snprintf(file, sizeof file, "%s.pt", parts[i]);
        code = part_of_state(&state[i], &arena, p, host, prefix, err);
        if (code == ME_OK)
            code = me_torch_write(me_path_join(&arena, weights, file), state[i], err);
    }
    int64_t n = MOTION_POSE;
    if (code == ME_OK)
        code = me_torch_write(me_path_join(&arena, stats, "mean.pt"),
                              me_value_array(&arena, ME_F32, 1, &n, t->mean), err);
    if (code == ME_OK)
        code = me_torch_write(me_path_join(&arena, stats, "std.pt"),
                              me_value_array(&arena, ME_F32, 1, &n, t->std), err);
    if (code == ME_OK)
        code = export_config(t, &arena, me_path_join(&arena, folder, "config.json"), err);
    if (code == ME_OK) {
        tmr_encoder e;
        code = tmr_open_state(&e, state[0], "", (int)t->o->heads, t->mean, t->std, t->be, err);
        if (code == ME_OK) {
            e.source = "trained by mebench";
            code = tmr_write(me_path_join(&arena, folder, "tmr.safetensors"), &e, err);
            tmr_close(&e);
        }
    }
    free(host);
    me_arena_release(&arena);
    return code;
}

const model_kind model_kind_tmr = {
    .name = "tmr",
    .doc = "TMR: a text encoder, a motion encoder and a motion decoder around one latent space, "
           "trained with "
           "reconstruction, divergence and contrastive losses whose negatives are filtered. Its "
           "motion encoder is "
           "what `mebench eval` embeds motions with.",
    .cite = "Petrovich, Black, Varol: TMR: Text-to-Motion Retrieval Using Contrastive 3D Human "
            "Motion Synthesis. ICCV 2023",
    .options = tmr_table,
    .options_size = sizeof(model_tmr_options),
    .open = tmr_train_open,
    .close = tmr_train_close,
    .loss = tmr_train_loss,
    .validate = tmr_train_validate,
    .describe = tmr_train_describe,
    .export_to = tmr_train_export,
};
