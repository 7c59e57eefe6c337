/* metrics/mean_rank.c: AvgR (spec evaluation 5.5). */
#include "metrics/metrics.h"

static me_code mean_rank_run(metric_sink *sink, const metric *self, const metric_input *in,
                             me_err *err)
{
    double *rank;
    me_code code = metric_emit_column(&rank, sink, self, "AvgR", err);
    for (int64_t i = 0; code == ME_OK && i < in->n; i++) rank[i] = in->position[i] + 1;
    return code;
}

const metric metric_mean_rank = {
    .name = "mean_rank",
    .unit = "rank",
    .better = METRIC_LOWER,
    .needs = METRIC_NEEDS_RANKS,
    .aggregate = METRIC_MEAN,
    .doc = "Mean of the 1-based ranks of the queries' own items, ties averaged. It grows with the "
           "gallery: values "
           "from galleries of different size are not comparable. A guess scores (n+1)/2.",
    .cite = "Petrovich et al., TMR, ICCV 2023; Li et al., SimMotionEdit, CVPR 2025",
    .run = mean_rank_run,
};
