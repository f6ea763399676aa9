// The view that is shown as a command of the program, which draws it again without a browser.

import { DEFAULTS } from "./state.js";

/** A word as a shell takes it. */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

const sixDigits = (value) => String(Number(value.toPrecision(6)));

/** A line a file whose images `panels` are; what stands at its default is left out. */
export function commandsOf(view, panels, { width, dpi }) {
  const { state } = view.store;
  const files = view.facts.files.map((file, f) => [file, f]).filter(([file]) => !file.problem);
  const scene = view.scene() ? ["--scene", String(view.scene())] : [];
  if (state.tab === "measurement") return files.map(([file]) => shellLine(["mimo", "info", file.name, "--figure", pictureName(file, "-overview"), ...scene]));
  const lines = files.map(([file, f]) => [file, panels.filter((panel) => panel.file === f)]).filter(([, shown]) => shown.length);
  return lines.map(([file, shown]) => {
    const methods = shown.filter((panel) => !panel.truth);
    const all = methods.length === file.items.filter((item) => !item.truth).length;
    const chosen = all ? [] : methods.flatMap((panel) => ["--method", file.items[panel.item].name]);
    const truth = file.items.some((item) => item.truth) && !shown.some((panel) => panel.truth);
    const size = [...(width ? ["--width-mm", String(width)] : []), ...(dpi && dpi !== 200 ? ["--dpi", String(dpi)] : [])];
    if (state.tab === "history") return shellLine(["mimo", "figure", file.name, pictureName(file, "-history"), "--history", ...scene, ...chosen, ...size]);
    return shellLine(["mimo", "figure", file.name, pictureName(file, ""), ...scene, ...(methods.length ? chosen : ["--method", "truth"]), ...(truth ? ["--no-truth"] : []), ...viewWords(view, state), ...size]);
  });
}

function pictureName(file, ending) {
  return `${file.name.replace(/\.[^.]*$/, "")}${ending}.png`;
}

function viewWords(view, state) {
  const cross = view.cross();
  return [
    ...(state.floor === DEFAULTS.floor ? [] : ["--floor-db", sixDigits(state.floor)]),
    ...(state.threshold === DEFAULTS.threshold ? [] : ["--level-db", sixDigits(state.threshold)]),
    ...(state.colors === DEFAULTS.colors ? [] : ["--cmap", state.colors]),
    ...(state.scale === "linear" ? ["--linear"] : []),
    ...(state.norm === "common" ? ["--common-scale"] : []),
    ...(state.sections === "slices" && cross ? [`--at=${cross.map(sixDigits).join(",")}`] : []),
    `--look=${sixDigits(state.azimuth)},${sixDigits(state.elevation)}`,
  ];
}

function shellLine(words) {
  return words.map(quoted).join(" ");
}
