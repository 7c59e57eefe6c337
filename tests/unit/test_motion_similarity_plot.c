/* Pictures of similarity scores: the exact bytes of a small one, and what no text may break. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "motion/similarity_plot.h"

static double scores[] = {1, 0.5, 0, 0.25};
static double back_scores[] = {0, NAN, 0.5, 1, 1};

static char *curve_of(const motion_similarity_curve *curve)
{
    char *text = NULL;
    size_t size = 0;
    me_writer w = {.stream = open_memstream(&text, &size)};
    motion_similarity_plot(&w, curve);
    cr_assert_eq(w.err.code, ME_OK);
    fclose(w.stream);
    return text;
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)); p++) n++;
    return n;
}

// clang-format off
static const char small[] =
"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 316\" width=\"720\" height=\"316\"\n"
"     font-family=\"sans-serif\" font-size=\"11\">\n"
"<title>000007</title>\n"
"<rect width=\"720\" height=\"316\" fill=\"#ffffff\"/>\n"
"<text x=\"48.0\" y=\"20.0\" text-anchor=\"start\">higher</text>\n"
"<text x=\"48.0\" y=\"36.0\">MotionSNR 3.25, tau 2: teaches</text>\n"
"<rect x=\"48.0\" y=\"180.0\" width=\"580.0\" height=\"60.0\" fill=\"#fdeaea\"/>\n"
"<path d=\"M48.0 180.0L628.0 180.0\" stroke=\"#888888\" stroke-dasharray=\"4 3\"/>\n"
"<text x=\"634.0\" y=\"214.0\" text-anchor=\"start\">different</text>\n"
"<rect x=\"48.0\" y=\"120.0\" width=\"580.0\" height=\"60.0\" fill=\"#f7f7f7\"/>\n"
"<path d=\"M48.0 120.0L628.0 120.0\" stroke=\"#888888\" stroke-dasharray=\"4 3\"/>\n"
"<text x=\"634.0\" y=\"154.0\" text-anchor=\"start\">between</text>\n"
"<rect x=\"48.0\" y=\"60.0\" width=\"580.0\" height=\"60.0\" fill=\"#e9f5ea\"/>\n"
"<text x=\"634.0\" y=\"94.0\" text-anchor=\"start\">similar</text>\n"
"<path fill=\"none\" stroke=\"#d55e00\" stroke-width=\"1\" d=\"M48.0 240.0M338.0 150.0L483.0 60.0L628.0 60.0\"/>\n"
"<path fill=\"none\" stroke=\"#0072b2\" stroke-width=\"2\" d=\"M48.0 60.0L193.0 150.0L338.0 240.0L483.0 195.0\"/>\n"
"<circle cx=\"338.0\" cy=\"240.0\" r=\"2.5\" fill=\"#b2182b\"/>\n"
"<circle cx=\"48.0\" cy=\"60.0\" r=\"2.5\" fill=\"#1b7837\"/>\n"
"<rect x=\"48.0\" y=\"60.0\" width=\"580.0\" height=\"180.0\" fill=\"none\" stroke=\"#333333\"/>\n"
"<path d=\"M48.0 240.0L48.0 244.0\" stroke=\"#333333\"/>\n"
"<text x=\"48.0\" y=\"256.0\" text-anchor=\"middle\">0</text>\n"
"<path d=\"M193.0 240.0L193.0 244.0\" stroke=\"#333333\"/>\n"
"<text x=\"193.0\" y=\"256.0\" text-anchor=\"middle\">1</text>\n"
"<path d=\"M338.0 240.0L338.0 244.0\" stroke=\"#333333\"/>\n"
"<text x=\"338.0\" y=\"256.0\" text-anchor=\"middle\">2</text>\n"
"<path d=\"M483.0 240.0L483.0 244.0\" stroke=\"#333333\"/>\n"
"<text x=\"483.0\" y=\"256.0\" text-anchor=\"middle\">3</text>\n"
"<path d=\"M628.0 240.0L628.0 244.0\" stroke=\"#333333\"/>\n"
"<text x=\"628.0\" y=\"256.0\" text-anchor=\"middle\">4</text>\n"
"<text x=\"338.0\" y=\"272.0\" text-anchor=\"middle\">frame</text>\n"
"<text x=\"42.0\" y=\"244.0\" text-anchor=\"end\">0</text>\n"
"<text x=\"42.0\" y=\"184.0\" text-anchor=\"end\">1/3</text>\n"
"<text x=\"42.0\" y=\"124.0\" text-anchor=\"end\">2/3</text>\n"
"<text x=\"42.0\" y=\"64.0\" text-anchor=\"end\">1</text>\n"
"<path d=\"M48.0 292.0h16\" stroke=\"#0072b2\" stroke-width=\"2\"/>\n"
"<text x=\"68.0\" y=\"296.0\" text-anchor=\"start\">source to target</text>\n"
"<path d=\"M176.0 292.0h16\" stroke=\"#d55e00\" stroke-width=\"2\"/>\n"
"<text x=\"196.0\" y=\"296.0\" text-anchor=\"start\">target to source</text>\n"
"<circle cx=\"312.0\" cy=\"292.0\" r=\"2.5\" fill=\"#b2182b\"/>\n"
"<text x=\"324.0\" y=\"296.0\" text-anchor=\"start\">least similar</text>\n"
"<circle cx=\"422.0\" cy=\"292.0\" r=\"2.5\" fill=\"#1b7837\"/>\n"
"<text x=\"434.0\" y=\"296.0\" text-anchor=\"start\">most similar</text>\n"
"</svg>\n";
// clang-format on

Test(plot, a_small_curve_is_these_bytes)
{
    const motion_similarity source = {.n = 4, .score = scores, .snr = 3.25, .teaches = true};
    const motion_similarity target = {.n = 5, .score = back_scores};
    const motion_similarity_curve curve = {.key = "000007",
                                           .text = "higher",
                                           .source = &source,
                                           .target = &target,
                                           .tau = 2,
                                           .kappa = 1};
    char *text = curve_of(&curve);
    cr_assert_str_eq(text, small);
    free(text);
}

Test(plot, a_text_cannot_end_its_element_and_scores_of_a_file_have_no_snr)
{
    const motion_similarity source = {.n = 4, .score = scores, .snr = NAN};
    const motion_similarity_curve curve = {
        .key = "</title><script>&\x01", .text = "a < b & \"c\"\n", .source = &source, .kappa = 10};
    char *text = curve_of(&curve);
    cr_assert(strstr(text, "<title>&lt;/title&gt;&lt;script&gt;&amp; </title>"));
    cr_assert(strstr(text, ">a &lt; b &amp; \"c\" </text>"));
    cr_assert(strstr(text, ">does not teach</text>"));
    cr_assert_null(strstr(text, "MotionSNR"));
    cr_assert_null(strstr(text, "target to source"));
    cr_assert_eq(count(text, "<circle"), 2 * 4 + 2, "each frame at both ends, and the legend");
    free(text);
}

Test(plot, one_frame_is_no_division_by_zero)
{
    const motion_similarity source = {.n = 1, .score = scores};
    const motion_similarity_curve curve = {.key = "k", .source = &source, .kappa = 1};
    char *text = curve_of(&curve);
    cr_assert_null(strstr(text, "nan"));
    cr_assert_null(strstr(text, "inf"));
    free(text);
}

Test(plot, a_sweep_has_two_panels_for_each_kappa_and_a_line_for_each_window)
{
    static const int windows[] = {5, 15, 30}, kappas[] = {5, 10};
    static const double taus[] = {1, 2}, values[12] = {0, 0.25, 0.5, 0.75, 1};
    const motion_similarity_grid grid = {.window = windows,
                                         .kappa = kappas,
                                         .tau = taus,
                                         .windows = 3,
                                         .kappas = 2,
                                         .taus = 2,
                                         .share = values,
                                         .agreement = values};
    char *text = NULL;
    size_t size = 0;
    me_writer w = {.stream = open_memstream(&text, &size)};
    motion_similarity_plot_grid(&w, &grid);
    fclose(w.stream);
    cr_assert_eq(count(text, "<rect x"), 4);
    cr_assert_eq(count(text, "<path fill=\"none\""), 12);
    cr_assert(strstr(text, ">kappa 10</text>"));
    cr_assert(strstr(text, ">window 30</text>"));
    /* The first window's line with kappa 10 goes from 0.5 to 0.75 of the second column. */
    cr_assert(strstr(text, "d=\"M276.0 90.0L436.0 60.0\""));
    free(text);
}
