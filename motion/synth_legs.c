/* motion/motion_synth_legs.c: where the feet stand and when they move, and the way of the pelvis
 * that follows from it.
 *
 * A foot is planted, fixed in the world, between its moves; so there is no skating by construction.
 * The pelvis travels with the middle of the feet (each interpolated linearly while it swings, which
 * makes the middle's speed nearly constant), leans over the foot that carries, and is smoothed in
 * time. */
#include "motion/synth_priv.h"

/* ---- planning ---- */
typedef struct planner {
    synth_plan *plan;
    double t, x, z, yaw; /* now; the middle between the feet; where the body faces */
} planner;

static void add_knot(synth_plan *p, synth_curve_kind curve, double t, double value, double slope)
{
    synth_curve *c = &p->curve[curve];
    if (c->n == SYNTH_KNOTS) return;
    /* Neighbouring actions may reach into each other a little: knots stay in order. */
    if (c->n > 0) t = fmax(t, c->knot[c->n - 1].t + 0.03);
    c->knot[c->n++] = (synth_knot){t, value, slope};
}

/* Rises from t0 to t1, stays until t2, is back at t3. */
static void add_hump(synth_plan *p, synth_curve_kind curve, double t0, double t1, double t2,
                     double t3, double value)
{
    add_knot(p, curve, t0, 0, 0);
    add_knot(p, curve, t1, value, 0);
    if (t2 > t1) add_knot(p, curve, t2, value, 0);
    add_knot(p, curve, t3, 0, 0);
}

static double curve_at(const synth_curve *c, double t)
{
    if (c->n == 0 || t <= c->knot[0].t || t >= c->knot[c->n - 1].t) return 0;
    int i = 0;
    while (i + 2 < c->n && c->knot[i + 1].t <= t) i++;
    const synth_knot *a = &c->knot[i], *b = a + 1;
    double h = b->t - a->t;
    if (h <= 0) return b->value;
    double u = (t - a->t) / h, v = 1 - u;
    return v * v * (1 + 2 * u) * a->value + u * v * v * h * a->slope +
           u * u * (3 - 2 * u) * b->value - u * u * v * h * b->slope;
}

/* Where a foot stands when the body stands at (x, z) and faces yaw; `narrow` scales the stance. */
static synth_foot standing(const planner *s, synth_side side, double x, double z, double yaw,
                           double narrow)
{
    double sign = side == SYNTH_LEFT ? 1 : -1, half = s->plan->person.stance * narrow;
    return (synth_foot){x + sign * half * cos(yaw), z - sign * half * sin(yaw),
                        yaw + sign * s->plan->person.toe_out};
}

static synth_foot foot_now(const planner *s, synth_side side)
{
    const synth_plan *p = s->plan;
    return p->moves[side] ? p->move[side][p->moves[side] - 1].to : p->start[side];
}

static void add_move(planner *s, synth_side side, synth_foot to, double t0, double t1,
                     synth_move how)
{
    synth_plan *p = s->plan;
    if (p->moves[side] == SYNTH_MOVES) return;
    how.t0 = t0;
    how.t1 = t1;
    how.from = foot_now(s, side);
    how.to = to;
    p->move[side][p->moves[side]++] = how;
}

static void add_gesture(planner *s, const synth_action *a, synth_side side, double t0, double t1)
{
    synth_plan *p = s->plan;
    if (p->gestures < SYNTH_GESTURES)
        p->gesture[p->gestures++] =
            (synth_gesture){t0, t1, a->kind, side, a->direction, a->size * p->take.size, a->hold};
}

/* The middle of the body goes `distance` in the direction `way`, relative to where it faces. */
static void advance(planner *s, double distance, synth_direction way)
{
    double turn = way == SYNTH_BACKWARD   ? MOTION_PI
                  : way == SYNTH_TO_LEFT  ? MOTION_PI / 2
                  : way == SYNTH_TO_RIGHT ? -MOTION_PI / 2
                                          : 0;
    s->x += distance * sin(s->yaw + turn);
    s->z += distance * cos(s->yaw + turn);
}

static void plan_walk(planner *s, const synth_action *a)
{
    const synth_person *who = &s->plan->person;
    bool back = a->direction == SYNTH_BACKWARD;
    double step = 0.55 / (a->speed * who->tempo * s->plan->take.tempo);
    double length =
        (back ? 0.42 : 0.6) * a->size * who->stride * s->plan->take.size * pow(a->speed, 0.3);
    synth_move how = {.lift = back ? 0.05 : 0.035 + 0.02 * a->size,
                      .toe_off = back ? 0.3 : (0.55 + 0.25 * a->size),
                      .strike = back ? 0 : -0.3,
                      .shift = 0.3};
    synth_side side = a->side;
    for (int i = 0; i <= a->reps; i++, s->t += step, side = !side) {
        /* The last step brings the feet together. */
        if (i < a->reps)
            advance(s, length, a->direction);
        else
            how.strike = 0;
        add_move(s, side, standing(s, side, s->x, s->z, s->yaw, i < a->reps ? 0.8 : 1), s->t,
                 s->t + 0.76 * step, how);
    }
}

static void plan_sidestep(planner *s, const synth_action *a)
{
    double step = 0.48 / (a->speed * s->plan->person.tempo * s->plan->take.tempo);
    double length = 0.36 * a->size * s->plan->person.stride * s->plan->take.size;
    synth_move how = {.lift = 0.06, .toe_off = 0.15, .shift = 0.55};
    synth_side lead = a->direction == SYNTH_TO_LEFT ? SYNTH_LEFT : SYNTH_RIGHT;
    for (int i = 0; i < (a->reps + 1) / 2; i++, s->t += 2 * step) {
        advance(s, length, a->direction);
        for (int k = 0; k < 2; k++) {
            synth_side side = k ? !lead : lead;
            add_move(s, side, standing(s, side, s->x, s->z, s->yaw, 1), s->t + k * step,
                     s->t + (k + 0.8) * step, how);
        }
    }
}

static void plan_run(planner *s, const synth_action *a)
{
    const synth_person *who = &s->plan->person;
    double step = 0.36 / (a->speed * who->tempo * s->plan->take.tempo);
    double length = 0.85 * a->size * who->stride * s->plan->take.size * pow(a->speed, 0.3);
    synth_side side = a->side;
    double t0 = s->t, lean = 0.16;
    add_knot(s->plan, SYNTH_HEIGHT, t0 - 0.2, 0, 0);
    add_knot(s->plan, SYNTH_PITCH, t0 - 0.2, 0, 0);
    for (int i = 0; i <= a->reps; i++, s->t += step, side = !side) {
        bool last = i == a->reps;
        double begun = i == 0 || last ? 0.5 : 1;
        synth_move how = {.lift = 0.1 + 0.13 * begun,
                          .toe_off = 0.95 * begun,
                          .strike = last ? 0 : -0.15,
                          .shift = 0.15};
        if (!last) advance(s, length * begun, SYNTH_FORWARD);
        add_move(s, side, standing(s, side, s->x, s->z, s->yaw, last ? 1 : 0.55), s->t,
                 s->t + (i == 0 || last ? 0.9 : 1.32) * step, how);
        /* Low when a foot has just taken over, high in flight. */
        add_knot(s->plan, SYNTH_HEIGHT, s->t, -0.05 + 0.015 * who->bounce, 0);
        if (!last)
            add_knot(s->plan, SYNTH_HEIGHT, s->t + 0.6 * step, -0.06 - 0.03 * who->bounce, 0);
        add_knot(s->plan, SYNTH_PITCH, s->t, lean, 0);
    }
    add_knot(s->plan, SYNTH_HEIGHT, s->t + 0.3, 0, 0);
    add_knot(s->plan, SYNTH_PITCH, s->t + 0.3, 0, 0);
    add_hump(s->plan, SYNTH_RUNNER, t0 - 0.25, t0 + 0.25, s->t - 0.25, s->t + 0.25, 1);
    s->t += 0.15;
}

static void plan_march(planner *s, const synth_action *a)
{
    double step = 0.55 / (a->speed * s->plan->person.tempo * s->plan->take.tempo);
    synth_side side = a->side;
    for (int i = 0; i < a->reps; i++, s->t += step, side = !side)
        add_gesture(s, a, side, s->t, s->t + 0.95 * step);
}

/* 90 degrees at size 1, in small steps on the spot. */
static void plan_turn(planner *s, const synth_action *a)
{
    double angle = (a->side == SYNTH_LEFT ? 1 : -1) * a->size * s->plan->take.size * MOTION_PI / 2;
    int pairs = fabs(angle) > 1.9 ? 3 : 2;
    double step = 0.34 / (a->speed * s->plan->person.tempo * s->plan->take.tempo);
    synth_move how = {.lift = 0.05, .toe_off = 0.25, .shift = 0.45};
    for (int i = 0; i < pairs; i++) {
        s->yaw += angle / pairs;
        for (int k = 0; k < 2; k++, s->t += step) {
            synth_side side = k ? !a->side : a->side;
            add_move(s, side, standing(s, side, s->x, s->z, s->yaw, 1), s->t, s->t + 0.85 * step,
                     how);
        }
    }
    s->t += 0.1;
}

static void plan_squat(planner *s, const synth_action *a)
{
    double cycle = 1.5 / (a->speed * s->plan->person.tempo * s->plan->take.tempo);
    double size = a->size * s->plan->take.size;
    for (int i = 0; i < a->reps; i++) {
        double t1 = s->t + 0.46 * cycle, t2 = t1 + a->hold, t3 = t2 + 0.46 * cycle;
        add_hump(s->plan, SYNTH_HEIGHT, s->t, t1, t2, t3, -0.34 * size);
        add_hump(s->plan, SYNTH_PITCH, s->t, t1, t2, t3, 0.5 * size);
        add_hump(s->plan, SYNTH_BACK, s->t, t1, t2, t3, 0.11 * size);
        add_hump(s->plan, SYNTH_ARM_LIFT, s->t, t1, t2, t3, 1.0 * size);
        s->t = t3 + 0.08 * cycle;
    }
}

static void plan_sit(planner *s, const synth_action *a)
{
    double cycle = 2.6 / (a->speed * s->plan->person.tempo * s->plan->take.tempo);
    double size = synth_clamp(a->size * s->plan->take.size, 0.6, 1.25);
    double t1 = s->t + 0.42 * cycle, t2 = t1 + 0.3 + a->hold, t3 = t2 + 0.42 * cycle;
    add_hump(s->plan, SYNTH_HEIGHT, s->t, t1, t2, t3, -0.42 * size);
    add_hump(s->plan, SYNTH_BACK, s->t, t1, t2, t3, 0.34);
    add_knot(s->plan, SYNTH_PITCH, s->t, 0, 0);
    add_knot(s->plan, SYNTH_PITCH, s->t + 0.24 * cycle, 0.6, 0);
    add_knot(s->plan, SYNTH_PITCH, t1 + 0.1, -0.05, 0);
    add_knot(s->plan, SYNTH_PITCH, t2, -0.05, 0);
    add_knot(s->plan, SYNTH_PITCH, t2 + 0.18 * cycle, 0.6, 0);
    add_knot(s->plan, SYNTH_PITCH, t3, 0, 0);
    s->t = t3 + 0.1;
}

/* One flight of both feet (or of one): crouch, push, ballistic flight of height `rise`, landing. */
static void plan_flight(planner *s, double rise, double crouch, double speed, double distance,
                        synth_direction way, int feet)
{
    const double gravity = 9.81, on_toes = 0.05;
    synth_plan *p = s->plan;
    double v = sqrt(2 * gravity * rise), flight = 2 * v / gravity;
    double down = s->t + 0.38 / speed, off = down + (0.05 + 2 * (crouch + on_toes) / v),
           on = off + flight;
    double low = on + 2.2 * (on_toes + 0.6 * crouch) / v, end = low + 0.3 / speed;
    add_knot(p, SYNTH_HEIGHT, s->t, 0, 0);
    add_knot(p, SYNTH_HEIGHT, down, -crouch, 0);
    add_knot(p, SYNTH_HEIGHT, off, on_toes, v);
    add_knot(p, SYNTH_HEIGHT, on, on_toes, -v);
    add_knot(p, SYNTH_HEIGHT, low, -0.6 * crouch, 0);
    add_knot(p, SYNTH_HEIGHT, end, 0, 0);
    add_knot(p, SYNTH_AIR, off, 0, v);
    add_knot(p, SYNTH_AIR, on, 0, -v);
    add_knot(p, SYNTH_PITCH, s->t, 0, 0);
    add_knot(p, SYNTH_PITCH, down, 1.6 * crouch, 0);
    add_knot(p, SYNTH_PITCH, off + 0.1, 0.03, 0);
    add_knot(p, SYNTH_PITCH, on, 0.06, 0);
    add_knot(p, SYNTH_PITCH, low, 1.1 * crouch, 0);
    add_knot(p, SYNTH_PITCH, end, 0, 0);
    add_hump(p, SYNTH_BACK, s->t, down, down, off, 0.25 * crouch);
    add_knot(p, SYNTH_ARM_LIFT, s->t, 0, 0);
    add_knot(p, SYNTH_ARM_LIFT, down, -3.2 * crouch, 0);
    add_knot(p, SYNTH_ARM_LIFT, off + 0.3 * flight, 6 * crouch, 0);
    add_knot(p, SYNTH_ARM_LIFT, low, 1.5 * crouch, 0);
    add_knot(p, SYNTH_ARM_LIFT, end, 0, 0);
    for (int f = 0; f < 2; f++) {
        if (!(feet & 1 << f)) continue;
        add_knot(p, (synth_curve_kind)(SYNTH_LEFT_HEEL + f), down, 0, 0);
        add_knot(p, (synth_curve_kind)(SYNTH_LEFT_HEEL + f), off, 0.75, 1);
        add_knot(p, (synth_curve_kind)(SYNTH_LEFT_HEEL + f), on, 0.55, -2);
        add_knot(p, (synth_curve_kind)(SYNTH_LEFT_HEEL + f), on + 0.12, 0, 0);
    }
    if (distance > 0) {
        advance(s, distance, way);
        for (int f = 0; f < 2; f++)
            add_move(s, (synth_side)f, standing(s, (synth_side)f, s->x, s->z, s->yaw, 1), off, on,
                     (synth_move){0});
    }
    s->t = end;
}

static void plan_jump(planner *s, const synth_action *a)
{
    double size = a->size * s->plan->take.size * s->plan->person.bounce;
    size = a->size * s->plan->take.size * (0.75 + 0.25 * size / a->size);
    for (int i = 0; i < a->reps; i++) {
        bool up = a->direction == SYNTH_UP;
        plan_flight(s, (up ? 0.27 : 0.17) * size * size, 0.2 * size, a->speed,
                    up ? 0 : (a->direction == SYNTH_FORWARD ? 0.55 : 0.35) * size, a->direction, 3);
    }
}

static void plan_hop(planner *s, const synth_action *a)
{
    double begin = s->t;
    s->t += 0.35;
    for (int i = 0; i < a->reps; i++)
        plan_flight(s, 0.06, 0.07, a->speed * 2.4, 0, SYNTH_UP, 1 << a->side);
    s->t += 0.35;
    add_gesture(s, a, !a->side, begin, s->t);
}

/* Kicks and raised knees: one leg in the air, the other carries. */
static void plan_leg_gesture(planner *s, const synth_action *a)
{
    double cycle = motion_synth_traits[a->kind].cycle /
                   (a->speed * s->plan->person.tempo * s->plan->take.tempo);
    for (int i = 0; i < a->reps; i++) {
        add_gesture(s, a, a->side, s->t + 0.08, s->t + 0.08 + cycle + a->hold);
        s->t += 0.16 + cycle + a->hold;
    }
}

static void plan_lunge(planner *s, const synth_action *a)
{
    double cycle = 2.0 / (a->speed * s->plan->person.tempo * s->plan->take.tempo),
           size = a->size * s->plan->take.size;
    double length = 0.62 * (0.6 + 0.4 * size);
    synth_move how = {.lift = 0.08, .toe_off = 0.35, .strike = -0.15, .shift = 0.3};
    synth_side rear = !a->side;
    for (int i = 0; i < a->reps; i++) {
        double t0 = s->t, t1 = t0 + 0.28 * cycle, t2 = t0 + 0.46 * cycle, t3 = t2 + a->hold,
               t4 = t3 + 0.2 * cycle, t5 = t4 + 0.28 * cycle;
        synth_foot home = foot_now(s, a->side);
        synth_foot out = {home.x + length * sin(s->yaw), home.z + length * cos(s->yaw), s->yaw};
        add_move(s, a->side, out, t0, t1, how);
        add_move(s, a->side, home, t4, t5, how);
        add_hump(s->plan, SYNTH_HEIGHT, t0, t2, t3, t5, -0.27 * size);
        add_hump(s->plan, (synth_curve_kind)(SYNTH_LEFT_HEEL + rear), t0 + 0.5 * (t1 - t0), t2, t3,
                 t5, 0.75);
        add_hump(s->plan, SYNTH_PITCH, t0, t2, t3, t5, 0.1);
        s->t = t5 + 0.06 * cycle;
    }
}

static void plan_tiptoe(planner *s, const synth_action *a)
{
    double cycle = 1.2 / (a->speed * s->plan->person.tempo * s->plan->take.tempo);
    for (int i = 0; i < a->reps; i++) {
        double t1 = s->t + 0.42 * cycle, t2 = t1 + a->hold, t3 = t2 + 0.42 * cycle;
        add_hump(s->plan, SYNTH_HEIGHT, s->t, t1, t2, t3, 0.075);
        for (int f = 0; f < 2; f++)
            add_hump(s->plan, (synth_curve_kind)(SYNTH_LEFT_HEEL + f), s->t, t1, t2, t3, 0.8);
        s->t = t3 + 0.12 * cycle;
    }
}

static void plan_leg_action(planner *s, const synth_action *a)
{
    switch (a->kind) {
    case SYNTH_WALK:
        if (a->direction == SYNTH_TO_LEFT || a->direction == SYNTH_TO_RIGHT)
            plan_sidestep(s, a);
        else
            plan_walk(s, a);
        break;
    case SYNTH_RUN:
        plan_run(s, a);
        break;
    case SYNTH_MARCH:
        plan_march(s, a);
        break;
    case SYNTH_TURN:
        plan_turn(s, a);
        break;
    case SYNTH_SQUAT:
        plan_squat(s, a);
        break;
    case SYNTH_JUMP:
        plan_jump(s, a);
        break;
    case SYNTH_HOP:
        plan_hop(s, a);
        break;
    case SYNTH_KICK:
    case SYNTH_KNEE:
        plan_leg_gesture(s, a);
        break;
    case SYNTH_LUNGE:
        plan_lunge(s, a);
        break;
    case SYNTH_SIT:
        plan_sit(s, a);
        break;
    case SYNTH_TIPTOE:
        plan_tiptoe(s, a);
        break;
    default:
        break;
    }
}

void motion_synth_plan_make(synth_plan *out, const synth_script *script, const synth_person *person,
                            const synth_take *take)
{
    memset(out, 0, sizeof *out);
    out->person = *person;
    out->take = *take;
    planner s = {.plan = out, .t = script->lead};
    for (int f = 0; f < 2; f++) out->start[f] = standing(&s, (synth_side)f, 0, 0, 0, 1);
    for (int i = 0; i < script->phases; i++) {
        double begin = s.t;
        const synth_action *legs = &script->phase[i].track[SYNTH_LEGS];
        s.t += legs->delay;
        plan_leg_action(&s, legs);
        double end = s.t;
        for (int k = SYNTH_LEFT_ARM; k < SYNTH_TRACKS; k++) {
            const synth_action *a = &script->phase[i].track[k];
            if (a->kind == SYNTH_NONE) continue;
            synth_span *span = &out->span[out->spans++];
            *span = (synth_span){*a, begin + a->delay, 0};
            span->action.size *= take->size * (k <= SYNTH_RIGHT_ARM ? person->reach : 1);
            span->action.speed *= take->tempo * person->tempo;
            span->t1 = begin + motion_synth_action_seconds(&span->action);
            /* Which arm it is; for torso and head the action's own side counts. */
            if (k <= SYNTH_RIGHT_ARM)
                span->action.side = k == SYNTH_LEFT_ARM ? SYNTH_LEFT : SYNTH_RIGHT;
            end = fmax(end, span->t1);
        }
        s.t = end + (i + 1 < script->phases ? 0.12 : 0);
    }
    out->end = s.t + script->tail;
    out->frames = (int64_t)floor(out->end * MOTION_FPS) + 1;
    if (out->frames > SYNTH_MAX_FRAMES) out->frames = SYNTH_MAX_FRAMES;
}

/* ---- following the plan ---- */
typedef struct foot_state {
    synth_foot at, linear; /* eased, for the foot; linear, for the pelvis */
    double lift, pitch, shift, moving;
} foot_state;

static synth_foot mix(const synth_foot *a, const synth_foot *b, double u)
{
    return (synth_foot){a->x + u * (b->x - a->x), a->z + u * (b->z - a->z),
                        a->yaw + u * (b->yaw - a->yaw)};
}

static foot_state foot_at(const synth_plan *p, synth_side side, double t)
{
    foot_state s = {.at = p->start[side], .linear = p->start[side]};
    for (int i = 0; i < p->moves[side]; i++) {
        const synth_move *m = &p->move[side][i];
        double d = m->t1 - m->t0, u = (t - m->t0) / d;
        /* The heel rises before the foot leaves, and the toes come down after it has landed. */
        s.pitch += m->toe_off * synth_bump(t, m->t0 + 0.12 * d, 0.2 + 0.15 * d);
        s.pitch += m->strike * synth_bump(t, m->t1 - 0.02, 0.14);
        if (t < m->t0) continue;
        if (t >= m->t1) {
            s.at = s.linear = m->to;
            continue;
        }
        s.linear = mix(&m->from, &m->to, u);
        s.at = mix(&m->from, &m->to, synth_ease(u));
        s.lift = m->lift * 16 * u * u * (1 - u) * (1 - u);
        s.moving = 1;
        s.shift = m->shift;
    }
    return s;
}

/* Angles of a leg in the air at u in [0,1] of its gesture: hip flexion, abduction, knee flexion. */
typedef struct leg_angles {
    double flex, abduct, knee;
} leg_angles;

static double keyed(const double (*keys)[2], int n, double u)
{
    for (int i = 1; i < n; i++)
        if (u < keys[i][0]) {
            double v = synth_clamp((u - keys[i - 1][0]) / (keys[i][0] - keys[i - 1][0]), 0, 1);
            return keys[i - 1][1] + v * v * (3 - 2 * v) * (keys[i][1] - keys[i - 1][1]);
        }
    return keys[n - 1][1];
}

static leg_angles gesture_angles(const synth_gesture *g, double t)
{
    /* The hold stretches the moment of the extreme, at u = 0.5. */
    double moving = g->t1 - g->t0 - g->hold, half = g->t0 + 0.5 * moving;
    double u = t < half             ? (t - g->t0) / moving
               : t < half + g->hold ? 0.5
                                    : (t - g->t0 - g->hold) / moving;
    double size = g->size, d = SYNTH_DEGREES;
    leg_angles a = {0};
    if (g->kind == SYNTH_KICK && g->direction == SYNTH_FORWARD) {
        a.flex = d * keyed((const double[][2]){{0, 0}, {0.3, 55}, {0.5, 72 * size}, {1, 0}}, 4, u);
        a.knee =
            d * keyed((const double[][2]){{0, 5}, {0.3, 92}, {0.5, 8}, {0.72, 60}, {1, 5}}, 5, u);
    } else if (g->kind == SYNTH_KICK) {
        a.flex =
            d * keyed((const double[][2]){{0, 0}, {0.3, 40}, {0.5, 8}, {0.72, 25}, {1, 0}}, 5, u);
        a.abduct =
            d * keyed((const double[][2]){{0, 0}, {0.3, 15}, {0.5, 52 * size}, {1, 0}}, 4, u);
        a.knee =
            d * keyed((const double[][2]){{0, 5}, {0.3, 85}, {0.5, 8}, {0.72, 60}, {1, 5}}, 5, u);
    } else if (g->kind == SYNTH_KNEE) {
        a.flex =
            d * keyed((const double[][2]){{0, 0}, {0.5, synth_clamp(82 * size, 20, 115)}, {1, 0}},
                      3, u);
        a.knee = d * keyed((const double[][2]){{0, 5}, {0.5, 92}, {1, 5}}, 3, u);
    } else if (g->kind == SYNTH_MARCH) {
        a.flex =
            d * keyed((const double[][2]){{0, 0}, {0.5, synth_clamp(58 * size, 15, 105)}, {1, 0}},
                      3, u);
        a.knee = d * keyed((const double[][2]){{0, 5}, {0.5, 78 * sqrt(size)}, {1, 5}}, 3, u);
    } else { /* the leg that a hop leaves hanging */
        double w = synth_window(t, g->t0, g->t0 + 0.35, g->t1 - 0.35, g->t1);
        a.flex = 12 * d * w;
        a.knee = (5 + 70 * w) * d;
    }
    return a;
}

/* The ankle of a leg with these angles, from the hip, body facing yaw. */
static void ankle_from_hip(double out[3], const leg_angles *a, synth_side side, double yaw)
{
    double thigh = a->flex, shin = a->flex - a->knee;
    double forward = SYNTH_THIGH * sin(thigh) + SYNTH_SHIN * sin(shin);
    double down = SYNTH_THIGH * cos(thigh) + SYNTH_SHIN * cos(shin);
    double out_left = (side == SYNTH_LEFT ? 1 : -1) * down * sin(a->abduct);
    out[0] = forward * sin(yaw) + out_left * cos(yaw);
    out[1] = -down * cos(a->abduct);
    out[2] = forward * cos(yaw) - out_left * sin(yaw);
}

/* The root over the feet, before smoothing. */
static void root_from_feet(synth_frame *f, const synth_plan *p, const foot_state foot[2], double t)
{
    double shift[2] = {foot[0].shift, foot[1].shift}; /* away from this foot */
    for (int i = 0; i < p->gestures; i++) {
        const synth_gesture *g = &p->gesture[i];
        double much = g->kind == SYNTH_MARCH ? 0.5 : 0.85;
        shift[g->side] = fmax(shift[g->side], much * (t > g->t0 - 0.12 && t < g->t1 - 0.05));
    }
    const synth_foot *l = &foot[0].linear, *r = &foot[1].linear;
    double lean = 0.5 + 0.5 * (shift[1] - shift[0]); /* 1: all over the left foot */
    double yaw = 0.5 * (l->yaw + r->yaw);
    f->yaw = yaw;
    f->root[0] = 0.5 * (l->x + r->x);
    f->root[2] = 0.5 * (l->z + r->z);
    /* Only sideways: along its way the pelvis keeps its speed. */
    double across = (l->x - r->x) * cos(yaw) - (l->z - r->z) * sin(yaw);
    f->root[0] += (lean - 0.5) * across * cos(yaw);
    f->root[2] -= (lean - 0.5) * across * sin(yaw);
    f->pelvis_roll = -0.05 * p->person.sway * (lean - 0.5);
}

static void leg_target(synth_leg *leg, const foot_state *s, double air, double heel)
{
    const double toe_down = 0.03122, toe_ahead = 0.11689;
    leg->yaw = s->at.yaw;
    leg->pitch = s->pitch + heel;
    double up = 0, ahead = 0;
    if (leg->pitch > 0) { /* about the toes, which stay where they are */
        double c = cos(leg->pitch), n = sin(leg->pitch);
        ahead = toe_ahead - (c * toe_ahead - n * toe_down);
        up = c * toe_down + n * toe_ahead - toe_down;
    }
    leg->target[0] = s->at.x + ahead * sin(leg->yaw);
    leg->target[1] = SYNTH_ANKLE + s->lift + up + air;
    leg->target[2] = s->at.z + ahead * cos(leg->yaw);
    leg->on_floor = !s->moving && air <= 0;
}

static void follow_gesture(synth_frame *f, const synth_gesture *g, double t)
{
    double d = g->t1 - g->t0;
    double w =
        synth_window(t, g->t0, g->t0 + fmin(0.3, 0.25 * d), g->t1 - fmin(0.3, 0.25 * d), g->t1);
    if (w <= 0) return;
    synth_leg *leg = &f->leg[g->side];
    leg_angles a = gesture_angles(g, t);
    double away[3], sign = g->side == SYNTH_LEFT ? 1 : -1;
    ankle_from_hip(away, &a, g->side, f->yaw);
    const double *hip = motion_mean_body.offset[1];
    double at[3] = {f->root[0] + sign * hip[0] * cos(f->yaw) + hip[2] * sin(f->yaw),
                    f->root[1] + hip[1],
                    f->root[2] - sign * hip[0] * sin(f->yaw) + hip[2] * cos(f->yaw)};
    for (int i = 0; i < 3; i++) leg->target[i] += w * (at[i] + away[i] - leg->target[i]);
    leg->target[1] = fmax(leg->target[1], SYNTH_ANKLE) + 0.2 * w * (1 - w);
    leg->free = w;
    leg->point = g->kind == SYNTH_KICK ? 0.45 : 0.25;
    leg->on_floor = 0;
    /* The trunk leans against a high leg. */
    f->pelvis_pitch -= 0.22 * synth_clamp(a.flex - 0.6, 0, 1.4);
    f->pelvis_roll -= sign * 0.3 * a.abduct;
}

void motion_synth_legs(synth_frame *frames, const synth_plan *p)
{
    int64_t n = p->frames;
    const int64_t stride = (int64_t)(sizeof *frames / sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        double t = (double)i / MOTION_FPS;
        foot_state foot[2] = {foot_at(p, SYNTH_LEFT, t), foot_at(p, SYNTH_RIGHT, t)};
        root_from_feet(&frames[i], p, foot, t);
        double air = fmax(0, curve_at(&p->curve[SYNTH_AIR], t));
        for (int side = 0; side < 2; side++)
            leg_target(&frames[i].leg[side], &foot[side], air,
                       curve_at(&p->curve[SYNTH_LEFT_HEEL + side], t));
        frames[i].root[1] = SYNTH_STAND + curve_at(&p->curve[SYNTH_HEIGHT], t);
    }
    /* 0.12 s: enough to round the corners where a foot takes over, too little to leave it behind.
     */
    double sigma = 0.12 * MOTION_FPS;
    motion_synth_smooth(&frames[0].root[0], n, stride, sigma);
    motion_synth_smooth(&frames[0].root[2], n, stride, sigma);
    motion_synth_smooth(&frames[0].yaw, n, stride, sigma);
    motion_synth_smooth(&frames[0].pelvis_roll, n, stride, sigma);
    for (int64_t i = 0; i < n; i++) {
        synth_frame *f = &frames[i];
        double t = (double)i / MOTION_FPS, back = curve_at(&p->curve[SYNTH_BACK], t);
        f->pelvis_pitch = curve_at(&p->curve[SYNTH_PITCH], t) + 0.3 * p->person.posture;
        f->root[0] -= back * sin(f->yaw);
        f->root[2] -= back * cos(f->yaw);
        const double *l = f->leg[0].target, *r = f->leg[1].target;
        f->stride = (l[0] - r[0]) * sin(f->yaw) + (l[2] - r[2]) * cos(f->yaw);
        f->run = curve_at(&p->curve[SYNTH_RUNNER], t);
        f->arm_lift = curve_at(&p->curve[SYNTH_ARM_LIFT], t);
        for (int k = 0; k < p->gestures; k++) follow_gesture(f, &p->gesture[k], t);
    }
    motion_synth_smooth(&frames[0].stride, n, stride, 0.06 * MOTION_FPS);
    /* The pelvis turns with the leg that is in front. */
    for (int64_t i = 0; i < n; i++) frames[i].yaw -= 0.15 * frames[i].stride;
}
