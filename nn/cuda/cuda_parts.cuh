/* nn/cuda/cuda_parts.cuh: an f32 as the sum of two fp16, so that tensor cores multiply in single
 * precision.
 *
 * Numbers that share a power of two are brought below 2^15 by it; then the first fp16 holds the
 * upper 11 bits and the second the 11 that follow. A product is the sum of three, high high, high
 * low and low high; what is left out is some 2^-22 of it, with either sign. A number has all its 22
 * bits down to 2^-17 of the largest that shares its power, and then fewer: its error is 2^-39 of
 * that one. What is not finite makes NaN of its products, never a number.
 */
#ifndef NN_CUDA_PARTS_CUH
#define NN_CUDA_PARTS_CUH

#include <cuda_fp16.h>
#include <stdint.h>

/* Powers of two that bring what is at most `most` below 2^15, and back. */
typedef struct scale {
    float to, back;
} scale;

static __device__ __forceinline__ scale scale_of(float most)
{
    const uint32_t exponent = max(__float_as_uint(most) & 0x7f800000u, 15u << 23);
    return {__uint_as_float((268u << 23) - exponent), __uint_as_float(exponent - (14u << 23))};
}

/* Two f32 below 2^15 as fp16 in two parts, each part in a word. */
static __device__ __forceinline__ void split(uint32_t &high, uint32_t &low, float u, float v)
{
    const __half2 h = __floats2half2_rn(u, v);
    const float2 back = __half22float2(h);
    const __half2 l = __floats2half2_rn(u - back.x, v - back.y);
    high = *reinterpret_cast<const uint32_t *>(&h);
    low = *reinterpret_cast<const uint32_t *>(&l);
}

static __device__ __forceinline__ float largest(float most, float4 x)
{
    return fmaxf(fmaxf(fmaxf(most, fabsf(x.x)), fmaxf(fabsf(x.y), fabsf(x.z))), fabsf(x.w));
}

static __device__ __forceinline__ float finite(float x)
{
    return fabsf(x) < INFINITY ? x : 0.f;
}

/* The largest of all lanes' numbers, which are not negative. */
static __device__ __forceinline__ float warp_largest(float most)
{
    return __uint_as_float(__reduce_max_sync(0xffffffffu, __float_as_uint(most)));
}

/* The scale of what a warp's lanes hold. What is not finite has no say, and makes NaN of its own
 * results alone. */
template <int N> static __device__ __forceinline__ scale warp_scale(const float4 (&x)[N])
{
    float most = 0.f;
#pragma unroll
    for (int i = 0; i < N; i++) most = largest(most, x[i]);
    most = warp_largest(most);
    if (most == INFINITY) {
        most = 0.f;
#pragma unroll
        for (int i = 0; i < N; i++) {
            most = largest(
                most, make_float4(finite(x[i].x), finite(x[i].y), finite(x[i].z), finite(x[i].w)));
        }
        most = warp_largest(most);
    }
    return scale_of(most);
}

#endif
