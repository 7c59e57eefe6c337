/* core/mem.h: arenas.
 *
 * What comes from an arena lives as long as the arena; what has `_open` must be `_close`d;
 * everything else is borrowed for the call. Plain data has no free function.
 *
 * An arena is a chain of blocks with a bump pointer; allocations are 64-byte aligned and zeroed.
 * Under AddressSanitizer free space is poisoned and allocations are separated by redzones.
 */
#ifndef ME_CORE_MEM_H
#define ME_CORE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct me_arena {
    struct me_arena_block *head; /* newest block */
    size_t block_size;           /* of the next block; grows */
    size_t total;                /* bytes handed out since init, for reports and limits */
    size_t limit;                /* 0: none; else allocations that would pass it fail */
} me_arena;

typedef struct me_arena_mark {
    struct me_arena_block *block;
    size_t used;
    size_t total;
} me_arena_mark;

void me_arena_init(me_arena *arena); /* an all-zero me_arena is valid too */
void me_arena_release(me_arena *arena);
/* About so many bytes will be asked for: the first blocks need not be small ones. */
void me_arena_expect(me_arena *arena, size_t bytes);

/* NULL when memory (or arena->limit) is exhausted or n * size overflows. n == 0 gives a valid,
 * unusable pointer. */
void *me_arena_alloc(me_arena *arena, size_t n, size_t size);
/* The same, but what is there may be anything: for callers that write all of it. */
void *me_arena_take(me_arena *arena, size_t n, size_t size);
char *me_arena_strdup(me_arena *arena, const char *s);
char *me_arena_strndup(me_arena *arena, const char *s, size_t n);
char *me_arena_printf(me_arena *arena, const char *fmt, ...) ME_PRINTF(2, 3);

me_arena_mark me_arena_get_mark(const me_arena *arena);
void me_arena_rewind(me_arena *arena, me_arena_mark mark);

/* Large memory, zeroed, in huge pages: they take a fraction of the faults, which bound the filling
 * of fresh memory. NULL when memory is out; *mapped is what me_pages_give takes. Any whole pages of
 * it may be given back apart from the others. */
#define ME_HUGE_PAGE ((size_t)2 << 20)
void *me_pages_take(size_t bytes, size_t *mapped);
void me_pages_give(void *pages, size_t mapped);
/* The arena owns these pages from now on and hands them out next. */
void me_arena_adopt(me_arena *arena, void *pages, size_t mapped);
/* Gives back the huge pages that an arena which will not grow much more has not come to. */
void me_arena_trim(me_arena *arena);

#define ME_NEW(arena, type) ((type *)me_arena_alloc((arena), 1, sizeof(type)))
#define ME_NEW_ARRAY(arena, n, type) ((type *)me_arena_alloc((arena), (size_t)(n), sizeof(type)))

/* Fills err with ME_EMEM and returns it. */
me_code me_fail_mem(me_err *err, const char *what);

/* a * b, or false when it does not fit. */
static inline int me_mul_size(size_t a, size_t b, size_t *out)
{
    if (b && a > SIZE_MAX / b) return 0;
    *out = a * b;
    return 1;
}

#endif
