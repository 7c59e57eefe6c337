/* metrics/frechet_priv.h: the Frechet distance of two sets of vectors. Inside metrics/ only. */
#ifndef METRICS_FRECHET_PRIV_H
#define METRICS_FRECHET_PRIV_H

#include <stdint.h>

#include "core/err.h"

/* |m1-m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2) of x (n,dim) and y (m,dim), in double, covariances
 * with divisor n-1 (spec evaluation 6). n, m >= 2. */
me_code metric_frechet(double *out, const double *x, int64_t n, const double *y, int64_t m,
                       int64_t dim, me_err *err);

/* The same of rows picked by index: x[i[0..n)], y[j[0..m)]. */
me_code metric_frechet_of(double *out, const double *x, const int64_t *i, int64_t n,
                          const double *y, const int64_t *j, int64_t m, int64_t dim, me_err *err);

/* Eigenvalues of a symmetric matrix a (n,n), which is destroyed; in no particular order.
 * Householder's reduction to tridiagonal form, then QL with implicit shifts. */
me_code metric_eigenvalues(double *values, double *a, int64_t n, me_err *err);

#endif
