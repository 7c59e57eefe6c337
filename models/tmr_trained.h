/* models/tmr_trained.h: a TMR that `mebench train --model tmr` left, for use: its motion encoder
 * (the evaluator's, tmr/encoder.h) and its text encoder.
 */
#ifndef MODEL_TMR_TRAINED_H
#define MODEL_TMR_TRAINED_H

#include "models/tmr_model.h"
#include "tmr/encoder.h"

typedef struct model_tmr_trained {
    tmr_encoder motion;
    nn_params params; /* of the whole network */
    model_tmr_net net;
    char text[128]; /* identity of the token encoder that it was trained with (nn/text.h) */
} model_tmr_trained;

/* `path`: a checkpoint, or the folder that holds last.safetensors. Where the checkpoint has a
 * moving average of the weights, that is taken. */
me_code model_tmr_trained_open(model_tmr_trained *out, const char *path, nn_backend *be,
                               me_err *err);
void model_tmr_trained_close(model_tmr_trained *t);

/* Opens the token encoder that it was trained with: `spec` as nn_text_open takes it, or NULL where
 * the identity tells enough ("hash:256"). Another encoder than that of the training is refused. */
me_code model_tmr_text_open(nn_text **out, const model_tmr_trained *t, const char *spec,
                            nn_backend *be, const nn_text_options *options, me_err *err);

/* One row (width) for each text. `sentences`: NULL, or receives the token encoder's unit sentence
 * vectors (n, nn_text_sentence_width). */
me_code model_tmr_embed_texts(float *out, float *sentences, model_tmr_trained *t, nn_text *text,
                              const char *const *texts, int64_t n, nn_precision precision,
                              me_err *err);

#endif
