/* models/tmr_score.h: how well texts find their motions and motions their texts (spec tmr-train:
 * validation), in one gallery and in galleries of a batch.
 */
#ifndef MODEL_TMR_SCORE_H
#define MODEL_TMR_SCORE_H

#include "metrics/retrieval.h"

#define MODEL_TMR_SAME_TEXT 0.95 /* texts with a higher cosine count as the same */

typedef struct model_tmr_embedded {
    const float *motions, *texts; /* (n, width), row i of one belongs to row i of the other */
    const float *sentences;       /* (n, sentence_width) unit rows; NULL: no texts are the same */
    int64_t n, width, sentence_width;
} model_tmr_embedded;

typedef struct model_tmr_scores {
    metric_retrieval of[2][2]; /* [0 batches, 1 full] [0 text to motion, 1 motion to text] */
} model_tmr_scores;

/* Batches are drawn across the items, in the order of a shuffle by `seed`: neighbours in a file
 * share a person or a source. */
me_code model_tmr_score(model_tmr_scores *out, const model_tmr_embedded *in, int64_t batch,
                        double threshold, uint32_t seed, me_err *err);

#endif
