// The 3D pictures of all panels: at once and coarse while something moves, then fine, panel by panel.

import { drawAntennas, drawAxes, drawChannel, drawCross, drawEdges, drawMark } from "./box3d.js";
import { cameraOf, turned, union } from "./camera.js";
import { inks, tableOf } from "./colors.js";
import { drawMesh } from "./mesh.js";
import { strongestAlong } from "./picking.js";
import { pairOf } from "./sweeps.js";
import { LOWEST, shownThreshold } from "./state.js";
import { Touches, wheelZoom } from "./touches.js";

const DRAFT_MS = 70; // a draft of all panels should take no longer
const PANEL_MS = 900; // nor a fine picture of one
const REST_MS = 220;
const ALIKE = 4; // the most by which images under one camera differ in size

export class Scenes3d {
  /** `view` holds store, panels and status; `raycaster` is null where there is no WebGL2. */
  constructor(view, raycaster) {
    Object.assign(this, { view, raycaster });
    this.nanoseconds = 400; // a pixel of a draft, measured as it goes
    this.fineRatio = 2.5; // time of a fine pixel by that of a draft's
    this.generation = 0;
    this.pending = false;
  }

  /** Panels whose picture is on the screen. */
  visible() {
    return this.view.shownPanels().filter((panel) => {
      const rect = panel.stage.getBoundingClientRect();
      return rect.width > 0 && rect.bottom > 0 && rect.top < innerHeight;
    });
  }

  /** Ask for a draft in the next frame and fine pictures when nothing has moved for a while. */
  request() {
    this.generation += 1;
    if (!this.pending) {
      this.pending = true;
      requestAnimationFrame(() => this.draft());
    }
  }

  draft() {
    this.pending = false;
    const panels = this.visible();
    const started = performance.now();
    const pixels = panels.reduce((sum, panel) => sum + pixelsOf(panel.stage), 0) || 1;
    const scale = Math.min(1, Math.max(0.12, Math.sqrt((DRAFT_MS * 1e6) / (this.nanoseconds * pixels))));
    let spent = 0;
    for (const panel of panels) spent += this.paint(panel, { scale, coarse: scale < 1 ? 1.6 : 1 });
    if (panels.length) this.learn(spent, pixels * scale * scale);
    this.view.status.draftMs = performance.now() - started;
    this.view.status.frames += 1;
    clearTimeout(this.timer);
    const { generation } = this;
    this.timer = setTimeout(() => this.refine(generation, this.visible()), REST_MS);
  }

  /** Upload volumes and compile shaders with a picture of a few pixels, so that times taken later are of drawing. */
  warm() {
    for (const panel of this.visible()) {
      if (panel.volume) this.paintVolume(new OffscreenCanvas(4, 4).getContext("2d"), panel, this.view.store.state, 4, 4, 1, 4);
    }
  }

  learn(ms, pixels) {
    if (pixels > 500 && ms > 0.5) this.nanoseconds = 0.5 * this.nanoseconds + 0.5 * ((ms * 1e6) / pixels);
  }

  /** Fine pictures, one panel at a time, so that the page keeps answering. */
  refine(generation, panels) {
    if (generation !== this.generation) return;
    const [panel, ...rest] = panels;
    if (!panel) {
      this.view.status.fine = generation;
      this.view.status.fineFrames += 1;
      return;
    }
    this.paint(panel, { scale: this.fineScale(panel.stage), coarse: 1 });
    setTimeout(() => this.refine(generation, rest), 0);
  }

  fineScale(stage) {
    const ms = (pixelsOf(stage) * this.nanoseconds * this.fineRatio) / 1e6;
    return Math.min(1, Math.max(0.35, Math.sqrt(PANEL_MS / ms)));
  }

  paint(panel, { scale, coarse }) {
    const { stage } = panel;
    const ratio = devicePixelRatio || 1;
    fitCanvas(stage, ratio);
    const context = stage.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, stage.clientWidth, stage.clientHeight);
    panel.coarse.textContent = this.raycaster && scale < 1 ? `coarse: ${Math.round(100 * scale)} % of full resolution` : "";
    const ms = this.paintInto(context, panel, stage.clientWidth, stage.clientHeight, ratio * scale, coarse);
    if (stage.matches(":focus-visible")) paintAim(context, stage.clientWidth / 2, stage.clientHeight / 2, inks(stage).accent);
    return ms;
  }

  /** Paint a panel's 3D picture, `density` volume pixels a pixel of the context; returns the ray caster's time in ms. */
  paintInto(context, panel, width, height, density, coarse) {
    const { volume } = panel;
    if (!volume || !width || !height) return 0;
    const state = this.view.store.state;
    const colors = inks(panel.stage);
    const camera = this.cameraFor(panel, width, height);
    if (state.box) drawEdges(context, camera, volume, [0, 1], colors.line);
    const ms = this.paintVolume(context, panel, state, width, height, density, coarse);
    if (state.box) drawEdges(context, camera, volume, [2], colors.faint);
    const cross = this.view.cross();
    if (cross && volume.contains(cross)) drawCross(context, camera, volume, cross, colors.line);
    if (cross && state.mark) drawMark(context, camera, state.mark, cross, colors);
    if (this.view.mesh) drawMesh(context, camera, this.view.mesh.edges, colors.text);
    const { tx, rx } = panel.facts;
    if (state.antennas && tx.length) this.paintAntennas(context, camera, panel.facts, colors, cross);
    if (state.axes) drawAxes(context, camera, volume, colors, state.antennas ? [...tx, ...rx] : []);
    return ms;
  }

  /** Antennas, with those of the channel lit that was picked on the tab of the measurement. */
  paintAntennas(context, camera, facts, colors, cross) {
    drawAntennas(context, camera, facts, colors);
    const [t, r] = pairOf(facts, this.view.store.state.channel);
    drawChannel(context, camera, [facts.tx[t], facts.rx[r]], cross, colors);
  }

  paintVolume(context, panel, state, width, height, density, coarse) {
    if (!this.raycaster || this.raycaster.refusal(panel.volume) || this.raycaster.gl.isContextLost()) return 0;
    const started = performance.now();
    const [w, h] = [width, height].map((n) => Math.max(2, Math.round(n * density)));
    const look = { ...lookOf(state, this.view.gainOf(panel)), clip: this.view.clipBox() };
    const canvas = this.raycaster.draw(panel.volume, this.cameraFor(panel, w, h), look, coarse);
    context.imageSmoothingEnabled = state.mode !== "maximum"; // a peak of one pixel keeps its colour
    context.imageSmoothingQuality = "low";
    context.drawImage(canvas, 0, 0, w, h, 0, 0, width, height);
    return performance.now() - started;
  }

  cameraFor(panel, width, height) {
    return cameraOf(this.view.store.state, this.bounds(panel), width, height);
  }

  /** The box that a panel's camera looks at: of all volumes shown that are about as large, with antennas when drawn. */
  bounds(panel) {
    const own = diagonal(panel.volume);
    const alike = this.view.shownPanels().filter(({ volume }) => {
      const ratio = volume ? diagonal(volume) / own : 0;
      return ratio <= ALIKE && ratio >= 1 / ALIKE;
    });
    const { antennas } = this.view.store.state;
    const around = antennas ? alike.flatMap((p) => antennaBox(p.facts)) : [];
    return union([panel.volume, ...alike.map((p) => p.volume), ...around]);
  }

  /** A panel's 3D picture with its ground, for pictures that are saved. */
  paintPicture(context, panel, width, height, density) {
    context.fillStyle = inks(panel.stage).ground;
    context.fillRect(0, 0, width, height);
    this.paintInto(context, panel, width, height, density, 1);
  }

  /** Drag or one finger turns, right-drag moves, Ctrl and wheel or two fingers zoom; a click picks, two make it large. */
  attach(panel) {
    const { stage } = panel;
    const { store } = this.view;
    new Touches(stage, {
      click: (event) => this.pick(panel, event.offsetX, event.offsetY),
      drag: (event, dx, dy) =>
        store.set(event.buttons & 1 && !event.shiftKey ? turned(store.state, dx, dy) : panned(store.state, stage, dx, dy)),
      pinch: (event, factor, dx, dy) => store.set({ ...zoomed(store.state, factor), ...panned(store.state, stage, dx, dy) }),
    });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("wheel", (event) => wheelZoom(event, (factor) => store.set(zoomed(store.state, factor))), { passive: false });
    stage.addEventListener("dblclick", () => this.view.toggleAlone(panel));
    stage.addEventListener("keydown", (event) => event.key === "Enter" && this.pick(panel, stage.clientWidth / 2, stage.clientHeight / 2));
    for (const name of ["focus", "blur"]) stage.addEventListener(name, () => this.request()); // the aim comes and goes
  }

  /** Move the crosshair to the strongest voxel behind a pixel of a panel's 3D picture. */
  pick(panel, x, y) {
    if (!panel.volume) return;
    const camera = this.cameraFor(panel, panel.stage.clientWidth, panel.stage.clientHeight);
    const cross = strongestAlong(panel.volume, camera, [x, y], this.view.clipBox());
    if (cross) this.view.store.set({ cross });
  }
}

/** What the Enter key picks: the middle of the picture that has the keyboard. */
function paintAim(context, x, y, color) {
  context.strokeStyle = color;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, 6, 0, 2 * Math.PI);
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 4 * dx, y + 4 * dy);
    context.lineTo(x + 11 * dx, y + 11 * dy);
  }
  context.stroke();
  context.lineWidth = 1;
}

function diagonal({ low, high }) {
  return Math.hypot(...low.map((l, axis) => high[axis] - l)) || 1;
}

export function zoomed(state, factor) {
  return { zoom: Math.min(40, Math.max(0.2, state.zoom * factor)) };
}

function panned(state, stage, dx, dy) {
  const side = Math.min(stage.clientWidth, stage.clientHeight);
  const inside = (v) => Math.min(5, Math.max(-5, v));
  return { panX: inside(state.panX + dx / side), panY: inside(state.panY - dy / side) };
}

function lookOf(state, gain) {
  const linear = state.scale === "linear";
  const threshold = 10 ** (Math.max(shownThreshold(state), LOWEST) / 20);
  const { mode, floor, top, opacity, ramp } = state;
  return { mode, linear, floor, top, opacity, ramp, threshold, gain, table: tableOf(state.colors) };
}

function antennaBox({ tx, rx }) {
  const all = [...tx, ...rx];
  return [{ low: [0, 1, 2].map((a) => Math.min(...all.map((p) => p[a]))), high: [0, 1, 2].map((a) => Math.max(...all.map((p) => p[a]))) }];
}

function pixelsOf(canvas) {
  return canvas.clientWidth * canvas.clientHeight * (devicePixelRatio || 1) ** 2;
}

/** Give a canvas as many pixels as it covers on the screen. */
export function fitCanvas(canvas, ratio) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * ratio)));
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
}
