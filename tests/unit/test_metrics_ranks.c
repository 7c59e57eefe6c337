/* Similarities are the same bits everywhere, ties take the average, and duplicates are known. */
#include "tests/unit/metrics_data.h"

#include <omp.h>
#include <stdlib.h>

#include "metrics/dots_priv.h"

typedef struct tie_case {
    const char *name;
    int n;
    double s[25], c[5];
} tie_case;

/* Spec evaluation 10.6, A to E. */
static const tie_case tie_cases[] = {
    {"A", 4, {.9, .1, .2, .3, .5, .4, .6, .1, .2, .3, .1, 0, .7, .6, .5, .4}, {0, 2, 2, 3}},
    {"B", 4, {.9, .9, .2, .3, .5, .6, .1, .1, .2, .3, .9, 0, .7, .6, .5, .8}, {.5, 0, 0, 0}},
    {"C", 4, {.9, .9, .9, .3, .5, .6, .1, .1, .2, .3, .9, 0, .7, .6, .5, .8}, {1, 0, 0, 0}},
    {"D",
     5,
     {.5, .9, .5, .5, .1, .3, .3, .3, .3, .3, .1, .2, .9,
      .4, .9, .8, .7, .6, .5, .4, 0,  .1, .2, .3, .4},
     {2, 2, .5, 3, 0}},
    {"E", 5, {0}, {2, 2, 2, 2, 2}},
};

Test(rank, ties_take_the_average)
{
    for (size_t k = 0; k < sizeof tie_cases / sizeof *tie_cases; k++) {
        const tie_case *t = &tie_cases[k];
        metric_rank r[5];
        cr_assert_eq(metric_rank_matrix(r, t->s, t->n, false, NULL, NULL), ME_OK);
        for (int i = 0; i < t->n; i++)
            cr_expect_eq(metric_position(&r[i]), t->c[i], "case %s, query %d: %g", t->name, i,
                         metric_position(&r[i]));
    }
}

Test(rank, the_transposed_direction_ranks_columns)
{
    /* Case A by columns: .9 tops its column; .4 below .6; .1 below .6, .5, .2; .4 tops. */
    static const double expected[4] = {0, 1, 3, 0};
    metric_rank r[4];
    cr_assert_eq(metric_rank_matrix(r, tie_cases[0].s, 4, true, NULL, NULL), ME_OK);
    for (int i = 0; i < 4; i++) cr_expect_eq(metric_position(&r[i]), expected[i], "%d", i);
}

Test(rank, what_is_not_a_number_is_refused)
{
    /* Spec 10.6, F and G: the reference asserts on one, and passes the other with wrong ranks. */
    double f[16], g[9] = {NAN, NAN, NAN, .9, .9, .2, .1, .2, .9};
    memcpy(f, tie_cases[0].s, sizeof f);
    for (int j = 0; j < 4; j++) f[j] = NAN;
    metric_rank r[4];
    me_err err = {0};
    cr_assert_eq(metric_rank_matrix(r, f, 4, false, NULL, &err), ME_EDATA);
    cr_assert(strstr(err.msg, "not finite"), "%s", err.msg);
    cr_assert_eq(metric_rank_matrix(r, g, 3, false, NULL, NULL), ME_EDATA);
    const float x[4] = {1, 2, INFINITY, 4};
    const char *keys[2] = {"000021", "005454"};
    double u[4];
    err = (me_err){0};
    cr_assert_eq(metric_unit(u, x, keys, "generated", 2, 2, &err), ME_EDATA);
    cr_assert(strstr(err.msg, "005454") && strstr(err.msg, "generated"), "%s", err.msg);
}

Test(rank, a_zero_embedding_stays_zero)
{
    const float x[3] = {0, 0, 0};
    double u[3] = {1, 1, 1};
    cr_assert_eq(metric_unit(u, x, NULL, "target", 1, 3, NULL), ME_OK);
    for (int i = 0; i < 3; i++) cr_assert_eq(u[i], 0);
}

Test(rank, units_and_matrix_agree_in_both_directions)
{
    static const int sizes[] = {1, 2, 7, 8, 9, 31, 32, 33, 127, 128, 129, 200};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        me_arena arena;
        me_arena_init(&arena);
        const int64_t n = sizes[k], dim = 13;
        metric_set set = data_set(&arena, n, dim);
        if (n > 30) { /* ties and near-ties among them */
            memcpy((float *)set.generated + 5 * dim, set.generated + 9 * dim, (size_t)dim * 4);
            memcpy((float *)set.target + 20 * dim, set.target + 3 * dim, (size_t)dim * 4);
            memcpy((float *)set.generated + 28 * dim, set.generated + 2 * dim, (size_t)dim * 4);
            ((float *)set.generated)[28 * dim] += 1e-6f;
        }
        double *q = ME_NEW_ARRAY(&arena, n * dim, double),
               *g = ME_NEW_ARRAY(&arena, n * dim, double);
        double *s = ME_NEW_ARRAY(&arena, n * n, double);
        metric_unit(q, set.target, NULL, "target", n, dim, NULL);
        metric_unit(g, set.generated, NULL, "generated", n, dim, NULL);
        cr_assert_eq(metric_dots(s, q, g, n, n, dim, NULL), ME_OK);
        metric_groups groups;
        cr_assert_eq(metric_group(&groups, &arena, set.target, q, n, dim, NULL), ME_OK);
        metric_rank *rows = ME_NEW_ARRAY(&arena, n, metric_rank),
                    *columns = ME_NEW_ARRAY(&arena, n, metric_rank);
        metric_rank *want = ME_NEW_ARRAY(&arena, n, metric_rank);
        cr_assert_eq(metric_rank_units(rows, columns, q, g, dim, NULL, n, groups.group, NULL),
                     ME_OK);
        for (int transposed = 0; transposed < 2; transposed++) {
            cr_assert_eq(metric_rank_matrix(want, s, n, transposed, groups.group, NULL), ME_OK);
            const metric_rank *have = transposed ? columns : rows;
            for (int64_t i = 0; i < n; i++) {
                cr_expect_eq(have[i].similarity, want[i].similarity);
                cr_expect_eq(have[i].above, want[i].above, "n %d, query %d", (int)n, (int)i);
                cr_expect_eq(have[i].equal, want[i].equal, "n %d, query %d", (int)n, (int)i);
                cr_expect_eq(have[i].near_above, want[i].near_above);
                cr_expect_eq(have[i].near_below, want[i].near_below);
                cr_expect_eq(have[i].gap, want[i].gap, "n %d, query %d: %g %g", (int)n, (int)i,
                             have[i].gap, want[i].gap);
                cr_expect_eq(have[i].same_best, want[i].same_best);
                cr_expect_eq(have[i].same_above, want[i].same_above, "n %d, query %d", (int)n,
                             (int)i);
                cr_expect_eq(have[i].same_equal, want[i].same_equal, "n %d, query %d", (int)n,
                             (int)i);
            }
        }
        me_arena_release(&arena);
    }
}

/* What fills a gallery, to try what single precision cannot tell apart. */
enum { APART, SOME_ALIKE, ALL_ALIKE, ALL_NEARLY_ALIKE, KINDS };

static void fill_gallery(float *g, int64_t n, int64_t dim, int kind)
{
    for (int64_t i = 1; i < n; i++) {
        const int64_t from = kind == SOME_ALIKE ? i / 3 * 3 : 0;
        if (kind == APART || (kind == SOME_ALIKE && i % 5 == 0)) continue;
        memcpy(g + i * dim, g + from * dim, (size_t)dim * sizeof *g);
        if (kind == ALL_NEARLY_ALIKE) g[i * dim + i % dim] += 3e-7f * (float)(i % 11);
    }
}

Test(rank, a_look_in_single_precision_changes_no_rank)
{
    static const int sizes[] = {63, 64, 65, 200};
    for (int k = 0; k < 4 * KINDS; k++) {
        me_arena arena;
        me_arena_init(&arena);
        const int64_t n = sizes[k % 4], dim = 24;
        const metric_set set = data_set(&arena, n, dim);
        fill_gallery((float *)set.generated, n, dim, k / 4);
        double *q = ME_NEW_ARRAY(&arena, n * dim, double),
               *g = ME_NEW_ARRAY(&arena, n * dim, double);
        double *s = ME_NEW_ARRAY(&arena, n * n, double);
        metric_unit(q, set.target, NULL, "target", n, dim, NULL);
        metric_unit(g, set.generated, NULL, "generated", n, dim, NULL);
        cr_assert_eq(metric_dots(s, q, g, n, n, dim, NULL), ME_OK);
        metric_rank *have = ME_NEW_ARRAY(&arena, n, metric_rank),
                    *want = ME_NEW_ARRAY(&arena, n, metric_rank);
        cr_assert_eq(metric_rank_matrix(want, s, n, 0, NULL, NULL), ME_OK);
        cr_assert_eq(metric_rank_units(have, NULL, q, g, dim, NULL, n, NULL, NULL), ME_OK);
        for (int64_t i = 0; i < n; i++) {
            cr_expect_eq(have[i].similarity, want[i].similarity);
            cr_expect_eq(have[i].above, want[i].above, "kind %d, n %d, query %d", k / 4, (int)n,
                         (int)i);
            cr_expect_eq(have[i].equal, want[i].equal);
            cr_expect_eq(have[i].near_above, want[i].near_above);
            cr_expect_eq(have[i].near_below, want[i].near_below);
            cr_expect_eq(have[i].gap, want[i].gap, "kind %d, n %d, query %d: %g %g", k / 4, (int)n,
                         (int)i, have[i].gap, want[i].gap);
            cr_expect_eq(have[i].same_above, want[i].same_above);
            cr_expect_eq(have[i].same_equal, want[i].same_equal);
        }
        me_arena_release(&arena);
    }
}

Test(dots, every_kernel_and_thread_count_gives_the_same_bits)
{
    me_arena arena;
    me_arena_init(&arena);
    const int64_t n = 45, m = 61, dim = 37;
    double *a = ME_NEW_ARRAY(&arena, n * dim, double), *b = ME_NEW_ARRAY(&arena, m * dim, double);
    float *x = data_normal(&arena, n + m, dim, 3);
    for (int64_t i = 0; i < n * dim; i++) a[i] = x[i];
    for (int64_t i = 0; i < m * dim; i++) b[i] = x[n * dim + i];
    double *out = ME_NEW_ARRAY(&arena, n * m, double);
    for (int threads = 1; threads <= 5; threads += 2) {
        omp_set_num_threads(threads);
        cr_assert_eq(metric_dots(out, a, b, n, m, dim, NULL), ME_OK);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < m; j++)
                cr_assert_eq(out[i * m + j], metric_dots_one(a + i * dim, b + j * dim, dim));
    }
    dots_panels panels;
    cr_assert(metric_dots_pack(&panels, b, NULL, m, dim));
    const double *rows[DOTS_ROWS];
    for (int r = 0; r < DOTS_ROWS; r++) rows[r] = a + r * dim;
    int kernels = 0;
    for (const dots_kernel *k; (k = metric_dots_kernel_at(kernels)); kernels++) {
        double strip[DOTS_ROWS * DOTS_STRIP];
        k->strip(strip, DOTS_STRIP, rows, &panels, 8, 6);
        for (int r = 0; r < DOTS_ROWS; r++)
            for (int j = 0; j < 48; j++)
                cr_assert_eq(strip[r * DOTS_STRIP + j],
                             metric_dots_one(rows[r], b + (8 + j) * dim, dim), "%s", k->name);
        double gap = INFINITY;
        int close = 0;
        int64_t above = k->above(&gap, &close, strip, 45, strip[3]), want = 0;
        double least = INFINITY;
        for (int j = 0; j < 45; j++) {
            want += strip[j] > strip[3];
            if (strip[j] != strip[3]) least = fmin(least, fabs(strip[j] - strip[3]));
        }
        cr_assert_eq(above, want, "%s", k->name);
        cr_assert_eq(gap, least, "%s", k->name);
        cr_assert_eq(close, 1, "%s: the value itself is a tie", k->name);
    }
    cr_assert_geq(kernels, 1);
    metric_dots_unpack(&panels);
    me_arena_release(&arena);
}

Test(groups, identical_and_nearly_identical_items_are_found)
{
    me_arena arena;
    me_arena_init(&arena);
    const int64_t n = 60, dim = 16;
    float *x = data_normal(&arena, n, dim, 5);
    memcpy(x + 40 * dim, x + 7 * dim, (size_t)dim * sizeof *x);
    memcpy(x + 41 * dim, x + 7 * dim, (size_t)dim * sizeof *x);
    for (int64_t k = 0; k < dim; k++)
        x[50 * dim + k] = x[12 * dim + k] * (1 + 1e-4f * (float)(k % 3));
    for (int64_t k = 0; k < dim; k++)
        x[51 * dim + k] = x[13 * dim + k] * (1 + 0.1f * (float)(k % 3));
    double *u = ME_NEW_ARRAY(&arena, n * dim, double);
    metric_unit(u, x, NULL, "target", n, dim, NULL);
    metric_groups g;
    cr_assert_eq(metric_group(&g, &arena, x, u, n, dim, NULL), ME_OK);
    cr_assert_eq(g.identical, 1);
    cr_assert_eq(g.identical_items, 3);
    cr_assert_eq(g.group[40], 7);
    cr_assert_eq(g.group[41], 7);
    cr_assert_eq(g.group[50], 50);
    cr_assert_eq(g.near, 2);
    cr_assert_eq(g.near_items, 5);
    cr_assert_eq(g.near_group[50], 12);
    cr_assert_eq(g.near_group[51], 51);
    me_arena_release(&arena);
}

Test(groups, all_items_alike_are_one_group)
{
    me_arena arena;
    me_arena_init(&arena);
    float x[50 * 4];
    for (int i = 0; i < 200; i++) x[i] = (float)(i % 4) + 1;
    double u[200];
    metric_unit(u, x, NULL, "target", 50, 4, NULL);
    metric_groups g;
    cr_assert_eq(metric_group(&g, &arena, x, u, 50, 4, NULL), ME_OK);
    cr_assert_eq(g.identical, 1);
    cr_assert_eq(g.identical_items, 50);
    me_arena_release(&arena);
}

Test(groups, any_identical_reference_counts_as_right)
{
    /* Query 0 and 1 are the same motion; item 1 is the better answer to both, item 2 beats item 0
     * only. */
    const double s[9] = {.5, .9, .7, .5, .9, .7, .1, .2, .3};
    const int64_t group[3] = {0, 0, 2};
    metric_rank r[3];
    cr_assert_eq(metric_rank_matrix(r, s, 3, false, group, NULL), ME_OK);
    cr_assert_eq(metric_position(&r[0]), 2);
    for (int i = 0; i < 3; i++) cr_assert_eq(metric_position_same(&r[i]), 0);
}
