// Profiles through an image, and what a radar engineer reads off them: -3 dB width, PSLR and ISLR.

import { HALVES } from "./volume.js";

/** Samples along an axis through the voxel that holds a point: places in metres, magnitudes, and the point's own sample. */
export function axisProfile(volume, axis, point) {
  const index = volume.nearest(point);
  const values = volume.centers[axis].map((_, n) => volume.value(index.map((i, a) => (a === axis ? n : i))));
  return { places: volume.centers[axis], values, at: index[axis] };
}

/** Magnitudes of the voxels along the line from one point to another, over metres from the first; NaN outside. */
export function lineProfile(volume, from, to) {
  const length = Math.hypot(...to.map((t, axis) => t - from[axis]));
  const finest = Math.min(...volume.edges.flatMap((edges) => edges.slice(1).map((e, n) => e - edges[n])));
  const count = Math.min(4001, Math.max(2, Math.ceil((2 * length) / finest) + 1));
  const places = Array.from({ length: count }, (_, n) => (n / (count - 1)) * length);
  const values = places.map((_, n) => {
    const point = from.map((f, axis) => f + (n / (count - 1)) * (to[axis] - f));
    return volume.contains(point) ? HALVES[volume.halves[volume.offset(volume.nearest(point))]] : NaN;
  });
  return { places, values, at: count - 1 };
}

/** The sample that is reached by going up from another one. */
export function climb(values, from) {
  let at = from;
  for (;;) {
    const next = [at - 1, at + 1].filter((n) => values[n] > values[at]).sort((a, b) => values[b] - values[a])[0];
    if (next === undefined) return at;
    at = next;
  }
}

/** Where, going one way from a peak, the magnitude falls to 1 / sqrt 2 of it, between samples in proportion; or null. */
function halfPower(places, values, peak, by) {
  const level = values[peak] * Math.SQRT1_2;
  for (let n = peak + by; values[n] !== undefined; n += by) {
    if (values[n] > level) continue;
    const part = (values[n - by] - level) / (values[n - by] - values[n]);
    return places[n - by] + part * (places[n] - places[n - by]);
  }
  return null;
}

/** Sample of the first minimum, going one way from a peak; the last sample where there is none. */
function firstMinimum(values, peak, by) {
  let n = peak;
  while (values[n + by] !== undefined && values[n + by] <= values[n]) n += by;
  return n;
}

/**
 * Of the peak next to a profile's own sample: `peak` (its sample), `width` between the half-power points in metres, `pslr`
 * (highest of what lies beyond the first minima, relative to the peak, dB) and `islr` (energy beyond them by that between
 * them, dB); null where the profile does not tell.
 */
export function measureLobe({ places, values, at }) {
  const peak = climb(values, at);
  if (!(values[peak] > 0)) return { peak, width: null, pslr: null, islr: null };
  const [left, right] = [-1, 1].map((by) => halfPower(places, values, peak, by));
  const [first, last] = [-1, 1].map((by) => firstMinimum(values, peak, by));
  const beyond = values.filter((v, n) => (n < first || n > last) && Number.isFinite(v));
  const energy = (list) => list.reduce((sum, v) => sum + v * v, 0);
  const highest = beyond.reduce((a, b) => Math.max(a, b), 0);
  const outside = energy(beyond);
  return {
    peak,
    width: left !== null && right !== null ? right - left : null,
    pslr: highest > 0 ? 20 * Math.log10(highest / values[peak]) : null,
    islr: outside > 0 ? 10 * Math.log10(outside / energy(values.slice(first, last + 1))) : null,
  };
}
