/* Curves: CSV that a resumed run continues, and event files that TensorBoard reads. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "models/curves.h"
#include "tests/unit/folder.h"

static void expect_text(const char *path, const char *wanted)
{
    me_bytes b;
    cr_assert_eq(me_bytes_open(&b, path, NULL), ME_OK);
    cr_assert_eq(b.size, strlen(wanted), "%.*s", (int)b.size, (char *)b.data);
    cr_assert_arr_eq(b.data, wanted, b.size);
    me_bytes_close(&b);
}

static void write_rows(const char *path, const char *events, const double (*rows)[3], int n,
                       int64_t from)
{
    static const char *const columns[] = {"step", "loss", "rate"};
    model_curves *c;
    me_err err = {0};
    cr_assert_eq(model_curves_open(&c, path, events, "train/", columns, 3, from, &err), ME_OK);
    for (int i = 0; i < n; i++) cr_assert_eq(model_curves_add(c, rows[i], &err), ME_OK);
    cr_assert_eq(model_curves_close(c, &err), ME_OK);
}

Test(curves, a_resumed_run_replaces_the_rows_after_its_step)
{
    char folder[FOLDER_PATH], path[FOLDER_PATH + 8];
    folder_make(folder);
    snprintf(path, sizeof path, "%s/c.csv", folder);
    write_rows(path, NULL, (const double[][3]){{10, 0.5, 1}, {20, NAN, 2}, {30, 0.25, 3}}, 3, 0);
    expect_text(path, "step,loss,rate\n10,0.5,1\n20,,2\n30,0.25,3\n");
    write_rows(path, NULL, (const double[][3]){{25, 4, 4}}, 1, 20);
    expect_text(path, "step,loss,rate\n10,0.5,1\n20,,2\n25,4,4\n");
    write_rows(path, NULL, (const double[][3]){{1, 1, 1}}, 1, 0);
    expect_text(path, "step,loss,rate\n1,1,1\n");
    folder_remove(folder);
}

/* ---- event files, read back by what their format says -------------------------------------------
 */

static uint32_t crc32c(const unsigned char *p, size_t n)
{
    uint32_t table[256], c = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ 0x82F63B78u : table[i] >> 1;
    }
    for (size_t i = 0; i < n; i++) c = c >> 8 ^ table[(c ^ p[i]) & 255];
    return ~c;
}

static uint32_t unmasked(const unsigned char *p)
{
    uint32_t m;
    memcpy(&m, p, 4);
    m -= 0xA282EAD8u;
    return m >> 17 | m << 15;
}

Test(curves, event_files_are_whole_records_with_their_checksums)
{
    cr_assert_eq(crc32c((const unsigned char *)"123456789", 9), 0xE3069283u);
    char folder[FOLDER_PATH], path[FOLDER_PATH + 8];
    folder_make(folder);
    snprintf(path, sizeof path, "%s/c.csv", folder);
    write_rows(path, folder, (const double[][3]){{300, 0.5, 7}, {600, NAN, 8}}, 2, 0);
    me_arena arena = {0};
    me_names names;
    cr_assert_eq(me_list_directory(&names, &arena, folder, NULL), ME_OK);
    cr_assert_eq(names.n, 2);
    cr_assert_eq(strncmp(names.items[1], "events.out.tfevents.", 20), 0);
    const char *file = me_path_join(&arena, folder, names.items[1]);
    me_bytes b;
    cr_assert_eq(me_bytes_open(&b, file, NULL), ME_OK);
    int records = 0;
    for (size_t at = 0; at < b.size; records++) {
        uint64_t length;
        cr_assert_leq(at + 16, b.size);
        memcpy(&length, b.data + at, 8);
        cr_assert_leq(at + 16 + length, b.size);
        cr_assert_eq(crc32c(b.data + at, 8), unmasked(b.data + at + 8));
        cr_assert_eq(crc32c(b.data + at + 12, length), unmasked(b.data + at + 12 + length));
        cr_assert_eq(b.data[at + 12], 0x09); /* wall time, a double */
        if (records == 1) { /* the first scalar: step 300 = 0xAC 0x02, its summary */
            static const unsigned char event[] = {0x10, 0xAC, 0x02, 0x2A, 19,  0x0A, 17,  0x0A,
                                                  10,   't',  'r',  'a',  'i', 'n',  '/', 'l',
                                                  'o',  's',  's',  0x15, 0,   0,    0,   0x3F};
            cr_assert_eq(length, 9 + sizeof event);
            cr_assert_arr_eq(b.data + at + 12 + 9, event, sizeof event);
        }
        at += 16 + length;
    }
    cr_assert_eq(records, 4); /* the version, loss and rate of 300, rate of 600 */
    me_bytes_close(&b);
    folder_remove(folder);
    me_arena_release(&arena);
}
