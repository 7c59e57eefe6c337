/* nn/cpu/cpu_adaln.c: a gate and the modulated LayerNorm behind it, as the slots that the cpu back
 * end has for each. */
#include <stdlib.h>

#include "nn/cpu/cpu_priv.h"

static nn_segment_args gate_of(const nn_adaln_args *a)
{
    return (nn_segment_args){.m = a->m,
                             .d = a->d,
                             .segments = a->segments,
                             .dtype = a->dtype,
                             .x = a->x,
                             .h = a->h,
                             .g = a->gate,
                             .mod_stride = a->gate_stride,
                             .segment = a->segment,
                             .offsets = a->offsets,
                             .y = a->sum};
}

static nn_layernorm_args norm_of(const nn_adaln_args *a)
{
    return (nn_layernorm_args){.m = a->m,
                               .d = a->d,
                               .dtype = a->dtype,
                               .eps = a->eps,
                               .x = a->sum,
                               .y = a->y,
                               .mean = a->mean,
                               .rstd = a->rstd,
                               .shift = a->shift,
                               .scale = a->scale,
                               .mod_stride = a->mod_stride,
                               .segment = a->segment,
                               .offsets = a->offsets,
                               .segments = a->segments};
}

void nn_cpu_adaln_fwd(nn_backend *be, const nn_adaln_args *a)
{
    nn_segment_args gate = gate_of(a);
    nn_layernorm_args norm = norm_of(a);
    nn_cpu_gate_fwd(be, &gate);
    nn_cpu_layernorm_fwd(be, &norm);
}

static void add_block(nn_backend *be, const nn_adaln_args *a, const char *from, void *to,
                      int64_t stride)
{
    nn_cpu_columns(be, &(nn_columns_args){.m = a->segments,
                                          .columns = a->d,
                                          .src_stride = a->d,
                                          .dst_stride = stride,
                                          .dtype = a->dtype,
                                          .src = from,
                                          .dst = to,
                                          .add = true});
}

void nn_cpu_adaln_bwd(nn_backend *be, const nn_adaln_args *a)
{
    cpu_backend *cpu = nn_cpu(be);
    const size_t size = a->dtype == NN_BF16 ? 2 : 4;
    const size_t rows = (size_t)(a->m * a->d) * size, blocks = (size_t)(a->segments * a->d) * size;
    char *own = malloc(rows + 3 * blocks + 1);
    if (!own) {
        if (cpu->err.code == ME_OK) me_fail_mem(&cpu->err, "a gradient");
        return;
    }
    char *dgate = own + rows, *dshift = dgate + blocks, *dscale = dshift + blocks;
    nn_layernorm_args norm = norm_of(a);
    norm.dy = a->dy;
    norm.dx = a->dsum ? (void *)own : a->dx;
    if (a->dgate) {
        norm.dshift = dshift;
        norm.dscale = dscale;
        norm.dmod_stride = a->d;
    }
    nn_cpu_layernorm_bwd(be, &norm);
    if (a->dsum)
        nn_cpu_axpby(be, &(nn_map_args){.n = a->m * a->d,
                                        .dtype = a->dtype,
                                        .a = a->dsum,
                                        .b = own,
                                        .y = a->dx,
                                        .alpha = 1,
                                        .beta = 1});
    nn_segment_args gate = gate_of(a);
    gate.dy = a->dx;
    gate.dh = a->dh;
    gate.dg = a->dgate ? dgate : NULL;
    gate.dg_stride = a->d;
    nn_cpu_gate_bwd(be, &gate);
    if (a->dgate) {
        add_block(be, a, dgate, a->dgate, a->gate_stride);
        add_block(be, a, dshift, a->dshift, a->mod_stride);
        add_block(be, a, dscale, a->dscale, a->mod_stride);
    }
    free(own);
}
