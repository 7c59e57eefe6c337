/* metrics/median_rank.c: MedR (spec evaluation 5.5). */
#include "metrics/metrics.h"

static me_code median_rank_run(metric_sink *sink, const metric *self, const metric_input *in,
                               me_err *err)
{
    double *rank;
    me_code code = metric_emit_column(&rank, sink, self, "MedR", err);
    for (int64_t i = 0; code == ME_OK && i < in->n; i++) rank[i] = in->position[i] + 1;
    return code;
}

const metric metric_median_rank = {
    .name = "median_rank",
    .unit = "rank",
    .better = METRIC_LOWER,
    .needs = METRIC_NEEDS_RANKS,
    .aggregate = METRIC_MEDIAN,
    .doc = "Median of the 1-based ranks of the queries' own items, ties averaged; the mean of the "
           "two middle "
           "values for an even number of queries. Over batches: the mean of the batches' medians.",
    .cite = "Petrovich et al., TMR, ICCV 2023",
    .run = median_rank_run,
};
