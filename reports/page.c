/* reports/page.c: see page.h. */
#include "reports/page.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "metrics/result.h"
#include "reports/published.h"

const char *const report_labels[REPORT_COLUMNS] = {"R@1",  "R@2",  "R@3", "R@5",
                                                   "R@10", "MedR", "AvgR"};
const bool report_lower_is_better[REPORT_COLUMNS] = {false, false, false, false, false, true, true};

const char *report_kind_name(report_kind kind)
{
    static const char *const names[] = {"submission", "baseline", "chance", "published"};
    return names[kind];
}

char *report_number(char *buf, size_t size, double x)
{
    if (isnan(x))
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%.2f", x); /* halves to even, as the papers' numbers were rounded */
    return buf;
}

/* ---- building blocks ---- */

typedef struct builder {
    report_page *page;
    me_arena *arena;
    const me_value *result;
    const report_options *options;
    const me_value *published; /* list of rows, or NULL */
    const char *subset;
    const char *benchmark; /* of published rows, or NULL */
    bool guessed;
    bool complete; /* no item of the subset is missing */
    bool failed;   /* memory is out */
} builder;

static void note(builder *b, const char *fmt, ...) ME_PRINTF(2, 3);
static void note(builder *b, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    report_page *p = b->page;
    if (p->notes == p->notes_capacity) {
        int capacity = p->notes_capacity ? 2 * p->notes_capacity : 32;
        const char **larger = ME_NEW_ARRAY(b->arena, capacity, const char *);
        if (!larger) {
            b->failed = true;
            return;
        }
        if (p->notes) memcpy(larger, p->note, (size_t)p->notes * sizeof *larger);
        p->note = larger;
        p->notes_capacity = capacity;
    }
    p->note[p->notes] = me_arena_strdup(b->arena, text);
    b->failed |= !p->note[p->notes++];
}

static const char *text_at(const me_value *v, const char *path, const char *fallback)
{
    const me_value *s = metric_result_at(v, path);
    return s && s->kind == ME_STRING ? s->as.string.data : fallback;
}

static int64_t int_at(const me_value *v, const char *path)
{
    const me_value *i = metric_result_at(v, path);
    return i && i->kind == ME_INT ? i->as.integer : 0;
}

static size_t length_at(const me_value *v, const char *path)
{
    const me_value *l = metric_result_at(v, path);
    return l && l->kind == ME_LIST ? l->as.list.length : 0;
}

static report_row *new_row(report_table_data *t, report_kind kind, const char *name, int64_t n,
                           const char *subset)
{
    report_row *r = &t->row[t->rows++];
    *r =
        (report_row){.kind = kind, .name = name, .n = n, .protocol = t->protocol, .subset = subset};
    for (int c = 0; c < REPORT_COLUMNS; c++) r->value[c] = r->lo[c] = r->hi[c] = NAN;
    return r;
}

static double element(const me_value *pair, size_t i)
{
    if (!pair || pair->kind != ME_LIST || pair->as.list.length <= i) return NAN;
    const me_value *v = pair->as.list.items[i];
    return v->kind == ME_FLOAT ? v->as.number : v->kind == ME_INT ? (double)v->as.integer : NAN;
}

/* The numbers of an M block. */
static void fill_row(report_row *r, const me_value *m)
{
    const me_value *ci = me_dict_get(m, "ci95");
    for (int c = 0; c < REPORT_COLUMNS; c++) {
        r->value[c] = metric_result_number(m, report_labels[c]);
        const me_value *pair = ci ? me_dict_get(ci, report_labels[c]) : NULL;
        r->lo[c] = element(pair, 0);
        r->hi[c] = element(pair, 1);
    }
}

/* Queries of a protocol of some document or baseline. */
static int64_t queries(const me_value *protocol, bool batch)
{
    if (!batch) return int_at(protocol, "n");
    int64_t batches = int_at(protocol, "batches"), size = int_at(protocol, "batch_size"), n;
    return __builtin_mul_overflow(batches, size, &n) ? 0 : n;
}

/* ---- tables ---- */

static void add_baselines(builder *b, report_table_data *t, bool batch)
{
    const me_value *all = me_dict_get(b->result, "baselines");
    size_t count = all && all->kind == ME_DICT ? all->as.dict.length : 0;
    for (size_t i = 0; i < count; i++) {
        const me_value *key = all->as.dict.keys[i];
        const me_value *protocols = me_dict_get(all->as.dict.values[i], "protocols");
        const me_value *protocol = me_dict_get(protocols, t->protocol);
        const me_value *m = me_dict_get(protocol, t->direction);
        if (key->kind != ME_STRING || !m || m->kind != ME_DICT) continue;
        fill_row(
            new_row(t, REPORT_BASELINE, key->as.string.data, queries(protocol, batch), b->subset),
            m);
    }
}

static report_items items_of(const builder *b, const report_table_data *t)
{
    return (report_items){b->benchmark, b->guessed, b->subset, b->complete,
                          t->rows ? t->row[0].n : 0};
}

static void add_published(builder *b, report_table_data *t)
{
    const report_items items = items_of(b, t);
    for (size_t i = 0; b->published && i < b->published->as.list.length; i++) {
        const me_value *p = b->published->as.list.items[i], *block = me_dict_get(p, t->protocol);
        if (!b->benchmark || !block ||
            !me_string_equals(me_dict_get(p, "benchmark"), b->benchmark) ||
            !report_same_items(block, &items))
            continue;
        report_row *r = new_row(t, REPORT_PUBLISHED, text_at(p, "system", "?"), items.n, b->subset);
        for (int c = 0; c < REPORT_COLUMNS; c++)
            r->value[c] = metric_result_number(block, report_labels[c]);
    }
}

static void add_table(builder *b, const char *protocol_name, const char *direction)
{
    const me_value *protocols = me_dict_get(b->result, "protocols");
    const me_value *protocol = me_dict_get(protocols, protocol_name);
    if (!protocol || protocol->kind != ME_DICT) return;
    const bool batch = strcmp(protocol_name, "batch32") == 0;
    const bool to_target = strcmp(direction, "generated_to_target") == 0;
    const me_value *baselines = me_dict_get(b->result, "baselines");
    size_t capacity = 2 +
                      (baselines && baselines->kind == ME_DICT ? baselines->as.dict.length : 0) +
                      (b->published ? b->published->as.list.length : 0);
    report_table_data *t = &b->page->table[b->page->tables++];
    *t = (report_table_data){.protocol = protocol_name, .direction = direction};
    t->row = ME_NEW_ARRAY(b->arena, capacity, report_row);
    int64_t n = queries(protocol, batch);
    t->title = me_arena_printf(b->arena, "%s, %s",
                               to_target ? "Generated to target" : "Generated to source",
                               batch ? "batches of 32" : "full set");
    t->caption =
        batch ? me_arena_printf(
                    b->arena,
                    "each %s searches among the %lld generated motions of its batch; %lld "
                    "batches, %lld items used, %lld dropped, subset %s",
                    to_target ? "target" : "source", (long long)int_at(protocol, "batch_size"),
                    (long long)int_at(protocol, "batches"), (long long)n,
                    (long long)int_at(protocol, "dropped"), b->subset)
              : me_arena_printf(b->arena,
                                "each %s searches among all %lld generated motions, subset %s",
                                to_target ? "target" : "source", (long long)n, b->subset);
    if (!t->row || !t->title || !t->caption) {
        b->failed = true;
        b->page->tables--;
        return;
    }
    const me_value *m = me_dict_get(protocol, direction);
    if (!m || m->kind != ME_DICT) {
        t->reason = text_at(protocol, "reason", "not computed");
        return;
    }
    fill_row(new_row(t, REPORT_SUBMISSION, b->page->name, n, b->subset), m);
    for (int c = 0; c < REPORT_COLUMNS; c++) b->page->intervals |= !isnan(t->row[0].lo[c]);
    if (b->options->baselines) {
        add_baselines(b, t, batch);
        const me_value *chance = me_dict_get(protocol, "chance");
        if (chance) fill_row(new_row(t, REPORT_CHANCE, "chance", n, b->subset), chance);
    }
    if (b->options->published && to_target) add_published(b, t);
}

/* ---- notes ---- */

static void note_samples(builder *b)
{
    const me_value *r = b->result;
    size_t missing = length_at(r, "samples/missing"), extra = length_at(r, "samples/extra");
    note(b, "N: %lld items in the dataset, %lld generated, %lld evaluated; %zu missing, %zu extra.",
         (long long)int_at(r, "samples/dataset"), (long long)int_at(r, "samples/generated"),
         (long long)int_at(r, "samples/evaluated"), missing, extra);
    if (missing)
        note(b,
             "%zu of the items to score have no generated motion: every missing one makes the "
             "galleries "
             "smaller and the scores better.",
             missing);
}

static void note_ties(builder *b, const report_table_data *t, const me_value *m)
{
    int64_t pairs = int_at(m, "near_ties/pairs");
    if (pairs == 0) return;
    const me_value *r1 = metric_result_at(m, "near_ties/interval/R@1");
    const me_value *avg = metric_result_at(m, "near_ties/interval/AvgR");
    note(b,
         "%s: %lld near-ties closer than %g could fall either way on another machine: R@1 %.2f to "
         "%.2f, "
         "AvgR %.2f to %.2f.",
         t->title, (long long)pairs, metric_result_number(m, "near_ties/tolerance"), element(r1, 0),
         element(r1, 1), element(avg, 0), element(avg, 1));
}

static void note_variants(builder *b)
{
    const me_value *r = b->result;
    for (int i = 0; i < b->page->tables; i++) {
        const report_table_data *t = &b->page->table[i];
        const me_value *protocol = me_dict_get(me_dict_get(r, "protocols"), t->protocol);
        const me_value *m = me_dict_get(protocol, t->direction);
        if (!m || m->kind != ME_DICT) continue;
        note_ties(b, t, m);
        int64_t shuffles = int_at(m, "other_shuffles/shuffles");
        if (shuffles > 0)
            note(b, "%s, over %lld other shuffles: R@1 %.2f ± %.2f, AvgR %.2f ± %.2f.", t->title,
                 (long long)shuffles, metric_result_number(m, "other_shuffles/R@1/mean"),
                 metric_result_number(m, "other_shuffles/R@1/sd"),
                 metric_result_number(m, "other_shuffles/AvgR/mean"),
                 metric_result_number(m, "other_shuffles/AvgR/sd"));
        const char *side = strcmp(t->direction, "generated_to_target") == 0 ? "target" : "source";
        char path[64];
        snprintf(path, sizeof path, "duplicates/%s/groups", side);
        int64_t groups = int_at(r, path);
        if (groups > 0)
            note(b,
                 "%s: %lld groups of identical %s motions; counting any identical one as right: "
                 "R@1 %.2f, "
                 "AvgR %.2f.",
                 t->title, (long long)groups, side, metric_result_number(m, "duplicate_aware/R@1"),
                 metric_result_number(m, "duplicate_aware/AvgR"));
    }
}

static void note_fid(builder *b)
{
    const me_value *fid = me_dict_get(b->result, "fid");
    double value = metric_result_number(fid, "value");
    if (isnan(value)) return;
    double floor = metric_result_number(fid, "floor");
    if (isnan(floor))
        note(b, "FID %.4f over %lld items; not comparable with values of another n.", value,
             (long long)int_at(fid, "n"));
    else
        note(b,
             "FID %.4f over %lld items; two halves of the targets, %lld items each, score %.4f ± "
             "%.4f. Not "
             "comparable with values of another n.",
             value, (long long)int_at(fid, "n"), (long long)int_at(fid, "floor_n"), floor,
             metric_result_number(fid, "floor_sd"));
}

/* The distances whose small-sample bias is taken away (metrics/fid_sound.c, metrics/kid.c). */
static void note_unbiased(builder *b)
{
    double excess = metric_result_number(b->result, "fid_sound/excess");
    double kid = metric_result_number(b->result, "kid/value");
    if (isnan(excess) || isnan(kid)) return;
    note(b,
         "Distance beyond chance: FID of halves, %lld items each, exceeds that of two target "
         "halves by "
         "%.4f ± %.4f (embeddings not normalised); unbiased KID %.5f.",
         (long long)int_at(b->result, "fid_sound/half_n"), excess,
         metric_result_number(b->result, "fid_sound/excess_sd"), kid);
}

/* Appends "item" to a comma-separated list that may be cut short. */
static void list_add(char *list, size_t size, const char *item)
{
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used ? ", " : "", item);
}

/* Which published rows are left out, by the reason. */
static void note_left_out(builder *b, const report_table_data *t)
{
    const report_items items = items_of(b, t);
    char unknown[512] = "", other[1024] = "";
    for (size_t i = 0; i < b->published->as.list.length; i++) {
        const me_value *p = b->published->as.list.items[i], *block = me_dict_get(p, t->protocol);
        if (!block || !me_string_equals(me_dict_get(p, "benchmark"), b->benchmark) ||
            report_same_items(block, &items))
            continue;
        const char *system = text_at(p, "system", "?"),
                   *subset = text_at(block, "subset", "unknown");
        if (strncmp(subset, "unknown", 7) == 0) {
            list_add(unknown, sizeof unknown, system);
        } else {
            char item[160];
            snprintf(item, sizeof item, "%s (%s, %lld)", system, subset,
                     (long long)int_at(block, "n"));
            list_add(other, sizeof other, item);
        }
    }
    if (*other)
        note(b,
             "%s, published but not comparable: computed on other items than these (%s, %lld): %s.",
             t->title, b->subset, (long long)items.n, other);
    if (*unknown)
        note(b, "%s, published but not comparable: which items is not known: %s.", t->title,
             unknown);
}

static void note_published(builder *b)
{
    if (!b->options->published) return;
    if (!b->benchmark) {
        note(b, "No published row is shown: those were computed on MotionFix's 1013 and STANCE "
                "Adjustment's 392 "
                "or 393 test items.");
        return;
    }
    if (!b->complete) note(b, "Items are missing, so no published value is comparable.");
    if (b->guessed)
        note(b,
             "Taken for the split \"%s\" by its number of items; published rows mean nothing "
             "beside another "
             "set.",
             b->benchmark);
    for (int i = 0; i < b->page->tables; i++)
        if (strcmp(b->page->table[i].direction, "generated_to_target") == 0)
            note_left_out(b, &b->page->table[i]);
    note(b, "No trustworthy generated-to-source value has been published.");
}

static void note_warnings(builder *b)
{
    const me_value *w = me_dict_get(b->result, "warnings");
    for (size_t i = 0; w && w->kind == ME_LIST && i < w->as.list.length; i++)
        if (w->as.list.items[i]->kind == ME_STRING)
            note(b, "Warning: %s", w->as.list.items[i]->as.string.data);
}

/* ---- the page ---- */

/* Which published rows could stand beside this: the result says, or the dataset's size suggests. */
static void find_benchmark(builder *b, const me_value *published)
{
    const me_value *stated = metric_result_at(b->result, "provenance/benchmark");
    const me_value *known = me_dict_get(published, "benchmarks");
    int64_t items = int_at(b->result, "samples/dataset");
    for (size_t i = 0; known && i < known->as.dict.length; i++) {
        const char *name = known->as.dict.keys[i]->as.string.data;
        const me_value *sizes = me_dict_get(known->as.dict.values[i], "items");
        if (stated && stated->kind == ME_STRING) {
            if (me_string_equals(stated, name)) b->benchmark = name;
            continue;
        }
        for (size_t k = 0; k < sizes->as.list.length; k++) {
            if (sizes->as.list.items[k]->as.integer != items) continue;
            b->benchmark = name;
            b->guessed = true;
        }
    }
    b->published = me_dict_get(published, "rows");
}

me_code report_page_make(report_page *out, me_arena *arena, const me_value *result,
                         const report_options *options, me_err *err)
{
    memset(out, 0, sizeof *out);
    builder b = {.page = out, .arena = arena, .result = result, .options = options};
    out->name = text_at(result, "name", "submission");
    b.subset = text_at(result, "provenance/subset", "all");
    b.complete = length_at(result, "samples/missing") == 0 &&
                 (strcmp(b.subset, "all") != 0 ||
                  int_at(result, "samples/evaluated") == int_at(result, "samples/dataset"));
    if (options->published) {
        me_value *published;
        me_code code = report_published(&published, arena, err);
        if (code != ME_OK) return code;
        find_benchmark(&b, published);
    }
    static const char *const protocols[] = {"batch32", "full"};
    for (int d = 0; d < (options->source ? 2 : 1); d++)
        for (int p = 0; p < 2; p++)
            add_table(&b, protocols[p], d == 0 ? "generated_to_target" : "generated_to_source");
    note_samples(&b);
    if (out->intervals)
        note(&b, "± is half of the 95 %% bootstrap interval over queries; seeds and other "
                 "samplings of a model vary "
                 "beside it.");
    note_variants(&b);
    note_fid(&b);
    note_unbiased(&b);
    note_published(&b);
    note_warnings(&b);
    return b.failed ? me_fail_mem(err, "a report") : ME_OK;
}
