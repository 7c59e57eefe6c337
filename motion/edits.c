/* motion/edits.c: programmatic edits of a clip (motion/edits.h). */
#include "motion/edits.h"

#include <assert.h>

#include "motion/mat3.h"

#define ROW(clip, t) ((clip)->pose + (t)*MOTION_POSE)
#define SIX(row, j) ((row) + 3 + 6 * (j))

void motion_canonicalise(motion_clip *clip)
{
    if (clip->frames == 0) return;
    motion_set_heading(clip, MOTION_CANONICAL_YAW);
    float origin[3];
    memcpy(origin, clip->pose, sizeof origin);
    for (int64_t t = 0; t < clip->frames; t++)
        for (int i = 0; i < 3; i++) {
            ROW(clip, t)[i] -= origin[i];
            for (int j = 0; clip->joints && j < MOTION_JOINTS; j++)
                clip->joints[(t * MOTION_JOINTS + j) * 3 + i] -= origin[i];
        }
}

bool motion_part_has(unsigned parts, int joint)
{
    /* One part for each of the joints 1..21, in their order. */
    static const unsigned part[MOTION_JOINTS] = {
        0,
        MOTION_PART_LEFT_LEG,
        MOTION_PART_RIGHT_LEG,
        MOTION_PART_TORSO,
        MOTION_PART_LEFT_LEG,
        MOTION_PART_RIGHT_LEG,
        MOTION_PART_TORSO,
        MOTION_PART_LEFT_LEG,
        MOTION_PART_RIGHT_LEG,
        MOTION_PART_TORSO,
        MOTION_PART_LEFT_LEG,
        MOTION_PART_RIGHT_LEG,
        MOTION_PART_HEAD,
        MOTION_PART_LEFT_ARM,
        MOTION_PART_RIGHT_ARM,
        MOTION_PART_HEAD,
        MOTION_PART_LEFT_ARM,
        MOTION_PART_RIGHT_ARM,
        MOTION_PART_LEFT_ARM,
        MOTION_PART_RIGHT_ARM,
        MOTION_PART_LEFT_ARM,
        MOTION_PART_RIGHT_ARM,
    };
    return joint > 0 && joint < MOTION_JOINTS && (part[joint] & parts);
}

static double ease(double u)
{
    u = u < 0 ? 0 : u > 1 ? 1 : u;
    return u * u * u * (10 + u * (6 * u - 15));
}

/* 1 inside [from, to), 0 outside, eased over `width` frames on the inner side of each end. */
static double window(int64_t t, int64_t from, int64_t to, int64_t width)
{
    if (t < from || t >= to) return 0;
    if (width <= 0) return 1;
    double in = (double)(t - from + 1) / (double)(width + 1),
           out = (double)(to - t) / (double)(width + 1);
    return ease(in < out ? in : out);
}

static void mix_joint(float *out, const float *a, const float *b, double w)
{
    double ra[9], rb[9];
    motion_mat3_from_6d(ra, a);
    motion_mat3_from_6d(rb, b);
    motion_mat3_slerp(ra, ra, rb, w);
    motion_mat3_to_6d(out, ra);
}

static void mix_rows(float *out, const float *a, const float *b, double w)
{
    for (int i = 0; i < 3; i++) out[i] = (float)((double)a[i] + w * ((double)b[i] - (double)a[i]));
    for (int j = 0; j < MOTION_JOINTS; j++) mix_joint(SIX(out, j), SIX(a, j), SIX(b, j), w);
}

static me_code copy_clip(motion_clip *out, me_arena *arena, const motion_clip *in, int64_t from,
                         int64_t frames, me_err *err)
{
    me_code code = motion_clip_new(out, arena, frames, false, err);
    if (code == ME_OK && frames > 0)
        memcpy(out->pose, ROW(in, from), (size_t)frames * MOTION_POSE * sizeof(float));
    return code;
}

me_code motion_edit_cut(motion_clip *out, me_arena *arena, const motion_clip *in, int64_t from,
                        int64_t frames, me_err *err)
{
    assert(from >= 0 && frames >= 0 && from + frames <= in->frames);
    return copy_clip(out, arena, in, from, frames, err);
}

/* The pose at a time between frames: rotations on the shortest arc, the translation on a cubic
 * through four frames, so that its speed does not jump. */
static void sample(float *out, const motion_clip *in, double time)
{
    int64_t last = in->frames - 1, i = (int64_t)floor(time);
    if (i < 0) i = 0, time = 0;
    if (i >= last) i = last > 0 ? last - 1 : 0;
    int64_t next = i < last ? i + 1 : i;
    double u = time - (double)i;
    u = u > 1 ? 1 : u;
    const float *a = ROW(in, i), *b = ROW(in, next), *before = ROW(in, i > 0 ? i - 1 : 0),
                *after = ROW(in, next < last ? next + 1 : last);
    mix_rows(out, a, b, u);
    for (int k = 0; k < 3; k++) {
        double p0 = (double)a[k], p1 = (double)b[k];
        double m0 = i > 0 ? 0.5 * (p1 - (double)before[k]) : p1 - p0;
        double m1 = next < last ? 0.5 * ((double)after[k] - p0) : p1 - p0;
        double v = 1 - u;
        out[k] = (float)(v * v * (1 + 2 * u) * p0 + u * v * v * m0 + u * u * (3 - 2 * u) * p1 -
                         u * u * v * m1);
    }
}

me_code motion_edit_speed(motion_clip *out, me_arena *arena, const motion_clip *in, double speed,
                          me_err *err)
{
    assert(in->frames > 0 && speed > 0);
    double length = (double)(in->frames - 1);
    int64_t frames = (int64_t)llround(length / speed) + 1;
    if (motion_clip_new(out, arena, frames, false, err)) return err ? err->code : ME_EDATA;
    for (int64_t t = 0; t < frames; t++)
        sample(ROW(out, t), in, frames > 1 ? length * (double)t / (double)(frames - 1) : 0);
    return ME_OK;
}

me_code motion_edit_speed_part(motion_clip *out, me_arena *arena, const motion_clip *in,
                               int64_t from, int64_t to, double speed, int64_t width, me_err *err)
{
    assert(in->frames > 0 && speed > 0 && from >= 0 && to <= in->frames);
    for (int pass = 0; pass < 2; pass++) {
        int64_t frames = 0;
        for (double time = 0; time <= (double)(in->frames - 1); frames++) {
            if (pass) sample(ROW(out, frames), in, time);
            /* The rate changes where the clip's own time passes the ends of the span. */
            double w = window((int64_t)time, from, to, width);
            time += pow(speed, w);
        }
        if (!pass && motion_clip_new(out, arena, frames, false, err))
            return err ? err->code : ME_EDATA;
    }
    return ME_OK;
}

me_code motion_edit_hold(motion_clip *out, me_arena *arena, const motion_clip *in, int64_t at,
                         int64_t frames, int64_t width, me_err *err)
{
    assert(in->frames > 0 && at >= 0 && at < in->frames && frames >= 0 && width >= 0);
    int64_t begin = at - width / 2 > 0 ? at - width / 2 : 0, total = in->frames + frames + width;
    for (int pass = 0; pass < 2; pass++) {
        double time = 0;
        int64_t n = 0;
        for (; n < total && time <= (double)(in->frames - 1); n++) {
            if (pass) sample(ROW(out, n), in, time);
            /* Runs, slows down, stands, starts over, runs. */
            double slow = width > 0 ? (double)(n + 1 - begin) / (double)width : n + 1 > begin;
            double fast = width > 0 ? (double)(n + 1 - begin - width - frames) / (double)width
                                    : n + 1 > begin + frames;
            time += 1 - ease(slow) + ease(fast);
        }
        if (!pass && motion_clip_new(out, arena, n, false, err)) return err ? err->code : ME_EDATA;
    }
    return ME_OK;
}

/* Negates what a mirror at the plane x = 0 negates in a rotation: M R M. */
static void mirror_rotation(double r[9])
{
    for (int i = 1; i < 3; i++) r[i] = -r[i], r[3 * i] = -r[3 * i];
}

me_code motion_edit_mirror(motion_clip *out, me_arena *arena, const motion_clip *in, me_err *err)
{
    if (motion_clip_new(out, arena, in->frames, false, err)) return err ? err->code : ME_EDATA;
    if (in->frames == 0) return ME_OK;
    double yaw = motion_heading(in->pose), left[2] = {cos(yaw), sin(yaw)};
    for (int64_t t = 0; t < in->frames; t++) {
        const float *from = ROW(in, t);
        float *to = ROW(out, t);
        double along = 0;
        for (int i = 0; i < 2; i++) along += left[i] * ((double)from[i] - (double)in->pose[i]);
        for (int i = 0; i < 2; i++) to[i] = (float)((double)from[i] - 2 * along * left[i]);
        to[2] = from[2];
        for (int j = 0; j < MOTION_JOINTS; j++) {
            double r[9];
            motion_mat3_from_6d(r, SIX(from, motion_mirror_joint[j]));
            if (j > 0)
                mirror_rotation(r);
            else { /* S R M, S the reflection of the world along the body's left at frame 0 */
                for (int c = 0; c < 3; c++) {
                    double dot = left[0] * r[c] + left[1] * r[3 + c];
                    r[c] -= 2 * dot * left[0];
                    r[3 + c] -= 2 * dot * left[1];
                }
                for (int i = 0; i < 3; i++) r[3 * i] = -r[3 * i];
            }
            motion_mat3_to_6d(SIX(to, j), r);
        }
    }
    return ME_OK;
}

/* Mean of a joint's rotations: the one from which the deviations sum to zero (three steps suffice).
 */
static void mean_rotation(double mean[9], const motion_clip *in, int joint)
{
    motion_mat3_from_6d(mean, SIX(ROW(in, in->frames / 2), joint));
    for (int step = 0; step < 3; step++) {
        double sum[3] = {0}, r[9], aa[3];
        for (int64_t t = 0; t < in->frames; t++) {
            motion_mat3_from_6d(r, SIX(ROW(in, t), joint));
            motion_mat3_tmul(r, mean, r);
            motion_mat3_to_aa(aa, r);
            for (int i = 0; i < 3; i++) sum[i] += aa[i] / (double)in->frames;
        }
        motion_mat3_from_aa(r, sum);
        motion_mat3_mul(mean, mean, r);
    }
}

me_code motion_edit_amplitude(motion_clip *out, me_arena *arena, const motion_clip *in,
                              unsigned parts, double scale, me_err *err)
{
    if (copy_clip(out, arena, in, 0, in->frames, err)) return err ? err->code : ME_EDATA;
    for (int j = 1; j < MOTION_JOINTS && in->frames > 0; j++) {
        if (!motion_part_has(parts, j)) continue;
        double mean[9], r[9];
        mean_rotation(mean, in, j);
        for (int64_t t = 0; t < in->frames; t++) {
            motion_mat3_from_6d(r, SIX(ROW(in, t), j));
            motion_mat3_tmul(r, mean, r);
            motion_mat3_power(r, r, scale);
            motion_mat3_mul(r, mean, r);
            motion_mat3_to_6d(SIX(ROW(out, t), j), r);
        }
    }
    return ME_OK;
}

me_code motion_edit_still(motion_clip *out, me_arena *arena, const motion_clip *in, unsigned parts,
                          int64_t width, me_err *err)
{
    if (copy_clip(out, arena, in, 0, in->frames, err)) return err ? err->code : ME_EDATA;
    for (int j = 1; j < MOTION_JOINTS && in->frames > 0; j++) {
        if (!motion_part_has(parts, j)) continue;
        double mean[9];
        float mean6[6];
        mean_rotation(mean, in, j);
        motion_mat3_to_6d(mean6, mean);
        for (int64_t t = 0; t < in->frames; t++) {
            float *d = SIX(ROW(out, t), j);
            mix_joint(d, d, mean6, window(t, 0, in->frames, width));
        }
    }
    return ME_OK;
}

/* A donor that is too short is played slower. */
static double donor_rate(const motion_clip *donor, int64_t frames)
{
    return donor->frames >= frames ? 1 : (double)(donor->frames - 1) / (double)frames;
}

me_code motion_edit_graft(motion_clip *out, me_arena *arena, const motion_clip *in,
                          const motion_clip *donor, unsigned parts, int64_t from, int64_t to,
                          int64_t width, me_err *err)
{
    assert(from >= 0 && from <= to && to <= in->frames && donor->frames > 0);
    if (copy_clip(out, arena, in, 0, in->frames, err)) return err ? err->code : ME_EDATA;
    const double rate = donor_rate(donor, to - from);
    for (int64_t t = from; t < to; t++) {
        float row[MOTION_POSE];
        sample(row, donor, rate * (double)(t - from));
        for (int j = 1; j < MOTION_JOINTS; j++)
            if (motion_part_has(parts, j))
                mix_joint(SIX(ROW(out, t), j), SIX(ROW(in, t), j), SIX(row, j),
                          window(t, from, to, width));
    }
    return ME_OK;
}

me_code motion_edit_blend(motion_clip *out, me_arena *arena, const motion_clip *in,
                          const motion_clip *donor, double weight, me_err *err)
{
    assert(donor->frames > 0);
    if (copy_clip(out, arena, in, 0, in->frames, err)) return err ? err->code : ME_EDATA;
    const double rate = donor_rate(donor, in->frames);
    for (int64_t t = 0; t < in->frames; t++) {
        float row[MOTION_POSE];
        sample(row, donor, rate * (double)t);
        for (int j = 1; j < MOTION_JOINTS; j++)
            mix_joint(SIX(ROW(out, t), j), SIX(ROW(in, t), j), SIX(row, j), weight);
    }
    return ME_OK;
}

me_code motion_edit_posture(motion_clip *out, me_arena *arena, const motion_clip *in,
                            const double aa[MOTION_JOINTS * 3], me_err *err)
{
    if (copy_clip(out, arena, in, 0, in->frames, err)) return err ? err->code : ME_EDATA;
    for (int j = 1; j < MOTION_JOINTS; j++) {
        double turn[9], r[9];
        motion_mat3_from_aa(turn, aa + 3 * j);
        for (int64_t t = 0; t < in->frames; t++) {
            motion_mat3_from_6d(r, SIX(ROW(in, t), j));
            motion_mat3_mul(r, r, turn);
            motion_mat3_to_6d(SIX(ROW(out, t), j), r);
        }
    }
    return ME_OK;
}

/* A move about the vertical: turn by yaw about (x, y), then to where that point shall be. */
typedef struct placement {
    double turn[9], from[2], to[2];
} placement;

/* Puts frame `next` of a clip where the row `here` stands and faces. */
static placement place(const float *here, const float *next)
{
    placement p = {.from = {(double)next[0], (double)next[1]},
                   .to = {(double)here[0], (double)here[1]}};
    motion_mat3_axis(p.turn, 2, motion_heading(here) - motion_heading(next));
    return p;
}

static void put(float *out, const float *row, const placement *p)
{
    double v[3] = {(double)row[0] - p->from[0], (double)row[1] - p->from[1], (double)row[2]}, r[9];
    memcpy(out, row, MOTION_POSE * sizeof *out);
    motion_mat3_apply(v, p->turn, v);
    for (int i = 0; i < 2; i++) out[i] = (float)(v[i] + p->to[i]);
    motion_mat3_from_6d(r, SIX(row, 0));
    motion_mat3_mul(r, p->turn, r);
    motion_mat3_to_6d(SIX(out, 0), r);
}

me_code motion_edit_repeat(motion_clip *out, me_arena *arena, const motion_clip *in, int64_t from,
                           int64_t to, int times, int64_t width, me_err *err)
{
    assert(from >= 0 && from < to && to <= in->frames && times >= 1 && width >= 0);
    int64_t span = to - from, total = in->frames + (times - 1) * span;
    if (motion_clip_new(out, arena, total, false, err)) return err ? err->code : ME_EDATA;
    if (width > span) width = span;
    placement now = place(in->pose, in->pose), before = now;
    int64_t source = 0, since = width; /* frames since the last return */
    int played = 1;
    for (int64_t t = 0; t < total; t++, source++, since++) {
        if (source == to && played < times) {
            /* Where the clip would go on is where the repetition starts. */
            float here[MOTION_POSE];
            put(here, ROW(in, to < in->frames ? to : to - 1), &now);
            before = now;
            now = place(here, ROW(in, from));
            source = from;
            since = 0;
            played++;
        }
        put(ROW(out, t), ROW(in, source), &now);
        if (since < width) { /* the old course, fading out */
            int64_t old = to + since < in->frames ? to + since : in->frames - 1;
            float row[MOTION_POSE];
            put(row, ROW(in, old), &before);
            mix_rows(ROW(out, t), row, ROW(out, t),
                     ease((double)(since + 1) / (double)(width + 1)));
        }
    }
    return ME_OK;
}
