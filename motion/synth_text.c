/* motion/motion_synth_text.c: the caption of a script, and the sentence of an edit, in the manner
 * of people who describe what should change: short, mostly lower case, few full stops.
 *
 * Templates hold marks: {b} and {a} say the action before and after the edit as a command ("wave
 * with your left hand"), {B} and {A} as a participle ("waving with ..."), {v} and {V} the bare
 * verb; {m} how the size changes ("higher"); {s} the new side; {l} the new limb ("left leg"); {n}
 * the number of repetitions after, {x} the difference; {o} another action at the same time, as a
 * participle; {p} what comes before, {q} what comes after, as commands. A template whose mark has
 * nothing to say is not used. */
#include "motion/synth_priv.h"

#include <stdio.h>

typedef struct words {
    const char *verb, *participle, *more, *less;
} words;

// clang-format off
static const words vocabulary[SYNTH_KINDS] = {
    [SYNTH_WALK] = {"walk", "walking", "with longer steps", "with shorter steps"},
    [SYNTH_RUN] = {"run", "running", "with longer strides", "with shorter strides"},
    [SYNTH_MARCH] = {"march", "marching", "lifting the knees higher", "lifting the knees less"},
    [SYNTH_TURN] = {"turn", "turning", "further", "less far"},
    [SYNTH_SQUAT] = {"squat", "squatting", "lower", "less low"},
    [SYNTH_JUMP] = {"jump", "jumping", "higher", "less high"},
    [SYNTH_HOP] = {"hop", "hopping", "higher", "less high"},
    [SYNTH_KICK] = {"kick", "kicking", "higher", "lower"},
    [SYNTH_KNEE] = {"lift", "lifting", "higher", "less high"},
    [SYNTH_LUNGE] = {"lunge", "lunging", "deeper", "less deep"},
    [SYNTH_SIT] = {"sit", "sitting", "lower", "not so low"},
    [SYNTH_TIPTOE] = {"rise", "rising", "higher", "less high"},
    [SYNTH_RAISE] = {"raise", "raising", "higher", "lower"},
    [SYNTH_WAVE] = {"wave", "waving", "with a bigger movement", "with a smaller movement"},
    [SYNTH_PUNCH] = {"punch", "punching", "further out", "less far"},
    [SYNTH_POINT] = {"point", "pointing", "further", "less far"},
    [SYNTH_THROW] = {"throw", "throwing", "with a bigger swing", "with a smaller swing"},
    [SYNTH_CIRCLE] = {"circle", "circling", "in bigger circles", "in smaller circles"},
    [SYNTH_HIP] = {"put", "putting", "higher", "lower"},
    [SYNTH_TOUCH_HEAD] = {"touch", "touching", "more", "less"},
    [SYNTH_CLAP] = {"clap", "clapping", "with wider arms", "with a smaller movement"},
    [SYNTH_PUSH] = {"push", "pushing", "further out", "less far"},
    [SYNTH_STRETCH] = {"stretch", "stretching", "higher", "less high"},
    [SYNTH_BOW] = {"bow", "bowing", "deeper", "less deeply"},
    [SYNTH_LEAN] = {"lean", "leaning", "further", "less far"},
    [SYNTH_TWIST] = {"twist", "twisting", "further", "less far"},
    [SYNTH_NOD] = {"nod", "nodding", "more strongly", "less strongly"},
    [SYNTH_SHAKE] = {"shake", "shaking", "more strongly", "less strongly"},
    [SYNTH_LOOK] = {"look", "looking", "further", "less far"},
    [SYNTH_LOOK_AROUND] = {"look", "looking", "further", "less far"},
};

#define WAYS 10
static const char *const faster[WAYS] = {"{a} faster", "{a} more quickly", "do the {V} faster", "speed up the {V}",
    "be quicker when {A}", "{v} at a higher speed", "the {V} should be faster", "move faster while {A}", "pick up the pace of the {V}", "{a} at double speed"};
static const char *const slower[WAYS] = {"{a} slower", "{a} more slowly", "slow down the {V}", "take more time for the {V}",
    "be slower when {A}", "the {V} should be slower", "{v} at a slower speed", "move more slowly while {A}", "don't {v} so fast", "{a} at half the speed"};
static const char *const bigger[WAYS] = {"{a} {m}", "try to {a} {m}", "{a} {m} than before", "do the same but {a} {m}", "when {A}, do it {m}",
    "you should {a} {m}", "exaggerate the {V}", "make the {V} bigger", NULL};
static const char *const smaller[WAYS] = {"{a} {m}", "try to {a} {m}", "{a} {m} than before", "do the same but {a} {m}", "when {A}, do it {m}",
    "you should {a} {m}", "don't {v} so much", "make the {V} smaller", NULL};
static const char *const side[WAYS] = {"{a} instead", "use the {l} instead", "{a} and not the other one", "do it with the {l}", "switch to the {l}",
    "{v} on the {s} side instead", "same motion but with the {l}", "use your {l} when {V}", "change sides and {a}", NULL};
static const char *const turn_side[WAYS] = {"{a} instead", "{v} to the {s} instead", "go {s} when {V}", "same thing but to the {s}", "switch direction and {a}",
    "{v} toward your {s} side", "the {V} should be to the {s}", "{a}, not to the other side", NULL};
static const char *const add[WAYS] = {"{a} while {o}", "also {a}", "{a} at the same time", "add {A}", "while {o}, {a}", "{a} as you are {o}",
    "in addition, {a}", "{a} too", "start {A} while {o}", "don't just keep {o}, also {a}"};
static const char *const drop[WAYS] = {"don't {b}", "stop {B}", "no {V}", "keep {o} but don't {b}", "just keep {o}", "leave out the {V}",
    "remove the {V}", "do the same without {B}", "skip the {V}", "only keep {o}"};
static const char *const replace[WAYS] = {"{a} instead of {B}", "instead of {B}, {a}", "{a} instead", "don't {b}, {a}", "replace the {V} with {A}",
    "rather than {B}, {a}", "{a} in place of the {V}", "change the {V} to {A}", "not {B} but {A}", NULL};
static const char *const more_reps[WAYS] = {"{a} {x} more", "{a} {n} times", "{v} {x} more", "repeat the {V}, {n} times in all", "do it {n} times",
    "keep {V} for longer, {n} times", "{a} {n}", "{v} {n} times instead", NULL};
static const char *const less_reps[WAYS] = {"{a} only {n}", "{a} {x} less", "{v} just {n}", "do the {V} only {n}", "fewer repetitions, {v} {n}",
    "don't {v} so many times, only {n}", "stop after {V} {n}", "{v} {x} fewer", NULL};
static const char *const more_steps[WAYS] = {"take {x} more steps", "{v} {x} steps further", "keep {V} for {x} more steps", "{a} for longer, {x} more steps",
    "add {x} steps", "{v} further", "continue {V} a bit longer", "{a} {x} steps more", NULL};
static const char *const less_steps[WAYS] = {"take {x} steps less", "{v} {x} fewer steps", "stop {V} {x} steps earlier", "{a} but {x} steps less",
    "leave out the last {x} steps", "don't {v} so far", "{v} a shorter way", "cut {x} steps", NULL};
static const char *const order[WAYS] = {"first {p}, then {q}", "{p} before you {q}", "{q} after you {p}", "swap the order, {p} first", "start with the other part: {p}, then {q}",
    "{p} and then {q}", "do it the other way round, {p} first", "reverse the order of the two actions", NULL};
static const char *const hold[WAYS] = {"hold the position longer when {A}", "{a} and hold it", "stay there for a moment while {A}", "pause while {A}",
    "{a} and stay like that for a second", "keep the pose a bit longer when {V}", "don't come back right away after {V}", "freeze for a second at the end of the {V}", NULL};
static const char *const no_hold[WAYS] = {"don't hold it so long when {A}", "{a} without stopping", "{a} but come back right away", "no pause while {A}",
    "return earlier when {V}", "{a} and go back immediately", "do not stay there when {V}", "hold it less when {A}", NULL};
static const char *const direction[WAYS] = {"{a} instead", "{a} instead of {B}", "change direction and {a}", "don't {b}, {a}", "same but {a}",
    "rather {a}", "{a}, not like before", "make it so that you {a}", NULL};
static const char *const later[WAYS] = {"begin later", "wait a second before you {q}", "stand still for a moment, then {q}", "start {Q} a bit later", "pause at the beginning",
    "don't start right away", "delay the start a little", "wait a bit at the beginning, then {q}", NULL};
static const char *const sooner[WAYS] = {"begin earlier", "start right away", "{q} immediately", "don't wait before you {q}", "start {Q} sooner", "no pause at the beginning",
    "start moving a bit sooner", "skip the waiting at the start", NULL};
static const char *const stop[WAYS] = {"stop after you {p}", "stop earlier, don't {b}", "end the motion before you {b}", "finish after {P}", "just {p} and stop",
    "don't {b} at the end", "leave out the last part", "only {p}", "stop before {B}", NULL};
static const char *const go_on[WAYS] = {"then {a}", "{a} at the end", "after {P}, {a}", "don't stop there, {a} as well", "finish by {A}", "go on and {a}",
    "{p}, then {a}", "add {A} at the end", "and then {a}", "once you are done, {a}"};
// clang-format on

static const char *const sides[] = {"left", "right"};

/* What a phrase is made for. */
typedef enum { COMMAND, PARTICIPLE, BARE, BARE_PARTICIPLE } form;

/* Appends; what does not fit is cut. */
static void append(char *out, size_t size, const char *text)
{
    size_t n = strlen(out);
    if (n + 1 < size) snprintf(out + n, size - n, "%s", text);
}

static const char *way(const synth_action *a)
{
    switch (a->direction) {
    case SYNTH_BACKWARD:
        return " backward";
    case SYNTH_TO_LEFT:
        return " to the left";
    case SYNTH_TO_RIGHT:
        return " to the right";
    case SYNTH_UP:
        return " up";
    case SYNTH_DOWN:
        return " down";
    default:
        return " forward";
    }
}

/* "your left hand", "both hands". */
static void limb(char *out, size_t size, const char *what, const synth_action *a, bool both)
{
    if (both)
        snprintf(out, size, "both %ss", what);
    else
        snprintf(out, size, "your %s %s", sides[a->side], what);
}

/* What comes after the verb. */
static void object(char *out, size_t size, const synth_action *a, bool both)
{
    char what[48];
    const char *sd = sides[a->side];
    const char *where = a->direction == SYNTH_UP        ? " above your head"
                        : a->direction == SYNTH_FORWARD ? " in front of you"
                                                        : " to the side";
    *out = 0;
    switch (a->kind) {
    case SYNTH_WALK:
    case SYNTH_JUMP:
    case SYNTH_LOOK:
        append(out, size, way(a));
        break;
    case SYNTH_MARCH:
        append(out, size, " in place");
        break;
    case SYNTH_TURN:
    case SYNTH_LEAN:
        snprintf(out, size, " to the %s", sd);
        break;
    case SYNTH_TWIST:
        snprintf(out, size, " your upper body to the %s", sd);
        break;
    case SYNTH_SQUAT:
    case SYNTH_SIT:
        append(out, size, " down");
        break;
    case SYNTH_HOP:
        snprintf(out, size, " on your %s leg", sd);
        break;
    case SYNTH_KICK:
        snprintf(out, size, "%s with your %s leg", a->direction == SYNTH_FORWARD ? "" : " sideways",
                 sd);
        break;
    case SYNTH_KNEE:
        snprintf(out, size, " your %s knee", sd);
        break;
    case SYNTH_LUNGE:
        snprintf(out, size, " forward with your %s leg", sd);
        break;
    case SYNTH_TIPTOE:
        append(out, size, " onto your toes");
        break;
    case SYNTH_RAISE:
        limb(what, sizeof what, "arm", a, both);
        snprintf(out, size, " %s%s", what, where);
        break;
    case SYNTH_WAVE:
        limb(what, sizeof what, "hand", a, both);
        snprintf(out, size, " with %s", what);
        break;
    case SYNTH_PUNCH:
        limb(what, sizeof what, "fist", a, both);
        snprintf(out, size, "%s with %s", way(a), what);
        break;
    case SYNTH_POINT:
        limb(what, sizeof what, "hand", a, both);
        snprintf(out, size, "%s with %s", a->direction == SYNTH_TO_LEFT ? " to the side" : way(a),
                 what);
        break;
    case SYNTH_THROW:
        limb(what, sizeof what, "hand", a, both);
        snprintf(out, size, " something with %s", what);
        break;
    case SYNTH_CIRCLE:
        limb(what, sizeof what, "arm", a, both);
        snprintf(out, size, " %s", what);
        break;
    case SYNTH_HIP:
        limb(what, sizeof what, "hand", a, both);
        snprintf(out, size, " %s on the hip", what);
        break;
    case SYNTH_TOUCH_HEAD:
        limb(what, sizeof what, "hand", a, both);
        snprintf(out, size, " your head with %s", what);
        break;
    case SYNTH_CLAP:
        append(out, size, " your hands");
        break;
    case SYNTH_PUSH:
        append(out, size, " forward with both hands");
        break;
    case SYNTH_STRETCH:
        append(out, size, " both arms overhead");
        break;
    case SYNTH_NOD:
    case SYNTH_SHAKE:
        append(out, size, " your head");
        break;
    case SYNTH_LOOK_AROUND:
        append(out, size, " around");
        break;
    default:
        break;
    }
}

static void say(char *out, size_t size, const synth_action *a, bool both, form how)
{
    bool participle = how == PARTICIPLE || how == BARE_PARTICIPLE;
    const words *w = &vocabulary[a->kind];
    const char *verb = participle ? w->participle : w->verb;
    if (a->kind == SYNTH_WALK && (a->direction == SYNTH_TO_LEFT || a->direction == SYNTH_TO_RIGHT))
        verb = participle ? "stepping" : "step";
    append(out, size, verb);
    if (how != COMMAND && how != PARTICIPLE) return;
    char rest[96];
    object(rest, sizeof rest, a, both);
    append(out, size, rest);
}

/* The action that stands for a phase: legs first, then torso, arms, head; `except` is left out. */
static const synth_action *main_action(const synth_phase *phase, int except)
{
    static const synth_track importance[] = {SYNTH_LEGS, SYNTH_TORSO, SYNTH_LEFT_ARM,
                                             SYNTH_RIGHT_ARM, SYNTH_HEAD};
    for (int i = 0; i < SYNTH_TRACKS; i++)
        if ((int)importance[i] != except && phase->track[importance[i]].kind != SYNTH_NONE)
            return &phase->track[importance[i]];
    return NULL;
}

typedef struct context {
    const synth_action *before, *after;
    bool before_both, after_both;
    const synth_phase *beside, *previous, *next; /* of {o}, {p}, {q} */
    int track;
    synth_track arm;
} context;

static const char *number(int n, bool times)
{
    static const char *const counts[] = {"zero", "one", "two", "three", "four", "five", "six"};
    static const char *const often[] = {"never",      "once",       "twice",    "three times",
                                        "four times", "five times", "six times"};
    return n > 6 ? times ? "many times" : "many" : times ? often[n] : counts[n];
}

/* One mark; false when there is nothing to say. */
static bool fill(char *out, size_t size, char mark, const context *c)
{
    const synth_action *a = c->after, *b = c->before;
    const synth_action *any = a ? a : b;
    const synth_phase *phase = mark == 'o'                  ? c->beside
                               : mark == 'p' || mark == 'P' ? c->previous
                                                            : c->next;
    switch (mark) {
    case 'a':
    case 'A':
        if (a) say(out, size, a, c->after_both, mark == 'a' ? COMMAND : PARTICIPLE);
        return a != NULL;
    case 'b':
    case 'B':
        if (b) say(out, size, b, c->before_both, mark == 'b' ? COMMAND : PARTICIPLE);
        return b != NULL;
    case 'v':
    case 'V':
        if (b) any = b;
        if (any) say(out, size, any, false, mark == 'v' ? BARE : BARE_PARTICIPLE);
        return any != NULL;
    case 'm':
        append(out, size, a->size > b->size ? vocabulary[a->kind].more : vocabulary[a->kind].less);
        return true;
    case 's':
        append(out, size, sides[a->side]);
        return true;
    case 'l':
        append(out, size, sides[a->side]);
        append(out, size,
               c->track == SYNTH_LEGS     ? " leg"
               : c->arm == SYNTH_LEFT_ARM ? " hand"
                                          : " arm");
        return true;
    case 'n':
        if (a->reps < 7) append(out, size, number(a->reps, true));
        return a->reps < 7;
    case 'x': {
        int d = a->reps > b->reps ? a->reps - b->reps : b->reps - a->reps;
        append(out, size,
               c->track == SYNTH_LEGS && vocabulary[a->kind].more[0] == 'w' ? number(d, false)
                                                                            : number(d, true));
        return d < 7;
    }
    default:
        break;
    }
    const synth_action *shown = phase ? main_action(phase, mark == 'o' ? c->track : -1) : NULL;
    if (shown) {
        bool both = shown == &phase->track[SYNTH_LEFT_ARM] && motion_synth_both_arms(phase);
        say(out, size, shown, both,
            mark == 'o' || mark == 'P' || mark == 'Q' ? PARTICIPLE : COMMAND);
    }
    return shown != NULL;
}

static bool expand(char *out, size_t size, const char *template, const context *c)
{
    char one[2] = {0};
    *out = 0;
    for (const char *s = template; *s; s++) {
        if (s[0] == '{' && s[1] && s[2] == '}') {
            if (!fill(out, size, s[1], c)) return false;
            s += 2;
            continue;
        }
        one[0] = *s;
        append(out, size, one);
    }
    /* "three times times" and the like, where a count already says it. */
    char *twice = strstr(out, " times times");
    if (twice) memmove(twice + 6, twice + 12, strlen(twice + 12) + 1);
    return strstr(out, "once times") == NULL && strstr(out, "twice times") == NULL;
}

static const char *const *templates(const synth_edit *e, const context *c,
                                    const synth_script *before, const synth_script *after)
{
    const synth_action *a = c->after, *b = c->before;
    bool steps = a && (a->kind == SYNTH_WALK || a->kind == SYNTH_RUN || a->kind == SYNTH_MARCH);
    switch (e->kind) {
    case SYNTH_EDIT_SPEED:
        return a->speed > b->speed ? faster : slower;
    case SYNTH_EDIT_SIZE:
        return a->size > b->size ? bigger : smaller;
    case SYNTH_EDIT_SIDE:
        return a->kind == SYNTH_TURN || a->kind == SYNTH_LEAN || a->kind == SYNTH_TWIST ? turn_side
                                                                                        : side;
    case SYNTH_EDIT_ADD:
        return add;
    case SYNTH_EDIT_REMOVE:
        return drop;
    case SYNTH_EDIT_REPLACE:
        return replace;
    case SYNTH_EDIT_REPS:
        return steps               ? a->reps > b->reps ? more_steps : less_steps
               : a->reps > b->reps ? more_reps
                                   : less_reps;
    case SYNTH_EDIT_ORDER:
        return order;
    case SYNTH_EDIT_HOLD:
        return a->hold > b->hold ? hold : no_hold;
    case SYNTH_EDIT_DIRECTION:
        return direction;
    case SYNTH_EDIT_BEGIN:
        return after->lead > before->lead ? later : sooner;
    default:
        return after->phases < before->phases ? stop : go_on;
    }
}

static context look(const synth_edit *e, const synth_script *before, const synth_script *after)
{
    context c = {.track = e->track, .arm = e->track};
    const synth_phase *was = &before->phase[e->phase], *is = &after->phase[e->phase];
    if (e->kind == SYNTH_EDIT_STOP) {
        bool shorter = after->phases < before->phases;
        const synth_phase *last = shorter ? was : is;
        const synth_action *m = main_action(last, -1);
        bool both = m == &last->track[SYNTH_LEFT_ARM] && motion_synth_both_arms(last);
        if (shorter)
            c.before = m, c.before_both = both;
        else
            c.after = m, c.after_both = both;
        if (e->phase > 0) c.previous = &before->phase[e->phase - 1];
        return c;
    }
    if (e->kind == SYNTH_EDIT_ORDER || e->kind == SYNTH_EDIT_BEGIN) {
        c.previous = is;
        c.next = &after->phase[e->phase + (e->kind == SYNTH_EDIT_ORDER)];
        return c;
    }
    int now = e->track;
    if (e->kind == SYNTH_EDIT_SIDE && (now == SYNTH_LEFT_ARM || now == SYNTH_RIGHT_ARM))
        now = now == SYNTH_LEFT_ARM ? SYNTH_RIGHT_ARM : SYNTH_LEFT_ARM;
    if (was->track[e->track].kind != SYNTH_NONE) c.before = &was->track[e->track];
    if (is->track[now].kind != SYNTH_NONE) c.after = &is->track[now];
    bool arm = e->track == SYNTH_LEFT_ARM || e->track == SYNTH_RIGHT_ARM;
    c.before_both = arm && motion_synth_both_arms(was);
    c.after_both = arm && motion_synth_both_arms(is);
    if (arm) { /* "hand" or "arm" */
        synth_kind k = c.after ? c.after->kind : SYNTH_NONE;
        c.arm = k == SYNTH_RAISE || k == SYNTH_CIRCLE ? SYNTH_RIGHT_ARM : SYNTH_LEFT_ARM;
    }
    c.beside = e->kind == SYNTH_EDIT_REMOVE ? is : was;
    return c;
}

/* People type as they like. */
static void habits(char *text, me_rng *g)
{
    double u = me_rng_uniform(g);
    if (u < 0.22 && text[0] >= 'a' && text[0] <= 'z') text[0] = (char)(text[0] - 'a' + 'A');
    if (u < 0.01)
        for (char *s = text; *s; s++)
            if (*s >= 'a' && *s <= 'z') *s = (char)(*s - 'a' + 'A');
    char *apostrophe = strchr(text, '\'');
    if (apostrophe && me_rng_uniform(g) < 0.3)
        memmove(apostrophe, apostrophe + 1, strlen(apostrophe));
}

void motion_synth_text(char *out, size_t size, const synth_edit *edit, const synth_script *before,
                       const synth_script *after, me_rng *g)
{
    context c = look(edit, before, after);
    const char *const *list = templates(edit, &c, before, after);
    uint32_t n = 0;
    while (n < WAYS && list[n]) n++;
    for (int tries = 0; tries < 40; tries++)
        if (expand(out, size, list[me_rng_below(g, n)], &c)) break;
    habits(out, g);
    if (me_rng_uniform(g) < 0.16) append(out, size, ".");
}

/* ---- captions ---- */
static void caption_action(char *out, size_t size, const synth_action *a, bool both)
{
    const synth_trait *trait = &motion_synth_traits[a->kind];
    say(out, size, a, both, PARTICIPLE);
    if (a->speed > 1.3) append(out, size, " quickly");
    if (a->speed < 0.78) append(out, size, " slowly");
    if (trait->has & SYNTH_HAS_SIZE && (a->size > 1.25 || a->size < 0.78)) {
        append(out, size, " ");
        append(out, size, a->size > 1 ? vocabulary[a->kind].more : vocabulary[a->kind].less);
    }
    bool steps = a->kind == SYNTH_WALK || a->kind == SYNTH_RUN || a->kind == SYNTH_MARCH;
    if (trait->has & SYNTH_HAS_REPS && (a->reps > 1 || steps)) {
        char many[32];
        if (steps)
            snprintf(many, sizeof many, " for %d steps", a->reps);
        else
            snprintf(many, sizeof many, " %s", number(a->reps, true));
        append(out, size, many);
    }
    if (trait->has & SYNTH_HAS_HOLD && a->hold > 0.7) append(out, size, " and holding it");
}

static void caption_phase(char *out, size_t size, const synth_phase *phase)
{
    static const synth_track order_of[] = {SYNTH_LEGS, SYNTH_TORSO, SYNTH_LEFT_ARM, SYNTH_RIGHT_ARM,
                                           SYNTH_HEAD};
    int said = 0;
    for (int i = 0; i < SYNTH_TRACKS; i++) {
        const synth_action *a = &phase->track[order_of[i]];
        bool both = motion_synth_both_arms(phase);
        if (a->kind == SYNTH_NONE || (both && order_of[i] == SYNTH_RIGHT_ARM)) continue;
        append(out, size, said == 0 ? "" : said == 1 ? " while " : " and ");
        caption_action(out, size, a, both && order_of[i] == SYNTH_LEFT_ARM);
        said++;
    }
}

void motion_synth_caption(char *out, size_t size, const synth_script *script, me_rng *g)
{
    static const char *const people[] = {
        "a person is ", "someone is ", "the person is ", "a human is ", "", ""};
    char text[512] = "";
    append(text, sizeof text, people[me_rng_below(g, 6)]);
    if (script->lead > 0.85) append(text, sizeof text, "standing for a moment, then ");
    for (int i = 0; i < script->phases; i++) {
        static const char *const joins[] = {", then ", " and then ", ", after that "};
        if (i > 0) append(text, sizeof text, joins[me_rng_below(g, 3)]);
        caption_phase(text, sizeof text, &script->phase[i]);
    }
    /* Commands speak to someone, captions about someone. */
    *out = 0;
    char one[2] = {0};
    for (const char *s = text; *s; s++) {
        if (!strncmp(s, "your ", 5)) {
            append(out, size, "their ");
            s += 4;
            continue;
        }
        one[0] = *s;
        append(out, size, one);
    }
}
