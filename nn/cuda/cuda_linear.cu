/* nn/cuda/cuda_linear.cu: what surrounds a layer's products: activation and dropout on the way
 * forward, their slopes and the bias's gradient on the way back. The products: cuda_gemm.cu.
 *
 * All are bound by memory, so each is one kernel that reads its inputs once. A block takes a few
 * columns of a group of rows: a lane owns a run (cuda_device.cuh), 8 neighbouring lanes one line of
 * 128 bytes, or 32 lanes as many elements where rows do not allow runs. So a block has many rows in
 * flight, and a narrow tensor still has work for every multiprocessor.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#define THREADS 256
#define RESIDENT 4 /* blocks of a multiprocessor; there are no more, so that all end together */
#define FLIGHT 4   /* rows that a thread loads before it stores the first */
#define PARTIALS 8 /* groups of four partial sums, likewise */

/* A block's lanes side by side, its columns, and its rows at a time. */
template <int E> constexpr int LANES = E == 1 ? 32 : 8;
template <int E> constexpr int COLUMNS = LANES<E> *E;
template <int E> constexpr int ROWS = THREADS / LANES<E>;

/* Sums over the rows that the threads of a block hold, one run each: to `shared`, then thread t
 * returns the sum of the block's column t, where there is one. In a fixed order: of a warp, then
 * warp by warp. */
template <int E>
static __device__ __forceinline__ float block_column(float (&sum)[E], float *shared)
{
    constexpr int WIDE = COLUMNS<E>;
#pragma unroll
    for (int i = 0; i < E; i++) {
#pragma unroll
        for (int step = LANES<E>; step < 32; step *= 2) {
            sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], step);
        }
    }
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    if (lane < LANES<E>) store_floats(shared + warp * WIDE + lane * E, sum);
    __syncthreads();
    float total = 0.f;
    if (threadIdx.x < WIDE) {
#pragma unroll
        for (int w = 0; w < THREADS / 32; w++) total += shared[w * WIDE + threadIdx.x];
    }
    return total;
}

/* Thread t returns the sum of column t of `rows` rows of a block's columns, one behind the other:
 * each thread adds every 256th group of four, then the threads of a column are added in order. */
template <int E>
static __device__ __forceinline__ float sum_partials(const float *partial, int rows, float *shared)
{
    constexpr int WIDE = COLUMNS<E>;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int i = threadIdx.x * 4; i < rows * WIDE; i += PARTIALS * THREADS * 4) {
        float4 v[PARTIALS];
#pragma unroll
        for (int k = 0; k < PARTIALS; k++) {
            const int at = i + k * THREADS * 4;
            v[k] = make_float4(0.f, 0.f, 0.f, 0.f);
            if (at < rows * WIDE) v[k] = __ldcg(reinterpret_cast<const float4 *>(partial + at));
        }
#pragma unroll
        for (int k = 0; k < PARTIALS; k++) accumulate4(sum, v[k]);
    }
    store4(shared + threadIdx.x * 4, sum);
    __syncthreads();
    float total = 0.f;
    if (threadIdx.x < WIDE) {
#pragma unroll
        for (int k = 0; k < THREADS * 4 / WIDE; k++) total += shared[k * WIDE + threadIdx.x];
    }
    return total;
}

/* dx = dy slope. Grid: columns, groups of `rows` rows. The sums of a block's columns go to
 * `partial` (gridDim.x, gridDim.y, COLUMNS); of the blocks of the same columns the one that arrives
 * last adds these up in their order and to dbias, so that no second launch is needed. Moves dy and
 * the slope in, dx out. */
template <typename T, int E, bool SLOPE>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    linear_grad_kernel(nn_linear_grad_args p, int64_t first, int64_t rows, float *partial,
                       unsigned *arrived)
{
    nn_cuda_begin();
    __shared__ __align__(16) float shared[THREADS * 4];
    const int64_t column = first + (int64_t)blockIdx.x * COLUMNS<E> + threadIdx.x % LANES<E> * E;
    const int64_t from = (int64_t)blockIdx.y * rows;
    const int64_t to = column >= p.n ? 0 : from + rows < p.m ? from + rows : p.m;
    const int64_t step = ROWS<E> * p.n; /* from one row of a thread to its next */
    const bool changes = SLOPE || p.dx != p.dy;
    float sum[E];
#pragma unroll
    for (int i = 0; i < E; i++) sum[i] = 0.f;
#pragma unroll 1
    for (int64_t row = from + threadIdx.x / LANES<E>; row < to; row += ROWS<E> * FLIGHT) {
        const int64_t at = row * p.n + column;
        run_of<T, E> g[FLIGHT], s[FLIGHT];
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            const bool there = row + f * ROWS<E> < to;
            g[f] = load_run<T, E>((const T *)p.dy + at + f * step, there);
            if (SLOPE) s[f] = load_run<T, E>((const T *)p.slope + at + f * step, there);
        }
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            float v[E], by[E];
            widen(v, g[f]);
            if (SLOPE) widen(by, s[f]);
#pragma unroll
            for (int i = 0; i < E; i++) {
                if (SLOPE) v[i] *= by[i];
                sum[i] += v[i];
            }
            if (changes && row + f * ROWS<E> < to) store_run((T *)p.dx + at + f * step, v);
        }
    }
    if (!p.dbias) return;
    float total = block_column<E>(sum, shared);
    if (gridDim.y > 1) {
        partial += (int64_t)blockIdx.x * gridDim.y * COLUMNS<E>;
        if (threadIdx.x < COLUMNS<E>) partial[blockIdx.y * COLUMNS<E> + threadIdx.x] = total;
        if (!last_to_arrive(&arrived[blockIdx.x], gridDim.y)) return;
        total = sum_partials<E>(partial, gridDim.y, shared);
    }
    const int64_t mine = first + (int64_t)blockIdx.x * COLUMNS<E> + threadIdx.x;
    if (threadIdx.x < COLUMNS<E> && mine < p.n) p.dbias[mine] += total;
}

/* Rows of a group: so many groups that `RESIDENT` blocks are on every multiprocessor, but two rows
 * a thread at least. */
static int64_t group_rows(nn_cuda *cu, int64_t m, int64_t wide, int rows)
{
    int64_t groups = (int64_t)cu->multiprocessors * RESIDENT / wide;
    groups = nn_cuda_min(groups, nn_cuda_ceil_div(m, 2 * rows));
    return nn_cuda_ceil_div(m, groups < 1 ? 1 : groups);
}

template <typename T, int E> static void linear_grad(nn_cuda *cu, const nn_linear_grad_args *p)
{
    const int64_t wide = nn_cuda_ceil_div(p->n, COLUMNS<E>);
    const int64_t rows = group_rows(cu, p->m, wide, ROWS<E>);
    for (int64_t done = 0; done < wide; done += NN_CUDA_COUNTERS) {
        dim3 grid((unsigned)nn_cuda_min(wide - done, NN_CUDA_COUNTERS),
                  (unsigned)nn_cuda_ceil_div(p->m, rows));
        auto kernel = p->slope ? linear_grad_kernel<T, E, true> : linear_grad_kernel<T, E, false>;
        nn_cuda_launch(cu, "linear_grad_kernel", kernel, grid, THREADS, 0, *p, done * COLUMNS<E>,
                       rows, (float *)cu->workspace, cu->counters);
    }
}

/* Rows of n elements that start at p can be moved in runs of 16 bytes. */
template <typename T> static bool in_runs(const void *p, int64_t n)
{
    return n % RUN<T> == 0 && nn_cuda_aligned16(p);
}

template <typename T> static void linear_grad(nn_cuda *cu, const nn_linear_grad_args *p)
{
    if (in_runs<T>(p->dy, p->n) && in_runs<T>(p->dx, p->n) && in_runs<T>(p->slope, p->n))
        linear_grad<T, RUN<T>>(cu, p);
    else
        linear_grad<T, 1>(cu, p);
}

void nn_cuda_linear_grad(nn_backend *be, const nn_linear_grad_args *p)
{
    if (p->m == 0 || p->n == 0) return;
    if (p->dtype == NN_BF16)
        linear_grad<bf16>(nn_cuda_of(be), p);
    else
        linear_grad<float>(nn_cuda_of(be), p);
}

/* ---- forward -----------------------------------------------------------------------------------
 */

/* c = drop(act(c + bias)) in place, and what its gradient will be multiplied by in `slope` where
 * that is not NULL. Grid and lanes as above; c is read once and each output written once. The naive
 * version is one kernel each for bias, copy, activation and dropout. */
template <typename T, int E, nn_act ACT>
static __global__ void __launch_bounds__(THREADS, RESIDENT)
    finish_kernel(T *c, T *slope, const T *bias, int64_t m, int64_t n, int64_t rows, nn_drop drop)
{
    nn_cuda_begin();
    const int64_t column = (int64_t)blockIdx.x * COLUMNS<E> + threadIdx.x % LANES<E> * E;
    const int64_t from = (int64_t)blockIdx.y * rows, to = from + rows < m ? from + rows : m;
    const int64_t step = ROWS<E> * n;
    if (column >= n) return;
    const dropout dropped = dropout_of(drop);
    float b[E];
    widen(b, load_run<T, E>(bias + column, bias != NULL));
    for (int64_t row = from + threadIdx.x / LANES<E>; row < to; row += ROWS<E> * 2) {
        const int64_t at = row * n + column;
        run_of<T, E> in[2];
        float factor[2][E];
#pragma unroll
        for (int f = 0; f < 2; f++) {
            in[f] = load_run<T, E>(c + at + f * step, row + f * ROWS<E> < to);
        }
        drop_factors(factor, dropped, (uint64_t)at, (uint64_t)step);
#pragma unroll
        for (int f = 0; f < 2; f++) {
            float v[E], s[E];
            widen(v, in[f]);
#pragma unroll
            for (int i = 0; i < E; i++) {
                v[i] += b[i];
                s[i] = 1.f;
                if (ACT != NN_ACT_NONE) act_both(v[i], s[i], v[i], ACT);
                v[i] *= factor[f][i];
                s[i] *= factor[f][i];
            }
            if (row + f * ROWS<E> >= to) break;
            store_run(c + at + f * step, v);
            if (slope) store_run(slope + at + f * step, s);
        }
    }
}

template <typename T, int E> static void finish(nn_cuda *cu, const nn_gemm_args *g, const T *bias)
{
    const int64_t wide = nn_cuda_ceil_div(g->n, COLUMNS<E>);
    const int64_t rows = group_rows(cu, g->m, wide, ROWS<E>);
    const dim3 grid((unsigned)wide, (unsigned)nn_cuda_ceil_div(g->m, rows));
    auto kernel = finish_kernel<T, E, NN_ACT_NONE>;
#define X(value)                                                                                   \
    case value:                                                                                    \
        kernel = finish_kernel<T, E, value>;                                                       \
        break;
    switch (g->act) {
        X(NN_ACT_GELU_ERF)
        X(NN_ACT_GELU_TANH)
        X(NN_ACT_SILU)
        X(NN_ACT_QUICK_GELU)
    default:
        break;
    }
#undef X
    nn_cuda_launch(cu, "finish_kernel", kernel, grid, THREADS, 0, (T *)g->c, (T *)g->slope, bias,
                   g->m, g->n, rows, g->drop);
}

template <typename T> static void finish(nn_cuda *cu, const nn_gemm_args *g, const void *bias)
{
    if (in_runs<T>(g->c, g->n) && in_runs<T>(g->slope, g->n) && in_runs<T>(bias, g->n))
        finish<T, RUN<T>>(cu, g, (const T *)bias);
    else
        finish<T, 1>(cu, g, (const T *)bias);
}

void nn_cuda_linear_finish(nn_cuda *cu, const nn_gemm_args *g, const void *bias)
{
    if (g->c_dtype == NN_BF16)
        finish<bf16>(cu, g, bias);
    else
        finish<float>(cu, g, bias);
}
