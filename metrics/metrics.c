/* metrics/metrics.c: see metrics.h. */
#include "metrics/metrics.h"

#include <string.h>

const metric *const metric_list[] = {
#define X(id) &metric_##id,
    METRIC_LIST(X)
#undef X
        NULL,
};

const metric *metric_find(const char *name)
{
    for (int i = 0; metric_list[i]; i++)
        if (strcmp(metric_list[i]->name, name) == 0) return metric_list[i];
    return NULL;
}

me_code metric_run_all(metric_sink *sink, const metric_input *in, unsigned needs, me_err *err)
{
    for (int i = 0; metric_list[i]; i++) {
        const metric *m = metric_list[i];
        if (m->needs & ~needs) continue;
        me_code code = m->run(sink, m, in, err);
        if (code != ME_OK) return code;
    }
    return ME_OK;
}

/* NULL, with err filled, when there is no room. */
static metric_column *new_column(metric_sink *sink, const metric *self, const char *label,
                                 me_err *err)
{
    if (sink->columns == METRIC_MAX_COLUMNS) {
        me_fail(err, ME_EBUG, "metric %s: more than %d columns", self->name, METRIC_MAX_COLUMNS);
        return NULL;
    }
    metric_column *c = &sink->column[sink->columns];
    memset(c, 0, sizeof *c);
    c->label = me_arena_strdup(sink->arena, label);
    c->aggregate = self->aggregate;
    c->better = self->better;
    if (!c->label) {
        me_fail_mem(err, self->name);
        return NULL;
    }
    sink->columns++;
    return c;
}

me_code metric_emit_column(double **values, metric_sink *sink, const metric *self,
                           const char *label, me_err *err)
{
    metric_column *c = new_column(sink, self, label, err);
    if (!c) return err ? err->code : ME_EMEM;
    c->values = ME_NEW_ARRAY(sink->arena, sink->n, double);
    *values = c->values;
    return c->values ? ME_OK : me_fail_mem(err, self->name);
}

me_code metric_emit_value(metric_sink *sink, const metric *self, const char *label, double value,
                          const char *reason, me_err *err)
{
    metric_column *c = new_column(sink, self, label, err);
    if (!c) return err ? err->code : ME_EMEM;
    c->value = value;
    if (reason) {
        c->reason = me_arena_strdup(sink->arena, reason);
        if (!c->reason) return me_fail_mem(err, self->name);
    }
    return ME_OK;
}
