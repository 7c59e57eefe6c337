/* nn/ops.h: the operations that models are written in. Eager; with ctx->tape set each also records
 * its backward. Shapes are checked here, once; back ends (nn/backend.h) assume valid input.
 *
 * Notation: M rows (tokens), D columns. Weights are stored [out, in] as PyTorch stores them. Under
 * NN_BF16_MIXED activations are bf16 and parameters are read through their bf16 shadow
 * (nn/params.h); a row of statistics or a loss is always f32.
 */
#ifndef NN_OPS_H
#define NN_OPS_H

#include "nn/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    NN_ACT_NONE,
    NN_ACT_GELU_ERF,   /* x/2 (1 + erf(x / sqrt 2)) */
    NN_ACT_GELU_TANH,  /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    NN_ACT_SILU,       /* x sigma(x) */
    NN_ACT_QUICK_GELU, /* x sigma(1.702 x) */
    NN_ACT_COUNT
} nn_act;

/* Two parts of a pass that a GPU may compute at the same time, because neither uses what the other
 * makes:
 *     nn_split(ctx);  the first part  nn_beside(ctx);  the second  nn_join(ctx);
 * So may both parts of the way back, where the second one begins. They share no parameter that
 * learns, and no tensor that wants a gradient. Results are the same bits as without. A part that
 * is small, or a chain of small operations, is then hidden behind a large one. A part may have
 * parts itself, NN_PARTS within each other. */
void nn_split(nn_ctx *ctx);
void nn_beside(nn_ctx *ctx);
void nn_join(nn_ctx *ctx);

/* y = act(x w^T + b): x (M,K), w (N,K), b (N) or NULL -> (M,N). `w` may be an activation too, which
 * makes this the general product with a transposed right operand. */
nn_tensor *nn_linear(nn_ctx *ctx, nn_tensor *x, nn_tensor *w, nn_tensor *b, nn_act act);
nn_tensor *nn_activation(nn_ctx *ctx, nn_tensor *x, nn_act act);
/* nn_dropout of the same, with the same mask, in fewer passes over memory. */
nn_tensor *nn_linear_dropout(nn_ctx *ctx, nn_tensor *x, nn_tensor *w, nn_tensor *b, nn_act act,
                             float p);

/* y = alpha a + beta b, equal shapes. */
nn_tensor *nn_add(nn_ctx *ctx, nn_tensor *a, nn_tensor *b, float alpha, float beta);
/* y = x + table[index[i]] for every row i: positions, segment vectors. table (P,D), f32 or x's
 * type. */
nn_tensor *nn_add_rows(nn_ctx *ctx, nn_tensor *x, nn_tensor *table, nn_index *index);

/* Biased variance, eps inside the root. w, b (D), both NULL for no affine. `residual` (M,D) or
 * NULL: y = LN(x + residual). */
nn_tensor *nn_layernorm(nn_ctx *ctx, nn_tensor *x, nn_tensor *residual, nn_tensor *w, nn_tensor *b,
                        float eps);
/* y = LN(x + dropout(h, p)). */
nn_tensor *nn_dropout_layernorm(nn_ctx *ctx, nn_tensor *x, nn_tensor *h, float p, nn_tensor *w,
                                nn_tensor *b, float eps);
/* The end of either half of a post-norm layer, y = LN(residual + dropout(x w^T + b, p)), in fewer
 * passes over memory than its parts. b is not NULL. */
nn_tensor *nn_linear_layernorm(nn_ctx *ctx, nn_tensor *x, nn_tensor *w, nn_tensor *b, float p,
                               nn_tensor *residual, nn_tensor *norm_w, nn_tensor *norm_b,
                               float eps);
/* The same in inference, without dropout, into `y`, which may be older than what lies between. */
void nn_linear_layernorm_into(nn_ctx *ctx, nn_tensor *y, nn_tensor *x, nn_tensor *w, nn_tensor *b,
                              nn_tensor *residual, nn_tensor *norm_w, nn_tensor *norm_b, float eps);
/* adaLN: y = LN(x; no affine) (1 + scale_s) + shift_s, s being the row's sequence; shift and scale
 * (n,D) are column blocks of one tensor mod (n, blocks*D): shift is block `shift_block`, scale
 * `scale_block`. */
nn_tensor *nn_modulate(nn_ctx *ctx, nn_tensor *x, nn_tensor *mod, int shift_block, int scale_block,
                       const nn_packing *seq, float eps);
/* y = x + gate_s * h, gate being block `gate_block` of mod (n, blocks*D). */
nn_tensor *nn_gate(nn_ctx *ctx, nn_tensor *x, nn_tensor *h, nn_tensor *mod, int gate_block,
                   const nn_packing *seq);

/* Both in one pass: returns x + gate_s h, and *y is that, modulated. The gate and the modulation
 * may be blocks of different tensors. */
nn_tensor *nn_gate_modulate(nn_ctx *ctx, nn_tensor **y, nn_tensor *x, nn_tensor *h,
                            nn_tensor *gate_mod, int gate_block, nn_tensor *mod, int shift_block,
                            int scale_block, const nn_packing *seq, float eps);

/* The same for inference, where the sum takes x's place and the modulated rows go to y. */
void nn_gate_modulate_into(nn_ctx *ctx, nn_tensor *y, nn_tensor *x, nn_tensor *h,
                           nn_tensor *gate_mod, int gate_block, nn_tensor *mod, int shift_block,
                           int scale_block, const nn_packing *seq, float eps);

/* Multi-head softmax attention within each sequence, scale 1/sqrt(D/heads).
 * qkv (M, 3D) rows [q | k | v] -> (M, D).
 * key_mask: NULL or (M) i32 on the back end; 0 hides that row as a key. A sequence whose keys are
 * all hidden gives zeros. Dropout acts on the attention weights when ctx->training. */
nn_tensor *nn_self_attention(nn_ctx *ctx, nn_tensor *qkv, int heads, const nn_packing *seq,
                             const nn_tensor *key_mask, bool causal, float dropout);
/* q (Mq, D) of packing sq, kv (Mk, 2D) rows [k | v] of packing sk (same number of sequences). A
 * packing sq with one row a sequence is the cheap "only the class token asks" of a last encoder
 * layer. */
nn_tensor *nn_cross_attention(nn_ctx *ctx, nn_tensor *q, nn_tensor *kv, int heads,
                              const nn_packing *sq, const nn_packing *sk, float dropout);

/* Inverted dropout, x / (1-p) kept. The mask of element i at site number s of a step is
 * philox(seed, s, i): equal on every back end, and recomputed in backward instead of stored. */
nn_tensor *nn_dropout(nn_ctx *ctx, nn_tensor *x, float p);

/* y[i] = x[index[i]]. Backward sums in a fixed order. */
nn_tensor *nn_gather(nn_ctx *ctx, nn_tensor *x, nn_index *index);
/* Rows of several tensors of equal width, stacked. */
nn_tensor *nn_concat_rows(nn_ctx *ctx, nn_tensor *const *parts, int n);
/* Gathers from several tensors (at most four) as if they were stacked, and adds rows of a table, a
 * constant f32 one: y[i] = stacked[index[i]] + table[at[i]]. */
nn_tensor *nn_assemble(nn_ctx *ctx, nn_tensor *const *parts, int n, nn_index *index,
                       const nn_tensor *table, const nn_index *at);
/* The same in inference into `y`, which may be older than the parts. */
void nn_assemble_into(nn_ctx *ctx, nn_tensor *y, nn_tensor *const *parts, int n, nn_index *index,
                      const nn_tensor *table, const nn_index *at);
/* x and zeros behind and below it, so that it has `rows` and `columns`; a vector counts as one row.
 */
nn_tensor *nn_pad(nn_ctx *ctx, nn_tensor *x, int64_t rows, int64_t columns);
/* Columns of several tensors of equal height, side by side. */
nn_tensor *nn_concat_columns(nn_ctx *ctx, nn_tensor *const *parts, int n);
/* Columns [from, to) of x: a copy. */
nn_tensor *nn_columns(nn_ctx *ctx, nn_tensor *x, int64_t from, int64_t to);
/* Mean over each sequence's rows: (M,D) -> (n,D). */
nn_tensor *nn_mean_pool(nn_ctx *ctx, nn_tensor *x, const nn_packing *seq);
/* Each row divided by max(its L2 norm, eps). */
nn_tensor *nn_normalize_rows(nn_ctx *ctx, nn_tensor *x, float eps);
/* mu + noise * exp(logvar / 2); noise f32, a constant. */
nn_tensor *nn_reparameterize(nn_ctx *ctx, nn_tensor *mu, nn_tensor *logvar, const nn_tensor *noise);
/* y = mix[s][0] x + mix[s][1] z with z ~ N(0,1), s being the row's sequence; x (M,D) f32 or NULL:
 * no first term. mix (n,2) f32. stream (n,3) i32: low and high word of a seed, and a site: a
 * sequence draws what these three and the places within it say, whatever else is in the batch. A
 * constant: nothing flows back to x. */
nn_tensor *nn_noise(nn_ctx *ctx, const nn_tensor *x, const nn_tensor *mix, const nn_tensor *stream,
                    const nn_packing *seq, int64_t columns);
/* x itself where it has that type. */
nn_tensor *nn_cast(nn_ctx *ctx, nn_tensor *x, nn_dtype dtype);

/* ---- losses: each gives a (1,1) f32 tensor -------------------------------------------------- */

/* sum_i weight_i sum_d (a - b)^2 / denominator. row_weight (M) f32 or NULL (ones); b is a constant
 * unless it needs_grad. */
nn_tensor *nn_mse(nn_ctx *ctx, nn_tensor *a, nn_tensor *b, const nn_tensor *row_weight,
                  double denominator);
/* Squared differences by groups of columns, in one pass: term_g is nn_mse of columns [from, to)
 * with its denominator, and what returns is the sum of share_g term_g. a may have further columns
 * behind b's, and may be bf16; b, f32, is a constant. terms: NULL, or gets each term, without
 * gradient. */
typedef struct nn_column_group {
    int64_t from, to;
    double denominator;
    float share;
    bool weighted; /* by row_weight */
} nn_column_group;
nn_tensor *nn_group_mse(nn_ctx *ctx, nn_tensor **terms, nn_tensor *a, const nn_tensor *b,
                        const nn_tensor *row_weight, const nn_column_group *groups, int n);
/* Huber with beta 1: d^2/2 where |d| < 1, else |d| - 1/2. */
nn_tensor *nn_smooth_l1(nn_ctx *ctx, nn_tensor *a, nn_tensor *b, const nn_tensor *row_weight,
                        double denominator);
/* sum_i w[label_i] (-log softmax(logits_i)[label_i]) / sum_i w[label_i], label < 0 ignored.
 * labels (M) i32; class_weight (C) f32 or NULL. No row counted, or weights summing to 0: 0. */
nn_tensor *nn_cross_entropy(nn_ctx *ctx, nn_tensor *logits, const nn_tensor *labels,
                            const nn_tensor *class_weight);
/* Half the cross-entropy of scores (n,n) over rows plus half over columns, the diagonal being
 * right; hidden (n,n) i32 or NULL: entries that are not 0 count as -inf (never the diagonal). */
nn_tensor *nn_info_nce(nn_ctx *ctx, nn_tensor *scores, const nn_tensor *hidden);
/* Mean over all entries of KL( N(mu1, e^lv1) || N(mu2, e^lv2) ); mu2 and lv2 both NULL: N(0, 1). */
nn_tensor *nn_kl(nn_ctx *ctx, nn_tensor *mu1, nn_tensor *lv1, nn_tensor *mu2, nn_tensor *lv2);
/* mean_i max(0, margin + d(a_i,p_i) - d(a_i,n_i)), d(u,v) = sqrt(sum_j (u_j - v_j + 1e-6)^2) as
 * torch has it. */
nn_tensor *nn_triplet(nn_ctx *ctx, nn_tensor *anchor, nn_tensor *positive, nn_tensor *negative,
                      float margin);
/* The same with d(u,v) = sum_j (u_j - v_j)^2. */
nn_tensor *nn_triplet_squared(nn_ctx *ctx, nn_tensor *anchor, nn_tensor *positive,
                              nn_tensor *negative, float margin);
/* sum_i weight_i loss_i over (1,1) tensors. */
nn_tensor *nn_weighted_sum(nn_ctx *ctx, nn_tensor *const *losses, const float *weights, int n);

#ifdef __cplusplus
}
#endif
#endif
