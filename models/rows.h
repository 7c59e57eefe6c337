/* models/rows.h: the rows of many sequences (frames of motions, tokens of texts) end to end, kept
 * on the device where they fit and on the host where they do not, and packed batches of them.
 */
#ifndef MODEL_ROWS_H
#define MODEL_ROWS_H

#include "core/log.h"
#include "nn/ops.h"

typedef struct model_rows {
    nn_backend *be;
    int64_t n, columns;
    int64_t *start; /* (n+1): the first row of each sequence */
    float *host;    /* (start[n], columns); NULL once the rows are on the device */
    nn_tensor device;
} model_rows;

/* Fill `start`, then allocate `host`, fill it, and settle. Close in every case. */
me_code model_rows_open(model_rows *out, nn_backend *be, int64_t n, int64_t columns, me_err *err);
me_code model_rows_allocate(model_rows *rows, me_err *err);
/* Moves the rows to the device; where they do not fit they stay, and batches are sent one by one.
 * `what` names them in the note about that. */
void model_rows_settle(model_rows *rows, const char *what, me_log *log);
void model_rows_close(model_rows *rows);

int64_t model_rows_longest(const model_rows *rows);
/* Sequences which[0..n) as a packed batch, f32; lengths (n) is filled. */
nn_tensor *model_rows_batch(nn_ctx *ctx, const model_rows *rows, const int64_t *which, int64_t n,
                            int32_t *lengths);

#endif
