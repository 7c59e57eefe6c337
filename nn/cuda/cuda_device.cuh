/* nn/cuda/cuda_device.cuh: the small device functions that several kernels use: loads and stores of
 * neighbouring elements as f32, sums over a warp or a block, philox, dropout, and the activations
 * with derivatives.
 */
#ifndef NN_CUDA_DEVICE_CUH
#define NN_CUDA_DEVICE_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "nn/backend.h"

typedef __nv_bfloat16 bf16;

static __device__ __forceinline__ float load1(const float *p)
{
    return *p;
}
static __device__ __forceinline__ float load1(const bf16 *p)
{
    return __bfloat162float(*p);
}
static __device__ __forceinline__ void store1(float *p, float v)
{
    *p = v;
}
static __device__ __forceinline__ void store1(bf16 *p, float v)
{
    *p = __float2bfloat16_rn(v);
}

/* Four elements in one access; p is aligned to four elements. */
static __device__ __forceinline__ float4 load4(const float *p)
{
    return *reinterpret_cast<const float4 *>(p);
}

static __device__ __forceinline__ float4 load4(const bf16 *p)
{
    uint2 raw = *reinterpret_cast<const uint2 *>(p);
    /* bf16 is the upper half of an f32. */
    return make_float4(__uint_as_float(raw.x << 16), __uint_as_float(raw.x & 0xffff0000u),
                       __uint_as_float(raw.y << 16), __uint_as_float(raw.y & 0xffff0000u));
}

static __device__ __forceinline__ void store4(float *p, float4 v)
{
    *reinterpret_cast<float4 *>(p) = v;
}

static __device__ __forceinline__ void store4(bf16 *p, float4 v)
{
    __nv_bfloat162 lo = __floats2bfloat162_rn(v.x, v.y), hi = __floats2bfloat162_rn(v.z, v.w);
    uint2 raw;
    raw.x = *reinterpret_cast<const uint32_t *>(&lo);
    raw.y = *reinterpret_cast<const uint32_t *>(&hi);
    *reinterpret_cast<uint2 *>(p) = raw;
}

/* The same where fewer than four may be there (the rest reads as 0) or p may not be aligned. */
template <typename T>
static __device__ __forceinline__ float4 load4_part(const T *p, int64_t there, bool vec)
{
    if (vec && there >= 4) return load4(p);
    float4 v = make_float4(0.f, 0.f, 0.f, 0.f);
    if (there > 0) v.x = load1(p);
    if (there > 1) v.y = load1(p + 1);
    if (there > 2) v.z = load1(p + 2);
    if (there > 3) v.w = load1(p + 3);
    return v;
}

template <typename T>
static __device__ __forceinline__ void store4_part(T *p, float4 v, int64_t there, bool vec)
{
    if (vec && there >= 4) {
        store4(p, v);
        return;
    }
    if (there > 0) store1(p, v.x);
    if (there > 1) store1(p + 1, v.y);
    if (there > 2) store1(p + 2, v.z);
    if (there > 3) store1(p + 3, v.w);
}

static __device__ __forceinline__ void accumulate4(float4 &a, float4 b)
{
    a = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

static __device__ __forceinline__ float4 scaled4(float4 v, float by)
{
    return make_float4(by * v.x, by * v.y, by * v.z, by * v.w);
}

/* ---- runs --------------------------------------------------------------------------------------
 * A run is E neighbouring elements as they lie in memory, moved in one access: RUN<T> of them, 16
 * bytes, where rows and pointers allow that, else 1. It is widened to f32 only where it is needed,
 * which lets a kernel send for several runs before it waits for the first: a conversion right
 * behind its load, or a branch around both, would make every load wait for the one before.
 */

template <typename T> constexpr int RUN = 16 / (int)sizeof(T);

template <typename T, int E> struct run_of {
    T raw;
};
template <> struct run_of<float, 4> {
    float4 raw;
};
template <> struct run_of<bf16, 8> {
    uint4 raw;
};

/* The run that starts at p; zeros where it is not `there`. */
template <typename T, int E>
static __device__ __forceinline__ run_of<T, E> load_run(const T *p, bool there)
{
    run_of<T, E> r = {};
    if (there) r = *reinterpret_cast<const run_of<T, E> *>(p);
    return r;
}

static __device__ __forceinline__ void widen(float (&v)[1], const run_of<float, 1> &r)
{
    v[0] = r.raw;
}
static __device__ __forceinline__ void widen(float (&v)[1], const run_of<bf16, 1> &r)
{
    v[0] = __bfloat162float(r.raw);
}
static __device__ __forceinline__ void widen(float (&v)[4], const run_of<float, 4> &r)
{
    v[0] = r.raw.x, v[1] = r.raw.y, v[2] = r.raw.z, v[3] = r.raw.w;
}
static __device__ __forceinline__ void widen(float (&v)[8], const run_of<bf16, 8> &r)
{
    const uint32_t word[4] = {r.raw.x, r.raw.y, r.raw.z, r.raw.w};
#pragma unroll
    for (int i = 0; i < 4; i++) { /* bf16 is the upper half of an f32 */
        v[2 * i] = __uint_as_float(word[i] << 16);
        v[2 * i + 1] = __uint_as_float(word[i] & 0xffff0000u);
    }
}

/* An assignment of 16 bytes is sometimes taken apart into four stores; this is not. */
static __device__ __forceinline__ void store16(void *p, uint4 v)
{
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z),
                 "r"(v.w)
                 : "memory");
}

static __device__ __forceinline__ void store_run(float *p, const float (&v)[1])
{
    store1(p, v[0]);
}
static __device__ __forceinline__ void store_run(bf16 *p, const float (&v)[1])
{
    store1(p, v[0]);
}
static __device__ __forceinline__ void store_run(float *p, const float (&v)[4])
{
    store16(p, make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]),
                          __float_as_uint(v[3])));
}
static __device__ __forceinline__ void store_run(bf16 *p, const float (&v)[8])
{
    uint32_t word[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        __nv_bfloat162 two = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
        word[i] = *reinterpret_cast<const uint32_t *>(&two);
    }
    store16(p, make_uint4(word[0], word[1], word[2], word[3]));
}

/* E f32 from and to memory, aligned to 16 bytes where E is not 1. */
template <int E> static __device__ __forceinline__ void load_floats(float (&v)[E], const float *p)
{
    if constexpr (E == 1) {
        v[0] = *p;
    } else {
#pragma unroll
        for (int i = 0; i < E; i += 4) {
            float4 four = load4(p + i);
            v[i] = four.x, v[i + 1] = four.y, v[i + 2] = four.z, v[i + 3] = four.w;
        }
    }
}

template <int E> static __device__ __forceinline__ void store_floats(float *p, const float (&v)[E])
{
    if constexpr (E == 1) {
        *p = v[0];
    } else {
#pragma unroll
        for (int i = 0; i < E; i += 4) {
            store4(p + i, make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]));
        }
    }
}

/* Sums over the 32 lanes by butterfly: every lane gets the same bits. */
template <typename A> static __device__ __forceinline__ A warp_sum(A v)
{
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(0xffffffffu, v, step);
    return v;
}

static __device__ __forceinline__ float warp_max(float v)
{
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) {
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, step));
    }
    return v;
}

/* Sum over a one-dimensional block of at most 1024 threads, whole warps; valid in thread 0.
 * `shared` holds 32 values; may be called again at once. */
template <typename A> static __device__ __forceinline__ A block_sum(A v, A *shared)
{
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    v = warp_sum(v);
    __syncthreads();
    if (lane == 0) shared[warp] = v;
    __syncthreads();
    if (warp == 0) v = warp_sum(lane < warps ? shared[lane] : A(0));
    return v;
}

/* True in the last of `blocks` one-dimensional blocks that come here with the same counter, which
 * is 0 before and after. That block sees what all of them wrote, if it reads it past L1 (__ldcg).
 */
static __device__ __forceinline__ bool last_to_arrive(unsigned *counter, unsigned blocks)
{
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicInc(counter, blocks - 1) == blocks - 1;
        __threadfence();
    }
    __syncthreads();
    return last;
}

/* core/rng.h's me_philox on the device: blocks `first`, first + step, ... of a site, N at once,
 * which share the round's key. */
template <int N>
static __device__ __forceinline__ void philox(uint4 (&w)[N], uint64_t seed, uint32_t site,
                                              uint64_t first, uint64_t step)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma unroll
    for (int i = 0; i < N; i++) {
        const uint64_t counter = first + i * step;
        w[i] = make_uint4((uint32_t)counter, (uint32_t)(counter >> 32), site, 0);
    }
#pragma unroll
    for (int round = 0; round < 10; round++) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            const uint32_t high0 = __umulhi(0xD2511F53u, w[i].x), low0 = 0xD2511F53u * w[i].x;
            const uint32_t high1 = __umulhi(0xCD9E8D57u, w[i].z), low1 = 0xCD9E8D57u * w[i].z;
            w[i] = make_uint4(high1 ^ w[i].y ^ k0, low1, high0 ^ w[i].w ^ k1, low0);
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

static __device__ __forceinline__ uint4 philox(uint64_t seed, uint32_t site, uint64_t counter)
{
    uint4 w[1];
    philox(w, seed, site, counter, 0);
    return w[0];
}

/* Word i % 4 of block i / 4: the random word of element i. */
static __device__ __forceinline__ uint32_t philox_word(uint64_t seed, uint32_t site, uint64_t i)
{
    uint4 w = philox(seed, site, i >> 2);
    uint32_t low = (i & 1) ? w.y : w.x, high = (i & 1) ? w.w : w.z;
    return (i & 2) ? high : low;
}

/* Bit i: the element that draws word i stays. */
static __device__ __forceinline__ uint32_t kept_four(uint4 w, uint32_t threshold)
{
    return (w.x >= threshold ? 1u : 0u) | (w.y >= threshold ? 2u : 0u) |
           (w.z >= threshold ? 4u : 0u) | (w.w >= threshold ? 8u : 0u);
}

static __device__ __forceinline__ double open_uniform(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return ((double)bits + 0.5) * 0x1p-53;
}

/* The two normal numbers of pair `pair` of a sequence's stream (nn_noise_args). */
static __device__ __forceinline__ void normals(double z[2], const int32_t *stream, uint64_t pair)
{
    uint64_t seed = (uint32_t)stream[0] | (uint64_t)(uint32_t)stream[1] << 32;
    uint4 w = philox(seed, (uint32_t)stream[2], pair);
    double r = sqrt(-2 * log(open_uniform(w.x, w.y)));
    sincospi(2 * open_uniform(w.z, w.w), &z[1], &z[0]);
    z[0] *= r;
    z[1] *= r;
}

/* nn/backend.h's nn_dropout_threshold on the device. */
static __device__ __forceinline__ uint32_t dropout_threshold(float p)
{
    return (uint32_t)((double)p * 4294967296.0);
}

static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.f / (1.f + expf(-x));
}

/* The constants are 1/sqrt(2) and 2 sqrt(2/pi). */
static __device__ __forceinline__ float act_value(float x, nn_act act)
{
    switch (act) {
    case NN_ACT_GELU_ERF:
        return 0.5f * x * (1.f + erff(x * 0.70710678118654752f));
    case NN_ACT_GELU_TANH:
        /* (1 + tanh(u)) / 2 is 1 / (1 + exp(-2u)), which does not cancel: the fast exponential's
         * error of some 1e-7 stays that small in the result. */
        return __fdividef(x, 1.f + __expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
    case NN_ACT_SILU:
        return x * sigmoid(x);
    case NN_ACT_QUICK_GELU:
        return x * sigmoid(1.702f * x);
    default:
        return x;
    }
}

static __device__ __forceinline__ float act_slope(float x, nn_act act)
{
    switch (act) {
    case NN_ACT_GELU_ERF:
        /* Phi(x) + x phi(x); 0.3989... is 1/sqrt(2 pi). */
        return 0.5f * (1.f + erff(x * 0.70710678118654752f)) +
               x * 0.39894228040143268f * expf(-0.5f * x * x);
    case NN_ACT_GELU_TANH: {
        float t = tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x));
        float inner = 0.79788456080286536f * (1.f + 3.f * 0.044715f * x * x);
        return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * inner;
    }
    case NN_ACT_SILU: {
        float s = sigmoid(x);
        return s * (1.f + x * (1.f - s));
    }
    case NN_ACT_QUICK_GELU: {
        float s = sigmoid(1.702f * x);
        return s * (1.f + 1.702f * x * (1.f - s));
    }
    default:
        return 1.f;
    }
}

/* Dropout made ready for a kernel: what is the same for every element is worked out once, the seed
 * above all, which may have to be fetched. */
typedef struct dropout {
    uint64_t seed;
    uint32_t site, threshold;
    float scale; /* of what is kept */
    bool on;
} dropout;

static __device__ __forceinline__ dropout dropout_of(const nn_drop &d)
{
    dropout ready = {0, d.site, 0, 1.f, d.p > 0.f};
    if (ready.on) {
        ready.seed = d.state ? d.state->seed : d.seed;
        ready.threshold = dropout_threshold(d.p);
        ready.scale = 1.f / (1.f - d.p);
    }
    return ready;
}

/* Where a run of E elements has whole philox blocks, E is a multiple of 4 and so must be the number
 * of its first element; else E is 1. */
template <int E> constexpr int BLOCKS = E / 4;

/* What N runs of E elements are multiplied by; they begin at number `first`, first + step, ... */
template <int N, int E>
static __device__ __forceinline__ void drop_factors(float (&factor)[N][E], const dropout &d,
                                                    uint64_t first, uint64_t step)
{
#pragma unroll
    for (int r = 0; r < N; r++) {
#pragma unroll
        for (int i = 0; i < E; i++) factor[r][i] = 1.f;
    }
    if (!d.on) return;
    if constexpr (E == 1) {
#pragma unroll
        for (int r = 0; r < N; r++) {
            uint32_t w = philox_word(d.seed, d.site, first + r * step);
            factor[r][0] = w >= d.threshold ? d.scale : 0.f;
        }
    } else {
        uint4 w[BLOCKS<E>][N];
#pragma unroll
        for (int b = 0; b < BLOCKS<E>; b++) {
            philox(w[b], d.seed, d.site, (first >> 2) + b, step >> 2);
#pragma unroll
            for (int r = 0; r < N; r++) {
                factor[r][4 * b] = w[b][r].x >= d.threshold ? d.scale : 0.f;
                factor[r][4 * b + 1] = w[b][r].y >= d.threshold ? d.scale : 0.f;
                factor[r][4 * b + 2] = w[b][r].z >= d.threshold ? d.scale : 0.f;
                factor[r][4 * b + 3] = w[b][r].w >= d.threshold ? d.scale : 0.f;
            }
        }
    }
}

/* Of one run, as bits, for later: bit i is set where element i is kept. */
template <int E>
static __device__ __forceinline__ uint32_t kept_bits(const dropout &d, uint64_t first)
{
    if (!d.on) return 0xffffffffu >> (32 - E);
    if constexpr (E == 1) {
        return philox_word(d.seed, d.site, first) >= d.threshold;
    } else {
        uint4 w[BLOCKS<E>];
        uint32_t bits = 0;
        philox(w, d.seed, d.site, first >> 2, 1);
#pragma unroll
        for (int i = 0; i < BLOCKS<E>; i++) bits |= kept_four(w[i], d.threshold) << 4 * i;
        return bits;
    }
}

/* Drops and scales E elements as bits `from` on of `kept` say. */
template <int E>
static __device__ __forceinline__ void drop_run(float (&v)[E], const dropout &d, uint32_t kept,
                                                int from)
{
#pragma unroll
    for (int i = 0; i < E; i++) v[i] = kept >> (from + i) & 1 ? v[i] * d.scale : 0.f;
}

/* 2^x and 1/x by the multifunction unit: some 2 ulp, denormal results are 0. */
static __device__ __forceinline__ float fast_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
static __device__ __forceinline__ float fast_reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Value and slope together, which share their exponential; GELU's is good to some 1e-7, which is
 * enough beside a product of tensor cores and for gradients. The error function is formula 7.1.26
 * of Abramowitz and Stegun: erfc(z) = t (a1 + t (a2 + ...)) exp(-z^2), t = 1 / (1 + p z). */
static __device__ __forceinline__ void act_both(float &value, float &slope, float x, nn_act act)
{
    switch (act) {
    case NN_ACT_GELU_ERF: {
        float density = fast_exp2(-0.72134752f * x * x); /* exp(-x^2 / 2) */
        float t = fast_reciprocal(1.f + 0.3275911f * 0.70710678f * fabsf(x));
        float half =
            t * (0.127414796f +
                 t * (-0.142248368f + t * (0.710706871f + t * (-0.726576014f + t * 0.530702715f))));
        float tail = half * density; /* Phi(-|x|) */
        float below = x < 0.f ? tail : 1.f - tail;
        value = x * below;
        slope = below + x * 0.39894228f * density;
        break;
    }
    case NN_ACT_GELU_TANH: {
        /* The constants are 2 sqrt(2/pi) log2(e) and that times 0.044715. */
        float s = fast_reciprocal(1.f + fast_exp2(x * (-2.3022082f - 0.10294324f * x * x)));
        value = x * s;
        slope = s + value * (1.f - s) * 1.5957691f * (1.f + 3.f * 0.044715f * x * x);
        break;
    }
    default:
        value = act_value(x, act);
        slope = act_slope(x, act);
    }
}

static __device__ __forceinline__ float4 act_value4(float4 v, nn_act act)
{
    return make_float4(act_value(v.x, act), act_value(v.y, act), act_value(v.z, act),
                       act_value(v.w, act));
}

#endif
