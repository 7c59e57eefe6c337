/* Protocols: who meets whom, and what the whole evaluation gives. */
#include "tests/unit/metrics_data.h"

#include <omp.h>
#include <stdlib.h>

#include "metrics/metrics.h"
#include "metrics/stats.h"

typedef struct shuffle_case {
    int n, first[10], last[10];
    int64_t sum;
} shuffle_case;

/* Spec evaluation 10.4. */
static const shuffle_case shuffles[] = {
    {10, {2, 8, 4, 9, 1, 6, 7, 3, 0, 5}, {2, 8, 4, 9, 1, 6, 7, 3, 0, 5}, 230},
    {32, {11, 22, 10, 2, 16, 14, 28, 26, 20, 13}, {29, 19, 9, 7, 27, 3, 0, 21, 15, 12}, 7898},
    {33, {11, 20, 24, 17, 2, 25, 26, 16, 10, 32}, {4, 18, 21, 19, 9, 7, 31, 27, 3, 0}, 8303},
    {74, {50, 54, 22, 43, 28, 26, 65, 51, 34, 7}, {58, 12, 36, 21, 9, 70, 67, 64, 47, 44}, 97000},
    {100, {26, 86, 2, 55, 75, 93, 16, 73, 54, 95}, {87, 36, 21, 83, 9, 96, 67, 64, 47, 44}, 257463},
    {196,
     {83, 12, 33, 113, 171, 134, 163, 124, 74, 18},
     {87, 36, 21, 9, 103, 67, 192, 117, 47, 172},
     1887557},
    {393,
     {113, 281, 68, 155, 329, 356, 229, 334, 186, 341},
     {211, 9, 359, 195, 251, 323, 192, 117, 47, 172},
     15174740},
    {506,
     {329, 371, 219, 403, 78, 15, 487, 340, 310, 102},
     {211, 9, 359, 195, 251, 323, 192, 117, 47, 172},
     32317018},
    {1013,
     {447, 311, 85, 548, 204, 358, 1, 818, 474, 299},
     {723, 9, 359, 707, 763, 835, 192, 629, 559, 684},
     259173724},
};

Test(batches, the_shuffle_is_numpys_at_every_size)
{
    for (size_t k = 0; k < sizeof shuffles / sizeof *shuffles; k++) {
        const shuffle_case *c = &shuffles[k];
        me_arena arena;
        me_arena_init(&arena);
        metric_batches b;
        cr_assert_eq(metric_batches_make(&b, &arena, data_keys(&arena, c->n), c->n, 32, 0, NULL),
                     ME_OK);
        cr_expect_eq(b.batches, c->n / 32);
        cr_expect_eq(b.dropped, c->n % 32);
        int64_t sum = 0;
        for (int64_t i = 0; i < c->n; i++) sum += (i + 1) * b.index[i];
        cr_expect_eq(sum, c->sum, "n %d", c->n);
        for (int i = 0; i < 10; i++) {
            cr_expect_eq(b.index[i], c->first[i], "n %d", c->n);
            cr_expect_eq(b.index[c->n - 10 + i], c->last[i], "n %d", c->n);
        }
        me_arena_release(&arena);
    }
}

Test(batches, file_order_does_not_matter_and_keys_sort_as_bytes)
{
    me_arena arena;
    me_arena_init(&arena);
    /* "10" < "9" < "a" < "é" as bytes. */
    const char *one[40], *other[40];
    for (int i = 0; i < 40; i++)
        one[i] = i == 5 ? "\xc3\xa9" : i == 6 ? "9" : me_arena_printf(&arena, "%d", i + 10);
    for (int i = 0; i < 40; i++) other[i] = one[39 - i];
    metric_batches a, b;
    cr_assert_eq(metric_batches_make(&a, &arena, one, 40, 32, 0, NULL), ME_OK);
    cr_assert_eq(metric_batches_make(&b, &arena, other, 40, 32, 0, NULL), ME_OK);
    for (int i = 0; i < 40; i++) cr_assert_str_eq(one[a.index[i]], other[b.index[i]]);
    /* Spec evaluation 10.7, N = 40: slot 14 holds sorted position 39, slot 13
     * position 2. */
    cr_assert_str_eq(one[a.index[14]], "\xc3\xa9");
    cr_assert_str_eq(one[a.index[13]], "12");
    int nine = -1;
    for (int i = 0; i < 40; i++)
        if (strcmp(one[a.index[i]], "9") == 0) nine = i;
    cr_assert_eq(nine, 37, "\"9\" sorts behind all two-digit numbers: position 38, slot 37");
    me_arena_release(&arena);
}

static void check(const metric_block *b, double r1, double r2, double r3, double r5, double r10,
                  double med, double avg)
{
    const double want[7] = {r1, r2, r3, r5, r10, med, avg};
    static const char *const labels[7] = {"R@1", "R@2", "R@3", "R@5", "R@10", "MedR", "AvgR"};
    cr_assert_not_null(b);
    cr_assert_eq(b->scores, 7);
    for (int i = 0; i < 7; i++)
        cr_expect_float_eq(metric_block_value(b, labels[i]), want[i], 1e-12, "%s: %.10g, not %.10g",
                           labels[i], metric_block_value(b, labels[i]), want[i]);
}

Test(evaluate, perfect_answers_score_perfectly)
{
    static const int sizes[] = {1, 31, 32, 33, 64, 70};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        me_arena arena;
        me_arena_init(&arena);
        metric_set set = data_set(&arena, sizes[k], 24);
        set.generated = set.target;
        metric_options o = data_quick();
        metric_evaluation e = data_evaluate(&arena, &set, &o);
        check(e.full[METRIC_TO_TARGET], 100, 100, 100, 100, 100, 1, 1);
        check(e.full[METRIC_TARGET_TRANSPOSED], 100, 100, 100, 100, 100, 1, 1);
        if (sizes[k] < 32) {
            cr_assert_null(e.batch32[METRIC_TO_TARGET]);
            cr_assert(strstr(e.no_batches, "fewer than 32"), "%s", e.no_batches);
            cr_assert_eq(e.batches.batches, 0);
        } else {
            check(e.batch32[METRIC_TO_TARGET], 100, 100, 100, 100, 100, 1, 1);
            cr_assert_null(e.no_batches);
            cr_assert_eq(e.batches.dropped, sizes[k] % 32);
        }
        me_arena_release(&arena);
    }
}

Test(evaluate, ground_truth_with_shared_targets_is_not_perfect_but_its_duplicate_aware_score_is)
{
    /* Spec evaluation 10.6: 40 items, one pair and one group of four identical targets. */
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 40, 24);
    float *target = (float *)set.target;
    memcpy(target + 5 * 24, target + 3 * 24, 24 * sizeof *target);
    for (int i = 9; i < 12; i++) memcpy(target + i * 24, target + 8 * 24, 24 * sizeof *target);
    set.generated = target;
    metric_options o = data_quick();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    const metric_block *b = e.full[METRIC_TO_TARGET];
    check(b, 90, 100, 100, 100, 100, 1, 1.175);
    cr_assert_eq(e.target_groups.identical, 2);
    cr_assert_eq(e.target_groups.identical_items, 6);
    for (int c = 0; c < b->scores; c++)
        cr_expect_eq(b->score[c].same, b->score[c].label[0] == 'R' ? 100 : 1, "%s",
                     b->score[c].label);
    me_arena_release(&arena);
}

Test(evaluate, one_motion_for_all_scores_zero_and_the_middle_rank)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 33, 8);
    float *generated = ME_NEW_ARRAY(&arena, 33 * 8, float);
    for (int i = 0; i < 33 * 8; i++) generated[i] = set.generated[i % 8];
    set.generated = generated;
    metric_options o = data_quick();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    check(e.full[METRIC_TO_TARGET], 0, 0, 0, 0, 0, 17, 17);
    check(e.full[METRIC_TO_SOURCE], 0, 0, 0, 0, 0, 17, 17);
    check(e.batch32[METRIC_TO_TARGET], 0, 0, 0, 0, 0, 16.5, 16.5);
    /* Chance is the same: what says nothing scores what a guess scores, at R@k what a tie policy
     * leaves. */
    cr_assert_eq(metric_chance("AvgR", 33), 17);
    cr_assert_eq(metric_chance("MedR", 32), 16.5);
    cr_assert_eq(metric_chance("R@1", 32), 3.125);
    cr_assert_eq(metric_chance("R@10", 5), 100);
    cr_assert(isnan(metric_chance("fid", 5)));
    me_arena_release(&arena);
}

Test(evaluate, fewer_items_than_k_make_r_at_k_complete)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 3, 6);
    metric_options o = data_quick();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    cr_assert_eq(metric_block_value(e.full[METRIC_TO_SOURCE], "R@3"), 100);
    cr_assert_eq(metric_block_value(e.full[METRIC_TO_SOURCE], "R@10"), 100);
    cr_assert(isnan(metric_block_value(e.full[METRIC_TO_SOURCE], "R@7")));
    me_arena_release(&arena);
}

Test(evaluate, nothing_to_score_is_an_error)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = {.n = 0, .dim = 4};
    metric_options o = metric_options_default();
    metric_evaluation e;
    me_err err = {0};
    cr_assert_eq(metric_evaluate(&e, &arena, &set, &o, &err), ME_EDATA);
    cr_assert(strstr(err.msg, "no sample"), "%s", err.msg);
    me_arena_release(&arena);
}

Test(evaluate, order_of_the_set_changes_no_rank)
{
    me_arena arena;
    me_arena_init(&arena);
    const int64_t n = 70, dim = 12;
    metric_set set = data_set(&arena, n, dim), turned = set;
    const char **keys = ME_NEW_ARRAY(&arena, n, const char *);
    float *x[3];
    const float *from[3] = {set.source, set.target, set.generated};
    for (int k = 0; k < 3; k++) {
        x[k] = ME_NEW_ARRAY(&arena, n * dim, float);
        for (int64_t i = 0; i < n; i++)
            memcpy(x[k] + i * dim, from[k] + (n - 1 - i) * dim, (size_t)dim * sizeof(float));
    }
    for (int64_t i = 0; i < n; i++) keys[i] = set.keys[n - 1 - i];
    turned = (metric_set){n, dim, keys, x[0], x[1], x[2]};
    metric_options o = data_quick();
    metric_evaluation a = data_evaluate(&arena, &set, &o), b = data_evaluate(&arena, &turned, &o);
    for (int d = 0; d < METRIC_DIRECTIONS; d++) {
        for (int64_t i = 0; i < n; i++) {
            cr_assert_eq(metric_position(&a.full[d]->rank[i]),
                         metric_position(&b.full[d]->rank[n - 1 - i]));
            /* Batches go by sorted keys: the same items meet. */
            cr_assert_eq(a.batch32[d]->rank[i].equal, b.batch32[d]->rank[n - 1 - i].equal);
            cr_assert_eq(a.batch32[d]->rank[i].above, b.batch32[d]->rank[n - 1 - i].above);
        }
        cr_assert_eq(metric_block_value(a.batch32[d], "AvgR"),
                     metric_block_value(b.batch32[d], "AvgR"));
    }
    me_arena_release(&arena);
}

Test(evaluate, transposed_equals_exchanging_queries_and_gallery)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 66, 10), swapped = set;
    swapped.target = set.generated;
    swapped.generated = set.target;
    metric_options o = data_quick();
    metric_evaluation a = data_evaluate(&arena, &set, &o), b = data_evaluate(&arena, &swapped, &o);
    const char *labels[] = {"R@1", "R@5", "MedR", "AvgR"};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(metric_block_value(a.full[METRIC_TARGET_TRANSPOSED], labels[i]),
                     metric_block_value(b.full[METRIC_TO_TARGET], labels[i]));
        cr_assert_eq(metric_block_value(a.batch32[METRIC_TARGET_TRANSPOSED], labels[i]),
                     metric_block_value(b.batch32[METRIC_TO_TARGET], labels[i]));
    }
    cr_assert_neq(metric_block_value(a.full[METRIC_TARGET_TRANSPOSED], "AvgR"),
                  metric_block_value(a.full[METRIC_TO_TARGET], "AvgR"));
    me_arena_release(&arena);
}

Test(evaluate, threads_change_nothing)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 150, 20);
    metric_options o = metric_options_default();
    o.resamples = 100;
    o.other_shuffles = 3;
    metric_evaluation want = {0};
    for (int threads = 1; threads <= 4; threads++) {
        omp_set_num_threads(threads);
        metric_evaluation e = data_evaluate(&arena, &set, &o);
        if (threads == 1) want = e;
        for (int d = 0; d < METRIC_DIRECTIONS; d++) {
            for (int c = 0; c < e.full[d]->scores; c++) {
                const metric_score *x = &e.batch32[d]->score[c], *y = &want.batch32[d]->score[c];
                cr_assert_eq(memcmp(&x->value, &y->value,
                                    sizeof(metric_score) - offsetof(metric_score, value)),
                             0, "%s with %d threads", x->label, threads);
                x = &e.full[d]->score[c];
                y = &want.full[d]->score[c];
                cr_assert_eq(memcmp(&x->value, &y->value,
                                    sizeof(metric_score) - offsetof(metric_score, value)),
                             0, "%s with %d threads", x->label, threads);
            }
        }
        for (int c = 0; c < e.corpus; c++)
            cr_assert_eq(
                memcmp(&e.corpus_value[c].value, &want.corpus_value[c].value, sizeof(double)), 0,
                "%s", e.corpus_value[c].label);
    }
    me_arena_release(&arena);
}

Test(evaluate, batch_values_are_means_of_unrounded_batches)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 100, 6);
    metric_options o = data_quick();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    const metric_block *b = e.batch32[METRIC_TO_SOURCE];
    double medians = 0, hits = 0;
    for (int k = 0; k < 3; k++) {
        double c[32], batch_hits = 0;
        for (int i = 0; i < 32; i++) {
            c[i] = metric_position(&b->rank[e.batches.index[32 * k + i]]) + 1;
            batch_hits += c[i] - 1 < 5;
        }
        medians += metric_median(c, 32);
        hits += 100 * batch_hits / 32;
    }
    cr_assert_float_eq(metric_block_value(b, "MedR"), medians / 3, 1e-12);
    cr_assert_float_eq(metric_block_value(b, "R@5"), hits / 3, 1e-12);
    for (int i = 96; i < 100; i++)
        cr_assert_eq(b->rank[e.batches.index[i]].equal, 0, "dropped items have no rank");
    me_arena_release(&arena);
}

Test(evaluate, near_ties_widen_the_interval_and_nothing_else_does)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 40, 16);
    float *generated = ME_NEW_ARRAY(&arena, 40 * 16, float);
    memcpy(generated, set.target, 40 * 16 * sizeof *generated);
    memcpy(generated + 7 * 16, generated + 4 * 16, 16 * sizeof *generated);
    generated[7 * 16] *= 1 + 2e-7f; /* a bit or two beside item 4's */
    set.generated = generated;
    metric_options o = data_quick();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    const metric_block *b = e.full[METRIC_TO_TARGET];
    cr_assert_geq(b->near_pairs, 1);
    cr_assert(b->near_gap > 0 && b->near_gap < METRIC_NEAR_TIE, "%g", b->near_gap);
    int widened = 0;
    for (int c = 0; c < b->scores; c++) {
        const metric_score *s = &b->score[c];
        cr_assert(s->tie_lo <= s->value && s->value <= s->tie_hi, "%s", s->label);
        widened += s->tie_lo < s->tie_hi;
    }
    cr_assert_geq(widened, 1);
    const metric_block *clear = e.full[METRIC_TO_SOURCE];
    for (int c = 0; c < clear->scores && clear->near_pairs == 0; c++)
        cr_assert_eq(clear->score[c].tie_lo, clear->score[c].tie_hi);
    me_arena_release(&arena);
}

Test(evaluate, other_shuffles_scatter_about_the_first)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 80, 6);
    metric_options o = data_quick();
    o.other_shuffles = 20;
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    const metric_block *b = e.batch32[METRIC_TO_TARGET];
    for (int c = 0; c < b->scores; c++) {
        cr_assert(isfinite(b->score[c].shuffles_mean));
        cr_assert_leq(fabs(b->score[c].shuffles_mean - b->score[c].value),
                      6 * b->score[c].shuffles_sd + 1e-9, "%s", b->score[c].label);
    }
    cr_assert_gt(b->score[0].shuffles_sd, 0);
    cr_assert(isnan(e.full[METRIC_TO_TARGET]->score[0].shuffles_mean));
    me_arena_release(&arena);
}

Test(evaluate, without_sources_only_targets_are_scored)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 40, 6);
    set.source = NULL;
    metric_options o = data_quick();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    cr_assert_not_null(e.full[METRIC_TO_TARGET]);
    cr_assert_null(e.full[METRIC_TO_SOURCE]);
    me_arena_release(&arena);
}

Test(registry, every_metric_says_what_it_is_and_emits_what_it_says)
{
    int n = 0;
    for (; metric_list[n]; n++) {
        const metric *m = metric_list[n];
        cr_assert(m->name && m->unit && m->doc && m->cite && m->run, "metric %d", n);
        cr_assert_gt(strlen(m->doc), 40, "%s", m->name);
        cr_assert_gt(m->needs, 0, "%s", m->name);
        cr_assert_eq(metric_find(m->name), m);
        for (int i = 0; i < n; i++) cr_assert_str_neq(metric_list[i]->name, m->name);
        me_arena arena;
        me_arena_init(&arena);
        metric_set set = data_set(&arena, 40, 5);
        double position[40];
        int64_t index[40];
        for (int i = 0; i < 40; i++) position[i] = index[i] = i;
        metric_input in = {.n = 40,
                           .position = position,
                           .dim = 5,
                           .target = set.target,
                           .generated = set.generated,
                           .splits = 2,
                           .batch_used = 32,
                           .batch_index = index};
        metric_sink sink = {.arena = &arena, .n = 40};
        me_err err = {0};
        cr_assert_eq(m->run(&sink, m, &in, &err), ME_OK, "%s: %s", m->name, err.msg);
        cr_assert_geq(sink.columns, 1, "%s", m->name);
        for (int c = 0; c < sink.columns; c++) {
            cr_assert_eq(sink.column[c].aggregate, m->aggregate);
            cr_assert_eq(sink.column[c].values == NULL, m->aggregate == METRIC_CORPUS);
        }
        me_arena_release(&arena);
    }
    cr_assert_geq(n, 6);
    cr_assert_null(metric_find("nonsense"));
}

Test(registry, rank_metrics_of_the_golden_cases)
{
    /* Spec evaluation 10.6 B and D: positions, then R@1, R@2, R@3, MedR, AvgR. */
    static const struct {
        int n;
        double c[5], want[5];
    } cases[] = {{4, {0, 2, 2, 3}, {25, 25, 75, 3, 2.75}},
                 {4, {.5, 0, 0, 0}, {100, 100, 100, 1, 1.125}},
                 {4, {1, 0, 0, 0}, {75, 100, 100, 1, 1.25}},
                 {5, {2, 2, .5, 3, 0}, {40, 40, 80, 3, 2.5}},
                 {5, {2, 2, 2, 2, 2}, {0, 0, 100, 3, 3}}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        me_arena arena;
        me_arena_init(&arena);
        metric_sink sink = {.arena = &arena, .n = cases[k].n};
        metric_input in = {.n = cases[k].n, .position = cases[k].c};
        cr_assert_eq(metric_run_all(&sink, &in, METRIC_NEEDS_RANKS, NULL), ME_OK);
        static const int columns[5] = {0, 1, 2, 5, 6};
        double scratch[5];
        for (int i = 0; i < 5; i++) {
            const metric_column *c = &sink.column[columns[i]];
            cr_expect_eq(metric_aggregate_column(c->values, in.n, in.n, c->aggregate, scratch),
                         cases[k].want[i], "case %zu, %s", k, c->label);
        }
        me_arena_release(&arena);
    }
}
