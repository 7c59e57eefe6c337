/* tests/fuzz/fuzz_pickle.c: the unpickler, protocols 0 to 5. */
#include "core/pickle.h"
#include "tests/fuzz/fuzz_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    me_arena arena = {.limit = (size_t)256 << 20};
    me_value *root;
    if (me_pickle_read(&root, NULL, &arena, data, size, 0, NULL) == ME_OK) fuzz_walk(root);
    me_arena_release(&arena);
    return 0;
}
