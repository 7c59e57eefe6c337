/* eval/run_priv.h: what run.c hands to run_result.c. */
#ifndef EVAL_RUN_PRIV_H
#define EVAL_RUN_PRIV_H

#include "eval/run.h"
#include "eval/traps.h"
#include "nn/backend.h"

typedef struct eval_row {
    const char *name;
    metric_evaluation evaluation;
} eval_row;

typedef struct eval_state {
    eval_run *run;
    const eval_options *options;
    me_log *log;
    eval_facts facts;
    motion_notes warnings; /* of the readers, already shown */
    float *other;          /* embeddings of source, target, generated in the other form of GELU */
    eval_row rows[4];      /* beside the samples */
    int rows_n;
} eval_state;

/* Builds run->result from everything above, running the checks of the traps table. */
me_code eval_result_make(eval_state *s, me_err *err);

#endif
