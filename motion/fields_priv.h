/* motion/fields_priv.h: what the readers of datasets and of sample sets share: keys, shapes, the
 * search for numbers that are none. */
#ifndef MOTION_FIELDS_PRIV_H
#define MOTION_FIELDS_PRIV_H

#include "core/value.h"
#include "motion/motion.h"

/* Schema of our safetensors form, in the file's metadata (motion.h says what it holds). */
#define MOTION_SCHEMA "mebench.motion/1"

/* What an array of so many columns may be instead of what was wanted, as " (…?)", or "". */
const char *motion_width_hint(int64_t columns);

/* The key as text: strings as they are, integers with six digits (*converted is set), NULL for
 * others and when memory is out. */
const char *motion_key_text(me_arena *arena, const me_value *key, bool *converted);

/* The first row that holds a NaN or an infinity, or -1. */
int64_t motion_first_bad_row(const float *v, int64_t rows, int64_t columns);

/* `view` = the first `columns` columns (ndim 2), or the first columns/3 joints (ndim 3), of `a`,
 * which has at least as many; `what` names the array in messages. */
me_code motion_columns_view(me_array *view, const me_array *a, int64_t columns, bool exact,
                            const char *what, me_err *err);

/* Positions of keys in ascending byte-wise order, of equal ones that of the first first. */
me_code motion_key_sort(int64_t **out, me_arena *arena, const char *const *keys, int64_t n,
                        me_err *err);
/* The same; two equal keys are an error. */
me_code motion_key_order(int64_t **out, me_arena *arena, const char *const *keys, int64_t n,
                         me_err *err);
/* Position in `keys` of `key`, or -1. */
int64_t motion_key_find(const char *const *keys, const int64_t *order, int64_t n, const char *key);

/* A list of strings from JSON text in a safetensors file's metadata; `want` items. */
me_code motion_metadata_strings(const char ***out, me_arena *arena, const me_value *metadata,
                                const char *field, int64_t want, me_err *err);

#endif
