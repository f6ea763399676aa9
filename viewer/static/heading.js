// The head of the page: which files and scene, and the colour bar.

import { inks, paintBar } from "./colors.js";
import { plain, ticks } from "./numbers.js";

/** Name the files, and what is known of the scene. */
export function writeHeading(view) {
  const { files } = view.facts;
  const scene = view.scene();
  const facts = files[0] ?? {};
  const snr = facts.snr_db?.[scene];
  const parts = [facts.source, view.sceneCount() > 1 ? `scene ${scene}` : "", Number.isFinite(snr) ? `SNR ${plain(snr, 0)} dB` : ""];
  if (facts.tx) parts.push(`${facts.tx.length} \u00d7 ${facts.rx.length} antennas, ${facts.n_freq} frequencies`);
  const names = files.map((file) => file.name).join(", ");
  document.getElementById("title").textContent = names;
  document.getElementById("subtitle").textContent = parts.filter(Boolean).join(" \u00b7 ");
  document.title = `${names} \u2013 mimo-imaging`;
}

/** The colour bar with ticks in the unit of the scale, and what they are relative to. */
export function paintScale(context, width, height, state) {
  const linear = state.scale === "linear";
  const values = linear ? ticks(0, 1, 5) : ticks(state.floor, 0, 6);
  const places = values.map((v) => [linear ? v : 1 - v / state.floor, plain(v)]);
  const whose = state.norm === "own" ? "each image's own maximum" : "the largest maximum shown";
  paintBar(context, width, height, state, inks(), places, `magnitude relative to ${whose}${linear ? "" : " (dB)"}`);
}
