/* nn/ops_norm.c: LayerNorm, adaLN modulation and its gate. */
#include "nn/nn_priv.h"

typedef struct norm_saved {
    nn_tensor *x, *residual, *w, *b, *mod, *y;
    nn_drop drop; /* of the residual */
    /* Where the residual is a product of this operation's own, which no tape knows; else x NULL. */
    nn_linear_parts linear;
    int shift_block, scale_block;
    float *mean, *rstd;
    const nn_packing *seq;
    float eps;
} norm_saved;

static bool fits_vector(const nn_tensor *t, int64_t d)
{
    return t->dtype == NN_F32 && nn_is_vector(t, d);
}

/* Column block `block` of mod. */
static void *mod_block(const nn_tensor *mod, int block, int64_t d)
{
    return nn_at(mod, block * d);
}

static nn_layernorm_args norm_args(const norm_saved *s)
{
    int64_t d = s->x->shape[1];
    nn_layernorm_args args = {.m = s->x->shape[0],
                              .d = d,
                              .dtype = s->x->dtype,
                              .eps = s->eps,
                              .x = s->x->data,
                              .residual = s->residual ? s->residual->data : NULL,
                              .drop = s->drop,
                              .w = s->w ? s->w->data : NULL,
                              .b = s->b ? s->b->data : NULL,
                              .mean = s->mean,
                              .rstd = s->rstd};
    if (s->mod) {
        args.shift = mod_block(s->mod, s->shift_block, d);
        args.scale = mod_block(s->mod, s->scale_block, d);
        args.mod_stride = s->mod->shape[1];
        args.segment = s->seq->segment_device;
        args.offsets = s->seq->offsets_device;
        args.segments = s->seq->n;
    }
    return args;
}

/* Adds a (n,D) gradient, one of `blocks` side by side in g, to column block `to` of mod's. */
static void add_to_block(nn_ctx *ctx, nn_tensor *mod, int to, const nn_tensor *g, int from,
                         int64_t d)
{
    nn_tensor *sum = nn_grad_sum(ctx, mod);
    if (nn_failed(ctx)) return;
    ctx->be->columns(ctx->be, &(nn_columns_args){.m = mod->shape[0],
                                                 .columns = d,
                                                 .src_stride = g->shape[1],
                                                 .dst_stride = mod->shape[1],
                                                 .dtype = mod->dtype,
                                                 .src = mod_block(g, from, d),
                                                 .dst = mod_block(sum, to, d),
                                                 .add = true});
}

static bool linear_tracks(nn_ctx *ctx, const nn_linear_parts *l)
{
    return l->x && (nn_tracks(ctx, l->x) || nn_tracks(ctx, l->w) || nn_tracks(ctx, l->b));
}

static void norm_backward(nn_ctx *ctx, void *saved)
{
    norm_saved *s = saved;
    nn_layernorm_args args = norm_args(s);
    bool own = linear_tracks(ctx, &s->linear);
    nn_tensor *dx = nn_grad_begin(ctx, s->x), *dresidual = NULL, *dmod = NULL;
    if (own || nn_tracks(ctx, s->residual)) dresidual = nn_grad_begin(ctx, s->residual);
    args.dy = s->y->grad->data;
    args.dx = dx->data;
    args.dresidual = dresidual ? dresidual->data : NULL;
    if (nn_tracks(ctx, s->w)) args.dw = nn_grad_sum(ctx, s->w)->data;
    if (nn_tracks(ctx, s->b)) args.db = nn_grad_sum(ctx, s->b)->data;
    if (own && nn_tracks(ctx, s->linear.b)) args.dbias = nn_grad_sum(ctx, s->linear.b)->data;
    if (nn_tracks(ctx, s->mod)) {
        dmod = nn_new2(ctx, s->mod->dtype, s->seq->n, 2 * args.d);
        if (nn_failed(ctx)) return;
        args.dshift = dmod->data;
        args.dscale = mod_block(dmod, 1, args.d);
        args.dmod_stride = 2 * args.d;
    }
    if (nn_failed(ctx)) return;
    ctx->be->layernorm_bwd(ctx->be, &args);
    if (dmod) {
        add_to_block(ctx, s->mod, s->shift_block, dmod, 0, args.d);
        add_to_block(ctx, s->mod, s->scale_block, dmod, 1, args.d);
    }
    if (own) {
        nn_linear_products_backward(ctx, &s->linear, dresidual->data, NULL);
        nn_grad_drop(ctx, dresidual);
    } else if (dresidual) {
        nn_grad_end(ctx, s->residual, dresidual);
    }
    if (nn_tracks(ctx, s->x))
        nn_grad_end(ctx, s->x, dx);
    else
        nn_grad_drop(ctx, dx);
}

static nn_tensor *run_norm(nn_ctx *ctx, norm_saved now)
{
    nn_tensor *y = now.y ? now.y : nn_like(ctx, now.x);
    bool tracked = nn_tracks(ctx, now.x) || nn_tracks(ctx, now.residual) || nn_tracks(ctx, now.w) ||
                   nn_tracks(ctx, now.b) || nn_tracks(ctx, now.mod) ||
                   linear_tracks(ctx, &now.linear);
    if (tracked) {
        now.mean = nn_pool_alloc(ctx, now.x->shape[0], sizeof *now.mean);
        now.rstd = nn_pool_alloc(ctx, now.x->shape[0], sizeof *now.rstd);
    }
    if (nn_failed(ctx)) return nn_poison(ctx);
    now.y = y;
    nn_layernorm_args args = norm_args(&now);
    args.y = y->data;
    ctx->be->layernorm_fwd(ctx->be, &args);
    norm_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = now;
        nn_record(ctx, y, norm_backward, s);
    }
    return y;
}

/* The checks that all forms of LN(x + residual) share. */
static bool norm_fits(nn_ctx *ctx, const char *op, const norm_saved *s)
{
    const nn_tensor *x = s->x, *r = s->residual, *w = s->w, *b = s->b;
    if (x->ndim != 2 || x->dtype == NN_I32 || x->shape[1] < 1) {
        nn_op_fail(ctx, op, "x is %s", nn_shape(x).s);
    } else if (r && (!nn_same_shape(x, r) || x->dtype != r->dtype)) {
        nn_op_fail(ctx, op, "x %s and residual %s differ", nn_shape(x).s, nn_shape(r).s);
    } else if (!w != !b || (w && (!fits_vector(w, x->shape[1]) || !fits_vector(b, x->shape[1])))) {
        nn_op_fail(ctx, op,
                   "x %s wants f32 weight and bias of its width (or neither), got %s and %s",
                   nn_shape(x).s, nn_shape(w).s, nn_shape(b).s);
    }
    return !nn_failed(ctx);
}

nn_tensor *nn_layernorm(nn_ctx *ctx, nn_tensor *x, nn_tensor *residual, nn_tensor *w, nn_tensor *b,
                        float eps)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    norm_saved now = {.x = x, .residual = residual, .w = w, .b = b, .eps = eps};
    return norm_fits(ctx, "nn_layernorm", &now) ? run_norm(ctx, now) : nn_poison(ctx);
}

nn_tensor *nn_dropout_layernorm(nn_ctx *ctx, nn_tensor *x, nn_tensor *h, float p, nn_tensor *w,
                                nn_tensor *b, float eps)
{
    static const char op[] = "nn_dropout_layernorm";
    if (nn_failed(ctx)) return nn_poison(ctx);
    norm_saved now = {.x = x, .residual = h, .w = w, .b = b, .eps = eps};
    if (!norm_fits(ctx, op, &now) || !nn_drop_new(ctx, op, p, &now.drop)) return nn_poison(ctx);
    return run_norm(ctx, now);
}

static nn_tensor *linear_norm(nn_ctx *ctx, const char *op, norm_saved now, float p)
{
    if (!nn_linear_fits(ctx, op, &now.linear)) return nn_poison(ctx);
    const nn_tensor *x = now.linear.x, *w = now.linear.w;
    now.residual = nn_new2(ctx, x->dtype, x->shape[0], w->shape[0]);
    if (nn_failed(ctx) || !norm_fits(ctx, op, &now)) return nn_poison(ctx);
    nn_linear_forward(ctx, &now.linear, now.residual);
    return nn_drop_new(ctx, op, p, &now.drop) ? run_norm(ctx, now) : nn_poison(ctx);
}

nn_tensor *nn_linear_layernorm(nn_ctx *ctx, nn_tensor *x, nn_tensor *w, nn_tensor *b, float p,
                               nn_tensor *residual, nn_tensor *norm_w, nn_tensor *norm_b, float eps)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    return linear_norm(ctx, "nn_linear_layernorm",
                       (norm_saved){.x = residual,
                                    .w = norm_w,
                                    .b = norm_b,
                                    .eps = eps,
                                    .linear = {.x = x, .w = w, .b = b}},
                       p);
}

void nn_linear_layernorm_into(nn_ctx *ctx, nn_tensor *y, nn_tensor *x, nn_tensor *w, nn_tensor *b,
                              nn_tensor *residual, nn_tensor *norm_w, nn_tensor *norm_b, float eps)
{
    static const char op[] = "nn_linear_layernorm_into";
    if (nn_failed(ctx)) return;
    if (ctx->tape || !nn_same_shape(y, residual) || y->dtype != residual->dtype) {
        nn_op_fail(ctx, op, "y %s and residual %s differ, or a tape records", nn_shape(y).s,
                   nn_shape(residual).s);
        return;
    }
    linear_norm(ctx, op,
                (norm_saved){.x = residual,
                             .y = y,
                             .w = norm_w,
                             .b = norm_b,
                             .eps = eps,
                             .linear = {.x = x, .w = w, .b = b}},
                0);
}

static bool fits_mod(const nn_tensor *x, const nn_tensor *mod, int block, const nn_packing *seq)
{
    return x->ndim == 2 && mod->ndim == 2 && x->dtype == mod->dtype && x->dtype != NN_I32 &&
           mod->shape[0] == seq->n && x->shape[0] == seq->tokens && block >= 0 && x->shape[1] > 0 &&
           (block + 1) * x->shape[1] <= mod->shape[1];
}

nn_tensor *nn_modulate(nn_ctx *ctx, nn_tensor *x, nn_tensor *mod, int shift_block, int scale_block,
                       const nn_packing *seq, float eps)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!fits_mod(x, mod, shift_block, seq) || !fits_mod(x, mod, scale_block, seq)) {
        return nn_op_fail(
            ctx, "nn_modulate",
            "x %s, modulation %s with blocks %d and %d and %lld sequences of %lld rows "
            "do not fit",
            nn_shape(x).s, nn_shape(mod).s, shift_block, scale_block, (long long)seq->n,
            (long long)seq->tokens);
    }
    return run_norm(ctx, (norm_saved){.x = x,
                                      .mod = mod,
                                      .shift_block = shift_block,
                                      .scale_block = scale_block,
                                      .seq = seq,
                                      .eps = eps});
}

/* ---- gate --------------------------------------------------------------------------------------
 */

typedef struct gate_saved {
    nn_tensor *x, *h, *mod, *y;
    int block;
    const nn_packing *seq;
} gate_saved;

static nn_segment_args gate_args(const gate_saved *s)
{
    int64_t d = s->x->shape[1];
    return (nn_segment_args){.m = s->x->shape[0],
                             .d = d,
                             .segments = s->seq->n,
                             .dtype = s->x->dtype,
                             .x = s->x->data,
                             .h = s->h->data,
                             .g = mod_block(s->mod, s->block, d),
                             .mod_stride = s->mod->shape[1],
                             .segment = s->seq->segment_device,
                             .offsets = s->seq->offsets_device};
}

static void gate_backward(nn_ctx *ctx, void *saved)
{
    gate_saved *s = saved;
    nn_segment_args args = gate_args(s);
    nn_tensor *dh = NULL, *dg = NULL;
    if (nn_tracks(ctx, s->h)) dh = nn_grad_begin(ctx, s->h);
    if (nn_tracks(ctx, s->mod)) dg = nn_new2(ctx, s->mod->dtype, s->seq->n, args.d);
    if (nn_failed(ctx)) return;
    args.dy = s->y->grad->data;
    args.dh = dh ? dh->data : NULL;
    args.dg = dg ? dg->data : NULL;
    args.dg_stride = args.d;
    if (dh || dg) ctx->be->gate_bwd(ctx->be, &args);
    if (dg) add_to_block(ctx, s->mod, s->block, dg, 0, args.d);
    if (dh) nn_grad_end(ctx, s->h, dh);
    if (nn_tracks(ctx, s->x)) nn_grad_pass(ctx, s->x, s->y);
}

nn_tensor *nn_gate(nn_ctx *ctx, nn_tensor *x, nn_tensor *h, nn_tensor *mod, int gate_block,
                   const nn_packing *seq)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!fits_mod(x, mod, gate_block, seq) || !nn_same_shape(x, h) || h->dtype != x->dtype) {
        return nn_op_fail(
            ctx, "nn_gate",
            "x %s, h %s, modulation %s with block %d and %lld sequences of %lld rows do "
            "not fit",
            nn_shape(x).s, nn_shape(h).s, nn_shape(mod).s, gate_block, (long long)seq->n,
            (long long)seq->tokens);
    }
    nn_tensor *y = nn_like(ctx, x);
    if (nn_failed(ctx)) return y;
    gate_saved now = {x, h, mod, y, gate_block, seq};
    nn_segment_args args = gate_args(&now);
    args.y = y->data;
    ctx->be->gate_fwd(ctx->be, &args);
    bool tracked = nn_tracks(ctx, x) || nn_tracks(ctx, h) || nn_tracks(ctx, mod);
    gate_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = now;
        nn_record(ctx, y, gate_backward, s);
    }
    return y;
}
