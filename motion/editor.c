/* motion/editor.c: see editor.h. Everything is computed in double from float32 input; the
 * reference's float32 path differs by rounding alone. */
#include "motion/editor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
const motion_editor_group motion_editor_groups[MOTION_EDITOR_GROUPS] = {
    {0, 3, true}, {3, 6, false}, {9, 6, true}, {15, 126, false}, {141, 66, false}};
// clang-format on

static const int constant_channels[] = {6, 11, 14, 141, 142, 143};

typedef struct heading {
    double cos_a, sin_a;
} heading; /* a rotation about z */

/* R = Rz(a) Ry(b) Rx(c): a = atan2(r10, r00), of which only cosine and sine are wanted. */
static heading heading_of(const float r[9])
{
    double a = atan2(r[3], r[0]);
    return (heading){cos(a), sin(a)};
}

/* 6D of Ry(b) Rx(c), with the exact zero that its second row starts with. */
static void tilt_6d(const float r[9], float d[6])
{
    double sin_b = -(double)r[6];
    sin_b = sin_b > 1 ? 1 : sin_b < -1 ? -1 : sin_b;
    double b = asin(sin_b), c = atan2(r[7], r[8]);
    d[0] = (float)cos(b);
    d[1] = (float)(sin(b) * sin(c));
    d[2] = (float)(sin(b) * cos(c));
    d[3] = 0;
    d[4] = (float)cos(c);
    d[5] = (float)-sin(c);
}

void motion_editor_features(const float *pose, const float *joints, int64_t frames, float *out)
{
    float previous[9] = {0};
    heading before = {1, 0};
    for (int64_t i = 0; i < frames; i++) {
        const float *p = pose + i * MOTION_POSE, *j = joints + i * MOTION_JOINTS * 3;
        float *f = out + i * MOTION_EDITOR, r[9];
        motion_6d_to_matrix(p + 3, r);
        heading z = heading_of(r);

        memset(f, 0, 3 * sizeof *f);
        float *turn = f + 9;
        memset(turn, 0, 6 * sizeof *turn);
        turn[0] = turn[4] = 1;
        if (i) {
            double step[3];
            for (int c = 0; c < 3; c++) step[c] = (double)p[c] - p[c - MOTION_POSE];
            for (int c = 0; c < 3; c++)
                f[c] = (float)(previous[c] * step[0] + previous[3 + c] * step[1] +
                               previous[6 + c] * step[2]);
            double cos_d = before.cos_a * z.cos_a + before.sin_a * z.sin_a;
            double sin_d = before.cos_a * z.sin_a - before.sin_a * z.cos_a;
            turn[0] = turn[4] = (float)cos_d;
            turn[1] = (float)-sin_d;
            turn[3] = (float)sin_d;
        }
        tilt_6d(r, f + 3);
        memcpy(f + 15, p + 9, 126 * sizeof *f);
        for (int n = 0; n < MOTION_JOINTS; n++) {
            double x = (double)j[3 * n] - j[0], y = (double)j[3 * n + 1] - j[1];
            f[141 + 3 * n] = (float)(z.cos_a * x + z.sin_a * y);
            f[141 + 3 * n + 1] = (float)(z.cos_a * y - z.sin_a * x);
            f[141 + 3 * n + 2] = j[3 * n + 2] - j[2];
        }
        memcpy(previous, r, sizeof previous);
        before = z;
    }
}

/* Sums of one clip, added to the running ones in the caller's order, so that the result is the same
 * for any number of threads (there is one). */
typedef struct sums {
    double shift[MOTION_EDITOR]; /* the first row seen: keeps the squares small */
    double sum[MOTION_EDITOR], square[MOTION_EDITOR];
    double translation[3];
    int64_t frames;
} sums;

static me_code add_clip(sums *s, const motion_clip *clip, const motion_skeleton *body, me_err *err)
{
    size_t rows = (size_t)clip->frames;
    const float *joints;
    float *made, *x = malloc(rows * MOTION_EDITOR * sizeof *x);
    if (!x) return me_fail_mem(err, "editor features");
    me_code code = motion_clip_joints(&joints, &made, clip, body, err);
    if (code != ME_OK) {
        free(x);
        return code;
    }
    motion_editor_features(clip->pose, joints, clip->frames, x);
    for (int64_t i = 0; i < clip->frames; i++) {
        const float *row = x + i * MOTION_EDITOR;
        if (!s->frames)
            for (int c = 0; c < MOTION_EDITOR; c++) s->shift[c] = row[c];
        for (int c = 0; c < MOTION_EDITOR; c++) {
            double v = row[c] - s->shift[c];
            s->sum[c] += v;
            s->square[c] += v * v;
        }
        for (int c = 0; c < 3; c++) s->translation[c] += clip->pose[i * MOTION_POSE + c];
        s->frames++;
    }
    free(x);
    free(made);
    return ME_OK;
}

me_code motion_editor_stats_of(motion_editor_stats *out, const motion_dataset *d,
                               const motion_skeleton *body, me_err *err)
{
    memset(out, 0, sizeof *out);
    sums *s = calloc(1, sizeof *s);
    if (!s) return me_fail_mem(err, "editor statistics");
    me_code code = ME_OK;
    for (int64_t i = 0; i < d->n && code == ME_OK; i++) {
        const motion_pair *pair = &d->pairs[i];
        if (d->has_split && pair->split == MOTION_TEST) continue;
        code = add_clip(s, &pair->source, body, err);
        if (code == ME_OK) code = add_clip(s, &pair->target, body, err);
    }
    if (code == ME_OK && s->frames < 2)
        code = me_fail(err, ME_EDATA,
                       "editor statistics need frames of the train or val split, found %lld",
                       (long long)s->frames);
    if (code == ME_OK) {
        double n = (double)s->frames;
        for (int c = 0; c < MOTION_EDITOR; c++) {
            double variance = (s->square[c] - s->sum[c] * s->sum[c] / n) / (n - 1);
            out->mean[c] = (float)(s->shift[c] + s->sum[c] / n);
            out->std[c] = (float)sqrt(variance > 0 ? variance : 0);
        }
        for (size_t k = 0; k < sizeof constant_channels / sizeof *constant_channels; k++) {
            out->mean[constant_channels[k]] = 0;
            out->std[constant_channels[k]] = 0;
        }
        for (int c = 0; c < 3; c++) out->translation_mean[c] = (float)(s->translation[c] / n);
        out->frames = s->frames;
    }
    free(s);
    return code;
}

static bool is_constant(int channel)
{
    for (size_t k = 0; k < sizeof constant_channels / sizeof *constant_channels; k++)
        if (constant_channels[k] == channel) return true;
    return false;
}

int motion_editor_stats_floor(motion_editor_stats *s, double least)
{
    int raised = 0;
    for (int c = 0; c < MOTION_EDITOR; c++) {
        if (is_constant(c) || (double)s->std[c] >= least) continue;
        s->std[c] = (float)least;
        raised++;
    }
    return raised;
}

static double divisor(const motion_editor_stats *s, int channel)
{
    return 2 * ((double)s->std[channel] + 1e-5); /* the factor 2 is the reference's */
}

void motion_editor_normalize(float *x, int64_t frames, const motion_editor_stats *s)
{
    for (int64_t i = 0; i < frames; i++)
        for (int c = 0; c < MOTION_EDITOR; c++) {
            float *v = &x[i * MOTION_EDITOR + c];
            *v = (float)(((double)*v - s->mean[c]) / divisor(s, c));
        }
}

void motion_editor_denormalize(float *x, int64_t frames, const motion_editor_stats *s)
{
    for (int64_t i = 0; i < frames; i++)
        for (int c = 0; c < MOTION_EDITOR; c++) {
            float *v = &x[i * MOTION_EDITOR + c];
            *v = (float)(*v * divisor(s, c) + s->mean[c]);
        }
}

static void multiply(const float a[9], const float b[9], float out[9])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[3 * i + j] = (float)((double)a[3 * i] * b[j] + (double)a[3 * i + 1] * b[3 + j] +
                                     (double)a[3 * i + 2] * b[6 + j]);
}

void motion_editor_to_pose(const float *features, int64_t frames, const float start[3], float *pose)
{
    float chain[6] = {1, 0, 0, 0, 1, 0}; /* the running heading, kept as 6D between frames */
    double at[3] = {start[0], start[1], start[2]};
    float previous[9] = {0};
    for (int64_t i = 0; i < frames; i++) {
        const float *f = features + i * MOTION_EDITOR;
        float *p = pose + i * MOTION_POSE;
        if (i) {
            float now[9], turn[9], next[9];
            motion_6d_to_matrix(chain, now);
            motion_6d_to_matrix(f + 9, turn);
            multiply(now, turn, next);
            motion_matrix_to_6d(next, chain);
            for (int r = 0; r < 3; r++)
                for (int c = 0; c < 3; c++) at[r] += (double)previous[3 * r + c] * f[c];
        }
        /* The chain may have gathered tilt from rows that are not orthonormal: only its yaw counts.
         */
        float whole[9], tilt[9], orient[9];
        motion_6d_to_matrix(chain, whole);
        heading z = heading_of(whole);
        float yaw[9] = {
            (float)z.cos_a, (float)-z.sin_a, 0, (float)z.sin_a, (float)z.cos_a, 0, 0, 0, 1};
        motion_6d_to_matrix(f + 3, tilt);
        multiply(yaw, tilt, orient);
        for (int c = 0; c < 3; c++) p[c] = (float)at[c];
        motion_matrix_to_6d(orient, p + 3);
        memcpy(p + 9, f + 15, 126 * sizeof *p);
        memcpy(previous, orient, sizeof previous);
    }
}
