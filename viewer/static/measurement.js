// The measurement: its magnitude over channel and frequency, and the range profile of the channel that was picked.

import { colorAt, curveColor, inks, levelOf, pixelOf, tableOf } from "./colors.js";
import { largestOver, pixelRanges } from "./maxima.js";
import { metres } from "./numbers.js";
import { arrange, element } from "./panels.js";
import { envelope, paintCurve, paintFrame, plotBox } from "./plots.js";
import { readMeasurement } from "./source.js";

const LIGHT = 299792458; // m/s
const PROFILE_POINTS = 601; // at least
const POINTS_A_WIDTH = 8; // of an echo: the highest of them is at most 0.06 dB below the echo

/** Magnitudes, frequency by frequency; -1 of channels that are missing. */
export function magnitudes(values, { pairs, missing }) {
  const absent = new Set(missing);
  return Float32Array.from({ length: values.length / 2 }, (_, n) =>
    absent.has(n % pairs.length) ? -1 : Math.hypot(values[2 * n], values[2 * n + 1]),
  );
}

/** Magnitudes of `n` channels as a picture of a box's pixels, each the largest of the samples under it; missing is clear. */
function mapPicture(strength, n, peak, state, box, ratio) {
  const indices = (count) => Array.from({ length: count + 1 }, (_, at) => at);
  const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * ratio)));
  const across = pixelRanges(indices(n), width);
  const up = pixelRanges(indices(strength.length / n), height).reverse();
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const table = tableOf(state.colors);
  largestOver(strength, n, across, up).forEach((s, at) => {
    if (s >= 0) pixels[at] = pixelOf(colorAt(table, levelOf(s / peak, state)));
  });
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Length after which a range profile repeats, metres. */
function longestPath({ freq, permittivity }) {
  const steps = freq.slice(1).map((f, n) => f - freq[n]).sort((a, b) => a - b);
  return steps.length ? LIGHT / (steps[steps.length >> 1] * Math.sqrt(permittivity)) : 1;
}

/** Enough path lengths that no echo of a sweep, which is the narrower the wider the band, falls between two. */
function profilePoints({ freq, permittivity }) {
  const slowness = Math.sqrt(permittivity) / LIGHT;
  const widths = (freq[freq.length - 1] - freq[0]) * slowness * longestPath({ freq, permittivity });
  return Math.max(PROFILE_POINTS, POINTS_A_WIDTH * Math.ceil(widths) + 1);
}

/** |mean over f of y exp(+j k path)| of one channel at `count` path lengths from 0 up to where they repeat. */
export function rangeProfile(values, { freq, permittivity, pairs }, channel, count = profilePoints({ freq, permittivity })) {
  const slowness = (2 * Math.PI * Math.sqrt(permittivity)) / LIGHT;
  const longest = longestPath({ freq, permittivity });
  const paths = Float64Array.from({ length: count }, (_, n) => (n / (count - 1)) * longest);
  const steps = freq.map((f, n) => slowness * (n ? f - freq[n - 1] : f));
  const even = steps.every((step, n) => n < 2 || Math.abs(step - steps[1]) < 1e-9 * slowness * freq[freq.length - 1]);
  const y = freq.map((_, n) => [values[2 * (n * pairs.length + channel)], values[2 * (n * pairs.length + channel) + 1]]);
  const profile = Float64Array.from(paths, (path) => Math.hypot(...waveSum(y, steps, even, path)) / freq.length);
  return { paths, profile };
}

/** Sum of y exp(+j k path), k the sum of the steps so far: the wave is turned from frequency to frequency, which is fast. */
function waveSum(y, steps, even, path) {
  let [re, im, c, s, turnC, turnS] = [0, 0, 1, 0, 1, 0];
  for (let n = 0; n < y.length; n += 1) {
    if (n < 2 || !even) [turnC, turnS] = [Math.cos(steps[n] * path), Math.sin(steps[n] * path)];
    [c, s] = [c * turnC - s * turnS, c * turnS + s * turnC];
    re += y[n][0] * c - y[n][1] * s;
    im += y[n][0] * s + y[n][1] * c;
  }
  return [re, im];
}

export class MeasurementTab {
  constructor(view, root) {
    Object.assign(this, { view, root });
    this.data = new Map(); // by file: {header, strength, values}
    this.articles = new Map(); // by file; they stay while the data changes, and keep the focus
    this.none = element("p", { className: "empty" }, "No file with a measurement.");
  }

  async load(scene) {
    const files = this.view.facts.files.map((file, f) => [file, f]).filter(([file]) => !file.problem && scene < file.n_scene);
    const loaded = new Map();
    for (const [, f] of files) {
      const { header, values } = readMeasurement(await this.view.source.measurement(f, scene));
      const strength = values && magnitudes(values, header);
      loaded.set(f, { header, values, strength, peak: strength?.reduce((a, b) => Math.max(a, b), 0) || 1 });
    }
    this.data = loaded;
  }

  build() {
    const articles = [...this.data.keys()].map((f) => this.articleOf(f));
    arrange(this.root, articles.length ? articles : [this.none]);
  }

  articleOf(f) {
    if (!this.articles.has(f)) this.articles.set(f, this.article(f));
    const [article, { header }] = [this.articles.get(f), this.data.get(f)];
    article.message.textContent = header.problem ?? "";
    article.classList.toggle("broken", Boolean(header.problem));
    return article;
  }

  article(f) {
    const title = element("h2", {}, this.view.facts.files[f].name);
    const message = element("p", { className: "problem" });
    const map = element("canvas", { className: "plot", tabIndex: 0, role: "img", "aria-label": "Magnitude over channel and frequency" });
    const profile = element("canvas", { className: "plot", role: "img", "aria-label": "Range profile of the picked channel" });
    const caption = element("p", { className: "facts" });
    map.painter = (context, w, h) => this.data.get(f)?.values && this.paintMap(context, w, h, this.data.get(f));
    profile.painter = (context, w, h) => {
      const { header, values } = this.data.get(f) ?? {};
      if (!values) return;
      const channel = Math.min(this.view.store.state.channel, header.pairs.length - 1);
      this.paintProfile(context, w, h, f, header, values, channel);
      const text = this.captionOf(f, header, channel);
      if (caption.textContent !== text) caption.textContent = text;
    };
    map.addEventListener("pointerdown", (event) => this.pick(event, map, this.data.get(f).header));
    map.addEventListener("keydown", (event) => this.step(event, this.data.get(f).header));
    const hint = "Click a column, or use the left and right arrow keys, to pick a channel.";
    const hintLine = element("p", { className: "hint" }, hint);
    const article = element("article", { className: "panel wide measured" }, title, message, map, hintLine, caption, profile);
    return Object.assign(article, { message });
  }

  captionOf(f, header, channel) {
    const [t, r] = header.pairs[channel];
    const background = header.background ? " \u00b7 background not subtracted" : "";
    const missing = header.missing.includes(channel) ? " \u00b7 missing" : "";
    return `channel ${channel}: transmitter ${t}, receiver ${r}${missing}${background}${this.markText(f, header, channel)}`;
  }

  /** The path over the crosshair, which the dashed line of the profile marks. */
  markText(f, header, channel) {
    const path = this.pathOf(f, header, channel);
    if (path === null) return "";
    const period = longestPath(header);
    const folded = path > period ? `, shown where it repeats: the profile is the same every ${metres(period)} m` : "";
    return ` \u00b7 dashed: path over the crosshair, ${metres(path)} m${folded}`;
  }

  pathOf(f, header, channel) {
    const cross = this.view.cross();
    if (!cross) return null;
    const { tx, rx } = this.view.facts.files[f];
    const [t, r] = header.pairs[channel];
    const distance = (p) => Math.hypot(...p.map((v, n) => v - cross[n]));
    return distance(tx[t]) + distance(rx[r]);
  }

  paintMap(context, width, height, { header, strength, peak }) {
    const { state } = this.view.store;
    const [n, m] = [header.pairs.length, header.freq.length];
    const ends = [header.freq[0] / 1e9, header.freq[m - 1] / 1e9];
    const half = m > 1 ? (ends[1] - ends[0]) / (2 * (m - 1)) : 0.5;
    const axes = { xs: [-0.5, n - 0.5], ys: [ends[0] - half, ends[1] + half], xName: "channel", yName: "frequency (GHz)" };
    const box = paintFrame(context, width, height, axes);
    const canvas = mapPicture(strength, n, peak, state, box, context.getTransform().a);
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, box.x, box.y, box.width, box.height);
    const x = box.x + ((Math.min(state.channel, n - 1) + 0.5) / n) * box.width;
    context.strokeStyle = inks().text;
    context.strokeRect(x - Math.max(3, box.width / n / 2), box.y - 2, Math.max(6, box.width / n), box.height + 4);
  }

  paintProfile(context, width, height, f, header, values, channel) {
    const { paths, profile, peak } = this.profileOf(this.data.get(f), header, values, channel);
    const { scale, floor } = this.view.store.state;
    const convert = (v) => (scale === "linear" ? v / peak : Math.max(floor - 1, 20 * Math.log10(v / peak)));
    const axes = { xs: [0, paths[paths.length - 1]], ys: scale === "linear" ? [0, 1.04] : [floor, 1] };
    const yName = scale === "linear" ? "relative magnitude" : "magnitude (dB)";
    const box = paintFrame(context, width, height, { ...axes, xName: "path, transmitter to target to receiver (m)", yName });
    this.paintMark(context, box, axes, f, header, channel);
    const points = Array.from(profile, (v, n) => [paths[n], convert(v)]);
    paintCurve(context, box, envelope(points, axes.xs, Math.round(box.width)), axes, curveColor(0));
  }

  /** The profile of a channel with its largest value; the last one is kept, since the crosshair moves above it. */
  profileOf(data, header, values, channel) {
    if (data.profile?.channel !== channel) {
      const { paths, profile } = rangeProfile(values, header, channel);
      data.profile = { channel, paths, profile, peak: profile.reduce((a, b) => Math.max(a, b), 0) || 1 };
    }
    return data.profile;
  }

  /** The path over the crosshair; the profile repeats, so that a longer path is marked where it appears. */
  paintMark(context, box, { xs }, f, header, channel) {
    const path = this.pathOf(f, header, channel);
    if (path === null) return;
    const x = box.x + ((path % xs[1]) / xs[1]) * box.width;
    context.strokeStyle = inks().accent;
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(x, box.y);
    context.lineTo(x, box.y + box.height);
    context.stroke();
    context.setLineDash([]);
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
