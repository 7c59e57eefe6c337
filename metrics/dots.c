/* metrics/dots.c: see dots_priv.h, and metric_dots of ranks.h.
 *
 * Each dot product is one accumulator that takes element 0, 1, 2, … in turn; vectors run across
 * eight columns of the gallery, never along the sum, and metrics/ is compiled without contraction
 * to fused multiply-adds. So SSE2, AVX2 and AVX-512 give the same bits as the plain loop of
 * metric_dots_one. The naive loop nest spends its time loading: one load for each multiplication; a
 * strip loads a panel's row once for 2 to 8 queries.
 */
#include "metrics/dots_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/ranks.h"

int metric_dots_pack(dots_panels *out, const double *b, const int64_t *index, int64_t m,
                     int64_t dim)
{
    int64_t panels = (m + DOTS_PANEL - 1) / DOTS_PANEL;
    size_t count;
    out->m = m;
    out->dim = dim;
    out->data = NULL;
    if (!me_mul_size((size_t)panels * DOTS_PANEL, (size_t)dim, &count) ||
        count > SIZE_MAX / sizeof(double) - 64)
        return 0;
    size_t bytes = (count * sizeof(double) + 63) & ~(size_t)63;
    out->data = aligned_alloc(64, bytes ? bytes : 64);
    if (!out->data) return 0;
#pragma omp parallel for schedule(static) if (m * dim > 1 << 16)
    for (int64_t p = 0; p < panels; p++) {
        double *to = out->data + p * DOTS_PANEL * dim;
        for (int64_t j = 0; j < DOTS_PANEL; j++) {
            int64_t i = p * DOTS_PANEL + j;
            const double *row = i < m ? b + (index ? index[i] : i) * dim : NULL;
            for (int64_t k = 0; k < dim; k++) to[k * DOTS_PANEL + j] = row ? row[k] : 0;
        }
    }
    return 1;
}

void metric_dots_unpack(dots_panels *p)
{
    free(p->data);
    p->data = NULL;
}

double metric_dots_one(const double *a, const double *b, int64_t dim)
{
    double sum = 0;
    for (int64_t k = 0; k < dim; k++) sum += a[k] * b[k];
    return sum;
}

/* |a - b|, where an exact tie is no gap at all. */
static inline double distance(double a, double b)
{
    double g = fabs(a - b);
    return g > 0 ? g : INFINITY;
}

/* A kernel for vectors of `lanes` doubles that takes `block` queries at a time: block * 8 / lanes
 * accumulators, as many as the machine's registers hold beside their operands. */
#define DEFINE_KERNEL(id, attribute, lanes, block)                                                 \
    typedef double vec_##id __attribute__((vector_size(8 * lanes)));                               \
                                                                                                   \
    attribute static void strip_##id(double *out, ptrdiff_t stride, const double *const *rows,     \
                                     const dots_panels *gallery, int64_t first, int64_t panels)    \
    {                                                                                              \
        const int64_t dim = gallery->dim;                                                          \
        for (int64_t p = 0; p < panels; p++) {                                                     \
            const vec_##id *panel = (const vec_##id *)(gallery->data + (first + 8 * p) * dim);     \
            for (int r = 0; r < DOTS_ROWS; r += block) {                                           \
                vec_##id sum[block][8 / lanes];                                                    \
                memset(sum, 0, sizeof sum);                                                        \
                for (int64_t k = 0; k < dim; k++) {                                                \
                    for (int i = 0; i < block; i++) {                                              \
                        for (int v = 0; v < 8 / lanes; v++)                                        \
                            sum[i][v] += rows[r + i][k] * panel[k * (8 / lanes) + v];              \
                    }                                                                              \
                }                                                                                  \
                for (int i = 0; i < block; i++)                                                    \
                    memcpy(out + (r + i) * stride + 8 * p, sum[i], sizeof sum[i]);                 \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    attribute static int64_t above_##id(double *gap, int *close, const double *s, int64_t n,       \
                                        double d)                                                  \
    {                                                                                              \
        double least[8];                                                                           \
        int64_t above = 0, near = 0, whole = n & ~(int64_t)7;                                      \
        for (int v = 0; v < 8; v++) least[v] = INFINITY;                                           \
        for (int64_t j = 0; j < whole; j += 8) {                                                   \
            for (int v = 0; v < 8; v++) {                                                          \
                double g = distance(s[j + v], d);                                                  \
                least[v] = g < least[v] ? g : least[v];                                            \
                above += s[j + v] > d ? 1 : 0;                                                     \
                near |= fabs(s[j + v] - d) < METRIC_NEAR_TIE ? 1 : 0;                              \
            }                                                                                      \
        }                                                                                          \
        for (int64_t j = whole; j < n; j++) {                                                      \
            least[0] = fmin(least[0], distance(s[j], d));                                          \
            above += s[j] > d ? 1 : 0;                                                             \
            near |= fabs(s[j] - d) < METRIC_NEAR_TIE ? 1 : 0;                                      \
        }                                                                                          \
        for (int v = 0; v < 8; v++) *gap = fmin(*gap, least[v]);                                   \
        *close = (int)near;                                                                        \
        return above;                                                                              \
    }                                                                                              \
                                                                                                   \
    attribute static int above_each_##id(int64_t *restrict above, double *restrict gap,            \
                                         const double *restrict s, const double *restrict d,       \
                                         int64_t n)                                                \
    {                                                                                              \
        int64_t near = 0;                                                                          \
        for (int64_t j = 0; j < n; j++) {                                                          \
            double g = distance(s[j], d[j]);                                                       \
            gap[j] = g < gap[j] ? g : gap[j];                                                      \
            above[j] += s[j] > d[j] ? 1 : 0;                                                       \
            near |= fabs(s[j] - d[j]) < METRIC_NEAR_TIE ? 1 : 0;                                   \
        }                                                                                          \
        return (int)near;                                                                          \
    }                                                                                              \
    static const dots_kernel kernel_##id = {#id, strip_##id, above_##id, above_each_##id};

DEFINE_KERNEL(plain, , 2, 2)
#if defined(__x86_64__)
DEFINE_KERNEL(avx2, __attribute__((target("avx2"))), 4, 4)
DEFINE_KERNEL(avx512, __attribute__((target("avx512f,prefer-vector-width=512"))), 8, 8)
#endif

const dots_kernel *metric_dots_kernel_at(int i)
{
    const dots_kernel *usable[4] = {NULL};
    int n = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) usable[n++] = &kernel_avx512;
    if (__builtin_cpu_supports("avx2")) usable[n++] = &kernel_avx2;
#endif
    usable[n++] = &kernel_plain;
    return i < n ? usable[i] : NULL;
}

me_code metric_dots(double *out, const double *a, const double *b, int64_t n, int64_t m,
                    int64_t dim, me_err *err)
{
    if (n <= 0 || m <= 0) return ME_OK;
    dots_panels gallery;
    if (!metric_dots_pack(&gallery, b, NULL, m, dim))
        return me_fail_mem(err, "a similarity matrix");
    const dots_kernel *kernel = metric_dots_kernel_at(0);
#pragma omp parallel for schedule(dynamic) if (n * m * dim > 1 << 18)
    for (int64_t i = 0; i < n; i += DOTS_ROWS) {
        double strip[DOTS_ROWS * DOTS_STRIP];
        const double *rows[DOTS_ROWS];
        int64_t used = n - i < DOTS_ROWS ? n - i : DOTS_ROWS;
        for (int r = 0; r < DOTS_ROWS; r++) rows[r] = a + (r < used ? i + r : i) * dim;
        for (int64_t j = 0; j < m; j += DOTS_STRIP) {
            int64_t columns = m - j < DOTS_STRIP ? m - j : DOTS_STRIP;
            kernel->strip(strip, DOTS_STRIP, rows, &gallery, j, (columns + 7) / 8);
            for (int64_t r = 0; r < used; r++)
                memcpy(out + (i + r) * m + j, strip + r * DOTS_STRIP,
                       (size_t)columns * sizeof *out);
        }
    }
    metric_dots_unpack(&gallery);
    return ME_OK;
}
