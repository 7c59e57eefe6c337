/* Archives: what we write reads back, what torch writes is viewed in place, what lies is refused.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "core/zip.h"

/* ---- a writer of odd archives: one stored entry per call
 * ----------------------------------------- */

typedef struct builder {
    unsigned char bytes[8192], central[2048];
    size_t size, central_size;
    unsigned n;
} builder;

typedef struct oddity {
    uint16_t flags, method;
    bool
        descriptor; /* sizes and CRC behind the data, zeroes in the local header, as torch writes */
    bool zip64;     /* sizes and offset in the zip64 field of the directory */
    size_t declared; /* size in the directory when not 0 */
    size_t packed;   /* the same, compressed */
    uint32_t crc;    /* added to the true CRC */
    size_t padding;  /* bytes of extra field in the local header */
} oddity;

static void le(unsigned char **p, uint64_t x, int n)
{
    for (int i = 0; i < n; i++) *(*p)++ = (unsigned char)(x >> 8 * i);
}

static void add(builder *b, const char *name, const char *data, size_t size, oddity odd)
{
    uint16_t n_name = (uint16_t)strlen(name);
    uint32_t crc = (uint32_t)crc32(0, (const unsigned char *)data, (uInt)size) + odd.crc;
    uint64_t declared = odd.declared ? odd.declared : size, packed = odd.packed ? odd.packed : size;
    uint64_t offset = b->size;
    unsigned char *p = b->bytes + b->size;
    le(&p, 0x04034b50, 4), le(&p, 20, 2), le(&p, odd.flags, 2), le(&p, odd.method, 2), le(&p, 0, 4);
    le(&p, odd.descriptor ? 0 : crc, 4);
    le(&p, odd.descriptor ? 0 : packed, 4), le(&p, odd.descriptor ? 0 : declared, 4);
    le(&p, n_name, 2), le(&p, odd.padding, 2);
    memcpy(p, name, n_name), p += n_name;
    if (odd.padding) { /* "FB" and a length, as torch aligns its data */
        le(&p, 0x4246, 2), le(&p, odd.padding - 4, 2);
        memset(p, 'Z', odd.padding - 4), p += odd.padding - 4;
    }
    memcpy(p, data, size), p += size;
    if (odd.descriptor)
        le(&p, 0x08074b50, 4), le(&p, crc, 4), le(&p, packed, 4), le(&p, declared, 4);
    b->size = (size_t)(p - b->bytes);

    unsigned char *c = b->central + b->central_size;
    le(&c, 0x02014b50, 4), le(&c, 45, 2), le(&c, 45, 2), le(&c, odd.flags, 2),
        le(&c, odd.method, 2);
    le(&c, 0, 4), le(&c, crc, 4);
    le(&c, odd.zip64 ? UINT32_MAX : packed, 4), le(&c, odd.zip64 ? UINT32_MAX : declared, 4);
    le(&c, n_name, 2), le(&c, odd.zip64 ? 28 : 0, 2), le(&c, 0, 2), le(&c, 0, 2), le(&c, 0, 2);
    le(&c, 0, 4), le(&c, odd.zip64 ? UINT32_MAX : offset, 4);
    memcpy(c, name, n_name), c += n_name;
    if (odd.zip64)
        le(&c, 1, 2), le(&c, 24, 2), le(&c, declared, 8), le(&c, packed, 8), le(&c, offset, 8);
    b->central_size = (size_t)(c - b->central);
    b->n++;
}

static void finish(builder *b, bool zip64)
{
    uint64_t at = b->size;
    memcpy(b->bytes + b->size, b->central, b->central_size);
    unsigned char *p = b->bytes + b->size + b->central_size;
    uint64_t end = (uint64_t)(p - b->bytes);
    if (zip64) {
        le(&p, 0x06064b50, 4), le(&p, 44, 8), le(&p, 45, 2), le(&p, 45, 2), le(&p, 0, 8);
        le(&p, b->n, 8), le(&p, b->n, 8), le(&p, b->central_size, 8), le(&p, at, 8);
        le(&p, 0x07064b50, 4), le(&p, 0, 4), le(&p, end, 8), le(&p, 1, 4);
    }
    le(&p, 0x06054b50, 4), le(&p, 0, 4);
    le(&p, zip64 ? 0xffff : b->n, 2), le(&p, zip64 ? 0xffff : b->n, 2);
    le(&p, zip64 ? UINT32_MAX : b->central_size, 4), le(&p, zip64 ? UINT32_MAX : at, 4),
        le(&p, 0, 2);
    b->size = (size_t)(p - b->bytes);
}

static bool viewed(const me_zip_entry *entry, const builder *b)
{
    return entry->data >= b->bytes && entry->data < b->bytes + b->size;
}

static void refused(const builder *b, const char *because)
{
    me_zip z;
    me_err err = {0};
    cr_assert_eq(me_zip_open(&z, b->bytes, b->size, "t.zip", false, &err), ME_EFORMAT);
    cr_assert_not_null(strstr(err.msg, because), "said \"%s\", not \"%s\"", err.msg, because);
    cr_assert_null(z.entries);
    cr_assert_null(z.owned);
}

/* ---- reading
 * ------------------------------------------------------------------------------------- */

Test(zip, stored_entries_are_views_whatever_their_headers_look_like)
{
    static const oddity cases[] = {
        {0},
        {.flags = 0x0808, .descriptor = true, .padding = 37},
        {.zip64 = true},
        {.flags = 0x0808, .descriptor = true, .zip64 = true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        builder b = {0};
        add(&b, "archive/data.pkl", "hello", 5, cases[i]);
        add(&b, "archive/data/", "", 0, (oddity){0});
        add(&b, "archive/data/0", "", 0, cases[i]);
        add(&b, "../up", "world", 5, cases[i]);
        finish(&b, cases[i].zip64);
        me_zip z;
        me_err err = {0};
        cr_assert_eq(me_zip_open(&z, b.bytes, b.size, "t.zip", false, &err), ME_OK, "%zu: %s", i,
                     err.msg);
        cr_assert_eq(z.n, 3); /* the folder is left out */
        cr_assert_str_eq(z.entries[0].name, "archive/data.pkl");
        const me_zip_entry *up = me_zip_find(&z, "../up");
        cr_assert_not_null(up);
        cr_assert_eq(up->size, 5);
        cr_assert_eq(memcmp(up->data, "world", 5), 0);
        cr_assert(viewed(up, &b), "case %zu was copied", i);
        cr_assert_eq(me_zip_find(&z, "archive/data/0")->size, 0);
        cr_assert_null(me_zip_find(&z, "archive"));
        cr_assert_null(z.owned);
        me_zip_close(&z);
    }
}

Test(zip, an_archive_with_a_comment_is_read_by_copy)
{
    builder b = {0};
    add(&b, "a", "hello", 5, (oddity){0});
    finish(&b, false);
    b.bytes[b.size - 2] = 3;
    memcpy(b.bytes + b.size, "abc", 3);
    b.size += 3;
    me_zip z;
    me_err err = {0};
    cr_assert_eq(me_zip_open(&z, b.bytes, b.size, "t.zip", false, &err), ME_OK, "%s", err.msg);
    cr_assert_not(viewed(&z.entries[0], &b));
    cr_assert_eq(memcmp(z.entries[0].data, "hello", 5), 0);
    me_zip_close(&z);
}

Test(zip, names_alone_read_no_data)
{
    builder b = {0};
    add(&b, "a", "hello", 5, (oddity){.crc = 1});
    finish(&b, false);
    me_zip z;
    cr_assert_eq(me_zip_open(&z, b.bytes, b.size, "t.zip", true, NULL), ME_OK);
    cr_assert_eq(z.n, 1);
    cr_assert_eq(z.entries[0].size, 5);
    cr_assert_null(z.entries[0].data);
    me_zip_close(&z);
}

Test(zip, an_empty_archive_has_no_entries)
{
    builder b = {0};
    finish(&b, false);
    cr_assert(me_is_zip(b.bytes, b.size));
    me_zip z;
    me_err err = {0};
    cr_assert_eq(me_zip_open(&z, b.bytes, b.size, "t.zip", false, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(z.n, 0);
    cr_assert_null(me_zip_find(&z, "a"));
    me_zip_close(&z);
}

Test(zip, what_lies_is_refused)
{
    static const struct {
        oddity odd;
        const char *because;
    } cases[] = {
        {{.crc = 1}, "entry a: CRC"},
        {{.flags = 1}, "entry a is encrypted"},
        {{.method = 12}, "compression method 12"},
        {{.declared = 1u << 30}, "which cannot be"},
        {{.declared = 1u << 30, .packed = 1u << 30}, "which cannot be"},
        {{.method = 8, .declared = 1u << 30}, "which cannot be"},
        {{.method = 8}, "entry a: "}, /* not a deflate stream */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        builder b = {0};
        add(&b, "a", "hello", 5, cases[i].odd);
        finish(&b, false);
        refused(&b, cases[i].because);
    }
}

Test(zip, duplicate_names_are_refused)
{
    builder b = {0};
    add(&b, "a", "x", 1, (oddity){0});
    add(&b, "b", "x", 1, (oddity){0});
    add(&b, "a", "y", 1, (oddity){0});
    finish(&b, false);
    refused(&b, "two entries are named a");
}

Test(zip, every_truncation_fails_cleanly)
{
    builder b = {0};
    add(&b, "a", "hello", 5, (oddity){.flags = 0x0808, .descriptor = true});
    add(&b, "b", "world", 5, (oddity){.zip64 = true});
    finish(&b, false);
    for (size_t n = 0; n < b.size; n++) {
        unsigned char *cut = malloc(n + 1); /* exact, so that a sanitizer sees a read beyond */
        memcpy(cut, b.bytes, n);
        unsigned char *exact = realloc(cut, n ? n : 1);
        me_zip z;
        me_err err = {0};
        cr_assert_neq(me_zip_open(&z, exact, n, "t.zip", false, &err), ME_OK, "%zu bytes", n);
        cr_assert_eq(strncmp(err.msg, "t.zip: ", 7), 0);
        free(exact);
    }
}

Test(zip, a_bomb_of_overlapping_entries_is_refused)
{
    /* Two records for the same megabyte of zeroes would be fine; a hundred pass the cap. */
    enum { N = 100, MEGABYTES = 1 };
    size_t plain = (size_t)MEGABYTES << 20;
    unsigned char *zeroes = calloc(plain, 1);
    unsigned char packed[4096];
    z_stream s = {
        .next_in = zeroes, .avail_in = (uInt)plain, .next_out = packed, .avail_out = sizeof packed};
    cr_assert_eq(deflateInit2(&s, 9, Z_DEFLATED, -15, 9, 0), Z_OK);
    cr_assert_eq(deflate(&s, Z_FINISH), Z_STREAM_END);
    size_t n = sizeof packed - s.avail_out;
    deflateEnd(&s);
    unsigned char *bytes = calloc(1, 16384), *p = bytes;
    uint32_t crc = (uint32_t)crc32(0, zeroes, (uInt)plain);
    le(&p, 0x04034b50, 4), le(&p, 20, 2), le(&p, 0, 2), le(&p, 8, 2), le(&p, 0, 4), le(&p, crc, 4);
    le(&p, n, 4), le(&p, plain, 4), le(&p, 2, 2), le(&p, 0, 2), le(&p, 0x3030, 2);
    memcpy(p, packed, n), p += n;
    size_t at = (size_t)(p - bytes);
    for (int i = 0; i < N; i++) {
        le(&p, 0x02014b50, 4), le(&p, 20, 2), le(&p, 20, 2), le(&p, 0, 2), le(&p, 8, 2),
            le(&p, 0, 4);
        le(&p, crc, 4), le(&p, n, 4), le(&p, plain, 4), le(&p, 2, 2), le(&p, 0, 8), le(&p, 0, 8);
        *p++ = (unsigned char)('0' + i / 10), *p++ = (unsigned char)('0' + i % 10);
    }
    size_t central = (size_t)(p - bytes) - at;
    le(&p, 0x06054b50, 4), le(&p, 0, 4), le(&p, N, 2), le(&p, N, 2), le(&p, central, 4),
        le(&p, at, 4);
    le(&p, 0, 2);
    me_zip z;
    me_err err = {0};
    cr_assert_eq(me_zip_open(&z, bytes, (size_t)(p - bytes), "t.zip", false, &err), ME_EFORMAT);
    cr_assert_not_null(strstr(err.msg, "expands to more than 1000 times"), "%s", err.msg);
    free(bytes);
    free(zeroes);
}

Test(zip, only_zips_look_like_zips)
{
    cr_assert_not(me_is_zip((const unsigned char *)"PK", 2));
    cr_assert_not(me_is_zip((const unsigned char *)"\x93NUMPY.................", 22));
    cr_assert(me_is_zip((const unsigned char *)"PK\3\4..................", 22));
}

/* ---- writing
 * ------------------------------------------------------------------------------------- */

static void round_trip(bool deflate)
{
    char path[] = "/tmp/me_zip_XXXXXX";
    close(mkstemp(path));
    unsigned char *large = malloc(100000);
    for (int i = 0; i < 100000; i++) large[i] = (unsigned char)(i / 1000);
    me_zip_entry entries[] = {
        {"z/first.npy", large, 100000}, {"a\xc3\xa9", (unsigned char *)"x", 1}, {"e", large, 0}};
    me_err err = {0};
    cr_assert_eq(me_zip_write(path, entries, 3, deflate, &err), ME_OK, "%s", err.msg);
    me_bytes file, again;
    cr_assert_eq(me_bytes_open(&file, path, &err), ME_OK, "%s", err.msg);
    cr_assert(me_is_zip(file.data, file.size));
    cr_assert(deflate ? file.size < 2000 : file.size > 100000);
    me_zip z;
    cr_assert_eq(me_zip_open(&z, file.data, file.size, path, false, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(z.n, 3);
    for (int i = 0; i < 3; i++) {
        cr_assert_str_eq(z.entries[i].name, entries[i].name);
        cr_assert_eq(z.entries[i].size, entries[i].size);
        cr_assert_eq(memcmp(z.entries[i].data, entries[i].data, entries[i].size), 0);
    }
    cr_assert_eq(z.owned == NULL, !deflate, "stored entries need no copy");
    me_zip_close(&z);
    cr_assert_eq(me_zip_write(path, entries, 3, deflate, &err), ME_OK);
    cr_assert_eq(me_bytes_open(&again, path, &err), ME_OK);
    cr_assert_eq(again.size, file.size);
    cr_assert_eq(memcmp(again.data, file.data, file.size), 0, "the same entries gave other bytes");
    me_bytes_close(&again);
    me_bytes_close(&file);
    free(large);
    unlink(path);
}

Test(zip, stored_entries_read_back)
{
    round_trip(false);
}

Test(zip, deflated_entries_read_back)
{
    round_trip(true);
}

Test(zip, a_flipped_bit_is_noticed)
{
    char path[] = "/tmp/me_zip_XXXXXX";
    close(mkstemp(path));
    me_zip_entry entry = {"a", (unsigned char *)"some text, some text, some text", 31};
    me_err err = {0};
    for (int deflate = 0; deflate < 2; deflate++) {
        cr_assert_eq(me_zip_write(path, &entry, 1, deflate, &err), ME_OK, "%s", err.msg);
        me_bytes file;
        cr_assert_eq(me_bytes_open(&file, path, &err), ME_OK);
        file.data[33] ^= 1; /* of the data, behind 30 bytes of header and one of name */
        me_zip z;
        me_err found = {0};
        cr_assert_eq(me_zip_open(&z, file.data, file.size, "t.zip", false, &found), ME_EFORMAT);
        cr_assert_eq(strncmp(found.msg, "t.zip: entry a: ", 16), 0, "%s", found.msg);
        me_bytes_close(&file);
    }
    unlink(path);
}

Test(zip, what_cannot_be_written_leaves_nothing)
{
    me_zip_entry twice[] = {{"a", (unsigned char *)"x", 1}, {"a", (unsigned char *)"y", 1}};
    me_err err = {0};
    cr_assert_eq(me_zip_write("/tmp/me_zip_twice.zip", twice, 2, false, &err), ME_EIO);
    cr_assert_not_null(strstr(err.msg, "entry a"), "%s", err.msg);
    cr_assert_neq(access("/tmp/me_zip_twice.zip", F_OK), 0);
    cr_assert_neq(me_zip_write("/nonexistent/x.zip", twice, 1, false, NULL), ME_OK);
}
