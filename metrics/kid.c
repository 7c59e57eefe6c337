/* metrics/kid.c: kernel distance, unbiased at any number of items. */
#include <stdlib.h>

#include "metrics/metrics.h"
#include "metrics/ranks.h"

enum { BLOCK = 256 }; /* rows whose products are held at a time */

static double cubic(double dot, int64_t dim)
{
    double k = dot / (double)dim + 1;
    return k * k * k;
}

/* Mean of the kernel over all pairs (i,j), i != j: items never meet themselves, nor their own
 * counterpart. */
static me_code kernel_mean(double *out, double *block, const double *x, const double *y, int64_t n,
                           int64_t dim, me_err *err)
{
    double sum = 0;
    for (int64_t first = 0; first < n; first += BLOCK) {
        int64_t rows = n - first < BLOCK ? n - first : BLOCK;
        me_code code = metric_dots(block, x + first * dim, y, rows, n, dim, err);
        if (code != ME_OK) return code;
        for (int64_t i = 0; i < rows; i++) {
            double row = 0;
            for (int64_t j = 0; j < n; j++)
                if (j != first + i) row += cubic(block[i * n + j], dim);
            sum += row;
        }
    }
    *out = sum / ((double)n * (double)(n - 1));
    return ME_OK;
}

static me_code kid_run(metric_sink *sink, const metric *self, const metric_input *in, me_err *err)
{
    if (in->n < 2) return metric_emit_value(sink, self, "kid", 0, "fewer than 2 items", err);
    const int64_t count = in->n * in->dim;
    double *target = malloc((size_t)count * sizeof *target);
    double *generated = malloc((size_t)count * sizeof *generated);
    double *block = malloc((size_t)BLOCK * (size_t)in->n * sizeof *block);
    double tt = 0, gg = 0, tg = 0;
    me_code code = target && generated && block ? ME_OK : me_fail_mem(err, "KID");
    for (int64_t i = 0; code == ME_OK && i < count; i++) {
        target[i] = in->target[i];
        generated[i] = in->generated[i];
    }
    if (code == ME_OK) code = kernel_mean(&tt, block, target, target, in->n, in->dim, err);
    if (code == ME_OK) code = kernel_mean(&gg, block, generated, generated, in->n, in->dim, err);
    if (code == ME_OK) code = kernel_mean(&tg, block, target, generated, in->n, in->dim, err);
    if (code == ME_OK) code = metric_emit_value(sink, self, "kid", tt + gg - 2 * tg, NULL, err);
    if (code == ME_OK) code = metric_emit_value(sink, self, "kid.n", (double)in->n, NULL, err);
    free(target);
    free(generated);
    free(block);
    return code;
}

const metric metric_kid = {
    .name = "kid",
    .unit = "distance",
    .better = METRIC_LOWER,
    .needs = METRIC_NEEDS_EMBEDDINGS,
    .aggregate = METRIC_CORPUS,
    .doc = "Squared maximum mean discrepancy of target and generated embeddings under the kernel "
           "(x.y/d + 1)^3, in "
           "its unbiased form (an item never meets itself or its own counterpart): 0 on average "
           "for equal "
           "distributions whatever the number of items, and therefore slightly negative at times.",
    .cite = "Binkowski et al., Demystifying MMD GANs, ICLR 2018; Gretton et al., A kernel "
            "two-sample test, JMLR "
            "2012",
    .run = kid_run,
};
