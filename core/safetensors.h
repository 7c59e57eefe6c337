/* core/safetensors.h: the writer; reading goes through core/doc.h. */
#ifndef ME_CORE_SAFETENSORS_H
#define ME_CORE_SAFETENSORS_H

#include "core/value.h"

/* `tensors`: dict name -> array, written in that order, 64-byte aligned data; `metadata`: dict of strings
 * or NULL. Atomic. */
me_code me_safetensors_write(const char *path, const me_value *tensors, const me_value *metadata,
                             me_err *err);

#endif
