/* motion/similarity_plot.c: see similarity_plot.h. Coordinates are written with one decimal, so the
 * same scores give the same bytes. */
#include "motion/similarity_plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Colours that differ in lightness too (Okabe and Ito). */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#999999"};
enum { COLOURS = sizeof colours / sizeof *colours };

typedef struct panel {
    double x, y, width, height; /* in the picture */
    double lo, hi;              /* of the values from left to right; from bottom to top 0 to 1 */
} panel;

static double place_x(const panel *p, double value)
{
    const double range = p->hi > p->lo ? p->hi - p->lo : 1;
    return p->x + (value - p->lo) / range * p->width;
}

static double place_y(const panel *p, double value)
{
    return p->y + (1 - value) * p->height;
}

/* ---- shapes ------------------------------------------------------------------------------------
 */

static void put_escaped(me_writer *w, const char *s)
{
    for (; *s; s++) {
        const char *as = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : NULL;
        if (as)
            me_writer_printf(w, "%s", as);
        else
            me_writer_put(w, (unsigned char)*s < ' ' || *s == 0x7f ? " " : s, 1);
    }
}

static void begin(me_writer *w, int width, int height, const char *title)
{
    me_writer_printf(w,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                     "height=\"%d\"\n     font-family=\"sans-serif\" font-size=\"11\">\n<title>",
                     width, height, width, height);
    put_escaped(w, title);
    me_writer_printf(w, "</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width,
                     height);
}

/* anchor: "start", "middle" or "end". */
static void put_text(me_writer *w, double x, double y, const char *anchor, const char *text)
{
    me_writer_printf(w, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    put_escaped(w, text);
    me_writer_printf(w, "</text>\n");
}

static void put_number(me_writer *w, double x, double y, const char *anchor, double value)
{
    me_writer_printf(w, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%g</text>\n", x, y, anchor,
                     value);
}

static void put_line(me_writer *w, double x1, double y1, double x2, double y2, const char *look)
{
    me_writer_printf(w, "<path d=\"M%.1f %.1fL%.1f %.1f\" %s/>\n", x1, y1, x2, y2, look);
}

static void put_frame(me_writer *w, const panel *p)
{
    me_writer_printf(w,
                     "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
                     "stroke=\"#333333\"/>\n",
                     p->x, p->y, p->width, p->height);
}

/* A polyline, broken where a value is not finite. x NULL: 0, 1, 2, … */
static void put_curve(me_writer *w, const panel *p, const double *x, const double *y, int64_t n,
                      const char *colour, double stroke)
{
    bool inside = false;
    me_writer_printf(w, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" d=\"", colour,
                     stroke);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(y[i])) {
            inside = false;
            continue;
        }
        me_writer_printf(w, "%s%.1f %.1f", inside ? "L" : "M", place_x(p, x ? x[i] : (double)i),
                         place_y(p, y[i]));
        inside = true;
    }
    me_writer_printf(w, "\"/>\n");
}

static void put_dot(me_writer *w, double x, double y, const char *fill)
{
    me_writer_printf(w, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", x, y, fill);
}

/* ---- one pair ----------------------------------------------------------------------------------
 */

/* 1, 2 or 5 times a power of ten, so that a scale has at most nine marks. */
static double step_of(double range)
{
    static const double of[] = {1, 2, 5};
    for (double ten = 1;; ten *= 10)
        for (int i = 0; i < 3; i++)
            if (!(range > 8 * of[i] * ten)) return of[i] * ten;
}

typedef struct ranked {
    double score;
    int64_t frame;
} ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return (x->frame > y->frame) - (x->frame < y->frame);
}

/* The frames at both ends of the ranking; none where memory is out, since it is only a picture. */
static void put_ends(me_writer *w, const panel *p, const motion_similarity *s, int kappa)
{
    ranked *all = malloc((size_t)(s->n > 0 ? s->n : 1) * sizeof *all);
    if (!all) return;
    for (int64_t i = 0; i < s->n; i++) all[i] = (ranked){s->score[i], i};
    qsort(all, (size_t)s->n, sizeof *all, by_score);
    const int64_t k = kappa < s->n ? kappa : s->n;
    for (int64_t i = 0; i < k; i++) {
        const ranked *low = &all[i], *high = &all[s->n - 1 - i];
        put_dot(w, place_x(p, (double)low->frame), place_y(p, low->score), "#b2182b");
        put_dot(w, place_x(p, (double)high->frame), place_y(p, high->score), "#1b7837");
    }
    free(all);
}

static void put_classes(me_writer *w, const panel *p)
{
    static const char *const names[] = {"different", "between", "similar"};
    static const char *const fills[] = {"#fdeaea", "#f7f7f7", "#e9f5ea"};
    for (int c = 0; c < 3; c++) {
        const double top = place_y(p, (c + 1) / 3.0);
        me_writer_printf(
            w, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", p->x,
            top, p->width, p->height / 3, fills[c]);
        if (c < 2)
            put_line(w, p->x, top, p->x + p->width, top,
                     "stroke=\"#888888\" stroke-dasharray=\"4 3\"");
        put_text(w, p->x + p->width + 6, top + p->height / 6 + 4, "start", names[c]);
    }
}

static void put_frames_axis(me_writer *w, const panel *p)
{
    const double step = step_of(p->hi);
    for (int i = 0; i * step <= p->hi; i++) {
        const double x = place_x(p, i * step), bottom = p->y + p->height;
        put_line(w, x, bottom, x, bottom + 4, "stroke=\"#333333\"");
        put_number(w, x, bottom + 16, "middle", i * step);
    }
    put_text(w, p->x + p->width / 2, p->y + p->height + 32, "middle", "frame");
    for (int i = 0; i <= 3; i++) {
        static const char *const marks[] = {"0", "1/3", "2/3", "1"};
        put_text(w, p->x - 6, place_y(p, i / 3.0) + 4, "end", marks[i]);
    }
}

/* "MotionSNR 3.21, tau 2: teaches". Scores that were read from a file have no MotionSNR. */
static void put_verdict(me_writer *w, double x, double y, const motion_similarity_curve *c)
{
    const char *verdict = c->source->teaches ? "teaches" : "does not teach";
    me_writer_printf(w, "<text x=\"%.1f\" y=\"%.1f\">", x, y);
    if (isfinite(c->source->snr))
        me_writer_printf(w, "MotionSNR %.2f, tau %g: %s", c->source->snr, c->tau, verdict);
    else
        me_writer_printf(w, "%s", verdict);
    me_writer_printf(w, "</text>\n");
}

static double put_legend(me_writer *w, double x, double y, const char *colour, bool dot,
                         const char *text)
{
    if (dot)
        put_dot(w, x + 8, y - 4, colour);
    else
        me_writer_printf(w, "<path d=\"M%.1f %.1fh16\" stroke=\"%s\" stroke-width=\"2\"/>\n", x,
                         y - 4, colour);
    put_text(w, x + 20, y, "start", text);
    return x + 32 + 6 * (double)strlen(text);
}

void motion_similarity_plot(me_writer *w, const motion_similarity_curve *c)
{
    panel p = {.x = 48, .y = 60, .width = 580, .height = 180, .hi = (double)c->source->n - 1};
    if (c->target && (double)c->target->n - 1 > p.hi) p.hi = (double)c->target->n - 1;
    begin(w, 720, 316, c->key);
    put_text(w, p.x, 20, "start", c->text && *c->text ? c->text : c->key);
    put_verdict(w, p.x, 36, c);
    put_classes(w, &p);
    if (c->target) put_curve(w, &p, NULL, c->target->score, c->target->n, colours[1], 1);
    put_curve(w, &p, NULL, c->source->score, c->source->n, colours[0], 2);
    put_ends(w, &p, c->source, c->kappa);
    put_frame(w, &p);
    put_frames_axis(w, &p);
    double x = put_legend(w, p.x, 296, colours[0], false, "source to target");
    if (c->target) x = put_legend(w, x, 296, colours[1], false, "target to source");
    x = put_legend(w, x, 296, "#b2182b", true, "least similar");
    put_legend(w, x, 296, "#1b7837", true, "most similar");
    me_writer_printf(w, "</svg>\n");
}

/* ---- a sweep -----------------------------------------------------------------------------------
 */

static void put_grid_panel(me_writer *w, const panel *p, const motion_similarity_grid *g, int kappa,
                           const double *values, bool last)
{
    for (int i = 1; i < 4; i++)
        put_line(w, p->x, place_y(p, i / 4.0), p->x + p->width, place_y(p, i / 4.0),
                 "stroke=\"#dddddd\"");
    for (int i = 0; i < g->windows; i++)
        put_curve(w, p, g->tau, values + (i * g->kappas + kappa) * g->taus, g->taus,
                  colours[i % COLOURS], 1.5);
    put_frame(w, p);
    for (int t = 0; t < g->taus && last; t++)
        put_number(w, place_x(p, g->tau[t]), p->y + p->height + 14, "middle", g->tau[t]);
    for (int i = 0; i <= 2 && kappa == 0; i++)
        put_number(w, p->x - 5, place_y(p, i / 2.0) + 4, "end", i / 2.0);
}

void motion_similarity_plot_grid(me_writer *w, const motion_similarity_grid *g)
{
    const double wide = 160, high = 120, gap = 20, left = 96;
    const int width = (int)(left + g->kappas * (wide + gap));
    begin(w, width, 360, "share of pairs that teach, and agreement, over tau");
    for (int k = 0; k < g->kappas; k++) {
        panel p = {.x = left + k * (wide + gap),
                   .y = 30,
                   .width = wide,
                   .height = high,
                   .lo = g->tau[0],
                   .hi = g->tau[g->taus - 1]};
        me_writer_printf(w, "<text x=\"%.1f\" y=\"20\" text-anchor=\"middle\">kappa %d</text>\n",
                         p.x + wide / 2, g->kappa[k]);
        put_grid_panel(w, &p, g, k, g->share, false);
        p.y += high + gap;
        put_grid_panel(w, &p, g, k, g->agreement, true);
    }
    put_text(w, 8, 30 + high / 2, "start", "teach");
    put_text(w, 8, 30 + high * 1.5 + gap, "start", "agree");
    put_text(w, left + g->kappas * (wide + gap) / 2 - gap / 2, 324, "middle", "tau");
    double x = left;
    for (int i = 0; i < g->windows; i++) {
        char name[32];
        snprintf(name, sizeof name, "window %d", g->window[i]);
        x = put_legend(w, x, 346, colours[i % COLOURS], false, name);
    }
    me_writer_printf(w, "</svg>\n");
}
