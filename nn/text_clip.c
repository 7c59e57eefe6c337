/* nn/text_clip.c: see text_clip.h. */
#include "nn/text_clip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "core/json.h"
#include "nn/text_bpe.h"
#include "nn/text_priv.h"

/* ---- weights
 * ---------------------------------------------------------------------------------------- */

/* Where a state dictionary keeps one parameter of ours. The three products of attention are one
 * here. */
typedef struct source_name {
    const char *ours;
    const char *hf[3]; /* stacked by rows when there are three */
    const char *openai;
} source_name;

// clang-format off
static const source_name whole_names[] = {
    {"token_embedding", {"embeddings.token_embedding.weight"}, "token_embedding.weight"},
    {"position_embedding", {"embeddings.position_embedding.weight"}, "positional_embedding"},
    {"ln_final.weight", {"final_layer_norm.weight"}, "ln_final.weight"},
    {"ln_final.bias", {"final_layer_norm.bias"}, "ln_final.bias"},
};
static const source_name layer_names[] = {
    {"qkv.weight", {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"}, "attn.in_proj_weight"},
    {"qkv.bias", {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"}, "attn.in_proj_bias"},
    {"out.weight", {"self_attn.out_proj.weight"}, "attn.out_proj.weight"},
    {"out.bias", {"self_attn.out_proj.bias"}, "attn.out_proj.bias"},
    {"ln1.weight", {"layer_norm1.weight"}, "ln_1.weight"},
    {"ln1.bias", {"layer_norm1.bias"}, "ln_1.bias"},
    {"ln2.weight", {"layer_norm2.weight"}, "ln_2.weight"},
    {"ln2.bias", {"layer_norm2.bias"}, "ln_2.bias"},
    {"fc1.weight", {"mlp.fc1.weight"}, "mlp.c_fc.weight"},
    {"fc1.bias", {"mlp.fc1.bias"}, "mlp.c_fc.bias"},
    {"fc2.weight", {"mlp.fc2.weight"}, "mlp.c_proj.weight"},
    {"fc2.bias", {"mlp.fc2.bias"}, "mlp.c_proj.bias"},
};
// clang-format on
#define COUNT(a) (sizeof(a) / sizeof *(a))

typedef struct state {
    const me_value *dict;
    const char *name; /* of the file, for messages */
    bool openai;
    char prefix[128]; /* of Hugging Face's names */
} state;

static const me_array *find(const state *s, const char *name)
{
    const me_value *v = me_dict_get(s->dict, name);
    return v && v->kind == ME_ARRAY ? &v->as.array : NULL;
}

/* The longest shared prefix of the names: "", "text_model.", "text_encoder.text_model.text_model."
 * … */
static me_code find_prefix(state *s, me_err *err)
{
    static const char wanted[] = "embeddings.token_embedding.weight";
    for (size_t i = 0; i < s->dict->as.dict.length; i++) {
        const me_value *key = s->dict->as.dict.keys[i];
        if (key->kind != ME_STRING) continue;
        size_t n = key->as.string.length, m = sizeof wanted - 1;
        if (n >= m && n - m < sizeof s->prefix && !strcmp(key->as.string.data + n - m, wanted)) {
            memcpy(s->prefix, key->as.string.data, n - m);
            s->prefix[n - m] = 0;
            return ME_OK;
        }
    }
    if (find(s, "positional_embedding") && find(s, "ln_final.weight")) {
        s->openai = true;
        return ME_OK;
    }
    return me_fail(
        err, ME_EFORMAT,
        "%s: no CLIP text tower: expected embeddings.token_embedding.weight (Hugging Face) or "
        "positional_embedding (OpenAI) among %zu entries",
        s->name, s->dict->as.dict.length);
}

/* Copies `count` numbers of one of ours from its one or three places. */
static me_code fetch(float *out, int64_t count, const state *s, const source_name *n, int64_t layer,
                     me_err *err)
{
    int64_t filled = 0;
    for (int part = 0; part < 3; part++) {
        const char *leaf = s->openai ? (part ? NULL : n->openai) : n->hf[part];
        if (!leaf) break;
        char name[256];
        if (layer < 0)
            snprintf(name, sizeof name, "%s%s", s->openai ? "" : s->prefix, leaf);
        else if (s->openai)
            snprintf(name, sizeof name, "transformer.resblocks.%lld.%s", (long long)layer, leaf);
        else
            snprintf(name, sizeof name, "%sencoder.layers.%lld.%s", s->prefix, (long long)layer,
                     leaf);
        const me_array *a = find(s, name);
        int64_t m = a ? me_array_count(a) : 0;
        if (!a) return me_fail(err, ME_EFORMAT, "%s: %s is missing", s->name, name);
        if (m > count - filled)
            return me_fail(
                err, ME_EFORMAT,
                "%s: %s holds %lld numbers, expected %lld; does config.json belong to it?", s->name,
                name, (long long)m, (long long)(count - filled));
        me_code code = me_array_read_f32(a, out + filled, err);
        if (code != ME_OK) return me_err_prefix(err, "%s: %s", s->name, name);
        filled += m;
    }
    if (filled != count)
        return me_fail(err, ME_EFORMAT,
                       "%s: %s holds %lld numbers, expected %lld; does config.json belong to it?",
                       s->name, n->ours, (long long)filled, (long long)count);
    return ME_OK;
}

/* Hugging Face stores (projection, width), OpenAI (width, projection). */
static me_code fetch_projection(float *out, const nn_clip_config *c, const state *s, float *scratch,
                                me_err *err)
{
    const me_array *a = NULL;
    if (s->openai) {
        a = find(s, "text_projection");
    } else {
        /* It stands beside the tower: PREFIX without its last "text_model.", then
         * text_projection.weight. */
        char name[256];
        size_t keep = strlen(s->prefix), tail = strlen("text_model.");
        if (keep >= tail && !strcmp(s->prefix + keep - tail, "text_model.")) keep -= tail;
        snprintf(name, sizeof name, "%.*stext_projection.weight", (int)keep, s->prefix);
        a = find(s, name);
    }
    if (!a || me_array_count(a) != c->projection * c->width)
        return me_fail(err, ME_EFORMAT, "%s: expected a text projection of %lld x %lld, found %s",
                       s->name, (long long)c->projection, (long long)c->width,
                       a ? "another size" : "none");
    me_code code = me_array_read_f32(a, s->openai ? scratch : out, err);
    if (code == ME_OK && s->openai)
        for (int64_t i = 0; i < c->projection; i++)
            for (int64_t j = 0; j < c->width; j++)
                out[i * c->width + j] = scratch[j * c->projection + i];
    return code;
}

static me_code declare(nn_clip *clip, me_err *err)
{
    const nn_clip_config *c = &clip->config;
    nn_params_init(&clip->params);
    const struct {
        const char *name;
        int64_t rows, columns; /* columns 0: a vector */
    } whole[] = {{"token_embedding", c->vocabulary, c->width},
                 {"position_embedding", c->positions, c->width},
                 {"ln_final.weight", c->width, 0},
                 {"ln_final.bias", c->width, 0},
                 {"projection", c->projection, c->width}},
      layer[] = {{"qkv.weight", 3 * c->width, c->width},
                 {"qkv.bias", 3 * c->width, 0},
                 {"out.weight", c->width, c->width},
                 {"out.bias", c->width, 0},
                 {"ln1.weight", c->width, 0},
                 {"ln1.bias", c->width, 0},
                 {"ln2.weight", c->width, 0},
                 {"ln2.bias", c->width, 0},
                 {"fc1.weight", c->hidden, c->width},
                 {"fc1.bias", c->hidden, 0},
                 {"fc2.weight", c->width, c->hidden},
                 {"fc2.bias", c->width, 0}};
    me_code code = ME_OK;
    for (size_t i = 0; i < COUNT(whole) && code == ME_OK; i++)
        code = nn_params_add(&clip->params, whole[i].name, whole[i].columns ? 2 : 1,
                             (int64_t[]){whole[i].rows, whole[i].columns}, err);
    for (int64_t l = 0; l < c->layers; l++)
        for (size_t i = 0; i < COUNT(layer) && code == ME_OK; i++) {
            char name[64];
            snprintf(name, sizeof name, "layers.%lld.%s", (long long)l, layer[i].name);
            code = nn_params_add(&clip->params, name, layer[i].columns ? 2 : 1,
                                 (int64_t[]){layer[i].rows, layer[i].columns}, err);
        }
    return code;
}

static me_code fill(nn_clip *clip, const state *s, me_err *err)
{
    const nn_clip_config *c = &clip->config;
    int64_t largest = c->vocabulary * c->width;
    if (3 * c->width * c->width > largest) largest = 3 * c->width * c->width;
    if (c->hidden * c->width > largest) largest = c->hidden * c->width;
    if (c->projection * c->width > largest) largest = c->projection * c->width;
    if (c->positions * c->width > largest) largest = c->positions * c->width;
    float *host = malloc((size_t)largest * sizeof *host);
    float *scratch = malloc((size_t)(c->projection * c->width) * sizeof *scratch);
    me_code code = host && scratch ? ME_OK : me_fail_mem(err, "CLIP's weights");
    for (size_t i = 0; i < COUNT(whole_names) && code == ME_OK; i++) {
        nn_param *p = nn_params_find(&clip->params, whole_names[i].ours);
        code = fetch(host, nn_count(&p->tensor), s, &whole_names[i], -1, err);
        if (code == ME_OK)
            code = nn_params_set(&clip->params, p->name, host, nn_count(&p->tensor), err);
    }
    for (int64_t l = 0; l < c->layers; l++)
        for (size_t i = 0; i < COUNT(layer_names) && code == ME_OK; i++) {
            char name[64];
            snprintf(name, sizeof name, "layers.%lld.%s", (long long)l, layer_names[i].ours);
            nn_param *p = nn_params_find(&clip->params, name);
            code = fetch(host, nn_count(&p->tensor), s, &layer_names[i], l, err);
            if (code == ME_OK)
                code = nn_params_set(&clip->params, name, host, nn_count(&p->tensor), err);
        }
    if (code == ME_OK) code = fetch_projection(host, c, s, scratch, err);
    if (code == ME_OK)
        code = nn_params_set(&clip->params, "projection", host, c->projection * c->width, err);
    free(host);
    free(scratch);
    return code;
}

static me_code check_config(const nn_clip_config *c, const char *name, me_err *err)
{
    if (c->vocabulary < 2 || c->vocabulary > 1 << 20 || c->positions < 2 || c->positions > 4096 ||
        c->width < 1 || c->width > 8192 || c->layers < 1 || c->layers > 128 || c->heads < 1 ||
        c->width % c->heads || c->hidden < 1 || c->hidden > 1 << 16 || c->projection < 1 ||
        c->projection > 8192)
        return me_fail(err, ME_EFORMAT,
                       "%s: sizes are off: vocabulary %lld, positions %lld, width %lld, layers "
                       "%lld, heads %lld, "
                       "hidden %lld, projection %lld",
                       name, (long long)c->vocabulary, (long long)c->positions, (long long)c->width,
                       (long long)c->layers, (long long)c->heads, (long long)c->hidden,
                       (long long)c->projection);
    return ME_OK;
}

static me_code open_from(nn_clip *out, const state *s, nn_backend *be, nn_precision precision,
                         me_err *err)
{
    me_code code = check_config(&out->config, s->name, err);
    if (code != ME_OK) return code;
    out->precision = precision == NN_BF16_MIXED ? NN_TF32 : precision;
    code = declare(out, err);
    if (code == ME_OK) code = nn_params_alloc(&out->params, be, err);
    if (code == ME_OK) code = fill(out, s, err);
    if (code != ME_OK) nn_params_close(&out->params);
    return code;
}

me_code nn_clip_open_state(nn_clip *out, const nn_clip_config *config, const me_value *dict,
                           nn_backend *be, nn_precision precision, const char *name, me_err *err)
{
    memset(out, 0, sizeof *out);
    out->config = *config;
    state s = {.dict = dict, .name = name};
    me_code code = find_prefix(&s, err);
    return code == ME_OK ? open_from(out, &s, be, precision, err) : code;
}

/* ---- configuration
 * ------------------------------------------------------------------------------------ */

static int64_t integer(const me_value *a, const me_value *b, const char *key, int64_t fallback)
{
    const me_value *v = me_dict_get(a, key);
    if (!v && b) v = me_dict_get(b, key);
    return v && v->kind == ME_INT ? v->as.integer : fallback;
}

/* config.json of a text model, or of a whole CLIP whose `text_config` it is. What it leaves out has
 * Hugging Face's defaults. */
static me_code read_config(nn_clip_config *c, const char *path, me_err *err)
{
    me_arena arena = {0};
    me_value *root;
    me_code code = me_json_read(&root, &arena, path, err);
    if (code == ME_OK) {
        const me_value *text = me_dict_get(root, "text_config");
        if (!text) text = root;
        c->vocabulary = integer(text, NULL, "vocab_size", 49408);
        c->positions = integer(text, NULL, "max_position_embeddings", 77);
        c->width = integer(text, NULL, "hidden_size", 512);
        c->layers = integer(text, NULL, "num_hidden_layers", 12);
        c->heads = integer(text, NULL, "num_attention_heads", 8);
        c->hidden = integer(text, NULL, "intermediate_size", 2048);
        c->projection = integer(text == root ? text : root, text, "projection_dim", 512);
        c->eps = 1e-5F;
        const me_value *act = me_dict_get(text, "hidden_act");
        c->act = !act || me_string_equals(act, "quick_gelu") ? NN_ACT_QUICK_GELU : NN_ACT_GELU_ERF;
        if (act && !me_string_equals(act, "quick_gelu") && !me_string_equals(act, "gelu"))
            code = me_fail(err, ME_EFORMAT,
                           "%s: hidden_act: expected quick_gelu or gelu, found %.40s", path,
                           act->kind == ME_STRING ? act->as.string.data : me_kind_name(act->kind));
    }
    me_arena_release(&arena);
    return code;
}

/* OpenAI's file has no configuration: sizes follow from shapes, heads are 64 wide. */
static me_code infer_config(nn_clip_config *c, const state *s, me_err *err)
{
    const me_array *tokens = find(s, "token_embedding.weight"),
                   *positions = find(s, "positional_embedding");
    const me_array *projection = find(s, "text_projection"),
                   *fc = find(s, "transformer.resblocks.0.mlp.c_fc.weight");
    if (!tokens || tokens->ndim != 2 || !positions || positions->ndim != 2 || !projection ||
        projection->ndim != 2 || !fc || fc->ndim != 2)
        return me_fail(err, ME_EFORMAT, "%s: expected the matrices of OpenAI's CLIP text tower",
                       s->name);
    *c = (nn_clip_config){.vocabulary = tokens->shape[0],
                          .positions = positions->shape[0],
                          .width = positions->shape[1],
                          .heads = positions->shape[1] / 64,
                          .hidden = fc->shape[0],
                          .projection = projection->shape[1],
                          .act = NN_ACT_QUICK_GELU,
                          .eps = 1e-5F};
    for (char name[64];; c->layers++) {
        snprintf(name, sizeof name, "transformer.resblocks.%lld.ln_1.weight", (long long)c->layers);
        if (!find(s, name)) return ME_OK;
    }
}

/* The weights of a folder, and where the configuration lies: in it, or beside a file of weights. */
static me_code locate(const char **weights, const char **config, const char *path, me_arena *arena,
                      me_err *err)
{
    *weights = path;
    if (me_is_directory(path)) {
        *config = me_path_join(arena, path, "config.json");
        *weights = me_path_join(arena, path, "model.safetensors");
        if (*weights && !me_file_exists(*weights))
            *weights = me_path_join(arena, path, "pytorch_model.bin");
        if (*weights && !me_file_exists(*weights))
            return me_fail(
                err, ME_EIO,
                "%s: expected model.safetensors or pytorch_model.bin of a CLIP model in it", path);
    } else {
        *config = me_arena_printf(arena, "%.*sconfig.json", (int)(me_path_base(path) - path), path);
    }
    return *weights && *config ? ME_OK : me_fail_mem(err, path);
}

/* OpenAI's file is a TorchScript archive: modules inside modules. `out` gets "a.b.c" -> array. */
static me_code flatten(me_value *out, me_arena *arena, const char *prefix, const me_value *dict,
                       me_err *err)
{
    for (size_t i = 0; i < dict->as.dict.length; i++) {
        const me_value *key = dict->as.dict.keys[i];
        me_value *value = dict->as.dict.values[i];
        if (key->kind != ME_STRING || (value->kind != ME_DICT && value->kind != ME_ARRAY)) continue;
        const char *name =
            me_arena_printf(arena, "%s%s%s", prefix, *prefix ? "." : "", key->as.string.data);
        if (!name) return me_fail_mem(err, "a state dictionary");
        me_code code = value->kind == ME_DICT ? flatten(out, arena, name, value, err)
                                              : me_dict_put(arena, out, name, value, err);
        if (code != ME_OK) return code;
    }
    return ME_OK;
}

me_code nn_clip_open(nn_clip *out, const char *path, nn_backend *be, nn_precision precision,
                     me_err *err)
{
    memset(out, 0, sizeof *out);
    me_arena arena = {0};
    me_doc doc = {0};
    const char *weights, *config;
    me_code code = locate(&weights, &config, path, &arena, err);
    if (code == ME_OK) code = me_doc_open(&doc, weights, err);
    if (code == ME_OK) {
        state s = {.dict = doc.root, .name = weights};
        const me_value *inner = me_dict_get(doc.root, "state_dict");
        if (inner && inner->kind == ME_DICT) s.dict = inner;
        if (s.dict->kind != ME_DICT)
            code = me_fail(err, ME_EFORMAT, "%s: expected a state dictionary, found %s", weights,
                           me_kind_name(s.dict->kind));
        if (code == ME_OK && me_dict_get(s.dict, "transformer")) {
            me_value *flat = me_value_new(&arena, ME_DICT);
            code = flat ? flatten(flat, &arena, "", s.dict, err)
                        : me_fail_mem(err, "a state dictionary");
            s.dict = flat;
        }
        if (code == ME_OK) code = find_prefix(&s, err);
        if (code == ME_OK)
            code = s.openai ? infer_config(&out->config, &s, err)
                            : read_config(&out->config, config, err);
        if (code == ME_OK) code = open_from(out, &s, be, precision, err);
        if (code == ME_OK) memcpy(out->sha256, me_doc_hash(&doc), sizeof out->sha256);
        me_doc_close(&doc);
    }
    me_arena_release(&arena);
    return code;
}

void nn_clip_close(nn_clip *clip)
{
    nn_params_close(&clip->params);
}

/* ---- the tower
 * ---------------------------------------------------------------------------------------- */

static nn_tensor *get(nn_ctx *ctx, nn_clip *clip, int64_t layer, const char *leaf)
{
    char name[64];
    if (layer < 0)
        snprintf(name, sizeof name, "%s", leaf);
    else
        snprintf(name, sizeof name, "layers.%lld.%s", (long long)layer, leaf);
    return nn_param_f32(ctx, &clip->params, name);
}

static nn_tensor *layer_forward(nn_ctx *ctx, nn_clip *clip, int64_t l, nn_tensor *x,
                                const nn_packing *seq)
{
    const nn_clip_config *c = &clip->config;
    nn_tensor *h = nn_layernorm(ctx, x, NULL, get(ctx, clip, l, "ln1.weight"),
                                get(ctx, clip, l, "ln1.bias"), c->eps);
    h = nn_linear(ctx, h, get(ctx, clip, l, "qkv.weight"), get(ctx, clip, l, "qkv.bias"),
                  NN_ACT_NONE);
    h = nn_self_attention(ctx, h, (int)c->heads, seq, NULL, true, 0);
    h = nn_linear(ctx, h, get(ctx, clip, l, "out.weight"), get(ctx, clip, l, "out.bias"),
                  NN_ACT_NONE);
    x = nn_add(ctx, x, h, 1, 1);
    h = nn_layernorm(ctx, x, NULL, get(ctx, clip, l, "ln2.weight"), get(ctx, clip, l, "ln2.bias"),
                     c->eps);
    h = nn_linear(ctx, h, get(ctx, clip, l, "fc1.weight"), get(ctx, clip, l, "fc1.bias"), c->act);
    h = nn_linear(ctx, h, get(ctx, clip, l, "fc2.weight"), get(ctx, clip, l, "fc2.bias"),
                  NN_ACT_NONE);
    return nn_add(ctx, x, h, 1, 1);
}

/* One chunk of texts, `tokens` rows in all. */
static me_code encode_chunk(nn_clip *clip, nn_ctx *ctx, const int32_t *ids, const int32_t *lengths,
                            int64_t n, int64_t tokens, float *states, float *projected, me_err *err)
{
    const nn_clip_config *c = &clip->config;
    int32_t *positions = malloc((size_t)(tokens + n) * sizeof *positions),
            *last = positions ? positions + tokens : NULL;
    if (!positions) return me_fail_mem(err, "CLIP's positions");
    for (int64_t i = 0, row = 0; i < n; i++) {
        for (int32_t k = 0; k < lengths[i]; k++) positions[row++] = k;
        last[i] = (int32_t)(row - 1);
    }
    nn_packing *seq = nn_packing_new(ctx, lengths, n);
    nn_tensor *x = nn_gather(ctx, get(ctx, clip, -1, "token_embedding"),
                             nn_index_new(ctx, ids, tokens, c->vocabulary));
    x = nn_add_rows(ctx, x, get(ctx, clip, -1, "position_embedding"),
                    nn_index_new(ctx, positions, tokens, c->positions));
    for (int64_t l = 0; l < c->layers; l++) x = layer_forward(ctx, clip, l, x, seq);
    x = nn_layernorm(ctx, x, NULL, get(ctx, clip, -1, "ln_final.weight"),
                     get(ctx, clip, -1, "ln_final.bias"), c->eps);
    nn_tensor *ends = nn_gather(ctx, x, nn_index_new(ctx, last, n, tokens));
    ends = nn_linear(ctx, ends, get(ctx, clip, -1, "projection"), NULL, NN_ACT_NONE);
    me_code code = nn_status(ctx, err);
    if (code == ME_OK && states) code = nn_to_host(ctx, x, states, err);
    if (code == ME_OK && projected) code = nn_to_host(ctx, ends, projected, err);
    nn_reset(ctx);
    free(positions);
    return code;
}

#define CHUNK_TOKENS 4096

me_code nn_clip_encode(nn_clip *clip, const int32_t *ids, const int32_t *lengths, int64_t n,
                       float *states, float *projected, me_err *err)
{
    for (int64_t i = 0, row = 0; i < n; i++) {
        if (lengths[i] < 1 || lengths[i] > clip->config.positions)
            return me_fail(err, ME_EDATA, "CLIP reads 1 to %lld tokens, found a text of %d",
                           (long long)clip->config.positions, lengths[i]);
        for (int32_t k = 0; k < lengths[i]; k++, row++)
            if (ids[row] < 0 || ids[row] >= clip->config.vocabulary)
                return me_fail(err, ME_EDATA, "token %d is outside CLIP's vocabulary of %lld",
                               ids[row], (long long)clip->config.vocabulary);
    }
    nn_ctx ctx;
    me_code code = nn_ctx_open(&ctx, clip->params.be, clip->precision, err);
    if (code != ME_OK) return code;
    int64_t row = 0;
    for (int64_t from = 0; from < n && code == ME_OK;) {
        int64_t to = from, tokens = 0;
        while (to < n && (to == from || tokens + lengths[to] <= CHUNK_TOKENS))
            tokens += lengths[to++];
        code = encode_chunk(clip, &ctx, ids + row, lengths + from, to - from, tokens,
                            states ? states + row * clip->config.width : NULL,
                            projected ? projected + from * clip->config.projection : NULL, err);
        row += tokens;
        from = to;
    }
    nn_ctx_close(&ctx);
    return code;
}

/* ---- as a text encoder
 * ---------------------------------------------------------------------------------- */

typedef struct clip_encoder {
    nn_clip clip;
    nn_bpe *bpe;
} clip_encoder;

static void clip_close(void *self)
{
    clip_encoder *e = self;
    nn_clip_close(&e->clip);
    nn_bpe_close(e->bpe);
    free(e);
}

/* Tokens up to and with the first end token. */
static int32_t tokenize(const clip_encoder *e, const char *text, int32_t ids[NN_BPE_CONTEXT],
                        me_err *err)
{
    if (nn_bpe_encode_context(e->bpe, text, ids, err) != ME_OK) return -1;
    int32_t n = 0;
    while (n < NN_BPE_CONTEXT - 1 && ids[n] != nn_bpe_end(e->bpe)) n++;
    return n + 1;
}

static me_code clip_encode(void *self, me_arena *arena, const char *const *texts, int64_t n,
                           nn_text_vectors *out, me_err *err)
{
    clip_encoder *e = self;
    int64_t width = e->clip.config.width, projection = e->clip.config.projection, rows = 0;
    int32_t *ids = malloc((size_t)n * NN_BPE_CONTEXT * sizeof *ids),
            *lengths = malloc((size_t)n * sizeof *lengths);
    me_code code = ids && lengths ? ME_OK : me_fail_mem(err, "CLIP's tokens");
    for (int64_t i = 0; i < n && code == ME_OK; i++) {
        int32_t context[NN_BPE_CONTEXT];
        lengths[i] = tokenize(e, texts[i], context, err);
        if (lengths[i] < 0) {
            code = err ? err->code : ME_EDATA;
            break;
        }
        memcpy(ids + rows, context, (size_t)lengths[i] * sizeof *ids);
        rows += lengths[i];
    }
    float *states = code == ME_OK ? ME_NEW_ARRAY(arena, rows * width, float) : NULL;
    float *projected = code == ME_OK ? ME_NEW_ARRAY(arena, n * projection, float) : NULL;
    if (code == ME_OK && (!states || !projected)) code = me_fail_mem(err, "CLIP's states");
    if (code == ME_OK) code = nn_clip_encode(&e->clip, ids, lengths, n, states, projected, err);
    for (int64_t i = 0, row = 0; i < n && code == ME_OK; row += lengths[i++])
        out[i] = (nn_text_vectors){lengths[i], states + row * width, projected + i * projection};
    free(ids);
    free(lengths);
    return code;
}

me_code nn_text_clip_open(nn_text_kind *out, const char *path, nn_backend *be, me_err *err)
{
    clip_encoder *e = calloc(1, sizeof *e);
    if (!e) return me_fail_mem(err, "the text encoder");
    me_arena arena = {0};
    const char *folder = path;
    if (!me_is_directory(path)) { /* OpenAI's file: the vocabulary lies beside it */
        const char *base = me_path_base(path);
        folder = base == path ? "." : me_arena_strndup(&arena, path, (size_t)(base - path));
    }
    me_code code =
        folder ? nn_bpe_open(&e->bpe, folder, err) : me_fail_mem(err, "the text encoder");
    if (code == ME_OK) {
        code = nn_clip_open(&e->clip, path, be, NN_FP32, err);
        if (code != ME_OK) nn_bpe_close(e->bpe);
    }
    if (code == ME_OK && e->clip.config.vocabulary <= nn_bpe_end(e->bpe)) {
        code = me_fail(err, ME_EFORMAT, "%s: the model knows %lld tokens, its vocabulary.json more",
                       path, (long long)e->clip.config.vocabulary);
        nn_bpe_close(e->bpe);
        nn_clip_close(&e->clip);
    }
    me_arena_release(&arena);
    if (code != ME_OK) {
        free(e);
        return code;
    }
    *out = (nn_text_kind){.token_width = e->clip.config.width,
                          .sentence_width = e->clip.config.projection,
                          .cached = true,
                          .self = e,
                          .encode = clip_encode,
                          .close = clip_close};
    snprintf(out->identity, sizeof out->identity, "clip:%s", e->clip.sha256);
    return ME_OK;
}
