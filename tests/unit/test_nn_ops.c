/* Operations against values that PyTorch 1.13 gave, and how they fail. */
#include <string.h>

#include "nn_fixture.h"

Test(ops, layernorm_and_its_gradients_equal_pytorch)
{
    fixture f = fixture_open(2);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = leaf(c, (float[]){1, 2, 4, -1, 0.5f, 0.25f, -2, 3}, 2, 4);
    nn_tensor *w = leaf(c, (float[]){1, 2, -1, 0.5f}, 1, 4);
    nn_tensor *b = leaf(c, (float[]){0.1f, 0.2f, 0.3f, 0.4f}, 1, 4);
    nn_tape_new(c);
    nn_tensor *y = nn_layernorm(c, x, NULL, w, b, 1e-5f);
    const float want[] = {-0.17734966f, 0.75469941f,   -1.0867484f, -0.29337415f,
                          0.13528919f,  -0.011735067f, 1.6762781f,  1.1234282f};
    expect_near(c, y, want, 8, 1e-6);
    nn_backward(c, inner(c, y, (float[]){1, -1, 2, 0.5f, 0.3f, 0.7f, -0.2f, 1}));
    const float dx[] = {0.78404665f,  -0.57603443f, 0.031999618f, -0.24001186f,
                        -0.17093498f, 0.45634225f,  -0.16552095f, -0.11988634f};
    expect_near(c, x->grad, dx, 8, 2e-6);
    expect_near(c, w->grad, (float[]){-0.26676288f, -0.35145697f, 3.0487525f, 0.75348222f}, 4,
                3e-6);
    expect_near(c, b->grad, (float[]){1.3f, -0.3f, 1.8f, 1.5f}, 4, 2e-6);
    fixture_close(&f);
}

static const float qkv[] = {0.1f, 0.2f, 0.3f,  0.4f, 0.5f, -0.5f, 1,    0,    1,    2,    3,     4,
                            1,    -1,   0.5f,  0,    0,    1,     2,    -1,   -1,   0,    1,     0,
                            0,    2,    -0.5f, 1,    0.3f, 0.3f,  0.3f, 0.3f, 0.5f, 0.5f, -0.5f, 2};

Test(ops, attention_equals_pytorch)
{
    fixture f = fixture_open(2);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = nn_from_host(c, qkv, 3, 12);
    nn_packing *seq = nn_packing_new(c, (int32_t[]){3}, 1);
    const float all[] = {0.10877146f, 0.77394634f, 1.2064356f, 2.0475726f,
                         0.5779438f,  1.2939484f,  1.2586244f, 1.7353293f,
                         -0.4655337f, 0.28531891f, 0.87193f,   2.4463072f};
    expect_near(c, nn_self_attention(c, x, 2, seq, NULL, false, 0), all, 12, 1e-6);
    const float causal[] = {1,           2,           3,          4,
                            0.60885942f, 1.6088594f,  1.8250419f, 1.6500839f,
                            -0.4655337f, 0.28531891f, 0.87193f,   2.4463072f};
    expect_near(c, nn_self_attention(c, x, 2, seq, NULL, true, 0), causal, 12, 1e-6);
    fixture_close(&f);
}

Test(ops, attention_over_one_visible_key_copies_its_value)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = nn_from_host(c, qkv, 3, 12);
    nn_packing *seq = nn_packing_new(c, (int32_t[]){3}, 1);
    nn_tensor *mask = nn_new2(c, NN_I32, 3, 1);
    f.be->upload(f.be, mask->data, (int32_t[]){0, 1, 0}, 3 * sizeof(int32_t));
    const float value[] = {-1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0};
    expect_near(c, nn_self_attention(c, x, 2, seq, mask, false, 0), value, 12, 1e-6);
    f.be->upload(f.be, mask->data, (int32_t[]){0, 0, 0}, 3 * sizeof(int32_t));
    expect_near(c, nn_self_attention(c, x, 2, seq, mask, false, 0), (float[12]){0}, 12, 1e-12);
    fixture_close(&f);
}

Test(ops, a_class_token_asks_the_same_as_in_self_attention)
{
    fixture f = fixture_open(2);
    nn_ctx *c = &f.ctx;
    nn_tensor *x = nn_from_host(c, qkv, 3, 12);
    nn_packing *both = nn_packing_new(c, (int32_t[]){2, 1}, 2);
    nn_packing *ones = nn_packing_new(c, (int32_t[]){1, 1}, 2);
    nn_index *first = nn_index_new(c, (int32_t[]){0, 2}, 2, 3);
    nn_tensor *whole = nn_gather(c, nn_self_attention(c, x, 2, both, NULL, false, 0), first);
    nn_tensor *q = nn_gather(c, nn_columns(c, x, 0, 4), first);
    nn_tensor *asked = nn_cross_attention(c, q, nn_columns(c, x, 4, 12), 2, ones, both, 0);
    float want[8];
    nn_to_host(c, whole, want, NULL);
    expect_near(c, asked, want, 8, 1e-6);
    fixture_close(&f);
}

Test(ops, dropout_keeps_its_share_and_its_mean)
{
    enum { N = 40000 };
    fixture f = fixture_open(2);
    nn_ctx *c = &f.ctx;
    static float x[N], y[N];
    for (int i = 0; i < N; i++) x[i] = 1;
    c->training = true;
    c->seed = 7;
    nn_tensor *in = nn_from_host(c, x, 200, 200);
    nn_to_host(c, nn_dropout(c, in, 0.25f), y, NULL);
    int kept = 0;
    for (int i = 0; i < N; i++) {
        cr_assert(y[i] == 0 || fabsf(y[i] - 1 / 0.75f) < 1e-6f);
        kept += y[i] != 0;
    }
    cr_assert_lt(abs(kept - 30000), 350, "%d kept", kept); /* four standard deviations */
    nn_to_host(c, nn_dropout(c, in, 0.25f), x, NULL);
    cr_assert(memcmp(x, y, sizeof x), "a second site draws other elements");
    c->training = false;
    cr_assert_eq(nn_dropout(c, in, 0.25f), in, "nothing is dropped outside training");
    fixture_close(&f);
}

Test(ops, rows_are_assembled_with_positions_in_a_new_tensor_or_a_given_one)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    me_err err = {0};
    nn_tensor *parts[] = {nn_from_host(c, (float[]){1, 2}, 1, 2),
                          nn_from_host(c, (float[]){3, 4, 5, 6}, 2, 2)};
    nn_tensor *table = nn_from_host(c, (float[]){10, 20, 30, 40}, 2, 2);
    nn_index *index = nn_index_new(c, (int32_t[]){2, 0, 1, 0}, 4, 3);
    nn_index *at = nn_index_new(c, (int32_t[]){0, 1, 1, 0}, 4, 2);
    const float want[] = {15, 26, 31, 42, 33, 44, 11, 22};
    expect_near(c, nn_assemble(c, parts, 2, index, table, at), want, 8, 1e-6);
    nn_tensor *y = nn_zeros2(c, NN_F32, 4, 2);
    nn_assemble_into(c, y, parts, 2, index, table, at);
    expect_near(c, y, want, 8, 1e-6);
    nn_assemble_into(c, nn_zeros2(c, NN_F32, 3, 2), parts, 2, index, table, at);
    nn_status(c, &err);
    cr_assert_str_eq(err.msg, "nn_assemble_into: y (3,2) f32 and 4 rows of the table (2,2) f32 "
                              "differ, or a tape records");
    fixture_close(&f);
}

/* ---- failure -----------------------------------------------------------------------------------
 */

Test(ops, a_misfit_names_the_operation_and_both_shapes)
{
    fixture f = fixture_open(1);
    me_err err = {0};
    nn_tensor *x = nn_zeros2(&f.ctx, NN_F32, 3, 4), *w = nn_zeros2(&f.ctx, NN_F32, 5, 6);
    nn_tensor *y = nn_linear(&f.ctx, x, w, NULL, NN_ACT_NONE);
    cr_assert_null(y->data);
    cr_assert_eq(nn_status(&f.ctx, &err), ME_EBUG);
    cr_assert_str_eq(err.msg, "nn_linear: x (3,4) f32 and weight (5,6) f32 do not fit "
                              "(want (M,K) and (N,K))");
    fixture_close(&f);
}

Test(ops, the_first_failure_sticks_until_reset)
{
    fixture f = fixture_open(1);
    nn_ctx *c = &f.ctx;
    me_err err = {0};
    nn_tensor *a = nn_zeros2(c, NN_F32, 2, 2), *b = nn_zeros2(c, NN_F32, 2, 3);
    nn_tensor *bad = nn_add(c, a, b, 1, 1);
    nn_tensor *later = nn_layernorm(c, nn_linear(c, bad, a, NULL, NN_ACT_SILU), bad, NULL, NULL, 1);
    cr_assert_null(later->data);
    cr_assert_null(nn_mse(c, later, a, NULL, 1)->data);
    nn_status(c, &err);
    cr_assert_str_eq(err.msg, "nn_add: (2,2) f32 and (2,3) f32 differ");
    nn_reset(c);
    cr_assert_eq(nn_status(c, NULL), ME_OK);
    fixture_close(&f);
}

Test(ops, an_index_outside_its_table_is_refused)
{
    fixture f = fixture_open(1);
    me_err err = {0};
    cr_assert_null(nn_index_new(&f.ctx, (int32_t[]){0, 5}, 2, 5));
    nn_status(&f.ctx, &err);
    cr_assert_str_eq(err.msg, "nn_index_new: place 1 points at row 5 of 5");
    nn_reset(&f.ctx);
    cr_assert_null(nn_packing_new(&f.ctx, (int32_t[]){3, -1}, 2));
    fixture_close(&f);
}

Test(ops, a_rewind_gives_memory_back)
{
    fixture f = fixture_open(1);
    nn_tensor *kept = nn_from_host(&f.ctx, (float[]){1, 2}, 1, 2);
    void *first = NULL;
    for (int i = 0; i < 50; i++) {
        nn_mark_state mark = nn_mark(&f.ctx);
        nn_tensor *big = nn_new2(&f.ctx, NN_F32, 1000, 1000 * (i % 5 + 1));
        if (i == 5) first = big->data;
        if (i > 5 && i % 5 == 0) cr_assert_eq(big->data, first);
        nn_rewind(&f.ctx, mark);
    }
    expect_near(&f.ctx, kept, (float[]){1, 2}, 2, 1e-12);
    fixture_close(&f);
}

Test(ops, an_empty_batch_is_no_error)
{
    fixture f = fixture_open(2);
    nn_ctx *c = &f.ctx;
    nn_packing *none = nn_packing_new(c, NULL, 0);
    nn_tensor *x = nn_zeros2(c, NN_F32, 0, 12), *w = nn_zeros2(c, NN_F32, 12, 12);
    nn_tensor *y =
        nn_self_attention(c, nn_linear(c, x, w, NULL, NN_ACT_NONE), 2, none, NULL, false, 0);
    y = nn_mean_pool(c, nn_layernorm(c, y, NULL, NULL, NULL, 1e-5f), none);
    cr_assert_eq(nn_status(c, NULL), ME_OK);
    cr_assert_eq(y->shape[0], 0);
    fixture_close(&f);
}

Test(backend, names_and_absence_are_explained)
{
    nn_backend *be;
    me_err err = {0};
    cr_assert_eq(nn_backend_open(&be, "gpu", 0, &err), ME_EUSAGE);
    cr_assert_str_eq(err.msg, "device 'gpu' is none of auto, cpu, cuda, cuda:N");
    err.code = ME_OK;
    cr_assert_eq(nn_backend_open(&be, "cuda:x", 0, &err), ME_EUSAGE);
    cr_assert_eq(nn_backend_open(&be, "auto", 0, NULL), ME_OK);
    nn_backend_close(be);
#ifndef NN_WITH_CUDA
    err.code = ME_OK;
    cr_assert_eq(nn_backend_open(&be, "cuda", 0, &err), ME_EDEVICE);
    cr_assert_not_null(strstr(err.msg, "built without CUDA"));
#endif
}
