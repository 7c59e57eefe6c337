/* SHA-256 against FIPS 180-4's examples, at every length around a block, by both implementations.
 */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

static void hashes_to(const char *data, size_t size, const char *expected)
{
    char hex[65];
    me_sha256_of(data, size, hex);
    cr_assert_str_eq(hex, expected);
}

Test(hash, the_examples_of_the_standard_hold)
{
    hashes_to("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hashes_to("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hashes_to("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

Test(hash, a_million_letters_in_uneven_pieces)
{
    char piece[1000], hex[65];
    memset(piece, 'a', sizeof piece);
    me_sha256 s;
    me_sha256_init(&s);
    size_t left = 1000000;
    for (size_t n = 0; left; n = (n * 7 + 13) % sizeof piece) {
        size_t take = n < left ? n : left;
        me_sha256_add(&s, piece, take);
        left -= take;
    }
    me_sha256_hex(&s, hex);
    cr_assert_str_eq(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

Test(hash, the_plain_code_and_the_processors_agree_at_every_length)
{
    unsigned char data[300];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 31 + 7);
    for (size_t n = 0; n <= sizeof data; n++) {
        char fast[65], plain[65], split[65];
        me_sha256_of(data, n, fast);
        me_sha256 s;
        me_sha256_init(&s);
        s.has_instructions = 0;
        me_sha256_add(&s, data, n);
        me_sha256_hex(&s, plain);
        cr_assert_str_eq(fast, plain, "%zu bytes", n);
        me_sha256_init(&s);
        me_sha256_add(&s, data, n / 3);
        me_sha256_add(&s, data + n / 3, n - n / 3);
        me_sha256_hex(&s, split);
        cr_assert_str_eq(fast, split, "%zu bytes", n);
    }
}
