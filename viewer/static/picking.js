// Which voxel a click on a 3D picture means.

/** Where a ray from a pixel starts and whither it goes, both in metres. */
export function rayThrough(camera, [x, y]) {
  const [across, up] = [(x - camera.origin[0]) / camera.pixelsPerMetre, (camera.origin[1] - y) / camera.pixelsPerMetre];
  const from = camera.center.map((c, axis) => c + across * camera.right[axis] + up * camera.up[axis]);
  if (!camera.distance) return { from, along: camera.back.map((b) => -b) };
  const along = from.map((f, axis) => f - camera.center[axis] - camera.distance * camera.back[axis]);
  const length = Math.hypot(...along);
  return { from, along: along.map((a) => a / length) };
}

/** From and to, along a ray, within a box; null where the ray misses it. */
export function spanIn({ low, high }, { from, along }) {
  let [enter, leave] = [-Infinity, Infinity];
  for (let axis = 0; axis < 3; axis += 1) {
    const ends = [low[axis], high[axis]].map((at) => (at - from[axis]) / (along[axis] || 1e-12)).sort((a, b) => a - b);
    [enter, leave] = [Math.max(enter, ends[0]), Math.min(leave, ends[1])];
  }
  return enter < leave ? [enter, leave] : null;
}

/** Middle of the strongest voxel of a volume along the ray through a pixel, within `clip` where it is given; or null. */
export function strongestAlong(volume, camera, pixel, clip = null) {
  const ray = rayThrough(camera, pixel);
  const box = clip
    ? { low: clip.low.map((c, axis) => Math.max(c, volume.low[axis])), high: clip.high.map((c, axis) => Math.min(c, volume.high[axis])) }
    : volume;
  const span = spanIn(box, ray);
  if (!span) return null;
  const spacing = Math.min(...volume.edges.flatMap((edges) => edges.slice(1).map((e, n) => e - edges[n])));
  const step = Math.max(spacing / 3, (span[1] - span[0]) / 20000);
  let [best, found] = [-1, null];
  for (let at = span[0] + step / 2; at < span[1]; at += step) {
    const index = volume.nearest(ray.from.map((f, axis) => f + at * ray.along[axis]));
    const half = volume.halves[volume.offset(index)];
    if (half > best) [best, found] = [half, index];
  }
  return found && found.map((i, axis) => volume.centers[axis][i]);
}
