#include <criterion/criterion.h>
#include <pthread.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "tests/unit/folder.h"

/* Every test in a folder of its own. */
static char folder[FOLDER_PATH];

static void enter(void)
{
    folder_make(folder);
    cr_assert_eq(chdir(folder), 0);
}

static void leave(void)
{
    cr_assert_eq(chdir("/"), 0);
    folder_remove(folder);
}

TestSuite(file, .init = enter, .fini = leave);

static int64_t count_names(void)
{
    me_arena arena = {0};
    me_names names;
    cr_assert_eq(me_list_directory(&names, &arena, ".", NULL), ME_OK);
    me_arena_release(&arena);
    return names.n;
}

Test(file, what_is_written_reads_back)
{
    me_bytes b;
    cr_assert_eq(me_file_write("a", "hello", 5, NULL), ME_OK);
    cr_assert_eq(me_file_write("a", "again", 5, NULL), ME_OK);
    cr_assert_eq(me_bytes_open(&b, "a", NULL), ME_OK);
    cr_expect(b.size == 5 && memcmp(b.data, "again", 5) == 0);
    me_bytes_close(&b);
    cr_expect_eq(count_names(), 1);
}

Test(file, a_large_file_reads_whole)
{
    size_t size = ((size_t)5 << 20) + 3;
    unsigned char *data = malloc(size);
    for (size_t i = 0; i < size; i++) data[i] = (unsigned char)(i * 31 >> 3);
    cr_assert_eq(me_file_write("a", data, size, NULL), ME_OK);
    me_bytes b;
    cr_assert_eq(me_bytes_open(&b, "a", NULL), ME_OK);
    cr_expect(b.size == size && memcmp(b.data, data, size) == 0);
    me_bytes_close(&b);
    free(data);
}

static void *feed(void *path)
{
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 100000; i++) fputs("12345678", f);
    fclose(f);
    return NULL;
}

Test(file, a_pipe_reads_to_its_end)
{
    pthread_t writer;
    me_bytes b;
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    cr_assert_eq(pthread_create(&writer, NULL, feed, "pipe"), 0);
    cr_assert_eq(me_bytes_open(&b, "pipe", NULL), ME_OK);
    pthread_join(writer, NULL);
    cr_expect_eq(b.size, 800000);
    me_bytes_close(&b);
}

Test(file, an_empty_file_has_no_bytes)
{
    me_bytes b;
    cr_assert_eq(me_file_write("a", "", 0, NULL), ME_OK);
    cr_assert_eq(me_bytes_open(&b, "a", NULL), ME_OK);
    cr_expect_eq(b.size, 0);
    me_bytes_close(&b);
}

Test(file, missing_files_name_their_neighbours)
{
    me_bytes b;
    me_err err = {0};
    me_file_write("motionfix_test.pth.tar", "x", 1, NULL);
    cr_expect_eq(me_bytes_open(&b, "motionfix_tset.pth.tar", &err), ME_EIO);
    cr_expect_str_eq(err.msg, "motionfix_tset.pth.tar: no such file (did you mean "
                              "motionfix_test.pth.tar, in the same folder?)");
    err = (me_err){0};
    cr_expect_eq(me_bytes_open(&b, "zzz", &err), ME_EIO);
    cr_expect_str_eq(err.msg, "zzz: no such file");
    err = (me_err){0};
    cr_expect_eq(me_bytes_open(&b, "no/such.npy", &err), ME_EIO);
    cr_expect_str_eq(err.msg, "no/such.npy: no such file (nor is there a folder no/)");
}

Test(file, a_folder_is_no_file)
{
    me_bytes b;
    me_err err = {0};
    cr_expect_eq(me_bytes_open(&b, ".", &err), ME_EIO);
    cr_expect_str_eq(err.msg, ".: expected a file, found a folder");
    cr_expect_eq(me_file_write(".", "x", 1, NULL), ME_EIO);
}

Test(file, an_aborted_write_leaves_the_old_file)
{
    me_writer w;
    me_bytes b;
    me_file_write("a", "old", 3, NULL);
    cr_assert_eq(me_writer_open(&w, "a", NULL), ME_OK);
    me_writer_put(&w, "new", 3);
    me_writer_abort(&w);
    cr_assert_eq(me_bytes_open(&b, "a", NULL), ME_OK);
    cr_expect(b.size == 3 && memcmp(b.data, "old", 3) == 0);
    me_bytes_close(&b);
    cr_expect_eq(count_names(), 1);
}

Test(file, a_large_file_is_read_whole_from_where_it_stands)
{
    const size_t size = (19u << 20) + 77;
    unsigned char *data = malloc(size);
    for (size_t i = 0; i < size; i++) data[i] = (unsigned char)(i * 2654435761u >> 24);
    cr_assert_eq(me_file_write("a", data, size, NULL), ME_OK);
    me_bytes b;
    cr_assert_eq(me_bytes_open(&b, "a", NULL), ME_OK);
    cr_assert_eq(b.size, size);
    cr_expect_eq(memcmp(b.data, data, size), 0);
    me_bytes_close(&b);
    int fd = open("a", O_RDONLY), standard = dup(STDIN_FILENO);
    char head[3];
    cr_assert(fd >= 0 && read(fd, head, sizeof head) == 3);
    dup2(fd, STDIN_FILENO); /* as after `(read line; mebench ... -) < a` */
    cr_assert_eq(me_bytes_open(&b, "-", NULL), ME_OK);
    cr_assert_eq(b.size, size - 3);
    cr_expect_eq(memcmp(b.data, data + 3, size - 3), 0);
    me_bytes_close(&b);
    dup2(standard, STDIN_FILENO);
    close(standard);
    close(fd);
    free(data);
}

Test(file, bytes_given_away_are_whole_pages_before_the_end_given)
{
    const size_t size = 9u << 20, end = (5u << 20) + 123;
    unsigned char *data = malloc(size);
    memset(data, 7, size);
    cr_assert_eq(me_file_write("a", data, size, NULL), ME_OK);
    me_bytes b;
    me_arena arena = {0};
    cr_assert_eq(me_bytes_open(&b, "a", NULL), ME_OK);
    me_bytes_give(&b, data, &arena);              /* of another file: nothing happens */
    me_bytes_give(&b, b.data, &arena);            /* nothing lies before */
    me_bytes_give(&b, b.data + size + 1, &arena); /* outside */
    me_bytes_give(&b, b.data + 100, &arena);      /* less than a page */
    cr_expect_null(arena.head);
    cr_expect_eq(memcmp(b.data, data, size), 0);
    me_bytes_give(&b, b.data + (2u << 20), &arena);
    me_bytes_give(&b, b.data + end, &arena);
    me_bytes_give(&b, b.data + end, &arena); /* once only */
    cr_expect_eq(memcmp(b.data + end, data + end, size - end), 0);
    cr_expect_eq(b.size, size);
    unsigned char *again = me_arena_take(&arena, 4u << 20, 1);
    cr_assert_not_null(again);
    cr_expect(again > b.data && again < b.data + end, "the file's bytes are not used again");
    me_bytes_close(&b);
    memset(again, 1, 4u << 20); /* they outlive the file */
    me_arena_release(&arena);
    free(data);
}

Test(file, a_full_disk_leaves_nothing)
{
    static char data[100000];
    me_err err = {0};
    me_bytes b;
    me_file_write("a", "old", 3, NULL);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before, small = {4096, 4096};
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    cr_expect_eq(me_file_write("a", data, sizeof data, &err), ME_EIO);
    setrlimit(RLIMIT_FSIZE, &before);
    cr_expect(strstr(err.msg, "/a: cannot write: File too large"), "%s", err.msg);
    cr_assert_eq(me_bytes_open(&b, "a", NULL), ME_OK);
    cr_expect_eq(b.size, 3);
    me_bytes_close(&b);
    cr_expect_eq(count_names(), 1);
}

Test(file, a_device_is_written_in_place)
{
    me_err err = {0};
    cr_expect_eq(me_file_write("/dev/null", "x", 1, NULL), ME_OK);
    if (access("/dev/full", W_OK) == 0) {
        cr_expect_eq(me_file_write("/dev/full", "x", 1, &err), ME_EIO);
        cr_expect_str_eq(err.msg, "/dev/full: cannot write: No space left on device");
        struct stat st;
        cr_expect(stat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode));
    }
}

Test(file, a_link_still_points_at_what_was_written)
{
    struct stat st;
    me_bytes b;
    me_file_write("real", "old", 3, NULL);
    cr_assert_eq(symlink("real", "link"), 0);
    cr_assert_eq(me_file_write("link", "newer", 5, NULL), ME_OK);
    cr_expect(lstat("link", &st) == 0 && S_ISLNK(st.st_mode));
    cr_assert_eq(me_bytes_open(&b, "real", NULL), ME_OK);
    cr_expect_eq(b.size, 5);
    me_bytes_close(&b);
}

Test(file, folders_are_made_on_the_way)
{
    me_err err = {0};
    cr_assert_eq(me_make_directories("x", NULL), ME_OK);
    cr_assert_eq(me_make_directories("x", NULL), ME_OK);
    cr_expect(me_is_directory("x"));
    me_file_write("f", "", 0, NULL);
    cr_expect_eq(me_make_directories("f/g", &err), ME_EIO);
    cr_expect_str_eq(err.msg, "f: cannot make this folder: a file of that name is there");
    cr_expect_eq(me_make_directories("", NULL), ME_OK);
    cr_expect_eq(me_make_directories("/", NULL), ME_OK);
}

Test(file, names_come_in_byte_order)
{
    me_arena arena = {0};
    me_names names;
    me_file_write("b", "", 0, NULL);
    me_file_write("a", "", 0, NULL);
    me_file_write("B", "", 0, NULL);
    cr_assert_eq(me_list_directory(&names, &arena, ".", NULL), ME_OK);
    cr_assert_eq(names.n, 3);
    cr_expect_str_eq(names.items[0], "B");
    cr_expect_str_eq(names.items[2], "b");
    cr_expect_eq(me_list_directory(&names, &arena, "none", NULL), ME_EIO);
    me_arena_release(&arena);
}

Test(file, paths_and_words)
{
    me_arena arena = {0};
    static const char *const words[] = {"full", "batch32", "legacy506-omnime"};
    cr_expect_str_eq(me_path_join(&arena, "a", "b"), "a/b");
    cr_expect_str_eq(me_path_join(&arena, "a/", "b"), "a/b");
    cr_expect_str_eq(me_path_base("x/y.npy"), "y.npy");
    cr_expect(me_has_suffix("A.NPY", ".npy"));
    cr_expect_not(me_has_suffix("npy", ".npy"));
    cr_expect_str_eq(me_nearest("batch23", words, 3), "batch32");
    cr_expect_str_eq(me_nearest("ful", words, 3), "full");
    cr_expect_null(me_nearest("precision", words, 3));
    me_arena_release(&arena);
}
