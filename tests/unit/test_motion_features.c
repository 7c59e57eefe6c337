/* The features that the encoder reads: the reference's numbers (spec evaluation 10.3, 10.7) and the
 * traps of their layout. */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "motion/motion.h"

static void set_pose(float *row, const float trans[3], const float pelvis[3])
{
    memcpy(row, trans, 3 * sizeof *row);
    motion_aa_to_6d(pelvis, row + 3);
}

Test(features, delta_is_in_the_pelvis_frame_of_the_frame_before)
{
    static const float aa[4][3] = {
        {0, 0, 0}, {0, 0, 0.5f}, {0.1f, 0.2f, 0.3f}, {0.4f, -0.1f, 1.2f}};
    static const float trans[4][3] = {
        {0.1f, 0.2f, 0.9f}, {0.15f, 0.22f, 0.91f}, {0.3f, 0.1f, 0.95f}, {0.35f, 0.4f, 0.9f}};
    static const double wanted[4][3] = {{0, 0, 0},
                                        {0.0500000045, 0.0199999958, 0.0100000501},
                                        {0.0741063282, -0.177223742, 0.0399999619},
                                        {0.146694571, 0.264649242, -0.058664348}};
    float pose[4 * MOTION_POSE] = {0}, f[4 * MOTION_POSE];
    for (int t = 0; t < 4; t++) set_pose(pose + t * MOTION_POSE, trans[t], aa[t]);
    motion_features(pose, 4, f);
    for (int t = 0; t < 4; t++)
        for (int i = 0; i < 3; i++)
            cr_assert_eq(f[t * MOTION_POSE + i], (float)wanted[t][i],
                         "frame %d[%d]: %.9g, not %.9g", t, i, (double)f[t * MOTION_POSE + i],
                         wanted[t][i]);
}

Test(features, body_comes_before_pelvis)
{
    float pose[MOTION_POSE], f[MOTION_POSE];
    for (int c = 0; c < MOTION_POSE; c++) pose[c] = (float)c;
    motion_features(pose, 1, f);
    for (int c = 0; c < 3; c++) cr_assert_eq(f[c], 0);
    for (int c = 0; c < 126; c++) cr_assert_eq(f[3 + c], (float)(9 + c));
    for (int c = 0; c < 6; c++) cr_assert_eq(f[129 + c], (float)(3 + c));
}

Test(features, body_rows_that_are_no_rotation_stay_as_they_are)
{
    float pose[2 * MOTION_POSE] = {0}, f[2 * MOTION_POSE];
    for (int t = 0; t < 2; t++) pose[t * MOTION_POSE + 3] = 2, pose[t * MOTION_POSE + 7] = 3;
    pose[MOTION_POSE] = 0.5f;
    pose[9] = 42;
    motion_features(pose, 2, f);
    cr_assert_eq(f[3], 42);
    cr_assert_eq(f[129], 2);
    cr_assert_eq(f[MOTION_POSE], 0.5f); /* the delta's rotation is the orthonormalised one */
}

Test(features, a_spread_of_zero_divides_by_the_epsilon)
{
    float f[MOTION_POSE], mean[MOTION_POSE] = {0}, std[MOTION_POSE];
    for (int c = 0; c < MOTION_POSE; c++) f[c] = 3, std[c] = c ? 2 : 0;
    mean[1] = 1;
    motion_normalize(f, 1, mean, std);
    cr_assert_eq(f[0], 3 / 1e-12f);
    cr_assert_eq(f[1], 1);
    cr_assert_eq(f[2], 1.5f);
}

/* The synthetic case's portable numbers. */
static double hash_uniform(uint32_t k, uint32_t i)
{
    uint32_t h = i * 2654435761u + (k + 1) * 0x9E3779B9u;
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return (double)h / 4294967296.0;
}

static float hash_value(uint32_t k, uint32_t i, double s)
{
    return (float)((hash_uniform(k, i) - 0.5) * 2 * s);
}

static double normalized_sum(const float *pose, int frames, float *row1)
{
    static float f[20 * MOTION_POSE];
    float mean[MOTION_POSE], std[MOTION_POSE];
    double sum = 0;
    for (uint32_t c = 0; c < MOTION_POSE; c++) {
        mean[c] = hash_value(200, c, 0.1);
        std[c] = (float)(0.2 + 0.5 * hash_uniform(201, c));
    }
    motion_features(pose, frames, f);
    motion_normalize(f, frames, mean, std);
    for (int i = 0; i < frames * MOTION_POSE; i++) sum += (double)f[i];
    memcpy(row1, f + MOTION_POSE, MOTION_POSE * sizeof *row1);
    return sum;
}

static void near_all(const float *found, const double *wanted, int n)
{
    for (int i = 0; i < n; i++)
        cr_assert_float_eq((double)found[i], wanted[i], 2e-6, "[%d]: %.7f, not %.7f", i,
                           (double)found[i], wanted[i]);
}

Test(features, the_references_end_to_end_case_has_its_features)
{
    static float source[20 * MOTION_POSE], generated[19 * MOTION_POSE];
    static const double source_head[4] = {0.0214564, 0.0567990, -0.6052419, 2.2021440};
    static const double source_tail[3] = {2.8253649, -0.7307252, -0.7521750};
    static const double generated_head[4] = {-0.6725279, 0.4834568, -1.2820212, 1.8006925};
    float row1[MOTION_POSE];
    for (uint32_t t = 0; t < 20; t++)
        for (uint32_t j = 0; j < 22; j++) {
            float aa[3], *row = source + t * MOTION_POSE;
            for (uint32_t i = 0; i < 3; i++) {
                aa[i] = hash_value(1000, t * 66 + 3 * j + i, 0.6);
                if (j == 0) row[i] = hash_value(2000, t * 3 + i, 0.1);
            }
            motion_aa_to_6d(aa, row + 3 + 6 * j);
        }
    cr_assert_float_eq(normalized_sum(source, 20, row1), 1879.5627, 2e-3);
    near_all(row1, source_head, 4);
    near_all(row1 + 129, source_tail, 3);
    for (uint32_t t = 0; t < 19; t++)
        for (uint32_t j = 0; j < 22; j++) {
            float aa[3], *row = generated + t * MOTION_POSE;
            for (uint32_t i = 0; i < 3; i++) {
                aa[i] = hash_value(3000, t * 66 + 3 * j + i, 0.6);
                if (j == 0) row[i] = hash_value(4000, t * 3 + i, 0.1);
            }
            motion_aa_to_6d(aa, row + 3 + 6 * j);
        }
    for (uint32_t i = 0; i < 19 * MOTION_POSE; i++) generated[i] += hash_value(5000, i, 0.35);
    cr_assert_float_eq(normalized_sum(generated, 19, row1), 1775.6858, 2e-3);
    near_all(row1, generated_head, 4);
}
