// The three flat pictures below each panel, slices or maximum projections, with the crosshair that all panels share.

import { FONT, halfColors, inks } from "./colors.js";
import { largestOver, pixelRanges } from "./maxima.js";
import { fittingTicks, labelRoom, metres, plain } from "./numbers.js";
import { fitCanvas } from "./scene3d.js";
import { AXIS_NAMES, VIEWS } from "./volume.js";

const [LEFT, GAP, MIDDLE, RIGHT, TOP, BOTTOM] = [36, 8, 40, 6, 18, 32];
const TALLEST = 190;
const HATCH = 7; // between two lines
const ALMOST = 0.94; // pictures that are nearly as high as the highest are drawn as high, to stand in line

/** Lengths as drawn: the volume's own, but none shorter than a third of the longest. */
function drawnLengths(volume) {
  const lengths = volume.low.map((l, axis) => volume.high[axis] - l);
  return lengths.map((l) => Math.max(l, Math.max(...lengths) / 3));
}

/** Where the three pictures stand in a canvas of some width, and the height that it needs. */
export function layoutSections(volume, width) {
  const [x, y, z] = drawnLengths(volume);
  const room = width - LEFT - GAP - MIDDLE - RIGHT;
  const scale = Math.min(room / (2 * x + z), TALLEST / Math.max(y, z));
  const spare = (room - scale * (2 * x + z)) / 2;
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

/** A picture of halves as pixels, each of the largest voxel under it (`pixelRanges`); clear where `imaged` is 0. */
export function sectionPixels(volume, view, halves, imaged, colors, width, height) {
  const across = pixelRanges(volume.edges[view.across], width);
  const up = pixelRanges(volume.edges[view.up], height).reverse();
  const count = volume.shape[view.across];
  const largest = largestOver(halves, count, across, up);
  const seen = imaged && largestOver(imaged, count, across, up);
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let n = 0; n < pixels.length; n += 1) pixels[n] = !seen || seen[n] ? colors[largest[n]] : 0;
  return image;
}

export class Sections {
  constructor(view) {
    this.view = view;
  }

  /** Where a panel's three pictures stand in their canvas. */
  cells(panel) {
    return layoutSections(panel.volume, panel.sections.clientWidth).cells;
  }

  paint(panel) {
    const canvas = panel.sections;
    const { volume } = panel;
    if (!volume || !canvas.clientWidth) return;
    canvas.style.height = `${layoutSections(volume, canvas.clientWidth).height}px`;
    const ratio = devicePixelRatio || 1;
    fitCanvas(canvas, ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    this.paintInto(context, panel, canvas.clientWidth, ratio);
  }

  paintInto(context, panel, width, ratio) {
    const { volume } = panel;
    if (!volume) return;
    const { state } = this.view.store;
    const cross = this.view.cross();
    const ink = inks();
    const colors = halfColors(state, this.view.gainOf(panel));
    layoutSections(volume, width).cells.forEach((cell, n) => {
      const at = state.sections === "maxima" || !cross ? null : volume.nearest(cross)[cell.view.along];
      if (volume.inside) paintHatch(context, cell, ink);
      this.paintCell(context, volume, cell, at, colors, ratio);
      this.paintFrame(context, volume, cell, ink, n);
      this.paintTitle(context, volume, cell, cross, state, ink);
      if (cross) paintCrosshair(context, volume, cell, cross);
    });
  }

  /** Paint the slice at a place along the view, or the maxima where it is null. */
  paintCell(context, volume, cell, at, colors, ratio) {
    const { view } = cell;
    const halves = at === null ? volume.maximum(view) : volume.slice(view, at);
    const imaged = volume.imagedOf(view, at);
    const [w, h] = [cell.width, cell.height].map((n) => Math.max(1, Math.round(n * ratio)));
    const canvas = new OffscreenCanvas(w, h);
    canvas.getContext("2d").putImageData(sectionPixels(volume, view, halves, imaged, colors, w, h), 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, cell.left, cell.top, cell.width, cell.height);
  }

  paintFrame(context, volume, cell, ink, n) {
    const { view, left, top, width, height } = cell;
    context.strokeStyle = ink.line;
    context.lineWidth = 1;
    context.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
    context.font = `10px ${FONT}`;
    context.fillStyle = ink.muted;
    context.textAlign = "center";
    context.textBaseline = "top";
    let written = -Infinity;
    for (const tick of ticksOf(volume, view.across, width, labelRoom(context))) {
      const x = left + across(volume, view, tick) * width;
      const half = context.measureText(plain(tick)).width / 2;
      const place = Math.min(left + width + 1 - half, Math.max(left - 1 + half, x)); // clear of the next picture's
      context.fillRect(x - 0.5, top + height + 1, 1, 3);
      if (place - half < written + 3) continue;
      context.fillText(plain(tick), place, top + height + 5);
      written = place + half;
    }
    context.fillText(`${AXIS_NAMES[view.across]} (m)`, left + width / 2, top + height + 18);
    if (n !== 1) this.paintUpright(context, volume, cell);
  }

  paintUpright(context, volume, { view, left, top, height }) {
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of ticksOf(volume, view.up, height, () => 20)) {
      const y = top + (1 - upwards(volume, view, tick)) * height;
      if (y < top + 4) continue; // the axis has its name there
      context.fillRect(left - 4, y - 0.5, 3, 1);
      context.fillText(plain(tick), left - 6, y);
    }
    context.textBaseline = "bottom";
    context.fillText(`${AXIS_NAMES[view.up]} (m)`, left - 6, top - 3);
  }

  paintTitle(context, volume, { view, left, top }, cross, state, ink) {
    const name = AXIS_NAMES[view.along];
    const at = cross ? volume.centers[view.along][volume.nearest(cross)[view.along]] : null;
    const text = state.sections === "maxima" || at === null ? `max over ${name}` : `${name} ${metres(at)} m`;
    context.textAlign = "left";
    context.textBaseline = "bottom";
    context.fillStyle = ink.text;
    context.fillText(text, left, top - 3);
  }

  /** Click and drag move the crosshair; arrow keys move it by a voxel in the picture used last. */
  attach(panel) {
    const { sections: canvas } = panel;
    canvas.addEventListener("pointerdown", (event) => {
      panel.cell = this.cellAt(panel, event);
      if (panel.cell) canvas.setPointerCapture(event.pointerId);
      this.move(panel, event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons & 1 && this.move(panel, event));
    canvas.addEventListener("keydown", (event) => this.step(panel, event));
  }

  cellAt(panel, event) {
    if (!panel.volume) return null;
    const [x, y] = [event.offsetX, event.offsetY];
    return this.cells(panel).find((c) => x >= c.left && x < c.left + c.width && y >= c.top && y < c.top + c.height) ?? null;
  }

  move(panel, event) {
    const { cell, volume } = panel;
    if (!cell) return;
    const u = Math.min(1, Math.max(0, (event.offsetX - cell.left) / cell.width));
    const v = Math.min(1, Math.max(0, 1 - (event.offsetY - cell.top) / cell.height));
    const point = [...this.view.cross()];
    point[cell.view.across] = volume.low[cell.view.across] + u * (volume.high[cell.view.across] - volume.low[cell.view.across]);
    point[cell.view.up] = volume.low[cell.view.up] + v * (volume.high[cell.view.up] - volume.low[cell.view.up]);
    if (this.view.store.state.sections === "maxima") this.follow(volume, cell.view, point);
    this.view.store.set({ cross: volume.nearest(point).map((i, axis) => volume.centers[axis][i]) });
  }

  /** In a maximum projection the crosshair goes to the voxel that is seen. */
  follow(volume, view, point) {
    const index = volume.nearest(point);
    let best = -1;
    for (let n = 0; n < volume.shape[view.along]; n += 1) {
      const value = volume.value(index.map((i, axis) => (axis === view.along ? n : i)));
      if (value > best) [best, point[view.along]] = [value, volume.centers[view.along][n]];
    }
  }

  step(panel, event) {
    const moves = { ArrowLeft: ["across", -1], ArrowRight: ["across", 1], ArrowUp: ["up", 1], ArrowDown: ["up", -1], PageUp: ["along", 1], PageDown: ["along", -1] };
    const move = moves[event.key];
    if (!move || !panel.volume) return;
    event.preventDefault();
    event.stopPropagation();
    const axis = (panel.cell?.view ?? VIEWS[0])[move[0]];
    const index = panel.volume.nearest(this.view.cross());
    index[axis] = Math.min(panel.volume.shape[axis] - 1, Math.max(0, index[axis] + move[1]));
    this.view.store.set({ cross: index.map((i, n) => panel.volume.centers[n][i]) });
  }
}

/** What shows through where nothing was imaged. */
function paintHatch(context, { left, top, width, height }, ink) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.fillStyle = ink.edge;
  context.fillRect(left, top, width, height);
  context.strokeStyle = ink.line;
  context.lineWidth = 0.7;
  context.beginPath();
  for (let x = -height; x < width; x += HATCH) {
    context.moveTo(left + x, top + height);
    context.lineTo(left + x + height, top);
  }
  context.stroke();
  context.restore();
}

/** Ticks along an axis: of a lone voxel its centre. */
function ticksOf(volume, axis, room, each) {
  if (volume.shape[axis] === 1) return volume.centers[axis];
  return fittingTicks(volume.low[axis], volume.high[axis], room, each);
}

function across(volume, view, value) {
  return (value - volume.low[view.across]) / (volume.high[view.across] - volume.low[view.across]);
}

function upwards(volume, view, value) {
  return (value - volume.low[view.up]) / (volume.high[view.up] - volume.low[view.up]);
}

function paintCrosshair(context, volume, { view, left, top, width, height }, cross) {
  const [u, v] = [across(volume, view, cross[view.across]), upwards(volume, view, cross[view.up])];
  if (u < 0 || u > 1 || v < 0 || v > 1) return;
  const [x, y] = [left + u * width, top + (1 - v) * height];
  for (const [color, thick] of [["rgba(0,0,0,0.55)", 3], ["#ffffff", 1]]) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.beginPath();
    for (const [x0, y0, x1, y1] of [[left, y, x - 4, y], [x + 4, y, left + width, y], [x, top, x, y - 4], [x, y + 4, x, top + height]]) {
      if (x1 < x0 || y1 < y0) continue;
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
    }
    context.stroke();
  }
  context.lineWidth = 1;
}
