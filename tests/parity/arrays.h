/* tests/parity/arrays.h: what the cases about networks share: the files of a folder, their arrays
 * by name, arrays that anyone can write down, and errors relative to a reference's size. */
#ifndef TESTS_PARITY_ARRAYS_H
#define TESTS_PARITY_ARRAYS_H

#include "core/doc.h"

/* golden.json and io.npz of a folder. */
typedef struct parity_files {
    me_value *golden;
    const me_value *config; /* golden's */
    me_doc io;
} parity_files;

me_code parity_files_open(parity_files *out, const char *folder, me_arena *arena, me_err *err);
void parity_files_close(parity_files *f);
/* A whole number of a configuration. */
int64_t parity_size(const me_value *config, const char *name);

/* The array `name` of a dictionary as contiguous f32 or int32 from `arena`; `count` may be NULL. */
me_code parity_floats(float **out, int64_t *count, const me_value *dict, const char *name,
                      me_arena *arena, me_err *err);
me_code parity_ints(int32_t **out, int64_t *count, const me_value *dict, const char *name,
                    me_arena *arena, me_err *err);
/* The first lengths[i] rows of each sample of a padded (n, longest, columns) array, end to end;
 * NULL when memory is out. */
float *parity_pack(const float *padded, int64_t n, int64_t longest, int64_t columns,
                   const int32_t *lengths, me_arena *arena);

/* u(n, i) of spec omnime 11, in [-1, 1): element i of the array that is filled as number n. */
double parity_fill(uint32_t n, uint32_t i);
/* (count) shift + scale u(n, i); NULL when memory is out. */
float *parity_filled(uint32_t n, int64_t count, double scale, double shift, me_arena *arena);

/* |x - reference| / |reference|, Euclidean norms; the plain distance where the reference is 0. */
double parity_distance(const float *x, const float *reference, int64_t n);
/* The largest |x_i - reference_i|. */
double parity_largest(const float *x, const float *reference, int64_t n);

#endif
