#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "core/compress.h"

/* A zlib stream of n zero bytes. */
static unsigned char *zeros(size_t n, uLongf *size)
{
    unsigned char *plain = calloc(1, n);
    *size = compressBound(n);
    unsigned char *packed = malloc(*size);
    cr_assert_eq(compress2(packed, size, plain, n, 9), Z_OK);
    free(plain);
    return packed;
}

Test(compress, output_has_a_cap)
{
    uLongf size;
    unsigned char *packed = zeros((size_t)8 << 20, &size);
    me_bytes out;
    me_err err = {0};
    cr_expect_eq(me_decompress(&out, "zlib", packed, size, (size_t)1 << 20, &err), ME_EFORMAT);
    cr_expect_str_eq(err.msg, "the zlib stream expands beyond the limit of 1 MiB");
    cr_expect_null(out.data);
    cr_expect_eq(me_decompress(&out, "zlib", packed, size, (size_t)8 << 20, NULL), ME_OK);
    cr_expect_eq(out.size, (size_t)8 << 20);
    me_bytes_close(&out);
    free(packed);
}

Test(compress, bytes_behind_the_end_are_refused)
{
    uLongf size;
    unsigned char *packed = zeros(100, &size);
    unsigned char *longer = malloc(size + 3);
    memcpy(longer, packed, size);
    memcpy(longer + size, "abc", 3);
    me_bytes out;
    me_err err = {0};
    cr_expect_eq(me_decompress(&out, "zlib", longer, size + 3, 1000, &err), ME_EFORMAT);
    cr_expect_str_eq(err.msg, "3 bytes follow the end of the zlib stream");
    free(packed);
    free(longer);
}

Test(compress, streams_are_known_by_their_first_bytes)
{
    static const struct {
        const char *bytes;
        const char *name;
    } cases[] = {
        {"\x1f\x8b\x08", "gzip"},    {"\x78\x9c", "zlib"}, {"\x78\x5e", "zlib"}, {"BZh9", "bz2"},
        {"\x04\x22\x4d\x18", "lz4"}, {"\x78\x9d", NULL},   {"BZh0", NULL},       {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found =
            me_compression_of((const unsigned char *)cases[i].bytes, strlen(cases[i].bytes));
        cr_expect(cases[i].name ? found && strcmp(found, cases[i].name) == 0 : !found, "case %zu",
                  i);
    }
}
