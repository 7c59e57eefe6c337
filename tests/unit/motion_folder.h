/* tests/unit/motion_folder.h: a folder and an arena for every test of files of motions: give
 * open_folder and remove_folder to the suite. */
#ifndef TESTS_MOTION_FOLDER_H
#define TESTS_MOTION_FOLDER_H

#include "tests/unit/folder.h"

static char folder[FOLDER_PATH];
static me_arena arena;

static void open_folder(void)
{
    folder_make(folder);
}

static void remove_folder(void)
{
    folder_remove(folder);
    me_arena_release(&arena);
}

static const char *at(const char *name)
{
    return me_path_join(&arena, folder, name);
}

#endif
