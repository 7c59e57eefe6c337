/* tests/perf/bench_work.h: what the programs that time single operations share: buffers on the
 * device, random tensors, and the median of rounds of calls queued one behind the other. */
#ifndef TESTS_BENCH_WORK_H
#define TESTS_BENCH_WORK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/backend.h"

enum { BENCH_BUFFERS = 32, BENCH_ROUNDS = 64 };

typedef struct bench_work {
    nn_backend *be;
    void *buffers[BENCH_BUFFERS];
    int used;
} bench_work;

static inline void bench_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

static inline nn_backend *bench_open(int argc, char **argv)
{
    me_err err = {0};
    nn_backend *be;
    if (nn_backend_open(&be, argc > 1 ? argv[1] : "auto", 0, &err) != ME_OK) bench_fail(err.msg);
    return be;
}

static inline void *bench_take(bench_work *w, int64_t n, size_t size)
{
    me_err err = {0};
    void *p;
    if (w->used == BENCH_BUFFERS) bench_fail("too many buffers");
    if (w->be->alloc(w->be, (size_t)n * size, &p, &err) != ME_OK) bench_fail(err.msg);
    return w->buffers[w->used++] = p;
}

/* A tensor of n deviates of the type. */
static inline void *bench_random(bench_work *w, int64_t n, nn_dtype dtype, uint64_t site)
{
    me_rng g = me_rng_make(1, site);
    float *host = malloc((size_t)n * sizeof *host);
    if (!host) bench_fail("out of memory");
    for (int64_t i = 0; i < n; i++) host[i] = (float)me_rng_range(&g, -1.7, 1.7);
    float *wide = bench_take(w, n, sizeof *wide);
    void *p = wide;
    w->be->upload(w->be, wide, host, (size_t)n * sizeof *host);
    if (dtype == NN_BF16) {
        p = bench_take(w, n, 2);
        w->be->to_bf16(w->be, p, wide, n);
    }
    w->be->sync(w->be);
    free(host);
    return p;
}

/* Gives the buffers back. */
static inline void bench_release(bench_work *w)
{
    while (w->used) w->be->release(w->be, w->buffers[--w->used]);
}

static inline int bench_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of one call: the median of `rounds` (at most BENCH_ROUNDS) of `calls` each, two rounds
 * before them not counted. */
static inline double bench_median(bench_work *w, int rounds, int calls,
                                  void (*call)(nn_backend *, const void *), const void *args)
{
    double times[BENCH_ROUNDS];
    me_err err = {0};
    for (int i = -2; i < rounds; i++) {
        double from = w->be->now(w->be);
        for (int k = 0; k < calls; k++) call(w->be, args);
        if (i >= 0) times[i] = (w->be->now(w->be) - from) / calls;
    }
    if (w->be->status(w->be, &err) != ME_OK) bench_fail(err.msg);
    qsort(times, (size_t)rounds, sizeof *times, bench_by_value);
    return times[rounds / 2];
}

#endif
