/* nn/nn_priv.h: what the files of nn/ share among themselves: pool memory, failure, the tape's
 * records and the handling of gradients. Nothing outside nn/ includes it.
 */
#ifndef NN_PRIV_H
#define NN_PRIV_H

#include <assert.h>
#include <string.h>

#include "nn/backend.h"
#include "nn/ops.h"
#include "nn/params.h"

static inline size_t nn_dtype_size(nn_dtype dtype)
{
    return dtype == NN_BF16 ? 2 : 4;
}
const char *nn_dtype_text(nn_dtype dtype);

/* ---- failure (tensor.c) ---------------------------------------------------------------------- */

static inline bool nn_failed(const nn_ctx *ctx)
{
    return ctx->err.code != ME_OK;
}
nn_tensor *nn_poison(nn_ctx *ctx);
/* Both make the error sticky; the first prefixes the operation's name and returns poison. */
nn_tensor *nn_op_fail(nn_ctx *ctx, const char *op, const char *fmt, ...) ME_PRINTF(3, 4);
void nn_fail_mem(nn_ctx *ctx, const char *what);

typedef struct nn_shape_text {
    char s[64];
} nn_shape_text;
/* "(12,256) f32": for messages, `nn_shape(x).s`. */
nn_shape_text nn_shape(const nn_tensor *t);

/* ---- memory (tensor.c) ----------------------------------------------------------------------- */

/* On the back end, until nn_reset or a rewind; NULL and a sticky error when memory is out. */
void *nn_pool_alloc(nn_ctx *ctx, int64_t n, size_t size);
/* On the host, with the same lifetime, zeroed. */
void *nn_host_alloc(nn_ctx *ctx, int64_t n, size_t size);
nn_tensor *nn_like(nn_ctx *ctx, const nn_tensor *t);
static inline bool nn_is(const nn_tensor *t, int64_t rows, int64_t columns)
{
    return t->ndim == 2 && t->shape[0] == rows && t->shape[1] == columns;
}
static inline bool nn_same_shape(const nn_tensor *a, const nn_tensor *b)
{
    return a->ndim == b->ndim && !memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]);
}
static inline bool nn_is_vector(const nn_tensor *t, int64_t n)
{
    return nn_count(t) == n;
}
static inline void *nn_at(const nn_tensor *t, int64_t element)
{
    return (char *)t->data + (size_t)element * nn_dtype_size(t->dtype);
}

/* ---- the tape (tape.c) ----------------------------------------------------------------------- */

typedef void (*nn_backward_fn)(nn_ctx *ctx, void *saved);

/* True when the backward of an operation with this input will be wanted. */
static inline bool nn_tracks(const nn_ctx *ctx, const nn_tensor *t)
{
    return ctx->tape && t && t->needs_grad;
}
/* Records that `y` was made by an operation whose backward is fn(saved). `fn` runs only when y has
 * a gradient by then. */
void nn_record(nn_ctx *ctx, nn_tensor *y, nn_backward_fn fn, void *saved);
const float *nn_device_one(const nn_ctx *ctx); /* 1.0f on the back end, once there is a tape */
/* Walks back from tensors whose gradient is already set. */
void nn_backward_walk(nn_ctx *ctx);

/* The gradient of t to add to; made of zeros where there is none. */
nn_tensor *nn_grad_sum(nn_ctx *ctx, nn_tensor *t);
/* A tensor for an operation that writes a whole gradient of t; nn_grad_end adds it to what t has.
 */
nn_tensor *nn_grad_begin(nn_ctx *ctx, nn_tensor *t);
void nn_grad_end(nn_ctx *ctx, nn_tensor *t, nn_tensor *g);
/* Gives a gradient back that no tensor got. */
void nn_grad_drop(nn_ctx *ctx, nn_tensor *g);
/* Hands the gradient of y on to t unchanged, without a copy where t has none. y's is gone
 * afterwards. */
void nn_grad_pass(nn_ctx *ctx, nn_tensor *t, nn_tensor *y);

/* Notes that a pass that is recorded uses here what `last` is kept for. False where the last use is
 * in a part beside this one (nn_split): two lanes of the way back would add to one gradient. */
bool nn_use_alone(nn_ctx *ctx, nn_last_use *last);

/* ---- shared by operations ---------------------------------------------------------------------
 */

/* The next site of dropout, none when ctx does not train or p is 0. */
bool nn_drop_new(nn_ctx *ctx, const char *op, float p, nn_drop *out);
/* x w^T + b: the checks (false: failed), the product, and the way back from the gradient of the
 * product, `dy`, to x and w. */
typedef struct nn_linear_parts {
    nn_tensor *x, *w, *b;
    nn_act act;
    nn_drop drop;
    void *slope; /* nn_gemm_args', where backward will want it; else NULL */
} nn_linear_parts;
bool nn_linear_fits(nn_ctx *ctx, const char *op, const nn_linear_parts *s);
void nn_linear_forward(nn_ctx *ctx, const nn_linear_parts *s, nn_tensor *y);
/* The gradients of a weight and, where `db` is not NULL, of its bias, added to `db`: what the rest
 * of the walk does not need of the way back. */
void nn_weight_gradients(nn_ctx *ctx, const nn_linear_parts *s, void *dy, nn_tensor *db);
/* Has it done beside the walk (tape.c); false where it must be done at once. */
bool nn_aside(nn_ctx *ctx, const nn_linear_parts *s, void *dy, nn_tensor *db);
/* All of it. db: the bias's gradient where dy's sums are still to be added to it, else NULL. */
void nn_linear_products_backward(nn_ctx *ctx, const nn_linear_parts *s, void *dy, nn_tensor *db);

/* The inverse of an index, made and uploaded at its first use. False after a failure. */
bool nn_index_invert(nn_ctx *ctx, nn_index *index);

#endif
