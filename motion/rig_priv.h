/* motion/rig_priv.h: which joint of a BVH stands for which of the 22 (spec bvh 3, 7). */
#ifndef MOTION_RIG_PRIV_H
#define MOTION_RIG_PRIV_H

#include "motion/bvh.h"

typedef struct motion_rig_map {
    const char *rig;
    double metres;            /* of one unit; 0: not known by the rig */
    bool cmu_legs;            /* legs spread by exactly 20 degrees at rest */
    int turn[MOTION_JOINTS];  /* BVH joint whose global rotation the SMPL joint takes … */
    int from[MOTION_JOINTS];  /* … or, if not -1, half of the way from this one's */
    int place[MOTION_JOINTS]; /* BVH joint that stands at its position */
} motion_rig_map;

/* Fills the map of the first rig whose joints are all there; false when there is none. */
bool motion_rig_find(motion_rig_map *out, const motion_bvh *bvh);
/* For the message: the rig that lacks least, and the first joint that it lacks. */
void motion_rig_nearest(const char **rig, const char **lacks, const motion_bvh *bvh);

#endif
