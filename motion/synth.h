/* motion/synth.h: a synthetic editing benchmark of any size from a seed: pairs of whole-body
 * motions on the mean body (spec bvh 5) and the sentence that turns one into the other.
 *
 * A motion is a script of one to three phases; each phase runs a leg, left arm, right arm, torso
 * and head action in parallel, each with its own continuous parameters. A person (posture, bounce,
 * arm swing, stance, timing, smooth noise) performs the script. An edit changes one thing of the
 * script; source and target are performed by the same person, with other small noise.
 *
 * Balance, so that copying the source does not win. Pairs come in groups of four, of one person:
 *  - star, M0>M1 M0>M2 M0>M3 M0>M4: one source, four different edits: a four-way tie at best;
 *  - twins, M0>M1 M1>M0 M2>M3 M3>M2: both directions of two edits, M2 an edit of M0: every target
 * is another pair's source;
 *  - chain, M0>M1 M1>M0 M0>M2 M2>M3: both directions of an edit, a second edit, one on top of it.
 *
 * No two pairs of a group have the same target, so a perfect editor keeps rank 1, whereas a copied
 * source meets its own twin or another pair's exact target in the gallery. The vocabulary is small
 * and the edits are strong against the spread of people, so that batches of strangers hold near
 * neighbours too.
 *
 * Group g depends on (seed, g) alone: a longer benchmark begins with the shorter one, for any
 * number of threads. A group (hence a person and a source) never crosses splits.
 *
 * Every clip is canonical as the field's data is (spec omnime 1.2): yaw of the first frame pi/4 (R
 * = Rz(a) Ry(b) Rx(c), a = pi/4), first translation 0.
 */
#ifndef MOTION_SYNTH_H
#define MOTION_SYNTH_H

#include "core/log.h"
#include "motion/motion.h"

#define MOTION_SYNTH_GROUP 4  /* pairs of a group */
#define MOTION_SYNTH_SHORT 55 /* frames: clips can always be found that are no longer than this */
#define MOTION_SYNTH_LONG 600 /* frames: no clip is longer */

typedef struct motion_synth_options {
    int64_t pairs; /* >= 1 */
    uint64_t seed;
    int64_t min_frames, max_frames; /* of every clip; 0: 40, 200; max_frames from
                                       MOTION_SYNTH_SHORT to _LONG */
    double val_share, test_share;   /* of the groups, spread evenly; both 0: all train */
    bool no_joints;                 /* leave joint positions out (a third less memory) */
} motion_synth_options;

/* 40 to 200 frames, val 0.05, test 0.15 of the groups. */
motion_synth_options motion_synth_defaults(int64_t pairs, uint64_t seed);

/* Builds the dataset in memory: keys "000000", …, text, source and target with joints and
 * captions, split; has_split is true and format "synth". To be closed with motion_dataset_close. */
me_code motion_synth(motion_dataset *out, const motion_synth_options *options, me_log *log,
                     me_err *err);

#endif
