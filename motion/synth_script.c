/* motion/synth_script.c: what people do. The table of actions, and the drawing of scripts, people
 * and performances. */
#include "motion/synth_priv.h"

#define BIT(d) (1u << SYNTH_##d)
#define WAYS (BIT(FORWARD) | BIT(BACKWARD) | BIT(TO_LEFT) | BIT(TO_RIGHT))
#define REPS SYNTH_HAS_REPS
#define SIZE SYNTH_HAS_SIZE
#define SIDE SYNTH_HAS_SIDE
#define WAY SYNTH_HAS_DIRECTION
#define HOLD SYNTH_HAS_HOLD

// clang-format off
const synth_trait motion_synth_traits[SYNTH_KINDS] = {
    /*                    track           has                         directions                     reps  cycle blend weight */
    [SYNTH_WALK]       = {SYNTH_LEGS,     REPS | SIZE | WAY,          WAYS,                          3, 6, 0.55, 0.0, 4.0},
    [SYNTH_RUN]        = {SYNTH_LEGS,     REPS | SIZE,                BIT(FORWARD),                  5, 9, 0.36, 0.0, 1.5},
    [SYNTH_MARCH]      = {SYNTH_LEGS,     REPS | SIZE,                0,                             4, 8, 0.55, 0.0, 1.2},
    [SYNTH_TURN]       = {SYNTH_LEGS,     SIDE | SIZE,                0,                             1, 1, 1.40, 0.0, 1.5},
    [SYNTH_SQUAT]      = {SYNTH_LEGS,     REPS | SIZE | HOLD,         0,                             1, 3, 1.50, 0.0, 1.5},
    [SYNTH_JUMP]       = {SYNTH_LEGS,     REPS | SIZE | WAY,          BIT(FORWARD) | BIT(UP) | BIT(BACKWARD), 1, 3, 1.40, 0.0, 1.5},
    [SYNTH_HOP]        = {SYNTH_LEGS,     REPS | SIDE,                0,                             2, 5, 0.60, 0.0, 0.8},
    [SYNTH_KICK]       = {SYNTH_LEGS,     REPS | SIZE | SIDE | WAY,   BIT(FORWARD) | BIT(TO_LEFT),   1, 3, 1.20, 0.0, 2.0},
    [SYNTH_KNEE]       = {SYNTH_LEGS,     REPS | SIZE | SIDE | HOLD,  0,                             1, 3, 1.10, 0.0, 1.2},
    [SYNTH_LUNGE]      = {SYNTH_LEGS,     REPS | SIZE | SIDE | HOLD,  0,                             1, 2, 2.00, 0.0, 1.0},
    [SYNTH_SIT]        = {SYNTH_LEGS,     SIZE | HOLD,                0,                             1, 1, 2.60, 0.0, 0.8},
    [SYNTH_TIPTOE]     = {SYNTH_LEGS,     REPS | HOLD,                0,                             1, 3, 1.20, 0.0, 0.5},
    [SYNTH_RAISE]      = {SYNTH_LEFT_ARM, REPS | SIZE | SIDE | WAY | HOLD, BIT(FORWARD) | BIT(TO_LEFT) | BIT(UP), 1, 2, 1.70, 0.0, 3.0},
    [SYNTH_WAVE]       = {SYNTH_LEFT_ARM, REPS | SIZE | SIDE,         0,                             2, 5, 0.55, 0.5, 2.0},
    [SYNTH_PUNCH]      = {SYNTH_LEFT_ARM, REPS | SIZE | SIDE | WAY,   BIT(FORWARD) | BIT(UP),        1, 4, 0.75, 0.4, 1.5},
    [SYNTH_POINT]      = {SYNTH_LEFT_ARM, SIDE | WAY | HOLD,          BIT(FORWARD) | BIT(TO_LEFT) | BIT(UP) | BIT(DOWN), 1, 1, 1.40, 0.0, 1.2},
    [SYNTH_THROW]      = {SYNTH_LEFT_ARM, REPS | SIZE | SIDE,         0,                             1, 2, 1.50, 0.3, 1.2},
    [SYNTH_CIRCLE]     = {SYNTH_LEFT_ARM, REPS | SIZE | SIDE,         0,                             2, 4, 1.00, 0.5, 1.0},
    [SYNTH_HIP]        = {SYNTH_LEFT_ARM, SIDE | HOLD,                0,                             1, 1, 1.60, 0.0, 0.6},
    [SYNTH_TOUCH_HEAD] = {SYNTH_LEFT_ARM, SIDE | HOLD,                0,                             1, 1, 1.60, 0.0, 0.8},
    [SYNTH_CLAP]       = {SYNTH_LEFT_ARM, REPS | SIZE | SYNTH_BOTH_ARMS, 0,                          2, 6, 0.50, 0.5, 1.0},
    [SYNTH_PUSH]       = {SYNTH_LEFT_ARM, REPS | SIZE | HOLD | SYNTH_BOTH_ARMS, 0,                   1, 3, 1.20, 0.4, 0.8},
    [SYNTH_STRETCH]    = {SYNTH_LEFT_ARM, SIZE | HOLD | SYNTH_BOTH_ARMS, 0,                          1, 1, 2.40, 0.0, 0.7},
    [SYNTH_BOW]        = {SYNTH_TORSO,    REPS | SIZE | HOLD,         0,                             1, 2, 1.80, 0.0, 1.5},
    [SYNTH_LEAN]       = {SYNTH_TORSO,    SIDE | SIZE | HOLD,         0,                             1, 1, 1.60, 0.0, 1.0},
    [SYNTH_TWIST]      = {SYNTH_TORSO,    REPS | SIDE | SIZE,         0,                             1, 3, 1.50, 0.0, 1.0},
    [SYNTH_NOD]        = {SYNTH_HEAD,     REPS | SIZE,                0,                             2, 4, 0.60, 0.2, 1.0},
    [SYNTH_SHAKE]      = {SYNTH_HEAD,     REPS | SIZE,                0,                             2, 4, 0.60, 0.2, 1.0},
    [SYNTH_LOOK]       = {SYNTH_HEAD,     WAY | HOLD,                 BIT(TO_LEFT) | BIT(TO_RIGHT) | BIT(UP) | BIT(DOWN), 1, 1, 1.30, 0.0, 1.5},
    [SYNTH_LOOK_AROUND]= {SYNTH_HEAD,     REPS,                       0,                             1, 2, 2.20, 0.0, 0.8},
};
// clang-format on

synth_person motion_synth_person_draw(me_rng *g)
{
    synth_person p = {
        .posture = me_rng_range(g, -2, 6) * SYNTH_DEGREES,
        .head_pitch = me_rng_range(g, -4, 8) * SYNTH_DEGREES,
        .stance = me_rng_range(g, 0.085, 0.135),
        .toe_out = me_rng_range(g, 3, 14) * SYNTH_DEGREES,
        .bounce = me_rng_range(g, 0.6, 1.4),
        .arm_swing = me_rng_range(g, 0.5, 1.3),
        .arm_out = me_rng_range(g, 7, 15) * SYNTH_DEGREES,
        .elbow = me_rng_range(g, 12, 32) * SYNTH_DEGREES,
        .tempo = me_rng_range(g, 0.9, 1.1),
        .stride = me_rng_range(g, 0.9, 1.1),
        .sway = me_rng_range(g, 0.6, 1.4),
        .reach = me_rng_range(g, 0.93, 1.07),
    };
    return p;
}

synth_take motion_synth_take_draw(me_rng *g)
{
    synth_take t = {.tempo = me_rng_range(g, 0.975, 1.025),
                    .size = me_rng_range(g, 0.97, 1.03),
                    .amplitude = me_rng_range(g, 0.5, 1.1) * SYNTH_DEGREES};
    for (int c = 0; c < 16; c++)
        for (int k = 0; k < 3; k++) {
            t.phase[c][k] = me_rng_range(g, 0, 2 * MOTION_PI);
            t.frequency[c][k] = me_rng_range(g, 0.15 + 0.25 * k, 0.4 + 0.35 * k);
        }
    return t;
}

synth_kind motion_synth_kind_draw(synth_track track, me_rng *g)
{
    if (track == SYNTH_RIGHT_ARM) track = SYNTH_LEFT_ARM;
    double total = 0;
    for (int k = 1; k < SYNTH_KINDS; k++)
        if (motion_synth_traits[k].track == track) total += motion_synth_traits[k].weight;
    double at = me_rng_uniform(g) * total;
    int last = SYNTH_NONE;
    for (int k = 1; k < SYNTH_KINDS; k++) {
        if (motion_synth_traits[k].track != track) continue;
        last = k;
        at -= motion_synth_traits[k].weight;
        if (at < 0) break;
    }
    return (synth_kind)last;
}

static synth_direction draw_direction(unsigned set, me_rng *g)
{
    if (!set) return SYNTH_FORWARD;
    synth_direction d;
    do d = (synth_direction)me_rng_below(g, 6);
    while (!(set & 1u << d));
    return d;
}

synth_action motion_synth_action_draw(synth_kind kind, me_rng *g)
{
    const synth_trait *trait = &motion_synth_traits[kind];
    synth_action a = {.kind = kind};
    a.side = me_rng_below(g, 2) ? SYNTH_RIGHT : SYNTH_LEFT;
    a.direction = draw_direction(trait->directions, g);
    /* People walk forward more than in the other directions together. */
    if (kind == SYNTH_WALK && me_rng_uniform(g) < 0.45) a.direction = SYNTH_FORWARD;
    a.reps = trait->reps_lo + (int)me_rng_below(g, (uint32_t)(trait->reps_hi - trait->reps_lo + 1));
    a.size = me_rng_range(g, 0.8, 1.2);
    a.speed = me_rng_range(g, 0.85, 1.2);
    a.hold = trait->has & SYNTH_HAS_HOLD ? me_rng_range(g, 0.0, 0.6) : 0;
    return a;
}

static void draw_arms(synth_phase *phase, me_rng *g)
{
    synth_kind kind = motion_synth_kind_draw(SYNTH_LEFT_ARM, g);
    synth_action a = motion_synth_action_draw(kind, g);
    if (motion_synth_traits[kind].has & SYNTH_BOTH_ARMS || me_rng_uniform(g) < 0.2) {
        phase->track[SYNTH_LEFT_ARM] = phase->track[SYNTH_RIGHT_ARM] = a;
        phase->track[SYNTH_LEFT_ARM].side = SYNTH_LEFT;
        phase->track[SYNTH_RIGHT_ARM].side = SYNTH_RIGHT;
        return;
    }
    phase->track[a.side == SYNTH_LEFT ? SYNTH_LEFT_ARM : SYNTH_RIGHT_ARM] = a;
}

static void draw_phase(synth_phase *phase, me_rng *g)
{
    double u = me_rng_uniform(g);
    bool legs = u < 0.62, arms = (u > 0.42 && u < 0.86) || me_rng_uniform(g) < 0.08;
    if (legs)
        phase->track[SYNTH_LEGS] =
            motion_synth_action_draw(motion_synth_kind_draw(SYNTH_LEGS, g), g);
    if (arms) draw_arms(phase, g);
    if (u > 0.86 || (!legs && me_rng_uniform(g) < 0.15))
        phase->track[SYNTH_TORSO] =
            motion_synth_action_draw(motion_synth_kind_draw(SYNTH_TORSO, g), g);
    if (me_rng_uniform(g) < 0.1)
        phase->track[SYNTH_HEAD] =
            motion_synth_action_draw(motion_synth_kind_draw(SYNTH_HEAD, g), g);
    bool any = false;
    for (int k = 0; k < SYNTH_TRACKS; k++) any |= phase->track[k].kind != SYNTH_NONE;
    if (!any) phase->track[SYNTH_LEGS] = motion_synth_action_draw(SYNTH_WALK, g);
    /* A torso that bows or twists is left to itself by running and jumping legs. */
    synth_kind leg = phase->track[SYNTH_LEGS].kind;
    if (leg == SYNTH_SIT || leg == SYNTH_SQUAT || leg == SYNTH_LUNGE || leg == SYNTH_JUMP)
        phase->track[SYNTH_TORSO] = (synth_action){0};
}

void motion_synth_script_draw(synth_script *out, me_rng *g)
{
    *out = (synth_script){.lead = me_rng_range(g, 0.2, 0.5), .tail = me_rng_range(g, 0.25, 0.5)};
    double u = me_rng_uniform(g);
    out->phases = u < 0.5 ? 1 : u < 0.92 ? 2 : 3;
    for (int i = 0; i < out->phases; i++) draw_phase(&out->phase[i], g);
}

double motion_synth_action_seconds(const synth_action *a)
{
    const synth_trait *t = &motion_synth_traits[a->kind];
    if (a->kind == SYNTH_NONE) return 0;
    return a->delay + (t->cycle * a->reps + 2 * t->blend) / a->speed + a->hold * a->reps;
}

bool motion_synth_both_arms(const synth_phase *phase)
{
    synth_kind kind = phase->track[SYNTH_LEFT_ARM].kind;
    return kind != SYNTH_NONE && kind == phase->track[SYNTH_RIGHT_ARM].kind;
}
