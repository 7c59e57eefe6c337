/* models/tmr_items.h: which motions and texts of a dataset belong together for TMR: a motion and
 * its caption, or the target of a pair and the instruction that it results from. Pairs of a
 * benchmark share motions, so the same motion with the same text is one item.
 */
#ifndef MODEL_TMR_ITEMS_H
#define MODEL_TMR_ITEMS_H

#include "motion/motion.h"

typedef struct model_tmr_item {
    const motion_clip *clip; /* all borrowed from the dataset */
    const char *text, *key;
    int64_t sentence; /* of model_tmr_sentences: which of the distinct texts */
} model_tmr_item;

typedef struct model_tmr_items {
    const motion_dataset *data;
    bool captions; /* else instructions */
    model_tmr_item *items;
    int64_t n;
    uint64_t *seen, mask; /* hashes of the items so far, open addressing */
} model_tmr_items;

typedef struct model_tmr_choice {
    motion_split split; /* MOTION_TRAIN takes what no split names, too */
    bool all;           /* every split */
    int64_t min_frames, max_frames;
    int64_t most; /* items; 0: no limit */
} model_tmr_choice;

/* `texts`: "caption", "instruction", or "auto": captions where the dataset has any. */
me_code model_tmr_items_open(model_tmr_items *out, const motion_dataset *data, const char *texts,
                             me_err *err);
/* Appends the items of a choice, in the dataset's order, that were not there before. */
void model_tmr_items_add(model_tmr_items *items, const model_tmr_choice *choice);
void model_tmr_items_close(model_tmr_items *items);

/* The distinct texts of all items, sorted, in `out` (room for items->n); fills `sentence`. */
int64_t model_tmr_sentences(const char **out, model_tmr_items *items);

#endif
