/* core/pickle_globals.c: every name that a pickle may refer to, and what it means to call it. This
 * list is the whole of what the reader understands; nothing behind a name is ever imported or run.
 *
 * The inert names are those that Lightning checkpoints and configurations hold beside the weights:
 * they become objects known by name only, whatever they are called with. */
#include "core/pickle_priv.h"

#include <string.h>

// clang-format off
#define T(name, dtype) {"torch", name, GLOBAL_TORCH_STORAGE, dtype}
#define D(name, dtype) {"torch", name, GLOBAL_TORCH_DTYPE, dtype}
static const me_global globals[] = {
    {"collections", "OrderedDict", GLOBAL_DICT, 0},
    {"collections", "defaultdict", GLOBAL_DICT, 0},
    {"collections", "Counter", GLOBAL_DICT, 0},
    {"collections", "deque", GLOBAL_LIST, 0},
    {"builtins", "dict", GLOBAL_DICT, 0},
    {"builtins", "list", GLOBAL_LIST, 0},
    {"builtins", "tuple", GLOBAL_LIST, 0},
    {"builtins", "set", GLOBAL_LIST, 0},
    {"builtins", "frozenset", GLOBAL_LIST, 0},
    {"builtins", "bytes", GLOBAL_BYTES, 0},
    {"builtins", "bytearray", GLOBAL_BYTES, 0},
    {"builtins", "object", GLOBAL_INERT, 0},
    {"builtins", "complex", GLOBAL_INERT, 0},
    {"builtins", "slice", GLOBAL_INERT, 0},
    {"builtins", "range", GLOBAL_INERT, 0},
    {"builtins", "int", GLOBAL_INERT, 0},
    {"builtins", "float", GLOBAL_INERT, 0},
    {"builtins", "bool", GLOBAL_INERT, 0},
    {"builtins", "str", GLOBAL_INERT, 0},
    /* Protocol 2, which torch.save writes, gives int, str and range their names of Python 2. */
    {"builtins", "long", GLOBAL_INERT, 0},
    {"builtins", "unicode", GLOBAL_INERT, 0},
    {"builtins", "xrange", GLOBAL_INERT, 0},
    {"_codecs", "encode", GLOBAL_ENCODE, 0},
    {"copyreg", "_reconstructor", GLOBAL_RECONSTRUCTOR, 0},

    {"numpy", "ndarray", GLOBAL_NUMPY_CLASS, 0},
    {"numpy", "memmap", GLOBAL_NUMPY_CLASS, 0},
    {"numpy", "matrix", GLOBAL_NUMPY_CLASS, 0},
    {"numpy", "dtype", GLOBAL_NUMPY_DTYPE, 0},
    {"numpy.core.multiarray", "_reconstruct", GLOBAL_NUMPY_RECONSTRUCT, 0},
    {"numpy.core.multiarray", "scalar", GLOBAL_NUMPY_SCALAR, 0},
    {"numpy.core.numeric", "_frombuffer", GLOBAL_NUMPY_FROMBUFFER, 0},
    {"joblib.numpy_pickle", "NumpyArrayWrapper", GLOBAL_JOBLIB_WRAPPER, 0},

    {"torch.storage", "_load_from_bytes", GLOBAL_TORCH_BLOB, 0},
    {"torch._utils", "_rebuild_tensor", GLOBAL_TORCH_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_TORCH_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v3", GLOBAL_TORCH_TENSOR_OF_DTYPE, 0},
    {"torch._utils", "_rebuild_parameter", GLOBAL_TORCH_FIRST, 0},
    {"torch._utils", "_rebuild_parameter_with_state", GLOBAL_TORCH_FIRST, 0},
    {"torch._utils", "_rebuild_device_tensor_from_numpy", GLOBAL_TORCH_FIRST, 0},
    {"torch._utils", "_rebuild_xla_tensor", GLOBAL_TORCH_FIRST, 0},
    {"torch._tensor", "_rebuild_from_type_v2", GLOBAL_TORCH_FROM_TYPE, 0},
    {"torch.nn.parameter", "Parameter", GLOBAL_TORCH_FIRST, 0},
    {"torch.jit._pickle", "build_intlist", GLOBAL_LIST, 0},
    {"torch.jit._pickle", "build_doublelist", GLOBAL_LIST, 0},
    {"torch.jit._pickle", "build_boollist", GLOBAL_LIST, 0},
    {"torch.jit._pickle", "build_tensorlist", GLOBAL_LIST, 0},
    {"torch.jit._pickle", "restore_type_tag", GLOBAL_TORCH_TAG, 0},
    {"torch", "Tensor", GLOBAL_INERT, 0},
    {"torch", "Size", GLOBAL_LIST, 0},
    {"torch", "device", GLOBAL_INERT, 0},
    {"torch.serialization", "_get_layout", GLOBAL_INERT, 0},
    T("FloatStorage", ME_F32), T("DoubleStorage", ME_F64), T("HalfStorage", ME_F16),
    T("BFloat16Storage", ME_BF16), T("LongStorage", ME_I64), T("IntStorage", ME_I32),
    T("ShortStorage", ME_I16), T("CharStorage", ME_I8), T("ByteStorage", ME_U8),
    T("BoolStorage", ME_BOOL), T("ComplexFloatStorage", ME_C64),
    T("ComplexDoubleStorage", ME_C128), T("UntypedStorage", ME_DTYPE_COUNT),
    {"torch.storage", "UntypedStorage", GLOBAL_TORCH_STORAGE, ME_DTYPE_COUNT},
    {"torch.storage", "_UntypedStorage", GLOBAL_TORCH_STORAGE, ME_DTYPE_COUNT},
    {"torch.storage", "TypedStorage", GLOBAL_TORCH_STORAGE, ME_DTYPE_COUNT},
    {"torch.storage", "_TypedStorage", GLOBAL_TORCH_STORAGE, ME_DTYPE_COUNT},
    D("float16", ME_F16), D("bfloat16", ME_BF16), D("float32", ME_F32), D("float64", ME_F64),
    D("int8", ME_I8), D("int16", ME_I16), D("int32", ME_I32), D("int64", ME_I64),
    D("uint8", ME_U8), D("uint16", ME_U16), D("uint32", ME_U32), D("uint64", ME_U64),
    D("bool", ME_BOOL), D("complex64", ME_C64), D("complex128", ME_C128),

    {"argparse", "Namespace", GLOBAL_INERT, 0},
    {"pathlib", "PosixPath", GLOBAL_INERT, 0},
    {"pathlib", "PurePosixPath", GLOBAL_INERT, 0},
    {"pathlib", "WindowsPath", GLOBAL_INERT, 0},
    {"pathlib", "PureWindowsPath", GLOBAL_INERT, 0},
    {"pathlib._local", "PosixPath", GLOBAL_INERT, 0},
    {"pathlib._local", "WindowsPath", GLOBAL_INERT, 0},
    {"datetime", "datetime", GLOBAL_INERT, 0},
    {"datetime", "timedelta", GLOBAL_INERT, 0},
    {"typing", "Any", GLOBAL_INERT, 0},
    {"omegaconf.dictconfig", "DictConfig", GLOBAL_INERT, 0},
    {"omegaconf.listconfig", "ListConfig", GLOBAL_INERT, 0},
    {"omegaconf.base", "ContainerMetadata", GLOBAL_INERT, 0},
    {"omegaconf.base", "Metadata", GLOBAL_INERT, 0},
    {"omegaconf.nodes", "AnyNode", GLOBAL_INERT, 0},
    {"omegaconf.nodes", "StringNode", GLOBAL_INERT, 0},
    {"omegaconf.nodes", "IntegerNode", GLOBAL_INERT, 0},
    {"omegaconf.nodes", "FloatNode", GLOBAL_INERT, 0},
    {"omegaconf.nodes", "BooleanNode", GLOBAL_INERT, 0},
    {"omegaconf.nodes", "BytesNode", GLOBAL_INERT, 0},
    {"omegaconf.nodes", "EnumNode", GLOBAL_INERT, 0},
    {"omegaconf.nodes", "PathNode", GLOBAL_INERT, 0},
    {"functools", "partial", GLOBAL_INERT, 0},
    {"torch.optim.adam", "Adam", GLOBAL_INERT, 0},
    {"torch.optim.adamw", "AdamW", GLOBAL_INERT, 0},
    {"torch.optim.sgd", "SGD", GLOBAL_INERT, 0},
    {"pytorch_lightning.utilities.parsing", "AttributeDict", GLOBAL_DICT, 0},
    {"lightning.pytorch.utilities.parsing", "AttributeDict", GLOBAL_DICT, 0},
    {"lightning_fabric.utilities.data", "AttributeDict", GLOBAL_DICT, 0},
    {"lightning.fabric.utilities.data", "AttributeDict", GLOBAL_DICT, 0},
    {"pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint", GLOBAL_INERT, 0},
    {"pytorch_lightning.callbacks.early_stopping", "EarlyStopping", GLOBAL_INERT, 0},
    {"lightning.pytorch.callbacks.model_checkpoint", "ModelCheckpoint", GLOBAL_INERT, 0},
    {"lightning.pytorch.callbacks.early_stopping", "EarlyStopping", GLOBAL_INERT, 0},
};
#undef T
#undef D

/* The same module under the names that Python 2, NumPy 2 and CUDA builds give it. */
static const struct { const char *prefix, *replacement; } aliases[] = {
    {"__builtin__", "builtins"}, {"copy_reg", "copyreg"}, {"numpy._core.", "numpy.core."},
    {"torch.cuda", "torch"},
};
// clang-format on

/* Every class of a TorchScript archive lives in __torch__, under a name of its author's choosing.
 * Such a module is read as the dictionary of its attributes; its code is never looked at. */
static const me_global script_module = {"__torch__", "a module", GLOBAL_TORCH_MODULE, 0};

static bool is_script_module(const char *module, size_t length)
{
    static const char root[] = "__torch__";
    size_t n = sizeof root - 1;
    return length >= n && !memcmp(module, root, n) && (length == n || module[n] == '.');
}

const me_global *me_global_find(const char *module, size_t module_length, const char *name,
                                size_t name_length)
{
    if (is_script_module(module, module_length)) return &script_module;
    const char *head = "";
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        size_t n = strlen(aliases[i].prefix);
        bool whole = aliases[i].prefix[n - 1] != '.';
        if ((whole ? module_length == n : module_length > n) &&
            memcmp(module, aliases[i].prefix, n) == 0) {
            head = aliases[i].replacement;
            module += n;
            module_length -= n;
            break;
        }
    }
    size_t head_length = strlen(head);
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        const me_global *g = &globals[i];
        if (strlen(g->module) == head_length + module_length && strlen(g->name) == name_length &&
            memcmp(g->module, head, head_length) == 0 &&
            memcmp(g->module + head_length, module, module_length) == 0 &&
            memcmp(g->name, name, name_length) == 0)
            return g;
    }
    return NULL;
}

const char *me_torch_storage_name(me_dtype dtype)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (globals[i].kind == GLOBAL_TORCH_STORAGE && globals[i].dtype == dtype)
            return globals[i].name;
    return NULL;
}

/* ---- what calls mean ---------------------------------------------------------------------------
 */

static me_node *refuse_arguments(me_machine *m, const char *what)
{
    me_machine_fail(m, "%s is called with arguments that do not fit it", what);
    return m->nothing;
}

/* dict(), dict(mapping), dict([(k, v), ...]); defaultdict(factory) is empty too. */
static me_node *make_dict(me_machine *m, const me_node *arguments)
{
    me_node *dict = me_node_new(m, ME_DICT);
    const me_node *from = me_node_item(m, arguments, 0);
    if (from->value.kind == ME_DICT) {
        for (size_t i = 0; i < from->value.as.dict.length && m->code == ME_OK; i++)
            me_machine_set(m, dict, (me_node *)from->value.as.dict.keys[i],
                           (me_node *)from->value.as.dict.values[i]);
    } else if (from->value.kind == ME_LIST) {
        for (size_t i = 0; i < from->value.as.list.length && m->code == ME_OK; i++) {
            const me_node *pair = me_node_item(m, from, i);
            if (pair->value.kind != ME_LIST || pair->value.as.list.length != 2)
                return refuse_arguments(m, "a dictionary");
            me_machine_set(m, dict, me_node_item(m, pair, 0), me_node_item(m, pair, 1));
        }
    }
    return dict;
}

static me_node *make_list(me_machine *m, const me_node *arguments)
{
    me_node *list = me_node_new(m, ME_LIST);
    const me_node *from = me_node_item(m, arguments, 0);
    if (from->value.kind == ME_LIST)
        for (size_t i = 0; i < from->value.as.list.length && m->code == ME_OK; i++)
            me_machine_append(m, list, me_node_item(m, from, i));
    else if (from->value.kind != ME_NONE)
        return refuse_arguments(m, "a list");
    return list;
}

/* Bytes that old protocols write as text: each code point is one byte (spec evaluation 2.2). */
static me_node *encode_latin1(me_machine *m, const me_node *arguments)
{
    const me_node *text = me_node_item(m, arguments, 0), *codec = me_node_item(m, arguments, 1);
    bool latin1 = codec->value.kind == ME_NONE || me_node_text(codec, "latin1") ||
                  me_node_text(codec, "latin-1");
    if (text->value.kind == ME_BYTES && codec->value.kind == ME_NONE)
        return me_node_string(m, ME_BYTES, text->value.as.string.data,
                              text->value.as.string.length);
    if (text->value.kind != ME_STRING || !latin1)
        return refuse_arguments(m, "_codecs.encode or bytes");
    size_t n = text->value.as.string.length, used = 0;
    const unsigned char *p = (const unsigned char *)text->value.as.string.data;
    char *out = me_machine_text(m, n + 1);
    if (!out) return m->nothing;
    for (size_t i = 0; i < n; i++) { /* the text is known to be valid UTF-8 */
        unsigned c = p[i];
        if (c > 0xc3) return refuse_arguments(m, "_codecs.encode (a character above 255)");
        if (c >= 0xc2) c = (c & 3u) << 6 | (p[++i] & 0x3fu);
        out[used++] = (char)c;
    }
    return me_node_string(m, ME_BYTES, out, used);
}

static me_node *make_bytes(me_machine *m, const me_node *arguments)
{
    if (arguments->value.as.list.length == 0) return me_node_string(m, ME_BYTES, "", 0);
    return encode_latin1(m, arguments);
}

/* _reconstruct(ndarray, (0,), b'b'): an array that its BUILD will fill. */
static me_node *pending_array(me_machine *m, const me_node *arguments)
{
    const me_node *class = me_node_item(m, arguments, 0);
    if (class->role != ROLE_GLOBAL || class->as.global->kind != GLOBAL_NUMPY_CLASS)
        return refuse_arguments(m, "numpy's _reconstruct");
    return me_node_object(m, ROLE_PENDING_ARRAY, "numpy.ndarray");
}

/* _reconstructor(class, base, state): how old protocols make instances. */
static me_node *reconstruct(me_machine *m, const me_node *arguments)
{
    me_node *class = me_node_item(m, arguments, 0), *state = me_node_item(m, arguments, 2);
    me_node *inner = me_node_new(m, ME_LIST);
    if (state->value.kind == ME_DICT || state->value.kind == ME_LIST)
        me_machine_append(m, inner, state);
    if (class->role == ROLE_GLOBAL && class->as.global->kind == GLOBAL_DICT)
        return make_dict(m, inner);
    return me_machine_new(m, class, inner);
}

static me_node *call_global(me_machine *m, const me_node *function, me_node *arguments)
{
    const me_global *g = function->as.global;
    const char *name = function->value.as.string.data;
    switch (g->kind) {
    case GLOBAL_DICT:
        return make_dict(m, arguments);
    case GLOBAL_LIST:
        return make_list(m, arguments);
    case GLOBAL_BYTES:
        return make_bytes(m, arguments);
    case GLOBAL_ENCODE:
        return encode_latin1(m, arguments);
    case GLOBAL_RECONSTRUCTOR:
        return reconstruct(m, arguments);
    case GLOBAL_NUMPY_RECONSTRUCT:
        return pending_array(m, arguments);
    case GLOBAL_NUMPY_DTYPE:
        return me_numpy_dtype(m, arguments);
    case GLOBAL_NUMPY_SCALAR:
        return me_numpy_scalar(m, arguments);
    case GLOBAL_NUMPY_FROMBUFFER:
        return me_numpy_frombuffer(m, arguments);
    case GLOBAL_JOBLIB_WRAPPER:
        return me_node_object(m, ROLE_WRAPPER, name);
    case GLOBAL_TORCH_BLOB:
        return me_torch_blob(m, arguments);
    case GLOBAL_TORCH_TENSOR:
        return me_torch_tensor(m, arguments, false);
    case GLOBAL_TORCH_TENSOR_OF_DTYPE:
        return me_torch_tensor(m, arguments, true);
    case GLOBAL_TORCH_FIRST: {
        me_node *first = me_node_item(m, arguments, 0);
        return first->value.kind == ME_ARRAY ? first : refuse_arguments(m, name);
    }
    case GLOBAL_TORCH_FROM_TYPE:
        return me_machine_call(m, me_node_item(m, arguments, 0), me_node_item(m, arguments, 2));
    case GLOBAL_TORCH_TAG:
        return me_node_item(m, arguments, 0);
    case GLOBAL_INERT:
        return me_node_object(m, ROLE_INERT, name);
    default:
        return refuse_arguments(m, name); /* a class of storages, a dtype: never called */
    }
}

me_node *me_machine_call(me_machine *m, me_node *function, me_node *arguments)
{
    if (m->code != ME_OK) return m->nothing;
    if (function->role != ROLE_GLOBAL || arguments->value.kind != ME_LIST) {
        me_machine_fail(m, "calls a %s, which is no function", me_kind_name(function->value.kind));
        return m->nothing;
    }
    /* _rebuild_from_type_v2 and _reconstructor call on: they may not call themselves for ever. */
    const me_node *inner = me_node_item(m, arguments, 0);
    if (function->as.global->kind == GLOBAL_TORCH_FROM_TYPE && inner->role == ROLE_GLOBAL &&
        inner->as.global->kind == GLOBAL_TORCH_FROM_TYPE)
        return refuse_arguments(m, "torch._tensor._rebuild_from_type_v2");
    return call_global(m, function, arguments);
}

me_node *me_machine_new(me_machine *m, me_node *class, me_node *arguments)
{
    if (m->code != ME_OK) return m->nothing;
    if (class->role == ROLE_GLOBAL) switch (class->as.global->kind) {
        case GLOBAL_DICT:
            return me_node_new(m, ME_DICT); /* its items follow */
        case GLOBAL_TORCH_MODULE: {
            me_node *module = me_node_new(m, ME_DICT);
            if (m->code == ME_OK) module->role = ROLE_MODULE;
            return module;
        }
        case GLOBAL_LIST:
        case GLOBAL_BYTES:
        case GLOBAL_NUMPY_DTYPE:
        case GLOBAL_JOBLIB_WRAPPER:
        case GLOBAL_INERT:
            return me_machine_call(m, class, arguments);
        default:
            break;
        }
    me_machine_fail(m, "makes an instance of %.100s, which is not allowed",
                    class->value.kind == ME_OBJECT ? class->value.as.string.data
                                                   : me_kind_name(class->value.kind));
    return m->nothing;
}

me_node *me_machine_build(me_machine *m, me_node *object, me_node *state)
{
    if (m->code != ME_OK) return m->nothing;
    switch (object->role) {
    case ROLE_DTYPE:
        me_numpy_dtype_build(m, object, state);
        break;
    case ROLE_PENDING_ARRAY:
        me_numpy_array_build(m, object, state);
        break;
    case ROLE_WRAPPER:
        me_joblib_wrapper_build(m, object, state);
        break;
    case ROLE_MODULE:
        object->role = ROLE_PLAIN;
        for (size_t i = 0; state->value.kind == ME_DICT && i < state->value.as.dict.length; i++)
            me_machine_set(m, object, (me_node *)state->value.as.dict.keys[i],
                           (me_node *)state->value.as.dict.values[i]);
        break;
    case ROLE_INERT:
    case ROLE_TENSOR:
        break;
    default: /* attributes of a dictionary (a state dict's _metadata) or of a tensor */
        if (object->value.kind != ME_DICT && object->value.kind != ME_ARRAY)
            me_machine_fail(m, "gives a state to a %s", me_kind_name(object->value.kind));
    }
    return object;
}
