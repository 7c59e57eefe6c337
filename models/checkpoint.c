/* models/checkpoint.c: see checkpoint.h. */
#include "models/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "core/version.h"
#include "nn/backend.h"

/* The flat blocks of a training state, by the prefix that their tensors get. */
typedef struct block {
    const char *prefix;
    float *device; /* NULL: this run has none */
} block;

static int blocks_of(block out[4], const nn_params *p)
{
    out[0] = (block){"", p->data};
    out[1] = (block){"adamw.m/", p->moment1};
    out[2] = (block){"adamw.v/", p->moment2};
    out[3] = (block){"ema/", p->ema};
    return 4;
}

/* A file that holds the last good state must not be replaced by one that is none. */
static me_code check_finite(const nn_params *p, const block *b, const float *host, me_err *err)
{
    for (int64_t i = 0; i < p->n; i++) {
        const nn_param *q = &p->items[i];
        for (int64_t k = 0; k < nn_count(&q->tensor); k++)
            if (!isfinite(host[q->offset + k]))
                return me_fail(err, ME_EDATA,
                               "step %lld: %s%s holds %f: the training diverged, and no "
                               "checkpoint is written (a lower --lr or --clip may help)",
                               (long long)p->step, b->prefix, q->name, (double)host[q->offset + k]);
    }
    return ME_OK;
}

static me_code put_block(me_arena *arena, me_value *tensors, const nn_params *p, const block *b,
                         float *host, me_err *err)
{
    p->be->download(p->be, host, b->device, (size_t)p->size * sizeof *host);
    for (int64_t i = 0; i < p->n; i++) {
        const nn_param *q = &p->items[i];
        const char *name = me_arena_printf(arena, "%s%s", b->prefix, q->name);
        me_value *array = me_value_array(arena, ME_F32, q->ndim, q->shape, host + q->offset);
        if (!name || !array) return me_fail_mem(err, "a checkpoint");
        me_code code = me_dict_put(arena, tensors, name, array, err);
        if (code != ME_OK) return code;
    }
    return check_finite(p, b, host, err);
}

static me_code put_string(me_arena *arena, me_value *dict, const char *key, const char *text,
                          me_err *err)
{
    me_value *v = me_value_string(arena, text);
    return v ? me_dict_put(arena, dict, key, v, err) : me_fail_mem(err, "a checkpoint");
}

me_code model_checkpoint_write(const char *path, model *m, const me_value *metadata, me_err *err)
{
    me_arena arena = {0};
    nn_params *p = &m->params;
    block blocks[4];
    int n = blocks_of(blocks, p);
    float *host = malloc((size_t)n * (size_t)p->size * sizeof *host);
    me_value *tensors = me_value_new(&arena, ME_DICT), *strings = me_value_new(&arena, ME_DICT);
    me_code code = host && tensors && strings ? ME_OK : me_fail_mem(err, "a checkpoint");
    char step[32];
    snprintf(step, sizeof step, "%lld", (long long)p->step);
    const char *own[][2] = {{"schema", MODEL_CHECKPOINT_SCHEMA},
                            {"model", m->kind->name},
                            {"step", step},
                            {"mebench", me_version()},
                            {"git", me_git()}};
    for (size_t i = 0; i < sizeof own / sizeof *own && code == ME_OK; i++)
        code = put_string(&arena, strings, own[i][0], own[i][1], err);
    for (size_t i = 0; metadata && i < metadata->as.dict.length && code == ME_OK; i++)
        code = me_dict_set(&arena, strings, metadata->as.dict.keys[i], metadata->as.dict.values[i],
                           err);
    for (int i = 0; i < n && code == ME_OK; i++)
        if (blocks[i].device)
            code =
                put_block(&arena, tensors, p, &blocks[i], host + (size_t)i * (size_t)p->size, err);
    if (code == ME_OK && m->kind->describe)
        code = m->kind->describe(m, &arena, tensors, strings, err);
    if (code == ME_OK) code = p->be->status(p->be, err);
    if (code == ME_OK) code = me_safetensors_write(path, tensors, strings, err);
    free(host);
    me_arena_release(&arena);
    return code;
}

static const char *stored(const me_doc *doc, const char *key)
{
    const me_value *v = doc->metadata ? me_dict_get(doc->metadata, key) : NULL;
    return v && v->kind == ME_STRING ? v->as.string.data : NULL;
}

static me_code read_block(const char *path, const me_value *root, const nn_params *p,
                          const block *b, float *host, me_err *err)
{
    memset(host, 0, (size_t)p->size * sizeof *host);
    for (int64_t i = 0; i < p->n; i++) {
        const nn_param *q = &p->items[i];
        char name[256];
        snprintf(name, sizeof name, "%s%s", b->prefix, q->name);
        const me_value *v = me_dict_get(root, name);
        if (!v || v->kind != ME_ARRAY)
            return me_fail(err, ME_EFORMAT,
                           "%s: %s is missing; was it saved by a run with other options?", path,
                           name);
        if (me_array_count(&v->as.array) != nn_count(&q->tensor))
            return me_fail(err, ME_EFORMAT, "%s: %s holds %lld numbers, expected %lld", path, name,
                           (long long)me_array_count(&v->as.array),
                           (long long)nn_count(&q->tensor));
        me_code code = me_array_read_f32(&v->as.array, host + q->offset, err);
        if (code != ME_OK) return code;
    }
    p->be->upload(p->be, b->device, host, (size_t)p->size * sizeof *host);
    return ME_OK;
}

static const char *json_of(me_arena *arena, const me_value *v)
{
    char *text = NULL;
    if (!v || me_json_text(&text, arena, v, NULL) != ME_OK) return "nothing";
    return text;
}

/* Fails, naming the first option in which two sets of them differ. */
static me_code explain_options(const char *path, const char *before, const char *now, me_err *err)
{
    me_arena arena = {0};
    me_value *a = NULL, *b = NULL;
    const char *name = "their order", *then = "", *given = "";
    if (me_json_parse(&a, &arena, before, strlen(before), path, NULL) == ME_OK &&
        me_json_parse(&b, &arena, now, strlen(now), path, NULL) == ME_OK) {
        const me_value *both[] = {a, b};
        for (int k = 0; k < 2; k++)
            for (size_t i = 0; i < both[k]->as.dict.length; i++) {
                const char *key = both[k]->as.dict.keys[i]->as.string.data;
                const char *x = json_of(&arena, me_dict_get(a, key)),
                           *y = json_of(&arena, me_dict_get(b, key));
                if (strcmp(x, y) != 0) name = key, then = x, given = y;
            }
    }
    me_fail(err, ME_EUSAGE,
            "%s: it was made with other options (%s was %s, now it is %s); give the same, or "
            "train into another folder",
            path, name, then, given);
    me_arena_release(&arena);
    return ME_EUSAGE;
}

me_code model_checkpoint_read(const char *path, model *m, const char *options, me_err *err)
{
    me_doc doc;
    me_code code = me_doc_open(&doc, path, err);
    if (code != ME_OK) return code;
    nn_params *p = &m->params;
    const char *schema = stored(&doc, "schema"), *kind = stored(&doc, "model"),
               *step = stored(&doc, "step");
    const char *before = stored(&doc, "options");
    if (!schema || strcmp(schema, MODEL_CHECKPOINT_SCHEMA) != 0)
        code = me_fail(err, ME_EFORMAT, "%s: expected a checkpoint (%s), found %s", path,
                       MODEL_CHECKPOINT_SCHEMA, schema ? schema : doc.format);
    else if (!kind || strcmp(kind, m->kind->name) != 0)
        code = me_fail(err, ME_EFORMAT, "%s: expected a checkpoint of %s, found one of %s", path,
                       m->kind->name, kind ? kind : "nothing");
    else if (options && before && strcmp(options, before) != 0)
        code = explain_options(path, before, options, err);
    char *end = NULL;
    long long done = step ? strtoll(step, &end, 10) : -1;
    if (code == ME_OK && (done < 0 || *end))
        code = me_fail(err, ME_EFORMAT, "%s: its step is no number: %.40s", path,
                       step ? step : "missing");
    block blocks[4];
    int n = blocks_of(blocks, p);
    float *host = code == ME_OK ? malloc((size_t)p->size * sizeof *host) : NULL;
    if (code == ME_OK && !host) code = me_fail_mem(err, "a checkpoint");
    for (int i = 0; i < n && code == ME_OK; i++)
        if (blocks[i].device) code = read_block(path, doc.root, p, &blocks[i], host, err);
    if (code == ME_OK) {
        p->step = done;
        if (p->shadow) code = nn_params_shadow(p, err);
    }
    if (code == ME_OK) code = p->be->status(p->be, err);
    free(host);
    me_doc_close(&doc);
    return code;
}

/* ---- weights alone ------------------------------------------------------------------------------
 */

/* To the nearest float16, ties to even; NaN and what is too large become inf. */
static uint16_t half_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and above */
    if (magnitude < 0x38800000) { /* below 2^-14: in units of 2^-24 */
        float units = fabsf(x) * 0x1p24F;
        return (uint16_t)(sign | (uint32_t)lrintf(units));
    }
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

static me_value *as_half(me_arena *arena, const me_array *a, const char *path, const char *name,
                         me_err *err)
{
    int64_t n = me_array_count(a);
    float *wide = ME_NEW_ARRAY(arena, n, float);
    uint16_t *narrow = ME_NEW_ARRAY(arena, n, uint16_t);
    me_value *v = narrow ? me_value_array(arena, ME_F16, a->ndim, a->shape, narrow) : NULL;
    if (!wide || !v) {
        me_fail_mem(err, path);
        return NULL;
    }
    if (me_array_read_f32(a, wide, err) != ME_OK) return NULL;
    for (int64_t i = 0; i < n; i++) {
        narrow[i] = half_of(wide[i]);
        if ((narrow[i] & 0x7fff) == 0x7c00) {
            me_fail(err, ME_EDATA, "%s: %s holds %g, which is no float16: leave --half out", path,
                    name, (double)wide[i]);
            return NULL;
        }
    }
    return v;
}

/* The parameters' names are those that have moments beside them. */
static bool is_parameter(const me_value *root, const char *name)
{
    char moment[256];
    snprintf(moment, sizeof moment, "adamw.m/%s", name);
    return me_dict_get(root, moment) != NULL;
}

const me_value *model_checkpoint_entry(const me_value *tensors, size_t i)
{
    static const char *const left_out[] = {"adamw.m/", "adamw.v/", "ema/"};
    const char *name = tensors->as.dict.keys[i]->as.string.data;
    char average[256];
    for (size_t k = 0; k < sizeof left_out / sizeof *left_out; k++)
        if (!strncmp(name, left_out[k], strlen(left_out[k]))) return NULL;
    snprintf(average, sizeof average, "ema/%s", name);
    const me_value *v = me_dict_get(tensors, average);
    if (!v) v = tensors->as.dict.values[i];
    return v->kind == ME_ARRAY ? v : NULL;
}

static me_code slim(me_arena *arena, me_value *out, const me_value *root, const char *path,
                    bool half, me_err *err)
{
    me_code code = ME_OK;
    for (size_t i = 0; i < root->as.dict.length && code == ME_OK; i++) {
        const char *name = root->as.dict.keys[i]->as.string.data;
        me_value *v = (me_value *)model_checkpoint_entry(root, i);
        if (!v) continue;
        if (half && is_parameter(root, name) &&
            !(v = as_half(arena, &v->as.array, path, name, err)))
            return err ? err->code : ME_EDATA;
        code = me_dict_put(arena, out, name, v, err);
    }
    return code;
}

me_code model_checkpoint_slim(const char *to, const char *from, bool half, me_err *err)
{
    me_doc doc;
    me_arena arena = {0};
    me_code code = me_doc_open(&doc, from, err);
    if (code != ME_OK) return code;
    const char *schema = stored(&doc, "schema");
    me_value *tensors = me_value_new(&arena, ME_DICT), *strings = me_value_new(&arena, ME_DICT);
    if (!tensors || !strings)
        code = me_fail_mem(err, from);
    else if (!schema || strcmp(schema, MODEL_CHECKPOINT_SCHEMA) != 0)
        code = me_fail(err, ME_EFORMAT, "%s: expected a checkpoint (%s), found %s", from,
                       MODEL_CHECKPOINT_SCHEMA, schema ? schema : doc.format);
    if (code == ME_OK) code = put_string(&arena, strings, "schema", MODEL_WEIGHTS_SCHEMA, err);
    for (size_t i = 0; code == ME_OK && i < doc.metadata->as.dict.length; i++) {
        const char *key = doc.metadata->as.dict.keys[i]->as.string.data;
        if (strcmp(key, "schema") != 0)
            code = me_dict_put(&arena, strings, key, doc.metadata->as.dict.values[i], err);
    }
    if (code == ME_OK) code = slim(&arena, tensors, doc.root, from, half, err);
    if (code == ME_OK) code = me_safetensors_write(to, tensors, strings, err);
    me_doc_close(&doc);
    me_arena_release(&arena);
    return code;
}
