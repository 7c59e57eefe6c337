/* eval/editing.h: what `sample` and `edit` share: options of the sampler, the model and its text
 * encoder. */
#ifndef EVAL_EDITING_H
#define EVAL_EDITING_H

#include "eval/commands.h"
#include "eval/shared_options.h"
#include "models/sampler.h"
#include "nn/backend.h"

typedef struct eval_editing_options {
    const char *model, *text, *text_cache;
    int64_t heads;
    const char *dit_text, *dit_source, *stats;
    int64_t steps, batch, seed;
    const char *guidance, *cfg, *uncond_mask, *s_max;
    const char *device, *precision;
    int64_t threads;
} eval_editing_options;

/* Rows of a command's table; T has a member `editing`. "text" is left to the command, since `edit`
 * calls its instruction so. */
extern const me_opt eval_editing_table[];

typedef struct eval_editing {
    nn_backend *be;
    nn_text *text;
    model_omnime_file file;
    model_sample_options how;
} eval_editing;

me_code eval_editing_open(eval_editing *out, const eval_editing_options *o, me_log *log,
                          me_err *err);
void eval_editing_close(eval_editing *e);

/* The motions that `sample --model MODEL` with its other defaults makes of the selected pairs, in
 * `out`, from the arena. Where the dataset's file holds joints, they must have been read. */
typedef struct eval_editing_job {
    const char *model, *device; /* device: NULL for auto */
    int64_t threads;
    const motion_dataset *data;
    const int64_t *selected;
    int64_t n;
} eval_editing_job;
me_code eval_editing_make(motion_clip *out, me_arena *arena, const eval_editing_job *job,
                          me_log *log, me_err *err);

#endif
