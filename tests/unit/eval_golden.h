/* tests/unit/eval_golden.h: the portable end-to-end case of spec evaluation 10.7, made from an
 * integer hash: 40 pairs with shared targets, an encoder of six layers, generations of other
 * lengths, one stray file. Everything is written in users' forms into a folder of its own. */
#ifndef TESTS_EVAL_GOLDEN_H
#define TESTS_EVAL_GOLDEN_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/npy.h"
#include "core/pickle.h"
#include "eval/run.h"
#include "nn/backend.h"
#include "tests/unit/folder.h"
#include "tmr/weights.h"

enum { GOLDEN_ITEMS = 40, GOLDEN_STREAM = 40 };

typedef struct golden {
    char folder[FOLDER_PATH]; /* removed by golden_close */
    char dataset[96], samples[96], tmr[96];
    me_arena arena;
    float mean[MOTION_POSE], std[MOTION_POSE];
} golden;

static inline double golden_u(uint32_t k, uint32_t i)
{
    uint32_t h = i * 2654435761u + (k + 1) * 0x9E3779B9u;
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return (double)h / 4294967296.0;
}

static inline float *golden_s(me_arena *arena, uint32_t k, int64_t n, double s, double o)
{
    float *out = ME_NEW_ARRAY(arena, n, float);
    for (int64_t i = 0; i < n; i++) out[i] = (float)((golden_u(k, (uint32_t)i) - 0.5) * 2 * s + o);
    return out;
}

static inline int golden_target(int i)
{
    return i == 5 ? 3 : i >= 9 && i <= 11 ? 8 : i;
}
static inline int golden_source_frames(int i)
{
    return 20 + 7 * i % 15;
}
static inline int golden_target_frames(int i)
{
    return 20 + 5 * golden_target(i) % 13;
}
static inline int golden_frames(int i)
{
    return golden_target_frames(i) + i % 3 - 1;
}

static inline const char *golden_key(golden *g, int i)
{
    return me_arena_printf(&g->arena, "%06d", 37 * i % 1000);
}

static inline me_value *golden_motion(golden *g, const float *rots, const float *trans, int frames)
{
    me_value *m = me_value_new(&g->arena, ME_DICT);
    me_dict_put(&g->arena, m, "rots",
                me_value_array(&g->arena, ME_F32, 2, (int64_t[]){frames, 66}, rots), NULL);
    me_dict_put(&g->arena, m, "trans",
                me_value_array(&g->arena, ME_F32, 2, (int64_t[]){frames, 3}, trans), NULL);
    return m;
}

static inline void golden_write_dataset(golden *g)
{
    me_arena *a = &g->arena;
    me_value *root = me_value_new(a, ME_DICT);
    for (int i = 0; i < GOLDEN_ITEMS; i++) {
        const int ls = golden_source_frames(i), lt = golden_target_frames(i);
        const uint32_t u = (uint32_t)i, j = (uint32_t)golden_target(i);
        me_value *item = me_value_new(a, ME_DICT);
        me_dict_put(a, item, "motion_source",
                    golden_motion(g, golden_s(a, 1000 + u, ls * 66, 0.6, 0),
                                  golden_s(a, 2000 + u, ls * 3, 0.1, 0), ls),
                    NULL);
        me_dict_put(a, item, "motion_target",
                    golden_motion(g, golden_s(a, 3000 + j, lt * 66, 0.6, 0),
                                  golden_s(a, 4000 + j, lt * 3, 0.1, 0), lt),
                    NULL);
        me_dict_put(a, item, "text", me_value_string(a, "do it"), NULL);
        me_dict_put(a, root, golden_key(g, i), item, NULL);
    }
    me_err err = {0};
    cr_assert_eq(me_joblib_write(g->dataset, root, &err), ME_OK, "%s", err.msg);
}

/* The generated pose of item i; `limit` cuts it. */
static inline float *golden_pose(golden *g, int i, int *frames, int limit)
{
    me_arena *a = &g->arena;
    const int m = i == 7 ? 6 : i;
    const uint32_t j = (uint32_t)golden_target(m);
    *frames = golden_frames(m) < limit ? golden_frames(m) : limit;
    const float *rots = golden_s(a, 3000 + j, GOLDEN_STREAM * 66, 0.6, 0);
    const float *trans = golden_s(a, 4000 + j, GOLDEN_STREAM * 3, 0.1, 0);
    float *pose = golden_s(a, 5000 + (uint32_t)m, golden_frames(m) * MOTION_POSE, 0.35, 0);
    for (int t = 0; t < *frames; t++) {
        float row[MOTION_POSE];
        memcpy(row, trans + 3 * t, 3 * sizeof *row);
        for (int joint = 0; joint < MOTION_JOINTS; joint++)
            motion_aa_to_6d(rots + 66 * t + 3 * joint, row + 3 + 6 * joint);
        for (int c = 0; c < MOTION_POSE; c++) pose[t * MOTION_POSE + c] += row[c];
    }
    return pose;
}

static inline void golden_write_sample(golden *g, const char *key, const float *pose, int frames)
{
    const motion_clip clip = {.frames = frames, .pose = (float *)pose};
    me_err err = {0};
    cr_assert_eq(motion_sample_write_npy(g->samples, key, &clip, "do it", &err), ME_OK, "%s",
                 err.msg);
}

/* Files of the first n items in the order of their names; 0: all. */
static inline void golden_write_samples(golden *g, int limit)
{
    int frames = 0;
    for (int i = 0; i < GOLDEN_ITEMS; i++) {
        float *pose = golden_pose(g, i, &frames, limit);
        golden_write_sample(g, golden_key(g, i), pose, frames);
    }
    golden_write_sample(g, "999999", golden_pose(g, 0, &frames, limit), frames);
}

static inline void golden_put(golden *g, me_value *state, uint32_t *k, const char *name,
                              int64_t rows, int64_t columns, double s, double o)
{
    float *data = golden_s(&g->arena, (*k)++, rows * (columns ? columns : 1), s, o);
    me_value *v =
        me_value_array(&g->arena, ME_F32, columns ? 2 : 1, (int64_t[]){rows, columns}, data);
    me_dict_put(&g->arena, state, name, v, NULL);
}

static inline me_value *golden_state(golden *g)
{
    me_value *state = me_value_new(&g->arena, ME_DICT);
    uint32_t k = 0;
    golden_put(g, state, &k, "tokens", 2, 256, 1.0, 0);
    golden_put(g, state, &k, "projection.weight", 256, 135, 0.15, 0);
    golden_put(g, state, &k, "projection.bias", 256, 0, 0.05, 0);
    static const struct {
        const char *name;
        int rows, columns;
        double s, o;
    } tensors[] = {
        {"self_attn.in_proj_weight", 768, 256, 0.1, 0},
        {"self_attn.in_proj_bias", 768, 0, 0.05, 0},
        {"self_attn.out_proj.weight", 256, 256, 0.1, 0},
        {"self_attn.out_proj.bias", 256, 0, 0.05, 0},
        {"linear1.weight", 1024, 256, 0.1, 0},
        {"linear1.bias", 1024, 0, 0.05, 0},
        {"linear2.weight", 256, 1024, 0.05, 0},
        {"linear2.bias", 256, 0, 0.05, 0},
        {"norm1.weight", 256, 0, 0.2, 1},
        {"norm1.bias", 256, 0, 0.05, 0},
        {"norm2.weight", 256, 0, 0.2, 1},
        {"norm2.bias", 256, 0, 0.05, 0},
    };
    for (int l = 0; l < 6; l++)
        for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
            golden_put(
                g, state, &k,
                me_arena_printf(&g->arena, "seqTransEncoder.layers.%d.%s", l, tensors[i].name),
                tensors[i].rows, tensors[i].columns, tensors[i].s, tensors[i].o);
    return state;
}

static inline void golden_write_tmr(golden *g)
{
    memcpy(g->mean, golden_s(&g->arena, 200, MOTION_POSE, 0.1, 0), sizeof g->mean);
    for (uint32_t i = 0; i < MOTION_POSE; i++) g->std[i] = (float)(0.2 + 0.5 * golden_u(201, i));
    nn_backend *be = NULL;
    tmr_encoder e;
    me_err err = {0};
    cr_assert_eq(nn_backend_open(&be, "cpu", 1, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(tmr_open_state(&e, golden_state(g), "", 4, g->mean, g->std, be, &err), ME_OK, "%s",
                 err.msg);
    e.source = "golden";
    e.statistics = "golden";
    cr_assert_eq(tmr_write(g->tmr, &e, &err), ME_OK, "%s", err.msg);
    tmr_close(&e);
    nn_backend_close(be);
}

static inline void golden_open(golden *g, int limit)
{
    *g = (golden){0};
    me_arena_init(&g->arena);
    folder_make(g->folder);
    snprintf(g->dataset, sizeof g->dataset, "%s/motionfix_test.pth.tar", g->folder);
    snprintf(g->samples, sizeof g->samples, "%s/samples", g->folder);
    snprintf(g->tmr, sizeof g->tmr, "%s/tmr.safetensors", g->folder);
    cr_assert_eq(me_make_directories(g->samples, NULL), ME_OK);
    golden_write_dataset(g);
    golden_write_samples(g, limit);
    golden_write_tmr(g);
}

static inline void golden_close(golden *g)
{
    folder_remove(g->folder);
    me_arena_release(&g->arena);
}

static inline eval_options golden_options(const golden *g)
{
    eval_options o = eval_options_default();
    o.dataset = g->dataset;
    o.generated = g->samples;
    o.tmr = g->tmr;
    o.device = "cpu";
    o.resamples = 0;
    o.other_shuffles = 0;
    o.baselines = false;
    return o;
}

#endif
