/* reports/reports.c: see report.h. */
#include <string.h>

#include "core/json.h"
#include "metrics/result.h"
#include "reports/report.h"

const report *const report_list[] = {
#define X(id) &report_##id,
    REPORT_LIST(X)
#undef X
        NULL,
};

const report *report_find(const char *name)
{
    for (int i = 0; report_list[i]; i++)
        if (strcmp(report_list[i]->name, name) == 0 || strcmp(report_list[i]->extension, name) == 0)
            return report_list[i];
    return NULL;
}

me_code report_write_file(const report *writer, const char *path, const me_value *document,
                          const report_options *options, me_err *err)
{
    me_writer w;
    me_code code = me_writer_open(&w, path, err);
    if (code) return code;
    if ((code = writer->write(&w, document, options, err))) {
        me_writer_abort(&w);
        return code;
    }
    return me_writer_commit(&w, err);
}

me_code report_write_all(const char *folder, const char *name, const me_value *document,
                         const report_options *options, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_code code = ME_OK;
    for (int i = 0; report_list[i] && !code; i++) {
        if (report_list[i] == &report_json) continue;
        const char *path =
            me_arena_printf(&arena, "%s/%s.%s", folder, name, report_list[i]->extension);
        code = path ? report_write_file(report_list[i], path, document, options, err)
                    : me_fail_mem(err, "a report");
    }
    const char *path = me_arena_printf(&arena, "%s/%s.json", folder, name);
    if (!code) code = path ? me_json_write(path, document, err) : me_fail_mem(err, "a report");
    me_arena_release(&arena);
    return code;
}

/* A document with "rows". */
static me_code check_rows(const me_value *document, const char *name, me_err *err)
{
    static const struct {
        const char *path;
        me_kind kind;
    } wanted[] = {
        {"samples", ME_DICT}, {"protocols", ME_DICT}, {"provenance", ME_DICT}, {"rows", ME_LIST}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const me_value *v = me_dict_get(document, wanted[i].path);
        if (!v || v->kind != wanted[i].kind)
            return me_fail(err, ME_EFORMAT, "%s: %s is %s, wanted %s", name, wanted[i].path,
                           v ? me_kind_name(v->kind) : "absent", me_kind_name(wanted[i].kind));
    }
    const me_value *rows = me_dict_get(document, "rows");
    for (size_t i = 0; i < rows->as.list.length; i++) {
        const me_value *title = me_dict_get(rows->as.list.items[i], "name");
        if (!title || title->kind != ME_STRING)
            return me_fail(err, ME_EFORMAT, "%s: rows[%zu] has no name", name, i);
    }
    return ME_OK;
}

me_code report_check(const me_value *document, const char *name, me_err *err)
{
    const me_value *schema = me_dict_get(document, "schema");
    if (me_string_equals(schema, REPORT_REPRODUCTION_SCHEMA))
        return check_rows(document, name, err);
    if (me_string_equals(schema, REPORT_COMPARISON_SCHEMA)) {
        const me_value *all = me_dict_get(document, "comparisons");
        return all && all->kind == ME_LIST
                   ? check_rows(document, name, err)
                   : me_fail(err, ME_EFORMAT, "%s: a comparison without a list of comparisons",
                             name);
    }
    if (!me_string_equals(schema, REPORT_BOARD_SCHEMA))
        return metric_result_check(document, name, err);
    const me_value *groups = me_dict_get(document, "groups");
    me_code code = groups && groups->kind == ME_LIST
                       ? ME_OK
                       : me_fail(err, ME_EFORMAT, "%s: a board without a list of groups", name);
    for (size_t i = 0; !code && i < groups->as.list.length; i++)
        code = check_rows(groups->as.list.items[i], name, err);
    return code;
}

report_options report_options_default(void)
{
    return (report_options){true, true, true};
}
