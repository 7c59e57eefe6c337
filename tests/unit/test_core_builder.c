/* Trees put together without a check at every step. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/builder.h"
#include "tests/unit/reader_text.h"

Test(builder, puts_what_it_is_given_in_that_order)
{
    me_arena arena = {0};
    me_builder b = {.arena = &arena};
    me_value *d = me_value_new(&arena, ME_DICT), *l = me_value_new(&arena, ME_LIST);
    me_put_int(&b, d, "n", 3);
    me_put_text(&b, d, "name", "a");
    me_put_float(&b, d, "x", 0.5);
    me_append(&b, l, me_value_bool(&arena, true));
    me_put(&b, d, "list", l);
    me_put_pair(&b, d, "ci95", 1.5, 2);
    cr_assert_eq(b.code, ME_OK);
    char *text = reader_text(d);
    cr_expect_str_eq(
        text, "{\"n\": 3, \"name\": \"a\", \"x\": 0.5, \"list\": [True], \"ci95\": [1.5, 2]}");
    free(text);
    me_arena_release(&arena);
}

Test(builder, the_first_failure_sticks)
{
    me_arena arena = {0};
    me_err err = {0};
    me_builder b = {&arena, &err, ME_OK};
    me_value *d = me_value_new(&arena, ME_DICT);
    me_put_int(&b, NULL, "n", 3);
    cr_expect_eq(b.code, ME_EMEM);
    me_put_int(&b, d, "n", 3);
    cr_expect_eq(d->as.dict.length, 0);
    cr_expect_eq(b.code, ME_EMEM);
    cr_expect(strstr(err.msg, "a dictionary"), "%s", err.msg);
    b.code = ME_OK;
    me_append(&b, NULL, d);
    cr_expect_eq(b.code, ME_EMEM);
    me_arena_release(&arena);
}
