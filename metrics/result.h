/* metrics/result.h: the result document, schema "mebench.result/1", as a tree of me_value that
 * core/json.h writes and reports/ read. Keys that other programs rely on are never changed; keys
 * may be added.
 *
 *   { "schema", "name"?,
 *     "samples":   {"dataset","generated","evaluated","missing":[key…],"extra":[key…], …},
 *     "protocols": {"batch32": {"batches","batch_size","seed","dropped","dropped_keys":[…],
 *                               "generated_to_target": M|null, "generated_to_source": M|null,
 * "reason"?, "chance": {label: value…}, "transposed": {the same two: M}}, "full":    {"n", the same
 * two, "chance", "transposed"}}, "fid":       {"value": number|null, "n", "reason"?, "floor", …},
 *     "duplicates": {"source"|"target"|"generated": {"groups","items","near_groups","near_items",
 *                                                   "keys": [[key…]…]}},
 *     "baselines": {name: {"protocols": …}},
 *     "warnings":  [text…],
 *     "provenance": {…} }
 *   M = {"R@1",…,"MedR","AvgR": number, "ci95": {label: [lo,hi]},
 *        "near_ties": {"tolerance","pairs","smallest_gap": number|null,"interval": {label:
 * [lo,hi]}}, "duplicate_aware": {label: value}, "other_shuffles": {"shuffles", label:
 * {"mean","sd"}}}
 *
 * A caller fills further keys (provenance, lengths, heading …) with me_dict_put on
 * metric_result_section().
 */
#ifndef METRICS_RESULT_H
#define METRICS_RESULT_H

#include "core/value.h"
#include "metrics/protocol.h"

#define METRIC_RESULT_SCHEMA "mebench.result/1"

/* The document with its schema and empty sections, in the order above; NULL when memory is out. */
me_value *metric_result_new(me_arena *arena, const char *name);
/* A dictionary of the document, made if absent: "samples", "provenance", …; NULL when memory is
 * out. */
me_value *metric_result_section(me_arena *arena, me_value *result, const char *name);

typedef struct metric_samples {
    int64_t dataset, generated, evaluated;
    const char *const *missing; /* keys of the subset without a sample */
    int64_t missing_n;
    const char *const *extra; /* samples without a key in the dataset (or the subset) */
    int64_t extra_n;
} metric_samples;
me_code metric_result_samples(me_value *result, me_arena *arena, const metric_samples *s,
                              me_err *err);

/* The submission's own scores: "protocols", "fid" and "duplicates". */
me_code metric_result_evaluation(me_value *result, me_arena *arena, const metric_evaluation *e,
                                 me_err *err);
/* A row beside it: baselines.NAME.protocols. */
me_code metric_result_baseline(me_value *result, me_arena *arena, const char *name,
                               const metric_evaluation *e, me_err *err);
/* Appends to "warnings". */
me_code metric_result_warn(me_value *result, me_arena *arena, me_err *err, const char *fmt, ...)
    ME_PRINTF(4, 5);

/* ranks.csv: key, 1-based rank in each protocol and direction (empty where the batch protocol
 * dropped the item), similarity with the own target and source. Atomic. */
me_code metric_ranks_write(const char *path, const metric_evaluation *e, me_err *err);

/* ranks.csv read back: the 0-based ranks of the items in the order of the file, which is that of
 * the keys' hash; NAN where an item has none, NULL where the file has no such column. Directions as
 * METRIC_TO_TARGET, METRIC_TO_SOURCE. */
typedef struct metric_saved_ranks {
    int64_t n;
    const char **keys;            /* (n) */
    double *full[2], *batch32[2]; /* (n) each */
} metric_saved_ranks;
me_code metric_ranks_read(metric_saved_ranks *out, me_arena *arena, const char *path, me_err *err);

/* For readers of a saved document: checks schema and shape; ME_EFORMAT with what is missing. */
me_code metric_result_check(const me_value *result, const char *name, me_err *err);
/* me_dict_get along a '/'-separated path, "protocols/full/n"; NULL when a step is missing. */
const me_value *metric_result_at(const me_value *v, const char *path);
/* A number (integer or float) at a path; NAN when it is absent or null. */
double metric_result_number(const me_value *v, const char *path);

#endif
