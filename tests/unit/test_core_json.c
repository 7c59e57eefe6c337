/* JSON is read strictly and written so that it reads back equal. */
#include <criterion/criterion.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"

static me_value *parse(me_arena *arena, const char *text)
{
    me_value *v;
    me_err err = {0};
    me_code code = me_json_parse(&v, arena, text, strlen(text), "t.json", &err);
    cr_assert(code == ME_OK, "%s", err.msg);
    cr_assert_not_null(v);
    return v;
}

static void refused(const char *text, size_t size, const char *because)
{
    me_arena arena = {0};
    me_value *v;
    me_err err = {0};
    me_code code = me_json_parse(&v, &arena, text, size, "t.json", &err);
    cr_assert_eq(code, ME_EFORMAT, "accepted: %s", text);
    cr_assert_null(v);
    cr_assert_not_null(strstr(err.msg, because), "%s: said \"%s\", not \"%s\"", text, err.msg,
                       because);
    cr_assert_eq(strncmp(err.msg, "t.json: ", 8), 0);
    me_arena_release(&arena);
}

Test(json, values_of_every_kind_are_read)
{
    me_arena arena = {0};
    const me_value *v =
        parse(&arena, " {\"a\": [1, -2.5, 1e3, 1.0, -0], \"b\": {\"c\": null},"
                      "\"t\": true, \"f\": false, \"s\": \"\\u00e9\\n\\ud83d\\ude00x\"} ");
    cr_assert_eq(v->kind, ME_DICT);
    cr_assert_eq(v->as.dict.length, 5);
    const me_value *a = me_dict_get(v, "a");
    cr_assert_eq(a->as.list.length, 5);
    cr_assert_eq(a->as.list.items[0]->kind, ME_INT);
    cr_assert_eq(a->as.list.items[0]->as.integer, 1);
    cr_assert_eq(a->as.list.items[1]->kind, ME_FLOAT);
    cr_assert_eq(a->as.list.items[1]->as.number, -2.5);
    cr_assert_eq(a->as.list.items[2]->kind, ME_FLOAT);
    cr_assert_eq(a->as.list.items[2]->as.number, 1000);
    cr_assert_eq(a->as.list.items[3]->kind, ME_FLOAT);
    cr_assert_eq(a->as.list.items[4]->kind, ME_FLOAT);
    cr_assert(signbit(a->as.list.items[4]->as.number));
    cr_assert_eq(me_dict_get(me_dict_get(v, "b"), "c")->kind, ME_NONE);
    cr_assert(me_dict_get(v, "t")->as.boolean);
    cr_assert_not(me_dict_get(v, "f")->as.boolean);
    cr_assert_str_eq(me_dict_get(v, "s")->as.string.data, "\xc3\xa9\n\xf0\x9f\x98\x80x");
    cr_assert_str_eq(v->as.dict.keys[2]->as.string.data, "t");
    me_arena_release(&arena);
}

Test(json, scalars_and_a_byte_order_mark_may_stand_alone)
{
    me_arena arena = {0};
    cr_assert_eq(parse(&arena, "\xef\xbb\xbf 7\n")->as.integer, 7);
    cr_assert_eq(parse(&arena, "null")->kind, ME_NONE);
    cr_assert_eq(parse(&arena, "[]")->as.list.length, 0);
    cr_assert_eq(parse(&arena, "{}")->as.dict.length, 0);
    me_arena_release(&arena);
}

Test(json, what_the_grammar_forbids_is_refused_with_its_place)
{
    static const struct {
        const char *text, *because;
    } cases[] = {
        {"", "found no text"},
        {" \n", "found no text"},
        {"{\"a\": 1} x", "column 10: text after"},
        {"1 2", "text after"},
        {"{\"a\":1,\n \"a\":2}", "\"a\" occurs twice"},
        {"[1,\n  2,]", "line 2, column 5: expected a value"},
        {"[01]", "does not begin with 0"},
        {"[1.]", "after the point"},
        {"[.5]", "expected a value"},
        {"[1e]", "in the exponent"},
        {"[-]", "expected a digit"},
        {"[+1]", "expected a value"},
        {"[NaN]", "JSON has no NaN"},
        {"[Infinity]", "no Infinity"},
        {"[1e999]", "too large"},
        {"{'a':1}", "double quotes"},
        {"{\"a\" 1}", "expected ':'"},
        {"{\"a\":1", "expected ',' or '}'"},
        {"[1 2]", "expected ',' or ']'"},
        {"\"a", "ends inside"},
        {"\"a\tb\"", "control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\u12g4\"", "four hexadecimal"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\udc00\\ud800\"", "surrogate"},
        {"\"\\ud800\\u0041\"", "surrogate"},
        {"\"\\u0000\"", "\\u0000"},
        {"\"\xff\"", "not UTF-8"},
        {"\"\xc0\x80\"", "not UTF-8"},
        {"\"\xed\xa0\x80\"", "not UTF-8"},
        {"\"\xe2\x82\"", "not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "not UTF-8"},
        {"tru", "expected a value"},
        {"[", "ends where"},
        {"/**/1", "expected a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].text, strlen(cases[i].text), cases[i].because);
    refused("[1]\0", 4, "text after");
}

Test(json, integers_are_exact_or_refused)
{
    me_arena arena = {0};
    cr_assert_eq(parse(&arena, "9007199254740992")->as.integer, 9007199254740992);
    cr_assert_eq(parse(&arena, "-9007199254740992")->as.integer, -9007199254740992);
    cr_assert_eq(parse(&arena, "1e22")->as.number, 1e22);
    refused("9007199254740993", 16, "beyond 2^53");
    refused("-9007199254740993", 17, "beyond 2^53");
    refused("[18446744073709551617]", 22, "column 2: an integer beyond 2^53");
    me_arena_release(&arena);
}

Test(json, long_numbers_and_deep_nesting_are_refused)
{
    char text[300] = "0.";
    memset(text + 2, '1', 61);
    me_arena arena = {0};
    cr_assert_eq(parse(&arena, text)->kind, ME_FLOAT); /* 63 characters */
    text[63] = '1';
    refused(text, 64, "63 characters");

    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    text[200] = '\0';
    cr_assert_eq(parse(&arena, text)->kind, ME_LIST);
    memset(text, '[', 101);
    refused(text, 101, "100 deep");
    me_arena_release(&arena);
}

Test(json, a_large_object_is_read_in_reasonable_time)
{
    enum { N = 20000 };
    char *text = malloc(N * 24);
    size_t n = 0;
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "%s\"key%d\":%d", i ? "," : "{", i, i);
    n += (size_t)sprintf(text + n, "}");
    me_arena arena = {0};
    const me_value *v = parse(&arena, text);
    cr_assert_eq(v->as.dict.length, N);
    cr_assert_eq(v->as.dict.values[N - 1]->as.integer, N - 1);
    free(text);
    me_arena_release(&arena);
}

static char *text_of(me_arena *arena, const me_value *v)
{
    char *text;
    me_err err = {0};
    cr_assert_eq(me_json_text(&text, arena, v, &err), ME_OK, "%s", err.msg);
    return text;
}

Test(json, text_is_indented_and_keeps_the_order_of_keys)
{
    me_arena arena = {0};
    const me_value *v =
        parse(&arena, "{\"z\":[0.5,1,1.0],\"a\":[\"x\",{}],\"e\":[],\"n\":null,\"b\":true}");
    cr_assert_str_eq(text_of(&arena, v), "{\n"
                                         "  \"z\": [0.5, 1, 1.0],\n"
                                         "  \"a\": [\n"
                                         "    \"x\",\n"
                                         "    {}\n"
                                         "  ],\n"
                                         "  \"e\": [],\n"
                                         "  \"n\": null,\n"
                                         "  \"b\": true\n"
                                         "}");
    me_arena_release(&arena);
}

Test(json, doubles_are_written_shortest_and_read_back_equal)
{
    static const struct {
        double x;
        const char *text;
    } cases[] = {
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {100, "100.0"},
        {-0.0, "-0.0"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {1e22, "1e+22"},
        {(double)0.3f, "0.30000001192092896"},
        {9007199254740994.0, "9007199254740994.0"},
        {DBL_MIN, "2.2250738585072014e-308"},
    };
    me_arena arena = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = text_of(&arena, me_value_float(&arena, cases[i].x));
        cr_assert_str_eq(text, cases[i].text);
        const me_value *back = parse(&arena, text);
        cr_assert_eq(back->kind, ME_FLOAT, "%s", text);
        cr_assert_eq(memcmp(&back->as.number, &cases[i].x, sizeof(double)), 0, "%s", text);
    }
    me_arena_release(&arena);
}

Test(json, strings_are_escaped_and_survive)
{
    me_arena arena = {0};
    const char *s = "a\"b\\c\n\t\r\b\f\x01\x1f/\xc3\xa9 bfnrt";
    const char *text = text_of(&arena, me_value_string(&arena, s));
    cr_assert_str_eq(text, "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u001f/\xc3\xa9 bfnrt\"");
    cr_assert_str_eq(parse(&arena, text)->as.string.data, s);
    me_arena_release(&arena);
}

static void unwritable(me_arena *arena, const me_value *v, const char *because)
{
    char *text = (char *)"x";
    me_err err = {0};
    cr_assert_eq(me_json_text(&text, arena, v, &err), ME_EDATA);
    cr_assert_null(text);
    cr_assert_not_null(strstr(err.msg, because), "%s", err.msg);
}

Test(json, what_has_no_exact_form_is_not_written)
{
    me_arena arena = {0};
    me_value *dict = me_value_new(&arena, ME_DICT);
    cr_assert_eq(me_dict_put(&arena, dict, "fid", me_value_float(&arena, NAN), NULL), ME_OK);
    unwritable(&arena, dict, "fid: JSON has no NaN");
    unwritable(&arena, me_value_float(&arena, -INFINITY), "Infinity");
    unwritable(&arena, me_value_int(&arena, ((int64_t)1 << 53) + 1), "2^53");
    unwritable(&arena, me_value_int(&arena, INT64_MIN), "2^53");
    unwritable(&arena, me_value_string(&arena, "\xff"), "not UTF-8");
    me_value *nul = me_value_string(&arena, "a b");
    ((char *)nul->as.string.data)[1] = '\0';
    unwritable(&arena, nul, "NUL at byte 1");
    unwritable(&arena, me_value_new(&arena, ME_ARRAY), "no form");
    me_value *keyed = me_value_new(&arena, ME_DICT);
    cr_assert_eq(me_dict_set(&arena, keyed, me_value_int(&arena, 1), me_value_int(&arena, 2), NULL),
                 ME_OK);
    unwritable(&arena, keyed, "keys are strings");
    me_arena_release(&arena);
}

Test(json, a_file_is_written_with_a_final_newline_and_read_back)
{
    me_arena arena = {0};
    me_err err = {0};
    char path[] = "/tmp/me_json_XXXXXX";
    close(mkstemp(path));
    cr_assert_eq(me_json_write(path, parse(&arena, "{\"a\":1}"), &err), ME_OK, "%s", err.msg);
    char buf[64] = {0};
    FILE *f = fopen(path, "rb");
    fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    cr_assert_str_eq(buf, "{\n  \"a\": 1\n}\n");
    me_value *v;
    cr_assert_eq(me_json_read(&v, &arena, path, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(me_dict_get(v, "a")->as.integer, 1);
    unlink(path);
    cr_assert_neq(me_json_read(&v, &arena, path, &err), ME_OK);
    cr_assert_null(v);
    me_arena_release(&arena);
}
