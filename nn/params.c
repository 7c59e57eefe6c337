/* nn/params.c: the flat block of parameters, its table, and the optimiser's step over it. */
#include "nn/params.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/nn_priv.h"

#define GAP 64 /* floats: offsets are multiples, so that each tensor starts a cache line */

void nn_params_init(nn_params *p)
{
    memset(p, 0, sizeof *p);
}

void nn_params_close(nn_params *p)
{
    void *blocks[] = {p->data, p->grad, p->moment1, p->moment2, p->ema, p->shadow, p->scalars};
    for (size_t i = 0; p->be && i < sizeof blocks / sizeof blocks[0]; i++) {
        if (blocks[i]) p->be->release(p->be, blocks[i]);
    }
    free(p->items);
    free(p->slots);
    me_arena_release(&p->arena);
    nn_params_init(p);
}

/* ---- table -------------------------------------------------------------------------------------
 */

/* Where an item of this name is noted, or would be. A step of training looks hundreds of names up.
 */
static int32_t *slot_of(const nn_params *p, const char *name)
{
    const uint64_t mask = 2 * (uint64_t)p->capacity - 1;
    for (uint64_t i = me_hash64(name, strlen(name), 0);; i++) {
        int32_t *slot = &p->slots[i & mask];
        if (*slot < 0 || !strcmp(p->items[*slot].name, name)) return slot;
    }
}

static me_code grow(nn_params *p, me_err *err)
{
    const int64_t capacity = p->capacity ? p->capacity * 2 : 64; /* a power of two */
    nn_param *items = realloc(p->items, (size_t)capacity * sizeof *items);
    if (items) p->items = items;
    int32_t *slots = items ? malloc(2 * (size_t)capacity * sizeof *slots) : NULL;
    if (!slots) return me_fail_mem(err, "the table of parameters");
    free(p->slots);
    p->slots = slots;
    p->capacity = capacity;
    for (int64_t i = 0; i < 2 * capacity; i++) slots[i] = -1;
    for (int64_t i = 0; i < p->n; i++) *slot_of(p, p->items[i].name) = (int32_t)i;
    return ME_OK;
}

me_code nn_params_add(nn_params *p, const char *name, int ndim, const int64_t *shape, me_err *err)
{
    assert(!p->data && ndim >= 0 && ndim <= NN_MAX_DIMS);
    if (nn_params_find(p, name))
        return me_fail(err, ME_EBUG, "parameter '%s' is declared twice", name);
    if (p->n == p->capacity) {
        me_code code = grow(p, err);
        if (code != ME_OK) return code;
    }
    nn_param *item = &p->items[p->n];
    memset(item, 0, sizeof *item);
    item->name = me_arena_strdup(&p->arena, name);
    item->ndim = ndim;
    item->offset = p->size;
    if (!item->name) return me_fail_mem(err, "the table of parameters");
    size_t count = 1;
    for (int i = 0; i < ndim; i++) {
        item->shape[i] = shape[i];
        if (shape[i] < 0 || !me_mul_size(count, (size_t)shape[i], &count) || count > INT64_MAX / 64)
            return me_fail(err, ME_EDATA, "parameter '%s' has an impossible size", name);
    }
    p->size += ((int64_t)count + GAP - 1) / GAP * GAP;
    *slot_of(p, name) = (int32_t)p->n++;
    return ME_OK;
}

nn_param *nn_params_find(nn_params *p, const char *name)
{
    if (!p->slots) return NULL;
    const int32_t at = *slot_of(p, name);
    return at < 0 ? NULL : &p->items[at];
}

/* A tensor over a block; a scalar parameter becomes one of one element. */
static nn_tensor over(const nn_param *item, nn_dtype dtype, void *block)
{
    nn_tensor t = {.dtype = dtype, .ndim = item->ndim ? item->ndim : 1};
    t.shape[0] = 1;
    for (int i = 0; i < item->ndim; i++) t.shape[i] = item->shape[i];
    t.data = (char *)block + (size_t)item->offset * nn_dtype_size(dtype);
    return t;
}

static me_code block_new(nn_params *p, size_t each, void *out, me_err *err)
{
    void *block;
    size_t bytes = (size_t)(p->size ? p->size : GAP) * each;
    if (p->be->alloc(p->be, bytes, &block, err) != ME_OK) return err ? err->code : ME_EMEM;
    p->be->zero(p->be, block, bytes);
    memcpy(out, &block, sizeof block);
    return ME_OK;
}

me_code nn_params_alloc(nn_params *p, nn_backend *be, me_err *err)
{
    assert(!p->data);
    p->be = be;
    if (block_new(p, sizeof(float), &p->data, err) != ME_OK) return ME_EMEM;
    for (int64_t i = 0; i < p->n; i++) p->items[i].tensor = over(&p->items[i], NN_F32, p->data);
    return ME_OK;
}

/* Gradients, seen from a parameter and from its shadow. */
static void attach(nn_params *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        nn_param *item = &p->items[i];
        if (p->shadow) item->bf16 = over(item, NN_BF16, p->shadow);
        if (!p->grad) continue;
        item->grad = over(item, NN_F32, p->grad);
        item->tensor.grad = item->bf16.grad = &item->grad;
        item->tensor.needs_grad = item->bf16.needs_grad = true;
        item->tensor.parameter = item->bf16.parameter = true;
    }
}

me_code nn_params_train(nn_params *p, bool ema, me_err *err)
{
    assert(p->data && !p->grad);
    if (block_new(p, sizeof(float), &p->grad, err) != ME_OK ||
        block_new(p, sizeof(float), &p->moment1, err) != ME_OK ||
        block_new(p, sizeof(float), &p->moment2, err) != ME_OK ||
        (ema && block_new(p, sizeof(float), &p->ema, err) != ME_OK))
        return ME_EMEM;
    void *scalars;
    if (p->be->alloc(p->be, 2 * sizeof(float), &scalars, err) != ME_OK) return ME_EMEM;
    p->scalars = scalars;
    if (ema) p->be->copy(p->be, p->ema, p->data, (size_t)p->size * sizeof(float));
    attach(p);
    return ME_OK;
}

me_code nn_params_shadow(nn_params *p, me_err *err)
{
    assert(p->data);
    if (!p->shadow && block_new(p, sizeof(uint16_t), &p->shadow, err) != ME_OK) return ME_EMEM;
    p->be->to_bf16(p->be, p->shadow, p->data, p->size);
    attach(p);
    return ME_OK;
}

void nn_params_zero_grad(nn_params *p)
{
    if (p->grad) p->be->zero(p->be, p->grad, (size_t)p->size * sizeof(float));
}

/* ---- for operations ----------------------------------------------------------------------------
 */

static nn_param *get(nn_ctx *ctx, nn_params *p, const char *name)
{
    if (nn_failed(ctx)) return NULL;
    nn_param *item = nn_params_find(p, name);
    if (!item) {
        nn_op_fail(ctx, "model", "there is no parameter '%s'", name);
    } else if (ctx->tape && item->tensor.needs_grad && !nn_use_alone(ctx, &item->use)) {
        nn_op_fail(ctx, "model", "'%s' learns in two parts that are beside each other", name);
        return NULL;
    }
    return item;
}

nn_tensor *nn_param_f32(nn_ctx *ctx, nn_params *p, const char *name)
{
    nn_param *item = get(ctx, p, name);
    return item ? &item->tensor : nn_poison(ctx);
}

nn_tensor *nn_param_get(nn_ctx *ctx, nn_params *p, const char *name)
{
    nn_param *item = get(ctx, p, name);
    if (!item) return nn_poison(ctx);
    if (nn_activation_dtype(ctx) == NN_F32) return &item->tensor;
    if (!p->shadow)
        return nn_op_fail(ctx, "model", "'%s' has no bf16 copy (nn_params_shadow)", name);
    return &item->bf16;
}

/* ---- values ------------------------------------------------------------------------------------
 */

static int64_t item_count(const nn_param *item)
{
    int64_t n = 1;
    for (int i = 0; i < item->ndim; i++) n *= item->shape[i];
    return n;
}

me_code nn_params_set(nn_params *p, const char *name, const float *host, int64_t count, me_err *err)
{
    nn_param *item = nn_params_find(p, name);
    if (!item) return me_fail(err, ME_EBUG, "there is no parameter '%s'", name);
    if (count != item_count(item)) {
        return me_fail(err, ME_EDATA, "parameter '%s' has %lld elements, got %lld", name,
                       (long long)item_count(item), (long long)count);
    }
    p->be->upload(p->be, item->tensor.data, host, (size_t)count * sizeof *host);
    return ME_OK;
}

me_code nn_params_read(nn_params *p, const char *name, float *host, me_err *err)
{
    nn_param *item = nn_params_find(p, name);
    if (!item) return me_fail(err, ME_EBUG, "there is no parameter '%s'", name);
    p->be->download(p->be, host, item->tensor.data, (size_t)item_count(item) * sizeof *host);
    return p->be->status(p->be, err);
}

/* ---- from a state dictionary -------------------------------------------------------------------
 */

static bool same_shape(const nn_param *item, const me_array *a)
{
    if (item->ndim != a->ndim) return false;
    for (int i = 0; i < a->ndim; i++) {
        if (item->shape[i] != a->shape[i]) return false;
    }
    return true;
}

/* What does not fit, gathered so that one message tells all that one line can hold. */
typedef struct misfits {
    char text[360];
    size_t used;
    int64_t n;
} misfits;

static void note(misfits *m, const char *fmt, ...) ME_PRINTF(2, 3);
static void note(misfits *m, const char *fmt, ...)
{
    char one[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(one, sizeof one, fmt, args);
    va_end(args);
    m->n++;
    size_t length = strlen(one);
    if (m->used + length + 3 > sizeof m->text) return;
    m->used += (size_t)snprintf(m->text + m->used, sizeof m->text - m->used, "%s%s",
                                m->used ? "; " : "", one);
}

static me_code load_one(nn_params *p, nn_param *item, const me_value *state, const char *prefix,
                        misfits *m, me_err *err)
{
    char key[256], found[96];
    snprintf(key, sizeof key, "%s%s", prefix, item->name);
    const me_value *v = me_dict_get(state, key);
    if (!v || v->kind != ME_ARRAY) {
        note(m, v ? "'%s' is no array" : "'%s' is missing", key);
        return ME_OK;
    }
    if (!same_shape(item, &v->as.array)) {
        nn_tensor want = over(item, NN_F32, p->data);
        note(m, "'%s': expected %s, found %s", key, nn_shape(&want).s,
             me_array_describe(&v->as.array, found, sizeof found));
        return ME_OK;
    }
    me_arena_mark mark = me_arena_get_mark(&p->arena);
    float *host = ME_NEW_ARRAY(&p->arena, item_count(item), float);
    me_code code = host ? me_array_read_f32(&v->as.array, host, err) : me_fail_mem(err, key);
    if (code == ME_OK) code = nn_params_set(p, item->name, host, item_count(item), err);
    me_arena_rewind(&p->arena, mark);
    return code;
}

/* Keys under the prefix that are no parameters of ours. */
static void note_rest(nn_params *p, const me_value *state, const char *prefix, misfits *m)
{
    size_t skip = strlen(prefix);
    for (size_t i = 0; i < state->as.dict.length; i++) {
        const me_value *key = state->as.dict.keys[i];
        if (key->kind != ME_STRING || strncmp(key->as.string.data, prefix, skip)) continue;
        if (!nn_params_find(p, key->as.string.data + skip))
            note(m, "'%s' is not of this model", key->as.string.data);
    }
}

me_code nn_params_load(nn_params *p, const me_value *state, const char *prefix, bool strict,
                       me_err *err)
{
    misfits m = {.used = 0};
    assert(p->data);
    if (!prefix) prefix = "";
    if (!state || state->kind != ME_DICT)
        return me_fail(err, ME_EDATA, "expected a dictionary of parameters");
    for (int64_t i = 0; i < p->n; i++) {
        me_code code = load_one(p, &p->items[i], state, prefix, &m, err);
        if (code != ME_OK) return code;
    }
    if (strict) note_rest(p, state, prefix, &m);
    if (m.n) {
        return me_fail(err, ME_EDATA, "%lld names do not fit this model of %lld parameters: %s",
                       (long long)m.n, (long long)p->n, m.text);
    }
    return p->shadow ? nn_params_shadow(p, err) : ME_OK;
}

/* ---- AdamW -------------------------------------------------------------------------------------
 */

nn_adamw_options nn_adamw_defaults(void)
{
    return (nn_adamw_options){
        .lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .weight_decay = 1e-2f};
}

me_code nn_adamw_step(nn_ctx *ctx, nn_params *p, const nn_adamw_options *o, float *grad_norm,
                      me_err *err)
{
    assert(p->grad);
    if (nn_failed(ctx)) return nn_status(ctx, err);
    nn_backend *be = p->be;
    float *norm = p->scalars, *scale = p->scalars + 1;
    bool clip = o->max_grad_norm > 0;
    if (clip || grad_norm) be->norm(be, norm, p->grad, p->size);
    if (clip) be->clip_scale(be, scale, norm, o->max_grad_norm);
    p->step++;
    be->adamw(be, &(nn_adamw_args){.n = p->size,
                                   .param = p->data,
                                   .m = p->moment1,
                                   .v = p->moment2,
                                   .grad = p->grad,
                                   .lr = o->lr,
                                   .beta1 = o->beta1,
                                   .beta2 = o->beta2,
                                   .eps = o->eps,
                                   .weight_decay = o->weight_decay,
                                   .bias1 = 1 - pow(o->beta1, (double)p->step),
                                   .bias2 = 1 - pow(o->beta2, (double)p->step),
                                   .grad_scale = clip ? scale : NULL,
                                   .bf16_shadow = p->shadow,
                                   .ema = o->ema_decay > 0 ? p->ema : NULL,
                                   .ema_decay = o->ema_decay,
                                   .state = ctx->state});
    if (!grad_norm) return ME_OK;
    be->download(be, grad_norm, norm, sizeof *norm);
    return be->status(be, err);
}
