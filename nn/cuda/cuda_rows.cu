/* nn/cuda/cuda_rows.cu: operations on whole rows: gathers and row tables, column blocks, adaLN
 * gates and mean pooling over each sequence.
 *
 * All are bound by memory. Kernels that write a row's elements take four neighbouring columns a
 * thread; kernels that sum over rows take a column a lane and keep a fixed order of rows, so that
 * no sum depends on the order in which blocks run.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#define THREADS 256
#define SUM_ROWS 8 /* rows of threads that share a column's sum */

/* Calls f(row, column, there) for every group of four columns of every row. Grid: 256-thread blocks
 * striding over the m * ceil(d / 4) groups, neighbouring threads on neighbouring columns. */
template <typename F>
static __global__ void __launch_bounds__(THREADS) row_map_kernel(int64_t m, int64_t d, F f)
{
    nn_cuda_begin();
    int64_t quads = (d + 3) / 4, step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < m * quads; i += step) {
        int64_t row = i / quads, column = (i - row * quads) * 4;
        f(row, column, d - column);
    }
}

template <typename F>
static void run_row_map(nn_cuda *cu, int64_t m, int64_t d, const char *what, F f)
{
    if (m == 0 || d == 0) return;
    int64_t work = m * ((d + 3) / 4);
    int blocks =
        (int)nn_cuda_min(nn_cuda_ceil_div(work, THREADS), (int64_t)cu->multiprocessors * 16);
    nn_cuda_launch(cu, what, row_map_kernel<F>, blocks, THREADS, 0, m, d, f);
}

/* For group g of rows and each column: store(g, column, sum over k in [begin(g), end(g)) of
 * term(k, g, column)). Grid: (ceil(d / 32), groups); a block of 32 x 8 threads takes 32 columns,
 * thread row y adds every 8th term, and the 8 partial sums are added in order. */
template <typename RANGE, typename TERM, typename STORE>
static __global__ void __launch_bounds__(32 * SUM_ROWS)
    row_sum_kernel(int64_t d, RANGE range, TERM term, STORE store)
{
    nn_cuda_begin();
    __shared__ float shared[SUM_ROWS][33];
    int64_t column = (int64_t)blockIdx.y * 32 + threadIdx.x, group = blockIdx.x, from, to;
    range(group, from, to);
    float sum = 0.f;
    if (column < d) {
#pragma unroll 4
        for (int64_t k = from + threadIdx.y; k < to; k += SUM_ROWS) sum += term(k, group, column);
    }
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= d) return;
    for (int y = 1; y < SUM_ROWS; y++) sum += shared[y][threadIdx.x];
    store(group, column, sum, to - from);
}

template <typename RANGE, typename TERM, typename STORE>
static void run_row_sum(nn_cuda *cu, int64_t groups, int64_t d, const char *what, RANGE range,
                        TERM term, STORE store)
{
    if (groups == 0 || d == 0) return;
    dim3 grid((unsigned)groups, (unsigned)nn_cuda_ceil_div(d, 32)), threads(32, SUM_ROWS);
    nn_cuda_launch(cu, what, row_sum_kernel<RANGE, TERM, STORE>, grid, threads, 0, d, range, term,
                   store);
}

/* ---- row tables --------------------------------------------------------------------------------
 */

template <typename T, typename TABLE> static void rows_fwd(nn_cuda *cu, const nn_rows_args *p)
{
    const T *x = (const T *)p->x;
    const TABLE *source = (const TABLE *)p->table;
    const int32_t *index = p->index;
    T *y = (T *)p->y;
    int64_t d = p->d;
    bool vec = d % 4 == 0 && nn_cuda_vec4(x, p->dtype) && nn_cuda_vec4(y, p->dtype) &&
               nn_cuda_vec4(source, p->table_dtype);
    run_row_map(cu, p->m, d, "rows_fwd",
                [=] __device__(int64_t row, int64_t column, int64_t there) {
                    float4 v = load4_part(source + index[row] * d + column, there, vec);
                    if (x) {
                        float4 w = load4_part(x + row * d + column, there, vec);
                        v = make_float4(v.x + w.x, v.y + w.y, v.z + w.z, v.w + w.w);
                    }
                    store4_part(y + row * d + column, v, there, vec);
                });
}

#define SCATTER_WARPS 8

/* dtable[s] += the rows of dy that were read from it, in order. A warp takes 128 columns of one row
 * of the table: most rows were read once, so that a row's work is one load and one store and its
 * cost the latency, which many rows in flight hide. Grid: (rows / 8, ceil(d / 128)). */
template <typename T, typename TABLE>
static __global__ void __launch_bounds__(32 * SCATTER_WARPS)
    rows_bwd_kernel(TABLE *dtable, const T *dy, const int32_t *start, const int32_t *items,
                    int64_t sources, int64_t d, bool vec)
{
    nn_cuda_begin();
    int64_t s = (int64_t)blockIdx.x * SCATTER_WARPS + (threadIdx.x >> 5);
    int64_t column = (int64_t)blockIdx.y * 128 + (threadIdx.x & 31) * 4, there = d - column;
    if (s >= sources || there <= 0) return;
    int32_t from = start[s], to = start[s + 1];
    if (from == to) return;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
#pragma unroll 8
    for (int32_t k = from; k < to; k++) {
        float4 v = load4_part(dy + items[k] * d + column, there, vec);
        sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
    }
    TABLE *place = dtable + s * d + column;
    float4 v = load4_part(place, there, vec);
    v = make_float4(v.x + sum.x, v.y + sum.y, v.z + sum.z, v.w + sum.w);
    store4_part(place, v, there, vec);
}

/* The same where sources are few and read often: a block takes one source, warp w every 8th place
 * from the w-th on, and the warps' sums are added in their order. Grid: (sources, ceil(d / 128)).
 */
template <typename T, typename TABLE>
static __global__ void __launch_bounds__(32 * SCATTER_WARPS)
    popular_rows_bwd_kernel(TABLE *dtable, const T *dy, const int32_t *start, const int32_t *items,
                            int64_t d, bool vec)
{
    nn_cuda_begin();
    __shared__ float4 shared[SCATTER_WARPS][32];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int64_t column = (int64_t)blockIdx.y * 128 + lane * 4, there = d - column;
    const int32_t from = start[blockIdx.x], to = start[blockIdx.x + 1];
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
#pragma unroll 4
    for (int32_t k = from + warp; k < to; k += SCATTER_WARPS) {
        accumulate4(sum, load4_part(dy + items[k] * d + column, there, vec));
    }
    shared[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || there <= 0 || from == to) return;
    for (int w = 1; w < SCATTER_WARPS; w++) accumulate4(sum, shared[w][lane]);
    TABLE *place = dtable + blockIdx.x * d + column;
    accumulate4(sum, load4_part(place, there, vec));
    store4_part(place, sum, there, vec);
}

template <typename T, typename TABLE> static void rows_bwd(nn_cuda *cu, const nn_rows_args *p)
{
    if (p->sources == 0 || p->d == 0) return;
    bool vec =
        p->d % 4 == 0 && nn_cuda_vec4(p->dy, p->dtype) && nn_cuda_vec4(p->dtable, p->table_dtype);
    bool popular = p->m >= 2 * SCATTER_WARPS * p->sources;
    dim3 grid((unsigned)(popular ? p->sources : nn_cuda_ceil_div(p->sources, SCATTER_WARPS)),
              (unsigned)nn_cuda_ceil_div(p->d, 128));
    if (popular) {
        nn_cuda_launch(cu, "popular_rows_bwd_kernel", popular_rows_bwd_kernel<T, TABLE>, grid,
                       32 * SCATTER_WARPS, 0, (TABLE *)p->dtable, (const T *)p->dy,
                       p->inverse_start, p->inverse_items, p->d, vec);
    } else {
        nn_cuda_launch(cu, "rows_bwd_kernel", rows_bwd_kernel<T, TABLE>, grid, 32 * SCATTER_WARPS,
                       0, (TABLE *)p->dtable, (const T *)p->dy, p->inverse_start, p->inverse_items,
                       p->sources, p->d, vec);
    }
}

void nn_cuda_rows_fwd(nn_backend *be, const nn_rows_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    bool typed = p->dtype == NN_BF16, table = p->table_dtype == NN_BF16;
    if (typed && table)
        rows_fwd<bf16, bf16>(cu, p);
    else if (typed)
        rows_fwd<bf16, float>(cu, p);
    else if (table)
        rows_fwd<float, bf16>(cu, p);
    else
        rows_fwd<float, float>(cu, p);
}

void nn_cuda_rows_bwd(nn_backend *be, const nn_rows_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    bool typed = p->dtype == NN_BF16, table = p->table_dtype == NN_BF16;
    if (typed && table)
        rows_bwd<bf16, bf16>(cu, p);
    else if (typed)
        rows_bwd<bf16, float>(cu, p);
    else if (table)
        rows_bwd<float, bf16>(cu, p);
    else
        rows_bwd<float, float>(cu, p);
}

/* ---- column blocks -----------------------------------------------------------------------------
 */

template <typename T> static void columns(nn_cuda *cu, const nn_columns_args *p)
{
    const T *src = (const T *)p->src;
    T *dst = (T *)p->dst;
    int64_t src_stride = p->src_stride, dst_stride = p->dst_stride;
    bool add = p->add;
    bool vec = src_stride % 4 == 0 && dst_stride % 4 == 0 && nn_cuda_vec4(src, p->dtype) &&
               nn_cuda_vec4(dst, p->dtype);
    run_row_map(cu, p->m, p->columns, "columns",
                [=] __device__(int64_t row, int64_t column, int64_t there) {
                    float4 v = load4_part(src + row * src_stride + column, there, vec);
                    T *out = dst + row * dst_stride + column;
                    if (add) {
                        float4 w = load4_part(out, there, vec);
                        v = make_float4(v.x + w.x, v.y + w.y, v.z + w.z, v.w + w.w);
                    }
                    store4_part(out, v, there, vec);
                });
}

void nn_cuda_columns(nn_backend *be, const nn_columns_args *p)
{
    if (p->dtype == NN_BF16)
        columns<bf16>(nn_cuda_of(be), p);
    else
        columns<float>(nn_cuda_of(be), p);
}

/* ---- gates and pooling -------------------------------------------------------------------------
 */

static bool segment_vec(const nn_segment_args *p)
{
    const void *all[] = {p->x, p->h, p->g, p->y, p->dy, p->dx, p->dh};
    bool vec = p->d % 4 == 0 && p->mod_stride % 4 == 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        vec = vec && nn_cuda_vec4(all[i], p->dtype);
    }
    return vec;
}

template <typename T> static void gate_fwd(nn_cuda *cu, const nn_segment_args *p)
{
    const T *x = (const T *)p->x, *h = (const T *)p->h, *g = (const T *)p->g;
    const int32_t *segment = p->segment;
    T *y = (T *)p->y;
    int64_t d = p->d, stride = p->mod_stride;
    bool vec = segment_vec(p);
    run_row_map(cu, p->m, d, "gate_fwd",
                [=] __device__(int64_t row, int64_t column, int64_t there) {
                    int64_t at = row * d + column;
                    float4 v = load4_part(x + at, there, vec), w = load4_part(h + at, there, vec);
                    float4 gate = load4_part(g + segment[row] * stride + column, there, vec);
                    v = make_float4(v.x + gate.x * w.x, v.y + gate.y * w.y, v.z + gate.z * w.z,
                                    v.w + gate.w * w.w);
                    store4_part(y + at, v, there, vec);
                });
}

template <typename T> static void gate_bwd(nn_cuda *cu, const nn_segment_args *p)
{
    const T *h = (const T *)p->h, *g = (const T *)p->g, *dy = (const T *)p->dy;
    const int32_t *segment = p->segment, *offsets = p->offsets;
    T *dx = (T *)p->dx, *dh = (T *)p->dh, *dg = (T *)p->dg;
    int64_t d = p->d, stride = p->mod_stride, dg_stride = p->dg_stride;
    bool vec = segment_vec(p);
    if (dx || dh) {
        run_row_map(cu, p->m, d, "gate_bwd",
                    [=] __device__(int64_t row, int64_t column, int64_t there) {
                        int64_t at = row * d + column;
                        float4 v = load4_part(dy + at, there, vec);
                        if (dx) store4_part(dx + at, v, there, vec);
                        if (!dh) return;
                        float4 gate = load4_part(g + segment[row] * stride + column, there, vec);
                        v = make_float4(v.x * gate.x, v.y * gate.y, v.z * gate.z, v.w * gate.w);
                        store4_part(dh + at, v, there, vec);
                    });
    }
    if (!dg) return;
    run_row_sum(
        cu, p->segments, d, "gate_bwd",
        [=] __device__(int64_t s, int64_t & from, int64_t & to) {
            from = offsets[s];
            to = offsets[s + 1];
        },
        [=] __device__(int64_t row, int64_t, int64_t c) {
            return load1(dy + row * d + c) * load1(h + row * d + c);
        },
        [=] __device__(int64_t s, int64_t c, float v, int64_t) {
            store1(dg + s * dg_stride + c, v);
        });
}

template <typename T> static void pool_fwd(nn_cuda *cu, const nn_segment_args *p)
{
    const T *x = (const T *)p->x;
    const int32_t *offsets = p->offsets;
    T *y = (T *)p->y;
    int64_t d = p->d;
    run_row_sum(
        cu, p->segments, d, "pool_fwd",
        [=] __device__(int64_t s, int64_t & from, int64_t & to) {
            from = offsets[s];
            to = offsets[s + 1];
        },
        [=] __device__(int64_t row, int64_t, int64_t c) { return load1(x + row * d + c); },
        [=] __device__(int64_t s, int64_t c, float v, int64_t n) {
            store1(y + s * d + c, n > 0 ? v / (float)n : 0.f);
        });
}

template <typename T> static void pool_bwd(nn_cuda *cu, const nn_segment_args *p)
{
    const T *dy = (const T *)p->dy;
    const int32_t *segment = p->segment, *offsets = p->offsets;
    T *dx = (T *)p->dx;
    int64_t d = p->d;
    bool vec = d % 4 == 0 && nn_cuda_vec4(dy, p->dtype) && nn_cuda_vec4(dx, p->dtype);
    run_row_map(cu, p->m, d, "pool_bwd",
                [=] __device__(int64_t row, int64_t column, int64_t there) {
                    int64_t s = segment[row];
                    float part = 1.f / (float)(offsets[s + 1] - offsets[s]);
                    float4 v = load4_part(dy + s * d + column, there, vec);
                    v = make_float4(v.x * part, v.y * part, v.z * part, v.w * part);
                    store4_part(dx + row * d + column, v, there, vec);
                });
}

void nn_cuda_gate_fwd(nn_backend *be, const nn_segment_args *p)
{
    if (p->dtype == NN_BF16)
        gate_fwd<bf16>(nn_cuda_of(be), p);
    else
        gate_fwd<float>(nn_cuda_of(be), p);
}

void nn_cuda_gate_bwd(nn_backend *be, const nn_segment_args *p)
{
    if (p->dtype == NN_BF16)
        gate_bwd<bf16>(nn_cuda_of(be), p);
    else
        gate_bwd<float>(nn_cuda_of(be), p);
}

void nn_cuda_pool_fwd(nn_backend *be, const nn_segment_args *p)
{
    if (p->dtype == NN_BF16)
        pool_fwd<bf16>(nn_cuda_of(be), p);
    else
        pool_fwd<float>(nn_cuda_of(be), p);
}

void nn_cuda_pool_bwd(nn_backend *be, const nn_segment_args *p)
{
    if (p->dtype == NN_BF16)
        pool_bwd<bf16>(nn_cuda_of(be), p);
    else
        pool_bwd<float>(nn_cuda_of(be), p);
}
