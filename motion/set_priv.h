/* motion/set_priv.h: the part of the sample reader that tests and fuzz targets reach directly. */
#ifndef MOTION_SET_PRIV_H
#define MOTION_SET_PRIV_H

#include "core/doc.h"
#include "motion/motion.h"

/* From an opened document, which may be closed afterwards; `path` gives the key where the document
 * is one sample. `out` is zeroed by the caller and stays its to close, also after a failure. */
me_code motion_set_parse(motion_set *out, const me_doc *doc, const char *path, me_err *err);

#endif
