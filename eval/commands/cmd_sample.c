/* eval/commands/cmd_sample.c: `mebench sample`: a trained editor's motions for a split, as the
 * field's KEY.npy files, and what they were made with as sampling.json beside them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/safetensors.h"
#include "core/version.h"
#include "eval/editing.h"
#include "eval/selection.h"

typedef struct options {
    eval_common common;
    const char *dataset, *splits, *split, *subset, *out, *tensors;
    bool resume;
    const char *heading;
    eval_editing_options editing;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt own_table[] = {
    {.name = "dataset", .type = ME_OPT_STRING, AT(dataset), .value = "FILE", .help = "sources, texts, and the lengths of targets"},
    {.name = "splits", .type = ME_OPT_STRING, AT(splits), .value = "FILE", .help = "splits.json; without it one beside the dataset, if any"},
    {.name = "split", .type = ME_OPT_STRING, AT(split), .value = "NAME", .help = "train, val, test or all; test where splits are known"},
    {.name = "subset", .type = ME_OPT_STRING, AT(subset), .value = "NAME", .help = "as of eval: all, legacy506-simmotionedit, legacy506-omnime, or a file of keys"},
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "DIR", .help = "folder for KEY.npy (also -o)"},
    {.name = "safetensors", .type = ME_OPT_STRING, AT(tensors), .value = "FILE", .help = "all motions in one file, too"},
    {.name = "resume", .type = ME_OPT_BOOL, AT(resume), .help = "leave what OUT already holds, made with the same options"},
    {.name = "heading", .type = ME_OPT_CHOICE, AT(heading), .fallback = "zero", .choices = "zero|source",
     .help = "where a motion first faces: zero as the reference's decoder leaves it (trap 12), or as its source"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

static me_code sample_table(const me_opt **out, me_arena *arena, int argc, char **argv, me_err *err)
{
    (void)argc;
    (void)argv;
    const me_opt_part parts[] = {{own_table, 0}, {eval_editing_table, offsetof(options, editing)}};
    *out = me_opt_join(parts, 2, arena);
    return *out ? ME_OK : me_fail_mem(err, "options");
}

typedef struct sampling {
    const options *o;
    motion_dataset data;
    eval_selection selected;
    eval_editing editing;
    me_arena *arena;
    model_sample_job *jobs; /* those that are not there yet */
    int64_t n, there;
    const char **texts; /* (n) as the dataset has them */
    me_value *tensors;  /* NULL: not wanted */
} sampling;

/* ---- what the samples were made with
 * ------------------------------------------------------------------ */

/* Whatever decides about the motions, and nothing else: a resumed run must have the same text. */
static me_code describe(char **out, const sampling *s, me_err *err)
{
    me_arena *a = s->arena;
    const model_sample_options *how = &s->editing.how;
    const int64_t steps = how->steps ? how->steps : s->editing.file.net.config.steps;
    const int64_t s_max = how->s_max == MODEL_S_MAX_OF_FILE ? s->editing.file.s_max : how->s_max;
    me_value *v = me_value_new(a, ME_DICT);
    const struct {
        const char *key;
        me_value *value;
    } entries[] = {
        {"schema", me_value_string(a, "mebench.sampling/1")},
        {"mebench", me_value_string(a, me_version())},
        {"model_sha256", me_value_string(a, s->editing.file.sha256)},
        {"model", me_value_string(a, s->editing.file.kind)},
        {"dataset_sha256", me_value_string(a, s->data.sha256)},
        {"split", me_value_string(a, s->selected.split)},
        {"text", me_value_string(a, nn_text_identity(s->editing.text))},
        {"steps", me_value_int(a, steps)},
        {"guidance_text_and_motion", me_value_float(a, how->both)},
        {"guidance_motion", me_value_float(a, how->motion)},
        {"cfg", me_value_string(a, s->o->editing.cfg)},
        {"uncond_mask", me_value_string(a, s->o->editing.uncond_mask)},
        {"s_max", me_value_int(a, s_max)},
        {"batch", me_value_int(a, s_max ? 0 : how->batch)},
        {"seed", me_value_int(a, s->o->editing.seed)},
        {"heading", me_value_string(a, s->o->heading)},
        {"precision", me_value_string(a, s->o->editing.precision)},
    };
    me_code code = ME_OK;
    for (size_t i = 0; i < sizeof entries / sizeof *entries && !code; i++)
        code = me_dict_put(a, v, entries[i].key, entries[i].value, err);
    return code ? code : me_json_text(out, a, v, err);
}

/* Leaves sampling.json in the folder; with --resume an equal one must be there, or none. */
static me_code note_or_compare(const sampling *s, me_err *err)
{
    const char *path = me_path_join(s->arena, s->o->out, "sampling.json");
    char *now = NULL, *before = NULL;
    me_code code = path ? describe(&now, s, err) : me_fail_mem(err, "sampling.json");
    if (code) return code;
    if (s->o->resume && me_file_exists(path)) {
        me_value *old = NULL;
        code = me_json_read(&old, s->arena, path, err);
        if (!code) code = me_json_text(&before, s->arena, old, err);
        if (!code && strcmp(now, before) != 0)
            code = me_fail(err, ME_EDATA,
                           "%s: those samples were made with other options or another model; give "
                           "another --out",
                           path);
        return code;
    }
    code = me_make_directories(s->o->out, err);
    now = me_arena_printf(s->arena, "%s\n", now);
    if (!code && !now) code = me_fail_mem(err, "sampling.json");
    return code ? code : me_file_write(path, now, strlen(now), err);
}

/* ---- the run
 * ------------------------------------------------------------------------------------------ */

static me_code choose_jobs(sampling *s, me_err *err)
{
    s->jobs = ME_NEW_ARRAY(s->arena, s->selected.n, model_sample_job);
    s->texts = ME_NEW_ARRAY(s->arena, s->selected.n, const char *);
    if (!s->jobs || !s->texts) return me_fail_mem(err, "the samples");
    for (int64_t i = 0; i < s->selected.n; i++) {
        const motion_pair *p = &s->data.pairs[s->selected.pair[i]];
        const char *file = me_arena_printf(s->arena, "%s/%s.npy", s->o->out, p->key);
        if (!file) return me_fail_mem(err, "the samples");
        if (s->o->resume && me_file_exists(file)) {
            s->there++;
            continue;
        }
        s->texts[s->n] = p->text;
        s->jobs[s->n++] = (model_sample_job){
            .key = p->key, .text = p->text, .source = &p->source, .frames = p->target.frames};
    }
    return ME_OK;
}

static me_code write_motion(const sampling *s, int64_t job, const motion_clip *clip, me_err *err)
{
    const char *key = s->jobs[job].key;
    me_code code = motion_sample_write_npy(s->o->out, key, clip, s->texts[job], err);
    if (code || !s->tensors) return code;
    const int64_t shape[] = {clip->frames, MOTION_POSE};
    const size_t bytes = (size_t)(clip->frames * MOTION_POSE) * sizeof *clip->pose;
    float *copy = me_arena_alloc(s->arena, 1, bytes);
    if (!copy) return me_fail_mem(err, "the samples");
    memcpy(copy, clip->pose, bytes);
    return me_dict_put(s->arena, s->tensors, key, me_value_array(s->arena, ME_F32, 2, shape, copy),
                       err);
}

static me_code keep(void *arg, int64_t job, const motion_clip *clip, me_err *err)
{
    const sampling *s = arg;
    if (strcmp(s->o->heading, "source") != 0) return write_motion(s, job, clip, err);
    const size_t bytes = (size_t)(clip->frames * MOTION_POSE) * sizeof *clip->pose;
    motion_clip turned = {.frames = clip->frames, .pose = malloc(bytes)};
    if (!turned.pose) return me_fail_mem(err, "a sample");
    memcpy(turned.pose, clip->pose, bytes);
    motion_set_heading(&turned, motion_heading(s->jobs[job].source->pose));
    me_code code = write_motion(s, job, &turned, err);
    free(turned.pose);
    return code;
}

/* The dataset is read while the device is opened and the model goes there. */
typedef struct reading {
    motion_dataset *data;
    const options *o;
    me_code code;
    me_err err;
} reading;

static void *read_dataset(void *arg)
{
    reading *r = arg;
    const motion_dataset_options how = {.splits = r->o->splits, .joints = true, .hash = true};
    r->code = motion_dataset_open(r->data, r->o->dataset, &how, &r->err);
    return NULL;
}

static me_code prepare(sampling *s, eval_call *call, me_err *err)
{
    const options *o = s->o;
    reading r = {.data = &s->data, .o = o};
    pthread_t thread;
    const bool beside = pthread_create(&thread, NULL, read_dataset, &r) == 0;
    if (!beside) read_dataset(&r);
    me_code code = eval_editing_open(&s->editing, &o->editing, call->log, err);
    if (beside) pthread_join(thread, NULL);
    for (int64_t i = 0; i < s->data.notes.n; i++) me_warn(call->log, "%s", s->data.notes.items[i]);
    if (!code && r.code) code = me_fail(err, r.code, "%s", r.err.msg);
    if (!code) code = eval_select(&s->selected, call->arena, &s->data, o->split, o->subset, err);
    if (!code) code = note_or_compare(s, err);
    return code ? code : choose_jobs(s, err);
}

static me_code run_sample(eval_call *call, me_err *err)
{
    const options *o = call->options;
    if (!o->dataset) return me_fail(err, ME_EUSAGE, "sample: --dataset is needed");
    if (!o->out) return me_fail(err, ME_EUSAGE, "sample: --out is needed");
    if (o->resume && o->tensors)
        return me_fail(err, ME_EUSAGE,
                       "sample: --safetensors holds what this run makes, so it does not go with "
                       "--resume; `mebench convert DIR FILE.safetensors` makes it of a folder");
    sampling s = {.o = o, .arena = call->arena};
    me_code code = prepare(&s, call, err);
    if (!code && o->tensors && !(s.tensors = me_value_new(call->arena, ME_DICT)))
        code = me_fail_mem(err, "the samples");
    const double start = me_seconds();
    if (!code)
        code = model_sample(&s.editing.file, s.editing.text, s.jobs, s.n, &s.editing.how, keep, &s,
                            err);
    if (!code && s.tensors) code = me_safetensors_write(o->tensors, s.tensors, NULL, err);
    if (!code) {
        me_info(call->log, "%.1f s on %s", me_seconds() - start, s.editing.be->device);
        me_writer_printf(&call->out, "%s: %lld samples", o->out, (long long)s.n);
        if (s.there) me_writer_printf(&call->out, ", %lld were there", (long long)s.there);
        me_writer_printf(&call->out, "\n");
    }
    eval_editing_close(&s.editing);
    motion_dataset_close(&s.data);
    return code;
}

const eval_command eval_command_sample = {
    .name = "sample",
    .usage = "sample --model FILE --dataset FILE --out DIR [options]",
    .summary = "a trained editor's motions for a split",
    .doc = "Writes KEY.npy for every pair of the split, as long as its target, which `mebench eval "
           "--generated`\nreads. A sample follows from model, source, text, key and seed: it does "
           "not depend on what else\nis sampled.",
    .table = sample_table,
    .options_size = sizeof(options),
    .run = run_sample,
};
