/* nn/cuda/cuda_attention.cu: attention in plain f32 arithmetic for any head dimension up to 128,
 * the special case of one query a sequence, and the choice between these and the tensor cores.
 */
#include "nn/cuda/cuda_attention.cuh"

#define SINGLE_THREADS 128

/* 64 x 64 products by fused multiply-adds. A thread holds 8 rows by 4 columns of a score tile (rows
 * two apart, columns 16 apart) and 8 rows by HD/16 neighbouring columns of an output, so 12
 * shared-memory loads of 16 bytes feed 128 multiply-adds. A warp's 16 rows of weights pass through
 * shared memory between the two products. */
struct simt {
    static constexpr bool ROUNDS = false;
    static constexpr int WARPS = 4, BLOCKS = 3, BUFFERS = 1, ROWS = 8, COLUMNS = 4,
                         SPARE_COLUMNS = SPARE_STRIDE;
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
    static __device__ __forceinline__ float4 round(float4 v) { return v; }
    static __device__ __forceinline__ float exponential(float x) { return expf(x); }
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

/* One query a sequence (the class token of a last encoder layer). One warp takes one head of one
 * sequence: HD / 4 lanes hold a query of four columns each, so 32 * 4 / HD keys are scored at once,
 * each group with a running maximum of its own; four keys a group are in flight. Grid: 4 warps a
 * block over sequences * heads. Reads k and v once, which is all of its cost; the tile kernel would
 * compute 63 rows for nothing. */
template <typename T, int HD>
static __global__ void __launch_bounds__(SINGLE_THREADS)
    attention_single_kernel(nn_attention_args p, bool vec)
{
    constexpr int LANES = HD / 4, GROUPS = 32 / LANES, FLIGHT = 4;
    int64_t unit = (int64_t)blockIdx.x * 4 + (threadIdx.x >> 5);
    if (unit >= p.sequences * p.heads) return;
    int64_t sequence = unit / p.heads, head = unit - sequence * p.heads;
    int lane = threadIdx.x & 31, group = lane / LANES, at = lane % LANES * 4;
    int64_t q_row = p.offsets_q[sequence], k_from = p.offsets_k[sequence];
    int nk = (int)(p.offsets_k[sequence + 1] - k_from), there = p.head_dim - at;
    int64_t column = head * p.head_dim + at;
    float4 q = load4_part((const T *)p.q + q_row * p.q_stride + column, there, vec);
    uint64_t seed = p.state ? p.state->seed : p.seed;
    uint64_t element = ((uint64_t)head * (uint64_t)p.tokens_q + (uint64_t)q_row) * p.longest_k;
    uint32_t threshold = dropout_threshold(p.dropout);
    float kept = 1.f / (1.f - p.dropout);
    float top = -INFINITY, sum = 0.f;
    float4 o = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int from = 0; from < nk; from += GROUPS * FLIGHT) {
        float4 k[FLIGHT], v[FLIGHT];
        float s[FLIGHT], most = top;
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            int key = from + f * GROUPS + group;
            int64_t row = (k_from + key) * p.kv_stride + column;
            int64_t n = key < nk ? there : 0;
            k[f] = load4_part((const T *)p.k + row, n, vec);
            v[f] = load4_part((const T *)p.v + row, n, vec);
        }
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            int key = from + f * GROUPS + group;
            s[f] = q.x * k[f].x + q.y * k[f].y + q.z * k[f].z + q.w * k[f].w;
#pragma unroll
            for (int step = LANES / 2; step > 0; step >>= 1) {
                s[f] += __shfl_xor_sync(0xffffffffu, s[f], step);
            }
            bool visible = key < nk && (!p.key_mask || p.key_mask[k_from + key] != 0);
            s[f] = visible ? s[f] * p.scale : -INFINITY;
            most = fmaxf(most, s[f]);
        }
        float base = most == -INFINITY ? 0.f : most, shrink = expf(top - base);
        top = most;
        sum *= shrink;
        o = make_float4(o.x * shrink, o.y * shrink, o.z * shrink, o.w * shrink);
#pragma unroll
        for (int f = 0; f < FLIGHT; f++) {
            float weight = expf(s[f] - base);
            sum += weight;
            if (p.dropout > 0.f) {
                uint64_t key = (uint64_t)(from + f * GROUPS + group);
                weight *= philox_word(seed, p.site, element + key) >= threshold ? kept : 0.f;
            }
            o = make_float4(fmaf(weight, v[f].x, o.x), fmaf(weight, v[f].y, o.y),
                            fmaf(weight, v[f].z, o.z), fmaf(weight, v[f].w, o.w));
        }
    }
#pragma unroll
    for (int step = LANES; step < 32; step <<= 1) { /* join the groups */
        float other = __shfl_xor_sync(0xffffffffu, top, step), most = fmaxf(top, other);
        float mine = most == -INFINITY ? 0.f : expf(top - most);
        float theirs = most == -INFINITY ? 0.f : expf(other - most);
        top = most;
        sum = sum * mine + __shfl_xor_sync(0xffffffffu, sum, step) * theirs;
        o = make_float4(o.x * mine + __shfl_xor_sync(0xffffffffu, o.x, step) * theirs,
                        o.y * mine + __shfl_xor_sync(0xffffffffu, o.y, step) * theirs,
                        o.z * mine + __shfl_xor_sync(0xffffffffu, o.z, step) * theirs,
                        o.w * mine + __shfl_xor_sync(0xffffffffu, o.w, step) * theirs);
    }
    if (group > 0) return;
    if (p.lse && lane == 0) p.lse[head * p.tokens_q + q_row] = sum > 0.f ? top + logf(sum) : 0.f;
    float by = sum > 0.f ? 1.f / sum : 0.f;
    store4_part((T *)p.out + q_row * p.heads * p.head_dim + column,
                make_float4(o.x * by, o.y * by, o.z * by, o.w * by), there, vec);
}

/* delta[head][q] = dout . out, which the backward subtracts from every dP of the row. One thread
 * takes one head of one row and adds in the order in which the f32 engine forms dP, so that a query
 * which sees a single key gets exactly no gradient. */
template <typename T>
static __global__ void __launch_bounds__(256) attention_delta_kernel(nn_attention_args p, bool vec)
{
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

/* ---- choice ------------------------------------------------------------------------------------
 */

static bool usable(nn_cuda *cu, const nn_attention_args *p)
{
    if (p->head_dim >= 1 && p->head_dim <= 128) return true;
    nn_cuda_fail(cu, "%s: attention's heads may have 1 to 128 columns, not %d", cu->base.device,
                 p->head_dim);
    return false;
}

template <typename T> static void single_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    unsigned blocks = (unsigned)nn_cuda_ceil_div(p->sequences * p->heads, 4);
    bool vec = attention_vec(p) && nn_cuda_vec4(p->out, p->dtype);
    if (p->head_dim <= 32) {
        attention_single_kernel<T, 32><<<blocks, SINGLE_THREADS, 0, cu->stream>>>(*p, vec);
    } else if (p->head_dim <= 64) {
        attention_single_kernel<T, 64><<<blocks, SINGLE_THREADS, 0, cu->stream>>>(*p, vec);
    } else {
        attention_single_kernel<T, 128><<<blocks, SINGLE_THREADS, 0, cu->stream>>>(*p, vec);
    }
    nn_cuda_check(cu, cudaGetLastError(), "attention_single_kernel");
}

template <typename T> static void simt_fwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (p->head_dim <= 32)
        run_attention_fwd<simt, T, 32>(cu, p);
    else if (p->head_dim <= 64)
        run_attention_fwd<simt, T, 64>(cu, p);
    else
        run_attention_fwd<simt, T, 128>(cu, p);
}

template <typename T> static void simt_bwd(nn_cuda *cu, const nn_attention_args *p)
{
    if (p->head_dim <= 32)
        run_attention_bwd<simt, T, 32>(cu, p);
    else if (p->head_dim <= 64)
        run_attention_bwd<simt, T, 64>(cu, p);
    else
        run_attention_bwd<simt, T, 128>(cu, p);
}

void nn_cuda_attention_fwd(nn_backend *be, const nn_attention_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (p->tokens_q == 0 || !usable(cu, p)) return;
    /* Never for self-attention: there a batch of one-row sequences must give the bits that the tile
     * kernels give those rows in another batch. */
    bool single = p->longest_q == 1 && p->tokens_q == p->sequences &&
                  p->offsets_q != p->offsets_k && !p->causal;
    if (single) {
        if (p->dtype == NN_BF16)
            single_fwd<bf16>(cu, p);
        else
            single_fwd<float>(cu, p);
        return;
    }
    if (nn_cuda_attention_mma_fwd(cu, p)) return;
    if (p->dtype == NN_BF16)
        simt_fwd<bf16>(cu, p);
    else
        simt_fwd<float>(cu, p);
}

void nn_cuda_attention_bwd(nn_backend *be, const nn_attention_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (!usable(cu, p)) return;
    if (p->tokens_q > 0) {
        unsigned blocks = (unsigned)nn_cuda_ceil_div(p->tokens_q * p->heads, 256);
        bool vec = p->head_dim % 4 == 0 && nn_cuda_vec4(p->dout, p->dtype) &&
                   nn_cuda_vec4(p->out, p->dtype);
        if (p->dtype == NN_BF16) {
            attention_delta_kernel<bf16><<<blocks, 256, 0, cu->stream>>>(*p, vec);
        } else {
            attention_delta_kernel<float><<<blocks, 256, 0, cu->stream>>>(*p, vec);
        }
        nn_cuda_check(cu, cudaGetLastError(), "attention_delta_kernel");
    }
    if (nn_cuda_attention_mma_bwd(cu, p)) return;
    if (p->dtype == NN_BF16)
        simt_bwd<bf16>(cu, p);
    else
        simt_bwd<float>(cu, p);
}
