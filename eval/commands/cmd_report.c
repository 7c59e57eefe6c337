/* eval/commands/cmd_report.c: `mebench report`: a saved result document as a table, CSV, Markdown
 * or LaTeX. */
#include "core/json.h"
#include "eval/commands.h"
#include "eval/shared_options.h"
#include "reports/report.h"

typedef struct options {
    eval_common common;
    eval_report_choice report;
} options;

// clang-format off
static const me_opt table[] = {
    EVAL_REPORT_OPTIONS(options),
    EVAL_COMMON_OPTIONS,
};
// clang-format on

static me_code run_report(eval_call *call, me_err *err)
{
    const options *o = call->options;
    const report *writer = NULL;
    const report_options r = eval_report_options(&o->report);
    me_value *result = NULL;
    me_code code = eval_report_find(&writer, o->report.format, err);
    if (!code) code = me_json_read(&result, call->arena, call->operand[0], err);
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
