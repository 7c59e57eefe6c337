/* eval/commands/cmd_compare.c: `mebench compare`: saved results on the same items, query by query:
 * how much better is one than another, and is it more than chance? What is computed is
 * metrics/paired.h; the document is reports/report.h's REPORT_COMPARISON_SCHEMA. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/builder.h"
#include "eval/commands.h"
#include "eval/documents.h"
#include "eval/shared_options.h"
#include "metrics/paired.h"
#include "metrics/result.h"
#include "reports/page.h"

typedef struct options {
    eval_common common;
    const char *against, *format, *metric, *protocol;
    int64_t resamples, seed;
    double level;
    bool json, fail_on_regression, source_table;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "against", .type = ME_OPT_STRING, AT(against), .value = "NAME",
     .help = "the result that the others are compared with, by its name or its file; without it the first"},
    {.name = "fail-on-regression", .type = ME_OPT_BOOL, AT(fail_on_regression),
     .help = "exit status 1 where a result is significantly worse, generated to target, in --metric"},
    {.name = "metric", .type = ME_OPT_CHOICE, AT(metric), .fallback = "AvgR", .choices = "R@1|R@2|R@3|R@5|R@10|AvgR",
     .help = "that --fail-on-regression judges"},
    {.name = "protocol", .type = ME_OPT_CHOICE, AT(protocol), .fallback = "full", .choices = "full|batch32",
     .help = "in which it judges"},
    {.name = "level", .type = ME_OPT_FLOAT, AT(level), .fallback = "0.05", .lo = 0, .hi = 1, .value = "X",
     .help = "significant is a p below this (Holm's where there are several)"},
    {.name = "resamples", .type = ME_OPT_INT, AT(resamples), .fallback = "10000", .lo = 1, .hi = 1e6, .value = "N",
     .help = "of the bootstrap, and rounds of the permutation test"},
    {.name = "seed", .type = ME_OPT_INT, AT(seed), .fallback = "0", .lo = 0, .hi = 9007199254740992.0, .value = "N",
     .help = "of both"},
    {.name = "json", .type = ME_OPT_BOOL, AT(json), .help = "the comparison as a document; same as --format json"},
    {.name = "format", .type = ME_OPT_STRING, AT(format), .fallback = "table", .value = "NAME",
     .help = "table, json, csv, markdown or latex (`mebench list reports`)"},
    {.name = "source-table", .type = ME_OPT_BOOL, AT(source_table), .fallback = "true",
     .help = "the generated-to-source tables too"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

static const char *const protocols[] = {"batch32", "full"};
static const char *const directions[] = {"generated_to_target", "generated_to_source"};

typedef struct saved {
    const char *operand, *file, *ranks_file;
    const char *name; /* its row's, unique */
    me_value *document;
    metric_saved_ranks ranks;
} saved;

/* One protocol and direction of two results. */
typedef struct block {
    int64_t n; /* queries; 0: not in both */
    int count;
    metric_paired of[METRIC_MAX_COLUMNS];
    double holm[METRIC_MAX_COLUMNS];
} block;

typedef struct comparison {
    const options *o;
    me_arena *arena;
    me_log *log;
    me_err *err;
    saved *result; /* (results), the one compared with first */
    int results;
    block (*block)[2][2]; /* (results-1) by protocol and direction */
    me_value *document;
} comparison;

/* ---- reading -----------------------------------------------------------------------------------
 */

static me_code refuse_study(const saved *s, me_err *err)
{
    const me_value *rows = me_dict_get(s->document, "rows");
    const me_value *row = rows->as.list.length ? rows->as.list.items[0] : NULL;
    const me_value *paths = me_dict_get(row, "results");
    const bool any = paths && paths->kind == ME_LIST && paths->as.list.length &&
                     paths->as.list.items[0]->kind == ME_STRING;
    return me_fail(err, ME_EDATA,
                   "%s: a study has means over seeds, and only single results are compared query "
                   "by query: give two of its folders (the first is %s)",
                   s->file, any ? paths->as.list.items[0]->as.string.data : "not named");
}

/* ranks.csv beside the document, which must hold the same keys in the same order. */
static me_code read_ranks(comparison *c, saved *s)
{
    char hash[65];
    s->ranks_file = eval_document_beside(c->arena, s->file, "ranks.csv");
    if (!s->ranks_file) return me_fail_mem(c->err, "ranks");
    if (!me_file_exists(s->ranks_file))
        return me_fail(c->err, ME_EIO,
                       "%s: no ranks.csv beside it, and a comparison needs the rank of every query "
                       "(`mebench eval --out DIR` writes both)",
                       s->file);
    me_code code = metric_ranks_read(&s->ranks, c->arena, s->ranks_file, c->err);
    if (code) return code;
    metric_keys_sha256(hash, s->ranks.keys, s->ranks.n);
    const char *stated = eval_document_text(s->document, "provenance/keys_sha256", "");
    if (strcmp(hash, stated) != 0)
        return me_fail(c->err, ME_EDATA,
                       "%s: its %lld keys (%.12s) are not those of %s (%.12s): files of two runs, "
                       "or rows in another order?",
                       s->ranks_file, (long long)s->ranks.n, hash, s->file, stated);
    return ME_OK;
}

static me_code read_result(comparison *c, saved *s, const char *operand)
{
    s->operand = operand;
    me_code code = eval_document_open(&s->document, &s->file, c->arena, operand, c->err);
    if (code) return code;
    if (me_string_equals(me_dict_get(s->document, "schema"), REPORT_REPRODUCTION_SCHEMA))
        return refuse_study(s, c->err);
    const saved *first = &c->result[0];
    if (!eval_document_compares(first->document, s->document))
        return eval_document_refuse(first->document, first->file, s->document, s->file,
                                    "score both with the same --dataset, --subset, --tmr and "
                                    "--gelu",
                                    c->err);
    return read_ranks(c, s);
}

/* Gives every result its row and name. */
static me_code name_results(comparison *c, me_value *rows)
{
    me_code code = ME_OK;
    for (int i = 0; i < c->results && !code; i++) {
        saved *s = &c->result[i];
        me_value *row;
        code = eval_document_row(&row, c->arena, rows,
                                 eval_document_text(s->document, "name", "submission"), s->file,
                                 s->document, c->err);
        if (!code) s->name = me_dict_get(row, "name")->as.string.data;
    }
    return code;
}

static bool is_called(const saved *s, const char *wanted)
{
    return !strcmp(s->name, wanted) || !strcmp(s->operand, wanted) || !strcmp(s->file, wanted);
}

/* Puts the result that the others are compared with first; the others keep their order. */
static me_code put_first(comparison *c, me_value *rows)
{
    const char *wanted = c->o->against;
    int at = 0;
    if (!wanted) return ME_OK;
    while (at < c->results && !is_called(&c->result[at], wanted)) at++;
    if (at == c->results)
        return me_fail(c->err, ME_EUSAGE, "--against: no result is called '%s' (the first is '%s')",
                       wanted, c->result[0].name);
    const saved s = c->result[at];
    me_value *row = rows->as.list.items[at];
    memmove(c->result + 1, c->result, (size_t)at * sizeof *c->result);
    memmove(rows->as.list.items + 1, rows->as.list.items, (size_t)at * sizeof *rows->as.list.items);
    c->result[0] = s;
    rows->as.list.items[0] = row;
    return ME_OK;
}

/* ---- comparing ---------------------------------------------------------------------------------
 */

static const me_value *scores_of(const saved *s, int protocol, int direction)
{
    const me_value *p = me_dict_get(me_dict_get(s->document, "protocols"), protocols[protocol]);
    const me_value *m = me_dict_get(p, directions[direction]);
    return m && m->kind == ME_DICT ? m : NULL;
}

/* The order of queries in a protocol, and how many of them form a gallery. */
static me_code order_of(comparison *c, metric_batches *out, int protocol)
{
    const saved *s = &c->result[0];
    const double size = metric_result_number(s->document, "protocols/batch32/batch_size");
    const double seed = metric_result_number(s->document, "protocols/batch32/seed");
    const bool batch = protocol == 0;
    if (batch && !(size >= 1 && seed >= 0 && seed <= UINT32_MAX))
        return me_fail(c->err, ME_EFORMAT, "%s: protocols/batch32 has no batch_size and seed",
                       s->file);
    me_code code =
        metric_batches_make(out, c->arena, s->ranks.keys, s->ranks.n,
                            batch ? (int64_t)size : s->ranks.n, batch ? (uint32_t)seed : 0, c->err);
    for (int64_t i = 0; !code && !batch && i < s->ranks.n; i++) out->index[i] = i;
    return code;
}

static me_code pick_ranks(comparison *c, double *out, const saved *s, const metric_batches *order,
                          int protocol, int direction)
{
    const double *position = protocol ? s->ranks.full[direction] : s->ranks.batch32[direction];
    if (!position)
        return me_fail(c->err, ME_EFORMAT, "%s: expected a column %s_%s", s->ranks_file,
                       protocols[protocol], directions[direction]);
    for (int64_t i = 0; i < order->batches * order->batch_size; i++) {
        out[i] = position[order->index[i]];
        if (isnan(out[i]))
            return me_fail(c->err, ME_EDATA, "%s: %s has no rank %s in %s", s->ranks_file,
                           s->ranks.keys[order->index[i]], directions[direction],
                           protocols[protocol]);
    }
    return ME_OK;
}

/* The ranks must give the numbers of the document that they lie beside. */
static me_code check_value(comparison *c, const saved *s, int protocol, int direction,
                           const char *label, double found)
{
    const double stated = metric_result_number(scores_of(s, protocol, direction), label);
    if (isnan(stated) || fabs(stated - found) < 1e-6) return ME_OK;
    return me_fail(
        c->err, ME_EDATA, "%s: its ranks give %s %.4f (%s, %s), %s says %.4f: files of two runs?",
        s->ranks_file, label, found, protocols[protocol], directions[direction], s->file, stated);
}

static me_code compare_block(comparison *c, block *out, const saved *s, int protocol, int direction)
{
    const saved *first = &c->result[0];
    if (!scores_of(first, protocol, direction) || !scores_of(s, protocol, direction)) return ME_OK;
    metric_batches order = {0};
    double *against = ME_NEW_ARRAY(c->arena, first->ranks.n, double);
    double *position = ME_NEW_ARRAY(c->arena, first->ranks.n, double);
    me_code code =
        against && position ? order_of(c, &order, protocol) : me_fail_mem(c->err, "a comparison");
    if (!code) code = pick_ranks(c, against, first, &order, protocol, direction);
    if (!code) code = pick_ranks(c, position, s, &order, protocol, direction);
    if (code) return code;
    out->n = order.batches * order.batch_size;
    const metric_paired_options how = {
        .batch = order.batch_size, .resamples = (int)c->o->resamples, .seed = (uint64_t)c->o->seed};
    code = metric_compare_ranks(out->of, &out->count, c->arena, against, position, out->n, &how,
                                c->err);
    for (int i = 0; i < out->count && !code; i++) {
        const metric_paired *m = &out->of[i];
        code = check_value(c, first, protocol, direction, m->label, m->against);
        if (!code) code = check_value(c, s, protocol, direction, m->label, m->value);
    }
    return code;
}

/* Holm's adjustment over the results, for each metric of a protocol and direction by itself. */
static me_code adjust(comparison *c, int protocol, int direction)
{
    const int n = c->results - 1;
    double *p = ME_NEW_ARRAY(c->arena, n, double);
    me_code code = p ? ME_OK : me_fail_mem(c->err, "a comparison");
    for (int m = 0; m < METRIC_MAX_COLUMNS && !code; m++) {
        int family = 0;
        for (int i = 0; i < n; i++) {
            const block *b = &c->block[i][protocol][direction];
            if (m < b->count && !isnan(b->of[m].p)) p[family++] = b->of[m].p;
        }
        code = metric_holm(p, p, family, c->err);
        family = 0;
        for (int i = 0; i < n && !code; i++) {
            block *b = &c->block[i][protocol][direction];
            if (m < b->count) b->holm[m] = isnan(b->of[m].p) ? NAN : p[family++];
        }
    }
    return code;
}

static me_code compare_all(comparison *c)
{
    int64_t blocks = 0;
    for (int i = 1; i < c->results; i++) {
        const int64_t before = blocks;
        for (int p = 0; p < 2; p++)
            for (int d = 0; d < 2; d++) {
                block *b = &c->block[i - 1][p][d];
                me_progress_text(c->log, "comparing");
                me_code code = compare_block(c, b, &c->result[i], p, d);
                if (code) return code;
                blocks += b->n > 0;
            }
        if (blocks == before)
            return me_fail(c->err, ME_EDATA,
                           "%s and %s have no protocol in common (eval --protocol batch32,full "
                           "computes both)",
                           c->result[0].file, c->result[i].file);
    }
    for (int p = 0; p < 2; p++)
        for (int d = 0; d < 2; d++) {
            me_code code = adjust(c, p, d);
            if (code) return code;
        }
    return ME_OK;
}

/* ---- the document ------------------------------------------------------------------------------
 */

static void put_metric(const comparison *c, me_builder *b, me_value *to, const metric_paired *m,
                       double holm)
{
    me_value *d = me_value_new(b->arena, ME_DICT);
    me_put_float(b, d, "against", m->against);
    me_put_float(b, d, "value", m->value);
    me_put_float(b, d, "difference", m->difference);
    me_put_pair(b, d, "ci95", m->lo, m->hi);
    if (m->test) me_put_text(b, d, "test", m->test);
    if (m->test) me_put_float(b, d, "p", m->p);
    if (m->test && c->results > 2) me_put_float(b, d, "p_holm", holm);
    me_put_int(b, d, "improved", m->improved);
    me_put_int(b, d, "worsened", m->worsened);
    me_put_int(b, d, "tied", m->tied);
    me_put(b, to, m->label, d);
}

static void put_block(const comparison *c, me_builder *b, me_value *to, const char *direction,
                      const block *of)
{
    me_value *d = me_value_new(b->arena, ME_DICT);
    me_put_int(b, d, "n", of->n);
    for (int i = 0; i < of->count; i++) put_metric(c, b, d, &of->of[i], of->holm[i]);
    me_put(b, to, direction, d);
}

static void put_comparison(const comparison *c, me_builder *b, me_value *list, int other)
{
    me_value *one = me_value_new(b->arena, ME_DICT), *all = me_value_new(b->arena, ME_DICT);
    me_put_text(b, one, "name", c->result[other].name);
    for (int p = 0; p < 2; p++) {
        me_value *protocol = me_value_new(b->arena, ME_DICT);
        for (int d = 0; d < 2; d++) {
            const block *of = &c->block[other - 1][p][d];
            if (of->n) put_block(c, b, protocol, directions[d], of);
        }
        me_put(b, all, protocols[p], protocol);
    }
    me_put(b, one, "protocols", all);
    me_append(b, list, one);
}

static void put_method(const comparison *c, me_builder *b)
{
    me_value *d = me_value_new(b->arena, ME_DICT);
    me_put_int(b, d, "resamples", c->o->resamples);
    me_put_text(b, d, "seed", me_arena_printf(b->arena, "%lld", (long long)c->o->seed));
    me_put_text(b, d, "adjustment", c->results > 2 ? "holm" : "none");
    me_put(b, c->document, "method", d);
}

static me_code make_document(comparison *c, me_value *rows)
{
    me_builder b = {c->arena, c->err, ME_OK};
    me_value *list = me_value_new(c->arena, ME_LIST);
    me_put_text(&b, c->document, "schema", REPORT_COMPARISON_SCHEMA);
    if (!b.code)
        b.code = eval_document_shared(c->document, c->arena, c->result[0].document, c->err);
    me_put(&b, c->document, "rows", rows);
    me_put_text(&b, c->document, "against", c->result[0].name);
    put_method(c, &b);
    for (int i = 1; i < c->results; i++) put_comparison(c, &b, list, i);
    me_put(&b, c->document, "comparisons", list);
    return b.code;
}

/* ---- judging -----------------------------------------------------------------------------------
 */

static me_code judge(const comparison *c)
{
    const int protocol = strcmp(c->o->protocol, protocols[0]) != 0;
    for (int i = 1; i < c->results; i++) {
        const block *b = &c->block[i - 1][protocol][0];
        int m = 0;
        while (m < b->count && strcmp(b->of[m].label, c->o->metric) != 0) m++;
        if (m == b->count)
            return me_fail(c->err, ME_EDATA, "--fail-on-regression: %s and %s do not both have %s",
                           c->result[0].file, c->result[i].file, c->o->protocol);
        const metric_paired *of = &b->of[m];
        const double p = c->results > 2 ? b->holm[m] : of->p;
        const bool worse = of->better == METRIC_HIGHER ? of->difference < 0 : of->difference > 0;
        if (worse && p < c->o->level)
            return me_fail(c->err, ME_ECHECK,
                           "%s is significantly worse than %s: %s %.2f where it was %.2f (%s, "
                           "generated to target, N %lld, p %.2g)",
                           c->result[i].name, c->result[0].name, of->label, of->value, of->against,
                           c->o->protocol, (long long)b->n, p);
    }
    return ME_OK;
}

static me_code run_compare(eval_call *call, me_err *err)
{
    const options *o = call->options;
    const report *writer = NULL;
    const report_options reports = {.source = o->source_table};
    me_code code = eval_report_find(&writer, o->json ? "json" : o->format, err);
    if (code) return code;
    comparison c = {.o = o,
                    .arena = call->arena,
                    .log = call->log,
                    .err = err,
                    .result = ME_NEW_ARRAY(call->arena, call->operands, saved),
                    .results = call->operands,
                    .document = me_value_new(call->arena, ME_DICT)};
    me_value *rows = me_value_new(call->arena, ME_LIST);
    c.block = me_arena_alloc(call->arena, (size_t)c.results, sizeof *c.block);
    if (!c.result || !c.document || !rows || !c.block) return me_fail_mem(err, "a comparison");
    for (int i = 0; i < c.results && !code; i++)
        code = read_result(&c, &c.result[i], call->operand[i]);
    if (!code) code = name_results(&c, rows);
    if (!code) code = put_first(&c, rows);
    if (!code) code = compare_all(&c);
    me_progress_end(call->log);
    if (!code) code = make_document(&c, rows);
    if (!code) code = writer->write(&call->out, c.document, &reports, err);
    return !code && o->fail_on_regression ? judge(&c) : code;
}

const eval_command eval_command_compare = {
    .name = "compare",
    .usage = "compare [options] RESULT RESULT...",
    .summary = "results query by query: differences, intervals, significance",
    .doc = "RESULT is what `eval --out DIR` wrote: the folder, or its result.json with ranks.csv "
           "beside it. All\n"
           "are compared with the first, for every protocol and direction that both have: each "
           "metric's difference\n"
           "with its 95 % interval (paired bootstrap over queries), a two-sided p, and how many "
           "queries got better,\n"
           "worse or stayed. p is that of McNemar's exact test for R@k, and of a permutation test "
           "that flips the\n"
           "signs of the rank differences for AvgR; MedR has an interval alone. Of more than two "
           "results p is\n"
           "adjusted too (Holm), for each metric by itself. Results on other items, by another "
           "embedder or in other\n"
           "batches are refused. --format json is a document that `mebench report` lays out again.",
    .options = table,
    .options_size = sizeof(options),
    .min_operands = 2,
    .max_operands = -1,
    .run = run_compare,
};
