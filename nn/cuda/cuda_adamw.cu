/* nn/cuda/cuda_adamw.cu: the optimiser's step over a model's flat parameter block, and the norm and
 * factor of gradient clipping.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#define THREADS 256
#define NORM_BLOCKS 512

/* A thread takes one parameter of every gridDim.x * 256; neighbouring threads, neighbouring
 * parameters. Moves param, m, v in and out, grad in, and the shadow and the average where they
 * exist: 28 bytes a parameter at least. The naive version is a dozen elementwise kernels. */
static __global__ void __launch_bounds__(THREADS) adamw_kernel(nn_adamw_args p)
{
    nn_cuda_begin();
    float lr = p.state ? p.state->lr : p.lr;
    double bias1 = p.state ? p.state->bias1 : p.bias1, bias2 = p.state ? p.state->bias2 : p.bias2;
    float step_size = (float)((double)lr / bias1), root = (float)sqrt(bias2);
    float decay = 1.f - lr * p.weight_decay; /* torch multiplies by this */
    float scale = p.grad_scale ? *p.grad_scale : 1.f;
    bf16 *shadow = (bf16 *)p.bf16_shadow;
    int64_t step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < p.n; i += step) {
        float g = p.grad[i] * scale, w = p.param[i];
        w *= decay;
        float m = p.beta1 * p.m[i] + (1.f - p.beta1) * g;
        float v = p.beta2 * p.v[i] + (1.f - p.beta2) * g * g;
        w -= step_size * m / (sqrtf(v) / root + p.eps);
        p.m[i] = m;
        p.v[i] = v;
        p.param[i] = w;
        if (shadow) shadow[i] = __float2bfloat16_rn(w);
        if (p.ema) p.ema[i] = p.ema_decay * p.ema[i] + (1.f - p.ema_decay) * w;
    }
}

void nn_cuda_adamw(nn_backend *be, const nn_adamw_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (p->n == 0) return;
    int blocks =
        (int)nn_cuda_min(nn_cuda_ceil_div(p->n, THREADS), (int64_t)cu->multiprocessors * 16);
    nn_cuda_launch(cu, "adamw_kernel", adamw_kernel, blocks, THREADS, 0, *p);
}

/* partial[block] = the sum of squares of every gridDim.x-th group of 256 floats, in double. */
static __global__ void __launch_bounds__(THREADS)
    squares_kernel(double *partial, const float *x, int64_t n)
{
    nn_cuda_begin();
    __shared__ double shared[32];
    double sum = 0.0;
    int64_t step = (int64_t)gridDim.x * THREADS;
#pragma unroll 4
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += step) {
        double v = x[i];
        sum += v * v;
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/* One block adds the partial sums. */
static __global__ void __launch_bounds__(THREADS)
    root_kernel(float *out, const double *partial, int blocks)
{
    nn_cuda_begin();
    __shared__ double shared[32];
    double sum = 0.0;
    for (int i = threadIdx.x; i < blocks; i += THREADS) sum += partial[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) *out = (float)sqrt(sum);
}

void nn_cuda_norm(nn_backend *be, float *out, const float *x, int64_t n)
{
    nn_cuda *cu = nn_cuda_of(be);
    double *partial = (double *)cu->workspace;
    int blocks = (int)nn_cuda_min(nn_cuda_ceil_div(n, THREADS), NORM_BLOCKS);
    if (blocks > 0)
        nn_cuda_launch(cu, "squares_kernel", squares_kernel, blocks, THREADS, 0, partial, x, n);
    nn_cuda_launch(cu, "root_kernel", root_kernel, 1, THREADS, 0, out, partial, blocks);
}

static __global__ void clip_kernel(float *scale, const float *norm, float max_norm)
{
    nn_cuda_begin();
    *scale = fminf(1.f, max_norm / (*norm + 1e-6f));
}

void nn_cuda_clip_scale(nn_backend *be, float *scale, const float *norm, float max_norm)
{
    nn_cuda *cu = nn_cuda_of(be);
    nn_cuda_launch(cu, "clip_kernel", clip_kernel, 1, 1, 0, scale, norm, max_norm);
}
