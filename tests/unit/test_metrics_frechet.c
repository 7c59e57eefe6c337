/* The Frechet distance and the kernel distance: golden values and properties. */
#include "tests/unit/metrics_data.h"

#include "metrics/frechet_priv.h"
#include "metrics/metrics.h"

/* Spec evaluation 10.8. */
static const double rows_a[15] = {1, 2, 3, 2, 1, 0, 0, 1, 1, 3, 3, 2, 1, 0, 2};
static const double rows_b[15] = {1, 1, 3, 2, 2, 0, 1, 1, 1, 2, 3, 2, 0, 0, 2};

Test(frechet, the_golden_value)
{
    double d;
    cr_assert_eq(metric_frechet(&d, rows_a, 5, rows_b, 5, 3, NULL), ME_OK);
    cr_assert_float_eq(d, 0.530738116, 1e-9, "%.12g", d);
    cr_assert_eq(metric_frechet(&d, rows_b, 5, rows_a, 5, 3, NULL), ME_OK);
    cr_assert_float_eq(d, 0.530738116, 1e-9, "%.12g", d);
}

Test(frechet, gaussians_along_one_axis_have_a_closed_form)
{
    /* Means 0 and 3; variances 2 and 8 (n-1): 9 + 2 + 8 - 2 sqrt(16) = 11. */
    const double x[3] = {-1.4142135623730951, 0, 1.4142135623730951},
                 y[3] = {0.17157287525380988, 3, 5.82842712474619};
    double d;
    cr_assert_eq(metric_frechet(&d, x, 3, y, 3, 1, NULL), ME_OK);
    cr_assert_float_eq(d, 11, 1e-9, "%.12g", d);
}

Test(frechet, few_samples_and_many_take_different_roads_to_the_same_place)
{
    me_arena arena;
    me_arena_init(&arena);
    /* 8 numbers embedded in 8 dimensions and in 40 (zeros behind): the first goes by covariance,
     * the second by samples. */
    const int64_t n = 30, m = 25;
    float *f = data_normal(&arena, n + m, 8, 2);
    double *small = ME_NEW_ARRAY(&arena, (n + m) * 8, double),
           *wide = ME_NEW_ARRAY(&arena, (n + m) * 40, double);
    for (int64_t i = 0; i < n + m; i++)
        for (int k = 0; k < 8; k++)
            small[i * 8 + k] = wide[i * 40 + 3 * k] = f[i * 8 + k] * (k + 1) + (i < n);
    double a, b;
    cr_assert_eq(metric_frechet(&a, small, n, small + n * 8, m, 8, NULL), ME_OK);
    cr_assert_eq(metric_frechet(&b, wide, n, wide + n * 40, m, 40, NULL), ME_OK);
    cr_assert_float_eq(a, b, 1e-9 * a, "%.12g %.12g", a, b);
    cr_assert_eq(metric_frechet(&b, wide + n * 40, m, wide, n, 40, NULL), ME_OK);
    cr_assert_float_eq(a, b, 1e-9 * a);
    cr_assert_eq(metric_frechet(&a, small, n, small, n, 8, NULL), ME_OK);
    cr_assert_float_eq(a, 0, 1e-6, "self distance %g", a);
    cr_assert_eq(metric_frechet(&a, small, 1, small, n, 8, NULL), ME_EDATA);
    me_arena_release(&arena);
}

Test(eigen, values_of_known_matrices)
{
    double diagonal[9] = {3, 0, 0, 0, -1, 0, 0, 0, 7}, second[16] = {0}, v[16];
    cr_assert_eq(metric_eigenvalues(v, diagonal, 3, NULL), ME_OK);
    cr_assert_float_eq(v[0] + v[1] + v[2], 9, 1e-12);
    /* The second difference matrix: 2 - 2 cos(k pi / (n+1)). */
    for (int i = 0; i < 4; i++) {
        second[5 * i] = 2;
        if (i < 3) second[4 * i + i + 1] = second[4 * (i + 1) + i] = -1;
    }
    cr_assert_eq(metric_eigenvalues(v, second, 4, NULL), ME_OK);
    for (int k = 1; k <= 4; k++) {
        double want = 2 - 2 * cos(k * 3.14159265358979323846 / 5), nearest = INFINITY;
        for (int i = 0; i < 4; i++) nearest = fmin(nearest, fabs(v[i] - want));
        cr_assert_lt(nearest, 1e-13);
    }
}

Test(eigen, trace_and_squares_are_kept_at_many_sizes)
{
    static const int sizes[] = {1, 2, 3, 5, 17, 64, 101};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        me_arena arena;
        me_arena_init(&arena);
        const int n = sizes[k];
        float *f = data_normal(&arena, n, n, 8);
        double *a = ME_NEW_ARRAY(&arena, n * n, double), *v = ME_NEW_ARRAY(&arena, n, double);
        double trace = 0, squares = 0, sum = 0, sum2 = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                a[i * n + j] = (double)f[i * n + j] + (double)f[j * n + i];
                trace += i == j ? a[i * n + j] : 0;
                squares += a[i * n + j] * a[i * n + j];
            }
        cr_assert_eq(metric_eigenvalues(v, a, n, NULL), ME_OK);
        for (int i = 0; i < n; i++) {
            sum += v[i];
            sum2 += v[i] * v[i];
        }
        cr_assert_float_eq(sum, trace, 1e-11 * n);
        cr_assert_float_eq(sum2, squares, 1e-11 * squares + 1e-12);
        me_arena_release(&arena);
    }
}

static double corpus(const metric_evaluation *e, const char *label, const char **reason)
{
    for (int c = 0; c < e->corpus; c++)
        if (strcmp(e->corpus_value[c].label, label) == 0) {
            if (reason) *reason = e->corpus_value[c].reason;
            return e->corpus_value[c].value;
        }
    cr_assert_fail("no %s", label);
    return NAN;
}

static metric_options only_corpus(void)
{
    metric_options o = data_quick();
    o.corpus = true;
    return o;
}

Test(fid, equal_distributions_score_about_the_floor)
{
    me_arena arena;
    me_arena_init(&arena);
    const int64_t n = 256, dim = 12;
    float *x = data_normal(&arena, n, dim, 1), *y = data_normal(&arena, n, dim, 2);
    metric_set set = {n, dim, data_keys(&arena, n), x, x, y};
    metric_options o = only_corpus();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    cr_assert_eq(corpus(&e, "fid.n", NULL), 256);
    double fid = corpus(&e, "fid", NULL), floor = corpus(&e, "fid.floor", NULL);
    cr_assert(fid > 0 && fid < floor, "%g, floor of half the size %g", fid, floor);
    double excess = corpus(&e, "fid_sound.excess", NULL),
           sd = corpus(&e, "fid_sound.excess_sd", NULL);
    cr_assert_lt(fabs(excess), 4 * sd + 0.2, "%g, s.d. %g", excess, sd);
    cr_assert_lt(fabs(corpus(&e, "kid", NULL)), 0.05);
    cr_assert_lt(fabs(corpus(&e, "fid_sound.infinity", NULL)), corpus(&e, "fid_sound", NULL));
    me_arena_release(&arena);
}

Test(fid, another_distribution_is_seen)
{
    me_arena arena;
    me_arena_init(&arena);
    const int64_t n = 128, dim = 12;
    float *x = data_normal(&arena, n, dim, 1), *y = data_normal(&arena, n, dim, 2);
    for (int64_t i = 0; i < n; i++) y[i * dim] += 3;
    metric_set set = {n, dim, data_keys(&arena, n), NULL, x, y};
    metric_options o = only_corpus();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    cr_assert_float_eq(corpus(&e, "fid_sound.excess", NULL), 9, 2);
    cr_assert_float_eq(corpus(&e, "fid_sound.infinity", NULL), 9, 2);
    cr_assert_gt(corpus(&e, "kid", NULL), 0.3);
    me_arena_release(&arena);
}

Test(fid, the_answer_itself_scores_zero)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 64, 5);
    set.generated = set.target;
    metric_options o = only_corpus();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    cr_assert_float_eq(corpus(&e, "fid", NULL), 0, 1e-6);
    cr_assert_float_eq(corpus(&e, "fid_sound.excess", NULL), 0, 1e-6);
    cr_assert_float_eq(corpus(&e, "fid_sound.infinity", NULL), 0, 1e-6);
    me_arena_release(&arena);
}

Test(fid, too_few_items_have_a_reason_instead_of_a_number)
{
    static const int sizes[] = {1, 3, 31};
    for (int k = 0; k < 3; k++) {
        me_arena arena;
        me_arena_init(&arena);
        metric_set set = data_set(&arena, sizes[k], 5);
        metric_options o = only_corpus();
        metric_evaluation e = data_evaluate(&arena, &set, &o);
        const char *reason = NULL;
        corpus(&e, "fid", &reason);
        cr_assert(reason && strstr(reason, "fewer than 32"));
        corpus(&e, "fid_sound", &reason);
        cr_assert_eq(reason == NULL, sizes[k] >= 4);
        corpus(&e, "kid", &reason);
        cr_assert_eq(reason == NULL, sizes[k] >= 2);
        me_arena_release(&arena);
    }
}

Test(fid, extrapolation_needs_more_items_than_dimensions)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 40, 30);
    metric_options o = only_corpus();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    const char *reason = NULL;
    corpus(&e, "fid_sound.infinity", &reason);
    cr_assert(reason && strstr(reason, "dimensions"));
    me_arena_release(&arena);
}
