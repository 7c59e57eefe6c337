/* models/tmr_trained.c: see tmr_trained.h. */
#include "models/tmr_trained.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "core/json.h"
#include "models/checkpoint.h"
#include "nn/backend.h"
#include "tmr/weights.h"

/* ---- from a checkpoint -------------------------------------------------------------------------
 */

static const char *stored(const me_doc *doc, const char *key)
{
    const me_value *v = doc->metadata ? me_dict_get(doc->metadata, key) : NULL;
    return v && v->kind == ME_STRING ? v->as.string.data : NULL;
}

/* One size of the configuration that tmr_export.c writes. */
static me_code size_of(int64_t *out, const me_value *config, const char *key, int64_t most,
                       me_err *err)
{
    const me_value *v = config ? me_dict_get(config, key) : NULL;
    if (!v || v->kind != ME_INT || v->as.integer < 1 || v->as.integer > most)
        return me_fail(err, ME_EFORMAT, "its configuration has no usable %s", key);
    *out = v->as.integer;
    return ME_OK;
}

typedef struct sizes {
    int64_t features, text_width;
    model_tmr_options o;
} sizes;

static me_code read_sizes(sizes *out, const me_doc *doc, me_arena *arena, me_err *err)
{
    const char *json[] = {stored(doc, "motion_encoder"), stored(doc, "text_encoder")};
    me_value *config[2] = {NULL, NULL};
    *out = (sizes){0};
    me_code code = ME_OK;
    for (int i = 0; i < 2 && !code; i++) {
        if (!json[i]) return me_fail(err, ME_EFORMAT, "it has no configuration of its encoders");
        code = me_json_parse(&config[i], arena, json[i], strlen(json[i]), "configuration", err);
    }
    if (!code) code = size_of(&out->features, config[0], "nfeats", 1 << 16, err);
    if (!code) code = size_of(&out->text_width, config[1], "nfeats", 1 << 16, err);
    if (!code) code = size_of(&out->o.width, config[0], "latent_dim", 4096, err);
    if (!code) code = size_of(&out->o.ff, config[0], "ff_size", 1 << 16, err);
    if (!code) code = size_of(&out->o.layers, config[0], "num_layers", 64, err);
    return code ? code : size_of(&out->o.heads, config[0], "num_heads", 64, err);
}

static me_code read_statistics(float out[2][MOTION_POSE], const me_value *root, me_err *err)
{
    static const char *const names[] = {"normalizer.mean", "normalizer.std"};
    for (int i = 0; i < 2; i++) {
        const me_value *v = me_dict_get(root, names[i]);
        if (!v || v->kind != ME_ARRAY || me_array_count(&v->as.array) != MOTION_POSE)
            return me_fail(err, ME_EFORMAT, "%s: expected %d numbers", names[i], MOTION_POSE);
        me_code code = me_array_read_f32(&v->as.array, out[i], err);
        if (code) return code;
    }
    return ME_OK;
}

static me_code open_document(model_tmr_trained *t, const me_doc *doc, nn_backend *be, me_err *err)
{
    const char *schema = stored(doc, "schema"), *kind = stored(doc, "model"),
               *text = stored(doc, "text");
    if (!schema || strcmp(schema, MODEL_CHECKPOINT_SCHEMA) != 0 || !kind || strcmp(kind, "tmr"))
        return me_fail(err, ME_EFORMAT,
                       "expected a checkpoint of `mebench train --model tmr`, found %s",
                       schema ? schema : doc->format);
    me_arena arena = {0};
    sizes s;
    float statistics[2][MOTION_POSE];
    const bool average = me_dict_get(doc->root, "ema/motion_encoder.tokens") != NULL;
    snprintf(t->text, sizeof t->text, "%s", text ? text : "");
    me_code code = read_sizes(&s, doc, &arena, err);
    if (!code) code = read_statistics(statistics, doc->root, err);
    if (!code)
        code = tmr_open_state(&t->motion, doc->root,
                              average ? "ema/motion_encoder." : "motion_encoder.", (int)s.o.heads,
                              statistics[0], statistics[1], be, err);
    if (!code)
        code = model_tmr_net_declare(&t->net, &t->params, s.features, s.text_width, &s.o, err);
    if (!code) code = nn_params_alloc(&t->params, be, err);
    if (!code) code = nn_params_load(&t->params, doc->root, average ? "ema/" : "", false, err);
    me_arena_release(&arena);
    return code;
}

me_code model_tmr_trained_open(model_tmr_trained *out, const char *path, nn_backend *be,
                               me_err *err)
{
    *out = (model_tmr_trained){0};
    me_arena arena = {0};
    if (me_is_directory(path)) path = me_path_join(&arena, path, "last.safetensors");
    me_doc doc;
    me_code code = path ? me_doc_open(&doc, path, err) : me_fail_mem(err, "a path");
    if (!code) {
        code = open_document(out, &doc, be, err);
        if (code) me_err_prefix(err, "%s", path);
        me_doc_close(&doc);
    }
    if (code) model_tmr_trained_close(out);
    me_arena_release(&arena);
    return code;
}

void model_tmr_trained_close(model_tmr_trained *t)
{
    tmr_close(&t->motion);
    nn_params_close(&t->params);
    *t = (model_tmr_trained){0};
}

/* ---- texts --------------------------------------------------------------------------------------
 */

me_code model_tmr_text_open(nn_text **out, const model_tmr_trained *t, const char *spec,
                            nn_backend *be, const nn_text_options *options, me_err *err)
{
    *out = NULL;
    const bool hash = !strncmp(t->text, "hash", 4);
    if (!spec && !hash)
        return me_fail(err, ME_EUSAGE,
                       "it was trained with the text encoder %.30s...: say where that is with "
                       "--text clip:DIR",
                       t->text);
    me_code code = nn_text_open(out, spec ? spec : t->text, be, options, err);
    if (code) return code;
    if (strcmp(nn_text_identity(*out), t->text) != 0) {
        code = me_fail(err, ME_EDATA, "--text %s is %.30s, but this TMR was trained with %.30s",
                       spec, nn_text_identity(*out), t->text);
        nn_text_close(*out);
        *out = NULL;
    }
    return code;
}

#define CHUNK 64

/* Up to CHUNK texts. */
static me_code embed_chunk(float *out, model_tmr_trained *t, nn_ctx *ctx, const nn_text_vectors *v,
                           int64_t n, nn_tensor *positions, me_err *err)
{
    int32_t lengths[CHUNK];
    int64_t rows = 0;
    const int64_t columns = t->net.text_width;
    for (int64_t i = 0; i < n; i++) rows += lengths[i] = (int32_t)v[i].n;
    float *host = malloc((size_t)(rows * columns) * sizeof *host), *p = host;
    if (!host) return me_fail_mem(err, "texts");
    for (int64_t i = 0; i < n; p += v[i++].n * columns)
        memcpy(p, v[i].tokens, (size_t)(v[i].n * columns) * sizeof *p);
    nn_tensor *x = nn_from_host(ctx, host, rows, columns);
    nn_tensor *mu = model_tmr_embed(ctx, &t->net, true, x, lengths, n, positions);
    me_code code = nn_status(ctx, err);
    if (!code) code = nn_to_host(ctx, mu, out, err);
    nn_reset(ctx);
    free(host);
    return code;
}

static void unit_row(float *out, const float *x, int64_t n)
{
    double norm = 0;
    for (int64_t c = 0; c < n; c++) norm += (double)x[c] * x[c];
    for (int64_t c = 0; c < n; c++) out[c] = (float)(x[c] / (norm > 0 ? sqrt(norm) : 1));
}

me_code model_tmr_embed_texts(float *out, float *sentences, model_tmr_trained *t, nn_text *text,
                              const char *const *texts, int64_t n, nn_precision precision,
                              me_err *err)
{
    const int64_t width = t->net.text.width, words = nn_text_sentence_width(text);
    if (nn_text_token_width(text) != t->net.text_width)
        return me_fail(err, ME_EDATA, "the text encoder gives %lld columns, this TMR reads %lld",
                       (long long)nn_text_token_width(text), (long long)t->net.text_width);
    nn_text_vectors *v = malloc((size_t)(n + 1) * sizeof *v);
    me_code code = v ? nn_text_encode(text, texts, n, v, err) : me_fail_mem(err, "texts");
    int64_t longest = 0;
    for (int64_t i = 0; i < n && !code; i++) {
        if (v[i].n > longest) longest = v[i].n;
        if (sentences) unit_row(sentences + i * words, v[i].sentence, words);
    }
    nn_backend *be = t->params.be;
    nn_tensor positions = {0};
    nn_ctx ctx;
    if (!code && precision == NN_BF16_MIXED) code = nn_params_shadow(&t->params, err);
    if (!code) code = model_tmr_positions(&positions, be, longest + TMR_TOKENS, width, err);
    if (!code && !(code = nn_ctx_open(&ctx, be, precision, err))) {
        for (int64_t i = 0; i < n && !code; i += CHUNK)
            code = embed_chunk(out + i * width, t, &ctx, v + i, n - i < CHUNK ? n - i : CHUNK,
                               &positions, err);
        nn_ctx_close(&ctx);
    }
    if (positions.data) be->release(be, positions.data);
    free(v);
    return code;
}
