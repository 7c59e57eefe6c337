/* motion/bvh.c: the reader of BVH files (spec bvh 1, 7).
 *
 * A hand-written scanner: no recursion (depth is data), no strtod (its decimal point follows the
 * locale and it is the slowest part of reading 46 MB), and no allocation that the file's size does
 * not pay for. */
#include "motion/bvh.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "motion/rig_priv.h"

#define MAX_JOINTS 4096 /* end sites included */
#define MAX_DEPTH 128

typedef struct scanner {
    const char *at, *end, *start;
    const char *name; /* of the file */
    me_err *err;
} scanner;

typedef struct token {
    const char *s;
    size_t n;
} token;

static int line_of(const scanner *s)
{
    int line = 1;
    for (const char *p = s->start; p < s->at; p++) line += *p == '\n';
    return line;
}

/* Shown in messages: what a token holds, cut to a readable length, without control bytes. */
static const char *shown(token t, char buf[32])
{
    size_t n = t.n < 24 ? t.n : 24, i;
    for (i = 0; i < n; i++) buf[i] = t.s[i] >= ' ' && t.s[i] < 127 ? t.s[i] : '?';
    memcpy(buf + i, t.n > n ? "..." : "", t.n > n ? 4 : 1);
    return t.n ? buf : "the end of the file";
}

static me_code wanted(const scanner *s, const char *what, token found)
{
    char buf[32];
    return me_fail(s->err, ME_EFORMAT, "%s:%d: expected %s, found %s", s->name, line_of(s), what,
                   shown(found, buf));
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(scanner *s)
{
    while (s->at < s->end && is_space(*s->at)) s->at++;
}

/* The next word; a brace is a word of its own. Empty at the end. */
static token next(scanner *s)
{
    skip_space(s);
    token t = {s->at, 0};
    if (s->at < s->end && (*s->at == '{' || *s->at == '}'))
        s->at++;
    else
        while (s->at < s->end && !is_space(*s->at) && *s->at != '{' && *s->at != '}') s->at++;
    t.n = (size_t)(s->at - t.s);
    return t;
}

static bool is(token t, const char *word)
{
    return t.n == strlen(word) && !strncasecmp(t.s, word, t.n);
}

/* A word with or without a colon after it, glued or apart: "Frames:", "Frames :". */
static me_code label(scanner *s, const char *word)
{
    token t = next(s);
    bool colon = t.n && t.s[t.n - 1] == ':';
    if (colon) t.n--;
    if (!is(t, word)) return wanted(s, word, t);
    skip_space(s);
    if (!colon && s->at < s->end && *s->at == ':') s->at++;
    return ME_OK;
}

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static bool digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* A decimal number: exact up to 15 digits and 22 decimals, else right to the last bits of a double.
 */
static bool scan_number(const char **at, const char *end, double *out)
{
    const char *p = *at;
    bool negative = p < end && *p == '-', any = false;
    if (p < end && (*p == '-' || *p == '+')) p++;
    uint64_t mantissa = 0;
    int exponent = 0, digits = 0;
    for (bool point = false;; p++) {
        if (!point && p < end && *p == '.') {
            point = true;
            continue;
        }
        if (!digit(p, end)) break;
        any = true;
        if (digits < 18) {
            mantissa = 10 * mantissa + (uint64_t)(*p - '0');
            digits += mantissa != 0;
            exponent -= point;
        } else {
            exponent += !point && exponent < 10000;
        }
        if (exponent < -10000) exponent = -10000;
    }
    if (!any) return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char *q = p + 1;
        bool below = q < end && *q == '-';
        if (q < end && (*q == '-' || *q == '+')) q++;
        if (!digit(q, end)) return false;
        int e = 0;
        for (; digit(q, end); q++)
            if (e < 10000) e = 10 * e + (*q - '0');
        exponent += below ? -e : e;
        p = q;
    }
    if (p < end && !is_space(*p) && *p != '}') return false;
    double v = (double)mantissa;
    if (mantissa == 0 || exponent == 0)
        ;
    else if (exponent < 0 && exponent >= -22)
        v /= powers[-exponent];
    else if (exponent > 0 && exponent <= 22)
        v *= powers[exponent];
    else
        v *= pow(10, exponent);
    if (!isfinite(v)) return false;
    *out = negative ? -v : v;
    *at = p;
    return true;
}

static me_code number(scanner *s, double *out)
{
    skip_space(s);
    const char *p = s->at;
    if (scan_number(&p, s->end, out)) {
        s->at = p;
        return ME_OK;
    }
    token t = next(s);
    bool comma = t.n && memchr(t.s, ',', t.n);
    return wanted(s, comma ? "a number (with a decimal point)" : "a number", t);
}

static me_code whole(scanner *s, int64_t lo, int64_t hi, const char *what, int64_t *out)
{
    double v;
    skip_space(s);
    token t = {s->at, 0};
    me_code code = number(s, &v);
    if (code) return code;
    t.n = (size_t)(s->at - t.s);
    if (v != floor(v) || v < (double)lo || v > (double)hi) return wanted(s, what, t);
    *out = (int64_t)v;
    return ME_OK;
}

/* ---- hierarchy ---------------------------------------------------------------------------------
 */

typedef struct reader {
    scanner s;
    motion_bvh *out;
    int capacity;
    bool has_offset[MAX_DEPTH]; /* of the joints that are open */
} reader;

/* The rest of the line without blanks around: names may hold spaces ("Bip01 L Thigh"). */
static token line_name(scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t')) s->at++;
    token t = {s->at, 0};
    while (s->at < s->end && *s->at != '\n' && *s->at != '\r' && *s->at != '{' && *s->at != '}')
        s->at++;
    t.n = (size_t)(s->at - t.s);
    while (t.n && is_space(t.s[t.n - 1])) t.n--;
    return t;
}

static me_code add_joint(reader *r, int parent, bool end_site)
{
    motion_bvh *b = r->out;
    token name = {0};
    if (b->joints == MAX_JOINTS)
        return me_fail(r->s.err, ME_EFORMAT, "%s:%d: more than %d joints", r->s.name,
                       line_of(&r->s), MAX_JOINTS);
    if (b->joints == r->capacity) {
        int capacity = r->capacity ? 2 * r->capacity : 64;
        motion_bvh_joint *joint = ME_NEW_ARRAY(&b->arena, capacity, motion_bvh_joint);
        if (!joint) return me_fail_mem(r->s.err, "joints");
        if (b->joints) memcpy(joint, b->joint, (size_t)b->joints * sizeof *joint);
        b->joint = joint;
        r->capacity = capacity;
    }
    motion_bvh_joint *j = &b->joint[b->joints];
    memset(j, 0, sizeof *j);
    j->parent = parent;
    j->end_site = end_site;
    j->first_channel = b->channels;
    name = line_name(&r->s);
    if (!end_site && name.n == 0) return wanted(&r->s, "a joint's name", next(&r->s));
    /* "End Site" is followed by nothing that matters; its first word is read already. */
    j->name = end_site ? "End Site" : me_arena_strndup(&b->arena, name.s, name.n);
    if (!j->name) return me_fail_mem(r->s.err, "a joint's name");
    token brace = next(&r->s);
    if (!is(brace, "{")) return wanted(&r->s, "{", brace);
    b->joints++;
    return ME_OK;
}

static me_code read_channels(reader *r, motion_bvh_joint *j)
{
    static const char *const names[6] = {"Xposition", "Yposition", "Zposition",
                                         "Xrotation", "Yrotation", "Zrotation"};
    int64_t n;
    unsigned seen = 0;
    me_code code = whole(&r->s, 0, 6, "a number of channels from 0 to 6", &n);
    if (code) return code;
    if (j->channels || j->end_site)
        return me_fail(r->s.err, ME_EFORMAT, "%s:%d: CHANNELS not expected here", r->s.name,
                       line_of(&r->s));
    j->first_channel = r->out->channels;
    for (int i = 0; i < n; i++) {
        token t = next(&r->s);
        int which = 0;
        while (which < 6 && !is(t, names[which])) which++;
        if (which == 6 || seen & (1u << which))
            return wanted(&r->s, "a channel such as Xposition or Zrotation, each once", t);
        seen |= 1u << which;
        j->channel[j->channels++] = (unsigned char)which;
    }
    r->out->channels += j->channels;
    return ME_OK;
}

/* Everything up to the closing brace of the root. `open` is the joint whose braces we are in. */
static me_code read_hierarchy(reader *r)
{
    me_code code = label(&r->s, "HIERARCHY");
    if (!code) code = label(&r->s, "ROOT");
    if (!code) code = add_joint(r, -1, false);
    int open = 0, depth = 0;
    while (!code) {
        motion_bvh_joint *j = &r->out->joint[open];
        token t = next(&r->s);
        if (is(t, "OFFSET")) {
            for (int i = 0; i < 3 && !code; i++) code = number(&r->s, &j->offset[i]);
            r->has_offset[depth] = true;
        } else if (is(t, "CHANNELS")) {
            code = read_channels(r, j);
        } else if (is(t, "JOINT") || is(t, "End")) {
            bool end = is(t, "End");
            if (j->end_site) return wanted(&r->s, "} after an End Site's OFFSET", t);
            if (++depth == MAX_DEPTH)
                return me_fail(r->s.err, ME_EFORMAT, "%s:%d: joints are nested more than %d deep",
                               r->s.name, line_of(&r->s), MAX_DEPTH);
            r->has_offset[depth] = false;
            code = add_joint(r, open, end);
            open = r->out->joints - 1;
        } else if (is(t, "}")) {
            if (!r->has_offset[depth])
                return me_fail(r->s.err, ME_EFORMAT, "%s:%d: %s has no OFFSET", r->s.name,
                               line_of(&r->s), j->name);
            if (open == 0) return ME_OK;
            open = j->parent;
            depth--;
        } else {
            return wanted(&r->s, "OFFSET, CHANNELS, JOINT, End Site or }", t);
        }
    }
    return code;
}

/* ---- motion ------------------------------------------------------------------------------------
 */

static me_code read_values(reader *r, int64_t frames)
{
    motion_bvh *b = r->out;
    scanner *s = &r->s;
    size_t left = (size_t)(s->end - s->at), n;
    /* A value takes a digit and a blank at least, so what is declared cannot exceed half of what is
     * left. */
    if (!me_mul_size((size_t)frames, (size_t)b->channels, &n) || n > left / 2 + 1)
        return me_fail(
            s->err, ME_EFORMAT,
            "%s: Frames says %lld of %d values each, but the %zu bytes after it cannot hold them",
            s->name, (long long)frames, b->channels, left);
    b->values = ME_NEW_ARRAY(&b->arena, n, double);
    if (!b->values) return me_fail_mem(s->err, "the motion");
    for (size_t i = 0; i < n; i++) {
        while (s->at < s->end && is_space(*s->at)) s->at++;
        if (s->at == s->end)
            return me_fail(s->err, ME_EFORMAT,
                           "%s: the values end in frame %zu of %lld (cut off while copying?)",
                           s->name, i / (size_t)b->channels, (long long)frames);
        if (!scan_number(&s->at, s->end, &b->values[i])) return number(s, &b->values[i]);
    }
    b->frames = frames;
    /* Some files hold more frames than they declare: the declared ones count, the rest is only
     * counted. */
    for (double ignored;; b->extra_values++) {
        skip_space(s);
        if (s->at == s->end) return ME_OK;
        if (!scan_number(&s->at, s->end, &ignored))
            return wanted(s, "numbers or the end of the file after the last frame", next(s));
    }
}

static me_code read_motion(reader *r)
{
    scanner *s = &r->s;
    int64_t frames = 0;
    me_code code = label(s, "MOTION");
    if (!code) code = label(s, "Frames");
    if (!code) code = whole(s, 1, MOTION_MAX_FRAMES, "a number of frames, 1 or more", &frames);
    if (!code) code = label(s, "Frame");
    if (!code) code = label(s, "Time");
    if (!code) code = number(s, &r->out->frame_time);
    if (code) return code;
    if (!(r->out->frame_time >= 1e-5 && r->out->frame_time <= 1))
        return me_fail(s->err, ME_EDATA,
                       "%s:%d: Frame Time: expected seconds from 0.00001 to 1, found %g", s->name,
                       line_of(s), r->out->frame_time);
    if (r->out->channels == 0)
        return me_fail(s->err, ME_EDATA, "%s: no joint has channels", s->name);
    return read_values(r, frames);
}

me_code motion_bvh_parse(motion_bvh *out, const char *text, size_t size, const char *name,
                         me_err *err)
{
    memset(out, 0, sizeof *out);
    reader r = {.s = {text, text + size, text, name, err}, .out = out};
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) r.s.at += 3; /* byte order mark */
    me_code code = read_hierarchy(&r);
    if (!code) code = read_motion(&r);
    if (code) {
        motion_bvh_close(out);
        return code;
    }
    motion_rig_map map;
    out->rig = motion_rig_find(&map, out) ? map.rig : NULL;
    return ME_OK;
}

me_code motion_bvh_open(motion_bvh *out, const char *path, me_err *err)
{
    me_bytes bytes;
    memset(out, 0, sizeof *out);
    me_code code = me_bytes_open(&bytes, path, err);
    if (code) return code;
    code = motion_bvh_parse(out, (const char *)bytes.data, bytes.size, path, err);
    me_bytes_close(&bytes);
    return code;
}

void motion_bvh_close(motion_bvh *bvh)
{
    me_arena_release(&bvh->arena);
    memset(bvh, 0, sizeof *bvh);
}

/* ---- folders -----------------------------------------------------------------------------------
 */

static me_code list_into(me_names *out, int64_t *capacity, me_arena *arena, const char *folder,
                         int depth, me_err *err)
{
    me_names here;
    me_code code = me_list_directory(&here, arena, folder, err);
    for (int64_t i = 0; !code && i < here.n; i++) {
        if (here.items[i][0] == '.') continue;
        const char *path = me_path_join(arena, folder, here.items[i]);
        if (!path) return me_fail_mem(err, "a path");
        if (me_is_directory(path)) {
            if (depth < 8) code = list_into(out, capacity, arena, path, depth + 1, err);
        } else if (me_has_suffix(path, ".bvh")) {
            if (out->n == *capacity) {
                char **items = ME_NEW_ARRAY(arena, *capacity ? 2 * *capacity : 64, char *);
                if (!items) return me_fail_mem(err, "a list of files");
                if (out->n) memcpy(items, out->items, (size_t)out->n * sizeof *items);
                out->items = items;
                *capacity = *capacity ? 2 * *capacity : 64;
            }
            out->items[out->n] = me_arena_strdup(arena, path);
            if (!out->items[out->n++]) return me_fail_mem(err, "a path");
        }
    }
    return code;
}

me_code motion_bvh_list(me_names *out, me_arena *arena, const char *folder, me_err *err)
{
    int64_t capacity = 0;
    *out = (me_names){0};
    me_code code = list_into(out, &capacity, arena, folder, 0, err);
    if (!code && out->n == 0)
        code = me_fail(err, ME_EDATA, "%s: no .bvh file in this folder", folder);
    return code;
}
