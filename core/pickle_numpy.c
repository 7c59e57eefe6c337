/* core/pickle_numpy.c: arrays, element types and scalars of NumPy inside a pickle, and joblib's
 * wrapper whose raw bytes lie in the stream itself (spec evaluation 2.2). */
#include "core/pickle_priv.h"

#include <inttypes.h>
#include <string.h>

#define NATIVE_IS_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

/* ---- element types -----------------------------------------------------------------------------
 */

static bool is_big(char order)
{
    return order == '>' || (order == '=' && NATIVE_IS_BIG);
}

/* "<f4", "|b1", "f8", "O", "|O8", "<U16"; false for what is not read (structures, dates, float128).
 */
bool me_numpy_type_parse(me_numpy_type *out, const char *code, size_t length)
{
    // clang-format off
    static const struct { char letter; size_t size; me_dtype dtype; } known[] = {
        {'f', 2, ME_F16}, {'f', 4, ME_F32}, {'f', 8, ME_F64}, {'i', 1, ME_I8}, {'i', 2, ME_I16},
        {'i', 4, ME_I32}, {'i', 8, ME_I64}, {'u', 1, ME_U8}, {'u', 2, ME_U16}, {'u', 4, ME_U32},
        {'u', 8, ME_U64}, {'b', 1, ME_BOOL}, {'c', 8, ME_C64}, {'c', 16, ME_C128}};
    // clang-format on
    *out = (me_numpy_type){0};
    char order = '=';
    if (length && strchr("<>|=", code[0])) {
        order = *code++;
        length--;
    }
    if (!length || length > 9) return false;
    char letter = code[0];
    size_t size = 0;
    for (size_t i = 1; i < length; i++) {
        if (code[i] < '0' || code[i] > '9') return false;
        size = size * 10 + (size_t)(code[i] - '0');
    }
    out->swapped = order != '|' && is_big(order) != NATIVE_IS_BIG;
    out->size = size;
    if (letter == 'O') {
        out->kind = 'O';
        out->size = 8;
        return true;
    }
    if (letter == 'U' || letter == 'S' || letter == 'a') {
        out->kind = letter == 'U' ? 'U' : 'S';
        if (letter == 'U') out->size = 4 * size;
        return true;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].letter == letter && known[i].size == size) {
            out->kind = 'n';
            out->dtype = known[i].dtype;
            if (size == 1) out->swapped = false;
            return true;
        }
    return false;
}

/* numpy.dtype('f4', False, True), which a BUILD completes with the byte order. */
me_node *me_numpy_dtype(me_machine *m, const me_node *arguments)
{
    const me_node *code = me_node_item(m, arguments, 0);
    me_numpy_type type = {0};
    char shown[40] = "(not named by a string)";
    if (code->value.kind == ME_STRING)
        me_printable(shown, sizeof shown, code->value.as.string.data, code->value.as.string.length);
    if (code->value.kind != ME_STRING ||
        !me_numpy_type_parse(&type, code->value.as.string.data, code->value.as.string.length))
        me_machine_fail(m, "an array has the element type %s, which is not read", shown);
    me_node *n = me_node_object(m, ROLE_DTYPE, "numpy.dtype");
    n->as.numpy = type;
    return n;
}

/* The state is (3, order, subtype, names, fields, size, alignment, flags[, metadata]). */
void me_numpy_dtype_build(me_machine *m, me_node *dtype, const me_node *state)
{
    const me_node *order = me_node_item(m, state, 1);
    if (state->value.kind != ME_LIST || order->value.kind != ME_STRING ||
        order->value.as.string.length != 1) {
        me_machine_fail(m, "an element type has an unknown state");
        return;
    }
    for (size_t i = 2; i < 5; i++)
        if (me_node_item(m, state, i)->value.kind != ME_NONE)
            me_machine_fail(m, "structured element types are not read");
    me_numpy_type *type = &dtype->as.numpy;
    char c = order->value.as.string.data[0];
    type->swapped = c != '|' && type->size != 1 && is_big(c) != NATIVE_IS_BIG;
    /* dtype('U', ...) and ('S', ...) may have their size only here. */
    const me_node *size = me_node_item(m, state, 5);
    if ((type->kind == 'U' || type->kind == 'S') && size->value.kind == ME_INT &&
        size->value.as.integer > 0)
        type->size = (size_t)size->value.as.integer;
}

/* ---- shapes ------------------------------------------------------------------------------------
 */

bool me_shape_size(int ndim, const int64_t *shape, size_t item_size, int64_t *count, size_t *bytes)
{
    int64_t n = 1,
            whole = 1; /* `whole` counts empty dimensions as 1: no overflow hides behind a 0 */
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0 || __builtin_mul_overflow(whole, shape[i] ? shape[i] : 1, &whole))
            return false;
        n *= shape[i];
    }
    size_t all;
    if (!me_mul_size((size_t)whole, item_size, &all) || all > INT64_MAX) return false;
    *count = n;
    *bytes = (size_t)n * item_size;
    return true;
}

bool me_numpy_shape(me_machine *m, const me_node *shape, int *ndim, int64_t out[ME_MAX_DIMS])
{
    bool fits = shape->value.kind == ME_LIST && shape->value.as.list.length <= ME_MAX_DIMS;
    *ndim = fits ? (int)shape->value.as.list.length : 0;
    for (int i = 0; fits && i < *ndim; i++) {
        const me_node *n = me_node_item(m, shape, (size_t)i);
        fits = n->value.kind == ME_INT && n->value.as.integer >= 0;
        out[i] = n->value.as.integer;
    }
    if (!fits) me_machine_fail(m, "a shape is not a tuple of at most %d sizes", ME_MAX_DIMS);
    return fits;
}

/* ---- making values -----------------------------------------------------------------------------
 */

/* NumPy pads text with NULs and stores it as UTF-32. */
static void text_element(me_machine *m, me_node *node, me_numpy_type type, const unsigned char *p)
{
    if (type.kind == 'S') {
        size_t n = type.size;
        while (n && !p[n - 1]) n--;
        node->value.kind = ME_BYTES;
        node->value.as.string.data = (const char *)p;
        node->value.as.string.length = n;
        return;
    }
    size_t n = type.size / 4, used = 0;
    uint32_t c;
    me_array view = {.dtype = ME_U32, .swapped = type.swapped, .data = p};
    char *out = me_machine_text(m, 4 * n + 1);
    if (!out) return;
    for (size_t i = 0; i < n; i++, view.data += 4) {
        me_array_read_same(&view, &c);
        used += me_utf8_put((unsigned char *)out + used, c);
    }
    while (used && !out[used - 1]) used--;
    out[used] = '\0';
    node->value.kind = ME_STRING;
    node->value.as.string.data = out;
    node->value.as.string.length = used;
}

/* Nested lists of a shape; leaves are made by text_element or taken from `objects`. */
static void fill_nested(me_machine *m, me_node *node, me_numpy_type type, int ndim,
                        const int64_t *shape, const unsigned char *data, me_value **objects)
{
    if (m->code != ME_OK) return;
    if (ndim == 0) {
        text_element(m, node, type, data);
        return;
    }
    int64_t inner = 1;
    for (int i = 1; i < ndim; i++) inner *= shape[i];
    node->value.kind = ME_LIST;
    node->value.as.list.items = NULL;
    node->value.as.list.length = node->value.as.list.capacity = 0;
    for (int64_t i = 0; i < shape[0] && m->code == ME_OK; i++) {
        me_node *item;
        if (ndim == 1 && objects) {
            item = (me_node *)objects[i];
        } else {
            item = me_node_new(m, ME_NONE);
            fill_nested(m, item, type, ndim - 1, shape + 1,
                        data ? data + (size_t)(i * inner) * type.size : NULL,
                        objects ? objects + i * inner : NULL);
        }
        me_machine_append(m, node, item);
    }
}

void me_numpy_fill(me_machine *m, me_node *node, me_numpy_type type, int ndim, const int64_t *shape,
                   bool fortran, const unsigned char *data)
{
    static const int64_t empty = 0;
    if (m->code != ME_OK) return;
    node->role = ROLE_PLAIN;
    if (type.kind != 'n') {
        int64_t count;
        size_t bytes;
        if (fortran && ndim > 1) me_machine_fail(m, "text arrays in column order are not read");
        /* Text of no width has no bytes to bound the number of elements. */
        else if (!me_shape_size(ndim, shape, type.size, &count, &bytes) || (!bytes && count))
            me_machine_fail(m, "an array of text has an impossible shape");
        else if (!count)
            ndim = 1, shape = &empty; /* (1000, 0) would make lists out of nothing */
        fill_nested(m, node, type, ndim, shape, data, NULL);
        return;
    }
    me_array a = me_array_make(type.dtype, ndim, shape, data);
    a.swapped = type.swapped;
    if (fortran) {
        int64_t stride = 1;
        for (int i = 0; i < ndim; i++) {
            a.stride[i] = stride;
            if (shape[i]) stride *= shape[i];
        }
    }
    node->value.kind = ME_ARRAY;
    node->value.as.array = a;
}

/* ---- numpy's own pickles -----------------------------------------------------------------------
 */

static void fill_objects(me_machine *m, me_node *array, const me_node *payload, int ndim,
                         const int64_t *shape, bool fortran)
{
    int64_t count;
    size_t bytes;
    if (payload->value.kind != ME_LIST || !me_shape_size(ndim, shape, 8, &count, &bytes) ||
        (size_t)count != payload->value.as.list.length || (fortran && ndim > 1)) {
        me_machine_fail(m, "an array of objects does not hold as many as its shape says");
        return;
    }
    /* A shape such as (1000, 0) would make empty lists out of nothing. */
    if (count == 0) ndim = 1, shape = &count;
    if (ndim == 0) {
        /* np.save of a dictionary: the array stands for its one item. */
        const me_node *item = me_node_item(m, payload, 0);
        if (item->role != ROLE_PLAIN && item->role != ROLE_TENSOR && item->role != ROLE_INERT)
            me_machine_fail(m, "an array of objects holds an unfinished one");
        array->value = item->value;
        array->role = ROLE_PLAIN;
        if (item->role == ROLE_TENSOR)
            me_machine_fail(m, "an array of objects holds a tensor of this file");
        return;
    }
    array->role = ROLE_PLAIN;
    fill_nested(m, array, (me_numpy_type){.kind = 'O'}, ndim, shape, NULL,
                payload->value.as.list.items);
}

/* The state is (1, shape, dtype, fortran, payload); before version 1 without its number. */
void me_numpy_array_build(me_machine *m, me_node *array, const me_node *state)
{
    size_t n = state->value.kind == ME_LIST ? state->value.as.list.length : 0;
    size_t from = n == 5 ? 1 : 0;
    const me_node *dtype = me_node_item(m, state, from + 1);
    const me_node *fortran = me_node_item(m, state, from + 2);
    const me_node *payload = me_node_item(m, state, from + 3);
    int ndim;
    int64_t shape[ME_MAX_DIMS], count;
    size_t bytes;
    if ((n != 4 && n != 5) || dtype->role != ROLE_DTYPE) {
        me_machine_fail(m, "an array has an unknown state");
        return;
    }
    if (!me_numpy_shape(m, me_node_item(m, state, from), &ndim, shape)) return;
    bool columns = fortran->value.kind == ME_BOOLEAN
                       ? fortran->value.as.boolean
                       : fortran->value.kind == ME_INT && fortran->value.as.integer != 0;
    if (dtype->as.numpy.kind == 'O') {
        fill_objects(m, array, payload, ndim, shape, columns);
        return;
    }
    bool has_bytes = payload->value.kind == ME_BYTES || payload->value.kind == ME_STRING;
    if (!has_bytes || !me_shape_size(ndim, shape, dtype->as.numpy.size, &count, &bytes) ||
        bytes != payload->value.as.string.length) {
        me_machine_fail(m, "an array does not have as many bytes as its shape says");
        return;
    }
    me_numpy_fill(m, array, dtype->as.numpy, ndim, shape, columns,
                  (const unsigned char *)payload->value.as.string.data);
}

/* scalar(dtype, bytes): a plain number or text; complex numbers stay arrays of no dimension. */
me_node *me_numpy_scalar(me_machine *m, const me_node *arguments)
{
    const me_node *dtype = me_node_item(m, arguments, 0), *bytes = me_node_item(m, arguments, 1);
    me_node *n = me_node_new(m, ME_NONE);
    bool has_bytes = bytes->value.kind == ME_BYTES || bytes->value.kind == ME_STRING;
    if (dtype->role != ROLE_DTYPE || dtype->as.numpy.kind == 'O' || !has_bytes ||
        bytes->value.as.string.length != dtype->as.numpy.size || !dtype->as.numpy.size)
        me_machine_fail(m, "a scalar of NumPy's does not have the bytes of its type");
    if (m->code != ME_OK) return m->nothing;
    me_numpy_type type = dtype->as.numpy;
    me_numpy_fill(m, n, type, 0, NULL, false, (const unsigned char *)bytes->value.as.string.data);
    if (n->value.kind != ME_ARRAY || type.dtype >= ME_C64) return n;
    me_array a = n->value.as.array;
    if (type.dtype == ME_BOOL) {
        n->value.kind = ME_BOOLEAN;
        n->value.as.boolean = a.data[0] != 0;
    } else if (type.dtype <= ME_F64) {
        double x = 0;
        me_array_read_f64(&a, &x, NULL);
        n->value.kind = ME_FLOAT;
        n->value.as.number = x;
    } else {
        int64_t i = 0;
        if (me_array_read_i64(&a, &i, NULL) != ME_OK) return me_node_object(m, ROLE_INERT, "int");
        n->value.kind = ME_INT;
        n->value.as.integer = i;
    }
    return n;
}

/* _frombuffer(bytes, dtype, shape, order): protocol 5. */
me_node *me_numpy_frombuffer(me_machine *m, const me_node *arguments)
{
    const me_node *buffer = me_node_item(m, arguments, 0), *dtype = me_node_item(m, arguments, 1);
    me_node *n = me_node_new(m, ME_NONE);
    int ndim;
    int64_t shape[ME_MAX_DIMS], count;
    size_t bytes;
    if (dtype->role != ROLE_DTYPE || dtype->as.numpy.kind == 'O' ||
        buffer->value.kind != ME_BYTES) {
        me_machine_fail(m, "an array is made from something that is no buffer");
        return m->nothing;
    }
    if (!me_numpy_shape(m, me_node_item(m, arguments, 2), &ndim, shape)) return m->nothing;
    if (!me_shape_size(ndim, shape, dtype->as.numpy.size, &count, &bytes) ||
        bytes != buffer->value.as.string.length) {
        me_machine_fail(m, "an array does not have as many bytes as its shape says");
        return m->nothing;
    }
    me_numpy_fill(m, n, dtype->as.numpy, ndim, shape,
                  me_node_text(me_node_item(m, arguments, 3), "F"),
                  (const unsigned char *)buffer->value.as.string.data);
    return n;
}

/* ---- joblib ------------------------------------------------------------------------------------
 */

/* The attributes of the wrapper say what the raw bytes right behind this BUILD are. joblib 1.2 and
 * later put one byte n and n bytes of padding before them. */
void me_joblib_wrapper_build(me_machine *m, me_node *wrapper, const me_node *state)
{
    const me_value *s = &state->value;
    const me_node *dtype = (const me_node *)me_dict_get(s, "dtype");
    const me_node *shape = (const me_node *)me_dict_get(s, "shape");
    const me_node *order = (const me_node *)me_dict_get(s, "order");
    const me_node *alignment = (const me_node *)me_dict_get(s, "numpy_array_alignment_bytes");
    int ndim;
    int64_t dims[ME_MAX_DIMS], count;
    size_t bytes;
    m->saw_wrapper = true;
    if (!dtype || dtype->role != ROLE_DTYPE || !shape || !order) {
        me_machine_fail(m, "an array of joblib's lacks its type, shape or order");
        return;
    }
    if (!me_numpy_shape(m, shape, &ndim, dims)) return;
    me_numpy_type type = dtype->as.numpy;
    if (type.kind == 'O') {
        const me_node *inner = me_machine_inner(m);
        if (m->code != ME_OK) return;
        if (inner->role == ROLE_TENSOR || inner->role == ROLE_PENDING_ARRAY)
            me_machine_fail(m, "an array of objects is unfinished");
        wrapper->value = inner->value;
        wrapper->role = ROLE_PLAIN;
        return;
    }
    if (!me_shape_size(ndim, dims, type.size, &count, &bytes)) {
        me_machine_fail(m, "an array has an impossible shape");
        return;
    }
    if (alignment && alignment->value.kind != ME_NONE) {
        const unsigned char *padding = me_machine_take(m, 1);
        if (padding) me_machine_take(m, *padding);
    }
    const unsigned char *data = me_machine_take(m, bytes);
    me_numpy_fill(m, wrapper, type, ndim, dims, me_node_text(order, "F"), data);
}
