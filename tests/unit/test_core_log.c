/* The log writes to stderr, counts warnings, and shows progress on terminals only. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <stdio.h>
#include <string.h>

#include "core/log.h"

/* What was written to stderr so far. */
static void stderr_is(const char *expected)
{
    fflush(stderr);
    cr_assert_stderr_eq_str(expected);
}

Test(log, warnings_are_marked_counted_and_shown, .init = cr_redirect_stderr)
{
    me_log log;
    me_log_init(&log, ME_LOG_WARNING);
    cr_assert_not(log.tty);
    me_warn(&log, "%d files are missing", 3);
    me_info(&log, "not shown");
    cr_assert_eq(log.warnings, 1);
    stderr_is("mebench: warning: 3 files are missing\n");
}

Test(log, the_level_says_what_is_shown, .init = cr_redirect_stderr)
{
    me_log log;
    me_log_init(&log, ME_LOG_INFO);
    me_info(&log, "reading %s", "a.npy");
    me_log_write(&log, ME_LOG_DEBUG, "not shown");
    cr_assert_eq(log.warnings, 0);
    stderr_is("mebench: reading a.npy\n");
}

Test(log, no_log_is_silence, .init = cr_redirect_stderr)
{
    me_warn(NULL, "x");
    me_info(NULL, "x");
    me_progress(NULL, "x", 1, 2);
    me_progress_text(NULL, "x");
    me_progress_end(NULL);
    stderr_is("");
}

Test(log, progress_needs_a_terminal, .init = cr_redirect_stderr)
{
    me_log log;
    me_log_init(&log, ME_LOG_DEBUG);
    me_progress(&log, "embedding", 1, 2);
    me_progress_end(&log);
    stderr_is("");
}

Test(log, progress_is_throttled_but_its_last_line_is_shown, .init = cr_redirect_stderr)
{
    me_log log;
    me_log_init(&log, ME_LOG_INFO);
    log.tty = true;
    log.last = -1e9;
    for (int i = 1; i <= 1000; i++) me_progress(&log, "embedding", i, 1000);
    cr_assert(log.progress_open);
    me_warn(&log, "odd");
    cr_assert_not(log.progress_open);
    me_progress_end(&log);
    stderr_is(
        "\r\x1b[Kembedding  1/1000\r\x1b[Kembedding  1000/1000\r\x1b[Kmebench: warning: odd\n");
}

Test(log, the_clock_runs_forward)
{
    double a = me_seconds(), b = me_seconds();
    cr_assert(b >= a);
}
