/* Paired comparison: p-values against values counted by hand, and what must not change them. */
#include <criterion/criterion.h>

#include <math.h>
#include <omp.h>
#include <string.h>

#include "core/rng.h"
#include "metrics/paired.h"

enum { ROUNDS = 2000 };

Test(mcnemar, is_the_two_sided_binomial_of_the_discordant_pairs)
{
    static const struct {
        int64_t gained, lost;
        double p;
    } cases[] = {
        {0, 0, 1}, {1, 0, 1}, {3, 0, 2.0 / 8},        {5, 1, 14.0 / 64}, {10, 2, 158.0 / 4096},
        {7, 7, 1}, {8, 7, 1}, {0, 20, 2.0 / 1048576}, {4, 3, 1},         {6, 2, 74.0 / 256}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double p = metric_mcnemar(cases[i].gained, cases[i].lost);
        cr_assert_float_eq(p, cases[i].p, 1e-12, "%lld, %lld: %.17g", (long long)cases[i].gained,
                           (long long)cases[i].lost, p);
        cr_assert_eq(p, metric_mcnemar(cases[i].lost, cases[i].gained));
    }
}

Test(mcnemar, of_many_pairs_is_neither_lost_nor_coarse)
{
    /* The normal approximation with continuity correction: z = 99 / sqrt(1100). */
    cr_assert_float_eq(metric_mcnemar(600, 500), erfc(99 / sqrt(1100) / sqrt(2)), 1e-4);
    const double p = metric_mcnemar(900, 300);
    cr_assert(p > 0 && p < 1e-60);
    cr_assert_eq(metric_mcnemar(100000, 100000), 1);
}

Test(sign_flip, of_one_query_or_none_that_differs_says_nothing)
{
    const double one[1] = {5}, zero[3] = {0, 0, 0};
    cr_assert_eq(metric_sign_flip(one, 1, ROUNDS, 0), 1);
    cr_assert_eq(metric_sign_flip(zero, 3, ROUNDS, 0), 1);
}

Test(sign_flip, nears_the_share_of_sign_patterns)
{
    /* All 10 alike: 2 of 1024 patterns are as extreme. 3 and -1: all 4 but the two of |2|. */
    double ten[10], two[2] = {3, -1}, wide[2] = {3, 1};
    for (int i = 0; i < 10; i++) ten[i] = 0.1;
    const double p = metric_sign_flip(ten, 10, 100000, 1);
    cr_assert_float_eq(p, 2.0 / 1024, 0.0005, "%g", p);
    cr_assert_eq(metric_sign_flip(two, 2, ROUNDS, 1), 1);
    cr_assert_float_eq(metric_sign_flip(wide, 2, ROUNDS, 1), 0.5, 0.05);
}

Test(sign_flip, is_never_zero_and_does_not_depend_on_threads)
{
    double d[200];
    for (int i = 0; i < 200; i++) d[i] = 1 + i % 3;
    cr_assert_float_eq(metric_sign_flip(d, 200, ROUNDS, 2), 1.0 / (ROUNDS + 1), 1e-15);
    me_rng g = me_rng_make(4, 4);
    for (int i = 0; i < 200; i++) d[i] = me_rng_normal(&g);
    omp_set_num_threads(1);
    const double p = metric_sign_flip(d, 200, ROUNDS, 2);
    omp_set_num_threads(3);
    cr_assert_eq(metric_sign_flip(d, 200, ROUNDS, 2), p);
    cr_assert_neq(metric_sign_flip(d, 200, ROUNDS, 3), p);
}

Test(holm, steps_down_and_keeps_the_order_of_the_given)
{
    double p[3] = {0.01, 0.04, 0.03}, q[2] = {0.6, 0.9}, same[3] = {0.02, 0.02, 0.02};
    cr_assert_eq(metric_holm(p, p, 3, NULL), ME_OK);
    cr_assert_float_eq(p[0], 0.03, 1e-15);
    cr_assert_float_eq(p[1], 0.06, 1e-15);
    cr_assert_float_eq(p[2], 0.06, 1e-15);
    cr_assert_eq(metric_holm(q, q, 2, NULL), ME_OK);
    cr_assert_eq(q[0], 1);
    cr_assert_eq(q[1], 1);
    cr_assert_eq(metric_holm(same, same, 3, NULL), ME_OK);
    for (int i = 0; i < 3; i++) cr_assert_float_eq(same[i], 0.06, 1e-15);
    cr_assert_eq(metric_holm(q, q, 0, NULL), ME_OK);
}

/* ---- ranks ---- */

static metric_paired *compare(me_arena *arena, const double *a, const double *b, int64_t n,
                              int64_t batch)
{
    int count;
    metric_paired *out = ME_NEW_ARRAY(arena, METRIC_MAX_COLUMNS, metric_paired);
    const metric_paired_options o = {.batch = batch, .resamples = ROUNDS, .seed = 3};
    me_err err = {0};
    cr_assert_eq(metric_compare_ranks(out, &count, arena, a, b, n, &o, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(count, 7);
    return out;
}

static const metric_paired *find(const metric_paired *all, const char *label)
{
    int i = 0;
    while (i < 6 && strcmp(all[i].label, label) != 0) i++;
    cr_assert_str_eq(all[i].label, label);
    return &all[i];
}

Test(ranks, of_one_system_twice_differ_by_nothing)
{
    me_arena arena;
    me_arena_init(&arena);
    const double a[5] = {0, 3, 0.5, 12, 7};
    const metric_paired *all = compare(&arena, a, a, 5, 5);
    for (int i = 0; i < 7; i++) {
        cr_assert_eq(all[i].difference, 0);
        cr_assert_eq(all[i].lo, 0);
        cr_assert_eq(all[i].hi, 0);
        cr_assert_eq(all[i].tied, 5);
        if (all[i].test)
            cr_assert_eq(all[i].p, 1);
        else
            cr_assert(isnan(all[i].p));
    }
    me_arena_release(&arena);
}

Test(ranks, are_counted_as_by_hand)
{
    /* 1-based ranks: 1 2 4 11 2.5 against 2 1 4 1 1.5; a two-way tie at the top is a hit. */
    me_arena arena;
    me_arena_init(&arena);
    const double a[5] = {0, 1, 3, 10, 1.5}, b[5] = {1, 0, 3, 0, 0.5};
    const metric_paired *all = compare(&arena, a, b, 5, 5);
    const metric_paired *r1 = find(all, "R@1"), *avg = find(all, "AvgR"), *med = find(all, "MedR");
    cr_assert_eq(r1->against, 20);
    cr_assert_eq(r1->value, 60);
    cr_assert_eq(r1->improved, 3);
    cr_assert_eq(r1->worsened, 1);
    cr_assert_eq(r1->tied, 1);
    cr_assert_float_eq(r1->p, metric_mcnemar(3, 1), 1e-15);
    cr_assert_float_eq(r1->p, 10.0 / 16, 1e-12);
    cr_assert_str_eq(r1->test, "mcnemar");
    cr_assert_float_eq(avg->against, 20.5 / 5, 1e-12);
    cr_assert_float_eq(avg->value, 9.5 / 5, 1e-12);
    cr_assert_float_eq(avg->difference, -11.0 / 5, 1e-12);
    cr_assert(avg->lo <= avg->difference && avg->difference <= avg->hi);
    cr_assert_eq(avg->improved, 3);
    cr_assert_eq(avg->worsened, 1);
    cr_assert_eq(avg->tied, 1);
    cr_assert_str_eq(avg->test, "sign-flip");
    cr_assert_float_eq(med->difference, 1.5 - 2.5, 1e-12);
    cr_assert_null(med->test);
    me_arena_release(&arena);
}

Test(ranks, of_one_query_have_a_difference_and_no_significance)
{
    me_arena arena;
    me_arena_init(&arena);
    const double a[1] = {0}, b[1] = {2};
    const metric_paired *all = compare(&arena, a, b, 1, 1);
    const metric_paired *r1 = find(all, "R@1"), *avg = find(all, "AvgR");
    cr_assert_eq(r1->difference, -100);
    cr_assert_eq(r1->lo, -100);
    cr_assert_eq(r1->hi, -100);
    cr_assert_eq(r1->p, 1);
    cr_assert_eq(avg->difference, 2);
    cr_assert_eq(avg->p, 1);
    int count;
    const metric_paired_options o = {.batch = 1, .resamples = 10};
    metric_paired none;
    cr_assert_eq(metric_compare_ranks(&none, &count, &arena, a, b, 0, &o, NULL), ME_EDATA);
    me_arena_release(&arena);
}

Test(ranks, of_batches_are_summarised_batch_by_batch)
{
    me_arena arena;
    me_arena_init(&arena);
    const double a[4] = {0, 0, 0, 0}, b[4] = {0, 0, 4, 10};
    cr_assert_eq(find(compare(&arena, a, b, 4, 2), "MedR")->value, 4.5);
    cr_assert_eq(find(compare(&arena, a, b, 4, 4), "MedR")->value, 3);
    me_arena_release(&arena);
}

Test(ranks, in_another_order_of_queries_or_on_other_threads_give_the_same)
{
    enum { N = 96 };
    me_arena arena;
    me_arena_init(&arena);
    double a[N], b[N], other_a[N], other_b[N];
    int64_t order[N];
    me_rng g = me_rng_make(9, 9);
    for (int i = 0; i < N; i++) {
        a[i] = me_rng_below(&g, 30);
        b[i] = me_rng_below(&g, 24);
        order[i] = i;
    }
    me_rng_shuffle(&g, order, N);
    for (int i = 0; i < N; i++) {
        other_a[i] = a[order[i]];
        other_b[i] = b[order[i]];
    }
    omp_set_num_threads(1);
    const metric_paired *x = compare(&arena, a, b, N, N);
    omp_set_num_threads(3);
    const metric_paired *y = compare(&arena, other_a, other_b, N, N);
    for (int i = 0; i < 7; i++) {
        cr_assert_float_eq(x[i].difference, y[i].difference, 1e-12);
        cr_assert_eq(x[i].lo, y[i].lo);
        cr_assert_eq(x[i].hi, y[i].hi);
        cr_assert(x[i].p == y[i].p || (isnan(x[i].p) && isnan(y[i].p)));
        cr_assert_eq(x[i].improved, y[i].improved);
        cr_assert_eq(x[i].worsened, y[i].worsened);
    }
    me_arena_release(&arena);
}

Test(ranks, that_change_sides_change_the_signs_alone)
{
    me_arena arena;
    me_arena_init(&arena);
    double a[40], b[40];
    for (int i = 0; i < 40; i++) {
        a[i] = i % 13;
        b[i] = i % 7;
    }
    const metric_paired *x = compare(&arena, a, b, 40, 40), *y = compare(&arena, b, a, 40, 40);
    for (int i = 0; i < 7; i++) {
        cr_assert_float_eq(x[i].difference, -y[i].difference, 1e-12);
        cr_assert_eq(x[i].improved, y[i].worsened);
        cr_assert_eq(x[i].worsened, y[i].improved);
    }
    cr_assert_eq(find(x, "R@3")->p, find(y, "R@3")->p);
    me_arena_release(&arena);
}

Test(ranks, that_are_clearly_better_are_significantly_so)
{
    me_arena arena;
    me_arena_init(&arena);
    double a[100], b[100], c[100];
    me_rng g = me_rng_make(1, 1);
    for (int i = 0; i < 100; i++) {
        a[i] = 10 + me_rng_below(&g, 40);
        b[i] = a[i] - 1 - me_rng_below(&g, 9);
        c[i] = a[i] + (i % 2 ? 1 : -1);
    }
    const metric_paired *better = find(compare(&arena, a, b, 100, 100), "AvgR");
    const metric_paired *alike = find(compare(&arena, a, c, 100, 100), "AvgR");
    cr_assert_lt(better->p, 0.001);
    cr_assert(better->hi < 0 && better->lo < better->difference);
    cr_assert_gt(alike->p, 0.5);
    cr_assert(alike->lo < 0 && alike->hi > 0);
    me_arena_release(&arena);
}
