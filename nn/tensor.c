/* nn/tensor.c: contexts, the activation pool, tensors, index lists and packings.
 *
 * The pool is a list of blocks on the back end with a bump pointer. nn_rewind() keeps them; after a
 * pass that needed more than one, nn_reset() makes one of that size: steps of changing lengths
 * would otherwise leave a larger unused end in every block, and the list would grow without need.
 * So a training step that repeats itself allocates nothing and gets the same addresses.
 */
#include "nn/nn_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "nn/tape_priv.h"

#define POOL_ALIGN 256
#define POOL_FIRST ((size_t)4 << 20)
#define POOL_LARGEST ((size_t)256 << 20)

typedef struct pool_block {
    void *data;
    size_t size;
} pool_block;

typedef struct nn_pool {
    me_arena host;
    pool_block *blocks;
    size_t n, capacity;
    size_t current, used; /* block that is being filled; bytes of it in use */
    nn_tensor poison;
    nn_tape tape;
    float *one; /* 1.0f on the back end: the gradient of a loss by itself */
} nn_pool;

me_code nn_ctx_open(nn_ctx *out, nn_backend *be, nn_precision precision, me_err *err)
{
    memset(out, 0, sizeof *out);
    nn_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return me_fail_mem(err, "a context");
    pool->poison = (nn_tensor){.ndim = 2};
    out->be = be;
    out->precision = precision;
    out->pool = pool;
    return ME_OK;
}

void nn_ctx_close(nn_ctx *ctx)
{
    nn_pool *pool = ctx->pool;
    if (!pool) return;
    while (ctx->parts) nn_join(ctx);
    for (size_t i = 0; i < pool->n; i++) ctx->be->release(ctx->be, pool->blocks[i].data);
    if (pool->one) ctx->be->release(ctx->be, pool->one);
    free(pool->blocks);
    me_arena_release(&pool->host);
    free(pool);
    memset(ctx, 0, sizeof *ctx);
}

me_code nn_status(const nn_ctx *ctx, me_err *err)
{
    if (nn_failed(ctx)) return me_fail(err, ctx->err.code, "%s", ctx->err.msg);
    return ctx->be->status(ctx->be, err);
}

/* Where one block of the whole size cannot be had, the pool starts again from nothing. */
static void pool_merge(nn_ctx *ctx)
{
    nn_pool *pool = ctx->pool;
    size_t size = 0;
    for (size_t i = 0; i < pool->n; i++) {
        size += pool->blocks[i].size;
        ctx->be->release(ctx->be, pool->blocks[i].data);
    }
    pool->n = 0;
    if (ctx->be->alloc(ctx->be, size, &pool->blocks[0].data, NULL) != ME_OK) return;
    pool->blocks[0].size = size;
    pool->n = 1;
}

/* Groups go on counting: what a parameter's gradient says of an earlier pass means nothing now. */
static void clear_tape(nn_pool *pool)
{
    pool->tape = (nn_tape){.group = pool->tape.group + 1};
}

void nn_reset(nn_ctx *ctx)
{
    nn_pool *pool = ctx->pool;
    while (ctx->parts) nn_join(ctx); /* a pass may have been left within a part */
    if (pool->n > 1) pool_merge(ctx);
    memset(&ctx->err, 0, sizeof ctx->err);
    me_arena_rewind(&pool->host, (me_arena_mark){0});
    clear_tape(pool);
    pool->current = pool->used = 0;
    ctx->dropouts = 0;
}

nn_mark_state nn_mark(nn_ctx *ctx)
{
    return (nn_mark_state){ctx->pool->current, ctx->pool->used,
                           me_arena_get_mark(&ctx->pool->host)};
}

void nn_rewind(nn_ctx *ctx, nn_mark_state mark)
{
    assert(!ctx->tape);
    ctx->pool->current = mark.block;
    ctx->pool->used = mark.used;
    me_arena_rewind(&ctx->pool->host, mark.host);
}

nn_tape *nn_tape_new(nn_ctx *ctx)
{
    nn_pool *pool = ctx->pool;
    clear_tape(pool);
    if (!pool->one && !nn_failed(ctx)) {
        void *one;
        if (ctx->be->alloc(ctx->be, sizeof *pool->one, &one, &ctx->err) == ME_OK) {
            pool->one = one;
            ctx->be->upload(ctx->be, one, &(float){1}, sizeof *pool->one);
        }
    }
    return ctx->tape = &pool->tape;
}

const float *nn_device_one(const nn_ctx *ctx)
{
    return ctx->pool->one;
}

/* ---- failure --------------------------------------------------------------------------------- */

nn_tensor *nn_poison(nn_ctx *ctx)
{
    return &ctx->pool->poison;
}

nn_tensor *nn_op_fail(nn_ctx *ctx, const char *op, const char *fmt, ...)
{
    if (!nn_failed(ctx)) {
        va_list args;
        va_start(args, fmt);
        me_vfail(&ctx->err, ME_EBUG, fmt, args);
        va_end(args);
        me_err_prefix(&ctx->err, "%s", op);
    }
    return nn_poison(ctx);
}

void nn_fail_mem(nn_ctx *ctx, const char *what)
{
    me_fail_mem(&ctx->err, what);
}

const char *nn_dtype_text(nn_dtype dtype)
{
    static const char *const text[] = {"f32", "bf16", "i32"};
    return text[dtype];
}

nn_shape_text nn_shape(const nn_tensor *t)
{
    nn_shape_text out;
    if (!t) {
        snprintf(out.s, sizeof out.s, "nothing");
        return out;
    }
    int n = snprintf(out.s, sizeof out.s, "(");
    for (int i = 0; i < t->ndim; i++) {
        n += snprintf(out.s + n, sizeof out.s - (size_t)n, "%s%lld", i ? "," : "",
                      (long long)t->shape[i]);
    }
    snprintf(out.s + n, sizeof out.s - (size_t)n, ") %s", nn_dtype_text(t->dtype));
    return out;
}

/* ---- pool ------------------------------------------------------------------------------------ */

/* Makes room for a block right after the current one; the later ones are all free. */
static bool pool_insert(nn_ctx *ctx, size_t at, size_t size)
{
    nn_pool *pool = ctx->pool;
    if (pool->n == pool->capacity) {
        size_t capacity = pool->capacity ? pool->capacity * 2 : 8;
        pool_block *blocks = realloc(pool->blocks, capacity * sizeof *blocks);
        if (!blocks) {
            nn_fail_mem(ctx, "the list of activation blocks");
            return false;
        }
        pool->blocks = blocks;
        pool->capacity = capacity;
    }
    void *data;
    if (ctx->be->alloc(ctx->be, size, &data, &ctx->err) != ME_OK) return false;
    memmove(pool->blocks + at + 1, pool->blocks + at, (pool->n - at) * sizeof *pool->blocks);
    pool->blocks[at] = (pool_block){data, size};
    pool->n++;
    return true;
}

void *nn_pool_alloc(nn_ctx *ctx, int64_t n, size_t size)
{
    nn_pool *pool = ctx->pool;
    size_t bytes;
    if (nn_failed(ctx)) return NULL;
    if (n < 0 || !me_mul_size((size_t)n, size, &bytes) || bytes > SIZE_MAX / 2) {
        nn_fail_mem(ctx, "activations");
        return NULL;
    }
    bytes = bytes ? (bytes + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN : POOL_ALIGN;
    if (!pool->n || pool->blocks[pool->current].size - pool->used < bytes) {
        size_t at = pool->n ? pool->current + 1 : 0;
        if (at >= pool->n || pool->blocks[at].size < bytes) {
            size_t last = pool->n ? pool->blocks[pool->n - 1].size : POOL_FIRST / 2;
            size_t want = last < POOL_LARGEST ? last * 2 : POOL_LARGEST;
            if (!pool_insert(ctx, at, bytes > want ? bytes : want)) return NULL;
        }
        pool->current = at;
        pool->used = 0;
    }
    void *p = (char *)pool->blocks[pool->current].data + pool->used;
    pool->used += bytes;
    return p;
}

void *nn_host_alloc(nn_ctx *ctx, int64_t n, size_t size)
{
    void *p = nn_failed(ctx) ? NULL : me_arena_alloc(&ctx->pool->host, (size_t)n, size);
    if (!p) nn_fail_mem(ctx, "a step's records");
    return p;
}

/* ---- tensors --------------------------------------------------------------------------------- */

nn_tensor *nn_new(nn_ctx *ctx, nn_dtype dtype, int ndim, const int64_t *shape)
{
    assert(ndim >= 1 && ndim <= NN_MAX_DIMS);
    nn_tensor *t = nn_host_alloc(ctx, 1, sizeof *t);
    if (!t) return nn_poison(ctx);
    t->dtype = dtype;
    t->ndim = ndim;
    size_t n = 1;
    for (int i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        if (shape[i] < 0 || !me_mul_size(n, (size_t)shape[i], &n) || n > INT64_MAX / 8)
            return nn_op_fail(ctx, "nn_new", "a tensor of impossible size %s", nn_shape(t).s);
    }
    t->data = nn_pool_alloc(ctx, (int64_t)n, nn_dtype_size(dtype));
    return t->data ? t : nn_poison(ctx);
}

nn_tensor *nn_new2(nn_ctx *ctx, nn_dtype dtype, int64_t rows, int64_t columns)
{
    return nn_new(ctx, dtype, 2, (const int64_t[]){rows, columns});
}

nn_tensor *nn_like(nn_ctx *ctx, const nn_tensor *t)
{
    return nn_new(ctx, t->dtype, t->ndim, t->shape);
}

nn_tensor *nn_zeros2(nn_ctx *ctx, nn_dtype dtype, int64_t rows, int64_t columns)
{
    nn_tensor *t = nn_new2(ctx, dtype, rows, columns);
    if (!nn_failed(ctx))
        ctx->be->zero(ctx->be, t->data, (size_t)nn_count(t) * nn_dtype_size(dtype));
    return t;
}

nn_tensor *nn_from_host(nn_ctx *ctx, const float *host, int64_t rows, int64_t columns)
{
    nn_tensor *t = nn_new2(ctx, NN_F32, rows, columns);
    if (!nn_failed(ctx))
        ctx->be->upload(ctx->be, t->data, host, (size_t)nn_count(t) * sizeof *host);
    return t;
}

me_code nn_to_host(nn_ctx *ctx, const nn_tensor *x, float *host, me_err *err)
{
    if (nn_failed(ctx)) return nn_status(ctx, err);
    assert(x->dtype != NN_I32);
    const void *src = x->data;
    if (x->dtype == NN_BF16) {
        float *wide = nn_pool_alloc(ctx, nn_count(x), sizeof *wide);
        if (!wide) return nn_status(ctx, err);
        ctx->be->to_f32(ctx->be, wide, x->data, nn_count(x));
        src = wide;
    }
    ctx->be->download(ctx->be, host, src, (size_t)nn_count(x) * sizeof *host);
    return ctx->be->status(ctx->be, err);
}

nn_dtype nn_activation_dtype(const nn_ctx *ctx)
{
    return ctx->precision == NN_BF16_MIXED ? NN_BF16 : NN_F32;
}

/* ---- index lists and packings ---------------------------------------------------------------- */

static int32_t *upload_i32(nn_ctx *ctx, const int32_t *host, int64_t n)
{
    int32_t *device = nn_pool_alloc(ctx, n, sizeof *device);
    if (device) ctx->be->upload(ctx->be, device, host, (size_t)n * sizeof *host);
    return device;
}

nn_index *nn_index_new(nn_ctx *ctx, const int32_t *host, int64_t n, int64_t sources)
{
    nn_index *index = nn_host_alloc(ctx, 1, sizeof *index);
    int32_t *copy = nn_host_alloc(ctx, n, sizeof *copy);
    if (!index || !copy) return NULL;
    for (int64_t i = 0; i < n; i++) {
        if (host[i] < 0 || host[i] >= sources) {
            nn_op_fail(ctx, "nn_index_new", "place %lld points at row %d of %lld", (long long)i,
                       host[i], (long long)sources);
            return NULL;
        }
        copy[i] = host[i];
    }
    *index = (nn_index){.n = n, .host = copy, .sources = sources};
    index->device = upload_i32(ctx, copy, n);
    return index->device ? index : NULL;
}

/* A counting sort: the places of each source in ascending order. */
bool nn_index_invert(nn_ctx *ctx, nn_index *index)
{
    if (index->inverse_start) return true;
    /* One upload: the starts, of which the counting needs one more for a moment, then the items. */
    int32_t *start = nn_host_alloc(ctx, index->sources + 2 + index->n, sizeof *start);
    int32_t *items = start + index->sources + 2;
    if (!start) return false;
    for (int64_t i = 0; i < index->n; i++) start[index->host[i] + 2]++;
    for (int64_t s = 2; s <= index->sources + 1; s++) start[s] += start[s - 1];
    for (int64_t i = 0; i < index->n; i++) items[start[index->host[i] + 1]++] = (int32_t)i;
    index->inverse_start = upload_i32(ctx, start, index->sources + 2 + index->n);
    index->inverse_items = index->inverse_start + index->sources + 2;
    return !nn_failed(ctx);
}

nn_packing *nn_packing_new(nn_ctx *ctx, const int32_t *lengths, int64_t n)
{
    int64_t tokens = 0, longest = 0;
    for (int64_t i = 0; i < n; i++) {
        tokens += lengths[i];
        if (lengths[i] < 0 || tokens > INT32_MAX) {
            nn_op_fail(ctx, "nn_packing_new", "sequence %lld has %d rows, %lld rows in all",
                       (long long)i, lengths[i], (long long)tokens);
            return NULL;
        }
        if (lengths[i] > longest) longest = lengths[i];
    }
    nn_packing *p = nn_host_alloc(ctx, 1, sizeof *p);
    int32_t *offsets = nn_host_alloc(ctx, n + 1 + tokens, sizeof *offsets); /* for one upload */
    if (!p || !offsets) return NULL;
    int32_t *segment = offsets + n + 1;
    for (int64_t i = 0; i < n; i++) {
        offsets[i + 1] = offsets[i] + lengths[i];
        for (int32_t t = offsets[i]; t < offsets[i + 1]; t++) segment[t] = (int32_t)i;
    }
    *p = (nn_packing){.n = n, .tokens = tokens, .longest = longest, .offsets = offsets};
    p->offsets_device = upload_i32(ctx, offsets, n + 1 + tokens);
    p->segment_device = p->offsets_device ? p->offsets_device + n + 1 : NULL;
    return nn_failed(ctx) ? NULL : p;
}
