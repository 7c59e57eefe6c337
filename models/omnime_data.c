/* models/omnime_data.c: pairs of a dataset as OmniME trains on them: features on the device, text
 * vectors, similarity scores (omnime.h; spec omnime 1, 2, 7). */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/omnime.h"
#include "nn/backend.h"

/* Features of real motions vary more, but for turns and the rotation of joints that hardly bend. */
#define STILL_STD 0.02

/* ---- which pairs
 * -------------------------------------------------------------------------------------- */

static bool takes(const motion_pair *p, bool has_split, bool validation, int64_t most)
{
    if (p->source.frames > most || p->target.frames > most) return false;
    if (!p->source.frames || !p->target.frames || !p->text) return false;
    if (!has_split || p->split == MOTION_UNSPLIT) return !validation;
    return p->split == (validation ? MOTION_VAL : MOTION_TRAIN);
}

static me_code choose(model_omnime_data *data, const motion_pair ***pairs, const motion_dataset *d,
                      int64_t most, me_err *err)
{
    data->items = ME_NEW_ARRAY(&data->arena, 2 * d->n, model_omnime_item);
    *pairs = malloc((size_t)(2 * d->n + 1) * sizeof **pairs);
    if (!data->items || !*pairs) return me_fail_mem(err, "training items");
    for (int validation = 0; validation < 2; validation++) {
        for (int64_t i = 0; i < d->n; i++) {
            const motion_pair *p = &d->pairs[i];
            if (!takes(p, d->has_split, validation, most)) continue;
            model_omnime_item *item = &data->items[data->all_n];
            item->key = me_arena_strdup(&data->arena, p->key);
            item->source_frames = (int32_t)p->source.frames;
            item->target_frames = (int32_t)p->target.frames;
            if (!item->key) return me_fail_mem(err, "training items");
            (*pairs)[data->all_n++] = p;
        }
        if (!validation) data->train_n = data->all_n;
    }
    if (data->train_n < 2)
        return me_fail(err, ME_EDATA,
                       "expected at least two pairs to train on with at most %lld frames each, "
                       "found %lld; is the split in a splits.json (--splits)?",
                       (long long)most, (long long)data->train_n);
    return ME_OK;
}

/* ---- motions
 * ------------------------------------------------------------------------------------------ */

me_code model_omnime_features(float *out, const motion_clip *clip, const motion_editor_stats *stats,
                              me_err *err)
{
    const float *joints;
    float *made;
    me_code code = motion_clip_joints(&joints, &made, clip, &motion_mean_body, err);
    if (code != ME_OK) return code;
    motion_editor_features(clip->pose, joints, clip->frames, out);
    motion_editor_normalize(out, clip->frames, stats);
    free(made);
    return ME_OK;
}

/* A feature that hardly moves in training is divided by next to nothing: a body that does move it
 * then looks like nothing the network has seen. Seen on mocap whose skeletons have no collar bones.
 */
static void note_still_features(const motion_editor_stats *stats, me_log *log)
{
    motion_editor_stats floored = *stats;
    const int still = motion_editor_stats_floor(&floored, STILL_STD);
    if (still)
        me_log_write(log, ME_LOG_INFO,
                     "%d of %d features vary by less than %g in training: where other motions vary "
                     "more, try --std-floor %g",
                     still, MOTION_EDITOR, STILL_STD, STILL_STD);
}

static me_code load_motions(model_omnime_data *data, const motion_pair *const *pairs,
                            const model_setup *setup, double std_floor, me_err *err)
{
    me_code code = motion_editor_stats_of(&data->stats, setup->data, &motion_mean_body, err);
    if (code == ME_OK && std_floor == 0) note_still_features(&data->stats, setup->log);
    if (code == ME_OK) motion_editor_stats_floor(&data->stats, std_floor);
    if (code == ME_OK)
        code = model_rows_open(&data->motion, setup->be, 2 * data->all_n, MOTION_EDITOR, err);
    if (code != ME_OK) return code;
    int64_t *start = data->motion.start;
    for (int64_t i = 0; i < data->all_n; i++) {
        start[2 * i + 1] = start[2 * i] + data->items[i].source_frames;
        start[2 * i + 2] = start[2 * i + 1] + data->items[i].target_frames;
    }
    code = model_rows_allocate(&data->motion, err);
    if (code != ME_OK) return code;
    int failures = 0;
#pragma omp parallel for schedule(dynamic, 16) reduction(+ : failures)
    for (int64_t i = 0; i < 2 * data->all_n; i++) {
        const motion_clip *clip = i % 2 ? &pairs[i / 2]->target : &pairs[i / 2]->source;
        failures += model_omnime_features(data->motion.host + start[i] * MOTION_EDITOR, clip,
                                          &data->stats, NULL) != ME_OK;
    }
    return failures ? me_fail_mem(err, "features") : ME_OK;
}

/* ---- similarity scores
 * -------------------------------------------------------------------------------- */

static me_code compute_scores(model_omnime_data *data, const motion_pair *const *pairs,
                              const model_omnime_options *o, me_err *err)
{
    motion_similarity_options how = motion_similarity_defaults();
    how.window = (int)o->window;
    how.kappa = (int)o->kappa;
    how.tau = o->tau;
    for (int64_t i = 0; i < data->all_n; i++) {
        motion_similarity s;
        me_code code = motion_similarity_of(&s, &data->arena, &pairs[i]->source, &pairs[i]->target,
                                            &motion_mean_body, &how, err);
        if (code != ME_OK) return code;
        data->items[i].score = s.score;
        data->items[i].teaches = s.teaches;
    }
    return ME_OK;
}

/* An item that the file does not know has no scores, and teaches none. */
static me_code read_scores(model_omnime_data *data, const char *path, me_log *log, me_err *err)
{
    motion_similarity_file file;
    me_code code = motion_similarity_open(&file, path, err);
    if (code != ME_OK) return code;
    int64_t known = 0;
    for (int64_t i = 0; i < data->all_n && code == ME_OK; i++) {
        motion_similarity s = {0};
        model_omnime_item *item = &data->items[i];
        code = motion_similarity_find(&s, &file, &data->arena, item->key, err);
        if (code != ME_OK || !s.n) continue;
        if (s.n < item->source_frames) {
            code = me_fail(err, ME_EDATA, "%s: %s has %lld scores for %d source frames", path,
                           item->key, (long long)s.n, item->source_frames);
            break;
        }
        item->score = s.score;
        item->teaches = s.teaches;
        known++;
    }
    if (code == ME_OK && known < data->all_n)
        me_warn(log, "%s has scores of %lld of %lld pairs; the others teach no similarity", path,
                (long long)known, (long long)data->all_n);
    motion_similarity_close(&file);
    return code;
}

/* ---- texts
 * -------------------------------------------------------------------------------------------- */

char *model_omnime_lower(me_arena *arena, const char *text)
{
    char *s = me_arena_strdup(arena, text);
    for (char *p = s; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    return s;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct texts, sorted, then the empty one; fills the items' rows. */
static const char **distinct_texts(model_omnime_data *data, const motion_pair *const *pairs)
{
    const char **own = ME_NEW_ARRAY(&data->arena, data->all_n, const char *);
    const char **out = ME_NEW_ARRAY(&data->arena, data->all_n + 1, const char *);
    if (!own || !out) return NULL;
    for (int64_t i = 0; i < data->all_n; i++)
        if (!(own[i] = out[i] = model_omnime_lower(&data->arena, pairs[i]->text))) return NULL;
    qsort(out, (size_t)data->all_n, sizeof *out, by_text);
    int64_t n = 0;
    for (int64_t i = 0; i < data->all_n; i++)
        if (!n || strcmp(out[n - 1], out[i])) out[n++] = out[i];
    for (int64_t i = 0; i < data->all_n; i++)
        data->items[i].text =
            (const char **)bsearch(&own[i], out, (size_t)n, sizeof *out, by_text) - out;
    data->texts_n = n;
    out[n] = "";
    return out;
}

static me_code encode_texts(float **host, model_omnime_data *data, const motion_pair *const *pairs,
                            const model_setup *setup, me_err *err)
{
    const char **texts = distinct_texts(data, pairs);
    int64_t n = data->texts_n + 1, width = nn_text_sentence_width(setup->text);
    nn_text_vectors *v = malloc((size_t)n * sizeof *v);
    *host = malloc((size_t)(n * width) * sizeof **host);
    me_code code = texts && v && *host ? ME_OK : me_fail_mem(err, "texts");
    if (code == ME_OK) code = nn_text_encode(setup->text, texts, n, v, err);
    void *device = NULL;
    size_t bytes = (size_t)(n * width) * sizeof **host;
    if (code == ME_OK) code = setup->be->alloc(setup->be, bytes, &device, err);
    if (code == ME_OK) {
        for (int64_t i = 0; i < n; i++)
            memcpy(*host + i * width, v[i].sentence, (size_t)width * sizeof **host);
        setup->be->upload(setup->be, device, *host, bytes);
        data->texts = (nn_tensor){.dtype = NN_F32, .ndim = 2, .shape = {n, width}, .data = device};
    }
    free(v);
    return code;
}

/* ---- all of it
 * ---------------------------------------------------------------------------------------- */

/* Mean and standard deviation over time of each target feature less those of the source. */
static void describe_edit(float *out, const model_rows *rows, int64_t item)
{
    memset(out, 0, 2 * MOTION_EDITOR * sizeof *out);
    for (int side = 0; side < 2; side++) {
        int64_t from = rows->start[2 * item + side], to = rows->start[2 * item + side + 1];
        for (int c = 0; c < MOTION_EDITOR; c++) {
            double sum = 0, square = 0, n = (double)(to - from);
            for (int64_t r = from; r < to; r++) {
                double x = rows->host[r * MOTION_EDITOR + c];
                sum += x;
                square += x * x;
            }
            double variance = square / n - sum / n * (sum / n);
            double sign = side ? 1 : -1;
            out[c] += (float)(sign * sum / n);
            out[MOTION_EDITOR + c] += (float)(sign * sqrt(variance > 0 ? variance : 0));
        }
    }
}

static me_code find_hard(model_omnime_data *data, const model_setup *setup, const float *texts,
                         me_err *err)
{
    float *edits = malloc((size_t)data->all_n * 2 * MOTION_EDITOR * sizeof *edits);
    if (!edits) return me_fail_mem(err, "descriptors of edits");
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t i = 0; i < data->all_n; i++)
        describe_edit(edits + i * 2 * MOTION_EDITOR, &data->motion, i);
    me_code code = model_omnime_find_hard(data, setup, texts, data->texts.shape[1], edits, err);
    free(edits);
    return code;
}

me_code model_omnime_data_open(model_omnime_data *data, const model_setup *setup,
                               const model_omnime_options *o, me_err *err)
{
    const motion_pair **pairs = NULL;
    float *texts = NULL;
    *data = (model_omnime_data){0};
    me_code code = choose(data, &pairs, setup->data, o->max_frames, err);
    if (code == ME_OK) code = load_motions(data, pairs, setup, o->std_floor, err);
    if (code == ME_OK)
        code = o->scores ? read_scores(data, o->scores, setup->log, err)
                         : compute_scores(data, pairs, o, err);
    if (code == ME_OK) code = encode_texts(&texts, data, pairs, setup, err);
    if (code == ME_OK && !strcmp(o->negatives, "hard")) code = find_hard(data, setup, texts, err);
    if (code == ME_OK) model_rows_settle(&data->motion, "motions", setup->log);
    free(pairs);
    free(texts);
    if (code != ME_OK) model_omnime_data_close(data, setup->be);
    return code;
}

void model_omnime_data_close(model_omnime_data *data, nn_backend *be)
{
    if (data->motion.start) model_rows_close(&data->motion);
    if (data->texts.data) be->release(be, data->texts.data);
    me_arena_release(&data->arena);
    *data = (model_omnime_data){0};
}
