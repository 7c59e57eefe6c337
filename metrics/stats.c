/* metrics/stats.c: see stats.h. */
#include "metrics/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

/* Streams of the counter-based generator, one for each use. */
enum { SITE_BOOTSTRAP = 0x626f6f74, SITE_PAIRED = 0x70616972, SITE_FLIP = 0x666c6970 };

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

static void interval(double *lo, double *hi, double *samples, int n)
{
    qsort(samples, (size_t)n, sizeof *samples, ascending);
    *lo = metric_quantile(samples, n, 0.025);
    *hi = metric_quantile(samples, n, 0.975);
}

me_code metric_bootstrap(double *lo, double *hi, const metric_column *columns, int columns_n,
                         int64_t n, int64_t batch, int resamples, uint64_t seed, me_err *err)
{
    assert(n > 0 && n <= (int64_t)UINT32_MAX && resamples > 0);
    double *samples = calloc((size_t)resamples * (size_t)columns_n, sizeof *samples);
    if (!samples) return me_fail_mem(err, "bootstrap resamples");
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
    for (int c = 0; c < columns_n && !failed; c++)
        interval(&lo[c], &hi[c], samples + (int64_t)c * resamples, resamples);
    free(samples);
    return failed ? me_fail_mem(err, "bootstrap resamples") : ME_OK;
}

me_code metric_compare_paired(metric_paired *out, const double *a, const double *b, int64_t n,
                              int resamples, uint64_t seed, me_err *err)
{
    memset(out, 0, sizeof *out);
    out->n = n;
    if (n < 1 || n > (int64_t)UINT32_MAX || resamples < 1)
        return me_fail(err, ME_EDATA, "a paired comparison needs at least one query in common");
    double *d = malloc((size_t)n * sizeof *d),
           *samples = malloc((size_t)resamples * sizeof *samples);
    if (!d || !samples) {
        free(d);
        free(samples);
        return me_fail_mem(err, "a paired comparison");
    }
    for (int64_t i = 0; i < n; i++) {
        d[i] = b[i] - a[i];
        out->better += d[i] > 0;
        out->worse += d[i] < 0;
    }
    out->difference = metric_mean(d, n);
    int64_t extreme = 0;
#pragma omp parallel for schedule(static) reduction(+ : extreme) if (n * resamples > 1 << 14)
    for (int r = 0; r < resamples; r++) {
        me_rng draw = me_rng_make(seed, ((uint64_t)SITE_PAIRED << 32) + (uint64_t)r);
        me_rng flip = me_rng_make(seed, ((uint64_t)SITE_FLIP << 32) + (uint64_t)r);
        double sum = 0, flipped = 0;
        uint32_t bits = 0;
        for (int64_t i = 0; i < n; i++) {
            if (i % 32 == 0) bits = me_rng_u32(&flip);
            sum += d[me_rng_below(&draw, (uint32_t)n)];
            flipped += bits >> (i % 32) & 1 ? -d[i] : d[i];
        }
        samples[r] = sum / (double)n;
        /* Sums of the same numbers in another order may differ in the last bits. */
        double slack = 1e-12 * fabs(out->difference);
        extreme += fabs(flipped / (double)n) >= fabs(out->difference) - slack;
    }
    interval(&out->lo, &out->hi, samples, resamples);
    /* The observed assignment is one of the permutations: p is never 0 (Phipson and Smyth 2010). */
    out->p = ((double)extreme + 1) / ((double)resamples + 1);
    free(d);
    free(samples);
    return ME_OK;
}
