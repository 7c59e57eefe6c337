/* core/json.h: the one door to cJSON. Reading gives a me_value; writing takes one.
 *
 * Reading is strict (RFC 8259): duplicate keys, trailing text, broken UTF-8, nesting beyond 100 and
 * integers beyond 2^53, which a double cannot hold exactly, are refused with line and column; seeds
 * and hashes are therefore written as strings. A number without fraction and exponent becomes
 * ME_INT, any other ME_FLOAT. A byte order mark at the start is skipped.
 */
#ifndef ME_CORE_JSON_H
#define ME_CORE_JSON_H

#include "core/value.h"

me_code me_json_parse(me_value **out, me_arena *arena, const char *text, size_t size,
                      const char *name, me_err *err);
me_code me_json_read(me_value **out, me_arena *arena, const char *path, me_err *err);
/* Deterministic text without a final newline: keys in insertion order, indent 2, doubles in the
 * shortest form that reads back equal and with a point or an exponent, so that the kind survives
 * too. A non-finite number is an error (callers write an explicit null with a reason), and so is
 * what JSON has no form for: bytes, arrays, NULs in strings. */
me_code me_json_text(char **out, me_arena *arena, const me_value *v, me_err *err);
me_code me_json_write(const char *path, const me_value *v,
                      me_err *err); /* atomic; ends with a newline */

#endif
