/* nn/params.h: a model's parameters, one flat f32 block on the back end with a table over it, so
 * that the optimiser, checkpoints, norms and zeroing are flat loops. Names are PyTorch's.
 *
 * Offsets are rounded up to 64 floats; the gaps stay zero.
 */
#ifndef NN_PARAMS_H
#define NN_PARAMS_H

#include "core/value.h"
#include "nn/tensor.h"

typedef struct nn_param {
    const char *name;
    int ndim;
    int64_t shape[NN_MAX_DIMS];
    int64_t offset;   /* into the block, in floats */
    nn_tensor tensor; /* f32, on the block */
    nn_tensor bf16;   /* the shadow that NN_BF16_MIXED products read; same grad */
    nn_tensor grad;
    nn_last_use use; /* of those that learn, in a pass that is recorded */
} nn_param;

typedef struct nn_params {
    nn_backend *be;
    me_arena arena;
    nn_param *items;
    int64_t n, capacity;
    int32_t *slots;     /* (2 * capacity): names to items by hash, -1 for none */
    int64_t size;       /* floats in the block, gaps included */
    float *data, *grad; /* device; grad NULL until nn_params_train */
    float *moment1, *moment2, *ema;
    float *scalars; /* device: the gradient's norm and the factor that clips it */
    void *shadow;   /* bf16 copy or NULL */
    int64_t step;   /* AdamW steps taken */
} nn_params;

void nn_params_init(nn_params *p);
/* Declares a parameter; call all of these, then nn_params_alloc, then fill. */
me_code nn_params_add(nn_params *p, const char *name, int ndim, const int64_t *shape, me_err *err);
me_code nn_params_alloc(nn_params *p, nn_backend *be, me_err *err);
/* Adds gradients and moments; `shadow` for bf16 training or inference, `ema` for a moving average.
 */
me_code nn_params_train(nn_params *p, bool ema, me_err *err);
me_code nn_params_shadow(nn_params *p, me_err *err); /* makes or refreshes the bf16 copy */
void nn_params_close(nn_params *p);

nn_param *nn_params_find(nn_params *p, const char *name);
/* The tensor that an operation under ctx's precision should read; poison and a sticky error naming
 * the parameter when there is none. LayerNorm weights, biases and tables stay f32: ask for
 * nn_param_f32. The same where the parameter learns and a part beside this one uses it (nn_split).
 */
nn_tensor *nn_param_get(nn_ctx *ctx, nn_params *p, const char *name);
nn_tensor *nn_param_f32(nn_ctx *ctx, nn_params *p, const char *name);

me_code nn_params_set(nn_params *p, const char *name, const float *host, int64_t count,
                      me_err *err);
me_code nn_params_read(nn_params *p, const char *name, float *host, me_err *err);
/* Fills every parameter from a state dictionary (name -> array) and says which are missing, which
 * are of another shape, and, with `strict`, which are left over. `prefix` is put before each name.
 */
me_code nn_params_load(nn_params *p, const me_value *state, const char *prefix, bool strict,
                       me_err *err);
void nn_params_zero_grad(nn_params *p);

typedef struct nn_adamw_options {
    float lr, beta1, beta2, eps, weight_decay; /* torch defaults: 1e-3 .9 .999 1e-8 1e-2 */
    float max_grad_norm;                       /* 0: no clipping */
    float ema_decay;                           /* 0: none */
} nn_adamw_options;
nn_adamw_options nn_adamw_defaults(void);
/* One step over the whole block; refreshes the shadow. grad_norm: NULL or the norm before clipping
 * (waits). */
me_code nn_adamw_step(nn_ctx *ctx, nn_params *p, const nn_adamw_options *o, float *grad_norm,
                      me_err *err);

/* Sets ctx->tape, so that operations record from here on, and returns it. It lives as long as ctx,
 * is emptied by nn_reset() and may be taken off (ctx->tape = NULL) and put back. */
nn_tape *nn_tape_new(nn_ctx *ctx);
/* Backward from a (1,1) loss through ctx->tape, which is empty afterwards. Gradients of parameters
 * and of other tensors that no operation made are added to; those of intermediate results are given
 * up on the way, their memory being used again. */
void nn_backward(nn_ctx *ctx, nn_tensor *loss);

#endif
