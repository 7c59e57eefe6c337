/* motion/dataset.c: opening, closing and looking up a dataset of pairs, and its splits (spec
 * evaluation 2.1, 2.3). The parsing of the two forms is in dataset_read.c. */
#include "motion/motion.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "motion/dataset_priv.h"
#include "motion/fields_priv.h"

const char *motion_splits_path(me_arena *arena, const char *path)
{
    size_t folder = (size_t)(me_path_base(path) - path);
    return me_arena_printf(arena, "%.*ssplits.json", (int)folder, path);
}

typedef struct listed {
    const char *key;
    motion_split split;
} listed;

static int compare_listed(const void *a, const void *b)
{
    return strcmp(((const listed *)a)->key, ((const listed *)b)->key);
}

static const char *const split_names[] = {"train", "val", "test"};

/* All ids of the three lists, ascending. */
static me_code read_lists(listed **out, int64_t *n, int64_t counts[3], me_arena *arena,
                          const me_value *splits, me_err *err)
{
    int64_t total = 0;
    const me_value *lists[3];
    if (splits->kind != ME_DICT)
        return me_fail(err, ME_EFORMAT, "expected a dictionary of train, val and test, found %s",
                       me_kind_name(splits->kind));
    for (int s = 0; s < 3; s++) {
        lists[s] = me_dict_get(splits, split_names[s]);
        if (lists[s] && lists[s]->kind != ME_LIST)
            return me_fail(err, ME_EFORMAT, "'%s': expected a list of ids, found %s",
                           split_names[s], me_kind_name(lists[s]->kind));
        if (lists[s]) total += (int64_t)lists[s]->as.list.length;
    }
    if (!lists[0] && !lists[1] && !lists[2])
        return me_fail(err, ME_EFORMAT, "none of the lists train, val and test is there");
    listed *all = ME_NEW_ARRAY(arena, total, listed);
    if (!all) return me_fail_mem(err, "the split");
    *n = 0;
    for (int s = 0; s < 3; s++) {
        counts[s] = lists[s] ? (int64_t)lists[s]->as.list.length : 0;
        for (int64_t i = 0; i < counts[s]; i++) {
            bool converted;
            const char *key = motion_key_text(arena, lists[s]->as.list.items[i], &converted);
            if (!key)
                return me_fail(err, ME_EFORMAT, "'%s': item %lld is no id", split_names[s],
                               (long long)i);
            all[(*n)++] = (listed){key, (motion_split)s};
        }
    }
    if (*n > 1) qsort(all, (size_t)*n, sizeof *all, compare_listed);
    for (int64_t i = 1; i < *n; i++)
        if (!strcmp(all[i - 1].key, all[i].key))
            return me_fail(err, ME_EDATA,
                           "id %s is listed twice (in %s and %s): splits must not overlap",
                           all[i].key, split_names[all[i - 1].split], split_names[all[i].split]);
    *out = all;
    return ME_OK;
}

me_code motion_dataset_split(motion_dataset *d, const me_value *splits, me_err *err)
{
    listed *all = NULL;
    int64_t n = 0, counts[3], found[3] = {0}, unlisted = 0;
    me_code code = read_lists(&all, &n, counts, &d->arena, splits, err);
    if (code) return code;
    const char *example = NULL;
    for (int64_t i = 0; i < d->n; i++) {
        listed want = {.key = d->pairs[i].key};
        const listed *hit = n ? bsearch(&want, all, (size_t)n, sizeof *all, compare_listed) : NULL;
        /* What neither train nor val claims is test, listed or not (spec evaluation 2.3). */
        d->pairs[i].split = hit ? hit->split : MOTION_TEST;
        if (hit)
            found[hit->split]++;
        else if (!unlisted++)
            example = d->pairs[i].key;
    }
    d->has_split = true;
    if (unlisted)
        motion_note(&d->notes, &d->arena,
                    "%lld pairs are in no list of the splits file (first: %s); they count as test",
                    (long long)unlisted, example);
    /* A file of one split alone is how MotionFix ships; a split that is there in part is worth a
     * word. */
    for (int s = 0; s < 3; s++)
        if (found[s] && found[s] < counts[s])
            motion_note(&d->notes, &d->arena,
                        "the splits file lists %lld %s ids, the dataset holds %lld of them",
                        (long long)counts[s], split_names[s], (long long)found[s]);
    return ME_OK;
}

static me_code apply_splits(motion_dataset *d, const char *path, const char *given, me_err *err)
{
    const char *file = given ? given : motion_splits_path(&d->arena, path);
    if (!file) return me_fail_mem(err, "a path");
    if (!given && (!strcmp(path, "-") || !me_file_exists(file))) return ME_OK;
    me_value *splits;
    me_code code = me_json_read(&splits, &d->arena, file, err);
    if (code) return code;
    code = motion_dataset_split(d, splits, err);
    return code ? me_err_prefix(err, "%s", file) : ME_OK;
}

me_code motion_dataset_open(motion_dataset *out, const char *path,
                            const motion_dataset_options *options, me_err *err)
{
    static const motion_dataset_options none;
    if (!options) options = &none;
    memset(out, 0, sizeof *out);
    me_doc doc;
    me_code code = me_doc_open(&doc, path, err);
    if (code) return code;
    if (options->hash) memcpy(out->sha256, me_doc_hash(&doc), sizeof out->sha256);
    code = motion_dataset_parse(out, &doc, options->joints, err);
    if (code) me_err_prefix(err, "%s", path);
    me_doc_close(&doc);
    if (!code) code = apply_splits(out, path, options->splits, err);
    if (code) motion_dataset_close(out);
    return code;
}

void motion_dataset_close(motion_dataset *d)
{
    me_arena_release(&d->arena);
    memset(d, 0, sizeof *d);
}

const motion_pair *motion_dataset_find(const motion_dataset *d, const char *key)
{
    int64_t lo = 0, hi = d->n;
    if (!d->by_key) { /* made in memory, without an index */
        for (int64_t i = 0; i < d->n; i++)
            if (!strcmp(d->pairs[i].key, key)) return &d->pairs[i];
        return NULL;
    }
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        const motion_pair *pair = &d->pairs[d->by_key[mid]];
        int c = strcmp(pair->key, key);
        if (c == 0) return pair;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}
