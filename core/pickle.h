/* core/pickle.h: a pickle is data here. The reader is a small stack machine with an allow-list of globals
 * (spec evaluation 2.2); everything else is refused by name. The writer writes what joblib.dump and
 * np.save would: protocol 4, arrays as joblib's NumpyArrayWrapper or as numpy's _reconstruct.
 */
#ifndef ME_CORE_PICKLE_H
#define ME_CORE_PICKLE_H

#include "core/file.h"
#include "core/value.h"

/* joblib.dump(value, path) without compression; leaves are arrays, strings, numbers, lists, dicts. */
me_code me_joblib_write(const char *path, const me_value *v, me_err *err);

#endif
