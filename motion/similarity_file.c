/* motion/similarity_file.c: similarity scores of many pairs as files (similarity.h). */
#include <math.h>
#include <string.h>

#include "core/npy.h"
#include "motion/similarity.h"

me_code motion_similarity_open(motion_similarity_file *out, const char *path, me_err *err)
{
    *out = (motion_similarity_file){0};
    me_code code = me_doc_open(&out->doc, path, err);
    if (code != ME_OK) return code;
    const me_value *v = out->doc.root, *inner = me_dict_get(v, "arr_0");
    if (inner) v = inner;
    if (v->kind == ME_DICT) {
        out->pairs = v;
        return ME_OK;
    }
    code = me_fail(err, ME_EFORMAT,
                   "%s: expected similarity scores, a dictionary by key (or an npz whose arr_0 is "
                   "one), found %s",
                   path, me_kind_name(v->kind));
    motion_similarity_close(out);
    return code;
}

void motion_similarity_close(motion_similarity_file *file)
{
    me_doc_close(&file->doc);
    file->pairs = NULL;
}

static me_code read_curve(double **out, int64_t *n, const me_value *pair, const char *name,
                          const char *key, me_arena *arena, me_err *err)
{
    const me_value *v = me_dict_get(pair, name);
    if (!v || v->kind != ME_ARRAY || v->as.array.ndim != 1)
        return me_fail(err, ME_EFORMAT, "scores of %s: expected a vector '%s', found %s", key, name,
                       v ? me_kind_name(v->kind) : "none");
    *n = me_array_count(&v->as.array);
    *out = ME_NEW_ARRAY(arena, *n, double);
    return *out ? me_array_read_f64(&v->as.array, *out, err) : me_fail_mem(err, "scores");
}

/* use_loss is a bool, an integer, or a NumPy scalar. */
static bool truth_of(const me_value *v)
{
    int64_t i = 0;
    if (!v) return false;
    if (v->kind == ME_BOOLEAN) return v->as.boolean;
    if (v->kind == ME_INT) return v->as.integer != 0;
    return v->kind == ME_ARRAY && me_array_count(&v->as.array) == 1 &&
           me_array_read_i64(&v->as.array, &i, NULL) == ME_OK && i != 0;
}

me_code motion_similarity_find(motion_similarity *out, const motion_similarity_file *file,
                               me_arena *arena, const char *key, me_err *err)
{
    const me_value *pair = me_dict_get(file->pairs, key);
    *out = (motion_similarity){.snr = NAN};
    if (!pair) return ME_OK;
    int64_t n = 0;
    me_code code = read_curve(&out->score, &out->n, pair, "score", key, arena, err);
    if (code == ME_OK && me_dict_get(pair, "score_original"))
        code = read_curve(&out->original, &n, pair, "score_original", key, arena, err);
    for (int64_t i = 0; i < out->n && code == ME_OK; i++)
        if (!isfinite(out->score[i]))
            code = me_fail(err, ME_EDATA, "scores of %s: frame %lld is not a finite number", key,
                           (long long)i);
    out->teaches = truth_of(me_dict_get(pair, "use_loss"));
    return code;
}

static me_code put_pair(me_arena *arena, me_value *all, const char *key, const motion_similarity *s,
                        me_err *err)
{
    me_value *pair = me_value_new(arena, ME_DICT), *name = me_value_string(arena, key);
    me_value *teaches = me_value_bool(arena, s->teaches);
    me_value *score = me_value_array(arena, ME_F64, 1, &s->n, s->score);
    me_value *original = me_value_array(arena, ME_F64, 1, &s->n, s->original);
    if (!pair || !name || !teaches || !score || !original) return me_fail_mem(err, "scores");
    me_code code = me_dict_put(arena, pair, "use_loss", teaches, err);
    if (code == ME_OK) code = me_dict_put(arena, pair, "score", score, err);
    if (code == ME_OK) code = me_dict_put(arena, pair, "score_original", original, err);
    return code == ME_OK ? me_dict_append(arena, all, name, pair, err) : code;
}

me_code motion_similarity_write(const char *path, const char *const *keys,
                                const motion_similarity *scores, int64_t n, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_value *all = me_value_new(&arena, ME_DICT);
    me_code code = all ? ME_OK : me_fail_mem(err, "scores");
    for (int64_t i = 0; i < n && code == ME_OK; i++)
        code = put_pair(&arena, all, keys[i], &scores[i], err);
    if (code == ME_OK) code = me_npy_write_object(path, all, err);
    me_arena_release(&arena);
    return code;
}
