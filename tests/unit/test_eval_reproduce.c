/* A study's plan and its numbers: what stages a file gives, and what becomes of several seeds. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "eval/reproduce.h"
#include "metrics/result.h"
#include "tests/unit/folder.h"

static const char plan[] =
    "{\"dataset\": {\"synth\": {\"pairs\": 8}}, \"tmr\": \"random:1\", \"seeds\": [4, 9],"
    " \"text\": \"clip:here\", \"train\": {\"steps\": 7, \"lr\": 0.5}, \"sample\": {\"batch\": 3},"
    " \"rows\": [{\"name\": \"A\", \"model\": \"omnime\", \"ablation\": 3, \"train\": {\"lr\": "
    "0.25}},"
    "  {\"name\": \"B\", \"generated\": \"baseline:noise\"}]}";

/* In a folder that is its `out`. */
static eval_study read_plan(me_arena *arena)
{
    eval_study study;
    me_err err = {0};
    char *dir = ME_NEW_ARRAY(arena, FOLDER_PATH, char);
    folder_make(dir);
    folder_write(dir, "plan.json", plan);
    cr_assert_eq(eval_study_read(&study, arena, me_path_join(arena, dir, "plan.json"), dir, &err),
                 ME_OK, "%s", err.msg);
    return study;
}

Test(plan, a_row_is_trained_sampled_and_scored_for_each_seed)
{
    me_arena arena;
    me_arena_init(&arena);
    const eval_study s = read_plan(&arena);
    static const char *const titles[] = {"data: synth",     "A, seed 4: train", "A, seed 4: sample",
                                         "A, seed 4: eval", "A, seed 9: train", "A, seed 9: sample",
                                         "A, seed 9: eval", "B: eval"};
    cr_assert_eq(s.stages, 8);
    for (int i = 0; i < 8; i++) cr_expect_str_eq(s.stage[i].title, titles[i]);
    /* A row's option wins over that of all rows; what the study decides is not the file's. */
    const me_value *train = s.stage[4].options, *sample = s.stage[5].options;
    cr_assert_eq(me_dict_get(train, "steps")->as.integer, 7);
    cr_assert_eq(me_dict_get(train, "lr")->as.number, 0.25);
    cr_assert_eq(me_dict_get(train, "ablation")->as.integer, 3);
    cr_assert_eq(me_dict_get(train, "seed")->as.integer, 9);
    cr_assert(me_string_equals(me_dict_get(train, "text"), "clip:here"));
    cr_assert(me_string_equals(me_dict_get(sample, "text-encoder"), "clip:here"));
    cr_assert_eq(me_dict_get(sample, "batch")->as.integer, 3);
    /* The record knows nothing of places. */
    cr_assert_null(me_dict_get(s.stage[4].given, "out"));
    cr_assert_null(me_dict_get(s.stage[4].given, "dataset"));
    cr_assert_eq(s.row[0].runs, 2);
    cr_assert_eq(s.row[1].runs, 1);
    cr_assert_eq(s.row[1].run[0].seed, -1);
    cr_assert_str_eq(s.row[0].run[1].path, "rows/a/seed-9/eval/result.json");
    folder_remove(s.out);
    me_arena_release(&arena);
}

/* A result of four queries at these ranks. */
static void write_result(me_arena *arena, const char *dir, const int ranks[4], const char *keys)
{
    double r1 = 0, mean = 0;
    char csv[400] = "key,full_generated_to_target\n";
    for (int i = 0; i < 4; i++) {
        r1 += ranks[i] == 1 ? 25 : 0;
        mean += ranks[i] / 4.0;
        const size_t used = strlen(csv);
        snprintf(csv + used, sizeof csv - used, "k%d,%d.0\n", i, ranks[i]);
    }
    const char *json = me_arena_printf(
        arena,
        "{\"schema\": \"mebench.result/1\", \"samples\": {\"evaluated\": 4, \"missing\": []},"
        " \"protocols\": {\"full\": {\"n\": 4, \"generated_to_target\": {\"R@1\": %g, \"AvgR\": %g,"
        "  \"ci95\": {\"R@1\": [0, 100]}}}}, \"baselines\": {\"copy-source\": {},"
        "  \"submission-heading-aligned\": {}}, \"fid\": {\"value\": %g},"
        " \"warnings\": [\"of seed %g [trap 32]\"], \"provenance\": {\"keys_sha256\": \"%s\"}}",
        r1, mean, mean, r1, keys);
    folder_write(dir, "ranks.csv", csv);
    folder_write(dir, "result.json", json);
}

/* The study with a result for each of its runs; row B's is of `items_of_b`. */
static eval_study scored(me_arena *arena, const char *items_of_b)
{
    const eval_study s = read_plan(arena);
    write_result(arena, s.row[0].run[0].folder, (const int[]){1, 1, 2, 4}, "same");
    write_result(arena, s.row[0].run[1].folder, (const int[]){1, 1, 1, 3}, "same");
    write_result(arena, s.row[1].run[0].folder, (const int[]){1, 2, 3, 4}, items_of_b);
    return s;
}

Test(numbers, several_seeds_give_mean_spread_and_two_intervals)
{
    me_arena arena;
    me_arena_init(&arena);
    const eval_study s = scored(&arena, "same");
    me_value *doc;
    me_err err = {0};
    cr_assert_eq(eval_study_result(&doc, &s, &arena, &err), ME_OK, "%s", err.msg);
    const me_value *row = me_dict_get(doc, "rows")->as.list.items[0];
    const me_value *m = metric_result_at(row, "protocols/full/generated_to_target");
    cr_assert_not_null(m);
    /* R@1 is 50 and 75: mean 62.5, s.d. 17.68, t(1) = 12.706: half of the interval 158.83. */
    cr_expect_float_eq(metric_result_number(m, "R@1"), 62.5, 1e-12);
    cr_expect_float_eq(metric_result_number(m, "sd/R@1"), sqrt(312.5), 1e-12);
    const me_value *ci = metric_result_at(m, "ci95/R@1");
    cr_expect_float_eq(ci->as.list.items[0]->as.number, 62.5 - 12.7062 * 12.5, 1e-9);
    cr_expect_float_eq(ci->as.list.items[1]->as.number, 62.5 + 12.7062 * 12.5, 1e-9);
    /* Over queries, the means over seeds are hits of 100, 100, 50 and 0. */
    const me_value *queries = metric_result_at(m, "ci95_queries/R@1");
    cr_expect_geq(queries->as.list.items[0]->as.number, 12.5);
    cr_expect_lt(queries->as.list.items[0]->as.number, 62.5);
    cr_expect_gt(queries->as.list.items[1]->as.number, 62.5);
    cr_expect_leq(queries->as.list.items[1]->as.number, 100);
    cr_expect_null(metric_result_at(m, "ci95_queries/MedR"));
    cr_expect_float_eq(metric_result_number(row, "fid/value"), 1.75, 1e-12);
    /* One seed: what its own result says. */
    const me_value *single = metric_result_at(me_dict_get(doc, "rows")->as.list.items[1],
                                              "protocols/full/generated_to_target");
    cr_expect_float_eq(metric_result_number(single, "R@1"), 25, 1e-12);
    cr_expect_eq(metric_result_at(single, "ci95/R@1")->as.list.items[1]->as.integer, 100);
    cr_expect_null(metric_result_at(single, "sd"));
    /* Rows about one submission stay out, warnings of a trap are told once. */
    cr_expect_eq(me_dict_get(doc, "baselines")->as.dict.length, 1);
    const me_value *warnings = me_dict_get(doc, "warnings");
    cr_assert_eq(warnings->as.list.length, 2);
    cr_expect_str_eq(warnings->as.list.items[0]->as.string.data,
                     "A, seed 4 (2 of 2 seeds): of seed 50 [trap 32]");
    cr_expect_str_eq(warnings->as.list.items[1]->as.string.data, "B: of seed 25 [trap 32]");
    folder_remove(s.out);
    me_arena_release(&arena);
}

Test(numbers, rows_of_other_items_or_ranks_are_refused)
{
    me_arena arena;
    me_arena_init(&arena);
    const eval_study s = scored(&arena, "other");
    me_value *doc;
    me_err err = {0};
    cr_assert_eq(eval_study_result(&doc, &s, &arena, &err), ME_EDATA);
    cr_assert(strstr(err.msg, "another set of scored items"), "%s", err.msg);
    err = (me_err){0};
    write_result(&arena, s.row[1].run[0].folder, (const int[]){1, 2, 3, 4}, "same");
    folder_write(s.row[0].run[1].folder, "ranks.csv", "key,full_generated_to_target\nk,zero\n");
    cr_assert_eq(eval_study_result(&doc, &s, &arena, &err), ME_EFORMAT);
    cr_assert(strstr(err.msg, "ranks.csv: row 2: expected a rank, found 'zero'"), "%s", err.msg);
    folder_remove(s.out);
    me_arena_release(&arena);
}
