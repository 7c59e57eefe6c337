/* eval/commands/cmd_reproduce.c: `mebench reproduce`: a whole study from one JSON file, to its
 * table. What it does is reproduce.h; here are its options, what it prints, and the example. */
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "eval/reproduce.h"
#include "eval/shared_options.h"
#include "reports/report.h"

typedef struct options {
    eval_common common;
    const char *out;
    bool dry_run, example;
    eval_report_choice report;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "DIR",
     .help = "where everything goes, and what a further call goes on with; without it FILE less .json (also -o)"},
    {.name = "dry-run", .type = ME_OPT_BOOL, AT(dry_run), .help = "check FILE and list the stages as commands, and which are done"},
    {.name = "example", .type = ME_OPT_BOOL, AT(example), .help = "print a file to start from"},
    {.name = "format", .type = ME_OPT_STRING, AT(report.format), .fallback = "table", .value = "NAME",
     .help = "of what is printed: table, json, csv, markdown or latex (`mebench list reports`)"},
    {.name = "baselines", .type = ME_OPT_BOOL, AT(report.baselines), .fallback = "true",
     .help = "ground truth, copy-source and chance in the tables"},
    {.name = "published", .type = ME_OPT_BOOL, AT(report.published), .fallback = "true",
     .help = "published rows of the same subset in the tables"},
    {.name = "source-table", .type = ME_OPT_BOOL, AT(report.source_table), .fallback = "true",
     .help = "the generated-to-source table too"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

/* The example is read where it stands at build time, from the root of the repository. */
__asm__(".section .rodata\n"
        ".global eval_reproduce_example\n"
        "eval_reproduce_example:\n"
        ".incbin \"eval/reproduce_example.json\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char eval_reproduce_example[];

/* ---- stages as commands ------------------------------------------------------------------------
 */

static bool plain_word(const char *s)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_-./:,=+@%";
    return *s && s[strspn(s, safe)] == '\0';
}

static void put_word(me_writer *w, const char *s)
{
    if (plain_word(s)) {
        me_writer_printf(w, "%s", s);
        return;
    }
    me_writer_put(w, "'", 1);
    for (; *s; s++) me_writer_printf(w, *s == '\'' ? "'\\''" : "%c", *s);
    me_writer_put(w, "'", 1);
}

static void put_option(me_writer *w, me_arena *arena, const char *key, const me_value *v)
{
    char *text = NULL;
    if (v->kind == ME_BOOLEAN) {
        me_writer_printf(w, " --%s%s", v->as.boolean ? "" : "no-", key);
    } else if (v->kind == ME_STRING) {
        me_writer_printf(w, " --%s=", key);
        put_word(w, v->as.string.data);
    } else if (v->kind != ME_NONE && !me_json_text(&text, arena, v, NULL)) {
        me_writer_printf(w, " --%s %s", key, text);
    }
}

static void put_command(me_writer *w, me_arena *arena, const eval_stage *stage)
{
    const me_value *o = stage->options;
    me_writer_printf(w, "       mebench %s", stage->command->name);
    for (size_t i = 0; i < o->as.dict.length; i++)
        put_option(w, arena, o->as.dict.keys[i]->as.string.data, o->as.dict.values[i]);
    for (int i = 0; i < stage->operands; i++) {
        me_writer_put(w, " ", 1);
        put_word(w, stage->operand[i]);
    }
    me_writer_put(w, "\n", 1);
}

static void list_stages(eval_call *call, const eval_study *study)
{
    static const char *const states[] = {"open", "begun", "done"};
    int64_t done = 0;
    for (int64_t i = 0; i < study->stages; i++) {
        const eval_stage_state state = eval_stage_look(&study->stage[i]);
        done += state == EVAL_STAGE_DONE;
        me_writer_printf(&call->out, "%-6s %s\n", states[state], study->stage[i].title);
        put_command(&call->out, call->arena, &study->stage[i]);
    }
    me_writer_printf(&call->out, "%s: %lld rows, %lld stages, %lld done; results go to %s\n",
                     study->name, (long long)study->rows, (long long)study->stages, (long long)done,
                     study->out);
}

/* --out, or the file's name without .json; without slashes at the end. */
static char *folder_of(const options *o, const char *file, me_arena *arena)
{
    char *folder = me_arena_strdup(arena, o->out ? o->out : file);
    if (!folder) return NULL;
    size_t n = strlen(folder);
    if (!o->out && me_has_suffix(folder, ".json")) folder[n -= 5] = '\0';
    while (n > 1 && folder[n - 1] == '/') folder[--n] = '\0';
    return folder;
}

static me_code run_reproduce(eval_call *call, me_err *err)
{
    const options *o = call->options;
    const report *writer = NULL;
    const report_options reports = eval_report_options(&o->report);
    if (o->example) {
        me_writer_printf(&call->out, "%s", eval_reproduce_example);
        return ME_OK;
    }
    if (call->operands < 1)
        return me_fail(err, ME_EUSAGE,
                       "reproduce: the study's file is needed (--example prints one)");
    me_code code = eval_report_find(&writer, o->report.format, err);
    if (code) return code;
    eval_study study;
    me_value *document = NULL;
    const char *folder = folder_of(o, call->operand[0], call->arena);
    if (!folder) return me_fail_mem(err, "a study");
    if (!strcmp(folder, call->operand[0]))
        return me_fail(err, ME_EUSAGE, "reproduce: --out is needed: %s does not end with .json",
                       folder);
    code = eval_study_read(&study, call->arena, call->operand[0], folder, err);
    if (code) return code;
    if (o->dry_run) {
        list_stages(call, &study);
        return ME_OK;
    }
    code = eval_study_run_all(&study, call->arena, call->log, err);
    if (!code) code = eval_study_result(&document, &study, call->arena, err);
    int lock = -1;
    if (!code) code = eval_study_lock(&lock, call->arena, study.out, true, err);
    if (!code) code = report_write_all(study.out, "results", document, &reports, err);
    eval_study_unlock(lock);
    return code ? code : writer->write(&call->out, document, &reports, err);
}

const eval_command eval_command_reproduce = {
    .name = "reproduce",
    .usage = "reproduce [options] FILE.json",
    .summary = "a study from one file: train, sample, eval, table",
    .doc = "FILE names data, embedder, seeds and rows; a row is a model with its switches (or a "
           "checkpoint, or\n"
           "motions that are there). Every row is trained, sampled and scored once for each seed, "
           "and the\n"
           "table gives its mean with the interval over seeds, beside the published number of the "
           "same items.\n"
           "\"train\", \"sample\" and \"eval\" hold options of those commands, for all rows or in "
           "one. What is done\n"
           "is not done again: after a stop or a crash the same command goes on where it stood. "
           "Started several\n"
           "times at once, the processes share the work.",
    .options = table,
    .options_size = sizeof(options),
    .max_operands = 1,
    .run = run_reproduce,
};
