/* nn/cuda/cuda_gemm_forward.cu: y = drop(act(x w^T + b)) of a layer in one kernel on Hopper, in
 * tf32, with the slope that its way back wants. cuBLASLt's kernels need a second pass over y for
 * that. In bf16 the two passes take as long as this form of one kernel, which was tried: what is
 * behind the product takes longer than the product, and overlaps with too little of it.
 *
 * Sums over k are taken in one order whatever m, n and the tile are, so a row has the same bits in
 * any batch.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_gemm_finish.cuh"
#include "nn/cuda/cuda_launch.cuh"
#include "nn/cuda/cuda_mma.cuh"
#include "nn/cuda/cuda_tma.cuh"
#include "nn/cuda/cuda_wgmma.cuh"

#include <limits.h>

#define DEPTH 32 /* of a tile along k */
#define ROW_BYTES 128
#define STAGES 3
#define PRODUCERS 32 /* threads, of which one works */

typedef struct forward_map {
    CUtensorMap x, w;
} forward_map;

/* ---- kernel ------------------------------------------------------------------------------------
 */

/* A block computes one ROWS x COLUMNS tile of y: a warpgroup for each 64 rows multiplies, and one
 * thread behind them asks for what comes next, up to three tiles of 128 bytes along k ahead. Two
 * blocks share a multiprocessor, so that one writes its results while the other multiplies. Moves x
 * and w once for every tile that needs them (from L2 after the first), y and slope out once. */
template <int ROWS, int COLUMNS, nn_act ACT, bool LEARNS>
static __global__ void __launch_bounds__(ROWS * 2 + PRODUCERS, 2)
    gemm_forward_kernel(const __grid_constant__ forward_map map, finish_args to, int steps,
                        int tiles_n)
{
    nn_cuda_begin();
    constexpr int X_BYTES = ROWS * ROW_BYTES, STAGE = X_BYTES + COLUMNS * ROW_BYTES;
    extern __shared__ char shared[];
    /* Tiles begin at multiples of 1024, as their swizzle wants. */
    const uint32_t base = (shared_address(shared) + 1023) & ~1023u;
    const uint32_t full = base + STAGES * STAGE, empty = full + STAGES * 8;
    const int row0 = blockIdx.x / tiles_n * ROWS, column0 = blockIdx.x % tiles_n * COLUMNS;
    const int group = threadIdx.x / 128;
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            barrier_init(full + 8 * s, 1);
            barrier_init(empty + 8 * s, ROWS / 64);
        }
        barrier_init_done();
    }
    __syncthreads();
    if (threadIdx.x >= ROWS * 2) {
        if (threadIdx.x > ROWS * 2) return;
        for (int step = 0; step < steps; step++) {
            const int s = step % STAGES, turn = step / STAGES;
            const uint32_t at = base + s * STAGE, bar = full + 8 * s;
            if (turn > 0) barrier_wait(empty + 8 * s, (turn - 1) & 1);
            barrier_expect(bar, STAGE);
            tensor_copy(at, &map.x, step * DEPTH, row0, bar);
            tensor_copy(at + X_BYTES, &map.w, step * DEPTH, column0, bar);
        }
        return;
    }
    float sum[COLUMNS / 2];
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) sum[i] = 0.f;
    for (int step = 0; step < steps; step++) {
        const int s = step % STAGES;
        const uint32_t x = base + s * STAGE + group * 64 * ROW_BYTES;
        const uint32_t w = base + s * STAGE + X_BYTES;
        barrier_wait(full + 8 * s, step / STAGES & 1);
        wgmma_begin();
#pragma unroll
        for (int k = 0; k < ROW_BYTES / 32; k++)
            wgmma_tf32(sum, wgmma_swizzled(x + 32 * k), wgmma_swizzled(w + 32 * k));
        wgmma_commit();
        /* The step before has been read. */
        wgmma_wait_but_one();
        if (step > 0 && threadIdx.x % 128 == 0) barrier_arrive(empty + 8 * ((step - 1) % STAGES));
    }
    wgmma_wait(sum);
    finish<COLUMNS, ACT, LEARNS, false, 2>(sum, to, row0 + group * 64, column0);
}

/* ---- on the host -------------------------------------------------------------------------------
 */

typedef struct forward_call {
    nn_cuda *cu;
    const nn_gemm_args *g;
    int rows, columns; /* of a tile */
    forward_map map;
} forward_call;

template <int ROWS, int COLUMNS, nn_act ACT, bool LEARNS>
static void launch(const forward_call *call)
{
    constexpr int BYTES = STAGES * (ROWS + COLUMNS) * ROW_BYTES + 2 * STAGES * 8 + 1024;
    const nn_gemm_args *g = call->g;
    nn_cuda *cu = call->cu;
    auto kernel = gemm_forward_kernel<ROWS, COLUMNS, ACT, LEARNS>;
    nn_cuda_check(cu,
                  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES),
                  "shared memory of gemm_forward_kernel");
    finish_args to = {
        (const float *)g->bias, (float *)g->c, (float *)g->slope, g->m, g->n, 0.f, g->drop};
    const int tiles_n = (int)nn_cuda_ceil_div(g->n, COLUMNS);
    const unsigned blocks = (unsigned)(nn_cuda_ceil_div(g->m, ROWS) * tiles_n);
    const int steps = (int)nn_cuda_ceil_div(g->k, DEPTH);
    nn_cuda_launch(cu, "gemm_forward_kernel", kernel, blocks, ROWS * 2 + PRODUCERS, BYTES,
                   call->map, to, steps, tiles_n);
}

template <nn_act ACT, bool LEARNS> static void by_tile(const forward_call *call)
{
    if (call->rows == 64)
        launch<64, 64, ACT, LEARNS>(call);
    else if (call->columns == 64)
        launch<128, 64, ACT, LEARNS>(call);
    else
        launch<128, 128, ACT, LEARNS>(call);
}

static void by_activation(const forward_call *call)
{
    const bool learns = call->g->slope || call->g->drop.p > 0.f;
#define X(value)                                                                                   \
    case value:                                                                                    \
        if (learns)                                                                                \
            by_tile<value, true>(call);                                                            \
        else                                                                                       \
            by_tile<value, false>(call);                                                           \
        break;
    switch (call->g->act) {
        X(NN_ACT_GELU_ERF)
        X(NN_ACT_GELU_TANH)
    default:
        X(NN_ACT_NONE)
    }
#undef X
}

/* The largest tiles that give every multiprocessor one. */
static void choose_tile(forward_call *call)
{
    static const int sizes[][2] = {{128, 128}, {128, 64}, {64, 64}};
    for (int i = 0; i < 3; i++) {
        call->rows = sizes[i][0];
        call->columns = sizes[i][1];
        if (nn_cuda_ceil_div(call->g->m, call->rows) *
                nn_cuda_ceil_div(call->g->n, call->columns) >=
            call->cu->multiprocessors)
            return;
    }
}

/* An operand (rows, k), of which `box` rows of a tile come at once. */
static bool describe(const forward_call *call, CUtensorMap *map, const void *p, int64_t rows,
                     int box)
{
    return nn_cuda_tensor_map(call->cu, map, CU_TENSOR_MAP_DATA_TYPE_TFLOAT32, (const float *)p,
                              rows, call->g->k, box, DEPTH, CU_TENSOR_MAP_SWIZZLE_128B);
}

bool nn_cuda_gemm_forward(nn_cuda *cu, const nn_gemm_args *g)
{
    const bool known =
        g->act == NN_ACT_NONE || g->act == NN_ACT_GELU_ERF || g->act == NN_ACT_GELU_TANH;
    if (!cu->wgmma || g->dtype != NN_F32 || g->c_dtype != NN_F32 || g->precision != NN_TF32 ||
        !known || g->trans_a || !g->trans_b || g->accumulate != 0.f || g->n % 4 || g->k % 4 ||
        g->m > INT_MAX / 2 || g->n > INT_MAX / 2 || !nn_cuda_vec4(g->a, NN_F32) ||
        !nn_cuda_vec4(g->b, NN_F32) || !nn_cuda_vec4(g->c, NN_F32) ||
        !nn_cuda_vec4(g->slope, NN_F32) || !nn_cuda_vec4(g->bias, NN_F32))
        return false;
    forward_call call = {cu, g, 0, 0, {}};
    choose_tile(&call);
    if (!describe(&call, &call.map.x, g->a, g->m, call.rows) ||
        !describe(&call, &call.map.w, g->b, g->n, call.columns))
        return false;
    by_activation(&call);
    return true;
}
