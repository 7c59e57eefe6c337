/* core/torch.c: see torch.h. */
#include "core/torch.h"

#include <stdlib.h>
#include <string.h>

#include "core/pickle_priv.h"

/* ---- the legacy form ---------------------------------------------------------------------------
 */

/* A pickle of the number 0x1950a86a20f9469cfc6c. */
static const unsigned char magic[15] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                        0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e};

bool me_is_torch_legacy(const unsigned char *bytes, size_t size)
{
    return size >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

static me_node *next_pickle(me_machine *m)
{
    me_machine_restart(m);
    me_node *n = me_machine_run(m);
    return n ? n : m->nothing;
}

/* Behind the pickles: for each key its number of elements and their bytes. */
static void read_storages(me_machine *m, const me_node *keys, bool swapped)
{
    if (m->code == ME_OK && keys->value.kind != ME_LIST)
        me_machine_fail(m, "the keys of the storages are no list");
    for (size_t i = 0; m->code == ME_OK && i < keys->value.as.list.length; i++) {
        const me_node *key = me_node_item(m, keys, i);
        me_storage *s =
            key->value.kind == ME_STRING
                ? me_torch_storage_find(m, key->value.as.string.data, key->value.as.string.length)
                : NULL;
        m->opcode_at = m->at;
        uint64_t count = me_machine_take_uint(m, 8);
        size_t bytes;
        if (!s) {
            me_machine_fail(m, "data of a storage that nothing refers to");
        } else if (count > SIZE_MAX || !me_mul_size((size_t)count, s->item_size, &bytes) ||
                   bytes < s->size) {
            me_machine_fail(m, "a storage has another size than the tensors expect");
        } else {
            s->data = me_machine_take(m, bytes);
            s->size = bytes;
            s->swapped = swapped;
            s->ready = true;
        }
    }
    for (const me_storage *s = m->storages; s && m->code == ME_OK; s = s->next)
        if (!s->ready) me_machine_fail(m, "the data of a storage is missing");
}

me_node *me_torch_legacy_root(me_machine *m)
{
    const unsigned char *start = me_machine_take(m, sizeof magic);
    if (start && memcmp(start, magic, sizeof magic) != 0)
        me_machine_fail(m, "expected the first bytes of a legacy torch file");
    const me_node *version = next_pickle(m);
    if (m->code == ME_OK && (version->value.kind != ME_INT || version->value.as.integer != 1001))
        me_machine_fail(m, "expected version 1001 of the legacy torch format");
    const me_value *system = &next_pickle(m)->value, *order = me_dict_get(system, "little_endian");
    bool little = !order || order->kind != ME_BOOLEAN || order->as.boolean;
    m->has_container = true;
    me_node *root = next_pickle(m);
    m->has_container = false;
    const me_node *keys = next_pickle(m);
    read_storages(m, keys, little != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__));
    m->opcode_at = m->at;
    if (m->code == ME_OK && m->at != m->size)
        me_machine_fail(m, "%zu bytes follow the last storage", m->size - m->at);
    me_torch_resolve(m);
    return m->code == ME_OK ? root : NULL;
}

me_code me_torch_legacy_read(me_value **out, me_arena *arena, const unsigned char *bytes,
                             size_t size, me_err *err)
{
    me_machine m;
    me_machine_init(&m, arena, bytes, size, 0, "", err);
    *out = NULL;
    me_node *root = me_torch_legacy_root(&m);
    if (root && me_pickle_seal(&m, root) == ME_OK) *out = &root->value;
    me_machine_release(&m);
    return m.code;
}

/* ---- the zip form ------------------------------------------------------------------------------
 */

const me_zip_entry *me_torch_zip_pickle(const me_zip *zip)
{
    for (int64_t i = 0; i < zip->n; i++) {
        const char *name = zip->entries[i].name;
        size_t n = strlen(name);
        if (strcmp(name, "data.pkl") == 0 || (n > 9 && strcmp(name + n - 9, "/data.pkl") == 0))
            return &zip->entries[i];
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const me_zip_entry *const *)a)->name, (*(const me_zip_entry *const *)b)->name);
}

/* The entries by name: checkpoints have thousands, each is looked for once. */
static const me_zip_entry **sorted_entries(me_arena *arena, const me_zip *zip)
{
    const me_zip_entry **sorted = ME_NEW_ARRAY(arena, zip->n, const me_zip_entry *);
    for (int64_t i = 0; sorted && i < zip->n; i++) sorted[i] = &zip->entries[i];
    if (sorted && zip->n) qsort(sorted, (size_t)zip->n, sizeof *sorted, by_name);
    return sorted;
}

static const me_zip_entry *find(const me_zip_entry **sorted, int64_t n, const char *name)
{
    me_zip_entry wanted = {.name = name};
    const me_zip_entry *key = &wanted;
    const me_zip_entry *const *hit = bsearch(&key, sorted, (size_t)n, sizeof *sorted, by_name);
    return hit ? *hit : NULL;
}

static void attach(me_machine *m, me_storage *s, const me_zip_entry *entry, const char *name,
                   bool swapped)
{
    char shown[100];
    me_printable(shown, sizeof shown, name, strlen(name));
    if (!entry) {
        me_machine_fail(m, "the entry %s with the data of a tensor is missing", shown);
    } else if (entry->size < s->size) {
        me_machine_fail(m, "the entry %s has %zu bytes, the tensors expect %zu", shown, entry->size,
                        s->size);
    } else {
        s->data = entry->data;
        s->size = entry->size;
        s->swapped = swapped;
        s->ready = true;
    }
}

static void attach_all(me_machine *m, const me_zip *zip, const char *prefix, size_t prefix_length)
{
    if (m->code != ME_OK) return;
    const me_zip_entry **sorted = sorted_entries(m->arena, zip);
    size_t longest = 16;
    for (const me_storage *s = m->storages; s; s = s->next)
        if (s->key_length > longest) longest = s->key_length;
    char *name = me_arena_alloc(m->arena, prefix_length + 16 + longest, 1);
    if (!sorted || !name) {
        m->code = me_fail_mem(m->err, "the names in a zip");
        return;
    }
    memcpy(name, prefix, prefix_length);
    strcpy(name + prefix_length, "byteorder");
    const me_zip_entry *order = find(sorted, zip->n, name);
    bool big = order && order->size >= 3 && memcmp(order->data, "big", 3) == 0;
    for (me_storage *s = m->storages; s && m->code == ME_OK; s = s->next) {
        memcpy(name + prefix_length, "data/", 5);
        memcpy(name + prefix_length + 5, s->key, s->key_length);
        name[prefix_length + 5 + s->key_length] = '\0';
        attach(m, s, find(sorted, zip->n, name), name,
               big != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__));
    }
}

me_code me_torch_zip_read(me_value **out, me_arena *arena, const me_zip *zip, me_err *err)
{
    const me_zip_entry *pickle = me_torch_zip_pickle(zip);
    *out = NULL;
    if (!pickle) return me_fail(err, ME_EFORMAT, "no entry data.pkl in this zip");
    me_machine m;
    me_machine_init(&m, arena, pickle->data, pickle->size, 0, "data.pkl ", err);
    m.has_container = true;
    me_node *root = me_machine_run(&m);
    if (m.code == ME_OK && m.at != m.size)
        me_machine_fail(&m, "%zu bytes follow the end of the pickle", m.size - m.at);
    attach_all(&m, zip, pickle->name, strlen(pickle->name) - strlen("data.pkl"));
    me_torch_resolve(&m);
    if (m.code == ME_OK && me_pickle_seal(&m, root) == ME_OK) *out = &root->value;
    me_machine_release(&m);
    return m.code;
}
