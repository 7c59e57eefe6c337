/* nn/ops.c: the product and the elementwise operations. The others: ops_norm.c (LayerNorm,
 * modulation, gate), ops_attention.c, ops_rows.c (moving rows and columns), ops_loss.c.
 *
 * Every operation here has the same three parts: check shapes once, call the back end, and record
 * the backward when an input wants a gradient. Between a failure and nn_status() all of them do
 * nothing.
 */
#include "nn/nn_priv.h"

static bool is_matrix(const nn_tensor *t)
{
    return t->ndim == 2;
}

/* ---- y = act(x w^T + b) ------------------------------------------------------------------------
 */

typedef struct linear_saved {
    nn_tensor *x, *w, *b, *y;
    void *pre; /* value before the activation; NULL without one */
    nn_act act;
} linear_saved;

/* Runs c = op(a) op(b) with c's accumulation decided by whether it is a gradient that already is.
 */
static void product(nn_ctx *ctx, nn_gemm_args args)
{
    args.precision = ctx->precision;
    args.training = ctx->tape != NULL;
    ctx->be->gemm(ctx->be, &args);
}

static void linear_backward(nn_ctx *ctx, void *saved)
{
    linear_saved *s = saved;
    nn_backend *be = ctx->be;
    int64_t m = s->x->shape[0], k = s->x->shape[1], n = s->w->shape[0];
    void *dy = s->y->grad->data; /* from here on the gradient before the activation, in place */
    if (s->pre) {
        be->act_bwd(
            be,
            &(nn_map_args){
                .n = m * n, .dtype = s->y->dtype, .a = s->pre, .b = dy, .y = dy, .act = s->act});
    }
    if (nn_tracks(ctx, s->b)) {
        nn_tensor *db = nn_grad_sum(ctx, s->b);
        if (nn_failed(ctx)) return;
        be->bias_grad(be, &(nn_columns_args){.m = m,
                                             .columns = n,
                                             .src_stride = n,
                                             .dtype = s->y->dtype,
                                             .src = dy,
                                             .dst = db->data});
    }
    if (nn_tracks(ctx, s->w)) {
        nn_tensor *dw = s->w->grad;
        float accumulate = dw ? 1 : 0;
        if (!dw) dw = nn_grad_begin(ctx, s->w);
        if (nn_failed(ctx)) return;
        product(ctx, (nn_gemm_args){.m = n,
                                    .n = k,
                                    .k = m,
                                    .trans_a = true,
                                    .a = dy,
                                    .b = s->x->data,
                                    .c = dw->data,
                                    .accumulate = accumulate,
                                    .dtype = s->x->dtype,
                                    .c_dtype = dw->dtype});
        s->w->grad = dw;
    }
    if (nn_tracks(ctx, s->x)) {
        nn_tensor *dx = s->x->grad;
        float accumulate = dx ? 1 : 0;
        if (!dx) dx = nn_grad_begin(ctx, s->x);
        if (nn_failed(ctx)) return;
        product(ctx, (nn_gemm_args){.m = m,
                                    .n = k,
                                    .k = n,
                                    .a = dy,
                                    .b = s->w->data,
                                    .c = dx->data,
                                    .accumulate = accumulate,
                                    .dtype = s->x->dtype,
                                    .c_dtype = dx->dtype});
        s->x->grad = dx;
    }
}

/* The bias in the dtype of the product; f32 biases are welcome under bf16 too. */
static const void *bias_data(nn_ctx *ctx, const nn_tensor *b, nn_dtype dtype)
{
    if (!b) return NULL;
    if (b->dtype == dtype) return b->data;
    void *narrow = nn_pool_alloc(ctx, nn_count(b), nn_dtype_size(dtype));
    if (narrow) ctx->be->to_bf16(ctx->be, narrow, b->data, nn_count(b));
    return narrow;
}

nn_tensor *nn_linear(nn_ctx *ctx, nn_tensor *x, nn_tensor *w, nn_tensor *b, nn_act act)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!is_matrix(x) || !is_matrix(w) || x->shape[1] != w->shape[1] || x->dtype != w->dtype ||
        x->dtype == NN_I32) {
        return nn_op_fail(ctx, "nn_linear", "x %s and weight %s do not fit (want (M,K) and (N,K))",
                          nn_shape(x).s, nn_shape(w).s);
    }
    int64_t m = x->shape[0], k = x->shape[1], n = w->shape[0];
    if (b && (!nn_is_vector(b, n) || (b->dtype != x->dtype && b->dtype != NN_F32))) {
        return nn_op_fail(ctx, "nn_linear", "weight %s wants a bias of %lld, got %s", nn_shape(w).s,
                          (long long)n, nn_shape(b).s);
    }
    if (nn_tracks(ctx, b) && (b->grad ? b->grad : b)->dtype != NN_F32)
        return nn_op_fail(ctx, "nn_linear", "a bias that learns wants an f32 gradient");
    nn_tensor *y = nn_new2(ctx, x->dtype, m, n);
    const void *bias = bias_data(ctx, b, x->dtype);
    bool tracked = nn_tracks(ctx, x) || nn_tracks(ctx, w) || nn_tracks(ctx, b);
    void *pre = NULL;
    if (tracked && act != NN_ACT_NONE) pre = nn_pool_alloc(ctx, m * n, nn_dtype_size(x->dtype));
    if (nn_failed(ctx)) return nn_poison(ctx);
    product(ctx, (nn_gemm_args){.m = m,
                                .n = n,
                                .k = k,
                                .trans_b = true,
                                .a = x->data,
                                .b = w->data,
                                .bias = bias,
                                .c = y->data,
                                .pre_activation = pre,
                                .act = act,
                                .dtype = x->dtype,
                                .c_dtype = x->dtype});
    linear_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (linear_saved){x, w, b, y, pre, act};
        nn_record(ctx, y, linear_backward, s);
    }
    return y;
}

/* ---- activation --------------------------------------------------------------------------------
 */

typedef struct unary_saved {
    nn_tensor *x, *y;
    nn_act act;
    uint64_t seed;
    uint32_t site;
    float p;
} unary_saved;

static unary_saved *unary_record(nn_ctx *ctx, nn_tensor *x, nn_tensor *y, nn_backward_fn fn)
{
    if (!nn_tracks(ctx, x)) return NULL;
    unary_saved *s = nn_host_alloc(ctx, 1, sizeof *s);
    if (!s) return NULL;
    *s = (unary_saved){.x = x, .y = y};
    nn_record(ctx, y, fn, s);
    return s;
}

static void activation_backward(nn_ctx *ctx, void *saved)
{
    unary_saved *s = saved;
    void *dy = s->y->grad->data;
    ctx->be->act_bwd(ctx->be, &(nn_map_args){.n = nn_count(s->y),
                                             .dtype = s->y->dtype,
                                             .a = s->x->data,
                                             .b = dy,
                                             .y = dy,
                                             .act = s->act});
    nn_grad_pass(ctx, s->x, s->y);
}

nn_tensor *nn_activation(nn_ctx *ctx, nn_tensor *x, nn_act act)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (x->dtype == NN_I32) return nn_op_fail(ctx, "nn_activation", "x is %s", nn_shape(x).s);
    nn_tensor *y = nn_like(ctx, x);
    if (nn_failed(ctx)) return y;
    ctx->be->act_fwd(
        ctx->be, &(nn_map_args){
                     .n = nn_count(x), .dtype = x->dtype, .a = x->data, .y = y->data, .act = act});
    unary_saved *s = unary_record(ctx, x, y, activation_backward);
    if (s) s->act = act;
    return y;
}

/* ---- y = alpha a + beta b ----------------------------------------------------------------------
 */

typedef struct add_saved {
    nn_tensor *a, *b, *y;
    float alpha, beta;
} add_saved;

static void scale(nn_ctx *ctx, const nn_tensor *x, nn_tensor *y, float alpha)
{
    ctx->be->axpby(
        ctx->be,
        &(nn_map_args){
            .n = nn_count(x), .dtype = x->dtype, .a = x->data, .y = y->data, .alpha = alpha});
}

static void add_backward(nn_ctx *ctx, void *saved)
{
    add_saved *s = saved;
    if (nn_tracks(ctx, s->b)) {
        nn_tensor *db = nn_grad_begin(ctx, s->b);
        if (nn_failed(ctx)) return;
        scale(ctx, s->y->grad, db, s->beta);
        nn_grad_end(ctx, s->b, db);
    }
    if (nn_tracks(ctx, s->a)) {
        if (s->alpha != 1) scale(ctx, s->y->grad, s->y->grad, s->alpha);
        nn_grad_pass(ctx, s->a, s->y);
    }
}

nn_tensor *nn_add(nn_ctx *ctx, nn_tensor *a, nn_tensor *b, float alpha, float beta)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!nn_same_shape(a, b) || a->dtype != b->dtype || a->dtype == NN_I32)
        return nn_op_fail(ctx, "nn_add", "%s and %s differ", nn_shape(a).s, nn_shape(b).s);
    nn_tensor *y = nn_like(ctx, a);
    if (nn_failed(ctx)) return y;
    ctx->be->axpby(ctx->be, &(nn_map_args){.n = nn_count(a),
                                           .dtype = a->dtype,
                                           .a = a->data,
                                           .b = b->data,
                                           .y = y->data,
                                           .alpha = alpha,
                                           .beta = beta});
    bool tracked = nn_tracks(ctx, a) || nn_tracks(ctx, b);
    add_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (add_saved){a, b, y, alpha, beta};
        nn_record(ctx, y, add_backward, s);
    }
    return y;
}

/* ---- dropout -----------------------------------------------------------------------------------
 */

static void run_dropout(nn_ctx *ctx, const unary_saved *s, const nn_tensor *from, nn_tensor *to)
{
    ctx->be->dropout(ctx->be, &(nn_map_args){.n = nn_count(from),
                                             .dtype = from->dtype,
                                             .a = from->data,
                                             .y = to->data,
                                             .seed = s->seed,
                                             .site = s->site,
                                             .p = s->p,
                                             .state = ctx->state});
}

static void dropout_backward(nn_ctx *ctx, void *saved)
{
    unary_saved *s = saved;
    nn_tensor *dx = nn_grad_begin(ctx, s->x);
    if (nn_failed(ctx)) return;
    run_dropout(ctx, s, s->y->grad, dx);
    nn_grad_end(ctx, s->x, dx);
}

nn_tensor *nn_dropout(nn_ctx *ctx, nn_tensor *x, float p)
{
    if (nn_failed(ctx) || !ctx->training || p == 0) return x;
    if (!(p > 0 && p < 1)) return nn_op_fail(ctx, "nn_dropout", "p must be in [0,1), got %g", p);
    nn_tensor *y = nn_like(ctx, x);
    if (nn_failed(ctx)) return y;
    unary_saved now = {.x = x, .y = y, .seed = ctx->seed, .site = ctx->dropouts++, .p = p};
    run_dropout(ctx, &now, x, y);
    unary_saved *s = unary_record(ctx, x, y, dropout_backward);
    if (s) *s = now;
    return y;
}

/* ---- mu + noise exp(logvar / 2) ----------------------------------------------------------------
 */

typedef struct reparam_saved {
    nn_tensor *mu, *logvar, *y;
    const nn_tensor *noise;
} reparam_saved;

static nn_map_args reparam_args(const nn_tensor *logvar, const nn_tensor *noise, nn_tensor *y)
{
    return (nn_map_args){
        .n = nn_count(y), .dtype = y->dtype, .a = logvar->data, .b = noise->data, .y = y->data};
}

static void reparam_backward(nn_ctx *ctx, void *saved)
{
    reparam_saved *s = saved;
    if (nn_tracks(ctx, s->logvar)) {
        nn_tensor *g = nn_grad_begin(ctx, s->logvar);
        if (nn_failed(ctx)) return;
        scale(ctx, s->y->grad, g, 1);
        nn_map_args args = reparam_args(s->logvar, s->noise, g);
        ctx->be->reparam_bwd(ctx->be, &args);
        nn_grad_end(ctx, s->logvar, g);
    }
    if (nn_tracks(ctx, s->mu)) nn_grad_pass(ctx, s->mu, s->y);
}

nn_tensor *nn_reparameterize(nn_ctx *ctx, nn_tensor *mu, nn_tensor *logvar, const nn_tensor *noise)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!nn_same_shape(mu, logvar) || !nn_same_shape(mu, noise) || mu->dtype != logvar->dtype ||
        mu->dtype == NN_I32 || noise->dtype != NN_F32) {
        return nn_op_fail(ctx, "nn_reparameterize", "mu %s, logvar %s and noise %s do not fit",
                          nn_shape(mu).s, nn_shape(logvar).s, nn_shape(noise).s);
    }
    nn_tensor *y = nn_like(ctx, mu);
    if (nn_failed(ctx)) return y;
    scale(ctx, mu, y, 1);
    nn_map_args args = reparam_args(logvar, noise, y);
    ctx->be->reparam_fwd(ctx->be, &args);
    bool tracked = nn_tracks(ctx, mu) || nn_tracks(ctx, logvar);
    reparam_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (reparam_saved){mu, logvar, y, noise};
        nn_record(ctx, y, reparam_backward, s);
    }
    return y;
}

/* ---- noise -------------------------------------------------------------------------------------
 */

nn_tensor *nn_noise(nn_ctx *ctx, const nn_tensor *x, const nn_tensor *mix, const nn_tensor *stream,
                    const nn_packing *seq, int64_t columns)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!nn_is(mix, seq->n, 2) || mix->dtype != NN_F32 || !nn_is(stream, seq->n, 3) ||
        stream->dtype != NN_I32 || columns < 1 ||
        (x && (!nn_is(x, seq->tokens, columns) || x->dtype != NN_F32))) {
        return nn_op_fail(ctx, "nn_noise",
                          "x %s, mix %s and stream %s do not fit %lld sequences of %lld rows and "
                          "%lld columns",
                          x ? nn_shape(x).s : "none", nn_shape(mix).s, nn_shape(stream).s,
                          (long long)seq->n, (long long)seq->tokens, (long long)columns);
    }
    nn_tensor *y = nn_new2(ctx, NN_F32, seq->tokens, columns);
    if (nn_failed(ctx)) return y;
    ctx->be->noise(ctx->be, &(nn_noise_args){.m = seq->tokens,
                                             .d = columns,
                                             .segments = seq->n,
                                             .x = x ? x->data : NULL,
                                             .mix = mix->data,
                                             .stream = stream->data,
                                             .segment = seq->segment_device,
                                             .offsets = seq->offsets_device,
                                             .y = y->data});
    return y;
}

/* ---- casts -------------------------------------------------------------------------------------
 */

static void convert(nn_ctx *ctx, const nn_tensor *from, nn_tensor *to)
{
    if (to->dtype == NN_BF16)
        ctx->be->to_bf16(ctx->be, to->data, from->data, nn_count(from));
    else
        ctx->be->to_f32(ctx->be, to->data, from->data, nn_count(from));
}

static void cast_backward(nn_ctx *ctx, void *saved)
{
    unary_saved *s = saved;
    nn_tensor *dx = nn_grad_begin(ctx, s->x);
    if (nn_failed(ctx)) return;
    convert(ctx, s->y->grad, dx);
    nn_grad_end(ctx, s->x, dx);
}

nn_tensor *nn_cast(nn_ctx *ctx, nn_tensor *x, nn_dtype dtype)
{
    if (nn_failed(ctx) || x->dtype == dtype) return nn_failed(ctx) ? nn_poison(ctx) : x;
    if (x->dtype == NN_I32 || dtype == NN_I32)
        return nn_op_fail(ctx, "nn_cast", "no cast from %s to %s", nn_shape(x).s,
                          nn_dtype_text(dtype));
    nn_tensor *y = nn_new(ctx, dtype, x->ndim, x->shape);
    if (nn_failed(ctx)) return y;
    convert(ctx, x, y);
    unary_record(ctx, x, y, cast_backward);
    return y;
}
