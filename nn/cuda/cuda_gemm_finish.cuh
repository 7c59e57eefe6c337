/* nn/cuda/cuda_gemm_finish.cuh: what becomes of a warpgroup's sums: bias, activation, dropout, slope and the
 * sum with what stood there, from the registers to memory.
 */
#ifndef NN_CUDA_GEMM_FINISH_CUH
#define NN_CUDA_GEMM_FINISH_CUH

#include "nn/cuda/cuda_device.cuh"

template <typename T> struct finish_args {
    const T *bias; /* (N), or NULL */
    T *c, *slope;  /* (M,N); slope may be NULL */
    int64_t m, n;
    float accumulate;
    nn_drop drop;
};

/* Dropout's factors of the two columns that a lane has in rows `row` and `row + 8`. Two neighbouring
 * lanes have the four columns of a philox block; each computes it for one of the rows. */
static __device__ __forceinline__ void drop_factors(float (&f)[4], const nn_drop &d, int64_t row,
                                                    int64_t n, int64_t column)
{
    const bool odd = threadIdx.x & 1;
    const uint64_t seed = d.state ? d.state->seed : d.seed;
    const uint64_t first = (uint64_t)((odd ? row + 8 : row) * n + (column & ~(int64_t)3));
    const uint32_t threshold = dropout_threshold(d.p);
    const float kept = 1.f / (1.f - d.p);
    const uint4 w = philox(seed, d.site, first >> 2);
    const uint32_t other0 = __shfl_xor_sync(0xffffffffu, odd ? w.x : w.z, 1);
    const uint32_t other1 = __shfl_xor_sync(0xffffffffu, odd ? w.y : w.w, 1);
    const uint32_t mine0 = odd ? w.z : w.x, mine1 = odd ? w.w : w.y;
    f[0] = (odd ? other0 : mine0) >= threshold ? kept : 0.f;
    f[1] = (odd ? other1 : mine1) >= threshold ? kept : 0.f;
    f[2] = (odd ? mine0 : other0) >= threshold ? kept : 0.f;
    f[3] = (odd ? mine1 : other1) >= threshold ? kept : 0.f;
}

static __device__ __forceinline__ float2 load_pair(const float *p)
{
    return *reinterpret_cast<const float2 *>(p);
}

static __device__ __forceinline__ float2 load_pair(const bf16 *p)
{
    return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162 *>(p));
}

static __device__ __forceinline__ void store_pair(float *to, float u, float v)
{
    *reinterpret_cast<float2 *>(to) = make_float2(u, v);
}

static __device__ __forceinline__ void store_pair(bf16 *to, float u, float v)
{
    *reinterpret_cast<__nv_bfloat162 *>(to) = __floats2bfloat162_rn(u, v);
}

/* Writes a warpgroup's 64 x N sums, whose first row and column are given. A lane has of every 8
 * columns two neighbours, in rows lane / 4 and lane / 4 + 8 of its warp's 16. n is a multiple of 4.
 * LEARNS: there may be dropout, and a slope is wanted. */
template <int N, nn_act ACT, bool LEARNS, typename T>
static __device__ __forceinline__ void finish(const float (&sum)[N / 2], const finish_args<T> &g,
                                              int64_t row0, int64_t column0)
{
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
    const int64_t row = row0 + warp * 16 + lane / 4;
#pragma unroll
    for (int j = 0; j < N / 8; j++) {
        const int64_t column = column0 + j * 8 + lane % 4 * 2;
        if (column0 + j * 8 >= g.n) break; /* for all lanes: they exchange random words */
        const bool there = column < g.n;
        float2 bias = make_float2(0.f, 0.f);
        if (g.bias && there) bias = load_pair(g.bias + column);
        float factor[4] = {1.f, 1.f, 1.f, 1.f};
        if (LEARNS && g.drop.p > 0.f) drop_factors(factor, g.drop, row, g.n, column);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int64_t at = (row + 8 * i) * g.n + column;
            if (!there || row + 8 * i >= g.m) continue;
            float u = sum[4 * j + 2 * i] + bias.x, v = sum[4 * j + 2 * i + 1] + bias.y;
            if (LEARNS) {
                float s = 1.f, t = 1.f;
                if (ACT != NN_ACT_NONE) {
                    act_both(u, s, u, ACT);
                    act_both(v, t, v, ACT);
                }
                u *= factor[2 * i], v *= factor[2 * i + 1];
                if (g.slope) store_pair(g.slope + at, s * factor[2 * i], t * factor[2 * i + 1]);
            } else {
                u = act_value(u, ACT), v = act_value(v, ACT);
            }
            if (g.accumulate != 0.f) {
                const float2 old = load_pair(g.c + at);
                u += g.accumulate * old.x, v += g.accumulate * old.y;
            }
            store_pair(g.c + at, u, v);
        }
    }
}

#endif
