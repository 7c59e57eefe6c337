/* nn/cuda/cuda_tma.cuh: Hopper's tensor copies: a box of a row-major matrix comes to shared memory
 * by one instruction of one thread, and a barrier in shared memory says when. PTX ISA,
 * "cp.async.bulk" and "mbarrier". What lies outside the matrix arrives as 0.
 */
#ifndef NN_CUDA_TMA_CUH
#define NN_CUDA_TMA_CUH

#include <cuda.h>
#include <stdint.h>

/* ---- barriers: 8 bytes in shared memory at `bar` ---- */

static __device__ __forceinline__ void barrier_init(uint32_t bar, int arrivals)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(bar), "r"(arrivals) : "memory");
#endif
}

/* After the last init, before the block's threads meet. */
static __device__ __forceinline__ void barrier_init_done()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

static __device__ __forceinline__ void barrier_arrive(uint32_t bar)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(bar) : "memory");
#endif
}

/* Arrives, and lets the phase wait for `bytes` of copies too. */
static __device__ __forceinline__ void barrier_expect(uint32_t bar, uint32_t bytes)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes)
                 : "memory");
#endif
}

/* Until the phase of that parity (0 first) has ended. */
static __device__ __forceinline__ void barrier_wait(uint32_t bar, uint32_t parity)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n"
                 "@p bra done;\n"
                 "bra again;\n"
                 "done:\n"
                 "}" ::"r"(bar),
                 "r"(parity)
                 : "memory");
#endif
}

/* True for one lane of a warp, all of which are here. */
static __device__ __forceinline__ bool elected()
{
    uint32_t yes = 0;
#if __CUDA_ARCH__ >= 900
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "elect.sync _|p, 0xffffffff;\n"
                 "selp.u32 %0, 1, 0, p;\n"
                 "}"
                 : "=r"(yes));
#endif
    return yes;
}

/* ---- copies ---- */

/* Of a map that will be used soon. */
static __device__ __forceinline__ void tensor_map_prefetch(const CUtensorMap *map)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#endif
}

/* The box whose first element is (row, column) of the map's matrix, to shared memory at `to`. */
static __device__ __forceinline__ void tensor_copy(uint32_t to, const CUtensorMap *map, int column,
                                                   int row, uint32_t bar)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(map), "r"(column), "r"(row), "r"(bar)
                 : "memory");
#endif
}

/* ---- on the host ---- */

struct nn_cuda;

/* Describes (rows, columns) of f32, whose rows begin at multiples of 16 bytes, to be read as boxes
 * of `box_rows` rows of `box_columns`; of type TFLOAT32 they are rounded to tf32 on their way.
 * SWIZZLE_128B: rows of 128 bytes, in which the 16-byte pieces of row r come to their place
 * xor r % 8. False when the driver declines. */
bool nn_cuda_tensor_map(nn_cuda *cu, CUtensorMap *map, CUtensorMapDataType type, const float *p,
                        int64_t rows, int64_t columns, int box_rows, int box_columns,
                        CUtensorMapSwizzle swizzle);

#endif
