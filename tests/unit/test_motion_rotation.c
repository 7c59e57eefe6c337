/* Rotations agree with the reference to the last printed digit (spec evaluation 10.1, 10.2), and
 * the double versions keep the identities that make them rotations. */
#include <criterion/criterion.h>

#include <math.h>

#include "core/rng.h"
#include "motion/mat3.h"
#include "motion/motion.h"

/* Equal when both round to the same nine digits, which tell all floats apart. */
static void same(const float *found, const double *wanted, int n, const char *what)
{
    for (int i = 0; i < n; i++)
        cr_assert_eq(found[i], (float)wanted[i], "%s[%d]: %.9g, not %.9g", what, i,
                     (double)found[i], wanted[i]);
}

Test(rotation, axis_angle_to_6d_is_the_references)
{
    static const struct {
        float aa[3];
        double d[6];
    } rows[] = {
        {{0.3f, -0.2f, 0.5f},
         {0.859533906, -0.497991532, -0.11491695, 0.439867646, 0.835315585, -0.329794347}},
        {{0, 0, 0}, {1, 0, 0, 0, 1, 0}},
        {{1e-7f, -2e-7f, 3e-7f},
         {1, -3.00000011e-07, -1.99999988e-07, 3.00000011e-07, 1, -1.0000003e-07}},
        {{3.14159274f, 0, 0}, {1, 0, 0, 0, -1, 8.74227766e-08}},
        {{0, 0, 1.5707964f}, {0, -1, 0, 1, 0, 0}},
        {{1.2f, -2.5f, 0.7f},
         {-0.61548543, -0.787054718, -0.0415061153, -0.651062846, 0.537405491, -0.536015332}},
        {{2, 3, -1},
         {-0.303784966, 0.631349623, -0.713521004, 0.933192253, 0.348107576, -0.089292787}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float d[6];
        motion_aa_to_6d(rows[i].aa, d);
        /* The two entries at right angles are cos(pi/2), whose printed value was rounded to 0. */
        for (int k = 0; k < 6; k++)
            if (rows[i].d[k] == 0)
                cr_assert_float_eq(d[k], 0, 1e-7);
            else
                cr_assert_eq(d[k], (float)rows[i].d[k], "row %zu[%d]: %.9g, not %.9g", i, k,
                             (double)d[k], rows[i].d[k]);
    }
}

Test(rotation, many_at_once_have_the_bits_of_one)
{
    enum { MOST = 67 };
    float aa[3 * MOST], many[6 * MOST + 1], one[6];
    me_rng g = me_rng_make(5, 0);
    for (int i = 0; i < 3 * MOST; i++)
        aa[i] = (float)me_rng_range(&g, -4, 4) * (i / 3 % 5 == 0 ? 1e-7f : 1);
    for (int k = 0; k < 3; k++) aa[3 * 10 + k] = 0;
    for (int n = 0; n <= MOST; n += n < 3 ? 1 : 8) {
        many[6 * n] = 7;
        motion_aa_to_6d_rows(aa, n, many);
        cr_assert_eq(many[6 * n], 7);
        for (int i = 0; i < n; i++) {
            motion_aa_to_6d(aa + 3 * i, one);
            cr_assert_arr_eq(many + 6 * i, one, sizeof one, "row %d of %d", i, n);
        }
    }
}

Test(rotation, the_third_row_of_a_matrix_is_the_references)
{
    const float aa[3] = {0.3f, -0.2f, 0.5f};
    const double third[3] = {0.260226727, 0.232921183, 0.937032461};
    float r[9];
    motion_aa_to_matrix(aa, r);
    same(r + 6, third, 3, "third row");
}

Test(rotation, joints_are_taken_in_order)
{
    const double first[6] = {0.997950852,  -0.0493585989, 0.040716365,
                             0.0505580977, 0.998300731,   -0.0289754253};
    const double last[6] = {0.624852657, -0.343024135, 0.701351225,
                            0.706584811, 0.630578399,  -0.32110554};
    float rots[66], d[6];
    for (int c = 0; c < 66; c++) rots[c] = 0.01f * (float)c;
    motion_aa_to_6d(rots + 3, d);
    same(d, first, 6, "joint 1");
    motion_aa_to_6d(rots + 63, d);
    same(d, last, 6, "joint 21");
}

Test(rotation, six_numbers_to_a_matrix_are_the_references)
{
    const float d[6] = {0.9f, 0.1f, -0.2f, 0.05f, 1.1f, 0.3f};
    const double wanted[9] = {0.970494926, 0.107832775, -0.215665549, -0.043476861, 0.958025634,
                              0.283366919, 0.23716937,  -0.265629679, 0.934447229};
    float r[9];
    motion_6d_to_matrix(d, r);
    same(r, wanted, 9, "r");
}

Test(rotation, degenerate_six_numbers_have_no_special_case)
{
    static const struct {
        float d[6];
        double r[9];
    } rows[] = {
        {{0}, {0}},
        {{1, 0, 0, 2, 0, 0}, {1}},
        {{1e-13f, 0, 0, 0, 1, 0}, {0.100000001, 0, 0, 0, 1, 0, 0, 0, 0.100000001}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float r[9];
        motion_6d_to_matrix(rows[i].d, r);
        same(r, rows[i].r, 9, "r");
    }
}

static void random_rotation(me_rng *g, double r[9], double largest)
{
    double aa[3];
    for (int i = 0; i < 3; i++) aa[i] = me_rng_normal(g);
    double n = sqrt(aa[0] * aa[0] + aa[1] * aa[1] + aa[2] * aa[2]),
           angle = me_rng_range(g, 0, largest);
    for (int i = 0; i < 3; i++) aa[i] *= angle / n;
    motion_mat3_from_aa(r, aa);
}

Test(rotation, axis_angle_there_and_back_is_the_same_rotation)
{
    me_rng g = me_rng_make(1, 0);
    for (int i = 0; i < 2000; i++) {
        double r[9], aa[3], back[9];
        random_rotation(&g, r, MOTION_PI);
        motion_mat3_to_aa(aa, r);
        motion_mat3_from_aa(back, aa);
        for (int k = 0; k < 9; k++) cr_assert_float_eq(r[k], back[k], 1e-12);
    }
}

Test(rotation, half_a_turn_about_each_axis_is_found)
{
    for (int axis = 0; axis < 3; axis++) {
        double r[9], aa[3];
        motion_mat3_axis(r, axis, MOTION_PI);
        motion_mat3_to_aa(aa, r);
        for (int k = 0; k < 3; k++)
            cr_assert_float_eq(fabs(aa[k]), k == axis ? MOTION_PI : 0, 1e-12);
    }
}

Test(rotation, an_axis_turns_the_next_into_the_one_after)
{
    for (int axis = 0; axis < 3; axis++) {
        double r[9], v[3] = {0};
        v[(axis + 1) % 3] = 1;
        motion_mat3_axis(r, axis, MOTION_PI / 2);
        motion_mat3_apply(v, r, v);
        cr_assert_float_eq(v[(axis + 2) % 3], 1, 1e-15);
    }
}

Test(rotation, slerp_is_at_its_ends_and_halves_the_angle_between)
{
    me_rng g = me_rng_make(2, 0);
    for (int i = 0; i < 200; i++) {
        double a[9], b[9], m[9], d[9], whole, half;
        random_rotation(&g, a, MOTION_PI);
        random_rotation(&g, d, 3);
        motion_mat3_mul(b, a, d);
        whole = motion_mat3_angle(d);
        motion_mat3_slerp(m, a, b, 0.5);
        motion_mat3_tmul(d, a, m);
        half = motion_mat3_angle(d);
        cr_assert_float_eq(half, whole / 2, 1e-10);
        motion_mat3_slerp(m, a, b, 1);
        for (int k = 0; k < 9; k++) cr_assert_float_eq(m[k], b[k], 1e-12);
    }
}

Test(rotation, the_shortest_rotation_takes_one_direction_to_the_other)
{
    me_rng g = me_rng_make(3, 0);
    for (int i = 0; i < 200; i++) {
        double a[3], b[3], r[9], v[3], na = 0, nb = 0;
        for (int k = 0; k < 3; k++)
            a[k] = me_rng_normal(&g), b[k] = i % 2 ? me_rng_normal(&g) : -2 * a[k];
        for (int k = 0; k < 3; k++) na += a[k] * a[k], nb += b[k] * b[k];
        motion_mat3_between(r, a, b);
        motion_mat3_apply(v, r, a);
        for (int k = 0; k < 3; k++) cr_assert_float_eq(v[k] / sqrt(na), b[k] / sqrt(nb), 1e-9);
    }
}

Test(rotation, a_zero_direction_gives_the_identity)
{
    const double zero[3] = {0}, x[3] = {1, 0, 0};
    double r[9];
    motion_mat3_between(r, zero, x);
    cr_assert_eq(motion_mat3_angle(r), 0);
}

Test(rotation, float_and_double_agree)
{
    me_rng g = me_rng_make(4, 0);
    for (int i = 0; i < 500; i++) {
        double r[9], again[9];
        float d[6], rf[9], aa[3];
        random_rotation(&g, r, MOTION_PI);
        motion_mat3_to_6d(d, r);
        motion_6d_to_matrix(d, rf);
        motion_mat3_from_6d(again, d);
        for (int k = 0; k < 9; k++) cr_assert_float_eq((double)rf[k], again[k], 1e-6);
        motion_matrix_to_aa(rf, aa);
        motion_aa_to_matrix(aa, rf);
        for (int k = 0; k < 9; k++) cr_assert_float_eq((double)rf[k], r[k], 1e-6);
    }
}
