/* models/omnime_layout.c: which rows of which tensors make up the token sequences of a batch, and
 * at which positions (omnime_net.h). All of it is index arithmetic on the host. */
#include <stdlib.h>
#include <string.h>

#include "models/omnime_net.h"
#include "nn/backend.h"

typedef struct sizes {
    int64_t source, zero, target, seen; /* rows in all; zero: source rows that no tensor has */
    int64_t fusion, dit;
    bool source_hidden, target_hidden; /* some row may not be seen */
} sizes;

/* The host's lists, cut from one block. */
typedef struct lists {
    int32_t *fusion_rows, *fusion_at, *fusion_mask, *source_rows;
    int32_t *dit_rows, *dit_at, *dit_mask, *target_rows;
    int32_t *seen_rows, *padded_rows;
    int32_t *text_rows, *fusion_lengths, *dit_lengths;
} lists;

static bool measure(nn_ctx *ctx, const model_omnime_batch *b, sizes *s)
{
    *s = (sizes){0};
    for (int64_t i = 0; i < b->n; i++) {
        if (b->source_seen[i] < 0 || b->source_seen[i] > b->source_rows[i] ||
            b->target_seen[i] < 0 || b->target_seen[i] > b->target_rows[i] ||
            b->first_target[i] <= b->source_rows[i] ||
            (int64_t)b->first_target[i] + b->target_rows[i] > MODEL_OMNIME_POSITIONS) {
            me_fail(&ctx->err, ME_EDATA,
                    "sample %lld: %d source and %d target frames from position %d: expected "
                    "targets behind the source and at most %d positions",
                    (long long)i, b->source_rows[i], b->target_rows[i], b->first_target[i],
                    MODEL_OMNIME_POSITIONS);
            return false;
        }
        s->source += b->source_rows[i];
        if (b->source_zero[i]) s->zero += b->source_rows[i];
        s->target += b->target_rows[i];
        s->seen += b->target_seen[i];
        s->source_hidden |= b->source_seen[i] < b->source_rows[i];
        s->target_hidden |= b->target_seen[i] < b->target_rows[i];
    }
    s->fusion = s->source + b->n;
    s->dit = s->source + b->n + s->target;
    return true;
}

static int32_t *cut(int32_t **from, int64_t n)
{
    int32_t *p = *from;
    *from += n;
    return p;
}

static bool lists_open(nn_ctx *ctx, lists *l, const sizes *s, int64_t n)
{
    int32_t *p = malloc((size_t)(3 * s->fusion + 3 * s->dit + s->source + 2 * s->target + 3 * n) *
                        sizeof *p);
    if (!p) {
        me_fail_mem(&ctx->err, "a batch's layout");
        return false;
    }
    l->fusion_rows = cut(&p, s->fusion); /* the block's beginning: what is freed */
    l->fusion_at = cut(&p, s->fusion);
    l->fusion_mask = cut(&p, s->fusion);
    l->source_rows = cut(&p, s->source);
    l->dit_rows = cut(&p, s->dit);
    l->dit_at = cut(&p, s->dit);
    l->dit_mask = cut(&p, s->dit);
    l->target_rows = cut(&p, s->target);
    l->seen_rows = cut(&p, s->seen);
    l->padded_rows = cut(&p, s->target - s->seen);
    l->text_rows = cut(&p, n);
    l->fusion_lengths = cut(&p, n);
    l->dit_lengths = cut(&p, n);
    return true;
}

/* [text | source rows] of every sample, from [n texts ; given source rows ; a row of zeros]. */
static void fill_fusion(lists *l, const model_omnime_batch *b, const sizes *s)
{
    int32_t row = 0, source = 0, given = (int32_t)b->n;
    int32_t zero = (int32_t)(b->n + s->source - s->zero);
    for (int64_t i = 0; i < b->n; i++) {
        l->fusion_lengths[i] = b->source_rows[i] + 1;
        for (int32_t k = 0; k <= b->source_rows[i]; k++, row++) {
            l->fusion_at[row] = k;
            l->fusion_mask[row] = k <= b->source_seen[i];
            if (k)
                l->source_rows[source++] = row;
            else
                l->text_rows[i] = row;
            l->fusion_rows[row] = !k ? (int32_t)i : b->source_zero[i] ? zero : given++;
        }
    }
}

/* [source | separator | target] from [fusion rows ; separator ; target rows]. */
static void fill_dit(lists *l, const model_omnime_batch *b, const sizes *s)
{
    int32_t row = 0, source = 0, target = 0, seen = 0, padded = 0, given = 0;
    int32_t separator = (int32_t)s->fusion;
    for (int64_t i = 0; i < b->n; i++) {
        l->dit_lengths[i] = b->source_rows[i] + 1 + b->target_rows[i];
        for (int32_t k = 0; k < b->source_rows[i]; k++, row++) {
            l->dit_rows[row] = l->source_rows[source++];
            l->dit_at[row] = k;
            l->dit_mask[row] = k < b->source_seen[i];
        }
        l->dit_rows[row] = separator;
        l->dit_at[row] = b->first_target[i] - 1;
        l->dit_mask[row++] = 1;
        int32_t start = b->target_start ? b->target_start[i] : given;
        for (int32_t k = 0; k < b->target_rows[i]; k++, row++, target++) {
            bool visible = k < b->target_seen[i];
            l->dit_rows[row] = separator + 1 + start + k;
            l->dit_at[row] = b->first_target[i] + k;
            l->dit_mask[row] = visible;
            l->target_rows[target] = row;
            if (visible)
                l->seen_rows[seen++] = target;
            else
                l->padded_rows[padded++] = target;
        }
        given += b->target_rows[i];
    }
}

static const nn_tensor *mask_to_device(nn_ctx *ctx, const int32_t *mask, int64_t n)
{
    nn_tensor *t = nn_new(ctx, NN_I32, 1, &n);
    if (ctx->err.code == ME_OK) ctx->be->upload(ctx->be, t->data, mask, (size_t)n * sizeof *mask);
    return t;
}

/* The rows of the tensor that x_t is, where samples may share them. */
static int64_t target_sources(const model_omnime_batch *b, const sizes *s)
{
    int64_t rows = b->target_start ? 0 : s->target;
    for (int64_t i = 0; i < b->n && b->target_start; i++)
        if (b->target_start[i] + b->target_rows[i] > rows)
            rows = b->target_start[i] + b->target_rows[i];
    return rows;
}

void model_omnime_layout_make(model_omnime_layout *out, nn_ctx *ctx, const model_omnime_batch *b)
{
    sizes s;
    lists l;
    *out = (model_omnime_layout){.n = b->n};
    if (ctx->err.code != ME_OK || !measure(ctx, b, &s) || !lists_open(ctx, &l, &s, b->n)) return;
    fill_fusion(&l, b, &s);
    fill_dit(&l, b, &s);
    out->fusion = nn_packing_new(ctx, l.fusion_lengths, b->n);
    out->dit = nn_packing_new(ctx, l.dit_lengths, b->n);
    out->target = nn_packing_new(ctx, b->target_rows, b->n);
    out->seen = s.target_hidden ? nn_packing_new(ctx, b->target_seen, b->n) : out->target;
    out->fusion_rows = nn_index_new(ctx, l.fusion_rows, s.fusion, b->n + s.source - s.zero + 1);
    out->fusion_at = nn_index_new(ctx, l.fusion_at, s.fusion, MODEL_OMNIME_POSITIONS);
    out->text_rows = nn_index_new(ctx, l.text_rows, b->n, s.fusion);
    out->source_rows = nn_index_new(ctx, l.source_rows, s.source, s.fusion);
    out->dit_rows = nn_index_new(ctx, l.dit_rows, s.dit, s.fusion + 1 + target_sources(b, &s));
    out->dit_at = nn_index_new(ctx, l.dit_at, s.dit, MODEL_OMNIME_POSITIONS);
    out->target_rows = nn_index_new(ctx, l.target_rows, s.target, s.dit);
    if (s.target_hidden) {
        out->seen_rows = nn_index_new(ctx, l.seen_rows, s.seen, s.target);
        out->padded_rows = nn_index_new(ctx, l.padded_rows, s.target - s.seen, s.target);
    }
    if (s.source_hidden) out->fusion_mask = mask_to_device(ctx, l.fusion_mask, s.fusion);
    if (s.source_hidden || s.target_hidden) out->dit_mask = mask_to_device(ctx, l.dit_mask, s.dit);
    free(l.fusion_rows);
}
