/* core/value.h: the tree that every reader produces.
 *
 * A pickle, a torch checkpoint, an npz, a safetensors file and a JSON text all become one
 * `me_value`: numbers, strings, lists, dictionaries and arrays. Nothing in it can be executed.
 * Arrays are views into the bytes of the file wherever the file stores them plainly, so a large
 * file costs little more than itself. Everything is owned by the document (core/doc.h) that made
 * it.
 */
#ifndef ME_CORE_VALUE_H
#define ME_CORE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

// clang-format off
/*        id         name      bytes */
#define ME_DTYPE_LIST(X)                                                                           \
    X(ME_F16,        "float16",  2)                                                                \
    X(ME_BF16,       "bfloat16", 2)                                                                \
    X(ME_F32,        "float32",  4)                                                                \
    X(ME_F64,        "float64",  8)                                                                \
    X(ME_I8,         "int8",     1)                                                                \
    X(ME_I16,        "int16",    2)                                                                \
    X(ME_I32,        "int32",    4)                                                                \
    X(ME_I64,        "int64",    8)                                                                \
    X(ME_U8,         "uint8",    1)                                                                \
    X(ME_U16,        "uint16",   2)                                                                \
    X(ME_U32,        "uint32",   4)                                                                \
    X(ME_U64,        "uint64",   8)                                                                \
    X(ME_BOOL,       "bool",     1)                                                                \
    X(ME_C64,        "complex64",  8)                                                              \
    X(ME_C128,       "complex128", 16)
// clang-format on

typedef enum {
#define X(id, name, bytes) id,
    ME_DTYPE_LIST(X)
#undef X
        ME_DTYPE_COUNT
} me_dtype;

const char *me_dtype_name(me_dtype dtype);
size_t me_dtype_size(me_dtype dtype);

#define ME_MAX_DIMS 8

/* A strided view. `data` may be unaligned: read through the functions below, never by a cast. The
 * reader has checked that every element the view reaches lies inside the document's bytes. */
typedef struct me_array {
    me_dtype dtype;
    bool swapped; /* bytes are in the other order than this machine's */
    int ndim;
    int64_t shape[ME_MAX_DIMS];
    int64_t stride[ME_MAX_DIMS]; /* in elements, as PyTorch counts */
    const unsigned char *data;
} me_array;

typedef enum {
    ME_NONE,
    ME_BOOLEAN,
    ME_INT,
    ME_FLOAT,
    ME_STRING, /* UTF-8, NUL-terminated, and `length` bytes long (it may hold NULs) */
    ME_BYTES,
    ME_LIST, /* also tuples and sets */
    ME_DICT, /* insertion order kept; keys are values */
    ME_ARRAY,
    ME_OBJECT /* something allowed but of no use to us, known by name only (a dtype, a storage …) */
} me_kind;

typedef struct me_value me_value;
struct me_value {
    me_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct {
            const char *data;
            size_t length;
        } string; /* ME_STRING, ME_BYTES, ME_OBJECT (its qualified name) */
        struct {
            me_value **items;
            size_t length, capacity;
        } list;
        struct {
            me_value **keys, **values;
            size_t length, capacity;
        } dict;
        me_array array;
    } as;
};

const char *me_kind_name(me_kind kind);

/* Makers; NULL when memory is out. Strings are copied. */
me_value *me_value_new(me_arena *arena, me_kind kind);
me_value *me_value_string(me_arena *arena, const char *s);
me_value *me_value_int(me_arena *arena, int64_t i);
me_value *me_value_float(me_arena *arena, double x);
me_value *me_value_bool(me_arena *arena, bool b);
/* A contiguous array over the caller's data, which must outlive the value. */
me_value *me_value_array(me_arena *arena, me_dtype dtype, int ndim, const int64_t *shape,
                         const void *data);
/* Of what follows, an argument that is NULL is memory that ran out when it was made. */
me_code me_list_append(me_arena *arena, me_value *list, me_value *item, me_err *err);
me_code me_dict_set(me_arena *arena, me_value *dict, me_value *key, me_value *value, me_err *err);
me_code me_dict_put(me_arena *arena, me_value *dict, const char *key, me_value *value, me_err *err);
/* As me_dict_set for a key that the caller knows to be new: set looks for it, which is linear. */
me_code me_dict_append(me_arena *arena, me_value *dict, me_value *key, me_value *value,
                       me_err *err);
/* Equal scalars or strings of one kind; containers only when they are the same one. */
bool me_key_equals(const me_value *a, const me_value *b);

/* NULL when `v` is no dictionary or has no such string key. Linear, meant for small dictionaries.
 */
me_value *me_dict_get(const me_value *v, const char *key);
bool me_string_equals(const me_value *v, const char *s);

int64_t me_array_count(const me_array *a); /* elements */
bool me_array_contiguous(const me_array *a);
me_array me_array_make(me_dtype dtype, int ndim, const int64_t *shape, const void *data);

/* Copies all elements in row-major order, converting to the wanted type (integers and bool convert
 * to floating point by value; complex is refused). `out` holds me_array_count(a) elements. */
me_code me_array_read_f32(const me_array *a, float *out, me_err *err);
me_code me_array_read_f64(const me_array *a, double *out, me_err *err);
me_code me_array_read_i64(const me_array *a, int64_t *out, me_err *err); /* floats are refused */
/* The elements as they are, in this machine's byte order. */
void me_array_read_same(const me_array *a, void *out);
/* As me_array_read_f32, for rows [0, shape[0]) and columns [from, to) of a 2-D array. */
me_code me_array_read_columns_f32(const me_array *a, int64_t from, int64_t to, float *out,
                                  me_err *err);

/* "float32 (12, 66)" into `buf`; returns buf. */
char *me_array_describe(const me_array *a, char *buf, size_t size);

#endif
