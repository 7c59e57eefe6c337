/* The position table (spec evaluation 10.5) and the forward pass against plain loops in double. */
#include "tests/unit/tmr_data.h"

Test(positions, agree_with_the_reference_table)
{
    static const struct {
        int n, c;
        double value;
    } cases[] = {
        {0, 0, 0},
        {0, 1, 1},
        {1, 0, 0.841470957},
        {1, 1, 0.540302336},
        {1, 2, 0.80196178},
        {1, 3, 0.597375333},
        {2, 0, 0.909297407},
        {2, 1, -0.416146845},
        {10, 100, 0.270432204},
        {10, 101, 0.96273905},
        {121, 254, 0.0130023854},
        {121, 255, 0.999915481},
        {301, 0, -0.55876404},
        {301, 1, 0.829326689},
        {301, 4, 0.0967955366},
        {301, 5, -0.995304286},
        {4999, 128, -0.272013277},
    };
    float *table = malloc(sizeof(float) * TMR_POSITIONS * 256);
    tmr_positions(table, TMR_POSITIONS, 256);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_float_eq(table[cases[i].n * 256 + cases[i].c], cases[i].value, 1.2e-7, "[%d][%d]",
                           cases[i].n, cases[i].c);
    free(table);
}

/* ---- a plain forward pass
 * --------------------------------------------------------------------------- */

typedef struct plain {
    tmr_encoder *e;
    me_arena *arena;
} plain;

static const float *param(plain *p, const char *fmt, int layer)
{
    char name[96];
    snprintf(name, sizeof name, fmt, layer);
    const nn_param *q = nn_params_find(&p->e->params, name);
    cr_assert_not_null(q, "%s", name);
    int64_t n = 1;
    for (int i = 0; i < q->ndim; i++) n *= q->shape[i];
    float *host = ME_NEW_ARRAY(p->arena, n, float);
    cr_assert_eq(nn_params_read(&p->e->params, name, host, NULL), ME_OK);
    return host;
}

static double *linear(plain *p, const double *x, int rows, int in, int out, const float *w,
                      const float *b)
{
    double *y = ME_NEW_ARRAY(p->arena, rows * out, double);
    for (int i = 0; i < rows; i++)
        for (int o = 0; o < out; o++) {
            double sum = (double)b[o];
            for (int k = 0; k < in; k++) sum += x[i * in + k] * (double)w[o * in + k];
            y[i * out + o] = sum;
        }
    return y;
}

static void add_and_norm(double *h, const double *x, int rows, int d, const float *w,
                         const float *b)
{
    for (int i = 0; i < rows; i++) {
        double mean = 0, var = 0;
        for (int k = 0; k < d; k++) mean += (h[i * d + k] += x[i * d + k]) / d;
        for (int k = 0; k < d; k++) var += (h[i * d + k] - mean) * (h[i * d + k] - mean) / d;
        for (int k = 0; k < d; k++)
            h[i * d + k] = (h[i * d + k] - mean) / sqrt(var + 1e-5) * (double)w[k] + (double)b[k];
    }
}

static double *attend(plain *p, const double *qkv, int rows, int d, int heads)
{
    const int size = d / heads;
    double *out = ME_NEW_ARRAY(p->arena, rows * d, double),
           *a = ME_NEW_ARRAY(p->arena, rows, double);
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < rows; i++) {
            double most = -INFINITY, sum = 0;
            for (int j = 0; j < rows; j++) {
                a[j] = 0;
                for (int k = 0; k < size; k++)
                    a[j] += qkv[i * 3 * d + h * size + k] * qkv[j * 3 * d + d + h * size + k];
                a[j] /= sqrt(size);
                most = fmax(most, a[j]);
            }
            for (int j = 0; j < rows; j++) sum += a[j] = exp(a[j] - most);
            for (int j = 0; j < rows; j++)
                for (int k = 0; k < size; k++)
                    out[i * d + h * size + k] += a[j] / sum * qkv[j * 3 * d + 2 * d + h * size + k];
        }
    return out;
}

static void layer(plain *p, double *h, int rows, int l, bool erf_form)
{
    const tmr_config *c = &p->e->config;
    const int d = (int)c->width, ff = (int)c->ff;
#define P(name) param(p, "seqTransEncoder.layers.%d." name, l)
    double *qkv =
        linear(p, h, rows, d, 3 * d, P("self_attn.in_proj_weight"), P("self_attn.in_proj_bias"));
    double *a = linear(p, attend(p, qkv, rows, d, c->heads), rows, d, d,
                       P("self_attn.out_proj.weight"), P("self_attn.out_proj.bias"));
    add_and_norm(h, a, rows, d, P("norm1.weight"), P("norm1.bias"));
    double *f = linear(p, h, rows, d, ff, P("linear1.weight"), P("linear1.bias"));
    for (int i = 0; i < rows * ff; i++) {
        double x = f[i];
        f[i] = erf_form ? x / 2 * (1 + erf(x / sqrt(2)))
                        : x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    }
    add_and_norm(h, linear(p, f, rows, ff, d, P("linear2.weight"), P("linear2.bias")), rows, d,
                 P("norm2.weight"), P("norm2.bias"));
#undef P
}

static double *plain_encode(plain *p, const float *features, int frames, bool erf_form)
{
    const int d = (int)p->e->config.width, rows = frames + TMR_TOKENS;
    double *x = ME_NEW_ARRAY(p->arena, frames * MOTION_POSE, double);
    double *h = ME_NEW_ARRAY(p->arena, rows * d, double);
    float *table = ME_NEW_ARRAY(p->arena, rows * d, float);
    for (int i = 0; i < frames * MOTION_POSE; i++) x[i] = (double)features[i];
    double *y = linear(p, x, frames, MOTION_POSE, d, param(p, "projection.weight", 0),
                       param(p, "projection.bias", 0));
    const float *tokens = param(p, "tokens", 0);
    tmr_positions(table, rows, d);
    for (int i = 0; i < rows * d; i++)
        h[i] = (double)table[i] + (i < TMR_TOKENS * d ? (double)tokens[i] : y[i - TMR_TOKENS * d]);
    for (int l = 0; l < p->e->config.layers; l++) layer(p, h, rows, l, erf_form);
    return h;
}

static void check_form(bool erf_form)
{
    const int32_t lengths[] = {9, 1, 4};
    const tmr_config small = {
        .features = MOTION_POSE, .width = 32, .ff = 48, .heads = 4, .layers = 2};
    me_arena arena = {0};
    nn_backend *be = open_cpu(2);
    tmr_encoder e;
    cr_assert_eq(tmr_encoder_init(&e, &small, be, NULL), ME_OK);
    me_rng g = me_rng_make(4, 0);
    for (int64_t i = 0; i < e.params.n; i++) {
        float values[3 * 48 * MOTION_POSE];
        int64_t n = 1;
        for (int k = 0; k < e.params.items[i].ndim; k++) n *= e.params.items[i].shape[k];
        for (int64_t k = 0; k < n; k++) values[k] = (float)me_rng_normal(&g) * 0.3f;
        cr_assert_eq(nn_params_set(&e.params, e.params.items[i].name, values, n, NULL), ME_OK);
    }
    float *features = random_pose(&arena, 14, 8), out[3 * 32];
    nn_ctx ctx;
    cr_assert_eq(nn_ctx_open(&ctx, be, NN_FP32, NULL), ME_OK);
    nn_tensor *positions = tmr_positions_new(&ctx, 11, 32);
    nn_tensor *x = nn_from_host(&ctx, features, 14, MOTION_POSE);
    nn_tensor *mu =
        tmr_encode(&ctx, &e, x, lengths, 3, positions, erf_form ? TMR_GELU_ERF : TMR_GELU_TANH);
    me_err err = {0};
    cr_assert_eq(nn_to_host(&ctx, mu, out, &err), ME_OK, "%s", err.msg);
    int from = 0;
    for (int s = 0; s < 3; s++) {
        plain p = {&e, &arena};
        const double *wanted =
            plain_encode(&p, features + from * MOTION_POSE, lengths[s], erf_form);
        for (int k = 0; k < 32; k++)
            cr_expect_float_eq(out[s * 32 + k], wanted[k], 5e-6, "sequence %d, %d: %g, not %g", s,
                               k, (double)out[s * 32 + k], wanted[k]);
        from += lengths[s];
    }
    nn_ctx_close(&ctx);
    tmr_close(&e);
    nn_backend_close(be);
    me_arena_release(&arena);
}

Test(encoder, agrees_with_plain_loops_in_double_in_the_erf_form)
{
    check_form(true);
}

Test(encoder, agrees_with_plain_loops_in_double_in_the_tanh_form)
{
    check_form(false);
}
