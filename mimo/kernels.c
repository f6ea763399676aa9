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
} Problem;

/* One call of a kernel: the tables of `n_block` consecutive blocks, what is read and what is written. */
typedef struct {
    Problem problem;
    const void *g_anchor, *g_ratio, *h_anchor, *h_ratio, *source;
    void *target;
    long n_block;
} Task;

/* A list of tasks for a team of threads, each with its share of the scratch. */
typedef struct {
    void (*kernel)(const Task *, void *scratch);
    const Task *tasks;
    long n_task;
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
        job->kernel(&job->tasks[i], scratch);
    }
}

#if defined(__x86_64__)

#define BYTES 64
#define TILE 4
#define TARGET __attribute__((target("avx512f,avx512dq,avx2,fma")))
#define REAL float
#define NAME(x) x##_f32_avx512
#include "kernels.h"
#define REAL double
#define NAME(x) x##_f64_avx512
#include "kernels.h"
#undef BYTES
#undef TILE
#undef TARGET

#define BYTES 32
#define TILE 2
#define TARGET __attribute__((target("avx2,fma")))
#define REAL float
#define NAME(x) x##_f32_avx2
#include "kernels.h"
#define REAL double
#define NAME(x) x##_f64_avx2
#include "kernels.h"
#undef BYTES
#undef TILE
#undef TARGET

#endif

#define BYTES 16
#if defined(__aarch64__)
#define TILE 4
#else
#define TILE 2
#endif
#define TARGET
#define REAL float
#define NAME(x) x##_f32_base
#include "kernels.h"
#define REAL double
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
