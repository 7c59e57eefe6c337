/* reports/page.h: what every written report shows, gathered once from a result document: tables of
 * rows, and the notes below them. Writers only lay it out. */
#ifndef REPORTS_PAGE_H
#define REPORTS_PAGE_H

#include "reports/report.h"

#define REPORT_COLUMNS 7
extern const char *const report_labels[REPORT_COLUMNS];   /* "R@1" … "AvgR" */
extern const bool report_lower_is_better[REPORT_COLUMNS]; /* MedR, AvgR */

typedef enum { REPORT_SUBMISSION, REPORT_BASELINE, REPORT_CHANCE, REPORT_PUBLISHED } report_kind;

typedef struct report_row {
    report_kind kind;
    const char *name;
    int64_t n;
    const char *protocol, *subset;
    double value[REPORT_COLUMNS];                  /* NAN: not known */
    double lo[REPORT_COLUMNS], hi[REPORT_COLUMNS]; /* NAN: no interval */
    bool beside;                                   /* published, and belongs to the row above it */
} report_row;

typedef struct report_table_data {
    const char *title;     /* "Generated to target, batches of 32" */
    const char *caption;   /* what was searched where, how many were used and dropped */
    const char *protocol;  /* "batch32" */
    const char *direction; /* "generated_to_target" */
    const char *keys,
        *tmr;           /* hashes of the scored items and of the embedder; "" where not stated */
    const char *reason; /* why there are no rows, or NULL */
    int rows;
    report_row *row;
} report_table_data;

#define REPORT_GRID_COLUMNS 16 /* at most */

/* A table whose columns are its own, as text; the first cell of a row names it. */
typedef struct report_grid {
    const char *title, *caption;
    int columns, rows;
    const char *const *head; /* (columns) */
    const char **cell;       /* (rows,columns) */
} report_grid;

/* A metric of two results on the same queries. NAN: not known; test "": none. */
typedef struct report_difference {
    const char *protocol, *direction;
    const char *against, *name, *label;
    int64_t n;
    double of_against, of_name, difference, lo, hi;
    const char *test;
    double p, p_holm;
    int64_t improved, worsened, tied;
    const char *keys, *tmr; /* as a table's */
} report_difference;

typedef struct report_page {
    const char *name; /* of the submission */
    int tables, tables_capacity;
    report_table_data *table; /* (tables) */
    int grids;
    report_grid *grid; /* (grids) they stand below the tables */
    int differences;
    report_difference *difference; /* (differences) what the grids show, unrounded */
    int notes, notes_capacity;
    const char **note;
    bool intervals; /* some row has one */
} report_page;

me_code report_page_make(report_page *out, me_arena *arena, const me_value *result,
                         const report_options *options, me_err *err);
/* Makes the page of a document and has it laid out; what a report's `write` is made of. */
me_code report_page_write(me_writer *w, const me_value *result, const report_options *options,
                          void (*lay_out)(me_writer *w, const report_page *page), me_err *err);

const char *report_kind_name(report_kind kind);
/* "62.90", or "-" where it is not known; returns buf. */
char *report_number(char *buf, size_t size, double x);

#endif
