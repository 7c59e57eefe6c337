/* CSV comes back to the byte, and a table that is no rectangle does not come back at all. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/csv.h"

static me_csv parse(const char *text)
{
    me_csv csv;
    me_err err = {0};
    cr_assert_eq(me_csv_parse(&csv, text, strlen(text), "t.csv", &err), ME_OK, "%s", err.msg);
    return csv;
}

static void refused(const char *text, size_t size, const char *because)
{
    me_csv csv;
    me_err err = {0};
    cr_assert_eq(me_csv_parse(&csv, text, size, "t.csv", &err), ME_EFORMAT, "accepted: %s", text);
    cr_assert_not_null(strstr(err.msg, because), "%s: said \"%s\", not \"%s\"", text, err.msg,
                       because);
    cr_assert_null(csv.cells);
    cr_assert_eq(csv.rows, 0);
}

Test(csv, fields_rows_and_columns_are_found)
{
    me_csv csv = parse("key,rank,note\n000021,1.5,\n7,2,\"a, \"\"b\"\"\nc\"\n");
    cr_assert_eq(csv.rows, 3);
    cr_assert_eq(csv.columns, 3);
    cr_assert_eq(me_csv_column(&csv, "rank"), 1);
    cr_assert_eq(me_csv_column(&csv, "Rank"), -1);
    cr_assert_str_eq(csv.cells[1][0], "000021");
    cr_assert_str_eq(csv.cells[1][2], "");
    cr_assert_str_eq(csv.cells[2][2], "a, \"b\"\nc");
    me_csv_close(&csv);
    cr_assert_null(csv.cells);
}

Test(csv, line_ends_of_every_system_and_a_missing_last_one_are_taken)
{
    me_csv csv = parse("\xef\xbb\xbf"
                       "a,b\r\n1,2\r\n\r\n3,4");
    cr_assert_eq(csv.rows, 3);
    cr_assert_str_eq(csv.cells[0][0], "a");
    cr_assert_str_eq(csv.cells[2][1], "4");
    me_csv_close(&csv);
    csv = parse("a,b\r1,");
    cr_assert_eq(csv.rows, 2);
    cr_assert_str_eq(csv.cells[1][1], "");
    me_csv_close(&csv);
}

Test(csv, spaces_belong_to_their_field)
{
    me_csv csv = parse(" a , b\n\t1,\" 2 \"\n");
    cr_assert_str_eq(csv.cells[0][0], " a ");
    cr_assert_str_eq(csv.cells[0][1], " b");
    cr_assert_str_eq(csv.cells[1][0], "\t1");
    cr_assert_str_eq(csv.cells[1][1], " 2 ");
    me_csv_close(&csv);
}

Test(csv, what_is_no_table_is_refused_with_its_row)
{
    refused("", 0, "found no text");
    refused("\n\n", 2, "found no text");
    refused("a,b\n1,2\n1,2,3\n", 14, "row 3 has 3 fields, the header has 2");
    refused("a,b\n1\n", 6, "row 2 has 1 fields");
    refused("a,b\n1,x\"y\n", 10, "row 2: a quote that stands inside");
    refused("a,b\n1,\"x\"y\n", 11, "row 2: a quote that stands inside");
    refused("a,b\n1,\"x", 8, "row 2: a quote that is not closed");
    refused("a\0b\n", 4, "NUL at byte 1");
}

Test(csv, a_missing_file_leaves_nothing_to_close)
{
    me_csv csv;
    me_err err = {0};
    cr_assert_neq(me_csv_open(&csv, "/nonexistent/x.csv", &err), ME_OK);
    me_csv_close(&csv);
}

Test(csv, what_is_put_reads_back)
{
    static const char *const fields[] = {"plain",      "",       "a,b", "say \"hi\"",
                                         "two\nlines", " edge ", "\"",  ""};
    char path[] = "/tmp/me_csv_XXXXXX";
    close(mkstemp(path));
    me_writer w;
    me_err err = {0};
    cr_assert_eq(me_writer_open(&w, path, &err), ME_OK, "%s", err.msg);
    for (int i = 0; i < 8; i++) me_csv_put(&w, fields[i], i % 2);
    cr_assert_eq(me_writer_commit(&w, &err), ME_OK, "%s", err.msg);
    me_csv csv;
    cr_assert_eq(me_csv_open(&csv, path, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(csv.rows, 4);
    cr_assert_eq(csv.columns, 2);
    for (int i = 0; i < 8; i++) cr_assert_str_eq(csv.cells[i / 2][i % 2], fields[i]);
    me_csv_close(&csv);
    unlink(path);
}

Test(csv, a_row_of_one_empty_field_is_no_blank_line)
{
    char path[] = "/tmp/me_csv_XXXXXX";
    close(mkstemp(path));
    me_writer w;
    me_err err = {0};
    cr_assert_eq(me_writer_open(&w, path, &err), ME_OK);
    me_csv_put(&w, "note", true);
    me_csv_put(&w, "", true);
    cr_assert_eq(me_writer_commit(&w, &err), ME_OK);
    me_csv csv;
    cr_assert_eq(me_csv_open(&csv, path, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(csv.rows, 2);
    cr_assert_str_eq(csv.cells[1][0], "");
    me_csv_close(&csv);
    unlink(path);
}
