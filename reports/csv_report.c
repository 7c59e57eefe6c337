/* reports/csv_report.c: one line for each row of each table, numbers unrounded. */
#include <math.h>
#include <stdio.h>

#include "core/csv.h"
#include "reports/page.h"

static void put_number(me_writer *w, double x)
{
    char text[40] = "";
    if (!isnan(x)) snprintf(text, sizeof text, "%.10g", x);
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
    char n[24];
    snprintf(n, sizeof n, "%lld", (long long)r->n);
    me_csv_put(w, r->name, false);
    me_csv_put(w, report_kind_name(r->kind), false);
    me_csv_put(w, t->protocol, false);
    me_csv_put(w, t->direction, false);
    me_csv_put(w, r->subset, false);
    me_csv_put(w, n, false);
    for (int c = 0; c < REPORT_COLUMNS; c++) {
        put_number(w, r->value[c]);
        put_number(w, r->lo[c]);
        put_number(w, r->hi[c]);
    }
    /* Lines of two hashes must not be compared: they stand in each. */
    me_csv_put(w, t->keys, false);
    me_csv_put(w, t->tmr, true);
}

static me_code csv_write(me_writer *w, const me_value *result, const report_options *options,
                         me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    report_page page;
    me_code code = report_page_make(&page, &arena, result, options, err);
    if (code == ME_OK) put_header(w);
    for (int i = 0; code == ME_OK && i < page.tables; i++)
        for (int r = 0; r < page.table[i].rows; r++)
            put_row(w, &page.table[i], &page.table[i].row[r]);
    me_arena_release(&arena);
    return code;
}

const report report_csv = {
    .name = "csv",
    .extension = "csv",
    .doc = "One line for each row of each table, with the bounds of its 95 % intervals, numbers "
           "unrounded.",
    .write = csv_write,
};
