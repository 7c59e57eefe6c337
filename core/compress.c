/* core/compress.c: see compress.h. Each library is driven by one function that gives it the whole
 * input and one growing output; gzip, bz2, xz and lz4 files may hold several streams in a row. */
#include "core/compress.h"

#include <stdlib.h>
#include <string.h>

#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>

typedef struct stream {
    const unsigned char *in;
    size_t left;
    unsigned char *data; /* of the output */
    size_t size, capacity, most;
    const char *name;
    me_err *err;
} stream;

const char *me_compression_of(const unsigned char *b, size_t size)
{
    if (size >= 3 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8) return "gzip";
    if (size >= 2 && b[0] == 0x78 && (b[0] << 8 | b[1]) % 31 == 0 && !(b[1] & 0x20)) return "zlib";
    if (size >= 4 && memcmp(b, "BZh", 3) == 0 && b[3] >= '1' && b[3] <= '9') return "bz2";
    if (size >= 6 && memcmp(b,
                            "\xfd"
                            "7zXZ\0",
                            6) == 0)
        return "xz";
    if (size >= 13 && b[0] == 0x5d && b[1] == 0 && b[2] == 0) return "lzma";
    if (size >= 4 && memcmp(b, "\x04\x22\x4d\x18", 4) == 0) return "lz4";
    return NULL;
}

static me_code fail_corrupt(const stream *s)
{
    return me_fail(s->err, ME_EFORMAT, "the %s stream is damaged or cut off", s->name);
}

/* Room for more output: at least one byte behind `size`, or an error at the limit. */
static me_code make_room(stream *s)
{
    if (s->size < s->capacity) return ME_OK;
    if (s->size >= s->most)
        return me_fail(s->err, ME_EFORMAT, "the %s stream expands beyond the limit of %zu MiB",
                       s->name, s->most >> 20);
    size_t wanted = s->capacity ? s->capacity + s->capacity / 2 : 4 * s->left + 4096;
    if (wanted > s->most || wanted < s->capacity) wanted = s->most;
    unsigned char *bigger = realloc(s->data, wanted);
    if (!bigger) return me_fail_mem(s->err, "the content of a compressed file");
    s->data = bigger;
    s->capacity = wanted;
    return ME_OK;
}

/* What one call may be given where a library counts in 32 bits. */
static unsigned part(size_t n)
{
    return n < 1u << 30 ? (unsigned)n : 1u << 30;
}

static me_code run_zlib(stream *s)
{
    bool gzip = strcmp(s->name, "gzip") == 0;
    z_stream z = {0};
    if (inflateInit2(&z, gzip ? 15 + 16 : 15) != Z_OK) return me_fail_mem(s->err, "zlib");
    me_code code = ME_OK;
    for (;;) {
        if ((code = make_room(s)) != ME_OK) break;
        unsigned in = part(s->left), room = part(s->capacity - s->size);
        z.next_in = (Bytef *)s->in; /* zlib does not write to it */
        z.avail_in = in;
        z.next_out = s->data + s->size;
        z.avail_out = room;
        int status = inflate(&z, Z_NO_FLUSH);
        s->in += in - z.avail_in;
        s->left -= in - z.avail_in;
        s->size += room - z.avail_out;
        if (status == Z_STREAM_END) {
            if (!gzip || s->left < 2 || s->in[0] != 0x1f || s->in[1] != 0x8b) break;
            inflateReset(&z);
        } else if (status == Z_MEM_ERROR) {
            code = me_fail_mem(s->err, "zlib");
            break;
        } else if (status != Z_OK && !(status == Z_BUF_ERROR && z.avail_out == 0)) {
            code = fail_corrupt(s);
            break;
        } else if (z.avail_out && !s->left) {
            code = fail_corrupt(s);
            break;
        }
    }
    inflateEnd(&z);
    return code;
}

static me_code run_bz2(stream *s)
{
    me_code code = ME_OK;
    for (bool more = true; more && code == ME_OK;) {
        bz_stream z = {0};
        if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK) return me_fail_mem(s->err, "bzip2");
        for (int status = BZ_OK; status != BZ_STREAM_END;) {
            if ((code = make_room(s)) != ME_OK) break;
            unsigned in = part(s->left), room = part(s->capacity - s->size);
            z.next_in = (char *)s->in;
            z.avail_in = in;
            z.next_out = (char *)s->data + s->size;
            z.avail_out = room;
            status = BZ2_bzDecompress(&z);
            s->in += in - z.avail_in;
            s->left -= in - z.avail_in;
            s->size += room - z.avail_out;
            if (status == BZ_MEM_ERROR)
                code = me_fail_mem(s->err, "bzip2");
            else if (status != BZ_STREAM_END && (status != BZ_OK || (z.avail_out && !s->left)))
                code = fail_corrupt(s);
            if (code != ME_OK) break;
        }
        BZ2_bzDecompressEnd(&z);
        more = s->left >= 3 && memcmp(s->in, "BZh", 3) == 0;
    }
    return code;
}

static me_code run_lzma(stream *s)
{
    /* A dictionary size is the file's claim: as much memory as the output may have is enough. */
    uint64_t memory = (uint64_t)s->most + (64u << 20);
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_ret status = strcmp(s->name, "xz") == 0
                          ? lzma_stream_decoder(&z, memory, LZMA_CONCATENATED)
                          : lzma_alone_decoder(&z, memory);
    if (status != LZMA_OK) return me_fail_mem(s->err, "xz");
    me_code code = ME_OK;
    z.next_in = s->in;
    z.avail_in = s->left;
    while (status != LZMA_STREAM_END && code == ME_OK) {
        if ((code = make_room(s)) != ME_OK) break;
        z.next_out = s->data + s->size;
        z.avail_out = s->capacity - s->size;
        status = lzma_code(&z, LZMA_FINISH);
        s->size = s->capacity - z.avail_out;
        if (status == LZMA_MEM_ERROR || status == LZMA_MEMLIMIT_ERROR)
            code = me_fail_mem(s->err, "xz");
        else if (status != LZMA_OK && status != LZMA_STREAM_END &&
                 !(status == LZMA_BUF_ERROR && z.avail_out == 0))
            code = fail_corrupt(s);
    }
    s->in = z.next_in;
    s->left = z.avail_in;
    lzma_end(&z);
    return code;
}

static me_code run_lz4(stream *s)
{
    LZ4F_dctx *z = NULL;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)))
        return me_fail_mem(s->err, "lz4");
    me_code code = ME_OK;
    for (bool more = true; more && code == ME_OK;) {
        if ((code = make_room(s)) != ME_OK) break;
        size_t in = s->left, room = s->capacity - s->size;
        size_t hint = LZ4F_decompress(z, s->data + s->size, &room, s->in, &in, NULL);
        s->in += in;
        s->left -= in;
        s->size += room;
        if (LZ4F_isError(hint) || (hint && !in && !room))
            code = fail_corrupt(s);
        else if (hint == 0)
            more = s->left >= 4 && memcmp(s->in, "\x04\x22\x4d\x18", 4) == 0;
    }
    LZ4F_freeDecompressionContext(z);
    return code;
}

me_code me_decompress(me_bytes *out, const char *compression, const unsigned char *bytes,
                      size_t size, size_t most, me_err *err)
{
    static const struct {
        const char *name;
        me_code (*run)(stream *);
    } libraries[] = {{"gzip", run_zlib}, {"zlib", run_zlib}, {"bz2", run_bz2},
                     {"xz", run_lzma},   {"lzma", run_lzma}, {"lz4", run_lz4}};
    *out = (me_bytes){0};
    stream s = {.in = bytes, .left = size, .most = most, .name = compression, .err = err};
    me_code code = me_fail(NULL, ME_EBUG, "no such compression");
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (strcmp(libraries[i].name, compression) == 0) code = libraries[i].run(&s);
    if (code == ME_OK && s.left)
        code = me_fail(err, ME_EFORMAT, "%zu bytes follow the end of the %s stream", s.left,
                       compression);
    if (code != ME_OK) {
        free(s.data);
        return code;
    }
    *out = (me_bytes){.data = s.data, .size = s.size};
    return ME_OK;
}
