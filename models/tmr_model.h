/* models/tmr_model.h: TMR under training: text encoder, motion encoder and motion decoder around
 * one latent space (spec tmr-train). `mebench train --model tmr`; what it exports is what `mebench
 * eval --tmr` reads.
 */
#ifndef MODEL_TMR_MODEL_H
#define MODEL_TMR_MODEL_H

#include "models/model.h"
#include "models/transformer.h"

typedef struct model_tmr_options {
    int64_t width, ff, heads, layers;
    double dropout;
    double temperature;
    double threshold; /* sentences nearer than this (cosine) are no negatives; below -1: by text
                         encoder */
    double w_recons, w_kl, w_latent, w_contrastive;
    int64_t min_frames, max_frames; /* of training clips; validation takes all */
    const char *captions;           /* "auto", "caption", "instruction" */
} model_tmr_options;

/* The network alone, without data: for parity with the reference and for whoever embeds text. */
typedef struct model_tmr_net {
    nn_params *params;
    int64_t features, text_width;
    model_stack motion, text, decoder;
} model_tmr_net;

/* The table of positions, (rows, width) f32, on `be`; release .data. */
me_code model_tmr_positions(nn_tensor *out, nn_backend *be, int64_t rows, int64_t width,
                            me_err *err);

me_code model_tmr_net_declare(model_tmr_net *net, nn_params *params, int64_t features,
                              int64_t text_width, const model_tmr_options *o, me_err *err);
me_code model_tmr_net_initialize(const model_tmr_net *net, uint64_t seed, me_err *err);

/* One packed batch on the back end. */
typedef struct model_tmr_batch {
    int64_t n;
    nn_tensor *motion, *text;                     /* (frames, features), (tokens, text width) */
    const int32_t *motion_lengths, *text_lengths; /* host, (n) */
    const nn_tensor *noise_text, *noise_motion;   /* (n, width) f32 */
    const nn_tensor *hidden;                      /* (n, n) i32 or NULL: filtered negatives */
    int64_t
        longest; /* padded length over which the reference takes its means; 0: the batch's own */
} model_tmr_batch;

/* Unweighted terms recons, kl, latent, contrastive; gives their weighted sum. */
nn_tensor *model_tmr_loss(nn_ctx *ctx, const model_tmr_net *net, const model_tmr_batch *batch,
                          const model_tmr_options *o, nn_tensor *positions, model_terms *terms,
                          nn_tensor *latents[2]);
/* mu of one stack (motion or text), (n, width). */
nn_tensor *model_tmr_embed(nn_ctx *ctx, const model_tmr_net *net, bool text, nn_tensor *rows,
                           const int32_t *lengths, int64_t n, nn_tensor *positions);

extern const me_opt model_tmr_table[];
extern const model_kind model_kind_tmr;

#endif
