/* core/doc.c: see doc.h. Decides what a file is by its first bytes and hands it to the reader of
 * that format; owns the buffers that the values are views of. */
#include "core/doc.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/compress.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/npy.h"
#include "core/pickle.h"
#include "core/safetensors.h"
#include "core/torch.h"
#include "core/zip.h"

#define MIB ((size_t)1 << 20)

struct me_doc_buffers {
    me_bytes file, expanded;
    me_zip zip;
};

/* ---- formats -----------------------------------------------------------------------------------
 */

/* A zip whose entries are all .npy files is an npz: their names without the ending. */
static me_code read_npz(me_value *root, me_arena *arena, const me_zip *zip, me_err *err)
{
    for (int64_t i = 0; i < zip->n; i++) {
        const me_zip_entry *e = &zip->entries[i];
        me_value *v;
        me_code code = me_npy_parse(&v, arena, e->data, e->size, err);
        if (code != ME_OK) return me_err_prefix(err, "%.80s", e->name), code;
        me_value *key = me_value_string(arena, e->name);
        if (key) {
            key->as.string.length -= strlen(".npy");
            ((char *)key->as.string.data)[key->as.string.length] = '\0';
        }
        if ((code = me_dict_append(arena, root, key, v, err)) != ME_OK) return code;
    }
    return ME_OK;
}

static me_code read_plain_zip(me_value *root, me_arena *arena, const me_zip *zip, me_err *err)
{
    for (int64_t i = 0; i < zip->n; i++) {
        me_value *v = me_value_new(arena, ME_BYTES);
        if (!v) return me_fail_mem(err, "the entries of a zip");
        v->as.string.data = (const char *)zip->entries[i].data;
        v->as.string.length = zip->entries[i].size;
        me_code code =
            me_dict_append(arena, root, me_value_string(arena, zip->entries[i].name), v, err);
        if (code != ME_OK) return code;
    }
    return ME_OK;
}

static me_code read_zip(me_doc *doc, const unsigned char *bytes, size_t size, const char *name,
                        me_err *err)
{
    me_zip *zip = &doc->buffers->zip;
    me_value *root;
    me_code code = me_zip_open(zip, bytes, size, name, false, err);
    if (code != ME_OK) return code;
    if (me_torch_zip_pickle(zip)) {
        doc->format = "torch-zip";
        code = me_torch_zip_read(&root, &doc->arena, zip, err);
        doc->root = root;
        return code;
    }
    bool npz = zip->n > 0;
    for (int64_t i = 0; i < zip->n; i++) npz = npz && me_has_suffix(zip->entries[i].name, ".npy");
    doc->format = npz ? "npz" : "zip";
    root = me_value_new(&doc->arena, ME_DICT);
    if (!root) return me_fail_mem(err, "the entries of a zip");
    doc->root = root;
    return npz ? read_npz(root, &doc->arena, zip, err)
               : read_plain_zip(root, &doc->arena, zip, err);
}

static bool looks_like_pickle(const unsigned char *b, size_t size, const char *name)
{
    static const char *const suffixes[] = {".pkl", ".pickle", ".joblib", ".pth.tar",
                                           ".pt",  ".pth",    ".ckpt",   ".bin"};
    if (size < 2) return false;
    if (b[0] == 0x80 && b[1] <= 5) return true;
    if (b[size - 1] != '.') return false; /* protocols 0 and 1 have no mark but their STOP */
    if (b[0] == '(' || b[0] == 'c') return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (me_has_suffix(name, suffixes[i])) return true;
    return false;
}

static bool looks_like_json(const unsigned char *b, size_t size, const char *name)
{
    size_t i = 0;
    while (i < size && strchr(" \t\r\n", b[i]) && b[i]) i++;
    return i < size && (b[i] == '{' || b[i] == '[' || me_has_suffix(name, ".json"));
}

/* What an unknown file is likely to be. */
static me_code refuse(const unsigned char *b, size_t size, me_err *err)
{
    if (size == 0) return me_fail(err, ME_EFORMAT, "the file is empty");
    if (size >= 2 && memcmp(b, "ZF", 2) == 0)
        return me_fail(err, ME_EFORMAT,
                       "the compressed format of joblib before 0.9 (ZF) is not read: load and dump "
                       "it again with a newer joblib");
    if (size >= 20 && memcmp(b, "version https://git-", 20) == 0)
        return me_fail(err, ME_EFORMAT, "a git-lfs pointer, not the file (try git lfs pull)");
    if (size >= 5 && (strncasecmp((const char *)b, "<!doc", 5) == 0 ||
                      strncasecmp((const char *)b, "<html", 5) == 0))
        return me_fail(err, ME_EFORMAT, "an HTML page (a download that asked for a login?)");
    if (size >= 262 && memcmp(b + 257, "ustar", 5) == 0)
        return me_fail(err, ME_EFORMAT, "a tar archive: unpack it and name a file inside");
    if (size >= 4 && memcmp(b, "\x89HDF", 4) == 0)
        return me_fail(err, ME_EFORMAT, "an HDF5 file, which is not read");
    return me_fail(err, ME_EFORMAT,
                   "unknown format, first bytes %02x %02x %02x %02x (expected npy, npz, torch, "
                   "joblib, pickle, safetensors or JSON)",
                   b[0], size > 1 ? b[1] : 0, size > 2 ? b[2] : 0, size > 3 ? b[3] : 0);
}

static me_code read_bytes(me_doc *doc, const unsigned char *b, size_t size, const char *name,
                          me_err *err)
{
    me_value *root = NULL, *metadata = NULL;
    me_code code;
    bool joblib = false;
    if (me_is_npy(b, size)) {
        doc->format = "npy";
        code = me_npy_parse(&root, &doc->arena, b, size, err);
    } else if (me_is_zip(b, size)) {
        return read_zip(doc, b, size, name, err);
    } else if (me_is_torch_legacy(b, size)) {
        doc->format = "torch-legacy";
        code = me_torch_legacy_read(&root, &doc->arena, b, size, err);
    } else if (me_is_safetensors(b, size)) {
        doc->format = "safetensors";
        code = me_safetensors_parse(&root, &metadata, &doc->arena, b, size, err);
        doc->metadata = metadata;
    } else if (looks_like_pickle(b, size, name)) {
        code = me_pickle_read(&root, &joblib, &doc->arena, b, size, 0, err);
        doc->format = joblib || doc->compression ? "joblib" : "pickle";
    } else if (looks_like_json(b, size, name)) {
        doc->format = "json";
        code = me_json_parse(&root, &doc->arena, (const char *)b, size, name, err);
    } else {
        return refuse(b, size, err);
    }
    doc->root = root;
    return code;
}

/* ---- documents ---------------------------------------------------------------------------------
 */

/* 1000 times the file, within 64 MiB and 16 GiB. */
static size_t expansion_limit(size_t size)
{
    size_t most = size < ((size_t)16 << 30) / 1000 ? size * 1000 : (size_t)16 << 30;
    return most > 64 * MIB ? most : 64 * MIB;
}

static me_code open_bytes(me_doc *doc, const char *name, me_err *err)
{
    const unsigned char *bytes = doc->bytes;
    size_t size = doc->size;
    /* The length at the head of a safetensors file may look like zlib's first bytes. */
    doc->compression = me_is_safetensors(bytes, size) ? NULL : me_compression_of(bytes, size);
    if (doc->compression) {
        me_bytes *expanded = &doc->buffers->expanded;
        me_code code =
            me_decompress(expanded, doc->compression, bytes, size, expansion_limit(size), err);
        if (code != ME_OK) return code;
        bytes = expanded->data;
        size = expanded->size;
        const char *again = me_compression_of(bytes, size);
        if (again)
            return me_fail(err, ME_EFORMAT, "%s inside %s: expand it once first", again,
                           doc->compression);
    }
    /* Values take room beside the bytes: one needs an instruction of at least a byte, and honest
     * files are mostly data. The limit only stops files that are made to exhaust memory. */
    doc->arena.limit = size < SIZE_MAX / 64 ? 512 * MIB + 32 * size : 0;
    me_arena_expect(&doc->arena, size / 8);
    return read_bytes(doc, bytes, size, name, err);
}

/* Fails with the name before the message, whichever part made it. */
static me_code finish(me_doc *doc, me_code code, const char *name, me_err *err)
{
    if (code == ME_OK) return ME_OK;
    if (err && strncmp(err->msg, name, strlen(name)) != 0) me_err_prefix(err, "%s", name);
    me_doc_close(doc);
    return code;
}

static me_code start(me_doc *doc, me_err *err)
{
    *doc = (me_doc){0};
    doc->buffers = calloc(1, sizeof *doc->buffers);
    return doc->buffers ? ME_OK : me_fail_mem(err, "a document");
}

me_code me_doc_open(me_doc *out, const char *path, me_err *err)
{
    me_code code = start(out, err);
    if (code == ME_OK) code = me_bytes_open(&out->buffers->file, path, err);
    if (code == ME_OK) {
        out->bytes = out->buffers->file.data;
        out->size = out->buffers->file.size;
        code = open_bytes(out, path, err);
    }
    return finish(out, code, path, err);
}

me_code me_doc_open_bytes(me_doc *out, const unsigned char *bytes, size_t size, const char *name,
                          me_err *err)
{
    me_code code = start(out, err);
    if (code == ME_OK) {
        out->bytes = bytes;
        out->size = size;
        code = open_bytes(out, name, err);
    }
    return finish(out, code, name, err);
}

void me_doc_close(me_doc *doc)
{
    if (doc->buffers) {
        me_zip_close(&doc->buffers->zip);
        me_bytes_close(&doc->buffers->expanded);
        me_bytes_close(&doc->buffers->file);
        free(doc->buffers);
    }
    me_arena_release(&doc->arena);
    *doc = (me_doc){0};
}

void me_doc_give(me_doc *doc, const unsigned char *end, me_arena *arena)
{
    if (!doc->buffers) return;
    me_bytes_give(&doc->buffers->file, end, arena);
    me_bytes_give(&doc->buffers->expanded, end, arena);
}

const char *me_doc_hash(me_doc *doc)
{
    if (!doc->sha256[0]) me_sha256_of(doc->bytes, doc->size, doc->sha256);
    return doc->sha256;
}
