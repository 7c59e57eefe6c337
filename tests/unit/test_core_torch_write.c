/* What the torch writer writes, the torch reader reads. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/doc.h"
#include "core/torch.h"

static char *temporary(char path[64])
{
    strcpy(path, "/tmp/mebench-torch-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
    return path;
}

Test(torch_write, a_state_dictionary_comes_back_equal)
{
    me_arena arena = {0};
    me_err err = {0};
    char path[64];
    static const float w[6] = {1.5F, -2, 3.25F, 0, 1e-30F, 7};
    static const int64_t i[2] = {-5, 1LL << 40};
    me_value *d = me_value_new(&arena, ME_DICT), *inner = me_value_new(&arena, ME_DICT);
    me_dict_put(&arena, d, "layer.weight", me_value_array(&arena, ME_F32, 2, (int64_t[]){2, 3}, w),
                &err);
    me_dict_put(&arena, d, "count", me_value_array(&arena, ME_I64, 1, (int64_t[]){2}, i), &err);
    me_dict_put(&arena, inner, "lr", me_value_float(&arena, 1e-4), &err);
    me_dict_put(&arena, inner, "steps", me_value_int(&arena, 1LL << 35), &err);
    me_dict_put(&arena, d, "options", inner, &err);
    cr_assert_eq(me_torch_write(temporary(path), d, &err), ME_OK, "%s", err.msg);

    me_doc doc;
    cr_assert_eq(me_doc_open(&doc, path, &err), ME_OK, "%s", err.msg);
    const me_value *back = me_dict_get(doc.root, "layer.weight");
    float found[6];
    cr_assert_eq(back->as.array.shape[0], 2);
    cr_assert_eq(back->as.array.shape[1], 3);
    cr_assert_eq(me_array_read_f32(&back->as.array, found, &err), ME_OK);
    cr_assert_eq(memcmp(found, w, sizeof w), 0);
    int64_t counts[2];
    cr_assert_eq(me_array_read_i64(&me_dict_get(doc.root, "count")->as.array, counts, &err), ME_OK);
    cr_assert_eq(memcmp(counts, i, sizeof i), 0);
    const me_value *options = me_dict_get(doc.root, "options");
    cr_assert_eq(me_dict_get(options, "lr")->as.number, 1e-4);
    cr_assert_eq(me_dict_get(options, "steps")->as.integer, 1LL << 35);
    me_doc_close(&doc);
    unlink(path);
    me_arena_release(&arena);
}

Test(torch_write, a_view_is_written_in_its_own_order)
{
    me_arena arena = {0};
    me_err err = {0};
    char path[64];
    static const float w[6] = {1, 2, 3, 4, 5, 6};
    me_value *v = me_value_array(&arena, ME_F32, 2, (int64_t[]){2, 3}, w);
    v->as.array.shape[0] = 3; /* transposed */
    v->as.array.shape[1] = 2;
    v->as.array.stride[0] = 1;
    v->as.array.stride[1] = 3;
    cr_assert_eq(me_torch_write(temporary(path), v, &err), ME_OK, "%s", err.msg);
    me_doc doc;
    cr_assert_eq(me_doc_open(&doc, path, &err), ME_OK, "%s", err.msg);
    float found[6];
    cr_assert_eq(me_array_read_f32(&doc.root->as.array, found, &err), ME_OK);
    cr_assert_eq(memcmp(found, (float[]){1, 4, 2, 5, 3, 6}, sizeof found), 0);
    me_doc_close(&doc);
    unlink(path);
    me_arena_release(&arena);
}

Test(torch_write, a_type_without_a_storage_is_refused_and_nothing_is_left)
{
    me_arena arena = {0};
    me_err err = {0};
    char path[64];
    static const uint32_t w[1] = {1};
    temporary(path);
    unlink(path);
    me_value *v = me_value_array(&arena, ME_U32, 1, (int64_t[]){1}, w);
    cr_assert_eq(me_torch_write(path, v, &err), ME_EDATA);
    cr_assert_neq(access(path, F_OK), 0);
    me_arena_release(&arena);
}
