/* eval/documents.c: see documents.h. */
#include "eval/documents.h"

#include <string.h>

me_code eval_document_pick(me_value **out, me_arena *arena, const me_value *from,
                           const char *const *keys, me_err *err)
{
    *out = me_value_new(arena, ME_DICT);
    me_code code = *out ? ME_OK : me_fail_mem(err, "a document");
    for (int i = 0; keys[i] && !code; i++) {
        me_value *v = me_dict_get(from, keys[i]);
        if (v) code = me_dict_put(arena, *out, keys[i], v, err);
    }
    return code;
}

me_code eval_document_protocols(me_value **out, me_arena *arena, const me_value *protocols,
                                me_err *err)
{
    static const char *const kept[] = {"n",       "batches", "batch_size", "seed",
                                       "dropped", "reason",  "chance",     NULL};
    *out = me_value_new(arena, ME_DICT);
    me_code code = *out ? ME_OK : me_fail_mem(err, "a document");
    for (size_t i = 0; !code && i < protocols->as.dict.length; i++) {
        me_value *part;
        if (protocols->as.dict.values[i]->kind != ME_DICT) continue;
        code = eval_document_pick(&part, arena, protocols->as.dict.values[i], kept, err);
        if (!code) code = me_dict_set(arena, *out, protocols->as.dict.keys[i], part, err);
    }
    return code;
}

me_code eval_document_baselines(me_value **out, me_arena *arena, const me_value *baselines,
                                me_err *err)
{
    *out = me_value_new(arena, ME_DICT);
    me_code code = *out ? ME_OK : me_fail_mem(err, "a document");
    if (!baselines || baselines->kind != ME_DICT) return code;
    for (size_t i = 0; !code && i < baselines->as.dict.length; i++) {
        me_value *name = baselines->as.dict.keys[i];
        if (strncmp(name->as.string.data, "submission", 10) != 0)
            code = me_dict_set(arena, *out, name, baselines->as.dict.values[i], err);
    }
    return code;
}
