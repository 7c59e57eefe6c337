/* motion/augment.h: a clip's variations: what other bodies might have done with the same idea. They
 * make a training set of few takes wider; they are no edits, and no sentence describes them. */
#ifndef MOTION_AUGMENT_H
#define MOTION_AUGMENT_H

#include "core/rng.h"
#include "motion/motion.h"

/* A variation of `in`, drawn from `g`: mirrored or not, the arms or the upper body of `donor` or its
 * own (NULL: its own), one part's movements smaller or larger (0.6 to 1.5 times), at 0.75 to 1.33
 * times the speed, but never longer than `most` frames where `in` is not. Canonical (motion/edits.h),
 * without joint positions. */
me_code motion_augment(motion_clip *out, me_arena *arena, const motion_clip *in,
                       const motion_clip *donor, int64_t most, me_rng *g, me_err *err);

#endif
