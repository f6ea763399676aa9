// What mouse, fingers and keys do on the flat pictures: move the crosshair, zoom and pan all sections, make a panel large.

import { pointUnder, shownRanges } from "./section_layout.js";
import { Touches, wheelZoom } from "./touches.js";
import { VIEWS } from "./volume.js";

const MOVES = { ArrowLeft: ["across", -1], ArrowRight: ["across", 1], ArrowUp: ["up", 1], ArrowDown: ["up", -1], PageUp: ["along", 1], PageDown: ["along", -1] };
const GRIP = 8; // pixels beside the divider of a wipe in which a drag takes it
const NEARER = { "+": 1.25, "=": 1.25, "-": 0.8 };

export class SectionPointer {
  constructor(view) {
    this.view = view;
  }

  /** Click and drag move the crosshair, right-drag moves the picture; arrow keys act in the picture used last. */
  attach(panel) {
    const { sections: canvas } = panel;
    new Touches(canvas, {
      start: (event) => this.begin(panel, event),
      click: (event) => panel.wiping || this.move(panel, event),
      drag: (event, dx, dy) => this.drag(panel, event, dx, dy),
      pinch: (event, factor, dx, dy) => (this.zoom(panel, event, factor), this.pan(panel, dx, dy)),
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => wheelZoom(event, (factor) => this.zoom(panel, event, factor)), { passive: false });
    canvas.addEventListener("dblclick", () => this.view.toggleAlone(panel));
    canvas.addEventListener("keydown", (event) => this.key(panel, event));
  }

  begin(panel, event) {
    panel.cell = this.cellAt(panel, event);
    panel.wiping = event.button === 0 && this.isOnDivider(panel, event);
    if (panel.wiping) return;
    if (event.button === 0 && event.pointerType !== "touch") this.move(panel, event); // a finger may be the first of two
  }

  /** Whether the divider of a wipe is under the pointer. */
  isOnDivider(panel, event) {
    const { cell } = panel;
    if (!cell || !this.view.sections.isWiped(panel)) return false;
    return Math.abs(event.offsetX - cell.left - this.view.store.state.divider * cell.width) <= GRIP;
  }

  drag(panel, event, dx, dy) {
    const cell = panel.wiping && this.cellOf(panel);
    if (cell) this.view.store.set({ divider: Math.min(1, Math.max(0, (event.offsetX - cell.left) / cell.width)) });
    else if (event.buttons & 2) this.pan(panel, dx, dy);
    else this.move(panel, event);
  }

  cellAt(panel, event) {
    if (!panel.volume) return null;
    const [x, y] = [event.offsetX, event.offsetY];
    return this.view.sections.cells(panel).find((c) => x >= c.left && x < c.left + c.width && y >= c.top && y < c.top + c.height) ?? null;
  }

  /** The cell that a drag began in, as it stands now. */
  cellOf(panel) {
    return panel.cell && this.view.sections.cells(panel).find((c) => c.view === panel.cell.view);
  }

  move(panel, event) {
    const { volume } = panel;
    const cell = this.cellOf(panel);
    if (!cell) return;
    const point = [...this.view.cross()];
    [point[cell.view.across], point[cell.view.up]] = pointUnder(cell, event.offsetX, event.offsetY);
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

  /** Zoom the sections of all panels about the point under the pointer, or about the crosshair. */
  zoom(panel, event, factor) {
    const { store } = this.view;
    const cell = event && this.cellAt(panel, event);
    const ranges = shownRanges(panel.volume, store.state);
    const fixed = cell ? ranges.map(([low, high]) => (low + high) / 2) : [...this.view.cross()];
    if (cell) [fixed[cell.view.across], fixed[cell.view.up]] = pointUnder(cell, event.offsetX, event.offsetY);
    const zoom = Math.min(200, Math.max(1, store.state.sectionZoom * factor));
    const kept = store.state.sectionZoom / zoom;
    const middle = ranges.map(([low, high], axis) => fixed[axis] + ((low + high) / 2 - fixed[axis]) * kept);
    this.show(panel.volume, zoom, middle);
  }

  pan(panel, dx, dy) {
    const cell = this.cellOf(panel);
    if (!cell) return;
    const middle = cell.ranges.map(([low, high]) => (low + high) / 2);
    const length = (axis) => cell.ranges[axis][1] - cell.ranges[axis][0];
    middle[cell.view.across] -= (dx / cell.width) * length(cell.view.across);
    middle[cell.view.up] += (dy / cell.height) * length(cell.view.up);
    this.show(panel.volume, this.view.store.state.sectionZoom, middle);
  }

  /** Show the surroundings of a point, as far as the image goes; at no zoom all of it. */
  show(volume, sectionZoom, middle) {
    const ranges = shownRanges(volume, { sectionZoom, sectionAt: middle });
    const sectionAt = sectionZoom > 1 ? ranges.map(([low, high]) => (low + high) / 2) : null;
    this.view.store.set({ sectionZoom, sectionAt });
  }

  key(panel, event) {
    if (!panel.volume || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) this.step(panel, move, event.shiftKey ? 10 : 1);
    else if (NEARER[event.key]) this.zoom(panel, null, NEARER[event.key]);
    else if (event.key === "Home") this.show(panel.volume, 1, null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  step(panel, [direction, by], times) {
    const axis = (panel.cell?.view ?? VIEWS[0])[direction];
    const index = panel.volume.nearest(this.view.cross());
    index[axis] = Math.min(panel.volume.shape[axis] - 1, Math.max(0, index[axis] + by * times));
    this.view.store.set({ cross: index.map((i, n) => panel.volume.centers[n][i]) });
    this.keepInSight(panel);
  }

  /** Where the sections show a part of the image, let it follow the crosshair. */
  keepInSight({ volume }) {
    const { state } = this.view.store;
    const ranges = shownRanges(volume, state);
    const cross = this.view.cross();
    const middle = ranges.map(([low, high], axis) => (cross[axis] < low || cross[axis] > high ? cross[axis] : (low + high) / 2));
    if (state.sectionZoom > 1) this.show(volume, state.sectionZoom, middle);
  }
}
