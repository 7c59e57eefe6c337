/* core/hash.h: SHA-256, for provenance. */
#ifndef ME_CORE_HASH_H
#define ME_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct me_sha256 {
    uint32_t h[8];
    uint64_t length;
    unsigned char block[64];
} me_sha256;

void me_sha256_init(me_sha256 *s);
void me_sha256_add(me_sha256 *s, const void *data, size_t size);
void me_sha256_hex(me_sha256 *s, char out[65]);
void me_sha256_of(const void *data, size_t size, char out[65]);

#endif
