/* metrics/stats.c: see stats.h. */
#include "metrics/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

/* Stream of the counter-based generator. */
enum { SITE_BOOTSTRAP = 0x626f6f74 };

double metric_mean(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

double metric_sd(const double *x, int64_t n)
{
    if (n < 2) return 0;
    double mean = metric_mean(x, n), sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)(n - 1));
}

static void swap(double *a, double *b)
{
    double t = *a;
    *a = *b;
    *b = t;
}

/* Hoare's selection: afterwards x[k] is what it would be in sorted order, smaller or equal values
 * before it. */
static void select_kth(double *x, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
        double pivot = x[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (x[i] < pivot) i++;
            while (x[j] > pivot) j--;
            if (i <= j) swap(&x[i++], &x[j--]);
        }
        if (k <= j)
            hi = j;
        else if (k >= i)
            lo = i;
        else
            return;
    }
}

double metric_median(double *x, int64_t n)
{
    assert(n > 0);
    select_kth(x, n, n / 2);
    if (n % 2) return x[n / 2];
    double below = x[0];
    for (int64_t i = 1; i < n / 2; i++) below = fmax(below, x[i]);
    return (below + x[n / 2]) / 2;
}

double metric_quantile(const double *sorted, int64_t n, double q)
{
    assert(n > 0);
    double place = q * (double)(n - 1);
    int64_t i = (int64_t)floor(place);
    if (i >= n - 1) return sorted[n - 1];
    return sorted[i] + (place - (double)i) * (sorted[i + 1] - sorted[i]);
}

double metric_aggregate_column(const double *values, int64_t n, int64_t batch,
                               metric_aggregate aggregate, double *scratch)
{
    assert(batch > 0 && n % batch == 0 && aggregate != METRIC_CORPUS);
    double sum = 0;
    for (int64_t b = 0; b < n; b += batch) {
        if (aggregate == METRIC_MEAN) {
            sum += metric_mean(values + b, batch);
        } else {
            memcpy(scratch, values + b, (size_t)batch * sizeof *scratch);
            sum += metric_median(scratch, batch);
        }
    }
    return sum / (double)(n / batch);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void metric_interval(double *lo, double *hi, double *samples, int n)
{
    qsort(samples, (size_t)n, sizeof *samples, ascending);
    *lo = metric_quantile(samples, n, 0.025);
    *hi = metric_quantile(samples, n, 0.975);
}

me_code metric_resample(double *samples, const metric_column *columns, int columns_n, int64_t n,
                        int64_t batch, int resamples, uint64_t seed, me_err *err)
{
    assert(n > 0 && n <= (int64_t)UINT32_MAX && resamples > 0);
    int failed = 0;
#pragma omp parallel if (n * resamples > 1 << 14)
    {
        int64_t *drawn = malloc((size_t)n * sizeof *drawn);
        double *values = malloc((size_t)n * 2 * sizeof *values);
        if (!drawn || !values) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(static)
        for (int r = 0; r < resamples; r++) {
            if (!drawn || !values) continue;
            me_rng g = me_rng_make(seed, ((uint64_t)SITE_BOOTSTRAP << 32) + (uint64_t)r);
            for (int64_t i = 0; i < n; i++) drawn[i] = me_rng_below(&g, (uint32_t)n);
            for (int c = 0; c < columns_n; c++) {
                for (int64_t i = 0; i < n; i++) values[i] = columns[c].values[drawn[i]];
                samples[(int64_t)c * resamples + r] =
                    metric_aggregate_column(values, n, batch, columns[c].aggregate, values + n);
            }
        }
        free(drawn);
        free(values);
    }
    return failed ? me_fail_mem(err, "bootstrap resamples") : ME_OK;
}

me_code metric_bootstrap(double *lo, double *hi, const metric_column *columns, int columns_n,
                         int64_t n, int64_t batch, int resamples, uint64_t seed, me_err *err)
{
    double *samples = calloc((size_t)resamples * (size_t)columns_n, sizeof *samples);
    if (!samples) return me_fail_mem(err, "bootstrap resamples");
    me_code code = metric_resample(samples, columns, columns_n, n, batch, resamples, seed, err);
    for (int c = 0; c < columns_n && !code; c++)
        metric_interval(&lo[c], &hi[c], samples + (int64_t)c * resamples, resamples);
    free(samples);
    return code;
}
