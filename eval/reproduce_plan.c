/* eval/reproduce_plan.c: reads a study's file (reproduce.h) into stages. Every key is known, of the
 * right kind and used, or it is an error that says where, what was wanted and what was found. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "eval/reproduce.h"
#include "metrics/result.h"
#include "models/models.h"
#include "reports/published.h"

typedef struct reader {
    eval_study *study;
    me_arena *arena;
    me_err *err;
    const me_value *top;
    const char *tmr, *splits, *split, *subset, *text, *device, *precision;
    const me_value *threads, *seeds, *train, *sample, *eval;
    const me_value *published; /* the rows of reports/published.json */
    int64_t capacity;          /* of stages */
    bool makes_tmr;
} reader;

/* ---- values ------------------------------------------------------------------------------------
 */

static const char *kind_text(me_kind kind)
{
    switch (kind) {
    case ME_STRING:
        return "a text";
    case ME_INT:
        return "an integer";
    case ME_FLOAT:
        return "a number";
    case ME_BOOLEAN:
        return "true or false";
    case ME_LIST:
        return "a list";
    case ME_DICT:
        return "an object";
    default:
        return "null";
    }
}

/* "rows[0]" and "seeds" make "rows[0].seeds". */
static const char *key_path(const reader *r, const char *where, const char *key)
{
    const char *path = *where ? me_arena_printf(r->arena, "%s.%s", where, key) : key;
    return path ? path : key;
}

/* What was found: its kind, a number itself. */
static const char *found_text(const reader *r, const me_value *v)
{
    const char *text = NULL;
    if (!v) return "nothing";
    if (v->kind == ME_LIST && !v->as.list.length) return "an empty list";
    if (v->kind == ME_INT) text = me_arena_printf(r->arena, "%lld", (long long)v->as.integer);
    return text ? text : kind_text(v->kind);
}

static me_code wrong(const reader *r, const char *where, const char *key, const char *wanted,
                     const me_value *found)
{
    return me_fail(r->err, ME_EFORMAT, "%s: %s: expected %s, found %s", r->study->file,
                   key_path(r, where, key), wanted, found_text(r, found));
}

static me_code known_keys(const reader *r, const char *where, const me_value *dict,
                          const char *const *known, int n)
{
    for (size_t i = 0; i < dict->as.dict.length; i++) {
        const char *key = dict->as.dict.keys[i]->as.string.data;
        bool found = false;
        for (int k = 0; k < n; k++) found |= !strcmp(key, known[k]);
        if (found) continue;
        const char *near = me_nearest(key, known, n);
        char all[400] = "";
        for (int k = 0; k < n; k++) {
            const size_t used = strlen(all);
            snprintf(all + used, sizeof all - used, "%s%s", k ? ", " : "", known[k]);
        }
        return near ? me_fail(r->err, ME_EFORMAT, "%s: unknown key %s (did you mean \"%s\"?)",
                              r->study->file, key_path(r, where, key), near)
                    : me_fail(r->err, ME_EFORMAT, "%s: unknown key %s (known are %s)",
                              r->study->file, key_path(r, where, key), all);
    }
    return ME_OK;
}

#define KNOWN(r, where, dict, ...)                                                                 \
    known_keys(r, where, dict, (const char *const[]){__VA_ARGS__},                                 \
               (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)))

/* NULL where the key is absent or null. */
static me_code get(const me_value **out, const reader *r, const char *where, const me_value *dict,
                   const char *key, me_kind kind)
{
    const me_value *v = me_dict_get(dict, key);
    *out = v && v->kind != ME_NONE ? v : NULL;
    return !*out || v->kind == kind ? ME_OK : wrong(r, where, key, kind_text(kind), v);
}

static me_code get_text(const char **out, const reader *r, const char *where, const me_value *dict,
                        const char *key)
{
    const me_value *v;
    me_code code = get(&v, r, where, dict, key, ME_STRING);
    *out = !code && v ? v->as.string.data : NULL;
    return code;
}

static me_code need_file(const reader *r, const char *where, const char *key, const char *path)
{
    if (!path || me_file_exists(path) || me_is_directory(path)) return ME_OK;
    return me_fail(r->err, ME_EIO, "%s: %s: no file '%s' (seen from the folder where you are)",
                   r->study->file, key_path(r, where, key), path);
}

/* ---- options -----------------------------------------------------------------------------------
 */

static me_value *dict_of(const reader *r)
{
    return me_value_new(r->arena, ME_DICT);
}

static me_code put(const reader *r, me_value *dict, const char *key, const me_value *v)
{
    return me_dict_put(r->arena, dict, key, (me_value *)v, r->err);
}

static me_code put_text(const reader *r, me_value *dict, const char *key, const char *text)
{
    return text ? put(r, dict, key, me_value_string(r->arena, text)) : ME_OK;
}

static me_code put_bool(const reader *r, me_value *dict, const char *key, bool b)
{
    return put(r, dict, key, me_value_bool(r->arena, b));
}

/* The options of one section; those that the study decides are refused. */
static me_code merge(const reader *r, me_value *to, const char *where, const me_value *from,
                     const char *const *reserved)
{
    me_code code = ME_OK;
    for (size_t i = 0; from && i < from->as.dict.length && !code; i++) {
        const char *key = from->as.dict.keys[i]->as.string.data;
        for (int k = 0; reserved[k]; k++)
            if (!strcmp(key, reserved[k]))
                return me_fail(r->err, ME_EFORMAT, "%s: %s.%s: the study decides this by itself",
                               r->study->file, where, key);
        code = put(r, to, key, from->as.dict.values[i]);
    }
    return code;
}

static const char *const reserved_train[] = {"model",  "dataset", "splits",  "out",
                                             "seed",   "resume",  "json",    "export",
                                             "config", "quiet",   "verbose", NULL};
static const char *const reserved_sample[] = {"model",  "dataset", "splits",      "split",
                                              "subset", "out",     "safetensors", "resume",
                                              "config", "quiet",   "verbose",     NULL};
static const char *const reserved_eval[] = {"dataset", "generated", "tmr",     "splits", "split",
                                            "subset",  "out",       "name",    "json",   "format",
                                            "config",  "quiet",     "verbose", NULL};
static const char *const reserved_made[] = {"out", "config", "quiet", "verbose", NULL};

/* ---- stages ------------------------------------------------------------------------------------
 */

static me_code add_stage(reader *r, eval_stage **out, const eval_command *command,
                         const char *where, const char *title, const char *record)
{
    eval_study *s = r->study;
    if (s->stages == r->capacity) {
        const int64_t larger = r->capacity ? 2 * r->capacity : 16;
        eval_stage *all = ME_NEW_ARRAY(r->arena, larger, eval_stage);
        if (!all) return me_fail_mem(r->err, "a study");
        if (s->stages) memcpy(all, s->stage, (size_t)s->stages * sizeof *all);
        s->stage = all;
        r->capacity = larger;
    }
    eval_stage *stage = &s->stage[s->stages++];
    *stage = (eval_stage){.command = command,
                          .where = where,
                          .title = title,
                          .record = record,
                          .given = dict_of(r),
                          .options = dict_of(r)};
    *out = stage;
    return title && record && stage->given && stage->options ? ME_OK
                                                             : me_fail_mem(r->err, "a study");
}

/* Adds what decides the outcome to all the options, and lets the command check them. */
static me_code finish_stage(const reader *r, eval_stage *stage)
{
    void *filled;
    me_code code = ME_OK;
    for (size_t i = 0; i < stage->given->as.dict.length && !code; i++) {
        const char *key = stage->given->as.dict.keys[i]->as.string.data;
        if (stage->operands && !strcmp(key, "from")) continue; /* operands, no option */
        code = put(r, stage->options, key, stage->given->as.dict.values[i]);
    }
    if (code) return code;
    code = eval_command_fill(&filled, stage->command, r->arena, stage->options, r->err);
    if (!code) return ME_OK;
    if (r->err && code == ME_EUSAGE) r->err->code = code = ME_EFORMAT;
    me_err_prefix(r->err, "%s: %s, options of %s", r->study->file, stage->where,
                  stage->command->name);
    return code;
}

static me_code put_common(const reader *r, me_value *given, bool precision)
{
    me_code code = put_text(r, given, "device", r->device);
    if (!code && precision) code = put_text(r, given, "precision", r->precision);
    return !code && r->threads ? put(r, given, "threads", r->threads) : code;
}

/* ---- data and embedder -------------------------------------------------------------------------
 */

/* {"pairs": {"from": "bvh-folder", …}}: "from" is the command's operands. */
static me_code take_operands(const reader *r, eval_stage *stage, const me_value *options)
{
    const me_value *from = me_dict_get(options, "from");
    const bool list = from && from->kind == ME_LIST;
    if (!from || (from->kind != ME_STRING && !list))
        return wrong(r, "dataset.pairs", "from", "a folder or a list of them", from);
    const size_t n = list ? from->as.list.length : 1;
    stage->operand = ME_NEW_ARRAY(r->arena, n, char *);
    if (!stage->operand) return me_fail_mem(r->err, "a study");
    for (size_t i = 0; i < n; i++) {
        const me_value *v = list ? from->as.list.items[i] : from;
        if (v->kind != ME_STRING) return wrong(r, "dataset.pairs", "from", "texts", v);
        me_code code = need_file(r, "dataset.pairs", "from", v->as.string.data);
        if (code) return code;
        stage->operand[stage->operands++] = me_arena_strdup(r->arena, v->as.string.data);
    }
    return ME_OK;
}

static me_code made_data(reader *r, const me_value *how)
{
    eval_study *s = r->study;
    me_code code = KNOWN(r, "dataset", how, "synth", "pairs");
    if (!code && how->as.dict.length != 1)
        code = me_fail(r->err, ME_EFORMAT,
                       "%s: dataset: expected a file, or an object with either synth or pairs",
                       s->file);
    if (code) return code;
    const char *name = how->as.dict.keys[0]->as.string.data;
    const char *where = key_path(r, "dataset", name);
    const me_value *options;
    eval_stage *stage;
    code = get(&options, r, "dataset", how, name, ME_DICT);
    if (!code && !options) code = wrong(r, "dataset", name, "an object", NULL);
    s->dataset = me_path_join(r->arena, s->out, "data/dataset.safetensors");
    if (!code)
        code = add_stage(r, &stage, eval_command_find(name), where,
                         me_arena_printf(r->arena, "data: %s", name),
                         me_path_join(r->arena, s->out, "data/dataset.json"));
    if (!code) code = merge(r, stage->given, where, options, reserved_made);
    if (!code && stage->command == &eval_command_pairs) code = take_operands(r, stage, options);
    if (!code) code = put_text(r, stage->options, "out", s->dataset);
    return code ? code : finish_stage(r, stage);
}

static me_code read_dataset(reader *r)
{
    const me_value *v = me_dict_get(r->top, "dataset");
    if (v && v->kind == ME_DICT) {
        if (r->splits)
            return me_fail(r->err, ME_EFORMAT,
                           "%s: splits: a dataset that is made here brings its own",
                           r->study->file);
        return made_data(r, v);
    }
    if (!v || v->kind != ME_STRING)
        return wrong(r, "", "dataset", "a file, {\"synth\": {...}} or {\"pairs\": {...}}", v);
    r->study->dataset = v->as.string.data;
    me_code code = need_file(r, "", "dataset", r->study->dataset);
    return code ? code : need_file(r, "", "splits", r->splits);
}

/* What every training has. */
static me_code train_stage(reader *r, eval_stage *stage, const char *kind, const char *out,
                           int64_t seed)
{
    me_code code = put_text(r, stage->given, "model", kind);
    if (!code) code = put(r, stage->given, "seed", me_value_int(r->arena, seed));
    if (!code) code = put_text(r, stage->options, "dataset", r->study->dataset);
    if (!code) code = put_text(r, stage->options, "splits", r->splits);
    if (!code) code = put_text(r, stage->options, "out", out);
    if (!code) code = put_bool(r, stage->options, "resume", true);
    if (!code) code = put_bool(r, stage->options, "json", true);
    stage->begins = me_path_join(r->arena, out, "last.safetensors");
    return code ? code : finish_stage(r, stage);
}

static me_code read_tmr(reader *r)
{
    const me_value *v = me_dict_get(r->top, "tmr"), *options;
    if (v && v->kind == ME_STRING) {
        r->tmr = v->as.string.data;
        return strncmp(r->tmr, "random:", 7) ? need_file(r, "", "tmr", r->tmr) : ME_OK;
    }
    if (!v || v->kind != ME_DICT)
        return wrong(r, "", "tmr", "a folder, a file or {\"train\": {...}}", v);
    eval_stage *stage;
    me_code code = KNOWN(r, "tmr", v, "train");
    if (!code) code = get(&options, r, "tmr", v, "train", ME_DICT);
    const char *out = me_path_join(r->arena, r->study->out, "tmr");
    if (!code)
        code = add_stage(r, &stage, &eval_command_train, "tmr.train", "embedder: train",
                         me_path_join(r->arena, r->study->out, "tmr.json"));
    if (!code) code = put_common(r, stage->given, true);
    if (!code) code = put_text(r, stage->given, "text", r->text);
    if (!code) code = merge(r, stage->given, "tmr.train", options, reserved_train);
    r->makes_tmr = true;
    r->tmr = me_path_join(r->arena, out, "tmr"); /* what train exports */
    return code ? code : train_stage(r, stage, "tmr", out, 0);
}

/* ---- rows --------------------------------------------------------------------------------------
 */

typedef struct row_reader {
    reader *r;
    eval_study_row *row;
    const char *where, *folder; /* "rows[1]", OUT/rows/NAME */
    const char *model, *checkpoint, *generated;
    const me_value *ablation, *train, *sample, *eval;
} row_reader;

/* "OmniME (3)" becomes "omnime-3": a folder's name. */
static const char *folder_name(me_arena *arena, const char *name)
{
    char *out = me_arena_strdup(arena, name), *to = out;
    for (const char *p = name; out && *p; p++) {
        if (isalnum((unsigned char)*p))
            *to++ = (char)tolower((unsigned char)*p);
        else if (to > out && to[-1] != '-')
            *to++ = '-';
    }
    while (out && to > out && to[-1] == '-') to--;
    if (out) *to = '\0';
    return out;
}

static me_code add_train(row_reader *w, const char *seed_folder, const char *title, int64_t seed)
{
    reader *r = w->r;
    eval_stage *stage;
    me_code code = add_stage(r, &stage, &eval_command_train, w->where,
                             me_arena_printf(r->arena, "%s: train", title),
                             me_path_join(r->arena, seed_folder, "train.json"));
    const char *path = key_path(r, w->where, "train");
    if (!code) code = put_common(r, stage->given, true);
    if (!code) code = put_text(r, stage->given, "text", r->text);
    if (!code) code = merge(r, stage->given, "train", r->train, reserved_train);
    if (!code && w->ablation) code = put(r, stage->given, "ablation", w->ablation);
    if (!code) code = merge(r, stage->given, path, w->train, reserved_train);
    return code ? code
                : train_stage(r, stage, w->model, me_path_join(r->arena, seed_folder, "train"),
                              seed);
}

static me_code add_sample(row_reader *w, const char *seed_folder, const char *title, int64_t seed)
{
    reader *r = w->r;
    eval_stage *stage;
    const char *out = me_path_join(r->arena, seed_folder, "samples");
    me_code code = add_stage(r, &stage, &eval_command_sample, w->where,
                             me_arena_printf(r->arena, "%s: sample", title),
                             me_path_join(r->arena, seed_folder, "sample.json"));
    if (code) return code;
    code = put_common(r, stage->given, true);
    /* A model names its hashing encoder; files of any other it must be told. */
    if (!code && r->text && strncmp(r->text, "hash", 4) != 0)
        code = put_text(r, stage->given, "text-encoder", r->text);
    if (!code) code = put(r, stage->given, "seed", me_value_int(r->arena, seed));
    if (!code) code = put_text(r, stage->given, "split", r->split);
    if (!code) code = put_text(r, stage->given, "subset", r->subset);
    if (!code) code = merge(r, stage->given, "sample", r->sample, reserved_sample);
    if (!code)
        code = merge(r, stage->given, key_path(r, w->where, "sample"), w->sample, reserved_sample);
    if (!code && w->checkpoint) code = put_text(r, stage->given, "model", w->checkpoint);
    if (!code && !w->checkpoint)
        code = put_text(r, stage->options, "model",
                        me_arena_printf(r->arena, "%s/train/last.safetensors", seed_folder));
    if (!code) code = put_text(r, stage->options, "dataset", r->study->dataset);
    if (!code) code = put_text(r, stage->options, "splits", r->splits);
    if (!code) code = put_text(r, stage->options, "out", out);
    if (!code) code = put_bool(r, stage->options, "resume", true);
    stage->begins = me_path_join(r->arena, out, "sampling.json");
    return code ? code : finish_stage(r, stage);
}

static me_code add_eval(row_reader *w, const char *folder, const char *title, int64_t seed)
{
    reader *r = w->r;
    eval_stage *stage;
    eval_study_run *run = &w->row->run[w->row->runs++];
    me_code code = add_stage(r, &stage, &eval_command_eval, w->where,
                             me_arena_printf(r->arena, "%s: eval", title),
                             me_path_join(r->arena, folder, "eval.json"));
    if (code) return code;
    run->seed = seed;
    run->folder = me_path_join(r->arena, folder, "eval");
    run->path = run->folder ? me_path_join(r->arena, run->folder, "result.json") : NULL;
    if (!run->path) return me_fail_mem(r->err, "a study");
    run->path += strlen(r->study->out) + 1;
    code = put_common(r, stage->given, false);
    if (!code) code = put_text(r, stage->given, "split", r->split);
    if (!code) code = put_text(r, stage->given, "subset", r->subset);
    if (!code) code = put_bool(r, stage->given, "strict", true);
    if (!code) code = merge(r, stage->given, "eval", r->eval, reserved_eval);
    if (!code) code = merge(r, stage->given, key_path(r, w->where, "eval"), w->eval, reserved_eval);
    if (!code) code = put_text(r, stage->options, "dataset", r->study->dataset);
    if (!code) code = put_text(r, stage->options, "splits", r->splits);
    if (!code) code = put_text(r, r->makes_tmr ? stage->options : stage->given, "tmr", r->tmr);
    if (!code && w->generated) code = put_text(r, stage->given, "generated", w->generated);
    if (!code && !w->generated)
        code = put_text(r, stage->options, "generated", me_path_join(r->arena, folder, "samples"));
    if (!code) code = put_text(r, stage->options, "out", run->folder);
    if (!code) code = put_text(r, stage->options, "name", title);
    return code ? code : finish_stage(r, stage);
}

static me_code add_seed(row_reader *w, const me_value *seed)
{
    const reader *r = w->r;
    const int64_t n = seed->as.integer;
    const char *title = me_arena_printf(r->arena, "%s, seed %lld", w->row->name, (long long)n);
    const char *folder = me_arena_printf(r->arena, "%s/seed-%lld", w->folder, (long long)n);
    if (!title || !folder) return me_fail_mem(r->err, "a study");
    me_code code = w->checkpoint ? ME_OK : add_train(w, folder, title, n);
    if (!code) code = add_sample(w, folder, title, n);
    return code ? code : add_eval(w, folder, title, n);
}

static me_code check_seeds(const reader *r, const char *where, const me_value *seeds)
{
    if (!seeds) return ME_OK;
    if (!seeds->as.list.length) return wrong(r, where, "seeds", "at least one integer", seeds);
    for (size_t i = 0; i < seeds->as.list.length; i++) {
        const me_value *v = seeds->as.list.items[i];
        if (v->kind != ME_INT || v->as.integer < 0)
            return wrong(r, where, "seeds", "integers from 0", v);
        for (size_t k = 0; k < i; k++)
            if (seeds->as.list.items[k]->as.integer == v->as.integer)
                return me_fail(r->err, ME_EFORMAT, "%s: %s: %lld is there twice", r->study->file,
                               key_path(r, where, "seeds"), (long long)v->as.integer);
    }
    return ME_OK;
}

/* A row is a model to train, a checkpoint to sample from, or motions that are there. */
static me_code check_kind(const row_reader *w, const me_value *seeds)
{
    const reader *r = w->r;
    const char *file = r->study->file;
    const int given = (w->model != NULL) + (w->checkpoint != NULL) + (w->generated != NULL);
    const model_kind *kind;
    if (given != 1)
        return me_fail(r->err, ME_EFORMAT,
                       "%s: %s: expected one of model, checkpoint and generated, found %s", file,
                       w->where, given ? "several" : "none");
    if (!w->model && (w->train || w->ablation))
        return me_fail(r->err, ME_EFORMAT, "%s: %s.%s: nothing is trained in this row", file,
                       w->where, w->train ? "train" : "ablation");
    if (w->generated && (w->sample || seeds))
        return me_fail(r->err, ME_EFORMAT, "%s: %s.%s: nothing is sampled in this row", file,
                       w->where, w->sample ? "sample" : "seeds");
    if (w->model && !strcmp(w->model, "tmr"))
        return me_fail(r->err, ME_EFORMAT,
                       "%s: %s.model: tmr embeds motions, it does not edit them (the study's own "
                       "embedder is \"tmr\": {\"train\": {...}})",
                       file, w->where);
    if (w->model && model_find(&kind, w->model, r->err)) {
        if (r->err) r->err->code = ME_EFORMAT;
        return me_err_prefix(r->err, "%s: %s.model", file, w->where);
    }
    const bool baseline = w->generated && !strncmp(w->generated, "baseline:", 9);
    me_code code = baseline ? ME_OK : need_file(r, w->where, "generated", w->generated);
    return code ? code : need_file(r, w->where, "checkpoint", w->checkpoint);
}

static me_code check_published(const reader *r, const char *where, const char *name)
{
    if (!name) return ME_OK;
    const size_t n = r->published->as.list.length;
    const char **systems = ME_NEW_ARRAY(r->arena, n, const char *);
    if (!systems) return me_fail_mem(r->err, "a study");
    for (size_t i = 0; i < n; i++) {
        systems[i] = me_dict_get(r->published->as.list.items[i], "system")->as.string.data;
        if (!strcmp(systems[i], name)) return ME_OK;
    }
    const char *near = me_nearest(name, systems, (int64_t)n);
    return me_fail(r->err, ME_EFORMAT,
                   near ? "%s: %s.published: no published system '%s' (did you mean '%s'?)"
                        : "%s: %s.published: no published system '%s' (reports show the names)",
                   r->study->file, where, name, near);
}

static me_code read_row(reader *r, int64_t index, const me_value *v)
{
    eval_study_row *row = &r->study->row[index];
    row_reader w = {.r = r, .row = row};
    const me_value *seeds = NULL;
    w.where = me_arena_printf(r->arena, "rows[%lld]", (long long)index);
    if (v->kind != ME_DICT)
        return me_fail(r->err, ME_EFORMAT, "%s: %s: expected an object, found %s", r->study->file,
                       w.where, kind_text(v->kind));
    me_code code = KNOWN(r, w.where, v, "name", "about", "published", "model", "checkpoint",
                         "generated", "ablation", "seeds", "train", "sample", "eval");
    if (!code) code = get_text(&row->name, r, w.where, v, "name");
    if (!code && !row->name) code = wrong(r, w.where, "name", "a text", NULL);
    if (!code) code = get_text(&row->about, r, w.where, v, "about");
    if (!code) code = get_text(&row->published, r, w.where, v, "published");
    if (!code) code = check_published(r, w.where, row->published);
    if (!code) code = get_text(&w.model, r, w.where, v, "model");
    if (!code) code = get_text(&w.checkpoint, r, w.where, v, "checkpoint");
    if (!code) code = get_text(&w.generated, r, w.where, v, "generated");
    if (!code) code = get(&w.ablation, r, w.where, v, "ablation", ME_INT);
    if (!code) code = get(&seeds, r, w.where, v, "seeds", ME_LIST);
    if (!code) code = check_seeds(r, w.where, seeds);
    if (!code) code = get(&w.train, r, w.where, v, "train", ME_DICT);
    if (!code) code = get(&w.sample, r, w.where, v, "sample", ME_DICT);
    if (!code) code = get(&w.eval, r, w.where, v, "eval", ME_DICT);
    if (!code) code = check_kind(&w, seeds);
    if (code) return code;
    row->plan = v;
    row->trained = w.model != NULL;
    const char *folder = folder_name(r->arena, row->name);
    if (!folder || !*folder)
        return me_fail(r->err, ME_EFORMAT, "%s: %s.name: expected letters or digits, found '%s'",
                       r->study->file, w.where, row->name);
    w.folder = me_arena_printf(r->arena, "%s/rows/%s", r->study->out, folder);
    for (int64_t i = 0; i < index; i++)
        if (!strcmp(folder, folder_name(r->arena, r->study->row[i].name)))
            return me_fail(r->err, ME_EFORMAT,
                           "%s: %s.name: '%s' and rows[%lld], '%s', would share the folder %s",
                           r->study->file, w.where, row->name, (long long)i, r->study->row[i].name,
                           w.folder);
    if (!seeds) seeds = r->seeds;
    const size_t runs = w.generated ? 1 : seeds ? seeds->as.list.length : 0;
    if (!runs) return wrong(r, "", "seeds", "a list of integers", NULL);
    row->run = ME_NEW_ARRAY(r->arena, runs, eval_study_run);
    if (!row->run || !w.folder) return me_fail_mem(r->err, "a study");
    if (w.generated) return add_eval(&w, w.folder, row->name, -1);
    for (size_t i = 0; i < runs && !code; i++) code = add_seed(&w, seeds->as.list.items[i]);
    return code;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static me_code read_top(reader *r)
{
    const me_value *top = r->top;
    const char *about;
    me_code code = KNOWN(r, "", top, "name", "about", "dataset", "splits", "split", "subset",
                         "benchmark", "tmr", "text", "device", "precision", "threads", "seeds",
                         "train", "sample", "eval", "rows");
    if (!code) code = get_text(&r->study->name, r, "", top, "name");
    if (!code) code = get_text(&about, r, "", top, "about");
    if (!code) code = get_text(&r->splits, r, "", top, "splits");
    if (!code) code = get_text(&r->split, r, "", top, "split");
    if (!code) code = get_text(&r->subset, r, "", top, "subset");
    if (!code) code = get_text(&r->study->benchmark, r, "", top, "benchmark");
    if (!code) code = get_text(&r->text, r, "", top, "text");
    if (!code) code = get_text(&r->device, r, "", top, "device");
    if (!code) code = get_text(&r->precision, r, "", top, "precision");
    if (!code) code = get(&r->threads, r, "", top, "threads", ME_INT);
    if (!code) code = get(&r->seeds, r, "", top, "seeds", ME_LIST);
    if (!code) code = check_seeds(r, "", r->seeds);
    if (!code) code = get(&r->train, r, "", top, "train", ME_DICT);
    if (!code) code = get(&r->sample, r, "", top, "sample", ME_DICT);
    return code ? code : get(&r->eval, r, "", top, "eval", ME_DICT);
}

static me_code check_benchmark(const reader *r, const me_value *published)
{
    const char *name = r->study->benchmark;
    const me_value *known = me_dict_get(published, "benchmarks");
    if (!name || me_dict_get(known, name)) return ME_OK;
    char all[200] = "";
    for (size_t i = 0; i < known->as.dict.length; i++) {
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "",
                 known->as.dict.keys[i]->as.string.data);
    }
    return me_fail(r->err, ME_EFORMAT, "%s: benchmark: expected one of %s, found '%s'",
                   r->study->file, all, name);
}

me_code eval_study_read(eval_study *out, me_arena *arena, const char *file, const char *folder,
                        me_err *err)
{
    *out = (eval_study){.file = file, .out = folder};
    reader r = {.study = out, .arena = arena, .err = err};
    me_value *top = NULL, *published = NULL;
    const me_value *rows = NULL;
    me_code code = me_json_read(&top, arena, file, err);
    if (!code) code = report_published(&published, arena, err);
    if (code) return code;
    if (top->kind != ME_DICT)
        return me_fail(err, ME_EFORMAT, "%s: expected an object that describes a study, found %s",
                       file, kind_text(top->kind));
    out->plan = r.top = top;
    r.published = me_dict_get(published, "rows");
    code = read_top(&r);
    if (!code) code = check_benchmark(&r, published);
    if (!code) code = get(&rows, &r, "", top, "rows", ME_LIST);
    if (!code && (!rows || !rows->as.list.length))
        code = wrong(&r, "", "rows", "a list of at least one object", rows);
    if (!code) code = read_dataset(&r);
    if (!code) code = read_tmr(&r);
    if (code) return code;
    out->shared = out->stages;
    if (!out->name) out->name = me_path_base(file);
    out->rows = (int64_t)rows->as.list.length;
    out->row = ME_NEW_ARRAY(arena, out->rows, eval_study_row);
    if (!out->row) return me_fail_mem(err, "a study");
    for (int64_t i = 0; i < out->rows && !code; i++) code = read_row(&r, i, rows->as.list.items[i]);
    return code;
}
