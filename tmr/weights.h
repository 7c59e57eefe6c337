/* tmr/weights.h: where a motion encoder comes from and how it is kept in one file.
 *
 * Read: the reference's folder (config.json, last_weights/motion_encoder.pt or
 * logs/checkpoints/last.ckpt, stats/.../mean.pt and std.pt; spec evaluation 2.5); one safetensors
 * file of ours; or "random:SEED", a seeded encoder for demonstrations and tests.
 *
 * The file of ours (schema "mebench.tmr/1"): tensors "motion_encoder.NAME" with PyTorch's names,
 * "normalizer.mean" and "normalizer.std"; metadata "schema", "config" (JSON), "source",
 * "source_sha256", "statistics", "sha256", "written_by".
 */
#ifndef TMR_WEIGHTS_H
#define TMR_WEIGHTS_H

#include "core/value.h"
#include "tmr/encoder.h"

#define TMR_SCHEMA "mebench.tmr/1"

me_code tmr_open(tmr_encoder *out, const char *path, nn_backend *be, me_err *err);
void tmr_close(tmr_encoder *e);

/* From a state dictionary in memory: names as in motion_encoder.pt after `prefix`. `heads` is not
 * in the weights. */
me_code tmr_open_state(tmr_encoder *out, const me_value *state, const char *prefix, int heads,
                       const float *mean, const float *std, nn_backend *be, me_err *err);

/* Writes the single file. Atomic. */
me_code tmr_write(const char *path, tmr_encoder *e, me_err *err);

#endif
