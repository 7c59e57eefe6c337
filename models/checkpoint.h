/* models/checkpoint.h: a model under training as one safetensors file.
 *
 * Tensors: every parameter under its PyTorch name; "adamw.m/NAME", "adamw.v/NAME" and, with an
 * average, "ema/NAME"; what the model adds (statistics). Metadata, all strings: schema
 * "mebench.checkpoint/1", model, step, options (JSON), and provenance.
 */
#ifndef MODEL_CHECKPOINT_H
#define MODEL_CHECKPOINT_H

#include "models/model.h"

#define MODEL_CHECKPOINT_SCHEMA "mebench.checkpoint/1"
#define MODEL_WEIGHTS_SCHEMA "mebench.weights/1"

/* `metadata`: further strings to keep; borrowed. Atomic: `path` holds the old file or the whole new
 * one. */
me_code model_checkpoint_write(const char *path, model *m, const me_value *metadata, me_err *err);
/* Fills parameters, moments, average and step. `options`: JSON that must be equal to the stored
 * one. */
me_code model_checkpoint_read(const char *path, model *m, const char *options, me_err *err);
/* Entry `i` of a checkpoint's tensors as a user of the model wants it: NULL for the optimiser's and
 * the averages themselves, the average in place of a parameter that has one. */
const me_value *model_checkpoint_entry(const me_value *tensors, size_t i);

/* What users of the model need of the checkpoint at `from`, written to `to` (safetensors, schema
 * MODEL_WEIGHTS_SCHEMA): the averaged weights under the parameters' own names where there are any,
 * else the weights; what the model added; all metadata. `half`: parameters as float16, 11 bits of
 * precision; the statistics stay as they are. A parameter that float16 cannot hold is an error. */
me_code model_checkpoint_slim(const char *to, const char *from, bool half, me_err *err);

#endif
