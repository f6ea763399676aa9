/* The processor's share of the Born operator: see kernels.h for the mathematics and mimo/kernels.py for the callers.
 *
 * A plain shared library without Python's headers, loaded through ctypes.  kernels.h is compiled for each instruction
 * set in both precisions; instruction_set() says which one this processor runs.  Where no compiler with vector
 * extensions is at hand the library is not built and torch does the same sums.
 */

typedef struct {
    long n_freq, n_tx, n_rx, n_scene;
    long block;   /* voxels in a block, a multiple of the vector length */
    long stride;  /* frequencies from one tabulated factor to the next */
    long x_plane; /* voxels in a padded volume: the distance from its real to its imaginary part */
    long first;   /* of many scenes at once: the task's first voxel */
} Problem;

/* One call of a kernel: the tables of `n_block` consecutive blocks, what is read and what is written. */
typedef struct {
    Problem problem;
    const void *g_anchor, *g_ratio, *h_anchor, *h_ratio, *source;
    void *target;
    long n_block;
} Task;

/* One call of a kernel over listed channels, for the voxels `first` to `last` - 1; see channels.h. */
typedef struct {
    long n_freq, n_channel, n_scene, n_moment;
    long first, last; /* of the task; `first` and the padded end of a volume are multiples of a block */
    long n_voxel, n_y, n_z;
    long plane;                              /* voxels in a padded volume: from its real to its imaginary part */
    const double *x, *y, *z;                 /* the grid's axes, metres */
    const double *positions;                 /* [n_antenna][3], metres */
    const int *channels;                     /* [n_channel][2], antennas */
    long n_row;                              /* antennas whose rows are kept, ROWS at most */
    const double *reference;                 /* [n_channel], metres */
    const double *turns;                     /* [n_freq], k / 2 pi, turns a metre */
    double step;                             /* turns a metre from one frequency, or profile, to the next; 0: uneven */
    double carrier;                          /* turns a metre of the frequency that range profiles lack */
    long spreading;                          /* without tables: amplitudes 1 / (sqrt(4 pi) R) instead of 1 */
    long table;                              /* voxels in a row of the tables, which start at `first` */
    const double *path;                      /* [n_antenna][table] or null, metres */
    const void *amplitude, *weights;         /* [n_antenna][table]; the interpolation kernel */
    long n_profile;
    void *data, *image;                      /* measurements or range profiles; padded planar volumes */
} ChannelTask;

static const double INVERSE_FACTORIAL[18] = {
    1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800,
    1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0, 1.0 / 87178291200.0, 1.0 / 1307674368000.0,
    1.0 / 20922789888000.0, 1.0 / 355687428096000.0,
};

/* A list of tasks of one kind for a team of threads, each with its share of the scratch. */
typedef struct {
    void (*kernel)(const void *task, void *scratch);
    const char *tasks;
    long task_bytes, n_task;
    char *scratch;
    long scratch_bytes;
    long next, n_thread; /* both 0 at the start */
} Job;

/* What every thread of the team runs: the next task until none is left. */
void run_tasks(Job *job)
{
    void *scratch = job->scratch + job->scratch_bytes * __atomic_fetch_add(&job->n_thread, 1, __ATOMIC_RELAXED);
    for (;;) {
        const long i = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
        if (i >= job->n_task) return;
        job->kernel(job->tasks + i * job->task_bytes, scratch);
    }
}

#define BLOCK 240 /* as in kernels.py */
#define MATRIX_ROWS 192 /* rows of the matrix made at once, so that they stay in the second-level cache */

#if defined(__x86_64__)

#include <immintrin.h>

#define BYTES 64
#define TILE 4
#define TILE_ROWS 6
#define TARGET __attribute__((target("avx512f,avx512dq,avx2,fma")))
#define ESTIMATE _mm512_rsqrt14_pd
#include "profiles_avx512.h"
#define REAL float
#define WHOLE int
#define NAME(x) x##_f32_avx512
#include "kernels.h"
#define REAL double
#define WHOLE long long
#define NAME(x) x##_f64_avx512
#include "kernels.h"
#undef BYTES
#undef TILE
#undef TILE_ROWS
#undef TARGET
#undef ESTIMATE

#define BYTES 32
#define TILE 2
#define TILE_ROWS 2
#define TARGET __attribute__((target("avx2,fma")))
#define REAL float
#define WHOLE int
#define NAME(x) x##_f32_avx2
#include "kernels.h"
#define REAL double
#define WHOLE long long
#define NAME(x) x##_f64_avx2
#include "kernels.h"
#undef BYTES
#undef TILE
#undef TILE_ROWS
#undef TARGET

#endif

#define BYTES 16
#if defined(__aarch64__)
#define TILE 4
#define TILE_ROWS 6
#else
#define TILE 2
#define TILE_ROWS 2
#endif
#define TARGET
#define REAL float
#define WHOLE int
#define NAME(x) x##_f32_base
#include "kernels.h"
#define REAL double
#define WHOLE long long
#define NAME(x) x##_f64_base
#include "kernels.h"

const char *instruction_set(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
    return "base";
}
