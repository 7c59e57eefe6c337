/* Any bytes are refused, or become a rectangle of strings. */
#include <assert.h>
#include <string.h>

#include "core/csv.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    me_csv csv;
    me_err err = {0};
    me_code code = me_csv_parse(&csv, (const char *)data, size, "fuzz", &err);
    assert(code == err.code);
    assert(code ? !csv.cells : csv.rows > 0 && csv.columns > 0);
    size_t bytes = 0;
    for (int64_t row = 0; row < csv.rows; row++)
        for (int64_t column = 0; column < csv.columns; column++)
            bytes += strlen(csv.cells[row][column]) + 1;
    assert(bytes <= size + 1);
    me_csv_close(&csv);
    return 0;
}
