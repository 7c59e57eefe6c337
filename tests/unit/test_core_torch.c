/* Torch containers that lie. That honest ones read as Python reads them is in test_core_doc.c. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/torch.h"
#include "tests/unit/reader_text.h"

#define MAGIC "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"
#define VERSION "\x80\x02M\xe9\x03."
#define SYSTEM "\x80\x02}U\x0dlittle_endian\x88s."
#define STORAGE(count)                                                                             \
    "(U\x07storagectorch\nFloatStorage\nU\x01\x30U\x03"                                            \
    "cpuK" count "NtQ"
/* A view of the storage "0": offset, size, stride. */
#define TENSOR(count, offset, size, stride)                                                        \
    "\x80\x02"                                                                                     \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(count) "K" offset size "\x85" stride            \
                                                          "\x85\x89}tR."
#define KEYS                                                                                       \
    "\x80\x02]U\x01\x30"                                                                           \
    "a."
#define DATA "\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x00\x40"

/* The text of the tree or of the error, malloc'ed. */
static char *open_legacy(const char *parts, size_t size)
{
    me_doc doc;
    me_err err = {0};
    unsigned char *copy = malloc(size);
    memcpy(copy, parts, size);
    char *text;
    if (me_doc_open_bytes(&doc, copy, size, "x.pt", &err) == ME_OK) {
        text = reader_text(doc.root);
        me_doc_close(&doc);
    } else {
        text = strdup(err.msg);
    }
    free(copy);
    return text;
}

#define EXPECT(parts, wanted)                                                                      \
    do {                                                                                           \
        static const char bytes_[] = parts;                                                        \
        char *text_ = open_legacy(bytes_, sizeof bytes_ - 1);                                      \
        cr_expect(strstr(text_, wanted), "%s", text_);                                             \
        free(text_);                                                                               \
    } while (0)

Test(torch, a_view_of_a_storage_reads)
{
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "K\x02", "K\x01") KEYS DATA,
           "float32(2)[1 2]");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x01", "K\x03", "K\x00") KEYS DATA,
           "float32(3)[2 2 2]");
}

Test(torch, tensors_stay_inside_their_storage)
{
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x01", "K\x02", "K\x01") KEYS DATA,
           "reaches beyond its storage of 8 bytes");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "K\x02", "K\x02") KEYS DATA,
           "reaches beyond its storage");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "K\x02",
                                       "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f") KEYS DATA,
           "reaches beyond its storage");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "K\x01", "J\xff\xff\xff\xff") KEYS DATA,
           "impossible shape");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "J\xff\xff\xff\x7f", "K\x00") KEYS DATA,
           "repeats its storage beyond 64 MiB");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "J\xff\xff\xff\xff", "K\x01") KEYS DATA,
           "a shape is not a tuple");
}

Test(torch, storages_must_be_there)
{
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x05", "\x00", "K\x02", "K\x01") KEYS DATA, "another size");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "K\x02", "K\x01") "\x80\x02].",
           "the data of a storage is missing");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "K\x02", "K\x01") KEYS
           "\xff\xff\xff\xff\xff\xff\xff\x7f",
           "another size");
    EXPECT(MAGIC VERSION SYSTEM TENSOR("\x02", "\x00", "K\x02", "K\x01") KEYS DATA "x",
           "1 bytes follow the last storage");
    EXPECT(MAGIC "\x80\x02M\xe8\x03." SYSTEM, "expected version 1001");
}

Test(torch, a_zip_without_its_storages_is_refused)
{
    static const char pickle[] = TENSOR("\x02", "\x00", "K\x02", "K\x01");
    static const unsigned char data[] = "\x00\x00\x80\x3f\x00\x00\x00\x40";
    me_zip_entry entries[] = {{"m/data.pkl", (const unsigned char *)pickle, sizeof pickle - 1},
                              {"m/data/0", data, 8}};
    me_zip zip = {.n = 2, .entries = entries};
    me_arena arena = {0};
    me_value *v;
    cr_assert_eq(me_torch_zip_read(&v, &arena, &zip, NULL), ME_OK);
    cr_expect_eq(v->as.array.data, data);
    entries[1].size = 7;
    me_err err = {0};
    cr_expect_eq(me_torch_zip_read(&v, &arena, &zip, &err), ME_EFORMAT);
    cr_expect(strstr(err.msg, "the entry m/data/0 has 7 bytes, the tensors expect 8"), "%s",
              err.msg);
    zip.n = 1;
    err = (me_err){0};
    cr_expect_eq(me_torch_zip_read(&v, &arena, &zip, &err), ME_EFORMAT);
    cr_expect(strstr(err.msg, "the entry m/data/0 with the data of a tensor is missing"), "%s",
              err.msg);
    me_arena_release(&arena);
}

Test(torch, a_blob_in_a_pickle_is_a_storage_of_its_own)
{
    static const char blob[] = MAGIC VERSION SYSTEM "\x80\x02" STORAGE("\x02") "." KEYS DATA;
    char bytes[600] = "\x80\x02"
                      "ctorch._utils\n_rebuild_tensor_v2\n("
                      "ctorch.storage\n_load_from_bytes\nB";
    size_t n = 2 + strlen(bytes + 2);
    bytes[n++] = (char)(sizeof blob - 1);
    n += 3; /* the length's high bytes are 0 */
    memcpy(bytes + n, blob, sizeof blob - 1);
    n += sizeof blob - 1;
    static const char rest[] = "\x85RK\x01K\x01\x85K\x01\x85\x89}tR.";
    memcpy(bytes + n, rest, sizeof rest - 1);
    n += sizeof rest - 1;
    char *text = open_legacy(bytes, n);
    cr_expect_str_eq(text, "float32(1)[2]");
    free(text);
}
