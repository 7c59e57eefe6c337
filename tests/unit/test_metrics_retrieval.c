/* The threshold protocol on similarities that can be checked by eye. */
#include <criterion/criterion.h>

#include "metrics/retrieval.h"

/* Queries are unit vectors of three axes; the gallery's rows are chosen so that S = query .
 * gallery. */
static const double queries[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
/* column j of S is gallery row j: S[0] = .9 .8 .1; S[1] = .7 .2 .6; S[2] = .1 .3 .5 */
static const double gallery[9] = {.9, .7, .1, .8, .2, .3, .1, .6, .5};

Test(retrieval, without_sentences_only_the_own_item_counts)
{
    metric_retrieval r;
    cr_assert_eq(metric_retrieve(&r, queries, gallery, 3, NULL, 0, 0, 3, 0, NULL, NULL), ME_OK);
    cr_assert_eq(r.n, 3);
    cr_assert_float_eq(r.r1, 200.0 / 3, 1e-12);
    cr_assert_float_eq(r.r2, 200.0 / 3, 1e-12);
    cr_assert_float_eq(r.r3, 100, 1e-12);
    cr_assert_float_eq(r.avg, (1 + 3 + 1) / 3.0, 1e-12);
    cr_assert_float_eq(r.med, 1, 1e-12);
}

Test(retrieval, the_best_ranked_of_equal_sentences_counts)
{
    static const double sentence[6] = {1, 0, 1, 0, 0, 1}; /* the first two say the same */
    metric_retrieval r;
    cr_assert_eq(metric_retrieve(&r, queries, gallery, 3, sentence, 2, 0.95, 3, 0, NULL, NULL),
                 ME_OK);
    cr_assert_float_eq(r.r1, 100, 1e-12);
    cr_assert_float_eq(r.avg, 1, 1e-12);
}

Test(retrieval, batches_follow_the_index_and_drop_the_rest)
{
    static const int64_t order[3] = {1, 2, 0};
    metric_retrieval r;
    cr_assert_eq(metric_retrieve(&r, queries, gallery, 3, NULL, 0, 0, 3, 2, order, NULL), ME_OK);
    cr_assert_eq(r.n, 2);
    cr_assert_eq(r.gallery, 2);
    /* items 1 and 2: query 1 finds .2 and .6, query 2 finds .3 and .5 */
    cr_assert_float_eq(r.r1, 50, 1e-12);
    cr_assert_eq(metric_retrieve(&r, queries, gallery, 3, NULL, 0, 0, 3, 32, NULL, NULL), ME_OK);
    cr_assert_eq(r.n, 0);
}

Test(retrieval, a_tie_with_a_stranger_counts_half)
{
    static const double flat[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    metric_retrieval r;
    cr_assert_eq(metric_retrieve(&r, queries, flat, 3, NULL, 0, 0, 3, 0, NULL, NULL), ME_OK);
    cr_assert_float_eq(r.avg, 2, 1e-12);
    cr_assert_float_eq(r.r1, 0, 1e-12);
}
