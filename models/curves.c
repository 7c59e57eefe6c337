/* models/curves.c: see curves.h. The event file is a sequence of records: length, its masked
 * CRC-32C, an Event message in protocol buffer form, its masked CRC-32C. Four fields are all that
 * it takes.
 */
#include "models/curves.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"

#define MOST_COLUMNS 32

struct model_curves {
    FILE *csv, *events;
    char *path, *names[MOST_COLUMNS], prefix[32];
    int n;
};

/* ---- event records
 * -------------------------------------------------------------------------------------- */

static uint32_t crc32c(const unsigned char *p, size_t n)
{
    uint32_t c = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (0x82F63B78u & (0u - (c & 1)));
    }
    return ~c;
}

static uint32_t masked(uint32_t c)
{
    return (c >> 15 | c << 17) + 0xA282EAD8u;
}

typedef struct message {
    unsigned char bytes[256];
    size_t n;
} message;

static void put_byte(message *m, unsigned char b)
{
    if (m->n < sizeof m->bytes) m->bytes[m->n++] = b;
}

static void put_varint(message *m, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) put_byte(m, (unsigned char)(v | 0x80));
    put_byte(m, (unsigned char)v);
}

static void put_fixed(message *m, const void *value, size_t size) /* little-endian machines alone */
{
    for (size_t i = 0; i < size; i++) put_byte(m, ((const unsigned char *)value)[i]);
}

static void put_bytes(message *m, int field, const void *data, size_t n)
{
    put_varint(m, (uint64_t)field << 3 | 2);
    put_varint(m, n);
    put_fixed(m, data, n);
}

static void write_record(FILE *f, const message *m)
{
    uint64_t length = m->n;
    uint32_t length_crc = masked(crc32c((const unsigned char *)&length, sizeof length));
    uint32_t data_crc = masked(crc32c(m->bytes, m->n));
    fwrite(&length, sizeof length, 1, f);
    fwrite(&length_crc, sizeof length_crc, 1, f);
    fwrite(m->bytes, 1, m->n, f);
    fwrite(&data_crc, sizeof data_crc, 1, f);
}

static double wall_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Event { double wall_time = 1; string file_version = 3; } */
static void write_header(FILE *f)
{
    message m = {0};
    double now = wall_time();
    put_byte(&m, 1 << 3 | 1);
    put_fixed(&m, &now, sizeof now);
    put_bytes(&m, 3, "brain.Event:2", 13);
    write_record(f, &m);
}

/* Event { wall_time = 1; int64 step = 2; Summary { Value { string tag = 1; float simple_value = 2;
 * } = 1; } = 5; } */
static void write_scalar(FILE *f, int64_t step, const char *tag, double value)
{
    message v = {0}, summary = {0}, event = {0};
    float x = (float)value;
    double now = wall_time();
    put_bytes(&v, 1, tag, strlen(tag));
    put_byte(&v, 2 << 3 | 5);
    put_fixed(&v, &x, sizeof x);
    put_bytes(&summary, 1, v.bytes, v.n);
    put_byte(&event, 1 << 3 | 1);
    put_fixed(&event, &now, sizeof now);
    put_byte(&event, 2 << 3);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.bytes, summary.n);
    write_record(f, &event);
}

/* ---- the CSV
 * -----------------------------------------------------------------------------------------------
 */

/* Keeps the header and the rows whose step is not after `from`; false where there is nothing to
 * keep. */
static bool keep_rows(const char *path, int64_t from, const char *header)
{
    me_bytes old;
    if (from <= 0 || !me_file_exists(path) || me_bytes_open(&old, path, NULL) != ME_OK)
        return false;
    const char *p = (const char *)old.data, *stop = p + old.size;
    size_t keep = strlen(header);
    bool same = old.size >= keep && !memcmp(p, header, keep);
    for (const char *line = p + keep; same && line < stop;) {
        const char *eol = memchr(line, '\n', (size_t)(stop - line));
        if (!eol || strtoll(line, NULL, 10) > from) break;
        line = eol + 1;
        keep = (size_t)(line - p);
    }
    bool kept = same && me_file_write(path, old.data, keep, NULL) == ME_OK;
    me_bytes_close(&old);
    return kept;
}

me_code model_curves_open(model_curves **out, const char *path, const char *events,
                          const char *prefix, const char *const *columns, int n, int64_t from,
                          me_err *err)
{
    *out = NULL;
    if (n < 1 || n > MOST_COLUMNS) return me_fail(err, ME_EBUG, "%d columns of a curve", n);
    model_curves *c = calloc(1, sizeof *c);
    if (!c) return me_fail_mem(err, "curves");
    char header[1024] = "";
    c->n = n;
    c->path = strdup(path);
    snprintf(c->prefix, sizeof c->prefix, "%s", prefix);
    for (int i = 0; i < n; i++) {
        c->names[i] = strdup(columns[i]);
        size_t used = strlen(header);
        snprintf(header + used, sizeof header - used, "%s%s", columns[i], i + 1 < n ? "," : "\n");
    }
    bool kept = keep_rows(path, from, header);
    c->csv = fopen(path, kept ? "a" : "w");
    if (!c->csv) {
        me_fail(err, ME_EIO, "%s: %s", path, strerror(errno));
        model_curves_close(c, NULL);
        return ME_EIO;
    }
    if (!kept) fputs(header, c->csv);
    if (events) {
        char name[4096];
        snprintf(name, sizeof name, "%s/events.out.tfevents.%lld.%ld.%.*s", events,
                 (long long)time(NULL), (long)getpid(), (int)strcspn(c->prefix, "/"), c->prefix);
        c->events = fopen(name, "wb");
        if (!c->events) {
            me_fail(err, ME_EIO, "%s: %s", name, strerror(errno));
            model_curves_close(c, NULL);
            return ME_EIO;
        }
        write_header(c->events);
    }
    *out = c;
    return ME_OK;
}

me_code model_curves_add(model_curves *c, const double *values, me_err *err)
{
    for (int i = 0; i < c->n; i++) {
        if (isfinite(values[i])) fprintf(c->csv, "%.9g", values[i]);
        fputc(i + 1 < c->n ? ',' : '\n', c->csv);
        if (c->events && i && isfinite(values[i])) {
            char tag[96];
            snprintf(tag, sizeof tag, "%s%s", c->prefix, c->names[i]);
            write_scalar(c->events, (int64_t)values[0], tag, values[i]);
        }
    }
    if (fflush(c->csv) || (c->events && fflush(c->events)))
        return me_fail(err, ME_EIO, "%s: cannot be written: %s", c->path, strerror(errno));
    return ME_OK;
}

me_code model_curves_close(model_curves *c, me_err *err)
{
    if (!c) return ME_OK;
    int failed = 0;
    if (c->csv) failed |= fclose(c->csv);
    if (c->events) failed |= fclose(c->events);
    me_code code = failed
                       ? me_fail(err, ME_EIO, "%s: cannot be written: %s", c->path, strerror(errno))
                       : ME_OK;
    for (int i = 0; i < c->n; i++) free(c->names[i]);
    free(c->path);
    free(c);
    return code;
}
