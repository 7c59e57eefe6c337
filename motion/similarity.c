/* motion/similarity.c: see similarity.h. */
#include "motion/similarity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

motion_similarity_options motion_similarity_defaults(void)
{
    return (motion_similarity_options){
        .window = 15, .smooth = 10, .kappa = 10, .tau = 2, .min_frames = 20};
}

int motion_similarity_class(double score)
{
    return score < (double)0.33333334F ? 0 : score < (double)0.66666669F ? 1 : 2;
}

/* Negated distance of every source frame to the nearest target frame of its window (step 3). */
static void window_distance(float *out, const float *source, const float *target, int columns,
                            int64_t source_frames, int64_t target_frames, int window)
{
    for (int64_t i = 0; i < source_frames; i++) {
        int64_t centre = i * target_frames / source_frames;
        int64_t from = centre - window > 0 ? centre - window : 0;
        int64_t to = centre + window < target_frames ? centre + window : target_frames;
        double best = INFINITY;
        for (int64_t j = from; j < to; j++) {
            double sum = 0;
            for (int c = 0; c < columns; c++)
                sum += fabs((double)source[i * columns + c] - target[j * columns + c]);
            if (sum < best) best = sum;
        }
        out[i] = (float)-(best / columns);
    }
}

/* numpy.convolve(x, ones(width)/width, "same"): zeros outside, max(n, width) outputs (step 4). */
static void smooth_add(double *out, const float *x, int64_t n, int width)
{
    int64_t length = n > width ? n : width;
    int64_t shortest = n < width ? n : width;
    int64_t first = (shortest - 1) / 2; /* where "same" starts inside the full convolution */
    for (int64_t i = 0; i < length; i++) {
        int64_t k = i + first;
        double sum = 0;
        for (int64_t j = k - width + 1; j <= k; j++)
            if (j >= 0 && j < n) sum += (double)x[j] / width;
        out[i] += sum;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void judge(motion_similarity *s, double *sorted, int64_t source_frames,
                  int64_t target_frames, const motion_similarity_options *o)
{
    memcpy(sorted, s->original, (size_t)s->n * sizeof *sorted);
    qsort(sorted, (size_t)s->n, sizeof *sorted, ascending);
    double lowest = 0, highest = 0;
    int64_t k = o->kappa < s->n ? o->kappa : s->n;
    for (int64_t i = 0; i < k; i++) {
        lowest += sorted[i];
        highest += sorted[s->n - 1 - i];
    }
    s->snr = (lowest / o->kappa) / (highest / o->kappa);
    /* Written as the reference's negation, so that NaN (two equal motions) teaches. */
    s->teaches =
        !(s->snr < o->tau || source_frames < o->min_frames || target_frames < o->min_frames);
    double min = sorted[0], max = sorted[s->n - 1];
    for (int64_t i = 0; i < s->n; i++) s->score[i] = (s->original[i] - min) / (max - min + 1e-6);
}

me_code motion_similarity_of_curves(motion_similarity *out, me_arena *arena,
                                    const float *joint_source, const float *joint_target,
                                    int joint_columns, const float *rotation_source,
                                    const float *rotation_target, int rotation_columns,
                                    int64_t source_frames, int64_t target_frames,
                                    const motion_similarity_options *o, me_err *err)
{
    memset(out, 0, sizeof *out);
    if (source_frames < 1 || target_frames < 1 || o->window < 1 || o->smooth < 1 || o->kappa < 1)
        return me_fail(
            err, ME_EDATA,
            "similarity needs frames on both sides and window, smooth and kappa of at least 1");
    out->n = source_frames > o->smooth ? source_frames : o->smooth;
    out->score = ME_NEW_ARRAY(arena, out->n, double);
    out->original = ME_NEW_ARRAY(arena, out->n, double);
    float *raw = malloc((size_t)source_frames * sizeof *raw);
    double *sorted = malloc((size_t)out->n * sizeof *sorted);
    if (!out->score || !out->original || !raw || !sorted) {
        free(raw);
        free(sorted);
        return me_fail_mem(err, "similarity scores");
    }
    window_distance(raw, joint_source, joint_target, joint_columns, source_frames, target_frames,
                    o->window);
    smooth_add(out->original, raw, source_frames, o->smooth);
    window_distance(raw, rotation_source, rotation_target, rotation_columns, source_frames,
                    target_frames, o->window);
    smooth_add(out->original, raw, source_frames, o->smooth);
    judge(out, sorted, source_frames, target_frames, o);
    free(raw);
    free(sorted);
    return ME_OK;
}

#define JOINT_COLUMNS ((MOTION_JOINTS - 1) * 3)
#define ROTATION_COLUMNS 126

/* Joints 1..21 from the pelvis, turned so that the first frame's heading is 0, and the body's 6D.
 */
static me_code curves_of(float **joints, float **rotations, const motion_clip *clip,
                         const motion_skeleton *body, me_err *err)
{
    size_t n = (size_t)clip->frames;
    const float *p;
    float *made;
    *joints = malloc(n * JOINT_COLUMNS * sizeof **joints);
    *rotations = malloc(n * ROTATION_COLUMNS * sizeof **rotations);
    if (!*joints || !*rotations) return me_fail_mem(err, "similarity curves");
    me_code code = motion_clip_joints(&p, &made, clip, body, err);
    if (code != ME_OK) return code;
    double yaw = motion_heading(clip->pose), c = cos(yaw), s = sin(yaw);
    for (size_t i = 0; i < n; i++) {
        const float *from = p + i * MOTION_JOINTS * 3;
        for (int j = 1; j < MOTION_JOINTS; j++) {
            double x = (double)from[3 * j] - from[0], y = (double)from[3 * j + 1] - from[1];
            float *q = *joints + i * JOINT_COLUMNS + 3 * (j - 1);
            q[0] = (float)(c * x + s * y);
            q[1] = (float)(c * y - s * x);
            q[2] = from[3 * j + 2] - from[2];
        }
        memcpy(*rotations + i * ROTATION_COLUMNS, clip->pose + i * MOTION_POSE + 9,
               ROTATION_COLUMNS * sizeof(float));
    }
    free(made);
    return ME_OK;
}

me_code motion_similarity_of(motion_similarity *out, me_arena *arena, const motion_clip *source,
                             const motion_clip *target, const motion_skeleton *body,
                             const motion_similarity_options *options, me_err *err)
{
    float *joints[2] = {NULL, NULL}, *rotations[2] = {NULL, NULL};
    me_code code = curves_of(&joints[0], &rotations[0], source, body, err);
    if (code == ME_OK) code = curves_of(&joints[1], &rotations[1], target, body, err);
    if (code == ME_OK)
        code = motion_similarity_of_curves(out, arena, joints[0], joints[1], JOINT_COLUMNS,
                                           rotations[0], rotations[1], ROTATION_COLUMNS,
                                           source->frames, target->frames, options, err);
    for (int i = 0; i < 2; i++) {
        free(joints[i]);
        free(rotations[i]);
    }
    return code;
}
