/* core/rng.h: the generators whose exact output matters, and the one that we use ourselves.
 *
 * me_mt is MT19937, seeded as NumPy's legacy generator seeds one integer or as CPython's `random`
 * seeds an integer (the array routine): the two differ (spec evaluation 5.3, 8). me_philox is the
 * counter-based Philox 4x32-10: the same stream on CPU and GPU, and any element can be computed
 * alone.
 */
#ifndef ME_CORE_RNG_H
#define ME_CORE_RNG_H

#include <stdint.h>

typedef struct me_mt {
    uint32_t state[624];
    int position;
} me_mt;

void me_mt_seed_numpy(me_mt *g, uint32_t seed);
void me_mt_seed_python(me_mt *g, uint64_t seed);
uint32_t me_mt_next(me_mt *g);
/* index = 0..n-1; np.random.seed(seed); np.random.shuffle(index) (spec evaluation 5.3). */
void me_numpy_shuffle(uint32_t seed, int64_t *index, int64_t n);
/* random.randrange(n), n > 0; random.randint(0, m) is me_python_randbelow(g, m + 1). */
uint32_t me_python_randbelow(me_mt *g, uint32_t n);
/* random.sample(range(n), k), k <= n: `out` gets k positions, `pool` is scratch of n. The legacy
 * test subset is this after me_mt_seed_python(g, 42); OmniME makes one randint(0, size - 2) for
 * each of its three data sets before (spec evaluation 8). */
void me_python_sample(me_mt *g, int64_t n, int64_t k, int64_t *out, int64_t *pool);

/* 4 words of block `counter` of stream (seed, site). In the words of Salmon et al. 2011 the key is
 * `seed` and the 128-bit counter is `site` above `counter`, low words first. */
static inline void me_philox(uint64_t seed, uint64_t site, uint64_t counter, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)site, c3 = (uint32_t)(site >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* A sequential view of a philox stream: what synth, bootstrap, shuffles and noise draw from. */
typedef struct me_rng {
    uint64_t seed, site, counter;
    uint32_t block[4];
    int used; /* of block; 4: empty */
} me_rng;

me_rng me_rng_make(uint64_t seed, uint64_t site);
uint32_t me_rng_u32(me_rng *g);
double me_rng_uniform(me_rng *g); /* [0,1), 53 bits */
double me_rng_range(me_rng *g, double lo, double hi);
uint32_t me_rng_below(me_rng *g, uint32_t n); /* unbiased */
double me_rng_normal(me_rng *g);              /* mean 0, variance 1; takes four words */
void me_rng_shuffle(me_rng *g, int64_t *index, int64_t n); /* the items as they stand */
uint64_t me_hash64(const void *data, uint64_t n,
                   uint64_t seed); /* for tables, not for provenance */

#endif
