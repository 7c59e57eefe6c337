/* core/npy.h: NumPy's array files, and the bytes that a pickle of ours needs. Reading any file goes
 * through core/doc.h; these are the writers and the parser that doc.c calls.
 */
#ifndef ME_CORE_NPY_H
#define ME_CORE_NPY_H

#include "core/file.h"
#include "core/value.h"

bool me_is_npy(const unsigned char *bytes, size_t size);
/* Versions 1.0 to 3.0: an array (a view into `bytes`), text as strings, or what an object array
 * holds. */
me_code me_npy_parse(me_value **out, me_arena *arena, const unsigned char *bytes, size_t size,
                     me_err *err);

me_code me_npy_write(const char *path, const me_array *a, me_err *err); /* atomic, version 1.0 */
/* The bytes of such a file. */
me_code me_npy_bytes(me_bytes *out, const me_array *a, me_err *err);
/* One dict-valued 0-d object array, as np.save(path, {...}) writes it (readable with
 * allow_pickle=True). */
me_code me_npy_write_object(const char *path, const me_value *v, me_err *err);

#endif
