/* nn/cuda/cuda_editor.cu: what a motion editor joins into one pass: rows of several tensors with
 * their positions, and a step of a sampler. Both are bound by memory. */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"

#define THREADS 256

/* Four columns a thread, neighbouring threads on neighbouring columns. Grid strides over m * d / 4.
 * Reads each row once, and the table's rows mostly from L2; a gather of stacked copies moves three
 * times as much. */
template <typename T>
static __global__ void __launch_bounds__(THREADS) assemble_kernel(nn_assemble_args p, bool vec)
{
    int64_t quads = (p.d + 3) / 4, step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < p.m * quads; i += step) {
        int64_t row = i / quads, column = (i - row * quads) * 4, there = p.d - column;
        int64_t from = p.index[row];
        const void *part = p.part[0];
        int64_t before = 0;
#pragma unroll
        for (int k = 1; k < NN_ASSEMBLE_PARTS; k++) {
            if (k < p.parts && from >= p.end[k - 1]) {
                part = p.part[k];
                before = p.end[k - 1];
            }
        }
        float4 v = load4_part((const T *)part + (from - before) * p.d + column, there, vec);
        float4 w = load4_part(p.table + p.at[row] * p.d + column, there, vec);
        v = make_float4(v.x + w.x, v.y + w.y, v.z + w.z, v.w + w.w);
        store4_part((T *)p.y + row * p.d + column, v, there, vec);
    }
}

template <typename T> static void assemble(nn_cuda *cu, const nn_assemble_args *p)
{
    bool vec = p->d % 4 == 0 && nn_cuda_vec4(p->y, p->dtype) && nn_cuda_vec4(p->table, NN_F32);
    for (int k = 0; k < p->parts; k++) vec = vec && nn_cuda_vec4(p->part[k], p->dtype);
    int64_t work = p->m * ((p->d + 3) / 4);
    int blocks =
        (int)nn_cuda_min(nn_cuda_ceil_div(work, THREADS), (int64_t)cu->multiprocessors * 16);
    assemble_kernel<T><<<blocks, THREADS, 0, cu->stream>>>(*p, vec);
    nn_cuda_check(cu, cudaGetLastError(), "assemble_kernel");
}

void nn_cuda_assemble(nn_backend *be, const nn_assemble_args *p)
{
    if (p->m == 0 || p->d == 0) return;
    if (p->dtype == NN_BF16)
        assemble<bf16>(nn_cuda_of(be), p);
    else
        assemble<float>(nn_cuda_of(be), p);
}

/* A thread takes the two elements that share a pair of normal numbers. Grid (pairs of the longest
 * sequence / 256, sequences). */
template <typename T>
static __global__ void __launch_bounds__(THREADS) denoise_kernel(nn_denoise_args p)
{
    int first = p.offsets[blockIdx.y], d = (int)p.d;
    int values = (p.offsets[blockIdx.y + 1] - first) * d;
    int e = 2 * (int)(blockIdx.x * THREADS + threadIdx.x);
    if (e >= values) return;
    nn_denoise_step step = *p.step;
    double z[2] = {0.0, 0.0};
    if (step.of_noise != 0.f) normals(z, p.stream + 3 * blockIdx.y, (uint64_t)e / 2);
#pragma unroll
    for (int k = 0; k < 2; k++, e++) {
        if (e >= values) return;
        int in = e / d, column = e - in * d;
        int64_t row = first + in;
        float sum = 0.f, *x = p.x + row * d + column;
#pragma unroll
        for (int pass = 0; pass < NN_DENOISE_PASSES; pass++) {
            if (pass >= p.passes) break;
            const T *from = (const T *)p.x0 + (pass * p.m + row) * p.x0_stride + column;
            sum += step.scale[pass] * load1(from);
        }
        float v = step.of_x0 * sum + step.of_x * *x;
        if (step.of_noise != 0.f) v += step.of_noise * (float)z[k];
        *x = v;
        if (!p.low) continue;
        T *low = (T *)p.low + row * p.low_stride;
        store1(low + column, v);
        if (column == d - 1) {
            for (int c = d; c < p.low_stride; c++) store1(low + c, 0.f);
        }
    }
}

void nn_cuda_denoise(nn_backend *be, const nn_denoise_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (p->m == 0 || p->d == 0) return;
    int64_t pairs = (p->longest * p->d + 1) / 2;
    for (int64_t from = 0; from < p->segments; from += 65535) {
        nn_denoise_args part = *p;
        unsigned n = (unsigned)nn_cuda_min(65535, p->segments - from);
        part.stream += 3 * from;
        part.offsets += from;
        dim3 grid((unsigned)nn_cuda_ceil_div(pairs, THREADS), n);
        if (p->dtype == NN_BF16)
            denoise_kernel<bf16><<<grid, THREADS, 0, cu->stream>>>(part);
        else
            denoise_kernel<float><<<grid, THREADS, 0, cu->stream>>>(part);
        nn_cuda_check(cu, cudaGetLastError(), "denoise_kernel");
    }
}
