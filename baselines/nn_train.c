/* baselines/nn_train.c: retrieval instead of generation: the answer to the most similar question of
 * the training set. */
#include <math.h>
#include <stdlib.h>

#include "baselines/baselines_priv.h"
#include "nn/text.h"

/* What makes a pair: its source's embedding and its text's sentence vector, both of length 1. */
typedef struct question {
    const double *source, *text;
} question;

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

/* A vector of zeros stays one: nothing is near to it. */
static void to_unit(double *out, const float *v, int64_t n)
{
    for (int64_t k = 0; k < n; k++) out[k] = v[k];
    const double length = sqrt(dot(out, out, n));
    for (int64_t k = 0; k < n && length > 0; k++) out[k] /= length;
}

static me_code embed_sources(double *out, const motion_pair *const *pairs, int64_t n,
                             const baseline_input *in, me_err *err)
{
    const int64_t width = in->encoder->config.width;
    tmr_clip *clips = calloc((size_t)n, sizeof *clips);
    float *flat = calloc((size_t)n, (size_t)width * sizeof *flat);
    me_code code = clips && flat ? ME_OK : me_fail_mem(err, "embeddings");
    for (int64_t i = 0; i < n && code == ME_OK; i++)
        clips[i] = (tmr_clip){.name = pairs[i]->key,
                              .pose = pairs[i]->source.pose,
                              .frames = pairs[i]->source.frames};
    if (code == ME_OK)
        code = tmr_embed(flat, NULL, in->encoder, in->be, clips, n, &in->embed, NULL, err);
    for (int64_t i = 0; i < n && code == ME_OK; i++)
        to_unit(out + i * width, flat + i * width, width);
    free(clips);
    free(flat);
    return code;
}

static me_code embed_texts(double **out, int64_t *width, me_arena *arena,
                           const motion_pair *const *pairs, int64_t n, const baseline_input *in,
                           me_err *err)
{
    nn_text *text = NULL;
    nn_text_vectors *vectors = calloc((size_t)n, sizeof *vectors);
    const char **texts = calloc((size_t)n, sizeof *texts);
    me_code code = vectors && texts ? ME_OK : me_fail_mem(err, "texts");
    for (int64_t i = 0; i < n && code == ME_OK; i++) texts[i] = pairs[i]->text;
    if (code == ME_OK)
        code = nn_text_open(&text, "hash", in->be, &(nn_text_options){.cache = ""}, err);
    if (code == ME_OK) code = nn_text_encode(text, texts, n, vectors, err);
    if (code == ME_OK) {
        *width = nn_text_sentence_width(text);
        *out = ME_NEW_ARRAY(arena, n * *width, double);
        if (!*out) code = me_fail_mem(err, "text embeddings");
    }
    for (int64_t i = 0; i < n && code == ME_OK; i++)
        to_unit(*out + i * *width, vectors[i].sentence, *width);
    nn_text_close(text);
    free(vectors);
    free(texts);
    return code;
}

/* Fills `at` with the questions of the selected pairs, then those of training. */
static me_code ask(question *at, int64_t widths[2], me_arena *arena, const baseline_input *in,
                   const int64_t *train, int64_t train_n, me_err *err)
{
    const int64_t n = in->n + train_n;
    const motion_pair **pairs = ME_NEW_ARRAY(arena, n, const motion_pair *);
    widths[0] = in->encoder->config.width;
    double *sources = ME_NEW_ARRAY(arena, n * widths[0], double), *texts = NULL;
    if (!pairs || !sources) return me_fail_mem(err, "embeddings");
    for (int64_t i = 0; i < n; i++)
        pairs[i] = i < in->n ? baseline_pair(in, i) : &in->dataset->pairs[train[i - in->n]];
    me_code code = embed_sources(sources, pairs, n, in, err);
    if (code == ME_OK) code = embed_texts(&texts, &widths[1], arena, pairs, n, in, err);
    for (int64_t i = 0; i < n && code == ME_OK; i++)
        at[i] = (question){sources + i * widths[0], texts + i * widths[1]};
    return code;
}

static me_code nn_train_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                             me_err *err)
{
    int64_t *train, train_n, widths[2];
    if (!in->encoder)
        return me_fail(err, ME_EUSAGE,
                       "nn-train compares sources by TMR: run it by `mebench eval --tmr FILE "
                       "--generated baseline:nn-train`");
    me_code code = baseline_train_pairs(&train, &train_n, arena, in, err);
    if (code != ME_OK) return code;
    question *all = ME_NEW_ARRAY(arena, in->n + train_n, question);
    if (!all) return me_fail_mem(err, "nn-train");
    if ((code = ask(all, widths, arena, in, train, train_n, err))) return code;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < in->n; i++) {
        const motion_pair *p = baseline_pair(in, i), *nearest = NULL;
        double best = -INFINITY;
        for (int64_t k = 0; k < train_n; k++) {
            const motion_pair *other = &in->dataset->pairs[train[k]];
            const question *q = &all[in->n + k];
            if (other == p) continue;
            const double score =
                dot(all[i].source, q->source, widths[0]) + dot(all[i].text, q->text, widths[1]);
            if (score > best) best = score, nearest = other;
        }
        out[i] = baseline_cut(nearest ? &nearest->target : &p->source, p->target.frames);
    }
    return ME_OK;
}

const baseline baseline_nn_train = {
    .name = "nn-train",
    .doc = "The target of the nearest training pair, cut to the own target's length: the pair with "
           "the largest sum of the cosine of the sources' TMR embeddings and the cosine of the "
           "texts' hash embeddings (words and character n-grams), the first in the file where "
           "several are. A strong reference that generates nothing. Needs the train split in the "
           "same dataset.",
    .cite = "spec baselines 7",
    .needs_encoder = true,
    .make = nn_train_make,
};
