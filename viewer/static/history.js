// What the solvers recorded: one plot a quantity, one curve a method, over iterations.

import { curveColor } from "./colors.js";
import { element } from "./panels.js";
import { paintCurve, paintFrame, rangeOf } from "./plots.js";

const NAMES = { residual: "residual", relative_change: "relative change", psnr: "PSNR (dB)", psnr_db: "PSNR (dB)", seconds: "seconds", sigma: "sigma", prior: "prior" };
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

const DASHES = [[], [9, 4], [3, 3], [10, 3, 2, 3], [5, 5]]; // pixels drawn and left out

export class History {
  constructor(view, root) {
    Object.assign(this, { view, root });
  }

  /** Make a plot a quantity; painters are drawn by the page. */
  build() {
    const panels = this.view.shownPanels();
    const plots = quantities(panels);
    const text = "None of the images chosen at the left has a history: direct methods record none.";
    this.root.replaceChildren(...(plots.length ? [this.legend(plots)] : [element("p", { className: "empty" }, text)]));
    const off = this.view.panels.length - panels.length;
    if (off) this.root.append(element("p", { className: "hint" }, `Of ${off} image${off > 1 ? "s" : ""} not chosen at the left no curve is drawn.`));
    const grid = element("div", { className: "plots" });
    this.canvases = plots.map(([name, having]) => {
      const canvas = element("canvas", { className: "plot", role: "img", "aria-label": `${NAMES[name] ?? name} over iterations` });
      canvas.painter = (context, width, height) => this.paint(context, width, height, name, having);
      grid.append(canvas);
      return canvas;
    });
    this.root.append(grid);
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

  paint(context, width, height, name, having) {
    const columns = having.map((panel) => panel.header.history[name]);
    const all = columns.flat().filter((v) => v !== null);
    const power = !name.startsWith("psnr") && all.every((v) => v > 0) && Math.max(...all) > 20 * Math.min(...all);
    const convert = (v) => (v === null ? NaN : power ? Math.log10(v) : v);
    const xs = [1, Math.max(2, ...columns.map((c) => c.length))];
    const ys = rangeOf(all.map(convert));
    const box = paintFrame(context, width, height, { xs, ys, xName: "iteration", yName: NAMES[name] ?? name, power });
    having.forEach((panel, n) => {
      context.setLineDash(this.dashOf(panel));
      paintCurve(context, box, columns[n].map((v, i) => [i + 1, convert(v)]), { xs, ys }, this.colorOf(panel));
      context.setLineDash([]);
    });
  }
}
