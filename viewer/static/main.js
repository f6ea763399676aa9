// The page: loads what the address asks for, keeps panels and controls in step with the state.

import { DEFAULTS, fitState, formatState, parseState, setDefaults, Store } from "./state.js";
import { openSource } from "./source.js";
import { Loading } from "./loading.js";
import { Raycaster } from "./raycast.js";
import { groundOf, setTables } from "./colors.js";
import { fitCanvas, Scenes3d } from "./scene3d.js";
import { Sections } from "./sections.js";
import { SectionPointer } from "./section_pointer.js";
import { flatView } from "./section_layout.js";
import { arrange, buildPanel, element, panelsOf, valueAt, writeCaption, writeLarge } from "./panels.js";
import { Analysis } from "./analysis.js";
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
const LEVELS = ["scale", "floor", "top", "norm", "colors"];
const LAYOUT = ["hidden", "alone", "columns", "sheets", "theme", "tab"];
const IN_3D = [...CAMERA, ...LEVELS, ...LAYOUT, "mode", "threshold", "opacity", "axes", "box", "antennas", "channel", "cross", "mark", "clip"];
const ON_TABS = { "bar-box": ["images", "measurement"] };
const IN_SECTIONS = [...LEVELS, ...LAYOUT, "sections", "sectionZoom", "sectionAt", "cross", "mark"];
const $ = (id) => document.getElementById(id);

class View {
  constructor(source, facts) {
    Object.assign(this, { source, facts, panels: panelsOf(facts), autoCross: null });
    this.store = new Store(this.opened(this.fitted(parseState(location.hash || facts.state || ""))));
    this.notices = new Notices($("notice"));
    this.following = new Following(this);
    this.loading = new Loading(this);
    this.status = { ready: false, frames: 0, fine: 0, fineFrames: 0, draftMs: 0, firstPictureMs: 0, error: "", loads: 0 };
  }

  async start() {
    setTables(this.facts.colors);
    await this.startWebgl();
    this.scenes = new Scenes3d(this, this.raycaster);
    this.sections = new Sections(this);
    this.sectionPointer = new SectionPointer(this);
    this.analysis = new Analysis(this, $("page-analysis"));
    this.history = new History(this, $("page-history"));
    this.measurement = new MeasurementTab(this, $("page-measurement"));
    this.controls = new Controls(this, $("controls"));
    $("menu").addEventListener("click", () => this.toggleMenu());
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

  /** The state to open with: a file without an image opens on its measurement. */
  opened(state) {
    const lonely = !this.panels.length && this.facts.files.some((file) => file.n_scene) && state.tab === "images";
    return lonely ? { ...state, tab: "measurement" } : state;
  }

  /** Whether a panel is among those that the list has chosen. */
  isChosen(panel) {
    const { hidden } = this.store.state;
    return hidden ? !hidden.includes(panel.key) : this.shownAtFirst().includes(panel);
  }

  isShown(panel) {
    const { alone } = this.store.state;
    return alone ? panel.key === alone : this.isChosen(panel);
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

  chosenPanels() {
    return this.panels.filter((panel) => this.isChosen(panel));
  }

  togglePanel(panel, shown) {
    this.choosePanels(this.panels.filter((p) => (p === panel ? shown : this.isChosen(p))));
  }

  /** Show these panels and no others. */
  choosePanels(chosen) {
    this.store.set({ hidden: this.panels.filter((p) => !chosen.includes(p)).map((p) => p.key), alone: null });
  }

  /** Show one panel alone at full size, or all that are chosen again. */
  toggleAlone(panel) {
    this.store.set({ alone: this.store.state.alone === panel.key ? null : panel.key });
  }

  /** Factor from a panel's own maximum to the reference. */
  gainOf(panel) {
    if (this.store.state.norm === "own" || !panel.volume || panel.relative) return 1;
    const others = this.chosenPanels().filter((p) => p !== panel && !p.relative);
    const most = Math.max(panel.volume.peak, ...others.map((p) => p.volume?.peak ?? 0));
    return most ? panel.volume.peak / most : 1;
  }

  /** How much room a panel's sections have: the height of a row of them, and whether two rows are welcome. */
  sectionRoom(panel) {
    const height = $("main").clientHeight - $("head").offsetHeight;
    if (this.store.state.alone) return { tallest: Math.max(240, height - 130), square: true };
    const large = flatView(panel.volume) && !this.store.state.sheets ? 0.66 : 0.28;
    return { tallest: Math.max(190, large * height), square: false };
  }

  /** The box from the mark to the crosshair where 3D views are to show it alone, whole voxels of the first image; or null. */
  clipBox() {
    return this.store.state.clip ? this.region() : null;
  }

  /** The box that has mark and crosshair for corners, metres; null without a mark. */
  region() {
    const [a, b] = [this.store.state.mark, this.cross()];
    if (!a || !b) return null;
    const volume = this.shownPanels().find((p) => p.volume)?.volume;
    const half = (axis, at) => (volume ? volume.spacingAt(axis, at) / 2 : 0);
    return {
      low: a.map((v, axis) => Math.min(v - half(axis, v), b[axis] - half(axis, b[axis]))),
      high: a.map((v, axis) => Math.max(v + half(axis, v), b[axis] + half(axis, b[axis]))),
    };
  }

  cross() {
    return this.store.state.cross ?? this.autoCross;
  }

  /** Move the crosshair along one axis, to the middle of the voxel that it then is in. */
  moveCross(axis, value) {
    const volume = this.shownPanels().find((p) => p.volume)?.volume;
    if (!volume) return;
    const point = this.cross().map((v, n) => (n === axis ? value : v));
    this.store.set({ cross: volume.nearest(point).map((i, n) => volume.centers[n][i]) });
  }

  /** Put the crosshair on the strongest voxel of the first image that is shown. */
  goToPeak() {
    const volume = this.shownPanels().find((p) => p.volume)?.volume;
    if (volume) this.store.set({ cross: volume.brightest() });
  }

  /** Put the mark where the crosshair is, or take it away where it is there already. */
  toggleMark() {
    const { mark } = this.store.state;
    const cross = this.cross();
    const same = mark && cross && mark.every((v, axis) => Math.abs(v - cross[axis]) < 1e-9);
    this.store.set({ mark: same ? null : cross, ...(same && { clip: false }) });
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

  /** Open or close the controls of a narrow window. */
  toggleMenu() {
    const open = document.body.classList.toggle("menu-open");
    $("menu").setAttribute("aria-expanded", open);
  }

  showHelp() {
    $("help").showModal();
  }

  // -- loading

  /** Make the elements of new panels; those that stand keep theirs, and with it focus and a drag in progress. */
  buildPanels() {
    for (const panel of this.panels.filter((p) => !p.element)) {
      buildPanel(panel, (p) => this.toggleAlone(p));
      this.scenes.attach(panel);
      this.sectionPointer.attach(panel);
      panel.stage.painter = (context, w, h, scale) => this.scenes.paintPicture(context, panel, w, h, scale * this.pictureScale(panel));
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
    const first = !old.size && this.panels.length > 0 && this.store.state.tab === "measurement"; // its first images
    this.store.set({ scene, channel, ...(first && { tab: "images" }) });
    this.tellWhatIsMissing();
    this.showTab();
  }

  /** Load the scene for the panels that are shown, then draw. */
  load() {
    return this.loading.load();
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
    return this.status.fine === this.scenes.generation && this.status.scored === this.loading.generation;
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

  // -- drawing

  changed(names, state) {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => this.writeAddress(), 150);
    this.controls.update(state);
    if (names.has("norm")) this.writeCaptions();
    const has = (list) => list.some((name) => names.has(name));
    if (has(LAYOUT) || names.has("colors")) this.showTab();
    if (has(["scene", "hidden", "alone"])) this.load();
    if (names.has("tab") && state.tab === "measurement") this.loading.loadMeasurement();
    if (has(IN_3D)) this.scenes.request();
    if (has(IN_SECTIONS)) this.paintSections();
    if (names.has("colors")) this.tellWhatIsMissing();
    if (has([...LEVELS, "theme", "tab", "mode", "threshold", "measured", "show"])) this.paintHead();
    if (state.tab === "analysis" && has(["cross", "mark", ...LEVELS])) this.analysis.build();
    else if (state.tab !== "images" && has([...IN_SECTIONS, "channel", "measured", ...CAMERA])) this.paintPlots();
    if (names.has("measured") && state.tab === "measurement") this.measurement.build();
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
    for (const name of ["images", "analysis", "history", "measurement"]) $(`page-${name}`).hidden = name !== tab;
    for (const [id, tabs] of Object.entries(ON_TABS)) $(id).hidden = !tabs.includes(tab);
    for (const panel of this.panels) this.showPanel(panel);
    const count = this.shownPanels().length;
    $("panels").dataset.count = Math.min(4, count);
    const { alone, columns } = this.store.state;
    $("panels").classList.toggle("alone", Boolean(alone));
    $("panels").style.gridTemplateColumns = columns && !alone ? `repeat(${columns}, minmax(0, 1fr))` : "";
    $("none-chosen").hidden = count > 0 || !this.panels.length;
    if (tab === "history") this.history.build();
    if (tab === "analysis") this.analysis.build();
    if (tab === "measurement") this.measurement.build();
  }

  showPanel(panel) {
    const { alone, colors, sheets } = this.store.state;
    panel.element.hidden = !this.isShown(panel);
    panel.element.classList.toggle("flat-image", Boolean(panel.volume && flatView(panel.volume) && !sheets));
    panel.stage.dataset.ground = groundOf(colors);
    writeLarge(panel, alone === panel.key);
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
