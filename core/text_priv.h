/* core/text_priv.h: what the readers of text do before they read. */
#ifndef ME_CORE_TEXT_PRIV_H
#define ME_CORE_TEXT_PRIV_H

#include <string.h>

#include "core/err.h"

#define ME_MAX_TEXT ((size_t)256 << 20)

/* Refuses a text that is too large for its kind, "JSON", and steps over a byte order mark, as Excel
 * and Windows write one. */
static inline me_code me_text_begin(const char **text, size_t *size, const char *kind,
                                    const char *name, me_err *err)
{
    if (*size > ME_MAX_TEXT)
        return me_fail(err, ME_EFORMAT, "%s: %zu bytes of %s, more than the %zu that are read",
                       name, *size, kind, ME_MAX_TEXT);
    if (*size >= 3 && memcmp(*text, "\xef\xbb\xbf", 3) == 0) {
        *text += 3;
        *size -= 3;
    }
    return ME_OK;
}

#endif
