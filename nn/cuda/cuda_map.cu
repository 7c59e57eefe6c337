/* nn/cuda/cuda_map.cu: elementwise operations: sums, activations, dropout, the reparameterised
 * draw, and casts between f32 and bf16.
 *
 * One kernel shape serves all: a thread takes four neighbouring elements (one 16-byte access in
 * f32) and a grid of 256-thread blocks strides over the rest. Every input is read once and every
 * output written once, so device memory's bandwidth is the limit. The naive version moves one
 * element a thread.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#define THREADS 256

/* Calls f(i, there) for every group of four elements; `there` of them exist. */
template <typename F> static __global__ void __launch_bounds__(THREADS) map_kernel(int64_t n, F f)
{
    nn_cuda_begin();
    int64_t step = (int64_t)gridDim.x * THREADS * 4;
    for (int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * 4; i < n; i += step) {
        f(i, n - i);
    }
}

template <typename F> static void run_map(nn_cuda *cu, int64_t n, const char *what, F f)
{
    if (n == 0) return;
    int blocks =
        (int)nn_cuda_min(nn_cuda_ceil_div(n, THREADS * 4), (int64_t)cu->multiprocessors * 16);
    nn_cuda_launch(cu, what, map_kernel<F>, blocks, THREADS, 0, n, f);
}

static bool map_vec(const nn_map_args *p)
{
    return nn_cuda_vec4(p->a, p->dtype) && nn_cuda_vec4(p->b, p->dtype) &&
           nn_cuda_vec4(p->y, p->dtype);
}

template <typename T> static void axpby(nn_cuda *cu, const nn_map_args *p)
{
    const T *a = (const T *)p->a, *b = (const T *)p->b;
    T *y = (T *)p->y;
    float alpha = p->alpha, beta = p->beta;
    bool vec = map_vec(p);
    run_map(cu, p->n, "axpby", [=] __device__(int64_t i, int64_t there) {
        float4 v = load4_part(a + i, there, vec);
        v = scaled4(v, alpha);
        if (b) {
            float4 w = load4_part(b + i, there, vec);
            v = make_float4(v.x + beta * w.x, v.y + beta * w.y, v.z + beta * w.z, v.w + beta * w.w);
        }
        store4_part(y + i, v, there, vec);
    });
}

template <typename T> static void act_fwd(nn_cuda *cu, const nn_map_args *p)
{
    const T *a = (const T *)p->a;
    T *y = (T *)p->y;
    nn_act act = p->act;
    bool vec = map_vec(p);
    run_map(cu, p->n, "act_fwd", [=] __device__(int64_t i, int64_t there) {
        store4_part(y + i, act_value4(load4_part(a + i, there, vec), act), there, vec);
    });
}

template <typename T> static void act_bwd(nn_cuda *cu, const nn_map_args *p)
{
    const T *a = (const T *)p->a, *b = (const T *)p->b;
    T *y = (T *)p->y;
    nn_act act = p->act;
    bool vec = map_vec(p);
    run_map(cu, p->n, "act_bwd", [=] __device__(int64_t i, int64_t there) {
        float4 x = load4_part(a + i, there, vec), dy = load4_part(b + i, there, vec);
        float4 v = make_float4(dy.x * act_slope(x.x, act), dy.y * act_slope(x.y, act),
                               dy.z * act_slope(x.z, act), dy.w * act_slope(x.w, act));
        store4_part(y + i, v, there, vec);
    });
}

/* A thread's four elements are the four words of one philox block. */
template <typename T> static void map_dropout(nn_cuda *cu, const nn_map_args *p)
{
    const T *a = (const T *)p->a;
    T *y = (T *)p->y;
    const nn_step_state *state = p->state;
    uint64_t seed = p->seed;
    uint32_t site = p->site, threshold = nn_dropout_threshold(p->p);
    float kept = 1.f / (1.f - p->p);
    bool vec = nn_cuda_vec4(p->a, p->dtype) && nn_cuda_vec4(p->y, p->dtype);
    run_map(cu, p->n, "dropout", [=] __device__(int64_t i, int64_t there) {
        uint4 word = philox(state ? state->seed : seed, site, (uint64_t)i >> 2);
        float4 v = load4_part(a + i, there, vec);
        v = make_float4(
            word.x >= threshold ? v.x * kept : 0.f, word.y >= threshold ? v.y * kept : 0.f,
            word.z >= threshold ? v.z * kept : 0.f, word.w >= threshold ? v.w * kept : 0.f);
        store4_part(y + i, v, there, vec);
    });
}

template <typename T> static void reparam(nn_cuda *cu, const nn_map_args *p, bool backward)
{
    const T *logvar = (const T *)p->a;
    const float *noise = (const float *)p->b;
    T *y = (T *)p->y;
    run_map(cu, p->n, "reparam", [=] __device__(int64_t i, int64_t there) {
        for (int64_t at = i; at < i + (there < 4 ? there : 4); at++) {
            float step = noise[at] * expf(0.5f * load1(logvar + at)), v = load1(y + at);
            store1(y + at, backward ? 0.5f * v * step : v + step);
        }
    });
}

void nn_cuda_noise(nn_backend *be, const nn_noise_args *args)
{
    nn_noise_args p = *args;
    run_map(nn_cuda_of(be), p.m * p.d, "noise", [=] __device__(int64_t i, int64_t there) {
        for (int64_t at = i; at < i + (there < 4 ? there : 4); at++) {
            int64_t row = at / p.d;
            int s = p.segment[row];
            uint64_t e = (uint64_t)(at - p.offsets[s] * p.d);
            double z[2];
            normals(z, p.stream + 3 * s, e / 2);
            float x = p.x ? p.mix[2 * s] * p.x[at] : 0.f;
            p.y[at] = x + p.mix[2 * s + 1] * (float)z[e & 1];
        }
    });
}

/* ---- the table's functions ---------------------------------------------------------------------
 */

void nn_cuda_axpby(nn_backend *be, const nn_map_args *p)
{
    if (p->dtype == NN_BF16)
        axpby<bf16>(nn_cuda_of(be), p);
    else
        axpby<float>(nn_cuda_of(be), p);
}

void nn_cuda_act_fwd(nn_backend *be, const nn_map_args *p)
{
    if (p->dtype == NN_BF16)
        act_fwd<bf16>(nn_cuda_of(be), p);
    else
        act_fwd<float>(nn_cuda_of(be), p);
}

void nn_cuda_act_bwd(nn_backend *be, const nn_map_args *p)
{
    if (p->dtype == NN_BF16)
        act_bwd<bf16>(nn_cuda_of(be), p);
    else
        act_bwd<float>(nn_cuda_of(be), p);
}

void nn_cuda_dropout(nn_backend *be, const nn_map_args *p)
{
    if (p->dtype == NN_BF16)
        map_dropout<bf16>(nn_cuda_of(be), p);
    else
        map_dropout<float>(nn_cuda_of(be), p);
}

void nn_cuda_reparam_fwd(nn_backend *be, const nn_map_args *p)
{
    if (p->dtype == NN_BF16)
        reparam<bf16>(nn_cuda_of(be), p, false);
    else
        reparam<float>(nn_cuda_of(be), p, false);
}

void nn_cuda_reparam_bwd(nn_backend *be, const nn_map_args *p)
{
    if (p->dtype == NN_BF16)
        reparam<bf16>(nn_cuda_of(be), p, true);
    else
        reparam<float>(nn_cuda_of(be), p, true);
}

void nn_cuda_to_bf16(nn_backend *be, void *dst, const float *src, int64_t n)
{
    bf16 *out = (bf16 *)dst;
    bool vec = nn_cuda_vec4(dst, NN_BF16) && nn_cuda_vec4(src, NN_F32);
    run_map(nn_cuda_of(be), n, "to_bf16", [=] __device__(int64_t i, int64_t there) {
        store4_part(out + i, load4_part(src + i, there, vec), there, vec);
    });
}

void nn_cuda_to_f32(nn_backend *be, float *dst, const void *src, int64_t n)
{
    const bf16 *in = (const bf16 *)src;
    bool vec = nn_cuda_vec4(dst, NN_F32) && nn_cuda_vec4(src, NN_BF16);
    run_map(nn_cuda_of(be), n, "to_f32", [=] __device__(int64_t i, int64_t there) {
        store4_part(dst + i, load4_part(in + i, there, vec), there, vec);
    });
}
