// The measurement: its magnitude over channel and frequency, and the range profile of the channel that was picked.

import { colorAt, curveColor, FONT, inks, levelOf, pixelOf, tableOf } from "./colors.js";
import { metres } from "./numbers.js";
import { element } from "./panels.js";
import { paintCurve, paintFrame, plotBox } from "./plots.js";
import { readMeasurement } from "./source.js";

const LIGHT = 299792458; // m/s
const PROFILE_POINTS = 600;

/** Magnitudes, frequency by frequency. */
export function magnitudes(values) {
  return Float32Array.from({ length: values.length / 2 }, (_, n) => Math.hypot(values[2 * n], values[2 * n + 1]));
}

/** |mean over f of y exp(+j k path)| of one channel at `count` path lengths from 0 up to where they repeat. */
export function rangeProfile(values, { freq, permittivity, pairs }, channel, count = PROFILE_POINTS) {
  const slowness = (2 * Math.PI * Math.sqrt(permittivity)) / LIGHT;
  const steps = freq.slice(1).map((f, n) => f - freq[n]).sort((a, b) => a - b);
  const longest = steps.length ? LIGHT / (steps[steps.length >> 1] * Math.sqrt(permittivity)) : 1;
  const paths = Float64Array.from({ length: count }, (_, n) => (n / (count - 1)) * longest);
  const profile = Float64Array.from(paths, (path) => {
    let [re, im] = [0, 0];
    freq.forEach((f, n) => {
      const [a, b] = [values[2 * (n * pairs.length + channel)], values[2 * (n * pairs.length + channel) + 1]];
      const [c, s] = [Math.cos(slowness * f * path), Math.sin(slowness * f * path)];
      re += a * c - b * s;
      im += a * s + b * c;
    });
    return Math.hypot(re, im) / freq.length;
  });
  return { paths, profile };
}

export class MeasurementTab {
  constructor(view, root) {
    Object.assign(this, { view, root });
    this.data = new Map(); // by file: {scene, header, values}
  }

  async load(scene) {
    this.data.clear();
    const files = this.view.facts.files.map((file, f) => [file, f]).filter(([file]) => !file.problem && scene < file.n_scene);
    for (const [, f] of files) this.data.set(f, readMeasurement(await this.view.source.measurement(f, scene)));
  }

  build() {
    this.canvases = [];
    this.root.replaceChildren(...[...this.data].map(([f, data]) => this.section(f, data)));
    if (!this.data.size) this.root.append(element("p", { className: "empty" }, "No file with a measurement."));
  }

  section(f, { header, values }) {
    const title = element("h2", {}, this.view.facts.files[f].name);
    if (header.problem) return element("article", { className: "panel wide" }, title, element("p", { className: "problem" }, header.problem));
    const map = element("canvas", { className: "plot", tabIndex: 0, role: "img", "aria-label": "Magnitude over channel and frequency" });
    const profile = element("canvas", { className: "plot", role: "img", "aria-label": "Range profile of the picked channel" });
    const caption = element("p", { className: "facts" });
    const strength = magnitudes(values);
    const peak = strength.reduce((a, b) => Math.max(a, b), 0) || 1;
    map.painter = (context, w, h) => this.paintMap(context, w, h, header, strength, peak);
    profile.painter = (context, w, h) => {
      const channel = Math.min(this.view.store.state.channel, header.pairs.length - 1);
      caption.textContent = this.captionOf(f, header, channel);
      this.paintProfile(context, w, h, f, header, values, channel);
    };
    map.addEventListener("pointerdown", (event) => this.pick(event, map, header));
    map.addEventListener("keydown", (event) => this.step(event, header));
    this.canvases.push(map, profile);
    const hint = "Click a column, or use the left and right arrow keys, to pick a channel.";
    return element("article", { className: "panel wide" }, title, map, element("p", { className: "hint" }, hint), caption, profile);
  }

  captionOf(f, header, channel) {
    const [t, r] = header.pairs[channel];
    const background = header.background ? " \u00b7 background not subtracted" : "";
    const missing = header.missing.includes(channel) ? " \u00b7 missing" : "";
    return `channel ${channel}: transmitter ${t}, receiver ${r}${missing}${background}`;
  }

  paintMap(context, width, height, header, strength, peak) {
    const { state } = this.view.store;
    const [n, m] = [header.pairs.length, header.freq.length];
    const ends = [header.freq[0] / 1e9, header.freq[m - 1] / 1e9];
    const half = m > 1 ? (ends[1] - ends[0]) / (2 * (m - 1)) : 0.5;
    const axes = { xs: [-0.5, n - 0.5], ys: [ends[0] - half, ends[1] + half], xName: "channel", yName: "frequency (GHz)" };
    const box = paintFrame(context, width, height, axes);
    const canvas = new OffscreenCanvas(n, m);
    const image = new ImageData(n, m);
    const pixels = new Uint32Array(image.data.buffer);
    const table = tableOf(state.colors);
    const missing = new Set(header.missing);
    strength.forEach((s, at) => {
      const row = m - 1 - Math.floor(at / n);
      if (!missing.has(at % n)) pixels[row * n + (at % n)] = pixelOf(colorAt(table, levelOf(s / peak, state)));
    });
    canvas.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, box.x, box.y, box.width, box.height);
    const x = box.x + ((Math.min(state.channel, n - 1) + 0.5) / n) * box.width;
    context.strokeStyle = inks().text;
    context.strokeRect(x - Math.max(3, box.width / n / 2), box.y - 2, Math.max(6, box.width / n), box.height + 4);
  }

  paintProfile(context, width, height, f, header, values, channel) {
    const { paths, profile } = rangeProfile(values, header, channel);
    const peak = profile.reduce((a, b) => Math.max(a, b), 0) || 1;
    const { scale, floor } = this.view.store.state;
    const convert = (v) => (scale === "linear" ? v / peak : Math.max(floor - 1, 20 * Math.log10(v / peak)));
    const axes = { xs: [0, paths[paths.length - 1]], ys: scale === "linear" ? [0, 1.04] : [floor, 1] };
    const yName = scale === "linear" ? "relative magnitude" : "magnitude (dB)";
    const box = paintFrame(context, width, height, { ...axes, xName: "path, transmitter to target to receiver (m)", yName });
    this.paintMark(context, box, axes, f, header, channel);
    const points = Array.from(profile, (v, n) => [paths[n], convert(v)]);
    paintCurve(context, box, points, axes, curveColor(0));
  }

  /** The path over the crosshair; the profile repeats, so that a longer path is marked where it appears. */
  paintMark(context, box, { xs }, f, header, channel) {
    const cross = this.view.cross();
    if (!cross) return;
    const { tx, rx } = this.view.facts.files[f];
    const [t, r] = header.pairs[channel];
    const distance = (p) => Math.hypot(...p.map((v, n) => v - cross[n]));
    const path = distance(tx[t]) + distance(rx[r]);
    const ink = inks();
    const x = box.x + ((path % xs[1]) / xs[1]) * box.width;
    const text = path > xs[1] ? `crosshair ${metres(path)} m; the profile repeats every ${metres(xs[1])} m` : `crosshair ${metres(path)} m`;
    context.strokeStyle = ink.accent;
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(x, box.y);
    context.lineTo(x, box.y + box.height);
    context.stroke();
    context.setLineDash([]);
    context.font = `11px ${FONT}`;
    context.fillStyle = ink.accent;
    context.textBaseline = "top";
    context.textAlign = x > box.x + box.width / 2 ? "right" : "left";
    context.fillText(text, x + (context.textAlign === "left" ? 5 : -5), box.y + 5);
  }

  pick(event, map, header) {
    const box = plotBox(map.clientWidth, map.clientHeight);
    const n = Math.floor(((event.offsetX - box.x) / box.width) * header.pairs.length);
    if (n >= 0 && n < header.pairs.length) this.view.store.set({ channel: n });
  }

  step(event, header) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const last = header.pairs.length - 1;
    const channel = Math.min(this.view.store.state.channel, last) + by;
    this.view.store.set({ channel: Math.min(last, Math.max(0, channel)) });
  }
}
