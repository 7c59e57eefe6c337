/* reports/page_priv.h: what the pages of a result, a reproduction, a board and a comparison share.
 * Inside reports/ only. */
#ifndef REPORTS_PAGE_PRIV_H
#define REPORTS_PAGE_PRIV_H

#include "reports/page.h"
#include "reports/published.h"

typedef struct report_builder {
    report_page *page;
    me_arena *arena;
    const me_value *result; /* the document */
    const report_options *options;
    const me_value *published; /* list of rows, or NULL */
    const char *subset;
    const char *benchmark; /* of published rows, or NULL */
    bool guessed;
    bool complete; /* no item of the subset is missing */
    bool failed;   /* memory is out */
} report_builder;

void report_note(report_builder *b, const char *fmt, ...) ME_PRINTF(2, 3);

/* Values at a '/'-separated path, or what stands for none. */
const char *report_text_at(const me_value *v, const char *path, const char *fallback);
int64_t report_int_at(const me_value *v, const char *path);
size_t report_length_at(const me_value *v, const char *path);
/* The i-th number of a list; NAN where there is none. */
double report_element(const me_value *pair, size_t i);

/* What a table of (protocol, direction) shows, and how items were searched; NULL when memory is
 * out. */
const char *report_title(report_builder *b, const char *protocol, const char *direction);
const char *report_caption(report_builder *b, const char *protocol, const char *direction);
/* A table of the page with title and caption for (protocol, direction), room for `capacity` rows
 * and none yet; NULL when memory is out or the document has no such protocol. */
report_table_data *report_table_new(report_builder *b, const char *protocol, const char *direction,
                                    size_t capacity);
report_row *report_row_new(report_table_data *t, report_kind kind, const char *name, int64_t n,
                           const char *subset);
/* The numbers of an M block. */
void report_row_fill(report_row *r, const me_value *m);
/* Queries of a protocol of some document or baseline. */
int64_t report_queries(const me_value *protocol, bool batch);
/* Rows that are not the document's own: how many they can be. */
size_t report_most_rows(const report_builder *b);
/* The document's trivial rows and chance. */
void report_add_baselines(report_builder *b, report_table_data *t);
/* A row of reports/published.json, where it was computed on the items of the table's rows, which
 * must have one; else NULL. */
report_row *report_published_row(report_builder *b, report_table_data *t, const me_value *system);
/* All of those that do not stand in the table yet. */
void report_add_published(report_builder *b, report_table_data *t);
/* Turns to a document: what it was computed on, and what was published on that. `published`: the
 * parsed data file, or NULL. */
void report_builder_look(report_builder *b, const me_value *document, const me_value *published);
/* Of the tables from `first` on. */
void report_note_published(report_builder *b, int first);
/* How many items, of which split and subset. */
void report_note_items(report_builder *b);
void report_note_warnings(report_builder *b);
/* The embedder and its form. */
void report_note_embedder(report_builder *b);
/* In what rows differ that should not: the dataset's file, the precision; and which are the same
 * motions under two names. */
void report_note_rows(report_builder *b, const me_value *rows);

/* The tables of a document with "rows": trivial rows, rows, published ones. */
void report_add_row_tables(report_builder *b);

/* The page of a board (schema REPORT_BOARD_SCHEMA). */
void report_board_page(report_builder *b, const me_value *published);
/* The page of a comparison (schema REPORT_COMPARISON_SCHEMA). */
void report_comparison_page(report_builder *b);
/* The page of a study (schema REPORT_REPRODUCTION_SCHEMA); page and document are set. */
void report_reproduction_page(report_builder *b);

#endif
