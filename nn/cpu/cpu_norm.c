/* nn/cpu/cpu_norm.c: LayerNorm, plain and modulated, and rows divided by their length.
 *
 * One row at a time, two passes: the mean, then the variance about it, both summed in double. What
 * the row is scaled by is either the weight or, modulated, 1 + scale of its sequence.
 */
#include "nn/cpu/cpu_priv.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { COLUMNS = 64 }; /* of one task that sums down the rows */

static bool worth_threads(int64_t work)
{
    return work > 16384;
}

/* ---- LayerNorm ---------------------------------------------------------------------------------
 */

/* f32 stand-ins of everything that may be bf16. */
static nn_layernorm_args norm_f32(cpu_backend *cpu, const nn_layernorm_args *o, bool backward)
{
    nn_layernorm_args a = *o;
    int64_t n = o->m * o->d, scale_stride = o->mod_stride;
    a.x = nn_cpu_in1(cpu, o->dtype, o->x, n);
    a.residual = nn_cpu_in1(cpu, o->dtype, o->residual, n);
    if (o->drop.p > 0) {
        float *kept = nn_cpu_scratch(cpu, n, sizeof *kept);
        if (nn_cpu_ready(cpu)) nn_cpu_drop_all(cpu, kept, a.residual, n, &o->drop);
        a.residual = kept;
    }
    a.shift = nn_cpu_in(cpu, o->dtype, o->shift, o->segments, o->d, &a.mod_stride);
    a.scale = nn_cpu_in(cpu, o->dtype, o->scale, o->segments, o->d, &scale_stride);
    if (!backward) {
        a.y = nn_cpu_out1(cpu, o->dtype, o->y, n, false);
    } else {
        int64_t scale_grad_stride = o->dmod_stride;
        a.dy = nn_cpu_in1(cpu, o->dtype, o->dy, n);
        a.dx = nn_cpu_out1(cpu, o->dtype, o->dx, n, false);
        a.dresidual = nn_cpu_out1(cpu, o->dtype, o->dresidual, n, false);
        a.dshift = nn_cpu_out(cpu, o->dtype, o->dshift, o->segments, o->d, &a.dmod_stride, false);
        a.dscale =
            nn_cpu_out(cpu, o->dtype, o->dscale, o->segments, o->d, &scale_grad_stride, false);
    }
    return a;
}

/* y = x (+ residual), and its statistics. */
static void statistics(const nn_layernorm_args *a, int64_t row, float *y, float *mean, float *rstd)
{
    const float *x = (const float *)a->x + row * a->d;
    const float *residual = a->residual ? (const float *)a->residual + row * a->d : NULL;
    double sum = 0, squares = 0;
    int64_t d = a->d;
    if (residual) {
#pragma omp simd
        for (int64_t j = 0; j < d; j++) y[j] = x[j] + residual[j];
    } else if (y != x) {
        for (int64_t j = 0; j < d; j++) y[j] = x[j];
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < d; j++) sum += y[j];
    double m = sum / (double)d;
#pragma omp simd reduction(+ : squares)
    for (int64_t j = 0; j < d; j++) squares += (y[j] - m) * (y[j] - m);
    *mean = (float)m;
    *rstd = (float)(1 / sqrt(squares / (double)d + (double)a->eps));
}

static void norm_row(const nn_layernorm_args *a, int64_t row)
{
    float *y = (float *)a->y + row * a->d, mean, rstd;
    const float *w = a->w, *b = a->b;
    statistics(a, row, y, &mean, &rstd);
    if (a->mean) a->mean[row] = mean;
    if (a->rstd) a->rstd[row] = rstd;
    if (a->scale) {
        int64_t at = a->segment[row] * a->mod_stride;
        const float *scale = (const float *)a->scale + at, *shift = (const float *)a->shift + at;
#pragma omp simd
        for (int64_t j = 0; j < a->d; j++) y[j] = (y[j] - mean) * rstd * (1 + scale[j]) + shift[j];
    } else if (w) {
#pragma omp simd
        for (int64_t j = 0; j < a->d; j++) y[j] = (y[j] - mean) * rstd * w[j] + b[j];
    } else {
#pragma omp simd
        for (int64_t j = 0; j < a->d; j++) y[j] = (y[j] - mean) * rstd;
    }
}

void nn_cpu_layernorm_fwd(nn_backend *be, const nn_layernorm_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    nn_layernorm_args a = norm_f32(cpu, args, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for schedule(static) num_threads(cpu->threads) if (worth_threads(a.m * a.d))
        for (int64_t i = 0; i < a.m; i++) norm_row(&a, i);
    }
    nn_cpu_done(cpu);
}

static float input_at(const nn_layernorm_args *a, int64_t i)
{
    float x = ((const float *)a->x)[i];
    return a->residual ? x + ((const float *)a->residual)[i] : x;
}

/* dx = rstd (g - mean(g) - xhat mean(g xhat)), g = dy times what the row was scaled by. */
static void norm_row_backward(const nn_layernorm_args *a, int64_t row)
{
    int64_t d = a->d, at = row * d;
    const float *dy = (const float *)a->dy + at, *w = a->w, *scale = NULL;
    float *dx = (float *)a->dx + at, mean = a->mean[row], rstd = a->rstd[row];
    double sum = 0, dot = 0;
    if (a->scale) scale = (const float *)a->scale + a->segment[row] * a->mod_stride;
    for (int64_t j = 0; j < d; j++) {
        float g = dy[j] * (scale ? 1 + scale[j] : w ? w[j] : 1);
        sum += g;
        dot += (double)g * ((input_at(a, at + j) - mean) * rstd);
        dx[j] = g;
    }
    float mean_g = (float)(sum / (double)d), mean_dot = (float)(dot / (double)d);
    for (int64_t j = 0; j < d; j++) {
        float xhat = (input_at(a, at + j) - mean) * rstd;
        dx[j] = rstd * (dx[j] - mean_g - xhat * mean_dot);
    }
}

/* Over rows [from, to) of columns [left, left + n): sums of dy xhat and of dy. */
static void column_sums(const nn_layernorm_args *a, int64_t from, int64_t to, int64_t left,
                        int64_t n, double *scaled, double *plain)
{
    for (int64_t j = 0; j < n; j++) scaled[j] = plain[j] = 0;
    for (int64_t i = from; i < to; i++) {
        int64_t at = i * a->d + left;
        const float *dy = (const float *)a->dy + at;
        for (int64_t j = 0; j < n; j++) {
            scaled[j] += (double)dy[j] * ((input_at(a, at + j) - a->mean[i]) * a->rstd[i]);
            plain[j] += dy[j];
        }
    }
}

static void affine_grads(cpu_backend *cpu, const nn_layernorm_args *a)
{
    int64_t blocks = (a->d + COLUMNS - 1) / COLUMNS;
#pragma omp parallel for num_threads(cpu->threads) if (worth_threads(a->m * a->d))
    for (int64_t block = 0; block < blocks; block++) {
        double scaled[COLUMNS], plain[COLUMNS];
        int64_t left = block * COLUMNS, n = a->d - left < COLUMNS ? a->d - left : COLUMNS;
        column_sums(a, 0, a->m, left, n, scaled, plain);
        for (int64_t j = 0; j < n; j++) {
            if (a->dw) a->dw[left + j] += (float)scaled[j];
            if (a->db) a->db[left + j] += (float)plain[j];
        }
    }
}

static void modulation_grads(cpu_backend *cpu, const nn_layernorm_args *a)
{
#pragma omp parallel for num_threads(cpu->threads) if (worth_threads(a->m * a->d))
    for (int64_t s = 0; s < a->segments; s++) {
        float *dscale = (float *)a->dscale + s * a->dmod_stride;
        float *dshift = (float *)a->dshift + s * a->dmod_stride;
        for (int64_t left = 0; left < a->d; left += COLUMNS) {
            double scaled[COLUMNS], plain[COLUMNS];
            int64_t n = a->d - left < COLUMNS ? a->d - left : COLUMNS;
            column_sums(a, a->offsets[s], a->offsets[s + 1], left, n, scaled, plain);
            for (int64_t j = 0; j < n; j++) {
                dscale[left + j] = (float)scaled[j];
                dshift[left + j] = (float)plain[j];
            }
        }
    }
}

/* From dx, which is that of the sum, to that of the residual before its dropout. */
static void residual_grad(cpu_backend *cpu, const nn_layernorm_args *a)
{
    int64_t n = a->m * a->d;
    if (a->drop.p > 0)
        nn_cpu_drop_all(cpu, a->dresidual, a->dx, n, &a->drop);
    else
        memcpy(a->dresidual, a->dx, (size_t)n * sizeof(float));
    if (a->dbias) nn_cpu_add_column_sums(cpu, a->dbias, a->dresidual, a->m, a->d, a->d);
}

void nn_cpu_layernorm_bwd(nn_backend *be, const nn_layernorm_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    nn_layernorm_args a = norm_f32(cpu, args, true);
    if (nn_cpu_ready(cpu)) {
        if (a.dw || a.db) affine_grads(cpu, &a);
        if (a.dscale) modulation_grads(cpu, &a);
#pragma omp parallel for schedule(static) num_threads(cpu->threads) if (worth_threads(a.m * a.d))
        for (int64_t i = 0; i < a.m; i++) norm_row_backward(&a, i);
        if (a.dresidual) residual_grad(cpu, &a);
    }
    nn_cpu_done(cpu);
}

/* ---- rows of length 1 --------------------------------------------------------------------------
 */

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) sum += (double)a[j] * b[j];
    return sum;
}

void nn_cpu_normalize_fwd(nn_backend *be, const nn_normalize_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t d = args->d;
    const float *x = nn_cpu_in1(cpu, args->dtype, args->x, args->m * d);
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->m * d, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (worth_threads(args->m * d))
        for (int64_t i = 0; i < args->m; i++) {
            double norm = fmax(sqrt(dot(x + i * d, x + i * d, d)), args->eps);
            if (args->norm) args->norm[i] = (float)norm;
            for (int64_t j = 0; j < d; j++) y[i * d + j] = (float)(x[i * d + j] / norm);
        }
    }
    nn_cpu_done(cpu);
}

/* dx = (dy - y (y . dy)) / norm; where the norm was raised to eps it is a constant. */
void nn_cpu_normalize_bwd(nn_backend *be, const nn_normalize_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t d = args->d;
    const float *x = nn_cpu_in1(cpu, args->dtype, args->x, args->m * d);
    const float *dy = nn_cpu_in1(cpu, args->dtype, args->dy, args->m * d);
    float *dx = nn_cpu_out1(cpu, args->dtype, args->dx, args->m * d, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (worth_threads(args->m * d))
        for (int64_t i = 0; i < args->m; i++) {
            const float *xi = x + i * d, *gi = dy + i * d;
            double norm = args->norm[i], along = 0;
            if (args->norm[i] > args->eps) along = dot(xi, gi, d) / (norm * norm);
            for (int64_t j = 0; j < d; j++) dx[i * d + j] = (float)((gi[j] - xi[j] * along) / norm);
        }
    }
    nn_cpu_done(cpu);
}
