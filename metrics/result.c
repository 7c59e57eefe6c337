/* metrics/result.c: see result.h. Every put is checked through one builder, whose failure sticks.
 */
#include "metrics/result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/builder.h"
#include "metrics/metrics.h"

static me_value *dict(me_builder *b)
{
    return me_value_new(b->arena, ME_DICT);
}
static me_value *list(me_builder *b)
{
    return me_value_new(b->arena, ME_LIST);
}
static me_value *null(me_builder *b)
{
    return me_value_new(b->arena, ME_NONE);
}
/* Not finite: an explicit null. */
static void put_number(me_builder *b, me_value *d, const char *key, double x)
{
    me_put(b, d, key, isfinite(x) ? me_value_float(b->arena, x) : null(b));
}
static me_value *key_list(me_builder *b, const char *const *keys, int64_t n)
{
    me_value *l = list(b);
    for (int64_t i = 0; i < n; i++) me_append(b, l, me_value_string(b->arena, keys[i]));
    return l;
}

/* ---- one protocol and direction: M ---- */

static void put_near_ties(me_builder *b, me_value *m, const metric_block *k)
{
    me_value *near = dict(b), *interval = dict(b);
    put_number(b, near, "tolerance", METRIC_NEAR_TIE);
    me_put_int(b, near, "pairs", k->near_pairs);
    put_number(b, near, "smallest_gap", k->near_gap);
    for (int c = 0; c < k->scores; c++)
        me_put_pair(b, interval, k->score[c].label, k->score[c].tie_lo, k->score[c].tie_hi);
    me_put(b, near, "interval", interval);
    me_put(b, m, "near_ties", near);
}

static void put_shuffles(me_builder *b, me_value *m, const metric_block *k, int shuffles)
{
    if (shuffles < 1 || k->scores < 1 || isnan(k->score[0].shuffles_mean)) return;
    me_value *d = dict(b);
    me_put_int(b, d, "shuffles", shuffles);
    for (int c = 0; c < k->scores; c++) {
        me_value *one = dict(b);
        put_number(b, one, "mean", k->score[c].shuffles_mean);
        put_number(b, one, "sd", k->score[c].shuffles_sd);
        me_put(b, d, k->score[c].label, one);
    }
    me_put(b, m, "other_shuffles", d);
}

static me_value *block_value(me_builder *b, const metric_block *k, const metric_options *o)
{
    if (!k) return null(b);
    me_value *m = dict(b), *ci = dict(b), *same = dict(b);
    for (int c = 0; c < k->scores; c++) put_number(b, m, k->score[c].label, k->score[c].value);
    if (k->scores > 0 && !isnan(k->score[0].lo)) {
        for (int c = 0; c < k->scores; c++)
            me_put_pair(b, ci, k->score[c].label, k->score[c].lo, k->score[c].hi);
        me_put(b, m, "ci95", ci);
    }
    for (int c = 0; c < k->scores; c++) put_number(b, same, k->score[c].label, k->score[c].same);
    me_put(b, m, "duplicate_aware", same);
    put_near_ties(b, m, k);
    put_shuffles(b, m, k, o->other_shuffles);
    return m;
}

static void put_directions(me_builder *b, me_value *protocol, metric_block *const *blocks,
                           int64_t gallery, const metric_options *o)
{
    me_put(b, protocol, "generated_to_target", block_value(b, blocks[METRIC_TO_TARGET], o));
    me_put(b, protocol, "generated_to_source", block_value(b, blocks[METRIC_TO_SOURCE], o));
    const metric_block *any = blocks[METRIC_TO_TARGET];
    if (any) {
        me_value *chance = dict(b);
        for (int c = 0; c < any->scores; c++)
            put_number(b, chance, any->score[c].label, metric_chance(any->score[c].label, gallery));
        me_put(b, protocol, "chance", chance);
    }
    if (blocks[METRIC_TARGET_TRANSPOSED]) {
        me_value *t = dict(b);
        me_put_text(b, t, "orientation",
                    "rows are generated motions, columns are targets or sources");
        me_put(b, t, "generated_to_target", block_value(b, blocks[METRIC_TARGET_TRANSPOSED], o));
        me_put(b, t, "generated_to_source", block_value(b, blocks[METRIC_SOURCE_TRANSPOSED], o));
        me_put(b, protocol, "transposed", t);
    }
}

static me_value *protocols_value(me_builder *b, const metric_evaluation *e)
{
    me_value *protocols = dict(b);
    if (e->options.batch32) {
        me_value *p = dict(b), *dropped = list(b);
        const metric_batches *batches = &e->batches;
        me_put_int(b, p, "batches", batches->batches);
        me_put_int(b, p, "batch_size", batches->batch_size);
        me_put_int(b, p, "seed", batches->seed);
        me_put_int(b, p, "dropped", batches->dropped);
        for (int64_t i = e->n - batches->dropped; i < e->n; i++)
            me_append(b, dropped, me_value_string(b->arena, e->keys[batches->index[i]]));
        me_put(b, p, "dropped_keys", dropped);
        put_directions(b, p, e->batch32, batches->batch_size, &e->options);
        if (e->no_batches) me_put_text(b, p, "reason", e->no_batches);
        me_put(b, protocols, "batch32", p);
    }
    if (e->options.full) {
        me_value *p = dict(b);
        me_put_int(b, p, "n", e->n);
        put_directions(b, p, e->full, e->n, &e->options);
        me_put(b, protocols, "full", p);
    }
    return protocols;
}

/* ---- metrics of the whole set: "fid.floor" becomes fid: {"floor": …}, "fid" its "value" ---- */

static void put_corpus(me_builder *b, me_value *result, const metric_evaluation *e)
{
    for (int c = 0; c < e->corpus && b->code == ME_OK; c++) {
        const metric_column *column = &e->corpus_value[c];
        const char *dot = strchr(column->label, '.');
        size_t length = dot ? (size_t)(dot - column->label) : strlen(column->label);
        const char *section = me_arena_strndup(b->arena, column->label, length);
        const char *key = dot ? dot + 1 : "value";
        me_value *d = section ? metric_result_section(b->arena, result, section) : NULL;
        size_t key_length = strlen(key);
        if (!column->reason && (strcmp(key, "n") == 0 ||
                                (key_length > 2 && strcmp(key + key_length - 2, "_n") == 0))) {
            me_put_int(b, d, key, (int64_t)column->value);
        } else if (!column->reason) {
            put_number(b, d, key, column->value);
        } else {
            me_put(b, d, key, null(b));
            me_put_text(b, d, dot ? me_arena_printf(b->arena, "%s_reason", key) : "reason",
                        column->reason);
        }
    }
}

/* ---- duplicates ---- */

static me_value *groups_value(me_builder *b, const int64_t *group, const char *const *keys,
                              int64_t n)
{
    me_value *all = list(b);
    me_value **of = ME_NEW_ARRAY(b->arena, n, me_value *);
    int64_t *size = ME_NEW_ARRAY(b->arena, n, int64_t);
    if (!of || !size) return NULL;
    for (int64_t i = 0; i < n; i++) size[group[i]]++;
    for (int64_t i = 0; i < n; i++) {
        if (size[group[i]] < 2) continue;
        if (!of[group[i]]) {
            of[group[i]] = list(b);
            me_append(b, all, of[group[i]]);
        }
        me_append(b, of[group[i]], me_value_string(b->arena, keys[i]));
    }
    return all;
}

static void put_groups(me_builder *b, me_value *to, const char *name, const metric_groups *g,
                       const metric_evaluation *e)
{
    if (!g->group) return;
    me_value *d = dict(b);
    me_put_int(b, d, "groups", g->identical);
    me_put_int(b, d, "items", g->identical_items);
    me_put_int(b, d, "near_groups", g->near);
    me_put_int(b, d, "near_items", g->near_items);
    me_put(b, d, "keys", groups_value(b, g->group, e->keys, e->n));
    me_put(b, d, "near_keys", groups_value(b, g->near_group, e->keys, e->n));
    me_put(b, to, name, d);
}

/* ---- the document ---- */

me_value *metric_result_section(me_arena *arena, me_value *result, const char *name)
{
    me_value *section = me_dict_get(result, name);
    if (section) return section;
    section = me_value_new(arena, ME_DICT);
    if (!section || me_dict_put(arena, result, name, section, NULL) != ME_OK) return NULL;
    return section;
}

me_value *metric_result_new(me_arena *arena, const char *name)
{
    me_builder b = {.arena = arena};
    me_value *result = dict(&b);
    me_put_text(&b, result, "schema", METRIC_RESULT_SCHEMA);
    if (name) me_put_text(&b, result, "name", name);
    static const char *const sections[] = {"samples", "protocols", "fid", "duplicates",
                                           "baselines"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        me_put(&b, result, sections[i], dict(&b));
    me_put(&b, result, "warnings", list(&b));
    me_put(&b, result, "provenance", dict(&b));
    return b.code == ME_OK ? result : NULL;
}

me_code metric_result_samples(me_value *result, me_arena *arena, const metric_samples *s,
                              me_err *err)
{
    me_builder b = {arena, err, ME_OK};
    me_value *d = metric_result_section(arena, result, "samples");
    me_put_int(&b, d, "dataset", s->dataset);
    me_put_int(&b, d, "generated", s->generated);
    me_put_int(&b, d, "evaluated", s->evaluated);
    me_put(&b, d, "missing", key_list(&b, s->missing, s->missing_n));
    me_put(&b, d, "extra", key_list(&b, s->extra, s->extra_n));
    return b.code;
}

me_code metric_result_evaluation(me_value *result, me_arena *arena, const metric_evaluation *e,
                                 me_err *err)
{
    me_builder b = {arena, err, ME_OK};
    me_put(&b, result, "protocols", protocols_value(&b, e));
    if (e->corpus > 0) {
        put_corpus(&b, result, e);
    } else {
        me_value *fid = metric_result_section(arena, result, "fid");
        me_put(&b, fid, "value", null(&b));
        me_put_text(&b, fid, "reason", "not asked for");
    }
    me_value *duplicates = metric_result_section(arena, result, "duplicates");
    put_groups(&b, duplicates, "source", &e->source_groups, e);
    put_groups(&b, duplicates, "target", &e->target_groups, e);
    put_groups(&b, duplicates, "generated", &e->generated_groups, e);
    return b.code;
}

me_code metric_result_baseline(me_value *result, me_arena *arena, const char *name,
                               const metric_evaluation *e, me_err *err)
{
    me_builder b = {arena, err, ME_OK};
    me_value *row = dict(&b);
    me_put(&b, row, "protocols", protocols_value(&b, e));
    me_put(&b, metric_result_section(arena, result, "baselines"), name, row);
    return b.code;
}

me_code metric_result_warn(me_value *result, me_arena *arena, me_err *err, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    me_builder b = {arena, err, ME_OK};
    me_append(&b, me_dict_get(result, "warnings"), me_value_string(arena, text));
    return b.code;
}

/* ---- reading ---- */

const me_value *metric_result_at(const me_value *v, const char *path)
{
    char step[64];
    while (v && *path) {
        size_t length = strcspn(path, "/");
        if (length >= sizeof step) return NULL;
        memcpy(step, path, length);
        step[length] = '\0';
        v = me_dict_get(v, step);
        path += length;
        path += *path == '/';
    }
    return v;
}

double metric_result_number(const me_value *v, const char *path)
{
    v = metric_result_at(v, path);
    if (v && v->kind == ME_INT) return (double)v->as.integer;
    if (v && v->kind == ME_FLOAT) return v->as.number;
    return NAN;
}

me_code metric_result_check(const me_value *result, const char *name, me_err *err)
{
    if (!result || result->kind != ME_DICT)
        return me_fail(err, ME_EFORMAT, "%s: wanted a result document, found %s", name,
                       result ? me_kind_name(result->kind) : "nothing");
    const me_value *schema = me_dict_get(result, "schema");
    if (!schema || !me_string_equals(schema, METRIC_RESULT_SCHEMA))
        return me_fail(err, ME_EFORMAT, "%s: wanted schema \"%s\", found %s%.80s", name,
                       METRIC_RESULT_SCHEMA, schema ? "" : "none",
                       schema && schema->kind == ME_STRING ? schema->as.string.data : "");
    static const struct {
        const char *path;
        me_kind kind;
    } wanted[] = {{"samples", ME_DICT},
                  {"samples/evaluated", ME_INT},
                  {"samples/missing", ME_LIST},
                  {"protocols", ME_DICT},
                  {"provenance", ME_DICT}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const me_value *v = metric_result_at(result, wanted[i].path);
        if (!v || v->kind != wanted[i].kind)
            return me_fail(err, ME_EFORMAT, "%s: %s is %s, wanted %s", name, wanted[i].path,
                           v ? me_kind_name(v->kind) : "absent", me_kind_name(wanted[i].kind));
    }
    return ME_OK;
}
