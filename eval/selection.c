/* eval/selection.c: see selection.h. */
#include "eval/selection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

/* In the order of motion_split; "all" stands for any. */
static const char *const split_names[] = {"train", "val", "test", "all"};

enum { ALL = sizeof split_names / sizeof *split_names - 1 };

static bool in_split(const motion_pair *p, int split)
{
    return split == ALL || (int)p->split == split;
}

/* Index into split_names, or -1. */
static int find_split(const char *name)
{
    for (int i = 0; i <= ALL; i++)
        if (!strcmp(name, split_names[i])) return i;
    return -1;
}

static me_code choose_split(eval_selection *out, const motion_dataset *d, const char *split,
                            me_err *err)
{
    out->split_known = d->has_split;
    out->split = split ? split : d->has_split ? "test" : "all";
    if (find_split(out->split) < 0)
        return me_fail(err, ME_EUSAGE, "no split '%s' (train, val, test or all)", out->split);
    if (split && strcmp(split, "all") && !d->has_split)
        return me_fail(
            err, ME_EDATA,
            "--split %s: the dataset has no splits.json beside it (give one with --splits)", split);
    return ME_OK;
}

me_code eval_select(eval_selection *out, me_arena *arena, const motion_dataset *d,
                    const char *split, const char *subset, me_err *err)
{
    *out = (eval_selection){0};
    me_code code = choose_split(out, d, split, err);
    if (code) return code;
    int64_t *of_split = ME_NEW_ARRAY(arena, d->n, int64_t);
    const char **keys = ME_NEW_ARRAY(arena, d->n, const char *);
    out->pair = ME_NEW_ARRAY(arena, d->n, int64_t);
    out->keys = ME_NEW_ARRAY(arena, d->n, const char *);
    if (!of_split || !keys || !out->pair || !out->keys) return me_fail_mem(err, "the selection");
    const int wanted = find_split(out->split);
    for (int64_t i = 0; i < d->n; i++) {
        if (!in_split(&d->pairs[i], wanted)) continue;
        of_split[out->split_n] = i;
        keys[out->split_n++] = d->pairs[i].key;
    }
    if (!out->split_n)
        return me_fail(err, ME_EDATA, "the dataset's %lld pairs hold none of the split '%s'",
                       (long long)d->n, out->split);
    code =
        metric_subset_make(&out->subset, arena, subset ? subset : "all", keys, out->split_n, err);
    if (code) return code;
    out->n = out->subset.n;
    for (int64_t i = 0; i < out->n; i++) {
        out->pair[i] = of_split[out->subset.index[i]];
        out->keys[i] = d->pairs[out->pair[i]].key;
    }
    return ME_OK;
}

static bool all_digits(const char *s)
{
    return *s && strspn(s, "0123456789") == strlen(s);
}

/* Why nothing matches: the commonest cause is a number written without its zeros. */
static me_code nothing_matches(const eval_selection *sel, const motion_set *set, me_err *err)
{
    const char *sample = set->samples[0].key, *key = sel->keys[0];
    for (int64_t i = 0; i < set->n; i++) {
        char padded[32];
        if (!all_digits(set->samples[i].key) || strlen(set->samples[i].key) >= 6) continue;
        snprintf(padded, sizeof padded, "%06ld", strtol(set->samples[i].key, NULL, 10));
        for (int64_t j = 0; j < sel->n; j++)
            if (!strcmp(padded, sel->keys[j]))
                return me_fail(err, ME_EDATA,
                               "none of the %lld samples belongs to a key of the dataset: ids look "
                               "un-padded (%s.npy where %s.npy is wanted)",
                               (long long)set->n, set->samples[i].key, padded);
    }
    return me_fail(
        err, ME_EDATA,
        "none of the %lld samples belongs to one of the %lld keys (a sample is called '%s', "
        "a key '%s')",
        (long long)set->n, (long long)sel->n, sample, key);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool among(const char **sorted, int64_t n, const char *key)
{
    return bsearch(&key, sorted, (size_t)n, sizeof *sorted, by_text) != NULL;
}

/* Samples outside the split are extra; those outside the subset alone were left out on purpose. */
static me_code list_extra(eval_selection *sel, me_arena *arena, const motion_dataset *d,
                          const motion_set *set, me_err *err)
{
    const char **split = ME_NEW_ARRAY(arena, d->n, const char *);
    const char **chosen = ME_NEW_ARRAY(arena, sel->n, const char *);
    sel->extra = ME_NEW_ARRAY(arena, set->n, const char *);
    if (!split || !chosen || !sel->extra) return me_fail_mem(err, "the selection");
    int64_t n = 0;
    for (int64_t i = 0; i < d->n; i++)
        if (in_split(&d->pairs[i], find_split(sel->split))) split[n++] = d->pairs[i].key;
    memcpy(chosen, sel->keys, (size_t)sel->n * sizeof *chosen);
    qsort(split, (size_t)n, sizeof *split, by_text);
    qsort(chosen, (size_t)sel->n, sizeof *chosen, by_text);
    for (int64_t i = 0; i < set->n; i++) {
        const char *key = set->samples[i].key;
        if (!among(split, n, key))
            sel->extra[sel->extra_n++] = key;
        else
            sel->outside_subset += !among(chosen, sel->n, key);
    }
    return ME_OK;
}

me_code eval_selection_match(eval_selection *sel, me_arena *arena, const motion_dataset *d,
                             const motion_set *set, me_err *err)
{
    if (!set->n) return me_fail(err, ME_EDATA, "no samples there (KEY.npy files are expected)");
    sel->generated = set->n;
    me_code code = list_extra(sel, arena, d, set, err);
    motion_clip *clips = ME_NEW_ARRAY(arena, sel->n, motion_clip);
    sel->missing = ME_NEW_ARRAY(arena, sel->n, const char *);
    if (code) return code;
    if (!clips || !sel->missing) return me_fail_mem(err, "the selection");
    int64_t n = 0;
    for (int64_t i = 0; i < sel->n; i++) {
        const motion_sample *s = motion_set_find(set, sel->keys[i]);
        if (!s) {
            sel->missing[sel->missing_n++] = sel->keys[i];
            continue;
        }
        clips[n] = s->clip;
        sel->pair[n] = sel->pair[i];
        sel->keys[n++] = sel->keys[i];
    }
    if (!n) return nothing_matches(sel, set, err);
    sel->n = n;
    sel->clip = clips;
    return ME_OK;
}

void eval_selection_sha256(char out[65], const eval_selection *sel)
{
    me_sha256 all;
    me_sha256_init(&all);
    for (int64_t i = 0; i < sel->n; i++) {
        me_sha256_add(&all, sel->keys[i], strlen(sel->keys[i]) + 1);
        me_sha256_add(&all, sel->clip[i].pose,
                      (size_t)(sel->clip[i].frames * MOTION_POSE) * sizeof *sel->clip[i].pose);
    }
    me_sha256_hex(&all, out);
}
