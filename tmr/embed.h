/* tmr/embed.h: motions to embeddings. Features, normaliser, and the encoder over packed chunks.
 *
 * Every distinct input is encoded once: clips whose normalised features are equal, bit for bit,
 * share one embedding, so that exact ties stay exact (spec evaluation 5.7, trap 7). An embedding
 * does not depend on what else is encoded, nor on any order.
 */
#ifndef TMR_EMBED_H
#define TMR_EMBED_H

#include "core/log.h"
#include "tmr/encoder.h"

typedef struct tmr_clip {
    const char *name;  /* for messages: "generated 000047" */
    const float *pose; /* (frames,135) */
    int64_t frames;    /* features are computed on all of them */
    int64_t keep;      /* and the first `keep` are encoded; 0: all */
} tmr_clip;

typedef struct tmr_embed_options {
    tmr_gelu gelu;
    nn_precision precision; /* a back end that only computes fp32 does that, whatever stands here */
    int64_t batch_clips;    /* at most so many sequences at once; 0: no such limit */
    int64_t batch_tokens;   /* at most so many rows at once; 0: what suits the back end */
    me_log *log;            /* progress; NULL: none */
} tmr_embed_options;

typedef struct tmr_embed_report {
    int64_t distinct;       /* sequences that were encoded */
    int64_t frames;         /* of those */
    double feature_seconds; /* of waiting for features and hashes */
    double encode_seconds;  /* the rest, the device's work included */
} tmr_embed_report;

/* out: (n, width) float32. identity: (n) or NULL; equal numbers mark inputs that are equal bit for
 * bit. report: NULL or filled. Frames outside [1, 4998], NaN and infinity are refused by name. */
me_code tmr_embed(float *out, int64_t *identity, tmr_encoder *e, nn_backend *be,
                  const tmr_clip *clips, int64_t n, const tmr_embed_options *options,
                  tmr_embed_report *report, me_err *err);

#endif
