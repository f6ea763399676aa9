// The strongest peaks of an image, and statistics of a box in it.

import { axisProfile, measureLobe } from "./profiles.js";
import { HALVES } from "./volume.js";

/** Whether no voxel around one is stronger; of equal ones the first counts. */
function isPeak({ shape: [nx, ny, nz], halves }, i, j, k) {
  const own = halves[i + nx * (j + ny * k)];
  const here = i + nx * (j + ny * k);
  for (let c = Math.max(0, k - 1); c <= Math.min(nz - 1, k + 1); c += 1) {
    for (let b = Math.max(0, j - 1); b <= Math.min(ny - 1, j + 1); b += 1) {
      for (let a = Math.max(0, i - 1); a <= Math.min(nx - 1, i + 1); a += 1) {
        const n = a + nx * (b + ny * c);
        if (halves[n] > own || (halves[n] === own && n < here)) return false;
      }
    }
  }
  return true;
}

/**
 * The strongest local maxima above a magnitude, at most `most`: `index`, `point` in metres, `value` relative to the image's
 * maximum, and `widths`, the -3 dB widths along x, y, z in metres (null where the image ends before).
 */
export function strongestPeaks(volume, least, most = 20) {
  const [nx, ny, nz] = volume.shape;
  const found = [];
  for (let k = 0, n = 0; k < nz; k += 1) {
    for (let j = 0; j < ny; j += 1) {
      for (let i = 0; i < nx; i += 1, n += 1) {
        const value = HALVES[volume.halves[n]];
        if (value > least && (found.length < most || value > found[most - 1].value) && isPeak(volume, i, j, k)) {
          found.push({ index: [i, j, k], value });
          found.sort((a, b) => b.value - a.value);
          found.length = Math.min(most, found.length);
        }
      }
    }
  }
  return found.map(({ index, value }) => {
    const point = index.map((i, axis) => volume.centers[axis][i]);
    const widths = [0, 1, 2].map((axis) => measureLobe(axisProfile(volume, axis, point)).width);
    return { index, point, value, widths };
  });
}

/**
 * Statistics of the imaged voxels whose middle lies in a box: their number, the largest magnitude and where it is, mean
 * magnitude, energy as a share of all, and mean power inside by that outside; magnitudes relative to the image's maximum.
 */
export function boxStatistics(volume, { low, high }) {
  const [nx, ny, nz] = volume.shape;
  const within = [0, 1, 2].map((axis) => volume.centers[axis].map((c) => c >= low[axis] && c <= high[axis]));
  const inside = { n: 0, sum: 0, power: 0, peak: 0, at: null };
  const outside = { n: 0, power: 0 };
  for (let k = 0, n = 0; k < nz; k += 1) {
    for (let j = 0; j < ny; j += 1) {
      const row = within[1][j] && within[2][k];
      for (let i = 0; i < nx; i += 1, n += 1) {
        if (volume.inside && !volume.inside[n]) continue;
        const value = HALVES[volume.halves[n]];
        const part = row && within[0][i] ? inside : outside;
        part.n += 1;
        part.power += value * value;
        if (part !== inside) continue;
        inside.sum += value;
        if (value > inside.peak || !inside.at) [inside.peak, inside.at] = [value, [i, j, k].map((m, axis) => volume.centers[axis][m])];
      }
    }
  }
  const all = inside.power + outside.power;
  return {
    count: inside.n,
    peak: inside.peak,
    point: inside.at,
    mean: inside.n ? inside.sum / inside.n : 0,
    share: all ? inside.power / all : 0,
    contrast: inside.n && outside.n && outside.power ? inside.power / inside.n / (outside.power / outside.n) : null,
  };
}
