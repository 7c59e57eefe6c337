/* Datasets: the field's form and ours come back as the same pairs; what cannot be trusted is
 * refused by name. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/pickle.h"
#include "core/rng.h"
#include "motion/motion.h"
#include "tests/unit/motion_folder.h"

/* ---- a dataset in memory
 * ---------------------------------------------------------------------------- */

static motion_clip random_clip(me_rng *g, int64_t frames, bool joints)
{
    motion_clip c;
    cr_assert_eq(motion_clip_new(&c, &arena, frames, joints, NULL), ME_OK);
    for (int64_t i = 0; i < frames * MOTION_POSE; i++) c.pose[i] = (float)me_rng_normal(g);
    motion_orthonormalize(c.pose, frames);
    if (joints) motion_forward_kinematics(&motion_mean_body, c.pose, frames, c.joints);
    return c;
}

static motion_dataset make(int64_t n, bool joints)
{
    motion_dataset d = {
        .n = n, .pairs = ME_NEW_ARRAY(&arena, n, motion_pair), .has_split = true, .format = "test"};
    me_rng g = me_rng_make(7, 0);
    for (int64_t i = 0; i < n; i++) {
        /* Not ascending: the order of the file is to be kept. */
        d.pairs[i].key = me_arena_printf(&arena, "%06d", (int)((37 * i + 5) % 1000));
        d.pairs[i].text = i == 1 ? "lève la jambe \"haut\",\nthen stop" : "do it slower";
        d.pairs[i].source_caption = i % 3 ? "a person \"walks\"" : NULL;
        d.pairs[i].target_caption = i == 4 ? "eine Person hüpft" : NULL;
        d.pairs[i].source = random_clip(&g, 1 + i % 4, joints);
        d.pairs[i].target = random_clip(&g, 2 + i % 3, joints);
        d.pairs[i].split = i < 2 ? MOTION_TRAIN : i == 2 ? MOTION_VAL : MOTION_TEST;
        d.frames += d.pairs[i].source.frames + d.pairs[i].target.frames;
    }
    return d;
}

static void same_clip(const motion_clip *a, const motion_clip *b, bool joints)
{
    cr_assert_eq(a->frames, b->frames);
    for (int64_t i = 0; i < a->frames * MOTION_POSE; i++)
        cr_assert_float_eq(a->pose[i], b->pose[i], 1e-6);
    cr_assert_eq(a->joints != NULL, joints);
    for (int64_t i = 0; joints && i < a->frames * MOTION_JOINTS * 3; i++)
        cr_assert_float_eq(a->joints[i], b->joints[i], 1e-5);
}

static void same_caption(const char *a, const char *b)
{
    cr_assert_eq(!a, !b);
    if (a && b) cr_assert_str_eq(a, b);
}

static void round_trip(const char *name, const char *format, bool joints)
{
    motion_dataset d = make(8, true), back;
    me_err err = {0};
    cr_assert_eq(motion_dataset_write(&d, at(name), &err), ME_OK, "%s", err.msg);
    motion_dataset_options options = {.joints = joints, .hash = true};
    cr_assert_eq(motion_dataset_open(&back, at(name), &options, &err), ME_OK, "%s", err.msg);
    cr_assert_str_eq(back.format, format);
    cr_assert_eq(back.n, 8);
    cr_assert_eq(back.frames, d.frames);
    cr_assert(back.has_split);
    cr_assert_eq(strlen(back.sha256), 64);
    for (int64_t i = 0; i < 8; i++) {
        cr_assert_str_eq(back.pairs[i].key, d.pairs[i].key);
        cr_assert_str_eq(back.pairs[i].text, d.pairs[i].text);
        cr_assert_eq(back.pairs[i].split, d.pairs[i].split);
        same_caption(back.pairs[i].source_caption, d.pairs[i].source_caption);
        same_caption(back.pairs[i].target_caption, d.pairs[i].target_caption);
        same_clip(&back.pairs[i].source, &d.pairs[i].source, joints);
        same_clip(&back.pairs[i].target, &d.pairs[i].target, joints);
        cr_assert_eq(motion_dataset_find(&back, d.pairs[i].key), &back.pairs[i]);
    }
    cr_assert_null(motion_dataset_find(&back, "nobody"));
    motion_dataset_close(&back);
}

TestSuite(dataset, .init = open_folder, .fini = remove_folder);

Test(dataset, the_fields_form_comes_back)
{
    round_trip("a.pth.tar", "motionfix-joblib", true);
}
Test(dataset, positions_are_read_only_when_asked_for)
{
    round_trip("a.pth.tar", "motionfix-joblib", false);
}
Test(dataset, our_form_comes_back)
{
    round_trip("a.safetensors", "mebench-safetensors", true);
}

Test(dataset, clips_without_positions_get_those_of_the_mean_body)
{
    motion_dataset d = make(2, false), back;
    me_err err = {0};
    float joints[8 * MOTION_JOINTS * 3];
    cr_assert_eq(motion_dataset_write(&d, at("a.pth.tar"), &err), ME_OK, "%s", err.msg);
    cr_assert_eq(motion_dataset_open(&back, at("a.pth.tar"),
                                     &(motion_dataset_options){.joints = true}, &err),
                 ME_OK);
    const motion_clip *clip = &back.pairs[0].target;
    motion_forward_kinematics(&motion_mean_body, clip->pose, clip->frames, joints);
    for (int64_t i = 0; i < clip->frames * MOTION_JOINTS * 3; i++)
        cr_assert_float_eq(joints[i], clip->joints[i], 1e-5);
    motion_dataset_close(&back);
}

/* What stands for pair `i` in a file of its own: the bytes between its key and the file's end. */
static me_bytes pickled_entry(const motion_dataset *d, int64_t i)
{
    motion_dataset one = {.n = 1, .pairs = &d->pairs[i]};
    me_bytes b;
    cr_assert_eq(motion_dataset_write(&one, at("one.pth.tar"), NULL), ME_OK);
    cr_assert_eq(me_bytes_open(&b, at("one.pth.tar"), NULL), ME_OK);
    cr_assert_eq(memcmp(b.data, "\x80\x04}(\x8c\x06", 6), 0);
    return b;
}

/* The file's bytes are given back while pairs are made of them, so it must be large. */
Test(dataset, a_pair_may_share_the_arrays_of_a_much_earlier_one)
{
    enum { N = 12, FRAMES = 1500, PREFIX = 12 }; /* PREFIX: protocol, dictionary, mark, key */
    motion_dataset d = make(N, false), back;
    me_rng g = me_rng_make(3, 0);
    me_writer w;
    me_err err = {0};
    cr_assert_eq(me_writer_open(&w, at("shared.pth.tar"), &err), ME_OK, "%s", err.msg);
    me_writer_put(&w, "\x80\x04}(", 4);
    for (int64_t i = 0; i < N; i++) {
        d.pairs[i].source = random_clip(&g, FRAMES, true);
        d.pairs[i].target = random_clip(&g, FRAMES, true);
        me_bytes b = pickled_entry(&d, i);
        me_writer_printf(&w, "\x8c\x06%s", d.pairs[i].key);
        me_writer_put(&w, b.data + PREFIX, b.size - PREFIX - 2);
        if (i == 0) me_writer_put(&w, "\x94", 1); /* remembered */
        me_bytes_close(&b);
    }
    me_writer_printf(&w,
                     "\x8c\x06shared"
                     "h%cu.",
                     0); /* and met again */
    cr_assert_eq(me_writer_commit(&w, &err), ME_OK, "%s", err.msg);
    const motion_dataset_options options = {.joints = true, .hash = true};
    cr_assert_eq(motion_dataset_open(&back, at("shared.pth.tar"), &options, &err), ME_OK, "%s",
                 err.msg);
    cr_assert_eq(back.n, N + 1);
    for (int64_t i = 0; i <= N; i++) {
        same_clip(&back.pairs[i].source, &d.pairs[i % N].source, true);
        same_clip(&back.pairs[i].target, &d.pairs[i % N].target, true);
    }
    motion_dataset_close(&back);
}

Test(dataset, a_name_of_another_ending_is_not_written)
{
    motion_dataset d = make(1, false);
    me_err err = {0};
    cr_assert_eq(motion_dataset_write(&d, at("a.npz"), &err), ME_EUSAGE);
}

Test(dataset, a_splits_file_of_another_dataset_is_never_overwritten)
{
    motion_dataset d = make(4, false);
    me_err err = {0};
    cr_assert_eq(motion_dataset_write(&d, at("a.pth.tar"), &err), ME_OK, "%s", err.msg);
    d.pairs[0].split = MOTION_TEST;
    cr_assert_eq(motion_dataset_write(&d, at("b.safetensors"), &err), ME_EUSAGE);
    cr_assert_not(me_file_exists(at("b.safetensors")));
    err = (me_err){0};
    cr_assert_eq(motion_dataset_write(&d, at("a.pth.tar"), &err), ME_OK, "%s",
                 err.msg); /* its own */
    cr_assert_eq(motion_dataset_write(&d, at("b.safetensors"), &err), ME_OK, "%s", err.msg);
}

/* ---- hand-made files in the field's form
 * ------------------------------------------------------------- */

typedef struct shape {
    me_dtype dtype;
    int64_t frames, rots, trans_frames, joint_frames;
    double bad; /* put into the last frame of rots */
    bool integer_key, no_text;
} shape;

static const shape usual = {ME_F32, 3, 66, 3, 3, 0, false, false};

static me_value *array(me_dtype dtype, int64_t rows, int64_t columns, double bad)
{
    const int64_t dims[2] = {rows, columns};
    float *f = ME_NEW_ARRAY(&arena, rows * columns, float);
    double *d = ME_NEW_ARRAY(&arena, rows * columns, double);
    for (int64_t i = 0; i < rows * columns; i++) f[i] = (float)(d[i] = 0.01 * (double)(i % 50));
    if (rows && bad != 0) f[rows * columns - 1] = (float)(d[rows * columns - 1] = bad);
    return me_value_array(&arena, dtype, 2, dims, dtype == ME_F32 ? (void *)f : (void *)d);
}

static me_value *clip_value(shape s)
{
    me_value *clip = me_value_new(&arena, ME_DICT);
    me_dict_put(&arena, clip, "rots", array(s.dtype, s.frames, s.rots, s.bad), NULL);
    me_dict_put(&arena, clip, "trans", array(s.dtype, s.trans_frames, 3, 0), NULL);
    me_dict_put(&arena, clip, "joint_positions", array(s.dtype, s.joint_frames, 66, 0), NULL);
    me_dict_put(&arena, clip, "timestamp", me_value_float(&arena, 1.5), NULL);
    return clip;
}

/* Two pairs; the second pair's target has the shape asked for. Returns the path. */
static const char *file_with(shape s)
{
    me_value *root = me_value_new(&arena, ME_DICT);
    me_err err = {0};
    for (int i = 0; i < 2; i++) {
        me_value *entry = me_value_new(&arena, ME_DICT);
        me_dict_put(&arena, entry, "motion_source", clip_value(usual), NULL);
        me_dict_put(&arena, entry, "motion_target", clip_value(i ? s : usual), NULL);
        if (!i || !s.no_text)
            me_dict_put(&arena, entry, "text", me_value_string(&arena, "turn"), NULL);
        if (i && s.integer_key)
            me_dict_set(&arena, root, me_value_int(&arena, 21), entry, NULL);
        else
            me_dict_put(&arena, root, i ? "000021" : "000007", entry, NULL);
    }
    cr_assert_eq(me_joblib_write(at("d.pth.tar"), root, &err), ME_OK, "%s", err.msg);
    return at("d.pth.tar");
}

static void refused(shape s, const char *because)
{
    motion_dataset d;
    me_err err = {0};
    cr_assert_eq(
        motion_dataset_open(&d, file_with(s), &(motion_dataset_options){.joints = true}, &err),
        ME_EDATA, "accepted what lacks: %s", because);
    cr_assert_not_null(strstr(err.msg, because), "said \"%s\", not \"%s\"", err.msg, because);
    cr_assert_not_null(strstr(err.msg, "000021"), "does not name the key: \"%s\"", err.msg);
    cr_assert_null(d.pairs);
}

static void accepted_with_note(shape s, const char *note)
{
    motion_dataset d;
    me_err err = {0};
    cr_assert_eq(motion_dataset_open(&d, file_with(s), NULL, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(d.n, 2);
    cr_assert_str_eq(d.pairs[1].key, "000021");
    cr_assert_eq(d.pairs[1].split, MOTION_UNSPLIT);
    if (note) {
        cr_assert_eq(d.notes.n, 1);
        cr_assert_not_null(strstr(d.notes.items[0], note), "said \"%s\", not \"%s\"",
                           d.notes.items[0], note);
    } else {
        cr_assert_eq(d.notes.n, 0);
    }
    motion_dataset_close(&d);
}

Test(dataset, an_ordinary_file_needs_no_note)
{
    accepted_with_note(usual, NULL);
}

Test(dataset, what_is_converted_on_the_way_is_noted)
{
    shape s = usual;
    s.dtype = ME_F64;
    accepted_with_note(s, "float64");
    s = usual, s.integer_key = true;
    accepted_with_note(s, "six digits");
    s = usual, s.frames = s.trans_frames = s.joint_frames = 1;
    accepted_with_note(s, "one frame");
    s = usual, s.rots = 156;
    accepted_with_note(s, "156");
    s = usual, s.no_text = true;
    accepted_with_note(s, "no text");
}

Test(dataset, what_cannot_be_used_is_refused_with_key_and_reason)
{
    shape s = usual;
    s.frames = s.trans_frames = s.joint_frames = 0;
    refused(s, "zero frames");
    s = usual, s.trans_frames = 4;
    refused(s, "'trans' has 4");
    s = usual, s.joint_frames = 2;
    refused(s, "'joint_positions' has 2");
    s = usual, s.rots = 263;
    refused(s, "HumanML3D");
    s = usual, s.rots = 207;
    refused(s, "editor features");
    s = usual, s.rots = 63;
    refused(s, "without the pelvis");
    s = usual, s.bad = NAN;
    refused(s, "motion_target: 'rots' holds NaN or infinity in frame 2");
    s = usual, s.bad = INFINITY;
    refused(s, "frame 2");
}

Test(dataset, equal_keys_are_refused)
{
    me_value *root = me_value_new(&arena, ME_DICT);
    motion_dataset d;
    me_err err = {0};
    for (int i = 0; i < 2; i++) {
        me_value *entry = me_value_new(&arena, ME_DICT);
        me_dict_put(&arena, entry, "motion_source", clip_value(usual), NULL);
        me_dict_put(&arena, entry, "motion_target", clip_value(usual), NULL);
        me_dict_set(&arena, root, i ? me_value_int(&arena, 21) : me_value_string(&arena, "000021"),
                    entry, NULL);
    }
    cr_assert_eq(me_joblib_write(at("d.pth.tar"), root, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(motion_dataset_open(&d, at("d.pth.tar"), NULL, &err), ME_EDATA);
    cr_assert_not_null(strstr(err.msg, "000021 occurs twice"), "%s", err.msg);
}

Test(dataset, other_files_say_what_they_seem_to_be)
{
    me_value *root = me_value_new(&arena, ME_DICT);
    motion_dataset d;
    me_err err = {0};
    me_dict_put(&arena, root, "pose", array(ME_F32, 2, 135, 0), NULL);
    cr_assert_eq(me_joblib_write(at("d.pth.tar"), root, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(motion_dataset_open(&d, at("d.pth.tar"), NULL, &err), ME_EDATA);
    cr_assert_not_null(strstr(err.msg, "sample"), "%s", err.msg);
}

/* ---- splits
 * ----------------------------------------------------------------------------------------- */

Test(dataset, an_id_in_neither_train_nor_val_is_test)
{
    motion_dataset d;
    me_err err = {0};
    const char *path = file_with(usual);
    folder_write(folder, "splits.json",
                 "{\"train\": [\"000007\", \"000099\"], \"val\": [], \"test\": []}");
    cr_assert_eq(motion_dataset_open(&d, path, NULL, &err), ME_OK, "%s", err.msg);
    cr_assert(d.has_split);
    cr_assert_eq(d.pairs[0].split, MOTION_TRAIN);
    cr_assert_eq(d.pairs[1].split, MOTION_TEST);
    cr_assert_eq(d.notes.n, 2); /* 000021 is unlisted; of the train list one of two is here */
    motion_dataset_close(&d);
}

Test(dataset, a_given_splits_file_wins_over_the_one_beside)
{
    motion_dataset d;
    me_err err = {0};
    const char *path = file_with(usual);
    folder_write(folder, "splits.json", "{\"train\": [\"000007\", \"000021\"]}");
    folder_write(folder, "other.json", "{\"val\": [\"000007\"], \"test\": [21]}");
    cr_assert_eq(
        motion_dataset_open(&d, path, &(motion_dataset_options){.splits = at("other.json")}, &err),
        ME_OK, "%s", err.msg);
    cr_assert_eq(d.pairs[0].split, MOTION_VAL);
    cr_assert_eq(d.pairs[1].split, MOTION_TEST);
    cr_assert_eq(d.notes.n, 0);
    motion_dataset_close(&d);
}

Test(dataset, overlapping_or_shapeless_splits_are_refused)
{
    static const char *const texts[] = {"{\"train\": [\"000007\"], \"test\": [\"000007\"]}",
                                        "{\"train\": 3}", "[1]", "{}", "{\"train\": [1.5]}"};
    const char *path = file_with(usual);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        motion_dataset d;
        me_err err = {0};
        folder_write(folder, "splits.json", texts[i]);
        cr_assert_neq(motion_dataset_open(&d, path, NULL, &err), ME_OK, "%s", texts[i]);
        cr_assert_not_null(strstr(err.msg, "splits.json"), "%s", err.msg);
    }
}
