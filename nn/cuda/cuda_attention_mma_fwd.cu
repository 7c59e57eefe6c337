/* nn/cuda/cuda_attention_mma_fwd.cu: attention on the tensor cores (cuda_attention_mma.cuh), the
 * way forward. A block owns 128 queries of one head of one sequence and walks over its keys.
 */
#include "nn/cuda/cuda_attention_mma.cuh"

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

template <typename T, int HD> static bool launch(nn_cuda *cu, const nn_attention_args *p)
{
    constexpr int BYTES = tile<T, HD>::FORWARD_BYTES;
    auto kernel = attention_fwd_mma_kernel<T, HD>;
    const char *what = "attention_fwd_mma_kernel";
    if (!take_shared(cu, kernel, BYTES, what)) return false;
    dim3 grid((unsigned)(p->sequences * p->heads), (unsigned)nn_cuda_ceil_div(p->longest_q, OWN));
    nn_cuda_launch(cu, what, kernel, grid, THREADS, BYTES, *p);
    return true;
}

bool nn_cuda_attention_mma_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    return run_tiles(p, [=](auto element, auto columns) {
        return launch<decltype(element), decltype(columns)::value>(cu, p);
    });
}
