/* models/sampler.h: motions from a trained OmniME or SimMotionEdit (spec omnime 5.3, 9). A sample's
 * noise follows from (seed, key), and its tokens stand alone in the batch: what comes out for a key
 * does not depend on what else was sampled with it, unless the reference's S_max rule is asked for.
 */
#ifndef MODEL_SAMPLER_H
#define MODEL_SAMPLER_H

#include "core/log.h"
#include "models/omnime_file.h"
#include "models/omnime_guide.h"
#include "motion/motion.h"
#include "nn/text.h"

#define MODEL_S_MAX_OF_FILE (-1)

typedef struct model_sample_job {
    const char *key, *text;
    const motion_clip *source;
    int64_t frames; /* of the motion to make */
} model_sample_job;

typedef struct model_sample_options {
    int64_t steps; /* of the schedule's; 0: all */
    double motion, both;
    model_cfg cfg;
    bool hide_unconditional;
    uint64_t seed;
    int64_t batch; /* 0: as many as suit a GPU */
    int64_t s_max; /* MODEL_S_MAX_OF_FILE, 0: the batch's longest source, else the number */
    nn_precision precision;
    me_log *log;
} model_sample_options;

/* Gets each finished motion, in the order of the jobs; `clip` is borrowed for the call. An error
 * stops the run. */
typedef me_code (*model_sample_done)(void *arg, int64_t job, const motion_clip *clip, me_err *err);

/* The text encoder must be the one that the model was trained with, and is checked to be. */
me_code model_sample(model_omnime_file *file, nn_text *text, const model_sample_job *jobs,
                     int64_t n, const model_sample_options *options, model_sample_done done,
                     void *arg, me_err *err);

#endif
