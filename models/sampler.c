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
    float *texts;              /* (jobs + 1, text width); the last is that of "" */
    int64_t all;               /* jobs */
    me_arena arena;
} run;

/* A batch: what the host knows of it, and, between its launch and its end, what the device has. */
typedef struct chunk {
    const model_sample_job *jobs;
    int64_t first, n, source_rows, target_rows;
    int32_t *source_frames, *target_frames, *s_max;
    float *source, *text, *result;
    me_arena arena;
    nn_tensor *x;
    void *graph;
} chunk;

/* ---- the host's part
 * ------------------------------------------------------------------------------------------ */

/* A GPU wants many tokens at a time: on an H100, motions in batches of 128 took less time than in
 * batches whose activations stay in its cache.
 */
#define SUITABLE_TOKENS 60000

static int64_t s_max_of_run(const run *r)
{
    return r->o->s_max == MODEL_S_MAX_OF_FILE ? r->file->s_max : r->o->s_max;
}

/* How many of the jobs make a batch. */
static int64_t choose_batch(const run *r, const model_sample_job *jobs, int64_t n)
{
    if (r->o->batch > 0) return n < r->o->batch ? n : r->o->batch;
    int64_t s_max = s_max_of_run(r), tokens = 0, count = 0;
    if (!s_max) return n < 128 ? n : 128; /* where a batch says where targets begin: a fixed size */
    for (; count < n && tokens < SUITABLE_TOKENS; count++) {
        int64_t source = jobs[count].source->frames;
        tokens += source + (s_max > source ? s_max : source) + 2 * jobs[count].frames + 2;
    }
    return count > 1 && tokens > SUITABLE_TOKENS ? count - 1 : count;
}

static me_code encode_texts(run *r, const model_sample_job *jobs, int64_t n, me_err *err)
{
    const int64_t width = r->file->net.config.text_width;
    const char **texts = ME_NEW_ARRAY(&r->arena, n + 1, const char *);
    nn_text_vectors *v = ME_NEW_ARRAY(&r->arena, n + 1, nn_text_vectors);
    r->texts = ME_NEW_ARRAY(&r->arena, (n + 1) * width, float);
    if (!texts || !v || !r->texts) return me_fail_mem(err, "texts");
    for (int64_t i = 0; i < n; i++)
        if (!(texts[i] = model_omnime_lower(&r->arena, jobs[i].text)))
            return me_fail_mem(err, "texts");
    texts[n] = "";
    me_code code = nn_text_encode(r->text, texts, n + 1, v, err);
    for (int64_t i = 0; i <= n && code == ME_OK; i++)
        memcpy(r->texts + i * width, v[i].sentence, (size_t)width * sizeof *r->texts);
    return code;
}

/* Where targets begin: the same for every batch, or after the batch's longest source. */
static void choose_s_max(chunk *c, const run *r)
{
    int64_t wanted = s_max_of_run(r);
    int32_t longest = 0;
    for (int64_t i = 0; i < c->n; i++)
        if (c->source_frames[i] > longest) longest = c->source_frames[i];
    for (int64_t i = 0; i < c->n; i++) {
        int32_t s = wanted ? (int32_t)wanted : longest;
        c->s_max[i] = s > c->source_frames[i] ? s : c->source_frames[i];
    }
}

static me_code features_of(chunk *c, const run *r, me_err *err)
{
    int64_t *start = ME_NEW_ARRAY(&c->arena, c->n + 1, int64_t);
    if (!start) return me_fail_mem(err, "a batch");
    for (int64_t i = 0; i < c->n; i++) start[i + 1] = start[i] + c->source_frames[i];
    me_code code = ME_OK;
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < c->n; i++) {
        me_err own = {0};
        if (model_omnime_features(c->source + start[i] * MOTION_EDITOR, c->jobs[i].source,
                                  &r->file->stats, &own) == ME_OK)
            continue;
#pragma omp critical(sampler_failure)
        code = me_fail(err, own.code, "%s", own.msg);
    }
    return code;
}

static me_code prepare(chunk *c, const run *r, me_err *err)
{
    const int64_t width = r->file->net.config.text_width;
    int32_t *ints = ME_NEW_ARRAY(&c->arena, 3 * c->n, int32_t);
    c->text = ME_NEW_ARRAY(&c->arena, (c->n + 1) * width, float);
    if (!ints || !c->text) return me_fail_mem(err, "a batch");
    c->source_frames = ints;
    c->target_frames = ints + c->n;
    c->s_max = ints + 2 * c->n;
    for (int64_t i = 0; i < c->n; i++) {
        c->source_frames[i] = (int32_t)c->jobs[i].source->frames;
        c->target_frames[i] = (int32_t)c->jobs[i].frames;
        c->source_rows += c->jobs[i].source->frames;
        c->target_rows += c->jobs[i].frames;
    }
    memcpy(c->text, r->texts + c->first * width, (size_t)(c->n * width) * sizeof *c->text);
    memcpy(c->text + c->n * width, r->texts + r->all * width, (size_t)width * sizeof *c->text);
    choose_s_max(c, r);
    c->source = ME_NEW_ARRAY(&c->arena, c->source_rows * MOTION_EDITOR, float);
    c->result = ME_NEW_ARRAY(&c->arena, c->target_rows * MOTION_EDITOR, float);
    return c->source && c->result ? features_of(c, r, err) : me_fail_mem(err, "a batch");
}

/* ---- the chain
 * ---------------------------------------------------------------------------------------- */

/* One step, as it is recorded: what changes from step to step is read from the device. */
typedef struct chain {
    nn_ctx *ctx;
    model_omnime_guide guide;
    nn_denoise_args step;
    nn_tensor *low; /* x, padded, in the type of activations: what the network reads */
} chain;

static void run_step(void *arg)
{
    chain *h = arg;
    nn_mark_state mark = nn_mark(h->ctx);
    nn_tensor *x0 = model_omnime_passes(h->ctx, &h->guide, h->low);
    if (h->ctx->err.code != ME_OK) return;
    h->step.x0 = x0->data;
    h->step.x0_stride = x0->shape[1];
    h->step.dtype = x0->dtype;
    h->ctx->be->denoise(h->ctx->be, &h->step);
    nn_rewind(h->ctx, mark);
}

/* What a step reads, in one piece of memory here and there: its numbers, every token sequence's
 * timestep, and every sample's stream of noise. */
typedef struct inputs {
    nn_denoise_step *numbers;
    int32_t *times, *stream;
    size_t bytes;
    nn_tensor *device;
} inputs;

#define NUMBERS ((int64_t)(sizeof(nn_denoise_step) / sizeof(int32_t)))

static bool inputs_open(inputs *in, nn_ctx *ctx, chunk *c, int64_t sequences, uint64_t seed)
{
    const int64_t words = NUMBERS + sequences + 3 * c->n;
    int32_t *host = ME_NEW_ARRAY(&c->arena, words, int32_t);
    in->device = nn_new(ctx, NN_I32, 1, &words);
    if (!host) me_fail_mem(&ctx->err, "a batch");
    if (ctx->err.code != ME_OK) return false;
    in->bytes = (size_t)words * sizeof *host;
    in->numbers = (nn_denoise_step *)(void *)host;
    in->times = host + NUMBERS;
    in->stream = in->times + sequences;
    for (int64_t i = 0; i < c->n; i++) {
        const char *key = c->jobs[i].key;
        uint64_t of_key = me_hash64(key, strlen(key), seed);
        in->stream[3 * i] = (int32_t)(uint32_t)of_key;
        in->stream[3 * i + 1] = (int32_t)(uint32_t)(of_key >> 32);
    }
    return true;
}

/* `site` tells the draws of a chain apart. */
static void set_inputs(inputs *in, nn_ctx *ctx, const chunk *c, int64_t sequences, int64_t t,
                       int64_t site)
{
    for (int64_t i = 0; i < sequences; i++) in->times[i] = (int32_t)t;
    for (int64_t i = 0; i < c->n; i++) in->stream[3 * i + 2] = (int32_t)site;
    ctx->be->upload(ctx->be, in->device->data, in->numbers, in->bytes);
}

/* Pure noise, and the chain's arguments. */
static void start_chain(chain *h, const inputs *in, chunk *c)
{
    nn_ctx *ctx = h->ctx;
    const nn_packing *seq = nn_packing_new(ctx, c->target_frames, c->n);
    float *mix = ME_NEW_ARRAY(&c->arena, 2 * c->n, float);
    if (!mix) me_fail_mem(&ctx->err, "a batch");
    if (ctx->err.code != ME_OK) return;
    for (int64_t i = 0; i < c->n; i++) mix[2 * i + 1] = 1;
    int32_t *stream = (int32_t *)in->device->data + (in->stream - (int32_t *)(void *)in->numbers);
    const nn_tensor there = {.dtype = NN_I32, .ndim = 2, .shape = {c->n, 3}, .data = stream};
    c->x = nn_noise(ctx, NULL, nn_from_host(ctx, mix, c->n, 2), &there, seq, MOTION_EDITOR);
    const int64_t padded = model_omnime_padded(h->guide.net);
    h->low = nn_pad(ctx, nn_cast(ctx, c->x, nn_activation_dtype(ctx)), c->target_rows, padded);
    if (ctx->err.code != ME_OK) return;
    h->step = (nn_denoise_args){.m = c->target_rows,
                                .d = MOTION_EDITOR,
                                .segments = c->n,
                                .longest = seq->longest,
                                .passes = h->guide.passes,
                                .step = in->device->data,
                                .stream = stream,
                                .offsets = seq->offsets_device,
                                .x = c->x->data,
                                .low = h->low->data,
                                .low_stride = padded};
}

/* Queues all steps. The first runs as it is, so that memory and kernels are there; then one is
 * recorded, and replayed for the rest. */
static me_code queue_steps(run *r, chunk *c, chain *h, inputs *in, me_err *err)
{
    const model_diffusion *d = &r->diffusion;
    nn_ctx *ctx = &r->ctx;
    me_code code = ME_OK;
    for (int64_t step = d->steps - 1; step >= 0 && code == ME_OK && ctx->err.code == ME_OK;
         step--) {
        *in->numbers = (nn_denoise_step){.of_x0 = (float)d->c1[step],
                                         .of_x = (float)d->c2[step],
                                         .of_noise = step ? (float)d->sigma[step] : 0};
        for (int p = 0; p < h->guide.passes; p++) in->numbers->scale[p] = h->guide.scale[p];
        set_inputs(in, ctx, c, h->guide.layout.n, r->timestep[step], 1 + step);
        if (c->graph)
            ctx->be->graph_launch(ctx->be, c->graph);
        else
            run_step(h);
        if (step == d->steps - 1 && step > 1 && ctx->err.code == ME_OK)
            code = ctx->be->graph_capture(ctx->be, run_step, h, &c->graph, err);
        me_progress_text(r->o->log, "sampling %lld of %lld, step %lld of %d",
                         (long long)(c->first + c->n), (long long)r->all,
                         (long long)(d->steps - step), d->steps);
    }
    return code;
}

/* From noise to x_0. Returns when everything is queued. */
static me_code launch(run *r, chunk *c, me_err *err)
{
    nn_ctx *ctx = &r->ctx;
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
    chain *h = ME_NEW_ARRAY(&c->arena, 1, chain);
    if (!h) return me_fail_mem(err, "a batch");
    h->ctx = ctx;
    inputs in;
    model_omnime_guide_make(&h->guide, ctx, &r->file->net, &q);
    if (ctx->err.code == ME_OK && inputs_open(&in, ctx, c, h->guide.layout.n, r->o->seed)) {
        h->guide.times->device = (int32_t *)in.device->data + NUMBERS;
        set_inputs(&in, ctx, c, h->guide.layout.n, 0, 0);
        start_chain(h, &in, c);
        me_code code = queue_steps(r, c, h, &in, err);
        if (code != ME_OK) return code;
    }
    return ctx->err.code == ME_OK ? ME_OK : nn_status(ctx, err);
}

/* Waits for a batch that was launched. */
static me_code collect(run *r, chunk *c, me_err *err)
{
    me_code code = nn_to_host(&r->ctx, c->x, c->result, err);
    if (c->graph) r->ctx.be->graph_release(r->ctx.be, c->graph);
    c->graph = NULL;
    return code;
}

/* ---- the result
 * --------------------------------------------------------------------------------------- */

/* Normalised features to a pose; channels that are constant in the training data are made so. */
static void decode(motion_clip *clip, float *features, const motion_editor_stats *s)
{
    motion_editor_denormalize(features, clip->frames, s);
    for (int64_t i = 0; i < clip->frames; i++)
        for (int c = 0; c < MOTION_EDITOR; c++)
            if (s->std[c] == 0) features[i * MOTION_EDITOR + c] = s->mean[c];
    motion_editor_to_pose(features, clip->frames, s->translation_mean, clip->pose);
}

static me_code finish(const run *r, chunk *c, model_sample_done done, void *arg, me_err *err)
{
    motion_clip *clips = ME_NEW_ARRAY(&c->arena, c->n, motion_clip);
    int64_t *start = ME_NEW_ARRAY(&c->arena, c->n + 1, int64_t);
    if (!clips || !start) return me_fail_mem(err, "a batch");
    me_code code = ME_OK;
    for (int64_t i = 0; i < c->n && code == ME_OK; i++) {
        start[i + 1] = start[i] + c->target_frames[i];
        code = motion_clip_new(&clips[i], &c->arena, c->target_frames[i], false, err);
    }
    if (code != ME_OK) return code;
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < c->n; i++)
        decode(&clips[i], c->result + start[i] * MOTION_EDITOR, &r->file->stats);
    for (int64_t i = 0; i < c->n && code == ME_OK; i++)
        code = done(arg, c->first + i, &clips[i], err);
    return code;
}

static void chunk_close(chunk *c, const run *r)
{
    if (c->graph) r->ctx.be->graph_release(r->ctx.be, c->graph);
    me_arena_release(&c->arena);
    *c = (chunk){0};
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

/* While the device works on one batch, the host prepares the next and writes the one before. */
static me_code sample_all(run *r, const model_sample_job *jobs, model_sample_done done, void *arg,
                          me_err *err)
{
    chunk now = {0}, next = {0};
    me_code code = ME_OK;
    for (int64_t from = 0; (from < r->all || now.n) && code == ME_OK;) {
        if (from < r->all) {
            next.jobs = jobs + from;
            next.first = from;
            next.n = choose_batch(r, jobs + from, r->all - from);
            from += next.n;
            code = prepare(&next, r, err);
        }
        if (code == ME_OK && now.n) code = collect(r, &now, err);
        if (code == ME_OK && next.n) code = launch(r, &next, err);
        if (code == ME_OK && now.n) code = finish(r, &now, done, arg, err);
        chunk_close(&now, r);
        now = next;
        next = (chunk){0};
    }
    chunk_close(&now, r);
    return code;
}

me_code model_sample(model_omnime_file *file, nn_text *text, const model_sample_job *jobs,
                     int64_t n, const model_sample_options *o, model_sample_done done, void *arg,
                     me_err *err)
{
    run r = {.file = file, .text = text, .o = o, .all = n};
    me_code code = check(&r, jobs, n, err);
    if (code == ME_OK) code = prepare_steps(&r, err);
    if (code == ME_OK && o->precision == NN_BF16_MIXED && !file->params.shadow)
        code = nn_params_shadow(&file->params, err);
    if (code == ME_OK && n) code = encode_texts(&r, jobs, n, err);
    if (code == ME_OK) code = nn_ctx_open(&r.ctx, file->params.be, o->precision, err);
    if (code == ME_OK) {
        code = sample_all(&r, jobs, done, arg, err);
        me_progress_end(o->log);
        nn_ctx_close(&r.ctx);
    }
    me_arena_release(&r.arena);
    return code;
}
