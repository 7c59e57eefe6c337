/* reports/reports.c: see report.h. */
#include <string.h>

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

report_options report_options_default(void)
{
    return (report_options){true, true, true};
}
