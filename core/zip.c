/* core/zip.c: archives in memory.
 *
 * libzip reads the directory and inflates. It does not say where a stored entry's bytes lie, and a
 * copy of a checkpoint of gigabytes is dear, so the directory is walked a second time here for the
 * offsets. Any oddity on that walk only means that libzip makes the copy, or the error.
 */
#include "core/zip.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <zip.h>
#include <zlib.h>

#define SMALLEST_CAP ((uint64_t)64 << 20)
#define CAP_FACTOR 1000u
#define END_RECORD 22 /* bytes of the record that ends an archive */
#define MOST_ENTRIES 1000000
/* Deflate cannot do better: 258 bytes from two bits, and a block's worth of slack. */
#define LARGEST_RATIO 1032u

struct me_zip_owned {
    struct me_zip_owned *next;
    unsigned char data[];
};

bool me_is_zip(const unsigned char *bytes, size_t size)
{
    /* an entry, or the end of an empty archive */
    return size >= END_RECORD &&
           (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0);
}

/* ---- where stored entries lie (APPNOTE.TXT 4.3)
 * -------------------------------------------------- */

typedef struct directory {
    const unsigned char *bytes;
    size_t size;
    size_t at; /* the next record of the central directory; 0: nothing is known */
} directory;

static uint16_t u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* True when [at, at + n) lies in the archive. */
static bool inside(const directory *d, uint64_t at, uint64_t n)
{
    return at <= d->size && n <= d->size - at;
}

static directory directory_find(const unsigned char *bytes, size_t size)
{
    directory d = {bytes, size, 0};
    /* A comment may follow the end record; only one without comment ends the file, and nobody
     * in this field writes comments. */
    if (size < END_RECORD || memcmp(bytes + size - END_RECORD, "PK\5\6", 4) != 0) return d;
    uint64_t at = u32(bytes + size - END_RECORD + 16);
    if (at == UINT32_MAX) {
        const unsigned char *locator = bytes + size - END_RECORD - 20;
        if (size < END_RECORD + 20 || memcmp(locator, "PK\6\7", 4) != 0) return d;
        uint64_t end64 = u64(locator + 8);
        if (!inside(&d, end64, 56) || memcmp(bytes + end64, "PK\6\6", 4) != 0) return d;
        at = u64(bytes + end64 + 48);
    }
    if (inside(&d, at, 46)) d.at = (size_t)at;
    return d;
}

/* The offset of the local header when it stands in the zip64 extra field, else UINT64_MAX. The
 * field holds only those of {size, compressed size, offset} that did not fit, in this order. */
static uint64_t zip64_offset(const unsigned char *record, const unsigned char *extra, size_t left)
{
    size_t skip =
        (u32(record + 24) == UINT32_MAX ? 8u : 0u) + (u32(record + 20) == UINT32_MAX ? 8u : 0u);
    while (left >= 4) {
        size_t n = u16(extra + 2);
        if (n > left - 4) break;
        if (u16(extra) == 1) return n >= skip + 8 ? u64(extra + 4 + skip) : UINT64_MAX;
        extra += 4 + n;
        left -= 4 + n;
    }
    return UINT64_MAX;
}

/* Steps over the record of the entry that libzip calls `name`; the offset of its local header, or
 * UINT64_MAX when the record is not the expected one, after which nothing is known any more. */
static uint64_t directory_next(directory *d, const char *name)
{
    const unsigned char *record = d->bytes + d->at;
    size_t n_name, n_extra, n_all;
    if (!d->at || !inside(d, d->at, 46) || memcmp(record, "PK\1\2", 4) != 0) goto lost;
    n_name = u16(record + 28);
    n_extra = u16(record + 30);
    n_all = 46 + n_name + n_extra + u16(record + 32);
    if (!inside(d, d->at, n_all) || strlen(name) != n_name ||
        memcmp(record + 46, name, n_name) != 0)
        goto lost;
    d->at += n_all;
    if (u32(record + 42) != UINT32_MAX) return u32(record + 42);
    return zip64_offset(record, record + 46 + n_name, n_extra);
lost:
    d->at = 0;
    return UINT64_MAX;
}

/* The bytes of a stored entry inside the archive, their CRC checked, or NULL. The local header's
 * own size and CRC may be zero (torch writes them behind the data), so only its lengths of name and
 * extra count. */
static const unsigned char *stored_view(const directory *d, uint64_t offset, const zip_stat_t *stat)
{
    if (!inside(d, offset, 30)) return NULL;
    const unsigned char *local = d->bytes + offset;
    if (memcmp(local, "PK\3\4", 4) != 0 || u16(local + 8) != 0) return NULL;
    uint64_t start = offset + 30 + u16(local + 26) + u16(local + 28);
    if (!inside(d, start, stat->size)) return NULL;
    const unsigned char *data = d->bytes + start;
    return crc32_z(0, data, stat->size) == stat->crc ? data : NULL;
}

/* ---- reading
 * ------------------------------------------------------------------------------------- */

typedef struct reader {
    me_zip *out;
    zip_t *archive;
    directory directory;
    uint64_t left; /* of the bytes that the archive may expand to */
    bool names_only;
    const char *name;
    me_err *err;
} reader;

/* Reads the whole entry through libzip, which checks size and CRC at its end. */
static me_code copy_entry(reader *r, me_zip_entry *entry, zip_uint64_t index)
{
    me_code code = ME_OK;
    struct me_zip_owned *owned = malloc(sizeof *owned + entry->size + 1);
    if (!owned) return me_fail_mem(r->err, entry->name);
    owned->next = r->out->owned;
    r->out->owned = owned;
    entry->data = owned->data;
    zip_file_t *file = zip_fopen_index(r->archive, index, 0);
    if (!file)
        return me_fail(r->err, ME_EFORMAT, "%s: entry %.200s: %s", r->name, entry->name,
                       zip_strerror(r->archive));
    size_t done = 0;
    zip_int64_t n;
    /* One byte more than declared is asked for: libzip compares the CRC where it meets the end. */
    while ((n = zip_fread(file, owned->data + done, entry->size + 1 - done)) > 0) {
        done += (size_t)n;
        if (done > entry->size) break;
    }
    if (n < 0)
        code = me_fail(r->err, ME_EFORMAT, "%s: entry %.200s: %s", r->name, entry->name,
                       zip_file_strerror(file));
    else if (done != entry->size)
        code = me_fail(r->err, ME_EFORMAT, "%s: entry %.200s: expected %zu bytes, found %s%zu",
                       r->name, entry->name, entry->size, done > entry->size ? "more than " : "",
                       done > entry->size ? entry->size : done);
    zip_fclose(file);
    return code;
}

/* What the directory says of an entry must be credible before anything is allocated for it. */
static me_code check_entry(reader *r, const zip_stat_t *stat)
{
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
                                ZIP_STAT_ENCRYPTION_METHOD | ZIP_STAT_CRC;
    if ((stat->valid & needed) != needed)
        return me_fail(r->err, ME_EFORMAT,
                       "%s: entry %.200s has no complete record in the directory", r->name,
                       stat->name);
    if (stat->encryption_method != ZIP_EM_NONE)
        return me_fail(r->err, ME_EFORMAT, "%s: entry %.200s is encrypted", r->name, stat->name);
    if (stat->comp_method != ZIP_CM_STORE && stat->comp_method != ZIP_CM_DEFLATE)
        return me_fail(
            r->err, ME_EFORMAT,
            "%s: entry %.200s has compression method %d (only stored and deflated ones are read)",
            r->name, stat->name, stat->comp_method);
    uint64_t ratio = stat->comp_method == ZIP_CM_STORE ? 1 : LARGEST_RATIO;
    if (stat->comp_size > r->directory.size || stat->size > stat->comp_size * ratio)
        return me_fail(r->err, ME_EFORMAT,
                       "%s: entry %.200s declares %llu bytes made from %llu, which cannot be",
                       r->name, stat->name, (unsigned long long)stat->size,
                       (unsigned long long)stat->comp_size);
    if (stat->size > r->left)
        return me_fail(r->err, ME_EFORMAT,
                       "%s: expands to more than %u times its size (at entry %.200s)", r->name,
                       CAP_FACTOR, stat->name);
    r->left -= stat->size;
    return ME_OK;
}

static me_code read_entry(reader *r, zip_uint64_t index)
{
    zip_stat_t stat;
    if (zip_stat_index(r->archive, index, ZIP_FL_ENC_RAW, &stat) || !stat.name)
        return me_fail(r->err, ME_EFORMAT, "%s: entry %llu: %s", r->name, (unsigned long long)index,
                       zip_strerror(r->archive));
    uint64_t offset = directory_next(&r->directory, stat.name);
    size_t n_name = strlen(stat.name);
    if (n_name && stat.name[n_name - 1] == '/') return ME_OK; /* a folder */
    me_code code = check_entry(r, &stat);
    if (code) return code;
    me_zip_entry *entry = &r->out->entries[r->out->n++];
    entry->size = (size_t)stat.size;
    entry->name = me_arena_strdup(&r->out->arena, stat.name);
    if (!entry->name) return me_fail_mem(r->err, r->name);
    if (r->names_only) return ME_OK;
    if (stat.comp_method == ZIP_CM_STORE && offset != UINT64_MAX)
        entry->data = stored_view(&r->directory, offset, &stat);
    return entry->data ? ME_OK : copy_entry(r, entry, index);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const me_zip_entry *const *)a)->name, (*(const me_zip_entry *const *)b)->name);
}

static me_code index_names(reader *r)
{
    me_zip *z = r->out;
    for (int64_t i = 0; i < z->n; i++) z->by_name[i] = &z->entries[i];
    qsort(z->by_name, (size_t)z->n, sizeof *z->by_name, by_name);
    for (int64_t i = 1; i < z->n; i++)
        if (by_name(&z->by_name[i - 1], &z->by_name[i]) == 0)
            return me_fail(r->err, ME_EFORMAT, "%s: two entries are named %.200s", r->name,
                           z->by_name[i]->name);
    return ME_OK;
}

static me_code read_archive(reader *r)
{
    zip_int64_t n = zip_get_num_entries(r->archive, 0);
    if (n < 0 || n > MOST_ENTRIES)
        return me_fail(r->err, ME_EFORMAT, "%s: %lld entries, more than the %d that are read",
                       r->name, (long long)n, MOST_ENTRIES);
    r->out->entries = ME_NEW_ARRAY(&r->out->arena, n, me_zip_entry);
    r->out->by_name = ME_NEW_ARRAY(&r->out->arena, n, const me_zip_entry *);
    if (!r->out->entries || !r->out->by_name) return me_fail_mem(r->err, r->name);
    for (zip_int64_t i = 0; i < n; i++) {
        me_code code = read_entry(r, (zip_uint64_t)i);
        if (code) return code;
    }
    return index_names(r);
}

me_code me_zip_open(me_zip *out, const unsigned char *bytes, size_t size, const char *name,
                    bool names_only, me_err *err)
{
    memset(out, 0, sizeof *out);
    /* libzip takes no bytes at all for an empty archive. */
    if (size < END_RECORD)
        return me_fail(err, ME_EFORMAT, "%s: %zu bytes are not a zip (cut off while downloading?)",
                       name, size);
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(bytes, size, 0, &error);
    zip_t *archive = source ? zip_open_from_source(source, ZIP_RDONLY, &error) : NULL;
    if (!archive) {
        me_code code = zip_error_code_zip(&error) == ZIP_ER_MEMORY ? ME_EMEM : ME_EFORMAT;
        me_fail(err, code, "%s: not a readable zip: %s (cut off while downloading?)", name,
                zip_error_strerror(&error));
        if (source) zip_source_free(source);
        zip_error_fini(&error);
        return code;
    }
    uint64_t cap = (uint64_t)size * CAP_FACTOR;
    reader r = {.out = out,
                .archive = archive,
                .directory = directory_find(bytes, size),
                .left = cap > SMALLEST_CAP ? cap : SMALLEST_CAP,
                .names_only = names_only,
                .name = name,
                .err = err};
    me_code code = read_archive(&r);
    zip_discard(archive);
    zip_error_fini(&error);
    if (code) me_zip_close(out);
    return code;
}

void me_zip_close(me_zip *z)
{
    for (struct me_zip_owned *owned = z->owned, *next; owned; owned = next) {
        next = owned->next;
        free(owned);
    }
    me_arena_release(&z->arena);
    memset(z, 0, sizeof *z);
}

const me_zip_entry *me_zip_find(const me_zip *z, const char *name)
{
    const me_zip_entry wanted = {.name = name}, *key = &wanted;
    if (!z->n) return NULL;
    const me_zip_entry **found =
        bsearch(&key, z->by_name, (size_t)z->n, sizeof *z->by_name, by_name);
    return found ? *found : NULL;
}

/* ---- writing
 * ------------------------------------------------------------------------------------- */

static me_code add_entry(zip_t *archive, const char *path, const me_zip_entry *entry, bool deflate,
                         me_err *err)
{
    const zip_uint16_t midnight = 0, first_of_1980 = 1 << 5 | 1;
    zip_source_t *source = zip_source_buffer(archive, entry->data, entry->size, 0);
    zip_int64_t index = source ? zip_file_add(archive, entry->name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
        if (source) zip_source_free(source);
        return me_fail(err, ME_EIO, "%s: entry %.200s: %s", path, entry->name,
                       zip_strerror(archive));
    }
    if (zip_set_file_compression(archive, (zip_uint64_t)index,
                                 deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0) ||
        zip_file_set_dostime(archive, (zip_uint64_t)index, midnight, first_of_1980, 0))
        return me_fail(err, ME_EIO, "%s: entry %.200s: %s", path, entry->name,
                       zip_strerror(archive));
    return ME_OK;
}

/* Writes what a closed archive left in its source. */
static me_code save_source(const char *path, zip_source_t *source, me_err *err)
{
    zip_stat_t stat;
    unsigned char *bytes = NULL;
    me_code code = ME_OK;
    if (zip_source_open(source) || zip_source_stat(source, &stat) ||
        !(stat.valid & ZIP_STAT_SIZE)) {
        code = me_fail(err, ME_EIO, "%s: %s", path, zip_error_strerror(zip_source_error(source)));
    } else if (!(bytes = malloc(stat.size + 1))) {
        code = me_fail_mem(err, path);
    } else if (zip_source_read(source, bytes, stat.size) != (zip_int64_t)stat.size) {
        code = me_fail(err, ME_EIO, "%s: %s", path, zip_error_strerror(zip_source_error(source)));
    } else {
        code = me_file_write(path, bytes, stat.size, err);
    }
    zip_source_close(source);
    free(bytes);
    return code;
}

me_code me_zip_write(const char *path, const me_zip_entry *entries, int64_t n, bool deflate,
                     me_err *err)
{
    /* libzip removes an archive without entries instead of writing one. */
    assert(n > 0);
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *archive =
        source ? zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &error) : NULL;
    me_code code = ME_OK;
    if (!archive) {
        code = me_fail(err, ME_EMEM, "%s: %s", path, zip_error_strerror(&error));
        if (source) zip_source_free(source);
        zip_error_fini(&error);
        return code;
    }
    zip_source_keep(source); /* the archive frees its own hold, and the bytes are wanted after */
    for (int64_t i = 0; i < n && !code; i++)
        code = add_entry(archive, path, &entries[i], deflate, err);
    if (!code && zip_close(archive))
        code = me_fail(err, ME_EIO, "%s: %s", path, zip_strerror(archive));
    else if (!code)
        archive = NULL;
    if (archive) zip_discard(archive);
    if (!code) code = save_source(path, source, err);
    zip_source_free(source);
    zip_error_fini(&error);
    return code;
}
