/* nn/cpu/cpu_rows.c: rows of tables, gates, means over sequences, blocks of columns. */
#include "nn/cpu/cpu_priv.h"

#include <omp.h>
#include <string.h>

/* ---- y[i] = (x ? x[i] : 0) + table[index[i]] ---------------------------------------------------
 */

void nn_cpu_rows_fwd(nn_backend *be, const nn_rows_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t d = args->d;
    const float *x = nn_cpu_in1(cpu, args->dtype, args->x, args->m * d);
    const float *table = nn_cpu_in1(cpu, args->table_dtype, args->table, args->sources * d);
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->m * d, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (nn_cpu_worth_threads(args->m * d))
        for (int64_t i = 0; i < args->m; i++) {
            const float *from = table + args->index[i] * d;
            if (!x) memcpy(y + i * d, from, (size_t)d * sizeof *y);
            for (int64_t j = 0; x && j < d; j++) y[i * d + j] = x[i * d + j] + from[j];
        }
    }
    nn_cpu_done(cpu);
}

/* Every source sums the places that read it, in double and in ascending order. */
void nn_cpu_rows_bwd(nn_backend *be, const nn_rows_args *args)
{
    enum { WIDE = 64 };
    cpu_backend *cpu = nn_cpu(be);
    int64_t d = args->d;
    const float *dy = nn_cpu_in1(cpu, args->dtype, args->dy, args->m * d);
    float *dtable = nn_cpu_out1(cpu, args->table_dtype, args->dtable, args->sources * d, true);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for schedule(dynamic, 16)                                                     \
    num_threads(cpu->threads) if (nn_cpu_worth_threads(args->m * d))
        for (int64_t s = 0; s < args->sources; s++) {
            int32_t from = args->inverse_start[s], to = args->inverse_start[s + 1];
            for (int64_t left = 0; from < to && left < d; left += WIDE) {
                int64_t n = d - left < WIDE ? d - left : WIDE;
                double sum[WIDE] = {0};
                for (int32_t k = from; k < to; k++) {
                    const float *row = dy + args->inverse_items[k] * d + left;
                    for (int64_t j = 0; j < n; j++) sum[j] += row[j];
                }
                for (int64_t j = 0; j < n; j++) dtable[s * d + left + j] += (float)sum[j];
            }
        }
    }
    nn_cpu_done(cpu);
}

/* ---- y = x + g[segment] h ----------------------------------------------------------------------
 */

void nn_cpu_gate_fwd(nn_backend *be, const nn_segment_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t d = args->d, stride = args->mod_stride;
    const float *x = nn_cpu_in1(cpu, args->dtype, args->x, args->m * d);
    const float *h = nn_cpu_in1(cpu, args->dtype, args->h, args->m * d);
    const float *g = nn_cpu_in(cpu, args->dtype, args->g, args->segments, d, &stride);
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->m * d, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (nn_cpu_worth_threads(args->m * d))
        for (int64_t i = 0; i < args->m; i++) {
            const float *gate = g + args->segment[i] * stride;
            for (int64_t j = 0; j < d; j++) y[i * d + j] = x[i * d + j] + gate[j] * h[i * d + j];
        }
    }
    nn_cpu_done(cpu);
}

static void gate_sum(const nn_segment_args *args, const float *dy, const float *h, int64_t s,
                     float *dg)
{
    enum { WIDE = 64 };
    for (int64_t left = 0; left < args->d; left += WIDE) {
        int64_t n = args->d - left < WIDE ? args->d - left : WIDE;
        double sum[WIDE] = {0};
        for (int64_t i = args->offsets[s]; i < args->offsets[s + 1]; i++) {
            int64_t at = i * args->d + left;
            for (int64_t j = 0; j < n; j++) sum[j] += (double)dy[at + j] * h[at + j];
        }
        for (int64_t j = 0; j < n; j++) dg[left + j] = (float)sum[j];
    }
}

void nn_cpu_gate_bwd(nn_backend *be, const nn_segment_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t d = args->d, stride = args->mod_stride, dg_stride = args->dg_stride;
    const float *dy = nn_cpu_in1(cpu, args->dtype, args->dy, args->m * d);
    const float *h = nn_cpu_in1(cpu, args->dtype, args->h, args->m * d);
    const float *g = nn_cpu_in(cpu, args->dtype, args->g, args->segments, d, &stride);
    float *dh = nn_cpu_out1(cpu, args->dtype, args->dh, args->m * d, false);
    float *dg = nn_cpu_out(cpu, args->dtype, args->dg, args->segments, d, &dg_stride, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for schedule(dynamic)                                                         \
    num_threads(cpu->threads) if (nn_cpu_worth_threads(args->m * d))
        for (int64_t s = 0; s < args->segments; s++) {
            const float *gate = g + s * stride;
            if (dg) gate_sum(args, dy, h, s, dg + s * dg_stride);
            for (int64_t i = args->offsets[s]; dh && i < args->offsets[s + 1]; i++) {
                for (int64_t j = 0; j < d; j++) dh[i * d + j] = gate[j] * dy[i * d + j];
            }
        }
    }
    nn_cpu_done(cpu);
}

/* ---- means over sequences ----------------------------------------------------------------------
 */

void nn_cpu_pool_fwd(nn_backend *be, const nn_segment_args *args)
{
    enum { WIDE = 64 };
    cpu_backend *cpu = nn_cpu(be);
    int64_t d = args->d;
    const float *x = nn_cpu_in1(cpu, args->dtype, args->x, args->m * d);
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->segments * d, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (nn_cpu_worth_threads(args->m * d))
        for (int64_t s = 0; s < args->segments; s++) {
            int64_t from = args->offsets[s], to = args->offsets[s + 1];
            for (int64_t left = 0; left < d; left += WIDE) {
                int64_t n = d - left < WIDE ? d - left : WIDE;
                double sum[WIDE] = {0};
                for (int64_t i = from; i < to; i++) {
                    for (int64_t j = 0; j < n; j++) sum[j] += x[i * d + left + j];
                }
                for (int64_t j = 0; j < n; j++)
                    y[s * d + left + j] = to > from ? (float)(sum[j] / (double)(to - from)) : 0;
            }
        }
    }
    nn_cpu_done(cpu);
}

void nn_cpu_pool_bwd(nn_backend *be, const nn_segment_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t d = args->d;
    const float *dy = nn_cpu_in1(cpu, args->dtype, args->dy, args->segments * d);
    float *dx = nn_cpu_out1(cpu, args->dtype, args->dx, args->m * d, false);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (nn_cpu_worth_threads(args->m * d))
        for (int64_t i = 0; i < args->m; i++) {
            int64_t s = args->segment[i];
            float share = 1.0f / (float)(args->offsets[s + 1] - args->offsets[s]);
            for (int64_t j = 0; j < d; j++) dx[i * d + j] = dy[s * d + j] * share;
        }
    }
    nn_cpu_done(cpu);
}

/* ---- blocks of columns -------------------------------------------------------------------------
 */

void nn_cpu_columns(nn_backend *be, const nn_columns_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t n = args->columns, from = args->src_stride, to = args->dst_stride;
    const float *src = nn_cpu_in(cpu, args->dtype, args->src, args->m, n, &from);
    float *dst = nn_cpu_out(cpu, args->dtype, args->dst, args->m, n, &to, args->add);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (nn_cpu_worth_threads(args->m * n))
        for (int64_t i = 0; i < args->m; i++) {
            if (!args->add) memcpy(dst + i * to, src + i * from, (size_t)n * sizeof *dst);
            for (int64_t j = 0; args->add && j < n; j++) dst[i * to + j] += src[i * from + j];
        }
    }
    nn_cpu_done(cpu);
}
