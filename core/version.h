/* core/version.h: the version and the commit that this program was built from. */
#ifndef ME_CORE_VERSION_H
#define ME_CORE_VERSION_H

const char *me_version(void); /* "0.1.0" */
const char *me_git(void);     /* git describe, or "unknown" */

#endif
