/* metrics/ranks_file.c: ranks.csv, the per-item values of an evaluation (result.h). */
#include <stdio.h>

#include "core/csv.h"
#include "metrics/result.h"

typedef struct rank_column {
    const char *name;
    const metric_block *block;
    bool similarity; /* instead of the rank */
} rank_column;

static void put_cell(me_writer *w, const rank_column *c, int64_t i, bool last)
{
    char text[40] = "";
    const metric_rank *r = c->block ? &c->block->rank[i] : NULL;
    if (r && r->equal > 0) {
        if (c->similarity)
            snprintf(text, sizeof text, "%.9f", r->similarity);
        else
            snprintf(text, sizeof text, "%.1f", metric_position(r) + 1); /* halves are exact */
    }
    me_csv_put(w, text, last);
}

me_code metric_ranks_write(const char *path, const metric_evaluation *e, me_err *err)
{
    const metric_block *target =
        e->full[METRIC_TO_TARGET] ? e->full[METRIC_TO_TARGET] : e->batch32[METRIC_TO_TARGET];
    const metric_block *source =
        e->full[METRIC_TO_SOURCE] ? e->full[METRIC_TO_SOURCE] : e->batch32[METRIC_TO_SOURCE];
    const rank_column columns[] = {
        {"full_generated_to_target", e->full[METRIC_TO_TARGET], false},
        {"full_generated_to_source", e->full[METRIC_TO_SOURCE], false},
        {"batch32_generated_to_target", e->batch32[METRIC_TO_TARGET], false},
        {"batch32_generated_to_source", e->batch32[METRIC_TO_SOURCE], false},
        {"similarity_target", target, true},
        {"similarity_source", source, true},
    };
    const int n = sizeof columns / sizeof *columns;
    me_writer w;
    me_code code = me_writer_open(&w, path, err);
    if (code != ME_OK) return code;
    me_csv_put(&w, "key", false);
    for (int c = 0; c < n; c++) me_csv_put(&w, columns[c].name, c == n - 1);
    for (int64_t i = 0; i < e->n; i++) {
        me_csv_put(&w, e->keys[i], false);
        for (int c = 0; c < n; c++) put_cell(&w, &columns[c], i, c == n - 1);
    }
    return me_writer_commit(&w, err);
}
