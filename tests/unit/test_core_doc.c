/* Every file of tests/data/readers must read as Python reads it; cut-off and altered files must be
 * refused without harm. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "tests/unit/reader_text.h"

#define CASES "tests/data/readers"

static const char *compression_of(const char *name)
{
    static const char *const suffixes[] = {"gzip", "zlib", "bz2", "xz", "lzma", "lz4"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (strncmp(name, "joblib.", 7) == 0 && strcmp(name + 7, suffixes[i]) == 0)
            return suffixes[i];
    return NULL;
}

static const char *format_of(const char *name)
{
    if (me_has_suffix(name, ".npy")) return "npy";
    if (me_has_suffix(name, ".npz")) return "npz";
    if (strcmp(name, "legacy.pt") == 0) return "torch-legacy";
    if (me_has_suffix(name, ".pt")) return "torch-zip";
    if (me_has_suffix(name, ".safetensors")) return "safetensors";
    return strcmp(name, "batches.pkl") == 0 ? "pickle"
           : me_has_suffix(name, ".pkl")    ? "pickle"
                                            : "joblib";
}

Test(doc, every_file_reads_as_python_reads_it)
{
    me_arena arena = {0};
    me_names names;
    int checked = 0;
    cr_assert_eq(me_list_directory(&names, &arena, CASES, NULL), ME_OK);
    for (int64_t i = 0; i < names.n; i++) {
        char expected_path[300];
        snprintf(expected_path, sizeof expected_path, CASES "/%s.txt", names.items[i]);
        me_bytes expected;
        if (me_bytes_open(&expected, expected_path, NULL) != ME_OK) continue;
        me_doc doc;
        me_err err = {0};
        cr_assert_eq(me_doc_open(&doc, me_path_join(&arena, CASES, names.items[i]), &err), ME_OK,
                     "%s", err.msg);
        char *text = reader_text(doc.root);
        cr_expect(strlen(text) == expected.size && memcmp(text, expected.data, expected.size) == 0,
                  "%s: found %.3000s", names.items[i], text);
        cr_expect_str_eq(doc.format, format_of(names.items[i]), "%s: %s", names.items[i],
                         doc.format);
        const char *compression = compression_of(names.items[i]);
        cr_expect(compression ? doc.compression && strcmp(doc.compression, compression) == 0
                              : !doc.compression,
                  "%s", names.items[i]);
        free(text);
        me_doc_close(&doc);
        me_bytes_close(&expected);
        checked++;
    }
    cr_expect_geq(checked, 45);
    me_arena_release(&arena);
}

/* A file that lacks its end is never read in part. */
Test(doc, every_cut_is_an_error)
{
    static const char *const names[] = {
        "f4_little.npy",   "object.npy",  "plain.npz", "small.pt",   "legacy.pt",   "plain.pth.tar",
        "two.safetensors", "joblib.gzip", "joblib.xz", "joblib.bz2", "joblib.lzma", "joblib.zlib"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[300];
        snprintf(path, sizeof path, CASES "/%s", names[i]);
        me_bytes b;
        cr_assert_eq(me_bytes_open(&b, path, NULL), ME_OK);
        for (size_t size = 0; size < b.size; size += size < 200 ? 1 : 37) {
            me_doc doc;
            me_err err = {0};
            unsigned char *cut = malloc(size + 1); /* its own, so that ASan sees a step beyond */
            memcpy(cut, b.data, size);
            cr_assert_neq(me_doc_open_bytes(&doc, cut, size, "cut", &err), ME_OK, "%s at %zu",
                          names[i], size);
            cr_assert(strncmp(err.msg, "cut", 3) == 0, "%s", err.msg);
            free(cut);
        }
        me_bytes_close(&b);
    }
}

Test(doc, altered_bytes_never_harm)
{
    static const char *const names[] = {"object.npy",    "small.pt",        "legacy.pt",
                                        "plain.pth.tar", "two.safetensors", "protocol0.pkl",
                                        "protocol5.pkl", "deflated.npz"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[300];
        snprintf(path, sizeof path, CASES "/%s", names[i]);
        me_bytes b;
        cr_assert_eq(me_bytes_open(&b, path, NULL), ME_OK);
        for (size_t at = 0; at < b.size && at < 1500; at++) {
            unsigned char kept = b.data[at];
            for (int bit = 0; bit < 8; bit += 3) {
                me_doc doc;
                b.data[at] = (unsigned char)(kept ^ 1 << bit);
                if (me_doc_open_bytes(&doc, b.data, b.size, "altered", NULL) == ME_OK) {
                    free(reader_text(doc.root));
                    me_doc_close(&doc);
                }
            }
            b.data[at] = kept;
        }
        me_bytes_close(&b);
    }
}

static me_code open_text(const char *bytes, size_t size, me_err *err)
{
    me_doc doc;
    me_code code = me_doc_open_bytes(&doc, (const unsigned char *)bytes, size, "x", err);
    if (code == ME_OK) me_doc_close(&doc);
    return code;
}

Test(doc, files_that_are_something_else_are_named)
{
    static const struct {
        const char *bytes, *message;
    } cases[] = {{"", "empty"},
                 {"ZF0x123", "joblib before 0.9"},
                 {"version https://git-lfs.github.com/spec/v1\n", "git-lfs"},
                 {"<!DOCTYPE html><html>", "HTML"},
                 {"\x89HDF\r\n", "HDF5"},
                 {"hello", "unknown format, first bytes 68 65 6c 6c"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        me_err err = {0};
        cr_expect_eq(open_text(cases[i].bytes, strlen(cases[i].bytes), &err), ME_EFORMAT);
        cr_expect(strncmp(err.msg, "x: ", 3) == 0 && strstr(err.msg, cases[i].message), "%s",
                  err.msg);
    }
}

Test(doc, a_missing_file_is_named_once_with_its_neighbour)
{
    me_doc doc;
    me_err err = {0};
    cr_expect_eq(me_doc_open(&doc, CASES "/objekt.npy", &err), ME_EIO);
    cr_expect(strncmp(err.msg, CASES "/objekt.npy: no such file", 40) == 0, "%s", err.msg);
    cr_expect(strstr(err.msg, "did you mean object.npy"), "%s", err.msg);
    cr_expect_null(doc.root);
    cr_expect_null(doc.buffers);
}

Test(doc, hash_is_of_the_file_itself)
{
    me_doc doc;
    cr_assert_eq(me_doc_open_bytes(&doc, (const unsigned char *)"[]", 2, "x", NULL), ME_OK);
    cr_expect_str_eq(doc.format, "json");
    cr_expect_str_eq(me_doc_hash(&doc),
                     "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945");
    me_doc_close(&doc);
}
