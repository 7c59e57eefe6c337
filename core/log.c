/* core/log.c: see log.h. A progress line is erased before anything else is written, so that a log
 * that is kept holds whole lines only. */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ERASE_LINE "\r\x1b[K"
#define PROGRESS_INTERVAL 0.1 /* seconds */

double me_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void me_log_init(me_log *log, me_log_level level)
{
    memset(log, 0, sizeof *log);
    log->level = level;
    log->tty = isatty(STDERR_FILENO);
    log->last = -PROGRESS_INTERVAL; /* the first line is never too early */
}

static void erase_progress(me_log *log)
{
    if (log->progress_open) fputs(ERASE_LINE, stderr);
    log->progress_open = false;
}

void me_log_write(me_log *log, me_log_level level, const char *fmt, ...)
{
    if (!log) return;
    if (level == ME_LOG_WARNING) log->warnings++;
    if (level > log->level) return;
    erase_progress(log);
    fputs(level == ME_LOG_WARNING ? "mebench: warning: " : "mebench: ", stderr);
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

/* True at most ten times a second; `always` does not wait for its turn. */
static bool begin_progress(me_log *log, bool always)
{
    if (!log || !log->tty) return false;
    double now = me_seconds();
    if (!always && now - log->last < PROGRESS_INTERVAL) return false;
    log->last = now;
    fputs(ERASE_LINE, stderr);
    log->progress_open = true;
    return true;
}

void me_progress(me_log *log, const char *what, int64_t done, int64_t total)
{
    /* The last line is shown however early it comes: it says that all was done. */
    if (!begin_progress(log, done >= total)) return;
    fprintf(stderr, "%s  %lld/%lld", what, (long long)done, (long long)total);
    fflush(stderr);
}

void me_progress_text(me_log *log, const char *fmt, ...)
{
    if (!begin_progress(log, false)) return;
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fflush(stderr);
}

void me_progress_end(me_log *log)
{
    if (!log || !log->progress_open) return;
    fputc('\n', stderr);
    log->progress_open = false;
}
