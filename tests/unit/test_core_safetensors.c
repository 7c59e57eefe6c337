#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/doc.h"
#include "core/file.h"
#include "core/safetensors.h"
#include "tests/unit/reader_text.h"

static me_code parse(const char *header, size_t data, me_err *err)
{
    me_arena arena = {0};
    me_value *tensors, *metadata;
    size_t n = strlen(header), size = 8 + n + data;
    unsigned char *b = calloc(1, size);
    b[0] = (unsigned char)n;
    memcpy(b + 8, header, n);
    me_code code = me_safetensors_parse(&tensors, &metadata, &arena, b, size, err);
    free(b);
    me_arena_release(&arena);
    return code;
}

Test(safetensors, files_that_break_the_rules_are_refused)
{
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "gap or overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8,
         "end at byte 4 of 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         4, "gap or overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "needs 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, "of 3 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "impossible"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "F8_E4M3"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "lacks dtype"},
        {"{\"a\":1}", 0, "lacks dtype"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        me_err err = {0};
        cr_expect_eq(parse(cases[i].header, cases[i].data, &err), ME_EFORMAT, "case %zu", i);
        cr_expect(strstr(err.msg, cases[i].message), "case %zu: %s", i, err.msg);
    }
    cr_expect_eq(parse("{}", 0, NULL), ME_OK);
}

Test(safetensors, what_is_written_reads_back)
{
    static const float data[] = {0, 1, 2, 3, 4, 5};
    static const uint16_t brain[] = {0x3f80, 0xc000};
    char path[64] = "/tmp/mebench-safetensors-XXXXXX";
    me_arena arena = {0};
    me_doc doc;
    close(mkstemp(path));
    me_value *tensors = me_value_new(&arena, ME_DICT), *metadata = me_value_new(&arena, ME_DICT);
    me_value *turned = me_value_array(&arena, ME_F32, 2, (int64_t[]){3, 2}, data);
    turned->as.array.stride[0] = 1;
    turned->as.array.stride[1] = 3;
    me_dict_put(&arena, tensors, "b", me_value_array(&arena, ME_BF16, 1, (int64_t[]){2}, brain),
                NULL);
    me_dict_put(&arena, tensors, "a\"", turned, NULL);
    me_dict_put(&arena, metadata, "made", me_value_string(&arena, "here"), NULL);
    cr_assert_eq(me_safetensors_write(path, tensors, metadata, NULL), ME_OK);
    cr_assert_eq(me_doc_open(&doc, path, NULL), ME_OK);
    char *text = reader_text(doc.root), *about = reader_text(doc.metadata);
    cr_expect_str_eq(text, "{\"b\": bfloat16(2)[1 -2], \"a\"\": float32(3,2)[0 3 1 4 2 5]}");
    cr_expect_str_eq(about, "{\"made\": \"here\"}");
    const unsigned char *first = doc.root->as.dict.values[0]->as.array.data;
    cr_expect_eq((first - doc.bytes) % 64, 0);
    free(text);
    free(about);
    me_doc_close(&doc);
    cr_assert_eq(me_safetensors_metadata(&metadata, &arena, path, NULL), ME_OK);
    about = reader_text(metadata);
    cr_expect_str_eq(about, "{\"made\": \"here\"}");
    free(about);
    unlink(path);
    me_arena_release(&arena);
}

Test(safetensors, the_header_alone_tells_what_a_file_says_of_itself)
{
    /* The tensor's data are not there, and not looked for. */
    static const char bytes[] = "\x54\0\0\0\0\0\0\0{\"__metadata__\":{\"schema\":\"x\"},"
                                "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    char path[64] = "/tmp/mebench-safetensors-XXXXXX";
    me_arena arena = {0};
    me_value *found;
    me_err err = {0};
    close(mkstemp(path));
    cr_assert_eq(me_file_write(path, bytes, sizeof bytes - 1, NULL), ME_OK);
    cr_assert_eq(me_safetensors_metadata(&found, &arena, path, &err), ME_OK, "%s", err.msg);
    cr_expect(me_string_equals(me_dict_get(found, "schema"), "x"));
    cr_assert_eq(me_file_write(path, bytes, 28, NULL), ME_OK);
    cr_expect_eq(me_safetensors_metadata(&found, &arena, path, &err), ME_EFORMAT);
    cr_expect(strstr(err.msg, "the header wants 84 bytes, 20 are left"), "%s", err.msg);
    cr_expect_null(found);
    cr_assert_eq(me_file_write(path, "no", 2, NULL), ME_OK);
    cr_expect_eq(me_safetensors_metadata(&found, &arena, path, NULL), ME_OK);
    cr_expect_null(found);
    unlink(path);
    cr_expect_eq(me_safetensors_metadata(&found, &arena, path, NULL), ME_EIO);
    me_arena_release(&arena);
}

Test(safetensors, only_named_arrays_are_written)
{
    me_arena arena = {0};
    me_err err = {0};
    me_value *tensors = me_value_new(&arena, ME_DICT);
    me_dict_put(&arena, tensors, "a", me_value_int(&arena, 1), NULL);
    cr_expect_eq(me_safetensors_write("/tmp/mebench-never", tensors, NULL, &err), ME_EDATA);
    cr_expect(strstr(err.msg, "named arrays, found integer"), "%s", err.msg);
    me_arena_release(&arena);
}
