/* metrics/fid_sound.c: the Frechet distance with its bias shown and taken away.
 *
 * What is unsound in the reference's form: the estimator's bias at n = 480 or 992 in 256 dimensions
 * is as large as the published values; items are dropped by a shuffle; vectors of unit length lie
 * on a sphere, which no Gaussian does. Here all items and the embeddings as the encoder gives them
 * are used, and two corrections are printed. `halves` and `floor` compare disjoint halves of equal
 * size, generated against target and target against target: their bias is the same to first order,
 * so that `excess`, the difference, is a distance above chance at any n. `infinity` extrapolates
 * the paired distance at n and n/2 linearly in 1/n to n without bound, for which n/2 must exceed
 * the dimension.
 */
#include <math.h>
#include <stdlib.h>

#include "core/rng.h"
#include "metrics/frechet_priv.h"
#include "metrics/metrics.h"
#include "metrics/stats.h"

/* One split: three distances between halves. */
typedef struct split_values {
    double floor, halves, paired;
} split_values;

static me_code one_split(split_values *out, const double *target, const double *generated,
                         const metric_input *in, bool paired, int s)
{
    const int64_t half = in->n / 2;
    int64_t *order = malloc((size_t)in->n * sizeof *order);
    if (!order) return ME_EMEM;
    me_rng g = me_rng_make(in->seed, ((uint64_t)0x66696473 << 32) + (uint64_t)s);
    for (int64_t i = 0; i < in->n; i++) order[i] = i;
    me_rng_shuffle(&g, order, in->n);
    const int64_t *a = order, *b = order + half;
    me_code code = metric_frechet_of(&out->floor, target, a, half, target, b, half, in->dim, NULL);
    if (code == ME_OK)
        code = metric_frechet_of(&out->halves, generated, a, half, target, b, half, in->dim, NULL);
    if (code == ME_OK && paired)
        code = metric_frechet_of(&out->paired, generated, a, half, target, a, half, in->dim, NULL);
    free(order);
    return code;
}

static me_code run_splits(split_values *mean, double *excess_sd, const double *target,
                          const double *generated, const metric_input *in, bool paired, me_err *err)
{
    split_values *v = calloc((size_t)in->splits, sizeof *v);
    double *excess = calloc((size_t)in->splits, sizeof *excess);
    int bad = !v || !excess;
#pragma omp parallel for schedule(dynamic)
    for (int s = 0; s < (bad ? 0 : in->splits); s++) {
        if (one_split(&v[s], target, generated, in, paired, s)) {
#pragma omp atomic write
            bad = 1;
        }
    }
    *mean = (split_values){0};
    for (int s = 0; !bad && s < in->splits; s++) {
        mean->floor += v[s].floor / in->splits;
        mean->halves += v[s].halves / in->splits;
        mean->paired += v[s].paired / in->splits;
        excess[s] = v[s].halves - v[s].floor;
    }
    if (!bad) *excess_sd = metric_sd(excess, in->splits);
    free(v);
    free(excess);
    return bad ? me_fail(err, ME_EDATA, "FID of halves has no value") : ME_OK;
}

static me_code emit_all(metric_sink *sink, const metric *self, const metric_input *in, double value,
                        const split_values *v, double excess_sd, bool paired, me_err *err)
{
    const struct {
        const char *label;
        double value;
        const char *reason;
    } rows[] = {
        {"fid_sound", value, NULL},
        {"fid_sound.n", (double)in->n, NULL},
        {"fid_sound.half_n", (double)(in->n / 2), NULL},
        {"fid_sound.floor", v->floor, NULL},
        {"fid_sound.halves", v->halves, NULL},
        {"fid_sound.excess", v->halves - v->floor, NULL},
        {"fid_sound.excess_sd", excess_sd, NULL},
        {"fid_sound.infinity", 2 * value - v->paired,
         paired ? NULL : "half the items must outnumber the embedding's dimensions"},
    };
    me_code code = ME_OK;
    int count = in->splits > 0 ? (int)(sizeof rows / sizeof *rows) : 2;
    for (int i = 0; i < count && code == ME_OK; i++)
        code = metric_emit_value(sink, self, rows[i].label, rows[i].value, rows[i].reason, err);
    return code;
}

static me_code fid_sound_run(metric_sink *sink, const metric *self, const metric_input *in,
                             me_err *err)
{
    if (in->n < 4) return metric_emit_value(sink, self, "fid_sound", 0, "fewer than 4 items", err);
    const int64_t count = in->n * in->dim;
    double *target = malloc((size_t)count * sizeof *target);
    double *generated = malloc((size_t)count * sizeof *generated);
    split_values v = {0};
    double value = 0, excess_sd = 0;
    bool paired = in->n / 2 > in->dim;
    me_code code = target && generated ? ME_OK : me_fail_mem(err, "FID");
    for (int64_t i = 0; code == ME_OK && i < count; i++) {
        target[i] = in->target[i];
        generated[i] = in->generated[i];
    }
    if (code == ME_OK) code = metric_frechet(&value, target, in->n, generated, in->n, in->dim, err);
    if (code == ME_OK && in->splits > 0)
        code = run_splits(&v, &excess_sd, target, generated, in, paired, err);
    if (code == ME_OK) code = emit_all(sink, self, in, value, &v, excess_sd, paired, err);
    free(target);
    free(generated);
    return code;
}

const metric metric_fid_sound = {
    .name = "fid_sound",
    .unit = "distance",
    .better = METRIC_LOWER,
    .needs = METRIC_NEEDS_EMBEDDINGS,
    .aggregate = METRIC_CORPUS,
    .doc = "Frechet distance over all items and embeddings as the encoder gives them. `floor` and "
           "`halves` are "
           "means over repeated splits of target half against target half and generated half "
           "against the other "
           "target half, half_n items each; `excess` = halves - floor is free of the bias of small "
           "samples to "
           "first order. `infinity` extrapolates to an unlimited number of items, linearly in 1/n.",
    .cite = "Heusel et al., NeurIPS 2017; Chong and Forsyth, Effectively unbiased FID, CVPR 2020",
    .run = fid_sound_run,
};
