/* motion/retarget.c: from a BVH's skeleton to the 22 joints (spec bvh 3, 4).
 *
 * Per frame, with G_b the BVH's global rotations and Q the change of world axes:
 *     S_j = Q G_b(j) A_j,   R_j = S_parent^T S_j,   p_j = metres Q P_b(j)
 * A_j says how the file's rest pose differs from SMPL's. Everything is in double until the clip's
 * floats. */
#include <math.h>
#include <stdlib.h>

#include "motion/fields_priv.h"
#include "motion/mat3.h"
#include "motion/rig_priv.h"

enum {
    L_HIP = 1,
    R_HIP,
    L_KNEE = 4,
    R_KNEE,
    L_ANKLE = 7,
    R_ANKLE,
    NECK = 12,
    L_ARM = 16,
    R_ARM,
    L_ELBOW,
    R_ELBOW
};

/* Everything about a file that does not change from frame to frame. */
typedef struct retarget {
    const motion_bvh *bvh;
    motion_rig_map map;
    double axes[9];                 /* file axes -> left, up, forward */
    double align[MOTION_JOINTS][9]; /* A_j */
    double world[9];                /* Q */
    double metres;
    double (*turn)[9];  /* scratch: global rotations of the file's joints */
    double (*place)[3]; /* scratch: their positions */
} retarget;

/* One frame of the 22 joints: local rotations and positions. */
typedef struct posture {
    double local[MOTION_JOINTS][9], place[MOTION_JOINTS][3];
} posture;

/* Forward kinematics of the file's own skeleton. `values` NULL: the rest pose. */
static void solve_file(retarget *r, const double *values)
{
    for (int i = 0; i < r->bvh->joints; i++) {
        const motion_bvh_joint *j = &r->bvh->joint[i];
        double local[9], one[9], shift[3] = {j->offset[0], j->offset[1], j->offset[2]};
        motion_mat3_identity(local);
        for (int c = 0; values && c < j->channels; c++) {
            double v = values[j->first_channel + c];
            if (j->channel[c] < 3) {
                /* The root's position adds to its OFFSET; a joint's position replaces it. */
                int axis = j->channel[c];
                shift[axis] = i == 0 ? shift[axis] + v : v;
            } else {
                motion_mat3_axis(one, j->channel[c] - 3, v * (MOTION_PI / 180));
                motion_mat3_mul(local, local, one);
            }
        }
        if (j->parent < 0) {
            memcpy(r->turn[i], local, sizeof local);
            memcpy(r->place[i], shift, sizeof shift);
        } else {
            motion_mat3_mul(r->turn[i], r->turn[j->parent], local);
            motion_mat3_apply(shift, r->turn[j->parent], shift);
            for (int k = 0; k < 3; k++) r->place[i][k] = r->place[j->parent][k] + shift[k];
        }
    }
}

/* After solve_file(r, NULL): the way at rest from one of the 22 joints to another, in our axes. */
static void rest_way(const retarget *r, int from, int to, double out[3])
{
    const double *a = r->place[r->map.place[from]], *b = r->place[r->map.place[to]];
    for (int k = 0; k < 3; k++) out[k] = b[k] - a[k];
    motion_mat3_apply(out, r->axes, out);
}

static double length(const double v[3])
{
    return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

static int longest_axis(const double v[3])
{
    int k = fabs(v[1]) > fabs(v[0]) ? 1 : 0;
    return fabs(v[2]) > fabs(v[k]) ? 2 : k;
}

/* Which axes of the file are left and up, from its rest pose: most files have +X and +Y as we do,
 * some exporters make Z up. Where the rest pose does not tell, the file's axes are taken as ours.
 */
static void find_axes(retarget *r)
{
    double up[3], left[3];
    motion_mat3_identity(r->axes);
    rest_way(r, L_HIP, NECK, up);
    double other[3];
    rest_way(r, R_HIP, NECK, other);
    for (int k = 0; k < 3; k++) up[k] += other[k];
    rest_way(r, R_HIP, L_HIP, left);
    int u = longest_axis(up), l = longest_axis(left);
    if (u == l || up[u] == 0 || left[l] == 0) return;
    double axes[9] = {0};
    axes[l] = left[l] > 0 ? 1 : -1;
    axes[3 + u] = up[u] > 0 ? 1 : -1;
    for (int k = 0; k < 3; k++) { /* forward = left x up */
        int a = (k + 1) % 3, b = (k + 2) % 3;
        axes[6 + k] = axes[a] * axes[3 + b] - axes[b] * axes[3 + a];
    }
    memcpy(r->axes, axes, sizeof axes);
}

/* The rest alignment of limbs: the shortest rotation from SMPL's direction to the file's. */
static void find_alignment(retarget *r, bool from_rest)
{
    static const double down[3] = {0, -1, 0}, left[3] = {1, 0, 0}, right[3] = {-1, 0, 0};
    static const struct {
        int first, second;
        const double *smpl;
        double cmu_degrees;
        int joints[4];
    } limbs[4] = {{L_HIP, L_KNEE, down, 20, {1, 4, 7, 10}},
                  {R_HIP, R_KNEE, down, -20, {2, 5, 8, 11}},
                  {L_ARM, L_ELBOW, left, 0, {16, 18, 20, 20}},
                  {R_ARM, R_ELBOW, right, 0, {17, 19, 21, 21}}};
    for (int j = 0; j < MOTION_JOINTS; j++) motion_mat3_identity(r->align[j]);
    if (!strcmp(r->map.rig, "smpl"))
        return; /* its rest pose is SMPL's, whatever the body's proportions */
    for (int i = 0; i < 4; i++) {
        double way[3], a[9], constant[9], difference[9];
        rest_way(r, limbs[i].first, limbs[i].second, way);
        motion_mat3_between(a, limbs[i].smpl, way);
        if (r->map.cmu_legs && !from_rest) {
            /* OFFSETs have few decimals: where they mean CMU's 20 degrees, say exactly that. */
            motion_mat3_axis(constant, 2, limbs[i].cmu_degrees * (MOTION_PI / 180));
            motion_mat3_tmul(difference, constant, a);
            if (motion_mat3_angle(difference) < 2e-3) memcpy(a, constant, sizeof a);
        }
        for (int k = 0; k < 4; k++) memcpy(r->align[limbs[i].joints[k]], a, sizeof a);
    }
}

/* The unit that makes the legs most like a person's, of those in use. */
static double guess_metres(const retarget *r)
{
    static const double units[] = {1, 0.01, 0.0254 / 0.45, 0.0254, 0.001, 0.1};
    double thigh[3], shin[3], best = 1, least = INFINITY;
    rest_way(r, L_HIP, L_KNEE, thigh);
    rest_way(r, L_KNEE, L_ANKLE, shin);
    double legs = length(thigh) + length(shin);
    double person = -(motion_mean_body.offset[L_KNEE][1] + motion_mean_body.offset[L_ANKLE][1]);
    for (size_t i = 0; legs > 0 && i < sizeof units / sizeof *units; i++) {
        double off = fabs(log(units[i] * legs / person));
        if (off < least) least = off, best = units[i];
    }
    return best;
}

static me_code prepare(retarget *r, const motion_bvh *bvh, const motion_retarget_options *options,
                       me_err *err)
{
    *r = (retarget){.bvh = bvh};
    if (!motion_rig_find(&r->map, bvh)) {
        const char *rig = "", *lacks = "";
        motion_rig_nearest(&rig, &lacks, bvh);
        return me_fail(err, ME_EDATA,
                       "the skeleton is not one of cmu, motionbuilder, 3dsmax, daz or our own "
                       "(nearest: %s, which "
                       "needs a joint %s)",
                       rig, lacks);
    }
    r->turn = calloc((size_t)bvh->joints, sizeof *r->turn);
    r->place = calloc((size_t)bvh->joints, sizeof *r->place);
    if (!r->turn || !r->place) return me_fail_mem(err, "a skeleton");
    motion_mat3_identity(r->axes);
    solve_file(r, NULL);
    find_axes(r);
    find_alignment(r, options->rest_alignment);
    r->metres = options->scale > 0  ? options->scale
                : r->map.metres > 0 ? r->map.metres
                                    : guess_metres(r);
    motion_mat3_identity(r->world);
    if (!options->y_up) { /* Rx(90), without the rounding of cos(pi/2) */
        const double q[9] = {1, 0, 0, 0, 0, -1, 0, 1, 0};
        memcpy(r->world, q, sizeof q);
    }
    return ME_OK;
}

static void finish(retarget *r)
{
    free(r->turn);
    free(r->place);
}

static void solve_body(retarget *r, posture *out, int64_t frame)
{
    double s[MOTION_JOINTS][9], q[9];
    solve_file(r, r->bvh->values + frame * r->bvh->channels);
    motion_mat3_mul(q, r->world, r->axes);
    for (int j = 0; j < MOTION_JOINTS; j++) {
        double g[9];
        memcpy(g, r->turn[r->map.turn[j]], sizeof g);
        if (r->map.from[j] >= 0) motion_mat3_slerp(g, r->turn[r->map.from[j]], g, 0.5);
        /* S = Q (C G C^T) A, C being the change from the file's axes to left, up, forward. */
        motion_mat3_mul(s[j], q, g);
        double back[9];
        motion_mat3_tmul(back, r->axes, r->align[j]);
        motion_mat3_mul(s[j], s[j], back);
        if (j == 0)
            memcpy(out->local[0], s[0], sizeof s[0]);
        else
            motion_mat3_tmul(out->local[j], s[motion_parents[j]], s[j]);
        motion_mat3_apply(out->place[j], q, r->place[r->map.place[j]]);
        for (int k = 0; k < 3; k++) out->place[j][k] *= r->metres;
    }
}

static void blend(posture *out, const posture *next, double t)
{
    for (int j = 0; j < MOTION_JOINTS; j++) {
        motion_mat3_slerp(out->local[j], out->local[j], next->local[j], t);
        for (int k = 0; k < 3; k++) out->place[j][k] += t * (next->place[j][k] - out->place[j][k]);
    }
}

static void store(motion_clip *clip, int64_t t, const posture *p)
{
    float *row = clip->pose + t * MOTION_POSE, *joints = clip->joints + t * MOTION_JOINTS * 3;
    for (int k = 0; k < 3; k++) row[k] = (float)p->place[0][k];
    for (int j = 0; j < MOTION_JOINTS; j++) {
        motion_mat3_to_6d(row + 3 + 6 * j, p->local[j]);
        for (int k = 0; k < 3; k++) joints[3 * j + k] = (float)p->place[j][k];
    }
}

/* ---- the T-pose that some conversions put first -------------------------------------------------
 */

/* The largest turn of any joint of the body between two frames, degrees. */
static double jump(retarget *r, int64_t a, int64_t b)
{
    posture pa, pb;
    double most = 0;
    solve_body(r, &pa, a);
    solve_body(r, &pb, b);
    for (int j = 0; j < MOTION_JOINTS; j++) {
        double d[9];
        motion_mat3_tmul(d, pa.local[j], pb.local[j]);
        most = fmax(most, motion_mat3_angle(d) * (180 / MOTION_PI));
    }
    return most;
}

/* A T-pose put first has nearly all its rotations 0, unlike the frame after it, and the body jumps
 * from it as it does not jump afterwards. */
static bool t_pose_first(retarget *r)
{
    const motion_bvh *b = r->bvh;
    int alive = 0, zero = 0;
    if (b->frames < 3) return false;
    for (int i = 0; i < b->joints; i++)
        for (int c = 0; c < b->joint[i].channels; c++) {
            const double *v = b->values + b->joint[i].first_channel + c;
            if (b->joint[i].channel[c] < 3 || fabs(v[b->channels]) < 1e-3) continue;
            alive++;
            zero += fabs(v[0]) < 1e-3;
        }
    if (alive < 6 || 10 * zero < 6 * alive) return false;
    double first = jump(r, 0, 1);
    return first > 10 && first > 4 * jump(r, 1, 2);
}

bool motion_bvh_t_pose_first(const motion_bvh *bvh)
{
    retarget r;
    const motion_retarget_options options = {0};
    bool found = !prepare(&r, bvh, &options, NULL) && t_pose_first(&r);
    finish(&r);
    return found;
}

/* ---- the clip ----------------------------------------------------------------------------------
 */

/* How to get from the file's rate to ours: every step-th frame, or (step 0) in between. */
static int64_t whole_step(double frame_time, double fps)
{
    double rate = round(1 / frame_time), ratio = rate / fps;
    /* Frame Time has few decimals (0.033 is 30 frames a second). */
    bool same = fabs(1 / frame_time - rate) < 0.02 * rate;
    return same && ratio >= 1 && ratio == floor(ratio) ? (int64_t)ratio : 0;
}

static me_code resample(motion_clip *clip, me_arena *arena, retarget *r, int64_t first, double fps,
                        me_err *err)
{
    const motion_bvh *b = r->bvh;
    int64_t n = b->frames - first, step = whole_step(b->frame_time, fps);
    double span = (double)(n - 1) * b->frame_time;
    int64_t frames = step ? (n - 1) / step + 1 : (int64_t)floor(span * fps + 1e-6) + 1;
    me_code code = motion_clip_new(clip, arena, frames, true, err);
    for (int64_t t = 0; t < frames && !code; t++) {
        posture p, next;
        double at = step ? (double)(t * step) : (double)t / (fps * b->frame_time);
        int64_t frame = (int64_t)floor(at + 1e-9);
        if (frame > n - 1) frame = n - 1;
        solve_body(r, &p, first + frame);
        if (at - (double)frame > 1e-6 && frame + 1 < n) {
            solve_body(r, &next, first + frame + 1);
            blend(&p, &next, at - (double)frame);
        }
        store(clip, t, &p);
    }
    return code;
}

/* Numbers that a double holds may still be too large for a float, or for their sums. */
static me_code check_finite(const motion_clip *clip, me_err *err)
{
    int64_t bad = motion_first_bad_row(clip->pose, clip->frames, MOTION_POSE);
    if (bad < 0) bad = motion_first_bad_row(clip->joints, clip->frames, 3 * MOTION_JOINTS);
    if (bad < 0) return ME_OK;
    return me_fail(err, ME_EDATA, "frame %lld is out of any scale", (long long)bad);
}

me_code motion_bvh_to_clip(motion_clip *clip, me_arena *arena, const motion_bvh *bvh,
                           const motion_retarget_options *options, me_err *err)
{
    static const motion_retarget_options usual = {.drop_first = -1};
    retarget r;
    if (!options) options = &usual;
    double fps = options->fps > 0 ? options->fps : MOTION_FPS;
    if (!(fps <= 1000)) return me_fail(err, ME_EUSAGE, "%g frames a second are too many", fps);
    me_code code = prepare(&r, bvh, options, err);
    if (!code) {
        int64_t first = options->drop_first < 0 ? t_pose_first(&r) : options->drop_first;
        if (first >= bvh->frames)
            code = me_fail(err, ME_EDATA, "%lld of %lld frames are to be dropped: none is left",
                           (long long)first, (long long)bvh->frames);
        else
            code = resample(clip, arena, &r, first, fps, err);
    }
    if (!code) code = check_finite(clip, err);
    finish(&r);
    return code;
}
