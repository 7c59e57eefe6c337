/* metrics/ranks_filter_priv.h: similarities in single precision, with a bound on their error, that
 * tell which of the exact ones a rank needs at all. Inside metrics/ only.
 */
#ifndef METRICS_RANKS_FILTER_PRIV_H
#define METRICS_RANKS_FILTER_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#define FILTER_ROWS 8   /* queries at a time */
#define FILTER_PANEL 16 /* columns that one panel interleaves */
#define FILTER_MOST 32  /* pairs of one query that are looked at exactly */
#define FILTER_LEAST 64 /* items of a gallery that is worth it */

typedef struct rank_filter {
    float *query; /* (m, dim) */
    float *panel; /* (padded / 16, dim, 16), missing columns as zeros */
    int64_t m, padded, dim;
    float
        error; /* of a similarity of unit vectors, and of its distance from a threshold, at most */
} rank_filter;

/* Rows index[0..m) (NULL: 0..m-1) of both sets. False when memory is out; the last frees. */
bool metric_filter_open(rank_filter *out, const double *query, const double *gallery,
                        const int64_t *index, int64_t m, int64_t dim);
void metric_filter_close(rank_filter *f);

/* out[r * f->padded + j] = query first + r times column j; rows behind the last repeat it. */
void metric_filter_rows(float *out, const rank_filter *f, int64_t first);

/* What the similarities `s` of query `own` say about a threshold that is its own similarity. */
typedef struct filter_counts {
    int64_t above;   /* s[j] > threshold */
    int64_t nearest; /* the column nearest to the threshold, `own` left out; -1: none */
    int64_t n;       /* columns within reach, `own` left out, ascending; -1: too many */
    int64_t column[FILTER_MOST];
} filter_counts;

void metric_filter_count(filter_counts *out, const float *s, int64_t m, int64_t own,
                         float threshold);
/* Lists the columns within `reach` of the threshold. */
void metric_filter_reach(filter_counts *out, const float *s, int64_t m, int64_t own,
                         float threshold, float reach);

#endif
