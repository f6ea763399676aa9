// The measurement: maps over channels, the range profile of the channel that was picked, antennas and scene in space.

import { channelUnder, KINDS, mapOf, paintChannelMap } from "./channel_maps.js";
import { curveColor, inks } from "./colors.js";
import { metres } from "./numbers.js";
import { arrange, element } from "./panels.js";
import { envelope, paintCurve, paintFrame, plotBox } from "./plots.js";
import { SetupView } from "./setup_view.js";
import { readMeasurement } from "./source.js";
import { longestPath, magnitudes, rangeProfile } from "./sweeps.js";

const PICK = "Click a column, or use the left and right arrow keys, to pick a channel.";
const HINTS = {
  magnitude: PICK,
  phase: `${PICK} Colours go around from \u2212180\u00b0 to 180\u00b0; white is \u00b1180\u00b0.`,
  profiles: `${PICK} The white line is the path over the crosshair: where a target there has its echo.`,
  matrix: "Click a square, or use the left and right arrow keys, to pick a channel.",
};

export class MeasurementTab {
  constructor(view, root) {
    Object.assign(this, { view, root });
    this.data = new Map(); // by file: {header, strength, values}
    this.articles = new Map(); // by file; they stay while the data changes, and keep the focus
    this.buttons = []; // [kind, button] of all articles
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
    for (const [kind, button] of this.buttons) button.setAttribute("aria-pressed", kind === this.view.store.state.measured);
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
    const map = element("canvas", { className: "plot", tabIndex: 0, role: "img", "aria-label": "Map of the channels" });
    const profile = element("canvas", { className: "plot", role: "img", "aria-label": "Range profile of the picked channel", title: "Range profile of the picked channel" });
    const caption = element("p", { className: "facts" });
    const setup = new SetupView(this.view, f, () => this.channelOf(f));
    map.title = "Click picks a channel; so do the left and right arrow keys";
    map.painter = (context, w, h) => this.data.get(f)?.values && this.paintMap(context, w, h, f);
    profile.painter = (context, w, h) => {
      const { header, values } = this.data.get(f) ?? {};
      if (!values) return;
      const channel = this.channelOf(f);
      this.paintProfile(context, w, h, f, header, values, channel);
      const text = this.captionOf(f, header, channel);
      if (caption.textContent !== text) caption.textContent = text;
    };
    map.addEventListener("pointerdown", (event) => this.pick(event, map, f));
    map.addEventListener("keydown", (event) => this.step(event, this.data.get(f).header));
    const hint = element("p", { className: "hint" });
    const article = element("article", { className: "panel wide measured" }, title, message, this.kinds(), map, hint, caption, profile, setup.element);
    return Object.assign(article, { message, hint });
  }

  /** Buttons of what the map shows. */
  kinds() {
    const made = KINDS.map(([kind, text, title]) => {
      const button = element("button", { type: "button", className: `kind-${kind}`, title, onclick: () => this.view.store.set({ measured: kind }) }, text);
      this.buttons.push([kind, button]);
      return button;
    });
    return element("div", { className: "buttons kinds", role: "group", "aria-label": "Map of the channels" }, ...made);
  }

  channelOf(f) {
    const { header } = this.data.get(f) ?? {};
    return header?.pairs ? Math.min(this.view.store.state.channel, header.pairs.length - 1) : 0;
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

  paintMap(context, width, height, f) {
    const { state } = this.view.store;
    const data = this.data.get(f);
    const map = mapOf(state.measured, data, this.view.facts.files[f]);
    const { hint } = this.articles.get(f);
    hint.textContent = map ? HINTS[state.measured] : "Range profiles of all channels need evenly spaced frequencies and up to 8 million samples.";
    if (!map) return;
    const channel = this.channelOf(f);
    const echo = state.measured === "profiles" && this.view.cross();
    const paths = echo ? data.header.pairs.map((_, n) => this.pathOf(f, data.header, n)) : null;
    paintChannelMap(context, width, height, map, state, data.header.pairs[channel], channel, paths);
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

  pick(event, canvas, f) {
    const data = this.data.get(f);
    const map = data?.values && mapOf(this.view.store.state.measured, data, this.view.facts.files[f]);
    if (!map) return;
    const channel = channelUnder(map, data.header, plotBox(canvas.clientWidth, canvas.clientHeight), event.offsetX, event.offsetY);
    if (channel >= 0) this.view.store.set({ channel });
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
