/* metrics/recall.c: R@k (spec evaluation 5.5). */
#include <stdio.h>
#include <stdlib.h>

#include "metrics/metrics.h"

static me_code recall_run(metric_sink *sink, const metric *self, const metric_input *in,
                          me_err *err)
{
    for (const char *p = self->params; *p;) {
        char *end;
        long k = strtol(p, &end, 10);
        if (end == p) return me_fail(err, ME_EBUG, "recall: parameters \"%s\"", self->params);
        p = *end == ',' ? end + 1 : end;
        char label[32];
        snprintf(label, sizeof label, "R@%ld", k);
        double *hit;
        me_code code = metric_emit_column(&hit, sink, self, label, err);
        if (code != ME_OK) return code;
        for (int64_t i = 0; i < in->n; i++) hit[i] = in->position[i] < (double)k ? 100 : 0;
    }
    return ME_OK;
}

const metric metric_recall = {
    .name = "recall",
    .unit = "%",
    .better = METRIC_HIGHER,
    .needs = METRIC_NEEDS_RANKS,
    .aggregate = METRIC_MEAN,
    .params = "1,2,3,5,10",
    .doc = "Share of queries whose own item is among the first k of its gallery: R@k = 100 * #{c < "
           "k} / n, "
           "where c is the 0-based rank with tied positions averaged. A two-way tie at the top (c "
           "= 0.5) "
           "is a hit at k = 1, a three-way tie (c = 1) is a miss. Over batches: the mean of the "
           "batches' "
           "values.",
    .cite = "Petrovich et al., TMR, ICCV 2023 (retrieval protocol); Athanasiou et al., MotionFix, "
            "SIGGRAPH Asia 2024",
    .run = recall_run,
};
