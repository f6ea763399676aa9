// The largest under each pixel: where voxels or samples outnumber pixels, none that is bright is lost.

/** Index of the interval of ascending edges that holds a point. */
export function indexOf(edges, point) {
  let [low, high] = [0, edges.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (edges[middle] <= point) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * First and last interval of ascending edges under each of `count` equal pixels from `low` to `high`: the one that the
 * pixel's middle lies in, and all whose own middle lies in the pixel. So each pixel has one, and each interval a pixel.
 */
export function pixelRanges(edges, count, [low, high] = [edges[0], edges[edges.length - 1]]) {
  const nearest = Array.from({ length: count }, (_, n) => indexOf(edges, low + ((n + 0.5) / count) * (high - low)));
  const ranges = nearest.map((at) => [at, at]);
  for (let n = 0; n < edges.length - 1; n += 1) {
    const middle = (edges[n] + edges[n + 1]) / 2;
    const range = ranges[Math.floor(((middle - low) / (high - low)) * count)];
    if (!range) continue; // beside the window
    if (n < range[0]) range[0] = n;
    if (n > range[1]) range[1] = n;
  }
  return ranges;
}

/** Largest of values[u + count v] over each of the ranges `across` and `up`, laid out as the values are. */
export function largestOver(values, count, across, up) {
  const height = values.length / count;
  const rows = new values.constructor(across.length * height);
  for (let v = 0; v < height; v += 1) {
    across.forEach(([first, last], n) => {
      let best = values[first + count * v];
      for (let u = first + 1; u <= last; u += 1) if (values[u + count * v] > best) best = values[u + count * v];
      rows[n + across.length * v] = best;
    });
  }
  const width = across.length;
  const largest = new values.constructor(width * up.length);
  up.forEach(([first, last], m) => {
    const row = largest.subarray(width * m, width * (m + 1));
    row.set(rows.subarray(width * first, width * (first + 1)));
    for (let v = first + 1; v <= last; v += 1) {
      for (let n = 0; n < width; n += 1) if (rows[n + width * v] > row[n]) row[n] = rows[n + width * v];
    }
  });
  return largest;
}

/** Index in values[u + count v] of the largest over each of the ranges `across` and `up`, laid out as the values are. */
export function strongestOver(values, count, across, up) {
  const found = new Uint32Array(across.length * up.length);
  up.forEach(([v0, v1], row) => {
    across.forEach(([u0, u1], column) => {
      let best = u0 + count * v0;
      for (let v = v0; v <= v1; v += 1) {
        for (let at = u0 + count * v; at <= u1 + count * v; at += 1) if (values[at] > values[best]) best = at;
      }
      found[column + across.length * row] = best;
    });
  });
  return found;
}
