/* The vectorisable functions of nn/cpu/cpu_math.h against double precision. */
#include <criterion/criterion.h>
#include <math.h>

#include "nn/cpu/cpu_math.h"

static double ulps(float got, double want)
{
    float nearest = (float)want;
    double ulp = nextafterf(fabsf(nearest), INFINITY) - fabsf(nearest);
    return fabs(got - want) / ulp;
}

Test(cpu_math, exp_is_within_two_units_in_the_last_place)
{
    double worst = 0;
    for (float x = -86.9f; x < 88.7f; x += 0.00137f) worst = fmax(worst, ulps(cpu_exp(x), exp(x)));
    cr_assert_lt(worst, 2, "%g ulp", worst);
    cr_assert_eq(cpu_exp(0), 1);
}

Test(cpu_math, exp_has_sane_ends)
{
    cr_assert_eq(cpu_exp(-100), 0);
    cr_assert_eq(cpu_exp(-INFINITY), 0);
    cr_assert(isinf(cpu_exp(89)));
    cr_assert(isinf(cpu_exp(INFINITY)));
    cr_assert(isnan(cpu_exp(NAN)));
}

Test(cpu_math, sigmoid_is_accurate_on_both_sides)
{
    for (float x = -80; x < 80; x += 0.0113f) {
        double want = 1 / (1 + exp(-(double)x));
        cr_assert_lt(fabs(cpu_sigmoid(x) / want - 1), 4e-7, "at %g", (double)x);
    }
    cr_assert_eq(cpu_sigmoid(0), 0.5f);
}

Test(cpu_math, normal_distribution_is_accurate_far_into_the_tail)
{
    for (float x = -12.5f; x < 12.5f; x += 0.00173f) {
        float density;
        double want = erfc(-(double)x / sqrt(2)) / 2;
        /* e^(-x^2/2) carries the rounding of x^2/2, which is what the second term allows. */
        double allowed = 5e-7 + 1.2e-7 * (double)x * (double)x / 2;
        cr_assert_lt(fabs(cpu_normal(x, &density) / want - 1), allowed, "at %g", (double)x);
        double bell = exp(-(double)x * (double)x / 2) / sqrt(2 * M_PI);
        cr_assert_lt(fabs(density / bell - 1), allowed, "density at %g", (double)x);
    }
}

Test(cpu_math, bf16_rounds_to_nearest_even)
{
    cr_assert_eq(cpu_to_bf16(1.0f), 0x3f80);
    cr_assert_eq(cpu_to_bf16(cpu_float(0x3f808000)), 0x3f80, "halfway goes to even");
    cr_assert_eq(cpu_to_bf16(cpu_float(0x3f818000)), 0x3f82, "halfway goes to even");
    cr_assert_eq(cpu_to_bf16(cpu_float(0x3f808001)), 0x3f81);
    cr_assert(isnan(cpu_from_bf16(cpu_to_bf16(NAN))));
    cr_assert(isinf(cpu_from_bf16(cpu_to_bf16(INFINITY))));
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = cpu_from_bf16((uint16_t)h);
        if (!isnan(f)) cr_assert_eq(cpu_to_bf16(f), h);
    }
}
