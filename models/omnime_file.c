/* models/omnime_file.c: see omnime_file.h. */
#include "models/omnime_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/json.h"

static const char *const dit_texts[] = {"none", "fused", "raw"};

model_dit_text model_dit_text_of(const char *name)
{
    for (int i = 0; i < 3; i++)
        if (name && !strcmp(name, dit_texts[i])) return (model_dit_text)i;
    return MODEL_DIT_TEXT_NONE;
}

me_code model_omnime_s_max(int64_t *out, const char *text, me_err *err)
{
    char *end = NULL;
    *out = 0;
    if (!strcmp(text, "batch")) return ME_OK;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || n < 1 || n >= MODEL_OMNIME_POSITIONS)
        return me_fail(err, ME_EUSAGE, "s-max: expected \"batch\" or 1 to %d, found '%.40s'",
                       MODEL_OMNIME_POSITIONS - 1, text);
    *out = n;
    return ME_OK;
}

/* ---- writing
 * ------------------------------------------------------------------------------------------ */

static me_code put_floats(me_arena *arena, me_value *tensors, const char *name, int ndim,
                          const int64_t *shape, const float *data, me_err *err)
{
    me_value *v = me_value_array(arena, ME_F32, ndim, shape, data);
    return v ? me_dict_put(arena, tensors, name, v, err) : me_fail_mem(err, name);
}

static me_code put_frozen(nn_params *frozen, me_arena *arena, me_value *tensors, me_err *err)
{
    me_code code = ME_OK;
    for (int64_t i = 0; i < frozen->n && code == ME_OK; i++) {
        const nn_param *q = &frozen->items[i];
        float *host = ME_NEW_ARRAY(arena, nn_count(&q->tensor), float);
        code = host ? nn_params_read(frozen, q->name, host, err) : me_fail_mem(err, q->name);
        if (code == ME_OK) code = put_floats(arena, tensors, q->name, q->ndim, q->shape, host, err);
    }
    return code;
}

me_code model_omnime_describe(const model_omnime_about *about, nn_params *frozen, me_arena *arena,
                              me_value *tensors, me_value *metadata, me_err *err)
{
    const int64_t columns = MOTION_EDITOR, three = 3;
    me_code code = put_frozen(frozen, arena, tensors, err);
    if (code == ME_OK)
        code = put_floats(arena, tensors, "editor.mean", 1, &columns, about->stats->mean, err);
    if (code == ME_OK)
        code = put_floats(arena, tensors, "editor.std", 1, &columns, about->stats->std, err);
    if (code == ME_OK)
        code = put_floats(arena, tensors, "editor.translation_mean", 1, &three,
                          about->stats->translation_mean, err);
    me_value *network = me_value_new(arena, ME_DICT);
    if (code == ME_OK && !network) code = me_fail_mem(err, "a configuration");
    const struct {
        const char *key;
        me_value *value;
    } entries[] = {
        {"heads", me_value_int(arena, about->config.heads)},
        {"steps", me_value_int(arena, about->config.steps)},
        {"s_max", me_value_int(arena, about->s_max)},
        {"dit_text", me_value_string(arena, dit_texts[about->config.dit_text])},
        {"dit_source", me_value_string(arena, about->config.raw_source ? "raw" : "fused")},
    };
    for (size_t i = 0; i < sizeof entries / sizeof *entries && code == ME_OK; i++)
        code = entries[i].value ? me_dict_put(arena, network, entries[i].key, entries[i].value, err)
                                : me_fail_mem(err, "a configuration");
    char *json = NULL;
    if (code == ME_OK) code = me_json_text(&json, arena, network, err);
    me_value *text = code == ME_OK ? me_value_string(arena, json) : NULL;
    if (code == ME_OK)
        code = text ? me_dict_put(arena, metadata, "network", text, err)
                    : me_fail_mem(err, "a configuration");
    text = code == ME_OK ? me_value_string(arena, about->text_identity) : NULL;
    if (code == ME_OK)
        code = text ? me_dict_put(arena, metadata, "text", text, err)
                    : me_fail_mem(err, "a configuration");
    return code;
}

/* ---- what the weights say of themselves
 * ------------------------------------------------------------------ */

typedef struct state {
    const char *path;
    const me_value *tensors;
    const char *prefix; /* of the reference's names */
} state;

static const me_array *find(const state *s, const char *name)
{
    char full[192];
    snprintf(full, sizeof full, "%s%s", s->prefix, name);
    const me_value *v = me_dict_get(s->tensors, full);
    return v && v->kind == ME_ARRAY && v->as.array.ndim <= NN_MAX_DIMS ? &v->as.array : NULL;
}

/* Dimension `axis` of a matrix; 0 where there is none. */
static int64_t size_of(const state *s, const char *name, int axis)
{
    const me_array *a = find(s, name);
    return a && a->ndim == 2 ? a->shape[axis] : 0;
}

static int64_t count_layers(const state *s, const char *pattern)
{
    for (int64_t n = 0; n < MODEL_MOST_LAYERS; n++) {
        char name[128];
        snprintf(name, sizeof name, pattern, (long long)n);
        if (!find(s, name)) return n;
    }
    return MODEL_MOST_LAYERS;
}

static me_code infer(model_omnime_config *c, const state *s, me_err *err)
{
    *c = (model_omnime_config){
        .features = size_of(s, "pose_proj_out.weight", 0),
        .text_width = size_of(s, "emb_proj.weight", 1),
        .width = size_of(s, "sep_token", 1),
        .ff = size_of(s, "dit_encoder.blocks.0.mlp.fc1.weight", 0),
        .layers = count_layers(s, "dit_encoder.blocks.%lld.attn.qkv.weight"),
        .fusion_layers = count_layers(s, "cond_encoder.layers.%lld.linear1.weight"),
        .head_width = size_of(s, "source_head.0.weight", 0),
        .classes = size_of(s, "source_head.4.weight", 0),
        .embedding = size_of(s, "target_head.4.weight", 0),
        .steps = 300,
        .inter = find(s, "inter_proj_1.weight") != NULL,
    };
    if (!c->embedding) c->embedding = 256;
    if (!c->features || !c->text_width || !c->width || !c->ff || !c->layers || !c->fusion_layers ||
        !c->head_width || !c->classes)
        return me_fail(err, ME_EFORMAT,
                       "%s: no weights of OmniME or SimMotionEdit (sep_token, emb_proj, "
                       "dit_encoder.blocks.0 …), nor behind \"denoiser.\"",
                       s->path);
    if (c->features != MOTION_EDITOR)
        return me_fail(err, ME_EDATA, "%s: expected a model of %d features, found one of %lld",
                       s->path, MOTION_EDITOR, (long long)c->features);
    return ME_OK;
}

/* ---- where the weights are
 * ----------------------------------------------------------------------------- */

static const char *string_at(const me_value *dict, const char *key)
{
    const me_value *v = dict ? me_dict_get(dict, key) : NULL;
    return v && v->kind == ME_STRING ? v->as.string.data : NULL;
}

/* Averaged weights where there are any; the reference's behind "denoiser." or without. */
static state locate(const me_doc *doc, const char *path)
{
    static const char *const prefixes[] = {"ema/", "", "denoiser.", "model.denoiser."};
    state s = {path, doc->root, ""};
    const me_value *inner = me_dict_get(doc->root, "state_dict");
    if (inner && inner->kind == ME_DICT) s.tensors = inner;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        s.prefix = prefixes[i];
        if (find(&s, "sep_token")) return s;
    }
    s.prefix = "";
    return s;
}

/* What our own checkpoints add; false where the file is none. */
static me_code read_network(model_omnime_file *f, model_omnime_config *c, const me_doc *doc,
                            const char *path, bool *own, me_err *err)
{
    const char *text = string_at(doc->metadata, "network");
    *own = text != NULL;
    if (!text) return ME_OK;
    me_value *v = NULL;
    me_code code = me_json_parse(&v, &f->arena, text, strlen(text), path, err);
    if (code != ME_OK) return code;
    const struct {
        const char *key;
        int64_t lo, hi, *to;
    } numbers[] = {{"heads", 1, 1024, &c->heads},
                   {"steps", 1, 100000, &c->steps},
                   {"s_max", 0, MODEL_OMNIME_POSITIONS - 1, &f->s_max}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const me_value *n = me_dict_get(v, numbers[i].key);
        if (!n || n->kind != ME_INT || n->as.integer < numbers[i].lo ||
            n->as.integer > numbers[i].hi)
            return me_fail(err, ME_EFORMAT, "%s: its network's '%s' is missing or out of range",
                           path, numbers[i].key);
        *numbers[i].to = n->as.integer;
    }
    const char *source = string_at(v, "dit_source"), *step = string_at(doc->metadata, "step");
    c->dit_text = model_dit_text_of(string_at(v, "dit_text"));
    c->raw_source = source && !strcmp(source, "raw");
    if (step) f->step = strtoll(step, NULL, 10);
    const char *kind = string_at(doc->metadata, "model"),
               *identity = string_at(doc->metadata, "text");
    f->kind = kind ? me_arena_strdup(&f->arena, kind) : "omnime";
    f->text_identity = identity ? me_arena_strdup(&f->arena, identity) : NULL;
    return ME_OK;
}

/* ---- statistics
 * ---------------------------------------------------------------------------------------- */

static me_code read_vector(float *out, int64_t n, const me_value *dict, const char *name,
                           const char *path, me_err *err)
{
    const me_value *v = me_dict_get(dict, name);
    if (!v || v->kind != ME_ARRAY || me_array_count(&v->as.array) != n)
        return me_fail(err, ME_EFORMAT, "%s: expected %lld numbers '%s'", path, (long long)n, name);
    me_code code = me_array_read_f32(&v->as.array, out, err);
    for (int64_t i = 0; i < n && code == ME_OK; i++)
        if (!isfinite(out[i]))
            code = me_fail(err, ME_EDATA, "%s: '%s' holds a number that is not finite", path, name);
    return code;
}

static me_code own_stats(motion_editor_stats *s, const me_doc *doc, const char *path, me_err *err)
{
    me_code code = read_vector(s->mean, MOTION_EDITOR, doc->root, "editor.mean", path, err);
    if (code == ME_OK)
        code = read_vector(s->std, MOTION_EDITOR, doc->root, "editor.std", path, err);
    if (code == ME_OK)
        code = read_vector(s->translation_mean, 3, doc->root, "editor.translation_mean", path, err);
    return code;
}

const char *const model_omnime_feature_names[MOTION_EDITOR_GROUPS] = {
    "body_transl_delta_pelv", "body_orient_xy", "z_orient_delta", "body_pose",
    "body_joints_local_wo_z_rot"};

/* The reference's file: a dictionary of features, each with mean and std. */
static me_code reference_stats(motion_editor_stats *s, const char *path, me_err *err)
{
    me_doc doc;
    me_code code = me_doc_open(&doc, path, err);
    if (code != ME_OK) return code;
    for (int g = 0; g < MOTION_EDITOR_GROUPS && code == ME_OK; g++) {
        const motion_editor_group *group = &motion_editor_groups[g];
        const char *name = model_omnime_feature_names[g];
        const me_value *feature = me_dict_get(doc.root, name);
        if (!feature)
            code = me_fail(err, ME_EFORMAT, "%s: expected statistics by feature; '%s' is missing",
                           path, name);
        if (code == ME_OK)
            code = read_vector(s->mean + group->offset, group->width, feature, "mean", path, err);
        if (code == ME_OK)
            code = read_vector(s->std + group->offset, group->width, feature, "std", path, err);
    }
    const me_value *translation = me_dict_get(doc.root, "body_transl");
    if (code == ME_OK) code = read_vector(s->translation_mean, 3, translation, "mean", path, err);
    me_doc_close(&doc);
    return code;
}

/* ---- opening
 * ------------------------------------------------------------------------------------------ */

static me_code fill(model_omnime_file *f, const state *s, nn_backend *be, me_err *err)
{
    me_code code = nn_params_alloc(&f->params, be, err);
    if (code == ME_OK) code = nn_params_alloc(&f->frozen, be, err);
    /* What a file may lack keeps its initial value. */
    if (code == ME_OK) code = model_omnime_net_initialize_frozen(&f->net, 0, err);
    if (code == ME_OK) code = model_omnime_net_load(&f->net, s->tensors, s->prefix, err);
    return code == ME_OK ? model_omnime_net_tables(&f->net, err) : code;
}

static me_code open_doc(model_omnime_file *f, const me_doc *doc, const char *path,
                        const model_omnime_hints *hints, nn_backend *be, me_err *err)
{
    const state s = locate(doc, path);
    model_omnime_config c;
    bool own = false;
    me_code code = infer(&c, &s, err);
    if (code == ME_OK) code = read_network(f, &c, doc, path, &own, err);
    if (code != ME_OK) return code;
    if (!own) {
        f->kind = "reference";
        c.heads = hints->heads ? hints->heads : c.width / 64;
        c.dit_text = model_dit_text_of(hints->dit_text);
        c.raw_source = hints->dit_source && !strcmp(hints->dit_source, "raw");
    }
    if (own && hints->stats)
        return me_fail(err, ME_EUSAGE,
                       "%s brings the statistics that it was trained with: leave --stats out",
                       path);
    if (!own && !hints->stats)
        return me_fail(err, ME_EUSAGE,
                       "%s holds weights alone: give the statistics of its features with --stats",
                       path);
    code =
        own ? own_stats(&f->stats, doc, path, err) : reference_stats(&f->stats, hints->stats, err);
    if (code == ME_OK) code = model_omnime_net_declare(&f->net, &f->params, &f->frozen, &c, err);
    return code == ME_OK ? fill(f, &s, be, err) : code;
}

me_code model_omnime_open(model_omnime_file *f, const char *path, const model_omnime_hints *hints,
                          nn_backend *be, me_err *err)
{
    me_doc doc;
    *f = (model_omnime_file){.step = -1};
    nn_params_init(&f->params);
    nn_params_init(&f->frozen);
    me_code code = me_doc_open(&doc, path, err);
    if (code != ME_OK) return code;
    memcpy(f->sha256, me_doc_hash(&doc), sizeof f->sha256);
    code = open_doc(f, &doc, path, hints, be, err);
    me_doc_close(&doc);
    if (code != ME_OK) model_omnime_close(f);
    return code;
}

void model_omnime_close(model_omnime_file *f)
{
    if (f->params.be) model_omnime_net_close(&f->net);
    nn_params_close(&f->params);
    nn_params_close(&f->frozen);
    me_arena_release(&f->arena);
}
