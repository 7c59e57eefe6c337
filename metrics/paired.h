/* metrics/paired.h: two systems on the same queries: by how much one is better than the other, and
 * whether chance alone would have done that. Plain arrays in, no files.
 *
 * Interval of a difference: percentile bootstrap over queries (metrics/stats.h); in each resample
 * both systems are scored on the same draws. It holds for a mean and for a median.
 *
 * p-values are two-sided. R@k says hit or miss of each query, so only the queries that one system
 * hits and the other misses speak, and their numbers are binomial with 1/2 where the systems are
 * alike: McNemar's test, computed exactly (McNemar 1947). AvgR is a mean of ranks, which are far
 * from normal and often tied: a sign-flip permutation test of the mean difference, in which each
 * query's two ranks are swapped or not. Its null is that of the value which is reported; Wilcoxon's
 * test would answer for another one, of signed ranks. MedR has an interval and no p-value.
 *
 * Deterministic for a seed, and independent of threads and of the order of the queries.
 */
#ifndef METRICS_PAIRED_H
#define METRICS_PAIRED_H

#include "metrics/metric.h"

typedef struct metric_paired {
    const char *label; /* "R@1" */
    metric_better better;
    double against, value;            /* of the one compared with, and of the other */
    double difference, lo, hi;        /* value - against, and its 95 % interval */
    const char *test;                 /* "mcnemar", "sign-flip"; NULL: none */
    double p;                         /* NAN where there is no test */
    int64_t improved, worsened, tied; /* queries */
} metric_paired;

typedef struct metric_paired_options {
    int64_t batch; /* queries lie in consecutive batches of this size; n: one gallery of all */
    int resamples; /* of the bootstrap, and rounds of sign flips */
    uint64_t seed;
} metric_paired_options;

/* Every metric of ranks for two systems: `against` and `position` (n) are the 0-based ranks of the
 * same queries, n a multiple of the batch. out: METRIC_MAX_COLUMNS at most, *count of them filled;
 * labels live in the arena. No query at all is ME_EDATA. */
me_code metric_compare_ranks(metric_paired *out, int *count, me_arena *arena, const double *against,
                             const double *position, int64_t n,
                             const metric_paired_options *options, me_err *err);

/* Exact two-sided p of `gained` successes against `lost` where either has probability 1/2. */
double metric_mcnemar(int64_t gained, int64_t lost);
/* Two-sided p of the mean of d (n) when the sign of each may be flipped. The observed signs are one
 * of the rounds, so p is never below 1 / (rounds + 1) (Phipson and Smyth 2010). */
double metric_sign_flip(const double *d, int64_t n, int rounds, uint64_t seed);
/* Holm's step-down adjustment of n p-values of one family (Holm 1979); adjusted may be p. */
me_code metric_holm(double *adjusted, const double *p, int n, me_err *err);

#endif
