/* metrics/fid.c: the Frechet distance as the field's code defines it (spec evaluation 6), and how
 * large it is between two halves of the very same distribution. */
#include <math.h>
#include <stdlib.h>

#include "core/rng.h"
#include "metrics/frechet_priv.h"
#include "metrics/metrics.h"
#include "metrics/ranks.h"
#include "metrics/stats.h"

/* Mean and s.d. over repeated disjoint halves of the targets in `unit`. */
static me_code floor_of_halves(double *mean, double *sd, const double *unit, const metric_input *in,
                               me_err *err)
{
    const int64_t n = in->batch_used, half = n / 2;
    double *value = calloc((size_t)in->splits, sizeof *value);
    int64_t *order = calloc((size_t)in->splits * (size_t)n, sizeof *order);
    me_code code = value && order ? ME_OK : me_fail_mem(err, "FID splits");
    for (int s = 0; s < in->splits && code == ME_OK; s++) {
        me_rng g = me_rng_make(in->seed, ((uint64_t)0x66696430 << 32) + (uint64_t)s);
        for (int64_t i = 0; i < n; i++) order[s * n + i] = i;
        me_rng_shuffle(&g, order + s * n, n);
    }
    int bad = 0;
#pragma omp parallel for schedule(dynamic) if (code == ME_OK)
    for (int s = 0; s < (code == ME_OK ? in->splits : 0); s++) {
        const int64_t *i = order + s * n;
        if (metric_frechet_of(&value[s], unit, i, half, unit, i + half, half, in->dim, NULL)) {
#pragma omp atomic write
            bad = 1;
        }
    }
    if (bad) code = me_fail(err, ME_EDATA, "FID of the halves of the targets has no value");
    if (code == ME_OK) {
        *mean = metric_mean(value, in->splits);
        *sd = metric_sd(value, in->splits);
    }
    free(value);
    free(order);
    return code;
}

static me_code emit_nothing(metric_sink *sink, const metric *self, const char *reason, me_err *err)
{
    return metric_emit_value(sink, self, "fid", 0, reason, err);
}

/* Unit embeddings of the items that the batch protocol uses, in its order. */
static me_code gather_unit(double *out, const float *e, const metric_input *in, const char *what,
                           me_err *err)
{
    for (int64_t i = 0; i < in->batch_used; i++) {
        me_code code = metric_unit(out + i * in->dim, e + in->batch_index[i] * in->dim, NULL, what,
                                   1, in->dim, err);
        if (code != ME_OK) return code;
    }
    return ME_OK;
}

static me_code fid_run(metric_sink *sink, const metric *self, const metric_input *in, me_err *err)
{
    const int64_t n = in->batch_used;
    if (n < 4)
        return emit_nothing(sink, self, "the batch protocol uses no items: fewer than 32", err);
    double *target = malloc((size_t)n * (size_t)in->dim * sizeof *target);
    double *generated = malloc((size_t)n * (size_t)in->dim * sizeof *generated);
    double value = 0, mean = 0, sd = 0;
    me_code code = target && generated ? ME_OK : me_fail_mem(err, "FID");
    if (code == ME_OK) code = gather_unit(target, in->target, in, "target", err);
    if (code == ME_OK) code = gather_unit(generated, in->generated, in, "generated", err);
    if (code == ME_OK) code = metric_frechet(&value, target, n, generated, n, in->dim, err);
    if (code == ME_OK && in->splits > 0) code = floor_of_halves(&mean, &sd, target, in, err);
    if (code == ME_OK) code = metric_emit_value(sink, self, "fid", value, NULL, err);
    if (code == ME_OK) code = metric_emit_value(sink, self, "fid.n", (double)n, NULL, err);
    if (code == ME_OK && in->splits > 0) {
        code = metric_emit_value(sink, self, "fid.floor", mean, NULL, err);
        if (code == ME_OK) code = metric_emit_value(sink, self, "fid.floor_sd", sd, NULL, err);
        if (code == ME_OK)
            code = metric_emit_value(sink, self, "fid.floor_n", (double)(n / 2), NULL, err);
    }
    free(target);
    free(generated);
    return code;
}

const metric metric_fid = {
    .name = "fid",
    .unit = "distance",
    .better = METRIC_LOWER,
    .needs = METRIC_NEEDS_EMBEDDINGS,
    .aggregate = METRIC_CORPUS,
    .doc = "Frechet distance between Gaussians fitted to target and generated embeddings, as the "
           "public code "
           "defines it: embeddings of unit length, covariances with divisor n-1, only the "
           "32*floor(N/32) items of "
           "the batch protocol. `floor` is the same distance between disjoint halves of the "
           "targets (floor_n "
           "items each): what equal distributions score at that size. It grows as n shrinks; never "
           "compare "
           "values of different n. No published value can be reproduced: the code that printed "
           "them was "
           "never released.",
    .cite = "Heusel et al., GANs trained by a two time-scale update rule, NeurIPS 2017; spec "
            "evaluation 6",
    .run = fid_run,
};
