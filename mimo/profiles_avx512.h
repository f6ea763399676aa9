/* The interpolation of channel_compressed in float32 with vectors of 64 bytes: two voxels' four samples each.
 *
 * A voxel's four samples follow one another, so they are one load of 32 bytes; a gather instruction would make four
 * accesses of them. A complex number is shuffled as if it were one float64, which keeps its parts together; only sums
 * and products treat it as two float32. The sums leave the voxels out of order; the last permutation, which separates real
 * from imaginary parts anyway, puts them in order.
 */

typedef __attribute__((vector_size(64))) double Samples; /* a complex number of float32 in each */

/* Four complex numbers of float32 at each of two places. */
static inline __attribute__((always_inline)) TARGET Samples two_at(const float *from, const int *place)
{
    const Samples low = _mm512_castpd256_pd512(_mm256_loadu_pd((const double *)(from + place[0])));
    return _mm512_insertf64x4(low, _mm256_loadu_pd((const double *)(from + place[1])), 1);
}

static inline __attribute__((always_inline)) TARGET Samples add_samples(Samples a, Samples b)
{
    return (Samples)((__m512)a + (__m512)b);
}

/* The values of eight voxels, complex, in the order 0 2 1 3 4 6 5 7: products, then two sums of halves. */
static inline __attribute__((always_inline)) TARGET __m512 eight_values(const float *profile, const float *weights,
                                                                       const int *place, const int *part)
{
    Samples e[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        e[i] = (Samples)((__m512)two_at(profile, place + 2 * i) * (__m512)two_at(weights, part + 2 * i));
    const Samples a = add_samples(_mm512_unpacklo_pd(e[0], e[1]), _mm512_unpackhi_pd(e[0], e[1]));
    const Samples b = add_samples(_mm512_unpacklo_pd(e[2], e[3]), _mm512_unpackhi_pd(e[2], e[3]));
    return (__m512)add_samples(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
}

/* image += c (the profile interpolated at each voxel's place), for `n` voxels, a multiple of 16. */
static inline __attribute__((always_inline)) TARGET void interpolate_avx512(const float *profile, const float *weights,
                                                                           const int *place, const int *part, int n,
                                                                           const float *c_re, const float *c_im,
                                                                           float *image_re, float *image_im)
{
    const __m512i re_of = _mm512_setr_epi32(0, 4, 2, 6, 8, 12, 10, 14, 16, 20, 18, 22, 24, 28, 26, 30);
    const __m512i im_of = _mm512_add_epi32(re_of, _mm512_set1_epi32(1));
    for (int v = 0; v < n; v += 16) {
        const __m512 low = eight_values(profile, weights, place + v, part + v);
        const __m512 high = eight_values(profile, weights, place + v + 8, part + v + 8);
        const __m512 re = _mm512_permutex2var_ps(low, re_of, high), im = _mm512_permutex2var_ps(low, im_of, high);
        const __m512 cr = _mm512_loadu_ps(c_re + v), ci = _mm512_loadu_ps(c_im + v);
        _mm512_storeu_ps(image_re + v, _mm512_loadu_ps(image_re + v) + re * cr - im * ci);
        _mm512_storeu_ps(image_im + v, _mm512_loadu_ps(image_im + v) + re * ci + im * cr);
    }
}
