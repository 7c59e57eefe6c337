/* tmr/weights.c: loading and writing of encoders. Nothing here guesses: what is missing or of
 * another shape is an error, because the reference would go on with random weights (spec evaluation
 * 8, trap 14). */
#include "tmr/weights.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "core/version.h"

enum { DEFAULT_HEADS = 4, MAX_LAYERS = 256, MAX_WIDTH = 1 << 16 };

/* ---- shapes from a state dictionary
 * ----------------------------------------------------------------- */

/* The entries whose names start with `prefix`, without it. */
static me_code strip_prefix(me_value **out, me_arena *arena, const me_value *state,
                            const char *prefix, me_err *err)
{
    size_t skip = strlen(prefix);
    *out = me_value_new(arena, ME_DICT);
    if (!*out) return me_fail_mem(err, "a state dictionary");
    for (size_t i = 0; i < state->as.dict.length; i++) {
        const me_value *key = state->as.dict.keys[i];
        if (key->kind != ME_STRING || strncmp(key->as.string.data, prefix, skip)) continue;
        me_code code =
            me_dict_put(arena, *out, key->as.string.data + skip, state->as.dict.values[i], err);
        if (code) return code;
    }
    return ME_OK;
}

static me_code find_matrix(int64_t shape[2], const me_value *state, const char *name, me_err *err)
{
    const me_value *v = me_dict_get(state, name);
    if (!v)
        return me_fail(err, ME_EFORMAT,
                       "no tensor '%s': these are not the weights of a TMR motion encoder", name);
    if (v->kind != ME_ARRAY || v->as.array.ndim != 2)
        return me_fail(err, ME_EFORMAT, "'%s' should be a matrix", name);
    shape[0] = v->as.array.shape[0];
    shape[1] = v->as.array.shape[1];
    if (shape[0] < 1 || shape[1] < 1 || shape[0] > MAX_WIDTH || shape[1] > MAX_WIDTH)
        return me_fail(err, ME_EFORMAT, "'%s' has the unusable shape (%lld, %lld)", name,
                       (long long)shape[0], (long long)shape[1]);
    return ME_OK;
}

static int count_layers(const me_value *state)
{
    static const char stem[] = "seqTransEncoder.layers.";
    int layers = 0;
    for (size_t i = 0; i < state->as.dict.length; i++) {
        const me_value *key = state->as.dict.keys[i];
        if (key->kind != ME_STRING || strncmp(key->as.string.data, stem, sizeof stem - 1)) continue;
        const char *digits = key->as.string.data + sizeof stem - 1;
        if (!isdigit((unsigned char)*digits)) continue;
        long l = strtol(digits, NULL, 10);
        if (l >= layers && l < MAX_LAYERS) layers = (int)l + 1;
    }
    return layers;
}

static me_code config_of_state(tmr_config *out, const me_value *state, int heads, me_err *err)
{
    int64_t tokens[2], projection[2], up[2];
    me_code code = find_matrix(tokens, state, "tokens", err);
    if (!code) code = find_matrix(projection, state, "projection.weight", err);
    if (!code) code = find_matrix(up, state, "seqTransEncoder.layers.0.linear1.weight", err);
    if (code) return code;
    *out = (tmr_config){.features = projection[1],
                        .width = projection[0],
                        .ff = up[0],
                        .heads = heads,
                        .layers = count_layers(state)};
    if (tokens[0] != TMR_TOKENS)
        return me_fail(err, ME_EFORMAT,
                       "'tokens' has %lld rows, expected 2 (mu and logvar; an encoder without the "
                       "variational head is not supported)",
                       (long long)tokens[0]);
    if (heads < 1 || out->width % heads)
        return me_fail(err, ME_EFORMAT, "a width of %lld does not divide into %d heads",
                       (long long)out->width, heads);
    return ME_OK;
}

/* ---- the content hash
 * ------------------------------------------------------------------------------- */

static void hash_floats(me_sha256 *s, const char *name, const float *x, int64_t n)
{
    me_sha256_add(s, name, strlen(name) + 1);
    me_sha256_add(s, &n, sizeof n);
    me_sha256_add(s, x, (size_t)n * sizeof *x);
}

static int64_t param_count(const nn_param *p)
{
    int64_t n = 1;
    for (int i = 0; i < p->ndim; i++) n *= p->shape[i];
    return n;
}

static int64_t largest_param(const nn_params *p)
{
    int64_t most = 1;
    for (int64_t i = 0; i < p->n; i++) {
        int64_t n = param_count(&p->items[i]);
        if (n > most) most = n;
    }
    return most;
}

/* Over the values as the encoder holds them, so that a folder and the single file made from it
 * agree. */
static me_code hash_encoder(tmr_encoder *e, me_err *err)
{
    me_sha256 s;
    me_sha256_init(&s);
    float *host = malloc((size_t)largest_param(&e->params) * sizeof *host);
    if (!host) return me_fail_mem(err, "the encoder's hash");
    int32_t heads = e->config.heads;
    me_sha256_add(&s, &heads, sizeof heads);
    me_code code = ME_OK;
    for (int64_t i = 0; i < e->params.n && !code; i++) {
        const nn_param *p = &e->params.items[i];
        code = nn_params_read(&e->params, p->name, host, err);
        if (!code) hash_floats(&s, p->name, host, param_count(p));
    }
    hash_floats(&s, "mean", e->mean, e->config.features);
    hash_floats(&s, "std", e->std, e->config.features);
    me_sha256_hex(&s, e->sha256);
    free(host);
    return code;
}

/* ---- from a state dictionary
 * ------------------------------------------------------------------------ */

static me_code check_finite(const me_value *state, me_err *err)
{
    float buffer[1024];
    for (size_t i = 0; i < state->as.dict.length; i++) {
        const me_value *v = state->as.dict.values[i];
        if (v->kind != ME_ARRAY || v->as.array.dtype != ME_F32 || v->as.array.swapped ||
            !me_array_contiguous(&v->as.array))
            continue;
        int64_t n = me_array_count(&v->as.array), bad = 0;
        for (int64_t from = 0; from < n; from += 1024) {
            int64_t m = n - from < 1024 ? n - from : 1024;
            memcpy(buffer, v->as.array.data + from * 4, (size_t)m * 4);
            for (int64_t k = 0; k < m; k++) bad += !isfinite(buffer[k]);
        }
        if (bad)
            return me_fail(err, ME_EDATA, "'%s' holds %lld values that are not finite",
                           state->as.dict.keys[i]->as.string.data, (long long)bad);
    }
    return ME_OK;
}

static me_code check_statistics(const float *mean, const float *std, int64_t n, me_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(mean[i]) || !isfinite(std[i]) || std[i] <= 0)
            return me_fail(
                err, ME_EDATA,
                "feature %lld has mean %g and std %g: a finite mean and a positive std are needed",
                (long long)i, (double)mean[i], (double)std[i]);
    return ME_OK;
}

me_code tmr_open_state(tmr_encoder *out, const me_value *state, const char *prefix, int heads,
                       const float *mean, const float *std, nn_backend *be, me_err *err)
{
    *out = (tmr_encoder){0};
    if (state->kind != ME_DICT)
        return me_fail(err, ME_EFORMAT, "expected a state dictionary, found a %s",
                       me_kind_name(state->kind));
    me_arena scratch;
    me_arena_init(&scratch);
    me_value *own = NULL;
    tmr_config config;
    me_code code = strip_prefix(&own, &scratch, state, prefix, err);
    if (!code) code = config_of_state(&config, own, heads, err);
    if (!code && config.features != MOTION_POSE)
        code = me_fail(
            err, ME_EFORMAT,
            "this encoder reads %lld features a frame, expected 135 (a TMR trained on another "
            "representation?)",
            (long long)config.features);
    if (!code) code = check_finite(own, err);
    if (!code) code = check_statistics(mean, std, config.features, err);
    if (!code) code = tmr_encoder_init(out, &config, be, err);
    if (!code) {
        memcpy(out->mean, mean, (size_t)config.features * sizeof *mean);
        memcpy(out->std, std, (size_t)config.features * sizeof *std);
        code = nn_params_load(&out->params, own, "", true, err);
        if (!code) code = hash_encoder(out, err);
        if (code) tmr_close(out);
    }
    me_arena_release(&scratch);
    return code;
}

void tmr_close(tmr_encoder *e)
{
    tmr_encoder_close(e);
}

/* ---- the reference's folder
 * ------------------------------------------------------------------------- */

static me_code want_int(const me_value *encoder, const char *key, int64_t wanted, int64_t *out,
                        me_err *err)
{
    const me_value *v = me_dict_get(encoder, key);
    if (!v) {
        *out = wanted;
        return ME_OK;
    }
    if (v->kind != ME_INT)
        return me_fail(err, ME_EFORMAT, "model.motion_encoder.%s should be an integer, found a %s",
                       key, me_kind_name(v->kind));
    *out = v->as.integer;
    return ME_OK;
}

/* The values that the weights do not tell, and those that would mean another network. */
static me_code read_config(int *heads, me_arena *arena, const char *path, me_err *err)
{
    me_value *root = NULL;
    me_code code = me_json_read(&root, arena, path, err);
    if (code) return code;
    const me_value *encoder = me_dict_get(me_dict_get(root, "model"), "motion_encoder");
    if (!encoder || encoder->kind != ME_DICT)
        return me_fail(err, ME_EFORMAT, "%s: no object model.motion_encoder", path);
    int64_t features = MOTION_POSE, n_heads = DEFAULT_HEADS;
    if ((code = want_int(encoder, "nfeats", MOTION_POSE, &features, err)) ||
        (code = want_int(encoder, "num_heads", DEFAULT_HEADS, &n_heads, err)))
        return me_err_prefix(err, "%s", path);
    if (features != MOTION_POSE)
        return me_fail(
            err, ME_EFORMAT,
            "%s: model.motion_encoder.nfeats is %lld, expected 135 (translation delta, body and "
            "pelvis 6D; a TMR trained on other features cannot score these motions)",
            path, (long long)features);
    if (n_heads < 1 || n_heads > 1024)
        return me_fail(err, ME_EFORMAT, "%s: model.motion_encoder.num_heads is %lld", path,
                       (long long)n_heads);
    const me_value *vae = me_dict_get(encoder, "vae");
    if (vae && vae->kind == ME_BOOLEAN && !vae->as.boolean)
        return me_fail(err, ME_EFORMAT, "%s: model.motion_encoder.vae is false, expected true",
                       path);
    const me_value *activation = me_dict_get(encoder, "activation");
    if (activation && !me_string_equals(activation, "gelu"))
        return me_fail(err, ME_EFORMAT,
                       "%s: model.motion_encoder.activation is %s%s, expected gelu", path,
                       activation->kind == ME_STRING ? activation->as.string.data : "a ",
                       activation->kind == ME_STRING ? "" : me_kind_name(activation->kind));
    *heads = (int)n_heads;
    return ME_OK;
}

/* Folders below `at`, at most `depth` deep, that hold mean.pt and std.pt. */
static me_code collect_statistics(motion_notes *found, me_arena *arena, const char *root,
                                  const char *below, int depth, me_err *err)
{
    const char *at = *below ? me_path_join(arena, root, below) : root;
    if (me_file_exists(me_path_join(arena, at, "mean.pt")) &&
        me_file_exists(me_path_join(arena, at, "std.pt")))
        motion_note(found, arena, "%s", *below ? below : ".");
    if (!depth) return ME_OK;
    me_names names;
    me_code code = me_list_directory(&names, arena, at, err);
    for (int64_t i = 0; i < names.n && !code; i++) {
        if (!me_is_directory(me_path_join(arena, at, names.items[i]))) continue;
        const char *next = *below ? me_path_join(arena, below, names.items[i]) : names.items[i];
        code = collect_statistics(found, arena, root, next, depth - 1, err);
    }
    return code;
}

static me_code find_statistics(const char **out, me_arena *arena, const char *folder, me_err *err)
{
    static const char usual[] = "humanml3d/amass_feats";
    const char *root = me_path_join(arena, folder, "stats");
    if (!me_is_directory(root))
        return me_fail(err, ME_EIO, "%s: no such folder; expected stats/%s/mean.pt and std.pt",
                       root, usual);
    const char *at = me_path_join(arena, root, usual);
    if (me_file_exists(me_path_join(arena, at, "mean.pt"))) {
        *out = usual;
        return ME_OK;
    }
    motion_notes found = {0};
    me_code code = collect_statistics(&found, arena, root, "", 3, err);
    if (code) return code;
    if (found.n != 1)
        return me_fail(
            err, ME_EIO,
            "%s: expected %s/mean.pt and std.pt, found %lld other folder%s with both%s%s", root,
            usual, (long long)found.n, found.n == 1 ? "" : "s", found.n ? ", the first being " : "",
            found.n ? found.items[0] : "");
    *out = found.items[0];
    return ME_OK;
}

static me_code read_statistic(float *out, const char *path, me_err *err)
{
    me_doc doc;
    me_code code = me_doc_open(&doc, path, err);
    if (code) return code;
    const me_value *v = doc.root;
    char found[96] = "no array";
    if (v->kind == ME_ARRAY) me_array_describe(&v->as.array, found, sizeof found);
    if (v->kind != ME_ARRAY || me_array_count(&v->as.array) != MOTION_POSE)
        code = me_fail(err, ME_EFORMAT, "%s: expected 135 numbers, found %s", path, found);
    else if (me_array_read_f32(&v->as.array, out, err))
        code = me_err_prefix(err, "%s", path);
    me_doc_close(&doc);
    return code;
}

/* The file that the reference would load (trap 15), or an error where it would go on without (trap
 * 14). */
static me_code choose_weights(const char **path, const char **prefix, motion_notes *notes,
                              me_arena *arena, const char *folder, me_err *err)
{
    const char *last = me_path_join(arena, folder, "last_weights");
    const char *pt = me_path_join(arena, last, "motion_encoder.pt");
    const char *ckpt = me_path_join(arena, folder, "logs/checkpoints/last.ckpt");
    *prefix = "";
    if (me_file_exists(pt)) {
        *path = pt;
        if (me_file_exists(ckpt))
            motion_note(notes, arena,
                        "%s: last_weights/motion_encoder.pt is used, as the reference does; "
                        "logs/checkpoints/last.ckpt beside it is not",
                        folder);
        return ME_OK;
    }
    if (me_is_directory(last))
        return me_fail(
            err, ME_EIO,
            "%s: no such file (the reference would silently score with random weights here)", pt);
    if (me_file_exists(ckpt)) {
        *path = ckpt;
        *prefix = "motion_encoder.";
        motion_note(notes, arena, "%s: no last_weights; logs/checkpoints/last.ckpt is used",
                    folder);
        return ME_OK;
    }
    return me_fail(err, ME_EIO,
                   "%s: no TMR checkpoint: expected last_weights/motion_encoder.pt or "
                   "logs/checkpoints/last.ckpt",
                   folder);
}

static me_code open_folder(tmr_encoder *out, const char *folder, nn_backend *be, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    motion_notes notes = {0};
    const char *path = NULL, *prefix = "", *statistics = NULL;
    int heads = DEFAULT_HEADS;
    float mean[MOTION_POSE], std[MOTION_POSE];
    me_doc doc = {0};
    const char *config = me_path_join(&arena, folder, "config.json");

    me_code code = choose_weights(&path, &prefix, &notes, &arena, folder, err);
    if (!code && me_file_exists(config))
        code = read_config(&heads, &arena, config, err);
    else if (!code)
        motion_note(&notes, &arena, "%s: no config.json; %d attention heads are assumed", folder,
                    heads);
    if (!code) code = find_statistics(&statistics, &arena, folder, err);
    if (!code) {
        const char *at = me_path_join(&arena, me_path_join(&arena, folder, "stats"), statistics);
        const char *mean_path = me_path_join(&arena, at, "mean.pt");
        code = read_statistic(mean, mean_path, err);
        if (!code) code = read_statistic(std, me_path_join(&arena, at, "std.pt"), err);
        if (!code && (code = check_statistics(mean, std, MOTION_POSE, err)))
            me_err_prefix(err, "%s", at);
    }
    if (code) goto done;

    if ((code = me_doc_open(&doc, path, err))) goto done;
    const me_value *state = doc.root;
    const me_value *inner = me_dict_get(state, "state_dict");
    if (inner) state = inner;
    code = tmr_open_state(out, state, prefix, heads, mean, std, be, err);
    if (code) {
        me_err_prefix(err, "%s", path);
        goto done;
    }
    out->source = me_arena_strdup(&out->arena, path);
    out->statistics = me_arena_strdup(&out->arena, statistics);
    for (int64_t i = 0; i < notes.n; i++)
        motion_note(&out->notes, &out->arena, "%s", notes.items[i]);

done:
    me_doc_close(&doc);
    me_arena_release(&arena);
    return code;
}

static void note_random(tmr_encoder *e, const char *path)
{
    motion_note(
        &e->notes, &e->arena,
        "%s: the embedder has random weights; its scores show that the program works, and say "
        "nothing about motions",
        path);
}

/* ---- the single file
 * -------------------------------------------------------------------------------- */

static const char *metadata_string(const me_doc *doc, const char *key)
{
    const me_value *v = me_dict_get(doc->metadata, key);
    return v && v->kind == ME_STRING ? v->as.string.data : NULL;
}

static me_code read_tensor(float *out, const me_value *root, const char *name, me_err *err)
{
    const me_value *v = me_dict_get(root, name);
    if (!v || v->kind != ME_ARRAY || me_array_count(&v->as.array) != MOTION_POSE)
        return me_fail(err, ME_EFORMAT, "expected a tensor '%s' of 135 numbers", name);
    return me_array_read_f32(&v->as.array, out, err);
}

static me_code heads_of_metadata(int *heads, me_arena *arena, const char *json, me_err *err)
{
    me_value *config = NULL;
    me_code code = me_json_parse(&config, arena, json, strlen(json), "metadata 'config'", err);
    if (code) return code;
    const me_value *v = me_dict_get(config, "num_heads");
    if (!v || v->kind != ME_INT || v->as.integer < 1 || v->as.integer > 1024)
        return me_fail(err, ME_EFORMAT, "metadata 'config' has no usable num_heads");
    *heads = (int)v->as.integer;
    return ME_OK;
}

static me_code open_file(tmr_encoder *out, const char *path, nn_backend *be, me_err *err)
{
    me_doc doc;
    me_code code = me_doc_open(&doc, path, err);
    if (code) return code;
    const char *schema = metadata_string(&doc, "schema"), *config = metadata_string(&doc, "config");
    float mean[MOTION_POSE], std[MOTION_POSE];
    int heads = 0;
    if (!schema || strcmp(schema, TMR_SCHEMA) || !config)
        code = me_fail(
            err, ME_EFORMAT,
            "expected a safetensors file of schema %s, found %s%s%s (give the folder that holds "
            "config.json, last_weights and stats, or convert it with `mebench convert`)",
            TMR_SCHEMA, doc.format, schema ? " of schema " : "", schema ? schema : "");
    if (!code) code = heads_of_metadata(&heads, &doc.arena, config, err);
    if (!code) code = read_tensor(mean, doc.root, "normalizer.mean", err);
    if (!code) code = read_tensor(std, doc.root, "normalizer.std", err);
    if (!code) code = tmr_open_state(out, doc.root, "motion_encoder.", heads, mean, std, be, err);
    if (code) {
        me_err_prefix(err, "%s", path);
    } else {
        const char *statistics = metadata_string(&doc, "statistics");
        const char *random = metadata_string(&doc, "random");
        out->source = me_arena_strdup(&out->arena, path);
        out->statistics = me_arena_strdup(&out->arena, statistics ? statistics : "in the file");
        out->random = random && !strcmp(random, "true");
        if (out->random) note_random(out, path);
    }
    me_doc_close(&doc);
    return code;
}

static me_code metadata_of(me_value **out, me_arena *arena, const tmr_encoder *e, me_err *err)
{
    const char *config = me_arena_printf(
        arena,
        "{\"nfeats\": %lld, \"latent_dim\": %lld, \"ff_size\": %lld, \"num_heads\": %d, "
        "\"num_layers\": %d, \"vae\": true, \"activation\": \"gelu\"}",
        (long long)e->config.features, (long long)e->config.width, (long long)e->config.ff,
        e->config.heads, e->config.layers);
    const char *written_by = me_arena_printf(arena, "mebench %s (%s)", me_version(), me_git());
    const char *pairs[][2] = {
        {"schema", TMR_SCHEMA},     {"config", config},
        {"source", e->source},      {"statistics", e->statistics},
        {"sha256", e->sha256},      {"random", e->random ? "true" : "false"},
        {"written_by", written_by},
    };
    *out = me_value_new(arena, ME_DICT);
    if (!*out || !config || !written_by) return me_fail_mem(err, "metadata");
    me_code code = ME_OK;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs && !code; i++)
        if (pairs[i][1])
            code = me_dict_put(arena, *out, pairs[i][0], me_value_string(arena, pairs[i][1]), err);
    return code;
}

me_code tmr_write(const char *path, tmr_encoder *e, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_value *tensors = me_value_new(&arena, ME_DICT), *metadata = NULL;
    me_code code = tensors ? metadata_of(&metadata, &arena, e, err) : me_fail_mem(err, path);
    for (int64_t i = 0; i < e->params.n && !code; i++) {
        const nn_param *p = &e->params.items[i];
        float *host = ME_NEW_ARRAY(&arena, param_count(p), float);
        char *name = me_arena_printf(&arena, "motion_encoder.%s", p->name);
        if (!host || !name) code = me_fail_mem(err, path);
        if (!code) code = nn_params_read(&e->params, p->name, host, err);
        if (!code)
            code = me_dict_put(&arena, tensors, name,
                               me_value_array(&arena, ME_F32, p->ndim, p->shape, host), err);
    }
    const char *names[] = {"normalizer.mean", "normalizer.std"};
    const float *values[] = {e->mean, e->std};
    for (int i = 0; i < 2 && !code; i++)
        code = me_dict_put(&arena, tensors, names[i],
                           me_value_array(&arena, ME_F32, 1, &e->config.features, values[i]), err);
    if (!code) code = me_safetensors_write(path, tensors, metadata, err);
    me_arena_release(&arena);
    return code;
}

/* ---- random
 * ----------------------------------------------------------------------------------------- */

/* PyTorch's own initial spreads, so that a random encoder behaves like an untrained one. */
static void fill_random(float *out, const nn_param *p, int64_t n, me_rng *rng)
{
    bool norm = strstr(p->name, ".norm") != NULL;
    double spread = 1.0;
    if (p->ndim == 2) spread = 1.0 / sqrt((double)p->shape[1]);
    for (int64_t i = 0; i < n; i++) {
        if (norm || p->ndim == 1)
            out[i] = norm && me_has_suffix(p->name, "weight") ? 1.0f : 0.0f;
        else if (!strcmp(p->name, "tokens"))
            out[i] = (float)me_rng_normal(rng);
        else
            out[i] = (float)me_rng_range(rng, -spread, spread);
    }
}

/* Fixed statistics of about a walking body's size: the identity orientation, which is upright, and
 * the usual spreads of joint rotations and of steps. They depend on no data set. */
static void plausible_statistics(float *mean, float *std)
{
    for (int i = 0; i < MOTION_POSE; i++) {
        bool delta = i < 3;
        int k = delta ? -1 : (i - 3) % 6;
        mean[i] = k == 0 || k == 4 ? 0.9f : 0.0f;
        std[i] = delta ? 0.02f : 0.2f;
    }
}

static me_code open_random(tmr_encoder *out, const char *path, uint64_t seed, nn_backend *be,
                           me_err *err)
{
    tmr_config config = tmr_config_default();
    me_code code = tmr_encoder_init(out, &config, be, err);
    if (code) return code;
    plausible_statistics(out->mean, out->std);
    float *host = malloc((size_t)largest_param(&out->params) * sizeof *host);
    if (!host) code = me_fail_mem(err, "random weights");
    for (int64_t i = 0; i < out->params.n && !code; i++) {
        const nn_param *p = &out->params.items[i];
        me_rng rng = me_rng_make(seed, (uint64_t)i);
        fill_random(host, p, param_count(p), &rng);
        code = nn_params_set(&out->params, p->name, host, param_count(p), err);
    }
    free(host);
    if (!code) code = hash_encoder(out, err);
    if (code) {
        tmr_close(out);
        return code;
    }
    out->random = true;
    out->source = me_arena_strdup(&out->arena, path);
    out->statistics = "fixed";
    motion_note(
        &out->notes, &out->arena,
        "%s: the embedder has random weights; its scores show that the program works, and say "
        "nothing about motions",
        path);
    return ME_OK;
}

me_code tmr_open(tmr_encoder *out, const char *path, nn_backend *be, me_err *err)
{
    static const char random[] = "random:";
    *out = (tmr_encoder){0};
    if (!strncmp(path, random, sizeof random - 1)) {
        const char *digits = path + sizeof random - 1;
        char *end = NULL;
        unsigned long long seed = strtoull(digits, &end, 10);
        if (!isdigit((unsigned char)*digits) || *end)
            return me_fail(err, ME_EUSAGE, "%s: expected random:SEED, a whole number", path);
        return open_random(out, path, seed, be, err);
    }
    return me_is_directory(path) ? open_folder(out, path, be, err) : open_file(out, path, be, err);
}
