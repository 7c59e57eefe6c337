/* motion/rig.c: the skeletons that we know by the names of their joints (spec bvh 3, 7). To add
 * one, add a row to `rigs`. */
#include "motion/rig_priv.h"

#include <string.h>
#include <strings.h>

/* "A|B": the first of these names that the file has. */
typedef struct source {
    const char *turn;  /* gives the rotation */
    const char *place; /* gives the position; NULL: as turn */
    const char *from;  /* the rotation is halfway from this joint's to turn's */
} source;

typedef struct rig {
    const char *name;
    double metres;
    bool cmu_legs;
    source joint[MOTION_JOINTS];
} rig;

static const rig rigs[] = {
    /* CMU's own bones. Its hand joint only twists: the elbow bends in LeftForeArm, whose position
     * it has, but flexion and twist together are LeftHand's; the wrist is LeftFingerBase. */
    {"cmu",
     0.0254 / 0.45,
     true,
     {{"Hips", 0, 0},
      {"LeftUpLeg", 0, 0},
      {"RightUpLeg", 0, 0},
      {"LowerBack", 0, 0},
      {"LeftLeg", 0, 0},
      {"RightLeg", 0, 0},
      {"Spine", 0, 0},
      {"LeftFoot", 0, 0},
      {"RightFoot", 0, 0},
      {"Spine1", 0, 0},
      {"LeftToeBase", 0, 0},
      {"RightToeBase", 0, 0},
      {"Neck1", "Neck", "Neck"},
      {"LeftShoulder", 0, 0},
      {"RightShoulder", 0, 0},
      {"Head", 0, 0},
      {"LeftArm", 0, 0},
      {"RightArm", 0, 0},
      {"LeftHand", "LeftForeArm", 0},
      {"RightHand", "RightForeArm", 0},
      {"LeftFingerBase", 0, 0},
      {"RightFingerBase", 0, 0}}},
    /* Three spine bones, arms and legs as MotionBuilder and Mixamo name them. */
    {"motionbuilder",
     0,
     false,
     {{"Hips", 0, 0},
      {"LeftUpLeg", 0, 0},
      {"RightUpLeg", 0, 0},
      {"Spine", 0, 0},
      {"LeftLeg", 0, 0},
      {"RightLeg", 0, 0},
      {"Spine1|Spine", 0, 0},
      {"LeftFoot", 0, 0},
      {"RightFoot", 0, 0},
      {"Spine2|Spine3|Spine1", 0, 0},
      {"LeftToeBase|LeftToe|LeftFoot", 0, 0},
      {"RightToeBase|RightToe|RightFoot", 0, 0},
      {"Neck", 0, 0},
      {"LeftShoulder", 0, 0},
      {"RightShoulder", 0, 0},
      {"Head", 0, 0},
      {"LeftArm", 0, 0},
      {"RightArm", 0, 0},
      {"LeftForeArm", 0, 0},
      {"RightForeArm", 0, 0},
      {"LeftHand", 0, 0},
      {"RightHand", 0, 0}}},
    /* Two spine bones: spine1 and spine2 share the lower one, half each. */
    {"3dsmax",
     0,
     false,
     {{"Hips", 0, 0},
      {"LeftHip", 0, 0},
      {"RightHip", 0, 0},
      {"Ab|Abdomen|Chest", 0, "Hips"},
      {"LeftKnee", 0, 0},
      {"RightKnee", 0, 0},
      {"Ab|Abdomen|Chest", 0, 0},
      {"LeftAnkle", 0, 0},
      {"RightAnkle", 0, 0},
      {"Chest4|Chest3|Chest2|Chest", 0, 0},
      {"LeftToe|LeftToes|LeftAnkle", 0, 0},
      {"RightToe|RightToes|RightAnkle", 0, 0},
      {"Neck", 0, 0},
      {"LeftCollar", 0, 0},
      {"RightCollar", 0, 0},
      {"Head", 0, 0},
      {"LeftShoulder", 0, 0},
      {"RightShoulder", 0, 0},
      {"LeftElbow", 0, 0},
      {"RightElbow", 0, 0},
      {"LeftWrist", 0, 0},
      {"RightWrist", 0, 0}}},
    /* Daz and Poser: no toe; the end of the foot stands for it. */
    {"daz", 0, false, {{"hip", 0, 0},         {"lThigh", 0, 0},     {"rThigh", 0, 0},
                       {"abdomen", 0, "hip"}, {"lShin", 0, 0},      {"rShin", 0, 0},
                       {"abdomen", 0, 0},     {"lFoot", 0, 0},      {"rFoot", 0, 0},
                       {"chest", 0, 0},       {"lToe|lFoot", 0, 0}, {"rToe|rFoot", 0, 0},
                       {"neck", 0, 0},        {"lCollar", 0, 0},    {"rCollar", 0, 0},
                       {"head", 0, 0},        {"lShldr", 0, 0},     {"rShldr", 0, 0},
                       {"lForeArm", 0, 0},    {"rForeArm", 0, 0},   {"lHand", 0, 0},
                       {"rHand", 0, 0}}},
};

/* "mixamorig:Hips" is Hips. */
static const char *bare_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static int find_one(const motion_bvh *bvh, const char *name, size_t length)
{
    for (int i = 0; i < bvh->joints; i++) {
        const char *bare = bare_name(bvh->joint[i].name);
        if (!bvh->joint[i].end_site && strlen(bare) == length && !strncasecmp(bare, name, length))
            return i;
    }
    return -1;
}

static int find_joint(const motion_bvh *bvh, const char *names)
{
    for (const char *s = names;;) {
        const char *bar = strchr(s, '|');
        int found = find_one(bvh, s, bar ? (size_t)(bar - s) : strlen(s));
        if (found >= 0 || !bar) return found;
        s = bar + 1;
    }
}

/* The number of joints that `r` lacks; *lacks is the first. */
static int resolve(motion_rig_map *out, const rig *r, const motion_bvh *bvh, const char **lacks)
{
    int missing = 0;
    *out = (motion_rig_map){.rig = r->name, .metres = r->metres, .cmu_legs = r->cmu_legs};
    for (int j = 0; j < MOTION_JOINTS; j++) {
        const source *s = &r->joint[j];
        out->turn[j] = find_joint(bvh, s->turn);
        out->place[j] = s->place ? find_joint(bvh, s->place) : out->turn[j];
        out->from[j] = s->from ? find_joint(bvh, s->from) : -1;
        if ((out->turn[j] < 0 || out->place[j] < 0 || (s->from && out->from[j] < 0)) && !missing++)
            *lacks = s->turn;
    }
    /* Without a toe joint the foot's rotation serves twice, and its end site is where the toes are.
     */
    for (int side = 10; !missing && side <= 11; side++)
        for (int i = 0; out->turn[side] == out->turn[side - 3] && i < bvh->joints; i++)
            if (bvh->joint[i].end_site && bvh->joint[i].parent == out->turn[side])
                out->place[side] = i;
    return missing;
}

/* The body that motion_bvh_write writes: our own names, in metres. */
static rig own_rig(void)
{
    rig own = {.name = "smpl", .metres = 1};
    for (int j = 0; j < MOTION_JOINTS; j++)
        own.joint[j] = (source){motion_joint_names[j], NULL, NULL};
    return own;
}

bool motion_rig_find(motion_rig_map *out, const motion_bvh *bvh)
{
    const char *lacks;
    const rig own = own_rig();
    if (resolve(out, &own, bvh, &lacks) == 0) return true;
    for (size_t i = 0; i < sizeof rigs / sizeof *rigs; i++)
        if (resolve(out, &rigs[i], bvh, &lacks) == 0) return true;
    return false;
}

void motion_rig_nearest(const char **name, const char **lacks, const motion_bvh *bvh)
{
    int least = MOTION_JOINTS + 1;
    for (size_t i = 0; i < sizeof rigs / sizeof *rigs; i++) {
        motion_rig_map map;
        const char *first = "";
        int missing = resolve(&map, &rigs[i], bvh, &first);
        if (missing < least) {
            least = missing;
            *name = rigs[i].name;
            *lacks = first;
        }
    }
}
