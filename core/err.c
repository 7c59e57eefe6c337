/* core/err.c: see err.h. */
#include "core/err.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    int status;
} codes[] = {
#define X(id, text, status) {text, status},
    ME_CODE_LIST(X)
#undef X
};

me_code me_vfail(me_err *err, me_code code, const char *fmt, va_list args)
{
    if (err && err->code == ME_OK) {
        err->code = code;
        vsnprintf(err->msg, sizeof err->msg, fmt, args);
    }
    return code;
}

me_code me_fail(me_err *err, me_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    me_vfail(err, code, fmt, args);
    va_end(args);
    return code;
}

me_code me_err_prefix(me_err *err, const char *fmt, ...)
{
    if (!err) return ME_EBUG;
    if (err->code == ME_OK) return ME_OK;
    char joined[sizeof err->msg];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(joined, sizeof joined, fmt, args);
    va_end(args);
    if (n < 0) return err->code;
    size_t used = (size_t)n < sizeof joined ? (size_t)n : sizeof joined - 1;
    /* The prefix is kept whole and the end of the message gives way: it begins with what matters.
     */
    const char *parts[] = {": ", err->msg};
    for (int i = 0; i < 2; i++) {
        size_t size = strlen(parts[i]), room = sizeof joined - 1 - used;
        if (size > room) size = room;
        memcpy(joined + used, parts[i], size);
        used += size;
    }
    joined[used] = '\0';
    memcpy(err->msg, joined, used + 1);
    return err->code;
}

const char *me_code_text(me_code code)
{
    return (unsigned)code < ME_CODE_COUNT ? codes[code].text : "unknown code";
}

int me_code_exit_status(me_code code)
{
    return (unsigned)code < ME_CODE_COUNT ? codes[code].status : 5;
}
