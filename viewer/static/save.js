// The dialog that saves what is shown: a picture of chosen images, a drawing, a film, or the command that draws it again.

import { commandsOf } from "./command.js";
import { filmOf } from "./film.js";
import { element } from "./panels.js";
import { withDpi } from "./png.js";
import { download, stemOf } from "./saving.js";
import { captionOf, MM_A_UNIT, painted, sheetOf } from "./sheet.js";
import { SvgContext } from "./svg.js";

const MM_AN_INCH = 25.4;
const MOST_CANVAS_SIDE = 16384; // of a canvas, pixels

export class SaveDialog {
  constructor(view) {
    this.view = view;
    this.dialog = element("dialog", { id: "save-dialog", "aria-label": "Save" });
    this.dialog.addEventListener("close", () => (this.ended = true));
    this.inputs = {};
    this.chosen = new Map(); // by panel
    document.body.append(this.dialog);
  }

  open() {
    const images = this.view.store.state.tab === "images";
    this.status = element("p", { className: "hint", role: "status" });
    this.line = element("code", { className: "command", tabIndex: 0 });
    const form = element("div", { className: "save-form" },
      ...(images ? [this.panelChoice(), this.partChoice()] : []),
      element("div", { className: "row" },
        this.number("width", "Width (mm)", 20, 1000, 180, "Printed width of picture or drawing"),
        this.number("dpi", "dpi", 50, 1200, 300, "Pixels an inch of the picture, and of pictures in the drawing"),
        this.number("columns", "Columns", 0, 12, 0, "Images beside each other; 0: as many as fit")),
      this.ground(),
      this.check("caption", "Caption with mode, threshold and opacity", true, "A line below the images that says how they are shown"));
    const film = images ? [element("div", { className: "row" },
      this.number("frames", "Frames", 2, 360, 48, "Frames of the film's one turn"),
      this.number("fps", "a second", 1, 50, 20, "Frames a second"),
      this.number("pixels", "Pixels", 160, 1920, 720, "Width of the film")),
    this.action("Save film (GIF)", "save-film", "A turn about the y axis, of the 3D views", () => this.saveFilm())] : [];
    this.dialog.replaceChildren(
      element("h2", {}, "Save"), form,
      element("div", { className: "buttons" },
        this.action("Save PNG", "save-sheet", "A picture in the size above", () => this.savePng()),
        this.action("Save SVG", "save-svg", "A drawing whose letters and lines can be edited", () => this.saveSvg())),
      ...film,
      element("h3", {}, "The same as a command"), this.line,
      element("div", { className: "buttons" },
        this.action("Copy", "copy-command", "Copy the command", () => this.copy()),
        this.action("Close", "close-save", "Close without saving", () => this.dialog.close())),
      this.status);
    this.ended = false;
    this.writeCommand();
    this.dialog.showModal();
  }

  // -- controls

  panelChoice() {
    const rows = this.view.panels.filter((panel) => !panel.problem || panel.volume).map((panel) => {
      const input = element("input", { type: "checkbox", checked: this.view.isShown(panel) });
      input.addEventListener("change", () => this.writeCommand());
      this.chosen.set(panel, input);
      return element("label", { className: "check" }, input, panel.title);
    });
    const all = (on) => {
      for (const input of this.chosen.values()) input.checked = on;
      this.writeCommand();
    };
    return element("div", {}, element("h3", {}, "Images"), element("div", { className: "panel-list", role: "group", "aria-label": "Images to save" }, ...rows),
      element("div", { className: "buttons" }, this.action("All", "save-all", "Choose all images", () => all(true)), this.action("None", "save-none", "Choose no image", () => all(false))));
  }

  partChoice() {
    return element("div", { className: "checks" },
      this.check("stage", "3D views", true, "Whether 3D views are saved"), this.check("sections", "Sections", true, "Whether sections are saved"));
  }

  ground() {
    const options = [["page", "as on the page"], ["white", "white"], ["dark", "dark"], ["transparent", "none"]];
    const kept = this.inputs.ground?.value ?? "page";
    const select = element("select", { id: "save-ground", title: "What stands behind the images" }, ...options.map(([value, text]) => element("option", { value }, text)));
    select.value = kept;
    this.inputs.ground = select;
    return element("div", { className: "row" }, element("label", { for: "save-ground" }, "Ground"), select);
  }

  number(name, label, min, max, first, title) {
    const input = element("input", { type: "number", id: `save-${name}`, min, max, value: this.inputs[name]?.value ?? first, title });
    input.addEventListener("input", () => this.writeCommand());
    this.inputs[name] = input;
    return element("label", { className: "number", title }, label, input);
  }

  check(name, label, first, title) {
    const input = element("input", { type: "checkbox", id: `save-${name}`, checked: this.inputs[name]?.checked ?? first });
    this.inputs[name] = input;
    return element("label", { className: "check", title }, input, label);
  }

  action(text, id, title, run) {
    return element("button", { type: "button", id, title, onclick: run }, text);
  }

  // -- what is chosen

  panels() {
    return this.view.panels.filter((panel) => this.chosen.get(panel)?.checked);
  }

  /** A number as typed, or the nearest that is allowed. */
  numberOf(name) {
    const { value, min, max } = this.inputs[name];
    return Math.min(Number(max), Math.max(Number(min), Number(value) || Number(min)));
  }

  options(parts = { facts: true, stage: this.inputs.stage?.checked, sections: this.inputs.sections?.checked }) {
    const { view } = this;
    const panels = this.panels().filter((panel) => panel.volume);
    const hidden = view.panels.filter((panel) => !panels.includes(panel)).map((panel) => panel.key);
    const caption = this.inputs.caption.checked ? captionOf(view, parts) : "";
    const width = Math.round(this.numberOf("width") / MM_A_UNIT);
    const patch = view.store.state.tab === "images" ? { hidden, alone: null } : {};
    return { panels, parts, columns: this.numberOf("columns"), width, caption, ground: this.inputs.ground.value, patch };
  }

  /** Load what is chosen but was not shown yet; false where nothing can be saved. */
  async prepare() {
    const { view } = this;
    if (view.store.state.tab !== "images") return true;
    const scene = view.scene();
    for (const panel of this.panels().filter((p) => p.loaded !== view.loading.stamp(p, scene))) {
      this.status.textContent = `Loading ${panel.title} \u2026`;
      Object.assign(panel, await view.loading.loadPanel(panel, scene), { loaded: view.loading.stamp(panel, scene) });
      if (!panel.truth && panel.volume) panel.scores = await view.source.scores(panel.file, panel.item, scene).catch(() => ({}));
      view.writeCaptions([panel]);
    }
    const any = this.panels().some((panel) => panel.volume);
    this.status.textContent = any ? "" : "No image is chosen.";
    return any && (this.inputs.stage.checked || this.inputs.sections.checked || this.nothingToDraw());
  }

  nothingToDraw() {
    this.status.textContent = "Neither 3D views nor sections are chosen.";
    return false;
  }

  writeCommand() {
    const panels = this.view.store.state.tab === "images" ? this.panels() : this.view.shownPanels();
    const lines = commandsOf(this.view, panels, { width: this.numberOf("width"), dpi: this.numberOf("dpi") });
    this.line.textContent = lines.join("\n");
  }

  // -- saving

  /** Do something that may fail, and tell. */
  async attempt(work) {
    try {
      if (await this.prepare()) await work();
    } catch (error) {
      this.status.textContent = `That could not be saved: ${error.message}`;
    }
  }

  savePng() {
    return this.attempt(async () => {
      const options = this.options();
      const blob = await new Promise((done) => painted(this.view, options.patch, options.ground, () => {
        const sheet = sheetOf(this.view, options);
        const density = (this.numberOf("dpi") / MM_AN_INCH) * MM_A_UNIT;
        const [width, height] = [sheet.width, sheet.height].map((n) => Math.round(n * density));
        if (Math.max(width, height) > MOST_CANVAS_SIDE) throw new Error(`${width} \u00d7 ${height} pixels, more than ${MOST_CANVAS_SIDE} a side: choose fewer images, fewer dpi or more columns`);
        const canvas = Object.assign(document.createElement("canvas"), { width, height });
        const context = canvas.getContext("2d");
        context.setTransform(density, 0, 0, density, 0, 0);
        sheet.paint(context, density);
        canvas.toBlob(done, "image/png");
      }));
      download(await withDpi(blob, this.numberOf("dpi")), `${stemOf(this.view)}.png`);
      this.dialog.close();
    });
  }

  saveSvg() {
    return this.attempt(async () => {
      const options = this.options();
      const text = painted(this.view, options.patch, options.ground, () => {
        const sheet = sheetOf(this.view, options);
        const context = new SvgContext(sheet.width, sheet.height, (this.numberOf("dpi") / MM_AN_INCH) * MM_A_UNIT);
        sheet.paint(context, context.density);
        return context.text(sheet.width * MM_A_UNIT);
      });
      download(new Blob([text], { type: "image/svg+xml" }), `${stemOf(this.view)}.svg`);
      this.dialog.close();
    });
  }

  saveFilm() {
    return this.attempt(async () => {
      const options = this.options({ facts: false, stage: true, sections: false });
      const frames = this.numberOf("frames");
      const told = (n) => (this.status.textContent = `Frame ${n + 1} of ${frames}; closing stops it`);
      const cancelled = () => this.ended;
      const film = await filmOf(this.view, options, { frames, fps: this.numberOf("fps"), pixels: this.numberOf("pixels"), told, cancelled });
      if (film) download(film, `${stemOf(this.view)}.gif`);
      if (film) this.dialog.close();
    });
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.line.textContent);
      this.status.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(this.line); // where the browser refuses: for Ctrl-C
      this.status.textContent = "Selected: copy it with Ctrl-C.";
    }
  }
}
