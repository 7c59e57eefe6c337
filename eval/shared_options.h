/* eval/shared_options.h: values of options that several commands share. */
#ifndef EVAL_SHARED_OPTIONS_H
#define EVAL_SHARED_OPTIONS_H

#include "nn/tensor.h"
#include "tmr/encoder.h"

/* "fp32", "tf32", "bf16", as the option table has checked. */
nn_precision eval_precision(const char *name);
tmr_gelu eval_gelu(const char *name); /* "tanh", "erf"; "both" is tanh */

// clang-format off
/* Rows of an option table for what runs on a device; T has the members device, precision, threads. */
#define EVAL_DEVICE_OPTIONS(T)                                                                     \
    {.name = "device", .type = ME_OPT_STRING, .offset = offsetof(T, device), .fallback = "auto",   \
     .value = "NAME", .help = "auto, cpu, cuda or cuda:N"},                                        \
    {.name = "precision", .type = ME_OPT_CHOICE, .offset = offsetof(T, precision),                 \
     .fallback = "fp32", .choices = "fp32|tf32|bf16",                                              \
     .help = "of matrix products on a GPU; the CPU computes fp32"},                                \
    {.name = "threads", .type = ME_OPT_INT, .offset = offsetof(T, threads), .fallback = "0",       \
     .lo = 0, .hi = 4096, .value = "N", .help = "0: all cores; results do not depend on it"}
// clang-format on

#endif
