// Where the page's data comes from: the server that it was loaded from, or the page itself when it was saved.

import { Volume } from "./volume.js";

export class ChangedError extends Error {}
export class GoneError extends Error {}

class ServerSource {
  canSave = true;
  hasLevels = true; // whether it gives coarse versions of large images

  async facts() {
    return (await this.get("facts")).json();
  }

  async fileFacts(file) {
    return (await this.get(`file/${file}`)).json();
  }

  async versions() {
    return (await this.get("versions")).json();
  }

  async volume(file, item, scene, version, coarse = false) {
    return (await this.get(`volume/${file}/${item}/${scene}?version=${version}${coarse ? "&coarse=1" : ""}`)).arrayBuffer();
  }

  async phase(file, item, scene) {
    return (await this.get(`phase/${file}/${item}/${scene}`)).arrayBuffer();
  }

  async scores(file, item, scene) {
    return (await this.get(`scores/${file}/${item}/${scene}`)).json();
  }

  async setup(file) {
    return (await this.get(`setup/${file}`)).json();
  }

  async measurement(file, scene) {
    return (await this.get(`measurement/${file}/${scene}`)).arrayBuffer();
  }

  async shader(name) {
    return (await this.get(`static/${name}`)).text();
  }

  figureAddress(file, scene, colors) {
    return `figure/${file}/${scene}?colors=${colors}`;
  }

  /** The page as a file, and what is wrong with the files that it does without. */
  async page(scene, state) {
    const answer = await this.get(`standalone?${new URLSearchParams({ scene, state })}`);
    return { page: await answer.blob(), leftOut: decodeURIComponent(answer.headers.get("x-left-out") ?? "") };
  }

  async get(address) {
    const answer = await fetch(address).catch(() => {
      throw new GoneError("the viewer's server has ended");
    });
    if (!answer.ok) throw new Error((await answer.text()).trim() || `the server answered ${answer.status}`);
    return answer;
  }
}

class EmbeddedSource {
  canSave = false;
  hasLevels = false;

  async facts() {
    return this.json("embedded-facts");
  }

  async volume(file, item, scene) {
    return this.packet(`volume/${file}/${item}/${scene}`);
  }

  async phase(file, item, scene) {
    return document.getElementById(`phase/${file}/${item}/${scene}`) ? this.packet(`phase/${file}/${item}/${scene}`) : null;
  }

  async scores(file, item, scene) {
    return document.getElementById(`scores/${file}/${item}/${scene}`) ? this.json(`scores/${file}/${item}/${scene}`) : {};
  }

  async setup(file) {
    return this.json(`setup/${file}`);
  }

  async measurement(file, scene) {
    return this.packet(`measurement/${file}/${scene}`);
  }

  async shader(name) {
    return this.json("embedded-shaders")[name];
  }

  figureAddress() {
    return null;
  }

  json(id) {
    return JSON.parse(document.getElementById(id).textContent);
  }

  async packet(id) {
    const element = document.getElementById(id);
    if (!element) throw new Error("this page was saved without that scene");
    const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }
}

export function openSource() {
  return document.getElementById("embedded-facts") ? new EmbeddedSource() : new ServerSource();
}

/** Header and body of a packet; viewer/payload.py says how it is laid out. */
export function unpack(buffer) {
  const start = 4 + new DataView(buffer).getUint32(0, true);
  return { header: JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, start - 4))), buffer, start };
}

/** The first bits of bytes in base64, the lowest of a byte first, each as 0 or 1. */
function bitsOf(text, count) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return Uint8Array.from({ length: count }, (_, n) => (bytes[n >> 3] >> (n & 7)) & 1);
}

/** Header and `Volume` of a volume's packet; `volume` is null where the header tells a problem. */
export function readVolume(packet, facts) {
  const { header, buffer, start } = unpack(packet);
  if (header.changed) throw new ChangedError("the file has changed");
  if (header.problem) return { header, volume: null };
  const list = (axes) => ["x", "y", "z"].map((name) => axes[name]);
  const cells = header.cells ?? 1; // voxels of the file along each axis in one of these
  const edges = list(facts.edges).map((all) => (cells > 1 ? [...all.slice(0, -1).filter((_, n) => n % cells === 0), all.at(-1)] : all));
  const centers = cells > 1 ? edges.map((all) => all.slice(1).map((edge, n) => (edge + all[n]) / 2)) : list(facts.grid);
  const shape = edges.map((all) => all.length - 1);
  if (header.shape.some((n, axis) => n !== shape[axis])) throw new ChangedError("the file has changed");
  const halves = new Uint16Array(buffer, start);
  const inside = header.inside ? bitsOf(header.inside, halves.length) : null;
  delete header.inside;
  return {
    header,
    volume: new Volume({ shape, halves, peak: header.peak, edges, centers, inside, cells }),
  };
}

/** Phases of an image's voxels, 256 to a turn, from a packet; null where it has none. */
export function readPhase(packet) {
  if (!packet) return null;
  const { header, buffer, start } = unpack(packet);
  return header.complex ? new Uint8Array(buffer, start) : null;
}

/** Header and complex values (real, imaginary, ...) of a measurement's packet. */
export function readMeasurement(packet) {
  const { header, buffer, start } = unpack(packet);
  return { header, values: header.problem ? null : new Float32Array(buffer, start) };
}
