/* models/omnime_net.h: the network of OmniME and SimMotionEdit on packed tokens (spec omnime 3, 4):
 * a transformer that fuses text and source motion, a DiT over [source | separator | noisy target],
 * and the heads. It knows neither data nor losses.
 *
 * A batch names the tokens of every sample, so one layout serves all uses. Packed: a sample has its
 * own frames and nothing else. As the reference pads: a sample has rows beyond those that may be
 * seen as keys. Sampled without condition: a source of zeros, all of it seen. Where target frames
 * begin does not depend on the batch but on `first_target`.
 */
#ifndef MODEL_OMNIME_NET_H
#define MODEL_OMNIME_NET_H

#include "models/model.h"
#include "models/transformer.h"

#define MODEL_OMNIME_TAU 256        /* columns of a timestep's sinusoids */
#define MODEL_OMNIME_STORED 500     /* positions that checkpoints hold */
#define MODEL_OMNIME_POSITIONS 4096 /* positions that we compute */
#define MODEL_OMNIME_INTERS 3
#define MODEL_MOST_LAYERS 64

typedef enum {
    MODEL_DIT_TEXT_NONE,  /* the DiT is conditioned on the timestep alone: the released OmniME */
    MODEL_DIT_TEXT_FUSED, /* and on the fused text token: SimMotionEdit */
    MODEL_DIT_TEXT_RAW    /* and on the projected text */
} model_dit_text;

typedef struct model_omnime_config {
    int64_t features, text_width;
    int64_t width, ff, heads, layers, fusion_layers;
    int64_t head_width; /* hidden columns of source_head and target_head */
    int64_t classes;    /* of the similarity head */
    int64_t embedding;  /* of target_head, which nothing uses */
    int64_t steps;      /* of the diffusion */
    bool inter;         /* the three retrospective heads: OmniME */
    model_dit_text dit_text;
    bool raw_source; /* the DiT sees the projected source instead of the fused one */
    float dropout;   /* in the fusion layers */
} model_omnime_config;

typedef struct model_omnime_net {
    model_omnime_config config;
    nn_params *params; /* those that get gradients */
    nn_params
        *frozen; /* feat_comb_coeff, dit_encoder.pos_embed, target_head: kept, never touched */
    model_stack fusion;
    nn_tensor fusion_positions; /* (MODEL_OMNIME_POSITIONS, width) */
    nn_tensor positions;        /* of the DiT: the sum of both tables */
    nn_tensor tau;              /* (steps, MODEL_OMNIME_TAU) */
} model_omnime_net;

/* Declares all parameters; the caller then allocates both blocks. */
me_code model_omnime_net_declare(model_omnime_net *net, nn_params *params, nn_params *frozen,
                                 const model_omnime_config *config, me_err *err);
me_code model_omnime_net_initialize(const model_omnime_net *net, uint64_t seed, me_err *err);
/* Those alone that a file may lack. */
me_code model_omnime_net_initialize_frozen(const model_omnime_net *net, uint64_t seed, me_err *err);
/* From a state dictionary in the reference's names behind `prefix`. Frozen parameters that it lacks
 * keep their values. */
me_code model_omnime_net_load(const model_omnime_net *net, const me_value *state,
                              const char *prefix, me_err *err);
/* Makes the tables on the device; call it again when pos_embed has changed. */
me_code model_omnime_net_tables(model_omnime_net *net, me_err *err);
void model_omnime_net_close(model_omnime_net *net); /* the tables, not the parameters */
/* The two sinusoidal tables (spec 3 and 4.1) and a timestep's row, as the reference rounds them. */
void model_omnime_interleaved(float *out, int64_t rows, int64_t width);
void model_omnime_halves(float *out, int64_t rows, int64_t width);
void model_omnime_timestep(float out[MODEL_OMNIME_TAU], int64_t t);

/* The tokens of a batch; all arrays have an entry a sample and live on the host. Samples share
 * nothing; rows of `source`, `text` and `target` tensors are consecutive unless `target_start` says
 * where each sample's rows begin, so that guidance passes read one x_t. */
typedef struct model_omnime_batch {
    int64_t n;
    const int32_t *source_rows, *source_seen; /* tokens; the first so many may be seen */
    const bool *source_zero; /* its inputs are zeros and not in the source tensor */
    const int32_t *target_rows, *target_seen;
    const int32_t *target_start; /* NULL: consecutive */
    const int32_t *first_target; /* position of the separator's successor, at least rows + 1 */
} model_omnime_batch;

/* Indices and packings made of a batch, in the context's memory. */
typedef struct model_omnime_layout {
    int64_t n;
    nn_packing *fusion, *dit, *target, *seen; /* target: all target rows; seen: the seen ones */
    nn_index *fusion_rows, *fusion_at, *text_rows, *source_rows;
    nn_index *dit_rows, *dit_at, *target_rows;
    nn_index *seen_rows, *padded_rows;       /* of the target packing; padded NULL: all are seen */
    const nn_tensor *fusion_mask, *dit_mask; /* NULL: every row may be seen */
} model_omnime_layout;

/* Fails stickily, as operations do. */
void model_omnime_layout_make(model_omnime_layout *out, nn_ctx *ctx,
                              const model_omnime_batch *batch);

/* A projection from or to features, as products use it: padded with zeros. */
typedef struct model_omnime_end {
    nn_tensor *w, *b;
} model_omnime_end;

/* What does not depend on the timestep: once a sample is enough. */
typedef struct model_omnime_condition {
    nn_tensor *text;          /* (n,D) projected, before fusion */
    nn_tensor *tokens;        /* what the DiT's source rows are gathered from */
    nn_tensor *fused;         /* (fusion tokens, D) */
    nn_tensor *y;             /* (n,D) that the text adds to the timestep's embedding, or NULL */
    model_omnime_end in, out; /* of the targets */
} model_omnime_condition;

/* source (rows of non-zero sources, features), text (n, text width), f32. */
model_omnime_condition model_omnime_fuse(nn_ctx *ctx, const model_omnime_net *net,
                                         const model_omnime_layout *layout, nn_tensor *source,
                                         nn_tensor *text);
/* Projects further texts as the fusion's input is: (m,D). */
nn_tensor *model_omnime_project_text(nn_ctx *ctx, const model_omnime_net *net, nn_tensor *text);
/* (rows, classes) of the similarity head; `rows` are some of the fusion's, such as the layout's
 * source_rows. */
nn_tensor *model_omnime_similarity(nn_ctx *ctx, const model_omnime_net *net, nn_index *rows,
                                   const model_omnime_condition *condition);

/* (n, 6D) modulations of every block: for timesteps t (n) with what the text adds. `out` has one a
 * layer. */
void model_omnime_modulations(nn_ctx *ctx, const model_omnime_net *net, nn_index *timesteps,
                              nn_tensor *y, nn_tensor **out);

typedef struct model_omnime_output {
    nn_tensor *x0; /* (seen target rows, padded features) in the activations' type */
    nn_tensor *inter[MODEL_OMNIME_INTERS]; /* the same, of the blocks on the way; or NULL */
    nn_tensor *last;                       /* (target rows, D) of the last block */
} model_omnime_output;

/* Columns of padded features: the next multiple of 8. */
int64_t model_omnime_padded(const model_omnime_net *net);
/* x_t (target rows, features) f32. `modulations`: one a layer, or for each the same tensor, with
 * all layers' side by side. `inters`: also the intermediate predictions. */
model_omnime_output model_omnime_denoise(nn_ctx *ctx, const model_omnime_net *net,
                                         const model_omnime_layout *layout,
                                         const model_omnime_condition *condition,
                                         nn_tensor *const *modulations, nn_tensor *x_t,
                                         bool inters);

/* x0 alone, without a tape, as the network computes it: (seen target rows, padded features) in the
 * activations' type. x_t may be padded and in that type, too. */
nn_tensor *model_omnime_infer(nn_ctx *ctx, const model_omnime_net *net,
                              const model_omnime_layout *layout,
                              const model_omnime_condition *condition,
                              nn_tensor *const *modulations, nn_tensor *x_t);
/* Such rows as (rows, features) f32. */
nn_tensor *model_omnime_plain(nn_ctx *ctx, const model_omnime_net *net, nn_tensor *y);

#endif
