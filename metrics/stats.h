/* metrics/stats.h: the mean, median and intervals of columns of per-item values, and paired
 * comparison of two. Everything is deterministic for a seed: each resample has its own
 * counter-based stream, so the number of threads changes nothing.
 */
#ifndef METRICS_STATS_H
#define METRICS_STATS_H

#include "metrics/metric.h"

double metric_mean(const double *x, int64_t n);
double metric_sd(const double *x, int64_t n); /* divisor n-1; 0 for n < 2 */
/* Mean of the two middle values for even n. Reorders x. */
double metric_median(double *x, int64_t n);
/* Quantile q in [0,1] of ascending x, interpolated linearly as NumPy's default does. */
double metric_quantile(const double *sorted, int64_t n, double q);

/* Value of a column whose n values lie in consecutive batches of `batch` items: unrounded per
 * batch, then the mean over batches (spec 5.6). batch == n: the whole. n is a multiple of batch.
 * scratch: batch values. */
double metric_aggregate_column(const double *values, int64_t n, int64_t batch,
                               metric_aggregate aggregate, double *scratch);

/* Percentile bootstrap over queries, 95 %: lo[c], hi[c] for each column. Queries are drawn with
 * replacement from all n (pooled over batches) and laid into batches of `batch` again, so that
 * every resample is summarised exactly as the value itself was. All columns see the same draws. */
me_code metric_bootstrap(double *lo, double *hi, const metric_column *columns, int columns_n,
                         int64_t n, int64_t batch, int resamples, uint64_t seed, me_err *err);

/* Two systems on the same queries: difference of means b - a, its 95 % bootstrap interval over
 * queries, and the two-sided p-value of a sign-flip permutation test (each query's pair swapped or
 * not). */
typedef struct metric_paired {
    int64_t n;
    double difference, lo, hi, p;
    int64_t better, worse; /* queries where b > a, b < a */
} metric_paired;
me_code metric_compare_paired(metric_paired *out, const double *a, const double *b, int64_t n,
                              int resamples, uint64_t seed, me_err *err);

#endif
