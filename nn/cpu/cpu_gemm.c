/* nn/cpu/cpu_gemm.c: matrix products whose results do not depend on how many threads run or on what
 * else is in the batch.
 *
 * Where the rows of C are tokens (a not transposed) the product is our own: every element is one
 * chain of fused multiply-adds over k, begun anew every DEPTH terms, wherever its row stands.
 * OpenBLAS cannot promise that: its Haswell and Zen kernels take rows in groups of six whose sums
 * are ordered differently in odd and even groups, so a clip's embedding would depend on its place
 * in the batch. Weight gradients (a transposed) have no such rows and go to OpenBLAS, cut into
 * fixed tiles.
 *
 * The kernel holds 6 x 16 results in registers. b is packed once for a call into panels of 16
 * columns (16 KiB for DEPTH terms: they stay in the first-level cache), shared by all threads; a is
 * read as it lies.
 */
#include "nn/cpu/cpu_priv.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>

/* -std=c11 forbids the compiler to fuse a multiply and an add; here the fusion is the point. */
#pragma GCC optimize("fp-contract=fast")

#define ROWS 96   /* of one task */
#define GROUP 6   /* rows of the kernel */
#define PANEL 16  /* columns of the kernel */
#define DEPTH 256 /* terms of one chain */
#define TILE_ROWS 128
#define TILE_COLUMNS 512

typedef struct gemm {
    nn_gemm_args args; /* a, b, bias, c, slope: f32 here */
    int64_t lda, ldb, ldc;
    float *packed; /* b: for every DEPTH terms, for every panel: (terms, PANEL) */
    int64_t panels;
} gemm;

/* Bias, activation, dropout and the slope of both, while the block is in the cache. */
static void finish(const gemm *g, int64_t from, int64_t to, int64_t left, int64_t right)
{
    const nn_gemm_args *args = &g->args;
    const float *bias = args->bias;
    int64_t n = right - left;
    for (int64_t i = from; i < to; i++) {
        float *c = (float *)args->c + i * g->ldc + left;
        float *slope = args->slope ? (float *)args->slope + i * g->ldc + left : NULL;
        const uint64_t first = (uint64_t)(i * args->n + left);
        if (bias) {
#pragma omp simd
            for (int64_t j = 0; j < n; j++) c[j] += bias[left + j];
        }
        if (slope) {
            for (int64_t j = 0; j < n; j++) slope[j] = 1;
            nn_cpu_act_slope(slope, slope, c, n, args->act);
            if (args->drop.p > 0) nn_cpu_drop(slope, slope, n, first, &args->drop);
        }
        if (args->act != NN_ACT_NONE) nn_cpu_act(c, c, n, args->act);
        if (args->drop.p > 0) nn_cpu_drop(c, c, n, first, &args->drop);
    }
}

/* ---- rows of tokens ----------------------------------------------------------------------------
 */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Where the panel for terms from `k` on lies. */
static float *panel_at(const gemm *g, int64_t k, int64_t panel)
{
    int64_t terms = smaller(DEPTH, g->args.k - k);
    return g->packed + k * g->panels * PANEL + panel * terms * PANEL;
}

/* Columns past the last are zeros. */
static void pack_panel(const gemm *g, int64_t k, int64_t panel)
{
    int64_t terms = smaller(DEPTH, g->args.k - k), left = panel * PANEL;
    int64_t columns = smaller(PANEL, g->args.n - left);
    const float *b = g->args.b;
    float *to = panel_at(g, k, panel);
    if (columns < PANEL) memset(to, 0, (size_t)(terms * PANEL) * sizeof *to);
    for (int64_t l = 0; l < terms; l++) {
        float *line = to + l * PANEL;
        if (g->args.trans_b) {
            for (int64_t j = 0; j < columns; j++) line[j] = b[(left + j) * g->ldb + k + l];
        } else {
            for (int64_t j = 0; j < columns; j++) line[j] = b[(k + l) * g->ldb + left + j];
        }
    }
}

typedef float vec8 __attribute__((vector_size(32)));
typedef float loose8 __attribute__((vector_size(32), aligned(4), may_alias));

/* out (rows, PANEL) = a (rows, terms) panel (terms, PANEL); with `add`, added to what is there.
 * `rows` is a constant wherever this is inlined, so that the sums live in registers. */
static inline __attribute__((always_inline)) void kernel(int rows, const float *a, int64_t lda,
                                                         const float *panel, int64_t terms,
                                                         float *out, int64_t stride, bool add)
{
    vec8 sum[GROUP][2] = {{{0}}};
    for (int64_t l = 0; l < terms; l++) {
        vec8 b0 = *(const loose8 *)(panel + l * PANEL),
             b1 = *(const loose8 *)(panel + l * PANEL + 8);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            float x = a[i * lda + l];
            vec8 ai = {x, x, x, x, x, x, x, x};
            sum[i][0] += ai * b0; /* contracted to one fused multiply-add */
            sum[i][1] += ai * b1;
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        loose8 *to = (loose8 *)(out + i * stride);
        to[0] = add ? (vec8)to[0] + sum[i][0] : sum[i][0];
        to[1] = add ? (vec8)to[1] + sum[i][1] : sum[i][1];
    }
}

static void kernel_rows(int64_t rows, const float *a, int64_t lda, const float *panel,
                        int64_t terms, float *out, int64_t stride, bool add)
{
    switch (rows) {
    case 6:
        kernel(6, a, lda, panel, terms, out, stride, add);
        break;
    case 5:
        kernel(5, a, lda, panel, terms, out, stride, add);
        break;
    case 4:
        kernel(4, a, lda, panel, terms, out, stride, add);
        break;
    case 3:
        kernel(3, a, lda, panel, terms, out, stride, add);
        break;
    case 2:
        kernel(2, a, lda, panel, terms, out, stride, add);
        break;
    default:
        kernel(1, a, lda, panel, terms, out, stride, add);
    }
}

/* One panel of columns of up to GROUP rows; the last panel goes through a full-width copy. */
static void tile(const gemm *g, int64_t row, int64_t rows, int64_t k, int64_t panel, bool add)
{
    int64_t left = panel * PANEL, columns = smaller(PANEL, g->args.n - left);
    const float *a = (const float *)g->args.a + row * g->lda + k;
    float *c = (float *)g->args.c + row * g->ldc + left, wide[GROUP * PANEL];
    bool narrow = columns < PANEL;
    for (int64_t i = 0; narrow && add && i < rows; i++)
        memcpy(wide + i * PANEL, c + i * g->ldc, (size_t)columns * sizeof *c);
    kernel_rows(rows, a, g->lda, panel_at(g, k, panel), smaller(DEPTH, g->args.k - k),
                narrow ? wide : c, narrow ? PANEL : g->ldc, add);
    for (int64_t i = 0; narrow && i < rows; i++)
        memcpy(c + i * g->ldc, wide + i * PANEL, (size_t)columns * sizeof *c);
}

static void row_block(const gemm *g, int64_t from, int64_t to)
{
    for (int64_t k = 0; k < g->args.k; k += DEPTH) {
        bool add = k > 0 || g->args.accumulate != 0;
        for (int64_t panel = 0; panel < g->panels; panel++) {
            for (int64_t row = from; row < to; row += GROUP)
                tile(g, row, smaller(GROUP, to - row), k, panel, add);
        }
    }
    finish(g, from, to, 0, g->args.n);
}

static void by_rows(cpu_backend *cpu, gemm *g)
{
    int64_t m = g->args.m, chains = (g->args.k + DEPTH - 1) / DEPTH;
    g->panels = (g->args.n + PANEL - 1) / PANEL;
    g->packed = nn_cpu_scratch(cpu, g->panels * PANEL * g->args.k, sizeof *g->packed);
    if (!g->packed) return;
#pragma omp parallel num_threads(cpu->threads) if (m * g->args.n * g->args.k > 65536)
    {
#pragma omp for collapse(2)
        for (int64_t chain = 0; chain < chains; chain++) {
            for (int64_t panel = 0; panel < g->panels; panel++) pack_panel(g, chain * DEPTH, panel);
        }
#pragma omp for schedule(dynamic)
        for (int64_t from = 0; from < m; from += ROWS) row_block(g, from, smaller(from + ROWS, m));
    }
}

/* ---- weight gradients --------------------------------------------------------------------------
 */

static void by_tiles(cpu_backend *cpu, const gemm *g)
{
    const nn_gemm_args *args = &g->args;
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(cpu->threads)
    for (int64_t from = 0; from < args->m; from += TILE_ROWS) {
        for (int64_t left = 0; left < args->n; left += TILE_COLUMNS) {
            int64_t to = smaller(from + TILE_ROWS, args->m);
            int64_t right = smaller(left + TILE_COLUMNS, args->n);
            const float *b = (const float *)args->b + left * (args->trans_b ? g->ldb : 1);
            cblas_sgemm(CblasRowMajor, CblasTrans, args->trans_b ? CblasTrans : CblasNoTrans,
                        (blasint)(to - from), (blasint)(right - left), (blasint)args->k, 1,
                        (const float *)args->a + from, (blasint)g->lda, b, (blasint)g->ldb,
                        args->accumulate, (float *)args->c + from * g->ldc + left, (blasint)g->ldc);
            finish(g, from, to, left, right);
        }
    }
}

void nn_cpu_gemm(nn_backend *be, const nn_gemm_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    if (!args->m || !args->n) return;
    gemm g = {.args = *args,
              .lda = args->trans_a ? args->m : args->k,
              .ldb = args->trans_b ? args->k : args->n,
              .ldc = args->n};
    int64_t c_count = args->m * args->n;
    g.args.a = nn_cpu_in1(cpu, args->dtype, args->a, args->m * args->k);
    g.args.b = nn_cpu_in1(cpu, args->dtype, args->b, args->n * args->k);
    g.args.bias = nn_cpu_in1(cpu, args->c_dtype, args->bias, args->n);
    g.args.c = nn_cpu_out1(cpu, args->c_dtype, args->c, c_count, args->accumulate != 0);
    g.args.slope = nn_cpu_out1(cpu, args->c_dtype, args->slope, c_count, false);
    if (nn_cpu_ready(cpu)) {
        if (!args->k) { /* an empty sum */
            if (args->accumulate == 0) memset(g.args.c, 0, (size_t)c_count * sizeof(float));
            finish(&g, 0, args->m, 0, args->n);
        } else if (args->trans_a) {
            by_tiles(cpu, &g);
        } else {
            by_rows(cpu, &g);
        }
    }
    nn_cpu_done(cpu);
}

/* ---- from an output's gradient to the product's ------------------------------------------------
 */

void nn_cpu_add_column_sums(cpu_backend *cpu, float *dst, const float *src, int64_t m, int64_t n,
                            int64_t stride)
{
    enum { WIDE = 64 };
    int64_t blocks = (n + WIDE - 1) / WIDE;
#pragma omp parallel for num_threads(cpu->threads) if (m * n > 32768)
    for (int64_t block = 0; block < blocks; block++) {
        int64_t from = block * WIDE, columns = smaller(WIDE, n - from);
        double sum[WIDE] = {0};
        for (int64_t i = 0; i < m; i++) {
            const float *row = src + i * stride + from;
#pragma omp simd
            for (int64_t j = 0; j < columns; j++) sum[j] += row[j];
        }
        for (int64_t j = 0; j < columns; j++) dst[from + j] += (float)sum[j];
    }
}

void nn_cpu_linear_grad(nn_backend *be, const nn_linear_grad_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    int64_t m = args->m, n = args->n;
    const float *slope = nn_cpu_in1(cpu, args->dtype, args->slope, m * n);
    const float *dy = nn_cpu_in1(cpu, args->dtype, args->dy, m * n), *g = dy;
    if (slope || args->dx != args->dy) {
        float *dx = nn_cpu_out1(cpu, args->dtype, args->dx, m * n, false);
#pragma omp parallel for num_threads(cpu->threads) if (m * n > 32768)
        for (int64_t i = 0; i < (nn_cpu_ready(cpu) ? m * n : 0); i++)
            dx[i] = slope ? dy[i] * slope[i] : dy[i];
        g = dx;
    }
    if (nn_cpu_ready(cpu) && args->dbias) nn_cpu_add_column_sums(cpu, args->dbias, g, m, n, n);
    nn_cpu_done(cpu);
}
