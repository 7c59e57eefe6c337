/* motion/skeleton.c: the 22 joints, a free mean body, forward kinematics and the fit of a body to
 * joint positions (spec bvh 3, 5).
 *
 * The pelvis rotation R_0 already maps the Y-up rest body into the z-up world, so offsets stay Y up
 * and no change of axes appears below. */
#include "motion/motion.h"

#include <stdlib.h>

#include "motion/mat3.h"

const int motion_parents[MOTION_JOINTS] = {-1, 0, 0, 0, 1,  2,  3,  4,  5,  6,  7,
                                           8,  9, 9, 9, 12, 13, 14, 16, 17, 18, 19};

const char *const motion_joint_names[MOTION_JOINTS] = {
    "pelvis",     "left_hip",    "right_hip",    "spine1",     "left_knee",     "right_knee",
    "spine2",     "left_ankle",  "right_ankle",  "spine3",     "left_foot",     "right_foot",
    "neck",       "left_collar", "right_collar", "head",       "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist",   "right_wrist"};

const int motion_mirror_joint[MOTION_JOINTS] = {0,  2,  1,  3,  5,  4,  6,  8,  7,  9,  11,
                                                10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20};

const motion_skeleton motion_mean_body = {{
    {0, 0, 0},
    {0.09064, -0.09959, 0.04101},
    {-0.09064, -0.09959, 0.04101},
    {0, 0, 0},
    {0, -0.40138, 0},
    {0, -0.40138, 0},
    {0, 0.11689, -0.01196},
    {0, -0.43209, 0},
    {0, -0.43209, 0},
    {0, 0.11734, -0.00116},
    {0, -0.03122, 0.11689},
    {0, -0.03122, 0.11689},
    {0, 0.11889, 0.00457},
    {0, 0.11889, 0.00457},
    {0, 0.11889, 0.00457},
    {0, 0.19141, -0.00499},
    {0.18461, 0.06107, -0.01206},
    {-0.18461, 0.06107, -0.01206},
    {0.29874, 0, 0},
    {-0.29874, 0, 0},
    {0.28261, 0, 0},
    {-0.28261, 0, 0},
}};

/* Global rotations of all joints of one frame. */
static void global_rotations(double g[MOTION_JOINTS][9], const float *row)
{
    for (int j = 0; j < MOTION_JOINTS; j++) {
        motion_mat3_from_6d(g[j], row + 3 + 6 * j);
        if (j > 0) motion_mat3_mul(g[j], g[motion_parents[j]], g[j]);
    }
}

void motion_forward_kinematics(const motion_skeleton *body, const float *pose, int64_t frames,
                               float *joints)
{
    for (int64_t t = 0; t < frames; t++) {
        const float *row = pose + t * MOTION_POSE;
        double g[MOTION_JOINTS][9], p[MOTION_JOINTS][3];
        global_rotations(g, row);
        for (int j = 0; j < MOTION_JOINTS; j++) {
            int parent = motion_parents[j];
            double v[3] = {0};
            if (parent >= 0) motion_mat3_apply(v, g[parent], body->offset[j]);
            for (int i = 0; i < 3; i++) {
                p[j][i] = parent >= 0 ? p[parent][i] + v[i] : (double)row[i];
                joints[(t * MOTION_JOINTS + j) * 3 + i] = (float)p[j][i];
            }
        }
    }
}

me_code motion_clip_joints(const float **joints, float **made, const motion_clip *clip,
                           const motion_skeleton *body, me_err *err)
{
    *made = NULL;
    *joints = clip->joints;
    if (clip->joints) return ME_OK;
    *made = malloc((size_t)clip->frames * MOTION_JOINTS * 3 * sizeof **made);
    if (!*made) return me_fail_mem(err, "joint positions");
    motion_forward_kinematics(body, clip->pose, clip->frames, *made);
    *joints = *made;
    return ME_OK;
}

/* With G a rotation, the offset that minimises the sum of |p_j - p_parent - G o|^2 is the mean of
 * G^T (p_j - p_parent); what is left is the mean of |d|^2 minus |o|^2. */
me_code motion_skeleton_fit(motion_skeleton *out, const motion_clip *clips, int64_t n,
                            double *residual_mm, me_err *err)
{
    double sum[MOTION_JOINTS][3] = {{0}}, square[MOTION_JOINTS] = {0};
    int64_t frames = 0;
    for (int64_t c = 0; c < n; c++) {
        if (!clips[c].joints) continue;
        for (int64_t t = 0; t < clips[c].frames; t++) {
            const float *p = clips[c].joints + t * MOTION_JOINTS * 3;
            double g[MOTION_JOINTS][9];
            global_rotations(g, clips[c].pose + t * MOTION_POSE);
            for (int j = 1; j < MOTION_JOINTS; j++) {
                int parent = motion_parents[j];
                double d[3];
                for (int i = 0; i < 3; i++) d[i] = (double)p[3 * j + i] - (double)p[3 * parent + i];
                motion_mat3_tapply(d, g[parent], d);
                for (int i = 0; i < 3; i++) sum[j][i] += d[i], square[j] += d[i] * d[i];
            }
        }
        frames += clips[c].frames;
    }
    if (frames == 0)
        return me_fail(err, ME_EDATA, "a body cannot be fitted: no clip carries joint positions");
    double left = 0;
    memset(out, 0, sizeof *out);
    for (int j = 1; j < MOTION_JOINTS; j++) {
        double length2 = 0;
        for (int i = 0; i < 3; i++) {
            out->offset[j][i] = sum[j][i] / (double)frames;
            length2 += out->offset[j][i] * out->offset[j][i];
        }
        left += fmax(square[j] / (double)frames - length2, 0);
    }
    if (residual_mm) *residual_mm = 1000 * sqrt(left / (MOTION_JOINTS - 1));
    return ME_OK;
}
