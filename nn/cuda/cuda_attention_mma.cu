/* nn/cuda/cuda_attention_mma.cu: attention on the tensor cores, for bf16 tensors, for f32 tensors
 * under tf32 (operands rounded to 10 bits of mantissa; sums, maxima and exponents stay f32), and
 * for f32 tensors in single precision.
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
 *
 * The backward is one kernel. A block owns one head of one sequence and takes 128 keys at a time:
 * it walks over the queries, computes scores transposed (keys are rows) and adds up dk and dv in
 * registers; dq of a tile of queries is the product of all the warps' gradients of scores, which
 * meet in shared memory. Sequences of more than 128 keys take several rounds; dq waits in f32 in
 * memory in between. Every sum runs over keys or queries in ascending order and starts where
 * the round before stopped, so its bits depend on its sequence alone.
 */
#include "nn/cuda/cuda_attention.cuh"
#include "nn/cuda/cuda_parts.cuh"

#include <type_traits>

#define WARPS 8
#define THREADS (32 * WARPS)
#define OWN (16 * WARPS) /* rows of a block: queries forward, keys backward */
#define KEYS 64          /* of a tile of the forward */
#define MOST_SUMS ((size_t)256 << 20)
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

/* ---- forward -----------------------------------------------------------------------------------
 */

/* What a warp knows of its 16 queries. */
template <int HD> struct forward_rows {
    float o[HD / 8][4], top[2], sum[2];
};

/* keep[i] bit 4n + j: the weight of query g + 8i and key 8n + 2t + j of 16 CHUNKS keys survives.
 * One philox block holds four neighbouring keys of a query, so of 16 queries by 8 keys each lane
 * draws one block; lanes t and t ^ 1 share the two that they want. */
template <int CHUNKS>
static __device__ __forceinline__ void draw_forward(uint32_t (&keep)[2], const nn_attention_args &p,
                                                    const attention_head &h, int query, int key)
{
    int lane = threadIdx.x & 31, t = lane & 3;
    uint32_t threshold = dropout_threshold(p.dropout), mine = 0;
    uint64_t block = attention_block(p, h, query + (lane >> 2) + 8 * (t & 1), key + 4 * (t >> 1));
#pragma unroll
    for (int n = 0; n < 2 * CHUNKS; n++) {
        mine |= kept_four(philox(h.seed, p.site, block + 2 * n), threshold) << 4 * n;
    }
    uint32_t other = __shfl_xor_sync(0xffffffffu, mine, 1);
    keep[0] = t & 1 ? other >> 2 : mine;
    keep[1] = t & 1 ? mine >> 2 : other;
}

/* 16 CHUNKS keys; `seen` has a bit for each key that exists and is not hidden,
 * `first` and `from` are the warp's first query and the first key. */
template <typename T, int HD, int CHUNKS>
static __device__ __forceinline__ void attend(forward_rows<HD> &w, const T *q, const T *k,
                                              const T *v, uint64_t seen, const nn_attention_args &p,
                                              const attention_head &h, int first, int from)
{
    constexpr int LD = tile<T, HD>::LD;
    int g = (int)(threadIdx.x & 31) >> 2, t = threadIdx.x & 3;
    uint32_t keep[2] = {0, 0}; /* drawn while few registers are in use */
    if (p.dropout > 0.f) draw_forward<CHUNKS>(keep, p, h, first, from);
    float s[2 * CHUNKS][4] = {}, scale = p.scale * LOG2E;
    uint32_t q_row = left_row(q, LD), k_row = right_row(k, LD);
    const score_powers<T, HD, CHUNKS> powers(q, k);
#pragma unroll
    for (int step = 0; step < tile<T, HD>::STEPS; step++)
        score<T, HD, CHUNKS>(s, q_row, k_row, step, powers);
    if (p.causal || ~seen << (64 - 16 * CHUNKS)) {
        seen >>= 2 * t;
#pragma unroll
        for (int n = 0; n < 2 * CHUNKS; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                bool visible = seen >> (8 * n + (e & 1)) & 1;
                bool before = from + 8 * n + 2 * t + (e & 1) <= first + g + 8 * (e >> 1);
                if (!visible || (p.causal && !before)) s[n][e] = -INFINITY;
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float most = w.top[i], sum = 0.f;
#pragma unroll
        for (int n = 0; n < 2 * CHUNKS; n++)
            most = fmaxf(most, fmaxf(s[n][2 * i], s[n][2 * i + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        float base = most == -INFINITY ? 0.f : most * scale; /* nothing visible so far: weights 0 */
        float shrink = fast_exp2(fmaf(w.top[i], scale, -base));
        w.top[i] = most;
#pragma unroll
        for (int n = 0; n < 2 * CHUNKS; n++) {
            s[n][2 * i] = fast_exp2(fmaf(s[n][2 * i], scale, -base));
            s[n][2 * i + 1] = fast_exp2(fmaf(s[n][2 * i + 1], scale, -base));
            sum += s[n][2 * i] + s[n][2 * i + 1];
        }
        w.sum[i] = fmaf(w.sum[i], shrink, sum);
#pragma unroll
        for (int m = 0; m < HD / 8; m++) {
            w.o[m][2 * i] *= shrink;
            w.o[m][2 * i + 1] *= shrink;
        }
    }
    if (p.dropout > 0.f) {
#pragma unroll
        for (int n = 0; n < 2 * CHUNKS; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                s[n][e] = keep[e >> 1] & 1u << (4 * n + (e & 1)) ? s[n][e] : 0.f;
            }
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) weigh<HD>(w.o, s[2 * c], s[2 * c + 1], v + 16 * c * LD);
}

template <typename T, int HD>
static __device__ __forceinline__ void
attend_tile(forward_rows<HD> &w, const T *q, const T *k, const T *v, uint64_t seen,
            const nn_attention_args &p, const attention_head &h, int first, int from)
{
#pragma unroll 1
    for (int at = 0; at < KEYS && from + at < h.nk; at += 32) {
        const T *k_at = k + at * tile<T, HD>::LD, *v_at = v + at * tile<T, HD>::LD;
        if (from + at + 16 < h.nk)
            attend<T, HD, 2>(w, q, k_at, v_at, seen >> at, p, h, first, from + at);
        else
            attend<T, HD, 1>(w, q, k_at, v_at, seen >> at, p, h, first, from + at);
    }
}

/* Grid: (sequences * heads, ceil(longest_q / 128)). Moves q once, k and v once for every 128
 * queries, out once. */
template <typename T, int HD>
static __global__ void __launch_bounds__(THREADS, tile<T, HD>::FORWARD_BLOCKS)
    attention_fwd_mma_kernel(nn_attention_args p)
{
    nn_cuda_begin();
    constexpr int LD = tile<T, HD>::LD, SIZE = KEYS * LD;
    extern __shared__ float4 shared_raw[];
    __shared__ uint32_t seen_all[2][2];
    T *q = (T *)shared_raw, *kv = q + OWN * LD;
    attention_head h = find_head(p, blockIdx.x);
    int first = (int)blockIdx.y * OWN, rows = min(OWN, h.nq - first);
    if (rows <= 0) return;
    int warp = (int)threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2;
    bool working = 16 * warp < rows; /* this warp has rows of its own */
    int64_t column = (int64_t)h.head * p.head_dim;
    auto start_keys = [&](int from, int buffer) {
        int live = min(KEYS, h.nk - from);
        int64_t at = (h.k_from + from) * p.kv_stride + column;
        T *k = kv + 2 * buffer * SIZE;
        copy_rows<T, HD, KEYS, THREADS>(k, (const T *)p.k + at, p.kv_stride, live, p.head_dim);
        copy_rows<T, HD, KEYS, THREADS>(k + SIZE, (const T *)p.v + at, p.kv_stride, live,
                                        p.head_dim);
        if (threadIdx.x < KEYS) {
            uint32_t bits = __ballot_sync(0xffffffffu, key_seen(p, h, from + (int)threadIdx.x));
            if (lane == 0) seen_all[buffer][warp] = bits;
        }
    };
    copy_rows<T, HD, OWN, THREADS>(q, (const T *)p.q + (h.q_from + first) * p.q_stride + column,
                                   p.q_stride, rows, p.head_dim);
    forward_rows<HD> w;
    w.top[0] = w.top[1] = -INFINITY;
    w.sum[0] = w.sum[1] = 0.f;
#pragma unroll
    for (int m = 0; m < HD / 8; m++) w.o[m][0] = w.o[m][1] = w.o[m][2] = w.o[m][3] = 0.f;
    int end = p.causal ? min(h.nk, first + OWN) : h.nk;
    for (int from = 0; from < min(end, 2 * KEYS); from += KEYS) {
        start_keys(from, from / KEYS);
        close_copies();
    }
    for (int from = 0; from < end; from += KEYS) {
        int buffer = from / KEYS % 2;
        T *k = kv + 2 * buffer * SIZE, *v = k + SIZE;
        if (from + KEYS < end)
            wait_copies<1>();
        else
            wait_copies<0>();
        meet_before_finish<T>();
        if (from == 0) finish_rows<T, HD, OWN>(q);
        finish_rows<T, HD, 2 * KEYS>(k); /* and v */
        __syncthreads();
        if (working) {
            uint64_t seen = seen_all[buffer][0] | (uint64_t)seen_all[buffer][1] << 32;
            attend_tile<T, HD>(w, q + 16 * warp * LD, k, v, seen, p, h, first + 16 * warp, from);
        }
        if (from + 2 * KEYS < end) {
            __syncthreads(); /* everyone is done with the tile whose place the next one takes */
            start_keys(from + 2 * KEYS, buffer);
            close_copies();
        }
    }
    if (!working) return;
    float by[2], kept = 1.f / (1.f - p.dropout);
    int64_t width = (int64_t)p.heads * p.head_dim, row0 = h.q_from + first + 16 * warp;
    rows -= 16 * warp;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float sum = w.sum[i] + __shfl_xor_sync(0xffffffffu, w.sum[i], 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        by[i] = sum > 0.f ? kept / sum : 0.f;
        if (p.lse && (lane & 3) == 0 && g + 8 * i < rows) {
            p.lse[(int64_t)h.head * p.tokens_q + row0 + g + 8 * i] =
                sum > 0.f ? w.top[i] * p.scale + logf(sum) : 0.f;
        }
    }
    store_rows<T, HD>((T *)p.out + row0 * width + column, w.o, width, rows, p.head_dim, by[0],
                      by[1]);
}

/* ---- backward ----------------------------------------------------------------------------------
 */

/* The same bits transposed: keep[e] bit 4n for key g + 8 (e / 2) of the warp's 16 and query
 * 8n + 2t + e % 2. Of 16 keys by 8 queries each lane draws one block; the four lanes of equal g / 4
 * and t share theirs, one bit of each of which is the lane's. */
template <int CHUNKS>
static __device__ __forceinline__ void draw_backward(uint32_t (&keep)[4],
                                                     const nn_attention_args &p,
                                                     const attention_head &h, int query, int key)
{
    int lane = threadIdx.x & 31, j = lane >> 2 & 3;
    uint32_t threshold = dropout_threshold(p.dropout), mine = 0;
    uint64_t block = attention_block(p, h, query + 2 * (lane & 3) + (j & 1),
                                     key + 4 * (lane >> 4) + 8 * (j >> 1));
#pragma unroll 2
    for (int n = 0; n < 2 * CHUNKS; n++) {
        uint4 four = philox(h.seed, p.site, block + (uint64_t)n * 8 * attention_blocks(p));
        mine |= kept_four(four, threshold) << 4 * n;
    }
#pragma unroll
    for (int e = 0; e < 4; e++) {
        keep[e] = __shfl_sync(0xffffffffu, mine, (lane & ~12) | e << 2) >> j;
    }
}

/* One tile of queries in shared memory. */
template <typename T> struct query_tile {
    const T *q, *dout;
    const float *lse, *delta;
};

template <int HD> struct backward_rows {
    float dk[HD / 8][4], dv[HD / 8][4];
    bool seen[2]; /* keys g and g + 8 */
};

/* A warp's dS of 16 keys by 16 queries, from `at` of the tile on, as a left operand and in
 * `scores`, rows of high parts and then low ones as in other tiles. Behind the first row stands
 * what each 16 queries are multiplied by, which is returned. */
template <int HD>
static __device__ __forceinline__ float
split_scores(split_left &a, single *scores, const float (&x)[4], const float (&y)[4], int at)
{
    constexpr int QUERIES = tile<single, HD>::QUERIES, LD = tile<single, HD>::SCORES_LD;
    const float4 all[2] = {make_float4(x[0], x[1], x[2], x[3]),
                           make_float4(y[0], y[1], y[2], y[3])};
    const int lane = threadIdx.x & 31;
    const scale s = warp_scale(all);
    split_results(a, x, y, s.to);
    uint32_t *word = (uint32_t *)(scores + lane / 4 * LD) + at / 2 + lane % 4;
#pragma unroll
    for (int i = 0; i < 4; i++) { /* rows g and g + 8 of 8 queries and 8 more */
        uint32_t *to = word + i % 2 * 8 * LD + i / 2 * 4;
        to[0] = a.high[i];
        to[QUERIES / 2] = a.low[i];
    }
    if (lane == 0) scores[QUERIES + at / 16].value = s.back;
    return s.back;
}

/* The warp's 16 keys k and v against 16 CHUNKS queries, from `at` of the tile on: adds to dk and dv
 * and leaves dS, transposed, in `scores`. `key` and `query` are the first ones' numbers. */
template <typename T, int HD, int CHUNKS>
static __device__ __forceinline__ void
attend_back(backward_rows<HD> &w, T *scores, const T *k, const T *v, query_tile<T> tile_q, int at,
            const nn_attention_args &p, const attention_head &h, int key, int query)
{
    constexpr int LD = tile<T, HD>::LD;
    int g = (int)(threadIdx.x & 31) >> 2, t = threadIdx.x & 3;
    uint32_t keep[4] = {~0u, ~0u, ~0u, ~0u}; /* drawn while few registers are in use */
    if (p.dropout > 0.f) draw_backward<CHUNKS>(keep, p, h, query, key);
    float s[2 * CHUNKS][4] = {}, d[2 * CHUNKS][4] = {}, scale = p.scale * LOG2E;
    uint32_t k_row = left_row(k, LD), v_row = left_row(v, LD);
    uint32_t q_row = right_row(tile_q.q + at * LD, LD),
             o_row = right_row(tile_q.dout + at * LD, LD);
    const score_powers<T, HD, CHUNKS> of_s(k, tile_q.q + at * LD), of_d(v, tile_q.dout + at * LD);
#pragma unroll
    for (int step = 0; step < tile<T, HD>::STEPS; step++) {
        score<T, HD, CHUNKS>(s, k_row, q_row, step, of_s);
        score<T, HD, CHUNKS>(d, v_row, o_row, step, of_d);
    }
    float kept = 1.f / (1.f - p.dropout);
#pragma unroll
    for (int n = 0; n < 2 * CHUNKS; n++) {
        int column = at + 8 * n + 2 * t;
        float2 lse = *reinterpret_cast<const float2 *>(tile_q.lse + column);
        float2 delta = *reinterpret_cast<const float2 *>(tile_q.delta + column);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            bool visible = w.seen[e >> 1];
            if (p.causal)
                visible = visible && key + g + 8 * (e >> 1) <= query + 8 * n + 2 * t + (e & 1);
            float weight = fast_exp2(fmaf(s[n][e], scale, (e & 1 ? lse.y : lse.x) * -LOG2E));
            weight = visible ? weight : 0.f;
            bool stays = keep[e] & 1u << 4 * n;
            s[n][e] = stays ? weight : 0.f;
            d[n][e] = weight * fmaf(d[n][e], stays ? kept : 0.f, -(e & 1 ? delta.y : delta.x));
        }
        if constexpr (!IS_SINGLE<T>) {
            T *to = scores + g * tile<T, HD>::SCORES_LD + at + 8 * n + 2 * t;
            if constexpr (IS_TF32<T>) {
#pragma unroll
                for (int e = 0; e < 4; e++) d[n][e] = to_tf32(d[n][e]);
            }
            store2(to, d[n][0], d[n][1]);
            store2(to + 8 * tile<T, HD>::SCORES_LD, d[n][2], d[n][3]);
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        const T *dout = tile_q.dout + (at + 16 * c) * LD, *q = tile_q.q + (at + 16 * c) * LD;
        weigh<HD>(w.dv, s[2 * c], s[2 * c + 1], dout);
        if constexpr (IS_SINGLE<T>) {
            split_left a;
            float back = split_scores<HD>(a, scores, d[2 * c], d[2 * c + 1], at + 16 * c);
            spread<HD, HD>(w.dk, a, q, 0, back * back_of<HD>(q));
        } else {
            weigh<HD>(w.dk, d[2 * c], d[2 * c + 1], q);
        }
    }
}

/* dq (16 x COLUMNS) += dS K over 16 keys: of the columns of `scores`, which hold dS transposed, 16
 * from `at` on, and of those of k COLUMNS from `column` on. */
template <int HD, int COLUMNS>
static __device__ __forceinline__ void add_queries(float (&dq)[COLUMNS / 8][4], const bf16 *scores,
                                                   int at, const bf16 *k, int column)
{
    uint32_t a[4];
    ldmatrix4_trans(a, right_row(scores + at, tile<bf16, HD>::SCORES_LD));
    spread<COLUMNS>(dq, a, k + column, tile<bf16, HD>::LD);
}

template <int HD, int COLUMNS>
static __device__ __forceinline__ void add_queries(float (&dq)[COLUMNS / 8][4], const float *scores,
                                                   int at, const float *k, int column)
{
    constexpr int LD = tile<float, HD>::SCORES_LD;
    int g = (int)(threadIdx.x & 31) >> 2, t = threadIdx.x & 3;
    scores += at, k += column;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const float *even = scores + (8 * half + 2 * t) * LD + g, *odd = even + LD;
        uint32_t a[4] = {__float_as_uint(even[0]), __float_as_uint(even[8]),
                         __float_as_uint(odd[0]), __float_as_uint(odd[8])};
        spread<COLUMNS>(dq, a, k + 8 * half * tile<float, HD>::LD, tile<float, HD>::LD);
    }
}

template <int HD, int COLUMNS>
static __device__ __forceinline__ void
add_queries(float (&dq)[COLUMNS / 8][4], const single *scores, int at, const single *k, int column)
{
    constexpr int QUERIES = tile<single, HD>::QUERIES;
    uint32_t row = right_row(scores, tile<single, HD>::SCORES_LD) + 2 * at;
    split_left a;
    ldmatrix4_trans(a.high, row);
    ldmatrix4_trans(a.low, row + 2 * QUERIES);
    spread<HD, COLUMNS>(dq, a, k, column, scores[QUERIES + at / 16].value * back_of<HD>(k));
}

/* p.delta of the sequence's queries: the dot product of their rows of dout and out, which the
 * gradient of softmax subtracts. A row is HD / PER lanes' work and a thread has four rows on their
 * way. The first two tiles' also go where the tiles' statistics lie (zeros past the end). */
template <typename T, int HD>
static __device__ __forceinline__ void fill_delta(float *statistics, const nn_attention_args &p,
                                                  const attention_head &h)
{
    constexpr int PER = tile<T, HD>::PER, LANES = HD / PER, QUERIES = tile<T, HD>::QUERIES;
    constexpr int PASS = THREADS / LANES, FLIGHT = 4;
    int64_t width = (int64_t)p.heads * p.head_dim, column = (int64_t)h.head * p.head_dim;
    int c = (int)threadIdx.x % LANES * PER, mine = (int)threadIdx.x / LANES;
    for (int from = 0; from < max(h.nq, 2 * QUERIES); from += FLIGHT * PASS) {
        uint4 a[FLIGHT], b[FLIGHT];
#pragma unroll
        for (int i = 0; i < FLIGHT; i++) {
            int row = from + i * PASS + mine;
            int64_t at = (h.q_from + row) * width + column + c;
            a[i] = b[i] = make_uint4(0, 0, 0, 0);
            if (row >= h.nq || c >= p.head_dim) continue;
            a[i] = *reinterpret_cast<const uint4 *>((const T *)p.dout + at);
            b[i] = *reinterpret_cast<const uint4 *>((const T *)p.out + at);
        }
#pragma unroll
        for (int i = 0; i < FLIGHT; i++) {
            const T *x = reinterpret_cast<const T *>(&a[i]),
                    *y = reinterpret_cast<const T *>(&b[i]);
            int row = from + i * PASS + mine;
            float sum = 0.f;
#pragma unroll
            for (int e = 0; e < PER; e++) sum = fmaf(load1(x + e), load1(y + e), sum);
#pragma unroll
            for (int step = LANES / 2; step > 0; step >>= 1) {
                sum += __shfl_xor_sync(0xffffffffu, sum, step);
            }
            if (c > 0) continue;
            if (row < h.nq) p.delta[(int64_t)h.head * p.tokens_q + h.q_from + row] = sum;
            if (row < 2 * QUERIES)
                statistics[(2 * (row / QUERIES) + 1) * QUERIES + row % QUERIES] = sum;
        }
    }
}

/* What a gradient of scores is multiplied by. A single key has the weight 1 whatever its score, but
 * two roundings of the same sum would not cancel. */
static __device__ __forceinline__ float score_scale(const nn_attention_args &p,
                                                    const attention_head &h)
{
    return h.nk == 1 ? 0.f : p.scale;
}

/* dq of a tile: the warp's 16 rows and columns, from memory (`sums`, in the order of the
 * threads) unless this is the first round, to there or, in the last, to dq. */
template <typename T, int HD>
static __device__ __forceinline__ void
finish_queries(const nn_attention_args &p, const attention_head &h, float4 *sums, const T *scores,
               const T *k, int keys, int from, bool start, bool last)
{
    constexpr int COLUMNS = tile<T, HD>::QUERY_COLUMNS, ROWS = tile<T, HD>::QUERIES / 16;
    int warp = (int)threadIdx.x >> 5, at = warp % ROWS * 16, column = warp / ROWS * COLUMNS;
    if (from + at >= h.nq) return;
    float dq[COLUMNS / 8][4];
#pragma unroll
    for (int m = 0; m < COLUMNS / 8; m++) {
        float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
        if (!start) v = sums[m * THREADS + threadIdx.x];
        dq[m][0] = v.x, dq[m][1] = v.y, dq[m][2] = v.z, dq[m][3] = v.w;
    }
#pragma unroll 2
    for (int c = 0; c < keys; c += 16) {
        add_queries<HD, COLUMNS>(dq, scores + c * tile<T, HD>::SCORES_LD, at,
                                 k + c * tile<T, HD>::LD, column);
    }
    if (!last) {
#pragma unroll
        for (int m = 0; m < COLUMNS / 8; m++) {
            sums[m * THREADS + threadIdx.x] = make_float4(dq[m][0], dq[m][1], dq[m][2], dq[m][3]);
        }
        return;
    }
    int64_t to = (h.q_from + from + at) * p.q_stride + (int64_t)h.head * p.head_dim + column;
    store_rows<T, COLUMNS>((T *)p.dq + to, dq, p.q_stride, h.nq - from - at, p.head_dim - column,
                           score_scale(p, h), score_scale(p, h));
}

/* Grid: heads of sequences, from `unit` on. `sums` holds, for each block, the dq of longest_q
 * queries, where there are more than 128 keys. */
template <typename T, int HD>
static __global__ void __launch_bounds__(THREADS, tile<T, HD>::BACKWARD_BLOCKS)
    attention_bwd_mma_kernel(nn_attention_args p, int64_t unit, float4 *sums, int64_t sums_stride)
{
    nn_cuda_begin();
    constexpr int LD = tile<T, HD>::LD, QUERIES = tile<T, HD>::QUERIES;
    constexpr int SCORES = OWN * tile<T, HD>::SCORES_LD, SUMS = HD * QUERIES / 4;
    extern __shared__ float4 shared_raw[];
    T *k = (T *)shared_raw, *v = k + OWN * LD, *queries = v + OWN * LD;
    T *scores_all = queries + 4 * QUERIES * LD;
    float *statistics = (float *)(scores_all + tile<T, HD>::SCORE_TILES * SCORES);
    __shared__ attention_head h; /* not in registers, which are scarce */
    if (threadIdx.x == 0) h = find_head(p, unit + blockIdx.x);
    __syncthreads();
    int warp = (int)threadIdx.x >> 5, g = (int)(threadIdx.x & 31) >> 2;
    int64_t column = (int64_t)h.head * p.head_dim, width = (int64_t)p.heads * p.head_dim;
    auto start_queries = [&](int from) {
        T *q = queries + from / QUERIES % 2 * 2 * QUERIES * LD;
        int live = min(QUERIES, h.nq - from);
        int64_t row = h.q_from + from;
        copy_rows<T, HD, QUERIES, THREADS>(q, (const T *)p.q + row * p.q_stride + column,
                                           p.q_stride, live, p.head_dim);
        copy_rows<T, HD, QUERIES, THREADS>(
            q + QUERIES * LD, (const T *)p.dout + row * width + column, width, live, p.head_dim);
    };
    auto start_statistics = [&](int from, bool delta) {
        float *to = statistics + from / QUERIES % 2 * 2 * QUERIES;
        int r = (int)threadIdx.x % QUERIES;
        if ((int)threadIdx.x >= (delta ? 2 : 1) * QUERIES) return;
        const float *all = (int)threadIdx.x < QUERIES ? p.lse : p.delta;
        int64_t at = (int64_t)h.head * p.tokens_q + h.q_from + from;
        bool there = from + r < h.nq;
        copy_async<4>(shared_address(to + threadIdx.x), there ? all + at + r : all, there);
    };
    for (int first = 0; first == 0 || first < h.nk; first += OWN) {
        int live = min(OWN, h.nk - first), begin = p.causal ? first : 0;
        int64_t keys = (h.k_from + first) * p.kv_stride + column;
        if (first > 0) __syncthreads(); /* everyone is done with the tiles */
        copy_rows<T, HD, OWN, THREADS>(k, (const T *)p.k + keys, p.kv_stride, live, p.head_dim);
        copy_rows<T, HD, OWN, THREADS>(v, (const T *)p.v + keys, p.kv_stride, live, p.head_dim);
        if (begin < h.nq) {
            start_queries(begin);
            start_statistics(begin, first > 0);
        }
        if (first == 0) fill_delta<T, HD>(statistics, p, h);
        backward_rows<HD> w;
#pragma unroll
        for (int m = 0; m < HD / 8; m++) {
#pragma unroll
            for (int e = 0; e < 4; e++) w.dk[m][e] = w.dv[m][e] = 0.f;
        }
        int key = first + 16 * warp;
        w.seen[0] = key_seen(p, h, key + g);
        w.seen[1] = key_seen(p, h, key + g + 8);
        wait_copies<0>();
        meet_before_finish<T>();
        finish_rows<T, HD, OWN>(k);
        finish_rows<T, HD, OWN>(v);
        for (int from = begin; from < h.nq; from += QUERIES) {
            int turn = from / QUERIES % 2, there = min(QUERIES, h.nq - from);
            T *q = queries + turn * 2 * QUERIES * LD;
            T *scores = scores_all + (tile<T, HD>::SCORE_TILES == 2 ? turn * SCORES : 0);
            const float *lse = statistics + turn * 2 * QUERIES;
            query_tile<T> tile_q = {q, q + QUERIES * LD, lse, lse + QUERIES};
            if (from == begin) {
                finish_rows<T, HD, 2 * QUERIES>(q);
                __syncthreads();
                if (from + QUERIES < h.nq) {
                    start_queries(from + QUERIES);
                    start_statistics(from + QUERIES, first > 0);
                }
            }
            if (16 * warp < live) {
                T *mine = scores + 16 * warp * tile<T, HD>::SCORES_LD;
                const T *my_k = k + 16 * warp * LD, *my_v = v + 16 * warp * LD;
                int at = 0;
#pragma unroll 1
                for (; at + 16 < there; at += 32) {
                    attend_back<T, HD, 2>(w, mine, my_k, my_v, tile_q, at, p, h, key, from + at);
                }
                if (at < there) {
                    attend_back<T, HD, 1>(w, mine, my_k, my_v, tile_q, at, p, h, key, from + at);
                }
            }
            /* The next tile has arrived and everyone's dS is there; this tile's place is free. */
            wait_copies<0>();
            if (from + QUERIES < h.nq) {
                meet_before_finish<T>();
                finish_rows<T, HD, 2 * QUERIES>(queries + (1 - turn) * 2 * QUERIES * LD);
            }
            __syncthreads();
            if (from + 2 * QUERIES < h.nq) {
                start_queries(from + 2 * QUERIES);
                start_statistics(from + 2 * QUERIES, true);
            }
            bool last = first + OWN >= h.nk || (p.causal && from < first + OWN);
            finish_queries<T, HD>(p, h, sums + blockIdx.x * sums_stride + from / QUERIES * SUMS,
                                  scores, k, live, from, first == 0, last);
            if (tile<T, HD>::SCORE_TILES == 1) __syncthreads();
        }
        if (16 * warp >= live) continue;
        float kept = 1.f / (1.f - p.dropout);
        int64_t mine = keys + 16 * warp * p.kv_stride;
        store_rows<T, HD>((T *)p.dk + mine, w.dk, p.kv_stride, live - 16 * warp, p.head_dim,
                          score_scale(p, h), score_scale(p, h));
        store_rows<T, HD>((T *)p.dv + mine, w.dv, p.kv_stride, live - 16 * warp, p.head_dim, kept,
                          kept);
    }
}

/* ---- choice ------------------------------------------------------------------------------------
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

/* H100 has all that the kernels ask for; others of sm_80 and later may not. */
static bool has_shared(nn_cuda *cu, int bytes)
{
    int most = 0;
    nn_cuda_check(
        cu, cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, cu->device),
        "cudaDeviceGetAttribute");
    return bytes <= most;
}

template <typename T, int HD> static bool mma_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    constexpr int BYTES = tile<T, HD>::FORWARD_BYTES;
    auto kernel = attention_fwd_mma_kernel<T, HD>;
    if (!has_shared(cu, BYTES)) return false;
    const char *what = "attention_fwd_mma_kernel";
    nn_cuda_check(
        cu, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES), what);
    dim3 grid((unsigned)(p->sequences * p->heads), (unsigned)nn_cuda_ceil_div(p->longest_q, OWN));
    nn_cuda_launch(cu, what, kernel, grid, THREADS, BYTES, *p);
    return true;
}

/* Room for the sums of all units, so that one launch does; NULL where the workspace has it, or
 * where it would be a burden. */
static float4 *take_sums(nn_cuda *cu, size_t bytes)
{
    void *sums = NULL;
    if (bytes <= NN_CUDA_WORKSPACE || bytes > MOST_SUMS || cu->capturing) return NULL;
    if (cudaMallocAsync(&sums, bytes, cu->stream) == cudaSuccess) return (float4 *)sums;
    cudaGetLastError(); /* a launch after another does as well */
    return NULL;
}

template <typename T, int HD> static bool mma_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    constexpr int BYTES = tile<T, HD>::BACKWARD_BYTES, QUERIES = tile<T, HD>::QUERIES;
    auto kernel = attention_bwd_mma_kernel<T, HD>;
    if (!has_shared(cu, BYTES)) return false;
    const char *what = "attention_bwd_mma_kernel";
    nn_cuda_check(
        cu, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES), what);
    int64_t units = p->sequences * p->heads, at_once = units, stride = 0;
    float4 *sums = (float4 *)cu->workspace, *own = NULL;
    if (p->longest_k > OWN) {
        stride = nn_cuda_ceil_div(p->longest_q, QUERIES) * QUERIES * HD / 4;
        own = take_sums(cu, (size_t)(units * stride) * sizeof *own);
        int64_t room = (int64_t)(NN_CUDA_WORKSPACE / sizeof(float4)) / (stride > 0 ? stride : 1);
        int64_t wave = 2 * cu->multiprocessors; /* that run together: no launch ends with a few */
        if (room > wave) room -= room % wave;
        if (own)
            sums = own;
        else if (room == 0)
            return false;
        else
            at_once = nn_cuda_min(units, room);
    }
    for (int64_t unit = 0; unit < units; unit += at_once) {
        unsigned blocks = (unsigned)nn_cuda_min(at_once, units - unit);
        nn_cuda_launch(cu, what, kernel, blocks, THREADS, BYTES, *p, unit, sums, stride);
    }
    if (own) nn_cuda_check(cu, cudaFreeAsync(own, cu->stream), what);
    return true;
}

template <typename T> static bool mma_any(nn_cuda *cu, const nn_attention_args *p, bool backward)
{
    if (p->head_dim <= 32) return backward ? mma_bwd<T, 32>(cu, p) : mma_fwd<T, 32>(cu, p);
    if (p->head_dim <= 64) return backward ? mma_bwd<T, 64>(cu, p) : mma_fwd<T, 64>(cu, p);
    return backward ? mma_bwd<T, 128>(cu, p) : mma_fwd<T, 128>(cu, p);
}

static bool mma_attention(nn_cuda *cu, const nn_attention_args *p, bool backward)
{
    if (!suits(p)) return false;
    if (p->sequences == 0) return true;
    if (p->dtype == NN_BF16) return mma_any<bf16>(cu, p, backward);
    return p->precision == NN_TF32 ? mma_any<float>(cu, p, backward)
                                   : mma_any<single>(cu, p, backward);
}

bool nn_cuda_attention_mma_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    return mma_attention(cu, p, false);
}

bool nn_cuda_attention_mma_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    return mma_attention(cu, p, true);
}
