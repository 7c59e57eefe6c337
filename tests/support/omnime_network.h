/* tests/support/omnime_network.h: OmniME's network over parameters that a test sets itself. */
#ifndef TESTS_OMNIME_NETWORK_H
#define TESTS_OMNIME_NETWORK_H

#include "models/omnime_net.h"

typedef struct omnime_network {
    nn_ctx ctx;
    nn_params params, frozen;
    model_omnime_net net;
} omnime_network;

/* Declares and allocates both blocks. Once they hold their values model_omnime_net_tables makes the
 * rest. To be closed even where this fails. */
static inline me_code omnime_network_open(omnime_network *m, nn_backend *be,
                                          const model_omnime_config *config, me_err *err)
{
    *m = (omnime_network){0};
    nn_params_init(&m->params);
    nn_params_init(&m->frozen);
    me_code code = nn_ctx_open(&m->ctx, be, NN_FP32, err);
    if (!code) code = model_omnime_net_declare(&m->net, &m->params, &m->frozen, config, err);
    if (!code) code = nn_params_alloc(&m->params, be, err);
    if (!code) code = nn_params_alloc(&m->frozen, be, err);
    return code ? code : nn_params_train(&m->params, false, err);
}

static inline void omnime_network_close(omnime_network *m)
{
    model_omnime_net_close(&m->net);
    nn_params_close(&m->params);
    nn_params_close(&m->frozen);
    nn_ctx_close(&m->ctx);
}

#endif
