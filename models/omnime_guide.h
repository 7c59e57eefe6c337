/* models/omnime_guide.h: guided predictions (spec omnime 5.3): what depends on no timestep is
 * computed once, and then each step asks one to three passes in one batch.
 *
 *     x0_hat = U + motion (M - U) + both (C - M)
 *
 * U has neither text nor source, M the source, C both. A pass that has no weight is left out, which
 * gives the same samples: M where the scales are equal, U where `motion` is 1, so that scales of 1
 * take C alone.
 */
#ifndef MODEL_OMNIME_GUIDE_H
#define MODEL_OMNIME_GUIDE_H

#include "models/omnime_net.h"

typedef enum { MODEL_CFG_AUTO, MODEL_CFG_2WAY, MODEL_CFG_3WAY } model_cfg;

typedef struct model_omnime_request {
    int64_t n;
    nn_tensor *source;                            /* (source frames, features) f32 */
    nn_tensor *text;                              /* (n + 1, text width) f32; the last: no text */
    const int32_t *source_frames, *target_frames; /* (n), host */
    const int32_t *s_max; /* (n): where targets begin, less 1; at least the source's frames */
    double motion, both;  /* guidance scales */
    model_cfg cfg;        /* 2WAY uses `both` alone; it and 3WAY make passes without weight too */
    bool hide_unconditional; /* U sees no source tokens; the reference sees s_max zeros */
} model_omnime_request;

typedef struct model_omnime_guide {
    const model_omnime_net *net;
    int64_t n, rows; /* samples, and target frames of all */
    int passes;
    float scale[3]; /* of each pass in the sum */
    model_omnime_layout layout;
    model_omnime_condition condition;
    nn_tensor *table; /* modulations of all timesteps and layers; NULL where text matters */
    nn_index *times;  /* of every token sequence; its host's copy counts for nothing */
} model_omnime_guide;

/* Lives in the context's memory; fails stickily. */
void model_omnime_guide_make(model_omnime_guide *out, nn_ctx *ctx, const model_omnime_net *net,
                             const model_omnime_request *request);
/* The predictions of all passes, stacked, as model_omnime_infer gives them, at the timesteps that
 * g->times has on the device. */
nn_tensor *model_omnime_passes(nn_ctx *ctx, const model_omnime_guide *g, nn_tensor *x_t);
/* x_t (target frames, features) f32 -> x0_hat, the same. */
nn_tensor *model_omnime_guided(nn_ctx *ctx, const model_omnime_guide *guide, nn_tensor *x_t,
                               int64_t t);

#endif
