/* models/omnime.c: OmniME and SimMotionEdit as the trainer sees them (omnime.h): options, batches,
 * validation, what a checkpoint holds beside weights. */
#include "models/omnime.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/rng.h"
#include "models/diffusion.h"
#include "models/omnime_file.h"
#include "nn/backend.h"

/* The rows of the ablation table (spec omnime, appendix A); 7 is row 6 with hard negatives. */
typedef struct ablation {
    double retro, triplet, preserve;
    bool hard;
} ablation;

static const ablation ablations[] = {
    {0, 0, 0, false},   {0, 0, 0, false},    {1, 0, 0, false},      {0, 0.01, 0, false},
    {0, 0, 0.2, false}, {1, 0.01, 0, false}, {1, 0.01, 0.2, false}, {1, 0.01, 0.2, true},
};

// clang-format off
#define FIELD(name) offsetof(model_omnime_options, name)
#define OMNIME_TABLE(ROW, TEXT)                                                                                       \
    {"width", ME_OPT_INT, FIELD(width), "512", 8, 4096, NULL, "N", "of every layer"},                                 \
    {"ff", ME_OPT_INT, FIELD(ff), "1024", 8, 65536, NULL, "N", "width of the feed-forward layers"},                   \
    {"heads", ME_OPT_INT, FIELD(heads), "8", 1, 64, NULL, "N", "attention heads"},                                    \
    {"layers", ME_OPT_INT, FIELD(layers), "8", 1, 64, NULL, "N", "blocks of the DiT"},                                \
    {"fusion-layers", ME_OPT_INT, FIELD(fusion_layers), "4", 1, 64, NULL, "N", "layers that fuse text and source"},   \
    {"head-width", ME_OPT_INT, FIELD(head_width), "1024", 8, 65536, NULL, "N", "hidden width of the similarity head"},\
    {"diffusion-steps", ME_OPT_INT, FIELD(steps), "300", 1, 10000, NULL, "N", "of the noise schedule"},               \
    {"dropout", ME_OPT_FLOAT, FIELD(dropout), "0.1", 0, 0.9, NULL, "X", "in the fusion layers"},                      \
    {"dit-text", ME_OPT_CHOICE, FIELD(dit_text), TEXT, 0, 0, "none|fused|raw", "NAME", "what the DiT sees of the text"}, \
    {"dit-source", ME_OPT_CHOICE, FIELD(dit_source), "fused", 0, 0, "fused|raw", "NAME", "what the DiT sees of the source"}, \
    {"ablation", ME_OPT_INT, FIELD(ablation), ROW, 1, 7, NULL, "N", "row of the ablation table: weights of the three terms below; 7: row 6 with hard negatives"}, \
    {"w-cls", ME_OPT_FLOAT, FIELD(w_cls), "0.05", 0, 1e6, NULL, "X", "weight of the similarity classes"},             \
    {"w-retro", ME_OPT_FLOAT, FIELD(w_retro), "-1", -1, 1e6, NULL, "X", "of the predictions on the way; -1: --ablation says"}, \
    {"w-triplet", ME_OPT_FLOAT, FIELD(w_triplet), "-1", -1, 1e6, NULL, "X", "of the triplets; -1: --ablation says"},  \
    {"w-preserve", ME_OPT_FLOAT, FIELD(w_preserve), "-1", -1, 1e6, NULL, "X", "of the preservation; -1: --ablation says"}, \
    {"triplet-margin", ME_OPT_FLOAT, FIELD(margin), "0.2", 0, 1e3, NULL, "X", "between the distances of a triplet"},  \
    {"cls-vweight", ME_OPT_BOOL, FIELD(class_weights), "true", 0, 0, NULL, NULL, "the middle similarity class weighs nothing"}, \
    {"triplet-detach", ME_OPT_BOOL, FIELD(detach_text), NULL, 0, 0, NULL, NULL, "triplets do not move the texts"},    \
    {"retro-reduce", ME_OPT_CHOICE, FIELD(retro_reduce), "mean3", 0, 0, "mean3|sum", "NAME", "of the three predictions"}, \
    {"retro-mask", ME_OPT_CHOICE, FIELD(retro_mask), "padded", 0, 0, "padded|valid", "NAME", "frames averaged over: as the reference, or those of the motions alone"}, \
    {"triplet-dist", ME_OPT_CHOICE, FIELD(triplet_dist), "l2", 0, 0, "l2|l2sq", "NAME", "distance of the triplets; l2sq: squared, as the paper writes"}, \
    {"triplet-pool", ME_OPT_CHOICE, FIELD(triplet_pool), "all", 0, 0, "all|valid", "NAME", "frames that make a motion's vector: padded ones too as the reference, or its own, which is faster"}, \
    {"preserve", ME_OPT_CHOICE, FIELD(preserve), "code", 0, 0, "code|target|source|off", "NAME", "code: in batches of equal longest lengths; target, source: the paper's, against that motion"}, \
    {"drop-motion", ME_OPT_FLOAT, FIELD(drop_motion), "0.05", 0, 1, NULL, "P", "share of steps in which an item's source is dropped"}, \
    {"drop-text", ME_OPT_FLOAT, FIELD(drop_text), "0.05", 0, 1, NULL, "P", "the same for its text"},                  \
    {"drop-both", ME_OPT_FLOAT, FIELD(drop_both), "0.15", 0, 1, NULL, "P", "and for both"},                           \
    {"s-max", ME_OPT_STRING, FIELD(s_max), "150", 0, 0, NULL, "N", "position where targets begin, whatever the batch; batch: its longest source, as the reference"}, \
    {"negatives", ME_OPT_CHOICE, FIELD(negatives), "random", 0, 0, "random|hard", "NAME", "texts of the triplets; hard: near in text, unlike in edit"}, \
    {"scores", ME_OPT_STRING, FIELD(scores), NULL, 0, 0, NULL, "FILE", "similarity scores; without it they are computed"}, \
    {"window", ME_OPT_INT, FIELD(window), "15", 1, 10000, NULL, "W", "of the similarity scores"},                     \
    {"kappa", ME_OPT_INT, FIELD(kappa), "10", 1, 10000, NULL, "N", "frames at each end of MotionSNR"},                \
    {"tau", ME_OPT_FLOAT, FIELD(tau), "2", 0, 1e9, NULL, "X", "smallest MotionSNR of a pair that teaches similarity"},\
    {"max-frames", ME_OPT_INT, FIELD(max_frames), "500", 2, 1500, NULL, "N", "pairs with longer motions are not trained on"}, \
    {"std-floor", ME_OPT_FLOAT, FIELD(std_floor), "0", 0, 10, NULL, "X", "least standard deviation that a feature is divided by; above 0 where other bodies move what the training's hold still"}, \
    {NULL, ME_OPT_BOOL, 0, NULL, 0, 0, NULL, NULL, NULL}

static const me_opt omnime_table[] = {OMNIME_TABLE("6", "none")};
static const me_opt simmotionedit_table[] = {OMNIME_TABLE("1", "fused")};
// clang-format on

typedef struct omnime {
    model base;
    model_omnime_options o; /* with what the ablation decides filled in */
    model_omnime_weights weights;
    nn_backend *be;
    nn_params frozen;
    model_omnime_net net;
    model_omnime_data data;
    model_diffusion diffusion;
    int64_t s_max; /* 0: the batch's */
    bool pad;      /* target rows as the reference pads them */
    me_arena arena;
    const char **keys;
    const char *text_identity;
    me_log *log;
} omnime;

/* ---- options
 * ------------------------------------------------------------------------------------------ */

static me_code read_options(omnime *m, const model_omnime_options *given, me_err *err)
{
    model_omnime_options *o = &m->o;
    *o = *given;
    const ablation *row = &ablations[o->ablation];
    if (o->w_retro < 0) o->w_retro = row->retro;
    if (o->w_triplet < 0) o->w_triplet = row->triplet;
    if (o->w_preserve < 0) o->w_preserve = row->preserve;
    if (row->hard) o->negatives = "hard";
    m->weights = (model_omnime_weights){.cls = o->w_cls,
                                        .retro = o->w_retro,
                                        .triplet = o->w_triplet,
                                        .preserve = o->w_preserve,
                                        .margin = o->margin,
                                        .class_weights = o->class_weights,
                                        .retro_sum = !strcmp(o->retro_reduce, "sum"),
                                        .retro_padded = !strcmp(o->retro_mask, "padded"),
                                        .pool_padded = !strcmp(o->triplet_pool, "all"),
                                        .detach_text = o->detach_text,
                                        .squared = !strcmp(o->triplet_dist, "l2sq"),
                                        .preserve_form =
                                            !strcmp(o->preserve, "code")     ? MODEL_PRESERVE_CODE
                                            : !strcmp(o->preserve, "target") ? MODEL_PRESERVE_TARGET
                                            : !strcmp(o->preserve, "source") ? MODEL_PRESERVE_SOURCE
                                                                             : MODEL_PRESERVE_OFF};
    m->pad = (m->weights.retro_padded && m->weights.retro > 0) ||
             (m->weights.pool_padded && m->weights.triplet > 0);
    return model_omnime_s_max(&m->s_max, o->s_max, err);
}

static model_omnime_config config_of(const omnime *m)
{
    const model_omnime_options *o = &m->o;
    return (model_omnime_config){
        .features = MOTION_EDITOR,
        .text_width = m->data.texts.shape[1],
        .width = o->width,
        .ff = o->ff,
        .heads = o->heads,
        .layers = o->layers,
        .fusion_layers = o->fusion_layers,
        .head_width = o->head_width,
        .classes = 3,
        .embedding = o->width / 2,
        .steps = o->steps,
        .inter = o->w_retro > 0,
        .dit_text = model_dit_text_of(o->dit_text),
        .raw_source = !strcmp(o->dit_source, "raw"),
        .dropout = (float)o->dropout,
    };
}

/* ---- opening
 * ------------------------------------------------------------------------------------------ */

static void omnime_close(model *base)
{
    omnime *m = (omnime *)base;
    if (m->base.params.be) model_omnime_net_close(&m->net);
    nn_params_close(&m->base.params);
    nn_params_close(&m->frozen);
    model_omnime_data_close(&m->data, m->be);
    me_arena_release(&m->arena);
    free(m);
}

static me_code make_network(omnime *m, uint64_t seed, me_err *err)
{
    model_omnime_config config = config_of(m);
    me_code code = model_omnime_net_declare(&m->net, &m->base.params, &m->frozen, &config, err);
    if (code == ME_OK) code = nn_params_alloc(&m->base.params, m->be, err);
    if (code == ME_OK) code = nn_params_alloc(&m->frozen, m->be, err);
    if (code == ME_OK) code = model_omnime_net_initialize(&m->net, seed, err);
    if (code == ME_OK) code = model_omnime_net_tables(&m->net, err);
    if (code == ME_OK) code = model_diffusion_init(&m->diffusion, &m->arena, (int)m->o.steps, err);
    return code;
}

static void say_what_is_there(const omnime *m)
{
    int64_t teach = 0;
    for (int64_t i = 0; i < m->data.train_n; i++) teach += m->data.items[i].teaches;
    me_info(m->log,
            "%s: %lld pairs to train on, %lld to validate, %lld distinct texts; %lld of the "
            "training pairs teach similarity",
            m->base.kind->name, (long long)m->data.train_n,
            (long long)(m->data.all_n - m->data.train_n), (long long)m->data.texts_n,
            (long long)teach);
}

static me_code open_kind(model **out, const model_kind *kind, const model_setup *setup, me_err *err)
{
    *out = NULL;
    if (!setup->text) return me_fail(err, ME_EUSAGE, "%s trains on texts: give --text", kind->name);
    omnime *m = calloc(1, sizeof *m);
    if (!m) return me_fail_mem(err, "the model");
    m->base.kind = kind;
    m->be = setup->be;
    m->log = setup->log;
    nn_params_init(&m->base.params);
    nn_params_init(&m->frozen);
    me_code code = read_options(m, setup->options, err);
    if (code == ME_OK) code = model_omnime_data_open(&m->data, setup, &m->o, err);
    if (code == ME_OK) code = make_network(m, setup->seed, err);
    if (code == ME_OK) {
        m->text_identity = me_arena_strdup(&m->arena, nn_text_identity(setup->text));
        m->keys = ME_NEW_ARRAY(&m->arena, m->data.train_n, const char *);
        if (!m->keys || !m->text_identity) code = me_fail_mem(err, "keys");
    }
    if (code != ME_OK) {
        omnime_close(&m->base);
        return code;
    }
    for (int64_t i = 0; i < m->data.train_n; i++) m->keys[i] = m->data.items[i].key;
    m->base.keys = m->keys;
    m->base.items = m->data.train_n;
    say_what_is_there(m);
    *out = &m->base;
    return ME_OK;
}

static me_code open_omnime(model **out, const model_setup *setup, me_err *err)
{
    return open_kind(out, &model_kind_omnime, setup, err);
}

static me_code open_simmotionedit(model **out, const model_setup *setup, me_err *err)
{
    return open_kind(out, &model_kind_simmotionedit, setup, err);
}

/* ---- a batch
 * ------------------------------------------------------------------------------------------ */

/* Everything about a batch that lives on the host; cut from one block. */
typedef struct drawn {
    int64_t n, kept;            /* samples, and those whose source was kept */
    int64_t *sources, *targets; /* sequences of the motion rows: kept sources, all targets */
    int32_t *source_rows, *target_rows, *target_seen, *first_target, *source_frames;
    int32_t *timestep, *text, *negative, *stream, *lengths;
    float *mix;
    bool *zero, *text_kept, *motion_kept, *teaches;
    const double **score;
    bool equal_lengths;
    void *block;
} drawn;

static bool drawn_open(drawn *d, nn_ctx *ctx, int64_t n)
{
    size_t words = (size_t)n;
    char *p = calloc(words, 3 * 8 + 12 * 4 + 2 * 4 + 4);
    *d = (drawn){.n = n, .block = p};
    if (!p) {
        me_fail_mem(&ctx->err, "a batch");
        return false;
    }
    d->score = (const double **)(void *)p;
    d->sources = (int64_t *)(void *)(p + 8 * words);
    d->targets = d->sources + n;
    int32_t *q = (int32_t *)(void *)(d->targets + n);
    int32_t **ints[] = {&d->source_rows,  &d->target_rows,   &d->target_seen,
                        &d->first_target, &d->source_frames, &d->timestep,
                        &d->text,         &d->negative,      &d->lengths};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++, q += n) *ints[i] = q;
    d->stream = q;
    d->mix = (float *)(void *)(q + 3 * n);
    bool *b = (bool *)(void *)(d->mix + 2 * n);
    d->zero = b;
    d->text_kept = b + n;
    d->motion_kept = b + 2 * n;
    d->teaches = b + 3 * n;
    return true;
}

static int64_t draw_negative(const omnime *m, me_rng *g, int64_t item)
{
    const model_omnime_data *data = &m->data;
    const int32_t *hard = data->hard ? data->hard + item * MODEL_HARD_NEGATIVES : NULL;
    if (hard && hard[0] >= 0) return hard[me_rng_below(g, MODEL_HARD_NEGATIVES)];
    bool training = item < data->train_n;
    int64_t first = training ? 0 : data->train_n;
    int64_t n = training ? data->train_n : data->all_n - data->train_n;
    if (n < 2) return item;
    int64_t other = first + me_rng_below(g, (uint32_t)(n - 1));
    return other >= item ? other + 1 : other;
}

/* One item's draws, in the order that omnime.h gives. */
static void draw_item(drawn *d, const omnime *m, int64_t k, int64_t item, uint64_t seed,
                      int64_t step, bool keep_all)
{
    const model_omnime_item *it = &m->data.items[item];
    const int64_t place[2] = {item, step};
    me_rng g = me_rng_make(seed, me_hash64(place, sizeof place, 0x6f6d6e69));
    bool motion = me_rng_uniform(&g) >= m->o.drop_motion,
         text = me_rng_uniform(&g) >= m->o.drop_text;
    bool both = me_rng_uniform(&g) >= m->o.drop_both;
    d->timestep[k] = (int32_t)me_rng_below(&g, (uint32_t)m->o.steps);
    int64_t negative = draw_negative(m, &g, item);
    d->motion_kept[k] = keep_all || (motion && both);
    d->text_kept[k] = keep_all || (text && both);
    d->text[k] = (int32_t)(d->text_kept[k] ? it->text : m->data.texts_n);
    d->negative[k] = (int32_t)m->data.items[negative].text;
    uint64_t noise = me_hash64(&item, sizeof item, seed);
    d->stream[3 * k] = (int32_t)(uint32_t)noise;
    d->stream[3 * k + 1] = (int32_t)(uint32_t)(noise >> 32);
    d->stream[3 * k + 2] = (int32_t)(uint32_t)step;
    d->mix[2 * k] = (float)m->diffusion.sqrt_abar[d->timestep[k]];
    d->mix[2 * k + 1] = (float)m->diffusion.sqrt_one_minus_abar[d->timestep[k]];
    d->zero[k] = !d->motion_kept[k];
    d->source_frames[k] = it->source_frames;
    d->source_rows[k] = d->motion_kept[k] ? it->source_frames : 0;
    d->target_rows[k] = d->target_seen[k] = it->target_frames;
    d->teaches[k] = it->teaches;
    d->score[k] = it->score;
    d->targets[k] = 2 * item + 1;
    if (d->motion_kept[k]) d->sources[d->kept++] = 2 * item;
}

static void draw(drawn *d, const omnime *m, const model_batch *b, bool keep_all)
{
    int32_t longest_source = 0, longest_target = 0;
    for (int64_t k = 0; k < b->n; k++) {
        draw_item(d, m, k, b->items[k], b->seed, b->step, keep_all);
        if (d->source_frames[k] > longest_source) longest_source = d->source_frames[k];
        if (d->target_seen[k] > longest_target) longest_target = d->target_seen[k];
    }
    d->equal_lengths = longest_source == longest_target;
    for (int64_t k = 0; k < b->n; k++) {
        int32_t s = m->s_max ? (int32_t)m->s_max : longest_source;
        d->first_target[k] = (s > d->source_frames[k] ? s : d->source_frames[k]) + 1;
        if (m->pad) d->target_rows[k] = longest_target;
    }
}

static nn_tensor *upload_ints(nn_ctx *ctx, const int32_t *host, int64_t rows, int64_t columns)
{
    nn_tensor *t = nn_new2(ctx, NN_I32, rows, columns);
    if (ctx->err.code == ME_OK)
        ctx->be->upload(ctx->be, t->data, host, (size_t)(rows * columns) * sizeof *host);
    return t;
}

/* Targets; padded by repeating the last frame where the batch wants that. */
static nn_tensor *load_targets(nn_ctx *ctx, const omnime *m, const drawn *d)
{
    nn_tensor *x0 = model_rows_batch(ctx, &m->data.motion, d->targets, d->n, d->lengths);
    if (!m->pad || ctx->err.code != ME_OK) return x0;
    int64_t rows = 0, k = 0;
    for (int64_t i = 0; i < d->n; i++) rows += d->target_rows[i];
    int32_t *index = malloc((size_t)(rows + 1) * sizeof *index), start = 0;
    if (!index) {
        me_fail_mem(&ctx->err, "a batch");
        return x0;
    }
    for (int64_t i = 0; i < d->n; start += d->target_seen[i++])
        for (int32_t f = 0; f < d->target_rows[i]; f++)
            index[k++] = start + (f < d->target_seen[i] ? f : d->target_seen[i] - 1);
    x0 = nn_gather(ctx, x0, nn_index_new(ctx, index, rows, x0->shape[0]));
    free(index);
    return x0;
}

static nn_tensor *texts_of(nn_ctx *ctx, const omnime *m, const int32_t *rows, int64_t n)
{
    return nn_gather(ctx, (nn_tensor *)&m->data.texts,
                     nn_index_new(ctx, rows, n, m->data.texts.shape[0]));
}

static nn_tensor *batch_loss(omnime *m, nn_ctx *ctx, const model_batch *b, bool keep_all,
                             model_terms *terms)
{
    drawn d;
    *terms = (model_terms){0};
    if (!drawn_open(&d, ctx, b->n)) return nn_new2(ctx, NN_F32, 1, 1);
    draw(&d, m, b, keep_all);
    const model_omnime_batch batch = {.n = d.n,
                                      .source_rows = d.source_rows,
                                      .source_seen = d.source_rows,
                                      .source_zero = d.zero,
                                      .target_rows = d.target_rows,
                                      .target_seen = d.target_seen,
                                      .first_target = d.first_target};
    model_omnime_layout layout;
    model_omnime_layout_make(&layout, ctx, &batch);
    nn_tensor *loss = nn_zeros2(ctx, NN_F32, 1, 1);
    if (ctx->err.code == ME_OK) {
        nn_tensor *mod[MODEL_MOST_LAYERS];
        nn_tensor *x0 = load_targets(ctx, m, &d);
        nn_tensor *x_t = nn_noise(ctx, x0, nn_from_host(ctx, d.mix, d.n, 2),
                                  upload_ints(ctx, d.stream, d.n, 3), layout.target, MOTION_EDITOR);
        nn_tensor *source = model_rows_batch(ctx, &m->data.motion, d.sources, d.kept, d.lengths);
        model_omnime_condition condition =
            model_omnime_fuse(ctx, &m->net, &layout, source, texts_of(ctx, m, d.text, d.n));
        model_omnime_modulations(ctx, &m->net, nn_index_new(ctx, d.timestep, d.n, m->o.steps),
                                 condition.y, mod);
        model_omnime_output out =
            model_omnime_denoise(ctx, &m->net, &layout, &condition, mod, x_t, m->weights.retro > 0);
        model_omnime_truth truth = {
            .x0 = x0,
            .source = source,
            .negative = m->weights.triplet > 0 ? texts_of(ctx, m, d.negative, d.n) : NULL,
            .score = d.score,
            .teaches = d.teaches,
            .text_kept = d.text_kept,
            .motion_kept = d.motion_kept,
            .source_frames = d.source_frames,
            .equal_lengths = d.equal_lengths};
        loss = model_omnime_loss(ctx, &m->net, &batch, &layout, &condition, &out, &truth,
                                 &m->weights, terms);
    }
    free(d.block);
    return loss;
}

static nn_tensor *omnime_loss(model *base, nn_ctx *ctx, const model_batch *b, model_terms *terms)
{
    return batch_loss((omnime *)base, ctx, b, false, terms);
}

/* ---- validation
 * ---------------------------------------------------------------------------------------- */

#define VALIDATION_CHUNK 32
#define VALIDATION_SEED 0x76616c

/* The loss and its terms over the validation items, nothing dropped, each item at the timestep and
 * with the noise that it always gets here. */
static me_code omnime_validate(model *base, nn_ctx *ctx, model_scores *out, me_err *err)
{
    omnime *m = (omnime *)base;
    int64_t n = m->data.all_n - m->data.train_n, items[VALIDATION_CHUNK];
    out->n = 0;
    out->items = n;
    for (int64_t from = 0; from < n; from += VALIDATION_CHUNK) {
        int64_t count = n - from < VALIDATION_CHUNK ? n - from : VALIDATION_CHUNK;
        for (int64_t i = 0; i < count; i++) items[i] = m->data.train_n + from + i;
        nn_reset(ctx);
        model_terms terms;
        nn_tensor *loss =
            batch_loss(m, ctx, &(model_batch){.seed = VALIDATION_SEED, .items = items, .n = count},
                       true, &terms);
        me_code code = nn_status(ctx, err);
        out->n = terms.n + 1;
        for (int t = 0; t < out->n && code == ME_OK; t++) {
            float value;
            out->name[t] = t ? terms.name[t - 1] : "loss";
            if (!from) out->value[t] = 0;
            code = nn_to_host(ctx, t ? terms.value[t - 1] : loss, &value, err);
            out->value[t] += (double)value * (double)count / (double)n;
        }
        if (code != ME_OK) return code;
    }
    nn_reset(ctx);
    return ME_OK;
}

/* ---- what a checkpoint holds beside weights
 * ------------------------------------------------------------ */

static me_code omnime_describe(model *base, me_arena *arena, me_value *tensors, me_value *metadata,
                               me_err *err)
{
    omnime *m = (omnime *)base;
    const model_omnime_about about = {.config = m->net.config,
                                      .stats = &m->data.stats,
                                      .s_max = m->s_max,
                                      .text_identity = m->text_identity};
    return model_omnime_describe(&about, &m->frozen, arena, tensors, metadata, err);
}

const model_kind model_kind_omnime = {
    .name = "omnime",
    .doc = "OmniME: a transformer fuses text and source motion, a diffusion transformer denoises "
           "the target; losses on the way, triplets of motion and text, and preservation of what "
           "was not edited. --ablation 1 to 6 are the rows of its table.",
    .cite = "OmniME. CVPR 2026",
    .options = omnime_table,
    .options_size = sizeof(model_omnime_options),
    .open = open_omnime,
    .close = omnime_close,
    .loss = omnime_loss,
    .validate = omnime_validate,
    .describe = omnime_describe,
};

const model_kind model_kind_simmotionedit = {
    .name = "simmotionedit",
    .doc = "SimMotionEdit: the engine of OmniME with the similarity head alone, the DiT "
           "conditioned on the fused text. SimMotionEdit* is --dit-text none.",
    .cite = "SimMotionEdit: Text-Based Human Motion Editing with Motion Similarity Prediction. "
            "CVPR 2025",
    .options = simmotionedit_table,
    .options_size = sizeof(model_omnime_options),
    .open = open_simmotionedit,
    .close = omnime_close,
    .loss = omnime_loss,
    .validate = omnime_validate,
    .describe = omnime_describe,
};
