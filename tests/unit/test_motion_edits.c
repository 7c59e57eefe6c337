/* Programmatic edits of a clip: lengths, sides, sizes, and that nothing jumps. */
#include <criterion/criterion.h>
#include <math.h>

#include "core/rng.h"
#include "motion/edits.h"
#include "motion/mat3.h"

/* A body that walks on at 1 m/s along its own forward direction and swings its left shoulder. */
static motion_clip swinging(me_arena *arena, int64_t frames)
{
    motion_clip c;
    cr_assert_eq(motion_clip_new(&c, arena, frames, false, NULL), ME_OK);
    for (int64_t t = 0; t < frames; t++) {
        float *row = c.pose + t * MOTION_POSE;
        double r[9], z[9];
        row[1] = -(float)t / MOTION_FPS;
        row[2] = 0.9F;
        motion_mat3_axis(r, 0, MOTION_PI / 2);
        motion_mat3_axis(z, 2, 0.02 * (double)t);
        motion_mat3_mul(r, z, r);
        motion_mat3_to_6d(row + 3, r);
        for (int j = 1; j < MOTION_JOINTS; j++) {
            motion_mat3_axis(r, 1, j == 16 ? 0.5 * sin(0.2 * (double)t) : 0);
            motion_mat3_to_6d(row + 3 + 6 * j, r);
        }
    }
    return c;
}

static void turn_of(double aa[3], const motion_clip *c, int64_t t, int j)
{
    double r[9];
    motion_mat3_from_6d(r, c->pose + t * MOTION_POSE + 3 + 6 * j);
    motion_mat3_to_aa(aa, r);
}

/* The largest turn of a joint, and the longest way of the root, from one frame to the next. */
static void largest_step(const motion_clip *c, double *turn, double *way)
{
    *turn = *way = 0;
    for (int64_t t = 1; t < c->frames; t++) {
        const float *a = c->pose + (t - 1) * MOTION_POSE, *b = a + MOTION_POSE;
        *way = fmax(*way, sqrt(pow((double)(b[0] - a[0]), 2) + pow((double)(b[1] - a[1]), 2)));
        for (int j = 0; j < MOTION_JOINTS; j++) {
            double ra[9], rb[9];
            motion_mat3_from_6d(ra, a + 3 + 6 * j);
            motion_mat3_from_6d(rb, b + 3 + 6 * j);
            motion_mat3_tmul(ra, ra, rb);
            *turn = fmax(*turn, motion_mat3_angle(ra));
        }
    }
}

Test(edits, canonical_clips_start_at_the_origin_with_yaw_pi_4)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 20);
    c.joints = ME_NEW_ARRAY(&arena, 20 * MOTION_JOINTS * 3, float);
    motion_forward_kinematics(&motion_mean_body, c.pose, 20, c.joints);
    motion_canonicalise(&c);
    cr_expect_float_eq(motion_heading(c.pose), MOTION_CANONICAL_YAW, 1e-6);
    for (int i = 0; i < 3; i++) cr_expect_eq(c.pose[i], 0);
    /* It walked along its own forward, which is now (sin, -cos) of pi/4. */
    cr_expect_float_eq(c.pose[19 * MOTION_POSE], 19.0 / 30 * sqrt(0.5), 1e-5);
    cr_expect_float_eq(c.pose[19 * MOTION_POSE + 1], -19.0 / 30 * sqrt(0.5), 1e-5);
    float joints[20 * MOTION_JOINTS * 3];
    motion_forward_kinematics(&motion_mean_body, c.pose, 20, joints);
    for (int i = 0; i < 20 * MOTION_JOINTS * 3; i++)
        cr_assert_float_eq(joints[i], c.joints[i], 1e-5);
    me_arena_release(&arena);
}

Test(edits, parts_share_out_the_joints)
{
    for (int j = 1; j < MOTION_JOINTS; j++) {
        int n = 0;
        for (unsigned part = 1; part <= MOTION_PART_HEAD; part <<= 1) n += motion_part_has(part, j);
        cr_expect_eq(n, 1, "joint %d", j);
    }
    cr_expect(!motion_part_has(~0U, 0));
    cr_expect(motion_part_has(MOTION_PART_LEFT_ARM, 20) &&
              !motion_part_has(MOTION_PART_LEFT_ARM, 21));
}

Test(edits, speed_changes_the_length_and_keeps_the_ends)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 61), out;
    cr_assert_eq(motion_edit_speed(&out, &arena, &c, 2, NULL), ME_OK);
    cr_expect_eq(out.frames, 31);
    for (int k = 0; k < MOTION_POSE; k++) {
        cr_assert_float_eq(out.pose[k], c.pose[k], 1e-6);
        cr_assert_float_eq(out.pose[15 * MOTION_POSE + k], c.pose[30 * MOTION_POSE + k], 1e-6);
        cr_assert_float_eq(out.pose[30 * MOTION_POSE + k], c.pose[60 * MOTION_POSE + k], 1e-6);
    }
    cr_assert_eq(motion_edit_speed(&out, &arena, &c, 0.5, NULL), ME_OK);
    cr_expect_eq(out.frames, 121);
    cr_expect_float_eq(out.pose[MOTION_POSE + 1], -0.5 / 30, 1e-6);
    cr_assert_eq(motion_edit_speed_part(&out, &arena, &c, 20, 40, 2, 4, NULL), ME_OK);
    cr_expect(out.frames > 48 && out.frames < 58, "%lld", (long long)out.frames);
    me_arena_release(&arena);
}

Test(edits, a_hold_stands_still_and_goes_on)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 60), out;
    cr_assert_eq(motion_edit_hold(&out, &arena, &c, 30, 25, 10, NULL), ME_OK);
    int64_t still = 0;
    for (int64_t t = 1; t < out.frames; t++)
        still +=
            fabs((double)(out.pose[t * MOTION_POSE + 1] - out.pose[(t - 1) * MOTION_POSE + 1])) <
            1e-6;
    cr_expect(still >= 24 && still <= 28, "%lld", (long long)still);
    cr_expect(out.frames >= 60 + 25 && out.frames <= 60 + 25 + 10, "%lld", (long long)out.frames);
    cr_expect_float_eq(out.pose[(out.frames - 1) * MOTION_POSE + 1], c.pose[59 * MOTION_POSE + 1],
                       0.034);
    me_arena_release(&arena);
}

Test(edits, a_mirror_image_swaps_sides_and_is_its_own_inverse)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 40), once, twice;
    motion_canonicalise(&c);
    cr_assert_eq(motion_edit_mirror(&once, &arena, &c, NULL), ME_OK);
    cr_assert_eq(motion_edit_mirror(&twice, &arena, &once, NULL), ME_OK);
    for (int64_t k = 0; k < 40 * MOTION_POSE; k++)
        cr_assert_float_eq(twice.pose[k], c.pose[k], 1e-5);
    double left[3], right[3];
    turn_of(left, &c, 8, 16);
    turn_of(right, &once, 8, 17);
    cr_expect_float_eq(right[1], -left[1], 1e-6);
    cr_expect_float_eq(motion_heading(once.pose), MOTION_CANONICAL_YAW, 1e-6);
    cr_expect_float_eq(motion_heading(once.pose + 30 * MOTION_POSE) +
                           motion_heading(c.pose + 30 * MOTION_POSE),
                       2 * MOTION_CANONICAL_YAW, 1e-5);
    /* Joint positions are mirrored too: left wrist against right wrist, across the median plane. */
    float a[MOTION_JOINTS * 3], b[MOTION_JOINTS * 3];
    motion_forward_kinematics(&motion_mean_body, c.pose + 8 * MOTION_POSE, 1, a);
    motion_forward_kinematics(&motion_mean_body, once.pose + 8 * MOTION_POSE, 1, b);
    double u = sqrt(0.5), la = u * (double)(a[60] + a[61]), lb = u * (double)(b[63] + b[64]);
    double fa = u * (double)(a[60] - a[61]), fb = u * (double)(b[63] - b[64]);
    cr_expect_float_eq(la, -lb, 1e-5);
    cr_expect_float_eq(fa, fb, 1e-5);
    cr_expect_float_eq(a[62], b[65], 1e-5);
    me_arena_release(&arena);
}

static double range_of(const motion_clip *c, int j)
{
    double lo = 1e9, hi = -1e9, aa[3];
    for (int64_t t = 0; t < c->frames; t++) {
        turn_of(aa, c, t, j);
        lo = fmin(lo, aa[1]);
        hi = fmax(hi, aa[1]);
    }
    return hi - lo;
}

Test(edits, amplitude_scales_the_deviation_of_its_part_alone)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 63), out;
    cr_assert_eq(motion_edit_amplitude(&out, &arena, &c, MOTION_PART_LEFT_ARM, 1.8, NULL), ME_OK);
    cr_expect_float_eq(range_of(&out, 16), 1.8 * range_of(&c, 16), 1e-4);
    for (int64_t t = 0; t < 63; t++)
        for (int k = 0; k < 9 + 6 * 15; k++)
            cr_assert_eq(out.pose[t * MOTION_POSE + k], c.pose[t * MOTION_POSE + k]);
    cr_assert_eq(motion_edit_still(&out, &arena, &c, MOTION_PART_ARMS, 0, NULL), ME_OK);
    cr_expect_lt(range_of(&out, 16), 1e-5);
    me_arena_release(&arena);
}

/* Swinging, with joint 17 turned by -1.2 all along. */
static motion_clip raised(me_arena *arena, int64_t frames)
{
    motion_clip c = swinging(arena, frames);
    double r[9];
    motion_mat3_axis(r, 2, -1.2);
    for (int64_t t = 0; t < frames; t++)
        motion_mat3_to_6d(c.pose + t * MOTION_POSE + 3 + 6 * 17, r);
    return c;
}

Test(edits, a_graft_takes_the_part_and_blends_at_its_ends)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 60), donor = raised(&arena, 60), out;
    cr_assert_eq(
        motion_edit_graft(&out, &arena, &c, &donor, MOTION_PART_RIGHT_ARM, 10, 50, 8, NULL), ME_OK);
    double aa[3], turn, way;
    turn_of(aa, &out, 30, 17);
    cr_expect_float_eq(aa[2], -1.2, 1e-5);
    turn_of(aa, &out, 9, 17);
    cr_expect_float_eq(aa[2], 0, 1e-6);
    largest_step(&out, &turn, &way);
    cr_expect_lt(turn, 0.3);
    me_arena_release(&arena);
}

Test(edits, a_blend_lies_between_its_two_clips)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 60), donor = raised(&arena, 60), out;
    double aa[3];
    const double weights[] = {0, 0.25, 1};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(motion_edit_blend(&out, &arena, &c, &donor, weights[i], NULL), ME_OK);
        cr_assert_eq(out.frames, 60);
        turn_of(aa, &out, 30, 17);
        cr_expect_float_eq(aa[2], -1.2 * weights[i], 1e-5);
        for (int k = 0; k < 9; k++) /* the root is the clip's own */
            cr_assert_eq(out.pose[30 * MOTION_POSE + k], c.pose[30 * MOTION_POSE + k]);
    }
    me_arena_release(&arena);
}

Test(edits, a_posture_turns_a_joint_by_the_same_in_every_frame)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 30), out;
    double aa[MOTION_JOINTS * 3] = {0}, before[3], after[3];
    aa[3 * 17 + 2] = 0.4;
    aa[1] = 1; /* the pelvis's, which is not read */
    cr_assert_eq(motion_edit_posture(&out, &arena, &c, aa, NULL), ME_OK);
    for (int64_t t = 0; t < 30; t++) {
        turn_of(before, &c, t, 17);
        turn_of(after, &out, t, 17);
        cr_expect_float_eq(before[2], 0, 1e-6);
        cr_expect_float_eq(after[2], 0.4, 1e-5);
        for (int k = 0; k < 9; k++)
            cr_assert_eq(out.pose[t * MOTION_POSE + k], c.pose[t * MOTION_POSE + k]);
        turn_of(before, &c, t, 16);
        turn_of(after, &out, t, 16);
        for (int k = 0; k < 3; k++) cr_assert_float_eq(before[k], after[k], 1e-5);
    }
    me_arena_release(&arena);
}

Test(edits, a_repetition_goes_on_where_it_stands)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 60), out;
    cr_assert_eq(motion_edit_repeat(&out, &arena, &c, 15, 46, 3, 8, NULL), ME_OK);
    cr_expect_eq(out.frames, 60 + 2 * 31);
    double turn, way, usual_turn, usual_way;
    largest_step(&c, &usual_turn, &usual_way);
    largest_step(&out, &turn, &way);
    cr_expect_lt(turn, usual_turn + 0.05, "%g against %g", turn, usual_turn);
    cr_expect_lt(way, usual_way * 1.3, "%g against %g", way, usual_way);
    /* Each frame turns by 0.02, in the repetition too. */
    cr_expect_float_eq(motion_heading(out.pose + 121 * MOTION_POSE),
                       atan2(sin(0.02 * 121), cos(0.02 * 121)), 0.05);
    me_arena_release(&arena);
}

Test(edits, one_frame_is_a_clip_too)
{
    me_arena arena = {0};
    motion_clip c = swinging(&arena, 1), out;
    cr_expect_eq(motion_edit_speed(&out, &arena, &c, 2, NULL), ME_OK);
    cr_expect_eq(out.frames, 1);
    cr_expect_eq(motion_edit_speed_part(&out, &arena, &c, 0, 1, 2, 3, NULL), ME_OK);
    cr_expect_eq(motion_edit_mirror(&out, &arena, &c, NULL), ME_OK);
    cr_expect_eq(motion_edit_amplitude(&out, &arena, &c, MOTION_PART_ARMS, 2, NULL), ME_OK);
    cr_expect_eq(motion_edit_hold(&out, &arena, &c, 0, 5, 2, NULL), ME_OK);
    cr_expect_eq(motion_edit_repeat(&out, &arena, &c, 0, 1, 3, 4, NULL), ME_OK);
    cr_expect_eq(out.frames, 3);
    for (int k = 0; k < 3 * MOTION_POSE; k++) cr_assert(isfinite(out.pose[k]));
    me_arena_release(&arena);
}
