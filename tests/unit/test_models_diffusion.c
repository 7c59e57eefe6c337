/* Diffusion tables against spec omnime 5.1 and 11.2, baselines 1.4. */
#include <criterion/criterion.h>
#include <math.h>

#include "models/diffusion.h"

static model_diffusion tables(me_arena *arena, int steps)
{
    model_diffusion d;
    me_err err = {0};
    cr_assert_eq(model_diffusion_init(&d, arena, steps, &err), ME_OK, "%s", err.msg);
    return d;
}

static void same(double found, double wanted)
{
    cr_assert(fabs(found - wanted) <= 1e-9 * fabs(wanted) + 1e-15, "wanted %.10g, found %.10g",
              wanted, found);
}

Test(diffusion, three_hundred_steps_have_the_published_coefficients)
{
    static const struct {
        int t;
        double beta, abar, c1, c2, sigma;
    } row[] = {
        {0, 1.564962796e-04, 9.998435037e-01, 1, 0, 9.474417367e-03},
        {1, 2.104677074e-04, 9.996330690e-01, 5.735443711e-01, 4.264556248e-01, 9.474417367e-03},
        {50, 2.924520088e-03, 9.251558045e-01, 3.763915848e-02, 9.623334372e-01, 5.308943255e-02},
        {150, 1.051832243e-02, 4.886491843e-01, 1.445513784e-02, 9.846222966e-01, 1.020366364e-01},
        {250, 3.874067246e-02, 6.340697663e-02, 1.062342303e-02, 9.777632776e-01, 1.965578064e-01},
        {298, 7.499932543e-01, 2.698607810e-05, 7.792253995e-03, 4.999662663e-01, 8.659864530e-01},
        {299, 9.990000000e-01, 2.698607810e-08, 5.189617942e-03, 3.162192408e-02, 9.994864020e-01},
    };
    me_arena arena = {0};
    model_diffusion d = tables(&arena, 300);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int t = row[i].t;
        same(d.beta[t], row[i].beta);
        same(d.abar[t], row[i].abar);
        same(d.c1[t], row[i].c1);
        same(d.c2[t], row[i].c2);
        same(d.sigma[t], row[i].sigma);
    }
    me_arena_release(&arena);
}

Test(diffusion, other_lengths_follow_the_same_curve)
{
    me_arena arena = {0};
    static const double six[] = {0.0721306229, 0.199366152, 0.335234254,
                                 0.500959064,  0.732347758, 0.999};
    model_diffusion d = tables(&arena, 6);
    for (int t = 0; t < 6; t++) cr_assert_float_eq(d.beta[t], six[t], 1e-9);
    d = tables(&arena, 1000);
    cr_assert_float_eq(d.beta[0], 4.12842248e-5, 1e-13);
    cr_assert_float_eq(d.abar[500], 0.492285172, 1e-9);
    d = tables(&arena, 50);
    cr_assert_float_eq(d.beta[0], 1.74751353e-3, 1e-11);
    cr_assert_float_eq(d.abar[25], 0.462706862, 1e-9);
    me_arena_release(&arena);
}

Test(diffusion, a_length_of_nothing_is_refused)
{
    me_arena arena = {0};
    me_err err = {0};
    model_diffusion d;
    cr_assert_eq(model_diffusion_init(&d, &arena, 0, &err), ME_EUSAGE);
    me_arena_release(&arena);
}

Test(diffusion, all_steps_of_a_chain_are_the_chain)
{
    me_arena arena = {0};
    model_diffusion d = tables(&arena, 50), all;
    int64_t *timestep = NULL;
    cr_assert_eq(model_diffusion_respace(&all, &timestep, &arena, &d, 50, NULL), ME_OK);
    for (int t = 0; t < 50; t++) {
        cr_assert_eq(timestep[t], t);
        cr_assert_eq(all.c1[t], d.c1[t]);
        cr_assert_eq(all.c2[t], d.c2[t]);
        cr_assert_eq(all.sigma[t], d.sigma[t]);
    }
    me_arena_release(&arena);
}

Test(diffusion, a_shorter_chain_keeps_both_ends_and_what_is_left_of_the_signal)
{
    me_arena arena = {0};
    model_diffusion d = tables(&arena, 300), few;
    int64_t *timestep = NULL;
    cr_assert_eq(model_diffusion_respace(&few, &timestep, &arena, &d, 7, NULL), ME_OK);
    cr_assert_eq(timestep[0], 0);
    cr_assert_eq(timestep[6], 299);
    double product = 1;
    for (int i = 0; i < 7; i++) {
        product *= 1 - few.beta[i];
        same(few.abar[i], d.abar[timestep[i]]);
        same(product, few.abar[i]);
    }
    cr_assert_eq(few.c1[0], 1);
    cr_assert_eq(few.c2[0], 0);
    me_err err = {0};
    cr_assert_eq(model_diffusion_respace(&few, &timestep, &arena, &d, 301, &err), ME_EUSAGE);
    me_arena_release(&arena);
}
