/* nn/cuda/cuda_attention.cu: the special case of one query a sequence, and the choice between it,
 * the tensor cores (cuda_attention_mma.cuh) and plain arithmetic (cuda_attention_simt.cu).
 */
#include "nn/cuda/cuda_attention.cuh"

#define SINGLE_THREADS 128

/* One query a sequence (the class token of a last encoder layer). One warp takes one head of one
 * sequence: HD / 4 lanes hold a query of four columns each, so 32 * 4 / HD keys are scored at once,
 * each group with a running maximum of its own; four keys a group are in flight. Grid: 4 warps a
 * block over sequences * heads. Reads k and v once, which is all of its cost; the tile kernel would
 * compute 63 rows for nothing. */
template <typename T, int HD>
static __global__ void __launch_bounds__(SINGLE_THREADS)
    attention_single_kernel(nn_attention_args p, bool vec)
{
    nn_cuda_begin();
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
    uint64_t row = (uint64_t)head * (uint64_t)p.tokens_q + (uint64_t)q_row;
    uint64_t element = row * attention_blocks(p) * 4;
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
    auto kernel = p->head_dim <= 32   ? attention_single_kernel<T, 32>
                  : p->head_dim <= 64 ? attention_single_kernel<T, 64>
                                      : attention_single_kernel<T, 128>;
    nn_cuda_launch(cu, "attention_single_kernel", kernel, blocks, SINGLE_THREADS, 0, *p, vec);
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
    if (!nn_cuda_attention_mma_fwd(cu, p)) nn_cuda_attention_simt_fwd(cu, p);
}

void nn_cuda_attention_bwd(nn_backend *be, const nn_attention_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (!usable(cu, p)) return;
    if (!nn_cuda_attention_mma_bwd(cu, p)) nn_cuda_attention_simt_bwd(cu, p);
}
