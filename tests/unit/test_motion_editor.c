/* The 207 editor features against the reference's values (spec omnime 11.3). */
#include <criterion/criterion.h>
#include <math.h>

#include "motion/editor.h"

#define FRAMES 12

static void fill(float *pose, float *joints)
{
    for (int i = 0; i < FRAMES; i++) {
        float *p = pose + i * MOTION_POSE;
        float trans[3] = {(float)(0.02 * i), (float)(0.05 * sin(0.4 * i)),
                          (float)(0.03 * cos(0.2 * i))};
        for (int c = 0; c < 3; c++) p[c] = trans[c];
        for (int j = 0; j < MOTION_JOINTS; j++) {
            float aa[3];
            for (int c = 0; c < 3; c++) {
                int k = 3 * j + c;
                aa[c] = (float)(0.4 * sin(0.3 * i + 0.7 * k) + (k == 0 ? 1.3 : 0));
                joints[(i * MOTION_JOINTS + j) * 3 + c] =
                    (float)(trans[c] + 0.3 * sin(0.5 * j + 1.1 * c + 0.1 * i));
            }
            motion_aa_to_6d(aa, j ? p + 9 + 6 * (j - 1) : p + 3);
        }
    }
}

static void near_all(const float *found, const double *wanted, int n, double tolerance)
{
    for (int i = 0; i < n; i++)
        cr_assert_float_eq(found[i], wanted[i], tolerance, "element %d: wanted %.7f, found %.7f", i,
                           wanted[i], found[i]);
}

static double sum_abs(const float *x, int64_t rows, int64_t stride, int from, int width)
{
    double s = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int c = 0; c < width; c++) s += fabs(x[i * stride + from + c]);
    return s;
}

Test(editor, features_are_the_reference_s)
{
    static float pose[FRAMES * MOTION_POSE], joints[FRAMES * MOTION_JOINTS * 3];
    static float x[FRAMES * MOTION_EDITOR];
    fill(pose, joints);
    motion_editor_features(pose, joints, FRAMES, x);
    const float *f = x + 5 * MOTION_EDITOR;
    near_all(f, (double[]){0.0173096, -0.0016284, 0.0118370}, 3, 3e-7);
    near_all(f + 3, (double[]){0.9926060, 0.1198507, -0.0192122, 0, -0.1582805, -0.9873942}, 6,
             3e-7);
    near_all(f + 9, (double[]){0.9949427, 0.1004445, 0, -0.1004445, 0.9949427, 0}, 6, 3e-7);
    near_all(f + 15, (double[]){0.8629177, 0.3954834, -0.3145886, -0.3322889, 0.9130726, 0.2363946},
             6, 3e-7);
    near_all(f + 144,
             (double[]){0.0936004, -0.0686254, -0.1457262, 0.1106139, -0.1816853, -0.2871648}, 6,
             3e-7);
    near_all(f + 204, (double[]){-0.5444399, -0.2993114, 0.0494081}, 3, 3e-7);
    static const double sums[] = {0.37202, 26.50150, 25.86169, 712.40701, 196.36948};
    for (int g = 0; g < MOTION_EDITOR_GROUPS; g++)
        cr_assert_float_eq(sum_abs(x, FRAMES, MOTION_EDITOR, motion_editor_groups[g].offset,
                                   motion_editor_groups[g].width),
                           sums[g], 2e-5 * sums[g] + 1e-5);
}

Test(editor, the_way_back_is_the_reference_s_also_for_rows_that_are_not_orthonormal)
{
    static float pose[FRAMES * MOTION_POSE], joints[FRAMES * MOTION_JOINTS * 3];
    static float x[FRAMES * MOTION_EDITOR], bent[FRAMES * MOTION_EDITOR],
        back[FRAMES * MOTION_POSE];
    fill(pose, joints);
    motion_editor_features(pose, joints, FRAMES, x);
    motion_editor_stats s = {.translation_mean = {0.5F, -0.25F, 0.125F}, .frames = 1};
    for (int c = 0; c < MOTION_EDITOR; c++) {
        s.mean[c] = 0.1F;
        s.std[c] = 0.5F;
    }
    motion_editor_normalize(x, FRAMES, &s);
    cr_assert_float_eq(sum_abs(x, FRAMES, MOTION_EDITOR, 0, MOTION_EDITOR), 976.31351, 2e-3);
    for (int i = 0; i < FRAMES; i++)
        for (int d = 0; d < MOTION_EDITOR; d++)
            bent[i * MOTION_EDITOR + d] =
                (float)(x[i * MOTION_EDITOR + d] + 0.05 * sin(0.9 * d + 0.2 * i));

    motion_editor_denormalize(x, FRAMES, &s);
    motion_editor_to_pose(x, FRAMES, s.translation_mean, back);
    near_all(back + 5 * MOTION_POSE,
             (double[]){0.6098449, -0.2510748, 0.1112091, 0.9792764, 0.0923888, -0.1802283,
                        -0.1621254, -0.1757305, -0.9709965},
             9, 1e-6);
    cr_assert_float_eq(sum_abs(back, FRAMES, MOTION_POSE, 0, MOTION_POSE), 755.83567, 1e-3);

    motion_editor_denormalize(bent, FRAMES, &s);
    motion_editor_to_pose(bent, FRAMES, s.translation_mean, back);
    near_all(back + 5 * MOTION_POSE,
             (double[]){0.7347960, -0.4112061, 0.3681778, 0.9850148, 0.0583448, -0.1623013,
                        -0.1534412, -0.1332279, -0.9791353},
             9, 2e-6);
    cr_assert_float_eq(sum_abs(back, FRAMES, MOTION_POSE, 0, MOTION_POSE), 762.50748, 1e-3);
}

Test(editor, a_round_trip_turns_the_first_heading_to_zero_and_keeps_the_path_s_shape)
{
    static float pose[FRAMES * MOTION_POSE], joints[FRAMES * MOTION_JOINTS * 3];
    static float x[FRAMES * MOTION_EDITOR], back[FRAMES * MOTION_POSE];
    fill(pose, joints);
    motion_editor_features(pose, joints, FRAMES, x);
    motion_editor_to_pose(x, FRAMES, (float[]){0, 0, 0}, back);
    float first[9];
    motion_6d_to_matrix(back + 3, first);
    cr_assert_float_eq(atan2(first[3], first[0]), 0, 1e-6);
    for (int i = 1; i < FRAMES; i++) {
        double before = 0, after = 0;
        for (int c = 0; c < 3; c++) {
            before += pow((double)pose[i * MOTION_POSE + c] - pose[(i - 1) * MOTION_POSE + c], 2);
            after += pow((double)back[i * MOTION_POSE + c] - back[(i - 1) * MOTION_POSE + c], 2);
        }
        cr_assert_float_eq(sqrt(before), sqrt(after), 1e-6);
    }
}

Test(editor, constant_channels_are_exact)
{
    static float pose[FRAMES * MOTION_POSE], joints[FRAMES * MOTION_JOINTS * 3];
    static float x[FRAMES * MOTION_EDITOR];
    fill(pose, joints);
    motion_editor_features(pose, joints, FRAMES, x);
    static const int channels[] = {6, 11, 14, 141, 142, 143};
    for (int i = 0; i < FRAMES; i++)
        for (int k = 0; k < 6; k++) cr_assert_eq(x[i * MOTION_EDITOR + channels[k]], 0.0F);
}

Test(editor, small_deviations_are_raised_but_not_those_of_constants)
{
    motion_editor_stats s = {.frames = 2};
    for (int c = 0; c < MOTION_EDITOR; c++) s.std[c] = c % 2 ? 0.01F : 0.5F;
    s.std[6] = s.std[11] = 0;
    motion_editor_stats before = s;
    cr_expect_eq(motion_editor_stats_floor(&s, 0), 0);
    cr_expect_eq(memcmp(&s, &before, sizeof s), 0);
    /* 103 odd channels, less 11, 141 and 143. */
    cr_expect_eq(motion_editor_stats_floor(&s, 0.05), 100);
    cr_expect_eq(s.std[1], 0.05F);
    cr_expect_eq(s.std[2], 0.5F);
    cr_expect_eq(s.std[6], 0);
    cr_expect_eq(s.std[11], 0);
    cr_expect_eq(motion_editor_stats_floor(&s, 0.05), 0);
}
