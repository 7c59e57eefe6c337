/* eval/commands/cmd_edit.c: `mebench edit`: one motion, edited by one instruction. */
#include <string.h>

#include "eval/editing.h"
#include "motion/bvh.h"

typedef struct options {
    eval_common common;
    const char *motion, *key, *text, *out;
    int64_t frames;
    bool align;
    eval_editing_options editing;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt own_table[] = {
    {.name = "motion", .type = ME_OPT_STRING, AT(motion), .value = "FILE", .help = "the motion to edit: .npy, .bvh, or a dataset or set with --key"},
    {.name = "key", .type = ME_OPT_STRING, AT(key), .value = "KEY", .help = "which motion of FILE; of a dataset, that pair's source"},
    {.name = "text", .type = ME_OPT_STRING, AT(text), .value = "TEXT", .help = "the instruction; of a dataset's pair, its own where none is given"},
    {.name = "frames", .type = ME_OPT_INT, AT(frames), .fallback = "0", .lo = 0, .hi = 2000, .value = "N", .help = "of the result, at 30 a second; 0: as many as the motion has"},
    {.name = "align", .type = ME_OPT_BOOL, AT(align), .fallback = "true", .help = "the result starts where the motion starts, and faces as it does"},
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "FILE", .help = ".npy or .bvh (also -o)"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

static me_code edit_table(const me_opt **out, me_arena *arena, int argc, char **argv, me_err *err)
{
    (void)argc;
    (void)argv;
    const me_opt_part parts[] = {{own_table, 0}, {eval_editing_table, offsetof(options, editing)}};
    *out = me_opt_join(parts, 2, arena);
    return *out ? ME_OK : me_fail_mem(err, "options");
}

/* ---- the motion
 * ---------------------------------------------------------------------------------------- */

typedef struct subject {
    motion_clip clip; /* in the call's arena */
    const char *key, *text;
} subject;

static me_code copy_clip(motion_clip *out, me_arena *arena, const motion_clip *from, me_err *err)
{
    me_code code = motion_clip_new(out, arena, from->frames, from->joints != NULL, err);
    if (code) return code;
    memcpy(out->pose, from->pose, (size_t)(from->frames * MOTION_POSE) * sizeof *out->pose);
    if (from->joints)
        memcpy(out->joints, from->joints,
               (size_t)(from->frames * MOTION_JOINTS * 3) * sizeof *out->joints);
    return ME_OK;
}

static me_code read_bvh(subject *s, const char *path, me_arena *arena, me_err *err)
{
    motion_bvh bvh;
    me_code code = motion_bvh_open(&bvh, path, err);
    if (code) return code;
    code = motion_bvh_to_clip(&s->clip, arena, &bvh, NULL, err);
    if (code) me_err_prefix(err, "%s", path);
    motion_bvh_close(&bvh);
    return code;
}

static me_code read_set(subject *s, const options *o, me_arena *arena, me_err *err)
{
    motion_set set;
    me_code code = motion_set_open(&set, o->motion, err);
    if (code) return code;
    const motion_sample *found = o->key       ? motion_set_find(&set, o->key)
                                 : set.n == 1 ? &set.samples[0]
                                              : NULL;
    if (!found)
        code = me_fail(err, ME_EUSAGE, "%s holds %lld motions: name one of them with --key%s",
                       o->motion, (long long)set.n, o->key ? " (that one is not there)" : "");
    if (!code) code = copy_clip(&s->clip, arena, &found->clip, err);
    motion_set_close(&set);
    return code;
}

static me_code read_dataset(subject *s, const options *o, me_arena *arena, me_err *err)
{
    motion_dataset d;
    me_code code =
        motion_dataset_open(&d, o->motion, &(motion_dataset_options){.joints = true}, err);
    if (code) return code;
    const motion_pair *pair = o->key ? motion_dataset_find(&d, o->key) : NULL;
    if (!pair)
        code = me_fail(err, ME_EUSAGE, "%s is a dataset of %lld pairs: name one with --key%s",
                       o->motion, (long long)d.n, o->key ? " (that one is not there)" : "");
    if (!code) code = copy_clip(&s->clip, arena, &pair->source, err);
    if (!code && pair->text && !(s->text = me_arena_strdup(arena, pair->text)))
        code = me_fail_mem(err, "the text");
    motion_dataset_close(&d);
    return code;
}

static me_code read_subject(subject *s, const options *o, me_arena *arena, me_err *err)
{
    *s = (subject){.key = o->key ? o->key : "edit"};
    if (me_has_suffix(o->motion, ".bvh")) return read_bvh(s, o->motion, arena, err);
    const bool set = me_is_directory(o->motion) || me_has_suffix(o->motion, ".npy") ||
                     me_has_suffix(o->motion, ".npz") || me_has_suffix(o->motion, ".zip");
    return set ? read_set(s, o, arena, err) : read_dataset(s, o, arena, err);
}

/* ---- the result
 * ---------------------------------------------------------------------------------------- */

typedef struct result {
    const options *o;
    const subject *from;
    const char *text;
    me_arena *arena;
} result;

/* The editor's world is turned so that it begins facing ahead, at the mean place of its data. */
static void align(motion_clip *clip, const motion_clip *with)
{
    motion_set_heading(clip, motion_heading(with->pose));
    float shift[3];
    for (int c = 0; c < 3; c++) shift[c] = with->pose[c] - clip->pose[c];
    for (int64_t i = 0; i < clip->frames; i++)
        for (int c = 0; c < 3; c++) clip->pose[i * MOTION_POSE + c] += shift[c];
}

static me_code write_result(void *arg, int64_t job, const motion_clip *made, me_err *err)
{
    const result *r = arg;
    const char *path = r->o->out, *base = me_path_base(path);
    motion_clip clip;
    (void)job;
    me_code code = copy_clip(&clip, r->arena, made, err);
    if (code) return code;
    motion_orthonormalize(clip.pose, clip.frames);
    if (r->o->align) align(&clip, &r->from->clip);
    if (me_has_suffix(path, ".bvh")) return motion_bvh_write(path, &motion_mean_body, &clip, err);
    const char *folder =
        base == path ? "." : me_arena_strndup(r->arena, path, (size_t)(base - path));
    const char *stem = me_arena_strndup(r->arena, base, strlen(base) - 4);
    return folder && stem ? motion_sample_write_npy(folder, stem, &clip, r->text, err)
                          : me_fail_mem(err, path);
}

static me_code check(const options *o, me_err *err)
{
    if (!o->motion) return me_fail(err, ME_EUSAGE, "edit: --motion is needed");
    if (!o->out) return me_fail(err, ME_EUSAGE, "edit: --out is needed");
    if (!me_has_suffix(o->out, ".npy") && !me_has_suffix(o->out, ".bvh"))
        return me_fail(err, ME_EUSAGE, "edit: %s: the result goes to .npy or .bvh", o->out);
    return ME_OK;
}

static me_code run_edit(eval_call *call, me_err *err)
{
    const options *o = call->options;
    subject s;
    eval_editing editing;
    me_code code = check(o, err);
    if (!code) code = read_subject(&s, o, call->arena, err);
    if (code) return code;
    const char *text = o->text ? o->text : s.text;
    if (!text) return me_fail(err, ME_EUSAGE, "edit: --text is needed: what to change");
    code = eval_editing_open(&editing, &o->editing, call->log, err);
    if (code) return code;
    result r = {o, &s, text, call->arena};
    const model_sample_job job = {.key = s.key,
                                  .text = text,
                                  .source = &s.clip,
                                  .frames = o->frames ? o->frames : s.clip.frames};
    code = model_sample(&editing.file, editing.text, &job, 1, &editing.how, write_result, &r, err);
    if (!code) me_writer_printf(&call->out, "%s: %lld frames\n", o->out, (long long)job.frames);
    eval_editing_close(&editing);
    return code;
}

const eval_command eval_command_edit = {
    .name = "edit",
    .usage = "edit --model FILE --motion FILE --text TEXT --out FILE [options]",
    .summary = "one motion by one instruction",
    .doc = "Edits a motion with a trained editor. Without --no-align the result starts where the "
           "motion starts.",
    .table = edit_table,
    .options_size = sizeof(options),
    .run = run_edit,
};
