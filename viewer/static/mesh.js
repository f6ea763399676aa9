// A mesh of triangles from an STL or PLY file on the reader's machine: read in the page, moved, drawn with the images.

import { project } from "./camera.js";

const SHARP = Math.cos((25 * Math.PI) / 180); // faces at a larger angle meet in an edge that is always drawn
const PLY_TYPES = { char: ["Int8", 1], int8: ["Int8", 1], uchar: ["Uint8", 1], uint8: ["Uint8", 1], short: ["Int16", 2], int16: ["Int16", 2], ushort: ["Uint16", 2], uint16: ["Uint16", 2], int: ["Int32", 4], int32: ["Int32", 4], uint: ["Uint32", 4], uint32: ["Uint32", 4], float: ["Float32", 4], float32: ["Float32", 4], double: ["Float64", 8], float64: ["Float64", 8] };

/** Triangles, each of three points [x, y, z], of the bytes of an STL or PLY file. */
export function readMesh(buffer) {
  const start = new TextDecoder("latin1").decode(new Uint8Array(buffer, 0, Math.min(buffer.byteLength, 80)));
  const triangles = start.startsWith("ply") ? readPly(buffer) : readStl(buffer);
  if (!triangles.length) throw new Error("there is no triangle in it: expected an STL or PLY file of triangles");
  if (!triangles.flat(2).every(Number.isFinite)) throw new Error("a corner is not a number");
  return triangles;
}

function readStl(buffer) {
  const view = new DataView(buffer);
  const count = buffer.byteLength >= 84 ? view.getUint32(80, true) : -1;
  if (buffer.byteLength === 84 + 50 * count) {
    const corner = (at) => [0, 4, 8].map((more) => view.getFloat32(at + more, true));
    return Array.from({ length: count }, (_, n) => [12, 24, 36].map((from) => corner(84 + 50 * n + from)));
  }
  const text = new TextDecoder("latin1").decode(buffer);
  if (!/^\s*solid/.test(text)) throw new Error("it is neither STL nor PLY");
  const corners = [...text.matchAll(/vertex\s+(\S+)\s+(\S+)\s+(\S+)/g)].map((found) => found.slice(1).map(Number));
  return Array.from({ length: Math.floor(corners.length / 3) }, (_, n) => corners.slice(3 * n, 3 * n + 3));
}

function readPly(buffer) {
  const text = new TextDecoder("latin1").decode(buffer);
  const end = text.search(/end_header\r?\n/);
  if (end < 0) throw new Error("its header does not end");
  const elements = [];
  let format = "";
  for (const line of text.slice(0, end).split(/\r?\n/)) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "format") format = words[1];
    if (words[0] === "element") elements.push({ name: words[1], count: Number(words[2]), properties: [] });
    if (words[0] === "property") elements.at(-1).properties.push(words[1] === "list" ? { list: words.slice(2, 4), name: words[4] } : { type: words[1], name: words[2] });
  }
  const start = text.indexOf("\n", end) + 1;
  const next = format === "ascii" ? asciiNumbers(text.slice(start)) : binaryNumbers(buffer, start, format !== "binary_big_endian");
  const read = ({ count, properties }) =>
    Array.from({ length: count }, () =>
      Object.fromEntries(properties.map(({ name, type, list }) => [name, list ? Array.from({ length: next(list[0]) }, () => next(list[1])) : next(type)])),
    );
  const found = Object.fromEntries(elements.map((one) => [one.name, read(one)]));
  const points = (found.vertex ?? []).map(({ x, y, z }) => [x, y, z]);
  const faces = (found.face ?? []).map((face) => face.vertex_indices ?? face.vertex_index ?? []);
  return faces.flatMap((face) => face.slice(2).map((_, n) => [face[0], face[n + 1], face[n + 2]].map((at) => points[at] ?? [NaN, NaN, NaN])));
}

function asciiNumbers(text) {
  const words = text.split(/\s+/).filter(Boolean);
  let n = 0;
  return () => Number(words[n++]);
}

function binaryNumbers(buffer, start, little) {
  const view = new DataView(buffer);
  let at = start;
  return (type) => {
    const [name, bytes] = PLY_TYPES[type] ?? [];
    if (!name) throw new Error(`it has numbers of type ${type}, which is none of PLY's`);
    at += bytes;
    if (at > buffer.byteLength) throw new Error("it ends before its last number");
    return view[`get${name}`](at - bytes, little);
  };
}

/** Triangles scaled, then turned about x, y and z in this order (degrees), then shifted (metres). */
export function placed(triangles, { scale, turn, shift }) {
  const [a, b, c] = turn.map((degrees) => (degrees * Math.PI) / 180);
  const about = (p, i, j, angle) => {
    const [u, v] = [p[i], p[j]];
    p[i] = u * Math.cos(angle) - v * Math.sin(angle);
    p[j] = u * Math.sin(angle) + v * Math.cos(angle);
  };
  return triangles.map((corners) =>
    corners.map((corner) => {
      const p = corner.map((v) => v * scale);
      about(p, 1, 2, a);
      about(p, 2, 0, b);
      about(p, 0, 1, c);
      return p.map((v, axis) => v + shift[axis]);
    }),
  );
}

function normalOf([a, b, c]) {
  const [u, v] = [b, c].map((p) => p.map((x, axis) => x - a[axis]));
  const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const length = Math.hypot(...n) || 1;
  return n.map((x) => x / length);
}

/** Edges of triangles: both ends, the normals of the faces beside it, and whether they meet at an angle or not at all. */
export function edgesOf(triangles) {
  const edges = new Map();
  for (const corners of triangles) {
    const normal = normalOf(corners);
    corners.forEach((from, n) => {
      const to = corners[(n + 1) % 3];
      const key = [from, to].map((p) => p.map((v) => v.toPrecision(6)).join(" ")).sort().join("|");
      if (!edges.has(key)) edges.set(key, { ends: [from, to], normals: [] });
      edges.get(key).normals.push(normal);
    });
  }
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  return [...edges.values()].map((edge) => ({ ...edge, sharp: edge.normals.length !== 2 || dot(...edge.normals) < SHARP }));
}

/** Draw the sharp edges of a mesh and its outline as it is seen. */
export function drawMesh(context, camera, edges, color) {
  const facing = (normal) => camera.back[0] * normal[0] + camera.back[1] * normal[1] + camera.back[2] * normal[2] > 0;
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.beginPath();
  for (const { ends, normals, sharp } of edges) {
    if (!sharp && facing(normals[0]) === facing(normals[1])) continue;
    const [[x0, y0], [x1, y1]] = ends.map((point) => project(camera, point));
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  context.stroke();
}

/** Where triangles are cut by the plane at a coordinate of an axis: pairs of points. */
export function cutsOf(triangles, axis, at) {
  return triangles.flatMap((corners) => {
    const above = corners.map((p) => p[axis] > at);
    if (above[0] === above[1] && above[1] === above[2]) return [];
    const points = corners.flatMap((p, n) => {
      const q = corners[(n + 1) % 3];
      if (above[n] === above[(n + 1) % 3]) return [];
      const part = (at - p[axis]) / (q[axis] - p[axis]);
      return [p.map((v, a) => v + part * (q[a] - v))];
    });
    return [points];
  });
}
