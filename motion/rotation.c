/* motion/rotation.c: axis-angle, matrices and the field's 6D form (spec evaluation 3.1, 3.2).
 *
 * The float32 functions follow the reference operation by operation: their results enter features
 * whose ranks are compared, so neither the order of a sum nor a division may be rewritten. The
 * double functions (mat3.h) serve kinematics and edits, where only accuracy counts.
 */
#include "motion/motion.h"

#include "motion/mat3.h"

/* PyTorch's vector norm of three floats on a machine with FMA, and its cross product below, round
 * as these fused operations do (checked on 20,000 random rows: equal in every bit); its plain sums
 * do not fuse. */
static inline float norm(float x, float y, float z)
{
    return sqrtf(fmaf(z, z, fmaf(y, y, x * x)));
}

static float norm3(const float v[3])
{
    return norm(v[0], v[1], v[2]);
}

static float at_least_tiny(float n)
{
    return n > 1e-12f ? n : 1e-12f;
}

/* What turns a rotation's axis-angle into its quaternion's vector: sin(theta / 2) / theta. */
static inline float half_sinc(float theta, float sine)
{
    const bool small = theta < 1e-6f;
    const float near = 0.5f - (theta * theta) / 48.0f, far = sine / (small ? 1.0f : theta);
    return small ? near : far;
}

/* The first two rows of a quaternion's matrix; two_s is 2 over its square. */
static inline void first_rows(float r[6], float two_s, float w, float x, float y, float z)
{
    r[0] = 1.0f - two_s * (y * y + z * z);
    r[1] = two_s * (x * y - z * w);
    r[2] = two_s * (x * z + y * w);
    r[3] = two_s * (x * y + z * w);
    r[4] = 1.0f - two_s * (x * x + z * z);
    r[5] = two_s * (y * z - x * w);
}

void motion_aa_to_matrix(const float aa[3], float r[9])
{
    float theta = norm3(aa), sine, w;
    sincosf(theta * 0.5f, &sine, &w); /* the bits of sinf and cosf */
    float s = half_sinc(theta, sine), x = aa[0] * s, y = aa[1] * s, z = aa[2] * s;
    float two_s = 2.0f / (w * w + x * x + y * y + z * z);
    first_rows(r, two_s, w, x, y, z);
    r[6] = two_s * (x * z - y * w);
    r[7] = two_s * (y * z + x * w);
    r[8] = 1.0f - two_s * (x * x + y * y);
}

void motion_aa_to_6d(const float aa[3], float d[6])
{
    float r[9];
    motion_aa_to_matrix(aa, r);
    memcpy(d, r, 6 * sizeof *d);
}

enum { BLOCK = 24 };

/* motion_aa_to_6d of up to BLOCK rotations, operation by operation the same: sines and cosines one
 * by one, all else in loops that a compiler does for several at a time. */
static inline __attribute__((always_inline)) void six_of_block(const float *aa, int n, float *d)
{
    float w[BLOCK], x[BLOCK], y[BLOCK], z[BLOCK], theta[BLOCK], sine[BLOCK], six[6][BLOCK];
    for (int i = n; i < BLOCK; i++) w[i] = x[i] = y[i] = z[i] = sine[i] = 1;
    for (int i = 0; i < n; i++) x[i] = aa[3 * i], y[i] = aa[3 * i + 1], z[i] = aa[3 * i + 2];
    for (int i = 0; i < BLOCK; i++) theta[i] = norm(x[i], y[i], z[i]);
    for (int i = 0; i < n; i++) sincosf(theta[i] * 0.5f, &sine[i], &w[i]);
    for (int i = 0; i < BLOCK; i++) {
        const float s = half_sinc(theta[i], sine[i]);
        x[i] *= s, y[i] *= s, z[i] *= s;
    }
    for (int i = 0; i < BLOCK; i++) {
        const float two_s = 2.0f / (w[i] * w[i] + x[i] * x[i] + y[i] * y[i] + z[i] * z[i]);
        float r[6];
        first_rows(r, two_s, w[i], x[i], y[i], z[i]);
        for (int k = 0; k < 6; k++) six[k][i] = r[k];
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 6; k++) d[6 * i + k] = six[k][i];
}

static void six_plain(const float *aa, int n, float *d)
{
    six_of_block(aa, n, d);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void six_avx2(const float *aa, int n, float *d)
{
    six_of_block(aa, n, d);
}
#endif

void motion_aa_to_6d_rows(const float *aa, int64_t n, float *d)
{
    void (*six)(const float *, int, float *) = six_plain;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) six = six_avx2;
#endif
    for (int64_t i = 0; i < n; i += BLOCK)
        six(aa + 3 * i, n - i < BLOCK ? (int)(n - i) : BLOCK, d + 6 * i);
}

static float clamp1(float x)
{
    return x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
}

void motion_6d_to_matrix(const float d[6], float r[9])
{
    const float *a1 = d, *a2 = d + 3;
    float b1[3], b2[3], u[3];
    float n = at_least_tiny(norm3(a1));
    for (int i = 0; i < 3; i++) b1[i] = a1[i] / n;
    float dot = b1[0] * a2[0] + b1[1] * a2[1] + b1[2] * a2[2];
    for (int i = 0; i < 3; i++) u[i] = a2[i] - dot * b1[i];
    n = at_least_tiny(norm3(u));
    for (int i = 0; i < 3; i++) b2[i] = u[i] / n;
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        r[i] = clamp1(b1[i]);
        r[3 + i] = clamp1(b2[i]);
        r[6 + i] = clamp1(fmaf(b1[j], b2[k], -(b1[k] * b2[j])));
    }
}

void motion_matrix_to_6d(const float r[9], float d[6])
{
    memcpy(d, r, 6 * sizeof *d);
}

void motion_matrix_to_aa(const float r[9], float aa[3])
{
    double m[9], v[3];
    for (int i = 0; i < 9; i++) m[i] = (double)r[i];
    motion_mat3_to_aa(v, m);
    for (int i = 0; i < 3; i++) aa[i] = (float)v[i];
}

/* ---- double ---------------------------------------------------------------------------------- */

static double norm3d(const double v[3])
{
    return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

static void quaternion_to_mat3(double r[9], const double q[4])
{
    double w = q[0], x = q[1], y = q[2], z = q[3];
    double s = 2 / (w * w + x * x + y * y + z * z);
    r[0] = 1 - s * (y * y + z * z);
    r[1] = s * (x * y - z * w);
    r[2] = s * (x * z + y * w);
    r[3] = s * (x * y + z * w);
    r[4] = 1 - s * (x * x + z * z);
    r[5] = s * (y * z - x * w);
    r[6] = s * (x * z - y * w);
    r[7] = s * (y * z + x * w);
    r[8] = 1 - s * (x * x + y * y);
}

/* Shepperd's method: dividing by the largest of the four components keeps every case accurate. */
static void mat3_to_quaternion(double q[4], const double r[9])
{
    double t[4] = {r[0] + r[4] + r[8], r[0] - r[4] - r[8], r[4] - r[0] - r[8], r[8] - r[0] - r[4]};
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (t[i] > t[best]) best = i;
    double s = sqrt(t[best] + 1 > 1e-300 ? t[best] + 1 : 1e-300); /* twice the component */
    double f = 0.5 / s;
    q[best] = s / 2;
    double wx = (r[7] - r[5]) * f, wy = (r[2] - r[6]) * f, wz = (r[3] - r[1]) * f;
    double xy = (r[1] + r[3]) * f, xz = (r[2] + r[6]) * f, yz = (r[5] + r[7]) * f;
    switch (best) {
    case 0:
        q[1] = wx, q[2] = wy, q[3] = wz;
        break;
    case 1:
        q[0] = wx, q[2] = xy, q[3] = xz;
        break;
    case 2:
        q[0] = wy, q[1] = xy, q[3] = yz;
        break;
    default:
        q[0] = wz, q[1] = xz, q[2] = yz;
        break;
    }
    if (q[0] < 0)
        for (int i = 0; i < 4; i++) q[i] = -q[i];
}

void motion_mat3_from_aa(double r[9], const double aa[3])
{
    double angle = norm3d(aa);
    double s = angle < 1e-8 ? 0.5 : sin(angle / 2) / angle;
    quaternion_to_mat3(r, (double[4]){cos(angle / 2), aa[0] * s, aa[1] * s, aa[2] * s});
}

void motion_mat3_to_aa(double aa[3], const double r[9])
{
    double q[4];
    mat3_to_quaternion(q, r);
    double sine = norm3d(q + 1);
    double scale = sine < 1e-12 ? 2 : 2 * atan2(sine, q[0]) / sine;
    for (int i = 0; i < 3; i++) aa[i] = q[1 + i] * scale;
}

void motion_mat3_power(double out[9], const double r[9], double t)
{
    double aa[3];
    motion_mat3_to_aa(aa, r);
    for (int i = 0; i < 3; i++) aa[i] *= t;
    motion_mat3_from_aa(out, aa);
}

void motion_mat3_slerp(double out[9], const double a[9], const double b[9], double t)
{
    double d[9];
    motion_mat3_tmul(d, a, b);
    motion_mat3_power(d, d, t);
    motion_mat3_mul(out, a, d);
}

void motion_mat3_between(double r[9], const double from[3], const double to[3])
{
    double nf = norm3d(from), nt = norm3d(to);
    motion_mat3_identity(r);
    if (!(nf > 1e-12) || !(nt > 1e-12)) return;
    double a[3], b[3];
    for (int i = 0; i < 3; i++) a[i] = from[i] / nf, b[i] = to[i] / nt;
    double axis[3], c = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        axis[i] = a[j] * b[k] - a[k] * b[j];
    }
    double s = norm3d(axis), angle = atan2(s, c);
    if (s < 1e-12) { /* parallel, or opposite: then any axis across will do */
        if (c > 0) return;
        int least = fabs(a[0]) <= fabs(a[1]) && fabs(a[0]) <= fabs(a[2]) ? 0
                    : fabs(a[1]) <= fabs(a[2])                           ? 1
                                                                         : 2;
        double e[3] = {0};
        e[least] = 1;
        for (int i = 0; i < 3; i++) {
            int j = (i + 1) % 3, k = (i + 2) % 3;
            axis[i] = a[j] * e[k] - a[k] * e[j];
        }
        s = norm3d(axis);
    }
    for (int i = 0; i < 3; i++) axis[i] *= angle / s;
    motion_mat3_from_aa(r, axis);
}

double motion_mat3_angle(const double r[9])
{
    double aa[3];
    motion_mat3_to_aa(aa, r);
    return norm3d(aa);
}

void motion_mat3_from_6d(double r[9], const float d[6])
{
    double a1[3], a2[3];
    for (int i = 0; i < 3; i++) a1[i] = (double)d[i], a2[i] = (double)d[3 + i];
    double n = fmax(norm3d(a1), 1e-12);
    for (int i = 0; i < 3; i++) r[i] = a1[i] / n;
    double dot = r[0] * a2[0] + r[1] * a2[1] + r[2] * a2[2];
    for (int i = 0; i < 3; i++) a2[i] -= dot * r[i];
    n = fmax(norm3d(a2), 1e-12);
    for (int i = 0; i < 3; i++) r[3 + i] = a2[i] / n;
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        r[6 + i] = r[j] * r[3 + k] - r[k] * r[3 + j];
    }
}

void motion_mat3_to_6d(float d[6], const double r[9])
{
    for (int i = 0; i < 6; i++) d[i] = (float)r[i];
}
