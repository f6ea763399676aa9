// Antennas and scene of a file in space, with the antennas of the picked channel lit: also of a scan without an image.

import { drawAntennas, drawAxes, drawChannel, drawEdges } from "./box3d.js";
import { cameraOf, turned, union } from "./camera.js";
import { inks } from "./colors.js";
import { element } from "./panels.js";
import { pairOf } from "./sweeps.js";
import { Touches, wheelZoom } from "./touches.js";

export class SetupView {
  /** Of file number `f`; `channel()` is the number of the picked channel. */
  constructor(view, f, channel) {
    Object.assign(this, { view, f, channel });
    const label = "Antennas and scene";
    this.canvas = element("canvas", { className: "setup", tabIndex: 0, role: "img", "aria-label": label, title: "Drag or the arrow keys turn, Ctrl and wheel, or + and \u2212, zoom" });
    this.canvas.dataset.ground = "dark";
    this.words = element("p", { className: "hint" });
    this.element = element("div", {}, element("h3", {}, label), this.canvas, this.words);
    this.canvas.painter = (context, width, height) => this.paint(context, width, height);
    const { store } = view;
    this.zoom = (factor) => store.set({ zoom: Math.min(40, Math.max(0.2, store.state.zoom * factor)) });
    new Touches(this.canvas, {
      drag: (event, dx, dy) => store.set(turned(store.state, dx, dy)),
      pinch: (event, factor) => this.zoom(factor),
    });
    this.canvas.addEventListener("wheel", (event) => wheelZoom(event, this.zoom), { passive: false });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const factor = { "+": 1.2, "=": 1.2, "-": 1 / 1.2 }[event.key];
    if (factor) this.zoom(factor);
    else if (event.key === "Home") this.view.resetCamera();
    const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    this.view.store.set(turned(this.view.store.state, ...step));
  }

  /** The scene's box: of the grid's voxels, or as it was guessed; undefined until that is known. */
  scene() {
    const { edges, setup } = this.view.facts.files[this.f];
    if (!edges) return setup?.scene;
    const ends = ["x", "y", "z"].map((name) => [edges[name][0], edges[name].at(-1)]);
    return { low: ends.map((e) => e[0]), high: ends.map((e) => e[1]) };
  }

  paint(context, width, height) {
    const file = this.view.facts.files[this.f];
    if (!file.tx?.length) return;
    const colors = inks(this.canvas);
    context.fillStyle = colors.ground;
    context.fillRect(0, 0, width, height);
    const scene = this.scene();
    const antennas = [...file.tx, ...file.rx];
    const around = {
      low: [0, 1, 2].map((axis) => Math.min(...antennas.map((p) => p[axis]))),
      high: [0, 1, 2].map((axis) => Math.max(...antennas.map((p) => p[axis]))),
    };
    const camera = cameraOf({ ...this.view.store.state, panX: 0, panY: 0 }, union([around, ...(scene ? [scene] : [])]), width, height);
    if (scene) drawEdges(context, camera, scene, [0, 1, 2], colors.line);
    drawAntennas(context, camera, file, colors);
    const [t, r] = pairOf(file, this.channel());
    const cross = this.view.cross() ?? scene?.low.map((l, axis) => (l + scene.high[axis]) / 2);
    drawChannel(context, camera, [file.tx[t], file.rx[r]], cross, colors);
    drawAxes(context, camera, scene ?? around, colors, antennas);
    const whence = file.edges ? "the file's grid" : file.setup?.whence;
    const words = `Box: ${whence ?? "not known yet"}. Lit: the picked channel, by way of ${this.view.cross() ? "the crosshair" : "the box's middle"}.`;
    if (this.words.textContent !== words) this.words.textContent = words;
  }
}
