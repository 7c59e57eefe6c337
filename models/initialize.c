/* models/initialize.c: initial values of parameters (model.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "models/model.h"

me_code model_initialize(nn_params *p, const char *name, model_init how, double scale,
                         uint64_t seed, const char *stream, me_err *err)
{
    const nn_param *param = nn_params_find(p, name);
    if (!param) return me_fail(err, ME_EBUG, "no parameter is called %s", name);
    int64_t n = nn_count(&param->tensor);
    int64_t fan_out = param->shape[0], fan_in = param->ndim > 1 ? param->shape[1] : 1;
    float *host = malloc((size_t)n * sizeof *host);
    if (!host) return me_fail_mem(err, name);
    if (!stream) stream = name;
    me_rng g = me_rng_make(seed, me_hash64(stream, strlen(stream), 0));
    double limit = how == MODEL_INIT_LINEAR   ? 1 / sqrt(param->ndim > 1 ? (double)fan_in : scale)
                   : how == MODEL_INIT_XAVIER ? sqrt(6.0 / (double)(fan_in + fan_out))
                                              : scale;
    for (int64_t i = 0; i < n; i++)
        host[i] = (float)(how == MODEL_INIT_ZERO     ? 0
                          : how == MODEL_INIT_ONE    ? 1
                          : how == MODEL_INIT_NORMAL ? scale * me_rng_normal(&g)
                                                     : me_rng_range(&g, -limit, limit));
    me_code code = nn_params_set(p, name, host, n, err);
    free(host);
    return code;
}
