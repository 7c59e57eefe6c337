/* motion/augment.h: a clip's variations: what other bodies might have done with the same idea. They
 * make a training set of few takes wider; they are no edits, and no sentence describes them. */
#ifndef MOTION_AUGMENT_H
#define MOTION_AUGMENT_H

#include "core/rng.h"
#include "motion/motion.h"

/* A variation of `in`, drawn from `g`: on the way to `other` by up to 0.6, the arms or the upper
 * body of `donor` in place of its own (NULL: neither), one part's movements smaller or larger (0.6
 * to 1.5 times), every joint turned a little and for good, mirrored or not, at 0.75 to 1.33 times
 * the speed, but never longer than `most` frames where `in` is not. Canonical (motion/edits.h),
 * without joint positions. */
me_code motion_augment(motion_clip *out, me_arena *arena, const motion_clip *in,
                       const motion_clip *donor, const motion_clip *other, int64_t most, me_rng *g,
                       me_err *err);

#endif
