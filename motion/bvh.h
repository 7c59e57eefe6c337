/* motion/bvh.h: Biovision hierarchy files, and their mapping to the 22-joint body (spec bvh).
 *
 * The reader takes any number of joints with any order of channels, and refuses what it cannot
 * trust: numbers that are none, values that are missing or too many. It does not need to know the
 * rig; the mapping does (motion/rig.c lists those that it knows).
 */
#ifndef MOTION_BVH_H
#define MOTION_BVH_H

#include "core/file.h"
#include "motion/motion.h"

typedef struct motion_bvh_joint {
    const char *name; /* as in the file; "End Site" where it has none */
    int parent;       /* -1 for the root; always before its children */
    double offset[3];
    int channels;
    unsigned char channel[6]; /* 0..2 X Y Z position, 3..5 X Y Z rotation, in the file's order */
    int first_channel;        /* column of its first value in a frame's line */
    bool end_site;
} motion_bvh_joint;

typedef struct motion_bvh {
    int joints;
    motion_bvh_joint *joint;
    int channels;
    int64_t frames;
    double frame_time;
    double *values;       /* (frames, channels), as in the file (degrees) */
    int64_t extra_values; /* numbers after the declared frames: not kept, worth a warning */
    const char *rig; /* "cmu", "daz", "3dsmax", … as recognised by joint names; NULL: unknown */
    me_arena arena;
} motion_bvh;

me_code motion_bvh_open(motion_bvh *out, const char *path, me_err *err);
me_code motion_bvh_parse(motion_bvh *out, const char *text, size_t size, const char *name,
                         me_err *err);
void motion_bvh_close(motion_bvh *bvh);

/* All .bvh files under a folder and its subfolders, each in ascending byte-wise order, hidden names
 * left out. */
me_code motion_bvh_list(me_names *out, me_arena *arena, const char *folder, me_err *err);

typedef struct motion_retarget_options {
    double fps; /* 0: 30 */
    double
        scale; /* metres per unit; 0: by rig (0.0564444 for CMU), else by the length of the legs */
    bool y_up; /* keep Y up instead of turning to Z up */
    int drop_first; /* frames to drop at the start; -1: drop a T-pose first frame if there is one */
    bool rest_alignment; /* CMU rig: take the 20 degrees of the legs from the rest pose, not the
                            constant */
} motion_retarget_options;

/* To the 22 joints at 30 fps; `clip` gets pose and joints (positions of the BVH's own kinematics).
 * `options` NULL: {.drop_first = -1}. */
me_code motion_bvh_to_clip(motion_clip *clip, me_arena *arena, const motion_bvh *bvh,
                           const motion_retarget_options *options, me_err *err);
/* Whether the first frame is a T-pose put before the motion, as some conversions of the CMU data
 * do. */
bool motion_bvh_t_pose_first(const motion_bvh *bvh);
/* A 22-joint BVH (names of motion_joint_names, Y up, metres) of a clip on a body. Atomic. */
me_code motion_bvh_write(const char *path, const motion_skeleton *body, const motion_clip *clip,
                         me_err *err);

#endif
