// The panels: one for each image, with its caption, its 3D picture, its flat pictures and its value at the crosshair.

import { HALVES, levelText } from "./volume.js";
import { plain } from "./numbers.js";

/** An element with properties, attributes (those with a dash, and role) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Put children into their order under a parent; those that stand right are not touched, and keep the focus. */
export function arrange(parent, children) {
  for (const child of [...parent.children]) if (!children.includes(child)) child.remove();
  children.forEach((child, n) => {
    if (parent.children[n] !== child) parent.insertBefore(child, parent.children[n] ?? null);
  });
}

/** Put new children under a parent; the keyboard stays at the same one of its stops. */
export function replaceWithFocus(parent, ...children) {
  const stops = () => [...parent.querySelectorAll("button, [tabindex]")];
  const at = stops().indexOf(document.activeElement);
  parent.replaceChildren(...children);
  if (at >= 0) stops()[at]?.focus({ preventScroll: true });
}

/** Every image of every file, as panels without data. */
export function panelsOf(facts) {
  return facts.files.flatMap((file, f) =>
    file.items.map((item, n) => ({
      key: `${f}.${item.name}`,
      file: f,
      item: n,
      facts: file,
      truth: item.truth,
      relative: item.relative,
      title: facts.files.length > 1 ? `${item.name} \u00b7 ${file.name}` : item.name,
      volume: null,
      header: null,
      scores: {},
      problem: "",
    })),
  );
}

/** Make a panel's elements. */
export function buildPanel(panel, toggleAlone) {
  const label = (what) => `${what} of ${panel.title}`;
  panel.caption = element("p", { className: "facts" });
  panel.parameters = element("p", { className: "parameters" });
  panel.message = element("p", { className: "problem", hidden: true });
  panel.value = element("span", { className: "value" });
  panel.stage = element("canvas", { className: "stage", tabIndex: 0, role: "img", "aria-label": label("3D view") });
  panel.coarse = element("span", { className: "coarse" });
  panel.sections = element("canvas", { className: "sections", tabIndex: 0, role: "img", "aria-label": label("Sections") });
  panel.large = element("button", { type: "button", className: "large", onclick: () => toggleAlone(panel) });
  panel.element = element(
    "article",
    { className: "panel" },
    element("header", {}, element("h2", {}, panel.title), panel.value, panel.large),
    panel.caption,
    panel.message,
    panel.stage,
    panel.coarse,
    panel.sections,
    panel.parameters,
  );
  panel.stage.title = "Drag turns, Shift and drag moves, Ctrl and wheel zooms; a click puts the crosshair on the strongest voxel behind it, two show the image alone";
  panel.sections.title = "A click moves the crosshair; Ctrl and wheel zooms, right-drag moves all sections; two clicks show the image alone";
  return panel.element;
}

/** Say on a panel's button what it does: show the panel alone, or all again. */
export function writeLarge({ large, title }, alone) {
  large.textContent = alone ? "\u2715" : "\u2922";
  large.title = alone ? "Show all chosen images again (f or Escape)" : "Show this image alone at full size (f, or a double click)";
  large.setAttribute("aria-label", `${alone ? "Show all images beside" : "Show alone"} ${title}`);
  large.setAttribute("aria-pressed", alone);
}

/** Write what is known of a panel's image into its caption; `norm` is the state's, `watch` whether files are followed. */
export function writeCaption(panel, { norm, watch }) {
  const { header, volume } = panel;
  const facts = [];
  if (panel.truth) facts.push("known reflectivity");
  if (Number.isFinite(panel.scores.psnr)) facts.push(`PSNR ${plain(panel.scores.psnr, 1)} dB`);
  if (Number.isFinite(panel.scores.ssim)) facts.push(`SSIM ${plain(panel.scores.ssim, 3)}`);
  if (header) facts.push(...effort(header, watch), ...(header.belief ?? []));
  if (volume && !volume.peak) facts.push("all zero");
  if (volume?.peak && norm === "own" && !panel.relative) facts.push(`0 dB is ${plain(Number(volume.peak.toPrecision(3)))}`);
  if (volume?.cells > 1) facts.push(`coarse: the largest of ${volume.cells} \u00d7 ${volume.cells} \u00d7 ${volume.cells} voxels, full resolution follows`);
  if (volume?.inside) facts.push("hatched: outside the region");
  if (volume && panel.relative && norm === "common") facts.push("to its own maximum: it is known up to a factor only");
  writeFacts(panel.caption, facts);
  panel.parameters.textContent = parametersText(header?.parameters ?? {});
  panel.message.textContent = panel.problem;
  panel.message.hidden = !panel.problem;
  panel.element.classList.toggle("broken", !volume);
}

/** Facts side by side; lines break between them only. */
function writeFacts(caption, facts) {
  const parts = facts.flatMap((fact, n) => [element("span", { className: "fact" }, n < facts.length - 1 ? `${fact} \u00b7` : fact), n < facts.length - 1 ? " " : ""]);
  if (caption.textContent !== facts.join(" \u00b7 ")) caption.replaceChildren(...parts.filter(Boolean));
}

/** Time and iterations; an image that is written while its method goes on has taken no time yet. */
function effort({ seconds, taken, iterations, peak }, watch) {
  if (seconds === 0 && iterations && peak) return [`${watch ? "running" : "unfinished"}: iteration ${iterations}`];
  if (seconds === 0 && iterations) return ["not begun yet"];
  return [taken ?? "", iterations ? `${iterations} iterations` : ""].filter(Boolean);
}

function parametersText(parameters) {
  const kept = Object.entries(parameters).filter(([name]) => name !== "setup_seconds");
  return kept.map(([name, value]) => `${name} ${valueText(value)}`).join(", ");
}

function valueText(value) {
  if (Array.isArray(value)) return value.map(valueText).join(" ");
  if (typeof value === "number") return String(Number(value.toPrecision(4))).replace("-", "\u2212");
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

/** A panel's value at the crosshair: dB, or the relative magnitude on a linear scale. */
export function valueAt(panel, cross, gain, scale) {
  const { volume } = panel;
  if (!volume || !cross) return "";
  if (!volume.contains(cross)) return "outside";
  if (!volume.imaged(cross)) return "outside the region";
  const value = HALVES[volume.halves[volume.offset(volume.nearest(cross))]];
  const level = levelText(value, volume.peak ? gain : 0);
  const magnitude = scale === "linear" ? `${plain(value * gain, 3)} (${level})` : level;
  return panel.phase && panel.phaseOf === panel.loaded ? `${magnitude}, ${phaseText(panel, cross)}` : magnitude;
}

/** An image's phase at the crosshair, degrees. */
function phaseText({ volume, phase }, cross) {
  const turns = phase[volume.offset(volume.nearest(cross))] / 256;
  return `${plain(360 * (turns > 0.5 ? turns - 1 : turns), 0)}\u00b0`;
}
