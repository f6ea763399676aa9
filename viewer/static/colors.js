// Colour: the maps that the program's figures use, what a magnitude's colour is, and the theme's inks.

import { HALVES } from "./volume.js";

const tables = new Map();
const lookups = new Map();
const MOST_LOOKUPS = 24;
export const CYCLIC = "twilight";
export const DIVERGING = "RdBu_r";
const ONE = 15360; // the half that holds 1, the most that there is

/** Take the colour maps, 256 x 3 bytes each in base64. */
export function setTables(encoded) {
  for (const [name, text] of Object.entries(encoded)) {
    tables.set(name, Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
  }
}

export function tableOf(name) {
  return tables.get(name);
}

/** Place on the colour scale, 0 to 1, of a magnitude relative to the reference. */
export function levelOf(magnitude, { scale, floor, top }) {
  if (scale === "linear") return Math.min(1, Math.max(0, magnitude / 10 ** (top / 20)));
  return magnitude > 0 ? Math.min(1, Math.max(0, (20 * Math.log10(magnitude) - floor) / (top - floor))) : 0;
}

/** Colour of each of the 65536 halves times `gain`, as the four bytes of a pixel. */
export function halfColors(state, gain) {
  const key = [state.colors, state.scale, state.floor, state.top, gain].join(" ");
  if (!lookups.has(key)) {
    if (lookups.size >= MOST_LOOKUPS) lookups.delete(lookups.keys().next().value);
    lookups.set(key, makeLookup(state, gain));
  }
  return lookups.get(key);
}

function makeLookup(state, gain) {
  const table = tableOf(state.colors);
  const lookup = new Uint32Array(65536).fill(pixelOf(colorAt(table, 0)));
  const least = state.scale === "linear" ? 0 : 10 ** (state.floor / 20);
  for (let bits = 0; bits <= ONE; bits += 1) {
    if (HALVES[bits] * gain > least) lookup[bits] = pixelOf(colorAt(table, levelOf(HALVES[bits] * gain, state)));
  }
  return lookup;
}

/** Red, green and blue at a place of a colour map, 0 to 1, between its 256 colours in proportion. */
export function colorAt(table, level) {
  const n = Math.min(254, Math.floor(255 * level));
  const part = 255 * level - n;
  return [0, 1, 2].map((c) => Math.round(table[3 * n + c] * (1 - part) + table[3 * n + 3 + c] * part));
}

const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The four bytes of an opaque pixel in this machine's order. */
export function pixelOf([red, green, blue]) {
  const bytes = LITTLE_ENDIAN ? [255, blue, green, red] : [red, green, blue, 255];
  return ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
}

/** Colours of lines and letters on canvases, from the style sheet as it is for an element. */
export function inks(element = document.documentElement) {
  const style = getComputedStyle(element);
  const names = ["text", "muted", "line", "faint", "edge", "panel", "ground", "accent", "tx", "rx"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** How bright a colour of bytes looks, 0 to 1 (relative luminance). */
function luminance(color) {
  const [r, g, b] = color.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Which ground a map's strongest colour stands out from: dark, unless it is itself dark as that of jet. */
export function groundOf(name) {
  const table = tableOf(name);
  return luminance([...table.subarray(table.length - 3)]) > 0.22 ? "dark" : "light";
}

export const CURVE_NAMES = ["--curve-1", "--curve-2", "--curve-3", "--curve-4", "--curve-5", "--curve-6"];

export function curveColor(n) {
  return getComputedStyle(document.documentElement).getPropertyValue(CURVE_NAMES[n % CURVE_NAMES.length]).trim();
}

export const FONT = '"Segoe UI", "DejaVu Sans", "Liberation Sans", Arial, sans-serif';

/** The colour bar with its ticks and what it means, for `paint(context, width, height)`. */
export function paintBar(context, width, height, state, { text, line }, ticks, label, mark = null) {
  const [left, right, top, bar] = [14, width - 14, 8, 12];
  const table = tableOf(state.colors);
  for (let x = left; x < right; x += 1) {
    context.fillStyle = `rgb(${colorAt(table, (x - left + 0.5) / (right - left)).join(",")})`;
    context.fillRect(x, top, 1.5, bar);
  }
  context.strokeStyle = line;
  context.strokeRect(left - 0.5, top - 0.5, right - left + 1, bar + 1);
  context.fillStyle = text;
  context.textAlign = "center";
  context.textBaseline = "top";
  context.font = `11px ${FONT}`;
  for (const [place, name] of ticks) {
    const x = left + place * (right - left);
    context.fillRect(x - 0.5, top + bar, 1, 4);
    context.fillText(name, x, top + bar + 6);
  }
  context.fillText(label, width / 2, top + bar + 21);
  if (mark === null) return;
  const x = left + Math.min(1, Math.max(0, mark)) * (right - left); // the threshold: a triangle above the bar
  context.beginPath();
  context.moveTo(x, top - 1);
  context.lineTo(x - 5, 0);
  context.lineTo(x + 5, 0);
  context.fill();
}
