/* eval/reproduce.h: a study: models, switches and seeds that one JSON file names, as a list of
 * stages (synth, train, sample, eval), each of which is one of this program's commands with its
 * options, and the table that they end in.
 *
 *   OUT/data/dataset.safetensors          where the study makes its data
 *   OUT/tmr/                              where it trains its embedder
 *   OUT/rows/ROW/seed-N/train/            what `train` writes; samples/, eval/ likewise
 *   OUT/rows/ROW/seed-N/train.json        written when that stage is done, with its options
 *   OUT/results.json, .md, .csv, .tex, .txt
 *
 * Several processes may work at one study: each takes a row and seed that nobody has.
 *
 * A stage that has its record is not run again; one that was cut short goes on where it stood,
 * since `train` and `sample` resume. A record whose options differ from those of the file is an
 * error: results of two studies do not mix.
 */
#ifndef EVAL_REPRODUCE_H
#define EVAL_REPRODUCE_H

#include "eval/commands.h"

typedef struct eval_stage {
    const eval_command *command;
    const char *title; /* "OmniME, seed 2: train" */
    const char *where; /* in the file: "rows[1]" */
    me_value *given;   /* options that decide what comes out: what the record holds */
    me_value *options; /* those and the places: what the command gets */
    char **operand;    /* (operands) */
    int operands;
    const char *record; /* the file that says that it is done */
    const char *begins; /* what exists once it has begun, or NULL */
} eval_stage;

typedef struct eval_study_run {
    int64_t seed;       /* -1: none */
    const char *folder; /* of result.json and ranks.csv */
    const char *path;   /* of result.json within OUT */
} eval_study_run;

typedef struct eval_study_row {
    const char *name;
    const char *published; /* the system whose published numbers stand beside it, or NULL */
    const char *about;     /* or NULL */
    bool trained;          /* by the study; else seeds are those of sampling alone */
    eval_study_run *run;   /* (runs) */
    int runs;
    const me_value *plan; /* as the file has it */
} eval_study_row;

typedef struct eval_study {
    const char *file, *out, *name;
    const char *dataset;    /* a path, made by the first stage where the file asks for that */
    const char *benchmark;  /* stated by the file, or NULL */
    const me_value *plan;   /* the file */
    eval_stage *stage;      /* (stages) in the order in which they run */
    int64_t stages, shared; /* the first `shared` of them are needed by all others */
    eval_study_row *row;    /* (rows) */
    int64_t rows;
} eval_study;

/* Reads and checks the whole file, down to the options of every stage, before anything runs. */
me_code eval_study_read(eval_study *out, me_arena *arena, const char *file, const char *folder,
                        me_err *err);

typedef enum { EVAL_STAGE_OPEN, EVAL_STAGE_BEGUN, EVAL_STAGE_DONE } eval_stage_state;
eval_stage_state eval_stage_look(const eval_stage *stage);

/* Runs what is not done, and beside other processes at the same study only what they do not have;
 * returns when all is done. ME_ECHECK where a signal stopped a training: it is saved, and the same
 * call goes on. */
me_code eval_study_run_all(const eval_study *study, me_arena *arena, me_log *log, me_err *err);

/* Takes the lock of a folder of a study; *lock is -1 where another process has it and `wait` is
 * not set. A process that dies loses its locks. */
me_code eval_study_lock(int *lock, me_arena *arena, const char *folder, bool wait, me_err *err);
void eval_study_unlock(int lock);

/* The document of a finished study, schema "mebench.reproduction/1" (reports/reproduction.c reads
 * it). It holds nothing that depends on the clock or on where OUT is. */
me_code eval_study_result(me_value **out, const eval_study *study, me_arena *arena, me_err *err);

#endif
