// Numbers as text, and round ticks.

const MINUS = "\u2212";

/** A number as text with a true minus sign. */
export function plain(value, digits) {
  const text = digits === undefined ? String(Number(value.toPrecision(7))) : value.toFixed(digits);
  return text.replace(/^-(?=0(\.0*)?$)/, "").replace("-", MINUS);
}

/** Metres to a tenth of a millimetre. */
export function metres(value) {
  return plain(value, 4);
}

export function decibels(value) {
  return value === -Infinity ? `${MINUS}\u221e dB` : `${plain(value, 1)} dB`;
}

/** Round numbers from low to high, at most `most` intervals: multiples of 1, 2, 2.5 or 5 times a power of ten. */
export function ticks(low, high, most) {
  const range = high - low;
  if (!(range > 0) || most < 1) return [];
  const raw = range / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= raw * (1 - 1e-9));
  const values = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * range; n += 1) values.push(n * step);
  return values;
}

/** Ticks that stand at least `each(values)` pixels apart in `room` pixels. */
export function fittingTicks(low, high, room, each) {
  for (let most = 6; most >= 1; most -= 1) {
    const values = ticks(low, high, most);
    if (values.length < 2 || ((values[1] - values[0]) / (high - low)) * room >= each(values)) return values;
  }
  return [];
}

/** Room that the labels of ticks need side by side on a context with its font set. */
export function labelRoom(context) {
  return (values) => 4 + Math.max(...values.map((v) => context.measureText(plain(v)).width));
}
