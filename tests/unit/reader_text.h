/* tests/unit/reader_text.h: a value as one line of text, in the notation of
 * tests/tools/make_reader_cases.py, so that what we read can be compared with what Python reads. */
#ifndef TESTS_READER_TEXT_H
#define TESTS_READER_TEXT_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/value.h"

static inline void reader_number(FILE *f, const me_array *a, int64_t i, const void *same)
{
    me_array one = {.dtype = a->dtype,
                    .data = (const unsigned char *)same + (size_t)i * me_dtype_size(a->dtype)};
    double x = 0;
    if (a->dtype == ME_C64 || a->dtype == ME_C128) {
        one.dtype = a->dtype == ME_C64 ? ME_F32 : ME_F64;
        me_array_read_f64(&one, &x, NULL);
        fprintf(f, "%.9g ", x);
        one.data += me_dtype_size(one.dtype);
    }
    me_array_read_f64(&one, &x, NULL);
    fprintf(f, "%.9g", x);
}

static inline void reader_show(FILE *f, const me_value *v)
{
    switch (v->kind) {
    case ME_NONE:
        fputs("None", f);
        break;
    case ME_BOOLEAN:
        fputs(v->as.boolean ? "True" : "False", f);
        break;
    case ME_INT:
        fprintf(f, "%" PRId64, v->as.integer);
        break;
    case ME_FLOAT:
        fprintf(f, "%.9g", v->as.number);
        break;
    case ME_STRING:
        fprintf(f, "\"%s\"", v->as.string.data);
        break;
    case ME_OBJECT:
        fprintf(f, "<%s>", v->as.string.data);
        break;
    case ME_BYTES:
        fputc('b', f);
        for (size_t i = 0; i < v->as.string.length; i++)
            fprintf(f, "%02x", (unsigned char)v->as.string.data[i]);
        break;
    case ME_LIST:
        fputc('[', f);
        for (size_t i = 0; i < v->as.list.length; i++) {
            if (i) fputs(", ", f);
            reader_show(f, v->as.list.items[i]);
        }
        fputc(']', f);
        break;
    case ME_DICT:
        fputc('{', f);
        for (size_t i = 0; i < v->as.dict.length; i++) {
            if (i) fputs(", ", f);
            reader_show(f, v->as.dict.keys[i]);
            fputs(": ", f);
            reader_show(f, v->as.dict.values[i]);
        }
        fputc('}', f);
        break;
    case ME_ARRAY: {
        const me_array *a = &v->as.array;
        int64_t n = me_array_count(a);
        void *same = malloc((size_t)n * me_dtype_size(a->dtype) + 1);
        me_array_read_same(a, same);
        fprintf(f, "%s(", me_dtype_name(a->dtype));
        for (int i = 0; i < a->ndim; i++) fprintf(f, "%s%" PRId64, i ? "," : "", a->shape[i]);
        fputs(")[", f);
        for (int64_t i = 0; i < n; i++) {
            if (i) fputc(' ', f);
            reader_number(f, a, i, same);
        }
        fputc(']', f);
        free(same);
        break;
    }
    }
}

/* malloc'ed text of a tree. */
static inline char *reader_text(const me_value *v)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    reader_show(f, v);
    fclose(f);
    return text;
}

#endif
