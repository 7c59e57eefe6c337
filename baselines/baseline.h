/* baselines/baseline.h: editors that need no training, the rows that every table should have (spec
 * baselines 7). Each makes one clip for each selected pair from (dataset, seed) alone, goes through
 * the same evaluator as a model, and is reproducible. To add one: a file that defines `const
 * baseline baseline_NAME`, and its name in the list.
 */
#ifndef BASELINES_BASELINE_H
#define BASELINES_BASELINE_H

#include "motion/motion.h"
#include "tmr/embed.h"

typedef struct baseline_input {
    const motion_dataset *dataset;
    const int64_t *selected; /* (n) indices of the pairs to be edited */
    int64_t n;
    uint64_t seed;
    /* How motions are embedded, for the baselines that say needs_encoder; NULL: it cannot be. */
    tmr_encoder *encoder;
    nn_backend *be;
    tmr_embed_options embed;
} baseline_input;

typedef struct baseline {
    const char *name; /* "copy-source" */
    const char *doc, *cite;
    bool seeded;        /* the seed changes the output */
    bool needs_encoder; /* fails without baseline_input's */
    /* out (n): clips in the order of `selected`. Poses that are not new may point into the dataset,
     * which must outlive them; the rest comes from the arena. */
    me_code (*make)(motion_clip *out, me_arena *arena, const baseline_input *in, me_err *err);
} baseline;

// clang-format off
#define BASELINE_LIST(X)                                                                           \
    X(ground_truth)                                                                                \
    X(copy_source)                                                                                 \
    X(copy_source_resampled)                                                                       \
    X(copy_source_held)                                                                            \
    X(part_swap)                                                                                   \
    X(nn_train)                                                                                    \
    X(random_other)                                                                                \
    X(random_other_source)                                                                         \
    X(random_train)                                                                                \
    X(mean_motion)                                                                                 \
    X(mean_motion_207)                                                                             \
    X(noise)                                                                                       \
    X(noise_207)
// clang-format on

#define X(id) extern const baseline baseline_##id;
BASELINE_LIST(X)
#undef X

/* All baselines, NULL-terminated. */
extern const baseline *const baseline_list[];
/* NULL when there is none of that name; `-` and `_` are the same. */
const baseline *baseline_find(const char *name);

#endif
