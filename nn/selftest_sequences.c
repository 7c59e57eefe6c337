/* nn/selftest_sequences.c: rows of the selftest for operations on packed sequences. */
#include <math.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/selftest_priv.h"

/* ---- lengths -----------------------------------------------------------------------------------
 */

static const int32_t lists[][9] = {
    {1, 0},
    {3, 1, 33, 0},
    {31, 1, 100, 2, 257, 0},
    {1, 1, 1, 1, 1, 1, 0},
    {5, 64, 65, 7, 0},
    {1, 15, 16, 17, 63, 64, 65, 127, 0},
    {130, 48, 200, 128, 0},
    {400, 1, 129, 0},
};
enum { LISTS = sizeof lists / sizeof lists[0] };

/* Beyond the lists: 1000 n + length stands for n sequences of that length, for perf. */
bool nn_self_lengths(self_work *w, me_arena *arena, int list)
{
    w->sequences = 0;
    if (list >= LISTS)
        w->sequences = list / 1000;
    else
        while (lists[list][w->sequences]) w->sequences++;
    w->lengths = ME_NEW_ARRAY(arena, w->sequences, int32_t);
    if (!w->lengths) return false;
    for (int64_t i = 0; i < w->sequences; i++)
        w->lengths[i] = list < LISTS ? lists[list][i] : list % 1000;
    return true;
}

int64_t nn_self_tokens(const int32_t *lengths, int64_t n)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < n; i++) tokens += lengths[i];
    return tokens;
}

static void output(self_work *w, int64_t rows, int64_t columns, self_scope scope)
{
    w->out_rows = rows;
    w->out_columns = columns;
    w->out_scope = scope;
    w->bytes += 4.0 * (double)(rows * columns);
}

/* ---- attention ---------------------------------------------------------------------------------
 */

enum { MASKED = 1, CAUSAL = 2, DROPPED = 4, CLASS_TOKEN = 8 };
#define DROP 0.2f

typedef struct attention_view {
    const double *q, *k, *v; /* of the sequence */
    int64_t q_stride, kv_stride, nq, nk, q_from, tokens_q, longest_k;
    const int32_t *mask; /* of the sequence, or NULL */
} attention_view;

static double dropped(const self_work *w, const attention_view *a, int64_t h, int64_t i, int64_t j)
{
    uint32_t words[4];
    if (!(w->c->flags & DROPPED)) return 1;
    int64_t wide = (a->longest_k + 3) / 4 * 4;
    uint64_t e = (uint64_t)((h * a->tokens_q + a->q_from + i) * wide + j);
    me_philox(SELF_SEED, 0, e / 4, words);
    return words[e % 4] >= nn_dropout_threshold(DROP) ? 1 / (1 - (double)DROP) : 0;
}

static bool visible(const self_work *w, const attention_view *a, int64_t i, int64_t j)
{
    return !((w->c->flags & CAUSAL) && j > i) && !(a->mask && !a->mask[j]);
}

static void attend_one(const self_work *w, const attention_view *a, int64_t h, int64_t i,
                       double *out)
{
    int64_t d = w->c->d / w->c->heads, column = h * d;
    double top = -INFINITY, sum = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t j = 0; j < a->nk; j++) {
            double s = 0;
            if (!visible(w, a, i, j)) continue;
            for (int64_t c = 0; c < d; c++)
                s += a->q[i * a->q_stride + column + c] * a->k[j * a->kv_stride + column + c];
            s /= sqrt((double)d);
            if (!pass) {
                top = fmax(top, s);
                continue;
            }
            double weight = exp(s - top);
            sum += weight;
            weight *= dropped(w, a, h, i, j);
            for (int64_t c = 0; c < d; c++)
                out[column + c] += weight * a->v[j * a->kv_stride + column + c];
        }
    }
    for (int64_t c = 0; sum > 0 && c < d; c++) out[column + c] /= sum;
}

static int64_t longest(const int32_t *lengths, int64_t n)
{
    int64_t top = 0;
    for (int64_t i = 0; i < n; i++) top = lengths[i] > top ? lengths[i] : top;
    return top;
}

/* q with its rows, k and v with theirs; self-attention has them all in one input. */
static void attention_reference(const self_work *w, double *const *in, double *out)
{
    int64_t d = w->c->d;
    bool joined = w->inputs == 1;
    const int32_t *nk = joined ? w->lengths : w->key_lengths;
    attention_view a = {.q_stride = joined ? 3 * d : d,
                        .kv_stride = joined ? 3 * d : 2 * d,
                        .tokens_q = nn_self_tokens(w->lengths, w->sequences),
                        .longest_k = longest(nk, w->sequences)};
    int64_t k_from = 0;
    memset(out, 0, (size_t)(w->out_rows * d) * sizeof *out);
    for (int64_t s = 0; s < w->sequences; s++) {
        a.nq = w->lengths[s];
        a.nk = nk[s];
        a.q = in[0] + a.q_from * a.q_stride;
        a.k = joined ? in[0] + k_from * a.kv_stride + d : in[1] + k_from * a.kv_stride;
        a.v = a.k + d;
        a.mask = w->ints ? w->ints + k_from : NULL;
        for (int64_t i = 0; i < a.nq; i++) {
            for (int h = 0; h < w->c->heads; h++) attend_one(w, &a, h, i, out + (a.q_from + i) * d);
        }
        a.q_from += a.nq;
        k_from += a.nk;
    }
}

static void attention_flops(self_work *w, const int32_t *nk)
{
    for (int64_t s = 0; s < w->sequences; s++) w->flops += 4.0 * w->lengths[s] * nk[s] * w->c->d;
}

/* Masked: about a third of the keys hidden, and all of the first sequence's. */
static bool self_attention_shape(self_work *w, me_arena *arena)
{
    if (!nn_self_lengths(w, arena, w->c->m)) return false;
    int64_t tokens = nn_self_tokens(w->lengths, w->sequences);
    nn_self_input(w, 0, tokens, 3 * w->c->d, SELF_ROW);
    output(w, tokens, w->c->d, w->c->flags & DROPPED ? SELF_SHARED : SELF_ROW);
    attention_flops(w, w->lengths);
    if (!(w->c->flags & MASKED)) return true;
    int32_t *mask = nn_self_ints(w, arena, tokens, SELF_ROW);
    for (int64_t i = 0; mask && i < tokens; i++) mask[i] = i >= w->lengths[0] && i % 3 != 1;
    return mask != NULL;
}

static float start_dropout(nn_ctx *ctx, const self_work *w)
{
    ctx->training = (w->c->flags & DROPPED) != 0;
    ctx->seed = SELF_SEED;
    return ctx->training ? DROP : 0;
}

static nn_tensor *self_attention_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    nn_packing *seq = nn_packing_new(ctx, w->lengths, w->sequences);
    nn_tensor *mask = w->ints ? nn_self_upload_ints(ctx, w, w->n_ints, 1) : NULL;
    return nn_self_attention(ctx, in[0], w->c->heads, seq, mask, (w->c->flags & CAUSAL) != 0,
                             start_dropout(ctx, w));
}

/* Queries of the listed lengths (or one a sequence) against keys of the same, backwards. */
static bool cross_attention_shape(self_work *w, me_arena *arena)
{
    if (!nn_self_lengths(w, arena, w->c->m)) return false;
    w->key_lengths = ME_NEW_ARRAY(arena, w->sequences, int32_t);
    if (!w->key_lengths) return false;
    for (int64_t i = 0; i < w->sequences; i++) w->key_lengths[i] = w->lengths[w->sequences - 1 - i];
    for (int64_t i = 0; (w->c->flags & CLASS_TOKEN) && i < w->sequences; i++) w->lengths[i] = 1;
    int64_t tokens_q = nn_self_tokens(w->lengths, w->sequences);
    nn_self_input(w, 0, tokens_q, w->c->d, SELF_ROW);
    nn_self_input(w, 1, nn_self_tokens(w->key_lengths, w->sequences), 2 * w->c->d, SELF_KEY_ROW);
    output(w, tokens_q, w->c->d, w->c->flags & DROPPED ? SELF_SHARED : SELF_ROW);
    attention_flops(w, w->key_lengths);
    return true;
}

static nn_tensor *cross_attention_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    nn_packing *sq = nn_packing_new(ctx, w->lengths, w->sequences);
    nn_packing *sk = nn_packing_new(ctx, w->key_lengths, w->sequences);
    return nn_cross_attention(ctx, in[0], in[1], w->c->heads, sq, sk, start_dropout(ctx, w));
}

/* ---- modulation, gate, mean --------------------------------------------------------------------
 */

enum { BLOCKS = 3 };

static bool modulate_shape(self_work *w, me_arena *arena)
{
    if (!nn_self_lengths(w, arena, w->c->m)) return false;
    int64_t tokens = nn_self_tokens(w->lengths, w->sequences);
    nn_self_input(w, 0, tokens, w->c->d, SELF_ROW);
    nn_self_input(w, 1, w->sequences, BLOCKS * w->c->d, SELF_SEQUENCE);
    output(w, tokens, w->c->d, SELF_ROW);
    return true;
}

static nn_tensor *modulate_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_modulate(ctx, in[0], in[1], 2, 0, nn_packing_new(ctx, w->lengths, w->sequences),
                       1e-6f);
}

static void modulate_reference(const self_work *w, double *const *in, double *out)
{
    int64_t d = w->c->d, row = 0;
    for (int64_t s = 0; s < w->sequences; s++) {
        const double *scale = in[1] + s * BLOCKS * d, *shift = scale + 2 * d;
        for (int64_t end = row + w->lengths[s]; row < end; row++) {
            const double *x = in[0] + row * d;
            double mean = 0, var = 0;
            for (int64_t j = 0; j < d; j++) mean += x[j] / (double)d;
            for (int64_t j = 0; j < d; j++) var += (x[j] - mean) * (x[j] - mean) / (double)d;
            for (int64_t j = 0; j < d; j++) {
                double xhat = (x[j] - mean) / sqrt(var + (double)1e-6f);
                out[row * d + j] = xhat * (1 + scale[j]) + shift[j];
            }
        }
    }
}

static bool gate_shape(self_work *w, me_arena *arena)
{
    if (!modulate_shape(w, arena)) return false;
    nn_self_input(w, 2, w->in[0].rows, w->c->d, SELF_ROW);
    return true;
}

static nn_tensor *gate_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_gate(ctx, in[0], in[2], in[1], 1, nn_packing_new(ctx, w->lengths, w->sequences));
}

static void gate_reference(const self_work *w, double *const *in, double *out)
{
    int64_t d = w->c->d, row = 0;
    for (int64_t s = 0; s < w->sequences; s++) {
        const double *gate = in[1] + (s * BLOCKS + 1) * d;
        for (int64_t end = row + w->lengths[s]; row < end; row++) {
            for (int64_t j = 0; j < d; j++)
                out[row * d + j] = in[0][row * d + j] + gate[j] * in[2][row * d + j];
        }
    }
}

/* Both results added; with a flag the sum alone, which has a backward of its own. */
static nn_tensor *gate_modulate_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    nn_tensor *y;
    nn_tensor *sum = nn_gate_modulate(ctx, &y, in[0], in[2], in[1], 1, in[1], 2, 0,
                                      nn_packing_new(ctx, w->lengths, w->sequences), 1e-6f);
    return w->c->flags ? sum : nn_add(ctx, y, sum, 1, 1);
}

static void gate_modulate_reference(const self_work *w, double *const *in, double *out)
{
    int64_t values = w->out_rows * w->out_columns;
    gate_reference(w, in, out);
    if (w->c->flags) return;
    double *sum = malloc((size_t)(values + 1) * sizeof *sum);
    if (!sum) return;
    memcpy(sum, out, (size_t)values * sizeof *sum);
    modulate_reference(w, (double *const[]){sum, in[1]}, out);
    for (int64_t i = 0; i < values; i++) out[i] += sum[i];
    free(sum);
}

static bool pool_shape(self_work *w, me_arena *arena)
{
    if (!nn_self_lengths(w, arena, w->c->m)) return false;
    nn_self_input(w, 0, nn_self_tokens(w->lengths, w->sequences), w->c->d, SELF_ROW);
    output(w, w->sequences, w->c->d, SELF_SEQUENCE);
    return true;
}

static nn_tensor *pool_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    return nn_mean_pool(ctx, in[0], nn_packing_new(ctx, w->lengths, w->sequences));
}

static void pool_reference(const self_work *w, double *const *in, double *out)
{
    int64_t d = w->c->d, row = 0;
    memset(out, 0, (size_t)(w->sequences * d) * sizeof *out);
    for (int64_t s = 0; s < w->sequences; s++) {
        for (int64_t end = row + w->lengths[s]; row < end; row++) {
            for (int64_t j = 0; j < d; j++) out[s * d + j] += in[0][row * d + j] / w->lengths[s];
        }
    }
}

/* Every sequence draws from the same stream, so a rearranged batch draws the same. */
static const int32_t noise_stream[3] = {(int32_t)SELF_SEED, 17, 5};

static bool noise_shape(self_work *w, me_arena *arena)
{
    if (!nn_self_lengths(w, arena, w->c->m)) return false;
    int64_t rows = nn_self_tokens(w->lengths, w->sequences);
    nn_self_input(w, 0, rows, w->c->d, SELF_ROW);
    nn_self_input(w, 1, w->sequences, 2, SELF_SEQUENCE);
    for (int i = 0; i < 2; i++) w->in[i].constant = w->in[i].f32 = true;
    output(w, rows, w->c->d, SELF_ROW);
    return true;
}

static nn_tensor *noise_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    nn_tensor *stream = nn_new2(ctx, NN_I32, w->sequences, 3);
    for (int64_t s = 0; s < w->sequences && !nn_failed(ctx); s++)
        ctx->be->upload(ctx->be, nn_at(stream, 3 * s), noise_stream, sizeof noise_stream);
    return nn_noise(ctx, in[0], in[1], stream, nn_packing_new(ctx, w->lengths, w->sequences),
                    w->c->d);
}

static void noise_reference(const self_work *w, double *const *in, double *out)
{
    int64_t d = w->c->d, at = 0;
    for (int64_t s = 0; s < w->sequences; s++)
        for (int64_t e = 0; e < w->lengths[s] * d; e++, at++) {
            uint32_t r[4];
            me_philox((uint32_t)noise_stream[0] | (uint64_t)noise_stream[1] << 32,
                      (uint32_t)noise_stream[2], (uint64_t)e / 2, r);
            double u1 = ((double)(((uint64_t)r[0] << 32 | r[1]) >> 11) + 0.5) * 0x1p-53;
            double u2 = ((double)(((uint64_t)r[2] << 32 | r[3]) >> 11) + 0.5) * 0x1p-53;
            double angle = 2 * M_PI * u2 - (e & 1 ? M_PI / 2 : 0);
            out[at] = in[1][2 * s] * in[0][at] + in[1][2 * s + 1] * sqrt(-2 * log(u1)) * cos(angle);
        }
}

/* One pass; k further columns in the rows of x0. A flag asks for the copy in x0's type. */
static const nn_denoise_step denoise_step = {{1.5f, 0, 0}, 0.75f, -0.5f, 0.25f};

static bool denoise_shape(self_work *w, me_arena *arena)
{
    if (!nn_self_lengths(w, arena, w->c->m)) return false;
    int64_t rows = nn_self_tokens(w->lengths, w->sequences);
    nn_self_input(w, 0, rows, w->c->d + w->c->k, SELF_ROW);
    nn_self_input(w, 1, rows, w->c->d, SELF_ROW);
    w->in[0].constant = w->in[1].constant = w->in[1].f32 = true;
    output(w, rows, w->c->d, SELF_ROW);
    return true;
}

static nn_tensor *denoise_run(nn_ctx *ctx, const self_work *w, nn_tensor **in)
{
    const int64_t d = w->c->d, words = (int64_t)(sizeof denoise_step / sizeof(int32_t));
    nn_packing *seq = nn_packing_new(ctx, w->lengths, w->sequences);
    nn_tensor *stream = nn_new2(ctx, NN_I32, w->sequences, 3),
              *step = nn_new2(ctx, NN_I32, 1, words);
    nn_tensor *x = nn_add(ctx, in[1], in[1], 1, 0), *low = nn_like(ctx, in[0]);
    for (int64_t s = 0; s < w->sequences && !nn_failed(ctx); s++)
        ctx->be->upload(ctx->be, nn_at(stream, 3 * s), noise_stream, sizeof noise_stream);
    if (nn_failed(ctx)) return nn_poison(ctx);
    ctx->be->upload(ctx->be, step->data, &denoise_step, sizeof denoise_step);
    ctx->be->denoise(ctx->be, &(nn_denoise_args){.m = x->shape[0],
                                                 .d = d,
                                                 .segments = seq->n,
                                                 .longest = seq->longest,
                                                 .passes = 1,
                                                 .dtype = in[0]->dtype,
                                                 .x0 = in[0]->data,
                                                 .x0_stride = in[0]->shape[1],
                                                 .step = step->data,
                                                 .stream = stream->data,
                                                 .offsets = seq->offsets_device,
                                                 .x = x->data,
                                                 .low = low->data,
                                                 .low_stride = low->shape[1]});
    return w->c->flags ? nn_cast(ctx, nn_columns(ctx, low, 0, d), NN_F32) : x;
}

static void denoise_reference(const self_work *w, double *const *in, double *out)
{
    const int64_t d = w->c->d, stride = d + w->c->k, rows = w->out_rows;
    double *mix = malloc((size_t)(2 * w->sequences + 1) * sizeof *mix);
    double *mean = malloc((size_t)(rows * d + 1) * sizeof *mean);
    for (int64_t s = 0; mix && s < w->sequences; s++) {
        mix[2 * s] = 1;
        mix[2 * s + 1] = (double)denoise_step.of_noise;
    }
    for (int64_t i = 0; mean && i < rows; i++)
        for (int64_t j = 0; j < d; j++)
            mean[i * d + j] =
                (double)denoise_step.of_x0 * (double)denoise_step.scale[0] * in[0][i * stride + j] +
                (double)denoise_step.of_x * in[1][i * d + j];
    if (mix && mean) noise_reference(w, (double *const[]){mean, mix}, out);
    free(mix);
    free(mean);
}

const self_op nn_self_sequence_ops[] = {
    {"self_attention", self_attention_shape, self_attention_run, attention_reference},
    {"cross_attention", cross_attention_shape, cross_attention_run, attention_reference},
    {"modulate", modulate_shape, modulate_run, modulate_reference},
    {"gate", gate_shape, gate_run, gate_reference},
    {"gate_modulate", gate_shape, gate_modulate_run, gate_modulate_reference},
    {"mean_pool", pool_shape, pool_run, pool_reference},
    {"noise", noise_shape, noise_run, noise_reference},
    {"denoise", denoise_shape, denoise_run, denoise_reference},
    {NULL, NULL, NULL, NULL}};
