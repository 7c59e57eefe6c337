/* models/trainer.h: one training loop for every model.
 *
 * All randomness of step s follows from (seed, s): the order of the data, dropout, noise. So a
 * checkpoint needs no generator state, and a run that was stopped and resumed is bit-equal to one
 * that was not.
 *
 * OUT/last.safetensors   weights, moments, average, step, statistics, configuration; written
 * atomically OUT/curves.csv         one row a logged step: step, epoch, lr, loss and its terms,
 * gradient norm, steps/s OUT/validation.csv     one row a validation OUT/events.out.tfevents.*  the
 * same for TensorBoard OUT/options.json       what was used
 */
#ifndef MODEL_TRAINER_H
#define MODEL_TRAINER_H

#include <signal.h>

#include "models/model.h"

typedef struct model_train_options {
    int64_t steps, epochs; /* steps 0: epochs count */
    int64_t batch, accumulate;
    double lr, lr_final, weight_decay, beta1, beta2, clip, ema;
    const char *schedule; /* "constant", "cosine" */
    int64_t warmup;       /* steps of linear rise */
    int64_t seed;
    int64_t log_every, validate_every; /* steps; validate_every 0: at the end alone */
    double save_minutes;
    bool tensorboard;
} model_train_options;

extern const me_opt model_train_table[];

typedef struct model_train_run {
    const char *out; /* folder */
    bool resume;     /* continue from OUT/last.safetensors where it exists, else start */
    const char *dataset_sha256, *text_identity, *command; /* provenance; NULL: left out */
    const volatile sig_atomic_t *stop; /* set by a signal handler: save and return */
    int64_t stop_at;                   /* > 0: as if a signal came before this step (tests) */
    nn_precision precision;
    me_log *log;
} model_train_run;

typedef struct model_train_result {
    int64_t step;  /* steps done */
    int64_t steps; /* asked for */
    bool finished; /* false: stopped early, and saved */
    double loss;   /* of the last logged step */
    double seconds, steps_per_second;
    size_t peak_bytes;   /* of device memory; 0 on the cpu */
    model_scores scores; /* of the last validation */
} model_train_result;

/* Trains `m` from where it stands. `options_echo`: the options of trainer and model as a
 * dictionary; a resumed run must have the same, but for those that only say how long and how often.
 */
me_code model_train(model *m, const model_train_options *o, const model_train_run *run,
                    const me_value *options_echo, model_train_result *result, me_err *err);

/* The items of step s: a fresh permutation each epoch; the last batch of an epoch may be smaller.
 */
int64_t model_steps_per_epoch(int64_t items, int64_t batch);
int64_t model_batch_items(int64_t *out, int64_t items, int64_t batch, int64_t step, uint64_t seed,
                          int64_t *permutation, int64_t *permutation_epoch);
double model_learning_rate(const model_train_options *o, int64_t step, int64_t steps);

#endif
