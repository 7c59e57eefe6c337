/* The body: its table, forward kinematics, and the fit that undoes it. */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "motion/mat3.h"
#include "motion/motion.h"

static void identity_pose(float *row)
{
    memset(row, 0, MOTION_POSE * sizeof *row);
    for (int j = 0; j < MOTION_JOINTS; j++) row[3 + 6 * j] = row[3 + 6 * j + 4] = 1;
}

Test(skeleton, parents_come_before_their_children)
{
    cr_assert_eq(motion_parents[0], -1);
    for (int j = 1; j < MOTION_JOINTS; j++)
        cr_assert(motion_parents[j] >= 0 && motion_parents[j] < j);
}

Test(skeleton, mirroring_twice_is_the_identity_and_keeps_parents)
{
    for (int j = 0; j < MOTION_JOINTS; j++) {
        int m = motion_mirror_joint[j];
        cr_assert_eq(motion_mirror_joint[m], j);
        if (j > 0) cr_assert_eq(motion_mirror_joint[motion_parents[j]], motion_parents[m]);
        if (m != j) cr_assert_str_neq(motion_joint_names[j], motion_joint_names[m]);
    }
}

Test(skeleton, the_mean_body_is_symmetric)
{
    for (int j = 0; j < MOTION_JOINTS; j++) {
        const double *a = motion_mean_body.offset[j],
                     *b = motion_mean_body.offset[motion_mirror_joint[j]];
        cr_assert_eq(a[0], -b[0]);
        cr_assert_eq(a[1], b[1]);
        cr_assert_eq(a[2], b[2]);
    }
}

Test(skeleton, at_rest_joints_stand_where_the_offsets_add_up)
{
    float row[MOTION_POSE], p[MOTION_JOINTS * 3];
    identity_pose(row);
    row[0] = 1, row[1] = 2, row[2] = 3;
    motion_forward_kinematics(&motion_mean_body, row, 1, p);
    cr_assert_float_eq(p[0], 1, 1e-7);
    /* left ankle: hip + knee + ankle offsets */
    cr_assert_float_eq(p[3 * 7 + 0], 1 + 0.09064, 1e-6);
    cr_assert_float_eq(p[3 * 7 + 1], 2 - 0.09959 - 0.40138 - 0.43209, 1e-6);
    cr_assert_float_eq(p[3 * 7 + 2], 3 + 0.04101, 1e-6);
}

Test(skeleton, a_body_stood_up_in_the_world_has_its_head_above_its_feet)
{
    float row[MOTION_POSE], p[MOTION_JOINTS * 3];
    const float up[3] = {(float)(MOTION_PI / 2), 0, 0};
    identity_pose(row);
    motion_aa_to_6d(up, row + 3);
    motion_forward_kinematics(&motion_mean_body, row, 1, p);
    cr_assert_gt(p[3 * 15 + 2], 0.5);  /* head */
    cr_assert_lt(p[3 * 7 + 2], -0.9);  /* left ankle */
    cr_assert_lt(p[3 * 10 + 1], -0.1); /* toes point to -y */
    cr_assert_gt(p[3 * 20 + 0], 0.7);  /* left wrist on +x */
}

Test(skeleton, a_rotation_moves_children_and_not_the_joint_itself)
{
    float row[MOTION_POSE], p[MOTION_JOINTS * 3];
    const float bend[3] = {0, 0, (float)(MOTION_PI / 2)};
    identity_pose(row);
    motion_aa_to_6d(bend,
                    row + 3 + 6 * 18); /* left elbow about z: the forearm turns from +x to +y */
    motion_forward_kinematics(&motion_mean_body, row, 1, p);
    cr_assert_float_eq(p[3 * 20 + 0], p[3 * 18 + 0], 1e-6);
    cr_assert_float_eq(p[3 * 20 + 1], p[3 * 18 + 1] + 0.28261f, 1e-6);
}

Test(skeleton, a_fit_finds_the_body_that_made_the_positions)
{
    enum { T = 40 };
    static float pose[T * MOTION_POSE], joints[T * MOTION_JOINTS * 3];
    motion_skeleton body = motion_mean_body, found;
    me_rng g = me_rng_make(9, 0);
    double residual;
    me_err err = {0};
    for (int j = 1; j < MOTION_JOINTS; j++)
        for (int k = 0; k < 3; k++) body.offset[j][k] += me_rng_range(&g, -0.05, 0.05);
    for (int i = 0; i < T * MOTION_POSE; i++) pose[i] = (float)me_rng_normal(&g);
    motion_orthonormalize(pose, T);
    motion_forward_kinematics(&body, pose, T, joints);
    motion_clip clip = {T, pose, joints};
    cr_assert_eq(motion_skeleton_fit(&found, &clip, 1, &residual, &err), ME_OK, "%s", err.msg);
    cr_assert_lt(residual, 1e-3);
    for (int j = 0; j < MOTION_JOINTS; j++)
        for (int k = 0; k < 3; k++) cr_assert_float_eq(found.offset[j][k], body.offset[j][k], 1e-6);
}

Test(skeleton, what_no_rigid_body_explains_is_left_as_residual)
{
    float pose[2 * MOTION_POSE], joints[2 * MOTION_JOINTS * 3];
    motion_skeleton found;
    double residual;
    identity_pose(pose);
    identity_pose(pose + MOTION_POSE);
    motion_forward_kinematics(&motion_mean_body, pose, 2, joints);
    joints[3 * 15] += 0.021f; /* the head, 10.5 mm to either side of where it is in the mean */
    motion_clip clip = {2, pose, joints};
    cr_assert_eq(motion_skeleton_fit(&found, &clip, 1, &residual, NULL), ME_OK);
    cr_assert_float_eq(residual, 10.5 / sqrt(21), 1e-3);
}

Test(skeleton, a_fit_without_positions_is_refused)
{
    float pose[MOTION_POSE];
    identity_pose(pose);
    motion_clip clip = {1, pose, NULL};
    motion_skeleton found;
    me_err err = {0};
    cr_assert_eq(motion_skeleton_fit(&found, &clip, 1, NULL, &err), ME_EDATA);
}
