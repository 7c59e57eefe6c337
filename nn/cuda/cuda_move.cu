/* nn/cuda/cuda_move.cu: copies and zeros on the device, and small uploads out of pinned memory.
 *
 * What the driver copies or clears stands between two kernels: it begins when the one in front has
 * ended, and the one behind does not come early (cuda_launch.cuh), which together costs some
 * microseconds. A training step has sixty of them, most of a few hundred bytes. So small ones are
 * kernels as well; large ones stay the driver's.
 */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_launch.cuh"

#define THREADS 256
#define RESIDENT 8              /* blocks of a multiprocessor: all its threads */
#define SMALL ((size_t)4 << 20) /* bytes */

/* dst = src, or zeros where that is NULL: n words, one a thread at a time. `src` may be memory of
 * the host, which may have changed since a kernel read it: so nothing is taken from a cache. */
template <typename W>
static __global__ void __launch_bounds__(THREADS) move_kernel(W *dst, const W *src, int64_t n)
{
    nn_cuda_begin();
    const int64_t step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += step) {
        dst[i] = src ? __ldcv(src + i) : W{};
    }
}

template <typename W>
static void move_words(nn_cuda *cu, void *dst, const void *src, size_t bytes, const char *what)
{
    const int64_t n = (int64_t)(bytes / sizeof(W));
    const int64_t most = (int64_t)cu->multiprocessors * RESIDENT;
    nn_cuda_launch(cu, what, move_kernel<W>,
                   (unsigned)nn_cuda_min(nn_cuda_ceil_div(n, THREADS), most), THREADS, 0, (W *)dst,
                   (const W *)src, n);
}

/* By the widest words that both ends and the size allow. */
static void move(nn_cuda *cu, void *dst, const void *src, size_t bytes, const char *what)
{
    const uintptr_t bits = (uintptr_t)dst | (uintptr_t)src | bytes;
    if (bits % sizeof(uint4) == 0)
        move_words<uint4>(cu, dst, src, bytes, what);
    else if (bits % sizeof(unsigned) == 0)
        move_words<unsigned>(cu, dst, src, bytes, what);
    else
        move_words<unsigned char>(cu, dst, src, bytes, what);
}

void nn_cuda_copy(nn_backend *be, void *dst, const void *src, size_t bytes)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (bytes == 0) return;
    if (bytes <= SMALL && src) /* none is the driver's to refuse, and not zeros */
        move(cu, dst, src, bytes, "copy");
    else
        nn_cuda_check(cu, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, cu->stream),
                      "copy");
}

void nn_cuda_zero(nn_backend *be, void *dst, size_t bytes)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (bytes == 0) return;
    if (bytes <= SMALL)
        move(cu, dst, NULL, bytes, "zero");
    else
        nn_cuda_check(cu, cudaMemsetAsync(dst, 0, bytes, cu->stream), "zero");
}

void nn_cuda_fetch(nn_cuda *cu, void *dst, const void *pinned, size_t bytes)
{
    const cudaStream_t present = cu->stream;
    cu->stream = cu->lanes[0].stream;
    move(cu, dst, pinned, bytes, "upload");
    cu->stream = present;
}
