/* motion/editor.h: the 207 features that the editors (TMED, SimMotionEdit, OmniME) read and write,
 * their statistics, and the way back to a 135-column pose. Spec omnime 1.3 to 1.7, baselines 1.2.
 *
 * Per frame i, R_i being the pelvis rotation Rz(a) Ry(b) Rx(c), Z_i = Rz(a), t_i the translation,
 * p_ij the joints, by first column and width:
 *
 *   0    3    R_{i-1}^T (t_i - t_{i-1}), zero in frame 0
 *   3    6    6D of Ry(b) Rx(c)
 *   9    6    6D of Z_{i-1}^T Z_i, the identity's in frame 0
 *   15   126  the 21 body joints' 6D as stored
 *   141  66   Z_i^T (p_ij - p_i0)
 *
 * Channels 6, 11, 14, 141, 142 and 143 are constant, and their divisor after normalisation is 2e-5:
 * raw noise of 1e-7 would become 5e-3. They are written as exact constants.
 */
#ifndef MOTION_EDITOR_H
#define MOTION_EDITOR_H

#include "motion/motion.h"

#define MOTION_EDITOR 207 /* columns of an editor feature row */
#define MOTION_EDITOR_GROUPS 5

typedef struct motion_editor_group {
    int offset, width;
    bool delta; /* its name holds "delta": frame 0 carries no information and no loss */
} motion_editor_group;
extern const motion_editor_group motion_editor_groups[MOTION_EDITOR_GROUPS];

/* pose (T,135), joints (T,22,3) -> out (T,207), not normalised. */
void motion_editor_features(const float *pose, const float *joints, int64_t frames, float *out);

/* Over all frames of source and target of a dataset's train and val pairs; std unbiased. */
typedef struct motion_editor_stats {
    float mean[MOTION_EDITOR], std[MOTION_EDITOR];
    float translation_mean[3]; /* of the absolute translation: where a decoded motion starts */
    int64_t frames;            /* counted; 0: not computed */
} motion_editor_stats;

/* Clips without joints get them by forward kinematics on `body`. */
me_code motion_editor_stats_of(motion_editor_stats *out, const motion_dataset *d,
                               const motion_skeleton *body, me_err *err);

/* Raises what is smaller than `least`, but for the six constant channels; how many that were. */
int motion_editor_stats_floor(motion_editor_stats *s, double least);

/* (x - mean) / (2 (std + 1e-5)), and back; in place. */
void motion_editor_normalize(float *x, int64_t frames, const motion_editor_stats *s);
void motion_editor_denormalize(float *x, int64_t frames, const motion_editor_stats *s);

/* Un-normalised features (T,207) -> pose (T,135). The heading starts at 0 and the translation at
 * `start` (the reference: translation_mean for samples, zero for ground truth). Body 6D pass
 * through as they are. */
void motion_editor_to_pose(const float *features, int64_t frames, const float start[3],
                           float *pose);

#endif
