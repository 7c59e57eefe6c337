/* nn/cuda/cuda_attention.cuh: what the kernels of attention over packed sequences share, whether
 * they compute in plain f32 (cuda_attention_simt.cu) or on tensor cores (cuda_attention_mma.cuh).
 *
 * All are flash attention (Dao et al. 2022): a block owns rows of one head of one sequence and
 * walks over tiles of the other side, keeping a running maximum and sum, so that no (L, L) matrix
 * is ever in device memory. Tiles count from the start of a sequence, so no row depends on what
 * else is in the batch.
 */
#ifndef NN_CUDA_ATTENTION_CUH
#define NN_CUDA_ATTENTION_CUH

#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"
#include "nn/cuda/cuda_mma.cuh"

#include <math.h>

/* One head of one sequence, as a block sees it. */
typedef struct attention_head {
    int64_t q_from, k_from; /* first rows in the packing */
    int nq, nk, head;
    uint64_t seed;
} attention_head;

static __device__ __forceinline__ attention_head find_head(const nn_attention_args &p, int64_t unit)
{
    attention_head h;
    int64_t sequence = unit / p.heads;
    h.head = (int)(unit - sequence * p.heads);
    h.q_from = p.offsets_q[sequence];
    h.k_from = p.offsets_k[sequence];
    h.nq = (int)(p.offsets_q[sequence + 1] - h.q_from);
    h.nk = (int)(p.offsets_k[sequence + 1] - h.k_from);
    h.seed = p.dropout > 0.f && p.state ? p.state->seed : p.seed;
    return h;
}

static __device__ __forceinline__ bool key_seen(const nn_attention_args &p, const attention_head &h,
                                                int key)
{
    return key < h.nk && (!p.key_mask || p.key_mask[h.k_from + key] != 0);
}

/* Dropout: philox blocks of four neighbouring keys that a query has, and the block of a key. */
static __device__ __forceinline__ uint64_t attention_blocks(const nn_attention_args &p)
{
    return (uint64_t)(p.longest_k + 3) / 4;
}

static __device__ __forceinline__ uint64_t attention_block(const nn_attention_args &p,
                                                           const attention_head &h, int query,
                                                           int key)
{
    uint64_t row = (uint64_t)h.head * (uint64_t)p.tokens_q + (uint64_t)(h.q_from + query);
    return row * attention_blocks(p) + (uint32_t)key / 4;
}

/* Rows [0, rows) of HEIGHT start on their way into shared memory, rows of HD columns and 16 bytes
 * of padding there, zeros below and right of the tile. `src` is the first row's first element of
 * this head; rows start on 16 bytes. */
template <typename T, int HD, int HEIGHT, int THREADS>
static __device__ __forceinline__ void copy_rows(T *tile, const T *src, int64_t stride, int rows,
                                                 int head_dim)
{
    constexpr int PER = 16 / (int)sizeof(T), CHUNKS = HD / PER, STEP = THREADS / CHUNKS;
    int mine = threadIdx.x;
    asm volatile("" : "+r"(mine)); /* so that no addresses are kept from tile to tile */
    int r = mine / CHUNKS, c = mine % CHUNKS * PER;
    uint32_t to = shared_address(tile + r * (HD + PER) + c);
    src += r * stride + c;
    rows = c < head_dim ? rows - r : 0;
#pragma unroll
    for (int from = 0; from < HEIGHT; from += STEP) {
        copy_async<16>(to, src, from < rows);
        to += STEP * (HD + PER) * (int)sizeof(T);
        src += STEP * stride;
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

/* Accesses of four elements are possible everywhere. */
static inline bool attention_vec(const nn_attention_args *p)
{
    const void *all[] = {p->q, p->k, p->v, p->out, p->dout, p->dq, p->dk, p->dv};
    bool vec = p->head_dim % 4 == 0 && p->q_stride % 4 == 0 && p->kv_stride % 4 == 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        vec = vec && nn_cuda_vec4(all[i], p->dtype);
    }
    return vec;
}

/* cuda_attention_simt.cu: any shape whose heads have at most 128 columns. */
extern "C" {
void nn_cuda_attention_simt_fwd(nn_cuda *cu, const nn_attention_args *p);
void nn_cuda_attention_simt_bwd(nn_cuda *cu, const nn_attention_args *p);
}

#endif
