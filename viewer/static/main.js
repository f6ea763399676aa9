// The page: loads what the address asks for, keeps panels and controls in step with the state.

import { DEFAULTS, fitState, formatState, parseState, setDefaults, Store } from "./state.js";
import { ChangedError, openSource, readVolume } from "./source.js";
import { Raycaster } from "./raycast.js";
import { setTables } from "./colors.js";
import { fitCanvas, Scenes3d } from "./scene3d.js";
import { Sections } from "./sections.js";
import { arrange, buildPanel, element, panelsOf, valueAt, writeCaption } from "./panels.js";
import { History } from "./history.js";
import { MeasurementTab } from "./measurement.js";
import { Controls } from "./controls.js";
import { paintScale, writeHeading } from "./heading.js";
import { fillHelp, listenToKeys } from "./keys.js";
import { Notices } from "./notices.js";
import { Following } from "./following.js";
import { composePicture } from "./picture.js";
import { SaveDialog } from "./save.js";

const MOST_VOXELS = 2 ** 27; // of all panels shown at first: 256 MiB on the page, as much again in textures
const CAMERA = ["azimuth", "elevation", "zoom", "panX", "panY", "projection"];
const IN_3D = [...CAMERA, "mode", "threshold", "opacity", "scale", "floor", "norm", "colors", "axes", "box", "antennas", "cross", "hidden", "theme", "tab"];
const ON_TABS = { "bar-box": ["images", "measurement"] };
const IN_SECTIONS = ["scale", "floor", "norm", "colors", "sections", "cross", "hidden", "theme", "tab"];
const $ = (id) => document.getElementById(id);

class View {
  constructor(source, facts) {
    Object.assign(this, { source, facts, panels: panelsOf(facts), generation: 0, autoCross: null });
    this.store = new Store(this.fitted(parseState(location.hash || facts.state || "")));
    this.notices = new Notices($("notice"));
    this.following = new Following(this);
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
    this.saveDialog = new SaveDialog(this);
    fillHelp($("help"));
    listenToKeys(this);
    this.buildPanels();
    this.controls.build();
    $("bar").painter = (context, w, h) => paintScale(context, w, h, this.store.state);
    this.store.listen((names, state) => this.changed(names, state));
    addEventListener("hashchange", () => this.followAddress());
    if (location.hash) this.writeAddress();
    new ResizeObserver(() => this.paintAll()).observe($("main"));
    $("main").addEventListener("scroll", () => this.scenes.request(), { passive: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paintAll());
    await this.load();
    if (this.facts.watch) this.following.start();
  }

  async startWebgl() {
    const shaders = await Promise.all(["shaders/raycast.vert", "shaders/raycast.frag"].map((name) => this.source.shader(name)));
    const lost = () => this.notices.tell("graphics", "The graphics context was lost; waiting for it.");
    const back = () => (this.notices.tell("graphics", ""), this.paintAll());
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

  /** Numbers of the scenes to choose from: all, or those that a saved page holds. */
  sceneNumbers() {
    return this.facts.scenes ?? Array.from({ length: this.sceneCount() }, (_, n) => n);
  }

  /** A state from an address within what the files hold. */
  fitted(state) {
    const channels = this.facts.files.reduce((most, file) => Math.max(most, file.n_pair ?? 0), 0);
    return fitState(state, { scenes: this.sceneNumbers(), channels, keys: this.panels.map((panel) => panel.key) });
  }

  isShown(panel) {
    const { hidden } = this.store.state;
    return hidden ? !hidden.includes(panel.key) : this.shownAtFirst().includes(panel);
  }

  /** As many panels as fit into memory, at least one. */
  shownAtFirst() {
    let voxels = 0;
    return this.panels.filter(({ facts: { grid } }, n) => {
      voxels += grid ? grid.x.length * grid.y.length * grid.z.length : 0;
      return n === 0 || voxels <= MOST_VOXELS;
    });
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
    if (this.store.state.norm === "own" || !panel.volume || panel.relative) return 1;
    const most = Math.max(...this.shownPanels().map((p) => (p.relative ? 0 : (p.volume?.peak ?? 0))));
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

  /** Go to the n-th of the scenes that there are. */
  goToScene(n) {
    const numbers = this.sceneNumbers();
    if (numbers.length) this.store.set({ scene: numbers[Math.min(numbers.length - 1, Math.max(0, n))] });
  }

  stepScene(by) {
    this.goToScene(this.sceneNumbers().indexOf(this.scene()) + by);
  }

  showHelp() {
    $("help").showModal();
  }

  // -- loading

  /** Make the elements of new panels; those that stand keep theirs, and with it focus and a drag in progress. */
  buildPanels() {
    for (const panel of this.panels.filter((p) => !p.element)) {
      buildPanel(panel);
      this.scenes.attach(panel.stage);
      this.sections.attach(panel);
      panel.stage.painter = (context, w, h, scale) => this.scenes.paintInto(context, panel, w, h, scale * this.pictureScale(panel), 1);
      panel.sections.painter = (context, w, h, scale) => this.sections.paintInto(context, panel, w, scale);
    }
    arrange($("panels"), this.panels.map((panel) => panel.element));
  }

  /** Go on with new facts of the files; panels that stay keep their picture until the new one is there. */
  takeFacts(facts) {
    const old = new Map(this.panels.map((panel) => [panel.key, panel]));
    this.facts = facts;
    this.panels = panelsOf(facts).map((panel) => {
      const { key, item, truth, title } = panel;
      return old.has(key) ? Object.assign(old.get(key), { facts: panel.facts, item, truth, title }) : panel;
    });
    this.buildPanels();
    this.controls.fitToFiles();
    const { scene, channel } = this.fitted(this.store.state);
    this.store.set({ scene, channel });
    this.tellWhatIsMissing();
    this.showTab();
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
    wanted.forEach((panel, n) => {
      const scores = panel.header?.scene === scene && loaded[n].volume ? panel.scores : {}; // until the new ones are there
      Object.assign(panel, loaded[n], { scores, loaded: this.stamp(panel, scene) });
    });
    this.notices.tell("image", "");
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
    const first = this.shownPanels().find((p) => p.volume);
    this.autoCross = first ? first.volume.brightest() : null;
    this.writeCaptions();
    this.tellWhatIsMissing();
    this.showTab();
    this.scenes.warm();
    this.paintAll();
    this.status.loads += 1;
    requestAnimationFrame(() => requestAnimationFrame(() => this.firstPicture()));
  }

  writeCaptions(panels = this.panels) {
    for (const panel of panels) writeCaption(panel, { norm: this.store.state.norm, watch: this.facts.watch });
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
    this.notices.tell("files", told.join("\n"));
    if (this.withoutWebgl && this.panels.some((p) => p.volume)) this.showStaticFigure();
  }

  /** Without WebGL2: say so, and show the figure that the program draws itself. */
  showStaticFigure() {
    this.notices.tell("graphics", `No 3D views: ${this.withoutWebgl}. Projections and slices work.`);
    document.body.classList.add("flat");
    $("static-figures")?.remove();
    const figures = this.facts.files.map((file, f) => [file, this.source.figureAddress(f, this.scene(), this.store.state.colors)]);
    const images = figures.filter(([file, address]) => address && file.items.length).map(([file, address]) =>
      element("img", { src: address, alt: `Projections and surfaces of ${file.name}`, className: "figure" }));
    if (images.length) $("page-images").append(element("div", { id: "static-figures" }, ...images));
  }

  async failed(error) {
    if (error instanceof ChangedError) {
      await this.following.refresh();
    } else {
      this.notices.tell("image", `The image could not be loaded: ${error.message}`);
      this.status.error = String(error.message);
      this.status.ready = true;
    }
    this.dropOtherScenes();
  }

  /** No image stands under the number of a scene that it does not show. */
  dropOtherScenes() {
    const scene = this.scene();
    const others = this.shownPanels().filter(({ header }) => header && header.scene !== scene);
    const problem = `Scene ${scene} cannot be read just now.`;
    for (const panel of others) Object.assign(panel, { volume: null, header: null, scores: {}, loaded: "", problem });
    if (others.length) this.settle();
  }

  async loadScores(panels, scene, generation) {
    for (const panel of panels) {
      if (panel.truth || !panel.volume || generation !== this.generation) continue;
      const { loaded } = panel;
      const scores = await this.source.scores(panel.file, panel.item, scene).catch(() => ({})); // the caption goes without
      if (loaded !== panel.loaded) continue;
      panel.scores = scores;
      this.writeCaptions([panel]);
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
      this.notices.tell("measurement", "");
    } catch (error) {
      this.notices.tell("measurement", `The measurement could not be loaded: ${error.message}`);
    }
  }

  // -- drawing

  changed(names, state) {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => this.writeAddress(), 150);
    this.controls.update(state);
    if (names.has("norm")) this.writeCaptions();
    const has = (list) => list.some((name) => names.has(name));
    if (names.has("theme") || names.has("tab") || names.has("hidden")) this.showTab();
    if (names.has("scene") || names.has("hidden")) this.load();
    if (names.has("tab") && state.tab === "measurement") this.loadMeasurement();
    if (has(IN_3D)) this.scenes.request();
    if (has(IN_SECTIONS)) this.paintSections();
    if (names.has("colors")) this.tellWhatIsMissing();
    if (has(["scale", "floor", "norm", "colors", "theme", "tab"])) this.paintHead();
    if (state.tab !== "images" && has([...IN_SECTIONS, "channel"])) this.paintPlots();
  }

  /** Take the view of a new address, and write it there as it was understood. */
  followAddress() {
    this.store.set(this.fitted(parseState(location.hash)));
    this.writeAddress();
  }

  writeAddress() {
    const text = formatState(this.store.state);
    const address = location.href.split("#")[0]; // whole: a page in a frame's own text has another base
    history.replaceState(null, "", text ? `${address}#${text}` : address);
  }

  showTab() {
    const { tab, theme } = this.store.state;
    document.documentElement.dataset.theme = theme;
    for (const name of ["images", "history", "measurement"]) $(`page-${name}`).hidden = name !== tab;
    for (const [id, tabs] of Object.entries(ON_TABS)) $(id).hidden = !tabs.includes(tab);
    for (const panel of this.panels) panel.element.hidden = !this.isShown(panel);
    const count = this.shownPanels().length;
    $("panels").dataset.count = Math.min(4, count);
    $("none-chosen").hidden = count > 0 || !this.panels.length;
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
    return composePicture($("main"), $("head"), (canvas, ...rest) => canvas.painter?.(...rest));
  }

}

async function boot() {
  const source = openSource();
  try {
    const facts = await source.facts();
    setDefaults(facts.defaults);
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
