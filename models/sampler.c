/* models/sampler.c: see sampler.h. */
#include "models/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "models/diffusion.h"
#include "models/omnime.h"
#include "nn/backend.h"

typedef struct run {
    model_omnime_file *file;
    nn_text *text;
    const model_sample_options *o;
    nn_ctx ctx;
    model_diffusion diffusion; /* of the steps that are taken */
    int64_t *timestep;         /* of each: what the network is told */
    me_arena arena;
} run;

/* A batch on the host. */
typedef struct chunk {
    const model_sample_job *jobs;
    int64_t n, source_rows, target_rows;
    int32_t *source_frames, *target_frames, *s_max;
    int32_t *stream; /* (n,3) */
    float *mix;      /* (n,2) */
    float *source, *text, *result;
} chunk;

/* ---- a batch
 * ------------------------------------------------------------------------------------------ */

static me_code encode_texts(chunk *c, const run *r, me_arena *arena, me_err *err)
{
    const int64_t width = r->file->net.config.text_width;
    const char **texts = ME_NEW_ARRAY(arena, c->n + 1, const char *);
    nn_text_vectors *v = ME_NEW_ARRAY(arena, c->n + 1, nn_text_vectors);
    c->text = ME_NEW_ARRAY(arena, (c->n + 1) * width, float);
    if (!texts || !v || !c->text) return me_fail_mem(err, "texts");
    for (int64_t i = 0; i < c->n; i++)
        if (!(texts[i] = model_omnime_lower(arena, c->jobs[i].text)))
            return me_fail_mem(err, "texts");
    texts[c->n] = "";
    me_code code = nn_text_encode(r->text, texts, c->n + 1, v, err);
    for (int64_t i = 0; i <= c->n && code == ME_OK; i++)
        memcpy(c->text + i * width, v[i].sentence, (size_t)width * sizeof *c->text);
    return code;
}

/* Where targets begin: the same for every batch, or after the batch's longest source. */
static void choose_s_max(chunk *c, const run *r)
{
    int64_t wanted = r->o->s_max == MODEL_S_MAX_OF_FILE ? r->file->s_max : r->o->s_max;
    int32_t longest = 0;
    for (int64_t i = 0; i < c->n; i++)
        if (c->source_frames[i] > longest) longest = c->source_frames[i];
    for (int64_t i = 0; i < c->n; i++) {
        int32_t s = wanted ? (int32_t)wanted : longest;
        c->s_max[i] = s > c->source_frames[i] ? s : c->source_frames[i];
    }
}

static me_code prepare(chunk *c, const run *r, me_arena *arena, me_err *err)
{
    int32_t *ints = ME_NEW_ARRAY(arena, 6 * c->n, int32_t);
    c->mix = ME_NEW_ARRAY(arena, 2 * c->n, float);
    if (!ints || !c->mix) return me_fail_mem(err, "a batch");
    c->source_frames = ints;
    c->target_frames = ints + c->n;
    c->s_max = ints + 2 * c->n;
    c->stream = ints + 3 * c->n;
    for (int64_t i = 0; i < c->n; i++) {
        const model_sample_job *job = &c->jobs[i];
        uint64_t seed = me_hash64(job->key, strlen(job->key), r->o->seed);
        c->source_frames[i] = (int32_t)job->source->frames;
        c->target_frames[i] = (int32_t)job->frames;
        c->source_rows += job->source->frames;
        c->target_rows += job->frames;
        c->stream[3 * i] = (int32_t)(uint32_t)seed;
        c->stream[3 * i + 1] = (int32_t)(uint32_t)(seed >> 32);
    }
    choose_s_max(c, r);
    c->source = ME_NEW_ARRAY(arena, c->source_rows * MOTION_EDITOR, float);
    c->result = ME_NEW_ARRAY(arena, c->target_rows * MOTION_EDITOR, float);
    if (!c->source || !c->result) return me_fail_mem(err, "a batch");
    me_code code = ME_OK;
    for (int64_t i = 0, row = 0; i < c->n && code == ME_OK; row += c->source_frames[i++])
        code = model_omnime_features(c->source + row * MOTION_EDITOR, c->jobs[i].source,
                                     &r->file->stats, err);
    return code == ME_OK ? encode_texts(c, r, arena, err) : code;
}

/* ---- the chain
 * ---------------------------------------------------------------------------------------- */

/* keep * x + scale * noise, each sample from its own stream; `site` tells the draws of a chain
 * apart. */
static nn_tensor *add_noise(nn_ctx *ctx, const chunk *c, const nn_packing *seq, const nn_tensor *x,
                            double scale, int64_t site)
{
    for (int64_t i = 0; i < c->n; i++) {
        c->mix[2 * i] = 1;
        c->mix[2 * i + 1] = (float)scale;
        c->stream[3 * i + 2] = (int32_t)site;
    }
    nn_tensor *stream = nn_new2(ctx, NN_I32, c->n, 3);
    if (ctx->err.code == ME_OK)
        ctx->be->upload(ctx->be, stream->data, c->stream, (size_t)(3 * c->n) * sizeof *c->stream);
    return nn_noise(ctx, x, nn_from_host(ctx, c->mix, c->n, 2), stream, seq, MOTION_EDITOR);
}

/* From noise to x_0, one step at a time; what a step makes is given up after it. */
static me_code denoise(run *r, chunk *c, int64_t before, int64_t all, me_err *err)
{
    nn_ctx *ctx = &r->ctx;
    const model_diffusion *d = &r->diffusion;
    const size_t bytes = (size_t)(c->target_rows * MOTION_EDITOR) * sizeof(float);
    nn_reset(ctx);
    const model_omnime_request q = {
        .n = c->n,
        .source = nn_from_host(ctx, c->source, c->source_rows, MOTION_EDITOR),
        .text = nn_from_host(ctx, c->text, c->n + 1, r->file->net.config.text_width),
        .source_frames = c->source_frames,
        .target_frames = c->target_frames,
        .s_max = c->s_max,
        .motion = r->o->motion,
        .both = r->o->both,
        .cfg = r->o->cfg,
        .hide_unconditional = r->o->hide_unconditional,
    };
    model_omnime_guide guide;
    model_omnime_guide_make(&guide, ctx, &r->file->net, &q);
    nn_packing *seq = nn_packing_new(ctx, c->target_frames, c->n);
    if (ctx->err.code != ME_OK) return nn_status(ctx, err);
    nn_tensor *x = add_noise(ctx, c, seq, NULL, 1, 0);
    me_code code = nn_status(ctx, err);
    for (int64_t step = d->steps - 1; step >= 0 && code == ME_OK; step--) {
        nn_mark_state mark = nn_mark(ctx);
        nn_tensor *x0 = model_omnime_guided(ctx, &guide, x, r->timestep[step]);
        nn_tensor *next = nn_add(ctx, x0, x, (float)d->c1[step], (float)d->c2[step]);
        if (step) next = add_noise(ctx, c, seq, next, d->sigma[step], 1 + step);
        code = nn_status(ctx, err);
        if (code != ME_OK) break;
        ctx->be->copy(ctx->be, x->data, next->data, bytes);
        nn_rewind(ctx, mark);
        me_progress_text(r->o->log, "sampling %lld of %lld, step %lld of %d",
                         (long long)(before + c->n), (long long)all, (long long)(d->steps - step),
                         d->steps);
    }
    return code == ME_OK ? nn_to_host(ctx, x, c->result, err) : code;
}

/* Normalised features to a pose; channels that are constant in the training data are made so. */
static me_code decode(motion_clip *clip, float *features, int64_t frames, me_arena *arena,
                      const motion_editor_stats *s, me_err *err)
{
    me_code code = motion_clip_new(clip, arena, frames, false, err);
    if (code != ME_OK) return code;
    motion_editor_denormalize(features, frames, s);
    for (int64_t i = 0; i < frames; i++)
        for (int c = 0; c < MOTION_EDITOR; c++)
            if (s->std[c] == 0) features[i * MOTION_EDITOR + c] = s->mean[c];
    motion_editor_to_pose(features, frames, s->translation_mean, clip->pose);
    return ME_OK;
}

static me_code sample_chunk(run *r, chunk *c, int64_t first, int64_t all, model_sample_done done,
                            void *arg, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_code code = prepare(c, r, &arena, err);
    if (code == ME_OK) code = denoise(r, c, first, all, err);
    for (int64_t i = 0, row = 0; i < c->n && code == ME_OK; row += c->target_frames[i++]) {
        motion_clip clip;
        code = decode(&clip, c->result + row * MOTION_EDITOR, c->target_frames[i], &arena,
                      &r->file->stats, err);
        if (code == ME_OK) code = done(arg, first + i, &clip, err);
    }
    me_arena_release(&arena);
    return code;
}

/* ---- all of them
 * -------------------------------------------------------------------------------------- */

static me_code check(const run *r, const model_sample_job *jobs, int64_t n, me_err *err)
{
    const model_omnime_file *f = r->file;
    const char *found = nn_text_identity(r->text);
    if (f->text_identity && strcmp(found, f->text_identity) != 0)
        return me_fail(err, ME_EUSAGE,
                       "the model was trained on the texts of %s, not of %s: give that encoder",
                       f->text_identity, found);
    if (nn_text_sentence_width(r->text) != f->net.config.text_width)
        return me_fail(
            err, ME_EUSAGE, "the model reads texts of %lld numbers, the text encoder gives %lld",
            (long long)f->net.config.text_width, (long long)nn_text_sentence_width(r->text));
    for (int64_t i = 0; i < n; i++) {
        int64_t source = jobs[i].source->frames, frames = jobs[i].frames;
        if (source < 1 || frames < 1 || source + frames >= MODEL_OMNIME_POSITIONS / 2)
            return me_fail(err, ME_EDATA,
                           "%s: %lld source and %lld target frames: expected at least one each "
                           "and fewer than %d together",
                           jobs[i].key, (long long)source, (long long)frames,
                           MODEL_OMNIME_POSITIONS / 2);
    }
    return ME_OK;
}

static me_code prepare_steps(run *r, me_err *err)
{
    model_diffusion full;
    const int steps = (int)r->file->net.config.steps;
    const int64_t taken = r->o->steps ? r->o->steps : steps;
    if (taken < 1 || taken > steps)
        return me_fail(err, ME_EUSAGE, "steps: expected 1 to %d, found %lld", steps,
                       (long long)taken);
    me_code code = model_diffusion_init(&full, &r->arena, steps, err);
    return code == ME_OK ? model_diffusion_respace(&r->diffusion, &r->timestep, &r->arena, &full,
                                                   (int)taken, err)
                         : code;
}

me_code model_sample(model_omnime_file *file, nn_text *text, const model_sample_job *jobs,
                     int64_t n, const model_sample_options *o, model_sample_done done, void *arg,
                     me_err *err)
{
    run r = {.file = file, .text = text, .o = o};
    me_code code = check(&r, jobs, n, err);
    if (code == ME_OK) code = prepare_steps(&r, err);
    if (code == ME_OK && o->precision == NN_BF16_MIXED && !file->params.shadow)
        code = nn_params_shadow(&file->params, err);
    if (code == ME_OK) code = nn_ctx_open(&r.ctx, file->params.be, o->precision, err);
    if (code == ME_OK) {
        const int64_t batch = o->batch > 0 ? o->batch : 128;
        for (int64_t from = 0; from < n && code == ME_OK; from += batch) {
            chunk c = {.jobs = jobs + from, .n = n - from < batch ? n - from : batch};
            code = sample_chunk(&r, &c, from, n, done, arg, err);
        }
        me_progress_end(o->log);
        nn_ctx_close(&r.ctx);
    }
    me_arena_release(&r.arena);
    return code;
}
