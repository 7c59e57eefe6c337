/* core/compress.h: byte streams compressed as joblib compresses them. One door per library: zlib,
 * libbz2, liblzma, liblz4. (Zip archives are core/zip.h.) */
#ifndef ME_CORE_COMPRESS_H
#define ME_CORE_COMPRESS_H

#include "core/file.h"

/* "gzip", "zlib", "bz2", "xz", "lzma", "lz4" by the first bytes, or NULL. */
const char *me_compression_of(const unsigned char *bytes, size_t size);
/* Expands into malloc'ed bytes (me_bytes_close frees them); more than `most` bytes of output, a
 * cut-off stream and bytes behind its end are errors. */
me_code me_decompress(me_bytes *out, const char *compression, const unsigned char *bytes,
                      size_t size, size_t most, me_err *err);

#endif
