/* eval/commands/cmd_convert.c: `mebench convert`: between the forms in which motions, datasets,
 * embedders and trained models come. What to do follows from the input's kind and the output's
 * name. */
#include <string.h>

#include "baselines/baseline.h"
#include "core/safetensors.h"
#include "eval/commands.h"
#include "models/checkpoint.h"
#include "models/omnime_file.h"
#include "motion/bvh.h"
#include "nn/backend.h"
#include "tmr/weights.h"

typedef struct options {
    eval_common common;
    double fps, scale;
    int64_t drop_first;
    bool y_up, half;
    const char *splits, *baseline;
    int64_t seed;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "fps", .type = ME_OPT_FLOAT, AT(fps), .fallback = "30", .lo = 1, .hi = 1000, .value = "X",
     .help = "of a motion made from BVH"},
    {.name = "scale", .type = ME_OPT_FLOAT, AT(scale), .fallback = "0", .lo = 0, .hi = 1000, .value = "X",
     .help = "metres per BVH unit; 0: by rig"},
    {.name = "y-up", .type = ME_OPT_BOOL, AT(y_up), .help = "keep BVH's Y up; without it motions are turned to Z up"},
    {.name = "drop-first", .type = ME_OPT_INT, AT(drop_first), .fallback = "-1", .lo = -1, .hi = 1e6, .value = "N",
     .help = "BVH frames to drop at the start; -1: a T-pose, if there is one"},
    {.name = "splits", .type = ME_OPT_STRING, AT(splits), .value = "FILE", .help = "splits.json of a dataset"},
    {.name = "baseline", .type = ME_OPT_STRING, AT(baseline), .value = "NAME",
     .help = "from a dataset, write this baseline's motions as sample files into the folder OUT"},
    {.name = "seed", .type = ME_OPT_INT, AT(seed), .fallback = "0", .lo = 0, .hi = 9007199254740992.0, .value = "N",
     .help = "of a seeded baseline"},
    {.name = "half", .type = ME_OPT_BOOL, AT(half), .help = "a checkpoint's weights as float16: half the file"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

/* ---- one motion or many
 * ----------------------------------------------------------------------------- */

/* File name without its last ending. */
static const char *stem(me_arena *arena, const char *path)
{
    const char *base = me_path_base(path), *dot = strrchr(base, '.');
    return me_arena_strndup(arena, base, dot && dot != base ? (size_t)(dot - base) : strlen(base));
}

static const char *folder_of(me_arena *arena, const char *path)
{
    const char *base = me_path_base(path);
    return base == path ? "." : me_arena_strndup(arena, path, (size_t)(base - path));
}

static me_code write_poses(const char *path, const motion_sample *samples, int64_t n,
                           me_arena *arena, me_err *err)
{
    me_value *tensors = me_value_new(arena, ME_DICT);
    me_code code = tensors ? ME_OK : me_fail_mem(err, path);
    for (int64_t i = 0; i < n && !code; i++) {
        const int64_t shape[] = {samples[i].clip.frames, MOTION_POSE};
        code = me_dict_put(arena, tensors, samples[i].key,
                           me_value_array(arena, ME_F32, 2, shape, samples[i].clip.pose), err);
    }
    return code ? code : me_safetensors_write(path, tensors, NULL, err);
}

static me_code write_motions(eval_call *call, const motion_sample *samples, int64_t n,
                             const char *path, me_err *err)
{
    me_code code;
    if (me_has_suffix(path, ".safetensors")) {
        code = write_poses(path, samples, n, call->arena, err);
    } else if (n != 1) {
        return me_fail(
            err, ME_EUSAGE,
            "convert: %lld motions do not go into %s (one motion goes to .npy or .bvh, many to "
            ".safetensors)",
            (long long)n, path);
    } else if (me_has_suffix(path, ".bvh")) {
        code = motion_bvh_write(path, &motion_mean_body, &samples[0].clip, err);
    } else {
        code = motion_sample_write_npy(folder_of(call->arena, path), stem(call->arena, path),
                                       &samples[0].clip, "", err);
    }
    int64_t frames = 0;
    for (int64_t i = 0; i < n; i++) frames += samples[i].clip.frames;
    if (!code)
        me_writer_printf(&call->out, "%s: %lld motion%s, %lld frames\n", path, (long long)n,
                         n == 1 ? "" : "s", (long long)frames);
    return code;
}

static me_code from_bvh(eval_call *call, const options *o, me_err *err)
{
    const motion_retarget_options how = {
        .fps = o->fps, .scale = o->scale, .y_up = o->y_up, .drop_first = (int)o->drop_first};
    motion_bvh bvh;
    me_code code = motion_bvh_open(&bvh, call->operand[0], err);
    if (code) return code;
    motion_sample sample = {.key = stem(call->arena, call->operand[0])};
    code = motion_bvh_to_clip(&sample.clip, call->arena, &bvh, &how, err);
    if (code)
        me_err_prefix(err, "%s", call->operand[0]);
    else
        code = write_motions(call, &sample, 1, call->operand[1], err);
    motion_bvh_close(&bvh);
    return code;
}

static me_code from_samples(eval_call *call, me_err *err)
{
    motion_set set;
    me_code code = motion_set_open(&set, call->operand[0], err);
    if (code) return code;
    for (int64_t i = 0; i < set.notes.n; i++) me_warn(call->log, "%s", set.notes.items[i]);
    code = set.n ? write_motions(call, set.samples, set.n, call->operand[1], err)
                 : me_fail(err, ME_EDATA, "%s: no motions there", call->operand[0]);
    motion_set_close(&set);
    return code;
}

/* ---- datasets and embedders
 * ------------------------------------------------------------------------- */

static me_code from_dataset(eval_call *call, const options *o, me_err *err)
{
    motion_dataset d;
    const motion_dataset_options how = {.splits = o->splits, .joints = true};
    me_code code = motion_dataset_open(&d, call->operand[0], &how, err);
    if (code) return code;
    for (int64_t i = 0; i < d.notes.n; i++) me_warn(call->log, "%s", d.notes.items[i]);
    code = motion_dataset_write(&d, call->operand[1], err);
    if (!code)
        me_writer_printf(&call->out, "%s: %lld pairs, %lld frames\n", call->operand[1],
                         (long long)d.n, (long long)d.frames);
    motion_dataset_close(&d);
    return code;
}

/* DIR/KEY.npy for every pair, as a model's sampler would write them. */
static me_code from_baseline(eval_call *call, const options *o, me_err *err)
{
    const char *folder = call->operand[1];
    const baseline *b = baseline_find(o->baseline);
    if (!b)
        return me_fail(err, ME_EUSAGE, "no baseline '%s' (`mebench list baselines` names them)",
                       o->baseline);
    motion_dataset d;
    me_code code = motion_dataset_open(&d, call->operand[0],
                                       &(motion_dataset_options){.splits = o->splits}, err);
    if (code) return code;
    motion_clip *clips = ME_NEW_ARRAY(call->arena, d.n, motion_clip);
    int64_t *all = ME_NEW_ARRAY(call->arena, d.n, int64_t);
    if (!clips || !all) code = me_fail_mem(err, "a baseline's motions");
    for (int64_t i = 0; i < d.n && !code; i++) all[i] = i;
    const baseline_input in = {.dataset = &d, .selected = all, .n = d.n, .seed = (uint64_t)o->seed};
    if (!code) code = b->make(clips, call->arena, &in, err);
    if (!code) code = me_make_directories(folder, err);
    for (int64_t i = 0; i < d.n && !code; i++)
        code = motion_sample_write_npy(folder, d.pairs[i].key, &clips[i], d.pairs[i].text, err);
    if (!code)
        me_writer_printf(&call->out, "%s: %lld samples of %s\n", folder, (long long)d.n, b->name);
    motion_dataset_close(&d);
    return code;
}

static me_code from_tmr(eval_call *call, me_err *err)
{
    nn_backend *be = NULL;
    tmr_encoder e;
    me_code code = nn_backend_open(&be, "cpu", 0, err);
    if (code) return code;
    code = tmr_open(&e, call->operand[0], be, err);
    if (!code) {
        for (int64_t i = 0; i < e.notes.n; i++) me_warn(call->log, "%s", e.notes.items[i]);
        code = tmr_write(call->operand[1], &e, err);
        if (!code)
            me_writer_printf(&call->out, "%s: TMR motion encoder, %d layers, content %s\n",
                             call->operand[1], e.config.layers, e.sha256);
        tmr_close(&e);
    }
    nn_backend_close(be);
    return code;
}

static me_code to_reference(eval_call *call, me_err *err)
{
    const char *out = call->operand[1];
    const char *stats =
        me_arena_printf(call->arena, "%.*s_stats.npy", (int)(strrchr(out, '.') - out), out);
    if (!stats) return me_fail_mem(err, out);
    me_code code = model_omnime_to_reference(out, stats, call->operand[0], err);
    if (!code)
        me_writer_printf(&call->out, "%s: weights under the reference's names; statistics: %s\n",
                         out, stats);
    return code;
}

static me_code from_checkpoint(eval_call *call, const options *o, me_err *err)
{
    if (!me_has_suffix(call->operand[1], ".safetensors")) return to_reference(call, err);
    me_code code = model_checkpoint_slim(call->operand[1], call->operand[0], o->half, err);
    if (!code)
        me_writer_printf(&call->out, "%s: weights of %s\n", call->operand[1], call->operand[0]);
    return code;
}

static me_code is_checkpoint(bool *out, me_arena *arena, const char *path, me_err *err)
{
    *out = false;
    if (!me_has_suffix(path, ".safetensors")) return ME_OK;
    me_value *metadata;
    me_code code = me_safetensors_metadata(&metadata, arena, path, err);
    if (code) return code;
    const me_value *schema = me_dict_get(metadata, "schema");
    *out = me_string_equals(schema, MODEL_CHECKPOINT_SCHEMA) ||
           me_string_equals(schema, MODEL_WEIGHTS_SCHEMA);
    return ME_OK;
}

static bool is_embedder(me_arena *arena, const char *path)
{
    return !strncmp(path, "random:", 7) ||
           (me_is_directory(path) && me_is_directory(me_path_join(arena, path, "stats")));
}

static me_code run_convert(eval_call *call, me_err *err)
{
    const options *o = call->options;
    const char *in = call->operand[0], *out = call->operand[1];
    if (o->baseline) return from_baseline(call, o, err);
    const bool to_tensors = me_has_suffix(out, ".safetensors"),
               to_joblib = me_has_suffix(out, ".pth.tar");
    const bool to_motion = me_has_suffix(out, ".npy") || me_has_suffix(out, ".bvh");
    const bool to_torch = me_has_suffix(out, ".ckpt") || me_has_suffix(out, ".pt");
    if (!to_tensors && !to_joblib && !to_motion && !to_torch)
        return me_fail(err, ME_EUSAGE,
                       "convert: %s: the output's ending says its form: .npy, .bvh, .pth.tar, "
                       ".safetensors or .ckpt",
                       out);
    if (is_embedder(call->arena, in))
        return to_tensors ? from_tmr(call, err)
                          : me_fail(err, ME_EUSAGE,
                                    "convert: an embedder goes to .safetensors, not to %s", out);
    bool checkpoint = false;
    me_code code =
        to_tensors || to_torch ? is_checkpoint(&checkpoint, call->arena, in, err) : ME_OK;
    if (code) return code;
    if (checkpoint) return from_checkpoint(call, o, err);
    if (to_torch)
        return me_fail(err, ME_EUSAGE, "convert: %s is made of a checkpoint of an editor", out);
    if (o->half)
        return me_fail(err, ME_EUSAGE, "convert: --half is for a checkpoint of `mebench train`");
    if (me_has_suffix(in, ".bvh") && !to_joblib) return from_bvh(call, o, err);
    const bool samples = me_is_directory(in) || me_has_suffix(in, ".npy") ||
                         me_has_suffix(in, ".npz") || me_has_suffix(in, ".zip");
    if (to_motion || (to_tensors && samples)) return from_samples(call, err);
    return from_dataset(call, o, err);
}

const eval_command eval_command_convert = {
    .name = "convert",
    .usage = "convert [options] IN OUT",
    .summary = "between forms of motions, datasets and embedders",
    .doc = "BVH to the 22-joint body (.npy sample or .safetensors) and back; a folder or zip of "
           "samples to one\n"
           ".safetensors; a dataset between MotionFix's .pth.tar and .safetensors; a TMR folder to "
           "one\n"
           "self-describing .safetensors; a checkpoint of `mebench train` to its weights alone, or "
           "an\n"
           "editor's to the reference's .ckpt with its statistics. The output's ending says which.",
    .options = table,
    .options_size = sizeof(options),
    .min_operands = 2,
    .max_operands = 2,
    .run = run_convert,
};
