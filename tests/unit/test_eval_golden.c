/* The portable end-to-end case, spec evaluation 10.7: from files to every printed number. */
#include "tests/unit/eval_golden.h"

static const double to_source[GOLDEN_ITEMS] = {
    23, 34, 36, 9,  37, 18, 4.5, 2.5, 13, 38, 31, 21, 24, 35, 14, 13, 11, 8, 4,  32,
    22, 23, 12, 37, 6,  22, 11,  32,  15, 27, 11, 3,  36, 32, 35, 3,  5,  9, 13, 32};
static const double to_target[12] = {0, 0, 0, 1, 0, 0, 0.5, 10.5, 0, 3, 1, 2};

static void expect_scores(const metric_block *b, const double *wanted, double tolerance)
{
    static const char *const labels[] = {"R@1", "R@2", "R@3", "R@5", "R@10", "MedR", "AvgR"};
    cr_assert_not_null(b);
    for (int i = 0; i < 7; i++)
        if (wanted[i] >= 0)
            cr_expect_float_eq(metric_block_value(b, labels[i]), wanted[i], tolerance,
                               "%s is %.6f, not %.6f", labels[i], metric_block_value(b, labels[i]),
                               wanted[i]);
}

/* Of the first item: the first elements of its source's, target's and generated embedding, and
 * their norms. */
static void expect_embeddings(const eval_run *r, const double first[3][5], const double norm[3])
{
    for (int role = EVAL_SOURCE; role <= EVAL_GENERATED; role++) {
        const float *e = r->embedding[role];
        double sum = 0;
        for (int i = 0; i < 256; i++) sum += (double)e[i] * (double)e[i];
        for (int i = 0; i < 5; i++)
            cr_expect_float_eq(e[i], first[role][i], 1e-5, "role %d, %d: %.7f", role, i,
                               (double)e[i]);
        cr_expect_float_eq(sqrt(sum), norm[role], 1e-5);
    }
}

static void run(eval_run *r, const eval_options *o)
{
    me_err err = {0};
    cr_assert_eq(eval_run_open(r, o, NULL, &err), ME_OK, "%s", err.msg);
}

/* The case's files as they are by now. */
static void run_golden(eval_run *r, const golden *g, tmr_gelu gelu, bool both)
{
    eval_options o = golden_options(g);
    o.gelu = gelu;
    o.both_gelu = both;
    run(r, &o);
}

static void close_golden(eval_run *r, golden *g)
{
    eval_run_close(r);
    golden_close(g);
}

Test(eval_golden, the_hash_gives_the_stated_inputs)
{
    golden g = {0};
    const float *tokens = golden_s(&g.arena, 0, 3, 1.0, 0),
                *mean = golden_s(&g.arena, 200, 3, 0.1, 0);
    const float *rots = golden_s(&g.arena, 1000, 3, 0.6, 0);
    cr_expect_float_eq(tokens[0], 0.14679515, 1e-8);
    cr_expect_float_eq(tokens[2], -0.61547816, 1e-8);
    cr_expect_float_eq(mean[1], 0.07360177, 1e-8);
    cr_expect_float_eq(rots[2], 0.3103138, 1e-7);
    me_arena_release(&g.arena);
}

Test(eval_golden, erf_gives_the_reference_embeddings_ranks_and_scores)
{
    golden g;
    golden_open(&g, 1000);
    eval_run r;
    run_golden(&r, &g, TMR_GELU_ERF, false);
    cr_expect_eq(r.selected.n, 40);
    cr_expect_eq(r.selected.extra_n, 1);
    cr_expect_str_eq(r.selected.extra[0], "999999");
    expect_embeddings(
        &r,
        (const double[3][5]){{-1.0178763, 1.3008722, -0.4715613, -0.6268122, -1.4834370},
                             {-0.7085629, 1.6020963, -0.1798272, -0.8954941, -1.2217845},
                             {-0.8848787, 1.7646816, 0.0359460, -0.7825579, -1.3635424}},
        (const double[3]){16.3414049, 16.3362377, 16.2903408});
    const metric_block *target = r.evaluation.full[METRIC_TO_TARGET],
                       *source = r.evaluation.full[METRIC_TO_SOURCE];
    for (int i = 0; i < GOLDEN_ITEMS; i++) {
        cr_expect_eq(metric_position(&target->rank[i]), i < 12 ? to_target[i] : 0, "item %d", i);
        cr_expect_eq(metric_position(&source->rank[i]), to_source[i], "item %d", i);
    }
    cr_expect_float_eq(target->rank[0].similarity, 0.9866108, 2e-6);
    cr_expect_float_eq(source->rank[0].similarity, 0.9714390, 2e-6);
    expect_scores(source, (double[]){0, 0, 2.5, 12.5, 25, 20.5, 20.85}, 1e-9);
    expect_scores(target, (double[]){87.5, 92.5, 95, 97.5, 97.5, 1, 1.45}, 1e-9);
    expect_scores(r.evaluation.batch32[METRIC_TO_SOURCE],
                  (double[]){0, 0, 3.125, 15.625, 37.5, 15, 16.69}, 5e-3);
    expect_scores(r.evaluation.batch32[METRIC_TO_TARGET],
                  (double[]){87.5, 90.625, 93.75, 96.875, 100, 1, 1.44}, 5e-3);
    cr_expect_eq(r.evaluation.batches.dropped, 8);
    close_golden(&r, &g);
}

Test(eval_golden, tanh_gives_its_own_embeddings_and_both_says_what_differs)
{
    golden g;
    golden_open(&g, 1000);
    eval_run r;
    run_golden(&r, &g, TMR_GELU_TANH, true);
    expect_embeddings(
        &r,
        (const double[3][5]){{-1.0177569, 1.3006360, -0.4717138, -0.6267847, -1.4837189},
                             {-0.7084557, 1.6017660, -0.1799097, -0.8956177, -1.2222103},
                             {-0.8848511, 1.7642771, 0.0358033, -0.7825290, -1.3638994}},
        (const double[3]){16.3414367, 16.3362842, 16.2904005});
    cr_expect_float_eq(metric_block_value(r.evaluation.full[METRIC_TO_SOURCE], "AvgR"), 20.88,
                       5.1e-3);
    cr_expect_float_eq(metric_block_value(r.evaluation.batch32[METRIC_TO_SOURCE], "AvgR"), 16.72,
                       5e-3);
    cr_expect_eq(r.gelu.full[METRIC_TO_TARGET], 0);
    cr_expect_eq(r.gelu.full[METRIC_TO_SOURCE], 1);
    cr_expect(r.gelu.similarity > 1e-6 && r.gelu.similarity < 1e-4);
    close_golden(&r, &g);
}

Test(eval_golden, thirty_three_files_make_one_batch_and_a_smaller_gallery)
{
    golden g;
    golden_open(&g, 1000);
    int order[GOLDEN_ITEMS];
    for (int i = 0; i < GOLDEN_ITEMS; i++) order[i] = 37 * i % 1000;
    for (int i = 0; i < GOLDEN_ITEMS; i++) {
        int below = 0;
        for (int j = 0; j < GOLDEN_ITEMS; j++) below += order[j] < order[i];
        if (below < 33) continue;
        cr_assert_eq(unlink(me_arena_printf(&g.arena, "%s/%06d.npy", g.samples, order[i])), 0);
    }
    eval_run r;
    run_golden(&r, &g, TMR_GELU_ERF, false);
    cr_expect_eq(r.selected.n, 33);
    cr_expect_eq(r.selected.missing_n, 7);
    expect_scores(r.evaluation.batch32[METRIC_TO_TARGET],
                  (double[]){84.375, 90.625, 93.75, -1, -1, -1, 1.44}, 5e-3);
    expect_scores(r.evaluation.full[METRIC_TO_TARGET],
                  (double[]){84.8485, 90.9091, 93.9394, -1, -1, -1, 1.45}, 5e-3);
    close_golden(&r, &g);
}

Test(eval_golden, one_frame_generations_are_scored)
{
    golden g;
    golden_open(&g, 1);
    eval_run r;
    run_golden(&r, &g, TMR_GELU_ERF, false);
    expect_scores(r.evaluation.full[METRIC_TO_TARGET], (double[]){5, 5, 7.5, -1, -1, -1, 18.73},
                  5.1e-3);
    close_golden(&r, &g);
}

Test(eval_golden, bits_do_not_depend_on_threads_or_batch_size)
{
    golden g;
    golden_open(&g, 1000);
    eval_options o = golden_options(&g);
    eval_run a, b;
    o.threads = 1;
    run(&a, &o);
    o.threads = 3;
    o.batch_clips = 7;
    run(&b, &o);
    for (int role = EVAL_SOURCE; role <= EVAL_GENERATED; role++)
        cr_expect_arr_eq(a.embedding[role], b.embedding[role], 40 * 256 * sizeof(float));
    eval_run_close(&a);
    eval_run_close(&b);
    golden_close(&g);
}
