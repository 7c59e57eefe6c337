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

/* dx = dropped(dy) act'(pre). A block takes 128 columns of a group of `rows` rows; a lane owns four
 * columns and every 8th row. The sums of a block's columns become row blockIdx.y of `partial`
 * (groups, N); of the blocks of one column the one that arrives last adds these rows to dbias, in
 * their order, so that no second launch is needed. Moves dy and pre in, dx out. */
template <typename T, nn_act ACT>
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
    const T *dy = (const T *)p.dy, *pre = (const T *)p.pre;
    T *dx = (T *)p.dx;
    const bool drop = p.drop.p > 0.f, changes = ACT != NN_ACT_NONE || drop || p.dx != p.dy;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int64_t row = from + y; row < to && there > 0; row += ROWS * FLIGHT) {
        float4 g[FLIGHT], x[FLIGHT];
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            const int64_t at = (row + f * ROWS) * p.n + column;
            const int64_t n = row + f * ROWS < to ? there : 0;
            g[f] = load4_part(dy + at, n, vec);
            if (ACT != NN_ACT_NONE) x[f] = load4_part(pre + at, n, vec);
        }
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            const int64_t at = (row + f * ROWS) * p.n + column;
            const int64_t n = row + f * ROWS < to ? there : 0;
            if (drop) g[f] = multiply4(g[f], drop_factor4(p.drop, (uint64_t)at));
            if (ACT != NN_ACT_NONE) g[f] = multiply4(g[f], act_slope4(x[f], ACT));
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

template <typename T, nn_act ACT> static void run(nn_cuda *cu, const nn_linear_grad_args *p)
{
    int64_t wide = nn_cuda_ceil_div(p->n, COLUMNS);
    /* Four blocks a multiprocessor, and eight rows a thread at least. */
    int64_t groups = nn_cuda_ceil_div((int64_t)cu->multiprocessors * 4, wide);
    groups = nn_cuda_min(groups, nn_cuda_min(GROUPS, nn_cuda_ceil_div(p->m, 8 * ROWS)));
    groups = nn_cuda_min(groups, (int64_t)(NN_CUDA_WORKSPACE / sizeof(float)) / p->n);
    if (groups < 1) groups = 1;
    const int64_t rows = nn_cuda_ceil_div(p->m, groups);
    groups = nn_cuda_ceil_div(p->m, rows);
    const bool vec = p->n % 4 == 0 && nn_cuda_vec4(p->dy, p->dtype) &&
                     nn_cuda_vec4(p->dx, p->dtype) && nn_cuda_vec4(p->pre, p->dtype);
    for (int64_t done = 0; done < wide; done += NN_CUDA_COUNTERS) {
        dim3 grid((unsigned)nn_cuda_min(wide - done, NN_CUDA_COUNTERS), (unsigned)groups);
        linear_grad_kernel<T, ACT><<<grid, dim3(32, ROWS), 0, cu->stream>>>(
            *p, done * COLUMNS, rows, (float *)cu->workspace, cu->counters, vec);
    }
    nn_cuda_check(cu, cudaGetLastError(), "linear_grad_kernel");
}

template <typename T> static void by_activation(nn_cuda *cu, const nn_linear_grad_args *p)
{
    switch (p->act) {
    case NN_ACT_GELU_ERF:
        run<T, NN_ACT_GELU_ERF>(cu, p);
        break;
    case NN_ACT_GELU_TANH:
        run<T, NN_ACT_GELU_TANH>(cu, p);
        break;
    case NN_ACT_SILU:
        run<T, NN_ACT_SILU>(cu, p);
        break;
    case NN_ACT_QUICK_GELU:
        run<T, NN_ACT_QUICK_GELU>(cu, p);
        break;
    default:
        run<T, NN_ACT_NONE>(cu, p);
    }
}

void nn_cuda_linear_grad(nn_backend *be, const nn_linear_grad_args *p)
{
    if (p->m == 0 || p->n == 0) return;
    if (p->dtype == NN_BF16)
        by_activation<bf16>(nn_cuda_of(be), p);
    else
        by_activation<float>(nn_cuda_of(be), p);
}

/* ---- forward -----------------------------------------------------------------------------------
 */

/* c = drop(act(x + bias)), x kept with its bias in `pre` where that is not NULL. One thread takes
 * four neighbouring columns of one row, a grid of 256-thread blocks strides over all of them; x is
 * read once and each output written once. x may be c or pre. The naive version is one kernel each
 * for bias, copy, activation and dropout. */
template <typename T, nn_act ACT>
static __global__ void __launch_bounds__(256)
    epilogue_kernel(T *c, T *pre, const T *x, const T *bias, int64_t m, int64_t n, nn_drop drop,
                    bool vec)
{
    int64_t quads = (n + 3) / 4, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < m * quads; i += step) {
        int64_t row = i / quads, column = (i - row * quads) * 4;
        int64_t at = row * n + column, there = n - column;
        float4 v = load4_part(x + at, there, vec);
        if (bias) accumulate4(v, load4_part(bias + column, there, vec));
        if (pre && pre != x) store4_part(pre + at, v, there, vec);
        v = act_value4(v, ACT);
        if (drop.p > 0.f) v = multiply4(v, drop_factor4(drop, (uint64_t)at));
        store4_part(c + at, v, there, vec);
    }
}

template <typename T>
static void run_epilogue(nn_cuda *cu, const nn_gemm_args *g, void *c, void *pre, const void *x,
                         const void *bias, nn_act act, nn_drop drop)
{
    bool vec = g->n % 4 == 0 && nn_cuda_vec4(c, g->c_dtype) && nn_cuda_vec4(x, g->c_dtype) &&
               nn_cuda_vec4(pre, g->c_dtype) && nn_cuda_vec4(bias, g->c_dtype);
    int64_t work = g->m * ((g->n + 3) / 4);
    int blocks = (int)nn_cuda_min(nn_cuda_ceil_div(work, 256), (int64_t)cu->multiprocessors * 16);
#define X(value)                                                                                   \
    case value:                                                                                    \
        epilogue_kernel<T, value><<<blocks, 256, 0, cu->stream>>>(                                 \
            (T *)c, (T *)pre, (const T *)x, (const T *)bias, g->m, g->n, drop, vec);               \
        break;
    switch (act) {
        X(NN_ACT_GELU_ERF)
        X(NN_ACT_GELU_TANH)
        X(NN_ACT_SILU)
        X(NN_ACT_QUICK_GELU)
    default:
        epilogue_kernel<T, NN_ACT_NONE><<<blocks, 256, 0, cu->stream>>>(
            (T *)c, (T *)pre, (const T *)x, (const T *)bias, g->m, g->n, drop, vec);
    }
#undef X
    nn_cuda_check(cu, cudaGetLastError(), "epilogue_kernel");
}

/* With a bias that was not yet added, x is overwritten in place: `pre` gets x + bias only when it
 * is another buffer, so the bias goes into pre itself when x is pre. */
template <typename T>
static void finish(nn_cuda *cu, const nn_gemm_args *g, const void *x, const void *bias)
{
    void *pre = g->pre_activation;
    if (pre && pre == x && bias) {
        run_epilogue<T>(cu, g, pre, NULL, x, bias, NN_ACT_NONE, nn_drop{});
        bias = NULL;
    }
    run_epilogue<T>(cu, g, g->c, pre, x, bias, g->act, g->drop);
}

void nn_cuda_linear_finish(nn_cuda *cu, const nn_gemm_args *g, const void *x, const void *bias)
{
    if (g->c_dtype == NN_BF16)
        finish<bf16>(cu, g, x, bias);
    else
        finish<float>(cu, g, x, bias);
}
