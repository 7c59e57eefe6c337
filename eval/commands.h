/* eval/commands.h: the commands of the program, in the order of `mebench help`. To add one: a file
 * eval/commands/cmd_NAME.c that defines `const eval_command eval_command_NAME`, and its name in the
 * list.
 *
 * A command has one option table (core/opt.h), which gives its parsing and its --help. main()
 * parses, calls, prints errors and turns their code into the exit status; a command writes nothing
 * to stdout but its result, through eval_call.out.
 */
#ifndef EVAL_COMMANDS_H
#define EVAL_COMMANDS_H

#include <stdio.h>

#include "core/file.h"
#include "core/log.h"
#include "core/opt.h"

/* First member of every command's option struct; EVAL_COMMON_OPTIONS gives its rows. */
typedef struct eval_common {
    bool quiet, verbose;
    const char *config;
} eval_common;

// clang-format off
#define EVAL_COMMON_OPTIONS                                                                        \
    {.name = "config", .type = ME_OPT_STRING, .offset = offsetof(eval_common, config),             \
     .value = "FILE", .help = "read options from a JSON object first; flags win"},                 \
    {.name = "quiet", .type = ME_OPT_BOOL, .offset = offsetof(eval_common, quiet),                 \
     .help = "no progress and no notes on stderr; warnings stay"},                                 \
    {.name = "verbose", .type = ME_OPT_BOOL, .offset = offsetof(eval_common, verbose),             \
     .help = "say more on stderr (also -v)"},                                                      \
    {.name = NULL}
// clang-format on

typedef struct eval_call {
    const void *options; /* the command's struct, filled */
    int operands;
    char **operand;
    me_log *log;
    me_arena *arena; /* for the duration of the command */
    me_writer out;   /* stdout; main() checks it at the end */
} eval_call;

typedef struct eval_command eval_command;
struct eval_command {
    const char *name;
    const char *usage;   /* "inspect [options] FILE…" */
    const char *summary; /* one line */
    const char *doc;     /* what --help prints between usage and options */
    const me_opt *options;
    /* NULL, or gives the table in place of `options` where it depends on the words of the command
     * line (train: on --model). --help calls it too; without words it gives the default's. */
    me_code (*table)(const me_opt **out, me_arena *arena, int argc, char **argv, me_err *err);
    size_t options_size;
    int min_operands, max_operands; /* max -1: any number */
    me_code (*run)(eval_call *call, me_err *err);
};

// clang-format off
#define COMMAND_LIST(X)                                                                            \
    X(eval)                                                                                        \
    X(embed)                                                                                       \
    X(report)                                                                                      \
    X(leaderboard)                                                                                 \
    X(compare)                                                                                     \
    X(submit)                                                                                      \
    X(inspect)                                                                                     \
    X(convert)                                                                                     \
    X(synth)                                                                                       \
    X(pairs)                                                                                       \
    X(train)                                                                                       \
    X(sample)                                                                                      \
    X(edit)                                                                                        \
    X(reproduce)                                                                                   \
    X(retrieve)                                                                                    \
    X(similarity)                                                                                  \
    X(list)                                                                                        \
    X(selftest)                                                                                    \
    X(help)                                                                                        \
    X(version)
// clang-format on

#define X(id) extern const eval_command eval_command_##id;
COMMAND_LIST(X)
#undef X

extern const eval_command *const eval_commands[]; /* NULL-terminated */
const eval_command *eval_command_find(const char *name);
/* Fails with ME_EUSAGE, naming the nearest command. */
me_code eval_command_unknown(const char *name, me_err *err);

/* The overview of all commands, and the page of one. */
void eval_print_overview(me_writer *out);
me_code eval_print_help(me_writer *out, me_arena *arena, const eval_command *command, int argc,
                        char **argv, me_err *err);
/* The options that a command takes with these words. */
me_code eval_command_table(const me_opt **out, const eval_command *command, me_arena *arena,
                           int argc, char **argv, me_err *err);
/* The filled options of a command that the program itself calls: defaults, then `given`, a
 * dictionary as --config reads it. */
me_code eval_command_fill(void **out, const eval_command *command, me_arena *arena,
                          const me_value *given, me_err *err);

#endif
