/* eval/commands/cmd_report.c: `mebench report`: a saved result document as a table, CSV, Markdown
 * or LaTeX. */
#include "core/json.h"
#include "eval/commands.h"
#include "reports/report.h"

typedef struct options {
    eval_common common;
    const char *format;
    bool baselines, published, source_table;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "format", .type = ME_OPT_STRING, AT(format), .fallback = "table", .value = "NAME",
     .help = "table, json, csv, markdown or latex (`mebench list reports`)"},
    {.name = "baselines", .type = ME_OPT_BOOL, AT(baselines), .fallback = "true",
     .help = "ground truth, copy-source and chance"},
    {.name = "published", .type = ME_OPT_BOOL, AT(published), .fallback = "true",
     .help = "published rows of the same subset"},
    {.name = "source-table", .type = ME_OPT_BOOL, AT(source_table), .fallback = "true",
     .help = "the generated-to-source table too"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

static me_code run_report(eval_call *call, me_err *err)
{
    const options *o = call->options;
    const report *writer = report_find(o->format);
    if (!writer)
        return me_fail(err, ME_EUSAGE,
                       "--format: no report '%s' (`mebench list reports` names them)", o->format);
    const report_options r = {
        .published = o->published, .baselines = o->baselines, .source = o->source_table};
    me_value *result = NULL;
    me_code code = me_json_read(&result, call->arena, call->operand[0], err);
    if (!code) code = report_check(result, call->operand[0], err);
    return code ? code : writer->write(&call->out, result, &r, err);
}

const eval_command eval_command_report = {
    .name = "report",
    .usage = "report [options] RESULT.json",
    .summary = "a saved result as a table, csv, markdown or latex",
    .doc =
        "Reads a result document (`eval --json`, or result.json of `eval --out`), that of a study "
        "(results.json\n"
        "of `reproduce`) or that of a board (`leaderboard --format json`), and prints it in "
        "another "
        "form.",
    .options = table,
    .options_size = sizeof(options),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_report,
};
