/* motion/motion_synth_upper.c: what arms, torso and head do, above legs that motion_synth_legs.c
 * has placed.
 *
 * An arm's pose is written so that it can be interpolated anywhere: the upper arm swings from
 * hanging by the vector (flexion forward, abduction to the side), `swivel` turns the elbow inward
 * about it. */
#include "motion/synth_priv.h"

double motion_synth_noise(const synth_take *take, int channel, double t)
{
    double sum = 0;
    for (int k = 0; k < 3; k++)
        sum += sin(2 * MOTION_PI * take->frequency[channel][k] * t + take->phase[channel][k]) /
               (1 + k);
    return take->amplitude * sum;
}

/* In degrees: flexion, abduction, swivel, elbow, pronation, wrist. */
#define ARM(f, a, s, e, p, w)                                                                      \
    ((synth_arm){(f)*SYNTH_DEGREES, (a)*SYNTH_DEGREES, (s)*SYNTH_DEGREES, (e)*SYNTH_DEGREES,       \
                 (p)*SYNTH_DEGREES, (w)*SYNTH_DEGREES})

static synth_arm arm_mix(const synth_arm *a, const synth_arm *b, double w)
{
    synth_arm m = {
        a->flex + w * (b->flex - a->flex),          a->abduct + w * (b->abduct - a->abduct),
        a->swivel + w * (b->swivel - a->swivel),    a->elbow + w * (b->elbow - a->elbow),
        a->pronate + w * (b->pronate - a->pronate), a->wrist + w * (b->wrist - a->wrist)};
    return m;
}

/* Weight of an extreme that is reached, held and left once in each repetition. */
static double repeated(const synth_action *a, double t, double rise, double fall)
{
    double cycle = motion_synth_traits[a->kind].cycle / a->speed, each = cycle + a->hold;
    double u = t - floor(t / each) * each;
    if (t < 0 || t >= each * a->reps) return 0;
    return synth_window(u, 0, rise * cycle, rise * cycle + a->hold + (1 - rise - fall) * cycle,
                        each);
}

static synth_arm raise_pose(const synth_action *a)
{
    double size = a->size;
    if (a->direction == SYNTH_UP) return ARM(fmin(160 * size, 176), 6, 0, 8, 0, 0);
    if (a->direction == SYNTH_FORWARD) return ARM(fmin(85 * size, 150), 0, 0, 8, 0, 0);
    return ARM(4, fmin(82 * size, 145), 0, 8, 0, 0);
}

static synth_arm point_pose(const synth_action *a)
{
    switch (a->direction) {
    case SYNTH_TO_LEFT:
        return ARM(12, 86, 0, 4, 0, 0);
    case SYNTH_UP:
        return ARM(145, 12, 0, 5, 0, 0);
    case SYNTH_DOWN:
        return ARM(38, 10, 0, 4, 0, -8);
    default:
        return ARM(84, 0, 0, 5, 0, 0);
    }
}

/* Poses along the repetitions of strokes: punch, throw, push. Keys are {u, pose}; between them an
 * ease. */
typedef struct arm_key {
    double u;
    synth_arm pose;
} arm_key;

static synth_arm stroke(const arm_key *keys, int n, double u)
{
    for (int i = 1; i < n; i++)
        if (u < keys[i].u)
            return arm_mix(&keys[i - 1].pose, &keys[i].pose,
                           synth_ease((u - keys[i - 1].u) / (keys[i].u - keys[i - 1].u)));
    return keys[n - 1].pose;
}

/* Fraction of the current repetition, after the coming; the extreme at `peak` is held. */
static double stroke_phase(const synth_action *a, double t, double peak)
{
    double cycle = motion_synth_traits[a->kind].cycle / a->speed, each = cycle + a->hold;
    double v = synth_clamp(t, 0, each * a->reps - 1e-9), u = v - floor(v / each) * each;
    if (u < peak * cycle) return u / cycle;
    return u < peak * cycle + a->hold ? peak : (u - a->hold) / cycle;
}

static synth_arm punch_pose(const synth_action *a, double t)
{
    synth_arm guard = ARM(22, 14, 18, 122, 0, 0);
    synth_arm out = a->direction == SYNTH_UP
                        ? ARM(fmin(150 * a->size, 172), 0, 10, 10, 0, 0)
                        : ARM(84, -6, 12, synth_clamp(60 - 48 * a->size, 4, 60), 0, 0);
    arm_key keys[] = {{0.0, guard}, {0.1, guard},  {0.42, out},
                      {0.5, out},   {0.92, guard}, {1, guard}};
    return stroke(keys, 6, stroke_phase(a, t, 0.46));
}

static synth_arm push_pose(const synth_action *a, double t)
{
    synth_arm chest = ARM(12, 34, 20, 128, 0, 20);
    synth_arm out = ARM(82, 4, 6, synth_clamp(66 - 54 * a->size, 4, 70), 0, 45);
    arm_key keys[] = {{0.0, chest}, {0.08, chest}, {0.45, out},
                      {0.55, out},  {0.95, chest}, {1, chest}};
    return stroke(keys, 6, stroke_phase(a, t, 0.5));
}

static synth_arm throw_pose(const synth_action *a, double t)
{
    double size = a->size;
    synth_arm ready = ARM(20, 22, 0, 70, 0, 0),
              back = ARM(-18 * size, fmin(88 * size, 110), -85, 100, 0, -15);
    synth_arm release = ARM(112 * sqrt(size), 22, -8, 18, 0, 10),
              after = ARM(42, -14, 15, 22, 0, 20);
    arm_key keys[] = {{0, ready}, {0.4, back}, {0.58, release}, {0.76, after}, {1, ready}};
    return stroke(keys, 5, stroke_phase(a, t, 0.4));
}

/* What an arm action asks of the arm at t seconds after its start, and how strongly. */
static double arm_goal(synth_arm *out, const synth_action *a, double t)
{
    const synth_trait *trait = &motion_synth_traits[a->kind];
    double length = motion_synth_action_seconds(a) - a->delay, blend = trait->blend / a->speed;
    double inside = t - blend, turn = 2 * MOTION_PI * inside * a->speed / trait->cycle;
    double w = synth_window(t, 0, blend, length - blend, length);
    switch (a->kind) {
    case SYNTH_RAISE:
        *out = raise_pose(a);
        return repeated(a, t, 0.42, 0.42);
    case SYNTH_POINT:
        *out = point_pose(a);
        return repeated(a, t, 0.38, 0.38);
    case SYNTH_HIP:
        *out = ARM(-25, 35, 55, 95, 0, -20);
        return repeated(a, t, 0.36, 0.36);
    case SYNTH_TOUCH_HEAD:
        *out = ARM(60, 108, -50, 143, 0, 0);
        return repeated(a, t, 0.38, 0.38);
    case SYNTH_STRETCH:
        *out = ARM(fmin(168 * a->size, 178), 8, 0, 4, 0, 0);
        return repeated(a, t, 0.38, 0.38);
    case SYNTH_WAVE:
        *out = ARM(30, 72 + 22 * (a->size - 1), -88, 82, 0, 0);
        out->elbow += 30 * a->size * sin(turn) * SYNTH_DEGREES;
        out->wrist = 14 * a->size * sin(turn - 0.8) * SYNTH_DEGREES;
        return w;
    case SYNTH_CIRCLE:
        *out = ARM(10 + 34 * a->size * sin(turn), 82 + 34 * a->size * cos(turn), 0, 8, 0, 0);
        return w;
    case SYNTH_CLAP:
        *out =
            ARM(40, 5, 43, 85, 0, 0); /* wrists together; then apart, turned about the upper arms */
        out->swivel -= (0.5 + 0.5 * cos(turn)) * 46 * a->size * SYNTH_DEGREES;
        return w;
    case SYNTH_PUNCH:
        *out = punch_pose(a, inside);
        return w;
    case SYNTH_PUSH:
        *out = push_pose(a, inside);
        return w;
    case SYNTH_THROW:
        *out = throw_pose(a, inside);
        return w;
    default:
        *out = (synth_arm){0};
        return 0;
    }
}

/* The idle arm: hanging, swinging against the legs, carried as a runner's. */
static synth_arm idle_arm(const synth_frame *f, const synth_plan *p, int side, double t)
{
    const synth_person *who = &p->person;
    double against = side == SYNTH_LEFT ? -f->stride : f->stride;
    double trunk = f->pelvis_pitch + f->spine[0];
    double swing = (0.62 + 0.35 * f->run) * who->arm_swing * against;
    synth_arm arm = {.flex = 0.05 + 0.85 * trunk + swing + f->arm_lift * (1 - 0.3 * f->run),
                     .abduct = who->arm_out,
                     .swivel = 12 * SYNTH_DEGREES,
                     .elbow = who->elbow + 0.35 * fmax(0, swing) + 0.1 * f->arm_lift * f->arm_lift};
    arm.elbow += f->run * (82 * SYNTH_DEGREES - who->elbow);
    arm.swivel += f->run * 16 * SYNTH_DEGREES;
    arm.flex += motion_synth_noise(&p->take, 5 + side, t);
    arm.abduct += motion_synth_noise(&p->take, 7 + side, t);
    arm.elbow += motion_synth_noise(&p->take, 9 + side, t);
    return arm;
}

static void torso_action(synth_frame *f, const synth_action *a, double t)
{
    double sign = a->side == SYNTH_LEFT ? 1 : -1, d = SYNTH_DEGREES, w = repeated(a, t, 0.42, 0.42);
    if (a->kind == SYNTH_BOW) {
        f->spine[0] += 34 * d * a->size * w;
        f->pelvis_pitch += 28 * d * a->size * w;
        f->root[0] -= 0.13 * a->size * w * sin(f->yaw);
        f->root[2] -= 0.13 * a->size * w * cos(f->yaw);
    } else if (a->kind == SYNTH_LEAN) {
        f->spine[1] += sign * 26 * d * a->size * w;
        f->pelvis_roll += sign * 5 * d * a->size * w;
    } else if (a->kind == SYNTH_TWIST) {
        f->spine[2] += sign * 42 * d * a->size * w;
        f->yaw += sign * 10 * d * a->size * w;
    }
}

static void head_action(synth_frame *f, const synth_action *a, double t)
{
    const synth_trait *trait = &motion_synth_traits[a->kind];
    double length = motion_synth_action_seconds(a) - a->delay,
           blend = fmax(0.3, trait->blend) / a->speed, d = SYNTH_DEGREES;
    double turn = 2 * MOTION_PI * t * a->speed / trait->cycle,
           w = synth_window(t, 0, blend, length - blend, length);
    double look = repeated(a, t, 0.32, 0.32);
    switch (a->kind) {
    case SYNTH_NOD:
        f->head[0] += w * 20 * d * a->size * (0.4 + sin(turn));
        break;
    case SYNTH_SHAKE:
        f->head[2] += w * 28 * d * a->size * sin(turn);
        break;
    case SYNTH_LOOK_AROUND:
        f->head[2] += w * 52 * d * sin(turn);
        f->spine[2] += w * 10 * d * sin(turn);
        break;
    case SYNTH_LOOK:
        if (a->direction == SYNTH_UP)
            f->head[0] -= 38 * d * look;
        else if (a->direction == SYNTH_DOWN)
            f->head[0] += 36 * d * look;
        else
            f->head[2] += (a->direction == SYNTH_TO_LEFT ? 58 : -58) * d * look;
        break;
    default:
        break;
    }
}

/* What an arm does also moves the trunk a little. */
static void trunk_follows(synth_frame *f, const synth_arm *arm, const synth_action *a, int side,
                          double w)
{
    double sign = side == SYNTH_LEFT ? -1 : 1;
    if (a->kind == SYNTH_THROW || a->kind == SYNTH_PUNCH)
        f->spine[2] += sign * w * 0.22 * (arm->flex - 0.6);
    if (a->kind == SYNTH_STRETCH) f->spine[0] -= 0.12 * w;
}

void motion_synth_upper(synth_frame *frames, const synth_plan *p)
{
    for (int64_t i = 0; i < p->frames; i++) {
        synth_frame *f = &frames[i];
        double t = (double)i / MOTION_FPS;
        f->spine[0] +=
            0.7 * p->person.posture + 0.25 * f->run * 0.2 + motion_synth_noise(&p->take, 0, t);
        f->spine[1] += -0.8 * f->pelvis_roll + 0.6 * motion_synth_noise(&p->take, 1, t);
        f->spine[2] += 0.26 * f->stride + motion_synth_noise(&p->take, 2, t);
        f->root[0] += 0.25 * motion_synth_noise(&p->take, 11, t);
        f->root[2] += 0.25 * motion_synth_noise(&p->take, 12, t);
        for (int k = 0; k < p->spans; k++)
            if (motion_synth_traits[p->span[k].action.kind].track == SYNTH_TORSO)
                torso_action(f, &p->span[k].action, t - p->span[k].t0);
        for (int side = 0; side < 2; side++) f->arm[side] = idle_arm(f, p, side, t);
        /* The head stays level, about, whatever the trunk does. */
        f->head[0] += p->person.head_pitch - 0.5 * (f->spine[0] + f->pelvis_pitch) +
                      motion_synth_noise(&p->take, 3, t);
        f->head[1] -= 0.5 * (f->spine[1] + f->pelvis_roll);
        f->head[2] += motion_synth_noise(&p->take, 4, t);
        for (int k = 0; k < p->spans; k++) {
            const synth_action *a = &p->span[k].action;
            double since = t - p->span[k].t0;
            if (motion_synth_traits[a->kind].track == SYNTH_HEAD) head_action(f, a, since);
            if (motion_synth_traits[a->kind].track != SYNTH_LEFT_ARM) continue;
            synth_arm goal;
            double w = arm_goal(&goal, a, since);
            if (w <= 0) continue;
            trunk_follows(f, &goal, a, (int)a->side, w);
            f->arm[a->side] = arm_mix(&f->arm[a->side], &goal, w);
        }
    }
}
