/* motion/bvh.h: Biovision hierarchy files, and their mapping to the 22-joint body (spec bvh). */
#ifndef MOTION_BVH_H
#define MOTION_BVH_H

#include "motion/motion.h"

typedef struct motion_bvh_joint {
    const char *name;
    int parent; /* -1 for the root */
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
    float *values; /* (frames, channels), as in the file (degrees) */
    const char *rig; /* "cmu", "daz", "3dsmax", … as recognised by joint names */
    me_arena arena;
} motion_bvh;

me_code motion_bvh_open(motion_bvh *out, const char *path, me_err *err);
me_code motion_bvh_parse(motion_bvh *out, const char *text, size_t size, const char *name, me_err *err);
void motion_bvh_close(motion_bvh *bvh);

typedef struct motion_retarget_options {
    double fps;        /* 0: 30 */
    double scale;      /* metres per unit; 0: by rig (0.0564444 for CMU) */
    bool y_up;         /* keep Y up instead of turning to Z up */
    int drop_first;    /* frames to drop at the start; -1: drop a T-pose first frame if there is one */
} motion_retarget_options;

/* To the 22 joints at 30 fps; `clip` gets pose and joints (positions of the BVH's own kinematics). */
me_code motion_bvh_to_clip(motion_clip *clip, me_arena *arena, const motion_bvh *bvh,
                           const motion_retarget_options *options, me_err *err);
/* A 22-joint BVH (names of motion_joint_names, Y up, metres) of a clip on a body. Atomic. */
me_code motion_bvh_write(const char *path, const motion_skeleton *body, const motion_clip *clip, me_err *err);

#endif
