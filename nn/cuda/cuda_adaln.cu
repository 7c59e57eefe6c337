/* nn/cuda/cuda_adaln.cu: a residual gate and the modulated LayerNorm behind it, in one pass each
 * way. Unfused, the backward reads and writes a row ten times (two LayerNorm reads, the sum of two
 * gradients, two passes of the gate); here it reads four rows and writes two.
 *
 * One warp takes one row and keeps it in registers. Rows of 128 to 1024 columns that fill whole
 * 16-byte accesses of all lanes, which the models have, go through kernels of their own: there a
 * block stays within one sequence, so that gate, shift and scale are read once, and all loads of a
 * row are issued before the first is waited for. The sums over a sequence's rows go through the
 * workspace: blocks take PART_ROWS rows of one sequence each, and a second kernel adds the parts in
 * order, so that no sum depends on the order in which blocks run.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#define WARPS 8               /* rows in flight in a block */
#define HELD_COLUMNS (32 * 4) /* of one row, by one warp in one access of four */
#define PART_ROWS 64
#define SUMS 3 /* of a sequence: gate, shift, scale */

static __device__ __forceinline__ float sum4(float4 v)
{
    return (v.x + v.y) + (v.z + v.w);
}

static __device__ __forceinline__ float4 mul4(float4 a, float4 b)
{
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

static __device__ __forceinline__ float4 add4(float4 a, float4 b)
{
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

/* As T will hold it. */
template <typename T> static __device__ __forceinline__ float4 rounded(float4 v)
{
    if (sizeof(T) == sizeof(float)) return v;
    return make_float4(
        __bfloat162float(__float2bfloat16_rn(v.x)), __bfloat162float(__float2bfloat16_rn(v.y)),
        __bfloat162float(__float2bfloat16_rn(v.z)), __bfloat162float(__float2bfloat16_rn(v.w)));
}

/* Columns past the row's end as zeros. */
static __device__ __forceinline__ float4 within(float4 v, int there)
{
    return make_float4(there > 0 ? v.x : 0.f, there > 1 ? v.y : 0.f, there > 2 ? v.z : 0.f,
                       there > 3 ? v.w : 0.f);
}

/* Grid: one block of 8 warps for 8 rows. Moves x and h in, sum and y out. */
template <typename T, int CHUNKS>
static __global__ void __launch_bounds__(32 * WARPS) adaln_fwd_kernel(nn_adaln_args p, bool vec)
{
    nn_cuda_begin();
    int lane = threadIdx.x & 31, d = (int)p.d;
    int64_t row = (int64_t)blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (row >= p.m) return;
    int segment = p.segment[row];
    const T *x = (const T *)p.x + row * d, *h = (const T *)p.h + row * d;
    const T *gate = (const T *)p.gate + segment * p.gate_stride;
    const T *shift = (const T *)p.shift + segment * p.mod_stride;
    const T *scale = (const T *)p.scale + segment * p.mod_stride;
    float4 held[CHUNKS];
    float sum = 0.f, squares = 0.f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int column = c * HELD_COLUMNS + lane * 4, there = d - column;
        held[c] =
            add4(load4_part(x + column, there, vec),
                 mul4(load4_part(gate + column, there, vec), load4_part(h + column, there, vec)));
        held[c] = rounded<T>(held[c]);
        store4_part((T *)p.sum + row * d + column, held[c], there, vec);
        sum += sum4(held[c]);
    }
    float mean = warp_sum(sum) / (float)d;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int there = d - (c * HELD_COLUMNS + lane * 4);
        float4 away =
            make_float4(held[c].x - mean, held[c].y - mean, held[c].z - mean, held[c].w - mean);
        away = within(away, there);
        squares += sum4(mul4(away, away));
    }
    float rstd = 1.f / sqrtf(warp_sum(squares) / (float)d + p.eps);
    if (lane == 0 && p.mean) p.mean[row] = mean;
    if (lane == 0 && p.rstd) p.rstd[row] = rstd;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int column = c * HELD_COLUMNS + lane * 4, there = d - column;
        float4 s = load4_part(scale + column, there, vec),
               b = load4_part(shift + column, there, vec);
        float4 v = make_float4((held[c].x - mean) * rstd * (1.f + s.x) + b.x,
                               (held[c].y - mean) * rstd * (1.f + s.y) + b.y,
                               (held[c].z - mean) * rstd * (1.f + s.z) + b.z,
                               (held[c].w - mean) * rstd * (1.f + s.w) + b.w);
        store4_part((T *)p.y + row * d + column, v, there, vec);
    }
}

/* One row's dx and dh; its shares of dgate, dshift and dscale are added to `sums`. `gain` and
 * `gate` are the sequence's 1 + scale and gate. */
template <typename T, int CHUNKS>
static __device__ __forceinline__ void backward_row(float4 (&sums)[SUMS][CHUNKS],
                                                    const nn_adaln_args &p, int64_t row,
                                                    const float *gain, const float *gate, bool vec)
{
    int lane = threadIdx.x & 31, d = (int)p.d;
    int64_t base = row * d;
    float mean = p.mean[row], rstd = p.rstd[row], sum_g = 0.f, sum_gx = 0.f;
    float4 g[CHUNKS], xhat[CHUNKS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int column = c * HELD_COLUMNS + lane * 4, there = d - column;
        float4 x = load4_part((const T *)p.sum + base + column, there, vec);
        float4 dy = load4_part((const T *)p.dy + base + column, there, vec);
        xhat[c] = within(make_float4((x.x - mean) * rstd, (x.y - mean) * rstd, (x.z - mean) * rstd,
                                     (x.w - mean) * rstd),
                         there);
        g[c] = mul4(dy, load4(gain + column));
        sums[1][c] = add4(sums[1][c], dy);
        sums[2][c] = add4(sums[2][c], mul4(dy, xhat[c]));
        sum_g += sum4(g[c]);
        sum_gx += sum4(mul4(g[c], xhat[c]));
    }
    sum_g = warp_sum(sum_g) / (float)d;
    sum_gx = warp_sum(sum_gx) / (float)d;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int column = c * HELD_COLUMNS + lane * 4, there = d - column;
        float4 dx = make_float4(rstd * (g[c].x - sum_g - xhat[c].x * sum_gx),
                                rstd * (g[c].y - sum_g - xhat[c].y * sum_gx),
                                rstd * (g[c].z - sum_g - xhat[c].z * sum_gx),
                                rstd * (g[c].w - sum_g - xhat[c].w * sum_gx));
        if (p.dsum) dx = add4(dx, load4_part((const T *)p.dsum + base + column, there, vec));
        dx = rounded<T>(within(dx, there));
        float4 h = load4_part((const T *)p.h + base + column, there, vec);
        store4_part((T *)p.dx + base + column, dx, there, vec);
        store4_part((T *)p.dh + base + column, mul4(dx, load4(gate + column)), there, vec);
        sums[0][c] = add4(sums[0][c], mul4(dx, h));
    }
}

/* Grid (parts, sequences of this slice): a block takes PART_ROWS rows of a sequence and leaves its
 * sums in partial[sequence of the slice][part][3][d]. Moves sum, h, dy and dsum in, dx and dh out.
 */
template <typename T, int CHUNKS>
static __global__ void __launch_bounds__(32 * WARPS, CHUNKS > 4 ? 1 : 2)
    adaln_bwd_kernel(nn_adaln_args p, float *partial, int64_t first, bool vec)
{
    nn_cuda_begin();
    constexpr int WIDTH = CHUNKS * HELD_COLUMNS;
    __shared__ float gain[WIDTH], gate[WIDTH], all[WARPS * WIDTH];
    int64_t segment = first + blockIdx.y;
    int64_t from = p.offsets[segment] + (int64_t)blockIdx.x * PART_ROWS;
    int64_t end = p.offsets[segment + 1], to = from + PART_ROWS < end ? from + PART_ROWS : end;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, d = (int)p.d;
    if (from >= end) return;
    for (int c = threadIdx.x; c < WIDTH; c += 32 * WARPS) {
        gain[c] = c < d ? 1.f + load1((const T *)p.scale + segment * p.mod_stride + c) : 0.f;
        gate[c] = c < d ? load1((const T *)p.gate + segment * p.gate_stride + c) : 0.f;
    }
    __syncthreads();
    float4 sums[SUMS][CHUNKS];
#pragma unroll
    for (int k = 0; k < SUMS; k++) {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) sums[k][c] = make_float4(0.f, 0.f, 0.f, 0.f);
    }
    for (int64_t row = from + warp; row < to; row += WARPS) {
        backward_row<T, CHUNKS>(sums, p, row, gain, gate, vec);
    }
    if (!p.dgate) return;
    float *out = partial + ((int64_t)blockIdx.y * gridDim.x + blockIdx.x) * SUMS * d;
#pragma unroll
    for (int k = 0; k < SUMS; k++) {
        __syncthreads();
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            store4(all + warp * WIDTH + c * HELD_COLUMNS + lane * 4, sums[k][c]);
        }
        __syncthreads();
        for (int c = threadIdx.x; c < d; c += 32 * WARPS) {
            float total = 0.f;
#pragma unroll
            for (int w = 0; w < WARPS; w++) total += all[w * WIDTH + c];
            out[k * d + c] = total;
        }
    }
}

/* Grid (ceil(3 d / 256), sequences of the slice): one thread a column of one of the three sums. */
template <typename T>
static __global__ void __launch_bounds__(256)
    adaln_sums_kernel(nn_adaln_args p, const float *partial, int64_t first, int parts)
{
    nn_cuda_begin();
    int d = (int)p.d, at = (int)(blockIdx.x * 256 + threadIdx.x);
    if (at >= SUMS * d) return;
    int64_t segment = first + blockIdx.y;
    int64_t rows = p.offsets[segment + 1] - p.offsets[segment];
    int used = (int)((rows + PART_ROWS - 1) / PART_ROWS);
    const float *from = partial + (int64_t)blockIdx.y * parts * SUMS * d + at;
    float total = 0.f;
    for (int k = 0; k < used; k++) total += from[(int64_t)k * SUMS * d];
    int which = at / d, column = at - which * d;
    void *to = which == 0 ? p.dgate : which == 1 ? p.dshift : p.dscale;
    int64_t stride = which == 0 ? p.gate_stride : p.mod_stride;
    T *place = (T *)to + segment * stride + column;
    store1(place, load1(place) + total);
}

/* ---- whole accesses ----------------------------------------------------------------------------
 */

#define FORWARD_ROWS 32 /* of a sequence, by one block */
#define BACKWARD_WARPS 4

/* Sixteen bytes of a row, and what they hold as f32. */
template <typename T> struct piece {
    static constexpr int N = 16 / sizeof(T);
    uint4 raw;
    __device__ __forceinline__ void load(const void *row, int at)
    {
        raw = reinterpret_cast<const uint4 *>(row)[at];
    }
    __device__ __forceinline__ void store(void *row, int at) const
    {
        reinterpret_cast<uint4 *>(row)[at] = raw;
    }
    __device__ __forceinline__ void get(float (&v)[N]) const
    {
        const uint32_t word[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if constexpr (N == 4) {
                v[i] = __uint_as_float(word[i]);
            } else {
                v[2 * i] = __uint_as_float(word[i] << 16);
                v[2 * i + 1] = __uint_as_float(word[i] & 0xffff0000u);
            }
        }
    }
    __device__ __forceinline__ void set(const float (&v)[N])
    {
        uint32_t word[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if constexpr (N == 4) {
                word[i] = __float_as_uint(v[i]);
            } else {
                __nv_bfloat162 pair = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
                word[i] = *reinterpret_cast<const uint32_t *>(&pair);
            }
        }
        raw = make_uint4(word[0], word[1], word[2], word[3]);
    }
};

/* K pieces a lane; the row's columns are K * 32 * N. Grid (sequences, ceil(longest / 32)). */
template <typename T, int K>
static __global__ void __launch_bounds__(32 * WARPS) adaln_fwd_whole(nn_adaln_args p)
{
    nn_cuda_begin();
    constexpr int N = piece<T>::N, D = K * 32 * N;
    int lane = threadIdx.x & 31, segment = blockIdx.x, end = p.offsets[segment + 1];
    int from = p.offsets[segment] + (int)blockIdx.y * FORWARD_ROWS;
    int row = from + (int)(threadIdx.x >> 5), to = min(from + FORWARD_ROWS, end);
    if (row >= to) return;
    piece<T> gate[K], shift[K], scale[K], x[K], h[K];
#pragma unroll
    for (int k = 0; k < K; k++) {
        x[k].load((const T *)p.x + (int64_t)row * D, k * 32 + lane);
        h[k].load((const T *)p.h + (int64_t)row * D, k * 32 + lane);
        gate[k].load((const T *)p.gate + segment * p.gate_stride, k * 32 + lane);
        shift[k].load((const T *)p.shift + segment * p.mod_stride, k * 32 + lane);
        scale[k].load((const T *)p.scale + segment * p.mod_stride, k * 32 + lane);
    }
    while (row < to) {
        float held[K][N], sum = 0.f, squares = 0.f;
#pragma unroll
        for (int k = 0; k < K; k++) {
            float a[N], b[N];
            piece<T> out;
            h[k].get(a);
            gate[k].get(b);
            x[k].get(held[k]);
#pragma unroll
            for (int i = 0; i < N; i++) held[k][i] += b[i] * a[i];
            out.set(held[k]);
            out.store((T *)p.sum + (int64_t)row * D, k * 32 + lane);
            out.get(held[k]); /* as it was rounded */
#pragma unroll
            for (int i = 0; i < N; i++) sum += held[k][i];
        }
        int now = row;
        row += WARPS;
        if (row < to) {
#pragma unroll
            for (int k = 0; k < K; k++) {
                x[k].load((const T *)p.x + (int64_t)row * D, k * 32 + lane);
                h[k].load((const T *)p.h + (int64_t)row * D, k * 32 + lane);
            }
        }
        float mean = warp_sum(sum) / (float)D;
#pragma unroll
        for (int k = 0; k < K; k++) {
#pragma unroll
            for (int i = 0; i < N; i++) {
                held[k][i] -= mean;
                squares += held[k][i] * held[k][i];
            }
        }
        float rstd = 1.f / sqrtf(warp_sum(squares) / (float)D + p.eps);
        if (lane == 0 && p.mean) p.mean[now] = mean;
        if (lane == 0 && p.rstd) p.rstd[now] = rstd;
#pragma unroll
        for (int k = 0; k < K; k++) {
            float a[N], b[N];
            piece<T> out;
            scale[k].get(a);
            shift[k].get(b);
#pragma unroll
            for (int i = 0; i < N; i++) held[k][i] = held[k][i] * rstd * (1.f + a[i]) + b[i];
            out.set(held[k]);
            out.store((T *)p.y + (int64_t)now * D, k * 32 + lane);
        }
    }
}

/* As adaln_bwd_kernel: grid (parts, sequences of the slice), here of 4 warps. */
template <typename T, int K>
static __global__ void __launch_bounds__(32 * BACKWARD_WARPS)
    adaln_bwd_whole(nn_adaln_args p, float *partial, int64_t first)
{
    nn_cuda_begin();
    constexpr int N = piece<T>::N, D = K * 32 * N;
    __shared__ float all[BACKWARD_WARPS][D];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int64_t segment = first + blockIdx.y;
    int from = p.offsets[segment] + (int)blockIdx.x * PART_ROWS, end = p.offsets[segment + 1];
    int to = from + PART_ROWS < end ? from + PART_ROWS : end;
    if (from >= end) return;
    piece<T> gate[K], scale[K];
    float sums[SUMS][K][N];
#pragma unroll
    for (int k = 0; k < K; k++) {
        gate[k].load((const T *)p.gate + segment * p.gate_stride, k * 32 + lane);
        scale[k].load((const T *)p.scale + segment * p.mod_stride, k * 32 + lane);
#pragma unroll
        for (int i = 0; i < N; i++) sums[0][k][i] = sums[1][k][i] = sums[2][k][i] = 0.f;
    }
    for (int row = from + warp; row < to; row += BACKWARD_WARPS) {
        int64_t base = (int64_t)row * D;
        piece<T> x[K], dy[K], more[K], h[K];
        float mean = p.mean[row], rstd = p.rstd[row], sum_g = 0.f, sum_gx = 0.f;
#pragma unroll
        for (int k = 0; k < K; k++) {
            x[k].load((const T *)p.sum + base, k * 32 + lane);
            dy[k].load((const T *)p.dy + base, k * 32 + lane);
            more[k].raw = make_uint4(0, 0, 0, 0);
            if (p.dsum) more[k].load((const T *)p.dsum + base, k * 32 + lane);
            h[k].load((const T *)p.h + base, k * 32 + lane);
        }
#pragma unroll
        for (int k = 0; k < K; k++) {
            float a[N], b[N], c[N];
            x[k].get(a);
            dy[k].get(b);
            scale[k].get(c);
#pragma unroll
            for (int i = 0; i < N; i++) {
                float xhat = (a[i] - mean) * rstd, g = b[i] * (1.f + c[i]);
                sums[1][k][i] += b[i];
                sums[2][k][i] += b[i] * xhat;
                sum_g += g;
                sum_gx += g * xhat;
            }
        }
        sum_g = warp_sum(sum_g) / (float)D;
        sum_gx = warp_sum(sum_gx) / (float)D;
#pragma unroll
        for (int k = 0; k < K; k++) {
            float a[N], b[N], c[N], dx[N], other[N];
            piece<T> out;
            x[k].get(a);
            dy[k].get(b);
            scale[k].get(c);
            more[k].get(other);
#pragma unroll
            for (int i = 0; i < N; i++) {
                float xhat = (a[i] - mean) * rstd, g = b[i] * (1.f + c[i]);
                dx[i] = rstd * (g - sum_g - xhat * sum_gx) + other[i];
            }
            out.set(dx);
            out.store((T *)p.dx + base, k * 32 + lane);
            out.get(dx); /* as it was rounded */
            h[k].get(a);
            gate[k].get(b);
#pragma unroll
            for (int i = 0; i < N; i++) {
                sums[0][k][i] += dx[i] * a[i];
                dx[i] *= b[i];
            }
            out.set(dx);
            out.store((T *)p.dh + base, k * 32 + lane);
        }
    }
    if (!p.dgate) return;
    float *out = partial + ((int64_t)blockIdx.y * gridDim.x + blockIdx.x) * SUMS * D;
#pragma unroll
    for (int s = 0; s < SUMS; s++) {
        __syncthreads();
#pragma unroll
        for (int k = 0; k < K; k++) {
#pragma unroll
            for (int i = 0; i < N; i += 4) {
                store4(&all[warp][(k * 32 + lane) * N + i],
                       make_float4(sums[s][k][i], sums[s][k][i + 1], sums[s][k][i + 2],
                                   sums[s][k][i + 3]));
            }
        }
        __syncthreads();
        for (int c = threadIdx.x; c < D; c += 32 * BACKWARD_WARPS) {
            float total = 0.f;
#pragma unroll
            for (int w = 0; w < BACKWARD_WARPS; w++) total += all[w][c];
            out[s * D + c] = total;
        }
    }
}

/* ---- host --------------------------------------------------------------------------------------
 */

/* Pieces a lane of rows that whole 16-byte accesses of all lanes fill; 0: other rows. */
static int whole_pieces(const nn_adaln_args *p)
{
    const void *all[] = {p->x, p->h,  p->gate, p->shift, p->scale, p->sum,
                         p->y, p->dy, p->dsum, p->dx,    p->dh};
    int64_t size = p->dtype == NN_BF16 ? 2 : 4, row = p->d * size, pieces = row / (32 * 16);
    bool whole = row % (32 * 16) == 0 && (pieces == 1 || pieces == 2 || pieces == 4) &&
                 p->gate_stride * size % 16 == 0 && p->mod_stride * size % 16 == 0 &&
                 p->m < INT32_MAX;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        whole = whole && ((uintptr_t)all[i] & 15) == 0;
    }
    return whole ? (int)pieces : 0;
}

static bool adaln_vec(const nn_adaln_args *p)
{
    const void *all[] = {p->x, p->h,  p->gate, p->shift, p->scale, p->sum,
                         p->y, p->dy, p->dsum, p->dx,    p->dh};
    bool vec = p->d % 4 == 0 && p->gate_stride % 4 == 0 && p->mod_stride % 4 == 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        vec = vec && nn_cuda_vec4(all[i], p->dtype);
    }
    return vec;
}

template <typename T, int CHUNKS> static void forward(nn_cuda *cu, const nn_adaln_args *p)
{
    unsigned blocks = (unsigned)nn_cuda_ceil_div(p->m, WARPS);
    dim3 grid((unsigned)p->segments, (unsigned)nn_cuda_ceil_div(p->longest, FORWARD_ROWS));
    switch (whole_pieces(p)) {
    case 1:
        nn_cuda_launch(cu, "adaln_fwd", adaln_fwd_whole<T, 1>, grid, 32 * WARPS, 0, *p);
        break;
    case 2:
        nn_cuda_launch(cu, "adaln_fwd", adaln_fwd_whole<T, 2>, grid, 32 * WARPS, 0, *p);
        break;
    case 4:
        nn_cuda_launch(cu, "adaln_fwd", adaln_fwd_whole<T, 4>, grid, 32 * WARPS, 0, *p);
        break;
    default:
        nn_cuda_launch(cu, "adaln_fwd", adaln_fwd_kernel<T, CHUNKS>, blocks, 32 * WARPS, 0, *p,
                       adaln_vec(p));
    }
}

/* The rows of n sequences from `first` on. */
template <typename T, int CHUNKS>
static void backward_slice(nn_cuda *cu, const nn_adaln_args *p, int64_t first, unsigned n,
                           unsigned parts)
{
    float *partial = (float *)cu->workspace;
    dim3 grid(parts, n);
    switch (whole_pieces(p)) {
    case 1:
        nn_cuda_launch(cu, "adaln_bwd", adaln_bwd_whole<T, 1>, grid, 32 * BACKWARD_WARPS, 0, *p,
                       partial, first);
        break;
    case 2:
        nn_cuda_launch(cu, "adaln_bwd", adaln_bwd_whole<T, 2>, grid, 32 * BACKWARD_WARPS, 0, *p,
                       partial, first);
        break;
    case 4:
        nn_cuda_launch(cu, "adaln_bwd", adaln_bwd_whole<T, 4>, grid, 32 * BACKWARD_WARPS, 0, *p,
                       partial, first);
        break;
    default:
        nn_cuda_launch(cu, "adaln_bwd", adaln_bwd_kernel<T, CHUNKS>, grid, 32 * WARPS, 0, *p,
                       partial, first, adaln_vec(p));
    }
    if (!p->dgate) return;
    dim3 columns((unsigned)nn_cuda_ceil_div(SUMS * p->d, 256), n);
    nn_cuda_launch(cu, "adaln_sums_kernel", adaln_sums_kernel<T>, columns, 256, 0, *p, partial,
                   first, parts);
}

/* As many sequences at a time as the workspace holds sums of. */
template <typename T, int CHUNKS> static void backward(nn_cuda *cu, const nn_adaln_args *p)
{
    int64_t parts = nn_cuda_ceil_div(p->longest, PART_ROWS);
    int64_t slice = (int64_t)(NN_CUDA_WORKSPACE / sizeof(float)) / (parts * SUMS * p->d);
    slice = nn_cuda_min(slice, 65535);
    for (int64_t first = 0; first < p->segments; first += slice) {
        unsigned n = (unsigned)nn_cuda_min(slice, p->segments - first);
        backward_slice<T, CHUNKS>(cu, p, first, n, (unsigned)parts);
    }
}

template <typename T> static void either(nn_cuda *cu, const nn_adaln_args *p, bool back)
{
    int64_t chunks = nn_cuda_ceil_div(p->d, HELD_COLUMNS);
    if (chunks <= 1)
        back ? backward<T, 1>(cu, p) : forward<T, 1>(cu, p);
    else if (chunks <= 2)
        back ? backward<T, 2>(cu, p) : forward<T, 2>(cu, p);
    else if (chunks <= 4)
        back ? backward<T, 4>(cu, p) : forward<T, 4>(cu, p);
    else
        back ? backward<T, 8>(cu, p) : forward<T, 8>(cu, p);
}

static void run(nn_backend *be, const nn_adaln_args *p, bool back)
{
    if (p->m == 0 || p->d == 0) return;
    if (p->dtype == NN_BF16)
        either<bf16>(nn_cuda_of(be), p, back);
    else
        either<float>(nn_cuda_of(be), p, back);
}

void nn_cuda_adaln_fwd(nn_backend *be, const nn_adaln_args *p)
{
    run(be, p, false);
}

void nn_cuda_adaln_bwd(nn_backend *be, const nn_adaln_args *p)
{
    run(be, p, true);
}
