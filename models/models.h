/* models/models.h: the list of what `mebench train --model` can train. To add one: a file
 * models/NAME_train.c that defines `const model_kind model_kind_NAME`, and its name here.
 */
#ifndef MODEL_MODELS_H
#define MODEL_MODELS_H

#include "models/model.h"

// clang-format off
#define MODEL_LIST(X)                                                                              \
    X(tmr)                                                                                         \
    X(omnime)                                                                                      \
    X(simmotionedit)
// clang-format on

#define X(id) extern const model_kind model_kind_##id;
MODEL_LIST(X)
#undef X

/* All kinds, NULL-terminated. */
extern const model_kind *const model_list[];

/* Fails with ME_EUSAGE, naming the nearest. */
me_code model_find(const model_kind **out, const char *name, me_err *err);

#endif
