/* CLIP's text tower: the two families of names that its weights come under give the same vectors.
 * Its values are checked against the reference by the parity program. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "core/torch.h"
#include "nn/text_clip.h"
#include "tests/unit/nn_fixture.h"

#define WIDTH 64 /* one head of OpenAI's width */
#define HIDDEN 128
#define VOCABULARY 20
#define POSITIONS 12
#define PROJECTION 48

static me_value *numbers(me_arena *arena, uint64_t site, int64_t rows, int64_t columns)
{
    int64_t n = rows * (columns ? columns : 1);
    float *x = ME_NEW_ARRAY(arena, n, float);
    me_rng g = me_rng_make(5, site);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(0.2 * me_rng_normal(&g));
    return me_value_array(arena, ME_F32, columns ? 2 : 1, (int64_t[]){rows, columns}, x);
}

/* Rows [from, from + rows) of a matrix or vector. */
static me_value *part(me_arena *arena, const me_value *whole, int64_t from, int64_t rows)
{
    const me_array *a = &whole->as.array;
    int64_t columns = a->ndim > 1 ? a->shape[1] : 1;
    return me_value_array(arena, ME_F32, a->ndim, (int64_t[]){rows, columns},
                          a->data + from * columns * (int64_t)sizeof(float));
}

static me_value *transposed(me_arena *arena, const me_value *m)
{
    const me_array *a = &m->as.array;
    float *x = ME_NEW_ARRAY(arena, a->shape[0] * a->shape[1], float);
    for (int64_t i = 0; i < a->shape[0]; i++)
        for (int64_t j = 0; j < a->shape[1]; j++)
            x[j * a->shape[0] + i] = ((const float *)(const void *)a->data)[i * a->shape[1] + j];
    return me_value_array(arena, ME_F32, 2, (int64_t[]){a->shape[1], a->shape[0]}, x);
}

static void put(me_arena *arena, me_value *d, const char *name, me_value *v)
{
    cr_assert_eq(me_dict_put(arena, d, name, v, NULL), ME_OK);
}

static void both(me_value **hf, me_value **openai, me_arena *arena)
{
    *hf = me_value_new(arena, ME_DICT);
    *openai = me_value_new(arena, ME_DICT);
    me_value *blocks = me_value_new(arena, ME_DICT), *transformer = me_value_new(arena, ME_DICT);
    me_value *block = me_value_new(arena, ME_DICT), *attn = me_value_new(arena, ME_DICT);
    me_value *embedding = me_value_new(arena, ME_DICT), *last = me_value_new(arena, ME_DICT);
    uint64_t site = 0;
#define SAME(dict, theirs, hf_name, rows, columns)                                                 \
    do {                                                                                           \
        me_value *v = numbers(arena, site++, rows, columns);                                       \
        put(arena, dict, theirs, v);                                                               \
        put(arena, *hf, "text_model." hf_name, v);                                                 \
    } while (0)
    SAME(embedding, "weight", "embeddings.token_embedding.weight", VOCABULARY, WIDTH);
    SAME(*openai, "positional_embedding", "embeddings.position_embedding.weight", POSITIONS, WIDTH);
    SAME(last, "weight", "final_layer_norm.weight", WIDTH, 0);
    SAME(last, "bias", "final_layer_norm.bias", WIDTH, 0);
    me_value *qkv = numbers(arena, site++, 3 * WIDTH, WIDTH),
             *qkv_bias = numbers(arena, site++, 3 * WIDTH, 0);
    put(arena, attn, "in_proj_weight", qkv);
    put(arena, attn, "in_proj_bias", qkv_bias);
    for (int i = 0; i < 3; i++) {
        char name[96];
        snprintf(name, sizeof name, "text_model.encoder.layers.0.self_attn.%c_proj.weight",
                 "qkv"[i]);
        put(arena, *hf, name, part(arena, qkv, i * WIDTH, WIDTH));
        snprintf(name, sizeof name, "text_model.encoder.layers.0.self_attn.%c_proj.bias", "qkv"[i]);
        put(arena, *hf, name, part(arena, qkv_bias, i * WIDTH, WIDTH));
    }
    /* A TorchScript archive nests modules; names with points are as good where they meet. */
    SAME(attn, "out_proj.weight", "encoder.layers.0.self_attn.out_proj.weight", WIDTH, WIDTH);
    SAME(attn, "out_proj.bias", "encoder.layers.0.self_attn.out_proj.bias", WIDTH, 0);
    SAME(block, "ln_1.weight", "encoder.layers.0.layer_norm1.weight", WIDTH, 0);
    SAME(block, "ln_1.bias", "encoder.layers.0.layer_norm1.bias", WIDTH, 0);
    SAME(block, "ln_2.weight", "encoder.layers.0.layer_norm2.weight", WIDTH, 0);
    SAME(block, "ln_2.bias", "encoder.layers.0.layer_norm2.bias", WIDTH, 0);
    SAME(block, "mlp.c_fc.weight", "encoder.layers.0.mlp.fc1.weight", HIDDEN, WIDTH);
    SAME(block, "mlp.c_fc.bias", "encoder.layers.0.mlp.fc1.bias", HIDDEN, 0);
    SAME(block, "mlp.c_proj.weight", "encoder.layers.0.mlp.fc2.weight", WIDTH, HIDDEN);
    SAME(block, "mlp.c_proj.bias", "encoder.layers.0.mlp.fc2.bias", WIDTH, 0);
#undef SAME
    me_value *projection = numbers(arena, site++, PROJECTION, WIDTH);
    put(arena, *hf, "text_projection.weight", projection);
    put(arena, *openai, "text_projection", transposed(arena, projection));
    put(arena, block, "attn", attn);
    put(arena, blocks, "0", block);
    put(arena, transformer, "resblocks", blocks);
    put(arena, *openai, "transformer", transformer);
    put(arena, *openai, "token_embedding", embedding);
    put(arena, *openai, "ln_final", last);
}

Test(clip, openai_s_file_and_hugging_face_s_names_give_the_same_vectors)
{
    me_arena arena = {0};
    me_err err = {0};
    fixture f = fixture_open(1);
    me_value *hf, *openai;
    both(&hf, &openai, &arena);
    char path[] = "/tmp/mebench-clip-XXXXXX";
    cr_assert_geq(mkstemp(path), 0);
    cr_assert_eq(me_torch_write(path, openai, &err), ME_OK, "%s", err.msg);

    const nn_clip_config config = {.vocabulary = VOCABULARY,
                                   .positions = POSITIONS,
                                   .width = WIDTH,
                                   .layers = 1,
                                   .heads = 1,
                                   .hidden = HIDDEN,
                                   .projection = PROJECTION,
                                   .act = NN_ACT_QUICK_GELU,
                                   .eps = 1e-5F};
    nn_clip a, b;
    cr_assert_eq(nn_clip_open_state(&a, &config, hf, f.be, NN_FP32, "state", &err), ME_OK, "%s",
                 err.msg);
    cr_assert_eq(nn_clip_open(&b, path, f.be, NN_FP32, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(b.config.layers, 1);
    cr_assert_eq(b.config.heads, 1);

    static const int32_t ids[] = {0, 3, 7, 19, 0, 19}, lengths[] = {4, 2};
    float x[2 * PROJECTION], y[2 * PROJECTION], states[6 * WIDTH];
    cr_assert_eq(nn_clip_encode(&a, ids, lengths, 2, states, x, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(nn_clip_encode(&b, ids, lengths, 2, NULL, y, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(memcmp(x, y, sizeof x), 0);
    cr_assert_neq(memcmp(x, x + PROJECTION, PROJECTION * sizeof *x), 0);

    /* Causal: the second text is a prefix in its first token alone, which sees nothing after
     * itself. */
    cr_assert_eq(memcmp(states, states + 4 * WIDTH, WIDTH * sizeof *states), 0);
    static const int32_t outside[] = {0, VOCABULARY};
    cr_assert_eq(nn_clip_encode(&a, outside, &lengths[1], 1, NULL, x, &err), ME_EDATA);
    nn_clip_close(&a);
    nn_clip_close(&b);
    fixture_close(&f);
    unlink(path);
    me_arena_release(&arena);
}
