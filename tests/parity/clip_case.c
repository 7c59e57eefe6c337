/* tests/parity/clip_case.c: CLIP's text tower: folders with the outputs of Hugging Face's model,
 * and the full-size tower filled by an integer hash, whose outputs are known (spec omnime 11.5). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "nn/backend.h"
#include "nn/text_clip.h"
#include "tests/parity/arrays.h"
#include "tests/parity/parity.h"

/* ---- folders ----------------------------------------------------------------------------------
 */

typedef struct texts {
    int64_t n, context;
    int32_t *ids;     /* (n, context) */
    int32_t *packed;  /* up to the end tokens, laid end to end */
    int32_t *lengths; /* (n) */
    int64_t rows;     /* of them all */
    float *embeds;    /* (n, projection) */
    float *states;    /* (n, context, width) */
    int64_t embeds_n, states_n;
} texts;

static me_code read_texts(texts *t, const me_value *io, me_arena *arena, me_err *err)
{
    const me_value *ids = me_dict_get(io, "input_ids");
    int64_t count = 0;
    me_code code = parity_ints(&t->ids, &count, io, "input_ids", arena, err);
    if (code) return code;
    if (ids->as.array.ndim != 2 || count < 1)
        return me_fail(err, ME_EFORMAT, "input_ids is no matrix");
    t->n = ids->as.array.shape[0];
    t->context = ids->as.array.shape[1];
    t->packed = ME_NEW_ARRAY(arena, count, int32_t);
    t->lengths = ME_NEW_ARRAY(arena, t->n, int32_t);
    if (!t->packed || !t->lengths) return me_fail_mem(err, "tokens");
    for (int64_t i = 0; i < t->n; i++) { /* the end token is the first of the largest numbers */
        const int32_t *row = t->ids + i * t->context;
        int32_t end = 0;
        for (int32_t k = 1; k < t->context; k++)
            if (row[k] > row[end]) end = k;
        t->lengths[i] = end + 1;
        memcpy(t->packed + t->rows, row, (size_t)t->lengths[i] * sizeof *row);
        t->rows += t->lengths[i];
    }
    code = parity_floats(&t->embeds, &t->embeds_n, io, "text_embeds", arena, err);
    if (!code) code = parity_floats(&t->states, &t->states_n, io, "last_hidden_state", arena, err);
    return code;
}

static me_code check_weights(parity *p, const texts *t, const char *path, const char *what,
                             nn_backend *be, me_arena *arena, me_err *err)
{
    nn_clip clip;
    me_code code = nn_clip_open(&clip, path, be, NN_FP32, err);
    if (code) return code;
    const int64_t width = clip.config.width, projection = clip.config.projection;
    if (t->embeds_n != t->n * projection || t->states_n != t->n * t->context * width) {
        parity_true(p, false, "%s: sizes of outputs and of the model differ", what);
    } else {
        float *states = ME_NEW_ARRAY(arena, t->rows * width, float);
        float *embeds = ME_NEW_ARRAY(arena, t->embeds_n, float);
        code = states && embeds ? ME_OK : me_fail_mem(err, "outputs");
        if (!code) code = nn_clip_encode(&clip, t->packed, t->lengths, t->n, states, embeds, err);
        for (int64_t i = 0, row = 0; i < t->n && !code; row += t->lengths[i++]) {
            parity_error(
                p, me_arena_printf(arena, "%s text_embeds %lld", what, (long long)i),
                parity_largest(embeds + i * projection, t->embeds + i * projection, projection),
                p->exact_device ? 1e-5 : 1e-4);
            parity_error(p, me_arena_printf(arena, "%s last_hidden_state %lld", what, (long long)i),
                         parity_largest(states + row * width, t->states + i * t->context * width,
                                        t->lengths[i] * width),
                         p->exact_device ? 1e-5 : 1e-4);
        }
    }
    nn_clip_close(&clip);
    return code;
}

/* The folder as it is, and once more through a folder that has only the other container. */
static me_code check_containers(parity *p, const texts *t, const char *folder, nn_backend *be,
                                me_arena *arena, me_err *err)
{
    static const char *const containers[] = {"model.safetensors", "pytorch_model.bin"};
    int ran = 0;
    me_code code = ME_OK;
    for (int i = 0; i < 2 && !code; i++) {
        const char *weights = me_path_join(arena, folder, containers[i]);
        if (!me_file_exists(weights)) continue;
        code = check_weights(p, t, weights, containers[i], be, arena, err);
        ran++;
    }
    if (!code) parity_true(p, ran > 0, "no model.safetensors or pytorch_model.bin");
    return code;
}

me_code parity_clip(parity *p, const char *folder, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    texts t = {0};
    me_doc io;
    nn_backend *be = NULL;
    me_code code = me_doc_open(&io, me_path_join(&arena, folder, "io.npz"), err);
    if (!code) {
        code = read_texts(&t, io.root, &arena, err);
        if (!code) code = nn_backend_open(&be, p->device, 0, err);
        if (!code) code = check_containers(p, &t, folder, be, &arena, err);
        if (be) nn_backend_close(be);
        me_doc_close(&io);
    }
    me_arena_release(&arena);
    return code;
}

/* ---- the filled tower -------------------------------------------------------------------------
 */

/* A dictionary of filled tensors in Hugging Face's names. */
typedef struct filler {
    me_value *state;
    me_arena *arena;
    me_err *err;
} filler;

static void put(const filler *f, const char *name, uint32_t n, int64_t rows, int64_t columns,
                double scale, double shift)
{
    const int64_t shape[] = {rows, columns}, count = rows * (columns ? columns : 1);
    float *x = parity_filled(n, count, scale, shift, f->arena);
    if (!x) {
        me_fail_mem(f->err, name);
        return;
    }
    me_dict_put(f->arena, f->state, me_arena_strdup(f->arena, name),
                me_value_array(f->arena, ME_F32, columns ? 2 : 1, shape, x), f->err);
}

static void put_layer(const filler *f, int layer, int64_t d, int64_t hidden)
{
    static const char *const attention[] = {"q_proj", "k_proj", "v_proj", "out_proj"};
    const double root = 1 / sqrt((double)d);
    const uint32_t base = 5100 + 16 * (uint32_t)layer;
    me_arena *a = f->arena;
    const char *prefix = me_arena_printf(a, "text_model.encoder.layers.%d.", layer);
    for (uint32_t i = 0; i < 4; i++) {
        const char *name = me_arena_printf(a, "%sself_attn.%s", prefix, attention[i]);
        put(f, me_arena_printf(a, "%s.weight", name), base + 2 * i, d, d, root, 0);
        put(f, me_arena_printf(a, "%s.bias", name), base + 2 * i + 1, d, 0, 0.05, 0);
    }
    put(f, me_arena_printf(a, "%slayer_norm1.weight", prefix), base + 8, d, 0, 0.1, 1);
    put(f, me_arena_printf(a, "%slayer_norm1.bias", prefix), base + 9, d, 0, 0.05, 0);
    put(f, me_arena_printf(a, "%smlp.fc1.weight", prefix), base + 10, hidden, d, root, 0);
    put(f, me_arena_printf(a, "%smlp.fc1.bias", prefix), base + 11, hidden, 0, 0.05, 0);
    put(f, me_arena_printf(a, "%smlp.fc2.weight", prefix), base + 12, d, hidden,
        1 / sqrt((double)hidden), 0);
    put(f, me_arena_printf(a, "%smlp.fc2.bias", prefix), base + 13, d, 0, 0.05, 0);
    put(f, me_arena_printf(a, "%slayer_norm2.weight", prefix), base + 14, d, 0, 0.1, 1);
    put(f, me_arena_printf(a, "%slayer_norm2.bias", prefix), base + 15, d, 0, 0.05, 0);
}

me_code parity_clip_filled(parity *p, const char *folder, me_err *err)
{
    (void)folder;
    static const int32_t ids[] = {49406, 320, 1125, 539, 320, 2368, 49407, 49406, 49407};
    static const int32_t lengths[] = {7, 2};
    static const float first[2][4] = {{-0.466999F, 0.884326F, 0.553145F, -0.126446F},
                                      {-0.281532F, 0.747546F, 0.810655F, -0.196838F}};
    static const double norms[2] = {16.547066, 16.216591};
    const nn_clip_config c = {.vocabulary = 49408,
                              .positions = 77,
                              .width = 768,
                              .layers = 12,
                              .heads = 12,
                              .hidden = 3072,
                              .projection = 768,
                              .act = NN_ACT_QUICK_GELU,
                              .eps = 1e-5F};
    me_arena arena;
    me_arena_init(&arena);
    me_err mine = {0};
    filler f = {me_value_new(&arena, ME_DICT), &arena, &mine};
    put(&f, "text_model.embeddings.token_embedding.weight", 5000, c.vocabulary, c.width, 0.05, 0);
    put(&f, "text_model.embeddings.position_embedding.weight", 5001, c.positions, c.width, 0.02, 0);
    put(&f, "text_model.final_layer_norm.weight", 5002, c.width, 0, 0.1, 1);
    put(&f, "text_model.final_layer_norm.bias", 5003, c.width, 0, 0.05, 0);
    put(&f, "text_projection.weight", 5004, c.projection, c.width, 1 / sqrt(768.0), 0);
    for (int l = 0; l < c.layers; l++) put_layer(&f, l, c.width, c.hidden);
    nn_backend *be = NULL;
    nn_clip clip;
    float out[2 * 768];
    me_code code = mine.code ? me_fail(err, mine.code, "%s", mine.msg) : ME_OK;
    if (!code) code = nn_backend_open(&be, p->device, 0, err);
    if (!code) code = nn_clip_open_state(&clip, &c, f.state, be, NN_FP32, "filled", err);
    if (!code) {
        code = nn_clip_encode(&clip, ids, lengths, 2, NULL, out, err);
        nn_clip_close(&clip);
    }
    for (int i = 0; i < 2 && !code; i++) {
        double norm = 0;
        for (int k = 0; k < 768; k++) norm += (double)out[768 * i + k] * (double)out[768 * i + k];
        parity_error(p, i ? "empty text" : "text", parity_largest(out + 768 * i, first[i], 4),
                     1e-5);
        parity_error(p, i ? "norm of the empty text" : "norm of the text",
                     fabs(sqrt(norm) - norms[i]) / norms[i], 1e-6);
    }
    if (be) nn_backend_close(be);
    me_arena_release(&arena);
    return code;
}
