/* nn/cuda/cuda_backend.cuh: what the files of the `cuda` back end share on the host: the open back
 * end, how a failure is kept, and the wrappers that the table in cuda_backend.cu is filled with.
 *
 * Everything of a lane runs on one stream, so buffers of its own (the workspace) may be used by one
 * operation after another without a wait. No kernel adds floats atomically: sums of many blocks
 * go through partial sums in the workspace and a second pass, so equal inputs give equal bits.
 */
#ifndef NN_CUDA_BACKEND_CUH
#define NN_CUDA_BACKEND_CUH

#include <cuda_runtime.h>

extern "C" {
#include "core/err.h"
}
#include "nn/backend.h"

#define NN_CUDA_WORKSPACE ((size_t)32 << 20)
#define NN_CUDA_COUNTERS 1024

struct nn_cuda_blas;
struct nn_cuda_staging;

/* What work on one lane must not share with that on another. */
typedef struct nn_cuda_lane {
    cudaStream_t stream;
    void *workspace;
    unsigned *counters;
    cudaEvent_t reached; /* what another lane is to wait for */
} nn_cuda_lane;

typedef struct nn_cuda {
    nn_backend base; /* first, so that the two pointers are one */
    int device, multiprocessors;
    bool wgmma;              /* the GPU has warpgroup products and tensor copies (Hopper's) */
    bool dependent_launch;   /* kernels come before their turn (cuda_launch.cuh) */
    void *encode_tensor_map; /* of the driver */
    /* Of the lane that calls go to now. */
    cudaStream_t stream;
    void *workspace;              /* NN_CUDA_WORKSPACE bytes for gemm and for partial sums */
    unsigned *counters;           /* NN_CUDA_COUNTERS zeros: whoever counts sets them back */
    int at;                       /* its number */
    nn_cuda_lane lanes[NN_LANES]; /* opened when first used */
    bool capturing;
    bool ahead_ordered; /* no memory was taken since the last upload ahead */
    me_err sticky;      /* first failure since open */
    struct nn_cuda_blas *blas;
    struct nn_cuda_staging *staging;
} nn_cuda;

static inline nn_cuda *nn_cuda_of(nn_backend *be)
{
    return (nn_cuda *)be;
}

/* 16-byte (f32) or 8-byte (bf16) accesses of four elements are possible from p. */
static inline bool nn_cuda_vec4(const void *p, nn_dtype dtype)
{
    return ((uintptr_t)p & (dtype == NN_BF16 ? 7 : 15)) == 0;
}

/* 16-byte accesses are possible from p. */
static inline bool nn_cuda_aligned16(const void *p)
{
    return ((uintptr_t)p & 15) == 0;
}

static inline int64_t nn_cuda_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t nn_cuda_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

extern "C" {

/* Keeps the first failure; `what` is the kernel or call that it came from. */
void nn_cuda_check(nn_cuda *cu, cudaError_t code, const char *what);
/* From here on the lane that calls go to sees what was queued on lane 0, as memory and uploads are.
 */
void nn_cuda_catch_up(nn_cuda *cu);
void nn_cuda_fail(nn_cuda *cu, const char *format, ...) ME_PRINTF(2, 3);

me_code nn_cuda_blas_open(nn_cuda *cu, me_err *err);
void nn_cuda_blas_close(nn_cuda *cu);
me_code nn_cuda_staging_open(nn_cuda *cu, me_err *err);
void nn_cuda_staging_close(nn_cuda *cu);
void nn_cuda_upload(nn_backend *be, void *dst, const void *host, size_t bytes);
void nn_cuda_upload_ahead(nn_backend *be, void *dst, const void *host, size_t bytes);
me_code nn_cuda_host_alloc(nn_backend *be, size_t bytes, void **out, me_err *err);
void nn_cuda_host_release(nn_backend *be, void *p);

/* cuda_move.cu */
void nn_cuda_copy(nn_backend *be, void *dst, const void *src, size_t bytes);
void nn_cuda_zero(nn_backend *be, void *dst, size_t bytes);
/* A small upload on lane 0; `pinned` must stay until the device has passed it. */
void nn_cuda_fetch(nn_cuda *cu, void *dst, const void *pinned, size_t bytes);
/* cuda_gemm.cu */
void nn_cuda_gemm(nn_backend *be, const nn_gemm_args *args);
/* cuda_gemm_f32.cu: the same for inference in f32; false where the product is not its. */
bool nn_cuda_gemm_f32(nn_cuda *cu, const nn_gemm_args *args);
/* cuda_gemm_single.cu: any product in f32 on Hopper; false where it is not its. */
bool nn_cuda_gemm_single(nn_cuda *cu, const nn_gemm_args *args);
/* cuda_gemm_forward.cu: a layer's product in tf32 on Hopper; false where it is not its. */
bool nn_cuda_gemm_forward(nn_cuda *cu, const nn_gemm_args *args);
/* cuda_tma.cu: asks the driver for what tensor copies are described with. */
bool nn_cuda_tensor_maps_open(nn_cuda *cu);
/* cuda_linear.cu */
void nn_cuda_linear_grad(nn_backend *be, const nn_linear_grad_args *args);
/* c = drop(act(c + bias)) in place, and the slope where the product wants it. */
void nn_cuda_linear_finish(nn_cuda *cu, const nn_gemm_args *g, const void *bias);
/* cuda_norm.cu */
void nn_cuda_layernorm_fwd(nn_backend *be, const nn_layernorm_args *args);
void nn_cuda_layernorm_bwd(nn_backend *be, const nn_layernorm_args *args);
void nn_cuda_normalize_fwd(nn_backend *be, const nn_normalize_args *args);
void nn_cuda_normalize_bwd(nn_backend *be, const nn_normalize_args *args);
/* cuda_attention.cu */
void nn_cuda_attention_fwd(nn_backend *be, const nn_attention_args *args);
void nn_cuda_attention_bwd(nn_backend *be, const nn_attention_args *args);
/* cuda_attention_mma_fwd.cu, cuda_attention_mma_bwd.cu: the same two on tensor cores; false where
 * the shape is not theirs. */
bool nn_cuda_attention_mma_fwd(nn_cuda *cu, const nn_attention_args *args);
bool nn_cuda_attention_mma_bwd(nn_cuda *cu, const nn_attention_args *args);
/* cuda_rows.cu */
void nn_cuda_rows_fwd(nn_backend *be, const nn_rows_args *args);
void nn_cuda_rows_bwd(nn_backend *be, const nn_rows_args *args);
void nn_cuda_gate_fwd(nn_backend *be, const nn_segment_args *args);
void nn_cuda_gate_bwd(nn_backend *be, const nn_segment_args *args);
void nn_cuda_pool_fwd(nn_backend *be, const nn_segment_args *args);
void nn_cuda_pool_bwd(nn_backend *be, const nn_segment_args *args);
void nn_cuda_columns(nn_backend *be, const nn_columns_args *args);
/* cuda_adaln.cu */
void nn_cuda_adaln_fwd(nn_backend *be, const nn_adaln_args *args);
void nn_cuda_adaln_bwd(nn_backend *be, const nn_adaln_args *args);
/* cuda_editor.cu */
void nn_cuda_assemble(nn_backend *be, const nn_assemble_args *args);
void nn_cuda_group_loss_fwd(nn_backend *be, const nn_group_loss_args *args);
void nn_cuda_group_loss_bwd(nn_backend *be, const nn_group_loss_args *args);
void nn_cuda_denoise(nn_backend *be, const nn_denoise_args *args);
/* cuda_map.cu */
void nn_cuda_axpby(nn_backend *be, const nn_map_args *args);
void nn_cuda_act_fwd(nn_backend *be, const nn_map_args *args);
void nn_cuda_act_bwd(nn_backend *be, const nn_map_args *args);
void nn_cuda_dropout(nn_backend *be, const nn_map_args *args);
void nn_cuda_reparam_fwd(nn_backend *be, const nn_map_args *args);
void nn_cuda_reparam_bwd(nn_backend *be, const nn_map_args *args);
void nn_cuda_noise(nn_backend *be, const nn_noise_args *args);
void nn_cuda_to_bf16(nn_backend *be, void *dst, const float *src, int64_t n);
void nn_cuda_to_f32(nn_backend *be, float *dst, const void *src, int64_t n);
/* cuda_loss.cu */
size_t nn_cuda_loss_scratch(nn_backend *be, const nn_loss_args *args);
void nn_cuda_loss_fwd(nn_backend *be, const nn_loss_args *args);
void nn_cuda_loss_bwd(nn_backend *be, const nn_loss_args *args);
/* cuda_adamw.cu */
void nn_cuda_adamw(nn_backend *be, const nn_adamw_args *args);
void nn_cuda_norm(nn_backend *be, float *out, const float *x, int64_t n);
void nn_cuda_clip_scale(nn_backend *be, float *scale, const float *norm, float max_norm);
}

#endif
