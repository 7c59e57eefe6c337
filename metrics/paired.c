/* metrics/paired.c: see paired.h. */
#include "metrics/paired.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "metrics/metrics.h"
#include "metrics/stats.h"

/* Stream of the counter-based generator. */
enum { SITE_FLIP = 0x666c6970 };

/* ---- tests -------------------------------------------------------------------------------------
 */

double metric_mcnemar(int64_t gained, int64_t lost)
{
    const int64_t n = gained + lost, fewer = gained < lost ? gained : lost;
    /* In logarithms: 2^-n alone underflows from n = 1075 on. */
    const double all = lgamma((double)n + 1) - (double)n * log(2);
    double tail = 0;
    for (int64_t i = 0; i <= fewer; i++)
        tail += exp(all - lgamma((double)i + 1) - lgamma((double)(n - i) + 1));
    return fmin(1, 2 * tail);
}

double metric_sign_flip(const double *d, int64_t n, int rounds, uint64_t seed)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += d[i];
    /* Sums of the same numbers with other signs may differ in the last bits. */
    const double least = fabs(sum) * (1 - 1e-12);
    int64_t extreme = 0;
#pragma omp parallel for schedule(static) reduction(+ : extreme) if (n * rounds > 1 << 14)
    for (int r = 0; r < rounds; r++) {
        me_rng flip = me_rng_make(seed, ((uint64_t)SITE_FLIP << 32) + (uint64_t)r);
        double flipped = 0;
        uint32_t bits = 0;
        for (int64_t i = 0; i < n; i++) {
            if (i % 32 == 0) bits = me_rng_u32(&flip);
            flipped += bits >> (i % 32) & 1 ? -d[i] : d[i];
        }
        extreme += fabs(flipped) >= least;
    }
    return ((double)extreme + 1) / ((double)rounds + 1);
}

typedef struct placed {
    double p;
    int at;
} placed;

static int smaller_first(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

me_code metric_holm(double *adjusted, const double *p, int n, me_err *err)
{
    placed *sorted = malloc(((size_t)n + 1) * sizeof *sorted);
    double least = 0;
    if (!sorted) return me_fail_mem(err, "p-values");
    for (int i = 0; i < n; i++) sorted[i] = (placed){p[i], i};
    qsort(sorted, (size_t)n, sizeof *sorted, smaller_first);
    for (int i = 0; i < n; i++) {
        least = fmax(least, fmin(1, (n - i) * sorted[i].p));
        adjusted[sorted[i].at] = least;
    }
    free(sorted);
    return ME_OK;
}

/* ---- ranks -------------------------------------------------------------------------------------
 */

typedef struct pair {
    double against, position;
} pair;

static int by_ranks(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    if (x->against != y->against) return x->against < y->against ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

/* Both systems' columns, of one after those of the other. */
typedef struct both {
    metric_sink against, position;
} both;

static me_code run_both(both *out, me_arena *arena, const double *against, const double *position,
                        int64_t n, me_err *err)
{
    out->against = out->position = (metric_sink){.arena = arena, .n = n};
    const metric_input a = {.n = n, .position = against}, b = {.n = n, .position = position};
    me_code code = metric_run_all(&out->against, &a, METRIC_NEEDS_RANKS, err);
    return code ? code : metric_run_all(&out->position, &b, METRIC_NEEDS_RANKS, err);
}

/* The columns again from queries in an order of their own, so that draws and flips do not depend on
 * that of a file. */
static me_code run_sorted(both *out, me_arena *arena, const double *against, const double *position,
                          int64_t n, me_err *err)
{
    pair *pairs = ME_NEW_ARRAY(arena, n, pair);
    double *a = ME_NEW_ARRAY(arena, n, double), *b = ME_NEW_ARRAY(arena, n, double);
    if (!pairs || !a || !b) return me_fail_mem(err, "a paired comparison");
    for (int64_t i = 0; i < n; i++) pairs[i] = (pair){against[i], position[i]};
    qsort(pairs, (size_t)n, sizeof *pairs, by_ranks);
    for (int64_t i = 0; i < n; i++) {
        a[i] = pairs[i].against;
        b[i] = pairs[i].position;
    }
    return run_both(out, arena, a, b, n, err);
}

static void count_queries(metric_paired *out, const double *a, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double gain = out->better == METRIC_HIGHER ? b[i] - a[i] : a[i] - b[i];
        out->improved += gain > 0;
        out->worsened += gain < 0;
        out->tied += gain == 0;
    }
}

static void test_column(metric_paired *out, const metric_column *c, const double *a,
                        const double *b, double *scratch, int64_t n, const metric_paired_options *o)
{
    out->p = NAN;
    if (c->aggregate != METRIC_MEAN) return;
    if (!strncmp(c->label, "R@", 2)) { /* hit or miss */
        out->test = "mcnemar";
        out->p = metric_mcnemar(out->improved, out->worsened);
        return;
    }
    for (int64_t i = 0; i < n; i++) scratch[i] = b[i] - a[i];
    out->test = "sign-flip";
    out->p = metric_sign_flip(scratch, n, o->resamples, o->seed);
}

/* Intervals of all differences, from the same draws. */
static me_code bootstrap_differences(metric_paired *out, const both *s, int64_t n,
                                     const metric_paired_options *o, me_err *err)
{
    const int columns = s->against.columns;
    metric_column all[2 * METRIC_MAX_COLUMNS];
    double *samples = malloc(2 * (size_t)columns * (size_t)o->resamples * sizeof *samples);
    if (!samples) return me_fail_mem(err, "bootstrap resamples");
    memcpy(all, s->against.column, (size_t)columns * sizeof *all);
    memcpy(all + columns, s->position.column, (size_t)columns * sizeof *all);
    me_code code =
        metric_resample(samples, all, 2 * columns, n, o->batch, o->resamples, o->seed, err);
    for (int c = 0; c < columns && !code; c++) {
        double *a = samples + (int64_t)c * o->resamples, *b = a + (int64_t)columns * o->resamples;
        for (int r = 0; r < o->resamples; r++) a[r] = b[r] - a[r];
        metric_interval(&out[c].lo, &out[c].hi, a, o->resamples);
    }
    free(samples);
    return code;
}

me_code metric_compare_ranks(metric_paired *out, int *count, me_arena *arena, const double *against,
                             const double *position, int64_t n, const metric_paired_options *o,
                             me_err *err)
{
    *count = 0;
    if (n < 1 || n > (int64_t)UINT32_MAX)
        return me_fail(err, ME_EDATA, "a paired comparison needs at least one query in common");
    both *as_given = ME_NEW(arena, both), *sorted = ME_NEW(arena, both);
    double *scratch = ME_NEW_ARRAY(arena, n, double);
    if (!as_given || !sorted || !scratch) return me_fail_mem(err, "a paired comparison");
    me_code code = run_both(as_given, arena, against, position, n, err);
    if (!code) code = run_sorted(sorted, arena, against, position, n, err);
    if (code) return code;
    *count = sorted->against.columns;
    for (int c = 0; c < *count; c++) {
        const metric_column *a = &as_given->against.column[c], *b = &as_given->position.column[c];
        out[c] = (metric_paired){.label = a->label, .better = a->better};
        out[c].against = metric_aggregate_column(a->values, n, o->batch, a->aggregate, scratch);
        out[c].value = metric_aggregate_column(b->values, n, o->batch, b->aggregate, scratch);
        out[c].difference = out[c].value - out[c].against;
        a = &sorted->against.column[c];
        b = &sorted->position.column[c];
        count_queries(&out[c], a->values, b->values, n);
        test_column(&out[c], a, a->values, b->values, scratch, n, o);
    }
    return bootstrap_differences(out, sorted, n, o, err);
}
