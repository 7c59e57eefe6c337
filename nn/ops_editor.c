/* nn/ops_editor.c: tokens assembled from several tensors, tensors padded to sizes that products
 * like, and squared differences by groups of columns. */
#include "nn/nn_priv.h"

/* ---- rows of several tensors, with positions ---------------------------------------------------
 */

typedef struct assemble_saved {
    nn_tensor *part[NN_ASSEMBLE_PARTS], *y;
    int parts;
    nn_index *index;
} assemble_saved;

/* A part's gradient sums the places that read its rows: a gather's backward on a piece of the
 * inverse index. */
static void assemble_backward(nn_ctx *ctx, void *saved)
{
    assemble_saved *s = saved;
    if (!nn_index_invert(ctx, s->index)) return;
    int64_t row = 0;
    for (int k = 0; k < s->parts; k++) {
        nn_tensor *part = s->part[k];
        if (nn_tracks(ctx, part)) {
            nn_tensor *sum = nn_grad_sum(ctx, part);
            if (nn_failed(ctx)) return;
            ctx->be->rows_bwd(ctx->be,
                              &(nn_rows_args){.m = s->index->n,
                                              .d = s->y->shape[1],
                                              .dtype = s->y->dtype,
                                              .table_dtype = sum->dtype,
                                              .dy = s->y->grad->data,
                                              .dtable = sum->data,
                                              .sources = part->shape[0],
                                              .inverse_start = s->index->inverse_start + row,
                                              .inverse_items = s->index->inverse_items});
        }
        row += part->shape[0];
    }
}

/* Into s->y, or into a new tensor where that is NULL. True when a part wants a gradient. */
static bool assemble(nn_ctx *ctx, const char *op, assemble_saved *s, nn_tensor *const *parts,
                     const nn_tensor *table, const nn_index *at)
{
    const nn_index *index = s->index;
    const int n = s->parts;
    nn_assemble_args args = {.m = index->n, .parts = n, .index = index->device, .at = at->device};
    int64_t rows = 0;
    bool fit = n >= 1 && n <= NN_ASSEMBLE_PARTS, tracked = false;
    for (int k = 0; k < n && fit; k++) {
        fit = parts[k]->ndim == 2 && parts[k]->dtype != NN_I32 &&
              parts[k]->dtype == parts[0]->dtype && parts[k]->shape[1] == table->shape[1];
        rows += parts[k]->shape[0];
        s->part[k] = parts[k];
        args.part[k] = parts[k]->data;
        args.end[k] = rows;
        tracked = tracked || nn_tracks(ctx, parts[k]);
    }
    if (!fit || table->ndim != 2 || table->dtype != NN_F32 || index->sources != rows ||
        at->sources != table->shape[0] || at->n != index->n) {
        s->y = nn_op_fail(ctx, op,
                          "%d parts of %lld rows, table %s and %lld places in %lld and %lld rows "
                          "do not fit",
                          n, (long long)rows, nn_shape(table).s, (long long)index->n,
                          (long long)index->sources, (long long)at->sources);
        return false;
    }
    if (!s->y) s->y = nn_new2(ctx, parts[0]->dtype, index->n, table->shape[1]);
    if (nn_failed(ctx)) return false;
    args.d = table->shape[1];
    args.dtype = s->y->dtype;
    args.table = table->data;
    args.y = s->y->data;
    ctx->be->assemble(ctx->be, &args);
    return tracked;
}

nn_tensor *nn_assemble(nn_ctx *ctx, nn_tensor *const *parts, int n, nn_index *index,
                       const nn_tensor *table, const nn_index *at)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    assemble_saved now = {.parts = n, .index = index};
    const bool tracked = assemble(ctx, "nn_assemble", &now, parts, table, at);
    assemble_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = now;
        nn_record(ctx, now.y, assemble_backward, s);
    }
    return now.y;
}

void nn_assemble_into(nn_ctx *ctx, nn_tensor *y, nn_tensor *const *parts, int n, nn_index *index,
                      const nn_tensor *table, const nn_index *at)
{
    static const char op[] = "nn_assemble_into";
    if (nn_failed(ctx)) return;
    if (ctx->tape || y->ndim != 2 || y->shape[0] != index->n || y->shape[1] != table->shape[1] ||
        n < 1 || y->dtype != parts[0]->dtype) {
        nn_op_fail(ctx, op, "y %s and %lld rows of the table %s differ, or a tape records",
                   nn_shape(y).s, (long long)index->n, nn_shape(table).s);
        return;
    }
    assemble_saved now = {.parts = n, .index = index, .y = y};
    assemble(ctx, op, &now, parts, table, at);
}

/* ---- padding -----------------------------------------------------------------------------------
 */

typedef struct pad_saved {
    nn_tensor *x, *y;
} pad_saved;

static int64_t rows_of(const nn_tensor *x)
{
    return x->ndim == 1 ? 1 : x->shape[0];
}

static int64_t columns_of(const nn_tensor *x)
{
    return x->ndim == 1 ? x->shape[0] : x->shape[1];
}

static void pad_backward(nn_ctx *ctx, void *saved)
{
    pad_saved *s = saved;
    nn_tensor *sum = nn_grad_sum(ctx, s->x);
    if (nn_failed(ctx)) return;
    ctx->be->columns(ctx->be, &(nn_columns_args){.m = rows_of(s->x),
                                                 .columns = columns_of(s->x),
                                                 .src_stride = s->y->shape[1],
                                                 .dst_stride = columns_of(s->x),
                                                 .dtype = sum->dtype,
                                                 .src = s->y->grad->data,
                                                 .dst = sum->data,
                                                 .add = true});
}

/* A parameter has an f32 gradient beside a bf16 shadow; so does what it was padded to. */
static void give_wide_gradient(nn_ctx *ctx, nn_tensor *y)
{
    nn_tensor *g = nn_host_alloc(ctx, 1, sizeof *g);
    if (!g) return;
    *g = *y;
    g->dtype = NN_F32;
    g->grad = NULL;
    g->data = nn_pool_alloc(ctx, nn_count(g), sizeof(float));
    if (nn_failed(ctx)) return;
    ctx->be->zero(ctx->be, g->data, (size_t)nn_count(g) * sizeof(float));
    y->grad = g;
}

nn_tensor *nn_pad(nn_ctx *ctx, nn_tensor *x, int64_t rows, int64_t columns)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (x->ndim > 2 || x->dtype == NN_I32 || rows < rows_of(x) || columns < columns_of(x))
        return nn_op_fail(ctx, "nn_pad", "x %s to (%lld,%lld)", nn_shape(x).s, (long long)rows,
                          (long long)columns);
    nn_tensor *y = nn_zeros2(ctx, x->dtype, rows, columns);
    if (nn_failed(ctx)) return y;
    ctx->be->columns(ctx->be, &(nn_columns_args){.m = rows_of(x),
                                                 .columns = columns_of(x),
                                                 .src_stride = columns_of(x),
                                                 .dst_stride = columns,
                                                 .dtype = x->dtype,
                                                 .src = x->data,
                                                 .dst = y->data});
    pad_saved *s = nn_tracks(ctx, x) ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (pad_saved){x, y};
        nn_record(ctx, y, pad_backward, s);
        if (x->grad && x->grad->dtype != x->dtype) give_wide_gradient(ctx, y);
    }
    return y;
}

/* ---- squared differences by groups of columns --------------------------------------------------
 */

typedef struct group_saved {
    nn_group_loss_args args;
    nn_tensor *a, *y;
} group_saved;

static void group_backward(nn_ctx *ctx, void *saved)
{
    group_saved *s = saved;
    nn_tensor *sum = nn_grad_sum(ctx, s->a);
    if (nn_failed(ctx)) return;
    nn_group_loss_args args = s->args;
    args.upstream = s->y->grad->data;
    args.da = sum->data;
    ctx->be->group_loss_bwd(ctx->be, &args);
}

static bool groups_fit(const nn_column_group *groups, int n, int64_t columns, bool weights)
{
    int64_t end = 0;
    bool fit = n >= 1 && n <= NN_GROUPS;
    for (int g = 0; g < n && fit; g++) {
        fit = groups[g].from >= end && groups[g].to >= groups[g].from && groups[g].to <= columns &&
              groups[g].denominator > 0 && (weights || !groups[g].weighted);
        end = groups[g].to;
    }
    return fit;
}

nn_tensor *nn_group_mse(nn_ctx *ctx, nn_tensor **terms, nn_tensor *a, const nn_tensor *b,
                        const nn_tensor *row_weight, const nn_column_group *groups, int n)
{
    for (int g = 0; terms && g < n; g++) terms[g] = nn_poison(ctx);
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (a->ndim != 2 || b->ndim != 2 || a->dtype == NN_I32 || b->dtype != NN_F32 ||
        a->shape[0] != b->shape[0] || a->shape[1] < b->shape[1] ||
        (row_weight && (row_weight->dtype != NN_F32 || !nn_is_vector(row_weight, a->shape[0]))) ||
        !groups_fit(groups, n, b->shape[1], row_weight)) {
        return nn_op_fail(ctx, "nn_group_mse", "a %s, b %s, weights %s and %d groups do not fit",
                          nn_shape(a).s, nn_shape(b).s,
                          row_weight ? nn_shape(row_weight).s : "none", n);
    }
    nn_tensor *values = nn_new2(ctx, NN_F32, n, 1), *y = nn_new2(ctx, NN_F32, 1, 1);
    for (int g = 0; terms && g < n; g++) terms[g] = nn_rows(ctx, values, g, g + 1);
    if (nn_failed(ctx)) return nn_poison(ctx);
    nn_group_loss_args args = {.m = a->shape[0],
                               .d = b->shape[1],
                               .groups = n,
                               .dtype = a->dtype,
                               .a = a->data,
                               .a_stride = a->shape[1],
                               .b = b->data,
                               .row_weight = row_weight ? row_weight->data : NULL,
                               .terms = values->data,
                               .total = y->data};
    for (int g = 0; g < n; g++) {
        args.from[g] = groups[g].from;
        args.to[g] = groups[g].to;
        args.denominator[g] = groups[g].denominator;
        args.share[g] = groups[g].share;
        args.weighted[g] = groups[g].weighted;
    }
    ctx->be->group_loss_fwd(ctx->be, &args);
    group_saved *s = nn_tracks(ctx, a) ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (group_saved){args, a, y};
        nn_record(ctx, y, group_backward, s);
    }
    return y;
}
