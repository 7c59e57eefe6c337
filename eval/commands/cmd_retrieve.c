/* eval/commands/cmd_retrieve.c: `mebench retrieve`: how well the texts of a dataset find their
 * motions, and the motions their texts, with a trained TMR: the threshold protocol of
 * text-to-motion retrieval. */
#include <omp.h>
#include <string.h>

#include "core/builder.h"
#include "core/json.h"
#include "eval/commands.h"
#include "eval/shared_options.h"
#include "models/tmr_items.h"
#include "models/tmr_score.h"
#include "models/tmr_trained.h"
#include "nn/backend.h"
#include "tmr/embed.h"

typedef struct options {
    eval_common common;
    const char *dataset, *splits, *split, *tmr, *text, *text_cache, *captions, *format;
    bool json;
    double same;
    int64_t batch, seed;
    const char *device, *precision;
    int64_t threads;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "dataset", .type = ME_OPT_STRING, AT(dataset), .value = "FILE", .help = "motions and texts"},
    {.name = "splits", .type = ME_OPT_STRING, AT(splits), .value = "FILE", .help = "splits.json; without it one beside the dataset, if any"},
    {.name = "split", .type = ME_OPT_CHOICE, AT(split), .choices = "train|val|test|all",
     .value = "NAME", .help = "which part; test where splits are known, else all"},
    {.name = "tmr", .type = ME_OPT_STRING, AT(tmr), .value = "FILE",
     .help = "checkpoint of `mebench train --model tmr`, or the folder that holds it"},
    {.name = "text", .type = ME_OPT_STRING, AT(text), .value = "NAME",
     .help = "text encoder that it was trained with: clip:DIR; not needed for hash"},
    {.name = "text-cache", .type = ME_OPT_STRING, AT(text_cache), .value = "DIR",
     .help = "where encoded texts are kept; without it ~/.cache/mebench, empty: nowhere"},
    {.name = "captions", .type = ME_OPT_CHOICE, AT(captions), .fallback = "auto", .choices = "auto|caption|instruction",
     .value = "NAME", .help = "which text belongs to a motion: its caption, or the edit that it results from"},
    {.name = "threshold", .type = ME_OPT_FLOAT, AT(same), .fallback = "0.95", .lo = -1, .hi = 2, .value = "X",
     .help = "texts whose vectors' cosine is above count as the same: the best-ranked of them counts"},
    {.name = "batch", .type = ME_OPT_INT, AT(batch), .fallback = "32", .lo = 2, .hi = 1e6, .value = "N",
     .help = "size of the small galleries"},
    {.name = "seed", .type = ME_OPT_INT, AT(seed), .fallback = "0", .lo = 0, .hi = 4294967295.0, .value = "N",
     .help = "of the shuffle that fills the small galleries"},
    {.name = "format", .type = ME_OPT_CHOICE, AT(format), .fallback = "table", .choices = "table|json|csv|md",
     .value = "NAME", .help = "of the result"},
    {.name = "json", .type = ME_OPT_BOOL, AT(json), .help = "the same as --format json"},
    EVAL_DEVICE_OPTIONS(options),
    EVAL_COMMON_OPTIONS,
};
// clang-format on

/* ---- the result --------------------------------------------------------------------------------
 */

#define COLUMNS 7
static const char *const labels[COLUMNS] = {"R@1", "R@2", "R@3", "R@5", "R@10", "MedR", "AvgR"};
static const char *const directions[2] = {"text to motion", "motion to text"};
static const char *const direction_keys[2] = {"text_to_motion", "motion_to_text"};

static void values_of(double out[COLUMNS], const metric_retrieval *r)
{
    const double values[COLUMNS] = {r->r1, r->r2, r->r3, r->r5, r->r10, r->med, r->avg};
    memcpy(out, values, sizeof values);
}

static void print_csv(me_writer *w, const model_tmr_scores *s)
{
    me_writer_printf(w, "protocol,direction,queries,gallery");
    for (int c = 0; c < COLUMNS; c++) me_writer_printf(w, ",%s", labels[c]);
    me_writer_printf(w, "\n");
    for (int p = 0; p < 2; p++)
        for (int d = 0; d < 2; d++) {
            const metric_retrieval *r = &s->of[p][d];
            double v[COLUMNS];
            values_of(v, r);
            if (!r->n) continue;
            me_writer_printf(w, "%s,%s,%lld,%lld", p ? "full" : "batch", direction_keys[d],
                             (long long)r->n, (long long)r->gallery);
            for (int c = 0; c < COLUMNS; c++) me_writer_printf(w, ",%.17g", v[c]);
            me_writer_printf(w, "\n");
        }
}

static void print_table(me_writer *w, const model_tmr_scores *s, bool markdown)
{
    me_writer_printf(w, markdown ? "| retrieval | gallery | N |" : "%-16s %7s %6s", "retrieval",
                     "gallery", "N");
    for (int c = 0; c < COLUMNS; c++) me_writer_printf(w, markdown ? " %s |" : " %7s", labels[c]);
    me_writer_printf(w, markdown ? "\n|---|---|---|---|---|---|---|---|---|---|\n" : "\n");
    for (int p = 0; p < 2; p++)
        for (int d = 0; d < 2; d++) {
            const metric_retrieval *r = &s->of[p][d];
            double v[COLUMNS];
            values_of(v, r);
            if (!r->n) continue;
            me_writer_printf(w, markdown ? "| %s | %lld | %lld |" : "%-16s %7lld %6lld",
                             directions[d], (long long)r->gallery, (long long)r->n);
            for (int c = 0; c < COLUMNS; c++)
                me_writer_printf(w, markdown ? " %.2f |" : " %7.2f", v[c]);
            me_writer_printf(w, "\n");
        }
}

static me_code print_json(eval_call *call, const options *o, const model_tmr_scores *s, int64_t n,
                          const char *device, me_err *err)
{
    me_arena *a = call->arena;
    me_value *root = me_value_new(a, ME_DICT), *protocols = me_value_new(a, ME_DICT);
    me_builder b = {a, err, ME_OK};
    for (int p = 0; p < 2; p++) {
        me_value *one = me_value_new(a, ME_DICT);
        for (int d = 0; d < 2; d++) {
            const metric_retrieval *r = &s->of[p][d];
            me_value *m = me_value_new(a, r->n ? ME_DICT : ME_NONE);
            double v[COLUMNS];
            values_of(v, r);
            if (r->n) me_put_int(&b, m, "queries", r->n);
            if (r->n) me_put_int(&b, m, "gallery", r->gallery);
            for (int c = 0; c < COLUMNS && r->n; c++) me_put_float(&b, m, labels[c], v[c]);
            me_put(&b, one, direction_keys[d], m);
        }
        me_put(&b, protocols, p ? "full" : "batch", one);
    }
    me_put_text(&b, root, "schema", "mebench.retrieval/1");
    me_put_int(&b, root, "n", n);
    me_put_int(&b, root, "batch_size", o->batch);
    me_put_float(&b, root, "threshold", o->same);
    me_put_int(&b, root, "seed", o->seed);
    me_put_text(&b, root, "device", device);
    me_put_text(&b, root, "precision", o->precision);
    me_put(&b, root, "protocols", protocols);
    char *text = NULL;
    me_code code = b.code ? b.code : me_json_text(&text, a, root, err);
    if (!code) me_writer_printf(&call->out, "%s\n", text);
    return code;
}

/* ---- from files to scores -----------------------------------------------------------------------
 */

static me_code choose(model_tmr_items *items, const motion_dataset *d, const options *o,
                      me_err *err)
{
    static const char *const names[] = {"train", "val", "test"};
    const char *split = o->split ? o->split : d->has_split ? "test" : "all";
    model_tmr_choice c = {.max_frames = TMR_MAX_FRAMES, .all = !strcmp(split, "all")};
    for (int i = 0; i < 3; i++)
        if (!strcmp(split, names[i])) c.split = (motion_split)i;
    if (!c.all && !d->has_split)
        return me_fail(
            err, ME_EUSAGE,
            "--split %s: the dataset has no splits.json beside it (give one with --splits)", split);
    me_code code = model_tmr_items_open(items, d, o->captions, err);
    if (code) return code;
    model_tmr_items_add(items, &c);
    return items->n ? ME_OK
                    : me_fail(err, ME_EDATA, "%s: no motion of split %s has %s", o->dataset, split,
                              items->captions ? "a caption" : "an instruction");
}

static me_code embed_motions(float *out, model_tmr_trained *t, nn_backend *be,
                             const model_tmr_items *items, const options *o, eval_call *call,
                             me_err *err)
{
    tmr_clip *clips = ME_NEW_ARRAY(call->arena, items->n, tmr_clip);
    if (!clips) return me_fail_mem(err, "motions");
    for (int64_t i = 0; i < items->n; i++)
        clips[i] = (tmr_clip){.name = items->items[i].key,
                              .pose = items->items[i].clip->pose,
                              .frames = items->items[i].clip->frames};
    return tmr_embed(out, NULL, &t->motion, be, clips, items->n,
                     &(tmr_embed_options){.gelu = TMR_GELU_ERF,
                                          .precision = eval_precision(o->precision),
                                          .log = call->log},
                     NULL, err);
}

static me_code score(model_tmr_scores *out, model_tmr_trained *t, nn_text *text, nn_backend *be,
                     const model_tmr_items *items, const options *o, eval_call *call, me_err *err)
{
    const int64_t n = items->n, width = t->net.text.width, words = nn_text_sentence_width(text);
    float *motions = ME_NEW_ARRAY(call->arena, n * width, float);
    float *texts = ME_NEW_ARRAY(call->arena, n * width, float);
    float *sentences = ME_NEW_ARRAY(call->arena, n * words, float);
    const char **strings = ME_NEW_ARRAY(call->arena, n, const char *);
    if (!motions || !texts || !sentences || !strings) return me_fail_mem(err, "embeddings");
    for (int64_t i = 0; i < n; i++) strings[i] = items->items[i].text;
    me_code code = embed_motions(motions, t, be, items, o, call, err);
    if (!code)
        code = model_tmr_embed_texts(texts, sentences, t, text, strings, n,
                                     eval_precision(o->precision), err);
    const model_tmr_embedded e = {.motions = motions,
                                  .texts = texts,
                                  .sentences = sentences,
                                  .n = n,
                                  .width = width,
                                  .sentence_width = words};
    return code ? code : model_tmr_score(out, &e, o->batch, o->same, (uint32_t)o->seed, err);
}

static me_code run_retrieve(eval_call *call, me_err *err)
{
    const options *o = call->options;
    if (!o->dataset) return me_fail(err, ME_EUSAGE, "retrieve: --dataset is needed");
    if (!o->tmr) return me_fail(err, ME_EUSAGE, "retrieve: --tmr is needed");
    if (o->threads > 0) omp_set_num_threads((int)o->threads);
    const char *format = o->json ? "json" : o->format;
    motion_dataset d = {0};
    model_tmr_items items = {0};
    model_tmr_trained t = {0};
    model_tmr_scores s;
    nn_text *text = NULL;
    nn_backend *be = NULL;
    me_code code = nn_backend_open(&be, o->device, (int)o->threads, err);
    if (!code) code = model_tmr_trained_open(&t, o->tmr, be, err);
    if (!code)
        code = model_tmr_text_open(&text, &t, o->text, be,
                                   &(nn_text_options){.cache = o->text_cache}, err);
    if (!code)
        code = motion_dataset_open(&d, o->dataset, &(motion_dataset_options){.splits = o->splits},
                                   err);
    for (int64_t i = 0; i < d.notes.n && !code; i++) me_warn(call->log, "%s", d.notes.items[i]);
    if (!code) code = choose(&items, &d, o, err);
    if (!code) code = score(&s, &t, text, be, &items, o, call, err);
    if (!code && items.n < o->batch)
        me_warn(call->log, "%lld items are too few for galleries of %lld", (long long)items.n,
                (long long)o->batch);
    if (!code && !strcmp(format, "json")) code = print_json(call, o, &s, items.n, be->device, err);
    if (!code && !strcmp(format, "csv")) print_csv(&call->out, &s);
    if (!code && (!strcmp(format, "table") || !strcmp(format, "md")))
        print_table(&call->out, &s, !strcmp(format, "md"));
    model_tmr_items_close(&items);
    motion_dataset_close(&d);
    nn_text_close(text);
    model_tmr_trained_close(&t);
    if (be) nn_backend_close(be);
    return code;
}

const eval_command eval_command_retrieve = {
    .name = "retrieve",
    .usage = "retrieve --tmr FILE --dataset FILE [options]",
    .summary = "text-to-motion retrieval with a trained TMR",
    .doc = "Embeds the texts and the motions of a split and ranks each among all (full) and in "
           "galleries of\n"
           "--batch: text to motion and motion to text. Texts that say nearly the same count as "
           "the same.",
    .options = table,
    .options_size = sizeof(options),
    .run = run_retrieve,
};
