/* core/version.c: which mebench this is; the build passes both. */
#include "core/version.h"

#ifndef ME_GIT
#define ME_GIT "unknown"
#endif

const char *me_version(void)
{
    return ME_VERSION;
}
const char *me_git(void)
{
    return ME_GIT;
}
