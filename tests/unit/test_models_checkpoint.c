/* models/checkpoint.h: what becomes of a checkpoint that is brought down to its weights. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/doc.h"
#include "core/safetensors.h"
#include "models/checkpoint.h"

static char from[64], to[64];

static void make_names(void)
{
    snprintf(from, sizeof from, "/tmp/mebench-slim-%d.safetensors", (int)getpid());
    snprintf(to, sizeof to, "/tmp/mebench-slim-%d-out.safetensors", (int)getpid());
}

static void remove_files(void)
{
    unlink(from);
    unlink(to);
}

static void put(me_arena *arena, me_value *dict, const char *name, const float *x, int64_t n)
{
    cr_assert(!me_dict_put(arena, dict, name, me_value_array(arena, ME_F32, 1, &n, x), NULL));
}

/* A checkpoint of one parameter `w` with its moments, an average where `ema` is given, and a
 * statistic. */
static void write_checkpoint(const char *schema, const float *w, const float *ema, int64_t n)
{
    me_arena arena = {0};
    me_value *tensors = me_value_new(&arena, ME_DICT), *strings = me_value_new(&arena, ME_DICT);
    const float mean[] = {0.1F, 1e6F};
    put(&arena, tensors, "w", w, n);
    put(&arena, tensors, "adamw.m/w", w, n);
    put(&arena, tensors, "adamw.v/w", w, n);
    if (ema) put(&arena, tensors, "ema/w", ema, n);
    put(&arena, tensors, "editor.mean", mean, 2);
    cr_assert(!me_dict_put(&arena, strings, "schema", me_value_string(&arena, schema), NULL));
    cr_assert(!me_dict_put(&arena, strings, "step", me_value_string(&arena, "7"), NULL));
    cr_assert(!me_safetensors_write(from, tensors, strings, NULL));
    me_arena_release(&arena);
}

static const me_array *array_of(const me_doc *doc, const char *name)
{
    const me_value *v = me_dict_get(doc->root, name);
    cr_assert(v && v->kind == ME_ARRAY, "%s is missing", name);
    return &v->as.array;
}

Test(slim, the_average_takes_the_weights_place_and_moments_go, .init = make_names,
     .fini = remove_files)
{
    const float w[] = {1, 2}, ema[] = {3, 4};
    float found[2];
    me_doc doc;
    write_checkpoint(MODEL_CHECKPOINT_SCHEMA, w, ema, 2);
    cr_assert(!model_checkpoint_slim(to, from, false, NULL));
    cr_assert(!me_doc_open(&doc, to, NULL));
    cr_assert_eq(doc.root->as.dict.length, 2);
    cr_assert(!me_array_read_f32(array_of(&doc, "w"), found, NULL));
    cr_assert(found[0] == 3 && found[1] == 4);
    cr_assert(!me_array_read_f32(array_of(&doc, "editor.mean"), found, NULL));
    cr_assert(found[1] == 1e6F);
    cr_assert_str_eq(me_dict_get(doc.metadata, "schema")->as.string.data, MODEL_WEIGHTS_SCHEMA);
    cr_assert_str_eq(me_dict_get(doc.metadata, "step")->as.string.data, "7");
    me_doc_close(&doc);
}

Test(slim, halves_are_the_nearest_and_statistics_keep_their_digits, .init = make_names,
     .fini = remove_files)
{
    /* Ties go to the even neighbour: 2049 lies between 2048 and 2050, 2051 between 2050 and 2052.
     */
    const float w[] = {1.0F / 3, -65504, 2049, 2051, 1e-7F, 0x1p-24F, 0x1.8p-25F, 0, -0.0F, 65519};
    const float wanted[] = {0x1.554p-2F, -65504,   2048, 2052,  0x1p-23F,
                            0x1p-24F,    0x1p-24F, 0,    -0.0F, 65504};
    float found[10];
    me_doc doc;
    write_checkpoint(MODEL_CHECKPOINT_SCHEMA, w, NULL, 10);
    cr_assert(!model_checkpoint_slim(to, from, true, NULL));
    cr_assert(!me_doc_open(&doc, to, NULL));
    const me_array *a = array_of(&doc, "w");
    cr_assert_eq(a->dtype, ME_F16);
    cr_assert_eq(array_of(&doc, "editor.mean")->dtype, ME_F32);
    cr_assert(!me_array_read_f32(a, found, NULL));
    for (int i = 0; i < 10; i++)
        cr_assert(!memcmp(&found[i], &wanted[i], sizeof *found), "%a became %a, not %a",
                  (double)w[i], (double)found[i], (double)wanted[i]);
    me_doc_close(&doc);
}

Test(slim, what_float16_cannot_hold_is_refused_by_name, .init = make_names, .fini = remove_files)
{
    const float w[] = {65520};
    me_err err = {0};
    write_checkpoint(MODEL_CHECKPOINT_SCHEMA, w, NULL, 1);
    cr_assert_eq(model_checkpoint_slim(to, from, true, &err), ME_EDATA);
    cr_assert(strstr(err.msg, "w holds 65520"), "%s", err.msg);
    cr_assert(access(to, F_OK) != 0);
}

Test(slim, other_files_are_refused, .init = make_names, .fini = remove_files)
{
    const float w[] = {1};
    me_err err = {0};
    write_checkpoint("mebench.motion/1", w, NULL, 1);
    cr_assert_eq(model_checkpoint_slim(to, from, false, &err), ME_EFORMAT);
    cr_assert(strstr(err.msg, "expected a checkpoint"), "%s", err.msg);
}
