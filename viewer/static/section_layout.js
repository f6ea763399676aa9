// Where the flat pictures of an image stand in their canvas, and which part of the image they show.

import { plain, ticks } from "./numbers.js";
import { VIEWS } from "./volume.js";

const [LEFT, GAP, MIDDLE, RIGHT, TOP, BOTTOM] = [36, 8, 40, 6, 18, 32];
const BETWEEN = TOP + BOTTOM; // of two pictures one above the other
const LONGEST_ASPECT = 3;
const ALMOST = 0.94; // pictures that are nearly as high as the highest are drawn as high, to stand in line

/** Lengths as drawn: the volume's own, but none shorter than a third of the longest of `axes`. */
function drawnLengths(volume, axes = [0, 1, 2]) {
  const lengths = volume.low.map((l, axis) => volume.high[axis] - l);
  return lengths.map((l) => Math.max(l, Math.max(...axes.map((axis) => lengths[axis])) / LONGEST_ASPECT));
}

/** The view along the axis on which an image has one voxel; undefined where it has more along all. */
export function flatView(volume) {
  return VIEWS.find((view) => volume.shape[view.along] === 1);
}

/** From where to where the sections show an image along each axis, metres. */
export function shownRanges(volume, { sectionZoom, sectionAt }) {
  return volume.low.map((low, axis) => {
    const high = volume.high[axis];
    const length = (high - low) / sectionZoom;
    const middle = sectionAt ? sectionAt[axis] : (low + high) / 2;
    const from = Math.min(high - length, Math.max(low, middle - length / 2));
    return [from, from + length];
  });
}

/**
 * Cells in a canvas of some width, each `{view, left, top, width, height, ranges}`, and the height that they need. `room`
 * says how high a row may be (`tallest`) and whether two rows are welcome (`square`); an image of one voxel along an axis
 * is one picture unless `sheets` is true.
 */
export function layoutSections(volume, width, state, { tallest, square }) {
  const ranges = shownRanges(volume, state);
  const flat = state.sheets ? undefined : flatView(volume);
  const placed = flat ? single(volume, width, flat, tallest) : several(volume, width, tallest, square);
  return { cells: placed.cells.map((cell) => ({ ...cell, ranges, lone: Boolean(flat) })), height: placed.height };
}

function single(volume, width, view, tallest) {
  const lengths = drawnLengths(volume, [view.across, view.up]);
  const room = width - LEFT - MIDDLE / 2 - RIGHT;
  const scale = Math.min(room / lengths[view.across], tallest / lengths[view.up]);
  const [w, h] = [view.across, view.up].map((axis) => Math.max(1, Math.round(scale * lengths[axis])));
  const left = Math.round(LEFT + MIDDLE / 2 + (room - w) / 2);
  return { cells: [{ view, left, top: TOP, width: w, height: h }], height: TOP + h + BOTTOM };
}

function several(volume, width, tallest, square) {
  const [x, y, z] = drawnLengths(volume);
  const room = width - LEFT - RIGHT;
  const inRow = Math.min((room - GAP - MIDDLE) / (2 * x + z), tallest / Math.max(y, z));
  const inSquare = Math.min((room - GAP) / (x + z), (tallest - BETWEEN) / (y + z));
  return square && inSquare > inRow ? squareOf([x, y, z], inSquare, room) : rowOf([x, y, z], inRow, room);
}

function rowOf([x, y, z], scale, room) {
  const spare = (room - GAP - MIDDLE - scale * (2 * x + z)) / 2;
  const tallest = scale * Math.max(y, z);
  const lefts = [LEFT + spare, LEFT + spare + scale * x + GAP, LEFT + spare + scale * (x + z) + GAP + MIDDLE];
  const lengths = [x, y, z];
  const cells = VIEWS.map((view, n) => {
    const height = scale * lengths[view.up];
    const w = Math.round(scale * lengths[view.across]);
    const h = Math.round(height > ALMOST * tallest ? tallest : height);
    return { view, left: Math.round(lefts[n]), top: TOP + Math.round(tallest) - h, width: w, height: h };
  });
  return { cells, height: Math.ceil(TOP + tallest + BOTTOM) };
}

/** Front and side in one row, top below front. */
function squareOf([x, y, z], scale, room) {
  const spare = Math.round((room - GAP - scale * (x + z)) / 2);
  const [w, d, h] = [x, z, y].map((length) => Math.round(scale * length));
  const left = LEFT + spare;
  const cells = [
    { view: VIEWS[0], left, top: TOP, width: w, height: h },
    { view: VIEWS[1], left: left + w + GAP, top: TOP, width: d, height: h },
    { view: VIEWS[2], left, top: TOP + h + BETWEEN, width: w, height: d },
  ];
  return { cells, height: TOP + h + BETWEEN + d + BOTTOM };
}

/** Place of a coordinate in a cell along its `across` or `up`, 0 to 1 within what is shown. */
export function placeIn(cell, direction, value) {
  const [low, high] = cell.ranges[cell.view[direction]];
  return (value - low) / (high - low);
}

/** Coordinates across and up under a pixel of the canvas. */
export function pointUnder(cell, x, y) {
  const at = (direction, part) => {
    const [low, high] = cell.ranges[cell.view[direction]];
    return low + Math.min(1, Math.max(0, part)) * (high - low);
  };
  return [at("across", (x - cell.left) / cell.width), at("up", 1 - (y - cell.top) / cell.height)];
}

/** A round length of about a quarter of what a cell shows across: metres, and as text. */
export function scaleBar(cell) {
  const [low, high] = cell.ranges[cell.view.across];
  const length = ticks(0, high - low, 4)[1] ?? high - low;
  return { length, text: length < 0.01 ? `${plain(length * 1000)} mm` : `${plain(length)} m` };
}
