/* core/value.c: see value.h. Makers, lookups and the conversions of array elements; no file format
 * is known here. */
#include "core/value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
#define X(id, name, bytes) {name, bytes},
    ME_DTYPE_LIST(X)
#undef X
};

static const char *const kinds[] = {"None",  "bool", "integer",    "float", "string",
                                    "bytes", "list", "dictionary", "array", "object"};

const char *me_dtype_name(me_dtype dtype)
{
    return (unsigned)dtype < ME_DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

size_t me_dtype_size(me_dtype dtype)
{
    return (unsigned)dtype < ME_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

const char *me_kind_name(me_kind kind)
{
    return (unsigned)kind < sizeof kinds / sizeof *kinds ? kinds[kind] : "unknown";
}

/* ---- makers ---------------------------------------------------------------------------------- */

me_value *me_value_new(me_arena *arena, me_kind kind)
{
    me_value *v = ME_NEW(arena, me_value);
    if (v) v->kind = kind;
    return v;
}

me_value *me_value_string(me_arena *arena, const char *s)
{
    me_value *v = me_value_new(arena, ME_STRING);
    char *copy = v ? me_arena_strdup(arena, s) : NULL;
    if (!copy) return NULL;
    v->as.string.data = copy;
    v->as.string.length = strlen(s);
    return v;
}

me_value *me_value_int(me_arena *arena, int64_t i)
{
    me_value *v = me_value_new(arena, ME_INT);
    if (v) v->as.integer = i;
    return v;
}

me_value *me_value_float(me_arena *arena, double x)
{
    me_value *v = me_value_new(arena, ME_FLOAT);
    if (v) v->as.number = x;
    return v;
}

me_value *me_value_bool(me_arena *arena, bool b)
{
    me_value *v = me_value_new(arena, ME_BOOLEAN);
    if (v) v->as.boolean = b;
    return v;
}

me_value *me_value_array(me_arena *arena, me_dtype dtype, int ndim, const int64_t *shape,
                         const void *data)
{
    me_value *v = me_value_new(arena, ME_ARRAY);
    if (v) v->as.array = me_array_make(dtype, ndim, shape, data);
    return v;
}

/* Room for one more pointer in one or two parallel vectors. The old vectors stay in the arena:
 * doubling bounds that waste by the final size. */
static bool grow(me_arena *arena, me_value ***a, me_value ***b, size_t length, size_t *capacity)
{
    if (length < *capacity) return true;
    size_t wanted = *capacity ? *capacity * 2 : 8;
    me_value ***vectors[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        if (!vectors[i]) continue;
        me_value **bigger = ME_NEW_ARRAY(arena, wanted, me_value *);
        if (!bigger) return false;
        if (length) memcpy(bigger, *vectors[i], length * sizeof *bigger);
        *vectors[i] = bigger;
    }
    *capacity = wanted;
    return true;
}

me_code me_list_append(me_arena *arena, me_value *list, me_value *item, me_err *err)
{
    assert(!list || list->kind == ME_LIST);
    if (!list || !item ||
        !grow(arena, &list->as.list.items, NULL, list->as.list.length, &list->as.list.capacity))
        return me_fail_mem(err, "a list");
    list->as.list.items[list->as.list.length++] = item;
    return ME_OK;
}

me_code me_dict_append(me_arena *arena, me_value *dict, me_value *key, me_value *value, me_err *err)
{
    assert(!dict || dict->kind == ME_DICT);
    if (!dict || !key || !value ||
        !grow(arena, &dict->as.dict.keys, &dict->as.dict.values, dict->as.dict.length,
              &dict->as.dict.capacity))
        return me_fail_mem(err, "a dictionary");
    dict->as.dict.keys[dict->as.dict.length] = key;
    dict->as.dict.values[dict->as.dict.length++] = value;
    return ME_OK;
}

bool me_key_equals(const me_value *a, const me_value *b)
{
    if (a == b) return true;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case ME_NONE:
        return true;
    case ME_BOOLEAN:
        return a->as.boolean == b->as.boolean;
    case ME_INT:
        return a->as.integer == b->as.integer;
    case ME_FLOAT:
        return a->as.number == b->as.number;
    case ME_STRING:
    case ME_BYTES:
    case ME_OBJECT:
        return a->as.string.length == b->as.string.length &&
               memcmp(a->as.string.data, b->as.string.data, a->as.string.length) == 0;
    default:
        return false;
    }
}

me_code me_dict_set(me_arena *arena, me_value *dict, me_value *key, me_value *value, me_err *err)
{
    assert(!dict || dict->kind == ME_DICT);
    if (!dict || !key || !value) return me_fail_mem(err, "a dictionary");
    for (size_t i = 0; i < dict->as.dict.length; i++)
        if (me_key_equals(dict->as.dict.keys[i], key)) {
            dict->as.dict.values[i] = value;
            return ME_OK;
        }
    return me_dict_append(arena, dict, key, value, err);
}

me_code me_dict_put(me_arena *arena, me_value *dict, const char *key, me_value *value, me_err *err)
{
    return me_dict_set(arena, dict, me_value_string(arena, key), value, err);
}

static bool is_text(const me_value *v, const char *text, size_t length)
{
    return v->kind == ME_STRING && v->as.string.length == length &&
           memcmp(v->as.string.data, text, length) == 0;
}

bool me_string_equals(const me_value *v, const char *s)
{
    return v && is_text(v, s, strlen(s));
}

me_value *me_dict_get(const me_value *v, const char *key)
{
    if (!v || v->kind != ME_DICT) return NULL;
    const size_t length = strlen(key);
    for (size_t i = 0; i < v->as.dict.length; i++)
        if (is_text(v->as.dict.keys[i], key, length)) return v->as.dict.values[i];
    return NULL;
}

/* ---- arrays ---------------------------------------------------------------------------------- */

int64_t me_array_count(const me_array *a)
{
    int64_t n = 1;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] == 0) return 0;
    for (int i = 0; i < a->ndim; i++) n *= a->shape[i];
    return n;
}

bool me_array_contiguous(const me_array *a)
{
    int64_t expected = 1;
    if (me_array_count(a) == 0) return true;
    for (int i = a->ndim - 1; i >= 0; i--) {
        if (a->shape[i] != 1 && a->stride[i] != expected) return false;
        expected *= a->shape[i];
    }
    return true;
}

me_array me_array_make(me_dtype dtype, int ndim, const int64_t *shape, const void *data)
{
    assert(ndim >= 0 && ndim <= ME_MAX_DIMS);
    me_array a = {.dtype = dtype, .ndim = ndim, .data = data};
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        a.shape[i] = shape[i];
        a.stride[i] = stride;
        if (shape[i]) stride *= shape[i];
    }
    return a;
}

/* The bytes of one number in this machine's order. For complex numbers each half is one number. */
static void fetch(unsigned char *out, const unsigned char *p, size_t size, bool swapped)
{
    if (!swapped)
        memcpy(out, p, size);
    else
        for (size_t i = 0; i < size; i++) out[i] = p[size - 1 - i];
}

static double half_to_double(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, m = h & 1023u, bits;
    float f;
    if (exponent == 0) { /* zero or subnormal: m * 2^-24, exact in float */
        f = (float)m * 0x1p-24f;
        return sign ? -(double)f : (double)f;
    }
    bits = exponent == 31 ? sign | 0x7f800000u | m << 13 : sign | (exponent + 112) << 23 | m << 13;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static double bfloat_to_double(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

typedef union number {
    unsigned char bytes[8];
    float f32;
    double f64;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
} number;

static double load_double(const me_array *a, const unsigned char *p)
{
    number x = {{0}};
    fetch(x.bytes, p, me_dtype_size(a->dtype), a->swapped);
    switch (a->dtype) {
    case ME_F16:
        return half_to_double(x.u16);
    case ME_BF16:
        return bfloat_to_double(x.u16);
    case ME_F32:
        return (double)x.f32;
    case ME_F64:
        return x.f64;
    case ME_I8:
        return x.i8;
    case ME_I16:
        return x.i16;
    case ME_I32:
        return x.i32;
    case ME_I64:
        return (double)x.i64;
    case ME_U8:
        return x.u8;
    case ME_U16:
        return x.u16;
    case ME_U32:
        return x.u32;
    case ME_U64:
        return (double)x.u64;
    default:
        return x.u8 != 0; /* ME_BOOL: callers have refused complex */
    }
}

/* False when the value does not fit. */
static bool load_int(const me_array *a, const unsigned char *p, int64_t *out)
{
    number x = {{0}};
    fetch(x.bytes, p, me_dtype_size(a->dtype), a->swapped);
    switch (a->dtype) {
    case ME_I8:
        *out = x.i8;
        return true;
    case ME_I16:
        *out = x.i16;
        return true;
    case ME_I32:
        *out = x.i32;
        return true;
    case ME_I64:
        *out = x.i64;
        return true;
    case ME_U8:
        *out = x.u8;
        return true;
    case ME_U16:
        *out = x.u16;
        return true;
    case ME_U32:
        *out = x.u32;
        return true;
    case ME_U64:
        *out = (int64_t)x.u64;
        return x.u64 <= INT64_MAX;
    default:
        *out = x.u8 != 0;
        return true; /* ME_BOOL */
    }
}

typedef enum { INTO_F32, INTO_F64, INTO_I64, INTO_SAME } target;

/* One run of `n` elements, `stride` bytes apart, to element `at` of out. */
static bool read_run(const me_array *a, const unsigned char *p, int64_t stride, int64_t n,
                     target to, void *out, int64_t at)
{
    size_t size = me_dtype_size(a->dtype);
    if (!a->swapped && stride == (int64_t)size &&
        (to == INTO_SAME || (to == INTO_F32 && a->dtype == ME_F32) ||
         (to == INTO_F64 && a->dtype == ME_F64) || (to == INTO_I64 && a->dtype == ME_I64))) {
        memcpy((unsigned char *)out + (size_t)at * size, p, (size_t)n * size);
        return true;
    }
    size_t halves = a->dtype == ME_C64 || a->dtype == ME_C128 ? 2 : 1;
    for (int64_t i = 0; i < n; i++, p += stride) {
        if (to == INTO_F32) {
            ((float *)out)[at + i] = (float)load_double(a, p);
        } else if (to == INTO_F64) {
            ((double *)out)[at + i] = load_double(a, p);
        } else if (to == INTO_I64) {
            if (!load_int(a, p, &((int64_t *)out)[at + i])) return false;
        } else {
            unsigned char *o = (unsigned char *)out + (size_t)(at + i) * size;
            for (size_t h = 0; h < halves; h++)
                fetch(o + h * size / halves, p + h * size / halves, size / halves, a->swapped);
        }
    }
    return true;
}

/* All elements in row-major order, a run of the last dimension (or everything, when contiguous) at
 * a time. */
static bool read_all(const me_array *a, target to, void *out)
{
    int64_t total = me_array_count(a), size = (int64_t)me_dtype_size(a->dtype);
    if (total == 0) return true;
    if (me_array_contiguous(a)) return read_run(a, a->data, size, total, to, out, 0);
    int last = a->ndim - 1;
    int64_t index[ME_MAX_DIMS] = {0};
    for (int64_t at = 0; at < total; at += a->shape[last]) {
        int64_t offset = 0;
        for (int d = 0; d < last; d++) offset += index[d] * a->stride[d];
        if (!read_run(a, a->data + offset * size, a->stride[last] * size, a->shape[last], to, out,
                      at))
            return false;
        for (int d = last - 1; d >= 0 && ++index[d] == a->shape[d]; d--) index[d] = 0;
    }
    return true;
}

static me_code refuse_complex(const me_array *a, me_err *err)
{
    if (a->dtype == ME_C64 || a->dtype == ME_C128)
        return me_fail(err, ME_EDATA, "expected real numbers, found %s", me_dtype_name(a->dtype));
    return ME_OK;
}

me_code me_array_read_f32(const me_array *a, float *out, me_err *err)
{
    me_code code = refuse_complex(a, err);
    if (code == ME_OK) read_all(a, INTO_F32, out);
    return code;
}

me_code me_array_read_f64(const me_array *a, double *out, me_err *err)
{
    me_code code = refuse_complex(a, err);
    if (code == ME_OK) read_all(a, INTO_F64, out);
    return code;
}

me_code me_array_read_i64(const me_array *a, int64_t *out, me_err *err)
{
    if (a->dtype <= ME_F64 || a->dtype >= ME_C64)
        return me_fail(err, ME_EDATA, "expected integers, found %s", me_dtype_name(a->dtype));
    if (!read_all(a, INTO_I64, out))
        return me_fail(err, ME_EDATA, "an unsigned integer is larger than %" PRId64, INT64_MAX);
    return ME_OK;
}

void me_array_read_same(const me_array *a, void *out)
{
    read_all(a, INTO_SAME, out);
}

me_code me_array_read_columns_f32(const me_array *a, int64_t from, int64_t to, float *out,
                                  me_err *err)
{
    char text[96];
    if (a->ndim != 2 || from < 0 || from > to || to > a->shape[1])
        return me_fail(err, ME_EDATA,
                       "expected a table with at least %" PRId64 " columns, found %s", to,
                       me_array_describe(a, text, sizeof text));
    me_array part = *a;
    part.shape[1] = to - from;
    if (me_array_count(&part) > 0)
        part.data += (size_t)(from * a->stride[1]) * me_dtype_size(a->dtype);
    return me_array_read_f32(&part, out, err);
}

char *me_array_describe(const me_array *a, char *buf, size_t size)
{
    if (!size) return buf;
    int n = snprintf(buf, size, "%s (", me_dtype_name(a->dtype));
    size_t used = n > 0 ? (size_t)n : 0;
    for (int i = 0; i < a->ndim && used < size; i++) {
        n = snprintf(buf + used, size - used, "%s%" PRId64, i ? ", " : "", a->shape[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (used < size) snprintf(buf + used, size - used, "%s)", a->ndim == 1 ? "," : "");
    return buf;
}
