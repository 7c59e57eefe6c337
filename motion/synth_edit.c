/* motion/synth_edit.c: edits of a script. Each changes one thing, strongly enough to be seen. */
#include "motion/synth_priv.h"

const char *const motion_synth_edit_names[SYNTH_EDITS] = {"speed",  "size",      "side",  "add",
                                                          "remove", "replace",   "reps",  "order",
                                                          "hold",   "direction", "begin", "stop"};

/* A place in a script: an active action, or the place of one. */
typedef struct place {
    int phase;
    synth_track track;
} place;

static bool is_arm(synth_track track)
{
    return track == SYNTH_LEFT_ARM || track == SYNTH_RIGHT_ARM;
}

static synth_track other_arm(synth_track track)
{
    return track == SYNTH_LEFT_ARM ? SYNTH_RIGHT_ARM : SYNTH_LEFT_ARM;
}

/* Active actions that have `has`; what both arms do counts once, at the left arm. */
static int find_places(place *out, const synth_script *s, unsigned has)
{
    int n = 0;
    for (int i = 0; i < s->phases; i++)
        for (int k = 0; k < SYNTH_TRACKS; k++) {
            const synth_action *a = &s->phase[i].track[k];
            if (a->kind == SYNTH_NONE || (motion_synth_traits[a->kind].has & has) != has) continue;
            if (k == SYNTH_RIGHT_ARM && motion_synth_both_arms(&s->phase[i])) continue;
            out[n++] = (place){i, (synth_track)k};
        }
    return n;
}

static int actions_of(const synth_phase *phase)
{
    int n = 0;
    for (int k = 0; k < SYNTH_TRACKS; k++) n += phase->track[k].kind != SYNTH_NONE;
    return n - motion_synth_both_arms(phase);
}

static bool pick(synth_edit *edit, const synth_script *s, unsigned has, me_rng *g)
{
    place places[SYNTH_PHASES * SYNTH_TRACKS];
    int n = find_places(places, s, has);
    if (n == 0) return false;
    place p = places[me_rng_below(g, (uint32_t)n)];
    edit->phase = p.phase;
    edit->track = p.track;
    return true;
}

static synth_action *action_of(synth_script *s, const synth_edit *edit)
{
    return &s->phase[edit->phase].track[edit->track];
}

/* Copies what the left arm does now to the right one, where both did the same before. */
static void keep_both(synth_script *after, const synth_script *before, const synth_edit *edit)
{
    synth_phase *phase = &after->phase[edit->phase];
    if (edit->track != SYNTH_LEFT_ARM || !motion_synth_both_arms(&before->phase[edit->phase]))
        return;
    phase->track[SYNTH_RIGHT_ARM] = phase->track[SYNTH_LEFT_ARM];
    phase->track[SYNTH_RIGHT_ARM].side = SYNTH_RIGHT;
}

static bool change_speed(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (!pick(edit, s, 0, g)) return false;
    synth_action *a = action_of(s, edit);
    double factor = me_rng_range(g, 1.5, 1.9);
    bool faster = a->speed < 0.8 || (a->speed < 1.2 && me_rng_below(g, 2));
    a->speed *= faster ? factor : 1 / factor;
    return true;
}

/* The size beyond which nothing grows any more. */
static double largest(const synth_action *a)
{
    if (a->kind == SYNTH_STRETCH || (a->kind == SYNTH_RAISE && a->direction == SYNTH_UP))
        return 1.08;
    if (a->kind == SYNTH_PUNCH || a->kind == SYNTH_PUSH) return 1.12;
    return a->kind == SYNTH_SIT                               ? 1.25
           : a->kind == SYNTH_SQUAT || a->kind == SYNTH_LUNGE ? 1.45
                                                              : 1.65;
}

static bool change_size(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (!pick(edit, s, SYNTH_HAS_SIZE, g)) return false;
    synth_action *a = action_of(s, edit);
    double factor = me_rng_range(g, 1.4, 1.75);
    bool can_grow = a->size * factor <= largest(a), can_shrink = a->size / factor >= 0.45;
    if (!can_grow && !can_shrink) return false;
    bool grow = can_grow && (!can_shrink || me_rng_below(g, 2));
    a->size *= grow ? factor : 1 / factor;
    return true;
}

static bool change_side(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (!pick(edit, s, SYNTH_HAS_SIDE, g)) return false;
    synth_phase *phase = &s->phase[edit->phase];
    synth_action *a = action_of(s, edit);
    if (!is_arm(edit->track)) {
        a->side = a->side == SYNTH_LEFT ? SYNTH_RIGHT : SYNTH_LEFT;
        return true;
    }
    synth_track other = other_arm(edit->track);
    if (phase->track[other].kind != SYNTH_NONE) return false;
    phase->track[other] = *a;
    phase->track[other].side = other == SYNTH_LEFT_ARM ? SYNTH_LEFT : SYNTH_RIGHT;
    *a = (synth_action){0};
    return true;
}

/* A new action for a track. */
static synth_action fitting(synth_track track, bool one_arm, synth_kind not_this, me_rng *g)
{
    synth_action a;
    do a = motion_synth_action_draw(motion_synth_kind_draw(track, g), g);
    while (a.kind == not_this || (one_arm && motion_synth_traits[a.kind].has & SYNTH_BOTH_ARMS));
    if (is_arm(track)) a.side = track == SYNTH_LEFT_ARM ? SYNTH_LEFT : SYNTH_RIGHT;
    return a;
}

static bool add_action(synth_script *s, synth_edit *edit, me_rng *g)
{
    edit->phase = (int)me_rng_below(g, (uint32_t)s->phases);
    synth_phase *phase = &s->phase[edit->phase];
    edit->track = (synth_track)me_rng_below(g, SYNTH_TRACKS);
    if (phase->track[edit->track].kind != SYNTH_NONE || actions_of(phase) > 2) return false;
    synth_kind legs = phase->track[SYNTH_LEGS].kind;
    if (edit->track == SYNTH_TORSO &&
        (legs == SYNTH_SQUAT || legs == SYNTH_SIT || legs == SYNTH_JUMP))
        return false;
    *action_of(s, edit) = fitting(edit->track, true, SYNTH_NONE, g);
    /* Two arms that happen to do the same would be one action with both. */
    return !(is_arm(edit->track) && motion_synth_both_arms(phase));
}

static bool remove_action(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (!pick(edit, s, 0, g)) return false;
    synth_phase *phase = &s->phase[edit->phase];
    if (actions_of(phase) < 2) return false;
    bool both = is_arm(edit->track) && motion_synth_both_arms(phase);
    *action_of(s, edit) = (synth_action){0};
    if (both) phase->track[SYNTH_RIGHT_ARM] = (synth_action){0};
    return true;
}

static bool replace_action(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (!pick(edit, s, 0, g)) return false;
    synth_phase *phase = &s->phase[edit->phase];
    synth_action *a = action_of(s, edit);
    bool one_arm = is_arm(edit->track) && !motion_synth_both_arms(phase);
    synth_kind other = one_arm ? phase->track[other_arm(edit->track)].kind : SYNTH_NONE;
    *a = fitting(edit->track, one_arm, a->kind, g);
    return !one_arm || a->kind != other;
}

static bool change_reps(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (!pick(edit, s, SYNTH_HAS_REPS, g)) return false;
    synth_action *a = action_of(s, edit);
    bool steps = a->kind == SYNTH_WALK || a->kind == SYNTH_RUN || a->kind == SYNTH_MARCH;
    int unit = steps ? 2 : 1, least = steps ? 2 : 1;
    uint32_t how = me_rng_below(g, 3);
    if (how == 0 && a->reps - unit >= least)
        a->reps -= unit;
    else if (how == 1 && a->reps <= 3)
        a->reps *= 2;
    else
        a->reps += unit;
    return a->reps <= 12;
}

static bool swap_order(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (s->phases < 2) return false;
    edit->phase = (int)me_rng_below(g, (uint32_t)s->phases - 1);
    edit->track = SYNTH_LEGS;
    synth_phase first = s->phase[edit->phase];
    s->phase[edit->phase] = s->phase[edit->phase + 1];
    s->phase[edit->phase + 1] = first;
    for (int k = 0; k < SYNTH_TRACKS; k++)
        if (first.track[k].kind != s->phase[edit->phase].track[k].kind) return true;
    return false;
}

static bool change_hold(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (!pick(edit, s, SYNTH_HAS_HOLD, g)) return false;
    synth_action *a = action_of(s, edit);
    double more = me_rng_range(g, 0.9, 1.5) / sqrt(a->reps);
    a->hold = a->hold > 0.7 ? 0 : a->hold + more;
    return true;
}

static bool change_direction(synth_script *s, synth_edit *edit, me_rng *g)
{
    if (!pick(edit, s, SYNTH_HAS_DIRECTION, g)) return false;
    synth_action *a = action_of(s, edit);
    unsigned ways = motion_synth_traits[a->kind].directions;
    synth_direction d;
    do d = (synth_direction)me_rng_below(g, 6);
    while (!(ways & 1u << d) || d == a->direction);
    a->direction = d;
    return true;
}

static bool change_begin(synth_script *s, synth_edit *edit, me_rng *g)
{
    edit->phase = 0;
    edit->track = SYNTH_LEGS;
    s->lead = s->lead > 0.8 ? me_rng_range(g, 0.2, 0.4) : s->lead + me_rng_range(g, 0.9, 1.4);
    return true;
}

static bool stop_early(synth_script *s, synth_edit *edit)
{
    if (s->phases < 2) return false;
    edit->phase = s->phases - 1;
    edit->track = SYNTH_LEGS;
    s->phase[--s->phases] = (synth_phase){0};
    return true;
}

bool motion_synth_edit_apply(synth_script *after, synth_edit *edit, const synth_script *before,
                             synth_edit_kind kind, me_rng *g)
{
    *after = *before;
    *edit = (synth_edit){.kind = kind};
    bool done = false;
    switch (kind) {
    case SYNTH_EDIT_SPEED:
        done = change_speed(after, edit, g);
        break;
    case SYNTH_EDIT_SIZE:
        done = change_size(after, edit, g);
        break;
    case SYNTH_EDIT_SIDE:
        done = change_side(after, edit, g);
        break;
    case SYNTH_EDIT_ADD:
        done = add_action(after, edit, g);
        break;
    case SYNTH_EDIT_REMOVE:
        done = remove_action(after, edit, g);
        break;
    case SYNTH_EDIT_REPLACE:
        done = replace_action(after, edit, g);
        break;
    case SYNTH_EDIT_REPS:
        done = change_reps(after, edit, g);
        break;
    case SYNTH_EDIT_ORDER:
        done = swap_order(after, edit, g);
        break;
    case SYNTH_EDIT_HOLD:
        done = change_hold(after, edit, g);
        break;
    case SYNTH_EDIT_DIRECTION:
        done = change_direction(after, edit, g);
        break;
    case SYNTH_EDIT_BEGIN:
        done = change_begin(after, edit, g);
        break;
    case SYNTH_EDIT_STOP:
        done = stop_early(after, edit);
        break;
    default:
        break;
    }
    if (done && kind != SYNTH_EDIT_SIDE && kind != SYNTH_EDIT_ORDER && kind != SYNTH_EDIT_REMOVE)
        keep_both(after, before, edit);
    return done;
}

synth_edit motion_synth_edit_inverse(const synth_edit *edit)
{
    synth_edit inverse = *edit;
    if (edit->kind == SYNTH_EDIT_ADD) inverse.kind = SYNTH_EDIT_REMOVE;
    if (edit->kind == SYNTH_EDIT_REMOVE) inverse.kind = SYNTH_EDIT_ADD;
    if (edit->kind == SYNTH_EDIT_SIDE && is_arm(edit->track))
        inverse.track = other_arm(edit->track);
    return inverse;
}
