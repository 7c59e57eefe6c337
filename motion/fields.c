/* motion/fields.c: see fields_priv.h. */
#include "motion/fields_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"

const char *motion_width_hint(int64_t columns)
{
    switch (columns) {
    case 263:
        return " (HumanML3D features?)";
    case 207:
        return " (editor features, not a pose?)";
    case 251:
        return " (KIT-ML features?)";
    case 135:
        return " (pose rows or TMR features?)";
    case 63:
        return " (axis-angle of the 21 body joints, without the pelvis?)";
    case 66:
        return " (axis-angle, or positions of 22 joints?)";
    case 69:
    case 72:
        return " (SMPL axis-angle?)";
    case 132:
        return " (6D rotations without a translation?)";
    case 144:
        return " (6D rotations of 24 joints?)";
    case 156:
        return " (SMPL-H axis-angle?)";
    case 165:
        return " (SMPL-X axis-angle?)";
    default:
        return "";
    }
}

const char *motion_key_text(me_arena *arena, const me_value *key, bool *converted)
{
    if (key->kind == ME_STRING && strlen(key->as.string.data) == key->as.string.length)
        return me_arena_strndup(arena, key->as.string.data, key->as.string.length);
    if (key->kind != ME_INT || key->as.integer < 0) return NULL;
    *converted = true;
    return me_arena_printf(arena, "%06" PRId64, key->as.integer);
}

static bool any_not_finite(const float *v, int64_t n)
{
    /* On the bits, since a compiler may run this on whole vectors and not the test isfinite. */
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return bad;
}

int64_t motion_first_bad_row(const float *v, int64_t rows, int64_t columns)
{
    if (!any_not_finite(v, rows * columns)) return -1;
    for (int64_t t = 0; t < rows; t++)
        if (any_not_finite(v + t * columns, columns)) return t;
    return -1;
}

me_code motion_columns_view(me_array *view, const me_array *a, int64_t columns, bool exact,
                            const char *what, me_err *err)
{
    char text[128];
    *view = *a;
    if (a->ndim == 2 && (exact ? a->shape[1] == columns : a->shape[1] >= columns)) {
        view->shape[1] = columns;
        return ME_OK;
    }
    if (a->ndim == 3 && a->shape[2] == 3 && columns % 3 == 0 && a->shape[1] >= columns / 3) {
        view->shape[1] = columns / 3;
        return ME_OK;
    }
    const char *hint = a->ndim == 2 ? motion_width_hint(a->shape[1]) : "";
    return me_fail(err, ME_EDATA, "%s: expected (frames, %lld%s), found %s%s", what,
                   (long long)columns, exact ? "" : " or more",
                   me_array_describe(a, text, sizeof text), hint);
}

static int compare_keys(const void *a, const void *b, void *keys)
{
    const char *const *k = keys;
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    int order = strcmp(k[i], k[j]);
    return order ? order : (i > j) - (i < j);
}

me_code motion_key_sort(int64_t **out, me_arena *arena, const char *const *keys, int64_t n,
                        me_err *err)
{
    int64_t *order = ME_NEW_ARRAY(arena, n, int64_t);
    if (!order) return me_fail_mem(err, "an index of keys");
    for (int64_t i = 0; i < n; i++) order[i] = i;
    if (n > 1) qsort_r(order, (size_t)n, sizeof *order, compare_keys, (void *)keys);
    *out = order;
    return ME_OK;
}

me_code motion_key_order(int64_t **out, me_arena *arena, const char *const *keys, int64_t n,
                         me_err *err)
{
    int64_t *order = NULL;
    me_code code = motion_key_sort(&order, arena, keys, n, err);
    for (int64_t i = 1; i < n && !code; i++)
        if (!strcmp(keys[order[i - 1]], keys[order[i]]))
            code = me_fail(err, ME_EDATA, "the key %s occurs twice", keys[order[i]]);
    if (!code) *out = order;
    return code;
}

int64_t motion_key_find(const char *const *keys, const int64_t *order, int64_t n, const char *key)
{
    int64_t lo = 0, hi = n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        int c = strcmp(keys[order[mid]], key);
        if (c == 0) return order[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

me_code motion_metadata_strings(const char ***out, me_arena *arena, const me_value *metadata,
                                const char *field, int64_t want, me_err *err)
{
    const me_value *text = me_dict_get(metadata, field);
    if (!text || text->kind != ME_STRING)
        return me_fail(err, ME_EFORMAT, "the metadata lack '%s', which %s needs", field,
                       MOTION_SCHEMA);
    me_value *list;
    me_code code =
        me_json_parse(&list, arena, text->as.string.data, text->as.string.length, field, err);
    if (code) return code;
    if (list->kind != ME_LIST || (int64_t)list->as.list.length != want)
        return me_fail(err, ME_EFORMAT, "metadata '%s': expected a list of %lld strings", field,
                       (long long)want);
    const char **strings = ME_NEW_ARRAY(arena, want, const char *);
    if (!strings) return me_fail_mem(err, field);
    for (int64_t i = 0; i < want; i++) {
        const me_value *s = list->as.list.items[i];
        if (s->kind != ME_STRING)
            return me_fail(err, ME_EFORMAT, "metadata '%s': item %lld is no string", field,
                           (long long)i);
        strings[i] = s->as.string.data;
    }
    *out = strings;
    return ME_OK;
}
