/* reports/comparison.c: the page of a comparison: every metric of two results on the same queries,
 * the difference with its interval and p, and how many queries it rests on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/result.h"
#include "reports/page_priv.h"

static const char *const protocols[] = {"batch32", "full"};
static const char *const directions[] = {"generated_to_target", "generated_to_source"};

static bool adjusted(const report_builder *b)
{
    return !strcmp(report_text_at(b->result, "method/adjustment", "none"), "holm");
}

/* ---- numbers -----------------------------------------------------------------------------------
 */

static void read_difference(report_difference *d, const me_value *c)
{
    const me_value *interval = me_dict_get(c, "ci95");
    d->of_against = metric_result_number(c, "against");
    d->of_name = metric_result_number(c, "value");
    d->difference = metric_result_number(c, "difference");
    d->lo = report_element(interval, 0);
    d->hi = report_element(interval, 1);
    d->test = report_text_at(c, "test", "");
    d->p = metric_result_number(c, "p");
    d->p_holm = metric_result_number(c, "p_holm");
    d->improved = report_int_at(c, "improved");
    d->worsened = report_int_at(c, "worsened");
    d->tied = report_int_at(c, "tied");
}

/* Those of one comparison in one protocol and direction; returns how many. */
static int add_differences(report_builder *b, const me_value *comparison, const char *protocol,
                           const char *direction)
{
    const me_value *of = me_dict_get(me_dict_get(comparison, "protocols"), protocol);
    const me_value *m = me_dict_get(of, direction);
    const int first = b->page->differences;
    for (int c = 0; c < REPORT_COLUMNS; c++) {
        const me_value *one = me_dict_get(m, report_labels[c]);
        if (!one) continue;
        report_difference *d = &b->page->difference[b->page->differences++];
        *d = (report_difference){.protocol = protocol,
                                 .direction = direction,
                                 .against = report_text_at(b->result, "against", "?"),
                                 .name = report_text_at(comparison, "name", "?"),
                                 .label = report_labels[c],
                                 .n = report_int_at(m, "n"),
                                 .keys = report_text_at(b->result, "provenance/keys_sha256", ""),
                                 .tmr = report_text_at(b->result, "provenance/tmr_sha256", "")};
        read_difference(d, one);
    }
    return b->page->differences - first;
}

/* ---- text --------------------------------------------------------------------------------------
 */

static const char *number(report_builder *b, const char *format, double x)
{
    const char *text = isnan(x) ? "-" : me_arena_printf(b->arena, format, x);
    b->failed |= !text;
    return text;
}

static const char *p_text(report_builder *b, double p)
{
    return p < 0.00005 ? "<0.0001" : number(b, "%.4f", p);
}

static const char *interval_text(report_builder *b, const report_difference *d)
{
    if (isnan(d->lo) || isnan(d->hi)) return "-";
    const char *text = me_arena_printf(b->arena, "%+.2f to %+.2f", d->lo, d->hi);
    b->failed |= !text;
    return text;
}

static void fill_row(report_builder *b, const char **cell, const report_difference *d)
{
    int c = 0;
    cell[c++] = d->label;
    cell[c++] = number(b, "%.2f", d->of_against);
    cell[c++] = number(b, "%.2f", d->of_name);
    cell[c++] = number(b, "%+.2f", d->difference);
    cell[c++] = interval_text(b, d);
    cell[c++] = p_text(b, d->p);
    if (adjusted(b)) cell[c++] = p_text(b, d->p_holm);
    cell[c++] = number(b, "%.0f", (double)d->improved);
    cell[c++] = number(b, "%.0f", (double)d->worsened);
    cell[c] = number(b, "%.0f", (double)d->tied);
}

static int fill_head(report_builder *b, const char **head, const report_difference *d)
{
    int c = 0;
    head[c++] = "";
    head[c++] = d->against;
    head[c++] = d->name;
    head[c++] = "difference";
    head[c++] = "95 % interval";
    head[c++] = "p";
    if (adjusted(b)) head[c++] = "p (Holm)";
    head[c++] = "better";
    head[c++] = "worse";
    head[c++] = "tied";
    return c;
}

/* A grid of the last n differences. */
static void add_grid(report_builder *b, int n)
{
    const report_difference *d = &b->page->difference[b->page->differences - n];
    const char *title = report_title(b, d->protocol, d->direction);
    const char *caption = report_caption(b, d->protocol, d->direction);
    const char **head = ME_NEW_ARRAY(b->arena, REPORT_GRID_COLUMNS, const char *);
    const char **cell = ME_NEW_ARRAY(b->arena, n * REPORT_GRID_COLUMNS, const char *);
    b->failed |= !title || !caption || !head || !cell;
    if (b->failed) return;
    report_grid *g = &b->page->grid[b->page->grids++];
    *g = (report_grid){.head = head, .cell = cell, .rows = n};
    g->title = me_arena_printf(b->arena, "%s: %s against %s", title, d->name, d->against);
    g->caption =
        me_arena_printf(b->arena, "%s; paired over %lld queries", caption, (long long)d->n);
    g->columns = fill_head(b, head, d);
    for (int r = 0; r < n; r++) fill_row(b, cell + r * g->columns, &d[r]);
    b->failed |= !g->title || !g->caption;
}

static void note_method(report_builder *b, size_t comparisons)
{
    const char *against = report_text_at(b->result, "against", "?");
    const long long resamples = (long long)report_int_at(b->result, "method/resamples");
    report_note(b,
                "Differences are from %s: above zero is better for R@k, below zero for MedR and "
                "AvgR. Better, worse and tied count queries: for R@k hits won and lost, for MedR "
                "and AvgR ranks.",
                against);
    report_note(b,
                "95 %% intervals: paired bootstrap over queries, %lld resamples, seed %s. p, "
                "two-sided: for R@k the exact test of McNemar on won and lost hits, for AvgR a "
                "permutation test that flips signs, %lld rounds; MedR has none.",
                resamples, report_text_at(b->result, "method/seed", "?"), resamples);
    if (adjusted(b))
        report_note(b,
                    "p (Holm) is adjusted for the %zu results that are compared with %s, for each "
                    "metric, protocol and direction by itself; nothing is adjusted for the number "
                    "of metrics.",
                    comparisons, against);
    else
        report_note(b, "Nothing is adjusted for the number of metrics.");
    report_note(b, "All this is over queries, with the galleries as they are: seeds and other "
                   "samplings of a model vary beside it (`mebench reproduce`).");
}

void report_comparison_page(report_builder *b)
{
    const me_value *all = me_dict_get(b->result, "comparisons");
    const size_t n = all->as.list.length;
    b->page->difference = ME_NEW_ARRAY(b->arena, n * 4 * REPORT_COLUMNS, report_difference);
    b->page->grid = ME_NEW_ARRAY(b->arena, n * 4, report_grid);
    b->failed |= !b->page->difference || !b->page->grid;
    for (int d = 0; d < (b->options->source ? 2 : 1); d++)
        for (int p = 0; p < 2; p++)
            for (size_t i = 0; i < n && !b->failed; i++) {
                const int added =
                    add_differences(b, all->as.list.items[i], protocols[p], directions[d]);
                if (added) add_grid(b, added);
            }
    report_note_items(b);
    report_note_embedder(b);
    report_note_rows(b, me_dict_get(b->result, "rows"));
    note_method(b, n);
}
