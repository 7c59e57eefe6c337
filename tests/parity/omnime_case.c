/* tests/parity/omnime_case.c: OmniME's denoiser: what it predicts, its heads, every term of the
 * loss, every gradient, one AdamW step, a guided prediction and steps of the sampler with their
 * stored noise. Training is checked as the reference pads its batches, sampling on packed ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "metrics/result.h"
#include "models/diffusion.h"
#include "models/omnime_guide.h"
#include "models/omnime_loss.h"
#include "motion/similarity.h"
#include "nn/backend.h"
#include "tests/parity/arrays.h"
#include "tests/parity/gradients.h"
#include "tests/parity/parity.h"
#include "tests/support/omnime_network.h"

#define MOST 64 /* samples of a case */

typedef struct batch {
    int64_t n, s, t, features, text_width;
    int32_t *source_frames, *target_frames, *timestep, *drop_text, *drop_motion, *use_aux;
    float *source, *x0, *x_t, *noise, *text, *negative, *uncond, *score;
    double *scores;            /* as the loss wants them */
    model_diffusion diffusion; /* what x_t was made with */
} batch;

/* ---- the case
 * ------------------------------------------------------------------------------------------ */

static me_code read_batch(batch *b, const me_value *io, const me_value *config, me_arena *arena,
                          me_err *err)
{
    const struct {
        const char *name;
        float **to;
    } floats[] = {{"source", &b->source},      {"x0", &b->x0},      {"xt", &b->x_t},
                  {"noise", &b->noise},        {"text", &b->text},  {"neg_text", &b->negative},
                  {"uncond_text", &b->uncond}, {"score", &b->score}};
    const struct {
        const char *name;
        int32_t **to;
    } ints[] = {{"length_source", &b->source_frames},
                {"length_target", &b->target_frames},
                {"t", &b->timestep},
                {"drop_text", &b->drop_text},
                {"drop_motion", &b->drop_motion},
                {"use_aux", &b->use_aux}};
    me_code code = ME_OK;
    int64_t n = 0;
    for (size_t i = 0; i < sizeof floats / sizeof *floats && !code; i++)
        code = parity_floats(floats[i].to, &n, io, floats[i].name, arena, err);
    for (size_t i = 0; i < sizeof ints / sizeof *ints && !code; i++)
        code = parity_ints(ints[i].to, &b->n, io, ints[i].name, arena, err);
    if (code) return code;
    const me_array *source = &me_dict_get(io, "source")->as.array;
    const me_array *target = &me_dict_get(io, "x0")->as.array;
    const me_array *text = &me_dict_get(io, "text")->as.array;
    if (source->ndim != 3 || target->ndim != 3 || text->ndim != 2 || source->shape[0] != b->n ||
        b->n > MOST)
        return me_fail(err, ME_EFORMAT, "expected (B,S,D), (B,T,D) and (B,C), at most %d of B",
                       MOST);
    b->s = source->shape[1];
    b->t = target->shape[1];
    b->features = source->shape[2];
    b->text_width = text->shape[1];
    b->scores = ME_NEW_ARRAY(arena, n, double);
    if (!b->scores) return me_fail_mem(err, "scores");
    for (int64_t i = 0; i < n; i++) b->scores[i] = (double)b->score[i];
    return model_diffusion_init(&b->diffusion, arena, (int)parity_size(config, "diffusion_steps"),
                                err);
}

static me_code open_model(omnime_network *m, nn_backend *be, const batch *b, const me_value *config,
                          const char *weights, me_err *err)
{
    const me_value *ablation = me_dict_get(config, "ablation");
    const model_omnime_config c = {
        .features = b->features,
        .text_width = b->text_width,
        .width = parity_size(config, "latent_dim"),
        .ff = parity_size(config, "ff_size"),
        .heads = parity_size(config, "num_heads"),
        .layers = parity_size(config, "num_layers"),
        .fusion_layers = parity_size(config, "encoder_layers"),
        .head_width = 1024,
        .classes = parity_size(config, "n_cls"),
        .embedding = parity_size(config, "repr_dim"),
        .steps = parity_size(config, "diffusion_steps"),
        .inter = true,
        .dit_text = ablation && me_string_equals(ablation, "no_text") ? MODEL_DIT_TEXT_NONE
                                                                      : MODEL_DIT_TEXT_FUSED,
    };
    me_doc state;
    me_code code = omnime_network_open(m, be, &c, err);
    if (!code && !(code = me_doc_open(&state, weights, err))) {
        code = model_omnime_net_load(&m->net, state.root, "", err);
        me_doc_close(&state);
    }
    return code ? code : model_omnime_net_tables(&m->net, err);
}

/* ---- comparisons of padded references with packed tensors
 * ------------------------------------------- */

/* Every element within `tolerance` of the reference, relative to the largest of the reference. */
static me_code check_tensor(parity *p, const char *what, nn_ctx *ctx, const nn_tensor *x,
                            const float *reference, double tolerance, me_arena *arena, me_err *err)
{
    const int64_t n = nn_count(x);
    float *host = ME_NEW_ARRAY(arena, n, float);
    if (!host || !reference) return me_fail_mem(err, what);
    me_code code = nn_to_host(ctx, x, host, err);
    if (!code) parity_error(p, what, parity_distance(host, reference, n), tolerance);
    return code;
}

static me_code check_packed(parity *p, const char *what, nn_ctx *ctx, const nn_tensor *x,
                            const me_value *io, const char *name, int64_t n, int64_t longest,
                            const int32_t *lengths, double tolerance, me_arena *arena, me_err *err)
{
    float *padded;
    int64_t count;
    me_code code = parity_floats(&padded, &count, io, name, arena, err);
    const int64_t columns = x->shape[1];
    if (!code && count != n * longest * columns)
        code = me_fail(err, ME_EFORMAT, "%s: expected %lld numbers", name,
                       (long long)(n * longest * columns));
    if (code) return code;
    return check_tensor(p, what, ctx, x, parity_pack(padded, n, longest, columns, lengths, arena),
                        tolerance, arena, err);
}

/* ---- training
 * ------------------------------------------------------------------------------------------ */

typedef struct padded {
    int32_t source_rows[MOST], source_seen[MOST], target_rows[MOST], first[MOST];
    bool zero[MOST], text_kept[MOST], motion_kept[MOST], teaches[MOST];
    const double *score[MOST];
} padded;

static void fill_padded(padded *q, const batch *b)
{
    for (int64_t i = 0; i < b->n; i++) {
        q->source_rows[i] = (int32_t)b->s;
        q->source_seen[i] = b->drop_motion[i] ? 0 : b->source_frames[i];
        q->target_rows[i] = (int32_t)b->t;
        q->first[i] = (int32_t)b->s + 1;
        q->motion_kept[i] = !b->drop_motion[i];
        q->zero[i] = b->drop_motion[i];
        q->text_kept[i] = !b->drop_text[i];
        q->teaches[i] = b->use_aux[i];
        q->score[i] = b->scores + i * b->s;
    }
}

/* The source rows of samples whose source was not dropped. */
static nn_tensor *kept_sources(nn_ctx *ctx, const batch *b, me_arena *arena)
{
    int32_t rows[MOST];
    int64_t sum = 0;
    for (int64_t i = 0; i < b->n; i++) sum += rows[i] = b->drop_motion[i] ? 0 : (int32_t)b->s;
    return nn_from_host(ctx, parity_pack(b->source, b->n, b->s, b->features, rows, arena), sum,
                        b->features);
}

static me_code check_losses(parity *p, nn_ctx *ctx, const model_terms *terms,
                            const model_omnime_weights *w, const model_omnime_truth *truth,
                            nn_tensor *loss, const me_value *golden, me_arena *arena, me_err *err)
{
    static const char *const groups[] = {"body_transl_delta_pelv", "body_orient_xy",
                                         "z_orient_delta", "body_pose",
                                         "body_joints_local_wo_z_rot"};
    const me_value *losses = me_dict_get(golden, "losses");
    me_code code = ME_OK;
    for (int i = 0; i < terms->n + 1 + MOTION_EDITOR_GROUPS && !code; i++) {
        const bool term = i<terms->n, group = i> terms->n;
        const char *name = term    ? terms->name[i]
                           : group ? me_arena_printf(arena, "feature.%s", groups[i - terms->n - 1])
                                   : "total";
        /* The reference reports this one with its weight. */
        const bool identity = !strcmp(name, "preserve");
        if (identity) name = "identity";
        const me_value *v = me_dict_get(losses, name);
        float value;
        code = nn_to_host(ctx,
                          term    ? terms->value[i]
                          : group ? truth->groups[i - terms->n - 1]
                                  : loss,
                          &value, err);
        if (code || !v) continue;
        const double wanted = v->kind == ME_INT ? (double)v->as.integer : v->as.number;
        parity_error(p, me_arena_printf(arena, "loss %s", name),
                     fabs((double)value * (identity ? w->preserve : 1) - wanted) /
                         fmax(fabs(wanted), 1e-12),
                     1e-5);
    }
    return code;
}

static me_code check_outputs(parity *p, omnime_network *m, const batch *b, const padded *q,
                             const me_value *io, const model_omnime_layout *layout,
                             const model_omnime_condition *condition,
                             const model_omnime_output *out, const model_omnime_truth *truth,
                             me_arena *arena, me_err *err)
{
    nn_ctx *ctx = &m->ctx;
    const struct {
        const char *name;
        const nn_tensor *x;
    } frames[] = {{"pred_x0", model_omnime_plain(ctx, &m->net, out->x0)},
                  {"inter1", model_omnime_plain(ctx, &m->net, out->inter[0])},
                  {"inter2", model_omnime_plain(ctx, &m->net, out->inter[1])},
                  {"inter3", model_omnime_plain(ctx, &m->net, out->inter[2])}};
    me_code code = nn_status(ctx, err);
    for (int i = 0; i < 4 && !code; i++)
        code = check_packed(p, frames[i].name, ctx, frames[i].x, io, frames[i].name, b->n, b->t,
                            b->target_frames, 1e-5, arena, err);
    const nn_tensor *logits = model_omnime_similarity(ctx, &m->net, layout->source_rows, condition);
    if (!code)
        code = check_packed(p, "source_logits", ctx, logits, io, "source_logits", b->n, b->s,
                            q->source_rows, 1e-5, arena, err);
    const struct {
        const char *name;
        const nn_tensor *x;
    } rows[] = {{"motion_embedding", nn_mean_pool(ctx, out->last, layout->target)},
                {"text_latent", condition->text},
                {"neg_text_latent", model_omnime_project_text(ctx, &m->net, truth->negative)}};
    for (int i = 0; i < 3 && !code; i++) {
        float *reference;
        code = parity_floats(&reference, NULL, io, rows[i].name, arena, err);
        if (!code)
            code = check_tensor(p, rows[i].name, ctx, rows[i].x, reference, 1e-5, arena, err);
    }
    return code;
}

static me_code check_training(parity *p, omnime_network *m, const batch *b, const me_value *io,
                              const me_value *golden, me_arena *arena, me_err *err)
{
    nn_ctx *ctx = &m->ctx;
    padded q;
    fill_padded(&q, b);
    const me_value *given = me_dict_get(golden, "weights");
    const model_omnime_weights w = {.cls = metric_result_number(given, "cls"),
                                    .retro = metric_result_number(given, "retro"),
                                    .triplet = metric_result_number(given, "triplet"),
                                    .preserve = 0.2,
                                    .margin = 0.2,
                                    .class_weights = true,
                                    .retro_padded = true,
                                    .pool_padded = true,
                                    .preserve_form = MODEL_PRESERVE_CODE};
    const model_omnime_batch layout_of = {.n = b->n,
                                          .source_rows = q.source_rows,
                                          .source_seen = q.source_seen,
                                          .source_zero = q.zero,
                                          .target_rows = q.target_rows,
                                          .target_seen = b->target_frames,
                                          .first_target = q.first};
    nn_tape_new(ctx);
    ctx->training = true;
    model_omnime_truth truth = {.x0 = nn_from_host(ctx, b->x0, b->n * b->t, b->features),
                                .negative = nn_from_host(ctx, b->negative, b->n, b->text_width),
                                .score = q.score,
                                .teaches = q.teaches,
                                .text_kept = q.text_kept,
                                .motion_kept = q.motion_kept,
                                .source_frames = b->source_frames,
                                .equal_lengths = b->s == b->t};
    model_omnime_layout layout;
    nn_tensor *mod[MODEL_MOST_LAYERS];
    model_omnime_layout_make(&layout, ctx, &layout_of);
    model_omnime_condition condition =
        model_omnime_fuse(ctx, &m->net, &layout, kept_sources(ctx, b, arena),
                          nn_from_host(ctx, b->text, b->n, b->text_width));
    model_omnime_modulations(
        ctx, &m->net, nn_index_new(ctx, b->timestep, b->n, m->net.config.steps), condition.y, mod);
    model_omnime_output out =
        model_omnime_denoise(ctx, &m->net, &layout, &condition, mod,
                             nn_from_host(ctx, b->x_t, b->n * b->t, b->features), true);
    model_terms terms;
    nn_tensor *loss =
        model_omnime_loss(ctx, &m->net, &layout_of, &layout, &condition, &out, &truth, &w, &terms);
    me_code code = nn_status(ctx, err);
    if (!code) code = check_losses(p, ctx, &terms, &w, &truth, loss, golden, arena, err);
    nn_tape *tape = ctx->tape;
    ctx->tape = NULL;
    if (!code) code = check_outputs(p, m, b, &q, io, &layout, &condition, &out, &truth, arena, err);
    ctx->tape = tape;
    if (!code) nn_backward(ctx, loss);
    ctx->tape = NULL;
    ctx->training = false;
    return code ? code : nn_status(ctx, err);
}

/* x_t of the case from our schedule. */
static void check_corruption(parity *p, const batch *b)
{
    double worst = 0;
    const int64_t each = b->t * b->features;
    for (int64_t i = 0; i < b->n * each; i++) {
        const int32_t t = b->timestep[i / each];
        const float x = (float)b->diffusion.sqrt_abar[t] * b->x0[i] +
                        (float)b->diffusion.sqrt_one_minus_abar[t] * b->noise[i];
        worst = fmax(worst, fabs((double)x - (double)b->x_t[i]));
    }
    parity_error(p, "x_t", worst, 1e-5);
}

/* ---- sampling
 * ------------------------------------------------------------------------------------------ */

static me_code check_sampling(parity *p, omnime_network *m, const batch *b, const me_value *io,
                              const me_value *config, me_arena *arena, me_err *err)
{
    nn_ctx *ctx = &m->ctx;
    int32_t s_max[MOST], *times = NULL;
    float *z = NULL, *noise = NULL, *reference = NULL;
    int64_t source_rows = 0, rows = 0, steps = 0;
    for (int64_t i = 0; i < b->n; i++) {
        s_max[i] = (int32_t)b->s;
        source_rows += b->source_frames[i];
        rows += b->target_frames[i];
    }
    me_code code = parity_floats(&z, NULL, io, "z", arena, err);
    if (!code) code = parity_floats(&noise, NULL, io, "loop_noise", arena, err);
    if (!code) code = parity_floats(&reference, NULL, io, "loop_x", arena, err);
    if (!code) code = parity_ints(&times, &steps, io, "loop_t", arena, err);
    float *text = ME_NEW_ARRAY(arena, (b->n + 1) * b->text_width, float);
    if (!code && !text) code = me_fail_mem(err, "texts");
    if (code) return code;
    memcpy(text, b->text, (size_t)(b->n * b->text_width) * sizeof *text);
    memcpy(text + b->n * b->text_width, b->uncond, (size_t)b->text_width * sizeof *text);

    nn_reset(ctx);
    const model_omnime_request request = {
        .n = b->n,
        .source = nn_from_host(
            ctx, parity_pack(b->source, b->n, b->s, b->features, b->source_frames, arena),
            source_rows, b->features),
        .text = nn_from_host(ctx, text, b->n + 1, b->text_width),
        .source_frames = b->source_frames,
        .target_frames = b->target_frames,
        .s_max = s_max,
        .motion = metric_result_number(config, "guidance_motion"),
        .both = metric_result_number(config, "guidance_text_n_motion"),
    };
    for (int ways = 2; ways <= 3 && !code; ways++) {
        model_omnime_request q = request;
        q.cfg = ways == 2 ? MODEL_CFG_AUTO : MODEL_CFG_3WAY;
        model_omnime_guide guide;
        model_omnime_guide_make(&guide, ctx, &m->net, &q);
        nn_tensor *x =
            nn_from_host(ctx, parity_pack(z, b->n, b->t, b->features, b->target_frames, arena),
                         rows, b->features);
        nn_tensor *x0 = model_omnime_guided(ctx, &guide, x, 150);
        code = nn_status(ctx, err);
        if (!code)
            code = check_packed(p, me_arena_printf(arena, "guided_150, %d passes", ways), ctx, x0,
                                io, "guided_150", b->n, b->t, b->target_frames, 1e-5, arena, err);
        for (int64_t i = 0; i < steps && !code; i++) {
            const int32_t t = times[i];
            const int64_t at = i * b->n * b->t * b->features;
            x0 = model_omnime_guided(ctx, &guide, x, t);
            x = nn_add(ctx, x0, x, (float)b->diffusion.c1[t], (float)b->diffusion.c2[t]);
            nn_tensor *drawn = nn_from_host(
                ctx, parity_pack(noise + at, b->n, b->t, b->features, b->target_frames, arena),
                rows, b->features);
            if (t) x = nn_add(ctx, x, drawn, 1, (float)b->diffusion.sigma[t]);
            code = nn_status(ctx, err);
            if (!code)
                code = check_tensor(
                    p, me_arena_printf(arena, "sampler at t = %d, %d passes", t, ways), ctx, x,
                    parity_pack(reference + at, b->n, b->t, b->features, b->target_frames, arena),
                    1e-5, arena, err);
        }
    }
    return code;
}

me_code parity_omnime(parity *p, const char *folder, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    nn_backend *be = NULL;
    omnime_network m = {0};
    batch b = {0};
    parity_files f;
    me_code code = parity_files_open(&f, folder, &arena, err);
    if (!code) {
        code = read_batch(&b, f.io.root, f.config, &arena, err);
        if (!code) code = nn_backend_open(&be, p->device, 0, err);
        if (!code)
            code =
                open_model(&m, be, &b, f.config, me_path_join(&arena, folder, "denoiser.pt"), err);
        if (!code) check_corruption(p, &b);
        if (!code) code = check_training(p, &m, &b, f.io.root, f.golden, &arena, err);
        if (!code) code = parity_check_gradients(p, &m.params, folder, f.golden, &arena, err);
        if (!code) code = check_sampling(p, &m, &b, f.io.root, f.config, &arena, err);
        if (!code) code = parity_check_step(p, &m.ctx, &m.params, folder, 1e-4, &arena, err);
        omnime_network_close(&m);
        if (be) nn_backend_close(be);
        parity_files_close(&f);
    }
    me_arena_release(&arena);
    return code;
}
