/* motion/synth.c: groups of pairs, their balance, and the dataset that they make (motion/synth.h).
 */
#include "motion/synth.h"

#include <stdio.h>
#include <stdlib.h>

#include "motion/synth_priv.h"

#define MOTIONS 5 /* of a group, at most */
#define TEXT 192
#define CAPTION 320

motion_synth_options motion_synth_defaults(int64_t pairs, uint64_t seed)
{
    return (motion_synth_options){.pairs = pairs,
                                  .seed = seed,
                                  .min_frames = 40,
                                  .max_frames = 200,
                                  .val_share = 0.05,
                                  .test_share = 0.15};
}

/* A person, the scripts that she performs, and the edits between them. */
typedef struct group {
    synth_person person;
    int motions;
    synth_script script[MOTIONS];
    synth_take take[MOTIONS];
    int64_t frames[MOTIONS];
    int from[MOTION_SYNTH_GROUP], to[MOTION_SYNTH_GROUP];
    synth_edit edit[MOTION_SYNTH_GROUP];
    char text[MOTION_SYNTH_GROUP][TEXT], caption[MOTIONS][CAPTION];
} group;

/* What the first pass keeps of a group. */
typedef struct outline {
    int motions;
    int64_t frames[MOTIONS];
    int from[MOTION_SYNTH_GROUP], to[MOTION_SYNTH_GROUP];
    char text[MOTION_SYNTH_GROUP][TEXT], caption[MOTIONS][CAPTION];
    const char *shared[MOTIONS]; /* the captions, once they are in the dataset */
    motion_clip clip[MOTIONS];
} outline;

static synth_edit_kind draw_edit(me_rng *g)
{
    static const double weight[SYNTH_EDITS] = {
        [SYNTH_EDIT_SPEED] = 1.1,     [SYNTH_EDIT_SIZE] = 1.3,   [SYNTH_EDIT_SIDE] = 1.4,
        [SYNTH_EDIT_ADD] = 1.1,       [SYNTH_EDIT_REMOVE] = 0.9, [SYNTH_EDIT_REPLACE] = 1.4,
        [SYNTH_EDIT_REPS] = 1.1,      [SYNTH_EDIT_ORDER] = 0.8,  [SYNTH_EDIT_HOLD] = 0.7,
        [SYNTH_EDIT_DIRECTION] = 1.3, [SYNTH_EDIT_BEGIN] = 0.5,  [SYNTH_EDIT_STOP] = 0.7};
    double total = 0;
    for (int k = 0; k < SYNTH_EDITS; k++) total += weight[k];
    double at = me_rng_uniform(g) * total;
    int k = 0;
    while (k + 1 < SYNTH_EDITS && (at -= weight[k]) >= 0) k++;
    return (synth_edit_kind)k;
}

/* Whether the script at `i` has a length that was asked for. */
static bool measure(group *gr, int i, const motion_synth_options *o, me_rng *g)
{
    synth_plan plan;
    gr->take[i] = motion_synth_take_draw(g);
    motion_synth_plan_make(&plan, &gr->script[i], &gr->person, &gr->take[i]);
    gr->frames[i] = plan.frames;
    return plan.frames >= o->min_frames && plan.frames <= o->max_frames &&
           plan.end * MOTION_FPS < SYNTH_MAX_FRAMES;
}

/* Makes motion `to` an edit of motion `from`; `unlike` are the earlier edits that it must differ
 * from. */
static bool derive(group *gr, synth_edit *edit, int from, int to, const synth_edit *unlike, int n,
                   const motion_synth_options *o, me_rng *g)
{
    for (int tries = 0; tries < 60; tries++) {
        if (!motion_synth_edit_apply(&gr->script[to], edit, &gr->script[from], draw_edit(g), g))
            continue;
        bool new_one = true;
        for (int i = 0; i < n; i++)
            new_one &= edit->kind != unlike[i].kind || edit->phase != unlike[i].phase ||
                       edit->track != unlike[i].track;
        if (new_one && measure(gr, to, o, g)) return true;
    }
    return false;
}

static void pair(group *gr, int i, int from, int to, synth_edit edit, me_rng *g)
{
    gr->from[i] = from;
    gr->to[i] = to;
    gr->edit[i] = edit;
    motion_synth_text(gr->text[i], TEXT, &edit, &gr->script[from], &gr->script[to], g);
}

/* Four different edits of one source. */
static bool make_star(group *gr, const motion_synth_options *o, me_rng *g)
{
    synth_edit e[MOTION_SYNTH_GROUP];
    gr->motions = 5;
    for (int i = 0; i < MOTION_SYNTH_GROUP; i++) {
        if (!derive(gr, &e[i], 0, i + 1, e, i, o, g)) return false;
        pair(gr, i, 0, i + 1, e[i], g);
    }
    return true;
}

/* Both directions of two edits. */
static bool make_twins(group *gr, const motion_synth_options *o, me_rng *g)
{
    synth_edit e[3];
    gr->motions = 4;
    if (!derive(gr, &e[0], 0, 1, NULL, 0, o, g) || !derive(gr, &e[1], 0, 2, e, 1, o, g) ||
        !derive(gr, &e[2], 2, 3, e, 2, o, g))
        return false;
    pair(gr, 0, 0, 1, e[0], g);
    pair(gr, 1, 1, 0, motion_synth_edit_inverse(&e[0]), g);
    pair(gr, 2, 2, 3, e[2], g);
    pair(gr, 3, 3, 2, motion_synth_edit_inverse(&e[2]), g);
    return true;
}

/* Both directions of an edit, another of the same source, and one on top of that. */
static bool make_chain(group *gr, const motion_synth_options *o, me_rng *g)
{
    synth_edit e[3];
    gr->motions = 4;
    if (!derive(gr, &e[0], 0, 1, NULL, 0, o, g) || !derive(gr, &e[1], 0, 2, e, 1, o, g) ||
        !derive(gr, &e[2], 2, 3, e, 2, o, g))
        return false;
    pair(gr, 0, 0, 1, e[0], g);
    pair(gr, 1, 1, 0, motion_synth_edit_inverse(&e[0]), g);
    pair(gr, 2, 0, 2, e[1], g);
    pair(gr, 3, 2, 3, e[2], g);
    return true;
}

/* False when no motion of the wanted length was found. */
static bool make_group(group *gr, int64_t index, const motion_synth_options *o)
{
    me_rng g = me_rng_make(o->seed, (uint64_t)index);
    static bool (*const make[])(group *, const motion_synth_options *,
                                me_rng *) = {make_star, make_twins, make_chain};
    uint32_t kind = me_rng_below(&g, 3);
    /* Usual ranges need few tries; of the shortest ones, few scripts in a thousand fit. */
    for (int tries = 0; tries < 20000; tries++) {
        memset(gr, 0, sizeof *gr);
        gr->person = motion_synth_person_draw(&g);
        motion_synth_script_draw(&gr->script[0], &g);
        if (!measure(gr, 0, o, &g) || !make[kind](gr, o, &g)) continue;
        for (int m = 0; m < gr->motions; m++)
            motion_synth_caption(gr->caption[m], CAPTION, &gr->script[m], &g);
        return true;
    }
    return false;
}

static me_code check(const motion_synth_options *o, me_err *err)
{
    if (o->pairs < 1 || o->pairs > 100000000)
        return me_fail(err, ME_EUSAGE,
                       "synth: %lld pairs were asked for, 1 to 100000000 are possible",
                       (long long)o->pairs);
    if (o->min_frames < 1 || o->max_frames < MOTION_SYNTH_SHORT ||
        o->max_frames > SYNTH_MAX_FRAMES || o->max_frames < o->min_frames)
        return me_fail(err, ME_EUSAGE,
                       "synth: clips of %lld to %lld frames were asked for; the longest must have "
                       "%d to %d, since the shortest actions and their edits take about 50",
                       (long long)o->min_frames, (long long)o->max_frames, MOTION_SYNTH_SHORT,
                       SYNTH_MAX_FRAMES);
    if (!(o->val_share >= 0 && o->test_share >= 0 && o->val_share + o->test_share <= 1))
        return me_fail(err, ME_EUSAGE,
                       "synth: shares of val %g and test %g were asked for, they must not be "
                       "negative nor pass 1 together",
                       o->val_share, o->test_share);
    return ME_OK;
}

/* Spread evenly: of the first n groups, round(n share) are in the split, whatever n is. Val is
 * spread over what test leaves. */
static motion_split split_of(int64_t index, const motion_synth_options *o)
{
    double test = o->test_share, i = (double)index;
    if (floor((i + 1) * test + 0.5) > floor(i * test + 0.5)) return MOTION_TEST;
    if (test >= 1) return MOTION_TRAIN;
    double rest = i - floor(i * test + 0.5), val = o->val_share / (1 - test);
    return floor((rest + 1) * val + 0.5) > floor(rest * val + 0.5) ? MOTION_VAL : MOTION_TRAIN;
}

/* Scripts, lengths and sentences of all groups. */
static me_code outline_groups(outline *lines, int64_t groups, const motion_synth_options *o,
                              me_err *err)
{
    bool failed = false;
#pragma omp parallel for schedule(dynamic, 16) reduction(|| : failed)
    for (int64_t i = 0; i < groups; i++) {
        group gr;
        if (!make_group(&gr, i, o)) {
            failed = true;
            continue;
        }
        lines[i].motions = gr.motions;
        memcpy(lines[i].frames, gr.frames, sizeof gr.frames);
        memcpy(lines[i].from, gr.from, sizeof gr.from);
        memcpy(lines[i].to, gr.to, sizeof gr.to);
        memcpy(lines[i].text, gr.text, sizeof gr.text);
        memcpy(lines[i].caption, gr.caption, sizeof gr.caption);
    }
    if (failed)
        return me_fail(err, ME_EUSAGE,
                       "synth: found no motions of %lld to %lld frames, try a wider range (40 to "
                       "200 is usual)",
                       (long long)o->min_frames, (long long)o->max_frames);
    return ME_OK;
}

static me_code perform_groups(const outline *lines, int64_t groups, const motion_synth_options *o,
                              me_err *err)
{
    bool failed = false;
#pragma omp parallel reduction(|| : failed)
    {
        synth_frame *frames = malloc(SYNTH_MAX_FRAMES * sizeof *frames);
        failed = !frames;
#pragma omp for schedule(dynamic, 16)
        for (int64_t i = 0; i < groups; i++) {
            group gr;
            if (!frames || !make_group(&gr, i, o)) continue;
            for (int m = 0; m < gr.motions; m++) {
                motion_clip clip = lines[i].clip[m];
                if (!clip.pose) continue; /* of a pair beyond the last */
                synth_plan plan;
                motion_synth_plan_make(&plan, &gr.script[m], &gr.person, &gr.take[m]);
                memset(frames, 0, (size_t)plan.frames * sizeof *frames);
                motion_synth_legs(frames, &plan);
                motion_synth_upper(frames, &plan);
                motion_synth_body(&clip, frames);
            }
        }
        free(frames);
    }
    return failed ? me_fail_mem(err, "the frames of a motion") : ME_OK;
}

/* Clips of a group's pairs; the last group may be cut short, and motions that no pair uses are left
 * out. */
static me_code allocate_group(motion_dataset *d, outline *line, int64_t first, motion_split split,
                              bool joints, me_err *err)
{
    for (int k = 0; k < MOTION_SYNTH_GROUP && first + k < d->n; k++) {
        motion_pair *p = &d->pairs[first + k];
        int ends[2] = {line->from[k], line->to[k]};
        for (int e = 0; e < 2; e++) {
            motion_clip *clip = &line->clip[ends[e]];
            if (!clip->pose) {
                if (motion_clip_new(clip, &d->arena, line->frames[ends[e]], joints, err))
                    return ME_EMEM;
                line->shared[ends[e]] = me_arena_strdup(&d->arena, line->caption[ends[e]]);
                if (!line->shared[ends[e]]) return me_fail_mem(err, "a caption");
            }
            d->frames += clip->frames;
        }
        *p = (motion_pair){.key = me_arena_printf(&d->arena, "%06lld", (long long)(first + k)),
                           .text = me_arena_strdup(&d->arena, line->text[k]),
                           .source = line->clip[ends[0]],
                           .target = line->clip[ends[1]],
                           .split = split,
                           .source_caption = line->shared[ends[0]],
                           .target_caption = line->shared[ends[1]]};
        if (!p->key || !p->text) return me_fail_mem(err, "a pair");
    }
    return ME_OK;
}

me_code motion_synth(motion_dataset *out, const motion_synth_options *options, me_log *log,
                     me_err *err)
{
    memset(out, 0, sizeof *out);
    motion_synth_options o = *options;
    if (!o.min_frames) o.min_frames = 40;
    if (!o.max_frames) o.max_frames = 200;
    if (check(&o, err)) return ME_EUSAGE;
    int64_t groups = (o.pairs + MOTION_SYNTH_GROUP - 1) / MOTION_SYNTH_GROUP;
    me_code code = ME_EMEM;
    out->n = o.pairs;
    out->has_split = true;
    out->format = "synth";
    out->pairs = ME_NEW_ARRAY(&out->arena, o.pairs, motion_pair);
    outline *lines = calloc((size_t)groups, sizeof *lines);
    if (!out->pairs || !lines) {
        me_fail_mem(err, "the pairs");
        goto done;
    }
    if (log) me_progress(log, "synth", 0, o.pairs);
    if ((code = outline_groups(lines, groups, &o, err))) goto done;
    for (int64_t i = 0; i < groups; i++)
        if ((code = allocate_group(out, &lines[i], i * MOTION_SYNTH_GROUP, split_of(i, &o),
                                   !o.no_joints, err)))
            goto done;
    code = perform_groups(lines, groups, &o, err);
    if (log) me_progress_end(log);
done:
    free(lines);
    if (code) motion_dataset_close(out);
    return code;
}
