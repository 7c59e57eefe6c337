/* Parameters: the block, loading, AdamW against PyTorch 1.13. */
#include <string.h>

#include "nn_fixture.h"

static nn_params four(nn_backend *be)
{
    nn_params p;
    nn_params_init(&p);
    cr_assert_eq(nn_params_add(&p, "w", 1, (int64_t[]){4}, NULL), ME_OK);
    cr_assert_eq(nn_params_add(&p, "other", 2, (int64_t[]){2, 3}, NULL), ME_OK);
    cr_assert_eq(nn_params_alloc(&p, be, NULL), ME_OK);
    nn_params_set(&p, "w", (float[]){1, -2, 0.5f, 3}, 4, NULL);
    return p;
}

static void step(fixture *f, nn_params *p, const nn_adamw_options *o, const float *grad,
                 float *norm)
{
    nn_params_zero_grad(p);
    f->be->upload(f->be, nn_params_find(p, "w")->grad.data, grad, 4 * sizeof *grad);
    cr_assert_eq(nn_adamw_step(&f->ctx, p, o, norm, NULL), ME_OK);
}

Test(params, adamw_equals_pytorch_over_three_steps)
{
    fixture f = fixture_open(2);
    nn_params p = four(f.be);
    nn_params_train(&p, false, NULL);
    nn_adamw_options o = nn_adamw_defaults();
    o.lr = 1e-2f;
    step(&f, &p, &o, (float[]){0.1f, -0.2f, 0, 4}, NULL);
    nn_tensor *w = nn_param_f32(&f.ctx, &p, "w");
    expect_near(&f.ctx, w, (float[]){0.9899f, -1.9898f, 0.49995f, 2.9897001f}, 4, 3e-7);
    step(&f, &p, &o, (float[]){0.3f, 0.2f, -1, -4}, NULL);
    step(&f, &p, &o, (float[]){0, 0.5f, 0.5f, 1e-3f}, NULL);
    const float want[] = {0.97343063f, -1.9956896f, 0.50957698f, 2.9900343f};
    expect_near(&f.ctx, w, want, 4, 6e-7);
    nn_params_close(&p);
    fixture_close(&f);
}

Test(params, clipping_equals_pytorch)
{
    fixture f = fixture_open(1);
    nn_params p = four(f.be);
    nn_params_train(&p, false, NULL);
    nn_adamw_options o = nn_adamw_defaults();
    float norm;
    o.lr = 1e-2f;
    o.max_grad_norm = 2;
    step(&f, &p, &o, (float[]){3, 0, 4, 12}, &norm);
    cr_assert_float_eq(norm, 13, 1e-5);
    step(&f, &p, &o, (float[]){1, 1, 0, -1}, &norm);
    cr_assert_float_eq(norm, 1.7320508, 1e-6);
    const float want[] = {0.98023719f, -2.0070412f, 0.48320043f, 2.9870555f};
    expect_near(&f.ctx, nn_param_f32(&f.ctx, &p, "w"), want, 4, 6e-7);
    nn_params_close(&p);
    fixture_close(&f);
}

Test(params, a_step_refreshes_the_shadow_and_the_average)
{
    fixture f = fixture_open(1);
    nn_params p = four(f.be);
    nn_params_train(&p, true, NULL);
    nn_params_shadow(&p, NULL);
    nn_adamw_options o = nn_adamw_defaults();
    o.lr = 0.5f;
    o.ema_decay = 0.75f;
    step(&f, &p, &o, (float[]){1, 1, 1, 1}, NULL);
    float w[4], narrow[4];
    nn_params_read(&p, "w", w, NULL);
    f.be->to_f32(f.be, narrow, nn_params_find(&p, "w")->bf16.data, 4);
    const float before[] = {1, -2, 0.5f, 3};
    for (int i = 0; i < 4; i++) {
        cr_assert_float_eq(narrow[i], w[i], fabs(w[i]) / 256 + 1e-9);
        cr_assert_float_eq(p.ema[i], 0.75 * before[i] + 0.25 * w[i], 1e-6);
    }
    nn_params_close(&p);
    fixture_close(&f);
}

Test(params, linear_learns_its_bf16_weight_in_f32)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_params p = four(f.be);
    nn_params_set(&p, "other", (float[]){1, 2, 3, 4, 5, 6}, 6, NULL);
    nn_params_train(&p, false, NULL);
    nn_params_shadow(&p, NULL);
    c->precision = NN_BF16_MIXED;
    nn_tape_new(c);
    nn_tensor *x = nn_cast(c, nn_from_host(c, (float[]){1, 0, 2}, 1, 3), NN_BF16);
    nn_tensor *y = nn_linear(c, x, nn_param_get(c, &p, "other"), NULL, NN_ACT_NONE); /* 7, 16 */
    nn_backward(c, nn_mse(c, y, nn_cast(c, nn_zeros2(c, NN_F32, 1, 2), NN_BF16), NULL, 2));
    expect_near(c, &nn_params_find(&p, "other")->grad, (float[]){7, 0, 14, 16, 0, 32}, 6, 1e-6);
    nn_params_close(&p);
    fixture_close(&f);
}

/* Rows of a weight and of a bias, as attention's last layer slices q, k and v apart. */
Test(params, a_slice_of_a_bf16_weight_learns_in_f32_in_its_own_rows)
{
    fixture f = fixture_open(1);
    f.ctx.precision = NN_BF16_MIXED;
    nn_params p;
    nn_params_init(&p);
    cr_assert_eq(nn_params_add(&p, "weight", 2, (int64_t[]){3, 2}, NULL), ME_OK);
    cr_assert_eq(nn_params_add(&p, "bias", 1, (int64_t[]){3}, NULL), ME_OK);
    cr_assert_eq(nn_params_alloc(&p, f.be, NULL), ME_OK);
    nn_params_set(&p, "weight", (float[]){1, 2, 3, 4, 5, 6}, 6, NULL);
    cr_assert_eq(nn_params_train(&p, false, NULL), ME_OK);
    cr_assert_eq(nn_params_shadow(&p, NULL), ME_OK);
    nn_tape_new(&f.ctx);
    nn_tensor *x = nn_cast(&f.ctx, nn_from_host(&f.ctx, (float[]){1, -1}, 1, 2), NN_BF16);
    nn_tensor *w = nn_rows(&f.ctx, nn_param_get(&f.ctx, &p, "weight"), 1, 3);
    nn_tensor *b = nn_rows(&f.ctx, nn_param_get(&f.ctx, &p, "bias"), 1, 3);
    nn_tensor *y = nn_cast(&f.ctx, nn_linear(&f.ctx, x, w, b, NN_ACT_NONE), NN_F32);
    nn_tensor *zero = nn_zeros2(&f.ctx, NN_F32, 1, 2);
    nn_backward(&f.ctx, nn_mse(&f.ctx, y, zero, NULL, 2));
    /* y = (3 - 4, 5 - 6), so dy = y and dw = dy x. */
    expect_near(&f.ctx, &nn_params_find(&p, "weight")->grad, (float[]){0, 0, -1, 1, -1, 1}, 6,
                1e-6);
    expect_near(&f.ctx, &nn_params_find(&p, "bias")->grad, (float[]){0, -1, -1}, 3, 1e-6);
    nn_params_close(&p);
    fixture_close(&f);
}

Test(params, loading_lists_everything_that_does_not_fit)
{
    fixture f = fixture_open(1);
    nn_params p = four(f.be);
    me_arena arena = {0};
    me_err err = {0};
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    me_value *state = me_value_new(&arena, ME_DICT);
    me_value *square = me_value_array(&arena, ME_F32, 2, (int64_t[]){3, 2}, values);
    me_dict_put(&arena, state, "net.other", square, NULL);
    me_dict_put(&arena, state, "net.more", square, NULL);
    cr_assert_eq(nn_params_load(&p, state, "net.", true, &err), ME_EDATA);
    cr_assert_str_eq(
        err.msg,
        "3 names do not fit this model of 2 parameters: 'net.w' is missing; 'net.other': expected "
        "(2,3) f32, found float32 (3, 2); 'net.more' is not of this model");
    me_arena_release(&arena);
    nn_params_close(&p);
    fixture_close(&f);
}

Test(params, loading_reads_what_fits)
{
    fixture f = fixture_open(1);
    nn_params p = four(f.be);
    me_arena arena = {0};
    me_err err = {0};
    float got[6];
    static const double wide[6] = {1, 2, 3, 4, 5, 6};
    me_value *state = me_value_new(&arena, ME_DICT);
    me_dict_put(&arena, state, "w", me_value_array(&arena, ME_F64, 1, (int64_t[]){4}, wide), NULL);
    me_dict_put(&arena, state, "other", me_value_array(&arena, ME_F64, 2, (int64_t[]){2, 3}, wide),
                NULL);
    me_dict_put(&arena, state, "extra", me_value_int(&arena, 1), NULL);
    cr_assert_eq(nn_params_load(&p, state, NULL, false, &err), ME_OK, "%s", err.msg);
    nn_params_read(&p, "other", got, NULL);
    for (int i = 0; i < 6; i++) cr_assert_eq(got[i], wide[i]);
    me_arena_release(&arena);
    nn_params_close(&p);
    fixture_close(&f);
}

/* What a pass may do with a parameter that learns: `uses` are read from left to right, ( begins two
 * parts, | the second of them, ) joins them, and u uses the parameter. */
static bool may_use(nn_ctx *c, nn_params *p, const char *uses)
{
    nn_reset(c);
    nn_tape_new(c);
    for (; *uses; uses++) {
        if (*uses == '(') nn_split(c);
        if (*uses == '|') nn_beside(c);
        if (*uses == ')') nn_join(c);
        if (*uses == 'u') nn_param_get(c, p, "other");
    }
    me_err err = {0};
    bool fine = nn_status(c, &err) == ME_OK;
    cr_assert(fine || strstr(err.msg, "'other' learns in two parts"), "%s", err.msg);
    return fine;
}

Test(params, parts_beside_each_other_share_none_that_learns)
{
    static const char *const well[] = {"uu",        "u(u|)u",       "u(|u)u",  "(|u)(|u)(u|)",
                                       "((|u)u|)u", "(|(u|)(|u))u", "(u|)(|u)"};
    static const char *const badly[] = {"(u|u)",    "u(u|u)",   "((|u)|u)",
                                        "(u|(|u))", "((u|u)|)", "(|u)(u|u)"};
    fixture f = fixture_open(1);
    nn_params p = four(f.be);
    cr_assert(may_use(&f.ctx, &p, "(u|u)")); /* it does not learn yet */
    nn_params_train(&p, false, NULL);
    for (size_t i = 0; i < sizeof well / sizeof *well; i++)
        cr_assert(may_use(&f.ctx, &p, well[i]), "%s", well[i]);
    for (size_t i = 0; i < sizeof badly / sizeof *badly; i++)
        cr_assert(!may_use(&f.ctx, &p, badly[i]), "%s", badly[i]);
    nn_params_close(&p);
    fixture_close(&f);
}

Test(params, an_unknown_name_is_a_sticky_failure)
{
    fixture f = fixture_open(1);
    nn_params p = four(f.be);
    me_err err = {0};
    cr_assert_null(nn_param_get(&f.ctx, &p, "v")->data);
    nn_status(&f.ctx, &err);
    cr_assert_str_eq(err.msg, "model: there is no parameter 'v'");
    nn_params bad = {0};
    cr_assert_eq(nn_params_add(&bad, "x", 1, (int64_t[]){-1}, NULL), ME_EDATA);
    nn_params_close(&bad);
    nn_params_close(&p);
    fixture_close(&f);
}
