// The numbers of the images: profiles through the crosshair, the strongest peaks, a box between mark and crosshair.

import { curveColor } from "./colors.js";
import { lengthsText } from "./heading.js";
import { decibels, metres, plain } from "./numbers.js";
import { element, replaceWithFocus } from "./panels.js";
import { boxStatistics, strongestPeaks } from "./peaks.js";
import { axisProfile, lineProfile, measureLobe } from "./profiles.js";
import { paintCurve, paintFrame } from "./plots.js";
import { download } from "./saving.js";
import { AXIS_NAMES, levelText } from "./volume.js";

const DASHED = [[], [9, 4], [3, 3], [10, 3, 2, 3], [5, 5]]; // pixels drawn and left out
const NONE = "\u2013";
const LINE = "mark to crosshair";

const widthText = (width) => (width === null ? NONE : lengthsText([width]));
const ratioText = (value) => (value === null ? NONE : decibels(value));

/** A table of texts under a heading; the first column of each row names it. */
function table(title, names, rows) {
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map(([first, ...rest]) => element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((cell) => element("td", {}, cell))));
  const made = element("table", {}, element("caption", {}, title), element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { className: "scrolls", tabIndex: 0, role: "region", "aria-label": title }, made);
}

export class Analysis {
  constructor(view, root) {
    Object.assign(this, { view, root, found: new WeakMap() });
    this.canvases = new Map(); // by the name of what the profile runs along
  }

  panels() {
    return this.view.chosenPanels().filter((panel) => panel.volume?.peak);
  }

  /** Make the tab anew for the images, crosshair, mark and levels as they are. */
  build() {
    const panels = this.panels();
    const cross = this.view.cross();
    if (!panels.length || !cross) {
      this.root.replaceChildren(element("p", { className: "empty" }, "No image is chosen at the left that is not all zero."));
      return;
    }
    const lobes = this.directions(panels).map((name) => [name, panels.map((panel) => measureLobe(this.profile(panel, name)))]);
    replaceWithFocus(this.root, this.plots(panels), this.lobeTable(panels, lobes), this.boxTable(panels), this.peakTables(panels));
    for (const canvas of this.root.querySelectorAll("canvas")) this.view.paintCanvas(canvas);
  }

  /** Along what profiles run: the axes of more than one voxel, and the line from the mark where there is one. */
  directions(panels) {
    const axes = AXIS_NAMES.filter((_, axis) => panels.some(({ volume }) => volume.shape[axis] > 1));
    return this.view.store.state.mark ? [...axes, LINE] : axes;
  }

  profile({ volume }, name) {
    const cross = this.view.cross();
    return name === LINE ? lineProfile(volume, this.view.store.state.mark, cross) : axisProfile(volume, AXIS_NAMES.indexOf(name), cross);
  }

  plots(panels) {
    const legend = element("p", { className: "legend" }, ...panels.map((panel, n) => element("span", { className: "entry" }, this.mark(n), panel.title)));
    const plots = this.directions(panels).map((name) => {
      const label = name === LINE ? `Profile from ${LINE}` : `Profile along ${name} through the crosshair`;
      const canvas = element("canvas", { className: "plot", role: "img", "aria-label": label, title: label });
      canvas.painter = (context, width, height) => this.paint(context, width, height, panels, name);
      return element("div", {}, element("h3", {}, label), canvas);
    });
    return element("section", { className: "panel" }, legend, element("div", { className: "plots" }, ...plots));
  }

  mark(n) {
    const made = element("canvas", { className: "mark" });
    made.painter = (context, width, height) => {
      context.setLineDash(DASHED[n % DASHED.length]);
      paintCurve(context, { x: 0, y: 0, width, height }, [[0, 0.5], [1, 0.5]], { xs: [0, 1], ys: [0, 1] }, curveColor(n));
      context.setLineDash([]);
    };
    return made;
  }

  paint(context, width, height, panels, name) {
    const { scale, floor } = this.view.store.state;
    const linear = scale === "linear";
    const profiles = panels.map((panel) => this.profile(panel, name));
    const ends = profiles.flatMap(({ places }) => [places[0], places[places.length - 1]]);
    const axes = { xs: [Math.min(...ends), Math.max(...ends) || 1], ys: linear ? [0, 1.04] : [floor, 2] };
    const xName = name === LINE ? "from the mark (m)" : `${name} (m)`;
    const box = paintFrame(context, width, height, { ...axes, xName, yName: linear ? "relative magnitude" : "magnitude (dB)" });
    const convert = (v, gain) => (linear ? v * gain : v > 0 ? Math.max(floor - 1, 20 * Math.log10(v * gain)) : Number.isNaN(v) ? NaN : floor - 1);
    profiles.forEach(({ places, values }, n) => {
      const gain = this.view.gainOf(panels[n]);
      context.setLineDash(DASHED[n % DASHED.length]);
      paintCurve(context, box, values.map((v, i) => [places[i], convert(v, gain)]), axes, curveColor(n));
    });
    context.setLineDash([2, 3]);
    const at = name === LINE ? axes.xs[1] : this.view.cross()[AXIS_NAMES.indexOf(name)];
    paintCurve(context, box, [[at, axes.ys[0]], [at, axes.ys[1]]], axes, getComputedStyle(document.documentElement).getPropertyValue("--muted"));
    context.setLineDash([]);
  }

  lobeTable(panels, lobes) {
    const names = ["image", ...lobes.flatMap(([name]) => [`\u22123 dB width, ${name}`, `PSLR, ${name}`, `ISLR, ${name}`])];
    const rows = panels.map((panel, n) => [
      panel.title,
      ...lobes.flatMap(([, all]) => [widthText(all[n].width), ratioText(all[n].pslr), ratioText(all[n].islr)]),
    ]);
    return element("section", { className: "panel" }, table("Of the peak next to the crosshair", names, rows),
      element("p", { className: "hint" }, "PSLR: the highest beyond the peak's first minima; ISLR: energy beyond them by that between them."));
  }

  boxTable(panels) {
    const region = this.view.region();
    const section = element("section", { className: "panel" });
    if (!region) {
      section.append(element("p", { className: "hint" }, "Put a mark (m) and move the crosshair: the box between them has its statistics here, the line its profile above."));
      return section;
    }
    const names = ["image", "voxels", "peak", "at x, y, z (m)", "mean", "share of the energy", "mean power to that outside"];
    const rows = panels.map((panel) => {
      const s = boxStatistics(panel.volume, region);
      const gain = this.view.gainOf(panel);
      return [panel.title, String(s.count), levelText(s.peak, gain), s.point ? s.point.map(metres).join(", ") : NONE, levelText(s.mean, gain),
        `${plain(100 * s.share, 2)} %`, s.contrast === null ? NONE : decibels(10 * Math.log10(s.contrast))];
    });
    section.append(table("Box between mark and crosshair", names, rows));
    return section;
  }

  /** Peaks of an image above the floor; found once for each floor. */
  peaksOf({ volume }) {
    const { floor } = this.view.store.state;
    const known = this.found.get(volume);
    if (known?.floor === floor) return known.peaks;
    const peaks = strongestPeaks(volume, 10 ** (floor / 20), 10);
    this.found.set(volume, { floor, peaks });
    return peaks;
  }

  peakTables(panels) {
    const names = ["", "x, y, z (m)", "level", "\u22123 dB: x", "y", "z"];
    const tables = panels.map((panel) => {
      const rows = this.peaksOf(panel).map(({ point, value, widths }, n) => [
        this.goTo(point, n + 1), point.map(metres).join(", "), levelText(value, this.view.gainOf(panel)), ...widths.map(widthText)]);
      return table(`Strongest peaks of ${panel.title}`, names, rows);
    });
    const save = element("button", { type: "button", id: "save-peaks", title: "Save the strongest peaks of all chosen images as a table", onclick: () => this.savePeaks() }, "Save CSV");
    return element("section", { className: "panel" }, element("div", { className: "row" }, element("h2", {}, "Strongest peaks"), save), element("div", { className: "plots" }, ...tables));
  }

  goTo(point, n) {
    return element("button", { type: "button", title: "Put the crosshair there", "aria-label": `Crosshair to peak ${n}`, onclick: () => this.view.store.set({ cross: point }) }, String(n));
  }

  savePeaks() {
    download(new Blob([this.peaksAsText()], { type: "text/csv" }), "peaks.csv");
  }

  /** The peaks of all chosen images as comma-separated values; levels relative to the same reference as on the page. */
  peaksAsText() {
    const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
    const head = "image,scene,rank,x_m,y_m,z_m,level_db,magnitude,width_x_m,width_y_m,width_z_m";
    const lines = this.panels().flatMap((panel) =>
      this.peaksOf(panel).map(({ point, value, widths }, n) =>
        [quoted(panel.title), this.view.scene(), n + 1, ...point, (20 * Math.log10(value * this.view.gainOf(panel))).toFixed(3),
          (value * panel.volume.peak).toPrecision(5), ...widths.map((w) => w?.toPrecision(5) ?? "")].join(",")));
    return [head, ...lines, ""].join("\n");
  }
}
