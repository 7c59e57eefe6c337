/* Any bytes are refused, or become a value whose text reads back as the same text. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    me_arena arena = {0};
    me_value *v;
    me_err err = {0};
    me_code code = me_json_parse(&v, &arena, (const char *)data, size, "fuzz", &err);
    assert((code == ME_OK) == (v != NULL));
    assert(code == err.code);
    if (!code) {
        char *text, *again;
        code = me_json_text(&text, &arena, v, &err);
        assert(code == ME_OK);
        code = me_json_parse(&v, &arena, text, strlen(text), "again", &err);
        assert(code == ME_OK);
        code = me_json_text(&again, &arena, v, &err);
        assert(code == ME_OK && strcmp(text, again) == 0);
    }
    me_arena_release(&arena);
    return 0;
}
