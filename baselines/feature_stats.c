/* baselines/feature_stats.c: mean and spread of a dataset's targets in TMR's feature space. */
#include <math.h>
#include <string.h>

#include "baselines/baselines_priv.h"

typedef struct moments {
    double sum[MOTION_POSE], squares[MOTION_POSE], count[MOTION_POSE];
} moments;

static void add_clip(moments *m, const float *features, int64_t frames, const double *shift)
{
    for (int64_t t = 0; t < frames; t++) {
        for (int c = t == 0 ? 3 : 0; c < MOTION_POSE; c++) {
            double x = features[t * MOTION_POSE + c] - shift[c];
            m->sum[c] += x;
            m->squares[c] += x * x;
            m->count[c] += 1;
        }
    }
}

me_code baseline_feature_stats(baseline_stats *out, const motion_dataset *d, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    moments m = {0};
    double shift[MOTION_POSE] = {0}; /* the first frame: keeps sums of squares from cancelling */
    me_code code = ME_OK;
    bool started = false;
    for (int64_t i = 0; i < d->n && code == ME_OK; i++) {
        const motion_clip *clip = &d->pairs[i].target;
        if (clip->frames < 1) continue;
        me_arena_mark mark = me_arena_get_mark(&arena);
        float *f = ME_NEW_ARRAY(&arena, clip->frames * MOTION_POSE, float);
        if (!f) {
            code = me_fail_mem(err, "feature statistics");
            break;
        }
        motion_features(clip->pose, clip->frames, f);
        for (int c = 3; c < MOTION_POSE && !started; c++) shift[c] = f[c];
        started = true;
        add_clip(&m, f, clip->frames, shift);
        me_arena_rewind(&arena, mark);
    }
    me_arena_release(&arena);
    if (code != ME_OK) return code;
    if (!started) return me_fail(err, ME_EDATA, "the dataset has no target motion with a frame");
    for (int c = 0; c < MOTION_POSE; c++) {
        double n = fmax(m.count[c], 1), mean = m.sum[c] / n;
        out->mean[c] = mean + shift[c];
        out->sd[c] = sqrt(fmax(m.squares[c] / n - mean * mean, 0));
    }
    return ME_OK;
}
