/* nn/cuda/cuda_editor.cu: what a motion editor joins into one pass: rows of several tensors with
 * their positions, a step of a sampler, and squared differences by groups of columns. All are bound
 * by memory. */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#define THREADS 256

/* Four columns a thread, neighbouring threads on neighbouring columns. Grid strides over m * d / 4.
 * Reads each row once, and the table's rows mostly from L2; a gather of stacked copies moves three
 * times as much. */
template <typename T>
static __global__ void __launch_bounds__(THREADS) assemble_kernel(nn_assemble_args p, bool vec)
{
    nn_cuda_begin();
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
    nn_cuda_launch(cu, "assemble_kernel", assemble_kernel<T>, blocks, THREADS, 0, *p, vec);
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
    nn_cuda_begin();
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
    auto kernel = p->dtype == NN_BF16 ? denoise_kernel<bf16> : denoise_kernel<float>;
    for (int64_t from = 0; from < p->segments; from += 65535) {
        nn_denoise_args part = *p;
        unsigned n = (unsigned)nn_cuda_min(65535, p->segments - from);
        part.stream += 3 * from;
        part.offsets += from;
        dim3 grid((unsigned)nn_cuda_ceil_div(pairs, THREADS), n);
        nn_cuda_launch(cu, "denoise_kernel", kernel, grid, THREADS, 0, part);
    }
}

/* ---- squared differences by groups of columns --------------------------------------------------
 */

#define GROUP_WARPS 8
#define GROUP_BLOCKS 256

/* The group of a column, or none: -1. */
static __device__ __forceinline__ int group_of(const nn_group_loss_args &p, int column)
{
    int found = -1;
#pragma unroll
    for (int g = 0; g < NN_GROUPS; g++) {
        if (g < p.groups && column >= p.from[g] && column < p.to[g]) found = g;
    }
    return found;
}

/* partial[g][block]: a lane owns every 32nd column, so that its group is looked up once; warps take
 * rows. Columns are done 32 at a time in the outer loop. */
template <typename T>
static __global__ void __launch_bounds__(32 * GROUP_WARPS)
    group_loss_kernel(nn_group_loss_args p, double *partial)
{
    nn_cuda_begin();
    __shared__ double shared[GROUP_WARPS][NN_GROUPS];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    double sums[NN_GROUPS] = {};
    for (int first = 0; first < p.d; first += 32) {
        int column = first + lane, group = column < p.d ? group_of(p, column) : -1;
        double sum = 0.0;
        if (group >= 0) {
            bool weighted = p.weighted[group];
#pragma unroll 4
            for (int64_t row = (int64_t)blockIdx.x * GROUP_WARPS + warp; row < p.m;
                 row += (int64_t)gridDim.x * GROUP_WARPS) {
                float apart =
                    load1((const T *)p.a + row * p.a_stride + column) - p.b[row * p.d + column];
                float square = apart * apart;
                sum += weighted ? p.row_weight[row] * square : square;
            }
        }
#pragma unroll
        for (int g = 0; g < NN_GROUPS; g++) sums[g] += group == g ? sum : 0.0;
    }
#pragma unroll
    for (int g = 0; g < NN_GROUPS; g++) {
        double sum = warp_sum(sums[g]);
        if (lane == 0) shared[warp][g] = sum;
    }
    __syncthreads();
    if (threadIdx.x >= NN_GROUPS) return;
    double sum = 0.0;
    for (int w = 0; w < GROUP_WARPS; w++) sum += shared[w][threadIdx.x];
    partial[threadIdx.x * GROUP_BLOCKS + blockIdx.x] = sum;
}

/* One warp a group. */
static __global__ void __launch_bounds__(32 * NN_GROUPS)
    group_finish_kernel(nn_group_loss_args p, const double *partial, int blocks)
{
    nn_cuda_begin();
    __shared__ float terms[NN_GROUPS];
    int lane = threadIdx.x & 31, g = threadIdx.x >> 5;
    double sum = 0.0;
    for (int i = lane; i < blocks; i += 32) sum += partial[g * GROUP_BLOCKS + i];
    sum = warp_sum(sum);
    if (lane == 0) terms[g] = g < p.groups ? (float)(sum / p.denominator[g]) : 0.f;
    __syncthreads();
    if (threadIdx.x < p.groups) p.terms[threadIdx.x] = terms[threadIdx.x];
    if (threadIdx.x > 0) return;
    float total = 0.f;
    for (int k = 0; k < p.groups; k++) total += p.share[k] * terms[k];
    *p.total = total;
}

template <typename T>
static __global__ void __launch_bounds__(32 * GROUP_WARPS) group_grad_kernel(nn_group_loss_args p)
{
    nn_cuda_begin();
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    float upstream = *p.upstream;
    for (int first = 0; first < p.d; first += 32) {
        int column = first + lane, group = column < p.d ? group_of(p, column) : -1;
        if (group < 0) continue;
        float scale = upstream * p.share[group] * 2.f * (float)(1.0 / p.denominator[group]);
        bool weighted = p.weighted[group];
#pragma unroll 4
        for (int64_t row = (int64_t)blockIdx.x * GROUP_WARPS + warp; row < p.m;
             row += (int64_t)gridDim.x * GROUP_WARPS) {
            float apart =
                load1((const T *)p.a + row * p.a_stride + column) - p.b[row * p.d + column];
            T *place = (T *)p.da + row * p.a_stride + column;
            store1(place, load1(place) + (weighted ? scale * p.row_weight[row] : scale) * apart);
        }
    }
}

void nn_cuda_group_loss_fwd(nn_backend *be, const nn_group_loss_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    double *partial = (double *)cu->workspace;
    int blocks = (int)nn_cuda_min(nn_cuda_ceil_div(p->m, GROUP_WARPS), GROUP_BLOCKS);
    auto kernel = p->dtype == NN_BF16 ? group_loss_kernel<bf16> : group_loss_kernel<float>;
    if (blocks > 0)
        nn_cuda_launch(cu, "group_loss_kernel", kernel, blocks, 32 * GROUP_WARPS, 0, *p, partial);
    nn_cuda_launch(cu, "group_finish_kernel", group_finish_kernel, 1, 32 * NN_GROUPS, 0, *p,
                   partial, blocks);
}

void nn_cuda_group_loss_bwd(nn_backend *be, const nn_group_loss_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (p->m == 0) return;
    int blocks =
        (int)nn_cuda_min(nn_cuda_ceil_div(p->m, GROUP_WARPS), (int64_t)cu->multiprocessors * 8);
    auto kernel = p->dtype == NN_BF16 ? group_grad_kernel<bf16> : group_grad_kernel<float>;
    nn_cuda_launch(cu, "group_grad_kernel", kernel, blocks, 32 * GROUP_WARPS, 0, *p);
}
