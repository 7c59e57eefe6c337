/* nn/text_priv.h: what a text encoder provides behind nn/text.h. */
#ifndef NN_TEXT_PRIV_H
#define NN_TEXT_PRIV_H

#include "nn/text.h"

typedef struct nn_text_kind {
    int64_t token_width, sentence_width;
    char identity[96];
    bool cached; /* worth keeping on disk */
    void *self;
    /* Encodes n distinct texts; vectors come from `arena`. */
    me_code (*encode)(void *self, me_arena *arena, const char *const *texts, int64_t n,
                      nn_text_vectors *out, me_err *err);
    void (*close)(void *self);
} nn_text_kind;

me_code nn_text_hash_open(nn_text_kind *out, int64_t width, me_err *err);
me_code nn_text_clip_open(nn_text_kind *out, const char *path, nn_backend *be, me_err *err);

#endif
