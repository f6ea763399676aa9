// The page: loads what the address asks for, keeps panels and controls in step with the state.

import { formatState, parseState, setDefaults, Store } from "./state.js";
import { Shown } from "./shown.js";
import { openSource } from "./source.js";
import { Loading } from "./loading.js";
import { Raycaster } from "./raycast.js";
import { groundOf, setTables } from "./colors.js";
import { fitCanvas, Scenes3d } from "./scene3d.js";
import { Sections } from "./sections.js";
import { BLINK_MS } from "./compare.js";
import { SectionPointer } from "./section_pointer.js";
import { flatView } from "./section_layout.js";
import { arrange, buildPanel, element, panelsOf, valueAt, writeCaption, writeLarge } from "./panels.js";
import { Analysis } from "./analysis.js";
import { History } from "./history.js";
import { MeasurementTab } from "./measurement.js";
import { Controls } from "./controls.js";
import { paintScale, writeHeading } from "./heading.js";
import { fillHelp, listenToKeys } from "./keys.js";
import { edgesOf, placed, readMesh } from "./mesh.js";
import { Notices } from "./notices.js";
import { Following } from "./following.js";
import { composePicture } from "./picture.js";
import { SaveDialog } from "./save.js";

const CAMERA = ["azimuth", "elevation", "zoom", "panX", "panY", "projection"];
const LEVELS = ["scale", "floor", "top", "norm", "colors"];
const LAYOUT = ["hidden", "alone", "columns", "sheets", "theme", "tab"];
const MESH = ["meshScale", "meshTurn", "meshShift"];
const IN_3D = [...CAMERA, ...LEVELS, ...LAYOUT, "mode", "threshold", "opacity", "ramp", "axes", "box", "antennas", "channel", "cross", "mark", "clip", ...MESH];
const ON_TABS = { "bar-box": ["images", "measurement"] };
const IN_SECTIONS = [...LEVELS, ...LAYOUT, "sections", "sectionZoom", "sectionAt", "cross", "mark", "show", "compare", "against", "divider", ...MESH];
const MEASURED = ["measurement", "history"]; // tabs that need the measurement
const $ = (id) => document.getElementById(id);

class View extends Shown {
  constructor(source, facts) {
    super();
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
    this.blink();
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

  /** Open or close the controls of a narrow window. */
  toggleMenu() {
    const open = document.body.classList.toggle("menu-open");
    $("menu").setAttribute("aria-expanded", open);
    if (open) this.paintHead(); // the histogram had no size until now
  }

  /** Show image and reference in turn while that is asked for. */
  blink() {
    clearInterval(this.blinkTimer);
    this.blinks = false;
    if (this.store.state.compare !== "blink") return;
    this.blinkTimer = setInterval(() => {
      this.blinks = !this.blinks;
      this.paintSections();
    }, BLINK_MS);
  }

  /** Read a mesh from a file on the reader's machine; null takes it away. */
  async takeMesh(file) {
    this.notices.tell("mesh", "");
    try {
      this.meshRead = file && readMesh(await file.arrayBuffer());
    } catch (error) {
      this.notices.tell("mesh", `${file.name} could not be read as a mesh: ${error.message}`);
    }
    this.placeMesh();
    this.paintAll();
  }

  placeMesh() {
    const { meshScale: scale, meshTurn: turn, meshShift: shift } = this.store.state;
    const triangles = this.meshRead && placed(this.meshRead, { scale, turn, shift });
    this.mesh = triangles ? { triangles, edges: edgesOf(triangles) } : null;
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
    if (has(["scene", "hidden", "alone", "compare", "against"])) this.load();
    if (names.has("tab") && MEASURED.includes(state.tab)) this.loading.loadMeasurement();
    if (has(MESH)) this.placeMesh();
    if (names.has("compare")) this.blink();
    if (names.has("show")) this.loading.loadPhases();
    if (has(IN_3D)) this.scenes.request();
    if (has(IN_SECTIONS) || (names.has("threshold") && state.compare === "outline")) this.paintSections();
    if (names.has("colors")) this.tellWhatIsMissing();
    if (has([...LEVELS, "theme", "tab", "mode", "threshold", "measured", "show", "compare", "hidden", "alone"])) this.paintHead();
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
    for (const part of [panel.stage, panel.coarse]) part.dataset.ground = groundOf(colors);
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
    clearTimeout(this.histogramTimer); // it counts all voxels once, which the first picture need not wait for
    this.histogramTimer = setTimeout(() => this.store.state.tab === "images" && this.paintCanvas($("histogram")), 200);
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
