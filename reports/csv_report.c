/* reports/csv_report.c: one line for each row of each table, numbers unrounded. */
#include <math.h>
#include <stdio.h>

#include "core/csv.h"
#include "reports/page_priv.h"

static void put_number(me_writer *w, double x)
{
    char text[40] = "";
    if (!isnan(x)) snprintf(text, sizeof text, "%.10g", x);
    me_csv_put(w, text, false);
}

static void put_integer(me_writer *w, int64_t i)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)i);
    me_csv_put(w, text, false);
}

static void put_header(me_writer *w)
{
    static const char *const fixed[] = {"name", "kind", "protocol", "direction", "subset", "n"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) me_csv_put(w, fixed[i], false);
    for (int c = 0; c < REPORT_COLUMNS; c++) {
        char low[24], high[24];
        snprintf(low, sizeof low, "%s_low", report_labels[c]);
        snprintf(high, sizeof high, "%s_high", report_labels[c]);
        me_csv_put(w, report_labels[c], false);
        me_csv_put(w, low, false);
        me_csv_put(w, high, false);
    }
    me_csv_put(w, "keys_sha256", false);
    me_csv_put(w, "tmr_sha256", true);
}

static void put_row(me_writer *w, const report_table_data *t, const report_row *r)
{
    me_csv_put(w, r->name, false);
    me_csv_put(w, report_kind_name(r->kind), false);
    me_csv_put(w, t->protocol, false);
    me_csv_put(w, t->direction, false);
    me_csv_put(w, r->subset, false);
    put_integer(w, r->n);
    for (int c = 0; c < REPORT_COLUMNS; c++) {
        put_number(w, r->value[c]);
        put_number(w, r->lo[c]);
        put_number(w, r->hi[c]);
    }
    /* Lines of two hashes must not be compared: they stand in each. */
    me_csv_put(w, t->keys, false);
    me_csv_put(w, t->tmr, true);
}

static void put_difference(me_writer *w, const report_difference *d)
{
    const char *const texts[] = {d->name, d->against, d->protocol, d->direction, d->label};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) me_csv_put(w, texts[i], false);
    put_integer(w, d->n);
    put_number(w, d->of_name);
    put_number(w, d->of_against);
    put_number(w, d->difference);
    put_number(w, d->lo);
    put_number(w, d->hi);
    me_csv_put(w, d->test, false);
    put_number(w, d->p);
    put_number(w, d->p_holm);
    put_integer(w, d->improved);
    put_integer(w, d->worsened);
    put_integer(w, d->tied);
    me_csv_put(w, d->keys, false);
    me_csv_put(w, d->tmr, true);
}

/* A comparison has lines of its own: one for each metric. */
static void put_differences(me_writer *w, const report_page *page)
{
    static const char *const head[] = {
        "name",          "against",    "protocol", "direction",   "metric",    "n", "value",
        "against_value", "difference", "low",      "high",        "test",      "p", "p_holm",
        "improved",      "worsened",   "tied",     "keys_sha256", "tmr_sha256"};
    const int n = sizeof head / sizeof *head;
    for (int i = 0; i < n; i++) me_csv_put(w, head[i], i == n - 1);
    for (int i = 0; i < page->differences; i++) put_difference(w, &page->difference[i]);
}

static void put_page(me_writer *w, const report_page *page)
{
    if (page->differences)
        put_differences(w, page);
    else
        put_header(w);
    for (int i = 0; i < page->tables; i++)
        for (int r = 0; r < page->table[i].rows; r++)
            put_row(w, &page->table[i], &page->table[i].row[r]);
}

static me_code csv_write(me_writer *w, const me_value *result, const report_options *options,
                         me_err *err)
{
    return report_page_write(w, result, options, put_page, err);
}

const report report_csv = {
    .name = "csv",
    .extension = "csv",
    .doc = "One line for each row of each table, with the bounds of its 95 % intervals, numbers "
           "unrounded.",
    .write = csv_write,
};
