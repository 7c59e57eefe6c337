/* tmr/encoder.h: the motion encoder of TMR, the network that the field's evaluators embed motions
 * with (spec evaluation 4). Forward pass only, on packed batches; its parameters carry PyTorch's
 * names.
 *
 * A sequence of L frames becomes L + 2 tokens: mu, logvar, then the frames. The embedding is the mu
 * token after the last layer, so that layer asks with that token alone.
 */
#ifndef TMR_ENCODER_H
#define TMR_ENCODER_H

#include "motion/motion.h"
#include "nn/ops.h"
#include "nn/params.h"

#define TMR_POSITIONS 5000 /* rows of the reference's position table */
#define TMR_TOKENS 2       /* mu and logvar, before the frames */
#define TMR_MAX_FRAMES (TMR_POSITIONS - TMR_TOKENS)

typedef struct tmr_config {
    int64_t features; /* 135 */
    int64_t width;    /* 256 */
    int64_t ff;       /* 1024 */
    int heads;        /* 4 */
    int layers;       /* 6 */
} tmr_config;

/* The field's GPU runs computed the tanh form although the layer names the erf form (spec
 * evaluation 4). */
typedef enum { TMR_GELU_TANH, TMR_GELU_ERF } tmr_gelu;

typedef struct tmr_encoder {
    tmr_config config;
    nn_params params;
    float *mean, *std;      /* (features): the normaliser's statistics */
    const char *source;     /* the file that the weights came from, for messages */
    const char *statistics; /* where mean and std came from */
    bool random;        /* seeded random weights: scores mean nothing beyond the demonstration */
    char sha256[65];    /* of names, shapes, values and statistics: equal in every container */
    motion_notes notes; /* what a user should know about the loading */
    me_arena arena;
} tmr_encoder;

tmr_config tmr_config_default(void);
/* Declares the parameters and allocates them, zero, on `be`; weights.h fills them. */
me_code tmr_encoder_init(tmr_encoder *out, const tmr_config *config, nn_backend *be, me_err *err);
void tmr_encoder_close(tmr_encoder *e);

/* The first `rows` rows of the position table, (rows, width), float32 as the reference rounds. */
void tmr_positions(float *out, int64_t rows, int64_t width);
/* The same on the context's back end. It must outlive the calls of tmr_encode that read it. */
nn_tensor *tmr_positions_new(nn_ctx *ctx, int64_t rows, int64_t width);

/* features: (F,135) normalised, the frames of n sequences end to end; lengths: their frame counts;
 * positions: a table of at least the longest length + 2 rows. Gives (n, width). */
nn_tensor *tmr_encode(nn_ctx *ctx, tmr_encoder *e, nn_tensor *features, const int32_t *lengths,
                      int64_t n, nn_tensor *positions, tmr_gelu gelu);

#endif
