/* Factorised sums over voxels, written once and compiled for several vector widths and two precisions.
 *
 * The including file defines
 *   REAL    float or double
 *   BYTES   width of a vector in bytes
 *   TILE    transmitters treated together (bounded by the vector registers of the target)
 *   TILE_ROWS  rows of a product with two vectors of scenes treated together (likewise)
 *   TARGET  function attribute that names the instruction set, or nothing
 *   WHOLE   int or long long, the whole number as wide as REAL
 *   NAME(x) the name of function x for this precision and instruction set
 *
 * Complex arrays are planar: all real parts of a row, then all imaginary parts.  One block holds `block` voxels,
 * a multiple of the vector length; the layout of its tables is
 *   anchor[n_anchor][2][n_antenna][block]   the factors at every `stride`-th frequency
 *   ratio [2][n_antenna][block]             the phasor that multiplies a factor to give that of the next frequency
 * G and H are the factors of transmitters and receivers.  "Spread" is the transpose of the forward sum: it spreads
 * measurements over voxels.
 *
 * Why it is done so:
 * - Blocks. Each pair of antennas needs each voxel, so a transmitter's factor is used n_rx times and a receiver's n_tx
 *   times. A block is small enough that they stay in the first-level cache meanwhile; the loop over frequencies is
 *   inside a block, so that the factors of one frequency are still there when the next ones are made of them.
 * - Anchors and ratios. In a uniform sweep a factor turns by the same angle from each frequency to the next. A complex
 *   product in cache costs less than a sine and a cosine, and less than a table of every frequency, which would come
 *   from memory for each call. Each product adds a rounding, so every stride-th factor is an exact one, and the error
 *   is that of stride - 1 products whatever the number of frequencies.
 * - Planar numbers. A complex product of planar vectors is four multiply-adds and no shuffle. They are written as one
 *   statement each, `+=` and `-=`, which compilers turn into one fused instruction each.
 * - Lanes. A sum over voxels stays spread over the lanes of a vector until the last block of a task: adding up lanes
 *   costs more than the multiply-adds of a short block, and many partial sums round less than one long one.
 * - No conjugates. The adjoint conjugates its data before and its image after, so both directions share the tables.
 */

#define LANES (BYTES / (int)sizeof(REAL))
#define RX_TILE 3 /* receivers treated together: 2 TILE RX_TILE sums take 24 of 32 registers, or 12 of 16; the rest */
                  /* hold factors, so that no sum is moved to memory and back */
#define INLINE static inline __attribute__((always_inline)) TARGET

typedef REAL NAME(vec) __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
#define VEC NAME(vec)

INLINE VEC NAME(load)(const REAL *p) { return *(const VEC *)p; }
INLINE void NAME(store)(REAL *p, VEC v) { *(VEC *)p = v; }

/* The sum of a vector's lanes: halves are added down to 16 bytes, the rest one by one. */
INLINE REAL NAME(sum_lanes)(VEC v)
{
    typedef REAL quarter __attribute__((vector_size(16)));
    union { VEC whole; quarter part[BYTES / 16]; } u = {v};
    quarter sum = u.part[0];
#pragma GCC unroll 4
    for (int i = 1; i < BYTES / 16; i++) sum += u.part[i];
    REAL total = sum[0];
#pragma GCC unroll 4
    for (int i = 1; i < (int)(16 / sizeof(REAL)); i++) total += sum[i];
    return total;
}

/* out = a * b for `n` complex numbers. */
INLINE void NAME(multiply)(REAL *out_re, REAL *out_im, const REAL *a_re, const REAL *a_im, const REAL *b_re,
                           const REAL *b_im, Index n)
{
    for (Index v = 0; v < n; v += LANES) {
        VEC ar = NAME(load)(a_re + v), ai = NAME(load)(a_im + v), br = NAME(load)(b_re + v), bi = NAME(load)(b_im + v);
        NAME(store)(out_re + v, ar * br - ai * bi);
        NAME(store)(out_im + v, ar * bi + ai * br);
    }
}

/* The factors of all antennas at frequency f: an anchor, or in `current` the previous frequency's times the ratio. */
INLINE const REAL *NAME(factors_at)(Index f, Index stride, const REAL *anchor, const REAL *ratio, REAL *current,
                                    const REAL *previous, Index n_antenna, Index block)
{
    const Index plane = n_antenna * block;
    if (f % stride == 0) return anchor + (f / stride) * 2 * plane;
    NAME(multiply)(current, current + plane, previous, previous + plane, ratio, ratio + plane, plane);
    return current;
}

/* lanes[t][r] += gx[t][v] h[r][v] over a block for a tile of n_t x n_r pairs; both counts are constants once inlined.
 * A pair's sum stays spread over the lanes of two vectors (real, imaginary) until all blocks are done. */
INLINE void NAME(dot_tile)(const int n_t, const int n_r, const REAL *gx_re, const REAL *gx_im, const REAL *h_re,
                           const REAL *h_im, Index block, REAL *lanes, Index lanes_row)
{
    VEC re[TILE][RX_TILE], im[TILE][RX_TILE];
#pragma GCC unroll 8
    for (int t = 0; t < n_t; t++)
#pragma GCC unroll 8
        for (int r = 0; r < n_r; r++) {
            re[t][r] = NAME(load)(lanes + t * lanes_row + 2 * r * LANES);
            im[t][r] = NAME(load)(lanes + t * lanes_row + (2 * r + 1) * LANES);
        }
    for (Index v = 0; v < block; v += LANES) {
        VEC hr[RX_TILE], hi[RX_TILE];
#pragma GCC unroll 8
        for (int r = 0; r < n_r; r++) hr[r] = NAME(load)(h_re + r * block + v), hi[r] = NAME(load)(h_im + r * block + v);
#pragma GCC unroll 8
        for (int t = 0; t < n_t; t++) {
            VEC gr = NAME(load)(gx_re + t * block + v), gi = NAME(load)(gx_im + t * block + v);
#pragma GCC unroll 8
            for (int r = 0; r < n_r; r++) {
                re[t][r] += gr * hr[r];
                im[t][r] += gr * hi[r];
                re[t][r] -= gi * hi[r];
                im[t][r] += gi * hr[r];
            }
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < n_t; t++)
#pragma GCC unroll 8
        for (int r = 0; r < n_r; r++) {
            NAME(store)(lanes + t * lanes_row + 2 * r * LANES, re[t][r]);
            NAME(store)(lanes + t * lanes_row + (2 * r + 1) * LANES, im[t][r]);
        }
}

/* A tile of transmitters with every receiver. The last 2 or 1 receivers are tiles of their own, because sums stay in
 * registers only where the compiler knows their number. */
INLINE void NAME(dot_rows)(const int n_t, const REAL *gx_re, const REAL *gx_im, const REAL *h_re, const REAL *h_im,
                           Index n_rx, Index block, REAL *lanes)
{
    const Index row = 2 * n_rx * LANES;
    Index r = 0;
    for (; r + RX_TILE <= n_rx; r += RX_TILE)
        NAME(dot_tile)(n_t, RX_TILE, gx_re, gx_im, h_re + r * block, h_im + r * block, block, lanes + 2 * r * LANES, row);
    if (n_rx - r == 2)
        NAME(dot_tile)(n_t, 2, gx_re, gx_im, h_re + r * block, h_im + r * block, block, lanes + 2 * r * LANES, row);
    else if (n_rx - r == 1)
        NAME(dot_tile)(n_t, 1, gx_re, gx_im, h_re + r * block, h_im + r * block, block, lanes + 2 * r * LANES, row);
}

/* lanes[s][f][t][r] += x[s][v] G[f][t][v] H[f][r][v] over the voxels of one block. */
INLINE void NAME(forward)(const Problem *p, const REAL *g_anchor, const REAL *g_ratio, const REAL *h_anchor,
                          const REAL *h_ratio, const REAL *x, REAL *lanes, REAL *scratch)
{
    const Index block = p->block, g_plane = p->n_tx * block, h_plane = p->n_rx * block;
    REAL *g_current = scratch, *h_current = g_current + 2 * g_plane, *gx = h_current + 2 * h_plane;
    const REAL *g = g_anchor, *h = h_anchor; /* the factors at the previous frequency: in the anchors or in scratch */
    for (Index f = 0; f < p->n_freq; f++) {
        const int advance = f % p->stride != 0;
        h = NAME(factors_at)(f, p->stride, h_anchor, h_ratio, h_current, h, p->n_rx, block);
        /* x goes into the transmit factors: a product for each transmitter instead of each pair. With one scene this
         * product is what advances, and G itself is needed at anchors only. */
        if (p->n_scene > 1 || !advance) g = NAME(factors_at)(f, p->stride, g_anchor, g_ratio, g_current, g, p->n_tx, block);
        for (Index s = 0; s < p->n_scene; s++) {
            const REAL *x_re = x + 2 * s * p->x_plane, *x_im = x_re + p->x_plane;
            if (p->n_scene == 1 && advance)
                NAME(multiply)(gx, gx + g_plane, gx, gx + g_plane, g_ratio, g_ratio + g_plane, g_plane);
            else
                for (Index t = 0; t < p->n_tx; t++)
                    NAME(multiply)(gx + t * block, gx + g_plane + t * block, g + t * block, g + g_plane + t * block, x_re, x_im, block);
            REAL *lanes_f = lanes + 2 * LANES * (s * p->n_freq + f) * p->n_tx * p->n_rx;
            for (Index t = 0; t < p->n_tx;) {
                const REAL *gx_re = gx + t * block, *gx_im = gx_re + g_plane;
                REAL *lanes_t = lanes_f + 2 * LANES * t * p->n_rx;
                if (p->n_tx - t >= TILE) {
                    NAME(dot_rows)(TILE, gx_re, gx_im, h, h + h_plane, p->n_rx, block, lanes_t);
                    t += TILE;
                } else {
                    NAME(dot_rows)(1, gx_re, gx_im, h, h + h_plane, p->n_rx, block, lanes_t);
                    t += 1;
                }
            }
        }
    }
}

/* image[v] += sum_t G[t][v] sum_r y[t][r] H[r][v] for a tile of n_t transmitters. The inner sum comes first: it costs a
 * multiply-add a pair, where the product G H for each pair would cost two. */
INLINE void NAME(spread_tile)(const int n_t, const REAL *g_re, const REAL *g_im, const REAL *h_re, const REAL *h_im,
                              const REAL *y, Index n_rx, Index block, REAL *image_re, REAL *image_im)
{
    for (Index v = 0; v < block; v += LANES) {
        VEC wr[TILE], wi[TILE];
#pragma GCC unroll 8
        for (int t = 0; t < n_t; t++) wr[t] = wi[t] = (VEC){0};
        for (Index r = 0; r < n_rx; r++) {
            VEC hr = NAME(load)(h_re + r * block + v), hi = NAME(load)(h_im + r * block + v);
#pragma GCC unroll 8
            for (int t = 0; t < n_t; t++) {
                const REAL yr = y[2 * (t * n_rx + r)], yi = y[2 * (t * n_rx + r) + 1];
                wr[t] += yr * hr;
                wi[t] += yr * hi;
                wr[t] -= yi * hi;
                wi[t] += yi * hr;
            }
        }
        VEC out_re = NAME(load)(image_re + v), out_im = NAME(load)(image_im + v);
#pragma GCC unroll 8
        for (int t = 0; t < n_t; t++) {
            VEC gr = NAME(load)(g_re + t * block + v), gi = NAME(load)(g_im + t * block + v);
            out_re += gr * wr[t];
            out_im += gr * wi[t];
            out_re -= gi * wi[t];
            out_im += gi * wr[t];
        }
        NAME(store)(image_re + v, out_re);
        NAME(store)(image_im + v, out_im);
    }
}

/* x[s][v] += sum_{f,t,r} y[s][f][t][r] G[f][t][v] H[f][r][v] for the voxels of one block (no conjugates). */
INLINE void NAME(spread)(const Problem *p, const REAL *g_anchor, const REAL *g_ratio, const REAL *h_anchor,
                         const REAL *h_ratio, const REAL *y, REAL *x, REAL *scratch)
{
    const Index block = p->block, g_plane = p->n_tx * block, h_plane = p->n_rx * block;
    REAL *g_current = scratch, *h_current = g_current + 2 * g_plane;
    const REAL *g = g_anchor, *h = h_anchor;
    for (Index f = 0; f < p->n_freq; f++) {
        g = NAME(factors_at)(f, p->stride, g_anchor, g_ratio, g_current, g, p->n_tx, block);
        h = NAME(factors_at)(f, p->stride, h_anchor, h_ratio, h_current, h, p->n_rx, block);
        for (Index s = 0; s < p->n_scene; s++) {
            REAL *x_re = x + 2 * s * p->x_plane, *x_im = x_re + p->x_plane;
            const REAL *y_f = y + 2 * ((s * p->n_freq + f) * p->n_tx * p->n_rx);
            for (Index t = 0; t < p->n_tx;) {
                const REAL *g_re = g + t * block, *g_im = g_re + g_plane, *y_t = y_f + 2 * t * p->n_rx;
                if (p->n_tx - t >= TILE) {
                    NAME(spread_tile)(TILE, g_re, g_im, h, h + h_plane, y_t, p->n_rx, block, x_re, x_im);
                    t += TILE;
                } else {
                    NAME(spread_tile)(1, g_re, g_im, h, h + h_plane, y_t, p->n_rx, block, x_re, x_im);
                    t += 1;
                }
            }
        }
    }
}

/* y[s][f][t][r] = the sum over the task's blocks; real and imaginary parts of y alternate.  In scratch, `lanes` lies
 * behind the factors. */
EXPORT TARGET void NAME(forward_blocks)(const void *given, void *scratch)
{
    const Task *task = given;
    const Problem *p = &task->problem;
    const Index n_anchor = (p->n_freq + p->stride - 1) / p->stride;
    const Index g = 2 * p->n_tx * p->block, h = 2 * p->n_rx * p->block;
    const Index n_sum = 2 * p->n_scene * p->n_freq * p->n_tx * p->n_rx;
    const REAL *x = task->source;
    REAL *y = task->target, *lanes = (REAL *)scratch + 2 * g + h;
    for (Index i = 0; i < n_sum * LANES; i++) lanes[i] = 0;
    for (Index b = 0; b < task->n_block; b++)
        NAME(forward)(p, (const REAL *)task->g_anchor + b * n_anchor * g, (const REAL *)task->g_ratio + b * g,
                      (const REAL *)task->h_anchor + b * n_anchor * h, (const REAL *)task->h_ratio + b * h,
                      x + b * p->block, lanes, scratch);
    for (Index i = 0; i < n_sum; i++) y[i] = NAME(sum_lanes)(NAME(load)(lanes + i * LANES));
}

/* The same for spread: each block adds to its own voxels of x. */
EXPORT TARGET void NAME(spread_blocks)(const void *given, void *scratch)
{
    const Task *task = given;
    const Problem *p = &task->problem;
    const Index n_anchor = (p->n_freq + p->stride - 1) / p->stride;
    const Index g = 2 * p->n_tx * p->block, h = 2 * p->n_rx * p->block;
    for (Index b = 0; b < task->n_block; b++)
        NAME(spread)(p, (const REAL *)task->g_anchor + b * n_anchor * g, (const REAL *)task->g_ratio + b * g,
                     (const REAL *)task->h_anchor + b * n_anchor * h, (const REAL *)task->h_ratio + b * h,
                     task->source, (REAL *)task->target + b * p->block, scratch);
}

#include "batches.h"
#include "channels.h"

#undef VEC
#undef LANES
#undef RX_TILE
#undef INLINE
#undef REAL
#undef WHOLE
#undef NAME
