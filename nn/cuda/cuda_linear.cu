/* nn/cuda/cuda_linear.cu: what surrounds a layer's products: activation and dropout on the way
 * forward, their slopes and the bias's gradient on the way back. The products: cuda_gemm.cu.
 *
 * All are bound by memory, so each is one kernel that reads its inputs once.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"

#define COLUMNS 128 /* of a block: 32 lanes of four */
#define ROWS 8      /* of a block at a time */
#define FLIGHT 4    /* times ROWS rows are loaded before the first is stored */
#define GROUPS 64   /* of rows at most, for partial sums */

/* dx = dy slope. A block takes 128 columns of a group of `rows` rows; a lane owns four columns and
 * every 8th row. The sums of a block's columns become row blockIdx.y of `partial` (groups, N); of
 * the blocks of one column the one that arrives last adds these rows to dbias, in their order, so
 * that no second launch is needed. Moves dy and the slope in, dx out. */
template <typename T, bool SLOPE>
static __global__ void __launch_bounds__(32 * ROWS)
    linear_grad_kernel(nn_linear_grad_args p, int64_t first, int64_t rows, float *partial,
                       unsigned *arrived, bool vec)
{
    __shared__ float4 shared[ROWS][32];
    __shared__ bool last;
    const int lane = threadIdx.x, y = threadIdx.y;
    const int64_t column = first + (int64_t)blockIdx.x * COLUMNS + lane * 4;
    const int64_t there = p.n - column, from = (int64_t)blockIdx.y * rows;
    const int64_t to = from + rows < p.m ? from + rows : p.m;
    const T *dy = (const T *)p.dy, *slope = (const T *)p.slope;
    T *dx = (T *)p.dx;
    const bool changes = SLOPE || p.dx != p.dy;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int64_t row = from + y; row < to && there > 0; row += ROWS * FLIGHT) {
        float4 g[FLIGHT], s[FLIGHT];
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            const int64_t at = (row + f * ROWS) * p.n + column;
            const int64_t n = row + f * ROWS < to ? there : 0;
            g[f] = load4_part(dy + at, n, vec);
            if (SLOPE) s[f] = load4_part(slope + at, n, vec);
        }
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            const int64_t at = (row + f * ROWS) * p.n + column;
            const int64_t n = row + f * ROWS < to ? there : 0;
            if (SLOPE) g[f] = multiply4(g[f], s[f]);
            if (changes) store4_part(dx + at, g[f], n, vec);
            accumulate4(sum, g[f]);
        }
    }
    if (!p.dbias) return;
    shared[y][lane] = sum;
    __syncthreads();
    if (y == 0 && there > 0) {
        for (int k = 1; k < ROWS; k++) accumulate4(sum, shared[k][lane]);
        if (gridDim.y == 1)
            accumulate4_part(p.dbias + column, sum, there);
        else
            store4_part(partial + blockIdx.y * p.n + column, sum, there, vec);
    }
    if (gridDim.y == 1) return;
    __threadfence();
    __syncthreads();
    if (lane == 0 && y == 0) last = atomicAdd(&arrived[blockIdx.x], 1u) == gridDim.y - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    sum = make_float4(0.f, 0.f, 0.f, 0.f);
#pragma unroll 8
    for (int k = y; k < (int)gridDim.y; k += ROWS) {
        accumulate4(sum, load4_part(partial + k * p.n + column, there, vec));
    }
    shared[y][lane] = sum;
    __syncthreads();
    if (y > 0) return;
    for (int k = 1; k < ROWS; k++) accumulate4(sum, shared[k][lane]);
    accumulate4_part(p.dbias + column, sum, there);
    if (lane == 0) arrived[blockIdx.x] = 0;
}

/* How many groups of rows: `blocks` blocks on a multiprocessor, and eight rows a thread at least.
 */
static int64_t row_groups(nn_cuda *cu, int64_t m, int64_t wide, int blocks)
{
    int64_t groups = nn_cuda_ceil_div((int64_t)cu->multiprocessors * blocks, wide);
    groups = nn_cuda_min(groups, nn_cuda_ceil_div(m, 8 * ROWS));
    return groups < 1 ? 1 : groups;
}

template <typename T> static void linear_grad(nn_cuda *cu, const nn_linear_grad_args *p)
{
    int64_t wide = nn_cuda_ceil_div(p->n, COLUMNS);
    int64_t groups = nn_cuda_min(row_groups(cu, p->m, wide, 4), GROUPS);
    groups = nn_cuda_min(groups, (int64_t)(NN_CUDA_WORKSPACE / sizeof(float)) / p->n);
    if (groups < 1) groups = 1;
    const int64_t rows = nn_cuda_ceil_div(p->m, groups);
    groups = nn_cuda_ceil_div(p->m, rows);
    const bool vec = p->n % 4 == 0 && nn_cuda_vec4(p->dy, p->dtype) &&
                     nn_cuda_vec4(p->dx, p->dtype) && nn_cuda_vec4(p->slope, p->dtype);
    for (int64_t done = 0; done < wide; done += NN_CUDA_COUNTERS) {
        dim3 grid((unsigned)nn_cuda_min(wide - done, NN_CUDA_COUNTERS), (unsigned)groups);
        dim3 threads(32, ROWS);
        if (p->slope) {
            linear_grad_kernel<T, true><<<grid, threads, 0, cu->stream>>>(
                *p, done * COLUMNS, rows, (float *)cu->workspace, cu->counters, vec);
        } else {
            linear_grad_kernel<T, false><<<grid, threads, 0, cu->stream>>>(
                *p, done * COLUMNS, rows, (float *)cu->workspace, cu->counters, vec);
        }
    }
    nn_cuda_check(cu, cudaGetLastError(), "linear_grad_kernel");
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
 * that is not NULL. Blocks and lanes as above; c is read once and each output written once. The
 * naive version is one kernel each for bias, copy, activation and dropout. */
template <typename T, nn_act ACT>
static __global__ void __launch_bounds__(32 * ROWS)
    finish_kernel(T *c, T *slope, const T *bias, int64_t m, int64_t n, int64_t rows, nn_drop drop,
                  bool vec)
{
    const int64_t column = (int64_t)blockIdx.x * COLUMNS + threadIdx.x * 4, there = n - column;
    const int64_t from = (int64_t)blockIdx.y * rows, to = from + rows < m ? from + rows : m;
    if (there <= 0) return;
    float4 b = make_float4(0.f, 0.f, 0.f, 0.f);
    if (bias) b = load4_part(bias + column, there, vec);
    for (int64_t row = from + threadIdx.y; row < to; row += ROWS * 2) {
        float4 v[2];
#pragma unroll
        for (int f = 0; f < 2; f++) {
            const int64_t r = row + f * ROWS;
            v[f] = load4_part(c + r * n + column, r < to ? there : 0, vec);
        }
#pragma unroll
        for (int f = 0; f < 2; f++) {
            const int64_t at = (row + f * ROWS) * n + column;
            const int64_t left = row + f * ROWS < to ? there : 0;
            float4 s = make_float4(1.f, 1.f, 1.f, 1.f);
            accumulate4(v[f], b);
            if (ACT != NN_ACT_NONE) {
                act_both(v[f].x, s.x, v[f].x, ACT);
                act_both(v[f].y, s.y, v[f].y, ACT);
                act_both(v[f].z, s.z, v[f].z, ACT);
                act_both(v[f].w, s.w, v[f].w, ACT);
            }
            if (drop.p > 0.f) {
                float4 factor = drop_factor4(drop, (uint64_t)at);
                v[f] = multiply4(v[f], factor);
                s = multiply4(s, factor);
            }
            store4_part(c + at, v[f], left, vec);
            if (slope) store4_part(slope + at, s, left, vec);
        }
    }
}

template <typename T> static void finish(nn_cuda *cu, const nn_gemm_args *g, const void *bias)
{
    bool vec = g->n % 4 == 0 && nn_cuda_vec4(g->c, g->c_dtype) &&
               nn_cuda_vec4(g->slope, g->c_dtype) && nn_cuda_vec4(bias, g->c_dtype);
    const int64_t wide = nn_cuda_ceil_div(g->n, COLUMNS);
    const int64_t rows = nn_cuda_ceil_div(g->m, row_groups(cu, g->m, wide, 8));
    const dim3 grid((unsigned)wide, (unsigned)nn_cuda_ceil_div(g->m, rows)), threads(32, ROWS);
#define X(value)                                                                                   \
    case value:                                                                                    \
        finish_kernel<T, value><<<grid, threads, 0, cu->stream>>>(                                 \
            (T *)g->c, (T *)g->slope, (const T *)bias, g->m, g->n, rows, g->drop, vec);            \
        break;
    switch (g->act) {
        X(NN_ACT_GELU_ERF)
        X(NN_ACT_GELU_TANH)
        X(NN_ACT_SILU)
        X(NN_ACT_QUICK_GELU)
    default:
        finish_kernel<T, NN_ACT_NONE><<<grid, threads, 0, cu->stream>>>(
            (T *)g->c, (T *)g->slope, (const T *)bias, g->m, g->n, rows, g->drop, vec);
    }
#undef X
    nn_cuda_check(cu, cudaGetLastError(), "finish_kernel");
}

void nn_cuda_linear_finish(nn_cuda *cu, const nn_gemm_args *g, const void *bias)
{
    if (g->c_dtype == NN_BF16)
        finish<bf16>(cu, g, bias);
    else
        finish<float>(cu, g, bias);
}
