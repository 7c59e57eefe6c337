/* nn/cuda/cuda_attention.cuh: attention over packed sequences, written once over an ENGINE that
 * multiplies 64 x 64 tiles: plain f32 arithmetic (cuda_attention.cu) or tensor cores
 * (cuda_attention_mma.cu).
 *
 * The method is flash attention (Dao et al. 2022): a block owns 64 rows of one head of one sequence
 * and walks over 64-row tiles of the other side, keeping a running maximum and sum, so that no (L,
 * L) matrix is ever in device memory. The naive version writes scores and weights there and reads
 * them back. Tiles count from the start of a sequence, so no row depends on what else is in the
 * batch. The backward is two kernels, one that owns query rows (dq) and one that owns key rows (dk,
 * dv): each sum has one owner and a fixed order, at the price of computing the scores twice.
 *
 * A block is 4 warps; warp w owns rows 16 w .. 16 w + 15 of the block's tile in every product.
 * Tiles lie in shared memory as f32, row-major with 4 floats of padding (rows then start 4 banks
 * apart), head dimensions padded with zeros to HD. Of a product's 64 columns, or of HD, a thread
 * holds some: ENGINE::ROWS, row(i)        rows of the tile that a thread holds parts of
 *   ENGINE::COLUMNS, column(j)  columns of a (64 x 64) product
 *   ENGINE::outputs(HD), output<HD>(j)  columns of a (64 x HD) product
 *   dot<HD>(s, a, b, live)      s[row][column] = sum_d a[row][d] b[column][d]; columns past `live`
 * may be left 0 weigh<HD>(o, s, spare, b, live)  o[row][d] += sum_column s[row][column]
 * b[column][d]; s is 0 past `live`; `spare` is a tile of 68 columns that the warps use
 *                               row by row
 *   row_sum, row_max            over the threads that share a row
 *   WARPS, BLOCKS               of a forward block; such blocks that should fit one multiprocessor
 *   BUFFERS                     of the forward's tiles of k and v: 1 or 2
 *   round, ROUNDS, exponential  what a stored operand is rounded to, if it is; e^x
 */
#ifndef NN_CUDA_ATTENTION_CUH
#define NN_CUDA_ATTENTION_CUH

#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"

#include <math.h>

#define TILE 64
#define SPARE_STRIDE (TILE + 4)
#define BACKWARD_WARPS 4

/* One head of one sequence, as a block sees it. */
typedef struct attention_head {
    int64_t q_from, k_from; /* first rows in the packing */
    int nq, nk, head;
    uint64_t seed;
} attention_head;

static __device__ __forceinline__ attention_head find_head(const nn_attention_args &p)
{
    attention_head h;
    int64_t sequence = blockIdx.x / p.heads;
    h.head = (int)(blockIdx.x - sequence * p.heads);
    h.q_from = p.offsets_q[sequence];
    h.k_from = p.offsets_k[sequence];
    h.nq = (int)(p.offsets_q[sequence + 1] - h.q_from);
    h.nk = (int)(p.offsets_k[sequence + 1] - h.k_from);
    h.seed = p.dropout > 0.f && p.state ? p.state->seed : p.seed;
    return h;
}

/* What dropout multiplies the weight of (query, key) by. */
static __device__ __forceinline__ float attention_kept(const nn_attention_args &p,
                                                       const attention_head &h, int query, int key,
                                                       uint32_t threshold, float kept)
{
    uint64_t row = (uint64_t)h.head * (uint64_t)p.tokens_q + (uint64_t)(h.q_from + query);
    uint64_t element = row * (uint64_t)p.longest_k + (uint64_t)key;
    return philox_word(h.seed, p.site, element) >= threshold ? kept : 0.f;
}

/* Rows [0, rows) of HEIGHT into shared memory, zeros below and right of them. `src` is the first
 * row's first element of this head. */
template <typename ENGINE, typename T, int HD, int HEIGHT>
static __device__ __forceinline__ void load_tile(float *tile, const T *src, int64_t stride,
                                                 int rows, int head_dim, bool vec)
{
#pragma unroll 4
    for (int i = threadIdx.x; i < HEIGHT * HD / 4; i += (int)blockDim.x) {
        int r = i / (HD / 4), c = i % (HD / 4) * 4;
        float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
        if (r < rows) v = load4_part(src + r * stride + c, head_dim - c, vec);
        store4(tile + r * (HD + 4) + c, ENGINE::round(v));
    }
}

static __device__ __forceinline__ void store2(float *p, float x, float y)
{
    *reinterpret_cast<float2 *>(p) = make_float2(x, y);
}
static __device__ __forceinline__ void store2(bf16 *p, float x, float y)
{
    *reinterpret_cast<__nv_bfloat162 *>(p) = __floats2bfloat162_rn(x, y);
}

/* Writes a product's rows, times `factor(i)`, to dst (this head's first element of the tile's row
 * 0). A thread's columns 2j and 2j + 1 are neighbours in every engine. */
template <typename ENGINE, typename T, int HD, typename F>
static __device__ __forceinline__ void
store_rows(T *dst, const float (&o)[ENGINE::ROWS][ENGINE::outputs(HD)], int64_t stride, int rows,
           int head_dim, bool vec, F factor)
{
#pragma unroll
    for (int i = 0; i < ENGINE::ROWS; i++) {
        int r = ENGINE::row(i);
        if (r >= rows) continue;
        float by = factor(i);
#pragma unroll
        for (int j = 0; j < ENGINE::outputs(HD); j += 2) {
            int c = ENGINE::template output<HD>(j);
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

/* load_tile in two halves for f32: the copies start here and travel while the thread goes on;
 * finish_tile, after wait_tiles, rounds what this thread has copied. bf16 is widened on the way, so
 * it is loaded at once. */
template <typename ENGINE, typename T, int HD, int HEIGHT>
static __device__ __forceinline__ void start_tile(float *tile, const T *src, int64_t stride,
                                                  int rows, int head_dim, bool vec)
{
    if constexpr (sizeof(T) == sizeof(float)) {
        for (int i = threadIdx.x; vec && i < HEIGHT * HD / 4; i += (int)blockDim.x) {
            int r = i / (HD / 4), c = i % (HD / 4) * 4;
            bool there = r < rows && c < head_dim; /* zeros are written elsewhere */
            const T *from = there ? src + r * stride + c : src;
            uint32_t to = (uint32_t)__cvta_generic_to_shared(tile + r * (HD + 4) + c);
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                         "r"(there ? 16 : 0)
                         : "memory");
        }
        if (vec) return;
    }
    load_tile<ENGINE, T, HD, HEIGHT>(tile, src, stride, rows, head_dim, vec);
}

static __device__ __forceinline__ void wait_tiles(void)
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

template <typename ENGINE, typename T, int HD, int HEIGHT>
static __device__ __forceinline__ void finish_tile(float *tile, bool vec)
{
    if constexpr (sizeof(T) == sizeof(float) && ENGINE::ROUNDS) {
#pragma unroll 4
        for (int i = threadIdx.x; vec && i < HEIGHT * HD / 4; i += (int)blockDim.x) {
            float *at = tile + i / (HD / 4) * (HD + 4) + i % (HD / 4) * 4;
            store4(at, ENGINE::round(load4(at)));
        }
    }
}

/* seen[k]: key `first + k` exists and is not hidden. Called by the whole block. */
static __device__ __forceinline__ void load_seen(int *seen, const nn_attention_args &p,
                                                 const attention_head &h, int first)
{
    if (threadIdx.x < TILE) {
        int key = first + (int)threadIdx.x;
        seen[threadIdx.x] = key < h.nk && (!p.key_mask || p.key_mask[h.k_from + key] != 0) ? 1 : 0;
    }
}

/* Forward. Grid: (sequences * heads, ceil(longest_q / (16 WARPS))). Moves q once, k and v once for
 * every block of queries (from L2 after the first), out once. Where an engine has two BUFFERS, the
 * next tiles of k and v travel while the present ones are used. */
template <typename ENGINE, typename T, int HD>
static __global__ void __launch_bounds__(32 * ENGINE::WARPS, HD > 64 ? 1 : ENGINE::BLOCKS)
    attention_fwd_kernel(nn_attention_args p, bool vec)
{
    constexpr int OWN = 16 * ENGINE::WARPS, SIZE = TILE * (HD + 4), BUFFERS = ENGINE::BUFFERS;
    extern __shared__ float4 shared_raw[];
    __shared__ int seen_all[BUFFERS][TILE];
    float *q = (float *)shared_raw, *kv = q + OWN * (HD + 4), *spare = kv + 2 * BUFFERS * SIZE;
    attention_head h = find_head(p);
    int first = (int)blockIdx.y * OWN, rows = min(OWN, h.nq - first);
    if (rows <= 0) return;
    bool working = (int)(threadIdx.x / 32) * 16 < rows; /* this warp has rows of its own */
    int64_t column = (int64_t)h.head * p.head_dim;
    auto start_keys = [&](int from, int buffer) {
        int live = min(TILE, h.nk - from);
        int64_t at = (h.k_from + from) * p.kv_stride + column;
        float *k = kv + 2 * buffer * SIZE;
        start_tile<ENGINE, T, HD, TILE>(k, (const T *)p.k + at, p.kv_stride, live, p.head_dim, vec);
        start_tile<ENGINE, T, HD, TILE>(k + SIZE, (const T *)p.v + at, p.kv_stride, live,
                                        p.head_dim, vec);
        load_seen(seen_all[buffer], p, h, from);
    };
    start_tile<ENGINE, T, HD, OWN>(q, (const T *)p.q + (h.q_from + first) * p.q_stride + column,
                                   p.q_stride, rows, p.head_dim, vec);
    uint32_t threshold = dropout_threshold(p.dropout);
    float kept = 1.f / (1.f - p.dropout);

    float o[ENGINE::ROWS][ENGINE::outputs(HD)], top[ENGINE::ROWS], sum[ENGINE::ROWS];
#pragma unroll
    for (int i = 0; i < ENGINE::ROWS; i++) {
        top[i] = -INFINITY;
        sum[i] = 0.f;
#pragma unroll
        for (int j = 0; j < ENGINE::outputs(HD); j++) o[i][j] = 0.f;
    }
    int end = p.causal ? min(h.nk, first + OWN) : h.nk;
    if (end > 0) start_keys(0, 0);
    for (int from = 0; from < end; from += TILE) {
        int live = min(TILE, h.nk - from), buffer = BUFFERS == 2 ? from / TILE % 2 : 0;
        float *k = kv + 2 * buffer * SIZE, *v = k + SIZE;
        const int *seen = seen_all[buffer];
        wait_tiles();
        if (from == 0) finish_tile<ENGINE, T, HD, OWN>(q, vec);
        finish_tile<ENGINE, T, HD, TILE>(k, vec);
        finish_tile<ENGINE, T, HD, TILE>(v, vec);
        __syncthreads();
        /* Everyone is past the tiles before these, whose place the next ones take. */
        if (BUFFERS == 2 && from + TILE < end) start_keys(from + TILE, 1 - buffer);
        if (working) {
            float s[ENGINE::ROWS][ENGINE::COLUMNS];
            ENGINE::template dot<HD>(s, q, k, live);
#pragma unroll
            for (int i = 0; i < ENGINE::ROWS; i++) {
                float most = -INFINITY;
#pragma unroll
                for (int j = 0; j < ENGINE::COLUMNS; j++) {
                    int c = ENGINE::column(j);
                    bool visible = seen[c] && (!p.causal || from + c <= first + ENGINE::row(i));
                    s[i][j] = visible ? s[i][j] * p.scale : -INFINITY;
                    most = fmaxf(most, s[i][j]);
                }
                most = fmaxf(ENGINE::row_max(most), top[i]);
                float base = most == -INFINITY ? 0.f : most; /* nothing visible so far: weights 0 */
                float shrink = ENGINE::exponential(top[i] - base);
                top[i] = most;
                sum[i] *= shrink;
#pragma unroll
                for (int j = 0; j < ENGINE::outputs(HD); j++) o[i][j] *= shrink;
#pragma unroll
                for (int j = 0; j < ENGINE::COLUMNS; j++) {
                    s[i][j] = ENGINE::exponential(s[i][j] - base);
                    sum[i] += s[i][j];
                }
            }
            if (p.dropout > 0.f) {
#pragma unroll
                for (int i = 0; i < ENGINE::ROWS; i++) {
#pragma unroll
                    for (int j = 0; j < ENGINE::COLUMNS; j++) {
                        s[i][j] *= attention_kept(p, h, first + ENGINE::row(i),
                                                  from + ENGINE::column(j), threshold, kept);
                    }
                }
            }
            ENGINE::template weigh<HD>(o, s, spare, v, live);
        }
        if (BUFFERS == 1 && from + TILE < end) {
            __syncthreads();
            start_keys(from + TILE, 0);
        }
    }
    if (!working) return;
#pragma unroll
    for (int i = 0; i < ENGINE::ROWS; i++) {
        sum[i] = ENGINE::row_sum(sum[i]);
        int r = ENGINE::row(i);
        if (p.lse && r < rows) { /* the same value from every thread of the row */
            p.lse[(int64_t)h.head * p.tokens_q + h.q_from + first + r] =
                sum[i] > 0.f ? top[i] + logf(sum[i]) : 0.f;
        }
    }
    int64_t width = (int64_t)p.heads * p.head_dim;
    store_rows<ENGINE, T, HD>((T *)p.out + (h.q_from + first) * width + column, o, width, rows,
                              p.head_dim, vec,
                              [&](int i) { return sum[i] > 0.f ? 1.f / sum[i] : 0.f; });
}

/* Backward, queries: dq = scale dS K, dS = P (dP - delta), dP = dO V^T (times dropout's factors).
 * The grid is the forward's. */
template <typename ENGINE, typename T, int HD>
static __global__ void __launch_bounds__(32 * BACKWARD_WARPS, HD > 64 ? 1 : 2)
    attention_dq_kernel(nn_attention_args p, bool vec)
{
    extern __shared__ float4 shared_raw[];
    __shared__ int seen[TILE];
    float *q = (float *)shared_raw, *dout = q + TILE * (HD + 4), *k = dout + TILE * (HD + 4);
    float *v = k + TILE * (HD + 4), *spare = v + TILE * (HD + 4);
    attention_head h = find_head(p);
    int first = (int)blockIdx.y * TILE, rows = min(TILE, h.nq - first);
    if (rows <= 0) return;
    bool working = (int)(threadIdx.x / 32) * 16 < rows;
    int64_t column = (int64_t)h.head * p.head_dim, width = (int64_t)p.heads * p.head_dim;
    int64_t row0 = h.q_from + first, statistics = (int64_t)h.head * p.tokens_q + row0;
    load_tile<ENGINE, T, HD, TILE>(q, (const T *)p.q + row0 * p.q_stride + column, p.q_stride, rows,
                                   p.head_dim, vec);
    load_tile<ENGINE, T, HD, TILE>(dout, (const T *)p.dout + row0 * width + column, width, rows,
                                   p.head_dim, vec);
    uint32_t threshold = dropout_threshold(p.dropout);
    float kept = 1.f / (1.f - p.dropout);

    float dq[ENGINE::ROWS][ENGINE::outputs(HD)], lse[ENGINE::ROWS], delta[ENGINE::ROWS];
#pragma unroll
    for (int i = 0; i < ENGINE::ROWS; i++) {
        int r = ENGINE::row(i);
        lse[i] = r < rows ? p.lse[statistics + r] : 0.f;
        delta[i] = r < rows ? p.delta[statistics + r] : 0.f;
#pragma unroll
        for (int j = 0; j < ENGINE::outputs(HD); j++) dq[i][j] = 0.f;
    }
    int end = p.causal ? min(h.nk, first + TILE) : h.nk;
    for (int from = 0; from < end; from += TILE) {
        int live = min(TILE, h.nk - from);
        __syncthreads();
        int64_t at = (h.k_from + from) * p.kv_stride + column;
        load_tile<ENGINE, T, HD, TILE>(k, (const T *)p.k + at, p.kv_stride, live, p.head_dim, vec);
        load_tile<ENGINE, T, HD, TILE>(v, (const T *)p.v + at, p.kv_stride, live, p.head_dim, vec);
        load_seen(seen, p, h, from);
        __syncthreads();
        if (!working) continue;
        float s[ENGINE::ROWS][ENGINE::COLUMNS], dp[ENGINE::ROWS][ENGINE::COLUMNS];
        ENGINE::template dot<HD>(s, q, k, live);
        ENGINE::template dot<HD>(dp, dout, v, live);
#pragma unroll
        for (int i = 0; i < ENGINE::ROWS; i++) {
            int query = first + ENGINE::row(i);
#pragma unroll
            for (int j = 0; j < ENGINE::COLUMNS; j++) {
                int c = ENGINE::column(j), key = from + c;
                bool visible = seen[c] && query < h.nq && (!p.causal || key <= query);
                float weight = visible ? ENGINE::exponential(s[i][j] * p.scale - lse[i]) : 0.f;
                float g = dp[i][j];
                if (p.dropout > 0.f) g *= attention_kept(p, h, query, key, threshold, kept);
                s[i][j] = weight * (g - delta[i]);
            }
        }
        ENGINE::template weigh<HD>(dq, s, spare, k, live);
    }
    if (!working) return;
    store_rows<ENGINE, T, HD>((T *)p.dq + row0 * p.q_stride + column, dq, p.q_stride, rows,
                              p.head_dim, vec, [&](int) { return p.scale; });
}

/* Backward, keys: the block's rows are keys and the columns queries, so that the weights come out
 * transposed: dv = P^T dO, dk = scale dS^T Q. Grid: (sequences * heads, ceil(longest_k / 64)). */
template <typename ENGINE, typename T, int HD>
static __global__ void __launch_bounds__(32 * BACKWARD_WARPS, HD > 64 ? 1 : 2)
    attention_dkv_kernel(nn_attention_args p, bool vec)
{
    extern __shared__ float4 shared_raw[];
    __shared__ int seen[TILE];
    __shared__ float lse[TILE], delta[TILE];
    float *k = (float *)shared_raw, *v = k + TILE * (HD + 4), *q = v + TILE * (HD + 4);
    float *dout = q + TILE * (HD + 4), *spare = dout + TILE * (HD + 4);
    attention_head h = find_head(p);
    int first = (int)blockIdx.y * TILE, rows = min(TILE, h.nk - first);
    if (rows <= 0) return;
    bool working = (int)(threadIdx.x / 32) * 16 < rows;
    int64_t column = (int64_t)h.head * p.head_dim, width = (int64_t)p.heads * p.head_dim;
    int64_t keys = (h.k_from + first) * p.kv_stride + column;
    load_tile<ENGINE, T, HD, TILE>(k, (const T *)p.k + keys, p.kv_stride, rows, p.head_dim, vec);
    load_tile<ENGINE, T, HD, TILE>(v, (const T *)p.v + keys, p.kv_stride, rows, p.head_dim, vec);
    load_seen(seen, p, h, first);
    uint32_t threshold = dropout_threshold(p.dropout);
    float kept = 1.f / (1.f - p.dropout);

    float dk[ENGINE::ROWS][ENGINE::outputs(HD)], dv[ENGINE::ROWS][ENGINE::outputs(HD)];
#pragma unroll
    for (int i = 0; i < ENGINE::ROWS; i++) {
#pragma unroll
        for (int j = 0; j < ENGINE::outputs(HD); j++) dk[i][j] = dv[i][j] = 0.f;
    }
    for (int from = p.causal ? first : 0; from < h.nq; from += TILE) {
        int live = min(TILE, h.nq - from);
        int64_t row0 = h.q_from + from, statistics = (int64_t)h.head * p.tokens_q + row0;
        __syncthreads();
        load_tile<ENGINE, T, HD, TILE>(q, (const T *)p.q + row0 * p.q_stride + column, p.q_stride,
                                       live, p.head_dim, vec);
        load_tile<ENGINE, T, HD, TILE>(dout, (const T *)p.dout + row0 * width + column, width, live,
                                       p.head_dim, vec);
        if (threadIdx.x < TILE) {
            bool there = (int)threadIdx.x < live;
            lse[threadIdx.x] = there ? p.lse[statistics + threadIdx.x] : 0.f;
            delta[threadIdx.x] = there ? p.delta[statistics + threadIdx.x] : 0.f;
        }
        __syncthreads();
        if (!working) continue;
        float s[ENGINE::ROWS][ENGINE::COLUMNS], dp[ENGINE::ROWS][ENGINE::COLUMNS];
        ENGINE::template dot<HD>(s, k, q, live);
        ENGINE::template dot<HD>(dp, v, dout, live);
#pragma unroll
        for (int i = 0; i < ENGINE::ROWS; i++) {
            int r = ENGINE::row(i), key = first + r;
#pragma unroll
            for (int j = 0; j < ENGINE::COLUMNS; j++) {
                int c = ENGINE::column(j), query = from + c;
                bool visible = seen[r] && c < live && (!p.causal || key <= query);
                float weight = visible ? ENGINE::exponential(s[i][j] * p.scale - lse[c]) : 0.f;
                float factor =
                    p.dropout > 0.f ? attention_kept(p, h, query, key, threshold, kept) : 1.f;
                s[i][j] = weight * factor;
                dp[i][j] = weight * (dp[i][j] * factor - delta[c]);
            }
        }
        ENGINE::template weigh<HD>(dv, s, spare, dout, live);
        ENGINE::template weigh<HD>(dk, dp, spare, q, live);
    }
    if (!working) return;
    store_rows<ENGINE, T, HD>((T *)p.dk + keys, dk, p.kv_stride, rows, p.head_dim, vec,
                              [&](int) { return p.scale; });
    store_rows<ENGINE, T, HD>((T *)p.dv + keys, dv, p.kv_stride, rows, p.head_dim, vec,
                              [&](int) { return 1.f; });
}

/* ---- host --------------------------------------------------------------------------------------
 */

static inline bool attention_vec(const nn_attention_args *p)
{
    const void *all[] = {p->q, p->k, p->v, p->out, p->dout, p->dq, p->dk, p->dv};
    bool vec = p->head_dim % 4 == 0 && p->q_stride % 4 == 0 && p->kv_stride % 4 == 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        vec = vec && nn_cuda_vec4(all[i], p->dtype);
    }
    return vec;
}

/* Launches `kernel` over blocks of `warps` warps, with `own` tiles of the block's 16 * warps rows
 * and `other` tiles of 64 rows in shared memory beside the engine's spare one. */
template <typename ENGINE, int HD, typename K>
static void launch_attention(nn_cuda *cu, const nn_attention_args *p, K kernel, int warps, int own,
                             int other, int64_t longest, const char *what)
{
    if (p->sequences == 0 || longest == 0) return;
    int rows = 16 * warps;
    int floats = (own * rows + other * TILE) * (HD + 4) + rows * ENGINE::SPARE_COLUMNS;
    int bytes = floats * (int)sizeof(float);
    nn_cuda_check(
        cu, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), what);
    dim3 grid((unsigned)(p->sequences * p->heads), (unsigned)nn_cuda_ceil_div(longest, rows));
    kernel<<<grid, 32 * warps, (size_t)bytes, cu->stream>>>(*p, attention_vec(p));
    nn_cuda_check(cu, cudaGetLastError(), what);
}

template <typename ENGINE, typename T, int HD>
static void run_attention_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    launch_attention<ENGINE, HD>(cu, p, attention_fwd_kernel<ENGINE, T, HD>, ENGINE::WARPS, 1,
                                 2 * ENGINE::BUFFERS, p->longest_q, "attention_fwd_kernel");
}

/* p->delta is filled already. */
template <typename ENGINE, typename T, int HD>
static void run_attention_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    launch_attention<ENGINE, HD>(cu, p, attention_dq_kernel<ENGINE, T, HD>, BACKWARD_WARPS, 2, 2,
                                 p->longest_q, "attention_dq_kernel");
    launch_attention<ENGINE, HD>(cu, p, attention_dkv_kernel<ENGINE, T, HD>, BACKWARD_WARPS, 2, 2,
                                 p->longest_k, "attention_dkv_kernel");
}

#endif
