/* One table gives flags, config, validation, echo and help, and they agree. */
#include <criterion/criterion.h>

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/opt.h"

typedef struct options {
    bool strict, color;
    int64_t batch_size, seed;
    double rate;
    const char *out, *device, *gelu;
} options;

#define FIELD(f) .offset = offsetof(options, f)

static const me_opt table[] = {
    {.name = "strict", .type = ME_OPT_BOOL, FIELD(strict), .help = "fail where files are missing"},
    {.name = "color",
     .type = ME_OPT_BOOL,
     FIELD(color),
     .fallback = "true",
     .help = "colour the table"},
    {.name = "batch-size",
     .type = ME_OPT_INT,
     FIELD(batch_size),
     .fallback = "32",
     .lo = 1,
     .hi = 1024,
     .help = "gallery of a batch"},
    {.name = "seed", .type = ME_OPT_INT, FIELD(seed), .fallback = "0", .help = "of the shuffle"},
    {.name = "rate",
     .type = ME_OPT_FLOAT,
     FIELD(rate),
     .fallback = "1e-4",
     .lo = 0,
     .hi = INFINITY,
     .help = "learning rate"},
    {.name = "out",
     .type = ME_OPT_STRING,
     FIELD(out),
     .value = "DIR",
     .help = "where the results go"},
    {.name = "device",
     .type = ME_OPT_CHOICE,
     FIELD(device),
     .fallback = "auto",
     .choices = "auto|cpu|cuda",
     .value = "NAME",
     .help = "what computes"},
    {.name = "gelu",
     .type = ME_OPT_CHOICE,
     FIELD(gelu),
     .fallback = "tanh",
     .choices = "tanh|erf",
     .help = "form of the activation function, a long text about it that does not fit a line of "
             "the terminal and is wrapped"},
    {.name = NULL},
};

typedef struct state {
    options o;
    me_arena arena;
    me_err err;
    int operands;
    char *argv[16];
    int argc;
} state;

static me_code parse_words(state *s, const char *const *words, int n)
{
    cr_assert_eq(me_opt_defaults(table, &s->o, &s->arena, &s->err), ME_OK, "%s", s->err.msg);
    for (int i = 0; i < n; i++) s->argv[i] = me_arena_strdup(&s->arena, words[i]);
    s->argc = n;
    return me_opt_parse(table, &s->o, &s->arena, n, s->argv, &s->operands, &s->err);
}

#define PARSE(s, ...)                                                                              \
    parse_words((s), (const char *const[]){__VA_ARGS__},                                           \
                (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void fails_with(state *s, me_code code, const char *because)
{
    cr_assert_eq(code, ME_EUSAGE, "accepted, though: %s", because);
    cr_assert_not_null(strstr(s->err.msg, because), "said \"%s\", not \"%s\"", s->err.msg, because);
    me_arena_release(&s->arena);
}

Test(opt, defaults_fill_every_field)
{
    state s = {0};
    memset(&s.o, 0xff, sizeof s.o);
    cr_assert_eq(me_opt_defaults(table, &s.o, &s.arena, &s.err), ME_OK);
    cr_assert_not(s.o.strict);
    cr_assert(s.o.color);
    cr_assert_eq(s.o.batch_size, 32);
    cr_assert_eq(s.o.rate, 1e-4);
    cr_assert_null(s.o.out);
    cr_assert_str_eq(s.o.device, "auto");
    me_arena_release(&s.arena);
}

Test(opt, flags_operands_and_the_last_repetition_are_taken)
{
    state s = {0};
    me_code code =
        PARSE(&s, "a.json", "--batch-size", "8", "-", "--seed=-5", "--no-color", "--strict",
              "--out", "-", "--batch-size=16", "--rate", "2.5e-3", "--", "--strict", "b.json");
    cr_assert_eq(code, ME_OK, "%s", s.err.msg);
    cr_assert_eq(s.o.batch_size, 16);
    cr_assert_eq(s.o.seed, -5);
    cr_assert_eq(s.o.rate, 2.5e-3);
    cr_assert_not(s.o.color);
    cr_assert(s.o.strict);
    cr_assert_str_eq(s.o.out, "-");
    cr_assert_eq(s.operands, 4);
    cr_assert_str_eq(s.argv[0], "a.json");
    cr_assert_str_eq(s.argv[1], "-");
    cr_assert_str_eq(s.argv[2], "--strict");
    cr_assert_str_eq(s.argv[3], "b.json");
    me_arena_release(&s.arena);
}

Test(opt, a_negative_number_is_a_value_and_a_switch_takes_one_by_equals)
{
    state s = {0};
    cr_assert_eq(PARSE(&s, "--seed", "-7", "--strict=true", "--color=false", "--out=--odd"), ME_OK,
                 "%s", s.err.msg);
    cr_assert_eq(s.o.seed, -7);
    cr_assert(s.o.strict);
    cr_assert_not(s.o.color);
    cr_assert_str_eq(s.o.out, "--odd");
    me_arena_release(&s.arena);
}

#define FAILS(because, ...)                                                                        \
    do {                                                                                           \
        state s = {0};                                                                             \
        me_code code = PARSE(&s, __VA_ARGS__);                                                     \
        fails_with(&s, code, because);                                                             \
    } while (0)

Test(opt, misuse_is_named)
{
    FAILS("unknown option --bacth-size (did you mean --batch-size?)", "--bacth-size", "3");
    FAILS("unknown option --xyzzyplugh (--help lists them)", "--xyzzyplugh");
    FAILS("unknown option -b (options are long", "-b");
    FAILS("--out: expected a value", "--out");
    FAILS("--out: expected a value", "--out", "--strict");
    FAILS("--batch-size: expected 1 to 1024, found '0'", "--batch-size", "0");
    FAILS("--batch-size: expected 1 to 1024, found '1025'", "--batch-size=1025");
    FAILS("--batch-size: expected an integer, found '3x'", "--batch-size=3x");
    FAILS("--batch-size: expected an integer, found ''", "--batch-size=");
    FAILS("--batch-size: expected an integer, found ' 3'", "--batch-size= 3");
    FAILS("--seed: expected an integer of 64 bits", "--seed", "9223372036854775808");
    FAILS("--rate: expected a number, found 'nan'", "--rate=nan");
    FAILS("--rate: expected a number, found '1e999'", "--rate=1e999");
    FAILS("--rate: expected at least 0, found '-1'", "--rate", "-1");
    FAILS("--device: expected auto|cpu|cuda, found 'cu'", "--device", "cu");
    FAILS("--device: expected auto|cpu|cuda, found ''", "--device=");
    FAILS("--strict: expected true or false, found 'maybe'", "--strict=maybe");
    FAILS("--no-color takes no value", "--no-color=true");
    FAILS("--no-out: --out is no switch", "--no-out");
}

Test(opt, one_option_is_set_by_name)
{
    state s = {0};
    cr_assert_eq(me_opt_set(table, &s.o, &s.arena, "device", "cpu", &s.err), ME_OK);
    cr_assert_str_eq(s.o.device, "cpu");
    fails_with(&s, me_opt_set(table, &s.o, &s.arena, "devise", "cpu", &s.err),
               "did you mean --device?");
}

static me_code configure(state *s, const char *json)
{
    me_value *config;
    cr_assert_eq(me_opt_defaults(table, &s->o, &s->arena, &s->err), ME_OK);
    cr_assert_eq(me_json_parse(&config, &s->arena, json, strlen(json), "c.json", &s->err), ME_OK,
                 "%s", s->err.msg);
    return me_opt_from_value(table, &s->o, &s->arena, config, &s->err);
}

Test(opt, a_config_sets_options_by_kind)
{
    state s = {0};
    me_code code =
        configure(&s, "{\"strict\": true, \"batch-size\": 4, \"seed\": \"9223372036854775807\","
                      " \"rate\": 1, \"out\": \"x\", \"gelu\": null}");
    cr_assert_eq(code, ME_OK, "%s", s.err.msg);
    cr_assert(s.o.strict);
    cr_assert_eq(s.o.batch_size, 4);
    cr_assert_eq(s.o.seed, INT64_MAX);
    cr_assert_eq(s.o.rate, 1);
    cr_assert_str_eq(s.o.gelu, "tanh");
    me_arena_release(&s.arena);
}

static void config_fails(const char *json, const char *because)
{
    state s = {0};
    me_code code = configure(&s, json);
    fails_with(&s, code, because);
}

Test(opt, a_config_of_the_wrong_kinds_is_refused)
{
    config_fails("{\"batchsize\": 4}", "did you mean --batch-size?");
    config_fails("{\"batch-size\": 4.0}", "--batch-size: expected an integer, found");
    config_fails("{\"batch-size\": 0}", "expected 1 to 1024");
    config_fails("{\"strict\": 1}", "--strict: expected true or false");
    config_fails("{\"rate\": \"1\"}", "--rate: expected a number");
    config_fails("{\"out\": 3}", "--out: expected a string");
    config_fails("{\"device\": \"tpu\"}", "--device: expected auto|cpu|cuda");
    config_fails("[1]", "expected an object of options");
}

Test(opt, what_is_echoed_gives_the_same_options)
{
    state s = {0};
    cr_assert_eq(PARSE(&s, "--seed=9007199254740993", "--rate=0.1", "--no-color", "--device=cuda"),
                 ME_OK);
    me_value *echo = me_opt_echo(table, &s.o, &s.arena);
    char *text;
    cr_assert_eq(me_json_text(&text, &s.arena, echo, &s.err), ME_OK, "%s", s.err.msg);
    state again = {0};
    cr_assert_eq(configure(&again, text), ME_OK, "%s", again.err.msg);
    cr_assert_eq(again.o.seed, 9007199254740993);
    cr_assert_eq(again.o.rate, 0.1);
    cr_assert_not(again.o.color);
    cr_assert_null(again.o.out);
    cr_assert_str_eq(again.o.device, "cuda");
    me_arena_release(&s.arena);
    me_arena_release(&again.arena);
}

Test(opt, help_is_aligned_wrapped_and_shows_defaults)
{
    me_arena arena = {0};
    cr_assert_str_eq(me_opt_help(table, &arena),
                     "  --strict         fail where files are missing\n"
                     "  --[no-]color     colour the table (default: on)\n"
                     "  --batch-size N   gallery of a batch (1 to 1024; default: 32)\n"
                     "  --seed N         of the shuffle (default: 0)\n"
                     "  --rate X         learning rate (at least 0; default: 1e-4)\n"
                     "  --out DIR        where the results go\n"
                     "  --device NAME    what computes (auto|cpu|cuda; default: auto)\n"
                     "  --gelu tanh|erf  form of the activation function, a long text about it "
                     "that does not fit a line of\n"
                     "                   the terminal and is wrapped (default: tanh)\n");
    me_arena_release(&arena);
}
