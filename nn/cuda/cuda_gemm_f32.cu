/* nn/cuda/cuda_gemm_f32.cu: act(x w^T + b) in true single precision for inference, by fused
 * multiply-adds. Other products are cuBLASLt's (cuda_gemm.cu).
 *
 * Every element of the result is one accumulator that takes k = 0, 1, 2, ... in turn, and bias and
 * activation are applied where it stands in a register. So a row has the same bits in any batch and
 * under any of the tile shapes below, and there is no second pass over the result. Products of this
 * program's size (k of 256 to 1024, n of 256 to 1024) are too short for cuBLASLt's kernels to reach
 * the multipliers' rate.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#include <limits.h>

#define THREADS 256
#define DEPTH 16 /* of a tile along k */

typedef struct gemm_f32_args {
    const float *x, *w, *bias;
    float *y;
    int64_t m, n, k;
} gemm_f32_args;

/* A tile is stored k-major, so that a thread's rows are neighbours: element (row, k) lies at
 * [k][row ^ 8 (k / 4 % 4)]. The twist keeps the 32 stores of a warp (8 rows by 4 groups along k) in
 * 32 different banks, and leaves four neighbouring rows neighbours. */
static __device__ __forceinline__ int twist(int row, int group)
{
    return row ^ (group << 3);
}

template <int EDGE>
static __device__ __forceinline__ void put(float (*tile)[EDGE], int row, int group, float4 v)
{
    const int at = twist(row, group);
    tile[4 * group][at] = v.x;
    tile[4 * group + 1][at] = v.y;
    tile[4 * group + 2][at] = v.z;
    tile[4 * group + 3][at] = v.w;
}

/* A block of 256 threads computes tiles of EDGE x EDGE elements of y, every gridDim.x-th one; a
 * thread owns PART x PART groups of 4 x 4 of a tile, spread so that a warp's loads from shared
 * memory are contiguous. What is multiplied next, be it of this tile or of the next one, travels to
 * registers meanwhile. Tiles of one row of tiles follow each other, since they share x. Moves x and
 * w once for every tile that needs them (from L2 after the first), y out once. ACT is compiled in
 * because every element of a tile passes through it. */
template <int PART, bool VEC, nn_act ACT>
static __global__ void __launch_bounds__(THREADS, 2) gemm_f32_kernel(gemm_f32_args g, int tiles)
{
    nn_cuda_begin();
    constexpr int EDGE = 64 * PART;
    __shared__ __align__(16) float xs[2][DEPTH][EDGE], ws[2][DEPTH][EDGE];
    const int tiles_n = (int)((g.n + EDGE - 1) / EDGE), depth = (int)g.k;
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    /* Warps are 2 x 4; a warp's lanes are 8 x 4 groups, PART times in each direction. */
    const int own_row = (warp >> 2) * 32 * PART + (lane >> 2) * 4;
    const int own_column = (warp & 3) * 16 * PART + (lane & 3) * 4;
    const int load_row = threadIdx.x >> 2, load_group = threadIdx.x & 3;

    /* Of the tile that is loaded. Rows behind the last one read the last one, and are not stored.
     */
    const float *x, *w;
    int last_row, last_column;
    auto aim = [&](int tile) {
        const int64_t row0 = (int64_t)(tile / tiles_n) * EDGE;
        const int64_t column0 = (int64_t)(tile % tiles_n) * EDGE;
        x = g.x + row0 * g.k;
        w = g.w + column0 * g.k;
        last_row = (int)min(g.m - row0, (int64_t)EDGE) - 1;
        last_column = (int)min(g.n - column0, (int64_t)EDGE) - 1;
    };
    float4 x_next[PART], w_next[PART];
    auto load = [&](int from) {
        const int at = from + 4 * load_group;
#pragma unroll
        for (int l = 0; l < PART; l++) {
            const int row = load_row + 64 * l;
            x_next[l] = load4_part(x + (min(row, last_row) * depth + at), depth - at, VEC);
            w_next[l] = load4_part(w + (min(row, last_column) * depth + at), depth - at, VEC);
        }
    };
    auto keep = [&](int buffer) {
#pragma unroll
        for (int l = 0; l < PART; l++) {
            put<EDGE>(xs[buffer], load_row + 64 * l, load_group, x_next[l]);
            put<EDGE>(ws[buffer], load_row + 64 * l, load_group, w_next[l]);
        }
    };
    aim(blockIdx.x);
    load(0);
    keep(0);
    __syncthreads();
    int buffer = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int next = tile + (int)gridDim.x;
        float sum[4 * PART][4 * PART];
#pragma unroll
        for (int i = 0; i < 4 * PART; i++) {
#pragma unroll
            for (int j = 0; j < 4 * PART; j++) sum[i][j] = 0.f;
        }
        for (int from = 0; from < depth; from += DEPTH, buffer ^= 1) {
            const bool last = from + DEPTH >= depth;
            if (last && next < tiles) aim(next);
            if (!last || next < tiles) load(last ? 0 : from + DEPTH);
#pragma unroll
            for (int k = 0; k < DEPTH; k++) {
                float a[4 * PART], b[4 * PART];
#pragma unroll
                for (int p = 0; p < PART; p++) {
                    const float4 u = load4(&xs[buffer][k][twist(own_row + 32 * p, k / 4)]);
                    const float4 v = load4(&ws[buffer][k][twist(own_column + 16 * p, k / 4)]);
                    a[4 * p] = u.x, a[4 * p + 1] = u.y, a[4 * p + 2] = u.z, a[4 * p + 3] = u.w;
                    b[4 * p] = v.x, b[4 * p + 1] = v.y, b[4 * p + 2] = v.z, b[4 * p + 3] = v.w;
                }
#pragma unroll
                for (int i = 0; i < 4 * PART; i++) {
#pragma unroll
                    for (int j = 0; j < 4 * PART; j++) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
                }
            }
            if (!last || next < tiles) keep(buffer ^ 1);
            __syncthreads();
        }
        const int64_t row0 = (int64_t)(tile / tiles_n) * EDGE + own_row;
        const int64_t column0 = (int64_t)(tile % tiles_n) * EDGE + own_column;
#pragma unroll
        for (int q = 0; q < PART; q++) {
            const int64_t column = column0 + 16 * q, there = g.n - column;
            if (there <= 0) continue;
            float4 bias = make_float4(0.f, 0.f, 0.f, 0.f);
            if (g.bias) bias = load4_part(g.bias + column, there, VEC);
#pragma unroll
            for (int i = 0; i < 4 * PART; i++) {
                const int64_t row = row0 + 32 * (i / 4) + i % 4;
                if (row >= g.m) continue;
                float4 v = make_float4(sum[i][4 * q] + bias.x, sum[i][4 * q + 1] + bias.y,
                                       sum[i][4 * q + 2] + bias.z, sum[i][4 * q + 3] + bias.w);
                store4_part(g.y + row * g.n + column, act_value4(v, ACT), there, VEC);
            }
        }
    }
}

template <int PART, bool VEC>
static void run(nn_cuda *cu, const gemm_f32_args *g, int tiles, nn_act act)
{
    const int blocks = (int)nn_cuda_min(tiles, 2 * cu->multiprocessors);
    auto kernel = gemm_f32_kernel<PART, VEC, NN_ACT_NONE>;
#define X(value)                                                                                   \
    case value:                                                                                    \
        kernel = gemm_f32_kernel<PART, VEC, value>;                                                \
        break;
    switch (act) {
        X(NN_ACT_GELU_ERF)
        X(NN_ACT_GELU_TANH)
        X(NN_ACT_SILU)
        X(NN_ACT_QUICK_GELU)
    default:
        break;
    }
#undef X
    nn_cuda_launch(cu, "gemm_f32_kernel", kernel, blocks, THREADS, 0, *g, tiles);
}

bool nn_cuda_gemm_f32(nn_cuda *cu, const nn_gemm_args *g)
{
    if (g->training || !g->trans_b || g->trans_a || g->dtype != NN_F32 || g->c_dtype != NN_F32 ||
        g->precision == NN_TF32 || g->slope || g->accumulate != 0.f || g->drop.p > 0.f ||
        g->k == 0 || g->k > INT_MAX / 128)
        return false;
    const gemm_f32_args args = {(const float *)g->a,
                                (const float *)g->b,
                                (const float *)g->bias,
                                (float *)g->c,
                                g->m,
                                g->n,
                                g->k};
    const bool vec = g->k % 4 == 0 && g->n % 4 == 0 && nn_cuda_vec4(g->a, NN_F32) &&
                     nn_cuda_vec4(g->b, NN_F32) && nn_cuda_vec4(g->c, NN_F32) &&
                     nn_cuda_vec4(g->bias, NN_F32);
    /* Large tiles when they give every multiprocessor work. */
    const int64_t large = nn_cuda_ceil_div(g->m, 128) * nn_cuda_ceil_div(g->n, 128);
    const int64_t small = nn_cuda_ceil_div(g->m, 64) * nn_cuda_ceil_div(g->n, 64);
    if (small > INT_MAX / 2) return false;
    if (large >= cu->multiprocessors && vec)
        run<2, true>(cu, &args, (int)large, g->act);
    else if (large >= cu->multiprocessors)
        run<2, false>(cu, &args, (int)large, g->act);
    else if (vec)
        run<1, true>(cu, &args, (int)small, g->act);
    else
        run<1, false>(cu, &args, (int)small, g->act);
    return true;
}
