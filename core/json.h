/* core/json.h: the one door to cJSON. Strict: duplicate keys, trailing bytes and numbers that a double
 * cannot hold exactly (unless fractional) are refused. Reading gives a me_value; writing takes one.
 */
#ifndef ME_CORE_JSON_H
#define ME_CORE_JSON_H

#include "core/value.h"

me_code me_json_parse(me_value **out, me_arena *arena, const char *text, size_t size,
                      const char *name, me_err *err);
me_code me_json_read(me_value **out, me_arena *arena, const char *path, me_err *err);
/* Deterministic text, keys in insertion order, doubles in the shortest form that reads back equal,
 * indent 2. A non-finite number is an error: callers write an explicit null with a reason. */
me_code me_json_text(char **out, me_arena *arena, const me_value *v, me_err *err);
me_code me_json_write(const char *path, const me_value *v, me_err *err); /* atomic */

#endif
