/* models/diffusion.c: see diffusion.h. */
#include "models/diffusion.h"

#include <math.h>

static double schedule(double u)
{
    double c = cos((u + 0.008) / 1.008 * (M_PI / 2));
    return c * c;
}

static me_code tables_new(model_diffusion *d, me_arena *arena, int steps, me_err *err)
{
    double **tables[] = {&d->beta, &d->abar, &d->sqrt_abar, &d->sqrt_one_minus_abar,
                         &d->c1,   &d->c2,   &d->sigma};
    d->steps = steps;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        *tables[i] = ME_NEW_ARRAY(arena, steps, double);
        if (!*tables[i]) return me_fail_mem(err, "diffusion tables");
    }
    return ME_OK;
}

/* Row t, abar before it being `before` (1 for the first). */
static void fill_row(model_diffusion *d, int t, double beta, double now, double before)
{
    d->beta[t] = beta;
    d->abar[t] = now;
    d->sqrt_abar[t] = sqrt(now);
    d->sqrt_one_minus_abar[t] = sqrt(1 - now);
    d->c1[t] = beta * sqrt(before) / (1 - now);
    d->c2[t] = (1 - before) * sqrt(1 - beta) / (1 - now);
    d->sigma[t] = sqrt(beta * (1 - before) / (1 - now));
}

/* The last step adds no noise, so entry 0 is never used; the reference's table repeats entry 1
 * there. */
static void repeat_sigma(model_diffusion *d)
{
    if (d->steps > 1) d->sigma[0] = d->sigma[1];
}

me_code model_diffusion_init(model_diffusion *d, me_arena *arena, int steps, me_err *err)
{
    if (steps < 1 || steps > 100000)
        return me_fail(err, ME_EUSAGE, "diffusion steps: expected 1 to 100000, found %d", steps);
    me_code code = tables_new(d, arena, steps, err);
    double before = 1;
    for (int t = 0; t < steps && code == ME_OK; t++) {
        double beta = 1 - schedule((t + 1.0) / steps) / schedule((double)t / steps);
        if (beta > 0.999) beta = 0.999;
        double now = before * (1 - beta);
        fill_row(d, t, beta, now, before);
        before = now;
    }
    if (code == ME_OK) repeat_sigma(d);
    return code;
}

me_code model_diffusion_respace(model_diffusion *d, int64_t **timestep, me_arena *arena,
                                const model_diffusion *full, int steps, me_err *err)
{
    if (steps < 1 || steps > full->steps)
        return me_fail(err, ME_EUSAGE, "steps: expected 1 to %d, found %d", full->steps, steps);
    *timestep = ME_NEW_ARRAY(arena, steps, int64_t);
    me_code code = *timestep ? tables_new(d, arena, steps, err) : me_fail_mem(err, "timesteps");
    double before = 1;
    for (int i = 0; i < steps && code == ME_OK; i++) {
        int t =
            steps == 1 ? full->steps - 1 : (int)lround((double)i * (full->steps - 1) / (steps - 1));
        double now = full->abar[t];
        (*timestep)[i] = t;
        fill_row(d, i, steps == full->steps ? full->beta[t] : 1 - now / before, now, before);
        before = now;
    }
    if (code == ME_OK) repeat_sigma(d);
    return code;
}
