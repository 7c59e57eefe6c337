/* eval/run.h: one evaluation from files to the result document. `mebench eval`, the parity program
 * and the tests all run this. */
#ifndef EVAL_RUN_H
#define EVAL_RUN_H

#include "core/log.h"
#include "core/value.h"
#include "eval/selection.h"
#include "metrics/protocol.h"
#include "tmr/embed.h"

typedef struct eval_options {
    const char *dataset;   /* a file that motion_dataset_open reads */
    const char *generated; /* what motion_set_open reads, "baseline:NAME", or "editor:FILE" */
    const char *tmr;       /* what tmr_open reads */
    const char *splits;    /* splits.json, or NULL: one beside the dataset */
    const char *split;     /* NULL: test where splits are known */
    const char *subset;    /* NULL: all */
    const char *device;    /* NULL: auto */
    int threads;           /* 0: all cores */
    nn_precision precision;
    tmr_gelu gelu;
    bool both_gelu; /* the other form too, and how many ranks differ */
    bool full, batch32;
    bool baselines;      /* ground truth and copy-source beside the samples */
    bool strict;         /* missing or extra samples are an error */
    bool orthonormalise; /* an extra row with the generations' 6D made orthonormal */
    bool align_heading;  /* an extra row with headings aligned, even where they agree */
    int64_t batch_clips; /* see tmr_embed_options */
    int resamples;       /* of the bootstrap; 0: none */
    int other_shuffles;  /* of batch32 */
    uint64_t seed;       /* bootstrap, splits of the FID floor, seeded baselines */
    const char *name;    /* of the result; NULL: what --generated's path ends with */
} eval_options;

eval_options eval_options_default(void);

/* What is embedded: one row each, of the scored pairs, in the dataset's order. */
typedef enum {
    EVAL_SOURCE,
    EVAL_TARGET,
    EVAL_GENERATED,
    EVAL_COPY_SOURCE, /* the source cut to the target's length */
    EVAL_ORTHONORMAL, /* generated, 6D made orthonormal */
    EVAL_ALIGNED,     /* generated, turned to its source's first heading */
    EVAL_ROLES
} eval_role;

/* How far the two forms of GELU disagree. */
typedef struct eval_gelu_difference {
    int64_t full[2], batch32[2]; /* ranks that differ, to target and to source; -1: not computed */
    double similarity;           /* largest difference of an own pair's similarity */
} eval_gelu_difference;

typedef struct eval_run {
    motion_dataset dataset;
    motion_set set;
    tmr_encoder encoder;
    nn_backend *be;
    eval_selection selected;
    float *embedding[EVAL_ROLES]; /* (n, width) or NULL */
    tmr_embed_report report;
    metric_evaluation evaluation; /* the samples' */
    eval_gelu_difference gelu;
    me_value *result; /* the document */
    double seconds_read, seconds_embed, seconds_score;
    me_arena arena;
} eval_run;

me_code eval_run_open(eval_run *out, const eval_options *options, me_log *log, me_err *err);
void eval_run_close(eval_run *r);

#endif
