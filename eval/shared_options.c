/* eval/shared_options.c: see shared_options.h. */
#include "eval/shared_options.h"

#include <string.h>

nn_precision eval_precision(const char *name)
{
    if (!strcmp(name, "tf32")) return NN_TF32;
    return strcmp(name, "bf16") ? NN_FP32 : NN_BF16_MIXED;
}

tmr_gelu eval_gelu(const char *name)
{
    return strcmp(name, "erf") ? TMR_GELU_TANH : TMR_GELU_ERF;
}

me_code eval_report_find(const report **out, const char *format, me_err *err)
{
    *out = report_find(format);
    return *out ? ME_OK
                : me_fail(err, ME_EUSAGE,
                          "--format: no report '%s' (`mebench list reports` names them)", format);
}

report_options eval_report_options(const eval_report_choice *choice)
{
    return (report_options){.published = choice->published,
                            .baselines = choice->baselines,
                            .source = choice->source_table};
}
