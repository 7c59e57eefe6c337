/* baselines/baselines_priv.h: what several baselines share. Inside baselines/ only. */
#ifndef BASELINES_BASELINES_PRIV_H
#define BASELINES_BASELINES_PRIV_H

#include "baselines/baseline.h"

#define BASELINE_ROW(clip, t) ((clip)->pose + (t)*MOTION_POSE)

/* The pair of the i-th selected item. */
const motion_pair *baseline_pair(const baseline_input *in, int64_t i);
/* ME_EDATA naming the key where the clip is empty. */
me_code baseline_need_frames(const motion_clip *clip, const char *key, const char *what,
                             me_err *err);
/* The first `frames` frames at most, pointing into `clip`, without joints. */
motion_clip baseline_cut(const motion_clip *clip, int64_t frames);

/* Indices of the dataset's pairs of the train split; ME_EDATA where there is none, or where the
 * only one is itself selected. */
me_code baseline_train_pairs(int64_t **out, int64_t *n, me_arena *arena, const baseline_input *in,
                             me_err *err);

/* Mean and standard deviation of the TMR features (motion_features) over all frames of all targets
 * of the dataset, frames in file order, in double. The first frame of a clip has no step: its zero
 * translation is left out. */
typedef struct baseline_stats {
    double mean[MOTION_POSE], sd[MOTION_POSE];
} baseline_stats;
me_code baseline_feature_stats(baseline_stats *out, const motion_dataset *d, me_err *err);

#endif
