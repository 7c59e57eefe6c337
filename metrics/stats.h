/* metrics/stats.h: the mean, median and intervals of columns of per-item values. Everything is
 * deterministic for a seed: each resample has its own counter-based stream, so the number of
 * threads changes nothing.
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

/* Bootstrap over queries: samples (columns_n,resamples), the value of each column in each resample.
 * Queries are drawn with replacement from all n (pooled over batches) and laid into batches of
 * `batch` again, so that every resample is summarised exactly as the value itself was. All columns
 * see the same draws. */
me_code metric_resample(double *samples, const metric_column *columns, int columns_n, int64_t n,
                        int64_t batch, int resamples, uint64_t seed, me_err *err);
/* The middle 95 % of n samples. Sorts them. */
void metric_interval(double *lo, double *hi, double *samples, int n);
/* The two together, the percentile bootstrap: lo[c], hi[c] for each column. */
me_code metric_bootstrap(double *lo, double *hi, const metric_column *columns, int columns_n,
                         int64_t n, int64_t batch, int resamples, uint64_t seed, me_err *err);

#endif
