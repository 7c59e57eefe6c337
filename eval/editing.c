/* eval/editing.c: see editing.h. */
#include "eval/editing.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) .offset = offsetof(eval_editing_options, member)

// clang-format off
const me_opt eval_editing_table[] = {
    {.name = "model", .type = ME_OPT_STRING, AT(model), .value = "FILE",
     .help = "OUT/last.safetensors of `train`, or the reference's .ckpt or state dictionary"},
    {.name = "text-encoder", .type = ME_OPT_STRING, AT(text), .value = "NAME",
     .help = "clip:DIR or hash:WIDTH; without it the one that the model names, where that needs no file"},
    {.name = "text-cache", .type = ME_OPT_STRING, AT(text_cache), .value = "DIR",
     .help = "where encoded texts are kept; without it ~/.cache/mebench, empty: nowhere"},
    {.name = "steps", .type = ME_OPT_INT, AT(steps), .fallback = "0", .lo = 0, .hi = 100000, .value = "N",
     .help = "of the noise schedule's, evenly spaced; 0: all"},
    {.name = "guidance", .type = ME_OPT_STRING, AT(guidance), .fallback = "2,2", .value = "B,M",
     .help = "scales of text with motion, and of motion"},
    {.name = "cfg", .type = ME_OPT_CHOICE, AT(cfg), .fallback = "auto", .choices = "auto|2way|3way",
     .help = "passes a step; auto: those that weigh anything (two where the scales are equal, one where both are 1)"},
    {.name = "uncond-mask", .type = ME_OPT_CHOICE, AT(uncond_mask), .fallback = "full", .choices = "full|none",
     .help = "what the unconditional pass sees as source: s-max frames of zeros as the reference, or nothing"},
    {.name = "s-max", .type = ME_OPT_STRING, AT(s_max), .value = "N",
     .help = "position where targets begin; batch: its longest source, as the reference; without it the model's"},
    {.name = "seed", .type = ME_OPT_INT, AT(seed), .fallback = "42", .lo = 0, .hi = 9007199254740992.0, .value = "N",
     .help = "of the noise, which also depends on a sample's key"},
    {.name = "batch", .type = ME_OPT_INT, AT(batch), .fallback = "0", .lo = 0, .hi = 65536, .value = "N",
     .help = "motions sampled together; results do not depend on it; 0: as many as suit a GPU"},
    {.name = "heads", .type = ME_OPT_INT, AT(heads), .fallback = "0", .lo = 0, .hi = 1024, .value = "N",
     .help = "attention heads of a reference's file; 0: width / 64"},
    {.name = "dit-text", .type = ME_OPT_CHOICE, AT(dit_text), .fallback = "none", .choices = "none|fused|raw",
     .help = "variant of a reference's file; ours name theirs"},
    {.name = "dit-source", .type = ME_OPT_CHOICE, AT(dit_source), .fallback = "fused", .choices = "fused|raw",
     .help = "the same"},
    {.name = "stats", .type = ME_OPT_STRING, AT(stats), .value = "FILE",
     .help = "the reference's statistics of features, for a reference's file"},
    EVAL_DEVICE_OPTIONS(eval_editing_options),
    {.name = NULL},
};
// clang-format on

/* "B,M", or one number for both. */
static me_code read_guidance(model_sample_options *how, const char *text, me_err *err)
{
    char *end = NULL;
    how->both = how->motion = strtod(text, &end);
    bool ok = end != text;
    if (ok && *end == ',') {
        const char *second = end + 1;
        how->motion = strtod(second, &end);
        ok = end != second;
    }
    if (!ok || *end || !(how->both >= -100 && how->both <= 100) ||
        !(how->motion >= -100 && how->motion <= 100))
        return me_fail(err, ME_EUSAGE,
                       "--guidance: expected one or two numbers such as 2,2, found '%.60s'", text);
    return ME_OK;
}

static me_code read_sampling(model_sample_options *how, const eval_editing_options *o, me_err *err)
{
    *how = (model_sample_options){.steps = o->steps,
                                  .cfg = !strcmp(o->cfg, "2way")   ? MODEL_CFG_2WAY
                                         : !strcmp(o->cfg, "3way") ? MODEL_CFG_3WAY
                                                                   : MODEL_CFG_AUTO,
                                  .hide_unconditional = !strcmp(o->uncond_mask, "none"),
                                  .seed = (uint64_t)o->seed,
                                  .batch = o->batch,
                                  .s_max = MODEL_S_MAX_OF_FILE,
                                  .precision = eval_precision(o->precision)};
    me_code code = read_guidance(how, o->guidance, err);
    return code == ME_OK && o->s_max ? model_omnime_s_max(&how->s_max, o->s_max, err) : code;
}

static me_code open_text(eval_editing *e, const eval_editing_options *o, me_err *err)
{
    const char *name = o->text ? o->text : e->file.text_identity;
    if (!name || (!o->text && strncmp(name, "hash", 4) != 0))
        return me_fail(err, ME_EUSAGE,
                       "%s: give the text encoder that the model was trained with%s%s: "
                       "--text-encoder clip:DIR",
                       o->model, name ? ", " : "", name ? name : "");
    return nn_text_open(&e->text, name, e->be, &(nn_text_options){.cache = o->text_cache}, err);
}

me_code eval_editing_open(eval_editing *e, const eval_editing_options *o, me_log *log, me_err *err)
{
    *e = (eval_editing){0};
    if (!o->model) return me_fail(err, ME_EUSAGE, "--model is needed: what `train` wrote");
    me_code code = read_sampling(&e->how, o, err);
    if (code != ME_OK) return code;
    e->how.log = log;
    if (o->threads > 0) omp_set_num_threads((int)o->threads);
    const model_omnime_hints hints = {
        .heads = o->heads, .dit_text = o->dit_text, .dit_source = o->dit_source, .stats = o->stats};
    code = nn_backend_open(&e->be, o->device, (int)o->threads, err);
    if (code == ME_OK) code = model_omnime_open(&e->file, o->model, &hints, e->be, err);
    if (code == ME_OK) code = open_text(e, o, err);
    if (code != ME_OK) eval_editing_close(e);
    return code;
}

void eval_editing_close(eval_editing *e)
{
    if (e->text) nn_text_close(e->text);
    model_omnime_close(&e->file);
    if (e->be) nn_backend_close(e->be);
    *e = (eval_editing){0};
}

typedef struct kept {
    motion_clip *out;
    me_arena *arena;
} kept;

static me_code keep(void *arg, int64_t job, const motion_clip *clip, me_err *err)
{
    const kept *k = arg;
    me_code code = motion_clip_new(&k->out[job], k->arena, clip->frames, false, err);
    if (code == ME_OK)
        memcpy(k->out[job].pose, clip->pose,
               (size_t)(clip->frames * MOTION_POSE) * sizeof *clip->pose);
    return code;
}

me_code eval_editing_make(motion_clip *out, me_arena *arena, const eval_editing_job *job,
                          me_log *log, me_err *err)
{
    eval_editing_options o;
    eval_editing e;
    model_sample_job *jobs = ME_NEW_ARRAY(arena, job->n, model_sample_job);
    if (!jobs) return me_fail_mem(err, "the samples");
    memset(&o, 0, sizeof o);
    me_code code = me_opt_defaults(eval_editing_table, &o, arena, err);
    if (code != ME_OK) return code;
    o.model = job->model;
    if (job->device) o.device = job->device;
    o.threads = job->threads;
    if ((code = eval_editing_open(&e, &o, log, err))) return code;
    for (int64_t i = 0; i < job->n; i++) {
        const motion_pair *p = &job->data->pairs[job->selected[i]];
        jobs[i] = (model_sample_job){
            .key = p->key, .text = p->text, .source = &p->source, .frames = p->target.frames};
    }
    code = model_sample(&e.file, e.text, jobs, job->n, &e.how, keep, &(kept){out, arena}, err);
    eval_editing_close(&e);
    return code;
}
