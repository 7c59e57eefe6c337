/* tests/parity/gradients.c: see gradients.h. */
#include "tests/parity/gradients.h"

#include <math.h>

#include "core/doc.h"
#include "core/file.h"
#include "metrics/result.h"
#include "nn/backend.h"
#include "tests/parity/arrays.h"

/* Every stored array against what `block` of the parameters holds. */
static me_code check_arrays(parity *p, const char *what, const me_value *stored,
                            const nn_params *params, const float *block, double tolerance,
                            me_arena *arena, me_err *err)
{
    me_code code = ME_OK;
    for (int64_t i = 0; i < params->n && !code; i++) {
        const nn_param *q = &params->items[i];
        if (!me_dict_get(stored, q->name)) continue;
        float *reference;
        int64_t count;
        code = parity_floats(&reference, &count, stored, q->name, arena, err);
        if (!code && count != nn_count(&q->tensor))
            code = me_fail(err, ME_EFORMAT, "%s %s has another size", what, q->name);
        if (!code)
            parity_error(p, me_arena_printf(arena, "%s %s", what, q->name),
                         parity_distance(block + q->offset, reference, count), tolerance);
    }
    return code;
}

static void check_norms(parity *p, const me_value *golden, const nn_params *params,
                        const float *grad, me_arena *arena)
{
    const me_value *norms = me_dict_get(golden, "grad_norms");
    double largest = 0;
    for (int64_t i = 0; norms && i < params->n; i++)
        largest = fmax(largest, metric_result_number(norms, params->items[i].name));
    for (int64_t i = 0; norms && i < params->n; i++) {
        const nn_param *q = &params->items[i];
        const me_value *v = me_dict_get(norms, q->name);
        if (!v) continue;
        const double wanted = v->kind == ME_INT ? (double)v->as.integer : v->as.number;
        double sum = 0;
        for (int64_t k = 0; k < nn_count(&q->tensor); k++)
            sum += (double)grad[q->offset + k] * (double)grad[q->offset + k];
        /* A gradient that vanishes in exact arithmetic is rounding noise in both. */
        parity_error(p, me_arena_printf(arena, "norm of the gradient of %s", q->name),
                     fabs(sqrt(sum) - wanted) / fmax(wanted, 1e-5 * largest), 1e-4);
    }
}

me_code parity_check_step(parity *p, nn_ctx *ctx, nn_params *params, const char *folder, double lr,
                          me_arena *arena, me_err *err)
{
    float *host = ME_NEW_ARRAY(arena, params->size, float);
    if (!host) return me_fail_mem(err, "parameters");
    me_doc after;
    me_code code = me_doc_open(&after, me_path_join(arena, folder, "after_adamw.npz"), err);
    if (code) return code;
    nn_adamw_options o = nn_adamw_defaults();
    o.lr = (float)lr;
    code = nn_adamw_step(ctx, params, &o, NULL, err);
    if (!code) {
        params->be->download(params->be, host, params->data, (size_t)params->size * sizeof *host);
        code = params->be->status(params->be, err);
    }
    if (!code) code = check_arrays(p, "after AdamW", after.root, params, host, 1e-6, arena, err);
    me_doc_close(&after);
    return code;
}

me_code parity_check_gradients(parity *p, nn_params *params, const char *folder,
                               const me_value *golden, me_arena *arena, me_err *err)
{
    float *grad = ME_NEW_ARRAY(arena, params->size, float);
    if (!grad) return me_fail_mem(err, "gradients");
    params->be->download(params->be, grad, params->grad, (size_t)params->size * sizeof *grad);
    me_doc grads;
    me_code code = params->be->status(params->be, err);
    if (!code) code = me_doc_open(&grads, me_path_join(arena, folder, "grads.npz"), err);
    if (code) return code;
    code = check_arrays(p, "gradient of", grads.root, params, grad, 1e-4, arena, err);
    me_doc_close(&grads);
    check_norms(p, golden, params, grad, arena);
    return code;
}
