/* eval/commands/cmd_embed.c: `mebench embed`: motions, or texts, to embeddings, one row each, as an
 * .npy file; the keys of the rows, or the texts, go to stdout. */
#include <omp.h>
#include <string.h>

#include "core/npy.h"
#include "eval/commands.h"
#include "eval/selection.h"
#include "eval/shared_options.h"
#include "models/tmr_trained.h"
#include "nn/backend.h"
#include "tmr/embed.h"
#include "tmr/weights.h"

typedef struct options {
    eval_common common;
    const char *dataset, *generated, *tmr, *motions, *splits, *split, *out;
    const char *text, *text_encoder;
    const char *device, *precision, *gelu;
    int64_t threads;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "split", .type = ME_OPT_CHOICE, AT(motions), .fallback = "generated",
     .choices = "source|target|generated", .help = "which motions to embed"},
    {.name = "dataset", .type = ME_OPT_STRING, AT(dataset), .value = "FILE",
     .help = "for source and target; with generated: order and lengths are the dataset's"},
    {.name = "generated", .type = ME_OPT_STRING, AT(generated), .value = "DIR",
     .help = "folder or zip of KEY.npy, or one npz or safetensors"},
    {.name = "tmr", .type = ME_OPT_STRING, AT(tmr), .value = "DIR",
     .help = "the evaluator's eval-deps folder, one file of `convert`, or random:SEED"},
    {.name = "splits", .type = ME_OPT_STRING, AT(splits), .value = "FILE", .help = "splits.json"},
    {.name = "part", .type = ME_OPT_STRING, AT(split), .value = "NAME",
     .help = "train, val, test or all; test where splits are known"},
    {.name = "text", .type = ME_OPT_STRING, AT(text), .value = "FILE",
     .help = "embed texts instead, one a line (- is stdin), with the text encoder of a TMR that `mebench train` left"},
    {.name = "text-encoder", .type = ME_OPT_STRING, AT(text_encoder), .value = "NAME",
     .help = "the token encoder that it was trained with: clip:DIR; not needed for hash"},
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "FILE", .help = "the .npy file to write (also -o)"},
    EVAL_DEVICE_OPTIONS(options),
    {.name = "gelu", .type = ME_OPT_CHOICE, AT(gelu), .fallback = "tanh", .choices = "tanh|erf",
     .help = "tanh as published numbers were computed, erf as defined"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

typedef struct inputs {
    motion_dataset dataset;
    motion_set set;
    eval_selection selected;
    tmr_clip *clips;
    const char **keys;
    int64_t n;
} inputs;

static void show_notes(me_log *log, const motion_notes *notes)
{
    for (int64_t i = 0; i < notes->n; i++) me_warn(log, "%s", notes->items[i]);
}

static me_code add_clip(inputs *in, me_arena *arena, const char *what, const char *key,
                        const motion_clip *clip, int64_t keep, me_err *err)
{
    const char *name = me_arena_printf(arena, "%s %s", what, key);
    if (!name) return me_fail_mem(err, "names");
    in->keys[in->n] = key;
    in->clips[in->n++] =
        (tmr_clip){.name = name, .pose = clip->pose, .frames = clip->frames, .keep = keep};
    return ME_OK;
}

/* All samples in the order of their keys, or those that the dataset knows in its order and lengths.
 */
static me_code collect(inputs *in, const options *o, me_arena *arena, me_log *log, me_err *err)
{
    const bool generated = !strcmp(o->motions, "generated"), source = !strcmp(o->motions, "source");
    me_code code = ME_OK;
    if (o->dataset) {
        code = motion_dataset_open(&in->dataset, o->dataset,
                                   &(motion_dataset_options){.splits = o->splits}, err);
        if (!code) show_notes(log, &in->dataset.notes);
        if (!code) code = eval_select(&in->selected, arena, &in->dataset, o->split, "all", err);
    }
    if (!code && generated) {
        code = motion_set_open(&in->set, o->generated, err);
        if (!code) show_notes(log, &in->set.notes);
        if (!code && o->dataset)
            code = eval_selection_match(&in->selected, arena, &in->dataset, &in->set, err);
    }
    if (code) return code;
    const int64_t n = o->dataset ? in->selected.n : in->set.n;
    in->clips = ME_NEW_ARRAY(arena, n, tmr_clip);
    in->keys = ME_NEW_ARRAY(arena, n, const char *);
    if (!in->clips || !in->keys) return me_fail_mem(err, "motions");
    for (int64_t i = 0; i < n && !code; i++) {
        if (!o->dataset) {
            const motion_sample *s = &in->set.samples[i];
            code = add_clip(in, arena, "generated", s->key, &s->clip, 0, err);
            continue;
        }
        const motion_pair *p = &in->dataset.pairs[in->selected.pair[i]];
        const motion_clip *clip = generated ? &in->selected.clip[i]
                                  : source  ? &p->source
                                            : &p->target;
        code = add_clip(in, arena, o->motions, p->key, clip, source ? 0 : p->target.frames, err);
    }
    return code;
}

static me_code check(const options *o, me_err *err)
{
    if (!o->tmr) return me_fail(err, ME_EUSAGE, "embed: --tmr is needed");
    if (!o->out) return me_fail(err, ME_EUSAGE, "embed: --out is needed");
    const bool generated = !strcmp(o->motions, "generated");
    if (o->text && (o->generated || o->dataset))
        return me_fail(err, ME_EUSAGE, "embed: --text and motions cannot be embedded together");
    if (o->text) return ME_OK;
    if (generated && !o->generated)
        return me_fail(err, ME_EUSAGE,
                       "embed: --generated is needed (or --split source with --dataset)");
    if (!generated && !o->dataset)
        return me_fail(err, ME_EUSAGE, "embed: --split %s needs --dataset", o->motions);
    return ME_OK;
}

static me_code embed(inputs *in, const options *o, eval_call *call, me_err *err)
{
    nn_backend *be = NULL;
    tmr_encoder encoder = {0};
    me_code code = nn_backend_open(&be, o->device, (int)o->threads, err);
    if (code) return code;
    code = tmr_open(&encoder, o->tmr, be, err);
    if (!code) {
        show_notes(call->log, &encoder.notes);
        const int64_t shape[] = {in->n, encoder.config.width};
        float *out = ME_NEW_ARRAY(call->arena, shape[0] * shape[1], float);
        const tmr_embed_options how = {.gelu = eval_gelu(o->gelu),
                                       .precision = eval_precision(o->precision),
                                       .log = call->log};
        if (!out) code = me_fail_mem(err, "embeddings");
        if (!code) code = tmr_embed(out, NULL, &encoder, be, in->clips, in->n, &how, NULL, err);
        const me_array a = me_array_make(ME_F32, 2, shape, out);
        if (!code) code = me_npy_write(o->out, &a, err);
        tmr_close(&encoder);
    }
    nn_backend_close(be);
    for (int64_t i = 0; i < in->n && !code; i++) me_writer_printf(&call->out, "%s\n", in->keys[i]);
    return code;
}

/* The lines of a file; a carriage return at their ends and an empty last line are dropped. */
static me_code read_lines(const char ***out, int64_t *n, const char *path, me_arena *arena,
                          me_err *err)
{
    me_bytes b;
    me_code code = me_bytes_open(&b, path, err);
    if (code) return code;
    char *text = me_arena_strndup(arena, (const char *)b.data, b.size);
    const bool binary = memchr(b.data, 0, b.size) != NULL;
    int64_t lines = 1;
    for (size_t i = 0; i < b.size; i++) lines += b.data[i] == '\n';
    me_bytes_close(&b);
    *out = ME_NEW_ARRAY(arena, lines, const char *);
    *n = 0;
    if (!text || !*out) return me_fail_mem(err, path);
    if (binary) return me_fail(err, ME_EFORMAT, "%s: expected text, found bytes of 0", path);
    while (*text) {
        char *end = text + strcspn(text, "\n"), *next = *end ? end + 1 : end;
        if (end > text && end[-1] == '\r') end--;
        *end = 0;
        (*out)[(*n)++] = text;
        text = next;
    }
    return *n ? ME_OK : me_fail(err, ME_EDATA, "%s: no text in it", path);
}

static me_code embed_texts(const options *o, eval_call *call, me_err *err)
{
    nn_backend *be = NULL;
    nn_text *text = NULL;
    model_tmr_trained t;
    const char **lines;
    int64_t n;
    me_code code = read_lines(&lines, &n, o->text, call->arena, err);
    if (!code) code = nn_backend_open(&be, o->device, (int)o->threads, err);
    if (code) return code;
    code = model_tmr_trained_open(&t, o->tmr, be, err);
    if (!code) {
        const int64_t shape[] = {n, t.net.text.width};
        float *out = ME_NEW_ARRAY(call->arena, shape[0] * shape[1], float);
        code = out ? model_tmr_text_open(&text, &t, o->text_encoder, be, NULL, err)
                   : me_fail_mem(err, "embeddings");
        if (!code)
            code = model_tmr_embed_texts(out, NULL, &t, text, lines, n,
                                         eval_precision(o->precision), err);
        const me_array a = me_array_make(ME_F32, 2, shape, out);
        if (!code) code = me_npy_write(o->out, &a, err);
        nn_text_close(text);
        model_tmr_trained_close(&t);
    }
    nn_backend_close(be);
    for (int64_t i = 0; i < n && !code; i++) me_writer_printf(&call->out, "%s\n", lines[i]);
    return code;
}

static me_code run_embed(eval_call *call, me_err *err)
{
    const options *o = call->options;
    me_code code = check(o, err);
    if (code) return code;
    if (o->threads > 0) omp_set_num_threads((int)o->threads);
    if (o->text) return embed_texts(o, call, err);
    inputs in = {0};
    code = collect(&in, o, call->arena, call->log, err);
    if (!code) code = embed(&in, o, call, err);
    motion_set_close(&in.set);
    motion_dataset_close(&in.dataset);
    return code;
}

const eval_command eval_command_embed = {
    .name = "embed",
    .usage =
        "embed --tmr DIR --out FILE.npy [--generated DIR] [--dataset FILE] [--text FILE] [options]",
    .summary = "motions or texts to TMR embeddings",
    .doc = "Writes one float32 row a motion, as .npy, and prints the rows' keys in their order. "
           "With a\n"
           "dataset, generated motions come in its order and are cut to their targets' lengths.",
    .options = table,
    .options_size = sizeof(options),
    .run = run_embed,
};
