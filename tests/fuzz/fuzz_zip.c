/* Any bytes are refused, or become entries whose every byte can be read. */
#include <assert.h>
#include <string.h>

#include "core/zip.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    for (int names_only = 0; names_only < 2; names_only++) {
        me_zip z;
        me_err err = {0};
        me_code code = me_zip_open(&z, data, size, "fuzz", names_only, &err);
        assert(code == err.code);
        assert(!code || (!z.entries && !z.owned && z.n == 0));
        volatile unsigned char last = 0;
        for (int64_t i = 0; i < z.n; i++) {
            const me_zip_entry *entry = &z.entries[i];
            assert(me_zip_find(&z, entry->name) == entry);
            assert(names_only ? !entry->data : entry->data != NULL);
            for (size_t at = 0; entry->data && at < entry->size; at += 61) last ^= entry->data[at];
            if (entry->data && entry->size) last ^= entry->data[entry->size - 1];
        }
        (void)last;
        me_zip_close(&z);
    }
    return 0;
}
