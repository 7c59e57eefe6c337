/* Reports: what they show, beside whom, and that no name can break a page. */
#include "tests/unit/metrics_data.h"

#include <math.h>
#include <stdlib.h>

#include "core/csv.h"
#include "core/json.h"
#include "metrics/result.h"
#include "reports/page.h"
#include "reports/published.h"

static me_arena arena;

static void release(void)
{
    me_arena_release(&arena);
}

TestSuite(comparison, .fini = release);
TestSuite(published, .fini = release);
TestSuite(page, .fini = release);
TestSuite(table, .fini = release);
TestSuite(json, .fini = release);
TestSuite(csv, .fini = release);
TestSuite(markdown, .fini = release);
TestSuite(latex, .fini = release);

static const char *const formats[] = {"table", "markdown", "latex", "csv", "json"};
enum { FORMATS = sizeof formats / sizeof *formats };

static me_value *document(const char *name, int64_t dataset, int64_t n, const char *subset)
{
    metric_set set = data_set(&arena, n, 8);
    metric_options o = data_quick();
    o.resamples = 20;
    metric_evaluation e = data_evaluate(&arena, &set, &o);
    me_value *doc = metric_result_new(&arena, name);
    metric_samples s = {.dataset = dataset, .generated = n, .evaluated = n};
    cr_assert_eq(metric_result_samples(doc, &arena, &s, NULL), ME_OK);
    cr_assert_eq(metric_result_evaluation(doc, &arena, &e, NULL), ME_OK);
    cr_assert_eq(metric_result_baseline(doc, &arena, "copy-source", &e, NULL), ME_OK);
    me_dict_put(&arena, metric_result_section(&arena, doc, "provenance"), "subset",
                me_value_string(&arena, subset), NULL);
    return doc;
}

static char *render_with(const char *format, const me_value *doc, const report_options *o)
{
    char *text = NULL;
    size_t size = 0;
    me_writer w = {.stream = open_memstream(&text, &size)};
    const report *r = report_find(format);
    cr_assert_not_null(r, "%s", format);
    me_err err = {0};
    cr_assert_eq(r->write(&w, doc, o, &err), ME_OK, "%s", err.msg);
    fclose(w.stream);
    char *copy = me_arena_strdup(&arena, text);
    free(text);
    return copy;
}

static char *render(const char *format, const me_value *doc)
{
    const report_options o = report_options_default();
    return render_with(format, doc, &o);
}

static me_value *parse(const char *text)
{
    me_value *doc;
    me_err err = {0};
    cr_assert_eq(me_json_parse(&doc, &arena, text, strlen(text), "x", &err), ME_OK, "%s", err.msg);
    return doc;
}

static void parse_csv(me_csv *out, const char *text)
{
    me_err err = {0};
    cr_assert_eq(me_csv_parse(out, text, strlen(text), "x", &err), ME_OK, "%s", err.msg);
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)); p++) n++;
    return n;
}

Test(registry, every_report_says_what_it_is_and_is_found_by_name_and_ending)
{
    int n = 0;
    for (; report_list[n]; n++) {
        const report *r = report_list[n];
        cr_assert(r->name && r->extension && r->doc && r->write);
        cr_assert_gt(strlen(r->doc), 30, "%s", r->name);
        cr_assert_eq(report_find(r->name), r);
        cr_assert_eq(report_find(r->extension), r);
        for (int i = 0; i < n; i++) cr_assert_str_neq(report_list[i]->name, r->name);
    }
    cr_assert_eq(n, 5);
    cr_assert_null(report_find("pdf"));
}

/* ---- comparisons ---- */

static const char one_comparison[] =
    "{\"schema\": \"mebench.comparison/1\", \"samples\": {\"evaluated\": 4, \"split_keys\": 4},"
    "\"protocols\": {\"full\": {\"n\": 4}}, \"provenance\": {\"tmr\": \"t\"},"
    "\"rows\": [{\"name\": \"a|b\"}, {\"name\": \"c\"}], \"against\": \"a|b\","
    "\"method\": {\"resamples\": 9, \"seed\": \"1\", \"adjustment\": \"none\"},"
    "\"comparisons\": [{\"name\": \"c\", \"protocols\": {\"full\": {\"generated_to_target\": {"
    "\"n\": 4, \"R@1\": {\"against\": 25, \"value\": 75.0, \"difference\": 50.0, \"ci95\": [0.0, "
    "75],"
    "\"test\": \"mcnemar\", \"p\": 0.00001, \"improved\": 2, \"worsened\": 0, \"tied\": 2},"
    "\"MedR\": {\"value\": null}}}}}, {\"name\": 7}, []]}";

Test(comparison, shows_its_numbers_in_every_form_and_leaves_out_what_is_not_there)
{
    me_err err = {0};
    const me_value *doc = parse(one_comparison);
    cr_assert_eq(report_check(doc, "c", &err), ME_OK, "%s", err.msg);
    const report_options o = {.source = true};
    const char *table = render_with("table", doc, &o);
    cr_assert(strstr(table, "Generated to target, full set: c against a|b"), "%s", table);
    cr_assert(strstr(table, "  R@1   25.00  75.00      +50.00  +0.00 to +75.00  <0.0001       2"),
              "%s", table);
    cr_assert(strstr(table, "  MedR      -      -           -                -        -       0"),
              "%s", table);
    cr_assert_eq(count(table, "Generated to"), 1);
    const char *markdown = render_with("markdown", doc, &o);
    cr_assert(strstr(markdown, "|  | a\\|b | c | difference |"), "%s", markdown);
    const char *latex = render_with("latex", doc, &o);
    cr_assert_eq(count(latex, "\\begin{tabular}"), 1);
    cr_assert(strstr(latex, "95 \\% interval"), "%s", latex);
    me_csv csv;
    parse_csv(&csv, render_with("csv", doc, &o));
    cr_assert_eq(csv.rows, 3);
    cr_assert_str_eq(csv.cells[1][me_csv_column(&csv, "p")], "1e-05");
    cr_assert_str_eq(csv.cells[2][me_csv_column(&csv, "test")], "");
    me_csv_close(&csv);
}

Test(number, is_rounded_as_the_papers_round)
{
    char b[32];
    cr_assert_str_eq(report_number(b, sizeof b, 70.625), "70.62");
    cr_assert_str_eq(report_number(b, sizeof b, 74.375), "74.38");
    cr_assert_str_eq(report_number(b, sizeof b, 78.125), "78.12");
    cr_assert_str_eq(report_number(b, sizeof b, 200.0 / 3), "66.67");
    cr_assert_str_eq(report_number(b, sizeof b, NAN), "-");
}

Test(published, the_data_file_is_whole_and_its_values_fit_their_denominators)
{
    me_value *p;
    me_err err = {0};
    cr_assert_eq(report_published(&p, &arena, &err), ME_OK, "%s", err.msg);
    const me_value *rows = me_dict_get(p, "rows");
    cr_assert_eq(rows->as.list.length, 19);
    for (size_t i = 0; i < rows->as.list.length; i++) {
        const me_value *r = rows->as.list.items[i];
        cr_assert(me_dict_get(r, "system") && me_dict_get(r, "source"));
        cr_assert_not_null(
            me_dict_get(me_dict_get(p, "benchmarks"), me_dict_get(r, "benchmark")->as.string.data));
        const me_value *b = me_dict_get(r, "batch32");
        cr_assert(b && metric_result_number(b, "n") > 0 && me_dict_get(b, "subset"));
        cr_assert_eq(fmod(metric_result_number(b, "n"), 32), 0);
    }
    /* TMED: 624 of 992, 147 of 1013. */
    const me_value *tmed = rows->as.list.items[3];
    cr_assert(me_string_equals(me_dict_get(tmed, "system"), "TMED"));
    cr_assert_float_eq(metric_result_number(tmed, "batch32/R@1"), 100 * 624.0 / 992, 0.005);
    cr_assert_float_eq(metric_result_number(tmed, "full/R@1"), 100 * 147.0 / 1013, 0.005);
}

Test(page, published_rows_stand_only_beside_the_same_items)
{
    static const struct {
        int64_t dataset, n;
        const char *subset;
        int batch_rows, full_rows;
    } cases[] = {{1013, 1013, "all", 4, 4}, /* GT, MDM, MDM-BP, TMED */
                 {1013, 506, "legacy506-simmotionedit", 2, 2},
                 {1013, 506, "legacy506-omnime", 1, 1},
                 {1013, 506, "file:half.txt", 0, 0},
                 {1013, 1000, "all", 4, 0}, /* 31 batches are filled, but from other items */
                 {393, 393, "all", 2, 0},
                 {100, 100, "all", 0, 0}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        me_value *doc = document("ours", cases[k].dataset, cases[k].n, cases[k].subset);
        report_options o = report_options_default();
        report_page page;
        cr_assert_eq(report_page_make(&page, &arena, doc, &o, NULL), ME_OK);
        cr_assert_eq(page.tables, 4);
        for (int t = 0; t < 4; t++) {
            int published = 0;
            for (int r = 0; r < page.table[t].rows; r++)
                published += page.table[t].row[r].kind == REPORT_PUBLISHED;
            int want = t == 0 ? cases[k].batch_rows : t == 1 ? cases[k].full_rows : 0;
            if (cases[k].n == 1000 && t == 0) want = 0; /* missing items: never comparable */
            cr_expect_eq(published, want, "case %zu, table %d: %d", k, t, published);
        }
    }
}

Test(page, another_stated_benchmark_gets_no_published_row)
{
    me_value *doc = document("ours", 1013, 1013, "all");
    me_dict_put(&arena, metric_result_section(&arena, doc, "provenance"), "benchmark",
                me_value_string(&arena, "synthetic"), NULL);
    char *text = render("table", doc);
    cr_assert_null(strstr(text, "TMED"));
    cr_assert(strstr(text, "No published row is shown"));
}

Test(table, shows_the_submission_the_trivial_rows_chance_and_who_is_not_comparable)
{
    me_value *doc = document("ours", 1013, 1013, "all");
    metric_result_warn(doc, &arena, NULL, "body 6D is not orthonormal");
    char *text = render("table", doc);
    cr_assert_eq(count(text, "\n  ours "), 4);
    cr_assert_eq(count(text, "\n  copy-source "), 4);
    cr_assert_eq(count(text, "\n  chance "), 4);
    cr_assert(strstr(text, "31 batches, 992 items used, 21 dropped, subset all"));
    cr_assert_eq(count(text, "  62.90 "), 1);
    cr_assert(strstr(text, "OmniME (legacy506-omnime, 480)"));
    cr_assert(strstr(text, "OmniME (legacy506-omnime, 506)"));
    cr_assert(strstr(text, "± is half of the 95 % bootstrap interval"));
    cr_assert(strstr(text, "Warning: body 6D is not orthonormal"));
    cr_assert_null(strstr(text, " \n"), "no line ends in a space");
    const report_options least = {.published = false, .baselines = false, .source = false};
    text = render_with("table", doc, &least);
    cr_assert_eq(count(text, "\n  ours "), 2);
    cr_assert_null(strstr(text, "copy-source"));
    cr_assert_null(strstr(text, "TMED"));
}

Test(table, too_few_samples_are_explained_in_place)
{
    me_value *doc = document("ours", 31, 31, "all");
    for (int i = 0; i < FORMATS; i++) {
        char *text = render(formats[i], doc);
        if (i != 3) cr_assert(strstr(text, "fewer than 32"), "%s", formats[i]);
        if (i != 4) cr_assert_null(strstr(text, "nan"), "%s", formats[i]); /* "provenance" */
    }
}

Test(json, is_the_document_and_reads_back)
{
    me_value *doc = document("ours", 40, 40, "all");
    char *text = render("json", doc);
    char *table = render("table", doc), *second = render("table", parse(text));
    cr_assert_str_eq(table, second, "a saved result gives the same page");
    cr_assert_eq(text[strlen(text) - 1], '\n');
}

Test(csv, has_one_line_for_each_row_and_unrounded_numbers)
{
    me_value *doc = document("a, \"b\"", 72, 72, "all");
    me_csv csv;
    parse_csv(&csv, render("csv", doc));
    cr_assert_eq(csv.rows, 1 + 4 * 3);
    cr_assert_str_eq(csv.cells[1][me_csv_column(&csv, "name")], "a, \"b\"");
    cr_assert_str_eq(csv.cells[1][me_csv_column(&csv, "n")], "64");
    cr_assert_float_eq(atof(csv.cells[1][me_csv_column(&csv, "R@1")]),
                       metric_result_number(doc, "protocols/batch32/generated_to_target/R@1"),
                       1e-7);
    me_csv_close(&csv);
}

Test(markdown, names_cannot_break_the_table)
{
    me_value *doc = document("a|b_c*d`e<i>\nf", 40, 40, "all");
    char *text = render("markdown", doc);
    cr_assert(strstr(text, "| a\\|b\\_c\\*d\\`e\\<i\\> f | 32 |"), "%s", text);
    cr_assert(strstr(text, "AvgR ↓"));
}

Test(latex, names_cannot_run_commands)
{
    me_value *doc = document("50%_of $x^2$ \\input{a} ~#&", 40, 40, "all");
    char *text = render("latex", doc);
    cr_assert(strstr(text, "50\\%\\_of \\$x\\textasciicircum{}2\\$ \\textbackslash{}input\\{a\\} "
                           "\\textasciitilde{}\\#\\& & 32"),
              "%s", text);
    cr_assert_eq(count(text, "\\begin{tabular}"), count(text, "\\end{tabular}"));
    cr_assert_null(strstr(text, "±"));
    cr_assert(strstr(text, "95 \\% bootstrap"));
}

Test(page, a_document_of_odd_shape_is_no_crash)
{
    static const char *const texts[] = {
        "{\"schema\":\"mebench.result/"
        "1\",\"samples\":{\"evaluated\":1,\"missing\":[]},\"protocols\":{},\"provenance\":{}}",
        "{\"schema\":\"mebench.result/"
        "1\",\"samples\":{\"evaluated\":1,\"missing\":[]},\"protocols\":{\"full\":5,"
        "\"batch32\":{\"batches\":4503599627370496,\"batch_size\":4503599627370496,"
        "\"generated_to_target\":{\"R@1\":\"x\",\"ci95\":{\"R@1\":[1]}}}},\"provenance\":{"
        "\"subset\":7},"
        "\"baselines\":{\"a\":3,\"b\":{\"protocols\":[]}},\"warnings\":[1,\"w\"],\"fid\":7}"};
    for (int k = 0; k < 2; k++) {
        me_err err = {0};
        const me_value *doc = parse(texts[k]);
        cr_assert_eq(metric_result_check(doc, "x", &err), ME_OK, "%s", err.msg);
        for (int i = 0; i < FORMATS; i++) cr_assert_gt(strlen(render(formats[i], doc)), 10);
    }
}
