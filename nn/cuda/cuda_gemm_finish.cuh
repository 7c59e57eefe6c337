/* nn/cuda/cuda_gemm_finish.cuh: what becomes of a warpgroup's sums on their way from registers to
 * memory: bias, activation, dropout, slope and the sum with what stood there.
 */
#ifndef NN_CUDA_GEMM_FINISH_CUH
#define NN_CUDA_GEMM_FINISH_CUH

#include "nn/cuda/cuda_device.cuh"

typedef struct finish_args {
    const float *bias; /* (N), or NULL */
    float *c, *slope;  /* (M,N); slope may be NULL */
    int64_t m, n;
    float accumulate;
    nn_drop drop;
} finish_args;

/* Four neighbours as they come from the product, their bias, and their place in c. */
template <nn_act ACT, bool LEARNS>
static __device__ __forceinline__ void finish_four(float (&y)[4], float4 bias, const finish_args &g,
                                                   const dropout &dropped, int64_t at)
{
    float slope[4] = {1.f, 1.f, 1.f, 1.f};
    y[0] += bias.x, y[1] += bias.y, y[2] += bias.z, y[3] += bias.w;
#pragma unroll
    for (int e = 0; e < 4; e++) {
        if (!LEARNS)
            y[e] = act_value(y[e], ACT);
        else if (ACT != NN_ACT_NONE)
            act_both(y[e], slope[e], y[e], ACT);
    }
    if (LEARNS && dropped.on) {
        float factor[1][4];
        drop_factors<1, 4>(factor, dropped, (uint64_t)at, 0);
#pragma unroll
        for (int e = 0; e < 4; e++) y[e] *= factor[0][e], slope[e] *= factor[0][e];
    }
    float4 out = make_float4(y[0], y[1], y[2], y[3]);
    if (g.accumulate != 0.f) accumulate4(out, scaled4(load4(g.c + at), g.accumulate));
    store4(g.c + at, out);
    if (LEARNS && g.slope)
        store4(g.slope + at, make_float4(slope[0], slope[1], slope[2], slope[3]));
}

/* Writes a warpgroup's 64 x N sums, whose first row and column are given. A lane has of every 8
 * columns two neighbours, in rows g and g + 8 of its warp's 16 (g = lane / 4); PAIRS: in rows 2g
 * and 2g + 1. Pairs of lanes give each other what they have of two times 8 columns, so that each
 * writes four neighbours and draws whole blocks for dropout. n is a multiple of 4. LEARNS: there
 * may be dropout, and a slope is wanted. AHEAD: so many biases are on their way before one is used.
 */
template <int N, nn_act ACT, bool LEARNS, bool PAIRS, int AHEAD>
static __device__ __forceinline__ void finish(const float (&sum)[N / 2], const finish_args &g,
                                              int64_t row0, int64_t column0)
{
    const int lane = threadIdx.x & 31;
    const bool odd = lane & 1;
    const dropout dropped = dropout_of(g.drop);
    float4 bias[AHEAD];
    row0 += (threadIdx.x >> 5 & 3) * 16 + lane / 4 * (PAIRS ? 2 : 1);
    column0 += odd * 8 + lane % 4 / 2 * 4;
#pragma unroll
    for (int j = 0; j < N / 16; j++) {
        const int64_t column = column0 + 16 * j;
        if (j % AHEAD == 0) {
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                bias[i] = make_float4(0.f, 0.f, 0.f, 0.f);
                if (g.bias && column + 16 * i < g.n) bias[i] = load4(g.bias + column + 16 * i);
            }
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const float *u = sum + 8 * j + 2 * i, *v = u + 4; /* of either 8 columns */
            const float got0 = __shfl_xor_sync(0xffffffffu, odd ? u[0] : v[0], 1);
            const float got1 = __shfl_xor_sync(0xffffffffu, odd ? u[1] : v[1], 1);
            float y[4] = {odd ? got0 : u[0], odd ? got1 : u[1], odd ? v[0] : got0,
                          odd ? v[1] : got1};
            const int64_t row = row0 + i * (PAIRS ? 1 : 8);
            if (row < g.m && column < g.n)
                finish_four<ACT, LEARNS>(y, bias[j % AHEAD], g, dropped, row * g.n + column);
        }
    }
}

#endif
