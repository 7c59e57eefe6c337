/* core/npy.c: see npy.h. The format is NumPy's NEP 1: magic, version, a Python literal as header,
 * data. */
#include "core/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pickle_priv.h"

#define MAGIC "\x93NUMPY"

bool me_is_npy(const unsigned char *bytes, size_t size)
{
    return size >= 6 && memcmp(bytes, MAGIC, 6) == 0;
}

/* ---- the header --------------------------------------------------------------------------------
 */

typedef struct header {
    me_numpy_type type;
    bool has_type, has_shape, has_order, fortran;
    int ndim;
    int64_t shape[ME_MAX_DIMS];
} header;

typedef struct cursor {
    const char *p, *end;
} cursor;

static void skip_space(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t')) c->p++;
}

static bool accept(cursor *c, const char *word)
{
    size_t n = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0) return false;
    c->p += n;
    return true;
}

static bool quoted(cursor *c, const char **text, size_t *length)
{
    skip_space(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"')) return false;
    char quote = *c->p++;
    const char *close = memchr(c->p, quote, (size_t)(c->end - c->p));
    if (!close) return false;
    *text = c->p;
    *length = (size_t)(close - c->p);
    c->p = close + 1;
    return true;
}

/* "(3, 4)", "(3,)", "()"; Python 2 wrote "3L". */
static bool shape_literal(cursor *c, header *h)
{
    if (!accept(c, "(")) return false;
    for (h->ndim = 0; !accept(c, ")"); accept(c, ",")) {
        int64_t n = 0;
        const char *start = c->p;
        for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
            if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *c->p - '0', &n))
                return false;
        if (c->p == start || h->ndim == ME_MAX_DIMS) return false;
        accept(c, "L");
        h->shape[h->ndim++] = n;
    }
    return true;
}

static me_code parse_entry(header *h, cursor *c, me_err *err)
{
    const char *key, *code;
    size_t n, length;
    if (!quoted(c, &key, &n) || !accept(c, ":"))
        return me_fail(err, ME_EFORMAT, "the npy header is not a dictionary of names");
    if (n == 5 && memcmp(key, "descr", 5) == 0) {
        if (accept(c, "["))
            return me_fail(err, ME_EFORMAT, "structured element types are not read");
        if (!quoted(c, &code, &length))
            return me_fail(err, ME_EFORMAT, "the npy header has no element type");
        if (!me_numpy_type_parse(&h->type, code, length)) {
            char shown[40];
            me_printable(shown, sizeof shown, code, length);
            return me_fail(err, ME_EFORMAT, "element type %s is not read", shown);
        }
        h->has_type = true;
    } else if (n == 13 && memcmp(key, "fortran_order", 13) == 0) {
        h->fortran = accept(c, "True");
        if (!h->fortran && !accept(c, "False"))
            return me_fail(err, ME_EFORMAT, "fortran_order is neither True nor False");
        h->has_order = true;
    } else if (n == 5 && memcmp(key, "shape", 5) == 0) {
        if (!shape_literal(c, h))
            return me_fail(err, ME_EFORMAT, "the shape is not a tuple of at most %d sizes",
                           ME_MAX_DIMS);
        h->has_shape = true;
    } else {
        return me_fail(err, ME_EFORMAT, "the npy header has an unknown entry");
    }
    return ME_OK;
}

static me_code parse_header(header *h, const char *text, size_t size, me_err *err)
{
    cursor c = {text, text + size};
    *h = (header){0};
    if (!accept(&c, "{")) return me_fail(err, ME_EFORMAT, "the npy header is no dictionary");
    while (!accept(&c, "}")) {
        me_code code = parse_entry(h, &c, err);
        if (code != ME_OK) return code;
        if (!accept(&c, ",") && !accept(&c, "}"))
            return me_fail(err, ME_EFORMAT, "the npy header is cut off");
        if (c.p > text && c.p[-1] == '}') break;
    }
    skip_space(&c);
    if (c.p != c.end || !h->has_type || !h->has_shape || !h->has_order)
        return me_fail(err, ME_EFORMAT, "the npy header lacks descr, fortran_order or shape");
    return ME_OK;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Where the data begin, or 0 with a filled error. */
static size_t read_header(header *h, const unsigned char *bytes, size_t size, me_err *err)
{
    if (size < 10 || !me_is_npy(bytes, size)) {
        me_fail(err, ME_EFORMAT, "not an npy file, or cut off in its first 10 bytes");
        return 0;
    }
    unsigned version = bytes[6];
    if (version < 1 || version > 3 || bytes[7]) {
        me_fail(err, ME_EFORMAT, "npy version %u.%u, expected 1.0 to 3.0", version, bytes[7]);
        return 0;
    }
    size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8, start = 10;
    if (version > 1) {
        if (size < 12) {
            me_fail(err, ME_EFORMAT, "cut off in its first 12 bytes");
            return 0;
        }
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
        start = 12;
    }
    if (length > size - start) {
        me_fail(err, ME_EFORMAT, "the npy header wants %zu bytes, %zu are left", length,
                size - start);
        return 0;
    }
    if (parse_header(h, (const char *)bytes + start, length, err) != ME_OK) return 0;
    return start + length;
}

static me_code fill_array(me_value **out, me_arena *arena, const header *h,
                          const unsigned char *bytes, size_t size, size_t at, me_err *err)
{
    int64_t count;
    size_t wanted;
    if (!me_shape_size(h->ndim, h->shape, h->type.size, &count, &wanted))
        return me_fail(err, ME_EFORMAT, "the shape overflows");
    if (wanted != size - at)
        return me_fail(err, ME_EFORMAT, "the header promises %zu bytes of data, %zu are there%s",
                       wanted, size - at, wanted > size - at ? " (truncated file?)" : "");
    me_machine m;
    me_machine_init(&m, arena, bytes, size, at, "", err);
    me_node *n = me_node_new(&m, ME_NONE);
    me_numpy_fill(&m, n, h->type, h->ndim, h->shape, h->fortran, bytes + at);
    *out = m.code == ME_OK ? &n->value : NULL;
    me_machine_release(&m);
    return m.code;
}

me_code me_npy_parse(me_value **out, me_arena *arena, const unsigned char *bytes, size_t size,
                     me_err *err)
{
    header h;
    *out = NULL;
    size_t at = read_header(&h, bytes, size, err);
    if (!at) return ME_EFORMAT;
    if (h.type.kind == 'O') return me_pickle_read(out, NULL, arena, bytes, size, at, err);
    return fill_array(out, arena, &h, bytes, size, at, err);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

/* Magic to newline, padded so that the data begin at a multiple of 64. */
static void put_header(me_writer *w, const char *descr, int ndim, const int64_t *shape)
{
    char text[512];
    int used =
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < ndim; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%" PRId64, i ? ", " : "",
                         shape[i]);
    used += snprintf(text + used, sizeof text - (size_t)used, "%s), }", ndim == 1 ? "," : "");
    while ((10 + used + 1) % 64) text[used++] = ' ';
    text[used++] = '\n';
    unsigned char start[10] = MAGIC "\x01";
    start[7] = 0;
    start[8] = (unsigned char)(used & 0xff);
    start[9] = (unsigned char)(used >> 8);
    me_writer_put(w, start, sizeof start);
    me_writer_put(w, text, (size_t)used);
}

const char *me_numpy_code(me_dtype dtype)
{
    static const char *const codes[ME_DTYPE_COUNT] = {
        [ME_F16] = "f2", [ME_F32] = "f4",  [ME_F64] = "f8", [ME_I8] = "i1",   [ME_I16] = "i2",
        [ME_I32] = "i4", [ME_I64] = "i8",  [ME_U8] = "u1",  [ME_U16] = "u2",  [ME_U32] = "u4",
        [ME_U64] = "u8", [ME_BOOL] = "b1", [ME_C64] = "c8", [ME_C128] = "c16"};
    return (unsigned)dtype < ME_DTYPE_COUNT ? codes[dtype] : NULL;
}

void me_writer_put_array(me_writer *w, const me_array *a)
{
    size_t size = (size_t)me_array_count(a) * me_dtype_size(a->dtype);
    if (!size || w->err.code != ME_OK) return;
    if (me_array_contiguous(a) && !a->swapped) {
        me_writer_put(w, a->data, size);
        return;
    }
    void *copy = malloc(size);
    if (!copy) {
        me_fail_mem(&w->err, "an array to write");
        return;
    }
    me_array_read_same(a, copy);
    me_writer_put(w, copy, size);
    free(copy);
}

/* What NumPy calls the type of the elements. */
static me_code describe(char descr[8], const me_array *a, me_err *err)
{
    const char *code = me_numpy_code(a->dtype);
    if (!code)
        return me_fail(err, ME_EDATA, "npy has no %s (convert it to float32)",
                       me_dtype_name(a->dtype));
    snprintf(descr, 8, "%c%s",
             me_dtype_size(a->dtype) == 1                ? '|'
             : __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<'
                                                         : '>',
             code);
    return ME_OK;
}

me_code me_npy_write(const char *path, const me_array *a, me_err *err)
{
    char descr[8];
    me_writer w;
    if (describe(descr, a, err)) return me_err_prefix(err, "%s", path);
    me_code failed = me_writer_open(&w, path, err);
    if (failed != ME_OK) return failed;
    put_header(&w, descr, a->ndim, a->shape);
    me_writer_put_array(&w, a);
    return me_writer_commit(&w, err);
}

me_code me_npy_bytes(me_bytes *out, const me_array *a, me_err *err)
{
    char descr[8], *text = NULL;
    *out = (me_bytes){0};
    me_code code = describe(descr, a, err);
    if (code) return code;
    me_writer w = {.stream = open_memstream(&text, &out->size)};
    if (!w.stream) return me_fail_mem(err, "an array's file");
    put_header(&w, descr, a->ndim, a->shape);
    me_writer_put_array(&w, a);
    const bool closed = fclose(w.stream) == 0;
    out->data = (unsigned char *)text;
    if (closed && !w.err.code) return ME_OK;
    me_bytes_close(out);
    return me_fail_mem(err, "an array's file");
}

me_code me_npy_write_object(const char *path, const me_value *v, me_err *err)
{
    me_writer w;
    me_code failed = me_writer_open(&w, path, err);
    if (failed != ME_OK) return failed;
    put_header(&w, "|O", 0, NULL);
    me_pickle_put_object_array(&w, v);
    return me_writer_commit(&w, err);
}
