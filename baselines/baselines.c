/* baselines/baselines.c: see baseline.h. */
#include "baselines/baselines_priv.h"

#include <string.h>

const baseline *const baseline_list[] = {
#define X(id) &baseline_##id,
    BASELINE_LIST(X)
#undef X
        NULL,
};

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a == '_' ? '-' : *a, y = *b == '_' ? '-' : *b;
        if (x != y) return false;
    }
    return *a == *b;
}

const baseline *baseline_find(const char *name)
{
    for (int i = 0; baseline_list[i]; i++)
        if (same_name(baseline_list[i]->name, name)) return baseline_list[i];
    return NULL;
}

const motion_pair *baseline_pair(const baseline_input *in, int64_t i)
{
    return &in->dataset->pairs[in->selected[i]];
}

me_code baseline_need_frames(const motion_clip *clip, const char *key, const char *what,
                             me_err *err)
{
    if (clip->frames > 0) return ME_OK;
    return me_fail(err, ME_EDATA, "%s: its %s motion has no frame", key, what);
}

motion_clip baseline_cut(const motion_clip *clip, int64_t frames)
{
    return (motion_clip){.frames = clip->frames < frames ? clip->frames : frames,
                         .pose = clip->pose};
}
