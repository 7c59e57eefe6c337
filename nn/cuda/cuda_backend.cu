/* nn/cuda/cuda_backend.cu: opens the `cuda` back end and fills its table; memory, the stream,
 * recorded graphs and the sticky error. The operations are in the other files of this folder.
 *
 * The program is linked with the static CUDA runtime only. Where there is no driver, no device, or
 * no cuBLASLt to open, nn_cuda_open fails with a message that says what is missing.
 */
#include "nn/cuda/cuda_backend.cuh"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- errors ------------------------------------------------------------------------------------
 */

void nn_cuda_fail(nn_cuda *cu, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    me_vfail(&cu->sticky, ME_EDEVICE, format, args);
    va_end(args);
}

void nn_cuda_check(nn_cuda *cu, cudaError_t code, const char *what)
{
    if (code == cudaSuccess) return;
    nn_cuda_fail(cu, "%s: %s: %s", cu->base.device, what, cudaGetErrorString(code));
}

static void sync(nn_backend *be)
{
    nn_cuda *cu = nn_cuda_of(be);
    nn_cuda_check(cu, cudaStreamSynchronize(cu->stream), "waiting for the device");
}

static me_code status(nn_backend *be, me_err *err)
{
    nn_cuda *cu = nn_cuda_of(be);
    sync(be);
    if (cu->sticky.code == ME_OK) return ME_OK;
    return me_fail(err, cu->sticky.code, "%s", cu->sticky.msg);
}

/* ---- lanes -------------------------------------------------------------------------------------
 */

static cudaError_t open_lane(nn_cuda_lane *l)
{
    const size_t counters = NN_CUDA_COUNTERS * sizeof *l->counters;
    cudaError_t code = cudaEventCreateWithFlags(&l->reached, cudaEventDisableTiming);
    if (code == cudaSuccess) code = cudaMalloc(&l->workspace, NN_CUDA_WORKSPACE);
    if (code == cudaSuccess) code = cudaMalloc((void **)&l->counters, counters);
    if (code == cudaSuccess) code = cudaStreamCreateWithFlags(&l->stream, cudaStreamNonBlocking);
    if (code == cudaSuccess) code = cudaMemsetAsync(l->counters, 0, counters, l->stream);
    return code;
}

static void close_lane(nn_cuda_lane *l)
{
    if (l->workspace) cudaFree(l->workspace);
    if (l->counters) cudaFree(l->counters);
    if (l->reached) cudaEventDestroy(l->reached);
    if (l->stream) cudaStreamDestroy(l->stream);
}

/* One that could not be opened leaves its work to lane 0. */
static void lane_take(nn_backend *be, int lane)
{
    nn_cuda *cu = nn_cuda_of(be);
    cu->at = cu->lanes[lane].stream ? lane : 0;
    const nn_cuda_lane *l = &cu->lanes[cu->at];
    cu->stream = l->stream;
    cu->workspace = l->workspace;
    cu->counters = l->counters;
}

/* What is queued on lane `later` from now on waits for what is queued on `earlier` until now. */
static void wait_for(nn_cuda *cu, int later, int earlier)
{
    const nn_cuda_lane *to = &cu->lanes[later], *from = &cu->lanes[earlier];
    if (later == earlier || !to->stream || !from->stream) return;
    cudaError_t code = cudaEventRecord(from->reached, from->stream);
    if (code == cudaSuccess) code = cudaStreamWaitEvent(to->stream, from->reached, 0);
    nn_cuda_check(cu, code, "ordering two lanes");
}

static void lane_begin(nn_backend *be, int lane)
{
    nn_cuda *cu = nn_cuda_of(be);
    nn_cuda_lane *l = &cu->lanes[lane];
    if (!l->stream) nn_cuda_check(cu, open_lane(l), "opening a lane");
    wait_for(cu, lane, cu->at);
}

static void lane_join(nn_backend *be, int lane)
{
    nn_cuda *cu = nn_cuda_of(be);
    wait_for(cu, cu->at, lane);
}

void nn_cuda_catch_up(nn_cuda *cu)
{
    wait_for(cu, cu->at, 0);
}

/* ---- memory ------------------------------------------------------------------------------------
 */

/* Memory is taken from the driver's pool in the order of the stream and goes back there, so that a
 * context after another costs nothing. */
static me_code alloc(nn_backend *be, size_t bytes, void **out, me_err *err)
{
    nn_cuda *cu = nn_cuda_of(be);
    *out = NULL;
    if (cu->capturing) return me_fail(err, ME_EBUG, "cuda: memory was asked for inside a graph");
    /* What had it before may still be queued: the next upload ahead waits for that. */
    cu->ahead_ordered = false;
    cudaError_t code = cudaMallocAsync(out, bytes ? bytes : 1, cu->lanes[0].stream);
    nn_cuda_catch_up(cu);
    if (code == cudaSuccess) return ME_OK;
    cudaGetLastError(); /* running out of memory is no lasting failure */
    size_t left = 0, total = 0;
    cudaMemGetInfo(&left, &total);
    return me_fail(err, code == cudaErrorMemoryAllocation ? ME_EMEM : ME_EDEVICE,
                   "%s: wanted %zu MiB, %zu of %zu MiB are free: %s (try a smaller batch)",
                   be->device, bytes >> 20, left >> 20, total >> 20, cudaGetErrorString(code));
}

static void release(nn_backend *be, void *p)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (p) nn_cuda_check(cu, cudaFreeAsync(p, cu->lanes[0].stream), "freeing memory");
}

static void download(nn_backend *be, void *host, const void *src, size_t bytes)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (bytes == 0) return;
    nn_cuda_check(cu, cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, cu->stream),
                  "download");
    sync(be);
}

/* ---- graphs and time ---------------------------------------------------------------------------
 */

static me_code graph_capture(nn_backend *be, void (*fn)(void *), void *arg, void **graph,
                             me_err *err)
{
    nn_cuda *cu = nn_cuda_of(be);
    *graph = NULL;
    cudaGraph_t recorded = NULL;
    cudaGraphExec_t runnable = NULL;
    cudaError_t code = cudaStreamBeginCapture(cu->stream, cudaStreamCaptureModeThreadLocal);
    if (code == cudaSuccess) {
        cu->capturing = true;
        fn(arg);
        cu->capturing = false;
        code = cudaStreamEndCapture(cu->stream, &recorded);
    }
    if (code == cudaSuccess) code = cudaGraphInstantiate(&runnable, recorded, 0);
    if (recorded) cudaGraphDestroy(recorded);
    if (code != cudaSuccess) {
        cudaGetLastError();
        return me_fail(err, ME_EDEVICE, "%s: recording a graph: %s", be->device,
                       cudaGetErrorString(code));
    }
    *graph = runnable;
    return ME_OK;
}

static void graph_launch(nn_backend *be, void *graph)
{
    nn_cuda *cu = nn_cuda_of(be);
    nn_cuda_check(cu, cudaGraphLaunch((cudaGraphExec_t)graph, cu->stream), "replaying a graph");
}

static void graph_release(nn_backend *be, void *graph)
{
    if (graph) {
        nn_cuda_check(nn_cuda_of(be), cudaGraphExecDestroy((cudaGraphExec_t)graph),
                      "releasing a graph");
    }
}

static double now(nn_backend *be)
{
    sync(be);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t peak(nn_backend *be)
{
    nn_cuda *cu = nn_cuda_of(be);
    cudaMemPool_t pool;
    uint64_t bytes = 0;
    cudaError_t code = cudaDeviceGetDefaultMemPool(&pool, cu->device);
    if (code == cudaSuccess)
        code = cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemHigh, &bytes);
    nn_cuda_check(cu, code, "asking for the memory in use");
    for (int i = 0; i < NN_LANES; i++) bytes += cu->lanes[i].workspace ? NN_CUDA_WORKSPACE : 0;
    return (size_t)bytes;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static void close_cuda(nn_backend *be)
{
    nn_cuda *cu = nn_cuda_of(be);
    for (int i = 0; i < NN_LANES; i++) {
        if (cu->lanes[i].stream) cudaStreamSynchronize(cu->lanes[i].stream);
    }
    nn_cuda_blas_close(cu);
    nn_cuda_staging_close(cu);
    for (int i = 0; i < NN_LANES; i++) close_lane(&cu->lanes[i]);
    free(cu);
}

static const nn_backend table = {
    .name = "cuda",
    .device = "",
    .best = NN_BF16_MIXED,

    .close = close_cuda,
    .status = status,
    .sync = sync,

    .alloc = alloc,
    .release = release,
    .upload = nn_cuda_upload,
    .download = download,
    .host_alloc = nn_cuda_host_alloc,
    .host_release = nn_cuda_host_release,
    .upload_ahead = nn_cuda_upload_ahead,
    .lane_begin = lane_begin,
    .lane_take = lane_take,
    .lane_join = lane_join,
    .copy = nn_cuda_copy,
    .zero = nn_cuda_zero,

    .gemm = nn_cuda_gemm,
    .linear_grad = nn_cuda_linear_grad,

    .layernorm_fwd = nn_cuda_layernorm_fwd,
    .layernorm_bwd = nn_cuda_layernorm_bwd,
    .attention_fwd = nn_cuda_attention_fwd,
    .attention_bwd = nn_cuda_attention_bwd,

    .rows_fwd = nn_cuda_rows_fwd,
    .rows_bwd = nn_cuda_rows_bwd,
    .assemble = nn_cuda_assemble,
    .gate_fwd = nn_cuda_gate_fwd,
    .gate_bwd = nn_cuda_gate_bwd,
    .adaln_fwd = nn_cuda_adaln_fwd,
    .adaln_bwd = nn_cuda_adaln_bwd,
    .pool_fwd = nn_cuda_pool_fwd,
    .pool_bwd = nn_cuda_pool_bwd,
    .columns = nn_cuda_columns,

    .axpby = nn_cuda_axpby,
    .act_fwd = nn_cuda_act_fwd,
    .act_bwd = nn_cuda_act_bwd,
    .dropout = nn_cuda_dropout,
    .reparam_fwd = nn_cuda_reparam_fwd,
    .reparam_bwd = nn_cuda_reparam_bwd,
    .noise = nn_cuda_noise,
    .denoise = nn_cuda_denoise,
    .to_bf16 = nn_cuda_to_bf16,
    .to_f32 = nn_cuda_to_f32,

    .normalize_fwd = nn_cuda_normalize_fwd,
    .normalize_bwd = nn_cuda_normalize_bwd,

    .loss_scratch = nn_cuda_loss_scratch,
    .loss_fwd = nn_cuda_loss_fwd,
    .loss_bwd = nn_cuda_loss_bwd,

    .group_loss_fwd = nn_cuda_group_loss_fwd,
    .group_loss_bwd = nn_cuda_group_loss_bwd,

    .adamw = nn_cuda_adamw,
    .norm = nn_cuda_norm,
    .clip_scale = nn_cuda_clip_scale,

    .graph_capture = graph_capture,
    .graph_launch = graph_launch,
    .graph_release = graph_release,
    .now = now,
    .peak = peak,
};

/* Finds the device and refuses what the kernels cannot run on. */
static me_code choose_device(nn_cuda *cu, int device, me_err *err)
{
    int count = 0;
    cudaError_t code = cudaGetDeviceCount(&count);
    if (code != cudaSuccess || count == 0) {
        cudaGetLastError();
        return me_fail(err, ME_EDEVICE, "cuda: no usable GPU: %s (try --device cpu)",
                       code != cudaSuccess ? cudaGetErrorString(code) : "the driver lists none");
    }
    if (device < 0 || device >= count) {
        return me_fail(err, ME_EDEVICE, "cuda:%d: there are %d GPUs, numbered from 0", device,
                       count);
    }
    cudaDeviceProp properties;
    code = cudaGetDeviceProperties(&properties, device);
    if (code == cudaSuccess) code = cudaSetDevice(device);
    if (code != cudaSuccess) {
        cudaGetLastError();
        return me_fail(err, ME_EDEVICE, "cuda:%d: %s", device, cudaGetErrorString(code));
    }
    if (properties.major < 8) {
        return me_fail(err, ME_EDEVICE,
                       "cuda:%d: %s has compute capability %d.%d, 8.0 or later is needed (try "
                       "--device cpu)",
                       device, properties.name, properties.major, properties.minor);
    }
    cu->device = device;
    cu->multiprocessors = properties.multiProcessorCount;
    /* The Makefile always compiles for sm_90a, which alone has these instructions. A later GPU runs
     * what is compiled for 8.0, whose kernels do not wait: on it they must not come early. */
    const bool hopper = properties.major == 9 && properties.minor == 0;
    cu->wgmma = hopper && nn_cuda_tensor_maps_open(cu);
    cu->dependent_launch = hopper;
    snprintf(cu->base.device, sizeof cu->base.device, "%.120s", properties.name);
    return ME_OK;
}

/* The driver's pool gives memory back to the device when this process ends, not at every wait. */
static cudaError_t keep_memory(int device)
{
    cudaMemPool_t pool;
    uint64_t threshold = UINT64_MAX;
    cudaError_t code = cudaDeviceGetDefaultMemPool(&pool, device);
    if (code != cudaSuccess) return code;
    return cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold);
}

extern "C" me_code nn_cuda_open(nn_backend **out, int device, me_err *err)
{
    *out = NULL;
    nn_cuda *cu = (nn_cuda *)calloc(1, sizeof *cu);
    if (!cu) return me_fail(err, ME_EMEM, "cuda: out of memory");
    cu->base = table;
    me_code code = choose_device(cu, device, err);
    if (code == ME_OK) {
        cudaError_t made = keep_memory(device);
        if (made == cudaSuccess) made = open_lane(&cu->lanes[0]);
        lane_take(&cu->base, 0);
        if (made != cudaSuccess) {
            code = me_fail(err, ME_EDEVICE, "%s: %s", cu->base.device, cudaGetErrorString(made));
        }
    }
    if (code == ME_OK) code = nn_cuda_staging_open(cu, err);
    if (code == ME_OK) code = nn_cuda_blas_open(cu, err);
    if (code != ME_OK) {
        close_cuda(&cu->base);
        return code;
    }
    *out = &cu->base;
    return ME_OK;
}
