/* reports/table.c: the table for a terminal, two decimals as the papers print. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/page.h"

/* Characters, not bytes: continuation bytes of UTF-8 take no column. */
static int width(const char *s)
{
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

static void cell_text(char *buf, size_t size, const report_row *r, int c)
{
    report_number(buf, size, r->value[c]);
    if (r->kind == REPORT_PUBLISHED || isnan(r->lo[c]) || isnan(r->value[c])) return;
    size_t used = strlen(buf);
    snprintf(buf + used, size - used, " ±%.2f", (r->hi[c] - r->lo[c]) / 2);
}

static void put_left(me_writer *w, const char *s, int wide)
{
    me_writer_printf(w, "%s%*s", s, wide > width(s) ? wide - width(s) : 0, "");
}

static void put_right(me_writer *w, const char *s, int wide)
{
    me_writer_printf(w, "%*s%s", wide > width(s) ? wide - width(s) : 0, "", s);
}

/* Of a published row that stands below the one it belongs to. */
static const char *suffix(const report_row *r)
{
    return r->beside ? " (published)" : "";
}

static void put_table(me_writer *w, const report_table_data *t)
{
    me_writer_printf(w, "%s\n  %s\n", t->title, t->caption);
    if (t->reason) {
        me_writer_printf(w, "  no values: %s\n\n", t->reason);
        return;
    }
    int wide[REPORT_COLUMNS], names = 4;
    char cell[64];
    for (int c = 0; c < REPORT_COLUMNS; c++) wide[c] = width(report_labels[c]);
    for (int r = 0; r < t->rows; r++) {
        const int name = width(t->row[r].name) + width(suffix(&t->row[r]));
        names = names > name ? names : name;
        for (int c = 0; c < REPORT_COLUMNS; c++) {
            cell_text(cell, sizeof cell, &t->row[r], c);
            wide[c] = wide[c] > width(cell) ? wide[c] : width(cell);
        }
    }
    me_writer_printf(w, "  ");
    put_left(w, "", names);
    me_writer_printf(w, "      N");
    for (int c = 0; c < REPORT_COLUMNS; c++) {
        me_writer_printf(w, "  ");
        put_right(w, report_labels[c], wide[c]);
    }
    me_writer_printf(w, "\n");
    for (int r = 0; r < t->rows; r++) {
        const report_row *row = &t->row[r];
        const bool listed = row->kind == REPORT_PUBLISHED && !row->beside;
        if (listed && (!r || t->row[r - 1].kind != REPORT_PUBLISHED || t->row[r - 1].beside))
            me_writer_printf(w, "  published on the same items:\n");
        me_writer_printf(w, "  ");
        me_writer_printf(w, "%s", row->name);
        put_left(w, suffix(row), names - width(row->name));
        me_writer_printf(w, " %6lld", (long long)row->n);
        for (int c = 0; c < REPORT_COLUMNS; c++) {
            cell_text(cell, sizeof cell, row, c);
            me_writer_printf(w, "  ");
            put_right(w, cell, wide[c]);
        }
        me_writer_printf(w, "\n");
    }
    me_writer_printf(w, "\n");
}

static void put_grid(me_writer *w, const report_grid *g)
{
    int wide[REPORT_GRID_COLUMNS];
    for (int c = 0; c < g->columns; c++) {
        wide[c] = width(g->head[c]);
        for (int r = 0; r < g->rows; r++) {
            const int cell = width(g->cell[r * g->columns + c]);
            wide[c] = wide[c] > cell ? wide[c] : cell;
        }
    }
    me_writer_printf(w, "%s\n  %s\n", g->title, g->caption);
    for (int r = -1; r < g->rows; r++) {
        const char *const *cell = r < 0 ? g->head : g->cell + r * g->columns;
        for (int c = 0; c < g->columns; c++) {
            me_writer_printf(w, "  ");
            if (c)
                put_right(w, cell[c], wide[c]);
            else
                put_left(w, cell[c], wide[c]);
        }
        me_writer_printf(w, "\n");
    }
    me_writer_printf(w, "\n");
}

/* Breaks a note at spaces before column 100, later lines indented. */
static void put_wrapped(me_writer *w, const char *text)
{
    int column = 1;
    me_writer_put(w, "-", 1);
    while (*text) {
        size_t word = strcspn(text, " ");
        int columns = 0;
        for (size_t i = 0; i < word; i++) columns += ((unsigned char)text[i] & 0xC0) != 0x80;
        bool wrap = column > 2 && column + 1 + columns > 100;
        me_writer_printf(w, wrap ? "\n  " : " ");
        me_writer_put(w, text, word);
        column = (wrap ? 2 : column + 1) + columns;
        text += word;
        text += strspn(text, " ");
    }
    me_writer_put(w, "\n", 1);
}

static void put_page(me_writer *w, const report_page *page)
{
    for (int i = 0; i < page->tables; i++) put_table(w, &page->table[i]);
    for (int i = 0; i < page->grids; i++) put_grid(w, &page->grid[i]);
    for (int i = 0; i < page->notes; i++) put_wrapped(w, page->note[i]);
}

static me_code table_write(me_writer *w, const me_value *result, const report_options *options,
                           me_err *err)
{
    return report_page_write(w, result, options, put_page, err);
}

const report report_table = {
    .name = "table",
    .extension = "txt",
    .doc = "Tables for a terminal: the submission, the trivial rows, chance and the published rows "
           "of the same "
           "items, two decimals; then the notes that a reader needs.",
    .write = table_write,
};
