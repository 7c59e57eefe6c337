/* nn/tensor.h: tensors, packed batches and the context that operations run in.
 *
 * A tensor is row-major, contiguous, last dimension fastest, in PyTorch's order. It lives on one
 * back end. Activations come from the context's arena and vanish at nn_reset(); parameters live in
 * one flat block (nn/params.h).
 *
 * Batches are packed: the rows of many sequences laid end to end, `offsets[i]..offsets[i+1]` being
 * sequence i. Nothing is padded and no result depends on what else is in a batch.
 *
 * Failure is sticky: after the first failure an operation does nothing and returns a poison tensor,
 * so a forward pass reads as arithmetic and is checked once, with nn_status(), at its end.
 */
#ifndef NN_TENSOR_H
#define NN_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nn_backend nn_backend;
typedef struct nn_tape nn_tape;

typedef enum { NN_F32, NN_BF16, NN_I32 } nn_dtype;

/* What matrix products compute in. FP32: true single precision. TF32: f32 tensors, tensor-core
 * products. BF16: activations and the products' operands are bf16, accumulation f32; reductions,
 * softmax, norms' statistics and losses stay f32. The cpu back end computes FP32 whatever is asked.
 */
typedef enum { NN_FP32, NN_TF32, NN_BF16_MIXED } nn_precision;

#define NN_MAX_DIMS 3

typedef struct nn_tensor nn_tensor;
struct nn_tensor {
    nn_dtype dtype;
    int ndim;
    int64_t shape[NN_MAX_DIMS];
    void *data; /* on the back end; NULL in a poison tensor */
    nn_tensor
        *grad; /* same shape, f32 for parameters, own dtype for activations; NULL until needed */
    bool needs_grad;
    bool parameter; /* its gradient is there before a pass and stays behind it */
    unsigned group; /* of a parameter's gradient: the tape's business */
};

/* An index list on the back end with its host copy, which the backward of a gather needs. */
typedef struct nn_index {
    int64_t n;
    const int32_t *host;
    int32_t *device;
    int64_t sources; /* rows of the tensor that it points into */
    int32_t
        *inverse_start; /* device, (sources+1): for every source row the places that read it, in */
    int32_t *inverse_items; /* device, (n): ascending order. Built on demand; makes backward
                               deterministic */
} nn_index;

/* n sequences laid end to end. */
typedef struct nn_packing {
    int64_t n;      /* sequences */
    int64_t tokens; /* rows in all */
    int64_t longest;
    const int32_t *offsets;  /* host, (n+1) */
    int32_t *offsets_device; /* (n+1) */
    int32_t *segment_device; /* (tokens): the sequence of each row */
} nn_packing;

#define NN_PARTS 2

typedef struct nn_ctx {
    nn_backend *be;
    nn_precision precision;
    nn_tape *tape; /* NULL: inference */
    bool training; /* dropout acts */
    uint64_t seed; /* of this step's dropout; see nn_dropout */
    /* NULL, or on the back end: what a replayed step reads in place of seed and of the optimiser's
     * rate and corrections (nn/backend.h). The caller's. */
    const struct nn_step_state *state;
    uint32_t dropouts; /* number of dropout sites met in this step */
    double flops;      /* of products and attention since the context was opened, counted from
                          their sizes: 2 for a multiplication and its addition; what backward
                          computes a second time is not counted */
    int parts;         /* within each other, see nn_split */
    int lane, before[NN_PARTS]; /* that operations go to; that each part left */
    me_err err;                 /* sticky */
    struct nn_pool *pool;       /* activation memory, see nn_mark */
} nn_ctx;

/* Where something was used last: in which pass, after how many parts had begun or ended, and on
 * which lane. */
typedef struct nn_last_use {
    const nn_tape *tape;
    unsigned pass, turn;
    int lane;
} nn_last_use;

/* The caller keeps `be` alive. */
me_code nn_ctx_open(nn_ctx *out, nn_backend *be, nn_precision precision, me_err *err);
void nn_ctx_close(nn_ctx *ctx);
/* Copies the sticky error out; where there is none, waits for the device, which may have one. */
me_code nn_status(const nn_ctx *ctx, me_err *err);
/* Frees all activations, clears the error, empties the tape and counts dropout sites from 0 again.
 * The memory is kept, so the same operations in the same order get the same addresses, from the
 * second time on at the latest. */
void nn_reset(nn_ctx *ctx);
/* Scoped activation memory for inference: everything made after the mark is released. Not while a
 * tape records, which holds on to what it has seen. */
typedef struct nn_mark_state {
    size_t block, used;
    me_arena_mark host;
} nn_mark_state;
nn_mark_state nn_mark(nn_ctx *ctx);
void nn_rewind(nn_ctx *ctx, nn_mark_state mark);

nn_tensor *nn_new(nn_ctx *ctx, nn_dtype dtype, int ndim, const int64_t *shape); /* uninitialised */
nn_tensor *nn_new2(nn_ctx *ctx, nn_dtype dtype, int64_t rows, int64_t columns);
nn_tensor *nn_zeros2(nn_ctx *ctx, nn_dtype dtype, int64_t rows, int64_t columns);
/* A view of rows [from, to), or of a vector's elements: no copy; gradients flow into the same rows.
 */
nn_tensor *nn_rows(nn_ctx *ctx, nn_tensor *x, int64_t from, int64_t to);
nn_tensor *nn_from_host(nn_ctx *ctx, const float *host, int64_t rows, int64_t columns); /* f32 */
me_code nn_to_host(nn_ctx *ctx, const nn_tensor *x, float *host, me_err *err); /* synchronises */
/* The dtype that activations have under ctx->precision. */
nn_dtype nn_activation_dtype(const nn_ctx *ctx);

nn_index *nn_index_new(nn_ctx *ctx, const int32_t *host, int64_t n, int64_t sources);
nn_packing *nn_packing_new(nn_ctx *ctx, const int32_t *lengths, int64_t n);

static inline int64_t nn_count(const nn_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
    return n;
}

#ifdef __cplusplus
}
#endif
#endif
