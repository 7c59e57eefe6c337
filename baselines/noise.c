/* baselines/noise.c: independent normal numbers where a motion should be. */
#include <string.h>

#include "baselines/baselines_priv.h"
#include "core/rng.h"

/* A feature row's numbers [step 3 | body 126 | pelvis 6] put back into pose order; the step is
 * walked in the frame before, so that motion_features gives the drawn numbers again. */
static void decode_row(float *row, const float *before, const float *f)
{
    memcpy(row + 3, f + 129, 6 * sizeof *row);
    memcpy(row + 9, f + 3, 126 * sizeof *row);
    if (!before) {
        row[0] = row[1] = row[2] = 0;
        return;
    }
    float r[9];
    motion_6d_to_matrix(before + 3, r);
    for (int d = 0; d < 3; d++)
        row[d] = before[d] + r[3 * d] * f[0] + r[3 * d + 1] * f[1] + r[3 * d + 2] * f[2];
}

static me_code noise_make(motion_clip *out, me_arena *arena, const baseline_input *in, me_err *err)
{
    baseline_stats *stats = ME_NEW(arena, baseline_stats);
    if (!stats) return me_fail_mem(err, "noise");
    me_code code = baseline_feature_stats(stats, in->dataset, err);
    for (int64_t i = 0; i < in->n && code == ME_OK; i++) {
        const motion_pair *p = baseline_pair(in, i);
        code = motion_clip_new(&out[i], arena, p->target.frames, false, err);
        if (code != ME_OK) return code;
        /* A stream of its own for each key: what is drawn does not depend on the selection. */
        me_rng g = me_rng_make(in->seed, me_hash64(p->key, strlen(p->key), 0x6e6f697365));
        for (int64_t t = 0; t < out[i].frames; t++) {
            float f[MOTION_POSE];
            for (int c = 0; c < MOTION_POSE; c++)
                f[c] = (float)(stats->mean[c] + stats->sd[c] * me_rng_normal(&g));
            decode_row(BASELINE_ROW(&out[i], t), t > 0 ? BASELINE_ROW(&out[i], t - 1) : NULL, f);
        }
    }
    return code;
}

const baseline baseline_noise = {
    .name = "noise",
    .doc = "Each feature of each frame drawn from a normal distribution with the mean and standard "
           "deviation that it "
           "has over the dataset's targets, decoded to a motion of the target's length.",
    .cite = "spec baselines 7",
    .seeded = true,
    .make = noise_make,
};
