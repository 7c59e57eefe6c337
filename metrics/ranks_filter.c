/* metrics/ranks_filter.c: see ranks_filter_priv.h. Ranks stay those of the exact similarities: this
 * only says which pairs cannot matter, and its error bound holds for any order of summation, with
 * or without fused multiply-adds (Higham, Accuracy and Stability of Numerical Algorithms, 3.1: the
 * sum's error is at most (dim + 2) units of roundoff times the sum of magnitudes, which is at most
 * 1 for unit vectors).
 */
#include "metrics/ranks_filter_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#pragma GCC optimize("fp-contract=fast")

typedef float vec4 __attribute__((vector_size(16)));
typedef float vec8 __attribute__((vector_size(32)));
typedef float vec16 __attribute__((vector_size(64)));

/* TOGETHER queries and a panel's 16 columns at a time: as many sums as the processor's registers
 * hold, and vectors as wide as they are. What does not fit is written back at every step, which is
 * several times slower than to read the panel again. */
#define DEFINE_ROWS(id, vec, together, attribute)                                                  \
    attribute static void rows_##id(float *out, int64_t stride, const float *const *query,         \
                                    const float *panel, int64_t panels, int64_t dim)               \
    {                                                                                              \
        enum { VECS = FILTER_PANEL * sizeof(float) / sizeof(vec) };                                \
        for (int64_t p = 0; p < panels; p++, panel += FILTER_PANEL * dim) {                        \
            const vec *column = (const vec *)panel;                                                \
            for (int from = 0; from < FILTER_ROWS; from += together) {                             \
                vec sum[together][VECS];                                                           \
                memset(sum, 0, sizeof sum);                                                        \
                for (int64_t k = 0; k < dim; k++)                                                  \
                    for (int r = 0; r < together; r++)                                             \
                        for (int v = 0; v < VECS; v++)                                             \
                            sum[r][v] += query[from + r][k] * column[k * VECS + v];                \
                for (int r = 0; r < together; r++)                                                 \
                    memcpy(out + (from + r) * stride + p * FILTER_PANEL, sum[r], sizeof sum[r]);   \
            }                                                                                      \
        }                                                                                          \
    }

DEFINE_ROWS(plain, vec4, 2, )
#if defined(__x86_64__)
DEFINE_ROWS(avx2, vec8, 4, __attribute__((target("avx2,fma"))))
DEFINE_ROWS(avx512, vec16, 8, __attribute__((target("avx512f,prefer-vector-width=512"))))
#endif

static float error_bound(int64_t dim)
{
    /* Two roundings of operands, `dim` of the sum, and those of a threshold and a difference. */
    return (float)(1.01 * 0x1p-24 * (double)(dim + 8));
}

bool metric_filter_open(rank_filter *out, const double *query, const double *gallery,
                        const int64_t *index, int64_t m, int64_t dim)
{
    const int64_t panels = (m + FILTER_PANEL - 1) / FILTER_PANEL;
    size_t rows, columns;
    *out = (rank_filter){
        .m = m, .padded = panels * FILTER_PANEL, .dim = dim, .error = error_bound(dim)};
    if (!me_mul_size((size_t)m, (size_t)dim, &rows) || rows > SIZE_MAX / 64 ||
        !me_mul_size((size_t)out->padded, (size_t)dim, &columns) || columns > SIZE_MAX / 64)
        return false;
    out->query = malloc(rows * sizeof *out->query);
    out->panel = aligned_alloc(64, columns * sizeof *out->panel);
    if (!out->query || !out->panel) {
        metric_filter_close(out);
        return false;
    }
#pragma omp parallel for schedule(static) if (m * dim > 1 << 16)
    for (int64_t p = 0; p < panels; p++) {
        float *panel = out->panel + p * FILTER_PANEL * dim;
        for (int64_t j = 0; j < FILTER_PANEL; j++) {
            const int64_t i = p * FILTER_PANEL + j, row = index && i < m ? index[i] : i;
            for (int64_t k = 0; k < dim; k++) {
                panel[k * FILTER_PANEL + j] = i < m ? (float)gallery[row * dim + k] : 0;
                if (i < m) out->query[i * dim + k] = (float)query[row * dim + k];
            }
        }
    }
    return true;
}

void metric_filter_close(rank_filter *f)
{
    free(f->query);
    free(f->panel);
    f->query = f->panel = NULL;
}

void metric_filter_rows(float *out, const rank_filter *f, int64_t first)
{
    const float *rows[FILTER_ROWS];
    for (int64_t r = 0; r < FILTER_ROWS; r++)
        rows[r] = f->query + (first + r < f->m ? first + r : f->m - 1) * f->dim;
    const int64_t panels = f->padded / FILTER_PANEL;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        rows_avx512(out, f->padded, rows, f->panel, panels, f->dim);
        return;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        rows_avx2(out, f->padded, rows, f->panel, panels, f->dim);
        return;
    }
#endif
    rows_plain(out, f->padded, rows, f->panel, panels, f->dim);
}

/* ---- one query --------------------------------------------------------------------------------
 */

/* Adds to *above, lowers *least. */
static void scan(int64_t *above, float *least, const float *s, int64_t n, float threshold)
{
    int32_t more = 0;
    float low = *least;
#pragma omp simd reduction(+ : more) reduction(min : low)
    for (int64_t j = 0; j < n; j++) {
        const float gap = fabsf(s[j] - threshold);
        more += s[j] > threshold;
        low = gap < low ? gap : low;
    }
    *above += more;
    *least = low;
}

void metric_filter_count(filter_counts *out, const float *s, int64_t m, int64_t own,
                         float threshold)
{
    float least = INFINITY;
    *out = (filter_counts){.nearest = -1};
    scan(&out->above, &least, s, own, threshold);
    scan(&out->above, &least, s + own + 1, m - own - 1, threshold);
    for (int64_t j = 0; j < m && out->nearest < 0; j++)
        if (j != own && fabsf(s[j] - threshold) <= least) out->nearest = j;
}

void metric_filter_reach(filter_counts *out, const float *s, int64_t m, int64_t own,
                         float threshold, float reach)
{
    enum { BLOCK = 64 };
    out->n = 0;
    for (int64_t from = 0; from < m; from += BLOCK) {
        const int64_t to = from + BLOCK < m ? from + BLOCK : m;
        int32_t any = 0;
#pragma omp simd reduction(| : any)
        for (int64_t j = from; j < to; j++) any |= fabsf(s[j] - threshold) <= reach;
        for (int64_t j = from; any && j < to; j++) {
            if (j == own || !(fabsf(s[j] - threshold) <= reach)) continue;
            if (out->n == FILTER_MOST) {
                out->n = -1;
                return;
            }
            out->column[out->n++] = j;
        }
    }
}
