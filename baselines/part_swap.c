/* baselines/part_swap.c: the source with those body parts replaced that the true edit changed. What
 * an editor that only grafts body parts (MDM-BP's masks, spec baselines 4.4) can reach at best when
 * it is told the right parts and fills them perfectly. */
#include <math.h>
#include <string.h>

#include "baselines/baselines_priv.h"
#include "motion/mat3.h"

/* The parts of the masks, by joint of the 22-joint body; the first moves the whole body. */
enum { GLOBAL, TORSO, LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG, PARTS };

static const signed char part_of[MOTION_JOINTS] = {
    GLOBAL,    LEFT_LEG,  RIGHT_LEG, TORSO,     LEFT_LEG, RIGHT_LEG, TORSO,     LEFT_LEG,
    RIGHT_LEG, TORSO,     LEFT_LEG,  RIGHT_LEG, TORSO,    LEFT_ARM,  RIGHT_ARM, TORSO,
    LEFT_ARM,  RIGHT_ARM, LEFT_ARM,  RIGHT_ARM, LEFT_ARM, RIGHT_ARM};

/* A part has changed when one of its joints is turned by more than this on average over the frames
 * that both motions have, or when the body is on average this far from the source's path. Captured
 * takes of one action differ by less than the first in the joints that an edit leaves alone. */
#define CHANGED_ANGLE 0.2617993877991494 /* 15 degrees */
#define CHANGED_PATH 0.1                 /* metres */

static double mean_turn(const motion_clip *a, const motion_clip *b, int64_t frames, int joint)
{
    double sum = 0;
    for (int64_t t = 0; t < frames; t++) {
        double ra[9], rb[9], between[9];
        motion_mat3_from_6d(ra, BASELINE_ROW(a, t) + 3 + 6 * joint);
        motion_mat3_from_6d(rb, BASELINE_ROW(b, t) + 3 + 6 * joint);
        motion_mat3_tmul(between, ra, rb);
        sum += motion_mat3_angle(between);
    }
    return sum / (double)frames;
}

static double mean_distance(const motion_clip *a, const motion_clip *b, int64_t frames)
{
    double sum = 0;
    for (int64_t t = 0; t < frames; t++) {
        double square = 0;
        for (int k = 0; k < 3; k++) {
            double d = (double)BASELINE_ROW(a, t)[k] - BASELINE_ROW(b, t)[k];
            square += d * d;
        }
        sum += sqrt(square);
    }
    return sum / (double)frames;
}

static bool find_changed(bool changed[PARTS], const motion_pair *p, int64_t frames)
{
    bool any = false;
    memset(changed, 0, PARTS * sizeof *changed);
    for (int j = 0; j < MOTION_JOINTS; j++)
        if (mean_turn(&p->source, &p->target, frames, j) > CHANGED_ANGLE)
            changed[part_of[j]] = true;
    if (mean_distance(&p->source, &p->target, frames) > CHANGED_PATH) changed[GLOBAL] = true;
    for (int k = 0; k < PARTS; k++) any = any || changed[k];
    return any;
}

static me_code part_swap_make(motion_clip *out, me_arena *arena, const baseline_input *in,
                              me_err *err)
{
    for (int64_t i = 0; i < in->n; i++) {
        const motion_pair *p = baseline_pair(in, i);
        bool changed[PARTS];
        me_code code = baseline_need_frames(&p->source, p->key, "source", err);
        if (code == ME_OK) code = baseline_need_frames(&p->target, p->key, "target", err);
        if (code != ME_OK) return code;
        out[i] = baseline_cut(&p->source, p->target.frames);
        const int64_t frames = out[i].frames;
        if (!find_changed(changed, p, frames)) continue;
        code = motion_clip_new(&out[i], arena, frames, false, err);
        if (code != ME_OK) return code;
        for (int64_t t = 0; t < frames; t++) {
            const float *rows[2] = {BASELINE_ROW(&p->source, t), BASELINE_ROW(&p->target, t)};
            float *row = BASELINE_ROW(&out[i], t);
            memcpy(row, rows[changed[GLOBAL]], 3 * sizeof *row);
            for (int j = 0; j < MOTION_JOINTS; j++)
                memcpy(row + 3 + 6 * j, rows[changed[part_of[j]]] + 3 + 6 * j, 6 * sizeof *row);
        }
    }
    return ME_OK;
}

const baseline baseline_part_swap = {
    .name = "part-swap",
    .doc = "An oracle: the source, cut to the target's length, with the target's rotations in "
           "every body part (whole body's path, torso, arms, legs) that the target has changed: "
           "by 15 degrees in some joint or 0.1 m of path, on average over the frames of both. The "
           "upper bound for editors that replace body parts and keep the source's timing.",
    .cite = "spec baselines 7, 4.4",
    .make = part_swap_make,
};
