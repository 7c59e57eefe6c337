/* core/log.h: where warnings and progress go: stderr, through a sink that eval/ installs by passing
 * it on. Libraries never print by themselves; they take a `me_log *` (NULL: silence). Warnings read
 * "mebench: warning: ..." and are counted even where the level hides them.
 */
#ifndef ME_CORE_LOG_H
#define ME_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

typedef enum { ME_LOG_WARNING, ME_LOG_INFO, ME_LOG_DEBUG } me_log_level;

typedef struct me_log {
    me_log_level level; /* show up to this one */
    bool tty;           /* stderr is a terminal: progress is shown */
    bool progress_open; /* an unfinished progress line stands there */
    int warnings;       /* so far */
    double last;        /* time of the last progress line: at most ten a second */
} me_log;

void me_log_init(me_log *log, me_log_level level);
void me_log_write(me_log *log, me_log_level level, const char *fmt, ...) ME_PRINTF(3, 4);
#define me_warn(log, ...) me_log_write((log), ME_LOG_WARNING, __VA_ARGS__)
#define me_info(log, ...) me_log_write((log), ME_LOG_INFO, __VA_ARGS__)
/* Overwrites one line on a terminal: "embedding  512/1013". Nothing where stderr is no terminal. */
void me_progress(me_log *log, const char *what, int64_t done, int64_t total);
void me_progress_text(me_log *log, const char *fmt, ...) ME_PRINTF(2, 3);
void me_progress_end(me_log *log);
double me_seconds(void); /* monotonic clock */

#endif
