/* core/doc.h: any file of the field, opened as data.
 *
 * The format is chosen by content, then by name: npy (also object arrays), npz, torch zip and
 * legacy, plain pickle, joblib (plain or compressed), safetensors, JSON. CSV has its own reader
 * (core/csv.h). Nothing is ever executed. Hostile bytes give ME_EFORMAT with the file, the offset
 * and what was found.
 *
 * Limits: a compressed file may expand to `max_bytes` at most (default 16 GiB or 1000 times its
 * size, whichever is smaller, but never less than 64 MiB); nesting is at most 100 deep.
 */
#ifndef ME_CORE_DOC_H
#define ME_CORE_DOC_H

#include "core/value.h"

typedef struct me_doc {
    const me_value
        *root; /* npy: the array (or the unpickled object); npz, safetensors, zip: a dict */
    const char *format; /* "npy", "npz", "torch-zip", "torch-legacy", "pickle", "joblib", … */
    const char *compression;    /* NULL, "gzip", "zlib", "bz2", "xz", "lzma", "lz4" */
    const me_value *metadata;   /* safetensors `__metadata__` (dict of strings), or NULL */
    const unsigned char *bytes; /* of the file itself */
    size_t size;
    char sha256[65]; /* of the file itself; filled by me_doc_hash, else "" */
    me_arena arena;
    struct me_doc_buffers *buffers; /* owned byte buffers */
} me_doc;

/* Reads the whole file. On failure `out` is closed and zeroed, and err's message begins with path.
 */
me_code me_doc_open(me_doc *out, const char *path, me_err *err);
/* The same for bytes in memory, which must outlive the document. `name` is used in messages. */
me_code me_doc_open_bytes(me_doc *out, const unsigned char *bytes, size_t size, const char *name,
                          me_err *err);
void me_doc_close(me_doc *doc);
/* Gives an arena the memory of the file's bytes that lie before `end`, where the document owns them
 * (me_bytes_give): for readers that turn a large file into something as large. Afterwards nothing
 * before `end` may be read any more, be it through values or me_doc_hash. */
void me_doc_give(me_doc *doc, const unsigned char *end, me_arena *arena);
/* SHA-256 of the file's bytes as 64 hex digits; computed on first use. */
const char *me_doc_hash(me_doc *doc);

#endif
