/* nn/ops_loss.c: losses, each a (1,1) f32 tensor. One slot computes them all (nn_loss_args), so one
 * record and one backward serve them all too.
 */
#include "nn/nn_priv.h"

typedef struct loss_saved {
    nn_loss_args args;
    nn_tensor *in[4]; /* a, b, c, e of the arguments; NULL where there is none */
    nn_tensor *y;
} loss_saved;

static void loss_backward(nn_ctx *ctx, void *saved)
{
    loss_saved *s = saved;
    nn_loss_args args = s->args;
    void **gradient[4] = {&args.da, &args.db, &args.dc, &args.de};
    for (int i = 0; i < 4; i++) {
        if (nn_tracks(ctx, s->in[i])) *gradient[i] = nn_grad_sum(ctx, s->in[i])->data;
    }
    if (nn_failed(ctx)) return;
    args.upstream = s->y->grad->data;
    ctx->be->loss_bwd(ctx->be, &args);
}

static const void *data_of(const nn_tensor *t)
{
    return t ? t->data : NULL;
}

/* Fills in the tensors and runs. */
static nn_tensor *run_loss(nn_ctx *ctx, nn_loss_args args, nn_tensor *a, nn_tensor *b, nn_tensor *c,
                           nn_tensor *e)
{
    nn_tensor *y = nn_new2(ctx, NN_F32, 1, 1);
    args.m = a->shape[0];
    args.d = a->shape[1];
    args.dtype = a->dtype;
    args.a = data_of(a);
    args.b = data_of(b);
    args.c = data_of(c);
    args.e = data_of(e);
    args.value = y->data;
    size_t floats = nn_failed(ctx) ? 0 : ctx->be->loss_scratch(ctx->be, &args);
    if (floats) args.scratch = nn_pool_alloc(ctx, (int64_t)floats, sizeof(float));
    if (nn_failed(ctx)) return nn_poison(ctx);
    ctx->be->loss_fwd(ctx->be, &args);
    bool tracked = nn_tracks(ctx, a) || nn_tracks(ctx, b) || nn_tracks(ctx, c) || nn_tracks(ctx, e);
    loss_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (loss_saved){args, {a, b, c, e}, y};
        nn_record(ctx, y, loss_backward, s);
    }
    return y;
}

static bool alike(const nn_tensor *a, const nn_tensor *b)
{
    return a->ndim == 2 && nn_same_shape(a, b) && a->dtype == b->dtype && a->dtype != NN_I32;
}

static nn_tensor *difference(nn_ctx *ctx, const char *op, nn_loss_kind kind, nn_tensor *a,
                             nn_tensor *b, const nn_tensor *row_weight, double denominator)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!alike(a, b)) return nn_op_fail(ctx, op, "%s and %s differ", nn_shape(a).s, nn_shape(b).s);
    if (row_weight && (row_weight->dtype != NN_F32 || !nn_is_vector(row_weight, a->shape[0]))) {
        return nn_op_fail(ctx, op, "%lld rows want as many f32 weights, got %s",
                          (long long)a->shape[0], nn_shape(row_weight).s);
    }
    if (!(denominator > 0)) return nn_op_fail(ctx, op, "denominator %g", denominator);
    return run_loss(
        ctx,
        (nn_loss_args){.kind = kind, .row_weight = data_of(row_weight), .denominator = denominator},
        a, b, NULL, NULL);
}

nn_tensor *nn_mse(nn_ctx *ctx, nn_tensor *a, nn_tensor *b, const nn_tensor *row_weight,
                  double denominator)
{
    return difference(ctx, "nn_mse", NN_LOSS_MSE, a, b, row_weight, denominator);
}

nn_tensor *nn_smooth_l1(nn_ctx *ctx, nn_tensor *a, nn_tensor *b, const nn_tensor *row_weight,
                        double denominator)
{
    return difference(ctx, "nn_smooth_l1", NN_LOSS_SMOOTH_L1, a, b, row_weight, denominator);
}

nn_tensor *nn_cross_entropy(nn_ctx *ctx, nn_tensor *logits, const nn_tensor *labels,
                            const nn_tensor *class_weight)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (logits->ndim != 2 || logits->dtype == NN_I32 || labels->dtype != NN_I32 ||
        !nn_is_vector(labels, logits->shape[0]) ||
        (class_weight &&
         (class_weight->dtype != NN_F32 || !nn_is_vector(class_weight, logits->shape[1])))) {
        return nn_op_fail(ctx, "nn_cross_entropy",
                          "logits %s, labels %s and class weights %s do not fit",
                          nn_shape(logits).s, nn_shape(labels).s, nn_shape(class_weight).s);
    }
    return run_loss(ctx,
                    (nn_loss_args){.kind = NN_LOSS_CROSS_ENTROPY,
                                   .labels = labels->data,
                                   .row_weight = data_of(class_weight)},
                    logits, NULL, NULL, NULL);
}

nn_tensor *nn_info_nce(nn_ctx *ctx, nn_tensor *scores, const nn_tensor *hidden)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (scores->ndim != 2 || scores->dtype == NN_I32 || scores->shape[0] != scores->shape[1] ||
        (hidden && (hidden->dtype != NN_I32 || !nn_same_shape(scores, hidden)))) {
        return nn_op_fail(ctx, "nn_info_nce", "scores %s (want a square) and hidden %s do not fit",
                          nn_shape(scores).s, nn_shape(hidden).s);
    }
    return run_loss(ctx, (nn_loss_args){.kind = NN_LOSS_INFO_NCE, .labels = data_of(hidden)},
                    scores, NULL, NULL, NULL);
}

nn_tensor *nn_kl(nn_ctx *ctx, nn_tensor *mu1, nn_tensor *lv1, nn_tensor *mu2, nn_tensor *lv2)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!alike(mu1, lv1) || !mu2 != !lv2 || (mu2 && (!alike(mu1, mu2) || !alike(mu1, lv2)))) {
        return nn_op_fail(ctx, "nn_kl", "%s %s and %s %s do not fit", nn_shape(mu1).s,
                          nn_shape(lv1).s, nn_shape(mu2).s, nn_shape(lv2).s);
    }
    return run_loss(ctx, (nn_loss_args){.kind = NN_LOSS_KL}, mu1, lv1, mu2, lv2);
}

static nn_tensor *triplet(nn_ctx *ctx, nn_tensor *anchor, nn_tensor *positive, nn_tensor *negative,
                          float margin, bool squared)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!alike(anchor, positive) || !alike(anchor, negative)) {
        return nn_op_fail(ctx, "nn_triplet", "%s, %s and %s differ", nn_shape(anchor).s,
                          nn_shape(positive).s, nn_shape(negative).s);
    }
    return run_loss(ctx,
                    (nn_loss_args){.kind = NN_LOSS_TRIPLET, .margin = margin, .squared = squared},
                    anchor, positive, negative, NULL);
}

nn_tensor *nn_triplet(nn_ctx *ctx, nn_tensor *anchor, nn_tensor *positive, nn_tensor *negative,
                      float margin)
{
    return triplet(ctx, anchor, positive, negative, margin, false);
}

nn_tensor *nn_triplet_squared(nn_ctx *ctx, nn_tensor *anchor, nn_tensor *positive,
                              nn_tensor *negative, float margin)
{
    return triplet(ctx, anchor, positive, negative, margin, true);
}

nn_tensor *nn_weighted_sum(nn_ctx *ctx, nn_tensor *const *losses, const float *weights, int n)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    nn_tensor *sum = NULL;
    for (int i = 0; i < n; i++) {
        if (!nn_is(losses[i], 1, 1) || losses[i]->dtype != NN_F32) {
            return nn_op_fail(ctx, "nn_weighted_sum", "loss %d is %s, want (1,1) f32", i,
                              nn_shape(losses[i]).s);
        }
        if (!i)
            sum = n == 1 ? nn_add(ctx, losses[0], losses[0], weights[0], 0) : losses[0];
        else
            sum = nn_add(ctx, sum, losses[i], i == 1 ? weights[0] : 1, weights[i]);
        if (nn_failed(ctx)) return sum;
    }
    return sum ? sum : nn_zeros2(ctx, NN_F32, 1, 1);
}
