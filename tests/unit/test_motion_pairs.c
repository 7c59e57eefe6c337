/* Pairs from BVH files that the test writes itself, from performances of synth. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "motion/bvh.h"
#include "motion/edits.h"
#include "motion/pairs.h"
#include "motion/synth.h"
#include "tests/unit/folder.h"

static char folder[FOLDER_PATH];

/* Five subjects with two files each, in a folder each, a manifest, a broken file and one to skip.
 */
static void write_folder(void)
{
    folder_make(folder);
    motion_synth_options o = motion_synth_defaults(40, 4);
    motion_dataset d;
    me_err err = {0};
    cr_assert_eq(motion_synth(&d, &o, NULL, &err), ME_OK, "%s", err.msg);
    char path[256], manifest[2048] = "file,description\n";
    for (int i = 0; i < 10; i++) {
        snprintf(path, sizeof path, "%s/%02d", folder, i / 2 + 1);
        cr_assert_eq(me_make_directories(path, &err), ME_OK);
        snprintf(path, sizeof path, "%s/%02d/%02d_%02d.bvh", folder, i / 2 + 1, i / 2 + 1, i);
        cr_assert_eq(motion_bvh_write(path, &motion_mean_body, &d.pairs[4 * i].source, &err), ME_OK,
                     "%s", err.msg);
        snprintf(manifest + strlen(manifest), sizeof manifest - strlen(manifest),
                 "%02d/%02d_%02d.bvh,\"%s, slowly\"\n", i / 2 + 1, i / 2 + 1, i,
                 i % 2 ? "walk" : "kick");
    }
    folder_write(folder, "manifest.csv", manifest);
    folder_write(folder, "01/broken.bvh", "HIERARCHY\nROO");
    folder_write(folder, "notes.txt", "x");
    motion_dataset_close(&d);
}

static void remove_folder(void)
{
    folder_remove(folder);
}

static motion_dataset make(uint64_t seed)
{
    motion_pairs_options o = motion_pairs_defaults(seed);
    const char *paths[] = {folder};
    motion_dataset d;
    me_err err = {0};
    cr_assert_eq(motion_pairs(&d, paths, 1, &o, NULL, &err), ME_OK, "%s", err.msg);
    return d;
}

TestSuite(pairs, .init = write_folder, .fini = remove_folder);

Test(pairs, come_from_every_usable_file_and_depend_on_the_seed)
{
    motion_dataset a = make(1), b = make(1), c = make(2);
    cr_expect_geq(a.n, 40);
    cr_assert_eq(a.n, b.n);
    bool words = false, differs = a.n != c.n;
    for (int64_t i = 0; i < a.n; i++) {
        cr_assert_str_eq(a.pairs[i].text, b.pairs[i].text);
        cr_assert_eq(a.pairs[i].target.frames, b.pairs[i].target.frames);
        cr_assert_eq(memcmp(a.pairs[i].target.pose, b.pairs[i].target.pose,
                            (size_t)a.pairs[i].target.frames * MOTION_POSE * sizeof(float)),
                     0);
        words |= strstr(a.pairs[i].text, "kick") || strstr(a.pairs[i].text, "walk");
        differs |= i < c.n && strcmp(a.pairs[i].text, c.pairs[i].text) != 0;
        cr_assert(!strpbrk(a.pairs[i].text, "{}"));
    }
    cr_expect(words && differs);
    cr_expect_eq(a.notes.n, 1);
    cr_expect(strstr(a.notes.items[0], "broken.bvh"));
    motion_dataset_close(&a);
    motion_dataset_close(&b);
    motion_dataset_close(&c);
}

Test(pairs, clips_are_canonical_finite_and_not_all_alike)
{
    motion_dataset d = make(3);
    int64_t same = 0;
    for (int64_t i = 0; i < d.n; i++) {
        const motion_clip *clips[2] = {&d.pairs[i].source, &d.pairs[i].target};
        for (int e = 0; e < 2; e++) {
            cr_assert_float_eq(motion_heading(clips[e]->pose), MOTION_CANONICAL_YAW, 1e-4);
            for (int k = 0; k < 3; k++) cr_assert_eq(clips[e]->pose[k], 0);
            for (int64_t k = 0; k < clips[e]->frames * MOTION_POSE; k++)
                cr_assert(isfinite(clips[e]->pose[k]));
            cr_assert_not_null(clips[e]->joints);
        }
        same += clips[0]->frames == clips[1]->frames &&
                !memcmp(clips[0]->pose, clips[1]->pose,
                        (size_t)clips[0]->frames * MOTION_POSE * sizeof(float));
    }
    cr_expect_eq(same, 0);
    motion_dataset_close(&d);
}

Test(pairs, the_way_back_is_a_pair_too)
{
    motion_dataset d = make(5);
    int64_t back = 0;
    for (int64_t i = 1; i < d.n; i++)
        back += d.pairs[i].source.pose == d.pairs[i - 1].target.pose &&
                d.pairs[i].target.pose == d.pairs[i - 1].source.pose;
    cr_expect_geq(back * 4, d.n - 4);
    motion_dataset_close(&d);
}

Test(pairs, subjects_stay_in_one_split)
{
    motion_dataset d = make(1);
    cr_expect(d.has_split);
    int64_t count[4] = {0};
    for (int64_t i = 0; i < d.n; i++) {
        count[d.pairs[i].split]++;
        for (int64_t k = 0; k < d.n; k++) /* what shares a clip shares the split */
            if (d.pairs[i].source.pose == d.pairs[k].source.pose)
                cr_assert_eq(d.pairs[i].split, d.pairs[k].split);
    }
    cr_expect(count[MOTION_TRAIN] > 0 && count[MOTION_TEST] > 0);
    motion_dataset_close(&d);
}

Test(pairs, one_subject_is_not_split)
{
    char path[FOLDER_PATH + 16];
    snprintf(path, sizeof path, "%s/02", folder);
    const char *paths[] = {path};
    motion_pairs_options o = motion_pairs_defaults(1);
    o.limit = 7;
    motion_dataset d;
    me_err err = {0};
    cr_assert_eq(motion_pairs(&d, paths, 1, &o, NULL, &err), ME_OK, "%s", err.msg);
    cr_expect_eq(d.n, 7);
    cr_expect(!d.has_split);
    cr_expect_eq(d.pairs[0].split, MOTION_UNSPLIT);
    motion_dataset_close(&d);
}

static int64_t of_split(const motion_dataset *d, motion_split split)
{
    int64_t n = 0;
    for (int64_t i = 0; i < d->n; i++) n += d->pairs[i].split == split;
    return n;
}

Test(pairs, variations_widen_the_training_split_alone)
{
    const char *paths[] = {folder};
    motion_pairs_options o = motion_pairs_defaults(1);
    o.max_frames = 60;
    motion_dataset plain, varied, again;
    cr_assert_eq(motion_pairs(&plain, paths, 1, &o, NULL, NULL), ME_OK);
    o.augment = 3;
    cr_assert_eq(motion_pairs(&varied, paths, 1, &o, NULL, NULL), ME_OK);
    cr_assert_eq(motion_pairs(&again, paths, 1, &o, NULL, NULL), ME_OK);
    cr_assert_eq(varied.n, again.n);
    cr_expect_eq(of_split(&varied, MOTION_TRAIN), 4 * of_split(&plain, MOTION_TRAIN));
    cr_expect_eq(of_split(&varied, MOTION_TEST), of_split(&plain, MOTION_TEST));
    for (int64_t i = 0; i < varied.n; i++) {
        const motion_clip *s = &varied.pairs[i].source, *t = &again.pairs[i].source;
        cr_assert_eq(s->frames, t->frames);
        cr_assert_eq(memcmp(s->pose, t->pose, (size_t)s->frames * MOTION_POSE * sizeof(float)), 0);
        cr_assert_float_eq(motion_heading(s->pose), MOTION_CANONICAL_YAW, 1e-4);
        for (int64_t k = 0; k < s->frames * MOTION_POSE; k++) cr_assert(isfinite(s->pose[k]));
        if (i >= plain.n) continue;
        cr_assert_str_eq(varied.pairs[i].text, plain.pairs[i].text);
        cr_assert_eq(memcmp(s->pose, plain.pairs[i].source.pose,
                            (size_t)s->frames * MOTION_POSE * sizeof(float)),
                     0);
    }
    const motion_clip *first = &plain.pairs[0].source, *variation = &varied.pairs[plain.n].source;
    cr_expect(
        first->frames != variation->frames ||
        memcmp(first->pose, variation->pose, (size_t)first->frames * MOTION_POSE * sizeof(float)));
    motion_dataset_close(&plain);
    motion_dataset_close(&varied);
    motion_dataset_close(&again);
}

Test(pairs, a_small_stride_crowds_the_training_split_alone)
{
    const char *paths[] = {folder};
    motion_pairs_options o = motion_pairs_defaults(1);
    o.min_frames = o.max_frames = 40; /* windows of one length: half of it is 20 */
    o.per_window = 1;
    motion_dataset half, close;
    cr_assert_eq(motion_pairs(&half, paths, 1, &o, NULL, NULL), ME_OK);
    o.stride = 5;
    cr_assert_eq(motion_pairs(&close, paths, 1, &o, NULL, NULL), ME_OK);
    cr_expect_gt(of_split(&close, MOTION_TRAIN), 2 * of_split(&half, MOTION_TRAIN));
    cr_expect_leq(of_split(&close, MOTION_TEST), of_split(&half, MOTION_TEST) + 2);
    motion_dataset_close(&half);
    motion_dataset_close(&close);
}

Test(pairs, says_what_it_cannot_use)
{
    char path[FOLDER_PATH + 16];
    snprintf(path, sizeof path, "%s/notes.txt", folder);
    const char *text[] = {path}, *none[] = {"/nonexistent/folder"};
    motion_pairs_options o = motion_pairs_defaults(1);
    motion_dataset d;
    me_err err = {0};
    cr_expect_neq(motion_pairs(&d, text, 1, &o, NULL, &err), ME_OK);
    cr_expect(strstr(err.msg, "notes.txt"), "%s", err.msg);
    err = (me_err){0};
    cr_expect_neq(motion_pairs(&d, none, 1, &o, NULL, &err), ME_OK);
    cr_expect(strstr(err.msg, "/nonexistent/folder"), "%s", err.msg);
    err = (me_err){0};
    o.min_frames = 3;
    cr_expect_eq(motion_pairs(&d, text, 1, &o, NULL, &err), ME_EUSAGE);
}
