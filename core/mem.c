/* core/mem.c: see mem.h. */
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define ME_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ME_ASAN 1
#endif
#endif

#ifdef ME_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define REDZONE 64
#else
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#define REDZONE 0
#endif

#define ALIGN 64
#define FIRST_BLOCK (64u << 10)
#define LARGEST_BLOCK (8u << 20)
#define HUGE_PAGE ((size_t)2 << 20)

struct me_arena_block {
    struct me_arena_block *next; /* older */
    size_t size, used;
    size_t mapped;       /* bytes of a mapping of its own, or 0: from calloc */
    unsigned char *data; /* aligned start inside this allocation */
};

/* A block of `bytes` zeroes. A large one is a mapping aligned to huge pages, which take a fraction
 * of the faults: filling a fresh arena is bound by those. The leak checker of AddressSanitizer
 * follows no pointers in mappings, so there all blocks are calloc's. */
static struct me_arena_block *block_take(size_t bytes)
{
#ifndef ME_ASAN
    if (bytes >= 2 * HUGE_PAGE && bytes <= SIZE_MAX - 2 * HUGE_PAGE) {
        size_t size = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1), room = size + HUGE_PAGE;
        unsigned char *p =
            mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return NULL;
        size_t before = (size_t)(-(uintptr_t)p & (HUGE_PAGE - 1));
        if (before) munmap(p, before);
        munmap(p + before + size, HUGE_PAGE - before);
        madvise(p + before, size, MADV_HUGEPAGE);
        struct me_arena_block *b = (struct me_arena_block *)(void *)(p + before);
        b->mapped = size;
        return b;
    }
#endif
    /* calloc: large blocks come as untouched zero pages, so a sparse user pays for what it writes.
     */
    return calloc(1, bytes);
}

static void block_give(struct me_arena_block *b)
{
    UNPOISON(b->data, b->size);
    if (b->mapped)
        munmap(b, b->mapped);
    else
        free(b);
}

void me_arena_init(me_arena *arena)
{
    memset(arena, 0, sizeof *arena);
}

void me_arena_release(me_arena *arena)
{
    for (struct me_arena_block *b = arena->head; b;) {
        struct me_arena_block *older = b->next;
        block_give(b);
        b = older;
    }
    size_t limit = arena->limit;
    me_arena_init(arena);
    arena->limit = limit;
}

static struct me_arena_block *block_new(size_t size)
{
    size_t bytes = sizeof(struct me_arena_block) + ALIGN + size;
    if (bytes < size) return NULL;
    struct me_arena_block *b = block_take(bytes);
    if (!b) return NULL;
    uintptr_t start = (uintptr_t)(b + 1);
    b->data = (unsigned char *)((start + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
    b->size = b->mapped ? b->mapped - (size_t)(b->data - (unsigned char *)b) : size;
    POISON(b->data, b->size);
    return b;
}

void *me_arena_alloc(me_arena *arena, size_t n, size_t size)
{
    size_t bytes;
    if (!me_mul_size(n, size, &bytes) || bytes > SIZE_MAX - ALIGN - REDZONE) return NULL;
    if (arena->limit && (bytes > arena->limit || arena->total > arena->limit - bytes)) return NULL;
    size_t need = ((bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1)) + REDZONE;
    if (!need) need = ALIGN;
    struct me_arena_block *b = arena->head;
    if (!b || b->size - b->used < need) {
        size_t want = arena->block_size ? arena->block_size : FIRST_BLOCK;
        arena->block_size = want < LARGEST_BLOCK ? want * 2 : want;
        b = block_new(need > want ? need : want);
        if (!b) return NULL;
        b->next = arena->head;
        arena->head = b;
    }
    void *p = b->data + b->used;
    b->used += need;
    arena->total += bytes;
    UNPOISON(p, bytes);
    return p;
}

char *me_arena_strndup(me_arena *arena, const char *s, size_t n)
{
    char *copy = n < SIZE_MAX ? me_arena_alloc(arena, n + 1, 1) : NULL;
    if (copy) memcpy(copy, s, n);
    return copy;
}

char *me_arena_strdup(me_arena *arena, const char *s)
{
    return me_arena_strndup(arena, s, strlen(s));
}

char *me_arena_printf(me_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *s = n >= 0 ? me_arena_alloc(arena, (size_t)n + 1, 1) : NULL;
    if (s) vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

me_arena_mark me_arena_get_mark(const me_arena *arena)
{
    return (me_arena_mark){arena->head, arena->head ? arena->head->used : 0, arena->total};
}

void me_arena_rewind(me_arena *arena, me_arena_mark mark)
{
    while (arena->head && arena->head != mark.block) {
        struct me_arena_block *older = arena->head->next;
        block_give(arena->head);
        arena->head = older;
    }
    if (arena->head) {
        struct me_arena_block *b = arena->head;
        UNPOISON(b->data + mark.used, b->used - mark.used);
        memset(b->data + mark.used, 0, b->used - mark.used); /* allocations promise zeroes */
        POISON(b->data + mark.used, b->size - mark.used);
        b->used = mark.used;
    }
    arena->total = mark.total;
}

me_code me_fail_mem(me_err *err, const char *what)
{
    return me_fail(err, ME_EMEM, "out of memory for %s", what);
}
