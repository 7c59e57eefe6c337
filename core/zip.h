/* core/zip.h: the one door to libzip.
 *
 * Entries are read by name, never extracted by path, so a name such as "../x" is only a name.
 * Declared sizes are capped before allocation, CRCs are checked, and an archive may expand to 1000
 * times its size (at least 64 MiB) at most. Stored entries are given as views into the archive's
 * own bytes, and are as unaligned as the archive has them. Refused: encrypted entries, other
 * methods than stored and deflated, and two entries of one name.
 */
#ifndef ME_CORE_ZIP_H
#define ME_CORE_ZIP_H

#include "core/file.h"

typedef struct me_zip_entry {
    const char *name;
    const unsigned char *data;
    size_t size;
} me_zip_entry;

typedef struct me_zip {
    int64_t n;
    me_zip_entry *entries;        /* in the directory's order; folders left out */
    const me_zip_entry **by_name; /* the same, ascending byte-wise */
    struct me_zip_owned *owned;   /* inflated buffers */
    me_arena arena;
} me_zip;

bool me_is_zip(const unsigned char *bytes, size_t size);
/* `bytes` must outlive `out`. With `names_only` nothing is read: data is NULL. On failure `out` is
 * closed. */
me_code me_zip_open(me_zip *out, const unsigned char *bytes, size_t size, const char *name,
                    bool names_only, me_err *err);
void me_zip_close(me_zip *z);
const me_zip_entry *me_zip_find(const me_zip *z, const char *name); /* NULL when absent */

/* A zip of stored or deflated entries, written atomically. The same entries give the same bytes:
 * every entry is dated 1980-01-01. */
me_code me_zip_write(const char *path, const me_zip_entry *entries, int64_t n, bool deflate,
                     me_err *err);

#endif
