/* eval/commands/cmd_submit.c: `mebench submit`: are these samples whole, and one file of them for a
 * leaderboard: a zip of KEY.npy in one form, submission.json, and the result where there is one. It
 * reads as any other zip of samples. */
#include <stdlib.h>
#include <string.h>

#include "core/builder.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/npy.h"
#include "core/version.h"
#include "core/zip.h"
#include "eval/commands.h"
#include "eval/documents.h"
#include "eval/selection.h"
#include "metrics/result.h"

#define SUBMISSION_SCHEMA "mebench.submission/1"

typedef struct options {
    eval_common common;
    const char *dataset, *splits, *split, *subset, *name, *authors, *url, *result, *out;
    bool check, exact_frames;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "dataset", .type = ME_OPT_STRING, AT(dataset), .value = "FILE", .help = "the benchmark that the samples belong to"},
    {.name = "splits", .type = ME_OPT_STRING, AT(splits), .value = "FILE",
     .help = "splits.json; without it one beside the dataset is read, if any"},
    {.name = "split", .type = ME_OPT_STRING, AT(split), .value = "NAME",
     .help = "train, val, test or all; test where splits are known"},
    {.name = "subset", .type = ME_OPT_STRING, AT(subset), .fallback = "all", .value = "NAME",
     .help = "as of eval: all, legacy506-simmotionedit, legacy506-omnime, or a file of keys"},
    {.name = "check", .type = ME_OPT_BOOL, AT(check), .help = "check alone, write nothing"},
    {.name = "exact-frames", .type = ME_OPT_BOOL, AT(exact_frames),
     .help = "a sample of another length than its target is a failure, not a note"},
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "FILE.zip", .help = "the file to write (also -o)"},
    {.name = "name", .type = ME_OPT_STRING, AT(name), .value = "TEXT", .help = "of the method"},
    {.name = "authors", .type = ME_OPT_STRING, AT(authors), .value = "TEXT", .help = "who submits it"},
    {.name = "url", .type = ME_OPT_STRING, AT(url), .value = "TEXT", .help = "of a paper or of code"},
    {.name = "result", .type = ME_OPT_STRING, AT(result), .value = "DIR",
     .help = "what `eval --out DIR` wrote of these samples: goes into the file too"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

typedef struct submission {
    const options *o;
    eval_call *call;
    me_arena *arena;
    me_err *err;
    motion_dataset data;
    motion_set set;
    eval_selection selected;
    char keys_sha256[65], generated_sha256[65];
    int64_t frames, shorter, longer, repeated;
    const char *result_file; /* result.json, or NULL */
    int failed;              /* checks */
} submission;

/* ---- checks ------------------------------------------------------------------------------------
 */

/* One line for each check. */
static void say(submission *s, const char *verdict, const char *fmt, ...) ME_PRINTF(3, 4);
static void say(submission *s, const char *verdict, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s->failed += !strcmp(verdict, "FAIL");
    me_writer_printf(&s->call->out, "%-5s %s\n", verdict, text);
}

/* What a line is about, below it: the first few, or with -v all. */
static void list(submission *s, const char *const *items, int64_t n)
{
    enum { SHOWN = 10 };
    const int64_t shown = s->o->common.verbose || n <= SHOWN ? n : SHOWN;
    for (int64_t i = 0; i < shown; i++) me_writer_printf(&s->call->out, "        %s\n", items[i]);
    if (shown < n)
        me_writer_printf(&s->call->out, "        ... %lld more (-v)\n", (long long)(n - shown));
}

static void check_samples(submission *s)
{
    const int64_t bad = s->set.faults.n;
    if (bad) {
        say(s, "FAIL", "samples: %lld of %lld cannot be used", (long long)bad,
            (long long)(s->set.n + bad));
        list(s, (const char *const *)s->set.faults.items, bad);
    } else {
        say(s, "ok", "samples: %lld, each (frames, 135) of finite numbers, no key twice",
            (long long)s->set.n);
    }
    for (int64_t i = 0; i < s->set.notes.n; i++) say(s, "note", "%s", s->set.notes.items[i]);
    if (s->set.ignored_n) {
        say(s, "note", "files: left out %lld that hold no sample", (long long)s->set.ignored_n);
        list(s, (const char *const *)s->set.ignored, s->set.ignored_n);
    }
}

/* *any: some sample belongs to a key. */
static me_code check_keys(submission *s, bool *any)
{
    eval_selection *sel = &s->selected;
    const long long wanted = (long long)sel->n;
    me_err why = {0};
    me_code code = eval_selection_match(sel, s->arena, &s->data, &s->set, &why);
    *any = code == ME_OK;
    if (code && code != ME_EDATA) return me_fail(s->err, code, "%s", why.msg);
    if (code) {
        say(s, "FAIL", "keys: %s", why.msg);
        return ME_OK;
    }
    if (sel->missing_n)
        say(s, "FAIL", "missing: %lld of %lld keys have no sample (split \"%s\", subset %s)",
            (long long)sel->missing_n, wanted, sel->split, sel->subset.name);
    else
        say(s, "ok", "missing: none of %lld keys (split \"%s\", subset %s)", wanted, sel->split,
            sel->subset.name);
    list(s, sel->missing, sel->missing_n);
    if (sel->extra_n)
        say(s, "FAIL", "extra: %lld of the samples have no key in the split",
            (long long)sel->extra_n);
    else
        say(s, "ok", "extra: none");
    list(s, sel->extra, sel->extra_n);
    if (sel->outside_subset)
        say(s, "note", "subset: %lld samples of the split lie outside it and are left out",
            (long long)sel->outside_subset);
    return ME_OK;
}

static void check_frames(submission *s)
{
    const char *first = NULL;
    for (int64_t i = 0; i < s->selected.n; i++) {
        const int64_t own = s->selected.clip[i].frames;
        const int64_t target = s->data.pairs[s->selected.pair[i]].target.frames;
        s->frames += own;
        s->shorter += own < target;
        s->longer += own > target;
        if (!first && own != target) first = s->selected.keys[i];
    }
    if (!first)
        say(s, "ok", "frames: %lld, each sample as long as its target", (long long)s->frames);
    else
        say(s, s->o->exact_frames ? "FAIL" : "note",
            "frames: %lld samples are shorter than their target and are scored so, %lld are longer "
            "and are cut (first: %s)",
            (long long)s->shorter, (long long)s->longer, first);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* One motion under several keys is no error, since triplets share sources, but often a mistake. */
static me_code check_repeated(submission *s)
{
    const int64_t n = s->selected.n;
    char(*hash)[65] = me_arena_alloc(s->arena, (size_t)n, sizeof *hash);
    if (!hash) return me_fail_mem(s->err, "hashes");
    for (int64_t i = 0; i < n; i++) {
        const motion_clip *c = &s->selected.clip[i];
        me_sha256_of(c->pose, (size_t)(c->frames * MOTION_POSE) * sizeof *c->pose, hash[i]);
    }
    qsort(hash, (size_t)n, sizeof *hash, by_text);
    for (int64_t i = 1; i < n; i++) s->repeated += !strcmp(hash[i - 1], hash[i]);
    if (s->repeated)
        say(s, "note", "motions: %lld of %lld samples repeat the motion of another key",
            (long long)s->repeated, (long long)n);
    return ME_OK;
}

/* A result that goes into the file must be that of these samples. */
static me_code check_result(submission *s)
{
    me_value *document;
    if (!s->o->result) return ME_OK;
    me_code code = eval_document_open(&document, &s->result_file, s->arena, s->o->result, s->err);
    if (!code) code = metric_result_check(document, s->result_file, s->err);
    if (code) return code;
    const struct {
        const char *path, *own, *what;
    } same[] = {{"provenance/dataset_sha256", s->data.sha256, "dataset"},
                {"provenance/keys_sha256", s->keys_sha256, "set of items"},
                {"provenance/generated_sha256", s->generated_sha256, "set of motions"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const char *stated = eval_document_text(document, same[i].path, "not stated");
        if (!strcmp(stated, same[i].own)) continue;
        say(s, "FAIL", "result: %s is of another %s (%.12s, here %.12s)", s->result_file,
            same[i].what, stated, same[i].own);
        return ME_OK;
    }
    say(s, "ok", "result: %s is of these samples", s->result_file);
    return ME_OK;
}

static me_code check_all(submission *s)
{
    const options *o = s->o;
    bool any;
    const motion_dataset_options how = {.splits = o->splits, .hash = true};
    me_code code = motion_dataset_open(&s->data, o->dataset, &how, s->err);
    if (code) return code;
    for (int64_t i = 0; i < s->data.notes.n; i++)
        me_warn(s->call->log, "%s", s->data.notes.items[i]);
    code = eval_select(&s->selected, s->arena, &s->data, o->split, o->subset, s->err);
    if (!code) code = motion_set_survey(&s->set, s->call->operand[0], s->err);
    if (code) return code;
    check_samples(s);
    if ((code = check_keys(s, &any)) || !any) return code;
    metric_keys_sha256(s->keys_sha256, s->selected.keys, s->selected.n);
    eval_selection_sha256(s->generated_sha256, &s->selected);
    check_frames(s);
    code = check_repeated(s);
    return code ? code : check_result(s);
}

/* ---- submission.json ---------------------------------------------------------------------------
 */

static void put_counts(const submission *s, me_builder *b, me_value *to)
{
    const struct {
        const char *key;
        int64_t count;
    } counts[] = {{"n", s->selected.n},
                  {"frames", s->frames},
                  {"shorter_than_target", s->shorter},
                  {"longer_than_target", s->longer},
                  {"repeated", s->repeated}};
    me_value *samples = me_value_new(s->arena, ME_DICT);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        me_put_int(b, samples, counts[i].key, counts[i].count);
    me_put(b, to, "samples", samples);
}

/* Named as in a result, so that the two can be held side by side. */
static void put_provenance(const submission *s, me_builder *b, me_value *to)
{
    const char *const texts[][2] = {{"mebench", me_version()},
                                    {"git", me_git()},
                                    {"dataset", me_path_base(s->o->dataset)},
                                    {"dataset_sha256", s->data.sha256},
                                    {"split", s->selected.split},
                                    {"subset", s->selected.subset.name},
                                    {"keys_sha256", s->keys_sha256},
                                    {"generated_sha256", s->generated_sha256}};
    me_value *provenance = me_value_new(s->arena, ME_DICT);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        me_put_text(b, provenance, texts[i][0], texts[i][1]);
    me_put(b, to, "provenance", provenance);
}

static me_code describe(const submission *s, char **text)
{
    const char *const texts[][2] = {{"schema", SUBMISSION_SCHEMA},
                                    {"name", s->o->name},
                                    {"authors", s->o->authors},
                                    {"url", s->o->url}};
    me_value *document = me_value_new(s->arena, ME_DICT);
    me_builder b = {s->arena, s->err, ME_OK};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i][1]) me_put_text(&b, document, texts[i][0], texts[i][1]);
    put_counts(s, &b, document);
    put_provenance(s, &b, document);
    return b.code ? b.code : me_json_text(text, s->arena, document, s->err);
}

/* ---- packing -----------------------------------------------------------------------------------
 */

typedef struct packing {
    me_zip_entry *entry;
    me_bytes *bytes; /* (n) what of the entries is to be closed */
    int64_t n;
} packing;

static me_code add_sample(const submission *s, packing *p, int64_t i)
{
    const motion_clip *clip = &s->selected.clip[i];
    const int64_t shape[2] = {clip->frames, MOTION_POSE};
    const me_array pose = me_array_make(ME_F32, 2, shape, clip->pose);
    me_code code = motion_key_check_name(s->selected.keys[i], s->err);
    if (!code) code = me_npy_bytes(&p->bytes[p->n], &pose, s->err);
    if (code) return code;
    const me_bytes *b = &p->bytes[p->n];
    const char *name = me_arena_printf(s->arena, "%s.npy", s->selected.keys[i]);
    p->entry[p->n++] = (me_zip_entry){name, b->data, b->size};
    return name ? ME_OK : me_fail_mem(s->err, "a submission");
}

static me_code add_file(const submission *s, packing *p, const char *path, const char *name)
{
    me_code code = me_bytes_open(&p->bytes[p->n], path, s->err);
    if (code) return code;
    const me_bytes *b = &p->bytes[p->n];
    p->entry[p->n++] = (me_zip_entry){name, b->data, b->size};
    return ME_OK;
}

static me_code add_result(const submission *s, packing *p)
{
    if (!s->result_file) return ME_OK;
    const char *ranks = eval_document_beside(s->arena, s->result_file, "ranks.csv");
    if (!ranks) return me_fail_mem(s->err, "a submission");
    me_code code = add_file(s, p, s->result_file, "result.json");
    if (!code && me_file_exists(ranks)) code = add_file(s, p, ranks, "ranks.csv");
    return code;
}

/* Stored, not deflated: numbers hardly shrink, and the bytes depend on no compressor. */
static me_code pack(const submission *s)
{
    enum { OTHERS = 3 };
    const int64_t most = s->selected.n + OTHERS;
    packing p = {.entry = ME_NEW_ARRAY(s->arena, most, me_zip_entry),
                 .bytes = ME_NEW_ARRAY(s->arena, most, me_bytes)};
    char *text;
    if (!p.entry || !p.bytes) return me_fail_mem(s->err, "a submission");
    me_code code = describe(s, &text);
    if (!code)
        p.entry[p.n++] = (me_zip_entry){"submission.json", (unsigned char *)text, strlen(text)};
    if (!code) code = add_result(s, &p);
    for (int64_t i = 0; i < s->selected.n && !code; i++) code = add_sample(s, &p, i);
    if (!code) code = me_zip_write(s->o->out, p.entry, p.n, false, s->err);
    for (int64_t i = 0; i < most; i++) me_bytes_close(&p.bytes[i]);
    return code;
}

/* What was written, as anyone who gets it can check. */
static me_code announce(const submission *s)
{
    me_bytes file;
    char hash[65];
    me_code code = me_bytes_open(&file, s->o->out, s->err);
    if (code) return code;
    me_sha256_of(file.data, file.size, hash);
    me_writer_printf(&s->call->out, "%s: %s, %lld samples, %lld frames, %zu bytes\nsha256 %s\n",
                     s->o->out, s->o->name, (long long)s->selected.n, (long long)s->frames,
                     file.size, hash);
    me_bytes_close(&file);
    return ME_OK;
}

static me_code check_usage(const options *o, me_err *err)
{
    if (!o->dataset) return me_fail(err, ME_EUSAGE, "submit: --dataset is needed");
    if (o->check) return ME_OK;
    if (!o->out) return me_fail(err, ME_EUSAGE, "submit: --out is needed, or --check");
    if (!me_has_suffix(o->out, ".zip"))
        return me_fail(err, ME_EUSAGE, "submit: --out: a submission is a .zip, not %s", o->out);
    if (!o->name || !*o->name)
        return me_fail(err, ME_EUSAGE, "submit: --name is needed: what is the method called?");
    return ME_OK;
}

static me_code run_submit(eval_call *call, me_err *err)
{
    submission s = {.o = call->options, .call = call, .arena = call->arena, .err = err};
    me_code code = check_usage(s.o, err);
    if (code) return code;
    code = check_all(&s);
    if (!code && s.failed)
        code = me_fail(err, ME_ECHECK, "%s: %d check%s failed%s", call->operand[0], s.failed,
                       s.failed == 1 ? "" : "s", s.o->check ? "" : ", nothing is written");
    if (!code && !s.o->check) code = pack(&s);
    if (!code && !s.o->check) code = announce(&s);
    motion_set_close(&s.set);
    motion_dataset_close(&s.data);
    return code;
}

const eval_command eval_command_submit = {
    .name = "submit",
    .usage = "submit --dataset FILE --name TEXT --out FILE.zip [options] SAMPLES",
    .summary = "check samples against a benchmark and pack them for a leaderboard",
    .doc =
        "SAMPLES is what `eval --generated` takes from disk: a folder or zip of KEY.npy, one npz "
        "or "
        "one\n"
        "safetensors file. Every key of the split (and subset) must have one sample and every "
        "sample "
        "a key, each\n"
        "(frames, 135) of finite numbers; all that is wrong is listed, not the first alone, and "
        "the "
        "exit status\n"
        "is 1. The zip holds KEY.npy as plain float32 arrays without pickles, submission.json "
        "(schema\n"
        "mebench.submission/1: who and what, counts, hashes of keys, dataset and motions), and the "
        "result that\n"
        "--result names, if that is of the same motions. `eval --generated FILE.zip` scores it; "
        "the "
        "same samples\n"
        "give the same bytes.",
    .options = table,
    .options_size = sizeof(options),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_submit,
};
