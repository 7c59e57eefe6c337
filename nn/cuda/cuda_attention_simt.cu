/* nn/cuda/cuda_attention_simt.cu: attention in plain f32 arithmetic for any head dimension up to
 * 128: where rows cannot be moved 16 bytes at a time, which the tensor cores' kernels want.
 *
 * A block of 4 warps owns 64 rows of one head of one sequence; warp w owns rows 16 w .. 16 w + 15
 * in every product. Tiles lie in shared memory as f32, row-major with 4 floats of padding (rows
 * then start 4 banks apart), head dimensions padded with zeros to HD. The backward is two kernels,
 * one that owns query rows (dq) and one that owns key rows (dk, dv): each sum has one owner and a
 * fixed order, at the price of computing the scores twice.
 */
#include "nn/cuda/cuda_attention.cuh"

#define TILE 64
#define SPARE_STRIDE (TILE + 4)
#define THREADS 128

/* 64 x 64 products by fused multiply-adds. A thread holds 8 rows by 4 columns of a score tile (rows
 * two apart, columns 16 apart) and 8 rows by HD/16 neighbouring columns of an output, so 12
 * shared-memory loads of 16 bytes feed 128 multiply-adds. A warp's 16 rows of weights pass through
 * shared memory between the two products. Of a product's 64 columns, or of HD, a thread holds some:
 *   row(i), column(j), output(j)  which: of a tile, of a (64 x 64) and of a (64 x HD) product
 *   dot     s[row][column] = sum_d a[row][d] b[column][d]; columns past `live` may be left 0
 *   weigh   o[row][d] += sum_column s[row][column] b[column][d]; s is 0 past `live`; `spare` is a
 *           tile of 68 columns that the warps use row by row
 *   row_sum, row_max              over the threads that share a row */
struct simt {
    static constexpr int ROWS = 8, COLUMNS = 4;
    static constexpr __host__ __device__ int outputs(int hd) { return hd / 16; }
    static __device__ __forceinline__ int lane() { return threadIdx.x & 31; }
    static __device__ __forceinline__ int row(int i)
    {
        return (int)(threadIdx.x >> 5) * 16 + 2 * i + (lane() >> 4);
    }
    static __device__ __forceinline__ int column(int j) { return (lane() & 15) + 16 * j; }
    template <int HD> static __device__ __forceinline__ int output(int j)
    {
        constexpr int WIDE = HD / 16 < 4 ? HD / 16 : 4;
        return j / WIDE * 16 * WIDE + (lane() & 15) * WIDE + j % WIDE;
    }
    static __device__ __forceinline__ float row_sum(float v)
    {
#pragma unroll
        for (int step = 8; step > 0; step >>= 1) v += __shfl_xor_sync(0xffffffffu, v, step);
        return v;
    }
    static __device__ __forceinline__ float row_max(float v)
    {
#pragma unroll
        for (int step = 8; step > 0; step >>= 1) {
            v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, step));
        }
        return v;
    }

    /* The first USED of the thread's 4 columns. */
    template <int HD, int USED>
    static __device__ __forceinline__ void dot_columns(float (&s)[8][4], const float *a,
                                                       const float *b)
    {
        constexpr int LD = HD + 4;
#pragma unroll 2
        for (int k = 0; k < HD; k += 4) {
            float4 y[USED];
#pragma unroll
            for (int j = 0; j < USED; j++) y[j] = load4(b + column(j) * LD + k);
#pragma unroll
            for (int i = 0; i < 8; i++) {
                float4 x = load4(a + row(i) * LD + k);
#pragma unroll
                for (int j = 0; j < USED; j++) {
                    s[i][j] = fmaf(x.x, y[j].x, s[i][j]);
                    s[i][j] = fmaf(x.y, y[j].y, s[i][j]);
                    s[i][j] = fmaf(x.z, y[j].z, s[i][j]);
                    s[i][j] = fmaf(x.w, y[j].w, s[i][j]);
                }
            }
        }
    }

    template <int HD>
    static __device__ __forceinline__ void dot(float (&s)[8][4], const float *a, const float *b,
                                               int live)
    {
#pragma unroll
        for (int i = 0; i < 8; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) s[i][j] = 0.f;
        }
        if (live > 48)
            dot_columns<HD, 4>(s, a, b);
        else if (live > 32)
            dot_columns<HD, 3>(s, a, b);
        else if (live > 16)
            dot_columns<HD, 2>(s, a, b);
        else
            dot_columns<HD, 1>(s, a, b);
    }

    template <int HD>
    static __device__ __forceinline__ void weigh(float (&o)[8][HD / 16], const float (&s)[8][4],
                                                 float *spare, const float *b, int live)
    {
        constexpr int OUT = HD / 16, WIDE = OUT < 4 ? OUT : 4;
#pragma unroll
        for (int i = 0; i < 8; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) spare[row(i) * SPARE_STRIDE + column(j)] = s[i][j];
        }
        __syncwarp();
        for (int k = 0; k < live; k += 4) {
            float4 x[8];
#pragma unroll
            for (int i = 0; i < 8; i++) x[i] = load4(spare + row(i) * SPARE_STRIDE + k);
#pragma unroll
            for (int kk = 0; kk < 4; kk++) {
                const float *from = b + (k + kk) * (HD + 4);
                float y[OUT];
#pragma unroll
                for (int j = 0; j < OUT; j += WIDE) {
                    if (WIDE == 4) {
                        float4 four = load4(from + output<HD>(j));
                        y[j] = four.x;
                        y[j + 1] = four.y;
                        y[j + 2] = four.z;
                        y[j + 3] = four.w;
                    } else {
                        for (int w = 0; w < WIDE; w++) y[j + w] = from[output<HD>(j + w)];
                    }
                }
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    float weight = kk == 0 ? x[i].x : kk == 1 ? x[i].y : kk == 2 ? x[i].z : x[i].w;
#pragma unroll
                    for (int j = 0; j < OUT; j++) o[i][j] = fmaf(weight, y[j], o[i][j]);
                }
            }
        }
        __syncwarp();
    }
};

/* keep[j] bit 4i: the weight of the thread's row(i), a query, and column(j), a key, stays. The four
 * lanes of neighbouring columns share a philox block of each row and j: each draws those of one j.
 */
static __device__ __forceinline__ void draw_rows(uint32_t (&keep)[4], const nn_attention_args &p,
                                                 const attention_head &h, int first, int from)
{
    int lane = simt::lane(), quad = lane & 3;
    uint32_t threshold = dropout_threshold(p.dropout), mine = 0;
#pragma unroll
    for (int i = 0; i < simt::ROWS; i++) {
        uint64_t block = attention_block(p, h, first + simt::row(i), from + simt::column(quad));
        mine |= kept_four(philox(h.seed, p.site, block), threshold) << 4 * i;
    }
#pragma unroll
    for (int j = 0; j < simt::COLUMNS; j++) {
        keep[j] = __shfl_sync(0xffffffffu, mine, (lane & ~3) | j) >> quad;
    }
}

/* keep[j] bit 2i: the same where row(i) is a key and column(j) a query. Rows 2b and 2b + 1 of two
 * lanes 16 apart share a block of each column: each draws those of two j. */
static __device__ __forceinline__ void draw_columns(uint32_t (&keep)[4], const nn_attention_args &p,
                                                    const attention_head &h, int from, int first)
{
    int lane = simt::lane(), half = lane >> 4;
    uint32_t threshold = dropout_threshold(p.dropout), mine[2] = {0, 0};
#pragma unroll
    for (int j = 0; j < 2; j++) {
#pragma unroll
        for (int b = 0; b < simt::ROWS / 2; b++) {
            uint64_t block =
                attention_block(p, h, from + simt::column(2 * j + half), first + simt::row(2 * b));
            mine[j] |= kept_four(philox(h.seed, p.site, block), threshold) << 4 * b;
        }
    }
#pragma unroll
    for (int j = 0; j < simt::COLUMNS; j++) {
        keep[j] = __shfl_sync(0xffffffffu, mine[j / 2], (lane & 15) + 16 * (j & 1)) >> half;
    }
}

/* Rows [0, rows) of a tile into shared memory, zeros below and right of them. `src` is the first
 * row's first element of this head. f32 is copied asynchronously: wait_copies comes before the
 * barrier; bf16 is widened on the way. */
template <typename T, int HD>
static __device__ __forceinline__ void load_tile(float *tile, const T *src, int64_t stride,
                                                 int rows, int head_dim, bool vec)
{
    if constexpr (sizeof(T) == sizeof(float)) {
        if (vec) copy_rows<T, HD, TILE, THREADS>(tile, src, stride, rows, head_dim);
        if (vec) return;
    }
#pragma unroll 4
    for (int i = threadIdx.x; i < TILE * HD / 4; i += THREADS) {
        int r = i / (HD / 4), c = i % (HD / 4) * 4;
        float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
        if (r < rows) v = load4_part(src + r * stride + c, head_dim - c, vec);
        store4(tile + r * (HD + 4) + c, v);
    }
}

/* Writes a product's rows, times `factor(i)`, to dst (this head's first element of the tile's row
 * 0). */
template <typename T, int HD, typename F>
static __device__ __forceinline__ void
store_rows(T *dst, const float (&o)[simt::ROWS][simt::outputs(HD)], int64_t stride, int rows,
           int head_dim, bool vec, F factor)
{
#pragma unroll
    for (int i = 0; i < simt::ROWS; i++) {
        int r = simt::row(i);
        if (r >= rows) continue;
        float by = factor(i);
#pragma unroll
        for (int j = 0; j < simt::outputs(HD); j += 2) {
            int c = simt::output<HD>(j);
            T *to = dst + r * stride + c;
            if (vec && c + 2 <= head_dim) {
                store2(to, o[i][j] * by, o[i][j + 1] * by);
                continue;
            }
            if (c < head_dim) store1(to, o[i][j] * by);
            if (c + 1 < head_dim) store1(to + 1, o[i][j + 1] * by);
        }
    }
}

/* seen[k]: key `first + k` exists and is not hidden. Called by the whole block. */
static __device__ __forceinline__ void load_seen(int *seen, const nn_attention_args &p,
                                                 const attention_head &h, int first)
{
    if (threadIdx.x < TILE) {
        seen[threadIdx.x] = key_seen(p, h, first + (int)threadIdx.x) ? 1 : 0;
    }
}

/* Forward. Grid: (sequences * heads, ceil(longest_q / 64)). Moves q once, k and v once for every
 * block of queries (from L2 after the first), out once. */
template <typename T, int HD>
static __global__ void __launch_bounds__(THREADS, HD > 64 ? 1 : 3)
    attention_fwd_simt_kernel(nn_attention_args p, bool vec)
{
    nn_cuda_begin();
    extern __shared__ float4 shared_raw[];
    __shared__ int seen[TILE];
    float *q = (float *)shared_raw, *k = q + TILE * (HD + 4), *v = k + TILE * (HD + 4);
    float *spare = v + TILE * (HD + 4);
    attention_head h = find_head(p, blockIdx.x);
    int first = (int)blockIdx.y * TILE, rows = min(TILE, h.nq - first);
    if (rows <= 0) return;
    bool working = (int)(threadIdx.x / 32) * 16 < rows; /* this warp has rows of its own */
    int64_t column = (int64_t)h.head * p.head_dim;
    load_tile<T, HD>(q, (const T *)p.q + (h.q_from + first) * p.q_stride + column, p.q_stride, rows,
                     p.head_dim, vec);

    float kept = 1.f / (1.f - p.dropout);
    float o[simt::ROWS][simt::outputs(HD)], top[simt::ROWS], sum[simt::ROWS];
#pragma unroll
    for (int i = 0; i < simt::ROWS; i++) {
        top[i] = -INFINITY;
        sum[i] = 0.f;
#pragma unroll
        for (int j = 0; j < simt::outputs(HD); j++) o[i][j] = 0.f;
    }
    int end = p.causal ? min(h.nk, first + TILE) : h.nk;
    for (int from = 0; from < end; from += TILE) {
        int live = min(TILE, h.nk - from);
        int64_t at = (h.k_from + from) * p.kv_stride + column;
        __syncthreads();
        load_tile<T, HD>(k, (const T *)p.k + at, p.kv_stride, live, p.head_dim, vec);
        load_tile<T, HD>(v, (const T *)p.v + at, p.kv_stride, live, p.head_dim, vec);
        load_seen(seen, p, h, from);
        wait_copies<0>();
        __syncthreads();
        if (!working) continue;
        float s[simt::ROWS][simt::COLUMNS];
        simt::dot<HD>(s, q, k, live);
#pragma unroll
        for (int i = 0; i < simt::ROWS; i++) {
            float most = -INFINITY;
#pragma unroll
            for (int j = 0; j < simt::COLUMNS; j++) {
                int c = simt::column(j);
                bool visible = seen[c] && (!p.causal || from + c <= first + simt::row(i));
                s[i][j] = visible ? s[i][j] * p.scale : -INFINITY;
                most = fmaxf(most, s[i][j]);
            }
            most = fmaxf(simt::row_max(most), top[i]);
            float base = most == -INFINITY ? 0.f : most; /* nothing visible so far: weights 0 */
            float shrink = expf(top[i] - base);
            top[i] = most;
            sum[i] *= shrink;
#pragma unroll
            for (int j = 0; j < simt::outputs(HD); j++) o[i][j] *= shrink;
#pragma unroll
            for (int j = 0; j < simt::COLUMNS; j++) {
                s[i][j] = expf(s[i][j] - base);
                sum[i] += s[i][j];
            }
        }
        if (p.dropout > 0.f) {
            uint32_t keep[simt::COLUMNS];
            draw_rows(keep, p, h, first, from);
#pragma unroll
            for (int i = 0; i < simt::ROWS; i++) {
#pragma unroll
                for (int j = 0; j < simt::COLUMNS; j++)
                    s[i][j] *= keep[j] >> 4 * i & 1 ? kept : 0.f;
            }
        }
        simt::weigh<HD>(o, s, spare, v, live);
    }
    if (!working) return;
#pragma unroll
    for (int i = 0; i < simt::ROWS; i++) {
        sum[i] = simt::row_sum(sum[i]);
        int r = simt::row(i);
        if (p.lse && r < rows) { /* the same value from every thread of the row */
            p.lse[(int64_t)h.head * p.tokens_q + h.q_from + first + r] =
                sum[i] > 0.f ? top[i] + logf(sum[i]) : 0.f;
        }
    }
    int64_t width = (int64_t)p.heads * p.head_dim;
    store_rows<T, HD>((T *)p.out + (h.q_from + first) * width + column, o, width, rows, p.head_dim,
                      vec, [&](int i) { return sum[i] > 0.f ? 1.f / sum[i] : 0.f; });
}

/* Backward, queries: dq = scale dS K, dS = P (dP - delta), dP = dO V^T (times dropout's factors).
 * The grid is the forward's. */
template <typename T, int HD>
static __global__ void __launch_bounds__(THREADS, HD > 64 ? 1 : 2)
    attention_dq_simt_kernel(nn_attention_args p, bool vec)
{
    nn_cuda_begin();
    extern __shared__ float4 shared_raw[];
    __shared__ int seen[TILE];
    float *q = (float *)shared_raw, *dout = q + TILE * (HD + 4), *k = dout + TILE * (HD + 4);
    float *v = k + TILE * (HD + 4), *spare = v + TILE * (HD + 4);
    attention_head h = find_head(p, blockIdx.x);
    int first = (int)blockIdx.y * TILE, rows = min(TILE, h.nq - first);
    if (rows <= 0) return;
    bool working = (int)(threadIdx.x / 32) * 16 < rows;
    int64_t column = (int64_t)h.head * p.head_dim, width = (int64_t)p.heads * p.head_dim;
    int64_t row0 = h.q_from + first, statistics = (int64_t)h.head * p.tokens_q + row0;
    load_tile<T, HD>(q, (const T *)p.q + row0 * p.q_stride + column, p.q_stride, rows, p.head_dim,
                     vec);
    load_tile<T, HD>(dout, (const T *)p.dout + row0 * width + column, width, rows, p.head_dim, vec);
    float kept = 1.f / (1.f - p.dropout);

    float dq[simt::ROWS][simt::outputs(HD)], lse[simt::ROWS], delta[simt::ROWS];
#pragma unroll
    for (int i = 0; i < simt::ROWS; i++) {
        int r = simt::row(i);
        lse[i] = r < rows ? p.lse[statistics + r] : 0.f;
        delta[i] = r < rows ? p.delta[statistics + r] : 0.f;
#pragma unroll
        for (int j = 0; j < simt::outputs(HD); j++) dq[i][j] = 0.f;
    }
    int end = p.causal ? min(h.nk, first + TILE) : h.nk;
    for (int from = 0; from < end; from += TILE) {
        int live = min(TILE, h.nk - from);
        __syncthreads();
        int64_t at = (h.k_from + from) * p.kv_stride + column;
        load_tile<T, HD>(k, (const T *)p.k + at, p.kv_stride, live, p.head_dim, vec);
        load_tile<T, HD>(v, (const T *)p.v + at, p.kv_stride, live, p.head_dim, vec);
        load_seen(seen, p, h, from);
        wait_copies<0>();
        __syncthreads();
        if (!working) continue;
        float s[simt::ROWS][simt::COLUMNS], dp[simt::ROWS][simt::COLUMNS];
        simt::dot<HD>(s, q, k, live);
        simt::dot<HD>(dp, dout, v, live);
        uint32_t keep[simt::COLUMNS] = {~0u, ~0u, ~0u, ~0u};
        if (p.dropout > 0.f) draw_rows(keep, p, h, first, from);
#pragma unroll
        for (int i = 0; i < simt::ROWS; i++) {
            int query = first + simt::row(i);
#pragma unroll
            for (int j = 0; j < simt::COLUMNS; j++) {
                int c = simt::column(j), key = from + c;
                bool visible = seen[c] && query < h.nq && (!p.causal || key <= query);
                float weight = visible ? expf(s[i][j] * p.scale - lse[i]) : 0.f;
                float factor = keep[j] >> 4 * i & 1 ? kept : 0.f;
                s[i][j] = weight * (dp[i][j] * factor - delta[i]);
            }
        }
        simt::weigh<HD>(dq, s, spare, k, live);
    }
    if (!working) return;
    store_rows<T, HD>((T *)p.dq + row0 * p.q_stride + column, dq, p.q_stride, rows, p.head_dim, vec,
                      [&](int) { return p.scale; });
}

/* Backward, keys: the block's rows are keys and the columns queries, so that the weights come out
 * transposed: dv = P^T dO, dk = scale dS^T Q. Grid: (sequences * heads, ceil(longest_k / 64)). */
template <typename T, int HD>
static __global__ void __launch_bounds__(THREADS, HD > 64 ? 1 : 2)
    attention_dkv_simt_kernel(nn_attention_args p, bool vec)
{
    nn_cuda_begin();
    extern __shared__ float4 shared_raw[];
    __shared__ int seen[TILE];
    __shared__ float lse[TILE], delta[TILE];
    float *k = (float *)shared_raw, *v = k + TILE * (HD + 4), *q = v + TILE * (HD + 4);
    float *dout = q + TILE * (HD + 4), *spare = dout + TILE * (HD + 4);
    attention_head h = find_head(p, blockIdx.x);
    int first = (int)blockIdx.y * TILE, rows = min(TILE, h.nk - first);
    if (rows <= 0) return;
    bool working = (int)(threadIdx.x / 32) * 16 < rows;
    int64_t column = (int64_t)h.head * p.head_dim, width = (int64_t)p.heads * p.head_dim;
    int64_t keys = (h.k_from + first) * p.kv_stride + column;
    load_tile<T, HD>(k, (const T *)p.k + keys, p.kv_stride, rows, p.head_dim, vec);
    load_tile<T, HD>(v, (const T *)p.v + keys, p.kv_stride, rows, p.head_dim, vec);
    load_seen(seen, p, h, first);
    float kept = 1.f / (1.f - p.dropout);

    float dk[simt::ROWS][simt::outputs(HD)], dv[simt::ROWS][simt::outputs(HD)];
#pragma unroll
    for (int i = 0; i < simt::ROWS; i++) {
#pragma unroll
        for (int j = 0; j < simt::outputs(HD); j++) dk[i][j] = dv[i][j] = 0.f;
    }
    for (int from = p.causal ? first : 0; from < h.nq; from += TILE) {
        int live = min(TILE, h.nq - from);
        int64_t row0 = h.q_from + from, statistics = (int64_t)h.head * p.tokens_q + row0;
        __syncthreads();
        load_tile<T, HD>(q, (const T *)p.q + row0 * p.q_stride + column, p.q_stride, live,
                         p.head_dim, vec);
        load_tile<T, HD>(dout, (const T *)p.dout + row0 * width + column, width, live, p.head_dim,
                         vec);
        if (threadIdx.x < TILE) {
            bool there = (int)threadIdx.x < live;
            lse[threadIdx.x] = there ? p.lse[statistics + threadIdx.x] : 0.f;
            delta[threadIdx.x] = there ? p.delta[statistics + threadIdx.x] : 0.f;
        }
        wait_copies<0>();
        __syncthreads();
        if (!working) continue;
        float s[simt::ROWS][simt::COLUMNS], dp[simt::ROWS][simt::COLUMNS];
        simt::dot<HD>(s, k, q, live);
        simt::dot<HD>(dp, v, dout, live);
        uint32_t keep[simt::COLUMNS] = {~0u, ~0u, ~0u, ~0u};
        if (p.dropout > 0.f) draw_columns(keep, p, h, from, first);
#pragma unroll
        for (int i = 0; i < simt::ROWS; i++) {
            int r = simt::row(i), key = first + r;
#pragma unroll
            for (int j = 0; j < simt::COLUMNS; j++) {
                int c = simt::column(j), query = from + c;
                bool visible = seen[r] && c < live && (!p.causal || key <= query);
                float weight = visible ? expf(s[i][j] * p.scale - lse[c]) : 0.f;
                float factor = keep[j] >> 2 * i & 1 ? kept : 0.f;
                s[i][j] = weight * factor;
                dp[i][j] = weight * (dp[i][j] * factor - delta[c]);
            }
        }
        simt::weigh<HD>(dv, s, spare, dout, live);
        simt::weigh<HD>(dk, dp, spare, q, live);
    }
    if (!working) return;
    store_rows<T, HD>((T *)p.dk + keys, dk, p.kv_stride, rows, p.head_dim, vec,
                      [&](int) { return p.scale; });
    store_rows<T, HD>((T *)p.dv + keys, dv, p.kv_stride, rows, p.head_dim, vec,
                      [&](int) { return 1.f; });
}

/* delta[head][q] = dout . out, which the backward subtracts from every dP of the row. One thread
 * takes one head of one row and adds in the order in which the dq and dkv kernels form dP, so that
 * a query which sees a single key gets exactly no gradient. */
template <typename T>
static __global__ void __launch_bounds__(256) attention_delta_kernel(nn_attention_args p, bool vec)
{
    nn_cuda_begin();
    int64_t unit = (int64_t)blockIdx.x * 256 + threadIdx.x;
    if (unit >= p.tokens_q * p.heads) return;
    int64_t row = unit / p.heads, head = unit - row * p.heads, at = unit * p.head_dim;
    float sum = 0.f;
#pragma unroll 4
    for (int c = 0; c < p.head_dim; c += 4) {
        float4 a = load4_part((const T *)p.dout + at + c, p.head_dim - c, vec);
        float4 b = load4_part((const T *)p.out + at + c, p.head_dim - c, vec);
        sum = fmaf(a.x, b.x, sum);
        sum = fmaf(a.y, b.y, sum);
        sum = fmaf(a.z, b.z, sum);
        sum = fmaf(a.w, b.w, sum);
    }
    p.delta[head * p.tokens_q + row] = sum;
}

/* ---- host --------------------------------------------------------------------------------------
 */

/* Launches `kernel` with `tiles` tiles of 64 rows in shared memory beside the spare one. */
template <int HD, typename K>
static void launch(nn_cuda *cu, const nn_attention_args *p, K kernel, int tiles, int64_t longest,
                   const char *what)
{
    if (p->sequences == 0 || longest == 0) return;
    int bytes = TILE * (tiles * (HD + 4) + SPARE_STRIDE) * (int)sizeof(float);
    nn_cuda_check(
        cu, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), what);
    dim3 grid((unsigned)(p->sequences * p->heads), (unsigned)nn_cuda_ceil_div(longest, TILE));
    nn_cuda_launch(cu, what, kernel, grid, THREADS, (size_t)bytes, *p, attention_vec(p));
}

template <typename T, int HD> static void simt_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    launch<HD>(cu, p, attention_fwd_simt_kernel<T, HD>, 3, p->longest_q,
               "attention_fwd_simt_kernel");
}

template <typename T, int HD> static void simt_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (p->tokens_q > 0) {
        unsigned blocks = (unsigned)nn_cuda_ceil_div(p->tokens_q * p->heads, 256);
        nn_cuda_launch(cu, "attention_delta_kernel", attention_delta_kernel<T>, blocks, 256, 0, *p,
                       attention_vec(p));
    }
    launch<HD>(cu, p, attention_dq_simt_kernel<T, HD>, 4, p->longest_q, "attention_dq_simt_kernel");
    launch<HD>(cu, p, attention_dkv_simt_kernel<T, HD>, 4, p->longest_k,
               "attention_dkv_simt_kernel");
}

template <typename T> static void simt_any(nn_cuda *cu, const nn_attention_args *p, bool backward)
{
    if (p->head_dim <= 32)
        backward ? simt_bwd<T, 32>(cu, p) : simt_fwd<T, 32>(cu, p);
    else if (p->head_dim <= 64)
        backward ? simt_bwd<T, 64>(cu, p) : simt_fwd<T, 64>(cu, p);
    else
        backward ? simt_bwd<T, 128>(cu, p) : simt_fwd<T, 128>(cu, p);
}

void nn_cuda_attention_simt_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (p->dtype == NN_BF16)
        simt_any<bf16>(cu, p, false);
    else
        simt_any<float>(cu, p, false);
}

void nn_cuda_attention_simt_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (p->dtype == NN_BF16)
        simt_any<bf16>(cu, p, true);
    else
        simt_any<float>(cu, p, true);
}
