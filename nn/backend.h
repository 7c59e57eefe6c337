/* nn/backend.h: what a back end provides. `cpu` always exists, `cuda` when built with nvcc.
 *
 * A back end fills every slot or does not open. Slots take validated arguments: contiguous rows,
 * matching shapes, f32 or bf16 where `dtype` says so, f32 otherwise. A back end reports trouble
 * through `status` (sticky); nothing else fails. Calls are ordered as on one CUDA stream, but for
 * those on lanes. Outputs never alias inputs unless a comment says so. M rows, D columns. Sizes may
 * be 0: a slot that has nothing to write then does nothing (sums and means of nothing are 0).
 *
 * Random bits are core/rng.h's philox. Element i of site s of a step draws word i % 4 of counter
 * block i / 4: me_philox(seed, s, i / 4, w), w[i % 4]. It is kept when that word >=
 * nn_dropout_threshold(p), and then multiplied by 1 / (1 - p) in f32.
 */
#ifndef NN_BACKEND_H
#define NN_BACKEND_H

#include "nn/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NN_LANES 4

static inline uint32_t nn_dropout_threshold(float p) /* 0 <= p < 1 */
{
    return (uint32_t)((double)p * 4294967296.0);
}

/* What changes from step to step, in device memory, so that a recorded graph of a training step can
 * be replayed: upload a new one before each nn_backend.graph_launch. Where an args struct's `state`
 * is set, it is read when the work runs and replaces the fields of the same name; NULL: the fields
 * count. */
typedef struct nn_step_state {
    uint64_t seed;
    double bias1, bias2; /* 1 - beta^step */
    float lr;
    float unused;
} nn_step_state;

/* Dropout as a part of another operation: element i is that of the whole (M,D) tensor. */
typedef struct nn_drop {
    float p; /* 0: none, and the rest does not count */
    uint32_t site;
    uint64_t seed;
    const nn_step_state *state; /* NULL, or on the back end: its seed replaces seed */
} nn_drop;

typedef struct nn_gemm_args {
    /* c (M,N) = drop( act( op_a(a) op_b(b) + bias ) ) + accumulate * c.  op_a(a) is (M,K), op_b(b)
     * is (K,N). trans_a: a is stored (K,M). trans_b: b is stored (N,K), the usual case of a weight.
     */
    int64_t m, n, k;
    bool trans_a, trans_b;
    const void *a, *b;
    const void *bias; /* (N), dtype of c, or NULL */
    void *c;
    /* (M,N), dtype of c, or NULL: what the gradient of c is to be multiplied by on its way back
     * through dropout and activation. */
    void *slope;
    nn_act act;
    nn_drop drop;
    float accumulate; /* 0 or 1; 0 with an activation or dropout */
    nn_dtype dtype;   /* of a, b */
    nn_dtype c_dtype; /* f32 or dtype */
    nn_precision precision;
    /* Set while a tape records, and in backward: the kernel may be chosen for this m. Not set: each
     * row of c has the same bits whatever m is and whichever row it is (needs trans_b, not
     * trans_a). */
    bool training;
} nn_gemm_args;

typedef struct nn_linear_grad_args {
    /* From the gradient of a product's c to that of what it had before dropout and activation, and
     * to the bias's: dx = dy slope, dbias += column sums of dx before dx is rounded. */
    int64_t m, n;
    nn_dtype dtype;
    const void *slope; /* (M,N), as the product left it, or NULL: 1 */
    const void *dy;
    void *dx;     /* may be dy; not written where it is and there is no slope */
    float *dbias; /* (N), or NULL */
} nn_linear_grad_args;

typedef struct nn_layernorm_args {
    int64_t m, d;
    nn_dtype dtype; /* x, residual, y, dx, dy, dresidual */
    float eps;
    const void *x, *residual; /* x + drop(residual) is what is normalised */
    nn_drop drop;
    const void *w, *b; /* (D) f32, or NULL */
    void *y;
    float *mean, *rstd; /* (M), written by forward when not NULL, read by backward */
    /* backward */
    const void *dy;
    void *dx;        /* written */
    void *dresidual; /* written, or NULL */
    float *dw, *db;  /* (D) f32, added to, or NULL (each by itself) */
    float *dbias;    /* (D) f32: += column sums of dresidual, which is not NULL then; or NULL */
    /* modulation (nn_modulate): y = xhat (1 + scale_s) + shift_s */
    const void *shift, *scale; /* dtype; row stride mod_stride; NULL when not modulated */
    int64_t mod_stride;
    const int32_t *segment; /* (M) */
    const int32_t *offsets; /* (n+1) */
    int64_t segments;
    void *dshift, *dscale; /* dtype; row stride dmod_stride; written; both NULL when not wanted */
    int64_t dmod_stride;
} nn_layernorm_args;

typedef struct nn_attention_args {
    int64_t sequences;
    int64_t tokens_q, tokens_k, longest_q, longest_k;
    const int32_t *offsets_q, *offsets_k; /* (sequences+1), on the back end */
    const int32_t *host_offsets_q, *host_offsets_k;
    int heads, head_dim;
    nn_dtype dtype;
    nn_precision precision;
    const void *q, *k, *v; /* row strides below, in elements; head h at column h*head_dim */
    int64_t q_stride, kv_stride;
    const int32_t *key_mask; /* (tokens_k) or NULL */
    bool causal;
    float scale, dropout;
    /* The weight of head h, query row q of all tokens_q and key k, counted from 0 within its
     * sequence, is element (h*tokens_q + q) * wide + k of the site, where wide is longest_k rounded
     * up to a multiple of 4: a philox block serves four neighbouring keys of one query. */
    uint64_t seed;
    uint32_t site;
    const nn_step_state *state; /* NULL, or on the back end: its seed replaces seed */
    void *out;                  /* (tokens_q, heads*head_dim), contiguous */
    float *lse; /* (heads, tokens_q): log-sum-exp, for backward; NULL in inference */
    /* backward */
    const void *dout;
    void *dq, *dk, *dv; /* strides q_stride and kv_stride; every element written */
    float *delta;       /* scratch (heads, tokens_q) */
} nn_attention_args;

typedef struct nn_rows_args {
    /* y[i] = (x ? x[i] : 0) + table[index[i]] */
    int64_t m, d;
    nn_dtype dtype, table_dtype;
    const void *x;
    const void *table;
    const int32_t *index;
    void *y;
    /* backward: dtable[s] += sum over places i in inverse_items[inverse_start[s]..] of dy[i], in
     * that order */
    const void *dy;
    void *dtable; /* table_dtype, added to (bf16: the f32 sum is added and rounded once) */
    int64_t sources;
    const int32_t *inverse_start, *inverse_items;
} nn_rows_args;

typedef struct nn_segment_args {
    /* gate: y = x + g[segment] * h.   pool: y (segments, D) = mean of each segment's rows */
    int64_t m, d, segments;
    nn_dtype dtype;
    const void *x, *h, *g; /* g row stride mod_stride */
    int64_t mod_stride;
    const int32_t *segment, *offsets;
    void *y;
    const void *dy;
    /* written; gate: dx is NULL (it equals dy), dh or dg may be NULL */
    void *dx, *dh, *dg;
    int64_t dg_stride;
} nn_segment_args;

/* What the slots of nn_adaln_args take at most. */
#define NN_ADALN_COLUMNS 1024
#define NN_ADALN_ROWS 65536 /* of a sequence */

typedef struct nn_adaln_args {
    /* A gate and the modulated LayerNorm behind it, s being the row's sequence:
     * sum = x + gate_s h (rounded to dtype);
     * y = LN(sum) (1 + scale_s) + shift_s */
    int64_t m, d, segments, longest;
    nn_dtype dtype;
    float eps;
    const void *x, *h;
    const void *gate, *shift, *scale; /* gate: row stride gate_stride; the others mod_stride */
    int64_t gate_stride, mod_stride;
    const int32_t *segment, *offsets;
    void *sum, *y;      /* sum may be x */
    float *mean, *rstd; /* (M), written by forward when not NULL, read by backward */
    /* backward; x is not read */
    const void *dy;
    const void *dsum;              /* the gradient that reaches sum elsewhere, or NULL */
    void *dx;                      /* written; may be dsum */
    void *dh;                      /* written */
    void *dgate, *dshift, *dscale; /* added to, each or none; strides as above; all or none */
} nn_adaln_args;

#define NN_GROUPS 8

typedef struct nn_group_loss_args {
    /* term_g = sum over rows i and columns of group g of w_i (a - b)^2 / denominator_g, w_i being 1
     * where the group is not weighted; *total = sum_g share_g term_g. A group without columns is 0.
     * Groups do not overlap. */
    int64_t m, d; /* of b; a has a_stride columns */
    int groups;
    int64_t from[NN_GROUPS], to[NN_GROUPS];
    double denominator[NN_GROUPS];
    float share[NN_GROUPS];
    bool weighted[NN_GROUPS];
    nn_dtype dtype; /* of a and da; b is f32 */
    const void *a;
    int64_t a_stride;
    const float *b, *row_weight;
    float *terms, *total; /* terms (groups) */
    /* backward: *upstream times the gradient of *total is added to da, rows as those of a */
    const float *upstream;
    void *da;
} nn_group_loss_args;

#define NN_ASSEMBLE_PARTS 4

typedef struct nn_assemble_args {
    /* y[i] = row index[i] of the parts stacked + table[at[i]] */
    int64_t m, d;
    nn_dtype dtype; /* of parts and y; table is f32 */
    int parts;
    const void *part[NN_ASSEMBLE_PARTS];
    int64_t end[NN_ASSEMBLE_PARTS]; /* rows of the parts up to this one */
    const int32_t *index, *at;
    const float *table;
    void *y;
} nn_assemble_args;

#define NN_DENOISE_PASSES 3

/* The numbers that change from step to step of a sampler, on the back end. */
typedef struct nn_denoise_step {
    float scale[NN_DENOISE_PASSES], of_x0, of_x, of_noise;
} nn_denoise_step;

typedef struct nn_denoise_args {
    /* x = of_x0 (sum over passes of scale_p x0_p) + of_x x + of_noise z, z as in nn_noise_args */
    int64_t m, d, segments, longest;
    int passes;
    nn_dtype dtype; /* of x0 and low */
    const void *x0; /* (passes * m), row stride x0_stride; pass p begins at row p * m */
    int64_t x0_stride;
    const nn_denoise_step *step;
    const int32_t *stream, *offsets;
    float *x;  /* (M,D) read and written */
    void *low; /* NULL, or x again in dtype, row stride low_stride, zeros behind column d */
    int64_t low_stride;
} nn_denoise_args;

typedef struct nn_columns_args {
    /* copies an (m, columns) block: dst[i*dst_stride + j] = src[i*src_stride + j] (or += with add)
     */
    int64_t m, columns, src_stride, dst_stride;
    nn_dtype dtype;
    const void *src;
    void *dst;
    bool add;
} nn_columns_args;

typedef struct nn_map_args {
    /* elementwise, n elements */
    int64_t n;
    nn_dtype dtype;
    const void *a, *b;
    void *y;
    float alpha, beta;
    nn_act act;
    uint64_t seed;
    uint32_t site;
    float p;
    const nn_step_state *state; /* NULL, or on the back end: its seed replaces seed */
} nn_map_args;

typedef struct nn_noise_args {
    /* y = mix[s][0] x + mix[s][1] z, all f32. Elements e and e + 1 (e even, counted from 0 within
     * the sequence, row by row) share philox block e / 2 of (seed, site): with u1 and u2 in (0,1)
     * from its words 0, 1 and 2, 3 (53 bits of the first above the second, plus a half, times
     * 2^-53), z is sqrt(-2 ln u1) cos(2 pi u2) and the same with sin. In double but for the last
     * rounding. */
    int64_t m, d, segments;
    const float *x; /* (M,D) or NULL */
    const float *mix;
    const int32_t *stream;            /* (segments,3): seed low, seed high, site */
    const int32_t *segment, *offsets; /* (M), (segments+1) */
    float *y;
} nn_noise_args;

typedef struct nn_normalize_args {
    int64_t m, d;
    nn_dtype dtype;
    float eps;
    const void *x;
    void *y;
    float *norm; /* (M) max(norm, eps), or NULL */
    const void *dy;
    void *dx;
} nn_normalize_args;

typedef enum {
    NN_LOSS_MSE,
    NN_LOSS_SMOOTH_L1,
    NN_LOSS_CROSS_ENTROPY,
    NN_LOSS_INFO_NCE,
    NN_LOSS_KL,
    NN_LOSS_TRIPLET
} nn_loss_kind;

typedef struct nn_loss_args {
    /* Fields as the operation of ops.h names them. Forward writes *value (device f32); backward
     * ADDS *upstream times the gradient to every da.. that is not NULL. Sums are taken in a fixed
     * order. */
    nn_loss_kind kind;
    int64_t m, d;
    nn_dtype dtype; /* of a, b, c, e and their gradients */
    const void *a, *b, *c,
        *e;                  /* mse: a b; kl: mu1 lv1 mu2 lv2; triplet: anchor positive negative */
    const float *row_weight; /* (M), or class weights (D) for cross-entropy */
    const int32_t *labels;   /* (M) for cross-entropy; hidden (M,M) for info-nce */
    double denominator;
    float margin;
    bool squared; /* triplet: by squared distances */
    float *value;
    float *scratch; /* loss_scratch(args) floats, kept from forward to backward */
    const float *upstream;
    void *da, *db, *dc, *de;
} nn_loss_args;

typedef struct nn_adamw_args {
    /* PyTorch's AdamW: decay p -= lr wd p; then moments, bias correction, p -= lr
     * mhat/(sqrt(vhat)+eps) */
    int64_t n;
    float *param, *m, *v;
    const float *grad;
    float lr, beta1, beta2, eps, weight_decay;
    double bias1, bias2;     /* 1 - beta^step */
    const float *grad_scale; /* device scalar or NULL: gradient is multiplied by it (clipping) */
    void *bf16_shadow;       /* NULL, or the parameters again as bf16 */
    float *ema;              /* NULL, or moving average: ema = decay ema + (1-decay) param */
    float ema_decay;
    const nn_step_state *state; /* NULL, or on the back end: replaces lr, bias1 and bias2 */
} nn_adamw_args;

struct nn_backend {
    const char *name;  /* "cpu", "cuda" */
    char device[128];  /* "NVIDIA H100 80GB HBM3" */
    nn_precision best; /* the fastest precision that it really computes */

    void (*close)(nn_backend *);
    me_code (*status)(nn_backend *, me_err *); /* waits for the device; first failure since open */
    void (*sync)(nn_backend *);

    me_code (*alloc)(nn_backend *, size_t bytes, void **out, me_err *);
    void (*release)(nn_backend *, void *);
    /* `host` may be written again, or freed, once the call has returned. */
    void (*upload)(nn_backend *, void *dst, const void *host, size_t bytes);
    void (*download)(nn_backend *, void *host, const void *src, size_t bytes); /* waits */
    /* Host memory that upload_ahead takes. */
    me_code (*host_alloc)(nn_backend *, size_t bytes, void **out, me_err *);
    void (*host_release)(nn_backend *, void *);
    /* An upload beside the work that is queued already, seen by what is queued after. For two
     * buffers on either side that take turns: dst must not be touched by what was queued since the
     * call before this one, and `host` may be written again once the next call has returned, or
     * after a sync. */
    void (*upload_ahead)(nn_backend *, void *dst, const void *host, size_t bytes);
    /* NN_LANES lanes, whose work may be done at the same time; calls go to lane 0 until another one
     * is taken. lane_begin: what goes to `lane` from now on sees what was queued on the present
     * one. lane_join: the present one sees from now on what was queued on `lane`. Memory comes and
     * goes in the order of lane 0. cpu: one call after the other, as they come. */
    void (*lane_begin)(nn_backend *, int lane);
    void (*lane_take)(nn_backend *, int lane);
    void (*lane_join)(nn_backend *, int lane);
    void (*copy)(nn_backend *, void *dst, const void *src, size_t bytes);
    void (*zero)(nn_backend *, void *dst, size_t bytes);

    void (*gemm)(nn_backend *, const nn_gemm_args *);
    void (*linear_grad)(nn_backend *, const nn_linear_grad_args *);

    void (*layernorm_fwd)(nn_backend *, const nn_layernorm_args *);
    void (*layernorm_bwd)(nn_backend *, const nn_layernorm_args *);
    void (*attention_fwd)(nn_backend *, const nn_attention_args *);
    void (*attention_bwd)(nn_backend *, const nn_attention_args *);

    void (*rows_fwd)(nn_backend *, const nn_rows_args *);
    void (*rows_bwd)(nn_backend *, const nn_rows_args *);
    void (*assemble)(nn_backend *, const nn_assemble_args *);
    void (*gate_fwd)(nn_backend *, const nn_segment_args *);
    void (*gate_bwd)(nn_backend *, const nn_segment_args *);
    void (*adaln_fwd)(nn_backend *, const nn_adaln_args *);
    void (*adaln_bwd)(nn_backend *, const nn_adaln_args *);
    void (*pool_fwd)(nn_backend *, const nn_segment_args *);
    void (*pool_bwd)(nn_backend *, const nn_segment_args *); /* dx written */
    void (*columns)(nn_backend *, const nn_columns_args *);

    void (*axpby)(nn_backend *,
                  const nn_map_args *); /* y = alpha a + beta b; b may be NULL; y may be a or b */
    void (*act_fwd)(nn_backend *, const nn_map_args *); /* y = act(a) */
    void (*act_bwd)(nn_backend *, const nn_map_args *); /* y = b * act'(a); y may be b */
    void (*dropout)(
        nn_backend *,
        const nn_map_args *); /* y = keep(seed, site, i) ? a/(1-p) : 0; its own backward */
    void (*reparam_fwd)(nn_backend *,
                        const nn_map_args *); /* y = y + b * exp(a/2): y holds mu, b f32 noise */
    void (*reparam_bwd)(
        nn_backend *,
        const nn_map_args *); /* y = y * b * exp(a/2) / 2: y holds dz, becomes dlogvar */
    void (*noise)(nn_backend *, const nn_noise_args *);
    void (*denoise)(nn_backend *, const nn_denoise_args *);
    void (*to_bf16)(nn_backend *, void *dst, const float *src, int64_t n);
    void (*to_f32)(nn_backend *, float *dst, const void *src, int64_t n);

    void (*normalize_fwd)(nn_backend *, const nn_normalize_args *);
    void (*normalize_bwd)(nn_backend *, const nn_normalize_args *);

    size_t (*loss_scratch)(nn_backend *, const nn_loss_args *); /* floats */
    void (*loss_fwd)(nn_backend *, const nn_loss_args *);
    void (*loss_bwd)(nn_backend *, const nn_loss_args *);

    void (*group_loss_fwd)(nn_backend *, const nn_group_loss_args *);
    void (*group_loss_bwd)(nn_backend *, const nn_group_loss_args *);

    void (*adamw)(nn_backend *, const nn_adamw_args *);
    /* *out (device) = sqrt(sum of squares of n floats), summed in a fixed order in double */
    void (*norm)(nn_backend *, float *out, const float *x, int64_t n);
    /* *scale = min(1, max_norm / (*norm + 1e-6)) as torch.nn.utils.clip_grad_norm_ */
    void (*clip_scale)(nn_backend *, float *scale, const float *norm, float max_norm);

    /* Records what `fn` launches and replays it; cpu: just calls fn. A graph is bound to the
     * addresses and sizes that it was recorded with. `fn` must have run once before, so that caches
     * are filled, and must not allocate, upload, download or wait. */
    me_code (*graph_capture)(nn_backend *, void (*fn)(void *), void *arg, void **graph, me_err *);
    void (*graph_launch)(nn_backend *, void *graph);
    void (*graph_release)(nn_backend *, void *graph);
    double (*now)(nn_backend *); /* seconds, after waiting for the device */
    /* The most device memory, in bytes, that was taken at a time since open; cpu: 0. */
    size_t (*peak)(nn_backend *);
};

/* "auto" (cuda where one works, else cpu), "cpu", "cuda", "cuda:N". `threads` 0: all cores. */
me_code nn_backend_open(nn_backend **out, const char *device, int threads, me_err *err);
void nn_backend_close(nn_backend *be);

me_code nn_cpu_open(nn_backend **out, int threads, me_err *err);
/* Without nvcc at build time: ME_EDEVICE, saying how to build with it. */
me_code nn_cuda_open(nn_backend **out, int device, me_err *err);

#ifdef __cplusplus
}
#endif
#endif
