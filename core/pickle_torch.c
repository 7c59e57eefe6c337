/* core/pickle_torch.c: storages and tensors of PyTorch inside a pickle. A tensor is a strided view
 * of a storage; the storage's bytes are elsewhere in the container (torch.c) or in a blob of its
 * own. */
#include "core/pickle_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

/* ---- storages ----------------------------------------------------------------------------------
 */

static size_t slot_of(const me_machine *m, const char *key, size_t length)
{
    size_t i = (size_t)me_hash64(key, length, 0) & (m->table_size - 1);
    for (;; i = (i + 1) & (m->table_size - 1)) {
        const me_storage *s = m->table[i];
        if (!s || (s->key_length == length && memcmp(s->key, key, length) == 0)) return i;
    }
}

me_storage *me_torch_storage_find(const me_machine *m, const char *key, size_t length)
{
    return m->table_size ? m->table[slot_of(m, key, length)] : NULL;
}

/* The storage of that key, made when new; NULL after a failure. */
static me_storage *storage_of(me_machine *m, const char *key, size_t length)
{
    if (m->n_storages * 2 >= m->table_size) {
        size_t size = m->table_size ? m->table_size * 2 : 16;
        me_storage **bigger = calloc(size, sizeof *bigger);
        if (!bigger) {
            m->code = me_fail_mem(m->err, "the storages of a checkpoint");
            return NULL;
        }
        free(m->table);
        m->table = bigger;
        m->table_size = size;
        for (me_storage *s = m->storages; s; s = s->next)
            m->table[slot_of(m, s->key, s->key_length)] = s;
    }
    size_t slot = slot_of(m, key, length);
    if (m->table[slot]) return m->table[slot];
    me_storage *s = ME_NEW(m->arena, me_storage);
    if (!s) {
        m->code = me_fail_mem(m->err, "the storages of a checkpoint");
        return NULL;
    }
    s->key = key;
    s->key_length = length;
    *m->storages_end = s;
    m->storages_end = &s->next;
    m->n_storages++;
    return m->table[slot] = s;
}

/* ('storage', class, key, location, count[, view]); `view` is None or, in files of PyTorch before
 * 0.4, (key of the view, offset, count). Where the bytes were when saved (a GPU) does not matter.
 */
me_node *me_torch_persistent(me_machine *m, const me_node *id)
{
    const me_node *class = me_node_item(m, id, 1), *key = me_node_item(m, id, 2);
    const me_node *count = me_node_item(m, id, 4), *view = me_node_item(m, id, 5);
    if (m->code != ME_OK) return m->nothing;
    m->saw_torch = true;
    if (!m->has_container) {
        me_machine_fail(m, "refers to data outside the pickle (part of a torch file?)");
        return m->nothing;
    }
    if (!me_node_text(me_node_item(m, id, 0), "storage") || class->role != ROLE_GLOBAL ||
        class->as.global->kind != GLOBAL_TORCH_STORAGE || key->value.kind != ME_STRING ||
        count->value.kind != ME_INT || count->value.as.integer < 0) {
        me_machine_fail(m, "a storage is described in an unknown way");
        return m->nothing;
    }
    me_dtype dtype = class->as.global->dtype;
    size_t item = dtype == ME_DTYPE_COUNT ? 1 : me_dtype_size(dtype), bytes = 0;
    int64_t offset = 0;
    if (view->value.kind == ME_LIST) {
        const me_node *from = me_node_item(m, view, 1);
        if (from->value.kind != ME_INT || from->value.as.integer < 0)
            me_machine_fail(m, "a view of a storage has no offset");
        else
            offset = from->value.as.integer;
    }
    if (!me_mul_size((size_t)count->value.as.integer, item, &bytes) || bytes > INT64_MAX)
        me_machine_fail(m, "a storage has an impossible size");
    if (m->code != ME_OK) return m->nothing;
    me_storage *s = storage_of(m, key->value.as.string.data, key->value.as.string.length);
    if (!s) return m->nothing;
    if (!s->item_size) s->item_size = item;
    if (bytes > s->size) s->size = bytes;
    me_node *n = me_node_object(m, ROLE_STORAGE, "torch.storage");
    if (m->code != ME_OK) return m->nothing;
    n->as.torch.storage = s;
    n->as.torch.dtype = dtype;
    n->as.torch.offset = offset;
    return n;
}

/* A legacy torch file in a byte string: how a tensor's storage travels in a plain pickle. */
me_node *me_torch_blob(me_machine *m, const me_node *arguments)
{
    const me_node *bytes = me_node_item(m, arguments, 0);
    m->saw_torch = true;
    if (bytes->value.kind != ME_BYTES || m->inner >= ME_PICKLE_MAX_INNER)
        me_machine_fail(m, "a tensor's storage is not a byte string (or %d deep)",
                        ME_PICKLE_MAX_INNER);
    else if (bytes->value.as.string.length > m->blobs_left)
        me_machine_fail(m, "tensors' storages are read again and again");
    if (m->code != ME_OK) return m->nothing;
    const unsigned char *data = (const unsigned char *)bytes->value.as.string.data;
    size_t length = bytes->value.as.string.length;
    m->blobs_left -= length;
    /* A view into the stream is read there, so that messages have the file's offsets. */
    bool inside = data >= m->bytes && data <= m->bytes + m->size;
    me_machine in;
    if (inside) {
        size_t at = (size_t)(data - m->bytes);
        me_machine_nest(&in, m, m->bytes, at + length, at);
    } else {
        me_machine_nest(&in, m, data, length, 0);
    }
    me_node *root = me_torch_legacy_root(&in);
    me_machine_join(m, &in);
    return root ? root : m->nothing;
}

/* ---- tensors -----------------------------------------------------------------------------------
 */

static bool sizes(me_machine *m, const me_node *list, int ndim, int64_t *out)
{
    bool fits = list->value.kind == ME_LIST && list->value.as.list.length == (size_t)ndim;
    for (int i = 0; fits && i < ndim; i++) {
        const me_node *n = me_node_item(m, list, (size_t)i);
        fits = n->value.kind == ME_INT && n->value.as.integer >= 0;
        out[i] = n->value.as.integer;
    }
    return fits;
}

/* Gives a tensor its bytes once its storage has them, after checking that every element lies
 * inside. */
static void resolve(me_machine *m, me_node *tensor)
{
    static const unsigned char nowhere[1] = {0};
    me_array *a = &tensor->value.as.array;
    const me_storage *s = tensor->as.torch.storage;
    int64_t size = (int64_t)me_dtype_size(a->dtype), last = tensor->as.torch.offset, span;
    bool fits = true;
    if (me_array_count(a) == 0) {
        a->data = nowhere;
    } else {
        for (int i = 0; fits && i < a->ndim; i++)
            fits = !__builtin_mul_overflow(a->shape[i] - 1, a->stride[i], &span) &&
                   !__builtin_add_overflow(last, span, &last);
        fits = fits && last < (int64_t)s->size / size;
        if (!fits) {
            me_machine_fail(m, "a tensor reaches beyond its storage of %zu bytes", s->size);
            return;
        }
        a->data = s->data + (size_t)(tensor->as.torch.offset * size);
    }
    /* Strides of 0 make a large tensor of few bytes; beyond reason only an attack does that. */
    if (me_array_count(a) > (int64_t)(64 << 20) / size &&
        me_array_count(a) > (int64_t)s->size / size)
        me_machine_fail(m, "a tensor repeats its storage beyond 64 MiB");
    a->swapped = s->swapped && size > 1;
    tensor->role = ROLE_PLAIN;
}

/* (storage, offset, size, stride, requires_grad, hooks[, dtype or metadata]) */
me_node *me_torch_tensor(me_machine *m, const me_node *arguments, bool with_dtype)
{
    const me_node *storage = me_node_item(m, arguments, 0), *offset = me_node_item(m, arguments, 1);
    const me_node *shape = me_node_item(m, arguments, 2), *stride = me_node_item(m, arguments, 3);
    m->saw_torch = true;
    if (m->code == ME_OK && (storage->role != ROLE_STORAGE || offset->value.kind != ME_INT ||
                             offset->value.as.integer < 0))
        me_machine_fail(m, "a tensor is made from something that is no storage");
    /* The seventh argument of _rebuild_tensor_v2 marks tensors that are to be conjugated or
     * negated. */
    const me_node *marks = me_node_item(m, arguments, 6);
    if (!with_dtype && marks->value.kind == ME_DICT && marks->value.as.dict.length)
        me_machine_fail(m, "a lazily conjugated or negated tensor is not read");
    if (m->code != ME_OK) return m->nothing;
    me_dtype dtype = storage->as.torch.dtype;
    if (with_dtype) {
        const me_node *type = me_node_item(m, arguments, 6);
        bool known = type->role == ROLE_GLOBAL && type->as.global->kind == GLOBAL_TORCH_DTYPE;
        dtype = known ? type->as.global->dtype : ME_DTYPE_COUNT;
    }
    if (dtype == ME_DTYPE_COUNT) {
        me_machine_fail(m, "a tensor has no known element type");
        return m->nothing;
    }
    me_node *n = me_node_new(m, ME_ARRAY);
    me_array *a = &n->value.as.array;
    int64_t count;
    size_t bytes;
    if (m->code != ME_OK || !me_numpy_shape(m, shape, &a->ndim, a->shape)) return m->nothing;
    if (!sizes(m, stride, a->ndim, a->stride) ||
        !me_shape_size(a->ndim, a->shape, me_dtype_size(dtype), &count, &bytes) ||
        __builtin_add_overflow(offset->value.as.integer, storage->as.torch.offset,
                               &n->as.torch.offset)) {
        me_machine_fail(m, "a tensor has an impossible shape");
        return m->nothing;
    }
    a->dtype = dtype;
    n->role = ROLE_TENSOR;
    n->as.torch.storage = storage->as.torch.storage;
    if (n->as.torch.storage->ready) {
        resolve(m, n);
    } else {
        n->as.torch.next = m->tensors;
        m->tensors = n;
    }
    return n;
}

void me_torch_resolve(me_machine *m)
{
    for (me_node *n = m->tensors, *next; n && m->code == ME_OK; n = next) {
        next = n->as.torch.next;
        resolve(m, n);
    }
    m->tensors = NULL;
}
