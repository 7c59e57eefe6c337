/* nn/selftest_ranges.c: products in single precision of numbers of any size. A back end may scale
 * operands to multiply them in parts; here rows of 1e-15 to 1e15 stand beside each other, columns
 * of 1e-2 to 1e2, rows and columns of zeros, and single elements that are not finite.
 */
#include <math.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/selftest_priv.h"

enum { M = 148, N = 132, K = 260 };

/* A back end's product c (M,N) = a b^T, where a (M,K) and b (N,K) may be stored transposed. */
typedef struct product {
    float *a, *b, *c;
    void *on[3]; /* on the back end */
} product;

/* Rows of up to 10^powers and from 10^-powers on, and every `zeros`-th one of zeros. */
static void fill_rows(float *to, int rows, double powers, int zeros, me_rng *g)
{
    for (int i = 0; i < rows; i++) {
        double size = i % zeros ? pow(10, me_rng_range(g, -powers, powers)) : 0;
        for (int k = 0; k < K; k++) to[i * K + k] = (float)(me_rng_normal(g) * size);
    }
}

static void fill(product *p)
{
    me_rng g = me_rng_make(20241128, 0);
    fill_rows(p->a, M, 15, 7, &g);
    fill_rows(p->b, N, 2, 11, &g);
    p->a[5 * K + 3] = INFINITY;
    p->a[71 * K + K - 1] = NAN;
    p->b[9 * K + 7] = -INFINITY;
    p->b[41 * K + 1] = NAN;
}

static void transpose(float *to, const float *from, int rows, int columns)
{
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j++) to[j * rows + i] = from[i * columns + j];
    }
}

static bool upload(nn_backend *be, void **on, const float *values, int rows, int columns,
                   bool transposed, me_err *err)
{
    size_t bytes = (size_t)(rows * columns) * sizeof *values;
    float *other = transposed ? malloc(bytes) : NULL;
    if (transposed && !other) {
        me_fail(err, ME_EMEM, "out of memory");
        return false;
    }
    bool there = be->alloc(be, bytes, on, err) == ME_OK;
    if (there && transposed) transpose(other, values, rows, columns);
    if (there) be->upload(be, *on, transposed ? other : values, bytes);
    free(other);
    return there;
}

/* The form of a linear layer's output, its input's gradient or its weight's. */
static bool multiply(nn_backend *be, product *p, int form, me_err *err)
{
    bool trans_a = form == 2, trans_b = form == 0;
    size_t bytes = (size_t)(M * N) * sizeof *p->c;
    if (!upload(be, &p->on[0], p->a, M, K, trans_a, err) ||
        !upload(be, &p->on[1], p->b, N, K, !trans_b, err) ||
        be->alloc(be, bytes, &p->on[2], err) != ME_OK)
        return false;
    be->gemm(be, &(nn_gemm_args){.m = M,
                                 .n = N,
                                 .k = K,
                                 .trans_a = trans_a,
                                 .trans_b = trans_b,
                                 .a = p->on[0],
                                 .b = p->on[1],
                                 .c = p->on[2],
                                 .dtype = NN_F32,
                                 .c_dtype = NN_F32,
                                 .precision = NN_FP32,
                                 .training = true});
    be->download(be, p->c, p->on[2], bytes);
    return be->status(be, err) == ME_OK;
}

/* The largest error; infinite where a result is finite that should not be, or the other way. */
static double worst(const product *p)
{
    double most = 0;
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) {
            double sum = 0, sizes = 0, c = p->c[i * N + j];
            for (int k = 0; k < K; k++) {
                double term = (double)p->a[i * K + k] * p->b[j * K + k];
                sum += term;
                sizes += fabs(term);
            }
            if (!isfinite(sum) != !isfinite(c)) return INFINITY;
            if (isfinite(sum) && fabs(c - sum) > most * sizes)
                most = sizes > 0 ? fabs(c - sum) / sizes : INFINITY;
        }
    }
    return most;
}

bool nn_self_ranges(nn_backend *be, int form, double *error, me_err *err)
{
    product p = {.a = malloc(M * K * sizeof *p.a),
                 .b = malloc(N * K * sizeof *p.b),
                 .c = malloc(M * N * sizeof *p.c)};
    bool ran = p.a && p.b && p.c;
    if (ran) {
        fill(&p);
        ran = multiply(be, &p, form, err);
    } else {
        me_fail(err, ME_EMEM, "out of memory");
    }
    if (ran) *error = worst(&p);
    for (int i = 0; i < 3; i++) {
        if (p.on[i]) be->release(be, p.on[i]);
    }
    free(p.a);
    free(p.b);
    free(p.c);
    return ran;
}
