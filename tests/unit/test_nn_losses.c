/* Losses and their gradients against values that PyTorch 1.13 gave. */
#include "nn_fixture.h"

static nn_tensor *ints(fixture *f, const int32_t *values, int64_t rows, int64_t columns)
{
    nn_tensor *t = nn_new2(&f->ctx, NN_I32, rows, columns);
    f->be->upload(f->be, t->data, values, (size_t)(rows * columns) * sizeof *values);
    return t;
}

static const float a[] = {1, 2, -0.5f, 0, 0.3f, 1.2f}, b[] = {0.5f, 0, 0, 0.1f, -2, 1};

Test(losses, differences_equal_pytorch)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = nn_from_host(c, a, 2, 3), *y = nn_from_host(c, b, 2, 3);
    expect_near(c, nn_mse(c, x, y, NULL, 6), (float[]){1.64f}, 1, 1e-6);
    expect_near(c, nn_smooth_l1(c, x, y, NULL, 6), (float[]){0.59583336f}, 1, 1e-6);
    nn_tensor *second = nn_from_host(c, (float[]){0, 1}, 2, 1);
    expect_near(c, nn_mse(c, x, y, second, 3), (float[]){(0.01f + 5.29f + 0.04f) / 3}, 1, 1e-6);
    fixture_close(&f);
}

Test(losses, weighted_cross_entropy_equals_pytorch)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = leaf(c, a, 2, 3), *w = nn_from_host(c, (float[]){1, 2, 0.5f}, 1, 3);
    nn_tape_new(c);
    nn_tensor *loss = nn_cross_entropy(c, x, ints(&f, (int32_t[]){2, 1}, 2, 1), w);
    expect_near(c, loss, (float[]){1.72245574f}, 1, 1e-6);
    nn_backward(c, loss);
    const float dx[] = {0.050743241f, 0.13793443f,  -0.18867765f,
                        0.14109407f,  -0.60954297f, 0.46844885f};
    expect_near(c, x->grad, dx, 6, 1e-6);
    fixture_close(&f);
}

Test(losses, nothing_to_classify_costs_nothing)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = leaf(c, a, 2, 3);
    nn_tape_new(c);
    nn_tensor *loss = nn_cross_entropy(c, x, ints(&f, (int32_t[]){-1, -1}, 2, 1), NULL);
    expect_near(c, loss, (float[]){0}, 1, 1e-12);
    nn_backward(c, loss);
    expect_near(c, x->grad, (float[6]){0}, 6, 1e-12);
    fixture_close(&f);
}

Test(losses, info_nce_equals_pytorch)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *s = leaf(c, (float[]){2, 0.5f, -1, 0, 1, 0.3f, 0.2f, 0.7f, 1.5f}, 3, 3);
    nn_tape_new(c);
    nn_tensor *loss = nn_info_nce(c, s, NULL);
    expect_near(c, loss, (float[]){0.4747144f}, 1, 1e-6);
    nn_backward(c, loss);
    const float ds[] = {-0.074257895f, 0.072280012f, 0.016408909f, 0.050227389f, -0.17294009f,
                        0.080680221f,  0.047561418f, 0.096092224f, -0.1160522f};
    expect_near(c, s->grad, ds, 9, 1e-6);
    fixture_close(&f);
}

Test(losses, hiding_everything_else_leaves_info_nce_nothing_to_confuse)
{
    fixture f = fixture_open(1);
    nn_tensor *s = nn_from_host(&f.ctx, (float[]){2, 5, 9, 0}, 2, 2);
    nn_tensor *hidden = ints(&f, (int32_t[]){1, 1, 1, 1}, 2, 2);
    expect_near(&f.ctx, nn_info_nce(&f.ctx, s, hidden), (float[]){0}, 1, 1e-7);
    fixture_close(&f);
}

Test(losses, kl_equals_pytorch)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *mu = leaf(c, (float[]){0.5f, -1}, 1, 2), *lv = leaf(c, (float[]){0.2f, -0.3f}, 1, 2);
    nn_tensor *mu2 = nn_from_host(c, (float[]){0, 0.4f}, 1, 2);
    nn_tensor *lv2 = nn_from_host(c, (float[]){-0.5f, 0.1f}, 1, 2);
    nn_tape_new(c);
    nn_tensor *loss = nn_kl(c, mu, lv, mu2, lv2);
    expect_near(c, loss, (float[]){0.6424337f}, 1, 1e-6);
    nn_backward(c, loss);
    expect_near(c, mu->grad, (float[]){0.41218033f, -0.63338619f}, 2, 1e-6);
    expect_near(c, lv->grad, (float[]){0.2534382f, -0.082420006f}, 2, 1e-6);
    nn_tensor *zero = nn_zeros2(c, NN_F32, 1, 2);
    expect_near(c, nn_kl(c, zero, zero, NULL, NULL), (float[]){0}, 1, 1e-12);
    fixture_close(&f);
}

Test(losses, triplet_equals_pytorch)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *anchor = leaf(c, (float[]){1, 2, 0, 1}, 2, 2);
    nn_tensor *near = nn_from_host(c, (float[]){1.5f, 1, 2, 0}, 2, 2);
    nn_tensor *far = nn_from_host(c, (float[]){0, 0, 0.5f, 1}, 2, 2);
    nn_tape_new(c);
    nn_tensor *loss = nn_triplet(c, anchor, near, far, 1);
    expect_near(c, loss, (float[]){1.36803424f}, 1, 1e-6);
    nn_backward(c, loss);
    expect_near(c, anchor->grad, (float[]){0, 0, 0.052786529f, 0.22360605f}, 4, 1e-6);
    fixture_close(&f);
}
