// What is computed of a measurement: magnitudes, phases, range profiles of one channel and of all, energy by antenna.

const LIGHT = 299792458; // m/s
const PROFILE_POINTS = 601; // at least
const POINTS_A_WIDTH = 8; // of an echo: the highest of them is at most 0.06 dB below the echo

/** Magnitudes, frequency by frequency; -1 of channels that are missing. */
export function magnitudes(values, { pairs, missing }) {
  const absent = new Set(missing);
  return Float32Array.from({ length: values.length / 2 }, (_, n) =>
    absent.has(n % pairs.length) ? -1 : Math.hypot(values[2 * n], values[2 * n + 1]),
  );
}

/** Length after which a range profile repeats, metres. */
export function longestPath({ freq, permittivity }) {
  const steps = freq.slice(1).map((f, n) => f - freq[n]).sort((a, b) => a - b);
  return steps.length ? LIGHT / (steps[steps.length >> 1] * Math.sqrt(permittivity)) : 1;
}

/** Enough path lengths that no echo of a sweep, which is the narrower the wider the band, falls between two. */
function profilePoints({ freq, permittivity }) {
  const slowness = Math.sqrt(permittivity) / LIGHT;
  const widths = (freq[freq.length - 1] - freq[0]) * slowness * longestPath({ freq, permittivity });
  return Math.max(PROFILE_POINTS, POINTS_A_WIDTH * Math.ceil(widths) + 1);
}

/** |mean over f of y exp(+j k path)| of one channel at `count` path lengths from 0 up to where they repeat. */
export function rangeProfile(values, { freq, permittivity, pairs }, channel, count = profilePoints({ freq, permittivity })) {
  const slowness = (2 * Math.PI * Math.sqrt(permittivity)) / LIGHT;
  const longest = longestPath({ freq, permittivity });
  const paths = Float64Array.from({ length: count }, (_, n) => (n / (count - 1)) * longest);
  const steps = freq.map((f, n) => slowness * (n ? f - freq[n - 1] : f));
  const even = steps.every((step, n) => n < 2 || Math.abs(step - steps[1]) < 1e-9 * slowness * freq[freq.length - 1]);
  const y = freq.map((_, n) => [values[2 * (n * pairs.length + channel)], values[2 * (n * pairs.length + channel) + 1]]);
  const profile = Float64Array.from(paths, (path) => Math.hypot(...waveSum(y, steps, even, path)) / freq.length);
  return { paths, profile };
}

/** Sum of y exp(+j k path), k the sum of the steps so far: the wave is turned from frequency to frequency, which is fast. */
function waveSum(y, steps, even, path) {
  let [re, im, c, s, turnC, turnS] = [0, 0, 1, 0, 1, 0];
  for (let n = 0; n < y.length; n += 1) {
    if (n < 2 || !even) [turnC, turnS] = [Math.cos(steps[n] * path), Math.sin(steps[n] * path)];
    [c, s] = [c * turnC - s * turnS, c * turnS + s * turnC];
    re += y[n][0] * c - y[n][1] * s;
    im += y[n][0] * s + y[n][1] * c;
  }
  return [re, im];
}

/** Phases in degrees, frequency by frequency, -180 to 180. */
export function phases(values) {
  return Float32Array.from({ length: values.length / 2 }, (_, n) => (Math.atan2(values[2 * n + 1], values[2 * n]) * 180) / Math.PI);
}

/** Root of the mean over frequency of each channel's power; -1 of channels that are missing. */
export function channelLevels(strength, n) {
  const sums = new Float64Array(n);
  strength.forEach((s, at) => (sums[at % n] += s * s));
  return Float32Array.from(sums, (sum, channel) => (strength[channel] < 0 ? -1 : Math.sqrt((sum * n) / strength.length)));
}

/** In place, the sums over n of (re, im)[n] exp(+2 j pi k n / length) for each k; the length is a power of 2. */
export function waveSums(re, im) {
  const length = re.length;
  for (let n = 1, m = 0; n < length; n += 1) {
    let bit = length >> 1;
    for (; m & bit; bit >>= 1) m ^= bit;
    m ^= bit;
    if (n < m) [re[n], re[m], im[n], im[m]] = [re[m], re[n], im[m], im[n]];
  }
  for (let half = 1; half < length; half *= 2) {
    for (let k = 0; k < half; k += 1) {
      const [c, s] = [Math.cos((Math.PI * k) / half), Math.sin((Math.PI * k) / half)];
      for (let n = k; n < length; n += 2 * half) {
        const m = n + half;
        const [x, y] = [re[m] * c - im[m] * s, re[m] * s + im[m] * c];
        [re[m], im[m]] = [re[n] - x, im[n] - y];
        [re[n], im[n]] = [re[n] + x, im[n] + y];
      }
    }
  }
}

/**
 * Range profiles of all channels, path by path: `levels[path * n_channel + channel]`, -1 of missing channels, and the
 * longest path, where they repeat. Frequencies must be evenly spaced (null otherwise); eight paths for the width of an echo.
 */
export function allProfiles(values, header) {
  const { freq, pairs, missing } = header;
  const step = (freq[freq.length - 1] - freq[0]) / (freq.length - 1);
  if (freq.length < 2 || freq.some((f, n) => Math.abs(f - freq[0] - n * step) > 1e-3 * step)) return null;
  const [count, channels] = [2 ** Math.ceil(Math.log2(POINTS_A_WIDTH * freq.length)), pairs.length];
  const levels = new Float32Array(count * channels).fill(-1);
  const absent = new Set(missing);
  const [re, im] = [new Float64Array(count), new Float64Array(count)];
  for (let channel = 0; channel < channels; channel += 1) {
    if (absent.has(channel)) continue;
    re.fill(0);
    im.fill(0);
    freq.forEach((_, n) => ([re[n], im[n]] = [values[2 * (n * channels + channel)], values[2 * (n * channels + channel) + 1]]));
    waveSums(re, im); // the first frequency turns the phase of all alike, which a magnitude does not show
    for (let n = 0; n < count; n += 1) levels[n * channels + channel] = Math.hypot(re[n], im[n]) / freq.length;
  }
  return { levels, longest: longestPath(header), count };
}

/** Indices of the transmitter and the receiver of a file's channel. */
export function pairOf(file, channel) {
  return file.pairs ? file.pairs[channel] : [Math.floor(channel / file.rx.length), channel % file.rx.length];
}
