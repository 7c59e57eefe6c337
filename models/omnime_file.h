/* models/omnime_file.h: OmniME's weights as files: our checkpoints, Lightning checkpoints of the
 * reference ("state_dict", names behind "denoiser."), and plain state dictionaries. */
#ifndef MODEL_OMNIME_FILE_H
#define MODEL_OMNIME_FILE_H

#include "models/omnime_net.h"
#include "motion/editor.h"

/* What a checkpoint says beside weights. */
typedef struct model_omnime_about {
    model_omnime_config config;
    const motion_editor_stats *stats;
    int64_t s_max; /* 0: the batch's longest source */
    const char *text_identity;
} model_omnime_about;

me_code model_omnime_describe(const model_omnime_about *about, nn_params *frozen, me_arena *arena,
                              me_value *tensors, me_value *metadata, me_err *err);

/* For files of the reference, which say nothing about these; 0 and NULL: as released. */
typedef struct model_omnime_hints {
    int64_t heads;
    const char *dit_text, *dit_source;
    const char *stats; /* the reference's .npy of statistics; needed there, refused where the file
                          brings its own */
} model_omnime_hints;

typedef struct model_omnime_file {
    nn_params params, frozen;
    model_omnime_net net;
    motion_editor_stats stats;
    int64_t s_max;
    const char *text_identity; /* "hash:256", "clip:<sha256>"; NULL: the file does not say */
    const char *kind;          /* "omnime", "simmotionedit", "reference" */
    int64_t step;              /* of training; -1: not said */
    char sha256[65];
    me_arena arena;
} model_omnime_file;

me_code model_omnime_open(model_omnime_file *out, const char *path, const model_omnime_hints *hints,
                          nn_backend *be, me_err *err);
void model_omnime_close(model_omnime_file *file);

/* Our checkpoint or its weights alone (models/checkpoint.h) as the reference's: `weights` (.ckpt or
 * .pt) with the averaged parameters where there are any, `stats` the .npy that model_omnime_hints
 * names. */
me_code model_omnime_to_reference(const char *weights, const char *stats, const char *from,
                                  me_err *err);

/* The reference's names of motion_editor_groups. */
extern const char *const model_omnime_feature_names[MOTION_EDITOR_GROUPS];

/* "none", "fused", "raw". */
model_dit_text model_dit_text_of(const char *name);
/* A number of at least 1, or "batch": 0. */
me_code model_omnime_s_max(int64_t *out, const char *text, me_err *err);

#endif
