/* models/omnime_loss.h: what OmniME and SimMotionEdit minimise (spec omnime 6), in the form of the
 * reference's code, with a switch wherever paper and code differ (spec omnime 6.7). */
#ifndef MODEL_OMNIME_LOSS_H
#define MODEL_OMNIME_LOSS_H

#include "models/omnime_net.h"
#include "motion/editor.h"

typedef enum {
    MODEL_PRESERVE_OFF,
    MODEL_PRESERVE_CODE,   /* only in a batch whose longest source and target are equal */
    MODEL_PRESERVE_TARGET, /* the paper's mean over frames, against the target */
    MODEL_PRESERVE_SOURCE  /* the same against the source */
} model_preserve;

typedef struct model_omnime_weights {
    double cls, retro, triplet, preserve; /* 0: the term is not computed */
    double margin;
    bool class_weights; /* V: the middle class weighs nothing */
    bool retro_sum;     /* the three heads are summed, not averaged */
    bool retro_padded;  /* averaged over padded frames too, which adds a constant */
    bool pool_padded;   /* the triplet's motion is the mean over padded frames too */
    bool detach_text;   /* the triplet moves no text */
    bool squared;       /* the triplet compares squared distances: the paper's */
    model_preserve preserve_form;
} model_omnime_weights;

/* What a batch should have given. Arrays have an entry a sample. */
typedef struct model_omnime_truth {
    nn_tensor *x0;                           /* (target rows, features) f32 */
    nn_tensor *source;                       /* as the fusion got it: for MODEL_PRESERVE_SOURCE */
    nn_tensor *negative;                     /* (n, text width), or NULL without triplet */
    const double *const *score;              /* similarity of each source frame, or NULL */
    const bool *teaches;                     /* its MotionSNR says that the score may be used */
    const bool *text_kept, *motion_kept;     /* not dropped */
    const int32_t *source_frames;            /* also where the source was dropped */
    bool equal_lengths;                      /* longest source and target of the batch are equal */
    nn_tensor *groups[MOTION_EDITOR_GROUPS]; /* out: the feature loss of each group */
} model_omnime_truth;

/* Fills `terms` with the unweighted terms that are in use: feature, cls, retro, triplet, preserve;
 * with the code's preservation also preserve_active, 1 where the batch had it, which weighs
 * nothing.
 */
nn_tensor *model_omnime_loss(nn_ctx *ctx, const model_omnime_net *net,
                             const model_omnime_batch *batch, const model_omnime_layout *layout,
                             const model_omnime_condition *condition,
                             const model_omnime_output *output, model_omnime_truth *truth,
                             const model_omnime_weights *weights, model_terms *terms);

#endif
