/* metrics/protocol.c: see protocol.h. Not here: subsets (subset.c) and the document (result.c). */
#include "metrics/protocol.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "metrics/metrics.h"
#include "metrics/stats.h"

metric_options metric_options_default(void)
{
    return (metric_options){.full = true,
                            .batch32 = true,
                            .other_shuffles = 20,
                            .transposed = true,
                            .corpus = true,
                            .fid_splits = 5,
                            .resamples = 1000};
}

metric_options metric_options_row(void)
{
    return (metric_options){.full = true, .batch32 = true, .resamples = 1000};
}

/* ---- batches ---- */

typedef struct keyed {
    const char *key;
    int64_t item;
} keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    int order = strcmp(x->key, y->key); /* byte-wise: code points of UTF-8 */
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

static me_code sorted_order(int64_t *order, me_arena *arena, const char *const *keys, int64_t n,
                            me_err *err)
{
    me_arena_mark mark = me_arena_get_mark(arena);
    keyed *k = ME_NEW_ARRAY(arena, n, keyed);
    if (!k) return me_fail_mem(err, "batches");
    for (int64_t i = 0; i < n; i++) k[i] = (keyed){keys[i], i};
    qsort(k, (size_t)n, sizeof *k, by_key);
    for (int64_t i = 0; i < n; i++) order[i] = k[i].item;
    me_arena_rewind(arena, mark);
    return ME_OK;
}

/* index[i] = sorted[shuffle[i]]. */
static void shuffled(int64_t *index, const int64_t *sorted, int64_t n, uint32_t seed)
{
    me_numpy_shuffle(seed, index, n);
    for (int64_t i = 0; i < n; i++) index[i] = sorted[index[i]];
}

me_code metric_batches_make(metric_batches *out, me_arena *arena, const char *const *keys,
                            int64_t n, int64_t batch_size, uint32_t seed, me_err *err)
{
    if (n > (int64_t)UINT32_MAX)
        return me_fail(err, ME_EDATA, "%lld items: NumPy's shuffle takes 32-bit sizes",
                       (long long)n);
    int64_t *sorted = ME_NEW_ARRAY(arena, n, int64_t), *index = ME_NEW_ARRAY(arena, n, int64_t);
    if (!sorted || !index) return me_fail_mem(err, "batches");
    me_code code = sorted_order(sorted, arena, keys, n, err);
    if (code != ME_OK) return code;
    shuffled(index, sorted, n, seed);
    *out = (metric_batches){n / batch_size, batch_size, n % batch_size, seed, index};
    return ME_OK;
}

/* ---- from ranks to scores ---- */

typedef double position_of(const metric_rank *r);

static double plain(const metric_rank *r)
{
    return metric_position(r);
}
static double best(const metric_rank *r)
{
    return metric_position_best(r);
}
static double worst(const metric_rank *r)
{
    return metric_position_worst(r);
}
static double same(const metric_rank *r)
{
    return metric_position_same(r);
}

/* Columns of all rank metrics for n queries in consecutive galleries of `batch`. */
static me_code rank_columns(metric_sink *sink, me_arena *arena, const metric_rank *ranks, int64_t n,
                            position_of *position, me_err *err)
{
    double *c = ME_NEW_ARRAY(arena, n, double);
    if (!c) return me_fail_mem(err, "ranks");
    for (int64_t i = 0; i < n; i++) c[i] = position(&ranks[i]);
    *sink = (metric_sink){.arena = arena, .n = n};
    metric_input in = {.n = n, .position = c};
    return metric_run_all(sink, &in, METRIC_NEEDS_RANKS, err);
}

/* The values alone, METRIC_MAX_COLUMNS at most; what it needs is given back to the arena. */
static me_code rank_values(double *values, me_arena *arena, const metric_rank *ranks, int64_t n,
                           int64_t batch, position_of *position, me_err *err)
{
    me_arena_mark mark = me_arena_get_mark(arena);
    metric_sink sink;
    double *scratch = ME_NEW_ARRAY(arena, batch, double);
    me_code code =
        scratch ? rank_columns(&sink, arena, ranks, n, position, err) : me_fail_mem(err, "ranks");
    for (int c = 0; code == ME_OK && c < sink.columns; c++)
        values[c] = metric_aggregate_column(sink.column[c].values, n, batch,
                                            sink.column[c].aggregate, scratch);
    me_arena_rewind(arena, mark);
    return code;
}

static me_code add_intervals(metric_block *b, const metric_sink *sink, const metric_options *o,
                             me_err *err)
{
    double lo[METRIC_MAX_COLUMNS], hi[METRIC_MAX_COLUMNS];
    me_code code = metric_bootstrap(lo, hi, sink->column, sink->columns, b->n, b->gallery,
                                    o->resamples, o->seed, err);
    for (int c = 0; code == ME_OK && c < b->scores; c++) {
        b->score[c].lo = lo[c];
        b->score[c].hi = hi[c];
    }
    return code;
}

/* Near-ties and duplicates: the same scores with ranks read otherwise. */
static me_code add_variants(metric_block *b, me_arena *arena, const metric_rank *ranks, me_err *err)
{
    double lo[METRIC_MAX_COLUMNS], hi[METRIC_MAX_COLUMNS], dup[METRIC_MAX_COLUMNS];
    me_code code = rank_values(lo, arena, ranks, b->n, b->gallery, best, err);
    if (code == ME_OK) code = rank_values(hi, arena, ranks, b->n, b->gallery, worst, err);
    if (code == ME_OK) code = rank_values(dup, arena, ranks, b->n, b->gallery, same, err);
    for (int c = 0; code == ME_OK && c < b->scores; c++) {
        b->score[c].tie_lo = fmin(lo[c], hi[c]);
        b->score[c].tie_hi = fmax(lo[c], hi[c]);
        b->score[c].same = dup[c];
    }
    b->near_gap = INFINITY;
    for (int64_t i = 0; i < b->n; i++) {
        b->near_pairs += ranks[i].near_above + ranks[i].near_below;
        b->near_gap = fmin(b->near_gap, ranks[i].gap);
    }
    return code;
}

/* A block of n queries whose ranks lie in the order of `index` (NULL: the set's own). */
static me_code make_block(metric_block **out, me_arena *arena, const metric_rank *ranks,
                          const int64_t *index, int64_t n, int64_t gallery, int64_t set_n,
                          const metric_options *o, me_err *err)
{
    metric_block *b = ME_NEW(arena, metric_block);
    metric_score *scores = ME_NEW_ARRAY(arena, METRIC_MAX_COLUMNS, metric_score);
    if (!b || !scores) return me_fail_mem(err, "scores");
    b->n = n;
    b->gallery = gallery;
    b->score = scores;
    b->rank = ME_NEW_ARRAY(arena, set_n, metric_rank);
    double *scratch = ME_NEW_ARRAY(arena, gallery, double);
    if (!b->rank || !scratch) return me_fail_mem(err, "scores");
    for (int64_t i = 0; i < n; i++) b->rank[index ? index[i] : i] = ranks[i];
    metric_sink sink;
    me_code code = rank_columns(&sink, arena, ranks, n, plain, err);
    if (code != ME_OK) return code;
    b->scores = sink.columns;
    for (int c = 0; c < sink.columns; c++) {
        const metric_column *column = &sink.column[c];
        b->score[c] = (metric_score){.label = column->label,
                                     .better = column->better,
                                     .value = metric_aggregate_column(column->values, n, gallery,
                                                                      column->aggregate, scratch),
                                     .lo = NAN,
                                     .hi = NAN,
                                     .shuffles_mean = NAN,
                                     .shuffles_sd = NAN};
    }
    code = add_variants(b, arena, ranks, err);
    if (code == ME_OK && o->resamples > 0) code = add_intervals(b, &sink, o, err);
    *out = b;
    return code;
}

/* ---- the evaluation ---- */

/* One of targets and sources as queries. */
typedef struct side {
    const double *query;
    const int64_t *group;
    metric_direction direction, transposed;
} side;

/* Ranks within consecutive batches of items index[0..count). */
static me_code batch_ranks(metric_rank *rows, metric_rank *columns, const side *s,
                           const double *generated, int64_t dim, const int64_t *index,
                           int64_t count, me_err *err)
{
    int failed = 0;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < count; b += METRIC_BATCH) {
        if (metric_rank_units(rows + b, columns ? columns + b : NULL, s->query, generated, dim,
                              index + b, METRIC_BATCH, s->group, NULL)) {
#pragma omp atomic write
            failed = 1;
        }
    }
    return failed ? me_fail_mem(err, "batch ranks") : ME_OK;
}

/* All batches of all shuffles are ranked in one go: threads meet once, not once a shuffle. */
static me_code add_other_shuffles(metric_block *b, const metric_evaluation *e, me_arena *arena,
                                  const side *s, const double *generated, me_err *err)
{
    const int shuffles = e->options.other_shuffles;
    const int64_t used = b->n;
    me_arena_mark mark = me_arena_get_mark(arena);
    int64_t *sorted = ME_NEW_ARRAY(arena, e->n, int64_t),
            *index = ME_NEW_ARRAY(arena, e->n, int64_t);
    int64_t *all = ME_NEW_ARRAY(arena, used * shuffles, int64_t);
    metric_rank *ranks = ME_NEW_ARRAY(arena, used * shuffles, metric_rank);
    double *values = ME_NEW_ARRAY(arena, (size_t)shuffles * METRIC_MAX_COLUMNS, double);
    double *one = ME_NEW_ARRAY(arena, shuffles, double);
    me_code code =
        sorted && index && all && ranks && values && one ? ME_OK : me_fail_mem(err, "shuffles");
    if (code == ME_OK) code = sorted_order(sorted, arena, e->keys, e->n, err);
    for (int k = 0; k < shuffles && code == ME_OK; k++) {
        shuffled(index, sorted, e->n, e->options.batch_seed + 1 + (uint32_t)k);
        memcpy(all + k * used, index, (size_t)used * sizeof *all);
    }
    if (code == ME_OK)
        code = batch_ranks(ranks, NULL, s, generated, e->dim, all, used * shuffles, err);
    for (int k = 0; k < shuffles && code == ME_OK; k++)
        code = rank_values(values + k * METRIC_MAX_COLUMNS, arena, ranks + k * used, used,
                           METRIC_BATCH, plain, err);
    for (int c = 0; c < b->scores && code == ME_OK; c++) {
        for (int k = 0; k < shuffles; k++) one[k] = values[k * METRIC_MAX_COLUMNS + c];
        b->score[c].shuffles_mean = metric_mean(one, shuffles);
        b->score[c].shuffles_sd = metric_sd(one, shuffles);
    }
    me_arena_rewind(arena, mark);
    return code;
}

static me_code full_side(metric_evaluation *e, me_arena *arena, const side *s,
                         const double *generated, me_err *err)
{
    metric_rank *rows = ME_NEW_ARRAY(arena, e->n, metric_rank);
    metric_rank *columns = e->options.transposed ? ME_NEW_ARRAY(arena, e->n, metric_rank) : NULL;
    if (!rows || (e->options.transposed && !columns)) return me_fail_mem(err, "ranks");
    me_code code =
        metric_rank_units(rows, columns, s->query, generated, e->dim, NULL, e->n, s->group, err);
    metric_options plain_options = e->options;
    plain_options.resamples = 0; /* the extra orientation goes without intervals */
    if (code == ME_OK)
        code = make_block(&e->full[s->direction], arena, rows, NULL, e->n, e->n, e->n, &e->options,
                          err);
    if (code == ME_OK && columns)
        code = make_block(&e->full[s->transposed], arena, columns, NULL, e->n, e->n, e->n,
                          &plain_options, err);
    return code;
}

static me_code batch_side(metric_evaluation *e, me_arena *arena, const side *s,
                          const double *generated, me_err *err)
{
    const int64_t used = e->batches.batches * METRIC_BATCH, *index = e->batches.index;
    metric_rank *rows = ME_NEW_ARRAY(arena, used, metric_rank);
    metric_rank *columns = e->options.transposed ? ME_NEW_ARRAY(arena, used, metric_rank) : NULL;
    if (!rows || (e->options.transposed && !columns)) return me_fail_mem(err, "ranks");
    me_code code = batch_ranks(rows, columns, s, generated, e->dim, index, used, err);
    metric_options plain_options = e->options;
    plain_options.resamples = 0;
    if (code == ME_OK)
        code = make_block(&e->batch32[s->direction], arena, rows, index, used, METRIC_BATCH, e->n,
                          &e->options, err);
    if (code == ME_OK && columns)
        code = make_block(&e->batch32[s->transposed], arena, columns, index, used, METRIC_BATCH,
                          e->n, &plain_options, err);
    if (code == ME_OK && e->options.other_shuffles > 0)
        code = add_other_shuffles(e->batch32[s->direction], e, arena, s, generated, err);
    return code;
}

/* Unit embeddings of a set, (n, dim) each. */
typedef struct unit_set {
    double *target, *generated, *source; /* source: NULL where the set has none */
} unit_set;

static me_code unit_and_groups(double *unit, metric_groups *groups, me_arena *arena, const float *x,
                               const metric_set *set, const char *what, me_err *err)
{
    me_code code = metric_unit(unit, x, set->keys, what, set->n, set->dim, err);
    if (code == ME_OK) code = metric_group(groups, arena, x, unit, set->n, set->dim, err);
    return code;
}

static me_code run_corpus(metric_evaluation *e, me_arena *arena, const metric_set *set, me_err *err)
{
    metric_sink *sink = ME_NEW(arena, metric_sink);
    if (!sink) return me_fail_mem(err, "metrics of the whole set");
    *sink = (metric_sink){.arena = arena, .n = set->n};
    metric_input in = {.n = set->n,
                       .dim = set->dim,
                       .target = set->target,
                       .generated = set->generated,
                       .seed = e->options.seed,
                       .splits = e->options.fid_splits,
                       .batch_used = e->batches.batches * METRIC_BATCH,
                       .batch_index = e->batches.index};
    me_code code = metric_run_all(sink, &in, METRIC_NEEDS_EMBEDDINGS, err);
    e->corpus = sink->columns;
    e->corpus_value = sink->column;
    return code;
}

static me_code evaluate(metric_evaluation *out, me_arena *arena, const metric_set *set,
                        const unit_set *unit, me_err *err)
{
    const metric_options *options = &out->options;
    me_code code =
        unit_and_groups(unit->target, &out->target_groups, arena, set->target, set, "target", err);
    if (code == ME_OK)
        code = unit_and_groups(unit->generated, &out->generated_groups, arena, set->generated, set,
                               "generated", err);
    if (code == ME_OK && unit->source)
        code = unit_and_groups(unit->source, &out->source_groups, arena, set->source, set, "source",
                               err);
    if (code == ME_OK)
        code = metric_batches_make(&out->batches, arena, set->keys, set->n, METRIC_BATCH,
                                   options->batch_seed, err);
    if (code != ME_OK) return code;
    if (out->batches.batches == 0) {
        out->no_batches = me_arena_printf(
            arena, "fewer than %d samples are evaluated (%lld): no batch can be filled",
            METRIC_BATCH, (long long)set->n);
        if (!out->no_batches) return me_fail_mem(err, "a reason");
    }
    const side sides[] = {
        {unit->target, out->target_groups.group, METRIC_TO_TARGET, METRIC_TARGET_TRANSPOSED},
        {unit->source, out->source_groups.group, METRIC_TO_SOURCE, METRIC_SOURCE_TRANSPOSED},
    };
    for (int s = 0; s < (unit->source ? 2 : 1) && code == ME_OK; s++) {
        if (options->full) code = full_side(out, arena, &sides[s], unit->generated, err);
        if (code == ME_OK && options->batch32 && out->batches.batches > 0)
            code = batch_side(out, arena, &sides[s], unit->generated, err);
    }
    if (code == ME_OK && options->corpus) code = run_corpus(out, arena, set, err);
    return code;
}

me_code metric_evaluate(metric_evaluation *out, me_arena *arena, const metric_set *set,
                        const metric_options *options, me_err *err)
{
    memset(out, 0, sizeof *out);
    out->options = *options;
    out->n = set->n;
    out->dim = set->dim;
    out->keys = set->keys;
    if (set->n < 1) return me_fail(err, ME_EDATA, "no sample to score: no key is in both sets");
    /* Not from the arena, which would clear what is overwritten at once. */
    size_t count, bytes;
    if (!me_mul_size((size_t)set->n, (size_t)set->dim, &count) ||
        !me_mul_size(count, 3 * sizeof(double), &bytes))
        return me_fail_mem(err, "unit embeddings");
    double *units = malloc(bytes + 1);
    if (!units) return me_fail_mem(err, "unit embeddings");
    const unit_set unit = {units, units + count, set->source ? units + 2 * count : NULL};
    me_code code = evaluate(out, arena, set, &unit, err);
    free(units);
    return code;
}

double metric_block_value(const metric_block *b, const char *label)
{
    for (int c = 0; b && c < b->scores; c++)
        if (strcmp(b->score[c].label, label) == 0) return b->score[c].value;
    return NAN;
}

double metric_chance(const char *label, int64_t n)
{
    if (strcmp(label, "MedR") == 0 || strcmp(label, "AvgR") == 0) return (double)(n + 1) / 2;
    if (strncmp(label, "R@", 2) != 0) return NAN;
    return fmin(100, 100 * strtod(label + 2, NULL) / (double)n);
}
