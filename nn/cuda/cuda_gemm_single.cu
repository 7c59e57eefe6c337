/* nn/cuda/cuda_gemm_single.cu: products of f32 operands in single precision on Hopper's tensor
 * cores.
 *
 * An operand is the sum of two fp16 (cuda_parts.cuh) that share a power of two for each row of the
 * left one and each 16 columns of the right one, of 32 terms at a time. The error is that of the
 * additions, as with fused multiply-adds, which reach a third of this rate. Operands whose largest
 * products pass 2^155 give inf or NaN.
 *
 * The tensor cores cut off what does not fit when they add to a large sum. So they add up STEP
 * terms at most, small ones first, and ordinary additions, which round, do the rest.
 *
 * Operands come by tensor copies, so their rows begin at multiples of 16 bytes. Others are
 * cuda_gemm_f32.cu's in inference and cuBLASLt's in training.
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
#include "nn/cuda/cuda_parts.cuh"
#include "nn/cuda/cuda_tma.cuh"
#include "nn/cuda/cuda_wgmma.cuh"

#include <limits.h>

#define CONSUMERS 256  /* threads that multiply: a warpgroup for each 64 rows of a tile */
#define CONVERTERS 256 /* threads that make the right operand fp16 */
#define ASKERS 128     /* a warpgroup, of which one thread works: it asks for operands */
#define ROWS 128       /* of a tile; it has 64 or 128 columns */
#define STEP 32        /* of a round along k: 128 bytes of a row of f32 */
#define GROUP 16       /* columns of the right operand that are divided by the same */
#define MOST_SPLITS 32
/* 65,536 registers for 640 threads are 96 each; those who multiply take some of the others'. */
#define CONSUMER_REGISTERS 184
#define CONVERTER_REGISTERS 40
#define ASKER_REGISTERS 24

typedef struct single_args {
    int64_t k;
    int64_t k_split; /* of one part of the sum, a multiple of 2 STEP */
    int splits, tiles_n, tiles;
    finish_args to; /* m and n stand here */
} single_args;

/* The operands as they are stored. */
typedef struct single_maps {
    CUtensorMap a, b;
} single_maps;

/* What a block has to do: every gridDim.x-th of all tiles and splits. One is a tile of the result,
 * or the part of its sums that belongs to a split. */
template <int N> struct single_work {
    int index, row0, column0, k0, split;
    int rounds; /* an even number; past the end there are zeros */

    __device__ __forceinline__ explicit single_work(const single_args &g)
    {
        index = blockIdx.x;
        start(g);
    }
    __device__ __forceinline__ bool some(const single_args &g) const
    {
        return index < g.tiles * g.splits;
    }
    __device__ __forceinline__ void next(const single_args &g)
    {
        index += gridDim.x;
        start(g);
    }
    __device__ __forceinline__ void start(const single_args &g)
    {
        const int tile = index % g.tiles;
        split = index / g.tiles;
        row0 = tile / g.tiles_n * ROWS;
        column0 = tile % g.tiles_n * N;
        k0 = (int)(split * g.k_split);
        rounds = ((int)min(g.k_split, g.k - k0) + 2 * STEP - 1) / (2 * STEP) * 2;
    }
};

/* ---- a round in shared memory ------------------------------------------------------------------
 *
 * Sums may take their terms in any order. Where the left operand is k-major, a round's terms stand
 * in both operands in the one in which four neighbours in memory are what a lane multiplies: piece
 * 2t + s, of four, takes the places 2t, 2t + 1, 2t + 8 and 2t + 9 of the product s of 16 terms.
 */

/* Of what is term k of a round. */
template <bool A_MN> static __device__ __forceinline__ int product_of(int k)
{
    return A_MN ? k / 16 : k / 4 % 2;
}

template <bool A_MN> static __device__ __forceinline__ int place_of(int k)
{
    return A_MN ? k % 16 : k / 8 * 2 + k % 2 + k % 4 / 2 * 8;
}

/* What a round has: the left operand as it is stored, ROWS x STEP or STEP x ROWS in boxes of 32
 * rows, swizzled; the right one so too, N x STEP or STEP x N; and that one's two parts one behind
 * the other, for each product of 16 terms in core matrices (cuda_wgmma.cuh), whose strides are
 * padded for how `convert` spreads a warp over them; and what its columns were divided by, GROUP by
 * GROUP. Of each there are STAGES, side by side. */
template <bool B_MN, int N> struct round_shape {
    static constexpr int STAGES = N == 128 ? 4 : 6;
    static constexpr int LEFT = ROWS * STEP * 4, RIGHT = N * STEP * 4;
    static constexpr int ALONG_MN = B_MN ? 160 : 128;
    static constexpr int ALONG_K = N / 8 * ALONG_MN;
    static constexpr int PRODUCT = 2 * ALONG_K + 64;
    static constexpr int PART = STEP / 16 * PRODUCT, SCALES = N / GROUP * 4;
    static constexpr int RIGHT_AT = STAGES * LEFT, PARTS_AT = RIGHT_AT + STAGES * RIGHT;
    static constexpr int SCALES_AT = PARTS_AT + STAGES * 2 * PART;
    static constexpr int BARRIERS_AT = SCALES_AT + STAGES * SCALES;
    static constexpr int BYTES = BARRIERS_AT + 3 * STAGES * 8;
};

/* Where a thread stands in the ring of stages: which is next, and how often it has come round. */
template <typename SHAPE> struct single_ring {
    uint32_t base;
    int stage, turn;

    __device__ __forceinline__ uint32_t left() const { return base + stage * SHAPE::LEFT; }
    __device__ __forceinline__ uint32_t right() const
    {
        return base + SHAPE::RIGHT_AT + stage * SHAPE::RIGHT;
    }
    __device__ __forceinline__ uint32_t parts() const
    {
        return base + SHAPE::PARTS_AT + stage * 2 * SHAPE::PART;
    }
    __device__ __forceinline__ uint32_t scales() const
    {
        return base + SHAPE::SCALES_AT + stage * SHAPE::SCALES;
    }
    /* Barriers: operands have come; the right one is converted; all has been multiplied. */
    __device__ __forceinline__ uint32_t came() const
    {
        return base + SHAPE::BARRIERS_AT + stage * 8;
    }
    __device__ __forceinline__ uint32_t full() const { return came() + SHAPE::STAGES * 8; }
    __device__ __forceinline__ uint32_t empty() const { return came() + 2 * SHAPE::STAGES * 8; }
    __device__ __forceinline__ void advance()
    {
        if (++stage == SHAPE::STAGES) stage = 0, turn++;
    }
};

static __device__ __forceinline__ float4 load_shared4(uint32_t from)
{
    float4 v;
    asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
                 : "r"(from)
                 : "memory");
    return v;
}

static __device__ __forceinline__ float2 load_shared2(uint32_t from)
{
    float2 v;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(from) : "memory");
    return v;
}

/* ---- those who bring operands ------------------------------------------------------------------
 */

/* A warp's GROUP of columns of a round of the right operand, from how it is stored to two parts.
 * Its lanes have 4 pieces of 4 elements each. */
template <bool A_MN, bool B_MN, int N>
static __device__ __forceinline__ void convert(uint32_t from, uint32_t to, uint32_t scales,
                                               int group)
{
    typedef round_shape<B_MN, N> shape;
    const int lane = threadIdx.x & 31;
    float4 x[4];
    if (B_MN) { /* 4 columns of row k, and 8, 16 and 24 rows further */
        const int k = lane / 4 % 2 * 4 + lane / 8;
        const uint32_t at =
            from + group / 2 * 32 * STEP * 4 + k * 128 + ((group % 2 * 4 + lane % 4) ^ k) * 16;
#pragma unroll
        for (int j = 0; j < 4; j++) x[j] = load_shared4(at + j * 1024);
    } else { /* 4 places of a row, and 4, 8 and 12 rows further */
        const uint32_t at = from + group * GROUP * 128 + lane / 8 * 128;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            x[j] = load_shared4(at + j * 512 + ((lane % 8) ^ (lane / 8 + j % 2 * 4)) * 16);
        }
    }
    const scale s = warp_scale(x);
    if (lane == 0)
        asm volatile("st.shared.f32 [%0], %1;" ::"r"(scales + group * 4), "f"(s.back) : "memory");
#pragma unroll
    for (int j = 0; j < 4; j++) {
        uint32_t u[2], v[2];
        split(u[0], u[1], x[j].x * s.to, x[j].y * s.to);
        split(v[0], v[1], x[j].z * s.to, x[j].w * s.to);
        if (B_MN) {
            const int k = lane / 4 % 2 * 4 + lane / 8 + 8 * j, place = place_of<A_MN>(k);
            const uint32_t at = to + product_of<A_MN>(k) * shape::PRODUCT +
                                (2 * group + lane % 4 / 2) * shape::ALONG_MN + lane % 2 * 8 +
                                place / 8 * shape::ALONG_K + place % 8 * 16;
#pragma unroll
            for (int p = 0; p < 2; p++)
                asm volatile("st.shared.v2.b32 [%0], {%1,%2};" ::"r"(at + p * shape::PART),
                             "r"(u[p]), "r"(v[p])
                             : "memory");
        } else {
            const uint32_t at = to + lane % 2 * shape::PRODUCT +
                                (2 * group + j / 2) * shape::ALONG_MN +
                                (lane / 8 + j % 2 * 4) * 16 + lane % 8 / 2 * 4;
#pragma unroll
            for (int p = 0; p < 2; p++) {
                asm volatile("st.shared.b32 [%0], %1;" ::"r"(at + p * shape::PART), "r"(u[p])
                             : "memory");
                asm volatile("st.shared.b32 [%0], %1;" ::"r"(at + p * shape::PART + shape::ALONG_K),
                             "r"(v[p])
                             : "memory");
            }
        }
    }
}

/* Says once for a warp, after all its lanes have done their part. */
static __device__ __forceinline__ void warp_arrive(uint32_t bar)
{
    __syncwarp();
    if ((threadIdx.x & 31) == 0) barrier_arrive(bar);
}

/* A warp asks for the rounds of all that the block has to do, one after the other. It does nothing
 * else: a thread that also converted came too late with its questions. */
template <bool A_MN, bool B_MN, int N>
static __device__ __forceinline__ void ask(const single_args &g, const single_maps &maps,
                                           single_ring<round_shape<B_MN, N>> ring)
{
    typedef round_shape<B_MN, N> shape;
    if (elected()) {
        tensor_map_prefetch(&maps.a);
        tensor_map_prefetch(&maps.b);
    }
    for (single_work<N> w(g); w.some(g); w.next(g)) {
        for (int round = 0; round < w.rounds; round++) {
            const int k = w.k0 + STEP * round;
            const uint32_t bar = ring.came();
            if (ring.turn > 0) barrier_wait(ring.empty(), (ring.turn - 1) & 1);
            if (elected()) {
                barrier_expect(bar, shape::LEFT + shape::RIGHT);
                if (A_MN) {
#pragma unroll
                    for (int i = 0; i < ROWS / 32; i++)
                        tensor_copy(ring.left() + i * 32 * STEP * 4, &maps.a, w.row0 + 32 * i, k,
                                    bar);
                } else {
                    tensor_copy(ring.left(), &maps.a, k, w.row0, bar);
                }
                if (B_MN) {
#pragma unroll
                    for (int i = 0; i < N / 32; i++)
                        tensor_copy(ring.right() + i * 32 * STEP * 4, &maps.b, w.column0 + 32 * i,
                                    k, bar);
                } else {
                    tensor_copy(ring.right(), &maps.b, k, w.column0, bar);
                }
            }
            __syncwarp();
            ring.advance();
        }
    }
}

/* As many warps as a round has groups convert it; where those are half of all, every second one. */
template <bool A_MN, bool B_MN, int N>
static __device__ __forceinline__ void convert_all(const single_args &g,
                                                   single_ring<round_shape<B_MN, N>> ring)
{
    constexpr int GROUPS = N / GROUP, TEAMS = CONVERTERS / 32 / GROUPS;
    const int warp = (threadIdx.x - CONSUMERS) / 32, group = warp % GROUPS, team = warp / GROUPS;
    for (single_work<N> w(g); w.some(g); w.next(g)) {
        for (int round = 0; round < w.rounds; round++) {
            if (round % TEAMS == team) {
                /* Long so where operands have come; but what is written over was read by others. */
                if (ring.turn > 0) barrier_wait(ring.empty(), (ring.turn - 1) & 1);
                barrier_wait(ring.came(), ring.turn & 1);
                convert<A_MN, B_MN, N>(ring.right(), ring.parts(), ring.scales(), group);
                wgmma_publish();
                warp_arrive(ring.full());
            }
            ring.advance();
        }
    }
}

/* ---- those who multiply ------------------------------------------------------------------------
 */

/* A lane's part of a round of the left operand, as it is stored: for each product of 16 terms and
 * each of its words the two at neighbouring places. */
typedef struct left_raw {
    float2 x[2][4];
} left_raw;

/* The same in two parts, high and low. */
typedef struct left_words {
    uint32_t w[2][2][4];
} left_words;

/* Of its warp's 16 rows, rows g and g + 8 at the places 2t, 2t + 1, 2t + 8 and 2t + 9, in the order
 * of cuda_mma.cuh's words (g = lane / 4, t = lane % 4). MN: the operand's rows 2g and 2g + 1 take
 * the places of those two, so that neighbours travel together. `mine` comes from left_start. */
template <bool MN>
static __device__ __forceinline__ void load_left(left_raw &l, uint32_t from, uint2 mine)
{
#pragma unroll
    for (int s = 0; s < 2; s++) {
        if (MN) {
            const uint32_t at = from + s * 2048;
            const float2 v0 = load_shared2(at + mine.x), v1 = load_shared2(at + mine.y);
            const float2 v8 = load_shared2(at + mine.x + 1024),
                         v9 = load_shared2(at + mine.y + 1024);
            l.x[s][0] = make_float2(v0.x, v1.x), l.x[s][1] = make_float2(v0.y, v1.y);
            l.x[s][2] = make_float2(v8.x, v9.x), l.x[s][3] = make_float2(v8.y, v9.y);
        } else {
            const float4 u = load_shared4(from + (s ? mine.y : mine.x)),
                         v = load_shared4(from + (s ? mine.y : mine.x) + 1024);
            l.x[s][0] = make_float2(u.x, u.y), l.x[s][1] = make_float2(v.x, v.y);
            l.x[s][2] = make_float2(u.z, u.w), l.x[s][3] = make_float2(v.z, v.w);
        }
    }
}

/* Scales what was loaded, each row by itself; back: what the two rows are multiplied by in the end.
 */
static __device__ __forceinline__ void scale_left(left_raw &l, float (&back)[2])
{
#pragma unroll
    for (int i = 0; i < 2; i++) {
        auto two = [&](int s, int j) { return fmaxf(fabsf(l.x[s][j].x), fabsf(l.x[s][j].y)); };
        float most = fmaxf(fmaxf(two(0, i), two(0, i + 2)), fmaxf(two(1, i), two(1, i + 2)));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1)); /* the lanes of a row */
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        const scale s = scale_of(most);
        back[i] = s.back;
#pragma unroll
        for (int j = 0; j < 4; j++)
            l.x[j / 2][j % 2 * 2 + i].x *= s.to, l.x[j / 2][j % 2 * 2 + i].y *= s.to;
    }
}

static __device__ __forceinline__ void split_left(left_words &l, const left_raw &raw)
{
#pragma unroll
    for (int s = 0; s < 2; s++) {
#pragma unroll
        for (int i = 0; i < 4; i++) split(l.w[0][s][i], l.w[1][s][i], raw.x[s][i].x, raw.x[s][i].y);
    }
}

/* Where a lane's two pieces of every round stand: of row g; MN: of terms 2t and 2t + 1. Pieces of
 * 16 bytes of a row of a box stand at their place xor row % 8 (cuda_tma.cuh). */
template <bool MN> static __device__ __forceinline__ uint2 left_start()
{
    const int warp = threadIdx.x / 32, lane = threadIdx.x & 31, g = lane / 4, t = lane % 4;
    if (!MN) {
        const uint32_t row = (warp * 16 + g) * 128;
        return make_uint2(row + (2 * t ^ g) * 16, row + ((2 * t + 1) ^ g) * 16);
    }
    const uint32_t box = warp / 2 * 32 * STEP * 4 + g % 2 * 8;
    const int piece = warp % 2 * 4 + g / 2, k = 2 * t;
    return make_uint2(box + k * 128 + (piece ^ k) * 16,
                      box + (k + 1) * 128 + (piece ^ (k + 1)) * 16);
}

/* The products of one round, the small ones first; `b` is where the right operand's parts lie. */
template <typename SHAPE, bool B_MN, int N>
static __device__ __forceinline__ void multiply_round(float (&part)[N], const left_words &a,
                                                      uint32_t b)
{
    const uint64_t high = wgmma_descriptor(b, SHAPE::ALONG_K, SHAPE::ALONG_MN);
    const uint64_t low = high + SHAPE::PART / 16;
    constexpr int NEXT = SHAPE::PRODUCT / 16;
    wgmma_begin();
    wgmma_f16<true, B_MN>(part, a.w[1][0], high);
    wgmma_f16<false, B_MN>(part, a.w[1][1], high + NEXT);
    wgmma_f16<false, B_MN>(part, a.w[0][0], low);
    wgmma_f16<false, B_MN>(part, a.w[0][1], low + NEXT);
    wgmma_f16<false, B_MN>(part, a.w[0][0], high);
    wgmma_f16<false, B_MN>(part, a.w[0][1], high + NEXT);
    wgmma_commit();
}

/* sum += part, each by what its row and its group of columns were divided by. */
template <int N>
static __device__ __forceinline__ void add(float (&sum)[N], const float (&part)[N],
                                           const float (&rows)[2], uint32_t scales)
{
#pragma unroll
    for (int i = 0; i < N / 32; i++) {
        const float4 four = load_shared4(scales + 16 * i);
        const float columns[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int j = 0; j < 32; j++)
            sum[32 * i + j] =
                fmaf(part[32 * i + j], rows[j / 2 % 2] * columns[j / 8], sum[32 * i + j]);
    }
}

template <bool A_MN, bool B_MN, int N, nn_act ACT, bool LEARNS>
static __device__ __forceinline__ void consume(const single_args &g,
                                               single_ring<round_shape<B_MN, N>> ring)
{
    typedef round_shape<B_MN, N> shape;
    const uint2 mine = left_start<A_MN>();
    single_ring<shape> done = ring; /* the oldest round that is being multiplied */
    float sum[N / 2];
    left_raw raw;
    left_words left[2];
    float back[2][2];
    auto load = [&]() {
        barrier_wait(ring.came(), ring.turn & 1);
        load_left<A_MN>(raw, ring.left(), mine);
        ring.advance();
    };
    auto take = [&](int i) {
        scale_left(raw, back[i]);
        split_left(left[i], raw);
    };
    auto multiply = [&](float(&part)[N / 2], int i, const single_ring<shape> &at) {
        barrier_wait(at.full(), at.turn & 1);
        multiply_round<shape, B_MN>(part, left[i], at.parts());
    };
    auto finished = [&](float(&part)[N / 2], int i) {
        add(sum, part, back[i], done.scales());
        barrier_arrive(done.empty()); /* each lane for what it has read itself */
        done.advance();
    };
    for (single_work<N> w(g); w.some(g); w.next(g)) {
#pragma unroll
        for (int i = 0; i < N / 2; i++) sum[i] = 0.f;
        load();
        take(0);
        if constexpr (N == 128) { /* one warpgroup adds while the other's products are made */
            float part[N / 2];
            for (int round = 0; round < w.rounds; round += 2) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    multiply(part, i, done);
                    /* With i = 0 always so, but a branch keeps work on its side of the wait. */
                    if (round + i + 1 < w.rounds) load(), take(1 - i);
                    wgmma_wait<0>(part, left[i].w);
                    finished(part, i);
                }
            }
        } else { /* and here also while its own of the next round are, whose operand came before */
            float part[2][N / 2];
            for (int round = 0; round < w.rounds; round += 2) {
                const bool more = round + 2 < w.rounds;
                single_ring<shape> after = done;
                after.advance();
                load();
                multiply(part[0], 0, done);
                if (round + 1 < w.rounds) take(1); /* always so, as above */
                if (more) load();
                multiply(part[1], 1, after);
                wgmma_wait<1>(part[0], left[0].w);
                finished(part[0], 0);
                if (more) take(0);
                wgmma_wait<0>(part[1], left[1].w);
                finished(part[1], 1);
            }
        }
        finish_args to = g.to;
        to.c += w.split * to.m * to.n; /* splits stand one behind the other */
        finish<N, ACT, LEARNS, A_MN, 4>(sum, to, w.row0 + threadIdx.x / 128 * 64, w.column0);
    }
}

/* Blocks, one for each multiprocessor at most, compute ROWS x N tiles of op(a) op(b), or the parts
 * of their sums that belong to splits. In each, one thread has operands copied to shared memory,
 * two warpgroups make fp16 of the right one there, and two take the left one to their registers,
 * split it, and multiply; so that converting, adding and the tensor cores' work go on at the same
 * time. Moves a and b once for every tile that needs them (from L2 after the first), the result out
 * once. What its time goes to is in tests/perf/results/omnime_bounds.md. */
template <bool A_MN, bool B_MN, int N, nn_act ACT, bool LEARNS>
static __global__ void __launch_bounds__(CONSUMERS + CONVERTERS + ASKERS, 1)
    gemm_single_kernel(const __grid_constant__ single_maps maps,
                       const __grid_constant__ single_args g)
{
    nn_cuda_begin();
    typedef single_ring<round_shape<B_MN, N>> ring_of;
    extern __shared__ char shared[];
    /* Swizzled boxes begin at multiples of 1024. */
    ring_of ring = {(shared_address(shared) + 1023) & ~1023u, 0, 0};
    if (threadIdx.x == 0) {
        for (ring_of r = ring; r.turn == 0; r.advance()) {
            barrier_init(r.came(), 1);
            barrier_init(r.full(), N / GROUP);
            barrier_init(r.empty(), CONSUMERS);
        }
        barrier_init_done();
    }
    __syncthreads();
    if (threadIdx.x < CONSUMERS) {
        more_registers<CONSUMER_REGISTERS>();
        consume<A_MN, B_MN, N, ACT, LEARNS>(g, ring);
    } else if (threadIdx.x < CONSUMERS + CONVERTERS) {
        fewer_registers<CONVERTER_REGISTERS>();
        convert_all<A_MN, B_MN, N>(g, ring);
    } else {
        fewer_registers<ASKER_REGISTERS>();
        if (threadIdx.x < CONSUMERS + CONVERTERS + 32) ask<A_MN, B_MN, N>(g, maps, ring);
    }
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
    if (accumulate != 0.f) accumulate4(sum, scaled4(load4(c + i), accumulate));
    store4(c + i, sum);
}

/* ---- which kernel ------------------------------------------------------------------------------
 */

static int64_t tiles_of(const single_args *g, int columns)
{
    return nn_cuda_ceil_div(g->to.m, ROWS) * nn_cuda_ceil_div(g->to.n, columns);
}

/* How many tiles or splits the busiest multiprocessor has. */
static int64_t turns_of(const nn_cuda *cu, const single_args *g, int columns)
{
    return nn_cuda_ceil_div(tiles_of(g, columns) * g->splits, cu->multiprocessors);
}

/* What a product needs besides its arguments. */
typedef struct single_call {
    const float *a, *b;
    single_args args;
    bool described; /* false: the driver made no tensor map, and nothing was launched */
} single_call;

template <bool A_MN, bool B_MN, int N, nn_act ACT, bool LEARNS>
static void run_tiles(nn_cuda *cu, single_call *call)
{
    constexpr int BYTES = round_shape<B_MN, N>::BYTES + 1024;
    auto kernel = gemm_single_kernel<A_MN, B_MN, N, ACT, LEARNS>;
    single_args *g = &call->args;
    single_maps maps;
    const int64_t m = g->to.m, n = g->to.n, k = g->k;
    auto describe = [=](CUtensorMap *map, const float *p, int64_t rows, int64_t columns,
                        int box_rows, int box_columns) {
        return nn_cuda_tensor_map(cu, map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, p, rows, columns,
                                  box_rows, box_columns, CU_TENSOR_MAP_SWIZZLE_128B);
    };
    call->described = (A_MN ? describe(&maps.a, call->a, k, m, STEP, 32)
                            : describe(&maps.a, call->a, m, k, ROWS, STEP)) &&
                      (B_MN ? describe(&maps.b, call->b, k, n, STEP, 32)
                            : describe(&maps.b, call->b, n, k, N, STEP));
    if (!call->described) return;
    nn_cuda_check(cu,
                  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES),
                  "shared memory of gemm_single_kernel");
    g->tiles_n = (int)nn_cuda_ceil_div(n, N);
    g->tiles = (int)tiles_of(g, N);
    const unsigned blocks =
        (unsigned)nn_cuda_min((int64_t)g->tiles * g->splits, (int64_t)cu->multiprocessors);
    nn_cuda_launch(cu, "gemm_single_kernel", kernel, blocks, CONSUMERS + CONVERTERS + ASKERS, BYTES,
                   maps, *g);
}

/* A round of a narrow tile takes 0.6 of the time that one of a wide tile takes. */
template <bool A_MN, bool B_MN, nn_act ACT, bool LEARNS>
static void run(nn_cuda *cu, single_call *call)
{
    if (0.6 * (double)turns_of(cu, &call->args, 64) < (double)turns_of(cu, &call->args, 128))
        run_tiles<A_MN, B_MN, 64, ACT, LEARNS>(cu, call);
    else
        run_tiles<A_MN, B_MN, 128, ACT, LEARNS>(cu, call);
}

/* act(x w^T + b); false for an activation that is not compiled in. */
static bool run_forward(nn_cuda *cu, single_call *call, nn_act act)
{
    const bool learns = call->args.to.slope || call->args.to.drop.p > 0.f;
#define X(value)                                                                                   \
    case value:                                                                                    \
        if (learns)                                                                                \
            run<false, false, value, true>(cu, call);                                              \
        else                                                                                       \
            run<false, false, value, false>(cu, call);                                             \
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

/* Splits the sums so that there is a tile for every multiprocessor and their results fit in the
 * workspace. */
static void split_sums(const nn_cuda *cu, single_args *g)
{
    const int64_t bytes = g->to.m * g->to.n * (int64_t)sizeof(float);
    int64_t splits = nn_cuda_min(cu->multiprocessors / tiles_of(g, 128), g->k / (4 * STEP));
    splits = nn_cuda_min(nn_cuda_min(splits, MOST_SPLITS), (int64_t)NN_CUDA_WORKSPACE / bytes);
    if (splits < 2) return;
    g->k_split = nn_cuda_ceil_div(nn_cuda_ceil_div(g->k, splits), 2 * STEP) * 2 * STEP;
    g->splits = (int)nn_cuda_ceil_div(g->k, g->k_split);
}

/* dw = dy^T x: both operands are stored with k as their rows. */
static void run_weight_gradient(nn_cuda *cu, single_call *call)
{
    single_args *g = &call->args;
    float *c = g->to.c;
    const float accumulate = g->to.accumulate;
    const int64_t n = g->to.m * g->to.n;
    split_sums(cu, g);
    if (g->splits > 1) {
        g->to.c = (float *)cu->workspace;
        g->to.accumulate = 0.f;
    }
    run<true, true, NN_ACT_NONE, false>(cu, call);
    if (g->splits == 1 || !call->described) return;
    nn_cuda_launch(cu, "add_splits_kernel", add_splits_kernel, (unsigned)nn_cuda_ceil_div(n, 1024),
                   256, 0, c, g->to.c, g->splits, n, accumulate);
}

bool nn_cuda_gemm_single(nn_cuda *cu, const nn_gemm_args *g)
{
    const int64_t a_columns = g->trans_a ? g->m : g->k, b_columns = g->trans_b ? g->k : g->n;
    if (!cu->wgmma || g->dtype != NN_F32 || g->c_dtype != NN_F32 || g->precision == NN_TF32 ||
        g->k == 0 || g->n % 4 || a_columns % 4 || b_columns % 4 || g->m > INT_MAX / 2 ||
        g->n > INT_MAX / 2 || g->k > INT_MAX / 2 || !nn_cuda_vec4(g->a, NN_F32) ||
        !nn_cuda_vec4(g->b, NN_F32) || !nn_cuda_vec4(g->c, NN_F32) ||
        !nn_cuda_vec4(g->slope, NN_F32) || !nn_cuda_vec4(g->bias, NN_F32))
        return false;
    single_call call = {};
    single_args *args = &call.args;
    call.a = (const float *)g->a;
    call.b = (const float *)g->b;
    args->k = g->k;
    args->k_split = g->k;
    args->splits = 1;
    args->to.bias = (const float *)g->bias;
    args->to.c = (float *)g->c;
    args->to.slope = (float *)g->slope;
    args->to.m = g->m;
    args->to.n = g->n;
    args->to.accumulate = g->accumulate;
    args->to.drop = g->drop;
    if (tiles_of(args, 64) > INT_MAX / MOST_SPLITS) return false;
    if (!g->trans_a && g->trans_b) return run_forward(cu, &call, g->act) && call.described;
    if (g->act != NN_ACT_NONE || g->drop.p > 0.f || g->slope || g->bias) return false;
    if (g->trans_a && g->trans_b) return false;
    if (g->trans_a)
        run_weight_gradient(cu, &call);
    else
        run<false, true, NN_ACT_NONE, false>(cu, &call);
    return call.described;
}
