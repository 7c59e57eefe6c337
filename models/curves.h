/* models/curves.h: what happened during training, as CSV and as TensorBoard event files.
 *
 * A resumed run drops the rows after the step that it resumes from and goes on, so that the file
 * reads as one run's.
 */
#ifndef MODEL_CURVES_H
#define MODEL_CURVES_H

#include <stdint.h>

#include "core/err.h"

typedef struct model_curves model_curves;

/* `path` gets a header of `columns` names (the first must be "step") unless it exists and `from` >
 * 0. `events`: folder for a TensorBoard file, or NULL. `prefix` goes before the tags there
 * ("train/"). */
me_code model_curves_open(model_curves **out, const char *path, const char *events,
                          const char *prefix, const char *const *columns, int n, int64_t from,
                          me_err *err);
/* values[0] is the step. NaN is written as an empty field and left out of the events. */
me_code model_curves_add(model_curves *c, const double *values, me_err *err);
me_code model_curves_close(model_curves *c, me_err *err);

#endif
