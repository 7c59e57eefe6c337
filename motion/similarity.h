/* motion/similarity.h: how similar each source frame is to the target motion, and the contrast
 * between frames (MotionSNR) that decides whether a pair teaches the editor's similarity head. Spec
 * omnime 7.
 *
 * The reference measures joint distances on 45 points of a licensed body model. Here the 22 stored
 * joints, less the pelvis and turned by the first frame's heading, stand in for it: scores are
 * close to the released ones, not equal. The released .npz can be read instead.
 */
#ifndef MOTION_SIMILARITY_H
#define MOTION_SIMILARITY_H

#include "core/doc.h"
#include "motion/motion.h"

typedef struct motion_similarity_options {
    int window;     /* W: a source frame looks W back and W-1 forward in the target; 15 */
    int smooth;     /* width of the box that smooths each curve; 10 */
    int kappa;      /* frames at each end of the ranking that MotionSNR averages; 10 */
    double tau;     /* smallest MotionSNR of a pair that teaches; 2 */
    int min_frames; /* shorter motions do not teach; 20 */
} motion_similarity_options;

motion_similarity_options motion_similarity_defaults(void);

typedef struct motion_similarity {
    int64_t n;        /* source frames, but at least `smooth` (NumPy's "same" rule) */
    double *score;    /* (n) in [0,1), 1 = most similar */
    double *original; /* (n) negated smoothed distances, joints plus rotations */
    double snr; /* mean of the kappa largest distances over mean of the kappa smallest; NaN and inf
                   occur */
    bool teaches; /* the reference's use_loss */
} motion_similarity;

/* Of two curves that are already there: joint space a (Ts,Da) and b (Tt,Da), rotation space c, d.
 */
me_code motion_similarity_of_curves(motion_similarity *out, me_arena *arena,
                                    const float *joint_source, const float *joint_target,
                                    int joint_columns, const float *rotation_source,
                                    const float *rotation_target, int rotation_columns,
                                    int64_t source_frames, int64_t target_frames,
                                    const motion_similarity_options *options, me_err *err);
/* Of a pair; clips without joints get them by forward kinematics on `body`. */
me_code motion_similarity_of(motion_similarity *out, me_arena *arena, const motion_clip *source,
                             const motion_clip *target, const motion_skeleton *body,
                             const motion_similarity_options *options, me_err *err);

/* Scores of many pairs by key, in the field's form: an .npz whose arr_0 is a pickled dictionary
 * {key: {use_loss, score, score_original}}, or an .npy of that dictionary, which is what we write.
 */
typedef struct motion_similarity_file {
    me_doc doc;
    const me_value *pairs; /* dictionary */
} motion_similarity_file;

me_code motion_similarity_open(motion_similarity_file *out, const char *path, me_err *err);
void motion_similarity_close(motion_similarity_file *file);
/* n is 0 where the file has no such key. */
me_code motion_similarity_find(motion_similarity *out, const motion_similarity_file *file,
                               me_arena *arena, const char *key, me_err *err);
me_code motion_similarity_write(const char *path, const char *const *keys,
                                const motion_similarity *scores, int64_t n, me_err *err);

/* The similarity class of a frame: 0, 1 or 2 for the lower, middle and upper third, compared as the
 * reference does: a double against float32 thirds. */
int motion_similarity_class(double score);

#endif
