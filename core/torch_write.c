/* core/torch_write.c: PyTorch's zip container, written (torch.h): STEM/data.pkl in protocol 2, one
 * stored entry STEM/data/N for each tensor, STEM/byteorder and STEM/version. The inverse of what
 * torch.c reads.
 */
#include "core/torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/pickle_priv.h"

typedef struct emitter {
    me_arena arena;       /* entries' names and gathered copies */
    unsigned char *bytes; /* the pickle */
    size_t size, capacity;
    me_zip_entry *entries; /* of the tensors, in order */
    int64_t n, entries_capacity;
    const char *stem;
    me_err *err;
    me_code code; /* sticky */
} emitter;

static void put(emitter *e, const void *data, size_t size)
{
    if (e->code) return;
    if (size > e->capacity - e->size) {
        size_t capacity = 2 * (e->capacity + size);
        unsigned char *grown = realloc(e->bytes, capacity);
        if (!grown) {
            e->code = me_fail_mem(e->err, "a torch file");
            return;
        }
        e->bytes = grown;
        e->capacity = capacity;
    }
    memcpy(e->bytes + e->size, data, size);
    e->size += size;
}

static void put_op(emitter *e, int op)
{
    put(e, (const unsigned char[]){(unsigned char)op}, 1);
}

static void put_little(emitter *e, uint64_t x, size_t width)
{
    unsigned char b[8];
    for (size_t i = 0; i < width; i++) b[i] = (unsigned char)(x >> (8 * i));
    put(e, b, width);
}

static void put_int(emitter *e, int64_t i)
{
    if (i >= 0 && i < 256) {
        put_op(e, OP_BININT1);
        put_little(e, (uint64_t)i, 1);
    } else if (i >= INT32_MIN && i <= INT32_MAX) {
        put_op(e, OP_BININT);
        put_little(e, (uint64_t)i, 4);
    } else {
        put_op(e, OP_LONG1);
        put_little(e, 8, 1);
        put_little(e, (uint64_t)i, 8);
    }
}

static void put_text(emitter *e, const char *text, size_t size)
{
    if (size > UINT32_MAX) {
        e->code =
            me_fail(e->err, ME_EDATA, "a string of %zu bytes is too long for a torch file", size);
        return;
    }
    put_op(e, OP_BINUNICODE);
    put_little(e, size, 4);
    put(e, text, size);
}

static void put_global(emitter *e, const char *module, const char *name)
{
    put_op(e, OP_GLOBAL);
    put(e, module, strlen(module));
    put(e, "\n", 1);
    put(e, name, strlen(name));
    put(e, "\n", 1);
}

static void put_sizes(emitter *e, int n, const int64_t *sizes)
{
    put_op(e, OP_MARK);
    for (int i = 0; i < n; i++) put_int(e, sizes[i]);
    put_op(e, OP_TUPLE);
}

static const char *storage_name(me_dtype dtype)
{
    switch (dtype) {
    case ME_F16:
        return "HalfStorage";
    case ME_BF16:
        return "BFloat16Storage";
    case ME_F32:
        return "FloatStorage";
    case ME_F64:
        return "DoubleStorage";
    case ME_I8:
        return "CharStorage";
    case ME_I16:
        return "ShortStorage";
    case ME_I32:
        return "IntStorage";
    case ME_I64:
        return "LongStorage";
    case ME_U8:
        return "ByteStorage";
    case ME_BOOL:
        return "BoolStorage";
    default:
        return NULL;
    }
}

/* The elements in order: the array's own bytes where they lie so already, else a copy. */
static const void *elements(emitter *e, const me_array *a)
{
    if (me_array_contiguous(a) && !a->swapped) return a->data;
    size_t size = me_dtype_size(a->dtype);
    int64_t count = me_array_count(a), at[ME_MAX_DIMS] = {0};
    unsigned char *copy = me_arena_alloc(&e->arena, (size_t)count, size);
    for (int64_t i = 0; copy && i < count; i++) {
        int64_t offset = 0;
        for (int d = 0; d < a->ndim; d++) offset += at[d] * a->stride[d];
        const unsigned char *from = a->data + offset * (int64_t)size;
        for (size_t b = 0; b < size; b++)
            copy[(size_t)i * size + b] = from[a->swapped ? size - 1 - b : b];
        for (int d = a->ndim - 1; d >= 0 && ++at[d] == a->shape[d]; d--) at[d] = 0;
    }
    return copy;
}

static void add_entry(emitter *e, const char *name, const void *data, size_t size)
{
    if (e->code) return;
    if (e->n == e->entries_capacity) {
        int64_t capacity = 2 * e->entries_capacity + 64;
        me_zip_entry *grown = realloc(e->entries, (size_t)capacity * sizeof *grown);
        if (!grown) {
            e->code = me_fail_mem(e->err, "a torch file");
            return;
        }
        e->entries = grown;
        e->entries_capacity = capacity;
    }
    if (!name || (!data && size)) {
        e->code = me_fail_mem(e->err, "a torch file");
        return;
    }
    e->entries[e->n++] = (me_zip_entry){.name = name, .data = data, .size = size};
}

/* torch._utils._rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict()) */
static void put_tensor(emitter *e, const me_array *a)
{
    const char *storage = storage_name(a->dtype);
    if (!storage) {
        e->code =
            me_fail(e->err, ME_EDATA, "PyTorch has no storage of %s", me_dtype_name(a->dtype));
        return;
    }
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)e->n);
    int64_t count = me_array_count(a);
    add_entry(e, me_arena_printf(&e->arena, "%s/data/%s", e->stem, key), elements(e, a),
              (size_t)count * me_dtype_size(a->dtype));

    put_global(e, "torch._utils", "_rebuild_tensor_v2");
    put_op(e, OP_MARK);
    put_op(e, OP_MARK);
    put_text(e, "storage", 7);
    put_global(e, "torch", storage);
    put_text(e, key, strlen(key));
    put_text(e, "cpu", 3);
    put_int(e, count);
    put_op(e, OP_TUPLE);
    put_op(e, OP_BINPERSID);
    put_int(e, 0);
    put_sizes(e, a->ndim, a->shape);
    me_array plain = me_array_make(a->dtype, a->ndim, a->shape, a->data);
    put_sizes(e, a->ndim, plain.stride);
    put_op(e, OP_NEWFALSE);
    put_global(e, "collections", "OrderedDict");
    put_op(e, OP_EMPTY_TUPLE);
    put_op(e, OP_REDUCE);
    put_op(e, OP_TUPLE);
    put_op(e, OP_REDUCE);
}

static void put_value(emitter *e, const me_value *v);

static void put_dict(emitter *e, const me_value *v)
{
    put_op(e, OP_EMPTY_DICT);
    for (size_t i = 0; i < v->as.dict.length && !e->code; i++) {
        put_value(e, v->as.dict.keys[i]);
        put_value(e, v->as.dict.values[i]);
        put_op(e, OP_SETITEM);
    }
}

static void put_float(emitter *e, double x)
{
    uint64_t bits;
    unsigned char big[8];
    memcpy(&bits, &x, sizeof bits);
    for (int i = 0; i < 8; i++) big[i] = (unsigned char)(bits >> (56 - 8 * i));
    put_op(e, OP_BINFLOAT);
    put(e, big, sizeof big);
}

static void put_value(emitter *e, const me_value *v)
{
    if (e->code) return;
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
        put_float(e, v->as.number);
        break;
    case ME_STRING:
        put_text(e, v->as.string.data, v->as.string.length);
        break;
    case ME_ARRAY:
        put_tensor(e, &v->as.array);
        break;
    case ME_DICT:
        put_dict(e, v);
        break;
    case ME_LIST:
        put_op(e, OP_EMPTY_LIST);
        for (size_t i = 0; i < v->as.list.length && !e->code; i++) {
            put_value(e, v->as.list.items[i]);
            put_op(e, OP_APPEND);
        }
        break;
    default:
        e->code = me_fail(e->err, ME_EDATA, "a %s cannot be written into a torch file",
                          me_kind_name(v->kind));
    }
}

/* The file's name without its ending: PyTorch's name for the folder inside the archive. */
static const char *stem_of(me_arena *arena, const char *path)
{
    const char *base = me_path_base(path), *dot = strrchr(base, '.');
    return dot && dot > base ? me_arena_strndup(arena, base, (size_t)(dot - base))
                             : me_arena_strdup(arena, base);
}

me_code me_torch_write(const char *path, const me_value *v, me_err *err)
{
    static const int order_probe = 1;
    const char *order = *(const char *)&order_probe ? "little" : "big";
    emitter e = {.err = err};
    e.stem = stem_of(&e.arena, path);
    if (!e.stem) e.code = me_fail_mem(err, "a torch file");
    put_op(&e, OP_PROTO);
    put_op(&e, 2);
    put_value(&e, v);
    put_op(&e, OP_STOP);

    me_zip_entry *all = malloc((size_t)(e.n + 3) * sizeof *all);
    if (!e.code && !all) e.code = me_fail_mem(err, "a torch file");
    if (!e.code) {
        all[0] = (me_zip_entry){.name = me_arena_printf(&e.arena, "%s/data.pkl", e.stem),
                                .data = e.bytes,
                                .size = e.size};
        all[1] = (me_zip_entry){.name = me_arena_printf(&e.arena, "%s/byteorder", e.stem),
                                .data = (const unsigned char *)order,
                                .size = strlen(order)};
        if (e.n) memcpy(all + 2, e.entries, (size_t)e.n * sizeof *all);
        all[2 + e.n] = (me_zip_entry){.name = me_arena_printf(&e.arena, "%s/version", e.stem),
                                      .data = (const unsigned char *)"3\n",
                                      .size = 2};
        e.code = all[0].name && all[1].name && all[2 + e.n].name
                     ? me_zip_write(path, all, e.n + 3, false, err)
                     : me_fail_mem(err, "a torch file");
    }
    free(all);
    free(e.bytes);
    free(e.entries);
    me_arena_release(&e.arena);
    return e.code;
}
