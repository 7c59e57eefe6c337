/* nn/tape.c: the tape of recorded operations, the walk back over it, and gradients.
 *
 * A record holds its output, so a walk can skip what the loss does not depend on and give the
 * gradient of an output back as soon as the operation that made it has been passed: at most a few
 * gradients of activations exist at a time.
 */
#include "nn/tape_priv.h"

void nn_record(nn_ctx *ctx, nn_tensor *y, nn_backward_fn fn, void *saved)
{
    tape_entry *e = nn_host_alloc(ctx, 1, sizeof *e);
    if (!e) return;
    *e = (tape_entry){ctx->tape->last, y, fn, saved};
    ctx->tape->last = e;
    y->needs_grad = true;
}

/* ---- memory of gradients -----------------------------------------------------------------------
 */

static size_t grad_bytes(const nn_tensor *t)
{
    return (size_t)nn_count(t) * nn_dtype_size(t->dtype);
}

static void *take_spare(nn_tape *tape, size_t bytes)
{
    for (tape_spare **at = &tape->spare; *at; at = &(*at)->next) {
        tape_spare *s = *at;
        if (s->bytes != bytes) continue;
        *at = s->next;
        s->next = tape->empty;
        tape->empty = s;
        return s->data;
    }
    return NULL;
}

static void give_spare(nn_ctx *ctx, nn_tensor *g)
{
    nn_tape *tape = ctx->tape;
    tape_spare *s = tape->empty;
    if (s) tape->empty = s->next;
    if (!s) s = nn_host_alloc(ctx, 1, sizeof *s);
    if (!s) return;
    *s = (tape_spare){tape->spare, g->data, grad_bytes(g)};
    tape->spare = s;
}

static nn_tensor *grad_new(nn_ctx *ctx, const nn_tensor *like)
{
    nn_tensor *g = nn_host_alloc(ctx, 1, sizeof *g);
    if (!g) return nn_poison(ctx);
    *g = (nn_tensor){.dtype = like->dtype, .ndim = like->ndim};
    memcpy(g->shape, like->shape, sizeof g->shape);
    g->data = take_spare(ctx->tape, grad_bytes(g));
    if (!g->data) g->data = nn_pool_alloc(ctx, nn_count(g), nn_dtype_size(g->dtype));
    return g->data ? g : nn_poison(ctx);
}

/* ---- gradients ---------------------------------------------------------------------------------
 */

nn_tensor *nn_grad_sum(nn_ctx *ctx, nn_tensor *t)
{
    if (!t->grad) {
        nn_tensor *g = grad_new(ctx, t);
        if (nn_failed(ctx)) return g;
        ctx->be->zero(ctx->be, g->data, grad_bytes(g));
        t->grad = g;
    }
    return t->grad;
}

nn_tensor *nn_grad_begin(nn_ctx *ctx, nn_tensor *t)
{
    return grad_new(ctx, t);
}

static void add_into(nn_ctx *ctx, nn_tensor *sum, const nn_tensor *g)
{
    nn_backend *be = ctx->be;
    const void *more = g->data;
    if (g->dtype != sum->dtype) { /* a parameter's bf16 shadow: its gradient is f32 */
        float *wide = nn_pool_alloc(ctx, nn_count(g), sizeof *wide);
        if (!wide) return;
        be->to_f32(be, wide, g->data, nn_count(g));
        more = wide;
    }
    be->axpby(be, &(nn_map_args){.n = nn_count(sum),
                                 .dtype = sum->dtype,
                                 .a = sum->data,
                                 .b = more,
                                 .y = sum->data,
                                 .alpha = 1,
                                 .beta = 1});
}

void nn_grad_end(nn_ctx *ctx, nn_tensor *t, nn_tensor *g)
{
    if (nn_failed(ctx)) return;
    if (!t->grad) {
        t->grad = g;
    } else {
        add_into(ctx, t->grad, g);
        give_spare(ctx, g);
    }
}

void nn_grad_drop(nn_ctx *ctx, nn_tensor *g)
{
    if (!nn_failed(ctx)) give_spare(ctx, g);
}

void nn_grad_pass(nn_ctx *ctx, nn_tensor *t, nn_tensor *y)
{
    nn_tensor *g = y->grad;
    if (nn_failed(ctx)) return;
    y->grad = NULL;
    nn_grad_end(ctx, t, g);
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

void nn_backward_walk(nn_ctx *ctx)
{
    for (tape_entry *e = ctx->tape->last; e && !nn_failed(ctx); e = e->before) {
        if (!e->y->grad) continue;
        e->run(ctx, e->saved);
        if (e->y->grad) give_spare(ctx, e->y->grad);
        e->y->grad = NULL;
    }
    ctx->tape->last = NULL;
}

void nn_backward(nn_ctx *ctx, nn_tensor *loss)
{
    if (nn_failed(ctx)) return;
    if (!ctx->tape) {
        nn_op_fail(ctx, "nn_backward", "no tape was recording");
        return;
    }
    if (!nn_is(loss, 1, 1) || loss->dtype != NN_F32 || !loss->needs_grad) {
        nn_op_fail(ctx, "nn_backward",
                   "wants a (1,1) f32 loss that depends on a parameter, got %s%s", nn_shape(loss).s,
                   loss->needs_grad ? "" : " that depends on none");
        return;
    }
    loss->grad = grad_new(ctx, loss);
    if (nn_failed(ctx)) return;
    ctx->be->copy(ctx->be, loss->grad->data, nn_device_one(ctx), sizeof(float));
    nn_backward_walk(ctx);
}
