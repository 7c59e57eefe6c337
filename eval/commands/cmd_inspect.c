/* eval/commands/cmd_inspect.c: `mebench inspect`: what a file is and what it holds, without ever
 * executing it. */
#include <string.h>
#include <strings.h>

#include "core/doc.h"
#include "core/json.h"
#include "eval/commands.h"
#include "motion/bvh.h"
#include "motion/motion.h"

typedef struct options {
    eval_common common;
    bool json, all, hash;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "json", .type = ME_OPT_BOOL, AT(json), .help = "as JSON, one object a file"},
    {.name = "all", .type = ME_OPT_BOOL, AT(all), .help = "every entry; without it 12 of each dictionary or list"},
    {.name = "hash", .type = ME_OPT_BOOL, AT(hash), .fallback = "true", .help = "SHA-256 of the file"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

enum { SHOWN = 12, TEXT_SHOWN = 60 };

/* ---- what it is
 * ------------------------------------------------------------------------------------- */

static const me_value *first_value(const me_value *v)
{
    return v && v->kind == ME_DICT && v->as.dict.length ? v->as.dict.values[0] : NULL;
}

static bool has_array(const me_value *v, const char *key)
{
    const me_value *a = me_dict_get(v, key);
    return a && a->kind == ME_ARRAY;
}

/* A zip that `submit` wrote says whose it is. */
static const char *recognise_submission(const me_value *root, me_arena *arena)
{
    const me_value *entry = me_dict_get(root, "submission.json");
    me_value *document;
    if (!entry || entry->kind != ME_BYTES ||
        me_json_parse(&document, arena, entry->as.string.data, entry->as.string.length,
                      "submission.json", NULL))
        return NULL;
    const me_value *schema = me_dict_get(document, "schema"), *name = me_dict_get(document, "name");
    if (!schema || schema->kind != ME_STRING || !name || name->kind != ME_STRING) return NULL;
    return me_arena_printf(arena, "schema %s, \"%s\"", schema->as.string.data,
                           name->as.string.data);
}

static const char *recognise(const me_doc *doc, me_arena *arena)
{
    const me_value *root = doc->root, *schema = me_dict_get(doc->metadata, "schema");
    if (!schema) schema = me_dict_get(root, "schema");
    if (schema && schema->kind == ME_STRING)
        return me_arena_printf(arena, "schema %s", schema->as.string.data);
    const char *submission = recognise_submission(root, arena);
    if (submission) return submission;
    if (root->kind == ME_DICT) {
        const me_value *first = first_value(root), *state = me_dict_get(root, "state_dict");
        long long n = (long long)root->as.dict.length;
        if (me_dict_get(first, "motion_source") && me_dict_get(first, "motion_target"))
            return me_arena_printf(arena, "MotionFix dataset, %lld pairs", n);
        if (has_array(root, "pose")) return "generated motion (sample)";
        if (has_array(root, "tokens") && has_array(root, "projection.weight"))
            return "TMR encoder (state dictionary)";
        if (state) return "Lightning checkpoint";
        if (me_dict_get(root, "train") && me_dict_get(root, "test")) return "splits";
    }
    if (root->kind == ME_ARRAY && root->as.array.ndim == 2 &&
        root->as.array.shape[1] == MOTION_POSE)
        return "one motion (T,135)";
    return NULL;
}

/* ---- the tree as text
 * ------------------------------------------------------------------------------- */

static void put_string(me_writer *w, const char *data, size_t length)
{
    size_t n = length < TEXT_SHOWN ? length : TEXT_SHOWN;
    me_writer_put(w, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c < 32 || c == 127)
            me_writer_printf(w, "\\x%02x", c);
        else
            me_writer_put(w, &c, 1);
    }
    me_writer_printf(w, n < length ? "...\" (%zu bytes)" : "\"", length);
}

static void put_key(me_writer *w, const me_value *key)
{
    if (key->kind == ME_STRING)
        me_writer_put(w, key->as.string.data, strlen(key->as.string.data));
    else if (key->kind == ME_INT)
        me_writer_printf(w, "%lld", (long long)key->as.integer);
    else
        me_writer_printf(w, "<%s>", me_kind_name(key->kind));
}

/* One line's rest: what a value is, without what it holds. */
static void put_summary(me_writer *w, const me_value *v)
{
    char text[128];
    switch (v->kind) {
    case ME_BOOLEAN:
        me_writer_printf(w, "%s", v->as.boolean ? "true" : "false");
        break;
    case ME_INT:
        me_writer_printf(w, "%lld", (long long)v->as.integer);
        break;
    case ME_FLOAT:
        me_writer_printf(w, "%.9g", v->as.number);
        break;
    case ME_STRING:
        put_string(w, v->as.string.data, v->as.string.length);
        break;
    case ME_BYTES:
        me_writer_printf(w, "%zu bytes", v->as.string.length);
        break;
    case ME_OBJECT:
        me_writer_printf(w, "<%.*s>", (int)v->as.string.length, v->as.string.data);
        break;
    case ME_ARRAY:
        me_writer_printf(w, "%s", me_array_describe(&v->as.array, text, sizeof text));
        break;
    case ME_LIST:
        me_writer_printf(w, "list of %zu", v->as.list.length);
        break;
    case ME_DICT:
        me_writer_printf(w, "dictionary of %zu", v->as.dict.length);
        break;
    case ME_NONE:
        me_writer_printf(w, "none");
        break;
    }
}

static void put_tree(me_writer *w, const me_value *v, int depth, bool all)
{
    const bool dict = v->kind == ME_DICT;
    if (!dict && v->kind != ME_LIST) return;
    const size_t n = dict ? v->as.dict.length : v->as.list.length;
    const size_t shown = all || n <= SHOWN ? n : SHOWN;
    for (size_t i = 0; i < shown; i++) {
        const me_value *child = dict ? v->as.dict.values[i] : v->as.list.items[i];
        me_writer_printf(w, "%*s", 2 * depth, "");
        if (dict)
            put_key(w, v->as.dict.keys[i]);
        else
            me_writer_printf(w, "[%zu]", i);
        me_writer_printf(w, ": ");
        put_summary(w, child);
        me_writer_printf(w, "\n");
        put_tree(w, child, depth + 1, all);
    }
    if (shown < n) me_writer_printf(w, "%*s... %zu more (--all)\n", 2 * depth, "", n - shown);
}

/* ---- the tree as JSON
 * ------------------------------------------------------------------------------- */

static me_value *describe(me_arena *a, const me_value *v, bool all);

static me_value *describe_array(me_arena *a, const me_array *array)
{
    me_value *out = me_value_new(a, ME_DICT), *shape = me_value_new(a, ME_LIST);
    if (!out || !shape) return NULL;
    for (int i = 0; i < array->ndim; i++)
        if (me_list_append(a, shape, me_value_int(a, array->shape[i]), NULL)) return NULL;
    if (me_dict_put(a, out, "dtype", me_value_string(a, me_dtype_name(array->dtype)), NULL))
        return NULL;
    return me_dict_put(a, out, "shape", shape, NULL) ? NULL : out;
}

static me_value *describe_dict(me_arena *a, const me_value *v, bool all)
{
    me_value *out = me_value_new(a, ME_DICT);
    const size_t n = v->as.dict.length, shown = all || n <= SHOWN ? n : SHOWN;
    for (size_t i = 0; i < shown && out; i++) {
        const me_value *key = v->as.dict.keys[i];
        const char *name = key->kind == ME_STRING ? key->as.string.data
                           : key->kind == ME_INT
                               ? me_arena_printf(a, "%lld", (long long)key->as.integer)
                               : me_kind_name(key->kind);
        me_value *child = describe(a, v->as.dict.values[i], all);
        if (!child || me_dict_put(a, out, name, child, NULL)) return NULL;
    }
    if (out && shown < n && me_dict_put(a, out, "...", me_value_int(a, (int64_t)(n - shown)), NULL))
        return NULL;
    return out;
}

static me_value *describe_list(me_arena *a, const me_value *v, bool all)
{
    me_value *out = me_value_new(a, ME_LIST);
    const size_t n = v->as.list.length, shown = all || n <= SHOWN ? n : SHOWN;
    for (size_t i = 0; i < shown && out; i++) {
        me_value *child = describe(a, v->as.list.items[i], all);
        if (!child || me_list_append(a, out, child, NULL)) return NULL;
    }
    return out;
}

static me_value *describe(me_arena *a, const me_value *v, bool all)
{
    switch (v->kind) {
    case ME_ARRAY:
        return describe_array(a, &v->as.array);
    case ME_DICT:
        return describe_dict(a, v, all);
    case ME_LIST:
        return describe_list(a, v, all);
    case ME_STRING:
        return me_value_string(a, v->as.string.data);
    case ME_INT:
        return me_value_int(a, v->as.integer);
    case ME_BOOLEAN:
        return me_value_bool(a, v->as.boolean);
    case ME_NONE:
        return me_value_new(a, ME_NONE);
    case ME_FLOAT:
        /* JSON has no such number; the text says what stood there. */
        if (v->as.number - v->as.number != 0) return me_value_string(a, "not finite");
        return me_value_float(a, v->as.number);
    default:
        return me_value_string(a, me_kind_name(v->kind));
    }
}

static me_code put_json(eval_call *call, const char *path, const me_doc *doc, const char *what,
                        const options *o, me_err *err)
{
    me_arena *a = call->arena;
    me_value *out = me_value_new(a, ME_DICT), *contents = describe(a, doc->root, o->all);
    char *text = NULL;
    me_code code = out && contents ? ME_OK : me_fail_mem(err, path);
    if (!code) code = me_dict_put(a, out, "file", me_value_string(a, path), err);
    if (!code) code = me_dict_put(a, out, "format", me_value_string(a, doc->format), err);
    if (!code && doc->compression)
        code = me_dict_put(a, out, "compression", me_value_string(a, doc->compression), err);
    if (!code) code = me_dict_put(a, out, "bytes", me_value_int(a, (int64_t)doc->size), err);
    if (!code && o->hash)
        code = me_dict_put(a, out, "sha256", me_value_string(a, doc->sha256), err);
    if (!code && what) code = me_dict_put(a, out, "is", me_value_string(a, what), err);
    if (!code && doc->metadata)
        code = me_dict_put(a, out, "metadata", describe(a, doc->metadata, true), err);
    if (!code) code = me_dict_put(a, out, "contents", contents, err);
    if (!code) code = me_json_text(&text, a, out, err);
    if (!code) me_writer_printf(&call->out, "%s\n", text);
    return code;
}

/* ---- kinds of file
 * ---------------------------------------------------------------------------------- */

static me_code inspect_doc(eval_call *call, const char *path, const options *o, me_err *err)
{
    me_writer *w = &call->out;
    me_doc doc;
    me_code code = me_doc_open(&doc, path, err);
    if (code) return code;
    if (o->hash) me_doc_hash(&doc);
    const char *what = recognise(&doc, call->arena);
    if (o->json) {
        code = put_json(call, path, &doc, what, o, err);
    } else {
        me_writer_printf(w, "%s: %s%s%s, %zu bytes%s%s\n", path, doc.format,
                         doc.compression ? ", " : "", doc.compression ? doc.compression : "",
                         doc.size, what ? ", " : "", what ? what : "");
        if (o->hash) me_writer_printf(w, "sha256 %s\n", doc.sha256);
        if (doc.metadata) {
            me_writer_printf(w, "metadata:\n");
            put_tree(w, doc.metadata, 1, o->all);
        }
        put_summary(w, doc.root);
        me_writer_printf(w, "\n");
        put_tree(w, doc.root, 1, o->all);
    }
    me_doc_close(&doc);
    return code;
}

static int joint_depth(const motion_bvh *bvh, int joint)
{
    int depth = 0;
    while ((joint = bvh->joint[joint].parent) >= 0) depth++;
    return depth;
}

static me_code json_bvh(eval_call *call, const char *path, const motion_bvh *bvh, me_err *err)
{
    me_arena *a = call->arena;
    me_value *out = me_value_new(a, ME_DICT), *joints = me_value_new(a, ME_LIST);
    char *text = NULL;
    me_code code = out && joints ? ME_OK : me_fail_mem(err, path);
    for (int j = 0; j < bvh->joints && !code; j++)
        if (!bvh->joint[j].end_site)
            code = me_list_append(a, joints, me_value_string(a, bvh->joint[j].name), err);
    if (!code) code = me_dict_put(a, out, "file", me_value_string(a, path), err);
    if (!code) code = me_dict_put(a, out, "format", me_value_string(a, "bvh"), err);
    if (!code) code = me_dict_put(a, out, "frames", me_value_int(a, bvh->frames), err);
    if (!code) code = me_dict_put(a, out, "frame_time", me_value_float(a, bvh->frame_time), err);
    if (!code) code = me_dict_put(a, out, "channels", me_value_int(a, bvh->channels), err);
    if (!code && bvh->rig) code = me_dict_put(a, out, "rig", me_value_string(a, bvh->rig), err);
    if (!code) code = me_dict_put(a, out, "joints", joints, err);
    if (!code) code = me_json_text(&text, a, out, err);
    if (!code) me_writer_printf(&call->out, "%s\n", text);
    return code;
}

static me_code inspect_bvh(eval_call *call, const char *path, const options *o, me_err *err)
{
    me_writer *w = &call->out;
    motion_bvh bvh;
    me_code code = motion_bvh_open(&bvh, path, err);
    if (code) return code;
    if (o->json) {
        code = json_bvh(call, path, &bvh, err);
    } else {
        me_writer_printf(w, "%s: bvh, rig %s, %lld frames of %g s, %d channels\n", path,
                         bvh.rig ? bvh.rig : "unknown", (long long)bvh.frames, bvh.frame_time,
                         bvh.channels);
        for (int j = 0; j < bvh.joints; j++) {
            if (bvh.joint[j].end_site) continue;
            me_writer_printf(w, "%*s%s: offset %g %g %g, %d channels\n",
                             2 + 2 * joint_depth(&bvh, j), "", bvh.joint[j].name,
                             bvh.joint[j].offset[0], bvh.joint[j].offset[1], bvh.joint[j].offset[2],
                             bvh.joint[j].channels);
        }
    }
    motion_bvh_close(&bvh);
    return code;
}

static me_code inspect_folder(eval_call *call, const char *path, const options *o, me_err *err)
{
    me_writer *w = &call->out;
    me_names names;
    me_code code = me_list_directory(&names, call->arena, path, err);
    if (code) return code;
    const bool tmr = me_is_directory(me_path_join(call->arena, path, "stats"));
    if (tmr && !o->json) {
        me_writer_printf(w, "%s: folder, TMR checkpoint (give it to eval --tmr)\n", path);
        for (int64_t i = 0; i < names.n; i++) me_writer_printf(w, "  %s\n", names.items[i]);
        return ME_OK;
    }
    motion_set set;
    code = motion_set_open(&set, path, err);
    if (code) return code;
    int64_t shortest = INT64_MAX, longest = 0, frames = 0;
    for (int64_t i = 0; i < set.n; i++) {
        int64_t t = set.samples[i].clip.frames;
        shortest = t < shortest ? t : shortest;
        longest = t > longest ? t : longest;
        frames += t;
    }
    if (!set.n) shortest = 0;
    if (o->json)
        me_writer_printf(w,
                         "{\n  \"format\": \"folder\",\n  \"samples\": %lld,\n  \"frames\": %lld,\n"
                         "  \"shortest\": %lld,\n  \"longest\": %lld,\n  \"ignored\": %lld\n}\n",
                         (long long)set.n, (long long)frames, (long long)shortest,
                         (long long)longest, (long long)set.ignored_n);
    else
        me_writer_printf(
            w, "%s: folder, %lld generated motions of %lld to %lld frames, %lld other files\n",
            path, (long long)set.n, (long long)shortest, (long long)longest,
            (long long)set.ignored_n);
    motion_set_close(&set);
    return ME_OK;
}

static me_code run_inspect(eval_call *call, me_err *err)
{
    const options *o = call->options;
    me_code code = ME_OK;
    for (int i = 0; i < call->operands && !code; i++) {
        const char *path = call->operand[i];
        if (i && !o->json) me_writer_printf(&call->out, "\n");
        if (me_is_directory(path))
            code = inspect_folder(call, path, o, err);
        else if (me_has_suffix(path, ".bvh"))
            code = inspect_bvh(call, path, o, err);
        else
            code = inspect_doc(call, path, o, err);
    }
    return code;
}

const eval_command eval_command_inspect = {
    .name = "inspect",
    .usage = "inspect [options] FILE...",
    .summary = "what a file is and holds, without executing it",
    .doc = "Reads npy, npz, pt, ckpt, pth.tar, safetensors, json, bvh and zip files, and folders "
           "of samples.\n"
           "Pickles are read as data: nothing in them runs.",
    .options = table,
    .options_size = sizeof(options),
    .min_operands = 1,
    .max_operands = -1,
    .run = run_inspect,
};
