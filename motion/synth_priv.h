/* motion/synth_priv.h: what the files of synth share. Not for use outside motion/synth*.c.
 *
 * The way of a motion: script (what is done, synth_script.c) -> plan (when, and where the feet
 * stand, motion_synth_legs.c) -> controls of each frame (motion_synth_upper.c, motion_synth_legs.c)
 * -> pose (motion_synth_body.c). All of it is in the body's own axes: Y up, the performer starts at
 * the origin facing +Z, left is +X. Angles are radians, lengths metres, times seconds.
 */
#ifndef MOTION_SYNTH_PRIV_H
#define MOTION_SYNTH_PRIV_H

#include "core/rng.h"
#include "motion/mat3.h"
#include "motion/motion.h"
#include "motion/synth.h"

#define SYNTH_DEGREES (MOTION_PI / 180)
#define SYNTH_PHASES 4    /* at most */
#define SYNTH_MOVES 64    /* of one foot */
#define SYNTH_GESTURES 32 /* of both legs together */
#define SYNTH_MAX_FRAMES MOTION_SYNTH_LONG

/* ---- what is done ---- */
typedef enum {
    SYNTH_LEGS,
    SYNTH_LEFT_ARM,
    SYNTH_RIGHT_ARM,
    SYNTH_TORSO,
    SYNTH_HEAD,
    SYNTH_TRACKS
} synth_track;

typedef enum {
    SYNTH_NONE,
    /* legs */
    SYNTH_WALK,
    SYNTH_RUN,
    SYNTH_MARCH,
    SYNTH_TURN,
    SYNTH_SQUAT,
    SYNTH_JUMP,
    SYNTH_HOP,
    SYNTH_KICK,
    SYNTH_KNEE,
    SYNTH_LUNGE,
    SYNTH_SIT,
    SYNTH_TIPTOE,
    /* arms */
    SYNTH_RAISE,
    SYNTH_WAVE,
    SYNTH_PUNCH,
    SYNTH_POINT,
    SYNTH_THROW,
    SYNTH_CIRCLE,
    SYNTH_HIP,
    SYNTH_TOUCH_HEAD,
    SYNTH_CLAP,
    SYNTH_PUSH,
    SYNTH_STRETCH,
    /* torso */
    SYNTH_BOW,
    SYNTH_LEAN,
    SYNTH_TWIST,
    /* head */
    SYNTH_NOD,
    SYNTH_SHAKE,
    SYNTH_LOOK,
    SYNTH_LOOK_AROUND,
    SYNTH_KINDS
} synth_kind;

typedef enum { SYNTH_LEFT, SYNTH_RIGHT } synth_side;
typedef enum {
    SYNTH_FORWARD,
    SYNTH_BACKWARD,
    SYNTH_TO_LEFT,
    SYNTH_TO_RIGHT,
    SYNTH_UP,
    SYNTH_DOWN
} synth_direction;

/* What a kind can be edited in. */
enum {
    SYNTH_HAS_REPS = 1,
    SYNTH_HAS_SIZE = 2,
    SYNTH_HAS_SIDE = 4,      /* one leg, or a turn, twist or lean to one side */
    SYNTH_HAS_DIRECTION = 8, /* choice among `directions` */
    SYNTH_HAS_HOLD = 16,
    SYNTH_BOTH_ARMS = 32 /* always done with both */
};

typedef struct synth_trait {
    synth_track track; /* LEFT_ARM stands for either arm */
    unsigned has;
    unsigned directions; /* bit set of synth_direction */
    int reps_lo, reps_hi;
    double cycle;  /* seconds of one repetition at speed 1 */
    double blend;  /* seconds of coming and of going, for arms, torso and head */
    double weight; /* how often it is drawn */
} synth_trait;
extern const synth_trait motion_synth_traits[SYNTH_KINDS];

typedef struct synth_action {
    synth_kind kind;
    synth_side side;
    synth_direction direction;
    int reps;
    double size;  /* 1 is usual; 0.5 to 1.5 */
    double speed; /* 1 is usual; 0.5 to 2 */
    double hold;  /* seconds at the extreme */
    double delay; /* seconds from the phase's start */
} synth_action;

typedef struct synth_phase {
    synth_action track[SYNTH_TRACKS];
} synth_phase;

typedef struct synth_script {
    int phases;
    synth_phase phase[SYNTH_PHASES];
    double lead, tail; /* seconds of standing before and after */
} synth_script;

/* ---- who does it ---- */
typedef struct synth_person {
    double posture, head_pitch, stance, toe_out, bounce, arm_swing, arm_out, elbow, tempo, stride,
        sway, reach;
} synth_person;

/* Small differences from one performance to the next. */
typedef struct synth_take {
    double tempo, size;
    double amplitude;                      /* of the noise, radians */
    double phase[16][3], frequency[16][3]; /* smooth noise: sums of three sines */
} synth_take;

/* ---- when and where ---- */
typedef struct synth_foot {
    double x, z, yaw;
} synth_foot;

/* A foot leaves the floor at t0 and comes down at t1. */
typedef struct synth_move {
    double t0, t1;
    synth_foot from, to;
    double lift, toe_off, strike; /* metres, radians, radians */
    double shift;                 /* how far the pelvis leans over the other foot, 0..1 */
} synth_move;

/* A leg does something in the air between t0 and t1, then stands where it stood. */
typedef struct synth_gesture {
    double t0, t1;
    synth_kind kind;
    synth_side side;
    synth_direction direction;
    double size, hold;
} synth_gesture;

/* An action with its time. */
typedef struct synth_span {
    synth_action action;
    double t0, t1;
} synth_span;

/* What leg actions ask of the pelvis and the heels: cubic Hermite curves, 0 before and after. */
typedef enum {
    SYNTH_HEIGHT, /* of the pelvis over standing, metres */
    SYNTH_AIR,    /* of both feet over the floor, metres */
    SYNTH_PITCH,  /* of the pelvis, forward */
    SYNTH_BACK,   /* of the pelvis behind the feet, metres */
    SYNTH_LEFT_HEEL,
    SYNTH_RIGHT_HEEL, /* angle of the foot about its toes */
    SYNTH_RUNNER,     /* 1: arms are carried as a runner's */
    SYNTH_ARM_LIFT,   /* forward flexion of idle arms, for balance and in a jump */
    SYNTH_CURVES
} synth_curve_kind;

#define SYNTH_KNOTS 64
typedef struct synth_knot {
    double t, value, slope;
} synth_knot;

typedef struct synth_curve {
    int n;
    synth_knot knot[SYNTH_KNOTS];
} synth_curve;

typedef struct synth_plan {
    synth_person person;
    synth_take take;
    int64_t frames;
    double end;
    synth_foot start[2];
    int moves[2], gestures, spans;
    synth_move move[2][SYNTH_MOVES];
    synth_gesture gesture[SYNTH_GESTURES];
    synth_span span[SYNTH_PHASES * SYNTH_TRACKS];
    synth_curve curve[SYNTH_CURVES];
} synth_plan;

/* ---- controls of one frame ---- */
typedef struct synth_arm {
    double flex, abduct, swivel, elbow, pronate, wrist;
} synth_arm;

typedef struct synth_leg {
    double target[3];  /* of the ankle */
    double yaw, pitch; /* of the foot in the world; pitch > 0: heel up */
    double free;       /* 0: the foot obeys yaw and pitch; 1: it follows the shin, by `point` */
    double point;
    double on_floor; /* 1: planted */
} synth_leg;

typedef struct synth_frame {
    double root[3], yaw, pelvis_pitch, pelvis_roll;
    double stride;        /* how far the left foot is before the right one: arms swing against it */
    double run, arm_lift; /* of the curves */
    double spine[3], head[3]; /* pitch (forward), roll (to the left), yaw (to the left) */
    synth_arm arm[2];
    synth_leg leg[2];
} synth_frame;

/* ---- easing, shared ---- */
static inline double synth_clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}
/* Minimum jerk from 0 to 1. */
static inline double synth_ease(double u)
{
    u = synth_clamp(u, 0, 1);
    return u * u * u * (10 + u * (6 * u - 15));
}
/* 0 outside (a,d), 1 inside [b,c], eased between. */
static inline double synth_window(double t, double a, double b, double c, double d)
{
    if (t <= a || t >= d) return 0;
    if (t < b) return synth_ease((t - a) / (b - a));
    return t > c ? synth_ease((d - t) / (d - c)) : 1;
}
/* A smooth bump of height 1 around `centre`, 0 at `width` from it. */
static inline double synth_bump(double t, double centre, double width)
{
    double u = (t - centre) / width;
    return fabs(u) >= 1 ? 0 : 0.5 + 0.5 * cos(MOTION_PI * u);
}

/* ---- synth_script.c ---- */
synth_person motion_synth_person_draw(me_rng *g);
synth_take motion_synth_take_draw(me_rng *g);
void motion_synth_script_draw(synth_script *out, me_rng *g);
synth_action motion_synth_action_draw(synth_kind kind, me_rng *g);
/* A kind of the track (arms: LEFT_ARM), drawn by weight. */
synth_kind motion_synth_kind_draw(synth_track track, me_rng *g);
double motion_synth_action_seconds(const synth_action *a);

/* ---- motion_synth_legs.c ---- */
void motion_synth_plan_make(synth_plan *out, const synth_script *script, const synth_person *person,
                            const synth_take *take);
/* Root, pelvis and legs of all frames; frames must have been zeroed. */
void motion_synth_legs(synth_frame *frames, const synth_plan *plan);

/* ---- motion_synth_upper.c ---- */
/* Arms, torso and head of all frames; after motion_synth_legs, from whose feet the arms take their
 * swing.
 */
void motion_synth_upper(synth_frame *frames, const synth_plan *plan);
double motion_synth_noise(const synth_take *take, int channel, double t);

/* ---- motion_synth_body.c ---- */
/* Poses of all frames, canonical; joints too where the clip has room for them. */
void motion_synth_body(motion_clip *out, synth_frame *frames);
void motion_synth_smooth(double *values, int64_t n, int64_t stride, double sigma);
/* Thigh, shin and height of the ankle over the floor. */
#define SYNTH_THIGH 0.40138
#define SYNTH_SHIN 0.43209
#define SYNTH_ANKLE 0.075
#define SYNTH_STAND (SYNTH_ANKLE + 0.991 * (SYNTH_THIGH + SYNTH_SHIN) + 0.09959)

/* ---- synth_edit.c ---- */
typedef enum {
    SYNTH_EDIT_SPEED,
    SYNTH_EDIT_SIZE,
    SYNTH_EDIT_SIDE,
    SYNTH_EDIT_ADD,
    SYNTH_EDIT_REMOVE,
    SYNTH_EDIT_REPLACE,
    SYNTH_EDIT_REPS,
    SYNTH_EDIT_ORDER,
    SYNTH_EDIT_HOLD,
    SYNTH_EDIT_DIRECTION,
    SYNTH_EDIT_BEGIN,
    SYNTH_EDIT_STOP,
    SYNTH_EDITS
} synth_edit_kind;
extern const char *const motion_synth_edit_names[SYNTH_EDITS];

/* What was changed: with the scripts before and after it says everything that a sentence needs, and
 * the inverse edit is the same record with before and after exchanged. */
typedef struct synth_edit {
    synth_edit_kind kind;
    int phase;
    synth_track track; /* of an arm action done with both arms: LEFT_ARM */
} synth_edit;

/* Draws an edit that is possible on `before` and applies it; false when the kind does not fit. */
bool motion_synth_edit_apply(synth_script *after, synth_edit *edit, const synth_script *before,
                             synth_edit_kind kind, me_rng *g);
synth_edit motion_synth_edit_inverse(const synth_edit *edit);
/* Whether a phase's arms do the same thing. */
bool motion_synth_both_arms(const synth_phase *phase);

/* ---- motion_synth_text.c ---- */
void motion_synth_text(char *out, size_t size, const synth_edit *edit, const synth_script *before,
                       const synth_script *after, me_rng *g);

/* What a motion shows: "a person is walking forward for 4 steps while waving with their left hand".
 */
void motion_synth_caption(char *out, size_t size, const synth_script *script, me_rng *g);

#endif
