/* nn/text_clip.h: CLIP's text tower (spec omnime 2): token and position embeddings, pre-norm layers
 * with causal attention and quick GELU, a final LayerNorm, and the projection of the end token's
 * state. Causality makes everything after the end token irrelevant, so only the tokens up to it are
 * computed.
 */
#ifndef NN_TEXT_CLIP_H
#define NN_TEXT_CLIP_H

#include "core/value.h"
#include "nn/ops.h"
#include "nn/params.h"

typedef struct nn_clip_config {
    int64_t vocabulary, positions, width, layers, heads, hidden, projection;
    nn_act act;
    float eps;
} nn_clip_config;

typedef struct nn_clip {
    nn_clip_config config;
    nn_params params;
    nn_precision precision;
    char sha256[65]; /* of the weights file */
} nn_clip;

/* `path`: a Hugging Face folder (config.json with model.safetensors or pytorch_model.bin), one of
 * these two files beside its config.json, or OpenAI's .pt. */
me_code nn_clip_open(nn_clip *out, const char *path, nn_backend *be, nn_precision precision,
                     me_err *err);
/* From a state dictionary in Hugging Face's names, without prefix or with one that ends in
 * "text_model.". */
me_code nn_clip_open_state(nn_clip *out, const nn_clip_config *config, const me_value *state,
                           nn_backend *be, nn_precision precision, const char *name, me_err *err);
void nn_clip_close(nn_clip *clip);

/* n texts as token numbers laid end to end, text i having lengths[i] of them, the end token last.
 * states (sum of lengths, width) and projected (n, projection), either may be NULL. */
me_code nn_clip_encode(nn_clip *clip, const int32_t *ids, const int32_t *lengths, int64_t n,
                       float *states, float *projected, me_err *err);

#endif
