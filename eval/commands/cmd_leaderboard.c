/* eval/commands/cmd_leaderboard.c: `mebench leaderboard`: many results side by side, best first.
 * Numbers stand in one table only where they were computed on the same items (the hash of their
 * keys), by the same embedder in the same form; others are refused, or stand in a table of their
 * own. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/builder.h"
#include "core/json.h"
#include "eval/commands.h"
#include "eval/documents.h"
#include "eval/shared_options.h"
#include "metrics/result.h"
#include "reports/page.h"

typedef struct options {
    eval_common common;
    const char *sort, *protocol, *name;
    bool groups;
    eval_report_choice report;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "groups", .type = ME_OPT_BOOL, AT(groups),
     .help = "results on other items or by another embedder get tables of their own; without it they are an error"},
    {.name = "sort", .type = ME_OPT_CHOICE, AT(sort), .fallback = "R@1", .choices = "R@1|R@2|R@3|R@5|R@10|MedR|AvgR",
     .help = "generated-to-target value to sort by"},
    {.name = "protocol", .type = ME_OPT_CHOICE, AT(protocol), .fallback = "full", .choices = "full|batch32",
     .help = "whose value sorts"},
    {.name = "name", .type = ME_OPT_STRING, AT(name), .fallback = "leaderboard", .value = "TEXT", .help = "of the document"},
    EVAL_REPORT_OPTIONS(options),
    EVAL_COMMON_OPTIONS,
};
// clang-format on

typedef struct board {
    const options *o;
    me_arena *arena;
    me_err *err;
    me_value *groups;   /* list */
    const char **first; /* (groups) the file that each was made of */
} board;

static me_code put(const board *b, me_value *dict, const char *key, const me_value *v)
{
    return me_dict_put(b->arena, dict, key, (me_value *)v, b->err);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

static me_code pick(const board *b, me_value **out, const me_value *from, const char *const *keys)
{
    return eval_document_pick(out, b->arena, from, keys, b->err);
}

static me_code new_group(board *b, me_value **out, const me_value *document, const char *file)
{
    me_value *group = me_value_new(b->arena, ME_DICT), *rows = me_value_new(b->arena, ME_LIST);
    me_value *trivial;
    *out = group;
    if (!group) return me_fail_mem(b->err, "a leaderboard");
    me_code code = eval_document_shared(group, b->arena, document, b->err);
    if (!code)
        code =
            eval_document_baselines(&trivial, b->arena, me_dict_get(document, "baselines"), b->err);
    if (!code) code = put(b, group, "baselines", trivial);
    if (!code) code = put(b, group, "rows", rows);
    b->first[b->groups->as.list.length] = file;
    return code ? code : me_list_append(b->arena, b->groups, group, b->err);
}

/* The group that a document belongs to, new where there is none; that is refused without --groups.
 */
static me_code find_group(board *b, me_value **out, const me_value *document, const char *file)
{
    const size_t groups = b->groups->as.list.length;
    for (size_t i = 0; i < groups; i++) {
        *out = b->groups->as.list.items[i];
        if (eval_document_compares(*out, document)) return ME_OK;
    }
    if (groups && !b->o->groups)
        return eval_document_refuse(*out, b->first[groups - 1], document, file,
                                    "--groups puts them into tables of their own", b->err);
    return new_group(b, out, document, file);
}

/* ---- rows --------------------------------------------------------------------------------------
 */

/* Values and intervals alone, of the protocols of a result or of a study's row. */
static me_code row_protocols(const board *b, me_value **out, const me_value *from)
{
    static const char *const kept[] = {"R@1",  "R@2",  "R@3",  "R@5",          "R@10",
                                       "MedR", "AvgR", "ci95", "ci95_queries", NULL};
    static const char *const directions[] = {"generated_to_target", "generated_to_source"};
    *out = me_value_new(b->arena, ME_DICT);
    me_code code = *out ? ME_OK : me_fail_mem(b->err, "a leaderboard");
    for (size_t i = 0; from && from->kind == ME_DICT && !code && i < from->as.dict.length; i++) {
        me_value *protocol = me_value_new(b->arena, ME_DICT), *block;
        for (int d = 0; d < 2 && !code; d++) {
            const me_value *m = me_dict_get(from->as.dict.values[i], directions[d]);
            if (!m || m->kind != ME_DICT) continue;
            code = pick(b, &block, m, kept);
            if (!code) code = put(b, protocol, directions[d], block);
        }
        if (!code) code = put(b, *out, from->as.dict.keys[i]->as.string.data, protocol);
    }
    return code;
}

/* A row of what holds "protocols" and perhaps "seeds". */
static me_code add_row(const board *b, me_value *group, const me_value *from, const char *name,
                       const me_value *document, const char *file)
{
    me_value *row, *part;
    me_code code =
        eval_document_row(&row, b->arena, me_dict_get(group, "rows"), name, file, document, b->err);
    if (!code && me_dict_get(from, "seeds"))
        code = put(b, row, "seeds", me_dict_get(from, "seeds"));
    if (!code && me_dict_get(from, "fid")) {
        static const char *const fid[] = {"value", "sd", NULL};
        code = pick(b, &part, me_dict_get(from, "fid"), fid);
        if (!code) code = put(b, row, "fid", part);
    }
    if (!code) code = row_protocols(b, &part, me_dict_get(from, "protocols"));
    return code ? code : put(b, row, "protocols", part);
}

static me_code add_file(board *b, const char *path)
{
    me_value *document = NULL, *group = NULL;
    const char *file;
    me_code code = eval_document_open(&document, &file, b->arena, path, b->err);
    if (!code) code = find_group(b, &group, document, file);
    if (code) return code;
    const me_value *schema = me_dict_get(document, "schema");
    if (!me_string_equals(schema, REPORT_REPRODUCTION_SCHEMA))
        return add_row(b, group, document, eval_document_text(document, "name", "submission"),
                       document, file);
    const me_value *rows = me_dict_get(document, "rows");
    for (size_t i = 0; i < rows->as.list.length && !code; i++) {
        const me_value *row = rows->as.list.items[i];
        code = add_row(b, group, row, me_dict_get(row, "name")->as.string.data, document, file);
    }
    return code;
}

/* ---- order -------------------------------------------------------------------------------------
 */

typedef struct ranked {
    double value; /* smaller is better */
    size_t place;
    me_value *row;
} ranked;

static int better_first(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (isnan(x->value) != isnan(y->value)) return isnan(x->value) ? 1 : -1;
    if (x->value < y->value) return -1;
    return x->value > y->value ? 1 : (x->place > y->place) - (x->place < y->place);
}

static me_code sort_rows(const board *b, me_value *rows)
{
    const size_t n = rows->as.list.length;
    ranked *all = ME_NEW_ARRAY(b->arena, n, ranked);
    const char *path = me_arena_printf(b->arena, "protocols/%s/generated_to_target/%s",
                                       b->o->protocol, b->o->sort);
    if (!all || !path) return me_fail_mem(b->err, "a leaderboard");
    double sign = -1;
    for (int c = 0; c < REPORT_COLUMNS; c++)
        if (!strcmp(report_labels[c], b->o->sort) && report_lower_is_better[c]) sign = 1;
    for (size_t i = 0; i < n; i++)
        all[i] = (ranked){sign * metric_result_number(rows->as.list.items[i], path), i,
                          rows->as.list.items[i]};
    qsort(all, n, sizeof *all, better_first);
    for (size_t i = 0; i < n; i++) rows->as.list.items[i] = all[i].row;
    return ME_OK;
}

static me_code run_leaderboard(eval_call *call, me_err *err)
{
    const options *o = call->options;
    const report *writer = NULL;
    const report_options reports = eval_report_options(&o->report);
    me_code code = eval_report_find(&writer, o->report.format, err);
    if (code) return code;
    board b = {.o = o,
               .arena = call->arena,
               .err = err,
               .groups = me_value_new(call->arena, ME_LIST),
               .first = ME_NEW_ARRAY(call->arena, call->operands, const char *)};
    me_value *document = me_value_new(call->arena, ME_DICT);
    if (!b.groups || !b.first) return me_fail_mem(err, "a leaderboard");
    for (int i = 0; i < call->operands && !code; i++) code = add_file(&b, call->operand[i]);
    for (size_t i = 0; i < b.groups->as.list.length && !code; i++)
        code = sort_rows(&b, me_dict_get(b.groups->as.list.items[i], "rows"));
    me_builder all = {call->arena, err, code};
    me_put_text(&all, document, "schema", REPORT_BOARD_SCHEMA);
    me_put_text(&all, document, "name", o->name);
    me_put_text(&all, document, "sorted_by",
                me_arena_printf(call->arena, "%s (%s)", o->sort, o->protocol));
    me_put(&all, document, "groups", b.groups);
    return all.code ? all.code : writer->write(&call->out, document, &reports, err);
}

const eval_command eval_command_leaderboard = {
    .name = "leaderboard",
    .usage = "leaderboard [options] RESULT.json|FOLDER...",
    .summary = "many results side by side, best first",
    .doc =
        "Takes result documents (`eval --json`, `eval --out`) and those of studies (`reproduce`), "
        "or "
        "the folders\n"
        "that hold them. Numbers stand in one table only where the same items were scored by the "
        "same embedder:\n"
        "the hash of the keys decides, not the name of a subset. --format json is the board as a "
        "document,\n"
        "which `mebench report` lays out again.",
    .options = table,
    .options_size = sizeof(options),
    .min_operands = 1,
    .max_operands = -1,
    .run = run_leaderboard,
};
