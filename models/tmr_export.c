/* models/tmr_export.c: what a checkpoint of TMR holds beside weights, and the files that the
 * evaluator loads: the reference's folder, and the motion encoder in one file of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/torch.h"
#include "models/tmr_train_priv.h"
#include "nn/backend.h"
#include "tmr/weights.h"

static me_code config_text(const model_tmr_train *t, bool text, char **out, me_arena *arena,
                           me_err *err)
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

me_code model_tmr_describe(model *m, me_arena *arena, me_value *tensors, me_value *metadata,
                           me_err *err)
{
    model_tmr_train *t = (model_tmr_train *)m;
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

static me_code export_config(const model_tmr_train *t, me_arena *arena, const char *path,
                             me_err *err)
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
me_code model_tmr_export(model *m, const char *folder, me_err *err)
{
    model_tmr_train *t = (model_tmr_train *)m;
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
