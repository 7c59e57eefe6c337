/* models/tmr_net.c: TMR's network and loss (tmr_model.h; spec tmr-train). */
#include <stdlib.h>
#include <string.h>

#include "models/tmr_model.h"
#include "nn/backend.h"
#include "tmr/encoder.h"

/* ---- parameters
 * --------------------------------------------------------------------------------------- */

static me_code declare_input(nn_params *p, const char *tokens, const char *weight, const char *bias,
                             int64_t width, int64_t columns, me_err *err)
{
    me_code code = nn_params_add(p, tokens, 2, (int64_t[]){TMR_TOKENS, width}, err);
    if (code == ME_OK) code = nn_params_add(p, weight, 2, (int64_t[]){width, columns}, err);
    if (code == ME_OK) code = nn_params_add(p, bias, 1, &width, err);
    return code;
}

me_code model_tmr_net_declare(model_tmr_net *net, nn_params *params, int64_t features,
                              int64_t text_width, const model_tmr_options *o, me_err *err)
{
    if (o->width % o->heads || o->width / o->heads > 128)
        return me_fail(err, ME_EUSAGE,
                       "width %lld: expected a multiple of %lld heads, at most 128 columns each",
                       (long long)o->width, (long long)o->heads);
    model_stack s = {.params = params,
                     .width = o->width,
                     .ff = o->ff,
                     .heads = (int)o->heads,
                     .layers = (int)o->layers,
                     .dropout = (float)o->dropout,
                     .act = NN_ACT_GELU_ERF};
    *net = (model_tmr_net){.params = params,
                           .features = features,
                           .text_width = text_width,
                           .motion = s,
                           .text = s,
                           .decoder = s};
    net->motion.prefix = "motion_encoder.seqTransEncoder.";
    net->text.prefix = "text_encoder.seqTransEncoder.";
    net->decoder.prefix = "motion_decoder.seqTransDecoder.";
    me_code code =
        declare_input(params, "motion_encoder.tokens", "motion_encoder.projection.weight",
                      "motion_encoder.projection.bias", o->width, features, err);
    if (code == ME_OK) code = model_encoder_declare(&net->motion, err);
    if (code == ME_OK)
        code = declare_input(params, "text_encoder.tokens", "text_encoder.projection.weight",
                             "text_encoder.projection.bias", o->width, text_width, err);
    if (code == ME_OK) code = model_encoder_declare(&net->text, err);
    if (code == ME_OK) code = model_decoder_declare(&net->decoder, err);
    if (code == ME_OK)
        code = nn_params_add(params, "motion_decoder.final_layer.weight", 2,
                             (int64_t[]){features, o->width}, err);
    if (code == ME_OK)
        code = nn_params_add(params, "motion_decoder.final_layer.bias", 1, &features, err);
    return code;
}

me_code model_tmr_net_initialize(const model_tmr_net *net, uint64_t seed, me_err *err)
{
    double width = (double)net->motion.width;
    const struct {
        const char *name;
        model_init how;
        double scale;
    } single[] = {
        {"motion_encoder.tokens", MODEL_INIT_NORMAL, 1},
        {"motion_encoder.projection.weight", MODEL_INIT_LINEAR, 0},
        {"motion_encoder.projection.bias", MODEL_INIT_LINEAR, (double)net->features},
        {"text_encoder.tokens", MODEL_INIT_NORMAL, 1},
        {"text_encoder.projection.weight", MODEL_INIT_LINEAR, 0},
        {"text_encoder.projection.bias", MODEL_INIT_LINEAR, (double)net->text_width},
        {"motion_decoder.final_layer.weight", MODEL_INIT_LINEAR, 0},
        {"motion_decoder.final_layer.bias", MODEL_INIT_LINEAR, width},
    };
    me_code code = ME_OK;
    for (size_t i = 0; i < sizeof single / sizeof *single && code == ME_OK; i++)
        code = model_initialize(net->params, single[i].name, single[i].how, single[i].scale, seed,
                                NULL, err);
    if (code == ME_OK) code = model_encoder_initialize(&net->motion, seed, err);
    if (code == ME_OK) code = model_encoder_initialize(&net->text, seed, err);
    if (code == ME_OK) code = model_decoder_initialize(&net->decoder, seed, err);
    return code;
}

me_code model_tmr_positions(nn_tensor *out, nn_backend *be, int64_t rows, int64_t width,
                            me_err *err)
{
    const size_t bytes = (size_t)(rows * width) * sizeof(float);
    float *host = malloc(bytes);
    void *device = NULL;
    me_code code = host ? be->alloc(be, bytes, &device, err) : me_fail_mem(err, "positions");
    if (code == ME_OK) {
        tmr_positions(host, rows, width);
        be->upload(be, device, host, bytes);
        *out = (nn_tensor){.dtype = NN_F32, .ndim = 2, .shape = {rows, width}, .data = device};
    }
    free(host);
    return code;
}

/* ---- encoders
 * ------------------------------------------------------------------------------------------ */

/* Where the rows of a batch with its two tokens come from; all NULL after a failure. */
typedef struct layout {
    nn_packing *all, *pair; /* L + 2 rows a sequence; the two token rows of each */
    nn_index *source;       /* into [tokens ; rows] */
    nn_index *position, *token_rows;
} layout;

static layout make_layout(nn_ctx *ctx, const int32_t *lengths, int64_t n, int64_t rows,
                          int64_t positions)
{
    layout out = {0};
    int64_t all = rows + TMR_TOKENS * n;
    int32_t *host = malloc((size_t)(2 * all + (2 + TMR_TOKENS) * n) * sizeof *host);
    if (!host) {
        me_fail_mem(&ctx->err, "a batch's layout");
        return out;
    }
    int32_t *source = host, *position = source + all, *length = position + all, *two = length + n,
            *tokens = two + n;
    int32_t row = 0, from = TMR_TOKENS;
    for (int64_t i = 0; i < n; i++) {
        length[i] = lengths[i] + TMR_TOKENS;
        two[i] = TMR_TOKENS;
        for (int32_t t = 0; t < length[i]; t++, row++) {
            if (t < TMR_TOKENS) tokens[TMR_TOKENS * i + t] = row;
            source[row] = t < TMR_TOKENS ? t : from++;
            position[row] = t;
        }
    }
    out.all = nn_packing_new(ctx, length, n);
    out.pair = nn_packing_new(ctx, two, n);
    out.source = nn_index_new(ctx, source, all, rows + TMR_TOKENS);
    out.position = nn_index_new(ctx, position, all, positions);
    out.token_rows = nn_index_new(ctx, tokens, TMR_TOKENS * n, all);
    free(host);
    return out;
}

/* The two token rows of every sequence after the last layer: (2n, width), mu and logvar
 * alternating. */
static nn_tensor *encode(nn_ctx *ctx, const model_tmr_net *net, const model_stack *s,
                         nn_tensor *rows, const layout *at, nn_tensor *positions)
{
    bool text = s == &net->text;
    nn_tensor *x = nn_linear(
        ctx, nn_cast(ctx, rows, nn_activation_dtype(ctx)),
        nn_param_get(ctx, net->params,
                     text ? "text_encoder.projection.weight" : "motion_encoder.projection.weight"),
        nn_param_get(ctx, net->params,
                     text ? "text_encoder.projection.bias" : "motion_encoder.projection.bias"),
        NN_ACT_NONE);
    nn_tensor *stack[] = {
        nn_param_get(ctx, net->params, text ? "text_encoder.tokens" : "motion_encoder.tokens"), x};
    x = nn_assemble(ctx, stack, 2, at->source, positions, at->position);
    x = nn_dropout(ctx, x, s->dropout);
    return model_encoder_forward_rows(ctx, s, x, at->all, at->token_rows, at->pair);
}

/* Every second row from `first`: mu (0) or logvar (1), as f32. */
static nn_tensor *every_second(nn_ctx *ctx, nn_tensor *pairs, int first)
{
    int64_t n = pairs->shape[0] / TMR_TOKENS;
    int32_t *host = malloc((size_t)(n + 1) * sizeof *host);
    if (!host) {
        me_fail_mem(&ctx->err, "a batch's tokens");
        return pairs;
    }
    for (int64_t i = 0; i < n; i++) host[i] = (int32_t)(TMR_TOKENS * i + first);
    nn_tensor *y = nn_gather(ctx, pairs, nn_index_new(ctx, host, n, TMR_TOKENS * n));
    free(host);
    return nn_cast(ctx, y, NN_F32);
}

nn_tensor *model_tmr_embed(nn_ctx *ctx, const model_tmr_net *net, bool text, nn_tensor *rows,
                           const int32_t *lengths, int64_t n, nn_tensor *positions)
{
    const model_stack *s = text ? &net->text : &net->motion;
    layout at = make_layout(ctx, lengths, n, rows->shape[0], positions->shape[0]);
    return every_second(ctx, encode(ctx, net, s, rows, &at, positions), 0);
}

/* ---- decoder
 * ------------------------------------------------------------------------------------------- */

/* Both latents are decoded at once: 2n sequences, those of the first one after the other, the
 * motion lengths twice. All NULL after a failure. */
typedef struct decoding {
    nn_packing *seq;
    nn_index *position, *latent; /* of every row */
} decoding;

static decoding make_decoding(nn_ctx *ctx, const int32_t *lengths, int64_t n, int64_t frames,
                              int64_t positions)
{
    decoding out = {0};
    int32_t *host = malloc((size_t)(4 * frames + 2 * n + 1) * sizeof *host);
    if (!host) {
        me_fail_mem(&ctx->err, "a batch's layout");
        return out;
    }
    int32_t *position = host, *latent = host + 2 * frames, *length = latent + 2 * frames;
    int64_t row = 0;
    for (int64_t i = 0; i < 2 * n; i++) {
        length[i] = lengths[i % n];
        for (int32_t t = 0; t < length[i]; t++, row++) {
            position[row] = t;
            latent[row] = (int32_t)i;
        }
    }
    out.seq = nn_packing_new(ctx, length, 2 * n);
    out.position = nn_index_new(ctx, position, 2 * frames, positions);
    out.latent = nn_index_new(ctx, latent, 2 * frames, 2 * n);
    free(host);
    return out;
}

/* As far as no latent is needed. */
static nn_tensor *begin_to_decode(nn_ctx *ctx, const model_tmr_net *net, const decoding *d,
                                  nn_tensor *positions)
{
    /* The queries are zeros, so only positions remain. */
    nn_tensor *x = nn_gather(ctx, positions, d->position);
    x = nn_dropout(ctx, nn_cast(ctx, x, nn_activation_dtype(ctx)), net->decoder.dropout);
    return model_decoder_begin(ctx, &net->decoder, x, d->seq);
}

static nn_tensor *decode(nn_ctx *ctx, const model_tmr_net *net, const decoding *d, nn_tensor *begun,
                         nn_tensor *z)
{
    z = nn_cast(ctx, z, nn_activation_dtype(ctx));
    nn_tensor *x = model_decoder_forward(ctx, &net->decoder, begun, d->seq, z, d->latent);
    x = nn_linear(ctx, x, nn_param_get(ctx, net->params, "motion_decoder.final_layer.weight"),
                  nn_param_get(ctx, net->params, "motion_decoder.final_layer.bias"), NN_ACT_NONE);
    return nn_cast(ctx, x, NN_F32);
}

/* ---- loss
 * ---------------------------------------------------------------------------------------------- */

/* The target of both decodings: the batch's rows twice. */
static nn_tensor *twice(nn_ctx *ctx, nn_tensor *rows)
{
    nn_tensor *parts[] = {rows, rows};
    return nn_concat_rows(ctx, parts, 2);
}

static nn_tensor *contrastive(nn_ctx *ctx, nn_tensor *text, nn_tensor *motion,
                              const nn_tensor *hidden, double temperature)
{
    nn_tensor *a = nn_normalize_rows(ctx, text, 1e-12F),
              *b = nn_normalize_rows(ctx, motion, 1e-12F);
    nn_tensor *scores = nn_linear(ctx, a, b, NULL, NN_ACT_NONE);
    return nn_info_nce(ctx, nn_add(ctx, scores, scores, (float)(1 / temperature), 0), hidden);
}

nn_tensor *model_tmr_loss(nn_ctx *ctx, const model_tmr_net *net, const model_tmr_batch *b,
                          const model_tmr_options *o, nn_tensor *positions, model_terms *terms,
                          nn_tensor *latents[2])
{
    int64_t frames = b->motion->shape[0], longest = b->longest;
    for (int64_t i = 0; i < b->n && !b->longest; i++)
        if (b->motion_lengths[i] > longest) longest = b->motion_lengths[i];

    layout motion_at = make_layout(ctx, b->motion_lengths, b->n, frames, positions->shape[0]);
    layout text_at =
        make_layout(ctx, b->text_lengths, b->n, b->text->shape[0], positions->shape[0]);
    decoding d = make_decoding(ctx, b->motion_lengths, b->n, frames, positions->shape[0]);

    /* Sentences are short, and latents few: what is made of them are chains of small operations. */
    nn_split(ctx);
    nn_tensor *motion = encode(ctx, net, &net->motion, b->motion, &motion_at, positions);
    nn_beside(ctx);
    nn_split(ctx);
    nn_tensor *text = encode(ctx, net, &net->text, b->text, &text_at, positions);
    nn_beside(ctx);
    nn_tensor *begun = begin_to_decode(ctx, net, &d, positions), *target = twice(ctx, b->motion);
    nn_join(ctx);
    nn_join(ctx);
    nn_tensor *mu_m = every_second(ctx, motion, 0), *lv_m = every_second(ctx, motion, 1);
    nn_tensor *mu_t = every_second(ctx, text, 0), *lv_t = every_second(ctx, text, 1);
    nn_tensor *z[] = {nn_reparameterize(ctx, mu_t, lv_t, b->noise_text),
                      nn_reparameterize(ctx, mu_m, lv_m, b->noise_motion)};
    nn_tensor *both = nn_concat_rows(ctx, z, 2);

    nn_split(ctx);
    /* The reference averages over the padded rectangle, whose padding is zero on both sides. */
    nn_tensor *recons = nn_smooth_l1(ctx, decode(ctx, net, &d, begun, both), target, NULL,
                                     (double)(b->n * longest * net->features));
    nn_beside(ctx);
    nn_tensor *kls[] = {nn_kl(ctx, mu_t, lv_t, mu_m, lv_m), nn_kl(ctx, mu_m, lv_m, mu_t, lv_t),
                        nn_kl(ctx, mu_m, lv_m, NULL, NULL), nn_kl(ctx, mu_t, lv_t, NULL, NULL)};
    nn_tensor *kl = nn_weighted_sum(ctx, kls, (float[]){1, 1, 1, 1}, 4);
    nn_tensor *latent = nn_smooth_l1(ctx, z[0], z[1], NULL, (double)(b->n * net->motion.width));
    nn_tensor *nce = contrastive(ctx, z[0], z[1], b->hidden, o->temperature);
    nn_join(ctx);
    if (latents) memcpy(latents, z, sizeof z);

    nn_tensor *all[] = {recons, kl, latent, nce};
    static const char *const names[] = {"recons", "kl", "latent", "contrastive"};
    terms->n = 4;
    for (int i = 0; i < 4; i++) {
        terms->name[i] = names[i];
        terms->value[i] = all[i];
    }
    float weights[] = {(float)o->w_recons, (float)o->w_kl, (float)o->w_latent,
                       (float)o->w_contrastive};
    return nn_weighted_sum(ctx, all, weights, 4);
}
