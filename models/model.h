/* models/model.h: what the training loop needs of a model, and nothing else. A model is an object:
 * it owns its parameters and its copy of the data, gives the loss of a batch, validates itself and
 * adds what a checkpoint must hold beside weights. MODEL_LIST in models.h names them all.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "core/log.h"
#include "core/opt.h"
#include "motion/motion.h"
#include "nn/params.h"
#include "nn/text.h"

typedef struct model model;

typedef struct model_setup {
    nn_backend *be;
    const motion_dataset *data; /* borrowed for model_open alone */
    nn_text *text;       /* borrowed while the model lives; NULL where the model reads none */
    const void *options; /* filled from the kind's table; borrowed while the model lives */
    uint64_t seed;       /* of the initial values */
    nn_precision precision;
    me_log *log;
} model_setup;

/* The terms of a loss for log and curves: (1,1) f32 tensors on the back end, in a fixed order. */
#define MODEL_MOST_TERMS 8
typedef struct model_terms {
    int n;
    const char *name[MODEL_MOST_TERMS];
    nn_tensor *value[MODEL_MOST_TERMS];
} model_terms;

typedef struct model_batch {
    int64_t step;         /* counted from 0; with `seed` it is all the randomness that a step has */
    uint64_t seed;        /* of the run */
    const int64_t *items; /* which of the model's training items */
    int64_t n;
} model_batch;

/* Scores of a validation: name and value, in a fixed order. */
#define MODEL_MOST_SCORES 16
typedef struct model_scores {
    int n;
    const char *name[MODEL_MOST_SCORES];
    double value[MODEL_MOST_SCORES];
    int64_t items; /* how many were scored */
} model_scores;

typedef struct model_kind {
    const char *name, *doc, *cite;
    const me_opt *options; /* its own table, beside the trainer's */
    size_t options_size;

    me_code (*open)(model **out, const model_setup *setup, me_err *err);
    void (*close)(model *m);
    /* The weighted sum to minimise; failures are sticky in ctx. */
    nn_tensor *(*loss)(model *m, nn_ctx *ctx, const model_batch *batch, model_terms *terms);
    me_code (*validate)(model *m, nn_ctx *ctx, model_scores *out, me_err *err);
    /* Arrays (statistics) and strings (configuration) that make a checkpoint self-describing. */
    me_code (*describe)(model *m, me_arena *arena, me_value *tensors, me_value *metadata,
                        me_err *err);
    /* What users of the trained model load, written into `folder`; NULL: the checkpoint is that. */
    me_code (*export_to)(model *m, const char *folder, me_err *err);
} model_kind;

struct model {
    const model_kind *kind;
    nn_params params;
    int64_t items;           /* to train on */
    const char *const *keys; /* (items): for messages */
};

/* ---- initial values as PyTorch's layers have them; each parameter draws from its own stream,
 * chosen by its name, so that a model's other parameters do not move them
 * -------------------------------------------- */
typedef enum {
    MODEL_INIT_ZERO,
    MODEL_INIT_ONE,
    MODEL_INIT_NORMAL,  /* N(0, scale) */
    MODEL_INIT_UNIFORM, /* U(-scale, scale) */
    MODEL_INIT_LINEAR,  /* nn.Linear: U(+-1/sqrt(fan_in)); for a bias give fan_in as scale */
    MODEL_INIT_XAVIER   /* U(+-sqrt(6/(fan_in+fan_out))) */
} model_init;
/* `stream` NULL: the parameter's own name. Equal streams give equal values (layers copied from
 * one). */
me_code model_initialize(nn_params *p, const char *name, model_init how, double scale,
                         uint64_t seed, const char *stream, me_err *err);

#endif
