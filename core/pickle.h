/* core/pickle.h: a pickle is data here. The reader is a small stack machine with an allow-list of
 * globals (spec evaluation 2.2); everything else is refused by name. The writer writes what
 * joblib.dump and np.save would: protocol 4, arrays as joblib's NumpyArrayWrapper or as numpy's
 * _reconstruct.
 */
#ifndef ME_CORE_PICKLE_H
#define ME_CORE_PICKLE_H

#include "core/file.h"
#include "core/value.h"

/* Reads the one pickle that `bytes` are from `at` to the end, protocols 0 to 5, joblib's raw arrays
 * included. Arrays and byte strings are views: `bytes` must outlive the arena. `joblib`, where not
 * NULL, tells whether an array of joblib's or a tensor was met. */
me_code me_pickle_read(me_value **out, bool *joblib, me_arena *arena, const unsigned char *bytes,
                       size_t size, size_t at, me_err *err);

/* joblib.dump(value, path) without compression; leaves are arrays, strings, numbers, lists, dicts.
 */
me_code me_joblib_write(const char *path, const me_value *v, me_err *err);
/* The pickle of a 0-d object array that holds `v`: what follows the header in an .npy file. */
void me_pickle_put_object_array(me_writer *w, const me_value *v);

#endif
