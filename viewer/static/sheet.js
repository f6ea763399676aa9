// A sheet to be saved: chosen images beside each other with their texts, the colour bar and a caption, or the plots of a tab.

import { FONT, inks } from "./colors.js";
import { paintScale, sceneText } from "./heading.js";
import { decibels, plain } from "./numbers.js";
import { flatView } from "./section_layout.js";

const [SHEET_MARGIN, SHEET_GAP, SHEET_LINE, SHEET_TITLE, SHEET_BAR] = [12, 14, 15, 18, 54];
const SHEET_PANEL = 330; // narrowest panel with sections, whose numbers can be read
const MOST_STAGE_PIXELS = 2400; // of a 3D picture's width
const COMPARED = { outline: "with the outline of", difference: "difference to", blink: "in turn with", wipe: "left of the divider" };
const PLOT_ASPECT = 0.62; // height of a plot by its width
export const MM_A_UNIT = ((7 / 72) * 25.4) / 11; // letters of 11 units are printed in 7 points

/** Themes of the grounds that may be chosen, and their colour; null: that of the page. */
export const GROUNDS = {
  page: { theme: null, color: null },
  white: { theme: "light", color: "#ffffff" },
  dark: { theme: "dark", color: "#000000" },
  transparent: { theme: "light", color: "" },
};

/** Run `paint` with another state and theme; nobody is told, and all is as before when it ends. */
export function painted(view, patch, ground, paint) {
  const { store } = view;
  const before = store.state;
  const root = document.documentElement;
  const { theme } = root.dataset;
  store.state = { ...before, ...patch };
  if (GROUNDS[ground].theme) root.dataset.theme = GROUNDS[ground].theme;
  try {
    return paint();
  } finally {
    store.state = before;
    if (theme === undefined) delete root.dataset.theme;
    else root.dataset.theme = theme;
  }
}

/** What the page shows, in words: mode, threshold, opacity, scale, reference, scene. */
export function captionOf(view, { stage, sections }) {
  const { state } = view.store;
  const parts = [];
  if (state.tab === "images") {
    const threshold = `threshold ${decibels(state.threshold)}`;
    const words = { volume: `volume, ${threshold}, opacity ${plain(state.opacity, 2)}`, maximum: "maximum along the ray", surface: `surface, ${threshold}` };
    const cross = view.cross();
    const at = cross && state.sections === "slices" ? ` through ${["x", "y", "z"].map((n, i) => `${n} ${plain(Number(cross[i].toPrecision(4)))}`).join(", ")} m` : "";
    if (stage) parts.push(words[state.mode]);
    if (sections) parts.push(`${state.sections}${at}`);
    if (sections && state.compare !== "none" && view.reference()) parts.push(`${COMPARED[state.compare]} ${view.reference().title}`);
  }
  const top = state.top ? ` to ${decibels(state.top)}` : "";
  parts.push(state.scale === "db" ? `floor ${decibels(state.floor)}${top}` : `linear${top && `, up${top}`}`);
  if (state.tab === "images") parts.push(state.norm === "own" ? "each image to its own maximum" : "all to the largest maximum");
  if (view.sceneCount() > 1) parts.push(sceneText(view.scene(), view.sceneCount()));
  return parts.join("; ");
}

/**
 * Lay out a sheet `width` units wide; `paint(context, density)` draws it. `parts` says what of each image is drawn:
 * `facts`, `stage`, `sections`; `columns` is 0 for as many as fit.
 */
export function sheetOf(view, { panels, parts, columns, width, caption, ground }) {
  const plots = view.store.state.tab === "images" ? null : plotsOf(view);
  const measuring = document.createElement("canvas").getContext("2d");
  const count = plots ? plots.length : panels.length;
  const narrowest = plots ? 300 : parts.sections ? SHEET_PANEL : 160;
  const fitting = Math.max(1, Math.floor((width - 2 * SHEET_MARGIN + SHEET_GAP) / (narrowest + SHEET_GAP)));
  const across = Math.max(1, Math.min(columns || fitting, count));
  const each = (width - 2 * SHEET_MARGIN - (across - 1) * SHEET_GAP) / across;
  const blocks = plots
    ? plots.map((plot) => plotBlock(plot, each))
    : panels.map((panel) => panelBlock(measuring, view, panel, parts, each));
  const foot = caption ? wrapped(measuring, caption, width - 2 * SHEET_MARGIN) : [];
  const rows = [];
  for (let n = 0; n < blocks.length; n += across) rows.push(blocks.slice(n, n + across));
  const withBar = !plots || view.store.state.tab === "measurement";
  let height = SHEET_MARGIN;
  for (const row of rows) {
    const texts = Math.max(...row.map((block) => block.texts.length));
    row.forEach((block, n) => Object.assign(block, { left: SHEET_MARGIN + n * (each + SHEET_GAP), top: height, spare: (texts - block.texts.length) * SHEET_LINE }));
    height += Math.max(...row.map((block) => block.height + block.spare)) + SHEET_GAP;
  }
  const barTop = height;
  height += (withBar ? SHEET_BAR : 0) + foot.length * SHEET_LINE + SHEET_MARGIN / 2;
  const paint = (context, density) => {
    const ink = inks();
    const color = GROUNDS[ground].color ?? getComputedStyle(document.body).backgroundColor;
    context.fillStyle = color || "#ffffff";
    if (color) context.fillRect(0, 0, width, height);
    for (const block of blocks) block.paint(context, block, ink, density);
    if (withBar) {
      const room = Math.min(420, width - 2 * SHEET_MARGIN);
      within(context, (width - room) / 2, barTop, () => paintScale(context, room, SHEET_BAR, view.store.state));
    }
    sheetLines(context, foot, SHEET_MARGIN, barTop + (withBar ? SHEET_BAR : 0), ink.muted);
  };
  return { width, height, paint };
}

/** A panel's block: title and facts, then its pictures. */
function panelBlock(measuring, view, panel, parts, width) {
  measuring.font = `11px ${FONT}`;
  const facts = [...panel.caption.querySelectorAll(".fact")].map((fact) => fact.textContent.replace(/^[\s\u00b7]+|[\s\u00b7]+$/g, "").replace(/(\d) (?=\S+$|%)/g, "$1\u00a0"));
  const texts = parts.facts ? wrapped(measuring, facts.join(" \u00b7 "), width) : [];
  const flat = panel.volume && !view.store.state.sheets && flatView(panel.volume); // has one picture, and none in space
  const stage = parts.stage && !flat ? Math.round((width * 7) / 8) : 0;
  const sections = panel.volume && (parts.sections || flat) ? view.sections.layout(panel, width).height : 0;
  const paint = (context, { left, top, spare }, ink, density) => {
    writeTitle(context, panel.title, left, top, width, ink);
    sheetLines(context, texts, left, top + SHEET_TITLE, ink.muted);
    let y = top + SHEET_TITLE + texts.length * SHEET_LINE + spare;
    if (stage) {
      const fine = Math.min(density, MOST_STAGE_PIXELS / width);
      within(context, left, y, () => clipped(context, width, stage, () => view.scenes.paintPicture(context, panel, width, stage, fine)));
      y += stage + 4;
    }
    if (sections) within(context, left, y, () => view.sections.paintInto(context, panel, width, density));
  };
  return { texts, height: SHEET_TITLE + texts.length * SHEET_LINE + stage + (stage ? 4 : 0) + sections, paint };
}

/** The plots of the tab that is shown, with what they are called. */
function plotsOf(view) {
  const { tab } = view.store.state;
  const page = document.getElementById(`page-${tab}`);
  const legend = [...page.querySelectorAll(".entry")].map((entry) => ({ mark: entry.querySelector("canvas"), name: entry.textContent }));
  return [...page.querySelectorAll("canvas.plot")].filter((canvas) => canvas.clientWidth).map((canvas) => ({ canvas, legend, name: canvas.getAttribute("aria-label") }));
}

function plotBlock({ canvas, legend, name }, width) {
  const height = Math.round(width * PLOT_ASPECT);
  const texts = legend.length ? [""] : [];
  const paint = (context, { left, top, spare }, ink, density) => {
    writeTitle(context, name, left, top, width, ink);
    let x = left;
    for (const entry of legend) {
      within(context, x, top + SHEET_TITLE, () => entry.mark.painter(context, 22, 12, density));
      context.setLineDash([]);
      sheetLines(context, [entry.name], x + 26, top + SHEET_TITLE, ink.text);
      x += 26 + context.measureText(entry.name).width + 12;
    }
    within(context, left, top + SHEET_TITLE + texts.length * SHEET_LINE + spare, () => canvas.painter(context, width, height, density));
  };
  return { texts, height: SHEET_TITLE + texts.length * SHEET_LINE + height, paint };
}

function within(context, left, top, paint) {
  context.save();
  context.translate(left, top);
  context.lineWidth = 1;
  paint();
  context.restore();
}

function clipped(context, width, height, paint) {
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  paint();
}

function writeTitle(context, text, left, top, width, ink) {
  context.font = `600 13px ${FONT}`;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillStyle = ink.text;
  let shown = text;
  while (shown.length > 1 && context.measureText(shown).width > width) shown = `${shown.replace(/\u2026$/, "").slice(0, -1)}\u2026`;
  context.fillText(shown, left, top);
}

function sheetLines(context, lines, left, top, color) {
  context.font = `11px ${FONT}`;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillStyle = color;
  lines.forEach((line, n) => context.fillText(line, left, top + n * SHEET_LINE + 1));
}

/** Lines of a text that fit into a width, broken between words. */
function wrapped(context, text, width) {
  context.font = `11px ${FONT}`;
  const lines = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
