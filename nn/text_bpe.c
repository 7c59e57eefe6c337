/* nn/text_bpe.c: see text_bpe.h. Unicode's tables come from utf8proc. */
#include "nn/text_bpe.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"

/* Open addressing: strings to token ids. */
typedef struct token_slot {
    const char *text; /* NULL: free */
    uint32_t length;
    int32_t id;
} token_slot;

/* Open addressing: a pair of tokens to the token that it becomes. */
typedef struct merge_slot {
    int32_t left, right; /* left -1: free */
    int32_t rank, merged;
} merge_slot;

struct nn_bpe {
    me_arena arena;
    token_slot *tokens;
    merge_slot *merges;
    uint64_t token_mask, merge_mask;
    int32_t start, end;
    int32_t inner[256], last[256]; /* the token of each byte, inside a word and at its end */
};

#define START_TEXT "<|startoftext|>"
#define END_TEXT "<|endoftext|>"
#define WORD_END "</w>"

/* ---- the vocabulary -----------------------------------------------------------------------------
 */

static token_slot *token_place(const nn_bpe *b, const char *text, size_t length)
{
    uint64_t i = me_hash64(text, length, 0);
    for (;; i++) {
        token_slot *s = &b->tokens[i & b->token_mask];
        if (!s->text || (s->length == length && !memcmp(s->text, text, length))) return s;
    }
}

static int32_t token_id(const nn_bpe *b, const char *text, size_t length)
{
    const token_slot *s = token_place(b, text, length);
    return s->text ? s->id : -1;
}

static merge_slot *merge_place(const nn_bpe *b, int32_t left, int32_t right)
{
    uint64_t i = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u >> 20;
    for (;; i++) {
        merge_slot *s = &b->merges[i & b->merge_mask];
        if (s->left < 0 || (s->left == left && s->right == right)) return s;
    }
}

/* A power of two at least twice as large as what will be stored. */
static uint64_t table_size(uint64_t n)
{
    uint64_t size = 64;
    while (size < 2 * n) size *= 2;
    return size;
}

static me_code read_vocabulary(nn_bpe *b, const char *path, me_err *err)
{
    me_value *root;
    me_code code = me_json_read(&root, &b->arena, path, err);
    if (code != ME_OK) return code;
    if (root->kind != ME_DICT || !root->as.dict.length)
        return me_fail(err, ME_EFORMAT, "%s: expected an object of token: number, found %s", path,
                       me_kind_name(root->kind));
    uint64_t size = table_size(root->as.dict.length);
    b->tokens = ME_NEW_ARRAY(&b->arena, size, token_slot);
    if (!b->tokens) return me_fail_mem(err, "the vocabulary");
    b->token_mask = size - 1;
    for (size_t i = 0; i < root->as.dict.length; i++) {
        const me_value *key = root->as.dict.keys[i], *value = root->as.dict.values[i];
        if (value->kind != ME_INT || value->as.integer < 0 || value->as.integer > INT32_MAX ||
            key->as.string.length > UINT32_MAX)
            return me_fail(err, ME_EFORMAT, "%s: token \"%.40s\" has no number", path,
                           key->as.string.data);
        token_slot *s = token_place(b, key->as.string.data, key->as.string.length);
        s->text = key->as.string.data;
        s->length = (uint32_t)key->as.string.length;
        s->id = (int32_t)value->as.integer;
    }
    b->start = token_id(b, START_TEXT, strlen(START_TEXT));
    b->end = token_id(b, END_TEXT, strlen(END_TEXT));
    if (b->start < 0 || b->end < 0)
        return me_fail(
            err, ME_EFORMAT,
            "%s: expected the tokens " START_TEXT " and " END_TEXT " of CLIP's vocabulary", path);
    return ME_OK;
}

/* GPT-2's byte alphabet: printable Latin-1 bytes stand for themselves, the other 68 for U+0100
 * onwards. */
static me_code name_bytes(nn_bpe *b, const char *path, me_err *err)
{
    int others = 0;
    for (int byte = 0; byte < 256; byte++) {
        int printable =
            (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        char name[8];
        size_t n = (size_t)utf8proc_encode_char(printable ? byte : 256 + others++,
                                                (utf8proc_uint8_t *)name);
        b->inner[byte] = token_id(b, name, n);
        memcpy(name + n, WORD_END, strlen(WORD_END));
        b->last[byte] = token_id(b, name, n + strlen(WORD_END));
        if (b->inner[byte] < 0 || b->last[byte] < 0)
            return me_fail(err, ME_EFORMAT, "%s: byte %d has no token; is this CLIP's vocabulary?",
                           path, byte);
    }
    return ME_OK;
}

static me_code read_merges(nn_bpe *b, const char *path, me_err *err)
{
    me_bytes file;
    me_code code = me_bytes_open(&file, path, err);
    if (code != ME_OK) return code;
    const char *text = (const char *)file.data, *stop = text + file.size;
    uint64_t lines = 1;
    for (const char *p = text; p < stop; p++) lines += *p == '\n';
    uint64_t size = table_size(lines);
    b->merges = ME_NEW_ARRAY(&b->arena, size, merge_slot);
    if (!b->merges) code = me_fail_mem(err, "the merges");
    b->merge_mask = size - 1;
    for (uint64_t i = 0; b->merges && i < size; i++) b->merges[i].left = -1;
    int32_t rank = 0;
    int64_t line = 0;
    for (const char *p = text; code == ME_OK && p < stop;) {
        const char *eol = memchr(p, '\n', (size_t)(stop - p));
        const char *next = eol ? eol + 1 : stop;
        if (!eol) eol = stop;
        if (eol > p && eol[-1] == '\r') eol--;
        line++;
        const char *space = memchr(p, ' ', (size_t)(eol - p));
        if (eol > p && !(line == 1 && *p == '#')) {
            char joined[1024];
            size_t left = space ? (size_t)(space - p) : 0,
                   right = space ? (size_t)(eol - space - 1) : 0;
            int32_t a = -1, c = -1, merged = -1;
            if (space && left + right <= sizeof joined) {
                memcpy(joined, p, left);
                memcpy(joined + left, space + 1, right);
                a = token_id(b, p, left);
                c = token_id(b, space + 1, right);
                merged = token_id(b, joined, left + right);
            }
            if (a < 0 || c < 0 || merged < 0)
                code = me_fail(err, ME_EFORMAT,
                               "%s: line %lld is no merge of the vocabulary's tokens: \"%.*s\"",
                               path, (long long)line, (int)(eol - p < 40 ? eol - p : 40), p);
            else {
                merge_slot *s = merge_place(b, a, c);
                if (s->left < 0) *s = (merge_slot){a, c, rank, merged};
                rank++;
            }
        }
        p = next;
    }
    me_bytes_close(&file);
    return code;
}

me_code nn_bpe_open(nn_bpe **out, const char *folder, me_err *err)
{
    *out = NULL;
    nn_bpe *b = calloc(1, sizeof *b);
    if (!b) return me_fail_mem(err, "the tokenizer");
    const char *vocabulary = me_path_join(&b->arena, folder, "vocab.json");
    const char *merges = me_path_join(&b->arena, folder, "merges.txt");
    me_code code = vocabulary && merges ? ME_OK : me_fail_mem(err, "the tokenizer");
    if (code == ME_OK) code = read_vocabulary(b, vocabulary, err);
    if (code == ME_OK) code = name_bytes(b, vocabulary, err);
    if (code == ME_OK) code = read_merges(b, merges, err);
    if (code != ME_OK) {
        nn_bpe_close(b);
        return code;
    }
    *out = b;
    return ME_OK;
}

void nn_bpe_close(nn_bpe *bpe)
{
    if (!bpe) return;
    me_arena_release(&bpe->arena);
    free(bpe);
}

int32_t nn_bpe_start(const nn_bpe *bpe)
{
    return bpe->start;
}
int32_t nn_bpe_end(const nn_bpe *bpe)
{
    return bpe->end;
}

/* ---- text to pieces
 * ------------------------------------------------------------------------------- */

typedef struct points {
    utf8proc_int32_t *items;
    int64_t n;
} points;

static int is_space(utf8proc_int32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

typedef enum { PIECE_SPACE, PIECE_LETTER, PIECE_NUMBER, PIECE_OTHER } piece_class;

static piece_class class_of(utf8proc_int32_t c)
{
    if (is_space(c)) return PIECE_SPACE;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return PIECE_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return PIECE_NUMBER;
    default:
        return PIECE_OTHER;
    }
}

/* NFC and lower case. Only U+0130 becomes two characters in lower case, which utf8proc's one-to-one
 * mapping cannot say. */
static me_code normalize(points *out, me_arena *arena, const char *text, size_t length, me_err *err)
{
    utf8proc_int32_t *raw = ME_NEW_ARRAY(arena, length + 1, utf8proc_int32_t);
    if (!raw) return me_fail_mem(err, "a text");
    int64_t n = 0;
    for (size_t i = 0; i < length;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                                 (utf8proc_ssize_t)(length - i), &c);
        raw[n++] = used > 0 ? c : 0xFFFD;
        i += used > 0 ? (size_t)used : 1;
    }
    /* Canonical decomposition makes at most four characters of one; composition works in place. */
    size_t capacity = (size_t)n * 4 + 4;
    utf8proc_int32_t *whole = ME_NEW_ARRAY(arena, capacity, utf8proc_int32_t);
    if (!whole) return me_fail_mem(err, "a text");
    int64_t m = 0;
    int boundary = 0;
    for (int64_t i = 0; i < n; i++) {
        utf8proc_ssize_t made =
            utf8proc_decompose_char(raw[i], whole + m, (utf8proc_ssize_t)capacity - m,
                                    UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &boundary);
        if (made < 0 || made > (utf8proc_ssize_t)capacity - m)
            return me_fail(err, ME_EDATA, "a text cannot be normalised: %s",
                           utf8proc_errmsg(made < 0 ? made : UTF8PROC_ERROR_OVERFLOW));
        m += made;
    }
    /* Canonical order: combining marks ascend in class. */
    for (int64_t i = 1; i < m; i++)
        for (int64_t j = i; j > 0; j--) {
            int a = utf8proc_get_property(whole[j - 1])->combining_class;
            int b = utf8proc_get_property(whole[j])->combining_class;
            if (!(a > b && b > 0)) break;
            utf8proc_int32_t swap = whole[j];
            whole[j] = whole[j - 1];
            whole[j - 1] = swap;
        }
    m = utf8proc_normalize_utf32(whole, m, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (m < 0) return me_fail(err, ME_EDATA, "a text cannot be normalised: %s", utf8proc_errmsg(m));
    out->items = ME_NEW_ARRAY(arena, 2 * m + 1, utf8proc_int32_t);
    if (!out->items) return me_fail_mem(err, "a text");
    out->n = 0;
    for (int64_t i = 0; i < m; i++) {
        out->items[out->n++] = whole[i] == 0x130 ? 'i' : utf8proc_tolower(whole[i]);
        if (whole[i] == 0x130) out->items[out->n++] = 0x307;
    }
    return ME_OK;
}

/* The length of a contraction ('s 't 're 've 'm 'll 'd) at `p`, or 0. */
static int contraction(const utf8proc_int32_t *p, int64_t left)
{
    if (left < 2 || p[0] != '\'') return 0;
    if (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd') return 2;
    if (left < 3) return 0;
    if ((p[1] == 'r' && p[2] == 'e') || (p[1] == 'v' && p[2] == 'e') ||
        (p[1] == 'l' && p[2] == 'l'))
        return 3;
    return 0;
}

/* Where the piece that starts at `from` ends. */
static int64_t piece_end(const points *p, int64_t from)
{
    int short_form = contraction(p->items + from, p->n - from);
    if (short_form) return from + short_form;
    piece_class kind = class_of(p->items[from]);
    int64_t to = from + 1;
    if (kind != PIECE_NUMBER)
        while (to < p->n && class_of(p->items[to]) == kind) to++;
    return to;
}

/* ---- pieces to tokens
 * ------------------------------------------------------------------------------ */

typedef struct output {
    int32_t *ids;
    int64_t n, capacity;
} output;

static me_code put(output *o, me_arena *arena, const int32_t *ids, int64_t n, me_err *err)
{
    if (o->n + n > o->capacity) {
        int64_t capacity = 2 * (o->n + n) + 64;
        int32_t *grown = ME_NEW_ARRAY(arena, capacity, int32_t);
        if (!grown) return me_fail_mem(err, "tokens");
        if (o->n) memcpy(grown, o->ids, (size_t)o->n * sizeof *grown);
        o->ids = grown;
        o->capacity = capacity;
    }
    memcpy(o->ids + o->n, ids, (size_t)n * sizeof *ids);
    o->n += n;
    return ME_OK;
}

/* Merges the pair of the lowest rank, leftmost first, until none is left. */
static int64_t merge(const nn_bpe *b, int32_t *ids, int64_t n)
{
    while (n > 1) {
        int32_t best = INT32_MAX, merged = 0, left = 0, right = 0;
        for (int64_t i = 0; i + 1 < n; i++) {
            const merge_slot *s = merge_place(b, ids[i], ids[i + 1]);
            if (s->left >= 0 && s->rank < best) {
                best = s->rank;
                merged = s->merged;
                left = s->left;
                right = s->right;
            }
        }
        if (best == INT32_MAX) break;
        int64_t kept = 0;
        for (int64_t i = 0; i < n; i++) {
            if (i + 1 < n && ids[i] == left && ids[i + 1] == right) {
                ids[kept++] = merged;
                i++;
            } else {
                ids[kept++] = ids[i];
            }
        }
        n = kept;
    }
    return n;
}

/* A merge pass is linear in the piece, and a piece of n bytes may need n passes: pieces of an
 * absurd length are cut so that a hostile text costs no more than a long one. CLIP reads 75 tokens
 * in any case. */
#define LONGEST_PIECE 4096

static me_code encode_piece(const nn_bpe *b, output *o, me_arena *arena, const points *p,
                            int64_t from, int64_t to, me_err *err)
{
    int32_t *ids = ME_NEW_ARRAY(arena, 4 * (to - from), int32_t);
    if (!ids) return me_fail_mem(err, "tokens");
    int64_t n = 0;
    for (int64_t i = from; i < to; i++) {
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t length = utf8proc_encode_char(p->items[i], bytes);
        for (utf8proc_ssize_t k = 0; k < length; k++)
            ids[n++] = i == to - 1 && k == length - 1 ? b->last[bytes[k]] : b->inner[bytes[k]];
    }
    n = merge(b, ids, n);
    return put(o, arena, ids, n, err);
}

static me_code encode_plain(const nn_bpe *b, output *o, me_arena *arena, const char *text,
                            size_t length, me_err *err)
{
    points p = {0};
    me_code code = normalize(&p, arena, text, length, err);
    for (int64_t from = 0; code == ME_OK && from < p.n;) {
        int64_t to = piece_end(&p, from);
        if (to - from > LONGEST_PIECE) to = from + LONGEST_PIECE;
        if (class_of(p.items[from]) != PIECE_SPACE)
            code = encode_piece(b, o, arena, &p, from, to, err);
        from = to;
    }
    return code;
}

me_code nn_bpe_encode(const nn_bpe *b, const char *text, me_arena *arena, int32_t **ids, int64_t *n,
                      me_err *err)
{
    output o = {0};
    me_code code = put(&o, arena, &b->start, 1, err);
    /* The two special tokens may be written out in a text; what stands between them is ordinary. */
    while (code == ME_OK && *text) {
        const char *start = strstr(text, START_TEXT), *end = strstr(text, END_TEXT);
        const char *special = !start ? end : !end || start < end ? start : end;
        size_t plain = special ? (size_t)(special - text) : strlen(text);
        code = encode_plain(b, &o, arena, text, plain, err);
        text += plain;
        if (special && code == ME_OK) {
            code = put(&o, arena, special == start ? &b->start : &b->end, 1, err);
            text += special == start ? strlen(START_TEXT) : strlen(END_TEXT);
        }
    }
    if (code == ME_OK) code = put(&o, arena, &b->end, 1, err);
    *ids = o.ids;
    *n = o.n;
    return code;
}

me_code nn_bpe_encode_context(const nn_bpe *b, const char *text, int32_t ids[NN_BPE_CONTEXT],
                              me_err *err)
{
    me_arena arena = {0};
    int32_t *all;
    int64_t n;
    me_code code = nn_bpe_encode(b, text, &arena, &all, &n, err);
    if (code == ME_OK)
        for (int64_t i = 0; i < NN_BPE_CONTEXT; i++)
            ids[i] = i < n && !(i == NN_BPE_CONTEXT - 1 && n > NN_BPE_CONTEXT) ? all[i] : b->end;
    me_arena_release(&arena);
    return code;
}
