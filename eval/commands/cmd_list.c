/* eval/commands/cmd_list.c: `mebench list`: the registries, with the documentation that their
 * entries carry. */
#include <string.h>

#include "baselines/baseline.h"
#include "eval/commands.h"
#include "eval/traps.h"
#include "metrics/metrics.h"
#include "models/models.h"
#include "nn/backend.h"
#include "reports/report.h"

typedef struct options {
    eval_common common;
} options;

static const me_opt table[] = {EVAL_COMMON_OPTIONS};

static void list_metrics(me_writer *w, bool docs)
{
    for (int i = 0; metric_list[i]; i++) {
        const metric *m = metric_list[i];
        me_writer_printf(w, "%-14s %-4s %s is better%s%s\n", m->name, m->unit,
                         m->better == METRIC_HIGHER ? "higher" : "lower",
                         m->params ? ", parameters " : "", m->params ? m->params : "");
        if (docs) me_writer_printf(w, "%s\nSource: %s\n\n", m->doc, m->cite);
    }
}

static void list_baselines(me_writer *w, bool docs)
{
    for (int i = 0; baseline_list[i]; i++) {
        const baseline *b = baseline_list[i];
        me_writer_printf(w, "%s%s\n", b->name, b->seeded ? " (seeded)" : "");
        if (docs) me_writer_printf(w, "%s\nSource: %s\n\n", b->doc, b->cite);
    }
}

static void list_models(me_writer *w, bool docs)
{
    for (int i = 0; model_list[i]; i++) {
        me_writer_printf(w, "%s\n", model_list[i]->name);
        if (docs)
            me_writer_printf(w, "%s\nSource: %s\n\n", model_list[i]->doc, model_list[i]->cite);
    }
}

static void list_reports(me_writer *w, bool docs)
{
    for (int i = 0; report_list[i]; i++) {
        me_writer_printf(w, "%-10s .%s\n", report_list[i]->name, report_list[i]->extension);
        if (docs) me_writer_printf(w, "%s\n\n", report_list[i]->doc);
    }
}

static void list_traps(me_writer *w, bool docs)
{
    for (int i = 0; i < eval_trap_count; i++) {
        const eval_trap *t = &eval_traps[i];
        me_writer_printf(w, "%2d %-9s %s\n", t->id, eval_trap_level_name(t->level), t->trap);
        if (docs) me_writer_printf(w, "   here: %s\n", t->answer);
    }
}

static void list_devices(me_writer *w, bool docs)
{
    static const char *const names[] = {"cpu", "cuda"};
    for (int i = 0; i < 2; i++) {
        nn_backend *be = NULL;
        me_err why = {0};
        if (nn_backend_open(&be, names[i], 0, &why)) {
            me_writer_printf(w, "%-5s not available%s%s\n", names[i], docs ? ": " : "",
                             docs ? why.msg : "");
            continue;
        }
        me_writer_printf(w, "%-5s %s\n", names[i], be->device);
        nn_backend_close(be);
    }
}

static void list_commands(me_writer *w, bool docs)
{
    for (int i = 0; eval_commands[i]; i++) {
        me_writer_printf(w, "%-11s %s\n", eval_commands[i]->name, eval_commands[i]->summary);
        if (docs) me_writer_printf(w, "%s\n\n", eval_commands[i]->doc);
    }
}

static const struct {
    const char *name;
    void (*print)(me_writer *w, bool docs);
} registries[] = {
    {"metrics", list_metrics},   {"baselines", list_baselines}, {"models", list_models},
    {"reports", list_reports},   {"devices", list_devices},     {"traps", list_traps},
    {"commands", list_commands},
};

static me_code run_list(eval_call *call, me_err *err)
{
    const options *o = call->options;
    enum { N = sizeof registries / sizeof *registries };
    const char *names[N];
    for (int i = 0; i < N; i++) {
        names[i] = registries[i].name;
        if (strcmp(call->operand[0], names[i])) continue;
        registries[i].print(&call->out, o->common.verbose);
        return ME_OK;
    }
    const char *near = me_nearest(call->operand[0], names, N);
    return me_fail(err, ME_EUSAGE, "no list of '%s' (%s%s%s)", call->operand[0],
                   near ? "did you mean '" : "",
                   near ? near : "metrics, baselines, models, reports, devices, traps, commands",
                   near ? "'?" : "");
}

const eval_command eval_command_list = {
    .name = "list",
    .usage = "list metrics|baselines|models|reports|devices|traps|commands [-v]",
    .summary = "metrics, baselines, models, reports, devices, traps; -v with their documentation",
    .doc =
        "Prints one of the program's lists; with -v what each entry is, and where it comes from.",
    .options = table,
    .options_size = sizeof(options),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_list,
};
