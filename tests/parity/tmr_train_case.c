/* tests/parity/tmr_train_case.c: one step of TMR's training: terms of the loss, latents, every
 * gradient, and the parameters after AdamW. Noise and batch are the case's own; dropout is off. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "metrics/result.h"
#include "models/tmr_model.h"
#include "nn/backend.h"
#include "tests/parity/arrays.h"
#include "tests/parity/gradients.h"
#include "tests/parity/parity.h"
#include "tmr/encoder.h"

typedef struct batch {
    int64_t n, features, text_width, width;
    int32_t *motion_length, *text_length;
    float *motion, *text; /* packed */
    int64_t frames, tokens;
    float *eps_text, *eps_motion, *latent_text, *latent_motion;
    int32_t *hidden;
    int64_t longest, longest_text; /* padded lengths */
} batch;

static me_code read_packed(float **out, int64_t *rows, int64_t *longest, int64_t *columns,
                           const me_value *io, const char *name, int64_t n, const int32_t *lengths,
                           me_arena *arena, me_err *err)
{
    float *padded;
    me_code code = parity_floats(&padded, NULL, io, name, arena, err);
    if (code) return code;
    const me_array *a = &me_dict_get(io, name)->as.array;
    if (a->ndim != 3 || a->shape[0] != n)
        return me_fail(err, ME_EFORMAT, "%s: expected (%lld, T, D)", name, (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (lengths[i] < 1 || lengths[i] > a->shape[1])
            return me_fail(err, ME_EFORMAT, "%s: a length is %d", name, lengths[i]);
    *longest = a->shape[1];
    *columns = a->shape[2];
    for (int64_t i = 0; i < n; i++) *rows += lengths[i];
    *out = parity_pack(padded, n, a->shape[1], a->shape[2], lengths, arena);
    return *out ? ME_OK : me_fail_mem(err, name);
}

/* 1 where two sentences are nearer than `threshold`. */
static me_code read_hidden(batch *b, const me_value *io, double threshold, me_arena *arena,
                           me_err *err)
{
    float *sentences;
    int64_t count;
    me_code code = parity_floats(&sentences, &count, io, "sent_emb", arena, err);
    b->hidden = ME_NEW_ARRAY(arena, b->n * b->n, int32_t);
    if (code || !b->hidden) return code ? code : me_fail_mem(err, "sentences");
    const int64_t width = count / b->n;
    for (int64_t i = 0; i < b->n; i++)
        for (int64_t j = 0; j < b->n; j++) {
            double dot = 0;
            for (int64_t k = 0; k < width; k++)
                dot += (double)sentences[i * width + k] * (double)sentences[j * width + k];
            b->hidden[i * b->n + j] = i != j && dot > threshold;
        }
    return ME_OK;
}

static me_code read_batch(batch *b, const me_value *io, double threshold, me_arena *arena,
                          me_err *err)
{
    const struct {
        const char *name;
        float **to;
    } vectors[] = {{"eps_text", &b->eps_text},
                   {"eps_motion", &b->eps_motion},
                   {"latent_text", &b->latent_text},
                   {"latent_motion", &b->latent_motion}};
    int64_t n = 0, count = 0;
    me_code code = parity_ints(&b->motion_length, &b->n, io, "motion_length", arena, err);
    if (!code) code = parity_ints(&b->text_length, &n, io, "text_length", arena, err);
    if (!code && (n != b->n || !n))
        code = me_fail(err, ME_EFORMAT, "text_length: expected %lld", (long long)b->n);
    if (!code)
        code = read_packed(&b->motion, &b->frames, &b->longest, &b->features, io, "motion", b->n,
                           b->motion_length, arena, err);
    if (!code)
        code = read_packed(&b->text, &b->tokens, &b->longest_text, &b->text_width, io, "text", b->n,
                           b->text_length, arena, err);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors && !code; i++) {
        code = parity_floats(vectors[i].to, &count, io, vectors[i].name, arena, err);
        if (!code && count != b->n * b->width)
            code = me_fail(err, ME_EFORMAT, "%s: expected %lld numbers", vectors[i].name,
                           (long long)(b->n * b->width));
    }
    return code ? code : read_hidden(b, io, threshold, arena, err);
}

typedef struct trained {
    nn_params params;
    model_tmr_net net;
    model_tmr_options options;
    nn_backend *be;
    nn_ctx ctx;
    nn_tensor positions;
} trained;

static me_code open_model(trained *t, const char *device, const batch *b, const char *weights,
                          me_err *err)
{
    me_doc state;
    me_code code = nn_backend_open(&t->be, device, 0, err);
    if (!code) code = nn_ctx_open(&t->ctx, t->be, NN_FP32, err);
    nn_params_init(&t->params);
    if (!code)
        code = model_tmr_net_declare(&t->net, &t->params, b->features, b->text_width, &t->options,
                                     err);
    if (!code) code = nn_params_alloc(&t->params, t->be, err);
    if (!code) code = nn_params_train(&t->params, false, err);
    if (!code && !(code = me_doc_open(&state, weights, err))) {
        code = nn_params_load(&t->params, state.root, "", true, err);
        me_doc_close(&state);
    }
    if (!code)
        code = model_tmr_positions(&t->positions, t->be, TMR_TOKENS + b->longest + b->longest_text,
                                   b->width, err);
    return code;
}

static void close_model(trained *t)
{
    if (!t->be) return;
    if (t->positions.data) t->be->release(t->be, t->positions.data);
    nn_params_close(&t->params);
    nn_ctx_close(&t->ctx);
    nn_backend_close(t->be);
}

static me_code check_loss(parity *p, trained *t, const batch *b, const me_value *golden,
                          me_arena *arena, me_err *err)
{
    nn_ctx *ctx = &t->ctx;
    nn_tape_new(ctx);
    ctx->training = true;
    nn_tensor *hidden = nn_new2(ctx, NN_I32, b->n, b->n);
    if (hidden->data)
        t->be->upload(t->be, hidden->data, b->hidden, (size_t)(b->n * b->n) * sizeof *b->hidden);
    const model_tmr_batch given = {
        .n = b->n,
        .motion = nn_from_host(ctx, b->motion, b->frames, b->features),
        .text = nn_from_host(ctx, b->text, b->tokens, b->text_width),
        .motion_lengths = b->motion_length,
        .text_lengths = b->text_length,
        .noise_text = nn_from_host(ctx, b->eps_text, b->n, b->width),
        .noise_motion = nn_from_host(ctx, b->eps_motion, b->n, b->width),
        .hidden = hidden,
        .longest = b->longest,
    };
    model_terms terms;
    nn_tensor *latents[2];
    nn_tensor *loss =
        model_tmr_loss(ctx, &t->net, &given, &t->options, &t->positions, &terms, latents);
    me_code code = nn_status(ctx, err);
    const me_value *losses = me_dict_get(golden, "losses");
    const float *const wanted[] = {b->latent_text, b->latent_motion};
    for (int i = 0; i < terms.n + 1 && !code; i++) {
        const char *name = i < terms.n ? terms.name[i] : "loss";
        float value;
        code = nn_to_host(ctx, i < terms.n ? terms.value[i] : loss, &value, err);
        const double reference = metric_result_number(losses, name);
        if (!code)
            parity_error(p, me_arena_printf(arena, "loss %s", name),
                         fabs((double)value - reference) / fmax(fabs(reference), 1e-12), 1e-5);
    }
    float *z = ME_NEW_ARRAY(arena, b->n * b->width, float);
    for (int i = 0; i < 2 && !code; i++) {
        code = z ? nn_to_host(ctx, latents[i], z, err) : me_fail_mem(err, "latents");
        if (!code)
            parity_error(p, i ? "latents of motions" : "latents of texts",
                         parity_distance(z, wanted[i], b->n * b->width),
                         p->exact_device ? 1e-5 : 1e-4);
    }
    if (!code) nn_backward(ctx, loss);
    return code ? code : nn_status(ctx, err);
}

me_code parity_tmr_train(parity *p, const char *folder, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    trained t = {0};
    batch b = {0};
    parity_files f;
    me_code code = parity_files_open(&f, folder, &arena, err);
    if (!code) {
        const me_value *c = f.config, *weights = me_dict_get(c, "lmd");
        b.width = parity_size(c, "latent_dim");
        t.options = (model_tmr_options){
            .width = b.width,
            .ff = parity_size(c, "ff_size"),
            .heads = parity_size(c, "num_heads"),
            .layers = parity_size(c, "num_layers"),
            .temperature = metric_result_number(c, "temperature"),
            .w_recons = metric_result_number(weights, "recons"),
            .w_kl = metric_result_number(weights, "kl"),
            .w_latent = metric_result_number(weights, "latent"),
            .w_contrastive = metric_result_number(weights, "contrastive"),
        };
        const double threshold = 2 * metric_result_number(c, "threshold_selfsim") - 1;
        code = read_batch(&b, f.io.root, threshold, &arena, err);
        if (!code)
            code = open_model(&t, p->device, &b, me_path_join(&arena, folder, "tmr.pt"), err);
        if (!code) code = check_loss(p, &t, &b, f.golden, &arena, err);
        if (!code) code = parity_check_gradients(p, &t.params, folder, f.golden, &arena, err);
        if (!code)
            code = parity_check_step(p, &t.ctx, &t.params, folder, metric_result_number(c, "lr"),
                                     &arena, err);
        close_model(&t);
        parity_files_close(&f);
    }
    me_arena_release(&arena);
    return code;
}
