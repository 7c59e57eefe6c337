/* motion/augment.c: variations of a clip (motion/augment.h), each step one of motion/edits.h. */
#include "motion/augment.h"

#include <math.h>

#include "motion/edits.h"

/* How often a step is taken, and how far it goes. */
#define MIRRORED 0.5
#define GRAFTED 0.6
#define RESIZED 0.5
#define SMALLEST 0.6
#define LARGEST 1.5
#define FASTEST 1.33

static const unsigned graft_parts[] = {MOTION_PART_ARMS, MOTION_PART_LEFT_ARM,
                                       MOTION_PART_RIGHT_ARM, MOTION_PART_UPPER};
static const unsigned size_parts[] = {MOTION_PART_ARMS, MOTION_PART_UPPER,
                                      MOTION_PART_TORSO | MOTION_PART_HEAD,
                                      MOTION_PART_LEFT_LEG | MOTION_PART_RIGHT_LEG};

static unsigned one_of(const unsigned *parts, size_t bytes, me_rng *g)
{
    return parts[me_rng_below(g, (uint32_t)(bytes / sizeof *parts))];
}

/* All draws are made whatever comes of them, so that none depends on another step. */
me_code motion_augment(motion_clip *out, me_arena *arena, const motion_clip *in,
                       const motion_clip *donor, int64_t most, me_rng *g, me_err *err)
{
    const bool mirrored = me_rng_uniform(g) < MIRRORED, grafted = me_rng_uniform(g) < GRAFTED,
               resized = me_rng_uniform(g) < RESIZED;
    const unsigned graft = one_of(graft_parts, sizeof graft_parts, g),
                   size = one_of(size_parts, sizeof size_parts, g);
    const double scale = me_rng_range(g, SMALLEST, LARGEST);
    double speed = pow(FASTEST, me_rng_range(g, -1, 1));
    if (in->frames <= most && (double)in->frames > speed * (double)most)
        speed = (double)in->frames / (double)most;

    motion_clip now = *in;
    me_code code = ME_OK;
    if (grafted && donor) {
        const int64_t n = now.frames, ease = n / 8 < 10 ? n / 8 : 10;
        code = motion_edit_graft(&now, arena, in, donor, graft, 0, n, ease, err);
    }
    if (code == ME_OK && resized) {
        const motion_clip before = now;
        code = motion_edit_amplitude(&now, arena, &before, size, scale, err);
    }
    if (code == ME_OK && mirrored) {
        const motion_clip before = now;
        code = motion_edit_mirror(&now, arena, &before, err);
    }
    if (code == ME_OK) code = motion_edit_speed(out, arena, &now, speed, err);
    if (code == ME_OK) motion_canonicalise(out);
    return code;
}
