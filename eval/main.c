/* eval/main.c: the program. Finds the command, parses its options, runs it, and turns an error into
 * two lines on stderr and an exit status (style: 0 ok, 1 a check failed, 2 usage, 3 bad input, 4
 * device or memory, 5 bug). */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "eval/commands.h"

static int fail(const me_err *err, const char *command)
{
    fprintf(stderr, "mebench: %s\n", err->msg);
    if (err->code == ME_EUSAGE)
        fprintf(stderr, command ? "Try 'mebench help %s'.\n" : "Try 'mebench help'.\n", command);
    return me_code_exit_status(err->code);
}

/* A write to stdout that failed is a failure of the program: a truncated result must not look
 * whole. */
static me_code finish_stdout(me_writer *out, me_err *err)
{
    if (out->err.code) return me_fail(err, out->err.code, "stdout: %s", out->err.msg);
    if (fflush(stdout) || ferror(stdout))
        return me_fail(err, ME_EIO, "stdout: could not be written (disk full or pipe closed?)");
    return ME_OK;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

/* The few short options, spelt out before parsing. */
static void spell_out(int argc, char **argv)
{
    static char verbose[] = "--verbose", quiet[] = "--quiet", out[] = "--out";
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], "-v")) argv[i] = verbose;
        if (!strcmp(argv[i], "-q")) argv[i] = quiet;
        if (!strcmp(argv[i], "-o")) argv[i] = out;
    }
}

/* Defaults, then --config FILE, then flags: flags are parsed twice, the first time to find the
 * file. */
static me_code parse(const eval_command *c, void *target, me_arena *arena, int argc, char **argv,
                     int *operands, me_err *err)
{
    const me_opt *table;
    me_code code = eval_command_table(&table, c, arena, argc, argv, err);
    if (!code) code = me_opt_defaults(table, target, arena, err);
    char **copy = ME_NEW_ARRAY(arena, argc + 1, char *);
    if (!copy) return me_fail_mem(err, "options");
    memcpy(copy, argv, (size_t)argc * sizeof *copy);
    if (!code) code = me_opt_parse(table, target, arena, argc, copy, operands, err);
    const char *config = code ? NULL : ((const eval_common *)target)->config;
    if (config) {
        me_value *values = NULL;
        code = me_json_read(&values, arena, config, err);
        if (!code) code = me_opt_defaults(table, target, arena, err);
        if (!code && (code = me_opt_from_value(table, target, arena, values, err)))
            me_err_prefix(err, "%s", config);
    }
    if (!code) code = me_opt_parse(table, target, arena, argc, argv, operands, err);
    if (!code && *operands < c->min_operands)
        code = me_fail(err, ME_EUSAGE, "%s: %d operand%s expected, %d given", c->name,
                       c->min_operands, c->min_operands == 1 ? "" : "s", *operands);
    if (!code && c->max_operands >= 0 && *operands > c->max_operands)
        code =
            me_fail(err, ME_EUSAGE, "%s: unexpected operand '%s'", c->name, argv[c->max_operands]);
    return code;
}

static me_code run(const eval_command *c, me_writer *out, me_arena *arena, int argc, char **argv,
                   me_err *err)
{
    if (asks_for_help(argc, argv)) return eval_print_help(out, arena, c, argc, argv, err);
    eval_common *options = me_arena_alloc(arena, 1, c->options_size);
    if (!options) return me_fail_mem(err, "options");
    eval_call call = {.options = options, .operand = argv, .arena = arena, .out = *out};
    spell_out(argc, argv);
    me_code code = parse(c, options, arena, argc, argv, &call.operands, err);
    if (code) return code;
    me_log log;
    me_log_init(&log, options->quiet     ? ME_LOG_WARNING
                      : options->verbose ? ME_LOG_DEBUG
                                         : ME_LOG_INFO);
    if (options->quiet) log.tty = false;
    call.log = &log;
    code = c->run(&call, err);
    me_progress_end(&log);
    *out = call.out;
    return code;
}

/* GNU's OpenMP lets threads that wait spin for milliseconds, and beside other work on the same
 * cores that makes a run a hundred times as long. It reads its settings before main, so the program
 * starts itself again with a short spin; a user's own setting of either kind is left as it is. */
static void wait_briefly(char **argv)
{
    char self[PATH_MAX];
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0 || setenv("GOMP_SPINCOUNT", "1000", 1)) return;
    self[n] = 0;
    execv(self, argv); /* where this fails, the threads spin */
}

int main(int argc, char **argv)
{
    wait_briefly(argv);
    me_err err = {0};
    me_arena arena;
    me_arena_init(&arena);
    me_writer out = {.stream = stdout};
    const char *name = argc > 1 ? argv[1] : NULL;
    const eval_command *command = NULL;
    me_code code = ME_OK;

    if (!name)
        code = me_fail(&err, ME_EUSAGE, "a command is needed");
    else if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        eval_print_overview(&out);
    else {
        if (!strcmp(name, "--version") || !strcmp(name, "-V")) name = "version";
        command = eval_command_find(name);
        code = command ? run(command, &out, &arena, argc - 2, argv + 2, &err)
                       : eval_command_unknown(name, &err);
    }
    /* What a failing check has found is still its result. */
    me_err late = {0};
    if ((!code || code == ME_ECHECK) && finish_stdout(&out, &late)) {
        code = late.code;
        err = late;
    }
    me_arena_release(&arena);
    return code ? fail(&err, command ? command->name : NULL) : EXIT_SUCCESS;
}
