/* baselines/editor_space.c: the mean and noise of the editors' own space, the 207 features that
 * TMED and its successors denoise (spec baselines 1.2), decoded as their samples are: what such a
 * model returns that has learned nothing, or that was stopped before its first step. */
#include <string.h>

#include "baselines/baselines_priv.h"
#include "core/rng.h"
#include "motion/editor.h"

/* Of the train and val pairs as the editors count them; of all where the dataset holds test pairs
 * alone. */
static me_code editor_stats(motion_editor_stats *out, const motion_dataset *d, me_err *err)
{
    motion_dataset view = *d;
    view.has_split = false;
    for (int64_t i = 0; i < d->n && d->has_split; i++)
        if (d->pairs[i].split != MOTION_TEST) view.has_split = true;
    return motion_editor_stats_of(out, &view, &motion_mean_body, err);
}

/* `draw` fills one clip of normalised features. */
static me_code decode(motion_clip *out, me_arena *arena, const baseline_input *in,
                      void (*draw)(float *x, int64_t n, const baseline_input *in, const char *key),
                      me_err *err)
{
    motion_editor_stats *stats = ME_NEW(arena, motion_editor_stats);
    if (!stats) return me_fail_mem(err, "feature statistics");
    me_code code = editor_stats(stats, in->dataset, err);
    for (int64_t i = 0; i < in->n && code == ME_OK; i++) {
        const motion_pair *p = baseline_pair(in, i);
        code = motion_clip_new(&out[i], arena, p->target.frames, false, err);
        if (code != ME_OK) return code;
        const me_arena_mark mark = me_arena_get_mark(arena);
        float *x = ME_NEW_ARRAY(arena, out[i].frames * MOTION_EDITOR, float);
        if (!x) return me_fail_mem(err, "a motion's features");
        draw(x, out[i].frames * MOTION_EDITOR, in, p->key);
        motion_editor_denormalize(x, out[i].frames, stats);
        motion_editor_to_pose(x, out[i].frames, stats->translation_mean, out[i].pose);
        me_arena_rewind(arena, mark);
    }
    return code;
}

static void draw_zeros(float *x, int64_t n, const baseline_input *in, const char *key)
{
    (void)in;
    (void)key;
    memset(x, 0, (size_t)n * sizeof *x);
}

static me_code mean_motion_207_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                    me_err *err)
{
    return decode(out, arena, in, draw_zeros, err);
}

const baseline baseline_mean_motion_207 = {
    .name = "mean-motion-207",
    .doc = "Zeros in the editors' normalised space of 207 features, decoded as their samples are: "
           "the mean pose gliding with the mean velocity and turning at the mean rate, for the "
           "target's length. Statistics of the train and val pairs, or of all where there are "
           "none.",
    .cite = "spec baselines 7, 1.2",
    .make = mean_motion_207_make,
};

static void draw_noise(float *x, int64_t n, const baseline_input *in, const char *key)
{
    /* A stream of its own for each key: what is drawn does not depend on the selection. */
    me_rng g = me_rng_make(in->seed, me_hash64(key, strlen(key), 0x323037));
    for (int64_t i = 0; i < n; i++) x[i] = (float)me_rng_normal(&g);
}

static me_code noise_207_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                              me_err *err)
{
    return decode(out, arena, in, draw_noise, err);
}

const baseline baseline_noise_207 = {
    .name = "noise-207",
    .doc = "Standard normal noise in the editors' normalised space of 207 features, decoded as "
           "their samples are: where their samplers begin. Normalisation divides by twice the "
           "standard deviation, so that this is twice as wide as the data.",
    .cite = "spec baselines 7, 1.2",
    .seeded = true,
    .make = noise_207_make,
};
