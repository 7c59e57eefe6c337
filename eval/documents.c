/* eval/documents.c: see documents.h. */
#include "eval/documents.h"

#include <stdio.h>
#include <string.h>

#include "core/builder.h"
#include "core/file.h"
#include "core/json.h"
#include "metrics/result.h"
#include "reports/report.h"

/* ---- saved documents ---------------------------------------------------------------------------
 */

/* A folder stands for the document in it. */
static const char *document_in(me_arena *arena, const char *path)
{
    static const char *const names[] = {"result.json", "results.json"};
    if (!me_is_directory(path)) return path;
    for (int i = 0; i < 2; i++) {
        const char *inside = me_path_join(arena, path, names[i]);
        if (inside && me_file_exists(inside)) return inside;
    }
    return path;
}

me_code eval_document_open(me_value **out, const char **file, me_arena *arena, const char *path,
                           me_err *err)
{
    *file = document_in(arena, path);
    me_code code = me_json_read(out, arena, *file, err);
    if (!code) code = report_check(*out, *file, err);
    if (code) return code;
    const me_value *schema = me_dict_get(*out, "schema");
    if (!me_string_equals(schema, METRIC_RESULT_SCHEMA) &&
        !me_string_equals(schema, REPORT_REPRODUCTION_SCHEMA))
        return me_fail(err, ME_EUSAGE, "%s: a result is wanted here, found schema \"%s\"", *file,
                       schema->as.string.data);
    if (!metric_result_at(*out, "provenance/keys_sha256"))
        return me_fail(err, ME_EFORMAT,
                       "%s: provenance/keys_sha256 is absent, so nobody can tell what was scored",
                       *file);
    return ME_OK;
}

const char *eval_document_beside(me_arena *arena, const char *file, const char *name)
{
    return me_arena_printf(arena, "%.*s%s", (int)(me_path_base(file) - file), file, name);
}

const char *eval_document_text(const me_value *v, const char *path, const char *fallback)
{
    const me_value *s = metric_result_at(v, path);
    return s && s->kind == ME_STRING ? s->as.string.data : fallback;
}

/* What must be equal for numbers to be comparable. */
static const struct {
    const char *path, *name;
    bool optional; /* a result need not have it */
} deciding[] = {
    {"provenance/keys_sha256", "the set of scored items", false},
    {"provenance/tmr_sha256", "the embedder", false},
    {"provenance/gelu", "the form of GELU", false},
    {"protocols/batch32/batch_size", "the size of batches", true},
    {"protocols/batch32/seed", "the seed of batches", true},
};
enum { DECIDING = sizeof deciding / sizeof *deciding };

/* As text in `buf`; NULL where a result need not have it and has not. */
static const char *fact(char *buf, size_t size, const me_value *document, int which)
{
    const me_value *v = metric_result_at(document, deciding[which].path);
    if (v && v->kind == ME_INT) {
        snprintf(buf, size, "%lld", (long long)v->as.integer);
        return buf;
    }
    if (v && v->kind == ME_STRING) return v->as.string.data;
    return deciding[which].optional ? NULL : "not stated";
}

/* The first deciding fact that differs, or DECIDING. */
static int first_difference(const me_value *a, const me_value *b)
{
    char of_a[32], of_b[32];
    for (int i = 0; i < DECIDING; i++) {
        const char *x = fact(of_a, sizeof of_a, a, i), *y = fact(of_b, sizeof of_b, b, i);
        if (x && y && strcmp(x, y) != 0) return i;
    }
    return DECIDING;
}

bool eval_document_compares(const me_value *a, const me_value *b)
{
    return first_difference(a, b) == DECIDING;
}

me_code eval_document_refuse(const me_value *a, const char *file_a, const me_value *b,
                             const char *file_b, const char *advice, me_err *err)
{
    char of_a[32], of_b[32];
    const int which = first_difference(a, b);
    if (which == DECIDING) return me_fail(err, ME_EBUG, "%s and %s compare", file_a, file_b);
    return me_fail(err, ME_EDATA,
                   "%s and %s differ in %s (%.12s, N %lld, and %.12s, N %lld), so their numbers "
                   "do not compare; %s",
                   file_a, file_b, deciding[which].name, fact(of_a, sizeof of_a, a, which),
                   (long long)metric_result_number(a, "samples/evaluated"),
                   fact(of_b, sizeof of_b, b, which),
                   (long long)metric_result_number(b, "samples/evaluated"), advice);
}

/* ---- parts of a new one ------------------------------------------------------------------------
 */

me_code eval_document_pick(me_value **out, me_arena *arena, const me_value *from,
                           const char *const *keys, me_err *err)
{
    *out = me_value_new(arena, ME_DICT);
    me_code code = *out ? ME_OK : me_fail_mem(err, "a document");
    for (int i = 0; keys[i] && !code; i++) {
        me_value *v = me_dict_get(from, keys[i]);
        if (v) code = me_dict_put(arena, *out, keys[i], v, err);
    }
    return code;
}

me_code eval_document_protocols(me_value **out, me_arena *arena, const me_value *protocols,
                                me_err *err)
{
    static const char *const kept[] = {"n",       "batches", "batch_size", "seed",
                                       "dropped", "reason",  "chance",     NULL};
    *out = me_value_new(arena, ME_DICT);
    me_code code = *out ? ME_OK : me_fail_mem(err, "a document");
    for (size_t i = 0; !code && i < protocols->as.dict.length; i++) {
        me_value *part;
        if (protocols->as.dict.values[i]->kind != ME_DICT) continue;
        code = eval_document_pick(&part, arena, protocols->as.dict.values[i], kept, err);
        if (!code) code = me_dict_set(arena, *out, protocols->as.dict.keys[i], part, err);
    }
    return code;
}

me_code eval_document_baselines(me_value **out, me_arena *arena, const me_value *baselines,
                                me_err *err)
{
    *out = me_value_new(arena, ME_DICT);
    me_code code = *out ? ME_OK : me_fail_mem(err, "a document");
    if (!baselines || baselines->kind != ME_DICT) return code;
    for (size_t i = 0; !code && i < baselines->as.dict.length; i++) {
        me_value *name = baselines->as.dict.keys[i];
        if (strncmp(name->as.string.data, "submission", 10) != 0)
            code = me_dict_set(arena, *out, name, baselines->as.dict.values[i], err);
    }
    return code;
}

me_code eval_document_shared(me_value *to, me_arena *arena, const me_value *document, me_err *err)
{
    static const char *const samples[] = {"dataset", "split_keys", "evaluated", "missing", NULL};
    static const char *const kept[] = {"keys_sha256", "subset",    "split", "tmr",
                                       "tmr_sha256",  "benchmark", "gelu",  NULL};
    me_value *part;
    me_code code = eval_document_pick(&part, arena, me_dict_get(document, "samples"), samples, err);
    if (!code) code = me_dict_put(arena, to, "samples", part, err);
    if (!code)
        code = eval_document_protocols(&part, arena, me_dict_get(document, "protocols"), err);
    if (!code) code = me_dict_put(arena, to, "protocols", part, err);
    if (!code)
        code = eval_document_pick(&part, arena, me_dict_get(document, "provenance"), kept, err);
    return code ? code : me_dict_put(arena, to, "provenance", part, err);
}

static bool name_taken(const me_value *rows, const char *name)
{
    for (size_t i = 0; i < rows->as.list.length; i++)
        if (me_string_equals(me_dict_get(rows->as.list.items[i], "name"), name)) return true;
    return false;
}

me_code eval_document_row(me_value **out, me_arena *arena, me_value *rows, const char *name,
                          const char *file, const me_value *document, me_err *err)
{
    static const char *const facts[] = {"dataset_sha256", "precision", "generated_sha256",
                                        "mebench", "device"};
    const me_value *provenance = me_dict_get(document, "provenance");
    if (name_taken(rows, name)) name = me_arena_printf(arena, "%s (%s)", name, file);
    *out = me_value_new(arena, ME_DICT);
    me_builder b = {arena, err, ME_OK};
    me_put_text(&b, *out, "name", name);
    me_put_text(&b, *out, "file", file);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (me_dict_get(provenance, facts[i]))
            me_put(&b, *out, facts[i], me_dict_get(provenance, facts[i]));
    me_append(&b, rows, *out);
    return b.code;
}
