/* motion/motion_synth_body.c: from controls to a pose: two-bone inverse kinematics of the legs on
 * the mean body, arms and spine from their angles, and the height of the pelvis that lets planted
 * feet stay where they are. */
#include "motion/edits.h"
#include "motion/synth_priv.h"

#define LEG (SYNTH_THIGH + SYNTH_SHIN)

/* Gaussian filter in time; the ends are continued by their own values. */
void motion_synth_smooth(double *values, int64_t n, int64_t stride, double sigma)
{
    enum { MOST = 16 };
    double kernel[2 * MOST + 1], copy[SYNTH_MAX_FRAMES], sum = 0;
    int radius = (int)synth_clamp(ceil(3 * sigma), 1, MOST);
    for (int k = -radius; k <= radius; k++)
        sum += kernel[k + radius] = exp(-0.5 * k * k / (sigma * sigma));
    for (int64_t i = 0; i < n; i++) copy[i] = values[i * stride];
    for (int64_t i = 0; i < n; i++) {
        double v = 0;
        for (int k = -radius; k <= radius; k++) {
            int64_t at = i + k;
            v += kernel[k + radius] * copy[at < 0 ? 0 : at >= n ? n - 1 : at];
        }
        values[i * stride] = v / sum;
    }
}

/* Ry(yaw) Rx(pitch) Rz(-roll): pitch forward, roll and yaw to the left. */
static void turned(double r[9], double yaw, double pitch, double roll)
{
    double a[9];
    motion_mat3_axis(r, 1, yaw);
    motion_mat3_axis(a, 0, pitch);
    motion_mat3_mul(r, r, a);
    motion_mat3_axis(a, 2, -roll);
    motion_mat3_mul(r, r, a);
}

static void hip_from_root(double out[3], const synth_frame *f, int side)
{
    double g[9];
    turned(g, f->yaw, f->pelvis_pitch, f->pelvis_roll);
    motion_mat3_apply(out, g, motion_mean_body.offset[1 + side]);
}

/* Lowers the pelvis where a planted foot would be out of reach: the least correction, spread in
 * time. */
static void settle_height(synth_frame *frames, int64_t n)
{
    double need[SYNTH_MAX_FRAMES], low[SYNTH_MAX_FRAMES];
    const double reach = 0.9955 * LEG;
    for (int64_t i = 0; i < n; i++) {
        need[i] = 0;
        for (int side = 0; side < 2; side++) {
            const synth_leg *leg = &frames[i].leg[side];
            if (!(leg->on_floor > 0)) continue;
            double hip[3];
            hip_from_root(hip, &frames[i], side);
            double dx = frames[i].root[0] + hip[0] - leg->target[0],
                   dz = frames[i].root[2] + hip[2] - leg->target[2];
            double most = leg->target[1] + sqrt(fmax(0.01, reach * reach - dx * dx - dz * dz));
            need[i] = fmin(need[i], most - (frames[i].root[1] + hip[1]));
        }
    }
    for (int64_t i = 0; i < n; i++) {
        low[i] = 0;
        for (int64_t k = i - 3; k <= i + 3; k++)
            if (k >= 0 && k < n) low[i] = fmin(low[i], need[k]);
    }
    motion_synth_smooth(low, n, 1, 1.6);
    for (int64_t i = 0; i < n; i++) frames[i].root[1] += low[i];
}

/* The angle of a leg's shin about the foot's own left axis, seen from straight down. */
static double shin_pitch(const double shin[9], double yaw)
{
    double down[3] = {-shin[1], -shin[4], -shin[7]};
    double ahead = down[0] * sin(yaw) + down[2] * cos(yaw);
    return atan2(-ahead, -down[1]);
}

/* Global rotations of hip, knee, ankle and toes of one leg. */
static void solve_leg(double g[MOTION_JOINTS][9], const synth_frame *f, int side)
{
    const synth_leg *leg = &f->leg[side];
    double d[3], hip[3];
    motion_mat3_apply(hip, g[0], motion_mean_body.offset[1 + side]);
    for (int i = 0; i < 3; i++) d[i] = leg->target[i] - f->root[i] - hip[i];
    double dist = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    double reach = synth_clamp(dist, 0.28, 0.998 * LEG);
    for (int i = 0; i < 3; i++) d[i] /= dist;
    double a = SYNTH_THIGH, b = SYNTH_SHIN;
    double at_hip = acos(synth_clamp((a * a + reach * reach - b * b) / (2 * a * reach), -1, 1));
    double knee =
        MOTION_PI - acos(synth_clamp((a * a + b * b - reach * reach) / (2 * a * b), -1, 1));

    /* The hinge of the knee points left of where pelvis and foot face, square to the leg. */
    double yaw = 0.5 * (f->yaw + leg->yaw), x[3] = {cos(yaw), 0, -sin(yaw)};
    double along = x[0] * d[0] + x[1] * d[1] + x[2] * d[2], norm = 0;
    for (int i = 0; i < 3; i++) x[i] -= along * d[i], norm += x[i] * x[i];
    norm = sqrt(fmax(norm, 1e-12));
    for (int i = 0; i < 3; i++) x[i] /= norm;
    double aa[3] = {-at_hip * x[0], -at_hip * x[1], -at_hip * x[2]}, turn[9], thigh[3];
    motion_mat3_from_aa(turn, aa);
    motion_mat3_apply(thigh, turn, d);
    double y[3] = {-thigh[0], -thigh[1], -thigh[2]};
    double z[3] = {x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]};
    double *hip_g = g[1 + side], *knee_g = g[4 + side], *ankle_g = g[7 + side],
           *toe_g = g[10 + side];
    for (int i = 0; i < 3; i++)
        hip_g[3 * i] = x[i], hip_g[3 * i + 1] = y[i], hip_g[3 * i + 2] = z[i];
    motion_mat3_axis(turn, 0, knee);
    motion_mat3_mul(knee_g, hip_g, turn);

    double pitch = leg->pitch, shin = shin_pitch(knee_g, leg->yaw);
    if (!(leg->on_floor > 0))
        pitch = synth_clamp(pitch, shin - 30 * SYNTH_DEGREES, shin + 50 * SYNTH_DEGREES);
    /* A lifted foot follows the shin once its toes have room. */
    double follows = leg->free * synth_ease((leg->target[1] - SYNTH_ANKLE - 0.02) / 0.25);
    if (leg->free > 0) pitch *= 1 - leg->free;
    turned(ankle_g, leg->yaw, pitch, 0);
    if (follows > 0) {
        double follow[9];
        motion_mat3_axis(turn, 0, leg->point);
        motion_mat3_mul(follow, knee_g, turn);
        motion_mat3_slerp(ankle_g, ankle_g, follow, follows);
    }
    /* Toes stay flat on the floor while the heel rises. */
    motion_mat3_axis(turn, 0, leg->on_floor > 0 ? -synth_clamp(0.9 * pitch, 0, 0.9) : 0);
    motion_mat3_mul(toe_g, ankle_g, turn);
}

/* Global rotations of collar, shoulder, elbow and wrist of one arm; the right one is the left one's
 * mirror image in the chest's median plane. */
static void solve_arm(double g[MOTION_JOINTS][9], const synth_arm *arm, int side)
{
    double local[4][9], swing[9], turn[9], hang[9];
    double raised = sqrt(arm->flex * arm->flex + arm->abduct * arm->abduct);
    double aa[3] = {-arm->flex, 0, arm->abduct};
    motion_mat3_from_aa(swing, aa);
    double down[3] = {0, -1, 0}, axis[3];
    motion_mat3_apply(axis, swing, down);
    for (int i = 0; i < 3; i++) axis[i] *= arm->swivel;
    motion_mat3_from_aa(turn, axis);
    motion_mat3_axis(hang, 2, -MOTION_PI / 2);
    motion_mat3_mul(swing, swing, hang);
    motion_mat3_mul(swing, turn, swing); /* of the upper arm, in the chest */

    motion_mat3_axis(local[0], 2, 0.16 * fmax(0, raised - 0.7) - 0.04);
    motion_mat3_tmul(local[1], local[0], swing);
    motion_mat3_axis(local[2], 1, -synth_clamp(arm->elbow, 0, 2.55));
    motion_mat3_axis(turn, 0, arm->pronate);
    motion_mat3_mul(local[2], local[2], turn);
    motion_mat3_axis(local[3], 2, arm->wrist);
    static const int joints[4] = {13, 16, 18, 20};
    for (int k = 0; k < 4; k++) {
        if (side == SYNTH_RIGHT)
            for (int i = 1; i < 3; i++)
                local[k][i] = -local[k][i], local[k][3 * i] = -local[k][3 * i];
        int j = joints[k] + side;
        motion_mat3_mul(g[j], g[motion_parents[j]], local[k]);
    }
}

static void solve_frame(float *row, const synth_frame *f)
{
    double g[MOTION_JOINTS][9], part[9];
    turned(g[0], f->yaw, f->pelvis_pitch, f->pelvis_roll);
    turned(part, f->spine[2] / 3, f->spine[0] / 3, f->spine[1] / 3);
    for (int j = 3; j <= 9; j += 3) motion_mat3_mul(g[j], g[motion_parents[j]], part);
    turned(part, f->head[2] / 2, f->head[0] / 2, f->head[1] / 2);
    motion_mat3_mul(g[12], g[9], part);
    motion_mat3_mul(g[15], g[12], part);
    for (int side = 0; side < 2; side++) {
        solve_leg(g, f, side);
        solve_arm(g, &f->arm[side], side);
    }
    /* Y up to z up: (x, y, z) -> (x, -z, y). */
    row[0] = (float)f->root[0];
    row[1] = (float)-f->root[2];
    row[2] = (float)f->root[1];
    for (int j = 0; j < MOTION_JOINTS; j++) {
        double local[9];
        if (j == 0) {
            motion_mat3_axis(part, 0, MOTION_PI / 2);
            motion_mat3_mul(local, part, g[0]);
        } else
            motion_mat3_tmul(local, g[motion_parents[j]], g[j]);
        motion_mat3_to_6d(row + 3 + 6 * j, local);
    }
}

void motion_synth_body(motion_clip *out, synth_frame *frames)
{
    settle_height(frames, out->frames);
    for (int64_t i = 0; i < out->frames; i++) solve_frame(out->pose + i * MOTION_POSE, &frames[i]);

    motion_clip pose = {out->frames, out->pose, NULL};
    motion_canonicalise(&pose);
    if (out->joints)
        motion_forward_kinematics(&motion_mean_body, out->pose, out->frames, out->joints);
}
