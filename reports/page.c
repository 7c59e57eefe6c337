/* reports/page.c: see page.h and page_priv.h: what pages share, and that of one result. */
#include "reports/page_priv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "metrics/result.h"

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

void report_note(report_builder *b, const char *fmt, ...)
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

const char *report_text_at(const me_value *v, const char *path, const char *fallback)
{
    const me_value *s = metric_result_at(v, path);
    return s && s->kind == ME_STRING ? s->as.string.data : fallback;
}

int64_t report_int_at(const me_value *v, const char *path)
{
    const me_value *i = metric_result_at(v, path);
    return i && i->kind == ME_INT ? i->as.integer : 0;
}

size_t report_length_at(const me_value *v, const char *path)
{
    const me_value *l = metric_result_at(v, path);
    return l && l->kind == ME_LIST ? l->as.list.length : 0;
}

report_row *report_row_new(report_table_data *t, report_kind kind, const char *name, int64_t n,
                           const char *subset)
{
    report_row *r = &t->row[t->rows++];
    *r =
        (report_row){.kind = kind, .name = name, .n = n, .protocol = t->protocol, .subset = subset};
    for (int c = 0; c < REPORT_COLUMNS; c++) r->value[c] = r->lo[c] = r->hi[c] = NAN;
    return r;
}

double report_element(const me_value *pair, size_t i)
{
    if (!pair || pair->kind != ME_LIST || pair->as.list.length <= i) return NAN;
    const me_value *v = pair->as.list.items[i];
    return v->kind == ME_FLOAT ? v->as.number : v->kind == ME_INT ? (double)v->as.integer : NAN;
}

/* The numbers of an M block. */
void report_row_fill(report_row *r, const me_value *m)
{
    const me_value *ci = me_dict_get(m, "ci95");
    for (int c = 0; c < REPORT_COLUMNS; c++) {
        r->value[c] = metric_result_number(m, report_labels[c]);
        const me_value *pair = ci ? me_dict_get(ci, report_labels[c]) : NULL;
        r->lo[c] = report_element(pair, 0);
        r->hi[c] = report_element(pair, 1);
    }
}

/* Queries of a protocol of some document or baseline. */
int64_t report_queries(const me_value *protocol, bool batch)
{
    if (!batch) return report_int_at(protocol, "n");
    int64_t batches = report_int_at(protocol, "batches"),
            size = report_int_at(protocol, "batch_size"), n;
    return __builtin_mul_overflow(batches, size, &n) ? 0 : n;
}

/* ---- tables ---- */

void report_add_baselines(report_builder *b, report_table_data *t)
{
    const me_value *own = me_dict_get(me_dict_get(b->result, "protocols"), t->protocol);
    const bool batch = strcmp(t->protocol, "batch32") == 0;
    const me_value *all = me_dict_get(b->result, "baselines");
    size_t count = all && all->kind == ME_DICT ? all->as.dict.length : 0;
    for (size_t i = 0; i < count; i++) {
        const me_value *key = all->as.dict.keys[i];
        const me_value *protocols = me_dict_get(all->as.dict.values[i], "protocols");
        const me_value *protocol = me_dict_get(protocols, t->protocol);
        const me_value *m = me_dict_get(protocol, t->direction);
        if (key->kind != ME_STRING || !m || m->kind != ME_DICT) continue;
        report_row_fill(report_row_new(t, REPORT_BASELINE, key->as.string.data,
                                       report_queries(protocol, batch), b->subset),
                        m);
    }
    const me_value *chance = me_dict_get(own, "chance");
    if (chance)
        report_row_fill(
            report_row_new(t, REPORT_CHANCE, "chance", report_queries(own, batch), b->subset),
            chance);
}

static report_items items_of(const report_builder *b, const report_table_data *t)
{
    return (report_items){b->benchmark, b->guessed, b->subset, b->complete,
                          t->rows ? t->row[0].n : 0};
}

report_row *report_published_row(report_builder *b, report_table_data *t, const me_value *system)
{
    const report_items items = items_of(b, t);
    const me_value *block = me_dict_get(system, t->protocol);
    if (!b->benchmark || !block ||
        !me_string_equals(me_dict_get(system, "benchmark"), b->benchmark) ||
        !report_same_items(block, &items))
        return NULL;
    report_row *r = report_row_new(t, REPORT_PUBLISHED, report_text_at(system, "system", "?"),
                                   items.n, b->subset);
    for (int c = 0; c < REPORT_COLUMNS; c++)
        r->value[c] = metric_result_number(block, report_labels[c]);
    return r;
}

static bool stands_there(const report_table_data *t, const char *system)
{
    for (int i = 0; i < t->rows; i++)
        if (t->row[i].kind == REPORT_PUBLISHED && strcmp(t->row[i].name, system) == 0) return true;
    return false;
}

void report_add_published(report_builder *b, report_table_data *t)
{
    for (size_t i = 0; b->published && i < b->published->as.list.length; i++) {
        const me_value *system = b->published->as.list.items[i];
        if (!stands_there(t, report_text_at(system, "system", "?")))
            report_published_row(b, t, system);
    }
}

static bool is_batch(const char *protocol)
{
    return strcmp(protocol, "batch32") == 0;
}

static bool is_to_target(const char *direction)
{
    return strcmp(direction, "generated_to_target") == 0;
}

const char *report_title(report_builder *b, const char *protocol, const char *direction)
{
    return me_arena_printf(b->arena, "%s, %s",
                           is_to_target(direction) ? "Generated to target" : "Generated to source",
                           is_batch(protocol) ? "batches of 32" : "full set");
}

const char *report_caption(report_builder *b, const char *protocol_name, const char *direction)
{
    const me_value *protocol = me_dict_get(me_dict_get(b->result, "protocols"), protocol_name);
    const bool batch = is_batch(protocol_name);
    const char *query = is_to_target(direction) ? "target" : "source";
    const int64_t n = report_queries(protocol, batch);
    return batch ? me_arena_printf(
                       b->arena,
                       "each %s searches among the %lld generated motions of its batch; %lld "
                       "batches, %lld items used, %lld dropped, subset %s",
                       query, (long long)report_int_at(protocol, "batch_size"),
                       (long long)report_int_at(protocol, "batches"), (long long)n,
                       (long long)report_int_at(protocol, "dropped"), b->subset)
                 : me_arena_printf(b->arena,
                                   "each %s searches among all %lld generated motions, subset %s",
                                   query, (long long)n, b->subset);
}

report_table_data *report_table_new(report_builder *b, const char *protocol_name,
                                    const char *direction, size_t capacity)
{
    const me_value *protocol = me_dict_get(me_dict_get(b->result, "protocols"), protocol_name);
    report_page *page = b->page;
    if (!protocol || protocol->kind != ME_DICT) return NULL;
    if (page->tables == page->tables_capacity) {
        const int more = page->tables_capacity ? 2 * page->tables_capacity : 4;
        report_table_data *all = ME_NEW_ARRAY(b->arena, more, report_table_data);
        b->failed |= !all;
        if (!all) return NULL;
        if (page->tables) memcpy(all, page->table, (size_t)page->tables * sizeof *all);
        page->table = all;
        page->tables_capacity = more;
    }
    report_table_data *t = &page->table[page->tables];
    *t = (report_table_data){.protocol = protocol_name, .direction = direction};
    t->keys = report_text_at(b->result, "provenance/keys_sha256", "");
    t->tmr = report_text_at(b->result, "provenance/tmr_sha256", "");
    t->row = ME_NEW_ARRAY(b->arena, capacity, report_row);
    t->title = report_title(b, protocol_name, direction);
    t->caption = report_caption(b, protocol_name, direction);
    b->failed |= !t->row || !t->title || !t->caption;
    if (b->failed) return NULL;
    page->tables++;
    return t;
}

/* Rows that are not the document's own: how many they can be. */
size_t report_most_rows(const report_builder *b)
{
    const me_value *baselines = me_dict_get(b->result, "baselines");
    return 1 + (baselines && baselines->kind == ME_DICT ? baselines->as.dict.length : 0) +
           (b->published ? b->published->as.list.length : 0);
}

static void add_table(report_builder *b, const char *protocol_name, const char *direction)
{
    const bool batch = strcmp(protocol_name, "batch32") == 0;
    report_table_data *t = report_table_new(b, protocol_name, direction, 1 + report_most_rows(b));
    if (!t) return;
    const me_value *protocol = me_dict_get(me_dict_get(b->result, "protocols"), protocol_name);
    const me_value *m = me_dict_get(protocol, direction);
    const int64_t n = report_queries(protocol, batch);
    if (!m || m->kind != ME_DICT) {
        t->reason = report_text_at(protocol, "reason", "not computed");
        return;
    }
    report_row_fill(report_row_new(t, REPORT_SUBMISSION, b->page->name, n, b->subset), m);
    for (int c = 0; c < REPORT_COLUMNS; c++) b->page->intervals |= !isnan(t->row[0].lo[c]);
    if (b->options->baselines) report_add_baselines(b, t);
    if (b->options->published && strcmp(direction, "generated_to_target") == 0)
        report_add_published(b, t);
}

/* ---- notes ---- */

static void note_samples(report_builder *b)
{
    const me_value *r = b->result;
    size_t missing = report_length_at(r, "samples/missing"),
           extra = report_length_at(r, "samples/extra");
    report_note(
        b, "N: %lld items in the dataset, %lld generated, %lld evaluated; %zu missing, %zu extra.",
        (long long)report_int_at(r, "samples/dataset"),
        (long long)report_int_at(r, "samples/generated"),
        (long long)report_int_at(r, "samples/evaluated"), missing, extra);
    if (missing)
        report_note(
            b,
            "%zu of the items to score have no generated motion: every missing one makes the "
            "galleries "
            "smaller and the scores better.",
            missing);
}

static void note_ties(report_builder *b, const report_table_data *t, const me_value *m)
{
    int64_t pairs = report_int_at(m, "near_ties/pairs");
    if (pairs == 0) return;
    const me_value *r1 = metric_result_at(m, "near_ties/interval/R@1");
    const me_value *avg = metric_result_at(m, "near_ties/interval/AvgR");
    report_note(
        b,
        "%s: %lld near-ties closer than %g could fall either way on another machine: R@1 %.2f to "
        "%.2f, "
        "AvgR %.2f to %.2f.",
        t->title, (long long)pairs, metric_result_number(m, "near_ties/tolerance"),
        report_element(r1, 0), report_element(r1, 1), report_element(avg, 0),
        report_element(avg, 1));
}

static void note_variants(report_builder *b)
{
    const me_value *r = b->result;
    for (int i = 0; i < b->page->tables; i++) {
        const report_table_data *t = &b->page->table[i];
        const me_value *protocol = me_dict_get(me_dict_get(r, "protocols"), t->protocol);
        const me_value *m = me_dict_get(protocol, t->direction);
        if (!m || m->kind != ME_DICT) continue;
        note_ties(b, t, m);
        int64_t shuffles = report_int_at(m, "other_shuffles/shuffles");
        if (shuffles > 0)
            report_note(b, "%s, over %lld other shuffles: R@1 %.2f ± %.2f, AvgR %.2f ± %.2f.",
                        t->title, (long long)shuffles,
                        metric_result_number(m, "other_shuffles/R@1/mean"),
                        metric_result_number(m, "other_shuffles/R@1/sd"),
                        metric_result_number(m, "other_shuffles/AvgR/mean"),
                        metric_result_number(m, "other_shuffles/AvgR/sd"));
        const char *side = strcmp(t->direction, "generated_to_target") == 0 ? "target" : "source";
        char path[64];
        snprintf(path, sizeof path, "duplicates/%s/groups", side);
        int64_t groups = report_int_at(r, path);
        if (groups > 0)
            report_note(
                b,
                "%s: %lld groups of identical %s motions; counting any identical one as right: "
                "R@1 %.2f, "
                "AvgR %.2f.",
                t->title, (long long)groups, side, metric_result_number(m, "duplicate_aware/R@1"),
                metric_result_number(m, "duplicate_aware/AvgR"));
    }
}

static void note_fid(report_builder *b)
{
    const me_value *fid = me_dict_get(b->result, "fid");
    double value = metric_result_number(fid, "value");
    if (isnan(value)) return;
    double floor = metric_result_number(fid, "floor");
    if (isnan(floor))
        report_note(b, "FID %.4f over %lld items; not comparable with values of another n.", value,
                    (long long)report_int_at(fid, "n"));
    else
        report_note(
            b,
            "FID %.4f over %lld items; two halves of the targets, %lld items each, score %.4f ± "
            "%.4f. Not "
            "comparable with values of another n.",
            value, (long long)report_int_at(fid, "n"), (long long)report_int_at(fid, "floor_n"),
            floor, metric_result_number(fid, "floor_sd"));
}

/* The distances whose small-sample bias is taken away (metrics/fid_sound.c, metrics/kid.c). */
static void note_unbiased(report_builder *b)
{
    double excess = metric_result_number(b->result, "fid_sound/excess");
    double kid = metric_result_number(b->result, "kid/value");
    if (isnan(excess) || isnan(kid)) return;
    report_note(
        b,
        "Distance beyond chance: FID of halves, %lld items each, exceeds that of two target "
        "halves by "
        "%.4f ± %.4f (embeddings not normalised); unbiased KID %.5f.",
        (long long)report_int_at(b->result, "fid_sound/half_n"), excess,
        metric_result_number(b->result, "fid_sound/excess_sd"), kid);
}

/* Appends "item" to a comma-separated list that may be cut short. */
static void list_add(char *list, size_t size, const char *item)
{
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used ? ", " : "", item);
}

/* Which published rows are left out, by the reason. */
static void note_left_out(report_builder *b, const report_table_data *t)
{
    const report_items items = items_of(b, t);
    char unknown[512] = "", other[1024] = "";
    for (size_t i = 0; i < b->published->as.list.length; i++) {
        const me_value *p = b->published->as.list.items[i], *block = me_dict_get(p, t->protocol);
        if (!block || !me_string_equals(me_dict_get(p, "benchmark"), b->benchmark) ||
            report_same_items(block, &items))
            continue;
        const char *system = report_text_at(p, "system", "?"),
                   *subset = report_text_at(block, "subset", "unknown");
        if (strncmp(subset, "unknown", 7) == 0) {
            list_add(unknown, sizeof unknown, system);
        } else {
            char item[160];
            snprintf(item, sizeof item, "%s (%s, %lld)", system, subset,
                     (long long)report_int_at(block, "n"));
            list_add(other, sizeof other, item);
        }
    }
    if (*other)
        report_note(
            b,
            "%s, published but not comparable: computed on other items than these (%s, %lld): %s.",
            t->title, b->subset, (long long)items.n, other);
    if (*unknown)
        report_note(b, "%s, published but not comparable: which items is not known: %s.", t->title,
                    unknown);
}

void report_note_published(report_builder *b, int first)
{
    if (!b->options->published) return;
    if (!b->benchmark) {
        report_note(b,
                    "No published row is shown: those were computed on MotionFix's 1013 and STANCE "
                    "Adjustment's 392 "
                    "or 393 test items.");
        return;
    }
    if (!b->complete) report_note(b, "Items are missing, so no published value is comparable.");
    if (b->guessed)
        report_note(
            b,
            "Taken for the split \"%s\" by its number of items; published rows mean nothing "
            "beside another "
            "set.",
            b->benchmark);
    for (int i = first; i < b->page->tables; i++)
        if (strcmp(b->page->table[i].direction, "generated_to_target") == 0)
            note_left_out(b, &b->page->table[i]);
    report_note(b, "No trustworthy generated-to-source value has been published.");
}

void report_note_warnings(report_builder *b)
{
    const me_value *w = me_dict_get(b->result, "warnings");
    for (size_t i = 0; w && w->kind == ME_LIST && i < w->as.list.length; i++)
        if (w->as.list.items[i]->kind == ME_STRING)
            report_note(b, "Warning: %s", w->as.list.items[i]->as.string.data);
}

/* ---- the page ---- */

/* The pairs of the split that was scored: a dataset may hold those of training too. */
static int64_t split_items(const me_value *result)
{
    const me_value *split = metric_result_at(result, "samples/split_keys");
    return report_int_at(result, split ? "samples/split_keys" : "samples/dataset");
}

/* Which published rows could stand beside this: the result says, or the dataset's size suggests. */
static void find_benchmark(report_builder *b, const me_value *published)
{
    const me_value *stated = metric_result_at(b->result, "provenance/benchmark");
    const me_value *known = me_dict_get(published, "benchmarks");
    int64_t items = split_items(b->result);
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

static void result_page(report_builder *b)
{
    static const char *const protocols[] = {"batch32", "full"};
    for (int d = 0; d < (b->options->source ? 2 : 1); d++)
        for (int p = 0; p < 2; p++)
            add_table(b, protocols[p], d == 0 ? "generated_to_target" : "generated_to_source");
    note_samples(b);
    if (b->page->intervals)
        report_note(b, "± is half of the 95 %% bootstrap interval over queries; seeds and other "
                       "samplings of a model vary "
                       "beside it.");
    note_variants(b);
    note_fid(b);
    note_unbiased(b);
    report_note_published(b, 0);
    report_note_warnings(b);
}

void report_builder_look(report_builder *b, const me_value *document, const me_value *published)
{
    b->result = document;
    b->subset = report_text_at(document, "provenance/subset", "all");
    b->complete = report_length_at(document, "samples/missing") == 0 &&
                  (strcmp(b->subset, "all") != 0 ||
                   report_int_at(document, "samples/evaluated") == split_items(document));
    b->benchmark = NULL;
    b->guessed = false;
    if (published) find_benchmark(b, published);
}

me_code report_page_make(report_page *out, me_arena *arena, const me_value *result,
                         const report_options *options, me_err *err)
{
    memset(out, 0, sizeof *out);
    report_builder b = {.page = out, .arena = arena, .options = options};
    me_value *published = NULL;
    out->name = report_text_at(result, "name", "submission");
    me_code code = options->published ? report_published(&published, arena, err) : ME_OK;
    if (code != ME_OK) return code;
    const me_value *schema = me_dict_get(result, "schema");
    report_builder_look(&b, result, published);
    if (me_string_equals(schema, REPORT_BOARD_SCHEMA))
        report_board_page(&b, published);
    else if (me_string_equals(schema, REPORT_REPRODUCTION_SCHEMA))
        report_reproduction_page(&b);
    else if (me_string_equals(schema, REPORT_COMPARISON_SCHEMA))
        report_comparison_page(&b);
    else
        result_page(&b);
    return b.failed ? me_fail_mem(err, "a report") : ME_OK;
}

me_code report_page_write(me_writer *w, const me_value *result, const report_options *options,
                          void (*lay_out)(me_writer *w, const report_page *page), me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    report_page page;
    me_code code = report_page_make(&page, &arena, result, options, err);
    if (code == ME_OK) lay_out(w, &page);
    me_arena_release(&arena);
    return code;
}
