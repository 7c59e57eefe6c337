/* models/omnime.h: OmniME and SimMotionEdit as `mebench train` knows them: options, data and the
 * model object. The network is omnime_net.h, the loss omnime_loss.h, sampling sampler.h.
 *
 * Randomness of a training step comes from (run's seed, step, item), so a sample's draws do not
 * depend on its batch. Of the item's stream: motion kept, text kept, both kept (spec omnime 5.2, in
 * this order), timestep, negative. The noise of x_t is nn_noise with a seed of its own for each
 * item.
 */
#ifndef MODEL_OMNIME_H
#define MODEL_OMNIME_H

#include "models/omnime_loss.h"
#include "models/rows.h"
#include "motion/similarity.h"

typedef struct model_omnime_options {
    int64_t width, ff, heads, layers, fusion_layers, head_width, steps;
    double dropout;
    const char *dit_text, *dit_source;
    int64_t ablation;
    double w_cls, w_retro, w_triplet, w_preserve; /* below 0: what `ablation` says */
    double margin;
    bool class_weights, detach_text;
    const char *retro_reduce, *retro_mask, *triplet_dist, *triplet_pool, *preserve;
    double drop_motion, drop_text, drop_both;
    const char *s_max; /* a number, or "batch" */
    const char *negatives;
    const char *scores; /* file of similarity scores; NULL: they are computed */
    int64_t window, kappa;
    double tau;
    int64_t max_frames;
    double std_floor; /* of the features' statistics */
} model_omnime_options;

/* ---- data -------------------------------------------------------------------------------------
 */

typedef struct model_omnime_item {
    const char *key;
    int64_t text; /* row of the texts */
    int32_t source_frames, target_frames;
    const double *score; /* of each source frame, or NULL */
    bool teaches;
} model_omnime_item;

#define MODEL_HARD_NEGATIVES 8

typedef struct model_omnime_data {
    model_omnime_item *items;
    int64_t train_n, all_n; /* training items first, then those of validation */
    model_rows motion;      /* normalised features: source of item i at 2i, target at 2i + 1 */
    nn_tensor texts;        /* (texts + 1, width) on the device; the last row is that of "" */
    int64_t texts_n;
    const int32_t *hard; /* (all_n, MODEL_HARD_NEGATIVES) items, or NULL */
    motion_editor_stats stats;
    me_arena arena;
} model_omnime_data;

/* Pairs of train and val with at most max_frames on each side; needs a train split with at least
 * two. */
me_code model_omnime_data_open(model_omnime_data *out, const model_setup *setup,
                               const model_omnime_options *o, me_err *err);
void model_omnime_data_close(model_omnime_data *data, nn_backend *be);
/* Lower case of ASCII letters, as texts are encoded. */
char *model_omnime_lower(me_arena *arena, const char *text);
/* Normalised features of a clip, (frames, MOTION_EDITOR). */
me_code model_omnime_features(float *out, const motion_clip *clip, const motion_editor_stats *stats,
                              me_err *err);

/* Hard negatives (spec omnime 6.4 draws any other item): of an item's 32 nearest texts that differ
 * from its own (cosine of the sentence vectors), the 8 whose edit is least alike: smallest cosine
 * between the edits' descriptors, which are the mean and the standard deviation over time of every
 * target feature less the source's. So the text is close, and what was done to the motion is
 * different or opposite. */
me_code model_omnime_find_hard(model_omnime_data *data, const model_setup *setup,
                               const float *texts, int64_t width, const float *edits, me_err *err);

extern const model_kind model_kind_omnime, model_kind_simmotionedit;

#endif
