/* Compiled sums of the Born operator for the CPU: see kernels.h for the mathematics, mimo/kernels.py for the callers.
 *
 * A plain shared library without Python's headers, loaded through ctypes.  kernels.h is compiled for each instruction
 * set in both precisions; instruction_set() says which one this processor runs.  Where no compiler with vector
 * extensions is at hand the library is not built and torch does the same sums.  layout() tells the callers how this
 * file was compiled: a library older or newer than kernels.py would misread its structs, so they refuse it.
 */

#include <stddef.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

typedef ptrdiff_t Index; /* as wide as an address: a long has 32 bits on Windows, too few for places in a batch */

typedef struct {
    Index n_freq, n_tx, n_rx, n_scene;
    Index block;   /* voxels in a block, a multiple of the vector length */
    Index stride;  /* frequencies from one tabulated factor to the next */
    Index x_plane; /* voxels in a padded volume: the distance from its real to its imaginary part */
    Index first;   /* of many scenes at once: the task's first voxel */
} Problem;

/* The arguments of one kernel call: the tables of `n_block` consecutive blocks (see kernels.h; g belongs to the
 * transmitters, h to the receivers), what is read and what is written. */
typedef struct {
    Problem problem;
    const void *g_anchor, *g_ratio, *h_anchor, *h_ratio, *source;
    void *target;
    Index n_block;
} Task;

/* The arguments of one kernel call over listed channels, for the voxels `first` to `last` - 1; see channels.h. */
typedef struct {
    Index n_freq, n_channel, n_scene, n_moment;
    Index first, last; /* of the task; `first` and the padded end of a volume are multiples of a block */
    Index n_voxel, n_y, n_z;
    Index listed;                             /* whether x, y and z name every voxel, not the planes of a grid */
    Index plane;                              /* voxels in a padded volume: from its real to its imaginary part */
    const double *x, *y, *z;                 /* the grid's axes, or each voxel's place, metres */
    const double *positions;                 /* [n_antenna][3], metres */
    const int *channels;                     /* [n_channel][2], antennas */
    Index n_row;                              /* antennas whose paths and amplitudes are kept, ROWS at most */
    const double *reference;                 /* [n_channel], metres */
    const double *turns;                     /* [n_freq], k / 2 pi, turns a metre */
    double step;                             /* turns a metre from one frequency, or profile, to the next; 0: uneven */
    double carrier;                          /* turns a metre of the carrier that was taken out of range profiles */
    Index spreading;                          /* without tables: amplitudes 1 / (sqrt(4 pi) R) instead of 1 */
    Index table;                              /* voxels in a row of the tables, which start at `first` */
    const double *path;                      /* [n_antenna][table] or null, metres */
    const void *amplitude, *weights;         /* [n_antenna][table]; the interpolation kernel */
    Index n_profile;
    void *data, *image;                      /* measurements or range profiles; padded planar volumes */
} ChannelTask;

static const double INVERSE_FACTORIAL[18] = {
    1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800,
    1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0, 1.0 / 87178291200.0, 1.0 / 1307674368000.0,
    1.0 / 20922789888000.0, 1.0 / 355687428096000.0,
};

/* A list of tasks of one kernel that a team of threads shares; each thread has its own part of `scratch`. */
typedef struct {
    void (*kernel)(const void *task, void *scratch);
    const char *tasks;
    Index task_bytes, n_task;
    char *scratch;
    Index scratch_bytes;
    Index next, n_thread; /* both 0 at the start */
} Job;

/* Every thread of the team runs this: it takes the next task until none is left. */
EXPORT void run_tasks(Job *job)
{
    void *scratch = job->scratch + job->scratch_bytes * __atomic_fetch_add(&job->n_thread, 1, __ATOMIC_RELAXED);
    for (;;) {
        const Index i = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
        if (i >= job->n_task) return;
        job->kernel(job->tasks + i * job->task_bytes, scratch);
    }
}

/* Constants that Python needs too: kernels.py has the same numbers by the same names; layout() lets it compare them. */
#define BLOCK 240       /* voxels in a block of the sums over every pair */
#define MATRIX_ROWS 192 /* rows of the matrix made at once, so that they stay in the second-level cache */
#define PAIRS 256       /* voxels in a block of the sums over channels: a channel's rows stay in the first-level cache */
#define ROWS 192        /* antennas whose paths to a block are kept at most; beyond it, antennas share an entry */
#define TAPS 4          /* samples of a range profile that make one interpolated value */
#define PARTS 512       /* fractions of a sample at which the interpolation kernel is tabulated */
#define MAX_BYTES 64    /* bytes of the widest vector */

#if defined(__x86_64__)

#include <immintrin.h>

#define BYTES MAX_BYTES
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

EXPORT const char *instruction_set(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
    return "base";
}

typedef struct {
    const char *name;
    Index value;
} Fact;

#define NUMBER(name) {#name, name}
#define SIZE(type) {#type, sizeof(type)}
#define PLACE(type, field) {#type "." #field, offsetof(type, field)}

/* Sizes of the structs that C and Python share, offsets of their fields, and constants; the last entry has no name. */
EXPORT const Fact *layout(void)
{
    static const Fact facts[] = {
        NUMBER(BLOCK), NUMBER(MATRIX_ROWS), NUMBER(PAIRS), NUMBER(ROWS), NUMBER(TAPS), NUMBER(PARTS), NUMBER(MAX_BYTES),
        SIZE(Problem), PLACE(Problem, n_freq), PLACE(Problem, n_tx), PLACE(Problem, n_rx), PLACE(Problem, n_scene),
        PLACE(Problem, block), PLACE(Problem, stride), PLACE(Problem, x_plane), PLACE(Problem, first),
        SIZE(Task), PLACE(Task, problem), PLACE(Task, g_anchor), PLACE(Task, g_ratio), PLACE(Task, h_anchor),
        PLACE(Task, h_ratio), PLACE(Task, source), PLACE(Task, target), PLACE(Task, n_block),
        SIZE(ChannelTask), PLACE(ChannelTask, n_freq), PLACE(ChannelTask, n_channel), PLACE(ChannelTask, n_scene),
        PLACE(ChannelTask, n_moment), PLACE(ChannelTask, first), PLACE(ChannelTask, last), PLACE(ChannelTask, n_voxel),
        PLACE(ChannelTask, n_y), PLACE(ChannelTask, n_z), PLACE(ChannelTask, listed), PLACE(ChannelTask, plane),
        PLACE(ChannelTask, x), PLACE(ChannelTask, y), PLACE(ChannelTask, z), PLACE(ChannelTask, positions),
        PLACE(ChannelTask, channels), PLACE(ChannelTask, n_row), PLACE(ChannelTask, reference),
        PLACE(ChannelTask, turns), PLACE(ChannelTask, step), PLACE(ChannelTask, carrier),
        PLACE(ChannelTask, spreading), PLACE(ChannelTask, table), PLACE(ChannelTask, path),
        PLACE(ChannelTask, amplitude), PLACE(ChannelTask, weights), PLACE(ChannelTask, n_profile),
        PLACE(ChannelTask, data), PLACE(ChannelTask, image),
        SIZE(Job), PLACE(Job, kernel), PLACE(Job, tasks), PLACE(Job, task_bytes), PLACE(Job, n_task),
        PLACE(Job, scratch), PLACE(Job, scratch_bytes), PLACE(Job, next), PLACE(Job, n_thread),
        {0, 0},
    };
    return facts;
}
