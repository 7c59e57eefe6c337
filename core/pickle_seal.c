/* core/pickle_seal.c: the last check of a finished tree. A pickle may hold a value inside itself,
 * nest without end, or share lists so that few bytes unfold into a tree without end; those who walk
 * the tree later shall not have to think of it. Equal keys of a dictionary are merged here, the
 * last value wins as it does in Python. */
#include "core/pickle_priv.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

#define SMALL_DICT 8

static uint64_t key_hash(const me_value *k)
{
    switch (k->kind) {
    case ME_BOOLEAN:
        return k->as.boolean;
    case ME_INT:
        return me_hash64(&k->as.integer, sizeof k->as.integer, 1);
    case ME_FLOAT:
        return me_hash64(&k->as.number, sizeof k->as.number, 2);
    case ME_STRING:
    case ME_BYTES:
    case ME_OBJECT:
        return me_hash64(k->as.string.data, k->as.string.length, 3);
    default:
        return me_hash64(&k, sizeof k, 4);
    }
}

static void merge_entry(me_value *dict, size_t *kept, size_t i, size_t same)
{
    if (same < *kept) {
        dict->as.dict.values[same] = dict->as.dict.values[i];
        return;
    }
    dict->as.dict.keys[*kept] = dict->as.dict.keys[i];
    dict->as.dict.values[(*kept)++] = dict->as.dict.values[i];
}

static void merge_keys(me_machine *m, me_value *dict)
{
    size_t n = dict->as.dict.length, kept = 0;
    if (n <= SMALL_DICT) {
        for (size_t i = 0; i < n; i++) {
            size_t same = 0;
            while (same < kept && !me_key_equals(dict->as.dict.keys[same], dict->as.dict.keys[i]))
                same++;
            merge_entry(dict, &kept, i, same);
        }
        dict->as.dict.length = kept;
        return;
    }
    size_t size = 32;
    while (size < 2 * n) size *= 2;
    size_t *table = calloc(size, sizeof *table); /* index + 1 of the kept entry */
    if (!table) {
        m->code = me_fail_mem(m->err, "the keys of a dictionary");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t slot = (size_t)key_hash(dict->as.dict.keys[i]) & (size - 1);
        while (table[slot] &&
               !me_key_equals(dict->as.dict.keys[table[slot] - 1], dict->as.dict.keys[i]))
            slot = (slot + 1) & (size - 1);
        size_t same = table[slot] ? table[slot] - 1 : kept;
        if (!table[slot]) table[slot] = kept + 1;
        merge_entry(dict, &kept, i, same);
    }
    free(table);
    dict->as.dict.length = kept;
}

static void seal(me_machine *m, me_node *n, int depth);

static void seal_children(me_machine *m, me_node *n, me_value **items, size_t count, int depth,
                          uint64_t *weight)
{
    for (size_t i = 0; i < count && m->code == ME_OK; i++) {
        me_node *child = (me_node *)items[i];
        seal(m, child, depth + 1);
        if (m->code != ME_OK) return;
        if (child->height + 1 > n->height) n->height = (uint8_t)(child->height + 1);
        if (__builtin_add_overflow(*weight, child->as.weight, weight)) *weight = UINT64_MAX / 2;
    }
}

static void seal(me_machine *m, me_node *n, int depth)
{
    if (n->seal == 1) me_machine_fail(m, "a value contains itself");
    if (depth + n->height > ME_PICKLE_MAX_DEPTH)
        me_machine_fail(m, "values are nested more than %d deep", ME_PICKLE_MAX_DEPTH);
    if (m->code != ME_OK || n->seal == 2) return;
    n->seal = 1;
    uint64_t weight = 1;
    me_value *v = &n->value;
    if (v->kind == ME_LIST) {
        seal_children(m, n, v->as.list.items, v->as.list.length, depth, &weight);
    } else if (v->kind == ME_DICT) {
        merge_keys(m, v);
        seal_children(m, n, v->as.dict.keys, v->as.dict.length, depth, &weight);
        seal_children(m, n, v->as.dict.values, v->as.dict.length, depth, &weight);
    }
    /* Each reference takes a byte of the file at least, so an honest tree is not much larger. */
    if (weight > (1u << 20) + 4 * (uint64_t)m->size)
        me_machine_fail(m, "shared values unfold into more than %zu",
                        ((size_t)1 << 20) + 4 * m->size);
    n->as.weight = weight;
    n->seal = 2;
}

me_code me_pickle_seal(me_machine *m, me_node *root)
{
    if (m->code == ME_OK) seal(m, root, 0);
    return m->code;
}
