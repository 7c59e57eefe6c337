/* motion/clip.c: making clips, and the small operations on one clip or pose that evaluation asks
 * for: how far its 6D rows are from rotations (spec evaluation 8, trap 11) and its heading (trap
 * 12). */
#include "motion/motion.h"

#include <stdio.h>

#include "motion/mat3.h"

typedef void *arena_function(me_arena *arena, size_t n, size_t size);

static me_code make(motion_clip *out, arena_function *allocate, me_arena *arena, int64_t frames,
                    bool joints, me_err *err)
{
    memset(out, 0, sizeof *out);
    if (frames < 0 || frames > MOTION_MAX_FRAMES)
        return me_fail(err, ME_EDATA,
                       "a clip of %lld frames was asked for, at most %d are possible",
                       (long long)frames, MOTION_MAX_FRAMES);
    out->pose = allocate(arena, (size_t)frames, MOTION_POSE * sizeof(float));
    if (out->pose && joints)
        out->joints = allocate(arena, (size_t)frames, MOTION_JOINTS * 3 * sizeof(float));
    if (!out->pose || (joints && !out->joints)) return me_fail_mem(err, "a clip");
    out->frames = frames;
    return ME_OK;
}

me_code motion_clip_new(motion_clip *out, me_arena *arena, int64_t frames, bool joints, me_err *err)
{
    return make(out, me_arena_alloc, arena, frames, joints, err);
}

me_code motion_clip_take(motion_clip *out, me_arena *arena, int64_t frames, bool joints,
                         me_err *err)
{
    return make(out, me_arena_take, arena, frames, joints, err);
}

void motion_note(motion_notes *notes, me_arena *arena, const char *fmt, ...)
{
    va_list args;
    char text[512];
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (notes->n == notes->capacity) {
        int64_t capacity = notes->capacity ? 2 * notes->capacity : 8;
        char **items = ME_NEW_ARRAY(arena, capacity, char *);
        if (!items) return; /* a note is not worth a failure */
        if (notes->n) memcpy(items, notes->items, (size_t)notes->n * sizeof *items);
        notes->items = items;
        notes->capacity = capacity;
    }
    char *copy = me_arena_strdup(arena, text);
    if (copy) notes->items[notes->n++] = copy;
}

double motion_orthonormal_deviation(const float *pose, int64_t frames)
{
    double worst = 0;
    for (int64_t t = 0; t < frames; t++)
        for (int j = 0; j < MOTION_JOINTS; j++) {
            const float *a = pose + t * MOTION_POSE + 3 + 6 * j, *b = a + 3;
            double aa = 0, bb = 0, ab = 0;
            for (int i = 0; i < 3; i++) {
                aa += (double)a[i] * (double)a[i];
                bb += (double)b[i] * (double)b[i];
                ab += (double)a[i] * (double)b[i];
            }
            worst = fmax(worst, fmax(fabs(ab), fmax(fabs(aa - 1), fabs(bb - 1))));
        }
    return worst;
}

void motion_orthonormalize(float *pose, int64_t frames)
{
    for (int64_t t = 0; t < frames; t++)
        for (int j = 0; j < MOTION_JOINTS; j++) {
            float *d = pose + t * MOTION_POSE + 3 + 6 * j;
            double r[9];
            motion_mat3_from_6d(r, d);
            motion_mat3_to_6d(d, r);
        }
}

double motion_heading(const float *pose_row)
{
    float r[9];
    motion_6d_to_matrix(pose_row + 3, r);
    return atan2((double)r[3], (double)r[0]);
}

double motion_circular_mean(const double *angles, int64_t n)
{
    double s = 0, c = 0;
    for (int64_t i = 0; i < n; i++) s += sin(angles[i]), c += cos(angles[i]);
    return atan2(s, c);
}

void motion_turn(motion_clip *clip, double angle)
{
    if (clip->frames == 0) return;
    double turn[9], origin[3] = {(double)clip->pose[0], (double)clip->pose[1], 0};
    motion_mat3_axis(turn, 2, angle);
    for (int64_t t = 0; t < clip->frames; t++) {
        float *row = clip->pose + t * MOTION_POSE;
        double r[9];
        motion_mat3_from_6d(r, row + 3);
        motion_mat3_mul(r, turn, r);
        motion_mat3_to_6d(row + 3, r);
        for (int j = -1; j < (clip->joints ? MOTION_JOINTS : 0); j++) {
            float *p = j < 0 ? row : clip->joints + (t * MOTION_JOINTS + j) * 3;
            double v[3];
            for (int i = 0; i < 3; i++) v[i] = (double)p[i] - origin[i];
            motion_mat3_apply(v, turn, v);
            for (int i = 0; i < 3; i++) p[i] = (float)(v[i] + origin[i]);
        }
    }
}

void motion_set_heading(motion_clip *clip, double yaw)
{
    if (clip->frames > 0) motion_turn(clip, yaw - motion_heading(clip->pose));
}
