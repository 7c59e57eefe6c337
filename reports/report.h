/* reports/report.h: writers of a result document (metrics/result.h), of a study's
 * (eval/reproduce.h), of a board (eval/commands/cmd_leaderboard.c) and of a comparison
 * (eval/commands/cmd_compare.c). Each takes the document as a tree, so that a saved result.json
 * gives the same pages as a fresh run. To add one: a file that defines `const report report_NAME`,
 * and its name in the list.
 */
#ifndef REPORTS_REPORT_H
#define REPORTS_REPORT_H

#include "core/file.h"
#include "core/value.h"

/* A study: "rows", each with the "protocols" of a result as means over seeds, beside what all rows
 * share, as a result has it. */
#define REPORT_REPRODUCTION_SCHEMA "mebench.reproduction/1"

/* A leaderboard: "groups", each of which holds what a study does, of results on the same items. */
#define REPORT_BOARD_SCHEMA "mebench.board/1"

/* A comparison of results on the same items, query by query: "rows" as a board's group has them,
 * without values, and beside what they share
 *   "against": name,
 *   "method": {"resamples", "seed", "adjustment": "holm"|"none"},
 *   "comparisons": [{"name", "protocols": {"full"|"batch32": {
 *       "generated_to_target"|"generated_to_source": {"n", "R@1": C, …, "AvgR": C}}}}]
 *   C = {"against", "value", "difference": number, "ci95": [lo, hi], "test": "mcnemar"|"sign-flip",
 *        "p", "p_holm": number, "improved", "worsened", "tied": int}; test and p may be absent. */
#define REPORT_COMPARISON_SCHEMA "mebench.comparison/1"

/* Whether a document can be written at all; ME_EFORMAT with what is missing. */
me_code report_check(const me_value *document, const char *name, me_err *err);

typedef struct report_options {
    bool published; /* published rows of the same subset beside the result */
    bool baselines; /* the document's trivial rows and chance */
    bool source;    /* the generated-to-source table too */
} report_options;

/* All three on. */
report_options report_options_default(void);

typedef struct report {
    const char *name;      /* "markdown" */
    const char *extension; /* "md" */
    const char *doc;
    /* Writes the whole page. `result` has passed report_check. Failures of the writer stay
     * sticky in it and show at its commit. */
    me_code (*write)(me_writer *w, const me_value *result, const report_options *options,
                     me_err *err);
} report;

// clang-format off
#define REPORT_LIST(X)                                                                             \
    X(table)                                                                                       \
    X(json)                                                                                        \
    X(csv)                                                                                         \
    X(markdown)                                                                                    \
    X(latex)
// clang-format on

#define X(id) extern const report report_##id;
REPORT_LIST(X)
#undef X

/* All reports, NULL-terminated. */
extern const report *const report_list[];
/* The page as a file: whole, or not at all. */
me_code report_write_file(const report *writer, const char *path, const me_value *document,
                          const report_options *options, me_err *err);
/* All pages but the JSON one as FOLDER/NAME.EXTENSION, then the document as FOLDER/NAME.json: where
 * that stands, everything else does. */
me_code report_write_all(const char *folder, const char *name, const me_value *document,
                         const report_options *options, me_err *err);
/* By name or extension; NULL when there is none. */
const report *report_find(const char *name);

#endif
