/* nn/cuda/cuda_gemm_finish.cuh: what becomes of a warpgroup's sums: bias, activation, dropout,
 * slope and the sum with what stood there, from the registers by way of shared memory, so that
 * whole lines are written.
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

/* Dropout's factors of the two columns that a lane has in rows `row` and `row + 8`. Two
 * neighbouring lanes have the four columns of a philox block; each computes it for one of the rows.
 */
static __device__ __forceinline__ void drop_factors(float (&f)[4], const dropout &d, int64_t row,
                                                    int64_t n, int64_t column)
{
    const bool odd = threadIdx.x & 1;
    const uint64_t first = (uint64_t)((odd ? row + 8 : row) * n + (column & ~(int64_t)3));
    const uint4 w = philox(d.seed, d.site, first >> 2);
    const uint32_t other0 = __shfl_xor_sync(0xffffffffu, odd ? w.x : w.z, 1);
    const uint32_t other1 = __shfl_xor_sync(0xffffffffu, odd ? w.y : w.w, 1);
    const uint32_t mine0 = odd ? w.z : w.x, mine1 = odd ? w.w : w.y;
    f[0] = (odd ? other0 : mine0) >= d.threshold ? d.scale : 0.f;
    f[1] = (odd ? other1 : mine1) >= d.threshold ? d.scale : 0.f;
    f[2] = (odd ? mine0 : other0) >= d.threshold ? d.scale : 0.f;
    f[3] = (odd ? mine1 : other1) >= d.threshold ? d.scale : 0.f;
}

static __device__ __forceinline__ float2 load_pair(const float *p)
{
    return *reinterpret_cast<const float2 *>(p);
}

static __device__ __forceinline__ void store_pair(float *to, float u, float v)
{
    *reinterpret_cast<float2 *>(to) = make_float2(u, v);
}

/* Where a warp turns its sums into rows: 16 rows of 64 columns of y, and of the slope behind them.
 * The padding keeps a warp's stores in different banks. */
struct finish_scratch {
    static constexpr int STRIDE = 64 + 8;
    float y[16 * STRIDE], slope[16 * STRIDE];
};

/* What a lane has of rows `row` and `row + 8` in columns `column` and the next, as it comes from
 * the product, and those columns' bias; becomes y and its slope. */
template <nn_act ACT, bool LEARNS>
static __device__ __forceinline__ void finish_values(float (&y)[4], float (&slope)[4],
                                                     const finish_args &g, const dropout &dropped,
                                                     float2 bias, int64_t row, int64_t column)
{
    y[0] += bias.x, y[1] += bias.y, y[2] += bias.x, y[3] += bias.y;
    if constexpr (LEARNS) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            slope[i] = 1.f;
            if (ACT != NN_ACT_NONE) act_both(y[i], slope[i], y[i], ACT);
        }
        if (!dropped.on) return;
        float factor[4];
        drop_factors(factor, dropped, row, g.n, column);
#pragma unroll
        for (int i = 0; i < 4; i++) y[i] *= factor[i], slope[i] *= factor[i];
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++) y[i] = act_value(y[i], ACT);
    }
}

/* Rows of four elements from shared memory to where they belong, by lanes that share rows: whole
 * lines at a time. */
static __device__ __forceinline__ void finish_rows(float *to, const float *from, float accumulate,
                                                   const finish_args &g, int64_t row0,
                                                   int64_t column0)
{
    constexpr int EACH = 8, AT_ONCE = 4; /* rows of a lane, and how many are on their way */
    const int lane = threadIdx.x & 31;
    const int64_t row = row0 + lane / 16, column = column0 + lane % 16 * 4;
    float *p = to + row * g.n + column;
    from += lane / 16 * finish_scratch::STRIDE + lane % 16 * 4;
    const int64_t below = min(g.m - row + 1, (int64_t)(2 * EACH));
    const int rows = column >= g.n ? 0 : (int)below / 2;
#pragma unroll
    for (int first = 0; first < EACH; first += AT_ONCE) {
        float4 old[AT_ONCE];
        if (accumulate != 0.f) {
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++)
                if (first + i < rows) old[i] = load4(p + 2 * (first + i) * g.n);
        }
#pragma unroll
        for (int i = first; i < first + AT_ONCE; i++) {
            if (i >= rows) continue;
            float4 v = load4(from + 2 * i * finish_scratch::STRIDE);
            if (accumulate != 0.f) {
                const float4 was = old[i - first];
                accumulate4(v, make_float4(accumulate * was.x, accumulate * was.y,
                                           accumulate * was.z, accumulate * was.w));
            }
            store4(p + 2 * i * g.n, v);
        }
    }
}

/* Writes a warpgroup's 64 x N sums, whose first row and column are given. A lane has of every 8
 * columns two neighbours, in rows lane / 4 and lane / 4 + 8 of its warp's 16. n is a multiple of 4.
 * LEARNS: there may be dropout, and a slope is wanted. */
template <int N, nn_act ACT, bool LEARNS>
static __device__ __forceinline__ void finish(const float (&sum)[N / 2], const finish_args &g,
                                              finish_scratch *scratch, int64_t row0,
                                              int64_t column0)
{
    const int lane = threadIdx.x & 31;
    const dropout dropped = dropout_of(g.drop);
    row0 += (threadIdx.x >> 5 & 3) * 16;
#pragma unroll
    for (int half = 0; half < N / 64; half++, column0 += 64) {
        if (column0 >= g.n || row0 >= g.m) return;
        __syncwarp();
        float2 bias[4];
#pragma unroll
        for (int j = 0; j < 8; j++) {
            if (j % 4 == 0) { /* four on their way before the first is used */
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int64_t column = column0 + (j + i) * 8 + lane % 4 * 2;
                    bias[i] = make_float2(0.f, 0.f);
                    if (g.bias && column < g.n) bias[i] = load_pair(g.bias + column);
                }
            }
            const int column = j * 8 + lane % 4 * 2,
                      at = lane / 4 * finish_scratch::STRIDE + column;
            const int other = at + 8 * finish_scratch::STRIDE;
            float y[4], slope[4];
#pragma unroll
            for (int i = 0; i < 4; i++) y[i] = sum[32 * half + 4 * j + i];
            finish_values<ACT, LEARNS>(y, slope, g, dropped, bias[j % 4], row0 + lane / 4,
                                       column0 + column);
            store_pair(scratch->y + at, y[0], y[1]);
            store_pair(scratch->y + other, y[2], y[3]);
            if (LEARNS && g.slope) {
                store_pair(scratch->slope + at, slope[0], slope[1]);
                store_pair(scratch->slope + other, slope[2], slope[3]);
            }
        }
        __syncwarp();
        finish_rows(g.c, scratch->y, g.accumulate, g, row0, column0);
        if (LEARNS && g.slope) finish_rows(g.slope, scratch->slope, 0.f, g, row0, column0);
    }
}

#endif
