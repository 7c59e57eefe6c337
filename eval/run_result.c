/* eval/run_result.c: the result document of a run (metrics/result.h has its schema). It holds
 * nothing that depends on the clock, the number of threads or the place of a file, so equal runs
 * give equal bytes. */
#include <string.h>

#include "core/builder.h"
#include "core/file.h"
#include "core/version.h"
#include "eval/run_priv.h"
#include "metrics/result.h"

/* Last part of a path, without slashes at its end. */
static const char *base_name(me_arena *a, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    return me_path_base(me_arena_strndup(a, path, n));
}

static void put_samples(eval_state *s, me_builder *b, me_value *doc)
{
    const eval_selection *sel = &s->run->selected;
    const metric_samples samples = {.dataset = s->run->dataset.n,
                                    .generated = sel->generated,
                                    .evaluated = sel->n,
                                    .missing = sel->missing,
                                    .missing_n = sel->missing_n,
                                    .extra = sel->extra,
                                    .extra_n = sel->extra_n};
    b->code = metric_result_samples(doc, b->arena, &samples, b->err);
    me_value *to = metric_result_section(b->arena, doc, "samples");
    me_put_int(b, to, "split_keys", sel->split_n);
    me_put_int(b, to, "subset_keys", sel->subset.n);
    me_put_int(b, to, "outside_subset", sel->outside_subset);
    me_put_int(b, to, "ignored_files", s->facts.ignored_n);
    me_put_int(b, to, "distinct_motions", s->run->report.distinct);
}

static void put_motions(eval_state *s, me_builder *b, me_value *doc)
{
    const eval_facts *f = &s->facts;
    me_value *to = metric_result_section(b->arena, doc, "motions");
    me_put_int(b, to, "longer_than_target", f->cut);
    me_put_int(b, to, "shorter_than_target", f->shorter);
    me_put_int(b, to, "of_one_frame", f->one_frame);
    me_put_float(b, to, "heading_source", f->heading_source);
    me_put_float(b, to, "heading_target", f->heading_target);
    me_put_float(b, to, "heading_generated", f->heading_generated);
    me_put_float(b, to, "orthonormal_deviation", f->deviation);
}

static void put_differ(me_builder *b, me_value *to, const char *key, const int64_t differ[2])
{
    if (differ[0] < 0) return;
    me_value *v = me_value_new(b->arena, ME_DICT);
    me_put_int(b, v, "generated_to_target", differ[0]);
    me_put_int(b, v, "generated_to_source", differ[1]);
    me_put(b, to, key, v);
}

static void put_gelu(eval_state *s, me_builder *b, me_value *doc)
{
    if (!s->other) return;
    const eval_gelu_difference *g = &s->run->gelu;
    const char *other = s->options->gelu == TMR_GELU_ERF ? "tanh" : "erf";
    me_value *to = metric_result_section(b->arena, doc, "gelu");
    me_value *ranks = me_value_new(b->arena, ME_DICT);
    me_put_text(b, to, "compared_with", other);
    me_put(b, to, "ranks_that_differ", ranks);
    put_differ(b, ranks, "full", g->full);
    put_differ(b, ranks, "batch32", g->batch32);
    me_put_float(b, to, "largest_similarity_difference", g->similarity);
    for (int d = 0; d < 2 && !b->code; d++) {
        const char *what = d ? "source" : "target";
        if (g->full[d] >= 0)
            me_info(s->log, "GELU %s: %lld of %lld ranks to %s differ (full)", other,
                    (long long)g->full[d], (long long)s->run->selected.n, what);
        if (g->batch32[d] >= 0)
            me_info(s->log, "GELU %s: %lld of %lld ranks to %s differ (batch32)", other,
                    (long long)g->batch32[d],
                    (long long)(s->run->selected.n - s->run->evaluation.batches.dropped), what);
    }
}

static const char *precision_name(nn_precision p)
{
    return p == NN_TF32 ? "tf32" : p == NN_BF16_MIXED ? "bf16" : "fp32";
}

static void put_provenance(eval_state *s, me_builder *b, me_value *doc)
{
    me_arena *a = b->arena;
    const eval_run *r = s->run;
    const eval_options *o = s->options;
    char keys_sha256[65], generated_sha256[65];
    metric_keys_sha256(keys_sha256, r->selected.keys, r->selected.n);
    eval_selection_sha256(generated_sha256, &r->selected);
    const char *texts[][2] = {
        {"mebench", me_version()},
        {"git", me_git()},
        {"compiler", __VERSION__},
        {"dataset", base_name(a, o->dataset)},
        {"dataset_sha256", r->dataset.sha256},
        {"dataset_format", r->dataset.format},
        {"generated", base_name(a, o->generated)},
        {"generated_sha256", generated_sha256},
        {"tmr", base_name(a, o->tmr)},
        {"tmr_sha256", r->encoder.sha256},
        {"tmr_weights", base_name(a, r->encoder.source)},
        {"tmr_statistics", r->encoder.statistics},
        {"backend", r->be->name},
        {"device", r->be->device},
        {"precision", precision_name(r->be->best == NN_FP32 ? NN_FP32 : o->precision)},
        {"gelu", o->gelu == TMR_GELU_ERF ? "erf" : "tanh"},
        {"split", r->selected.split},
        {"subset", r->selected.subset.name},
        {"keys_sha256", keys_sha256},
        {"seed", me_arena_printf(a, "%llu", (unsigned long long)o->seed)},
    };
    me_value *to = metric_result_section(a, doc, "provenance");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        me_put_text(b, to, texts[i][0], texts[i][1]);
    me_put(b, to, "tmr_random", me_value_bool(a, r->encoder.random));
}

static me_code put_warnings(eval_state *s, me_value *doc, me_arena *a, me_err *err)
{
    me_code code = ME_OK;
    for (int64_t i = 0; i < s->warnings.n && !code; i++)
        code = metric_result_warn(doc, a, err, "%s", s->warnings.items[i]);
    if (!code && s->run->selected.subset.warning) {
        me_warn(s->log, "%s", s->run->selected.subset.warning);
        code = metric_result_warn(doc, a, err, "%s", s->run->selected.subset.warning);
    }
    s->facts.erf = s->options->gelu == TMR_GELU_ERF;
    s->facts.evaluation = &s->run->evaluation;
    return code ? code : eval_traps_check(doc, a, &s->facts, s->log, err);
}

me_code eval_result_make(eval_state *s, me_err *err)
{
    eval_run *r = s->run;
    me_arena *a = &r->arena;
    const char *name = s->options->name ? s->options->name : base_name(a, s->options->generated);
    me_value *doc = metric_result_new(a, name);
    if (!doc) return me_fail_mem(err, "the result");
    me_builder b = {a, err, ME_OK};
    put_samples(s, &b, doc);
    if (!b.code) b.code = metric_result_evaluation(doc, a, &r->evaluation, err);
    for (int i = 0; i < s->rows_n && !b.code; i++)
        b.code = metric_result_baseline(doc, a, s->rows[i].name, &s->rows[i].evaluation, err);
    put_motions(s, &b, doc);
    put_gelu(s, &b, doc);
    if (!b.code) b.code = put_warnings(s, doc, a, err);
    put_provenance(s, &b, doc);
    r->result = doc;
    return b.code;
}
