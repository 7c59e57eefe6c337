/* nn/cuda/cuda_gemm_single.cu: products of f32 operands in single precision on Hopper's tensor
 * cores.
 *
 * An operand is the sum of three bf16 of 8 bits each (x = p0 + p1 + p2 exactly, but for denormals),
 * and the six products of parts that matter, p0 q0, p0 q1, p1 q0, p1 q1, p0 q2, p2 q0, are added up
 * in f32. What is left out is below 2^-24 of the result, so the error is that of the additions, as
 * with fused multiply-adds, which reach half of this rate. What is not finite, or above bf16's
 * largest number (3.39e38), makes NaN of its results, never a number.
 *
 * The tensor cores cut off what does not fit when they add to a large sum. So they add up STEP
 * products at most, small ones first, and ordinary additions, which round, do the rest.
 *
 * Sums over k are taken in one order whatever m, n and the tile are, so a row has the same bits in
 * any batch. Only products of weight gradients, long in k and small in m and n, are split along k;
 * their parts are added in order by a second kernel.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_gemm_finish.cuh"
#include "nn/cuda/cuda_launch.cuh"
#include "nn/cuda/cuda_mma.cuh"
#include "nn/cuda/cuda_wgmma.cuh"

#include <limits.h>

#define STEP 16  /* of one round of products along k */
#define DEPTH 32 /* of a tile along k */
#define COLUMNS 64
#define MOST_SPLITS 32

typedef struct single_args {
    const float *a, *b;
    int64_t k;
    int64_t a_stride, b_stride; /* of stored rows, in elements */
    bool vec_a, vec_b;          /* rows can be read 16 bytes at a time */
    int64_t k_split;            /* of one part of the sum, a multiple of DEPTH */
    int splits;
    int64_t tiles_n;
    finish_args to; /* m and n stand here */
} single_args;

/* ---- tiles in shared memory --------------------------------------------------------------------
 */

/* A tile of the right operand, COLUMNS x DEPTH in core matrices (cuda_wgmma.cuh), its three parts
 * one behind the other. MN: stored with k as its rows. The strides are padded for how `store`
 * spreads a warp over the tile. */
template <bool MN> struct tile_shape {
    static constexpr int ALONG_MN = MN ? 144 : 128;
    static constexpr int ALONG_K = COLUMNS / 8 * ALONG_MN + (MN ? 0 : 32);
    static constexpr int PART_BYTES = DEPTH / 8 * ALONG_K;
    static constexpr int BYTES = 3 * PART_BYTES;
};

/* Eight f32 as bf16 in three parts, two in a word. */
static __device__ __forceinline__ void split(uint32_t (&words)[3][4], const float (&x)[8])
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float u = x[2 * i], v = x[2 * i + 1];
#pragma unroll
        for (int p = 0; p < 3; p++) {
            const __nv_bfloat162 low = __floats2bfloat162_rn(u, v);
            const uint32_t w = *reinterpret_cast<const uint32_t *>(&low);
            words[p][i] = w;
            u -= __uint_as_float(w << 16);
            v -= __uint_as_float(w & 0xffff0000u);
        }
    }
}

/* Each part of `words` to the same place of its part of a tile. */
static __device__ __forceinline__ void store_parts(uint32_t to, int part_bytes,
                                                   const uint32_t (&words)[3][4])
{
#pragma unroll
    for (int p = 0; p < 3; p++)
        asm volatile("st.shared.v4.b32 [%0], {%1,%2,%3,%4};" ::"r"(to + p * part_bytes),
                     "r"(words[p][0]), "r"(words[p][1]), "r"(words[p][2]), "r"(words[p][3])
                     : "memory");
}

/* How THREADS threads take a tile of the right operand: pieces of eight elements along what is
 * contiguous in memory. In a k-major tile four lanes share a row, in an mn-major one eight share an
 * index of k. Rows past the end are the last one's: what comes of them is never stored. */
template <bool MN, int THREADS> struct right_operand {
    typedef tile_shape<MN> shape;
    static constexpr int PIECES = COLUMNS * DEPTH / 8 / THREADS;
    static constexpr int LANES = (MN ? COLUMNS : DEPTH) / 8; /* pieces side by side */
    const float *at[PIECES];                                 /* of the next tile */
    int64_t step;                                            /* from a tile to the next */
    int left, there; /* of k from the next tile on; MN: of the piece's rows */
    bool whole;      /* pieces are read 16 bytes at a time, while k lasts */
    float x[PIECES][8];

    __device__ __forceinline__ void start(const float *from, int64_t stride, int64_t row0,
                                          int64_t rows, int64_t k0, int64_t k_end, bool vec)
    {
        const int along = threadIdx.x % LANES * 8;
        step = MN ? DEPTH * stride : DEPTH;
        left = (int)(k_end - k0);
        there = MN ? (int)(rows - row0) - along : 8;
        whole = vec && (!MN || row0 + COLUMNS <= rows);
#pragma unroll
        for (int i = 0; i < PIECES; i++) {
            const int64_t across = (threadIdx.x + i * THREADS) / LANES;
            const int64_t row = row0 + across < rows ? row0 + across : rows - 1;
            at[i] = MN ? from + (k0 + across) * stride + row0 + along
                       : from + row * stride + k0 + along;
        }
    }

    /* Reads the next tile; 0 where there is nothing. */
    __device__ __forceinline__ void load()
    {
#pragma unroll
        for (int i = 0; i < PIECES; i++) {
            float4 u, v;
            if (whole && left >= DEPTH) {
                u = load4(at[i]), v = load4(at[i] + 4);
            } else {
                const int piece = threadIdx.x + i * THREADS;
                const int n = !MN ? left - piece % LANES * 8 : piece / LANES < left ? there : 0;
                u = load4_part(at[i], n, false), v = load4_part(at[i] + 4, n - 4, false);
            }
            x[i][0] = u.x, x[i][1] = u.y, x[i][2] = u.z, x[i][3] = u.w;
            x[i][4] = v.x, x[i][5] = v.y, x[i][6] = v.z, x[i][7] = v.w;
            at[i] += step;
        }
        left -= DEPTH;
    }

    __device__ __forceinline__ void store(uint32_t tile) const
    {
#pragma unroll
        for (int i = 0; i < PIECES; i++) {
            const int piece = threadIdx.x + i * THREADS;
            const int row = MN ? piece % LANES * 8 : piece / LANES;
            const int k = MN ? piece / LANES : piece % LANES * 8;
            const uint32_t to =
                row / 8 * shape::ALONG_MN + k / 8 * shape::ALONG_K + (MN ? k % 8 : row % 8) * 16;
            uint32_t words[3][4];
            split(words, x[i]);
            store_parts(tile + to, shape::PART_BYTES, words);
        }
    }
};

/* ---- the left operand --------------------------------------------------------------------------
 */

/* A lane's part of the left operand, which goes from memory to registers: of its warp's 16 rows and
 * of every STEP along k, rows g and g + 8 at k 2t, 2t + 1, 2t + 8 and 2t + 9, in the order of
 * cuda_mma.cuh's words (g = lane / 4, t = lane % 4). MN: stored with k as its rows. */
template <bool MN> struct left_operand {
    const float *at[2]; /* rows g and g + 8, or the last one, at k 2t of the next round */
    int64_t stride;
    int left;   /* of k from the next round on */
    bool whole; /* pairs are read at once, while k lasts */

    __device__ __forceinline__ void start(const float *from, int64_t from_stride, int64_t row,
                                          int64_t rows, int64_t k, int64_t k_end, bool vec)
    {
        const int lane = threadIdx.x & 31;
        stride = from_stride;
        left = (int)(k_end - k);
        whole = MN || vec;
        k += lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int64_t mine = row + lane / 4 + 8 * i < rows ? row + lane / 4 + 8 * i : rows - 1;
            at[i] = MN ? from + k * stride + mine : from + mine * stride + k;
        }
    }

    /* The eight of the next round; 0 where there is nothing. */
    __device__ __forceinline__ void load(float (&x)[8])
    {
        const int64_t next = MN ? stride : 1; /* from k to k + 1 */
        if (whole && left >= STEP) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float *p = at[i % 2] + i / 2 * 8 * next;
                const float2 v =
                    MN ? make_float2(p[0], p[next]) : *reinterpret_cast<const float2 *>(p);
                x[2 * i] = v.x, x[2 * i + 1] = v.y;
            }
        } else {
            const int mine = left - (int)(threadIdx.x & 3) * 2;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float *p = at[i % 2] + i / 2 * 8 * next;
                x[2 * i] = mine > i / 2 * 8 ? p[0] : 0.f;
                x[2 * i + 1] = mine > i / 2 * 8 + 1 ? p[next] : 0.f;
            }
        }
        at[0] += STEP * next;
        at[1] += STEP * next;
        left -= STEP;
    }
};

/* ---- kernels -----------------------------------------------------------------------------------
 */

/* The products of one round, the small ones first; `b` is where the right operand's round lies. */
template <bool B_MN>
static __device__ __forceinline__ void multiply_round(float (&part)[COLUMNS / 2],
                                                      const uint32_t (&a)[3][4], uint32_t b)
{
    typedef tile_shape<B_MN> shape;
    auto at = [&](int p) {
        return wgmma_descriptor(b + p * shape::PART_BYTES, shape::ALONG_K, shape::ALONG_MN);
    };
    wgmma_bf16<true, B_MN>(part, a[2], at(0));
    wgmma_bf16<false, B_MN>(part, a[0], at(2));
    wgmma_bf16<false, B_MN>(part, a[1], at(1));
    wgmma_bf16<false, B_MN>(part, a[1], at(0));
    wgmma_bf16<false, B_MN>(part, a[0], at(1));
    wgmma_bf16<false, B_MN>(part, a[0], at(0));
}

/* A block of 128 threads for each 64 rows computes one ROWS x COLUMNS tile of op(a) op(b), or in
 * blockIdx.y the part of its sums that belongs to a split. The right operand is shared: its next
 * tile waits in registers, and becomes bf16 in shared memory while the tensor cores work. The left
 * one is each warp's own and never leaves its registers. (What its time goes to is in
 * tests/perf/results/omnime_bounds.md; with both in shared memory it took as long.) Blocks share a
 * multiprocessor, so that some convert while others multiply. Moves a and b once for every tile
 * that needs them (from L2 after the first), the result out once.
 */
template <int ROWS, bool A_MN, bool B_MN, nn_act ACT, bool LEARNS>
static __global__ void __launch_bounds__(ROWS * 2, ROWS == 64 ? 3 : 2)
    gemm_single_kernel(single_args g)
{
    nn_cuda_begin();
    constexpr int STAGE = tile_shape<B_MN>::BYTES;
    extern __shared__ __align__(128) char shared[];
    const uint32_t base = shared_address(shared);
    const int64_t row0 = blockIdx.x / g.tiles_n * ROWS, column0 = blockIdx.x % g.tiles_n * COLUMNS;
    const int64_t k0 = blockIdx.y * g.k_split;
    const int64_t k_end = k0 + g.k_split < g.k ? k0 + g.k_split : g.k;
    const int steps = (int)((k_end - k0 + DEPTH - 1) / DEPTH);

    right_operand<B_MN, ROWS * 2> b;
    b.start(g.b, g.b_stride, column0, g.to.n, k0, k_end, g.vec_b);
    auto store = [&](int step) {
        if (step >= steps) return;
        b.store(base + step % 2 * STAGE);
        wgmma_publish();
    };
    left_operand<A_MN> a;
    a.start(g.a, g.a_stride, row0 + threadIdx.x / 32 * 16, g.to.m, k0, k_end, g.vec_a);
    float next_a[DEPTH / STEP][8], sum[COLUMNS / 2], part[COLUMNS / 2];
    uint32_t words[3][4];
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) sum[i] = 0.f;
    b.load();
    a.load(next_a[0]);
    store(0);
    b.load();
    a.load(next_a[1]);
    split(words, next_a[0]);
    for (int step = 0; step < steps; step++) {
        __syncthreads();
#pragma unroll
        for (int round = 0; round < DEPTH / STEP; round++) {
            wgmma_begin();
            multiply_round<B_MN>(part, words,
                                 base + step % 2 * STAGE +
                                     round * STEP / 8 * tile_shape<B_MN>::ALONG_K);
            wgmma_commit();
            if (round == 0) {
                store(step + 1); /* over what the step before has read */
                b.load();
            }
            a.load(next_a[round]); /* of the round after the next */
            wgmma_wait(part, words);
#pragma unroll
            for (int i = 0; i < COLUMNS / 2; i++) sum[i] += part[i];
            split(words, next_a[1 - round]);
        }
    }
    g.to.c += blockIdx.y * g.to.m * g.to.n;
    __syncthreads(); /* tiles are not read any more: the scratch lies over them */
    finish<COLUMNS, ACT, LEARNS>(sum, g.to, (finish_scratch *)shared + threadIdx.x / 32,
                                 row0 + threadIdx.x / 128 * 64, column0);
}

/* c = accumulate c + the sum of `splits` parts, four elements a thread, in the parts' order. */
static __global__ void __launch_bounds__(256)
    add_splits_kernel(float *c, const float *parts, int splits, int64_t n, float accumulate)
{
    nn_cuda_begin();
    const int64_t i = 4 * ((int64_t)blockIdx.x * 256 + threadIdx.x);
    if (i >= n) return;
    float4 sum = load4(parts + i);
    for (int s = 1; s < splits; s++) accumulate4(sum, load4(parts + s * n + i));
    if (accumulate != 0.f) {
        const float4 old = load4(c + i);
        accumulate4(sum, make_float4(accumulate * old.x, accumulate * old.y, accumulate * old.z,
                                     accumulate * old.w));
    }
    store4(c + i, sum);
}

/* ---- which kernel ------------------------------------------------------------------------------
 */

template <int ROWS, bool A_MN, bool B_MN, nn_act ACT, bool LEARNS>
static void run_tiles(nn_cuda *cu, single_args *g)
{
    constexpr int TILES = 2 * tile_shape<B_MN>::BYTES;
    constexpr int SCRATCH = ROWS / 16 * (int)sizeof(finish_scratch);
    constexpr int BYTES = TILES > SCRATCH ? TILES : SCRATCH;
    auto kernel = gemm_single_kernel<ROWS, A_MN, B_MN, ACT, LEARNS>;
    nn_cuda_check(cu,
                  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES),
                  "shared memory of gemm_single_kernel");
    g->tiles_n = nn_cuda_ceil_div(g->to.n, COLUMNS);
    const dim3 blocks((unsigned)(nn_cuda_ceil_div(g->to.m, ROWS) * g->tiles_n),
                      (unsigned)g->splits);
    nn_cuda_launch(cu, "gemm_single_kernel", kernel, blocks, ROWS * 2, BYTES, *g);
}

static int64_t tiles_of(const single_args *g, int rows)
{
    return nn_cuda_ceil_div(g->to.m, rows) * nn_cuda_ceil_div(g->to.n, COLUMNS);
}

/* Large tiles when they give every multiprocessor one. */
template <bool A_MN, bool B_MN, nn_act ACT, bool LEARNS>
static void run(nn_cuda *cu, single_args *g)
{
    if (g->splits > 1 || tiles_of(g, 128) >= cu->multiprocessors)
        run_tiles<128, A_MN, B_MN, ACT, LEARNS>(cu, g);
    else
        run_tiles<64, A_MN, B_MN, ACT, LEARNS>(cu, g);
}

/* act(x w^T + b); false for an activation that is not compiled in. */
static bool run_forward(nn_cuda *cu, single_args *g, nn_act act)
{
    const bool learns = g->to.slope || g->to.drop.p > 0.f;
#define X(value)                                                                                   \
    case value:                                                                                    \
        if (learns)                                                                                \
            run<false, false, value, true>(cu, g);                                                 \
        else                                                                                       \
            run<false, false, value, false>(cu, g);                                                \
        return true;
    switch (act) {
        X(NN_ACT_GELU_ERF)
        X(NN_ACT_GELU_TANH)
        X(NN_ACT_NONE)
    default:
        return false;
    }
#undef X
}

/* Splits the sums so that there are two tiles for every multiprocessor and their results fit in the
 * workspace. */
static void split_sums(const nn_cuda *cu, single_args *g)
{
    const int64_t bytes = g->to.m * g->to.n * (int64_t)sizeof(float);
    int64_t splits = nn_cuda_min(2 * cu->multiprocessors / tiles_of(g, 128), g->k / (4 * DEPTH));
    splits = nn_cuda_min(nn_cuda_min(splits, MOST_SPLITS), (int64_t)NN_CUDA_WORKSPACE / bytes);
    if (splits < 2) return;
    g->k_split = nn_cuda_ceil_div(nn_cuda_ceil_div(g->k, splits), DEPTH) * DEPTH;
    g->splits = (int)nn_cuda_ceil_div(g->k, g->k_split);
}

/* dw = dy^T x: both operands are stored with k as their rows. */
static void run_weight_gradient(nn_cuda *cu, single_args *g)
{
    float *c = g->to.c;
    const float accumulate = g->to.accumulate;
    const int64_t n = g->to.m * g->to.n;
    split_sums(cu, g);
    if (g->splits > 1) {
        g->to.c = (float *)cu->workspace;
        g->to.accumulate = 0.f;
    }
    run<true, true, NN_ACT_NONE, false>(cu, g);
    if (g->splits == 1) return;
    nn_cuda_launch(cu, "add_splits_kernel", add_splits_kernel, (unsigned)nn_cuda_ceil_div(n, 1024),
                   256, 0, c, g->to.c, g->splits, n, accumulate);
}

bool nn_cuda_gemm_single(nn_cuda *cu, const nn_gemm_args *g)
{
    if (!cu->wgmma || g->dtype != NN_F32 || g->c_dtype != NN_F32 || g->precision == NN_TF32 ||
        g->k == 0 || g->n % 4 || !nn_cuda_vec4(g->c, NN_F32) || !nn_cuda_vec4(g->slope, NN_F32) ||
        !nn_cuda_vec4(g->bias, NN_F32))
        return false;
    const int64_t a_stride = g->trans_a ? g->m : g->k, b_stride = g->trans_b ? g->k : g->n;
    single_args args = {};
    args.a = (const float *)g->a;
    args.b = (const float *)g->b;
    args.k = g->k;
    args.a_stride = a_stride;
    args.b_stride = b_stride;
    args.vec_a = a_stride % 4 == 0 && nn_cuda_vec4(g->a, NN_F32);
    args.vec_b = b_stride % 4 == 0 && nn_cuda_vec4(g->b, NN_F32);
    args.k_split = g->k;
    args.splits = 1;
    args.to.bias = (const float *)g->bias;
    args.to.c = (float *)g->c;
    args.to.slope = (float *)g->slope;
    args.to.m = g->m;
    args.to.n = g->n;
    args.to.accumulate = g->accumulate;
    args.to.drop = g->drop;
    if (tiles_of(&args, 64) > INT_MAX) return false;
    if (!g->trans_a && g->trans_b) return run_forward(cu, &args, g->act);
    if (g->act != NN_ACT_NONE || g->drop.p > 0.f || g->slope || g->bias) return false;
    if (g->trans_a && g->trans_b) return false;
    if (g->trans_a)
        run_weight_gradient(cu, &args);
    else
        run<false, true, NN_ACT_NONE, false>(cu, &args);
    return true;
}
