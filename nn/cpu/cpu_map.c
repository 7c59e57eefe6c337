/* nn/cpu/cpu_map.c: elementwise operations and conversions.
 *
 * Work is cut into chunks of CHUNK elements; an element's value never depends on the cut.
 */
#include "nn/cpu/cpu_priv.h"

#include <math.h>
#include <omp.h>

#include "core/rng.h"
#include "nn/cpu/cpu_math.h"

#define CHUNK 16384

static int64_t chunk_end(int64_t from, int64_t n)
{
    return from + CHUNK < n ? from + CHUNK : n;
}

/* ---- activations -------------------------------------------------------------------------------
 */

/* GELU in its tanh form is x sigma(2u), u = sqrt(2/pi) (x + 0.044715 x^3): (1 + tanh u) / 2 =
 * sigma(2u). */
#define GELU_2A 1.59576912f /* 2 sqrt(2/pi) */
#define GELU_C 0.044715f
#define QUICK 1.702f

static inline float gelu_erf(float x)
{
    float density;
    return x * cpu_normal(x, &density);
}
static inline float gelu_tanh(float x)
{
    return x * cpu_sigmoid(GELU_2A * (x + GELU_C * x * x * x));
}
static inline float silu(float x)
{
    return x * cpu_sigmoid(x);
}
static inline float quick_gelu(float x)
{
    return x * cpu_sigmoid(QUICK * x);
}

static inline float gelu_erf_slope(float x)
{
    float density, below = cpu_normal(x, &density);
    return below + x * density;
}
static inline float gelu_tanh_slope(float x)
{
    float s = cpu_sigmoid(GELU_2A * (x + GELU_C * x * x * x));
    return s + x * s * (1 - s) * GELU_2A * (1 + 3 * GELU_C * x * x);
}
static inline float silu_slope(float x)
{
    float s = cpu_sigmoid(x);
    return s + x * s * (1 - s);
}
static inline float quick_gelu_slope(float x)
{
    float s = cpu_sigmoid(QUICK * x);
    return s + QUICK * x * s * (1 - s);
}

#define MAP(f)                                                                                     \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = f(x[i]);                            \
    break

void nn_cpu_act(float *y, const float *x, int64_t n, nn_act act)
{
    switch (act) {
    case NN_ACT_GELU_ERF:
        MAP(gelu_erf);
    case NN_ACT_GELU_TANH:
        MAP(gelu_tanh);
    case NN_ACT_SILU:
        MAP(silu);
    case NN_ACT_QUICK_GELU:
        MAP(quick_gelu);
    default:
        for (int64_t i = 0; i < n; i++) y[i] = x[i];
    }
}

#undef MAP
#define MAP(f)                                                                                     \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = dy[i] * f(x[i]);                    \
    break

void nn_cpu_act_slope(float *y, const float *dy, const float *x, int64_t n, nn_act act)
{
    switch (act) {
    case NN_ACT_GELU_ERF:
        MAP(gelu_erf_slope);
    case NN_ACT_GELU_TANH:
        MAP(gelu_tanh_slope);
    case NN_ACT_SILU:
        MAP(silu_slope);
    case NN_ACT_QUICK_GELU:
        MAP(quick_gelu_slope);
    default:
        for (int64_t i = 0; i < n; i++) y[i] = dy[i];
    }
}

void nn_cpu_act_fwd(nn_backend *be, const nn_map_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    const float *x = nn_cpu_in1(cpu, args->dtype, args->a, args->n);
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->n, false);
    int64_t n = nn_cpu_ready(cpu) ? args->n : 0;
#pragma omp parallel for num_threads(cpu->threads) if (n > CHUNK)
    for (int64_t from = 0; from < n; from += CHUNK)
        nn_cpu_act(y + from, x + from, chunk_end(from, n) - from, args->act);
    nn_cpu_done(cpu);
}

void nn_cpu_act_bwd(nn_backend *be, const nn_map_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    const float *x = nn_cpu_in1(cpu, args->dtype, args->a, args->n);
    const float *dy = nn_cpu_in1(cpu, args->dtype, args->b, args->n);
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->n, false);
    int64_t n = nn_cpu_ready(cpu) ? args->n : 0;
#pragma omp parallel for num_threads(cpu->threads) if (n > CHUNK)
    for (int64_t from = 0; from < n; from += CHUNK)
        nn_cpu_act_slope(y + from, dy + from, x + from, chunk_end(from, n) - from, args->act);
    nn_cpu_done(cpu);
}

/* ---- sums, dropout, samples --------------------------------------------------------------------
 */

void nn_cpu_axpby(nn_backend *be, const nn_map_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    const float *a = nn_cpu_in1(cpu, args->dtype, args->a, args->n);
    const float *b = nn_cpu_in1(cpu, args->dtype, args->b, args->n);
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->n, false);
    float alpha = args->alpha, beta = args->beta;
    int64_t n = nn_cpu_ready(cpu) ? args->n : 0;
#pragma omp parallel for num_threads(cpu->threads) if (n > CHUNK)
    for (int64_t from = 0; from < n; from += CHUNK) {
        int64_t to = chunk_end(from, n);
        for (int64_t i = from; b && i < to; i++) y[i] = alpha * a[i] + beta * b[i];
        for (int64_t i = from; !b && i < to; i++) y[i] = alpha * a[i];
    }
    nn_cpu_done(cpu);
}

/* Written so that the generator runs in vector code. */
void nn_cpu_draw(uint64_t seed, uint32_t site, uint64_t first, uint32_t words[NN_CPU_DRAW])
{
#pragma omp simd
    for (int i = 0; i < NN_CPU_DRAW / 4; i++) {
        uint32_t w[4];
        me_philox(seed, site, first / 4 + (uint64_t)i, w);
        for (int k = 0; k < 4; k++) words[4 * i + k] = w[k];
    }
}

void nn_cpu_drop(float *y, const float *x, int64_t n, uint64_t first, const nn_drop *drop)
{
    uint32_t words[NN_CPU_DRAW], threshold = nn_dropout_threshold(drop->p);
    uint64_t seed = drop->state ? drop->state->seed : drop->seed;
    float keep = 1 / (1 - drop->p);
    int64_t skip = (int64_t)(first % 4); /* words of the first block that belong to others */
    for (int64_t from = -skip; from < n; from += NN_CPU_DRAW) {
        int64_t to = from + NN_CPU_DRAW < n ? from + NN_CPU_DRAW : n;
        nn_cpu_draw(seed, drop->site, first + (uint64_t)from, words);
        for (int64_t i = from < 0 ? 0 : from; i < to; i++)
            y[i] = words[i - from] >= threshold ? x[i] * keep : 0;
    }
}

void nn_cpu_drop_all(cpu_backend *cpu, float *y, const float *x, int64_t n, const nn_drop *drop)
{
#pragma omp parallel for num_threads(cpu->threads) if (n > CHUNK)
    for (int64_t from = 0; from < n; from += CHUNK)
        nn_cpu_drop(y + from, x + from, chunk_end(from, n) - from, (uint64_t)from, drop);
}

void nn_cpu_dropout(nn_backend *be, const nn_map_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    const float *a = nn_cpu_in1(cpu, args->dtype, args->a, args->n);
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->n, false);
    const nn_drop drop = {
        .p = args->p, .site = args->site, .seed = args->seed, .state = args->state};
    if (nn_cpu_ready(cpu)) nn_cpu_drop_all(cpu, y, a, args->n, &drop);
    nn_cpu_done(cpu);
}

void nn_cpu_reparam_fwd(nn_backend *be, const nn_map_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    const float *a = nn_cpu_in1(cpu, args->dtype, args->a, args->n), *b = args->b;
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->n, true);
    for (int64_t i = 0; nn_cpu_ready(cpu) && i < args->n; i++) y[i] += b[i] * cpu_exp(a[i] / 2);
    nn_cpu_done(cpu);
}

void nn_cpu_reparam_bwd(nn_backend *be, const nn_map_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    const float *a = nn_cpu_in1(cpu, args->dtype, args->a, args->n), *b = args->b;
    float *y = nn_cpu_out1(cpu, args->dtype, args->y, args->n, true);
    for (int64_t i = 0; nn_cpu_ready(cpu) && i < args->n; i++) y[i] *= b[i] * cpu_exp(a[i] / 2) / 2;
    nn_cpu_done(cpu);
}

/* ---- noise -------------------------------------------------------------------------------------
 */

static double open_uniform(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return ((double)bits + 0.5) * 0x1p-53;
}

void nn_cpu_normals(double z[2], const int32_t stream[3], uint64_t pair)
{
    uint32_t w[4];
    uint64_t seed = (uint32_t)stream[0] | (uint64_t)(uint32_t)stream[1] << 32;
    me_philox(seed, (uint32_t)stream[2], pair, w);
    double r = sqrt(-2 * log(open_uniform(w[0], w[1])));
    double angle = 2 * M_PI * open_uniform(w[2], w[3]);
    z[0] = r * cos(angle);
    z[1] = r * sin(angle);
}

static void noise_of_sequence(const nn_noise_args *a, int64_t s)
{
    int64_t start = a->offsets[s] * a->d, to = a->offsets[s + 1] * a->d - start;
    float keep = a->mix[2 * s], scale = a->mix[2 * s + 1];
    for (int64_t e = 0; e < to; e += 2) {
        double z[2];
        nn_cpu_normals(z, a->stream + 3 * s, (uint64_t)e / 2);
        for (int64_t i = e; i < e + 2 && i < to; i++) {
            float x = a->x ? keep * a->x[start + i] : 0;
            a->y[start + i] = x + scale * (float)z[i - e];
        }
    }
}

void nn_cpu_noise(nn_backend *be, const nn_noise_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    if (!nn_cpu_ready(cpu)) return;
#pragma omp parallel for schedule(dynamic) num_threads(cpu->threads) if (args->m * args->d > CHUNK)
    for (int64_t s = 0; s < args->segments; s++) noise_of_sequence(args, s);
}

/* ---- conversions -------------------------------------------------------------------------------
 */

void nn_cpu_to_bf16(nn_backend *be, void *dst, const float *src, int64_t n)
{
    (void)be;
    uint16_t *out = dst;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) out[i] = cpu_to_bf16(src[i]);
}

void nn_cpu_to_f32(nn_backend *be, float *dst, const void *src, int64_t n)
{
    (void)be;
    const uint16_t *in = src;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dst[i] = cpu_from_bf16(in[i]);
}
