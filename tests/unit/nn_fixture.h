/* tests/unit/nn_fixture.h: a cpu context and small tensors for the tests of nn/. */
#ifndef NN_FIXTURE_H
#define NN_FIXTURE_H

#include <criterion/criterion.h>
#include <math.h>

#include "nn/backend.h"
#include "nn/ops.h"
#include "nn/params.h"

typedef struct fixture {
    nn_backend *be;
    nn_ctx ctx;
} fixture;

static inline fixture fixture_open(int threads)
{
    fixture f;
    me_err err = {0};
    cr_assert_eq(nn_cpu_open(&f.be, threads, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(nn_ctx_open(&f.ctx, f.be, NN_FP32, &err), ME_OK, "%s", err.msg);
    return f;
}

static inline void fixture_close(fixture *f)
{
    nn_ctx_close(&f->ctx);
    nn_backend_close(f->be);
}

static inline void expect_near(nn_ctx *ctx, const nn_tensor *t, const float *want, int64_t n,
                               double allowed)
{
    me_err err = {0};
    float got[256];
    cr_assert_eq(nn_status(ctx, &err), ME_OK, "%s", err.msg);
    cr_assert_not_null(t);
    cr_assert_eq(nn_count(t), n);
    cr_assert_leq(n, 256);
    nn_to_host(ctx, t, got, NULL);
    for (int64_t i = 0; i < n; i++) {
        cr_expect_lt(fabs((double)got[i] - want[i]), allowed, "element %d: %.9g, expected %.9g",
                     (int)i, (double)got[i], (double)want[i]);
    }
}

/* A leaf that wants a gradient. */
static inline nn_tensor *leaf(nn_ctx *ctx, const float *host, int64_t rows, int64_t columns)
{
    nn_tensor *t = nn_from_host(ctx, host, rows, columns);
    t->needs_grad = true;
    return t;
}

/* <x, up> as a loss, made of operations: |x + up/2|^2 - |x - up/2|^2 = 2 <x, up>. */
static inline nn_tensor *inner(nn_ctx *ctx, nn_tensor *x, const float *up)
{
    nn_tensor *u = nn_from_host(ctx, up, x->shape[0], x->shape[1]);
    nn_tensor *zero = nn_zeros2(ctx, NN_F32, x->shape[0], x->shape[1]);
    nn_tensor *plus = nn_mse(ctx, nn_add(ctx, x, u, 1, 0.5f), zero, NULL, 2);
    nn_tensor *minus = nn_mse(ctx, nn_add(ctx, x, u, 1, -0.5f), zero, NULL, 2);
    return nn_add(ctx, plus, minus, 1, -1);
}

#endif
