/* core/pickle.c: the stack machine of the restricted unpickler (spec evaluation 2.2). It knows
 * opcodes, not libraries: what a global means is in pickle_globals.c. Nothing is imported and
 * nothing is called. */
#include "core/pickle_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- failure, memory ---------------------------------------------------------------------------
 */

me_code me_machine_fail(me_machine *m, const char *fmt, ...)
{
    if (m->code != ME_OK) return m->code;
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    m->code = ME_EFORMAT;
    return me_fail(m->err, ME_EFORMAT, "%sat byte %zu: %s", m->where, m->opcode_at, text);
}

static void fail_memory(me_machine *m)
{
    if (m->code != ME_OK) return;
    m->code = ME_EMEM;
    if (m->arena->limit)
        me_fail(m->err, ME_EMEM, "%sits values need more than %zu MiB", m->where,
                m->arena->limit >> 20);
    else
        me_fail_mem(m->err, "the values of a pickle");
}

me_node *me_node_new(me_machine *m, me_kind kind)
{
    if (!m->pool_left) {
        size_t n = 64;
        m->pool = ME_NEW_ARRAY(m->arena, n, me_node);
        if (!m->pool) {
            fail_memory(m);
            return m->nothing;
        }
        m->pool_left = n;
    }
    me_node *n = m->pool++;
    m->pool_left--;
    n->value.kind = kind;
    return n;
}

char *me_machine_text(me_machine *m, size_t size)
{
    if (size > m->text_left) {
        bool large = size > 1024;
        char *text = me_arena_alloc(m->arena, large ? size : 4096, 1);
        if (!text) fail_memory(m);
        if (large || !text) return text;
        m->text = text;
        m->text_left = 4096;
    }
    char *p = m->text;
    m->text += size;
    m->text_left -= size;
    return p;
}

me_node *me_node_string(me_machine *m, me_kind kind, const void *data, size_t size)
{
    me_node *n = me_node_new(m, kind);
    n->value.as.string.data = data;
    n->value.as.string.length = size;
    return n;
}

me_node *me_node_object(me_machine *m, me_role role, const char *name)
{
    me_node *n = me_node_string(m, ME_OBJECT, name, strlen(name));
    n->role = role;
    return n;
}

void me_machine_append(me_machine *m, me_node *list, me_node *item)
{
    if (m->code != ME_OK) return;
    if (me_list_append(m->arena, &list->value, &item->value, NULL) != ME_OK) fail_memory(m);
}

void me_machine_set(me_machine *m, me_node *dict, me_node *key, me_node *value)
{
    if (m->code != ME_OK) return;
    /* Equal keys are merged once, when the tree is sealed: a search here would be quadratic. */
    if (me_dict_append(m->arena, &dict->value, &key->value, &value->value, NULL) != ME_OK)
        fail_memory(m);
}

me_node *me_node_item(me_machine *m, const me_node *list, size_t i)
{
    if (list->value.kind != ME_LIST || i >= list->value.as.list.length) return m->nothing;
    return (me_node *)list->value.as.list.items[i];
}

bool me_node_text(const me_node *n, const char *text)
{
    return me_string_equals(&n->value, text);
}

void me_machine_init(me_machine *m, me_arena *arena, const unsigned char *bytes, size_t size,
                     size_t at, const char *where, me_err *err)
{
    *m = (me_machine){.bytes = bytes,
                      .size = size,
                      .at = at,
                      .opcode_at = at,
                      .where = where,
                      .arena = arena,
                      .err = err};
    m->storages_end = &m->storages;
    m->blobs_left = size < SIZE_MAX / 8 ? 4 * size + (1 << 20) : SIZE_MAX;
    me_node *none = ME_NEW(arena, me_node); /* before all else, so that failures have a value */
    if (!none) fail_memory(m);
    m->nothing = none;
}

void me_machine_release(me_machine *m)
{
    free(m->stack);
    free(m->marks);
    free(m->memo);
    free(m->table);
    m->stack = NULL;
    m->marks = NULL;
    m->memo = NULL;
    m->table = NULL;
}

/* ---- stack, marks, memo ------------------------------------------------------------------------
 */

static bool reserve(me_machine *m, void *vector, size_t item_size, size_t wanted, size_t *capacity)
{
    if (wanted <= *capacity) return true;
    size_t bigger = *capacity ? *capacity * 2 : 64;
    if (bigger < wanted) bigger = wanted;
    void **v = vector, *moved = realloc(*v, bigger * item_size);
    if (!moved) {
        fail_memory(m);
        return false;
    }
    memset((char *)moved + *capacity * item_size, 0, (bigger - *capacity) * item_size);
    *v = moved;
    *capacity = bigger;
    return true;
}

static void push(me_machine *m, me_node *n)
{
    if (m->code == ME_OK &&
        reserve(m, &m->stack, sizeof *m->stack, m->depth + 1, &m->stack_capacity))
        m->stack[m->depth++] = n;
}

static size_t floor_of(const me_machine *m)
{
    return m->n_marks ? m->marks[m->n_marks - 1] : 0;
}

static me_node *top(me_machine *m)
{
    if (m->code == ME_OK && m->depth > floor_of(m)) return m->stack[m->depth - 1];
    me_machine_fail(m, "an instruction finds no value on the stack");
    return m->nothing;
}

static me_node *pop(me_machine *m)
{
    me_node *n = top(m);
    if (m->code == ME_OK) m->depth--;
    return n;
}

/* The stack index of what lies above the newest mark; the mark is gone afterwards. */
static size_t pop_mark(me_machine *m)
{
    if (!m->n_marks) {
        me_machine_fail(m, "an instruction finds no mark on the stack");
        return m->depth;
    }
    return m->marks[--m->n_marks];
}

static void put_memo(me_machine *m, uint64_t index)
{
    me_node *n = top(m);
    /* Every entry takes an instruction of the file, so larger numbers are not honest. */
    if (index > m->size) me_machine_fail(m, "memo entry %" PRIu64 " is out of range", index);
    if (m->code != ME_OK ||
        !reserve(m, &m->memo, sizeof *m->memo, (size_t)index + 1, &m->memo_capacity))
        return;
    if (!m->memo[index]) m->n_memo++;
    m->memo[index] = n;
}

static void get_memo(me_machine *m, uint64_t index)
{
    if (index >= m->memo_capacity || !m->memo[index])
        me_machine_fail(m, "memo entry %" PRIu64 " was never stored", index);
    else
        push(m, m->memo[index]);
}

/* ---- bytes of the stream -----------------------------------------------------------------------
 */

const unsigned char *me_machine_take(me_machine *m, size_t n)
{
    if (m->code != ME_OK) return NULL;
    if (n > m->size - m->at) {
        me_machine_fail(m, "wants %zu bytes, but %zu are left (truncated file?)", n,
                        m->size - m->at);
        return NULL;
    }
    const unsigned char *p = m->bytes + m->at;
    m->at += n;
    return p;
}

uint64_t me_machine_take_uint(me_machine *m, size_t width)
{
    const unsigned char *p = me_machine_take(m, width);
    uint64_t x = 0;
    for (size_t i = 0; p && i < width; i++) x |= (uint64_t)p[i] << (8 * i);
    return x;
}

/* A counted run of bytes; *size is its length. */
const unsigned char *me_machine_take_counted(me_machine *m, size_t width, size_t *size)
{
    uint64_t n = me_machine_take_uint(m, width);
    if (n > SIZE_MAX) n = SIZE_MAX;
    *size = (size_t)n;
    return me_machine_take(m, *size);
}

/* A line without its end, as protocol 0 has them. */
const unsigned char *me_machine_take_line(me_machine *m, size_t *length)
{
    *length = 0;
    if (m->code != ME_OK) return NULL;
    const unsigned char *p = m->bytes + m->at;
    const unsigned char *end = m->at < m->size ? memchr(p, '\n', m->size - m->at) : NULL;
    if (!end) {
        me_machine_fail(m, "a line has no end (truncated file?)");
        return NULL;
    }
    *length = (size_t)(end - p);
    m->at += *length + 1;
    return p;
}

/* ---- containers --------------------------------------------------------------------------------
 */

static me_node *list_of(me_machine *m, size_t from)
{
    me_node *list = me_node_new(m, ME_LIST);
    if (m->code != ME_OK) return m->nothing;
    size_t n = m->depth - from;
    if (n) {
        list->value.as.list.items = ME_NEW_ARRAY(m->arena, n, me_value *);
        if (!list->value.as.list.items) {
            fail_memory(m);
            return m->nothing;
        }
    }
    list->value.as.list.length = list->value.as.list.capacity = n;
    for (size_t i = 0; i < n; i++) list->value.as.list.items[i] = &m->stack[from + i]->value;
    m->depth = from;
    return list;
}

static me_node *small_tuple(me_machine *m, size_t n)
{
    if (m->code == ME_OK && m->depth - floor_of(m) < n)
        me_machine_fail(m, "a tuple of %zu finds too few values on the stack", n);
    return m->code == ME_OK ? list_of(m, m->depth - n) : m->nothing;
}

/* Everything above `from` goes into the list below it. */
static void append_from(me_machine *m, size_t from)
{
    size_t end = m->depth;
    m->depth = from;
    me_node *list = top(m);
    if (m->code != ME_OK || list->role == ROLE_INERT) return;
    if (list->value.kind != ME_LIST)
        me_machine_fail(m, "appends to a value that is no list but a %s",
                        me_kind_name(list->value.kind));
    for (size_t i = from; i < end && m->code == ME_OK; i++) me_machine_append(m, list, m->stack[i]);
}

static void set_from(me_machine *m, size_t from)
{
    size_t end = m->depth;
    m->depth = from;
    me_node *dict = top(m);
    if (m->code != ME_OK || dict->role == ROLE_INERT) return;
    if (dict->value.kind != ME_DICT)
        me_machine_fail(m, "sets an item of a value that is no dictionary but a %s",
                        me_kind_name(dict->value.kind));
    if ((end - from) % 2) me_machine_fail(m, "a dictionary gets a key without a value");
    for (size_t i = from; i < end && m->code == ME_OK; i += 2)
        me_machine_set(m, dict, m->stack[i], m->stack[i + 1]);
}

static void append_one(me_machine *m)
{
    if (m->code == ME_OK && m->depth - floor_of(m) < 2)
        me_machine_fail(m, "an append finds too few values on the stack");
    if (m->code == ME_OK) append_from(m, m->depth - 1);
}

static void set_one(me_machine *m)
{
    if (m->code == ME_OK && m->depth - floor_of(m) < 3)
        me_machine_fail(m, "an assignment finds too few values on the stack");
    if (m->code == ME_OK) set_from(m, m->depth - 2);
}

static void dict_from_mark(me_machine *m)
{
    size_t from = pop_mark(m);
    me_node *dict = me_node_new(m, ME_DICT);
    if (m->code != ME_OK) return;
    if ((m->depth - from) % 2) me_machine_fail(m, "a dictionary gets a key without a value");
    for (size_t i = from; i + 1 < m->depth && m->code == ME_OK; i += 2)
        me_machine_set(m, dict, m->stack[i], m->stack[i + 1]);
    m->depth = from;
    push(m, dict);
}

static void list_from_mark(me_machine *m)
{
    size_t from = pop_mark(m);
    if (m->code == ME_OK) push(m, list_of(m, from));
}

/* ---- globals -----------------------------------------------------------------------------------
 */

/* Names come from the file: shorten them and show no control characters. */
void me_printable(char *out, size_t size, const char *text, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < n && used + 1 < size; i++)
        out[used++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    out[used] = '\0';
}

static me_node *global(me_machine *m, const char *module, size_t module_length, const char *name,
                       size_t name_length)
{
    const me_global *g = me_global_find(module, module_length, name, name_length);
    if (!g) {
        char shown_module[100], shown_name[100];
        me_printable(shown_module, sizeof shown_module, module, module_length);
        me_printable(shown_name, sizeof shown_name, name, name_length);
        me_machine_fail(m,
                        "refers to %s.%s, which this reader does not allow (it reads arrays, "
                        "tensors and plain values, and executes nothing)",
                        shown_module, shown_name);
        return m->nothing;
    }
    size_t n = strlen(g->module) + 1 + strlen(g->name);
    char *qualified = me_machine_text(m, n + 1);
    if (!qualified) return m->nothing;
    snprintf(qualified, n + 1, "%s.%s", g->module, g->name);
    me_node *node = me_node_string(m, ME_OBJECT, qualified, n);
    if (m->code != ME_OK) return m->nothing;
    node->role = ROLE_GLOBAL;
    node->as.global = g;
    return node;
}

static me_node *line_global(me_machine *m)
{
    size_t a, b;
    const unsigned char *module = me_machine_take_line(m, &a), *name = me_machine_take_line(m, &b);
    return name ? global(m, (const char *)module, a, (const char *)name, b) : m->nothing;
}

static void stack_global(me_machine *m)
{
    me_node *name = pop(m), *module = pop(m);
    if (m->code == ME_OK && (name->value.kind != ME_STRING || module->value.kind != ME_STRING))
        me_machine_fail(m, "a global is not named by strings");
    if (m->code != ME_OK) return;
    const size_t module_length = module->value.as.string.length;
    const size_t name_length = name->value.as.string.length;
    /* Without a memo each array names its classes again, by strings that are shared: so are these,
     * which no instruction changes. */
    const size_t slot = (3 * module_length + name_length) % ME_PICKLE_GLOBALS;
    if (m->globals[slot].module != module || m->globals[slot].name != name) {
        me_node *made = global(m, module->value.as.string.data, module_length,
                               name->value.as.string.data, name_length);
        if (m->code != ME_OK) return;
        m->globals[slot].module = module;
        m->globals[slot].name = name;
        m->globals[slot].global = made;
    }
    push(m, m->globals[slot].global);
}

/* INST and OBJ, protocol 0's and 1's ways of calling a class with what lies above the mark. */
static void old_instance(me_machine *m, bool class_on_stack)
{
    me_node *class = class_on_stack ? NULL : line_global(m);
    size_t from = pop_mark(m);
    if (m->code != ME_OK) return;
    if (class_on_stack) {
        if (from == m->depth) {
            me_machine_fail(m, "an instance without a class");
            return;
        }
        class = m->stack[from];
    }
    me_node *arguments = list_of(m, class_on_stack ? from + 1 : from);
    if (m->code != ME_OK) return;
    m->depth = from;
    push(m, me_machine_new(m, class, arguments));
}

static void reduce(me_machine *m)
{
    me_node *arguments = pop(m), *function = pop(m);
    if (m->code == ME_OK) push(m, me_machine_call(m, function, arguments));
}

static void new_object(me_machine *m, bool with_keywords)
{
    if (with_keywords) pop(m);
    me_node *arguments = pop(m), *class = pop(m);
    if (m->code == ME_OK) push(m, me_machine_new(m, class, arguments));
}

static void build(me_machine *m)
{
    me_node *state = pop(m), *object = pop(m);
    if (m->code == ME_OK) push(m, me_machine_build(m, object, state));
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

static void mark(me_machine *m)
{
    if (reserve(m, &m->marks, sizeof *m->marks, m->n_marks + 1, &m->marks_capacity))
        m->marks[m->n_marks++] = m->depth;
}

static uint64_t line_index(me_machine *m)
{
    size_t n;
    const unsigned char *p = me_machine_take_line(m, &n);
    uint64_t x = 0;
    if (p && (n == 0 || n > 18)) me_machine_fail(m, "a memo entry has no plain number");
    for (size_t i = 0; p && m->code == ME_OK && i < n; i++) {
        if (p[i] < '0' || p[i] > '9') me_machine_fail(m, "a memo entry has no plain number");
        x = x * 10 + (uint64_t)(p[i] - '0');
    }
    return x;
}

static void step(me_machine *m, me_opcode op)
{
    switch (op) {
    case OP_PROTO:
        if (me_machine_take_uint(m, 1) > 5) me_machine_fail(m, "pickle protocol above 5");
        break;
    case OP_FRAME:
        me_machine_take_uint(m, 8);
        break; /* only a hint: raw arrays lie between frames */
    case OP_MARK:
        mark(m);
        break;
    case OP_POP: /* on an empty segment it removes the mark, as Python's does */
        if (m->n_marks && m->depth == floor_of(m))
            m->n_marks--;
        else
            pop(m);
        break;
    case OP_POP_MARK:
        m->depth = pop_mark(m);
        break;
    case OP_DUP:
        push(m, top(m));
        break;
    case OP_EMPTY_LIST:
    case OP_EMPTY_TUPLE:
    case OP_EMPTY_SET:
        push(m, me_node_new(m, ME_LIST));
        break;
    case OP_EMPTY_DICT:
        push(m, me_node_new(m, ME_DICT));
        break;
    case OP_TUPLE:
    case OP_LIST:
    case OP_FROZENSET:
        list_from_mark(m);
        break;
    case OP_TUPLE1:
        push(m, small_tuple(m, 1));
        break;
    case OP_TUPLE2:
        push(m, small_tuple(m, 2));
        break;
    case OP_TUPLE3:
        push(m, small_tuple(m, 3));
        break;
    case OP_DICT:
        dict_from_mark(m);
        break;
    case OP_APPEND:
        append_one(m);
        break;
    case OP_APPENDS:
    case OP_ADDITEMS:
        append_from(m, pop_mark(m));
        break;
    case OP_SETITEM:
        set_one(m);
        break;
    case OP_SETITEMS:
        set_from(m, pop_mark(m));
        break;
    case OP_GET:
        get_memo(m, line_index(m));
        break;
    case OP_BINGET:
        get_memo(m, me_machine_take_uint(m, 1));
        break;
    case OP_LONG_BINGET:
        get_memo(m, me_machine_take_uint(m, 4));
        break;
    case OP_PUT:
        put_memo(m, line_index(m));
        break;
    case OP_BINPUT:
        put_memo(m, me_machine_take_uint(m, 1));
        break;
    case OP_LONG_BINPUT:
        put_memo(m, me_machine_take_uint(m, 4));
        break;
    case OP_MEMOIZE:
        put_memo(m, m->n_memo);
        break;
    case OP_GLOBAL:
        push(m, line_global(m));
        break;
    case OP_STACK_GLOBAL:
        stack_global(m);
        break;
    case OP_REDUCE:
        reduce(m);
        break;
    case OP_NEWOBJ:
        new_object(m, false);
        break;
    case OP_NEWOBJ_EX:
        new_object(m, true);
        break;
    case OP_INST:
        old_instance(m, false);
        break;
    case OP_OBJ:
        old_instance(m, true);
        break;
    case OP_BUILD:
        build(m);
        break;
    case OP_BINPERSID:
        push(m, me_torch_persistent(m, pop(m)));
        break;
    default:
        push(m, me_machine_scalar(m, op));
    }
}

me_node *me_machine_run(me_machine *m)
{
    while (m->code == ME_OK) {
        m->opcode_at = m->at;
        const unsigned char *p = me_machine_take(m, 1);
        if (!p) break;
        if (*p == OP_STOP) {
            me_node *root = pop(m);
            if (m->code == ME_OK && (m->depth || m->n_marks))
                me_machine_fail(m, "the pickle ends with values left on its stack");
            return m->code == ME_OK ? root : NULL;
        }
        step(m, (me_opcode)*p);
    }
    return NULL;
}

void me_machine_restart(me_machine *m)
{
    if (m->memo) memset(m->memo, 0, m->memo_capacity * sizeof *m->memo);
    m->n_memo = m->depth = m->n_marks = 0;
}

void me_machine_nest(me_machine *in, const me_machine *m, const unsigned char *bytes, size_t size,
                     size_t at)
{
    *in = *m; /* the pools of small things are shared */
    in->bytes = bytes;
    in->size = size;
    in->at = in->opcode_at = at;
    in->inner = m->inner + 1;
    in->has_container = false;
    in->stack = in->memo = NULL;
    in->marks = NULL;
    in->table = NULL;
    in->storages = NULL;
    in->storages_end = &in->storages;
    in->tensors = NULL;
    in->depth = in->stack_capacity = in->n_marks = in->marks_capacity = 0;
    in->n_memo = in->memo_capacity = in->n_storages = in->table_size = 0;
}

void me_machine_join(me_machine *m, me_machine *in)
{
    m->pool = in->pool;
    m->pool_left = in->pool_left;
    m->text = in->text;
    m->text_left = in->text_left;
    memcpy(m->small, in->small, sizeof m->small);
    memcpy(m->constants, in->constants, sizeof m->constants);
    memcpy(m->words, in->words, sizeof m->words);
    m->blobs_left = in->blobs_left;
    m->saw_torch |= in->saw_torch;
    m->saw_wrapper |= in->saw_wrapper;
    if (m->code == ME_OK) m->code = in->code;
    me_machine_release(in);
}

me_node *me_machine_inner(me_machine *m)
{
    if (m->inner >= ME_PICKLE_MAX_INNER)
        me_machine_fail(m, "more than %d pickles inside each other", ME_PICKLE_MAX_INNER);
    if (m->code != ME_OK) return m->nothing;
    me_machine in;
    me_machine_nest(&in, m, m->bytes, m->size, m->at);
    me_node *root = me_machine_run(&in);
    m->at = in.at;
    me_machine_join(m, &in);
    return root ? root : m->nothing;
}

me_code me_pickle_read(me_value **out, bool *joblib, me_arena *arena, const unsigned char *bytes,
                       size_t size, size_t at, me_err *err)
{
    me_machine m;
    me_machine_init(&m, arena, bytes, size, at, "", err);
    *out = NULL;
    me_node *root = me_machine_run(&m);
    if (root && m.at != size) {
        m.opcode_at = m.at;
        me_machine_fail(&m, "%zu bytes follow the end of the pickle", size - m.at);
    }
    if (m.code == ME_OK && me_pickle_seal(&m, root) == ME_OK) *out = &root->value;
    if (joblib) *joblib = m.saw_wrapper || m.saw_torch;
    me_machine_release(&m);
    return m.code;
}
