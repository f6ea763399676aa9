/* Sums over listed channels, written once and compiled for several vector widths and two precisions; see kernels.h for
 * the macros that the including file defines.
 *
 * The path of channel c to voxel v is d = P[t_c][v] + P[r_c][v] - reference[c], in float64.  With k = 2 pi turns:
 *   forward     y[s][c][f] = sum_v x[s][v] B[c][v] exp(-j k_f d)
 *   spread      x[s][v]    = sum_c B[c][v] sum_m w_m[c][v] sum_f y[s][m][c][f] exp(+j k_f d)
 *   compressed  x[s][v]    = sum_c B[c][v] exp(+j k_c d) (the range profile of channel c, interpolated at d)
 * B is the product of both antennas' amplitudes.  A phase is formed and reduced to a fraction of a turn in float64
 * before anything is rounded to REAL.
 *
 * Why it is done so:
 * - float64 turns. A path can be thousands of wavelengths long, but only the fraction of the last one counts: float32
 *   has 24 bits, and the whole turns would take most of them. In turns, not radians, whole ones are dropped by an exact
 *   subtraction; 2 pi comes in afterwards, where the number is small. A float32 fraction is then good to 2^-25 turns.
 * - Pairs. A listed channel's kernel is no product over antennas that many pairs share, so nothing is tabulated: the
 *   phasor of a pair (channel, voxel) is made once and advanced through the sweep in registers.
 * - Two ratios. `q` leads from one frequency to the next, `l` over CHAIN of them. `l` is a phasor of its own and not
 *   q^CHAIN, so that the errors of q are not multiplied: the last of n frequencies has CHAIN + n / CHAIN roundings.
 * - Rows. A row holds paths and amplitudes from one antenna to a block of voxels; a channel only adds and multiplies
 *   two rows. Rows are kept while a block is treated, as channels next to each other in a list mostly share an antenna.
 *   Antenna t is kept at place t % n_row, whatever was there before: a direct-mapped cache.
 */

#define CHAIN 16 /* frequencies advanced by multiplication before the next phasor that is 16 steps in one */
#define GROUP 8  /* frequencies that forward sums in one pass over a block: 16 sums stay in registers */

/* What is kept of one antenna for a block of voxels. */
typedef struct {
    double path[PAIRS];
    REAL amplitude[PAIRS];
    REAL turn[PAIRS], carrier_re[PAIRS], carrier_im[PAIRS]; /* for range profiles: position in one, carrier's phasor */
} NAME(Row);

/* The working space of one thread, for a block of voxels and the channel at hand; g and s are intermediate sums. */
typedef struct {
    double x[PAIRS], y[PAIRS], z[PAIRS], distance[PAIRS];
    REAL c_re[PAIRS], c_im[PAIRS], b[PAIRS];              /* a channel's carrier and amplitude */
    REAL w_re[PAIRS], w_im[PAIRS];                        /* phasor at the first frequency */
    REAL q_re[PAIRS], q_im[PAIRS], l_re[PAIRS], l_im[PAIRS]; /* from one frequency to the next, and CHAIN in one */
    REAL g_re[PAIRS], g_im[PAIRS], s_re[PAIRS], s_im[PAIRS];
    REAL pairs[2 * PAIRS];
    int place[PAIRS], part[PAIRS];
    NAME(Row) rows[ROWS + 1];                             /* the last one when both antennas share a place */
    Index antenna[ROWS + 1];                               /* whose rows they are; rows start on cache lines */
} NAME(Space);

#define ROUND_64 6755399441055744.0 /* adding and subtracting it rounds a float64 to the nearest whole number */
#define ROUND_REAL ((REAL)(sizeof(REAL) == 8 ? ROUND_64 : 12582912.0))
#define TERMS (sizeof(REAL) == 8 ? 9 : 5)

/* cos and sin of `turn` turns, |turn| <= 1/2: Taylor series on an eighth of a turn either side of the nearest quarter. */
INLINE void NAME(phasor)(REAL turn, int terms, REAL *c, REAL *s)
{
    const REAL nearest = (4 * turn + ROUND_REAL) - ROUND_REAL;
    const int quarter = (int)nearest;
    const REAL angle = (turn - nearest * (REAL)0.25) * (REAL)6.283185307179586476925, square = angle * angle;
    REAL even = (REAL)INVERSE_FACTORIAL[2 * terms - 2], odd = (REAL)INVERSE_FACTORIAL[2 * terms - 1];
#pragma GCC unroll 16
    for (int i = terms - 2; i >= 0; i--) {
        even = (REAL)INVERSE_FACTORIAL[2 * i] - even * square;
        odd = (REAL)INVERSE_FACTORIAL[2 * i + 1] - odd * square;
    }
    odd *= angle;
    const REAL a = quarter & 1 ? odd : even, b = quarter & 1 ? even : odd;
    *c = (quarter + 1) & 2 ? -a : a;
    *s = quarter & 2 ? -b : b;
}

/* The same, cheaper, for range profiles, whose interpolation has larger errors: in float32 minimax polynomials for a
 * quarter of the angle (to 2e-6 for |turn| <= 1/2); squaring the complex result twice gives the whole angle. */
INLINE void NAME(quick_phasor)(REAL turn, REAL *c, REAL *s)
{
    if (sizeof(REAL) == 8) {
        NAME(phasor)(turn, TERMS, c, s);
        return;
    }
    const REAL q = turn * turn;
    const REAL even = (REAL)0.99999997 + q * ((REAL)-1.23369701 + q * ((REAL)0.25359864 + q * (REAL)-0.02040835));
    const REAL odd = turn * ((REAL)1.57079408 + q * ((REAL)-0.64580184 + q * (REAL)0.07795503));
    const REAL half_c = even * even - odd * odd, half_s = 2 * even * odd;
    *c = half_c * half_c - half_s * half_s;
    *s = 2 * half_c * half_s;
}

/* Distances of a block of voxels from a point, to the last digits of float64, by multiplications: from y near
 * 1 / sqrt(s), miss = 1 - s y^2, the root is s y (1 - miss)^(-1/2), by its series.  The instruction for a root in
 * float64 takes four times as long, a third of all that range profiles ask for. */
INLINE void NAME(distances)(const NAME(Space) * space, const double *from, double *out)
{
#if defined(ESTIMATE) /* to 6e-5 */
    typedef double eight __attribute__((vector_size(64), aligned(8), may_alias));
    for (int v = 0; v < PAIRS; v += 8) {
        const eight dx = *(const eight *)(space->x + v) - from[0], dy = *(const eight *)(space->y + v) - from[1];
        const eight dz = *(const eight *)(space->z + v) - from[2], s = dx * dx + (dy * dy + (dz * dz + 1e-300));
        const eight y = (eight)ESTIMATE((__m512d)s), r = s * y, miss = 1 - r * y;
        *(eight *)(out + v) = r + r * miss * (0.5 + miss * (0.375 + miss * 0.3125));
    }
#else /* to 5e-6: two Newton steps in float32 from the bits of s */
    for (int v = 0; v < PAIRS; v++) {
        const double dx = space->x[v] - from[0], dy = space->y[v] - from[1], dz = space->z[v] - from[2];
        const double s = dx * dx + dy * dy + dz * dz;
        const float single = (float)s, half = 0.5f * single;
        int bits;
        float y;
        __builtin_memcpy(&bits, &single, sizeof bits);
        bits = 0x5f3759df - (bits >> 1);
        __builtin_memcpy(&y, &bits, sizeof y);
        y *= 1.5f - half * y * y;
        y *= 1.5f - half * y * y;
        const double r = s * y, miss = 1 - r * y;
        out[v] = r + r * miss * (0.5 + 0.375 * miss);
    }
#endif
}

/* The fraction of a number of turns, -1/2 to 1/2: what is left without the nearest whole number. */
INLINE REAL NAME(fraction)(double turn) { return (REAL)(turn - ((turn + ROUND_64) - ROUND_64)); }

/* The same to 2^-24 turns where REAL is float, up to 10^8 turns: in a sum with 1.5 2^28 the low half of the bits holds a
 * fraction and the lowest whole turns, which a shift drops. */
INLINE REAL NAME(quick_fraction)(double turn)
{
    if (sizeof(REAL) == 8) return NAME(fraction)(turn);
    const double sum = turn + 402653184.0;
    long long bits;
    __builtin_memcpy(&bits, &sum, sizeof bits);
    return (REAL)(int)((unsigned)bits << 8) * (REAL)0x1p-32;
}

/* exp(j 2 pi turns d) for a block of paths. */
INLINE void NAME(phasors)(const double *d, double turns, REAL *out_re, REAL *out_im)
{
    for (int v = 0; v < PAIRS; v++) {
        NAME(phasor)(NAME(fraction)(turns * d[v]), TERMS, out_re + v, out_im + v);
    }
}

/* Voxel centres of a block. Beyond the last voxel they repeat it, so that paths are finite and every loop runs over
 * whole blocks. The rows of the block before are dropped. */
INLINE void NAME(place_voxels)(const ChannelTask *task, Index first, NAME(Space) * space)
{
    Index v = first < task->n_voxel ? first : task->n_voxel - 1;
    for (Index n = 0; n <= ROWS; n++) space->antenna[n] = -1;
    if (task->listed) { /* some of a grid's voxels: x, y, z of each */
        for (int n = 0; n < PAIRS; n++) {
            space->x[n] = task->x[v], space->y[n] = task->y[v], space->z[n] = task->z[v];
            if (v + 1 < task->n_voxel) v++;
        }
        return;
    }
    Index i = v / (task->n_y * task->n_z), j = v / task->n_z % task->n_y, k = v % task->n_z;
    for (int n = 0; n < PAIRS; n++) {
        space->x[n] = task->x[i], space->y[n] = task->y[j], space->z[n] = task->z[k];
        if (++v >= task->n_voxel) continue;
        if (++k < task->n_z) continue;
        k = 0;
        if (++j < task->n_y) continue;
        j = 0, i++;
    }
}

/* Path, amplitude and, on request, carrier of one antenna for the block at `offset` of the task: from tables, or
 * straight lines in a homogeneous medium. */
INLINE const NAME(Row) * NAME(row_of)(const ChannelTask *task, Index antenna, Index place, Index offset, int carrier,
                                      NAME(Space) * space)
{
    NAME(Row) *row = space->rows + place;
    if (space->antenna[place] == antenna) return row;
    space->antenna[place] = antenna;
    double *path = row->path;
    REAL *amplitude = row->amplitude;
    if (task->path) {
        const double *from = task->path + antenna * task->table + offset;
        const REAL *size = (const REAL *)task->amplitude + antenna * task->table + offset;
        for (int v = 0; v < PAIRS; v++) path[v] = from[v], amplitude[v] = size[v];
    } else {
        const double *at = task->positions + 3 * antenna;
        NAME(distances)(space, at, path);
        if (task->spreading)
            for (int v = 0; v < PAIRS; v++) amplitude[v] = (REAL)(0.28209479177387814 / path[v]); /* 1 / sqrt(4 pi) */
        else if (!carrier)
            for (int v = 0; v < PAIRS; v++) amplitude[v] = 1;
    }
    if (carrier)
        for (int v = 0; v < PAIRS; v++) {
            NAME(quick_phasor)(NAME(quick_fraction)(task->carrier * path[v]), row->carrier_re + v, row->carrier_im + v);
            row->turn[v] = NAME(quick_fraction)(task->step * path[v]);
        }
    return row;
}

/* The rows of both antennas of a channel. Where both share a place, the receiver's goes to the spare one, ROWS. */
INLINE void NAME(rows_of)(const ChannelTask *task, Index channel, Index offset, int carrier, NAME(Space) * space,
                          const NAME(Row) * *tx, const NAME(Row) * *rx)
{
    const Index t = task->channels[2 * channel], r = task->channels[2 * channel + 1];
    const Index tx_place = t % task->n_row, rx_place = r % task->n_row;
    *tx = NAME(row_of)(task, t, tx_place, offset, carrier, space);
    *rx = NAME(row_of)(task, r, t != r && tx_place == rx_place ? ROWS : rx_place, offset, carrier, space);
}

/* The paths of a channel less its reference go to space->distance, its amplitudes to space->b. */
INLINE void NAME(join)(const ChannelTask *task, Index channel, const NAME(Row) * tx, const NAME(Row) * rx,
                       NAME(Space) * space)
{
    const double reference = task->reference[channel];
    for (int v = 0; v < PAIRS; v++) space->distance[v] = (tx->path[v] + rx->path[v]) - reference;
    for (int v = 0; v < PAIRS; v++) space->b[v] = tx->amplitude[v] * rx->amplitude[v];
}

/* s[v] = sum_f y[f] q^f by Horner's rule: CHAIN frequencies in q, then a step in l = q^CHAIN, so that no power of q is
 * made. WIDE vectors of voxels at a time, because each step waits for the one before. `q * 0` is a vector of zeros. */
INLINE void NAME(horner)(const REAL *y, Index n_freq, NAME(Space) * space)
{
    enum { WIDE = 4 };
    const Index last = (n_freq - 1) / CHAIN * CHAIN;
    for (Index v = 0; v < PAIRS; v += WIDE * LANES) {
        VEC qr[WIDE], qi[WIDE], ar[WIDE], ai[WIDE];
#pragma GCC unroll 8
        for (int i = 0; i < WIDE; i++) {
            qr[i] = NAME(load)(space->q_re + v + i * LANES), qi[i] = NAME(load)(space->q_im + v + i * LANES);
            NAME(store)(space->s_re + v + i * LANES, qr[i] * 0);
            NAME(store)(space->s_im + v + i * LANES, qr[i] * 0);
        }
        for (Index start = last; start >= 0; start -= CHAIN) {
            Index f = (start + CHAIN < n_freq ? start + CHAIN : n_freq) - 1;
#pragma GCC unroll 8
            for (int i = 0; i < WIDE; i++) ar[i] = qr[i] * 0 + y[2 * f], ai[i] = qr[i] * 0 + y[2 * f + 1];
            for (f--; f >= start; f--)
#pragma GCC unroll 8
                for (int i = 0; i < WIDE; i++) {
                    VEC re = ar[i] * qr[i] + y[2 * f], im = ar[i] * qi[i] + y[2 * f + 1];
                    re -= ai[i] * qi[i];
                    im += ai[i] * qr[i];
                    ar[i] = re, ai[i] = im;
                }
#pragma GCC unroll 8
            for (int i = 0; i < WIDE; i++) {
                VEC lr = NAME(load)(space->l_re + v + i * LANES), li = NAME(load)(space->l_im + v + i * LANES);
                VEC sr = NAME(load)(space->s_re + v + i * LANES), si = NAME(load)(space->s_im + v + i * LANES);
                VEC re = ar[i] + sr * lr, im = ai[i] + sr * li;
                re -= si * li;
                im += si * lr;
                NAME(store)(space->s_re + v + i * LANES, re);
                NAME(store)(space->s_im + v + i * LANES, im);
            }
        }
    }
}

/* s[v] = sum_f y[f] exp(+j k_f d), a phasor for every term: for sweeps without a constant step. */
INLINE void NAME(sum_terms)(const ChannelTask *task, const REAL *y, NAME(Space) * space)
{
    for (int v = 0; v < PAIRS; v++) space->s_re[v] = space->s_im[v] = 0;
    for (Index f = 0; f < task->n_freq; f++) {
        const REAL re = y[2 * f], im = y[2 * f + 1];
        NAME(phasors)(space->distance, task->turns[f], space->g_re, space->g_im);
        for (int v = 0; v < PAIRS; v++) {
            space->s_re[v] += re * space->g_re[v] - im * space->g_im[v];
            space->s_im[v] += re * space->g_im[v] + im * space->g_re[v];
        }
    }
}

/* The phasors of a channel in a uniform sweep: at the first frequency, from one to the next, CHAIN steps in one. */
INLINE void NAME(chain)(const ChannelTask *task, double sign, NAME(Space) * space)
{
    NAME(phasors)(space->distance, sign * task->turns[0], space->w_re, space->w_im);
    NAME(phasors)(space->distance, sign * task->step, space->q_re, space->q_im);
    NAME(phasors)(space->distance, sign * CHAIN * task->step, space->l_re, space->l_im);
}

/* image += w_m b (the sum over frequencies) (phasor at the first frequency).  The near-field factor is expanded as
 * (1 + j k P_t)(1 + j k P_r) = 1 + k j (P_t + P_r) - k^2 P_t P_r: the data hold y, k y, k^2 y as moments m = 0, 1, 2,
 * and w_m is 1, j (P_t + P_r) or -P_t P_r. */
INLINE void NAME(gather)(const ChannelTask *task, Index moment, const NAME(Row) * tx, const NAME(Row) * rx,
                         NAME(Space) * space, REAL *image_re, REAL *image_im)
{
    for (int v = 0; v < PAIRS; v++) {
        REAL re = space->s_re[v], im = space->s_im[v];
        if (task->step != 0) {
            const REAL old = re;
            re = re * space->w_re[v] - im * space->w_im[v];
            im = old * space->w_im[v] + im * space->w_re[v];
        }
        if (moment == 0) {
            image_re[v] += space->b[v] * re;
            image_im[v] += space->b[v] * im;
        } else if (moment == 1) {
            const REAL weight = space->b[v] * (REAL)(tx->path[v] + rx->path[v]);
            image_re[v] -= weight * im;
            image_im[v] += weight * re;
        } else {
            const REAL weight = space->b[v] * (REAL)(tx->path[v] * rx->path[v]);
            image_re[v] -= weight * re;
            image_im[v] -= weight * im;
        }
    }
}

/* Bytes of working space that a thread needs. */
EXPORT Index NAME(channel_space)(void) { return sizeof(NAME(Space)); }

EXPORT TARGET void NAME(channel_spread)(const void *given, void *scratch)
{
    const ChannelTask *task = given;
    NAME(Space) *space = scratch;
    for (Index first = task->first; first < task->last; first += PAIRS) {
        NAME(place_voxels)(task, first, space);
        for (Index c = 0; c < task->n_channel; c++) {
            const NAME(Row) *tx, *rx;
            NAME(rows_of)(task, c, first - task->first, 0, space, &tx, &rx);
            NAME(join)(task, c, tx, rx, space);
            if (task->step != 0) NAME(chain)(task, 1, space);
            for (Index s = 0; s < task->n_scene; s++)
                for (Index m = 0; m < task->n_moment; m++) {
                    const REAL *y = (const REAL *)task->data
                                    + 2 * ((s * task->n_moment + m) * task->n_channel + c) * task->n_freq;
                    REAL *image = (REAL *)task->image + 2 * s * task->plane + first;
                    if (task->step != 0) NAME(horner)(y, task->n_freq, space);
                    else NAME(sum_terms)(task, y, space);
                    NAME(gather)(task, m, tx, rx, space, image, image + task->plane);
                }
        }
    }
}

/* y[f] += the sum over a block of g q^(f - start), for GROUP frequencies side by side. Lanes are added up in each
 * block, unlike in kernels.h: vectors of sums for every channel and frequency would fill the caches. */
INLINE void NAME(advance)(const int n, NAME(Space) * space, REAL *y)
{
    VEC re[GROUP], im[GROUP];
#pragma GCC unroll 8
    for (int f = 0; f < n; f++) re[f] = im[f] = NAME(load)(space->g_re) * 0;
    for (Index v = 0; v < PAIRS; v += LANES) {
        VEC gr = NAME(load)(space->s_re + v), gi = NAME(load)(space->s_im + v);
        const VEC qr = NAME(load)(space->q_re + v), qi = NAME(load)(space->q_im + v);
#pragma GCC unroll 8
        for (int f = 0; f < n; f++) {
            re[f] += gr, im[f] += gi;
            const VEC next = gr * qr - gi * qi;
            gi = gr * qi + gi * qr;
            gr = next;
        }
        NAME(store)(space->s_re + v, gr);
        NAME(store)(space->s_im + v, gi);
    }
#pragma GCC unroll 8
    for (int f = 0; f < n; f++) y[2 * f] += NAME(sum_lanes)(re[f]), y[2 * f + 1] += NAME(sum_lanes)(im[f]);
}

/* The sums of one block of g = x b (phasor at the first frequency), for every frequency of a uniform sweep. */
INLINE void NAME(advance_all)(Index n_freq, NAME(Space) * space, REAL *y)
{
    for (Index start = 0; start < n_freq; start += CHAIN) {
        if (start) NAME(multiply)(space->g_re, space->g_im, space->g_re, space->g_im, space->l_re, space->l_im, PAIRS);
        for (int v = 0; v < PAIRS; v++) space->s_re[v] = space->g_re[v], space->s_im[v] = space->g_im[v];
        const Index last = start + CHAIN < n_freq ? start + CHAIN : n_freq;
        Index f = start;
        for (; f + GROUP <= last; f += GROUP) NAME(advance)(GROUP, space, y + 2 * f);
        for (; f < last; f++) NAME(advance)(1, space, y + 2 * f);
    }
}

/* y[f] += the sum over a block of g exp(-j k_f d), a phasor for every term. */
INLINE void NAME(add_terms)(const ChannelTask *task, NAME(Space) * space, REAL *y)
{
    for (Index f = 0; f < task->n_freq; f++) {
        NAME(phasors)(space->distance, -task->turns[f], space->w_re, space->w_im);
        VEC re = NAME(load)(space->g_re) * 0, im = re;
        for (Index v = 0; v < PAIRS; v += LANES) {
            const VEC gr = NAME(load)(space->g_re + v), gi = NAME(load)(space->g_im + v);
            const VEC wr = NAME(load)(space->w_re + v), wi = NAME(load)(space->w_im + v);
            re += gr * wr - gi * wi;
            im += gr * wi + gi * wr;
        }
        y[2 * f] += NAME(sum_lanes)(re), y[2 * f + 1] += NAME(sum_lanes)(im);
    }
}

/* Adds to y[s][c][f]; x is planar, zero beyond the last voxel. */
EXPORT TARGET void NAME(channel_forward)(const void *given, void *scratch)
{
    const ChannelTask *task = given;
    NAME(Space) *space = scratch;
    for (Index first = task->first; first < task->last; first += PAIRS) {
        NAME(place_voxels)(task, first, space);
        for (Index c = 0; c < task->n_channel; c++) {
            const NAME(Row) *tx, *rx;
            NAME(rows_of)(task, c, first - task->first, 0, space, &tx, &rx);
            NAME(join)(task, c, tx, rx, space);
            if (task->step != 0) NAME(chain)(task, -1, space);
            for (Index s = 0; s < task->n_scene; s++) {
                const REAL *x_re = (const REAL *)task->image + 2 * s * task->plane + first, *x_im = x_re + task->plane;
                REAL *y = (REAL *)task->data + 2 * (s * task->n_channel + c) * task->n_freq;
                for (int v = 0; v < PAIRS; v++)
                    space->g_re[v] = space->b[v] * x_re[v], space->g_im[v] = space->b[v] * x_im[v];
                if (task->step != 0) {
                    NAME(multiply)(space->g_re, space->g_im, space->g_re, space->g_im, space->w_re, space->w_im, PAIRS);
                    NAME(advance_all)(task->n_freq, space, y);
                } else
                    NAME(add_terms)(task, space, y);
            }
        }
    }
}

#include "profiles.h"

#undef CHAIN
#undef GROUP
#undef ROUND_64
#undef ROUND_REAL
#undef TERMS
