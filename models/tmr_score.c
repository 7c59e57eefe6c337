/* models/tmr_score.c: see tmr_score.h. */
#include "models/tmr_score.h"

#include <stdlib.h>

#include "core/mem.h"
#include "core/rng.h"
#include "metrics/ranks.h"

me_code model_tmr_score(model_tmr_scores *out, const model_tmr_embedded *in, int64_t batch,
                        double threshold, uint32_t seed, me_err *err)
{
    const int64_t n = in->n, width = in->width, words = in->sentences ? in->sentence_width : 0;
    *out = (model_tmr_scores){0};
    double *motions = malloc((size_t)(n * (2 * width + words) + 1) * sizeof *motions);
    int64_t *order = malloc((size_t)(n + 1) * sizeof *order);
    me_code code = motions && order ? ME_OK : me_fail_mem(err, "retrieval");
    double *texts = motions + n * width, *sentences = texts + n * width;
    if (code == ME_OK) code = metric_unit(motions, in->motions, NULL, "motion", n, width, err);
    if (code == ME_OK) code = metric_unit(texts, in->texts, NULL, "text", n, width, err);
    for (int64_t i = 0; i < n * words && code == ME_OK; i++) sentences[i] = in->sentences[i];
    if (code == ME_OK) me_numpy_shuffle(seed, order, n);
    for (int full = 0; full < 2; full++)
        for (int back = 0; back < 2 && code == ME_OK; back++)
            code = metric_retrieve(&out->of[full][back], back ? motions : texts,
                                   back ? texts : motions, width, words ? sentences : NULL, words,
                                   threshold, n, full ? 0 : batch, order, err);
    free(motions);
    free(order);
    return code;
}
