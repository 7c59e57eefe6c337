/* tests/fuzz/fuzz_npz.c: zips of NumPy arrays. */
#include "tests/fuzz/fuzz_document.h"
