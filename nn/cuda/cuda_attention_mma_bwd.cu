/* nn/cuda/cuda_attention_mma_bwd.cu: attention on the tensor cores (cuda_attention_mma.cuh), the
 * way back, in one kernel. A block owns one head of one sequence and takes 128 keys at a time: it
 * walks over the queries, computes scores transposed (keys are rows) and adds up dk and dv in
 * registers; dq of a tile of queries is the product of all the warps' gradients of scores, which
 * meet in shared memory. Sequences of more than 128 keys take several rounds; dq waits in f32 in
 * memory in between. Every sum runs over keys or queries in ascending order and starts where
 * the round before stopped, so its bits depend on its sequence alone.
 */
#include "nn/cuda/cuda_attention_mma.cuh"

#define MOST_SUMS ((size_t)256 << 20) /* bytes of dq that wait, beyond which launches take turns   \
                                       */

/* draw_forward's bits transposed: keep[e] bit 4n for key g + 8 (e / 2) of the warp's 16 and query
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

template <typename T, int HD> static bool launch(nn_cuda *cu, const nn_attention_args *p)
{
    constexpr int BYTES = tile<T, HD>::BACKWARD_BYTES, QUERIES = tile<T, HD>::QUERIES;
    auto kernel = attention_bwd_mma_kernel<T, HD>;
    const char *what = "attention_bwd_mma_kernel";
    if (!take_shared(cu, kernel, BYTES, what)) return false;
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

bool nn_cuda_attention_mma_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    return run_tiles(p, [=](auto element, auto columns) {
        return launch<decltype(element), decltype(columns)::value>(cu, p);
    });
}
