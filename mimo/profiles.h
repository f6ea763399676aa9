/* Sums of range profiles over listed channels; a part of channels.h, whose rows, phasors and macros it uses.
 *
 * A profile is the channel's sum over frequencies at evenly spaced paths, so a pair (channel, voxel) costs a position
 * in it, an interpolation and a carrier, whatever the number of frequencies.  A profile is periodic, so the position is
 * counted in periods ("turns") and reduced to a fraction of one like any phase, without a comparison with its ends;
 * TAPS samples are repeated behind it.  The carrier's phase is many turns. Its phasor is made for each antenna and a channel
 * takes the product of two, so that the phasors of an antenna serve all its channels.
 */

typedef REAL NAME(octet) __attribute__((vector_size(8 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define LOAD8(p) (*(const NAME(octet) *)(p))
#if defined(__clang__)
#define SHUFFLE8(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE8(a, b, ...) __builtin_shuffle(a, b, (NAME(choice)){__VA_ARGS__})
typedef WHOLE NAME(choice) __attribute__((vector_size(8 * sizeof(REAL)))); /* whole numbers as wide as REAL */
#endif

#define ADD_HALVES(a, b) (SHUFFLE8(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE8(a, b, 2, 3, 10, 11, 6, 7, 14, 15))

/* From the position in a profile, -1/2 to 1/2 turns: `place`, the first sample to read, and `part`, the row of the
 * kernel table for the fraction of a sample behind it. The position is rounded to a PARTS-th of a sample, so that the
 * kernel is looked up, not computed; it is unsigned, so that division and remainder are a shift and a mask. In the sum,
 * n_part / 2 puts turn 0 in the middle of the profile and 1/2 rounds. */
INLINE void NAME(sample)(REAL turn, REAL n_part, int *place, int *part)
{
    const unsigned at = (unsigned)(int)(turn * n_part + (REAL)0.5 * (n_part + 1));
    *place = (int)(at / PARTS * 2);
    *part = (int)(at % PARTS * 2 * TAPS);
}

/* Samples, carriers and amplitudes of a channel for a block of voxels, from both antennas' rows. */
INLINE void NAME(locate)(const ChannelTask *task, Index channel, Index offset, REAL n_part, NAME(Space) * space)
{
    const NAME(Row) *tx, *rx;
    NAME(rows_of)(task, channel, offset, 1, space, &tx, &rx);
    if (task->n_moment > 1)
        for (int v = 0; v < PAIRS; v++) {
            space->g_re[v] = (REAL)(tx->path[v] + rx->path[v]);
            space->g_im[v] = (REAL)(tx->path[v] * rx->path[v]);
        }
    const REAL reference = NAME(fraction)(task->step * task->reference[channel]);
    for (int v = 0; v < PAIRS; v++) {
        const REAL turn = (tx->turn[v] + rx->turn[v]) - reference;
        NAME(sample)(turn - ((turn + ROUND_REAL) - ROUND_REAL), n_part, space->place + v, space->part + v);
        space->c_re[v] = tx->carrier_re[v] * rx->carrier_re[v] - tx->carrier_im[v] * rx->carrier_im[v];
        space->c_im[v] = tx->carrier_re[v] * rx->carrier_im[v] + tx->carrier_im[v] * rx->carrier_re[v];
    }
    if (task->path || task->spreading) /* else all amplitudes are 1 */
        for (int v = 0; v < PAIRS; v++) {
            const REAL b = tx->amplitude[v] * rx->amplitude[v];
            space->c_re[v] *= b, space->c_im[v] *= b;
        }
}

/* The same in one step where one antenna of amplitude 1 sends and receives: as it mostly serves this channel alone,
 * nothing of it is kept. */
INLINE void NAME(locate_alone)(const ChannelTask *task, Index channel, REAL n_part, NAME(Space) * space)
{
    const double step = 2 * task->step, carrier = 2 * task->carrier, middle = task->step * task->reference[channel];
    NAME(distances)(space, task->positions + 3 * task->channels[2 * channel], space->distance);
    for (int v = 0; v < PAIRS; v++) {
        const double d = space->distance[v];
        NAME(sample)(NAME(quick_fraction)(step * d - middle), n_part, space->place + v, space->part + v);
        NAME(quick_phasor)(NAME(quick_fraction)(carrier * d), space->c_re + v, space->c_im + v);
    }
}

/* Where a channel's values for a block come from or go to: as above, whichever is quicker. */
INLINE void NAME(find)(const ChannelTask *task, Index channel, Index offset, NAME(Space) * space)
{
    const REAL n_part = (REAL)(task->n_profile * PARTS);
    const int alone = task->channels[2 * channel] == task->channels[2 * channel + 1];
    if (alone && !task->path && !task->spreading) NAME(locate_alone)(task, channel, n_part, space);
    else NAME(locate)(task, channel, offset, n_part, space);
}

/* image += the interpolated range profiles: `data` holds [s][m][c][n_profile + TAPS][2], periodic, `weights` the
 * interpolation kernel at PARTS fractions of a sample, each value twice, for real and imaginary parts.  Both are kept
 * small, as they share the first-level cache with the antennas' paths and carriers.  Moments are those of gather() in
 * channels.h: three profiles, of y, k y and k^2 y, read at the same places. */
EXPORT TARGET void NAME(channel_compressed)(const void *given, void *scratch)
{
    const ChannelTask *task = given;
    NAME(Space) *space = scratch;
    const Index row = 2 * (task->n_profile + TAPS);
    const REAL *weights = task->weights;
    for (Index first = task->first; first < task->last; first += PAIRS) {
        NAME(place_voxels)(task, first, space);
        for (Index c = 0; c < task->n_channel; c++) {
            const int *place = space->place, *part = space->part;
            NAME(find)(task, c, first - task->first, space);
            for (Index m = 0; m < task->n_moment; m++) {
                const REAL *c_re = space->c_re, *c_im = space->c_im;
                if (m == 1)
                    for (int v = 0; v < PAIRS; v++) {
                        space->w_re[v] = -space->g_re[v] * c_im[v];
                        space->w_im[v] = space->g_re[v] * c_re[v];
                    }
                if (m == 2)
                    for (int v = 0; v < PAIRS; v++) {
                        space->w_re[v] = -space->g_im[v] * c_re[v];
                        space->w_im[v] = -space->g_im[v] * c_im[v];
                    }
                if (m > 0) c_re = space->w_re, c_im = space->w_im;
                for (Index s = 0; s < task->n_scene; s++) {
                    const REAL *profile = (const REAL *)task->data + ((s * task->n_moment + m) * task->n_channel + c) * row;
                    REAL *image_re = (REAL *)task->image + 2 * s * task->plane + first;
                    REAL *image_im = image_re + task->plane;
#if defined(ESTIMATE)
                    if (sizeof(REAL) == sizeof(float)) {
                        interpolate_avx512((const float *)profile, (const float *)weights, place, part, PAIRS,
                                           (const float *)c_re, (const float *)c_im, (float *)image_re,
                                           (float *)image_im);
                        continue;
                    }
#endif
                    for (int v = 0; v < PAIRS; v += 4) { /* products of four voxels, then three sums of halves */
                        NAME(octet) e[4];
#pragma GCC unroll 4
                        for (int i = 0; i < 4; i++)
                            e[i] = LOAD8(profile + place[v + i]) * LOAD8(weights + part[v + i]);
                        const NAME(octet) a = ADD_HALVES(e[0], e[1]), b = ADD_HALVES(e[2], e[3]);
                        *(NAME(octet) *)(space->pairs + 2 * v) =
                            SHUFFLE8(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + SHUFFLE8(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
                    }
                    for (int v = 0; v < PAIRS; v++) {
                        const REAL re = space->pairs[2 * v], im = space->pairs[2 * v + 1];
                        image_re[v] += re * c_re[v] - im * c_im[v];
                        image_im[v] += re * c_im[v] + im * c_re[v];
                    }
                }
            }
        }
    }
}

/* profile[place] += value weights, for a block. Voxels that follow one another mostly fall on the same samples, and an
 * addition to memory would wait for the one before. So COPIES windows of the profile take turns and are added up at the
 * end, unless the block spans more than a WINDOW. */
#define COPIES 8
#define WINDOW 96

INLINE void NAME(add_at)(const REAL *weights, const NAME(Space) * space, int v, REAL *to)
{
    const REAL re = space->pairs[2 * v], im = space->pairs[2 * v + 1];
    const NAME(octet) value = {re, im, re, im, re, im, re, im};
    *(NAME(octet) *)to += value * LOAD8(weights + space->part[v]);
}

INLINE void NAME(scatter)(const REAL *weights, const NAME(Space) * space, REAL *profile)
{
    const int *place = space->place;
    REAL copies[COPIES][2 * (WINDOW + TAPS)];
    int low = place[0], high = place[0];
    for (int v = 0; v < PAIRS; v++) {
        low = place[v] < low ? place[v] : low;
        high = place[v] > high ? place[v] : high;
    }
    const int near = high - low <= 2 * WINDOW, width = near ? high - low + 2 * TAPS : 0;
    for (int i = 0; i < COPIES; i++) for (int j = 0; j < width; j++) copies[i][j] = 0;
    if (!near) {
        for (int v = 0; v < PAIRS; v++) NAME(add_at)(weights, space, v, profile + place[v]);
        return;
    }
    for (int v = 0; v < PAIRS; v += COPIES)
#pragma GCC unroll 8
        for (int i = 0; i < COPIES; i++) NAME(add_at)(weights, space, v + i, copies[i] + (place[v + i] - low));
    for (int i = 0; i < COPIES; i++) for (int j = 0; j < width; j++) profile[low + j] += copies[i][j];
}

/* The conjugate transpose: profiles += conj(c) image, spread over TAPS samples.  A task has some of the channels and
 * all voxels from `first` to `last`, so that no two tasks write to the same profile.  Beyond the last voxel the image is
 * zero. */
EXPORT TARGET void NAME(channel_scattered)(const void *given, void *scratch)
{
    const ChannelTask *task = given;
    NAME(Space) *space = scratch;
    const Index row = 2 * (task->n_profile + TAPS);
    for (Index first = task->first; first < task->last; first += PAIRS) {
        NAME(place_voxels)(task, first, space);
        for (Index c = 0; c < task->n_channel; c++) {
            NAME(find)(task, c, first - task->first, space);
            for (Index s = 0; s < task->n_scene; s++) {
                const REAL *image_re = (const REAL *)task->image + 2 * s * task->plane + first;
                const REAL *image_im = image_re + task->plane;
                for (int v = 0; v < PAIRS; v++) {
                    const REAL re = image_re[v], im = image_im[v];
                    space->pairs[2 * v] = re * space->c_re[v] + im * space->c_im[v];
                    space->pairs[2 * v + 1] = im * space->c_re[v] - re * space->c_im[v];
                }
                NAME(scatter)(task->weights, space, (REAL *)task->data + (s * task->n_channel + c) * row);
            }
        }
    }
}

#undef COPIES
#undef WINDOW
#undef LOAD8
#undef SHUFFLE8
#undef ADD_HALVES
