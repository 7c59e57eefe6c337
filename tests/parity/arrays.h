/* tests/parity/arrays.h: what the cases about networks share: arrays of a file by name, and errors
 * relative to a reference's size. */
#ifndef TESTS_PARITY_ARRAYS_H
#define TESTS_PARITY_ARRAYS_H

#include "core/value.h"

/* The array `name` of a dictionary as contiguous f32 or int32 from `arena`; `count` may be NULL. */
me_code parity_floats(float **out, int64_t *count, const me_value *dict, const char *name,
                      me_arena *arena, me_err *err);
me_code parity_ints(int32_t **out, int64_t *count, const me_value *dict, const char *name,
                    me_arena *arena, me_err *err);
/* |x - reference| / |reference|, Euclidean norms; the plain distance where the reference is 0. */
double parity_distance(const float *x, const float *reference, int64_t n);
/* The largest |x_i - reference_i|. */
double parity_largest(const float *x, const float *reference, int64_t n);

#endif
