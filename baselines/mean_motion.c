/* baselines/mean_motion.c: the mean pose of the data set, standing still: what a model that learned
 * nothing but averages would return. */
#include <string.h>

#include "baselines/baselines_priv.h"
#include "motion/mat3.h"

/* Every frame alike: the translation's mean height is of no account to features, so it stays at the
 * origin; the pelvis keeps the mean tilt with heading zero; each joint has the rotation nearest
 * (Gram-Schmidt) to the mean of its 6D numbers. */
static me_code mean_row(float row[MOTION_POSE], const motion_dataset *d, me_err *err)
{
    double sum[MOTION_POSE] = {0};
    int64_t frames = 0;
    for (int64_t i = 0; i < d->n; i++) {
        const motion_clip *clip = &d->pairs[i].target;
        for (int64_t t = 0; t < clip->frames; t++, frames++) {
            const float *pose = BASELINE_ROW(clip, t);
            double r[9], back[9];
            motion_mat3_from_6d(r, pose + 3);
            motion_mat3_axis(back, 2, -motion_heading(pose));
            motion_mat3_mul(r, back, r);
            for (int c = 0; c < 6; c++) sum[3 + c] += r[c];
            for (int c = 9; c < MOTION_POSE; c++) sum[c] += pose[c];
        }
    }
    if (frames == 0) return me_fail(err, ME_EDATA, "the dataset has no target motion with a frame");
    memset(row, 0, MOTION_POSE * sizeof *row);
    for (int c = 3; c < MOTION_POSE; c++) row[c] = (float)(sum[c] / (double)frames);
    motion_orthonormalize(row, 1);
    return ME_OK;
}

static me_code mean_motion_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                me_err *err)
{
    float row[MOTION_POSE];
    me_code code = mean_row(row, in->dataset, err);
    for (int64_t i = 0; i < in->n && code == ME_OK; i++) {
        code = motion_clip_new(&out[i], arena, baseline_pair(in, i)->target.frames, false, err);
        for (int64_t t = 0; code == ME_OK && t < out[i].frames; t++)
            memcpy(BASELINE_ROW(&out[i], t), row, sizeof row);
    }
    return code;
}

const baseline baseline_mean_motion = {
    .name = "mean-motion",
    .doc = "The mean pose of the dataset's targets at heading zero, without any movement, for the "
           "target's length.",
    .cite = "spec baselines 7",
    .make = mean_motion_make,
};
