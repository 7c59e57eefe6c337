/* metrics/dots_priv.h: blocks of dot products whose bits do not depend on blocking, threads or the
 * width of the machine's vectors. Inside metrics/ only.
 */
#ifndef METRICS_DOTS_PRIV_H
#define METRICS_DOTS_PRIV_H

#include <stddef.h>
#include <stdint.h>

#define DOTS_PANEL 8   /* columns that one panel interleaves */
#define DOTS_ROWS 8    /* rows of a strip */
#define DOTS_STRIP 128 /* columns of a strip: 8 x 128 doubles stay in the first-level cache */

/* The gallery, rearranged: panel p holds rows 8p..8p+7 as (dim,8), missing rows as zeros. */
typedef struct dots_panels {
    double *data; /* malloc'ed */
    int64_t m, dim;
} dots_panels;

/* index (m): which rows of b (NULL: 0..m-1). Returns 0 when memory is out. */
int metric_dots_pack(dots_panels *out, const double *b, const int64_t *index, int64_t m,
                     int64_t dim);
void metric_dots_unpack(dots_panels *p);

/* One kernel for each vector width; all give the same bits. */
typedef struct dots_kernel {
    const char *name;
    /* out[r * stride + j] = rows[r] . gallery[first + j] for r < DOTS_ROWS, j < 8 * panels; `first`
     * is a multiple of
     * 8. All DOTS_ROWS pointers are valid. */
    void (*strip)(double *out, ptrdiff_t stride, const double *const *rows,
                  const dots_panels *gallery, int64_t first, int64_t panels);
    /* Returns the number of s[j] > d; lowers *gap to the smallest non-zero |s[j] - d|; *close says
     * whether some |s[j] - d| is below METRIC_NEAR_TIE, exact ties included. */
    int64_t (*above)(double *gap, int *close, const double *s, int64_t n, double d);
    /* The same with a threshold for each j: above[j] and gap[j] are updated, `close` of any is
     * returned. */
    int (*above_each)(int64_t *above, double *gap, const double *s, const double *d, int64_t n);
} dots_kernel;

/* Kernels that this machine can run, widest first, NULL after the last. */
const dots_kernel *metric_dots_kernel_at(int i);

/* The same sum for one pair. */
double metric_dots_one(const double *a, const double *b, int64_t dim);

#endif
