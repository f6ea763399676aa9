/* The sums of kernels.h for many scenes at once: the matrix itself, a block at a time, times all scenes.
 *
 * Scenes lie side by side, 2 * LANES of them in a group and sometimes LANES in the last one, so that one number of the
 * matrix multiplies whole vectors of scenes. The more scenes, the smaller the share of the cost that goes into making
 * the matrix. A group of w scenes holds voxels as [voxel][2][w] and measurements as [f][t][r][2][w]; the groups follow
 * one another. A block has BLOCK voxels; as the compiler knows the number, it is folded into the addresses.
 *
 * In kernels.h a vector holds voxels, and each scene repeats the pass over the factors. Here it holds scenes: a number
 * of the matrix, made once, multiplies them all, and no sum has to be spread over lanes. At most MATRIX_ROWS rows of
 * BLOCK numbers exist at a time (those of one transmitter, if there are more), so that every group of scenes finds them
 * in the second-level cache.
 */

/* c[i][s] += sum_k a[i row + k step] b[k][s] for n_row rows and n_vec vectors of scenes, constants once inlined.
 * The sum starts from 0 and is added to c at the end: c holds the sum over earlier blocks, and adding small terms to it
 * one by one would round more. */
INLINE void NAME(product_tile)(const int n_row, const int n_vec, const REAL *a_re, const REAL *a_im, const Index row,
                               const Index step, Index n, const REAL *b, REAL *c)
{
    const int w = n_vec * LANES;
    VEC re[TILE_ROWS * 2][2], im[TILE_ROWS * 2][2];
#pragma GCC unroll 16
    for (int i = 0; i < n_row; i++)
#pragma GCC unroll 2
        for (int s = 0; s < n_vec; s++) re[i][s] = im[i][s] = (VEC){0};
    for (Index k = 0; k < n; k++) {
        VEC br[2], bi[2];
#pragma GCC unroll 2
        for (int s = 0; s < n_vec; s++) {
            br[s] = NAME(load)(b + 2 * k * w + s * LANES);
            bi[s] = NAME(load)(b + (2 * k + 1) * w + s * LANES);
        }
#pragma GCC unroll 16
        for (int i = 0; i < n_row; i++) {
            const REAL ar = a_re[i * row + k * step], ai = a_im[i * row + k * step];
#pragma GCC unroll 2
            for (int s = 0; s < n_vec; s++) {
                re[i][s] += ar * br[s];
                im[i][s] += ar * bi[s];
                re[i][s] -= ai * bi[s];
                im[i][s] += ai * br[s];
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < n_row; i++)
#pragma GCC unroll 2
        for (int s = 0; s < n_vec; s++) {
            REAL *c_re = c + 2 * i * w + s * LANES, *c_im = c_re + w;
            NAME(store)(c_re, NAME(load)(c_re) + re[i][s]);
            NAME(store)(c_im, NAME(load)(c_im) + im[i][s]);
        }
}

/* All rows of c. One vector of scenes takes twice as many rows at a time as two vectors, which uses all registers. */
INLINE void NAME(product)(const int n_vec, const REAL *a_re, const REAL *a_im, const Index row, const Index step,
                          Index n_row, Index n, const REAL *b, REAL *c)
{
    const int tile = n_vec == 2 ? TILE_ROWS : 2 * TILE_ROWS;
    Index i = 0;
    for (; i + tile <= n_row; i += tile)
        NAME(product_tile)(tile, n_vec, a_re + i * row, a_im + i * row, row, step, n, b, c + 2 * i * n_vec * LANES);
    for (; i < n_row; i++)
        NAME(product_tile)(1, n_vec, a_re + i * row, a_im + i * row, row, step, n, b, c + 2 * i * n_vec * LANES);
}

/* Both sums: `forward` says which. Source and target are those of the first group; y of a forward sum starts at 0. */
INLINE void NAME(batches)(const int forward, const Task *task, REAL *scratch)
{
    const Problem *p = &task->problem;
    const Index n_anchor = (p->n_freq + p->stride - 1) / p->stride, n_pair = p->n_tx * p->n_rx;
    const Index g_plane = p->n_tx * BLOCK, h_plane = p->n_rx * BLOCK;
    const Index at_once = p->n_rx < MATRIX_ROWS ? MATRIX_ROWS / p->n_rx : 1; /* transmitters whose part of the matrix is made */
    const Index plane = at_once * p->n_rx * BLOCK;
    REAL *g_current = scratch, *h_current = g_current + 2 * g_plane, *matrix = h_current + 2 * h_plane;
    REAL *y = forward ? task->target : (REAL *)task->source, *x = forward ? (REAL *)task->source : task->target;
    if (forward)
        for (Index i = 0; i < 2 * p->n_scene * p->n_freq * n_pair; i++) y[i] = 0;
    for (Index b = 0; b < task->n_block; b++) {
        const REAL *g_anchor = (const REAL *)task->g_anchor + b * n_anchor * 2 * g_plane;
        const REAL *h_anchor = (const REAL *)task->h_anchor + b * n_anchor * 2 * h_plane;
        const REAL *g_ratio = (const REAL *)task->g_ratio + b * 2 * g_plane;
        const REAL *h_ratio = (const REAL *)task->h_ratio + b * 2 * h_plane;
        const REAL *g = g_anchor, *h = h_anchor;
        for (Index f = 0; f < p->n_freq; f++) {
            g = NAME(factors_at)(f, p->stride, g_anchor, g_ratio, g_current, g, p->n_tx, BLOCK);
            h = NAME(factors_at)(f, p->stride, h_anchor, h_ratio, h_current, h, p->n_rx, BLOCK);
            for (Index t = 0; t < p->n_tx; t += at_once) {
                const Index n_t = p->n_tx - t < at_once ? p->n_tx - t : at_once, rows = n_t * p->n_rx;
                for (Index i = 0; i < n_t; i++)
                    for (Index r = 0; r < p->n_rx; r++) {
                        const REAL *g_t = g + (t + i) * BLOCK, *h_r = h + r * BLOCK;
                        REAL *out = matrix + (i * p->n_rx + r) * BLOCK;
                        NAME(multiply)(out, out + plane, g_t, g_t + g_plane, h_r, h_r + h_plane, BLOCK);
                    }
                for (Index s = 0; s < p->n_scene;) {
                    const Index w = p->n_scene - s >= 2 * LANES ? 2 * LANES : LANES;
                    REAL *x_s = x + 2 * s * p->x_plane + 2 * w * (p->first + b * BLOCK);
                    REAL *y_s = y + 2 * s * p->n_freq * n_pair + 2 * w * (f * n_pair + t * p->n_rx);
                    if (forward && w == 2 * LANES)
                        NAME(product)(2, matrix, matrix + plane, BLOCK, 1, rows, BLOCK, x_s, y_s);
                    else if (forward)
                        NAME(product)(1, matrix, matrix + plane, BLOCK, 1, rows, BLOCK, x_s, y_s);
                    else if (w == 2 * LANES)
                        NAME(product)(2, matrix, matrix + plane, 1, BLOCK, BLOCK, rows, y_s, x_s);
                    else
                        NAME(product)(1, matrix, matrix + plane, 1, BLOCK, BLOCK, rows, y_s, x_s);
                    s += w;
                }
            }
        }
    }
}

/* y[f][t][r][s] = the sum over the task's blocks of x[v][s] G[f][t][v] H[f][r][v]. */
EXPORT TARGET void NAME(forward_batches)(const void *task, void *scratch) { NAME(batches)(1, task, scratch); }

/* x[v][s] += sum_{f,t,r} y[f][t][r][s] G[f][t][v] H[f][r][v] for the voxels of the task's blocks (no conjugates). */
EXPORT TARGET void NAME(spread_batches)(const void *task, void *scratch) { NAME(batches)(0, task, scratch); }
