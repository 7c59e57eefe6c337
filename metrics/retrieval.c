/* metrics/retrieval.c: see retrieval.h. */
#include "metrics/retrieval.h"

#include <stdlib.h>
#include <string.h>

#include "metrics/ranks.h"

/* The 0-based position of the best item that counts as row i's own; other items equal to it count
 * half. */
static double position(const double *s, const double *same, int64_t i, int64_t m, double threshold)
{
    double best = s[i];
    for (int64_t j = 0; j < m; j++)
        if (same && same[j] > threshold && s[j] > best) best = s[j];
    double at = 0;
    for (int64_t j = 0; j < m; j++) {
        if (j == i || (same && same[j] > threshold)) continue;
        at += s[j] > best ? 1 : s[j] == best ? 0.5 : 0;
    }
    return at;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double share(const double *positions, int64_t n, double k)
{
    int64_t hits = 0;
    for (int64_t i = 0; i < n; i++) hits += positions[i] < k;
    return 100.0 * (double)hits / (double)n;
}

static void gather(double *out, const double *rows, const int64_t *index, int64_t from, int64_t m,
                   int64_t dim)
{
    for (int64_t i = 0; i < m; i++)
        memcpy(out + i * dim, rows + (index ? index[from + i] : from + i) * dim,
               (size_t)dim * sizeof *out);
}

me_code metric_retrieve(metric_retrieval *out, const double *query, const double *gallery,
                        int64_t dim, const double *sentence, int64_t text_dim, double threshold,
                        int64_t n, int64_t batch, const int64_t *index, me_err *err)
{
    *out = (metric_retrieval){0};
    int64_t m = batch ? batch : n, galleries = m ? n / m : 0;
    if (!galleries) return ME_OK;
    size_t square = (size_t)m * (size_t)m, columns = (size_t)(2 * dim + (sentence ? text_dim : 0));
    double *work =
        malloc((2 * square + (size_t)m * columns + (size_t)(galleries * m)) * sizeof *work);
    if (!work) return me_fail_mem(err, "retrieval scores");
    double *s = work, *same = s + square, *q = same + square, *g = q + m * dim, *t = g + m * dim;
    double *positions = t + (sentence ? m * text_dim : 0);
    me_code code = ME_OK;
    for (int64_t b = 0; b < galleries && code == ME_OK; b++) {
        gather(q, query, index, b * m, m, dim);
        gather(g, gallery, index, b * m, m, dim);
        code = metric_dots(s, q, g, m, m, dim, err);
        if (code == ME_OK && sentence) {
            gather(t, sentence, index, b * m, m, text_dim);
            code = metric_dots(same, t, t, m, m, text_dim, err);
        }
        for (int64_t i = 0; i < m && code == ME_OK; i++)
            positions[b * m + i] =
                position(s + i * m, sentence ? same + i * m : NULL, i, m, threshold);
    }
    if (code == ME_OK) {
        int64_t k = galleries * m;
        double sum = 0;
        for (int64_t i = 0; i < k; i++) sum += positions[i];
        *out = (metric_retrieval){.n = k,
                                  .gallery = m,
                                  .avg = sum / (double)k + 1,
                                  .r1 = share(positions, k, 1),
                                  .r2 = share(positions, k, 2),
                                  .r3 = share(positions, k, 3),
                                  .r5 = share(positions, k, 5),
                                  .r10 = share(positions, k, 10)};
        qsort(positions, (size_t)k, sizeof *positions, ascending);
        out->med = (positions[(k - 1) / 2] + positions[k / 2]) / 2 + 1;
    }
    free(work);
    return code;
}
