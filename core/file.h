/* core/file.h: whole files in, whole files out. */
#ifndef ME_CORE_FILE_H
#define ME_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

typedef struct me_bytes {
    unsigned char *data;
    size_t size;
    unsigned char *pages; /* what is left of those (mem.h) that a large file's data is in, or NULL:
                           * malloc'ed */
    size_t mapped;
} me_bytes;

/* Reads a regular file, pipe or "-" (stdin). Errors name the path and the cause, and for a missing
 * file what lies beside it with a similar name. */
me_code me_bytes_open(me_bytes *out, const char *path, me_err *err);
/* The first `most` bytes, or all where there are fewer. */
me_code me_bytes_open_start(me_bytes *out, const char *path, size_t most, me_err *err);
void me_bytes_close(me_bytes *b);
/* Gives the whole pages before `end` to an arena where `end` lies in these bytes, or to the system
 * those of malloc's; what was there must not be read any more. */
void me_bytes_give(me_bytes *b, const unsigned char *end, me_arena *arena);

/* Writes to a temporary file beside `path` and renames it at me_writer_commit (after fsync);
 * anything that fails before leaves `path` as it was and no temporary behind. */
typedef struct me_writer {
    void *stream; /* FILE * */
    char *path, *temporary;
    me_err err; /* sticky */
} me_writer;

me_code me_writer_open(me_writer *out, const char *path, me_err *err);
void me_writer_put(me_writer *w, const void *data, size_t size);
void me_writer_printf(me_writer *w, const char *fmt, ...) ME_PRINTF(2, 3);
me_code me_writer_commit(me_writer *w, me_err *err); /* closes in every case */
void me_writer_abort(me_writer *w);

me_code me_file_write(const char *path, const void *data, size_t size, me_err *err);
me_code me_make_directories(const char *path, me_err *err);

/* Names in a directory, ascending byte-wise, without "." and "..". */
typedef struct me_names {
    char **items;
    int64_t n;
} me_names;
me_code me_list_directory(me_names *out, me_arena *arena, const char *path, me_err *err);
bool me_is_directory(const char *path);
bool me_file_exists(const char *path);
const char *me_path_join(me_arena *arena, const char *folder, const char *name);
const char *me_path_base(const char *path);            /* after the last '/' */
bool me_has_suffix(const char *s, const char *suffix); /* ASCII case-insensitive */
/* The candidate nearest to `word` in edit distance, or NULL when none is near: "did you mean". */
const char *me_nearest(const char *word, const char *const *candidates, int64_t n);

#endif
