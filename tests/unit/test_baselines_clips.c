/* The trivial rows: what each returns, that seeds decide and nothing else does. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "baselines/baseline.h"
#include "baselines/baselines_priv.h"
#include "core/rng.h"

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
    for (int64_t i = 0; i < n; i++) {
        d.pairs[i].key = me_arena_printf(arena, "%06lld", (long long)i);
        d.pairs[i].text = "faster";
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
    baseline_input in = {&m->d, m->selected, n, seed};
    me_err err = {0};
    cr_assert_eq(b->make(m->clip, &m->arena, &in, &err), ME_OK, "%s: %s", name, err.msg);
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
    cr_assert_eq(n, 7);
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
    baseline_input in = {&d, &selected, 1, 0};
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
    baseline_input in = {&d, selected, 3, 0};
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
    baseline_input in = {&d, &selected, 1, 0};
    me_err err = {0};
    cr_assert_eq(baseline_random_other.make(&out, &arena, &in, &err), ME_EDATA);
    cr_assert(strstr(err.msg, "two pairs"), "%s", err.msg);
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
    baseline_input in = {&d, selected, 60, 3};
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
