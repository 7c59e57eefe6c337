/* core/hash.h: SHA-256, for provenance.
 *
 * me_sha256_init, any number of me_sha256_add, one me_sha256_hex, which ends the stream: the state
 * is used up and must be initialised again. me_sha256_of does the three for bytes in memory.
 */
#ifndef ME_CORE_HASH_H
#define ME_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct me_sha256 {
    uint32_t h[8];
    uint64_t length; /* bytes so far */
    unsigned char block[64];
    int has_instructions; /* the processor hashes by itself */
} me_sha256;

void me_sha256_init(me_sha256 *s);
void me_sha256_add(me_sha256 *s, const void *data, size_t size);
void me_sha256_hex(me_sha256 *s, char out[65]); /* 64 lower-case digits and a NUL */
void me_sha256_of(const void *data, size_t size, char out[65]);

#endif
