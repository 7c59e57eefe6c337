/* tests/parity/gradients.h: one training step of a network against the files of its case: gradients
 * and the parameters after AdamW. */
#ifndef TESTS_PARITY_GRADIENTS_H
#define TESTS_PARITY_GRADIENTS_H

#include "nn/params.h"
#include "tests/parity/parity.h"

/* The gradients in `params` against FOLDER/grads.npz, and all their norms against golden's. */
me_code parity_check_gradients(parity *p, nn_params *params, const char *folder,
                               const me_value *golden, me_arena *arena, me_err *err);
/* Takes an AdamW step with torch's defaults; the parameters against FOLDER/after_adamw.npz. */
me_code parity_check_step(parity *p, nn_ctx *ctx, nn_params *params, const char *folder, double lr,
                          me_arena *arena, me_err *err);

#endif
