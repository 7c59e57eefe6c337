/* motion/bvh_write.c: a clip as a BVH of the 22 joints (Y up, metres, channels Z Y X), which
 * motion_bvh_open reads back as rig "smpl". */
#include <math.h>

#include "motion/bvh.h"
#include "motion/mat3.h"

/* Angles z, y, x of R = Rz Ry Rx, degrees. */
static void euler_zyx(double out[3], const double r[9])
{
    double flat = hypot(r[0], r[3]);
    out[1] = atan2(-r[6], flat);
    if (flat > 1e-9) {
        out[0] = atan2(r[3], r[0]);
        out[2] = atan2(r[7], r[8]);
    } else { /* only z - x, or z + x, is determined */
        out[0] = atan2(-r[1], r[4]);
        out[2] = 0;
    }
    for (int i = 0; i < 3; i++) out[i] *= 180 / MOTION_PI;
}

/* Writes a joint and those below it; `order` collects the joints as their channels follow each
 * other. */
static void write_joint(me_writer *w, const motion_skeleton *body, int joint, int depth, int *order,
                        int *n)
{
    int tabs = 2 * depth, children = 0;
    const double *o = body->offset[joint];
    order[(*n)++] = joint;
    me_writer_printf(w, "%*s%s %s\n%*s{\n", tabs, "", depth ? "JOINT" : "ROOT",
                     motion_joint_names[joint], tabs, "");
    me_writer_printf(
        w, "%*s  OFFSET %.8f %.8f %.8f\n%*s  CHANNELS %sZrotation Yrotation Xrotation\n", tabs, "",
        o[0], o[1], o[2], tabs, "", depth ? "3 " : "6 Xposition Yposition Zposition ");
    for (int j = joint + 1; j < MOTION_JOINTS; j++)
        if (motion_parents[j] == joint) {
            write_joint(w, body, j, depth + 1, order, n);
            children++;
        }
    if (!children)
        me_writer_printf(w, "%*s  End Site\n%*s  {\n%*s    OFFSET 0 0 0\n%*s  }\n", tabs, "", tabs,
                         "", tabs, "", tabs, "");
    me_writer_printf(w, "%*s}\n", tabs, "");
}

static void write_frame(me_writer *w, const float *row, const int *order)
{
    /* To Y up: Q^T = Rx(-90), (x, y, z) -> (x, z, -y). */
    static const double q[9] = {1, 0, 0, 0, 0, -1, 0, 1, 0};
    double p[3] = {(double)row[0], (double)row[1], (double)row[2]};
    motion_mat3_tapply(p, q, p);
    me_writer_printf(w, "%.8f %.8f %.8f", p[0], p[1], p[2]);
    for (int i = 0; i < MOTION_JOINTS; i++) {
        double r[9], angles[3];
        motion_mat3_from_6d(r, row + 3 + 6 * order[i]);
        if (order[i] == 0) motion_mat3_tmul(r, q, r);
        euler_zyx(angles, r);
        me_writer_printf(w, " %.7f %.7f %.7f", angles[0], angles[1], angles[2]);
    }
    me_writer_put(w, "\n", 1);
}

me_code motion_bvh_write(const char *path, const motion_skeleton *body, const motion_clip *clip,
                         me_err *err)
{
    me_writer w;
    int order[MOTION_JOINTS], n = 0;
    if (clip->frames == 0)
        return me_fail(err, ME_EDATA, "%s: a motion of zero frames cannot be a BVH", path);
    me_code code = me_writer_open(&w, path, err);
    if (code) return code;
    me_writer_printf(&w, "HIERARCHY\n");
    write_joint(&w, body, 0, 0, order, &n);
    me_writer_printf(&w, "MOTION\nFrames: %lld\nFrame Time: %.10f\n", (long long)clip->frames,
                     1.0 / MOTION_FPS);
    for (int64_t t = 0; t < clip->frames; t++) write_frame(&w, clip->pose + t * MOTION_POSE, order);
    return me_writer_commit(&w, err);
}
