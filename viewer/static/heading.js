// The head of the page: which files and scene, and the colour bar.

import { CYCLIC, DIVERGING, inks, levelOf, paintBar } from "./colors.js";
import { MOST_DIFFERENCE } from "./compare.js";
import { plain, ticks } from "./numbers.js";
import { element } from "./panels.js";
import { shownThreshold } from "./state.js";

/** A scene's number among those that there are. */
export function sceneText(scene, count) {
  return `scene ${scene} (0\u2013${count - 1})`;
}

/** How many antennas or channels a file has, in words. */
export function arrayText({ tx, rx, paired, monostatic, n_channel: channels }) {
  if (monostatic) return `monostatic, ${channels} positions`;
  return paired ? `${channels} listed channels` : `${tx.length} \u00d7 ${rx.length} antennas`;
}

/** The band of a sweep in GHz, or in MHz below 1 GHz. */
export function bandText([low, high]) {
  const [unit, name] = high >= 1e9 ? [1e9, "GHz"] : [1e6, "MHz"];
  const [from, to] = [low, high].map((f) => plain(Number((f / unit).toPrecision(4))));
  return low === high ? `${to} ${name}` : `${from}\u2013${to} ${name}`;
}

/** Lengths along x, y, z as one text in millimetres, centimetres or metres; what is not known is a dash. */
export function lengthsText(lengths) {
  const finite = lengths.filter((l) => l > 0);
  const most = Math.max(...finite);
  const [unit, name] = most < 0.1 ? [1e-3, "mm"] : [1, "m"];
  const texts = lengths.map((l) => (l > 0 ? plain(Number((l / unit).toPrecision(3))) : "\u2013"));
  return `${texts.every((t) => t === texts[0]) ? texts[0] : texts.join(" \u00d7 ")} ${name}`;
}

/** Spacings of a grid's voxels, metres; 0 along an axis of one. */
function spacings(grid) {
  return ["x", "y", "z"].map((name) => (grid[name].length > 1 ? (grid[name].at(-1) - grid[name][0]) / (grid[name].length - 1) : 0));
}

/** What is known of a file's scene, in one line. */
function lineOf(file, scene) {
  const snr = file.snr_db?.[scene];
  const parts = [file.source, Number.isFinite(snr) ? `SNR ${plain(snr, 0)} dB` : ""];
  if (file.tx?.length) parts.push(`${arrayText(file)}, ${file.n_freq} ${file.n_freq > 1 ? "frequencies" : "frequency"}`, bandText(file.band));
  if (file.permittivity > 1) parts.push(`permittivity ${plain(Number(file.permittivity.toPrecision(4)))}`);
  if (file.setup?.resolution?.some((r) => r)) parts.push(`expected resolution ${lengthsText(file.setup.resolution)}`);
  if (file.grid) {
    const size = spacings(file.grid);
    const spaced = size.some((s) => s > 0) ? ` of ${lengthsText(size)}` : "";
    parts.push(`${["x", "y", "z"].map((name) => file.grid[name].length).join(" \u00d7 ")} voxels${spaced}`);
  }
  return parts.filter(Boolean).join(" \u00b7 ");
}

/** Name the files, and what is known of the scene: once where all files agree, else file by file. */
export function writeHeading(view) {
  const files = view.facts.files.filter((file) => !file.problem);
  const scene = view.scene();
  const lines = files.map((file) => lineOf(file, scene));
  const alike = lines.every((line) => line === lines[0]);
  const told = alike ? lines.slice(0, 1) : lines.map((line, n) => `${files[n].name}: ${line}`);
  const names = view.facts.files.map((file) => file.name).join(", ");
  document.getElementById("title").textContent = names;
  const which = view.sceneCount() > 1 ? sceneText(scene, view.sceneCount()) : "";
  const shown = [which && alike ? `${which} \u00b7 ${told[0]}` : which, ...told.slice(which && alike ? 1 : 0)].filter(Boolean);
  writeLines(document.getElementById("subtitle"), shown);
  document.title = `${names} \u2013 mimo-imaging`;
}

/** Write lines of facts; where a line is too long for the page it breaks between facts. */
function writeLines(root, lines) {
  const factsOf = (line) => line.split(" \u00b7 ").flatMap((fact, n, all) => [element("span", { className: "fact" }, n < all.length - 1 ? `${fact}\u00a0\u00b7` : fact), n < all.length - 1 ? " " : ""]);
  root.replaceChildren(...lines.flatMap((line, n) => [n ? "\n" : "", ...factsOf(line)]).filter(Boolean));
}

/** The colour bar with ticks in the unit of the scale, what they are relative to, and the threshold where it acts. */
export function paintScale(context, width, height, state) {
  if (state.tab === "images" && state.compare === "difference") {
    const places = [-1, -0.5, 0, 0.5, 1].map((part) => [(part + 1) / 2, plain(part * MOST_DIFFERENCE)]);
    paintBar(context, width, height, { ...state, colors: DIVERGING }, inks(), places, "sections: image minus the one that it is compared with (dB)");
    return;
  }
  const ofMeasurement = state.tab === "measurement";
  if (ofMeasurement ? state.measured === "phase" : state.tab === "images" && state.show === "phase") {
    const places = [-180, -90, 0, 90, 180].map((degrees) => [(degrees + 180) / 360, plain(degrees)]);
    paintBar(context, width, height, { ...state, colors: CYCLIC }, inks(), places, ofMeasurement ? "phase (degrees)" : "sections: phase (degrees), clear below the floor");
    return;
  }
  if (state.tab === "images" && ["real", "imaginary"].includes(state.show)) {
    const most = 10 ** (state.top / 20);
    const places = [-1, -0.5, 0, 0.5, 1].map((part) => [(part + 1) / 2, plain(Number((part * most).toPrecision(3)))]);
    paintBar(context, width, height, { ...state, colors: DIVERGING }, inks(), places, `sections: ${state.show} part relative to the maximum`);
    return;
  }
  const linear = state.scale === "linear";
  const { floor, top } = state;
  const high = linear ? 10 ** (top / 20) : top;
  const values = linear ? ticks(0, high, 5) : ticks(floor, top, 6);
  const places = values.map((v) => [linear ? v / high : (v - floor) / (top - floor), plain(v)]);
  const ofImages = state.norm === "own" ? "each image's own maximum" : "the largest maximum shown";
  const whose = state.tab === "measurement" ? "the measurement's own maximum" : ofImages;
  const label = `magnitude relative to ${whose}${linear ? "" : " (dB)"}`;
  const acts = state.tab === "images" && state.mode !== "maximum";
  const mark = acts ? levelOf(10 ** (shownThreshold(state) / 20), state) : null;
  paintBar(context, width, height, state, inks(), places, label, mark);
}
