/* models/trainer.c: see trainer.h. */
#include "models/trainer.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "models/checkpoint.h"
#include "models/curves.h"
#include "nn/backend.h"

// clang-format off
#define FIELD(name) offsetof(model_train_options, name)
const me_opt model_train_table[] = {
    {"steps", ME_OPT_INT, FIELD(steps), "0", 0, 1e12, NULL, "N", "training steps; 0: --epochs counts"},
    {"epochs", ME_OPT_INT, FIELD(epochs), "100", 1, 1e9, NULL, "N", "passes over the training items"},
    {"batch", ME_OPT_INT, FIELD(batch), "32", 1, 65536, NULL, "N", "items a step"},
    {"accumulate", ME_OPT_INT, FIELD(accumulate), "1", 1, 1024, NULL, "N", "batches whose gradients are added up before a step"},
    {"lr", ME_OPT_FLOAT, FIELD(lr), "1e-4", 0, 10, NULL, "X", "learning rate of AdamW"},
    {"lr-final", ME_OPT_FLOAT, FIELD(lr_final), "1e-6", 0, 10, NULL, "X", "where the cosine schedule ends"},
    {"schedule", ME_OPT_CHOICE, FIELD(schedule), "constant", 0, 0, "constant|cosine", "NAME", "learning rate over the steps"},
    {"warmup", ME_OPT_INT, FIELD(warmup), "0", 0, 1e9, NULL, "N", "steps of linear rise at the start"},
    {"weight-decay", ME_OPT_FLOAT, FIELD(weight_decay), "0.01", 0, 10, NULL, "X", "AdamW's decay"},
    {"beta1", ME_OPT_FLOAT, FIELD(beta1), "0.9", 0, 1, NULL, "X", "AdamW's first moment"},
    {"beta2", ME_OPT_FLOAT, FIELD(beta2), "0.999", 0, 1, NULL, "X", "AdamW's second moment"},
    {"clip", ME_OPT_FLOAT, FIELD(clip), "0", 0, 1e9, NULL, "X", "largest gradient norm; 0: no clipping"},
    {"ema", ME_OPT_FLOAT, FIELD(ema), "0", 0, 1, NULL, "X", "decay of a moving average of the weights; 0: none"},
    {"seed", ME_OPT_INT, FIELD(seed), "0", 0, 9e15, NULL, "N", "of initial values, order, dropout and noise"},
    {"log-every", ME_OPT_INT, FIELD(log_every), "20", 1, 1e6, NULL, "N", "steps between rows of the curves"},
    {"validate-every", ME_OPT_INT, FIELD(validate_every), "0", 0, 1e9, NULL, "N", "steps between validations; 0: at the end alone"},
    {"save-minutes", ME_OPT_FLOAT, FIELD(save_minutes), "5", 0, 1e6, NULL, "X", "minutes between checkpoints"},
    {"tensorboard", ME_OPT_BOOL, FIELD(tensorboard), "true", 0, 0, NULL, NULL, "write event files beside the CSV"},
    {NULL, ME_OPT_BOOL, 0, NULL, 0, 0, NULL, NULL, NULL},
};
// clang-format on

/* Options that say how long, how often and where, and do not change what a step is to compute. */
static const char *const resumable[] = {
    "epochs",  "steps",  "log-every", "validate-every", "save-minutes", "tensorboard",
    "dataset", "splits", "text",      "device",         "threads"};

int64_t model_steps_per_epoch(int64_t items, int64_t batch)
{
    return (items + batch - 1) / batch;
}

int64_t model_batch_items(int64_t *out, int64_t items, int64_t batch, int64_t step, uint64_t seed,
                          int64_t *permutation, int64_t *permutation_epoch)
{
    int64_t per_epoch = model_steps_per_epoch(items, batch), epoch = step / per_epoch;
    if (*permutation_epoch != epoch) {
        for (int64_t i = 0; i < items; i++) permutation[i] = i;
        me_rng g = me_rng_make(seed, me_hash64("epoch", 5, (uint64_t)epoch));
        me_rng_shuffle(&g, permutation, items);
        *permutation_epoch = epoch;
    }
    int64_t from = step % per_epoch * batch, n = items - from < batch ? items - from : batch;
    memcpy(out, permutation + from, (size_t)n * sizeof *out);
    return n;
}

double model_learning_rate(const model_train_options *o, int64_t step, int64_t steps)
{
    if (step < o->warmup) return o->lr * (double)(step + 1) / (double)o->warmup;
    if (strcmp(o->schedule, "cosine") != 0 || steps <= o->warmup) return o->lr;
    double done = (double)(step - o->warmup) / (double)(steps - o->warmup);
    return o->lr_final + 0.5 * (o->lr - o->lr_final) * (1 + cos(M_PI * (done < 1 ? done : 1)));
}

/* ---- one run
 * -------------------------------------------------------------------------------------------- */

typedef struct session {
    model *m;
    const model_train_options *o;
    const model_train_run *run;
    nn_backend *be;
    nn_ctx ctx;
    me_arena arena;
    int64_t steps; /* in all */
    int64_t *permutation, permutation_epoch, *items;

    /* Losses stay on the device until a row of the curves is due: slot k of the ring holds the
     * total and the terms of the k-th batch since the last row, so that nothing waits in between.
     */
    float *ring, *ring_host;
    int columns; /* 1 + terms */
    int64_t in_ring;
    model_terms terms; /* of the last step: names */

    model_curves *curves, *validation;
    const char *checkpoint, *options_text;
    me_value *metadata;
    double started, last_row, last_save;
    int64_t first_step, last_row_step;
    double loss;
    double flops; /* of the steps */
} session;

#define RING_COLUMNS (1 + MODEL_MOST_TERMS)

/* The echo without what may change on resuming. */
static me_code options_text(char **out, me_arena *arena, const me_value *echo, me_err *err)
{
    me_value *kept = me_value_new(arena, ME_DICT);
    if (!kept) return me_fail_mem(err, "options");
    for (size_t i = 0; i < echo->as.dict.length; i++) {
        bool skip = false;
        for (size_t k = 0; k < sizeof resumable / sizeof *resumable; k++)
            skip |= me_string_equals(echo->as.dict.keys[i], resumable[k]);
        me_code code =
            skip ? ME_OK
                 : me_dict_set(arena, kept, echo->as.dict.keys[i], echo->as.dict.values[i], err);
        if (code != ME_OK) return code;
    }
    return me_json_text(out, arena, kept, err);
}

static me_code open_curves(session *s, me_err *err)
{
    const char *columns[4 + RING_COLUMNS] = {"step", "epoch", "lr", "steps_per_second", "loss"};
    for (int i = 0; i < s->terms.n; i++) columns[5 + i] = s->terms.name[i];
    return model_curves_open(&s->curves, me_path_join(&s->arena, s->run->out, "curves.csv"),
                             s->o->tensorboard ? s->run->out : NULL, "train/", columns,
                             5 + s->terms.n, s->first_step, err);
}

static void name_items(const session *s, int64_t step, char *out, size_t size)
{
    int64_t epoch = -1, *permutation = malloc((size_t)s->m->items * sizeof *permutation);
    int64_t *items = malloc((size_t)s->o->batch * sizeof *items);
    size_t used = 0;
    *out = 0;
    if (permutation && items) {
        int64_t n = model_batch_items(items, s->m->items, s->o->batch, step, (uint64_t)s->o->seed,
                                      permutation, &epoch);
        for (int64_t i = 0; i < n && used + 1 < size; i++) {
            int wrote =
                snprintf(out + used, size - used, "%s%s", i ? " " : "", s->m->keys[items[i]]);
            used += wrote > 0 ? (size_t)wrote : 0;
        }
    }
    free(permutation);
    free(items);
}

static me_code refuse_loss(const session *s, int64_t batch, double loss, me_err *err)
{
    char keys[300];
    name_items(s, batch, keys, sizeof keys);
    return me_fail(err, ME_EDATA, "step %lld: the loss is %f; last good checkpoint: %s; batch: %s",
                   (long long)(batch / s->o->accumulate), loss,
                   me_file_exists(s->checkpoint) ? s->checkpoint : "none", keys);
}

static void show_progress(const session *s, int64_t step, const double *means, double rate)
{
    char terms[200] = "";
    size_t used = 0;
    for (int i = 0; i < s->terms.n && used < sizeof terms; i++)
        used += (size_t)snprintf(terms + used, sizeof terms - used, " %s %.4g", s->terms.name[i],
                                 means[1 + i]);
    const double left = (double)(s->steps - step) / (rate + 1e-9);
    me_progress_text(s->run->log, "step %lld/%lld  loss %.4f %s  %.1f steps/s  %.0f:%02.0f left",
                     (long long)step, (long long)s->steps, means[0], terms, rate, floor(left / 60),
                     floor(fmod(left, 60)));
}

/* Fetches the ring, refuses losses that are not finite, and writes a row of means. */
static me_code flush_ring(session *s, int64_t step, me_err *err)
{
    if (!s->in_ring) return ME_OK;
    s->be->download(s->be, s->ring_host, s->ring,
                    (size_t)s->in_ring * RING_COLUMNS * sizeof *s->ring_host);
    me_code code = s->be->status(s->be, err);
    if (code == ME_OK && !s->curves) code = open_curves(s, err);
    if (code != ME_OK) return code;
    double means[RING_COLUMNS] = {0};
    for (int64_t k = 0; k < s->in_ring; k++) {
        const float *row = s->ring_host + k * RING_COLUMNS;
        if (!isfinite(row[0]))
            return refuse_loss(s, step * s->o->accumulate - s->in_ring + k, (double)row[0], err);
        for (int c = 0; c < s->columns; c++) means[c] += (double)row[c] / (double)s->in_ring;
    }
    const double now = me_seconds();
    const double rate = (double)(step - s->last_row_step) / (now - s->last_row + 1e-9);
    double values[4 + RING_COLUMNS] = {(double)step,
                                       (double)(step * s->o->accumulate) /
                                           (double)model_steps_per_epoch(s->m->items, s->o->batch),
                                       model_learning_rate(s->o, step - 1, s->steps), rate};
    memcpy(values + 4, means, sizeof means);
    s->loss = means[0];
    s->last_row = now;
    s->last_row_step = step;
    s->in_ring = 0;
    show_progress(s, step, means, rate);
    return model_curves_add(s->curves, values, err);
}

/* Forward and backward of the batches of one step, then the optimiser. */
static me_code one_step(session *s, int64_t step, me_err *err)
{
    const model_train_options *o = s->o;
    const double flops = s->ctx.flops;
    nn_params_zero_grad(&s->m->params);
    for (int64_t a = 0; a < o->accumulate; a++) {
        int64_t at = step * o->accumulate + a;
        int64_t n = model_batch_items(s->items, s->m->items, o->batch, at, (uint64_t)o->seed,
                                      s->permutation, &s->permutation_epoch);
        nn_reset(&s->ctx);
        nn_tape_new(&s->ctx);
        s->ctx.training = true;
        s->ctx.seed = me_hash64(&at, sizeof at, (uint64_t)o->seed);
        model_batch batch = {.step = at, .seed = (uint64_t)o->seed, .items = s->items, .n = n};
        nn_tensor *loss = s->m->kind->loss(s->m, &s->ctx, &batch, &s->terms);
        nn_tensor *scaled = loss;
        if (o->accumulate > 1)
            scaled = nn_weighted_sum(&s->ctx, &loss, (float[]){1.0F / (float)o->accumulate}, 1);
        /* No wait for the device, which would be idle until it had been given the way back. */
        if (s->ctx.err.code != ME_OK) return nn_status(&s->ctx, err);
        s->columns = 1 + s->terms.n;
        float *slot = s->ring + s->in_ring++ * RING_COLUMNS;
        s->be->copy(s->be, slot, loss->data, sizeof *slot);
        for (int i = 0; i < s->terms.n; i++)
            s->be->copy(s->be, slot + 1 + i, s->terms.value[i]->data, sizeof *slot);
        nn_backward(&s->ctx, scaled);
        if (s->ctx.err.code != ME_OK) return nn_status(&s->ctx, err); /* before the next reset */
    }
    s->flops += s->ctx.flops - flops;
    nn_adamw_options adamw = nn_adamw_defaults();
    adamw.lr = (float)model_learning_rate(o, step, s->steps);
    adamw.beta1 = (float)o->beta1;
    adamw.beta2 = (float)o->beta2;
    adamw.weight_decay = (float)o->weight_decay;
    adamw.max_grad_norm = (float)o->clip;
    adamw.ema_decay = (float)o->ema;
    return nn_adamw_step(&s->ctx, &s->m->params, &adamw, NULL, err);
}

static me_code validate(session *s, int64_t step, model_scores *scores, me_err *err)
{
    if (!s->m->kind->validate) return ME_OK;
    nn_reset(&s->ctx);
    s->ctx.tape = NULL;
    s->ctx.training = false;
    *scores = (model_scores){0};
    me_code code = s->m->kind->validate(s->m, &s->ctx, scores, err);
    if (code != ME_OK || !scores->n) return code;
    if (!s->validation) {
        const char *columns[1 + MODEL_MOST_SCORES] = {"step"};
        memcpy(columns + 1, scores->name, (size_t)scores->n * sizeof *columns);
        code = model_curves_open(&s->validation,
                                 me_path_join(&s->arena, s->run->out, "validation.csv"),
                                 s->o->tensorboard ? s->run->out : NULL, "validation/", columns,
                                 1 + scores->n, s->first_step, err);
        if (code != ME_OK) return code;
    }
    char text[400];
    size_t used = 0;
    for (int i = 0; i < scores->n && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "  %s %.2f", scores->name[i],
                                 scores->value[i]);
    me_info(s->run->log, "step %lld, validation of %lld:%s", (long long)step,
            (long long)scores->items, text);
    double values[1 + MODEL_MOST_SCORES] = {(double)step};
    memcpy(values + 1, scores->value, (size_t)scores->n * sizeof *values);
    return model_curves_add(s->validation, values, err);
}

static me_code save(session *s, me_err *err)
{
    s->last_save = me_seconds();
    return model_checkpoint_write(s->checkpoint, s->m, s->metadata, err);
}

static bool asked_to_stop(const session *s, int64_t step)
{
    return (s->run->stop && *s->run->stop) || (s->run->stop_at > 0 && step >= s->run->stop_at);
}

static me_code loop(session *s, model_train_result *r, me_err *err)
{
    nn_params *p = &s->m->params;
    me_code code = ME_OK;
    int64_t validated = -1;
    while (p->step < s->steps && !asked_to_stop(s, p->step)) {
        code = one_step(s, p->step, err);
        if (code != ME_OK) return code;
        if (s->in_ring == s->o->log_every * s->o->accumulate || p->step == s->steps)
            code = flush_ring(s, p->step, err);
        if (code == ME_OK && s->o->validate_every && p->step % s->o->validate_every == 0) {
            code = flush_ring(s, p->step, err);
            if (code == ME_OK) code = validate(s, validated = p->step, &r->scores, err);
        }
        if (code == ME_OK && me_seconds() - s->last_save > 60 * s->o->save_minutes) {
            code = flush_ring(s, p->step,
                              err); /* a checkpoint is only made of steps whose loss was finite */
            if (code == ME_OK) code = save(s, err);
        }
        if (code != ME_OK) return code;
    }
    code = flush_ring(s, p->step, err);
    r->finished = p->step >= s->steps;
    if (code == ME_OK && r->finished && validated != p->step)
        code = validate(s, p->step, &r->scores, err);
    if (code == ME_OK) code = save(s, err);
    return code;
}

static me_code put_text(session *s, const char *key, const char *text, me_err *err)
{
    if (!text) return ME_OK;
    me_value *v = me_value_string(&s->arena, text);
    return v ? me_dict_put(&s->arena, s->metadata, key, v, err) : me_fail_mem(err, "provenance");
}

static me_code prepare(session *s, const me_value *echo, me_err *err)
{
    const model_train_options *o = s->o;
    nn_params *p = &s->m->params;
    if (s->m->items < 1) return me_fail(err, ME_EDATA, "there is nothing to train on");
    s->steps = o->steps ? o->steps
                        : o->epochs * model_steps_per_epoch(s->m->items, o->batch) / o->accumulate;
    if (s->steps < 1) s->steps = 1;
    me_code code = me_make_directories(s->run->out, err);
    char *text = NULL;
    s->checkpoint = me_path_join(&s->arena, s->run->out, "last.safetensors");
    s->metadata = me_value_new(&s->arena, ME_DICT);
    s->permutation = malloc((size_t)s->m->items * sizeof *s->permutation);
    s->permutation_epoch = -1;
    s->items = malloc((size_t)o->batch * sizeof *s->items);
    s->ring_host =
        malloc((size_t)(o->log_every * o->accumulate) * RING_COLUMNS * sizeof *s->ring_host);
    if (code == ME_OK &&
        (!s->checkpoint || !s->metadata || !s->permutation || !s->items || !s->ring_host))
        code = me_fail_mem(err, "a training run");
    if (code == ME_OK) code = options_text(&text, &s->arena, echo, err);
    if (code == ME_OK) code = put_text(s, "options", s->options_text = text, err);
    if (code == ME_OK) code = put_text(s, "dataset_sha256", s->run->dataset_sha256, err);
    if (code == ME_OK) code = put_text(s, "text", s->run->text_identity, err);
    if (code == ME_OK) code = put_text(s, "command", s->run->command, err);
    if (code == ME_OK) code = put_text(s, "device", s->be->device, err);
    if (code == ME_OK && !p->grad) code = nn_params_train(p, o->ema > 0, err);
    if (code == ME_OK && s->run->precision == NN_BF16_MIXED) code = nn_params_shadow(p, err);
    if (code == ME_OK)
        code = s->be->alloc(s->be,
                            (size_t)(o->log_every * o->accumulate) * RING_COLUMNS * sizeof(float),
                            (void **)&s->ring, err);
    bool exists = code == ME_OK && me_file_exists(s->checkpoint);
    if (exists && s->run->resume)
        code = model_checkpoint_read(s->checkpoint, s->m, s->options_text, err);
    else if (exists)
        code = me_fail(err, ME_EUSAGE,
                       "%s exists: add --resume to go on from it, or choose another folder",
                       s->checkpoint);
    if (code == ME_OK && s->run->resume)
        me_info(s->run->log, exists ? "resuming at step %lld" : "no checkpoint yet: starting",
                (long long)p->step);
    if (code == ME_OK)
        code = me_json_write(me_path_join(&s->arena, s->run->out, "options.json"), echo, err);
    return code;
}

me_code model_train(model *m, const model_train_options *o, const model_train_run *run,
                    const me_value *echo, model_train_result *r, me_err *err)
{
    *r = (model_train_result){0};
    session *s = calloc(1, sizeof *s);
    if (!s) return me_fail_mem(err, "a training run");
    *s = (session){.m = m, .o = o, .run = run, .be = m->params.be};
    me_code code = nn_ctx_open(&s->ctx, s->be, run->precision, err);
    bool opened = code == ME_OK;
    if (code == ME_OK) code = prepare(s, echo, err);
    s->started = s->last_row = s->last_save = me_seconds();
    s->first_step = s->last_row_step = m->params.step;
    if (code == ME_OK) code = loop(s, r, err);
    me_progress_end(run->log);

    r->step = m->params.step;
    r->steps = s->steps;
    r->loss = s->loss;
    r->seconds = me_seconds() - s->started;
    r->steps_per_second = (double)(r->step - s->first_step) / (r->seconds + 1e-9);
    if (code == ME_OK && r->step > s->first_step)
        me_info(run->log, "%.4g GFLOP a step by the sizes of its products, %.4g TFLOP/s",
                1e-9 * s->flops / (double)(r->step - s->first_step), 1e-12 * s->flops / r->seconds);
    me_code closed = model_curves_close(s->curves, code == ME_OK ? err : NULL);
    me_code closed_too = model_curves_close(s->validation, code == ME_OK ? err : NULL);
    if (code == ME_OK) code = closed != ME_OK ? closed : closed_too;
    r->peak_bytes = s->be->peak(s->be);
    if (s->ring) s->be->release(s->be, s->ring);
    if (opened) nn_ctx_close(&s->ctx);
    free(s->permutation);
    free(s->items);
    free(s->ring_host);
    me_arena_release(&s->arena);
    free(s);
    return code;
}
