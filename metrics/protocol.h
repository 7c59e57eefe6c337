/* metrics/protocol.h: which items form which gallery, and the whole evaluation (spec evaluation 5).
 *
 * Two protocols: `full` (one gallery of all items, in the dataset's order) and `batch32` (keys
 * sorted, shuffled by NumPy's legacy generator, floor(n/32) galleries of 32, the rest dropped). In
 * both, the rows (queries) are targets or sources and the columns (gallery) are generated motions:
 * what the papers call "generated-to-target" is the target searching among generated motions. The
 * other orientation, generated motions searching among targets or sources, is computed as an extra
 * ("transposed").
 */
#ifndef METRICS_PROTOCOL_H
#define METRICS_PROTOCOL_H

#include "metrics/metric.h"
#include "metrics/ranks.h"

/* The arrays of one evaluation, all in the order of the "full" protocol: the dataset's. */
typedef struct metric_set {
    int64_t n, dim;
    const char *const *keys;                  /* (n) */
    const float *source, *target, *generated; /* (n,dim) embeddings as the encoder gives them */
} metric_set;

typedef struct metric_options {
    bool full, batch32;  /* protocols to compute */
    uint32_t batch_seed; /* 0, as the reference */
    int other_shuffles;  /* further shuffles, seeds 1, 2, …: mean and s.d. of batch32; 0: none */
    bool transposed;     /* the other orientation too */
    bool corpus;         /* FID and its kin */
    int fid_splits;      /* repeated halves for the same-distribution floor */
    int resamples;       /* of the bootstrap; 0: no intervals */
    uint64_t seed;       /* of bootstrap and splits */
} metric_options;

/* Everything on: both protocols, 20 other shuffles, transposed, corpus with 5 splits, 1000
 * resamples. */
metric_options metric_options_default(void);
/* What the rows beside a submission need: no other shuffles, transposed, corpus; intervals stay. */
metric_options metric_options_row(void);

#define METRIC_BATCH 32

typedef struct metric_batches {
    int64_t batches, batch_size, dropped;
    uint32_t seed;
    int64_t
        *index; /* (n) indices into the set: batches * batch_size in order, then the dropped ones */
} metric_batches;

/* Sorts keys byte-wise, shuffles, cuts into batches. Fewer than batch_size keys give 0 batches. */
me_code metric_batches_make(metric_batches *out, me_arena *arena, const char *const *keys,
                            int64_t n, int64_t batch_size, uint32_t seed, me_err *err);

/* One number of one protocol and direction. */
typedef struct metric_score {
    const char *label; /* "R@1" */
    metric_better better;
    double value;
    double lo, hi;                     /* 95 % bootstrap interval; equal NAN when there is none */
    double tie_lo, tie_hi;             /* where all near-ties fall one way, and the other */
    double same;                       /* duplicate-aware */
    double shuffles_mean, shuffles_sd; /* batch32 over other shuffles; NAN when there are none */
} metric_score;

/* One protocol in one direction. */
typedef struct metric_block {
    int64_t n;       /* queries */
    int64_t gallery; /* items per gallery */
    int scores;
    metric_score *score;
    metric_rank *rank;  /* (set.n) in the set's order; equal == 0 where the item was dropped */
    int64_t near_pairs; /* pairs with 0 < |S_ij - S_ii| < METRIC_NEAR_TIE */
    double near_gap;    /* the smallest non-zero gap; INFINITY when there is none */
} metric_block;

typedef enum {
    METRIC_TO_TARGET,
    METRIC_TO_SOURCE,
    METRIC_TARGET_TRANSPOSED, /* generated motions search among targets */
    METRIC_SOURCE_TRANSPOSED,
    METRIC_DIRECTIONS
} metric_direction;

typedef struct metric_evaluation {
    metric_options options;
    int64_t n, dim;
    const char *const *keys;
    metric_block *full[METRIC_DIRECTIONS];    /* NULL where not computed */
    metric_block *batch32[METRIC_DIRECTIONS]; /* NULL where not computed */
    metric_batches batches;
    const char *no_batches; /* why there is no batch32, or NULL */
    metric_groups source_groups, target_groups, generated_groups;
    int corpus;                  /* columns of metrics of the whole set */
    metric_column *corpus_value; /* label, value, reason */
} metric_evaluation;

/* Computes what options ask for. All of it lives in the arena. n == 0 is ME_EDATA. */
me_code metric_evaluate(metric_evaluation *out, me_arena *arena, const metric_set *set,
                        const metric_options *options, me_err *err);

/* Value of a score by its label; NAN when absent. */
double metric_block_value(const metric_block *b, const char *label);
/* Chance level of a label for galleries of n: R@k 100 k/n, MedR and AvgR (n+1)/2; NAN for others.
 */
double metric_chance(const char *label, int64_t n);

/* ---- subsets ---- */
/* Positions of the dataset's keys to be scored, ascending (the dataset's order is kept).
 * name: "all"; "legacy506-simmotionedit", "legacy506-omnime" (the halves that the two repositories
 * draw with CPython's random.sample, seed 42: 506 of 1013; int(n/2) of other n, then with a
 * warning); else the path of a file of keys: one a line, or a JSON list of strings. */
typedef struct metric_subset {
    const char *name; /* "all", "legacy506-omnime" or "file:NAME" */
    int64_t n;
    int64_t *index;
    const char *warning; /* what a user should know, or NULL */
} metric_subset;
me_code metric_subset_make(metric_subset *out, me_arena *arena, const char *name,
                           const char *const *keys, int64_t n, me_err *err);

/* SHA-256 of the keys in order, each followed by a newline. */
void metric_keys_sha256(char out[65], const char *const *keys, int64_t n);

#endif
