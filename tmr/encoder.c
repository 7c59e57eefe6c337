/* tmr/encoder.c: declaration of the encoder's parameters and its forward pass (spec evaluation 2.5,
 * 4). */
#include "tmr/encoder.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nn/backend.h"

static const float layernorm_eps = 1e-5f; /* PyTorch's default, which the reference keeps */

tmr_config tmr_config_default(void)
{
    return (tmr_config){.features = MOTION_POSE, .width = 256, .ff = 1024, .heads = 4, .layers = 6};
}

static me_code add_matrix(nn_params *p, const char *name, int64_t rows, int64_t columns,
                          me_err *err)
{
    return nn_params_add(p, name, 2, (int64_t[]){rows, columns}, err);
}

static me_code add_vector(nn_params *p, const char *name, int64_t n, me_err *err)
{
    return nn_params_add(p, name, 1, &n, err);
}

/* In the order of the reference's state dictionary. */
static me_code add_layer(nn_params *p, const tmr_config *c, int layer, me_err *err)
{
    const struct {
        const char *name;
        int64_t rows, columns; /* columns 0: a vector */
    } tensors[] = {
        {"self_attn.in_proj_weight", 3 * c->width, c->width},
        {"self_attn.in_proj_bias", 3 * c->width, 0},
        {"self_attn.out_proj.weight", c->width, c->width},
        {"self_attn.out_proj.bias", c->width, 0},
        {"linear1.weight", c->ff, c->width},
        {"linear1.bias", c->ff, 0},
        {"linear2.weight", c->width, c->ff},
        {"linear2.bias", c->width, 0},
        {"norm1.weight", c->width, 0},
        {"norm1.bias", c->width, 0},
        {"norm2.weight", c->width, 0},
        {"norm2.bias", c->width, 0},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char name[96];
        snprintf(name, sizeof name, "seqTransEncoder.layers.%d.%s", layer, tensors[i].name);
        me_code code = tensors[i].columns
                           ? add_matrix(p, name, tensors[i].rows, tensors[i].columns, err)
                           : add_vector(p, name, tensors[i].rows, err);
        if (code) return code;
    }
    return ME_OK;
}

static me_code declare(nn_params *p, const tmr_config *c, me_err *err)
{
    me_code code = add_matrix(p, "tokens", TMR_TOKENS, c->width, err);
    if (!code) code = add_matrix(p, "projection.weight", c->width, c->features, err);
    if (!code) code = add_vector(p, "projection.bias", c->width, err);
    for (int l = 0; l < c->layers && !code; l++) code = add_layer(p, c, l, err);
    return code;
}

me_code tmr_encoder_init(tmr_encoder *out, const tmr_config *config, nn_backend *be, me_err *err)
{
    assert(config->layers > 0 && config->heads > 0 && config->width % config->heads == 0);
    *out = (tmr_encoder){.config = *config};
    me_arena_init(&out->arena);
    nn_params_init(&out->params);
    out->mean = ME_NEW_ARRAY(&out->arena, config->features, float);
    out->std = ME_NEW_ARRAY(&out->arena, config->features, float);
    me_code code = out->mean && out->std ? ME_OK : me_fail_mem(err, "the motion encoder");
    if (!code) code = declare(&out->params, config, err);
    if (!code) code = nn_params_alloc(&out->params, be, err);
    if (code) tmr_encoder_close(out);
    return code;
}

void tmr_encoder_close(tmr_encoder *e)
{
    nn_params_close(&e->params);
    me_arena_release(&e->arena);
    *e = (tmr_encoder){0};
}

void tmr_positions(float *out, int64_t rows, int64_t width)
{
    /* The reference builds the table in float32: frequency, then angle, then sine and cosine, each
     * rounded. A table in double differs by up to 3e-4 at late positions. */
    const float step = (float)(-log(10000.0) / (double)width);
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < rows; n++) {
        for (int64_t i = 0; i < width; i += 2) {
            float w = (float)exp((double)((float)i * step));
            float angle = (float)n * w;
            out[n * width + i] = (float)sin((double)angle);
            if (i + 1 < width) out[n * width + i + 1] = (float)cos((double)angle);
        }
    }
}

nn_tensor *tmr_positions_new(nn_ctx *ctx, int64_t rows, int64_t width)
{
    float *host = malloc((size_t)rows * (size_t)width * sizeof *host);
    if (!host) {
        me_fail_mem(&ctx->err, "the position table");
        return nn_new2(ctx, NN_F32, rows, width);
    }
    tmr_positions(host, rows, width);
    nn_tensor *table = nn_from_host(ctx, host, rows, width);
    free(host);
    return table;
}

/* Where each row of the packed batch comes from: in the stack [tokens ; frames], and in the table
 * of positions; and the row of each sequence's mu token. */
typedef struct layout {
    nn_packing *all;     /* L + 2 rows a sequence */
    nn_packing *classes; /* one row a sequence */
    nn_index *source, *position, *mu;
} layout;

static bool make_layout(layout *out, nn_ctx *ctx, const int32_t *lengths, int64_t n, int64_t frames,
                        int64_t positions)
{
    int64_t rows = frames + TMR_TOKENS * n;
    int32_t *host = malloc((size_t)(2 * rows + 3 * n + 1) * sizeof *host);
    if (!host) {
        me_fail_mem(&ctx->err, "a batch's layout");
        return false;
    }
    int32_t *source = host, *position = source + rows, *length = position + rows, *one = length + n,
            *mu = one + n;
    int32_t row = 0, frame = 0;
    for (int64_t i = 0; i < n; i++) {
        assert(lengths[i] > 0 && lengths[i] + TMR_TOKENS <= positions);
        mu[i] = row;
        one[i] = 1;
        length[i] = lengths[i] + TMR_TOKENS;
        for (int32_t t = 0; t < length[i]; t++, row++) {
            source[row] = t < TMR_TOKENS ? t : TMR_TOKENS + frame++;
            position[row] = t;
        }
    }
    assert(frame == frames && row == rows);
    out->all = nn_packing_new(ctx, length, n);
    out->classes = nn_packing_new(ctx, one, n);
    out->source = nn_index_new(ctx, source, rows, frames + TMR_TOKENS);
    out->position = nn_index_new(ctx, position, rows, positions);
    out->mu = nn_index_new(ctx, mu, n, rows);
    free(host);
    return ctx->err.code == ME_OK;
}

typedef struct layer_params {
    nn_tensor *in_weight, *in_bias, *out_weight, *out_bias;
    nn_tensor *up_weight, *up_bias, *down_weight, *down_bias;
    nn_tensor *norm1_weight, *norm1_bias, *norm2_weight, *norm2_bias;
} layer_params;

static nn_tensor *layer_tensor(nn_ctx *ctx, nn_params *p, int layer, const char *name, bool f32)
{
    char full[96];
    snprintf(full, sizeof full, "seqTransEncoder.layers.%d.%s", layer, name);
    return f32 ? nn_param_f32(ctx, p, full) : nn_param_get(ctx, p, full);
}

static layer_params find_layer(nn_ctx *ctx, nn_params *p, int l)
{
    return (layer_params){
        .in_weight = layer_tensor(ctx, p, l, "self_attn.in_proj_weight", false),
        .in_bias = layer_tensor(ctx, p, l, "self_attn.in_proj_bias", false),
        .out_weight = layer_tensor(ctx, p, l, "self_attn.out_proj.weight", false),
        .out_bias = layer_tensor(ctx, p, l, "self_attn.out_proj.bias", false),
        .up_weight = layer_tensor(ctx, p, l, "linear1.weight", false),
        .up_bias = layer_tensor(ctx, p, l, "linear1.bias", false),
        .down_weight = layer_tensor(ctx, p, l, "linear2.weight", false),
        .down_bias = layer_tensor(ctx, p, l, "linear2.bias", false),
        .norm1_weight = layer_tensor(ctx, p, l, "norm1.weight", true),
        .norm1_bias = layer_tensor(ctx, p, l, "norm1.bias", true),
        .norm2_weight = layer_tensor(ctx, p, l, "norm2.weight", true),
        .norm2_bias = layer_tensor(ctx, p, l, "norm2.bias", true),
    };
}

/* What follows the attention weights, row by row: output projection, norm, feed-forward, norm. The
 * result goes to `out` where that is not NULL. */
static nn_tensor *after_attention(nn_ctx *ctx, const layer_params *p, nn_tensor *h,
                                  nn_tensor *heads, nn_act act, nn_tensor *out)
{
    h = nn_linear_layernorm(ctx, heads, p->out_weight, p->out_bias, 0, h, p->norm1_weight,
                            p->norm1_bias, layernorm_eps);
    nn_tensor *f = nn_linear(ctx, h, p->up_weight, p->up_bias, act);
    if (!out)
        return nn_linear_layernorm(ctx, f, p->down_weight, p->down_bias, 0, h, p->norm2_weight,
                                   p->norm2_bias, layernorm_eps);
    nn_linear_layernorm_into(ctx, out, f, p->down_weight, p->down_bias, h, p->norm2_weight,
                             p->norm2_bias, layernorm_eps);
    return out;
}

static nn_tensor *full_layer(nn_ctx *ctx, const tmr_config *c, const layer_params *p, nn_tensor *h,
                             const layout *at, nn_act act, nn_tensor *out)
{
    nn_tensor *qkv = nn_linear(ctx, h, p->in_weight, p->in_bias, NN_ACT_NONE);
    nn_tensor *heads = nn_self_attention(ctx, qkv, c->heads, at->all, NULL, false, 0.0f);
    return after_attention(ctx, p, h, heads, act, out);
}

/* Only the mu rows go on, so all rows give keys and values but only these ask. */
static nn_tensor *last_layer(nn_ctx *ctx, const tmr_config *c, const layer_params *p, nn_tensor *h,
                             const layout *at, nn_act act, nn_tensor *out)
{
    const int64_t d = c->width;
    nn_tensor *mu = nn_gather(ctx, h, at->mu);
    nn_tensor *q = nn_linear(ctx, mu, nn_rows(ctx, p->in_weight, 0, d),
                             nn_rows(ctx, p->in_bias, 0, d), NN_ACT_NONE);
    nn_tensor *kv = nn_linear(ctx, h, nn_rows(ctx, p->in_weight, d, 3 * d),
                              nn_rows(ctx, p->in_bias, d, 3 * d), NN_ACT_NONE);
    nn_tensor *heads = nn_cross_attention(ctx, q, kv, c->heads, at->classes, at->all, 0.0f);
    return after_attention(ctx, p, mu, heads, act, out);
}

/* [tokens ; projected frames] in the order of the batch, with positions. */
static nn_tensor *embed_rows(nn_ctx *ctx, tmr_encoder *e, nn_tensor *features, const layout *at,
                             nn_tensor *positions, nn_tensor *out)
{
    nn_tensor *x = nn_cast(ctx, features, nn_activation_dtype(ctx));
    nn_tensor *projected = nn_linear(ctx, x, nn_param_get(ctx, &e->params, "projection.weight"),
                                     nn_param_get(ctx, &e->params, "projection.bias"), NN_ACT_NONE);
    nn_tensor *stack[] = {nn_param_get(ctx, &e->params, "tokens"), projected};
    if (!out) return nn_assemble(ctx, stack, 2, at->source, positions, at->position);
    nn_assemble_into(ctx, out, stack, 2, at->source, positions, at->position);
    return out;
}

nn_tensor *tmr_encode(nn_ctx *ctx, tmr_encoder *e, nn_tensor *features, const int32_t *lengths,
                      int64_t n, nn_tensor *positions, tmr_gelu gelu)
{
    const tmr_config *c = &e->config;
    const nn_act act = gelu == TMR_GELU_ERF ? NN_ACT_GELU_ERF : NN_ACT_GELU_TANH;
    const nn_dtype dtype = nn_activation_dtype(ctx);
    const int64_t frames = features->shape[0];
    layout at;
    if (!make_layout(&at, ctx, lengths, n, frames, positions->shape[0]))
        return nn_new2(ctx, dtype, n, c->width);

    /* Inference keeps one (rows, width) tensor, which each layer reads and then writes, and
     * releases each layer's scratch; with a tape all of it is needed for the way back. */
    const bool scoped = !ctx->tape;
    nn_tensor *h = scoped ? nn_new2(ctx, dtype, frames + TMR_TOKENS * n, c->width) : NULL;
    nn_tensor *mu = scoped ? nn_new2(ctx, dtype, n, c->width) : NULL;
    nn_mark_state mark = nn_mark(ctx);
    nn_tensor *y = embed_rows(ctx, e, features, &at, positions, h);
    for (int l = 0; l < c->layers; l++) {
        layer_params p = find_layer(ctx, &e->params, l);
        if (scoped) nn_rewind(ctx, mark);
        y = l + 1 == c->layers ? last_layer(ctx, c, &p, y, &at, act, mu)
                               : full_layer(ctx, c, &p, y, &at, act, h);
    }
    if (scoped) nn_rewind(ctx, mark);
    return y;
}
