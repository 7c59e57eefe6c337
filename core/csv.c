/* core/csv.c: CSV as RFC 4180 has it: commas, double quotes, fields kept to the byte. libcsv does
 * the grammar in its strict mode; here are the limits, the rectangle and the messages. */
#include "core/csv.h"

#include <csv.h>
#include <string.h>

#include "core/text_priv.h"

typedef struct table_reader {
    me_csv *out;
    char *bytes;    /* room for every field and its NUL */
    int64_t in_row; /* fields of the current row so far */
    const char *name;
    me_err *err;
} table_reader;

static void take_field(void *field, size_t size, void *user)
{
    table_reader *r = user;
    if (size) memcpy(r->bytes, field, size);
    r->bytes[size] = '\0';
    r->out->cells[r->out->rows][r->in_row++] = r->bytes;
    r->bytes += size + 1;
}

static void take_row(int terminator, void *user)
{
    (void)terminator;
    table_reader *r = user;
    me_csv *out = r->out;
    if (out->rows == 0) out->columns = r->in_row;
    if (r->in_row != out->columns)
        me_fail(r->err, ME_EFORMAT, "%s: row %lld has %lld fields, the header has %lld", r->name,
                (long long)out->rows + 1, (long long)r->in_row, (long long)out->columns);
    char **row = out->cells[out->rows++];
    out->cells[out->rows] = row + r->in_row;
    r->in_row = 0;
}

/* Spaces belong to a field (RFC 4180, 2.4); libcsv would strip them. */
static int never(unsigned char c)
{
    (void)c;
    return 0;
}

/* Upper bounds: a separator ends each field but the last, a line end each row but the last. Every
 * field takes at least its size and a separator from the text, so that size + 1 bytes hold them
 * all. */
static me_code make_room(table_reader *r, const char *text, size_t size)
{
    size_t fields = 1, rows = 1;
    for (size_t i = 0; i < size; i++) {
        bool line_end = text[i] == '\n' || text[i] == '\r';
        rows += line_end;
        fields += line_end || text[i] == ',';
    }
    me_arena *arena = &r->out->arena;
    r->out->cells = ME_NEW_ARRAY(arena, rows + 1, char **);
    char **cells = ME_NEW_ARRAY(arena, fields, char *);
    r->bytes = ME_NEW_ARRAY(arena, size + 1, char);
    if (!r->out->cells || !cells || !r->bytes) return me_fail_mem(r->err, r->name);
    r->out->cells[0] = cells;
    return ME_OK;
}

static me_code read_table(table_reader *r, const char *text, size_t size)
{
    struct csv_parser parser;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI)) return me_fail_mem(r->err, r->name);
    csv_set_space_func(&parser, never);
    size_t done = csv_parse(&parser, text, size, take_field, take_row, r);
    if (done == size) csv_fini(&parser, take_field, take_row, r);
    int status = csv_error(&parser);
    csv_free(&parser);
    if (status == CSV_ENOMEM || status == CSV_ETOOBIG) return me_fail_mem(r->err, r->name);
    if (status)
        return me_fail(r->err, ME_EFORMAT, "%s: row %lld: a quote that %s (write \"\" for one)",
                       r->name, (long long)r->out->rows + 1,
                       done == size ? "is not closed" : "stands inside a field");
    return ME_OK;
}

me_code me_csv_parse(me_csv *out, const char *text, size_t size, const char *name, me_err *err)
{
    me_err local = {0}; /* the callbacks of libcsv cannot return a code */
    memset(out, 0, sizeof *out);
    me_code code = me_text_begin(&text, &size, "CSV", name, err);
    if (code) return code;
    const char *nul = size ? memchr(text, '\0', size) : NULL;
    if (nul)
        return me_fail(err, ME_EFORMAT, "%s: a NUL at byte %zu (not a text file, or UTF-16?)", name,
                       (size_t)(nul - text));
    table_reader r = {out, NULL, 0, name, &local};
    code = make_room(&r, text, size);
    if (!code) code = read_table(&r, text, size);
    if (!code) code = local.code;
    if (!code && !out->rows)
        code = me_fail(&local, ME_EFORMAT, "%s: expected a header row, found no text", name);
    if (!code) return ME_OK;
    me_csv_close(out);
    return me_fail(err, code, "%s", local.msg);
}

me_code me_csv_open(me_csv *out, const char *path, me_err *err)
{
    memset(out, 0, sizeof *out);
    me_bytes bytes = {0};
    me_code code = me_bytes_open(&bytes, path, err);
    if (code) return code;
    code = me_csv_parse(out, (const char *)bytes.data, bytes.size, path, err);
    me_bytes_close(&bytes);
    return code;
}

void me_csv_close(me_csv *csv)
{
    me_arena_release(&csv->arena);
    memset(csv, 0, sizeof *csv);
}

int64_t me_csv_column(const me_csv *csv, const char *name)
{
    for (int64_t i = 0; i < csv->columns; i++)
        if (strcmp(csv->cells[0][i], name) == 0) return i;
    return -1;
}

void me_csv_put(me_writer *w, const char *field, bool last)
{
    size_t n = strlen(field);
    /* An empty last field is quoted: a row of it alone would read as a blank line. Spaces at the
     * ends are quoted because other readers strip them. */
    bool quote = strpbrk(field, ",\"\r\n") || (n ? field[0] == ' ' || field[n - 1] == ' ' : last);
    if (quote) {
        me_writer_put(w, "\"", 1);
        for (const char *c = field; *c; c++)
            me_writer_put(w, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
        me_writer_put(w, "\"", 1);
    } else {
        me_writer_put(w, field, n);
    }
    me_writer_put(w, last ? "\n" : ",", 1);
}
