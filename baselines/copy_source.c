/* baselines/copy_source.c: the source returned as it is, in the three ways of meeting the target's
 * length. An editor that scores below this does harm. */
#include <string.h>

#include "baselines/baselines_priv.h"
#include "motion/mat3.h"

static me_code copy_source_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                me_err *err)
{
    (void)arena;
    (void)err;
    for (int64_t i = 0; i < in->n; i++) {
        const motion_pair *p = baseline_pair(in, i);
        out[i] = baseline_cut(&p->source, p->target.frames);
    }
    return ME_OK;
}

const baseline baseline_copy_source = {
    .name = "copy-source",
    .doc = "The source motion, cut to the target's length where it is longer, left short where it "
           "is shorter. Its "
           "generated-to-target score is the do-nothing floor that an editor has to beat.",
    .cite = "spec baselines 7",
    .make = copy_source_make,
};

/* Between rows a and b: rotations on the shortest arc, the translation on the straight line. */
static void mix_rows(float *out, const float *a, const float *b, double u)
{
    for (int k = 0; k < 3; k++) out[k] = (float)((1 - u) * a[k] + u * b[k]);
    for (int j = 0; j < MOTION_JOINTS; j++) {
        double ra[9], rb[9];
        motion_mat3_from_6d(ra, a + 3 + 6 * j);
        motion_mat3_from_6d(rb, b + 3 + 6 * j);
        motion_mat3_slerp(ra, ra, rb, u);
        motion_mat3_to_6d(out + 3 + 6 * j, ra);
    }
}

static void resample(motion_clip *out, const motion_clip *in)
{
    for (int64_t t = 0; t < out->frames; t++) {
        /* Integer arithmetic finds the frame, so that equal times copy rows to the bit. */
        int64_t up = t * (in->frames - 1), down = out->frames > 1 ? out->frames - 1 : 1;
        int64_t first = up / down, rest = up % down;
        if (rest == 0)
            memcpy(BASELINE_ROW(out, t), BASELINE_ROW(in, first), MOTION_POSE * sizeof(float));
        else
            mix_rows(BASELINE_ROW(out, t), BASELINE_ROW(in, first), BASELINE_ROW(in, first + 1),
                     (double)rest / (double)down);
    }
}

static me_code copy_source_resampled_make(motion_clip *out, me_arena *arena,
                                          const baseline_input *in, me_err *err)
{
    for (int64_t i = 0; i < in->n; i++) {
        const motion_pair *p = baseline_pair(in, i);
        me_code code = baseline_need_frames(&p->source, p->key, "source", err);
        if (code != ME_OK) return code;
        if (p->source.frames == p->target.frames) {
            out[i] = baseline_cut(&p->source, p->target.frames);
            continue;
        }
        code = motion_clip_new(&out[i], arena, p->target.frames, false, err);
        if (code != ME_OK) return code;
        resample(&out[i], &p->source);
    }
    return ME_OK;
}

const baseline baseline_copy_source_resampled = {
    .name = "copy-source-resampled",
    .doc = "The source motion played faster or slower so that it ends with the target: rotations "
           "by SLERP between "
           "frames, the translation linearly.",
    .cite = "spec baselines 7",
    .make = copy_source_resampled_make,
};

static me_code copy_source_held_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                     me_err *err)
{
    for (int64_t i = 0; i < in->n; i++) {
        const motion_pair *p = baseline_pair(in, i);
        const int64_t frames = p->target.frames, own = p->source.frames;
        me_code code = baseline_need_frames(&p->source, p->key, "source", err);
        if (code != ME_OK) return code;
        if (own >= frames) {
            out[i] = baseline_cut(&p->source, frames);
            continue;
        }
        code = motion_clip_new(&out[i], arena, frames, false, err);
        if (code != ME_OK) return code;
        for (int64_t t = 0; t < frames; t++)
            memcpy(BASELINE_ROW(&out[i], t), BASELINE_ROW(&p->source, t < own ? t : own - 1),
                   MOTION_POSE * sizeof(float));
    }
    return ME_OK;
}

const baseline baseline_copy_source_held = {
    .name = "copy-source-held",
    .doc = "The source motion, cut to the target's length, or its last pose held until the target "
           "ends.",
    .cite = "spec baselines 7",
    .make = copy_source_held_make,
};
