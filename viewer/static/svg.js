// A context to draw on like that of a canvas which writes SVG: lines and letters stay such, pictures are embedded.

const [UNMOVED, SVG_DIGITS] = [[1, 0, 0, 1, 0, 0], 3];
const BASELINE_DROP = { top: 0.8, hanging: 0.8, middle: 0.35, bottom: -0.2, alphabetic: 0 }; // of the letters' size
const TEXT_ANCHOR = { left: "start", start: "start", center: "middle", right: "end", end: "end" };

const svgNumber = (value) => String(Number(value.toFixed(SVG_DIGITS)));
const xmlText = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

export class SvgContext {
  /** `density` is how many pixels of embedded pictures fall on a unit of length. */
  constructor(width, height, density) {
    Object.assign(this, { width, height, density, parts: [], path: [], clips: 0, stack: [] });
    this.measuring = document.createElement("canvas").getContext("2d");
    this.now = { matrix: UNMOVED, clip: null, dash: [] };
    Object.assign(this, { fillStyle: "#000000", strokeStyle: "#000000", lineWidth: 1, lineJoin: "miter", globalAlpha: 1 });
    Object.assign(this, { font: "10px sans-serif", textAlign: "start", textBaseline: "alphabetic", imageSmoothingEnabled: true });
  }

  /** The finished drawing, `millimetres` wide. */
  text(millimetres) {
    const tall = (millimetres * this.height) / this.width;
    const size = `width="${svgNumber(millimetres)}mm" height="${svgNumber(tall)}mm" viewBox="0 0 ${svgNumber(this.width)} ${svgNumber(this.height)}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${this.parts.join("\n")}\n</svg>\n`;
  }

  // -- state

  save() {
    const names = ["fillStyle", "strokeStyle", "lineWidth", "lineJoin", "globalAlpha", "font", "textAlign", "textBaseline", "imageSmoothingEnabled"];
    this.stack.push([{ ...this.now }, Object.fromEntries(names.map((name) => [name, this[name]]))]);
  }

  restore() {
    const last = this.stack.pop();
    if (!last) return;
    this.now = last[0];
    Object.assign(this, last[1]);
  }

  transform(a, b, c, d, e, f) {
    const [A, B, C, D, E, F] = this.now.matrix;
    this.now.matrix = [A * a + C * b, B * a + D * b, A * c + C * d, B * c + D * d, A * e + C * f + E, B * e + D * f + F];
  }

  translate(x, y) {
    this.transform(1, 0, 0, 1, x, y);
  }

  rotate(angle) {
    this.transform(Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle), 0, 0);
  }

  /** As on a canvas whose unit is a length of the drawing: painters ask how many pixels that has. */
  getTransform() {
    return { a: this.density, d: this.density };
  }

  setLineDash(dash) {
    this.now.dash = dash;
  }

  // -- paths

  beginPath() {
    this.path = [];
  }

  moveTo(x, y) {
    this.path.push(`M${svgNumber(x)} ${svgNumber(y)}`);
  }

  lineTo(x, y) {
    this.path.push(`${this.path.length ? "L" : "M"}${svgNumber(x)} ${svgNumber(y)}`);
  }

  closePath() {
    this.path.push("Z");
  }

  rect(x, y, w, h) {
    this.path.push(`M${svgNumber(x)} ${svgNumber(y)}h${svgNumber(w)}v${svgNumber(h)}h${svgNumber(-w)}Z`);
  }

  arc(x, y, r, from, to) {
    const at = (angle) => `${svgNumber(x + r * Math.cos(angle))} ${svgNumber(y + r * Math.sin(angle))}`;
    const half = (from + to) / 2;
    this.path.push(`M${at(from)}`, `A${svgNumber(r)} ${svgNumber(r)} 0 0 1 ${at(half)}`, `A${svgNumber(r)} ${svgNumber(r)} 0 0 1 ${at(to)}`);
  }

  clip() {
    this.clips += 1;
    const id = `clip-${this.clips}`;
    const within = this.now.clip ? ` clip-path="url(#${this.now.clip})"` : "";
    this.parts.push(`<clipPath id="${id}"${within}><path d="${this.path.join("")}"${this.moved()}/></clipPath>`);
    this.now.clip = id;
  }

  fill() {
    this.draw(`<path d="${this.path.join("")}"${this.moved()}${this.paint("fill", this.fillStyle)}/>`);
  }

  stroke() {
    this.draw(`<path d="${this.path.join("")}"${this.moved()} fill="none"${this.pen()}/>`);
  }

  fillRect(x, y, w, h) {
    const size = `x="${svgNumber(x)}" y="${svgNumber(y)}" width="${svgNumber(w)}" height="${svgNumber(h)}"`;
    if (w > 0 && h > 0) this.draw(`<rect ${size}${this.moved()}${this.paint("fill", this.fillStyle)}/>`);
  }

  strokeRect(x, y, w, h) {
    const size = `x="${svgNumber(x)}" y="${svgNumber(y)}" width="${svgNumber(w)}" height="${svgNumber(h)}"`;
    this.draw(`<rect ${size}${this.moved()} fill="none"${this.pen()}/>`);
  }

  clearRect() {} // nothing stands under what is drawn

  // -- letters and pictures

  measureText(text) {
    this.measuring.font = this.font;
    return this.measuring.measureText(text);
  }

  fillText(text, x, y) {
    this.write(text, x, y, this.paint("fill", this.fillStyle));
  }

  strokeText(text, x, y) {
    this.write(text, x, y, ` fill="none"${this.pen()}`);
  }

  write(text, x, y, paint) {
    const [, weight, size, family] = /^(?:(\w+) )??([\d.]+)px (.*)$/.exec(this.font) ?? [null, "", "10", "sans-serif"];
    const bold = /^(bold|[6-9]00)$/.test(weight ?? "") ? ' font-weight="bold"' : "";
    const place = `x="${svgNumber(x)}" y="${svgNumber(y + BASELINE_DROP[this.textBaseline] * Number(size))}" text-anchor="${TEXT_ANCHOR[this.textAlign]}"`;
    this.draw(`<text ${place}${this.moved()} font-family="${xmlText(family)}" font-size="${size}"${bold}${paint}>${xmlText(text)}</text>`);
  }

  /** Embed a canvas, or the part of it that is `sx`, `sy`, `sw`, `sh`. */
  drawImage(image, ...numbers) {
    const [sx, sy, sw, sh, x, y, w, h] = numbers.length === 8 ? numbers : [0, 0, image.width, image.height, ...numbers];
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [Math.max(1, Math.round(sw)), Math.max(1, Math.round(sh))];
    copy.getContext("2d").drawImage(image, sx, sy, sw, sh, 0, 0, copy.width, copy.height);
    const size = `x="${svgNumber(x)}" y="${svgNumber(y)}" width="${svgNumber(w ?? copy.width)}" height="${svgNumber(h ?? copy.height)}"`;
    const hard = this.imageSmoothingEnabled ? "" : ' style="image-rendering:pixelated"';
    this.draw(`<image ${size}${this.moved()} preserveAspectRatio="none"${hard} href="${copy.toDataURL("image/png")}"/>`);
  }

  // -- attributes

  draw(part) {
    const { clip } = this.now;
    this.parts.push(clip ? `<g clip-path="url(#${clip})">${part}</g>` : part);
  }

  moved() {
    const { matrix } = this.now;
    return matrix.every((v, n) => v === UNMOVED[n]) ? "" : ` transform="matrix(${matrix.map((v) => Number(v.toFixed(6))).join(" ")})"`;
  }

  pen() {
    const dash = this.now.dash.length ? ` stroke-dasharray="${this.now.dash.join(" ")}"` : "";
    const join = this.lineJoin === "miter" ? "" : ` stroke-linejoin="${this.lineJoin}"`;
    return `${this.paint("stroke", this.strokeStyle)} stroke-width="${svgNumber(this.lineWidth)}"${dash}${join}`;
  }

  /** A colour as every program reads it, its opacity apart. */
  paint(name, style) {
    this.measuring.fillStyle = style;
    const [color, alpha] = opacityApart(this.measuring.fillStyle);
    const opacity = alpha * this.globalAlpha;
    return ` ${name}="${color}"${opacity < 1 ? ` ${name}-opacity="${svgNumber(opacity)}"` : ""}`;
  }
}

/** A colour as a canvas tells it, #rrggbb or rgba(...), as #rrggbb and opacity. */
function opacityApart(style) {
  const numbers = /^rgba?\(([^)]*)\)$/.exec(style)?.[1].split(",").map(Number);
  if (!numbers) return [style, 1];
  return [`#${numbers.slice(0, 3).map((v) => v.toString(16).padStart(2, "0")).join("")}`, numbers[3] ?? 1];
}
