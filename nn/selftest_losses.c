/* nn/selftest_losses.c: rows of the selftest for losses, and the two tables of cases. */
#include <math.h>

#include "nn/selftest_priv.h"

/* n inputs of (m, d) and a (1,1) result. */
static void loss_shape(self_work *w, int n)
{
    for (int i = 0; i < n; i++) nn_self_input(w, i, w->c->m, w->c->d, SELF_SHARED);
    w->out_rows = w->out_columns = 1;
    w->out_scope = SELF_SHARED;
}

/* ---- differences; flags 1: weights of rows ------------------------------------------------------
 */

static bool difference_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    loss_shape(w, 2);
    if (!w->c->flags) return true;
    nn_self_input(w, 2, w->c->m, 1, SELF_SHARED);
    w->in[2].constant = w->in[2].f32 = true;
    return true;
}

static double denominator(const self_work *w)
{
    return 0.5 * w->c->m * w->c->d;
}

static nn_tensor *mse_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_mse(ctx, in[0], in[1], in[2], denominator(w));
}

static nn_tensor *smooth_l1_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_smooth_l1(ctx, in[0], in[1], in[2], denominator(w));
}

static double difference(const self_work *w, double *const *in, bool smooth)
{
    double total = 0;
    for (int64_t i = 0; i < w->c->m; i++) {
        double weight = in[2] ? in[2][i] : 1;
        for (int64_t j = 0; j < w->c->d; j++) {
            double x = fabs(in[0][i * w->c->d + j] - in[1][i * w->c->d + j]);
            total += weight * (!smooth ? x * x : x < 1 ? x * x / 2 : x - 0.5);
        }
    }
    return total / denominator(w);
}

static void mse_reference(const self_work *w, double *const *in, double *out)
{
    *out = difference(w, in, false);
}

static void smooth_l1_reference(const self_work *w, double *const *in, double *out)
{
    *out = difference(w, in, true);
}

/* ---- cross-entropy; flags 1: weights of classes
 * -------------------------------------------------- */

static bool cross_entropy_shape(self_work *w, me_arena *arena)
{
    loss_shape(w, 1);
    int32_t *labels = nn_self_ints(w, arena, w->c->m, SELF_SHARED);
    for (int i = 0; labels && i < w->c->m; i++) labels[i] = i % 5 == 1 ? -1 : i * 3 % w->c->d;
    if (w->c->flags) {
        nn_self_input(w, 1, 1, w->c->d, SELF_SHARED);
        w->in[1].constant = w->in[1].f32 = true;
    }
    return labels != NULL;
}

static nn_tensor *cross_entropy_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_cross_entropy(ctx, in[0], nn_self_upload_ints(ctx, w, w->n_ints, 1), in[1]);
}

static void cross_entropy_reference(const self_work *w, double *const *in, double *out)
{
    double total = 0, weights = 0;
    for (int64_t i = 0; i < w->c->m; i++) {
        const double *row = in[0] + i * w->c->d;
        double sum = 0;
        if (w->ints[i] < 0) continue;
        for (int64_t j = 0; j < w->c->d; j++) sum += exp(row[j]);
        double weight = in[1] ? in[1][w->ints[i]] : 1;
        weights += weight;
        total += weight * (log(sum) - row[w->ints[i]]);
    }
    *out = total / weights;
}

/* ---- InfoNCE; flags 1: some pairs hidden
 * ---------------------------------------------------------- */

static bool info_nce_shape(self_work *w, me_arena *arena)
{
    int64_t n = w->c->m;
    loss_shape(w, 1);
    if (!w->c->flags) return true;
    int32_t *hidden = nn_self_ints(w, arena, n * n, SELF_SHARED);
    for (int64_t i = 0; hidden && i < n * n; i++) hidden[i] = i % 4 == 0;
    return hidden != NULL;
}

static nn_tensor *info_nce_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    nn_tensor *hidden = w->ints ? nn_self_upload_ints(ctx, w, w->c->m, w->c->m) : NULL;
    return nn_info_nce(ctx, in[0], hidden);
}

static void info_nce_reference(const self_work *w, double *const *in, double *out)
{
    int64_t n = w->c->m;
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        double across = 0, down = 0;
        for (int64_t j = 0; j < n; j++) {
            if (i == j || !w->ints || !w->ints[i * n + j]) across += exp(in[0][i * n + j]);
            if (i == j || !w->ints || !w->ints[j * n + i]) down += exp(in[0][j * n + i]);
        }
        total += log(across) + log(down) - 2 * in[0][i * n + i];
    }
    *out = total / (2 * (double)n);
}

/* ---- KL; flags 1: against N(0, 1)
 * ----------------------------------------------------------------- */

static bool kl_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    loss_shape(w, w->c->flags ? 2 : 4);
    return true;
}

static nn_tensor *kl_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_kl(ctx, in[0], in[1], in[2], in[3]);
}

static void kl_reference(const self_work *w, double *const *in, double *out)
{
    int64_t n = (int64_t)w->c->m * w->c->d;
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        double mu2 = in[2] ? in[2][i] : 0, lv2 = in[3] ? in[3][i] : 0;
        double apart = in[0][i] - mu2;
        total += (lv2 - in[1][i] - 1 + exp(in[1][i] - lv2) + apart * apart / exp(lv2)) / 2;
    }
    *out = total / (double)n;
}

/* ---- groups of columns
 * --------------------------------------------------------------------------------------- */

/* Groups of a third of the columns, the first without weights, the second empty, the third of half
 * the share; a has k further columns. */
static void column_groups(nn_column_group out[3], const self_work *w)
{
    const int64_t third = w->c->d / 3, d = w->c->d;
    out[0] = (nn_column_group){0, third, 3, 1, false};
    out[1] = (nn_column_group){third, third, 1, 1, true};
    out[2] = (nn_column_group){third, d, 7, 0.5f, true};
}

static bool group_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    const int64_t m = w->c->m, d = w->c->d;
    nn_self_input(w, 0, m, d + w->c->k, SELF_SHARED);
    nn_self_input(w, 1, m, d, SELF_SHARED);
    nn_self_input(w, 2, m, 1, SELF_SHARED);
    for (int i = 1; i < 3; i++) w->in[i].constant = w->in[i].f32 = true;
    w->out_rows = w->out_columns = 1;
    w->out_scope = SELF_SHARED;
    return true;
}

static nn_tensor *group_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    nn_column_group groups[3];
    nn_tensor *terms[3];
    column_groups(groups, w);
    return nn_group_mse(ctx, terms, in[0], in[1], in[2], groups, 3);
}

static void group_reference(const self_work *w, double *const *in, double *out)
{
    nn_column_group groups[3];
    const int64_t d = w->c->d, stride = d + w->c->k;
    column_groups(groups, w);
    *out = 0;
    for (int g = 0; g < 3; g++)
        for (int64_t i = 0; i < w->c->m; i++)
            for (int64_t j = groups[g].from; j < groups[g].to; j++)
                *out += (double)groups[g].share * (groups[g].weighted ? in[2][i] : 1) *
                        pow(in[0][i * stride + j] - in[1][i * d + j], 2) / groups[g].denominator;
}

/* ---- triplet
 * --------------------------------------------------------------------------------------- */

static bool triplet_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    loss_shape(w, 3);
    return true;
}

static nn_tensor *triplet_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return w->c->flags ? nn_triplet_squared(ctx, in[0], in[1], in[2], 0.5f)
                       : nn_triplet(ctx, in[0], in[1], in[2], 0.5f);
}

static void triplet_reference(const self_work *w, double *const *in, double *out)
{
    const bool squared = w->c->flags;
    const double shift = squared ? 0 : 1e-6;
    *out = 0;
    for (int64_t i = 0; i < w->c->m; i++) {
        double near = 0, far = 0;
        for (int64_t k = i * w->c->d; k < (i + 1) * w->c->d; k++) {
            near += pow(in[0][k] - in[1][k] + shift, 2);
            far += pow(in[0][k] - in[2][k] + shift, 2);
        }
        if (!squared) near = sqrt(near);
        if (!squared) far = sqrt(far);
        *out += fmax(0, 0.5 + near - far) / w->c->m;
    }
}

/* ---- sum
 * -------------------------------------------------------------------------------------------- */

static bool weighted_sum_shape(self_work *w, me_arena *arena)
{
    (void)arena;
    loss_shape(w, 3);
    for (int i = 0; i < 3; i++) w->in[i].f32 = true;
    return true;
}

static nn_tensor *weighted_sum_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    (void)w;
    return nn_weighted_sum(ctx, in, (const float[]){1, 0.25f, -2}, 3);
}

static void weighted_sum_reference(const self_work *w, double *const *in, double *out)
{
    (void)w;
    *out = in[0][0] + 0.25 * in[1][0] - 2 * in[2][0];
}

const self_op nn_self_loss_ops[] = {
    {"mse", difference_shape, mse_run, mse_reference},
    {"smooth_l1", difference_shape, smooth_l1_run, smooth_l1_reference},
    {"cross_entropy", cross_entropy_shape, cross_entropy_run, cross_entropy_reference},
    {"info_nce", info_nce_shape, info_nce_run, info_nce_reference},
    {"kl", kl_shape, kl_run, kl_reference},
    {"group_mse", group_shape, group_run, group_reference},
    {"triplet", triplet_shape, triplet_run, triplet_reference},
    {"weighted_sum", weighted_sum_shape, weighted_sum_run, weighted_sum_reference},
    {NULL, NULL, NULL, NULL}};

/* ---- cases: sizes that fit no tile
 * ------------------------------------------------------------------ */

// clang-format off
const self_case nn_self_cases[] = {
    /* op               m    d    k   heads flags loose */
    {"linear",          1,   1,   1,   0,  0, 0},
    {"linear",          3,   5,   7,   0,  1, 0},
    {"linear",          31,  33,  135, 0,  2, 0},
    {"linear",          33,  100, 31,  0,  3, 0},
    {"linear",          100, 257, 64,  0,  4, 0},
    {"linear",          97,  64,  256, 0,  16, 0},
    {"linear",          257, 768, 256, 0,  0, 0},
    {"linear",          193, 256, 1024, 0, 17, 0},
    {"linear",          1409, 1284, 132, 0,  2, 0}, /* large enough for a GPU's large tiles */
    {"linear",          1537, 1412, 36, 0,  2, 0}, /* and for several a multiprocessor, narrow */
    {"linear",          1537, 2500, 20, 0,  1, 0}, /* or wide */
    {"linear",          1409, 1283, 19, 0,  0, 0},
    {"parts",           33,  100, 31,  0,  0, 0},
    {"parts",           1409, 1284, 20, 0,  0, 0}, /* long enough to be at work at the same time */
    {"activation",      3,   33,  0,   0,  1, 0},
    {"activation",      100, 257, 0,   0,  2, 0},
    {"activation",      257, 31,  0,   0,  3, 0},
    {"activation",      31,  100, 0,   0,  4, 0},
    {"add",             1,   1,   0,   0,  0, 0},
    {"add",             257, 101, 0,   0,  1, 0},
    {"used_twice",      33,  31,  0,   0,  0, 0},
    {"dropout",         3,   7,   0,   0,  0, 0},
    {"dropout",         257, 101, 0,   0,  0, 0},
    {"reparameterize",  33,  31,  0,   0,  0, 0},
    {"cast",            33,  257, 0,   0,  0, 0},
    {"layernorm",       1,   3,   0,   0,  1, 4},
    {"layernorm",       31,  256, 0,   0,  1, 0},
    {"layernorm",       100, 512, 0,   0,  3, 0},
    {"layernorm",       257, 33,  0,   0,  0, 0},
    {"layernorm",       33,  100, 0,   0,  2, 0},
    {"linear_dropout",  31,  33,  20,  0,  1, 0},
    {"linear_dropout",  100, 257, 64,  0,  4, 0},
    {"linear_dropout",  257, 130, 31,  0,  0, 0},
    {"linear_dropout",  600, 1024, 64, 0,  1, 0},
    {"linear_layernorm", 33, 100, 31,  0,  0, 0},
    {"linear_layernorm", 97, 64,  256, 0,  1, 0},
    {"linear_layernorm", 257, 256, 64, 0,  0, 0},
    {"dropout_layernorm", 5, 1101, 0,  0,  0, 0},
    {"dropout_layernorm", 31, 33, 0,   0,  0, 0},
    {"dropout_layernorm", 257, 256, 0, 0,  0, 0},
    {"dropout_layernorm", 100, 512, 0, 0,  1, 0},
    {"normalize_rows",  1,   3,   0,   0,  0, 0}, /* of one column the gradient is 0, all rounding */
    {"normalize_rows",  100, 257, 0,   0,  0, 0},
    {"gather",          1,   3,   1,   0,  0, 0},
    {"gather",          257, 33,  31,  0,  0, 0},
    {"add_rows",        31,  100, 33,  0,  0, 0},
    {"add_rows",        257, 64,  3,   0,  1, 0},
    {"concat_rows",     1,   3,   0,   0,  0, 0},
    {"concat_rows",     31,  33,  0,   0,  0, 0},
    {"concat_columns",  1,   1,   1,   0,  0, 0},
    {"concat_columns",  100, 31,  33,  0,  0, 0},
    {"columns",         3,   5,   2,   0,  0, 0},
    {"columns",         257, 100, 33,  0,  0, 0},
    {"rows",            3,   5,   1,   0,  0, 0},
    {"rows",            100, 33,  31,  0,  0, 0},
    /* m: the list of lengths */
    {"self_attention",  0,   8,   0,   2,  0, 0},
    {"self_attention",  1,   256, 0,   4,  0, 0},
    {"self_attention",  2,   128, 0,   2,  0, 0},
    {"self_attention",  2,   96,  0,   3,  1, 0},
    {"self_attention",  3,   64,  0,   2,  1, 0},
    {"self_attention",  4,   64,  0,   1,  2, 0},
    {"self_attention",  4,   128, 0,   2,  4, 0},
    {"self_attention",  1,   64,  0,   1,  7, 0},
    {"self_attention",  5,   64,  0,   1,  4, 0},
    {"self_attention",  5,   128, 0,   1,  5, 0},
    {"self_attention",  5,   40,  0,   1,  3, 0},
    {"self_attention",  5,   24,  0,   2,  4, 0}, /* 12 columns: 16-byte rows in f32 alone */
    {"self_attention",  6,   64,  0,   1,  4, 0},
    {"self_attention",  6,   32,  0,   1,  2, 0},
    {"self_attention",  7,   64,  0,   1,  4, 0},
    {"self_attention",  7,   128, 0,   1,  2, 0},
    {"cross_attention", 0,   8,   0,   2,  0, 0},
    {"cross_attention", 2,   128, 0,   2,  0, 0},
    {"cross_attention", 2,   256, 0,   4,  8, 0},
    {"cross_attention", 4,   64,  0,   1,  4, 0},
    {"cross_attention", 5,   64,  0,   1,  0, 0},
    {"cross_attention", 7,   64,  0,   1,  4, 0},
    {"cross_attention", 7,   32,  0,   1,  12, 2}, /* one query a sequence, dropout */
    {"modulate",        0,   3,   0,   0,  0, 4},
    {"modulate",        2,   128, 0,   0,  0, 0},
    {"modulate",        4,   33,  0,   0,  0, 0},
    {"gate",            1,   31,  0,   0,  0, 0},
    {"gate",            2,   128, 0,   0,  0, 0},
    {"gate_modulate",   1,   31,  0,   0,  0, 4},
    {"gate_modulate",   2,   128, 0,   0,  0, 0},
    {"gate_modulate",   4,   512, 0,   0,  0, 0},
    {"gate_modulate",   2,   33,  0,   0,  1, 0},
    {"mean_pool",       0,   1,   0,   0,  0, 0},
    {"mean_pool",       2,   257, 0,   0,  0, 0},
    {"noise",           1,   5,   0,   0,  0, 0},
    {"noise",           2,   207, 0,   0,  0, 0},
    {"denoise",         1,   5,   0,   0,  0, 0},
    {"denoise",         2,   207, 1,   0,  0, 0},
    {"denoise",         2,   33,  7,   0,  1, 0},
    {"assemble",        1,   3,   2,   0,  0, 0},
    {"assemble",        257, 33,  31,  0,  0, 0},
    {"assemble",        100, 128, 9,   0,  0, 0},
    {"pad",             33,  31,  1,   0,  0, 0},
    {"mse",             1,   1,   0,   0,  0, 0},
    {"mse",             257, 33,  0,   0,  1, 0},
    {"smooth_l1",       100, 31,  0,   0,  0, 0},
    {"smooth_l1",       33,  257, 0,   0,  1, 0},
    {"cross_entropy",   1,   3,   0,   0,  0, 0},
    {"cross_entropy",   257, 31,  0,   0,  1, 0},
    {"info_nce",        2,   2,   0,   0,  0, 0},
    {"info_nce",        33,  33,  0,   0,  1, 0},
    {"kl",              33,  31,  0,   0,  0, 0},
    {"kl",              3,   257, 0,   0,  1, 0},
    {"group_mse",       1,   3,   0,   0,  0, 0},
    {"group_mse",       257, 207, 1,   0,  0, 0},
    {"group_mse",       100, 33,  7,   0,  0, 0},
    {"triplet",         33,  100, 0,   0,  0, 0},
    {"triplet",         33,  100, 0,   0,  1, 0},
    {"weighted_sum",    1,   1,   0,   0,  0, 0},
    {NULL, 0, 0, 0, 0, 0, 0}};

/* Sizes of the encoder (256 wide, 300 clips of 62 rows) and of the editor (512 wide, 128 of 200 rows). */
const self_case nn_self_perf[] = {
    {"linear",          18600, 768,  256,  0, 0, 0},
    {"linear",          18600, 256,  256,  0, 0, 0},
    {"linear",          18600, 1024, 256,  0, 2, 0},
    {"linear",          18600, 256,  1024, 0, 0, 0},
    {"linear",          25600, 1536, 512,  0, 0, 0},
    {"linear",          300,   256,  256,  0, 0, 0},
    {"activation",      18600, 1024, 0,    0, 1, 0},
    {"activation",      18600, 1024, 0,    0, 2, 0},
    {"layernorm",       18600, 256,  0,    0, 3, 0},
    {"self_attention",  300062, 256, 0,    4, 0, 0},
    {"self_attention",  128200, 512, 0,    8, 0, 0},
    {"modulate",        128200, 512, 0,    0, 0, 0},
    {"gate",            128200, 512, 0,    0, 0, 0},
    {"gate_modulate",   128200, 512, 0,    0, 0, 0},
    {"add_rows",        18600, 256,  64,   0, 0, 0},
    {"dropout",         18600, 256,  0,    0, 0, 0},
    {NULL, 0, 0, 0, 0, 0, 0}};
// clang-format on
