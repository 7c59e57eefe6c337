/* metrics/subset.c: which of a dataset's items are scored (protocol.h; spec evaluation 8, traps 3
 * and 5). */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/rng.h"
#include "metrics/protocol.h"

/* Both repositories seed Python's generator with 42 and take half of the test items. */
#define LEGACY_SEED 42
#define MOTIONFIX_TEST 1013

/* OmniME's three data sets (statistics, train, validation) each draw randint(0, size - 2) while
 * they are built, before the half is drawn. */
static const uint32_t omnime_sizes[] = {5717, 5387, 330};

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static me_code legacy_half(metric_subset *out, me_arena *arena, bool omnime, int64_t n, me_err *err)
{
    const int64_t k = n / 2;
    if (k < 1 || n > (int64_t)UINT32_MAX)
        return me_fail(err, ME_EDATA, "subset %s: half of %lld items cannot be drawn", out->name,
                       (long long)n);
    me_mt *g = ME_NEW(arena, me_mt);
    int64_t *pool = ME_NEW_ARRAY(arena, n, int64_t);
    out->index = ME_NEW_ARRAY(arena, k, int64_t);
    if (!g || !pool || !out->index) return me_fail_mem(err, "a subset");
    me_mt_seed_python(g, LEGACY_SEED);
    for (size_t i = 0; omnime && i < sizeof omnime_sizes / sizeof *omnime_sizes; i++)
        me_python_randbelow(g, omnime_sizes[i] - 1);
    me_python_sample(g, n, k, out->index, pool);
    qsort(out->index, (size_t)k, sizeof *out->index, ascending);
    out->n = k;
    out->warning =
        n == MOTIONFIX_TEST
            ? me_arena_printf(
                  arena,
                  "subset %s: %lld of %lld test items; the halves of SimMotionEdit and OmniME "
                  "are not the same (they share 426 items), nor is either the whole split",
                  out->name, (long long)k, (long long)n)
            : me_arena_printf(
                  arena,
                  "subset %s: drawn by position from %lld items in file order; only of "
                  "MotionFix's %d test items is this half the one that was published on",
                  out->name, (long long)n, MOTIONFIX_TEST);
    return out->warning ? ME_OK : me_fail_mem(err, "a subset");
}

/* ---- files of keys ---- */

typedef struct keyed {
    const char *key;
    int64_t item;
} keyed;

static int by_key(const void *a, const void *b)
{
    return strcmp(((const keyed *)a)->key, ((const keyed *)b)->key);
}

typedef struct key_list {
    const char **keys;
    int64_t n;
} key_list;

static me_code list_from_json(key_list *out, me_arena *arena, const me_bytes *bytes,
                              const char *path, me_err *err)
{
    me_value *v;
    me_code code = me_json_parse(&v, arena, (const char *)bytes->data, bytes->size, path, err);
    if (code != ME_OK) return code;
    if (v->kind != ME_LIST)
        return me_fail(err, ME_EFORMAT, "%s: wanted a JSON list of keys, found %s", path,
                       me_kind_name(v->kind));
    out->keys = ME_NEW_ARRAY(arena, v->as.list.length, const char *);
    if (!out->keys) return me_fail_mem(err, path);
    for (size_t i = 0; i < v->as.list.length; i++) {
        const me_value *item = v->as.list.items[i];
        if (item->kind != ME_STRING)
            return me_fail(err, ME_EFORMAT, "%s: key %zu is %s, wanted a string such as \"000021\"",
                           path, i, me_kind_name(item->kind));
        out->keys[out->n++] = item->as.string.data;
    }
    return ME_OK;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static me_code list_from_lines(key_list *out, me_arena *arena, const me_bytes *bytes, me_err *err)
{
    const char *text = (const char *)bytes->data, *end = text + bytes->size;
    int64_t lines = 1;
    for (const char *p = text; p < end; p++) lines += *p == '\n';
    out->keys = ME_NEW_ARRAY(arena, lines, const char *);
    if (!out->keys) return me_fail_mem(err, "a list of keys");
    for (const char *p = text; p < end;) {
        const char *line = p;
        while (p < end && *p != '\n') p++;
        const char *stop = p;
        p += p < end;
        while (line < stop && blank(*line)) line++;
        while (stop > line && blank(stop[-1])) stop--;
        if (line == stop) continue;
        out->keys[out->n] = me_arena_strndup(arena, line, (size_t)(stop - line));
        if (!out->keys[out->n++]) return me_fail_mem(err, "a list of keys");
    }
    return ME_OK;
}

static me_code match_keys(metric_subset *out, me_arena *arena, const key_list *list,
                          const char *path, const char *const *keys, int64_t n, me_err *err)
{
    keyed *table = ME_NEW_ARRAY(arena, n, keyed);
    unsigned char *taken = ME_NEW_ARRAY(arena, n, unsigned char);
    out->index = ME_NEW_ARRAY(arena, n, int64_t);
    if (!table || !taken || !out->index) return me_fail_mem(err, "a subset");
    for (int64_t i = 0; i < n; i++) table[i] = (keyed){keys[i], i};
    qsort(table, (size_t)n, sizeof *table, by_key);
    int64_t unknown = 0, repeated = 0;
    const char *first = NULL;
    for (int64_t i = 0; i < list->n; i++) {
        keyed wanted = {list->keys[i], 0};
        const keyed *found = bsearch(&wanted, table, (size_t)n, sizeof *table, by_key);
        if (!found) {
            first = first ? first : list->keys[i];
            unknown++;
        } else {
            repeated += taken[found->item];
            taken[found->item] = 1;
        }
    }
    if (unknown)
        return me_fail(
            err, ME_EDATA,
            "%s: %lld of %lld keys are not in the dataset, first \"%s\" (its keys look like "
            "\"%s\")",
            path, (long long)unknown, (long long)list->n, first, n ? keys[0] : "");
    for (int64_t i = 0; i < n; i++)
        if (taken[i]) out->index[out->n++] = i;
    if (out->n == 0) return me_fail(err, ME_EDATA, "%s: holds no key", path);
    out->warning = repeated ? me_arena_printf(arena, "%s: %lld repeated keys count once", path,
                                              (long long)repeated)
                            : NULL;
    return ME_OK;
}

static me_code from_file(metric_subset *out, me_arena *arena, const char *path,
                         const char *const *keys, int64_t n, me_err *err)
{
    me_bytes bytes;
    me_code code = me_bytes_open(&bytes, path, err);
    if (code != ME_OK) return code;
    key_list list = {0};
    size_t start = 0;
    while (start < bytes.size && blank((char)bytes.data[start])) start++;
    if (start < bytes.size && bytes.data[start] == '[')
        code = list_from_json(&list, arena, &bytes, path, err);
    else
        code = list_from_lines(&list, arena, &bytes, err);
    if (code == ME_OK) code = match_keys(out, arena, &list, path, keys, n, err);
    me_bytes_close(&bytes);
    return code;
}

me_code metric_subset_make(metric_subset *out, me_arena *arena, const char *name,
                           const char *const *keys, int64_t n, me_err *err)
{
    *out = (metric_subset){.name = me_arena_strdup(arena, name)};
    if (!out->name) return me_fail_mem(err, "a subset");
    if (strcmp(name, "legacy506-simmotionedit") == 0) return legacy_half(out, arena, false, n, err);
    if (strcmp(name, "legacy506-omnime") == 0) return legacy_half(out, arena, true, n, err);
    if (strcmp(name, "all") != 0) {
        if (!me_file_exists(name))
            return me_fail(
                err, ME_EUSAGE,
                "subset %s: neither all, legacy506-simmotionedit, legacy506-omnime nor a "
                "file of keys",
                name);
        out->name = me_arena_printf(arena, "file:%s", me_path_base(name));
        if (!out->name) return me_fail_mem(err, "a subset");
        return from_file(out, arena, name, keys, n, err);
    }
    out->index = ME_NEW_ARRAY(arena, n, int64_t);
    if (!out->index) return me_fail_mem(err, "a subset");
    for (int64_t i = 0; i < n; i++) out->index[i] = i;
    out->n = n;
    return ME_OK;
}

void metric_keys_sha256(char out[65], const char *const *keys, int64_t n)
{
    me_sha256 s;
    me_sha256_init(&s);
    for (int64_t i = 0; i < n; i++) {
        me_sha256_add(&s, keys[i], strlen(keys[i]));
        me_sha256_add(&s, "\n", 1);
    }
    me_sha256_hex(&s, out);
}
