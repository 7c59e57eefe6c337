/* models/omnime_hard.c: hard negatives (the rule is in omnime.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/omnime.h"
#include "nn/backend.h"

#define NEAR 32   /* texts that are looked at */
#define CHUNK 256 /* texts compared with all at a time */

static void unit_rows(float *out, const float *in, int64_t n, int64_t d)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t c = 0; c < d; c++) sum += (double)in[i * d + c] * in[i * d + c];
        double scale = sum > 0 ? 1 / sqrt(sum) : 0;
        for (int64_t c = 0; c < d; c++) out[i * d + c] = (float)(in[i * d + c] * scale);
    }
}

/* Keeps the `most` largest of (value, id) pairs in descending order; of equals the first stays. */
static int64_t keep_largest(float *value, int32_t *id, int64_t n, int64_t most, float v, int32_t i)
{
    int64_t at = n;
    while (at > 0 && value[at - 1] < v) at--;
    if (at >= most) return n;
    int64_t end = n < most ? n : most - 1;
    memmove(value + at + 1, value + at, (size_t)(end - at) * sizeof *value);
    memmove(id + at + 1, id + at, (size_t)(end - at) * sizeof *id);
    value[at] = v;
    id[at] = i;
    return end + 1;
}

typedef struct search {
    const model_omnime_data *data;
    int32_t *near;        /* (texts, NEAR), -1: no more */
    const int64_t *first; /* (texts + 1) into of_text */
    const int32_t *of_text;
    const float *edits; /* unit rows */
} search;

/* The least alike edits among the items of the near texts that are in the same split. */
static void choose_for(int32_t *out, const search *s, int64_t item)
{
    const model_omnime_data *d = s->data;
    const int64_t width = 2 * MOTION_EDITOR;
    const float *own = s->edits + item * width;
    float value[MODEL_HARD_NEGATIVES];
    int64_t n = 0;
    for (int64_t k = 0; k < NEAR; k++) {
        int32_t text = s->near[d->items[item].text * NEAR + k];
        for (int64_t p = text < 0 ? 0 : s->first[text]; text >= 0 && p < s->first[text + 1]; p++) {
            int32_t other = s->of_text[p];
            if ((other < d->train_n) != (item < d->train_n)) continue;
            float dot = 0;
            for (int64_t c = 0; c < width; c++) dot += own[c] * s->edits[other * width + c];
            n = keep_largest(value, out, n, MODEL_HARD_NEGATIVES, -dot, other);
        }
    }
    for (int64_t k = n; k < MODEL_HARD_NEGATIVES; k++) out[k] = n ? out[k % n] : -1;
}

/* Cosines of all texts with each other, a chunk of rows at a time on the device. */
static me_code find_near(int32_t *near, nn_backend *be, const float *units, int64_t n,
                         int64_t width, me_err *err)
{
    nn_ctx ctx;
    me_code code = nn_ctx_open(&ctx, be, NN_FP32, err);
    if (code != ME_OK) return code;
    float *scores = malloc((size_t)(CHUNK * n) * sizeof *scores);
    if (!scores) code = me_fail_mem(err, "cosines of texts");
    for (int64_t from = 0; from < n && code == ME_OK; from += CHUNK) {
        int64_t rows = n - from < CHUNK ? n - from : CHUNK;
        nn_reset(&ctx);
        nn_tensor *all = nn_from_host(&ctx, units, n, width);
        nn_tensor *some = nn_from_host(&ctx, units + from * width, rows, width);
        nn_tensor *product = nn_linear(&ctx, some, all, NULL, NN_ACT_NONE);
        code = nn_status(&ctx, err);
        if (code == ME_OK) code = nn_to_host(&ctx, product, scores, err);
#pragma omp parallel for if (rows > 16)
        for (int64_t i = 0; i < rows; i++) {
            float value[NEAR];
            int32_t *out = near + (from + i) * NEAR;
            int64_t kept = 0;
            for (int64_t j = 0; j < n; j++)
                if (j != from + i)
                    kept = keep_largest(value, out, kept, NEAR, scores[i * n + j], (int32_t)j);
            for (; kept < NEAR; kept++) out[kept] = -1;
        }
    }
    free(scores);
    nn_ctx_close(&ctx);
    return code;
}

me_code model_omnime_find_hard(model_omnime_data *data, const model_setup *setup,
                               const float *texts, int64_t width, const float *edits, me_err *err)
{
    int64_t n = data->texts_n, all = data->all_n, d = 2 * MOTION_EDITOR;
    float *units = malloc((size_t)(n * width + all * d) * sizeof *units);
    int32_t *near = malloc((size_t)(n * NEAR + all) * sizeof *near);
    int64_t *first = calloc((size_t)n + 2, sizeof *first);
    int32_t *out = ME_NEW_ARRAY(&data->arena, all * MODEL_HARD_NEGATIVES, int32_t);
    me_code code = units && near && first && out ? ME_OK : me_fail_mem(err, "hard negatives");
    if (code == ME_OK) {
        int32_t *of_text = near + n * NEAR;
        unit_rows(units, texts, n, width);
        unit_rows(units + n * width, edits, all, d);
        for (int64_t i = 0; i < all; i++) first[data->items[i].text + 2]++;
        for (int64_t t = 2; t <= n + 1; t++) first[t] += first[t - 1];
        for (int64_t i = 0; i < all; i++) of_text[first[data->items[i].text + 1]++] = (int32_t)i;
        code = find_near(near, setup->be, units, n, width, err);
        const search s = {data, near, first, of_text, units + n * width};
#pragma omp parallel for schedule(dynamic, 16)
        for (int64_t i = 0; i < all; i++)
            if (code == ME_OK) choose_for(out + i * MODEL_HARD_NEGATIVES, &s, i);
        data->hard = out;
    }
    free(units);
    free(near);
    free(first);
    return code;
}
