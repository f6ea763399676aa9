// The page: loads what the address asks for, keeps panels and controls in step with the state.

import { DEFAULTS, formatState, parseState, Store } from "./state.js";
import { ChangedError, openSource, readVolume } from "./source.js";
import { Raycaster } from "./raycast.js";
import { setTables } from "./colors.js";
import { fitCanvas, Scenes3d } from "./scene3d.js";
import { Sections } from "./sections.js";
import { buildPanel, element, panelsOf, valueAt, writeCaption } from "./panels.js";
import { History } from "./history.js";
import { MeasurementTab } from "./measurement.js";
import { Controls } from "./controls.js";
import { paintScale, writeHeading } from "./heading.js";
import { fillHelp, listenToKeys } from "./keys.js";
import { composePicture, download } from "./picture.js";

const MOST_SHOWN = 6; // panels at first
const WATCH_MS = 1000;
const CAMERA = ["azimuth", "elevation", "zoom", "panX", "panY", "projection"];
const IN_3D = [...CAMERA, "mode", "threshold", "opacity", "scale", "floor", "norm", "colors", "axes", "box", "antennas", "cross", "hidden", "theme", "tab"];
const IN_SECTIONS = ["scale", "floor", "norm", "colors", "sections", "cross", "hidden", "theme", "tab"];
const $ = (id) => document.getElementById(id);

class View {
  constructor(source, facts) {
    const { hash } = location;
    Object.assign(this, { source, facts, panels: panelsOf(facts), generation: 0, autoCross: null });
    this.store = new Store(parseState(hash || facts.state || ""));
    this.status = { ready: false, frames: 0, fine: 0, fineFrames: 0, draftMs: 0, firstPictureMs: 0, error: "", loads: 0 };
  }

  async start() {
    setTables(this.facts.colors);
    await this.startWebgl();
    this.scenes = new Scenes3d(this, this.raycaster);
    this.sections = new Sections(this);
    this.history = new History(this, $("page-history"));
    this.measurement = new MeasurementTab(this, $("page-measurement"));
    this.controls = new Controls(this, $("controls"));
    fillHelp($("help"));
    listenToKeys(this);
    this.buildPanels();
    this.store.listen((names, state) => this.changed(names, state));
    addEventListener("hashchange", () => this.store.set(parseState(location.hash)));
    new ResizeObserver(() => this.paintAll()).observe($("main"));
    $("main").addEventListener("scroll", () => this.scenes.request(), { passive: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paintAll());
    await this.load();
    if (this.facts.watch) setTimeout(() => this.watch(), WATCH_MS);
  }

  async startWebgl() {
    const shaders = await Promise.all(["shaders/raycast.vert", "shaders/raycast.frag"].map((name) => this.source.shader(name)));
    const lost = () => this.notice("The graphics context was lost; waiting for it.");
    const back = () => (this.notice(""), this.paintAll());
    try {
      this.raycaster = new Raycaster(shaders, { lost, back });
    } catch (error) {
      this.raycaster = null;
      this.withoutWebgl = error.message;
    }
  }

  // -- what is shown

  scene() {
    return Math.min(this.store.state.scene, Math.max(0, this.sceneCount() - 1));
  }

  sceneCount() {
    return this.facts.files.reduce((most, file) => Math.max(most, file.n_scene), 0);
  }

  isShown(panel) {
    const { hidden } = this.store.state;
    return hidden ? !hidden.includes(panel.key) : this.panels.indexOf(panel) < MOST_SHOWN;
  }

  shownPanels() {
    return this.panels.filter((panel) => this.isShown(panel));
  }

  togglePanel(panel, shown) {
    const hidden = this.panels.filter((p) => (p === panel ? !shown : !this.isShown(p))).map((p) => p.key);
    this.store.set({ hidden });
  }

  /** Factor from a panel's own maximum to the reference. */
  gainOf(panel) {
    if (this.store.state.norm === "own" || !panel.volume) return 1;
    const most = Math.max(...this.shownPanels().map((p) => p.volume?.peak ?? 0));
    return most ? panel.volume.peak / most : 1;
  }

  cross() {
    return this.store.state.cross ?? this.autoCross;
  }

  look(angles) {
    this.store.set({ ...angles, panX: 0, panY: 0 });
  }

  resetCamera() {
    const { azimuth, elevation, zoom, panX, panY } = DEFAULTS;
    this.store.set({ azimuth, elevation, zoom, panX, panY });
  }

  goToScene(scene) {
    this.store.set({ scene: Math.min(this.sceneCount() - 1, Math.max(0, scene)) });
  }

  showHelp() {
    $("help").showModal();
  }

  notice(text) {
    $("notice").textContent = text;
    $("notice").hidden = !text;
  }

  // -- loading

  buildPanels() {
    $("panels").replaceChildren(...this.panels.map(buildPanel));
    for (const panel of this.panels) {
      this.scenes.attach(panel.stage);
      this.sections.attach(panel);
      panel.stage.painter = (context, w, h, scale) => this.scenes.paintInto(context, panel, w, h, scale * this.pictureScale(panel), 1);
      panel.sections.painter = (context, w, h, scale) => this.sections.paintInto(context, panel, w, scale);
    }
    $("bar").painter = (context, w, h) => paintScale(context, w, h, this.store.state);
    this.controls.build();
  }

  /** Load the scene for the panels that are shown, then draw, then fetch what can wait. */
  async load() {
    const generation = (this.generation += 1);
    const scene = this.scene();
    writeHeading(this);
    const wanted = this.shownPanels().filter((p) => !p.loaded || p.loaded !== this.stamp(p, scene));
    let loaded;
    try {
      loaded = await Promise.all(wanted.map((panel) => this.loadPanel(panel, scene)));
    } catch (error) {
      if (generation === this.generation) await this.failed(error);
      return;
    }
    if (generation !== this.generation) return;
    wanted.forEach((panel, n) => Object.assign(panel, loaded[n], { scores: {}, loaded: this.stamp(panel, scene) }));
    this.settle();
    if (this.store.state.tab === "measurement") await this.loadMeasurement();
    this.loadScores(wanted, scene, generation);
  }

  stamp(panel, scene) {
    return `${panel.facts.version} ${scene}`;
  }

  /** What a panel is to show of a scene. */
  async loadPanel(panel, scene) {
    if (scene >= panel.facts.n_scene) {
      return { volume: null, header: null, problem: `There is no scene ${scene} in this file.` };
    }
    const packet = await this.source.volume(panel.file, panel.item, scene, panel.facts.version);
    const { header, volume } = readVolume(packet, panel.facts);
    const refusal = volume && this.raycaster ? this.raycaster.refusal(volume) : "";
    return { header, volume, problem: header.problem ?? refusal };
  }

  /** Draw what was loaded. */
  settle() {
    this.raycaster?.keepOnly(this.panels.map((p) => p.volume));
    this.scenes.warm();
    const first = this.shownPanels().find((p) => p.volume);
    this.autoCross = first ? first.volume.brightest() : null;
    this.panels.forEach(writeCaption);
    this.tellWhatIsMissing();
    this.showTab();
    this.paintAll();
    this.status.loads += 1;
    requestAnimationFrame(() => requestAnimationFrame(() => this.firstPicture()));
  }

  /** Whether the fine pictures stand and nothing is being loaded; tests wait for it. */
  settled() {
    return this.status.fine === this.scenes.generation && this.status.scored === this.generation;
  }

  firstPicture() {
    if (!this.status.ready) this.status.firstPictureMs = performance.now();
    this.status.ready = true;
  }

  tellWhatIsMissing() {
    const told = this.facts.files.flatMap((file) => [file.problem, file.note].filter(Boolean));
    this.notice(told.join("\n"));
    if (this.withoutWebgl && this.panels.some((p) => p.volume)) this.showStaticFigure();
  }

  /** Without WebGL2: say so, and show the figure that the program draws itself. */
  showStaticFigure() {
    this.notice(`No 3D views: ${this.withoutWebgl}. Projections and slices work.`);
    document.body.classList.add("flat");
    $("static-figures")?.remove();
    const figures = this.facts.files.map((file, f) => [file, this.source.figureAddress(f, this.scene())]);
    const images = figures.filter(([file, address]) => address && file.items.length).map(([file, address]) =>
      element("img", { src: address, alt: `Projections and surfaces of ${file.name}`, className: "figure" }));
    if (images.length) $("page-images").append(element("div", { id: "static-figures" }, ...images));
  }

  async failed(error) {
    if (error instanceof ChangedError) {
      await this.refresh();
      return;
    }
    this.notice(`The image could not be loaded: ${error.message}`);
    this.status.error = String(error.message);
    this.status.ready = true;
  }

  async loadScores(panels, scene, generation) {
    for (const panel of panels) {
      if (panel.truth || !panel.volume || generation !== this.generation) continue;
      try {
        panel.scores = await this.source.scores(panel.file, panel.item, scene);
      } catch {
        continue; // the caption goes without
      }
      if (generation === this.generation) writeCaption(panel);
    }
    if (generation === this.generation) this.status.scored = generation;
  }

  async loadMeasurement() {
    const stamp = `${this.scene()} ${this.facts.files.map((f) => f.version)}`;
    if (this.measurementStamp === stamp) return;
    try {
      await this.measurement.load(this.scene());
      this.measurementStamp = stamp;
      this.measurement.build();
      this.paintPlots();
    } catch (error) {
      this.notice(`The measurement could not be loaded: ${error.message}`);
    }
  }

  // -- files that change

  async watch() {
    try {
      const versions = await this.source.versions();
      const shown = this.facts.files.map((file) => file.version);
      if (versions.some((version, n) => version !== shown[n])) await this.refresh();
    } catch {
      this.notice("The viewer's server does not answer; what is shown may be old.");
    }
    setTimeout(() => this.watch(), WATCH_MS);
  }

  /** Take the new facts of files that changed; one that cannot be read just now keeps what is shown. */
  async refresh() {
    const files = await Promise.all(this.facts.files.map((_, n) => this.source.fileFacts(n)));
    const waiting = [];
    const next = files.map((file, n) => {
      if (!file.problem || !this.facts.files[n].items.length) return file;
      waiting.push(`${file.name} is being written or is gone; its last whole version is shown.`);
      return this.facts.files[n];
    });
    const changed = next.some((file, n) => file.version !== this.facts.files[n].version);
    this.facts = { ...this.facts, files: next };
    if (changed) {
      this.adoptPanels();
      await this.load();
    }
    if (waiting.length) this.notice(waiting.join("\n"));
  }

  /** Panels of the new facts; those that stay keep their picture until the new one is there. */
  adoptPanels() {
    const old = new Map(this.panels.map((panel) => [panel.key, panel]));
    this.panels = panelsOf(this.facts).map((panel) => {
      const { volume, header, scores } = old.get(panel.key) ?? {};
      return volume ? { ...panel, volume, header, scores } : panel;
    });
    this.buildPanels();
    this.panels.forEach(writeCaption);
    this.showTab();
  }

  // -- drawing

  changed(names, state) {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => this.writeAddress(), 150);
    this.controls.update(state);
    const has = (list) => list.some((name) => names.has(name));
    if (names.has("theme") || names.has("tab") || names.has("hidden")) this.showTab();
    if (names.has("scene") || names.has("hidden")) this.load();
    if (names.has("tab") && state.tab === "measurement") this.loadMeasurement();
    if (has(IN_3D)) this.scenes.request();
    if (has(IN_SECTIONS)) this.paintSections();
    if (has(["scale", "floor", "norm", "colors", "theme"])) this.paintHead();
    if (state.tab !== "images" && has([...IN_SECTIONS, "channel"])) this.paintPlots();
  }

  writeAddress() {
    const text = formatState(this.store.state);
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  showTab() {
    const { tab, theme } = this.store.state;
    document.documentElement.dataset.theme = theme;
    for (const name of ["images", "history", "measurement"]) $(`page-${name}`).hidden = name !== tab;
    for (const panel of this.panels) panel.element.hidden = !this.isShown(panel);
    $("panels").dataset.count = Math.min(4, this.shownPanels().length);
    if (tab === "history") this.history.build();
    if (tab === "measurement") this.measurement.build();
  }

  paintAll() {
    this.paintHead();
    this.paintSections();
    this.paintPlots();
    this.scenes.request();
  }

  paintHead() {
    this.paintCanvas($("bar"));
  }

  paintSections() {
    const { state } = this.store;
    for (const panel of this.shownPanels()) {
      this.sections.paint(panel);
      panel.value.textContent = valueAt(panel, this.cross(), this.gainOf(panel), state.scale);
    }
    this.controls.updateReadout(state);
  }

  paintPlots() {
    const { tab } = this.store.state;
    if (tab === "images") return;
    for (const canvas of $(`page-${tab}`).querySelectorAll("canvas")) this.paintCanvas(canvas);
  }

  /** Repaint a canvas that knows how, in the pixels of the screen. */
  paintCanvas(canvas) {
    const ratio = devicePixelRatio || 1;
    fitCanvas(canvas, ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    canvas.painter(context, canvas.clientWidth, canvas.clientHeight, ratio);
  }

  // -- saving

  /** Share of a picture's full density that the ray caster reaches in a few seconds. */
  pictureScale(panel) {
    return Math.min(1, Math.max(0.4, 1.5 * this.scenes.fineScale(panel.stage)));
  }

  composePicture() {
    return composePicture($("main"), (canvas, ...rest) => canvas.painter?.(...rest));
  }

  savePicture() {
    this.composePicture().toBlob((blob) => download(blob, `${this.stem()}.png`), "image/png");
  }

  async savePage() {
    this.notice("Saving \u2026");
    try {
      download(await this.source.page(this.scene(), formatState(this.store.state)), `${this.stem()}.html`);
      this.notice("");
    } catch (error) {
      this.notice(`The page could not be saved: ${error.message}`);
    }
  }

  stem() {
    return (this.facts.files[0]?.name ?? "view").replace(/\.[^.]*$/, "");
  }
}

async function boot() {
  const source = openSource();
  try {
    const facts = await source.facts();
    window.mimoViewer = new View(source, facts);
    await window.mimoViewer.start();
  } catch (error) {
    $("title").textContent = "The page could not be shown";
    $("notice").textContent = String(error.message);
    $("notice").hidden = false;
    window.mimoViewer ??= { status: { ready: true, error: String(error.message) } };
  }
}

boot();
