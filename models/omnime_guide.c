/* models/omnime_guide.c: see omnime_guide.h. */
#include "models/omnime_guide.h"

#include <stdlib.h>
#include <string.h>

#include "nn/backend.h"

typedef enum { PASS_NOTHING, PASS_MOTION, PASS_BOTH } pass;

static void add_pass(model_omnime_guide *g, pass out[3], bool unasked, pass what, float scale)
{
    if (unasked && scale == 0) return;
    out[g->passes] = what;
    g->scale[g->passes++] = scale;
}

/* Which passes are made, and what each weighs: unless they are asked for, only those that weigh
 * anything. */
static void choose_passes(model_omnime_guide *g, pass out[3], const model_omnime_request *q)
{
    const float motion = (float)q->motion, both = (float)q->both;
    const bool two = q->cfg == MODEL_CFG_2WAY, any = q->cfg == MODEL_CFG_AUTO;
    g->passes = 0;
    add_pass(g, out, any, PASS_NOTHING, 1 - (two ? both : motion));
    if (!two) add_pass(g, out, any, PASS_MOTION, motion - both);
    add_pass(g, out, any, PASS_BOTH, both);
}

/* The host's arrays of a batch of passes * n samples. */
typedef struct batch_lists {
    int32_t *source_rows, *target_rows, *target_start, *first_target, *text;
    bool *zero;
} batch_lists;

static void fill_pass(batch_lists *l, const model_omnime_request *q, pass what, int64_t from)
{
    int32_t start = 0;
    for (int64_t i = 0; i < q->n; i++) {
        bool nothing = what == PASS_NOTHING;
        int64_t k = from + i;
        l->source_rows[k] = !nothing                ? q->source_frames[i]
                            : q->hide_unconditional ? 0
                                                    : q->s_max[i];
        l->zero[k] = nothing;
        l->target_rows[k] = q->target_frames[i];
        l->target_start[k] = start;
        l->first_target[k] = q->s_max[i] + 1;
        l->text[k] = (int32_t)(what == PASS_BOTH ? i : q->n);
        start += q->target_frames[i];
    }
}

static nn_index *all_timesteps(nn_ctx *ctx, int64_t steps)
{
    int32_t *t = malloc((size_t)steps * sizeof *t);
    if (!t) {
        me_fail_mem(&ctx->err, "timesteps");
        return NULL;
    }
    for (int64_t i = 0; i < steps; i++) t[i] = (int32_t)i;
    nn_index *index = nn_index_new(ctx, t, steps, steps);
    free(t);
    return index;
}

/* `sourced`: of how many passes the source is seen. */
static void make_condition(model_omnime_guide *g, nn_ctx *ctx, const model_omnime_request *q,
                           const batch_lists *l, int sourced)
{
    int64_t n = g->passes * q->n;
    const model_omnime_batch batch = {.n = n,
                                      .source_rows = l->source_rows,
                                      .source_seen = l->source_rows,
                                      .source_zero = l->zero,
                                      .target_rows = l->target_rows,
                                      .target_seen = l->target_rows,
                                      .target_start = l->target_start,
                                      .first_target = l->first_target};
    model_omnime_layout_make(&g->layout, ctx, &batch);
    nn_tensor *sources[] = {q->source, q->source};
    nn_tensor *source = sourced == 2   ? nn_concat_rows(ctx, sources, 2)
                        : sourced == 1 ? q->source
                                       : nn_rows(ctx, q->source, 0, 0);
    nn_tensor *text = nn_gather(ctx, q->text, nn_index_new(ctx, l->text, n, q->n + 1));
    g->condition = model_omnime_fuse(ctx, g->net, &g->layout, source, text);
    if (g->condition.y) return;
    nn_tensor *table[MODEL_MOST_LAYERS];
    model_omnime_modulations(ctx, g->net, all_timesteps(ctx, g->net->config.steps), NULL, table);
    g->table = nn_concat_columns(ctx, table, (int)g->net->config.layers);
}

/* The index of every sample's timestep. */
static nn_index *timesteps_of(nn_ctx *ctx, int64_t n, int64_t steps)
{
    int32_t *zeros = calloc((size_t)n + 1, sizeof *zeros);
    if (!zeros) {
        me_fail_mem(&ctx->err, "timesteps");
        return NULL;
    }
    nn_index *index = nn_index_new(ctx, zeros, n, steps);
    free(zeros);
    return index;
}

void model_omnime_guide_make(model_omnime_guide *g, nn_ctx *ctx, const model_omnime_net *net,
                             const model_omnime_request *q)
{
    pass passes[3];
    *g = (model_omnime_guide){.net = net, .n = q->n};
    choose_passes(g, passes, q);
    for (int64_t i = 0; i < q->n; i++) g->rows += q->target_frames[i];
    size_t n = (size_t)(g->passes * q->n);
    int32_t *host = malloc(5 * n * sizeof *host + 1);
    bool *zero = malloc(n * sizeof *zero + 1);
    if (host && zero) {
        batch_lists l = {host, host + n, host + 2 * n, host + 3 * n, host + 4 * n, zero};
        int sourced = 0;
        for (int p = 0; p < g->passes; p++) {
            fill_pass(&l, q, passes[p], p * q->n);
            sourced += passes[p] != PASS_NOTHING;
        }
        make_condition(g, ctx, q, &l, sourced);
        g->times = timesteps_of(ctx, (int64_t)n, net->config.steps);
    } else {
        me_fail_mem(&ctx->err, "guidance");
    }
    free(host);
    free(zero);
}

nn_tensor *model_omnime_passes(nn_ctx *ctx, const model_omnime_guide *g, nn_tensor *x_t)
{
    nn_tensor *mod[MODEL_MOST_LAYERS];
    if (ctx->err.code != ME_OK) return x_t;
    if (g->condition.y) {
        model_omnime_modulations(ctx, g->net, g->times, g->condition.y, mod);
    } else {
        nn_tensor *now = nn_gather(ctx, g->table, g->times);
        for (int64_t b = 0; b < g->net->config.layers; b++) mod[b] = now;
    }
    return model_omnime_infer(ctx, g->net, &g->layout, &g->condition, mod, x_t);
}

static void set_time(nn_ctx *ctx, const model_omnime_guide *g, int64_t t)
{
    const size_t bytes = (size_t)g->times->n * sizeof(int32_t);
    int32_t *host = malloc(bytes + 1);
    if (!host) {
        me_fail_mem(&ctx->err, "timesteps");
        return;
    }
    for (int64_t i = 0; i < g->times->n; i++) host[i] = (int32_t)t;
    ctx->be->upload(ctx->be, g->times->device, host, bytes);
    free(host);
}

nn_tensor *model_omnime_guided(nn_ctx *ctx, const model_omnime_guide *g, nn_tensor *x_t, int64_t t)
{
    if (ctx->err.code != ME_OK) return x_t;
    set_time(ctx, g, t);
    nn_tensor *x0 = model_omnime_plain(ctx, g->net, model_omnime_passes(ctx, g, x_t));
    if (g->passes == 1) return x0; /* weights add up to 1 */
    nn_tensor *sum = NULL;
    for (int p = 0; p < g->passes; p++) {
        nn_tensor *part = nn_rows(ctx, x0, p * g->rows, (p + 1) * g->rows);
        if (ctx->err.code != ME_OK) return part;
        if (p == 1) sum = nn_add(ctx, nn_rows(ctx, x0, 0, g->rows), part, g->scale[0], g->scale[1]);
        if (p == 2) sum = nn_add(ctx, sum, part, 1, g->scale[2]);
    }
    return sum;
}
