/* nn/selftest_ops.c: rows of the selftest for operations on rows and elements, with their meaning
 * in double. Sequences: selftest_sequences.c; losses: selftest_losses.c.
 */
#include <math.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/selftest_priv.h"

/* ---- shared by the three files -----------------------------------------------------------------
 */

const self_op *nn_self_find(const char *name)
{
    const self_op *tables[] = {nn_self_ops, nn_self_sequence_ops, nn_self_loss_ops};
    for (int t = 0; t < 3; t++) {
        for (const self_op *op = tables[t]; op->name; op++) {
            if (!strcmp(op->name, name)) return op;
        }
    }
    return NULL;
}

void nn_self_input(self_work *w, int i, int64_t rows, int64_t columns, self_scope scope)
{
    w->in[i] = (self_input){.rows = rows, .columns = columns, .scope = scope};
    if (i >= w->inputs) w->inputs = i + 1;
    w->bytes += 4.0 * (double)(rows * columns);
}

int32_t *nn_self_ints(self_work *w, me_arena *arena, int64_t n, self_scope scope)
{
    w->ints = ME_NEW_ARRAY(arena, n, int32_t);
    w->n_ints = n;
    w->ints_scope = scope;
    return w->ints;
}

nn_tensor *nn_self_upload_ints(nn_ctx *ctx, const self_work *w, int64_t rows, int64_t columns)
{
    nn_tensor *t = nn_new2(ctx, NN_I32, rows, columns);
    if (!nn_failed(ctx))
        ctx->be->upload(ctx->be, t->data, w->ints, (size_t)w->n_ints * sizeof *w->ints);
    return t;
}

static void output(self_work *w, int64_t rows, int64_t columns, self_scope scope)
{
    w->out_rows = rows;
    w->out_columns = columns;
    w->out_scope = scope;
    w->bytes += 4.0 * (double)(rows * columns);
}

/* ---- activations and the product ---------------------------------------------------------------
 */

static double activate(double x, int act)
{
    switch (act) {
    case NN_ACT_GELU_ERF:
        return x / 2 * (1 + erf(x / sqrt(2)));
    case NN_ACT_GELU_TANH:
        return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case NN_ACT_SILU:
        return x / (1 + exp(-x));
    case NN_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    default:
        return x;
    }
}

/* flags: the activation; + 16: no bias. */
static bool linear_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    const self_case *c = w->c;
    nn_self_input(w, 0, c->m, c->k, SELF_ROW);
    nn_self_input(w, 1, c->d, c->k, SELF_SHARED);
    if (!(c->flags & 16)) nn_self_input(w, 2, 1, c->d, SELF_SHARED);
    w->in[1].weight = true;
    w->in[2].f32 = true; /* as a parameter's gradient is, and under bf16 the operation rounds it */
    output(w, c->m, c->d, SELF_ROW);
    w->flops = 2.0 * c->m * c->d * c->k;
    return true;
}

static nn_tensor *linear_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_linear(ctx, in[0], in[1], in[2], (nn_act)(w->c->flags & 15));
}

static void linear_reference(const self_work *w, double *const *in, double *out)
{
    int64_t n = w->c->d, k = w->c->k;
    for (int64_t i = 0; i < w->out_rows; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum =
                in[2] ? in[2][j] : 0; /* under bf16 the bias is rounded: within tolerance */
            for (int64_t l = 0; l < k; l++) sum += in[0][i * k + l] * in[1][j * k + l];
            out[i * n + j] = activate(sum, w->c->flags & 15);
        }
    }
}

/* Two products, the second one with an activation behind it, beside each other: as in a model, but
 * where one did not wait for the other their sum would be wrong. */
static bool parts_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    const self_case *c = w->c;
    for (int i = 0; i < 4; i += 2) {
        nn_self_input(w, i, c->m, c->k, SELF_ROW);
        nn_self_input(w, i + 1, c->d, c->k, SELF_SHARED);
        w->in[i + 1].weight = true;
    }
    output(w, c->m, c->d, SELF_ROW);
    w->flops = 4.0 * c->m * c->d * c->k;
    return true;
}

static nn_tensor *parts_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    nn_split(ctx);
    nn_tensor *first = nn_linear(ctx, in[0], in[1], NULL, NN_ACT_NONE);
    nn_beside(ctx);
    nn_tensor *second = nn_linear(ctx, in[2], in[3], NULL, NN_ACT_NONE);
    second = nn_activation(ctx, second, NN_ACT_GELU_TANH);
    nn_join(ctx);
    return nn_add(ctx, first, second, 1, 1);
}

static void parts_reference(const self_work *w, double *const *in, double *out)
{
    int64_t values = w->out_rows * w->out_columns;
    linear_reference(w, (double *const[]){in[0], in[1], NULL}, out);
    double *second = malloc((size_t)(values + 1) * sizeof *second);
    if (!second) return;
    linear_reference(w, (double *const[]){in[2], in[3], NULL}, second);
    for (int64_t i = 0; i < values; i++) out[i] += activate(second[i], NN_ACT_GELU_TANH);
    free(second);
}

/* ---- elementwise -------------------------------------------------------------------------------
 */

static bool unary_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    nn_self_input(w, 0, w->c->m, w->c->d, SELF_ROW);
    output(w, w->c->m, w->c->d, SELF_ROW);
    return true;
}

static nn_tensor *activation_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_activation(ctx, in[0], (nn_act)w->c->flags);
}

static void activation_reference(const self_work *w, double *const *in, double *out)
{
    for (int64_t i = 0; i < w->out_rows * w->out_columns; i++)
        out[i] = activate(in[0][i], w->c->flags);
}

static bool binary_shape(self_work *w, me_arena *arena)
{
    nn_self_input(w, 1, w->c->m, w->c->d, SELF_ROW);
    return unary_shape(w, arena);
}

static nn_tensor *add_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_add(ctx, in[0], in[1], 1, w->c->flags ? -0.75f : 1);
}

static void add_reference(const self_work *w, double *const *in, double *out)
{
    double beta = w->c->flags ? -0.75 : 1;
    for (int64_t i = 0; i < w->out_rows * w->out_columns; i++) out[i] = in[0][i] + beta * in[1][i];
}

/* The same tensor on both sides: gradients of both uses add up. */
static nn_tensor *twice_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_add(ctx, in[0], nn_activation(ctx, in[0], NN_ACT_SILU), 1, 0.5f);
}

static void twice_reference(const self_work *w, double *const *in, double *out)
{
    for (int64_t i = 0; i < w->out_rows * w->out_columns; i++)
        out[i] = in[0][i] + 0.5 * activate(in[0][i], NN_ACT_SILU);
}

static bool dropout_shape(self_work *w, me_arena *arena)
{
    unary_shape(w, arena);
    w->out_scope = SELF_SHARED; /* the mask belongs to places, not to rows */
    return true;
}

static nn_tensor *dropout_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    ctx->training = true;
    ctx->seed = SELF_SEED;
    return nn_dropout(ctx, in[0], 0.3f);
}

static void dropout_reference(const self_work *w, double *const *in, double *out)
{
    for (int64_t i = 0; i < w->out_rows * w->out_columns; i++) {
        uint32_t words[4];
        me_philox(SELF_SEED, 0, (uint64_t)i / 4, words);
        out[i] = words[i % 4] >= nn_dropout_threshold(0.3f) ? in[0][i] / (1 - (double)0.3f) : 0;
    }
}

static bool reparam_shape(self_work *w, me_arena *arena)
{
    binary_shape(w, arena);
    nn_self_input(w, 2, w->c->m, w->c->d, SELF_ROW);
    w->in[2].constant = w->in[2].f32 = true;
    return true;
}

static nn_tensor *reparam_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_reparameterize(ctx, in[0], in[1], in[2]);
}

static void reparam_reference(const self_work *w, double *const *in, double *out)
{
    for (int64_t i = 0; i < w->out_rows * w->out_columns; i++)
        out[i] = in[0][i] + in[2][i] * exp(in[1][i] / 2);
}

/* To the other type and back. */
static nn_tensor *cast_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_cast(ctx, nn_cast(ctx, in[0], NN_F32), in[0]->dtype);
}

static void cast_reference(const self_work *w, double *const *in, double *out)
{
    memcpy(out, in[0], (size_t)(w->out_rows * w->out_columns) * sizeof *out);
}

/* ---- norms -------------------------------------------------------------------------------------
 */

/* flags: 1 affine, 2 residual. */
static bool layernorm_shape(self_work *w, me_arena *arena)
{
    const self_case *c = w->c;
    unary_shape(w, arena);
    if (c->flags & 2) nn_self_input(w, 1, c->m, c->d, SELF_ROW);
    if (c->flags & 1) {
        nn_self_input(w, 2, 1, c->d, SELF_SHARED);
        nn_self_input(w, 3, 1, c->d, SELF_SHARED);
        w->in[2].f32 = w->in[3].f32 = true;
    }
    return true;
}

static nn_tensor *layernorm_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_layernorm(ctx, in[0], in[1], in[2], in[3], 1e-5f);
}

static void layernorm_reference(const self_work *w, double *const *in, double *out)
{
    int64_t d = w->c->d;
    for (int64_t i = 0; i < w->out_rows; i++) {
        double mean = 0, var = 0, *y = out + i * d;
        for (int64_t j = 0; j < d; j++) {
            y[j] = in[0][i * d + j] + (in[1] ? in[1][i * d + j] : 0);
            mean += y[j] / (double)d;
        }
        for (int64_t j = 0; j < d; j++) var += (y[j] - mean) * (y[j] - mean) / (double)d;
        for (int64_t j = 0; j < d; j++) {
            y[j] = (y[j] - mean) / sqrt(var + (double)1e-5f);
            if (in[2]) y[j] = y[j] * in[2][j] + in[3][j];
        }
    }
}

/* ---- products with what follows them -----------------------------------------------------------
 */

#define DROP 0.3f

static nn_ctx *with_dropout(nn_ctx *ctx)
{
    ctx->training = true;
    ctx->seed = SELF_SEED;
    return ctx;
}

static void drop_out(double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t words[4];
        me_philox(SELF_SEED, 0, (uint64_t)i / 4, words);
        x[i] *= words[i % 4] >= nn_dropout_threshold(DROP) ? 1 / (1 - (double)DROP) : 0;
    }
}

static bool linear_dropout_shape(self_work *w, me_arena *arena)
{
    linear_shape(w, arena);
    w->in[0].scope = w->out_scope = SELF_SHARED; /* the mask belongs to places, not to rows */
    return true;
}

static nn_tensor *linear_dropout_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_linear_dropout(with_dropout(ctx), in[0], in[1], in[2], (nn_act)(w->c->flags & 15),
                             DROP);
}

static void linear_dropout_reference(const self_work *w, double *const *in, double *out)
{
    linear_reference(w, in, out);
    drop_out(out, w->out_rows * w->out_columns);
}

/* flags 1: without dropout. */
static bool dropout_layernorm_shape(self_work *w, me_arena *arena)
{
    const self_case *c = w->c;
    unary_shape(w, arena);
    nn_self_input(w, 1, c->m, c->d, SELF_ROW);
    nn_self_input(w, 2, 1, c->d, SELF_SHARED);
    nn_self_input(w, 3, 1, c->d, SELF_SHARED);
    w->in[2].f32 = w->in[3].f32 = true;
    if (!(c->flags & 1)) w->in[0].scope = w->in[1].scope = w->out_scope = SELF_SHARED;
    return true;
}

static nn_tensor *dropout_layernorm_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_dropout_layernorm(with_dropout(ctx), in[0], in[1], w->c->flags & 1 ? 0 : DROP, in[2],
                                in[3], 1e-5f);
}

/* In place: x to its affine LayerNorm. */
static void norm_rows(double *x, int64_t rows, int64_t d, const double *weight, const double *bias)
{
    for (int64_t i = 0; i < rows; i++, x += d) {
        double mean = 0, var = 0;
        for (int64_t j = 0; j < d; j++) mean += x[j] / (double)d;
        for (int64_t j = 0; j < d; j++) var += (x[j] - mean) * (x[j] - mean) / (double)d;
        for (int64_t j = 0; j < d; j++)
            x[j] = (x[j] - mean) / sqrt(var + (double)1e-5f) * weight[j] + bias[j];
    }
}

static void dropout_layernorm_reference(const self_work *w, double *const *in, double *out)
{
    int64_t n = w->out_rows * w->out_columns;
    memcpy(out, in[1], (size_t)n * sizeof *out);
    if (!(w->c->flags & 1)) drop_out(out, n);
    for (int64_t i = 0; i < n; i++) out[i] += in[0][i];
    norm_rows(out, w->out_rows, w->out_columns, in[2], in[3]);
}

static bool linear_layernorm_shape(self_work *w, me_arena *arena)
{
    const self_case *c = w->c;
    linear_shape(w, arena);
    nn_self_input(w, 3, c->m, c->d, SELF_ROW);
    nn_self_input(w, 4, 1, c->d, SELF_SHARED);
    nn_self_input(w, 5, 1, c->d, SELF_SHARED);
    w->in[4].f32 = w->in[5].f32 = true;
    if (!(c->flags & 1)) w->in[0].scope = w->in[3].scope = w->out_scope = SELF_SHARED;
    return true;
}

static nn_tensor *linear_layernorm_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_linear_layernorm(with_dropout(ctx), in[0], in[1], in[2], w->c->flags & 1 ? 0 : DROP,
                               in[3], in[4], in[5], 1e-5f);
}

static void linear_layernorm_reference(const self_work *w, double *const *in, double *out)
{
    int64_t n = w->out_rows * w->out_columns, k = w->c->k;
    for (int64_t i = 0; i < n; i++) {
        const double *x = in[0] + i / w->c->d * k, *v = in[1] + i % w->c->d * k;
        out[i] = in[2][i % w->c->d];
        for (int64_t l = 0; l < k; l++) out[i] += x[l] * v[l];
    }
    if (!(w->c->flags & 1)) drop_out(out, n);
    for (int64_t i = 0; i < n; i++) out[i] += in[3][i];
    norm_rows(out, w->out_rows, w->out_columns, in[4], in[5]);
}

static nn_tensor *normalize_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_normalize_rows(ctx, in[0], 1e-12f);
}

static void normalize_reference(const self_work *w, double *const *in, double *out)
{
    int64_t d = w->c->d;
    for (int64_t i = 0; i < w->out_rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < d; j++) sum += in[0][i * d + j] * in[0][i * d + j];
        for (int64_t j = 0; j < d; j++) out[i * d + j] = in[0][i * d + j] / fmax(sqrt(sum), 1e-12);
    }
}

/* ---- rows and columns --------------------------------------------------------------------------
 */

/* Places scattered over k source rows, some read often, some never. */
static bool index_shape(self_work *w, me_arena *arena)
{
    const self_case *c = w->c;
    int32_t *index = nn_self_ints(w, arena, c->m, SELF_ROW);
    if (!index) return false;
    for (int i = 0; i < c->m; i++) index[i] = i % 3 ? (i * 7 + i / 5) % c->k : c->k / 2;
    nn_self_input(w, 0, c->k, c->d, SELF_SHARED);
    output(w, c->m, c->d, SELF_ROW);
    return true;
}

static nn_tensor *gather_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_gather(ctx, in[0], nn_index_new(ctx, w->ints, w->n_ints, in[0]->shape[0]));
}

static void gather_reference(const self_work *w, double *const *in, double *out)
{
    int64_t d = w->c->d;
    for (int64_t i = 0; i < w->out_rows; i++) {
        for (int64_t j = 0; j < d; j++)
            out[i * d + j] = in[0][w->ints[i] * d + j] + (in[1] ? in[1][i * d + j] : 0);
    }
}

/* flags 1: the table is f32 whatever the activations are. */
static bool add_rows_shape(self_work *w, me_arena *arena)
{
    if (!index_shape(w, arena)) return false;
    w->in[0].f32 = w->c->flags & 1;
    nn_self_input(w, 1, w->c->m, w->c->d, SELF_ROW);
    return true;
}

static nn_tensor *add_rows_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_add_rows(ctx, in[1], in[0], nn_index_new(ctx, w->ints, w->n_ints, in[0]->shape[0]));
}

/* The k source rows are two parts, and the table has as many. */
static bool assemble_shape(self_work *w, me_arena *arena)
{
    const int64_t k = w->c->k, d = w->c->d;
    if (!index_shape(w, arena)) return false;
    nn_self_input(w, 0, k - k / 2, d, SELF_SHARED);
    nn_self_input(w, 1, k / 2, d, SELF_SHARED);
    nn_self_input(w, 2, k, d, SELF_SHARED);
    w->in[2].constant = w->in[2].f32 = true;
    return true;
}

static nn_tensor *assemble_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    nn_index *index = nn_index_new(ctx, w->ints, w->n_ints, w->c->k);
    return nn_assemble(ctx, in, 2, index, in[2], index);
}

static void assemble_reference(const self_work *w, double *const *in, double *out)
{
    const int64_t d = w->c->d, first = w->in[0].rows;
    for (int64_t i = 0; i < w->out_rows; i++) {
        const int64_t from = w->ints[i];
        const double *row = from < first ? in[0] + from * d : in[1] + (from - first) * d;
        for (int64_t j = 0; j < d; j++) out[i * d + j] = row[j] + in[2][from * d + j];
    }
}

/* k rows and columns of zeros. */
static bool pad_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    nn_self_input(w, 0, w->c->m, w->c->d, SELF_SHARED);
    output(w, w->c->m + w->c->k, w->c->d + w->c->k, SELF_SHARED);
    return true;
}

static nn_tensor *pad_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_pad(ctx, in[0], w->out_rows, w->out_columns);
}

static void pad_reference(const self_work *w, double *const *in, double *out)
{
    const int64_t d = w->c->d;
    memset(out, 0, (size_t)(w->out_rows * w->out_columns) * sizeof *out);
    for (int64_t i = 0; i < w->c->m; i++)
        memcpy(out + i * w->out_columns, in[0] + i * d, (size_t)d * sizeof *out);
}

static bool concat_rows_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    const self_case *c = w->c;
    nn_self_input(w, 0, c->m, c->d, SELF_SHARED);
    nn_self_input(w, 1, 2, c->d, SELF_SHARED);
    nn_self_input(w, 2, c->m + 1, c->d, SELF_SHARED);
    output(w, 2 * c->m + 3, c->d, SELF_SHARED);
    return true;
}

static nn_tensor *concat_rows_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_concat_rows(ctx, in, 3);
}

static void concat_rows_reference(const self_work *w, double *const *in, double *out)
{
    for (int p = 0; p < 3; p++) {
        int64_t n = w->in[p].rows * w->in[p].columns;
        memcpy(out, in[p], (size_t)n * sizeof *out);
        out += n;
    }
}

static bool concat_columns_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    const self_case *c = w->c;
    nn_self_input(w, 0, c->m, c->d, SELF_ROW);
    nn_self_input(w, 1, c->m, 1, SELF_ROW);
    nn_self_input(w, 2, c->m, c->k, SELF_ROW);
    output(w, c->m, c->d + 1 + c->k, SELF_ROW);
    return true;
}

static nn_tensor *concat_columns_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_concat_columns(ctx, in, 3);
}

static void concat_columns_reference(const self_work *w, double *const *in, double *out)
{
    int64_t at = 0;
    for (int p = 0; p < 3; p++) {
        int64_t n = w->in[p].columns;
        for (int64_t i = 0; i < w->out_rows; i++)
            memcpy(out + i * w->out_columns + at, in[p] + i * n, (size_t)n * sizeof *out);
        at += n;
    }
}

/* Columns [k, d) and rows [k, m), the latter plus the whole so that gradients of both meet. */
static bool columns_shape(self_work *w, me_arena *arena)
{
    unary_shape(w, arena);
    output(w, w->c->m, w->c->d - w->c->k, SELF_ROW);
    return true;
}

static nn_tensor *columns_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_columns(ctx, in[0], w->c->k, w->c->d);
}

static void columns_reference(const self_work *w, double *const *in, double *out)
{
    for (int64_t i = 0; i < w->out_rows; i++) {
        for (int64_t j = 0; j < w->out_columns; j++)
            out[i * w->out_columns + j] = in[0][i * w->c->d + w->c->k + j];
    }
}

static bool rows_shape(self_work *w, me_arena *arena)
{
    unary_shape(w, arena);
    w->in[0].scope = SELF_SHARED;
    output(w, w->c->m - w->c->k, w->c->d, SELF_SHARED);
    return true;
}

static nn_tensor *rows_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    int64_t m = w->c->m, k = w->c->k;
    nn_tensor *first = nn_rows(ctx, in[0], 0, m - k), *last = nn_rows(ctx, in[0], k, m);
    return nn_add(ctx, first, last, 1, 2);
}

static void rows_reference(const self_work *w, double *const *in, double *out)
{
    int64_t shift = w->c->k * (int64_t)w->c->d;
    for (int64_t i = 0; i < w->out_rows * w->out_columns; i++)
        out[i] = in[0][i] + 2 * in[0][i + shift];
}

const self_op nn_self_ops[] = {
    {"linear", linear_shape, linear_run, linear_reference},
    {"parts", parts_shape, parts_run, parts_reference},
    {"activation", unary_shape, activation_run, activation_reference},
    {"add", binary_shape, add_run, add_reference},
    {"used_twice", unary_shape, twice_run, twice_reference},
    {"dropout", dropout_shape, dropout_run, dropout_reference},
    {"reparameterize", reparam_shape, reparam_run, reparam_reference},
    {"cast", unary_shape, cast_run, cast_reference},
    {"layernorm", layernorm_shape, layernorm_run, layernorm_reference},
    {"linear_dropout", linear_dropout_shape, linear_dropout_run, linear_dropout_reference},
    {"linear_layernorm", linear_layernorm_shape, linear_layernorm_run, linear_layernorm_reference},
    {"dropout_layernorm", dropout_layernorm_shape, dropout_layernorm_run,
     dropout_layernorm_reference},
    {"normalize_rows", unary_shape, normalize_run, normalize_reference},
    {"gather", index_shape, gather_run, gather_reference},
    {"add_rows", add_rows_shape, add_rows_run, gather_reference},
    {"assemble", assemble_shape, assemble_run, assemble_reference},
    {"pad", pad_shape, pad_run, pad_reference},
    {"concat_rows", concat_rows_shape, concat_rows_run, concat_rows_reference},
    {"concat_columns", concat_columns_shape, concat_columns_run, concat_columns_reference},
    {"columns", columns_shape, columns_run, columns_reference},
    {"rows", rows_shape, rows_run, rows_reference},
    {NULL, NULL, NULL, NULL}};
