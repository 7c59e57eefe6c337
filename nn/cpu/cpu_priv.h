/* nn/cpu/cpu_priv.h: what the files of the cpu back end share.
 *
 * Everything is computed in f32 (sums in double). Where a slot gets bf16, nn_cpu_in() and
 * nn_cpu_out() give it f32 stand-ins, and nn_cpu_done() rounds the results back; for f32 they hand
 * the pointers through.
 */
#ifndef NN_CPU_PRIV_H
#define NN_CPU_PRIV_H

#include "nn/backend.h"

#define NN_CPU_TEMPS 32

typedef struct cpu_temp {
    void *data;
    size_t bytes;
} cpu_temp;

typedef struct cpu_pending {
    uint16_t *to;
    const float *from;
    int64_t rows, columns, stride;
} cpu_pending;

typedef struct cpu_backend {
    nn_backend base;
    int threads;
    me_err err; /* sticky */
    /* Scratch of one call, kept for the next so that a steady program allocates nothing. */
    cpu_temp temps[NN_CPU_TEMPS];
    int temps_used;
    cpu_pending pending[NN_CPU_TEMPS];
    int pending_used;
} cpu_backend;

static inline cpu_backend *nn_cpu(nn_backend *be)
{
    return (cpu_backend *)be;
}

/* Scratch until nn_cpu_done(); NULL and a sticky error when memory is out. */
void *nn_cpu_scratch(cpu_backend *cpu, int64_t n, size_t size);
/* f32 values of (rows, columns) with row stride *stride, which becomes that of the result. NULL
 * stays. */
const float *nn_cpu_in(cpu_backend *cpu, nn_dtype dtype, const void *p, int64_t rows,
                       int64_t columns, int64_t *stride);
/* Where to write; `keep`: what stands there is wanted too. */
float *nn_cpu_out(cpu_backend *cpu, nn_dtype dtype, void *p, int64_t rows, int64_t columns,
                  int64_t *stride, bool keep);
/* The same for n values in a row. */
const float *nn_cpu_in1(cpu_backend *cpu, nn_dtype dtype, const void *p, int64_t n);
float *nn_cpu_out1(cpu_backend *cpu, nn_dtype dtype, void *p, int64_t n, bool keep);
/* Ends a call: rounds results back, frees the scratch for the next. */
void nn_cpu_done(cpu_backend *cpu);
/* True when the call got all its scratch; else it must not touch anything and end. */
static inline bool nn_cpu_ready(const cpu_backend *cpu)
{
    return cpu->err.code == ME_OK;
}

/* Whether passes over so many elements are worth waking threads for. */
static inline bool nn_cpu_worth_threads(int64_t work)
{
    return work > 65536;
}

/* y = act(x) for n values; y may be x. */
void nn_cpu_act(float *y, const float *x, int64_t n, nn_act act);

/* The random words of elements [first, first + NN_CPU_DRAW) of a site; first is a multiple of 4. */
#define NN_CPU_DRAW 256
void nn_cpu_draw(uint64_t seed, uint32_t site, uint64_t first, uint32_t words[NN_CPU_DRAW]);
/* y = x dropped out, for the elements [first, first + n) of the site; y may be x. */
void nn_cpu_drop(float *y, const float *x, int64_t n, uint64_t first, const nn_drop *drop);
/* The same for all n elements of a tensor, on all threads. */
void nn_cpu_drop_all(cpu_backend *cpu, float *y, const float *x, int64_t n, const nn_drop *drop);
/* y = dy act'(x) for n values; y may be dy. */
void nn_cpu_act_slope(float *y, const float *dy, const float *x, int64_t n, nn_act act);
/* dst += column sums of src (m, n) with a row stride, each in the order of the rows, in double. */
void nn_cpu_add_column_sums(cpu_backend *cpu, float *dst, const float *src, int64_t m, int64_t n,
                            int64_t stride);

/* The two normal numbers of pair `pair` of a sequence's stream (nn_noise_args). */
void nn_cpu_normals(double z[2], const int32_t stream[3], uint64_t pair);

/* The slots, one file a family. */
void nn_cpu_gemm(nn_backend *, const nn_gemm_args *);
void nn_cpu_linear_grad(nn_backend *, const nn_linear_grad_args *);
void nn_cpu_layernorm_fwd(nn_backend *, const nn_layernorm_args *);
void nn_cpu_layernorm_bwd(nn_backend *, const nn_layernorm_args *);
void nn_cpu_attention_fwd(nn_backend *, const nn_attention_args *);
void nn_cpu_attention_bwd(nn_backend *, const nn_attention_args *);
void nn_cpu_rows_fwd(nn_backend *, const nn_rows_args *);
void nn_cpu_rows_bwd(nn_backend *, const nn_rows_args *);
void nn_cpu_gate_fwd(nn_backend *, const nn_segment_args *);
void nn_cpu_gate_bwd(nn_backend *, const nn_segment_args *);
void nn_cpu_adaln_fwd(nn_backend *, const nn_adaln_args *);
void nn_cpu_adaln_bwd(nn_backend *, const nn_adaln_args *);
void nn_cpu_assemble(nn_backend *, const nn_assemble_args *);
void nn_cpu_group_loss_fwd(nn_backend *, const nn_group_loss_args *);
void nn_cpu_group_loss_bwd(nn_backend *, const nn_group_loss_args *);
void nn_cpu_denoise(nn_backend *, const nn_denoise_args *);
void nn_cpu_pool_fwd(nn_backend *, const nn_segment_args *);
void nn_cpu_pool_bwd(nn_backend *, const nn_segment_args *);
void nn_cpu_columns(nn_backend *, const nn_columns_args *);
void nn_cpu_axpby(nn_backend *, const nn_map_args *);
void nn_cpu_act_fwd(nn_backend *, const nn_map_args *);
void nn_cpu_act_bwd(nn_backend *, const nn_map_args *);
void nn_cpu_dropout(nn_backend *, const nn_map_args *);
void nn_cpu_reparam_fwd(nn_backend *, const nn_map_args *);
void nn_cpu_reparam_bwd(nn_backend *, const nn_map_args *);
void nn_cpu_noise(nn_backend *, const nn_noise_args *);
void nn_cpu_to_bf16(nn_backend *, void *dst, const float *src, int64_t n);
void nn_cpu_to_f32(nn_backend *, float *dst, const void *src, int64_t n);
void nn_cpu_normalize_fwd(nn_backend *, const nn_normalize_args *);
void nn_cpu_normalize_bwd(nn_backend *, const nn_normalize_args *);
size_t nn_cpu_loss_scratch(nn_backend *, const nn_loss_args *);
void nn_cpu_loss_fwd(nn_backend *, const nn_loss_args *);
void nn_cpu_loss_bwd(nn_backend *, const nn_loss_args *);
void nn_cpu_adamw(nn_backend *, const nn_adamw_args *);
void nn_cpu_norm(nn_backend *, float *out, const float *x, int64_t n);
void nn_cpu_clip_scale(nn_backend *, float *scale, const float *norm, float max_norm);

#endif
