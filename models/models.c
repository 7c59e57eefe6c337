/* models/models.c: the table of models. */
#include "models/models.h"

#include <string.h>

#include "core/file.h"

const model_kind *const model_list[] = {
#define X(id) &model_kind_##id,
    MODEL_LIST(X)
#undef X
        NULL};

enum {
#define X(id) MODEL_KIND_##id,
    MODEL_LIST(X)
#undef X
        MODEL_KIND_COUNT
};

me_code model_find(const model_kind **out, const char *name, me_err *err)
{
    const char *names[MODEL_KIND_COUNT];
    for (int i = 0; i < MODEL_KIND_COUNT; i++) {
        names[i] = model_list[i]->name;
        if (strcmp(names[i], name) != 0) continue;
        *out = model_list[i];
        return ME_OK;
    }
    const char *near = me_nearest(name, names, MODEL_KIND_COUNT);
    return me_fail(err, ME_EUSAGE,
                   near ? "no model '%.80s' (did you mean '%s'?)"
                        : "no model '%.80s' (`mebench list models` names them)",
                   name, near);
}
