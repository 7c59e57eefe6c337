/* motion/features.c: the 135 numbers a frame that the TMR encoder reads (spec evaluation 3.3, 3.4).
 * All in float32, in the reference's order. Not here: the crop to the target's length (3.5), which
 * the caller does after this, on the finished rows. */
#include "motion/motion.h"

#include <string.h>

void motion_features(const float *pose, int64_t frames, float *out)
{
    for (int64_t t = 0; t < frames; t++) {
        const float *row = pose + t * MOTION_POSE;
        float *f = out + t * MOTION_POSE;
        f[0] = f[1] = f[2] = 0.0f;
        if (t > 0) {
            /* Into the pelvis frame of the frame BEFORE: R_{t-1}^T, not R_t^T. */
            const float *before = row - MOTION_POSE;
            float r[9], q[3];
            motion_6d_to_matrix(before + 3, r);
            for (int d = 0; d < 3; d++) q[d] = row[d] - before[d];
            for (int i = 0; i < 3; i++) f[i] = r[i] * q[0] + r[3 + i] * q[1] + r[6 + i] * q[2];
        }
        memcpy(f + 3, row + 9, 126 * sizeof *f);
        memcpy(f + 129, row + 3, 6 * sizeof *f);
    }
}

void motion_normalize(float *features, int64_t frames, const float *mean, const float *std)
{
    for (int64_t t = 0; t < frames; t++)
        for (int c = 0; c < MOTION_POSE; c++) {
            float *f = &features[t * MOTION_POSE + c];
            *f = (*f - mean[c]) / (std[c] + 1e-12f);
        }
}
