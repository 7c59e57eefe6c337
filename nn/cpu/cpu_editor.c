/* nn/cpu/cpu_editor.c: what a motion editor joins into one pass: rows of several tensors with their
 * positions, and a step of a sampler. */
#include <string.h>

#include "nn/cpu/cpu_math.h"
#include "nn/cpu/cpu_priv.h"

/* The part that holds a row of the stack, and the row within it. */
static int part_of(const nn_assemble_args *a, int64_t *row)
{
    int k = 0;
    while (k < a->parts - 1 && *row >= a->end[k]) k++;
    if (k) *row -= a->end[k - 1];
    return k;
}

void nn_cpu_assemble(nn_backend *be, const nn_assemble_args *a)
{
    cpu_backend *cpu = nn_cpu(be);
    const float *part[NN_ASSEMBLE_PARTS] = {0};
    int64_t d = a->d;
    for (int k = 0; k < a->parts; k++)
        part[k] = nn_cpu_in1(cpu, a->dtype, a->part[k], (a->end[k] - (k ? a->end[k - 1] : 0)) * d);
    float *y = nn_cpu_out1(cpu, a->dtype, a->y, a->m * d, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (nn_cpu_worth_threads(a->m * d))
        for (int64_t i = 0; i < a->m; i++) {
            int64_t row = a->index[i];
            const int k = part_of(a, &row);
            const float *from = part[k] + row * d, *more = a->table + a->at[i] * d;
            for (int64_t j = 0; j < d; j++) y[i * d + j] = from[j] + more[j];
        }
    }
    nn_cpu_done(cpu);
}

static void denoise_sequence(const nn_denoise_args *a, const float *x0, int64_t x0_stride,
                             float *low, int64_t low_stride, int64_t s)
{
    const nn_denoise_step *step = a->step;
    const int64_t first = a->offsets[s], values = (a->offsets[s + 1] - first) * a->d;
    double z[2] = {0};
    for (int64_t e = 0; e < values; e++) {
        const int64_t row = first + e / a->d, column = e % a->d;
        float *x = a->x + row * a->d + column, sum = 0;
        for (int p = 0; p < a->passes; p++)
            sum += step->scale[p] * x0[(p * a->m + row) * x0_stride + column];
        if (step->of_noise != 0 && !(e & 1)) nn_cpu_normals(z, a->stream + 3 * s, (uint64_t)e / 2);
        *x = step->of_x0 * sum + step->of_x * *x;
        if (step->of_noise != 0) *x += step->of_noise * (float)z[e & 1];
        if (low) low[row * low_stride + column] = *x;
    }
}

void nn_cpu_denoise(nn_backend *be, const nn_denoise_args *a)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t x0_stride = a->x0_stride, low_stride = a->low_stride;
    const float *x0 = nn_cpu_in(cpu, a->dtype, a->x0, a->passes * a->m, a->x0_stride, &x0_stride);
    float *low = nn_cpu_out(cpu, a->dtype, a->low, a->m, a->low_stride, &low_stride, false);
    if (nn_cpu_ready(cpu)) {
        for (int64_t i = 0; low && i < a->m; i++)
            memset(low + i * low_stride + a->d, 0, (size_t)(a->low_stride - a->d) * sizeof *low);
#pragma omp parallel for schedule(dynamic)                                                         \
    num_threads(cpu->threads) if (nn_cpu_worth_threads(a->m * a->d))
        for (int64_t s = 0; s < a->segments; s++)
            denoise_sequence(a, x0, x0_stride, low, low_stride, s);
    }
    nn_cpu_done(cpu);
}

/* ---- squared differences by groups of columns --------------------------------------------------
 */

static double group_sum(const nn_group_loss_args *p, const float *a, int64_t stride, int g)
{
    double sum = 0;
    for (int64_t i = 0; i < p->m; i++) {
        double row = 0;
        for (int64_t j = p->from[g]; j < p->to[g]; j++) {
            double apart = (double)a[i * stride + j] - (double)p->b[i * p->d + j];
            row += apart * apart;
        }
        sum += p->weighted[g] ? (double)p->row_weight[i] * row : row;
    }
    return sum;
}

void nn_cpu_group_loss_fwd(nn_backend *be, const nn_group_loss_args *p)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t stride = p->a_stride;
    const float *a = nn_cpu_in(cpu, p->dtype, p->a, p->m, p->a_stride, &stride);
    if (nn_cpu_ready(cpu)) {
        float total = 0;
        for (int g = 0; g < p->groups; g++) {
            p->terms[g] = (float)(group_sum(p, a, stride, g) / p->denominator[g]);
            total += p->share[g] * p->terms[g];
        }
        *p->total = total;
    }
    nn_cpu_done(cpu);
}

void nn_cpu_group_loss_bwd(nn_backend *be, const nn_group_loss_args *p)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t stride = p->a_stride, da_stride = p->a_stride;
    const float *a = nn_cpu_in(cpu, p->dtype, p->a, p->m, p->a_stride, &stride);
    float *da = nn_cpu_out(cpu, p->dtype, p->da, p->m, p->a_stride, &da_stride, true);
    for (int g = 0; nn_cpu_ready(cpu) && g < p->groups; g++) {
        const float scale = *p->upstream * p->share[g] * 2 * (float)(1 / p->denominator[g]);
#pragma omp parallel for num_threads(cpu->threads) if (nn_cpu_worth_threads(p->m * p->d))
        for (int64_t i = 0; i < p->m; i++) {
            const float by = p->weighted[g] ? scale * p->row_weight[i] : scale;
            for (int64_t j = p->from[g]; j < p->to[g]; j++)
                da[i * da_stride + j] += by * (a[i * stride + j] - p->b[i * p->d + j]);
        }
    }
    nn_cpu_done(cpu);
}
