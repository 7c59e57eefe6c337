/* metrics/groups.c: identical and nearly identical motions (ranks.h; spec evaluation 8, trap 6). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "metrics/ranks.h"

enum { LEADING = 4 };

typedef struct order_key {
    double lead[LEADING]; /* leading coordinates of the unit vector; 0 behind its end */
    int64_t item;
} order_key;

static int by_first(const void *a, const void *b)
{
    const order_key *x = a, *y = b;
    if (x->lead[0] != y->lead[0]) return x->lead[0] < y->lead[0] ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

/* cosine above 1 - METRIC_NEAR_DUPLICATE: |u - v|^2 = 2 - 2 cos. Most pairs are refuted by a few
 * terms. */
static bool nearly_equal(const double *u, const double *v, int64_t dim)
{
    double sum = 0;
    for (int64_t k = 0; k < dim && sum < 2 * METRIC_NEAR_DUPLICATE; k++)
        sum += (u[k] - v[k]) * (u[k] - v[k]);
    return sum < 2 * METRIC_NEAR_DUPLICATE;
}

/* False where the leading coordinates alone are too far apart: most pairs need no look at their
 * rows, which lie far apart in memory. */
static bool perhaps_equal(const order_key *a, const order_key *b)
{
    double sum = 0;
    for (int k = 0; k < LEADING; k++) sum += (a->lead[k] - b->lead[k]) * (a->lead[k] - b->lead[k]);
    return sum < 2 * METRIC_NEAR_DUPLICATE;
}

/* Makes every entry its representative: one that leads on leads to a smaller number, which was done
 * before. */
static void count_groups(int64_t *groups, int64_t *items, int64_t *group, int64_t *size, int64_t n)
{
    memset(size, 0, (size_t)n * sizeof *size);
    for (int64_t i = 0; i < n; i++) {
        group[i] = group[group[i]];
        size[group[i]]++;
    }
    *groups = *items = 0;
    for (int64_t i = 0; i < n; i++) {
        *groups += size[i] > 1;
        *items += size[i] > 1 ? size[i] : 0;
    }
}

/* The representative while other threads unite: they only ever lower an entry, and an outdated one
 * leads to the same place. */
static int64_t find_shared(const int64_t *group, int64_t i)
{
    int64_t up;
    while ((up = __atomic_load_n(&group[i], __ATOMIC_RELAXED)) != i) i = up;
    return i;
}

static void unite_shared(int64_t *group, int64_t a, int64_t b)
{
    a = find_shared(group, a);
    b = find_shared(group, b);
    if (a != b) __atomic_store_n(&group[a > b ? a : b], a < b ? a : b, __ATOMIC_RELAXED);
}

/* Near neighbours lie in a window of the leading coordinate. Where everything is one motion the
 * window holds all, so pairs that are united already are passed over. The groups do not depend on
 * the order in which pairs are united, so threads share the work. */
static void unite_near(int64_t *group, order_key *keys, const double *unit, int64_t n, int64_t dim)
{
    qsort(keys, (size_t)n, sizeof *keys, by_first);
    const double window = sqrt(2 * METRIC_NEAR_DUPLICATE);
#pragma omp parallel for schedule(dynamic, 16) if (n > 128)
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = keys[i].item;
        for (int64_t j = i + 1; j < n && keys[j].lead[0] - keys[i].lead[0] <= window; j++) {
            const int64_t b = keys[j].item;
            if (!perhaps_equal(&keys[i], &keys[j]) ||
                find_shared(group, a) == find_shared(group, b) ||
                !nearly_equal(unit + a * dim, unit + b * dim, dim))
                continue;
#pragma omp critical(metric_unite_near)
            unite_shared(group, a, b);
        }
    }
}

/* Identical rows, by a table of the first of each that was met: `places` are the slots, a power of
 * two above n, each an item + 1. */
static void unite_identical(int64_t *group, int64_t *places, size_t slots, const uint64_t *hash,
                            const float *e, int64_t n, int64_t dim)
{
    const size_t bytes = (size_t)dim * sizeof *e;
    for (int64_t i = 0; i < n; i++) {
        size_t at = hash[i] & (slots - 1);
        for (; places[at]; at = (at + 1) & (slots - 1)) {
            const int64_t j = places[at] - 1;
            if (hash[i] == hash[j] && memcmp(e + i * dim, e + j * dim, bytes) == 0) {
                group[i] = j;
                break;
            }
        }
        if (!places[at]) places[at] = i + 1;
    }
}

me_code metric_group(metric_groups *out, me_arena *arena, const float *e, const double *unit,
                     int64_t n, int64_t dim, me_err *err)
{
    memset(out, 0, sizeof *out);
    size_t slots = 16;
    while (slots < 2 * (size_t)n) slots *= 2;
    out->group = ME_NEW_ARRAY(arena, n, int64_t);
    out->near_group = ME_NEW_ARRAY(arena, n, int64_t);
    order_key *keys = ME_NEW_ARRAY(arena, n, order_key);
    int64_t *size = ME_NEW_ARRAY(arena, n, int64_t), *places = ME_NEW_ARRAY(arena, slots, int64_t);
    uint64_t *hash = ME_NEW_ARRAY(arena, n, uint64_t);
    if (!out->group || !out->near_group || !keys || !size || !places || !hash)
        return me_fail_mem(err, "groups of identical motions");
#pragma omp parallel for schedule(static) if (n > 128)
    for (int64_t i = 0; i < n; i++) {
        out->group[i] = i;
        hash[i] = me_hash64(e + i * dim, (size_t)dim * sizeof *e, 0);
        keys[i].item = i;
        for (int64_t k = 0; k < LEADING && k < dim; k++) keys[i].lead[k] = unit[i * dim + k];
    }
    unite_identical(out->group, places, slots, hash, e, n, dim);
    memcpy(out->near_group, out->group, (size_t)n * sizeof *out->group);
    unite_near(out->near_group, keys, unit, n, dim);
    count_groups(&out->identical, &out->identical_items, out->group, size, n);
    count_groups(&out->near, &out->near_items, out->near_group, size, n);
    return ME_OK;
}
