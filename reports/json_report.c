/* reports/json_report.c: the result document itself. */
#include <string.h>

#include "core/json.h"
#include "reports/report.h"

static me_code json_write(me_writer *w, const me_value *result, const report_options *options,
                          me_err *err)
{
    (void)options; /* the document is whole or it is not the document */
    me_arena arena;
    me_arena_init(&arena);
    char *text;
    me_code code = me_json_text(&text, &arena, result, err);
    if (code == ME_OK) {
        size_t size = strlen(text);
        me_writer_put(w, text, size);
        if (size && text[size - 1] != '\n') me_writer_put(w, "\n", 1);
    }
    me_arena_release(&arena);
    return code;
}

const report report_json = {
    .name = "json",
    .extension = "json",
    .doc = "The result document, schema mebench.result/1, with every number unrounded.",
    .write = json_write,
};
