// Films as GIF, which every browser and slide program plays: one palette for all frames, LZW as the format has it.

const PALETTE_SIZE = 256;
const LZW_CODES = 4096;

/** Up to 256 colours of pixels (red, green, blue, opacity), by cutting the box of colours that varies most in two. */
export function paletteOf(pixels) {
  const counts = new Map();
  for (let n = 0; n < pixels.length; n += 4) {
    const key = (pixels[n] << 16) | (pixels[n + 1] << 8) | pixels[n + 2];
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  let boxes = [[...counts].map(([key, count]) => ({ color: [key >> 16, (key >> 8) & 255, key & 255], count }))];
  while (boxes.length < PALETTE_SIZE) {
    const widest = boxes.map((box) => spreadOf(box)).reduce((best, spread, n) => (spread.width * Math.sqrt(boxes[n].length) > best.score ? { ...spread, n, score: spread.width * Math.sqrt(boxes[n].length) } : best), { score: 0 });
    if (!widest.score) break;
    const box = boxes[widest.n].sort((a, b) => a.color[widest.axis] - b.color[widest.axis]);
    const half = Math.floor(box.length / 2);
    boxes = [...boxes.slice(0, widest.n), box.slice(0, half), box.slice(half), ...boxes.slice(widest.n + 1)];
  }
  return boxes.map((box) => meanOf(box));
}

function spreadOf(box) {
  const widths = [0, 1, 2].map((axis) => {
    const [low, high] = box.reduce(([l, h], { color }) => [Math.min(l, color[axis]), Math.max(h, color[axis])], [255, 0]);
    return high - low;
  });
  const width = Math.max(...widths);
  return { width: box.length > 1 ? width : 0, axis: widths.indexOf(width) };
}

function meanOf(box) {
  const all = box.reduce((sum, { count }) => sum + count, 0);
  return [0, 1, 2].map((axis) => Math.round(box.reduce((sum, { color, count }) => sum + color[axis] * count, 0) / all));
}

/** Number of the nearest colour of a palette, for each pixel. */
function paletteIndices(pixels, palette, known) {
  const indices = new Uint8Array(pixels.length / 4);
  for (let n = 0; n < indices.length; n += 1) {
    const [r, g, b] = [pixels[4 * n], pixels[4 * n + 1], pixels[4 * n + 2]];
    const key = (r << 16) | (g << 8) | b;
    let best = known.get(key);
    if (best === undefined) {
      let least = Infinity;
      palette.forEach((color, i) => {
        const away = (color[0] - r) ** 2 + (color[1] - g) ** 2 + (color[2] - b) ** 2;
        if (away < least) [least, best] = [away, i];
      });
      known.set(key, best);
    }
    indices[n] = best;
  }
  return indices;
}

/** Bytes of codes of growing length, the lowest bit first. */
class BitWriter {
  constructor() {
    Object.assign(this, { bytes: [], held: 0, count: 0 });
  }

  put(code, length) {
    this.held |= code << this.count;
    this.count += length;
    while (this.count >= 8) {
      this.bytes.push(this.held & 255);
      this.held >>>= 8;
      this.count -= 8;
    }
  }

  end() {
    if (this.count) this.bytes.push(this.held & 255);
    return this.bytes;
  }
}

/** LZW of indices of up to 8 bits. */
export function lzwOf(indices) {
  const [clear, stop] = [256, 257];
  const writer = new BitWriter();
  let [table, next, length] = [new Map(), stop + 1, 9];
  writer.put(clear, length);
  let prefix = indices[0];
  for (let n = 1; n < indices.length; n += 1) {
    const key = (prefix << 8) | indices[n];
    const found = table.get(key);
    if (found !== undefined) {
      prefix = found;
      continue;
    }
    writer.put(prefix, length);
    if (next < LZW_CODES) {
      table.set(key, next);
      next += 1;
      if (next > 1 << length && length < 12) length += 1;
    } else {
      writer.put(clear, length);
      [table, next, length] = [new Map(), stop + 1, 9];
    }
    prefix = indices[n];
  }
  writer.put(prefix, length);
  writer.put(stop, length);
  return writer.end();
}

export class GifFilm {
  /** `fps` is rounded to whole hundredths of a second a frame, at least two, as the format has it. */
  constructor(width, height, fps) {
    Object.assign(this, { width, height, delay: Math.max(2, Math.round(100 / fps)), parts: [], known: new Map() });
  }

  /** Add a frame; the first gives the palette. */
  add(pixels) {
    this.palette ??= this.begin(pixels);
    const bytes = lzwOf(paletteIndices(pixels, this.palette, this.known));
    const [w, h] = [this.width, this.height];
    this.parts.push(Uint8Array.of(0x21, 0xf9, 4, 4, this.delay & 255, this.delay >> 8, 0, 0));
    this.parts.push(Uint8Array.of(0x2c, 0, 0, 0, 0, w & 255, w >> 8, h & 255, h >> 8, 0, 8));
    for (let n = 0; n < bytes.length; n += 255) {
      const block = bytes.slice(n, n + 255);
      this.parts.push(Uint8Array.of(block.length, ...block));
    }
    this.parts.push(Uint8Array.of(0));
  }

  begin(pixels) {
    const palette = paletteOf(pixels);
    const [w, h] = [this.width, this.height];
    const letters = (text) => [...text].map((c) => c.charCodeAt(0));
    const table = Array.from({ length: PALETTE_SIZE }, (_, n) => palette[n] ?? [0, 0, 0]).flat();
    this.parts.push(Uint8Array.of(...letters("GIF89a"), w & 255, w >> 8, h & 255, h >> 8, 0xf7, 0, 0, ...table));
    this.parts.push(Uint8Array.of(0x21, 0xff, 11, ...letters("NETSCAPE2.0"), 3, 1, 0, 0, 0)); // without end
    return palette;
  }

  blob() {
    return new Blob([...this.parts, Uint8Array.of(0x3b)], { type: "image/gif" });
  }
}
