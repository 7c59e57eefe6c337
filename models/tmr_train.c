/* models/tmr_train.c: TMR as the trainer sees it (tmr_model.h): its data, batches and validation.
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "metrics/protocol.h"
#include "models/tmr_items.h"
#include "models/tmr_score.h"
#include "models/tmr_train_priv.h"
#include "nn/backend.h"
#include "tmr/encoder.h"

// clang-format off
#define FIELD(name) offsetof(model_tmr_options, name)
const me_opt model_tmr_table[] = {
    {"width", ME_OPT_INT, FIELD(width), "256", 8, 4096, NULL, "N", "of the latent space and of every layer"},
    {"ff", ME_OPT_INT, FIELD(ff), "1024", 8, 65536, NULL, "N", "width of the feed-forward layers"},
    {"heads", ME_OPT_INT, FIELD(heads), "4", 1, 64, NULL, "N", "attention heads"},
    {"layers", ME_OPT_INT, FIELD(layers), "6", 1, 64, NULL, "N", "layers of both encoders and the decoder"},
    {"dropout", ME_OPT_FLOAT, FIELD(dropout), "0.1", 0, 0.9, NULL, "X", "everywhere but on the decoder's memory"},
    {"temperature", ME_OPT_FLOAT, FIELD(temperature), "0.1", 1e-4, 100, NULL, "X", "of the contrastive loss"},
    {"threshold", ME_OPT_FLOAT, FIELD(threshold), "-2", -2, 2, NULL, "X", "texts whose vectors' cosine is above this are no negatives; -2: 0.99 for --text hash, 0.95 for clip"},
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

#define SMALLEST_STD 1e-3F /* of a channel that hardly moves: noise there must not be blown up */
#define MOST_VALIDATED 4096

/* ---- data -------------------------------------------------------------------------------------
 */

static me_code choose_items(model_tmr_train *t, model_tmr_items *items, me_err *err)
{
    const model_tmr_choice train = {.split = MOTION_TRAIN,
                                    .min_frames = t->o->min_frames,
                                    .max_frames = t->o->max_frames},
                           val = {.split = MOTION_VAL,
                                  .max_frames = TMR_MAX_FRAMES,
                                  .most = MOST_VALIDATED};
    model_tmr_items_add(items, &train);
    t->train_n = items->n;
    model_tmr_items_add(items, &val);
    t->all_n = items->n;
    if (t->train_n) return ME_OK;
    return me_fail(err, ME_EDATA, "no motion of the train split has %s and %lld to %lld frames%s",
                   items->captions ? "a caption" : "an instruction", (long long)t->o->min_frames,
                   (long long)t->o->max_frames,
                   items->captions ? "; try --captions instruction" : "");
}

/* Mean and standard deviation of the training items' features, in double and in the items' order.
 */
static void statistics_of(model_tmr_train *t)
{
    double sum[MOTION_POSE] = {0}, square[MOTION_POSE] = {0};
    const int64_t n = t->motion.start[t->train_n];
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < MOTION_POSE; c++) sum[c] += t->motion.host[i * MOTION_POSE + c];
    for (int c = 0; c < MOTION_POSE; c++) t->mean[c] = (float)(sum[c] / (double)n);
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < MOTION_POSE; c++) {
            const double x = (double)t->motion.host[i * MOTION_POSE + c] - t->mean[c];
            square[c] += x * x;
        }
    for (int c = 0; c < MOTION_POSE; c++) {
        const float s = (float)sqrt(square[c] / (double)(n > 1 ? n - 1 : 1));
        t->std[c] = s > SMALLEST_STD ? s : SMALLEST_STD;
    }
}

static me_code load_motions(model_tmr_train *t, const model_tmr_item *items, me_err *err)
{
    model_rows *r = &t->motion;
    me_code code = model_rows_open(r, t->be, t->all_n, MOTION_POSE, err);
    if (code != ME_OK) return code;
    for (int64_t i = 0; i < t->all_n; i++) r->start[i + 1] = r->start[i] + items[i].clip->frames;
    code = model_rows_allocate(r, err);
    if (code != ME_OK) return code;
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t i = 0; i < t->all_n; i++)
        motion_features(items[i].clip->pose, items[i].clip->frames,
                        r->host + r->start[i] * MOTION_POSE);
    statistics_of(t);
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t i = 0; i < t->all_n; i++)
        motion_normalize(r->host + r->start[i] * MOTION_POSE, items[i].clip->frames, t->mean,
                         t->std);
    model_rows_settle(r, "motions", t->log);
    return ME_OK;
}

static void unit_row(float *out, const float *x, int64_t n)
{
    double norm = 0;
    for (int64_t c = 0; c < n; c++) norm += (double)x[c] * x[c];
    for (int64_t c = 0; c < n; c++) out[c] = (float)(x[c] / (norm > 0 ? sqrt(norm) : 1));
}

static me_code load_vectors(model_tmr_train *t, const nn_text_vectors *v, int64_t n, me_err *err)
{
    model_rows *r = &t->text;
    for (int64_t i = 0; i < n; i++) r->start[i + 1] = r->start[i] + v[i].n;
    me_code code = model_rows_allocate(r, err);
    t->sentences = ME_NEW_ARRAY(&t->arena, n * t->sentence_width, float);
    if (code == ME_OK && !t->sentences) code = me_fail_mem(err, "sentences");
    for (int64_t i = 0; i < n && code == ME_OK; i++) {
        memcpy(r->host + r->start[i] * r->columns, v[i].tokens,
               (size_t)(v[i].n * r->columns) * sizeof *v[i].tokens);
        unit_row(t->sentences + i * t->sentence_width, v[i].sentence, t->sentence_width);
    }
    if (code == ME_OK) model_rows_settle(r, "texts", t->log);
    return code;
}

static me_code load_texts(model_tmr_train *t, model_tmr_items *items, nn_text *text, me_err *err)
{
    const char **distinct = malloc((size_t)t->all_n * sizeof *distinct);
    int64_t *sentence = ME_NEW_ARRAY(&t->arena, t->all_n, int64_t);
    if (!distinct || !sentence) {
        free(distinct);
        return me_fail_mem(err, "texts");
    }
    const int64_t n = model_tmr_sentences(distinct, items);
    for (int64_t i = 0; i < t->all_n; i++) sentence[i] = items->items[i].sentence;
    t->sentence = sentence;
    t->sentence_width = nn_text_sentence_width(text);
    nn_text_vectors *v = malloc((size_t)n * sizeof *v);
    me_code code = v ? nn_text_encode(text, distinct, n, v, err) : me_fail_mem(err, "texts");
    if (code == ME_OK) code = model_rows_open(&t->text, t->be, n, nn_text_token_width(text), err);
    if (code == ME_OK) code = load_vectors(t, v, n, err);
    free(distinct);
    free(v);
    return code;
}

static me_code load_keys(model_tmr_train *t, const model_tmr_item *items, me_err *err)
{
    const char **keys = ME_NEW_ARRAY(&t->arena, t->train_n, const char *);
    for (int64_t i = 0; i < t->train_n && keys; i++)
        if (!(keys[i] = me_arena_strdup(&t->arena, items[i].key))) keys = NULL;
    t->base.keys = keys;
    t->base.items = t->train_n;
    return keys ? ME_OK : me_fail_mem(err, "keys");
}

/* ---- the model --------------------------------------------------------------------------------
 */

static void tmr_train_close(model *m)
{
    model_tmr_train *t = (model_tmr_train *)m;
    model_rows_close(&t->motion);
    model_rows_close(&t->text);
    if (t->positions.data) t->be->release(t->be, t->positions.data);
    nn_params_close(&t->base.params);
    me_arena_release(&t->arena);
    free(t);
}

static me_code load_data(model_tmr_train *t, const model_setup *setup, me_err *err)
{
    model_tmr_items items;
    me_code code = model_tmr_items_open(&items, setup->data, t->o->captions, err);
    if (code != ME_OK) return code;
    code = choose_items(t, &items, err);
    if (code == ME_OK) code = load_motions(t, items.items, err);
    if (code == ME_OK) code = load_texts(t, &items, setup->text, err);
    if (code == ME_OK) code = load_keys(t, items.items, err);
    if (code == ME_OK)
        me_info(t->log, "tmr: %lld motions with %s to train on, %lld to validate, %lld texts",
                (long long)t->train_n, items.captions ? "captions" : "instructions",
                (long long)(t->all_n - t->train_n), (long long)t->text.n);
    model_tmr_items_close(&items);
    return code;
}

static me_code tmr_train_open(model **out, const model_setup *setup, me_err *err)
{
    *out = NULL;
    if (!setup->text) return me_fail(err, ME_EUSAGE, "tmr trains on texts: give --text");
    model_tmr_train *t = calloc(1, sizeof *t);
    if (!t) return me_fail_mem(err, "the model");
    t->base.kind = &model_kind_tmr;
    t->o = setup->options;
    t->be = setup->be;
    t->log = setup->log;
    t->text_identity = nn_text_identity(setup->text);
    const bool hash = !strncmp(t->text_identity, "hash", 4);
    t->threshold = t->o->threshold > -2 ? t->o->threshold : hash ? 0.99 : 0.95;
    nn_params_init(&t->base.params);
    me_code code = load_data(t, setup, err);
    if (code == ME_OK) {
        const int64_t motion = model_rows_longest(&t->motion), text = model_rows_longest(&t->text);
        code = model_tmr_positions(&t->positions, t->be,
                                   TMR_TOKENS + (motion > text ? motion : text), t->o->width, err);
    }
    if (code == ME_OK)
        code = model_tmr_net_declare(&t->net, &t->base.params, MOTION_POSE, t->text.columns, t->o,
                                     err);
    if (code == ME_OK) code = nn_params_alloc(&t->base.params, t->be, err);
    if (code == ME_OK) code = model_tmr_net_initialize(&t->net, setup->seed, err);
    if (code != ME_OK) {
        tmr_train_close(&t->base);
        return code;
    }
    *out = &t->base;
    return ME_OK;
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static float dot(const float *a, const float *b, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < n; c++) sum += a[c] * b[c];
    return sum;
}

/* 1 where two items' sentences say so nearly the same that neither is a wrong answer for the other.
 */
static const nn_tensor *filtered_negatives(nn_ctx *ctx, const model_tmr_train *t,
                                           const int64_t *items, int64_t n)
{
    nn_tensor *device = nn_new2(ctx, NN_I32, n, n);
    int32_t *host = calloc((size_t)(n * n), sizeof *host);
    if (!host || !device->data) {
        if (!host) me_fail_mem(&ctx->err, "filtered negatives");
        free(host);
        return device;
    }
    const int64_t width = t->sentence_width;
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = t->sentence[items[i]];
        for (int64_t j = i + 1; j < n; j++) {
            const int64_t b = t->sentence[items[j]];
            host[i * n + j] = host[j * n + i] =
                a == b ||
                dot(t->sentences + a * width, t->sentences + b * width, width) > t->threshold;
        }
    }
    ctx->be->upload(ctx->be, device->data, host, (size_t)(n * n) * sizeof *host);
    free(host);
    return device;
}

/* Rows of standard normal numbers, drawn where they are used: the first n for texts, n for motions.
 */
static nn_tensor *normal_noise(nn_ctx *ctx, const model_batch *b, int64_t width)
{
    const int64_t n = 2 * b->n;
    const uint64_t seed = me_hash64(&b->step, sizeof b->step, b->seed + 1);
    int32_t *stream = malloc((size_t)n * 3 * sizeof *stream);
    int32_t *ones = malloc((size_t)n * sizeof *ones);
    float *mix = malloc((size_t)n * 2 * sizeof *mix);
    nn_tensor *streams = nn_new2(ctx, NN_I32, n, 3), *noise = NULL;
    const bool whole = stream && ones && mix;
    if (!whole) me_fail_mem(&ctx->err, "noise");
    for (int64_t i = 0; i < n && whole; i++) {
        stream[3 * i] = (int32_t)(uint32_t)seed;
        stream[3 * i + 1] = (int32_t)(uint32_t)(seed >> 32);
        stream[3 * i + 2] = (int32_t)i;
        mix[2 * i] = 0;
        mix[2 * i + 1] = 1;
        ones[i] = 1;
    }
    if (ctx->err.code == ME_OK) {
        ctx->be->upload(ctx->be, streams->data, stream, (size_t)n * 3 * sizeof *stream);
        noise = nn_noise(ctx, NULL, nn_from_host(ctx, mix, n, 2), streams,
                         nn_packing_new(ctx, ones, n), width);
    }
    free(stream);
    free(ones);
    free(mix);
    return noise ? noise : nn_new2(ctx, NN_F32, n, width);
}

static nn_tensor *tmr_train_loss(model *m, nn_ctx *ctx, const model_batch *b, model_terms *terms)
{
    model_tmr_train *t = (model_tmr_train *)m;
    int32_t *lengths = malloc((size_t)(2 * b->n) * sizeof *lengths);
    int64_t *sentences = malloc((size_t)b->n * sizeof *sentences);
    if (!lengths || !sentences) {
        me_fail_mem(&ctx->err, "a batch");
        free(lengths);
        free(sentences);
        return nn_new2(ctx, NN_F32, 1, 1);
    }
    for (int64_t i = 0; i < b->n; i++) sentences[i] = t->sentence[b->items[i]];
    nn_tensor *noise = normal_noise(ctx, b, t->o->width);
    model_tmr_batch batch = {
        .n = b->n,
        .motion = model_rows_batch(ctx, &t->motion, b->items, b->n, lengths),
        .text = model_rows_batch(ctx, &t->text, sentences, b->n, lengths + b->n),
        .motion_lengths = lengths,
        .text_lengths = lengths + b->n,
        .noise_text = nn_rows(ctx, noise, 0, b->n),
        .noise_motion = nn_rows(ctx, noise, b->n, 2 * b->n),
        .hidden = filtered_negatives(ctx, t, b->items, b->n),
    };
    nn_tensor *loss = model_tmr_loss(ctx, &t->net, &batch, t->o, &t->positions, terms, NULL);
    free(lengths);
    free(sentences);
    return loss;
}

/* ---- validation -------------------------------------------------------------------------------
 */

#define VALIDATION_CHUNK 64

static me_code embed_items(model_tmr_train *t, nn_ctx *ctx, bool text, float *out, me_err *err)
{
    int64_t width = t->o->width, n = t->all_n - t->train_n, which[VALIDATION_CHUNK];
    int32_t lengths[VALIDATION_CHUNK];
    for (int64_t from = 0; from < n; from += VALIDATION_CHUNK) {
        int64_t m = n - from < VALIDATION_CHUNK ? n - from : VALIDATION_CHUNK;
        for (int64_t i = 0; i < m; i++)
            which[i] = text ? t->sentence[t->train_n + from + i] : t->train_n + from + i;
        nn_reset(ctx);
        nn_tensor *rows = model_rows_batch(ctx, text ? &t->text : &t->motion, which, m, lengths);
        nn_tensor *mu = model_tmr_embed(ctx, &t->net, text, rows, lengths, m, &t->positions);
        me_code code = nn_status(ctx, err);
        if (code == ME_OK) code = nn_to_host(ctx, mu, out + from * width, err);
        if (code != ME_OK) return code;
    }
    nn_reset(ctx);
    return ME_OK;
}

static me_code tmr_train_validate(model *m, nn_ctx *ctx, model_scores *out, me_err *err)
{
    static const char *const names[2][2][3] = {
        {{"t2m_batch32_R@1", "t2m_batch32_R@3", "t2m_batch32_AvgR"},
         {"m2t_batch32_R@1", "m2t_batch32_R@3", "m2t_batch32_AvgR"}},
        {{"t2m_full_R@1", "t2m_full_R@3", "t2m_full_AvgR"},
         {"m2t_full_R@1", "m2t_full_R@3", "m2t_full_AvgR"}}};
    model_tmr_train *t = (model_tmr_train *)m;
    const int64_t n = t->all_n - t->train_n, width = t->o->width, words = t->sentence_width;
    *out = (model_scores){.items = n};
    if (!n) return ME_OK;
    float *motions = malloc((size_t)(n * (2 * width + words)) * sizeof *motions);
    if (!motions) return me_fail_mem(err, "validation");
    float *texts = motions + n * width, *sentences = texts + n * width;
    for (int64_t i = 0; i < n; i++)
        memcpy(sentences + i * words, t->sentences + t->sentence[t->train_n + i] * words,
               (size_t)words * sizeof *sentences);
    model_tmr_scores s;
    me_code code = embed_items(t, ctx, false, motions, err);
    if (code == ME_OK) code = embed_items(t, ctx, true, texts, err);
    if (code == ME_OK)
        code = model_tmr_score(&s,
                               &(model_tmr_embedded){.motions = motions,
                                                     .texts = texts,
                                                     .sentences = sentences,
                                                     .n = n,
                                                     .width = width,
                                                     .sentence_width = words},
                               METRIC_BATCH, MODEL_TMR_SAME_TEXT, 0, err);
    free(motions);
    for (int p = 0; p < 2 && code == ME_OK; p++)
        for (int d = 0; d < 2; d++) {
            const metric_retrieval *r = &s.of[p][d];
            const double values[] = {r->r1, r->r3, r->avg};
            for (int i = 0; i < 3; i++) {
                out->name[out->n] = names[p][d][i];
                out->value[out->n++] = r->n ? values[i] : NAN;
            }
        }
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
    .options = model_tmr_table,
    .options_size = sizeof(model_tmr_options),
    .open = tmr_train_open,
    .close = tmr_train_close,
    .loss = tmr_train_loss,
    .validate = tmr_train_validate,
    .describe = model_tmr_describe,
    .export_to = model_tmr_export,
};
