/* Means, medians, intervals and the paired test. */
#include <criterion/criterion.h>

#include <math.h>
#include <omp.h>

#include "core/rng.h"
#include "metrics/stats.h"

Test(stats, medians_of_odd_even_and_tied_values)
{
    double odd[5] = {5, 1, 4, 2, 3}, even[4] = {4, 1, 3, 2}, one[1] = {7},
           tied[6] = {2, 2, 2, 1, 9, 2};
    cr_assert_eq(metric_median(odd, 5), 3);
    cr_assert_eq(metric_median(even, 4), 2.5);
    cr_assert_eq(metric_median(one, 1), 7);
    cr_assert_eq(metric_median(tied, 6), 2);
}

Test(stats, the_median_agrees_with_sorting)
{
    me_rng g = me_rng_make(4, 4);
    for (int n = 1; n < 60; n++) {
        double x[60], y[60];
        for (int i = 0; i < n; i++) x[i] = y[i] = (double)me_rng_below(&g, 20) / 2;
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n; j++)
                if (y[j] < y[i]) {
                    double t = y[i];
                    y[i] = y[j];
                    y[j] = t;
                }
        double want = n % 2 ? y[n / 2] : (y[n / 2 - 1] + y[n / 2]) / 2;
        cr_assert_eq(metric_median(x, n), want, "n %d", n);
    }
}

Test(stats, quantiles_interpolate_as_numpy_does)
{
    const double x[5] = {10, 20, 30, 40, 50};
    cr_assert_float_eq(metric_quantile(x, 5, 0.025), 11, 1e-12);
    cr_assert_float_eq(metric_quantile(x, 5, 0.5), 30, 1e-12);
    cr_assert_float_eq(metric_quantile(x, 5, 0.975), 49, 1e-12);
    cr_assert_eq(metric_quantile(x, 5, 1), 50);
    cr_assert_eq(metric_quantile(x, 1, 0.3), 10);
}

Test(stats, spread_of_known_numbers)
{
    const double x[4] = {2, 4, 4, 6};
    cr_assert_eq(metric_mean(x, 4), 4);
    cr_assert_float_eq(metric_sd(x, 4), sqrt(8.0 / 3), 1e-15);
    cr_assert_eq(metric_sd(x, 1), 0);
}

Test(stats, batches_are_averaged_unrounded)
{
    /* Spec evaluation 10.6: R@1 hits 20, 19, 25 of 32 give 66.67. */
    double hits[96] = {0}, scratch[32];
    static const int count[3] = {20, 19, 25};
    for (int b = 0; b < 3; b++)
        for (int i = 0; i < count[b]; i++) hits[32 * b + i] = 100;
    cr_assert_float_eq(metric_aggregate_column(hits, 96, 32, METRIC_MEAN, scratch), 200.0 / 3,
                       1e-12);
    cr_assert_eq(metric_aggregate_column(hits, 96, 32, METRIC_MEDIAN, scratch), 100);
}

Test(bootstrap, intervals_contain_the_value_and_have_the_binomial_width)
{
    double hit[400], rank[400], lo[2], hi[2];
    for (int i = 0; i < 400; i++) {
        hit[i] = i % 4 == 0 ? 0 : 100;
        rank[i] = i % 7 + 1;
    }
    const metric_column columns[2] = {{.values = hit, .aggregate = METRIC_MEAN},
                                      {.values = rank, .aggregate = METRIC_MEDIAN}};
    cr_assert_eq(metric_bootstrap(lo, hi, columns, 2, 400, 400, 2000, 1, NULL), ME_OK);
    double half = 1.96 * 100 * sqrt(0.75 * 0.25 / 400);
    cr_assert_float_eq(lo[0], 75 - half, 0.6, "%g", lo[0]);
    cr_assert_float_eq(hi[0], 75 + half, 0.6, "%g", hi[0]);
    cr_assert(lo[1] <= 4 && hi[1] >= 4);
}

Test(bootstrap, the_seed_decides_and_threads_do_not)
{
    double x[64], lo[3], hi[3];
    me_rng g = me_rng_make(9, 9);
    for (int i = 0; i < 64; i++) x[i] = me_rng_uniform(&g);
    const metric_column c = {.values = x, .aggregate = METRIC_MEDIAN};
    omp_set_num_threads(1);
    metric_bootstrap(&lo[0], &hi[0], &c, 1, 64, 32, 1000, 5, NULL);
    omp_set_num_threads(3);
    metric_bootstrap(&lo[1], &hi[1], &c, 1, 64, 32, 1000, 5, NULL);
    metric_bootstrap(&lo[2], &hi[2], &c, 1, 64, 32, 1000, 6, NULL);
    cr_assert_eq(lo[0], lo[1]);
    cr_assert_eq(hi[0], hi[1]);
    cr_assert(lo[0] != lo[2] || hi[0] != hi[2]);
}

Test(bootstrap, values_all_alike_have_no_width)
{
    const double x[3] = {7, 7, 7};
    double lo, hi;
    const metric_column c = {.values = (double *)x, .aggregate = METRIC_MEAN};
    cr_assert_eq(metric_bootstrap(&lo, &hi, &c, 1, 3, 3, 50, 0, NULL), ME_OK);
    cr_assert_eq(lo, 7);
    cr_assert_eq(hi, 7);
}
