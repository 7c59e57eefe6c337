/* The first failure wins, and a prefix never costs more than the end of the message. */
#include <criterion/criterion.h>

#include <string.h>

#include "core/err.h"

Test(err, failing_returns_the_code_and_fills_the_message)
{
    me_err err = {0};
    cr_assert_eq(me_fail(&err, ME_EFORMAT, "%s: found %d", "a.npy", 3), ME_EFORMAT);
    cr_assert_eq(err.code, ME_EFORMAT);
    cr_assert_str_eq(err.msg, "a.npy: found 3");
}

Test(err, the_first_failure_wins)
{
    me_err err = {0};
    me_fail(&err, ME_EIO, "first");
    cr_assert_eq(me_fail(&err, ME_EMEM, "second"), ME_EMEM);
    cr_assert_eq(err.code, ME_EIO);
    cr_assert_str_eq(err.msg, "first");
}

Test(err, nobody_has_to_listen)
{
    cr_assert_eq(me_fail(NULL, ME_EDATA, "x"), ME_EDATA);
    cr_assert_eq(me_err_prefix(NULL, "x"), ME_EBUG);
}

Test(err, a_prefix_stands_before_the_message)
{
    me_err err = {0};
    cr_assert_eq(me_err_prefix(&err, "a"), ME_OK);
    cr_assert_str_eq(err.msg, "");
    me_fail(&err, ME_EDATA, "too short");
    cr_assert_eq(me_err_prefix(&err, "clip %d", 7), ME_EDATA);
    cr_assert_str_eq(err.msg, "clip 7: too short");
}

Test(err, long_messages_and_prefixes_are_cut_not_overrun)
{
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    me_err err = {0};
    me_fail(&err, ME_EDATA, "%s", text);
    cr_assert_eq(strlen(err.msg), sizeof err.msg - 1);
    me_err_prefix(&err, "file");
    cr_assert_eq(strlen(err.msg), sizeof err.msg - 1);
    cr_assert_eq(strncmp(err.msg, "file: xxx", 9), 0);
    me_err_prefix(&err, "%s", text);
    cr_assert_eq(strlen(err.msg), sizeof err.msg - 1);
    err = (me_err){0};
    me_fail(&err, ME_EDATA, "end");
    text[sizeof err.msg - 2] = '\0'; /* room for the colon alone */
    me_err_prefix(&err, "%s", text);
    cr_assert_eq(strlen(err.msg), sizeof err.msg - 1);
    cr_assert_eq(err.msg[sizeof err.msg - 2], ':');
}

Test(err, every_code_has_a_text_and_an_exit_status)
{
    for (int code = 0; code < ME_CODE_COUNT; code++) {
        cr_assert_gt(strlen(me_code_text((me_code)code)), 0);
        int status = me_code_exit_status((me_code)code);
        cr_assert(status >= 0 && status <= 5);
        cr_assert_eq(status == 0, code == ME_OK);
    }
    cr_assert_eq(me_code_exit_status(ME_EUSAGE), 2);
    cr_assert_eq(me_code_exit_status(ME_EFORMAT), 3);
    cr_assert_eq(me_code_exit_status((me_code)1000), 5);
    cr_assert_str_eq(me_code_text((me_code)-1), "unknown code");
}
