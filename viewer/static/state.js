// What the user has chosen: one flat object, kept in the address behind "#", so that a link shows the same view.

const CHOICES = {
  tab: ["images", "analysis", "history", "measurement"],
  mode: ["volume", "maximum", "surface"],
  projection: ["orthographic", "perspective"],
  scale: ["db", "linear"],
  norm: ["own", "common"],
  colors: ["viridis", "inferno", "cividis", "jet", "gray"],
  sections: ["slices", "maxima"],
  measured: ["magnitude", "phase", "profiles", "matrix"],
  compare: ["none", "outline", "difference", "blink", "wipe"],
  show: ["magnitude", "phase", "real", "imaginary"],
  theme: ["system", "light", "dark"],
};

export const LOWEST = -90; // dB, of every level

const RANGES = {
  scene: [0, 1e9],
  azimuth: [-180, 180],
  elevation: [-90, 90],
  zoom: [0.2, 40],
  panX: [-5, 5],
  panY: [-5, 5],
  floor: [LOWEST, 0],
  top: [LOWEST, 0],
  threshold: [LOWEST, 0],
  opacity: [0.02, 1],
  ramp: [0.25, 6],
  meshScale: [1e-6, 1e6],
  channel: [0, 1e9],
  columns: [0, 6],
  sectionZoom: [1, 200],
  divider: [0, 1],
};

const WHOLE = ["scene", "channel", "columns"];
const FARTHEST = 1e6; // metres, of a crosshair
const FLAGS = ["axes", "box", "antennas", "sheets", "clip"];
const POINTS = ["cross", "mark", "sectionAt", "meshTurn", "meshShift"];

export const DEFAULTS = {
  tab: "images",
  scene: 0,
  hidden: null, // keys of panels that are not shown; null: all that fit into memory are
  mode: "volume",
  azimuth: -40,
  elevation: 25,
  zoom: 1,
  panX: 0,
  panY: 0,
  projection: "orthographic",
  scale: "db",
  floor: -40,
  top: 0, // dB of the colour scale's upper end
  threshold: -15,
  opacity: 0.6,
  ramp: 2, // exponent of the opacity over the level above the threshold
  colors: "viridis",
  norm: "own",
  sections: "slices",
  sectionZoom: 1,
  sectionAt: null, // middle of what the sections show, metres; null: the image's own
  sheets: false, // whether images of one voxel along an axis are drawn in space as well
  alone: null, // key of the panel that is shown alone
  columns: 0, // of panels; 0: as many as fit
  mark: null, // the other end of ruler, line profile and box, metres
  clip: false, // whether 3D views show the box from the mark to the crosshair alone
  cross: null, // crosshair, metres; null: at the first image's brightest voxel
  axes: true,
  box: true,
  antennas: false,
  meshScale: 1, // metres a unit of the mesh's file
  meshTurn: [0, 0, 0], // degrees about x, y, z
  meshShift: [0, 0, 0], // metres
  theme: "system",
  channel: 0,
  measured: "magnitude", // what the map of the measurement shows
  compare: "none", // of images with another
  against: null, // key of that panel; null: the truth, or the first image where none is known
  divider: 0.5, // share of each section, from the left, in which a wipe shows the other image
  show: "magnitude", // what of complex images the sections show
};

/** Take the defaults that the page shares with the program's figures. */
export function setDefaults(shared) {
  Object.assign(DEFAULTS, shared);
}

function parseValue(name, text) {
  if (name in CHOICES) return CHOICES[name].includes(text) ? text : undefined;
  if (FLAGS.includes(name)) return text === "1";
  if (name === "hidden") return text ? text.split(",") : [];
  if (name === "alone" || name === "against") return text;
  if (POINTS.includes(name)) return parsePoint(text);
  if (name in RANGES) return parseNumber(text, RANGES[name], WHOLE.includes(name));
  return undefined;
}

/** The keys of panels that there are; null, as if nothing had been said, where none of those named is there. */
function known(hidden, keys) {
  const found = hidden && hidden.filter((key) => keys.includes(key));
  return found && (found.length || !hidden.length) ? found : null;
}

function parseNumber(text, [low, high], whole) {
  const value = text.trim() === "" ? NaN : Number(text);
  if (!Number.isFinite(value)) return undefined;
  return Math.min(high, Math.max(low, whole ? Math.round(value) : value));
}

function parsePoint(text) {
  const parts = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  return parts.length === 3 && parts.every((v) => Math.abs(v) <= FARTHEST) ? parts : undefined;
}

function formatValue(value) {
  if (Array.isArray(value)) return value.map(formatValue).join(",");
  if (typeof value === "boolean") return value ? "1" : "0";
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

/** State from the text behind "#"; what is unknown or out of range keeps its default. */
export function parseState(text) {
  const state = { ...DEFAULTS };
  for (const [name, value] of new URLSearchParams(text.replace(/^#/, ""))) {
    const parsed = parseValue(name, value);
    if (parsed !== undefined) state[name] = parsed;
  }
  return withLevels(state, "floor");
}

/** Levels a decibel apart at least; `kept` names the one that stays where it is, if it can. */
export function withLevels(state, kept) {
  const floor = Math.min(-1, state.floor);
  const top = Math.max(LOWEST + 1, state.top);
  return { ...state, ...(kept === "top" ? { top, floor: Math.min(floor, top - 1) } : { floor, top: Math.max(top, floor + 1) }) };
}

/** The threshold in dB as it acts: below the floor there is nothing to show. */
export function shownThreshold({ scale, threshold, floor }) {
  return scale === "linear" ? threshold : Math.max(threshold, floor);
}

/** The state within what there is: numbers of scenes, ascending; a count of channels; keys of panels. */
export function fitState(state, { scenes, channels, keys }) {
  if (!scenes.length) return state;
  const nearer = (a, b) => (Math.abs(b - state.scene) < Math.abs(a - state.scene) ? b : a);
  return {
    ...state,
    scene: scenes.reduce(nearer),
    channel: Math.max(0, Math.min(channels - 1, state.channel)),
    hidden: known(state.hidden, keys),
    alone: keys.includes(state.alone) ? state.alone : null,
    against: keys.includes(state.against) ? state.against : null,
  };
}

/** Text behind "#": only what differs from the defaults. */
export function formatState(state) {
  const parts = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS)) {
    const text = state[name] === null ? null : formatValue(state[name]);
    if (text !== null && (DEFAULTS[name] === null || text !== formatValue(DEFAULTS[name]))) parts.set(name, text);
  }
  return parts.toString().replaceAll("%2C", ",");
}

/** The state and who wants to know of its changes; a listener gets the names that changed. */
export class Store {
  constructor(state) {
    this.state = state;
    this.listeners = [];
  }

  set(patch) {
    const names = Object.keys(patch).filter((n) => formatValue(patch[n]) !== formatValue(this.state[n]));
    if (!names.length) return;
    this.state = { ...this.state, ...patch };
    for (const listener of this.listeners) listener(new Set(names), this.state);
  }

  listen(listener) {
    this.listeners.push(listener);
  }
}
