// The head of the page: which files and scene, and the colour bar.

import { inks, paintBar } from "./colors.js";
import { plain, ticks } from "./numbers.js";

/** A scene's number among those that there are. */
export function sceneText(scene, count) {
  return `scene ${scene} (0\u2013${count - 1})`;
}

/** What is known of a file's scene, in one line. */
function lineOf(file, scene) {
  const snr = file.snr_db?.[scene];
  const parts = [file.source, Number.isFinite(snr) ? `SNR ${plain(snr, 0)} dB` : ""];
  if (file.tx) parts.push(`${file.tx.length} \u00d7 ${file.rx.length} antennas, ${file.n_freq} frequencies`);
  if (file.grid) parts.push(`${["x", "y", "z"].map((name) => file.grid[name].length).join(" \u00d7 ")} voxels`);
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
  document.getElementById("subtitle").textContent = [which && alike ? `${which} \u00b7 ${told[0]}` : which, ...told.slice(which && alike ? 1 : 0)].filter(Boolean).join("\n");
  document.title = `${names} \u2013 mimo-imaging`;
}

/** The colour bar with ticks in the unit of the scale, and what they are relative to. */
export function paintScale(context, width, height, state) {
  const linear = state.scale === "linear";
  const values = linear ? ticks(0, 1, 5) : ticks(state.floor, 0, 6);
  const places = values.map((v) => [linear ? v : 1 - v / state.floor, plain(v)]);
  const ofImages = state.norm === "own" ? "each image's own maximum" : "the largest maximum shown";
  const whose = state.tab === "measurement" ? "the measurement's own maximum" : ofImages;
  paintBar(context, width, height, state, inks(), places, `magnitude relative to ${whose}${linear ? "" : " (dB)"}`);
}
