/* models/tmr_items.c: see tmr_items.h. */
#include "models/tmr_items.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "tmr/encoder.h"

static bool has_captions(const motion_dataset *d)
{
    for (int64_t i = 0; i < d->n; i++)
        if (d->pairs[i].source_caption || d->pairs[i].target_caption) return true;
    return false;
}

me_code model_tmr_items_open(model_tmr_items *out, const motion_dataset *data, const char *texts,
                             me_err *err)
{
    *out = (model_tmr_items){.data = data, .mask = 63};
    out->captions = !strcmp(texts, "caption") || (!strcmp(texts, "auto") && has_captions(data));
    while (out->mask < (uint64_t)data->n * 6) out->mask = 2 * out->mask + 1;
    out->seen = calloc(out->mask + 1, sizeof *out->seen);
    out->items = malloc((size_t)(2 * data->n + 1) * sizeof *out->items);
    if (out->seen && out->items) return ME_OK;
    model_tmr_items_close(out);
    return me_fail_mem(err, "items");
}

void model_tmr_items_close(model_tmr_items *items)
{
    free(items->seen);
    free(items->items);
    *items = (model_tmr_items){0};
}

static bool first_time(model_tmr_items *s, const motion_clip *clip, const char *text)
{
    uint64_t h =
        me_hash64(clip->pose, (uint64_t)clip->frames * MOTION_POSE * sizeof *clip->pose, 1);
    h = me_hash64(text, strlen(text), h) | 1;
    for (uint64_t i = h >> 7;; i++) {
        uint64_t *slot = &s->seen[i & s->mask];
        if (*slot == h) return false;
        if (!*slot) {
            *slot = h;
            return true;
        }
    }
}

static void add(model_tmr_items *s, const model_tmr_choice *c, const motion_clip *clip,
                const char *text, const char *key)
{
    if (!text || clip->frames < 1 || clip->frames > TMR_MAX_FRAMES) return;
    if (clip->frames < c->min_frames || clip->frames > c->max_frames) return;
    if (first_time(s, clip, text))
        s->items[s->n++] = (model_tmr_item){.clip = clip, .text = text, .key = key};
}

void model_tmr_items_add(model_tmr_items *s, const model_tmr_choice *c)
{
    const int64_t stop = c->most ? s->n + c->most : INT64_MAX;
    for (int64_t i = 0; i < s->data->n && s->n < stop; i++) {
        const motion_pair *p = &s->data->pairs[i];
        bool mine = p->split == c->split || c->all ||
                    (p->split == MOTION_UNSPLIT && c->split == MOTION_TRAIN);
        if (!mine) continue;
        if (s->captions) add(s, c, &p->source, p->source_caption, p->key);
        if (s->n < stop) add(s, c, &p->target, s->captions ? p->target_caption : p->text, p->key);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int64_t model_tmr_sentences(const char **out, model_tmr_items *s)
{
    for (int64_t i = 0; i < s->n; i++) out[i] = s->items[i].text;
    qsort(out, (size_t)s->n, sizeof *out, by_text);
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (!n || strcmp(out[n - 1], out[i]) != 0) out[n++] = out[i];
    for (int64_t i = 0; i < s->n; i++) {
        const char **at = bsearch(&s->items[i].text, out, (size_t)n, sizeof *out, by_text);
        s->items[i].sentence = at - out;
    }
    return n;
}
