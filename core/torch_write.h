/* core/torch_write.h: the writer of PyTorch's zip container; reading goes through core/doc.h. */
#ifndef ME_CORE_TORCH_WRITE_H
#define ME_CORE_TORCH_WRITE_H

#include "core/value.h"

/* torch.save(value, path) with protocol 2: an array, or a dictionary of arrays, numbers, strings, lists and
 * dictionaries. Arrays become contiguous CPU tensors, each with its own storage. Atomic; torch.load reads
 * it, also with weights_only=True. */
me_code me_torch_write(const char *path, const me_value *v, me_err *err);

#endif
