/* nn/cpu/cpu_attention.c: softmax attention, one sequence and head at a time, BLOCK queries at a
 * time.
 *
 * The scores of a block against all keys of the sequence are the only thing that is stored: BLOCK
 * times the longest sequence for each thread. The products are OpenBLAS calls whose sizes follow
 * from the sequence alone, so what else is in the batch, and how many threads run, changes no bit.
 */
#include "nn/cpu/cpu_priv.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "nn/cpu/cpu_math.h"

#define BLOCK 64

/* One head of one sequence. */
typedef struct head {
    const nn_attention_args *args;
    int64_t h, q_from, k_from, nq, nk;
    const float *q, *k, *v;
    int64_t out_stride;
} head;

static head find_head(const nn_attention_args *a, int64_t sequence, int64_t h)
{
    int64_t q_from = a->offsets_q[sequence], k_from = a->offsets_k[sequence];
    int64_t column = h * a->head_dim;
    return (head){.args = a,
                  .h = h,
                  .q_from = q_from,
                  .k_from = k_from,
                  .nq = a->offsets_q[sequence + 1] - q_from,
                  .nk = a->offsets_k[sequence + 1] - k_from,
                  .q = (const float *)a->q + q_from * a->q_stride + column,
                  .k = (const float *)a->k + k_from * a->kv_stride + column,
                  .v = (const float *)a->v + k_from * a->kv_stride + column,
                  .out_stride = (int64_t)a->heads * a->head_dim};
}

static void product(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                    const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                    int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                trans_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
                (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

/* scores (rows, nk) = scale q k^T, with -inf where a key is hidden. */
static void scores(const head *t, int64_t from, int64_t rows, float *s)
{
    const nn_attention_args *a = t->args;
    product(false, true, rows, t->nk, a->head_dim, a->scale, t->q + from * a->q_stride, a->q_stride,
            t->k, a->kv_stride, 0, s, t->nk);
    for (int64_t i = 0; i < rows && (a->causal || a->key_mask); i++) {
        float *row = s + i * t->nk;
        if (a->causal) {
            for (int64_t j = from + i + 1; j < t->nk; j++) row[j] = -INFINITY;
        }
        if (a->key_mask) {
            const int32_t *mask = a->key_mask + t->k_from;
            for (int64_t j = 0; j < t->nk; j++) row[j] = mask[j] ? row[j] : -INFINITY;
        }
    }
}

/* In place; returns log(sum(exp(row))). A row without visible keys becomes zeros. */
static float softmax(float *row, int64_t n)
{
    float top = -INFINITY, sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < n; j++) top = row[j] > top ? row[j] : top;
    if (top == -INFINITY) {
        memset(row, 0, (size_t)n * sizeof *row);
        return -INFINITY;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        row[j] = cpu_exp(row[j] - top);
        sum += row[j];
    }
    float inverse = 1 / sum;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) row[j] *= inverse;
    return top + logf(sum);
}

/* Multiplies the weights of query `query` of the sequence by their dropout mask. */
static void drop(const head *t, int64_t query, float *row)
{
    const nn_attention_args *a = t->args;
    if (a->dropout == 0) return;
    uint32_t threshold = nn_dropout_threshold(a->dropout), words[NN_CPU_DRAW];
    float keep = 1 / (1 - a->dropout);
    int64_t wide = (a->longest_k + 3) / 4 * 4; /* so that rows begin with a block of words */
    uint64_t first = (uint64_t)((t->h * a->tokens_q + t->q_from + query) * wide);
    for (int64_t from = 0; from < t->nk; from += NN_CPU_DRAW) {
        int64_t to = from + NN_CPU_DRAW < t->nk ? from + NN_CPU_DRAW : t->nk;
        nn_cpu_draw(a->seed, a->site, first + (uint64_t)from, words);
        for (int64_t j = from; j < to; j++)
            row[j] = words[j - from] >= threshold ? row[j] * keep : 0;
    }
}

static void zero_rows(float *x, int64_t rows, int64_t columns, int64_t stride)
{
    for (int64_t i = 0; i < rows; i++) memset(x + i * stride, 0, (size_t)columns * sizeof *x);
}

static void head_forward(const head *t, float *s)
{
    const nn_attention_args *a = t->args;
    float *out = (float *)a->out + t->q_from * t->out_stride + t->h * a->head_dim;
    if (!t->nk) zero_rows(out, t->nq, a->head_dim, t->out_stride);
    for (int64_t from = 0; t->nk && from < t->nq; from += BLOCK) {
        int64_t rows = t->nq - from < BLOCK ? t->nq - from : BLOCK;
        scores(t, from, rows, s);
        for (int64_t i = 0; i < rows; i++) {
            float lse = softmax(s + i * t->nk, t->nk);
            if (a->lse) a->lse[t->h * a->tokens_q + t->q_from + from + i] = lse;
            drop(t, from + i, s + i * t->nk);
        }
        product(false, false, rows, a->head_dim, t->nk, 1, s, t->nk, t->v, a->kv_stride, 0,
                out + from * t->out_stride, t->out_stride);
    }
}

/* f32 stand-ins. */
static nn_attention_args attention_f32(cpu_backend *cpu, const nn_attention_args *o, bool backward)
{
    nn_attention_args a = *o;
    if (o->state) a.seed = o->state->seed;
    int64_t d = (int64_t)o->heads * o->head_dim, v_stride = o->kv_stride;
    int64_t dq = o->q_stride, dk = o->kv_stride, dv = o->kv_stride;
    a.q = nn_cpu_in(cpu, o->dtype, o->q, o->tokens_q, d, &a.q_stride);
    a.k = nn_cpu_in(cpu, o->dtype, o->k, o->tokens_k, d, &a.kv_stride);
    a.v = nn_cpu_in(cpu, o->dtype, o->v, o->tokens_k, d, &v_stride);
    if (!backward) {
        a.out = nn_cpu_out1(cpu, o->dtype, o->out, o->tokens_q * d, false);
    } else {
        a.dout = nn_cpu_in1(cpu, o->dtype, o->dout, o->tokens_q * d);
        a.dq = nn_cpu_out(cpu, o->dtype, o->dq, o->tokens_q, d, &dq, false);
        a.dk = nn_cpu_out(cpu, o->dtype, o->dk, o->tokens_k, d, &dk, false);
        a.dv = nn_cpu_out(cpu, o->dtype, o->dv, o->tokens_k, d, &dv, false);
    }
    return a;
}

void nn_cpu_attention_fwd(nn_backend *be, const nn_attention_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    nn_attention_args a = attention_f32(cpu, args, false);
    int64_t size = BLOCK * a.longest_k;
    float *scratch = nn_cpu_scratch(cpu, size * cpu->threads, sizeof *scratch);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(cpu->threads)
        for (int64_t i = 0; i < a.sequences; i++) {
            for (int64_t h = 0; h < a.heads; h++) {
                head t = find_head(&a, i, h);
                head_forward(&t, scratch + omp_get_thread_num() * size);
            }
        }
    }
    nn_cpu_done(cpu);
}

/* ---- backward ----------------------------------------------------------------------------------
 */

/* With P the weights, D the dropout mask and dP = (dO V^T) D:
 *   dV = (P D)^T dO,   dS = scale P (dP - rowsum(P dP)),   dQ = dS K,   dK = dS^T Q.
 * p and dp hold BLOCK rows; both are overwritten, p by dS. */
static void weights_backward(const head *t, int64_t from, int64_t rows, float *p, float *dp)
{
    const nn_attention_args *a = t->args;
    for (int64_t i = 0; i < rows; i++) {
        float *pi = p + i * t->nk, *di = dp + i * t->nk;
        double sum = 0;
        drop(t, from + i, di);
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < t->nk; j++) sum += (double)pi[j] * di[j];
        float delta = (float)sum;
        if (a->delta) a->delta[t->h * a->tokens_q + t->q_from + from + i] = delta;
#pragma omp simd
        for (int64_t j = 0; j < t->nk; j++) pi[j] = a->scale * pi[j] * (di[j] - delta);
    }
}

static void head_backward(const head *t, float *p, float *dp)
{
    const nn_attention_args *a = t->args;
    int64_t column = t->h * a->head_dim, hd = a->head_dim;
    const float *dout = (const float *)a->dout + t->q_from * t->out_stride + column;
    float *dq = (float *)a->dq + t->q_from * a->q_stride + column;
    float *dk = (float *)a->dk + t->k_from * a->kv_stride + column;
    float *dv = (float *)a->dv + t->k_from * a->kv_stride + column;
    if (!t->nk) zero_rows(dq, t->nq, hd, a->q_stride);
    if (!t->nq) {
        zero_rows(dk, t->nk, hd, a->kv_stride);
        zero_rows(dv, t->nk, hd, a->kv_stride);
    }
    for (int64_t from = 0; t->nk && from < t->nq; from += BLOCK) {
        int64_t rows = t->nq - from < BLOCK ? t->nq - from : BLOCK;
        const float *douti = dout + from * t->out_stride;
        const float *lse = a->lse + t->h * a->tokens_q + t->q_from + from;
        float sum = from ? 1 : 0;
        scores(t, from, rows, p);
        for (int64_t i = 0; i < rows; i++) {
            float *pi = p + i * t->nk, *copy = dp + i * t->nk, shift = lse[i];
            if (shift == -INFINITY) {
                memset(pi, 0, (size_t)t->nk * sizeof *pi);
            } else {
#pragma omp simd
                for (int64_t j = 0; j < t->nk; j++) pi[j] = cpu_exp(pi[j] - shift);
            }
            memcpy(copy, pi, (size_t)t->nk * sizeof *pi);
            drop(t, from + i, copy);
        }
        product(true, false, t->nk, hd, rows, 1, dp, t->nk, douti, t->out_stride, sum, dv,
                a->kv_stride);
        product(false, true, rows, t->nk, hd, 1, douti, t->out_stride, t->v, a->kv_stride, 0, dp,
                t->nk);
        weights_backward(t, from, rows, p, dp);
        product(false, false, rows, hd, t->nk, 1, p, t->nk, t->k, a->kv_stride, 0,
                dq + from * a->q_stride, a->q_stride);
        product(true, false, t->nk, hd, rows, 1, p, t->nk, t->q + from * a->q_stride, a->q_stride,
                sum, dk, a->kv_stride);
    }
}

void nn_cpu_attention_bwd(nn_backend *be, const nn_attention_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    nn_attention_args a = attention_f32(cpu, args, true);
    int64_t size = BLOCK * a.longest_k;
    float *scratch = nn_cpu_scratch(cpu, 2 * size * cpu->threads, sizeof *scratch);
    if (nn_cpu_ready(cpu)) {
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(cpu->threads)
        for (int64_t i = 0; i < a.sequences; i++) {
            for (int64_t h = 0; h < a.heads; h++) {
                head t = find_head(&a, i, h);
                float *p = scratch + 2 * size * omp_get_thread_num();
                head_backward(&t, p, p + size);
            }
        }
    }
    nn_cpu_done(cpu);
}
