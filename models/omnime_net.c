/* models/omnime_net.c: parameters, tables and forward pass of OmniME's network (omnime_net.h). The
 * layout of a batch is made in omnime_layout.c. */
#include "models/omnime_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/backend.h"

static const float dit_eps = 1e-6F;

/* ---- parameters
 * --------------------------------------------------------------------------------------- */

/* A dimension of a parameter: a number, or one of these. */
enum {
    DIM_NONE = 0,
    DIM_WIDTH = -1,
    DIM_FEATURES = -2,
    DIM_TEXT = -3,
    DIM_FF = -4,
    DIM_HEAD = -5,
    DIM_CLASSES = -6,
    DIM_EMBEDDING = -7,
    DIM_3 = -8,
    DIM_6 = -9
};

typedef struct part {
    const char *name; /* without .weight and .bias where `bias` says how that one starts */
    int rows, columns;
    model_init weight;
    int bias; /* NO_BIAS or a model_init */
    double scale;
} part;

#define NO_BIAS (-1)
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

// clang-format off
static const part sep_part[] = {
    {"sep_token", 1, DIM_WIDTH, MODEL_INIT_NORMAL, NO_BIAS, 1},
};
static const part projection_parts[] = {
    {"pose_proj_in_source", DIM_WIDTH, DIM_FEATURES, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"pose_proj_in_target", DIM_WIDTH, DIM_FEATURES, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"pose_proj_out", DIM_FEATURES, DIM_WIDTH, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
};
static const part inter_parts[] = {
    {"inter_proj_1", DIM_FEATURES, DIM_WIDTH, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"inter_proj_2", DIM_FEATURES, DIM_WIDTH, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"inter_proj_3", DIM_FEATURES, DIM_WIDTH, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
};
static const part embedder_parts[] = {
    {"emb_proj", DIM_WIDTH, DIM_TEXT, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"dit_encoder.t_embedder.mlp.0", DIM_WIDTH, MODEL_OMNIME_TAU, MODEL_INIT_NORMAL, MODEL_INIT_ZERO, 0.02},
    {"dit_encoder.t_embedder.mlp.2", DIM_WIDTH, DIM_WIDTH, MODEL_INIT_NORMAL, MODEL_INIT_ZERO, 0.02},
};
static const part block_parts[] = {
    {"attn.qkv", DIM_3, DIM_WIDTH, MODEL_INIT_XAVIER, MODEL_INIT_ZERO, 0},
    {"attn.proj", DIM_WIDTH, DIM_WIDTH, MODEL_INIT_XAVIER, MODEL_INIT_ZERO, 0},
    {"mlp.fc1", DIM_FF, DIM_WIDTH, MODEL_INIT_XAVIER, MODEL_INIT_ZERO, 0},
    {"mlp.fc2", DIM_WIDTH, DIM_FF, MODEL_INIT_XAVIER, MODEL_INIT_ZERO, 0},
    {"adaLN_modulation.1", DIM_6, DIM_WIDTH, MODEL_INIT_ZERO, MODEL_INIT_ZERO, 0},
};
static const part source_head_parts[] = {
    {"source_head.0", DIM_HEAD, DIM_WIDTH, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"source_head.2", DIM_HEAD, DIM_HEAD, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"source_head.4", DIM_CLASSES, DIM_HEAD, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
};
static const part target_head_parts[] = {
    {"target_head.0", DIM_HEAD, DIM_WIDTH, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"target_head.2", DIM_HEAD, DIM_HEAD, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
    {"target_head.4", DIM_EMBEDDING, DIM_HEAD, MODEL_INIT_LINEAR, MODEL_INIT_LINEAR, 0},
};
// clang-format on

static int64_t dim(const model_omnime_config *c, int d)
{
    switch (d) {
    case DIM_WIDTH:
        return c->width;
    case DIM_FEATURES:
        return c->features;
    case DIM_TEXT:
        return c->text_width;
    case DIM_FF:
        return c->ff;
    case DIM_HEAD:
        return c->head_width;
    case DIM_CLASSES:
        return c->classes;
    case DIM_EMBEDDING:
        return c->embedding;
    case DIM_3:
        return 3 * c->width;
    case DIM_6:
        return 6 * c->width;
    default:
        return d;
    }
}

/* Declares some parameters, or with a seed initialises them. */
static me_code visit(const model_omnime_net *net, nn_params *params, const char *prefix,
                     const part *parts, int n, const uint64_t *seed, me_err *err)
{
    me_code code = ME_OK;
    for (int i = 0; i < n && code == ME_OK; i++) {
        const part *p = &parts[i];
        char weight[128], bias[128];
        snprintf(weight, sizeof weight, "%s%s%s", prefix, p->name,
                 p->bias == NO_BIAS ? "" : ".weight");
        snprintf(bias, sizeof bias, "%s%s.bias", prefix, p->name);
        int64_t shape[] = {dim(&net->config, p->rows), dim(&net->config, p->columns)};
        code = seed ? model_initialize(params, weight, p->weight, p->scale, *seed, NULL, err)
                    : nn_params_add(params, weight, 2, shape, err);
        if (code != ME_OK || p->bias == NO_BIAS) continue;
        code = seed ? model_initialize(params, bias, (model_init)p->bias, (double)shape[1], *seed,
                                       NULL, err)
                    : nn_params_add(params, bias, 1, shape, err);
    }
    return code;
}

/* All trainable parameters in the reference's order (spec 4.5), then the frozen ones. */
static me_code visit_all(const model_omnime_net *net, const uint64_t *seed, me_err *err)
{
    nn_params *p = net->params, *f = net->frozen;
    me_code code = visit(net, p, "", sep_part, COUNT(sep_part), seed, err);
    if (code == ME_OK)
        code = visit(net, p, "", projection_parts, COUNT(projection_parts), seed, err);
    if (code == ME_OK && net->config.inter)
        code = visit(net, p, "", inter_parts, COUNT(inter_parts), seed, err);
    if (code == ME_OK) code = visit(net, p, "", embedder_parts, COUNT(embedder_parts), seed, err);
    for (int64_t b = 0; b < net->config.layers && code == ME_OK; b++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "dit_encoder.blocks.%lld.", (long long)b);
        code = visit(net, p, prefix, block_parts, COUNT(block_parts), seed, err);
    }
    if (code == ME_OK)
        code = seed ? model_encoder_initialize(&net->fusion, *seed, err)
                    : model_encoder_declare(&net->fusion, err);
    if (code == ME_OK)
        code = visit(net, p, "", source_head_parts, COUNT(source_head_parts), seed, err);
    if (code == ME_OK)
        code = visit(net, f, "", target_head_parts, COUNT(target_head_parts), seed, err);
    return code;
}

static me_code check_config(const model_omnime_config *c, me_err *err)
{
    if (c->heads < 1 || c->width % c->heads || c->width / c->heads > 128 || c->width % 2)
        return me_fail(err, ME_EUSAGE,
                       "width %lld: expected an even multiple of %lld heads, at most 128 columns "
                       "each",
                       (long long)c->width, (long long)c->heads);
    if (c->layers > MODEL_MOST_LAYERS || c->layers < 1)
        return me_fail(err, ME_EUSAGE, "%lld layers: expected 1 to %d", (long long)c->layers,
                       MODEL_MOST_LAYERS);
    if (c->inter && c->layers < MODEL_OMNIME_INTERS + 1)
        return me_fail(err, ME_EUSAGE, "%lld layers: the three heads on the way want at least %d",
                       (long long)c->layers, MODEL_OMNIME_INTERS + 1);
    return ME_OK;
}

me_code model_omnime_net_declare(model_omnime_net *net, nn_params *params, nn_params *frozen,
                                 const model_omnime_config *config, me_err *err)
{
    *net = (model_omnime_net){.config = *config, .params = params, .frozen = frozen};
    net->fusion = (model_stack){.params = params,
                                .prefix = "cond_encoder.",
                                .width = config->width,
                                .ff = config->ff,
                                .heads = (int)config->heads,
                                .layers = (int)config->fusion_layers,
                                .dropout = config->dropout,
                                .act = NN_ACT_GELU_ERF};
    me_code code = check_config(config, err);
    if (code == ME_OK) code = nn_params_add(frozen, "feat_comb_coeff", 1, (int64_t[]){1}, err);
    if (code == ME_OK)
        code = nn_params_add(frozen, "dit_encoder.pos_embed", 3,
                             (int64_t[]){1, MODEL_OMNIME_STORED, config->width}, err);
    return code == ME_OK ? visit_all(net, NULL, err) : code;
}

me_code model_omnime_net_initialize_frozen(const model_omnime_net *net, uint64_t seed, me_err *err)
{
    int64_t count = MODEL_OMNIME_STORED * net->config.width;
    float *table = malloc((size_t)count * sizeof *table);
    if (!table) return me_fail_mem(err, "positions");
    model_omnime_halves(table, MODEL_OMNIME_STORED, net->config.width);
    me_code code = nn_params_set(net->frozen, "dit_encoder.pos_embed", table, count, err);
    free(table);
    if (code == ME_OK)
        code = model_initialize(net->frozen, "feat_comb_coeff", MODEL_INIT_ONE, 1, seed, NULL, err);
    return code == ME_OK ? visit(net, net->frozen, "", target_head_parts, COUNT(target_head_parts),
                                 &seed, err)
                         : code;
}

me_code model_omnime_net_initialize(const model_omnime_net *net, uint64_t seed, me_err *err)
{
    me_code code = model_omnime_net_initialize_frozen(net, seed, err);
    return code == ME_OK ? visit_all(net, &seed, err) : code;
}

me_code model_omnime_net_load(const model_omnime_net *net, const me_value *state,
                              const char *prefix, me_err *err)
{
    me_code code = nn_params_load(net->params, state, prefix, false, err);
    for (int64_t i = 0; i < net->frozen->n && code == ME_OK; i++) {
        nn_param *q = &net->frozen->items[i];
        char name[192];
        snprintf(name, sizeof name, "%s%s", prefix, q->name);
        const me_value *v = me_dict_get(state, name);
        int64_t count = nn_count(&q->tensor);
        if (!v || v->kind != ME_ARRAY || me_array_count(&v->as.array) != count) continue;
        float *host = malloc((size_t)count * sizeof *host);
        code = host ? me_array_read_f32(&v->as.array, host, err) : me_fail_mem(err, name);
        if (code == ME_OK) code = nn_params_set(net->frozen, q->name, host, count, err);
        free(host);
    }
    return code;
}

/* ---- tables
 * ------------------------------------------------------------------------------------------- */

void model_omnime_interleaved(float *out, int64_t rows, int64_t width)
{
    for (int64_t k = 0; k < width / 2; k++) {
        float w = expf((float)(2 * k) * (float)(-log(10000.0) / (double)width));
        for (int64_t p = 0; p < rows; p++) {
            out[p * width + 2 * k] = sinf((float)p * w);
            out[p * width + 2 * k + 1] = cosf((float)p * w);
        }
    }
}

void model_omnime_halves(float *out, int64_t rows, int64_t width)
{
    int64_t half = width / 2;
    for (int64_t k = 0; k < half; k++) {
        const double w = pow(10000.0, -(double)k / (double)half);
        for (int64_t p = 0; p < rows; p++) {
            double angle = (double)p * w;
            out[p * width + k] = (float)sin(angle);
            out[p * width + half + k] = (float)cos(angle);
        }
    }
}

void model_omnime_timestep(float out[MODEL_OMNIME_TAU], int64_t t)
{
    int half = MODEL_OMNIME_TAU / 2;
    for (int i = 0; i < half; i++) {
        float f = expf((float)(-log(10000.0)) * (float)i / (float)half);
        out[i] = cosf((float)t * f);
        out[half + i] = sinf((float)t * f);
    }
}

static me_code to_device(nn_tensor *out, nn_backend *be, const float *host, int64_t rows,
                         int64_t columns, me_err *err)
{
    size_t bytes = (size_t)(rows * columns) * sizeof *host;
    void *device = out->data;
    me_code code = device ? ME_OK : be->alloc(be, bytes, &device, err);
    if (code != ME_OK) return code;
    be->upload(be, device, host, bytes);
    *out = (nn_tensor){.dtype = NN_F32, .ndim = 2, .shape = {rows, columns}, .data = device};
    return ME_OK;
}

me_code model_omnime_net_tables(model_omnime_net *net, me_err *err)
{
    int64_t width = net->config.width, steps = net->config.steps;
    int64_t rows = MODEL_OMNIME_POSITIONS;
    nn_backend *be = net->params->be;
    float *sum = malloc((size_t)(rows * width) * sizeof *sum);
    float *second = malloc((size_t)(rows * width) * sizeof *second);
    float *tau = malloc((size_t)(steps * MODEL_OMNIME_TAU) * sizeof *tau);
    me_code code = sum && second && tau ? ME_OK : me_fail_mem(err, "positions");
    /* The fusion reads the first table alone, the DiT the sum of both. */
    if (code == ME_OK) {
        model_omnime_interleaved(sum, rows, width);
        code = to_device(&net->fusion_positions, be, sum, rows, width, err);
    }
    if (code == ME_OK) {
        model_omnime_halves(second, rows, width);
        code = nn_params_read(net->frozen, "dit_encoder.pos_embed", second, err);
    }
    if (code == ME_OK) {
        for (int64_t i = 0; i < rows * width; i++) sum[i] += second[i];
        code = to_device(&net->positions, be, sum, rows, width, err);
    }
    if (code == ME_OK) {
        for (int64_t t = 0; t < steps; t++) model_omnime_timestep(tau + t * MODEL_OMNIME_TAU, t);
        code = to_device(&net->tau, be, tau, steps, MODEL_OMNIME_TAU, err);
    }
    free(sum);
    free(second);
    free(tau);
    return code;
}

void model_omnime_net_close(model_omnime_net *net)
{
    nn_tensor *tables[] = {&net->positions, &net->fusion_positions, &net->tau};
    for (int i = 0; i < COUNT(tables); i++) {
        if (tables[i]->data) net->params->be->release(net->params->be, tables[i]->data);
        tables[i]->data = NULL;
    }
}

/* ---- forward
 * ------------------------------------------------------------------------------------------ */

static nn_tensor *linear(nn_ctx *ctx, const model_omnime_net *net, const char *prefix,
                         const char *name, nn_tensor *x, nn_act act)
{
    char weight[128], bias[128];
    snprintf(weight, sizeof weight, "%s%s.weight", prefix, name);
    snprintf(bias, sizeof bias, "%s%s.bias", prefix, name);
    x = nn_cast(ctx, x, nn_activation_dtype(ctx));
    return nn_linear(ctx, x, nn_param_get(ctx, net->params, weight),
                     nn_param_get(ctx, net->params, bias), act);
}

nn_tensor *model_omnime_project_text(nn_ctx *ctx, const model_omnime_net *net, nn_tensor *text)
{
    return linear(ctx, net, "", "emb_proj", text, NN_ACT_NONE);
}

/* ---- products with features
 * A row of 207 features is not aligned, so products of such rows take slow kernels: the ends of the
 * network work on rows padded with zeros to the next multiple of 8.
 */

int64_t model_omnime_padded(const model_omnime_net *net)
{
    return (net->config.features + 7) / 8 * 8;
}

/* A projection from features (in) or to them, padded. */
static model_omnime_end make_end(nn_ctx *ctx, const model_omnime_net *net, const char *name,
                                 bool in)
{
    char weight[128], bias[128];
    const int64_t padded = model_omnime_padded(net), width = net->config.width;
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    model_omnime_end end = {nn_param_get(ctx, net->params, weight),
                            nn_param_get(ctx, net->params, bias)};
    if (padded == net->config.features) return end;
    end.w = in ? nn_pad(ctx, end.w, width, padded) : nn_pad(ctx, end.w, padded, width);
    if (!in) end.b = nn_pad(ctx, end.b, 1, padded);
    return end;
}

/* x: (rows, features) f32, or padded and in the activations' type already. */
static nn_tensor *from_features(nn_ctx *ctx, const model_omnime_net *net, model_omnime_end end,
                                nn_tensor *x)
{
    const int64_t padded = model_omnime_padded(net);
    x = nn_cast(ctx, x, nn_activation_dtype(ctx));
    if (x->shape[1] != padded) x = nn_pad(ctx, x, x->shape[0], padded);
    return nn_linear(ctx, x, end.w, end.b, NN_ACT_NONE);
}

model_omnime_condition model_omnime_fuse(nn_ctx *ctx, const model_omnime_net *net,
                                         const model_omnime_layout *layout, nn_tensor *source,
                                         nn_tensor *text)
{
    model_omnime_condition c = {.text = model_omnime_project_text(ctx, net, text)};
    /* A source row of zeros projects to zeros, without the bias: the last row of the table. */
    nn_tensor *parts[] = {
        c.text, from_features(ctx, net, make_end(ctx, net, "pose_proj_in_source", true), source),
        nn_zeros2(ctx, nn_activation_dtype(ctx), 1, net->config.width)};
    nn_tensor *x =
        nn_assemble(ctx, parts, 3, layout->fusion_rows, &net->fusion_positions, layout->fusion_at);
    c.fused = model_encoder_forward(ctx, &net->fusion, x, layout->fusion, layout->fusion_mask);
    c.tokens = net->config.raw_source
                   ? nn_gather(ctx, nn_concat_rows(ctx, parts, 3), layout->fusion_rows)
                   : c.fused;
    c.in = make_end(ctx, net, "pose_proj_in_target", true);
    c.out = make_end(ctx, net, "pose_proj_out", false);
    if (net->config.dit_text == MODEL_DIT_TEXT_RAW) c.y = c.text;
    if (net->config.dit_text == MODEL_DIT_TEXT_FUSED)
        c.y = nn_gather(ctx, c.fused, layout->text_rows);
    return c;
}

nn_tensor *model_omnime_similarity(nn_ctx *ctx, const model_omnime_net *net, nn_index *rows,
                                   const model_omnime_condition *condition)
{
    nn_tensor *x = nn_gather(ctx, condition->fused, rows);
    x = linear(ctx, net, "", "source_head.0", x, NN_ACT_SILU);
    x = linear(ctx, net, "", "source_head.2", x, NN_ACT_SILU);
    return linear(ctx, net, "", "source_head.4", x, NN_ACT_NONE);
}

void model_omnime_modulations(nn_ctx *ctx, const model_omnime_net *net, nn_index *timesteps,
                              nn_tensor *y, nn_tensor **out)
{
    nn_tensor *tau = nn_gather(ctx, (nn_tensor *)&net->tau, timesteps);
    nn_tensor *c = linear(ctx, net, "", "dit_encoder.t_embedder.mlp.0", tau, NN_ACT_SILU);
    c = linear(ctx, net, "", "dit_encoder.t_embedder.mlp.2", c, NN_ACT_NONE);
    if (y) c = nn_add(ctx, c, y, 1, 1);
    c = nn_activation(ctx, c, NN_ACT_SILU);
    for (int64_t b = 0; b < net->config.layers; b++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "dit_encoder.blocks.%lld.", (long long)b);
        out[b] = linear(ctx, net, prefix, "adaLN_modulation.1", c, NN_ACT_NONE);
    }
}

enum { SHIFT1, SCALE1, GATE1, SHIFT2, SCALE2, GATE2 };

/* From h, modulated rows of a block, to what its first gate adds. */
static nn_tensor *attention_branch(nn_ctx *ctx, const model_omnime_net *net, const char *prefix,
                                   nn_tensor *h, const model_omnime_layout *layout,
                                   bool targets_only)
{
    h = linear(ctx, net, prefix, "attn.qkv", h, NN_ACT_NONE);
    h = nn_self_attention(ctx, h, (int)net->config.heads, layout->dit, layout->dit_mask, false, 0);
    if (targets_only) h = nn_gather(ctx, h, layout->target_rows);
    return linear(ctx, net, prefix, "attn.proj", h, NN_ACT_NONE);
}

static nn_tensor *mlp_branch(nn_ctx *ctx, const model_omnime_net *net, const char *prefix,
                             nn_tensor *h)
{
    h = linear(ctx, net, prefix, "mlp.fc1", h, NN_ACT_GELU_TANH);
    return linear(ctx, net, prefix, "mlp.fc2", h, NN_ACT_NONE);
}

static void name_block(char prefix[64], int64_t block)
{
    snprintf(prefix, 64, "dit_encoder.blocks.%lld.", (long long)block);
}

/* Where a block's modulations begin: its tensor may hold those of all blocks. */
static int first_of(const model_omnime_net *net, const nn_tensor *mod, int64_t block)
{
    return mod->shape[1] > 6 * net->config.width ? 6 * (int)block : 0;
}

/* The last block. Only target rows are wanted: they alone take part in what follows its attention.
 */
static nn_tensor *last_block(nn_ctx *ctx, const model_omnime_net *net, nn_tensor *x, nn_tensor *h,
                             nn_tensor *mod, const model_omnime_layout *layout)
{
    char prefix[64];
    const int64_t b = net->config.layers - 1;
    const int at = first_of(net, mod, b);
    name_block(prefix, b);
    nn_tensor *branch = attention_branch(ctx, net, prefix, h, layout, true);
    x = nn_gather(ctx, x, layout->target_rows);
    x = nn_gate_modulate(ctx, &h, x, branch, mod, at + GATE1, mod, at + SHIFT2, at + SCALE2,
                         layout->target, dit_eps);
    return nn_gate(ctx, x, mlp_branch(ctx, net, prefix, h), mod, at + GATE2, layout->target);
}

/* Rows of the last block or of one on the way: the seen ones of target rows, padded. */
static nn_tensor *predict(nn_ctx *ctx, const model_omnime_layout *layout, model_omnime_end end,
                          nn_tensor *rows)
{
    if (layout->padded_rows) rows = nn_gather(ctx, rows, layout->seen_rows);
    return nn_linear(ctx, rows, end.w, end.b, NN_ACT_NONE);
}

nn_tensor *model_omnime_plain(nn_ctx *ctx, const model_omnime_net *net, nn_tensor *y)
{
    y = nn_cast(ctx, y, NN_F32);
    if (y->shape[1] != net->config.features) y = nn_columns(ctx, y, 0, net->config.features);
    return y;
}

/* [source | separator | target] with positions. */
static nn_tensor *tokens_of(nn_ctx *ctx, const model_omnime_net *net,
                            const model_omnime_layout *layout,
                            const model_omnime_condition *condition, nn_tensor *x_t)
{
    nn_tensor *parts[] = {condition->tokens, nn_param_get(ctx, net->params, "sep_token"),
                          from_features(ctx, net, condition->in, x_t)};
    return nn_assemble(ctx, parts, 3, layout->dit_rows, &net->positions, layout->dit_at);
}

model_omnime_output model_omnime_denoise(nn_ctx *ctx, const model_omnime_net *net,
                                         const model_omnime_layout *layout,
                                         const model_omnime_condition *condition,
                                         nn_tensor *const *modulations, nn_tensor *x_t, bool inters)
{
    static const char *const names[] = {"inter_proj_1", "inter_proj_2", "inter_proj_3"};
    model_omnime_output out = {0};
    int64_t layers = net->config.layers;
    nn_tensor *x = tokens_of(ctx, net, layout, condition, x_t);
    nn_tensor *h = nn_modulate(ctx, x, modulations[0], SHIFT1, SCALE1, layout->dit, dit_eps);
    for (int64_t b = 0, k = 0; b < layers - 1; b++) {
        char prefix[64];
        nn_tensor *mod = modulations[b], *next = modulations[b + 1];
        const int at = first_of(net, mod, b), then = first_of(net, next, b + 1);
        name_block(prefix, b);
        nn_tensor *branch = attention_branch(ctx, net, prefix, h, layout, false);
        x = nn_gate_modulate(ctx, &h, x, branch, mod, at + GATE1, mod, at + SHIFT2, at + SCALE2,
                             layout->dit, dit_eps);
        x = nn_gate_modulate(ctx, &h, x, mlp_branch(ctx, net, prefix, h), mod, at + GATE2, next,
                             then + SHIFT1, then + SCALE1, layout->dit, dit_eps);
        /* 2, 4 and 6 of the reference's 8 blocks. */
        if (!inters || k == MODEL_OMNIME_INTERS ||
            b + 1 != layers * (k + 1) / (MODEL_OMNIME_INTERS + 1))
            continue;
        nn_tensor *rows = nn_gather(ctx, x, layout->target_rows);
        out.inter[k] = predict(ctx, layout, make_end(ctx, net, names[k], false), rows);
        k++;
    }
    out.last = last_block(ctx, net, x, h, modulations[layers - 1], layout);
    out.x0 = predict(ctx, layout, condition->out, out.last);
    return out;
}

/* The same without a tape: rows change in place and every block uses the memory of the one before,
 * so that a batch of the right size stays in the cache. */
nn_tensor *model_omnime_infer(nn_ctx *ctx, const model_omnime_net *net,
                              const model_omnime_layout *layout,
                              const model_omnime_condition *condition,
                              nn_tensor *const *modulations, nn_tensor *x_t)
{
    int64_t layers = net->config.layers;
    nn_tensor *x = tokens_of(ctx, net, layout, condition, x_t);
    nn_tensor *h = nn_modulate(ctx, x, modulations[0], SHIFT1, SCALE1, layout->dit, dit_eps);
    for (int64_t b = 0; b < layers - 1; b++) {
        char prefix[64];
        nn_tensor *mod = modulations[b], *next = modulations[b + 1];
        const int at = first_of(net, mod, b), then = first_of(net, next, b + 1);
        name_block(prefix, b);
        const nn_mark_state mark = nn_mark(ctx);
        nn_tensor *branch = attention_branch(ctx, net, prefix, h, layout, false);
        nn_gate_modulate_into(ctx, h, x, branch, mod, at + GATE1, mod, at + SHIFT2, at + SCALE2,
                              layout->dit, dit_eps);
        nn_rewind(ctx, mark);
        branch = mlp_branch(ctx, net, prefix, h);
        nn_gate_modulate_into(ctx, h, x, branch, mod, at + GATE2, next, then + SHIFT1,
                              then + SCALE1, layout->dit, dit_eps);
        nn_rewind(ctx, mark);
    }
    nn_tensor *last = last_block(ctx, net, x, h, modulations[layers - 1], layout);
    return predict(ctx, layout, condition->out, last);
}
