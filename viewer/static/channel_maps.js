// The maps of a measurement: magnitude and phase over channel and frequency, range profiles of all, Tx x Rx.

import { colorAt, CYCLIC, inks, levelOf, pixelOf, tableOf } from "./colors.js";
import { largestOver, pixelRanges, strongestOver } from "./maxima.js";
import { paintFrame } from "./plots.js";
import { allProfiles, channelLevels, phases } from "./sweeps.js";

export const KINDS = [
  ["magnitude", "Magnitude", "Magnitude over channel and frequency"],
  ["phase", "Phase", "Phase over channel and frequency"],
  ["profiles", "Range profiles", "Range profiles of all channels; the line is the expected echo of the crosshair"],
  ["matrix", "Tx \u00d7 Rx", "Root mean square over frequency of each pair of antennas"],
];
const MOST_PROFILES = 2 ** 26; // numbers, 256 MiB

/** Colours, row by row, as a picture. */
function picture(pixels, width, height) {
  const image = new ImageData(width, height);
  new Uint32Array(image.data.buffer).set(pixels);
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

const upTo = (count) => Array.from({ length: count + 1 }, (_, at) => at);

/** Magnitudes of `n` columns as a picture of a box's pixels, each the largest of the samples under it; missing is clear. */
function mapPicture(strength, n, peak, state, box, ratio) {
  const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * ratio)));
  const across = pixelRanges(upTo(n), width);
  const up = pixelRanges(upTo(strength.length / n), height).reverse();
  const table = tableOf(state.colors);
  const pixels = new Uint32Array(width * height);
  largestOver(strength, n, across, up).forEach((s, at) => {
    if (s >= 0) pixels[at] = pixelOf(colorAt(table, levelOf(s / peak, state)));
  });
  return picture(pixels, width, height);
}

/** Phases as `mapPicture`, of the strongest sample under each pixel. */
function phasePicture(degrees, strength, n, box, ratio) {
  const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * ratio)));
  const across = pixelRanges(upTo(n), width);
  const up = pixelRanges(upTo(strength.length / n), height).reverse();
  const table = tableOf(CYCLIC);
  const pixels = new Uint32Array(width * height);
  strongestOver(strength, n, across, up).forEach((best, at) => {
    if (strength[best] >= 0) pixels[at] = pixelOf(colorAt(table, (degrees[best] + 180) / 360));
  });
  return picture(pixels, width, height);
}

/** Axes of a map, and what it shows: numbers column by column, row by row from below, and their largest. */
export function mapOf(kind, data, file) {
  const { header, strength, values, peak } = data;
  const n = header.pairs.length;
  if (kind === "matrix") return matrixOf(data, file);
  if (kind === "profiles") {
    if (n * header.freq.length * 8 > MOST_PROFILES) return null;
    data.profiles ??= allProfiles(values, header);
    if (!data.profiles) return null;
    const { levels, longest } = data.profiles;
    data.profilePeak ??= levels.reduce((a, b) => Math.max(a, b), 0) || 1;
    return { columns: n, numbers: levels, peak: data.profilePeak, xs: [-0.5, n - 0.5], ys: [0, longest], xName: "channel", yName: "path (m)", whole: "x" };
  }
  const m = header.freq.length;
  const ends = [header.freq[0] / 1e9, header.freq[m - 1] / 1e9];
  const half = m > 1 ? (ends[1] - ends[0]) / (2 * (m - 1)) : 0.5;
  const axes = { xs: [-0.5, n - 0.5], ys: [ends[0] - half, ends[1] + half], xName: "channel", yName: "frequency (GHz)", whole: "x" };
  if (kind === "phase") data.degrees ??= phases(values);
  return { columns: n, numbers: strength, degrees: kind === "phase" ? data.degrees : null, peak, ...axes };
}

function matrixOf(data, file) {
  const { header, strength } = data;
  data.levels ??= channelLevels(strength, header.pairs.length);
  const [rows, columns] = [file.tx.length, file.rx.length];
  const numbers = new Float32Array(rows * columns).fill(-1);
  header.pairs.forEach(([t, r], channel) => (numbers[r + columns * t] = data.levels[channel]));
  const peak = data.levels.reduce((a, b) => Math.max(a, b), 0) || 1;
  return { columns, numbers, peak, xs: [-0.5, columns - 0.5], ys: [-0.5, rows - 0.5], xName: "receiver", yName: "transmitter", whole: "xy" };
}

/** Paint a map, frame the picked channel, and draw the expected paths of all channels where they are given. */
export function paintChannelMap(context, width, height, map, state, pair, channel, paths) {
  const box = paintFrame(context, width, height, map);
  const ratio = context.getTransform().a;
  const canvas = map.degrees
    ? phasePicture(map.degrees, map.numbers, map.columns, box, ratio)
    : mapPicture(map.numbers, map.columns, map.peak, state, box, ratio);
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, box.x, box.y, box.width, box.height);
  if (paths) paintPaths(context, box, map, paths);
  const [column, row] = map.yName === "transmitter" ? [pair[1], pair[0]] : [channel, null];
  const cell = box.width / map.columns;
  const x = box.x + (column + 0.5) * cell;
  context.strokeStyle = inks().text;
  if (row === null) {
    context.strokeRect(x - Math.max(3, cell / 2), box.y - 2, Math.max(6, cell), box.height + 4);
    return;
  }
  const rows = map.numbers.length / map.columns;
  const y = box.y + (1 - (row + 0.5) / rows) * box.height;
  const high = box.height / rows;
  for (const [color, thick] of [["#000000", 3], ["#ffffff", 1.5]]) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.strokeRect(x - Math.max(6, cell) / 2, y - Math.max(6, high) / 2, Math.max(6, cell), Math.max(6, high));
  }
  context.lineWidth = 1;
}

/** A line in white on black over the path that each channel should have, folded to where profiles repeat. */
function paintPaths(context, box, { columns, ys }, paths) {
  for (const [color, thick] of [["rgba(0,0,0,0.7)", 3], ["#ffffff", 1.2]]) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.beginPath();
    paths.forEach((path, n) => {
      const y = box.y + (1 - (path % ys[1]) / ys[1]) * box.height;
      const x = box.x + (n / columns) * box.width;
      context.moveTo(x, y);
      context.lineTo(x + Math.max(1, box.width / columns), y);
    });
    context.stroke();
  }
  context.lineWidth = 1;
}

/** The channel under a pixel of a map's canvas; -1 where there is none. */
export function channelUnder(map, { pairs }, box, x, y) {
  const column = Math.floor(((x - box.x) / box.width) * map.columns);
  if (column < 0 || column >= map.columns) return -1;
  if (map.yName !== "transmitter") return column;
  const row = Math.floor((1 - (y - box.y) / box.height) * (map.numbers.length / map.columns));
  return pairs.findIndex(([t, r]) => t === row && r === column);
}
