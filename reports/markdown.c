/* reports/markdown.c: the tables as GitHub-flavoured Markdown. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/page.h"

/* Names come from files and command lines: nothing in them may act as markup or end a cell. */
static void put_escaped(me_writer *w, const char *s)
{
    for (; *s; s++) {
        if (*s == '\n' || *s == '\r') {
            me_writer_put(w, " ", 1);
            continue;
        }
        if (strchr("\\`*_{}[]<>#|~&!", *s)) me_writer_put(w, "\\", 1);
        me_writer_put(w, s, 1);
    }
}

static void put_cell(me_writer *w, const report_row *r, int c)
{
    char text[40];
    report_number(text, sizeof text, r->value[c]);
    if (r->kind == REPORT_SUBMISSION && !isnan(r->value[c]))
        me_writer_printf(w, " **%s**", text);
    else
        me_writer_printf(w, " %s", text);
    if (r->kind != REPORT_PUBLISHED && !isnan(r->lo[c]) && !isnan(r->value[c]))
        me_writer_printf(w, " ± %.2f", (r->hi[c] - r->lo[c]) / 2);
    me_writer_printf(w, " |");
}

static void put_table(me_writer *w, const report_table_data *t)
{
    me_writer_printf(w, "### %s\n\n", t->title);
    put_escaped(w, t->caption);
    me_writer_printf(w, "\n\n");
    if (t->reason) {
        me_writer_printf(w, "No values: ");
        put_escaped(w, t->reason);
        me_writer_printf(w, "\n\n");
        return;
    }
    me_writer_printf(w, "| | N |");
    for (int c = 0; c < REPORT_COLUMNS; c++)
        me_writer_printf(w, " %s %s |", report_labels[c], report_lower_is_better[c] ? "↓" : "↑");
    me_writer_printf(w, "\n|:--|--:|");
    for (int c = 0; c < REPORT_COLUMNS; c++) me_writer_printf(w, "--:|");
    me_writer_printf(w, "\n");
    for (int r = 0; r < t->rows; r++) {
        const report_row *row = &t->row[r];
        me_writer_printf(w, "| ");
        put_escaped(w, row->name);
        me_writer_printf(w, "%s | %lld |", row->kind == REPORT_PUBLISHED ? " (published)" : "",
                         (long long)row->n);
        for (int c = 0; c < REPORT_COLUMNS; c++) put_cell(w, row, c);
        me_writer_printf(w, "\n");
    }
    me_writer_printf(w, "\n");
}

static void put_grid(me_writer *w, const report_grid *g)
{
    me_writer_printf(w, "### ");
    put_escaped(w, g->title);
    me_writer_printf(w, "\n\n");
    put_escaped(w, g->caption);
    me_writer_printf(w, "\n\n");
    for (int r = -1; r < g->rows; r++) {
        const char *const *cell = r < 0 ? g->head : g->cell + r * g->columns;
        me_writer_printf(w, "|");
        for (int c = 0; c < g->columns; c++) {
            me_writer_printf(w, " ");
            put_escaped(w, cell[c]);
            me_writer_printf(w, " |");
        }
        me_writer_printf(w, "\n");
        if (r >= 0) continue;
        me_writer_printf(w, "|:--|");
        for (int c = 1; c < g->columns; c++) me_writer_printf(w, "--:|");
        me_writer_printf(w, "\n");
    }
    me_writer_printf(w, "\n");
}

static void put_page(me_writer *w, const report_page *page)
{
    for (int i = 0; i < page->tables; i++) put_table(w, &page->table[i]);
    for (int i = 0; i < page->grids; i++) put_grid(w, &page->grid[i]);
    for (int i = 0; i < page->notes; i++) {
        me_writer_printf(w, "- ");
        put_escaped(w, page->note[i]);
        me_writer_printf(w, "\n");
    }
}

static me_code markdown_write(me_writer *w, const me_value *result, const report_options *options,
                              me_err *err)
{
    return report_page_write(w, result, options, put_page, err);
}

const report report_markdown = {
    .name = "markdown",
    .extension = "md",
    .doc = "The tables and notes as Markdown.",
    .write = markdown_write,
};
