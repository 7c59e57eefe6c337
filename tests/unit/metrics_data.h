/* tests/unit/metrics_data.h: small made-up evaluations for the tests of metrics/ and reports/. */
#ifndef TESTS_METRICS_DATA_H
#define TESTS_METRICS_DATA_H

#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/rng.h"
#include "metrics/protocol.h"

/* n keys "000000", "000001", … */
static inline const char **data_keys(me_arena *arena, int64_t n)
{
    const char **keys = ME_NEW_ARRAY(arena, n, const char *);
    for (int64_t i = 0; i < n; i++) keys[i] = me_arena_printf(arena, "%06lld", (long long)i);
    return keys;
}

/* (n,dim) normal numbers; each seed another set. */
static inline float *data_normal(me_arena *arena, int64_t n, int64_t dim, uint64_t seed)
{
    me_rng g = me_rng_make(seed, 1);
    float *x = ME_NEW_ARRAY(arena, n * dim, float);
    for (int64_t i = 0; i < n * dim; i++) x[i] = (float)me_rng_normal(&g);
    return x;
}

/* Sources, targets near them, generations near the targets. */
static inline metric_set data_set(me_arena *arena, int64_t n, int64_t dim)
{
    float *source = data_normal(arena, n, dim, 11), *target = data_normal(arena, n, dim, 12);
    float *generated = data_normal(arena, n, dim, 13);
    for (int64_t i = 0; i < n * dim; i++) {
        target[i] += source[i];
        generated[i] = 1.5f * generated[i] + target[i];
    }
    return (metric_set){n, dim, data_keys(arena, n), source, target, generated};
}

static inline metric_options data_quick(void)
{
    metric_options o = metric_options_default();
    o.resamples = 0;
    o.other_shuffles = 0;
    o.corpus = false;
    return o;
}

static inline metric_evaluation data_evaluate(me_arena *arena, const metric_set *set,
                                              const metric_options *o)
{
    metric_evaluation e;
    me_err err = {0};
    cr_assert_eq(metric_evaluate(&e, arena, set, o, &err), ME_OK, "%s", err.msg);
    return e;
}

#endif
