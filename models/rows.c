/* models/rows.c: see rows.h. */
#include "models/rows.h"

#include <stdlib.h>
#include <string.h>

#include "nn/backend.h"

me_code model_rows_open(model_rows *out, nn_backend *be, int64_t n, int64_t columns, me_err *err)
{
    *out = (model_rows){.be = be, .n = n, .columns = columns};
    out->start = calloc((size_t)n + 1, sizeof *out->start);
    return out->start ? ME_OK : me_fail_mem(err, "training data");
}

static size_t bytes_of(const model_rows *r)
{
    return (size_t)r->start[r->n] * (size_t)r->columns * sizeof *r->host;
}

me_code model_rows_allocate(model_rows *r, me_err *err)
{
    if (r->start[r->n] > INT32_MAX)
        return me_fail(err, ME_EDATA, "%lld rows are more than a run can index; train on a part",
                       (long long)r->start[r->n]);
    r->host = malloc(bytes_of(r) + 1);
    return r->host ? ME_OK : me_fail_mem(err, "training data");
}

void model_rows_settle(model_rows *r, const char *what, me_log *log)
{
    void *device;
    if (r->be->alloc(r->be, bytes_of(r), &device, NULL) != ME_OK) {
        me_info(log, "%.1f GB of %s do not fit on %s: they stay in host memory",
                (double)bytes_of(r) / 1e9, what, r->be->device);
        return;
    }
    r->be->upload(r->be, device, r->host, bytes_of(r));
    r->device = (nn_tensor){
        .dtype = NN_F32, .ndim = 2, .shape = {r->start[r->n], r->columns}, .data = device};
    free(r->host);
    r->host = NULL;
}

void model_rows_close(model_rows *r)
{
    if (r->device.data) r->be->release(r->be, r->device.data);
    free(r->host);
    free(r->start);
    *r = (model_rows){0};
}

int64_t model_rows_longest(const model_rows *r)
{
    int64_t longest = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (r->start[i + 1] - r->start[i] > longest) longest = r->start[i + 1] - r->start[i];
    return longest;
}

static nn_tensor *from_device(nn_ctx *ctx, const model_rows *r, const int64_t *which, int64_t n,
                              int64_t count)
{
    int32_t *index = malloc((size_t)(count + 1) * sizeof *index), *p = index;
    nn_tensor *all = nn_new2(ctx, NN_F32, 0, r->columns);
    if (!index) me_fail_mem(&ctx->err, "a batch");
    if (!index || ctx->err.code) {
        free(index);
        return all;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = r->start[which[i]]; k < r->start[which[i] + 1]; k++) *p++ = (int32_t)k;
    *all = r->device;
    nn_tensor *batch = nn_gather(ctx, all, nn_index_new(ctx, index, count, r->start[r->n]));
    free(index);
    return batch;
}

static nn_tensor *from_host(nn_ctx *ctx, const model_rows *r, const int64_t *which, int64_t n,
                            int64_t count)
{
    const size_t row = (size_t)r->columns * sizeof(float);
    char *packed = malloc((size_t)count * row + 1), *p = packed;
    if (!packed) {
        me_fail_mem(&ctx->err, "a batch");
        return nn_new2(ctx, NN_F32, count, r->columns);
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = r->start[which[i]], rows = r->start[which[i] + 1] - from;
        memcpy(p, r->host + from * r->columns, (size_t)rows * row);
        p += (size_t)rows * row;
    }
    nn_tensor *batch = nn_from_host(ctx, (const float *)(void *)packed, count, r->columns);
    free(packed);
    return batch;
}

nn_tensor *model_rows_batch(nn_ctx *ctx, const model_rows *r, const int64_t *which, int64_t n,
                            int32_t *lengths)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = (int32_t)(r->start[which[i] + 1] - r->start[which[i]]);
        count += lengths[i];
    }
    return r->device.data ? from_device(ctx, r, which, n, count)
                          : from_host(ctx, r, which, n, count);
}
