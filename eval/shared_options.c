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
