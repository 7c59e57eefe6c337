/* eval/reproduce_result.c: the document of a finished study (reproduce.h): every row over its
 * seeds, with two intervals that answer two questions. Over seeds (Student's t): where would the
 * mean of many trainings lie? Over queries (bootstrap): what would other items of the same kind
 * have given these trainings? Neither holds the other. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/builder.h"
#include "core/json.h"
#include "eval/documents.h"
#include "eval/reproduce.h"
#include "metrics/metrics.h"
#include "metrics/result.h"
#include "metrics/stats.h"
#include "reports/page.h"

#define RESAMPLES 1000

static const char *const protocols[] = {"batch32", "full"};
static const char *const directions[] = {"generated_to_target", "generated_to_source"};

typedef struct builder {
    me_builder base;
    const eval_study *study;
    me_value *const *result; /* of all runs, row after row */
    me_value *doc;
} builder;

static me_value *make(builder *b, me_kind kind)
{
    return me_value_new(b->base.arena, kind);
}

/* ---- intervals ---------------------------------------------------------------------------------
 */

/* The 97.5 % quantile of Student's t. */
static double student(int freedom)
{
    static const double of[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060,
                                2.2622,  2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199,
                                2.1098,  2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639,
                                2.0595,  2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
    const int n = sizeof of / sizeof *of;
    if (freedom <= n) return of[freedom - 1];
    const double z = 1.959964; /* Cornish-Fisher, right to four digits here */
    return z + (z * z * z + z) / (4.0 * freedom);
}

/* Adds a run's columns of values per query, over the number of runs, to `sum`. */
static me_code add_columns(metric_sink *sum, const eval_study_row *row, int run, bool batch,
                           int direction, me_arena *arena, me_err *err)
{
    metric_saved_ranks ranks;
    const char *path = me_path_join(arena, row->run[run].folder, "ranks.csv");
    me_code code = path ? metric_ranks_read(&ranks, arena, path, err) : me_fail_mem(err, "ranks");
    if (code) return code;
    double *position = batch ? ranks.batch32[direction] : ranks.full[direction];
    if (!position)
        return me_fail(err, ME_EFORMAT, "%s: expected a column %s_%s", path, protocols[!batch],
                       directions[direction]);
    metric_sink now = {.arena = arena};
    for (int64_t i = 0; i < ranks.n; i++) /* those of the items that the protocol has */
        if (!isnan(position[i])) position[now.n++] = position[i];
    const metric_input in = {.n = now.n, .position = position};
    code = metric_run_all(&now, &in, METRIC_NEEDS_RANKS, err);
    if (!code && run && now.n != sum->n)
        code = me_fail(err, ME_EDATA, "%s: expected %lld ranks as of the other seeds, found %lld",
                       path, (long long)sum->n, (long long)now.n);
    if (code) return code;
    for (int c = 0; c < now.columns; c++)
        for (int64_t i = 0; i < now.n; i++)
            now.column[c].values[i] =
                now.column[c].values[i] / row->runs + (run ? sum->column[c].values[i] : 0);
    *sum = now;
    return ME_OK;
}

/* Bootstrap over queries of the mean over runs. A median of means is not a mean of medians, so MedR
 * has no such interval. */
static me_code intervals_over_queries(builder *b, me_value *to, const eval_study_row *row,
                                      bool batch, int direction)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_sink *sink = ME_NEW(&arena, metric_sink);
    double lo[METRIC_MAX_COLUMNS], hi[METRIC_MAX_COLUMNS];
    me_code code = sink ? ME_OK : me_fail_mem(b->base.err, "intervals");
    for (int run = 0; run < row->runs && !code; run++)
        code = add_columns(sink, row, run, batch, direction, &arena, b->base.err);
    if (!code && sink->n > 0)
        code = metric_bootstrap(lo, hi, sink->column, sink->columns, sink->n, sink->n, RESAMPLES, 0,
                                b->base.err);
    for (int c = 0; !code && sink->n > 0 && c < sink->columns; c++)
        if (sink->column[c].aggregate == METRIC_MEAN)
            me_put_pair(&b->base, to, sink->column[c].label, lo[c], hi[c]);
    me_arena_release(&arena);
    return code;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static const me_value *block_of(const me_value *result, const char *protocol, const char *direction)
{
    const me_value *p = me_dict_get(me_dict_get(result, "protocols"), protocol);
    const me_value *m = me_dict_get(p, direction);
    return m && m->kind == ME_DICT ? m : NULL;
}

/* One number over the runs: mean, spread, interval over seeds. */
static void add_number(builder *b, me_value *const parts[4], const char *label,
                       const double *values, int n)
{
    const double mean = metric_mean(values, n), sd = metric_sd(values, n);
    me_value *each = make(b, ME_LIST);
    for (int i = 0; i < n; i++) me_append(&b->base, each, me_value_float(b->base.arena, values[i]));
    me_put_float(&b->base, parts[0], label, mean);
    if (n < 2) return;
    const double half = student(n - 1) * sd / sqrt(n);
    me_put_float(&b->base, parts[1], label, sd);
    me_put_pair(&b->base, parts[2], label, mean - half, mean + half);
    me_put(&b->base, parts[3], label, each);
}

static void add_block(builder *b, me_value *to, const eval_study_row *row, me_value *const *result,
                      int p, int d)
{
    const char *protocol = protocols[p], *direction = directions[d];
    const me_value *first = block_of(result[0], protocol, direction);
    double *values = ME_NEW_ARRAY(b->base.arena, row->runs, double);
    me_value *m = make(b, ME_DICT), *sd = make(b, ME_DICT), *ci = make(b, ME_DICT);
    me_value *each = make(b, ME_DICT), *queries = make(b, ME_DICT);
    if (!first) return;
    if (!values || !m || !queries) {
        b->base.code = me_fail_mem(b->base.err, "the table");
        return;
    }
    for (int c = 0; c < REPORT_COLUMNS; c++) {
        bool all = true;
        for (int i = 0; i < row->runs; i++) {
            values[i] =
                metric_result_number(block_of(result[i], protocol, direction), report_labels[c]);
            all &= !isnan(values[i]);
        }
        if (all)
            add_number(b, (me_value *const[]){m, sd, ci, each}, report_labels[c], values,
                       row->runs);
    }
    const me_value *own = me_dict_get(first, "ci95");
    if (row->runs < 2) {
        if (own) me_put(&b->base, m, "ci95", own);
    } else {
        me_put(&b->base, m, "ci95", ci);
        me_put(&b->base, m, "sd", sd);
        me_put(&b->base, m, "seeds", each);
        if (own && !b->base.code) b->base.code = intervals_over_queries(b, queries, row, p == 0, d);
        if (own) me_put(&b->base, m, "ci95_queries", queries);
    }
    me_put(&b->base, to, direction, m);
}

/* FID over the runs; an interval over seeds where there are several. */
static void add_fid(builder *b, me_value *to, const eval_study_row *row, me_value *const *result)
{
    double *values = ME_NEW_ARRAY(b->base.arena, row->runs, double);
    me_value *fid = make(b, ME_DICT);
    if (!values || !fid) {
        b->base.code = me_fail_mem(b->base.err, "the table");
        return;
    }
    for (int i = 0; i < row->runs; i++) {
        values[i] = metric_result_number(me_dict_get(result[i], "fid"), "value");
        if (isnan(values[i])) return;
    }
    me_put_float(&b->base, fid, "value", metric_mean(values, row->runs));
    if (row->runs > 1) me_put_float(&b->base, fid, "sd", metric_sd(values, row->runs));
    me_put(&b->base, to, "fid", fid);
}

static me_value *row_value(builder *b, const eval_study_row *row, me_value *const *result)
{
    me_value *v = make(b, ME_DICT), *seeds = make(b, ME_LIST), *paths = make(b, ME_LIST);
    me_value *both = make(b, ME_DICT);
    me_put_text(&b->base, v, "name", row->name);
    if (row->about) me_put_text(&b->base, v, "about", row->about);
    if (row->published) me_put_text(&b->base, v, "published", row->published);
    for (int i = 0; i < row->runs; i++) {
        if (row->run[i].seed >= 0)
            me_append(&b->base, seeds, me_value_int(b->base.arena, row->run[i].seed));
        me_append(&b->base, paths, me_value_string(b->base.arena, row->run[i].path));
    }
    me_put(&b->base, v, "seeds", seeds);
    me_put(&b->base, v, "trained", me_value_bool(b->base.arena, row->trained));
    me_put_text(&b->base, v, "interval", row->runs > 1 ? "seeds" : "queries");
    me_put(&b->base, v, "results", paths);
    for (int p = 0; p < 2 && !b->base.code; p++) {
        me_value *protocol = make(b, ME_DICT);
        for (int d = 0; d < 2 && !b->base.code; d++) add_block(b, protocol, row, result, p, d);
        me_put(&b->base, both, protocols[p], protocol);
    }
    me_put(&b->base, v, "protocols", both);
    add_fid(b, v, row, result);
    return v;
}

/* ---- what all rows share -----------------------------------------------------------------------
 */

static const char *text_at(const me_value *v, const char *path)
{
    const me_value *s = metric_result_at(v, path);
    return s && s->kind == ME_STRING ? s->as.string.data : "none";
}

/* Rows of one table are scored on the same items, by the same embedder, in the same way. */
static me_code check_same(const builder *b, const char *title, const me_value *result)
{
    static const char *const paths[][2] = {{"provenance/dataset_sha256", "dataset"},
                                           {"provenance/keys_sha256", "set of scored items"},
                                           {"provenance/tmr_sha256", "embedder"},
                                           {"provenance/gelu", "form of GELU"},
                                           {"provenance/precision", "precision of evaluation"}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const char *first = text_at(b->result[0], paths[i][0]), *now = text_at(result, paths[i][0]);
        if (strcmp(first, now) != 0)
            return me_fail(b->base.err, ME_EDATA,
                           "%s: another %s (%.16s) than that of the first row (%.16s); rows of one "
                           "table need the same",
                           title, paths[i][1], now, first);
    }
    return ME_OK;
}

static me_code read_results(builder *b)
{
    const eval_study *s = b->study;
    int64_t runs = 0, at = 0;
    for (int64_t i = 0; i < s->rows; i++) runs += s->row[i].runs;
    me_value **result = ME_NEW_ARRAY(b->base.arena, runs, me_value *);
    if (!result) return me_fail_mem(b->base.err, "the table");
    b->result = result;
    for (int64_t i = 0; i < s->rows; i++)
        for (int k = 0; k < s->row[i].runs; k++) {
            const char *path = me_path_join(b->base.arena, s->row[i].run[k].folder, "result.json");
            me_code code = path ? me_json_read(&result[at], b->base.arena, path, b->base.err)
                                : me_fail_mem(b->base.err, "the table");
            if (!code) code = metric_result_check(result[at], path, b->base.err);
            if (!code) code = check_same(b, path, result[at]);
            if (code) return code;
            at++;
        }
    return ME_OK;
}

static void put_shared(builder *b)
{
    static const char *const kept[] = {"mebench",     "git",   "dataset_sha256", "tmr",
                                       "tmr_sha256",  "gelu",  "tmr_random",     "backend",
                                       "device",      "split", "precision",      "subset",
                                       "keys_sha256", NULL};
    const me_value *first = b->result[0];
    me_value *shared, *trivial, *provenance;
    if (b->base.code) return;
    b->base.code = eval_document_protocols(&shared, b->base.arena, me_dict_get(first, "protocols"),
                                           b->base.err);
    if (!b->base.code)
        b->base.code = eval_document_baselines(&trivial, b->base.arena,
                                               me_dict_get(first, "baselines"), b->base.err);
    if (!b->base.code)
        b->base.code = eval_document_pick(&provenance, b->base.arena,
                                          me_dict_get(first, "provenance"), kept, b->base.err);
    if (b->base.code) return;
    if (b->study->benchmark) me_put_text(&b->base, provenance, "benchmark", b->study->benchmark);
    me_put(&b->base, b->doc, "samples", me_dict_get(first, "samples"));
    me_put(&b->base, b->doc, "protocols", shared);
    me_put(&b->base, b->doc, "baselines", trivial);
    me_put(&b->base, b->doc, "provenance", provenance);
}

/* Warnings are the same where they end alike, "[trap 12]", or where they are equal. */
static bool alike(const char *a, const char *b)
{
    const char *x = strstr(a, "[trap "), *y = strstr(b, "[trap ");
    return x && y ? !strcmp(x, y) : !strcmp(a, b);
}

static bool has_alike(const me_value *result, const char *text)
{
    const me_value *list = me_dict_get(result, "warnings");
    for (size_t k = 0; list && list->kind == ME_LIST && k < list->as.list.length; k++) {
        const me_value *v = list->as.list.items[k];
        if (v->kind == ME_STRING && alike(v->as.string.data, text)) return true;
    }
    return false;
}

/* A row's warnings, each from the first run that has it. */
static void put_row_warnings(builder *b, me_value *list, const eval_study_row *row,
                             me_value *const *result)
{
    for (int k = 0; k < row->runs; k++) {
        const me_value *own = me_dict_get(result[k], "warnings");
        for (size_t n = 0; own && own->kind == ME_LIST && n < own->as.list.length; n++) {
            const me_value *v = own->as.list.items[n];
            const char *text = v->kind == ME_STRING ? v->as.string.data : NULL;
            int runs = 0, before = 0;
            for (int i = 0; i < row->runs && text; i++) {
                const bool has = has_alike(result[i], text);
                runs += has;
                before += has && i < k;
            }
            if (!text || before) continue;
            char *line = row->runs < 2
                             ? me_arena_printf(b->base.arena, "%s: %s", row->name, text)
                             : me_arena_printf(b->base.arena, "%s, seed %lld (%d of %d seeds): %s",
                                               row->name, (long long)row->run[k].seed, runs,
                                               row->runs, text);
            me_append(&b->base, list, line ? me_value_string(b->base.arena, line) : NULL);
        }
    }
}

static void put_warnings(builder *b)
{
    me_value *list = make(b, ME_LIST);
    const eval_study_row *row = b->study->row;
    for (int64_t i = 0, at = 0; i < b->study->rows; at += row[i++].runs)
        put_row_warnings(b, list, &row[i], b->result + at);
    me_put(&b->base, b->doc, "warnings", list);
}

me_code eval_study_result(me_value **out, const eval_study *study, me_arena *arena, me_err *err)
{
    builder b = {.base = {arena, err, ME_OK}, .study = study};
    me_value *rows = me_value_new(arena, ME_LIST);
    int64_t at = 0;
    b.base.code = read_results(&b);
    if (b.base.code) return b.base.code;
    b.doc = me_value_new(arena, ME_DICT);
    me_put_text(&b.base, b.doc, "schema", REPORT_REPRODUCTION_SCHEMA);
    me_put_text(&b.base, b.doc, "name", study->name);
    put_shared(&b);
    for (int64_t i = 0; i < study->rows && !b.base.code; i++) {
        me_append(&b.base, rows, row_value(&b, &study->row[i], b.result + at));
        at += study->row[i].runs;
    }
    me_put(&b.base, b.doc, "rows", rows);
    put_warnings(&b);
    me_put(&b.base, b.doc, "plan", study->plan);
    *out = b.doc;
    return b.base.code;
}
