/* tests/perf/bench_process.c: wall time and peak memory. Not a test: it only measures.
 *
 *     bench-process --load FILE            opens a dataset, whose bytes are in the page cache by
 * the second time, in a process of its own each time bench-process NAME COMMAND [ARG...]  runs a
 * command with its output thrown away
 *
 * Prints one line: the median of RUNS runs, and the largest peak of resident memory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "motion/motion.h"

enum { RUNS = 5 };

typedef struct usage {
    double seconds[RUNS];
    double mib; /* peak */
} usage;

static int load(const char *path, int report)
{
    me_err err = {0};
    motion_dataset dataset;
    const motion_dataset_options options = {0};
    const double begun = me_seconds();
    if (motion_dataset_open(&dataset, path, &options, &err)) {
        fprintf(stderr, "bench-process: %s\n", err.msg);
        return 1;
    }
    const double seconds = me_seconds() - begun;
    motion_dataset_close(&dataset);
    return write(report, &seconds, sizeof seconds) == (ssize_t)sizeof seconds ? 0 : 1;
}

static int run_command(char **argv)
{
    const int null = open("/dev/null", O_WRONLY);
    if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0) return 1;
    execvp(argv[0], argv);
    return 127;
}

/* One child. A load reports its own time, which leaves the start of the process out. */
static int run_once(double *seconds, double *mib, const char *file, char **argv)
{
    int report[2], status;
    struct rusage used;
    if (pipe(report)) return 1;
    fflush(stdout);
    const double begun = me_seconds();
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) _exit(file ? load(file, report[1]) : run_command(argv));
    close(report[1]);
    if (wait4(child, &status, 0, &used) != child) return 1;
    *seconds = me_seconds() - begun;
    if (file && read(report[0], seconds, sizeof *seconds) != (ssize_t)sizeof *seconds) return 1;
    close(report[0]);
    if ((double)used.ru_maxrss / 1024 > *mib) *mib = (double)used.ru_maxrss / 1024;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    usage u = {0};
    struct stat info = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: bench-process --load FILE | NAME COMMAND [ARG...]\n");
        return 2;
    }
    const char *file = !strcmp(argv[1], "--load") ? argv[2] : NULL;
    if (file && stat(file, &info)) {
        perror(file);
        return 1;
    }
    double warm;
    if (run_once(&warm, &u.mib, file, argv + 2)) {
        printf("%s: failed\n", file ? file : argv[1]);
        return 1;
    }
    for (int i = 0; i < RUNS; i++)
        if (run_once(&u.seconds[i], &u.mib, file, argv + 2)) return 1;
    qsort(u.seconds, RUNS, sizeof *u.seconds, ascending);
    const double median = u.seconds[RUNS / 2], size = (double)info.st_size;
    if (file)
        printf("load of %.1f MiB: median %.1f ms, %.2f GB/s, peak memory %.1f MiB (%.2f times the "
               "file)\n",
               size / 1048576, 1e3 * median, size / median / 1e9, u.mib, u.mib * 1048576 / size);
    else
        printf("%s: median %.3f s wall, peak memory %.1f MiB\n", argv[1], median, u.mib);
    return 0;
}
