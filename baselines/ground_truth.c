/* baselines/ground_truth.c: the answer itself. */
#include "baselines/baselines_priv.h"

static me_code ground_truth_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                 me_err *err)
{
    (void)arena;
    (void)err;
    for (int64_t i = 0; i < in->n; i++) {
        const motion_clip *target = &baseline_pair(in, i)->target;
        out[i] = baseline_cut(target, target->frames);
    }
    return ME_OK;
}

const baseline baseline_ground_truth = {
    .name = "ground-truth",
    .doc = "The target motion itself. Less than 100 on the full set only where several pairs share "
           "a target; the "
           "duplicate-aware score is 100.",
    .cite = "spec baselines 7",
    .make = ground_truth_make,
};
