/* The product's own selftest, on the cpu back end. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "nn/selftest.h"

typedef struct log {
    int lines;
    char first[512];
} log;

static void keep(void *arg, const char *text)
{
    log *l = arg;
    if (!l->lines++) snprintf(l->first, sizeof l->first, "%s", text);
}

static void expect_clean(nn_selftest_mode mode)
{
    log l = {0};
    me_err err = {0};
    int passed, failed;
    nn_selftest_options o = {.device = "cpu", .threads = 2, .mode = mode, .failures_only = true};
    o.line = keep;
    o.arg = &l;
    cr_assert_eq(nn_selftest(&o, &passed, &failed, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(failed, 0, "%d failed, the first: %s", failed, l.first);
    cr_assert_gt(passed, 100);
}

Test(selftest, every_operation_agrees_with_double)
{
    expect_clean(NN_SELFTEST_CHECK);
}

Test(selftest, every_backward_agrees_with_differences)
{
    expect_clean(NN_SELFTEST_GRAD);
}

Test(selftest, cases_can_be_listed_and_chosen)
{
    log l = {0};
    int passed, failed;
    nn_selftest_options o = {
        .device = "cpu", .op = "layernorm", .list = true, .line = keep, .arg = &l};
    cr_assert_eq(nn_selftest(&o, &passed, &failed, NULL), ME_OK);
    cr_assert_eq(passed + failed, 0);
    cr_assert_gt(l.lines, 3);
    cr_assert_str_eq(l.first, "layernorm m1-d3-k0-h0-f1 f32");
}
