/* metrics/frechet.c: see frechet_priv.h.
 *
 * The trace of the root needs no root: with any factors C1 = L L^T it is the sum of the square
 * roots of the eigenvalues of L^T C2 L. For few samples (n or m <= dim) the centred samples
 * themselves are the factors and the matrix is as small as the samples are few; else a pivoted
 * Cholesky factor serves, which is at home with the nearly singular covariances that embeddings
 * have. The reference takes scipy's Schur root of C1 C2; where that is well defined both agree to
 * about 1e-8 (spec evaluation 6).
 */
#include "metrics/frechet_priv.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/ranks.h"

/* ---- symmetric eigenvalues ---- */

/* Leaves the diagonal in d and the off-diagonal in e[1..n). Both halves of `a` are kept up to date,
 * so that every inner loop runs along a row. */
static void tridiagonalise(double *a, double *d, double *e, double *p, int64_t n)
{
    for (int64_t k = n - 1; k >= 1; k--) {
        double *u = a + k * n; /* row k, elements 0..k-1, becomes the reflector */
        double norm = 0, dot = 0, h;
        for (int64_t j = 0; j < k - 1; j++) norm += u[j] * u[j];
        d[k] = u[k];
        if (norm == 0) { /* nothing to annihilate */
            e[k] = u[k - 1];
            continue;
        }
        norm = sqrt(norm + u[k - 1] * u[k - 1]);
        e[k] = u[k - 1] > 0 ? -norm : norm;
        h = norm * norm - u[k - 1] * e[k]; /* |u|^2 / 2 */
        u[k - 1] -= e[k];
        memset(p, 0, (size_t)k * sizeof *p);
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < k; j++) p[j] += u[i] * a[i * n + j];
        for (int64_t j = 0; j < k; j++) {
            p[j] /= h;
            dot += u[j] * p[j];
        }
        for (int64_t j = 0; j < k; j++) p[j] -= dot / (2 * h) * u[j];
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < k; j++) a[i * n + j] -= u[i] * p[j] + p[i] * u[j];
    }
    d[0] = a[0];
}

/* One implicit QL step on the unreduced block lo..hi (Golub and Van Loan, Matrix
 * Computations, 8.3). e[i] couples i and i+1 here. */
static void ql_step(double *d, double *e, int64_t lo, int64_t hi)
{
    double g = (d[lo + 1] - d[lo]) / (2 * e[lo]);
    double r = hypot(g, 1);
    g = d[hi] - d[lo] + e[lo] / (g + copysign(r, g)); /* Wilkinson's shift */
    double s = 1, c = 1, p = 0;
    for (int64_t i = hi - 1; i >= lo; i--) {
        double f = s * e[i], b = c * e[i];
        r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0) { /* the block falls apart early */
            d[i + 1] -= p;
            e[hi] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
    }
    d[lo] -= p;
    e[lo] = g;
    e[hi] = 0;
}

me_code metric_eigenvalues(double *values, double *a, int64_t n, me_err *err)
{
    if (n == 0) return ME_OK;
    double *e = calloc((size_t)n * 2 + 1, sizeof *e);
    if (!e) return me_fail_mem(err, "eigenvalues");
    tridiagonalise(a, values, e, e + n, n);
    memmove(e, e + 1, (size_t)(n - 1) * sizeof *e);
    e[n - 1] = 0;
    me_code code = ME_OK;
    for (int64_t lo = 0; lo < n && code == ME_OK; lo++) {
        for (int step = 0;; step++) {
            int64_t hi = lo;
            while (hi < n - 1) {
                double scale = fabs(values[hi]) + fabs(values[hi + 1]);
                if (fabs(e[hi]) + scale == scale) break;
                hi++;
            }
            if (hi == lo) break;
            if (step == 100) {
                code = me_fail(err, ME_EDATA, "the eigenvalues of a covariance do not converge");
                break;
            }
            ql_step(values, e, lo, hi);
        }
    }
    free(e);
    return code;
}

/* Eigenvalues that rounding could have made of zero count as zero: each would add its root, 1e-8 of
 * the largest, and a singular covariance has hundreds of them. */
static me_code sum_of_roots(double *out, double *a, int64_t n, me_err *err)
{
    double *values = malloc((size_t)(n ? n : 1) * sizeof *values), largest = 0;
    if (!values) return me_fail_mem(err, "eigenvalues");
    me_code code = metric_eigenvalues(values, a, n, err);
    *out = 0;
    for (int64_t i = 0; code == ME_OK && i < n; i++) largest = fmax(largest, values[i]);
    for (int64_t i = 0; code == ME_OK && i < n; i++)
        if (values[i] > (double)n * DBL_EPSILON * largest) *out += sqrt(values[i]);
    free(values);
    return code;
}

/* ---- the trace of the root ---- */

/* Rows of lt (dim,dim): c = lt^T lt up to rounding. Returns the number of rows, the numerical rank.
 */
static int64_t pivoted_cholesky(double *lt, const double *c, double *diagonal, int64_t dim)
{
    double largest = 0;
    for (int64_t j = 0; j < dim; j++) {
        diagonal[j] = c[j * dim + j];
        largest = fmax(largest, diagonal[j]);
    }
    for (int64_t k = 0; k < dim; k++) {
        int64_t pivot = 0;
        for (int64_t j = 1; j < dim; j++)
            if (diagonal[j] > diagonal[pivot]) pivot = j;
        if (diagonal[pivot] <= 1e-16 * (double)dim * largest) return k;
        double *row = lt + k * dim, root = sqrt(diagonal[pivot]);
        memcpy(row, c + pivot * dim, (size_t)dim * sizeof *row);
        for (int64_t i = 0; i < k; i++) {
            double f = lt[i * dim + pivot];
            for (int64_t j = 0; j < dim; j++) row[j] -= f * lt[i * dim + j];
        }
        for (int64_t j = 0; j < dim; j++) {
            row[j] /= root;
            diagonal[j] -= row[j] * row[j];
        }
        diagonal[pivot] = 0;
    }
    return dim;
}

static void transpose(double *out, const double *a, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) out[j * rows + i] = a[i * columns + j];
}

/* x (n,dim), y (m,dim) centred and scaled, n <= m: the singular values of x y^T. */
static me_code trace_by_samples(double *out, const double *x, int64_t n, const double *y, int64_t m,
                                int64_t dim, me_err *err)
{
    double *cross = malloc((size_t)n * (size_t)m * sizeof *cross);
    double *gram = malloc((size_t)n * (size_t)n * sizeof *gram);
    me_code code = cross && gram ? ME_OK : me_fail_mem(err, "a covariance");
    if (code == ME_OK) code = metric_dots(cross, x, y, n, m, dim, err);
    if (code == ME_OK) code = metric_dots(gram, cross, cross, n, n, m, err);
    if (code == ME_OK) code = sum_of_roots(out, gram, n, err);
    free(cross);
    free(gram);
    return code;
}

static me_code trace_by_covariance(double *out, const double *x, int64_t n, const double *y,
                                   int64_t m, int64_t dim, me_err *err)
{
    const size_t square = (size_t)dim * (size_t)dim;
    double *turned = malloc((size_t)(n > m ? n : m) * (size_t)dim * sizeof *turned);
    double *c = malloc(square * 3 * sizeof *c);
    double *diagonal = malloc((size_t)dim * sizeof *diagonal);
    me_code code = turned && c && diagonal ? ME_OK : me_fail_mem(err, "a covariance");
    if (code != ME_OK) goto done;
    double *lt = c + square, *product = c + 2 * square;
    transpose(turned, x, n, dim);
    code = metric_dots(c, turned, turned, dim, dim, n, err);
    if (code != ME_OK) goto done;
    int64_t rank = pivoted_cholesky(lt, c, diagonal, dim);
    transpose(turned, y, m, dim);
    code = metric_dots(c, turned, turned, dim, dim, m, err);
    if (code == ME_OK) code = metric_dots(product, lt, c, rank, dim, dim, err);
    if (code == ME_OK) code = metric_dots(c, product, lt, rank, rank, dim, err);
    if (code == ME_OK) code = sum_of_roots(out, c, rank, err);
done:
    free(turned);
    free(c);
    free(diagonal);
    return code;
}

/* ---- the distance ---- */

/* out (n,dim) = (x[index] - mean) / sqrt(n-1); returns the trace of the covariance. */
static double centre(double *out, double *mean, const double *x, const int64_t *index, int64_t n,
                     int64_t dim)
{
    memset(mean, 0, (size_t)dim * sizeof *mean);
    for (int64_t i = 0; i < n; i++) {
        const double *row = x + (index ? index[i] : i) * dim;
        for (int64_t k = 0; k < dim; k++) mean[k] += row[k];
    }
    for (int64_t k = 0; k < dim; k++) mean[k] /= (double)n;
    double trace = 0, scale = 1 / sqrt((double)(n - 1));
    for (int64_t i = 0; i < n; i++) {
        const double *row = x + (index ? index[i] : i) * dim;
        for (int64_t k = 0; k < dim; k++) {
            double v = (row[k] - mean[k]) * scale;
            out[i * dim + k] = v;
            trace += v * v;
        }
    }
    return trace;
}

me_code metric_frechet_of(double *out, const double *x, const int64_t *i, int64_t n,
                          const double *y, const int64_t *j, int64_t m, int64_t dim, me_err *err)
{
    if (n < 2 || m < 2) return me_fail(err, ME_EDATA, "a covariance needs two samples or more");
    double *a = malloc((size_t)(n + 1) * (size_t)dim * sizeof *a);
    double *b = malloc((size_t)(m + 1) * (size_t)dim * sizeof *b);
    if (!a || !b) {
        free(a);
        free(b);
        return me_fail_mem(err, "a covariance");
    }
    double *mean_a = a + n * dim, *mean_b = b + m * dim, root = 0, distance = 0;
    distance += centre(a, mean_a, x, i, n, dim);
    distance += centre(b, mean_b, y, j, m, dim);
    for (int64_t k = 0; k < dim; k++) distance += (mean_a[k] - mean_b[k]) * (mean_a[k] - mean_b[k]);
    me_code code;
    if (n > dim && m > dim)
        code = trace_by_covariance(&root, a, n, b, m, dim, err);
    else if (n <= m)
        code = trace_by_samples(&root, a, n, b, m, dim, err);
    else
        code = trace_by_samples(&root, b, m, a, n, dim, err);
    *out = distance - 2 * root;
    free(a);
    free(b);
    return code;
}

me_code metric_frechet(double *out, const double *x, int64_t n, const double *y, int64_t m,
                       int64_t dim, me_err *err)
{
    return metric_frechet_of(out, x, NULL, n, y, NULL, m, dim, err);
}
