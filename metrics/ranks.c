/* metrics/ranks.c: see ranks.h. Not here: which items form a gallery (protocol.c). */
#include "metrics/ranks.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/dots_priv.h"
#include "metrics/ranks_filter_priv.h"

me_code metric_unit(double *out, const float *e, const char *const *keys, const char *what,
                    int64_t n, int64_t dim, me_err *err)
{
    int64_t bad = n;
#pragma omp parallel for schedule(static) reduction(min : bad) if (n * dim > 1 << 16)
    for (int64_t i = 0; i < n; i++) {
        const float *x = e + i * dim;
        double sum = 0;
        for (int64_t k = 0; k < dim; k++) sum += (double)x[k] * x[k];
        if (!isfinite(sum) && i < bad) bad = i;
        double norm = fmax(sqrt(sum), 1e-12); /* the reference's floor */
        for (int64_t k = 0; k < dim; k++) out[i * dim + k] = x[k] / norm;
    }
    if (bad == n) return ME_OK;
    if (keys)
        return me_fail(err, ME_EDATA, "%s: the embedding of its %s motion is not finite", keys[bad],
                       what);
    return me_fail(err, ME_EDATA, "the embedding of %s motion %lld is not finite", what,
                   (long long)bad);
}

/* ---- counting against one threshold ---- */

/* The exact look at values of which some lie close to the query's own similarity: ties and
 * near-ties. */
static void count_close(metric_rank *r, const double *s, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        double gap = s[j] - r->similarity;
        r->equal += gap == 0;
        r->near_above += gap > 0 && gap < METRIC_NEAR_TIE;
        r->near_below += gap < 0 && gap > -METRIC_NEAR_TIE;
    }
}

static metric_rank rank_start(double similarity, double best)
{
    return (metric_rank){.similarity = similarity, .gap = INFINITY, .same_best = best};
}

/* Members of the query's group never compete with each other. */
static void finish_same(metric_rank *r, bool grouped, int64_t members_at_best)
{
    if (grouped) {
        r->same_equal -= members_at_best;
    } else {
        r->same_above = r->above;
        r->same_equal = r->equal - 1;
    }
}

/* ---- a given matrix ---- */

me_code metric_rank_matrix(metric_rank *out, const double *s, int64_t n, bool transposed,
                           const int64_t *group, me_err *err)
{
    const int64_t row = transposed ? 1 : n, column = transposed ? n : 1;
    for (int64_t i = 0; i < n; i++) {
        const double *x = s + i * row;
        double best = x[i * column];
        for (int64_t j = 0; j < n; j++) {
            if (!isfinite(x[j * column]))
                return me_fail(err, ME_EDATA,
                               "similarity of query %lld with item %lld is not finite",
                               (long long)i, (long long)j);
            if (group && group[i] == group[j]) best = fmax(best, x[j * column]);
        }
        metric_rank r = rank_start(x[i * column], best);
        for (int64_t j = 0; j < n; j++) {
            double value = x[j * column];
            bool mine = group ? group[i] == group[j] : i == j;
            r.above += value > r.similarity;
            if (value != r.similarity) r.gap = fmin(r.gap, fabs(value - r.similarity));
            count_close(&r, &value, 1);
            r.same_above += !mine && value > best;
            r.same_equal += !mine && value == best;
        }
        out[i] = r;
    }
    return ME_OK;
}

/* ---- from unit embeddings, strip by strip ---- */

/* The members of each group, listed: member[start[g] .. start[g] + size[g]). Items alone are not
 * listed. */
typedef struct group_lists {
    int64_t *next; /* (m) the next member of a circular list, or -1 for an item alone */
    bool any;
} group_lists;

typedef struct tiles {
    const double *query, *gallery; /* whole sets; item p is row at(p) */
    int64_t dim, m;
    const int64_t *index;
    dots_panels panels;
    rank_filter filter;
    bool *ranked; /* (blocks of DOTS_ROWS) by the filter; NULL: none */
    group_lists groups;
    metric_rank *rows, *columns;
    double *column_own, *column_best; /* (m) thresholds of the transposed direction */
} tiles;

/* What one thread counts for the transposed direction. */
typedef struct column_counts {
    int64_t *above, *best_above, *best_equal; /* (m) each */
    double *gap;                              /* (m) */
    metric_rank *close;                       /* (m) ties and near-ties */
} column_counts;

static int64_t at(const tiles *t, int64_t p)
{
    return t->index ? t->index[p] : p;
}

static double pair(const tiles *t, int64_t query, int64_t gallery)
{
    return metric_dots_one(t->query + at(t, query) * t->dim, t->gallery + at(t, gallery) * t->dim,
                           t->dim);
}

static me_code make_lists(group_lists *out, const tiles *t, const int64_t *group, me_err *err)
{
    if (!group) return ME_OK;
    int64_t largest = 0;
    for (int64_t p = 0; p < t->m; p++)
        largest = group[at(t, p)] > largest ? group[at(t, p)] : largest;
    int64_t *last = malloc((size_t)(largest + 1) * sizeof *last);
    out->next = malloc((size_t)t->m * sizeof *out->next);
    if (!last || !out->next) {
        free(last);
        return me_fail_mem(err, "groups of identical motions");
    }
    for (int64_t g = 0; g <= largest; g++) last[g] = -1;
    for (int64_t p = 0; p < t->m; p++) {
        int64_t before = last[group[at(t, p)]];
        out->next[p] = -1;
        if (before >= 0) { /* close the ring behind the newest member */
            out->next[p] = out->next[before] >= 0 ? out->next[before] : before;
            out->next[before] = p;
            out->any = true;
        }
        last[group[at(t, p)]] = p;
    }
    free(last);
    return ME_OK;
}

/* The best similarity of query p with a member of its group, and how many members have it. */
static double group_best(int64_t *members, const tiles *t, int64_t p, bool transposed)
{
    double best = pair(t, p, p);
    *members = 1;
    if (!t->groups.any || t->groups.next[p] < 0) return best;
    for (int64_t j = t->groups.next[p]; j != p; j = t->groups.next[j]) {
        double s = transposed ? pair(t, j, p) : pair(t, p, j);
        if (s > best) *members = 0;
        *members += s >= best;
        best = fmax(best, s);
    }
    return best;
}

static void count_rows(const tiles *t, const dots_kernel *kernel, const double *strip,
                       int64_t first, int64_t used, int64_t columns)
{
    for (int64_t i = 0; i < used; i++) {
        metric_rank *r = &t->rows[first + i];
        const double *s = strip + i * DOTS_STRIP;
        int close = 0;
        r->above += kernel->above(&r->gap, &close, s, columns, r->similarity);
        if (close) count_close(r, s, columns);
        if (t->groups.any && t->groups.next[first + i] >= 0) {
            for (int64_t j = 0; j < columns; j++) {
                r->same_above += s[j] > r->same_best;
                r->same_equal += s[j] == r->same_best;
            }
        }
    }
}

static void count_columns(const tiles *t, const dots_kernel *kernel, column_counts *c,
                          const double *strip, int64_t used, int64_t first, int64_t columns)
{
    for (int64_t i = 0; i < used; i++) {
        const double *s = strip + i * DOTS_STRIP;
        if (kernel->above_each(c->above + first, c->gap + first, s, t->column_own + first,
                               columns)) {
            for (int64_t j = 0; j < columns; j++) count_close(&c->close[first + j], &s[j], 1);
        }
        if (!t->groups.any) continue;
        for (int64_t j = 0; j < columns; j++) {
            c->best_above[first + j] += s[j] > t->column_best[first + j];
            c->best_equal[first + j] += s[j] == t->column_best[first + j];
        }
    }
}

static bool column_counts_new(column_counts *c, const tiles *t)
{
    int64_t *counts = calloc((size_t)t->m * 3, sizeof *counts);
    c->close = calloc((size_t)t->m, sizeof *c->close);
    c->gap = calloc((size_t)t->m, sizeof *c->gap);
    c->above = counts;
    if (!counts || !c->close || !c->gap) return false;
    c->best_above = counts + t->m;
    c->best_equal = counts + 2 * t->m;
    for (int64_t p = 0; p < t->m; p++) {
        c->close[p] = rank_start(t->column_own[p], t->column_best[p]);
        c->gap[p] = INFINITY;
    }
    return true;
}

static void column_counts_free(column_counts *c)
{
    free(c->above);
    free(c->close);
    free(c->gap);
}

static void column_counts_add(const tiles *t, const column_counts *c)
{
    for (int64_t p = 0; p < t->m; p++) {
        metric_rank *r = &t->columns[p];
        r->above += c->above[p];
        r->same_above += c->best_above[p];
        r->same_equal += c->best_equal[p];
        r->equal += c->close[p].equal;
        r->near_above += c->close[p].near_above;
        r->near_below += c->close[p].near_below;
        r->gap = fmin(r->gap, c->gap[p]);
    }
}

/* Eight queries against the whole gallery. */
static void one_block(const tiles *t, const dots_kernel *kernel, column_counts *counts,
                      int64_t first)
{
    double strip[DOTS_ROWS * DOTS_STRIP];
    const double *rows[DOTS_ROWS];
    int64_t used = t->m - first < DOTS_ROWS ? t->m - first : DOTS_ROWS;
    for (int64_t r = 0; r < DOTS_ROWS; r++)
        rows[r] = t->query + at(t, r < used ? first + r : first) * t->dim;
    for (int64_t j = 0; j < t->m; j += DOTS_STRIP) {
        int64_t columns = t->m - j < DOTS_STRIP ? t->m - j : DOTS_STRIP;
        kernel->strip(strip, DOTS_STRIP, rows, &t->panels, j, (columns + 7) / 8);
        count_rows(t, kernel, strip, first, used, columns);
        if (t->columns) count_columns(t, kernel, counts, strip, used, j, columns);
    }
}

/* Batches of 32 are ranked by one thread: their caller spreads the batches. */
static int threads_for(const tiles *t)
{
    return t->m * t->m * t->dim > 1 << 20 ? omp_get_max_threads() : 1;
}

static bool run_tiles(const tiles *t)
{
    const dots_kernel *kernel = metric_dots_kernel_at(0);
    const int threads = threads_for(t);
    column_counts *counts = calloc((size_t)threads, sizeof *counts);
    bool ok = counts != NULL;
    for (int k = 0; ok && t->columns && k < threads; k++) ok = column_counts_new(&counts[k], t);
    if (ok) {
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
        for (int64_t i = 0; i < t->m; i += DOTS_ROWS)
            if (!t->ranked || !t->ranked[i / DOTS_ROWS])
                one_block(t, kernel, &counts[threads > 1 ? omp_get_thread_num() : 0], i);
    }
    for (int k = 0; counts && k < threads; k++) {
        if (ok && t->columns) column_counts_add(t, &counts[k]);
        column_counts_free(&counts[k]);
    }
    free(counts);
    return ok;
}

/* ---- the same by a look in single precision ----
 *
 * Of a query's similarities only those near its own can change the rank by their last digits, and
 * only the nearest one gives the gap: these are computed exactly. */

typedef struct close_pairs {
    filter_counts in_f32;
    double nearest; /* exact, of in_f32.nearest */
} close_pairs;

static void find_close(close_pairs *out, const tiles *t, const float *s, int64_t p)
{
    filter_counts *c = &out->in_f32;
    const double own = t->rows[p].similarity;
    metric_filter_count(c, s, t->m, p, (float)own);
    double gap = 0;
    if (c->nearest >= 0) {
        out->nearest = pair(t, p, c->nearest);
        gap = fabs(out->nearest - own);
        if (gap == 0) gap = INFINITY; /* a tie is no gap: the next one decides, however far */
    }
    const double reach = fmax(gap, METRIC_NEAR_TIE) + 2 * (double)t->filter.error;
    metric_filter_reach(c, s, t->m, p, (float)own, (float)(1.0001 * reach));
}

static void count_filtered(const tiles *t, const close_pairs *close, const float *s, int64_t p)
{
    const filter_counts *c = &close->in_f32;
    metric_rank *r = &t->rows[p];
    const float threshold = (float)r->similarity;
    r->above = c->above;
    r->equal = 1; /* its own */
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t j = c->column[i];
        const double exact = j == c->nearest ? close->nearest : pair(t, p, j);
        const double gap = fabs(exact - r->similarity);
        r->above += (exact > r->similarity) - (s[j] > threshold);
        if (gap > 0) r->gap = fmin(r->gap, gap);
        count_close(r, &exact, 1);
    }
}

/* False where too much lies too close together, and nothing was counted. */
static bool one_filtered_block(const tiles *t, float *s, int64_t first)
{
    close_pairs close[DOTS_ROWS];
    const int64_t used = t->m - first < DOTS_ROWS ? t->m - first : DOTS_ROWS;
    metric_filter_rows(s, &t->filter, first);
    for (int64_t i = 0; i < used; i++) {
        find_close(&close[i], t, s + i * t->filter.padded, first + i);
        if (close[i].in_f32.n < 0) return false;
    }
    for (int64_t i = 0; i < used; i++)
        count_filtered(t, &close[i], s + i * t->filter.padded, first + i);
    return true;
}

/* Ranks what it can, and says so in t->ranked; *all: there is nothing left. False: out of memory.
 */
static bool run_filter(tiles *t, bool *all)
{
    const int threads = threads_for(t);
    const int64_t blocks = (t->m + DOTS_ROWS - 1) / DOTS_ROWS;
    t->ranked = calloc((size_t)blocks, sizeof *t->ranked);
    if (!t->ranked || !metric_filter_open(&t->filter, t->query, t->gallery, t->index, t->m, t->dim))
        return false;
    const int64_t row = FILTER_ROWS * t->filter.padded;
    float *similarities = malloc((size_t)(row * threads) * sizeof *similarities);
    if (!similarities) return false;
    int64_t done = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(+ : done) if (threads > 1)
    for (int64_t block = 0; block < blocks; block++) {
        float *s = similarities + (threads > 1 ? omp_get_thread_num() : 0) * row;
        t->ranked[block] = one_filtered_block(t, s, block * DOTS_ROWS);
        done += t->ranked[block];
    }
    free(similarities);
    *all = done == blocks;
    return true;
}

static void start_thresholds(tiles *t, int64_t *members)
{
#pragma omp parallel for schedule(static) if (t->m > 256)
    for (int64_t p = 0; p < t->m; p++) {
        double own = pair(t, p, p);
        t->rows[p] = rank_start(own, group_best(&members[p], t, p, false));
        if (!t->columns) continue;
        t->column_own[p] = own;
        t->column_best[p] = group_best(&members[t->m + p], t, p, true);
        t->columns[p] = rank_start(own, t->column_best[p]);
    }
}

me_code metric_rank_units(metric_rank *rows, metric_rank *columns, const double *query,
                          const double *gallery, int64_t dim, const int64_t *index, int64_t m,
                          const int64_t *group, me_err *err)
{
    if (m <= 0) return ME_OK;
    tiles t = {.query = query,
               .gallery = gallery,
               .dim = dim,
               .m = m,
               .index = index,
               .rows = rows,
               .columns = columns};
    me_code code = make_lists(&t.groups, &t, group, err);
    double *thresholds = calloc((size_t)m * 2, sizeof *thresholds);
    int64_t *members = calloc((size_t)m * 2, sizeof *members);
    if (code == ME_OK && (!thresholds || !members)) code = me_fail_mem(err, "ranks");
    if (code != ME_OK) goto done;
    t.column_own = thresholds;
    t.column_best = thresholds + m;
    start_thresholds(&t, members);
    /* The transposed direction and groups want all similarities; small galleries are not worth a
     * look. */
    bool all = false, ok = true;
    if (!columns && !t.groups.any && m >= FILTER_LEAST) ok = run_filter(&t, &all);
    if (ok && !all) ok = metric_dots_pack(&t.panels, gallery, index, m, dim) && run_tiles(&t);
    if (!ok) {
        code = me_fail_mem(err, "ranks");
        goto done;
    }
    for (int64_t p = 0; p < m; p++) {
        bool grouped = t.groups.any && t.groups.next[p] >= 0;
        finish_same(&rows[p], grouped, members[p]);
        if (columns) finish_same(&columns[p], grouped, members[m + p]);
    }
done:
    free(t.ranked);
    metric_filter_close(&t.filter);
    metric_dots_unpack(&t.panels);
    free(t.groups.next);
    free(thresholds);
    free(members);
    return code;
}
