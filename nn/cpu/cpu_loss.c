/* nn/cpu/cpu_loss.c: losses and their gradients, row by row, everything summed in double and in
 * order.
 *
 * A loss is a sum over rows, so forward sums what row functions return and backward lets the same
 * rows add to their gradients. Rows are few and short next to the network that made them: one
 * thread does it.
 */
#include "nn/cpu/cpu_priv.h"

#include <math.h>

/* The arguments with f32 stand-ins. */
typedef struct loss {
    nn_loss_args args;
    const float *a, *b, *c, *e;
    float *da, *db, *dc, *de;
} loss;

static loss loss_f32(cpu_backend *cpu, const nn_loss_args *o, bool backward)
{
    int64_t n = o->m * o->d;
    loss l = {.args = *o,
              .a = nn_cpu_in1(cpu, o->dtype, o->a, n),
              .b = nn_cpu_in1(cpu, o->dtype, o->b, n),
              .c = nn_cpu_in1(cpu, o->dtype, o->c, n),
              .e = nn_cpu_in1(cpu, o->dtype, o->e, n)};
    if (backward) {
        l.da = nn_cpu_out1(cpu, o->dtype, o->da, n, true);
        l.db = nn_cpu_out1(cpu, o->dtype, o->db, n, true);
        l.dc = nn_cpu_out1(cpu, o->dtype, o->dc, n, true);
        l.de = nn_cpu_out1(cpu, o->dtype, o->de, n, true);
    }
    return l;
}

static void add(float *gradient, int64_t i, double value)
{
    if (gradient) gradient[i] = (float)(gradient[i] + value);
}

/* ---- squared and smooth absolute differences ---------------------------------------------------
 */

static double row_weight(const loss *l, int64_t i)
{
    return l->args.row_weight ? l->args.row_weight[i] : 1;
}

static double difference_forward(const loss *l)
{
    bool smooth = l->args.kind == NN_LOSS_SMOOTH_L1;
    double total = 0;
    for (int64_t i = 0; i < l->args.m; i++) {
        double sum = 0;
        for (int64_t k = i * l->args.d; k < (i + 1) * l->args.d; k++) {
            double x = (double)l->a[k] - l->b[k], size = fabs(x);
            sum += !smooth ? x * x : size < 1 ? x * x / 2 : size - 0.5;
        }
        total += row_weight(l, i) * sum;
    }
    return total / l->args.denominator;
}

static void difference_backward(const loss *l, double upstream)
{
    bool smooth = l->args.kind == NN_LOSS_SMOOTH_L1;
    for (int64_t i = 0; i < l->args.m; i++) {
        double share = upstream * row_weight(l, i) / l->args.denominator;
        if (share == 0) continue; /* rows that do not count may hold anything */
        for (int64_t k = i * l->args.d; k < (i + 1) * l->args.d; k++) {
            double x = (double)l->a[k] - l->b[k];
            double g = share * (!smooth ? 2 * x : x > 1 ? 1 : x < -1 ? -1 : x);
            add(l->da, k, g);
            add(l->db, k, -g);
        }
    }
}

/* ---- cross-entropy -----------------------------------------------------------------------------
 */

static double class_weight(const loss *l, int32_t label)
{
    return l->args.row_weight ? l->args.row_weight[label] : 1;
}

/* log(sum(exp(x))) of n values `step` apart; hidden ones (of the same spacing) do not count. */
static double log_sum_exp(const float *x, const int32_t *hidden, int64_t n, int64_t step,
                          int64_t never_hidden)
{
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        bool seen = !hidden || !hidden[j * step] || j == never_hidden;
        if (seen && x[j * step] > top) top = x[j * step];
    }
    for (int64_t j = 0; j < n; j++) {
        bool seen = !hidden || !hidden[j * step] || j == never_hidden;
        if (seen) sum += exp(x[j * step] - top);
    }
    return top + log(sum);
}

static double counted_weight(const loss *l)
{
    double sum = 0;
    for (int64_t i = 0; i < l->args.m; i++) {
        if (l->args.labels[i] >= 0) sum += class_weight(l, l->args.labels[i]);
    }
    return sum;
}

static double cross_entropy_forward(const loss *l)
{
    int64_t d = l->args.d;
    double total = 0, weight = counted_weight(l);
    for (int64_t i = 0; i < l->args.m; i++) {
        int32_t label = l->args.labels[i];
        if (label < 0) continue;
        const float *row = l->a + i * d;
        total += class_weight(l, label) * (log_sum_exp(row, NULL, d, 1, -1) - row[label]);
    }
    return weight != 0 ? total / weight : 0;
}

static void cross_entropy_backward(const loss *l, double upstream)
{
    int64_t d = l->args.d;
    double weight = counted_weight(l);
    for (int64_t i = 0; i < l->args.m && weight != 0; i++) {
        int32_t label = l->args.labels[i];
        if (label < 0) continue;
        const float *row = l->a + i * d;
        double lse = log_sum_exp(row, NULL, d, 1, -1);
        double share = upstream * class_weight(l, label) / weight;
        for (int64_t j = 0; j < d; j++)
            add(l->da, i * d + j, share * (exp(row[j] - lse) - (j == label)));
    }
}

/* ---- InfoNCE -----------------------------------------------------------------------------------
 */

static const int32_t *hidden_from(const loss *l, int64_t at)
{
    return l->args.labels ? l->args.labels + at : NULL;
}

static double info_nce_forward(const loss *l)
{
    int64_t n = l->args.m;
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        total += log_sum_exp(l->a + i * n, hidden_from(l, i * n), n, 1, i);
        total += log_sum_exp(l->a + i, hidden_from(l, i), n, n, i);
        total -= 2 * (double)l->a[i * n + i];
    }
    return n ? total / (2 * (double)n) : 0;
}

static void info_nce_backward(const loss *l, double upstream)
{
    int64_t n = l->args.m;
    double share = upstream / (2 * (double)n);
    for (int64_t i = 0; i < n; i++) {
        double row = log_sum_exp(l->a + i * n, hidden_from(l, i * n), n, 1, i);
        double column = log_sum_exp(l->a + i, hidden_from(l, i), n, n, i);
        for (int64_t j = 0; j < n; j++) {
            int64_t across = i * n + j, down = j * n + i;
            bool own = i == j, see_across = own || !l->args.labels || !l->args.labels[across];
            bool see_down = own || !l->args.labels || !l->args.labels[down];
            if (see_across) add(l->da, across, share * (exp(l->a[across] - row) - own));
            if (see_down) add(l->da, down, share * (exp(l->a[down] - column) - own));
        }
    }
}

/* ---- KL of two diagonal normals: a, b = mu1, lv1; c, e = mu2, lv2 or NULL -----------------------
 */

static double kl_forward(const loss *l)
{
    int64_t n = l->args.m * l->args.d;
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        double mu2 = l->c ? l->c[i] : 0, lv2 = l->e ? l->e[i] : 0;
        double apart = l->a[i] - mu2;
        total += (lv2 - l->b[i] + exp(l->b[i] - lv2) + apart * apart * exp(-lv2) - 1) / 2;
    }
    return n ? total / (double)n : 0;
}

static void kl_backward(const loss *l, double upstream)
{
    int64_t n = l->args.m * l->args.d;
    double share = upstream / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double mu2 = l->c ? l->c[i] : 0, lv2 = l->e ? l->e[i] : 0;
        double apart = l->a[i] - mu2, ratio = exp(l->b[i] - lv2), tight = exp(-lv2);
        add(l->da, i, share * apart * tight);
        add(l->db, i, share * (ratio - 1) / 2);
        add(l->dc, i, -share * apart * tight);
        add(l->de, i, share * (1 - ratio - apart * apart * tight) / 2);
    }
}

/* ---- triplet: a, b, c = anchor, positive, negative ----------------------------------------------
 */

/* PyTorch's pairwise distance adds 1e-6 to every difference; squared distances are plain. */
#define TRIPLET_EPS 1e-6

static double distance(const float *x, const float *y, int64_t n, bool squared)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
        double apart = (double)x[j] - y[j] + (squared ? 0 : TRIPLET_EPS);
        sum += apart * apart;
    }
    return squared ? sum : sqrt(sum);
}

/* Adds share times the gradient of distance(x, y), which is `d`. */
static void distance_backward(float *dx, float *dy, const float *x, const float *y, int64_t from,
                              int64_t n, double d, double share, bool squared)
{
    const double by = squared ? 2 * share : share / d, eps = squared ? 0 : TRIPLET_EPS;
    for (int64_t j = from; d > 0 && j < from + n; j++) {
        double g = by * ((double)x[j] - y[j] + eps);
        add(dx, j, g);
        add(dy, j, -g);
    }
}

static double triplet_forward(const loss *l)
{
    int64_t d = l->args.d;
    double total = 0;
    for (int64_t at = 0; at < l->args.m * d; at += d) {
        double near = distance(l->a + at, l->b + at, d, l->args.squared);
        double far = distance(l->a + at, l->c + at, d, l->args.squared);
        total += fmax(0, (double)l->args.margin + near - far);
    }
    return l->args.m ? total / (double)l->args.m : 0;
}

static void triplet_backward(const loss *l, double upstream)
{
    int64_t d = l->args.d;
    double share = upstream / (double)l->args.m;
    for (int64_t at = 0; at < l->args.m * d; at += d) {
        double near = distance(l->a + at, l->b + at, d, l->args.squared);
        double far = distance(l->a + at, l->c + at, d, l->args.squared);
        if ((double)l->args.margin + near - far <= 0) continue;
        distance_backward(l->da, l->db, l->a, l->b, at, d, near, share, l->args.squared);
        distance_backward(l->da, l->dc, l->a, l->c, at, d, far, -share, l->args.squared);
    }
}

/* ---- slots -------------------------------------------------------------------------------------
 */

static const struct {
    double (*forward)(const loss *);
    void (*backward)(const loss *, double upstream);
} kinds[] = {
    [NN_LOSS_MSE] = {difference_forward, difference_backward},
    [NN_LOSS_SMOOTH_L1] = {difference_forward, difference_backward},
    [NN_LOSS_CROSS_ENTROPY] = {cross_entropy_forward, cross_entropy_backward},
    [NN_LOSS_INFO_NCE] = {info_nce_forward, info_nce_backward},
    [NN_LOSS_KL] = {kl_forward, kl_backward},
    [NN_LOSS_TRIPLET] = {triplet_forward, triplet_backward},
};

size_t nn_cpu_loss_scratch(nn_backend *be, const nn_loss_args *args)
{
    (void)be;
    (void)args;
    return 0; /* backward computes again what it needs */
}

void nn_cpu_loss_fwd(nn_backend *be, const nn_loss_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    loss l = loss_f32(cpu, args, false);
    if (nn_cpu_ready(cpu)) *args->value = (float)kinds[args->kind].forward(&l);
    nn_cpu_done(cpu);
}

void nn_cpu_loss_bwd(nn_backend *be, const nn_loss_args *args)
{
    cpu_backend *cpu = nn_cpu(be);
    loss l = loss_f32(cpu, args, true);
    if (nn_cpu_ready(cpu)) kinds[args->kind].backward(&l, *args->upstream);
    nn_cpu_done(cpu);
}
