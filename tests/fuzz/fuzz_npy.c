/* tests/fuzz/fuzz_npy.c: NumPy's array files, objects included. */
#include "core/npy.h"
#include "tests/fuzz/fuzz_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    me_arena arena = {.limit = (size_t)256 << 20};
    me_value *root;
    if (me_npy_parse(&root, &arena, data, size, NULL) == ME_OK) fuzz_walk(root);
    me_arena_release(&arena);
    return 0;
}
