/* nn/tape_priv.h: the tape's record, known to the pool that owns it (tensor.c) and to tape.c. */
#ifndef NN_TAPE_PRIV_H
#define NN_TAPE_PRIV_H

#include "nn/nn_priv.h"

typedef struct tape_entry tape_entry;
struct tape_entry {
    tape_entry *before;
    nn_tensor *y; /* NULL: not an operation, but where a part begins or ends */
    nn_backward_fn run;
    void *saved;
};

/* Memory of a gradient that is not needed any more, for the next one of the same size. */
typedef struct tape_spare tape_spare;
struct tape_spare {
    tape_spare *next;
    void *data;
    size_t bytes;
};

/* Parts have the lanes 1 to NN_PARTS, gradients of weights the last one. */
#define TAPE_WEIGHTS (NN_LANES - 1)
_Static_assert(TAPE_WEIGHTS > NN_PARTS, "no lane is left for weights");

struct nn_tape {
    tape_entry *last;
    /* What each lane has given back, which no other takes before it has joined that one. */
    tape_spare *spare[NN_LANES];
    tape_spare *empty; /* spare records without memory */
    int lane;          /* that the walk is on */
    /* Gradients of weights may be under way since that lane was joined, and their group. */
    bool aside;
    unsigned group;
    /* Of the pass: how often parts have begun or been joined, and when each lane last did, and with
     * which it was joined. Which one it began from, the context knows (nn_ctx.before). */
    unsigned turn, begun[NN_LANES], joined[NN_LANES];
    int joined_with[NN_LANES];
};

#endif
