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
    nn_linear_parts parts;
    nn_tensor *y;
} linear_saved;

/* Runs c = op(a) op(b) with c's accumulation decided by whether it is a gradient that already is.
 */
static void product(nn_ctx *ctx, nn_gemm_args args)
{
    args.precision = ctx->precision;
    args.training = ctx->tape != NULL;
    ctx->flops += 2.0 * (double)args.m * (double)args.n * (double)args.k;
    ctx->be->gemm(ctx->be, &args);
}

/* One of the two products of the way back, into the gradient of `to`. */
static void grad_product(nn_ctx *ctx, nn_tensor *to, nn_gemm_args args)
{
    nn_tensor *g = to->grad;
    args.accumulate = g ? 1 : 0;
    if (!g) g = nn_grad_begin(ctx, to);
    if (nn_failed(ctx)) return;
    args.c = g->data;
    args.c_dtype = g->dtype;
    product(ctx, args);
    to->grad = g;
}

/* dy = dy slope in place, where there is one, and the sums of its columns into `db` where that is
 * not NULL. */
static void slope_and_bias(nn_ctx *ctx, const nn_linear_parts *s, void *dy, nn_tensor *db)
{
    ctx->be->linear_grad(ctx->be, &(nn_linear_grad_args){.m = s->x->shape[0],
                                                         .n = s->w->shape[0],
                                                         .dtype = s->x->dtype,
                                                         .slope = s->slope,
                                                         .dy = dy,
                                                         .dx = dy,
                                                         .dbias = db ? db->data : NULL});
}

void nn_weight_gradients(nn_ctx *ctx, const nn_linear_parts *s, void *dy, nn_tensor *db)
{
    if (db) slope_and_bias(ctx, s, dy, db);
    if (!nn_tracks(ctx, s->w)) return;
    grad_product(ctx, s->w,
                 (nn_gemm_args){.m = s->w->shape[0],
                                .n = s->x->shape[1],
                                .k = s->x->shape[0],
                                .trans_a = true,
                                .a = dy,
                                .b = s->x->data,
                                .dtype = s->x->dtype});
}

void nn_linear_products_backward(nn_ctx *ctx, const nn_linear_parts *s, void *dy, nn_tensor *db)
{
    if (!nn_aside(ctx, s, dy, db)) nn_weight_gradients(ctx, s, dy, db);
    if (!nn_tracks(ctx, s->x)) return;
    grad_product(ctx, s->x,
                 (nn_gemm_args){.m = s->x->shape[0],
                                .n = s->x->shape[1],
                                .k = s->w->shape[0],
                                .a = dy,
                                .b = s->w->data,
                                .dtype = s->x->dtype});
}

static void linear_backward(nn_ctx *ctx, void *saved)
{
    linear_saved *s = saved;
    nn_linear_parts *l = &s->parts;
    void *dy = s->y->grad->data; /* where there is a slope, the gradient before it from here on */
    nn_tensor *db = nn_tracks(ctx, l->b) ? nn_grad_sum(ctx, l->b) : NULL;
    if (nn_failed(ctx)) return;
    if (l->slope) slope_and_bias(ctx, l, dy, db);
    nn_linear_products_backward(ctx, l, dy, l->slope ? NULL : db);
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

bool nn_linear_fits(nn_ctx *ctx, const char *op, const nn_linear_parts *s)
{
    const nn_tensor *x = s->x, *w = s->w, *b = s->b;
    if (!is_matrix(x) || !is_matrix(w) || x->shape[1] != w->shape[1] || x->dtype != w->dtype ||
        x->dtype == NN_I32) {
        nn_op_fail(ctx, op, "x %s and weight %s do not fit (want (M,K) and (N,K))", nn_shape(x).s,
                   nn_shape(w).s);
    } else if (b &&
               (!nn_is_vector(b, w->shape[0]) || (b->dtype != x->dtype && b->dtype != NN_F32))) {
        nn_op_fail(ctx, op, "weight %s wants a bias of %lld, got %s", nn_shape(w).s,
                   (long long)w->shape[0], nn_shape(b).s);
    } else if (nn_tracks(ctx, b) && (b->grad ? b->grad : b)->dtype != NN_F32) {
        nn_op_fail(ctx, op, "a bias that learns wants an f32 gradient");
    }
    return !nn_failed(ctx);
}

void nn_linear_forward(nn_ctx *ctx, const nn_linear_parts *s, nn_tensor *y)
{
    const void *bias = bias_data(ctx, s->b, s->x->dtype);
    if (nn_failed(ctx)) return;
    product(ctx, (nn_gemm_args){.m = s->x->shape[0],
                                .n = s->w->shape[0],
                                .k = s->x->shape[1],
                                .trans_b = true,
                                .a = s->x->data,
                                .b = s->w->data,
                                .bias = bias,
                                .c = y->data,
                                .slope = s->slope,
                                .act = s->act,
                                .drop = s->drop,
                                .dtype = s->x->dtype,
                                .c_dtype = s->x->dtype});
}

static nn_tensor *run_linear(nn_ctx *ctx, const char *op, nn_linear_parts s, float p)
{
    if (!nn_linear_fits(ctx, op, &s) || !nn_drop_new(ctx, op, p, &s.drop)) return nn_poison(ctx);
    int64_t m = s.x->shape[0], n = s.w->shape[0];
    bool tracked = nn_tracks(ctx, s.x) || nn_tracks(ctx, s.w) || nn_tracks(ctx, s.b);
    nn_tensor *y = nn_new2(ctx, s.x->dtype, m, n);
    if (tracked && (s.act != NN_ACT_NONE || s.drop.p > 0))
        s.slope = nn_pool_alloc(ctx, m * n, nn_dtype_size(s.x->dtype));
    if (nn_failed(ctx)) return nn_poison(ctx);
    nn_linear_forward(ctx, &s, y);
    linear_saved *saved = tracked ? nn_host_alloc(ctx, 1, sizeof *saved) : NULL;
    if (saved) {
        *saved = (linear_saved){s, y};
        nn_record(ctx, y, linear_backward, saved);
    }
    return nn_failed(ctx) ? nn_poison(ctx) : y;
}

nn_tensor *nn_linear(nn_ctx *ctx, nn_tensor *x, nn_tensor *w, nn_tensor *b, nn_act act)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    return run_linear(ctx, "nn_linear", (nn_linear_parts){.x = x, .w = w, .b = b, .act = act}, 0);
}

nn_tensor *nn_linear_dropout(nn_ctx *ctx, nn_tensor *x, nn_tensor *w, nn_tensor *b, nn_act act,
                             float p)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    return run_linear(ctx, "nn_linear_dropout",
                      (nn_linear_parts){.x = x, .w = w, .b = b, .act = act}, p);
}

/* ---- activation --------------------------------------------------------------------------------
 */

typedef struct unary_saved {
    nn_tensor *x, *y;
    nn_act act;
    nn_drop drop;
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

bool nn_drop_new(nn_ctx *ctx, const char *op, float p, nn_drop *out)
{
    *out = (nn_drop){.p = 0};
    if (!ctx->training || p == 0) return true;
    if (!(p > 0 && p < 1)) {
        nn_op_fail(ctx, op, "p must be in [0,1), got %g", p);
        return false;
    }
    *out = (nn_drop){.p = p, .site = ctx->dropouts++, .seed = ctx->seed, .state = ctx->state};
    return true;
}

static void run_dropout(nn_ctx *ctx, const unary_saved *s, const nn_tensor *from, nn_tensor *to)
{
    ctx->be->dropout(ctx->be, &(nn_map_args){.n = nn_count(from),
                                             .dtype = from->dtype,
                                             .a = from->data,
                                             .y = to->data,
                                             .seed = s->drop.seed,
                                             .site = s->drop.site,
                                             .p = s->drop.p,
                                             .state = s->drop.state});
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
    unary_saved now = {.x = x};
    if (nn_failed(ctx) || !ctx->training || p == 0) return x;
    if (!nn_drop_new(ctx, "nn_dropout", p, &now.drop)) return nn_poison(ctx);
    nn_tensor *y = now.y = nn_like(ctx, x);
    if (nn_failed(ctx)) return y;
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
