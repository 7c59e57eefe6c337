/* reports/latex.c: the tables as LaTeX (packages: booktabs). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/page.h"

static void put_escaped(me_writer *w, const char *s)
{
    static const struct {
        char c;
        const char *as;
    } special[] = {{'\\', "\\textbackslash{}"},
                   {'~', "\\textasciitilde{}"},
                   {'^', "\\textasciicircum{}"},
                   {'&', "\\&"},
                   {'%', "\\%"},
                   {'$', "\\$"},
                   {'#', "\\#"},
                   {'_', "\\_"},
                   {'{', "\\{"},
                   {'}', "\\}"},
                   {'<', "\\textless{}"},
                   {'>', "\\textgreater{}"},
                   {'"', "\\textquotedbl{}"},
                   {'\n', " "},
                   {'\r', " "}};
    for (; *s; s++) {
        const char *as = NULL;
        for (size_t i = 0; i < sizeof special / sizeof *special; i++)
            if (special[i].c == *s) as = special[i].as;
        if (strncmp(s, "±", 2) == 0) { /* two bytes of UTF-8 */
            me_writer_printf(w, "$\\pm$");
            s++;
        } else if (as) {
            me_writer_printf(w, "%s", as);
        } else {
            me_writer_put(w, s, 1);
        }
    }
}

static void put_cell(me_writer *w, const report_row *r, int c)
{
    char text[40];
    report_number(text, sizeof text, r->value[c]);
    me_writer_printf(w, " & ");
    if (isnan(r->value[c]))
        me_writer_printf(w, "--");
    else if (r->kind != REPORT_PUBLISHED && !isnan(r->lo[c]))
        me_writer_printf(w, "$%s\\,{\\scriptstyle\\pm %.2f}$", text, (r->hi[c] - r->lo[c]) / 2);
    else
        me_writer_printf(w, "$%s$", text);
}

static void put_table(me_writer *w, const report_table_data *t)
{
    me_writer_printf(w, "\\begin{table}\n\\centering\n\\caption{%s: ", t->title);
    put_escaped(w, t->caption);
    me_writer_printf(w, ".}\n");
    if (t->reason) {
        me_writer_printf(w, "No values: ");
        put_escaped(w, t->reason);
        me_writer_printf(w, ".\n\\end{table}\n\n");
        return;
    }
    me_writer_printf(w, "\\begin{tabular}{lr*{%d}{r}}\n\\toprule\n & $N$", REPORT_COLUMNS);
    for (int c = 0; c < REPORT_COLUMNS; c++)
        me_writer_printf(w, " & %s $\\%s$", report_labels[c],
                         report_lower_is_better[c] ? "downarrow" : "uparrow");
    me_writer_printf(w, " \\\\\n\\midrule\n");
    for (int r = 0; r < t->rows; r++) {
        const report_row *row = &t->row[r];
        if (r > 0 && row->kind != t->row[r - 1].kind && row->kind != REPORT_CHANCE &&
            !row->beside && !t->row[r - 1].beside)
            me_writer_printf(w, "\\midrule\n");
        put_escaped(w, row->name);
        if (row->kind == REPORT_PUBLISHED) me_writer_printf(w, " (published)");
        me_writer_printf(w, " & %lld", (long long)row->n);
        for (int c = 0; c < REPORT_COLUMNS; c++) put_cell(w, row, c);
        me_writer_printf(w, " \\\\\n");
    }
    me_writer_printf(w, "\\bottomrule\n\\end{tabular}\n\\end{table}\n\n");
}

static void put_grid(me_writer *w, const report_grid *g)
{
    me_writer_printf(w, "\\begin{table}\n\\centering\n\\caption{");
    put_escaped(w, g->title);
    me_writer_printf(w, ": ");
    put_escaped(w, g->caption);
    me_writer_printf(w, ".}\n\\begin{tabular}{l*{%d}{r}}\n\\toprule\n", g->columns - 1);
    for (int r = -1; r < g->rows; r++) {
        const char *const *cell = r < 0 ? g->head : g->cell + r * g->columns;
        for (int c = 0; c < g->columns; c++) {
            if (c) me_writer_printf(w, " & ");
            put_escaped(w, cell[c]);
        }
        me_writer_printf(w, r < 0 ? " \\\\\n\\midrule\n" : " \\\\\n");
    }
    me_writer_printf(w, "\\bottomrule\n\\end{tabular}\n\\end{table}\n\n");
}

static void put_page(me_writer *w, const report_page *page)
{
    me_writer_printf(w, "%% needs \\usepackage{booktabs}\n");
    for (int i = 0; i < page->tables; i++) put_table(w, &page->table[i]);
    for (int i = 0; i < page->grids; i++) put_grid(w, &page->grid[i]);
    if (!page->notes) return;
    me_writer_printf(w, "\\begin{itemize}\n");
    for (int i = 0; i < page->notes; i++) {
        me_writer_printf(w, "\\item ");
        put_escaped(w, page->note[i]);
        me_writer_printf(w, "\n");
    }
    me_writer_printf(w, "\\end{itemize}\n");
}

static me_code latex_write(me_writer *w, const me_value *result, const report_options *options,
                           me_err *err)
{
    return report_page_write(w, result, options, put_page, err);
}

const report report_latex = {
    .name = "latex",
    .extension = "tex",
    .doc = "The tables as LaTeX with booktabs rules, the notes as a list.",
    .write = latex_write,
};
