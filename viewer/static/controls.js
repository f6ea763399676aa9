// The column of controls, each bound to one name of the state.

import { PRESETS } from "./camera.js";
import { decibels, metres, plain } from "./numbers.js";
import { sceneText } from "./heading.js";
import { savePage, savePicture } from "./saving.js";
import { arrange, element, valueAt } from "./panels.js";

const TABS = [["images", "Images"], ["history", "History"], ["measurement", "Measurement"]];
const WITH_IMAGES = ["images", "history"];
const WITH_COLORS = ["images", "measurement"];

export class Controls {
  constructor(view, root) {
    Object.assign(this, { view, root, updaters: [], rows: new Map() });
  }

  build() {
    const { view } = this;
    this.updaters = [];
    this.readout = element("dl", { className: "readout" });
    this.root.replaceChildren(
      this.buttons("tab", TABS, "What to show"),
      this.sceneGroup(),
      this.group("Images", WITH_IMAGES, this.panelList()),
      this.group("3D view", ["images"],
        this.buttons("mode", [["volume", "Volume"], ["maximum", "Maximum"], ["surface", "Surface"]], "3D view"),
        this.slider("threshold", "Threshold", -60, 0, 0.5, decibels, (s) => s.mode === "maximum"),
        this.slider("opacity", "Opacity", 0.02, 1, 0.01, (v) => plain(v, 2), (s) => s.mode !== "volume"),
        this.presets(),
        this.buttons("projection", [["orthographic", "Orthographic"], ["perspective", "Perspective"]], "Projection"),
        element("div", { className: "checks" }, this.check("axes", "Axes"), this.check("box", "Scene box"), this.check("antennas", "Antennas"))),
      this.group("Scale", WITH_COLORS,
        this.buttons("scale", [["db", "dB"], ["linear", "Linear"]], "Scale"),
        this.slider("floor", "Floor", -60, -1, 1, decibels, (s) => s.scale === "linear"),
        this.onTabs(["images"], this.buttons("norm", [["own", "Each to its own"], ["common", "All to one"]], "Reference")),
        this.choice("colors", "Colours", [["viridis", "viridis"], ["inferno", "inferno"], ["cividis", "cividis"], ["jet", "jet"], ["gray", "grey"]])),
      this.group("Sections", ["images"],
        this.buttons("sections", [["slices", "Slices"], ["maxima", "Maxima"]], "Sections"), this.readout),
      this.group("Page", TABS.map(([name]) => name),
        this.choice("theme", "Theme", [["system", "as the system"], ["light", "light"], ["dark", "dark"]]),
        element("div", { className: "row" }, this.action("Save PNG", () => savePicture(view), "save-png"), this.saveButton()),
        element("div", { className: "row" }, this.action("Save as \u2026", () => view.saveDialog.open(), "save-as"), this.action("Keys", () => view.showHelp(), "keys"))),
    );
    this.fitToFiles();
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
    for (const updater of this.updaters) updater(state);
    this.updateReadout(state);
  }

  updateReadout(state) {
    const cross = this.view.cross();
    const rows = this.view.shownPanels().flatMap((panel) => [
      element("dt", {}, panel.title),
      element("dd", {}, valueAt(panel, cross, this.view.gainOf(panel), state.scale)),
    ]);
    const place = cross ? `x ${metres(cross[0])}   y ${metres(cross[1])}   z ${metres(cross[2])} m` : "";
    this.readout.replaceChildren(element("dt", { className: "place" }, place), ...rows);
  }

  group(title, tabs, ...children) {
    return this.onTabs(tabs, element("section", { className: "group" }, element("h3", {}, title), ...children.filter(Boolean)));
  }

  /** What does nothing on a tab is not shown there. */
  onTabs(tabs, shown) {
    this.updaters.push(({ tab }) => (shown.hidden = !tabs.includes(tab)));
    return shown;
  }

  sceneGroup() {
    const { view } = this;
    const input = element("input", { type: "range", id: "scene", min: 0, step: 1, "aria-label": "Scene" });
    const shown = element("output", { for: "scene" });
    input.addEventListener("input", () => view.goToScene(Number(input.value)));
    this.updaters.push(() => {
      input.value = view.sceneNumbers().indexOf(view.scene());
      shown.textContent = sceneText(view.scene(), view.sceneCount());
      input.setAttribute("aria-valuetext", shown.textContent);
    });
    const step = (by, label, text) => element("button", { type: "button", "aria-label": label, onclick: () => view.stepScene(by) }, text);
    const row = element("div", { className: "row" }, step(-1, "Previous scene", "\u2039"), input, step(1, "Next scene", "\u203a"));
    const group = element("section", { className: "group" }, element("h3", {}, "Scene"), row, shown);
    this.scene = { group, input };
    return group;
  }

  panelList() {
    const { view } = this;
    this.list = element("div", { className: "panel-list", role: "group", "aria-label": "Images" });
    const count = element("p", { className: "hint" });
    this.updaters.push(() => {
      const [shown, all] = [view.shownPanels().length, view.panels.length];
      for (const [panel, row] of this.rows) row.firstChild.checked = view.isShown(panel);
      count.textContent = `${shown} of ${all} shown`;
      count.hidden = shown === all;
    });
    return element("div", {}, this.list, count);
  }

  panelRow(panel) {
    const input = element("input", { type: "checkbox" });
    input.addEventListener("change", () => this.view.togglePanel(panel, input.checked));
    return element("label", { className: "check" }, input, panel.title);
  }

  slider(name, label, min, max, step, format, disabled) {
    const { store } = this.view;
    const input = element("input", { type: "range", id: name, min, max, step });
    const shown = element("output", { for: name });
    input.addEventListener("input", () => store.set({ [name]: Number(input.value) }));
    this.updaters.push((state) => {
      input.value = state[name];
      input.disabled = disabled(state);
      shown.textContent = format(state[name]);
    });
    return element("div", { className: "slider" }, element("label", { for: name }, label), shown, input);
  }

  buttons(name, options, label) {
    const { store } = this.view;
    const made = options.map(([value, text]) => {
      const button = element("button", { type: "button", id: `${name}-${value}`, onclick: () => store.set({ [name]: value }) }, text);
      this.updaters.push((state) => button.setAttribute("aria-pressed", state[name] === value));
      return button;
    });
    return element("div", { className: "buttons", role: "group", "aria-label": label }, ...made);
  }

  choice(name, label, options) {
    const { store } = this.view;
    const select = element("select", { id: name }, ...options.map(([value, text]) => element("option", { value }, text)));
    select.addEventListener("change", () => store.set({ [name]: select.value }));
    this.updaters.push((state) => (select.value = state[name]));
    return element("div", { className: "row" }, element("label", { for: name }, label), select);
  }

  check(name, label) {
    const { store } = this.view;
    const input = element("input", { type: "checkbox", id: name });
    input.addEventListener("change", () => store.set({ [name]: input.checked }));
    this.updaters.push((state) => (input.checked = state[name]));
    return element("label", { className: "check" }, input, label);
  }

  presets() {
    const { view } = this;
    const made = Object.entries(PRESETS).map(([name, angles]) => this.action(name === "isometric" ? "iso" : name, () => view.look(angles), `view-${name}`));
    return element("div", { className: "buttons presets", role: "group", "aria-label": "View along" },
      element("span", {}, "Along"), ...made, this.action("reset", () => view.resetCamera(), "view-reset"));
  }

  action(text, run, id) {
    return element("button", { type: "button", id, onclick: run }, text);
  }

  saveButton() {
    return this.view.source.canSave ? this.action("Save HTML", () => savePage(this.view), "save-html") : "";
  }
}
