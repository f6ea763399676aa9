// Plots on canvases: curves over a common axis, and a picture of numbers.

import { FONT, inks } from "./colors.js";
import { fittingTicks, labelRoom, plain } from "./numbers.js";

const BOX = { left: 64, right: 16, top: 12, bottom: 40 };

export function plotBox(width, height) {
  return { x: BOX.left, y: BOX.top, width: width - BOX.left - BOX.right, height: height - BOX.top - BOX.bottom };
}

/** Frame with ticks and names; `xs` and `ys` are [low, high]; `power` labels the upright axis as powers of ten, `whole` names axes of whole numbers alone. */
export function paintFrame(context, width, height, { xs, ys, xName, yName, power = false, whole = "" }) {
  const fits = (axis) => (tick) => !whole.includes(axis) || Number.isInteger(Number(tick.toFixed(6)));
  const box = plotBox(width, height);
  const ink = inks();
  context.strokeStyle = ink.line;
  context.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
  context.font = `11px ${FONT}`;
  context.fillStyle = ink.muted;
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const tick of fittingTicks(...xs, box.width, labelRoom(context)).filter(fits("x"))) {
    const x = box.x + ((tick - xs[0]) / (xs[1] - xs[0])) * box.width;
    context.fillRect(x - 0.5, box.y + box.height + 1, 1, 4);
    context.fillText(plain(tick), x, box.y + box.height + 8);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of fittingTicks(...ys, box.height, () => 24).filter(fits("y"))) {
    const y = box.y + (1 - (tick - ys[0]) / (ys[1] - ys[0])) * box.height;
    context.fillRect(box.x - 5, y - 0.5, 4, 1);
    context.fillText(power ? plain(Number((10 ** tick).toPrecision(2))) : plain(tick), box.x - 8, y);
  }
  context.fillStyle = ink.text;
  context.textAlign = "center";
  context.textBaseline = "bottom";
  context.fillText(xName, box.x + box.width / 2, height - 2);
  context.save();
  context.translate(11, box.y + box.height / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.fillText(yName, 0, 0);
  context.restore();
  return box;
}

/** Points of a curve, of those under one pixel the lowest and the highest alone; ascending along x. */
export function envelope(points, [low, high], pixels) {
  if (points.length <= 2 * pixels) return points;
  const kept = [];
  let [column, least, most] = [-1, null, null];
  const end = () => least && kept.push(...(least[0] < most[0] ? [least, most] : least === most ? [most] : [most, least]));
  for (const point of points) {
    const at = Math.floor(((point[0] - low) / (high - low)) * pixels);
    if (at !== column) {
      end();
      [column, least, most] = [at, point, point];
    } else if (point[1] < least[1]) least = point;
    else if (point[1] > most[1]) most = point;
  }
  end();
  return kept;
}

/** A line through points, broken where y is not a number. */
export function paintCurve(context, box, points, { xs, ys }, color) {
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  context.strokeStyle = color;
  context.lineWidth = 1.6;
  context.lineJoin = "bevel"; // a sharp peak ends where it is
  context.beginPath();
  let drawing = false;
  points.forEach(([x, y], n) => {
    if (!Number.isFinite(y)) {
      drawing = false;
      return;
    }
    const at = [box.x + ((x - xs[0]) / (xs[1] - xs[0])) * box.width, box.y + (1 - (y - ys[0]) / (ys[1] - ys[0])) * box.height];
    const alone = !drawing && !Number.isFinite(points[n + 1]?.[1]);
    if (drawing) context.lineTo(...at);
    else context.moveTo(...at);
    if (alone) context.arc(...at, 1.5, 0, 2 * Math.PI); // a line of no length would not be seen
    drawing = true;
  });
  context.stroke();
  context.restore();
}

/** Low and high of numbers, with a little room; of equal numbers, a range around them. */
export function rangeOf(values) {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  const [low, high] = [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
  const room = high > low ? 0.04 * (high - low) : Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}
