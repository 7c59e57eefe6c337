/* eval/selection.h: which pairs of the dataset are scored, and which samples belong to them. The
 * reference takes "every key that has a file" without a word (spec evaluation 8, traps 2 to 4, 18,
 * 20); here what is left out is listed. */
#ifndef EVAL_SELECTION_H
#define EVAL_SELECTION_H

#include "metrics/protocol.h"
#include "motion/motion.h"

typedef struct eval_selection {
    const char *split;       /* "test", "all", … as used */
    bool split_known;        /* the dataset came with a splits.json */
    metric_subset subset;    /* of the split's keys */
    int64_t split_n;         /* pairs of the split */
    int64_t n;               /* pairs that are scored: in the subset, with a sample */
    int64_t *pair;           /* (n) indices into dataset.pairs, ascending */
    const char **keys;       /* (n) */
    const motion_clip *clip; /* (n) the generated motions */
    int64_t generated;       /* samples found */
    const char **missing;    /* keys of the subset without a sample */
    int64_t missing_n;
    const char **extra; /* samples whose key is not in the split */
    int64_t extra_n;
    int64_t outside_subset; /* samples of the split that the subset leaves out */
} eval_selection;

/* The pairs of a split ("train", "val", "test", "all"; NULL: test where splits are known, else all)
 * and of a subset. Fills the fields that need no samples, and pair, keys, n with all of the subset.
 */
me_code eval_select(eval_selection *out, me_arena *arena, const motion_dataset *dataset,
                    const char *split, const char *subset, me_err *err);
/* Narrows the selection to the pairs that have a sample. None in common is an error that says why.
 */
me_code eval_selection_match(eval_selection *sel, me_arena *arena, const motion_dataset *dataset,
                             const motion_set *set, me_err *err);
/* Of keys and poses of what is scored: equal for a folder, its zip and an npz. */
void eval_selection_sha256(char out[65], const eval_selection *sel);

#endif
