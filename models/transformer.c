/* models/transformer.c: see transformer.h. */
#include "models/transformer.h"

#include <stdio.h>

static const float layernorm_eps = 1e-5F;

typedef struct part {
    const char *name;
    int rows, columns; /* in widths; 0 columns: a vector; FF stands for the feed-forward width */
    model_init init;
} part;

#define FF 99

// clang-format off
static const part attention_parts[] = {
    {"in_proj_weight", 3, 1, MODEL_INIT_XAVIER}, {"in_proj_bias", 3, 0, MODEL_INIT_ZERO},
    {"out_proj.weight", 1, 1, MODEL_INIT_LINEAR}, {"out_proj.bias", 1, 0, MODEL_INIT_ZERO},
};
static const part feed_forward_parts[] = {
    {"linear1.weight", FF, 1, MODEL_INIT_LINEAR}, {"linear1.bias", FF, 0, MODEL_INIT_LINEAR},
    {"linear2.weight", 1, FF, MODEL_INIT_LINEAR}, {"linear2.bias", 1, 0, MODEL_INIT_LINEAR},
};
static const part norm_parts[] = {
    {"weight", 1, 0, MODEL_INIT_ONE}, {"bias", 1, 0, MODEL_INIT_ZERO},
};
// clang-format on
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* Visits the parameters of one layer; `seed` NULL declares them, else it initialises them. */
static me_code visit_parts(const model_stack *s, int layer, const char *group, const part *parts,
                           int n, const uint64_t *seed, me_err *err)
{
    for (int i = 0; i < n; i++) {
        char name[160], first[160];
        snprintf(name, sizeof name, "%slayers.%d.%s%s", s->prefix, layer, group, parts[i].name);
        snprintf(first, sizeof first, "%slayers.0.%s%s", s->prefix, group, parts[i].name);
        int64_t shape[] = {parts[i].rows == FF ? s->ff : parts[i].rows * s->width,
                           parts[i].columns == FF ? s->ff : parts[i].columns * s->width};
        /* linear1's bias counts the inputs of linear1, linear2's those of linear2. */
        double fan_in = (double)(parts[i].rows == FF ? s->width : s->ff);
        me_code code =
            seed ? model_initialize(s->params, name, parts[i].init, fan_in, *seed, first, err)
                 : nn_params_add(s->params, name, parts[i].columns ? 2 : 1, shape, err);
        if (code != ME_OK) return code;
    }
    return ME_OK;
}

static me_code visit(const model_stack *s, bool decoder, const uint64_t *seed, me_err *err)
{
    static const char *const norms[] = {"norm1.", "norm2.", "norm3."};
    me_code code = ME_OK;
    for (int l = 0; l < s->layers && code == ME_OK; l++) {
        code = visit_parts(s, l, "self_attn.", attention_parts, COUNT(attention_parts), seed, err);
        if (code == ME_OK && decoder)
            code = visit_parts(s, l, "multihead_attn.", attention_parts, COUNT(attention_parts),
                               seed, err);
        if (code == ME_OK)
            code = visit_parts(s, l, "", feed_forward_parts, COUNT(feed_forward_parts), seed, err);
        for (int i = 0; i < (decoder ? 3 : 2) && code == ME_OK; i++)
            code = visit_parts(s, l, norms[i], norm_parts, COUNT(norm_parts), seed, err);
    }
    return code;
}

me_code model_encoder_declare(const model_stack *s, me_err *err)
{
    return visit(s, false, NULL, err);
}
me_code model_decoder_declare(const model_stack *s, me_err *err)
{
    return visit(s, true, NULL, err);
}
me_code model_encoder_initialize(const model_stack *s, uint64_t seed, me_err *err)
{
    return visit(s, false, &seed, err);
}
me_code model_decoder_initialize(const model_stack *s, uint64_t seed, me_err *err)
{
    return visit(s, true, &seed, err);
}

/* ---- forward
 * ------------------------------------------------------------------------------------------ */

static nn_tensor *weight(nn_ctx *ctx, const model_stack *s, int layer, const char *name)
{
    char full[160];
    snprintf(full, sizeof full, "%slayers.%d.%s", s->prefix, layer, name);
    return nn_param_get(ctx, s->params, full);
}

/* A norm's weight or bias. */
static nn_tensor *of_norm(nn_ctx *ctx, const model_stack *s, int layer, int which, const char *name)
{
    char full[160];
    snprintf(full, sizeof full, "%slayers.%d.norm%d.%s", s->prefix, layer, which, name);
    return nn_param_f32(ctx, s->params, full);
}

/* LN(x + drop(h w^T + b)) with the product's and the norm's parameters of this layer. */
static nn_tensor *product_and_norm(nn_ctx *ctx, const model_stack *s, int l, nn_tensor *h,
                                   const char *w, const char *b, int which, nn_tensor *x)
{
    return nn_linear_layernorm(ctx, h, weight(ctx, s, l, w), weight(ctx, s, l, b), s->dropout, x,
                               of_norm(ctx, s, l, which, "weight"),
                               of_norm(ctx, s, l, which, "bias"), layernorm_eps);
}

/* LN(x + drop(linear2(drop(act(linear1(x)))))), norm number `which`. */
static nn_tensor *feed_forward(nn_ctx *ctx, const model_stack *s, int l, int which, nn_tensor *x)
{
    nn_tensor *h = nn_linear_dropout(ctx, x, weight(ctx, s, l, "linear1.weight"),
                                     weight(ctx, s, l, "linear1.bias"), s->act, s->dropout);
    return product_and_norm(ctx, s, l, h, "linear2.weight", "linear2.bias", which, x);
}

static nn_tensor *self_attention(nn_ctx *ctx, const model_stack *s, int l, nn_tensor *x,
                                 const nn_packing *seq, const nn_tensor *key_mask)
{
    nn_tensor *h = nn_linear(ctx, x, weight(ctx, s, l, "self_attn.in_proj_weight"),
                             weight(ctx, s, l, "self_attn.in_proj_bias"), NN_ACT_NONE);
    h = nn_self_attention(ctx, h, s->heads, seq, key_mask, false, s->dropout);
    return product_and_norm(ctx, s, l, h, "self_attn.out_proj.weight", "self_attn.out_proj.bias", 1,
                            x);
}

nn_tensor *model_encoder_forward(nn_ctx *ctx, const model_stack *s, nn_tensor *x,
                                 const nn_packing *seq, const nn_tensor *key_mask)
{
    for (int l = 0; l < s->layers; l++)
        x = feed_forward(ctx, s, l, 2, self_attention(ctx, s, l, x, seq, key_mask));
    return x;
}

nn_tensor *model_encoder_forward_rows(nn_ctx *ctx, const model_stack *s, nn_tensor *x,
                                      const nn_packing *seq, nn_index *heads_of,
                                      const nn_packing *sq)
{
    model_stack all_but_last = *s;
    all_but_last.layers = s->layers - 1;
    x = model_encoder_forward(ctx, &all_but_last, x, seq, NULL);
    int l = s->layers - 1;
    int64_t d = s->width;
    nn_tensor *w = weight(ctx, s, l, "self_attn.in_proj_weight"),
              *b = weight(ctx, s, l, "self_attn.in_proj_bias");
    nn_tensor *rows = nn_gather(ctx, x, heads_of);
    nn_tensor *q = nn_linear(ctx, rows, nn_rows(ctx, w, 0, d), nn_rows(ctx, b, 0, d), NN_ACT_NONE);
    nn_tensor *kv =
        nn_linear(ctx, x, nn_rows(ctx, w, d, 3 * d), nn_rows(ctx, b, d, 3 * d), NN_ACT_NONE);
    nn_tensor *h = nn_cross_attention(ctx, q, kv, s->heads, sq, seq, s->dropout);
    h = product_and_norm(ctx, s, l, h, "self_attn.out_proj.weight", "self_attn.out_proj.bias", 1,
                         rows);
    return feed_forward(ctx, s, l, 2, h);
}

nn_tensor *model_decoder_begin(nn_ctx *ctx, const model_stack *s, nn_tensor *x,
                               const nn_packing *seq)
{
    return s->layers > 0 ? self_attention(ctx, s, 0, x, seq, NULL) : x;
}

nn_tensor *model_decoder_forward(nn_ctx *ctx, const model_stack *s, nn_tensor *x,
                                 const nn_packing *seq, nn_tensor *memory, nn_index *segment)
{
    int64_t d = s->width;
    for (int l = 0; l < s->layers; l++) {
        nn_split(ctx);
        if (l > 0) x = self_attention(ctx, s, l, x, seq, NULL);
        nn_beside(ctx);
        nn_tensor *w = weight(ctx, s, l, "multihead_attn.in_proj_weight");
        nn_tensor *b = weight(ctx, s, l, "multihead_attn.in_proj_bias");
        nn_tensor *v = nn_linear(ctx, memory, nn_rows(ctx, w, 2 * d, 3 * d),
                                 nn_rows(ctx, b, 2 * d, 3 * d), NN_ACT_NONE);
        v = nn_linear(ctx, v, weight(ctx, s, l, "multihead_attn.out_proj.weight"),
                      weight(ctx, s, l, "multihead_attn.out_proj.bias"), NN_ACT_NONE);
        v = nn_gather(ctx, v, segment);
        nn_join(ctx);
        x = nn_dropout_layernorm(ctx, x, v, s->dropout, of_norm(ctx, s, l, 2, "weight"),
                                 of_norm(ctx, s, l, 2, "bias"), layernorm_eps);
        x = feed_forward(ctx, s, l, 3, x);
    }
    return x;
}
