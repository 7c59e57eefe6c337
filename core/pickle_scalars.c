/* core/pickle_scalars.c: the opcodes that push a number, a string or bytes, in the text forms of
 * protocol 0 and the binary forms of the later ones. */
#include "core/pickle_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- scalars -----------------------------------------------------------------------------------
 */

static me_node *integer(me_machine *m, int64_t i)
{
    bool small = i >= 0 && i < 256;
    if (small && m->small[i]) return m->small[i];
    me_node *n = me_node_new(m, ME_INT);
    if (m->code != ME_OK) return m->nothing;
    n->value.as.integer = i;
    if (small) m->small[i] = n;
    return n;
}

static me_node *constant(me_machine *m, me_kind kind, bool b)
{
    me_node **shared = &m->constants[kind == ME_NONE ? 0 : b ? 1 : 2];
    if (*shared) return *shared;
    me_node *n = me_node_new(m, kind);
    if (m->code != ME_OK) return m->nothing;
    if (kind == ME_BOOLEAN) n->value.as.boolean = b;
    return *shared = n;
}

/* Two's complement, little-endian. What 64 bits cannot hold is of no use here (torch's magic
 * number). */
static me_node *long_integer(me_machine *m, const unsigned char *p, size_t n)
{
    if (!p) return m->nothing;
    if (n > 8) return me_node_object(m, ROLE_INERT, "int");
    uint64_t x = n && p[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = n; i-- > 0;) x = x << 8 | p[i];
    return integer(m, (int64_t)x);
}

/* INT "7", LONG "7L"; INT also writes "00" and "01" for the booleans. */
static me_node *text_integer(me_machine *m, bool is_long)
{
    size_t n;
    const unsigned char *p = me_machine_take_line(m, &n);
    char text[32], *end;
    if (!p) return m->nothing;
    if (!is_long && n == 2 && p[0] == '0' && (p[1] == '0' || p[1] == '1'))
        return constant(m, ME_BOOLEAN, p[1] == '1');
    if (is_long && n && p[n - 1] == 'L') n--;
    if (n >= sizeof text) return me_node_object(m, ROLE_INERT, "int");
    memcpy(text, p, n);
    text[n] = '\0';
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (n == 0 || *end) {
        me_machine_fail(m, "expected an integer, found \"%.31s\"", text);
        return m->nothing;
    }
    return errno ? me_node_object(m, ROLE_INERT, "int") : integer(m, x);
}

static me_node *real(me_machine *m, double x)
{
    me_node *n = me_node_new(m, ME_FLOAT);
    if (m->code == ME_OK) n->value.as.number = x;
    return n;
}

static me_node *text_real(me_machine *m)
{
    size_t n;
    const unsigned char *p = me_machine_take_line(m, &n);
    char text[64], *end = text;
    if (!p) return m->nothing;
    if (n < sizeof text) {
        memcpy(text, p, n);
        text[n] = '\0';
        double x = strtod(text, &end);
        if (n && !*end) return real(m, x);
    }
    me_machine_fail(m, "expected a number in text form");
    return m->nothing;
}

static me_node *binary_real(me_machine *m)
{
    const unsigned char *p = me_machine_take(m, 8);
    uint64_t bits = 0;
    double x;
    for (int i = 0; p && i < 8; i++) bits = bits << 8 | p[i]; /* big-endian, alone in the format */
    memcpy(&x, &bits, sizeof x);
    return real(m, x);
}

/* ---- strings -----------------------------------------------------------------------------------
 */

/* Length of the UTF-8 sequence at p, 0 when malformed. Surrogates, which Python lets through, count
 * as three bytes and set *surrogate. */
size_t me_utf8_length(const unsigned char *p, size_t left, bool *surrogate)
{
    if (p[0] < 0x80) return 1;
    size_t n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : (p[0] & 0xf0) == 0xe0     ? 3
               : (p[0] & 0xf8) == 0xf0     ? 4
                                           : 0;
    if (!n || n > left) return 0;
    uint32_t c = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff))) return 0;
    if (c >= 0xd800 && c < 0xe000) *surrogate = true;
    return n;
}

static bool is_text(const me_node *n, const unsigned char *p, size_t length)
{
    return n->value.as.string.length == length && memcmp(n->value.as.string.data, p, length) == 0;
}

/* Where a short string that was met before may stand. Pickles without a memo repeat the names of
 * fields and types for each array: one node for each word makes their trees half as large. Sharing
 * is what a memo would do, strings are never changed. */
static me_node **word_slot(me_machine *m, const unsigned char *p, size_t n)
{
    if (n == 0 || n > 32) return NULL;
    return &m->words[(3 * n + 5 * p[0] + p[n - 1]) % ME_PICKLE_WORDS];
}

/* A string of the stream, NUL-terminated and valid UTF-8; lone surrogates become U+FFFD. */
static me_node *string(me_machine *m, const unsigned char *p, size_t n)
{
    me_node **same = p ? word_slot(m, p, n) : NULL;
    if (same && *same && is_text(*same, p, n)) return *same;
    char *copy = p ? me_machine_text(m, n + 1) : NULL;
    if (!copy) return m->nothing;
    if (n) memcpy(copy, p, n);
    copy[n] = '\0';
    for (size_t i = 0; i < n;) {
        bool surrogate = false;
        size_t step = me_utf8_length(p + i, n - i, &surrogate);
        if (!step) {
            me_machine_fail(m, "a string is not UTF-8");
            return m->nothing;
        }
        if (surrogate) memcpy(copy + i, "\xef\xbf\xbd", 3);
        i += step;
    }
    me_node *made = me_node_string(m, ME_STRING, copy, n);
    if (same && m->code == ME_OK) *same = made;
    return made;
}

/* Python 2's str: text where it is UTF-8, else bytes. */
static me_node *old_string(me_machine *m, const unsigned char *p, size_t n)
{
    bool surrogate = false;
    if (!p) return m->nothing;
    for (size_t i = 0, step; i < n; i += step) {
        step = me_utf8_length(p + i, n - i, &surrogate);
        if (!step || surrogate) return me_node_string(m, ME_BYTES, p, n);
    }
    return string(m, p, n);
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `digits` hexadecimal digits at p; false when there are fewer. */
static bool hex_number(const unsigned char *p, size_t left, size_t digits, uint32_t *out)
{
    *out = 0;
    if (left < digits) return false;
    for (size_t i = 0; i < digits; i++) {
        int d = hex_digit(p[i]);
        if (d < 0) return false;
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

size_t me_utf8_put(unsigned char *out, uint32_t c)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) c = 0xfffd;
    if (c < 0x80) return out[0] = (unsigned char)c, 1;
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (unsigned char)(0x80 | (c & 0x3f));
    out[0] = (unsigned char)(lead[n] | c);
    return n;
}

/* UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX. */
static me_node *raw_unicode(me_machine *m)
{
    size_t n, used = 0;
    const unsigned char *p = me_machine_take_line(m, &n);
    unsigned char *text = p ? (unsigned char *)me_machine_text(m, 2 * n + 1) : NULL;
    if (!text) return m->nothing;
    for (size_t i = 0; i < n;) {
        uint32_t c = p[i];
        size_t step = 1;
        if (c == '\\' && i + 1 < n && (p[i + 1] == 'u' || p[i + 1] == 'U')) {
            size_t digits = p[i + 1] == 'u' ? 4 : 8;
            if (!hex_number(p + i + 2, n - i - 2, digits, &c)) {
                me_machine_fail(m, "a \\u in a string lacks its digits");
                return m->nothing;
            }
            step = 2 + digits;
        }
        used += me_utf8_put(text + used, c);
        i += step;
    }
    return string(m, text, used);
}

/* STRING: a quoted Python literal. */
static me_node *quoted_string(me_machine *m)
{
    static const char letters[] = "ntrabfv\\'\"", values[] = "\n\t\r\a\b\f\v\\'\"";
    size_t n, used = 0;
    const unsigned char *p = me_machine_take_line(m, &n);
    if (p && (n < 2 || p[0] != p[n - 1] || (p[0] != '\'' && p[0] != '"')))
        me_machine_fail(m, "a string literal lacks its quotes");
    unsigned char *text = m->code == ME_OK ? (unsigned char *)me_machine_text(m, n) : NULL;
    if (!text) return m->nothing;
    for (size_t i = 1; i < n - 1; i++) {
        if (p[i] != '\\' || i + 1 == n - 1) {
            text[used++] = p[i];
            continue;
        }
        uint32_t c = p[++i];
        const char *known = c ? strchr(letters, (int)c) : NULL;
        if (known) {
            text[used++] = (unsigned char)values[known - letters];
        } else if (c == 'x' && hex_number(p + i + 1, n - 1 - i - 1, 2, &c)) {
            text[used++] = (unsigned char)c;
            i += 2;
        } else if (c >= '0' && c <= '7') {
            uint32_t octal = c - '0';
            for (int k = 0; k < 2 && i + 1 < n - 1 && p[i + 1] >= '0' && p[i + 1] <= '7'; k++)
                octal = octal * 8 + (p[++i] - '0');
            text[used++] = (unsigned char)octal;
        } else {
            me_machine_fail(m, "a string literal has an unknown escape");
            return m->nothing;
        }
    }
    return old_string(m, text, used);
}

/* ---- the opcodes -------------------------------------------------------------------------------
 */

static me_node *refuse(me_machine *m, me_opcode op)
{
    static const struct {
        int op;
        const char *name;
    } known[] = {{'P', "PERSID"}, {0x82, "EXT1"},        {0x83, "EXT2"},
                 {0x84, "EXT4"},  {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};
    const char *name = "none of pickle's";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].op == (int)op) name = known[i].name;
    me_machine_fail(m, "instruction 0x%02x (%s) is not allowed here", (unsigned)op, name);
    return m->nothing;
}

me_node *me_machine_scalar(me_machine *m, me_opcode op)
{
    size_t n = 0;
    const unsigned char *p;
    switch (op) {
    case OP_NONE:
        return constant(m, ME_NONE, false);
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        return constant(m, ME_BOOLEAN, op == OP_NEWTRUE);
    case OP_INT:
    case OP_LONG:
        return text_integer(m, op == OP_LONG);
    case OP_BININT:
        return integer(m, (int32_t)(uint32_t)me_machine_take_uint(m, 4));
    case OP_BININT1:
    case OP_BININT2:
        return integer(m, (int64_t)me_machine_take_uint(m, op == OP_BININT1 ? 1 : 2));
    case OP_LONG1:
    case OP_LONG4:
        p = me_machine_take_counted(m, op == OP_LONG1 ? 1 : 4, &n);
        return long_integer(m, p, n);
    case OP_FLOAT:
        return text_real(m);
    case OP_BINFLOAT:
        return binary_real(m);
    case OP_STRING:
        return quoted_string(m);
    case OP_UNICODE:
        return raw_unicode(m);
    case OP_SHORT_BINSTRING:
    case OP_BINSTRING:
        p = me_machine_take_counted(m, op == OP_SHORT_BINSTRING ? 1 : 4, &n);
        return old_string(m, p, n);
    case OP_SHORT_BINUNICODE:
    case OP_BINUNICODE:
    case OP_BINUNICODE8:
        p = me_machine_take_counted(m,
                                    op == OP_SHORT_BINUNICODE ? 1
                                    : op == OP_BINUNICODE     ? 4
                                                              : 8,
                                    &n);
        return string(m, p, n);
    case OP_SHORT_BINBYTES:
    case OP_BINBYTES:
    case OP_BINBYTES8:
    case OP_BYTEARRAY8:
        p = me_machine_take_counted(m, op == OP_SHORT_BINBYTES ? 1 : op == OP_BINBYTES ? 4 : 8, &n);
        return me_node_string(m, ME_BYTES, p, n);
    default:
        return refuse(m, op);
    }
}
