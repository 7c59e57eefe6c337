/* core/mem.c: see mem.h. */
#include "core/mem.h"

#include <stdbool.h>
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
#include <sanitizer/lsan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
/* The leak checker follows pointers in mappings only where it is told to. */
#define WATCH(p, n) __lsan_register_root_region(p, n)
#define UNWATCH(p, n) __lsan_unregister_root_region(p, n)
#define REDZONE 64
#else
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#define WATCH(p, n) ((void)0)
#define UNWATCH(p, n) ((void)0)
#define REDZONE 0
#endif

#define ALIGN 64
#define FIRST_BLOCK (64u << 10)
#define LARGEST_BLOCK (8u << 20)

struct me_arena_block {
    struct me_arena_block *next; /* older */
    size_t size, used;
    size_t mapped;       /* bytes of pages that it lies in, or 0: from calloc */
    bool dirty;          /* free space may hold anything; else zeroes */
    unsigned char *data; /* aligned start inside this allocation */
};

void *me_pages_take(size_t bytes, size_t *mapped)
{
    if (bytes > SIZE_MAX - 2 * ME_HUGE_PAGE) return NULL;
    size_t size = (bytes + ME_HUGE_PAGE - 1) & ~(ME_HUGE_PAGE - 1), room = size + ME_HUGE_PAGE;
    unsigned char *p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = (size_t)(-(uintptr_t)p & (ME_HUGE_PAGE - 1));
    if (before) munmap(p, before);
    munmap(p + before + size, ME_HUGE_PAGE - before);
    madvise(p + before, size, MADV_HUGEPAGE);
    *mapped = size;
    return p + before;
}

void me_pages_give(void *pages, size_t mapped)
{
    munmap(pages, mapped);
}

static void block_give(struct me_arena_block *b)
{
    UNPOISON(b->data, b->size);
    if (b->mapped) {
        UNWATCH(b, b->mapped);
        me_pages_give(b, b->mapped);
    } else {
        free(b);
    }
}

void me_arena_init(me_arena *arena)
{
    memset(arena, 0, sizeof *arena);
}

void me_arena_expect(me_arena *arena, size_t bytes)
{
    arena->block_size = bytes < FIRST_BLOCK     ? FIRST_BLOCK
                        : bytes < LARGEST_BLOCK ? bytes
                                                : LARGEST_BLOCK;
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

/* Makes a block of memory of `bytes`, a struct me_arena_block at its start, the newest. */
static void block_push(me_arena *arena, struct me_arena_block *b, size_t bytes)
{
    uintptr_t start = (uintptr_t)(b + 1);
    b->data = (unsigned char *)((start + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
    b->size = bytes - (size_t)(b->data - (unsigned char *)b);
    b->next = arena->head;
    arena->head = b;
    POISON(b->data, b->size);
    if (b->mapped) WATCH(b, b->mapped);
}

static bool block_new(me_arena *arena, size_t size)
{
    size_t bytes = sizeof(struct me_arena_block) + ALIGN + size, mapped = 0;
    if (bytes < size) return false;
    /* calloc: its blocks come as untouched zero pages, so a sparse user pays for what it writes. */
    struct me_arena_block *b =
        bytes < 2 * ME_HUGE_PAGE ? calloc(1, bytes) : me_pages_take(bytes, &mapped);
    if (!b) return false;
    b->mapped = mapped;
    block_push(arena, b, mapped ? mapped : bytes);
    return true;
}

void me_arena_adopt(me_arena *arena, void *pages, size_t mapped)
{
    struct me_arena_block *b = arena->head;
    if (b && b->mapped && (unsigned char *)b + b->mapped == pages) { /* right behind the newest */
        UNWATCH(b, b->mapped);
        POISON(pages, mapped);
        b->mapped += mapped;
        b->size += mapped;
        b->dirty = true;
        WATCH(b, b->mapped);
        return;
    }
    b = pages;
    *b = (struct me_arena_block){.mapped = mapped, .dirty = true};
    block_push(arena, b, mapped);
}

void me_arena_trim(me_arena *arena)
{
    struct me_arena_block *b = arena->head;
    if (!b || !b->mapped) return;
    uintptr_t used = (uintptr_t)(b->data + b->used), end = (uintptr_t)b + b->mapped;
    uintptr_t kept = (used + ME_HUGE_PAGE - 1) & ~(ME_HUGE_PAGE - 1);
    if (kept >= end) return;
    UNPOISON((void *)kept, end - kept);
    UNWATCH(b, b->mapped);
    me_pages_give((void *)kept, end - kept);
    b->mapped -= end - kept;
    b->size -= end - kept;
    WATCH(b, b->mapped);
}

void *me_arena_take(me_arena *arena, size_t n, size_t size)
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
        if (!block_new(arena, need > want ? need : want)) return NULL;
        b = arena->head;
    }
    void *p = b->data + b->used;
    b->used += need;
    arena->total += bytes;
    UNPOISON(p, bytes);
    return p;
}

void *me_arena_alloc(me_arena *arena, size_t n, size_t size)
{
    void *p = me_arena_take(arena, n, size);
    if (p && arena->head->dirty) memset(p, 0, n * size);
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
