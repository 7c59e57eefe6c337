/* motion/dataset_write.c: a dataset as MotionFix's joblib file or as our safetensors form, and its
 * splits.json (spec evaluation 2.1, 2.3; motion.h). */
#include "motion/motion.h"

#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/pickle.h"
#include "core/safetensors.h"
#include "motion/dataset_priv.h"
#include "motion/fields_priv.h"

static me_code clip_value(me_value **out, me_arena *arena, const motion_clip *clip,
                          const char *caption, me_err *err)
{
    int64_t n = clip->frames;
    float *rots = ME_NEW_ARRAY(arena, n * 3 * MOTION_JOINTS, float);
    float *trans = ME_NEW_ARRAY(arena, n * 3, float);
    float *joints = clip->joints ? clip->joints : ME_NEW_ARRAY(arena, n * MOTION_JOINTS * 3, float);
    me_value *dict = me_value_new(arena, ME_DICT);
    if (!rots || !trans || !joints || !dict) return me_fail_mem(err, "a clip");
    for (int64_t t = 0; t < n; t++) {
        const float *row = clip->pose + t * MOTION_POSE;
        memcpy(trans + 3 * t, row, 3 * sizeof *trans);
        for (int j = 0; j < MOTION_JOINTS; j++) {
            float r[9];
            motion_6d_to_matrix(row + 3 + 6 * j, r);
            motion_matrix_to_aa(r, rots + (t * MOTION_JOINTS + j) * 3);
        }
    }
    if (!clip->joints) motion_forward_kinematics(&motion_mean_body, clip->pose, n, joints);
    const int64_t shapes[3][3] = {{n, 3 * MOTION_JOINTS}, {n, 3}, {n, MOTION_JOINTS, 3}};
    me_code code =
        me_dict_put(arena, dict, "rots", me_value_array(arena, ME_F32, 2, shapes[0], rots), err);
    if (!code)
        code = me_dict_put(arena, dict, "trans", me_value_array(arena, ME_F32, 2, shapes[1], trans),
                           err);
    if (!code)
        code = me_dict_put(arena, dict, "joint_positions",
                           me_value_array(arena, ME_F32, 3, shapes[2], joints), err);
    if (!code && caption)
        code = me_dict_put(arena, dict, "caption", me_value_string(arena, caption), err);
    *out = dict;
    return code;
}

static me_code write_joblib(const motion_dataset *d, const char *path, me_arena *arena, me_err *err)
{
    me_value *root = me_value_new(arena, ME_DICT);
    me_code code = root ? ME_OK : me_fail_mem(err, "the dataset");
    for (int64_t i = 0; !code && i < d->n; i++) {
        const motion_pair *pair = &d->pairs[i];
        me_value *source, *target, *entry = me_value_new(arena, ME_DICT);
        if (!entry) return me_fail_mem(err, "the dataset");
        code = clip_value(&source, arena, &pair->source, pair->source_caption, err);
        if (!code) code = clip_value(&target, arena, &pair->target, pair->target_caption, err);
        if (!code) code = me_dict_put(arena, entry, "motion_source", source, err);
        if (!code) code = me_dict_put(arena, entry, "motion_target", target, err);
        if (!code)
            code = me_dict_put(arena, entry, "text", me_value_string(arena, pair->text), err);
        if (!code) code = me_dict_put(arena, root, pair->key, entry, err);
    }
    return code ? code : me_joblib_write(path, root, err);
}

/* The strings of every pair that our form keeps in its metadata. */
typedef enum { KEYS, TEXTS, SOURCE_CAPTIONS, TARGET_CAPTIONS, STRING_KINDS } string_kind;

static const char *string_of(const motion_pair *p, string_kind kind)
{
    return kind == KEYS              ? p->key
           : kind == TEXTS           ? p->text
           : kind == SOURCE_CAPTIONS ? p->source_caption
                                     : p->target_caption;
}

/* Puts a list of strings as JSON text into the metadata; captions only where there are any, one
 * that a pair lacks being empty. */
static me_code put_strings(me_value *metadata, me_arena *arena, const motion_dataset *d,
                           string_kind kind, me_err *err)
{
    static const char *const fields[STRING_KINDS] = {"keys", "texts", "source_captions",
                                                     "target_captions"};
    me_value *list = me_value_new(arena, ME_LIST);
    char *text;
    bool any = kind == KEYS || kind == TEXTS;
    me_code code = list ? ME_OK : me_fail_mem(err, fields[kind]);
    for (int64_t i = 0; !code && i < d->n; i++) {
        const char *s = string_of(&d->pairs[i], kind);
        any = any || s;
        code = me_list_append(arena, list, me_value_string(arena, s ? s : ""), err);
    }
    if (code || !any) return code;
    code = me_json_text(&text, arena, list, err);
    return code ? code
                : me_dict_put(arena, metadata, fields[kind], me_value_string(arena, text), err);
}

static me_code pack(me_value *tensors, const motion_dataset *d, me_arena *arena, me_err *err)
{
    int64_t rows = 0;
    bool joints = true;
    for (int64_t i = 0; i < d->n; i++) {
        rows += d->pairs[i].source.frames + d->pairs[i].target.frames;
        joints = joints && d->pairs[i].source.joints && d->pairs[i].target.joints;
    }
    float *pose = ME_NEW_ARRAY(arena, rows * MOTION_POSE, float);
    float *positions = joints ? ME_NEW_ARRAY(arena, rows * MOTION_JOINTS * 3, float) : NULL;
    int64_t *lengths = ME_NEW_ARRAY(arena, 2 * d->n, int64_t);
    if (!pose || (joints && !positions) || !lengths) return me_fail_mem(err, "the dataset");
    for (int64_t i = 0, at = 0; i < 2 * d->n; i++) {
        const motion_clip *clip = i % 2 ? &d->pairs[i / 2].target : &d->pairs[i / 2].source;
        size_t n = (size_t)clip->frames;
        lengths[i] = clip->frames;
        if (n) memcpy(pose + at * MOTION_POSE, clip->pose, n * MOTION_POSE * sizeof *pose);
        if (n && joints)
            memcpy(positions + at * MOTION_JOINTS * 3, clip->joints,
                   n * MOTION_JOINTS * 3 * sizeof *positions);
        at += clip->frames;
    }
    const int64_t shapes[3][3] = {{d->n, 2}, {rows, MOTION_POSE}, {rows, MOTION_JOINTS, 3}};
    me_code code = me_dict_put(arena, tensors, "lengths",
                               me_value_array(arena, ME_I64, 2, shapes[0], lengths), err);
    if (!code)
        code = me_dict_put(arena, tensors, "pose",
                           me_value_array(arena, ME_F32, 2, shapes[1], pose), err);
    if (!code && joints)
        code = me_dict_put(arena, tensors, "joints",
                           me_value_array(arena, ME_F32, 3, shapes[2], positions), err);
    return code;
}

static me_code write_packed(const motion_dataset *d, const char *path, me_arena *arena, me_err *err)
{
    me_value *tensors = me_value_new(arena, ME_DICT), *metadata = me_value_new(arena, ME_DICT);
    if (!tensors || !metadata) return me_fail_mem(err, "the dataset");
    me_code code =
        me_dict_put(arena, metadata, "schema", me_value_string(arena, MOTION_SCHEMA), err);
    if (!code) code = me_dict_put(arena, metadata, "fps", me_value_string(arena, "30"), err);
    for (int kind = 0; kind < STRING_KINDS && !code; kind++)
        code = put_strings(metadata, arena, d, (string_kind)kind, err);
    if (!code) code = pack(tensors, d, arena, err);
    return code ? code : me_safetensors_write(path, tensors, metadata, err);
}

/* ---- splits.json -------------------------------------------------------------------------------
 */

static me_code splits_value(me_value **out, me_arena *arena, const motion_dataset *d, me_err *err)
{
    static const char *const names[3] = {"train", "val", "test"};
    me_value *root = me_value_new(arena, ME_DICT), *lists[3];
    me_code code = root ? ME_OK : me_fail_mem(err, "the split");
    for (int s = 0; s < 3 && !code; s++) {
        lists[s] = me_value_new(arena, ME_LIST);
        code = me_dict_put(arena, root, names[s], lists[s], err);
    }
    for (int64_t i = 0; i < d->n && !code; i++)
        if (d->pairs[i].split != MOTION_UNSPLIT)
            code = me_list_append(arena, lists[d->pairs[i].split],
                                  me_value_string(arena, d->pairs[i].key), err);
    *out = root;
    return code;
}

/* Whether the splits file that is there already says the same of every pair of ours. */
static bool splits_agree(const motion_dataset *d, me_arena *arena, const char *path)
{
    me_value *there;
    motion_dataset probe = {.n = d->n, .pairs = ME_NEW_ARRAY(arena, d->n, motion_pair)};
    bool same = probe.pairs && !me_json_read(&there, arena, path, NULL);
    for (int64_t i = 0; same && i < d->n; i++) probe.pairs[i].key = d->pairs[i].key;
    same = same && !motion_dataset_split(&probe, there, NULL);
    for (int64_t i = 0; same && i < d->n; i++) same = probe.pairs[i].split == d->pairs[i].split;
    me_arena_release(&probe.arena);
    return same;
}

me_code motion_dataset_write(const motion_dataset *d, const char *path, me_err *err)
{
    bool packed = me_has_suffix(path, ".safetensors");
    if (!packed && !me_has_suffix(path, ".pth.tar"))
        return me_fail(err, ME_EUSAGE,
                       "%s: a dataset's name ends in .pth.tar (joblib) or .safetensors", path);
    me_arena arena;
    me_arena_init(&arena);
    const char *splits = motion_splits_path(&arena, path);
    me_value *lists = NULL;
    me_code code = splits ? ME_OK : me_fail_mem(err, "a path");
    bool keep = !d->has_split;
    if (!code && d->has_split && me_file_exists(splits)) {
        keep = splits_agree(d, &arena, splits);
        if (!keep && !me_file_exists(path))
            code = me_fail(
                err, ME_EUSAGE,
                "%s belongs to another dataset and says otherwise: write %s into another folder",
                splits, me_path_base(path));
    }
    if (!code)
        code = packed ? write_packed(d, path, &arena, err) : write_joblib(d, path, &arena, err);
    if (!code && !keep) code = splits_value(&lists, &arena, d, err);
    if (!code && !keep) code = me_json_write(splits, lists, err);
    me_arena_release(&arena);
    return code;
}
