/* models/diffusion.c: see diffusion.h. */
#include "models/diffusion.h"

#include <math.h>

static double schedule(double u)
{
    double c = cos((u + 0.008) / 1.008 * (M_PI / 2));
    return c * c;
}

me_code model_diffusion_init(model_diffusion *d, me_arena *arena, int steps, me_err *err)
{
    if (steps < 1 || steps > 100000)
        return me_fail(err, ME_EUSAGE, "diffusion steps: expected 1 to 100000, found %d", steps);
    d->steps = steps;
    double **tables[] = {&d->beta, &d->abar, &d->sqrt_abar, &d->sqrt_one_minus_abar,
                         &d->c1,   &d->c2,   &d->sigma};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        *tables[i] = ME_NEW_ARRAY(arena, steps, double);
        if (!*tables[i]) return me_fail_mem(err, "diffusion tables");
    }
    double before = 1;
    for (int t = 0; t < steps; t++) {
        double beta = 1 - schedule((t + 1.0) / steps) / schedule((double)t / steps);
        if (beta > 0.999) beta = 0.999;
        double now = before * (1 - beta), variance = beta * (1 - before) / (1 - now);
        d->beta[t] = beta;
        d->abar[t] = now;
        d->sqrt_abar[t] = sqrt(now);
        d->sqrt_one_minus_abar[t] = sqrt(1 - now);
        d->c1[t] = beta * sqrt(before) / (1 - now);
        d->c2[t] = (1 - before) * sqrt(1 - beta) / (1 - now);
        d->sigma[t] = sqrt(variance);
        before = now;
    }
    /* The last step adds no noise, so entry 0 is never used; the reference's table repeats entry 1
     * there. */
    if (steps > 1) d->sigma[0] = d->sigma[1];
    return ME_OK;
}
