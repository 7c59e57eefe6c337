/* nn/backend.c: which back ends there are and which one a run uses. The only place that knows how
 * this program was built.
 */
#include "nn/backend.h"

#include <stdlib.h>
#include <string.h>

#ifndef NN_WITH_CUDA
me_code nn_cuda_open(nn_backend **out, int device, me_err *err)
{
    (void)device;
    *out = NULL;
    return me_fail(err, ME_EDEVICE,
                   "this mebench was built without CUDA (install nvcc and build again, or name it: "
                   "make NVCC=/usr/local/cuda/bin/nvcc)");
}
#endif

/* The number after "cuda:", or false. */
static bool parse_device(const char *text, int *device)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || *text < '0' || *text > '9' || n > 1023) return false;
    *device = (int)n;
    return true;
}

me_code nn_backend_open(nn_backend **out, const char *device, int threads, me_err *err)
{
    int number = 0;
    *out = NULL;
    if (!device || !strcmp(device, "auto")) {
        if (nn_cuda_open(out, 0, NULL) == ME_OK) return ME_OK;
        return nn_cpu_open(out, threads, err);
    }
    if (!strcmp(device, "cpu")) return nn_cpu_open(out, threads, err);
    if (!strcmp(device, "cuda")) return nn_cuda_open(out, 0, err);
    if (!strncmp(device, "cuda:", 5) && parse_device(device + 5, &number))
        return nn_cuda_open(out, number, err);
    return me_fail(err, ME_EUSAGE, "device '%s' is none of auto, cpu, cuda, cuda:N", device);
}

void nn_backend_close(nn_backend *be)
{
    if (be) be->close(be);
}
