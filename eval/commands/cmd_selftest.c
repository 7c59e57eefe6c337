/* eval/commands/cmd_selftest.c: `mebench selftest`: every operation of the back ends against double
 * precision, their gradients against finite differences, or their speed. */
#include <string.h>

#include "eval/commands.h"
#include "nn/selftest.h"

typedef struct options {
    eval_common common;
    const char *device, *op;
    int64_t threads;
    bool grad, perf, list;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "device", .type = ME_OPT_STRING, AT(device), .fallback = "cpu", .value = "NAME",
     .help = "cpu, cuda or cuda:N"},
    {.name = "grad", .type = ME_OPT_BOOL, AT(grad), .help = "backward passes against finite differences"},
    {.name = "perf", .type = ME_OPT_BOOL, AT(perf), .help = "times, as CSV"},
    {.name = "op", .type = ME_OPT_STRING, AT(op), .value = "TEXT", .help = "only operations whose name contains it"},
    {.name = "list", .type = ME_OPT_BOOL, AT(list), .help = "name the cases and run none"},
    {.name = "threads", .type = ME_OPT_INT, AT(threads), .fallback = "0", .lo = 0, .hi = 4096, .value = "N",
     .help = "of the cpu back end; 0: all cores"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

static void put_line(void *arg, const char *text)
{
    me_writer_printf(arg, "%s\n", text);
}

static me_code run_selftest(eval_call *call, me_err *err)
{
    const options *o = call->options;
    if (o->grad && o->perf) return me_fail(err, ME_EUSAGE, "selftest: --grad or --perf, not both");
    const nn_selftest_options test = {.device = o->device,
                                      .threads = (int)o->threads,
                                      .mode = o->perf   ? NN_SELFTEST_PERF
                                              : o->grad ? NN_SELFTEST_GRAD
                                                        : NN_SELFTEST_CHECK,
                                      .op = o->op,
                                      .list = o->list,
                                      .failures_only = o->common.quiet,
                                      .line = put_line,
                                      .arg = &call->out};
    int passed = 0, failed = 0;
    me_code code = nn_selftest(&test, &passed, &failed, err);
    if (code || o->list || o->perf) return code;
    me_writer_printf(&call->out, "%d passed, %d failed\n", passed, failed);
    if (failed)
        return me_fail(err, ME_ECHECK, "selftest: %d of %d cases failed", failed, passed + failed);
    return passed ? ME_OK
                  : me_fail(err, ME_EUSAGE, "selftest: no case of that name (--list names them)");
}

const eval_command eval_command_selftest = {
    .name = "selftest",
    .usage = "selftest [--device NAME] [--grad | --perf] [options]",
    .summary = "check the numerical operations on this machine, or time them",
    .doc = "Runs every operation on odd sizes against a plain loop in double precision; the GPU is "
           "also\n"
           "compared with the CPU, and results must not depend on batch or threads.",
    .options = table,
    .options_size = sizeof(options),
    .run = run_selftest,
};
