/* The trivial rows: what each returns, that seeds decide and nothing else does. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "baselines/baseline.h"
#include "baselines/baselines_priv.h"
#include "core/rng.h"
#include "motion/editor.h"
#include "nn/backend.h"
#include "tmr/weights.h"

/* n pairs; source of 10 + i frames, target of 12 + (i % 3) * 4; every frame a rotation set of its
 * own. */
static void fill_clip(motion_clip *clip, me_arena *arena, int64_t frames, uint64_t seed)
{
    cr_assert_eq(motion_clip_new(clip, arena, frames, false, NULL), ME_OK);
    me_rng g = me_rng_make(seed, 77);
    for (int64_t t = 0; t < frames; t++) {
        float *row = BASELINE_ROW(clip, t);
        for (int k = 0; k < 3; k++) row[k] = (float)(0.1 * me_rng_normal(&g)) + 0.02f * (float)t;
        for (int j = 0; j < MOTION_JOINTS; j++) {
            float aa[3];
            for (int k = 0; k < 3; k++) aa[k] = (float)(0.4 * me_rng_normal(&g));
            motion_aa_to_6d(aa, row + 3 + 6 * j);
        }
    }
}

static motion_dataset data(me_arena *arena, int64_t n)
{
    motion_dataset d = {.n = n};
    d.pairs = ME_NEW_ARRAY(arena, n, motion_pair);
    d.has_split = true;
    for (int64_t i = 0; i < n; i++) {
        d.pairs[i].key = me_arena_printf(arena, "%06lld", (long long)i);
        d.pairs[i].text = "faster";
        d.pairs[i].split = i % 8 == 0 ? MOTION_TRAIN : MOTION_TEST; /* 0 and 8 */
        fill_clip(&d.pairs[i].source, arena, 10 + i, 100 + (uint64_t)i);
        fill_clip(&d.pairs[i].target, arena, 12 + i % 3 * 4, 900 + (uint64_t)i);
    }
    return d;
}

typedef struct made {
    me_arena arena;
    motion_dataset d;
    int64_t selected[8];
    motion_clip clip[8];
} made;

static void run(made *m, const char *name, int64_t n, uint64_t seed)
{
    const baseline *b = baseline_find(name);
    cr_assert_not_null(b, "%s", name);
    me_arena_init(&m->arena);
    m->d = data(&m->arena, 9);
    for (int64_t i = 0; i < n; i++) m->selected[i] = i + 1;
    baseline_input in = {.dataset = &m->d, .selected = m->selected, .n = n, .seed = seed};
    me_err err = {0};
    tmr_encoder encoder;
    if (b->needs_encoder) {
        cr_assert_eq(b->make(m->clip, &m->arena, &in, &err), ME_EUSAGE, "%s", name);
        err = (me_err){0};
        cr_assert_eq(nn_backend_open(&in.be, "cpu", 1, &err), ME_OK, "%s", err.msg);
        cr_assert_eq(tmr_open(&encoder, "random:1", in.be, &err), ME_OK, "%s", err.msg);
        in.encoder = &encoder;
    }
    cr_assert_eq(b->make(m->clip, &m->arena, &in, &err), ME_OK, "%s: %s", name, err.msg);
    if (b->needs_encoder) {
        tmr_close(&encoder);
        nn_backend_close(in.be);
    }
}

static bool same_rows(const float *a, const float *b)
{
    return memcmp(a, b, MOTION_POSE * sizeof *a) == 0;
}

Test(registry, every_baseline_says_what_it_is_and_makes_finite_clips_again_and_again)
{
    int n = 0;
    for (; baseline_list[n]; n++) {
        const baseline *b = baseline_list[n];
        cr_assert(b->name && b->doc && b->cite && b->make);
        cr_assert_gt(strlen(b->doc), 40, "%s", b->name);
        for (int i = 0; i < n; i++) cr_assert_str_neq(baseline_list[i]->name, b->name);
        made one, two, other;
        run(&one, b->name, 6, 1);
        run(&two, b->name, 6, 1);
        run(&other, b->name, 6, 2);
        bool differs = false;
        for (int i = 0; i < 6; i++) {
            const int64_t frames = one.clip[i].frames, target = one.d.pairs[i + 1].target.frames;
            cr_assert(frames > 0 && frames <= target, "%s gives %d of %d frames", b->name,
                      (int)frames, (int)target);
            cr_assert_eq(frames, two.clip[i].frames);
            size_t bytes = (size_t)frames * MOTION_POSE * sizeof(float);
            cr_assert_eq(memcmp(one.clip[i].pose, two.clip[i].pose, bytes), 0, "%s", b->name);
            for (int64_t k = 0; k < frames * MOTION_POSE; k++)
                cr_assert(isfinite(one.clip[i].pose[k]));
            differs |= other.clip[i].frames != frames ||
                       memcmp(one.clip[i].pose, other.clip[i].pose, bytes) != 0;
        }
        cr_assert_eq(differs, b->seeded, "%s: the seed decides or does not, as it says", b->name);
        me_arena_release(&one.arena);
        me_arena_release(&two.arena);
        me_arena_release(&other.arena);
    }
    cr_assert_eq(n, 13);
    cr_assert_eq(baseline_find("copy_source"), baseline_find("copy-source"));
    cr_assert_null(baseline_find("copy"));
    cr_assert_null(baseline_find("copy-sourcex"));
}

Test(ground_truth, is_the_target_to_the_bit)
{
    made m;
    run(&m, "ground-truth", 5, 0);
    for (int i = 0; i < 5; i++) {
        const motion_clip *t = &m.d.pairs[i + 1].target;
        cr_assert_eq(m.clip[i].frames, t->frames);
        cr_assert_eq(m.clip[i].pose, t->pose);
    }
    me_arena_release(&m.arena);
}

Test(copy_source, is_cut_but_never_padded)
{
    made m;
    run(&m, "copy-source", 8, 0);
    for (int i = 0; i < 8; i++) {
        const motion_pair *p = &m.d.pairs[i + 1];
        int64_t want = p->source.frames < p->target.frames ? p->source.frames : p->target.frames;
        cr_assert_eq(m.clip[i].frames, want);
        cr_assert_eq(m.clip[i].pose, p->source.pose);
    }
    me_arena_release(&m.arena);
}

Test(copy_source, resampled_begins_and_ends_with_the_source)
{
    made m;
    run(&m, "copy-source-resampled", 8, 0);
    for (int i = 0; i < 8; i++) {
        const motion_pair *p = &m.d.pairs[i + 1];
        const motion_clip *c = &m.clip[i];
        cr_assert_eq(c->frames, p->target.frames);
        cr_assert(same_rows(c->pose, p->source.pose));
        cr_assert(same_rows(BASELINE_ROW(c, c->frames - 1),
                            BASELINE_ROW(&p->source, p->source.frames - 1)));
        cr_assert_lt(motion_orthonormal_deviation(c->pose, c->frames), 1e-5);
    }
    me_arena_release(&m.arena);
}

Test(copy_source, halfway_between_two_frames_is_half_the_turn)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_dataset d = data(&arena, 1);
    motion_pair *p = &d.pairs[0];
    cr_assert_eq(motion_clip_new(&p->source, &arena, 2, false, NULL), ME_OK);
    cr_assert_eq(motion_clip_new(&p->target, &arena, 3, false, NULL), ME_OK);
    const float still[3] = {0, 0, 0}, turned[3] = {0, 0, 1.2f}, half[3] = {0, 0, 0.6f};
    float want[6];
    for (int j = 0; j < MOTION_JOINTS; j++) {
        motion_aa_to_6d(still, p->source.pose + 3 + 6 * j);
        motion_aa_to_6d(turned, p->source.pose + MOTION_POSE + 3 + 6 * j);
    }
    p->source.pose[MOTION_POSE] = 0.5f;
    motion_aa_to_6d(half, want);
    int64_t selected = 0;
    motion_clip out;
    baseline_input in = {.dataset = &d, .selected = &selected, .n = 1, .seed = 0};
    cr_assert_eq(baseline_copy_source_resampled.make(&out, &arena, &in, NULL), ME_OK);
    cr_assert_eq(out.frames, 3);
    cr_assert_eq(out.pose[MOTION_POSE], 0.25f);
    for (int c = 0; c < 6; c++) cr_assert_float_eq(out.pose[MOTION_POSE + 3 + c], want[c], 1e-6);
    me_arena_release(&arena);
}

Test(copy_source, held_keeps_the_last_pose)
{
    made m;
    run(&m, "copy-source-held", 8, 0);
    for (int i = 0; i < 8; i++) {
        const motion_pair *p = &m.d.pairs[i + 1];
        cr_assert_eq(m.clip[i].frames, p->target.frames);
        for (int64_t t = 0; t < p->target.frames; t++) {
            int64_t from = t < p->source.frames ? t : p->source.frames - 1;
            cr_assert(same_rows(BASELINE_ROW(&m.clip[i], t), BASELINE_ROW(&p->source, from)));
        }
    }
    me_arena_release(&m.arena);
}

Test(copy_source, an_empty_source_is_an_error_that_names_it)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_dataset d = data(&arena, 3);
    d.pairs[1].source.frames = 0;
    int64_t selected[3] = {0, 1, 2};
    motion_clip out[3];
    baseline_input in = {.dataset = &d, .selected = selected, .n = 3, .seed = 0};
    static const char *const names[] = {"copy-source-resampled", "copy-source-held"};
    for (int i = 0; i < 2; i++) {
        me_err err = {0};
        cr_assert_eq(baseline_find(names[i])->make(out, &arena, &in, &err), ME_EDATA);
        cr_assert(strstr(err.msg, "000001"), "%s", err.msg);
    }
    me_arena_release(&arena);
}

Test(random_other, gives_nobody_its_own_and_everybody_one)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        made m;
        run(&m, "random-other", 8, seed);
        int used[8] = {0};
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++)
                if (m.clip[i].pose == m.d.pairs[j + 1].target.pose) {
                    cr_assert_neq(i, j);
                    used[j]++;
                }
        for (int j = 0; j < 8; j++) cr_assert_eq(used[j], 1);
        me_arena_release(&m.arena);
    }
}

Test(random_other, needs_another)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_dataset d = data(&arena, 1);
    int64_t selected = 0;
    motion_clip out;
    baseline_input in = {.dataset = &d, .selected = &selected, .n = 1, .seed = 0};
    me_err err = {0};
    cr_assert_eq(baseline_random_other.make(&out, &arena, &in, &err), ME_EDATA);
    cr_assert(strstr(err.msg, "two pairs"), "%s", err.msg);
    me_arena_release(&arena);
}

Test(random_other, source_takes_the_source_of_the_same_other)
{
    made target, source;
    run(&target, "random-other", 8, 5);
    run(&source, "random-other-source", 8, 5);
    for (int i = 0; i < 8; i++) {
        int j = 0;
        while (target.clip[i].pose != target.d.pairs[j].target.pose) j++;
        cr_assert_eq(source.clip[i].pose, source.d.pairs[j].source.pose);
        cr_assert_leq(source.clip[i].frames, source.d.pairs[i + 1].target.frames);
    }
    me_arena_release(&target.arena);
    me_arena_release(&source.arena);
}

Test(random_train, draws_targets_of_training_pairs_and_never_the_own)
{
    bool drawn[2] = {false, false};
    for (uint64_t seed = 0; seed < 10; seed++) {
        made m;
        run(&m, "random-train", 8, seed);
        for (int i = 0; i < 8; i++) {
            const bool first = m.clip[i].pose == m.d.pairs[0].target.pose;
            cr_assert(first || m.clip[i].pose == m.d.pairs[8].target.pose);
            drawn[first] = true;
        }
        cr_assert_eq(m.clip[7].pose, m.d.pairs[0].target.pose, "pair 8 is of training itself");
        me_arena_release(&m.arena);
    }
    cr_assert(drawn[0] && drawn[1]);
}

Test(training, pairs_must_be_there_and_be_others)
{
    static const char *const names[] = {"random-train", "nn-train"};
    for (int i = 0; i < 2; i++) {
        me_arena arena;
        me_arena_init(&arena);
        motion_dataset d = data(&arena, 3);
        tmr_encoder unused = {0}; /* the question is asked before anything is embedded */
        int64_t selected = 1;
        motion_clip out;
        me_err err = {0};
        baseline_input in = {.dataset = &d, .selected = &selected, .n = 1, .encoder = &unused};
        d.pairs[0].split = MOTION_VAL;
        cr_assert_eq(baseline_find(names[i])->make(&out, &arena, &in, &err), ME_EDATA);
        cr_assert(strstr(err.msg, "no pair of the train split"), "%s", err.msg);
        d.pairs[1].split = MOTION_TRAIN;
        err = (me_err){0};
        cr_assert_eq(baseline_find(names[i])->make(&out, &arena, &in, &err), ME_EDATA);
        cr_assert(strstr(err.msg, "no other pair of the train split"), "%s", err.msg);
        d.pairs[1].split = MOTION_TEST;
        d.has_split = false;
        cr_assert_eq(baseline_find(names[i])->make(&out, &arena, &in, NULL), ME_EDATA);
        me_arena_release(&arena);
    }
}

/* Pair 1 has the source of training pair 0 and the words of training pair 2; which counts more
 * follows from the words. */
Test(nn_train, weighs_the_source_and_the_words)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_dataset d = data(&arena, 3);
    d.pairs[2].split = MOTION_TRAIN;
    nn_backend *be;
    tmr_encoder encoder;
    me_err err = {0};
    cr_assert_eq(nn_backend_open(&be, "cpu", 1, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(tmr_open(&encoder, "random:1", be, &err), ME_OK, "%s", err.msg);
    int64_t selected[2] = {1, 0};
    motion_clip out[2];
    baseline_input in = {
        .dataset = &d, .selected = selected, .n = 2, .encoder = &encoder, .be = be};
    d.pairs[1].source = d.pairs[0].source;
    cr_assert_eq(baseline_nn_train.make(out, &arena, &in, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(out[0].pose, d.pairs[0].target.pose, "equal words: the source decides");
    cr_assert_eq(out[1].pose, d.pairs[2].target.pose, "a training pair does not answer itself");
    d.pairs[0].text = "raise the left arm higher";
    d.pairs[1].text = d.pairs[2].text = "walk backwards and sit down";
    d.pairs[2].source = d.pairs[0].source;
    cr_assert_eq(baseline_nn_train.make(out, &arena, &in, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(out[0].pose, d.pairs[2].target.pose, "equal sources: the words decide");
    cr_assert_leq(out[0].frames, d.pairs[1].target.frames);
    tmr_close(&encoder);
    nn_backend_close(be);
    me_arena_release(&arena);
}

/* A target that is its source but for one turned joint and the path. */
static void turn_joint(motion_clip *clip, int joint, float angle)
{
    const float aa[3] = {angle, 0, 0};
    for (int64_t t = 0; t < clip->frames; t++) {
        float by[9], r[9], out[9];
        motion_6d_to_matrix(BASELINE_ROW(clip, t) + 3 + 6 * joint, r);
        motion_aa_to_matrix(aa, by);
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                out[3 * i + j] =
                    r[3 * i] * by[j] + r[3 * i + 1] * by[3 + j] + r[3 * i + 2] * by[6 + j];
        motion_matrix_to_6d(out, BASELINE_ROW(clip, t) + 3 + 6 * joint);
    }
}

Test(part_swap, takes_the_changed_part_from_the_target_and_the_rest_from_the_source)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_dataset d = data(&arena, 1);
    motion_pair *p = &d.pairs[0];
    fill_clip(&p->source, &arena, 20, 1);
    fill_clip(&p->target, &arena, 20, 1);
    int64_t selected = 0;
    motion_clip out;
    baseline_input in = {.dataset = &d, .selected = &selected, .n = 1};
    turn_joint(&p->target, 20, 0.2f); /* left wrist, too little */
    cr_assert_eq(baseline_part_swap.make(&out, &arena, &in, NULL), ME_OK);
    cr_assert_eq(out.pose, p->source.pose, "nothing changed: the source itself");
    turn_joint(&p->target, 16, 0.4f);             /* left shoulder */
    p->target.pose[3 * MOTION_POSE + 1] += 0.05f; /* of the path, too little */
    turn_joint(&p->target, 4, 0.1f);              /* left knee, too little */
    cr_assert_eq(baseline_part_swap.make(&out, &arena, &in, NULL), ME_OK);
    cr_assert_eq(out.frames, 20);
    for (int64_t t = 0; t < 20; t++) {
        for (int j = 0; j < MOTION_JOINTS; j++) {
            const bool arm = j == 13 || j == 16 || j == 18 || j == 20;
            cr_assert_eq(memcmp(BASELINE_ROW(&out, t) + 3 + 6 * j,
                                BASELINE_ROW(arm ? &p->target : &p->source, t) + 3 + 6 * j,
                                6 * sizeof(float)),
                         0, "joint %d", j);
        }
        cr_assert_eq(memcmp(BASELINE_ROW(&out, t), BASELINE_ROW(&p->source, t), 12), 0);
    }
    for (int64_t t = 0; t < 20; t++) BASELINE_ROW(&p->target, t)[0] += 0.2f;
    cr_assert_eq(baseline_part_swap.make(&out, &arena, &in, NULL), ME_OK);
    cr_assert_eq(memcmp(out.pose, p->target.pose, 9 * sizeof(float)), 0, "the path is a part");
    p->source.frames = 7;
    cr_assert_eq(baseline_part_swap.make(&out, &arena, &in, NULL), ME_OK);
    cr_assert_eq(out.frames, 7, "never padded");
    me_arena_release(&arena);
}

Test(mean_motion, of_the_editors_space_is_the_mean_feature_in_every_frame)
{
    made m;
    run(&m, "mean-motion-207", 8, 0);
    motion_editor_stats stats;
    cr_assert_eq(motion_editor_stats_of(&stats, &m.d, &motion_mean_body, NULL), ME_OK);
    for (int i = 0; i < 8; i++) {
        const motion_clip *c = &m.clip[i];
        cr_assert_eq(c->frames, m.d.pairs[i + 1].target.frames);
        for (int k = 0; k < 3; k++) cr_assert_float_eq(c->pose[k], stats.translation_mean[k], 1e-6);
        for (int64_t t = 0; t < c->frames; t++)
            for (int k = 0; k < 126; k++)
                cr_assert_float_eq(BASELINE_ROW(c, t)[9 + k], stats.mean[15 + k], 1e-6);
    }
    /* The step is the mean velocity in the frame of the pelvis before. */
    float features[16 * MOTION_POSE];
    motion_features(m.clip[0].pose, m.clip[0].frames, features);
    for (int64_t t = 1; t < m.clip[0].frames; t++)
        for (int k = 0; k < 3; k++)
            cr_assert_float_eq(features[t * MOTION_POSE + k], stats.mean[k], 1e-5);
    me_arena_release(&m.arena);
}

Test(mean_motion, of_the_editors_space_needs_no_training_pairs)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_dataset d = data(&arena, 3);
    d.pairs[0].split = MOTION_TEST;
    int64_t selected = 1;
    motion_clip out;
    me_err err = {0};
    baseline_input in = {.dataset = &d, .selected = &selected, .n = 1};
    cr_assert_eq(baseline_mean_motion_207.make(&out, &arena, &in, &err), ME_OK, "%s", err.msg);
    me_arena_release(&arena);
}

Test(noise, of_the_editors_space_is_twice_as_wide_as_the_data)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_dataset d = data(&arena, 40);
    for (int i = 0; i < 40; i++) {
        d.pairs[i].split = MOTION_TRAIN;
        fill_clip(&d.pairs[i].target, &arena, 60, 500 + (uint64_t)i);
    }
    int64_t selected[40];
    static motion_clip out[40];
    for (int i = 0; i < 40; i++) selected[i] = i;
    baseline_input in = {.dataset = &d, .selected = selected, .n = 40, .seed = 3};
    motion_editor_stats want;
    cr_assert_eq(motion_editor_stats_of(&want, &d, &motion_mean_body, NULL), ME_OK);
    cr_assert_eq(baseline_noise_207.make(out, &arena, &in, NULL), ME_OK);
    for (int k = 0; k < 126; k++) {
        double sum = 0, square = 0, n = 0;
        for (int i = 0; i < 40; i++)
            for (int64_t t = 0; t < out[i].frames; t++) {
                const double x = BASELINE_ROW(&out[i], t)[9 + k] - want.mean[15 + k];
                sum += x, square += x * x, n += 1;
            }
        const double sd = 2 * want.std[15 + k];
        cr_assert_float_eq(sum / n, 0, 0.08 * sd, "channel %d", k);
        cr_assert_float_eq(sqrt(square / n), sd, 0.06 * sd, "channel %d", k);
    }
    me_arena_release(&arena);
}

Test(mean_motion, stands_still_in_a_proper_pose_and_clips_of_one_length_are_alike)
{
    made m;
    run(&m, "mean-motion", 8, 0);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(m.clip[i].frames, m.d.pairs[i + 1].target.frames);
        for (int64_t t = 0; t < m.clip[i].frames; t++)
            cr_assert(same_rows(BASELINE_ROW(&m.clip[i], t), m.clip[0].pose));
        cr_assert_lt(motion_orthonormal_deviation(m.clip[i].pose, m.clip[i].frames), 1e-5);
    }
    cr_assert_float_eq(motion_heading(m.clip[0].pose), 0, 0.3, "heading-free mean");
    for (int k = 0; k < 3; k++) cr_assert_eq(m.clip[0].pose[k], 0);
    me_arena_release(&m.arena);
}

Test(noise, has_the_datasets_mean_and_spread_in_feature_space)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_dataset d = data(&arena, 60);
    for (int i = 0; i < 60; i++) fill_clip(&d.pairs[i].target, &arena, 80, 500 + (uint64_t)i);
    int64_t selected[60];
    static motion_clip out[60];
    for (int i = 0; i < 60; i++) selected[i] = i;
    baseline_input in = {.dataset = &d, .selected = selected, .n = 60, .seed = 3};
    cr_assert_eq(baseline_noise.make(out, &arena, &in, NULL), ME_OK);
    baseline_stats want, have;
    cr_assert_eq(baseline_feature_stats(&want, &d, NULL), ME_OK);
    for (int i = 0; i < 60; i++) d.pairs[i].target = out[i];
    cr_assert_eq(baseline_feature_stats(&have, &d, NULL), ME_OK);
    for (int c = 0; c < MOTION_POSE; c++) {
        cr_assert_float_eq(have.mean[c], want.mean[c], 0.08 * want.sd[c] + 1e-4, "feature %d", c);
        cr_assert_float_eq(have.sd[c], want.sd[c], 0.06 * want.sd[c] + 1e-4, "feature %d", c);
    }
    me_arena_release(&arena);
}

Test(noise, of_a_key_does_not_depend_on_the_selection)
{
    made all, some;
    run(&all, "noise", 8, 4);
    run(&some, "noise", 3, 4);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(memcmp(all.clip[i].pose, some.clip[i].pose,
                            (size_t)all.clip[i].frames * MOTION_POSE * sizeof(float)),
                     0);
    me_arena_release(&all.arena);
    me_arena_release(&some.arena);
}

Test(stats, of_an_empty_dataset_are_refused)
{
    motion_dataset d = {0};
    baseline_stats s;
    cr_assert_eq(baseline_feature_stats(&s, &d, NULL), ME_EDATA);
}
