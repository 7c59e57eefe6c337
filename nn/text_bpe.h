/* nn/text_bpe.h: CLIP's tokenizer, natively: NFC, runs of white space to one space, lower case, the
 * split into contractions, letters, single digits and other runs, UTF-8 bytes in GPT-2's byte
 * alphabet, and byte-pair merges with "</w>" on a word's last symbol (spec omnime 2).
 */
#ifndef NN_TEXT_BPE_H
#define NN_TEXT_BPE_H

#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

#define NN_BPE_CONTEXT 77 /* tokens that CLIP reads: start, at most 75, end */

typedef struct nn_bpe nn_bpe;

/* DIR/vocab.json and DIR/merges.txt of a Hugging Face CLIP folder. */
me_code nn_bpe_open(nn_bpe **out, const char *folder, me_err *err);
void nn_bpe_close(nn_bpe *bpe);

/* [start] + tokens + [end], not truncated; *ids comes from `arena`. Bytes that are not UTF-8 count
 * as U+FFFD, one for each. */
me_code nn_bpe_encode(const nn_bpe *bpe, const char *text, me_arena *arena, int32_t **ids,
                      int64_t *n, me_err *err);
/* The same as CLIP reads it: cut so that start and end stay, padded with the end token. */
me_code nn_bpe_encode_context(const nn_bpe *bpe, const char *text, int32_t ids[NN_BPE_CONTEXT],
                              me_err *err);

int32_t nn_bpe_start(const nn_bpe *bpe); /* 49406 in CLIP's vocabulary */
int32_t nn_bpe_end(const nn_bpe *bpe);   /* 49407 */

#endif
