/* tests/parity/arrays.c: see arrays.h. */
#include "tests/parity/arrays.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "metrics/result.h"

/* ---- files ---- */

me_code parity_files_open(parity_files *out, const char *folder, me_arena *arena, me_err *err)
{
    *out = (parity_files){0};
    me_code code =
        me_json_read(&out->golden, arena, me_path_join(arena, folder, "golden.json"), err);
    if (!code) code = me_doc_open(&out->io, me_path_join(arena, folder, "io.npz"), err);
    if (!code) out->config = me_dict_get(out->golden, "config");
    return code;
}

void parity_files_close(parity_files *f)
{
    me_doc_close(&f->io);
}

int64_t parity_size(const me_value *config, const char *name)
{
    return (int64_t)metric_result_number(config, name);
}

/* ---- arrays ---- */

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

float *parity_pack(const float *padded, int64_t n, int64_t longest, int64_t columns,
                   const int32_t *lengths, me_arena *arena)
{
    float *out = ME_NEW_ARRAY(arena, n * longest * columns, float);
    for (int64_t i = 0, row = 0; i < n && out; row += lengths[i++])
        memcpy(out + row * columns, padded + i * longest * columns,
               (size_t)(lengths[i] * columns) * sizeof *out);
    return out;
}

double parity_fill(uint32_t n, uint32_t i)
{
    uint32_t h = i * 0x9E3779B1u + n * 0x85EBCA77u + 0x165667B1u;
    h ^= h >> 16;
    h *= 0x7FEB352Du;
    h ^= h >> 15;
    h *= 0x846CA68Bu;
    h ^= h >> 16;
    return (double)h * 0x1p-31 - 1;
}

float *parity_filled(uint32_t n, int64_t count, double scale, double shift, me_arena *arena)
{
    float *x = ME_NEW_ARRAY(arena, count, float);
    for (int64_t i = 0; i < count && x; i++)
        x[i] = (float)(shift + scale * parity_fill(n, (uint32_t)i));
    return x;
}

/* ---- errors ---- */

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
