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

/* `metadata`: further strings to keep; borrowed. Atomic: `path` holds the old file or the whole new
 * one. */
me_code model_checkpoint_write(const char *path, model *m, const me_value *metadata, me_err *err);
/* Fills parameters, moments, average and step. `options`: JSON that must be equal to the stored
 * one. */
me_code model_checkpoint_read(const char *path, model *m, const char *options, me_err *err);

#endif
