/* tests/unit/models_training.h: a small TMR on a small synthetic benchmark, for the tests of
 * models/. */
#ifndef MODELS_TRAINING_H
#define MODELS_TRAINING_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/doc.h"
#include "core/file.h"
#include "models/models.h"
#include "models/tmr_model.h"
#include "models/trainer.h"
#include "motion/synth.h"
#include "nn/backend.h"
#include "tests/unit/folder.h"

typedef struct small_run {
    motion_dataset data;
    nn_backend *be;
    nn_text *text;
    me_arena arena;
    model_tmr_options own;
    model_train_options train;
    me_value *echo;
    char folder[FOLDER_PATH];
    model *m;
} small_run;

static inline void small_run_open(small_run *r)
{
    me_err err = {0};
    memset(r, 0, sizeof *r);
    motion_synth_options s = motion_synth_defaults(24, 5);
    s.min_frames = 40;
    s.max_frames = 60;
    s.val_share = 0.2;
    s.test_share = 0;
    cr_assert_eq(motion_synth(&r->data, &s, NULL, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(nn_cpu_open(&r->be, 1, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(nn_text_open(&r->text, "hash:32", r->be, NULL, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(me_opt_defaults(model_tmr_table, &r->own, &r->arena, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(me_opt_defaults(model_train_table, &r->train, &r->arena, &err), ME_OK, "%s",
                 err.msg);
    r->own.width = 16;
    r->own.ff = 24;
    r->own.heads = 2;
    r->own.layers = 2;
    r->train.batch = 4;
    r->train.steps = 12;
    r->train.log_every = 3;
    r->train.ema = 0.9;
    r->train.tensorboard = false;
    folder_make(r->folder);
}

static inline void small_run_close_model(small_run *r)
{
    if (r->m) r->m->kind->close(r->m);
    r->m = NULL;
}

static inline me_code small_run_open_model(small_run *r, me_err *err)
{
    small_run_close_model(r);
    const model_setup setup = {.be = r->be,
                               .data = &r->data,
                               .text = r->text,
                               .options = &r->own,
                               .seed = (uint64_t)r->train.seed};
    return model_kind_tmr.open(&r->m, &setup, err);
}

/* Trains the model that is open in the run's folder. */
static inline me_code small_run_train_model(small_run *r, bool resume, int64_t stop_at,
                                            model_train_result *result, me_err *err)
{
    r->echo = me_opt_echo(model_train_table, &r->train, &r->arena);
    const model_train_run run = {.out = r->folder, .resume = resume, .stop_at = stop_at};
    return model_train(r->m, &r->train, &run, r->echo, result, err);
}

/* The same with a fresh model. */
static inline me_code small_run_train(small_run *r, bool resume, int64_t stop_at,
                                      model_train_result *result, me_err *err)
{
    me_code code = small_run_open_model(r, err);
    return code ? code : small_run_train_model(r, resume, stop_at, result, err);
}

static inline const char *small_run_path(small_run *r, const char *name)
{
    return me_path_join(&r->arena, r->folder, name);
}

static inline void small_run_close(small_run *r)
{
    small_run_close_model(r);
    folder_remove(r->folder);
    nn_text_close(r->text);
    nn_backend_close(r->be);
    motion_dataset_close(&r->data);
    me_arena_release(&r->arena);
}

#endif
