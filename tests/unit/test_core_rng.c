/* The generators of others to the last draw (spec evaluation 5.3, 8 and 10.4), and the statistics
 * of ours. */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "core/rng.h"

Test(rng, numpys_integer_seed_gives_its_outputs)
{
    static const uint32_t expected[8] = {2357136044, 2546248239, 3071714933, 3626093760,
                                         2588848963, 3684848379, 2340255427, 3638918503};
    me_mt g;
    me_mt_seed_numpy(&g, 0);
    cr_assert_eq(g.state[0], 0);
    cr_assert_eq(g.state[1], 1);
    cr_assert_eq(g.state[2], 1812433255);
    cr_assert_eq(g.state[3], 1900727105);
    for (int i = 0; i < 8; i++) cr_assert_eq(me_mt_next(&g), expected[i]);
}

Test(rng, pythons_seed_goes_through_the_array_routine)
{
    static const uint32_t of_42[4] = {2746317213, 478163327, 107420369, 3184935163};
    static const uint32_t of_1234[4] = {4150886329, 3342196574, 1892932127, 501869158};
    /* random.seed(2**32 + 5); random.getrandbits(32): two words of key. */
    static const uint32_t of_two_words[2] = {675479763, 2085189291};
    /* random.seed(0) */
    static const uint32_t of_0[2] = {3626764237, 1654615998};
    me_mt g;
    me_mt_seed_python(&g, 42);
    for (int i = 0; i < 4; i++) cr_assert_eq(me_mt_next(&g), of_42[i]);
    me_mt_seed_python(&g, 1234);
    for (int i = 0; i < 4; i++) cr_assert_eq(me_mt_next(&g), of_1234[i]);
    me_mt_seed_python(&g, ((uint64_t)1 << 32) + 5);
    for (int i = 0; i < 2; i++) cr_assert_eq(me_mt_next(&g), of_two_words[i]);
    me_mt_seed_python(&g, 0);
    for (int i = 0; i < 2; i++) cr_assert_eq(me_mt_next(&g), of_0[i]);
}

/* Draws that the shuffle of n takes, counted beside it. */
static int draws_of_shuffle(int n)
{
    me_mt g;
    me_mt_seed_numpy(&g, 0);
    int draws = 0;
    for (uint32_t i = (uint32_t)n - 1; i >= 1; i--) {
        uint32_t mask = i;
        for (int s = 1; s < 32; s *= 2) mask |= mask >> s;
        do draws++;
        while ((me_mt_next(&g) & mask) > i);
    }
    return draws;
}

Test(rng, numpys_shuffle_is_the_references)
{
    static const struct {
        int n;
        int first[10], last[10], draws;
        int64_t sum;
    } rows[] = {
        {10, {2, 8, 4, 9, 1, 6, 7, 3, 0, 5}, {2, 8, 4, 9, 1, 6, 7, 3, 0, 5}, 12, 230},
        {32,
         {11, 22, 10, 2, 16, 14, 28, 26, 20, 13},
         {29, 19, 9, 7, 27, 3, 0, 21, 15, 12},
         44,
         7898},
        {33,
         {11, 20, 24, 17, 2, 25, 26, 16, 10, 32},
         {4, 18, 21, 19, 9, 7, 31, 27, 3, 0},
         44,
         8303},
        {74,
         {50, 54, 22, 43, 28, 26, 65, 51, 34, 7},
         {58, 12, 36, 21, 9, 70, 67, 64, 47, 44},
         98,
         97000},
        {100,
         {26, 86, 2, 55, 75, 93, 16, 73, 54, 95},
         {87, 36, 21, 83, 9, 96, 67, 64, 47, 44},
         138,
         257463},
        {196,
         {83, 12, 33, 113, 171, 134, 163, 124, 74, 18},
         {87, 36, 21, 9, 103, 67, 192, 117, 47, 172},
         269,
         1887557},
        {393,
         {113, 281, 68, 155, 329, 356, 229, 334, 186, 341},
         {211, 9, 359, 195, 251, 323, 192, 117, 47, 172},
         565,
         15174740},
        {506,
         {329, 371, 219, 403, 78, 15, 487, 340, 310, 102},
         {211, 9, 359, 195, 251, 323, 192, 117, 47, 172},
         684,
         32317018},
        {1013,
         {447, 311, 85, 548, 204, 358, 1, 818, 474, 299},
         {723, 9, 359, 707, 763, 835, 192, 629, 559, 684},
         1392,
         259173724},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        int n = rows[r].n;
        int64_t index[1013], sum = 0;
        me_numpy_shuffle(0, index, n);
        for (int i = 0; i < 10; i++) {
            cr_assert_eq(index[i], rows[r].first[i], "n = %d, position %d", n, i);
            cr_assert_eq(index[n - 10 + i], rows[r].last[i], "n = %d, position %d", n, n - 10 + i);
        }
        for (int i = 0; i < n; i++) sum += (i + 1) * index[i];
        cr_assert_eq(sum, rows[r].sum, "n = %d", n);
        cr_assert_eq(draws_of_shuffle(n), rows[r].draws, "n = %d", n);
    }
    int64_t one[1] = {7};
    me_numpy_shuffle(0, one, 0);
    cr_assert_eq(one[0], 7);
    me_numpy_shuffle(0, one, 1);
    cr_assert_eq(one[0], 0);
}

static void check_ends(const int64_t *out, int k, const int *first, const int *last, int n)
{
    for (int i = 0; i < n; i++) {
        cr_assert_eq(out[i], first[i], "position %d: %lld", i, (long long)out[i]);
        cr_assert_eq(out[k - n + i], last[i], "position %d: %lld", k - n + i,
                     (long long)out[k - n + i]);
    }
}

Test(rng, pythons_sample_draws_the_legacy_subsets)
{
    static const int first[10] = {654, 114, 25, 759, 281, 250, 228, 142, 754, 104};
    static const int last[10] = {336, 691, 933, 515, 359, 409, 892, 502, 431, 880};
    static const int omni_first[10] = {759, 281, 250, 228, 142, 754, 104, 692, 758, 913};
    static const int omni_last[10] = {336, 1005, 936, 515, 359, 409, 702, 502, 431, 883};
    static const int stance_first[5] = {327, 57, 12, 379, 140},
                     stance_last[5] = {168, 121, 388, 42, 248};
    static const uint32_t omni_sizes[3] = {5717, 5387, 330};
    int64_t sim[506], omni[506], pool[1013], sum = 0;
    me_mt g;

    me_mt_seed_python(&g, 42);
    me_python_sample(&g, 1013, 506, sim, pool);
    check_ends(sim, 506, first, last, 10);
    for (int i = 0; i < 506; i++) sum += sim[i];
    cr_assert_eq(sum, 258597);

    me_mt_seed_python(&g, 42);
    for (int i = 0; i < 3; i++)
        me_python_randbelow(&g, omni_sizes[i] - 1); /* randint(0, size - 2) */
    me_python_sample(&g, 1013, 506, omni, pool);
    check_ends(omni, 506, omni_first, omni_last, 10);
    int shared = 0;
    for (int i = 0; i < 506; i++)
        for (int j = 0; j < 506; j++) shared += sim[i] == omni[j];
    cr_assert_eq(shared, 426);

    me_mt_seed_python(&g, 42);
    me_python_sample(&g, 393, 196, sim, pool);
    check_ends(sim, 196, stance_first, stance_last, 5);
}

Test(rng, pythons_sample_takes_the_set_where_cpython_does)
{
    /* random.seed(7); random.sample(range(n), k): few of many draw with repetition and reject. */
    static const int few[5] = {331, 970, 154, 404, 666};
    static const int many[10] = {41, 19, 50, 83, 6, 9, 68, 12, 46, 74};
    static const int pool21[5] = {10, 4, 12, 1, 2}, set22[5] = {10, 4, 12, 20, 1};
    int64_t out[10], pool[1000];
    me_mt g;
    me_mt_seed_python(&g, 7);
    me_python_sample(&g, 1000, 5, out, pool);
    for (int i = 0; i < 5; i++) cr_assert_eq(out[i], few[i]);
    me_mt_seed_python(&g, 7);
    me_python_sample(&g, 86, 10, out, pool); /* 21 + 4^3 = 85 < 86 */
    for (int i = 0; i < 10; i++) cr_assert_eq(out[i], many[i]);
    me_mt_seed_python(&g, 7);
    me_python_sample(&g, 21, 5, out, pool);
    for (int i = 0; i < 5; i++) cr_assert_eq(out[i], pool21[i]);
    me_mt_seed_python(&g, 7);
    me_python_sample(&g, 22, 5, out, pool);
    for (int i = 0; i < 5; i++) cr_assert_eq(out[i], set22[i]);
    me_python_sample(&g, 0, 0, out, pool);
}

Test(rng, philox_gives_the_known_answers_of_random123)
{
    static const struct {
        uint64_t seed, site, counter;
        uint32_t out[4];
    } rows[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        /* key a4093822 299f31d0, counter 243f6a88 85a308d3 (ours) 13198a2e 03707344 (the site) */
        {0x299f31d0a4093822,
         0x0370734413198a2e,
         0x85a308d3243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int r = 0; r < 3; r++) {
        uint32_t out[4];
        me_philox(rows[r].seed, rows[r].site, rows[r].counter, out);
        for (int i = 0; i < 4; i++) cr_assert_eq(out[i], rows[r].out[i]);
    }
}

Test(rng, the_sequence_is_the_blocks_in_order)
{
    me_rng g = me_rng_make(5, 9);
    for (uint64_t block = 0; block < 3; block++) {
        uint32_t out[4];
        me_philox(5, 9, block, out);
        for (int i = 0; i < 4; i++) cr_assert_eq(me_rng_u32(&g), out[i]);
    }
    me_rng other = me_rng_make(5, 10), same = me_rng_make(5, 9);
    cr_assert_neq(me_rng_u32(&other), me_rng_u32(&same));
}

Test(rng, uniform_and_normal_have_their_moments)
{
    enum { N = 100000 };
    me_rng g = me_rng_make(1, 2);
    double sum = 0, squares = 0, lowest = 1, highest = 0;
    for (int i = 0; i < N; i++) {
        double x = me_rng_uniform(&g);
        sum += x;
        lowest = fmin(lowest, x);
        highest = fmax(highest, x);
    }
    cr_assert_float_eq(sum / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    cr_assert(lowest >= 0 && lowest < 1e-3 && highest < 1 && highest > 0.999);
    double fourth = 0;
    sum = 0;
    for (int i = 0; i < N; i++) {
        double x = me_rng_normal(&g);
        cr_assert(isfinite(x));
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    cr_assert_float_eq(sum / N, 0, 5 / sqrt(N));
    cr_assert_float_eq(squares / N, 1, 5 * sqrt(2.0 / N));
    cr_assert_float_eq(fourth / N, 3, 5 * sqrt(96.0 / N));
    for (int i = 0; i < 1000; i++) {
        double x = me_rng_range(&g, -3, -2);
        cr_assert(x >= -3 && x < -2);
    }
}

Test(rng, below_is_even_and_stays_below)
{
    enum { N = 60000 };
    me_rng g = me_rng_make(3, 0);
    int counts[6] = {0};
    for (int i = 0; i < N; i++) counts[me_rng_below(&g, 6)]++;
    for (int i = 0; i < 6; i++) cr_assert_float_eq(counts[i], N / 6.0, 5 * sqrt(N * 5.0 / 36));
    cr_assert_eq(me_rng_below(&g, 1), 0);
    /* Two thirds of the words make the low half without rejection; a biased draw gives it half as
     * often. */
    int low = 0;
    for (int i = 0; i < N; i++) low += me_rng_below(&g, 3u << 30) < 1u << 30;
    cr_assert_float_eq(low, N / 3.0, 5 * sqrt(N * 2.0 / 9));
}

Test(rng, a_shuffle_is_a_permutation_and_even)
{
    enum { N = 24000 };
    me_rng g = me_rng_make(4, 0);
    int counts[24] = {0};
    for (int i = 0; i < N; i++) {
        int64_t p[4] = {0, 1, 2, 3};
        me_rng_shuffle(&g, p, 4);
        unsigned seen = 0;
        for (int k = 0; k < 4; k++) seen |= 1u << p[k];
        cr_assert_eq(seen, 15);
        int rank = 0; /* Lehmer code */
        for (int k = 0; k < 4; k++) {
            int smaller = 0;
            for (int j = k + 1; j < 4; j++) smaller += p[j] < p[k];
            rank = rank * (4 - k) + smaller;
        }
        counts[rank]++;
    }
    for (int i = 0; i < 24; i++) cr_assert_float_eq(counts[i], N / 24.0, 5 * sqrt(N / 24.0));
}

Test(rng, hash64_depends_on_every_byte_the_length_and_the_seed)
{
    unsigned char data[40] = {0};
    for (size_t n = 1; n <= sizeof data; n++) {
        uint64_t plain = me_hash64(data, n, 0);
        cr_assert_neq(plain, me_hash64(data, n - 1, 0));
        cr_assert_neq(plain, me_hash64(data, n, 1));
        for (size_t i = 0; i < n; i++) {
            data[i] = 1;
            cr_assert_neq(plain, me_hash64(data, n, 0), "byte %zu of %zu", i, n);
            data[i] = 0;
        }
        cr_assert_eq(plain, me_hash64(data, n, 0));
    }
    unsigned char moved[41];
    memcpy(moved + 1, "the same bytes at an odd address", 32);
    cr_assert_eq(me_hash64("the same bytes at an odd address", 32, 9), me_hash64(moved + 1, 32, 9));
}
