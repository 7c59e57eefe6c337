/* eval/commands/cmd_help.c: `mebench help [COMMAND]` and `mebench version`. */
#include "core/version.h"
#include "eval/commands.h"

typedef struct options {
    eval_common common;
} options;

static const me_opt table[] = {EVAL_COMMON_OPTIONS};

static me_code run_help(eval_call *call, me_err *err)
{
    if (!call->operands) {
        eval_print_overview(&call->out);
        return ME_OK;
    }
    const eval_command *c = eval_command_find(call->operand[0]);
    return c ? eval_print_help(&call->out, call->arena, c, 0, NULL, err)
             : eval_command_unknown(call->operand[0], err);
}

const eval_command eval_command_help = {
    .name = "help",
    .usage = "help [COMMAND]",
    .summary = "this overview, or the page of one command",
    .doc = "Prints the list of commands, or what one command does and which options it takes.",
    .options = table,
    .options_size = sizeof(options),
    .max_operands = 1,
    .run = run_help,
};

static me_code run_version(eval_call *call, me_err *err)
{
    (void)err;
    me_writer_printf(&call->out, "mebench %s (%s)\n", me_version(), me_git());
    return ME_OK;
}

const eval_command eval_command_version = {
    .name = "version",
    .usage = "version",
    .summary = "version and commit",
    .doc = "Prints the version and the commit that the program was built from.",
    .options = table,
    .options_size = sizeof(options),
    .run = run_version,
};
