/* core/json.c: JSON text to values and back.
 *
 * cJSON builds the tree, but it is lenient: it takes 01 and 1., control characters, broken UTF-8,
 * duplicate keys and trailing text, cuts strings at \u0000 and rounds large integers. So a scanner
 * walks the grammar of RFC 8259 first, and it alone words the errors, with line and column. Writing
 * is done here: cJSON prints doubles that do not read back equal, and NaN as null.
 */
#include "core/json.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/file.h"
#include "core/text_priv.h"

#define MAX_DEPTH 100
#define MAX_NUMBER 63                                /* cJSON copies a number into 64 bytes */
#define LARGEST_INTEGER ((int64_t)1 << DBL_MANT_DIG) /* up to here a double holds every integer */

/* ---- UTF-8
 * --------------------------------------------------------------------------------------- */

/* Length of the well-formed sequence at s (RFC 3629: no overlong forms, no surrogates), or 0. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > left) return 0;
    uint32_t code = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < smallest[n] || code > 0x10ffff || surrogate ? 0 : n;
}

/* ---- duplicate keys
 * ------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A key that occurs twice, or NULL; sorts `keys`. */
static const char *find_duplicate(const char **keys, size_t n)
{
    qsort(keys, n, sizeof *keys, by_text);
    for (size_t i = 1; i < n; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0) return keys[i];
    return NULL;
}

/* ---- the scanner
 * --------------------------------------------------------------------------------- */

typedef struct scanner {
    const unsigned char *text;
    size_t size, at;
    const char *name;
    int depth;
    /* Bit k: the k-th number of the text is written as an integer. cJSON does not keep that. */
    unsigned char *integers;
    size_t numbers;
    me_err *err;
} scanner;

static me_code fail_at(scanner *s, const char *message)
{
    size_t line = 1, start = 0;
    for (size_t i = 0; i < s->at; i++)
        if (s->text[i] == '\n') {
            line++;
            start = i + 1;
        }
    return me_fail(s->err, ME_EFORMAT, "%s: line %zu, column %zu: %s", s->name, line,
                   s->at - start + 1, message);
}

static int peek(const scanner *s)
{
    return s->at < s->size ? s->text[s->at] : -1;
}

static void skip_space(scanner *s)
{
    while (s->at < s->size && memchr(" \t\r\n", s->text[s->at], 4)) s->at++;
}

static bool skip_digits(scanner *s)
{
    size_t start = s->at;
    while (peek(s) >= '0' && peek(s) <= '9') s->at++;
    return s->at > start;
}

static me_code scan_number(scanner *s)
{
    size_t start = s->at;
    bool integer = true, negative = peek(s) == '-';
    if (negative) s->at++;
    size_t digits = s->at;
    if (peek(s) == '0')
        s->at++;
    else if (!skip_digits(s))
        return fail_at(s, "expected a digit");
    if (peek(s) >= '0' && peek(s) <= '9') return fail_at(s, "a number does not begin with 0");
    size_t n_digits = s->at - digits;
    if (peek(s) == '.') {
        integer = false;
        s->at++;
        if (!skip_digits(s)) return fail_at(s, "expected a digit after the point");
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        integer = false;
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') s->at++;
        if (!skip_digits(s)) return fail_at(s, "expected a digit in the exponent");
    }
    char copy[MAX_NUMBER + 1] = {0};
    size_t length = s->at - start;
    s->at = start; /* what is wrong from here on is the number as a whole */
    if (length > MAX_NUMBER) return fail_at(s, "a number of more than 63 characters");
    memcpy(copy, s->text + start, length);
    if (integer && (n_digits > 16 || llabs(strtoll(copy, NULL, 10)) > LARGEST_INTEGER))
        return fail_at(s, "an integer beyond 2^53 is not exact in JSON (write it as a string)");
    if (!isfinite(strtod(copy, NULL))) return fail_at(s, "a number too large for a double");
    s->at = start + length;
    /* -0 stays a double, which has it. */
    if (integer && !(negative && n_digits == 1 && copy[1] == '0'))
        s->integers[s->numbers / 8] |= (unsigned char)(1u << s->numbers % 8);
    s->numbers++;
    return ME_OK;
}

/* The four digits of a \u escape, or -1. */
static int32_t scan_hex4(scanner *s)
{
    int32_t code = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        int c = peek(s), low = c | 0x20;
        if (c >= '0' && c <= '9')
            code = code * 16 + (c - '0');
        else if (low >= 'a' && low <= 'f')
            code = code * 16 + (low - 'a' + 10);
        else
            return -1;
    }
    return code;
}

static me_code scan_escape(scanner *s)
{
    size_t start = s->at++;
    int c = peek(s);
    if (c > 0 && c != 'u' && strchr("\"\\/bfnrt", c)) {
        s->at++;
        return ME_OK;
    }
    if (c != 'u') return fail_at(s, "unknown escape");
    s->at++;
    int32_t code = scan_hex4(s);
    if (code < 0) return fail_at(s, "expected four hexadecimal digits");
    if (code >= 0xd800 && code <= 0xdbff && peek(s) == '\\' && s->at + 1 < s->size &&
        s->text[s->at + 1] == 'u') {
        s->at += 2;
        int32_t low = scan_hex4(s);
        if (low >= 0xdc00 && low <= 0xdfff) return ME_OK;
    }
    if (code >= 0xd800 && code <= 0xdfff) {
        s->at = start;
        return fail_at(s, "half of a surrogate pair");
    }
    if (code == 0) {
        s->at = start;
        return fail_at(s, "\\u0000 inside a string is not supported");
    }
    return ME_OK;
}

static me_code scan_string(scanner *s)
{
    for (s->at++; peek(s) != '"';) {
        int c = peek(s);
        if (c < 0) return fail_at(s, "the text ends inside a string");
        if (c < 0x20) return fail_at(s, "a control character inside a string (escape it)");
        if (c == '\\') {
            me_code code = scan_escape(s);
            if (code) return code;
            continue;
        }
        size_t n = utf8_length(s->text + s->at, s->size - s->at);
        if (!n) return fail_at(s, "bytes that are not UTF-8");
        s->at += n;
    }
    s->at++;
    return ME_OK;
}

static me_code scan_value(scanner *s);

/* The members of an object or the items of an array, from the opening bracket on. */
static me_code scan_container(scanner *s, bool object, char closing)
{
    if (++s->depth > MAX_DEPTH) return fail_at(s, "nested more than 100 deep");
    s->at++;
    skip_space(s);
    if (peek(s) != closing) {
        for (;;) {
            me_code code = ME_OK;
            skip_space(s);
            if (object) {
                if (peek(s) != '"') return fail_at(s, "expected a key in double quotes");
                code = scan_string(s);
                if (code) return code;
                skip_space(s);
                if (peek(s) != ':') return fail_at(s, "expected ':' after a key");
                s->at++;
            }
            code = scan_value(s);
            if (code) return code;
            skip_space(s);
            if (peek(s) != ',') break;
            s->at++;
        }
        if (peek(s) != closing)
            return fail_at(s, object ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    s->at++;
    s->depth--;
    return ME_OK;
}

static me_code scan_value(scanner *s)
{
    static const char *const words[] = {"true", "false", "null"};
    skip_space(s);
    int c = peek(s);
    if (c == '{') return scan_container(s, true, '}');
    if (c == '[') return scan_container(s, false, ']');
    if (c == '"') return scan_string(s);
    if (c == '-' || (c >= '0' && c <= '9')) return scan_number(s);
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if (s->size - s->at >= n && memcmp(s->text + s->at, words[i], n) == 0) {
            s->at += n;
            return ME_OK;
        }
    }
    if (c < 0) return fail_at(s, "the text ends where a value is expected");
    if (c == 'N' || c == 'I')
        return fail_at(s, "expected a value (JSON has no NaN and no Infinity)");
    return fail_at(s, "expected a value");
}

static me_code scan_text(scanner *s)
{
    skip_space(s);
    if (s->at == s->size)
        return me_fail(s->err, ME_EFORMAT, "%s: expected JSON, found no text", s->name);
    me_code code = scan_value(s);
    if (code) return code;
    skip_space(s);
    return s->at == s->size ? ME_OK : fail_at(s, "text after the end of the value");
}

/* ---- cJSON's tree to ours
 * ------------------------------------------------------------------------ */

typedef struct converter {
    me_arena *arena;
    const unsigned char *integers;
    size_t number; /* the next one in the order of the text */
    const char *name;
    me_err *err;
} converter;

static me_value *convert(converter *c, const cJSON *node);

static me_value *convert_number(converter *c, double x)
{
    size_t k = c->number++;
    bool integer = c->integers[k / 8] >> (k % 8) & 1;
    return integer ? me_value_int(c->arena, (int64_t)x) : me_value_float(c->arena, x);
}

static size_t count_children(const cJSON *node)
{
    size_t n = 0;
    for (const cJSON *child = node->child; child; child = child->next) n++;
    return n;
}

/* `n` converted children. */
static me_value **convert_children(converter *c, const cJSON *node, size_t n)
{
    me_value **items = ME_NEW_ARRAY(c->arena, n, me_value *);
    size_t i = 0;
    for (const cJSON *child = node->child; items && child; child = child->next)
        if (!(items[i++] = convert(c, child))) return NULL;
    return items;
}

static me_value *convert_object(converter *c, const cJSON *node)
{
    size_t n = count_children(node), i = 0;
    me_value *dict = me_value_new(c->arena, ME_DICT);
    me_value **keys = ME_NEW_ARRAY(c->arena, n, me_value *);
    const char **names = calloc(n + 1, sizeof *names);
    if (!dict || !keys || !names) goto fail;
    for (const cJSON *child = node->child; child; child = child->next, i++) {
        names[i] = child->string;
        if (!(keys[i] = me_value_string(c->arena, child->string))) goto fail;
    }
    const char *twice = find_duplicate(names, n);
    if (twice) {
        me_fail(c->err, ME_EFORMAT, "%s: the key \"%.100s\" occurs twice in one object", c->name,
                twice);
        goto fail;
    }
    free(names);
    dict->as.dict.keys = keys;
    dict->as.dict.values = convert_children(c, node, n);
    dict->as.dict.length = dict->as.dict.capacity = n;
    return dict->as.dict.values ? dict : NULL;
fail:
    free(names);
    return NULL;
}

static me_value *convert_array(converter *c, const cJSON *node)
{
    size_t n = count_children(node);
    me_value *list = me_value_new(c->arena, ME_LIST);
    if (!list) return NULL;
    list->as.list.items = convert_children(c, node, n);
    list->as.list.length = list->as.list.capacity = n;
    return list->as.list.items ? list : NULL;
}

/* NULL after an error, which is out of memory where c->err says nothing. */
static me_value *convert(converter *c, const cJSON *node)
{
    switch (node->type & 0xff) {
    case cJSON_False:
    case cJSON_True:
        return me_value_bool(c->arena, cJSON_IsTrue(node));
    case cJSON_Number:
        return convert_number(c, node->valuedouble);
    case cJSON_String:
        return me_value_string(c->arena, node->valuestring);
    case cJSON_Array:
        return convert_array(c, node);
    case cJSON_Object:
        return convert_object(c, node);
    default:
        return me_value_new(c->arena, ME_NONE);
    }
}

me_code me_json_parse(me_value **out, me_arena *arena, const char *text, size_t size,
                      const char *name, me_err *err)
{
    me_err local = {0}; /* the converter needs to know whether it failed for want of memory */
    *out = NULL;
    me_code code = me_text_begin(&text, &size, "JSON", name, err);
    if (code != ME_OK) return code;
    /* A number takes a character and a separator, so there are at most size / 2 + 1 of them. */
    unsigned char *integers = calloc(size / 16 + 1, 1);
    if (!integers) return me_fail_mem(err, name);
    scanner s = {(const unsigned char *)text, size, 0, name, 0, integers, 0, &local};
    cJSON *tree = NULL;
    code = scan_text(&s);
    if (code == ME_OK) {
        tree = cJSON_ParseWithLength(text, size);
        converter c = {arena, integers, 0, name, &local};
        *out = tree ? convert(&c, tree) : NULL;
        if (!*out) code = local.code ? local.code : me_fail_mem(&local, name);
    }
    cJSON_Delete(tree);
    free(integers);
    return code ? me_fail(err, code, "%s", local.msg) : ME_OK;
}

me_code me_json_read(me_value **out, me_arena *arena, const char *path, me_err *err)
{
    *out = NULL;
    me_bytes bytes = {0};
    me_code code = me_bytes_open(&bytes, path, err);
    if (code) return code;
    code = me_json_parse(out, arena, (const char *)bytes.data, bytes.size, path, err);
    me_bytes_close(&bytes);
    return code;
}

/* ---- writing
 * ------------------------------------------------------------------------------------- */

typedef struct printer {
    char *text;
    size_t size, capacity;
    int depth;
    me_err err; /* sticky: after the first failure nothing is added */
} printer;

static void put(printer *p, const char *s, size_t n)
{
    if (p->err.code) return;
    if (p->capacity - p->size < n) {
        size_t capacity = p->capacity + p->capacity / 2 + n + 256;
        char *grown = realloc(p->text, capacity);
        if (!grown) {
            me_fail_mem(&p->err, "JSON text");
            return;
        }
        p->text = grown;
        p->capacity = capacity;
    }
    memcpy(p->text + p->size, s, n);
    p->size += n;
}

static void put_text(printer *p, const char *s)
{
    put(p, s, strlen(s));
}

static void put_line(printer *p)
{
    put_text(p, "\n");
    for (int i = 0; i < p->depth; i++) put_text(p, "  ");
}

static void put_float(printer *p, double x)
{
    char buf[40];
    if (!isfinite(x)) {
        me_fail(&p->err, ME_EDATA, "JSON has no %s (write null and the reason)",
                isnan(x) ? "NaN" : "Infinity");
        return;
    }
    /* Fifteen digits always survive a double, so that no shorter form is lost by beginning there;
     * subnormal numbers have fewer. */
    int digits = fabs(x) < DBL_MIN ? 1 : DBL_DIG;
    do snprintf(buf, sizeof buf, "%.*g", digits, x);
    while (digits++ < DBL_DECIMAL_DIG && strtod(buf, NULL) != x);
    put_text(p, buf);
    /* A point keeps the kind, and keeps 1e15 from being read as an integer that may be too large.
     */
    if (!strpbrk(buf, ".e")) put_text(p, ".0");
}

static void put_int(printer *p, int64_t i)
{
    char buf[24];
    if (i > LARGEST_INTEGER || i < -LARGEST_INTEGER) {
        me_fail(&p->err, ME_EDATA,
                "%lld is beyond 2^53 and not exact in JSON (write it as a string)", (long long)i);
        return;
    }
    snprintf(buf, sizeof buf, "%lld", (long long)i);
    put_text(p, buf);
}

static void put_string(printer *p, const char *s, size_t n)
{
    static const char short_escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* character, letter */
    const unsigned char *u = (const unsigned char *)s;
    put_text(p, "\"");
    for (size_t i = 0, step; i < n; i += step) {
        char escape[8];
        step = utf8_length(u + i, n - i);
        if (!step || !u[i]) {
            me_fail(&p->err, ME_EDATA, "the string \"%.40s\" has %s at byte %zu", s,
                    step ? "a NUL" : "bytes that are not UTF-8", i);
            return;
        }
        const char *found = step == 1 ? strchr(short_escapes, u[i]) : NULL;
        bool letter = found && (found - short_escapes) % 2 == 0;
        if (letter) {
            snprintf(escape, sizeof escape, "\\%c", found[1]);
            put_text(p, escape);
        } else if (u[i] < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", u[i]);
            put_text(p, escape);
        } else {
            put(p, s + i, step);
        }
    }
    put_text(p, "\"");
}

static void put_value(printer *p, const me_value *v);

/* Numbers stand side by side, an interval reads as one; anything else gets a line an item. */
static bool all_numbers(const me_value *list)
{
    for (size_t i = 0; i < list->as.list.length; i++) {
        me_kind kind = list->as.list.items[i]->kind;
        if (kind != ME_INT && kind != ME_FLOAT) return false;
    }
    return true;
}

static void put_list(printer *p, const me_value *v)
{
    bool inline_ = all_numbers(v);
    put_text(p, "[");
    p->depth++;
    for (size_t i = 0; i < v->as.list.length && !p->err.code; i++) {
        if (i) put_text(p, inline_ ? ", " : ",");
        if (!inline_) put_line(p);
        put_value(p, v->as.list.items[i]);
    }
    p->depth--;
    if (!inline_) put_line(p);
    put_text(p, "]");
}

/* Keys must be strings, each once. */
static void check_keys(printer *p, const me_value *v)
{
    size_t n = v->as.dict.length;
    const char **names = calloc(n + 1, sizeof *names);
    if (!names) {
        me_fail_mem(&p->err, "JSON text");
        return;
    }
    for (size_t i = 0; i < n && !p->err.code; i++) {
        const me_value *key = v->as.dict.keys[i];
        if (key->kind != ME_STRING)
            me_fail(&p->err, ME_EDATA, "JSON keys are strings, found one that is %s",
                    me_kind_name(key->kind));
        else
            names[i] = key->as.string.data;
    }
    const char *twice = p->err.code ? NULL : find_duplicate(names, n);
    if (twice) me_fail(&p->err, ME_EDATA, "the key \"%.100s\" occurs twice in one object", twice);
    free(names);
}

static void put_dict(printer *p, const me_value *v)
{
    check_keys(p, v);
    put_text(p, "{");
    p->depth++;
    for (size_t i = 0; i < v->as.dict.length && !p->err.code; i++) {
        const me_value *key = v->as.dict.keys[i];
        if (i) put_text(p, ",");
        put_line(p);
        put_string(p, key->as.string.data, key->as.string.length);
        put_text(p, ": ");
        put_value(p, v->as.dict.values[i]);
        me_err_prefix(&p->err, "%.40s", key->as.string.data);
    }
    p->depth--;
    if (v->as.dict.length) put_line(p);
    put_text(p, "}");
}

static void put_value(printer *p, const me_value *v)
{
    if (p->depth > MAX_DEPTH) {
        me_fail(&p->err, ME_EDATA, "nested more than %d deep", MAX_DEPTH);
        return;
    }
    switch (v->kind) {
    case ME_NONE:
        put_text(p, "null");
        return;
    case ME_BOOLEAN:
        put_text(p, v->as.boolean ? "true" : "false");
        return;
    case ME_INT:
        put_int(p, v->as.integer);
        return;
    case ME_FLOAT:
        put_float(p, v->as.number);
        return;
    case ME_STRING:
        put_string(p, v->as.string.data, v->as.string.length);
        return;
    case ME_LIST:
        put_list(p, v);
        return;
    case ME_DICT:
        put_dict(p, v);
        return;
    case ME_BYTES:
    case ME_ARRAY:
    case ME_OBJECT:
        break;
    }
    me_fail(&p->err, ME_EDATA, "JSON has no form for %s", me_kind_name(v->kind));
}

me_code me_json_text(char **out, me_arena *arena, const me_value *v, me_err *err)
{
    printer p = {0};
    *out = NULL;
    put_value(&p, v);
    if (!p.err.code && !(*out = me_arena_strndup(arena, p.text, p.size)))
        me_fail_mem(&p.err, "JSON text");
    free(p.text);
    return p.err.code ? me_fail(err, p.err.code, "%s", p.err.msg) : ME_OK;
}

me_code me_json_write(const char *path, const me_value *v, me_err *err)
{
    me_arena arena = {0};
    char *text;
    me_code code = me_json_text(&text, &arena, v, err);
    if (code) {
        me_err_prefix(err, "%s", path);
    } else {
        size_t n = strlen(text);
        text[n] = '\n'; /* where the NUL stood: the file has exactly n + 1 bytes */
        code = me_file_write(path, text, n + 1, err);
    }
    me_arena_release(&arena);
    return code;
}
