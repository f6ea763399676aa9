// What the solvers recorded: one plot a quantity, one curve a method, over iterations.

import { curveColor, inks } from "./colors.js";
import { plain } from "./numbers.js";
import { element, replaceWithFocus } from "./panels.js";
import { paintCurve, paintFrame, plotBox, rangeOf } from "./plots.js";

const NAMES = {
  residual: "residual by its bound",
  relative_change: "relative change",
  psnr: "PSNR (dB)",
  psnr_db: "PSNR (dB)",
  seconds: "time (s)",
  sigma: "denoiser's level by the start's maximum",
  prior: "penalty (of the scaled image)",
};
const RMS = "rms residual (measurement's unit)";
const FIRST = ["residual", "relative_change", "psnr", "psnr_db"];

/** Quantities in the order of their plots, each with the panels that have it. */
export function quantities(panels) {
  const found = new Map();
  for (const panel of panels) {
    for (const name of Object.keys(panel.header?.history ?? {})) found.set(name, [...(found.get(name) ?? []), panel]);
  }
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return [...found].sort((a, b) => rank(a[0]) - rank(b[0]));
}

/** Number of the last iteration that any of the panels recorded. */
function lastOf(having, name) {
  return Math.max(1, ...having.map((panel) => panel.header.history[name].length));
}

const DASHES = [[], [9, 4], [3, 3], [10, 3, 2, 3], [5, 5]]; // pixels drawn and left out

const short = (value) => plain(Number(value.toPrecision(4)));

export class History {
  constructor(view, root) {
    Object.assign(this, { view, root });
  }

  /** Root of the mean power of a panel's measurement, of the channels that there are; null where it is not known. */
  rmsOf({ file }) {
    const { header, values } = this.view.measurement.data.get(file) ?? {};
    if (!values || header.background) return null; // which was subtracted before the image was made
    const absent = new Set(header.missing);
    const channels = header.pairs.length;
    let power = 0;
    for (let n = 0; n < values.length; n += 2) if (!absent.has((n / 2) % channels)) power += values[n] ** 2 + values[n + 1] ** 2;
    return Math.sqrt(power / (header.freq.length * (channels - absent.size))) || null;
  }

  /** Of panels that recorded a residual: rms of measurement, bound and noise, in the measurement's unit; null where not all are known. */
  levelsOf(having) {
    const levels = having.map((panel) => {
      const rms = panel.header.norms?.bound ? this.rmsOf(panel) : null;
      return rms && { data: rms, bound: rms * panel.header.norms.bound, noise: rms * panel.header.norms.noise };
    });
    return levels.every(Boolean) ? levels : null;
  }

  /** Once the measurement is there: give residuals in its unit, where that can be told. */
  takeMeasurement() {
    if (this.view.store.state.tab === "history" && this.readouts?.some(({ name, having }) => name === "residual" && this.levelsOf(having))) this.build();
  }

  /** Under the residual: where methods stop, the noise and the measurement. */
  levelsText(having, levels) {
    if (!levels) return "Dashed, at 1: the bound at which methods that stop at the noise stop.";
    if (levels.every((l) => Math.abs(l.bound / levels[0].bound - 1) < 1e-3 && l.data === levels[0].data)) {
      const [{ bound, noise, data }] = levels;
      return `Root of the mean power over channels and frequencies, in the measurement's unit: bound ${short(bound)} (dashed), noise ${short(noise)}, measurement ${short(data)}.`;
    }
    const told = having.map(({ title }, n) => `${title}: bound ${short(levels[n].bound)}, noise ${short(levels[n].noise)}, measurement ${short(levels[n].data)}`);
    return `Root of the mean power over channels and frequencies, in the measurement's unit. Dashed: the bound at which a method stops. ${told.join("; ")}.`;
  }

  /** Make a plot a quantity; painters are drawn by the page. */
  build() {
    const panels = this.view.shownPanels();
    const plots = quantities(panels);
    const text = "None of the images chosen at the left has a history: direct methods record none.";
    const parts = plots.length ? [this.legend(plots)] : [element("p", { className: "empty" }, text)];
    const off = this.view.panels.length - panels.length;
    if (off) parts.push(element("p", { className: "hint" }, `Of ${off} image${off > 1 ? "s" : ""} not chosen at the left no curve is drawn.`));
    const grid = element("div", { className: "plots" });
    this.readouts = [];
    for (const [name, having] of plots) {
      const levels = name === "residual" ? this.levelsOf(having) : null;
      const columns = having.map((panel, n) => panel.header.history[name].map((v) => (v !== null && levels ? v * levels[n].bound : v)));
      const label = levels ? RMS : (NAMES[name] ?? name.replaceAll("_", " "));
      const title = "The pointer, or the left and right arrow keys, read the values of an iteration";
      const canvas = element("canvas", { className: "plot", tabIndex: 0, role: "img", title, "aria-label": `${label} over iterations` });
      const readout = element("p", { className: "hint", role: "status" });
      const bounds = levels ? levels.map(({ bound }) => bound) : name === "residual" ? [1] : [];
      canvas.painter = (context, width, height) => this.paint(context, width, height, { name, having, columns, label, bounds });
      canvas.addEventListener("pointermove", (event) => this.read(this.iterationUnder(canvas, having, name, event.offsetX)));
      canvas.addEventListener("pointerleave", () => this.read(null));
      canvas.addEventListener("keydown", (event) => this.step(event));
      this.readouts.push({ canvas, readout, name, having, columns });
      const note = name === "residual" ? [element("p", { className: "hint levels" }, this.levelsText(having, levels))] : [];
      grid.append(element("div", {}, canvas, readout, ...note));
    }
    replaceWithFocus(this.root, ...parts, grid);
  }

  iterationUnder(canvas, having, name, x) {
    const box = plotBox(canvas.clientWidth, canvas.clientHeight);
    const last = lastOf(having, name);
    return Math.min(last, Math.max(1, Math.round(1 + ((x - box.x) / box.width) * (last - 1))));
  }

  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const last = Math.max(...this.readouts.map(({ having, name }) => lastOf(having, name)));
    this.read(Math.min(last, Math.max(1, (this.iteration ?? 0) + by)));
  }

  /** Write the values of an iteration under every plot, with a line through it; null takes them away. */
  read(iteration) {
    if (iteration === this.iteration) return;
    this.iteration = iteration;
    for (const { canvas, readout, having, columns } of this.readouts) {
      const values = having.map((panel, n) => [panel.title, columns[n][iteration - 1]]).filter(([, v]) => Number.isFinite(v));
      readout.textContent = iteration ? `iteration ${iteration}: ${values.map(([title, v]) => `${title} ${short(v)}`).join(", ")}` : "";
      this.view.paintCanvas(canvas);
    }
  }

  legend(plots) {
    const panels = [...new Set(plots.flatMap(([, having]) => having))];
    const entries = panels.map((panel) => {
      const mark = element("canvas", { className: "mark" });
      mark.painter = (context, width, height) => {
        context.strokeStyle = this.colorOf(panel);
        context.lineWidth = 3;
        context.setLineDash(this.dashOf(panel));
        context.beginPath();
        context.moveTo(0, height / 2);
        context.lineTo(width, height / 2);
        context.stroke();
      };
      return element("span", { className: "entry" }, mark, panel.title);
    });
    return element("p", { className: "legend" }, ...entries);
  }

  numberOf(panel) {
    return this.view.panels.filter((p) => Object.keys(p.header?.history ?? {}).length).indexOf(panel);
  }

  colorOf(panel) {
    return curveColor(this.numberOf(panel));
  }

  /** The first curve is whole, the next are broken in ways of their own: what coincides shows through. */
  dashOf(panel) {
    return DASHES[this.numberOf(panel) % DASHES.length];
  }

  paint(context, width, height, { name, having, columns, label, bounds }) {
    const all = columns.flat().filter((v) => v !== null);
    const power = !name.startsWith("psnr") && all.every((v) => v > 0) && Math.max(...all) > 20 * Math.min(...all);
    const convert = (v) => (v === null ? NaN : power ? Math.log10(v) : v);
    const xs = [1, Math.max(2, ...columns.map((c) => c.length))];
    const near = bounds.filter((b) => b < 3 * Math.max(...all) && b > Math.min(...all) / 3); // the range takes them in
    const ys = rangeOf([...all, ...near].map(convert));
    const box = paintFrame(context, width, height, { xs, ys, xName: "iteration", yName: label, power, whole: "x" });
    const dashed = (points, color) => {
      context.setLineDash([4, 3]);
      paintCurve(context, box, points, { xs, ys }, color);
      context.setLineDash([]);
    };
    const shared = bounds.every((bound) => Math.abs(bound / bounds[0] - 1) < 1e-3);
    bounds.slice(0, shared ? 1 : bounds.length).forEach((bound, n) => dashed([[xs[0], convert(bound)], [xs[1], convert(bound)]], shared ? inks().muted : this.colorOf(having[n])));
    if (this.iteration) dashed([[this.iteration, ys[0]], [this.iteration, ys[1]]], inks().accent);
    having.forEach((panel, n) => {
      context.setLineDash(this.dashOf(panel));
      paintCurve(context, box, columns[n].map((v, i) => [i + 1, convert(v)]), { xs, ys }, this.colorOf(panel));
      context.setLineDash([]);
    });
  }
}
