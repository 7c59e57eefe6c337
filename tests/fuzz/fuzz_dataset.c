/* Datasets and sample sets from any bytes that the document reader takes. */
#include <stdlib.h>
#include <string.h>

#include "motion/dataset_priv.h"
#include "motion/set_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    me_doc doc;
    if (me_doc_open_bytes(&doc, data, size, "fuzz", NULL)) return 0;
    motion_dataset dataset;
    motion_set set;
    me_err err = {0};
    memset(&dataset, 0, sizeof dataset);
    memset(&set, 0, sizeof set);
    dataset.arena.limit = set.arena.limit = 256u << 20;
    if (motion_dataset_parse(&dataset, &doc, size % 2, &err) == ME_OK) {
        for (int64_t i = 0; i < dataset.n; i++)
            if (motion_dataset_find(&dataset, dataset.pairs[i].key) != &dataset.pairs[i]) abort();
        motion_dataset_split(&dataset, doc.root, NULL);
    }
    motion_dataset_close(&dataset);
    err = (me_err){0};
    if (motion_set_parse(&set, &doc, "fuzz.npy", &err) == ME_OK)
        for (int64_t i = 0; i < set.n; i++)
            if (motion_set_find(&set, set.samples[i].key) != &set.samples[i]) abort();
    motion_set_close(&set);
    me_doc_close(&doc);
    return 0;
}
