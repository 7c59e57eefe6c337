/* eval/commands/cmd_train.c: `mebench train`: a model of the registry (models/models.h) on a
 * dataset, through the one training loop (models/trainer.h). */
#include <assert.h>
#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "eval/commands.h"
#include "eval/shared_options.h"
#include "models/models.h"
#include "models/trainer.h"
#include "nn/backend.h"

typedef struct options {
    eval_common common;
    const char *model, *dataset, *splits, *out, *text, *text_cache;
    bool resume, json, save_export;
    const char *device, *precision;
    int64_t threads;
    model_train_options train;
    union { /* of the model's own table */
        max_align_t align;
        unsigned char bytes[1024];
    } own;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt own_table[] = {
    {.name = "model", .type = ME_OPT_STRING, AT(model), .fallback = "tmr", .value = "NAME",
     .help = "what to train; `mebench list models` names them. The options below are those of this model"},
    {.name = "dataset", .type = ME_OPT_STRING, AT(dataset), .value = "FILE", .help = "MotionFix's joblib form, or our safetensors form"},
    {.name = "splits", .type = ME_OPT_STRING, AT(splits), .value = "FILE", .help = "splits.json; without it one beside the dataset, if any"},
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "DIR", .help = "checkpoint, curves, options and what others load (also -o)"},
    {.name = "text", .type = ME_OPT_STRING, AT(text), .fallback = "hash", .value = "NAME",
     .help = "text encoder: clip:DIR, hash, or hash:WIDTH"},
    {.name = "text-cache", .type = ME_OPT_STRING, AT(text_cache), .value = "DIR",
     .help = "where encoded texts are kept; without it ~/.cache/mebench, empty: nowhere"},
    {.name = "resume", .type = ME_OPT_BOOL, AT(resume), .help = "go on from OUT/last.safetensors where it exists"},
    {.name = "json", .type = ME_OPT_BOOL, AT(json), .help = "the summary as JSON"},
    {.name = "export", .type = ME_OPT_BOOL, AT(save_export), .fallback = "true",
     .help = "at the end, write what users of the model load into OUT/MODEL"},
    EVAL_DEVICE_OPTIONS(options),
    EVAL_COMMON_OPTIONS,
};
// clang-format on

/* The only thing in this program that a signal writes. */
static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

/* The first signal asks to stop. A second ^C ends the program as it would have without us; a second
 * SIGTERM does not, since timeout(1) and batch systems send one to the process and one to its
 * group.
 */
static void catch_signals(struct sigaction before[2])
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, &before[0]);
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, &before[1]);
}

/* Other work may follow, which a signal ends at once. */
static void release_signals(const struct sigaction before[2])
{
    sigaction(SIGTERM, &before[0], NULL);
    sigaction(SIGINT, &before[1], NULL);
}

/* ---- options -----------------------------------------------------------------------------------
 */

/* The last --model among the words, or that of the file that --config names. */
static me_code model_name(const char **out, me_arena *arena, int argc, char **argv, me_err *err)
{
    const char *config = NULL;
    *out = NULL;
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strncmp(argv[i], "--model=", 8)) *out = argv[i] + 8;
        if (!strcmp(argv[i], "--model") && next) *out = next;
        if (!strncmp(argv[i], "--config=", 9)) config = argv[i] + 9;
        if (!strcmp(argv[i], "--config") && next) config = next;
    }
    if (!*out && config) {
        me_value *values = NULL;
        me_code code = me_json_read(&values, arena, config, err);
        if (code) return code;
        const me_value *name = me_dict_get(values, "model");
        if (name && name->kind == ME_STRING) *out = name->as.string.data;
    }
    if (!*out) *out = model_list[0]->name;
    return ME_OK;
}

static me_code train_table(const me_opt **out, me_arena *arena, int argc, char **argv, me_err *err)
{
    const char *name;
    const model_kind *kind = NULL;
    me_code code = model_name(&name, arena, argc, argv, err);
    if (!code) code = model_find(&kind, name, err);
    if (code) return code;
    assert(kind->options_size <= sizeof((options *)NULL)->own);
    const me_opt_part parts[] = {{own_table, 0},
                                 {model_train_table, offsetof(options, train)},
                                 {kind->options, offsetof(options, own)}};
    *out = me_opt_join(parts, 3, arena);
    return *out ? ME_OK : me_fail_mem(err, "options");
}

static me_code check(const options *o, me_err *err)
{
    if (!o->dataset) return me_fail(err, ME_EUSAGE, "train: --dataset is needed");
    if (!o->out) return me_fail(err, ME_EUSAGE, "train: --out is needed");
    return ME_OK;
}

/* ---- one run -----------------------------------------------------------------------------------
 */

typedef struct training {
    const options *o;
    const model_kind *kind;
    motion_dataset data;
    nn_backend *be;
    nn_text *text;
    model *m;
    me_value *echo; /* of all that was used */
} training;

static me_code put(training *t, me_arena *arena, const char *key, const char *text, me_err *err)
{
    me_value *v = text ? me_value_string(arena, text) : me_value_new(arena, ME_NONE);
    return v ? me_dict_put(arena, t->echo, key, v, err) : me_fail_mem(err, "options");
}

static me_code append(me_value *to, me_arena *arena, const me_opt *table, const void *from,
                      me_err *err)
{
    const me_value *echo = me_opt_echo(table, from, arena);
    me_code code = echo ? ME_OK : me_fail_mem(err, "options");
    for (size_t i = 0; !code && i < echo->as.dict.length; i++)
        code = me_dict_set(arena, to, echo->as.dict.keys[i], echo->as.dict.values[i], err);
    return code;
}

static me_code echo_options(training *t, me_arena *arena, me_err *err)
{
    const options *o = t->o;
    t->echo = me_value_new(arena, ME_DICT);
    me_code code = t->echo ? ME_OK : me_fail_mem(err, "options");
    if (!code) code = put(t, arena, "model", t->kind->name, err);
    if (!code) code = put(t, arena, "dataset", o->dataset, err);
    if (!code) code = put(t, arena, "splits", o->splits, err);
    if (!code) code = put(t, arena, "dataset_sha256", t->data.sha256, err);
    if (!code) code = put(t, arena, "text", o->text, err);
    if (!code) code = put(t, arena, "text_identity", nn_text_identity(t->text), err);
    if (!code) code = put(t, arena, "device", t->be->device, err);
    if (!code) code = put(t, arena, "precision", o->precision, err);
    if (!code) code = append(t->echo, arena, model_train_table, &o->train, err);
    return code ? code : append(t->echo, arena, t->kind->options, &o->own, err);
}

/* One line: the options that are not as they are by default. */
static void log_options(const me_opt *table, const void *from, me_arena *arena, me_log *log)
{
    const me_value *echo = me_opt_echo(table, from, arena);
    const char *text = "";
    for (size_t i = 0; echo && text && table[i].name; i++) {
        char *now = NULL;
        if (me_json_text(&now, arena, echo->as.dict.values[i], NULL)) return;
        const me_value *v = echo->as.dict.values[i];
        const char *plain = v->kind == ME_STRING ? v->as.string.data : now;
        const char *fallback = table[i].fallback;
        const bool number = v->kind == ME_INT || v->kind == ME_FLOAT;
        if (fallback &&
            (number ? strtod(now, NULL) == strtod(fallback, NULL) : !strcmp(plain, fallback)))
            continue;
        text = me_arena_printf(arena, "%s  %s %s", text, table[i].name, plain);
    }
    if (text && *text) me_info(log, "options that are not default:%s", text);
}

static me_code open_all(training *t, eval_call *call, me_err *err)
{
    const options *o = t->o;
    const nn_precision precision = eval_precision(o->precision);
    me_code code = nn_backend_open(&t->be, o->device, (int)o->threads, err);
    if (!code)
        code =
            nn_text_open(&t->text, o->text, t->be, &(nn_text_options){.cache = o->text_cache}, err);
    if (!code)
        code = motion_dataset_open(
            &t->data, o->dataset,
            &(motion_dataset_options){.splits = o->splits, .joints = true, .hash = true}, err);
    if (code) return code;
    for (int64_t i = 0; i < t->data.notes.n; i++) me_warn(call->log, "%s", t->data.notes.items[i]);
    const model_setup setup = {.be = t->be,
                               .data = &t->data,
                               .text = t->text,
                               .options = &o->own,
                               .seed = (uint64_t)o->train.seed,
                               .precision = precision,
                               .log = call->log};
    return t->kind->open(&t->m, &setup, err);
}

static void close_all(training *t)
{
    if (t->m) t->m->kind->close(t->m);
    motion_dataset_close(&t->data);
    nn_text_close(t->text);
    if (t->be) nn_backend_close(t->be);
}

/* ---- the summary -------------------------------------------------------------------------------
 */

static me_value *finite(me_arena *arena, double x)
{
    return x == x ? me_value_float(arena, x) : me_value_new(arena, ME_NONE);
}

static me_code summary_json(eval_call *call, const training *t, const model_train_result *r,
                            me_err *err)
{
    me_arena *a = call->arena;
    me_value *root = me_value_new(a, ME_DICT), *scores = me_value_new(a, ME_DICT);
    if (!root || !scores) return me_fail_mem(err, "the summary");
    char *text = NULL;
    const struct {
        const char *key;
        me_value *value;
    } rows[] = {{"schema", me_value_string(a, "mebench.training/1")},
                {"model", me_value_string(a, t->kind->name)},
                {"finished", me_value_bool(a, r->finished)},
                {"step", me_value_int(a, r->step)},
                {"steps", me_value_int(a, r->steps)},
                {"items", me_value_int(a, t->m->items)},
                {"loss", finite(a, r->loss)},
                {"seconds", me_value_float(a, r->seconds)},
                {"steps_per_second", me_value_float(a, r->steps_per_second)},
                {"device", me_value_string(a, t->be->device)},
                {"validated", me_value_int(a, r->scores.items)},
                {"scores", scores},
                {"options", t->echo}};
    me_code code = ME_OK;
    for (int i = 0; i < r->scores.n && !code; i++)
        code = me_dict_put(a, scores, r->scores.name[i], finite(a, r->scores.value[i]), err);
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !code; i++)
        code = me_dict_put(a, root, rows[i].key, rows[i].value, err);
    if (!code && r->peak_bytes)
        code = me_dict_put(a, root, "device_memory", me_value_int(a, (int64_t)r->peak_bytes), err);
    if (!code) code = me_json_text(&text, a, root, err);
    if (!code) me_writer_printf(&call->out, "%s\n", text);
    return code;
}

static void summary_text(eval_call *call, const training *t, const model_train_result *r)
{
    me_writer *w = &call->out;
    me_writer_printf(w, "%s: %s at step %lld of %lld, loss %.4f\n", t->kind->name,
                     r->finished ? "trained" : "stopped", (long long)r->step, (long long)r->steps,
                     r->loss);
    for (int i = 0; i < r->scores.n; i++)
        if (r->scores.value[i] == r->scores.value[i])
            me_writer_printf(w, "  %-18s %8.2f\n", r->scores.name[i], r->scores.value[i]);
    me_info(call->log, "%.1f s, %.1f steps/s on %s", r->seconds, r->steps_per_second,
            t->be->device);
    if (r->peak_bytes)
        me_info(call->log, "at most %.2f GiB of its memory", (double)r->peak_bytes / 0x1p30);
}

static me_code run_train(eval_call *call, me_err *err)
{
    const options *o = call->options;
    training t = {.o = o};
    me_code code = check(o, err);
    if (!code) code = model_find(&t.kind, o->model, err);
    if (code) return code;
    struct sigaction before[2];
    catch_signals(before);
    if (o->threads > 0) omp_set_num_threads((int)o->threads);
    log_options(model_train_table, &o->train, call->arena, call->log);
    log_options(t.kind->options, &o->own, call->arena, call->log);
    code = open_all(&t, call, err);
    if (!code) code = echo_options(&t, call->arena, err);
    const model_train_run run = {.out = o->out,
                                 .resume = o->resume,
                                 .dataset_sha256 = t.data.sha256,
                                 .text_identity = t.text ? nn_text_identity(t.text) : NULL,
                                 .stop = &stop_asked,
                                 .precision = eval_precision(o->precision),
                                 .log = call->log};
    model_train_result r;
    if (!code) code = model_train(t.m, &o->train, &run, t.echo, &r, err);
    if (!code && r.finished && o->save_export && t.kind->export_to)
        code = t.kind->export_to(t.m, me_path_join(call->arena, o->out, t.kind->name), err);
    if (!code && !r.finished)
        me_info(call->log, "stopped and saved at step %lld; the same command with --resume goes on",
                (long long)r.step);
    if (!code && o->json) code = summary_json(call, &t, &r, err);
    if (!code && !o->json) summary_text(call, &t, &r);
    close_all(&t);
    release_signals(before);
    return code;
}

const eval_command eval_command_train = {
    .name = "train",
    .usage = "train --model NAME --dataset FILE --out DIR [options]",
    .summary = "train TMR or an editor",
    .doc = "Writes OUT/last.safetensors (weights, optimiser, step, statistics, provenance), "
           "curves.csv,\n"
           "validation.csv, TensorBoard events, options.json and, at the end, OUT/MODEL: for tmr "
           "the folder\n"
           "that `mebench eval --tmr` reads. SIGINT and SIGTERM save and end; --resume continues "
           "bit-equal\n"
           "to a run that was never stopped.",
    .options = own_table,
    .table = train_table,
    .options_size = sizeof(options),
    .run = run_train,
};
