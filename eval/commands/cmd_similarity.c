/* eval/commands/cmd_similarity.c: `mebench similarity`: how similar each source frame is to the
 * target, and which pairs teach it (spec omnime 7). Stores the scores, prints the curve of a pair,
 * or sweeps window, kappa and tau, which have to be chosen for each dataset. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/commands.h"
#include "eval/selection.h"
#include "motion/similarity_plot.h"

typedef struct options {
    eval_common common;
    const char *dataset, *splits, *split, *out, *key, *scores, *plots;
    int64_t window, kappa;
    double tau;
    bool sweep;
} options;

#define AT(member) .offset = offsetof(options, member)

// clang-format off
static const me_opt table[] = {
    {.name = "dataset", .type = ME_OPT_STRING, AT(dataset), .value = "FILE", .help = "pairs of source and target"},
    {.name = "splits", .type = ME_OPT_STRING, AT(splits), .value = "FILE", .help = "splits.json; without it one beside the dataset, if any"},
    {.name = "split", .type = ME_OPT_STRING, AT(split), .fallback = "all", .value = "NAME", .help = "train, val, test or all"},
    {.name = "scores", .type = ME_OPT_STRING, AT(scores), .value = "FILE", .help = "read scores, such as the released .npz, instead of computing them"},
    {.name = "key", .type = ME_OPT_STRING, AT(key), .value = "KEY", .help = "print that pair's curve: frame, score, distance, class"},
    {.name = "sweep", .type = ME_OPT_BOOL, AT(sweep), .help = "a table over window, kappa and tau, as CSV"},
    {.name = "plots", .type = ME_OPT_STRING, AT(plots), .value = "DIR", .help = "curves as DIR/KEY.svg, of all pairs or of --key; with --sweep DIR/sweep.svg"},
    {.name = "window", .type = ME_OPT_INT, AT(window), .fallback = "15", .lo = 1, .hi = 10000, .value = "W", .help = "target frames looked at on each side"},
    {.name = "kappa", .type = ME_OPT_INT, AT(kappa), .fallback = "10", .lo = 1, .hi = 10000, .value = "N", .help = "frames at each end of MotionSNR"},
    {.name = "tau", .type = ME_OPT_FLOAT, AT(tau), .fallback = "2", .lo = 0, .hi = 1e9, .value = "X", .help = "smallest MotionSNR of a pair that teaches"},
    {.name = "out", .type = ME_OPT_STRING, AT(out), .value = "FILE", .help = "the .npy file to write, for `train --scores` (also -o)"},
    EVAL_COMMON_OPTIONS,
};
// clang-format on

typedef struct scores {
    motion_dataset data;
    eval_selection selected;
    motion_similarity *of; /* (selected.n) */
    me_arena arena;
} scores;

static const motion_pair *pair_at(const scores *s, int64_t i)
{
    return &s->data.pairs[s->selected.pair[i]];
}

/* The scores of all selected pairs, in `arena`. */
static me_code compute(motion_similarity *out, const scores *s, me_arena *arena,
                       const motion_similarity_options *how, me_err *err)
{
    me_code code = ME_OK;
    for (int64_t i = 0; i < s->selected.n && !code; i++) {
        const motion_pair *p = pair_at(s, i);
        code = motion_similarity_of(&out[i], arena, &p->source, &p->target, &motion_mean_body, how,
                                    err);
    }
    return code;
}

/* Those that a file has; it does not store MotionSNR. */
static me_code read_file(scores *s, const char *path, me_err *err)
{
    motion_similarity_file file;
    me_code code = motion_similarity_open(&file, path, err);
    if (code) return code;
    for (int64_t i = 0; i < s->selected.n && !code; i++)
        code = motion_similarity_find(&s->of[i], &file, &s->arena, pair_at(s, i)->key, err);
    motion_similarity_close(&file);
    return code;
}

/* ---- what is shown
 * ------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void show_summary(eval_call *call, const scores *s, double *snr)
{
    int64_t teach = 0, known = 0, finite = 0, classes[3] = {0}, frames = 0;
    for (int64_t i = 0; i < s->selected.n; i++) {
        const motion_similarity *m = &s->of[i];
        known += m->n > 0;
        if (isfinite(m->snr)) snr[finite++] = m->snr;
        if (!m->teaches) continue;
        teach++;
        for (int64_t f = 0; f < m->n; f++, frames++)
            classes[motion_similarity_class(m->score[f])]++;
    }
    qsort(snr, (size_t)finite, sizeof *snr, by_value);
    me_writer_printf(&call->out, "%lld pairs, %lld with scores; %lld teach (%.1f%%)\n",
                     (long long)s->selected.n, (long long)known, (long long)teach,
                     known ? 100.0 * (double)teach / (double)known : 0);
    if (finite)
        me_writer_printf(&call->out, "MotionSNR: median %.2f, quarters at %.2f and %.2f\n",
                         snr[finite / 2], snr[finite / 4], snr[3 * finite / 4]);
    if (frames)
        me_writer_printf(&call->out,
                         "frames of pairs that teach: %.1f%% different, %.1f%% between, %.1f%% "
                         "similar\n",
                         100.0 * (double)classes[0] / (double)frames,
                         100.0 * (double)classes[1] / (double)frames,
                         100.0 * (double)classes[2] / (double)frames);
}

static me_code show_curve(eval_call *call, const scores *s, const char *key, me_err *err)
{
    for (int64_t i = 0; i < s->selected.n; i++) {
        if (strcmp(pair_at(s, i)->key, key) != 0) continue;
        const motion_similarity *m = &s->of[i];
        me_writer_printf(&call->out, "frame,score,distance,class\n");
        for (int64_t f = 0; f < m->n; f++)
            me_writer_printf(&call->out, "%lld,%.6f,%.6f,%d\n", (long long)f, m->score[f],
                             m->original ? -m->original[f] : NAN,
                             motion_similarity_class(m->score[f]));
        me_info(call->log, "%s: MotionSNR %.3f, %s", key, m->snr,
                m->teaches ? "teaches" : "does not teach");
        return ME_OK;
    }
    return me_fail(err, ME_EUSAGE, "no pair '%s' in the split '%s'", key, s->selected.split);
}

/* ---- pictures ----------------------------------------------------------------------------------
 */

/* The curve of a pair, and that of its target towards its source where scores are computed. */
static me_code plot_pair(const scores *s, int64_t i, const options *o,
                         const motion_similarity_options *how, me_err *err)
{
    const motion_pair *p = pair_at(s, i);
    if (!p->key[0] || p->key[0] == '.' || strchr(p->key, '/'))
        return me_fail(err, ME_EDATA, "'%s' cannot be a file's name", p->key);
    me_arena arena;
    me_arena_init(&arena);
    motion_similarity back;
    me_writer w;
    const char *path = me_arena_printf(&arena, "%s/%s.svg", o->plots, p->key);
    me_code code = path ? ME_OK : me_fail_mem(err, "a plot");
    if (!code && !o->scores)
        code = motion_similarity_of(&back, &arena, &p->target, &p->source, &motion_mean_body, how,
                                    err);
    if (!code) code = me_writer_open(&w, path, err);
    if (!code) {
        const motion_similarity_curve curve = {.key = p->key,
                                               .text = p->text,
                                               .source = &s->of[i],
                                               .target = o->scores ? NULL : &back,
                                               .tau = how->tau,
                                               .kappa = how->kappa};
        motion_similarity_plot(&w, &curve);
        code = me_writer_commit(&w, err);
    }
    me_arena_release(&arena);
    return code;
}

/* Of --key, or of all pairs that have scores. */
static me_code plot_pairs(eval_call *call, const scores *s, const motion_similarity_options *how,
                          me_err *err)
{
    const options *o = call->options;
    int64_t plotted = 0;
    me_code code = me_make_directories(o->plots, err);
    for (int64_t i = 0; i < s->selected.n && !code; i++) {
        if (!s->of[i].n || (o->key && strcmp(pair_at(s, i)->key, o->key) != 0)) continue;
        code = plot_pair(s, i, o, how, err);
        plotted++;
        me_progress(call->log, "plots", i + 1, s->selected.n);
    }
    me_progress_end(call->log);
    if (!code) me_info(call->log, "%s: %lld curves", o->plots, (long long)plotted);
    return code;
}

static me_code plot_grid(const char *folder, const motion_similarity_grid *grid, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_writer w;
    const char *path = me_path_join(&arena, folder, "sweep.svg");
    me_code code = path ? me_make_directories(folder, err) : me_fail_mem(err, "a plot");
    if (!code) code = me_writer_open(&w, path, err);
    if (!code) {
        motion_similarity_plot_grid(&w, grid);
        code = me_writer_commit(&w, err);
    }
    me_arena_release(&arena);
    return code;
}

/* ---- settings ----------------------------------------------------------------------------------
 */

enum { WINDOWS = 5, KAPPAS = 4, TAUS = 6 };

/* One line for every window, kappa and tau: how many pairs teach, and of the pairs that either this
 * setting or the given one selects, how many both do. */
static me_code sweep(eval_call *call, const scores *s, const motion_similarity_options *given,
                     me_err *err)
{
    static const int windows[] = {5, 10, 15, 20, 30}, kappas[] = {5, 10, 15, 20};
    static const double taus[] = {1.5, 2, 2.5, 3, 4, 6};
    const options *o = call->options;
    double share[WINDOWS * KAPPAS * TAUS], agreement[WINDOWS * KAPPAS * TAUS];
    motion_similarity *now = ME_NEW_ARRAY(call->arena, s->selected.n, motion_similarity);
    if (!now) return me_fail_mem(err, "a sweep");
    me_writer_printf(&call->out, "window,kappa,tau,teach,share,agreement\n");
    me_code code = ME_OK;
    for (int setting = 0; setting < WINDOWS * KAPPAS && !code; setting++) {
        motion_similarity_options how = *given;
        me_arena arena;
        me_arena_init(&arena);
        how.window = windows[setting / KAPPAS];
        how.kappa = kappas[setting % KAPPAS];
        how.tau = 0; /* so that only length and MotionSNR remain to be asked */
        code = compute(now, s, &arena, &how, err);
        for (int t = 0; t < TAUS && !code; t++) {
            int64_t teach = 0, both = 0, either = 0;
            for (int64_t i = 0; i < s->selected.n; i++) {
                const bool here = now[i].teaches && !(now[i].snr < taus[t]);
                teach += here;
                both += here && s->of[i].teaches;
                either += here || s->of[i].teaches;
            }
            const int at = setting * TAUS + t;
            share[at] = (double)teach / (double)s->selected.n;
            agreement[at] = either ? (double)both / (double)either : 1.0;
            me_writer_printf(&call->out, "%d,%d,%g,%lld,%.4f,%.4f\n", how.window, how.kappa,
                             taus[t], (long long)teach, share[at], agreement[at]);
        }
        me_arena_release(&arena);
        me_progress(call->log, "settings", setting + 1, WINDOWS * KAPPAS);
    }
    me_progress_end(call->log);
    const motion_similarity_grid grid = {.window = windows,
                                         .kappa = kappas,
                                         .tau = taus,
                                         .windows = WINDOWS,
                                         .kappas = KAPPAS,
                                         .taus = TAUS,
                                         .share = share,
                                         .agreement = agreement};
    return !code && o->plots ? plot_grid(o->plots, &grid, err) : code;
}

static me_code store(eval_call *call, const scores *s, const char *path, me_err *err)
{
    const char **keys = ME_NEW_ARRAY(call->arena, s->selected.n, const char *);
    if (!keys) return me_fail_mem(err, "scores");
    for (int64_t i = 0; i < s->selected.n; i++) keys[i] = pair_at(s, i)->key;
    return motion_similarity_write(path, keys, s->of, s->selected.n, err);
}

static me_code show(eval_call *call, const scores *s, const motion_similarity_options *how,
                    me_err *err)
{
    const options *o = call->options;
    me_code code = o->out ? store(call, s, o->out, err) : ME_OK;
    if (code) return code;
    if (o->sweep) return sweep(call, s, how, err);
    if (o->plots) code = plot_pairs(call, s, how, err);
    if (code) return code;
    if (o->key) return show_curve(call, s, o->key, err);
    double *snr = ME_NEW_ARRAY(call->arena, s->selected.n, double);
    if (!snr) return me_fail_mem(err, "scores");
    show_summary(call, s, snr);
    return ME_OK;
}

static me_code run_similarity(eval_call *call, me_err *err)
{
    const options *o = call->options;
    if (!o->dataset) return me_fail(err, ME_EUSAGE, "similarity: --dataset is needed");
    if (o->scores && (o->out || o->sweep))
        return me_fail(err, ME_EUSAGE,
                       "similarity: --scores reads what --out and --sweep would compute: give one "
                       "of them");
    if (o->key && o->sweep)
        return me_fail(err, ME_EUSAGE, "similarity: --key and --sweep do not go together");
    scores s = {0};
    motion_similarity_options how = motion_similarity_defaults();
    how.window = (int)o->window;
    how.kappa = (int)o->kappa;
    how.tau = o->tau;
    me_code code = motion_dataset_open(
        &s.data, o->dataset, &(motion_dataset_options){.splits = o->splits, .joints = true}, err);
    for (int64_t i = 0; i < s.data.notes.n && !code; i++)
        me_warn(call->log, "%s", s.data.notes.items[i]);
    if (!code) code = eval_select(&s.selected, call->arena, &s.data, o->split, "all", err);
    if (!code && !(s.of = ME_NEW_ARRAY(call->arena, s.selected.n, motion_similarity)))
        code = me_fail_mem(err, "scores");
    if (!code)
        code = o->scores ? read_file(&s, o->scores, err) : compute(s.of, &s, &s.arena, &how, err);
    if (!code) code = show(call, &s, &how, err);
    me_arena_release(&s.arena);
    motion_dataset_close(&s.data);
    return code;
}

const eval_command eval_command_similarity = {
    .name = "similarity",
    .usage = "similarity --dataset FILE [--out FILE] [--key KEY] [--sweep] [--plots DIR] [options]",
    .summary = "how similar source and target are, frame by frame",
    .doc =
        "For every frame of a source, how near the target comes within a window; from the "
        "contrast between\nframes (MotionSNR), whether the pair teaches the editors' "
        "similarity head. The reference measures\njoints on a licensed body model; here the 22 "
        "stored joints stand in for it, so scores are close to\nthe released ones, not equal. "
        "`train --scores` takes either. A plot has the scores of source frames towards the target, "
        "those of\ntarget frames towards the source beside them, the thresholds of the classes, "
        "and "
        "the frames that\nMotionSNR compares.",
    .options = table,
    .options_size = sizeof(options),
    .run = run_similarity,
};
