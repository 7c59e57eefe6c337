/* motion/dataset_read.c: pairs from a document: MotionFix's (and STANCE's) pickled dictionary of
 * dictionaries, or our packed safetensors form (spec evaluation 2.1; motion.h).
 *
 * Two passes: the first checks every shape, in the file's order; the second allocates and converts
 * pairs, in parallel, and writes them where bytes of the file that are done with were. When some
 * pair fails there, the first one in the file's order is converted again alone to say why, so that
 * the message does not depend on threads. */
#include "motion/motion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "motion/dataset_priv.h"
#include "motion/fields_priv.h"

#define AA_COLUMNS 66 /* axis-angle of 22 joints */

/* The arrays of one clip, as views into the document. */
typedef struct clip_fields {
    me_array rots, trans, joints;
    bool has_joints;
} clip_fields;

/* What deserves a note, counted over all clips. */
typedef struct oddities {
    int64_t dtype, wide, single, no_joints, no_text, integer_keys;
    const char *dtype_first, *single_first, *dtype_name;
    int64_t wide_columns;
} oddities;

static void count_first(int64_t *count, const char **first, const char *key)
{
    if (!(*count)++) *first = key;
}

static me_code get_array(const me_array **out, const me_value *clip, const char *name, me_err *err)
{
    const me_value *v = me_dict_get(clip, name);
    if (!v) {
        char found[128] = "";
        size_t used = 0;
        for (size_t i = 0; i < clip->as.dict.length && used < sizeof found - 1; i++) {
            const me_value *key = clip->as.dict.keys[i];
            if (key->kind != ME_STRING) continue;
            int n = snprintf(found + used, sizeof found - used, "%s%s", used ? ", " : "",
                             key->as.string.data);
            used += n > 0 ? (size_t)n : 0;
        }
        return me_fail(err, ME_EDATA, "no '%s' (found: %s)", name, found[0] ? found : "nothing");
    }
    if (v->kind != ME_ARRAY)
        return me_fail(err, ME_EDATA, "'%s': expected an array, found %s", name,
                       me_kind_name(v->kind));
    *out = &v->as.array;
    return ME_OK;
}

static me_code check_rots(clip_fields *f, const me_array *rots, oddities *odd, me_err *err)
{
    /* Wider is legal (hands: SMPL-H has 156 columns), but some widths are known to be something
     * else. */
    int64_t width = rots->ndim == 2 ? rots->shape[1] : 0;
    if (width == 135 || width == 207 || width == 251 || width == 263)
        return me_fail(err, ME_EDATA,
                       "'rots': expected axis-angle of 66 columns or SMPL-H's 156, found %lld%s",
                       (long long)width, motion_width_hint(width));
    me_code code = motion_columns_view(&f->rots, rots, AA_COLUMNS, false, "'rots'", err);
    if (code) return code;
    int64_t columns = rots->ndim == 2 ? width : 3 * rots->shape[1];
    if (columns > AA_COLUMNS && !odd->wide++) odd->wide_columns = columns;
    return ME_OK;
}

/* Checks the fields of one clip; `key` and `which` serve the notes. */
static me_code check_clip(clip_fields *f, const me_value *clip, bool joints, const char *key,
                          oddities *odd, me_err *err)
{
    const me_array *rots, *trans;
    me_code code;
    if (clip->kind != ME_DICT)
        return me_fail(err, ME_EDATA, "expected a dictionary with rots and trans, found %s",
                       me_kind_name(clip->kind));
    if ((code = get_array(&rots, clip, "rots", err))) return code;
    if ((code = get_array(&trans, clip, "trans", err))) return code;
    if ((code = check_rots(f, rots, odd, err))) return code;
    if ((code = motion_columns_view(&f->trans, trans, 3, true, "'trans'", err))) return code;
    int64_t frames = f->rots.shape[0];
    if (f->trans.ndim != 2 || f->trans.shape[0] != frames)
        return me_fail(err, ME_EDATA, "'rots' has %lld frames, 'trans' has %lld", (long long)frames,
                       (long long)f->trans.shape[0]);
    if (frames == 0) return me_fail(err, ME_EDATA, "a clip of zero frames");
    const me_value *positions = me_dict_get(clip, "joint_positions");
    f->has_joints = joints && positions && positions->kind == ME_ARRAY;
    if (positions && positions->kind == ME_ARRAY) {
        code = motion_columns_view(&f->joints, &positions->as.array, 3 * MOTION_JOINTS, true,
                                   "'joint_positions'", joints ? err : NULL);
        if (code && joints) return code;
        if (positions->as.array.ndim > 0 && positions->as.array.shape[0] != frames)
            return me_fail(err, ME_EDATA, "'rots' has %lld frames, 'joint_positions' has %lld",
                           (long long)frames, (long long)positions->as.array.shape[0]);
    }
    if (joints && !f->has_joints) odd->no_joints++;
    if (frames == 1) count_first(&odd->single, &odd->single_first, key);
    if (f->rots.dtype != ME_F32 || f->trans.dtype != ME_F32) {
        if (!odd->dtype)
            odd->dtype_name =
                me_dtype_name(f->rots.dtype != ME_F32 ? f->rots.dtype : f->trans.dtype);
        count_first(&odd->dtype, &odd->dtype_first, key);
    }
    return ME_OK;
}

static me_code not_finite(me_err *err, const char *what, int64_t frame)
{
    return me_fail(err, ME_EDATA, "'%s' holds NaN or infinity in frame %lld", what,
                   (long long)frame);
}

static me_code convert_clip(motion_clip *clip, const clip_fields *f, me_err *err)
{
    int64_t frames = clip->frames, bad;
    float *rots = malloc((size_t)frames * (AA_COLUMNS + 3) * sizeof *rots);
    if (!rots) return me_fail_mem(err, "a clip");
    float *trans = rots + frames * AA_COLUMNS;
    me_code code = me_array_read_f32(&f->rots, rots, err);
    if (!code) code = me_array_read_f32(&f->trans, trans, err);
    if (!code && (bad = motion_first_bad_row(rots, frames, AA_COLUMNS)) >= 0)
        code = not_finite(err, "rots", bad);
    if (!code && (bad = motion_first_bad_row(trans, frames, 3)) >= 0)
        code = not_finite(err, "trans", bad);
    for (int64_t t = 0; !code && t < frames; t++) {
        float *row = clip->pose + t * MOTION_POSE;
        memcpy(row, trans + 3 * t, 3 * sizeof *row);
        motion_aa_to_6d_rows(rots + t * AA_COLUMNS, MOTION_JOINTS, row + 3);
    }
    if (!code && f->has_joints) {
        code = me_array_read_f32(&f->joints, clip->joints, err);
        if (!code && (bad = motion_first_bad_row(clip->joints, frames, 3 * MOTION_JOINTS)) >= 0)
            code = not_finite(err, "joint_positions", bad);
    }
    free(rots);
    return code;
}

static me_code convert_pair(motion_pair *pair, const clip_fields f[2], me_err *err)
{
    me_code code = convert_clip(&pair->source, &f[0], err);
    if (code) return me_err_prefix(err, "%s: motion_source", pair->key), code;
    code = convert_clip(&pair->target, &f[1], err);
    if (code) return me_err_prefix(err, "%s: motion_target", pair->key), code;
    return ME_OK;
}

static me_code read_text(const char **out, me_arena *arena, const me_value *entry, oddities *odd,
                         me_err *err)
{
    const me_value *text = me_dict_get(entry, "text");
    if (text && text->kind == ME_LIST && text->as.list.length > 0) text = text->as.list.items[0];
    if (!text || text->kind != ME_STRING) {
        odd->no_text++;
        *out = "";
        return ME_OK;
    }
    *out = me_arena_strndup(arena, text->as.string.data, text->as.string.length);
    return *out ? ME_OK : me_fail_mem(err, "a text");
}

/* What a motion is, in words, where its dictionary says so ("caption"); else NULL. */
static me_code read_caption(const char **out, me_arena *arena, const me_value *clip, me_err *err)
{
    const me_value *text = me_dict_get(clip, "caption");
    *out = NULL;
    if (!text || text->kind != ME_STRING || !text->as.string.length) return ME_OK;
    *out = me_arena_strndup(arena, text->as.string.data, text->as.string.length);
    return *out ? ME_OK : me_fail_mem(err, "a caption");
}

/* Why the document is no dataset, in words that say what it seems to be. */
static me_code refuse_root(const me_doc *doc, me_err *err)
{
    const me_value *root = doc->root;
    const char *hint = "";
    if (root->kind == ME_ARRAY)
        hint = " (one motion? --generated takes samples)";
    else if (me_dict_get(root, "pose"))
        hint = " (a generated sample? --generated takes those)";
    else if (me_dict_get(root, "state_dict") || me_dict_get(root, "model"))
        hint = " (a checkpoint?)";
    else if (me_dict_get(root, "train") && me_dict_get(root, "test"))
        hint = " (a splits.json?)";
    else if (me_dict_get(root, "rots"))
        hint = " (one motion, not pairs?)";
    else if (root->kind == ME_DICT && root->as.dict.length > 0 &&
             root->as.dict.values[0]->kind == ME_ARRAY)
        hint = " of arrays (weights, or samples? --generated takes those)";
    return me_fail(
        err, ME_EDATA,
        "expected pairs: a dictionary of key to motion_source, motion_target and text; found a %s "
        "file holding a %s%s",
        doc->format, me_kind_name(root->kind), hint);
}

static bool is_pair(const me_value *v)
{
    return me_dict_get(v, "motion_source") || me_dict_get(v, "motion_target");
}

static me_code prepare_pair(motion_pair *pair, clip_fields f[2], me_arena *arena,
                            const me_value *entry, bool joints, oddities *odd, me_err *err)
{
    static const char *const names[2] = {"motion_source", "motion_target"};
    for (int side = 0; side < 2; side++) {
        const me_value *clip = me_dict_get(entry, names[side]);
        if (!clip) return me_fail(err, ME_EDATA, "%s: no '%s'", pair->key, names[side]);
        me_code code = check_clip(&f[side], clip, joints, pair->key, odd, err);
        (side ? &pair->target : &pair->source)->frames = f[side].rots.shape[0];
        if (!code)
            code = read_caption(side ? &pair->target_caption : &pair->source_caption, arena, clip,
                                err);
        if (code) return me_err_prefix(err, "%s: %s", pair->key, names[side]), code;
    }
    return read_text(&pair->text, arena, entry, odd, err);
}

static void write_notes(motion_dataset *d, const oddities *odd)
{
    long long clips = 2 * (long long)d->n;
    if (odd->dtype)
        motion_note(&d->notes, &d->arena,
                    "%lld of %lld clips are %s, not float32 (first: %s): converted; the reference "
                    "evaluator stops "
                    "or not by their order",
                    (long long)odd->dtype, clips, odd->dtype_name, odd->dtype_first);
    if (odd->wide)
        motion_note(&d->notes, &d->arena,
                    "'rots' of %lld of %lld clips is wider than 66 (%lld): hands are not read",
                    (long long)odd->wide, clips, (long long)odd->wide_columns);
    if (odd->single)
        motion_note(&d->notes, &d->arena, "%lld of %lld clips have one frame only (first: %s)",
                    (long long)odd->single, clips, odd->single_first);
    if (odd->no_joints)
        motion_note(&d->notes, &d->arena, "%lld of %lld clips have no joint_positions",
                    (long long)odd->no_joints, clips);
    if (odd->no_text)
        motion_note(&d->notes, &d->arena, "%lld of %lld pairs have no text",
                    (long long)odd->no_text, (long long)d->n);
    if (odd->integer_keys)
        motion_note(&d->notes, &d->arena,
                    "%lld of %lld keys are integers: read as six digits (first: %s)",
                    (long long)odd->integer_keys, (long long)d->n, d->pairs[0].key);
}

/* The lowest byte that any array of the pair is read from. Strides are never negative. */
static const unsigned char *lowest_byte(const clip_fields f[2])
{
    const unsigned char *lowest = f[0].rots.data;
    for (int side = 0; side < 2; side++) {
        if (f[side].rots.data < lowest) lowest = f[side].rots.data;
        if (f[side].trans.data < lowest) lowest = f[side].trans.data;
        if (f[side].has_joints && f[side].joints.data < lowest) lowest = f[side].joints.data;
    }
    return lowest;
}

static me_code allocate_pair(motion_pair *pair, const clip_fields f[2], me_arena *arena,
                             me_err *err)
{
    me_code code = motion_clip_take(&pair->source, arena, f[0].rots.shape[0], f[0].has_joints, err);
    if (!code)
        code = motion_clip_take(&pair->target, arena, f[1].rots.shape[0], f[1].has_joints, err);
    return code ? (me_err_prefix(err, "%s", pair->key), code) : ME_OK;
}

/* Converts one window of pairs after the other, in parallel inside it. After each, the bytes before
 * the first that a later pair needs become room for the poses of the next: fresh memory would be
 * cleared first, which takes as long as to convert it, and at its peak the memory holds the file
 * and a window of poses, not both whole. Pickles may share arrays, so that the first byte needed is
 * a minimum over all later pairs. */
static me_code convert_pairs(motion_dataset *out, me_doc *doc, const clip_fields (*fields)[2],
                             int64_t n, me_err *err)
{
    enum { WINDOWS = 8 };
    const int64_t window = n / WINDOWS + 1;
    const unsigned char *needed[WINDOWS + 1] = {NULL}; /* first byte from each window on */
    const unsigned char *first = NULL;
    for (int64_t i = n - 1; i >= 0; i--) {
        const unsigned char *lowest = lowest_byte(fields[i]);
        if (!first || lowest < first) first = lowest;
        needed[i / window] = first;
    }
    for (int64_t from = 0; from < n; from += window) {
        const int64_t to = n - from < window ? n : from + window;
        int64_t failed = to;
        for (int64_t i = from; i < to; i++) {
            me_code code = allocate_pair(&out->pairs[i], fields[i], &out->arena, err);
            if (code) return code;
        }
#pragma omp parallel for schedule(dynamic, 1) reduction(min : failed)
        for (int64_t i = from; i < to; i++)
            if (convert_pair(&out->pairs[i], fields[i], NULL) && i < failed) failed = i;
        if (failed < to) {
            me_code code = convert_pair(&out->pairs[failed], fields[failed], err);
            return code ? code : me_fail_mem(err, "a clip");
        }
        if (to < n) me_doc_give(doc, needed[to / window], &out->arena);
    }
    return ME_OK;
}

static me_code parse_pickled(motion_dataset *out, me_doc *doc, bool joints, me_err *err)
{
    const me_value *root = doc->root;
    if (root->kind != ME_DICT || root->as.dict.length == 0 || !is_pair(root->as.dict.values[0]))
        return refuse_root(doc, err);
    oddities odd = {0};
    int64_t n = (int64_t)root->as.dict.length;
    clip_fields(*fields)[2] = calloc((size_t)n, sizeof *fields);
    out->pairs = ME_NEW_ARRAY(&out->arena, n, motion_pair);
    if (!fields || !out->pairs) {
        free(fields);
        return me_fail_mem(err, "the pairs");
    }
    me_code code = ME_OK;
    for (int64_t i = 0; i < n && !code; i++) {
        motion_pair *pair = &out->pairs[i];
        bool converted = false;
        pair->split = MOTION_UNSPLIT;
        pair->key = motion_key_text(&out->arena, root->as.dict.keys[i], &converted);
        odd.integer_keys += converted;
        if (!pair->key)
            code = me_fail(err, ME_EDATA, "entry %lld: the key is neither text nor a number",
                           (long long)i);
        else
            code = prepare_pair(pair, fields[i], &out->arena, root->as.dict.values[i], joints, &odd,
                                err);
        out->frames += pair->source.frames + pair->target.frames;
    }
    if (!code) code = convert_pairs(out, doc, (const clip_fields(*)[2])fields, n, err);
    free(fields);
    if (code) return code;
    out->n = n;
    out->format = "motionfix-joblib";
    write_notes(out, &odd);
    return ME_OK;
}

/* ---- our form -------------------------------------------------------------------------------- */

/* The clips of all pairs are slices of two long arrays. */
static me_code slice_clips(motion_dataset *out, const int64_t *lengths, int64_t rows, float *pose,
                           float *joints, me_err *err)
{
    int64_t at = 0, single = 0;
    for (int64_t i = 0; i < 2 * out->n; i++) {
        motion_pair *pair = &out->pairs[i / 2];
        motion_clip *clip = i % 2 ? &pair->target : &pair->source;
        if (lengths[i] < 1 || lengths[i] > rows - at)
            return me_fail(err, ME_EDATA, "%s: %s of %lld frames where %lld are left in 'pose'",
                           pair->key, i % 2 ? "target" : "source", (long long)lengths[i],
                           (long long)(rows - at));
        *clip = (motion_clip){lengths[i], pose + at * MOTION_POSE,
                              joints ? joints + at * MOTION_JOINTS * 3 : NULL};
        int64_t bad = motion_first_bad_row(clip->pose, clip->frames, MOTION_POSE);
        if (bad < 0 && joints)
            bad = motion_first_bad_row(clip->joints, clip->frames, MOTION_JOINTS * 3);
        if (bad >= 0)
            return me_fail(err, ME_EDATA, "%s: %s holds NaN or infinity in frame %lld", pair->key,
                           i % 2 ? "target" : "source", (long long)bad);
        single += clip->frames == 1;
        at += lengths[i];
    }
    if (at != rows)
        return me_fail(err, ME_EDATA, "'pose' has %lld rows, 'lengths' adds up to %lld",
                       (long long)rows, (long long)at);
    if (single)
        motion_note(&out->notes, &out->arena, "%lld of %lld clips have one frame only",
                    (long long)single, (long long)(2 * out->n));
    return ME_OK;
}

static const char *caption_at(const char *const *captions, int64_t i)
{
    return captions && captions[i][0] ? captions[i] : NULL;
}

static me_code parse_packed(motion_dataset *out, me_doc *doc, bool want_joints, me_err *err)
{
    const me_array *lengths = NULL, *pose = NULL, *positions = NULL;
    me_arena *arena = &out->arena;
    me_code code;
    if ((code = get_array(&lengths, doc->root, "lengths", err))) return code;
    if ((code = get_array(&pose, doc->root, "pose", err))) return code;
    if (want_joints && me_dict_get(doc->root, "joints") &&
        (code = get_array(&positions, doc->root, "joints", err)))
        return code;
    if (lengths->ndim == 1)
        return me_fail(err, ME_EDATA,
                       "the file holds single motions, not pairs (--generated takes those)");
    if (lengths->ndim != 2 || lengths->shape[1] != 2 || lengths->shape[0] < 1)
        return me_fail(err, ME_EFORMAT, "'lengths': expected (pairs, 2)");
    me_array pose_view, joints_view;
    if ((code = motion_columns_view(&pose_view, pose, MOTION_POSE, true, "'pose'", err)))
        return code;
    if (positions && (code = motion_columns_view(&joints_view, positions, 3 * MOTION_JOINTS, true,
                                                 "'joints'", err)))
        return code;
    int64_t n = lengths->shape[0], rows = pose->shape[0];
    if (positions && positions->shape[0] != rows)
        return me_fail(err, ME_EDATA, "'pose' has %lld rows, 'joints' %lld", (long long)rows,
                       (long long)positions->shape[0]);
    const char **keys, **texts;
    if ((code = motion_metadata_strings(&keys, arena, doc->metadata, "keys", n, err))) return code;
    if ((code = motion_metadata_strings(&texts, arena, doc->metadata, "texts", n, err)))
        return code;
    const char **captions[2] = {NULL, NULL};
    static const char *const caption_fields[] = {"source_captions", "target_captions"};
    for (int side = 0; side < 2; side++)
        if (me_dict_get(doc->metadata, caption_fields[side]) &&
            (code = motion_metadata_strings(&captions[side], arena, doc->metadata,
                                            caption_fields[side], n, err)))
            return code;
    int64_t *frames = ME_NEW_ARRAY(arena, 2 * n, int64_t);
    float *values = me_arena_take(arena, (size_t)rows, MOTION_POSE * sizeof *values),
          *joints = NULL;
    out->pairs = ME_NEW_ARRAY(arena, n, motion_pair);
    if (!frames || !values || !out->pairs) return me_fail_mem(err, "the pairs");
    if ((code = me_array_read_i64(lengths, frames, err))) return code;
    if ((code = me_array_read_f32(&pose_view, values, err))) return code;
    if (positions) {
        /* The tensors of a safetensors file do not overlap: what lies before the last is done with.
         */
        if (joints_view.data > pose_view.data && joints_view.data > lengths->data)
            me_doc_give(doc, joints_view.data, arena);
        joints = me_arena_take(arena, (size_t)rows, MOTION_JOINTS * 3 * sizeof *joints);
        if (!joints) return me_fail_mem(err, "the joints");
        if ((code = me_array_read_f32(&joints_view, joints, err))) return code;
    }
    for (int64_t i = 0; i < n; i++) {
        out->pairs[i] = (motion_pair){.key = keys[i],
                                      .text = texts[i],
                                      .split = MOTION_UNSPLIT,
                                      .source_caption = caption_at(captions[0], i),
                                      .target_caption = caption_at(captions[1], i)};
        if (!keys[i][0])
            return me_fail(err, ME_EFORMAT, "pair %lld has an empty key", (long long)i);
    }
    out->n = n;
    out->frames = rows;
    out->format = "mebench-safetensors";
    return slice_clips(out, frames, rows, values, joints, err);
}

me_code motion_dataset_parse(motion_dataset *out, me_doc *doc, bool joints, me_err *err)
{
    const me_value *schema = me_dict_get(doc->metadata, "schema");
    me_code code;
    if (schema && !me_string_equals(schema, MOTION_SCHEMA))
        return me_fail(err, ME_EFORMAT, "schema '%s' is not known, expected " MOTION_SCHEMA,
                       schema->kind == ME_STRING ? schema->as.string.data : "?");
    me_arena_expect(&out->arena, doc->size);
    code = schema ? parse_packed(out, doc, joints, err) : parse_pickled(out, doc, joints, err);
    if (code) return code;
    const char **keys = ME_NEW_ARRAY(&out->arena, out->n, const char *);
    if (!keys) return me_fail_mem(err, "an index of keys");
    for (int64_t i = 0; i < out->n; i++) keys[i] = out->pairs[i].key;
    int64_t *order;
    code = motion_key_order(&order, &out->arena, keys, out->n, err);
    me_arena_trim(&out->arena);
    out->by_key = order;
    return code;
}
