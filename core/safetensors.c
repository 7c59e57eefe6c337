/* core/safetensors.c: see safetensors.h. The format's own rules are kept: data without gaps or
 * overlaps, little-endian, offsets counted from the end of the header. */
#include "core/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/pickle_priv.h"

#define LARGEST_HEADER ((uint64_t)100 << 20)

enum { HEAD = 10 }; /* bytes that tell the format: the length and what the header begins with */

// clang-format off
static const struct { const char *code; me_dtype dtype; } codes[] = {
    {"F16", ME_F16}, {"BF16", ME_BF16}, {"F32", ME_F32}, {"F64", ME_F64}, {"I8", ME_I8},
    {"I16", ME_I16}, {"I32", ME_I32}, {"I64", ME_I64}, {"U8", ME_U8}, {"U16", ME_U16},
    {"U32", ME_U32}, {"U64", ME_U64}, {"BOOL", ME_BOOL}, {"C64", ME_C64}};
// clang-format on

static uint64_t header_length(const unsigned char *bytes)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++) n |= (uint64_t)bytes[i] << (8 * i);
    return n;
}

bool me_is_safetensors(const unsigned char *bytes, size_t size)
{
    return size >= HEAD && bytes[8] == '{' && header_length(bytes) <= LARGEST_HEADER;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

typedef struct span {
    uint64_t from, to;
} span;

static int by_start(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

static bool parse_dtype(me_dtype *out, const me_value *v)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (me_string_equals(v, codes[i].code)) {
            *out = codes[i].dtype;
            return true;
        }
    return false;
}

/* {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]} */
static me_code parse_tensor(me_value *out, span *where, const me_value *entry, const char *name,
                            const unsigned char *data, size_t size, me_err *err)
{
    const me_value *type = me_dict_get(entry, "dtype"), *shape = me_dict_get(entry, "shape");
    const me_value *offsets = me_dict_get(entry, "data_offsets");
    me_dtype dtype;
    if (!type || type->kind != ME_STRING || !shape || shape->kind != ME_LIST || !offsets ||
        offsets->kind != ME_LIST || offsets->as.list.length != 2)
        return me_fail(err, ME_EFORMAT, "tensor %s lacks dtype, shape or data_offsets", name);
    if (!parse_dtype(&dtype, type)) {
        char shown[24];
        me_printable(shown, sizeof shown, type->as.string.data, type->as.string.length);
        return me_fail(err, ME_EFORMAT, "tensor %s has the element type %s, which is not read",
                       name, shown);
    }
    int64_t dims[ME_MAX_DIMS], ends[2], count;
    size_t bytes, ndim = shape->as.list.length;
    bool fits = ndim <= ME_MAX_DIMS;
    for (size_t i = 0; fits && i < ndim; i++) {
        const me_value *n = shape->as.list.items[i];
        fits = n->kind == ME_INT && n->as.integer >= 0;
        dims[i] = n->as.integer;
    }
    for (size_t i = 0; fits && i < 2; i++) {
        const me_value *n = offsets->as.list.items[i];
        fits = n->kind == ME_INT && n->as.integer >= 0;
        ends[i] = n->as.integer;
    }
    if (!fits || !me_shape_size((int)ndim, dims, me_dtype_size(dtype), &count, &bytes))
        return me_fail(err, ME_EFORMAT, "tensor %s has an impossible shape or place", name);
    if (ends[0] > ends[1] || (uint64_t)ends[1] > size || (size_t)(ends[1] - ends[0]) != bytes)
        return me_fail(err, ME_EFORMAT,
                       "tensor %s lies at %" PRId64 " to %" PRId64 " of %zu bytes but needs %zu",
                       name, ends[0], ends[1], size, bytes);
    out->kind = ME_ARRAY;
    out->as.array = me_array_make(dtype, (int)ndim, dims, data + ends[0]);
    out->as.array.swapped = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && me_dtype_size(dtype) > 1;
    *where = (span){(uint64_t)ends[0], (uint64_t)ends[1]};
    return ME_OK;
}

static me_code check_spans(span *spans, size_t n, size_t size, me_err *err)
{
    uint64_t end = 0;
    if (n) qsort(spans, n, sizeof *spans, by_start);
    for (size_t i = 0; i < n; i++) {
        if (spans[i].from != end)
            return me_fail(err, ME_EFORMAT, "the tensors leave a gap or overlap at byte %" PRIu64,
                           end < spans[i].from ? end : spans[i].from);
        end = spans[i].to;
    }
    if (end != size)
        return me_fail(err, ME_EFORMAT, "the tensors end at byte %" PRIu64 " of %zu", end, size);
    return ME_OK;
}

static me_code parse_header(me_value **out, me_arena *arena, const unsigned char *bytes,
                            size_t size, me_err *err)
{
    const uint64_t length = header_length(bytes);
    if (length > size - 8)
        return me_fail(err, ME_EFORMAT, "the header wants %" PRIu64 " bytes, %zu are left", length,
                       size - 8);
    me_code code =
        me_json_parse(out, arena, (const char *)bytes + 8, (size_t)length, "the header", err);
    if (code == ME_OK && (*out)->kind != ME_DICT)
        code = me_fail(err, ME_EFORMAT, "the header is no JSON object");
    return code;
}

me_code me_safetensors_metadata(me_value **out, me_arena *arena, const char *path, me_err *err)
{
    me_bytes b;
    me_value *header = NULL;
    *out = NULL;
    me_code code = me_bytes_open_start(&b, path, HEAD, err);
    if (code != ME_OK) return code;
    const bool ours = me_is_safetensors(b.data, b.size);
    const size_t length = ours ? (size_t)header_length(b.data) : 0;
    me_bytes_close(&b);
    if (!ours) return ME_OK;
    code = me_bytes_open_start(&b, path, 8 + length, err);
    if (code != ME_OK) return code;
    code = b.size < HEAD ? me_fail(err, ME_EFORMAT, "not a safetensors file")
                         : parse_header(&header, arena, b.data, b.size, err);
    me_bytes_close(&b);
    if (code != ME_OK) return me_err_prefix(err, "%s", path);
    *out = me_dict_get(header, "__metadata__");
    return ME_OK;
}

me_code me_safetensors_parse(me_value **tensors, me_value **metadata, me_arena *arena,
                             const unsigned char *bytes, size_t size, me_err *err)
{
    *tensors = *metadata = NULL;
    if (!me_is_safetensors(bytes, size)) return me_fail(err, ME_EFORMAT, "not a safetensors file");
    const uint64_t length = header_length(bytes);
    me_value *header;
    me_code code = parse_header(&header, arena, bytes, size, err);
    if (code != ME_OK) return code;
    size_t n = header->as.dict.length, spans_used = 0;
    span *spans = ME_NEW_ARRAY(arena, n, span);
    me_value *result = me_value_new(arena, ME_DICT);
    if (!spans || !result) return me_fail_mem(err, "a table of tensors");
    for (size_t i = 0; i < n && code == ME_OK; i++) {
        me_value *key = header->as.dict.keys[i], *entry = header->as.dict.values[i];
        if (me_string_equals(key, "__metadata__")) {
            *metadata = entry;
            continue;
        }
        char shown[100];
        me_printable(shown, sizeof shown, key->as.string.data, key->as.string.length);
        me_value *array = me_value_new(arena, ME_ARRAY);
        if (!array) return me_fail_mem(err, "a table of tensors");
        code = parse_tensor(array, &spans[spans_used++], entry, shown, bytes + 8 + length,
                            size - 8 - (size_t)length, err);
        if (code == ME_OK) code = me_dict_append(arena, result, key, array, err);
    }
    if (code == ME_OK) code = check_spans(spans, spans_used, size - 8 - (size_t)length, err);
    if (code == ME_OK) *tensors = result;
    return code;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static me_value *ints(me_arena *arena, const int64_t *x, int n, me_err *err)
{
    me_value *list = me_value_new(arena, ME_LIST);
    for (int i = 0; list && i < n; i++)
        if (me_list_append(arena, list, me_value_int(arena, x[i]), err) != ME_OK) return NULL;
    return list;
}

static const char *code_of(me_dtype dtype)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].dtype == dtype) return codes[i].code;
    return NULL;
}

static me_code make_header(me_value **out, me_arena *arena, const me_value *tensors,
                           const me_value *metadata, me_err *err)
{
    me_value *header = me_value_new(arena, ME_DICT);
    if (!header) return me_fail_mem(err, "a safetensors header");
    me_code code = ME_OK;
    if (metadata) code = me_dict_put(arena, header, "__metadata__", (me_value *)metadata, err);
    int64_t at = 0;
    for (size_t i = 0; i < tensors->as.dict.length && code == ME_OK; i++) {
        const me_value *key = tensors->as.dict.keys[i], *v = tensors->as.dict.values[i];
        if (key->kind != ME_STRING || v->kind != ME_ARRAY || !code_of(v->as.array.dtype))
            return me_fail(err, ME_EDATA, "safetensors holds named arrays, found %s",
                           v->kind == ME_ARRAY ? me_dtype_name(v->as.array.dtype)
                                               : me_kind_name(v->kind));
        const me_array *a = &v->as.array;
        int64_t end = at + me_array_count(a) * (int64_t)me_dtype_size(a->dtype);
        me_value *entry = me_value_new(arena, ME_DICT);
        if (!entry) return me_fail_mem(err, "a safetensors header");
        code = me_dict_put(arena, entry, "dtype", me_value_string(arena, code_of(a->dtype)), err);
        if (code == ME_OK)
            code = me_dict_put(arena, entry, "shape", ints(arena, a->shape, a->ndim, err), err);
        if (code == ME_OK)
            code = me_dict_put(arena, entry, "data_offsets",
                               ints(arena, (const int64_t[]){at, end}, 2, err), err);
        if (code == ME_OK) code = me_dict_append(arena, header, (me_value *)key, entry, err);
        at = end;
    }
    *out = header;
    return code;
}

/* The header's length, itself and blanks up to a multiple of 64. JSON allows the blanks. */
static void put_header(me_writer *w, const char *text)
{
    static const char blanks[64] =
        "                                                               ";
    size_t n = strlen(text), padded = (8 + n + 63) / 64 * 64 - 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    me_writer_put(w, length, sizeof length);
    me_writer_put(w, text, n);
    for (size_t left = padded - n; left;) {
        size_t part = left < 63 ? left : 63;
        me_writer_put(w, blanks, part);
        left -= part;
    }
}

me_code me_safetensors_write(const char *path, const me_value *tensors, const me_value *metadata,
                             me_err *err)
{
    me_arena arena = {0};
    me_value *header = NULL;
    char *text = NULL;
    me_writer w;
    me_code code = tensors->kind == ME_DICT
                       ? make_header(&header, &arena, tensors, metadata, err)
                       : me_fail(err, ME_EDATA, "%s: expected named arrays to write", path);
    if (code == ME_OK) code = me_json_text(&text, &arena, header, err);
    if (code == ME_OK) code = me_writer_open(&w, path, err);
    if (code == ME_OK) {
        put_header(&w, text);
        for (size_t i = 0; i < tensors->as.dict.length; i++)
            me_writer_put_array(&w, &tensors->as.dict.values[i]->as.array);
        code = me_writer_commit(&w, err);
    }
    me_arena_release(&arena);
    return code;
}
