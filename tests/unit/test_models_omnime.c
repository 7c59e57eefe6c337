/* OmniME's network, loss and sampler: what may not depend on the batch or on padding, the loss on
 * values worked out by hand, hard negatives, and the way through a checkpoint. Parity with the
 * reference is tests/parity. */
#include <math.h>

#include "models/omnime.h"
#include "models/omnime_file.h"
#include "models/omnime_guide.h"
#include "models/sampler.h"
#include "core/rng.h"
#include "tests/support/omnime_network.h"
#include "tests/unit/models_training.h"

enum { WIDTH = 16, TEXT = 12, MOST = 4, FRAMES = 6 };

/* ---- a network of random weights
 * ---------------------------------------------------------------------- */

typedef struct small {
    nn_backend *be;
    omnime_network base;
    float *rows; /* random numbers to take features from */
} small;

static void randomise(nn_params *p, uint64_t seed)
{
    for (int64_t i = 0; i < p->n; i++) {
        me_err err = {0};
        const bool norm = strstr(p->items[i].name, "norm") != NULL;
        if (norm) continue;
        cr_assert_eq(
            model_initialize(p, p->items[i].name, MODEL_INIT_NORMAL, 0.2, seed, NULL, &err), ME_OK,
            "%s", err.msg);
    }
}

static void small_open(small *s, model_dit_text text, bool raw)
{
    const model_omnime_config c = {.features = MOTION_EDITOR,
                                   .text_width = TEXT,
                                   .width = WIDTH,
                                   .ff = 24,
                                   .heads = 2,
                                   .layers = 4,
                                   .fusion_layers = 2,
                                   .head_width = 8,
                                   .classes = 3,
                                   .embedding = 4,
                                   .steps = 10,
                                   .inter = true,
                                   .dit_text = text,
                                   .raw_source = raw};
    me_err err = {0};
    cr_assert_eq(nn_cpu_open(&s->be, 1, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(omnime_network_open(&s->base, s->be, &c, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(model_omnime_net_initialize(&s->base.net, 3, &err), ME_OK, "%s", err.msg);
    randomise(&s->base.params, 3);
    cr_assert_eq(model_omnime_net_tables(&s->base.net, &err), ME_OK, "%s", err.msg);
    const int64_t n = 8 * MOST * FRAMES * MOTION_EDITOR;
    s->rows = malloc((size_t)n * sizeof *s->rows);
    me_rng g = me_rng_make(1, 1);
    for (int64_t i = 0; i < n; i++) s->rows[i] = (float)me_rng_normal(&g);
}

static void small_close(small *s)
{
    free(s->rows);
    omnime_network_close(&s->base);
    nn_backend_close(s->be);
}

/* Up to MOST samples: which of the random rows they have, and their tokens. */
typedef struct tokens {
    int n;
    int32_t source_rows[MOST], source_seen[MOST], target_rows[MOST], target_seen[MOST], first[MOST];
    bool zero[MOST];
    int who[MOST];
} tokens;

static nn_tensor *rows_of(small *s, const tokens *t, const int32_t *rows, int kind, int64_t columns,
                          const bool *left_out)
{
    float *host = malloc((size_t)(MOST * 4 * FRAMES * columns) * sizeof *host);
    int64_t n = 0;
    for (int i = 0; i < t->n; i++) {
        if (left_out && left_out[i]) continue;
        const float *from = s->rows + (kind * MOST + t->who[i]) * 2 * FRAMES * MOTION_EDITOR;
        memcpy(host + n * columns, from, (size_t)(rows[i] * columns) * sizeof *host);
        n += rows[i];
    }
    nn_tensor *x = nn_from_host(&s->base.ctx, host, n, columns);
    free(host);
    return x;
}

/* x0_hat of the seen frames, into out. */
static int64_t predict(small *s, const tokens *t, float *out)
{
    static const int32_t one[MOST] = {1, 1, 1, 1}, times[MOST] = {4, 4, 4, 4};
    me_err err = {0};
    nn_ctx *ctx = &s->base.ctx;
    const model_omnime_batch b = {.n = t->n,
                                  .source_rows = t->source_rows,
                                  .source_seen = t->source_seen,
                                  .source_zero = t->zero,
                                  .target_rows = t->target_rows,
                                  .target_seen = t->target_seen,
                                  .first_target = t->first};
    nn_reset(ctx);
    model_omnime_layout layout;
    nn_tensor *mod[MODEL_MOST_LAYERS];
    model_omnime_layout_make(&layout, ctx, &b);
    model_omnime_condition c = model_omnime_fuse(
        ctx, &s->base.net, &layout, rows_of(s, t, t->source_rows, 0, MOTION_EDITOR, t->zero),
        rows_of(s, t, one, 2, TEXT, NULL));
    model_omnime_modulations(ctx, &s->base.net, nn_index_new(ctx, times, t->n, 10), c.y, mod);
    nn_tensor *x_t = rows_of(s, t, t->target_rows, 1, MOTION_EDITOR, NULL);
    nn_tensor *x0 = model_omnime_plain(
        ctx, &s->base.net,
        model_omnime_denoise(ctx, &s->base.net, &layout, &c, mod, x_t, false).x0);
    cr_assert_eq(nn_status(ctx, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(nn_to_host(ctx, x0, out, &err), ME_OK, "%s", err.msg);
    return nn_count(x0);
}

static tokens packed(int n)
{
    static const int32_t source[] = {5, 3, 6}, target[] = {4, 6, 2};
    tokens t = {.n = n};
    for (int i = 0; i < n; i++) {
        t.who[i] = i;
        t.source_rows[i] = t.source_seen[i] = source[i];
        t.target_rows[i] = t.target_seen[i] = target[i];
        t.first[i] = 9;
    }
    return t;
}

enum { ROOM = MOST * 4 * FRAMES * MOTION_EDITOR };

Test(omnime, a_prediction_does_not_depend_on_the_batch)
{
    static float all[ROOM], alone[ROOM];
    for (int text = 0; text < 3; text++) {
        small s;
        small_open(&s, (model_dit_text)text, text == 2);
        tokens t = packed(3), one = packed(3);
        one.n = 1;
        one.who[0] = 1;
        one.source_rows[0] = one.source_seen[0] = t.source_rows[1];
        one.target_rows[0] = one.target_seen[0] = t.target_rows[1];
        predict(&s, &t, all);
        int64_t n = predict(&s, &one, alone);
        cr_assert_eq(n, t.target_rows[1] * MOTION_EDITOR);
        cr_assert_arr_eq(all + t.target_rows[0] * MOTION_EDITOR, alone, (size_t)n * sizeof *alone);
        small_close(&s);
    }
}

Test(omnime, rows_that_may_not_be_seen_change_no_prediction)
{
    static float plain[ROOM], padded[ROOM];
    small s;
    small_open(&s, MODEL_DIT_TEXT_FUSED, false);
    tokens t = packed(2);
    int64_t n = predict(&s, &t, plain);
    for (int i = 0; i < 2; i++) t.source_rows[i] = t.target_rows[i] = FRAMES;
    cr_assert_eq(predict(&s, &t, padded), n);
    for (int64_t i = 0; i < n; i++) cr_assert_float_eq(plain[i], padded[i], 1e-5);
    small_close(&s);
}

Test(omnime, a_dropped_source_is_no_source_and_zeros_are_something_else)
{
    static float dropped[ROOM], hidden[ROOM], zeros[ROOM];
    small s;
    small_open(&s, MODEL_DIT_TEXT_NONE, false);
    tokens t = packed(1);
    t.zero[0] = true;
    t.source_rows[0] = t.source_seen[0] = 0;
    int64_t n = predict(&s, &t, dropped);
    t.source_rows[0] = 5;
    predict(&s, &t, hidden);
    t.source_seen[0] = 5;
    predict(&s, &t, zeros);
    double apart = 0;
    for (int64_t i = 0; i < n; i++) {
        cr_assert_float_eq(dropped[i], hidden[i], 1e-5);
        apart = fmax(apart, fabs((double)dropped[i] - (double)zeros[i]));
    }
    cr_assert_gt(apart, 1e-3);
    small_close(&s);
}

Test(omnime, targets_must_stand_behind_their_source)
{
    me_err err = {0};
    small s;
    small_open(&s, MODEL_DIT_TEXT_NONE, false);
    tokens t = packed(1);
    t.first[0] = t.source_rows[0];
    const model_omnime_batch b = {
        1, t.source_rows, t.source_seen, t.zero, t.target_rows, t.target_seen, NULL, t.first};
    model_omnime_layout layout;
    model_omnime_layout_make(&layout, &s.base.ctx, &b);
    cr_assert_eq(nn_status(&s.base.ctx, &err), ME_EDATA);
    small_close(&s);
}

/* ---- the loss
 * ----------------------------------------------------------------------------------------- */

static float scalar(nn_ctx *ctx, const nn_tensor *x)
{
    float v = NAN;
    me_err err = {0};
    cr_assert_eq(nn_to_host(ctx, x, &v, &err), ME_OK, "%s", err.msg);
    return v;
}

/* Two samples of 2 and 3 target frames, predicted 1 everywhere where 0 is right; the first sample's
 * two source frames are of class 2 and 1. */
static model_terms loss_of_ones(small *s, const model_omnime_weights *w, bool equal_lengths,
                                bool second_counts)
{
    nn_ctx *ctx = &s->base.ctx;
    static const double first[] = {0.9, 0.5}, second[] = {0.1, 0.2, 0.95};
    static const double *const score[] = {first, second};
    static const int32_t source[] = {2, 3}, target[] = {2, 3}, at[] = {9, 9};
    static const bool zero[] = {false, false}, yes[] = {true, true};
    const bool teaches[] = {true, second_counts};
    const model_omnime_batch b = {2, source, source, zero, target, target, NULL, at};
    nn_reset(ctx);
    model_omnime_layout layout;
    model_omnime_layout_make(&layout, ctx, &b);
    float ones[5 * MOTION_EDITOR];
    for (int i = 0; i < 5 * MOTION_EDITOR; i++) ones[i] = 1;
    nn_tensor *one = nn_from_host(ctx, ones, 5, MOTION_EDITOR);
    model_omnime_condition c =
        model_omnime_fuse(ctx, &s->base.net, &layout, one, nn_from_host(ctx, s->rows, 2, TEXT));
    const model_omnime_output out = {
        .x0 = one, .inter = {one, one, one}, .last = nn_from_host(ctx, s->rows, 5, WIDTH)};
    model_omnime_truth truth = {.x0 = nn_zeros2(ctx, NN_F32, 5, MOTION_EDITOR),
                                .source = one,
                                .negative = nn_from_host(ctx, s->rows + 99, 2, TEXT),
                                .score = score,
                                .teaches = teaches,
                                .text_kept = yes,
                                .motion_kept = yes,
                                .source_frames = source,
                                .equal_lengths = equal_lengths};
    model_terms terms;
    model_omnime_loss(ctx, &s->base.net, &b, &layout, &c, &out, &truth, w, &terms);
    return terms;
}

Test(omnime, the_loss_is_what_the_formulas_say)
{
    small s;
    me_err err = {0};
    small_open(&s, MODEL_DIT_TEXT_NONE, false);
    /* Equal logits: every class has the log-likelihood -ln 3. */
    cr_assert_eq(
        model_initialize(&s.base.params, "source_head.4.weight", MODEL_INIT_ZERO, 0, 0, NULL, &err),
        ME_OK);
    cr_assert_eq(
        model_initialize(&s.base.params, "source_head.4.bias", MODEL_INIT_ZERO, 0, 0, NULL, &err),
        ME_OK);
    model_omnime_weights w = {.cls = 1,
                              .retro = 1,
                              .preserve = 1,
                              .class_weights = true,
                              .preserve_form = MODEL_PRESERVE_CODE};
    model_terms t = loss_of_ones(&s, &w, true, true);
    cr_assert_eq(t.n, 5);
    cr_assert_float_eq(scalar(&s.base.ctx, t.value[0]), 1, 1e-6);
    /* Classes 2 1 | 0 0 2: four weigh 1, five count, and one is added to them. */
    cr_assert_float_eq(scalar(&s.base.ctx, t.value[1]), 4 * log(3) / 6, 1e-6);
    cr_assert_float_eq(scalar(&s.base.ctx, t.value[2]), 1, 1e-6);
    /* A sum over features, a mean over the frames that count. */
    cr_assert_float_eq(scalar(&s.base.ctx, t.value[3]), MOTION_EDITOR, 1e-3);
    cr_assert_eq(scalar(&s.base.ctx, t.value[4]), 1);
    t = loss_of_ones(&s, &w, true, false);
    cr_assert_float_eq(scalar(&s.base.ctx, t.value[1]), log(3) / 3, 1e-6);
    t = loss_of_ones(&s, &w, false, true);
    cr_assert_eq(scalar(&s.base.ctx, t.value[3]), 0);
    cr_assert_eq(scalar(&s.base.ctx, t.value[4]), 0);
    w.class_weights = false;
    w.retro_sum = true;
    w.preserve_form = MODEL_PRESERVE_SOURCE; /* the source is what was predicted */
    t = loss_of_ones(&s, &w, false, true);
    cr_assert_float_eq(scalar(&s.base.ctx, t.value[1]), 5 * log(3) / 6, 1e-6);
    cr_assert_float_eq(scalar(&s.base.ctx, t.value[2]), 3, 1e-5);
    cr_assert_eq(scalar(&s.base.ctx, t.value[3]), 0);
    w.preserve_form = MODEL_PRESERVE_TARGET;
    t = loss_of_ones(&s, &w, false, true);
    cr_assert_float_eq(scalar(&s.base.ctx, t.value[3]), MOTION_EDITOR, 1e-3);
    small_close(&s);
}

Test(omnime, terms_without_weight_are_not_there)
{
    small s;
    small_open(&s, MODEL_DIT_TEXT_NONE, false);
    const model_omnime_weights w = {.preserve = 1, .preserve_form = MODEL_PRESERVE_OFF};
    model_terms t = loss_of_ones(&s, &w, true, true);
    cr_assert_eq(t.n, 1);
    cr_assert_str_eq(t.name[0], "feature");
    small_close(&s);
}

/* ---- as a model of the trainer
 * ------------------------------------------------------------------------ */

static void options_of_small_run(model_omnime_options *o, small_run *r)
{
    me_err err = {0};
    cr_assert_eq(me_opt_defaults(model_kind_omnime.options, o, &r->arena, &err), ME_OK, "%s",
                 err.msg);
    o->width = 16;
    o->ff = 24;
    o->heads = 2;
    o->layers = 4;
    o->fusion_layers = 1;
    o->head_width = 8;
    o->steps = 20;
}

static model *open_small(small_run *r, const model_omnime_options *o)
{
    model *m = NULL;
    me_err err = {0};
    const model_setup setup = {
        .be = r->be, .data = &r->data, .text = r->text, .options = o, .seed = 1};
    cr_assert_eq(model_kind_omnime.open(&m, &setup, &err), ME_OK, "%s", err.msg);
    return m;
}

static void train_small(small_run *r, model *m, bool resume, int64_t stop_at)
{
    me_err err = {0};
    model_train_result result;
    r->echo = me_opt_echo(model_train_table, &r->train, &r->arena);
    const model_train_run run = {.out = r->folder, .resume = resume, .stop_at = stop_at};
    cr_assert_eq(model_train(m, &r->train, &run, r->echo, &result, &err), ME_OK, "%s", err.msg);
    cr_assert(isfinite(result.loss));
}

typedef struct kept {
    int n;
    motion_clip clip[MOST];
    me_arena arena;
} kept;

static me_code keep(void *arg, int64_t job, const motion_clip *clip, me_err *err)
{
    kept *k = arg;
    cr_assert_eq(job, k->n);
    motion_clip *to = &k->clip[k->n++];
    me_code code = motion_clip_new(to, &k->arena, clip->frames, false, err);
    if (code == ME_OK)
        memcpy(to->pose, clip->pose, (size_t)(clip->frames * MOTION_POSE) * sizeof *to->pose);
    return code;
}

static void sample_three(kept *k, small_run *r, const char *path, const model_sample_options *o)
{
    me_err err = {0};
    model_omnime_file f;
    const model_omnime_hints none = {0};
    model_sample_job jobs[3];
    for (int i = 0; i < 3; i++) {
        const motion_pair *p = &r->data.pairs[i];
        jobs[i] = (model_sample_job){p->key, p->text, &p->source, p->target.frames};
    }
    cr_assert_eq(model_omnime_open(&f, path, &none, r->be, &err), ME_OK, "%s", err.msg);
    *k = (kept){0};
    cr_assert_eq(model_sample(&f, r->text, jobs, 3, o, keep, k, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(k->n, 3);
    model_omnime_close(&f);
}

/* Passes that weigh nothing are left out, and that is all that changes. */
static void check_passes(small_run *r, const char *path, double both, double motion)
{
    model_sample_options o = {
        .steps = 5, .both = both, .motion = motion, .seed = 1, .s_max = MODEL_S_MAX_OF_FILE};
    kept few, all;
    sample_three(&few, r, path, &o);
    o.cfg = MODEL_CFG_3WAY;
    sample_three(&all, r, path, &o);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(few.clip[i].frames, all.clip[i].frames);
        for (int64_t k = 0; k < few.clip[i].frames * MOTION_POSE; k++)
            cr_assert_float_eq(few.clip[i].pose[k], all.clip[i].pose[k], 1e-4);
    }
    me_arena_release(&few.arena);
    me_arena_release(&all.arena);
}

Test(omnime, trains_is_resumed_and_samples_the_same_in_any_batch)
{
    small_run r;
    small_run_open(&r);
    model_omnime_options o;
    options_of_small_run(&o, &r);
    model *m = open_small(&r, &o);
    train_small(&r, m, false, 5);
    m->kind->close(m);
    m = open_small(&r, &o);
    train_small(&r, m, true, 0);
    cr_assert_eq(m->params.step, 12);
    m->kind->close(m);
    kept together, one_by_one, other_seed;
    const char *path = small_run_path(&r, "last.safetensors");
    model_sample_options how = {
        .steps = 5, .motion = 2, .both = 2, .seed = 1, .batch = 3, .s_max = MODEL_S_MAX_OF_FILE};
    sample_three(&together, &r, path, &how);
    how.batch = 1;
    sample_three(&one_by_one, &r, path, &how);
    how.batch = 0;
    how.seed = 2;
    sample_three(&other_seed, &r, path, &how);
    for (int i = 0; i < 3; i++) {
        const size_t bytes =
            (size_t)(together.clip[i].frames * MOTION_POSE) * sizeof *together.clip[i].pose;
        cr_assert_eq(together.clip[i].frames, r.data.pairs[i].target.frames);
        cr_assert_arr_eq(together.clip[i].pose, one_by_one.clip[i].pose, bytes);
        cr_assert_neq(memcmp(together.clip[i].pose, other_seed.clip[i].pose, bytes), 0);
    }
    me_arena_release(&together.arena);
    me_arena_release(&one_by_one.arena);
    me_arena_release(&other_seed.arena);
    check_passes(&r, path, 2, 2);
    check_passes(&r, path, 1, 1);
    check_passes(&r, path, 3, 1);
    check_passes(&r, path, 0, 2);
    check_passes(&r, path, 0, 0);
    small_run_close(&r);
}

Test(omnime, a_checkpoint_of_another_text_encoder_is_refused)
{
    small_run r;
    me_err err = {0};
    small_run_open(&r);
    model_omnime_options o;
    options_of_small_run(&o, &r);
    model *m = open_small(&r, &o);
    train_small(&r, m, false, 1);
    m->kind->close(m);
    nn_text *other = NULL;
    cr_assert_eq(nn_text_open(&other, "hash:48", r.be, NULL, &err), ME_OK);
    model_omnime_file f;
    const model_omnime_hints none = {0};
    cr_assert_eq(model_omnime_open(&f, small_run_path(&r, "last.safetensors"), &none, r.be, &err),
                 ME_OK, "%s", err.msg);
    const model_sample_options how = {.motion = 2, .both = 2, .s_max = MODEL_S_MAX_OF_FILE};
    cr_assert_eq(model_sample(&f, other, NULL, 0, &how, keep, NULL, &err), ME_EUSAGE);
    cr_assert_not_null(strstr(err.msg, "hash:32"), "%s", err.msg);
    model_omnime_close(&f);
    nn_text_close(other);
    small_run_close(&r);
}

Test(omnime, hard_negatives_are_other_texts_of_the_same_split)
{
    small_run r;
    me_err err = {0};
    small_run_open(&r);
    model_omnime_options o;
    options_of_small_run(&o, &r);
    o.negatives = "hard";
    model_omnime_data d;
    const model_setup setup = {.be = r.be, .data = &r.data, .text = r.text, .options = &o};
    cr_assert_eq(model_omnime_data_open(&d, &setup, &o, &err), ME_OK, "%s", err.msg);
    cr_assert_not_null(d.hard);
    for (int64_t i = 0; i < d.train_n; i++)
        for (int k = 0; k < MODEL_HARD_NEGATIVES; k++) {
            int32_t other = d.hard[i * MODEL_HARD_NEGATIVES + k];
            cr_assert(other >= 0 && other < d.train_n);
            cr_assert_neq(d.items[other].text, d.items[i].text);
        }
    model_omnime_data_close(&d, r.be);
    small_run_close(&r);
}

Test(omnime, reference_padding_trains_too)
{
    small_run r;
    small_run_open(&r);
    model_omnime_options o;
    options_of_small_run(&o, &r);
    o.retro_mask = "padded";
    o.triplet_pool = "all";
    o.s_max = "batch";
    o.dit_text = "raw";
    o.dit_source = "raw";
    r.train.steps = 2;
    model *m = open_small(&r, &o);
    train_small(&r, m, false, 0);
    m->kind->close(m);
    small_run_close(&r);
}
