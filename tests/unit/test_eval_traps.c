/* Every row of the traps table: those with a check here on facts made by hand, those that stop a
 * run or are told by a reader on whole runs (spec evaluation 8). */
#include "eval/traps.h"

#include "core/json.h"
#include "metrics/result.h"
#include "tests/unit/eval_golden.h"

static const eval_trap *find(int id)
{
    for (int i = 0; i < eval_trap_count; i++)
        if (eval_traps[i].id == id) return &eval_traps[i];
    cr_assert_fail("no trap %d", id);
    return NULL;
}

typedef struct scene {
    eval_selection selected;
    metric_evaluation evaluation, copy;
    eval_facts facts;
} scene;

/* A complete run of 64 items in which nothing is wrong. */
static void make_scene(scene *s)
{
    *s = (scene){.selected = {.split = "test",
                              .split_known = true,
                              .subset = {.name = "all", .n = 64},
                              .split_n = 64,
                              .n = 64,
                              .generated = 64}};
    s->evaluation.n = 64;
    s->evaluation.options.batch32 = true;
    s->evaluation.batches = (metric_batches){.batches = 2, .batch_size = 32};
    s->facts = (eval_facts){.selected = &s->selected,
                            .dataset = "a/b.pth.tar",
                            .generated = "samples",
                            .evaluation = &s->evaluation};
}

static bool applies(int id, const scene *s, const char *part)
{
    char text[480] = "";
    bool yes = find(id)->applies(text, sizeof text, &s->facts);
    if (yes) cr_expect(strstr(text, part), "trap %d: '%s' is not in '%s'", id, part, text);
    return yes;
}

Test(traps, the_table_has_all_32_rows_in_order_with_words)
{
    cr_assert_eq(eval_trap_count, 32);
    for (int i = 0; i < eval_trap_count; i++) {
        cr_expect_eq(eval_traps[i].id, i + 1);
        cr_expect(*eval_traps[i].trap && *eval_traps[i].answer);
    }
}

Test(traps, nothing_is_said_of_a_complete_run_but_its_gelu)
{
    scene s;
    make_scene(&s);
    for (int i = 0; i < eval_trap_count; i++)
        if (eval_traps[i].applies) cr_expect_eq(applies(i + 1, &s, "GELU"), i + 1 == 8);
}

Test(traps, missing_and_extra_samples_are_counted_and_named)
{
    scene s;
    make_scene(&s);
    const char *missing[] = {"000001", "000002"}, *extra[] = {"999999"};
    s.selected.missing = missing;
    s.selected.missing_n = 2;
    s.selected.n = 62;
    cr_expect(applies(2, &s, "2 of 64 keys have no sample (first: 000001)"));
    s.selected.extra = extra;
    s.selected.extra_n = 1;
    cr_expect(applies(2, &s, "1 sample has no key"));
    s.selected.missing_n = 32;
    s.selected.n = 32;
    cr_expect(applies(2, &s, "exactly half"));
    cr_expect_eq(find(2)->level, EVAL_TRAP_WARNING);
}

Test(traps, subsets_are_named_and_legacy_ones_are_not_comparable)
{
    scene s;
    make_scene(&s);
    s.selected.subset = (metric_subset){.name = "file:keys.txt", .n = 10};
    cr_expect(applies(3, &s, "10 of 64"));
    cr_expect_not(applies(5, &s, ""));
    s.selected.subset.name = "legacy506-omnime";
    cr_expect(applies(5, &s, "not the same"));
}

Test(traps, without_a_split_list_all_keys_count_as_test)
{
    scene s;
    make_scene(&s);
    s.selected.split_known = false;
    cr_expect(applies(4, &s, "all 64 keys of b.pth.tar"));
}

Test(traps, duplicates_are_counted)
{
    scene s;
    make_scene(&s);
    s.evaluation.target_groups.identical = 3;
    cr_expect(applies(6, &s, "3 among targets"));
}

Test(traps, the_form_of_gelu_is_said)
{
    scene s;
    make_scene(&s);
    cr_expect(applies(8, &s, "tanh"));
    s.facts.erf = true;
    cr_expect(applies(8, &s, "erf"));
}

Test(traps, the_dropped_remainder_is_counted)
{
    scene s;
    make_scene(&s);
    s.evaluation.batches.dropped = 7;
    cr_expect(applies(9, &s, "other 7 of 64"));
}

Test(traps, other_lengths_are_counted)
{
    scene s;
    make_scene(&s);
    s.facts.cut = 4;
    s.facts.shorter = 2;
    cr_expect(applies(10, &s, "4 generations are longer"));
    cr_expect(applies(10, &s, "2 are shorter"));
}

Test(traps, skewed_rotations_are_measured)
{
    scene s;
    make_scene(&s);
    s.facts.deviation = 0.25;
    cr_expect(applies(11, &s, "0.25"));
}

Test(traps, headings_more_than_ten_degrees_apart_are_a_warning)
{
    scene s;
    make_scene(&s);
    s.facts.heading_source = s.facts.heading_target = 45;
    s.facts.heading_generated = 36;
    cr_expect_not(applies(12, &s, ""));
    s.facts.heading_generated = 0;
    cr_expect(applies(12, &s, "generated 0.0"));
    cr_expect_float_eq(eval_angle_between(179, -179), 2, 1e-12);
    cr_expect_float_eq(eval_angle_between(-10, 350), 0, 1e-12);
}

Test(traps, fewer_than_32_lose_the_batch_protocol_with_the_reason)
{
    scene s;
    make_scene(&s);
    s.evaluation.no_batches = "only 5";
    cr_expect(applies(18, &s, "only 5"));
}

Test(traps, stray_files_are_counted_and_named)
{
    scene s;
    make_scene(&s);
    char name[] = "000001_source.npy", *ignored[] = {name};
    s.facts.ignored = ignored;
    s.facts.ignored_n = 1;
    cr_expect(applies(20, &s, "000001_source.npy"));
}

Test(traps, not_beating_the_copied_source_is_said)
{
    scene s;
    make_scene(&s);
    metric_score ours = {.label = "R@1", .value = 40}, copy = {.label = "R@1", .value = 50};
    metric_block a = {.scores = 1, .score = &ours}, b = {.scores = 1, .score = &copy};
    s.evaluation.full[METRIC_TO_TARGET] = &a;
    s.copy.full[METRIC_TO_TARGET] = &b;
    s.facts.copy_source = &s.copy;
    cr_expect(applies(32, &s, "40.00"));
    ours.value = 60;
    cr_expect_not(applies(32, &s, ""));
    ours.value = 40;
    s.facts.own_baseline = true;
    cr_expect_not(applies(32, &s, ""));
}

Test(traps, checks_write_notes_and_warnings_into_the_result)
{
    scene s;
    me_arena arena = {0};
    make_scene(&s);
    s.selected.split_known = false;
    me_value *doc = metric_result_new(&arena, "x");
    cr_assert_eq(eval_traps_check(doc, &arena, &s.facts, NULL, NULL), ME_OK);
    cr_expect_eq(me_dict_get(doc, "notes")->as.list.length, 1u);
    cr_expect_eq(me_dict_get(doc, "warnings")->as.list.length, 1u);
    me_arena_release(&arena);
}

/* ---- whole runs
 * ------------------------------------------------------------------------------------- */

static void expect_failure(const eval_options *o, me_code code, const char *part)
{
    eval_run r;
    me_err err = {0};
    cr_expect_eq(eval_run_open(&r, o, NULL, &err), code);
    cr_expect(strstr(err.msg, part), "'%s' is not in '%s'", part, err.msg);
}

Test(traps, runs_that_must_stop_say_why)
{
    golden g;
    golden_open(&g, 1000);
    eval_options o = golden_options(&g);

    o.strict = true;
    expect_failure(&o, ME_EDATA, "999999");
    o.strict = false;

    int frames;
    float *pose = golden_pose(&g, 1, &frames, 1000);
    pose[40] = NAN;
    golden_write_sample(&g, golden_key(&g, 1), pose, frames);
    expect_failure(&o, ME_EDATA, golden_key(&g, 1));
    pose[40] = 0;
    golden_write_sample(&g, golden_key(&g, 1), pose, 0);
    expect_failure(&o, ME_EDATA, golden_key(&g, 1));

    o.generated = "/tmp/mebench-no-such-folder";
    expect_failure(&o, ME_EIO, "no-such-folder");
    o.generated = "baseline:nothing";
    expect_failure(&o, ME_EUSAGE, "nothing");
    o.generated = "baseline:copy-source";
    o.tmr = "/tmp/mebench-no-such-folder";
    expect_failure(&o, ME_EIO, "no-such-folder");
    golden_close(&g);
}

Test(traps, ground_truth_needs_no_new_embedding_and_finds_itself)
{
    golden g;
    golden_open(&g, 1000);
    eval_options o = golden_options(&g);
    o.generated = "baseline:ground-truth";
    o.baselines = true;
    eval_run r;
    me_err err = {0};
    cr_assert_eq(eval_run_open(&r, &o, NULL, &err), ME_OK, "%s", err.msg);
    cr_expect_arr_eq(r.embedding[EVAL_TARGET], r.embedding[EVAL_GENERATED],
                     40 * 256 * sizeof(float));
    /* A pair of equal targets is a hit, four equal ones are misses. */
    cr_expect_float_eq(metric_block_value(r.evaluation.full[METRIC_TO_TARGET], "R@1"), 90, 1e-9);
    cr_expect_float_eq(metric_block_value(r.evaluation.full[METRIC_TO_TARGET], "AvgR"), 1.175,
                       1e-9);
    cr_expect_eq(r.evaluation.target_groups.identical, 2);
    eval_run_close(&r);
    golden_close(&g);
}
