#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/doc.h"
#include "core/npy.h"
#include "tests/unit/reader_text.h"

/* Parses a header, in a version 1.0 file, with `data` zero bytes behind it. */
static me_code parse(const char *header, size_t data, me_err *err)
{
    me_arena arena = {0};
    me_value *v;
    size_t n = strlen(header), size = 10 + n + data;
    unsigned char *b = calloc(1, size);
    memcpy(b, "\x93NUMPY\x01", 7);
    b[8] = (unsigned char)n;
    b[9] = (unsigned char)(n >> 8);
    memcpy(b + 10, header, n);
    me_code code = me_npy_parse(&v, &arena, b, size, err);
    cr_expect_eq(v != NULL, code == ME_OK);
    free(b);
    me_arena_release(&arena);
    return code;
}

Test(npy, headers_may_be_written_in_any_order)
{
    cr_expect_eq(parse("{'shape':(2,3),'descr':'<f4','fortran_order':True}", 24, NULL), ME_OK);
    cr_expect_eq(
        parse("{\"descr\": \"f8\", \"fortran_order\": False, \"shape\": (2L,), }  \n", 16, NULL),
        ME_OK);
}

Test(npy, lying_headers_are_refused)
{
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } cases[] = {
        {"{'descr':'<f4','fortran_order':False,'shape':(2,)}", 7, "promises 8 bytes of data, 7"},
        {"{'descr':'<f4','fortran_order':False,'shape':(2,)}", 9, "promises 8 bytes of data, 9"},
        {"{'descr':'<f4','fortran_order':False,'shape':(4611686018427387904,4)}", 0, "overflows"},
        {"{'descr':'<f4','fortran_order':False,'shape':(4611686018427387904,4,0)}", 0, "overflows"},
        {"{'descr':'<f4','fortran_order':False,'shape':(99999999999999999999,)}", 0, "not a tuple"},
        {"{'descr':'<f4','fortran_order':False,'shape':(-1,)}", 0, "not a tuple"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1,1,1,1,1,1,1,1,1)}", 4, "not a tuple"},
        {"{'descr':'<f4','fortran_order':0,'shape':(1,)}", 4, "neither True nor False"},
        {"{'descr':'<f4','shape':(1,)}", 4, "lacks descr"},
        {"{'descr':'<f16','fortran_order':False,'shape':(1,)}", 16, "element type <f16"},
        {"{'descr':[('a','<f4')],'fortran_order':False,'shape':(1,)}", 4, "structured"},
        {"{'descr':'<U0','fortran_order':False,'shape':(9999999999,)}", 0, "impossible shape"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1,)", 4, "cut off"},
        {"['descr']", 4, "no dictionary"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        me_err err = {0};
        cr_expect_eq(parse(cases[i].header, cases[i].data, &err), ME_EFORMAT, "case %zu", i);
        cr_expect(strstr(err.msg, cases[i].message), "case %zu: %s", i, err.msg);
    }
}

Test(npy, unknown_versions_are_refused)
{
    me_arena arena = {0};
    me_err err = {0};
    me_value *v;
    cr_expect_eq(
        me_npy_parse(&v, &arena, (const unsigned char *)"\x93NUMPY\x04\x00\x00\x00", 10, &err),
        ME_EFORMAT);
    cr_expect_str_eq(err.msg, "npy version 4.0, expected 1.0 to 3.0");
    me_arena_release(&arena);
}

Test(npy, arrays_are_views_of_the_bytes)
{
    me_bytes b;
    me_doc doc;
    cr_assert_eq(me_bytes_open(&b, "tests/data/readers/f4_little.npy", NULL), ME_OK);
    cr_assert_eq(me_doc_open_bytes(&doc, b.data, b.size, "x", NULL), ME_OK);
    cr_expect_eq(doc.root->as.array.data, b.data + 128);
    me_doc_close(&doc);
    me_bytes_close(&b);
}

Test(npy, what_is_written_is_what_numpy_writes)
{
    static const float data[] = {-2, -1, 0, 1, 2, 3};
    char path[64] = "/tmp/mebench-npy-XXXXXX";
    close(mkstemp(path));
    me_array a = me_array_make(ME_F32, 2, (int64_t[]){2, 3}, data);
    cr_assert_eq(me_npy_write(path, &a, NULL), ME_OK);
    me_bytes ours, numpys, in_memory;
    cr_assert_eq(me_bytes_open(&ours, path, NULL), ME_OK);
    cr_assert_eq(me_bytes_open(&numpys, "tests/data/readers/f4_little.npy", NULL), ME_OK);
    cr_expect(ours.size == numpys.size && memcmp(ours.data, numpys.data, ours.size) == 0);
    cr_assert_eq(me_npy_bytes(&in_memory, &a, NULL), ME_OK);
    cr_expect(ours.size == in_memory.size && memcmp(ours.data, in_memory.data, ours.size) == 0);
    me_bytes_close(&in_memory);
    me_bytes_close(&ours);
    me_bytes_close(&numpys);
    unlink(path);
}

Test(npy, bfloat16_has_no_place_in_npy)
{
    static const uint16_t data = 0;
    me_err err = {0};
    me_array a = me_array_make(ME_BF16, 0, NULL, &data);
    cr_expect_eq(me_npy_write("/tmp/mebench-never", &a, &err), ME_EDATA);
    cr_expect(strstr(err.msg, "npy has no bfloat16"), "%s", err.msg);
    me_bytes none;
    cr_expect_eq(me_npy_bytes(&none, &a, NULL), ME_EDATA);
    cr_expect_null(none.data);
}
