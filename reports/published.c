/* reports/published.c: see published.h. The data file is read where it stands at build time, from
 * the root of the repository, as every compilation here is. */
#include "reports/published.h"

#include <string.h>

#include "core/json.h"

__asm__(".section .rodata\n"
        ".global report_published_begin\n"
        ".global report_published_end\n"
        "report_published_begin:\n"
        ".incbin \"reports/published.json\"\n"
        "report_published_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char report_published_begin[], report_published_end[];

me_code report_published(me_value **out, me_arena *arena, me_err *err)
{
    return me_json_parse(out, arena, report_published_begin,
                         (size_t)(report_published_end - report_published_begin),
                         "reports/published.json", err);
}

bool report_same_items(const me_value *block, const report_items *items)
{
    const me_value *n = me_dict_get(block, "n"), *subset = me_dict_get(block, "subset");
    return items->benchmark && items->complete && n && n->kind == ME_INT &&
           n->as.integer == items->n && subset && items->subset &&
           me_string_equals(subset, items->subset);
}
