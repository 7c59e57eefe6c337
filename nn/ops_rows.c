/* nn/ops_rows.c: operations that move, select, pool or rescale rows and columns. */
#include "nn/nn_priv.h"

static bool plain(const nn_tensor *x)
{
    return x->ndim == 2 && x->dtype != NN_I32;
}

/* ---- a view of rows ----------------------------------------------------------------------------
 */

typedef struct view_saved {
    nn_tensor *x, *y;
    int64_t from;
} view_saved;

/* Elements a row: a vector's rows are its elements. */
static int64_t row_width(const nn_tensor *x)
{
    return x->ndim == 1 ? 1 : x->shape[1];
}

/* Adds y's gradient to rows [from, ...) of x's. */
static void view_backward(nn_ctx *ctx, void *saved)
{
    view_saved *s = saved;
    nn_tensor *sum = nn_grad_sum(ctx, s->x);
    if (nn_failed(ctx)) return;
    nn_tensor part = *s->y;
    part.dtype = sum->dtype;
    part.data = nn_at(sum, s->from * row_width(s->x));
    nn_tensor target = {.grad = &part};
    nn_grad_pass(ctx, &target, s->y);
}

nn_tensor *nn_rows(nn_ctx *ctx, nn_tensor *x, int64_t from, int64_t to)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (x->ndim > 2 || from < 0 || from > to || to > x->shape[0]) {
        return nn_op_fail(ctx, "nn_rows", "x %s has no rows [%lld, %lld)", nn_shape(x).s,
                          (long long)from, (long long)to);
    }
    nn_tensor *y = nn_host_alloc(ctx, 1, sizeof *y);
    if (!y) return nn_poison(ctx);
    *y = (nn_tensor){.dtype = x->dtype, .ndim = x->ndim, .shape = {to - from, x->shape[1]}};
    y->data = nn_at(x, from * row_width(x));
    if (nn_tracks(ctx, x) && x->grad) {
        /* A parameter's gradient is there already, f32 beside a bf16 shadow too: the view adds to
         * its rows. */
        nn_tensor *g = nn_host_alloc(ctx, 1, sizeof *g);
        if (!g) return nn_poison(ctx);
        *g = *y;
        g->dtype = x->grad->dtype;
        g->data = nn_at(x->grad, from * row_width(x));
        y->grad = g;
        y->needs_grad = true;
        y->parameter =
            x->parameter && x->ndim == 2; /* of a vector the tape knows the whole alone */
        return y;
    }
    view_saved *s = nn_tracks(ctx, x) ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (view_saved){x, y, from};
        nn_record(ctx, y, view_backward, s);
    }
    return y;
}

/* ---- rows of a table ---------------------------------------------------------------------------
 */

typedef struct rows_saved {
    nn_tensor *x, *table, *y; /* x NULL: gather */
    nn_index *index;
} rows_saved;

static nn_rows_args rows_args(const rows_saved *s)
{
    return (nn_rows_args){.m = s->index->n,
                          .d = s->y->shape[1],
                          .dtype = s->y->dtype,
                          .table_dtype = s->table->dtype,
                          .x = s->x ? s->x->data : NULL,
                          .table = s->table->data,
                          .index = s->index->device,
                          .sources = s->index->sources};
}

static void rows_backward(nn_ctx *ctx, void *saved)
{
    rows_saved *s = saved;
    if (nn_tracks(ctx, s->table)) {
        if (!nn_index_invert(ctx, s->index)) return;
        nn_tensor *sum = nn_grad_sum(ctx, s->table);
        if (nn_failed(ctx)) return;
        nn_rows_args args = rows_args(s);
        args.table_dtype = sum->dtype;
        args.dy = s->y->grad->data;
        args.dtable = sum->data;
        args.inverse_start = s->index->inverse_start;
        args.inverse_items = s->index->inverse_items;
        ctx->be->rows_bwd(ctx->be, &args);
    }
    if (nn_tracks(ctx, s->x)) nn_grad_pass(ctx, s->x, s->y);
}

static nn_tensor *run_rows(nn_ctx *ctx, nn_tensor *x, nn_tensor *table, nn_index *index,
                           nn_dtype dtype)
{
    nn_tensor *y = nn_new2(ctx, dtype, index->n, table->shape[1]);
    if (nn_failed(ctx)) return y;
    rows_saved now = {x, table, y, index};
    nn_rows_args args = rows_args(&now);
    args.y = y->data;
    ctx->be->rows_fwd(ctx->be, &args);
    bool tracked = nn_tracks(ctx, x) || nn_tracks(ctx, table);
    rows_saved *s = tracked ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = now;
        nn_record(ctx, y, rows_backward, s);
    }
    return y;
}

nn_tensor *nn_add_rows(nn_ctx *ctx, nn_tensor *x, nn_tensor *table, nn_index *index)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!plain(x) || !plain(table) || (table->dtype != NN_F32 && table->dtype != x->dtype) ||
        x->shape[1] != table->shape[1] || index->n != x->shape[0] ||
        index->sources != table->shape[0]) {
        return nn_op_fail(ctx, "nn_add_rows",
                          "x %s, table %s and %lld places in %lld rows do not fit", nn_shape(x).s,
                          nn_shape(table).s, (long long)index->n, (long long)index->sources);
    }
    return run_rows(ctx, x, table, index, x->dtype);
}

nn_tensor *nn_gather(nn_ctx *ctx, nn_tensor *x, nn_index *index)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!plain(x) || index->sources != x->shape[0]) {
        return nn_op_fail(ctx, "nn_gather", "x %s and an index into %lld rows do not fit",
                          nn_shape(x).s, (long long)index->sources);
    }
    return run_rows(ctx, NULL, x, index, x->dtype);
}

/* ---- side by side and stacked ------------------------------------------------------------------
 */

typedef struct concat_saved {
    nn_tensor **parts;
    int n;
    nn_tensor *y;
} concat_saved;

static void concat_record(nn_ctx *ctx, nn_tensor *const *parts, int n, nn_tensor *y,
                          nn_backward_fn fn)
{
    bool tracked = false;
    for (int i = 0; i < n; i++) tracked = tracked || nn_tracks(ctx, parts[i]);
    if (!tracked) return;
    concat_saved *s = nn_host_alloc(ctx, 1, sizeof *s);
    nn_tensor **copy = nn_host_alloc(ctx, n, sizeof(nn_tensor *));
    if (!s || !copy) return;
    memcpy(copy, parts, (size_t)n * sizeof(nn_tensor *));
    *s = (concat_saved){copy, n, y};
    nn_record(ctx, y, fn, s);
}

static void concat_rows_backward(nn_ctx *ctx, void *saved)
{
    concat_saved *s = saved;
    int64_t row = 0, d = s->y->shape[1];
    for (int i = 0; i < s->n; i++) {
        nn_tensor *part = s->parts[i];
        if (nn_tracks(ctx, part)) {
            nn_tensor *g = nn_grad_begin(ctx, part);
            if (nn_failed(ctx)) return;
            ctx->be->copy(ctx->be, g->data, nn_at(s->y->grad, row * d),
                          (size_t)nn_count(g) * nn_dtype_size(g->dtype));
            nn_grad_end(ctx, part, g);
        }
        row += part->shape[0];
    }
}

nn_tensor *nn_concat_rows(nn_ctx *ctx, nn_tensor *const *parts, int n)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (n < 1) return nn_op_fail(ctx, "nn_concat_rows", "no parts");
    int64_t rows = 0;
    for (int i = 0; i < n; i++) {
        if (!plain(parts[i]) || parts[i]->shape[1] != parts[0]->shape[1] ||
            parts[i]->dtype != parts[0]->dtype) {
            return nn_op_fail(ctx, "nn_concat_rows", "part 0 is %s and part %d is %s",
                              nn_shape(parts[0]).s, i, nn_shape(parts[i]).s);
        }
        rows += parts[i]->shape[0];
    }
    nn_tensor *y = nn_new2(ctx, parts[0]->dtype, rows, parts[0]->shape[1]);
    if (nn_failed(ctx)) return y;
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        ctx->be->copy(ctx->be, nn_at(y, at), parts[i]->data,
                      (size_t)nn_count(parts[i]) * nn_dtype_size(y->dtype));
        at += nn_count(parts[i]);
    }
    concat_record(ctx, parts, n, y, concat_rows_backward);
    return y;
}

/* Copies `columns` columns of `from`, starting at column a, to `to`, starting at column b. */
static void copy_columns(nn_ctx *ctx, const nn_tensor *from, int64_t a, nn_tensor *to, int64_t b,
                         int64_t columns, bool add)
{
    ctx->be->columns(ctx->be, &(nn_columns_args){.m = from->shape[0],
                                                 .columns = columns,
                                                 .src_stride = from->shape[1],
                                                 .dst_stride = to->shape[1],
                                                 .dtype = from->dtype,
                                                 .src = nn_at(from, a),
                                                 .dst = nn_at(to, b),
                                                 .add = add});
}

static void concat_columns_backward(nn_ctx *ctx, void *saved)
{
    concat_saved *s = saved;
    int64_t column = 0;
    for (int i = 0; i < s->n; i++) {
        nn_tensor *part = s->parts[i];
        if (nn_tracks(ctx, part)) {
            nn_tensor *g = nn_grad_begin(ctx, part);
            if (nn_failed(ctx)) return;
            copy_columns(ctx, s->y->grad, column, g, 0, part->shape[1], false);
            nn_grad_end(ctx, part, g);
        }
        column += part->shape[1];
    }
}

nn_tensor *nn_concat_columns(nn_ctx *ctx, nn_tensor *const *parts, int n)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (n < 1) return nn_op_fail(ctx, "nn_concat_columns", "no parts");
    int64_t columns = 0;
    for (int i = 0; i < n; i++) {
        if (!plain(parts[i]) || parts[i]->shape[0] != parts[0]->shape[0] ||
            parts[i]->dtype != parts[0]->dtype) {
            return nn_op_fail(ctx, "nn_concat_columns", "part 0 is %s and part %d is %s",
                              nn_shape(parts[0]).s, i, nn_shape(parts[i]).s);
        }
        columns += parts[i]->shape[1];
    }
    nn_tensor *y = nn_new2(ctx, parts[0]->dtype, parts[0]->shape[0], columns);
    if (nn_failed(ctx)) return y;
    int64_t column = 0;
    for (int i = 0; i < n; i++) {
        copy_columns(ctx, parts[i], 0, y, column, parts[i]->shape[1], false);
        column += parts[i]->shape[1];
    }
    concat_record(ctx, parts, n, y, concat_columns_backward);
    return y;
}

static void columns_backward(nn_ctx *ctx, void *saved)
{
    view_saved *s = saved;
    nn_tensor *sum = nn_grad_sum(ctx, s->x);
    if (nn_failed(ctx)) return;
    copy_columns(ctx, s->y->grad, 0, sum, s->from, s->y->shape[1], true);
}

nn_tensor *nn_columns(nn_ctx *ctx, nn_tensor *x, int64_t from, int64_t to)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (x->grad && x->grad->dtype != x->dtype)
        return nn_op_fail(ctx, "nn_columns",
                          "x is the bf16 shadow of a parameter: cast the f32 one");
    if (!plain(x) || from < 0 || from > to || to > x->shape[1]) {
        return nn_op_fail(ctx, "nn_columns", "x %s has no columns [%lld, %lld)", nn_shape(x).s,
                          (long long)from, (long long)to);
    }
    nn_tensor *y = nn_new2(ctx, x->dtype, x->shape[0], to - from);
    if (nn_failed(ctx)) return y;
    copy_columns(ctx, x, from, y, 0, to - from, false);
    view_saved *s = nn_tracks(ctx, x) ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = (view_saved){x, y, from};
        nn_record(ctx, y, columns_backward, s);
    }
    return y;
}

/* ---- mean over a sequence ----------------------------------------------------------------------
 */

typedef struct pool_saved {
    nn_tensor *x, *y;
    const nn_packing *seq;
} pool_saved;

static nn_segment_args pool_args(const pool_saved *s)
{
    return (nn_segment_args){.m = s->x->shape[0],
                             .d = s->x->shape[1],
                             .segments = s->seq->n,
                             .dtype = s->x->dtype,
                             .x = s->x->data,
                             .segment = s->seq->segment_device,
                             .offsets = s->seq->offsets_device};
}

static void pool_backward(nn_ctx *ctx, void *saved)
{
    pool_saved *s = saved;
    nn_tensor *dx = nn_grad_begin(ctx, s->x);
    if (nn_failed(ctx)) return;
    nn_segment_args args = pool_args(s);
    args.dy = s->y->grad->data;
    args.dx = dx->data;
    ctx->be->pool_bwd(ctx->be, &args);
    nn_grad_end(ctx, s->x, dx);
}

nn_tensor *nn_mean_pool(nn_ctx *ctx, nn_tensor *x, const nn_packing *seq)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!plain(x) || x->shape[0] != seq->tokens) {
        return nn_op_fail(ctx, "nn_mean_pool", "x %s and a packing of %lld rows do not fit",
                          nn_shape(x).s, (long long)seq->tokens);
    }
    nn_tensor *y = nn_new2(ctx, x->dtype, seq->n, x->shape[1]);
    if (nn_failed(ctx)) return y;
    pool_saved now = {x, y, seq};
    nn_segment_args args = pool_args(&now);
    args.y = y->data;
    ctx->be->pool_fwd(ctx->be, &args);
    pool_saved *s = nn_tracks(ctx, x) ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = now;
        nn_record(ctx, y, pool_backward, s);
    }
    return y;
}

/* ---- rows of length 1 --------------------------------------------------------------------------
 */

typedef struct normalize_saved {
    nn_tensor *x, *y;
    float *norm;
    float eps;
} normalize_saved;

static nn_normalize_args normalize_args(const normalize_saved *s)
{
    return (nn_normalize_args){.m = s->x->shape[0],
                               .d = s->x->shape[1],
                               .dtype = s->x->dtype,
                               .eps = s->eps,
                               .x = s->x->data,
                               .y = s->y->data,
                               .norm = s->norm};
}

static void normalize_backward(nn_ctx *ctx, void *saved)
{
    normalize_saved *s = saved;
    nn_tensor *dx = nn_grad_begin(ctx, s->x);
    if (nn_failed(ctx)) return;
    nn_normalize_args args = normalize_args(s);
    args.dy = s->y->grad->data;
    args.dx = dx->data;
    ctx->be->normalize_bwd(ctx->be, &args);
    nn_grad_end(ctx, s->x, dx);
}

nn_tensor *nn_normalize_rows(nn_ctx *ctx, nn_tensor *x, float eps)
{
    if (nn_failed(ctx)) return nn_poison(ctx);
    if (!plain(x)) return nn_op_fail(ctx, "nn_normalize_rows", "x is %s", nn_shape(x).s);
    normalize_saved now = {.x = x, .y = nn_like(ctx, x), .eps = eps};
    if (nn_tracks(ctx, x)) now.norm = nn_pool_alloc(ctx, x->shape[0], sizeof *now.norm);
    if (nn_failed(ctx)) return nn_poison(ctx);
    nn_normalize_args args = normalize_args(&now);
    ctx->be->normalize_fwd(ctx->be, &args);
    normalize_saved *s = now.norm ? nn_host_alloc(ctx, 1, sizeof *s) : NULL;
    if (s) {
        *s = now;
        nn_record(ctx, now.y, normalize_backward, s);
    }
    return now.y;
}
