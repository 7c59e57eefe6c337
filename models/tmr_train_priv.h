/* models/tmr_train_priv.h: what tmr_train.c and tmr_export.c share. */
#ifndef MODEL_TMR_TRAIN_PRIV_H
#define MODEL_TMR_TRAIN_PRIV_H

#include "models/rows.h"
#include "models/tmr_model.h"

typedef struct model_tmr_train {
    model base;
    const model_tmr_options *o;
    nn_backend *be;
    model_tmr_net net;
    me_arena arena;
    int64_t train_n, all_n;  /* training items first, then those of validation */
    const int64_t *sentence; /* (all_n): which of the distinct texts */
    model_rows motion;       /* all_n motions, normalised */
    model_rows text;         /* the distinct texts */
    float *sentences;        /* (texts, sentence_width) unit rows */
    int64_t sentence_width;
    double threshold;
    float mean[MOTION_POSE], std[MOTION_POSE];
    nn_tensor positions;
    const char *text_identity;
    me_log *log;
} model_tmr_train;

me_code model_tmr_describe(model *m, me_arena *arena, me_value *tensors, me_value *metadata,
                           me_err *err);
me_code model_tmr_export(model *m, const char *folder, me_err *err);

#endif
