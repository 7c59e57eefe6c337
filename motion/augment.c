/* motion/augment.c: variations of a clip (motion/augment.h), each step one of motion/edits.h. */
#include "motion/augment.h"

#include <math.h>

#include "motion/edits.h"

/* How often a step is taken, and how far it goes. */
#define MIRRORED 0.5
#define GRAFTED 0.5
#define BLENDED 0.6
#define RESIZED 0.5
#define POSED 0.8
#define MOST_BLENDED 0.6
#define SMALLEST 0.6
#define LARGEST 1.5
#define FASTEST 1.33
#define TURNED 0.12 /* radians: the standard deviation of each joint's turn about each axis */

static const unsigned graft_parts[] = {MOTION_PART_ARMS, MOTION_PART_LEFT_ARM,
                                       MOTION_PART_RIGHT_ARM, MOTION_PART_UPPER};
static const unsigned size_parts[] = {MOTION_PART_ARMS, MOTION_PART_UPPER,
                                      MOTION_PART_TORSO | MOTION_PART_HEAD,
                                      MOTION_PART_LEFT_LEG | MOTION_PART_RIGHT_LEG};

/* What is drawn for one variation; all of it is, whatever is used, so that no step's draw depends
 * on another step. */
typedef struct plan {
    bool mirrored, grafted, blended, resized, posed;
    unsigned graft, size;
    double weight, scale, speed, turns[MOTION_JOINTS * 3];
} plan;

static unsigned one_of(const unsigned *parts, size_t bytes, me_rng *g)
{
    return parts[me_rng_below(g, (uint32_t)(bytes / sizeof *parts))];
}

static plan draw(me_rng *g)
{
    plan p;
    p.mirrored = me_rng_uniform(g) < MIRRORED;
    p.grafted = me_rng_uniform(g) < GRAFTED;
    p.blended = me_rng_uniform(g) < BLENDED;
    p.resized = me_rng_uniform(g) < RESIZED;
    p.posed = me_rng_uniform(g) < POSED;
    p.graft = one_of(graft_parts, sizeof graft_parts, g);
    p.size = one_of(size_parts, sizeof size_parts, g);
    p.weight = me_rng_range(g, 0, MOST_BLENDED);
    p.scale = me_rng_range(g, SMALLEST, LARGEST);
    p.speed = pow(FASTEST, me_rng_range(g, -1, 1));
    for (int i = 0; i < MOTION_JOINTS * 3; i++) p.turns[i] = TURNED * me_rng_normal(g);
    return p;
}

me_code motion_augment(motion_clip *out, me_arena *arena, const motion_clip *in,
                       const motion_clip *donor, const motion_clip *other, int64_t most, me_rng *g,
                       me_err *err)
{
    plan p = draw(g);
    if (in->frames <= most && (double)in->frames > p.speed * (double)most)
        p.speed = (double)in->frames / (double)most;

    motion_clip now = *in, next;
    me_code code = ME_OK;
    if (other && p.blended) {
        code = motion_edit_blend(&next, arena, &now, other, p.weight, err);
        now = next;
    }
    if (!code && donor && p.grafted) {
        const int64_t n = now.frames, ease = n / 8 < 10 ? n / 8 : 10;
        code = motion_edit_graft(&next, arena, &now, donor, p.graft, 0, n, ease, err);
        now = next;
    }
    if (!code && p.resized) {
        code = motion_edit_amplitude(&next, arena, &now, p.size, p.scale, err);
        now = next;
    }
    if (!code && p.posed) {
        code = motion_edit_posture(&next, arena, &now, p.turns, err);
        now = next;
    }
    if (!code && p.mirrored) {
        code = motion_edit_mirror(&next, arena, &now, err);
        now = next;
    }
    if (!code) code = motion_edit_speed(out, arena, &now, p.speed, err);
    if (!code) motion_canonicalise(out);
    return code;
}
