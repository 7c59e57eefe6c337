/* core/torch.h: PyTorch's two containers, the zip of today and the five pickles of before 1.6 (spec
 * evaluation 2.2, 2.5). Nothing is executed; what a tensor is, is in pickle_torch.c. Files are
 * opened through core/doc.h, which calls the readers here. */
#ifndef ME_CORE_TORCH_H
#define ME_CORE_TORCH_H

#include "core/value.h"
#include "core/zip.h"

bool me_is_torch_legacy(const unsigned char *bytes, size_t size);
/* Tensors are views into `bytes`, which must outlive the arena. */
me_code me_torch_legacy_read(me_value **out, me_arena *arena, const unsigned char *bytes,
                             size_t size, me_err *err);
/* The entry that makes a zip a torch file ("NAME/data.pkl"), or NULL. */
const me_zip_entry *me_torch_zip_pickle(const me_zip *zip);
/* Tensors are views into the entries: the zip must outlive the arena. */
me_code me_torch_zip_read(me_value **out, me_arena *arena, const me_zip *zip, me_err *err);

/* torch.save(value, path): an array, or a dictionary of arrays, numbers, strings, lists and
 * dictionaries. Arrays become CPU tensors of their own storage. Atomic;
 * torch.load(weights_only=True) reads it. */
me_code me_torch_write(const char *path, const me_value *v, me_err *err);

#endif
