/* nn/cuda/cuda_attention_mma.cu: attention's products on the tensor cores, for f32 tensors under
 * tf32 and for bf16 tensors.
 *
 * Operands are rounded to tf32 (10 bits of mantissa, so bf16 values pass unchanged) and multiplied
 * by mma.m16n8k8 with f32 sums; maxima, sums and exponents stay f32. bf16 tensors take the same
 * path: their weights then keep more bits than bf16 holds.
 */
#include "nn/cuda/cuda_attention.cuh"

static __device__ __forceinline__ float to_tf32(float x)
{
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

/* c (16 x 8) += a (16 x 8) b (8 x 8). With g = lane / 4 and t = lane % 4, a lane holds
 * a0 (g, t), a1 (g+8, t), a2 (g, t+4), a3 (g+8, t+4); b0 (t, g), b1 (t+4, g);
 * c0 (g, 2t), c1 (g, 2t+1), c2 (g+8, 2t), c3 (g+8, 2t+1). */
static __device__ __forceinline__ void mma_tf32(float &c0, float &c1, float &c2, float &c3,
                                                float a0, float a1, float a2, float a3, float b0,
                                                float b1)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
                 : "r"(__float_as_uint(a0)), "r"(__float_as_uint(a1)), "r"(__float_as_uint(a2)),
                   "r"(__float_as_uint(a3)), "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}

/* A warp's 16 rows are one m16 tile: a thread holds rows g and g + 8, and of every 8 columns 2t and
 * 2t + 1. Groups of 8 columns past `live` are skipped. */
struct tensor_cores {
    static constexpr bool ROUNDS = true;
    static constexpr int WARPS = 8, BLOCKS = 2, BUFFERS = 2, ROWS = 2, COLUMNS = 16,
                         SPARE_COLUMNS = 0;
    static constexpr __host__ __device__ int outputs(int hd) { return hd / 4; }
    static __device__ __forceinline__ int g() { return (threadIdx.x & 31) >> 2; }
    static __device__ __forceinline__ int t() { return threadIdx.x & 3; }
    static __device__ __forceinline__ int row(int i)
    {
        return (int)(threadIdx.x >> 5) * 16 + g() + 8 * i;
    }
    static __device__ __forceinline__ int column(int j) { return j / 2 * 8 + 2 * t() + (j & 1); }
    template <int HD> static __device__ __forceinline__ int output(int j) { return column(j); }
    static __device__ __forceinline__ float4 round(float4 v)
    {
        return make_float4(to_tf32(v.x), to_tf32(v.y), to_tf32(v.z), to_tf32(v.w));
    }
    static __device__ __forceinline__ float exponential(float x)
    {
        return exp2f(x * 1.4426950408889634f);
    }
    static __device__ __forceinline__ float row_sum(float v)
    {
        v += __shfl_xor_sync(0xffffffffu, v, 1);
        return v + __shfl_xor_sync(0xffffffffu, v, 2);
    }
    static __device__ __forceinline__ float row_max(float v)
    {
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
        return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
    }

    template <int HD>
    static __device__ __forceinline__ void dot(float (&s)[2][16], const float *a, const float *b,
                                               int live)
    {
        constexpr int LD = HD + 4;
#pragma unroll
        for (int i = 0; i < 2; i++) {
#pragma unroll
            for (int j = 0; j < 16; j++) s[i][j] = 0.f;
        }
        const float *mine = a + row(0) * LD + t(), *theirs = b + g() * LD + t();
#pragma unroll
        for (int k = 0; k < HD; k += 8) {
            float a0 = mine[k], a1 = mine[8 * LD + k], a2 = mine[k + 4], a3 = mine[8 * LD + k + 4];
#pragma unroll
            for (int n = 0; n < 8; n++) {
                if (8 * n >= live) continue;
                mma_tf32(s[0][2 * n], s[0][2 * n + 1], s[1][2 * n], s[1][2 * n + 1], a0, a1, a2, a3,
                         theirs[8 * n * LD + k], theirs[8 * n * LD + k + 4]);
            }
        }
    }

    /* The weights stay in registers. As results of a product a lane holds columns 2t and 2t + 1, as
     * the operand of the next it should hold columns t and t + 4; a sum over columns may take them
     * in any order, so column 2t is called t and column 2t + 1 is called t + 4 in both operands. */
    template <int HD>
    static __device__ __forceinline__ void weigh(float (&o)[2][HD / 4], const float (&s)[2][16],
                                                 float *, const float *b, int live)
    {
        constexpr int LD = HD + 4;
        const float *theirs = b + 2 * t() * LD + g();
#pragma unroll
        for (int n = 0; n < 8; n++) {
            if (8 * n >= live) continue;
            float a0 = to_tf32(s[0][2 * n]), a1 = to_tf32(s[1][2 * n]);
            float a2 = to_tf32(s[0][2 * n + 1]), a3 = to_tf32(s[1][2 * n + 1]);
#pragma unroll
            for (int m = 0; m < HD / 8; m++) {
                mma_tf32(o[0][2 * m], o[0][2 * m + 1], o[1][2 * m], o[1][2 * m + 1], a0, a1, a2, a3,
                         theirs[8 * n * LD + 8 * m], theirs[(8 * n + 1) * LD + 8 * m]);
            }
        }
    }
};

static bool suits(const nn_attention_args *p)
{
    return p->dtype == NN_BF16 || p->precision == NN_TF32;
}

template <typename T> static void mma_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (p->head_dim <= 32)
        run_attention_fwd<tensor_cores, T, 32>(cu, p);
    else if (p->head_dim <= 64)
        run_attention_fwd<tensor_cores, T, 64>(cu, p);
    else
        run_attention_fwd<tensor_cores, T, 128>(cu, p);
}

template <typename T> static void mma_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (p->head_dim <= 32)
        run_attention_bwd<tensor_cores, T, 32>(cu, p);
    else if (p->head_dim <= 64)
        run_attention_bwd<tensor_cores, T, 64>(cu, p);
    else
        run_attention_bwd<tensor_cores, T, 128>(cu, p);
}

bool nn_cuda_attention_mma_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (!suits(p)) return false;
    if (p->dtype == NN_BF16)
        mma_fwd<bf16>(cu, p);
    else
        mma_fwd<float>(cu, p);
    return true;
}

bool nn_cuda_attention_mma_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (!suits(p)) return false;
    if (p->dtype == NN_BF16)
        mma_bwd<bf16>(cu, p);
    else
        mma_bwd<float>(cu, p);
    return true;
}
