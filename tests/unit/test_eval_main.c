/* tests/unit/test_eval_main.c: Criterion's main, spelt out: eval/ has one of its own, which the
 * linker would take first. */
#include <criterion/criterion.h>

int main(int argc, char **argv)
{
    struct criterion_test_set *tests = criterion_initialize();
    int status = 0;
    if (criterion_handle_args(argc, argv, true)) status = !criterion_run_all_tests(tests);
    criterion_finalize(tests);
    return status;
}
