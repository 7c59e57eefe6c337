/* tests/parity/eval_case.c: a whole evaluation from users' files: dataset, samples, embedder. Both
 * forms of GELU: embeddings, ranks, scores of both protocols and directions, FID, what is missing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "core/file.h"
#include "core/json.h"
#include "eval/run.h"
#include "metrics/result.h"
#include "tests/parity/parity.h"

static const char *const labels[] = {"R@1", "R@2", "R@3", "R@5", "R@10", "MedR", "AvgR"};
static const char *const direction_names[] = {"target_generated", "source_generated"};

/* Largest relative error of a row. */
static double row_error(const float *x, const float *reference, const int64_t *order, int64_t n,
                        int64_t width)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = 0, size = 0;
        for (int64_t k = 0; k < width; k++) {
            double d = (double)x[order[i] * width + k] - (double)reference[i * width + k];
            difference += d * d;
            size += (double)reference[i * width + k] * (double)reference[i * width + k];
        }
        double e = sqrt(difference / fmax(size, 1e-300));
        if (!(e <= worst)) worst = e;
    }
    return worst;
}

static me_code check_embeddings(parity *p, const eval_run *r, const char *folder, const char *gelu,
                                const int64_t *order, me_arena *arena, me_err *err)
{
    static const char *const names[] = {"source", "target", "generated"};
    const int64_t width = r->encoder.config.width;
    for (int i = 0; i < 3; i++) {
        const char *path = me_arena_printf(arena, "%s/expected_%s_%s.npy", folder, gelu, names[i]);
        if (!me_file_exists(path)) continue;
        me_doc doc;
        me_code code = me_doc_open(&doc, path, err);
        if (code) return code;
        const me_value *v = doc.root;
        if (v->kind != ME_ARRAY || me_array_count(&v->as.array) != r->selected.n * width) {
            parity_true(p, false, "%s: %s does not hold %lld x %lld numbers", gelu, path,
                        (long long)r->selected.n, (long long)width);
        } else {
            float *reference = ME_NEW_ARRAY(arena, r->selected.n * width, float);
            code = me_array_read_f32(&v->as.array, reference, err);
            parity_error(p, me_arena_printf(arena, "%s %s embeddings", gelu, names[i]),
                         row_error(r->embedding[i], reference, order, r->selected.n, width),
                         p->exact_device ? 1e-5 : 1e-4);
        }
        me_doc_close(&doc);
        if (code) return code;
    }
    return ME_OK;
}

static bool has_text(const me_value *list, const char *text)
{
    for (size_t i = 0; i < list->as.list.length; i++)
        if (me_string_equals(list->as.list.items[i], text)) return true;
    return false;
}

/* order[i]: our index of the i-th expected key; the two orders may differ. */
static void check_samples(parity *p, int64_t *order, const eval_selection *m,
                          const me_value *expected)
{
    const me_value *keys = me_dict_get(expected, "keys"),
                   *missing = me_dict_get(expected, "missing");
    const double extra = metric_result_number(expected, "extra");
    const bool same = keys && keys->kind == ME_LIST && (int64_t)keys->as.list.length == m->n;
    parity_true(p, same, "%lld items are scored, not as many as expected", (long long)m->n);
    for (int64_t i = 0; same && i < m->n; i++) {
        order[i] = -1;
        for (int64_t j = 0; j < m->n && order[i] < 0; j++)
            if (me_string_equals(keys->as.list.items[i], m->keys[j])) order[i] = j;
        parity_true(p, order[i] >= 0, "expected key %lld is not scored", (long long)i);
    }
    if (missing && missing->kind == ME_LIST) {
        parity_true(p, (int64_t)missing->as.list.length == m->missing_n, "%lld keys are missing",
                    (long long)m->missing_n);
        for (int64_t i = 0; i < m->missing_n; i++)
            parity_true(p, has_text(missing, m->missing[i]), "%s should not be missing",
                        m->missing[i]);
    }
    if (!isnan(extra))
        parity_true(p, (double)m->extra_n == extra, "%lld samples are extra",
                    (long long)m->extra_n);
}

static void check_scores(parity *p, const char *what, const metric_block *b,
                         const me_value *expected)
{
    if (!expected || expected->kind != ME_DICT) return;
    parity_true(p, b != NULL, "%s: not computed", what);
    for (size_t i = 0; b && i < sizeof labels / sizeof *labels; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.48s %s", what, labels[i]);
        double wanted = metric_result_number(expected, labels[i]);
        if (!isnan(wanted))
            parity_error(p, name, fabs(metric_block_value(b, labels[i]) - wanted), 1e-9);
    }
}

static void check_ranks(parity *p, const char *what, const metric_block *b,
                        const me_value *expected, const int64_t *order, int64_t n)
{
    if (!expected || expected->kind != ME_LIST || !b) return;
    parity_true(p, (int64_t)expected->as.list.length == n, "%s: %zu ranks are expected", what,
                expected->as.list.length);
    for (int64_t i = 0; i < n && i < (int64_t)expected->as.list.length; i++) {
        const me_value *v = expected->as.list.items[i];
        const double wanted = v->kind == ME_INT ? (double)v->as.integer : v->as.number;
        const double rank = metric_position(&b->rank[order[i]]) + 1;
        parity_true(p, rank == wanted, "%s: rank of item %lld is %g, expected %g", what,
                    (long long)i, rank, wanted);
    }
}

static me_code check_form(parity *p, const char *folder, const char *gelu, const me_value *expected,
                          const eval_options *options, me_arena *arena, me_err *err)
{
    eval_run r;
    me_code code = eval_run_open(&r, options, NULL, err);
    if (code) return code;
    int64_t *order = ME_NEW_ARRAY(arena, r.selected.n, int64_t);
    check_samples(p, order, &r.selected, expected);
    if (!p->failures) code = check_embeddings(p, &r, folder, gelu, order, arena, err);
    for (int d = 0; d < 2 && !p->failures && !code; d++) {
        char what[64], path[64];
        snprintf(what, sizeof what, "%s full %s", gelu, direction_names[d]);
        snprintf(path, sizeof path, "full/%s", direction_names[d]);
        check_scores(p, what, r.evaluation.full[d], metric_result_at(expected, path));
        snprintf(path, sizeof path, "ranks_full/%s", direction_names[d]);
        check_ranks(p, what, r.evaluation.full[d], metric_result_at(expected, path), order,
                    r.selected.n);
        snprintf(what, sizeof what, "%s batch32 %s", gelu, direction_names[d]);
        snprintf(path, sizeof path, "batch32/%s", direction_names[d]);
        check_scores(p, what, r.evaluation.batch32[d], metric_result_at(expected, path));
    }
    const double batches = metric_result_number(expected, "batches");
    if (!isnan(batches))
        parity_true(p, (double)r.evaluation.batches.batches == batches, "%s: %lld batches", gelu,
                    (long long)r.evaluation.batches.batches);
    const double fid = metric_result_number(expected, "fid");
    if (!isnan(fid) && !code)
        parity_error(
            p, me_arena_printf(arena, "%s FID", gelu),
            fabs(metric_result_number(r.result, "fid/value") - fid) / fmax(fabs(fid), 1e-12), 1e-4);
    eval_run_close(&r);
    return code;
}

/* The one file of the folder that is the dataset, whatever it is called. */
static const char *find_dataset(me_arena *arena, const char *folder, me_err *err)
{
    me_names names;
    if (me_list_directory(&names, arena, folder, err)) return NULL;
    for (int64_t i = 0; i < names.n; i++)
        if (me_has_suffix(names.items[i], ".pth.tar") ||
            me_has_suffix(names.items[i], ".safetensors"))
            return me_path_join(arena, folder, names.items[i]);
    me_fail(err, ME_EIO, "%s: no dataset (.pth.tar)", folder);
    return NULL;
}

me_code parity_eval(parity *p, const char *folder, me_err *err)
{
    static const char *const forms[] = {"tanh", "erf"};
    me_arena arena;
    me_arena_init(&arena);
    eval_options o = eval_options_default();
    const char *samples = me_path_join(&arena, folder, "samples");
    const char *zip = me_path_join(&arena, folder, "samples.zip");
    o.dataset = find_dataset(&arena, folder, err);
    o.generated = me_file_exists(samples) ? samples : zip;
    o.tmr = me_path_join(&arena, folder, "eval-deps");
    o.device = p->device;
    o.resamples = 0;
    o.other_shuffles = 0;
    me_code code = o.dataset ? ME_OK : ME_EIO;
    int ran = 0;
    for (int i = 0; i < 2 && !code; i++) {
        const char *path = me_arena_printf(&arena, "%s/expected_%s.json", folder, forms[i]);
        if (!me_file_exists(path)) continue;
        me_value *expected = NULL;
        code = me_json_read(&expected, &arena, path, err);
        o.gelu = i ? TMR_GELU_ERF : TMR_GELU_TANH;
        if (!code) code = check_form(p, folder, forms[i], expected, &o, &arena, err);
        ran++;
    }
    if (!code) parity_true(p, ran > 0, "no expected_tanh.json or expected_erf.json");
    me_arena_release(&arena);
    return code;
}
