/* nn/cpu/cpu_adamw.c: the optimiser's step, the gradient's norm and the factor that clips it. */
#include "nn/cpu/cpu_priv.h"

#include <math.h>
#include <omp.h>

#include "nn/cpu/cpu_math.h"

#define CHUNK 16384

/* p -= lr wd p, the moments, p -= lr mhat / (sqrt(vhat) + eps), as torch orders them. */
static void adamw_chunk(const nn_adamw_args *a, int64_t from, int64_t to)
{
    float scale = a->grad_scale ? *a->grad_scale : 1, decay = 1 - a->lr * a->weight_decay;
    float step = (float)(a->lr / a->bias1), root2 = (float)sqrt(a->bias2);
    uint16_t *shadow = a->bf16_shadow;
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        float g = a->grad[i] * scale;
        a->m[i] = a->beta1 * a->m[i] + (1 - a->beta1) * g;
        a->v[i] = a->beta2 * a->v[i] + (1 - a->beta2) * g * g;
        a->param[i] = a->param[i] * decay - step * a->m[i] / (sqrtf(a->v[i]) / root2 + a->eps);
    }
    for (int64_t i = from; shadow && i < to; i++) shadow[i] = cpu_to_bf16(a->param[i]);
    for (int64_t i = from; a->ema && i < to; i++)
        a->ema[i] = a->ema_decay * a->ema[i] + (1 - a->ema_decay) * a->param[i];
}

void nn_cpu_adamw(nn_backend *be, const nn_adamw_args *args)
{
    nn_adamw_args a = *args;
    int64_t n = args->n;
    if (args->state) {
        a.lr = args->state->lr;
        a.bias1 = args->state->bias1;
        a.bias2 = args->state->bias2;
    }
#pragma omp parallel for num_threads(nn_cpu(be)->threads) if (n > CHUNK)
    for (int64_t from = 0; from < n; from += CHUNK)
        adamw_chunk(&a, from, from + CHUNK < n ? from + CHUNK : n);
}

/* Chunk sums first, then those in order: the same for any number of threads. */
void nn_cpu_norm(nn_backend *be, float *out, const float *x, int64_t n)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t chunks = (n + CHUNK - 1) / CHUNK;
    double *sums = nn_cpu_scratch(cpu, chunks, sizeof *sums), total = 0;
    if (!sums) chunks = 0;
#pragma omp parallel for num_threads(cpu->threads) if (chunks > 1)
    for (int64_t c = 0; c < chunks; c++) {
        int64_t to = (c + 1) * CHUNK < n ? (c + 1) * CHUNK : n;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = c * CHUNK; i < to; i++) sum += (double)x[i] * x[i];
        sums[c] = sum;
    }
    for (int64_t c = 0; c < chunks; c++) total += sums[c];
    *out = (float)sqrt(total);
    nn_cpu_done(cpu);
}

void nn_cpu_clip_scale(nn_backend *be, float *scale, const float *norm, float max_norm)
{
    (void)be;
    float s = max_norm / (*norm + 1e-6f);
    *scale = s < 1 ? s : 1;
}
