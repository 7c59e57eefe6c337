/* tests/parity/arrays.c: see arrays.h. */
#include "tests/parity/arrays.h"

#include <math.h>

static me_code find(const me_array **out, const me_value *dict, const char *name, me_err *err)
{
    const me_value *v = me_dict_get(dict, name);
    if (!v || v->kind != ME_ARRAY)
        return me_fail(err, ME_EFORMAT, "expected an array '%s', found %s", name,
                       v ? me_kind_name(v->kind) : "none");
    *out = &v->as.array;
    return ME_OK;
}

me_code parity_floats(float **out, int64_t *count, const me_value *dict, const char *name,
                      me_arena *arena, me_err *err)
{
    const me_array *a = NULL;
    me_code code = find(&a, dict, name, err);
    if (code) return code;
    *out = ME_NEW_ARRAY(arena, me_array_count(a), float);
    if (!*out) return me_fail_mem(err, name);
    if (count) *count = me_array_count(a);
    return me_array_read_f32(a, *out, err);
}

me_code parity_ints(int32_t **out, int64_t *count, const me_value *dict, const char *name,
                    me_arena *arena, me_err *err)
{
    const me_array *a = NULL;
    me_code code = find(&a, dict, name, err);
    if (code) return code;
    const int64_t n = me_array_count(a);
    int64_t *wide = ME_NEW_ARRAY(arena, n, int64_t);
    *out = ME_NEW_ARRAY(arena, n, int32_t);
    if (!wide || !*out) return me_fail_mem(err, name);
    code = me_array_read_i64(a, wide, err);
    for (int64_t i = 0; i < n && !code; i++) (*out)[i] = (int32_t)wide[i];
    if (count) *count = n;
    return code;
}

double parity_distance(const float *x, const float *reference, int64_t n)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)x[i] - (double)reference[i];
        difference += d * d;
        size += (double)reference[i] * (double)reference[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

double parity_largest(const float *x, const float *reference, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)x[i] - (double)reference[i]);
        if (!(d <= worst)) worst = d;
    }
    return worst;
}
