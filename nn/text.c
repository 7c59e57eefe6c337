/* nn/text.c: see text.h. Keeps one set of vectors for each distinct text, in memory and, where the
 * encoder is costly, on disk: CACHE/text/<first half of the key>/<key>.safetensors with the arrays
 * `tokens` and `sentence`. A damaged or foreign file there is ignored and written again.
 */
#include "nn/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "nn/text_priv.h"

typedef struct entry {
    const char *text; /* NULL: free */
    nn_text_vectors vectors;
    bool done;
} entry;

struct nn_text {
    nn_text_kind kind;
    me_arena arena;
    entry *entries; /* open addressing */
    uint64_t mask, used;
    char *cache; /* NULL: none */
};

static me_code grow(nn_text *t, me_err *err)
{
    uint64_t size = t->mask ? 2 * (t->mask + 1) : 1024;
    entry *table = calloc(size, sizeof *table);
    if (!table) return me_fail_mem(err, "texts");
    for (uint64_t i = 0; t->entries && i <= t->mask; i++) {
        if (!t->entries[i].text) continue;
        uint64_t k = me_hash64(t->entries[i].text, strlen(t->entries[i].text), 0);
        while (table[k & (size - 1)].text) k++;
        table[k & (size - 1)] = t->entries[i];
    }
    free(t->entries);
    t->entries = table;
    t->mask = size - 1;
    return ME_OK;
}

/* The entry of `text`, made when it is new; pointers hold until the next call. */
static me_code place(entry **out, nn_text *t, const char *text, me_err *err)
{
    if (!t->entries || 2 * t->used > t->mask) {
        me_code code = grow(t, err);
        if (code != ME_OK) return code;
    }
    uint64_t k = me_hash64(text, strlen(text), 0);
    while (t->entries[k & t->mask].text && strcmp(t->entries[k & t->mask].text, text) != 0) k++;
    entry *e = &t->entries[k & t->mask];
    if (!e->text) {
        e->text = me_arena_strdup(&t->arena, text);
        if (!e->text) return me_fail_mem(err, "texts");
        t->used++;
    }
    *out = e;
    return ME_OK;
}

/* ---- the cache on disk
 * ----------------------------------------------------------------------------- */

static const char *cache_path(const nn_text *t, me_arena *scratch, const char *text, bool folder)
{
    me_sha256 s;
    char hex[65];
    me_sha256_init(&s);
    me_sha256_add(&s, t->kind.identity, strlen(t->kind.identity) + 1);
    me_sha256_add(&s, text, strlen(text));
    me_sha256_hex(&s, hex);
    return folder ? me_arena_printf(scratch, "%s/text/%.2s", t->cache, hex)
                  : me_arena_printf(scratch, "%s/text/%.2s/%s.safetensors", t->cache, hex, hex);
}

static const me_array *matrix(const me_value *root, const char *name, int64_t columns)
{
    const me_value *v = me_dict_get(root, name);
    return v && v->kind == ME_ARRAY && v->as.array.ndim == 2 && v->as.array.shape[0] > 0 &&
                   v->as.array.shape[1] == columns
               ? &v->as.array
               : NULL;
}

static bool cache_read(nn_text *t, entry *e)
{
    me_arena scratch = {0};
    me_doc doc;
    bool found = false;
    const char *path = cache_path(t, &scratch, e->text, false);
    if (path && me_file_exists(path) && me_doc_open(&doc, path, NULL) == ME_OK) {
        const me_array *tokens = matrix(doc.root, "tokens", t->kind.token_width);
        const me_array *sentence = matrix(doc.root, "sentence", t->kind.sentence_width);
        if (tokens && sentence && sentence->shape[0] == 1) {
            float *a = ME_NEW_ARRAY(&t->arena, me_array_count(tokens), float);
            float *b = ME_NEW_ARRAY(&t->arena, me_array_count(sentence), float);
            found = a && b && me_array_read_f32(tokens, a, NULL) == ME_OK &&
                    me_array_read_f32(sentence, b, NULL) == ME_OK;
            if (found) e->vectors = (nn_text_vectors){tokens->shape[0], a, b};
        }
        me_doc_close(&doc);
    }
    me_arena_release(&scratch);
    return found;
}

/* A cache that cannot be written is no error: the next run computes again. */
static void cache_write(nn_text *t, const char *text, const nn_text_vectors *v)
{
    me_arena scratch = {0};
    const char *folder = cache_path(t, &scratch, text, true),
               *path = cache_path(t, &scratch, text, false);
    me_value *dict = me_value_new(&scratch, ME_DICT);
    if (folder && path && dict && me_make_directories(folder, NULL) == ME_OK) {
        int64_t tokens[] = {v->n, t->kind.token_width}, sentence[] = {1, t->kind.sentence_width};
        me_dict_put(&scratch, dict, "tokens",
                    me_value_array(&scratch, ME_F32, 2, tokens, v->tokens), NULL);
        me_dict_put(&scratch, dict, "sentence",
                    me_value_array(&scratch, ME_F32, 2, sentence, v->sentence), NULL);
        me_safetensors_write(path, dict, NULL, NULL);
    }
    me_arena_release(&scratch);
}

static char *default_cache(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[4096];
    if (base && *base)
        snprintf(path, sizeof path, "%s/mebench", base);
    else if (home && *home)
        snprintf(path, sizeof path, "%s/.cache/mebench", home);
    else
        return NULL;
    return strdup(path);
}

/* ---- the interface
 * --------------------------------------------------------------------------------- */

me_code nn_text_open(nn_text **out, const char *spec, nn_backend *be,
                     const nn_text_options *options, me_err *err)
{
    *out = NULL;
    nn_text *t = calloc(1, sizeof *t);
    if (!t) return me_fail_mem(err, "the text encoder");
    me_code code;
    if (!strcmp(spec, "hash")) {
        code = nn_text_hash_open(&t->kind, 256, err);
    } else if (!strncmp(spec, "hash:", 5)) {
        char *end;
        long width = strtol(spec + 5, &end, 10);
        code = *end || end == spec + 5
                   ? me_fail(err, ME_EUSAGE, "text encoder %s: expected hash:WIDTH", spec)
                   : nn_text_hash_open(&t->kind, width, err);
    } else if (!strncmp(spec, "clip:", 5)) {
        code = nn_text_clip_open(&t->kind, spec + 5, be, err);
    } else {
        code = me_fail(err, ME_EUSAGE, "text encoder \"%s\": expected clip:DIR or hash", spec);
    }
    if (code != ME_OK) {
        free(t);
        return code;
    }
    const char *cache = options ? options->cache : NULL;
    if (t->kind.cached && !(cache && !*cache)) t->cache = cache ? strdup(cache) : default_cache();
    *out = t;
    return ME_OK;
}

void nn_text_close(nn_text *t)
{
    if (!t) return;
    t->kind.close(t->kind.self);
    me_arena_release(&t->arena);
    free(t->entries);
    free(t->cache);
    free(t);
}

int64_t nn_text_token_width(const nn_text *t)
{
    return t->kind.token_width;
}
int64_t nn_text_sentence_width(const nn_text *t)
{
    return t->kind.sentence_width;
}
const char *nn_text_identity(const nn_text *t)
{
    return t->kind.identity;
}

me_code nn_text_encode(nn_text *t, const char *const *texts, int64_t n, nn_text_vectors *out,
                       me_err *err)
{
    me_arena scratch = {0};
    const char **fresh = ME_NEW_ARRAY(&scratch, n + 1, const char *);
    nn_text_vectors *made = ME_NEW_ARRAY(&scratch, n + 1, nn_text_vectors);
    me_code code = fresh && made ? ME_OK : me_fail_mem(err, "texts");
    int64_t count = 0;
    for (int64_t i = 0; i < n && code == ME_OK; i++) {
        entry *e = NULL;
        code = place(&e, t, texts[i], err);
        if (code != ME_OK || e->done) continue;
        e->done = true; /* this call fills it, from disk or below */
        if (!(t->cache && cache_read(t, e))) fresh[count++] = e->text;
    }
    if (code == ME_OK && count)
        code = t->kind.encode(t->kind.self, &t->arena, fresh, count, made, err);
    for (int64_t i = 0; i < count; i++) {
        entry *e = NULL;
        if (place(&e, t, fresh[i], err) != ME_OK) continue;
        e->vectors = made[i];
        if (code != ME_OK)
            e->done = false;
        else if (t->cache)
            cache_write(t, fresh[i], &made[i]);
    }
    for (int64_t i = 0; i < n && code == ME_OK; i++) {
        entry *e = NULL;
        code = place(&e, t, texts[i], err);
        if (code == ME_OK) out[i] = e->vectors;
    }
    me_arena_release(&scratch);
    return code;
}
