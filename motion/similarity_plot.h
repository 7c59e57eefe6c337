/* motion/similarity_plot.h: pictures of similarity scores (similarity.h) as SVG, which any browser
 * shows: the curve of one pair, and how window, kappa and tau choose the pairs that teach.
 */
#ifndef MOTION_SIMILARITY_PLOT_H
#define MOTION_SIMILARITY_PLOT_H

#include "core/file.h"
#include "motion/similarity.h"

typedef struct motion_similarity_curve {
    const char *key, *text;          /* text: NULL or empty where there is none */
    const motion_similarity *source; /* what teaches: a score for each source frame */
    const motion_similarity *target; /* the same with the roles exchanged, or NULL */
    double tau;
    int kappa;
} motion_similarity_curve;

/* Frames from left to right, score from 0 to 1; the thresholds of the three classes; and the frames
 * that MotionSNR compares: the kappa least and the kappa most similar ones. */
void motion_similarity_plot(me_writer *w, const motion_similarity_curve *curve);

/* Values of a sweep, at [(window * kappas + kappa) * taus + tau]. */
typedef struct motion_similarity_grid {
    const int *window, *kappa;
    const double *tau;
    int windows, kappas, taus;
    const double *share;     /* of pairs that teach, 0 to 1 */
    const double *agreement; /* with the setting in use: of pairs that either selects, both do */
} motion_similarity_grid;

/* A column of two panels for each kappa, a line for each window, tau from left to right. */
void motion_similarity_plot_grid(me_writer *w, const motion_similarity_grid *grid);

#endif
