/* nn/ops_attention.c: softmax attention within each sequence of a packed batch. Both operations end
 * in the same slot; they differ in where rows of q, k and v lie.
 */
#include "nn/nn_priv.h"

typedef struct attention_saved {
    nn_tensor *q, *kv, *y; /* self-attention: q == kv == qkv */
    nn_attention_args args;
} attention_saved;

/* Offsets of q, k and v in a row, in elements, follow from whether they share one tensor. */
static void place(nn_attention_args *args, const nn_tensor *q, const nn_tensor *kv)
{
    int64_t d = (int64_t)args->heads * args->head_dim;
    bool joined = q == kv;
    args->q = q->data;
    args->k = nn_at(kv, joined ? d : 0);
    args->v = nn_at(kv, joined ? 2 * d : d);
    args->q_stride = q->shape[1];
    args->kv_stride = kv->shape[1];
}

/* Of the two products forward; backward has four more. */
static double forward_flops(const nn_attention_args *args)
{
    double pairs = 0;
    for (int64_t i = 0; i < args->sequences; i++) {
        double q = args->host_offsets_q[i + 1] - args->host_offsets_q[i];
        double k = args->host_offsets_k[i + 1] - args->host_offsets_k[i];
        pairs += args->causal ? q * (q + 1) / 2 : q * k;
    }
    return 4 * pairs * args->heads * args->head_dim;
}

static void attention_backward(nn_ctx *ctx, void *saved)
{
    attention_saved *s = saved;
    nn_attention_args args = s->args;
    bool joined = s->q == s->kv;
    int64_t d = s->y->shape[1];
    nn_tensor *dq = nn_grad_begin(ctx, s->q);
    nn_tensor *dkv = joined ? dq : nn_grad_begin(ctx, s->kv);
    args.delta = nn_pool_alloc(ctx, args.heads * args.tokens_q, sizeof *args.delta);
    if (nn_failed(ctx)) return;
    args.dout = s->y->grad->data;
    args.dq = dq->data;
    args.dk = nn_at(dkv, joined ? d : 0);
    args.dv = nn_at(dkv, joined ? 2 * d : d);
    ctx->be->attention_bwd(ctx->be, &args);
    ctx->flops += 2 * forward_flops(&args);
    if (!joined && nn_tracks(ctx, s->kv)) nn_grad_end(ctx, s->kv, dkv);
    if (nn_tracks(ctx, s->q)) nn_grad_end(ctx, s->q, dq);
}

static nn_tensor *attend(nn_ctx *ctx, nn_tensor *q, nn_tensor *kv, int64_t d, int heads,
                         const nn_packing *sq, const nn_packing *sk, const nn_tensor *key_mask,
                         bool causal, float dropout)
{
    nn_tensor *y = nn_new2(ctx, q->dtype, sq->tokens, d);
    bool tracked = nn_tracks(ctx, q) || nn_tracks(ctx, kv);
    float *lse = tracked ? nn_pool_alloc(ctx, heads * sq->tokens, sizeof *lse) : NULL;
    if (nn_failed(ctx)) return nn_poison(ctx);
    int head_dim = (int)(d / heads);
    nn_attention_args args = {.sequences = sq->n,
                              .tokens_q = sq->tokens,
                              .tokens_k = sk->tokens,
                              .longest_q = sq->longest,
                              .longest_k = sk->longest,
                              .offsets_q = sq->offsets_device,
                              .offsets_k = sk->offsets_device,
                              .host_offsets_q = sq->offsets,
                              .host_offsets_k = sk->offsets,
                              .heads = heads,
                              .head_dim = head_dim,
                              .dtype = q->dtype,
                              .precision = ctx->precision,
                              .key_mask = key_mask ? key_mask->data : NULL,
                              .causal = causal,
                              .scale = 1.0f / __builtin_sqrtf((float)head_dim),
                              .out = y->data,
                              .lse = lse};
    place(&args, q, kv);
    if (ctx->training && dropout > 0) {
        args.dropout = dropout;
        args.seed = ctx->seed;
        args.state = ctx->state;
        args.site = ctx->dropouts++;
    }
    ctx->be->attention_fwd(ctx->be, &args);
    ctx->flops += forward_flops(&args);
    attention_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (attention_saved){q, kv, y, args};
        nn_record(ctx, y, attention_backward, s);
    }
    return y;
}

static bool fits_heads(int64_t d, int heads)
{
    return heads > 0 && d > 0 && d % heads == 0;
}

nn_tensor *nn_self_attention(nn_ctx *ctx, nn_tensor *qkv, int heads, const nn_packing *seq,
                             const nn_tensor *key_mask, bool causal, float dropout)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (qkv->ndim != 2 || qkv->dtype == NN_I32 || qkv->shape[0] != seq->tokens ||
        qkv->shape[1] % 3 || !fits_heads(qkv->shape[1] / 3, heads)) {
        return nn_op_fail(ctx, "nn_self_attention",
                          "qkv %s does not fit %d heads and a packing of %lld rows",
                          nn_shape(qkv).s, heads, (long long)seq->tokens);
    }
    if (key_mask && (key_mask->dtype != NN_I32 || nn_count(key_mask) != seq->tokens)) {
        return nn_op_fail(ctx, "nn_self_attention", "%lld rows want an i32 mask of as many, got %s",
                          (long long)seq->tokens, nn_shape(key_mask).s);
    }
    if (!(dropout >= 0 && dropout < 1))
        return nn_op_fail(ctx, "nn_self_attention", "dropout must be in [0,1), got %g", dropout);
    return attend(ctx, qkv, qkv, qkv->shape[1] / 3, heads, seq, seq, key_mask, causal, dropout);
}

nn_tensor *nn_cross_attention(nn_ctx *ctx, nn_tensor *q, nn_tensor *kv, int heads,
                              const nn_packing *sq, const nn_packing *sk, float dropout)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (q->ndim != 2 || kv->ndim != 2 || q->dtype != kv->dtype || q->dtype == NN_I32 ||
        kv->shape[1] != 2 * q->shape[1] || q->shape[0] != sq->tokens ||
        kv->shape[0] != sk->tokens || sq->n != sk->n || !fits_heads(q->shape[1], heads)) {
        return nn_op_fail(
            ctx, "nn_cross_attention",
            "q %s, kv %s, %d heads and packings of %lld x %lld and %lld x %lld rows do "
            "not fit",
            nn_shape(q).s, nn_shape(kv).s, heads, (long long)sq->n, (long long)sq->tokens,
            (long long)sk->n, (long long)sk->tokens);
    }
    if (!(dropout >= 0 && dropout < 1))
        return nn_op_fail(ctx, "nn_cross_attention", "dropout must be in [0,1), got %g", dropout);
    return attend(ctx, q, kv, q->shape[1], heads, sq, sk, NULL, false, dropout);
}
