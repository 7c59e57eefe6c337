/* motion/mat3.h: 3x3 matrices in double, row-major, acting on column vectors (p' = R p). For
 * kinematics, retargeting and edits. What must agree with the reference bit by bit is float32 and
 * in rotation.c instead. */
#ifndef MOTION_MAT3_H
#define MOTION_MAT3_H

#include <math.h>
#include <string.h>

#define MOTION_PI 3.14159265358979323846

static inline void motion_mat3_identity(double r[9])
{
    memset(r, 0, 9 * sizeof *r);
    r[0] = r[4] = r[8] = 1;
}

/* out = a b; out may be a or b. */
static inline void motion_mat3_mul(double out[9], const double a[9], const double b[9])
{
    double t[9];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            t[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
    memcpy(out, t, sizeof t);
}

/* out = a^T b; out may be a or b. */
static inline void motion_mat3_tmul(double out[9], const double a[9], const double b[9])
{
    double t[9];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            t[3 * i + j] = a[i] * b[j] + a[3 + i] * b[3 + j] + a[6 + i] * b[6 + j];
    memcpy(out, t, sizeof t);
}

/* out = r v; out may be v. */
static inline void motion_mat3_apply(double out[3], const double r[9], const double v[3])
{
    double x = v[0], y = v[1], z = v[2];
    for (int i = 0; i < 3; i++) out[i] = r[3 * i] * x + r[3 * i + 1] * y + r[3 * i + 2] * z;
}

/* out = r^T v; out may be v. */
static inline void motion_mat3_tapply(double out[3], const double r[9], const double v[3])
{
    double x = v[0], y = v[1], z = v[2];
    for (int i = 0; i < 3; i++) out[i] = r[i] * x + r[3 + i] * y + r[6 + i] * z;
}

/* Rotation by `angle` radians about the axis number 0..2 (X Y Z), right-handed. */
static inline void motion_mat3_axis(double r[9], int axis, double angle)
{
    int u = (axis + 1) % 3, v = (axis + 2) % 3;
    double c = cos(angle), s = sin(angle);
    motion_mat3_identity(r);
    r[3 * u + u] = r[3 * v + v] = c;
    r[3 * u + v] = -s;
    r[3 * v + u] = s;
}

/* Rodrigues' formula; the vector's length is the angle. */
void motion_mat3_from_aa(double r[9], const double aa[3]);
/* The vector of length 0..pi; exact near 0 and near pi too. `r` should be a rotation. */
void motion_mat3_to_aa(double aa[3], const double r[9]);
/* The same axis, `t` times the angle (of 0..pi). */
void motion_mat3_power(double out[9], const double r[9], double t);
/* On the shortest arc from a (t = 0) to b (t = 1). */
void motion_mat3_slerp(double out[9], const double a[9], const double b[9], double t);
/* The shortest rotation that takes the direction of `from` to that of `to`; zero vectors: identity.
 */
void motion_mat3_between(double r[9], const double from[3], const double to[3]);
/* The angle of a rotation, 0..pi. */
double motion_mat3_angle(const double r[9]);
/* 6D (two rows) to a rotation and back, in double; Gram-Schmidt as motion_6d_to_matrix. */
void motion_mat3_from_6d(double r[9], const float d[6]);
void motion_mat3_to_6d(float d[6], const double r[9]);

#endif
