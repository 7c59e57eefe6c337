/* eval/traps.c: the table and its checks. */
#include "eval/traps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "metrics/result.h"

double eval_angle_between(double a, double b)
{
    double d = fabs(fmod(a - b, 360.0));
    return d > 180 ? 360 - d : d;
}

static bool incomplete(char *text, size_t size, const eval_facts *f)
{
    const eval_selection *sel = f->selected;
    if (!sel->missing_n && !sel->extra_n) return false;
    int n = 0;
    if (sel->missing_n)
        n = snprintf(
            text, size,
            "%lld of %lld keys have no sample (first: %s) and are left out: the gallery is "
            "smaller, so every score is better than it would be",
            (long long)sel->missing_n, (long long)(sel->n + sel->missing_n), sel->missing[0]);
    if (sel->extra_n && n >= 0 && (size_t)n < size)
        n += snprintf(text + n, size - (size_t)n, "%s%lld sample%s no key of the split (first: %s)",
                      sel->missing_n ? "; " : "", (long long)sel->extra_n,
                      sel->extra_n == 1 ? " has" : "s have", sel->extra[0]);
    if (sel->missing_n && sel->n == sel->split_n / 2 && n >= 0 && (size_t)n < size)
        snprintf(
            text + n, size - (size_t)n,
            "; exactly half is there, as the samplers of SimMotionEdit and OmniME draw it: name "
            "that half with --subset");
    return true;
}

static bool partial_split(char *text, size_t size, const eval_facts *f)
{
    const eval_selection *sel = f->selected;
    if (!strcmp(sel->subset.name, "all")) return false;
    snprintf(text, size, "a subset of the split: %s, %lld of %lld keys", sel->subset.name,
             (long long)sel->subset.n, (long long)sel->split_n);
    return true;
}

static bool no_split_list(char *text, size_t size, const eval_facts *f)
{
    if (f->selected->split_known) return false;
    snprintf(text, size,
             "no splits.json: all %lld keys of %s count as the test set (check with --splits)",
             (long long)f->selected->split_n, me_path_base(f->dataset));
    return true;
}

static bool legacy_subset(char *text, size_t size, const eval_facts *f)
{
    if (strncmp(f->selected->subset.name, "legacy", 6)) return false;
    snprintf(text, size, "%s: the halves that different repositories draw are not the same",
             f->selected->subset.name);
    return true;
}

static bool duplicates(char *text, size_t size, const eval_facts *f)
{
    const metric_evaluation *e = f->evaluation;
    if (!e->source_groups.identical && !e->target_groups.identical &&
        !e->generated_groups.identical)
        return false;
    snprintf(
        text, size,
        "identical motions: %lld group%s among sources, %lld among targets, %lld among generated; "
        "ties are averaged as the reference does, and a duplicate-aware score stands beside",
        (long long)e->source_groups.identical, e->source_groups.identical == 1 ? "" : "s",
        (long long)e->target_groups.identical, (long long)e->generated_groups.identical);
    return true;
}

static bool gelu_form(char *text, size_t size, const eval_facts *f)
{
    snprintf(text, size, "GELU in its %s",
             f->erf ? "erf form, as the layer defines it"
                    : "tanh form, as the field's GPU runs computed it");
    return true;
}

static bool remainder_dropped(char *text, size_t size, const eval_facts *f)
{
    const metric_evaluation *e = f->evaluation;
    if (!e->options.batch32 || e->no_batches || !e->batches.dropped) return false;
    snprintf(text, size, "batch32: %lld batches of %lld, the other %lld of %lld are dropped",
             (long long)e->batches.batches, (long long)e->batches.batch_size,
             (long long)e->batches.dropped, (long long)e->n);
    return true;
}

static bool other_lengths(char *text, size_t size, const eval_facts *f)
{
    if (!f->cut && !f->shorter) return false;
    snprintf(
        text, size,
        "lengths: %lld generations are longer than their target and were cut, %lld are shorter",
        (long long)f->cut, (long long)f->shorter);
    return true;
}

static bool skewed_body(char *text, size_t size, const eval_facts *f)
{
    if (f->deviation < 1e-3) return false;
    snprintf(text, size,
             "generated rotations are not orthonormal (off by up to %.3g); scored as they are, see "
             "--orthonormalise",
             f->deviation);
    return true;
}

static bool turned_heading(char *text, size_t size, const eval_facts *f)
{
    double off_target = eval_angle_between(f->heading_generated, f->heading_target);
    double off_source = eval_angle_between(f->heading_generated, f->heading_source);
    if (off_target <= 10 && off_source <= 10 &&
        eval_angle_between(f->heading_source, f->heading_target) <= 10)
        return false;
    snprintf(text, size,
             "mean first heading: source %.1f, target %.1f, generated %.1f degrees; the features "
             "see it, "
             "so a score with headings aligned stands beside",
             f->heading_source, f->heading_target, f->heading_generated);
    return true;
}

static bool few_samples(char *text, size_t size, const eval_facts *f)
{
    if (!f->evaluation->options.batch32 || !f->evaluation->no_batches) return false;
    snprintf(text, size, "no batch32: %s (the reference stops with an IndexError)",
             f->evaluation->no_batches);
    return true;
}

static bool stray_files(char *text, size_t size, const eval_facts *f)
{
    if (!f->ignored_n) return false;
    snprintf(text, size, "%lld file%s no sample and %s ignored (first: %s)",
             (long long)f->ignored_n, f->ignored_n == 1 ? " is" : "s are",
             f->ignored_n == 1 ? "was" : "were", f->ignored[0]);
    return true;
}

static bool loses_to_copying(char *text, size_t size, const eval_facts *f)
{
    if (!f->copy_source || f->own_baseline) return false;
    const metric_block *ours = f->evaluation->full[METRIC_TO_TARGET],
                       *copy = f->copy_source->full[METRIC_TO_TARGET];
    const char *protocol = "full";
    if (!ours || !copy) {
        ours = f->evaluation->batch32[METRIC_TO_TARGET];
        copy = f->copy_source->batch32[METRIC_TO_TARGET];
        protocol = "batch32";
    }
    if (!ours || !copy) return false;
    double a = metric_block_value(ours, "R@1"), b = metric_block_value(copy, "R@1");
    if (!(a <= b)) return false;
    snprintf(text, size,
             "does not beat doing nothing: R@1 (%s, generated-to-target) is %.2f, copying the "
             "source gives %.2f",
             protocol, a, b);
    return true;
}

// clang-format off
const eval_trap eval_traps[] = {
    {1, EVAL_TRAP_DESIGN, "papers say generated-to-target; the code lets targets search among generated motions",
     "replicated and labelled; the transposed direction is in the result", NULL},
    {2, EVAL_TRAP_WARNING, "the gallery is whatever files exist, and nothing prints its size",
     "N is printed, missing and extra keys are listed; --strict makes them an error", incomplete},
    {3, EVAL_TRAP_WARNING, "samplers draw half of the test split (506 of 1013) without saying so",
     "all keys by default; a subset is named in every result", partial_split},
    {4, EVAL_TRAP_WARNING, "val and train items enter the gallery when the whole dataset file is given",
     "filtered by splits.json where there is one", no_split_list},
    {5, EVAL_TRAP_WARNING, "OmniME's half is not SimMotionEdit's half (426 of 506 in common)",
     "the subsets have different names", legacy_subset},
    {6, EVAL_TRAP_NOTE, "identical targets: a two-way tie is a hit at R@1, a three-way tie a miss",
     "replicated; groups are counted and a duplicate-aware score stands beside", duplicates},
    {7, EVAL_TRAP_DESIGN, "equal motions encoded in different batches may differ in last bits, which breaks ties",
     "every distinct input is encoded once", NULL},
    {8, EVAL_TRAP_NOTE, "the GPU computes the tanh GELU where the layer asks for erf",
     "tanh by default, printed; --gelu erf, --gelu both", gelu_form},
    {9, EVAL_TRAP_NOTE, "the batch protocol drops the remainder, and other N mean other batches",
     "replicated and counted; mean and s.d. over 20 other shuffles in the result", remainder_dropped},
    {10, EVAL_TRAP_NOTE, "longer generations are cut to the target's length, shorter ones accepted",
     "replicated and counted", other_lengths},
    {11, EVAL_TRAP_NOTE, "generated body rotations are scored raw, ground truth is orthonormal",
     "replicated; the deviation is reported, --orthonormalise scores both", skewed_body},
    {12, EVAL_TRAP_WARNING, "decoders start at heading 0, the dataset at 45 degrees, and the features see it",
     "mean headings are printed; above 10 degrees a score with headings aligned stands beside", turned_heading},
    {13, EVAL_TRAP_DESIGN, "pose_source and pose_target of sample files are in the decoder's frame",
     "never read", NULL},
    {14, EVAL_TRAP_ERROR, "a missing motion_encoder.pt leaves random weights", "refused when the encoder is loaded", NULL},
    {15, EVAL_TRAP_WARNING, "last_weights wins over last.ckpt, even when it is older", "said when the encoder is loaded", NULL},
    {16, EVAL_TRAP_WARNING, "poses that are not float32 crash or not, depending on the first file",
     "converted, said when the samples are read", NULL},
    {17, EVAL_TRAP_ERROR, "NaN trips an assertion, or gives wrong ranks silently", "refused, naming the key", NULL},
    {18, EVAL_TRAP_WARNING, "no sample, no key in common or fewer than 32: ZeroDivisionError, IndexError",
     "none in common is refused with the likely reason; under 32 the full protocol remains", few_samples},
    {19, EVAL_TRAP_WARNING, "no frames: IndexError; one frame: scored", "no frames are refused, one frame is said when the samples are read", NULL},
    {20, EVAL_TRAP_WARNING, "KEY_source.npy, KEY_target.npy and stray files are dropped silently",
     "counted and named", stray_files},
    {21, EVAL_TRAP_DESIGN, "paths are fixed in the code, and differ from the README's", "every path is on the command line", NULL},
    {22, EVAL_TRAP_DESIGN, "no evaluator prints N, MedR, R@5 and R@10; some omit AvgR", "all are printed", NULL},
    {23, EVAL_TRAP_DESIGN, "the two protocols share variables, and one alone crashes", "they are independent", NULL},
    {24, EVAL_TRAP_DESIGN, "results are strings", "numbers, unrounded, in one document", NULL},
    {25, EVAL_TRAP_DESIGN, "FID is imported and never called; its features drop the remainder",
     "computed, with its n and the floor that two halves of one set have; other n are not compared", NULL},
    {26, EVAL_TRAP_DESIGN, "OmniME's cross-dataset \"test set\" values are batch values", "not quoted", NULL},
    {27, EVAL_TRAP_DESIGN, "the published ground-truth rows contradict each other", "ground truth is computed in every run", NULL},
    {28, EVAL_TRAP_DESIGN, "samples depend on seed, order and padding of the sampler's batches",
     "a run scores the files that are there; score several seeds to see the spread", NULL},
    {29, EVAL_TRAP_DESIGN, "text is lower-cased before CLIP", "texts play no part in scoring", NULL},
    {30, EVAL_TRAP_WARNING, "ids that are not strings never match a file", "whole numbers become six digits, said when the dataset is read", NULL},
    {31, EVAL_TRAP_DESIGN, "M-score and edit accuracy have bugs that change them", "not replicated", NULL},
    {32, EVAL_TRAP_WARNING, "published results are near what copying the source gives",
     "the copy-source row stands beside every result, and losing to it is said", loses_to_copying},
};
// clang-format on

const int eval_trap_count = (int)(sizeof eval_traps / sizeof *eval_traps);

const char *eval_trap_level_name(eval_trap_level level)
{
    static const char *const names[] = {"by design", "note", "warning", "error"};
    return names[level];
}

static me_code add_note(me_value *result, me_arena *arena, const char *text, me_err *err)
{
    me_value *notes = me_dict_get(result, "notes");
    if (!notes) {
        notes = me_value_new(arena, ME_LIST);
        if (!notes) return me_fail_mem(err, "notes");
        me_code code = me_dict_put(arena, result, "notes", notes, err);
        if (code) return code;
    }
    return me_list_append(arena, notes, me_value_string(arena, text), err);
}

me_code eval_traps_check(me_value *result, me_arena *arena, const eval_facts *f, me_log *log,
                         me_err *err)
{
    me_code code = ME_OK;
    for (int i = 0; i < eval_trap_count && !code; i++) {
        const eval_trap *t = &eval_traps[i];
        char text[480];
        if (!t->applies || !t->applies(text, sizeof text, f)) continue;
        if (t->level == EVAL_TRAP_NOTE) {
            me_info(log, "%s [trap %d]", text, t->id);
            code = add_note(result, arena, text, err);
        } else {
            me_warn(log, "%s [trap %d]", text, t->id);
            code = metric_result_warn(result, arena, err, "%s [trap %d]", text, t->id);
        }
    }
    return code;
}
