/* Arenas: aligned, zeroed, bounded, and rewound without leaving a trace. */
#include <criterion/criterion.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/mem.h"

static bool all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

Test(mem, allocations_are_aligned_zeroed_and_apart)
{
    me_arena arena = {0};
    unsigned char *last = NULL;
    for (size_t n = 0; n < 300; n++) {
        unsigned char *p = me_arena_alloc(&arena, n, 1);
        cr_assert_not_null(p);
        cr_assert_eq((uintptr_t)p % 64, 0);
        cr_assert(all_zero(p, n));
        cr_assert_neq(p, last);
        memset(p, 0xff, n);
        last = p;
    }
    cr_assert_eq(arena.total, 299 * 300 / 2);
    me_arena_release(&arena);
    cr_assert_null(arena.head);
    cr_assert_eq(arena.total, 0);
}

Test(mem, large_allocations_get_a_block_of_their_own)
{
    me_arena arena = {0};
    unsigned char *small = me_arena_alloc(&arena, 10, 1);
    unsigned char *large = me_arena_alloc(&arena, (size_t)64 << 20, 1);
    cr_assert_not_null(small);
    cr_assert_not_null(large);
    large[((size_t)64 << 20) - 1] = 1;
    cr_assert_not_null(me_arena_alloc(&arena, 1, 1));
    me_arena_release(&arena);
}

Test(mem, products_that_overflow_are_refused)
{
    me_arena arena = {0};
    cr_assert_null(me_arena_alloc(&arena, SIZE_MAX, 2));
    cr_assert_null(me_arena_alloc(&arena, SIZE_MAX / 8 + 1, 8));
    cr_assert_null(me_arena_alloc(&arena, SIZE_MAX, 1));
    cr_assert_null(me_arena_alloc(&arena, SIZE_MAX - 64, 1));
    cr_assert_null(me_arena_strndup(&arena, "x", SIZE_MAX));
    size_t product;
    cr_assert(me_mul_size(3, 4, &product));
    cr_assert_eq(product, 12);
    cr_assert(me_mul_size(SIZE_MAX, 0, &product));
    cr_assert_not(me_mul_size(SIZE_MAX / 2, 3, &product));
    me_arena_release(&arena);
}

Test(mem, a_limit_holds_and_outlives_a_release)
{
    me_arena arena = {.limit = 100};
    cr_assert_not_null(me_arena_alloc(&arena, 60, 1));
    cr_assert_null(me_arena_alloc(&arena, 41, 1));
    cr_assert_not_null(me_arena_alloc(&arena, 40, 1));
    cr_assert_null(me_arena_alloc(&arena, 1, 1));
    me_arena_release(&arena);
    cr_assert_eq(arena.limit, 100);
    cr_assert_null(me_arena_alloc(&arena, 101, 1));
    cr_assert_not_null(me_arena_alloc(&arena, 100, 1));
    me_arena_release(&arena);
}

Test(mem, strings_are_copied)
{
    me_arena arena = {0};
    char word[] = "word";
    char *copy = me_arena_strdup(&arena, word), *part = me_arena_strndup(&arena, word, 2);
    word[0] = 'x';
    cr_assert_str_eq(copy, "word");
    cr_assert_str_eq(part, "wo");
    cr_assert_str_eq(me_arena_printf(&arena, "%s-%03d", word, 7), "xord-007");
    me_arena_release(&arena);
}

Test(mem, rewinding_gives_back_the_space_zeroed)
{
    me_arena arena = {0};
    unsigned char *kept = me_arena_alloc(&arena, 100, 1);
    memset(kept, 7, 100);
    me_arena_mark mark = me_arena_get_mark(&arena);
    unsigned char *first = me_arena_alloc(&arena, 1000, 1);
    memset(first, 0xff, 1000);
    for (int i = 0; i < 100; i++) memset(me_arena_alloc(&arena, 100000, 1), 0xff, 100000);
    me_arena_rewind(&arena, mark);
    cr_assert_eq(arena.total, 100);
    unsigned char *again = me_arena_alloc(&arena, 1000, 1);
    cr_assert_eq(again, first);
    cr_assert(all_zero(again, 1000));
    cr_assert_eq(kept[99], 7);
    me_arena_release(&arena);
}

Test(mem, rewinding_to_the_start_frees_all)
{
    me_arena arena = {0};
    me_arena_mark mark = me_arena_get_mark(&arena);
    cr_assert_not_null(me_arena_alloc(&arena, 10, 1));
    me_arena_rewind(&arena, mark);
    cr_assert_null(arena.head);
    cr_assert_eq(arena.total, 0);
}

/* Pages as a reader leaves them, in two parts. */
static void adopt_first_part(me_arena *arena, unsigned char **pages, size_t *mapped, size_t part)
{
    *pages = me_pages_take(3 * ME_HUGE_PAGE, mapped);
    cr_assert_not_null(*pages);
    cr_assert(*mapped >= 3 * ME_HUGE_PAGE && all_zero(*pages, *mapped));
    memset(*pages, 0xff, *mapped);
    me_arena_adopt(arena, *pages, part);
}

Test(mem, adopted_pages_are_used_next_and_zeroed_where_that_is_promised)
{
    me_arena arena = {0};
    unsigned char *pages, *early = me_arena_alloc(&arena, 10, 1);
    size_t mapped, part = (size_t)1 << 20;
    adopt_first_part(&arena, &pages, &mapped, part);
    unsigned char *taken = me_arena_take(&arena, 1000, 1), *zeroed = me_arena_alloc(&arena, 50, 20);
    cr_expect(taken > pages && taken < pages + part);
    cr_expect(zeroed > taken && zeroed < pages + part);
    cr_expect_eq(taken[0], 0xff);
    cr_expect(all_zero(zeroed, 1000));
    cr_expect_eq((uintptr_t)taken % 64, 0);
    /* Pages right behind go on where the first ones end. */
    me_arena_adopt(&arena, pages + part, mapped - part);
    unsigned char *across = me_arena_alloc(&arena, 2 * part, 1);
    cr_expect(across > zeroed && across < pages + part);
    cr_expect(all_zero(across, 2 * part));
    memset(early, 1, 10);
    me_arena_release(&arena);
}

Test(mem, trimming_leaves_what_was_handed_out)
{
    me_arena arena = {0};
    unsigned char *pages;
    size_t mapped;
    me_arena_trim(&arena); /* nothing there */
    adopt_first_part(&arena, &pages, &mapped, (size_t)1 << 20);
    unsigned char *kept = me_arena_take(&arena, 1000, 1);
    me_arena_trim(&arena); /* less than a huge page */
    me_arena_adopt(&arena, pages + (1u << 20), mapped - (1u << 20));
    me_arena_trim(&arena);
    cr_expect_eq(kept[999], 0xff);
    unsigned char *near = me_arena_alloc(&arena, 1000, 1);
    cr_expect(near > kept && near < pages + ME_HUGE_PAGE);
    unsigned char *elsewhere = me_arena_alloc(&arena, ME_HUGE_PAGE, 1);
    cr_expect(elsewhere < pages || elsewhere >= pages + ME_HUGE_PAGE);
    me_arena_release(&arena);
}

Test(mem, want_of_memory_is_an_error_with_a_name)
{
    me_err err = {0};
    cr_assert_eq(me_fail_mem(&err, "clips"), ME_EMEM);
    cr_assert_str_eq(err.msg, "out of memory for clips");
}
