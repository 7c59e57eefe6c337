/* reports/published.h: the numbers that papers print (reports/published.json, built into the
 * program), and whether they were computed on the same items as a result. */
#ifndef REPORTS_PUBLISHED_H
#define REPORTS_PUBLISHED_H

#include "core/value.h"

/* The parsed data file. */
me_code report_published(me_value **out, me_arena *arena, me_err *err);

/* What a result was computed on. */
typedef struct report_items {
    const char *benchmark; /* "motionfix-test"; NULL: none that anyone published on */
    bool guessed;          /* by the number of items, not stated by the result */
    const char *subset;
    bool complete; /* no item of the subset is missing */
    int64_t n;     /* queries of the protocol */
} report_items;

/* Whether the published block (a row's "batch32" or "full") was computed on the same items. */
bool report_same_items(const me_value *block, const report_items *items);

#endif
