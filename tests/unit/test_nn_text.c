/* Text encoders: feature hashing, the cache, and CLIP's tower from weights that the test makes. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "nn/backend.h"
#include "nn/text.h"
#include "nn/text_clip.h"

static nn_backend *be;
static me_arena arena;

static void open_backend(void)
{
    cr_assert_eq(nn_cpu_open(&be, 1, NULL), ME_OK);
}

static void close_backend(void)
{
    nn_backend_close(be);
    me_arena_release(&arena);
}

TestSuite(text, .init = open_backend, .fini = close_backend);

static nn_text *open_hash(const char *spec)
{
    nn_text *t;
    me_err err = {0};
    cr_assert_eq(nn_text_open(&t, spec, be, NULL, &err), ME_OK, "%s", err.msg);
    return t;
}

static double cosine(const float *a, const float *b, int64_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

Test(text, equal_texts_share_vectors_and_a_second_encoder_makes_the_same)
{
    const char *texts[] = {"raise the left arm", "walk", "raise the left arm", ""};
    nn_text_vectors a[4], b[4];
    nn_text *first = open_hash("hash"), *second = open_hash("hash:256");
    cr_assert_eq(nn_text_encode(first, texts, 4, a, NULL), ME_OK);
    cr_assert_eq(nn_text_encode(second, texts, 4, b, NULL), ME_OK);
    cr_assert_eq(a[0].tokens, a[2].tokens);
    cr_assert_str_eq(nn_text_identity(first), "hash:256");
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(a[i].n, b[i].n);
        cr_assert_arr_eq(a[i].tokens, b[i].tokens, (size_t)a[i].n * 256 * sizeof(float));
        cr_assert_arr_eq(a[i].sentence, b[i].sentence, 256 * sizeof(float));
    }
    cr_assert_eq(a[0].n, 4);
    cr_assert_eq(a[3].n, 1);
    cr_assert_eq(a[3].sentence[0], 0);
    nn_text_close(first);
    nn_text_close(second);
}

Test(text, sentences_of_the_same_words_are_nearer_than_others)
{
    const char *texts[] = {"raise the left arm", "Raises the left arm!", "raise the right leg",
                           "turn around and jump"};
    nn_text_vectors v[4];
    nn_text *t = open_hash("hash");
    cr_assert_eq(nn_text_encode(t, texts, 4, v, NULL), ME_OK);
    double same = cosine(v[0].sentence, v[1].sentence, 256),
           half = cosine(v[0].sentence, v[2].sentence, 256),
           other = cosine(v[0].sentence, v[3].sentence, 256);
    cr_assert_gt(same, half + 0.1);
    cr_assert_gt(half, other + 0.1);
    cr_assert_lt(fabs(other), 0.2);
    /* "arm" is told from "arm" by the word before. */
    cr_assert_lt(cosine(v[0].tokens + 3 * 256, v[1].tokens + 3 * 256, 256), 1.0001);
    nn_text_close(t);
}

Test(text, hostile_text_is_only_text)
{
    char *many = malloc(100001);
    memset(many, 'a', 100000);
    many[100000] = 0;
    const char *texts[] = {many, "\xFF\xFE\x80", " \t\n", "!?!?!?", "\xF0\x9F\x92\x83 dance"};
    nn_text_vectors v[5];
    nn_text *t = open_hash("hash:16");
    cr_assert_eq(nn_text_encode(t, texts, 5, v, NULL), ME_OK);
    for (int i = 0; i < 5; i++)
        for (int64_t k = 0; k < v[i].n * 16; k++) cr_assert(isfinite(v[i].tokens[k]));
    nn_text_close(t);
    free(many);
}

Test(text, unknown_encoders_and_widths_are_refused)
{
    nn_text *t;
    const char *specs[] = {"bert", "hash:", "hash:12x", "hash:8", "hash:100000", "clip:/nowhere"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        me_err err = {0};
        cr_assert_neq(nn_text_open(&t, specs[i], be, NULL, &err), ME_OK, "%s", specs[i]);
        cr_assert_null(t);
        cr_assert_gt(strlen(err.msg), 10);
    }
}

/* ---- CLIP's tower ------------------------------------------------------------------------------
 */

static const nn_clip_config small = {.vocabulary = 40,
                                     .positions = 12,
                                     .width = 128,
                                     .layers = 2,
                                     .heads = 2,
                                     .hidden = 24,
                                     .projection = 10,
                                     .act = NN_ACT_QUICK_GELU,
                                     .eps = 1e-5F};

static float *numbers(const char *name, int64_t n)
{
    float *x = ME_NEW_ARRAY(&arena, n, float);
    me_rng g = me_rng_make(1, me_hash64(name, strlen(name), 0));
    for (int64_t i = 0; i < n; i++) x[i] = (float)(0.2 * me_rng_normal(&g));
    return x;
}

static void put(me_value *state, const char *name, const float *x, int64_t rows, int64_t columns)
{
    const int64_t shape[] = {rows, columns};
    cr_assert_eq(me_dict_put(&arena, state, name,
                             me_value_array(&arena, ME_F32, columns ? 2 : 1, shape, x), NULL),
                 ME_OK);
}

/* The same weights in the names of one or of the other. OpenAI stacks q, k and v, and stores the
 * projection transposed. */
static me_value *weights(bool openai)
{
    me_value *s = me_value_new(&arena, ME_DICT);
    const nn_clip_config *c = &small;
    const int64_t d = c->width;
    const char *hf = "text_model.", *layers = openai ? "transformer.resblocks" : "encoder.layers";
    static const struct {
        const char *hf, *openai;
        int rows, columns; /* 1: width, 2: hidden, 0: vector */
    } parts[] = {{"self_attn.out_proj.weight", "attn.out_proj.weight", 1, 1},
                 {"self_attn.out_proj.bias", "attn.out_proj.bias", 1, 0},
                 {"layer_norm1.weight", "ln_1.weight", 1, 0},
                 {"layer_norm1.bias", "ln_1.bias", 1, 0},
                 {"layer_norm2.weight", "ln_2.weight", 1, 0},
                 {"layer_norm2.bias", "ln_2.bias", 1, 0},
                 {"mlp.fc1.weight", "mlp.c_fc.weight", 2, 1},
                 {"mlp.fc1.bias", "mlp.c_fc.bias", 2, 0},
                 {"mlp.fc2.weight", "mlp.c_proj.weight", 1, 2},
                 {"mlp.fc2.bias", "mlp.c_proj.bias", 1, 0}};
#define NAME(a, b) me_arena_printf(&arena, "%s%s", openai ? "" : hf, openai ? (b) : (a))
    put(s, NAME("embeddings.token_embedding.weight", "token_embedding.weight"),
        numbers("tokens", c->vocabulary * d), c->vocabulary, d);
    put(s, NAME("embeddings.position_embedding.weight", "positional_embedding"),
        numbers("positions", c->positions * d), c->positions, d);
    put(s, NAME("final_layer_norm.weight", "ln_final.weight"), numbers("fw", d), d, 0);
    put(s, NAME("final_layer_norm.bias", "ln_final.bias"), numbers("fb", d), d, 0);
    for (int l = 0; l < c->layers; l++) {
        const char *prefix = me_arena_printf(&arena, "%s%s.%d.", openai ? "" : hf, layers, l);
        float *w = numbers(l ? "w1" : "w0", 3 * d * d);
        float *b = numbers(l ? "b1" : "b0", 3 * d);
        if (openai) {
            put(s, me_arena_printf(&arena, "%sattn.in_proj_weight", prefix), w, 3 * d, d);
            put(s, me_arena_printf(&arena, "%sattn.in_proj_bias", prefix), b, 3 * d, 0);
        }
        for (int i = 0; i < 3 && !openai; i++) {
            put(s, me_arena_printf(&arena, "%sself_attn.%c_proj.weight", prefix, "qkv"[i]),
                w + i * d * d, d, d);
            put(s, me_arena_printf(&arena, "%sself_attn.%c_proj.bias", prefix, "qkv"[i]), b + i * d,
                d, 0);
        }
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            const int64_t rows = parts[i].rows == 2 ? c->hidden : d,
                          columns = parts[i].columns == 2 ? c->hidden
                                    : parts[i].columns    ? d
                                                          : 0;
            put(s, me_arena_printf(&arena, "%s%s", prefix, openai ? parts[i].openai : parts[i].hf),
                numbers(me_arena_printf(&arena, "%d%s", l, parts[i].hf),
                        rows * (columns ? columns : 1)),
                rows, columns);
        }
    }
    float *p = numbers("projection", c->projection * d), *t = numbers("", c->projection * d);
    for (int64_t i = 0; i < c->projection; i++)
        for (int64_t j = 0; j < d; j++) t[j * c->projection + i] = p[i * d + j];
    if (openai)
        put(s, "text_projection", t, d, c->projection);
    else
        put(s, "text_projection.weight", p, c->projection, d);
    return s;
}

static void encode(const me_value *state, const int32_t *ids, const int32_t *lengths, int64_t n,
                   float *states, float *projected)
{
    nn_clip clip;
    me_err err = {0};
    cr_assert_eq(nn_clip_open_state(&clip, &small, state, be, NN_FP32, "test", &err), ME_OK, "%s",
                 err.msg);
    cr_assert_eq(nn_clip_encode(&clip, ids, lengths, n, states, projected, &err), ME_OK, "%s",
                 err.msg);
    nn_clip_close(&clip);
}

Test(text, both_names_of_clips_weights_give_the_same)
{
    const int32_t ids[] = {38, 3, 7, 39, 38, 39}, lengths[] = {4, 2};
    float a[20], b[20];
    encode(weights(false), ids, lengths, 2, NULL, a);
    encode(weights(true), ids, lengths, 2, NULL, b);
    cr_assert_arr_eq(a, b, sizeof a);
    cr_assert_gt(fabs((double)a[0] - a[10]), 1e-4);
}

Test(text, clip_reads_a_text_alike_alone_and_beside_others)
{
    const int32_t ids[] = {38, 3, 7, 39, 38, 39, 38, 3, 39}, lengths[] = {4, 2, 3};
    float all[9 * 128], alone[4 * 128], shorter[3 * 128];
    const me_value *w = weights(false);
    encode(w, ids, lengths, 3, all, NULL);
    encode(w, ids, lengths, 1, alone, NULL);
    encode(w, ids + 6, lengths + 2, 1, shorter, NULL);
    cr_assert_arr_eq(all, alone, sizeof alone);
    cr_assert_arr_eq(all + 6 * 128, shorter, sizeof shorter);
    /* Causal: what stands before is not moved by what follows. */
    for (int i = 0; i < 2 * 128; i++) cr_assert_float_eq(alone[i], shorter[i], 1e-5);
}

Test(text, clip_refuses_tokens_and_weights_that_do_not_fit)
{
    nn_clip clip;
    me_err err = {0};
    me_value *w = weights(false);
    nn_clip_config wrong = small;
    wrong.hidden = 20;
    cr_assert_eq(nn_clip_open_state(&clip, &wrong, w, be, NN_FP32, "test", &err), ME_EFORMAT);
    cr_assert_not_null(strstr(err.msg, "mlp.fc1.weight holds 3072 numbers, expected 2560"), "%s",
                       err.msg);
    wrong = small;
    wrong.layers = 3;
    err = (me_err){0};
    cr_assert_eq(nn_clip_open_state(&clip, &wrong, w, be, NN_FP32, "test", &err), ME_EFORMAT);
    cr_assert_not_null(strstr(err.msg, "layers.2."), "%s", err.msg);

    err = (me_err){0};
    cr_assert_eq(nn_clip_open_state(&clip, &small, w, be, NN_FP32, "test", &err), ME_OK);
    const int32_t bad[] = {38, 40}, two = 2, none = 0, long_one = 13;
    float out[10];
    cr_assert_eq(nn_clip_encode(&clip, bad, &two, 1, NULL, out, &err), ME_EDATA);
    cr_assert_eq(nn_clip_encode(&clip, bad, &none, 1, NULL, out, NULL), ME_EDATA);
    cr_assert_eq(nn_clip_encode(&clip, bad, &long_one, 1, NULL, out, NULL), ME_EDATA);
    nn_clip_close(&clip);
}
