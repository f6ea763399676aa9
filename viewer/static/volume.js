// One image: half floats, voxel (i, j, k) at i + nx (j + ny k). Non-negative halves sort as the integers that hold them.

import { decibels, plain } from "./numbers.js";
import { indexOf, pixelRanges } from "./maxima.js";

export const VIEWS = [
  { name: "front", across: 0, up: 1, along: 2 },
  { name: "side", across: 2, up: 1, along: 0 },
  { name: "top", across: 0, up: 2, along: 1 },
];
export const AXIS_NAMES = ["x", "y", "z"];
export const BLOCK = 8;
const OUTSIDE = 0x8400; // the half -2^-14
const LEAST = 2 ** -14; // that a half holds with all its digits; below, and for what was too small for any, only a bound is known

/** Number of each of the 65536 halves. */
export const HALVES = Float32Array.from({ length: 65536 }, (_, bits) => {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * (1 + fraction / 1024) * 2 ** (exponent - 15) : sign * fraction * 2 ** -24;
});

/** A half times `gain` in dB as text: where the half is too small to tell, that it is below what halves can. */
export function levelText(value, gain) {
  if (value >= LEAST && gain) return decibels(20 * Math.log10(value * gain));
  return gain ? `< ${plain(Math.round(20 * Math.log10(LEAST * gain)), 0)} dB` : decibels(-Infinity);
}

export class Volume {
  /**
   * `edges` and `centers` are three arrays in metres; `peak` is the magnitude that 1 stands for. `inside` is 1 for each
   * voxel of the region that was imaged and 0 for the others, null where there is no region. `cells` is 1, or of a coarse
   * version how many voxels of the image along each axis have their largest in one of its.
   */
  constructor({ shape, halves, peak, edges, centers, inside = null, cells = 1 }) {
    Object.assign(this, { shape, halves, peak, edges, centers, inside, cells });
    this.maxima = new Map();
    this.seen = new Map();
  }

  get low() {
    return this.edges.map((e) => e[0]);
  }

  get high() {
    return this.edges.map((e) => e[e.length - 1]);
  }

  offset([i, j, k]) {
    const [nx, ny] = this.shape;
    return i + nx * (j + ny * k);
  }

  /** Magnitude relative to the image's own maximum at voxel (i, j, k). */
  value(index) {
    return HALVES[this.halves[this.offset(index)]];
  }

  /** Index of the voxel that holds a point, the nearest one where it lies outside. */
  nearest(point) {
    return point.map((p, axis) => indexOf(this.edges[axis], p));
  }

  /** Length of the voxel that holds a coordinate, metres. */
  spacingAt(axis, at) {
    const n = indexOf(this.edges[axis], at);
    return this.edges[axis][n + 1] - this.edges[axis][n];
  }

  /** Whether the voxel that holds a point was imaged. */
  imaged(point) {
    return !this.inside || this.inside[this.offset(this.nearest(point))] === 1;
  }

  contains(point) {
    return point.every((p, axis) => p >= this.low[axis] && p <= this.high[axis]);
  }

  /** Position of the brightest voxel, metres. */
  brightest() {
    let best = 0;
    for (let n = 1; n < this.halves.length; n += 1) if (this.halves[n] > this.halves[best]) best = n;
    const [nx, ny] = this.shape;
    const index = [best % nx, Math.floor(best / nx) % ny, Math.floor(best / (nx * ny))];
    return index.map((i, axis) => this.centers[axis][i]);
  }

  /** Halves of a slice, across fastest: data[u + n_across v]. */
  slice(view, at, values = this.halves) {
    const [nu, nv] = [this.shape[view.across], this.shape[view.up]];
    const [su, sv, sw] = this.strides(view);
    const data = new Uint16Array(nu * nv);
    for (let v = 0; v < nv; v += 1) {
      for (let u = 0; u < nu; u += 1) data[u + nu * v] = values[u * su + v * sv + at * sw];
    }
    return data;
  }

  /** Halves of the maximum along an axis, laid out as `slice`; computed once. */
  maximum(view) {
    if (!this.maxima.has(view.name)) this.maxima.set(view.name, this.project(view));
    return this.maxima.get(view.name);
  }

  /** What of a slice was imaged, or of the maxima where `at` is null: 1 or 0, laid out as `slice`; null for all. */
  imagedOf(view, at) {
    if (!this.inside) return null;
    if (at !== null) return this.slice(view, at, this.inside);
    if (!this.seen.has(view.name)) this.seen.set(view.name, this.project(view, this.inside));
    return this.seen.get(view.name);
  }

  project(view, values = this.halves) {
    const [nu, nv, nw] = [this.shape[view.across], this.shape[view.up], this.shape[view.along]];
    const [su, sv, sw] = this.strides(view);
    const data = new Uint16Array(nu * nv);
    for (let v = 0; v < nv; v += 1) {
      for (let u = 0; u < nu; u += 1) {
        let best = 0;
        for (let n = 0, at = u * su + v * sv; n < nw; n += 1, at += sw) {
          if (values[at] > best) best = values[at];
        }
        data[u + nu * v] = best;
      }
    }
    return data;
  }

  strides(view) {
    const strides = [1, this.shape[0], this.shape[0] * this.shape[1]];
    return [strides[view.across], strides[view.up], strides[view.along]];
  }

  /** Whether the voxels are evenly spaced along every axis. */
  get even() {
    return this.edges.every((e) => {
      const step = (e[e.length - 1] - e[0]) / (e.length - 1);
      return e.every((edge, n) => Math.abs(edge - e[0] - n * step) < 1e-3 * step);
    });
  }

  /**
   * Shape, halves and what is inside on even voxels, for drawing in 3D: of an uneven grid each takes the voxel that it lies
   * in, or the largest of those that lie in it.
   */
  evenHalves() {
    if (this.even) return { shape: this.shape, halves: this.halves, inside: this.inside };
    const ranges = this.edges.map(evenRanges);
    return { shape: ranges.map((r) => r.length), ...largestIn(this, ranges) };
  }
}

/** Halves, and what is inside, of the largest voxels of an image over ranges along x, y and z. */
function largestIn({ shape: [nx, ny], halves, inside }, [xs, ys, zs]) {
  const largest = new Uint16Array(xs.length * ys.length * zs.length);
  const within = inside && new Uint8Array(largest.length);
  let n = 0;
  for (const [k0, k1] of zs) {
    for (const [j0, j1] of ys) {
      for (const [i0, i1] of xs) {
        let [best, any] = [0, 0];
        for (let k = k0; k <= k1; k += 1) {
          for (let j = j0; j <= j1; j += 1) {
            const row = nx * (j + ny * k);
            for (let at = row + i0; at <= row + i1; at += 1) {
              if (halves[at] > best) best = halves[at];
              if (within && inside[at]) any = 1;
            }
          }
        }
        if (within) within[n] = any;
        largest[n++] = best;
      }
    }
  }
  return { halves: largest, inside: within };
}

/** An image of even voxels in cells of `factors` voxels along x, y and z, each with its largest. */
export function coarsened(image, factors) {
  const ranges = image.shape.map((count, axis) =>
    Array.from({ length: Math.ceil(count / factors[axis]) }, (_, n) => [n * factors[axis], Math.min(count, (n + 1) * factors[axis]) - 1]),
  );
  return { shape: ranges.map((r) => r.length), ...largestIn(image, ranges) };
}

function evenRanges(edges) {
  const range = edges[edges.length - 1] - edges[0];
  const finest = Math.min(...edges.slice(1).map((e, n) => e - edges[n]));
  return pixelRanges(edges, Math.max(1, Math.min(256, Math.round(range / finest))));
}

/** Halves in which what was not imaged is a little below 0, which the ray caster tells from an image of 0. */
export function markedHalves({ halves, inside }) {
  return inside ? halves.map((half, n) => (inside[n] ? half : OUTSIDE)) : halves;
}

/** Largest half of each block of 8 voxels a side and of the voxels beside it, which interpolation reaches. */
export function blockMaxima({ shape, halves }) {
  const count = shape.map((n) => Math.ceil(n / BLOCK));
  const blocks = new Uint16Array(count[0] * count[1] * count[2]);
  let n = 0;
  for (let c = 0; c < count[2]; c += 1) {
    for (let b = 0; b < count[1]; b += 1) {
      for (let a = 0; a < count[0]; a += 1) blocks[n++] = blockMaximum(shape, halves, [a, b, c]);
    }
  }
  return { shape: count, halves: blocks };
}

function blockMaximum([nx, ny, nz], halves, block) {
  const from = block.map((b) => Math.max(0, BLOCK * b - 1));
  const to = [nx, ny, nz].map((n, axis) => Math.min(n, BLOCK * block[axis] + BLOCK + 1));
  let best = 0;
  for (let k = from[2]; k < to[2]; k += 1) {
    for (let j = from[1]; j < to[1]; j += 1) {
      const row = nx * (j + ny * k);
      for (let at = row + from[0]; at < row + to[0]; at += 1) if (halves[at] > best) best = halves[at];
    }
  }
  return best;
}
