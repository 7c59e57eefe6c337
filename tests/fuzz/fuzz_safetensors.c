/* tests/fuzz/fuzz_safetensors.c: the header and the places of tensors. */
#include "core/safetensors.h"
#include "tests/fuzz/fuzz_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    me_arena arena = {.limit = (size_t)256 << 20};
    me_value *tensors, *metadata;
    if (me_safetensors_parse(&tensors, &metadata, &arena, data, size, NULL) == ME_OK) {
        fuzz_walk(tensors);
        if (metadata) fuzz_walk(metadata);
    }
    me_arena_release(&arena);
    return 0;
}
