// Draws volumes with the ray caster of shaders/raycast.frag into a canvas of its own, from which panels copy.

import { colorTexture, compileProgram, halfTexture, uniformsOf } from "./webgl.js";
import { blockMaxima, coarsened, markedHalves } from "./volume.js";

const MODES = { volume: 0, maximum: 1, surface: 2 };

export class Raycaster {
  /** Throws where the browser has no WebGL2. `lost` is called when the context is lost, `back` when it is there again. */
  constructor(shaders, { lost, back }) {
    this.canvas = document.createElement("canvas");
    const options = { alpha: true, antialias: false, depth: false, premultipliedAlpha: true };
    this.gl = this.canvas.getContext("webgl2", options);
    if (!this.gl) throw new Error("this browser has no WebGL2");
    this.shaders = shaders;
    this.canvas.addEventListener("webglcontextlost", (event) => (event.preventDefault(), lost()));
    this.canvas.addEventListener("webglcontextrestored", () => (this.prepare(), back()));
    this.prepare();
  }

  prepare() {
    this.program = compileProgram(this.gl, ...this.shaders);
    this.uniforms = uniformsOf(this.gl, this.program);
    this.textures = new Map(); // by volume
    this.colors = new Map(); // by table
    this.largest = this.gl.getParameter(this.gl.MAX_3D_TEXTURE_SIZE) || 256;
  }

  /** Why a volume cannot be drawn, or an empty text. */
  refusal(volume) {
    const most = Math.max(...volume.shape);
    return most > this.largest ? `${most} voxels along an axis: this browser draws up to ${this.largest} in 3D` : "";
  }

  texturesOf(volume) {
    if (!this.textures.has(volume)) {
      const even = volume.evenHalves();
      const blocks = blockMaxima(even);
      const { gl } = this;
      this.textures.set(volume, {
        shape: even.shape,
        volume: halfTexture(gl, { shape: even.shape, halves: markedHalves(even) }, gl.LINEAR),
        blocks: halfTexture(gl, blocks, gl.NEAREST),
        cells: new Map(), // by the voxels of a cell, for pictures whose pixels are larger than a voxel
      });
    }
    return this.textures.get(volume);
  }

  /** Texture of the largest magnitudes in cells of so many voxels along each axis. */
  cellsOf(volume, factors) {
    const textures = this.texturesOf(volume);
    if (factors.every((f) => f === 1)) return textures.volume;
    const key = factors.join(" ");
    if (!textures.cells.has(key)) {
      const coarse = coarsened(volume.evenHalves(), factors);
      const texture = halfTexture(this.gl, { shape: coarse.shape, halves: markedHalves(coarse) }, this.gl.NEAREST);
      textures.cells.set(key, texture);
    }
    return textures.cells.get(key);
  }

  /** Free the textures of all volumes but these. */
  keepOnly(volumes) {
    for (const [volume, textures] of this.textures) {
      if (volumes.includes(volume)) continue;
      for (const texture of [textures.volume, textures.blocks, ...textures.cells.values()]) this.gl.deleteTexture(texture);
      this.textures.delete(volume);
    }
  }

  colorsOf(table) {
    if (!this.colors.has(table)) this.colors.set(table, colorTexture(this.gl, table));
    return this.colors.get(table);
  }

  /** Draw a volume for a camera; returns the canvas, whose upper left width x height pixels hold the picture. */
  draw(volume, camera, look, coarse) {
    const { gl } = this;
    const [width, height] = [camera.width, camera.height];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    const textures = this.texturesOf(volume);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.program);
    const factors = look.mode === "maximum" ? cellFactors(volume, textures.shape, camera) : [1, 1, 1];
    const cells = this.cellsOf(volume, factors);
    gl.uniform3fv(this.uniforms.u_cell, factors);
    this.bind([[gl.TEXTURE_3D, textures.volume], [gl.TEXTURE_3D, textures.blocks], [gl.TEXTURE_2D, this.colorsOf(look.table)], [gl.TEXTURE_3D, cells]]);
    this.setView(volume, textures.shape, camera);
    this.setLook(volume, textures.shape, look, coarse);
    this.setClip(volume, look.clip);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits, so that times are true
    return this.canvas;
  }

  bind(textures) {
    textures.forEach(([target, texture], unit) => {
      this.gl.activeTexture(this.gl.TEXTURE0 + unit);
      this.gl.bindTexture(target, texture);
    });
    ["u_volume", "u_blocks", "u_colors", "u_cells"].forEach((name, unit) => this.gl.uniform1i(this.uniforms[name], unit));
  }

  setView(volume, shape, camera) {
    const { gl, uniforms: u } = this;
    gl.uniform3fv(u.u_low, volume.low);
    gl.uniform3fv(u.u_high, volume.high);
    gl.uniform3fv(u.u_size, shape);
    gl.uniform3fv(u.u_right, camera.right);
    gl.uniform3fv(u.u_up, camera.up);
    gl.uniform3fv(u.u_back, camera.back);
    gl.uniform3fv(u.u_center, camera.center);
    gl.uniform1f(u.u_distance, camera.distance);
    gl.uniform1f(u.u_pixels_per_metre, camera.pixelsPerMetre);
    gl.uniform2f(u.u_origin, camera.origin[0], camera.height - camera.origin[1]);
  }

  /** Draw within a box alone; null: all of the volume. */
  setClip(volume, clip) {
    const { gl, uniforms: u } = this;
    gl.uniform3fv(u.u_clip_low, clip ? clip.low.map((c, axis) => Math.max(c, volume.low[axis])) : volume.low);
    gl.uniform3fv(u.u_clip_high, clip ? clip.high.map((c, axis) => Math.min(c, volume.high[axis])) : volume.high);
  }

  setLook(volume, shape, look, coarse) {
    const { gl, uniforms: u } = this;
    const spacing = Math.min(...shape.map((n, axis) => (n > 1 ? (volume.high[axis] - volume.low[axis]) / n : Infinity)));
    const diagonal = Math.hypot(...volume.low.map((l, axis) => volume.high[axis] - l));
    const finest = Math.min(spacing === Infinity ? diagonal : spacing * 0.6, diagonal / 140);
    gl.uniform1i(u.u_mode, MODES[look.mode]);
    gl.uniform1i(u.u_linear, look.linear ? 1 : 0);
    gl.uniform1f(u.u_floor, look.floor);
    gl.uniform1f(u.u_top, look.top);
    gl.uniform1f(u.u_gain, look.gain);
    gl.uniform1f(u.u_threshold, look.threshold);
    gl.uniform1f(u.u_opacity, look.opacity);
    gl.uniform1f(u.u_ramp, look.ramp);
    gl.uniform1i(u.u_region, volume.inside ? 1 : 0);
    gl.uniform1f(u.u_step, finest * coarse);
  }
}

/**
 * Voxels of a cell along each axis, powers of 2, so that in every direction a cell is at least as wide as the diagonal of a
 * pixel: then the ray of some pixel meets it.
 */
export function cellFactors(volume, shape, camera) {
  const farthest = camera.distance ? (camera.distance + camera.radius) / camera.distance : 1;
  const pixel = (Math.SQRT2 * farthest) / camera.pixelsPerMetre;
  return shape.map((count, axis) => {
    const spacing = (volume.high[axis] - volume.low[axis]) / count;
    const most = 2 ** Math.ceil(Math.log2(count)); // a cell over the whole axis
    return Math.min(most, 2 ** Math.max(0, Math.ceil(Math.log2(pixel / spacing))));
  });
}
