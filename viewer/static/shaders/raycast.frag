#version 300 es
// Rays through one volume: volume rendering, maximum projection or a shaded surface, in premultiplied colours.
// Magnitudes are compared as they are; a logarithm is taken only of what is drawn.
precision highp float;
precision highp int;
precision highp sampler3D;

const int VOLUME = 0, MAXIMUM = 1, SURFACE = 2;
const float BLOCK = 8.0;
const float DENSITY = 90.0;          // optical depth of the box's shortest side at full opacity and full magnitude
const vec3 SURFACE_COLOR = vec3(0.60, 0.72, 0.84);

uniform sampler3D u_volume;          // magnitude relative to the image's own maximum
uniform sampler3D u_blocks;          // largest magnitude that interpolation meets in each block
uniform sampler3D u_cells;           // largest magnitude in each cell of voxels, none smaller than a pixel
uniform vec3 u_cell;                 // voxels of a cell along each axis
uniform sampler2D u_colors;          // 256 x 1
uniform vec3 u_low, u_high;          // outer edges of the voxels, m
uniform vec3 u_size;                 // voxels along each axis
uniform vec3 u_right, u_up, u_back;  // the page's directions in the world
uniform vec3 u_center;
uniform float u_distance;            // of the eye from the centre, m; 0: parallel rays
uniform float u_pixels_per_metre;
uniform vec2 u_origin;               // pixel of the centre
uniform bool u_region;               // whether magnitudes below 0 mark what was not imaged
uniform int u_mode;
uniform bool u_linear;
uniform float u_floor;               // dB of the scale's lower end
uniform float u_top;                 // dB of its upper end
uniform vec3 u_clip_low, u_clip_high; // m, of what is drawn
uniform float u_gain;                // own maximum over the reference
uniform float u_threshold;           // relative to the reference
uniform float u_opacity;
uniform float u_ramp;                // exponent of the opacity over the level above the threshold
uniform float u_step;                // m

out vec4 color;

/** Place on the colour scale, 0 to 1. */
float level(float s) {
  if (u_linear) return clamp(s * pow(10.0, -u_top / 20.0), 0.0, 1.0);
  return s > 0.0 ? clamp((20.0 * log(s) / log(10.0) - u_floor) / (u_top - u_floor), 0.0, 1.0) : 0.0;
}

vec3 shown(float v) {
  return texture(u_colors, vec2((255.0 * v + 0.5) / 256.0, 0.5)).rgb;
}

float magnitude(vec3 q) {
  return u_gain * texture(u_volume, q).r;
}

void ray(out vec3 from, out vec3 along) {
  vec2 at = (gl_FragCoord.xy - u_origin) / u_pixels_per_metre;
  from = u_center + at.x * u_right + at.y * u_up;
  along = -u_back;
  if (u_distance > 0.0) along = normalize(from - u_center - u_distance * u_back);
}

/** Where the ray enters and leaves what is drawn of the box. */
vec2 span(vec3 from, vec3 inverse) {
  vec3 a = (u_clip_low - from) * inverse, b = (u_clip_high - from) * inverse;
  vec3 near = min(a, b), far = max(a, b);
  vec2 t = vec2(max(near.x, max(near.y, near.z)), min(far.x, min(far.y, far.z)));
  if (u_distance > 0.0) t.x = max(t.x, -0.95 * u_distance);
  return t;
}

/** Where the ray leaves the block, of `voxels` along each axis, that holds q. */
float leave(vec3 q, vec3 voxels, vec3 from, vec3 inverse) {
  vec3 block = floor(q * u_size / voxels);
  vec3 end = (block + step(vec3(0.0), inverse)) * voxels / u_size;
  vec3 t = (u_low + end * (u_high - u_low) - from) * inverse;
  return min(t.x, min(t.y, t.z));
}

vec4 shade(vec3 q, vec3 along) {
  vec3 h = 1.0 / u_size;
  vec3 slope = vec3(
    magnitude(q + vec3(h.x, 0, 0)) - magnitude(q - vec3(h.x, 0, 0)),
    magnitude(q + vec3(0, h.y, 0)) - magnitude(q - vec3(0, h.y, 0)),
    magnitude(q + vec3(0, 0, h.z)) - magnitude(q - vec3(0, 0, h.z)));
  slope *= u_size / (u_high - u_low);
  float steepness = length(slope);
  vec3 normal = steepness > 0.0 ? -slope / steepness : -along;
  vec3 light = normalize(u_back + 0.45 * u_up - 0.35 * u_right);
  if (dot(normal, along) > 0.0) normal = -normal;
  float diffuse = max(0.0, dot(normal, light));
  float gloss = pow(max(0.0, dot(normal, normalize(light - along))), 40.0);
  return vec4(SURFACE_COLOR * (0.28 + 0.72 * diffuse) + 0.18 * gloss, 1.0);
}

vec4 surface(vec3 from, vec3 along, float before, float after) {
  vec3 scale = 1.0 / (u_high - u_low);
  for (int n = 0; n < 6; n += 1) {
    float middle = 0.5 * (before + after);
    if (magnitude((from + middle * along - u_low) * scale) > u_threshold) after = middle; else before = middle;
  }
  return shade((from + after * along - u_low) * scale, along);
}

/** The largest magnitude along the ray, cell by cell: no cell is passed over, and none is mixed with its neighbours. */
void maximum(vec3 from, vec3 along, vec3 inverse, vec2 t) {
  vec3 scale = 1.0 / (u_high - u_low);
  vec3 cell = u_cell / (u_size * scale);
  float nudge = 1e-3 * min(cell.x, min(cell.y, cell.z));
  float best = 0.0;
  bool seen = !u_region;
  for (float at = t.x + nudge; at < t.y; at += nudge) {
    vec3 q = clamp((from + at * along - u_low) * scale, 0.0, 0.999999);
    if (seen && u_gain * texelFetch(u_blocks, ivec3(q * u_size / BLOCK), 0).r <= best) {
      at = max(at, leave(q, vec3(BLOCK), from, inverse));
      continue;
    }
    float s = texelFetch(u_cells, ivec3(q * u_size / u_cell), 0).r;
    best = max(best, u_gain * s);
    seen = seen || s >= 0.0;
    at = max(at, leave(q, u_cell, from, inverse));
  }
  if (seen) color = vec4(shown(level(best)), 1.0);
}

void main() {
  vec3 from, along;
  ray(from, along);
  along += vec3(equal(along, vec3(0.0))) * 1e-7;
  vec3 inverse = 1.0 / along;
  vec2 t = span(from, inverse);
  color = vec4(0.0);
  if (t.x >= t.y) return;
  if (u_mode == MAXIMUM) {
    maximum(from, along, inverse, t);
    return;
  }

  vec3 scale = 1.0 / (u_high - u_low);
  vec3 sides = u_high - u_low;
  float density = DENSITY * u_opacity * u_opacity / min(sides.x, min(sides.y, sides.z));
  float least = level(u_threshold);
  float clear = 1.0;
  vec3 sum = vec3(0.0);
  float before = t.x;
  for (float at = t.x + 0.5 * u_step; at < t.y; at += u_step) {
    vec3 q = clamp((from + at * along - u_low) * scale, 0.0, 0.999999);
    float most = u_gain * texelFetch(u_blocks, ivec3(q * u_size / BLOCK), 0).r;
    if (most <= u_threshold) {
      float skipped = leave(q, vec3(BLOCK), from, inverse) - at;
      at += max(0.0, floor(skipped / u_step) * u_step);
      before = at;
      continue;
    }
    float s = magnitude(q);
    if (s > u_threshold) {
      if (u_mode == SURFACE) { color = surface(from, along, before, at); return; }
      float v = level(s);
      float ramp = (v - least) / max(1.0 - least, 1e-3);
      float part = 1.0 - exp(-density * (0.08 + 0.92 * pow(ramp, u_ramp)) * u_step);
      sum += clear * part * shown(v);
      clear *= 1.0 - part;
      if (clear < 0.01) break;
    }
    before = at;
  }
  if (u_mode == VOLUME) color = vec4(sum, 1.0 - clear);
}
