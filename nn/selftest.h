/* nn/selftest.h: the back ends test themselves: every operation of nn/ops.h on odd sizes, on any
 * machine.
 *
 * check: the operation on the device against a plain loop in double precision and, where the device
 * is not the cpu back end, against that too; a batch in another order, a part of it and, on the
 * cpu, another number of threads must give the same bits; and fp32 products of numbers of any size,
 * whose error is relative to the sum of an element's terms, and bytes that go to the device, within
 * it and back. grad: backward against central differences of the same double-precision loop
 * (sampled elements) and, where the device is not the cpu back end, against all of that one's
 * gradients. perf: times, as CSV: op,shape,backend,median_us,iqr,gbytes_s,gflops,device,git.
 *
 * Inputs are random and never 0, memory is poisoned with NaN before every run, and an error is
 * |out - reference| / |reference| over the whole result.
 */
#ifndef NN_SELFTEST_H
#define NN_SELFTEST_H

#include <stdbool.h>

#include "core/err.h"

typedef enum { NN_SELFTEST_CHECK, NN_SELFTEST_GRAD, NN_SELFTEST_PERF } nn_selftest_mode;

typedef struct nn_selftest_options {
    const char *device; /* as nn_backend_open */
    int threads;        /* of the cpu back end; 0: all */
    nn_selftest_mode mode;
    const char *op; /* only operations whose name contains it; NULL: all */
    bool list;      /* names the cases and runs none */
    bool failures_only;
    void (*line)(void *arg,
                 const char *text); /* called for each line, which has no line end; or NULL */
    void *arg;
} nn_selftest_options;

/* ME_OK when the cases ran, whatever they showed; *failed says how many did not pass. */
me_code nn_selftest(const nn_selftest_options *o, int *passed, int *failed, me_err *err);

#endif
