/* metrics/retrieval.h: text-to-motion and motion-to-text retrieval as TMR scores it, with the
 * threshold protocol: sentences that say nearly the same count as the same, and the best-ranked of
 * them counts (spec tmr-train).
 */
#ifndef METRICS_RETRIEVAL_H
#define METRICS_RETRIEVAL_H

#include <stdint.h>

#include "core/err.h"

typedef struct metric_retrieval {
    int64_t n;                  /* queries */
    int64_t gallery;            /* items in each gallery */
    double r1, r2, r3, r5, r10; /* per cent */
    double med, avg;            /* 1-based */
} metric_retrieval;

/* Unit rows: query and gallery (n,dim), item i belongs to query i; sentence (n,text_dim), or NULL
 * where every item is only equal to itself. Items of one batch of `batch` form a gallery, in the
 * order of `index` (n); a remainder is dropped. batch 0: one gallery of all. Fewer items than a
 * batch: all zero, n 0. */
me_code metric_retrieve(metric_retrieval *out, const double *query, const double *gallery,
                        int64_t dim, const double *sentence, int64_t text_dim, double threshold,
                        int64_t n, int64_t batch, const int64_t *index, me_err *err);

#endif
