/* core/csv.h: the one door to libcsv.
 *
 * Comma-separated UTF-8 text with a header row (RFC 4180). Fields are kept to the byte, spaces too;
 * blank lines are skipped; a byte order mark at the start is. Refused, with the number of the row
 * (the header is row 1 in messages): rows of another length than the header, stray or open quotes,
 * NUL bytes.
 */
#ifndef ME_CORE_CSV_H
#define ME_CORE_CSV_H

#include "core/file.h"

typedef struct me_csv {
    int64_t rows, columns; /* the header is row 0; every row must have as many fields */
    char ***cells;         /* cells[row][column] */
    me_arena arena;
} me_csv;

me_code me_csv_open(me_csv *out, const char *path, me_err *err);
me_code me_csv_parse(me_csv *out, const char *text, size_t size, const char *name, me_err *err);
void me_csv_close(me_csv *csv);
int64_t me_csv_column(const me_csv *csv, const char *name); /* -1 when absent */
/* One field, quoted where needed, and the separator or line end after it. Errors stay in the
 * writer. */
void me_csv_put(me_writer *w, const char *field, bool last);

#endif
