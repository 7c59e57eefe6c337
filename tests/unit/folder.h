/* tests/unit/folder.h: a folder of a test's own, under /tmp. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"

enum { FOLDER_PATH = 64 };

/* Makes one; `path` has room for FOLDER_PATH characters. */
static inline void folder_make(char *path)
{
    strcpy(path, "/tmp/mebench-test-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
}

/* With everything in it. */
static inline void folder_remove(const char *path)
{
    char command[FOLDER_PATH + 16];
    snprintf(command, sizeof command, "rm -r '%s'", path);
    cr_assert_eq(system(command), 0);
}

/* A file in it; the folder is made where it is not there. */
static inline void folder_write(const char *path, const char *name, const char *text)
{
    char file[256];
    me_err err = {0};
    snprintf(file, sizeof file, "%s/%s", path, name);
    cr_assert_eq(me_make_directories(path, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(me_file_write(file, text, strlen(text), &err), ME_OK, "%s", err.msg);
}

#endif
