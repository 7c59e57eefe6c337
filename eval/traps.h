/* eval/traps.h: the ways in which this field's evaluation goes wrong without a message (spec
 * evaluation 8), one row each: what happens elsewhere, what this program does, and the check where
 * there is one to make at run time. `mebench list traps` prints the table. */
#ifndef EVAL_TRAPS_H
#define EVAL_TRAPS_H

#include "core/log.h"
#include "core/value.h"
#include "eval/selection.h"

typedef enum {
    EVAL_TRAP_DESIGN,  /* cannot happen here, or is always reported */
    EVAL_TRAP_NOTE,    /* a line on stderr and in the result's "notes" */
    EVAL_TRAP_WARNING, /* a warning there and in the result's "warnings" */
    EVAL_TRAP_ERROR    /* the run stops */
} eval_trap_level;

/* What a run knows when it has finished; everything that a check may look at. */
typedef struct eval_facts {
    const eval_selection *selected;
    const char *dataset, *generated; /* as given on the command line */
    bool own_baseline;               /* the samples are a baseline's, not files */
    char *const *ignored;            /* names in the samples' folder that hold none of ours */
    int64_t ignored_n;
    int64_t cut, shorter,
        one_frame;    /* generations longer, shorter than their target; of one frame */
    double deviation; /* of generated 6D from rotations (motion_orthonormal_deviation) */
    double heading_source, heading_target, heading_generated; /* mean first heading, degrees */
    bool erf;                                                 /* the form of GELU */
    const metric_evaluation *evaluation;
    const metric_evaluation *copy_source; /* NULL: not computed */
} eval_facts;

typedef struct eval_trap {
    int id;
    eval_trap_level level;
    const char *trap;   /* what happens elsewhere */
    const char *answer; /* what this program does */
    /* True where it applies, with one sentence in text. NULL: nothing to check when a run ends. */
    bool (*applies)(char *text, size_t size, const eval_facts *f);
} eval_trap;

extern const eval_trap eval_traps[];
extern const int eval_trap_count;

const char *eval_trap_level_name(eval_trap_level level);
/* The difference of two angles in degrees, in [0, 180]. */
double eval_angle_between(double a, double b);

/* Runs every check: notes and warnings go to the log and to the result, an error ends the run. */
me_code eval_traps_check(me_value *result, me_arena *arena, const eval_facts *f, me_log *log,
                         me_err *err);

#endif
