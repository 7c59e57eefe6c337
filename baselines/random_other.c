/* baselines/random_other.c: the right kind of motion for the wrong item. */
#include <string.h>

#include "baselines/baselines_priv.h"
#include "core/rng.h"

/* A permutation of the selected items that leaves none in place. */
static me_code derange(int64_t **out, me_arena *arena, const baseline_input *in, me_err *err)
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
    *out = other;
    return ME_OK;
}

static me_code random_other_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                 me_err *err)
{
    int64_t *other;
    me_code code = derange(&other, arena, in, err);
    for (int64_t i = 0; i < in->n && code == ME_OK; i++)
        out[i] =
            baseline_cut(&baseline_pair(in, other[i])->target, baseline_pair(in, i)->target.frames);
    return code;
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

static me_code random_other_source_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                        me_err *err)
{
    int64_t *other;
    me_code code = derange(&other, arena, in, err);
    for (int64_t i = 0; i < in->n && code == ME_OK; i++)
        out[i] =
            baseline_cut(&baseline_pair(in, other[i])->source, baseline_pair(in, i)->target.frames);
    return code;
}

const baseline baseline_random_other_source = {
    .name = "random-other-source",
    .doc = "The source of another of the selected pairs (the permutation of random-other), cut to "
           "the own target's length. Scores what chance scores.",
    .cite = "spec baselines 7",
    .seeded = true,
    .make = random_other_source_make,
};

static me_code random_train_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                                 me_err *err)
{
    int64_t *train, n;
    me_code code = baseline_train_pairs(&train, &n, arena, in, err);
    for (int64_t i = 0; i < in->n && code == ME_OK; i++) {
        const motion_pair *p = baseline_pair(in, i);
        /* A stream of its own for each key: what is drawn does not depend on the selection. */
        me_rng g = me_rng_make(in->seed, me_hash64(p->key, strlen(p->key), 0x747261696e));
        int64_t k = me_rng_below(&g, (uint32_t)n);
        if (train[k] == in->selected[i]) k = (k + 1) % n;
        out[i] = baseline_cut(&in->dataset->pairs[train[k]].target, p->target.frames);
    }
    return code;
}

const baseline baseline_random_train = {
    .name = "random-train",
    .doc = "The target of a training pair drawn at random, never the own, cut to the own target's "
           "length: a plausible motion that knows neither source nor text. Scores what chance "
           "scores. Needs the train split in the same dataset.",
    .cite = "spec baselines 7",
    .seeded = true,
    .make = random_train_make,
};
