/* nn/cuda/cuda_mma.cuh: the instructions behind products on the tensor cores of sm_80 and later:
 * asynchronous copies into shared memory, fragments out of it, and the products of a warp.
 *
 * With g = lane / 4 and t = lane % 4, a lane holds of a product of 16 x 8 results
 *   c0 (g, 2t), c1 (g, 2t+1), c2 (g+8, 2t), c3 (g+8, 2t+1),
 * of a left operand of 16 rows by 32 bytes, the four 4-byte words
 *   a0 (g, t), a1 (g+8, t), a2 (g, t+4), a3 (g+8, t+4),
 * and of a right operand of 32 bytes by 8 columns b0 (t, g), b1 (t+4, g). A word is two
 * neighbouring bf16 or fp16, or one f32, so fragments are the same bytes of a tile whichever type
 * it has.
 */
#ifndef NN_CUDA_MMA_CUH
#define NN_CUDA_MMA_CUH

#include "nn/cuda/cuda_device.cuh"

#include <cuda_fp16.h>

/* Shared memory has addresses of 32 bits, which these instructions take. */
static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* Four 8 x 16-byte blocks; lane l says where row l % 8 of block l / 8 starts (16-byte aligned, in
 * shared memory). Word i of a lane is word t of row g of block i. */
static __device__ __forceinline__ void ldmatrix4(uint32_t (&w)[4], uint32_t row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3])
                 : "r"(row)
                 : "memory");
}

/* The same with each block of 8 x 8 bf16 transposed. */
static __device__ __forceinline__ void ldmatrix4_trans(uint32_t (&w)[4], uint32_t row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3])
                 : "r"(row)
                 : "memory");
}

/* c += a b: 16 columns of a in bf16 or fp16, 8 in tf32. The last argument says which. */
#define MMA(type, name, k)                                                                         \
    static __device__ __forceinline__ void mma(float(&c)[4], const uint32_t(&a)[4], uint32_t b0,   \
                                               uint32_t b1, type)                                  \
    {                                                                                              \
        asm volatile("mma.sync.aligned.m16n8k" k ".row.col.f32." name "." name ".f32 "             \
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                       \
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                              \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));              \
    }
MMA(bf16, "bf16", "16")
MMA(__half, "f16", "16")
MMA(float, "tf32", "8")
#undef MMA

static __device__ __forceinline__ float to_tf32(float x)
{
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

/* SIZE (4 or 16) bytes into shared memory while the thread goes on; zeros where `there` is false:
 * then nothing is read. */
template <int SIZE>
static __device__ __forceinline__ void copy_async(uint32_t to, const void *from, bool there)
{
    if (SIZE == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                     "r"(there ? 16 : 0)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from),
                     "r"(there ? 4 : 0)
                     : "memory");
    }
}

/* Copies since the call before form a group. */
static __device__ __forceinline__ void close_copies(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Until this thread's copies have arrived, but for the last PENDING groups. PENDING 0 waits for
 * what is in no group too. */
template <int PENDING> static __device__ __forceinline__ void wait_copies(void)
{
    if (PENDING == 0)
        asm volatile("cp.async.wait_all;" ::: "memory");
    else
        asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

#endif
