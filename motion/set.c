/* motion/set.c: sets of generated motions by key, and the writing of one (spec evaluation 2.4).
 *
 * Reading goes in two steps: list what is there (names, entries of an archive, keys of a file),
 * then read each item in parallel. When items fail, the first one by position is read again alone
 * to say why, so that neither the result nor the message depends on threads. */
#include "motion/motion.h"

#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "core/npy.h"
#include "core/zip.h"
#include "motion/fields_priv.h"
#include "motion/set_priv.h"

/* One motion to read: exactly one of path, bytes and value is set. */
typedef struct item {
    const char *key, *name;     /* name: of the file or entry, for messages */
    const char *path;           /* a file of its own */
    const unsigned char *bytes; /* a file in memory */
    size_t size;
    const me_value *value; /* a part of a document that is open */
    motion_clip clip;
    me_dtype dtype;
    bool failed; /* it could not be read */
} item;

typedef struct items {
    item *at;
    int64_t n, capacity;
} items;

static me_code add_item(items *list, me_arena *arena, item it, me_err *err)
{
    if (list->n == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 64;
        item *at = ME_NEW_ARRAY(arena, capacity, item);
        if (!at) return me_fail_mem(err, "the list of samples");
        if (list->n) memcpy(at, list->at, (size_t)list->n * sizeof *at);
        list->at = at;
        list->capacity = capacity;
    }
    list->at[list->n++] = it;
    return ME_OK;
}

static me_code add_ignored(motion_set *out, const char *name, me_err *err)
{
    int64_t n = out->ignored_n;
    if ((n & (n - 1)) == 0) { /* full at every power of two */
        char **grown = ME_NEW_ARRAY(&out->arena, n ? 2 * n : 1, char *);
        if (!grown) return me_fail_mem(err, "the list of ignored files");
        if (n) memcpy(grown, out->ignored, (size_t)n * sizeof *grown);
        out->ignored = grown;
    }
    out->ignored[n] = me_arena_strdup(&out->arena, name);
    if (!out->ignored[n]) return me_fail_mem(err, "the list of ignored files");
    out->ignored_n++;
    return ME_OK;
}

/* The name without any ".npy" in it, as the reference's str.replace leaves it. */
static char *key_of_name(me_arena *arena, const char *name)
{
    char *key = me_arena_alloc(arena, strlen(name) + 1, 1), *to = key;
    if (!key) return NULL;
    for (const char *s = name; *s;) {
        if (!strncmp(s, ".npy", 4))
            s += 4;
        else
            *to++ = *s++;
    }
    *to = 0;
    return key;
}

/* Files that the field's samplers write beside KEY.npy; no key of a dataset ends like this. */
static bool is_companion(const char *key)
{
    return me_has_suffix(key, "_source") || me_has_suffix(key, "_target");
}

/* What our own programs note about samples beside them: sample, submit, eval. */
static bool is_own_note(const char *name)
{
    static const char *const own[] = {"sampling.json", "submission.json", "result.json",
                                      "ranks.csv"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(name, own[i])) return true;
    return false;
}

/* Sorts one name of a folder or archive into samples, ignored and hidden. */
static me_code sort_name(items *list, motion_set *out, const char *name, item it, bool folder,
                         me_err *err)
{
    if (name[0] == '.' || (!folder && is_own_note(name))) return ME_OK;
    size_t length = strlen(name);
    bool npy = !folder && length > 4 && !strcmp(name + length - 4, ".npy");
    char *key = npy ? key_of_name(&out->arena, name) : NULL;
    if (npy && !key) return me_fail_mem(err, "a key");
    if (!npy || !*key || is_companion(key)) return add_ignored(out, name, err);
    it.key = key;
    it.name = me_arena_strdup(&out->arena, name);
    if (!it.name) return me_fail_mem(err, "a name");
    return add_item(list, &out->arena, it, err);
}

static me_code list_folder(items *list, motion_set *out, const char *path, me_err *err)
{
    me_names names;
    me_code code = me_list_directory(&names, &out->arena, path, err);
    for (int64_t i = 0; !code && i < names.n; i++) {
        item it = {.path = me_path_join(&out->arena, path, names.items[i])};
        if (!it.path) return me_fail_mem(err, "a path");
        code = sort_name(list, out, names.items[i], it, me_is_directory(it.path), err);
    }
    if (code || list->n) return code;
    if (names.n == 0) return me_fail(err, ME_EDATA, "the folder is empty: expected KEY.npy files");
    return me_fail(err, ME_EDATA, "no KEY.npy file in this folder (found %s%s)", names.items[0],
                   names.n > 1 ? ", …" : "");
}

/* Length of the folder prefix that all entries share ("samples/"), so that a zipped folder reads as
 * that folder. */
static size_t shared_prefix(const me_zip *zip)
{
    size_t length = 0;
    for (int64_t i = 0; i < zip->n; i++) {
        const char *name = zip->entries[i].name;
        if (!strncmp(name, "__MACOSX/", 9)) continue;
        const char *slash = strrchr(name, '/');
        size_t here = slash ? (size_t)(slash - name) + 1 : 0;
        if (here == 0) return 0;
        if (length == 0) length = here;
        if (here < length) length = here;
    }
    for (int64_t i = 0; length && i < zip->n; i++) {
        const char *name = zip->entries[i].name;
        if (strncmp(name, "__MACOSX/", 9) && strncmp(name, zip->entries[0].name, length)) return 0;
    }
    return length;
}

static me_code list_zip(items *list, motion_set *out, const me_zip *zip, me_err *err)
{
    size_t prefix = shared_prefix(zip);
    me_code code = ME_OK;
    for (int64_t i = 0; !code && i < zip->n; i++) {
        const me_zip_entry *e = &zip->entries[i];
        if (!strncmp(e->name, "__MACOSX/", 9)) continue;
        item it = {.bytes = e->data, .size = e->size};
        code =
            sort_name(list, out, e->name + prefix, it, strchr(e->name + prefix, '/') != NULL, err);
    }
    if (!code && list->n == 0) code = me_fail(err, ME_EDATA, "no KEY.npy entry in this archive");
    return code;
}

/* ---- one sample --------------------------------------------------------------------------------
 */

static me_code find_pose(const me_array **out, const me_value *v, me_err *err)
{
    if (v->kind == ME_DICT) {
        const me_value *pose = me_dict_get(v, "pose");
        if (!pose) {
            const me_value *first = v->as.dict.length ? v->as.dict.keys[0] : NULL;
            return me_fail(err, ME_EDATA, "expected a dictionary with 'pose', found none%s%s",
                           first && first->kind == ME_STRING ? ", but " : "",
                           first && first->kind == ME_STRING ? first->as.string.data : "");
        }
        v = pose;
    }
    if (v->kind != ME_ARRAY)
        return me_fail(err, ME_EDATA, "expected an array (frames, 135), found %s",
                       me_kind_name(v->kind));
    *out = &v->as.array;
    return ME_OK;
}

static me_code read_value(item *it, me_arena *arena, const me_value *v, me_err *err)
{
    char text[128];
    const me_array *pose = NULL;
    me_code code = find_pose(&pose, v, err);
    if (code) return code;
    if (pose->ndim != 2 || pose->shape[1] != MOTION_POSE)
        return me_fail(err, ME_EDATA, "pose: expected (frames, 135), found %s%s",
                       me_array_describe(pose, text, sizeof text),
                       pose->ndim == 2 ? motion_width_hint(pose->shape[1]) : "");
    if (pose->shape[0] == 0) return me_fail(err, ME_EDATA, "a motion of zero frames");
    it->dtype = pose->dtype;
#pragma omp critical(motion_set_arena)
    code = motion_clip_new(&it->clip, arena, pose->shape[0], false, err);
    if (!code) code = me_array_read_f32(pose, it->clip.pose, err);
    if (code) return code;
    int64_t bad = motion_first_bad_row(it->clip.pose, it->clip.frames, MOTION_POSE);
    if (bad >= 0)
        return me_fail(err, ME_EDATA, "pose holds NaN or infinity in frame %lld", (long long)bad);
    return ME_OK;
}

static me_code read_item(item *it, me_arena *arena, me_err *err)
{
    me_doc doc;
    me_code code = ME_OK;
    if (it->value) {
        code = read_value(it, arena, it->value, err);
        return code ? (me_err_prefix(err, "%s", it->name), code) : ME_OK;
    }
    if (it->path)
        code = me_doc_open(&doc, it->path, err);
    else
        code = me_doc_open_bytes(&doc, it->bytes, it->size, it->name, err);
    if (code) return code;
    code = read_value(it, arena, doc.root, err);
    me_doc_close(&doc);
    return code ? (me_err_prefix(err, "%s", it->path ? it->path : it->name), code) : ME_OK;
}

static void write_notes(motion_set *out, const items *list, int64_t integer_keys)
{
    int64_t other = 0, single = 0;
    const item *first_other = NULL, *first_single = NULL;
    for (int64_t i = 0; i < list->n; i++) {
        const item *it = &list->at[i];
        if (it->failed) continue;
        if (it->dtype != ME_F32 && !other++) first_other = it;
        if (it->clip.frames == 1 && !single++) first_single = it;
    }
    if (other)
        motion_note(&out->notes, &out->arena,
                    "%lld of %lld samples are %s, not float32 (first: %s): converted; the "
                    "reference evaluator "
                    "stops or not by their order",
                    (long long)other, (long long)list->n, me_dtype_name(first_other->dtype),
                    first_other->key);
    if (single)
        motion_note(&out->notes, &out->arena,
                    "%lld of %lld samples have one frame only (first: %s)", (long long)single,
                    (long long)list->n, first_single->key);
    if (integer_keys)
        motion_note(&out->notes, &out->arena, "%lld of %lld keys are integers: read as six digits",
                    (long long)integer_keys, (long long)list->n);
}

/* Why an item is left out of a survey, if it is. `before`: the one before it in the order of keys.
 */
static me_code note_fault(motion_set *out, item *it, const item *before, bool *left_out)
{
    const bool repeated = before && !strcmp(before->key, it->key);
    me_err err = {0};
    me_code code = ME_OK;
    *left_out = it->failed || repeated;
    if (it->failed) {
        code = read_item(it, &out->arena, &err);
        motion_note(&out->faults, &out->arena, "%s", code ? err.msg : it->name);
    } else if (repeated) {
        motion_note(&out->faults, &out->arena, "%s: its key %s is that of %s too",
                    it->path ? it->path : it->name, it->key, before->name);
    }
    return code == ME_EMEM ? code : ME_OK;
}

/* Reads all items and sorts them by key. */
static me_code read_items(motion_set *out, items *list, int64_t integer_keys, me_err *err)
{
    int64_t n = list->n, failed = n;
    int64_t *order;
    const char **keys = ME_NEW_ARRAY(&out->arena, n, const char *);
    out->samples = ME_NEW_ARRAY(&out->arena, n, motion_sample);
    if (!keys || !out->samples) return me_fail_mem(err, "the samples");
    for (int64_t i = 0; i < n; i++) keys[i] = list->at[i].key;
    me_code code =
        (out->survey ? motion_key_sort : motion_key_order)(&order, &out->arena, keys, n, err);
    if (code) return code;
#pragma omp parallel for schedule(dynamic, 8) reduction(min : failed)
    for (int64_t i = 0; i < n; i++) {
        list->at[i].failed = read_item(&list->at[i], &out->arena, NULL) != ME_OK;
        if (list->at[i].failed && i < failed) failed = i;
    }
    if (failed < n && !out->survey) {
        code = read_item(&list->at[failed], &out->arena, err);
        return code ? code : me_fail(err, ME_EIO, "%s: reading failed once", list->at[failed].name);
    }
    for (int64_t i = 0; i < n; i++) {
        item *it = &list->at[order[i]];
        bool left_out = false;
        if (out->survey) code = note_fault(out, it, i ? &list->at[order[i - 1]] : NULL, &left_out);
        if (code) return me_fail_mem(err, "the samples");
        if (!left_out) out->samples[out->n++] = (motion_sample){it->key, it->clip};
    }
    write_notes(out, list, integer_keys);
    return ME_OK;
}

/* ---- one file of many samples
 * -------------------------------------------------------------------- */

static me_code read_packed(motion_set *out, const me_doc *doc, me_err *err)
{
    const me_value *lengths = me_dict_get(doc->root, "lengths"),
                   *pose = me_dict_get(doc->root, "pose");
    if (!lengths || lengths->kind != ME_ARRAY || !pose || pose->kind != ME_ARRAY)
        return me_fail(err, ME_EFORMAT, "expected the arrays 'lengths' and 'pose'");
    if (lengths->as.array.ndim == 2)
        return me_fail(err, ME_EDATA, "the file holds pairs, a dataset, not single samples");
    if (lengths->as.array.ndim != 1 || pose->as.array.ndim != 2 ||
        pose->as.array.shape[1] != MOTION_POSE)
        return me_fail(err, ME_EFORMAT, "expected 'lengths' (samples) and 'pose' (frames, 135)");
    int64_t n = lengths->as.array.shape[0], rows = pose->as.array.shape[0], at = 0;
    const char **keys;
    me_code code = motion_metadata_strings(&keys, &out->arena, doc->metadata, "keys", n, err);
    if (code) return code;
    int64_t *frames = ME_NEW_ARRAY(&out->arena, n, int64_t);
    me_value *slices = ME_NEW_ARRAY(&out->arena, n, me_value);
    if (!frames || !slices) return me_fail_mem(err, "the samples");
    if ((code = me_array_read_i64(&lengths->as.array, frames, err))) return code;
    items list = {0};
    for (int64_t i = 0; i < n; i++) {
        if (frames[i] < 1 || frames[i] > rows - at)
            return me_fail(err, ME_EDATA, "%s: %lld frames where %lld are left in 'pose'", keys[i],
                           (long long)frames[i], (long long)(rows - at));
        slices[i] = *pose;
        me_array *a = &slices[i].as.array;
        a->shape[0] = frames[i];
        a->data += (ptrdiff_t)(at * a->stride[0]) * (ptrdiff_t)me_dtype_size(a->dtype);
        at += frames[i];
        const char *key = me_arena_strdup(&out->arena, keys[i]);
        if (!key) return me_fail_mem(err, "a key");
        code =
            add_item(&list, &out->arena, (item){.key = key, .name = key, .value = &slices[i]}, err);
        if (code) return code;
    }
    if (at != rows)
        return me_fail(err, ME_EDATA, "'pose' has %lld rows, 'lengths' adds up to %lld",
                       (long long)rows, (long long)at);
    return read_items(out, &list, 0, err);
}

static me_code read_dictionary(motion_set *out, const me_doc *doc, me_err *err)
{
    const me_value *root = doc->root;
    items list = {0};
    int64_t integer_keys = 0;
    if (root->as.dict.length == 0) return me_fail(err, ME_EDATA, "the file holds no sample");
    const me_value *first = root->as.dict.values[0];
    if (me_dict_get(first, "motion_source"))
        return me_fail(err, ME_EDATA, "the file holds pairs, a dataset, not generated samples");
    for (size_t i = 0; i < root->as.dict.length; i++) {
        bool converted = false;
        const char *key = motion_key_text(&out->arena, root->as.dict.keys[i], &converted);
        if (!key || !*key) return me_fail(err, ME_EDATA, "entry %lld: no usable key", (long long)i);
        if (is_companion(key)) {
            me_code code = add_ignored(out, key, err);
            if (code) return code;
            continue;
        }
        integer_keys += converted;
        me_code code =
            add_item(&list, &out->arena,
                     (item){.key = key, .name = key, .value = root->as.dict.values[i]}, err);
        if (code) return code;
    }
    return read_items(out, &list, integer_keys, err);
}

me_code motion_set_parse(motion_set *out, const me_doc *doc, const char *path, me_err *err)
{
    bool dict = doc->root->kind == ME_DICT;
    if (me_dict_get(doc->metadata, "schema")) {
        if (me_string_equals(me_dict_get(doc->metadata, "schema"), MOTION_SCHEMA))
            return read_packed(out, doc, err);
        return me_fail(err, ME_EFORMAT, "its schema is not " MOTION_SCHEMA);
    }
    if (dict && !me_dict_get(doc->root, "pose")) return read_dictionary(out, doc, err);
    /* One sample; its key is the file's name. */
    items list = {0};
    item it = {.key = key_of_name(&out->arena, me_path_base(path)),
               .name = "the sample",
               .value = doc->root};
    if (!it.key) return me_fail_mem(err, "a key");
    me_code code = add_item(&list, &out->arena, it, err);
    return code ? code : read_items(out, &list, 0, err);
}

static bool has_npy_entries(const me_zip *zip)
{
    for (int64_t i = 0; i < zip->n; i++)
        if (me_has_suffix(zip->entries[i].name, ".npy")) return true;
    return false;
}

/* A zip of .npy files, which an npz is too; *taken says whether it was one. */
static me_code open_zip(motion_set *out, const char *path, bool *taken, me_err *err)
{
    me_bytes bytes;
    me_zip zip;
    items list = {0};
    *taken = false;
    me_code code = me_bytes_open(&bytes, path, err);
    if (code) return code;
    if (me_is_zip(bytes.data, bytes.size)) {
        code = me_zip_open(&zip, bytes.data, bytes.size, path, false, err);
        if (!code) {
            *taken = has_npy_entries(&zip);
            if (*taken) code = list_zip(&list, out, &zip, err);
            if (*taken && !code) code = read_items(out, &list, 0, err);
            if (code) me_err_prefix(err, "%s", path);
            me_zip_close(&zip);
        }
    }
    me_bytes_close(&bytes);
    return code;
}

static me_code open_set(motion_set *out, const char *path, bool survey, me_err *err)
{
    me_code code;
    *out = (motion_set){.survey = survey};
    if (me_is_directory(path)) {
        items list = {0};
        code = list_folder(&list, out, path, err);
        if (code)
            me_err_prefix(err, "%s", path);
        else
            code = read_items(out, &list, 0, err);
    } else {
        bool zip = me_has_suffix(path, ".zip") || me_has_suffix(path, ".npz"), taken = false;
        code = zip ? open_zip(out, path, &taken, err) : ME_OK;
        if (!code && !taken) {
            me_doc doc;
            code = me_doc_open(&doc, path, err);
            if (!code) {
                code = motion_set_parse(out, &doc, path, err);
                if (code) me_err_prefix(err, "%s", path);
                me_doc_close(&doc);
            }
        }
    }
    if (code) motion_set_close(out);
    return code;
}

me_code motion_set_open(motion_set *out, const char *path, me_err *err)
{
    return open_set(out, path, false, err);
}

me_code motion_set_survey(motion_set *out, const char *path, me_err *err)
{
    return open_set(out, path, true, err);
}

void motion_set_close(motion_set *s)
{
    me_arena_release(&s->arena);
    memset(s, 0, sizeof *s);
}

const motion_sample *motion_set_find(const motion_set *s, const char *key)
{
    int64_t lo = 0, hi = s->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        int c = strcmp(s->samples[mid].key, key);
        if (c == 0) return &s->samples[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

me_code motion_key_check_name(const char *key, me_err *err)
{
    if (key[0] && key[0] != '.' && !strchr(key, '/') && !strstr(key, ".npy")) return ME_OK;
    return me_fail(err, ME_EDATA,
                   "'%s' cannot be a file's name: the key of a sample holds no '/' and no '.npy' "
                   "and begins with no '.'",
                   key);
}

me_code motion_sample_write_npy(const char *dir, const char *key, const motion_clip *clip,
                                const char *text, me_err *err)
{
    if (motion_key_check_name(key, err)) return ME_EDATA;
    me_arena arena;
    me_arena_init(&arena);
    const int64_t shape[2] = {clip->frames, MOTION_POSE};
    const char *name = me_arena_printf(&arena, "%s.npy", key);
    const char *path = name ? me_path_join(&arena, dir, name) : NULL;
    me_value *dict = path ? me_value_new(&arena, ME_DICT) : NULL;
    me_code code = dict ? ME_OK : me_fail_mem(err, "a sample");
    if (!code)
        code = me_dict_put(&arena, dict, "pose",
                           me_value_array(&arena, ME_F32, 2, shape, clip->pose), err);
    if (!code && text) code = me_dict_put(&arena, dict, "text", me_value_string(&arena, text), err);
    if (!code) code = me_make_directories(dir, err);
    if (!code) code = me_npy_write_object(path, dict, err);
    me_arena_release(&arena);
    return code;
}
