/* The page of a study: order of rows, published numbers beside the row that reproduces them, and
 * what the intervals are. */
#include "tests/unit/metrics_data.h"

#include <math.h>
#include <stdlib.h>

#include "core/json.h"
#include "metrics/result.h"
#include "reports/page.h"

/* A study of two rows on one half of a MotionFix test split, which is part of a larger dataset. */
static const char text[] =
    "{\"schema\": \"mebench.reproduction/1\", \"name\": \"study\","
    " \"samples\": {\"dataset\": 6730, \"split_keys\": 1013, \"evaluated\": 506, \"missing\": []},"
    " \"protocols\": {\"full\": {\"n\": 506, \"chance\": {\"R@1\": 0.2, \"AvgR\": 253.5}}},"
    " \"baselines\": {\"copy-source\": {\"protocols\": {\"full\": {\"n\": 506,"
    "   \"generated_to_target\": {\"R@1\": 11, \"ci95\": {\"R@1\": [9, 13]}}}}}},"
    " \"provenance\": {\"subset\": \"legacy506-omnime\", \"split\": \"test\"},"
    " \"rows\": ["
    "  {\"name\": \"mine\", \"published\": \"OmniME\", \"seeds\": [1, 2, 3], \"protocols\": "
    "{\"full\":"
    "    {\"generated_to_target\": {\"R@1\": 31, \"AvgR\": 14, \"ci95\": {\"R@1\": [29, 33]},"
    "     \"ci95_queries\": {\"R@1\": [27, 35], \"AvgR\": [13, 15]}}}},"
    "   \"fid\": {\"value\": 0.25, \"sd\": 0.125}},"
    "  {\"name\": \"other\", \"seeds\": [1], \"protocols\": {\"full\":"
    "    {\"generated_to_target\": {\"R@1\": 20, \"ci95\": {\"R@1\": [18, 22]}}}}}],"
    " \"warnings\": [\"mine, seed 2: odd\"]}";

static me_value *parse(me_arena *arena, const char *from)
{
    me_value *doc;
    me_err err = {0};
    cr_assert_eq(me_json_parse(&doc, arena, from, strlen(from), "study", &err), ME_OK, "%s",
                 err.msg);
    return doc;
}

static bool notes_say(const report_page *page, const char *words)
{
    for (int i = 0; i < page->notes; i++)
        if (strstr(page->note[i], words)) return true;
    return false;
}

Test(reproduction, rows_follow_the_trivial_ones_each_with_what_was_published_below_it)
{
    me_arena arena;
    me_arena_init(&arena);
    me_value *doc = parse(&arena, text);
    const report_options o = report_options_default();
    report_page page;
    me_err err = {0};
    cr_assert_eq(report_check(doc, "study", &err), ME_OK, "%s", err.msg);
    cr_assert_eq(report_page_make(&page, &arena, doc, &o, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(page.tables, 2, "full, towards targets and sources");
    static const struct {
        const char *name;
        report_kind kind;
        bool beside;
        double r1;
    } want[] = {{"copy-source", REPORT_BASELINE, false, 11},
                {"chance", REPORT_CHANCE, false, 0.2},
                {"mine", REPORT_SUBMISSION, false, 31},
                {"OmniME", REPORT_PUBLISHED, true, 32.02},
                {"other", REPORT_SUBMISSION, false, 20}};
    const report_table_data *t = &page.table[0];
    cr_assert_eq(t->rows, 5);
    for (int i = 0; i < 5; i++) {
        cr_expect_str_eq(t->row[i].name, want[i].name);
        cr_expect_eq(t->row[i].kind, want[i].kind, "%s", want[i].name);
        cr_expect_eq(t->row[i].beside, want[i].beside, "%s", want[i].name);
        cr_expect_float_eq(t->row[i].value[0], want[i].r1, 1e-9, "%s", want[i].name);
        cr_expect_eq(t->row[i].n, 506);
    }
    cr_assert_eq(page.table[1].rows, 0);
    cr_assert_str_eq(page.table[1].reason, "not computed");
    cr_assert(notes_say(&page, "Rows are means over 3 seeds"));
    cr_assert(notes_say(&page, "Trivial rows and rows of one seed: ± is half"));
    cr_assert(notes_say(&page, "over queries the 95 % intervals are R@1 27.00 to 35.00"));
    cr_assert(notes_say(&page, "published 32.02: inside the interval from 29.00 to 33.00"));
    cr_assert(notes_say(&page, "FID over 506 items: mine 0.2500 (s.d. 0.1250)."));
    cr_assert(notes_say(&page, "Warning: mine, seed 2: odd"));
    me_arena_release(&arena);
}

Test(reproduction, without_published_and_trivial_rows_its_own_are_left)
{
    me_arena arena;
    me_arena_init(&arena);
    const report_options o = {.published = false, .baselines = false, .source = false};
    report_page page;
    cr_assert_eq(report_page_make(&page, &arena, parse(&arena, text), &o, NULL), ME_OK);
    cr_assert_eq(page.tables, 1);
    cr_assert_eq(page.table[0].rows, 2);
    me_arena_release(&arena);
}

Test(reproduction, a_terminal_says_which_line_is_the_published_one)
{
    me_arena arena;
    me_arena_init(&arena);
    char *out = NULL;
    size_t size = 0;
    me_writer w = {.stream = open_memstream(&out, &size)};
    const report_options o = report_options_default();
    cr_assert_eq(report_find("table")->write(&w, parse(&arena, text), &o, NULL), ME_OK);
    fclose(w.stream);
    cr_assert(strstr(out, "\n  OmniME (published) "));
    cr_assert_null(strstr(out, "published on the same items"));
    free(out);
    me_arena_release(&arena);
}

Test(reproduction, a_broken_document_is_refused)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"schema\": \"mebench.reproduction/1\"}", "x: samples is absent, wanted dictionary"},
        {"{\"schema\": \"mebench.reproduction/1\", \"samples\": {}, \"protocols\": {}, "
         "\"provenance\": {}, \"rows\": {}}",
         "x: rows is dictionary, wanted list"},
        {"{\"schema\": \"mebench.reproduction/1\", \"samples\": {}, \"protocols\": {}, "
         "\"provenance\": {}, \"rows\": [3]}",
         "x: rows[0] has no name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        me_arena arena;
        me_arena_init(&arena);
        me_err err = {0};
        cr_expect_eq(report_check(parse(&arena, cases[i].json), "x", &err), ME_EFORMAT);
        cr_expect_str_eq(err.msg, cases[i].says);
        me_arena_release(&arena);
    }
}

Test(reproduction, odd_values_in_rows_are_no_crash)
{
    me_arena arena;
    me_arena_init(&arena);
    me_value *doc =
        parse(&arena, "{\"schema\": \"mebench.reproduction/1\", \"samples\": {},"
                      " \"protocols\": {\"full\": {\"n\": \"many\"}, \"batch32\": 3},"
                      " \"baselines\": [1], \"provenance\": {\"subset\": 4},"
                      " \"warnings\": {}, \"rows\": [{\"name\": \"a\", \"published\": 7,"
                      " \"seeds\": 3, \"fid\": [], \"protocols\": {\"full\":"
                      " {\"generated_to_target\": {\"R@1\": \"x\", \"ci95\": 3,"
                      " \"ci95_queries\": {\"R@1\": 3, \"AvgR\": {}}}}}}]}");
    const report_options o = report_options_default();
    report_page page;
    me_err err = {0};
    cr_assert_eq(report_check(doc, "x", &err), ME_OK, "%s", err.msg);
    cr_assert_eq(report_page_make(&page, &arena, doc, &o, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(page.table[0].rows, 1);
    cr_assert(isnan(page.table[0].row[0].value[0]));
    me_arena_release(&arena);
}
