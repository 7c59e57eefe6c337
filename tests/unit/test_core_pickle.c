/* Refusals and limits of the unpickler, and what the writers write read back. That it reads what
 * Python writes is in test_core_doc.c. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/doc.h"
#include "core/npy.h"
#include "core/pickle.h"
#include "tests/unit/reader_text.h"

#define READ(literal, err) read_bytes(literal, sizeof(literal) - 1, err)

/* malloc'ed text of the tree, or NULL. */
static char *read_bytes(const char *bytes, size_t size, me_err *err)
{
    me_arena arena = {0};
    me_value *v;
    unsigned char *copy = malloc(size + 1);
    memcpy(copy, bytes, size);
    char *text = NULL;
    if (me_pickle_read(&v, NULL, &arena, copy, size, 0, err) == ME_OK) text = reader_text(v);
    me_arena_release(&arena);
    free(copy);
    return text;
}

Test(pickle, refusals_name_the_cause_and_the_place)
{
#define CASE(bytes, message)                                                                       \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, message                                                          \
    }
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } cases[] = {
        CASE("\x80\x02"
             "cos\nsystem\nU\x02"
             "id\x85R.",
             "at byte 2: refers to os.system, which this reader does not allow"),
        CASE("\x80\x04\x8c\x08"
             "builtins\x8c\x04"
             "eval\x93.",
             "refers to builtins.eval"),
        CASE("\x80\x02]q\x00h\x00"
             "a.",
             "a value contains itself"),
        CASE("\x80\x02}q\x00K\x01h\x00s.", "a value contains itself"),
        CASE("\x80\x02\x8b\xff\xff\xff\x7f\x00.", "wants 2147483647 bytes, but 2 are left"),
        CASE("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "but 1 are left"),
        CASE("\x80\x02Nr\xff\xff\xff\xff.", "memo entry 4294967295 is out of range"),
        CASE("\x80\x02h\x05.", "memo entry 5 was never stored"),
        CASE("\x80\x02N.N", "1 bytes follow the end of the pickle"),
        CASE("\x80\x02NN.", "values left on its stack"),
        CASE("\x80\x02.", "no value on the stack"),
        CASE("\x80\x02t.", "finds no mark"),
        CASE("\x80\x02(0.", "no value on the stack"),
        CASE("\x80\x02K\x01K\x02"
             "a.",
             "appends to a value that is no list but a integer"),
        CASE("\x80\x02X\x01\x00\x00\x00\xff.", "not UTF-8"),
        CASE("\x80\x02\x82\x01.", "instruction 0x82 (EXT1) is not allowed"),
        CASE("\x80\x02Pkey\n.", "(PERSID) is not allowed"),
        CASE("\x80\x02U\x01x\x85Q.", "refers to data outside the pickle"),
        CASE("\x80\x06N.", "protocol above 5"),
        CASE("\x80\x02K\x01)R.", "calls a integer, which is no function"),
        CASE("\x80\x02"
             "cnumpy\ndtype\nU\x03M8xK\x00K\x01\x87R.",
             "element type M8x, which is not read"),
    };
#undef CASE
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        me_err err = {0};
        cr_expect_null(read_bytes(cases[i].bytes, cases[i].size, &err), "case %zu", i);
        cr_expect_eq(err.code, ME_EFORMAT, "case %zu", i);
        cr_expect(strstr(err.msg, cases[i].message), "case %zu: %s", i, err.msg);
    }
}

Test(pickle, nesting_has_a_limit)
{
    for (int depth = 99; depth <= 400; depth += 301) {
        char bytes[1000];
        int n = 0;
        for (int i = 0; i < depth; i++) bytes[n++] = ']';
        for (int i = 0; i < depth - 1; i++) bytes[n++] = 'a';
        bytes[n++] = '.';
        char *text = read_bytes(bytes, (size_t)n, NULL);
        cr_expect_eq(text != NULL, depth == 99);
        free(text);
    }
}

Test(pickle, shared_lists_may_not_unfold_without_end)
{
    char bytes[2000] = "]q", *p = bytes + 2;
    *p++ = 0;
    for (int i = 0; i < 40; i++) { /* each list holds the one before ten times */
        *p++ = '0', *p++ = '(';
        for (int k = 0; k < 10; k++) *p++ = 'h', *p++ = (char)i;
        *p++ = 'l', *p++ = 'q', *p++ = (char)(i + 1);
    }
    *p++ = '.';
    me_err err = {0};
    cr_expect_null(read_bytes(bytes, (size_t)(p - bytes), &err));
    cr_expect(strstr(err.msg, "shared values unfold"), "%s", err.msg);
}

Test(pickle, equal_keys_merge_and_the_last_value_wins)
{
    char *text = READ("(dU\x01"
                      "aK\x01sU\x01"
                      "bK\x02sU\x01"
                      "aK\x03s.",
                      NULL);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, "{\"a\": 3, \"b\": 2}");
    free(text);
}

Test(pickle, a_thousand_equal_keys_merge_too)
{
    char *bytes = malloc(20000), *p = bytes;
    *p++ = '}';
    *p++ = '(';
    for (int i = 0; i < 3000; i++) *p++ = 'M', *p++ = (char)(i % 7), *p++ = 1, *p++ = 'N';
    *p++ = 'u';
    *p++ = '.';
    char *text = read_bytes(bytes, (size_t)(p - bytes), NULL);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, "{256: None, 257: None, 258: None, 259: None, 260: None, 261: None, "
                           "262: None}");
    free(text);
    free(bytes);
}

Test(pickle, inert_classes_become_their_names)
{
    char *text = READ("\x80\x02"
                      "cargparse\nNamespace\n)\x81}U\x02lrK\x01sb.",
                      NULL);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, "<argparse.Namespace>");
    free(text);
}

Test(pickle, a_module_of_a_torchscript_archive_is_the_dictionary_of_its_attributes)
{
    me_err err = {0};
    char *text =
        READ("\x80\x02"
             "c__torch__.any.name\nMine\n)\x81}(X\x05\x00\x00\x00"
             "widthK\x07X\x04\x00\x00\x00listctorch.jit._pickle\nbuild_intlist\n(](K\x01K\x02"
             "etRub.",
             &err);
    cr_assert_not_null(text, "%s", err.msg);
    cr_assert_str_eq(text, "{\"width\": 7, \"list\": [1, 2]}");
    free(text);
}

Test(pickle, lone_surrogates_become_replacement_characters)
{
    char *text = READ("\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.", NULL);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, "\"\xef\xbf\xbd\"");
    free(text);
}

/* ---- writers -----------------------------------------------------------------------------------
 */

static me_value *sample(me_arena *arena)
{
    static const float data[] = {0, 1, 2, 3, 4, 5};
    static const uint8_t bytes[] = {1, 0};
    me_value *d = me_value_new(arena, ME_DICT), *list = me_value_new(arena, ME_LIST);
    static const int64_t ints[] = {0, 255, 256, -1, INT32_MIN, (int64_t)1 << 40, INT64_MIN};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        me_list_append(arena, list, me_value_int(arena, ints[i]), NULL);
    me_value *turned = me_value_array(arena, ME_F32, 2, (int64_t[]){3, 2}, data);
    turned->as.array.stride[0] = 1;
    turned->as.array.stride[1] = 3;
    me_dict_put(arena, d, "pose", me_value_array(arena, ME_F32, 2, (int64_t[]){2, 3}, data), NULL);
    me_dict_put(arena, d, "turned", turned, NULL);
    me_dict_put(arena, d, "mask", me_value_array(arena, ME_BOOL, 1, (int64_t[]){2}, bytes), NULL);
    me_dict_put(arena, d, "text",
                me_value_string(arena, "dr\xc3\xbc"
                                       "cken"),
                NULL);
    me_dict_put(arena, d, "ints", list, NULL);
    me_dict_put(arena, d, "real", me_value_float(arena, -0.25), NULL);
    me_dict_put(arena, d, "yes", me_value_bool(arena, true), NULL);
    me_dict_put(arena, d, "none", me_value_new(arena, ME_NONE), NULL);
    return d;
}

#define SAMPLE                                                                                     \
    "{\"pose\": float32(2,3)[0 1 2 3 4 5], \"turned\": float32(3,2)[0 3 1 4 2 5], \"mask\": "      \
    "bool(2)[1 0], \"text\": \"dr\xc3\xbc"                                                         \
    "cken\", \"ints\": [0, 255, 256, -1, -2147483648, "                                            \
    "1099511627776, -9223372036854775808], \"real\": -0.25, \"yes\": True, \"none\": None}"

static void expect_file(const char *path, const char *format, const char *expected)
{
    me_doc doc;
    me_err err = {0};
    cr_assert_eq(me_doc_open(&doc, path, &err), ME_OK, "%s", err.msg);
    char *text = reader_text(doc.root);
    cr_expect_str_eq(text, expected);
    cr_expect_str_eq(doc.format, format);
    free(text);
    me_doc_close(&doc);
    unlink(path);
}

Test(pickle, what_joblib_write_writes_reads_back)
{
    me_arena arena = {0};
    char path[64] = "/tmp/mebench-pickle-XXXXXX";
    close(mkstemp(path));
    cr_assert_eq(me_joblib_write(path, sample(&arena), NULL), ME_OK);
    expect_file(path, "joblib", SAMPLE);
    me_arena_release(&arena);
}

Test(pickle, what_npy_write_object_writes_reads_back)
{
    me_arena arena = {0};
    char path[64] = "/tmp/mebench-pickle-XXXXXX";
    close(mkstemp(path));
    cr_assert_eq(me_npy_write_object(path, sample(&arena), NULL), ME_OK);
    expect_file(path, "npy", SAMPLE);
    me_arena_release(&arena);
}

Test(pickle, what_numpy_lacks_is_not_written)
{
    static const uint16_t brain[] = {0};
    me_arena arena = {0};
    me_err err = {0};
    me_value *d = me_value_new(&arena, ME_DICT);
    me_dict_put(&arena, d, "w", me_value_array(&arena, ME_BF16, 1, (int64_t[]){1}, brain), NULL);
    cr_expect_eq(me_joblib_write("/tmp/mebench-never", d, &err), ME_EDATA);
    cr_expect(strstr(err.msg, "numpy has no bfloat16"), "%s", err.msg);
    cr_expect_neq(access("/tmp/mebench-never", F_OK), 0);
    me_arena_release(&arena);
}
