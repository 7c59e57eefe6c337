/* nn/cuda/cuda_upload.cu: copies from ordinary host memory to the device without waiting for the
 * device.
 *
 * Bytes go through a ring of pinned slots, from which the copy engine reads on its own, or a kernel
 * where they are few. Small uploads are packed into one slot after another; a slot is used again
 * only when the event recorded behind its last copy has passed. A large upload is limited by one
 * core's memcpy (about 10 GB/s), so several threads fill slots of their own.
 *
 * All copies are in the order of lane 0, so that one event says that those of a slot have passed.
 *
 * An upload ahead reads from pinned memory of the caller, on a stream of its own, so that it runs
 * beside the kernels.
 */
#include "nn/cuda/cuda_backend.cuh"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 8
#define SLOT_BYTES ((size_t)4 << 20)
#define WORKERS 4 /* divides SLOTS */
/* So many are read by a kernel: until the copy engine has begun, that has ended. */
#define FETCH_BYTES ((size_t)128 << 10)
#define LARGE_BYTES ((size_t)32 << 20)
#define HOST_HEADER 256 /* in front of a caller's pinned memory: its size */
#define SPARES 3        /* pieces of it that are kept for the next one who asks */

struct nn_cuda_staging {
    char *pinned; /* SLOTS * SLOT_BYTES */
    cudaEvent_t passed[SLOTS];
    int slot;    /* being filled by small uploads */
    size_t used; /* of it */

    cudaStream_t ahead;     /* of uploads ahead */
    cudaEvent_t queued;     /* what was queued when the last of them was asked for */
    cudaEvent_t arrived[2]; /* the last two of them */
    int turn;
    char *spare[SPARES];
};

typedef struct upload_part {
    nn_cuda *cu;
    char *dst;
    const char *host;
    size_t bytes;
    int worker;
    cudaError_t code;
} upload_part;

me_code nn_cuda_staging_open(nn_cuda *cu, me_err *err)
{
    struct nn_cuda_staging *s = (struct nn_cuda_staging *)calloc(1, sizeof *s);
    if (!s) return me_fail(err, ME_EMEM, "cuda: out of memory");
    cu->staging = s;
    cudaError_t code = cudaMallocHost((void **)&s->pinned, SLOTS * SLOT_BYTES);
    for (int i = 0; i < SLOTS && code == cudaSuccess; i++) {
        code = cudaEventCreateWithFlags(&s->passed[i], cudaEventDisableTiming);
    }
    if (code == cudaSuccess) code = cudaStreamCreateWithFlags(&s->ahead, cudaStreamNonBlocking);
    if (code == cudaSuccess) code = cudaEventCreateWithFlags(&s->queued, cudaEventDisableTiming);
    for (int i = 0; i < 2 && code == cudaSuccess; i++) {
        code = cudaEventCreateWithFlags(&s->arrived[i], cudaEventDisableTiming);
    }
    if (code == cudaSuccess) return ME_OK;
    return me_fail(err, ME_EDEVICE, "%s: pinned memory: %s", cu->base.device,
                   cudaGetErrorString(code));
}

void nn_cuda_staging_close(nn_cuda *cu)
{
    struct nn_cuda_staging *s = cu->staging;
    if (!s) return;
    for (int i = 0; i < SLOTS; i++) {
        if (s->passed[i]) cudaEventDestroy(s->passed[i]);
    }
    if (s->pinned) cudaFreeHost(s->pinned);
    for (int i = 0; i < SPARES; i++) {
        if (s->spare[i]) cudaFreeHost(s->spare[i]);
    }
    for (int i = 0; i < 2; i++) {
        if (s->arrived[i]) cudaEventDestroy(s->arrived[i]);
    }
    if (s->queued) cudaEventDestroy(s->queued);
    if (s->ahead) cudaStreamDestroy(s->ahead);
    free(s);
    cu->staging = NULL;
}

/* Copies `bytes` <= SLOT_BYTES through `slot`, once its earlier copies have been read. */
static cudaError_t through_slot(nn_cuda *cu, int slot, char *dst, const char *host, size_t bytes)
{
    struct nn_cuda_staging *s = cu->staging;
    char *pinned = s->pinned + (size_t)slot * SLOT_BYTES;
    cudaError_t code = cudaEventSynchronize(s->passed[slot]);
    if (code != cudaSuccess) return code;
    memcpy(pinned, host, bytes);
    code = cudaMemcpyAsync(dst, pinned, bytes, cudaMemcpyHostToDevice, cu->lanes[0].stream);
    if (code == cudaSuccess) code = cudaEventRecord(s->passed[slot], cu->lanes[0].stream);
    return code;
}

/* Worker w takes every WORKERS-th piece and owns the slots w, w + WORKERS, ... */
static void *upload_pieces(void *arg)
{
    upload_part *part = (upload_part *)arg;
    part->code = cudaSetDevice(part->cu->device);
    int turn = 0;
    for (size_t at = (size_t)part->worker * SLOT_BYTES;
         at < part->bytes && part->code == cudaSuccess; at += WORKERS * SLOT_BYTES) {
        size_t piece = part->bytes - at < SLOT_BYTES ? part->bytes - at : SLOT_BYTES;
        int slot = part->worker + WORKERS * (turn++ % (SLOTS / WORKERS));
        part->code = through_slot(part->cu, slot, part->dst + at, part->host + at, piece);
    }
    return NULL;
}

static void upload_large(nn_cuda *cu, char *dst, const char *host, size_t bytes)
{
    pthread_t threads[WORKERS];
    bool started[WORKERS] = {false};
    upload_part parts[WORKERS];
    for (int w = 0; w < WORKERS; w++) {
        parts[w] = (upload_part){cu, dst, host, bytes, w, cudaSuccess};
        started[w] = w > 0 && pthread_create(&threads[w], NULL, upload_pieces, &parts[w]) == 0;
    }
    for (int w = 0; w < WORKERS; w++) {
        if (!started[w]) upload_pieces(&parts[w]);
    }
    for (int w = 0; w < WORKERS; w++) {
        if (started[w]) pthread_join(threads[w], NULL);
        nn_cuda_check(cu, parts[w].code, "upload");
    }
}

static void upload(nn_cuda *cu, void *dst, const void *host, size_t bytes)
{
    struct nn_cuda_staging *s = cu->staging;
    if (cu->capturing) {
        nn_cuda_fail(cu, "%s: an upload was asked for inside a graph", cu->base.device);
        return;
    }
    cudaError_t code = cudaSuccess;
    if (s->used + bytes > SLOT_BYTES) { /* leave this slot behind its copies */
        code = cudaEventRecord(s->passed[s->slot], cu->lanes[0].stream);
        s->slot = (s->slot + 1) % SLOTS;
        s->used = 0;
        if (bytes <= SLOT_BYTES && code == cudaSuccess) {
            code = cudaEventSynchronize(s->passed[s->slot]);
        }
    }
    if (bytes >= LARGE_BYTES && code == cudaSuccess) {
        upload_large(cu, (char *)dst, (const char *)host, bytes);
        s->used = SLOT_BYTES; /* every slot is in use: the next upload waits for the one it takes */
        return;
    }
    for (size_t at = 0; bytes > SLOT_BYTES && at < bytes && code == cudaSuccess; at += SLOT_BYTES) {
        size_t piece = bytes - at < SLOT_BYTES ? bytes - at : SLOT_BYTES;
        code = through_slot(cu, s->slot, (char *)dst + at, (const char *)host + at, piece);
        s->slot = (s->slot + 1) % SLOTS;
        s->used = SLOT_BYTES;
    }
    if (bytes <= SLOT_BYTES && code == cudaSuccess) {
        char *pinned = s->pinned + (size_t)s->slot * SLOT_BYTES + s->used;
        memcpy(pinned, host, bytes);
        if (bytes <= FETCH_BYTES)
            nn_cuda_fetch(cu, dst, pinned, bytes);
        else
            code = cudaMemcpyAsync(dst, pinned, bytes, cudaMemcpyHostToDevice, cu->lanes[0].stream);
        s->used = (s->used + bytes + 255) & ~(size_t)255;
    }
    nn_cuda_check(cu, code, "upload");
}

void nn_cuda_upload(nn_backend *be, void *dst, const void *host, size_t bytes)
{
    if (bytes == 0) return;
    upload(nn_cuda_of(be), dst, host, bytes);
    nn_cuda_catch_up(nn_cuda_of(be));
}

/* ---- uploads ahead -----------------------------------------------------------------------------
 */

/* Pinning takes milliseconds, so what is released waits for the next one who asks. */
me_code nn_cuda_host_alloc(nn_backend *be, size_t bytes, void **out, me_err *err)
{
    nn_cuda *cu = nn_cuda_of(be);
    struct nn_cuda_staging *s = cu->staging;
    *out = NULL;
    if (bytes > SIZE_MAX / 2) return me_fail(err, ME_EMEM, "cuda: out of pinned memory");
    int best = -1; /* the smallest that is large enough */
    for (int i = 0; i < SPARES; i++) {
        if (!s->spare[i] || *(size_t *)s->spare[i] < bytes) continue;
        if (best < 0 || *(size_t *)s->spare[i] < *(size_t *)s->spare[best]) best = i;
    }
    if (best >= 0) {
        *out = s->spare[best] + HOST_HEADER;
        s->spare[best] = NULL;
        return ME_OK;
    }
    char *p;
    cudaError_t code = cudaMallocHost((void **)&p, bytes + HOST_HEADER);
    if (code != cudaSuccess) {
        cudaGetLastError();
        return me_fail(err, ME_EMEM, "%s: %zu MiB of pinned memory: %s", be->device, bytes >> 20,
                       cudaGetErrorString(code));
    }
    *(size_t *)p = bytes;
    *out = p + HOST_HEADER;
    return ME_OK;
}

void nn_cuda_host_release(nn_backend *be, void *p)
{
    struct nn_cuda_staging *s = nn_cuda_of(be)->staging;
    if (!p) return;
    char *piece = (char *)p - HOST_HEADER;
    for (int i = 0; i < SPARES; i++) {
        if (s->spare[i]) continue;
        s->spare[i] = piece;
        return;
    }
    cudaFreeHost(piece);
}

void nn_cuda_upload_ahead(nn_backend *be, void *dst, const void *host, size_t bytes)
{
    nn_cuda *cu = nn_cuda_of(be);
    struct nn_cuda_staging *s = cu->staging;
    if (cu->capturing) {
        nn_cuda_fail(cu, "%s: an upload was asked for inside a graph", be->device);
        return;
    }
    cudaEvent_t arrived = s->arrived[s->turn], before = s->arrived[1 - s->turn];
    cudaError_t code = cudaSuccess;
    if (!cu->ahead_ordered) code = cudaEventRecord(s->queued, cu->lanes[0].stream);
    cu->ahead_ordered = true;
    if (code == cudaSuccess) code = cudaStreamWaitEvent(s->ahead, s->queued, 0);
    if (code == cudaSuccess && bytes > 0) {
        code = cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, s->ahead);
    }
    if (code == cudaSuccess) code = cudaEventRecord(arrived, s->ahead);
    if (code == cudaSuccess) code = cudaEventRecord(s->queued, cu->lanes[0].stream);
    if (code == cudaSuccess) code = cudaStreamWaitEvent(cu->lanes[0].stream, arrived, 0);
    if (code == cudaSuccess) code = cudaEventSynchronize(before);
    s->turn = 1 - s->turn;
    nn_cuda_check(cu, code, "upload ahead");
}
