/* motion/edits.h: programmatic edits of any clip: time, side, size, parts, repetition. They know
 * nothing of what the clip shows. Each writes a new clip into the arena, without joint positions;
 * the caller runs forward kinematics. Rotations are mixed by slerp, speeds stay continuous where
 * two pieces meet. */
#ifndef MOTION_EDITS_H
#define MOTION_EDITS_H

#include "motion/motion.h"

/* ---- canonical form (spec omnime 1.2) ---- */
#define MOTION_CANONICAL_YAW 0.78539816339744831 /* pi/4 */
/* Turns the clip about z so that the first frame's yaw is pi/4, and moves its first pelvis to the
 * origin; joints follow where the clip has them. One rigid transform: the released files' double
 * count of the first increment is not imitated. */
void motion_canonicalise(motion_clip *clip);

/* ---- sets of joints ---- */
enum {
    MOTION_PART_LEFT_ARM = 1 << 0, /* collar, shoulder, elbow, wrist */
    MOTION_PART_RIGHT_ARM = 1 << 1,
    MOTION_PART_LEFT_LEG = 1 << 2, /* hip, knee, ankle, foot */
    MOTION_PART_RIGHT_LEG = 1 << 3,
    MOTION_PART_TORSO = 1 << 4, /* spine1, spine2, spine3 */
    MOTION_PART_HEAD = 1 << 5,  /* neck, head */
    MOTION_PART_ARMS = MOTION_PART_LEFT_ARM | MOTION_PART_RIGHT_ARM,
    MOTION_PART_UPPER = MOTION_PART_ARMS | MOTION_PART_TORSO | MOTION_PART_HEAD
};
/* Whether a joint (1..21) belongs to the parts; the pelvis belongs to none. */
bool motion_part_has(unsigned parts, int joint);

/* ---- edits ---- */
/* Frames [from, from+frames). */
me_code motion_edit_cut(motion_clip *out, me_arena *arena, const motion_clip *in, int64_t from,
                        int64_t frames, me_err *err);
/* The whole at `speed` times its speed (2: half as many frames). */
me_code motion_edit_speed(motion_clip *out, me_arena *arena, const motion_clip *in, double speed,
                          me_err *err);
/* Only [from, to) at that speed; the speed changes over `ease` frames. */
me_code motion_edit_speed_part(motion_clip *out, me_arena *arena, const motion_clip *in,
                               int64_t from, int64_t to, double speed, int64_t ease, me_err *err);
/* Left and right exchanged, in the body's own median plane of the first frame. */
me_code motion_edit_mirror(motion_clip *out, me_arena *arena, const motion_clip *in, me_err *err);
/* Deviation of the parts' rotations from their mean over time, scaled by `scale`. */
me_code motion_edit_amplitude(motion_clip *out, me_arena *arena, const motion_clip *in,
                              unsigned parts, double scale, me_err *err);
/* The parts' rotations taken from `donor` (played from its start, resampled where it is shorter
 * than the span) in [from, to), blended over `ease` frames at both ends. */
me_code motion_edit_graft(motion_clip *out, me_arena *arena, const motion_clip *in,
                          const motion_clip *donor, unsigned parts, int64_t from, int64_t to,
                          int64_t ease, me_err *err);
/* Every joint's rotation but the pelvis's on the way to the donor's, which is played as for a
 * graft: 0 leaves the clip as it is, 1 takes the donor's. */
me_code motion_edit_blend(motion_clip *out, me_arena *arena, const motion_clip *in,
                          const motion_clip *donor, double weight, me_err *err);
/* Joint j's rotation (1..21) followed in its own frame by the constant turn of aa + 3 j (radians
 * about an axis; the pelvis's is not read): a body that holds itself differently. */
me_code motion_edit_posture(motion_clip *out, me_arena *arena, const motion_clip *in,
                            const double aa[MOTION_JOINTS * 3], me_err *err);
/* The parts' rotations held at their mean pose: "keep your arms still". */
me_code motion_edit_still(motion_clip *out, me_arena *arena, const motion_clip *in, unsigned parts,
                          int64_t ease, me_err *err);
/* [from, to) played `times` times in all, each return blended over `ease` frames; the root goes on
 * from where it stands, in the direction it then has. */
me_code motion_edit_repeat(motion_clip *out, me_arena *arena, const motion_clip *in, int64_t from,
                           int64_t to, int times, int64_t ease, me_err *err);
/* Stops at frame `at` for `frames` frames, slowing down and starting over `ease` frames. */
me_code motion_edit_hold(motion_clip *out, me_arena *arena, const motion_clip *in, int64_t at,
                         int64_t frames, int64_t ease, me_err *err);

#endif
