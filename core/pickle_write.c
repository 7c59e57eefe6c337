/* core/pickle_write.c: pickles as joblib.dump and np.save write them, protocol 4 without frames and
 * without a memo, which both Pythons' readers accept. Names are NumPy 1's, which NumPy 2 reads too.
 */
#include "core/pickle_priv.h"

#include <stdio.h>
#include <string.h>

#define ALIGNMENT 16 /* joblib's */

typedef enum { STYLE_NUMPY, STYLE_JOBLIB, STYLE_TORCH } style;

/* `at` is where the next byte goes, counted because joblib aligns raw data in the file. */
typedef struct emitter {
    me_writer *w;
    size_t at;
    style style;
    me_value *tensors; /* STYLE_TORCH: gets the arrays, whose data are entries of their own */
    me_arena *arena;
} emitter;

static void put(emitter *e, const void *data, size_t size)
{
    me_writer_put(e->w, data, size);
    e->at += size;
}

static void put_op(emitter *e, int op)
{
    put(e, (const unsigned char[]){(unsigned char)op}, 1);
}

static void put_uint(emitter *e, uint64_t x, size_t width)
{
    unsigned char b[8];
    for (size_t i = 0; i < width; i++) b[i] = (unsigned char)(x >> (8 * i));
    put(e, b, width);
}

static void put_int(emitter *e, int64_t i)
{
    if (i >= 0 && i < 256) {
        put_op(e, OP_BININT1);
        put_uint(e, (uint64_t)i, 1);
    } else if (i >= INT32_MIN && i <= INT32_MAX) {
        put_op(e, OP_BININT);
        put_uint(e, (uint64_t)i, 4);
    } else {
        put_op(e, OP_LONG1);
        put_uint(e, 8, 1);
        put_uint(e, (uint64_t)i, 8);
    }
}

static void put_real(emitter *e, double x)
{
    uint64_t bits, big = 0;
    memcpy(&bits, &x, sizeof bits);
    for (int i = 0; i < 8; i++) big |= (bits >> (8 * i) & 0xff) << (56 - 8 * i);
    put_op(e, OP_BINFLOAT);
    put_uint(e, big, 8);
}

/* Text or bytes by the opcode that fits the length. */
static void put_counted(emitter *e, const void *data, size_t size, int op_8, int op_32, int op_64)
{
    put_op(e, size < 256 ? op_8 : size <= UINT32_MAX ? op_32 : op_64);
    put_uint(e, size, size < 256 ? 1 : size <= UINT32_MAX ? 4 : 8);
    put(e, data, size);
}

static void put_text(emitter *e, const char *text, size_t size)
{
    if (e->style == STYLE_TORCH) {
        if (size > UINT32_MAX) me_fail(&e->w->err, ME_EDATA, "a string of more than 4 GiB");
        put_op(e, OP_BINUNICODE);
        put_uint(e, size, 4);
        put(e, text, size);
    } else {
        put_counted(e, text, size, OP_SHORT_BINUNICODE, OP_BINUNICODE, OP_BINUNICODE8);
    }
}

static void put_word(emitter *e, const char *text)
{
    put_text(e, text, strlen(text));
}

static void put_global(emitter *e, const char *module, const char *name)
{
    if (e->style == STYLE_TORCH) {
        put_op(e, OP_GLOBAL);
        put(e, module, strlen(module));
        put(e, "\n", 1);
        put(e, name, strlen(name));
        put(e, "\n", 1);
    } else {
        put_word(e, module);
        put_word(e, name);
        put_op(e, OP_STACK_GLOBAL);
    }
}

static void put_dtype(emitter *e, const char *code, const char *order)
{
    put_global(e, "numpy", "dtype");
    put_word(e, code);
    put_op(e, OP_NEWFALSE);
    put_op(e, OP_NEWTRUE);
    put_op(e, OP_TUPLE3);
    put_op(e, OP_REDUCE);
    put_op(e, OP_MARK);
    put_int(e, 3);
    put_word(e, order);
    for (int i = 0; i < 3; i++) put_op(e, OP_NONE);
    put_int(e, -1);
    put_int(e, -1);
    put_int(e, strcmp(code, "O8") == 0 ? 63 : 0);
    put_op(e, OP_TUPLE);
    put_op(e, OP_BUILD);
}

static void put_array_dtype(emitter *e, const me_array *a)
{
    const char *native = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? "<" : ">";
    put_dtype(e, me_numpy_code(a->dtype), me_dtype_size(a->dtype) == 1 ? "|" : native);
}

static void put_shape(emitter *e, int ndim, const int64_t *shape)
{
    put_op(e, OP_MARK);
    for (int i = 0; i < ndim; i++) put_int(e, shape[i]);
    put_op(e, OP_TUPLE);
}

/* numpy's _reconstruct up to the tuple of its state. */
static void put_array_start(emitter *e, int ndim, const int64_t *shape)
{
    put_global(e, "numpy.core.multiarray", "_reconstruct");
    put_global(e, "numpy", "ndarray");
    put_int(e, 0);
    put_op(e, OP_TUPLE1);
    put_counted(e, "b", 1, OP_SHORT_BINBYTES, OP_BINBYTES, OP_BINBYTES8);
    put_op(e, OP_TUPLE3);
    put_op(e, OP_REDUCE);
    put_op(e, OP_MARK);
    put_int(e, 1);
    put_shape(e, ndim, shape);
}

static void put_numpy_array(emitter *e, const me_array *a)
{
    size_t size = (size_t)me_array_count(a) * me_dtype_size(a->dtype);
    put_array_start(e, a->ndim, a->shape);
    put_array_dtype(e, a);
    put_op(e, OP_NEWFALSE);
    put_op(e, size <= UINT32_MAX ? OP_BINBYTES : OP_BINBYTES8);
    put_uint(e, size, size <= UINT32_MAX ? 4 : 8);
    me_writer_put_array(e->w, a);
    e->at += size;
    put_op(e, OP_TUPLE);
    put_op(e, OP_BUILD);
}

static void put_joblib_array(emitter *e, const me_array *a)
{
    static const unsigned char padding[ALIGNMENT] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                     255, 255, 255, 255, 255, 255, 255, 255};
    put_global(e, "joblib.numpy_pickle", "NumpyArrayWrapper");
    put_op(e, OP_EMPTY_TUPLE);
    put_op(e, OP_NEWOBJ);
    put_op(e, OP_EMPTY_DICT);
    put_op(e, OP_MARK);
    put_word(e, "subclass");
    put_global(e, "numpy", "ndarray");
    put_word(e, "shape");
    put_shape(e, a->ndim, a->shape);
    put_word(e, "order");
    put_word(e, "C");
    put_word(e, "dtype");
    put_array_dtype(e, a);
    put_word(e, "allow_mmap");
    put_op(e, OP_NEWTRUE);
    put_word(e, "numpy_array_alignment_bytes");
    put_int(e, ALIGNMENT);
    put_op(e, OP_SETITEMS);
    put_op(e, OP_BUILD);
    size_t n = ALIGNMENT - (e->at + 1) % ALIGNMENT;
    put_uint(e, n, 1);
    put(e, padding, n);
    me_writer_put_array(e->w, a);
    e->at += (size_t)me_array_count(a) * me_dtype_size(a->dtype);
}

/* _rebuild_tensor_v2 of a whole storage; the storage's key is its place among `tensors`. */
static void put_tensor(emitter *e, const me_value *v)
{
    const me_array *a = &v->as.array;
    me_array dense = me_array_make(a->dtype, a->ndim, a->shape, NULL);
    const char *storage = me_torch_storage_name(a->dtype);
    char key[24];
    if (!storage) {
        me_fail(&e->w->err, ME_EDATA, "torch has no storage of %s", me_dtype_name(a->dtype));
        return;
    }
    snprintf(key, sizeof key, "%zu", e->tensors->as.list.length);
    me_list_append(e->arena, e->tensors, (me_value *)v, &e->w->err);
    put_global(e, "torch._utils", "_rebuild_tensor_v2");
    put_op(e, OP_MARK);
    put_op(e, OP_MARK);
    put_word(e, "storage");
    put_global(e, "torch", storage);
    put_word(e, key);
    put_word(e, "cpu");
    put_int(e, me_array_count(a));
    put_op(e, OP_TUPLE);
    put_op(e, OP_BINPERSID);
    put_int(e, 0);
    put_shape(e, a->ndim, a->shape);
    put_shape(e, a->ndim, dense.stride);
    put_op(e, OP_NEWFALSE);
    put_global(e, "collections", "OrderedDict");
    put_op(e, OP_EMPTY_TUPLE);
    put_op(e, OP_REDUCE);
    put_op(e, OP_TUPLE);
    put_op(e, OP_REDUCE);
}

static void put_array(emitter *e, const me_value *v)
{
    const me_array *a = &v->as.array;
    if (e->style == STYLE_TORCH)
        put_tensor(e, v);
    else if (!me_numpy_code(a->dtype))
        me_fail(&e->w->err, ME_EDATA, "numpy has no %s (convert it to float32)",
                me_dtype_name(a->dtype));
    else if (e->style == STYLE_JOBLIB)
        put_joblib_array(e, a);
    else
        put_numpy_array(e, a);
}

static void put_value(emitter *e, const me_value *v, int depth)
{
    if (depth > ME_PICKLE_MAX_DEPTH)
        me_fail(&e->w->err, ME_EDATA, "values nested more than %d deep", ME_PICKLE_MAX_DEPTH);
    if (e->w->err.code != ME_OK) return;
    switch (v->kind) {
    case ME_NONE:
        put_op(e, OP_NONE);
        break;
    case ME_BOOLEAN:
        put_op(e, v->as.boolean ? OP_NEWTRUE : OP_NEWFALSE);
        break;
    case ME_INT:
        put_int(e, v->as.integer);
        break;
    case ME_FLOAT:
        put_real(e, v->as.number);
        break;
    case ME_STRING:
        put_text(e, v->as.string.data, v->as.string.length);
        break;
    case ME_BYTES:
        if (e->style == STYLE_TORCH) {
            me_fail(&e->w->err, ME_EDATA, "torch.load does not take bytes in a checkpoint");
            break;
        }
        put_counted(e, v->as.string.data, v->as.string.length, OP_SHORT_BINBYTES, OP_BINBYTES,
                    OP_BINBYTES8);
        break;
    case ME_LIST:
        put_op(e, OP_EMPTY_LIST);
        put_op(e, OP_MARK);
        for (size_t i = 0; i < v->as.list.length; i++) put_value(e, v->as.list.items[i], depth + 1);
        put_op(e, OP_APPENDS);
        break;
    case ME_DICT:
        put_op(e, OP_EMPTY_DICT);
        put_op(e, OP_MARK);
        for (size_t i = 0; i < v->as.dict.length; i++) {
            put_value(e, v->as.dict.keys[i], depth + 1);
            put_value(e, v->as.dict.values[i], depth + 1);
        }
        put_op(e, OP_SETITEMS);
        break;
    case ME_ARRAY:
        put_array(e, v);
        break;
    case ME_OBJECT:
        me_fail(&e->w->err, ME_EDATA, "%.100s cannot be written", v->as.string.data);
        break;
    }
}

void me_pickle_put_object_array(me_writer *w, const me_value *v)
{
    emitter e = {.w = w};
    put_op(&e, OP_PROTO);
    put_uint(&e, 4, 1);
    put_array_start(&e, 0, NULL);
    put_dtype(&e, "O8", "|");
    put_op(&e, OP_NEWFALSE);
    put_op(&e, OP_EMPTY_LIST);
    put_value(&e, v, 0);
    put_op(&e, OP_APPEND);
    put_op(&e, OP_TUPLE);
    put_op(&e, OP_BUILD);
    put_op(&e, OP_STOP);
}

void me_pickle_put_torch(me_writer *w, me_value *tensors, me_arena *arena, const me_value *v)
{
    emitter e = {.w = w, .style = STYLE_TORCH, .tensors = tensors, .arena = arena};
    put_op(&e, OP_PROTO);
    put_uint(&e, 2, 1);
    put_value(&e, v, 0);
    put_op(&e, OP_STOP);
}

me_code me_joblib_write(const char *path, const me_value *v, me_err *err)
{
    me_writer w;
    me_code code = me_writer_open(&w, path, err);
    if (code != ME_OK) return code;
    emitter e = {.w = &w, .style = STYLE_JOBLIB};
    put_op(&e, OP_PROTO);
    put_uint(&e, 4, 1);
    put_value(&e, v, 0);
    put_op(&e, OP_STOP);
    return me_writer_commit(&w, err);
}
