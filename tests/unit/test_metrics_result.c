/* The result document: the keys that other programs rely on, and ranks.csv. */
#include "tests/unit/metrics_data.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/csv.h"
#include "core/json.h"
#include "metrics/result.h"

static me_value *document(me_arena *arena, int64_t n, const metric_options *o, metric_evaluation *e)
{
    metric_set set = data_set(arena, n, 12);
    *e = data_evaluate(arena, &set, o);
    me_value *doc = metric_result_new(arena, "ours");
    const char *missing[2] = {"000777", "000888"};
    metric_samples s = {
        .dataset = n + 2, .generated = n, .evaluated = n, .missing = missing, .missing_n = 2};
    me_err err = {0};
    cr_assert_not_null(doc);
    cr_assert_eq(metric_result_samples(doc, arena, &s, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(metric_result_evaluation(doc, arena, e, &err), ME_OK, "%s", err.msg);
    return doc;
}

Test(result, has_the_keys_that_others_rely_on)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_options o = metric_options_default();
    o.resamples = 50;
    metric_evaluation e;
    me_value *doc = document(&arena, 70, &o, &e);
    cr_assert_eq(metric_result_check(doc, "x", NULL), ME_OK);
    cr_assert(me_string_equals(me_dict_get(doc, "schema"), "mebench.result/1"));
    cr_assert_eq(metric_result_number(doc, "samples/dataset"), 72);
    cr_assert_eq(metric_result_number(doc, "samples/evaluated"), 70);
    cr_assert_eq(metric_result_at(doc, "samples/missing")->as.list.length, 2);
    cr_assert_eq(metric_result_at(doc, "samples/extra")->as.list.length, 0);
    cr_assert_eq(metric_result_number(doc, "protocols/batch32/batches"), 2);
    cr_assert_eq(metric_result_number(doc, "protocols/batch32/batch_size"), 32);
    cr_assert_eq(metric_result_number(doc, "protocols/batch32/seed"), 0);
    cr_assert_eq(metric_result_number(doc, "protocols/batch32/dropped"), 6);
    cr_assert_eq(metric_result_at(doc, "protocols/batch32/dropped_keys")->as.list.length, 6);
    cr_assert_eq(metric_result_number(doc, "protocols/full/n"), 70);
    static const char *const protocols[] = {"batch32", "full"};
    static const char *const directions[] = {"generated_to_target", "generated_to_source"};
    static const char *const labels[] = {"R@1", "R@2", "R@3", "R@5", "R@10", "MedR", "AvgR"};
    for (int p = 0; p < 2; p++)
        for (int d = 0; d < 2; d++)
            for (int l = 0; l < 7; l++) {
                char path[128];
                const metric_block *b = (p ? e.full : e.batch32)[d];
                snprintf(path, sizeof path, "protocols/%s/%s/%s", protocols[p], directions[d],
                         labels[l]);
                cr_assert_eq(metric_result_number(doc, path), metric_block_value(b, labels[l]),
                             "%s", path);
                snprintf(path, sizeof path, "protocols/%s/%s/ci95/%s", protocols[p], directions[d],
                         labels[l]);
                const me_value *ci = metric_result_at(doc, path);
                cr_assert(ci && ci->kind == ME_LIST && ci->as.list.length == 2, "%s", path);
                cr_assert_leq(ci->as.list.items[0]->as.number, metric_block_value(b, labels[l]));
                cr_assert_geq(ci->as.list.items[1]->as.number, metric_block_value(b, labels[l]));
            }
    cr_assert(isfinite(metric_result_number(doc, "fid/value")));
    cr_assert_eq(metric_result_number(doc, "fid/n"), 64);
    cr_assert(isfinite(metric_result_number(doc, "fid/floor")));
    cr_assert(isfinite(metric_result_number(doc, "fid_sound/excess")));
    cr_assert(isfinite(metric_result_number(doc, "kid/value")));
    cr_assert_eq(metric_result_number(doc, "protocols/full/chance/AvgR"), 35.5);
    cr_assert_eq(
        metric_result_number(doc, "protocols/batch32/generated_to_target/other_shuffles/shuffles"),
        20);
    cr_assert(
        isfinite(metric_result_number(doc, "protocols/full/transposed/generated_to_source/AvgR")));
    cr_assert_eq(metric_result_number(doc, "protocols/full/generated_to_target/near_ties/pairs"),
                 0);
    me_arena_release(&arena);
}

Test(result, survives_being_written_and_read)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_options o = metric_options_default();
    o.resamples = 10;
    metric_evaluation e;
    me_value *doc = document(&arena, 33, &o, &e), *again;
    cr_assert_eq(metric_result_warn(doc, &arena, NULL, "%d things", 3), ME_OK);
    cr_assert_eq(metric_result_baseline(doc, &arena, "copy-source", &e, NULL), ME_OK);
    char *text, *second;
    me_err err = {0};
    cr_assert_eq(me_json_text(&text, &arena, doc, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(me_json_parse(&again, &arena, text, strlen(text), "x", &err), ME_OK, "%s",
                 err.msg);
    cr_assert_eq(metric_result_check(again, "x", &err), ME_OK, "%s", err.msg);
    cr_assert_eq(me_json_text(&second, &arena, again, &err), ME_OK);
    cr_assert_str_eq(text, second);
    cr_assert_eq(metric_result_number(again, "baselines/copy-source/protocols/full/n"), 33);
    cr_assert(me_string_equals(me_dict_get(again, "warnings")->as.list.items[0], "3 things"));
    me_arena_release(&arena);
}

Test(result, too_few_samples_leave_null_and_the_reason)
{
    static const int sizes[] = {1, 31};
    for (int k = 0; k < 2; k++) {
        me_arena arena;
        me_arena_init(&arena);
        metric_options o = metric_options_default();
        metric_evaluation e;
        me_value *doc = document(&arena, sizes[k], &o, &e);
        const me_value *m = metric_result_at(doc, "protocols/batch32/generated_to_target");
        cr_assert(m && m->kind == ME_NONE);
        m = metric_result_at(doc, "protocols/batch32/generated_to_source");
        cr_assert(m && m->kind == ME_NONE);
        const me_value *reason = metric_result_at(doc, "protocols/batch32/reason");
        cr_assert(reason && strstr(reason->as.string.data, "fewer than 32"));
        cr_assert_eq(metric_result_number(doc, "protocols/batch32/dropped"), sizes[k]);
        cr_assert(isfinite(metric_result_number(doc, "protocols/full/generated_to_target/R@1")));
        const me_value *fid = metric_result_at(doc, "fid/value");
        cr_assert(fid && fid->kind == ME_NONE);
        cr_assert_not_null(metric_result_at(doc, "fid/reason"));
        char *text;
        cr_assert_eq(me_json_text(&text, &arena, doc, NULL), ME_OK, "no number is infinite");
        me_arena_release(&arena);
    }
}

Test(result, lists_the_keys_of_identical_motions)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 10, 4);
    memcpy((float *)set.target + 4 * 4, set.target + 1 * 4, 4 * sizeof(float));
    metric_options o = data_quick();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    me_value *doc = metric_result_new(&arena, NULL);
    cr_assert_eq(metric_result_evaluation(doc, &arena, &e, NULL), ME_OK);
    cr_assert_eq(metric_result_number(doc, "duplicates/target/groups"), 1);
    cr_assert_eq(metric_result_number(doc, "duplicates/source/groups"), 0);
    const me_value *keys = metric_result_at(doc, "duplicates/target/keys");
    cr_assert_eq(keys->as.list.length, 1);
    cr_assert(me_string_equals(keys->as.list.items[0]->as.list.items[0], "000001"));
    cr_assert(me_string_equals(keys->as.list.items[0]->as.list.items[1], "000004"));
    me_arena_release(&arena);
}

Test(result, other_documents_are_refused_by_what_they_lack)
{
    static const struct {
        const char *text, *because;
    } rows[] = {{"[1]", "list"},
                {"{}", "found none"},
                {"{\"schema\": \"mebench.result/9\"}", "mebench.result/9"},
                {"{\"schema\": 1}", "mebench.result/1"},
                {"{\"schema\": \"mebench.result/1\"}", "samples is absent"},
                {"{\"schema\": \"mebench.result/1\", \"samples\": {\"evaluated\": \"5\"}}",
                 "samples/evaluated"}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        me_arena arena;
        me_arena_init(&arena);
        me_value *v;
        me_err err = {0};
        cr_assert_eq(me_json_parse(&v, &arena, rows[k].text, strlen(rows[k].text), "r.json", &err),
                     ME_OK);
        cr_assert_eq(metric_result_check(v, "r.json", &err), ME_EFORMAT);
        cr_assert(strstr(err.msg, rows[k].because) && strstr(err.msg, "r.json"), "%s", err.msg);
        me_arena_release(&arena);
    }
}

Test(ranks_csv, has_a_row_for_each_sample_and_blanks_for_dropped_ones)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_set set = data_set(&arena, 40, 6);
    metric_options o = data_quick();
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    char path[] = "/tmp/mebench-ranks-XXXXXX";
    close(mkstemp(path));
    me_err err = {0};
    cr_assert_eq(metric_ranks_write(path, &e, &err), ME_OK, "%s", err.msg);
    me_csv csv;
    cr_assert_eq(me_csv_open(&csv, path, &err), ME_OK, "%s", err.msg);
    unlink(path);
    cr_assert_eq(csv.rows, 41);
    cr_assert_eq(csv.columns, 7);
    int64_t full = me_csv_column(&csv, "full_generated_to_target"),
            batch = me_csv_column(&csv, "batch32_generated_to_source");
    int64_t similarity = me_csv_column(&csv, "similarity_target");
    cr_assert(full > 0 && batch > 0 && similarity > 0);
    int blanks = 0;
    for (int i = 0; i < 40; i++) {
        cr_assert_str_eq(csv.cells[i + 1][0], set.keys[i]);
        cr_assert_eq(atof(csv.cells[i + 1][full]),
                     metric_position(&e.full[METRIC_TO_TARGET]->rank[i]) + 1);
        cr_assert_float_eq(atof(csv.cells[i + 1][similarity]),
                           e.full[METRIC_TO_TARGET]->rank[i].similarity, 1e-9);
        blanks += csv.cells[i + 1][batch][0] == '\0';
    }
    cr_assert_eq(blanks, 8);
    me_csv_close(&csv);
    me_arena_release(&arena);
}
