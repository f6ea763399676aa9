// Keys that work anywhere on the page, unless a control that uses the key itself has the focus.

import { PRESETS, turned } from "./camera.js";
import { element } from "./panels.js";
import { savePicture } from "./saving.js";
import { zoomed } from "./scene3d.js";

const LINES = [
  ["Page Down, Page Up", "next and previous scene"],
  ["1, 2, 3", "volume, maximum, surface"],
  ["x, y, z, i", "look along an axis, isometric"],
  ["o", "orthographic or perspective"],
  ["arrows on a 3D view", "turn; with Shift: move"],
  ["Enter on a 3D view", "crosshair to the strongest voxel behind its middle"],
  ["+, \u2212, Home", "nearer, further, reset; on sections: of the sections"],
  ["arrows, Page keys on sections", "move the crosshair by a voxel; with Shift by ten"],
  ["f, Escape", "show one image alone, all again"],
  ["g, m", "crosshair to the peak, mark where the crosshair is"],
  ["s", "slices or maxima"],
  ["d", "dB or linear"],
  ["n", "each to its own maximum, or all to one"],
  ["a", "antennas"],
  ["p", "save PNG"],
  ["c", "controls of a narrow window"],
  ["Shift and p", "save in a size, as a drawing, a film or a command"],
  ["?", "this list"],
  ["drag, Ctrl and wheel, right-drag", "turn, zoom, move; with fingers: one turns, two zoom"],
  ["click, double click on a 3D view", "crosshair to the strongest voxel behind it, image alone"],
];

export function fillHelp(dialog) {
  const rows = LINES.flatMap(([key, text]) => [element("dt", {}, key), element("dd", {}, text)]);
  const close = element("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(element("h2", {}, "Keys"), element("dl", {}, ...rows), close);
}

const other = (state, name, a, b) => ({ [name]: state[name] === a ? b : a });

function actions(view) {
  const { store } = view;
  const { state } = store;
  const look = (name) => () => view.look(PRESETS[name]);
  const everywhere = {
    PageDown: () => view.stepScene(1),
    PageUp: () => view.stepScene(-1),
    d: () => store.set(other(state, "scale", "db", "linear")),
    p: () => savePicture(view),
    c: () => view.toggleMenu(),
    P: () => view.saveDialog.open(),
    "?": () => view.showHelp(),
  };
  if (["images", "analysis"].includes(state.tab)) {
    everywhere.g = () => view.goToPeak();
    everywhere.m = () => view.toggleMark();
    everywhere.n = () => store.set(other(state, "norm", "own", "common"));
  }
  if (state.tab !== "images") return everywhere;
  return {
    ...everywhere,
    1: () => store.set({ mode: "volume" }),
    2: () => store.set({ mode: "maximum" }),
    3: () => store.set({ mode: "surface" }),
    x: look("x"),
    y: look("y"),
    z: look("z"),
    i: look("isometric"),
    o: () => store.set(other(state, "projection", "orthographic", "perspective")),
    s: () => store.set(other(state, "sections", "slices", "maxima")),
    a: () => store.set({ antennas: !state.antennas }),
    "+": () => store.set(zoomed(state, 1.2)),
    "=": () => store.set(zoomed(state, 1.2)),
    "-": () => store.set(zoomed(state, 1 / 1.2)),
    Home: () => view.resetCamera(),
    f: () => view.toggleAlone(panelInFocus(view)),
    Escape: () => store.set({ alone: null }),
  };
}

/** The panel that holds the focus, else the one that is shown alone, else the first. */
function panelInFocus(view) {
  const shown = view.shownPanels();
  return shown.find((panel) => panel.element.contains(document.activeElement)) ?? shown[0] ?? { key: null };
}

function turnKey(view, event) {
  const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
  if (!step || !event.target.classList.contains("stage")) return false;
  const { store } = view;
  const { panX, panY } = store.state;
  store.set(event.shiftKey ? { panX: panX + step[0] / 200, panY: panY - step[1] / 200 } : turned(store.state, ...step));
  return true;
}

export function listenToKeys(view) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    const own = target.matches("select, input[type=range]") && (event.key.length > 1 || target.matches("select"));
    if (own || (target.matches("input[type=number], input[type=text]") && event.key !== "Escape")) return;
    const action = actions(view)[event.key];
    if (!turnKey(view, event) && action) action();
    else if (!action && !event.defaultPrevented && !event.key.startsWith("Arrow")) return;
    if (action || target.classList.contains("stage")) event.preventDefault();
  });
}
