/* core/rng.c: see rng.h. Not here: the noise of nn/, which calls me_philox on each device itself.
 */
#include "core/rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- MT19937 (Matsumoto and Nishimura 1998)
 * ------------------------------------------------------ */

void me_mt_seed_numpy(me_mt *g, uint32_t seed)
{
    g->state[0] = seed;
    for (uint32_t k = 1; k < 624; k++) {
        uint32_t last = g->state[k - 1];
        g->state[k] = 1812433253u * (last ^ (last >> 30)) + k;
    }
    g->position = 624;
}

void me_mt_seed_python(me_mt *g, uint64_t seed)
{
    /* CPython splits the integer into 32-bit words, lowest first, without leading zero words. */
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t words = key[1] ? 2 : 1;
    me_mt_seed_numpy(g, 19650218u);
    uint32_t *mt = g->state, i = 1, j = 0;
    for (int k = 0; k < 624; k++) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1664525u)) + key[j] + j;
        if (++i == 624) {
            mt[0] = mt[623];
            i = 1;
        }
        j = (j + 1) % words;
    }
    for (int k = 0; k < 623; k++) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1566083941u)) - i;
        if (++i == 624) {
            mt[0] = mt[623];
            i = 1;
        }
    }
    mt[0] = 0x80000000u;
    g->position = 624;
}

static void mt_twist(me_mt *g)
{
    uint32_t *mt = g->state;
    for (int k = 0; k < 624; k++) {
        uint32_t y = (mt[k] & 0x80000000u) | (mt[(k + 1) % 624] & 0x7fffffffu);
        mt[k] = mt[(k + 397) % 624] ^ (y >> 1) ^ ((y & 1) ? 0x9908b0dfu : 0);
    }
    g->position = 0;
}

uint32_t me_mt_next(me_mt *g)
{
    if (g->position >= 624) mt_twist(g);
    uint32_t y = g->state[g->position++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static void swap(int64_t *a, int64_t *b)
{
    int64_t t = *a;
    *a = *b;
    *b = t;
}

void me_numpy_shuffle(uint32_t seed, int64_t *index, int64_t n)
{
    assert(n >= 0 && n <= (int64_t)UINT32_MAX);
    me_mt g;
    me_mt_seed_numpy(&g, seed);
    for (int64_t i = 0; i < n; i++) index[i] = i;
    for (int64_t i = n - 1; i >= 1; i--) {
        uint32_t mask = UINT32_MAX >> __builtin_clz((uint32_t)i), v;
        do v = me_mt_next(&g) & mask;
        while (v > i);
        swap(&index[i], &index[v]);
    }
}

/* ---- CPython's random
 * ---------------------------------------------------------------------------- */

uint32_t me_python_randbelow(me_mt *g, uint32_t n)
{
    assert(n > 0);
    int shift = __builtin_clz(n); /* 32 - n.bit_length() */
    uint32_t r;
    do r = me_mt_next(g) >> shift;
    while (r >= n);
    return r;
}

/* CPython takes the pool while it is smaller than the set that it would build: 21 slots, and above
 * five picks the power of four that holds 3k. 3k is never a power of four itself, so integers
 * decide alike. */
static int sample_uses_pool(int64_t n, int64_t k)
{
    int64_t set_size = 21;
    if (k > 5) {
        int64_t power = 1;
        while (power < 3 * k) power *= 4;
        set_size += power;
    }
    return n <= set_size;
}

void me_python_sample(me_mt *g, int64_t n, int64_t k, int64_t *out, int64_t *pool)
{
    assert(0 <= k && k <= n && n <= (int64_t)UINT32_MAX);
    if (sample_uses_pool(n, k)) {
        for (int64_t i = 0; i < n; i++) pool[i] = i;
        for (int64_t i = 0; i < k; i++) {
            uint32_t j = me_python_randbelow(g, (uint32_t)(n - i));
            out[i] = pool[j];
            pool[j] = pool[n - i - 1];
        }
        return;
    }
    memset(pool, 0, (size_t)n * sizeof *pool); /* pool[j]: j was taken */
    for (int64_t i = 0; i < k; i++) {
        uint32_t j;
        do j = me_python_randbelow(g, (uint32_t)n);
        while (pool[j]);
        pool[j] = 1;
        out[i] = j;
    }
}

/* ---- philox as a sequence
 * ------------------------------------------------------------------------ */

me_rng me_rng_make(uint64_t seed, uint64_t site)
{
    return (me_rng){.seed = seed, .site = site, .used = 4};
}

uint32_t me_rng_u32(me_rng *g)
{
    if (g->used >= 4) {
        me_philox(g->seed, g->site, g->counter++, g->block);
        g->used = 0;
    }
    return g->block[g->used++];
}

double me_rng_uniform(me_rng *g)
{
    uint32_t a = me_rng_u32(g) >> 5, b = me_rng_u32(g) >> 6;
    return (a * 67108864.0 + b) * 0x1p-53;
}

double me_rng_range(me_rng *g, double lo, double hi)
{
    return lo + (hi - lo) * me_rng_uniform(g);
}

uint32_t me_rng_below(me_rng *g, uint32_t n)
{
    assert(n > 0);
    /* Lemire 2019: the high word of a product, rejecting the 2^32 mod n low words that would bias
     * it. */
    uint64_t product = (uint64_t)me_rng_u32(g) * n;
    if ((uint32_t)product < n) {
        uint32_t threshold = -n % n;
        while ((uint32_t)product < threshold) product = (uint64_t)me_rng_u32(g) * n;
    }
    return (uint32_t)(product >> 32);
}

double me_rng_normal(me_rng *g)
{
    /* Box-Muller. The second value is dropped: a draw then always takes four words and keeps no
     * state. */
    const double tau = 6.283185307179586;
    double u = 1.0 - me_rng_uniform(g),
           v = me_rng_uniform(g); /* u in (0,1]: its logarithm is finite */
    return sqrt(-2.0 * log(u)) * cos(tau * v);
}

void me_rng_shuffle(me_rng *g, int64_t *index, int64_t n)
{
    assert(n <= (int64_t)UINT32_MAX);
    for (int64_t i = n - 1; i >= 1; i--) swap(&index[i], &index[me_rng_below(g, (uint32_t)i + 1)]);
}

/* ---- hashing for tables
 * -------------------------------------------------------------------------- */

/* The finaliser of MurmurHash3: every bit of the input reaches every bit of the output. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
    return x ^ (x >> 33);
}

uint64_t me_hash64(const void *data, uint64_t n, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t h = mix(seed + 0x9e3779b97f4a7c15ull) ^ mix(n);
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = mix(h ^ word) + 0x9e3779b97f4a7c15ull;
    }
    if (n) {
        uint64_t word = 0;
        memcpy(&word, p, n);
        h = mix(h ^ word);
    }
    return h;
}
