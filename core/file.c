/* core/file.c: see file.h. */
#include "core/file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *me_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool me_has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcasecmp(s + n - m, suffix) == 0;
}

bool me_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool me_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

const char *me_path_join(me_arena *arena, const char *folder, const char *name)
{
    size_t n = strlen(folder);
    return me_arena_printf(arena, "%s%s%s", folder, n == 0 || folder[n - 1] == '/' ? "" : "/",
                           name);
}

/* ---- names -------------------------------------------------------------------------------------
 */

#define WORD_MAX 64

/* Edits (insert, delete, replace, swap of neighbours; case ignored) between words of up to WORD_MAX
 * bytes. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), rows[3][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = above[j - 1] + (strncasecmp(a + i - 1, b + j - 1, 1) != 0);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two[j - 2] + 1 < best)
                best = two[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *me_nearest(const char *word, const char *const *candidates, int64_t n)
{
    const char *nearest = NULL;
    size_t length = strlen(word), best = 1 + length / 3; /* at most a third of the word is wrong */
    for (int64_t i = 0; i < n; i++) {
        size_t d = edit_distance(word, candidates[i]);
        if (d < best || (d == best && !nearest && d < length)) {
            best = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

me_code me_list_directory(me_names *out, me_arena *arena, const char *path, me_err *err)
{
    *out = (me_names){0};
    DIR *d = opendir(path);
    if (!d) return me_fail(err, ME_EIO, "%s: cannot list: %s", path, strerror(errno));
    me_code code = ME_OK;
    int64_t capacity = 0;
    for (errno = 0;; errno = 0) {
        struct dirent *e = readdir(d);
        if (!e) {
            if (errno) code = me_fail(err, ME_EIO, "%s: cannot list: %s", path, strerror(errno));
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (out->n == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            char **bigger = ME_NEW_ARRAY(arena, capacity, char *);
            if (bigger && out->n) memcpy(bigger, out->items, (size_t)out->n * sizeof *bigger);
            out->items = bigger;
        }
        char *name = out->items ? me_arena_strdup(arena, e->d_name) : NULL;
        if (!name) {
            code = me_fail_mem(err, "a directory's names");
            break;
        }
        out->items[out->n++] = name;
    }
    closedir(d);
    if (code != ME_OK)
        *out = (me_names){0};
    else if (out->n)
        qsort(out->items, (size_t)out->n, sizeof *out->items, by_bytes);
    return code;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static me_code fail_open(const char *path, int cause, me_err *err)
{
    me_code code = ME_EIO;
    me_arena arena = {0};
    const char *near = NULL, *base = me_path_base(path);
    if (cause == ENOENT) {
        char *folder = me_arena_strndup(&arena, path, (size_t)(base - path));
        me_names names = {0};
        if (folder && me_list_directory(&names, &arena, *folder ? folder : ".", NULL) == ME_OK)
            near = me_nearest(base, (const char *const *)names.items, names.n);
        if (folder && *folder && !me_is_directory(folder))
            code =
                me_fail(err, ME_EIO, "%s: no such file (nor is there a folder %s)", path, folder);
    }
    if (near)
        code = me_fail(err, ME_EIO, "%s: no such file (did you mean %s, in the same folder?)", path,
                       near);
    else
        code =
            me_fail(err, code, "%s: %s", path, cause == ENOENT ? "no such file" : strerror(cause));
    me_arena_release(&arena);
    return code;
}

/* Room for `capacity` bytes; false when memory is out. */
static bool allocate(me_bytes *b, size_t capacity)
{
    if (capacity < 2 * ME_HUGE_PAGE)
        b->data = malloc(capacity ? capacity : 1);
    else
        b->data = b->pages = me_pages_take(capacity, &b->mapped);
    return b->data;
}

/* Room for more than a file seemed to hold. */
static bool reallocate(me_bytes *b, size_t capacity)
{
    unsigned char *bigger = realloc(b->pages ? NULL : b->data, capacity);
    if (!bigger) return false;
    if (b->pages) {
        memcpy(bigger, b->data, b->size);
        me_pages_give(b->pages, b->mapped);
        b->pages = NULL;
        b->mapped = 0;
    }
    b->data = bigger;
    return true;
}

void me_bytes_give(me_bytes *b, const unsigned char *end, me_arena *arena)
{
    /* malloc's pages may be huge ones, of which a part would only be marked, not given back. */
    const uintptr_t page = b->pages ? (uintptr_t)sysconf(_SC_PAGESIZE) : ME_HUGE_PAGE;
    const uintptr_t from = ((uintptr_t)(b->pages ? b->pages : b->data) + page - 1) & ~(page - 1),
                    to = (uintptr_t)end & ~(page - 1);
    if ((uintptr_t)end > (uintptr_t)b->data + b->size || to <= from) return;
    if (!b->pages) {
        madvise((void *)from, to - from, MADV_DONTNEED);
        return;
    }
    me_arena_adopt(arena, b->pages, to - from);
    b->pages += to - from;
    b->mapped -= to - from;
}

/* A large file is read by all threads, since filling fresh memory takes longer than the reading.
 * Gives the number of bytes that are there from the start on; the caller's loop finds out why not
 * all. */
static size_t read_parts(int fd, unsigned char *data, size_t size)
{
    const size_t part = ME_HUGE_PAGE;
    const int64_t n = (int64_t)(size / part);
    int64_t whole = n;
#pragma omp parallel for schedule(dynamic, 1) reduction(min : whole)
    for (int64_t i = 0; i < n; i++) {
        size_t from = (size_t)i * part, got = 0;
        while (got < part) {
            ssize_t more = pread(fd, data + from + got, part - got, (off_t)(from + got));
            if (more < 0 && errno == EINTR) continue;
            if (more <= 0) break;
            got += (size_t)more;
        }
        if (got < part && i < whole) whole = i;
    }
    size_t done = (size_t)whole * part;
    return lseek(fd, (off_t)done, SEEK_SET) < 0 ? 0 : done;
}

/* Reads until the end; `expected` is a hint that is exact for a regular file which nobody writes
 * to. */
static me_code read_all(me_bytes *out, int fd, size_t expected, const char *path, me_err *err)
{
    size_t capacity = expected ? expected : 64 << 10;
    unsigned char probe;
    if (!allocate(out, capacity))
        return me_fail(err, ME_EMEM, "%s: out of memory for %zu bytes", path, capacity);
    if (expected && lseek(fd, 0, SEEK_CUR) == 0) out->size = read_parts(fd, out->data, expected);
    for (;;) {
        bool full = out->size == capacity;
        ssize_t n =
            full ? read(fd, &probe, 1) : read(fd, out->data + out->size, capacity - out->size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return me_fail(err, ME_EIO, "%s: cannot read: %s", path, strerror(errno));
        if (n == 0) return ME_OK;
        if (full) {
            if (capacity > SIZE_MAX / 2 || !reallocate(out, capacity * 2))
                return me_fail(err, ME_EMEM, "%s: out of memory for its bytes", path);
            capacity *= 2;
            out->data[out->size] = probe;
        }
        out->size += (size_t)n;
    }
}

/* *fd must be closed with close_input even where this fails. */
static me_code open_input(int *fd, struct stat *st, const char *path, me_err *err)
{
    *fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return fail_open(path, errno, err);
    if (fstat(*fd, st) != 0) return me_fail(err, ME_EIO, "%s: %s", path, strerror(errno));
    return S_ISDIR(st->st_mode) ? me_fail(err, ME_EIO, "%s: expected a file, found a folder", path)
                                : ME_OK;
}

static void close_input(int fd)
{
    if (fd >= 0 && fd != STDIN_FILENO) close(fd);
}

me_code me_bytes_open(me_bytes *out, const char *path, me_err *err)
{
    *out = (me_bytes){0};
    int fd;
    struct stat st;
    me_code code = open_input(&fd, &st, path, err);
    if (code == ME_OK)
        code = read_all(out, fd, S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0,
                        fd == STDIN_FILENO ? "standard input" : path, err);
    close_input(fd);
    if (code != ME_OK) me_bytes_close(out);
    return code;
}

me_code me_bytes_open_start(me_bytes *out, const char *path, size_t most, me_err *err)
{
    *out = (me_bytes){0};
    int fd;
    struct stat st;
    me_code code = open_input(&fd, &st, path, err);
    if (code == ME_OK && !allocate(out, most))
        code = me_fail(err, ME_EMEM, "%s: out of memory for %zu bytes", path, most);
    while (code == ME_OK && out->size < most) {
        ssize_t n = read(fd, out->data + out->size, most - out->size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) code = me_fail(err, ME_EIO, "%s: cannot read: %s", path, strerror(errno));
        if (n <= 0) break;
        out->size += (size_t)n;
    }
    close_input(fd);
    if (code != ME_OK) me_bytes_close(out);
    return code;
}

void me_bytes_close(me_bytes *b)
{
    if (b->pages)
        me_pages_give(b->pages, b->mapped);
    else
        free(b->data);
    *b = (me_bytes){0};
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static void writer_fail(me_writer *w, const char *what, int cause)
{
    me_fail(&w->err, ME_EIO, "%s: cannot %s: %s", w->path ? w->path : "?", what, strerror(cause));
}

static void writer_free(me_writer *w)
{
    free(w->path);
    free(w->temporary);
    *w = (me_writer){0};
}

/* A new file beside `path`. Not mkstemp: the file shall have the mode that open() would give it. */
static int open_temporary(me_writer *w)
{
    for (int attempt = 0; attempt < 1000; attempt++) {
        if (asprintf(&w->temporary, "%s.%ld-%d.part", w->path, (long)getpid(), attempt) < 0) {
            w->temporary = NULL;
            errno = ENOMEM;
            return -1;
        }
        int fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) return fd;
        free(w->temporary);
        w->temporary = NULL;
        if (errno != EEXIST) return -1;
    }
    return -1;
}

me_code me_writer_open(me_writer *out, const char *path, me_err *err)
{
    *out = (me_writer){0};
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode))
        return me_fail(err, ME_EIO, "%s: cannot write: a folder of that name is there", path);
    /* A link keeps pointing at the file that is replaced; pipes and devices are written to
     * directly, since a rename would put a file in their place. */
    out->path = exists && S_ISREG(st.st_mode) ? realpath(path, NULL) : strdup(path);
    if (!out->path) return me_fail_mem(err, path);
    int fd =
        exists && !S_ISREG(st.st_mode) ? open(path, O_WRONLY | O_CLOEXEC) : open_temporary(out);
    int cause = errno;
    out->stream = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (out->stream) return ME_OK;
    if (fd >= 0) close(fd);
    if (out->temporary) unlink(out->temporary);
    me_fail(err, ME_EIO, "%s: cannot write: %s", path, strerror(cause));
    writer_free(out);
    return ME_EIO;
}

void me_writer_put(me_writer *w, const void *data, size_t size)
{
    if (w->err.code != ME_OK || !w->stream || size == 0) return;
    if (fwrite(data, 1, size, w->stream) != size) writer_fail(w, "write", errno);
}

void me_writer_printf(me_writer *w, const char *fmt, ...)
{
    if (w->err.code != ME_OK || !w->stream) return;
    va_list args;
    va_start(args, fmt);
    if (vfprintf(w->stream, fmt, args) < 0) writer_fail(w, "write", errno);
    va_end(args);
}

me_code me_writer_commit(me_writer *w, me_err *err)
{
    if (!w->stream) return me_fail(err, ME_EBUG, "a writer that is not open was committed");
    if (w->err.code == ME_OK && fflush(w->stream) != 0) writer_fail(w, "write", errno);
    if (w->err.code == ME_OK && w->temporary && fsync(fileno(w->stream)) != 0)
        writer_fail(w, "write", errno);
    if (fclose(w->stream) != 0 && w->err.code == ME_OK) writer_fail(w, "write", errno);
    w->stream = NULL;
    if (w->err.code == ME_OK && w->temporary && rename(w->temporary, w->path) != 0)
        writer_fail(w, "put the new file in place", errno);
    if (w->err.code != ME_OK && w->temporary) unlink(w->temporary);
    me_code code = w->err.code;
    if (code != ME_OK) me_fail(err, code, "%s", w->err.msg);
    writer_free(w);
    return code;
}

void me_writer_abort(me_writer *w)
{
    if (w->stream) fclose(w->stream);
    if (w->temporary) unlink(w->temporary);
    writer_free(w);
}

me_code me_file_write(const char *path, const void *data, size_t size, me_err *err)
{
    me_writer w;
    me_code code = me_writer_open(&w, path, err);
    if (code != ME_OK) return code;
    me_writer_put(&w, data, size);
    return me_writer_commit(&w, err);
}

me_code me_make_directories(const char *path, me_err *err)
{
    if (!*path) return ME_OK;
    char *copy = strdup(path);
    if (!copy) return me_fail_mem(err, path);
    me_code code = ME_OK;
    for (char *p = copy; code == ME_OK && p;) {
        p = strchr(p + 1, '/');
        if (p) *p = '\0';
        if (*copy && mkdir(copy, 0777) != 0 && (errno != EEXIST || !me_is_directory(copy)))
            code = me_fail(err, ME_EIO, "%s: cannot make this folder: %s", copy,
                           errno == EEXIST ? "a file of that name is there" : strerror(errno));
        if (p) *p = '/';
    }
    free(copy);
    return code;
}
