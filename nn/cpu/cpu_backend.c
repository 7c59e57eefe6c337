/* nn/cpu/cpu_backend.c: opening the cpu back end, its memory, and the f32 stand-ins for bf16.
 *
 * It is the readable reference that other back ends are held against, and fast enough to work with.
 * The folder is compiled for AVX2 and FMA; a machine that lacks them is told so here.
 */
#include "nn/cpu/cpu_priv.h"

#include <cblas.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "nn/cpu/cpu_math.h"

/* ---- scratch -----------------------------------------------------------------------------------
 */

void *nn_cpu_scratch(cpu_backend *cpu, int64_t n, size_t size)
{
    size_t bytes;
    cpu_temp *t = &cpu->temps[cpu->temps_used];
    bool fits = cpu->temps_used < NN_CPU_TEMPS && me_mul_size((size_t)n, size, &bytes) &&
                bytes < SIZE_MAX / 2;
    if (fits && t->bytes < bytes) {
        free(t->data);
        t->bytes = (bytes + bytes / 8 + 4095) / 4096 * 4096;
        t->data = aligned_alloc(4096, t->bytes);
        fits = t->data != NULL;
        if (!fits) t->bytes = 0;
    }
    if (!fits) {
        me_fail_mem(&cpu->err, "scratch of the cpu back end");
        return NULL;
    }
    cpu->temps_used++;
    return t->data;
}

static void widen(float *to, const uint16_t *from, int64_t rows, int64_t columns, int64_t stride)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++)
            to[i * columns + j] = cpu_from_bf16(from[i * stride + j]);
    }
}

const float *nn_cpu_in(cpu_backend *cpu, nn_dtype dtype, const void *p, int64_t rows,
                       int64_t columns, int64_t *stride)
{
    if (!p || dtype == NN_F32) return p;
    float *wide = nn_cpu_scratch(cpu, rows * columns, sizeof *wide);
    if (!wide) return NULL;
    widen(wide, p, rows, columns, *stride);
    *stride = columns;
    return wide;
}

float *nn_cpu_out(cpu_backend *cpu, nn_dtype dtype, void *p, int64_t rows, int64_t columns,
                  int64_t *stride, bool keep)
{
    if (!p || dtype == NN_F32) return p;
    float *wide = nn_cpu_scratch(cpu, rows * columns, sizeof *wide);
    if (!wide) return NULL;
    if (keep) widen(wide, p, rows, columns, *stride);
    cpu->pending[cpu->pending_used++] = (cpu_pending){p, wide, rows, columns, *stride};
    *stride = columns;
    return wide;
}

const float *nn_cpu_in1(cpu_backend *cpu, nn_dtype dtype, const void *p, int64_t n)
{
    int64_t stride = n;
    return nn_cpu_in(cpu, dtype, p, 1, n, &stride);
}

float *nn_cpu_out1(cpu_backend *cpu, nn_dtype dtype, void *p, int64_t n, bool keep)
{
    int64_t stride = n;
    return nn_cpu_out(cpu, dtype, p, 1, n, &stride, keep);
}

void nn_cpu_done(cpu_backend *cpu)
{
    for (int k = 0; nn_cpu_ready(cpu) && k < cpu->pending_used; k++) {
        const cpu_pending *p = &cpu->pending[k];
        for (int64_t i = 0; i < p->rows; i++) {
            for (int64_t j = 0; j < p->columns; j++)
                p->to[i * p->stride + j] = cpu_to_bf16(p->from[i * p->columns + j]);
        }
    }
    cpu->temps_used = cpu->pending_used = 0;
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static me_code cpu_status(nn_backend *be, me_err *err)
{
    const me_err *own = &nn_cpu(be)->err;
    return own->code == ME_OK ? ME_OK : me_fail(err, own->code, "%s", own->msg);
}

static void cpu_sync(nn_backend *be)
{
    (void)be;
}

static void cpu_lane(nn_backend *be, int lane)
{
    (void)be;
    (void)lane;
}

static me_code cpu_alloc(nn_backend *be, size_t bytes, void **out, me_err *err)
{
    (void)be;
    if (bytes > SIZE_MAX / 2) return me_fail_mem(err, "a block of tensors");
    *out = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096 + (bytes ? 0 : 4096));
    return *out ? ME_OK
                : me_fail(err, ME_EMEM, "out of memory for a block of %zu MiB", bytes >> 20);
}

static void cpu_release(nn_backend *be, void *p)
{
    (void)be;
    free(p);
}

static void cpu_upload(nn_backend *be, void *dst, const void *host, size_t bytes)
{
    (void)be;
    if (bytes) memcpy(dst, host, bytes);
}

static void cpu_zero(nn_backend *be, void *dst, size_t bytes)
{
    (void)be;
    memset(dst, 0, bytes);
}

/* ---- graphs: a remembered call -----------------------------------------------------------------
 */

typedef struct cpu_graph {
    void (*fn)(void *);
    void *arg;
} cpu_graph;

static me_code cpu_graph_capture(nn_backend *be, void (*fn)(void *), void *arg, void **graph,
                                 me_err *err)
{
    (void)be;
    cpu_graph *g = malloc(sizeof *g);
    if (!g) return me_fail_mem(err, "a graph");
    *g = (cpu_graph){fn, arg};
    *graph = g;
    return ME_OK;
}

static void cpu_graph_launch(nn_backend *be, void *graph)
{
    (void)be;
    const cpu_graph *g = graph;
    g->fn(g->arg);
}

static size_t cpu_peak(nn_backend *be)
{
    (void)be;
    return 0;
}

static double cpu_now(nn_backend *be)
{
    (void)be;
    return me_seconds();
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static void cpu_close(nn_backend *be)
{
    cpu_backend *cpu = nn_cpu(be);
    for (int i = 0; i < NN_CPU_TEMPS; i++) free(cpu->temps[i].data);
    free(cpu);
}

static const nn_backend cpu_slots = {
    .name = "cpu",
    .best = NN_FP32,
    .close = cpu_close,
    .status = cpu_status,
    .sync = cpu_sync,
    .lane_begin = cpu_lane,
    .lane_take = cpu_lane,
    .lane_join = cpu_lane,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_upload,
    .download = cpu_upload,
    .host_alloc = cpu_alloc,
    .host_release = cpu_release,
    .upload_ahead = cpu_upload,
    .copy = cpu_upload,
    .zero = cpu_zero,
    .gemm = nn_cpu_gemm,
    .linear_grad = nn_cpu_linear_grad,
    .layernorm_fwd = nn_cpu_layernorm_fwd,
    .layernorm_bwd = nn_cpu_layernorm_bwd,
    .attention_fwd = nn_cpu_attention_fwd,
    .attention_bwd = nn_cpu_attention_bwd,
    .rows_fwd = nn_cpu_rows_fwd,
    .rows_bwd = nn_cpu_rows_bwd,
    .assemble = nn_cpu_assemble,
    .gate_fwd = nn_cpu_gate_fwd,
    .gate_bwd = nn_cpu_gate_bwd,
    .adaln_fwd = nn_cpu_adaln_fwd,
    .adaln_bwd = nn_cpu_adaln_bwd,
    .pool_fwd = nn_cpu_pool_fwd,
    .pool_bwd = nn_cpu_pool_bwd,
    .columns = nn_cpu_columns,
    .axpby = nn_cpu_axpby,
    .act_fwd = nn_cpu_act_fwd,
    .act_bwd = nn_cpu_act_bwd,
    .dropout = nn_cpu_dropout,
    .reparam_fwd = nn_cpu_reparam_fwd,
    .reparam_bwd = nn_cpu_reparam_bwd,
    .noise = nn_cpu_noise,
    .denoise = nn_cpu_denoise,
    .to_bf16 = nn_cpu_to_bf16,
    .to_f32 = nn_cpu_to_f32,
    .normalize_fwd = nn_cpu_normalize_fwd,
    .normalize_bwd = nn_cpu_normalize_bwd,
    .loss_scratch = nn_cpu_loss_scratch,
    .loss_fwd = nn_cpu_loss_fwd,
    .loss_bwd = nn_cpu_loss_bwd,
    .group_loss_fwd = nn_cpu_group_loss_fwd,
    .group_loss_bwd = nn_cpu_group_loss_bwd,
    .adamw = nn_cpu_adamw,
    .norm = nn_cpu_norm,
    .clip_scale = nn_cpu_clip_scale,
    .graph_capture = cpu_graph_capture,
    .graph_launch = cpu_graph_launch,
    .graph_release = cpu_release,
    .now = cpu_now,
    .peak = cpu_peak,
};

/* "AMD EPYC 7B13" from /proc/cpuinfo, where there is one. */
static void name_processor(char *out, size_t size)
{
    snprintf(out, size, "cpu");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    fclose(f);
}

static me_code check_processor(me_err *err)
{
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        return me_fail(
            err, ME_EDEVICE,
            "this processor has no AVX2 and FMA, which the cpu back end was compiled for "
            "(build with CFLAGS_nn= for an older one)");
    }
#endif
    (void)err;
    return ME_OK;
}

me_code nn_cpu_open(nn_backend **out, int threads, me_err *err)
{
    *out = NULL;
    if (check_processor(err) != ME_OK) return ME_EDEVICE;
    cpu_backend *cpu = calloc(1, sizeof *cpu);
    if (!cpu) return me_fail_mem(err, "the cpu back end");
    cpu->base = cpu_slots;
    cpu->threads = threads > 0 ? threads : omp_get_max_threads();
    name_processor(cpu->base.device, sizeof cpu->base.device);
    /* We split products ourselves (cpu_gemm.c): within one call OpenBLAS would split by thread
     * count. */
    openblas_set_num_threads(1);
    *out = &cpu->base;
    return ME_OK;
}
