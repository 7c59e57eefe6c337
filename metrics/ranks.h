/* metrics/ranks.h: cosine similarity in double and the rank of each query's own item (spec
 * evaluation 5.1, 5.4, 5.7).
 *
 * Exact ties matter: the reference averages tied positions, and several triplets of the field share
 * one motion. Every dot product is therefore summed in the same order (element 0 first, no fused
 * multiply-add), whatever the block, the thread or the width of the machine's vectors: equal
 * embeddings give equal similarities, bit for bit, and results do not depend on the number of
 * threads.
 *
 * The reference compares float32 similarities. We compare doubles: where the reference's float32
 * ordering is certain, both agree; where it is not, the pair is counted as a near-tie.
 */
#ifndef METRICS_RANKS_H
#define METRICS_RANKS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"

/* Pairs closer than this may be ordered otherwise by a float32 run on another machine (spec 5.7).
 */
#define METRIC_NEAR_TIE 2e-6

/* out (n,dim) = e / max(|e|, 1e-12). A value that is not finite is ME_EDATA naming keys[row] (or
 * the row number where keys is NULL) and `what` ("generated"). */
me_code metric_unit(double *out, const float *e, const char *const *keys, const char *what,
                    int64_t n, int64_t dim, me_err *err);

/* out (n,m) = a (n,dim) times b (m,dim) transposed, every element summed in index order. Uses all
 * threads of OpenMP; out of memory is the only failure. */
me_code metric_dots(double *out, const double *a, const double *b, int64_t n, int64_t m,
                    int64_t dim, me_err *err);

/* What is known of one query against one gallery. */
typedef struct metric_rank {
    double similarity;  /* with its own item: S[i][i] */
    int64_t above;      /* g: items more similar than its own */
    int64_t equal;      /* e: items exactly as similar, its own included */
    int64_t near_above; /* of `above`, those within METRIC_NEAR_TIE */
    int64_t near_below; /* less similar, but within METRIC_NEAR_TIE */
    double gap;         /* smallest non-zero distance to its own; INFINITY when there is none */
    double same_best;   /* duplicate-aware: best similarity of an item of its own group */
    int64_t same_above; /* items outside the group above that */
    int64_t same_equal; /* items outside the group equal to that */
} metric_rank;

/* c = g + (e-1)/2: 0-based, ties averaged. R@k counts c < k. */
static inline double metric_position(const metric_rank *r)
{
    return (double)r->above + (double)(r->equal - 1) / 2;
}
/* The same where near-ties all fall in the query's favour, or all against it. */
static inline double metric_position_best(const metric_rank *r)
{
    return metric_position(r) - (double)r->near_above;
}
static inline double metric_position_worst(const metric_rank *r)
{
    return metric_position(r) + (double)r->near_below;
}
/* Where any item of the query's own group counts as right: competitors above the best of them, and
 * half of those equal to it. */
static inline double metric_position_same(const metric_rank *r)
{
    return (double)r->same_above + (double)r->same_equal / 2;
}

/* Ranks of all rows of s (n,n) against the diagonal. With `transposed` columns are the queries.
 * `group` (n) numbers identical references (equal number: identical); NULL: all different. A value
 * that is not finite is ME_EDATA naming the row. */
me_code metric_rank_matrix(metric_rank *out, const double *s, int64_t n, bool transposed,
                           const int64_t *group, me_err *err);

/* The same from unit embeddings, without ever holding the matrix: query i and gallery i belong
 * together. rows (n) has the queries' ranks, columns (n) those of the transposed direction (NULL:
 * not wanted). `index` (m) picks and orders items (NULL: all n = m of them); `out` is in its order.
 * Tiles are spread over threads; the result does not depend on their number. */
me_code metric_rank_units(metric_rank *rows, metric_rank *columns, const double *query,
                          const double *gallery, int64_t dim, const int64_t *index, int64_t m,
                          const int64_t *group, me_err *err);

/* ---- duplicates ---- */
typedef struct metric_groups {
    int64_t *group;    /* (n) the smallest index of the item's group of identical items */
    int64_t identical; /* groups with two members or more */
    int64_t identical_items;
    int64_t *near_group; /* (n) the same for nearly identical ones, identical included */
    int64_t near;        /* groups of nearly identical ones, with two members or more */
    int64_t near_items;
} metric_groups;

/* Unit embeddings nearer than this (cosine above 1 - it) are called nearly identical. */
#define METRIC_NEAR_DUPLICATE 1e-5

/* Identical: equal bytes of the embedding, which equal inputs have, since each is encoded once. */
me_code metric_group(metric_groups *out, me_arena *arena, const float *e, const double *unit,
                     int64_t n, int64_t dim, me_err *err);

#endif
