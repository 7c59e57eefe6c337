/* core/err.h: one error convention for every folder.
 *
 * Every fallible function returns `me_code` (ME_OK is 0, always) and takes a `me_err *` as its last
 * argument. The first failure wins: a filled error is never overwritten. NULL is allowed where only
 * the code matters. Libraries neither print nor exit; the program in eval/ does both.
 *
 * A message names the thing, what was wanted, what was found and, if possible, what to try:
 *     walk.npy: expected 135 columns, found 263 (HumanML3D features? try --format humanml3d)
 */
#ifndef ME_CORE_ERR_H
#define ME_CORE_ERR_H

#include <stdarg.h>

// clang-format off
/*        id           text                            exit status of the program */
#define ME_CODE_LIST(X)                                                                            \
    X(ME_OK,           "ok",                           0)                                          \
    X(ME_ECHECK,       "a check failed",               1)                                          \
    X(ME_EUSAGE,       "usage",                        2)                                          \
    X(ME_EIO,          "input or output failed",       3)                                          \
    X(ME_EFORMAT,      "malformed file",               3)                                          \
    X(ME_EDATA,        "unusable data",                3)                                          \
    X(ME_EMEM,         "out of memory",                4)                                          \
    X(ME_EDEVICE,      "device",                       4)                                          \
    X(ME_EBUG,         "internal error",               5)
// clang-format on

typedef enum {
#define X(id, text, status) id,
    ME_CODE_LIST(X)
#undef X
        ME_CODE_COUNT
} me_code;

typedef struct me_err {
    me_code code;
    char msg[512];
} me_err;

#if defined(__GNUC__)
#define ME_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ME_PRINTF(fmt, args)
#endif

/* Fills `err` unless it already holds a failure; returns `code`, so that `return me_fail(...)`
 * reads as one sentence. */
me_code me_fail(me_err *err, me_code code, const char *fmt, ...) ME_PRINTF(3, 4);
me_code me_vfail(me_err *err, me_code code, const char *fmt, va_list args);

/* Puts "prefix: " before the message of a failed `err` (a caller that knows the file's name adds it
 * to the message of a parser that did not). Returns err->code. */
me_code me_err_prefix(me_err *err, const char *fmt, ...) ME_PRINTF(2, 3);

const char *me_code_text(me_code code);
int me_code_exit_status(me_code code);

#endif
