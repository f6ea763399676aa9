// An image beside the truth or another: outline, difference, both in turn, or the other left of a divider.

import { colorAt, DIVERGING, pixelOf, tableOf } from "./colors.js";
import { indexOf, pixelRanges, strongestOver } from "./maxima.js";
import { HALVES } from "./volume.js";

export const MOST_DIFFERENCE = 20; // dB at the ends of the colour scale
export const BLINK_MS = 700;

/**
 * Halves of another image, or other `values` of its voxels, under the voxels of a slice, or of the maxima where `at` is null;
 * null where it has none there.
 */
export function sliceOfOther(volume, other, view, at, values = other.halves) {
  const same = other.shape.every((n, axis) => n === volume.shape[axis]);
  if (same) return at === null ? other.maximum(view) : other.slice(view, at, values);
  if (at !== null && !between(other, view.along, volume.centers[view.along][at])) return null;
  const source = at === null ? other.maximum(view) : other.slice(view, indexOf(other.edges[view.along], volume.centers[view.along][at]), values);
  const columns = volume.centers[view.across].map((x) => (between(other, view.across, x) ? indexOf(other.edges[view.across], x) : -1));
  const rows = volume.centers[view.up].map((y) => (between(other, view.up, y) ? indexOf(other.edges[view.up], y) : -1));
  const halves = new Uint16Array(columns.length * rows.length);
  rows.forEach((v, n) => columns.forEach((u, m) => (halves[m + columns.length * n] = u < 0 || v < 0 ? 0 : source[u + other.shape[view.across] * v])));
  return halves;
}

function between(volume, axis, value) {
  return value >= volume.low[axis] && value <= volume.high[axis];
}

const level = (half, gain, floor) => Math.max(floor, half ? 20 * Math.log10(HALVES[half] * gain) : -Infinity);

/** An image's level minus another's as pixels, each of the strongest voxel of either under it; both end at the floor. */
export function differencePixels(volume, { view, ranges }, halves, others, { floor }, [gain, otherGain], width, height) {
  const across = pixelRanges(volume.edges[view.across], width, ranges[view.across]);
  const up = pixelRanges(volume.edges[view.up], height, ranges[view.up]).reverse();
  const either = halves.map((half, n) => Math.max(half, others[n]));
  const table = tableOf(DIVERGING);
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  strongestOver(either, volume.shape[view.across], across, up).forEach((n, at) => {
    const difference = level(halves[n], gain, floor) - level(others[n], otherGain, floor);
    pixels[at] = pixelOf(colorAt(table, Math.min(1, Math.max(0, 0.5 + difference / (2 * MOST_DIFFERENCE)))));
  });
  return image;
}

/** One picture left of a divider, at a share of the width, another right of it. */
export function wipedPixels(left, right, divider) {
  const wiped = new ImageData(new Uint8ClampedArray(right.data), right.width, right.height);
  const [from, to] = [left, wiped].map((image) => new Uint32Array(image.data.buffer));
  const edge = Math.round(divider * wiped.width);
  for (let row = 0; row < to.length; row += wiped.width) to.set(from.subarray(row, row + edge), row);
  return wiped;
}

/** Sides of a slice's voxels between those above a magnitude and the others: [x0, y0, x1, y1] in metres each. */
export function outlineOf(volume, view, halves, least) {
  const [nu, nv] = [volume.shape[view.across], volume.shape[view.up]];
  const [xs, ys] = [volume.edges[view.across], volume.edges[view.up]];
  const above = (u, v) => u >= 0 && v >= 0 && u < nu && v < nv && HALVES[halves[u + nu * v]] > least;
  const sides = [];
  for (let v = 0; v < nv; v += 1) {
    for (let u = 0; u < nu; u += 1) {
      if (!above(u, v)) continue;
      if (!above(u - 1, v)) sides.push([xs[u], ys[v], xs[u], ys[v + 1]]);
      if (!above(u + 1, v)) sides.push([xs[u + 1], ys[v], xs[u + 1], ys[v + 1]]);
      if (!above(u, v - 1)) sides.push([xs[u], ys[v], xs[u + 1], ys[v]]);
      if (!above(u, v + 1)) sides.push([xs[u], ys[v + 1], xs[u + 1], ys[v + 1]]);
    }
  }
  return sides;
}
