// The picture that is saved: what is on the screen, drawn again at twice the resolution on a 2D canvas.

import { inks } from "./colors.js";

/** The lines that a text node is broken into on the page, with their places. */
function linesOf(node) {
  const range = document.createRange();
  const lines = [];
  for (const { index, 0: word } of node.data.matchAll(/\S+/g)) {
    range.setStart(node, index);
    range.setEnd(node, index + word.length);
    const rect = range.getBoundingClientRect();
    const last = lines[lines.length - 1];
    if (!rect.width) continue;
    if (last && Math.abs(last.top - rect.top) < 3) last.text += ` ${word}`;
    else lines.push({ text: word, left: rect.left, top: rect.top, height: rect.height });
  }
  return lines;
}

function drawTexts(context, root, keep) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  context.textAlign = "left";
  context.textBaseline = "middle";
  while (walker.nextNode()) {
    const { parentElement } = walker.currentNode;
    if (!keep(parentElement)) continue;
    const style = getComputedStyle(parentElement);
    context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    context.fillStyle = style.color;
    for (const line of linesOf(walker.currentNode)) context.fillText(line.text, line.left, line.top + line.height / 2);
  }
}

function drawBox(context, box) {
  const { left, top, width, height } = box.getBoundingClientRect();
  const style = getComputedStyle(box);
  context.fillStyle = style.backgroundColor;
  context.fillRect(left, top, width, height);
  context.strokeStyle = inks().line;
  if (box.matches(".panel")) context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
  context.fillStyle = style.borderLeftColor;
  context.fillRect(left, top, parseFloat(style.borderLeftWidth), height);
}

function drawCanvas(context, canvas, paintCanvas, scale) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  context.save();
  context.translate(left, top);
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  paintCanvas(canvas, context, width, height, scale);
  context.restore();
}

function drawImage(context, image) {
  const { left, top, width, height } = image.getBoundingClientRect();
  if (image.complete && image.naturalWidth) context.drawImage(image, left, top, width, height);
}

/** Draw the parts of an element for which `keep` is true. */
function drawParts(context, root, keep, paintCanvas, scale) {
  const parts = (selector) => [...root.querySelectorAll(selector)].filter(keep);
  for (const box of parts("#head, #notice, .panel")) drawBox(context, box);
  for (const canvas of parts("canvas")) drawCanvas(context, canvas, paintCanvas, scale);
  for (const image of parts("img")) drawImage(context, image);
  drawTexts(context, root, keep);
}

/**
 * Compose the picture of what a scrolling element shows; its `head` stands above what scrolls under it.
 * `paintCanvas(canvas, context, width, height, scale)` repaints each canvas in it.
 */
export function composePicture(root, head, paintCanvas, scale = 2) {
  const frame = root.getBoundingClientRect();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [root.clientWidth, root.clientHeight].map((n) => Math.round(n * scale));
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, -frame.left * scale, -frame.top * scale);
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(frame.left, frame.top, frame.width, frame.height);
  const seen = (part) => {
    const rect = part.getBoundingClientRect();
    return rect.width > 0 && rect.bottom > frame.top && rect.top < frame.bottom;
  };
  drawParts(context, root, (part) => seen(part) && !head.contains(part), paintCanvas, scale);
  drawParts(context, root, (part) => seen(part) && head.contains(part), paintCanvas, scale);
  return canvas;
}
