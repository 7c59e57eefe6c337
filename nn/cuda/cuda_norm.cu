/* nn/cuda/cuda_norm.cu: LayerNorm (plain, with a residual, modulated) and row normalisation,
 * forward and backward.
 *
 * One warp takes one row and, for D up to 1024, keeps it in registers, so that a row is read once
 * and written once; the naive version reads it three times (mean, variance, output). Statistics are
 * two-pass in f32: the mean first, then the variance around it. Wider rows are read again for every
 * pass.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"

#define WARPS 8               /* rows in flight in a block */
#define HELD_COLUMNS (32 * 4) /* of one row, by one warp in one access of four */
#define MAX_BACKWARD_BLOCKS 512
#define PARTIAL_ROWS 32

/* The four columns of x + drop(residual) that start at `column` of row `row`; with dropout,
 * `factor` is what it multiplied them by. */
template <typename T>
static __device__ __forceinline__ float4 input4(float4 &factor, const nn_layernorm_args &p,
                                                int64_t row, int64_t column, bool vec)
{
    int64_t at = row * p.d + column, there = p.d - column;
    float4 v = load4_part((const T *)p.x + at, there, vec);
    if (p.residual) {
        float4 r = load4_part((const T *)p.residual + at, there, vec);
        if (p.drop.p > 0.f) r = multiply4(r, factor = drop_factor4(p.drop, (uint64_t)at));
        accumulate4(v, r);
    }
    return v;
}

template <typename T>
static __device__ __forceinline__ float4 input4(const nn_layernorm_args &p, int64_t row,
                                                int64_t column, bool vec)
{
    float4 factor;
    return input4<T>(factor, p, row, column, vec);
}

static __device__ __forceinline__ float sum4(float4 v)
{
    return (v.x + v.y) + (v.z + v.w);
}

/* Squares of v - mean, columns past the row's end left out. */
static __device__ __forceinline__ float squares4(float4 v, float mean, int64_t there)
{
    float x = v.x - mean, y = v.y - mean, z = v.z - mean, w = v.w - mean;
    float s = x * x;
    if (there > 1) s += y * y;
    if (there > 2) s += z * z;
    if (there > 3) s += w * w;
    return s;
}

/* What multiplies and what is added to xhat at a row's columns. */
template <typename T>
static __device__ __forceinline__ void affine4(float4 &gain, float4 &shift,
                                               const nn_layernorm_args &p, int64_t row,
                                               int64_t column, bool vec)
{
    int64_t there = p.d - column;
    gain = make_float4(1.f, 1.f, 1.f, 1.f);
    shift = make_float4(0.f, 0.f, 0.f, 0.f);
    if (p.scale) {
        int64_t at = p.segment[row] * p.mod_stride + column;
        float4 s = load4_part((const T *)p.scale + at, there, vec);
        gain = make_float4(1.f + s.x, 1.f + s.y, 1.f + s.z, 1.f + s.w);
        shift = load4_part((const T *)p.shift + at, there, vec);
    } else {
        if (p.w) gain = load4_part((const float *)p.w + column, there, vec);
        if (p.b) shift = load4_part((const float *)p.b + column, there, vec);
    }
}

/* y = LN(x + residual). CHUNKS times 128 columns are held by the warp; 0: any width, read thrice.
 * Grid: one block of 8 warps for 8 rows. Moves x (and residual) in, y out. */
template <typename T, int CHUNKS>
static __global__ void __launch_bounds__(32 * WARPS)
    layernorm_fwd_kernel(nn_layernorm_args p, bool vec)
{
    int lane = threadIdx.x & 31;
    int64_t row = (int64_t)blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (row >= p.m) return;
    constexpr int HELD = CHUNKS ? CHUNKS : 1;
    float4 held[HELD];
    float sum = 0.f, squares = 0.f;
    if (CHUNKS) {
#pragma unroll
        for (int c = 0; c < HELD; c++) {
            int column = c * HELD_COLUMNS + lane * 4;
            held[c] = column < p.d ? input4<T>(p, row, column, vec) : make_float4(0, 0, 0, 0);
            sum += sum4(held[c]);
        }
    } else {
        for (int64_t column = lane * 4; column < p.d; column += HELD_COLUMNS) {
            sum += sum4(input4<T>(p, row, column, vec));
        }
    }
    float mean = warp_sum(sum) / (float)p.d;
    if (CHUNKS) {
#pragma unroll
        for (int c = 0; c < HELD; c++) {
            int64_t there = p.d - (c * HELD_COLUMNS + lane * 4);
            if (there > 0) squares += squares4(held[c], mean, there);
        }
    } else {
        for (int64_t column = lane * 4; column < p.d; column += HELD_COLUMNS) {
            squares += squares4(input4<T>(p, row, column, vec), mean, p.d - column);
        }
    }
    float rstd = 1.f / sqrtf(warp_sum(squares) / (float)p.d + p.eps);
    if (lane == 0 && p.mean) p.mean[row] = mean;
    if (lane == 0 && p.rstd) p.rstd[row] = rstd;
    auto finish = [&](float4 v, int64_t column) {
        float4 gain, shift;
        affine4<T>(gain, shift, p, row, column, vec);
        v = make_float4(
            (v.x - mean) * rstd * gain.x + shift.x, (v.y - mean) * rstd * gain.y + shift.y,
            (v.z - mean) * rstd * gain.z + shift.z, (v.w - mean) * rstd * gain.w + shift.w);
        store4_part((T *)p.y + row * p.d + column, v, p.d - column, vec);
    };
    if (CHUNKS) {
#pragma unroll
        for (int c = 0; c < HELD; c++) {
            int column = c * HELD_COLUMNS + lane * 4;
            if (column < p.d) finish(held[c], column);
        }
    } else {
        for (int64_t column = lane * 4; column < p.d; column += HELD_COLUMNS) {
            finish(input4<T>(p, row, column, vec), column);
        }
    }
}

/* dy and xhat at four columns of a row, zero past the row's end. */
template <typename T>
static __device__ __forceinline__ void upstream4(float4 &dy, float4 &xhat, float4 &factor,
                                                 const nn_layernorm_args &p, int64_t row,
                                                 int64_t column, float mean, float rstd, bool vec)
{
    int64_t there = p.d - column;
    float4 x = input4<T>(factor, p, row, column, vec);
    dy = load4_part((const T *)p.dy + row * p.d + column, there, vec);
    xhat =
        make_float4((x.x - mean) * rstd, there > 1 ? (x.y - mean) * rstd : 0.f,
                    there > 2 ? (x.z - mean) * rstd : 0.f, there > 3 ? (x.w - mean) * rstd : 0.f);
}

/* Stores dx's four columns, and the residual's before its dropout, which are returned. */
template <typename T>
static __device__ __forceinline__ float4 store_grads(const nn_layernorm_args &p, float4 dx,
                                                     float4 factor, int64_t at, int64_t there,
                                                     bool vec)
{
    store4_part((T *)p.dx + at, dx, there, vec);
    if (!p.dresidual) return dx;
    if (p.drop.p > 0.f) dx = multiply4(dx, factor);
    store4_part((T *)p.dresidual + at, dx, there, vec);
    return dx;
}

/* One row's dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy gain; the row's dy, dy xhat and
 * gradient of the residual are added to `db`, `dw` and `dbias`. */
template <typename T, int CHUNKS>
static __device__ __forceinline__ void
backward_row(float4 (&dw)[CHUNKS], float4 (&db)[CHUNKS], float4 (&dbias)[CHUNKS],
             const nn_layernorm_args &p, int64_t row, bool vec)
{
    int lane = threadIdx.x & 31;
    float mean = p.mean[row], rstd = p.rstd[row], sum_g = 0.f, sum_gx = 0.f;
    float4 g[CHUNKS], xhat[CHUNKS], factor[CHUNKS], shift;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int64_t column = c * HELD_COLUMNS + lane * 4;
        g[c] = xhat[c] = make_float4(0.f, 0.f, 0.f, 0.f);
        if (column < p.d) {
            float4 dy, gain;
            upstream4<T>(dy, xhat[c], factor[c], p, row, column, mean, rstd, vec);
            affine4<T>(gain, shift, p, row, column, vec);
            g[c] = multiply4(dy, gain);
            accumulate4(db[c], dy);
            accumulate4(dw[c], multiply4(dy, xhat[c]));
        }
        sum_g += sum4(g[c]);
        sum_gx += sum4(multiply4(g[c], xhat[c]));
    }
    sum_g = warp_sum(sum_g) / (float)p.d;
    sum_gx = warp_sum(sum_gx) / (float)p.d;
    if (!p.dx) return;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int64_t column = c * HELD_COLUMNS + lane * 4;
        if (column >= p.d) continue;
        float4 dx = make_float4(rstd * (g[c].x - sum_g - xhat[c].x * sum_gx),
                                rstd * (g[c].y - sum_g - xhat[c].y * sum_gx),
                                rstd * (g[c].z - sum_g - xhat[c].z * sum_gx),
                                rstd * (g[c].w - sum_g - xhat[c].w * sum_gx));
        accumulate4(dbias[c],
                    store_grads<T>(p, dx, factor[c], row * p.d + column, p.d - column, vec));
    }
}

/* Adds up the warps' column sums in warp order; `shared` holds WARPS * CHUNKS * 128 floats. The
 * sums of column c are then in threads c % 256 of the block: total(c) is passed to `store`. */
template <int CHUNKS, typename STORE>
static __device__ __forceinline__ void block_columns(const float4 (&part)[CHUNKS], float *shared,
                                                     int64_t d, STORE store)
{
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    __syncthreads();
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        store4(shared + (warp * CHUNKS + c) * HELD_COLUMNS + lane * 4, part[c]);
    }
    __syncthreads();
    for (int column = threadIdx.x; column < d; column += blockDim.x) {
        float total = 0.f;
        for (int w = 0; w < WARPS; w++) total += shared[w * CHUNKS * HELD_COLUMNS + column];
        store(column, total);
    }
}

/* Plain LayerNorm's backward. Each block walks every gridDim.x-th group of 8 rows and leaves its
 * sums for dw, db and dbias as row blockIdx.x of three parts of `partial` (gridDim.x, D). Moves x,
 * the residual and dy in, dx and the residual's gradient out; the naive version adds sums
 * atomically. */
template <typename T, int CHUNKS>
static __global__ void __launch_bounds__(32 * WARPS)
    layernorm_bwd_kernel(nn_layernorm_args p, float *partial, bool vec)
{
    __shared__ float shared[WARPS * CHUNKS * HELD_COLUMNS];
    float4 dw[CHUNKS], db[CHUNKS], dbias[CHUNKS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) dw[c] = db[c] = dbias[c] = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int64_t row = (int64_t)blockIdx.x * WARPS + (threadIdx.x >> 5); row < p.m;
         row += (int64_t)gridDim.x * WARPS) {
        backward_row<T, CHUNKS>(dw, db, dbias, p, row, vec);
    }
    const int64_t part = gridDim.x * p.d;
    float *out = partial + blockIdx.x * p.d;
    auto keep = [&](int column, float v) { out[column] = v; };
    if (p.dw) block_columns<CHUNKS>(dw, shared, p.d, keep);
    out += part;
    if (p.db) block_columns<CHUNKS>(db, shared, p.d, keep);
    out += part;
    if (p.dbias) block_columns<CHUNKS>(dbias, shared, p.d, keep);
}

/* The modulated backward: one block takes one sequence, whose rows give dshift and dscale; so these
 * need no second pass. */
template <typename T, int CHUNKS>
static __global__ void __launch_bounds__(32 * WARPS)
    modulate_bwd_kernel(nn_layernorm_args p, bool vec)
{
    __shared__ float shared[WARPS * CHUNKS * HELD_COLUMNS];
    int64_t segment = blockIdx.x;
    float4 dw[CHUNKS], db[CHUNKS], unused[CHUNKS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) dw[c] = db[c] = unused[c] = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int64_t row = p.offsets[segment] + (threadIdx.x >> 5); row < p.offsets[segment + 1];
         row += WARPS) {
        backward_row<T, CHUNKS>(dw, db, unused, p, row, vec);
    }
    if (!p.dshift) return;
    T *dscale = (T *)p.dscale + segment * p.dmod_stride;
    T *dshift = (T *)p.dshift + segment * p.dmod_stride;
    block_columns<CHUNKS>(dw, shared, p.d,
                          [=](int column, float v) { store1(dscale + column, v); });
    block_columns<CHUNKS>(db, shared, p.d,
                          [=](int column, float v) { store1(dshift + column, v); });
}

/* Rows wider than 1024. dx alone: one warp a row, the row read twice. */
template <typename T>
static __global__ void __launch_bounds__(32 * WARPS) wide_bwd_kernel(nn_layernorm_args p, bool vec)
{
    int lane = threadIdx.x & 31;
    int64_t row = (int64_t)blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (row >= p.m) return;
    float mean = p.mean[row], rstd = p.rstd[row], sum_g = 0.f, sum_gx = 0.f;
    float4 dy, xhat, factor, gain, shift;
    for (int64_t column = lane * 4; column < p.d; column += HELD_COLUMNS) {
        upstream4<T>(dy, xhat, factor, p, row, column, mean, rstd, vec);
        affine4<T>(gain, shift, p, row, column, vec);
        float4 g = multiply4(dy, gain);
        sum_g += sum4(g);
        sum_gx += sum4(multiply4(g, xhat));
    }
    sum_g = warp_sum(sum_g) / (float)p.d;
    sum_gx = warp_sum(sum_gx) / (float)p.d;
    for (int64_t column = lane * 4; column < p.d; column += HELD_COLUMNS) {
        upstream4<T>(dy, xhat, factor, p, row, column, mean, rstd, vec);
        affine4<T>(gain, shift, p, row, column, vec);
        float4 g = multiply4(dy, gain);
        float4 dx = make_float4(
            rstd * (g.x - sum_g - xhat.x * sum_gx), rstd * (g.y - sum_g - xhat.y * sum_gx),
            rstd * (g.z - sum_g - xhat.z * sum_gx), rstd * (g.w - sum_g - xhat.w * sum_gx));
        store_grads<T>(p, dx, factor, row * p.d + column, p.d - column, vec);
    }
}

/* Rows wider than 1024: column sums of dy xhat, of dy and of the stored gradient of the residual,
 * one thread a column, rows in order. Grid y is the sequence when modulated, else 1. */
template <typename T>
static __global__ void __launch_bounds__(128) wide_columns_kernel(nn_layernorm_args p)
{
    int64_t column = (int64_t)blockIdx.x * 128 + threadIdx.x, segment = blockIdx.y;
    if (column >= p.d) return;
    int64_t from = p.scale ? p.offsets[segment] : 0, to = p.scale ? p.offsets[segment + 1] : p.m;
    float dw = 0.f, db = 0.f, dbias = 0.f;
    for (int64_t row = from; row < to; row++) {
        int64_t at = row * p.d + column;
        float x = load1((const T *)p.x + at), dy = load1((const T *)p.dy + at);
        if (p.residual) {
            float r = load1((const T *)p.residual + at);
            if (p.drop.p > 0.f) r *= drop_factor4(p.drop, (uint64_t)at).x;
            x += r;
        }
        if (p.dbias) dbias += load1((const T *)p.dresidual + at);
        dw += dy * ((x - p.mean[row]) * p.rstd[row]);
        db += dy;
    }
    if (p.scale) {
        store1((T *)p.dscale + segment * p.dmod_stride + column, dw);
        store1((T *)p.dshift + segment * p.dmod_stride + column, db);
    } else {
        if (p.dw) p.dw[column] += dw;
        if (p.db) p.db[column] += db;
        if (p.dbias) p.dbias[column] += dbias;
    }
}

/* Adds the column sums of the three parts of `partial` (rows, D) to dw, db and dbias, each in a
 * fixed order. Grid (ceil(D / 32), 3): a block takes 32 columns of one of the three; thread row y
 * adds every 32nd partial sum, then the 32 are added in order. */
static __global__ void __launch_bounds__(32 * PARTIAL_ROWS)
    sum_partials_kernel(float *dw, float *db, float *dbias, const float *partial, int rows,
                        int64_t d)
{
    __shared__ float shared[PARTIAL_ROWS][33];
    float *dst = blockIdx.y == 0 ? dw : blockIdx.y == 1 ? db : dbias;
    if (!dst) return;
    partial += blockIdx.y * rows * d;
    int64_t column = (int64_t)blockIdx.x * 32 + threadIdx.x;
    float sum = 0.f;
    if (column < d) {
#pragma unroll 8
        for (int r = threadIdx.y; r < rows; r += PARTIAL_ROWS) sum += partial[r * d + column];
    }
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= d) return;
    for (int y = 1; y < PARTIAL_ROWS; y++) sum += shared[y][threadIdx.x];
    dst[column] += sum;
}

/* ---- host --------------------------------------------------------------------------------------
 */

/* All rows and vectors that a layernorm touches can be moved four elements at a time. */
static bool layernorm_vec(const nn_layernorm_args *p)
{
    const void *typed[] = {p->x, p->residual, p->y, p->dy, p->dx, p->dresidual, p->shift, p->scale};
    bool vec = p->d % 4 == 0 && nn_cuda_vec4(p->w, NN_F32) && nn_cuda_vec4(p->b, NN_F32) &&
               (!p->scale || p->mod_stride % 4 == 0);
    for (size_t i = 0; i < sizeof typed / sizeof typed[0]; i++) {
        vec = vec && nn_cuda_vec4(typed[i], p->dtype);
    }
    return vec;
}

template <typename T> static void layernorm_fwd(nn_cuda *cu, const nn_layernorm_args *p)
{
    unsigned blocks = (unsigned)nn_cuda_ceil_div(p->m, WARPS);
    bool vec = layernorm_vec(p);
    int64_t chunks = nn_cuda_ceil_div(p->d, HELD_COLUMNS);
    if (chunks <= 1)
        layernorm_fwd_kernel<T, 1><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p, vec);
    else if (chunks <= 2)
        layernorm_fwd_kernel<T, 2><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p, vec);
    else if (chunks <= 4)
        layernorm_fwd_kernel<T, 4><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p, vec);
    else if (chunks <= 8)
        layernorm_fwd_kernel<T, 8><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p, vec);
    else
        layernorm_fwd_kernel<T, 0><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p, vec);
    nn_cuda_check(cu, cudaGetLastError(), "layernorm_fwd_kernel");
}

void nn_cuda_layernorm_fwd(nn_backend *be, const nn_layernorm_args *p)
{
    if (p->m == 0 || p->d == 0) return;
    if (p->dtype == NN_BF16)
        layernorm_fwd<bf16>(nn_cuda_of(be), p);
    else
        layernorm_fwd<float>(nn_cuda_of(be), p);
}

template <typename T, int CHUNKS>
static void held_bwd(nn_cuda *cu, const nn_layernorm_args *p, bool vec)
{
    if (p->scale) {
        modulate_bwd_kernel<T, CHUNKS>
            <<<(unsigned)p->segments, 32 * WARPS, 0, cu->stream>>>(*p, vec);
        nn_cuda_check(cu, cudaGetLastError(), "modulate_bwd_kernel");
        return;
    }
    int blocks = (int)nn_cuda_min(nn_cuda_ceil_div(p->m, WARPS),
                                  nn_cuda_min(3 * cu->multiprocessors, MAX_BACKWARD_BLOCKS));
    float *partial = (float *)cu->workspace;
    layernorm_bwd_kernel<T, CHUNKS><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p, partial, vec);
    nn_cuda_check(cu, cudaGetLastError(), "layernorm_bwd_kernel");
    if (!p->dw && !p->db && !p->dbias) return;
    dim3 threads(32, PARTIAL_ROWS), grid((unsigned)nn_cuda_ceil_div(p->d, 32), 3);
    sum_partials_kernel<<<grid, threads, 0, cu->stream>>>(p->dw, p->db, p->dbias, partial, blocks,
                                                          p->d);
    nn_cuda_check(cu, cudaGetLastError(), "sum_partials_kernel");
}

template <typename T> static void layernorm_bwd(nn_cuda *cu, const nn_layernorm_args *p)
{
    bool vec = layernorm_vec(p);
    int64_t chunks = nn_cuda_ceil_div(p->d, HELD_COLUMNS);
    if (chunks <= 1)
        held_bwd<T, 1>(cu, p, vec);
    else if (chunks <= 2)
        held_bwd<T, 2>(cu, p, vec);
    else if (chunks <= 4)
        held_bwd<T, 4>(cu, p, vec);
    else if (chunks <= 8)
        held_bwd<T, 8>(cu, p, vec);
    else {
        if (p->dx && p->m > 0) {
            wide_bwd_kernel<T>
                <<<(unsigned)nn_cuda_ceil_div(p->m, WARPS), 32 * WARPS, 0, cu->stream>>>(*p, vec);
        }
        if (p->scale ? p->dshift != NULL : (p->dw || p->db || p->dbias)) {
            dim3 grid((unsigned)nn_cuda_ceil_div(p->d, 128), p->scale ? (unsigned)p->segments : 1);
            wide_columns_kernel<T><<<grid, 128, 0, cu->stream>>>(*p);
        }
        nn_cuda_check(cu, cudaGetLastError(), "wide_bwd_kernel");
    }
}

void nn_cuda_layernorm_bwd(nn_backend *be, const nn_layernorm_args *p)
{
    if (p->d == 0 || (p->scale ? p->segments == 0 : p->m == 0)) return;
    if (p->dtype == NN_BF16)
        layernorm_bwd<bf16>(nn_cuda_of(be), p);
    else
        layernorm_bwd<float>(nn_cuda_of(be), p);
}

/* ---- rows divided by their length
 * ---------------------------------------------------------------- */

/* One warp a row; the row is read twice (length, then division), the second time from L1. */
template <typename T>
static __global__ void __launch_bounds__(32 * WARPS) normalize_fwd_kernel(nn_normalize_args p)
{
    int lane = threadIdx.x & 31;
    int64_t row = (int64_t)blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (row >= p.m) return;
    const T *x = (const T *)p.x + row * p.d;
    float sum = 0.f;
    for (int64_t i = lane; i < p.d; i += 32) {
        float v = load1(x + i);
        sum += v * v;
    }
    float norm = fmaxf(sqrtf(warp_sum(sum)), p.eps);
    if (lane == 0 && p.norm) p.norm[row] = norm;
    for (int64_t i = lane; i < p.d; i += 32) store1((T *)p.y + row * p.d + i, load1(x + i) / norm);
}

/* dx = (dy - y (y . dy)) / norm, in double because the difference may cancel; a row shorter than
 * eps was divided by the constant eps, so its dx is dy / eps. */
template <typename T>
static __global__ void __launch_bounds__(32 * WARPS) normalize_bwd_kernel(nn_normalize_args p)
{
    int lane = threadIdx.x & 31;
    int64_t row = (int64_t)blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (row >= p.m) return;
    const T *x = (const T *)p.x + row * p.d, *dy = (const T *)p.dy + row * p.d;
    double squares = 0.0, dot = 0.0;
    for (int64_t i = lane; i < p.d; i += 32) {
        double v = load1(x + i);
        squares += v * v;
        dot += v * load1(dy + i);
    }
    squares = warp_sum(squares);
    dot = warp_sum(dot);
    double length = sqrt(squares), norm = length > p.eps ? length : p.eps;
    double along = length > p.eps ? dot / squares : 0.0;
    for (int64_t i = lane; i < p.d; i += 32) {
        double g = ((double)load1(dy + i) - (double)load1(x + i) * along) / norm;
        store1((T *)p.dx + row * p.d + i, (float)g);
    }
}

void nn_cuda_normalize_fwd(nn_backend *be, const nn_normalize_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (p->m == 0 || p->d == 0) return;
    unsigned blocks = (unsigned)nn_cuda_ceil_div(p->m, WARPS);
    if (p->dtype == NN_BF16)
        normalize_fwd_kernel<bf16><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p);
    else
        normalize_fwd_kernel<float><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p);
    nn_cuda_check(cu, cudaGetLastError(), "normalize_fwd_kernel");
}

void nn_cuda_normalize_bwd(nn_backend *be, const nn_normalize_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (p->m == 0 || p->d == 0) return;
    unsigned blocks = (unsigned)nn_cuda_ceil_div(p->m, WARPS);
    if (p->dtype == NN_BF16)
        normalize_bwd_kernel<bf16><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p);
    else
        normalize_bwd_kernel<float><<<blocks, 32 * WARPS, 0, cu->stream>>>(*p);
    nn_cuda_check(cu, cudaGetLastError(), "normalize_bwd_kernel");
}
