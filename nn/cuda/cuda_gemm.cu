/* nn/cuda/cuda_gemm.cu: matrix products through cuBLASLt, which is opened here and nowhere else;
 * inference in true single precision has a kernel of its own (cuda_gemm_f32.cu).
 *
 * cuBLASLt thinks in column-major matrices, so the row-major c (M,N) = a b is handed over as its
 * transpose c' (N,M) = b' a': our b is its A, our a is its B, and a bias over N runs along its
 * rows.
 *
 * The choice of a kernel decides the order in which a sum over k is taken, and so the bits of the
 * result. Inference must give a row the same bits in any batch. Therefore an inference product asks
 * for the kernel that suits CANONICAL_M rows, without split sums, and uses it for every m. Training
 * asks for the kernel that suits its own m (rounded up, so that packed batches of varying size do
 * not ask anew at every step); for equal shapes that is the same kernel again.
 */
#include "nn/cuda/cuda_backend.cuh"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANONICAL_M 50688 /* as tmr/embed.c asks for most often on a GPU */
#define CANDIDATES 16
#define PLANS 4096 /* slots of the table; it is emptied when three quarters are taken */

// clang-format off
#define LT_FUNCTIONS(X)                                                                            \
    X(cublasLtCreate) X(cublasLtDestroy) X(cublasLtGetStatusString) X(cublasLtMatmul)              \
    X(cublasLtMatmulDescCreate) X(cublasLtMatmulDescDestroy) X(cublasLtMatmulDescSetAttribute)     \
    X(cublasLtMatrixLayoutCreate) X(cublasLtMatrixLayoutDestroy)                                   \
    X(cublasLtMatrixLayoutSetAttribute)                                                            \
    X(cublasLtMatmulPreferenceCreate) X(cublasLtMatmulPreferenceDestroy)                           \
    X(cublasLtMatmulPreferenceSetAttribute) X(cublasLtMatmulAlgoGetHeuristic)                      \
    X(cublasLtMatmulAlgoConfigGetAttribute)
// clang-format on

typedef struct lt_table {
#define X(name) decltype(&::name) name;
    LT_FUNCTIONS(X)
#undef X
} lt_table;

/* What a kernel is chosen by. Every field is an int64_t, so that equal keys are equal bytes. */
typedef struct plan_key {
    int64_t m, n, k;
    int64_t trans_a, trans_b, dtype, c_dtype, precision;
    int64_t epilogue, aligned, stable;
} plan_key;

typedef struct plan {
    plan_key key;
    bool taken, usable;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, c; /* in cuBLASLt's naming: a is our b */
    cublasLtMatmulAlgo_t algorithm;
} plan;

struct nn_cuda_blas {
    void *library;
    lt_table lt;
    cublasLtHandle_t handle;
    plan *plans;
    int plans_taken;
    cublasStatus_t last; /* of the last product or question, for messages */
};

/* ---- the library -------------------------------------------------------------------------------
 */

static void *open_library(void)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
    const char *home = getenv("CUDA_HOME");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
        if (library) return library;
        char path[1024];
        snprintf(path, sizeof path, "%s/lib64/%s", home ? home : "/usr/local/cuda", names[i]);
        library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
        if (library) return library;
    }
    return NULL;
}

me_code nn_cuda_blas_open(nn_cuda *cu, me_err *err)
{
    struct nn_cuda_blas *blas = (struct nn_cuda_blas *)calloc(1, sizeof *blas);
    if (!blas) return me_fail(err, ME_EMEM, "cuda: out of memory");
    cu->blas = blas;
    blas->library = open_library();
    if (!blas->library) {
        return me_fail(err, ME_EDEVICE,
                       "cuda: libcublasLt.so.13 or .12 was not found (install cuBLAS, or put its "
                       "folder in LD_LIBRARY_PATH, or set CUDA_HOME; or try --device cpu)");
    }
#define X(name)                                                                                    \
    blas->lt.name = (decltype(&::name))dlsym(blas->library, #name);                                \
    if (!blas->lt.name) return me_fail(err, ME_EDEVICE, "libcublasLt: there is no " #name);
    LT_FUNCTIONS(X)
#undef X
    cublasStatus_t status = blas->lt.cublasLtCreate(&blas->handle);
    if (status != CUBLAS_STATUS_SUCCESS) {
        return me_fail(err, ME_EDEVICE, "libcublasLt: %s",
                       blas->lt.cublasLtGetStatusString(status));
    }
    blas->plans = (plan *)calloc(PLANS, sizeof *blas->plans);
    return blas->plans ? ME_OK : me_fail(err, ME_EMEM, "cuda: out of memory");
}

static void forget_plans(struct nn_cuda_blas *blas)
{
    for (int i = 0; i < PLANS; i++) {
        plan *p = &blas->plans[i];
        if (p->a) blas->lt.cublasLtMatrixLayoutDestroy(p->a);
        if (p->b) blas->lt.cublasLtMatrixLayoutDestroy(p->b);
        if (p->c) blas->lt.cublasLtMatrixLayoutDestroy(p->c);
        if (p->operation) blas->lt.cublasLtMatmulDescDestroy(p->operation);
    }
    memset(blas->plans, 0, PLANS * sizeof *blas->plans);
    blas->plans_taken = 0;
}

void nn_cuda_blas_close(nn_cuda *cu)
{
    struct nn_cuda_blas *blas = cu->blas;
    if (!blas) return;
    if (blas->plans) forget_plans(blas);
    free(blas->plans);
    if (blas->handle) blas->lt.cublasLtDestroy(blas->handle);
    if (blas->library) dlclose(blas->library);
    free(blas);
    cu->blas = NULL;
}

/* ---- plans -------------------------------------------------------------------------------------
 */

static cudaDataType data_type(int64_t dtype)
{
    return dtype == NN_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static size_t element_size(int64_t dtype)
{
    return dtype == NN_BF16 ? 2 : 4;
}

/* Rounds up to three significant bits: 1..8, 10, 12, 14, 16, 20, ... */
static int64_t round_size(int64_t n)
{
    int64_t unit = 1;
    while (n > 8 * unit) unit *= 2;
    return (n + unit - 1) / unit * unit;
}

static cublasStatus_t make_layout(const lt_table *lt, cublasLtMatrixLayout_t *out, int64_t dtype,
                                  int64_t rows, int64_t columns)
{
    return lt->cublasLtMatrixLayoutCreate(out, data_type(dtype), (uint64_t)rows, (uint64_t)columns,
                                          rows);
}

/* Descriptors of the product that p->key names; false on failure. `somewhere` stands for the bias
 * until a call sets its own: the heuristic wants to see a pointer. */
static bool describe(const lt_table *lt, plan *p, const void *somewhere)
{
    int64_t m = p->key.m, n = p->key.n, k = p->key.k;
    const plan_key *key = &p->key;
    cublasComputeType_t compute = key->dtype == NN_F32 && key->precision == NN_TF32
                                      ? CUBLAS_COMPUTE_32F_FAST_TF32
                                      : CUBLAS_COMPUTE_32F;
    cublasOperation_t op_a = key->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t op_b = key->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = (cublasLtEpilogue_t)key->epilogue;
    cudaDataType bias_type = data_type(key->c_dtype);
    cublasStatus_t s = lt->cublasLtMatmulDescCreate(&p->operation, compute, CUDA_R_32F);
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = lt->cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSA, &op_a,
                                               sizeof op_a);
    }
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = lt->cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSB, &op_b,
                                               sizeof op_b);
    }
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = lt->cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                               &epilogue, sizeof epilogue);
    }
    if (s == CUBLAS_STATUS_SUCCESS && epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
        s = lt->cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                               &somewhere, sizeof somewhere);
        if (s == CUBLAS_STATUS_SUCCESS) {
            s = lt->cublasLtMatmulDescSetAttribute(
                p->operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type);
        }
    }
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = make_layout(lt, &p->a, key->dtype, key->trans_b ? k : n, key->trans_b ? n : k);
    }
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = make_layout(lt, &p->b, key->dtype, key->trans_a ? m : k, key->trans_a ? k : m);
    }
    if (s == CUBLAS_STATUS_SUCCESS) s = make_layout(lt, &p->c, key->c_dtype, n, m);
    return s == CUBLAS_STATUS_SUCCESS;
}

static void prefer(const lt_table *lt, cublasLtMatmulPreference_t preference, const plan_key *key,
                   bool only_fma)
{
    uint64_t workspace = NN_CUDA_WORKSPACE;
    /* Split sums that meet in the workspace are taken in a fixed order; the other schemes round the
     * partial sums to the output's type. */
    uint32_t reductions =
        key->stable ? CUBLASLT_REDUCTION_SCHEME_NONE : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    uint32_t aligned = key->aligned ? 16 : (uint32_t)element_size(key->dtype);
    uint32_t aligned_c = key->aligned ? 16 : (uint32_t)element_size(key->c_dtype);
    uint64_t fma = CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA |
                   CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_32F |
                   CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_32F;
    /* A preference that an older library does not know only widens the choice. */
    lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &workspace, sizeof workspace);
    lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                             &reductions, sizeof reductions);
    lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                             &aligned, sizeof aligned);
    lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                             &aligned, sizeof aligned);
    lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                                             &aligned_c, sizeof aligned_c);
    lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
                                             &aligned_c, sizeof aligned_c);
    if (only_fma) {
        lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_IMPL_MASK, &fma,
                                                 sizeof fma);
    }
}

/* False when the library says that the kernel splits its sums over k. */
static bool unsplit(const lt_table *lt, const cublasLtMatmulAlgo_t *algorithm)
{
    int32_t split = 1;
    uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_NONE;
    size_t written = 0;
    bool split_known =
        lt->cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split,
                                                 sizeof split, &written) == CUBLAS_STATUS_SUCCESS;
    bool scheme_known = lt->cublasLtMatmulAlgoConfigGetAttribute(
                            algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme,
                            sizeof scheme, &written) == CUBLAS_STATUS_SUCCESS;
    return (!split_known || split <= 1) &&
           (!scheme_known || scheme == CUBLASLT_REDUCTION_SCHEME_NONE);
}

static bool ask_heuristic(struct nn_cuda_blas *blas, plan *p, bool only_fma)
{
    const lt_table *lt = &blas->lt;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    int n = 0;
    bool chosen = false;
    if (lt->cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS) return false;
    prefer(lt, preference, &p->key, only_fma);
    blas->last = lt->cublasLtMatmulAlgoGetHeuristic(blas->handle, p->operation, p->a, p->b, p->c,
                                                    p->c, preference, CANDIDATES, found, &n);
    if (blas->last != CUBLAS_STATUS_SUCCESS) n = 0;
    for (int i = 0; i < n && !chosen; i++) {
        chosen = found[i].state == CUBLAS_STATUS_SUCCESS &&
                 found[i].workspaceSize <= NN_CUDA_WORKSPACE &&
                 (!p->key.stable || unsplit(lt, &found[i].algo));
        if (chosen) p->algorithm = found[i].algo;
    }
    lt->cublasLtMatmulPreferenceDestroy(preference);
    return chosen;
}

/* The plan of `key`, made on first use; an unusable one says that cuBLASLt has no such kernel. */
static plan *find_plan(nn_cuda *cu, const plan_key *key)
{
    struct nn_cuda_blas *blas = cu->blas;
    uint64_t hash = 14695981039346656037u; /* FNV-1a over the fields */
    const int64_t *fields = (const int64_t *)key;
    for (size_t i = 0; i < sizeof *key / sizeof *fields; i++) {
        hash = (hash ^ (uint64_t)fields[i]) * 1099511628211u;
    }
    hash ^= hash >> 32;
    size_t at = hash % PLANS;
    while (blas->plans[at].taken && memcmp(&blas->plans[at].key, key, sizeof *key) != 0) {
        at = (at + 1) % PLANS;
    }
    if (blas->plans[at].taken) return &blas->plans[at];
    if (blas->plans_taken >= PLANS / 4 * 3) {
        forget_plans(blas);
        at = hash % PLANS;
    }
    plan *p = &blas->plans[at];
    p->key = *key;
    p->taken = true;
    blas->plans_taken++;
    bool fp32 = key->dtype == NN_F32 && key->precision != NN_TF32;
    p->usable = describe(&blas->lt, p, cu->workspace) &&
                ((fp32 && ask_heuristic(blas, p, true)) || ask_heuristic(blas, p, false));
    return p;
}

/* True when the pointers and row strides of all operands allow 16-byte accesses. */
static bool aligned16(const nn_gemm_args *g)
{
    uintptr_t bits = (uintptr_t)g->a | (uintptr_t)g->b | (uintptr_t)g->c | (uintptr_t)g->bias;
    size_t stride_a = (size_t)(g->trans_a ? g->m : g->k) * element_size(g->dtype);
    size_t stride_b = (size_t)(g->trans_b ? g->k : g->n) * element_size(g->dtype);
    size_t stride_c = (size_t)g->n * element_size(g->c_dtype);
    return ((bits | stride_a | stride_b | stride_c) & 15) == 0;
}

/* One call of cuBLASLt by the plan of `key`; false when it has no kernel or refuses these sizes. */
static bool multiply_by(nn_cuda *cu, const nn_gemm_args *g, const plan_key *key)
{
    const lt_table *lt = &cu->blas->lt;
    plan *p = find_plan(cu, key);
    if (!p->usable) return false;
    /* The plan's layouts have the key's sizes; only counts differ from g's, never a row stride. */
    uint64_t m = (uint64_t)g->m, k = (uint64_t)g->k;
    lt->cublasLtMatrixLayoutSetAttribute(p->c, CUBLASLT_MATRIX_LAYOUT_COLS, &m, sizeof m);
    lt->cublasLtMatrixLayoutSetAttribute(p->b, CUBLASLT_MATRIX_LAYOUT_COLS, g->trans_a ? &k : &m,
                                         sizeof m);
    if (!g->trans_b) {
        lt->cublasLtMatrixLayoutSetAttribute(p->a, CUBLASLT_MATRIX_LAYOUT_COLS, &k, sizeof k);
    }
    if (key->epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
        lt->cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                           &g->bias, sizeof g->bias);
    }
#ifdef NN_CUDA_POISON
    /* compute-sanitizer's initcheck does not see what cuBLASLt's kernels write by tensor copies.
     * NaN in its place is seen, and the self-test fails if any stays. */
    if (g->accumulate == 0.f) {
        size_t bytes = (size_t)(g->m * g->n) * element_size(g->c_dtype);
        nn_cuda_check(cu, cudaMemsetAsync(g->c, 0xff, bytes, cu->stream), "poison");
    }
#endif
    float one = 1.f;
    cu->blas->last = lt->cublasLtMatmul(cu->blas->handle, p->operation, &one, g->b, p->a, g->a,
                                        p->b, &g->accumulate, g->c, p->c, g->c, p->c, &p->algorithm,
                                        cu->workspace, NN_CUDA_WORKSPACE, cu->stream);
    return cu->blas->last == CUBLAS_STATUS_SUCCESS;
}

/* c = epilogue(op(a) op(b)) + accumulate c. False when cuBLASLt cannot. */
static bool multiply(nn_cuda *cu, const nn_gemm_args *g, cublasLtEpilogue_t epilogue)
{
    bool stable = !g->training && g->trans_b && !g->trans_a;
    plan_key key = {};
    /* m is a row stride when a is stored transposed, k is one in every other case. */
    key.m = stable ? CANONICAL_M : g->trans_a ? g->m : round_size(g->m);
    key.n = g->n;
    key.k = g->trans_a && !g->trans_b ? round_size(g->k) : g->k;
    key.trans_a = g->trans_a;
    key.trans_b = g->trans_b;
    key.dtype = g->dtype;
    key.c_dtype = g->c_dtype;
    key.precision = g->precision;
    key.epilogue = epilogue;
    key.aligned = aligned16(g);
    key.stable = stable;
    if (multiply_by(cu, g, &key)) return true;
    /* The kernel for the rounded size may refuse the real one. */
    key.m = g->m;
    key.k = g->k;
    return multiply_by(cu, g, &key);
}

/* ---- one product -------------------------------------------------------------------------------
 */

void nn_cuda_gemm(nn_backend *be, const nn_gemm_args *g)
{
    nn_cuda *cu = nn_cuda_of(be);
    if (g->m == 0 || g->n == 0) return;
    const bool finishes = g->act != NN_ACT_NONE || g->slope || g->drop.p > 0.f;
    if (g->accumulate != 0.f && finishes) {
        nn_cuda_fail(cu, "%s: a product cannot both accumulate and have an activation", be->device);
        return;
    }
    if (g->k == 0) {
        size_t bytes = (size_t)(g->m * g->n) * element_size(g->c_dtype);
        if (g->accumulate == 0.f) be->zero(be, g->c, bytes);
        if (g->bias || finishes) nn_cuda_linear_finish(cu, g, g->bias);
        return;
    }
    if (nn_cuda_gemm_single(cu, g) || nn_cuda_gemm_f32(cu, g)) return;
    /* Without anything behind the product cuBLASLt's kernels are as fast or faster. */
    if (finishes && nn_cuda_gemm_forward(cu, g)) return;
    /* cuBLASLt's GELU is the tanh form with the tensor-core kernels' approximate tanh: close enough
     * beside their products, not beside true single precision. */
    bool full = g->dtype == NN_F32 && g->precision != NN_TF32;
    if (g->act == NN_ACT_GELU_TANH && g->bias && !full && g->drop.p == 0.f && !g->slope &&
        multiply(cu, g, CUBLASLT_EPILOGUE_GELU_BIAS))
        return;
    bool biased = g->bias && multiply(cu, g, CUBLASLT_EPILOGUE_BIAS);
    if (!biased && !multiply(cu, g, CUBLASLT_EPILOGUE_DEFAULT)) {
        nn_cuda_fail(cu, "%s: cuBLASLt: product of m %lld n %lld k %lld%s%s: %s", be->device,
                     (long long)g->m, (long long)g->n, (long long)g->k,
                     g->trans_a ? ", a transposed" : "", g->trans_b ? ", b transposed" : "",
                     cu->blas->lt.cublasLtGetStatusString(cu->blas->last));
        return;
    }
    const void *missing = biased ? NULL : g->bias;
    if (missing || finishes) nn_cuda_linear_finish(cu, g, missing);
}
