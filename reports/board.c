/* reports/board.c: the page of a leaderboard: the rows of many results, best first, those on other
 * items or by another embedder in tables of their own. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/result.h"
#include "reports/page_priv.h"

/* Says in title and caption which items these are: that is what makes numbers comparable. */
static void name_tables(report_builder *b, int first, size_t group, size_t groups)
{
    const char *keys = report_text_at(b->result, "provenance/keys_sha256", "?");
    for (int i = first; i < b->page->tables; i++) {
        report_table_data *t = &b->page->table[i];
        t->caption = me_arena_printf(b->arena, "%s, keys %.12s", t->caption, keys);
        if (groups > 1)
            t->title =
                me_arena_printf(b->arena, "%s (group %zu of %zu)", t->title, group + 1, groups);
        b->failed |= !t->caption || !t->title;
    }
}

/* A fact that rows of one group should share but do not: each value with its rows. */
static void note_differing(report_builder *b, const me_value *rows, const char *fact,
                           const char *what)
{
    const size_t n = rows->as.list.length;
    char text[1024] = "";
    int values = 0;
    for (size_t i = 0; i < n; i++) {
        const char *value = report_text_at(rows->as.list.items[i], fact, "not stated");
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = !strcmp(report_text_at(rows->as.list.items[k], fact, "not stated"), value);
        if (seen) continue;
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%.24s:", values++ ? "; " : "", value);
        for (size_t k = i; k < n; k++) {
            const me_value *row = rows->as.list.items[k];
            if (strcmp(report_text_at(row, fact, "not stated"), value) != 0) continue;
            used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s %s", k == i ? "" : ",",
                     me_dict_get(row, "name")->as.string.data);
        }
    }
    if (values > 1) report_note(b, "Rows differ in %s: %s.", what, text);
}

/* Two names for the same motions. */
static void note_same_motions(report_builder *b, const me_value *rows)
{
    for (size_t i = 0; i < rows->as.list.length; i++)
        for (size_t k = 0; k < i; k++) {
            const me_value *x = rows->as.list.items[k], *y = rows->as.list.items[i];
            const char *hash = report_text_at(x, "generated_sha256", "");
            if (*hash && !strcmp(hash, report_text_at(y, "generated_sha256", "")))
                report_note(b, "%s and %s are the same motions.",
                            me_dict_get(x, "name")->as.string.data,
                            me_dict_get(y, "name")->as.string.data);
        }
}

void report_note_rows(report_builder *b, const me_value *rows)
{
    note_differing(b, rows, "dataset_sha256", "the dataset's file");
    note_differing(b, rows, "precision", "the precision of evaluation");
    note_same_motions(b, rows);
}

void report_note_embedder(report_builder *b)
{
    report_note(b, "Embedder %s (%.12s), GELU in its %s form.",
                report_text_at(b->result, "provenance/tmr", "?"),
                report_text_at(b->result, "provenance/tmr_sha256", "?"),
                report_text_at(b->result, "provenance/gelu", "?"));
}

static void note_seeds(report_builder *b, const me_value *rows)
{
    for (size_t i = 0; i < rows->as.list.length; i++) {
        const me_value *row = rows->as.list.items[i];
        const size_t seeds = report_length_at(row, "seeds");
        if (seeds > 1)
            report_note(b, "%s: mean over %zu seeds, ± over seeds (Student's t).",
                        me_dict_get(row, "name")->as.string.data, seeds);
    }
}

void report_board_page(report_builder *b, const me_value *published)
{
    const me_value *board = b->result, *groups = me_dict_get(board, "groups");
    const size_t n = groups->as.list.length;
    for (size_t i = 0; i < n; i++) {
        const me_value *group = groups->as.list.items[i], *rows = me_dict_get(group, "rows");
        const int first = b->page->tables;
        report_builder_look(b, group, published);
        report_add_row_tables(b);
        name_tables(b, first, i, n);
        if (n > 1)
            report_note(b, "Group %zu of %zu: what stands in it cannot be compared with another.",
                        i + 1, n);
        report_note_items(b);
        report_note_embedder(b);
        report_note_rows(b, rows);
        note_seeds(b, rows);
        report_note_published(b, first);
    }
    if (b->page->intervals)
        report_note(b,
                    "Sorted by %s. ± is half of a 95 %% interval, over queries (bootstrap) where "
                    "nothing else is said; rows whose intervals overlap are not told apart.",
                    report_text_at(board, "sorted_by", "?"));
}
