/* models/omnime_reference.c: our checkpoints as the files that the reference's code loads: a
 * Lightning-like `state_dict` with the names behind "denoiser.", and the .npy of statistics (spec
 * omnime 1.5 and 4.5). The way back is in omnime_file.c. */
#include <string.h>

#include "core/doc.h"
#include "core/npy.h"
#include "core/torch.h"
#include "models/checkpoint.h"
#include "models/omnime_file.h"

static const char own_arrays[] = "editor.";

/* Parameters under the reference's names; averaged ones where there are any. */
static me_code put_state(me_arena *arena, me_value *state, const me_value *root, me_err *err)
{
    me_code code = ME_OK;
    for (size_t i = 0; i < root->as.dict.length && code == ME_OK; i++) {
        const char *name = root->as.dict.keys[i]->as.string.data;
        const me_value *from = model_checkpoint_entry(root, i);
        if (!from || !strncmp(name, own_arrays, strlen(own_arrays))) continue;
        const me_array *a = &from->as.array;
        float *wide = ME_NEW_ARRAY(arena, me_array_count(a), float);
        if (!wide) return me_fail_mem(err, name);
        code = me_array_read_f32(a, wide, err);
        if (code == ME_OK)
            code = me_dict_put(arena, state, me_arena_printf(arena, "denoiser.%s", name),
                               me_value_array(arena, ME_F32, a->ndim, a->shape, wide), err);
    }
    return code;
}

static me_code write_state(const char *path, me_arena *arena, const me_doc *doc, me_err *err)
{
    me_value *root = me_value_new(arena, ME_DICT), *state = me_value_new(arena, ME_DICT);
    if (!root || !state) return me_fail_mem(err, path);
    me_code code = put_state(arena, state, doc->root, err);
    if (code == ME_OK) code = me_dict_put(arena, root, "state_dict", state, err);
    return code == ME_OK ? me_torch_write(path, root, err) : code;
}

static me_code read_own(float *out, int64_t n, const me_doc *doc, const char *name,
                        const char *path, me_err *err)
{
    const me_value *v = me_dict_get(doc->root, name);
    if (!v || v->kind != ME_ARRAY || me_array_count(&v->as.array) != n)
        return me_fail(err, ME_EFORMAT,
                       "%s: expected %lld numbers '%s'; is it a checkpoint of an "
                       "editor?",
                       path, (long long)n, name);
    return me_array_read_f32(&v->as.array, out, err);
}

static me_code put_feature(me_arena *arena, me_value *root, const char *name, const float *mean,
                           const float *std, int64_t width, me_err *err)
{
    me_value *feature = me_value_new(arena, ME_DICT);
    if (!feature) return me_fail_mem(err, name);
    me_code code =
        me_dict_put(arena, feature, "mean", me_value_array(arena, ME_F32, 1, &width, mean), err);
    if (code == ME_OK && std)
        code =
            me_dict_put(arena, feature, "std", me_value_array(arena, ME_F32, 1, &width, std), err);
    return code == ME_OK ? me_dict_put(arena, root, name, feature, err) : code;
}

static me_code write_stats(const char *path, me_arena *arena, const me_doc *doc, const char *from,
                           me_err *err)
{
    float mean[MOTION_EDITOR], std[MOTION_EDITOR], translation[3];
    me_value *root = me_value_new(arena, ME_DICT);
    me_code code = root ? ME_OK : me_fail_mem(err, path);
    if (code == ME_OK) code = read_own(mean, MOTION_EDITOR, doc, "editor.mean", from, err);
    if (code == ME_OK) code = read_own(std, MOTION_EDITOR, doc, "editor.std", from, err);
    if (code == ME_OK) code = read_own(translation, 3, doc, "editor.translation_mean", from, err);
    for (int g = 0; g < MOTION_EDITOR_GROUPS && code == ME_OK; g++) {
        const motion_editor_group *group = &motion_editor_groups[g];
        code = put_feature(arena, root, model_omnime_feature_names[g], mean + group->offset,
                           std + group->offset, group->width, err);
    }
    if (code == ME_OK) code = put_feature(arena, root, "body_transl", translation, NULL, 3, err);
    return code == ME_OK ? me_npy_write_object(path, root, err) : code;
}

me_code model_omnime_to_reference(const char *weights, const char *stats, const char *from,
                                  me_err *err)
{
    me_doc doc;
    me_arena arena = {0};
    me_code code = me_doc_open(&doc, from, err);
    if (code != ME_OK) return code;
    code = write_stats(stats, &arena, &doc, from, err);
    if (code == ME_OK) code = write_state(weights, &arena, &doc, err);
    me_doc_close(&doc);
    me_arena_release(&arena);
    return code;
}
