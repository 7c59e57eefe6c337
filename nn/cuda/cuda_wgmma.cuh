/* nn/cuda/cuda_wgmma.cuh: Hopper's warpgroup products as functions: 64 x N results of 128 threads,
 * operands in shared memory, sums in registers. PTX ISA, "Asynchronous Warpgroup Level Matrix
 * Multiply-Accumulate Instructions".
 *
 * Operands lie in shared memory either swizzled (wgmma_swizzled) or as core matrices of 8 rows of
 * 16 bytes, one behind the other in 128 bytes: a row is one index of the operand and its 16 bytes
 * run along the other index. Where they run along k (8 bf16 or fp16, or 4 f32) the operand is
 * "k-major", where they run along its m or n (8 bf16) it is "mn-major". `along_mn` and `along_k`
 * are the bytes from one core matrix to the next in either direction, multiples of 16. They are
 * padded so that what a warp writes falls into different banks; reading a core matrix never
 * conflicts.
 *
 * Only sm_90a has these instructions; elsewhere the functions do nothing and the host never
 * launches what calls them.
 */
#ifndef NN_CUDA_WGMMA_CUH
#define NN_CUDA_WGMMA_CUH

#include <stdint.h>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define NN_CUDA_HAS_WGMMA 1
#endif

/* An operand without swizzle. */
static __device__ __forceinline__ uint64_t wgmma_descriptor(uint32_t address, uint32_t along_k,
                                                            uint32_t along_mn)
{
    return (uint64_t)(address >> 4 & 0x3fff) | (uint64_t)(along_k >> 4) << 16 |
           (uint64_t)(along_mn >> 4) << 32;
}

/* A k-major operand of rows of 128 bytes in which the 16-byte pieces of row r stand at their place
 * xor r % 8, as the tensor copies of cuda_tma.cuh leave it; rows of 8 begin at multiples of 1024.
 */
static __device__ __forceinline__ uint64_t wgmma_swizzled(uint32_t address)
{
    return (uint64_t)(address >> 4 & 0x3fff) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

/* Before the first product that uses registers which other instructions wrote. */
static __device__ __forceinline__ void wgmma_begin()
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

static __device__ __forceinline__ void wgmma_commit()
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

/* Waits for the products of this warpgroup but for the last group; sums must not be read yet. */
static __device__ __forceinline__ void wgmma_wait_but_one()
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
#endif
}

/* Waits for all products of this warpgroup; the sums may be read after it. */
template <int N> static __device__ __forceinline__ void wgmma_wait(float (&sum)[N])
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    /* The compiler must not read a sum before this point. */
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(sum[i])::"memory");
#endif
}

/* For all but the last PENDING groups, which do not use these registers; from here on the sums may
 * be read, and the left operands `a` changed. */
template <int PENDING, int N>
static __device__ __forceinline__ void wgmma_wait(float (&sum)[N], uint32_t (&a)[2][2][4])
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(sum[i])::"memory");
#pragma unroll
    for (int i = 0; i < 16; i++) asm volatile("" : "+r"(a[i / 8][i / 4 % 2][i % 4])::"memory");
#endif
}

/* A warpgroup's registers from here on: more than at its start, when others have given theirs away,
 * or fewer. A multiple of 8. */
template <int N> static __device__ __forceinline__ void more_registers()
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
#endif
}

template <int N> static __device__ __forceinline__ void fewer_registers()
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
#endif
}

/* What ordinary stores left in shared memory is seen by later products of any thread that meets
 * this one at a barrier. */
static __device__ __forceinline__ void wgmma_publish()
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

#define WGMMA_8(d, i)                                                                              \
    "+f"((d)[i]), "+f"((d)[i + 1]), "+f"((d)[i + 2]), "+f"((d)[i + 3]), "+f"((d)[i + 4]),          \
        "+f"((d)[i + 5]), "+f"((d)[i + 6]), "+f"((d)[i + 7])
#define WGMMA_32(d, i) WGMMA_8(d, i), WGMMA_8(d, i + 8), WGMMA_8(d, i + 16), WGMMA_8(d, i + 24)
#define WGMMA_REGISTERS_32                                                                         \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                       \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define WGMMA_REGISTERS_64                                                                         \
    WGMMA_REGISTERS_32 ","                                                                         \
                       "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"          \
                       "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"

/* sum += a b for k of 8: 64 rows of a by 128 or 64 columns of b, f32 operands of which the tensor
 * cores read the upper 19 bits. */
static __device__ __forceinline__ void wgmma_tf32(float (&sum)[64], uint64_t a, uint64_t b)
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k8.f32.tf32.tf32 {" WGMMA_REGISTERS_64
                 "}, %64, %65, p, 1, 1;\n}"
                 : WGMMA_32(sum, 0), WGMMA_32(sum, 32)
                 : "l"(a), "l"(b));
#endif
}

static __device__ __forceinline__ void wgmma_tf32(float (&sum)[32], uint64_t a, uint64_t b)
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k8.f32.tf32.tf32 {" WGMMA_REGISTERS_32
                 "}, %32, %33, p, 1, 1;\n}"
                 : WGMMA_32(sum, 0)
                 : "l"(a), "l"(b));
#endif
}

/* 64 rows of a by 64 or 128 columns of b in fp16 for k of 16: sum = a b where FIRST is true, else
 * sum += a b. B_MN: b is mn-major. A warp has 16 rows of a in registers, as cuda_mma.cuh's left
 * operands, which must stay as they are until wgmma_wait. */
template <bool FIRST, int B_MN>
static __device__ __forceinline__ void wgmma_f16(float (&sum)[32], const uint32_t (&a)[4],
                                                 uint64_t b)
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" WGMMA_REGISTERS_32
                 "}, {%32,%33,%34,%35}, %36, p, 1, 1, %38;\n}"
                 : WGMMA_32(sum, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(FIRST ? 0 : 1),
                   "n"(B_MN));
#endif
}

template <bool FIRST, int B_MN>
static __device__ __forceinline__ void wgmma_f16(float (&sum)[64], const uint32_t (&a)[4],
                                                 uint64_t b)
{
#ifdef NN_CUDA_HAS_WGMMA
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" WGMMA_REGISTERS_64
                 "}, {%64,%65,%66,%67}, %68, p, 1, 1, %70;\n}"
                 : WGMMA_32(sum, 0), WGMMA_32(sum, 32)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(FIRST ? 0 : 1),
                   "n"(B_MN));
#endif
}

#endif
