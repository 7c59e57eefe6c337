/* tests/fuzz/fuzz_walk.h: touches every byte that a value can reach, so that the sanitizers see a
 * view that reaches too far. */
#ifndef TESTS_FUZZ_WALK_H
#define TESTS_FUZZ_WALK_H

#include <stdint.h>
#include <stdlib.h>

#include "core/value.h"

static inline unsigned fuzz_sum(const void *data, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++) sum += ((const unsigned char *)data)[i];
    volatile unsigned keep = sum; /* or the reads would be optimised away */
    return keep;
}

static inline unsigned fuzz_array(const me_array *a)
{
    size_t n = (size_t)me_array_count(a), size = n * me_dtype_size(a->dtype);
    if (size > (size_t)8 << 20) return 0; /* a repeated view: the walk would only be slow */
    void *copy = malloc(size + 1);
    double *numbers = malloc(n * sizeof *numbers + 1);
    unsigned sum = 0;
    if (copy && numbers) {
        me_array_read_same(a, copy);
        sum = fuzz_sum(copy, size);
        me_array_read_f64(a, numbers, NULL);
    }
    free(copy);
    free(numbers);
    return sum;
}

static inline unsigned fuzz_walk(const me_value *v)
{
    unsigned sum = (unsigned)v->kind;
    switch (v->kind) {
    case ME_STRING: /* the NUL that ends it must be there */
        sum += fuzz_sum(v->as.string.data, v->as.string.length + 1);
        break;
    case ME_BYTES:
        sum += fuzz_sum(v->as.string.data, v->as.string.length);
        break;
    case ME_OBJECT:
        sum += fuzz_sum(v->as.string.data, v->as.string.length + 1);
        break;
    case ME_LIST:
        for (size_t i = 0; i < v->as.list.length; i++) sum += fuzz_walk(v->as.list.items[i]);
        break;
    case ME_DICT:
        for (size_t i = 0; i < v->as.dict.length; i++)
            sum += fuzz_walk(v->as.dict.keys[i]) + fuzz_walk(v->as.dict.values[i]);
        break;
    case ME_ARRAY:
        sum += fuzz_array(&v->as.array);
        break;
    default:
        break;
    }
    return sum;
}

#endif
