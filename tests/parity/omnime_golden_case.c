/* tests/parity/omnime_golden_case.c: OmniME at full width with weights and inputs that anyone can
 * write down (spec omnime 11.1, 11.2, 11.4): a training step in all variants, gradients, one AdamW
 * step, and six steps of the sampler. Needs no files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/diffusion.h"
#include "models/omnime_guide.h"
#include "models/omnime_loss.h"
#include "nn/backend.h"
#include "tests/parity/arrays.h"
#include "tests/parity/parity.h"
#include "tests/support/omnime_network.h"

enum { N = 4, FRAMES = 8, FEATURES = 207, TEXT = 768 };

static const int32_t source_frames[N] = {8, 5, 6, 7}, target_frames[N] = {6, 8, 7, 5};

static float *filled(uint32_t n, int64_t count, double scale, me_arena *arena)
{
    return parity_filled(n, count, scale, 0, arena);
}

/* ---- the network
 * --------------------------------------------------------------------------------------- */

static me_code fill_parameter(nn_params *p, const nn_param *q, uint32_t n, me_arena *arena,
                              me_err *err)
{
    const int64_t count = nn_count(&q->tensor);
    const bool norm = strstr(q->name, "norm") && strstr(q->name, ".weight");
    const bool whole = !strcmp(q->name, "sep_token");
    const double scale = whole         ? 1
                         : norm        ? 0.1
                         : q->ndim > 1 ? 1 / sqrt((double)q->shape[1])
                                       : 0.05;
    me_arena_mark mark = me_arena_get_mark(arena);
    float *x = parity_filled(n, count, scale, norm ? 1 : 0, arena);
    if (!x) return me_fail_mem(err, q->name);
    me_code code = nn_params_set(p, q->name, x, count, err);
    me_arena_rewind(arena, mark);
    return code;
}

/* Parameters are numbered as spec omnime 4.5 lists them: feat_comb_coeff 0, pos_embed 16 and
 * target_head from 155 are in the other block. */
static me_code fill_parameters(omnime_network *t, me_arena *arena, me_err *err)
{
    me_code code = ME_OK;
    for (int64_t i = 0; i < t->params.n && !code; i++)
        code = fill_parameter(&t->params, &t->params.items[i], (uint32_t)(i + 1 + (i + 1 >= 16)),
                              arena, err);
    for (int64_t i = 0; i < t->frozen.n && !code; i++)
        if (!strncmp(t->frozen.items[i].name, "target_head.", 12))
            code = fill_parameter(&t->frozen, &t->frozen.items[i], (uint32_t)(155 + i - 2), arena,
                                  err);
    return code;
}

static me_code open_model(omnime_network *t, nn_backend *be, int64_t steps, model_dit_text text,
                          bool raw, me_arena *arena, me_err *err)
{
    const model_omnime_config c = {.features = FEATURES,
                                   .text_width = TEXT,
                                   .width = 512,
                                   .ff = 1024,
                                   .heads = 8,
                                   .layers = 8,
                                   .fusion_layers = 4,
                                   .head_width = 1024,
                                   .classes = 3,
                                   .embedding = 256,
                                   .steps = steps,
                                   .inter = true,
                                   .dit_text = text,
                                   .raw_source = raw};
    me_code code = omnime_network_open(t, be, &c, err);
    if (!code) code = model_omnime_net_initialize(&t->net, 0, err);
    if (!code) code = fill_parameters(t, arena, err);
    return code ? code : model_omnime_net_tables(&t->net, err);
}

/* ---- 11.1: a training step
 * ----------------------------------------------------------------------------- */

/* What a variant of the network is expected to give: first element, another, total. */
typedef struct variant {
    const char *name;
    model_dit_text text;
    bool raw_source;
    double first, other, total;
} variant;

// clang-format off
static const variant variants[] = {
    {"no_text", MODEL_DIT_TEXT_NONE, false, -0.4570530, 0.3106960, 63.7149086},
    {"raw_text", MODEL_DIT_TEXT_RAW, false, -0.5529965, 0.4159218, 63.9578018},
    {"raw_source", MODEL_DIT_TEXT_FUSED, true, -0.7407810, 0.4360918, 65.8077393},
    {"raw_text_and_source", MODEL_DIT_TEXT_RAW, true, -0.5346116, 0.4011176, 64.0464325},
    {"fused text", MODEL_DIT_TEXT_FUSED, false, -0.7288984, 0.5144626, 65.5477295},
};
/* Of the total's gradient: norm and first element (NAN: not given). */
static const struct { const char *name; double norm, first; } gradients[] = {
    {"sep_token", 7.866090e-03, -1.005234e-05},
    {"pose_proj_in_source.weight", 1.966559e-01, -6.335343e-04},
    {"pose_proj_in_target.weight", 16.65153, 2.999301e-02},
    {"pose_proj_out.weight", 93.43499, 4.272021e-01},
    {"pose_proj_out.bias", 3.657425, -2.805447e-01},
    {"inter_proj_1.weight", 6.194126e-01, 1.291670e-03},
    {"inter_proj_2.weight", 6.517616e-01, 1.519449e-03},
    {"inter_proj_3.weight", 7.065935e-01, 1.236598e-03},
    {"emb_proj.weight", 1.130837e-01, -7.632654e-05},
    {"dit_encoder.t_embedder.mlp.0.weight", 1.699557, 3.429068e-03},
    {"dit_encoder.t_embedder.mlp.2.weight", 2.341644, 4.614779e-04},
    {"dit_encoder.blocks.0.attn.qkv.weight", 9.736405e-01, 1.105471e-04},
    {"dit_encoder.blocks.0.attn.qkv.bias", 6.113821e-02, -8.419843e-05},
    {"dit_encoder.blocks.0.adaLN_modulation.1.weight", 8.431539e-01, 9.236462e-06},
    {"dit_encoder.blocks.3.mlp.fc1.weight", 6.588208e-01, 2.512695e-05},
    {"dit_encoder.blocks.7.attn.proj.weight", 9.222524e-01, NAN},
    {"dit_encoder.blocks.7.mlp.fc2.weight", 8.822665e-01, 1.780411e-04},
    {"dit_encoder.blocks.7.adaLN_modulation.1.bias", 6.747882e-01, -1.274872e-03},
    {"cond_encoder.layers.0.self_attn.in_proj_weight", 3.896105e-01, 3.139903e-05},
    {"cond_encoder.layers.0.norm1.weight", 2.338494e-02, -8.878908e-04},
    {"cond_encoder.layers.3.linear2.weight", 2.780476e-01, 9.711141e-05},
    {"cond_encoder.layers.3.norm2.bias", 3.278736e-02, 1.037310e-03},
    {"source_head.0.weight", 2.598670e-02, NAN},
    {"source_head.4.weight", 3.714516e-02, 3.143490e-04},
    {"source_head.4.bias", 1.557083e-02, -8.163575e-03},
};
/* First elements after one AdamW step. */
static const struct { const char *name; double first; bool frozen; } stepped[] = {
    {"sep_token", 0.215030313, false},
    {"pose_proj_out.weight", -0.001712610, false},
    {"dit_encoder.blocks.0.attn.qkv.weight", 0.036457639, false},
    {"cond_encoder.layers.0.norm1.weight", 0.995688915, false},
    {"target_head.0.weight", -0.024528861, true},
};
// clang-format on
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static const model_omnime_weights weights = {.cls = 0.05,
                                             .retro = 1,
                                             .triplet = 0.01,
                                             .preserve = 0.2,
                                             .margin = 0.2,
                                             .class_weights = true,
                                             .retro_padded = true,
                                             .pool_padded = true,
                                             .preserve_form = MODEL_PRESERVE_CODE};

static const bool source_dropped[N] = {false, true, false, false};
static const int32_t timesteps[N] = {0, 120, 299, 57};

/* x_t of the case; NULL when memory is out. */
static float *corrupted(const float *x0, me_arena *arena, me_err *err)
{
    model_diffusion d;
    const int64_t each = FRAMES * FEATURES;
    float *x_t = ME_NEW_ARRAY(arena, N * each, float);
    if (!x_t || model_diffusion_init(&d, arena, 300, err)) return NULL;
    const float *noise = filled(1002, N * each, sqrt(3), arena);
    for (int64_t i = 0; i < N * each && noise; i++)
        x_t[i] = (float)d.sqrt_abar[timesteps[i / each]] * x0[i] +
                 (float)d.sqrt_one_minus_abar[timesteps[i / each]] * noise[i];
    return noise ? x_t : NULL;
}

/* Source rows but for the dropped sample's. */
static nn_tensor *kept_source(nn_ctx *ctx, me_arena *arena)
{
    const int64_t each = FRAMES * FEATURES;
    float *all = filled(1000, N * each, 1.7, arena);
    if (all) memmove(all + each, all + 2 * each, (size_t)(2 * each) * sizeof *all);
    return nn_from_host(ctx, all, 3 * FRAMES, FEATURES);
}

static void near(parity *p, const char *what, double found, double wanted, double tolerance)
{
    if (!isnan(wanted)) parity_error(p, what, fabs(found - wanted), tolerance);
}

/* The prediction with rows of padding put back as zeros, as the spec indexes it. */
static me_code unpack(float *out, nn_ctx *ctx, const nn_tensor *x, const int32_t *frames, int64_t n,
                      me_arena *arena, me_err *err)
{
    float *host = ME_NEW_ARRAY(arena, nn_count(x), float);
    if (!host) return me_fail_mem(err, "a prediction");
    me_code code = nn_to_host(ctx, x, host, err);
    memset(out, 0, (size_t)(n * FRAMES * FEATURES) * sizeof *out);
    for (int64_t i = 0, row = 0; i < n && !code; row += frames[i++])
        memcpy(out + i * FRAMES * FEATURES, host + row * FEATURES,
               (size_t)(frames[i] * FEATURES) * sizeof *out);
    return code;
}

#define AT(b, f, d) (((b)*FRAMES + (f)) * FEATURES + (d))

static void check_released(parity *p, const float *x, const float *logits)
{
    static const struct {
        int at;
        double value;
    } given[] = {{AT(0, 5, 206), 0.1814412},
                 {AT(0, 6, 0), 0},
                 {AT(1, 0, 0), -0.9195218},
                 {AT(1, 7, 100), 1.6857550},
                 {AT(3, 4, 9), 0.0571145}};
    static const struct {
        int row;
        double value[3];
    } classes[] = {{0, {-0.0423854, 0.0481045, -0.0041985}},
                   {7, {-0.0569826, 0.0291597, 0.0199314}},
                   {2 * FRAMES + 5, {0.0089902, 0.0411868, -0.0074344}},
                   {FRAMES, {-0.0115694, 0.0362413, -0.0154322}}};
    double sum = 0, absolutes = 0;
    for (int i = 0; i < N * FRAMES * FEATURES; i++) {
        sum += (double)x[i];
        absolutes += fabs((double)x[i]);
    }
    for (int i = 0; i < COUNT(given); i++)
        near(p, "x0_hat", (double)x[given[i].at], given[i].value, 1e-5);
    near(p, "sum of x0_hat", sum, -301.2251, 2e-3);
    near(p, "absolutes of x0_hat", absolutes, 3198.2072, 2e-3);
    for (int i = 0; i < COUNT(classes); i++)
        for (int c = 0; c < 3; c++)
            near(p, "logits", (double)logits[3 * classes[i].row + c], classes[i].value[c], 1e-5);
}

static me_code check_gradients(parity *p, omnime_network *t, me_arena *arena, me_err *err)
{
    float *host = ME_NEW_ARRAY(arena, t->params.size, float);
    if (!host) return me_fail_mem(err, "gradients");
    nn_backend *be = t->params.be;
    be->download(be, host, t->params.grad, (size_t)t->params.size * sizeof *host);
    double total = 0;
    for (int64_t i = 0; i < t->params.size; i++) total += (double)host[i] * (double)host[i];
    near(p, "norm of the gradient", sqrt(total), 95.250092, 95.25 * 1e-5);
    for (int i = 0; i < COUNT(gradients); i++) {
        const nn_param *q = nn_params_find(&t->params, gradients[i].name);
        if (!q) return me_fail(err, ME_EBUG, "no parameter %s", gradients[i].name);
        double norm = 0;
        for (int64_t k = 0; k < nn_count(&q->tensor); k++)
            norm += (double)host[q->offset + k] * (double)host[q->offset + k];
        near(p, q->name, sqrt(norm) / gradients[i].norm, 1, 1e-5);
        near(p, q->name, (double)host[q->offset], gradients[i].first, 1e-5 * gradients[i].norm);
    }
    me_code code = nn_adamw_step(
        &t->ctx, &t->params,
        &(nn_adamw_options){
            .lr = 1e-4F, .beta1 = 0.9F, .beta2 = 0.999F, .eps = 1e-8F, .weight_decay = 0.01F},
        NULL, err);
    for (int i = 0; i < COUNT(stepped) && !code; i++) {
        code =
            nn_params_read(stepped[i].frozen ? &t->frozen : &t->params, stepped[i].name, host, err);
        if (!code) near(p, stepped[i].name, (double)host[0], stepped[i].first, 1e-8);
    }
    return code;
}

static me_code check_losses(parity *p, nn_ctx *ctx, const model_terms *terms,
                            const model_omnime_truth *truth, me_err *err)
{
    static const double groups[] = {1.4919547, 0.9420501, 1.7083092, 1.5707208, 1.4672796};
    static const double expected[] = {1.4360628, 0.0406262, 1.4370600, 0.0056790, 60.7954788};
    static const double factor[] = {1, 0.05, 1, 0.01, 0.2};
    me_code code = ME_OK;
    float value;
    for (int i = 0; i < 5 && !code; i++) {
        code = nn_to_host(ctx, terms->value[i], &value, err);
        if (!code)
            near(p, terms->name[i], (double)value * factor[i] / expected[i], 1,
                 5e-8 / expected[i] + 1e-6);
        if (!code) code = nn_to_host(ctx, truth->groups[i], &value, err);
        if (!code) near(p, "a group of features", (double)value, groups[i], 2e-6);
    }
    return code;
}

static me_code check_variant(parity *p, nn_backend *be, const variant *v, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    omnime_network t;
    int32_t rows[N], seen[N], first[N];
    bool text_kept[N] = {true, true, true, false}, motion_kept[N], teaches[N];
    const double *score[N];
    double *scores = ME_NEW_ARRAY(&arena, N * FRAMES, double);
    me_code code = open_model(&t, be, 300, v->text, v->raw_source, &arena, err);
    float *x0 = filled(1001, N * FRAMES * FEATURES, 1.7, &arena);
    float *x_t = x0 ? corrupted(x0, &arena, err) : NULL;
    float *host = ME_NEW_ARRAY(&arena, N * FRAMES * FEATURES, float);
    if (!code && (!scores || !x_t || !host)) code = me_fail_mem(err, "the case");
    for (int i = 0; i < N && !code; i++) {
        rows[i] = FRAMES;
        seen[i] = source_dropped[i] ? 0 : source_frames[i];
        first[i] = FRAMES + 1;
        motion_kept[i] = !source_dropped[i];
        teaches[i] = true;
        score[i] = scores + i * FRAMES;
        for (int f = 0; f < FRAMES; f++)
            scores[i * FRAMES + f] = 0.5 + 0.5 * parity_fill(1005, (uint32_t)(i * FRAMES + f));
    }
    if (!code) {
        nn_ctx *ctx = &t.ctx;
        const model_omnime_batch batch = {.n = N,
                                          .source_rows = rows,
                                          .source_seen = seen,
                                          .source_zero = source_dropped,
                                          .target_rows = rows,
                                          .target_seen = target_frames,
                                          .first_target = first};
        nn_tape_new(ctx);
        ctx->training = true;
        model_omnime_truth truth = {
            .x0 = nn_from_host(ctx, x0, N * FRAMES, FEATURES),
            .negative = nn_from_host(ctx, filled(1004, N * TEXT, 1, &arena), N, TEXT),
            .score = score,
            .teaches = teaches,
            .text_kept = text_kept,
            .motion_kept = motion_kept,
            .source_frames = source_frames,
            .equal_lengths = true};
        model_omnime_layout layout;
        nn_tensor *mod[MODEL_MOST_LAYERS];
        model_omnime_layout_make(&layout, ctx, &batch);
        model_omnime_condition condition =
            model_omnime_fuse(ctx, &t.net, &layout, kept_source(ctx, &arena),
                              nn_from_host(ctx, filled(1003, N * TEXT, 1, &arena), N, TEXT));
        model_omnime_modulations(ctx, &t.net, nn_index_new(ctx, timesteps, N, 300), condition.y,
                                 mod);
        model_omnime_output out =
            model_omnime_denoise(ctx, &t.net, &layout, &condition, mod,
                                 nn_from_host(ctx, x_t, N * FRAMES, FEATURES), true);
        model_terms terms;
        nn_tensor *loss = model_omnime_loss(ctx, &t.net, &batch, &layout, &condition, &out, &truth,
                                            &weights, &terms);
        float total = 0, logits[N * FRAMES * 3];
        code = nn_to_host(ctx, loss, &total, err);
        if (!code)
            code = unpack(host, ctx, model_omnime_plain(ctx, &t.net, out.x0), target_frames, N,
                          &arena, err);
        if (!code) {
            char what[80];
            snprintf(what, sizeof what, "%s: total", v->name);
            near(p, what, (double)total, v->total, 1e-4);
            snprintf(what, sizeof what, "%s: x0_hat", v->name);
            near(p, what, (double)host[AT(0, 0, 0)], v->first, 1e-5);
            near(p, what, (double)host[AT(2, 3, 50)], v->other, 1e-5);
        }
        if (!code && v == variants) {
            nn_tape *tape = ctx->tape;
            ctx->tape = NULL;
            code = nn_to_host(ctx,
                              model_omnime_similarity(ctx, &t.net, layout.source_rows, &condition),
                              logits, err);
            ctx->tape = tape;
            if (!code) check_released(p, host, logits);
            if (!code) code = check_losses(p, ctx, &terms, &truth, err);
            if (!code) nn_backward(ctx, loss);
            if (!code) code = nn_status(ctx, err);
            if (!code) code = check_gradients(p, &t, &arena, err);
        }
    }
    omnime_network_close(&t);
    me_arena_release(&arena);
    return code;
}

/* ---- 11.2: the sampler
 * --------------------------------------------------------------------------------- */

enum { SAMPLES = 2, STEPS = 6 };

/* Rows that belong to a target, of a padded array made by fill number n. */
static nn_tensor *packed_noise(nn_ctx *ctx, uint32_t n, const int32_t *frames, double scale,
                               me_arena *arena)
{
    float *all = filled(n, SAMPLES * FRAMES * FEATURES, scale, arena);
    int64_t rows = 0;
    for (int i = 0; i < SAMPLES && all; rows += frames[i++])
        memmove(all + rows * FEATURES, all + i * FRAMES * FEATURES,
                (size_t)(frames[i] * FEATURES) * sizeof *all);
    return nn_from_host(ctx, all, rows, FEATURES);
}

static me_code check_sampling(parity *p, nn_backend *be, me_err *err)
{
    static const double betas[STEPS] = {0.0721306229, 0.199366152, 0.335234254,
                                        0.500959064,  0.732347758, 0.999};
    static const struct {
        double both, motion, value[4], absolutes;
    } given[] = {{2, 2, {0.090038, 0.348836, -0.066793, 1.052268}, 1642.131},
                 {2.5, 1.5, {0.088532, 0.347772, -0.068313, 1.054498}, 1641.922}};
    static const int at[] = {AT(0, 0, 0), AT(0, 5, 206), AT(1, 0, 0), AT(1, 7, 100)};
    const int32_t s_max[SAMPLES] = {FRAMES, FRAMES};
    me_arena arena;
    me_arena_init(&arena);
    omnime_network t;
    model_diffusion d;
    me_code code = open_model(&t, be, STEPS, MODEL_DIT_TEXT_NONE, false, &arena, err);
    if (!code) code = model_diffusion_init(&d, &arena, STEPS, err);
    float *text = ME_NEW_ARRAY(&arena, 3 * TEXT, float), *empty = filled(1006, TEXT, 1, &arena);
    float *host = ME_NEW_ARRAY(&arena, SAMPLES * FRAMES * FEATURES, float);
    if (!code && (!text || !empty || !host)) code = me_fail_mem(err, "the case");
    for (int i = 0; i < STEPS && !code; i++) near(p, "beta", d.beta[i], betas[i], 1e-8);
    for (int k = 0; k < COUNT(given) && !code; k++) {
        nn_ctx *ctx = &t.ctx;
        nn_reset(ctx);
        memcpy(text, filled(1003, 2 * TEXT, 1, &arena), 2 * TEXT * sizeof *text);
        memcpy(text + 2 * TEXT, empty, TEXT * sizeof *text);
        const model_omnime_request q = {
            .n = SAMPLES,
            .source = packed_noise(ctx, 1000, source_frames, 1.7, &arena),
            .text = nn_from_host(ctx, text, 3, TEXT),
            .source_frames = source_frames,
            .target_frames = target_frames,
            .s_max = s_max,
            .motion = given[k].motion,
            .both = given[k].both,
        };
        model_omnime_guide guide;
        model_omnime_guide_make(&guide, ctx, &t.net, &q);
        nn_tensor *x = packed_noise(ctx, 1999, target_frames, sqrt(3), &arena);
        for (int step = 0; step < STEPS; step++) {
            const int time = STEPS - 1 - step;
            nn_tensor *x0 = model_omnime_guided(ctx, &guide, x, time);
            x = nn_add(ctx, x0, x, (float)d.c1[time], (float)d.c2[time]);
            nn_tensor *z = packed_noise(ctx, 2000 + (uint32_t)step, target_frames, sqrt(3), &arena);
            if (time) x = nn_add(ctx, x, z, 1, (float)d.sigma[time]);
        }
        code = unpack(host, ctx, x, target_frames, SAMPLES, &arena, err);
        double absolutes = 0;
        for (int i = 0; i < SAMPLES * FRAMES * FEATURES; i++) absolutes += fabs((double)host[i]);
        for (int i = 0; i < 4 && !code; i++)
            near(p, "a sample", (double)host[at[i]], given[k].value[i], 1e-5);
        if (!code) near(p, "absolutes of samples", absolutes, given[k].absolutes, 2e-3);
    }
    omnime_network_close(&t);
    me_arena_release(&arena);
    return code;
}

/* ---- 11.4: tables
 * --------------------------------------------------------------------------------------- */

static me_code check_tables(parity *p, me_err *err)
{
    enum { WIDTH = 512, ROWS = 301 };
    float *table = malloc((size_t)(ROWS * WIDTH) * sizeof *table), tau[MODEL_OMNIME_TAU];
    if (!table) return me_fail_mem(err, "tables");
    static const double pe1[] = {0.14112, -0.9899925, 0.2450855, -0.9695015};
    static const struct {
        int at;
        double value;
    } pe2[] = {{0, 0.14112},      {1, 0.2450854},    {255, 0.000311},
               {256, -0.9899925}, {257, -0.9695015}, {511, 0.9999999}},
      time[] = {{0, 0.814181},    {1, 0.1416232},    {127, 0.9999169},
                {128, 0.5806112}, {129, -0.9899206}, {255, 0.0128949}};
    model_omnime_interleaved(table, ROWS, WIDTH);
    for (int i = 0; i < 4; i++) near(p, "PE1", (double)table[3 * WIDTH + i], pe1[i], 1e-6);
    near(p, "PE1[300,510]", (double)table[300 * WIDTH + 510], 0.031094, 1e-6);
    near(p, "PE1[300,511]", (double)table[300 * WIDTH + 511], 0.9995165, 1e-6);
    model_omnime_halves(table, 4, WIDTH);
    model_omnime_timestep(tau, 120);
    for (int i = 0; i < 6; i++) {
        near(p, "PE2", (double)table[3 * WIDTH + pe2[i].at], pe2[i].value, 1e-6);
        near(p, "tau", (double)tau[time[i].at], time[i].value, 1e-6);
    }
    free(table);
    return ME_OK;
}

me_code parity_omnime_golden(parity *p, const char *folder, me_err *err)
{
    (void)folder;
    nn_backend *be = NULL;
    near(p, "the fill", parity_fill(7, 0), -0.34371408, 1e-8);
    me_code code = check_tables(p, err);
    if (!code) code = nn_backend_open(&be, p->device, 0, err);
    for (int i = 0; i < COUNT(variants) && !code; i++)
        code = check_variant(p, be, &variants[i], err);
    if (!code) code = check_sampling(p, be, err);
    if (be) nn_backend_close(be);
    return code;
}
