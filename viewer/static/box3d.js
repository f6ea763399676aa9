// What is drawn around a volume: its box, ticks in metres on edges of the outline, axis names, antennas, the crosshair.

import { faces, project } from "./camera.js";
import { FONT } from "./colors.js";
import { fittingTicks, labelRoom, plain } from "./numbers.js";
import { AXIS_NAMES } from "./volume.js";

const TICK = 5; // pixels
const LABEL = 11;
const SHORTEST = 34; // of an edge with labels
const STRIP = 64; // beside an edge, for its ticks and its name

/** The twelve edges: the axis they run along and which end (0 low, 1 high) of the two others they lie at. */
const EDGES = [0, 1, 2].flatMap((axis) => [0, 1].flatMap((a) => [0, 1].map((b) => ({ axis, ends: [a, b] }))));

function othersOf(axis) {
  return [0, 1, 2].filter((n) => n !== axis);
}

function pointOn(box, { axis, ends }, at) {
  const point = [0, 0, 0];
  point[axis] = at;
  othersOf(axis).forEach((other, n) => (point[other] = ends[n] ? box.high[other] : box.low[other]));
  return point;
}

/** How many of an edge's two faces are turned to the reader: 0 behind, 1 on the outline, 2 in front. */
function shownFaces(camera, box, { axis, ends }) {
  return othersOf(axis).filter((other, n) =>
    faces(camera, other, ends[n] ? 1 : -1, ends[n] ? box.high[other] : box.low[other]),
  ).length;
}

function strokeEdge(context, camera, box, edge) {
  const [x0, y0] = project(camera, pointOn(box, edge, box.low[edge.axis]));
  const [x1, y1] = project(camera, pointOn(box, edge, box.high[edge.axis]));
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

/** Edges with `which` faces turned to the reader: [0, 1] before the volume is drawn, [2] after. */
export function drawEdges(context, camera, box, which, color) {
  context.strokeStyle = color;
  context.lineWidth = 1;
  for (const edge of EDGES) if (which.includes(shownFaces(camera, box, edge))) strokeEdge(context, camera, box, edge);
}

/** How many points stand where an edge's labels would. */
function crowd(camera, box, edge, points) {
  const [from, to] = [box.low[edge.axis], box.high[edge.axis]].map((at) => project(camera, pointOn(box, edge, at)));
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy);
  if (length < SHORTEST) return 0;
  const out = outward(camera, box, [from, to]);
  return points.filter(([x, y]) => {
    const along = ((x - from[0]) * dx + (y - from[1]) * dy) / length;
    const away = (x - from[0]) * out[0] + (y - from[1]) * out[1];
    return along > -LABEL && along < length + LABEL && away > -LABEL / 2 && away < STRIP;
  }).length;
}

/**
 * Of an axis, the outline's edge whose labels meet the fewest of some points; of several, the one that lies lowest on
 * the page (of the upright axis, the one furthest left).
 */
function labelledEdge(camera, box, axis, points) {
  const candidates = EDGES.filter((e) => e.axis === axis && shownFaces(camera, box, e) === 1);
  const place = (edge) => {
    const middle = project(camera, pointOn(box, edge, (box.low[axis] + box.high[axis]) / 2));
    const upright = Math.abs(camera.up[axis]) > 0.7;
    return upright ? -middle[0] + 1e-3 * middle[1] : middle[1] - 1e-3 * middle[0];
  };
  const crowds = new Map(candidates.map((edge) => [edge, crowd(camera, box, edge, points)]));
  return candidates.sort((a, b) => crowds.get(a) - crowds.get(b) || place(b) - place(a))[0];
}

/** Ticks, their labels and the axes' names, away from antennas that are drawn. */
export function drawAxes(context, camera, box, { muted, text, ground }, antennas = []) {
  const points = antennas.map((antenna) => project(camera, antenna));
  context.font = `${LABEL}px ${FONT}`;
  context.textBaseline = "middle";
  const taken = [];
  for (const axis of [1, 0, 2]) {
    const edge = labelledEdge(camera, box, axis, points);
    if (edge) drawAxis(context, camera, box, edge, { muted, text, ground }, taken);
  }
}

function drawAxis(context, camera, box, edge, { muted, text, ground }, taken) {
  const { axis } = edge;
  const ends = [box.low[axis], box.high[axis]].map((at) => project(camera, pointOn(box, edge, at)));
  const length = Math.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]);
  if (length < SHORTEST) return; // seen end on
  const out = outward(camera, box, ends);
  const steep = Math.abs(ends[1][1] - ends[0][1]) / length;
  const each = steep > 0.7 ? () => 24 : labelRoom(context);
  const values = fittingTicks(box.low[axis], box.high[axis], length, each);
  context.textAlign = out[0] < -0.4 ? "right" : out[0] > 0.4 ? "left" : "center";
  let widest = 0;
  for (const value of values) {
    const [x, y] = project(camera, pointOn(box, edge, value));
    context.strokeStyle = muted;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + TICK * out[0], y + TICK * out[1]);
    context.stroke();
    const label = plain(value);
    const width = context.measureText(label).width;
    widest = Math.max(widest, width);
    context.fillStyle = muted;
    place(context, label, x + (TICK + 4) * out[0], y + (TICK + 8) * out[1], width, taken, ground);
  }
  const middle = [0, 1].map((n) => (ends[0][n] + ends[1][n]) / 2);
  const far = TICK + 10 + Math.abs(out[0]) * (widest + 4) + Math.abs(out[1]) * LABEL;
  context.fillStyle = text;
  const name = `${AXIS_NAMES[axis]} (m)`;
  const { width } = context.measureText(name);
  context.textAlign = "center";
  const x = middle[0] + far * out[0] + Math.sign(Math.round(2 * out[0])) * (width / 2);
  const inside = Math.min(camera.width - width / 2 - 2, Math.max(width / 2 + 2, x));
  for (const more of [0, 10, 20]) {
    const below = Math.min(camera.height - 8, middle[1] + (far + more) * out[1]);
    if (place(context, name, inside, below, width, taken, ground)) return;
  }
  const [endX, endY] = ends[0][1] < ends[1][1] ? ends[0] : ends[1]; // no room beside the middle: above the upper end
  const beside = endX + out[0] * (TICK + 4 + width / 2);
  place(context, name, Math.min(camera.width - width / 2 - 2, Math.max(width / 2 + 2, beside)), Math.max(8, endY - 14), width, taken, ground);
}

/** Write a label unless it would run into one that stands; returns whether it was written. */
function place(context, label, x, y, width, taken, ground) {
  const left = context.textAlign === "right" ? x - width : context.textAlign === "left" ? x : x - width / 2;
  const rect = [left - 2, y - LABEL / 2 - 1, left + width + 2, y + LABEL / 2 + 1];
  if (taken.some((r) => rect[0] < r[2] && r[0] < rect[2] && rect[1] < r[3] && r[1] < rect[3])) return false;
  taken.push(rect);
  context.save(); // a halo, where antennas stand behind
  context.strokeStyle = ground;
  context.lineWidth = 3;
  context.strokeText(label, x, y);
  context.restore();
  context.fillText(label, x, y);
  return true;
}

/** Unit vector on the page, square to the edge and away from the box's middle. */
function outward(camera, box, [from, to]) {
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  const normal = [(to[1] - from[1]) / length, -(to[0] - from[0]) / length];
  const center = project(camera, box.low.map((l, axis) => (l + box.high[axis]) / 2));
  const side = normal[0] * ((from[0] + to[0]) / 2 - center[0]) + normal[1] * ((from[1] + to[1]) / 2 - center[1]);
  return side < 0 ? normal.map((n) => -n) : normal;
}

/** Antennas in place: triangles transmit, circles receive. */
export function drawAntennas(context, camera, { tx, rx }, colors) {
  const size = 4;
  context.lineWidth = 1.2;
  context.strokeStyle = colors.rx;
  for (const point of rx) {
    const [x, y] = project(camera, point);
    context.beginPath();
    context.arc(x, y, size - 1, 0, 2 * Math.PI);
    context.stroke();
  }
  context.fillStyle = colors.tx;
  for (const point of tx) {
    const [x, y] = project(camera, point);
    context.beginPath();
    context.moveTo(x, y - size);
    context.lineTo(x + size, y + size - 1);
    context.lineTo(x - size, y + size - 1);
    context.fill();
  }
  context.lineWidth = 1;
  drawLegend(context, colors);
}

function drawLegend(context, colors) {
  context.font = `${LABEL}px ${FONT}`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = colors.tx;
  context.fillText("\u25b2 transmits", 8, 12);
  context.fillStyle = colors.rx;
  context.fillText("\u25cb receives", 84, 12);
}

/** Three lines through the crosshair, inside the box. */
export function drawCross(context, camera, box, point, color) {
  context.strokeStyle = color;
  context.setLineDash([3, 3]);
  for (const axis of [0, 1, 2]) {
    const ends = [box.low[axis], box.high[axis]].map((at) => project(camera, point.map((p, n) => (n === axis ? at : p))));
    context.beginPath();
    context.moveTo(ends[0][0], ends[0][1]);
    context.lineTo(ends[1][0], ends[1][1]);
    context.stroke();
  }
  context.setLineDash([]);
}

/** The line from the mark, a ring, to the crosshair. */
export function drawMark(context, camera, mark, cross, { accent }) {
  const [[x0, y0], [x1, y1]] = [mark, cross].map((point) => project(camera, point));
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.moveTo(x0 + 4, y0);
  context.arc(x0, y0, 4, 0, 2 * Math.PI);
  context.stroke();
  context.lineWidth = 1;
}

/** The antennas of one channel lit, transmitter and receiver, and the way from one to the other by a point. */
export function drawChannel(context, camera, [tx, rx], by, { tx: warm, rx: cool, text }) {
  if (!tx || !rx) return;
  const [a, b] = [tx, rx].map((point) => project(camera, point));
  context.lineWidth = 1.5;
  if (by) {
    const middle = project(camera, by);
    context.strokeStyle = text;
    context.beginPath();
    context.moveTo(a[0], a[1]);
    context.lineTo(middle[0], middle[1]);
    context.lineTo(b[0], b[1]);
    context.stroke();
  }
  for (const [[x, y], color, radius] of [[a, warm, 6], [b, cool, 4]]) {
    context.fillStyle = color;
    context.strokeStyle = text;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
  context.lineWidth = 1;
}
