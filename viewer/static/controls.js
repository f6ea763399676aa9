// The column of controls, each bound to one name of the state.

import { PRESETS } from "./camera.js";
import { paintHistogram } from "./histogram.js";
import { metres } from "./numbers.js";
import { sceneText } from "./heading.js";
import { savePage, savePicture } from "./saving.js";
import { LOWEST, shownThreshold, withLevels } from "./state.js";
import { arrange, element, valueAt } from "./panels.js";
import { AXIS_NAMES } from "./volume.js";
import { Widgets } from "./widgets.js";

const TABS = [
  ["images", "Images", "The images side by side"],
  ["analysis", "Analysis", "Profiles through the crosshair, the strongest peaks, statistics of a box"],
  ["history", "History", "What iterative methods recorded"],
  ["measurement", "Measurement", "What was measured: channels, frequencies, antennas"],
];
const WITH_IMAGES = ["images", "analysis", "history"];
const WITH_COLORS = ["images", "analysis", "measurement"];
const WITH_CROSS = ["images", "analysis"];
const MODE_BUTTONS = [
  ["volume", "Volume", "Emission and absorption of all above the threshold (1)"],
  ["maximum", "Maximum", "The largest magnitude along each ray (2)"],
  ["surface", "Surface", "A shaded surface at the threshold (3)"],
];
const PARTS = [
  ["magnitude", "|\u00b7|", "Slices show the magnitude"],
  ["phase", "Phase", "Slices show the phase of complex images"],
  ["real", "Real", "Slices show the real part of complex images"],
  ["imaginary", "Imag", "Slices show the imaginary part of complex images"],
];
const COMPARISONS = [
  ["none", "not compared"],
  ["outline", "outline"],
  ["difference", "difference"],
  ["blink", "in turn"],
  ["wipe", "wipe"],
];
const ALONG = { x: "Look along x (x)", y: "Look along y (y)", z: "Look along z (z)", isometric: "Look from a corner (i)" };

export class Controls {
  constructor(view, root) {
    Object.assign(this, { view, root, rows: new Map(), widgets: new Widgets(view.store) });
  }

  build() {
    const { view, widgets: w } = this;
    this.root.replaceChildren(
      w.buttons("tab", TABS, "What to show"),
      this.sceneGroup(),
      w.group("Images", WITH_IMAGES, this.panelList()),
      this.spaceGroup(),
      this.scaleGroup(),
      this.sectionGroup(),
      this.meshGroup(),
      w.group("Page", TABS.map(([name]) => name),
        w.choice("theme", "Theme", "Colours of the page", [["system", "as the system"], ["light", "light"], ["dark", "dark"]]),
        element("div", { className: "row" }, w.action("Save PNG", "Save what is on the screen as a picture (p)", () => savePicture(view), "save-png"), this.saveButton()),
        element("div", { className: "row" }, w.action("Save as \u2026", "Save chosen images in a size, a drawing, a film or a command (Shift p)", () => view.saveDialog.open(), "save-as"),
          w.action("Keys", "List the keys (?)", () => view.showHelp(), "keys"))),
    );
    this.fitToFiles();
  }

  spaceGroup() {
    const { widgets: w } = this;
    const unseen = (s) => s.mode === "maximum";
    return w.group("3D view", ["images"],
      w.buttons("mode", MODE_BUTTONS, "3D view"),
      w.slider("threshold", "Threshold", "What is weaker is left out; a mark on the colour bar shows it", { min: LOWEST, max: 0, step: 0.5, unit: "dB", disabled: unseen, shown: shownThreshold }),
      w.slider("opacity", "Opacity", "How dense the strongest voxels are", { min: 0.02, max: 1, step: 0.01, disabled: (s) => s.mode !== "volume" }),
      w.slider("ramp", "Opacity curve", "How much clearer the weaker voxels are than the strongest: exponent of the opacity over the level above the threshold", { min: 0.25, max: 6, step: 0.25, disabled: (s) => s.mode !== "volume" }),
      this.presets(),
      w.buttons("projection", [["orthographic", "Orthographic", "Parallel rays (o)"], ["perspective", "Perspective", "What is near is larger (o)"]], "Projection"),
      element("div", { className: "checks" },
        w.check("axes", "Axes", "Ticks in metres"), w.check("box", "Scene box", "The edges of the imaged box"),
        w.check("antennas", "Antennas", "Transmitters and receivers in place (a)"),
        this.ifFlat(w.check("sheets", "Flat images in 3D", "Show images of one voxel along an axis in space too"))));
  }

  scaleGroup() {
    const { view, widgets: w } = this;
    const level = (kept) => (value) => {
      const { floor, top } = withLevels({ ...view.store.state, [kept]: value }, kept);
      return { floor, top };
    };
    return w.group("Scale", WITH_COLORS,
      w.buttons("scale", [["db", "dB", "20 log10 of the magnitude (d)"], ["linear", "Linear", "The magnitude itself (d)"]], "Scale"),
      w.onTabs(["images"], this.histogram()),
      w.slider("top", "Upper level", "What is stronger has the last colour", { min: LOWEST, max: 0, step: 1, unit: "dB", set: level("top") }),
      w.slider("floor", "Floor", "What is weaker has the first colour", { min: LOWEST, max: -1, step: 1, unit: "dB", disabled: (s) => s.scale === "linear", set: level("floor") }),
      w.onTabs(WITH_CROSS, w.buttons("norm", [["own", "Each to its own", "0 dB is each image's own maximum (n)"], ["common", "All to one", "0 dB is the largest maximum of all chosen images (n)"]], "Reference")),
      w.choice("colors", "Colours", "Map from level to colour", [["viridis", "viridis"], ["inferno", "inferno"], ["cividis", "cividis"], ["jet", "jet"], ["gray", "grey"]]));
  }

  histogram() {
    const label = "How many voxels have which level, in powers of ten; lines at floor, upper level and threshold";
    const canvas = element("canvas", { id: "histogram", role: "img", "aria-label": label, title: label });
    canvas.painter = (context, width, height) => paintHistogram(context, width, height, this.view);
    return canvas;
  }

  sectionGroup() {
    const { view, widgets: w } = this;
    this.readout = element("dl", { className: "readout" });
    const typed = AXIS_NAMES.map((name, axis) =>
      element("label", { className: "coordinate" }, name, w.number(`cross-${name}`, `Crosshair ${name} in metres`, `Crosshair along ${name}, metres`, {
        value: () => (view.cross() ? Number(view.cross()[axis].toFixed(5)) : null),
        set: (value) => Number.isFinite(value) && value !== null && view.moveCross(axis, value),
      })));
    return w.group("Sections and crosshair", WITH_CROSS,
      w.onTabs(["images"], w.buttons("sections", [["slices", "Slices", "Three slices through the crosshair (s)"], ["maxima", "Maxima", "The largest magnitude along each axis (s)"]], "Sections")),
      w.onTabs(["images"], w.buttons("show", PARTS, "What of complex images slices show")),
      w.onTabs(["images"], w.choice("compare", "Compare", "Compare the sections with another image: its outline at the threshold, the difference in dB, both in turn, or the other left of a divider that is dragged", COMPARISONS)),
      w.onTabs(["images"], this.comparison()),
      element("div", { className: "row" }, w.action("Go to the peak", "Put the crosshair on the strongest voxel of the first image (g)", () => view.goToPeak(), "peak"),
        w.action("All in sight", "Show the whole image in the sections (Home on them)", () => view.store.set({ sectionZoom: 1, sectionAt: null }), "section-reset")),
      element("div", { className: "coordinates" }, ...typed),
      element("div", { className: "row" }, w.action("Mark here", "Put the other end of ruler, line profile and box where the crosshair is; once more takes it away (m)", () => view.toggleMark(), "mark"),
        w.onTabs(["images"], w.check("clip", "Only the box in 3D", "Show in 3D what lies in the box between mark and crosshair alone"))),
      this.readout);
  }

  /** With which image the sections are compared, and where a wipe has its divider; shown while they are compared. */
  comparison() {
    const { view, widgets: w } = this;
    const select = element("select", { id: "against", title: "The image that the others are compared with" });
    select.addEventListener("change", () => view.store.set({ against: select.value || null }));
    const row = element("div", { className: "row" }, element("label", { for: "against", title: select.title }, "With"), select);
    const divider = w.slider("divider", "Divider", "Share of each section that shows the other image; it can be dragged there, too", { min: 0, max: 1, step: 0.01 });
    w.updaters.push(({ compare, against }) => {
      const options = [["", view.panels.some((p) => p.truth) ? "truth" : "first image"], ...view.panels.filter((p) => !p.truth || view.facts.files.length > 1).map((p) => [p.key, p.title])];
      if ([...select.options].map((o) => o.value).join() !== options.map(([value]) => value).join()) select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
      select.value = against ?? "";
      row.hidden = compare === "none";
      divider.hidden = compare !== "wipe";
    });
    return element("div", { className: "stack" }, row, divider);
  }

  /** A mesh of the target in place: file, unit, turn and shift. */
  meshGroup() {
    const { view, widgets: w } = this;
    const file = element("input", { type: "file", id: "mesh-file", accept: ".stl,.ply", title: "A mesh of triangles, say the target's CAD model, drawn with the images; the file stays on this machine", "aria-label": "Mesh, STL or PLY" });
    file.addEventListener("change", () => file.files[0] && view.takeMesh(file.files[0]));
    const three = (name, label, title) =>
      element("div", { className: "coordinates" }, ...AXIS_NAMES.map((axis, n) =>
        element("label", { className: "coordinate" }, axis, w.number(`${name}-${axis}`, `${label} ${axis}`, title(axis), {
          value: () => view.store.state[name][n],
          set: (value) => Number.isFinite(value ?? 0) && view.store.set({ [name]: view.store.state[name].map((v, m) => (m === n ? (value ?? 0) : v)) }),
        }))));
    const clear = () => {
      file.value = "";
      view.takeMesh(null);
    };
    const more = element("details", {}, element("summary", { title: "Draw an STL or PLY file with the images" }, "Mesh (STL, PLY)"), element("div", { className: "stack" }, file,
      w.choice("meshScale", "Unit of the file", "Length of one unit of the file", [[1, "m"], [0.01, "cm"], [0.001, "mm"], [0.0254, "inch"]]),
      element("span", { className: "hint" }, "Turn (degrees), then shift (m)"),
      three("meshTurn", "Turn of the mesh about", (axis) => `Turn about ${axis}, degrees`), three("meshShift", "Shift of the mesh along", (axis) => `Shift along ${axis}, metres`),
      w.action("Take away", "Draw no mesh", clear, "mesh-clear")));
    return w.onTabs(["images"], element("section", { className: "group" }, more));
  }

  /** Shown only where an image has one voxel along an axis. */
  ifFlat(shown) {
    this.widgets.updaters.push(() => {
      const flat = ({ facts: { grid } }) => grid && ["x", "y", "z"].some((name) => grid[name].length === 1);
      shown.hidden = !this.view.panels.some(flat);
    });
    return shown;
  }

  /** Fit the scenes and the list of images to the files; what stands keeps the focus and a drag in progress. */
  fitToFiles() {
    const { view } = this;
    const count = view.sceneNumbers().length;
    this.scene.group.hidden = count < 2;
    this.scene.input.max = Math.max(0, count - 1);
    const kept = new Map(view.panels.map((panel) => [panel, this.rows.get(panel) ?? this.panelRow(panel)]));
    this.rows = kept;
    arrange(this.list, [...kept.values()]);
    this.update(view.store.state);
  }

  update(state) {
    this.widgets.update(state);
    this.updateReadout(state);
  }

  updateReadout(state) {
    const cross = this.view.cross();
    const rows = this.view.shownPanels().flatMap((panel) => [
      element("dt", { title: panel.title }, panel.title),
      element("dd", {}, valueAt(panel, cross, this.view.gainOf(panel), state.scale)),
    ]);
    const place = cross ? AXIS_NAMES.map((name, axis) => `${name}\u00a0${metres(cross[axis])}`).join("  ") + "\u00a0m" : "";
    const { mark } = state;
    const ruler = mark && cross ? [element("dt", { className: "place ruler" }, rulerText(mark, cross))] : [];
    this.readout.replaceChildren(element("dt", { className: "place" }, place), ...ruler, ...rows);
    for (const axis of [0, 1, 2]) {
      const input = document.getElementById(`cross-${AXIS_NAMES[axis]}`);
      if (input && cross && document.activeElement !== input) input.value = Number(cross[axis].toFixed(5));
    }
  }

  sceneGroup() {
    const { view } = this;
    const input = element("input", { type: "range", id: "scene", min: 0, step: 1, "aria-label": "Scene", title: "Scene of the files (Page Up, Page Down)" });
    const shown = element("output", { for: "scene" });
    input.addEventListener("input", () => view.goToScene(Number(input.value)));
    this.widgets.updaters.push(() => {
      input.value = view.sceneNumbers().indexOf(view.scene());
      shown.textContent = sceneText(view.scene(), view.sceneCount());
      input.setAttribute("aria-valuetext", shown.textContent);
    });
    const step = (by, label, text) => element("button", { type: "button", "aria-label": label, title: label, onclick: () => view.stepScene(by) }, text);
    const row = element("div", { className: "row" }, step(-1, "Previous scene", "\u2039"), input, step(1, "Next scene", "\u203a"));
    const group = element("section", { className: "group" }, element("h3", {}, "Scene"), row, shown);
    this.scene = { group, input };
    return group;
  }

  panelList() {
    const { view, widgets: w } = this;
    this.list = element("div", { className: "panel-list", role: "group", "aria-label": "Images" });
    const count = element("span", { className: "hint" });
    w.updaters.push(() => {
      const [shown, all] = [view.chosenPanels().length, view.panels.length];
      for (const [panel, row] of this.rows) row.querySelector("input").checked = view.isChosen(panel);
      count.textContent = `${shown} of ${all} shown`;
      count.hidden = shown === all;
    });
    const row = element("div", { className: "row" },
      w.action("All", "Show all images", () => view.choosePanels(view.panels), "all-images"),
      w.action("None", "Show no image", () => view.choosePanels([]), "no-images"), count);
    const columns = w.choice("columns", "Columns", "Images side by side", [[0, "as many as fit"], ...[1, 2, 3, 4, 5, 6].map((n) => [n, String(n)])]);
    return element("div", { className: "stack" }, this.list, row, w.onTabs(["images"], columns));
  }

  panelRow(panel) {
    const input = element("input", { type: "checkbox", title: `Show ${panel.title}` });
    input.addEventListener("change", () => this.view.togglePanel(panel, input.checked));
    const only = element("button", { type: "button", className: "only", title: `Show ${panel.title} and no other`, "aria-label": `Only ${panel.title}`, onclick: () => this.view.choosePanels([panel]) }, "only");
    return element("div", { className: "row" }, element("label", { className: "check" }, input, panel.title), only);
  }

  presets() {
    const { view, widgets: w } = this;
    const made = Object.entries(PRESETS).map(([name, angles]) => w.action(name === "isometric" ? "iso" : name, ALONG[name], () => view.look(angles), `view-${name}`));
    return element("div", { className: "buttons presets", role: "group", "aria-label": "View along" },
      element("span", {}, "Along"), ...made, w.action("reset", "The view as at first (Home)", () => view.resetCamera(), "view-reset"));
  }

  saveButton() {
    const save = () => savePage(this.view);
    return this.view.source.canSave ? this.widgets.action("Save HTML", "Save this page with the scene's data as one file", save, "save-html") : "";
  }
}

/** Distance from mark to crosshair, and its parts along the axes. */
function rulerText(mark, cross) {
  const parts = cross.map((c, axis) => c - mark[axis]);
  const along = AXIS_NAMES.map((name, axis) => `\u0394${name}\u00a0${metres(parts[axis])}`).join("  ");
  return `${metres(Math.hypot(...parts))}\u00a0m from the mark: ${along}\u00a0m`;
}
