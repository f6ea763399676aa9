// How many voxels of the images have which level.

import { curveColor, inks } from "./colors.js";
import { LOWEST, shownThreshold } from "./state.js";
import { HALVES } from "./volume.js";

const counted = new WeakMap(); // by volume: voxels a decibel, the strongest first

/** Numbers of voxels from 0 to -1 dB, from -1 to -2 dB and so on down to the lowest level, relative to the maximum. */
export function levelCounts(volume) {
  if (!counted.has(volume)) {
    const byHalf = new Uint32Array(65536);
    for (const half of volume.halves) byHalf[half] += 1;
    const counts = new Float64Array(-LOWEST);
    for (let half = 1; half <= 15360; half += 1) {
      const at = Math.floor(-20 * Math.log10(HALVES[half]));
      if (byHalf[half] && at < counts.length) counts[Math.max(0, at)] += byHalf[half];
    }
    counted.set(volume, counts);
  }
  return counted.get(volume);
}

/** A curve for each image that is shown, against its own maximum, with lines at the levels that are set. */
export function paintHistogram(context, width, height, view) {
  const { state } = view.store;
  const ink = inks();
  const shown = view.shownPanels().filter((panel) => panel.volume?.peak);
  const all = shown.map(({ volume }) => levelCounts(volume));
  const most = Math.log10(Math.max(10, ...all.flatMap((counts) => [...counts])));
  const x = (db) => (1 - db / LOWEST) * width;
  const y = (count) => height - 1 - (count ? Math.log10(count) + 0.3 : 0) * ((height - 3) / (most + 0.3));
  context.lineWidth = 1.2;
  all.forEach((counts, n) => {
    context.strokeStyle = curveColor(view.panels.indexOf(shown[n]));
    context.beginPath();
    counts.forEach((count, at) => context.lineTo(x(-at - 0.5), y(count)));
    context.stroke();
  });
  context.lineWidth = 1;
  const lines = state.scale === "linear" ? [state.top] : [state.floor, state.top];
  const marks = [...lines.map((db) => [db, ink.muted]), ...(state.mode === "maximum" ? [] : [[shownThreshold(state), ink.accent]])];
  for (const [db, color] of marks) {
    context.fillStyle = color;
    context.fillRect(Math.min(width - 1, Math.max(0, Math.round(x(db)))), 0, 1, height);
  }
}
