/* metrics/metrics.h: the list of metrics, in report order. To add one: a file metrics/NAME.c that
 * defines `const metric metric_NAME`, and its name here.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "metrics/metric.h"

// clang-format off
#define METRIC_LIST(X)                                                                             \
    X(recall)                                                                                      \
    X(median_rank)                                                                                 \
    X(mean_rank)                                                                                   \
    X(fid)                                                                                         \
    X(fid_sound)                                                                                   \
    X(kid)
// clang-format on

#define X(id) extern const metric metric_##id;
METRIC_LIST(X)
#undef X

/* All metrics, NULL-terminated. */
extern const metric *const metric_list[];

/* NULL when there is none of that name. */
const metric *metric_find(const char *name);
/* Runs every metric whose needs are within `needs`, in list order. */
me_code metric_run_all(metric_sink *sink, const metric_input *in, unsigned needs, me_err *err);

#endif
