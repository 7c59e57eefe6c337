/* nn/cuda/cuda_norm.cu: LayerNorm (plain, with a residual, modulated) and row normalisation,
 * forward and backward.
 *
 * All are bound by memory. One warp takes one row in runs of 16 bytes a lane (cuda_device.cuh), of
 * one element where the width or a pointer does not allow more, and for D up to 1024 keeps it in
 * registers, so that a row is read once and written once; the naive version reads it three times
 * (mean, variance, output). All loads of a row are sent before the first is waited for. Statistics
 * are two-pass in f32: the mean first, then the variance around it. Wider rows are read again for
 * every pass.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_launch.cuh"

#define WARPS 8         /* rows in flight in a block */
#define FORWARD_WARPS 4 /* the same, in small blocks that spread few rows over all processors */
#define MOST_HELD 32    /* columns of a row that a lane keeps */
#define PARTIAL_ROWS 16 /* of partial sums that a thread asks for at once */

/* The first column of a lane's run number c. */
template <int E> static __device__ __forceinline__ int64_t column_of(int64_t c)
{
    return (c * 32 + (threadIdx.x & 31)) * E;
}

/* What is read of x + drop(residual) for one run. */
template <typename T, int E> struct input_run {
    run_of<T, E> x, residual;
};

template <typename T, int E>
static __device__ __forceinline__ input_run<T, E> load_input(const nn_layernorm_args &p, int64_t at,
                                                             bool there)
{
    return {load_run<T, E>((const T *)p.x + at, there),
            load_run<T, E>((const T *)p.residual + at, there && p.residual)};
}

/* v = x + drop(residual); bits `from` on of `kept` tell what stays. */
template <typename T, int E>
static __device__ __forceinline__ void add_input(float (&v)[E], const input_run<T, E> &in,
                                                 const dropout &drop, uint32_t kept, int from)
{
    float r[E];
    widen(v, in.x);
    widen(r, in.residual);
    drop_run(r, drop, kept, from);
#pragma unroll
    for (int i = 0; i < E; i++) v[i] += r[i];
}

/* The same for a run that is read where it is needed; returns what stays. */
template <typename T, int E>
static __device__ __forceinline__ uint32_t read_input(float (&v)[E], const nn_layernorm_args &p,
                                                      const dropout &drop, int64_t at)
{
    uint32_t kept = kept_bits<E>(drop, (uint64_t)at);
    add_input<T, E>(v, load_input<T, E>(p, at, true), drop, kept, 0);
    return kept;
}

/* The residual's dropout; none where there is no residual. */
static __device__ __forceinline__ dropout residual_dropout(const nn_layernorm_args &p)
{
    return dropout_of(p.residual ? p.drop : nn_drop{});
}

/* Sum of E values by halves. */
template <int E> static __device__ __forceinline__ float sum_run(const float (&v)[E])
{
    float total = E == 1 ? v[0] : 0.f;
#pragma unroll
    for (int i = 0; i + 4 <= E; i += 4) {
        float four = (v[i] + v[i + 1]) + (v[i + 2] + v[i + 3]);
        total = i ? total + four : four;
    }
    return total;
}

template <int E>
static __device__ __forceinline__ float squares_run(const float (&v)[E], float mean)
{
    float total = 0.f;
#pragma unroll
    for (int i = 0; i < E; i++) {
        float apart = v[i] - mean;
        total = i ? total + apart * apart : apart * apart;
    }
    return total;
}

/* What multiplies xhat at a run's columns. */
template <typename T, int E>
static __device__ __forceinline__ void gain_run(float (&gain)[E], const nn_layernorm_args &p,
                                                int64_t segment, int64_t column)
{
    if (p.scale) {
        widen(gain, load_run<T, E>((const T *)p.scale + segment * p.mod_stride + column, true));
#pragma unroll
        for (int i = 0; i < E; i++) gain[i] = 1.f + gain[i];
    } else if (p.w) {
        load_floats(gain, (const float *)p.w + column);
    } else {
#pragma unroll
        for (int i = 0; i < E; i++) gain[i] = 1.f;
    }
}

/* What is added. */
template <typename T, int E>
static __device__ __forceinline__ void shift_run(float (&shift)[E], const nn_layernorm_args &p,
                                                 int64_t segment, int64_t column)
{
    if (p.scale) {
        widen(shift, load_run<T, E>((const T *)p.shift + segment * p.mod_stride + column, true));
    } else if (p.b) {
        load_floats(shift, (const float *)p.b + column);
    } else {
#pragma unroll
        for (int i = 0; i < E; i++) shift[i] = 0.f;
    }
}

/* Forward blocks of a multiprocessor: what registers leave room for. */
template <int HELD> constexpr int FORWARD_BLOCKS = HELD <= 8 ? 8 : HELD <= 16 ? 4 : 2;

/* y = LN(x + residual). A lane holds up to HELD columns in runs of E; 0: any width, read thrice.
 * Grid: blocks of 4 warps, FORWARD_BLOCKS a multiprocessor at most; each warp takes every
 * 4 gridDim.x-th row. Moves x (and residual) in, y out. The order of a row's sums depends on D and
 * E alone. */
template <typename T, int E, int HELD>
static __global__ void __launch_bounds__(32 * FORWARD_WARPS, FORWARD_BLOCKS<HELD>)
    layernorm_fwd_kernel(nn_layernorm_args p)
{
    nn_cuda_begin();
    constexpr int RUNS = HELD ? HELD / E : 1;
    const dropout drop = residual_dropout(p);
    int64_t row = (int64_t)blockIdx.x * FORWARD_WARPS + (threadIdx.x >> 5);
#pragma unroll 1
    for (; row < p.m; row += (int64_t)gridDim.x * FORWARD_WARPS) {
        const int64_t from = row * p.d;
        float held[RUNS][E], gain[RUNS][E], shift[RUNS][E];
        float sum = 0.f, squares = 0.f;
        if (HELD) {
            input_run<T, E> in[RUNS];
#pragma unroll
            for (int c = 0; c < RUNS; c++) {
                int64_t column = column_of<E>(c);
                in[c] = load_input<T, E>(p, from + column, column < p.d);
            }
            const int64_t segment = p.scale ? p.segment[row] : 0;
#pragma unroll
            for (int c = 0; c < RUNS; c++) {
                int64_t column = column_of<E>(c);
                if (column >= p.d) continue;
                gain_run<T>(gain[c], p, segment, column);
                shift_run<T>(shift[c], p, segment, column);
            }
#pragma unroll
            for (int c = 0; c < RUNS; c++) {
                uint32_t kept = kept_bits<E>(drop, (uint64_t)(from + column_of<E>(c)));
                add_input<T, E>(held[c], in[c], drop, kept, 0);
                sum += sum_run(held[c]);
            }
        } else {
            for (int64_t c = 0; column_of<E>(c) < p.d; c++) {
                read_input<T, E>(held[0], p, drop, from + column_of<E>(c));
                sum += sum_run(held[0]);
            }
        }
        const float mean = warp_sum(sum) / (float)p.d;
        if (HELD) {
#pragma unroll
            for (int c = 0; c < RUNS; c++) {
                if (column_of<E>(c) < p.d) squares += squares_run(held[c], mean);
            }
        } else {
            for (int64_t c = 0; column_of<E>(c) < p.d; c++) {
                read_input<T, E>(held[0], p, drop, from + column_of<E>(c));
                squares += squares_run(held[0], mean);
            }
        }
        const float rstd = 1.f / sqrtf(warp_sum(squares) / (float)p.d + p.eps);
        auto finish = [&](float(&v)[E], const float(&g)[E], const float(&s)[E], int64_t column) {
#pragma unroll
            for (int i = 0; i < E; i++) v[i] = (v[i] - mean) * rstd * g[i] + s[i];
            store_run((T *)p.y + from + column, v);
        };
        if (HELD) {
#pragma unroll
            for (int c = 0; c < RUNS; c++) {
                int64_t column = column_of<E>(c);
                if (column < p.d) finish(held[c], gain[c], shift[c], column);
            }
        } else {
            const int64_t segment = p.scale ? p.segment[row] : 0;
            for (int64_t c = 0; column_of<E>(c) < p.d; c++) {
                int64_t column = column_of<E>(c);
                read_input<T, E>(held[0], p, drop, from + column);
                gain_run<T>(gain[0], p, segment, column);
                shift_run<T>(shift[0], p, segment, column);
                finish(held[0], gain[0], shift[0], column);
            }
        }
        if ((threadIdx.x & 31) == 0 && p.mean) p.mean[row] = mean;
        if ((threadIdx.x & 31) == 0 && p.rstd) p.rstd[row] = rstd;
    }
}

/* ---- backward ----------------------------------------------------------------------------------
 */

/* A lane's share of what the backward reads of a row. */
template <typename T, int E, int HELD> struct row_runs {
    input_run<T, E> in[HELD / E];
    run_of<T, E> dy[HELD / E];
    float mean, rstd;
};

template <typename T, int E, int HELD>
static __device__ __forceinline__ void load_row(row_runs<T, E, HELD> &r, const nn_layernorm_args &p,
                                                int64_t row)
{
#pragma unroll
    for (int c = 0; c < HELD / E; c++) {
        int64_t column = column_of<E>(c), at = row * p.d + column;
        r.in[c] = load_input<T, E>(p, at, column < p.d);
        r.dy[c] = load_run<T, E>((const T *)p.dy + at, column < p.d);
    }
    r.mean = p.mean[row];
    r.rstd = p.rstd[row];
}

/* A lane's sums down the rows. */
template <int E, int HELD> struct column_sums {
    float dw[HELD / E][E], db[HELD / E][E], dbias[HELD / E][E];
};

/* Stores a run of dx, and of the residual's gradient, which is what `dx` holds then. */
template <typename T, int E>
static __device__ __forceinline__ void store_grads(float (&dx)[E], const nn_layernorm_args &p,
                                                   int64_t at, const dropout &drop, uint32_t kept,
                                                   int from)
{
    store_run((T *)p.dx + at, dx);
    if (!p.dresidual) return;
    drop_run(dx, drop, kept, from);
    store_run((T *)p.dresidual + at, dx);
}

/* One row's dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy gain; the row's dy, dy xhat and
 * gradient of the residual are added to `sums`. Columns past the row's end have dy 0 and gain 0; of
 * what they add only dbias is not 0, and nobody reads it. */
template <typename T, int E, int HELD>
static __device__ __forceinline__ void
backward_row(column_sums<E, HELD> &sums, const row_runs<T, E, HELD> &r,
             const float (&gain)[HELD / E][E], const nn_layernorm_args &p, const dropout &drop,
             int64_t row)
{
    constexpr int RUNS = HELD / E;
    const int64_t from = row * p.d;
    const float share = 1.f / (float)p.d;
    float g[RUNS][E], xhat[RUNS][E], sum_g = 0.f, sum_gx = 0.f;
    uint32_t kept = 0;
#pragma unroll
    for (int c = 0; c < RUNS; c++) {
        kept |= kept_bits<E>(drop, (uint64_t)(from + column_of<E>(c))) << c * E;
    }
#pragma unroll
    for (int c = 0; c < RUNS; c++) {
        float dy[E];
        add_input<T, E>(xhat[c], r.in[c], drop, kept, c * E);
        widen(dy, r.dy[c]);
#pragma unroll
        for (int i = 0; i < E; i++) {
            xhat[c][i] = (xhat[c][i] - r.mean) * r.rstd;
            g[c][i] = dy[i] * gain[c][i];
            sums.db[c][i] += dy[i];
            sums.dw[c][i] += dy[i] * xhat[c][i];
            sum_g += g[c][i];
            sum_gx += g[c][i] * xhat[c][i];
        }
    }
    if (!p.dx) return;
    sum_g = warp_sum(sum_g) * share;
    sum_gx = warp_sum(sum_gx) * share;
#pragma unroll
    for (int c = 0; c < RUNS; c++) {
        float dx[E];
#pragma unroll
        for (int i = 0; i < E; i++) dx[i] = r.rstd * (g[c][i] - sum_g - xhat[c][i] * sum_gx);
        if (column_of<E>(c) < p.d) {
            store_grads<T>(dx, p, from + column_of<E>(c), drop, kept, c * E);
        }
#pragma unroll
        for (int i = 0; i < E; i++) sums.dbias[c][i] += dx[i];
    }
}

/* Warps of a backward block: as many as registers leave room for on a multiprocessor, so that there
 * are few partial sums. */
template <int HELD> constexpr int BACKWARD_WARPS = HELD <= 8 ? 16 : WARPS;

/* Rows `row`, row + step, ... before `end`, by one warp. A row's loads are sent while the row
 * before it is worked on; a lane that holds 32 columns has no registers for that. */
template <typename T, int E, int HELD>
static __device__ __forceinline__ void backward_rows(column_sums<E, HELD> &sums,
                                                     const nn_layernorm_args &p, int64_t segment,
                                                     int64_t row, int64_t end, int64_t step)
{
    constexpr bool AHEAD = HELD < MOST_HELD;
    const dropout drop = residual_dropout(p);
    float gain[HELD / E][E];
    row_runs<T, E, HELD> r, next;
    if (AHEAD && row < end) load_row(next, p, row);
#pragma unroll
    for (int c = 0; c < HELD / E; c++) {
#pragma unroll
        for (int i = 0; i < E; i++) {
            gain[c][i] = sums.dw[c][i] = sums.db[c][i] = sums.dbias[c][i] = 0.f;
        }
        if (column_of<E>(c) < p.d) gain_run<T>(gain[c], p, segment, column_of<E>(c));
    }
    for (; row < end; row += step) {
        if (AHEAD) {
            r = next;
            if (row + step < end) load_row(next, p, row + step);
        } else {
            load_row(r, p, row);
        }
        backward_row<T, E, HELD>(sums, r, gain, p, drop, row);
    }
}

/* Adds up the warps' column sums in warp order; `shared` holds HELD * 32 floats a warp. The total
 * of every column is passed to `store`, by some thread. */
template <int E, int HELD, typename STORE>
static __device__ __forceinline__ void block_columns(const float (&part)[HELD / E][E],
                                                     float *shared, int64_t d, STORE store)
{
    const int warp = threadIdx.x >> 5;
    __syncthreads();
#pragma unroll
    for (int c = 0; c < HELD / E; c++) {
        store_floats(shared + warp * HELD * 32 + column_of<E>(c), part[c]);
    }
    __syncthreads();
    for (int column = threadIdx.x; column < d; column += blockDim.x) {
        float total = 0.f;
#pragma unroll
        for (int w = 0; w < BACKWARD_WARPS<HELD>; w++) total += shared[w * HELD * 32 + column];
        store(column, total);
    }
}

/* Adds up n rows of partial sums, in order: dw, db and dbias one behind the other, 3 D columns. The
 * totals of those that are wanted are passed to `store` with the place of each in the gradient. */
template <typename STORE>
static __device__ __forceinline__ void sum_partials(const nn_layernorm_args &p, const float *rows,
                                                    int n, STORE store)
{
    const int d = (int)p.d;
    for (int i = threadIdx.x; i < 3 * d; i += blockDim.x) {
        const int part = (i >= d) + (i >= 2 * d);
        float *gradient = part == 0 ? p.dw : part == 1 ? p.db : p.dbias, total = 0.f;
        if (!gradient) continue;
        for (int k = 0; k < n; k += PARTIAL_ROWS) {
            float v[PARTIAL_ROWS];
#pragma unroll
            for (int j = 0; j < PARTIAL_ROWS; j++) {
                v[j] = k + j < n ? __ldcg(rows + (int64_t)(k + j) * 3 * d + i) : 0.f;
            }
#pragma unroll
            for (int j = 0; j < PARTIAL_ROWS; j++) total += v[j];
        }
        store(i, gradient + (i - part * d), total);
    }
}

/* Plain LayerNorm's backward. Grid: a block a multiprocessor, of which each walks every
 * gridDim.x-th group of rows, one row a warp. A block leaves its sums for dw, db and dbias as row
 * blockIdx.x of `partial` (gridDim.x + groups, 3 D). Of every `group` blocks the last to arrive
 * adds up their rows, of these groups the last adds up theirs: so no second launch is needed, no
 * block is left with much, and the order of a sum is fixed. Moves x, the residual and dy in, dx and
 * the residual's gradient out; the naive version adds sums atomically. */
template <typename T, int E, int HELD>
static __global__ void __launch_bounds__(32 * BACKWARD_WARPS<HELD>)
    layernorm_bwd_kernel(nn_layernorm_args p, float *partial, int group, unsigned *arrived)
{
    nn_cuda_begin();
    constexpr int ROWS = BACKWARD_WARPS<HELD>;
    __shared__ __align__(16) float shared[ROWS * HELD * 32];
    column_sums<E, HELD> sums;
    backward_rows<T, E, HELD>(sums, p, 0, (int64_t)blockIdx.x * ROWS + (threadIdx.x >> 5), p.m,
                              (int64_t)gridDim.x * ROWS);
    if (!p.dw && !p.db && !p.dbias) return;
    const int64_t width = 3 * p.d;
    float *out = partial + blockIdx.x * width;
    auto keep = [&](int column, float v) { out[column] = v; };
    if (p.dw) block_columns<E, HELD>(sums.dw, shared, p.d, keep);
    out += p.d;
    if (p.db) block_columns<E, HELD>(sums.db, shared, p.d, keep);
    out += p.d;
    if (p.dbias) block_columns<E, HELD>(sums.dbias, shared, p.d, keep);

    const int blocks = gridDim.x, groups = (blocks + group - 1) / group;
    const int mine = blockIdx.x / group, first = mine * group;
    const int members = blocks - first < group ? blocks - first : group;
    if (!last_to_arrive(arrived + mine, members)) return;
    float *of_groups = partial + blocks * width;
    sum_partials(p, partial + first * width, members,
                 [=](int i, float *, float v) { of_groups[mine * width + i] = v; });
    if (!last_to_arrive(arrived + groups, groups)) return;
    sum_partials(p, of_groups, groups, [](int, float *gradient, float v) { *gradient += v; });
}

/* The modulated backward: one block takes one sequence, whose rows give dshift and dscale; so these
 * need no second pass. */
template <typename T, int E, int HELD>
static __global__ void __launch_bounds__(32 * BACKWARD_WARPS<HELD>)
    modulate_bwd_kernel(nn_layernorm_args p)
{
    nn_cuda_begin();
    __shared__ __align__(16) float shared[BACKWARD_WARPS<HELD> * HELD * 32];
    const int64_t segment = blockIdx.x;
    column_sums<E, HELD> sums;
    backward_rows<T, E, HELD>(sums, p, segment, p.offsets[segment] + (threadIdx.x >> 5),
                              p.offsets[segment + 1], BACKWARD_WARPS<HELD>);
    if (!p.dshift) return;
    T *dscale = (T *)p.dscale + segment * p.dmod_stride;
    T *dshift = (T *)p.dshift + segment * p.dmod_stride;
    block_columns<E, HELD>(sums.dw, shared, p.d,
                           [=](int column, float v) { store1(dscale + column, v); });
    block_columns<E, HELD>(sums.db, shared, p.d,
                           [=](int column, float v) { store1(dshift + column, v); });
}

/* Rows wider than 1024. dx alone: one warp a row, the row read twice. */
template <typename T, int E>
static __global__ void __launch_bounds__(32 * WARPS) wide_bwd_kernel(nn_layernorm_args p)
{
    nn_cuda_begin();
    const int64_t row = (int64_t)blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (row >= p.m) return;
    const dropout drop = residual_dropout(p);
    const int64_t from = row * p.d, segment = p.scale ? p.segment[row] : 0;
    const float mean = p.mean[row], rstd = p.rstd[row];
    float g[E], xhat[E], gain[E], sum_g = 0.f, sum_gx = 0.f;
    auto read =
        [&](int64_t column) { /* g and xhat of a run, and what dropout keeps of it */
                              uint32_t kept = read_input<T, E>(xhat, p, drop, from + column);
                              widen(g, load_run<T, E>((const T *)p.dy + from + column, true));
                              gain_run<T>(gain, p, segment, column);
#pragma unroll
                              for (int i = 0; i < E; i++) {
                                  g[i] *= gain[i];
                                  xhat[i] = (xhat[i] - mean) * rstd;
                              }
                              return kept;
        };
    for (int64_t c = 0; column_of<E>(c) < p.d; c++) {
        read(column_of<E>(c));
#pragma unroll
        for (int i = 0; i < E; i++) {
            sum_g += g[i];
            sum_gx += g[i] * xhat[i];
        }
    }
    sum_g = warp_sum(sum_g) / (float)p.d;
    sum_gx = warp_sum(sum_gx) / (float)p.d;
    for (int64_t c = 0; column_of<E>(c) < p.d; c++) {
        uint32_t kept = read(column_of<E>(c));
        float dx[E];
#pragma unroll
        for (int i = 0; i < E; i++) dx[i] = rstd * (g[i] - sum_g - xhat[i] * sum_gx);
        store_grads<T>(dx, p, from + column_of<E>(c), drop, kept, 0);
    }
}

/* Rows wider than 1024: column sums of dy xhat, of dy and of the stored gradient of the residual,
 * one thread a column, rows in order. Grid y is the sequence when modulated, else 1. */
template <typename T>
static __global__ void __launch_bounds__(128) wide_columns_kernel(nn_layernorm_args p)
{
    nn_cuda_begin();
    const int64_t column = (int64_t)blockIdx.x * 128 + threadIdx.x, segment = blockIdx.y;
    if (column >= p.d) return;
    const dropout drop = residual_dropout(p);
    const int64_t from = p.scale ? p.offsets[segment] : 0;
    const int64_t to = p.scale ? p.offsets[segment + 1] : p.m;
    float dw = 0.f, db = 0.f, dbias = 0.f;
    for (int64_t row = from; row < to; row++) {
        const int64_t at = row * p.d + column;
        float x[1], dy = load1((const T *)p.dy + at);
        read_input<T, 1>(x, p, drop, at);
        if (p.dbias) dbias += load1((const T *)p.dresidual + at);
        dw += dy * ((x[0] - p.mean[row]) * p.rstd[row]);
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

/* ---- host --------------------------------------------------------------------------------------
 */

/* All rows and vectors that a layernorm touches can be moved in runs of 16 bytes. */
template <typename T> static bool in_runs(const nn_layernorm_args *p)
{
    const void *moved[] = {p->x,         p->residual, p->y,     p->dy, p->dx,
                           p->dresidual, p->shift,    p->scale, p->w,  p->b};
    bool all = p->d % RUN<T> == 0 && (!p->scale || p->mod_stride % RUN<T> == 0);
    for (size_t i = 0; i < sizeof moved / sizeof moved[0]; i++) {
        all = all && nn_cuda_aligned16(moved[i]);
    }
    return all;
}

/* Calls f<T, E, HELD> by the width of rows and how they can be moved. */
#define BY_WIDTH(f, cu, p)                                                                         \
    do {                                                                                           \
        const bool runs = in_runs<T>(p);                                                           \
        if ((p)->d > 32 * MOST_HELD)                                                               \
            runs ? f<T, RUN<T>, 0>(cu, p) : f<T, 1, 0>(cu, p);                                     \
        else if (!runs)                                                                            \
            f<T, 1, MOST_HELD>(cu, p);                                                             \
        else if ((p)->d <= 32 * 8)                                                                 \
            f<T, RUN<T>, 8>(cu, p);                                                                \
        else if ((p)->d <= 32 * 16)                                                                \
            f<T, RUN<T>, 16>(cu, p);                                                               \
        else                                                                                       \
            f<T, RUN<T>, MOST_HELD>(cu, p);                                                        \
    } while (0)

template <typename T, int E, int HELD> static void forward(nn_cuda *cu, const nn_layernorm_args *p)
{
    const int64_t most = (int64_t)cu->multiprocessors * FORWARD_BLOCKS<HELD>;
    const unsigned blocks = (unsigned)nn_cuda_min(nn_cuda_ceil_div(p->m, FORWARD_WARPS), most);
    nn_cuda_launch(cu, "layernorm_fwd_kernel", layernorm_fwd_kernel<T, E, HELD>, blocks,
                   32 * FORWARD_WARPS, 0, *p);
}

template <typename T> static void layernorm_fwd(nn_cuda *cu, const nn_layernorm_args *p)
{
    BY_WIDTH(forward, cu, p);
}

void nn_cuda_layernorm_fwd(nn_backend *be, const nn_layernorm_args *p)
{
    if (p->m == 0 || p->d == 0) return;
    if (p->dtype == NN_BF16)
        layernorm_fwd<bf16>(nn_cuda_of(be), p);
    else
        layernorm_fwd<float>(nn_cuda_of(be), p);
}

template <typename T, int E> static void wide_backward(nn_cuda *cu, const nn_layernorm_args *p)
{
    if (p->dx && p->m > 0) {
        const unsigned blocks = (unsigned)nn_cuda_ceil_div(p->m, WARPS);
        nn_cuda_launch(cu, "wide_bwd_kernel", wide_bwd_kernel<T, E>, blocks, 32 * WARPS, 0, *p);
    }
    if (p->scale ? p->dshift != NULL : (p->dw || p->db || p->dbias)) {
        dim3 grid((unsigned)nn_cuda_ceil_div(p->d, 128), p->scale ? (unsigned)p->segments : 1);
        nn_cuda_launch(cu, "wide_columns_kernel", wide_columns_kernel<T>, grid, 128, 0, *p);
    }
}

template <typename T, int E, int HELD>
static void held_backward(nn_cuda *cu, const nn_layernorm_args *p)
{
    constexpr int ROWS = BACKWARD_WARPS<HELD>;
    if (p->scale) {
        nn_cuda_launch(cu, "modulate_bwd_kernel", modulate_bwd_kernel<T, E, HELD>,
                       (unsigned)p->segments, 32 * ROWS, 0, *p);
        return;
    }
    const int blocks = (int)nn_cuda_min(nn_cuda_ceil_div(p->m, ROWS), cu->multiprocessors);
    int group = 1; /* about the square root: as many groups as members */
    while (group * group < blocks) group++;
    nn_cuda_launch(cu, "layernorm_bwd_kernel", layernorm_bwd_kernel<T, E, HELD>, blocks, 32 * ROWS,
                   0, *p, (float *)cu->workspace, group, cu->counters);
}

template <typename T, int E, int HELD> static void backward(nn_cuda *cu, const nn_layernorm_args *p)
{
    if constexpr (HELD == 0)
        wide_backward<T, E>(cu, p);
    else
        held_backward<T, E, HELD>(cu, p);
}

template <typename T> static void layernorm_bwd(nn_cuda *cu, const nn_layernorm_args *p)
{
    BY_WIDTH(backward, cu, p);
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
    nn_cuda_begin();
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
    nn_cuda_begin();
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
    auto kernel = p->dtype == NN_BF16 ? normalize_fwd_kernel<bf16> : normalize_fwd_kernel<float>;
    nn_cuda_launch(cu, "normalize_fwd_kernel", kernel, blocks, 32 * WARPS, 0, *p);
}

void nn_cuda_normalize_bwd(nn_backend *be, const nn_normalize_args *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (p->m == 0 || p->d == 0) return;
    unsigned blocks = (unsigned)nn_cuda_ceil_div(p->m, WARPS);
    auto kernel = p->dtype == NN_BF16 ? normalize_bwd_kernel<bf16> : normalize_bwd_kernel<float>;
    nn_cuda_launch(cu, "normalize_bwd_kernel", kernel, blocks, 32 * WARPS, 0, *p);
}
