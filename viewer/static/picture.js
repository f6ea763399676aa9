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

function drawTexts(context, root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  context.textAlign = "left";
  context.textBaseline = "middle";
  while (walker.nextNode()) {
    const style = getComputedStyle(walker.currentNode.parentElement);
    context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    context.fillStyle = style.color;
    for (const line of linesOf(walker.currentNode)) context.fillText(line.text, line.left, line.top + line.height / 2);
  }
}

function drawBoxes(context, root) {
  for (const box of root.querySelectorAll(".panel")) {
    const rect = box.getBoundingClientRect();
    if (!rect.width) continue;
    const style = getComputedStyle(box);
    context.fillStyle = style.backgroundColor;
    context.fillRect(rect.left, rect.top, rect.width, rect.height);
    context.strokeStyle = inks().line;
    context.strokeRect(rect.left + 0.5, rect.top + 0.5, rect.width - 1, rect.height - 1);
  }
}

function drawCanvases(context, root, paintCanvas, scale) {
  for (const canvas of root.querySelectorAll("canvas")) {
    const rect = canvas.getBoundingClientRect();
    if (!rect.width) continue;
    context.save();
    context.translate(rect.left, rect.top);
    context.beginPath();
    context.rect(0, 0, rect.width, rect.height);
    context.clip();
    paintCanvas(canvas, context, rect.width, rect.height, scale);
    context.restore();
  }
}

/** Compose the picture of an element; `paintCanvas(canvas, context, width, height, scale)` repaints each canvas in it. */
export function composePicture(root, paintCanvas, scale = 2) {
  const frame = root.getBoundingClientRect();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [frame.width, Math.max(frame.height, root.scrollHeight)].map((n) => Math.round(n * scale));
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, -frame.left * scale, (root.scrollTop - frame.top) * scale);
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(frame.left, frame.top - root.scrollTop, frame.width, canvas.height / scale);
  drawBoxes(context, root);
  drawCanvases(context, root, paintCanvas, scale);
  drawTexts(context, root);
  return canvas;
}

/** Hand a blob to the browser as a download. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
