/* nn/text.h: sentences to vectors. One interface over the frozen text encoders that models train
 * on:
 *
 *     clip:DIR   CLIP's text tower from a Hugging Face folder or OpenAI's .pt (nn/text_clip.h)
 *     hash       seeded feature hashing of words and character n-grams; needs no file
 * (nn/text_hash.c)
 *
 * Each distinct text is encoded once in a process, and CLIP's results are kept on disk under a key
 * of weights and text.
 */
#ifndef NN_TEXT_H
#define NN_TEXT_H

#include "core/mem.h"
#include "nn/tensor.h"

typedef struct nn_text nn_text;

typedef struct nn_text_vectors {
    int64_t n; /* tokens, at least 1 */
    const float
        *tokens; /* (n, token width): clip: states after the final LayerNorm, up to the end token */
    const float *sentence; /* (sentence width): clip: projected end-token state; not normalised */
} nn_text_vectors;

/* Vectors are computed in single precision whatever a run computes in, so that runs share a cache.
 */
typedef struct nn_text_options {
    /* folder for results; NULL: $XDG_CACHE_HOME/mebench or ~/.cache/mebench; "": none */
    const char *cache;
} nn_text_options;

/* `spec` as above; "hash:WIDTH" chooses another width than 256. The back end must outlive the
 * encoder. */
me_code nn_text_open(nn_text **out, const char *spec, nn_backend *be,
                     const nn_text_options *options, me_err *err);
void nn_text_close(nn_text *text);

int64_t nn_text_token_width(const nn_text *text);
int64_t nn_text_sentence_width(const nn_text *text);
/* What identifies the encoder in a checkpoint: "hash:256", "clip:<sha256 of the weights>". */
const char *nn_text_identity(const nn_text *text);

/* Vectors of `n` texts, which live as long as the encoder. Equal texts share vectors. */
me_code nn_text_encode(nn_text *text, const char *const *texts, int64_t n, nn_text_vectors *out,
                       me_err *err);

#endif
