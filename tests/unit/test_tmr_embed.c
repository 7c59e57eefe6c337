/* Embedding: distinct inputs once, no dependence on what is beside, refusals by name. */
#include "tests/unit/tmr_data.h"

enum { WIDTH = 256, CLIPS = 9 };

static void make_clips(tmr_clip *clips, me_arena *arena)
{
    static const int frames[CLIPS] = {1, 7, 40, 40, 33, 2, 96, 64, 15};
    for (int i = 0; i < CLIPS; i++)
        clips[i] = (tmr_clip){.name = me_arena_printf(arena, "clip %d", i),
                              .pose = random_pose(arena, frames[i], (uint64_t)i),
                              .frames = frames[i]};
}

static void embed(float *out, int64_t *same, const tmr_clip *clips, int64_t n, int threads,
                  const tmr_embed_options *o, tmr_embed_report *report)
{
    nn_backend *be = open_cpu(threads);
    tmr_encoder e;
    open_random_encoder(&e, be);
    me_err err = {0};
    cr_assert_eq(tmr_embed(out, same, &e, be, clips, n, o, report, &err), ME_OK, "%s", err.msg);
    tmr_close(&e);
    nn_backend_close(be);
}

static void expect_refusal(const tmr_clip *clip, me_code code, const char *part)
{
    nn_backend *be = open_cpu(1);
    tmr_encoder e;
    open_random_encoder(&e, be);
    float out[WIDTH];
    me_err err = {0};
    const tmr_embed_options o = {0};
    cr_expect_eq(tmr_embed(out, NULL, &e, be, clip, 1, &o, NULL, &err), code);
    cr_expect(strstr(err.msg, clip->name) && strstr(err.msg, part), "%s", err.msg);
    tmr_close(&e);
    nn_backend_close(be);
}

Test(embed, bits_do_not_depend_on_batch_order_or_threads)
{
    me_arena arena = {0};
    tmr_clip clips[CLIPS], turned[CLIPS];
    float a[CLIPS * WIDTH], b[CLIPS * WIDTH];
    make_clips(clips, &arena);
    for (int i = 0; i < CLIPS; i++) turned[i] = clips[CLIPS - 1 - i];
    embed(a, NULL, clips, CLIPS, 1, &(tmr_embed_options){0}, NULL);
    embed(b, NULL, turned, CLIPS, 2, &(tmr_embed_options){.batch_clips = 2}, NULL);
    for (int i = 0; i < CLIPS; i++)
        cr_expect_arr_eq(a + i * WIDTH, b + (CLIPS - 1 - i) * WIDTH, WIDTH * sizeof *a, "clip %d",
                         i);
    embed(b, NULL, clips, CLIPS, 2, &(tmr_embed_options){.batch_tokens = 50}, NULL);
    cr_expect_arr_eq(a, b, sizeof a);
    embed(b, NULL, clips + 4, 1, 1, &(tmr_embed_options){0}, NULL);
    cr_expect_arr_eq(a + 4 * WIDTH, b, WIDTH * sizeof *a);
    me_arena_release(&arena);
}

Test(embed, equal_inputs_are_encoded_once_and_marked)
{
    me_arena arena = {0};
    const float *pose = random_pose(&arena, 30, 1), *other = random_pose(&arena, 30, 2);
    const tmr_clip clips[] = {{"a", pose, 30, 0}, {"b", other, 30, 0}, {"c", pose, 30, 30}};
    float out[3 * WIDTH];
    int64_t same[3];
    tmr_embed_report report;
    embed(out, same, clips, 3, 1, &(tmr_embed_options){0}, &report);
    cr_expect_eq(same[0], same[2]);
    cr_expect_neq(same[0], same[1]);
    cr_expect_eq(report.distinct, 2);
    cr_expect_eq(report.frames, 60);
    cr_expect_arr_eq(out, out + 2 * WIDTH, WIDTH * sizeof *out);
    me_arena_release(&arena);
}

Test(embed, cutting_after_the_features_equals_cutting_before)
{
    me_arena arena = {0};
    const float *pose = random_pose(&arena, 30, 1);
    const tmr_clip clips[] = {
        {"cut", pose, 30, 12}, {"short", pose, 12, 0}, {"long", pose, 12, 30}};
    float out[3 * WIDTH];
    int64_t same[3];
    embed(out, same, clips, 3, 1, &(tmr_embed_options){0}, NULL);
    cr_expect_eq(same[0], same[1]);
    cr_expect_eq(same[1], same[2]);
    me_arena_release(&arena);
}

Test(embed, the_two_forms_of_gelu_differ_a_little)
{
    me_arena arena = {0};
    tmr_clip clips[CLIPS];
    float a[CLIPS * WIDTH], b[CLIPS * WIDTH];
    make_clips(clips, &arena);
    embed(a, NULL, clips, CLIPS, 1, &(tmr_embed_options){.gelu = TMR_GELU_TANH}, NULL);
    embed(b, NULL, clips, CLIPS, 1, &(tmr_embed_options){.gelu = TMR_GELU_ERF}, NULL);
    double most = 0;
    for (int i = 0; i < CLIPS * WIDTH; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    cr_expect(most > 1e-6 && most < 1e-2, "%g", most);
    me_arena_release(&arena);
}

Test(embed, a_motion_without_frames_is_refused_by_name)
{
    expect_refusal(&(tmr_clip){.name = "generated 000123"}, ME_EDATA, "no frames");
}

Test(embed, a_motion_beyond_the_position_table_is_refused_by_name)
{
    me_arena arena = {0};
    const float *pose = random_pose(&arena, TMR_MAX_FRAMES + 1, 1);
    expect_refusal(&(tmr_clip){.name = "long one", .pose = pose, .frames = TMR_MAX_FRAMES + 1},
                   ME_EDATA, "4999 frames");
    me_arena_release(&arena);
}

Test(embed, a_number_that_is_none_is_refused_by_name_and_place)
{
    me_arena arena = {0};
    float *pose = random_pose(&arena, 5, 1);
    pose[2 * MOTION_POSE + 50] = NAN;
    expect_refusal(&(tmr_clip){.name = "generated 000007", .pose = pose, .frames = 5}, ME_EDATA,
                   "frame 2");
    pose[2 * MOTION_POSE + 50] = INFINITY;
    expect_refusal(&(tmr_clip){.name = "generated 000007", .pose = pose, .frames = 5}, ME_EDATA,
                   "frame 2");
    me_arena_release(&arena);
}

Test(embed, nothing_gives_nothing)
{
    float out[1] = {7};
    embed(out, NULL, NULL, 0, 1, &(tmr_embed_options){0}, NULL);
    cr_expect_eq(out[0], 7.0f);
}
