/* baselines/random_other.c: the right kind of motion for the wrong item. */
#include "baselines/baselines_priv.h"
#include "core/rng.h"

static me_code random_other_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                 me_err *err)
{
    if (in->n < 2 || in->n > (int64_t)UINT32_MAX)
        return me_fail(err, ME_EDATA, "random-other needs two pairs at least, found %lld",
                       (long long)in->n);
    int64_t *other = ME_NEW_ARRAY(arena, in->n, int64_t);
    if (!other) return me_fail_mem(err, "random-other");
    for (int64_t i = 0; i < in->n; i++) other[i] = i;
    /* Sattolo's shuffle makes one cycle of all items: none keeps its own. */
    me_rng g = me_rng_make(in->seed, 0x6f74686572);
    for (int64_t i = in->n - 1; i > 0; i--) {
        int64_t j = me_rng_below(&g, (uint32_t)i), t = other[i];
        other[i] = other[j];
        other[j] = t;
    }
    for (int64_t i = 0; i < in->n; i++)
        out[i] =
            baseline_cut(&baseline_pair(in, other[i])->target, baseline_pair(in, i)->target.frames);
    return ME_OK;
}

const baseline baseline_random_other = {
    .name = "random-other",
    .doc = "The target of another of the selected pairs (a seeded permutation that leaves none in "
           "place), cut to the "
           "own target's length. Scores what chance scores.",
    .cite = "spec baselines 7",
    .seeded = true,
    .make = random_other_make,
};
