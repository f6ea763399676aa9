// The three flat pictures below each panel, slices or maximum projections, with the crosshair that all panels share.

import { colorAt, CYCLIC, DIVERGING, FONT, halfColors, inks, pixelOf, tableOf } from "./colors.js";
import { differencePixels, outlineOf, sliceOfOther, wipedPixels } from "./compare.js";
import { largestOver, pixelRanges, strongestOver } from "./maxima.js";
import { fittingTicks, labelRoom, metres, plain } from "./numbers.js";
import { cutsOf } from "./mesh.js";
import { fitCanvas } from "./scene3d.js";
import { layoutSections, placeIn, scaleBar } from "./section_layout.js";
import { shownThreshold } from "./state.js";
import { AXIS_NAMES, HALVES } from "./volume.js";

const HATCH = 7; // between two lines

/** A picture of halves as pixels, each of the largest voxel under it (`pixelRanges`); clear where `imaged` is 0. */
export function sectionPixels(volume, { view, ranges }, halves, imaged, colors, width, height) {
  const across = pixelRanges(volume.edges[view.across], width, ranges[view.across]);
  const up = pixelRanges(volume.edges[view.up], height, ranges[view.up]).reverse();
  const count = volume.shape[view.across];
  const largest = largestOver(halves, count, across, up);
  const seen = imaged && largestOver(imaged, count, across, up);
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let n = 0; n < pixels.length; n += 1) pixels[n] = !seen || seen[n] ? colors[largest[n]] : 0;
  return image;
}

/** Colour of a complex value by its part that is shown: `size` relative to the scale's upper end, 256 phases to a turn. */
function partColor(show, tables, size, phase) {
  if (show === "phase") return pixelOf(colorAt(tables.phase, ((phase + 128) % 256) / 256));
  const angle = (2 * Math.PI * phase) / 256;
  const part = size * (show === "real" ? Math.cos(angle) : Math.sin(angle));
  return pixelOf(colorAt(tables.part, Math.min(1, Math.max(0, 0.5 + 0.5 * part))));
}

/** Phase, real or imaginary part of a slice as pixels, each of the strongest voxel under it; no phase below the floor. */
export function complexPixels(volume, { view, ranges }, halves, phases, { show, floor, top }, gain, width, height) {
  const across = pixelRanges(volume.edges[view.across], width, ranges[view.across]);
  const up = pixelRanges(volume.edges[view.up], height, ranges[view.up]).reverse();
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const tables = { phase: tableOf(CYCLIC), part: tableOf(DIVERGING) };
  const least = show === "phase" ? 10 ** (floor / 20) : -1;
  strongestOver(halves, volume.shape[view.across], across, up).forEach((best, at) => {
    const value = HALVES[halves[best]] * gain;
    if (value > least) pixels[at] = partColor(show, tables, value / 10 ** (top / 20), phases[best]);
  });
  return image;
}

export class Sections {
  constructor(view) {
    this.view = view;
  }

  /** Where a panel's three pictures stand in their canvas. */
  cells(panel) {
    return this.layout(panel, panel.sections.clientWidth).cells;
  }

  layout(panel, width) {
    const { state } = this.view.store;
    return layoutSections(panel.volume, width, state, this.view.sectionRoom(panel));
  }

  paint(panel) {
    const canvas = panel.sections;
    const { volume } = panel;
    if (!volume || !canvas.clientWidth) return;
    canvas.style.height = `${this.layout(panel, canvas.clientWidth).height}px`;
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
    this.layout(panel, width).cells.forEach((cell) => {
      const at = state.sections === "maxima" || !cross ? null : volume.nearest(cross)[cell.view.along];
      if (volume.inside) paintHatch(context, cell, ink);
      this.paintCell(context, panel, cell, at, colors, ratio);
      this.paintOutline(context, panel, cell, at);
      if (at !== null) this.paintMeshCut(context, cell, volume.centers[cell.view.along][at]);
      this.paintFrame(context, volume, cell, ink);
      this.paintTitle(context, volume, cell, cross, state, ink);
      if (cross) paintCrosshair(context, cell, cross);
      if (cross && state.mark) paintMark(context, cell, state.mark, cross);
      if (cell.lone) paintScaleBar(context, cell);
      if (this.isWiped(panel)) paintDivider(context, cell, state.divider, this.view.reference().title, panel.title);
    });
  }

  /** Paint the slice at a place along the view, or the maxima where it is null. */
  paintCell(context, panel, cell, at, colors, ratio) {
    const [w, h] = [cell.width, cell.height].map((n) => Math.max(1, Math.round(n * ratio)));
    const canvas = new OffscreenCanvas(w, h);
    canvas.getContext("2d").putImageData(this.pixelsOf(panel, cell, at, colors, w, h), 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, cell.left, cell.top, cell.width, cell.height);
  }

  pixelsOf(panel, cell, at, colors, w, h) {
    const { volume } = panel;
    const { state } = this.view.store;
    const reference = this.view.referenceOf(panel);
    const others = reference && sliceOfOther(volume, reference.volume, cell.view, at);
    if (others && state.compare === "difference") {
      const halves = at === null ? volume.maximum(cell.view) : volume.slice(cell.view, at);
      return differencePixels(volume, cell, halves, others, state, [this.view.gainOf(panel), this.view.gainOf(reference)], w, h);
    }
    if (others && this.view.blinks) return this.otherPixels(panel, reference, cell, at, others, w, h);
    const own = this.ownPixels(panel, cell, at, colors, w, h);
    return others && state.compare === "wipe" ? wipedPixels(this.otherPixels(panel, reference, cell, at, others, w, h), own, state.divider) : own;
  }

  ownPixels(panel, { view, ...cell }, at, colors, w, h) {
    const { volume } = panel;
    const { state } = this.view.store;
    const halves = at === null ? volume.maximum(view) : volume.slice(view, at);
    if (this.showsParts(panel, at)) {
      return complexPixels(volume, { view, ...cell }, halves, volume.slice(view, at, panel.phase), state, this.view.gainOf(panel), w, h);
    }
    return sectionPixels(volume, { view, ...cell }, halves, volume.imagedOf(view, at), colors, w, h);
  }

  /** Another image under a panel's voxels, drawn as it is in its own panel. */
  otherPixels({ volume }, reference, cell, at, others, w, h) {
    const { state } = this.view.store;
    const gain = this.view.gainOf(reference);
    if (!this.showsParts(reference, at)) return sectionPixels(volume, cell, others, null, halfColors(state, gain), w, h);
    const phases = sliceOfOther(volume, reference.volume, cell.view, at, reference.phase);
    return complexPixels(volume, cell, others, phases, state, gain, w, h);
  }

  /** Whether a slice of a panel shows phase, real or imaginary part. */
  showsParts(panel, at) {
    return this.view.store.state.show !== "magnitude" && panel.phase && panel.phaseOf === panel.loaded && at !== null;
  }

  /** Whether a panel's sections show another image left of a divider. */
  isWiped(panel) {
    return this.view.store.state.compare === "wipe" && this.view.referenceOf(panel) !== null;
  }

  /** The outline of truth or first image at the threshold, over another image. */
  paintOutline(context, panel, cell, at) {
    const { state } = this.view.store;
    const reference = state.compare === "outline" && this.view.referenceOf(panel);
    const others = reference && sliceOfOther(panel.volume, reference.volume, cell.view, at);
    if (!others) return;
    const least = 10 ** (shownThreshold(state) / 20) / (this.view.gainOf(reference) || 1);
    strokeSides(context, cell, outlineOf(panel.volume, cell.view, others, least));
  }

  /** Where the plane of a slice cuts the mesh. */
  paintMeshCut(context, cell, at) {
    const { mesh } = this.view;
    if (!mesh) return;
    const { across, up, along } = cell.view;
    strokeSides(context, cell, cutsOf(mesh.triangles, along, at).map(([p, q]) => [p[across], p[up], q[across], q[up]]));
  }

  paintFrame(context, volume, cell, ink) {
    const { view, left, top, width, height } = cell;
    context.strokeStyle = ink.line;
    context.lineWidth = 1;
    context.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
    context.font = `10px ${FONT}`;
    context.fillStyle = ink.muted;
    context.textAlign = "center";
    context.textBaseline = "top";
    let written = -Infinity;
    for (const tick of ticksOf(volume, cell, view.across, width, labelRoom(context))) {
      const x = left + placeIn(cell, "across", tick) * width;
      const half = context.measureText(plain(tick)).width / 2;
      const place = Math.min(left + width + 1 - half, Math.max(left - 1 + half, x)); // clear of the next picture's
      context.fillRect(x - 0.5, top + height + 1, 1, 3);
      if (place - half < written + 3) continue;
      context.fillText(plain(tick), place, top + height + 5);
      written = place + half;
    }
    context.fillText(`${AXIS_NAMES[view.across]} (m)`, left + width / 2, top + height + 18);
    if (view.name !== "side" || cell.lone) this.paintUpright(context, volume, cell);
  }

  paintUpright(context, volume, cell) {
    const { view, left, top, height } = cell;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of ticksOf(volume, cell, view.up, height, () => 20)) {
      const y = top + (1 - placeIn(cell, "up", tick)) * height;
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
    const place = state.sections === "maxima" || at === null ? `max over ${name}` : `${name} ${metres(at)} m`;
    const text = this.view.blinks ? `${place}: ${this.view.reference()?.title ?? ""}` : place;
    context.textAlign = "left";
    context.textBaseline = "bottom";
    context.fillStyle = ink.text;
    context.fillText(text, left, top - 3);
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
function ticksOf(volume, cell, axis, room, each) {
  if (volume.shape[axis] === 1) return volume.centers[axis];
  return fittingTicks(...cell.ranges[axis], room, each);
}

/** Lines in black with white in it, which stand out from every colour. */
function strokeOver(context, draw) {
  for (const [color, thick] of [["rgba(0,0,0,0.55)", 3], ["#ffffff", 1]]) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.beginPath();
    draw();
    context.stroke();
  }
  context.lineWidth = 1;
}

/** Lines [x0, y0, x1, y1] in metres over a cell. */
function strokeSides(context, cell, sides) {
  const { left, top, width, height } = cell;
  const place = (x, y) => [left + placeIn(cell, "across", x) * width, top + (1 - placeIn(cell, "up", y)) * height];
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  strokeOver(context, () => {
    for (const [x0, y0, x1, y1] of sides) {
      context.moveTo(...place(x0, y0));
      context.lineTo(...place(x1, y1));
    }
  });
  context.restore();
}

function paintCrosshair(context, cell, cross) {
  const { view, left, top, width, height } = cell;
  const [u, v] = [placeIn(cell, "across", cross[view.across]), placeIn(cell, "up", cross[view.up])];
  if (u < 0 || u > 1 || v < 0 || v > 1) return;
  const [x, y] = [left + u * width, top + (1 - v) * height];
  strokeOver(context, () => {
    for (const [x0, y0, x1, y1] of [[left, y, x - 4, y], [x + 4, y, left + width, y], [x, top, x, y - 4], [x, y + 4, x, top + height]]) {
      if (x1 < x0 || y1 < y0) continue;
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
    }
  });
}

/** The line from the mark to the crosshair, and the box that has them for corners. */
function paintMark(context, cell, mark, cross) {
  const { view, left, top, width, height } = cell;
  const at = (point) => [left + placeIn(cell, "across", point[view.across]) * width, top + (1 - placeIn(cell, "up", point[view.up])) * height];
  const [[x0, y0], [x1, y1]] = [at(mark), at(cross)];
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  strokeOver(context, () => {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.moveTo(x0 + 4, y0);
    context.arc(x0, y0, 4, 0, 2 * Math.PI);
  });
  context.setLineDash([4, 4]);
  strokeOver(context, () => context.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)));
  context.restore();
}

/** The divider of a wipe with its grip, and the names of what is left and right of it where they fit. */
function paintDivider(context, { left, top, width, height }, divider, leftName, rightName) {
  const x = left + divider * width;
  strokeOver(context, () => {
    context.moveTo(x, top);
    context.lineTo(x, top + height);
    context.moveTo(x + 4, top + height / 2);
    context.arc(x, top + height / 2, 4, 0, 2 * Math.PI);
  });
  for (const [name, align, at, room] of [[leftName, "right", x - 6, x - left], [rightName, "left", x + 6, left + width - x]]) {
    writeOver(context, fitting(context, name, room - 10), align, at, top + 16);
  }
}

/** A text, cut to a width; nothing where not even three letters of it fit. */
function fitting(context, text, room) {
  context.font = `600 11px ${FONT}`;
  let shown = text;
  while (shown.length > 3 && context.measureText(shown).width > room) shown = `${shown.replace(/\u2026$/, "").slice(0, -1)}\u2026`;
  return context.measureText(shown).width > room ? "" : shown;
}

/** White letters that stand out from every colour. */
function writeOver(context, text, align, x, y) {
  context.font = `600 11px ${FONT}`;
  context.textAlign = align;
  context.textBaseline = "bottom";
  context.strokeStyle = "rgba(0,0,0,0.65)";
  context.lineWidth = 3;
  context.strokeText(text, x, y);
  context.fillStyle = "#ffffff";
  context.fillText(text, x, y);
  context.lineWidth = 1;
}

function paintScaleBar(context, cell) {
  const { length, text } = scaleBar(cell);
  const [low, high] = cell.ranges[cell.view.across];
  const long = (length / (high - low)) * cell.width;
  const [x, y] = [cell.left + 12, cell.top + cell.height - 11.5]; // a line of whole pixels
  strokeOver(context, () => {
    context.moveTo(x, y);
    context.lineTo(x + long, y);
    for (const end of [x, x + long]) {
      context.moveTo(end, y - 4);
      context.lineTo(end, y + 4);
    }
  });
  writeOver(context, text, "center", x + long / 2, y - 5);
}
