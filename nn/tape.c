/* nn/tape.c: the tape of recorded operations, the walk back over it, and gradients.
 *
 * A record holds its output, so a walk can skip what the loss does not depend on and give the
 * gradient of an output back as soon as the operation that made it has been passed: at most a few
 * gradients of activations exist at a time.
 */
#include "nn/tape_priv.h"

static void record(nn_ctx *ctx, nn_tensor *y, nn_backward_fn fn, void *saved)
{
    tape_entry *e = nn_host_alloc(ctx, 1, sizeof *e);
    if (!e) return;
    *e = (tape_entry){ctx->tape->last, y, fn, saved};
    ctx->tape->last = e;
}

void nn_record(nn_ctx *ctx, nn_tensor *y, nn_backward_fn fn, void *saved)
{
    record(ctx, y, fn, saved);
    y->needs_grad = true;
}

/* ---- memory of gradients -----------------------------------------------------------------------
 */

/* So many gradients of a size may lie behind weights' products before the walk waits for these. */
#define MOST_BEHIND 4

static size_t grad_bytes(const nn_tensor *t)
{
    return (size_t)nn_count(t) * nn_dtype_size(t->dtype);
}

static void *take_spare(nn_tape *tape, size_t bytes)
{
    for (tape_spare **at = &tape->spare[tape->lane]; *at; at = &(*at)->next) {
        tape_spare *s = *at;
        if (s->bytes != bytes) continue;
        *at = s->next;
        s->next = tape->empty;
        tape->empty = s;
        return s->data;
    }
    return NULL;
}

static void give_spare(nn_ctx *ctx, nn_tensor *g)
{
    nn_tape *tape = ctx->tape;
    tape_spare *s = tape->empty;
    if (s) tape->empty = s->next;
    if (!s) s = nn_host_alloc(ctx, 1, sizeof *s);
    if (!s) return;
    int lane = tape->aside && tape->lane == 0 ? TAPE_WEIGHTS : tape->lane;
    *s = (tape_spare){tape->spare[lane], g->data, grad_bytes(g)};
    tape->spare[lane] = s;
}

/* The lane that the walk is on sees what `lane` has done, and may take what that has given back. */
static void join(nn_ctx *ctx, int lane)
{
    nn_tape *tape = ctx->tape;
    ctx->be->lane_join(ctx->be, lane);
    while (tape->spare[lane]) {
        tape_spare *s = tape->spare[lane];
        tape->spare[lane] = s->next;
        s->next = tape->spare[tape->lane];
        tape->spare[tape->lane] = s;
    }
}

/* ---- weights -----------------------------------------------------------------------------------
 *
 * The gradient of a weight is needed by nothing else of the walk. So it is made on a lane of its
 * own, where it fills what the walk's kernels leave of a GPU. What it reads must stay until that
 * lane is joined.
 */

static void join_weights(nn_ctx *ctx)
{
    nn_tape *tape = ctx->tape;
    if (!tape->aside) return;
    join(ctx, TAPE_WEIGHTS);
    tape->aside = false;
    tape->group++;
}

bool nn_aside(nn_ctx *ctx, const nn_linear_parts *s, void *dy, nn_tensor *db)
{
    nn_tape *tape = ctx->tape;
    const nn_tensor *w = s->w;
    if (tape->lane != 0 || !w->parameter || !w->grad || (db && !s->b->parameter)) return false;
    ctx->be->lane_begin(ctx->be, TAPE_WEIGHTS);
    ctx->be->lane_take(ctx->be, TAPE_WEIGHTS);
    nn_weight_gradients(ctx, s, dy, db);
    ctx->be->lane_take(ctx->be, 0);
    tape->aside = true;
    if (db) db->group = tape->group;
    return true;
}

/* Before something else adds to the gradient of a parameter: one after the other. A vector's
 * gradient says whether it is under way; a matrix may be known by views of it, so any waits. */
static void wait_for_products(nn_ctx *ctx, const nn_tensor *t)
{
    const nn_tape *tape = ctx->tape;
    if (!t->parameter || !tape->aside || tape->lane != 0) return;
    if (t->ndim > 1 || (t->grad && t->grad->group == tape->group)) join_weights(ctx);
}

/* ---- gradients ---------------------------------------------------------------------------------
 */

static bool many_behind(const nn_tape *tape, size_t bytes)
{
    int n = 0;
    for (const tape_spare *s = tape->spare[TAPE_WEIGHTS]; s; s = s->next) n += s->bytes == bytes;
    return n >= MOST_BEHIND;
}

static nn_tensor *grad_new(nn_ctx *ctx, const nn_tensor *like)
{
    nn_tensor *g = nn_host_alloc(ctx, 1, sizeof *g);
    if (!g) return nn_poison(ctx);
    *g = (nn_tensor){.dtype = like->dtype, .ndim = like->ndim};
    memcpy(g->shape, like->shape, sizeof g->shape);
    nn_tape *tape = ctx->tape;
    const size_t bytes = grad_bytes(g);
    g->data = take_spare(tape, bytes);
    if (!g->data && tape->lane == 0 && many_behind(tape, bytes)) {
        join_weights(ctx);
        g->data = take_spare(tape, bytes);
    }
    if (!g->data) g->data = nn_pool_alloc(ctx, nn_count(g), nn_dtype_size(g->dtype));
    return g->data ? g : nn_poison(ctx);
}

nn_tensor *nn_grad_sum(nn_ctx *ctx, nn_tensor *t)
{
    wait_for_products(ctx, t);
    if (!t->grad) {
        nn_tensor *g = grad_new(ctx, t);
        if (nn_failed(ctx)) return g;
        ctx->be->zero(ctx->be, g->data, grad_bytes(g));
        t->grad = g;
    }
    return t->grad;
}

nn_tensor *nn_grad_begin(nn_ctx *ctx, nn_tensor *t)
{
    return grad_new(ctx, t);
}

static void add_into(nn_ctx *ctx, nn_tensor *sum, const nn_tensor *g)
{
    nn_backend *be = ctx->be;
    const void *more = g->data;
    if (g->dtype != sum->dtype) { /* a parameter's bf16 shadow: its gradient is f32 */
        float *wide = nn_pool_alloc(ctx, nn_count(g), sizeof *wide);
        if (!wide) return;
        be->to_f32(be, wide, g->data, nn_count(g));
        more = wide;
    }
    be->axpby(be, &(nn_map_args){.n = nn_count(sum),
                                 .dtype = sum->dtype,
                                 .a = sum->data,
                                 .b = more,
                                 .y = sum->data,
                                 .alpha = 1,
                                 .beta = 1});
}

void nn_grad_end(nn_ctx *ctx, nn_tensor *t, nn_tensor *g)
{
    if (nn_failed(ctx)) return;
    wait_for_products(ctx, t);
    if (!t->grad) {
        t->grad = g;
    } else {
        add_into(ctx, t->grad, g);
        give_spare(ctx, g);
    }
}

void nn_grad_drop(nn_ctx *ctx, nn_tensor *g)
{
    if (!nn_failed(ctx)) give_spare(ctx, g);
}

void nn_grad_pass(nn_ctx *ctx, nn_tensor *t, nn_tensor *y)
{
    nn_tensor *g = y->grad;
    if (nn_failed(ctx)) return;
    y->grad = NULL;
    nn_grad_end(ctx, t, g);
}

/* ---- parts -------------------------------------------------------------------------------------
 *
 * The way back goes through a pass from its end: what joined the parts splits them there.
 */

typedef struct tape_part {
    int before, lane; /* of the first part; of the second */
} tape_part;

static void go_to(nn_ctx *ctx, int lane)
{
    ctx->tape->lane = lane;
    ctx->be->lane_take(ctx->be, lane);
}

static void back_to_second(nn_ctx *ctx, void *saved)
{
    const tape_part *p = saved;
    ctx->be->lane_begin(ctx->be, p->lane);
    go_to(ctx, p->lane);
}

static void back_to_first(nn_ctx *ctx, void *saved)
{
    const tape_part *p = saved;
    go_to(ctx, p->before);
}

static void back_together(nn_ctx *ctx, void *saved)
{
    const tape_part *p = saved;
    join(ctx, p->lane);
}

static void record_part(nn_ctx *ctx, int before, int lane, nn_backward_fn fn)
{
    if (!ctx->tape || nn_failed(ctx)) return;
    tape_part *p = nn_host_alloc(ctx, 1, sizeof *p);
    if (!p) return;
    *p = (tape_part){before, lane};
    record(ctx, NULL, fn, p);
}

void nn_split(nn_ctx *ctx)
{
    assert(ctx->parts < NN_PARTS);
    int before = ctx->before[ctx->parts++] = ctx->lane;
    if (ctx->tape) ctx->tape->begun[ctx->parts] = ++ctx->tape->turn;
    ctx->be->lane_begin(ctx->be, ctx->parts);
    record_part(ctx, before, ctx->parts, back_together);
}

void nn_beside(nn_ctx *ctx)
{
    assert(ctx->parts > 0);
    ctx->lane = ctx->parts;
    ctx->be->lane_take(ctx->be, ctx->lane);
    record_part(ctx, ctx->before[ctx->parts - 1], ctx->lane, back_to_first);
}

void nn_join(nn_ctx *ctx)
{
    assert(ctx->parts > 0);
    int lane = ctx->parts--;
    ctx->lane = ctx->before[ctx->parts];
    if (ctx->tape) {
        ctx->tape->joined[lane] = ++ctx->tape->turn;
        ctx->tape->joined_with[lane] = ctx->lane;
    }
    ctx->be->lane_take(ctx->be, ctx->lane);
    ctx->be->lane_join(ctx->be, lane);
    record_part(ctx, ctx->lane, lane, back_to_second);
}

bool nn_use_alone(nn_ctx *ctx, nn_last_use *last)
{
    const nn_tape *t = ctx->tape;
    int from = last->lane, to = ctx->lane;
    unsigned turn = last->turn;
    bool beside = false;
    /* A lane sees what the one that it began from saw then; what came later, once the lane of that
     * has been joined with one that it sees. */
    while (last->tape == t && last->pass == t->group && from != to && !beside) {
        if (turn < t->begun[to]) {
            to = ctx->before[to - 1]; /* lane 0 has begun at turn 0 */
            continue;
        }
        beside = turn >= t->joined[from];
        turn = t->joined[from];
        from = t->joined_with[from];
    }
    *last = (nn_last_use){t, t->group, t->turn, ctx->lane};
    return !beside;
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

void nn_backward_walk(nn_ctx *ctx)
{
    for (tape_entry *e = ctx->tape->last; e && !nn_failed(ctx); e = e->before) {
        if (e->y && !e->y->grad) continue;
        e->run(ctx, e->saved);
        if (!e->y) continue;
        if (e->y->grad) give_spare(ctx, e->y->grad);
        e->y->grad = NULL;
    }
    /* The walk may have ended within a part, after a failure. */
    go_to(ctx, 0);
    for (int lane = 1; lane < NN_LANES && nn_failed(ctx); lane++) join(ctx, lane);
    join_weights(ctx);
    ctx->tape->last = NULL;
}

void nn_backward(nn_ctx *ctx, nn_tensor *loss)
{
    if (nn_failed(ctx)) return;
    if (!ctx->tape) {
        nn_op_fail(ctx, "nn_backward", "no tape was recording");
        return;
    }
    if (!nn_is(loss, 1, 1) || loss->dtype != NN_F32 || !loss->needs_grad) {
        nn_op_fail(ctx, "nn_backward",
                   "wants a (1,1) f32 loss that depends on a parameter, got %s%s", nn_shape(loss).s,
                   loss->needs_grad ? "" : " that depends on none");
        return;
    }
    loss->grad = grad_new(ctx, loss);
    if (nn_failed(ctx)) return;
    ctx->be->copy(ctx->be, loss->grad->data, nn_device_one(ctx), sizeof(float));
    nn_backward_walk(ctx);
}
