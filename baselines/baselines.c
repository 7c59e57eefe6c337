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

me_code baseline_train_pairs(int64_t **out, int64_t *n, me_arena *arena, const baseline_input *in,
                             me_err *err)
{
    const motion_dataset *d = in->dataset;
    bool own = false;
    *n = 0;
    *out = ME_NEW_ARRAY(arena, d->n, int64_t);
    if (!*out) return me_fail_mem(err, "the training pairs");
    for (int64_t i = 0; i < d->n && d->has_split; i++)
        if (d->pairs[i].split == MOTION_TRAIN) (*out)[(*n)++] = i;
    for (int64_t i = 0; i < in->n && *n == 1; i++) own = own || in->selected[i] == **out;
    if (*n == 0 || own)
        return me_fail(err, ME_EDATA,
                       "%s of the train split is in the dataset: name a file that holds it beside "
                       "the selected pairs, with a splits.json",
                       own ? "no other pair" : "no pair");
    return ME_OK;
}
