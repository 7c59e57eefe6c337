/* nn/cuda/cuda_launch.cuh: how every kernel of this folder is launched and how it begins.
 *
 * Between the end of a kernel and the first instruction of the next lie about two microseconds, and
 * a training step has hundreds of kernels. So on Hopper the blocks of a kernel come while those of
 * the one before end, and wait on the device: CUDA programming guide, "Programmatic Dependent
 * Launch and Synchronization".
 *
 * Why it is sound: every kernel waits until the whole one in front of it is complete, before any of
 * its threads touches memory and whatever they do then. So none completes before the one in front,
 * nor before those further in front, for which that one waited. A kernel that returned without
 * waiting would break the chain: the next could overtake the one before it. The driver's copies and
 * fills (small ones are kernels, cuda_move.cu), events, graphs and cuBLASLt's kernels are ordinary
 * work of the stream, which begins when all before it is complete, and what follows waits for their
 * end. So each lane (nn/backend.h) is a chain of its own, and an event recorded on one says that
 * all of it has passed; a kernel behind an event does not come early. `make lint` looks for kernels
 * that begin otherwise.
 */
#ifndef NN_CUDA_LAUNCH_CUH
#define NN_CUDA_LAUNCH_CUH

#include "nn/cuda/cuda_backend.cuh"

/* The first statement of every kernel. Waits until the kernel before is complete and what it wrote
 * can be read. Then the next one may come: as soon as all blocks of this one have said so, and so
 * are on the device, it takes no room from them. In a kernel that was launched plainly there is
 * nothing to wait for. */
static __device__ __forceinline__ void nn_cuda_begin()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* Launches kernel(args...), which are converted to its parameters, with `bytes` of dynamic shared
 * memory a block. `what` names the kernel in a failure. A graph that is recorded gets a plain
 * launch. */
template <typename... P, typename... A>
static void nn_cuda_launch(nn_cuda *cu, const char *what, void (*kernel)(P...), dim3 grid,
                           dim3 threads, size_t bytes, const A &...args)
{
    cudaLaunchAttribute comes_early = {};
    comes_early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    comes_early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = threads;
    config.dynamicSmemBytes = bytes;
    config.stream = cu->stream;
    config.attrs = &comes_early;
    config.numAttrs = cu->dependent_launch && !cu->capturing ? 1 : 0;
    nn_cuda_check(cu, cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...), what);
}

#endif
