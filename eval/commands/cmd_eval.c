/* eval/commands/cmd_eval.c: `mebench eval`: a dataset, a set of generated motions and an embedder
 * give the tables of the papers, with what they leave out. */
#include <string.h>

#include "core/json.h"
#include "core/npy.h"
#include "eval/commands.h"
#include "eval/run.h"
#include "eval/shared_options.h"
#include "metrics/result.h"
#include "nn/backend.h"
#include "reports/report.h"

typedef struct options {
    eval_common common;
    const char *dataset, *generated, *tmr, *splits, *split, *subset, *protocol;
    const char *device, *precision, *gelu, *out, *name;
    int64_t threads, batch_size, resamples, shuffles, seed;
    bool json, strict, orthonormalise, align_heading, duplicates, embeddings;
    eval_report_choice report;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "dataset", .type = ME_OPT_STRING, AT(dataset), .value = "FILE",
     .help = "motionfix_test.pth.tar, or a dataset that convert, synth or pairs wrote"},
    {.name = "generated", .type = ME_OPT_STRING, AT(generated), .value = "DIR",
     .help = "folder or zip of KEY.npy, one npz or safetensors; baseline:NAME; or editor:FILE, whose motions are made first"},
    {.name = "tmr", .type = ME_OPT_STRING, AT(tmr), .value = "DIR",
     .help = "the evaluator's eval-deps folder, one file of `convert`, or random:SEED"},
    {.name = "protocol", .type = ME_OPT_STRING, AT(protocol), .fallback = "batch32,full", .value = "LIST",
     .help = "batch32, full or both, separated by a comma"},
    EVAL_DEVICE_OPTIONS(options),
    {.name = "gelu", .type = ME_OPT_CHOICE, AT(gelu), .fallback = "tanh", .choices = "tanh|erf|both",
     .help = "tanh as published numbers were computed, erf as defined; both says how many ranks differ"},
    {.name = "splits", .type = ME_OPT_STRING, AT(splits), .value = "FILE",
     .help = "splits.json; without it one beside the dataset is read, if any"},
    {.name = "split", .type = ME_OPT_STRING, AT(split), .value = "NAME",
     .help = "train, val, test or all; test where splits are known"},
    {.name = "subset", .type = ME_OPT_STRING, AT(subset), .fallback = "all", .value = "NAME",
     .help = "all, legacy506-simmotionedit, legacy506-omnime, or a file of keys"},
    {.name = "strict", .type = ME_OPT_BOOL, AT(strict),
     .help = "missing or extra samples are an error (exit status 3)"},
    {.name = "baselines", .type = ME_OPT_BOOL, AT(report.baselines), .fallback = "true",
     .help = "ground truth, copy-source and chance beside the samples"},
    {.name = "published", .type = ME_OPT_BOOL, AT(report.published), .fallback = "true",
     .help = "published rows of the same subset in tables"},
    {.name = "source-table", .type = ME_OPT_BOOL, AT(report.source_table), .fallback = "true",
     .help = "the generated-to-source table too"},
    {.name = "orthonormalise", .type = ME_OPT_BOOL, AT(orthonormalise),
     .help = "an extra row: generated rotations made orthonormal"},
    {.name = "align-heading", .type = ME_OPT_BOOL, AT(align_heading),
     .help = "an extra row: generations turned to their source's first heading"},
    {.name = "duplicates", .type = ME_OPT_BOOL, AT(duplicates),
     .help = "list the keys of identical motions on stderr"},
    {.name = "resamples", .type = ME_OPT_INT, AT(resamples), .fallback = "1000", .lo = 0, .hi = 1e6, .value = "N",
     .help = "of the bootstrap behind the intervals; 0: none"},
    {.name = "shuffles", .type = ME_OPT_INT, AT(shuffles), .fallback = "20", .lo = 0, .hi = 10000, .value = "N",
     .help = "other shuffles of batch32, for mean and s.d."},
    {.name = "seed", .type = ME_OPT_INT, AT(seed), .fallback = "0", .lo = 0, .hi = 9007199254740992.0, .value = "N",
     .help = "of the bootstrap, the FID floor and seeded baselines; batch32 keeps the reference's 0"},
    {.name = "batch-size", .type = ME_OPT_INT, AT(batch_size), .fallback = "0", .lo = 0, .hi = 1e6, .value = "N",
     .help = "motions encoded at once at most; 0: by memory. Results do not depend on it"},
    {.name = "name", .type = ME_OPT_STRING, AT(name), .value = "TEXT", .help = "of the result's row"},
    {.name = "json", .type = ME_OPT_BOOL, AT(json), .help = "the result document; same as --format json"},
    {.name = "format", .type = ME_OPT_STRING, AT(report.format), .fallback = "table", .value = "NAME",
     .help = "table, json, csv, markdown or latex (`mebench list reports`)"},
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "DIR",
     .help = "also write result.json, ranks.csv and every report there (also -o)"},
    {.name = "embeddings", .type = ME_OPT_BOOL, AT(embeddings),
     .help = "with --out: embeddings_{source,target,generated}.npy too"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

static me_code need(const char *value, const char *option, me_err *err)
{
    return value ? ME_OK : me_fail(err, ME_EUSAGE, "eval: --%s is needed", option);
}

static me_code parse_protocols(eval_options *out, const char *list, me_arena *arena, me_err *err)
{
    out->full = out->batch32 = false;
    char *rest = me_arena_strdup(arena, list), *save = NULL;
    if (!rest) return me_fail_mem(err, "options");
    for (char *p = strtok_r(rest, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        if (!strcmp(p, "full"))
            out->full = true;
        else if (!strcmp(p, "batch32"))
            out->batch32 = true;
        else
            return me_fail(err, ME_EUSAGE, "--protocol: no protocol '%s' (batch32, full)", p);
    }
    return out->full || out->batch32 ? ME_OK
                                     : me_fail(err, ME_EUSAGE, "--protocol: batch32, full or both");
}

static void list_groups(me_log *log, const eval_run *r, const char *what, const int64_t *group)
{
    const int64_t n = r->selected.n;
    for (int64_t first = 0; first < n; first++) {
        char line[400];
        size_t used = 0;
        int64_t members = 0;
        for (int64_t i = first; i < n && group[first] == first; i++) {
            if (group[i] != first) continue;
            members++;
            if (used + strlen(r->selected.keys[i]) + 8 < sizeof line)
                used +=
                    (size_t)snprintf(line + used, sizeof line - used, " %s", r->selected.keys[i]);
        }
        if (members > 1) me_info(log, "identical %s:%s", what, line);
    }
}

static me_code write_embeddings(const eval_run *r, const char *folder, me_arena *arena, me_err *err)
{
    static const char *const names[] = {"source", "target", "generated"};
    const int64_t shape[] = {r->selected.n, r->encoder.config.width};
    me_code code = ME_OK;
    for (int i = 0; i < 3 && !code; i++) {
        const char *path = me_arena_printf(arena, "%s/embeddings_%s.npy", folder, names[i]);
        const me_array a = me_array_make(ME_F32, 2, shape, r->embedding[i]);
        code = me_npy_write(path, &a, err);
    }
    return code;
}

static me_code write_folder(const eval_run *r, const options *o, const report_options *reports,
                            me_arena *arena, me_err *err)
{
    me_code code = me_make_directories(o->out, err);
    if (!code)
        code = metric_ranks_write(me_path_join(arena, o->out, "ranks.csv"), &r->evaluation, err);
    if (!code && o->embeddings) code = write_embeddings(r, o->out, arena, err);
    return code ? code : report_write_all(o->out, "result", r->result, reports, err);
}

static me_code run_eval(eval_call *call, me_err *err)
{
    const options *o = call->options;
    eval_options run = eval_options_default();
    const report *writer = NULL;
    const report_options reports = eval_report_options(&o->report);
    me_code code = need(o->dataset, "dataset", err);
    if (!code) code = need(o->generated, "generated", err);
    if (!code) code = need(o->tmr, "tmr", err);
    if (!code) code = parse_protocols(&run, o->protocol, call->arena, err);
    if (!code) code = eval_report_find(&writer, o->json ? "json" : o->report.format, err);
    if (!code && o->embeddings && !o->out)
        code = me_fail(err, ME_EUSAGE, "--embeddings needs --out DIR");
    if (code) return code;

    run.dataset = o->dataset;
    run.generated = o->generated;
    run.tmr = o->tmr;
    run.splits = o->splits;
    run.split = o->split;
    run.subset = o->subset;
    run.device = o->device;
    run.threads = (int)o->threads;
    run.precision = eval_precision(o->precision);
    run.gelu = eval_gelu(o->gelu);
    run.both_gelu = !strcmp(o->gelu, "both");
    run.baselines = o->report.baselines;
    run.strict = o->strict;
    run.orthonormalise = o->orthonormalise;
    run.align_heading = o->align_heading;
    run.batch_clips = o->batch_size;
    run.resamples = (int)o->resamples;
    run.other_shuffles = (int)o->shuffles;
    run.seed = (uint64_t)o->seed;
    run.name = o->name;

    eval_run r;
    code = eval_run_open(&r, &run, call->log, err);
    if (code) return code;
    if (o->duplicates) {
        list_groups(call->log, &r, "sources", r.evaluation.source_groups.group);
        list_groups(call->log, &r, "targets", r.evaluation.target_groups.group);
        list_groups(call->log, &r, "generated", r.evaluation.generated_groups.group);
    }
    if (o->out) code = write_folder(&r, o, &reports, call->arena, err);
    if (!code) code = writer->write(&call->out, r.result, &reports, err);
    me_log_write(call->log, ME_LOG_DEBUG,
                 "%s: read %.3f s, embedded %lld distinct motions of %lld frames in %.3f s, scored "
                 "in %.3f s",
                 r.be->device, r.seconds_read, (long long)r.report.distinct,
                 (long long)r.report.frames, r.seconds_embed, r.seconds_score);
    eval_run_close(&r);
    return code;
}

const eval_command eval_command_eval = {
    .name = "eval",
    .usage = "eval --dataset FILE --generated DIR --tmr DIR [options]",
    .summary = "score generated motions: retrieval in both protocols, FID, intervals",
    .doc = "Embeds source, target and generated motions, and ranks them as the field's evaluator "
           "does:\n"
           "in one gallery of all (full) and in shuffled galleries of 32 (batch32), towards "
           "targets and\n"
           "towards sources. The table says how many samples were scored and what was left out;\n"
           "`mebench list traps` explains the warnings.",
    .options = table,
    .options_size = sizeof(options),
    .run = run_eval,
};
