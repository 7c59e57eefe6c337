/* eval/run.c: opens what an evaluation reads, matches samples to pairs, embeds each distinct motion
 * once, and scores. The document is put together in run_result.c. */
#include "eval/run.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "baselines/baseline.h"
#include "eval/editing.h"
#include "eval/run_priv.h"
#include "tmr/weights.h"

static const char baseline_prefix[] = "baseline:", editor_prefix[] = "editor:";

/* What stands behind the prefix, or NULL. */
static const char *behind(const char *text, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(text, prefix, n) ? NULL : text + n;
}

eval_options eval_options_default(void)
{
    return (eval_options){.full = true,
                          .batch32 = true,
                          .baselines = true,
                          .resamples = 1000,
                          .other_shuffles = 20,
                          .precision = NN_FP32,
                          .gelu = TMR_GELU_TANH};
}

/* ---- inputs
 * ----------------------------------------------------------------------------------------- */

static void warn_notes(eval_state *s, const motion_notes *notes)
{
    for (int64_t i = 0; i < notes->n; i++) {
        me_warn(s->log, "%s", notes->items[i]);
        motion_note(&s->warnings, &s->run->arena, "%s", notes->items[i]);
    }
}

/* Samples from files, matched; or the baseline that is to make them once there is an encoder. */
static me_code open_generated(eval_state *s, const baseline **own, me_err *err)
{
    eval_run *r = s->run;
    const eval_options *o = s->options;
    me_code code = eval_select(&r->selected, &r->arena, &r->dataset, o->split, o->subset, err);
    if (code) return code;
    const char *name = behind(o->generated, baseline_prefix);
    *own = name ? baseline_find(name) : NULL;
    s->facts.own_baseline = name != NULL;
    if (name && !*own)
        return me_fail(err, ME_EUSAGE, "no baseline '%s' (`mebench list baselines` names them)",
                       name);
    if (name || behind(o->generated, editor_prefix)) return ME_OK;
    code = motion_set_open(&r->set, o->generated, err);
    if (code) return code;
    warn_notes(s, &r->set.notes);
    code = eval_selection_match(&r->selected, &r->arena, &r->dataset, &r->set, err);
    return code ? me_err_prefix(err, "%s", o->generated) : ME_OK;
}

/* Motions that are made here: a baseline's, or a trained editor's. */
static me_code make_generated(eval_state *s, const baseline *own, me_err *err)
{
    eval_run *r = s->run;
    const eval_options *o = s->options;
    const char *editor = behind(o->generated, editor_prefix);
    if (!own && !editor) return ME_OK;
    motion_clip *clips = ME_NEW_ARRAY(&r->arena, r->selected.n, motion_clip);
    if (!clips) return me_fail_mem(err, "generated motions");
    r->selected.clip = clips;
    r->selected.generated = r->selected.n;
    if (editor) {
        const eval_editing_job job = {.model = editor,
                                      .device = o->device,
                                      .threads = o->threads,
                                      .data = &r->dataset,
                                      .selected = r->selected.pair,
                                      .n = r->selected.n};
        return eval_editing_make(clips, &r->arena, &job, s->log, err);
    }
    const baseline_input in = {.dataset = &r->dataset,
                               .selected = r->selected.pair,
                               .n = r->selected.n,
                               .seed = o->seed,
                               .encoder = &r->encoder,
                               .be = r->be,
                               .embed = {.gelu = o->gelu,
                                         .precision = o->precision,
                                         .batch_clips = o->batch_clips,
                                         .log = s->log}};
    me_code code = own->make(clips, &r->arena, &in, err);
    return code ? me_err_prefix(err, "%s", o->generated) : ME_OK;
}

static me_code refuse_incomplete(const eval_selection *sel, me_err *err)
{
    if (sel->missing_n)
        return me_fail(
            err, ME_EDATA,
            "--strict: %lld of %lld keys have no sample, the first being %s (and %lld samples "
            "have no key)",
            (long long)sel->missing_n, (long long)(sel->n + sel->missing_n), sel->missing[0],
            (long long)sel->extra_n);
    if (sel->extra_n)
        return me_fail(err, ME_EDATA, "--strict: %lld samples have no key, the first being %s",
                       (long long)sel->extra_n, sel->extra[0]);
    return ME_OK;
}

static me_code open_inputs(eval_state *s, me_err *err)
{
    eval_run *r = s->run;
    const eval_options *o = s->options;
    /* An editor sees a source's joints as well. */
    const motion_dataset_options dataset = {
        .splits = o->splits, .joints = behind(o->generated, editor_prefix) != NULL, .hash = true};
    me_code code = motion_dataset_open(&r->dataset, o->dataset, &dataset, err);
    if (code) return code;
    warn_notes(s, &r->dataset.notes);
    const baseline *own;
    if ((code = open_generated(s, &own, err))) return code;
    if (o->strict && (code = refuse_incomplete(&r->selected, err)))
        return me_err_prefix(err, "%s", o->generated);
    if ((code = nn_backend_open(&r->be, o->device ? o->device : "auto", o->threads, err)))
        return code;
    if ((code = tmr_open(&r->encoder, o->tmr, r->be, err))) return code;
    warn_notes(s, &r->encoder.notes);
    return make_generated(s, own, err);
}

/* ---- what the generations are like
 * ------------------------------------------------------------------ */

static const double degrees = 57.29577951308232; /* of a radian */

static me_code collect_facts(eval_state *s, me_err *err)
{
    const eval_selection *sel = &s->run->selected;
    const motion_pair *pairs = s->run->dataset.pairs;
    eval_facts *f = &s->facts;
    double *heading = malloc(3 * (size_t)sel->n * sizeof *heading);
    if (!heading) return me_fail_mem(err, "headings");
    for (int64_t i = 0; i < sel->n; i++) {
        const motion_pair *p = &pairs[sel->pair[i]];
        const motion_clip *g = &sel->clip[i];
        if (g->frames < 1) {
            free(heading);
            return me_fail(err, ME_EDATA, "generated %s: no frames", p->key);
        }
        const int64_t scored = g->frames < p->target.frames ? g->frames : p->target.frames;
        heading[i] = motion_heading(p->source.pose);
        heading[sel->n + i] = motion_heading(p->target.pose);
        heading[2 * sel->n + i] = motion_heading(g->pose);
        f->cut += g->frames > p->target.frames;
        f->shorter += g->frames < p->target.frames;
        f->one_frame += g->frames == 1;
        f->deviation = fmax(f->deviation, motion_orthonormal_deviation(g->pose, scored));
    }
    f->heading_source = motion_circular_mean(heading, sel->n) * degrees;
    f->heading_target = motion_circular_mean(heading + sel->n, sel->n) * degrees;
    f->heading_generated = motion_circular_mean(heading + 2 * sel->n, sel->n) * degrees;
    f->selected = sel;
    f->dataset = s->options->dataset;
    f->generated = s->options->generated;
    f->ignored = s->run->set.ignored;
    f->ignored_n = s->run->set.ignored_n;
    free(heading);
    return ME_OK;
}

static bool wants_role(const eval_state *s, eval_role role)
{
    const eval_options *o = s->options;
    switch (role) {
    case EVAL_COPY_SOURCE:
        return o->baselines;
    case EVAL_ORTHONORMAL:
        return o->orthonormalise;
    case EVAL_ALIGNED:
        return o->align_heading ||
               (o->baselines &&
                eval_angle_between(s->facts.heading_generated, s->facts.heading_target) > 10);
    default:
        return true;
    }
}

/* ---- embedding
 * -------------------------------------------------------------------------------------- */

static const char *const role_names[] = {"source",      "target",    "generated",
                                         "copy-source", "generated", "generated"};

static me_code copy_clip(motion_clip *out, me_arena *arena, const motion_clip *in, me_err *err)
{
    me_code code = motion_clip_new(out, arena, in->frames, false, err);
    if (!code) memcpy(out->pose, in->pose, (size_t)(in->frames * MOTION_POSE) * sizeof *in->pose);
    return code;
}

static me_code clip_of_role(tmr_clip *out, eval_state *s, eval_role role, int64_t i, me_err *err)
{
    eval_run *r = s->run;
    const motion_pair *p = &r->dataset.pairs[r->selected.pair[i]];
    const motion_clip *clip = &r->selected.clip[i];
    motion_clip made;
    me_code code = ME_OK;
    int64_t keep = p->target.frames;
    switch (role) {
    case EVAL_SOURCE:
        clip = &p->source;
        keep = 0;
        break;
    case EVAL_TARGET:
        clip = &p->target;
        break;
    case EVAL_COPY_SOURCE:
        clip = &p->source;
        break;
    case EVAL_ORTHONORMAL:
        code = copy_clip(&made, &r->arena, clip, err);
        if (!code) motion_orthonormalize(made.pose, made.frames);
        clip = &made;
        break;
    case EVAL_ALIGNED:
        code = copy_clip(&made, &r->arena, clip, err);
        if (!code) motion_set_heading(&made, motion_heading(p->source.pose));
        clip = &made;
        break;
    default:
        break;
    }
    if (code) return code;
    *out = (tmr_clip){.name = me_arena_printf(&r->arena, "%s %s", role_names[role], p->key),
                      .pose = clip->pose,
                      .frames = clip->frames,
                      .keep = keep};
    return out->name ? ME_OK : me_fail_mem(err, "names");
}

static me_code embed_roles(eval_state *s, me_err *err)
{
    eval_run *r = s->run;
    const int64_t n = r->selected.n, width = r->encoder.config.width;
    tmr_clip *clips = malloc(EVAL_ROLES * (size_t)n * sizeof *clips);
    float *out = me_arena_alloc(&r->arena, EVAL_ROLES * (size_t)n, (size_t)width * sizeof *out);
    me_code code = clips && out ? ME_OK : me_fail_mem(err, "embeddings");
    int64_t m = 0;
    for (eval_role role = 0; role < EVAL_ROLES && !code; role++) {
        if (!wants_role(s, role)) continue;
        r->embedding[role] = out + m * width;
        for (int64_t i = 0; i < n && !code; i++) code = clip_of_role(&clips[m++], s, role, i, err);
    }
    const tmr_embed_options o = {.gelu = s->options->gelu,
                                 .precision = s->options->precision,
                                 .batch_clips = s->options->batch_clips,
                                 .log = s->log};
    if (!code) code = tmr_embed(out, NULL, &r->encoder, r->be, clips, m, &o, &r->report, err);
    if (!code && s->options->both_gelu) {
        tmr_embed_options other = o;
        other.gelu = o.gelu == TMR_GELU_ERF ? TMR_GELU_TANH : TMR_GELU_ERF;
        s->other = me_arena_alloc(&r->arena, 3 * (size_t)n, (size_t)width * sizeof *out);
        code = s->other
                   ? tmr_embed(s->other, NULL, &r->encoder, r->be, clips, 3 * n, &other, NULL, err)
                   : me_fail_mem(err, "embeddings");
    }
    free(clips);
    return code;
}

/* ---- scores
 * ----------------------------------------------------------------------------------------- */

static metric_options scoring(const eval_options *o, bool row)
{
    metric_options m = row ? metric_options_row() : metric_options_default();
    m.full = o->full;
    m.batch32 = o->batch32;
    m.resamples = o->resamples;
    m.seed = o->seed;
    if (!row) m.other_shuffles = o->other_shuffles;
    return m;
}

static metric_set set_of(const eval_run *r, const float *source, const float *target,
                         const float *generated)
{
    return (metric_set){.n = r->selected.n,
                        .dim = r->encoder.config.width,
                        .keys = r->selected.keys,
                        .source = source,
                        .target = target,
                        .generated = generated};
}

static int64_t ranks_that_differ(const metric_block *a, const metric_block *b, int64_t n,
                                 double *largest)
{
    if (!a || !b) return -1;
    int64_t differ = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!a->rank[i].equal) continue; /* dropped by the batch protocol */
        differ += metric_position(&a->rank[i]) != metric_position(&b->rank[i]);
        *largest = fmax(*largest, fabs(a->rank[i].similarity - b->rank[i].similarity));
    }
    return differ;
}

static me_code compare_gelu(eval_state *s, me_err *err)
{
    eval_run *r = s->run;
    const int64_t size = r->selected.n * r->encoder.config.width;
    metric_options o = scoring(s->options, true);
    o.resamples = 0;
    metric_set set = set_of(r, s->other, s->other + size, s->other + 2 * size);
    metric_evaluation other;
    me_code code = metric_evaluate(&other, &r->arena, &set, &o, err);
    if (code) return code;
    for (int d = 0; d < 2; d++) {
        r->gelu.full[d] = ranks_that_differ(r->evaluation.full[d], other.full[d], r->selected.n,
                                            &r->gelu.similarity);
        r->gelu.batch32[d] = ranks_that_differ(r->evaluation.batch32[d], other.batch32[d],
                                               r->selected.n, &r->gelu.similarity);
    }
    return ME_OK;
}

static me_code score_row(eval_state *s, const char *name, const float *generated, me_err *err)
{
    eval_run *r = s->run;
    const metric_options o = scoring(s->options, true);
    const metric_set set =
        set_of(r, r->embedding[EVAL_SOURCE], r->embedding[EVAL_TARGET], generated);
    eval_row *row = &s->rows[s->rows_n++];
    row->name = name;
    return metric_evaluate(&row->evaluation, &r->arena, &set, &o, err);
}

static me_code score(eval_state *s, me_err *err)
{
    eval_run *r = s->run;
    const metric_options o = scoring(s->options, false);
    const metric_set set = set_of(r, r->embedding[EVAL_SOURCE], r->embedding[EVAL_TARGET],
                                  r->embedding[EVAL_GENERATED]);
    me_progress_text(s->log, "scoring");
    me_code code = metric_evaluate(&r->evaluation, &r->arena, &set, &o, err);
    if (!code && s->other) code = compare_gelu(s, err);
    if (!code && s->options->baselines) {
        code = score_row(s, baseline_ground_truth.name, r->embedding[EVAL_TARGET], err);
        if (!code)
            code = score_row(s, baseline_copy_source.name, r->embedding[EVAL_COPY_SOURCE], err);
        s->facts.copy_source = &s->rows[s->rows_n - 1].evaluation;
    }
    if (!code && r->embedding[EVAL_ORTHONORMAL])
        code = score_row(s, "submission-orthonormalised", r->embedding[EVAL_ORTHONORMAL], err);
    if (!code && r->embedding[EVAL_ALIGNED])
        code = score_row(s, "submission-heading-aligned", r->embedding[EVAL_ALIGNED], err);
    me_progress_end(s->log);
    return code;
}

/* ---- the whole
 * -------------------------------------------------------------------------------------- */

me_code eval_run_open(eval_run *out, const eval_options *options, me_log *log, me_err *err)
{
    *out = (eval_run){.gelu = {.full = {-1, -1}, .batch32 = {-1, -1}}};
    me_arena_init(&out->arena);
    eval_state s = {.run = out, .options = options, .log = log};
    if (options->threads > 0) omp_set_num_threads(options->threads);
    double start = me_seconds();
    me_code code = open_inputs(&s, err);
    if (!code) code = collect_facts(&s, err);
    out->seconds_read = me_seconds() - start;
    if (!code) code = embed_roles(&s, err);
    out->seconds_embed = me_seconds() - start - out->seconds_read;
    if (!code) code = score(&s, err);
    out->seconds_score = me_seconds() - start - out->seconds_read - out->seconds_embed;
    if (!code) code = eval_result_make(&s, err);
    me_progress_end(log);
    if (code) eval_run_close(out);
    return code;
}

void eval_run_close(eval_run *r)
{
    tmr_close(&r->encoder);
    if (r->be) nn_backend_close(r->be);
    motion_set_close(&r->set);
    motion_dataset_close(&r->dataset);
    me_arena_release(&r->arena);
    *r = (eval_run){0};
}
