/* nn/tape_priv.h: the tape's record, known to the pool that owns it (tensor.c) and to tape.c. */
#ifndef NN_TAPE_PRIV_H
#define NN_TAPE_PRIV_H

#include "nn/nn_priv.h"

typedef struct tape_entry tape_entry;
struct tape_entry {
    tape_entry *before;
    nn_tensor *y;
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

struct nn_tape {
    tape_entry *last;
    tape_spare *spare;
    tape_spare *empty; /* spare records without memory */
};

#endif
