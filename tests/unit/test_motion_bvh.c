/* BVH files: a small one worked out by hand, hostile ones, and the round trip through our own
 * writer. Where the real CMU data is at hand (MEBENCH_DATA), the golden values are checked too. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/csv.h"
#include "core/rng.h"
#include "motion/bvh.h"
#include "motion/mat3.h"

static motion_bvh parse(const char *text)
{
    motion_bvh b;
    me_err err = {0};
    cr_assert_eq(motion_bvh_parse(&b, text, strlen(text), "t.bvh", &err), ME_OK, "%s", err.msg);
    return b;
}

static void refused(const char *text, me_code code, const char *because)
{
    motion_bvh b;
    me_err err = {0};
    cr_assert_eq(motion_bvh_parse(&b, text, strlen(text), "t.bvh", &err), code,
                 "accepted or other code: %s", err.msg);
    cr_assert_not_null(strstr(err.msg, because), "said \"%s\", not \"%s\"", err.msg, because);
    cr_assert_null(b.joint);
}

#define HEAD                                                                                       \
    "HIERARCHY\nROOT a\n{\n OFFSET 0 0 0\n CHANNELS 3 Zrotation Yrotation Xrotation\n End Site\n " \
    "{\n  OFFSET 0 1 0\n }\n}\n"

Test(bvh, numbers_of_every_spelling_are_read)
{
    motion_bvh b =
        parse(HEAD "MOTION\nFrames: 2\nFrame Time: .0083333\n1 -2.5 +.5\n4e-14 1E2\t-0.0\r\n");
    const double wanted[6] = {1, -2.5, .5, 4e-14, 100, 0};
    cr_assert_eq(b.frames, 2);
    cr_assert_eq(b.channels, 3);
    cr_assert_eq(b.joints, 2);
    cr_assert_eq(b.frame_time, .0083333);
    for (int i = 0; i < 6; i++) cr_assert_float_eq(b.values[i], wanted[i], 1e-28);
    cr_assert_null(b.rig);
    motion_bvh_close(&b);
}

Test(bvh, decimals_are_exact_or_nearly)
{
    static const char *const texts[3] = {"123456789.123456789012345678", "0.1",
                                         "-3.14159265358979323846e-5"};
    for (int i = 0; i < 3; i++) {
        char text[512];
        snprintf(text, sizeof text, HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n%s 0 0\n", texts[i]);
        motion_bvh b = parse(text);
        double wanted = strtod(texts[i], NULL);
        cr_assert_float_eq(b.values[0], wanted, fabs(wanted) * 1e-15);
        motion_bvh_close(&b);
    }
}

Test(bvh, carriage_returns_tabs_case_and_colons_do_not_matter)
{
    motion_bvh b = parse(
        "\xef\xbb\xbfhierarchy\r\nroot  my hips \r\n{\r\n\toffset\t1 2 3\r\n\tchannels 6 xposition "
        "YPOSITION Zposition Zrotation Xrotation Yrotation\r\n\tJOINT Bip01 L Thigh{\r\nOFFSET 0 1 "
        "0 "
        "CHANNELS 1 Xrotation}\r\n}\r\nMOTION Frames:\t1\r\nFrame Time :\t0.01\r\n1 2 3 4 5 6 7");
    cr_assert_eq(b.joints, 2);
    cr_assert_str_eq(b.joint[0].name, "my hips");
    cr_assert_str_eq(b.joint[1].name, "Bip01 L Thigh");
    cr_assert_eq(b.joint[1].parent, 0);
    cr_assert_eq(b.joint[1].first_channel, 6);
    cr_assert_eq(b.joint[0].channel[3], 5);
    cr_assert_eq(b.joint[0].channel[5], 4);
    cr_assert_eq(b.values[6], 7);
    motion_bvh_close(&b);
}

Test(bvh, more_values_than_declared_are_counted)
{
    motion_bvh b = parse(HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n1 2 3\n4 5 6\n");
    cr_assert_eq(b.frames, 1);
    cr_assert_eq(b.extra_values, 3);
    motion_bvh_close(&b);
}

Test(bvh, hostile_files_are_refused_with_the_reason)
{
    refused("", ME_EFORMAT, "expected HIERARCHY");
    refused("HIERARCHY ROOT {", ME_EFORMAT, "name");
    refused("HIERARCHY ROOT a { OFFSET 0 0", ME_EFORMAT, "a number");
    refused("HIERARCHY\nROOT a\n{\nCHANNELS 1 Xrotation\n}\n", ME_EFORMAT, "no OFFSET");
    refused("HIERARCHY ROOT a\n{ OFFSET 0 0 0 CHANNELS 7 ", ME_EFORMAT, "0 to 6");
    refused("HIERARCHY ROOT a\n{ OFFSET 0 0 0 CHANNELS 2 Xrotation Xrotation", ME_EFORMAT, "once");
    refused("HIERARCHY ROOT a\n{ OFFSET 0 0 0 CHANNELS 1 Wrotation", ME_EFORMAT, "Wrotation");
    refused("HIERARCHY ROOT a\n{ OFFSET 0 0 0 } MOTION Frames: 1 Frame Time: 0.1", ME_EDATA,
            "channels");
    refused(HEAD "MOTION\nFrames: 0\nFrame Time: 0.01\n", ME_EFORMAT, "1 or more");
    refused(HEAD "MOTION\nFrames: -3\nFrame Time: 0.01\n", ME_EFORMAT, "1 or more");
    refused(HEAD "MOTION\nFrames: 99999999\nFrame Time: 0.01\n1 2 3\n", ME_EFORMAT, "cannot hold");
    refused(HEAD "MOTION\nFrames: 1e300\nFrame Time: 0.01\n1 2 3\n", ME_EFORMAT, "1 or more");
    refused(HEAD "MOTION\nFrames: 2\nFrame Time: 0.01\n1 2 3\n4 5", ME_EFORMAT, "frame 1 of 2");
    refused(HEAD "MOTION\nFrames: 1\nFrame Time: 0\n1 2 3\n", ME_EDATA, "Frame Time");
    refused(HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n1 nan 3\n", ME_EFORMAT, "nan");
    refused(HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n1 inf 3\n", ME_EFORMAT, "inf");
    refused(HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n1 1e999 3\n", ME_EFORMAT, "1e999");
    refused(HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n1 2,5 3\n", ME_EFORMAT, "decimal point");
    refused(HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n1 2- 3\n", ME_EFORMAT, "2-");
    refused(HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n1 2 3\nROOT b", ME_EFORMAT,
            "end of the file");
}

Test(bvh, nesting_has_a_limit)
{
    static char text[20000] = "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n";
    for (int i = 0; i < 300; i++) strcat(text, "JOINT b\n{\nOFFSET 0 1 0\n");
    refused(text, ME_EFORMAT, "nested");
}

Test(bvh, a_skeleton_of_unknown_names_says_what_is_missing)
{
    motion_bvh b = parse(HEAD "MOTION\nFrames: 1\nFrame Time: 0.01\n1 2 3\n");
    me_arena arena = {0};
    motion_clip clip;
    me_err err = {0};
    cr_assert_eq(motion_bvh_to_clip(&clip, &arena, &b, NULL, &err), ME_EDATA);
    cr_assert_not_null(strstr(err.msg, "nearest"));
    motion_bvh_close(&b);
    me_arena_release(&arena);
}

/* ---- a rig by hand: 22 joints of our names, all offsets along one axis
 * ------------------------------- */

/* Writes a clip of the mean body to a temporary file and reads it back. */
static motion_clip round_trip(const motion_clip *clip, me_arena *arena, const char *rate)
{
    char path[] = "/tmp/mebench-bvh-XXXXXX";
    int fd = mkstemp(path);
    motion_bvh b;
    motion_clip back;
    me_err err = {0};
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(motion_bvh_write(path, &motion_mean_body, clip, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(motion_bvh_open(&b, path, &err), ME_OK, "%s", err.msg);
    unlink(path);
    cr_assert_str_eq(b.rig, "smpl");
    if (rate) b.frame_time = strtod(rate, NULL);
    cr_assert_eq(motion_bvh_to_clip(&back, arena, &b, &(motion_retarget_options){0}, &err), ME_OK,
                 "%s", err.msg);
    motion_bvh_close(&b);
    return back;
}

static motion_clip random_clip(me_arena *arena, int64_t frames)
{
    motion_clip c;
    me_rng g = me_rng_make(6, 0);
    cr_assert_eq(motion_clip_new(&c, arena, frames, true, NULL), ME_OK);
    for (int64_t i = 0; i < frames * MOTION_POSE; i++) c.pose[i] = (float)me_rng_normal(&g);
    motion_orthonormalize(c.pose, frames);
    motion_forward_kinematics(&motion_mean_body, c.pose, frames, c.joints);
    return c;
}

Test(bvh, what_we_write_reads_back_as_the_same_motion)
{
    me_arena arena = {0};
    motion_clip clip = random_clip(&arena, 25), back = round_trip(&clip, &arena, NULL);
    cr_assert_eq(back.frames, 25);
    for (int i = 0; i < 25 * MOTION_POSE; i++) cr_assert_float_eq(back.pose[i], clip.pose[i], 1e-6);
    for (int i = 0; i < 25 * MOTION_JOINTS * 3; i++)
        cr_assert_float_eq(back.joints[i], clip.joints[i], 1e-5);
    me_arena_release(&arena);
}

Test(bvh, four_times_our_rate_keeps_every_fourth_frame)
{
    me_arena arena = {0};
    motion_clip clip = random_clip(&arena, 10), back = round_trip(&clip, &arena, "0.0083333");
    cr_assert_eq(back.frames, 3); /* 0, 4, 8 */
    for (int t = 0; t < 3; t++)
        for (int c = 0; c < MOTION_POSE; c++)
            cr_assert_float_eq(back.pose[t * MOTION_POSE + c], clip.pose[4 * t * MOTION_POSE + c],
                               1e-6);
    me_arena_release(&arena);
}

Test(bvh, a_rate_that_does_not_divide_is_interpolated)
{
    me_arena arena = {0};
    motion_clip clip;
    cr_assert_eq(motion_clip_new(&clip, &arena, 5, false, NULL), ME_OK);
    for (int t = 0; t < 5; t++) { /* 20 frames a second: 0.1 m and 0.2 rad about z each */
        float *row = clip.pose + t * MOTION_POSE;
        const float turn[3] = {0, 0, 0.2f * (float)t};
        for (int j = 0; j < MOTION_JOINTS; j++) row[3 + 6 * j] = row[3 + 6 * j + 4] = 1;
        row[0] = 0.1f * (float)t;
        motion_aa_to_6d(turn, row + 3);
    }
    motion_clip back = round_trip(&clip, &arena, "0.05");
    cr_assert_eq(back.frames, 7); /* 0.2 s at 30 a second */
    for (int t = 0; t < 7; t++) {
        cr_assert_float_eq(back.pose[t * MOTION_POSE], 0.1 * t * 2 / 3, 1e-5);
        cr_assert_float_eq(motion_heading(back.pose + t * MOTION_POSE), 0.2 * t * 2 / 3, 1e-5);
    }
    me_arena_release(&arena);
}

Test(bvh, gimbal_lock_is_written_as_some_equal_rotation)
{
    me_arena arena = {0};
    motion_clip clip;
    cr_assert_eq(motion_clip_new(&clip, &arena, 1, false, NULL), ME_OK);
    for (int j = 0; j < MOTION_JOINTS; j++) {
        double r[9], z[9];
        motion_mat3_axis(r, 1, j % 2 ? MOTION_PI / 2 : -MOTION_PI / 2);
        motion_mat3_axis(z, 2, 0.3 * j);
        motion_mat3_mul(r, z, r);
        motion_mat3_to_6d(clip.pose + 3 + 6 * j, r);
    }
    motion_clip back = round_trip(&clip, &arena, NULL);
    for (int c = 0; c < MOTION_POSE; c++) cr_assert_float_eq(back.pose[c], clip.pose[c], 2e-6);
    me_arena_release(&arena);
}

/* ---- the rules of the mapping, on the smallest file of CMU's names
 * ----------------------------------- */

static motion_clip clip_of(const char *file, me_arena *arena,
                           const motion_retarget_options *options)
{
    motion_bvh b;
    motion_clip clip;
    me_err err = {0};
    cr_assert_eq(motion_bvh_open(&b, file, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(motion_bvh_to_clip(&clip, arena, &b, options, &err), ME_OK, "%s", err.msg);
    motion_bvh_close(&b);
    return clip;
}

static void rotation_is(const motion_clip *clip, int frame, int joint, int axis, double degrees)
{
    double r[9], d[9], wanted[9];
    motion_mat3_from_6d(r, clip->pose + frame * MOTION_POSE + 3 + 6 * joint);
    motion_mat3_axis(wanted, axis, degrees * MOTION_PI / 180);
    motion_mat3_tmul(d, wanted, r);
    cr_assert_lt(motion_mat3_angle(d), 1e-6, "%s in frame %d is not %g degrees about axis %d",
                 motion_joint_names[joint], frame, degrees, axis);
}

static void stands_at(const motion_clip *clip, int frame, int joint, double x, double y, double z)
{
    const float *p = clip->joints + (frame * MOTION_JOINTS + joint) * 3;
    const double unit = 0.0254 / 0.45, wanted[3] = {x * unit, y * unit, z * unit};
    for (int k = 0; k < 3; k++)
        cr_assert_float_eq(p[k], wanted[k], 1e-6, "%s in frame %d, axis %d: %g, not %g",
                           motion_joint_names[joint], frame, k, (double)p[k], wanted[k]);
}

/* tests/data/bvh/cmu-tiny.bvh: limbs of whole units; see its README for the hand-worked positions.
 */
Test(bvh, a_cmu_file_worked_out_by_hand)
{
    me_arena arena = {0};
    motion_clip clip =
        clip_of("tests/data/bvh/cmu-tiny.bvh", &arena, &(motion_retarget_options){.drop_first = 0});
    cr_assert_eq(clip.frames, 2);
    /* Frame 0 is the rest pose, 10 units up: all local rotations are the identity but the pelvis,
     * which turns Y up into Z up, and the 20 degrees with which CMU's legs are spread. */
    rotation_is(&clip, 0, 0, 0, 90);
    rotation_is(&clip, 0, 1, 2, 20);
    rotation_is(&clip, 0, 2, 2, -20);
    for (int j = 3; j < MOTION_JOINTS; j++) rotation_is(&clip, 0, j, 0, 0);
    stands_at(&clip, 0, 0, 0, 0, 10);
    stands_at(&clip, 0, 1, 1, 0, 9);
    stands_at(&clip, 0, 15, 0, 0, 16);
    stands_at(&clip, 0, 20, 8, 0, 13); /* wrist: LeftFingerBase, not LeftHand */
    /* In frame 1 of 30 a second: the elbow's two bones turn 30 degrees (LeftForeArm) and
     * 10 more (LeftHand). */
    rotation_is(&clip, 1, 18, 1, -40);
    rotation_is(&clip, 1, 20, 0, 0);
    stands_at(&clip, 1, 20, 7.2641397, -2.2855752,
              13);                    /* 4 + 2 cos 30 + 2 cos 40, -(2 sin 30 + 2 sin 40) */
    rotation_is(&clip, 1, 12, 0, 10); /* Neck 0, Neck1 20: half of it */
    rotation_is(&clip, 1, 15, 0, 10); /* Head 0: the other half */
    me_arena_release(&arena);
}

Test(bvh, y_up_leaves_the_axes_as_they_are)
{
    me_arena arena = {0};
    motion_clip clip =
        clip_of("tests/data/bvh/cmu-tiny.bvh", &arena, &(motion_retarget_options){.y_up = true});
    rotation_is(&clip, 0, 0, 0, 0);
    stands_at(&clip, 0, 15, 0, 16, 0);
    me_arena_release(&arena);
}

/* ---- real data
 * ------------------------------------------------------------------------------------- */

static const char *data_folder(void)
{
    const char *given = getenv("MEBENCH_DATA");
    const char *folder = given ? given : "../shared/data";
    char path[1024];
    snprintf(path, sizeof path, "%s/cmu-bvh", folder);
    return me_is_directory(path) ? folder : NULL;
}

static void golden(bool rest_alignment, double tolerance)
{
    const char *data = data_folder();
    char path[1024], last[256] = "";
    if (!data) cr_skip_test("skipped: no CMU data (set MEBENCH_DATA)");
    me_arena arena = {0};
    motion_clip clip = {0};
    me_csv csv;
    me_err err = {0};
    snprintf(path, sizeof path, "%s/cmu-bvh/golden/smpl22_golden.csv", data);
    cr_assert_eq(me_csv_open(&csv, path, &err), ME_OK, "%s", err.msg);
    for (int64_t r = 1; r < csv.rows; r++) {
        char **cell = csv.cells[r];
        int64_t frame = strtoll(cell[1], NULL, 10), joint = strtoll(cell[3], NULL, 10);
        if (strcmp(cell[0], last)) {
            snprintf(last, sizeof last, "%s", cell[0]);
            snprintf(path, sizeof path, "%s/cmu-bvh/%s", data, last);
            clip =
                clip_of(path, &arena, &(motion_retarget_options){.rest_alignment = rest_alignment});
        }
        cr_assert_lt(frame, clip.frames);
        for (int k = 0; k < 6; k++)
            cr_assert_float_eq(clip.pose[frame * MOTION_POSE + 3 + 6 * joint + k],
                               strtod(cell[5 + k], NULL), tolerance,
                               "%s frame %lld joint %lld entry %d", last, (long long)frame,
                               (long long)joint, k);
        for (int k = 0; k < 3; k++)
            cr_assert_float_eq(clip.joints[(frame * MOTION_JOINTS + joint) * 3 + k],
                               strtod(cell[14 + k], NULL), 1e-6);
    }
    cr_assert_gt(csv.rows, 300);
    me_csv_close(&csv);
    me_arena_release(&arena);
}

Test(bvh_parity, golden_values_with_the_constants)
{
    golden(false, 1e-6);
}
Test(bvh_parity, golden_values_with_the_rest_pose)
{
    golden(true, 4e-5);
}

/* A body fitted to a clip of a subject has that subject's rest offsets. The fit uses the mapped
 * rotations, and the head's joint is not rigid under them (two neck bones made one). */
Test(bvh_parity, rest_offsets_of_a_subject_are_found_by_the_fit)
{
    const char *data = data_folder();
    char path[1024];
    if (!data) cr_skip_test("skipped: no CMU data (set MEBENCH_DATA)");
    me_arena arena = {0};
    me_csv csv;
    motion_skeleton body;
    me_err err = {0};
    snprintf(path, sizeof path, "%s/cmu-bvh/02/02_01.bvh", data);
    motion_clip clip = clip_of(path, &arena, NULL);
    cr_assert_eq(motion_skeleton_fit(&body, &clip, 1, NULL, &err), ME_OK);
    snprintf(path, sizeof path, "%s/cmu-bvh/golden/rest_offsets.csv", data);
    cr_assert_eq(me_csv_open(&csv, path, &err), ME_OK, "%s", err.msg);
    int seen = 0;
    for (int64_t r = 1; r < csv.rows; r++) {
        int joint = atoi(csv.cells[r][1]);
        const double *want = !strcmp(csv.cells[r][0], "02")     ? body.offset[joint]
                             : !strcmp(csv.cells[r][0], "mean") ? motion_mean_body.offset[joint]
                                                                : NULL;
        for (int k = 0; want && k < 3; k++)
            cr_assert_float_eq(want[k], strtod(csv.cells[r][4 + k], NULL),
                               joint == 15 ? 0.013 : 1.1e-5, "%s %s", csv.cells[r][0],
                               csv.cells[r][2]);
        seen += want != NULL;
    }
    cr_assert_eq(seen, 44);
    me_csv_close(&csv);
    me_arena_release(&arena);
}

Test(bvh_parity, dialects_are_read_and_stand_upright)
{
    static const struct {
        const char *file, *rig;
        int64_t frames;
        bool t_pose;
    } rows[] = {{"cgspeed2008_01_01.bvh", "cmu", 688, true},
                {"cgspeed2010_02_01.bvh", "cmu", 86, false},
                {"daz_salsa_10.bvh", "daz", 300, false}};
    const char *data = data_folder();
    if (!data) cr_skip_test("skipped: no CMU data (set MEBENCH_DATA)");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[1024];
        motion_bvh b;
        motion_clip clip;
        me_arena arena = {0};
        me_err err = {0};
        snprintf(path, sizeof path, "%s/cmu-bvh/dialects/%s", data, rows[i].file);
        cr_assert_eq(motion_bvh_open(&b, path, &err), ME_OK, "%s", err.msg);
        cr_assert_str_eq(b.rig, rows[i].rig);
        cr_assert_eq(motion_bvh_t_pose_first(&b), rows[i].t_pose);
        cr_assert_eq(motion_bvh_to_clip(&clip, &arena, &b, NULL, &err), ME_OK, "%s", err.msg);
        cr_assert_eq(clip.frames, rows[i].frames);
        const float *head = clip.joints + 3 * 15, *foot = clip.joints + 3 * 10;
        cr_assert(head[2] > 1.2f && head[2] < 1.8f, "%s: head at %g", path, (double)head[2]);
        cr_assert(foot[2] > -0.1f && foot[2] < 0.3f, "%s: foot at %g", path, (double)foot[2]);
        motion_bvh_close(&b);
        me_arena_release(&arena);
    }
}

Test(bvh_parity, all_files_of_a_folder_are_listed_in_order)
{
    const char *data = data_folder();
    char path[1024];
    if (!data) cr_skip_test("skipped: no CMU data (set MEBENCH_DATA)");
    me_arena arena = {0};
    me_names names;
    me_err err = {0};
    snprintf(path, sizeof path, "%s/cmu-bvh", data);
    cr_assert_eq(motion_bvh_list(&names, &arena, path, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(names.n, 174 + 3);
    for (int64_t i = 1; i < names.n; i++)
        cr_assert_lt(strcmp(names.items[i - 1], names.items[i]), 0);
    me_arena_release(&arena);
}
