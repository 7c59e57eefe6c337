/* nn/cuda/cuda_loss.cu: the losses, forward and backward, on f32 and bf16 tensors.
 *
 * A loss is a sum over rows or elements, taken in double in a fixed order: blocks leave partial
 * sums in the workspace and one block adds them. They are small beside a model's products, so the
 * kernels are kept plain: every input is read once a pass.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#include <math.h>

#define THREADS 256
#define SUM_BLOCKS 256
#define WARPS 8
#define DISTANCE_SHIFT 1e-6f

/* ---- sums --------------------------------------------------------------------------------------
 */

/* partial[block] = sum over every gridDim.x-th group of 256 of term(i). */
template <typename F>
static __global__ void __launch_bounds__(THREADS) sum_kernel(double *partial, int64_t n, F term)
{
    nn_cuda_begin();
    __shared__ double shared[32];
    double sum = 0.0;
    int64_t step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += step) sum += term(i);
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

static __global__ void __launch_bounds__(THREADS)
    finish_kernel(float *value, const double *partial, int blocks, double divisor)
{
    nn_cuda_begin();
    __shared__ double shared[32];
    double sum = 0.0;
    for (int i = threadIdx.x; i < blocks; i += THREADS) sum += partial[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) *value = blocks > 0 ? (float)(sum / divisor) : 0.f;
}

/* *value = (sum over i < n of term(i)) / divisor; 0 when n is 0. */
template <typename F>
static void run_sum(nn_cuda *cu, float *value, int64_t n, double divisor, const char *what, F term)
{
    double *partial = (double *)cu->workspace;
    int blocks = (int)nn_cuda_min(nn_cuda_ceil_div(n, THREADS), SUM_BLOCKS);
    if (blocks > 0) nn_cuda_launch(cu, what, sum_kernel<F>, blocks, THREADS, 0, partial, n, term);
    nn_cuda_launch(cu, what, finish_kernel, 1, THREADS, 0, value, partial, blocks, divisor);
}

/* f(i) for every i < n, one thread each. */
template <typename F> static __global__ void __launch_bounds__(THREADS) each_kernel(int64_t n, F f)
{
    nn_cuda_begin();
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) f(i);
}

template <typename F> static void run_each(nn_cuda *cu, int64_t n, const char *what, F f)
{
    if (n == 0) return;
    nn_cuda_launch(cu, what, each_kernel<F>, (unsigned)nn_cuda_ceil_div(n, THREADS), THREADS, 0, n,
                   f);
}

/* f(row, lane) by the 32 lanes of one warp a row. */
template <typename F>
static __global__ void __launch_bounds__(32 * WARPS) warp_row_kernel(int64_t m, F f)
{
    nn_cuda_begin();
    int64_t row = (int64_t)blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (row < m) f(row, (int)(threadIdx.x & 31));
}

template <typename F> static void run_warp_rows(nn_cuda *cu, int64_t m, const char *what, F f)
{
    if (m == 0) return;
    nn_cuda_launch(cu, what, warp_row_kernel<F>, (unsigned)nn_cuda_ceil_div(m, WARPS), 32 * WARPS,
                   0, m, f);
}

template <typename T> static __device__ __forceinline__ void add1(T *p, float v)
{
    store1(p, load1(p) + v);
}

/* ---- squared and Huber differences -------------------------------------------------------------
 */

template <typename T> static void difference_fwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *a = (const T *)p->a, *b = (const T *)p->b;
    const float *weight = p->row_weight;
    int64_t d = p->d;
    bool huber = p->kind == NN_LOSS_SMOOTH_L1;
    run_sum(cu, p->value, p->m * d, p->denominator, "difference_fwd", [=] __device__(int64_t i) {
        double x = (double)load1(a + i) - (double)load1(b + i), far = fabs(x);
        double term = !huber ? x * x : far < 1.0 ? 0.5 * x * x : far - 0.5;
        return weight ? weight[i / d] * term : term;
    });
}

template <typename T> static void difference_bwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *a = (const T *)p->a, *b = (const T *)p->b;
    T *da = (T *)p->da, *db = (T *)p->db;
    const float *weight = p->row_weight, *upstream = p->upstream;
    int64_t d = p->d;
    bool huber = p->kind == NN_LOSS_SMOOTH_L1;
    float scale = (float)(1.0 / p->denominator);
    run_each(cu, p->m * d, "difference_bwd", [=] __device__(int64_t i) {
        float x = load1(a + i) - load1(b + i);
        float slope = !huber ? 2.f * x : fminf(1.f, fmaxf(-1.f, x));
        float g = *upstream * scale * (weight ? weight[i / d] : 1.f) * slope;
        if (da) add1(da + i, g);
        if (db) add1(db + i, -g);
    });
}

/* ---- cross-entropy -----------------------------------------------------------------------------
 */

/* log(sum(exp)) of a row whose lanes hold maxima and sums of their own columns. */
static __device__ __forceinline__ float join_lse(float top, float sum)
{
    float all = warp_max(top);
    if (all == -INFINITY) return -INFINITY;
    return all + logf(warp_sum(sum * expf(top - all)));
}

static __device__ __forceinline__ void push_lse(float &top, float &sum, float x)
{
    if (x > top) {
        sum = sum * expf(top - x) + 1.f;
        top = x;
    } else if (x > -INFINITY) {
        sum += expf(x - top);
    }
}

/* scratch: lse of each row (M), then the sum of the counted rows' weights (1). */
template <typename T> static void cross_entropy_fwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *x = (const T *)p->a;
    const int32_t *labels = p->labels;
    const float *weight = p->row_weight;
    float *lse = p->scratch, *total = p->scratch + p->m, *value = p->value;
    int64_t d = p->d;
    run_warp_rows(cu, p->m, "cross_entropy_fwd", [=] __device__(int64_t row, int lane) {
        float top = -INFINITY, sum = 0.f;
        for (int64_t c = lane; c < d; c += 32) push_lse(top, sum, load1(x + row * d + c));
        float joined = join_lse(top, sum);
        if (lane == 0) lse[row] = joined;
    });
    run_sum(cu, total, p->m, 1.0, "cross_entropy_fwd", [=] __device__(int64_t row) {
        int32_t c = labels[row];
        return c < 0 || c >= d ? 0.0 : weight ? (double)weight[c] : 1.0;
    });
    run_sum(cu, value, p->m, 1.0, "cross_entropy_fwd", [=] __device__(int64_t row) {
        int32_t c = labels[row];
        if (c < 0 || c >= d || *total == 0.f) return 0.0;
        double w = weight ? weight[c] : 1.f;
        return w * ((double)lse[row] - (double)load1(x + row * d + c)) / *total;
    });
}

template <typename T> static void cross_entropy_bwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *x = (const T *)p->a;
    T *dx = (T *)p->da;
    const int32_t *labels = p->labels;
    const float *weight = p->row_weight, *upstream = p->upstream;
    const float *lse = p->scratch, *total = p->scratch + p->m;
    int64_t d = p->d;
    if (!dx) return;
    run_each(cu, p->m * d, "cross_entropy_bwd", [=] __device__(int64_t i) {
        int64_t row = i / d, c = i - row * d;
        int32_t label = labels[row];
        if (label < 0 || label >= d || *total == 0.f) return;
        float g = expf(load1(x + i) - lse[row]) - (c == label ? 1.f : 0.f);
        add1(dx + i, *upstream * (weight ? weight[label] : 1.f) / *total * g);
    });
}

/* ---- InfoNCE -----------------------------------------------------------------------------------
 */

/* scratch: lse of each row (n), then of each column (n). */
template <typename T> static void info_nce_fwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *s = (const T *)p->a;
    const int32_t *hidden = p->labels;
    float *rows = p->scratch, *columns = p->scratch + p->m;
    int64_t n = p->m;
    run_warp_rows(cu, 2 * n, "info_nce_fwd", [=] __device__(int64_t line, int lane) {
        bool across = line < n;
        int64_t k = across ? line : line - n;
        float top = -INFINITY, sum = 0.f;
        for (int64_t j = lane; j < n; j += 32) {
            int64_t at = across ? k * n + j : j * n + k;
            if (j == k || !hidden || hidden[at] == 0) push_lse(top, sum, load1(s + at));
        }
        float joined = join_lse(top, sum);
        if (lane == 0) (across ? rows : columns)[k] = joined;
    });
    run_sum(cu, p->value, n, 2.0 * (double)n, "info_nce_fwd", [=] __device__(int64_t i) {
        double right = load1(s + i * n + i);
        return ((double)rows[i] - right) + ((double)columns[i] - right);
    });
}

template <typename T> static void info_nce_bwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *s = (const T *)p->a;
    T *ds = (T *)p->da;
    const int32_t *hidden = p->labels;
    const float *rows = p->scratch, *columns = p->scratch + p->m, *upstream = p->upstream;
    int64_t n = p->m;
    if (!ds) return;
    run_each(cu, n * n, "info_nce_bwd", [=] __device__(int64_t at) {
        int64_t i = at / n, j = at - i * n;
        if (i != j && hidden && hidden[at] != 0) return;
        float x = load1(s + at);
        float g = expf(x - rows[i]) + expf(x - columns[j]) - (i == j ? 2.f : 0.f);
        add1(ds + at, *upstream * 0.5f / (float)n * g);
    });
}

/* ---- KL between diagonal normals ---------------------------------------------------------------
 */

template <typename T> static void kl_fwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *mu1 = (const T *)p->a, *lv1 = (const T *)p->b;
    const T *mu2 = (const T *)p->c, *lv2 = (const T *)p->e;
    int64_t n = p->m * p->d;
    run_sum(cu, p->value, n, (double)n, "kl_fwd", [=] __device__(int64_t i) {
        double v1 = load1(lv1 + i), v2 = lv2 ? load1(lv2 + i) : 0.f;
        double apart = (double)load1(mu1 + i) - (mu2 ? (double)load1(mu2 + i) : 0.0);
        return 0.5 * (v2 - v1 + exp(v1 - v2) + apart * apart * exp(-v2) - 1.0);
    });
}

template <typename T> static void kl_bwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *mu1 = (const T *)p->a, *lv1 = (const T *)p->b;
    const T *mu2 = (const T *)p->c, *lv2 = (const T *)p->e;
    T *dmu1 = (T *)p->da, *dlv1 = (T *)p->db, *dmu2 = (T *)p->dc, *dlv2 = (T *)p->de;
    const float *upstream = p->upstream;
    int64_t n = p->m * p->d;
    run_each(cu, n, "kl_bwd", [=] __device__(int64_t i) {
        float v1 = load1(lv1 + i), v2 = lv2 ? load1(lv2 + i) : 0.f;
        float apart = load1(mu1 + i) - (mu2 ? load1(mu2 + i) : 0.f);
        float up = *upstream / (float)n, ratio = expf(v1 - v2), inverse = expf(-v2);
        if (dmu1) add1(dmu1 + i, up * apart * inverse);
        if (dlv1) add1(dlv1 + i, up * 0.5f * (ratio - 1.f));
        if (dmu2) add1(dmu2 + i, -up * apart * inverse);
        if (dlv2) add1(dlv2 + i, up * 0.5f * (1.f - ratio - apart * apart * inverse));
    });
}

/* ---- triplets by distance ----------------------------------------------------------------------
 */

/* sqrt(sum (u - v + 1e-6)^2), the same in every lane. torch.nn.functional.pairwise_distance adds
 * the 1e-6; squared distances are plain. */
template <typename T>
static __device__ __forceinline__ float distance(const T *u, const T *v, int64_t d, int lane,
                                                 bool squared)
{
    float sum = 0.f, shift = squared ? 0.f : DISTANCE_SHIFT;
    for (int64_t c = lane; c < d; c += 32) {
        float x = load1(u + c) - load1(v + c) + shift;
        sum += x * x;
    }
    sum = warp_sum(sum);
    return squared ? sum : sqrtf(sum);
}

/* scratch: each row's loss (M). */
template <typename T> static void triplet_fwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *a = (const T *)p->a, *b = (const T *)p->b, *c = (const T *)p->c;
    float *terms = p->scratch, margin = p->margin;
    int64_t d = p->d;
    bool squared = p->squared;
    run_warp_rows(cu, p->m, "triplet_fwd", [=] __device__(int64_t row, int lane) {
        float near = distance(a + row * d, b + row * d, d, lane, squared);
        float far = distance(a + row * d, c + row * d, d, lane, squared);
        if (lane == 0) terms[row] = fmaxf(0.f, margin + near - far);
    });
    run_sum(cu, p->value, p->m, (double)p->m, "triplet_fwd",
            [=] __device__(int64_t row) { return (double)terms[row]; });
}

template <typename T> static void triplet_bwd(nn_cuda *cu, const nn_loss_args *p)
{
    const T *a = (const T *)p->a, *b = (const T *)p->b, *c = (const T *)p->c;
    T *da = (T *)p->da, *db = (T *)p->db, *dc = (T *)p->dc;
    const float *terms = p->scratch, *upstream = p->upstream;
    int64_t d = p->d, m = p->m;
    bool squared = p->squared;
    run_warp_rows(cu, m, "triplet_bwd", [=] __device__(int64_t row, int lane) {
        if (terms[row] <= 0.f) return;
        float up = *upstream / (float)m, shift = squared ? 0.f : DISTANCE_SHIFT;
        float by_near = 2.f * up, by_far = by_near;
        if (!squared) {
            float near = distance(a + row * d, b + row * d, d, lane, false);
            float far = distance(a + row * d, c + row * d, d, lane, false);
            by_near = near > 0.f ? up / near : 0.f;
            by_far = far > 0.f ? up / far : 0.f;
        }
        for (int64_t at = row * d + lane; at < (row + 1) * d; at += 32) {
            float x = load1(a + at);
            float to_near = by_near * (x - load1(b + at) + shift);
            float to_far = by_far * (x - load1(c + at) + shift);
            if (da) add1(da + at, to_near - to_far);
            if (db) add1(db + at, -to_near);
            if (dc) add1(dc + at, to_far);
        }
    });
}

/* ---- the table's functions ---------------------------------------------------------------------
 */

size_t nn_cuda_loss_scratch(nn_backend *, const nn_loss_args *p)
{
    switch (p->kind) {
    case NN_LOSS_CROSS_ENTROPY:
        return (size_t)p->m + 1;
    case NN_LOSS_INFO_NCE:
        return 2 * (size_t)p->m;
    case NN_LOSS_TRIPLET:
        return (size_t)p->m;
    default:
        return 0;
    }
}

template <typename T> static void loss_fwd(nn_cuda *cu, const nn_loss_args *p)
{
    switch (p->kind) {
    case NN_LOSS_MSE:
    case NN_LOSS_SMOOTH_L1:
        difference_fwd<T>(cu, p);
        break;
    case NN_LOSS_CROSS_ENTROPY:
        cross_entropy_fwd<T>(cu, p);
        break;
    case NN_LOSS_INFO_NCE:
        info_nce_fwd<T>(cu, p);
        break;
    case NN_LOSS_KL:
        kl_fwd<T>(cu, p);
        break;
    case NN_LOSS_TRIPLET:
        triplet_fwd<T>(cu, p);
        break;
    }
}

template <typename T> static void loss_bwd(nn_cuda *cu, const nn_loss_args *p)
{
    switch (p->kind) {
    case NN_LOSS_MSE:
    case NN_LOSS_SMOOTH_L1:
        difference_bwd<T>(cu, p);
        break;
    case NN_LOSS_CROSS_ENTROPY:
        cross_entropy_bwd<T>(cu, p);
        break;
    case NN_LOSS_INFO_NCE:
        info_nce_bwd<T>(cu, p);
        break;
    case NN_LOSS_KL:
        kl_bwd<T>(cu, p);
        break;
    case NN_LOSS_TRIPLET:
        triplet_bwd<T>(cu, p);
        break;
    }
}

void nn_cuda_loss_fwd(nn_backend *be, const nn_loss_args *p)
{
    if (p->dtype == NN_BF16)
        loss_fwd<bf16>(nn_cuda_of(be), p);
    else
        loss_fwd<float>(nn_cuda_of(be), p);
}

void nn_cuda_loss_bwd(nn_backend *be, const nn_loss_args *p)
{
    if (p->m == 0 || p->d == 0) return;
    if (p->dtype == NN_BF16)
        loss_bwd<bf16>(nn_cuda_of(be), p);
    else
        loss_bwd<float>(nn_cuda_of(be), p);
}
