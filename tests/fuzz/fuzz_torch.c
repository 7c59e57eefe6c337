/* tests/fuzz/fuzz_torch.c: PyTorch's zip and legacy containers. */
#include "tests/fuzz/fuzz_document.h"
