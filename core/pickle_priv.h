/* core/pickle_priv.h: what the parts of the unpickler share.
 *
 *   pickle.c          the stack machine: opcodes, stack, marks, memo
 *   pickle_scalars.c  numbers, strings, bytes
 *   pickle_globals.c  the allow-list, and what calling its members means
 *   pickle_numpy.c    arrays and scalars of NumPy, joblib's array wrapper
 *   pickle_torch.c    storages and tensors of PyTorch
 *   pickle_seal.c     the last check of a finished tree
 *   torch.c           PyTorch's two containers around a pickle
 *
 * Failure is sticky in the machine: after the first one every helper returns harmless values and
 * the opcode loop stops, so that the parts read as what they do.
 */
#ifndef ME_CORE_PICKLE_PRIV_H
#define ME_CORE_PICKLE_PRIV_H

#include "core/pickle.h"

// clang-format off
typedef enum {
    OP_MARK = '(', OP_STOP = '.', OP_POP = '0', OP_POP_MARK = '1', OP_DUP = '2', OP_FLOAT = 'F',
    OP_INT = 'I', OP_BININT = 'J', OP_BININT1 = 'K', OP_LONG = 'L', OP_BININT2 = 'M', OP_NONE = 'N',
    OP_BINPERSID = 'Q', OP_REDUCE = 'R', OP_STRING = 'S', OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U', OP_UNICODE = 'V', OP_BINUNICODE = 'X', OP_APPEND = 'a', OP_BUILD = 'b',
    OP_GLOBAL = 'c', OP_DICT = 'd', OP_EMPTY_DICT = '}', OP_APPENDS = 'e', OP_GET = 'g',
    OP_BINGET = 'h', OP_INST = 'i', OP_LONG_BINGET = 'j', OP_LIST = 'l', OP_EMPTY_LIST = ']',
    OP_OBJ = 'o', OP_PUT = 'p', OP_BINPUT = 'q', OP_LONG_BINPUT = 'r', OP_SETITEM = 's',
    OP_TUPLE = 't', OP_EMPTY_TUPLE = ')', OP_SETITEMS = 'u', OP_BINFLOAT = 'G', OP_BINBYTES = 'B',
    OP_SHORT_BINBYTES = 'C', OP_PROTO = 0x80, OP_NEWOBJ = 0x81, OP_TUPLE1 = 0x85, OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87, OP_NEWTRUE = 0x88, OP_NEWFALSE = 0x89, OP_LONG1 = 0x8a, OP_LONG4 = 0x8b,
    OP_SHORT_BINUNICODE = 0x8c, OP_BINUNICODE8 = 0x8d, OP_BINBYTES8 = 0x8e, OP_EMPTY_SET = 0x8f,
    OP_ADDITEMS = 0x90, OP_FROZENSET = 0x91, OP_NEWOBJ_EX = 0x92, OP_STACK_GLOBAL = 0x93,
    OP_MEMOIZE = 0x94, OP_FRAME = 0x95, OP_BYTEARRAY8 = 0x96
} me_opcode;
// clang-format on

#define ME_PICKLE_MAX_DEPTH 100 /* of nested values */
#define ME_PICKLE_WORDS 127
#define ME_PICKLE_GLOBALS 31
#define ME_PICKLE_MAX_INNER 4 /* pickles inside a pickle: joblib's object arrays, torch's blobs */

/* What calling (REDUCE, NEWOBJ) a global means. */
typedef enum {
    GLOBAL_INERT, /* gives an ME_OBJECT of that name; arguments and state are dropped */
    GLOBAL_DICT,
    GLOBAL_LIST,
    GLOBAL_BYTES,
    GLOBAL_ENCODE,        /* _codecs.encode(text, 'latin1') */
    GLOBAL_RECONSTRUCTOR, /* copyreg._reconstructor(class, base, state) */
    GLOBAL_NUMPY_CLASS,
    GLOBAL_NUMPY_DTYPE,
    GLOBAL_NUMPY_RECONSTRUCT,
    GLOBAL_NUMPY_SCALAR,
    GLOBAL_NUMPY_FROMBUFFER,
    GLOBAL_JOBLIB_WRAPPER,
    GLOBAL_TORCH_STORAGE,
    GLOBAL_TORCH_DTYPE,
    GLOBAL_TORCH_BLOB, /* torch.storage._load_from_bytes */
    GLOBAL_TORCH_TENSOR,
    GLOBAL_TORCH_TENSOR_OF_DTYPE, /* _rebuild_tensor_v3 */
    GLOBAL_TORCH_FIRST,           /* rebuilds something whose first argument is the tensor */
    GLOBAL_TORCH_FROM_TYPE,       /* _rebuild_from_type_v2(function, class, arguments, state) */
    GLOBAL_TORCH_TAG,             /* restore_type_tag(value, type) */
    GLOBAL_TORCH_MODULE           /* any class of a TorchScript archive */
} me_global_kind;

typedef struct me_global {
    const char *module, *name;
    me_global_kind kind;
    me_dtype dtype; /* of torch storages and dtypes; ME_DTYPE_COUNT: bytes without a type */
} me_global;

/* The bytes behind tensors. Containers fill `data` after the pickle has been read. */
typedef struct me_storage {
    const char *key; /* its name in the container */
    size_t key_length;
    const unsigned char *data;
    size_t size;      /* bytes wanted until ready, then bytes there */
    size_t item_size; /* of the type under which it was stored */
    bool ready, swapped;
    struct me_storage *next; /* in the order of first mention */
} me_storage;

typedef enum {
    ROLE_PLAIN,
    ROLE_GLOBAL,
    ROLE_DTYPE,         /* numpy.dtype instance */
    ROLE_PENDING_ARRAY, /* numpy's _reconstruct before its BUILD */
    ROLE_WRAPPER,       /* joblib's wrapper before its BUILD */
    ROLE_STORAGE,
    ROLE_TENSOR, /* an array whose storage is not there yet */
    ROLE_MODULE, /* a TorchScript module before its BUILD: its attributes become a dictionary */
    ROLE_INERT   /* an instance of an inert class */
} me_role;

/* NumPy's element types: those of me_dtype, text, bytes and Python objects. */
typedef struct me_numpy_type {
    char kind; /* 'n' a number, 'U', 'S', 'O' */
    me_dtype dtype;
    size_t size; /* bytes an element */
    bool swapped;
} me_numpy_type;

/* A value and what only the machine knows of it. Every value of a finished tree is one. */
typedef struct me_node {
    me_value value; /* first: a me_value * of the tree is a me_node * */
    me_role role;
    uint8_t seal; /* 0 not seen, 1 being checked, 2 checked */
    uint8_t height;
    union {
        const me_global *global;
        me_numpy_type numpy;
        struct {
            me_storage *storage;
            me_dtype dtype;
            int64_t offset;       /* elements, or bytes where dtype is ME_DTYPE_COUNT */
            struct me_node *next; /* ROLE_TENSOR: the machine's list */
        } torch;
        uint64_t weight; /* sealed: values below and including it */
    } as;
} me_node;

typedef struct me_machine {
    const unsigned char *bytes;
    size_t size, at; /* `at` moves up to `size` */
    size_t opcode_at;
    const char *where; /* "" or "data.pkl: ", put before messages */
    int inner;         /* depth of pickles in pickles */
    bool saw_wrapper, saw_torch;
    bool has_container; /* persistent ids are allowed */
    size_t blobs_left;  /* bytes of pickles in byte strings that may still be read */

    me_arena *arena;
    me_code code;
    me_err *err;

    me_node **stack;
    size_t depth, stack_capacity;
    size_t *marks;
    size_t n_marks, marks_capacity;
    me_node **memo;
    size_t n_memo, memo_capacity;

    me_node *pool;
    size_t pool_left;
    char *text;
    size_t text_left;
    me_node *small[256], *constants[3], *nothing;
    me_node *words[ME_PICKLE_WORDS]; /* short strings met, by a hash; later ones replace earlier */
    struct {
        const me_node *module, *name;
        me_node *global;
    } globals[ME_PICKLE_GLOBALS]; /* those that strings named, likewise */

    me_storage *storages, **storages_end; /* in order of first mention */
    size_t n_storages;
    me_storage **table; /* by hash of key */
    size_t table_size;
    me_node *tensors; /* that wait for their storage */
} me_machine;

/* pickle.c */
void me_machine_init(me_machine *m, me_arena *arena, const unsigned char *bytes, size_t size,
                     size_t at, const char *where, me_err *err);
void me_machine_release(me_machine *m);
me_node *me_machine_run(me_machine *m); /* up to STOP; NULL after a failure */
me_code me_machine_fail(me_machine *m, const char *fmt, ...) ME_PRINTF(2, 3);
me_node *me_node_new(me_machine *m, me_kind kind);
me_node *me_node_string(me_machine *m, me_kind kind, const void *data, size_t size);
me_node *me_node_object(me_machine *m, me_role role, const char *name);
char *me_machine_text(me_machine *m, size_t size);             /* small strings, packed */
const unsigned char *me_machine_take(me_machine *m, size_t n); /* the next n bytes, or NULL */
void me_machine_append(me_machine *m, me_node *list, me_node *item);
void me_machine_set(me_machine *m, me_node *dict, me_node *key, me_node *value);
/* The item `i` of a list node, or a harmless None. */
me_node *me_node_item(me_machine *m, const me_node *list, size_t i);
bool me_node_text(const me_node *n, const char *text);
uint64_t me_machine_take_uint(me_machine *m, size_t width); /* little-endian */
/* A run of bytes behind its own length; a line without its end. NULL after a failure. */
const unsigned char *me_machine_take_counted(me_machine *m, size_t width, size_t *size);
const unsigned char *me_machine_take_line(me_machine *m, size_t *length);
void me_machine_restart(me_machine *m); /* forgets the memo: another pickle follows in the bytes */
/* A machine for a pickle inside this one's, and its end. */
void me_machine_nest(me_machine *in, const me_machine *m, const unsigned char *bytes, size_t size,
                     size_t at);
void me_machine_join(me_machine *m, me_machine *in);
/* Text of a file, shortened and without control characters, for messages. */
void me_printable(char *out, size_t size, const char *text, size_t n);
/* Runs an inner pickle of the same bytes at m->at; the machine continues behind it. */
me_node *me_machine_inner(me_machine *m);

/* pickle_scalars.c */
me_node *me_machine_scalar(me_machine *m, me_opcode op);
/* Length of the UTF-8 sequence at p, 0 when malformed. Surrogates, which Python lets through, count
 * as three bytes and set *surrogate. */
size_t me_utf8_length(const unsigned char *p, size_t left, bool *surrogate);
size_t me_utf8_put(unsigned char *out, uint32_t c);

/* pickle_globals.c */
const me_global *me_global_find(const char *module, size_t module_length, const char *name,
                                size_t name_length);
me_node *me_machine_call(me_machine *m, me_node *function, me_node *arguments);
me_node *me_machine_new(me_machine *m, me_node *class, me_node *arguments);
me_node *me_machine_build(me_machine *m, me_node *object, me_node *state);

/* pickle_numpy.c */
bool me_numpy_type_parse(me_numpy_type *out, const char *code, size_t length);
bool me_numpy_shape(me_machine *m, const me_node *shape, int *ndim, int64_t out[ME_MAX_DIMS]);
/* Elements and bytes of a shape; false when a dimension is negative or the product overflows. */
bool me_shape_size(int ndim, const int64_t *shape, size_t item_size, int64_t *count, size_t *bytes);
/* Makes `node` the array, string(s) or object(s) that data of that type and shape are. */
void me_numpy_fill(me_machine *m, me_node *node, me_numpy_type type, int ndim, const int64_t *shape,
                   bool fortran, const unsigned char *data);
me_node *me_numpy_dtype(me_machine *m, const me_node *arguments);
void me_numpy_dtype_build(me_machine *m, me_node *dtype, const me_node *state);
void me_numpy_array_build(me_machine *m, me_node *array, const me_node *state);
me_node *me_numpy_scalar(me_machine *m, const me_node *arguments);
me_node *me_numpy_frombuffer(me_machine *m, const me_node *arguments);
void me_joblib_wrapper_build(me_machine *m, me_node *wrapper, const me_node *state);

/* pickle_torch.c */
me_node *me_torch_persistent(me_machine *m, const me_node *id);
me_node *me_torch_tensor(me_machine *m, const me_node *arguments, bool with_dtype);
me_node *me_torch_blob(me_machine *m, const me_node *arguments);
me_storage *me_torch_storage_find(const me_machine *m, const char *key, size_t length);
void me_torch_resolve(me_machine *m); /* gives every waiting tensor its bytes */

/* pickle_seal.c */
me_code me_pickle_seal(me_machine *m, me_node *root);

/* "FloatStorage" and its like; NULL where torch has none. */
const char *me_torch_storage_name(me_dtype dtype);

/* pickle_write.c: the data.pkl of a torch file; the arrays met are appended to `tensors`, whose
 * places there are their keys. */
void me_pickle_put_torch(me_writer *w, me_value *tensors, me_arena *arena, const me_value *v);

/* npy.c: NumPy's code of a type ("f4"), NULL where it has none; the elements in row-major order. */
const char *me_numpy_code(me_dtype dtype);
void me_writer_put_array(me_writer *w, const me_array *a);

/* torch.c: the five parts of a legacy file from m->at to m->size; the root. */
me_node *me_torch_legacy_root(me_machine *m);

#endif
