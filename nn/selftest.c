/* nn/selftest.c: runs the rows of selftest_ops.c, selftest_sequences.c and selftest_losses.c, and
 * the products of selftest_ranges.c, or that bytes were moved (selftest_moves.c). */
#include "nn/selftest.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "core/version.h"
#include "nn/selftest_priv.h"

#define POISON_BYTES ((int64_t)2 << 20)

typedef struct suite {
    const nn_selftest_options *o;
    nn_backend *device,
        *cpu;          /* the one under test; the cpu one (the same, where that is under test) */
    nn_backend *other; /* the cpu one with another number of threads */
    bool tf32;         /* the device may round f32 products' operands */
    me_arena arena;    /* of one case */
    int passed, failed;
    me_err *err;
} suite;

static void say(const suite *s, const char *fmt, ...) ME_PRINTF(2, 3);
static void say(const suite *s, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (s->o->line) s->o->line(s->o->arg, text);
}

/* ---- work: inputs of a case --------------------------------------------------------------------
 */

static double round_bf16(double x)
{
    float f = (float)x;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits = (bits + 0x7fffu + ((bits >> 16) & 1)) & 0xffff0000u;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* A normal deviate that is exact in the type and not 0. */
static double deviate(me_rng *g, bool bf16)
{
    double x = 0;
    while (x == 0) x = (float)me_rng_normal(g);
    return bf16 ? round_bf16(x) : x;
}

static double *deviates(suite *s, int64_t n, uint64_t site, bool bf16)
{
    me_rng g = me_rng_make(20240301, site);
    double *x = ME_NEW_ARRAY(&s->arena, n, double);
    for (int64_t i = 0; x && i < n; i++) x[i] = deviate(&g, bf16);
    return x;
}

static bool prepare(suite *s, const self_case *c, nn_dtype dtype, self_work *w)
{
    memset(w, 0, sizeof *w);
    w->c = c;
    w->op = nn_self_find(c->op);
    assert(w->op);
    if (!w->op->shape(w, &s->arena)) return false;
    for (int i = 0; i < w->inputs; i++) {
        self_input *in = &w->in[i];
        if (!in->rows) continue;
        in->values = deviates(s, in->rows * in->columns, (uint64_t)i, dtype == NN_BF16 && !in->f32);
        if (!in->values) return false;
    }
    return true;
}

static void values_of(const self_work *w, double **in)
{
    for (int i = 0; i < SELF_INPUTS; i++) in[i] = i < w->inputs ? w->in[i].values : NULL;
}

static int64_t out_count(const self_work *w)
{
    return w->out_rows * w->out_columns;
}

/* ---- running on a back end ---------------------------------------------------------------------
 */

/* Memory that operations are about to get is NaN, in every type. */
static void poison(nn_ctx *ctx)
{
    nn_mark_state mark = nn_mark(ctx);
    void *host = malloc((size_t)POISON_BYTES), *device = nn_pool_alloc(ctx, POISON_BYTES, 1);
    if (host && device) {
        memset(host, 0xff, (size_t)POISON_BYTES);
        ctx->be->upload(ctx->be, device, host, (size_t)POISON_BYTES);
    }
    free(host);
    nn_rewind(ctx, mark);
}

static nn_tensor *upload(nn_ctx *ctx, const double *values, int64_t rows, int64_t columns,
                         nn_dtype dtype)
{
    float *host = nn_host_alloc(ctx, rows * columns, sizeof *host);
    if (!host) return nn_poison(ctx);
    for (int64_t i = 0; i < rows * columns; i++) host[i] = (float)values[i];
    return nn_cast(ctx, nn_from_host(ctx, host, rows, columns), dtype);
}

static void upload_inputs(nn_ctx *ctx, const self_work *w, nn_dtype dtype, nn_tensor **in)
{
    for (int i = 0; i < SELF_INPUTS; i++) {
        const self_input *from = &w->in[i];
        in[i] = NULL;
        if (i >= w->inputs || !from->values) continue;
        in[i] = upload(ctx, from->values, from->rows, from->columns, from->f32 ? NN_F32 : dtype);
    }
}

static nn_precision precision_of(const suite *s, const nn_backend *be, nn_dtype dtype)
{
    nn_precision f32 = s->tf32 && be == s->device ? NN_TF32 : NN_FP32;
    return dtype == NN_BF16 ? NN_BF16_MIXED : f32;
}

static float *run_forward(suite *s, nn_backend *be, const self_work *w, nn_dtype dtype, me_err *err)
{
    nn_ctx ctx;
    nn_tensor *in[SELF_INPUTS];
    float *out = ME_NEW_ARRAY(&s->arena, out_count(w), float);
    if (!out) me_fail_mem(err, "a result");
    if (!out || nn_ctx_open(&ctx, be, precision_of(s, be, dtype), err) != ME_OK) return NULL;
    poison(&ctx);
    upload_inputs(&ctx, w, dtype, in);
    nn_tensor *y = w->op->run(&ctx, w, in);
    if (!nn_failed(&ctx) && !nn_is(y, w->out_rows, w->out_columns))
        nn_op_fail(&ctx, w->op->name, "result is %s", nn_shape(y).s);
    me_code code = nn_to_host(&ctx, y, out, err);
    nn_ctx_close(&ctx);
    return code == ME_OK ? out : NULL;
}

/* Gradients of sum(out * upstream) with respect to every input that has one. */
static bool run_backward(suite *s, nn_backend *be, const self_work *w, nn_dtype dtype,
                         const double *upstream, float **grads, me_err *err)
{
    nn_ctx ctx;
    nn_tensor *in[SELF_INPUTS];
    if (nn_ctx_open(&ctx, be, precision_of(s, be, dtype), err) != ME_OK) return false;
    poison(&ctx);
    upload_inputs(&ctx, w, dtype, in);
    for (int i = 0; i < w->inputs; i++) {
        if (!in[i]) continue;
        in[i]->needs_grad = !w->in[i].constant;
        in[i]->parameter = w->in[i].weight;
        if (in[i]->parameter)
            in[i]->grad = nn_zeros2(&ctx, NN_F32, w->in[i].rows, w->in[i].columns);
    }
    nn_tape_new(&ctx);
    nn_tensor *y = w->op->run(&ctx, w, in);
    if (!nn_failed(&ctx)) {
        y->grad = upload(&ctx, upstream, w->out_rows, w->out_columns, y->dtype);
        nn_backward_walk(&ctx);
    }
    me_code code = nn_status(&ctx, err);
    for (int i = 0; code == ME_OK && i < w->inputs; i++) {
        grads[i] = NULL;
        if (!in[i] || w->in[i].constant) continue;
        grads[i] = ME_NEW_ARRAY(&s->arena, w->in[i].rows * w->in[i].columns, float);
        if (!in[i]->grad)
            code = me_fail(err, ME_ECHECK, "input %d got no gradient", i);
        else if (!grads[i])
            code = me_fail_mem(err, "gradients");
        else
            code = nn_to_host(&ctx, in[i]->grad, grads[i], err);
    }
    nn_ctx_close(&ctx);
    return code == ME_OK;
}

/* ---- judging -----------------------------------------------------------------------------------
 */

static double relative_error(const float *out, const double *reference, int64_t n)
{
    double apart = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(out[i])) return INFINITY;
        apart += (out[i] - reference[i]) * (out[i] - reference[i]);
        size += reference[i] * reference[i];
    }
    return size > 0 ? sqrt(apart / size) : sqrt(apart);
}

static double relative_difference(const float *a, const float *b, int64_t n)
{
    double apart = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) return INFINITY;
        apart += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return size > 0 ? sqrt(apart / size) : sqrt(apart);
}

/* Same bits, except that the two zeros are one. */
static bool same_bits(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], sizeof *a) && !(a[i] == 0 && b[i] == 0)) return false;
    }
    return true;
}

typedef struct verdict {
    double error; /* worst against double */
    char why[300];
} verdict;

static void blame(verdict *v, const char *fmt, ...) ME_PRINTF(2, 3);
static void blame(verdict *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (!v->why[0]) vsnprintf(v->why, sizeof v->why, fmt, args);
    va_end(args);
}

static void hold(verdict *v, double error, double allowed, const char *what)
{
    if (error > v->error) v->error = error;
    if (!(error <= allowed)) blame(v, "%s: error %.3g, allowed %.3g", what, error, allowed);
}

static double tolerance(const suite *s, const self_case *c, nn_dtype dtype, bool grad)
{
    double base = grad ? 1e-5 : 2e-6;
    if (s->tf32) base = grad ? 4e-3 : 2e-3;
    if (dtype == NN_BF16) base = grad ? 2e-2 : 8e-3;
    return base * (c->loose > 0 ? c->loose : 1);
}

/* ---- batches: in another order, and a part ------------------------------------------------------
 */

/* The lines of `scope` that belong to the chosen units (sequences, or rows where there are none).
 */
static int64_t *lines_of(suite *s, const self_work *w, self_scope scope, const int64_t *units,
                         int64_t n, int64_t *count)
{
    const int32_t *lengths = scope == SELF_KEY_ROW ? w->key_lengths : w->lengths;
    bool single = scope == SELF_SEQUENCE || !lengths;
    int64_t *lines =
        ME_NEW_ARRAY(&s->arena, single ? n : nn_self_tokens(lengths, w->sequences), int64_t);
    *count = 0;
    for (int64_t u = 0; lines && u < n; u++) {
        int64_t from = single ? units[u] : nn_self_tokens(lengths, units[u]);
        int64_t length = single ? 1 : lengths[units[u]];
        for (int64_t i = 0; i < length; i++) lines[(*count)++] = from + i;
    }
    return lines;
}

static bool select_units(suite *s, const self_work *w, const int64_t *units, int64_t n,
                         self_work *part)
{
    int64_t count;
    *part = *w;
    for (int i = 0; i < w->inputs; i++) {
        const self_input *in = &w->in[i];
        if (in->scope == SELF_SHARED || !in->values) continue;
        int64_t *lines = lines_of(s, w, in->scope, units, n, &count);
        double *to = ME_NEW_ARRAY(&s->arena, count * in->columns, double);
        if (!lines || !to) return false;
        for (int64_t k = 0; k < count; k++) {
            memcpy(to + k * in->columns, in->values + lines[k] * in->columns,
                   (size_t)in->columns * sizeof *to);
        }
        part->in[i].values = to;
        part->in[i].rows = count;
    }
    if (w->ints && w->ints_scope == SELF_ROW) {
        int64_t *lines = lines_of(s, w, SELF_ROW, units, n, &part->n_ints);
        part->ints = ME_NEW_ARRAY(&s->arena, part->n_ints, int32_t);
        if (!lines || !part->ints) return false;
        for (int64_t k = 0; k < part->n_ints; k++) part->ints[k] = w->ints[lines[k]];
    }
    if (!w->lengths) return true;
    part->sequences = n;
    part->lengths = ME_NEW_ARRAY(&s->arena, n, int32_t);
    part->key_lengths = w->key_lengths ? ME_NEW_ARRAY(&s->arena, n, int32_t) : NULL;
    for (int64_t k = 0; part->lengths && k < n; k++) {
        part->lengths[k] = w->lengths[units[k]];
        if (part->key_lengths) part->key_lengths[k] = w->key_lengths[units[k]];
    }
    return part->lengths != NULL;
}

static void check_units(suite *s, const self_work *w, nn_dtype dtype, const float *whole,
                        const int64_t *units, int64_t n, const char *what, verdict *v)
{
    self_work part;
    me_err err = {0};
    bool ready = select_units(s, w, units, n, &part);
    int64_t *lines = ready ? lines_of(s, w, w->out_scope, units, n, &part.out_rows) : NULL;
    float *out = lines ? run_forward(s, s->device, &part, dtype, &err) : NULL;
    if (!out) blame(v, "%s: %s", what, err.code ? err.msg : "out of memory");
    for (int64_t k = 0; out && k < part.out_rows; k++) {
        if (!same_bits(out + k * w->out_columns, whole + lines[k] * w->out_columns,
                       w->out_columns)) {
            blame(v, "%s changes bits of row %lld", what, (long long)lines[k]);
            return;
        }
    }
}

static void check_batches(suite *s, const self_work *w, nn_dtype dtype, const float *whole,
                          verdict *v)
{
    int64_t n = w->lengths ? w->sequences : w->out_rows;
    int64_t *units = ME_NEW_ARRAY(&s->arena, n, int64_t);
    if (w->out_scope == SELF_SHARED || !units) return;
    for (int64_t i = 0; i < n; i++) units[i] = n - 1 - i;
    check_units(s, w, dtype, whole, units, n, "another order of the batch", v);
    for (int64_t i = 0; 2 * i + 1 < n; i++) units[i] = 2 * i + 1;
    check_units(s, w, dtype, whole, units, n / 2, "half of the batch", v);
    units[0] = n / 2;
    check_units(s, w, dtype, whole, units, 1, "a batch of one", v);
}

/* ---- check -------------------------------------------------------------------------------------
 */

static void check(suite *s, const self_work *w, nn_dtype dtype, verdict *v)
{
    me_err err = {0};
    double *in[SELF_INPUTS], *reference = ME_NEW_ARRAY(&s->arena, out_count(w), double);
    float *out = run_forward(s, s->device, w, dtype, &err);
    if (!out || !reference) {
        blame(v, "%s", err.code ? err.msg : "out of memory");
        return;
    }
    values_of(w, in);
    w->op->reference(w, in, reference);
    double allowed = tolerance(s, w->c, dtype, false);
    hold(v, relative_error(out, reference, out_count(w)), allowed, "against double");
    check_batches(s, w, dtype, out, v);
    float *twin = run_forward(s, s->other, w, dtype, &err);
    if (!twin)
        blame(v, "%s", err.msg);
    else if (s->device != s->cpu)
        hold(v, relative_difference(out, twin, out_count(w)), 2 * allowed,
             "against the cpu back end");
    else if (!same_bits(out, twin, out_count(w)))
        blame(v, "the number of threads changes bits");
}

/* ---- grad --------------------------------------------------------------------------------------
 */

static double weighted(const self_work *w, double *const *in, const double *upstream, double *out)
{
    double sum = 0;
    w->op->reference(w, in, out);
    for (int64_t k = 0; k < out_count(w); k++) sum += upstream[k] * out[k];
    return sum;
}

/* Central difference of the double-precision loop with respect to element `at` of input i. */
static double slope(const self_work *w, int i, int64_t at, const double *upstream)
{
    double *in[SELF_INPUTS], *out = malloc((size_t)out_count(w) * sizeof *out);
    int64_t n = w->in[i].rows * w->in[i].columns;
    double *moved = malloc((size_t)n * sizeof *moved), result = NAN;
    if (out && moved) {
        double x = w->in[i].values[at], h = 1e-5 * fmax(1, fabs(x));
        values_of(w, in);
        in[i] = memcpy(moved, w->in[i].values, (size_t)n * sizeof *moved);
        moved[at] = x + h;
        double up = weighted(w, in, upstream, out);
        moved[at] = x - h;
        result = (up - weighted(w, in, upstream, out)) / (2 * h);
    }
    free(out);
    free(moved);
    return result;
}

static void check_slopes(const self_work *w, int i, const float *grad, const double *upstream,
                         double allowed, verdict *v)
{
    enum { MOST = 24 };
    int64_t n = w->in[i].rows * w->in[i].columns;
    int64_t samples = w->flops > 2e7 ? 4 : w->flops > 2e6 ? 10 : MOST;
    double want[MOST], apart = 0, size = 0, whole = 0;
    if (samples > n) samples = n;
#pragma omp parallel for
    for (int64_t k = 0; k < samples; k++) want[k] = slope(w, i, k * (n - 1) / samples, upstream);
    for (int64_t k = 0; k < n; k++) {
        if (!isfinite(grad[k])) {
            blame(v, "gradient of input %d: element %lld is %g", i, (long long)k, (double)grad[k]);
            return;
        }
        whole += (double)grad[k] * grad[k];
    }
    for (int64_t k = 0; k < samples; k++) {
        double got = grad[k * (n - 1) / samples];
        apart += (got - want[k]) * (got - want[k]);
        size += want[k] * want[k];
    }
    /* A sample can by chance be small against the whole gradient, whose rounding it has. */
    size = fmax(size, whole * (double)samples / (double)n);
    char what[64];
    snprintf(what, sizeof what, "gradient of input %d against differences", i);
    hold(v, size > 0 ? sqrt(apart / size) : sqrt(apart), allowed, what);
}

static void check_grad(suite *s, const self_work *w, nn_dtype dtype, verdict *v)
{
    me_err err = {0};
    float *grads[SELF_INPUTS] = {0}, *twins[SELF_INPUTS] = {0};
    double *upstream = deviates(s, out_count(w), 99, dtype == NN_BF16);
    double allowed = tolerance(s, w->c, dtype, true);
    if (!upstream || !run_backward(s, s->device, w, dtype, upstream, grads, &err) ||
        !run_backward(s, s->other, w, dtype, upstream, twins, &err)) {
        blame(v, "%s", err.code ? err.msg : "out of memory");
        return;
    }
    for (int i = 0; i < w->inputs; i++) {
        int64_t n = w->in[i].rows * w->in[i].columns;
        if (!grads[i]) continue;
        check_slopes(w, i, grads[i], upstream, allowed, v);
        if (s->device != s->cpu)
            hold(v, relative_difference(grads[i], twins[i], n), 2 * allowed,
                 "against the cpu back end");
        else if (!same_bits(grads[i], twins[i], n))
            blame(v, "the number of threads changes bits of the gradient of input %d", i);
    }
}

/* ---- cases -------------------------------------------------------------------------------------
 */

static void name_case(const suite *s, const self_case *c, nn_dtype dtype, char *out, size_t size)
{
    snprintf(out, size, "%s m%d-d%d-k%d-h%d-f%d %s", c->op, c->m, c->d, c->k, c->heads, c->flags,
             s->tf32 ? "tf32" : nn_dtype_text(dtype));
}

static void report(suite *s, const char *what, const char *name, const verdict *v)
{
    if (v->why[0]) {
        s->failed++;
        say(s, "FAIL %s %s: %s", what, name, v->why);
    } else {
        s->passed++;
        if (!s->o->failures_only) say(s, "ok   %s %s: error %.2g", what, name, v->error);
    }
}

/* Names a case where that is all that is wanted. */
static bool listed(suite *s, const char *name)
{
    if (s->o->list) say(s, "%s", name);
    return s->o->list;
}

static void run_case(suite *s, const self_case *c, nn_dtype dtype)
{
    char name[96];
    self_work w;
    verdict v = {0};
    bool grad = s->o->mode == NN_SELFTEST_GRAD;
    name_case(s, c, dtype, name, sizeof name);
    if (listed(s, name)) return;
    if (!prepare(s, c, dtype, &w))
        blame(&v, "out of memory");
    else if (grad)
        check_grad(s, &w, dtype, &v);
    else
        check(s, &w, dtype, &v);
    report(s, grad ? "grad" : "check", name, &v);
    me_arena_release(&s->arena);
}

static void run_ranges(suite *s)
{
    static const char *const names[SELF_RANGES_FORMS] = {"ranges x w^T f32", "ranges dy w f32",
                                                         "ranges dy^T x f32"};
    for (int form = 0; form < SELF_RANGES_FORMS; form++) {
        verdict v = {0};
        me_err err = {0};
        double error = 0;
        if (listed(s, names[form])) continue;
        if (nn_self_ranges(s->device, form, &error, &err))
            hold(&v, error, SELF_RANGES_ALLOWED, "against double");
        else
            blame(&v, "%s", err.msg);
        report(s, "check", names[form], &v);
    }
}

static void run_moves(suite *s)
{
    /* Of some of these a back end may have a way of its own, and ends where that does. */
    static const size_t sizes[] = {1, 15, 260, 4096, 131071, 131072, 131088, 4194304, 4194308};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        verdict v = {0};
        me_err err = {0};
        bool equal = false;
        char name[48];
        snprintf(name, sizeof name, "moves of %zu bytes", sizes[i]);
        if (listed(s, name)) continue;
        if (!nn_self_moves(s->device, sizes[i], &equal, &err))
            blame(&v, "%s", err.msg);
        else if (!equal)
            blame(&v, "bytes came back other than they went");
        report(s, "check", name, &v);
    }
}

/* ---- perf --------------------------------------------------------------------------------------
 */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of up to `most` runs, sorted; fewer where they are slow. Caches are flushed in between.
 */
static int time_runs(suite *s, nn_ctx *ctx, const self_work *w, nn_tensor **in, double *times,
                     int most)
{
    nn_backend *be = s->device;
    size_t flush = (size_t)64 << 20;
    void *junk = nn_pool_alloc(ctx, (int64_t)flush, 1);
    double started = be->now(be);
    int n = 0;
    for (int i = -3; i < most && !nn_failed(ctx); i++) {
        nn_mark_state mark = nn_mark(ctx);
        be->zero(be, junk, flush);
        double from = be->now(be);
        w->op->run(ctx, w, in);
        double to = be->now(be);
        if (i >= 0) times[n++] = to - from;
        nn_rewind(ctx, mark);
        if (i >= 5 && to - started > 2) break;
    }
    qsort(times, (size_t)n, sizeof *times, by_value);
    return n;
}

static void perf_case(suite *s, const self_case *c, nn_dtype dtype)
{
    enum { MOST = 30 };
    self_work w;
    nn_ctx ctx;
    nn_tensor *in[SELF_INPUTS];
    double times[MOST];
    char name[96];
    me_err err = {0};
    name_case(s, c, dtype, name, sizeof name);
    *strchr(name, ' ') = ',';
    if (s->o->list) {
        say(s, "%s", name);
        return;
    }
    if (!prepare(s, c, dtype, &w) ||
        nn_ctx_open(&ctx, s->device, precision_of(s, s->device, dtype), &err) != ME_OK) {
        s->failed++;
        say(s, "FAIL perf %s: %s", name, err.code ? err.msg : "out of memory");
        return;
    }
    upload_inputs(&ctx, &w, dtype, in);
    int n = time_runs(s, &ctx, &w, in, times, MOST);
    if (nn_status(&ctx, &err) != ME_OK || !n) {
        s->failed++;
        say(s, "FAIL perf %s: %s", name, err.msg);
    } else {
        double median = times[n / 2], bytes = dtype == NN_BF16 ? w.bytes / 2 : w.bytes;
        s->passed++;
        say(s, "%s,%s,%.1f,%.1f,%.1f,%.1f,\"%s\",%s", name, s->device->name, median * 1e6,
            (times[3 * n / 4] - times[n / 4]) * 1e6, bytes / median / 1e9, w.flops / median / 1e9,
            s->device->device, me_git());
    }
    nn_ctx_close(&ctx);
    me_arena_release(&s->arena);
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static me_code open_backends(suite *s)
{
    me_code code = nn_backend_open(&s->device, s->o->device, s->o->threads, s->err);
    if (code != ME_OK) return code;
    bool cpu = !strcmp(s->device->name, "cpu");
    code = nn_cpu_open(&s->other, cpu ? 3 : s->o->threads, s->err);
    s->cpu = cpu ? s->device : s->other;
    return code;
}

/* In every type, and under tf32 where a back end computes that in code of its own. */
static void run_types(suite *s, const self_case *c, bool perf)
{
    void (*run)(suite *, const self_case *, nn_dtype) = perf ? perf_case : run_case;
    run(s, c, NN_F32);
    if (s->device != s->cpu && (strstr(c->op, "attention") || !strncmp(c->op, "linear", 6))) {
        s->tf32 = true;
        run(s, c, NN_F32);
        s->tf32 = false;
    }
    /* The cpu back end computes bf16 to be compared with, not to be fast. */
    if (!perf || s->device != s->cpu) run(s, c, NN_BF16);
}

static bool wanted(const nn_selftest_options *o, const char *op)
{
    return !o->op || strstr(op, o->op);
}

me_code nn_selftest(const nn_selftest_options *o, int *passed, int *failed, me_err *err)
{
    suite s = {.o = o, .err = err};
    bool perf = o->mode == NN_SELFTEST_PERF;
    *passed = *failed = 0;
    me_code code = open_backends(&s);
    if (code == ME_OK && perf && !o->list)
        say(&s, "op,shape,backend,median_us,iqr,gbytes_s,gflops,device,git");
    for (const self_case *c = perf ? nn_self_perf : nn_self_cases; code == ME_OK && c->op; c++) {
        if (wanted(o, c->op)) run_types(&s, c, perf);
    }
    const bool checks = code == ME_OK && o->mode == NN_SELFTEST_CHECK;
    if (checks && wanted(o, "ranges")) run_ranges(&s);
    if (checks && wanted(o, "moves")) run_moves(&s);
    me_arena_release(&s.arena);
    nn_backend_close(s.device);
    nn_backend_close(s.other);
    *passed = s.passed;
    *failed = s.failed;
    return code;
}
