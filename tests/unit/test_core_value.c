#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/value.h"

Test(value, dictionaries_keep_order_and_replace)
{
    me_arena arena = {0};
    me_value *d = me_value_new(&arena, ME_DICT);
    for (int i = 0; i < 20; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i % 10);
        cr_assert_eq(me_dict_put(&arena, d, key, me_value_int(&arena, i), NULL), ME_OK);
    }
    cr_expect_eq(d->as.dict.length, 10);
    cr_expect_eq(me_dict_get(d, "k3")->as.integer, 13);
    cr_expect(me_string_equals(d->as.dict.keys[0], "k0"));
    cr_expect_null(me_dict_get(d, "k"));
    cr_expect_null(me_dict_get(NULL, "k"));
    cr_expect_null(me_dict_get(me_value_int(&arena, 1), "k"));
    me_arena_release(&arena);
}

Test(value, strings_with_a_nul_differ_from_their_start)
{
    me_arena arena = {0};
    me_value *v = me_value_string(&arena, "ab");
    v->as.string.length = 3; /* "ab\0" */
    cr_expect_not(me_string_equals(v, "ab"));
    me_arena_release(&arena);
}

Test(value, half_and_bfloat_convert_exactly)
{
    /* 1, -2, smallest subnormal, largest, infinity */
    static const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000};
    static const uint16_t brain[] = {0x3f80, 0xc000, 0x7f80, 0x0001};
    float f[6];
    double d[4];
    me_array a = me_array_make(ME_F16, 1, (int64_t[]){6}, half);
    cr_assert_eq(me_array_read_f32(&a, f, NULL), ME_OK);
    cr_expect_eq(f[0], 1.0f);
    cr_expect_eq(f[1], -2.0f);
    cr_expect_eq(f[2], 0x1p-24f);
    cr_expect_eq(f[3], 65504.0f);
    cr_expect(isinf(f[4]));
    cr_expect(f[5] == 0.0f && signbit(f[5]));
    a = me_array_make(ME_BF16, 1, (int64_t[]){4}, brain);
    cr_assert_eq(me_array_read_f64(&a, d, NULL), ME_OK);
    cr_expect_eq(d[0], 1.0);
    cr_expect_eq(d[1], -2.0);
    cr_expect(isinf(d[2]));
    cr_expect_eq(d[3], 0x1p-133);
}

Test(value, half_not_a_number_stays_one)
{
    static const uint16_t half = 0x7e00;
    float f;
    me_array a = me_array_make(ME_F16, 0, NULL, &half);
    cr_assert_eq(me_array_read_f32(&a, &f, NULL), ME_OK);
    cr_expect(isnan(f));
}

Test(value, strides_are_followed)
{
    static const int32_t data[] = {0, 1, 2, 3, 4, 5};
    me_array a = me_array_make(ME_I32, 2, (int64_t[]){2, 3}, data);
    cr_expect(me_array_contiguous(&a));
    a.shape[0] = 3, a.shape[1] = 2;
    a.stride[0] = 1, a.stride[1] = 3; /* the transpose */
    cr_expect_not(me_array_contiguous(&a));
    float f[6];
    int64_t n[6];
    cr_assert_eq(me_array_read_f32(&a, f, NULL), ME_OK);
    cr_assert_eq(me_array_read_i64(&a, n, NULL), ME_OK);
    static const float expected[] = {0, 3, 1, 4, 2, 5};
    for (int i = 0; i < 6; i++) {
        cr_expect_eq(f[i], expected[i]);
        cr_expect_eq(n[i], (int64_t)expected[i]);
    }
}

Test(value, swapped_and_unaligned_data_read_right)
{
    static const unsigned char bytes[] = {9, 0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0};
    float f[2];
    me_array a = me_array_make(ME_F32, 1, (int64_t[]){2}, bytes + 1);
    a.swapped = true;
    cr_assert_eq(me_array_read_f32(&a, f, NULL), ME_OK);
    cr_expect_eq(f[0], 1.5f);
    cr_expect_eq(f[1], -2.0f);
}

Test(value, swapped_complex_keeps_its_halves_in_place)
{
    static const unsigned char bytes[] = {0x3f, 0x80, 0, 0, 0x40, 0, 0, 0};
    float f[2];
    me_array a = me_array_make(ME_C64, 1, (int64_t[]){1}, bytes);
    a.swapped = true;
    me_array_read_same(&a, f);
    cr_expect_eq(f[0], 1.0f);
    cr_expect_eq(f[1], 2.0f);
}

Test(value, columns_are_cut_out)
{
    static const float data[] = {0, 1, 2, 3, 10, 11, 12, 13};
    float f[4];
    me_err err = {0};
    me_array a = me_array_make(ME_F32, 2, (int64_t[]){2, 4}, data);
    cr_assert_eq(me_array_read_columns_f32(&a, 1, 3, f, NULL), ME_OK);
    cr_expect(f[0] == 1 && f[1] == 2 && f[2] == 11 && f[3] == 12);
    cr_expect_eq(me_array_read_columns_f32(&a, 0, 5, f, &err), ME_EDATA);
    cr_expect_str_eq(err.msg, "expected a table with at least 5 columns, found float32 (2, 4)");
}

Test(value, conversions_that_lose_meaning_are_refused)
{
    static const uint64_t large = UINT64_MAX;
    static const double real = 1.0;
    int64_t n;
    float f;
    me_array a = me_array_make(ME_U64, 0, NULL, &large);
    cr_expect_eq(me_array_read_i64(&a, &n, NULL), ME_EDATA);
    a = me_array_make(ME_F64, 0, NULL, &real);
    cr_expect_eq(me_array_read_i64(&a, &n, NULL), ME_EDATA);
    a = me_array_make(ME_C64, 0, NULL, &real);
    cr_expect_eq(me_array_read_f32(&a, &f, NULL), ME_EDATA);
}

Test(value, arrays_describe_themselves)
{
    char text[64], little[8];
    me_array a = me_array_make(ME_F32, 2, (int64_t[]){12, 66}, NULL);
    cr_expect_str_eq(me_array_describe(&a, text, sizeof text), "float32 (12, 66)");
    a.ndim = 1;
    cr_expect_str_eq(me_array_describe(&a, text, sizeof text), "float32 (12,)");
    cr_expect_str_eq(me_array_describe(&a, little, sizeof little), "float32");
    a.shape[0] = 0;
    cr_expect_eq(me_array_count(&a), 0);
}
