/* metrics/metric.h: what a metric is.
 *
 * A metric states what it needs; the runner (metrics/protocol.h) computes that once and hands it
 * over as plain arrays. A metric that judges single items emits one value per item in a column; the
 * mean or the median of the column, the average over batches and the bootstrap interval are
 * computed once for all metrics. A metric of the whole set (METRIC_CORPUS) emits its values
 * directly.
 */
#ifndef METRICS_METRIC_H
#define METRICS_METRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

typedef enum { METRIC_HIGHER, METRIC_LOWER } metric_better;

typedef enum {
    METRIC_NEEDS_RANKS = 1,     /* metric_input.position */
    METRIC_NEEDS_EMBEDDINGS = 2 /* metric_input.target, .generated */
} metric_needs;

typedef enum {
    METRIC_MEAN,   /* value = mean of the column */
    METRIC_MEDIAN, /* value = median of the column (mean of the two middle values for even n) */
    METRIC_CORPUS  /* the metric emits the value itself */
} metric_aggregate;

/* The items of one gallery. What a metric did not ask for may be NULL. */
typedef struct metric_input {
    int64_t n;
    const double *position; /* (n) 0-based rank of the matching item, ties averaged */
    int64_t dim;
    const float *target, *generated; /* (n,dim) embeddings as the encoder gives them */
    uint64_t seed;                   /* of repeated splits, where a metric makes any */
    int splits;
    int64_t batch_used;         /* items that the batch protocol uses, */
    const int64_t *batch_index; /* and their indices, in its order */
} metric_input;

#define METRIC_MAX_COLUMNS 32

typedef struct metric_column {
    const char *label; /* "R@1": the key in result documents */
    metric_aggregate aggregate;
    metric_better better;
    double *values;     /* (n), or NULL for METRIC_CORPUS */
    double value;       /* METRIC_CORPUS */
    const char *reason; /* METRIC_CORPUS: why there is no value, or NULL */
} metric_column;

/* Where `run` puts its columns. */
typedef struct metric_sink {
    me_arena *arena;
    int64_t n;
    int columns;
    metric_column column[METRIC_MAX_COLUMNS];
} metric_sink;

typedef struct metric metric;
struct metric {
    const char *name; /* "recall" */
    const char *unit; /* "%" */
    metric_better better;
    unsigned needs; /* metric_needs, or-ed */
    metric_aggregate aggregate;
    const char *params; /* default parameters, "1,2,3,5,10", or NULL */
    const char *doc, *cite;
    me_code (*run)(metric_sink *sink, const metric *self, const metric_input *in, me_err *err);
};

/* For `run`: a new column of n values to fill, or one value of the whole set (with a NULL reason),
 * or the reason why there is none. The label is copied. */
me_code metric_emit_column(double **values, metric_sink *sink, const metric *self,
                           const char *label, me_err *err);
me_code metric_emit_value(metric_sink *sink, const metric *self, const char *label, double value,
                          const char *reason, me_err *err);

#endif
