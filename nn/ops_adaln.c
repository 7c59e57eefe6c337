/* nn/ops_adaln.c: a residual gate and the modulated LayerNorm that follows it, in one pass over the
 * tokens: between two products of an adaLN block nothing else reads or writes them.
 *
 * The operation has two results. Its backward is recorded for the modulated one and takes the
 * gradient of the sum along; a second record serves a loss that depends on the sum alone.
 */
#include "nn/nn_priv.h"

typedef struct adaln_saved {
    nn_tensor *x, *h, *gate_mod, *mod, *sum, *y;
    int gate_block, shift_block, scale_block;
    float *mean, *rstd;
    const nn_packing *seq;
    float eps;
} adaln_saved;

static void *block_of(const nn_tensor *mod, int block, int64_t d)
{
    return nn_at(mod, block * d);
}

static nn_adaln_args adaln_args(const adaln_saved *s)
{
    int64_t d = s->x->shape[1];
    return (nn_adaln_args){.m = s->x->shape[0],
                           .d = d,
                           .segments = s->seq->n,
                           .longest = s->seq->longest,
                           .dtype = s->x->dtype,
                           .eps = s->eps,
                           .x = s->x->data,
                           .h = s->h->data,
                           .gate = block_of(s->gate_mod, s->gate_block, d),
                           .shift = block_of(s->mod, s->shift_block, d),
                           .scale = block_of(s->mod, s->scale_block, d),
                           .gate_stride = s->gate_mod->shape[1],
                           .mod_stride = s->mod->shape[1],
                           .segment = s->seq->segment_device,
                           .offsets = s->seq->offsets_device,
                           .sum = s->sum->data,
                           .y = s->y->data,
                           .mean = s->mean,
                           .rstd = s->rstd};
}

static void adaln_backward(nn_ctx *ctx, void *saved)
{
    adaln_saved *s = saved;
    nn_tensor *dx = s->sum->grad, *dh = nn_grad_begin(ctx, s->h);
    nn_adaln_args args = adaln_args(s);
    args.dsum = dx ? dx->data : NULL;
    if (!dx) dx = nn_grad_begin(ctx, s->sum);
    if (nn_tracks(ctx, s->mod) && nn_tracks(ctx, s->gate_mod)) {
        nn_tensor *of_gate = nn_grad_sum(ctx, s->gate_mod), *of_mod = nn_grad_sum(ctx, s->mod);
        if (nn_failed(ctx)) return;
        args.dgate = block_of(of_gate, s->gate_block, args.d);
        args.dshift = block_of(of_mod, s->shift_block, args.d);
        args.dscale = block_of(of_mod, s->scale_block, args.d);
    }
    if (nn_failed(ctx)) return;
    args.dy = s->y->grad->data;
    args.dx = dx->data;
    args.dh = dh->data;
    ctx->be->adaln_bwd(ctx->be, &args);
    s->sum->grad = dx;
    if (nn_tracks(ctx, s->h)) nn_grad_end(ctx, s->h, dh);
    nn_grad_pass(ctx, s->x, s->sum);
}

/* Of a gate that nothing modulated was wanted of. */
static void sum_backward(nn_ctx *ctx, void *saved)
{
    adaln_saved *s = saved;
    nn_tensor *dh = nn_grad_begin(ctx, s->h);
    nn_tensor *dg = nn_new2(ctx, s->gate_mod->dtype, s->seq->n, s->x->shape[1]);
    nn_tensor *sum = nn_tracks(ctx, s->gate_mod) ? nn_grad_sum(ctx, s->gate_mod) : NULL;
    if (nn_failed(ctx)) return;
    const nn_adaln_args all = adaln_args(s);
    ctx->be->gate_bwd(ctx->be, &(nn_segment_args){.m = all.m,
                                                  .d = all.d,
                                                  .segments = all.segments,
                                                  .dtype = all.dtype,
                                                  .h = all.h,
                                                  .g = all.gate,
                                                  .mod_stride = all.gate_stride,
                                                  .segment = all.segment,
                                                  .offsets = all.offsets,
                                                  .dy = s->sum->grad->data,
                                                  .dh = dh->data,
                                                  .dg = dg->data,
                                                  .dg_stride = all.d});
    if (sum)
        ctx->be->columns(ctx->be, &(nn_columns_args){.m = all.segments,
                                                     .columns = all.d,
                                                     .src_stride = all.d,
                                                     .dst_stride = all.gate_stride,
                                                     .dtype = sum->dtype,
                                                     .src = dg->data,
                                                     .dst = block_of(sum, s->gate_block, all.d),
                                                     .add = true});
    if (nn_tracks(ctx, s->h)) nn_grad_end(ctx, s->h, dh);
    nn_grad_pass(ctx, s->x, s->sum);
}

static bool fits(const nn_tensor *x, const nn_tensor *mod, int block, const nn_packing *seq)
{
    return x->ndim == 2 && mod->ndim == 2 && x->dtype == mod->dtype && x->dtype != NN_I32 &&
           mod->shape[0] == seq->n && x->shape[0] == seq->tokens && block >= 0 && x->shape[1] > 0 &&
           (block + 1) * x->shape[1] <= mod->shape[1];
}

/* One pass is worth it, and its backward complete, where all inputs want a gradient or none. */
static bool in_one(const nn_ctx *ctx, const nn_tensor *x, const nn_tensor *h,
                   const nn_tensor *gate_mod, const nn_tensor *mod, const nn_packing *seq)
{
    int tracked =
        nn_tracks(ctx, x) + nn_tracks(ctx, h) + nn_tracks(ctx, gate_mod) + nn_tracks(ctx, mod);
    return x->shape[1] <= NN_ADALN_COLUMNS && seq->longest <= NN_ADALN_ROWS &&
           (tracked == 0 || tracked == 4);
}

nn_tensor *nn_gate_modulate(nn_ctx *ctx, nn_tensor **y, nn_tensor *x, nn_tensor *h,
                            nn_tensor *gate_mod, int gate_block, nn_tensor *mod, int shift_block,
                            int scale_block, const nn_packing *seq, float eps)
{
    *y = nn_poison(ctx);
    if (nn_failed(ctx)) return *y;
    if (!fits(x, gate_mod, gate_block, seq) || !fits(x, mod, shift_block, seq) ||
        !fits(x, mod, scale_block, seq) || !nn_same_shape(x, h) || h->dtype != x->dtype) {
        return nn_op_fail(ctx, "nn_gate_modulate",
                          "x %s, h %s, modulations %s and %s with blocks %d, %d and %d and %lld "
                          "sequences of %lld rows do not fit",
                          nn_shape(x).s, nn_shape(h).s, nn_shape(gate_mod).s, nn_shape(mod).s,
                          gate_block, shift_block, scale_block, (long long)seq->n,
                          (long long)seq->tokens);
    }
    if (!in_one(ctx, x, h, gate_mod, mod, seq)) {
        nn_tensor *sum = nn_gate(ctx, x, h, gate_mod, gate_block, seq);
        *y = nn_modulate(ctx, sum, mod, shift_block, scale_block, seq, eps);
        return sum;
    }
    bool tracked = nn_tracks(ctx, x);
    adaln_saved now = {x,
                       h,
                       gate_mod,
                       mod,
                       nn_like(ctx, x),
                       nn_like(ctx, x),
                       gate_block,
                       shift_block,
                       scale_block,
                       NULL,
                       NULL,
                       seq,
                       eps};
    if (tracked) {
        now.mean = nn_pool_alloc(ctx, x->shape[0], sizeof *now.mean);
        now.rstd = nn_pool_alloc(ctx, x->shape[0], sizeof *now.rstd);
    }
    if (nn_failed(ctx)) return nn_poison(ctx);
    nn_adaln_args args = adaln_args(&now);
    ctx->be->adaln_fwd(ctx->be, &args);
    *y = now.y;
    adaln_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = now;
        nn_record(ctx, now.sum, sum_backward, s);
        nn_record(ctx, now.y, adaln_backward, s);
    }
    return now.sum;
}

static void copy_over(nn_ctx *ctx, nn_tensor *to, const nn_tensor *from)
{
    if (nn_failed(ctx)) return;
    ctx->be->copy(ctx->be, to->data, from->data, (size_t)nn_count(to) * nn_dtype_size(to->dtype));
}

void nn_gate_modulate_into(nn_ctx *ctx, nn_tensor *y, nn_tensor *x, nn_tensor *h,
                           nn_tensor *gate_mod, int gate_block, nn_tensor *mod, int shift_block,
                           int scale_block, const nn_packing *seq, float eps)
{
    if (nn_failed(ctx)) return;
    if (ctx->tape || !fits(x, gate_mod, gate_block, seq) || !fits(x, mod, shift_block, seq) ||
        !fits(x, mod, scale_block, seq) || !nn_same_shape(x, h) || !nn_same_shape(x, y) ||
        h->dtype != x->dtype || y->dtype != x->dtype) {
        nn_op_fail(ctx, "nn_gate_modulate_into",
                   "%s: x %s, h %s, y %s, modulations %s and %s do not fit",
                   ctx->tape ? "a tape records" : "inference", nn_shape(x).s, nn_shape(h).s,
                   nn_shape(y).s, nn_shape(gate_mod).s, nn_shape(mod).s);
        return;
    }
    if (!in_one(ctx, x, h, gate_mod, mod, seq)) {
        nn_tensor *modulated, *sum = nn_gate_modulate(ctx, &modulated, x, h, gate_mod, gate_block,
                                                      mod, shift_block, scale_block, seq, eps);
        copy_over(ctx, x, sum);
        copy_over(ctx, y, modulated);
        return;
    }
    const adaln_saved now = {x,           h,           gate_mod, mod,  x,   y,  gate_block,
                             shift_block, scale_block, NULL,     NULL, seq, eps};
    nn_adaln_args args = adaln_args(&now);
    ctx->be->adaln_fwd(ctx->be, &args);
}
