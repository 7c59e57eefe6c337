/* nn/cpu/cpu_gemm.c: matrix products by OpenBLAS, cut so that no result depends on how many threads
 * run or on what else is in the batch.
 *
 * OpenBLAS chooses its kernels, and with them the order of its sums, by the sizes of a call. So
 * where the rows of C are tokens (a not transposed) every call has the same number of rows, ROWS,
 * the last block being padded through a scratch copy: a row's bits then depend on that row, the
 * weight and nothing else (the selftest proves it on the machine at hand). 96 is a multiple of the
 * row unrolls of its kernels (6, 4, 16); at 96 rows repacking the weight costs some 6 % against one
 * call for everything. Weight gradients (a transposed) have fixed outputs and are cut into tiles of
 * those.
 */
#include "nn/cpu/cpu_priv.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>

#define ROWS 96
#define TILE_ROWS 128
#define TILE_COLUMNS 512

typedef struct gemm {
    nn_gemm_args args; /* a, b, bias, c, pre_activation: f32 here */
    int64_t lda, ldb, ldc;
} gemm;

static void blas(const gemm *g, int64_t rows, int64_t columns, const float *a, int64_t lda,
                 const float *b, float *c, int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, g->args.trans_a ? CblasTrans : CblasNoTrans,
                g->args.trans_b ? CblasTrans : CblasNoTrans, (blasint)rows, (blasint)columns,
                (blasint)g->args.k, 1, a, (blasint)lda, b, (blasint)g->ldb, g->args.accumulate, c,
                (blasint)ldc);
}

/* Bias, activation and the copy before it, while the block is in the cache. */
static void finish(const gemm *g, int64_t from, int64_t to, int64_t left, int64_t right)
{
    const nn_gemm_args *args = &g->args;
    const float *bias = args->bias;
    float *pre = args->pre_activation;
    int64_t n = right - left;
    for (int64_t i = from; i < to; i++) {
        float *c = (float *)args->c + i * g->ldc + left;
        if (bias) {
#pragma omp simd
            for (int64_t j = 0; j < n; j++) c[j] += bias[left + j];
        }
        if (pre) memcpy(pre + i * g->ldc + left, c, (size_t)n * sizeof *c);
        if (args->act != NN_ACT_NONE) nn_cpu_act(c, c, n, args->act);
    }
}

/* Rows [from, from + ROWS) of C, of which `rows` exist. */
static void row_block(const gemm *g, int64_t from, int64_t rows, float *pad)
{
    const nn_gemm_args *args = &g->args;
    const float *a = (const float *)args->a + from * g->lda;
    float *c = (float *)args->c + from * g->ldc;
    if (rows == ROWS) {
        blas(g, ROWS, args->n, a, g->lda, args->b, c, g->ldc);
    } else {
        float *a_pad = pad, *c_pad = pad + ROWS * args->k;
        size_t line = (size_t)args->k * sizeof *a, out = (size_t)args->n * sizeof *c;
        memset(pad, 0, ROWS * (line + out));
        for (int64_t i = 0; i < rows; i++) {
            memcpy(a_pad + i * args->k, a + i * g->lda, line);
            if (args->accumulate != 0) memcpy(c_pad + i * args->n, c + i * g->ldc, out);
        }
        blas(g, ROWS, args->n, a_pad, args->k, args->b, c_pad, args->n);
        for (int64_t i = 0; i < rows; i++) memcpy(c + i * g->ldc, c_pad + i * args->n, out);
    }
    finish(g, from, from + rows, 0, args->n);
}

static void by_rows(cpu_backend *cpu, const gemm *g)
{
    const nn_gemm_args *args = &g->args;
    int64_t blocks = (args->m + ROWS - 1) / ROWS;
    float *pad = NULL;
    if (args->m % ROWS) pad = nn_cpu_scratch(cpu, ROWS * (args->k + args->n), sizeof *pad);
    if (!nn_cpu_ready(cpu)) return;
#pragma omp parallel for schedule(dynamic) num_threads(cpu->threads) if (blocks > 1)
    for (int64_t i = 0; i < blocks; i++) {
        int64_t left = args->m - i * ROWS;
        row_block(g, i * ROWS, left < ROWS ? left : ROWS, pad);
    }
}

static void by_tiles(cpu_backend *cpu, const gemm *g)
{
    const nn_gemm_args *args = &g->args;
    int64_t down = (args->m + TILE_ROWS - 1) / TILE_ROWS;
    int64_t across = (args->n + TILE_COLUMNS - 1) / TILE_COLUMNS;
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(cpu->threads)
    for (int64_t i = 0; i < down; i++) {
        for (int64_t j = 0; j < across; j++) {
            int64_t from = i * TILE_ROWS, left = j * TILE_COLUMNS;
            int64_t to = from + TILE_ROWS < args->m ? from + TILE_ROWS : args->m;
            int64_t right = left + TILE_COLUMNS < args->n ? left + TILE_COLUMNS : args->n;
            const float *b = (const float *)args->b + left * (args->trans_b ? g->ldb : 1);
            blas(g, to - from, right - left, (const float *)args->a + from, g->lda, b,
                 (float *)args->c + from * g->ldc + left, g->ldc);
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
    g.args.pre_activation = nn_cpu_out1(cpu, args->c_dtype, args->pre_activation, c_count, false);
    if (nn_cpu_ready(cpu)) {
        if (!args->k) { /* an empty sum; OpenBLAS need not be asked */
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

/* Column sums, each in the order of the rows. */
void nn_cpu_bias_grad(nn_backend *be, const nn_columns_args *args)
{
    enum { WIDE = 64 };
    cpu_backend *cpu = nn_cpu(be);
    int64_t stride = args->src_stride, blocks = (args->columns + WIDE - 1) / WIDE;
    const float *src = nn_cpu_in(cpu, args->dtype, args->src, args->m, args->columns, &stride);
    float *dst = args->dst;
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for num_threads(cpu->threads) if (args->m * args->columns > 32768)
        for (int64_t block = 0; block < blocks; block++) {
            int64_t from = block * WIDE,
                    n = args->columns - from < WIDE ? args->columns - from : WIDE;
            double sum[WIDE] = {0};
            for (int64_t i = 0; i < args->m; i++) {
                const float *row = src + i * stride + from;
#pragma omp simd
                for (int64_t j = 0; j < n; j++) sum[j] += row[j];
            }
            for (int64_t j = 0; j < n; j++) dst[from + j] += (float)sum[j];
        }
    }
    nn_cpu_done(cpu);
}
