/* tests/unit/tmr_data.h: small random encoders and motions for the tests of tmr/. */
#ifndef TESTS_TMR_DATA_H
#define TESTS_TMR_DATA_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "nn/backend.h"
#include "tmr/embed.h"
#include "tmr/weights.h"

static inline nn_backend *open_cpu(int threads)
{
    nn_backend *be = NULL;
    me_err err = {0};
    cr_assert_eq(nn_backend_open(&be, "cpu", threads, &err), ME_OK, "%s", err.msg);
    return be;
}

static inline void open_random_encoder(tmr_encoder *e, nn_backend *be)
{
    me_err err = {0};
    cr_assert_eq(tmr_open(e, "random:5", be, &err), ME_OK, "%s", err.msg);
}

/* A clip near the identity pose that drifts. */
static inline float *random_pose(me_arena *arena, int64_t frames, uint64_t seed)
{
    float *pose = ME_NEW_ARRAY(arena, frames * MOTION_POSE, float);
    me_rng g = me_rng_make(seed, 0);
    for (int64_t i = 0; i < frames * MOTION_POSE; i++) {
        int c = (int)(i % MOTION_POSE);
        double base = c >= 3 && ((c - 3) % 6 == 0 || (c - 3) % 6 == 4);
        pose[i] = (float)(base + 0.2 * me_rng_normal(&g));
    }
    return pose;
}

#endif
