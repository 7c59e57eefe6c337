/* Sample sets: folders, archives and single files give the same motions by key. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/npy.h"
#include "core/pickle.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "core/zip.h"
#include "motion/motion.h"
#include "tests/unit/motion_folder.h"

TestSuite(set, .init = open_folder, .fini = remove_folder);

static motion_clip clip_of(uint64_t seed, int64_t frames)
{
    motion_clip c;
    me_rng g = me_rng_make(seed, 0);
    cr_assert_eq(motion_clip_new(&c, &arena, frames, false, NULL), ME_OK);
    for (int64_t i = 0; i < frames * MOTION_POSE; i++) c.pose[i] = (float)me_rng_normal(&g);
    return c;
}

static me_array pose_array(const motion_clip *c)
{
    const int64_t shape[2] = {c->frames, MOTION_POSE};
    return me_array_make(ME_F32, 2, shape, c->pose);
}

static me_value *pose_value(const motion_clip *c)
{
    me_array a = pose_array(c);
    return me_value_array(&arena, ME_F32, 2, a.shape, c->pose);
}

/* The set must be 000007 (3 frames, seed 7) and 000021 (5 frames, seed 21). */
static void is_the_set(const char *path)
{
    motion_set s;
    me_err err = {0};
    cr_assert_eq(motion_set_open(&s, path, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(s.n, 2);
    for (int i = 0; i < 2; i++) {
        motion_clip c = i ? clip_of(21, 5) : clip_of(7, 3);
        cr_assert_str_eq(s.samples[i].key, i ? "000021" : "000007");
        cr_assert_eq(s.samples[i].clip.frames, c.frames);
        cr_assert_arr_eq(s.samples[i].clip.pose, c.pose,
                         (size_t)c.frames * MOTION_POSE * sizeof(float));
    }
    cr_assert_eq(motion_set_find(&s, "000021"), &s.samples[1]);
    cr_assert_null(motion_set_find(&s, "21"));
    motion_set_close(&s);
}

static void write_samples(void)
{
    motion_clip a = clip_of(21, 5), b = clip_of(7, 3);
    me_err err = {0};
    cr_assert_eq(motion_sample_write_npy(folder, "000021", &a, "turn", &err), ME_OK, "%s", err.msg);
    cr_assert_eq(motion_sample_write_npy(folder, "000007", &b, NULL, &err), ME_OK, "%s", err.msg);
}

Test(set, a_folder_of_the_fields_files)
{
    write_samples();
    is_the_set(folder);
}

Test(set, plain_arrays_mix_with_pickled_ones)
{
    write_samples();
    motion_clip a = clip_of(21, 5);
    me_array array = pose_array(&a);
    cr_assert_eq(me_npy_write(at("000021.npy"), &array, NULL), ME_OK);
    is_the_set(folder);
}

Test(set, companions_and_strays_are_listed_and_hidden_files_are_not)
{
    motion_clip c = clip_of(1, 2);
    motion_set s;
    me_err err = {0};
    write_samples();
    cr_assert_eq(motion_sample_write_npy(folder, "000021_source", &c, NULL, NULL), ME_OK);
    cr_assert_eq(motion_sample_write_npy(folder, "000021_target", &c, NULL, NULL), ME_OK);
    cr_assert_eq(me_file_write(at("notes.txt"), "x", 1, NULL), ME_OK);
    cr_assert_eq(me_file_write(at(".DS_Store"), "x", 1, NULL), ME_OK);
    cr_assert_eq(me_make_directories(at("old.npy"), NULL), ME_OK);
    cr_assert_eq(motion_set_open(&s, folder, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(s.n, 2);
    cr_assert_eq(s.ignored_n, 4);
    cr_assert_str_eq(s.ignored[0], "000021_source.npy");
    cr_assert_str_eq(s.ignored[1], "000021_target.npy");
    cr_assert_str_eq(s.ignored[2], "notes.txt");
    cr_assert_str_eq(s.ignored[3], "old.npy");
    motion_set_close(&s);
}

static void write_zip(const char *name, const char *prefix)
{
    me_zip_entry entries[3];
    me_bytes bytes[2];
    me_err err = {0};
    write_samples();
    for (int i = 0; i < 2; i++) {
        const char *file = i ? "000007.npy" : "000021.npy";
        cr_assert_eq(me_bytes_open(&bytes[i], at(file), &err), ME_OK, "%s", err.msg);
        entries[i] = (me_zip_entry){me_arena_printf(&arena, "%s%s", prefix, file), bytes[i].data,
                                    bytes[i].size};
    }
    entries[2] = (me_zip_entry){"__MACOSX/._000007.npy", (const unsigned char *)"x", 1};
    cr_assert_eq(me_zip_write(at(name), entries, 3, true, &err), ME_OK, "%s", err.msg);
    for (int i = 0; i < 2; i++) me_bytes_close(&bytes[i]);
}

Test(set, a_zip_of_the_files)
{
    write_zip("s.zip", "");
    is_the_set(at("s.zip"));
}

Test(set, a_zip_of_the_folder)
{
    write_zip("s.zip", "samples/seed0/");
    is_the_set(at("s.zip"));
}

Test(set, one_npz_of_arrays)
{
    const char *const names[2] = {"000021.npy", "000007.npy"};
    me_zip_entry entries[2];
    me_bytes bytes[2];
    me_err err = {0};
    for (int i = 0; i < 2; i++) {
        motion_clip c = i ? clip_of(7, 3) : clip_of(21, 5);
        me_array a = pose_array(&c);
        cr_assert_eq(me_npy_write(at("one.npy"), &a, &err), ME_OK, "%s", err.msg);
        cr_assert_eq(me_bytes_open(&bytes[i], at("one.npy"), &err), ME_OK, "%s", err.msg);
        entries[i] = (me_zip_entry){names[i], bytes[i].data, bytes[i].size};
    }
    cr_assert_eq(me_zip_write(at("s.npz"), entries, 2, false, &err), ME_OK, "%s", err.msg);
    for (int i = 0; i < 2; i++) me_bytes_close(&bytes[i]);
    is_the_set(at("s.npz"));
}

Test(set, one_safetensors_of_arrays)
{
    motion_clip a = clip_of(21, 5), b = clip_of(7, 3);
    me_value *root = me_value_new(&arena, ME_DICT);
    me_err err = {0};
    me_dict_put(&arena, root, "000021", pose_value(&a), NULL);
    me_dict_put(&arena, root, "000007", pose_value(&b), NULL);
    cr_assert_eq(me_safetensors_write(at("s.safetensors"), root, NULL, &err), ME_OK, "%s", err.msg);
    is_the_set(at("s.safetensors"));
}

Test(set, our_packed_form)
{
    motion_clip a = clip_of(21, 5), b = clip_of(7, 3), all;
    const int64_t n = 2, lengths[2] = {5, 3};
    me_value *root = me_value_new(&arena, ME_DICT), *metadata = me_value_new(&arena, ME_DICT);
    me_err err = {0};
    motion_clip_new(&all, &arena, 8, false, NULL);
    memcpy(all.pose, a.pose, 5 * MOTION_POSE * sizeof(float));
    memcpy(all.pose + 5 * MOTION_POSE, b.pose, 3 * MOTION_POSE * sizeof(float));
    me_dict_put(&arena, root, "lengths", me_value_array(&arena, ME_I64, 1, &n, lengths), NULL);
    me_dict_put(&arena, root, "pose", pose_value(&all), NULL);
    me_dict_put(&arena, metadata, "schema", me_value_string(&arena, "mebench.motion/1"), NULL);
    me_dict_put(&arena, metadata, "keys", me_value_string(&arena, "[\"000021\", \"000007\"]"),
                NULL);
    cr_assert_eq(me_safetensors_write(at("s.safetensors"), root, metadata, &err), ME_OK, "%s",
                 err.msg);
    is_the_set(at("s.safetensors"));
}

Test(set, a_pickled_dictionary_with_integer_keys)
{
    motion_clip a = clip_of(21, 5), b = clip_of(7, 3);
    me_value *root = me_value_new(&arena, ME_DICT);
    me_err err = {0};
    me_dict_set(&arena, root, me_value_int(&arena, 21), pose_value(&a), NULL);
    me_dict_set(&arena, root, me_value_int(&arena, 7), pose_value(&b), NULL);
    cr_assert_eq(me_joblib_write(at("s.pkl"), root, &err), ME_OK, "%s", err.msg);
    is_the_set(at("s.pkl"));
}

Test(set, one_file_is_a_set_of_one)
{
    motion_set s;
    me_err err = {0};
    write_samples();
    cr_assert_eq(motion_set_open(&s, at("000021.npy"), &err), ME_OK, "%s", err.msg);
    cr_assert_eq(s.n, 1);
    cr_assert_str_eq(s.samples[0].key, "000021");
    motion_set_close(&s);
}

static void refused(const char *path, const char *because)
{
    motion_set s;
    me_err err = {0};
    cr_assert_eq(motion_set_open(&s, path, &err), ME_EDATA, "accepted, or: %s", err.msg);
    cr_assert_not_null(strstr(err.msg, because), "said \"%s\", not \"%s\"", err.msg, because);
    cr_assert_null(s.samples);
}

static void write_shape(const char *name, int64_t frames, int64_t columns, double value)
{
    const int64_t shape[2] = {frames, columns};
    float *data = ME_NEW_ARRAY(&arena, frames * columns + 1, float);
    for (int64_t i = 0; i < frames * columns; i++) data[i] = (float)value;
    me_array a = me_array_make(ME_F32, 2, shape, data);
    cr_assert_eq(me_npy_write(at(name), &a, NULL), ME_OK);
}

Test(set, files_that_cannot_be_used_are_named_with_the_reason)
{
    refused(folder, "empty");
    cr_assert_eq(me_file_write(at("readme.txt"), "x", 1, NULL), ME_OK);
    refused(folder, "readme.txt");
    write_shape("000001.npy", 4, 263, 0);
    refused(folder, "HumanML3D");
    refused(folder, "000001.npy");
    write_shape("000001.npy", 4, 207, 0);
    refused(folder, "editor features");
    write_shape("000001.npy", 0, 135, 0);
    refused(folder, "zero frames");
    write_shape("000001.npy", 4, 135, NAN);
    refused(folder, "frame 0");
    write_shape("000001.npy", 4, 135, 1);
    write_shape("000001.npy.npy", 4, 135, 1);
    refused(folder, "000001 occurs twice");
}

Test(set, a_survey_goes_on_and_says_what_was_left_out)
{
    motion_set s;
    me_err err = {0};
    write_samples();
    write_shape("000001.npy", 4, 263, 0);
    write_shape("000030.npy", 4, 135, NAN);
    write_shape("000021.npy.npy", 4, 135, 1);
    cr_assert_eq(me_file_write(at("000031.npy"), "x", 1, NULL), ME_OK);
    cr_assert_eq(me_file_write(at("submission.json"), "{}", 2, NULL), ME_OK);
    cr_assert_eq(motion_set_survey(&s, folder, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(s.n, 2);
    cr_assert_str_eq(s.samples[0].key, "000007");
    cr_assert_str_eq(s.samples[1].key, "000021");
    cr_assert_eq(s.samples[1].clip.frames, 5);
    cr_assert_eq(s.ignored_n, 0);
    cr_assert_eq(s.notes.n, 0);
    static const char *const why[] = {"HumanML3D", "000021.npy.npy: its key 000021", "frame 0",
                                      "000031.npy"};
    cr_assert_eq(s.faults.n, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_not_null(strstr(s.faults.items[i], why[i]), "%s", s.faults.items[i]);
    motion_set_close(&s);
    cr_assert_eq(motion_set_survey(&s, at("nowhere"), &err), ME_EIO);
}

Test(set, a_survey_of_what_is_whole_is_the_set)
{
    motion_set s;
    write_samples();
    cr_assert_eq(motion_set_survey(&s, folder, NULL), ME_OK);
    cr_assert_eq(s.n, 2);
    cr_assert_eq(s.faults.n, 0);
    motion_set_close(&s);
}

Test(set, a_dictionary_without_a_pose_says_so)
{
    me_value *root = me_value_new(&arena, ME_DICT);
    me_dict_put(&arena, root, "motion", me_value_int(&arena, 1), NULL);
    cr_assert_eq(me_npy_write_object(at("000001.npy"), root, NULL), ME_OK);
    refused(folder, "'pose'");
}

Test(set, other_types_and_single_frames_are_noted)
{
    const int64_t shape[2] = {1, MOTION_POSE};
    const double data[MOTION_POSE] = {1.5};
    me_array a = me_array_make(ME_F64, 2, shape, data);
    motion_set s;
    me_err err = {0};
    write_samples();
    cr_assert_eq(me_npy_write(at("000003.npy"), &a, NULL), ME_OK);
    cr_assert_eq(motion_set_open(&s, folder, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(s.n, 3);
    cr_assert_eq(s.samples[0].clip.pose[0], 1.5f);
    cr_assert_eq(s.notes.n, 2);
    cr_assert_not_null(strstr(s.notes.items[0], "float64"));
    cr_assert_not_null(strstr(s.notes.items[1], "one frame"));
    motion_set_close(&s);
}

Test(set, keys_that_leave_the_folder_are_not_written)
{
    motion_clip c = clip_of(1, 1);
    cr_assert_eq(motion_sample_write_npy(folder, "../x", &c, NULL, NULL), ME_EDATA);
    cr_assert_eq(motion_sample_write_npy(folder, "", &c, NULL, NULL), ME_EDATA);
    cr_assert_eq(motion_sample_write_npy(folder, ".x", &c, NULL, NULL), ME_EDATA);
}
