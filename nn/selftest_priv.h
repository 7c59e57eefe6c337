/* nn/selftest_priv.h: what a row of the selftest is: sizes, the operation, and its meaning in
 * double. */
#ifndef NN_SELFTEST_PRIV_H
#define NN_SELFTEST_PRIV_H

#include "nn/nn_priv.h"

#define SELF_INPUTS 6

/* What one line of an input or output belongs to; says what to move when a batch is rearranged. */
typedef enum { SELF_SHARED, SELF_ROW, SELF_KEY_ROW, SELF_SEQUENCE } self_scope;

typedef struct self_input {
    int64_t rows, columns;
    self_scope scope;
    bool constant; /* has no gradient */
    bool f32;      /* also under bf16 */
    bool weight;   /* a parameter, as in a model: its gradient is f32 and there from the start */
    double *values;
} self_input;

/* One set of sizes. What d, k, heads and flags mean is the operation's business. */
typedef struct self_case {
    const char *op;
    int m; /* rows; for operations on sequences, which list of lengths (self_lengths) */
    int d, k, heads, flags;
    double loose; /* factor on the tolerances; 0 counts as 1 */
} self_case;

typedef struct self_work {
    const self_case *c;
    const struct self_op *op;
    self_input in[SELF_INPUTS];
    int inputs;
    int32_t *ints; /* key mask, index or labels */
    int64_t n_ints;
    self_scope ints_scope;
    int32_t *lengths, *key_lengths; /* NULL where rows stand alone */
    int64_t sequences;
    int64_t out_rows, out_columns;
    self_scope out_scope; /* SELF_SHARED: depends on the whole batch */
    double flops, bytes;  /* of one run, for perf */
} self_work;

typedef struct self_op {
    const char *name;
    /* Sets inputs' sizes and scopes, lengths and the output's size. False: out of memory. */
    bool (*shape)(self_work *w, me_arena *arena);
    nn_tensor *(*run)(nn_ctx *ctx, const self_work *w, nn_tensor **in);
    void (*reference)(const self_work *w, double *const *in, double *out);
} self_op;

#define SELF_SEED 20240229u /* of dropout */

extern const self_op nn_self_ops[], nn_self_sequence_ops[],
    nn_self_loss_ops[]; /* end with a NULL name */
const self_op *nn_self_find(const char *name);
extern const self_case nn_self_cases[], nn_self_perf[]; /* end with a NULL op */

/* Lists of sequence lengths, by number. */
bool nn_self_lengths(self_work *w, me_arena *arena, int list);
int64_t nn_self_tokens(const int32_t *lengths, int64_t n);
void nn_self_input(self_work *w, int i, int64_t rows, int64_t columns, self_scope scope);
int32_t *nn_self_ints(self_work *w, me_arena *arena, int64_t n, self_scope scope);
nn_tensor *nn_self_upload_ints(nn_ctx *ctx, const self_work *w, int64_t rows, int64_t columns);

/* Of an element of a product of numbers of any size, relative to the sum of its terms' sizes. */
#define SELF_RANGES_ALLOWED 1e-6
#define SELF_RANGES_FORMS 3
/* The largest error of such a product on a back end, in the form of a linear layer's output (0), of
 * its input's gradient (1) or of its weight's (2); infinite where a result is finite that should
 * not be, or the other way. False when it could not be computed. */
bool nn_self_ranges(nn_backend *be, int form, double *error, me_err *err);

/* Whether `bytes` come back as they went to a back end and within it, beginning at several places.
 * False when they could not be moved. */
bool nn_self_moves(nn_backend *be, size_t bytes, bool *equal, me_err *err);

#endif
