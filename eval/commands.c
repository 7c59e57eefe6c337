/* eval/commands.c: the table of commands and their help. */
#include "eval/commands.h"

#include <string.h>

#include "core/version.h"

const eval_command *const eval_commands[] = {
#define X(id) &eval_command_##id,
    COMMAND_LIST(X)
#undef X
        NULL};

enum {
#define X(id) COMMAND_##id,
    COMMAND_LIST(X)
#undef X
        COMMAND_COUNT
};

const eval_command *eval_command_find(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(eval_commands[i]->name, name)) return eval_commands[i];
    return NULL;
}

me_code eval_command_unknown(const char *name, me_err *err)
{
    const char *names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++) names[i] = eval_commands[i]->name;
    const char *near = me_nearest(name, names, COMMAND_COUNT);
    return me_fail(err, ME_EUSAGE,
                   near ? "no command '%s' (did you mean '%s'?)" : "no command '%s'", name, near);
}

void eval_print_overview(me_writer *out)
{
    me_writer_printf(out,
                     "mebench %s: measures text-driven human motion editing\n\n"
                     "usage: mebench COMMAND [options] [FILE...]\n\ncommands:\n",
                     me_version());
    for (int i = 0; i < COMMAND_COUNT; i++)
        me_writer_printf(out, "  %-11s %s\n", eval_commands[i]->name, eval_commands[i]->summary);
    me_writer_printf(
        out,
        "\n`mebench help COMMAND` or `mebench COMMAND --help` says more.\n"
        "Results go to stdout; progress, notes and warnings to stderr.\n"
        "Exit status: 0 ok, 1 a check failed, 2 usage, 3 bad input, 4 device or memory, 5 bug.\n");
}

me_code eval_command_table(const me_opt **out, const eval_command *command, me_arena *arena,
                           int argc, char **argv, me_err *err)
{
    *out = command->options;
    return command->table ? command->table(out, arena, argc, argv, err) : ME_OK;
}

me_code eval_command_fill(void **out, const eval_command *command, me_arena *arena,
                          const me_value *given, me_err *err)
{
    const me_opt *table;
    const size_t n = given->kind == ME_DICT ? given->as.dict.length : 0;
    char **words = ME_NEW_ARRAY(arena, n + 1, char *);
    int count = 0;
    *out = me_arena_alloc(arena, 1, command->options_size);
    if (!words || !*out) return me_fail_mem(err, "options");
    /* A table may depend on the words of the command line: those of all texts. */
    for (size_t i = 0; i < n; i++) {
        const me_value *key = given->as.dict.keys[i], *value = given->as.dict.values[i];
        if (key->kind != ME_STRING || value->kind != ME_STRING) continue;
        words[count] =
            me_arena_printf(arena, "--%s=%s", key->as.string.data, value->as.string.data);
        if (!words[count++]) return me_fail_mem(err, "options");
    }
    me_code code = eval_command_table(&table, command, arena, count, words, err);
    if (!code) code = me_opt_defaults(table, *out, arena, err);
    return code ? code : me_opt_from_value(table, *out, arena, given, err);
}

me_code eval_print_help(me_writer *out, me_arena *arena, const eval_command *command, int argc,
                        char **argv, me_err *err)
{
    const me_opt *table;
    me_code code = eval_command_table(&table, command, arena, argc, argv, err);
    if (code) return code;
    me_writer_printf(out, "usage: mebench %s\n\n%s\n", command->usage, command->doc);
    if (!table) return ME_OK;
    char *options = me_opt_help(table, arena);
    if (!options) return me_fail_mem(err, "help");
    me_writer_printf(out, "\noptions:\n%s", options);
    return ME_OK;
}
