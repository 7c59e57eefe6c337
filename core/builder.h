/* core/builder.h: a tree put together without a check at every step, so that the code reads as the
 * document does. The first failure sticks in the builder, and what follows it does nothing; `code`
 * is looked at once, at the end. Makers nest: a value that is NULL is memory that ran out. */
#ifndef ME_CORE_BUILDER_H
#define ME_CORE_BUILDER_H

#include "core/value.h"

typedef struct me_builder {
    me_arena *arena;
    me_err *err;
    me_code code; /* of the first failure */
} me_builder;

static inline void me_put(me_builder *b, me_value *dict, const char *key, const me_value *value)
{
    if (!b->code) b->code = me_dict_put(b->arena, dict, key, (me_value *)value, b->err);
}

static inline void me_put_int(me_builder *b, me_value *dict, const char *key, int64_t i)
{
    me_put(b, dict, key, me_value_int(b->arena, i));
}

static inline void me_put_float(me_builder *b, me_value *dict, const char *key, double x)
{
    me_put(b, dict, key, me_value_float(b->arena, x));
}

static inline void me_put_text(me_builder *b, me_value *dict, const char *key, const char *text)
{
    me_put(b, dict, key, text ? me_value_string(b->arena, text) : NULL);
}

static inline void me_append(me_builder *b, me_value *list, me_value *item)
{
    if (!b->code) b->code = me_list_append(b->arena, list, item, b->err);
}

/* [lo, hi] */
static inline void me_put_pair(me_builder *b, me_value *dict, const char *key, double lo, double hi)
{
    me_value *pair = me_value_new(b->arena, ME_LIST);
    me_append(b, pair, me_value_float(b->arena, lo));
    me_append(b, pair, me_value_float(b->arena, hi));
    me_put(b, dict, key, pair);
}

#endif
