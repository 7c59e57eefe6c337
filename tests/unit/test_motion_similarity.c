/* Similarity scores against the worked example of spec omnime 7. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>
#include <math.h>

#include "motion/similarity.h"

static const double example_score[24] = {.999997, .99338,  .98266,  .977335, .977335, .971668,
                                         .96084,  .962789, .977914, .978179, .966588, .919261,
                                         .836962, .734157, .621811, .512116, .399424, .275627,
                                         .135457, 0,       .011592, .065535, .158554, .266684};

static void example(float joint_source[48], float joint_target[60], float rot_source[24],
                    float rot_target[30])
{
    for (int i = 0; i < 24; i++) {
        joint_source[2 * i] = (float)(0.1 * i);
        joint_source[2 * i + 1] = (float)(0.05 * i);
        rot_source[i] = (float)(0.2 * sin(i / 5.0));
    }
    for (int j = 0; j < 30; j++) {
        joint_target[2 * j] = (float)(0.08 * j + 0.5 * (j >= 18));
        joint_target[2 * j + 1] = (float)(0.04 * j);
        rot_target[j] = (float)(0.2 * sin(0.8 * j / 5.0) + 0.3 * (j >= 18));
    }
}

/* Of the example's first frames of source to its target, or to the source itself. */
static motion_similarity similarity(me_arena *arena, int frames, bool to_itself)
{
    float js[48], jt[60], rs[24], rt[30];
    example(js, jt, rs, rt);
    me_err err = {0};
    motion_similarity s;
    const motion_similarity_options o = motion_similarity_defaults();
    cr_assert_eq(motion_similarity_of_curves(&s, arena, js, to_itself ? js : jt, 2, rs,
                                             to_itself ? rs : rt, 1, frames,
                                             to_itself ? frames : 30, &o, &err),
                 ME_OK, "%s", err.msg);
    return s;
}

Test(similarity, the_worked_example_comes_out)
{
    me_arena arena = {0};
    const motion_similarity s = similarity(&arena, 24, false);
    cr_assert_eq(s.n, 24);
    cr_assert_float_eq(s.snr, 15.6075293, 1e-5);
    cr_assert(s.teaches);
    cr_assert_float_eq(s.original[0], -0.00854, 5e-7);
    cr_assert_float_eq(s.original[19], -0.302584, 5e-7);
    int classes[3] = {0};
    for (int i = 0; i < 24; i++) {
        cr_assert_float_eq(s.score[i], example_score[i], 1e-6, "frame %d: %.7f", i, s.score[i]);
        classes[motion_similarity_class(s.score[i])]++;
    }
    cr_assert_eq(classes[2], 14);
    cr_assert_eq(classes[1], 3);
    cr_assert_eq(classes[0], 7);
    me_arena_release(&arena);
}

Test(similarity, equal_motions_have_no_contrast_and_count_as_teaching)
{
    me_arena arena = {0};
    const motion_similarity s = similarity(&arena, 24, true);
    cr_assert(isnan(s.snr));
    cr_assert(s.teaches);
    for (int i = 0; i < 24; i++) cr_assert_eq(s.score[i], 0);
    me_arena_release(&arena);
}

Test(similarity, a_source_shorter_than_the_box_gives_as_many_scores_as_the_box_and_does_not_teach)
{
    me_arena arena = {0};
    const motion_similarity s = similarity(&arena, 5, false);
    cr_assert_eq(s.n, 10);
    cr_assert_not(s.teaches);
    /* numpy.convolve of five values with a box of ten, "same": outputs 3 to 7 cover all five. */
    double all = s.original[3];
    for (int i = 4; i < 8; i++) cr_assert_float_eq(s.original[i], all, 1e-12);
    cr_assert_gt(s.original[0], all);
    cr_assert_gt(s.original[9], s.original[8]);
    me_arena_release(&arena);
}

Test(similarity, thirds_are_compared_as_the_reference_does)
{
    cr_assert_eq(motion_similarity_class(0), 0);
    cr_assert_eq(motion_similarity_class(1.0 / 3), 0);
    cr_assert_eq(motion_similarity_class(0.34), 1);
    cr_assert_eq(motion_similarity_class(2.0 / 3), 1);
    cr_assert_eq(motion_similarity_class(0.67), 2);
    cr_assert_eq(motion_similarity_class(1), 2);
}

Test(similarity, scores_come_back_from_their_file)
{
    double score[2][12], original[2][12];
    motion_similarity s[2] = {{.n = 12, .teaches = true}, {.n = 10}};
    for (int i = 0; i < 2; i++) {
        s[i].score = score[i];
        s[i].original = original[i];
        for (int f = 0; f < 12; f++) {
            score[i][f] = (i + f) / 14.0;
            original[i][f] = -f / 3.0;
        }
    }
    char path[64] = "/tmp/mebench-scores-XXXXXX.npy";
    int file = mkstemps(path, 4);
    cr_assert_geq(file, 0);
    close(file);
    me_err err = {0};
    const char *const keys[] = {"000021", "other"};
    cr_assert_eq(motion_similarity_write(path, keys, s, 2, &err), ME_OK, "%s", err.msg);
    motion_similarity_file f;
    me_arena arena = {0};
    cr_assert_eq(motion_similarity_open(&f, path, &err), ME_OK, "%s", err.msg);
    for (int i = 0; i < 2; i++) {
        motion_similarity back;
        cr_assert_eq(motion_similarity_find(&back, &f, &arena, keys[i], &err), ME_OK);
        cr_assert_eq(back.n, s[i].n);
        cr_assert_eq(back.teaches, s[i].teaches);
        cr_assert_arr_eq(back.score, score[i], (size_t)back.n * sizeof(double));
        cr_assert_arr_eq(back.original, original[i], (size_t)back.n * sizeof(double));
    }
    motion_similarity none;
    cr_assert_eq(motion_similarity_find(&none, &f, &arena, "21", &err), ME_OK);
    cr_assert_eq(none.n, 0);
    cr_assert_not(none.teaches);
    motion_similarity_close(&f);
    me_arena_release(&arena);
    unlink(path);
}
