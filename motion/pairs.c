/* motion/pairs.c: triplets from real clips (motion/pairs.h): files to windows, windows to pairs,
 * and the sentences. The edits themselves are in motion/edits.c. */
#include "motion/pairs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/rng.h"
#include "motion/augment.h"
#include "motion/bvh.h"
#include "motion/edits.h"

#define MOST_FOLDERS_DEEP 16

motion_pairs_options motion_pairs_defaults(uint64_t seed)
{
    return (motion_pairs_options){.seed = seed, .val_share = 0.1, .test_share = 0.2};
}

/* ---- files ---- */
typedef struct source_file {
    const char *path, *subject, *what; /* what: one word for what is done, or "motion" */
} source_file;

typedef struct window {
    motion_clip clip;
    const source_file *file;
    motion_split split;
    bool close; /* begins less than half a window after one that is not: for training alone */
} window;

typedef struct build {
    motion_dataset *out;
    const motion_pairs_options *o;
    source_file *files;
    int64_t n_files, file_room;
    window *windows;
    int64_t n_windows, window_room, pair_room;
    int64_t n_cut; /* of the windows, those that come from a file as they are */
    me_arena scratch;
    me_csv manifest;
    int64_t column_file, column_what;
} build;

/* Makes room for one more in a growing array of the dataset's arena. */
static void *grow(me_arena *arena, void *items, int64_t n, int64_t *room, size_t size)
{
    if (n < *room) return items;
    int64_t more = *room ? 2 * *room : 64;
    void *wider = me_arena_alloc(arena, (size_t)more, size);
    if (!wider) return NULL;
    if (n) memcpy(wider, items, (size_t)n * size);
    *room = more;
    return wider;
}

/* The digits that the name begins with, else the folder's name. */
static const char *subject_of(me_arena *arena, const char *path)
{
    const char *base = me_path_base(path);
    size_t digits = strspn(base, "0123456789");
    if (digits) {
        size_t zeros = strspn(base, "0");
        if (zeros == digits) zeros--;
        return me_arena_strndup(arena, base + zeros, digits - zeros);
    }
    if (base == path) return "";
    const char *end = base - 1, *start = end;
    while (start > path && start[-1] != '/') start--;
    return me_arena_strndup(arena, start, (size_t)(end - start));
}

/* "walk" of "walk, veer left"; "motion" where the first words are not one plain word. */
static const char *word_of(me_arena *arena, const char *description)
{
    size_t n = 0;
    while (isalpha((unsigned char)description[n])) n++;
    char next = description[n];
    if (n < 3 || n > 12 || !(next == 0 || next == ',' || next == '/' || next == ' ' || next == '-'))
        return "motion";
    char *word = me_arena_strndup(arena, description, n);
    for (char *s = word; s && *s; s++) *s = (char)tolower((unsigned char)*s);
    return word;
}

static const char *describe(build *b, const char *path)
{
    const char *base = me_path_base(path);
    for (int64_t i = 1; b->manifest.cells && i < b->manifest.rows; i++)
        if (!strcmp(me_path_base(b->manifest.cells[i][b->column_file]), base))
            return word_of(&b->out->arena, b->manifest.cells[i][b->column_what]);
    return "motion";
}

static me_code open_manifest(build *b, const char *path, me_err *err)
{
    if (b->manifest.cells) return ME_OK;
    me_code code = me_csv_open(&b->manifest, path, err);
    if (code) return code;
    b->column_file = me_csv_column(&b->manifest, "file");
    b->column_what = me_csv_column(&b->manifest, "description");
    if (b->column_file < 0 || b->column_what < 0)
        return me_fail(err, ME_EDATA, "%s: expected the columns file and description", path);
    return ME_OK;
}

static me_code add_file(build *b, const char *path, me_err *err)
{
    b->files = grow(&b->out->arena, b->files, b->n_files, &b->file_room, sizeof *b->files);
    source_file f = {.path = me_arena_strdup(&b->out->arena, path)};
    if (!b->files || !f.path) return me_fail_mem(err, "a list of files");
    f.subject = subject_of(&b->out->arena, f.path);
    if (!f.subject) return me_fail_mem(err, "a list of files");
    b->files[b->n_files++] = f;
    return ME_OK;
}

static me_code find_files(build *b, const char *path, int depth, me_err *err)
{
    if (!me_is_directory(path)) return add_file(b, path, err);
    if (depth > MOST_FOLDERS_DEEP)
        return me_fail(err, ME_EDATA,
                       "%s: folders are nested more than %d deep (a link to itself?)", path,
                       MOST_FOLDERS_DEEP);
    me_names names;
    me_code code = me_list_directory(&names, &b->scratch, path, err);
    for (int64_t i = 0; code == ME_OK && i < names.n; i++) {
        if (names.items[i][0] == '.') continue;
        const char *inner = me_path_join(&b->scratch, path, names.items[i]);
        if (!inner) return me_fail_mem(err, "a path");
        if (me_is_directory(inner))
            code = find_files(b, inner, depth + 1, err);
        else if (me_has_suffix(inner, ".bvh"))
            code = add_file(b, inner, err);
        else if (!b->o->manifest && depth == 0 && !strcmp(names.items[i], "manifest.csv"))
            code = open_manifest(b, inner, err);
    }
    return code;
}

/* ---- windows ---- */
static int64_t least_frames(const motion_pairs_options *o)
{
    return o->min_frames ? o->min_frames : 30;
}

static int64_t most_frames(const motion_pairs_options *o)
{
    return o->max_frames ? o->max_frames : 150;
}

static window *add_window(build *b, const source_file *file, me_err *err)
{
    b->windows =
        grow(&b->out->arena, b->windows, b->n_windows, &b->window_room, sizeof *b->windows);
    if (!b->windows) {
        me_fail_mem(err, "the windows");
        return NULL;
    }
    window *w = &b->windows[b->n_windows++];
    *w = (window){.file = file, .split = MOTION_TRAIN};
    return w;
}

static me_code cut_windows(build *b, const source_file *file, const motion_clip *whole, me_rng *g,
                           me_err *err)
{
    const int64_t least = least_frames(b->o), most = most_frames(b->o);
    int64_t apart = 0; /* where the next window begins that is not close to one before */
    for (int64_t from = 0; whole->frames - from >= least;) {
        int64_t left = whole->frames - from;
        int64_t length = least + (int64_t)me_rng_below(g, (uint32_t)(most - least + 1));
        /* A window is rather long than short, and no stub is left behind. */
        length = length < (least + most) / 2 ? (least + most) / 2 : length;
        if (length > left || left - length < least / 2)
            length = left < most ? left : length < left ? length : most;
        const int64_t half = length / 2 > 0 ? length / 2 : 1;
        window *w = add_window(b, file, err);
        if (!w || motion_edit_cut(&w->clip, &b->out->arena, whole, from, length, err))
            return ME_EMEM;
        motion_canonicalise(&w->clip);
        w->close = from < apart;
        if (!w->close) apart = from + half;
        from += b->o->stride ? b->o->stride : half;
        if (left == length) break;
    }
    return ME_OK;
}

/* A file that cannot be used is noted; only memory ends the work. */
static me_code read_file(build *b, source_file *file, me_rng *g, me_err *err)
{
    me_arena_mark mark = me_arena_get_mark(&b->scratch);
    me_err why = {0};
    motion_bvh bvh;
    motion_clip whole = {0};
    motion_retarget_options how = {.drop_first = -1};
    me_code code = motion_bvh_open(&bvh, file->path, &why);
    if (code == ME_OK) {
        code = motion_bvh_to_clip(&whole, &b->scratch, &bvh, &how, &why);
        motion_bvh_close(&bvh);
    }
    int64_t before = b->n_windows;
    if (code == ME_OK) {
        file->what = describe(b, file->path);
        if (!file->what) return me_fail_mem(err, "a description");
        code = cut_windows(b, file, &whole, g, err);
        if (code == ME_OK && b->n_windows == before)
            motion_note(&b->out->notes, &b->out->arena, "%s: too short (%lld frames)", file->path,
                        (long long)whole.frames);
    } else if (code != ME_EMEM) {
        motion_note(&b->out->notes, &b->out->arena, "left out: %s", why.msg);
        code = ME_OK;
    } else
        me_fail(err, code, "%s", why.msg);
    me_arena_rewind(&b->scratch, mark);
    return code;
}

/* ---- splits ---- */
static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int64_t subject_index(const build *b, int64_t window_index, const char *const *names,
                             int64_t subjects)
{
    const char *const *at = bsearch(&b->windows[window_index].file->subject, names,
                                    (size_t)subjects, sizeof *names, by_name);
    return at - names;
}

static me_code split_subjects(build *b, me_err *err)
{
    const char **names = ME_NEW_ARRAY(&b->scratch, b->n_files, const char *);
    int64_t *order = ME_NEW_ARRAY(&b->scratch, b->n_files, int64_t);
    if (!names || !order) return me_fail_mem(err, "the subjects");
    int64_t n = 0;
    for (int64_t i = 0; i < b->n_windows; i++)
        if (i == 0 || b->windows[i].file != b->windows[i - 1].file)
            names[n++] = b->windows[i].file->subject;
    qsort(names, (size_t)n, sizeof *names, by_name);
    int64_t subjects = 0;
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || strcmp(names[i], names[subjects - 1])) names[subjects++] = names[i];
    for (int64_t i = 0; i < subjects; i++) order[i] = i;
    me_rng g = me_rng_make(b->o->seed, UINT64_MAX);
    me_rng_shuffle(&g, order, subjects);
    if (subjects < 3) {
        b->out->has_split = false;
        for (int64_t i = 0; i < b->n_windows; i++) b->windows[i].split = MOTION_UNSPLIT;
        motion_note(&b->out->notes, &b->out->arena, "%lld subject%s: too few to split by",
                    (long long)subjects, subjects == 1 ? "" : "s");
        return ME_OK;
    }
    /* Subjects in a drawn order fill test, then val, each up to its share of the windows. */
    double filled[2] = {0}, share[2] = {b->o->test_share, b->o->val_share};
    motion_split *splits = ME_NEW_ARRAY(&b->scratch, subjects, motion_split);
    int64_t *windows = ME_NEW_ARRAY(&b->scratch, subjects, int64_t);
    if (!splits || !windows) return me_fail_mem(err, "the subjects");
    for (int64_t i = 0; i < b->n_windows; i++) windows[subject_index(b, i, names, subjects)]++;
    for (int64_t i = 0; i < subjects; i++) {
        double part = (double)windows[order[i]] / (double)b->n_windows;
        splits[order[i]] = MOTION_TRAIN;
        for (int k = 0; k < 2; k++) {
            /* The first one is taken unless it is far too large; later ones where they fit. */
            bool fits =
                filled[k] + part <= share[k] * 1.25 || (filled[k] == 0 && part <= 2 * share[k]);
            if (filled[k] >= share[k] * 0.9 || !fits) continue;
            filled[k] += part;
            splits[order[i]] = k ? MOTION_VAL : MOTION_TEST;
            break;
        }
    }
    for (int64_t i = 0; i < b->n_windows; i++)
        b->windows[i].split = splits[subject_index(b, i, names, subjects)];
    return ME_OK;
}

/* ---- variations ---- */
/* A window of the same split that another file gave and that does something else; NULL where forty
 * tries find none. */
static const window *draw_donor(const build *b, const window *w, me_rng *g)
{
    for (int tries = 0; tries < 40; tries++) {
        const window *other = &b->windows[me_rng_below(g, (uint32_t)b->n_cut)];
        if (other->split == w->split && other->file != w->file &&
            strcmp(other->file->what, w->file->what))
            return other;
    }
    return NULL;
}

/* Behind the windows of the files come the variations of those that are trained on. */
static me_code augment(build *b, me_err *err)
{
    me_code code = ME_OK;
    for (int64_t i = 0; code == ME_OK && i < b->n_cut; i++) {
        me_rng g = me_rng_make(b->o->seed, ~(uint64_t)i);
        if (b->windows[i].split != MOTION_TRAIN) continue;
        for (int64_t k = 0; code == ME_OK && k < b->o->augment; k++) {
            /* Clips are copied, since adding a window may move the others. */
            const window *found[2] = {draw_donor(b, &b->windows[i], &g),
                                      draw_donor(b, &b->windows[i], &g)};
            const motion_clip from = b->windows[i].clip, donor = found[0] ? found[0]->clip : from,
                              other = found[1] ? found[1]->clip : from;
            window *w = add_window(b, b->windows[i].file, err);
            if (!w) return ME_EMEM;
            code = motion_augment(&w->clip, &b->out->arena, &from, found[0] ? &donor : NULL,
                                  found[1] ? &other : NULL, most_frames(b->o), &g, err);
        }
    }
    return code;
}

/* ---- edits and their sentences ---- */
typedef enum {
    FASTER,
    SLOWER,
    PART_FASTER,
    MIRROR,
    BIGGER,
    SMALLER,
    GRAFT,
    STILL,
    CUT_START,
    CUT_END,
    REPEAT,
    HOLD,
    KINDS
} edit_kind;
_Static_assert(KINDS == MOTION_PAIRS_MOST, "pairs.h says how many kinds there are");

/* {d} is "walk" or "motion", {p} the body part. There are two rows for each edit: there and back.
 */
#define WORDINGS 6
// clang-format off
static const char *const wordings[KINDS][2][WORDINGS] = {
    [FASTER] = {{"do the {d} faster", "speed up the {d}", "the same {d} but quicker", "move faster", "be quicker during the {d}", "go through the {d} at a higher speed"},
                {"do the {d} slower", "slow down", "take your time with the {d}", "the {d} should be slower", "don't go so fast", "move more slowly"}},
    [SLOWER] = {{"do the {d} slower", "slow down the {d}", "the same {d} but slower", "move more slowly", "take more time for the {d}", "don't hurry during the {d}"},
                {"do the {d} faster", "speed up", "be quicker", "the {d} should be faster", "don't be so slow", "move faster"}},
    [PART_FASTER] = {{"speed up in the middle of the {d}", "be faster in the middle", "hurry halfway through the {d}", "go quicker in the middle part", "accelerate, then slow down again", "the middle of the {d} should be faster"},
                {"don't speed up in the middle", "keep an even speed", "slow down in the middle of the {d}", "the middle of the {d} should be slower", "stay at the same speed all along", "take the middle part slower"}},
    [MIRROR] = {{"do the {d} with the other side", "mirror the {d}", "swap left and right", "use the opposite arm and leg", "flip the {d} to the other side", "same {d} but left and right are exchanged"},
                {"do it with the other side", "mirror it back", "swap left and right", "use the other arm and leg", "switch sides", "change left and right in the {d}"}},
    [BIGGER] = {{"move {p} more", "make bigger movements with {p}", "exaggerate what {p} does", "swing {p} further", "larger motion of {p} during the {d}", "use {p} more in the {d}"},
                {"move {p} less", "make smaller movements with {p}", "don't swing {p} so much", "calmer with {p}", "less motion of {p} during the {d}", "use {p} less"}},
    [SMALLER] = {{"move {p} less", "make smaller movements with {p}", "don't swing {p} so much", "be calmer with {p}", "less motion of {p} during the {d}", "use {p} less in the {d}"},
                {"move {p} more", "make bigger movements with {p}", "exaggerate what {p} does", "swing {p} further", "more motion of {p} during the {d}", "use {p} more"}},
    [GRAFT] = {{"do the {d} but move {p} as in a {e}", "hold {p} as in a {e}", "use {p} as if it were a {e}", "move {p} like in a {e}", "same {d}, {p} as for a {e}", "change {p} to the movement of a {e}"},
                {"move {p} as usual", "don't move {p} like in a {e}", "{p} should do what belongs to the {d}", "no {e} with {p}", "move {p} normally during the {d}", "use {p} as in a {d} again"}},
    [STILL] = {{"keep {p} still", "don't move {p}", "hold {p} steady during the {d}", "do not swing {p}", "the {d} without moving {p}", "leave {p} where it is"},
                {"move {p} too", "let {p} move freely", "don't keep {p} so stiff", "use {p} during the {d}", "swing {p} naturally", "loosen {p}"}},
    [CUT_START] = {{"start the {d} later", "skip the beginning", "leave out the first part of the {d}", "begin in the middle of the {d}", "cut the start", "don't do the first part"},
                {"start the {d} earlier", "add what comes before", "begin sooner", "also do the first part of the {d}", "start from the beginning", "don't skip the beginning"}},
    [CUT_END] = {{"stop earlier", "end the {d} sooner", "leave out the last part of the {d}", "don't finish the {d}", "cut the end", "stop halfway"},
                {"keep going", "continue the {d}", "finish the {d}", "don't stop so early", "go on longer", "do the last part too"}},
    [REPEAT] = {{"repeat the {d}", "do it twice", "do the {d} one more time", "again", "do that once more", "repeat the middle part of the {d}"},
                {"do it only once", "don't repeat the {d}", "do the {d} once less", "no repetition", "only one time", "just do the {d} once"}},
    [HOLD] = {{"pause in the middle of the {d}", "hold the pose for a second", "stop for a moment, then go on", "freeze halfway, then continue", "wait in the middle", "make a break during the {d}"},
                {"don't pause", "do the {d} without stopping", "no break in the middle", "keep moving", "go on without a pause", "do not freeze in the middle"}},
};
// clang-format on

static const struct {
    unsigned parts;
    const char *name;
} part_names[] = {{MOTION_PART_ARMS, "both arms"},
                  {MOTION_PART_LEFT_ARM, "your left arm"},
                  {MOTION_PART_RIGHT_ARM, "your right arm"},
                  {MOTION_PART_UPPER, "your upper body"},
                  {MOTION_PART_TORSO | MOTION_PART_HEAD, "your torso"},
                  {MOTION_PART_HEAD, "your head"}};

typedef struct edit {
    edit_kind kind;
    int part;          /* of part_names */
    const char *donor; /* {e} */
} edit;

static me_code apply(motion_clip *out, edit *e, build *b, const window *w, me_rng *g, me_err *err)
{
    const motion_clip *in = &w->clip;
    me_arena *arena = &b->out->arena;
    int64_t n = in->frames, third = n / 3;
    double strong = me_rng_range(g, 1.5, 1.9);
    /* Amplitude and stillness: arms, upper body, torso; grafts: arms and upper body alone. */
    e->part = (int)me_rng_below(g, e->kind == GRAFT ? 4 : 5);
    unsigned parts = part_names[e->part].parts;
    switch (e->kind) {
    case FASTER:
        return motion_edit_speed(out, arena, in, strong, err);
    case SLOWER:
        return motion_edit_speed(out, arena, in, 1 / me_rng_range(g, 1.4, 1.7), err);
    case PART_FASTER:
        return motion_edit_speed_part(out, arena, in, n / 4, n - n / 4, strong + 0.5, n / 8, err);
    case MIRROR:
        return motion_edit_mirror(out, arena, in, err);
    case BIGGER:
        return motion_edit_amplitude(out, arena, in, parts, me_rng_range(g, 1.6, 2.1), err);
    case SMALLER:
        return motion_edit_amplitude(out, arena, in, parts, me_rng_range(g, 0.25, 0.5), err);
    case STILL:
        return motion_edit_still(out, arena, in, parts, 0, err);
    case CUT_START:
        return motion_edit_cut(out, arena, in, third, n - third, err);
    case CUT_END:
        return motion_edit_cut(out, arena, in, 0, n - third, err);
    case REPEAT:
        return motion_edit_repeat(out, arena, in, n / 4, n - n / 4, 2, n / 4 < 12 ? n / 4 : 12,
                                  err);
    case HOLD:
        return motion_edit_hold(out, arena, in, n / 2, 20 + (int64_t)me_rng_below(g, 20), 12, err);
    default:
        break;
    }
    /* Where there is no donor the part is held still instead. */
    const window *donor = draw_donor(b, w, g);
    if (!donor) {
        e->kind = STILL;
        return motion_edit_still(out, arena, in, parts, 0, err);
    }
    e->donor = donor->file->what;
    return motion_edit_graft(out, arena, in, &donor->clip, parts, 0, n, n / 8 < 10 ? n / 8 : 10,
                             err);
}

static const char *sentence(build *b, const edit *e, bool back, const char *what, me_rng *g)
{
    char text[192] = "";
    const char *s = wordings[e->kind][back][me_rng_below(g, WORDINGS)];
    size_t at = 0;
    for (; *s && at + 1 < sizeof text; s++) {
        if (s[0] != '{') {
            text[at++] = *s;
            continue;
        }
        const char *word = s[1] == 'd' ? what : s[1] == 'p' ? part_names[e->part].name : e->donor;
        at += (size_t)snprintf(text + at, sizeof text - at, "%s", word);
        if (at >= sizeof text) at = sizeof text - 1;
        s += 2;
    }
    text[at] = 0;
    if (me_rng_uniform(g) < 0.22) text[0] = (char)toupper((unsigned char)text[0]);
    const char *end = me_rng_uniform(g) < 0.16 ? "." : "";
    return me_arena_printf(&b->out->arena, "%s%s", text, end);
}

static me_code add_pair(build *b, const motion_clip *source, const motion_clip *target,
                        const char *text, motion_split split, me_err *err)
{
    motion_dataset *d = b->out;
    d->pairs = grow(&d->arena, d->pairs, d->n, &b->pair_room, sizeof *d->pairs);
    const char *key = me_arena_printf(&d->arena, "%06lld", (long long)d->n);
    if (!d->pairs || !key || !text) return me_fail_mem(err, "the pairs");
    d->pairs[d->n++] = (motion_pair){
        .key = key, .text = text, .source = *source, .target = *target, .split = split};
    d->frames += source->frames + target->frames;
    return ME_OK;
}

static me_code with_joints(motion_clip *clip, const build *b, me_err *err)
{
    me_arena *arena = &b->out->arena;
    if (b->o->no_joints) return ME_OK;
    clip->joints = ME_NEW_ARRAY(arena, clip->frames * MOTION_JOINTS * 3, float);
    if (!clip->joints) return me_fail_mem(err, "joint positions");
    motion_forward_kinematics(&motion_mean_body, clip->pose, clip->frames, clip->joints);
    return ME_OK;
}

/* Different edits of one window; the second pair of a window goes back from the first one's target.
 */
static me_code edit_window(build *b, int64_t index, me_err *err)
{
    window *w = &b->windows[index];
    me_rng g = me_rng_make(b->o->seed, (uint64_t)index);
    int64_t kinds[KINDS], wanted = b->o->per_window ? b->o->per_window : 4, made = 0;
    for (int64_t k = 0; k < KINDS; k++) kinds[k] = k;
    me_rng_shuffle(&g, kinds, KINDS);
    me_code code = with_joints(&w->clip, b, err);
    for (int64_t k = 0; code == ME_OK && k < KINDS && made < wanted; k++) {
        if (b->o->limit && b->out->n >= b->o->limit) break;
        edit e = {.kind = (edit_kind)kinds[k]};
        motion_clip target;
        if ((code = apply(&target, &e, b, w, &g, err))) break;
        motion_canonicalise(&target);
        if ((code = with_joints(&target, b, err))) break;
        code = add_pair(b, &w->clip, &target, sentence(b, &e, false, w->file->what, &g), w->split,
                        err);
        made++;
        if (k > 0 || made >= wanted || (b->o->limit && b->out->n >= b->o->limit)) continue;
        if (code == ME_OK)
            code = add_pair(b, &target, &w->clip, sentence(b, &e, true, w->file->what, &g),
                            w->split, err);
        made++;
    }
    return code;
}

static me_code check(const motion_pairs_options *o, me_err *err)
{
    const int64_t least = least_frames(o), most = most_frames(o);
    if (least < 16 || most < least || most > 100000)
        return me_fail(err, ME_EUSAGE,
                       "pairs: windows of %lld to %lld frames were asked for, the bounds must lie "
                       "in 16..100000 and ascend",
                       (long long)least, (long long)most);
    if (o->per_window < 0 || o->per_window > KINDS || o->stride < 0 || o->limit < 0 ||
        o->augment < 0)
        return me_fail(
            err, ME_EUSAGE,
            "pairs: at most %d pairs a window are possible, and no count may be negative",
            (int)KINDS);
    if (!(o->val_share >= 0 && o->test_share >= 0 && o->val_share + o->test_share <= 1))
        return me_fail(err, ME_EUSAGE,
                       "pairs: shares of val %g and test %g were asked for, they must not be "
                       "negative nor pass 1 together",
                       o->val_share, o->test_share);
    return ME_OK;
}

static me_code run(build *b, const char *const *paths, int64_t n_paths, me_log *log, me_err *err)
{
    me_code code = b->o->manifest ? open_manifest(b, b->o->manifest, err) : ME_OK;
    for (int64_t i = 0; code == ME_OK && i < n_paths; i++) code = find_files(b, paths[i], 0, err);
    for (int64_t i = 0; code == ME_OK && i < b->n_files; i++) {
        /* Each file has its own stream: another file beside it changes none of its windows. */
        const char *base = me_path_base(b->files[i].path);
        me_rng g = me_rng_make(b->o->seed, me_hash64(base, strlen(base), 1));
        code = read_file(b, &b->files[i], &g, err);
        if (log) me_progress(log, "reading", i + 1, b->n_files);
    }
    if (code == ME_OK && b->n_windows == 0)
        code = me_fail(err, ME_EDATA, "%s: found no usable BVH file among %lld%s%s",
                       n_paths ? paths[0] : "pairs", (long long)b->n_files,
                       b->out->notes.n ? "; " : "", b->out->notes.n ? b->out->notes.items[0] : "");
    b->n_cut = b->n_windows;
    if (code == ME_OK) code = split_subjects(b, err);
    if (code == ME_OK && b->o->augment > 0) code = augment(b, err);
    for (int64_t i = 0; code == ME_OK && i < b->n_windows; i++) {
        const window *w = &b->windows[i];
        if (!w->close || w->split == MOTION_TRAIN || w->split == MOTION_UNSPLIT)
            code = edit_window(b, i, err);
        if (log) me_progress(log, "editing", i + 1, b->n_windows);
    }
    if (log) me_progress_end(log);
    return code;
}

me_code motion_pairs(motion_dataset *out, const char *const *paths, int64_t n_paths,
                     const motion_pairs_options *options, me_log *log, me_err *err)
{
    memset(out, 0, sizeof *out);
    if (check(options, err)) return ME_EUSAGE;
    out->has_split = true;
    out->format = "pairs";
    build b = {.out = out, .o = options};
    me_code code = run(&b, paths, n_paths, log, err);
    me_csv_close(&b.manifest);
    me_arena_release(&b.scratch);
    if (code) motion_dataset_close(out);
    return code;
}
