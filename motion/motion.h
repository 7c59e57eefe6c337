/* motion/motion.h: the data type of this program. A clip is a motion of the 22-joint SMPL body at
 * 30 frames a second, in metres, z up (spec: evaluation 2.4, 3).
 *
 * pose (T,135): translation 0..2 | pelvis orientation 6D 3..8 | 21 body joints 6D 9..134, joint j
 * at 9+6(j-1). 6D = the first two ROWS of the rotation matrix, row-major (many papers use columns).
 * This is the layout of the field's sample files; a dataset's axis-angle is converted on reading.
 *
 * Details that have caused bugs
 *  - Two orders of 135 numbers. A pose row is translation | pelvis 6D | body 6D; a TMR feature row
 * is delta | body 6D | pelvis 6D. Both are 135 wide, so nothing but the name tells them apart.
 *  - 6D is two rows, not two columns: reading one as the other gives the inverse rotation's
 * numbers.
 *  - The translation delta is R_{t-1}^T (p_t - p_{t-1}): the pelvis of the frame BEFORE,
 * transposed; frame 0 has delta 0.
 *  - Features of a generated clip are made from the whole clip and then cut to the target's length;
 * a shorter clip stays short, it is neither padded nor resampled.
 *  - Body 6D of generated clips is no rotation and enters the features as it is stored; only R_t
 * inside the delta is orthonormalised.
 *  - z is up here, y is up in the rest body and in BVH. R_0 takes the one to the other, so offsets
 * of the body are never turned by hand. A body at rest faces -y in our world.
 *  - The translation is the pelvis' position. SMPL's own `transl` is that minus the pelvis' rest
 * position.
 *  - Rotations are local (parent to child), except the pelvis, which is global.
 *  - `rots` of a dataset may be wider than 66 (hands): the first 66 columns are meant.
 *  - `pose_source` and `pose_target` in sample files are in the decoder's frame, not in the
 * dataset's: they are never read.
 *  - A key is text. "21" and "000021" are different keys, and the integer 21 is "000021".
 */
#ifndef MOTION_MOTION_H
#define MOTION_MOTION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

#define MOTION_JOINTS 22
#define MOTION_POSE 135 /* columns of a pose row, and of a TMR feature row */
#define MOTION_FPS 30
#define MOTION_MAX_FRAMES 100000000 /* of one clip: what a file may make us allocate is bounded */

typedef struct motion_clip {
    int64_t frames;
    float *pose;   /* (T,135) */
    float *joints; /* (T,22,3) world positions, or NULL */
} motion_clip;

extern const int motion_parents[MOTION_JOINTS]; /* -1 for the pelvis */
extern const char *const motion_joint_names[MOTION_JOINTS];
extern const int motion_mirror_joint[MOTION_JOINTS]; /* left <-> right */

/* A clip of zeroes; one that may hold anything, for callers that write all of it. */
me_code motion_clip_new(motion_clip *out, me_arena *arena, int64_t frames, bool joints,
                        me_err *err);
me_code motion_clip_take(motion_clip *out, me_arena *arena, int64_t frames, bool joints,
                         me_err *err);

/* ---- rotations (motion/rotation.c); float32 as the reference computes, double where named _d ----
 */
void motion_aa_to_matrix(const float aa[3], float r[9]);
void motion_aa_to_6d(const float aa[3], float d[6]);
/* The same bits for n rotations, (n, 3) to (n, 6), several at a time. */
void motion_aa_to_6d_rows(const float *aa, int64_t n, float *d);
void motion_6d_to_matrix(const float d[6],
                         float r[9]); /* Gram-Schmidt on the two rows, entries clamped to [-1,1] */
void motion_matrix_to_6d(const float r[9], float d[6]);
void motion_matrix_to_aa(const float r[9], float aa[3]);

/* ---- one clip (motion/clip.c) ---- */
/* The largest |a.a-1|, |b.b-1|, |a.b| over all 6D pairs of rows a, b: 0 for rotations. */
double motion_orthonormal_deviation(const float *pose, int64_t frames);
/* Replaces every 6D by that of its Gram-Schmidt rotation. */
void motion_orthonormalize(float *pose, int64_t frames);
/* Yaw of the pelvis of one pose row about z, radians: atan2(r10, r00). */
double motion_heading(const float *pose_row);
double motion_circular_mean(const double *angles, int64_t n);
/* Turns a clip (and its joints) about the vertical through frame 0's pelvis, radians. */
void motion_turn(motion_clip *clip, double angle);
/* Turns it such that frame 0 has this heading. */
void motion_set_heading(motion_clip *clip, double yaw);

/* ---- TMR features (motion/features.c; spec evaluation 3.3, 3.4) ---- */
/* f_t = [ pelvis-frame translation delta 3 | body 6D 126 | pelvis 6D 6 ], out (T,135), not
 * normalised. */
void motion_features(const float *pose, int64_t frames, float *out);
/* (f - mean) / (std + 1e-12), in place. */
void motion_normalize(float *features, int64_t frames, const float *mean, const float *std);

/* ---- body and forward kinematics (motion/skeleton.c) ---- */
typedef struct motion_skeleton {
    double offset[MOTION_JOINTS][3]; /* parent -> joint at rest, metres, Y up as SMPL's zero pose */
} motion_skeleton;
/* Mean body of the CMU subjects (spec bvh 5). The data used in this project was obtained from
 * mocap.cs.cmu.edu. The database was created with funding from NSF EIA-0196217. */
extern const motion_skeleton motion_mean_body;
/* joints (T,22,3): P_0 = trans, P_j = P_parent + G_parent offset_j. */
void motion_forward_kinematics(const motion_skeleton *body, const float *pose, int64_t frames,
                               float *joints);
/* The clip's own joints or, where it has none, those that `body` gives it. *made is what to free
 * afterwards, or NULL. */
me_code motion_clip_joints(const float **joints, float **made, const motion_clip *clip,
                           const motion_skeleton *body, me_err *err);
/* Least squares over all frames of clips that carry joints; residual_mm: RMS of what is left. */
me_code motion_skeleton_fit(motion_skeleton *out, const motion_clip *clips, int64_t n,
                            double *residual_mm, me_err *err);

/* ---- datasets (motion/dataset.c): pairs of source, target and text ---- */
typedef enum { MOTION_TRAIN, MOTION_VAL, MOTION_TEST, MOTION_UNSPLIT } motion_split;

typedef struct motion_pair {
    const char *key; /* "005454" */
    const char *text;
    motion_clip source, target;
    motion_split split;
    const char *source_caption,
        *target_caption; /* what the motion is, where the dataset says so, or NULL */
} motion_pair;

/* Things noticed while reading that a user should know: shown as warnings, counted in results. */
typedef struct motion_notes {
    char **items;
    int64_t n, capacity;
} motion_notes;
void motion_note(motion_notes *notes, me_arena *arena, const char *fmt, ...) ME_PRINTF(3, 4);

typedef struct motion_dataset {
    int64_t n;
    motion_pair *pairs;    /* in the file's order: that of the "full" protocol */
    bool has_split;        /* a splits.json was found or given */
    const int64_t *by_key; /* positions in ascending order of keys, or NULL */
    int64_t frames;        /* of all clips */
    char sha256[65];       /* of the file */
    const char *format;    /* "motionfix-joblib", "mebench-safetensors" */
    motion_notes notes;
    me_arena arena;
} motion_dataset;

typedef struct motion_dataset_options {
    const char *splits; /* splits.json; NULL: one beside the file, if any */
    bool joints;        /* read joint_positions too */
    bool hash;          /* compute sha256 */
} motion_dataset_options;

/* By content: the field's pickled dictionary (joblib .pth.tar, any pickle or torch file of that
 * shape), or our safetensors form. A NaN or infinity, a clip of no frames, lengths that disagree
 * are ME_EDATA naming key, clip and frame. What is converted on the way is in `notes`. */
me_code motion_dataset_open(motion_dataset *out, const char *path,
                            const motion_dataset_options *options, me_err *err);
void motion_dataset_close(motion_dataset *d);
const motion_pair *motion_dataset_find(const motion_dataset *d, const char *key);
/* By the name's ending: MotionFix's joblib form (.pth.tar: rots (T,66) axis-angle, trans,
 * joint_positions, all float32; positions of the mean body where a clip has none) or our form
 * (.safetensors), and where the dataset has a split, a splits.json beside it. An existing
 * splits.json is replaced only together with the dataset that it belongs to: where `path` is new
 * and the file there says otherwise, nothing is written.
 *
 * Our form, schema "mebench.motion/1" in the safetensors metadata: `pose` float32 (F,135), the rows
 * of all clips end to end, source before target; `lengths` int64 (N,2), frames of each; `joints`
 * float32 (F,22,3) if every clip has them; metadata `keys` and `texts`, JSON lists of N strings,
 * and where the dataset has any, `source_captions` and `target_captions` ("" for none). In the
 * joblib form a caption is the string `caption` of its motion's dictionary. A sample set is the
 * same with `lengths` (N) and no texts. */
me_code motion_dataset_write(const motion_dataset *d, const char *path, me_err *err);

/* ---- sample sets (motion/set.c): generated motions by key ---- */
typedef struct motion_sample {
    const char *key;
    motion_clip clip;
} motion_sample;

typedef struct motion_set {
    int64_t n;
    motion_sample *samples; /* ascending by key, byte-wise */
    char **ignored;         /* names that hold no sample of ours (KEY_source.npy …) */
    int64_t ignored_n;
    motion_notes notes;
    bool survey;         /* opened by motion_set_survey: */
    motion_notes faults; /* samples that cannot be used and are left out, each with its reason */
    me_arena arena;
} motion_set;

/* A folder or zip of KEY.npy (pickled dict with `pose`, or a plain (T,135) array), or one npz or
 * safetensors (key -> array, or mebench's form). Files are read in parallel where threads allow;
 * the result does not depend on it. */
me_code motion_set_open(motion_set *out, const char *path, me_err *err);
/* The same, but a sample that cannot be used (its shape, a NaN, a key that another has) does not
 * end the reading: it is left out and told in `faults`, in the order of keys. */
me_code motion_set_survey(motion_set *out, const char *path, me_err *err);
void motion_set_close(motion_set *s);
const motion_sample *motion_set_find(const motion_set *s, const char *key);
/* ME_EDATA where a key cannot name a file KEY.npy that reads as that key. */
me_code motion_key_check_name(const char *key, me_err *err);
/* The field's form: DIR/KEY.npy, a pickled dict {pose, text}. Each file is written atomically. */
me_code motion_sample_write_npy(const char *dir, const char *key, const motion_clip *clip,
                                const char *text, me_err *err);

#endif
