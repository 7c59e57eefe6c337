/* nn/cuda/cuda_tma.cu: matrices as tensor copies see them, described on the host. */
#include "nn/cuda/cuda_backend.cuh"
#include "nn/cuda/cuda_device.cuh"
#include "nn/cuda/cuda_tma.cuh"

typedef CUresult encode_function(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
                                 const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                                 const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                                 CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* The driver is not linked, so that the program starts where there is none. */
bool nn_cuda_tensor_maps_open(nn_cuda *cu)
{
    cudaDriverEntryPointQueryResult found;
    cu->encode_tensor_map = NULL;
    cudaError_t code = cudaGetDriverEntryPointByVersion(
        "cuTensorMapEncodeTiled", &cu->encode_tensor_map, 12000, cudaEnableDefault, &found);
    if (code != cudaSuccess) cudaGetLastError();
    return code == cudaSuccess && found == cudaDriverEntryPointSuccess;
}

bool nn_cuda_tensor_map(nn_cuda *cu, CUtensorMap *map, CUtensorMapDataType type, const float *p,
                        int64_t rows, int64_t columns, int box_rows, int box_columns,
                        CUtensorMapSwizzle swizzle)
{
    const cuuint64_t sizes[2] = {(cuuint64_t)columns, (cuuint64_t)rows};
    const cuuint64_t strides[1] = {(cuuint64_t)columns * sizeof *p};
    const cuuint32_t boxes[2] = {(cuuint32_t)box_columns, (cuuint32_t)box_rows}, steps[2] = {1, 1};
    return ((encode_function *)cu->encode_tensor_map)(
               map, type, 2, (void *)p, sizes, strides, boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
               swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
               CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}
