/* metrics/ranks_file.c: ranks.csv, the per-item values of an evaluation (result.h). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

/* ---- reading -----------------------------------------------------------------------------------
 */

static me_code read_position(double *out, const char *text, const char *path, int64_t row,
                             me_err *err)
{
    char *end;
    *out = NAN;
    if (!*text) return ME_OK;
    const double rank = strtod(text, &end);
    if (end == text || *end || !(rank >= 1 && isfinite(rank)))
        return me_fail(err, ME_EFORMAT, "%s: row %lld: expected a rank, found '%.40s'", path,
                       (long long)row + 1, text);
    *out = rank - 1;
    return ME_OK;
}

static me_code read_column(double **out, me_arena *arena, const me_csv *csv, const char *name,
                           const char *path, me_err *err)
{
    const int64_t c = me_csv_column(csv, name);
    if (c < 0) return ME_OK;
    *out = ME_NEW_ARRAY(arena, csv->rows, double);
    me_code code = *out ? ME_OK : me_fail_mem(err, "ranks");
    for (int64_t i = 1; i < csv->rows && !code; i++)
        code = read_position(&(*out)[i - 1], csv->cells[i][c], path, i, err);
    return code;
}

static me_code read_keys(metric_saved_ranks *out, me_arena *arena, const me_csv *csv,
                         const char *path, me_err *err)
{
    const int64_t c = me_csv_column(csv, "key");
    if (c < 0) return me_fail(err, ME_EFORMAT, "%s: expected a column key", path);
    out->n = csv->rows - 1;
    out->keys = ME_NEW_ARRAY(arena, csv->rows, const char *);
    for (int64_t i = 0; i < out->n && out->keys; i++)
        if (!(out->keys[i] = me_arena_strdup(arena, csv->cells[i + 1][c])))
            return me_fail_mem(err, "ranks");
    return out->keys ? ME_OK : me_fail_mem(err, "ranks");
}

me_code metric_ranks_read(metric_saved_ranks *out, me_arena *arena, const char *path, me_err *err)
{
    static const char *const full[] = {"full_generated_to_target", "full_generated_to_source"};
    static const char *const batch32[] = {"batch32_generated_to_target",
                                          "batch32_generated_to_source"};
    me_csv csv;
    *out = (metric_saved_ranks){0};
    me_code code = me_csv_open(&csv, path, err);
    if (code) return code;
    code = read_keys(out, arena, &csv, path, err);
    for (int d = 0; d < 2 && !code; d++) {
        code = read_column(&out->full[d], arena, &csv, full[d], path, err);
        if (!code) code = read_column(&out->batch32[d], arena, &csv, batch32[d], path, err);
    }
    me_csv_close(&csv);
    return code;
}
