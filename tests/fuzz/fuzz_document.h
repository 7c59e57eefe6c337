/* tests/fuzz/fuzz_document.h: the target of the containers that are read through the document,
 * which chooses the reader. Each has seeds of its own, and so a program of its own. */
#ifndef TESTS_FUZZ_DOCUMENT_H
#define TESTS_FUZZ_DOCUMENT_H

#include "core/doc.h"
#include "tests/fuzz/fuzz_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    me_doc doc;
    me_err err = {0};
    if (me_doc_open_bytes(&doc, data, size, "fuzz", &err) == ME_OK) {
        if (doc.root) fuzz_walk(doc.root);
        if (doc.metadata) fuzz_walk(doc.metadata);
        me_doc_close(&doc);
    }
    return 0;
}

#endif
