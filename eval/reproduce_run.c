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

/* ---- records -----------------------------------------------------------------------------------
 */

typedef struct work {
    const eval_study *study;
    me_log *log;
    char dataset_sha256[65]; /* empty: not known yet */
} work;

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

static me_code check_record(const work *w, const eval_stage *stage, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_value *record = NULL;
    me_code code = me_json_read(&record, &arena, stage->record, err);
    const me_value *options = code ? NULL : me_dict_get(record, "options");
    const me_value *hash = code ? NULL : me_dict_get(record, "dataset_sha256");
    if (!code && (!me_string_equals(me_dict_get(record, "schema"), RECORD_SCHEMA) || !options ||
                  options->kind != ME_DICT))
        code = me_fail(err, ME_EFORMAT, "%s: expected the record of a stage (schema \"%s\")",
                       stage->record, RECORD_SCHEMA);
    if (!code) code = same_options(stage, &arena, stage->given, options, err);
    if (!code && stage->reads_data && (!hash || !me_string_equals(hash, w->dataset_sha256)))
        code = me_fail(err, ME_EDATA,
                       "%s: was run on another dataset than %s is now; choose another --out",
                       stage->title, w->study->dataset);
    me_arena_release(&arena);
    return code;
}

static me_code write_record(const work *w, const eval_stage *stage, me_arena *arena,
                            me_value *summary, double seconds, me_err *err)
{
    me_value *record = me_value_new(arena, ME_DICT);
    if (!record) return me_fail_mem(err, "a record");
    const struct {
        const char *key;
        me_value *value;
    } entries[] = {
        {"schema", me_value_string(arena, RECORD_SCHEMA)},
        {"mebench", me_value_string(arena, me_version())},
        {"git", me_value_string(arena, me_git())},
        {"command", me_value_string(arena, stage->command->name)},
        {"options", stage->given},
        {"dataset_sha256", stage->reads_data ? me_value_string(arena, w->dataset_sha256)
                                             : me_value_new(arena, ME_NONE)},
        {"seconds", me_value_float(arena, seconds)},
        {"summary", summary},
    };
    me_code code = ME_OK;
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

static bool stopped(const me_value *summary)
{
    const me_value *finished = me_dict_get(summary, "finished");
    return finished && finished->kind == ME_BOOLEAN && !finished->as.boolean;
}

static me_code run_stage(const work *w, const eval_stage *stage, int64_t index, me_err *err)
{
    me_arena arena;
    me_arena_init(&arena);
    me_value *summary = NULL;
    const double start = me_seconds();
    const char *slash = strrchr(stage->record, '/');
    const char *folder =
        slash ? me_arena_strndup(&arena, stage->record, (size_t)(slash - stage->record)) : ".";
    me_info(w->log, "[%lld/%lld] %s%s", (long long)index + 1, (long long)w->study->stages,
            stage->title,
            eval_stage_look(stage) == EVAL_STAGE_BEGUN ? ", from where it stood" : "");
    me_code code = folder ? me_make_directories(folder, err) : me_fail_mem(err, "a stage");
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

/* Two processes in one folder would write over each other. */
static me_code lock_folder(int *lock, const eval_study *study, me_arena *arena, me_err *err)
{
    const char *path = me_path_join(arena, study->out, ".lock");
    me_code code = path ? me_make_directories(study->out, err) : me_fail_mem(err, "a study");
    if (code) return code;
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0) return me_fail(err, ME_EIO, "%s: %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return me_fail(err, ME_EIO, "%s: another reproduce is at work here", study->out);
    return ME_OK;
}

me_code eval_study_run_all(const eval_study *study, me_arena *arena, me_log *log, me_err *err)
{
    work w = {.study = study, .log = log};
    int lock = -1;
    me_code code = lock_folder(&lock, study, arena, err);
    for (int64_t i = 0; i < study->stages && !code; i++) {
        const eval_stage *stage = &study->stage[i];
        if (stage->reads_data && !*w.dataset_sha256)
            code = hash_file(w.dataset_sha256, study->dataset, err);
        if (code) break;
        code = eval_stage_look(stage) == EVAL_STAGE_DONE ? check_record(&w, stage, err)
                                                         : run_stage(&w, stage, i, err);
    }
    if (lock >= 0) close(lock);
    return code;
}
