/* tests/fuzz/fuzz_joblib.c: joblib's dumps, tensors in blobs and raw arrays. */
#include "tests/fuzz/fuzz_document.h"
