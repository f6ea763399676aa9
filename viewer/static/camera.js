// One camera for all panels: it turns about the y axis and tilts; x right, y up, z towards the reader at (0, 0).

export const PRESETS = {
  x: { azimuth: -90, elevation: 0 },
  y: { azimuth: 0, elevation: -90 },
  z: { azimuth: 0, elevation: 0 },
  isometric: { azimuth: -45, elevation: 35.264 },
};
const DISTANCE = 3.4; // of the eye, in radii of what is shown
const FILL = 0.92; // of the shorter side of a panel by the diameter of what is shown
const RADIANS = Math.PI / 180;

/** Directions of the page (right, up, towards the reader) in the world, as rows. */
export function axesOf({ azimuth, elevation }) {
  const [sa, ca] = [Math.sin(azimuth * RADIANS), Math.cos(azimuth * RADIANS)];
  const [se, ce] = [Math.sin(elevation * RADIANS), Math.cos(elevation * RADIANS)];
  return { right: [ca, 0, -sa], up: [-se * sa, ce, -se * ca], back: [ce * sa, se, ce * ca] };
}

/** Camera of a state over a box from `low` to `high`, for a picture of width x height pixels. */
export function cameraOf(state, { low, high }, width, height) {
  const center = low.map((l, axis) => (l + high[axis]) / 2);
  const radius = Math.hypot(...low.map((l, axis) => high[axis] - l)) / 2 || 1;
  const side = Math.min(width, height);
  return {
    ...axesOf(state),
    center,
    radius,
    distance: state.projection === "perspective" ? DISTANCE * radius : 0,
    pixelsPerMetre: (state.zoom * FILL * side) / (2 * radius),
    origin: [width / 2 + state.panX * side, height / 2 - state.panY * side],
    width,
    height,
  };
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** Place of a point on the picture: x to the right and y down in pixels, depth towards the reader in metres. */
export function project(camera, point) {
  const p = point.map((v, axis) => v - camera.center[axis]);
  const depth = dot(camera.back, p);
  const near = camera.distance ? camera.distance / Math.max(camera.distance - depth, 0.02 * camera.distance) : 1;
  const scale = camera.pixelsPerMetre * near;
  return [camera.origin[0] + scale * dot(camera.right, p), camera.origin[1] - scale * dot(camera.up, p), depth];
}

/** Whether a face of a box, with its outward normal along +-axis, is turned to the reader. */
export function faces(camera, axis, sign, at) {
  if (!camera.distance) return sign * camera.back[axis] > 1e-9;
  const eye = camera.center[axis] + camera.back[axis] * camera.distance;
  return sign * (eye - at) > 0;
}

/** Smallest box around boxes. */
export function union(boxes) {
  const low = [0, 1, 2].map((axis) => Math.min(...boxes.map((b) => b.low[axis])));
  const high = [0, 1, 2].map((axis) => Math.max(...boxes.map((b) => b.high[axis])));
  return { low, high };
}

export function turned(state, dx, dy) {
  const azimuth = ((((state.azimuth - dx * 0.5 + 180) % 360) + 360) % 360) - 180;
  return { azimuth, elevation: Math.max(-90, Math.min(90, state.elevation + dy * 0.5)) };
}

