/* tests/parity/parity.h: cases with known answers, run through the same library calls as the
 * program. To add a kind: a file NAME_case.c with its function, and a line in PARITY_LIST. */
#ifndef TESTS_PARITY_H
#define TESTS_PARITY_H

#include <stdbool.h>

#include "core/err.h"

typedef struct parity {
    const char *device; /* "cpu", "cuda" … as given */
    bool exact_device;  /* the CPU: the tighter tolerances */
    int failures;
    double worst;    /* largest error / tolerance so far */
    char what[128];  /* where */
    double error;    /* that error */
    char first[256]; /* the first failure, in words */
} parity;

/* One comparison: fails above the tolerance or where the error is NaN. */
void parity_error(parity *p, const char *what, double error, double tolerance);
/* Something that must hold exactly. */
void parity_true(parity *p, bool holds, const char *fmt, ...) ME_PRINTF(3, 4);

// clang-format off
/*       folders that begin with   are checked by */
#define PARITY_LIST(X)                                                                             \
    X("eval-",                     parity_eval)                                                    \
    X("clip-text-",                parity_clip)                                                    \
    X("tmr-train-",                parity_tmr_train)                                               \
    X("omnime-",                   parity_omnime)

/*       needs no folder           is checked by */
#define PARITY_BUILT_IN_LIST(X)                                                                    \
    X("clip-filled",               parity_clip_filled)                                             \
    X("omnime-filled",             parity_omnime_golden)
// clang-format on

#define X(prefix, run) me_code run(parity *p, const char *folder, me_err *err);
PARITY_LIST(X)
PARITY_BUILT_IN_LIST(X)
#undef X

#endif
