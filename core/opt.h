/* core/opt.h: one option table per command or model gives parsing, --help, validation, a JSON
 * config and the echo of what was used.
 *
 * Order: defaults < --config FILE < flags. Long options only ("--name value", "--name=value"; a
 * bool is
 * "--name" or "--no-name"); "--" ends options, "-" is an operand; of a repeated option the last
 * wins. A value after a space may begin with one dash, not with two. Unknown names fail with "did
 * you mean".
 */
#ifndef ME_CORE_OPT_H
#define ME_CORE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/value.h"

typedef enum {
    ME_OPT_BOOL,   /* bool */
    ME_OPT_INT,    /* int64_t, in [lo, hi] */
    ME_OPT_FLOAT,  /* double, in [lo, hi] */
    ME_OPT_STRING, /* const char * */
    ME_OPT_CHOICE  /* const char *, one of `choices` ("a|b|c") */
} me_opt_type;

typedef struct me_opt {
    const char *name; /* "batch-size" */
    me_opt_type type;
    size_t offset;        /* into the caller's struct */
    const char *fallback; /* default as text; NULL: unset (NULL, 0, false) */
    double lo, hi;        /* both 0: unbounded; INFINITY and beyond 2^53: open on that side */
    const char *choices;
    const char *value; /* what --help calls the argument: "DIR" */
    const char *help;
} me_opt;

/* One table of several, for a struct that holds the structs of them all: the rows of each with its
 * place added to their offsets. NULL when memory is out. */
typedef struct me_opt_part {
    const me_opt *table;
    size_t place;
} me_opt_part;
const me_opt *me_opt_join(const me_opt_part *parts, int n, me_arena *arena);

/* Fills the struct with defaults. A table ends with an entry whose name is NULL. */
me_code me_opt_defaults(const me_opt *table, void *target, me_arena *arena, me_err *err);
/* Parses argv[0..argc), moving operands to the front; *operands is their number. ME_EUSAGE on
 * misuse. */
me_code me_opt_parse(const me_opt *table, void *target, me_arena *arena, int argc, char **argv,
                     int *operands, me_err *err);
/* From a dictionary whose keys are option names; unknown keys fail. null is the default; an integer
 * may be a string, as JSON needs it beyond 2^53. */
me_code me_opt_from_value(const me_opt *table, void *target, me_arena *arena,
                          const me_value *config, me_err *err);
/* Sets one option by name from text. */
me_code me_opt_set(const me_opt *table, void *target, me_arena *arena, const char *name,
                   const char *text, me_err *err);
/* The dictionary from which me_opt_from_value makes the same struct; NULL when memory is out. */
me_value *me_opt_echo(const me_opt *table, const void *target, me_arena *arena);
/* The aligned table of options for --help, 100 columns wide; NULL when memory is out. */
char *me_opt_help(const me_opt *table, me_arena *arena);

#endif
