/* core/torch_write.c: the zip that torch.save writes, so that what is trained here opens there.
 * Reading is torch.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pickle_priv.h"
#include "core/torch.h"

/* The elements in row-major order: the array's own bytes where they already lie so. */
static const unsigned char *dense_bytes(me_arena *arena, const me_array *a)
{
    if (me_array_contiguous(a) && !a->swapped) return a->data;
    unsigned char *copy = me_arena_alloc(arena, (size_t)me_array_count(a), me_dtype_size(a->dtype));
    if (copy) me_array_read_same(a, copy);
    return copy;
}

/* "model/data.pkl" for a file model.pt, as torch names its entries. */
static const char *entry_name(me_arena *arena, const char *path, const char *rest)
{
    const char *base = me_path_base(path), *dot = strrchr(base, '.');
    int n = (int)(dot && dot > base ? dot - base : (ptrdiff_t)strlen(base));
    return me_arena_printf(arena, "%.*s/%s", n, base, rest);
}

static me_code write_entries(const char *path, me_arena *arena, const char *pickle, size_t size,
                             const me_value *tensors, me_err *err)
{
    const char *order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? "little" : "big";
    size_t count = tensors->as.list.length, n = 0;
    me_zip_entry *entries = ME_NEW_ARRAY(arena, count + 3, me_zip_entry);
    if (!entries) return me_fail_mem(err, "the entries of a checkpoint");
    entries[n++] =
        (me_zip_entry){entry_name(arena, path, "data.pkl"), (const unsigned char *)pickle, size};
    entries[n++] = (me_zip_entry){entry_name(arena, path, "byteorder"),
                                  (const unsigned char *)order, strlen(order)};
    for (size_t i = 0; i < count; i++) {
        const me_array *a = &tensors->as.list.items[i]->as.array;
        char key[32];
        snprintf(key, sizeof key, "data/%zu", i);
        entries[n++] = (me_zip_entry){entry_name(arena, path, key), dense_bytes(arena, a),
                                      (size_t)me_array_count(a) * me_dtype_size(a->dtype)};
    }
    entries[n++] =
        (me_zip_entry){entry_name(arena, path, "version"), (const unsigned char *)"3\n", 2};
    for (size_t i = 0; i < n; i++)
        if (!entries[i].name || (!entries[i].data && entries[i].size))
            return me_fail_mem(err, "the entries of a checkpoint");
    return me_zip_write(path, entries, (int64_t)n, false, err);
}

me_code me_torch_write(const char *path, const me_value *v, me_err *err)
{
    if (!path || !v) return me_fail_mem(err, "a checkpoint");
    me_arena arena = {0};
    char *pickle = NULL;
    size_t size = 0;
    me_value *tensors = me_value_new(&arena, ME_LIST);
    me_writer w = {.stream = open_memstream(&pickle, &size)}; /* a writer into memory */
    me_code code = ME_OK;
    if (tensors && w.stream) {
        me_pickle_put_torch(&w, tensors, &arena, v);
        code = me_writer_commit(&w, err);
        if (code != ME_OK) me_err_prefix(err, "%s", path);
    } else {
        me_writer_abort(&w);
        code = me_fail_mem(err, "a checkpoint");
    }
    if (code == ME_OK) code = write_entries(path, &arena, pickle, size, tensors, err);
    free(pickle);
    me_arena_release(&arena);
    return code;
}
