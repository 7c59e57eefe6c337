/* motion/dataset_priv.h: the parts of the dataset reader that tests and fuzz targets reach
 * directly. */
#ifndef MOTION_DATASET_PRIV_H
#define MOTION_DATASET_PRIV_H

#include "core/doc.h"
#include "motion/motion.h"

/* From an opened document, which is used up: it can only be closed afterwards. `out` is zeroed by
 * the caller and stays its to close, also after a failure. No split, no hash. Messages carry no
 * file name. */
me_code motion_dataset_parse(motion_dataset *out, me_doc *doc, bool joints, me_err *err);
/* Gives every pair its split from the dictionary of a splits.json. */
me_code motion_dataset_split(motion_dataset *d, const me_value *splits, me_err *err);
/* The name of the splits.json beside a file. */
const char *motion_splits_path(me_arena *arena, const char *path);

#endif
