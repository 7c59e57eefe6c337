/* nn/cuda/cuda_attention_mma.cuh: attention on the tensor cores, for bf16 tensors, for f32 tensors
 * under tf32 (operands rounded to 10 bits of mantissa; sums, maxima and exponents stay f32), and
 * for f32 tensors in single precision: the tiles and products that the way forward
 * (cuda_attention_mma_fwd.cu) and the way back (cuda_attention_mma_bwd.cu) share.
 *
 * In single precision an operand is the sum of two fp16, and 16 rows of a tile share a power of two
 * (cuda_parts.cuh). The tensor cores cut off what does not fit when they add, so they add up the
 * products of 16 terms at most, small ones first, and ordinary additions, which round, do the rest.
 *
 * The method is flash attention 2 (Dao 2023) for short sequences. A warp owns 16 rows of a product
 * and keeps what it computes in registers: the weights, results of one product, are the left
 * operand of the next without passing through memory. Tiles lie in shared memory in their own type,
 * rows 16 bytes longer than HD columns so that the eight rows of a fragment meet different banks;
 * the next tiles travel while the present ones are used.
 */
#ifndef NN_CUDA_ATTENTION_MMA_CUH
#define NN_CUDA_ATTENTION_MMA_CUH

#include "nn/cuda/cuda_attention.cuh"
#include "nn/cuda/cuda_parts.cuh"

#include <type_traits>

#define WARPS 8
#define THREADS (32 * WARPS)
#define OWN (16 * WARPS) /* rows of a block: queries forward, keys backward */
#define KEYS 64          /* of a tile of the forward */
#define LOG2E 1.4426950408889634f

/* An element of f32 tensors that are multiplied in single precision; a float's are in tf32. Once
 * tiles of them have come, the bytes of a row are those of its high parts and then its low ones
 * (finish_rows). */
struct single {
    float value;
};

template <typename T> static constexpr bool IS_TF32 = std::is_same_v<T, float>;
template <typename T> static constexpr bool IS_SINGLE = std::is_same_v<T, single>;

/* A tile's sizes in elements. */
template <typename T, int HD> struct tile {
    static constexpr int PER = 16 / (int)sizeof(T); /* elements of 16 bytes */
    static constexpr int LD = HD + PER;             /* from row to row */
    /* Left operands of a row, 32 bytes each; those of singles are fp16. */
    static constexpr int STEPS = HD * (IS_SINGLE<T> ? 2 : (int)sizeof(T)) / 32;
    static constexpr bool BIG = HD * (int)sizeof(T) > 256; /* rows of more than 256 bytes */
    static constexpr int QUERIES = BIG ? 32 : 64;          /* of a tile of the backward */
    static constexpr int SCORES_LD = QUERIES + PER;        /* of the tile of dS */
    static constexpr int SCORE_TILES = BIG ? 1 : 2;
    static constexpr int FORWARD_BYTES = (OWN + 4 * KEYS) * LD * (int)sizeof(T);
    static constexpr int BACKWARD_BYTES =
        ((2 * OWN + 4 * QUERIES) * LD + SCORE_TILES * OWN * SCORES_LD) * (int)sizeof(T) +
        4 * QUERIES * (int)sizeof(float);
    /* That should fit one multiprocessor. */
    static constexpr int FORWARD_BLOCKS = HD > 64 ? 1 : sizeof(T) == 2 ? 3 : 2;
    static constexpr int BACKWARD_BLOCKS = HD * (int)sizeof(T) > 128 ? 1 : 2;
    /* Of a tile's dq a warp computes 16 rows by QUERY_COLUMNS columns. */
    static constexpr int QUERY_COLUMNS = HD * (QUERIES / 16) / WARPS;
};

/* Where a lane's row of ldmatrix4 starts: for a left operand (16 rows by 32 bytes), or a transposed
 * right one, and for two right ones (16 columns by 32 bytes). */
template <typename T> static __device__ __forceinline__ uint32_t left_row(const T *p, int ld)
{
    int lane = threadIdx.x & 31;
    return shared_address(p) + (lane & 15) * ld * (int)sizeof(T) + (lane >> 4) * 16;
}

template <typename T> static __device__ __forceinline__ uint32_t right_row(const T *p, int ld)
{
    int lane = threadIdx.x & 31;
    return shared_address(p) + ((lane & 7) + (lane >> 4) * 8) * ld * (int)sizeof(T) +
           (lane >> 3 & 1) * 16;
}

/* What 16 rows of a tile of singles are multiplied by in the end stands behind the first of them.
 */
template <int HD> static __device__ __forceinline__ float &back_of(single *rows)
{
    return rows[HD].value;
}

template <int HD> static __device__ __forceinline__ float back_of(const single *rows)
{
    return rows[HD].value;
}

/* A warp makes two parts of 16 rows, in their place. */
template <int HD> static __device__ __forceinline__ void split_rows(single *rows)
{
    constexpr int PIECES = HD / 4, AT_ONCE = 32 / PIECES, STEPS = 16 / AT_ONCE;
    const int lane = threadIdx.x & 31, piece = lane % PIECES;
    float *mine = (float *)(rows + lane / PIECES * tile<single, HD>::LD);
    float4 x[STEPS];
#pragma unroll
    for (int i = 0; i < STEPS; i++)
        x[i] = load4(mine + i * AT_ONCE * tile<single, HD>::LD + 4 * piece);
    const scale s = warp_scale(x);
    __syncwarp(); /* all have read what some write over */
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
        uint2 high, low;
        split(high.x, low.x, x[i].x * s.to, x[i].y * s.to);
        split(high.y, low.y, x[i].z * s.to, x[i].w * s.to);
        uint2 *to = (uint2 *)(mine + i * AT_ONCE * tile<single, HD>::LD) + piece;
        to[0] = high;
        to[PIECES] = low;
    }
    if (lane == 0) back_of<HD>(rows) = s.back;
}

/* After wait_copies, before the block's threads meet: f32 becomes tf32, each thread what it has
 * copied itself; or two fp16, for which they meet before, too. */
template <typename T, int HD, int HEIGHT> static __device__ __forceinline__ void finish_rows(T *at)
{
    if constexpr (IS_TF32<T>) {
#pragma unroll 4
        for (int from = 0; from < HEIGHT * HD / 4; from += THREADS) {
            int i = from + (int)threadIdx.x;
            float *four = at + i / (HD / 4) * tile<T, HD>::LD + i % (HD / 4) * 4;
            float4 v = load4(four);
            store4(four, make_float4(to_tf32(v.x), to_tf32(v.y), to_tf32(v.z), to_tf32(v.w)));
        }
    }
    if constexpr (IS_SINGLE<T>) {
        static_assert(HEIGHT <= 16 * WARPS, "a warp has 16 rows at most");
        const int warp = (int)threadIdx.x >> 5;
        if (16 * warp < HEIGHT) split_rows<HD>(at + 16 * warp * tile<T, HD>::LD);
    }
}

/* What finish_rows wants of singles. */
template <typename T> static __device__ __forceinline__ void meet_before_finish()
{
    if constexpr (IS_SINGLE<T>) __syncthreads();
}

static __device__ __forceinline__ uint32_t pack(float low, float high)
{
    __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t *>(&two);
}

/* A left operand of 16 columns in two parts. */
struct split_left {
    uint32_t high[4], low[4];
};

/* c += `by` times the product of 16 terms. */
static __device__ __forceinline__ void
mma_single(float (&c)[4], const split_left &a, const uint32_t *high, const uint32_t *low, float by)
{
    float sum[4] = {};
    mma(sum, a.low, high[0], high[1], __half());
    mma(sum, a.high, low[0], low[1], __half());
    mma(sum, a.high, high[0], high[1], __half());
#pragma unroll
    for (int e = 0; e < 4; e++) c[e] = fmaf(sum[e], by, c[e]);
}

/* What scores of singles are multiplied by: 16 rows of a by 16 CHUNKS rows of b. */
template <typename T, int HD, int CHUNKS> struct score_powers {
    float by[CHUNKS];

    __device__ __forceinline__ score_powers(const T *a, const T *b)
    {
        if constexpr (IS_SINGLE<T>) {
#pragma unroll
            for (int c = 0; c < CHUNKS; c++)
                by[c] = back_of<HD>(a) * back_of<HD>(b + 16 * c * tile<T, HD>::LD);
        }
    }
};

/* s (16 x 16 CHUNKS) += a b^T over the columns of the left operand numbered `step`. `a_row` and
 * `b_row` are left_row and right_row of the tiles. */
template <typename T, int HD, int CHUNKS>
static __device__ __forceinline__ void score(float (&s)[2 * CHUNKS][4], uint32_t a_row,
                                             uint32_t b_row, int step,
                                             const score_powers<T, HD, CHUNKS> &powers)
{
    constexpr int ROW = tile<T, HD>::LD * (int)sizeof(T);
    if constexpr (IS_SINGLE<T>) {
        split_left a;
        ldmatrix4(a.high, a_row + 32 * step);
        ldmatrix4(a.low, a_row + 32 * step + 2 * HD);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            uint32_t high[4], low[4];
            ldmatrix4(high, b_row + 16 * c * ROW + 32 * step);
            ldmatrix4(low, b_row + 16 * c * ROW + 32 * step + 2 * HD);
            mma_single(s[2 * c], a, high, low, powers.by[c]);
            mma_single(s[2 * c + 1], a, high + 2, low + 2, powers.by[c]);
        }
    } else {
        uint32_t a[4];
        ldmatrix4(a, a_row + 32 * step);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            uint32_t b[4];
            ldmatrix4(b, b_row + 16 * c * ROW + 32 * step);
            mma(s[2 * c], a, b[0], b[1], T());
            mma(s[2 * c + 1], a, b[2], b[3], T());
        }
    }
}

/* o (16 x COLUMNS) += a b, where a has 16 columns and b is 16 rows of a tile. In bf16 that is one
 * product of 16 columns. In tf32 it is two of 8, and because a sum may take its terms in any order,
 * columns 2t and 2t + 1, which a lane holds as results, stand in the places t and t + 4. */
template <int COLUMNS>
static __device__ __forceinline__ void spread(float (&o)[COLUMNS / 8][4], const uint32_t (&a)[4],
                                              const bf16 *b, int ld)
{
    uint32_t row = left_row(b, ld);
#pragma unroll
    for (int m = 0; m < COLUMNS / 16; m++) {
        uint32_t w[4];
        ldmatrix4_trans(w, row + 32 * m);
        mma(o[2 * m], a, w[0], w[1], bf16());
        mma(o[2 * m + 1], a, w[2], w[3], bf16());
    }
}

template <int COLUMNS>
static __device__ __forceinline__ void spread(float (&o)[COLUMNS / 8][4], const uint32_t (&a)[4],
                                              const float *b, int ld)
{
    int lane = threadIdx.x & 31;
    const float *even = b + 2 * (lane & 3) * ld + (lane >> 2), *odd = even + ld;
#pragma unroll
    for (int m = 0; m < COLUMNS / 8; m++) {
        mma(o[m], a, __float_as_uint(even[8 * m]), __float_as_uint(odd[8 * m]), float());
    }
}

/* In single precision, times `by`; b's columns begin at `column` of its rows. */
template <int HD, int COLUMNS>
static __device__ __forceinline__ void spread(float (&o)[COLUMNS / 8][4], const split_left &a,
                                              const single *b, int column, float by)
{
    uint32_t row = left_row(b, tile<single, HD>::LD) + 2 * column;
#pragma unroll
    for (int m = 0; m < COLUMNS / 16; m++) {
        uint32_t high[4], low[4];
        ldmatrix4_trans(high, row + 32 * m);
        ldmatrix4_trans(low, row + 32 * m + 2 * HD);
        mma_single(o[2 * m], a, high, low, by);
        mma_single(o[2 * m + 1], a, high + 2, low + 2, by);
    }
}

/* The same with a given as the results x (columns 0 to 7) and y (8 to 15). */
template <int HD>
static __device__ __forceinline__ void weigh(float (&o)[HD / 8][4], const float (&x)[4],
                                             const float (&y)[4], const bf16 *b)
{
    uint32_t a[4] = {pack(x[0], x[1]), pack(x[2], x[3]), pack(y[0], y[1]), pack(y[2], y[3])};
    spread<HD>(o, a, b, tile<bf16, HD>::LD);
}

template <int HD>
static __device__ __forceinline__ void weigh(float (&o)[HD / 8][4], const float (&x)[4],
                                             const float (&y)[4], const float *b)
{
    auto word = [](float v) { return __float_as_uint(to_tf32(v)); };
    uint32_t first[4] = {word(x[0]), word(x[2]), word(x[1]), word(x[3])};
    spread<HD>(o, first, b, tile<float, HD>::LD);
    uint32_t second[4] = {word(y[0]), word(y[2]), word(y[1]), word(y[3])};
    spread<HD>(o, second, b + 8 * tile<float, HD>::LD, tile<float, HD>::LD);
}

/* The results as a left operand, times `to`. */
static __device__ __forceinline__ void split_results(split_left &a, const float (&x)[4],
                                                     const float (&y)[4], float to)
{
    split(a.high[0], a.low[0], x[0] * to, x[1] * to);
    split(a.high[1], a.low[1], x[2] * to, x[3] * to);
    split(a.high[2], a.low[2], y[0] * to, y[1] * to);
    split(a.high[3], a.low[3], y[2] * to, y[3] * to);
}

/* x and y are weights, 1 at most. */
template <int HD>
static __device__ __forceinline__ void weigh(float (&o)[HD / 8][4], const float (&x)[4],
                                             const float (&y)[4], const single *b)
{
    split_left a;
    split_results(a, x, y, 0x1p14f);
    spread<HD, HD>(o, a, b, 0, back_of<HD>(b) * 0x1p-14f);
}

static __device__ __forceinline__ float load1(const single *p)
{
    return p->value;
}

static __device__ __forceinline__ void store2(single *p, float x, float y)
{
    store2(&p->value, x, y);
}

/* Writes the lane's part of a product's rows g and g + 8, times by[0] and by[1]. */
template <typename T, int COLUMNS>
static __device__ __forceinline__ void store_rows(T *dst, const float (&o)[COLUMNS / 8][4],
                                                  int64_t stride, int rows, int columns, float by0,
                                                  float by1)
{
    int g = (int)(threadIdx.x & 31) >> 2, t = threadIdx.x & 3;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        if (g + 8 * i >= rows) continue;
        float by = i ? by1 : by0;
        T *to = dst + (g + 8 * i) * stride + 2 * t;
#pragma unroll
        for (int m = 0; m < COLUMNS / 8; m++) {
            if (8 * m + 2 * t < columns) store2(to + 8 * m, o[m][2 * i] * by, o[m][2 * i + 1] * by);
        }
    }
}

/* ---- which kernel ------------------------------------------------------------------------------
 */

/* Rows are moved 16 bytes at a time. */
static bool suits(const nn_attention_args *p)
{
    const void *all[] = {p->q, p->k, p->v, p->out, p->dout, p->dq, p->dk, p->dv};
    uint64_t bits = 0, size = p->dtype == NN_BF16 ? 2 : 4;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) bits |= (uint64_t)(uintptr_t)all[i];
    bits |= (uint64_t)p->head_dim * size | (uint64_t)p->q_stride * size;
    bits |= (uint64_t)p->kv_stride * size;
    return bits % 16 == 0;
}

/* Lets a block of `kernel` have so much shared memory. False where the GPU has less: H100 has what
 * all kernels ask for, others of sm_80 and later may not. */
template <typename KERNEL>
static bool take_shared(nn_cuda *cu, KERNEL kernel, int bytes, const char *what)
{
    int most = 0;
    nn_cuda_check(
        cu, cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, cu->device),
        "cudaDeviceGetAttribute");
    if (bytes > most) return false;
    nn_cuda_check(
        cu, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), what);
    return true;
}

template <int HD> using columns_of_head = std::integral_constant<int, HD>;

template <typename T, typename RUN> static bool run_columns(const nn_attention_args *p, RUN run)
{
    if (p->head_dim <= 32) return run(T(), columns_of_head<32>());
    if (p->head_dim <= 64) return run(T(), columns_of_head<64>());
    return run(T(), columns_of_head<128>());
}

/* run(an element of the tiles, their columns_of_head), which returns false where it cannot; false
 * also where the kernels' accesses do not suit the tensors. */
template <typename RUN> static bool run_tiles(const nn_attention_args *p, RUN run)
{
    if (!suits(p)) return false;
    if (p->sequences == 0) return true;
    if (p->dtype == NN_BF16) return run_columns<bf16>(p, run);
    return p->precision == NN_TF32 ? run_columns<float>(p, run) : run_columns<single>(p, run);
}

#endif
