/* eval/shared_options.h: options that several commands share, and their values. */
#ifndef EVAL_SHARED_OPTIONS_H
#define EVAL_SHARED_OPTIONS_H

#include "nn/tensor.h"
#include "reports/report.h"
#include "tmr/encoder.h"

/* "fp32", "tf32", "bf16", as the option table has checked. */
nn_precision eval_precision(const char *name);
tmr_gelu eval_gelu(const char *name); /* "tanh", "erf"; "both" is tanh */

/* What is shown of a document, and in which form. */
typedef struct eval_report_choice {
    const char *format;
    bool baselines, published, source_table;
} eval_report_choice;

/* ME_EUSAGE where no report has that name. */
me_code eval_report_find(const report **out, const char *format, me_err *err);
report_options eval_report_options(const eval_report_choice *choice);

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

/* Rows for what prints a document that is there; T has a member `report`, an eval_report_choice. */
#define EVAL_REPORT_OPTIONS(T)                                                                     \
    {.name = "format", .type = ME_OPT_STRING, .offset = offsetof(T, report.format),                \
     .fallback = "table", .value = "NAME",                                                         \
     .help = "table, json, csv, markdown or latex (`mebench list reports`)"},                      \
    {.name = "baselines", .type = ME_OPT_BOOL, .offset = offsetof(T, report.baselines),            \
     .fallback = "true", .help = "ground truth, copy-source and chance"},                          \
    {.name = "published", .type = ME_OPT_BOOL, .offset = offsetof(T, report.published),            \
     .fallback = "true", .help = "published rows of the same subset"},                             \
    {.name = "source-table", .type = ME_OPT_BOOL, .offset = offsetof(T, report.source_table),      \
     .fallback = "true", .help = "the generated-to-source table too"}
// clang-format on

#endif
