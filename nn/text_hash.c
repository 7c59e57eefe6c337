/* nn/text_hash.c: the text encoder that needs no file. A word's vector is the sum of the signed
 * hashes of its features, scaled to unit length: the word, its character n-grams of 3 to 5 with
 * marks at both ends (so that "raise" and "raises" are near), and the pair with the word before it
 * at half weight (so that "left arm" and "right arm" differ at "arm" too). A sentence is the scaled
 * mean of its words.
 *
 * Deterministic, the same on every machine; it knows no meaning beyond spelling.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/text_priv.h"

typedef struct hash_encoder {
    int64_t width;
} hash_encoder;

#define SEED 0x6D6562656E6368u /* any constant: it defines the encoder */
#define LONGEST_WORD 64
#define MOST_WORDS 256

/* Every feature goes to four places with signs, which makes accidental collisions of short
 * sentences weak. */
static void add_feature(float *v, int64_t width, const void *text, size_t length, uint64_t family,
                        float weight)
{
    for (uint64_t probe = 0; probe < 4; probe++) {
        uint64_t h = me_hash64(text, length, SEED + 16 * family + probe);
        v[(h >> 1) % (uint64_t)width] += h & 1 ? weight : -weight;
    }
}

static void scale_to_unit(float *v, int64_t width)
{
    double sum = 0;
    for (int64_t i = 0; i < width; i++) sum += (double)v[i] * v[i];
    float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (int64_t i = 0; i < width; i++) v[i] *= scale;
}

typedef struct word {
    char text[LONGEST_WORD + 2]; /* "^word$" */
    size_t length;
} word;

/* Lower-cased runs of letters, digits and bytes beyond ASCII; every other visible character is a
 * word by itself. */
static int64_t split(word *words, const char *text)
{
    int64_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && n < MOST_WORDS;) {
        if (isspace(*p)) {
            p++;
            continue;
        }
        word *w = &words[n++];
        w->length = 0;
        w->text[w->length++] = '^';
        if (isalnum(*p) || *p >= 0x80)
            for (; isalnum(*p) || *p >= 0x80; p++) {
                if (w->length < LONGEST_WORD) w->text[w->length++] = (char)tolower(*p);
            }
        else
            w->text[w->length++] = (char)*p++;
        w->text[w->length++] = '$';
    }
    return n;
}

static void encode_word(float *v, int64_t width, const word *w, const word *before)
{
    add_feature(v, width, w->text, w->length, 0, 1);
    for (size_t size = 3; size <= 5; size++)
        for (size_t i = 0; i + size <= w->length; i++)
            add_feature(v, width, w->text + i, size, size, 0.5F);
    if (before) {
        char pair[2 * LONGEST_WORD + 4];
        memcpy(pair, before->text, before->length);
        memcpy(pair + before->length, w->text, w->length);
        add_feature(v, width, pair, before->length + w->length, 1, 0.5F);
    }
    scale_to_unit(v, width);
}

static me_code hash_encode(void *self, me_arena *arena, const char *const *texts, int64_t n,
                           nn_text_vectors *out, me_err *err)
{
    int64_t width = ((hash_encoder *)self)->width;
    word *words = malloc(MOST_WORDS * sizeof *words);
    if (!words) return me_fail_mem(err, "words");
    me_code code = ME_OK;
    for (int64_t i = 0; i < n && code == ME_OK; i++) {
        int64_t count = split(words, texts[i]);
        int64_t rows = count ? count : 1; /* the empty sentence is one zero vector */
        float *tokens = ME_NEW_ARRAY(arena, rows * width, float);
        float *sentence = ME_NEW_ARRAY(arena, width, float);
        if (!tokens || !sentence) {
            code = me_fail_mem(err, "text vectors");
            break;
        }
        for (int64_t k = 0; k < count; k++) {
            encode_word(tokens + k * width, width, &words[k], k ? &words[k - 1] : NULL);
            for (int64_t c = 0; c < width; c++) sentence[c] += tokens[k * width + c];
        }
        scale_to_unit(sentence, width);
        out[i] = (nn_text_vectors){rows, tokens, sentence};
    }
    free(words);
    return code;
}

me_code nn_text_hash_open(nn_text_kind *out, int64_t width, me_err *err)
{
    if (width < 16 || width > 4096)
        return me_fail(err, ME_EUSAGE,
                       "text encoder hash: expected a width of 16 to 4096, found %lld",
                       (long long)width);
    hash_encoder *h = malloc(sizeof *h);
    if (!h) return me_fail_mem(err, "the text encoder");
    h->width = width;
    *out = (nn_text_kind){.token_width = width,
                          .sentence_width = width,
                          .self = h,
                          .encode = hash_encode,
                          .close = free};
    snprintf(out->identity, sizeof out->identity, "hash:%lld", (long long)width);
    return ME_OK;
}
