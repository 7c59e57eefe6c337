/* core/safetensors.h: Hugging Face's container: 8 bytes of header length, a JSON header, the data.
 * Files are opened through core/doc.h, which calls the parser here. */
#ifndef ME_CORE_SAFETENSORS_H
#define ME_CORE_SAFETENSORS_H

#include "core/value.h"

bool me_is_safetensors(const unsigned char *bytes, size_t size);
/* A dict of views into `bytes`, in the header's order; `metadata` is NULL where the file has none.
 */
me_code me_safetensors_parse(me_value **tensors, me_value **metadata, me_arena *arena,
                             const unsigned char *bytes, size_t size, me_err *err);
/* What a file says of itself, by its header alone: the tensors may be large. NULL where it says
 * nothing, or is of another format. */
me_code me_safetensors_metadata(me_value **out, me_arena *arena, const char *path, me_err *err);

/* `tensors`: dict name -> array, written in that order without gaps, the first at a multiple of 64
 * bytes; `metadata`: dict of strings or NULL. Atomic. */
me_code me_safetensors_write(const char *path, const me_value *tensors, const me_value *metadata,
                             me_err *err);

#endif
