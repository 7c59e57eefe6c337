/* reports/reproduction.c: the page of a study (eval/reproduce.h): the trivial rows, then each row's
 * mean over its seeds with the published numbers of the same system below it, then what else was
 * published on the same items. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/result.h"
#include "reports/page_priv.h"

static const me_value *block_of(const me_value *row, const report_table_data *t)
{
    const me_value *protocol = me_dict_get(me_dict_get(row, "protocols"), t->protocol);
    const me_value *m = me_dict_get(protocol, t->direction);
    return m && m->kind == ME_DICT ? m : NULL;
}

/* The numbers of the system that the row reproduces. */
static void add_beside(report_builder *b, report_table_data *t, const me_value *row)
{
    const me_value *system = me_dict_get(row, "published");
    for (size_t i = 0; system && b->published && i < b->published->as.list.length; i++) {
        const me_value *p = b->published->as.list.items[i];
        if (system->kind != ME_STRING ||
            !me_string_equals(me_dict_get(p, "system"), system->as.string.data))
            continue;
        report_row *r = report_published_row(b, t, p);
        if (r) r->beside = true;
    }
}

static void add_table(report_builder *b, const me_value *rows, const char *protocol_name,
                      const char *direction)
{
    const size_t n = rows->as.list.length;
    const bool to_target = strcmp(direction, "generated_to_target") == 0;
    const me_value *protocol = me_dict_get(me_dict_get(b->result, "protocols"), protocol_name);
    report_table_data *t =
        report_table_new(b, protocol_name, direction, 3 * n + report_most_rows(b));
    if (!t) return;
    const int64_t queries = report_queries(protocol, strcmp(protocol_name, "batch32") == 0);
    if (b->options->baselines) report_add_baselines(b, t);
    int own = 0;
    for (size_t i = 0; i < n; i++) {
        const me_value *row = rows->as.list.items[i], *m = block_of(row, t);
        if (!m) continue;
        report_row *r = report_row_new(
            t, REPORT_SUBMISSION, me_dict_get(row, "name")->as.string.data, queries, b->subset);
        report_row_fill(r, m);
        for (int c = 0; c < REPORT_COLUMNS; c++) b->page->intervals |= !isnan(r->lo[c]);
        own++;
        if (b->options->published && to_target) add_beside(b, t, row);
    }
    if (!own) {
        t->rows = 0;
        t->reason = report_text_at(protocol, "reason", "not computed");
    } else if (b->options->published && to_target) {
        report_add_published(b, t);
    }
}

/* ---- notes -------------------------------------------------------------------------------------
 */

void report_note_items(report_builder *b)
{
    report_note(b, "N: %lld of the %lld items of the split \"%s\", subset %s; keys %.12s.",
                (long long)report_int_at(b->result, "samples/evaluated"),
                (long long)report_int_at(b->result, "samples/split_keys"),
                report_text_at(b->result, "provenance/split", "?"), b->subset,
                report_text_at(b->result, "provenance/keys_sha256", "?"));
}

static size_t seeds_of(const me_value *row)
{
    return report_length_at(row, "seeds");
}

static bool trivial_intervals(const report_page *page)
{
    for (int i = 0; i < page->tables; i++)
        for (int r = 0; r < page->table[i].rows; r++)
            if (page->table[i].row[r].kind == REPORT_BASELINE &&
                !isnan(page->table[i].row[r].lo[0]))
                return true;
    return false;
}

/* Seeds of a row that was not trained are those of its sampling. */
static bool trained(const me_value *row)
{
    const me_value *v = me_dict_get(row, "trained");
    return !v || v->kind != ME_BOOLEAN || v->as.boolean;
}

static void note_intervals(report_builder *b, const me_value *rows)
{
    size_t fewest = SIZE_MAX, most = 0;
    bool single = false;
    for (size_t i = 0; i < rows->as.list.length; i++) {
        const me_value *row = rows->as.list.items[i];
        const size_t n = seeds_of(row);
        single |= n < 2 && metric_result_at(row, "protocols/full/generated_to_target/ci95");
        if (n < 2) continue;
        fewest = n < fewest ? n : fewest;
        most = n > most ? n : most;
        if (!trained(row))
            report_note(b, "%s: one set of weights; its seeds are those of sampling alone.",
                        me_dict_get(row, "name")->as.string.data);
    }
    if (most && fewest == most)
        report_note(b,
                    "Rows are means over %zu seeds; ± is half of the 95 %% interval over seeds "
                    "(Student's t).",
                    most);
    else if (most)
        report_note(b,
                    "Rows are means over %zu to %zu seeds; ± is half of the 95 %% interval over "
                    "seeds (Student's t).",
                    fewest, most);
    const bool trivial = trivial_intervals(b->page);
    if (single || trivial)
        report_note(b, "%s: ± is half of the 95 %% bootstrap interval over queries.",
                    !single    ? "Trivial rows"
                    : !trivial ? "Rows of one seed"
                               : "Trivial rows and rows of one seed");
}

/* How much the choice of queries alone would move a mean over seeds. */
static void note_queries(report_builder *b, const me_value *rows, const report_table_data *t)
{
    for (size_t i = 0; i < rows->as.list.length; i++) {
        const me_value *row = rows->as.list.items[i], *m = block_of(row, t);
        const me_value *r1 = metric_result_at(m, "ci95_queries/R@1");
        const me_value *avg = metric_result_at(m, "ci95_queries/AvgR");
        if (!r1 || !avg) continue;
        report_note(b,
                    "%s, %s: over queries the 95 %% intervals are R@1 %.2f to %.2f, AvgR %.2f "
                    "to %.2f.",
                    me_dict_get(row, "name")->as.string.data, t->title, report_element(r1, 0),
                    report_element(r1, 1), report_element(avg, 0), report_element(avg, 1));
    }
}

/* Whether the published number lies inside the row's interval. */
static void note_beside(report_builder *b, const report_table_data *t)
{
    for (int i = 1; i < t->rows; i++) {
        const report_row *p = &t->row[i], *own = &t->row[i - 1];
        if (!p->beside || own->kind != REPORT_SUBMISSION || isnan(own->lo[0])) continue;
        const bool inside = p->value[0] >= own->lo[0] && p->value[0] <= own->hi[0];
        report_note(b, "%s, %s: R@1 %.2f, published %.2f: %s the interval from %.2f to %.2f.",
                    own->name, t->title, own->value[0], p->value[0], inside ? "inside" : "outside",
                    own->lo[0], own->hi[0]);
    }
}

static void note_fid(report_builder *b, const me_value *rows)
{
    char text[1024] = "";
    for (size_t i = 0; i < rows->as.list.length; i++) {
        const me_value *row = rows->as.list.items[i];
        const double value = metric_result_number(row, "fid/value");
        const double sd = metric_result_number(row, "fid/sd");
        const size_t used = strlen(text);
        if (isnan(value)) continue;
        snprintf(text + used, sizeof text - used, isnan(sd) ? "%s%s %.4f" : "%s%s %.4f (s.d. %.4f)",
                 used ? "; " : "", me_dict_get(row, "name")->as.string.data, value, sd);
    }
    if (*text)
        report_note(b, "FID over %lld items: %s.",
                    (long long)report_int_at(b->result, "samples/evaluated"), text);
}

void report_add_row_tables(report_builder *b)
{
    static const char *const protocols[] = {"batch32", "full"};
    const me_value *rows = me_dict_get(b->result, "rows");
    for (int d = 0; d < (b->options->source ? 2 : 1); d++)
        for (int p = 0; p < 2; p++)
            add_table(b, rows, protocols[p],
                      d == 0 ? "generated_to_target" : "generated_to_source");
}

void report_reproduction_page(report_builder *b)
{
    const me_value *rows = me_dict_get(b->result, "rows");
    report_add_row_tables(b);
    report_note_items(b);
    note_intervals(b, rows);
    for (int i = 0; i < b->page->tables; i++)
        if (strcmp(b->page->table[i].direction, "generated_to_target") == 0) {
            note_queries(b, rows, &b->page->table[i]);
            note_beside(b, &b->page->table[i]);
        }
    note_fid(b, rows);
    report_note_published(b, 0);
    report_note_warnings(b);
}
