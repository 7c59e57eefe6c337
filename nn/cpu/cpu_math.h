/* nn/cpu/cpu_math.h: exp, the logistic function and the normal distribution for single precision,
 * written without branches or calls so that the compiler turns loops over them into vector code.
 *
 * The polynomials were fitted to these functions over the stated ranges (minimax of the relative
 * error). tests/unit/test_nn_math.c holds them against double precision.
 */
#ifndef NN_CPU_MATH_H
#define NN_CPU_MATH_H

#include <stdint.h>
#include <string.h>

static inline float cpu_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t cpu_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* e^x within 1.5 ulp; 0 below -87 (no denormals), inf above 88.7. NaN stays NaN.
 *
 * x = n ln 2 + r with n whole and |r| <= ln(2)/2. Adding 1.5 2^23 leaves n in the low bits of the
 * sum, so 2^n is made with integer operations and no conversion. 2^n is applied in two factors
 * because n may be 128. */
static inline float cpu_exp(float x)
{
    const float magic = 12582912.0f, lowest = -87.0f, highest = 88.8f;
    float z = x < lowest ? lowest : x;
    z = z > highest ? highest : z;
    float shifted = z * 1.44269504f + magic;
    float n = shifted - magic;
    float r = __builtin_fmaf(n, -0.693359375f, z); /* ln 2 in two parts, the first exact times n */
    r = __builtin_fmaf(n, 2.12194440e-4f, r);
    float q = 0x1.6a242ep-10f; /* (e^r - 1 - r) / r^2, relative error of e^r 3e-9 */
    q = __builtin_fmaf(q, r, 0x1.1239e4p-7f);
    q = __builtin_fmaf(q, r, 0x1.5558f2p-5f);
    q = __builtin_fmaf(q, r, 0x1.555492p-3f);
    q = __builtin_fmaf(q, r, 0x1.fffffcp-2f);
    float y = 1.0f + __builtin_fmaf(q * r, r, r);
    int32_t power = (int32_t)(cpu_bits(shifted) - cpu_bits(magic));
    uint32_t half = (uint32_t)(power >> 1), rest = (uint32_t)power - half;
    y = y * cpu_float((half + 127) << 23) * cpu_float((rest + 127) << 23);
    return x < lowest ? 0.0f : y;
}

/* 1 / (1 + e^-x) */
static inline float cpu_sigmoid(float x)
{
    return 1.0f / (1.0f + cpu_exp(-x));
}

/* The standard normal distribution at x and, in *density, e^(-x^2/2) / sqrt(2 pi).
 *
 * With t = |x| / sqrt 2 the tail is erfc(t)/2 = e^(-t^2) u p(u), u = 1 / (1 + 0.4 t): p was fitted
 * for t <= 9.4, beyond which e^(-t^2) is 0 in single precision. Relative error 3e-7 on either side.
 */
static inline float cpu_normal(float x, float *density)
{
    float t = __builtin_fabsf(x) * 0.707106781f;
    float e = cpu_exp(-0.5f * x * x);
    float u = 1.0f / __builtin_fmaf(0.4f, t, 1.0f);
    float s = (u - 0.605042017f) * 2.53191489f; /* u in [0.21, 1] to [-1, 1] */
    float p = -3.60154826e-06f;
    p = __builtin_fmaf(p, s, 1.09182815e-05f);
    p = __builtin_fmaf(p, s, 5.24904581e-05f);
    p = __builtin_fmaf(p, s, -1.63469796e-04f);
    p = __builtin_fmaf(p, s, -8.42840539e-04f);
    p = __builtin_fmaf(p, s, 1.29128923e-03f);
    p = __builtin_fmaf(p, s, 1.87817010e-02f);
    p = __builtin_fmaf(p, s, 7.09379286e-02f);
    p = __builtin_fmaf(p, s, 1.60985742e-01f);
    p = __builtin_fmaf(p, s, 2.48949846e-01f);
    float tail = e * u * p;
    *density = 0.398942280f * e;
    return x > 0 ? 1.0f - tail : tail;
}

/* Upper half of the bits of a float, rounded to nearest, ties to even; NaN stays NaN. */
static inline uint16_t cpu_to_bf16(float x)
{
    uint32_t bits = cpu_bits(x);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
    uint32_t quiet = (bits >> 16) | 0x40u;
    return (uint16_t)(x != x ? quiet : rounded);
}

static inline float cpu_from_bf16(uint16_t h)
{
    return cpu_float((uint32_t)h << 16);
}

#endif
