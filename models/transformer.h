/* models/transformer.h: PyTorch's post-norm transformer layers on packed batches, with its
 * parameter names: the encoder that TMR's two encoders and the editors' condition encoder are made
 * of, and the decoder of TMR (spec tmr-train, baselines 1.5). Dropout acts where PyTorch's layers
 * have it.
 */
#ifndef MODEL_TRANSFORMER_H
#define MODEL_TRANSFORMER_H

#include "models/model.h"
#include "nn/ops.h"

typedef struct model_stack {
    nn_params *params;
    const char *prefix; /* "motion_encoder.seqTransEncoder." */
    int64_t width, ff;
    int heads, layers;
    float dropout;
    nn_act act;
} model_stack;

/* Layers all start from the same values, as torch.nn.TransformerEncoder copies one. */
me_code model_encoder_declare(const model_stack *s, me_err *err);
me_code model_encoder_initialize(const model_stack *s, uint64_t seed, me_err *err);
me_code model_decoder_declare(const model_stack *s, me_err *err);
me_code model_decoder_initialize(const model_stack *s, uint64_t seed, me_err *err);

/* x (M,D) of packing seq; key_mask (M) i32 or NULL. */
nn_tensor *model_encoder_forward(nn_ctx *ctx, const model_stack *s, nn_tensor *x,
                                 const nn_packing *seq, const nn_tensor *key_mask);
/* The same, of which only some rows are wanted: `heads_of` names them (packing `sq`, as many
 * sequences), and the last layer computes no others. Gives (heads_of->n, D). */
nn_tensor *model_encoder_forward_rows(nn_ctx *ctx, const model_stack *s, nn_tensor *x,
                                      const nn_packing *seq, nn_index *heads_of,
                                      const nn_packing *sq);
/* Cross-attention to one memory row a sequence: its softmax over one key is 1, so what every row of
 * the sequence receives is out(v(memory)), whatever it asks. Dropout on that single weight is left
 * out. memory (n,D); segment: for every row its sequence.
 * model_decoder_begin is the first layer's attention among the rows themselves, for which no memory
 * is needed; model_decoder_forward goes on from what it gives. */
nn_tensor *model_decoder_begin(nn_ctx *ctx, const model_stack *s, nn_tensor *x,
                               const nn_packing *seq);
nn_tensor *model_decoder_forward(nn_ctx *ctx, const model_stack *s, nn_tensor *x,
                                 const nn_packing *seq, nn_tensor *memory, nn_index *segment);

#endif
