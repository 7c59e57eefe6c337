/* The BVH reader and the mapping to the 22 joints: any bytes give a clip of finite numbers or an
 * error. */
#include <stdlib.h>

#include "motion/bvh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    motion_bvh bvh;
    me_err err = {0};
    if (motion_bvh_parse(&bvh, (const char *)data, size, "fuzz", &err)) {
        if (err.code == ME_OK || err.msg[0] == 0) abort();
        return 0;
    }
    me_arena arena = {.limit = 256u << 20};
    motion_clip clip;
    motion_retarget_options options = {.drop_first = size % 2 ? -1 : 0,
                                       .rest_alignment = size % 3 == 0};
    if (!motion_bvh_to_clip(&clip, &arena, &bvh, &options, &err)) {
        for (int64_t i = 0; i < clip.frames * MOTION_POSE; i++)
            if (clip.pose[i] - clip.pose[i] != 0) abort();
    }
    me_arena_release(&arena);
    motion_bvh_close(&bvh);
    return 0;
}
