/* What evaluation asks of one clip: is it made of rotations, where does it face. */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "motion/mat3.h"
#include "motion/motion.h"

static motion_clip random_clip(me_arena *arena, int64_t frames, bool joints)
{
    motion_clip c;
    me_rng g = me_rng_make(5, 0);
    cr_assert_eq(motion_clip_new(&c, arena, frames, joints, NULL), ME_OK);
    for (int64_t i = 0; i < frames * MOTION_POSE; i++) c.pose[i] = (float)me_rng_normal(&g);
    motion_orthonormalize(c.pose, frames);
    if (joints) motion_forward_kinematics(&motion_mean_body, c.pose, frames, c.joints);
    return c;
}

Test(clip, an_absurd_length_is_refused)
{
    me_arena arena = {0};
    motion_clip c;
    me_err err = {0};
    cr_assert_eq(motion_clip_new(&c, &arena, -1, false, &err), ME_EDATA);
    cr_assert_eq(motion_clip_new(&c, &arena, INT64_MAX, false, NULL), ME_EDATA);
    me_arena_release(&arena);
}

Test(clip, rotations_deviate_by_nothing_and_others_by_the_worst_of_their_products)
{
    me_arena arena = {0};
    motion_clip c = random_clip(&arena, 3, false);
    cr_assert_lt(motion_orthonormal_deviation(c.pose, 3), 1e-6);
    float *d = c.pose + MOTION_POSE + 3;
    memcpy(d, (float[6]){1.5f, 0, 0, 0.1f, 1, 0}, 6 * sizeof *d); /* |a|^2 - 1 = 1.25 */
    cr_assert_float_eq(motion_orthonormal_deviation(c.pose, 3), 1.25, 1e-6);
    motion_orthonormalize(c.pose, 3);
    cr_assert_lt(motion_orthonormal_deviation(c.pose, 3), 1e-6);
    cr_assert_float_eq(d[0], 1, 1e-7);
    cr_assert_float_eq(d[3], 0, 1e-7);
    me_arena_release(&arena);
}

Test(clip, heading_is_the_yaw_about_the_vertical)
{
    float row[MOTION_POSE] = {0};
    for (double yaw = -3; yaw < 3; yaw += 0.37) {
        double r[9], tilt[9];
        motion_mat3_axis(r, 2, yaw);
        motion_mat3_axis(tilt, 0, 1.1); /* about the body's own x: it does not turn r00, r10 */
        motion_mat3_mul(r, r, tilt);
        motion_mat3_to_6d(row + 3, r);
        cr_assert_float_eq(motion_heading(row), yaw, 1e-6);
    }
}

Test(clip, the_mean_of_headings_goes_round_the_circle)
{
    const double across[2] = {MOTION_PI - 0.1, -MOTION_PI + 0.3};
    cr_assert_float_eq(motion_circular_mean(across, 2), -MOTION_PI + 0.1, 1e-12);
}

Test(clip, a_given_heading_turns_positions_too_and_changes_no_feature_but_the_pelvis)
{
    enum { T = 6 };
    me_arena arena = {0};
    motion_clip c = random_clip(&arena, T, true);
    float before[T * MOTION_POSE], after[T * MOTION_POSE], joints[T * MOTION_JOINTS * 3];
    float start[2] = {c.pose[0], c.pose[1]};
    motion_features(c.pose, T, before);
    motion_set_heading(&c, 0.6);
    cr_assert_float_eq(motion_heading(c.pose), 0.6, 1e-6);
    cr_assert_float_eq(c.pose[0], start[0], 1e-6);
    cr_assert_float_eq(c.pose[1], start[1], 1e-6);
    motion_features(c.pose, T, after);
    for (int t = 0; t < T; t++)
        for (int k = 0; k < 129; k++)
            cr_assert_float_eq(before[t * MOTION_POSE + k], after[t * MOTION_POSE + k], 2e-5);
    motion_forward_kinematics(&motion_mean_body, c.pose, T, joints);
    for (int i = 0; i < T * MOTION_JOINTS * 3; i++)
        cr_assert_float_eq(joints[i], c.joints[i], 1e-5);
    me_arena_release(&arena);
}

Test(clip, notes_keep_their_order)
{
    me_arena arena = {0};
    motion_notes notes = {0};
    for (int i = 0; i < 20; i++) motion_note(&notes, &arena, "note %d", i);
    cr_assert_eq(notes.n, 20);
    cr_assert_str_eq(notes.items[0], "note 0");
    cr_assert_str_eq(notes.items[19], "note 19");
    me_arena_release(&arena);
}
