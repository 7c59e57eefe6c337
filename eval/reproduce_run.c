/* eval/reproduce_run.c: runs the stages of a study (reproduce.h), each through the function of its
 * command, and keeps a record of each that is done. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/json.h"
#include "core/version.h"
#include "eval/reproduce.h"

#define RECORD_SCHEMA "mebench.stage/1"

/* Options that say where and how often, and decide nothing about what comes out. */
static const char *const indifferent[] = {"device",       "threads",    "text-cache", "log-every",
                                          "save-minutes", "batch-size", "tensorboard"};

static bool matters(const char *key)
{
    for (size_t i = 0; i < sizeof indifferent / sizeof *indifferent; i++)
        if (!strcmp(key, indifferent[i])) return false;
    return true;
}

/* ---- the files that a stage reads --------------------------------------------------------------
 */

typedef struct hashed {
    const char *path;
    char sha256[65];
} hashed;

typedef struct work {
    const eval_study *study;
    me_arena *arena; /* of the whole run */
    me_log *log;
    hashed file[16]; /* each is read once */
    int files;
} work;

/* The SHA-256 of a file that may be larger than memory. */
static me_code hash_file(char out[65], const char *path, me_err *err)
{
    enum { STEP = 1 << 20 };
    FILE *f = fopen(path, "rb");
    unsigned char *bytes = malloc(STEP);
    me_sha256 all;
    me_sha256_init(&all);
    me_code code = ME_OK;
    if (!f) code = me_fail(err, ME_EIO, "%s: %s", path, strerror(errno));
    if (!bytes && !code) code = me_fail_mem(err, path);
    for (size_t n; !code && (n = fread(bytes, 1, STEP, f)) > 0;) me_sha256_add(&all, bytes, n);
    if (!code && ferror(f)) code = me_fail(err, ME_EIO, "%s: could not be read", path);
    if (f) fclose(f);
    free(bytes);
    me_sha256_hex(&all, out);
    return code;
}

static me_code hash_once(const char **out, work *w, const char *path, me_err *err)
{
    for (int i = 0; i < w->files; i++)
        if (!strcmp(w->file[i].path, path)) {
            *out = w->file[i].sha256;
            return ME_OK;
        }
    hashed *h = w->files < (int)(sizeof w->file / sizeof *w->file) ? &w->file[w->files++]
                                                                   : ME_NEW(w->arena, hashed);
    if (!h) return me_fail_mem(err, "a hash");
    h->path = path;
    *out = h->sha256;
    return hash_file(h->sha256, path, err);
}

/* The hashes of files that the study did not make, by the option that names them, and that of the
 * dataset. Folders are known by their names alone. */
static me_code hash_inputs(me_value **out, work *w, const eval_stage *stage, me_arena *arena,
                           me_err *err)
{
    static const char *const keys[] = {"dataset", "splits", "tmr", "model", "generated", "scores"};
    const bool trains = stage->command == &eval_command_train; /* whose model is a name */
    *out = me_value_new(arena, ME_DICT);
    me_code code = *out ? ME_OK : me_fail_mem(err, "a record");
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !code; i++) {
        const me_value *v = me_dict_get(i < 2 ? stage->options : stage->given, keys[i]);
        const char *hash = NULL, *path = v && v->kind == ME_STRING ? v->as.string.data : NULL;
        if (!path || (trains && !strcmp(keys[i], "model"))) continue;
        if (!me_file_exists(path) || me_is_directory(path)) continue;
        code = hash_once(&hash, w, path, err);
        if (!code) code = me_dict_put(arena, *out, keys[i], me_value_string(arena, hash), err);
    }
    return code;
}

/* ---- records -----------------------------------------------------------------------------------
 */

eval_stage_state eval_stage_look(const eval_stage *stage)
{
    if (me_file_exists(stage->record)) return EVAL_STAGE_DONE;
    return stage->begins && me_file_exists(stage->begins) ? EVAL_STAGE_BEGUN : EVAL_STAGE_OPEN;
}

static const char *text_of(me_arena *arena, const me_value *v)
{
    char *text = NULL;
    if (!v) return "not given";
    return me_json_text(&text, arena, v, NULL) ? "?" : text;
}

/* Fails where one of them has an option that the other has not, or with another value. */
static me_code same_options(const eval_stage *stage, me_arena *arena, const me_value *now,
                            const me_value *before, me_err *err)
{
    const me_value *sides[] = {now, before};
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < sides[side]->as.dict.length; i++) {
            const char *key = sides[side]->as.dict.keys[i]->as.string.data;
            const char *is = text_of(arena, me_dict_get(now, key));
            const char *was = text_of(arena, me_dict_get(before, key));
            if (!matters(key) || !strcmp(is, was)) continue;
            return me_fail(err, ME_EDATA,
                           "%s: was run with %s %.60s, and the study now says %.60s; choose "
                           "another --out, or remove what was made (%s and its folder)",
                           stage->title, key, was, is, stage->record);
        }
    return ME_OK;
}

/* Fails where a file that is there now is not what it was. */
static me_code same_inputs(const eval_stage *stage, const me_value *now, const me_value *before,
                           me_err *err)
{
    for (size_t i = 0; i < now->as.dict.length; i++) {
        const char *key = now->as.dict.keys[i]->as.string.data;
        const me_value *was = me_dict_get(before, key);
        if (was && me_string_equals(was, now->as.dict.values[i]->as.string.data)) continue;
        return me_fail(err, ME_EDATA,
                       "%s: the file of its %s has changed since; choose another --out, or remove "
                       "what was made (%s and its folder)",
                       stage->title, key, stage->record);
    }
    return ME_OK;
}

static me_code check_record(work *w, const eval_stage *stage, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_value *record = NULL, *inputs = NULL;
    me_code code = me_json_read(&record, &arena, stage->record, err);
    const me_value *options = code ? NULL : me_dict_get(record, "options");
    const me_value *before = code ? NULL : me_dict_get(record, "inputs");
    if (!code && (!me_string_equals(me_dict_get(record, "schema"), RECORD_SCHEMA) || !options ||
                  options->kind != ME_DICT || !before))
        code = me_fail(err, ME_EFORMAT, "%s: expected the record of a stage (schema \"%s\")",
                       stage->record, RECORD_SCHEMA);
    if (!code) code = same_options(stage, &arena, stage->given, options, err);
    if (!code) code = hash_inputs(&inputs, w, stage, &arena, err);
    if (!code) code = same_inputs(stage, inputs, before, err);
    me_arena_release(&arena);
    return code;
}

static me_code write_record(work *w, const eval_stage *stage, me_arena *arena, me_value *summary,
                            double seconds, me_err *err)
{
    me_value *record = me_value_new(arena, ME_DICT), *inputs;
    me_code code =
        record ? hash_inputs(&inputs, w, stage, arena, err) : me_fail_mem(err, "a record");
    if (code) return code;
    const struct {
        const char *key;
        me_value *value;
    } entries[] = {
        {"schema", me_value_string(arena, RECORD_SCHEMA)},
        {"mebench", me_value_string(arena, me_version())},
        {"git", me_value_string(arena, me_git())},
        {"command", me_value_string(arena, stage->command->name)},
        {"options", stage->given},
        {"inputs", inputs},
        {"seconds", me_value_float(arena, seconds)},
        {"summary", summary},
    };
    for (size_t i = 0; i < sizeof entries / sizeof *entries && !code; i++)
        code = entries[i].value ? me_dict_put(arena, record, entries[i].key, entries[i].value, err)
                                : me_fail_mem(err, "a record");
    return code ? code : me_json_write(stage->record, record, err);
}

/* ---- stages ------------------------------------------------------------------------------------
 */

/* What the command prints, kept: for a training, its summary in JSON. */
static me_code call_command(me_value **printed, const eval_stage *stage, me_arena *arena,
                            me_log *log, me_err *err)
{
    char *text = NULL;
    size_t size = 0;
    void *options;
    me_code code = eval_command_fill(&options, stage->command, arena, stage->options, err);
    if (code) return code;
    FILE *stream = open_memstream(&text, &size);
    if (!stream) return me_fail_mem(err, "a stage");
    eval_call call = {.options = options,
                      .operands = stage->operands,
                      .operand = stage->operand,
                      .arena = arena,
                      .out = {.stream = stream}};
    /* What an evaluation notes stands in its result; that of a training is its progress. */
    me_log calm = *log;
    if (stage->command != &eval_command_train && calm.level == ME_LOG_INFO)
        calm.level = ME_LOG_WARNING;
    call.log = &calm;
    code = stage->command->run(&call, err);
    if (fclose(stream) && !code) code = me_fail_mem(err, "a stage");
    const bool json = stage->command == &eval_command_train;
    if (!code && json) code = me_json_parse(printed, arena, text, size, "train", err);
    /* The table of an evaluation is in its folder. */
    if (!code && !json)
        *printed = stage->command == &eval_command_eval ? me_value_new(arena, ME_NONE)
                                                        : me_value_string(arena, text);
    free(text);
    return !code && !*printed ? me_fail_mem(err, "a stage") : code;
}

/* What a killed process was writing: files get their names when they are whole. */
static me_code remove_parts(const eval_stage *stage, me_arena *arena, me_err *err)
{
    const me_value *out = me_dict_get(stage->options, "out");
    me_names names = {0};
    if (!out || !me_is_directory(out->as.string.data)) return ME_OK;
    me_code code = me_list_directory(&names, arena, out->as.string.data, err);
    for (int64_t i = 0; i < names.n && !code; i++) {
        if (!me_has_suffix(names.items[i], ".part")) continue;
        const char *path = me_path_join(arena, out->as.string.data, names.items[i]);
        if (!path || unlink(path)) code = me_fail(err, ME_EIO, "%s: cannot be removed", path);
    }
    return code;
}

/* The folder whose records are those of one seed of one row, or of the data. */
static const char *folder_of(me_arena *arena, const eval_stage *stage)
{
    const char *slash = strrchr(stage->record, '/');
    return slash ? me_arena_strndup(arena, stage->record, (size_t)(slash - stage->record)) : ".";
}

static bool stopped(const me_value *summary)
{
    const me_value *finished = me_dict_get(summary, "finished");
    return finished && finished->kind == ME_BOOLEAN && !finished->as.boolean;
}

static me_code run_stage(work *w, const eval_stage *stage, int64_t index, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_value *summary = NULL;
    const double start = me_seconds();
    const char *folder = folder_of(&arena, stage);
    me_info(w->log, "[%lld/%lld] %s%s", (long long)index + 1, (long long)w->study->stages,
            stage->title,
            eval_stage_look(stage) == EVAL_STAGE_BEGUN ? ", from where it stood" : "");
    me_code code = folder ? me_make_directories(folder, err) : me_fail_mem(err, "a stage");
    if (!code) code = remove_parts(stage, &arena, err);
    if (!code) {
        code = call_command(&summary, stage, &arena, w->log, err);
        if (code == ME_EUSAGE && err) err->code = code = ME_EDATA; /* of the file, not of ours */
        if (code) me_err_prefix(err, "%s", stage->title);
    }
    if (!code && stopped(summary))
        code = me_fail(err, ME_ECHECK, "stopped during \"%s\" and saved; the same command goes on",
                       stage->title);
    if (!code) code = write_record(w, stage, &arena, summary, me_seconds() - start, err);
    if (!code) me_info(w->log, "%s: done in %.1f s", stage->title, me_seconds() - start);
    me_arena_release(&arena);
    return code;
}

/* ---- several processes at one study ------------------------------------------------------------
 */

me_code eval_study_lock(int *lock, me_arena *arena, const char *folder, bool wait, me_err *err)
{
    const char *path = me_path_join(arena, folder, ".lock");
    *lock = -1;
    me_code code = path ? me_make_directories(folder, err) : me_fail_mem(err, "a lock");
    if (code) return code;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return me_fail(err, ME_EIO, "%s: %s", path, strerror(errno));
    if (!flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB))) {
        *lock = fd;
        return ME_OK;
    }
    const int why = errno;
    close(fd);
    return why == EWOULDBLOCK ? ME_OK : me_fail(err, ME_EIO, "%s: %s", path, strerror(why));
}

void eval_study_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

static me_code run_group(work *w, int64_t from, int64_t to, me_err *err)
{
    me_code code = ME_OK;
    for (int64_t i = from; i < to && !code; i++) {
        const eval_stage *stage = &w->study->stage[i];
        code = eval_stage_look(stage) == EVAL_STAGE_DONE ? check_record(w, stage, err)
                                                         : run_stage(w, stage, i, err);
    }
    return code;
}

/* One walk over the study. A folder that another process has is waited for where `wait` says so or
 * where all that follows needs it, and passed over otherwise. */
static me_code walk(work *w, bool wait, int64_t *passed_over, me_err *err)
{
    const eval_study *study = w->study;
    me_code code = ME_OK;
    *passed_over = 0;
    for (int64_t from = 0, to; from < study->stages && !code; from = to) {
        const char *folder = folder_of(w->arena, &study->stage[from]);
        if (!folder) return me_fail_mem(err, "a study");
        for (to = from + 1; to < study->stages; to++) {
            const char *next = folder_of(w->arena, &study->stage[to]);
            if (!next || strcmp(folder, next) != 0) break;
        }
        int lock;
        code = eval_study_lock(&lock, w->arena, folder, wait || from < study->shared, err);
        if (!code && lock >= 0)
            code = run_group(w, from, to, err);
        else
            ++*passed_over;
        eval_study_unlock(lock);
    }
    return code;
}

me_code eval_study_run_all(const eval_study *study, me_arena *arena, me_log *log, me_err *err)
{
    work w = {.study = study, .arena = arena, .log = log};
    int64_t passed_over = 0;
    me_code code = walk(&w, false, &passed_over, err);
    if (code || !passed_over) return code;
    me_info(log, "waiting for another process of this study, which has %lld of its parts",
            (long long)passed_over);
    return walk(&w, true, &passed_over, err);
}
