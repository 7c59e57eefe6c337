/* Synthetic benchmarks: determinism, splits, sentences, that bodies move like bodies, that edits do
 * what they say, and that copying the source does not win. */
#include <criterion/criterion.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "motion/edits.h"
#include "motion/synth.h"
#include "motion/synth_priv.h"

static motion_dataset make(int64_t pairs, uint64_t seed)
{
    motion_synth_options o = motion_synth_defaults(pairs, seed);
    motion_dataset d;
    me_err err = {0};
    cr_assert_eq(motion_synth(&d, &o, NULL, &err), ME_OK, "%s", err.msg);
    return d;
}

static bool same_clip(const motion_clip *a, const motion_clip *b)
{
    return a->frames == b->frames &&
           !memcmp(a->pose, b->pose, (size_t)a->frames * MOTION_POSE * sizeof(float)) &&
           !memcmp(a->joints, b->joints, (size_t)a->frames * MOTION_JOINTS * 3 * sizeof(float));
}

static void expect_same(const motion_dataset *a, const motion_dataset *b, int64_t pairs)
{
    for (int64_t i = 0; i < pairs; i++) {
        cr_assert_str_eq(a->pairs[i].key, b->pairs[i].key);
        cr_assert_str_eq(a->pairs[i].text, b->pairs[i].text);
        cr_assert_eq(a->pairs[i].split, b->pairs[i].split);
        cr_assert(same_clip(&a->pairs[i].source, &b->pairs[i].source));
        cr_assert(same_clip(&a->pairs[i].target, &b->pairs[i].target));
    }
}

Test(synth, depends_on_the_seed_and_not_on_threads)
{
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    motion_dataset one = make(60, 5);
    omp_set_num_threads(3);
    motion_dataset three = make(60, 5), other = make(60, 6);
    omp_set_num_threads(threads);
    expect_same(&one, &three, 60);
    cr_expect(!same_clip(&one.pairs[0].source, &other.pairs[0].source));
    motion_dataset_close(&one);
    motion_dataset_close(&three);
    motion_dataset_close(&other);
}

Test(synth, a_longer_benchmark_begins_with_the_shorter_one)
{
    motion_dataset small = make(30, 9), large = make(80, 9);
    expect_same(&small, &large, 30);
    cr_expect_str_eq(large.pairs[79].key, "000079");
    motion_dataset_close(&small);
    motion_dataset_close(&large);
}

Test(synth, groups_stay_in_one_split_and_shares_are_kept)
{
    motion_dataset d = make(2000, 1);
    int64_t count[4] = {0};
    for (int64_t i = 0; i < d.n; i++) {
        count[d.pairs[i].split]++;
        cr_assert_eq(d.pairs[i].split, d.pairs[i - i % MOTION_SYNTH_GROUP].split);
    }
    cr_expect_eq(count[MOTION_TEST], 300);
    cr_expect_eq(count[MOTION_VAL], 100);
    cr_expect_eq(count[MOTION_TRAIN], 1600);
    cr_expect(d.has_split);
    cr_expect_str_eq(d.format, "synth");
    motion_dataset_close(&d);
}

Test(synth, refuses_what_it_cannot_make)
{
    motion_dataset d;
    me_err err = {0};
    motion_synth_options o = motion_synth_defaults(0, 1);
    cr_expect_eq(motion_synth(&d, &o, NULL, &err), ME_EUSAGE);
    o = motion_synth_defaults(4, 1);
    o.max_frames = 100000;
    err = (me_err){0};
    cr_expect_eq(motion_synth(&d, &o, NULL, &err), ME_EUSAGE);
    o = motion_synth_defaults(4, 1);
    o.test_share = 0.9;
    o.val_share = 0.2;
    err = (me_err){0};
    cr_expect_eq(motion_synth(&d, &o, NULL, &err), ME_EUSAGE);
    o = motion_synth_defaults(4, 1);
    o.max_frames = MOTION_SYNTH_SHORT - 1;
    err = (me_err){0};
    cr_expect_eq(motion_synth(&d, &o, NULL, &err), ME_EUSAGE);
    cr_expect(strstr(err.msg, "must have 55 to 600"), "%s", err.msg);
    o.pairs = 40;
    o.min_frames = o.max_frames = MOTION_SYNTH_LONG;
    err = (me_err){0};
    cr_expect_eq(motion_synth(&d, &o, NULL, &err), ME_EUSAGE);
    cr_expect(strstr(err.msg, "wider"), "%s", err.msg);
    cr_expect_eq(d.arena.total, 0);
}

Test(synth, finds_the_shortest_motions_of_any_seed)
{
    for (uint64_t seed = 0; seed < 5; seed++) {
        motion_dataset d;
        me_err err = {0};
        motion_synth_options o = motion_synth_defaults(400, seed);
        o.min_frames = 20;
        o.max_frames = MOTION_SYNTH_SHORT;
        o.no_joints = true;
        cr_assert_eq(motion_synth(&d, &o, NULL, &err), ME_OK, "%s", err.msg);
        for (int64_t i = 0; i < d.n; i++) {
            cr_assert_leq(d.pairs[i].source.frames, MOTION_SYNTH_SHORT);
            cr_assert_leq(d.pairs[i].target.frames, MOTION_SYNTH_SHORT);
        }
        motion_dataset_close(&d);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

Test(synth, sentences_are_many_and_whole)
{
    motion_dataset d = make(2000, 3);
    const char **texts = malloc((size_t)d.n * sizeof *texts);
    double words = 0;
    for (int64_t i = 0; i < d.n; i++) {
        const char *s = texts[i] = d.pairs[i].text;
        cr_assert(strlen(s) >= 6 && strlen(s) < 184, "%s", s);
        cr_assert(!strpbrk(s, "{}"), "%s", s);
        cr_assert(strlen(d.pairs[i].source_caption) > 5 && strlen(d.pairs[i].target_caption) < 319);
        cr_assert_null(strstr(d.pairs[i].target_caption, "your"));
        cr_assert(!strstr(s, "  ") && s[0] != ' ', "%s", s);
        words++;
        for (; *s; s++) words += *s == ' ';
    }
    qsort(texts, (size_t)d.n, sizeof *texts, by_text);
    int64_t distinct = 1;
    for (int64_t i = 1; i < d.n; i++) distinct += strcmp(texts[i], texts[i - 1]) != 0;
    cr_expect_gt(distinct, 1200, "%lld of %lld", (long long)distinct, (long long)d.n);
    cr_expect(words / (double)d.n > 4 && words / (double)d.n < 12, "%g words", words / (double)d.n);
    free(texts);
    motion_dataset_close(&d);
}

/* ---- bodies ---- */
static const float *joint(const motion_clip *c, int64_t t, int j)
{
    return c->joints + (t * MOTION_JOINTS + j) * 3;
}

static double distance(const float *a, const float *b, int dims)
{
    double s = 0;
    for (int i = 0; i < dims; i++)
        s += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(s);
}

static bool local_rotations_are_plausible(const motion_clip *c)
{
    for (int64_t t = 0; t < c->frames; t++)
        for (int j = 1; j < MOTION_JOINTS; j++) {
            double r[9], aa[3];
            motion_mat3_from_6d(r, c->pose + t * MOTION_POSE + 3 + 6 * j);
            motion_mat3_to_aa(aa, r);
            double angle = sqrt(aa[0] * aa[0] + aa[1] * aa[1] + aa[2] * aa[2]) / SYNTH_DEGREES;
            /* Knees bend backward alone, about X; elbows forward alone, about -Y left and +Y right.
             */
            if (j == 4 || j == 5) {
                if (aa[0] < -1e-3 || angle > 156 || fabs(aa[1]) + fabs(aa[2]) > 1e-3) return false;
            } else if (j == 18 || j == 19) {
                if ((j == 18 ? -aa[1] : aa[1]) < -0.02 || angle > 150) return false;
            } else if (j >= 16 && j <= 17) {
                if (angle > 180) return false;
            } else if (angle > (j == 7 || j == 8 ? 66 : j <= 2 ? 125 : 60))
                return false;
        }
    return true;
}

Test(synth, joints_stay_within_their_ranges)
{
    motion_dataset d = make(600, 11);
    int64_t bad = 0;
    for (int64_t i = 0; i < d.n; i++) {
        cr_assert(d.pairs[i].source.frames >= 40 && d.pairs[i].source.frames <= 200);
        bad += !local_rotations_are_plausible(&d.pairs[i].target);
        for (int64_t k = 0; k < d.pairs[i].target.frames * MOTION_POSE; k++)
            cr_assert(isfinite(d.pairs[i].target.pose[k]));
    }
    cr_expect_eq(bad, 0, "%lld of %lld", (long long)bad, (long long)d.n);
    motion_dataset_close(&d);
}

Test(synth, clips_are_canonical_and_joints_follow_the_pose)
{
    motion_dataset d = make(40, 2);
    for (int64_t i = 0; i < d.n; i++) {
        const motion_clip *c = &d.pairs[i].target;
        cr_assert_float_eq(motion_heading(c->pose), MOTION_CANONICAL_YAW, 1e-5);
        for (int k = 0; k < 3; k++) cr_assert_eq(c->pose[k], 0);
        float joints[MOTION_JOINTS * 3];
        int64_t last = c->frames - 1;
        motion_forward_kinematics(&motion_mean_body, c->pose + last * MOTION_POSE, 1, joints);
        for (int k = 0; k < MOTION_JOINTS * 3; k++)
            cr_assert_float_eq(joints[k], joint(c, last, 0)[k], 1e-5);
    }
    motion_dataset_close(&d);
}

/* Speed of the lower foot's toes along the floor while they stand on it, metres a second. */
static double skating(const motion_clip *c, double *share)
{
    double floor_z = 1e9, sum = 0;
    int64_t n = 0;
    for (int64_t t = 0; t < c->frames; t++)
        for (int j = 10; j <= 11; j++) floor_z = fmin(floor_z, (double)joint(c, t, j)[2]);
    for (int64_t t = 1; t < c->frames; t++) {
        int j = joint(c, t, 10)[2] < joint(c, t, 11)[2] ? 10 : 11;
        if ((double)joint(c, t, j)[2] > floor_z + 0.02) continue;
        sum += distance(joint(c, t, j), joint(c, t - 1, j), 2) * MOTION_FPS;
        n++;
    }
    *share = (double)n / (double)(c->frames - 1);
    return n ? sum / (double)n : 0;
}

Test(synth, feet_stay_where_they_stand)
{
    motion_dataset d = make(600, 12);
    double sum = 0, worst = 0, on_floor = 0;
    for (int64_t i = 0; i < d.n; i++) {
        double share, v = skating(&d.pairs[i].target, &share);
        sum += v;
        on_floor += share;
        worst = fmax(worst, v);
    }
    cr_log_info("skating: mean %.4f, worst clip %.4f m/s, on the floor %.2f", sum / (double)d.n,
                worst, on_floor / (double)d.n);
    cr_expect_lt(sum / (double)d.n, 0.03);
    cr_expect_lt(worst, 0.25);
    cr_expect_gt(on_floor / (double)d.n, 0.8);
    motion_dataset_close(&d);
}

Test(synth, nothing_jumps)
{
    motion_dataset d = make(600, 13);
    double fastest = 0, hardest = 0, mean_jerk = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < d.n; i++) {
        const motion_clip *c = &d.pairs[i].target;
        for (int64_t t = 3; t < c->frames; t++)
            for (int j = 0; j < MOTION_JOINTS; j++) {
                double jerk = 0, acceleration = 0;
                for (int k = 0; k < 3; k++) {
                    double p0 = (double)joint(c, t, j)[k], p1 = (double)joint(c, t - 1, j)[k],
                           p2 = (double)joint(c, t - 2, j)[k], p3 = (double)joint(c, t - 3, j)[k];
                    jerk += pow((p0 - 3 * p1 + 3 * p2 - p3) * 27000, 2);
                    acceleration += pow((p0 - 2 * p1 + p2) * 900, 2);
                }
                fastest =
                    fmax(fastest, distance(joint(c, t, j), joint(c, t - 1, j), 3) * MOTION_FPS);
                hardest = fmax(hardest, sqrt(acceleration));
                mean_jerk += sqrt(jerk);
                n++;
            }
    }
    cr_log_info("fastest joint %.1f m/s, acceleration %.0f m/s^2, mean jerk %.1f m/s^3", fastest,
                hardest, mean_jerk / (double)n);
    cr_expect_lt(fastest, 16);
    cr_expect_lt(hardest, 450);
    cr_expect_lt(mean_jerk / (double)n, 120);
    motion_dataset_close(&d);
}

/* ---- edits ---- */
static motion_clip perform(const synth_script *s, me_arena *arena)
{
    me_rng g = me_rng_make(3, 1);
    synth_person who = motion_synth_person_draw(&g);
    synth_take take = motion_synth_take_draw(&g);
    synth_plan plan;
    motion_synth_plan_make(&plan, s, &who, &take);
    synth_frame *frames = calloc((size_t)plan.frames, sizeof *frames);
    motion_clip clip;
    cr_assert_eq(motion_clip_new(&clip, arena, plan.frames, true, NULL), ME_OK);
    motion_synth_legs(frames, &plan);
    motion_synth_upper(frames, &plan);
    motion_synth_body(&clip, frames);
    free(frames);
    return clip;
}

static synth_script script_of(synth_kind kind, synth_side side, synth_direction direction)
{
    synth_action a = {
        .kind = kind, .side = side, .direction = direction, .reps = 2, .size = 1, .speed = 1};
    synth_script s = {.phases = 1, .lead = 0.3, .tail = 0.3};
    synth_track track = motion_synth_traits[kind].track;
    if (track == SYNTH_LEFT_ARM && side == SYNTH_RIGHT) track = SYNTH_RIGHT_ARM;
    s.phase[0].track[track] = a;
    return s;
}

/* Highest position of a joint over its height in the first frame. */
static double top(const motion_clip *c, int j)
{
    double best = -1e9;
    for (int64_t t = 0; t < c->frames; t++)
        best = fmax(best, (double)(joint(c, t, j)[2] - joint(c, 0, j)[2]));
    return best;
}

static double bottom(const motion_clip *c, int j)
{
    double best = 1e9;
    for (int64_t t = 0; t < c->frames; t++)
        best = fmin(best, (double)(joint(c, t, j)[2] - joint(c, 0, j)[2]));
    return best;
}

Test(synth, size_is_height)
{
    me_arena arena = {0};
    synth_script s = script_of(SYNTH_RAISE, SYNTH_LEFT, SYNTH_FORWARD), big = s;
    big.phase[0].track[SYNTH_LEFT_ARM].size = 1.5;
    cr_expect_gt(top((motion_clip[]){perform(&big, &arena)}, 20),
                 top((motion_clip[]){perform(&s, &arena)}, 20) + 0.2);
    s = big = script_of(SYNTH_KICK, SYNTH_RIGHT, SYNTH_FORWARD);
    big.phase[0].track[SYNTH_LEGS].size = 1.4;
    cr_expect_gt(top((motion_clip[]){perform(&big, &arena)}, 8),
                 top((motion_clip[]){perform(&s, &arena)}, 8) + 0.15);
    s = big = script_of(SYNTH_SQUAT, SYNTH_LEFT, SYNTH_FORWARD);
    big.phase[0].track[SYNTH_LEGS].size = 1.4;
    cr_expect_lt(bottom((motion_clip[]){perform(&big, &arena)}, 0),
                 bottom((motion_clip[]){perform(&s, &arena)}, 0) - 0.08);
    s = big = script_of(SYNTH_JUMP, SYNTH_LEFT, SYNTH_UP);
    big.phase[0].track[SYNTH_LEGS].size = 1.4;
    cr_expect_gt(top((motion_clip[]){perform(&big, &arena)}, 0),
                 top((motion_clip[]){perform(&s, &arena)}, 0) + 0.1);
    me_arena_release(&arena);
}

Test(synth, speed_shortens_and_repetitions_lengthen)
{
    me_arena arena = {0};
    for (int kind = 1; kind < SYNTH_KINDS; kind++) {
        synth_script s = script_of((synth_kind)kind, SYNTH_LEFT, SYNTH_FORWARD), fast = s, more = s;
        synth_track track = motion_synth_traits[kind].track;
        fast.phase[0].track[track].speed = 1.8;
        more.phase[0].track[track].reps = 4;
        int64_t usual = perform(&s, &arena).frames;
        cr_expect_lt(perform(&fast, &arena).frames, usual - 5, "kind %d", kind);
        if (motion_synth_traits[kind].has & SYNTH_HAS_REPS)
            cr_expect_gt(perform(&more, &arena).frames, usual + 5, "kind %d", kind);
    }
    me_arena_release(&arena);
}

Test(synth, directions_and_sides_are_kept)
{
    me_arena arena = {0};
    /* Yaw pi/4: forward is (sin, -cos), left is (cos, sin). */
    for (int way = SYNTH_FORWARD; way <= SYNTH_TO_RIGHT; way++) {
        synth_script s = script_of(SYNTH_WALK, SYNTH_LEFT, (synth_direction)way);
        motion_clip c = perform(&s, &arena);
        const float *end = c.pose + (c.frames - 1) * MOTION_POSE;
        double ahead = ((double)end[0] - (double)end[1]) * sqrt(0.5),
               left = ((double)end[0] + (double)end[1]) * sqrt(0.5);
        double along = way == SYNTH_FORWARD    ? ahead
                       : way == SYNTH_BACKWARD ? -ahead
                       : way == SYNTH_TO_LEFT  ? left
                                               : -left;
        cr_expect_gt(along, 0.25, "way %d: %g", way, along);
    }
    for (int side = 0; side < 2; side++) {
        synth_script s = script_of(SYNTH_TURN, (synth_side)side, SYNTH_FORWARD);
        motion_clip c = perform(&s, &arena);
        double turned =
            motion_heading(c.pose + (c.frames - 1) * MOTION_POSE) - MOTION_CANONICAL_YAW;
        cr_expect_float_eq(side == SYNTH_LEFT ? turned : -turned, MOTION_PI / 2, 0.2);
        s = script_of(SYNTH_RAISE, (synth_side)side, SYNTH_UP);
        c = perform(&s, &arena);
        cr_expect_gt(top(&c, 20 + side), 1.0);
        cr_expect_lt(top(&c, 21 - side), 0.1);
    }
    me_arena_release(&arena);
}

Test(synth, every_edit_changes_the_script_and_its_inverse_reads_backward)
{
    me_rng g = me_rng_make(8, 0);
    int done[SYNTH_EDITS] = {0};
    for (int i = 0; i < 2000; i++) {
        synth_script before, after;
        synth_edit edit;
        motion_synth_script_draw(&before, &g);
        synth_edit_kind kind = (synth_edit_kind)(i % SYNTH_EDITS);
        if (!motion_synth_edit_apply(&after, &edit, &before, kind, &g)) continue;
        done[kind]++;
        cr_assert_neq(memcmp(&before, &after, sizeof before), 0, "%s",
                      motion_synth_edit_names[kind]);
        char there[192], back[192];
        synth_edit inverse = motion_synth_edit_inverse(&edit);
        motion_synth_text(there, sizeof there, &edit, &before, &after, &g);
        motion_synth_text(back, sizeof back, &inverse, &after, &before, &g);
        cr_assert(strlen(there) > 4 && strlen(back) > 4);
    }
    for (int k = 0; k < SYNTH_EDITS; k++)
        cr_expect_gt(done[k], 20, "%s", motion_synth_edit_names[k]);
}

/* ---- balance ---- */
enum { SAMPLES = 24, WIDTH = SAMPLES * (MOTION_JOINTS * 3 + 3) + 1 };

/* Joints about the pelvis and the pelvis' way at SAMPLES moments, and the length: a plain
 * description. */
static void describe(float *out, const motion_clip *c)
{
    for (int s = 0; s < SAMPLES; s++) {
        int64_t t = s * (c->frames - 1) / (SAMPLES - 1);
        for (int j = 0; j < MOTION_JOINTS; j++)
            for (int k = 0; k < 3; k++) *out++ = joint(c, t, j)[k] - joint(c, t, 0)[k];
        for (int k = 0; k < 3; k++) *out++ = joint(c, t, 0)[k];
    }
    *out = (float)c->frames * 0.05F;
}

/* Share of the queries (targets) whose own pair's item is first in the gallery, batches of `batch`.
 */
static double first_share(const float *query, const float *gallery, const int64_t *order, int64_t n,
                          int64_t batch)
{
    int64_t first = 0, all = 0;
    for (int64_t b = 0; b + batch <= n; b += batch)
        for (int64_t i = b; i < b + batch; i++, all++) {
            double own = distance(query + order[i] * WIDTH, gallery + order[i] * WIDTH, WIDTH);
            int64_t nearer = 0, ties = 0;
            for (int64_t k = b; k < b + batch; k++) {
                double d = distance(query + order[i] * WIDTH, gallery + order[k] * WIDTH, WIDTH);
                nearer += d < own;
                ties += k != i && d == own;
            }
            first += (double)nearer + 0.5 * (double)ties < 1;
        }
    return (double)first / (double)all;
}

Test(synth, copying_the_source_does_not_win)
{
    motion_dataset d = make(960, 21);
    float *source = malloc((size_t)d.n * WIDTH * sizeof *source),
          *target = malloc((size_t)d.n * WIDTH * sizeof *target);
    int64_t order[960];
    for (int64_t i = 0; i < d.n; i++) {
        describe(source + i * WIDTH, &d.pairs[i].source);
        describe(target + i * WIDTH, &d.pairs[i].target);
        order[i] = i;
    }
    double copy = first_share(target, source, order, d.n, d.n),
           ideal = first_share(target, target, order, d.n, d.n);
    me_rng g = me_rng_make(1, 1);
    me_rng_shuffle(&g, order, d.n);
    double copy32 = first_share(target, source, order, d.n, 32);
    cr_log_info("R@1 of copy-source: %.3f among all, %.3f in batches of 32; of the targets %.3f",
                copy, copy32, ideal);
    cr_expect_gt(ideal, 0.999);
    cr_expect_lt(copy, 0.25);
    cr_expect_lt(copy32, 0.8);
    free(source);
    free(target);
    motion_dataset_close(&d);
}
