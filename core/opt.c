/* core/opt.c: option tables. Every way in (flag, config file, default) goes through set_text or
 * set_value, so that each checks alike. */
#include "core/opt.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

#define EXACT ((int64_t)1 << 53) /* JSON carries no larger integer */

/* ---- rows and fields
 * ----------------------------------------------------------------------------- */

static const me_opt *find(const me_opt *table, const char *name, size_t n)
{
    for (const me_opt *o = table; o->name; o++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) return o;
    return NULL;
}

static me_code unknown(const me_opt *table, const char *name, size_t n, me_err *err)
{
    me_arena arena = {0};
    int64_t rows = 0;
    for (const me_opt *o = table; o->name; o++) rows++;
    const char **names = ME_NEW_ARRAY(&arena, rows, const char *);
    char *word = me_arena_strndup(&arena, name, n);
    if (!names || !word) {
        me_arena_release(&arena);
        return me_fail_mem(err, "options");
    }
    for (int64_t i = 0; i < rows; i++) names[i] = table[i].name;
    const char *near = me_nearest(word, names, rows);
    me_code code =
        near ? me_fail(err, ME_EUSAGE, "unknown option --%.100s (did you mean --%s?)", word, near)
             : me_fail(err, ME_EUSAGE, "unknown option --%.100s (--help lists them)", word);
    me_arena_release(&arena);
    return code;
}

static void *field(const me_opt *o, void *target)
{
    return (char *)target + o->offset;
}

static bool unbounded(const me_opt *o)
{
    return o->lo == 0 && o->hi == 0;
}

/* "1 to 10", "at least 1" or "at most 10". A bound beyond 2^53 says only that there is none. */
static char *range_text(const me_opt *o, char *buf, size_t size)
{
    bool low = o->lo > -(double)EXACT, high = o->hi < (double)EXACT;
    if (low && high)
        snprintf(buf, size, "%.10g to %.10g", o->lo, o->hi);
    else if (low)
        snprintf(buf, size, "at least %.10g", o->lo);
    else
        snprintf(buf, size, "at most %.10g", o->hi);
    return buf;
}

const me_opt *me_opt_join(const me_opt_part *parts, int n, me_arena *arena)
{
    size_t rows = 0, at = 0;
    for (int i = 0; i < n; i++)
        for (const me_opt *o = parts[i].table; o->name; o++) rows++;
    me_opt *joined = ME_NEW_ARRAY(arena, rows + 1, me_opt);
    for (int i = 0; i < n && joined; i++)
        for (const me_opt *o = parts[i].table; o->name; o++) {
            joined[at] = *o;
            joined[at++].offset += parts[i].place;
        }
    return joined;
}

/* ---- setting
 * ------------------------------------------------------------------------------------- */

static me_code expected(const me_opt *o, const char *wanted, const char *found, me_err *err)
{
    return me_fail(err, ME_EUSAGE, "--%s: expected %s, found '%.100s'", o->name, wanted, found);
}

/* `found` is the number as the user wrote it. */
static me_code check_range(const me_opt *o, double x, const char *found, me_err *err)
{
    char range[64];
    if (unbounded(o) || (x >= o->lo && x <= o->hi)) return ME_OK;
    return expected(o, range_text(o, range, sizeof range), found, err);
}

static me_code set_bool(const me_opt *o, bool *out, const char *text, me_err *err)
{
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0) return expected(o, "true or false", text, err);
    *out = yes;
    return ME_OK;
}

static me_code set_int(const me_opt *o, int64_t *out, const char *text, me_err *err)
{
    char *end;
    errno = 0;
    long long i = strtoll(text, &end, 10);
    bool spaced = !(*text == '-' || *text == '+' || (*text >= '0' && *text <= '9'));
    if (end == text || *end || spaced) return expected(o, "an integer", text, err);
    if (errno) return expected(o, "an integer of 64 bits", text, err);
    me_code code = check_range(o, (double)i, text, err);
    if (!code) *out = i;
    return code;
}

static me_code set_float(const me_opt *o, double *out, const char *text, me_err *err)
{
    char *end;
    double x = strtod(text, &end);
    bool starts = *text && strchr("+-.0123456789", *text);
    if (end == text || *end || !starts || !isfinite(x)) return expected(o, "a number", text, err);
    me_code code = check_range(o, x, text, err);
    if (!code) *out = x;
    return code;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = choices;; at++) {
        size_t length = strcspn(at, "|");
        if (length == n && memcmp(at, text, n) == 0) return true;
        at += length;
        if (!*at) return false;
    }
}

static me_code set_string(const me_opt *o, const char **out, me_arena *arena, const char *text,
                          me_err *err)
{
    if (o->type == ME_OPT_CHOICE && !is_choice(o->choices, text))
        return expected(o, o->choices, text, err);
    char *copy = me_arena_strdup(arena, text);
    if (!copy) return me_fail_mem(err, o->name);
    *out = copy;
    return ME_OK;
}

static me_code set_text(const me_opt *o, void *target, me_arena *arena, const char *text,
                        me_err *err)
{
    switch (o->type) {
    case ME_OPT_BOOL:
        return set_bool(o, field(o, target), text, err);
    case ME_OPT_INT:
        return set_int(o, field(o, target), text, err);
    case ME_OPT_FLOAT:
        return set_float(o, field(o, target), text, err);
    case ME_OPT_STRING:
    case ME_OPT_CHOICE:
        return set_string(o, field(o, target), arena, text, err);
    }
    return me_fail(err, ME_EBUG, "--%s has no type", o->name);
}

static me_code set_fallback(const me_opt *o, void *target, me_arena *arena, me_err *err)
{
    if (o->fallback) return set_text(o, target, arena, o->fallback, err);
    switch (o->type) {
    case ME_OPT_BOOL:
        *(bool *)field(o, target) = false;
        break;
    case ME_OPT_INT:
        *(int64_t *)field(o, target) = 0;
        break;
    case ME_OPT_FLOAT:
        *(double *)field(o, target) = 0;
        break;
    case ME_OPT_STRING:
    case ME_OPT_CHOICE:
        *(const char **)field(o, target) = NULL;
        break;
    }
    return ME_OK;
}

me_code me_opt_defaults(const me_opt *table, void *target, me_arena *arena, me_err *err)
{
    for (const me_opt *o = table; o->name; o++) {
        me_code code = set_fallback(o, target, arena, err);
        if (code) return code;
    }
    return ME_OK;
}

me_code me_opt_set(const me_opt *table, void *target, me_arena *arena, const char *name,
                   const char *text, me_err *err)
{
    const me_opt *o = find(table, name, strlen(name));
    return o ? set_text(o, target, arena, text, err) : unknown(table, name, strlen(name), err);
}

/* ---- the command line
 * ---------------------------------------------------------------------------- */

/* The option at argv[*i], which begins with "--"; leaves *i at the last word that it used. */
static me_code parse_option(const me_opt *table, void *target, me_arena *arena, int argc,
                            char **argv, int *i, me_err *err)
{
    const char *name = argv[*i] + 2, *value = strchr(name, '=');
    size_t n = value ? (size_t)(value++ - name) : strlen(name);
    const me_opt *o = find(table, name, n);
    if (!o && n > 3 && memcmp(name, "no-", 3) == 0) {
        o = find(table, name + 3, n - 3);
        if (o && o->type != ME_OPT_BOOL)
            return me_fail(err, ME_EUSAGE, "--no-%s: --%s is no switch, it takes a value", o->name,
                           o->name);
        if (o && value) return me_fail(err, ME_EUSAGE, "--no-%s takes no value", o->name);
        if (o) value = "false";
    }
    if (!o) return unknown(table, name, n, err);
    if (!value && o->type == ME_OPT_BOOL) value = "true";
    if (!value) {
        /* A value may begin with one dash: "-" is a file, "-5" a number. Two dashes are the next
         * option, and then this one's value was forgotten. */
        if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
            return me_fail(
                err, ME_EUSAGE,
                "--%s: expected a value (a value that begins with -- is given as --%s=VALUE)",
                o->name, o->name);
        value = argv[++*i];
    }
    return set_text(o, target, arena, value, err);
}

me_code me_opt_parse(const me_opt *table, void *target, me_arena *arena, int argc, char **argv,
                     int *operands, me_err *err)
{
    bool ended = false;
    *operands = 0;
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (ended || word[0] != '-' || !word[1]) {
            argv[(*operands)++] = word; /* never ahead of i */
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else if (word[1] != '-') {
            return me_fail(err, ME_EUSAGE, "unknown option %.100s (options are long: --name)",
                           word);
        } else {
            me_code code = parse_option(table, target, arena, argc, argv, &i, err);
            if (code) return code;
        }
    }
    return ME_OK;
}

/* ---- a configuration
 * ----------------------------------------------------------------------------- */

static me_code set_value(const me_opt *o, void *target, me_arena *arena, const me_value *v,
                         me_err *err)
{
    static const char *const wanted[] = {"true or false", "an integer", "a number", "a string",
                                         "a string"};
    char text[32];
    if (v->kind == ME_NONE) return set_fallback(o, target, arena, err);
    if (v->kind == ME_BOOLEAN && o->type == ME_OPT_BOOL) {
        *(bool *)field(o, target) = v->as.boolean;
        return ME_OK;
    }
    if (v->kind == ME_INT && (o->type == ME_OPT_INT || o->type == ME_OPT_FLOAT)) {
        snprintf(text, sizeof text, "%lld", (long long)v->as.integer);
        return set_text(o, target, arena, text, err);
    }
    if (v->kind == ME_FLOAT && o->type == ME_OPT_FLOAT) {
        snprintf(text, sizeof text, "%.17g", v->as.number);
        return set_text(o, target, arena, text, err);
    }
    /* Integers that JSON cannot carry are written as strings. */
    bool textual = o->type == ME_OPT_STRING || o->type == ME_OPT_CHOICE || o->type == ME_OPT_INT;
    if (v->kind == ME_STRING && textual) {
        if (strlen(v->as.string.data) != v->as.string.length)
            return me_fail(err, ME_EUSAGE, "--%s: a string with a NUL", o->name);
        return set_text(o, target, arena, v->as.string.data, err);
    }
    return me_fail(err, ME_EUSAGE, "--%s: expected %s, found a value of kind %s", o->name,
                   wanted[o->type], me_kind_name(v->kind));
}

me_code me_opt_from_value(const me_opt *table, void *target, me_arena *arena,
                          const me_value *config, me_err *err)
{
    if (config->kind != ME_DICT)
        return me_fail(err, ME_EUSAGE, "expected an object of options, found %s",
                       me_kind_name(config->kind));
    for (size_t i = 0; i < config->as.dict.length; i++) {
        const me_value *key = config->as.dict.keys[i];
        if (key->kind != ME_STRING) return me_fail(err, ME_EUSAGE, "an option's name is no string");
        const me_opt *o = find(table, key->as.string.data, key->as.string.length);
        me_code code = o ? set_value(o, target, arena, config->as.dict.values[i], err)
                         : unknown(table, key->as.string.data, key->as.string.length, err);
        if (code) return code;
    }
    return ME_OK;
}

static me_value *echo_int(me_arena *arena, int64_t i)
{
    if (i <= EXACT && i >= -EXACT) return me_value_int(arena, i);
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)i);
    return me_value_string(arena, text);
}

static me_value *echo_field(const me_opt *o, const void *target, me_arena *arena)
{
    const void *from = (const char *)target + o->offset;
    const char *text;
    switch (o->type) {
    case ME_OPT_BOOL:
        return me_value_bool(arena, *(const bool *)from);
    case ME_OPT_INT:
        return echo_int(arena, *(const int64_t *)from);
    case ME_OPT_FLOAT:
        return me_value_float(arena, *(const double *)from);
    case ME_OPT_STRING:
    case ME_OPT_CHOICE:
        text = *(const char *const *)from;
        return text ? me_value_string(arena, text) : me_value_new(arena, ME_NONE);
    }
    return NULL;
}

me_value *me_opt_echo(const me_opt *table, const void *target, me_arena *arena)
{
    me_value *dict = me_value_new(arena, ME_DICT);
    for (const me_opt *o = table; dict && o->name; o++) {
        me_value *v = echo_field(o, target, arena);
        if (!v || me_dict_put(arena, dict, o->name, v, NULL)) return NULL;
    }
    return dict;
}

/* ---- help
 * ---------------------------------------------------------------------------------------- */

#define HELP_WIDTH 100
#define NAME_WIDTH 34 /* a longer name gets a line of its own */

/* "--name VALUE". */
static const char *usage_of(const me_opt *o, me_arena *arena)
{
    static const char *const names[] = {NULL, "N", "X", "TEXT", NULL};
    if (o->type == ME_OPT_BOOL) {
        bool on = o->fallback && strcmp(o->fallback, "true") == 0;
        return me_arena_printf(arena, on ? "--[no-]%s" : "--%s", o->name);
    }
    const char *value = o->value                   ? o->value
                        : o->type == ME_OPT_CHOICE ? o->choices
                                                   : names[o->type];
    return me_arena_printf(arena, "--%s %s", o->name, value);
}

/* The help text and, in brackets, what the row knows: choices that the usage does not show, range,
 * default. */
static const char *text_of(const me_opt *o, me_arena *arena)
{
    const char *facts[3];
    char range[64];
    int n = 0;
    bool number = o->type == ME_OPT_INT || o->type == ME_OPT_FLOAT;
    if (o->type == ME_OPT_CHOICE && o->value) facts[n++] = o->choices;
    if (number && !unbounded(o)) facts[n++] = range_text(o, range, sizeof range);
    if (o->fallback && o->type == ME_OPT_BOOL) {
        if (strcmp(o->fallback, "true") == 0) facts[n++] = "default: on";
    } else if (o->fallback) {
        facts[n++] = me_arena_printf(arena, "default: %s", *o->fallback ? o->fallback : "empty");
    }
    const char *text = o->help ? o->help : "";
    for (int i = 0; i < n && text; i++)
        text = facts[i] ? me_arena_printf(arena, "%s%s%s", text,
                                          i       ? "; "
                                          : *text ? " ("
                                                  : "(",
                                          facts[i])
                        : NULL;
    return n && text ? me_arena_printf(arena, "%s)", text) : text;
}

/* Bytes of `text` that fit `width` columns, cut at a space; columns are code points. */
static size_t line_length(const char *text, int width)
{
    size_t cut = 0, i = 0;
    for (int column = 0; text[i]; i++) {
        if ((text[i] & 0xc0) == 0x80) continue;
        if (text[i] == ' ') cut = i;
        if (column++ == width) return cut ? cut : i;
    }
    return i;
}

static void put_row(FILE *out, const char *usage, const char *text, int width)
{
    int used = fprintf(out, "  %-*s", width, usage);
    if (used > width + 2 && *text) fprintf(out, "\n%*s", width + 2, "");
    for (bool first = true; *text; first = false) {
        size_t n = line_length(text, HELP_WIDTH - width - 4);
        fprintf(out, "%s%*s%.*s", first ? "" : "\n", first ? 2 : width + 4, "", (int)n, text);
        text += n + strspn(text + n, " ");
    }
    fprintf(out, "\n");
}

char *me_opt_help(const me_opt *table, me_arena *arena)
{
    int width = 0;
    for (const me_opt *o = table; o->name; o++) {
        const char *usage = usage_of(o, arena);
        if (!usage) return NULL;
        int n = (int)strlen(usage);
        if (n > width && n <= NAME_WIDTH) width = n;
    }
    char *text = NULL, *kept = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    bool whole = true;
    for (const me_opt *o = table; o->name && whole; o++) {
        const char *usage = usage_of(o, arena), *help = text_of(o, arena);
        whole = usage && help;
        if (whole) put_row(out, usage, help, width);
    }
    whole = fclose(out) == 0 && whole;
    if (whole) kept = me_arena_strndup(arena, text, size);
    free(text);
    return kept;
}
