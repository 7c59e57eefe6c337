/* models/omnime_loss.c: see omnime_loss.h. Section numbers are those of the spec (omnime). */
#include "models/omnime_loss.h"

#include <stdlib.h>
#include <string.h>

#include "motion/similarity.h"
#include "nn/backend.h"

typedef struct loss_run {
    nn_ctx *ctx;
    const model_omnime_net *net;
    const model_omnime_batch *b;
    const model_omnime_layout *at;
    const model_omnime_output *out;
    const model_omnime_truth *truth;
    const model_omnime_weights *w;
    nn_tensor *x0;     /* seen rows of the truth */
    nn_tensor *padded; /* the others, or NULL */
} loss_run;

static nn_tensor *zero(nn_ctx *ctx)
{
    return nn_zeros2(ctx, NN_F32, 1, 1);
}

/* The rows weighted by what `weight_of` says of sample and frame; `padded`: those that are not
 * seen. Freed by nobody: a tensor. */
typedef float (*weight_fn)(const loss_run *r, int64_t sample, int32_t frame);

static nn_tensor *row_weights(const loss_run *r, bool padded, weight_fn weight_of)
{
    int64_t rows = padded ? r->padded->shape[0] : r->x0->shape[0], k = 0;
    float *host = malloc((size_t)(rows + 1) * sizeof *host);
    if (!host) {
        me_fail_mem(&r->ctx->err, "weights of frames");
        return zero(r->ctx);
    }
    for (int64_t i = 0; i < r->b->n; i++) {
        int32_t from = padded ? r->b->target_seen[i] : 0;
        int32_t to = padded ? r->b->target_rows[i] : r->b->target_seen[i];
        for (int32_t f = from; f < to && k < rows; f++) host[k++] = weight_of(r, i, f);
    }
    nn_tensor *t = nn_from_host(r->ctx, host, rows, 1);
    free(host);
    return t;
}

/* ---- 6.1: every group of features weighs the same
 * --------------------------------------------------- */

static float not_first(const loss_run *r, int64_t sample, int32_t frame)
{
    (void)r;
    (void)sample;
    return frame > 0;
}

static nn_tensor *feature_loss(loss_run *r, nn_tensor *groups[MOTION_EDITOR_GROUPS])
{
    nn_column_group columns[MOTION_EDITOR_GROUPS];
    int64_t rows = r->x0->shape[0], later = 0;
    for (int64_t i = 0; i < r->b->n; i++)
        later += r->b->target_seen[i] > 0 ? r->b->target_seen[i] - 1 : 0;
    nn_tensor *weights = row_weights(r, false, not_first);
    for (int g = 0; g < MOTION_EDITOR_GROUPS; g++) {
        const motion_editor_group *group = &motion_editor_groups[g];
        int64_t count = (group->delta ? later : rows) * group->width;
        columns[g] = (nn_column_group){.from = group->offset,
                                       .to = group->offset + group->width,
                                       .denominator = count ? (double)count : 1,
                                       .share = 1.0F / MOTION_EDITOR_GROUPS,
                                       .weighted = group->delta};
    }
    return nn_group_mse(r->ctx, groups, r->out->x0, r->x0, weights, columns, MOTION_EDITOR_GROUPS);
}

/* Squared differences of all features. */
static nn_tensor *all_features(const loss_run *r, nn_tensor *predicted, const nn_tensor *like,
                               const nn_tensor *weights, double denominator)
{
    const nn_column_group all = {
        .to = like->shape[1], .denominator = denominator, .share = 1, .weighted = weights};
    if (r->ctx->err.code != ME_OK) return predicted;
    return nn_group_mse(r->ctx, NULL, predicted, like, weights, &all, 1);
}

/* ---- 6.2: which source frames resemble the target
 * ---------------------------------------------------- */

/* True where the sample's source frames count in 6.2 and 6.5: both conditions kept, and trusted. */
static bool counts(const loss_run *r, int64_t sample)
{
    const model_omnime_truth *t = r->truth;
    return t->text_kept[sample] && t->motion_kept[sample] && t->teaches[sample] && t->score[sample];
}

/* The head is run on the frames that weigh something, and on no others. */
typedef struct labelled {
    int32_t *row, *label; /* (n): a fusion row and its class */
    int64_t n;
    double counted, weighed;
} labelled;

static const float v_weights[] = {1, 0, 1};

static bool label_frames(labelled *l, const loss_run *r)
{
    const nn_index *rows = r->at->source_rows;
    const int64_t all = rows ? rows->n : 0;
    *l = (labelled){.row = malloc((size_t)(2 * all + 1) * sizeof *l->row)};
    if (!l->row) {
        me_fail_mem(&r->ctx->err, "similarity classes");
        return false;
    }
    l->label = l->row + all;
    for (int64_t i = 0, k = 0; i < r->b->n; i++)
        for (int32_t f = 0; f < r->b->source_rows[i] && k < all; f++, k++) {
            if (!counts(r, i) || f >= r->truth->source_frames[i]) continue;
            const int class = motion_similarity_class(r->truth->score[i][f]);
            const float weight = r->w->class_weights ? v_weights[class] : 1;
            l->counted++;
            if (!(weight > 0)) continue;
            l->weighed += (double)weight;
            l->row[l->n] = rows->host[k];
            l->label[l->n++] = class;
        }
    return true;
}

static nn_tensor *similarity_loss(const loss_run *r, const model_omnime_condition *condition)
{
    nn_ctx *ctx = r->ctx;
    labelled l;
    nn_tensor *loss = zero(ctx);
    if (!label_frames(&l, r)) return loss;
    if (l.n) {
        nn_tensor *device = nn_new(ctx, NN_I32, 1, &l.n);
        if (ctx->err.code == ME_OK)
            ctx->be->upload(ctx->be, device->data, l.label, (size_t)l.n * sizeof *l.label);
        nn_tensor *v = r->w->class_weights ? nn_from_host(ctx, v_weights, 3, 1) : NULL;
        nn_index *rows = nn_index_new(ctx, l.row, l.n, r->at->source_rows->sources);
        nn_tensor *logits =
            nn_cast(ctx, model_omnime_similarity(ctx, r->net, rows, condition), NN_F32);
        /* The operation divides by the weights' sum, the reference by the frames counted, plus 1.
         */
        nn_tensor *mean = nn_cross_entropy(ctx, logits, device, v);
        loss = nn_weighted_sum(ctx, &mean, (float[]){(float)(l.weighed / (l.counted + 1))}, 1);
    }
    free(l.row);
    return loss;
}

/* ---- 6.3: predictions on the way
 * --------------------------------------------------------------------- */

/* The squares of what the reference predicts as zeros: frames of the padding. */
static nn_tensor *padding_constant(const loss_run *r, const nn_tensor *weights, double denominator)
{
    nn_tensor *zeros = nn_zeros2(r->ctx, NN_F32, r->padded->shape[0], r->padded->shape[1]);
    return nn_mse(r->ctx, zeros, r->padded, weights, denominator);
}

static nn_tensor *retrospective_loss(const loss_run *r)
{
    bool padded = r->w->retro_padded && r->padded;
    int64_t rows = r->x0->shape[0] + (padded ? r->padded->shape[0] : 0);
    double denominator = (double)(rows * r->x0->shape[1]);
    nn_tensor *part[MODEL_OMNIME_INTERS + 1];
    float weight[MODEL_OMNIME_INTERS + 1];
    int n = 0;
    for (; n < MODEL_OMNIME_INTERS; n++) {
        part[n] = all_features(r, r->out->inter[n], r->x0, NULL, denominator);
        weight[n] = r->w->retro_sum ? 1 : 1.0F / MODEL_OMNIME_INTERS;
    }
    if (padded) {
        part[n] = padding_constant(r, NULL, denominator);
        weight[n++] = r->w->retro_sum ? MODEL_OMNIME_INTERS : 1;
    }
    return nn_weighted_sum(r->ctx, part, weight, n);
}

/* ---- 6.4: the motion is nearer to its text than to another
 * ------------------------------------------- */

static nn_tensor *triplet_loss(const loss_run *r, const model_omnime_condition *condition)
{
    nn_ctx *ctx = r->ctx;
    bool all = r->w->pool_padded || !r->at->padded_rows;
    nn_tensor *rows = all ? r->out->last : nn_gather(ctx, r->out->last, r->at->seen_rows);
    nn_tensor *motion =
        nn_cast(ctx, nn_mean_pool(ctx, rows, all ? r->at->target : r->at->seen), NN_F32);
    /* What is made while no tape records passes no gradient on. */
    nn_tape *tape = ctx->tape;
    if (r->w->detach_text) ctx->tape = NULL;
    nn_tensor *positive =
        r->w->detach_text ? nn_add(ctx, condition->text, condition->text, 1, 0) : condition->text;
    positive = nn_cast(ctx, positive, NN_F32);
    nn_tensor *negative =
        nn_cast(ctx, model_omnime_project_text(ctx, r->net, r->truth->negative), NN_F32);
    ctx->tape = tape;
    return (r->w->squared ? nn_triplet_squared : nn_triplet)(ctx, motion, positive, negative,
                                                             (float)r->w->margin);
}

/* ---- 6.5 and 6.7: where little was edited, little may change
 * ----------------------------------------- */

static float counted_frame(const loss_run *r, int64_t sample, int32_t frame)
{
    return counts(r, sample) && frame < r->truth->source_frames[sample];
}

/* The frames that it counts; 0: the batch has no such loss. */
static double identity_frames(const loss_run *r)
{
    double counted = 0;
    for (int64_t i = 0; i < r->b->n; i++)
        if (counts(r, i)) counted += r->truth->source_frames[i];
    return r->truth->equal_lengths ? counted : 0;
}

static nn_tensor *identity_in_code(const loss_run *r)
{
    const double counted = identity_frames(r);
    if (!(counted > 0)) return zero(r->ctx);
    nn_tensor *part[2] = {
        all_features(r, r->out->x0, r->x0, row_weights(r, false, counted_frame), counted)};
    if (!r->padded) return part[0];
    part[1] = padding_constant(r, row_weights(r, true, counted_frame), counted);
    return nn_weighted_sum(r->ctx, part, (float[]){1, 1}, 2);
}

static int32_t compared_frames(const loss_run *r, int64_t sample)
{
    int32_t seen = r->b->target_seen[sample];
    if (r->w->preserve_form == MODEL_PRESERVE_TARGET || seen < r->truth->source_frames[sample])
        return seen;
    return r->truth->source_frames[sample];
}

static float mean_over_frames(const loss_run *r, int64_t sample, int32_t frame)
{
    int32_t frames = compared_frames(r, sample);
    return counts(r, sample) && frame < frames ? 1.0F / (float)frames : 0;
}

/* The source frame that stands where each seen target frame stands; any other where there is none,
 * since that weighs nothing. */
static nn_tensor *aligned_source(const loss_run *r)
{
    int64_t rows = r->x0->shape[0], sources = r->truth->source->shape[0], k = 0, start = 0;
    int32_t *index = malloc((size_t)(rows + 1) * sizeof *index);
    if (!index) {
        me_fail_mem(&r->ctx->err, "aligned frames");
        return r->x0;
    }
    for (int64_t i = 0; i < r->b->n; i++) {
        for (int32_t f = 0; f < r->b->target_seen[i] && k < rows; f++) {
            int64_t at = start + f;
            index[k++] = (int32_t)(at < sources ? at : 0);
        }
        start += r->b->source_zero[i] ? 0 : r->b->source_rows[i];
    }
    nn_tensor *y = nn_gather(r->ctx, r->truth->source, nn_index_new(r->ctx, index, rows, sources));
    free(index);
    return y;
}

static nn_tensor *preserve_loss(const loss_run *r)
{
    if (r->w->preserve_form == MODEL_PRESERVE_CODE) return identity_in_code(r);
    double counted = 0;
    for (int64_t i = 0; i < r->b->n; i++) counted += counts(r, i);
    if (!(counted > 0)) return zero(r->ctx);
    nn_tensor *like = r->w->preserve_form == MODEL_PRESERVE_SOURCE ? aligned_source(r) : r->x0;
    return all_features(r, r->out->x0, like, row_weights(r, false, mean_over_frames), counted);
}

/* ---- 6.6 --------------------------------------------------------------------------------------
 */

static void add_term(model_terms *terms, float *weights, const char *name, nn_tensor *value,
                     double weight)
{
    weights[terms->n] = (float)weight;
    terms->name[terms->n] = name;
    terms->value[terms->n++] = value;
}

nn_tensor *model_omnime_loss(nn_ctx *ctx, const model_omnime_net *net,
                             const model_omnime_batch *batch, const model_omnime_layout *layout,
                             const model_omnime_condition *condition,
                             const model_omnime_output *output, model_omnime_truth *truth,
                             const model_omnime_weights *w, model_terms *terms)
{
    float weights[MODEL_MOST_TERMS];
    *terms = (model_terms){0};
    if (ctx->err.code != ME_OK) return zero(ctx);
    loss_run r = {.ctx = ctx,
                  .net = net,
                  .b = batch,
                  .at = layout,
                  .out = output,
                  .truth = truth,
                  .w = w,
                  .x0 = truth->x0};
    if (layout->padded_rows) {
        r.x0 = nn_gather(ctx, truth->x0, layout->seen_rows);
        r.padded = nn_gather(ctx, truth->x0, layout->padded_rows);
    }
    add_term(terms, weights, "feature", feature_loss(&r, truth->groups), 1);
    if (w->cls > 0) add_term(terms, weights, "cls", similarity_loss(&r, condition), w->cls);
    if (w->retro > 0) add_term(terms, weights, "retro", retrospective_loss(&r), w->retro);
    if (w->triplet > 0)
        add_term(terms, weights, "triplet", triplet_loss(&r, condition), w->triplet);
    if (w->preserve > 0 && w->preserve_form != MODEL_PRESERVE_OFF)
        add_term(terms, weights, "preserve", preserve_loss(&r), w->preserve);
    /* Its mean in the curves is the share of batches that had such a loss. */
    if (w->preserve > 0 && w->preserve_form == MODEL_PRESERVE_CODE)
        add_term(terms, weights, "preserve_active",
                 nn_from_host(ctx, (float[]){identity_frames(&r) > 0}, 1, 1), 0);
    return nn_weighted_sum(ctx, terms->value, weights, terms->n);
}
