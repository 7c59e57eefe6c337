/* The tape: gradients that meet, views, what is not recorded, memory. */
#include "nn_fixture.h"

Test(tape, a_tensor_used_twice_gets_both_gradients)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = leaf(c, (float[]){1, -2, 3}, 1, 3), *zero = nn_zeros2(c, NN_F32, 1, 3);
    nn_tape_new(c);
    nn_tensor *y = nn_add(c, x, x, 2, 0.5f); /* 2.5 x; loss = 6.25 sum x^2 */
    nn_backward(c, nn_mse(c, y, zero, NULL, 1));
    expect_near(c, x->grad, (float[]){12.5f, -25, 37.5f}, 3, 1e-5);
    fixture_close(&f);
}

Test(tape, gradients_of_leaves_add_up_over_backward_passes)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = leaf(c, (float[]){1, -2, 3}, 1, 3), *zero = nn_zeros2(c, NN_F32, 1, 3);
    nn_tape_new(c);
    for (int i = 0; i < 3; i++) nn_backward(c, nn_mse(c, x, zero, NULL, 2));
    expect_near(c, x->grad, (float[]){3, -6, 9}, 3, 1e-6);
    fixture_close(&f);
}

Test(tape, views_put_their_gradient_in_their_rows)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = leaf(c, (float[]){1, 2, 3, 4, 5, 6}, 3, 2), *zero = nn_zeros2(c, NN_F32, 2, 2);
    nn_tape_new(c);
    nn_tensor *head = nn_mse(c, nn_rows(c, x, 0, 2), zero, NULL, 2);
    nn_tensor *tail = nn_mse(c, nn_rows(c, x, 1, 3), zero, NULL, 2);
    nn_backward(c, nn_weighted_sum(c, (nn_tensor *[]){head, tail}, (float[]){1, 10}, 2));
    expect_near(c, x->grad, (float[]){1, 2, 33, 44, 50, 60}, 6, 1e-5);
    fixture_close(&f);
}

Test(tape, a_shared_weight_gets_the_sum)
{
    fixture f = fixture_open(2);
    nn_ctx *c = &f.ctx;
    nn_tensor *w = leaf(c, (float[]){2}, 1, 1), *x = nn_from_host(c, (float[]){3}, 1, 1);
    nn_tensor *zero = nn_zeros2(c, NN_F32, 1, 1);
    nn_tape_new(c);
    nn_tensor *y = nn_linear(c, nn_linear(c, x, w, NULL, NN_ACT_NONE), w, NULL, NN_ACT_NONE);
    nn_backward(c, nn_mse(c, y, zero, NULL, 1)); /* 9 w^4 */
    expect_near(c, w->grad, (float[]){288}, 1, 1e-3);
    fixture_close(&f);
}

/* 2 x w + gelu(x v), with parts within each other or without. */
static nn_tensor *both_ways(nn_ctx *c, bool parts, nn_tensor *x, nn_tensor *w, nn_tensor *v)
{
    if (parts) nn_split(c);
    nn_tensor *first = nn_linear(c, x, w, NULL, NN_ACT_NONE);
    if (parts) {
        nn_beside(c);
        nn_split(c);
    }
    nn_tensor *second = nn_linear(c, x, v, NULL, NN_ACT_GELU_TANH);
    if (parts) {
        nn_beside(c);
        nn_join(c);
        nn_join(c);
    }
    return nn_add(c, first, second, 2, 1);
}

Test(tape, parts_change_no_gradient)
{
    float grads[2][2][6];
    for (int parts = 0; parts < 2; parts++) {
        fixture f = fixture_open(1);
        nn_ctx *c = &f.ctx;
        nn_tensor *x = nn_from_host(c, (float[]){1, -2, 3, 0.5f, 1, -1}, 2, 3);
        nn_tensor *w = leaf(c, (float[]){1, 2, 3, 4, 5, 6}, 2, 3);
        nn_tensor *v = leaf(c, (float[]){-1, 0.5f, 1, 2, 1, 0.25f}, 2, 3);
        w->parameter = v->parameter = true;
        w->grad = nn_zeros2(c, NN_F32, 2, 3);
        v->grad = nn_zeros2(c, NN_F32, 2, 3);
        nn_tape_new(c);
        nn_tensor *y = both_ways(c, parts, x, w, v);
        cr_assert_eq(c->parts, 0);
        cr_assert_eq(c->lane, 0);
        nn_backward(c, nn_mse(c, y, nn_zeros2(c, NN_F32, 2, 2), NULL, 1));
        cr_assert_eq(nn_to_host(c, w->grad, grads[parts][0], NULL), ME_OK);
        cr_assert_eq(nn_to_host(c, v->grad, grads[parts][1], NULL), ME_OK);
        fixture_close(&f);
    }
    cr_assert_arr_eq(grads[1], grads[0], sizeof grads[0]);
    cr_assert_neq(grads[0][0][0], 0);
}

Test(tape, a_pass_left_within_a_part_ends_with_the_next_reset)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_split(c);
    nn_beside(c);
    nn_split(c);
    nn_linear(c, nn_zeros2(c, NN_F32, 2, 3), nn_zeros2(c, NN_F32, 2, 2), NULL, NN_ACT_NONE);
    cr_assert_eq(nn_status(c, NULL), ME_EBUG);
    nn_reset(c);
    cr_assert_eq(c->parts, 0);
    cr_assert_eq(c->lane, 0);
    cr_assert_eq(nn_status(c, NULL), ME_OK);
    fixture_close(&f);
}

/* A weight of two products that something else adds to as well, and a bias of two layers: neither
 * must meet what is under way beside the walk. */
Test(tape, a_parameter_of_several_operations_gets_the_sum)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *w = leaf(c, (float[]){1, 0, 0, 1}, 2, 2), *b = leaf(c, (float[]){0, 0}, 1, 2);
    nn_tensor *x = nn_from_host(c, (float[]){1, 2}, 1, 2), *zero = nn_zeros2(c, NN_F32, 1, 2);
    b->ndim = 1;
    b->shape[0] = 2;
    w->parameter = b->parameter = true;
    w->grad = nn_zeros2(c, NN_F32, 2, 2);
    b->grad = nn_new(c, NN_F32, 1, (int64_t[]){2});
    c->be->zero(c->be, b->grad->data, 2 * sizeof(float));
    nn_tape_new(c);
    nn_tensor *row = nn_gather(c, w, nn_index_new(c, (int32_t[]){1}, 1, 2)); /* (0,1) */
    nn_tensor *y = nn_linear(c, nn_add(c, x, row, 1, 1), w, b, NN_ACT_NONE); /* (1,3) */
    nn_tensor *z = nn_linear(c, y, w, b, NN_ACT_NONE);                       /* (1,3) */
    nn_backward(c, nn_mse(c, z, zero, NULL, 2)); /* the gradient of z, y and x + row is (1,3) */
    expect_near(c, b->grad, (float[]){2, 6}, 2, 1e-5);
    expect_near(c, w->grad, (float[]){2, 6, 6 + 1, 18 + 3}, 4, 1e-4);
    fixture_close(&f);
}

Test(tape, nothing_is_recorded_without_need)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    me_err err = {0};
    nn_tensor *x = nn_from_host(c, (float[]){1, 2}, 1, 2);
    nn_tape_new(c);
    nn_tensor *loss = nn_mse(c, nn_activation(c, x, NN_ACT_SILU), x, NULL, 1);
    cr_assert_not(loss->needs_grad);
    nn_backward(c, loss);
    cr_assert_eq(nn_status(c, &err), ME_EBUG);
    cr_assert_str_eq(err.msg,
                     "nn_backward: wants a (1,1) f32 loss that depends on a parameter, got "
                     "(1,1) f32 that depends on none");
    fixture_close(&f);
}

Test(tape, a_branch_that_the_loss_ignores_costs_nothing)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = leaf(c, (float[]){1, 2}, 1, 2), *unused = leaf(c, (float[]){1, 2}, 1, 2);
    nn_tape_new(c);
    nn_activation(c, unused, NN_ACT_SILU);
    nn_backward(c, nn_mse(c, x, nn_zeros2(c, NN_F32, 1, 2), NULL, 1));
    cr_assert_null(unused->grad);
    cr_assert_not_null(x->grad);
    fixture_close(&f);
}

Test(tape, gradients_on_the_way_share_memory)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = nn_zeros2(c, NN_F32, 512, 512);
    x->needs_grad = true;
    nn_tape_new(c);
    nn_tensor *y = x;
    for (int i = 0; i < 20; i++) y = nn_normalize_rows(c, y, 1);
    nn_tensor *loss = nn_mse(c, y, nn_zeros2(c, NN_F32, 512, 512), NULL, 1);
    nn_mark_state before = nn_mark(c);
    nn_backward(c, loss);
    nn_mark_state after = nn_mark(c);
    cr_assert_eq(nn_status(c, NULL), ME_OK);
    /* Twenty gradients of 1 MiB in the room of a few. */
    size_t used = after.block == before.block ? after.used - before.used : after.used;
    cr_assert_lt(after.block - before.block, 2);
    cr_assert_lt(used, (size_t)5 << 20, "%zu bytes", used);
    fixture_close(&f);
}
