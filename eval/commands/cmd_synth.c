/* eval/commands/cmd_synth.c: `mebench synth` and `mebench pairs`: editing benchmarks made here,
 * from a seed or from a folder of real motions. */
#include "eval/commands.h"
#include "motion/pairs.h"
#include "motion/synth.h"

typedef struct options {
    eval_common common;
    const char *out, *manifest;
    int64_t pairs, seed, min_frames, max_frames, per_window, stride, augment, limit;
    double val, test;
    bool joints;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt synth_table[] = {
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "FILE",
     .help = "the dataset: .pth.tar (MotionFix's form) or .safetensors; splits.json goes beside it (also -o)"},
    {.name = "pairs", .type = ME_OPT_INT, AT(pairs), .fallback = "1000", .lo = 1, .hi = 1e7, .value = "N",
     .help = "source, text, target triplets"},
    {.name = "seed", .type = ME_OPT_INT, AT(seed), .fallback = "0", .lo = 0, .hi = 9007199254740992.0, .value = "N",
     .help = "everything follows from it"},
    {.name = "min-frames", .type = ME_OPT_INT, AT(min_frames), .fallback = "40", .lo = 1, .hi = MOTION_SYNTH_LONG, .value = "N",
     .help = "of every motion, at 30 a second"},
    {.name = "max-frames", .type = ME_OPT_INT, AT(max_frames), .fallback = "200", .lo = MOTION_SYNTH_SHORT, .hi = MOTION_SYNTH_LONG, .value = "N",
     .help = "of every motion"},
    {.name = "val", .type = ME_OPT_FLOAT, AT(val), .fallback = "0.05", .lo = 0, .hi = 1, .value = "X",
     .help = "share of the validation split"},
    {.name = "test", .type = ME_OPT_FLOAT, AT(test), .fallback = "0.15", .lo = 0, .hi = 1, .value = "X",
     .help = "share of the test split"},
    {.name = "joints", .type = ME_OPT_BOOL, AT(joints), .fallback = "true", .help = "write joint positions"},
    EVAL_COMMON_OPTIONS,
};

static const me_opt pairs_table[] = {
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "FILE",
     .help = "the dataset: .pth.tar (MotionFix's form) or .safetensors; splits.json goes beside it (also -o)"},
    {.name = "per-window", .type = ME_OPT_INT, AT(per_window), .fallback = "4", .lo = 1, .hi = MOTION_PAIRS_MOST, .value = "N",
     .help = "pairs from each window of motion"},
    {.name = "min-frames", .type = ME_OPT_INT, AT(min_frames), .fallback = "60", .lo = 2, .hi = 4998, .value = "N",
     .help = "of a window, at 30 a second"},
    {.name = "max-frames", .type = ME_OPT_INT, AT(max_frames), .fallback = "150", .lo = 2, .hi = 4998, .value = "N",
     .help = "of a window"},
    {.name = "stride", .type = ME_OPT_INT, AT(stride), .fallback = "0", .lo = 0, .hi = 1e6, .value = "N",
     .help = "frames from one training window to the next; 0: half a window, as in val and test at least"},
    {.name = "augment", .type = ME_OPT_INT, AT(augment), .fallback = "0", .lo = 0, .hi = 1000, .value = "N",
     .help = "variations of each training window: mirrored, faster, slower, larger, smaller, other arms"},
    {.name = "limit", .type = ME_OPT_INT, AT(limit), .fallback = "0", .lo = 0, .hi = 1e9, .value = "N",
     .help = "pairs in all; 0: no limit"},
    {.name = "seed", .type = ME_OPT_INT, AT(seed), .fallback = "0", .lo = 0, .hi = 9007199254740992.0, .value = "N",
     .help = "of windows and edits"},
    {.name = "val", .type = ME_OPT_FLOAT, AT(val), .fallback = "0.1", .lo = 0, .hi = 1, .value = "X",
     .help = "share of subjects in the validation split"},
    {.name = "test", .type = ME_OPT_FLOAT, AT(test), .fallback = "0.2", .lo = 0, .hi = 1, .value = "X",
     .help = "share of subjects in the test split"},
    {.name = "manifest", .type = ME_OPT_STRING, AT(manifest), .value = "FILE",
     .help = "csv with columns file and description; without it manifest.csv in the folder, if any"},
    {.name = "joints", .type = ME_OPT_BOOL, AT(joints), .fallback = "true", .help = "write joint positions"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

static me_code check(const options *o, const char *command, me_err *err)
{
    if (!o->out) return me_fail(err, ME_EUSAGE, "%s: --out is needed", command);
    if (o->min_frames > o->max_frames)
        return me_fail(err, ME_EUSAGE, "%s: --min-frames %lld is more than --max-frames %lld",
                       command, (long long)o->min_frames, (long long)o->max_frames);
    if (o->val + o->test > 1)
        return me_fail(err, ME_EUSAGE, "%s: --val and --test are more than the whole", command);
    return ME_OK;
}

/* Writes the dataset and says what it holds; closes it. */
static me_code finish(eval_call *call, motion_dataset *d, const char *path, me_err *err)
{
    int64_t of[MOTION_UNSPLIT + 1] = {0};
    for (int64_t i = 0; i < d->n; i++) of[d->pairs[i].split]++;
    for (int64_t i = 0; i < d->notes.n; i++) me_warn(call->log, "%s", d->notes.items[i]);
    me_code code = motion_dataset_write(d, path, err);
    if (!code)
        me_writer_printf(&call->out,
                         "%s: %lld pairs (train %lld, val %lld, test %lld), %lld frames\n", path,
                         (long long)d->n, (long long)of[MOTION_TRAIN], (long long)of[MOTION_VAL],
                         (long long)of[MOTION_TEST], (long long)d->frames);
    motion_dataset_close(d);
    return code;
}

static me_code run_synth(eval_call *call, me_err *err)
{
    const options *o = call->options;
    me_code code = check(o, "synth", err);
    if (code) return code;
    motion_synth_options s = motion_synth_defaults(o->pairs, (uint64_t)o->seed);
    s.min_frames = o->min_frames;
    s.max_frames = o->max_frames;
    s.val_share = o->val;
    s.test_share = o->test;
    s.no_joints = !o->joints;
    motion_dataset d;
    code = motion_synth(&d, &s, call->log, err);
    return code ? code : finish(call, &d, o->out, err);
}

static me_code run_pairs(eval_call *call, me_err *err)
{
    const options *o = call->options;
    me_code code = check(o, "pairs", err);
    if (code) return code;
    motion_pairs_options p = motion_pairs_defaults((uint64_t)o->seed);
    p.per_window = o->per_window;
    p.min_frames = o->min_frames;
    p.max_frames = o->max_frames;
    p.stride = o->stride;
    p.augment = o->augment;
    p.limit = o->limit;
    p.no_joints = !o->joints;
    p.val_share = o->val;
    p.test_share = o->test;
    p.manifest = o->manifest;
    motion_dataset d;
    code = motion_pairs(&d, (const char *const *)call->operand, call->operands, &p, call->log, err);
    return code ? code : finish(call, &d, o->out, err);
}

const eval_command eval_command_synth = {
    .name = "synth",
    .usage = "synth --out FILE [options]",
    .summary = "a synthetic editing benchmark of any size, from a seed",
    .doc =
        "Whole-body actions composed by body part, an edit of each, and a sentence that asks for "
        "it;\n"
        "splits and balance are such that copying the source does not win. Same seed, same bytes.",
    .options = synth_table,
    .options_size = sizeof(options),
    .run = run_synth,
};

const eval_command eval_command_pairs = {
    .name = "pairs",
    .usage = "pairs --out FILE [options] FOLDER|FILE.bvh...",
    .summary = "an editing benchmark from real motions, by programmatic edits",
    .doc = "Cuts BVH files into windows, brings them to the 22-joint body, edits them (time warp, "
           "mirror,\n"
           "amplitude, graft, trim, repeat) and writes the sentences. Subjects never cross splits.",
    .options = pairs_table,
    .options_size = sizeof(options),
    .min_operands = 1,
    .max_operands = -1,
    .run = run_pairs,
};
