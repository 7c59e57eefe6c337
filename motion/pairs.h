/* motion/pairs.h: an editing benchmark from real clips. A folder of BVH files is cut into windows,
 * retargeted to the 22 joints (motion/bvh.h), edited (motion/edits.h) and described in a sentence.
 *
 * Several pairs share a window as their source, and for some the reverse edit is a pair too, so
 * that copying the source meets its own twin or another pair's target (motion/synth.h says how that
 * balances). All windows of a subject are in one split. Joint positions are those of the mean body
 * (spec bvh 5), so that body size gives nothing away. Clips are canonical (motion_canonicalise).
 */
#ifndef MOTION_PAIRS_H
#define MOTION_PAIRS_H

#include "core/log.h"
#include "motion/motion.h"

#define MOTION_PAIRS_MOST 12 /* from one window: one of every kind of edit */

typedef struct motion_pairs_options {
    int64_t per_window;             /* pairs from each window; 0: 4 */
    int64_t min_frames, max_frames; /* of a window, at 30 a second; 0: 30, 150 */
    /* Frames from one window's start to the next; 0: half of its length. Windows of val and test
     * are at least half a window apart all the same, so that no twins stand in their galleries. */
    int64_t stride;
    int64_t augment; /* variations (motion/augment.h) of each training window, edited like it */
    int64_t limit;   /* pairs in all; 0: no limit */
    uint64_t seed;
    bool no_joints; /* clips come without joint positions, a third of their size */
    /* Of the windows, about: whole subjects are drawn. With fewer than three nothing is split. */
    double val_share, test_share;
    /* csv with columns file, description; NULL: manifest.csv in the folder, if any. */
    const char *manifest;
} motion_pairs_options;

motion_pairs_options motion_pairs_defaults(uint64_t seed); /* val 0.1, test 0.2 */

/* `paths`: BVH files, or folders searched recursively in byte-wise order (names that begin with '.'
 * are left out). The subject is the digits that the file's name begins with ("16_12.bvh": 16), else
 * the folder's name. Files that cannot be read or are too short are noted and left out; that none
 * is left is an error. */
me_code motion_pairs(motion_dataset *out, const char *const *paths, int64_t n_paths,
                     const motion_pairs_options *options, me_log *log, me_err *err);

#endif
