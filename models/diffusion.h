/* models/diffusion.h: the Gaussian diffusion that all editors share: cosine schedule, the network
 * predicts x_0, ancestral sampling with the small variance, no clipping (spec omnime 5.1,
 * baselines 1.4).
 */
#ifndef MODEL_DIFFUSION_H
#define MODEL_DIFFUSION_H

#include <stdint.h>

#include "core/mem.h"

/* Tables in double, cast to float where they are used. */
typedef struct model_diffusion {
    int steps;
    double *beta, *abar;                     /* abar: running product of 1 - beta */
    double *sqrt_abar, *sqrt_one_minus_abar; /* x_t = sqrt_abar x_0 + sqrt_one_minus_abar noise */
    double *c1, *c2, *sigma; /* x_{t-1} = c1 x0_hat + c2 x_t + [t > 0] sigma noise */
} model_diffusion;

me_code model_diffusion_init(model_diffusion *out, me_arena *arena, int steps, me_err *err);
/* `steps` of the schedule's, evenly spaced from 0 to the last: (*timestep)[i] is the one that step
 * i stands for, and the tables are those of the shorter chain over the same abar. All of them: the
 * schedule itself. */
me_code model_diffusion_respace(model_diffusion *out, int64_t **timestep, me_arena *arena,
                                const model_diffusion *full, int steps, me_err *err);

#endif
