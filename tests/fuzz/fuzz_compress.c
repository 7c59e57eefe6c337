/* tests/fuzz/fuzz_compress.c: the six compressed streams, with an output cap. */
#include "core/compress.h"
#include "tests/fuzz/fuzz_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    me_bytes out;
    const char *compression = me_compression_of(data, size);
    if (compression &&
        me_decompress(&out, compression, data, size, (size_t)8 << 20, NULL) == ME_OK) {
        fuzz_sum(out.data, out.size);
        me_bytes_close(&out);
    }
    return 0;
}
