// What is shown of the files: scene, panels and the one that they are compared with, crosshair, mark, camera.

import { flatView } from "./section_layout.js";
import { DEFAULTS, fitState } from "./state.js";

const MOST_VOXELS = 2 ** 27; // of all panels shown at first: 256 MiB on the page, as much again in textures
const ROOM = { head: 80, least: 190, row: 0.28, flat: 0.66, alone: 240, captions: 130 }; // pixels, and shares of the window's height

/** Answers what is shown, and changes it; the page that extends it has `store`, `facts`, `panels` and `autoCross`. */
export class Shown {
  scene() {
    return Math.min(this.store.state.scene, Math.max(0, this.sceneCount() - 1));
  }

  sceneCount() {
    return this.facts.files.reduce((most, file) => Math.max(most, file.n_scene), 0);
  }

  /** Numbers of the scenes to choose from: all, or those that a saved page holds. */
  sceneNumbers() {
    return this.facts.scenes ?? Array.from({ length: this.sceneCount() }, (_, n) => n);
  }

  /** A state from an address within what the files hold. */
  fitted(state) {
    const channels = this.facts.files.reduce((most, file) => Math.max(most, file.n_pair ?? 0), 0);
    return fitState(state, { scenes: this.sceneNumbers(), channels, keys: this.panels.map((panel) => panel.key) });
  }

  /** The state to open with: a file without an image opens on its measurement. */
  opened(state) {
    const lonely = !this.panels.length && this.facts.files.some((file) => file.n_scene) && state.tab === "images";
    return lonely ? { ...state, tab: "measurement" } : state;
  }

  /** Whether a panel is among those that the list has chosen. */
  isChosen(panel) {
    const { hidden } = this.store.state;
    return hidden ? !hidden.includes(panel.key) : this.shownAtFirst().includes(panel);
  }

  isShown(panel) {
    const { alone } = this.store.state;
    return alone ? panel.key === alone : this.isChosen(panel);
  }

  /** As many panels as fit into memory, at least one. */
  shownAtFirst() {
    let voxels = 0;
    return this.panels.filter(({ facts: { grid } }, n) => {
      voxels += grid ? grid.x.length * grid.y.length * grid.z.length : 0;
      return n === 0 || voxels <= MOST_VOXELS;
    });
  }

  shownPanels() {
    return this.panels.filter((panel) => this.isShown(panel));
  }

  /** The panels that are shown, and the one that they are compared with. */
  neededPanels() {
    const { compare, against } = this.store.state;
    const other = compare !== "none" && (this.panels.find((p) => p.key === against) ?? this.panels.find((p) => p.truth));
    const shown = this.shownPanels();
    return other && !shown.includes(other) ? [...shown, other] : shown;
  }

  chosenPanels() {
    return this.panels.filter((panel) => this.isChosen(panel));
  }

  togglePanel(panel, shown) {
    this.choosePanels(this.panels.filter((p) => (p === panel ? shown : this.isChosen(p))));
  }

  /** Show these panels and no others. */
  choosePanels(chosen) {
    this.store.set({ hidden: this.panels.filter((p) => !chosen.includes(p)).map((p) => p.key), alone: null });
  }

  /** Show one panel alone at full size, or all that are chosen again. */
  toggleAlone(panel) {
    this.store.set({ alone: this.store.state.alone === panel.key ? null : panel.key });
  }

  /** Factor from a panel's own maximum to the reference. */
  gainOf(panel) {
    if (this.store.state.norm === "own" || !panel.volume || panel.relative) return 1;
    const others = this.chosenPanels().filter((p) => p !== panel && !p.relative);
    const most = Math.max(panel.volume.peak, ...others.map((p) => p.volume?.peak ?? 0));
    return most ? panel.volume.peak / most : 1;
  }

  /** The panel that others are compared with: the chosen one, the truth where it is known, else the first image. */
  reference() {
    const { against } = this.store.state;
    return this.panels.find((p) => p.key === against && p.volume) ?? this.panels.find((p) => p.truth && p.volume) ?? this.panels.find((p) => p.volume);
  }

  /** What a panel is compared with; null for the reference itself, and where nothing is compared. */
  referenceOf(panel) {
    const reference = this.store.state.compare === "none" ? null : this.reference();
    return reference && reference !== panel ? reference : null;
  }

  /** How much room a panel's sections have: the height of a row of them, and whether two rows are welcome. */
  sectionRoom(panel) {
    const height = document.getElementById("main").clientHeight - ROOM.head; // not the head's own, which changes as facts come
    if (this.store.state.alone) return { tallest: Math.max(ROOM.alone, height - ROOM.captions), square: true };
    const share = flatView(panel.volume) && !this.store.state.sheets ? ROOM.flat : ROOM.row;
    return { tallest: Math.max(ROOM.least, share * height), square: false };
  }

  /** The box from the mark to the crosshair where 3D views are to show it alone, whole voxels of the first image; or null. */
  clipBox() {
    return this.store.state.clip ? this.region() : null;
  }

  /** The box that has mark and crosshair for corners, metres; null without a mark. */
  region() {
    const [a, b] = [this.store.state.mark, this.cross()];
    if (!a || !b) return null;
    const volume = this.shownPanels().find((p) => p.volume)?.volume;
    const half = (axis, at) => (volume ? volume.spacingAt(axis, at) / 2 : 0);
    return {
      low: a.map((v, axis) => Math.min(v - half(axis, v), b[axis] - half(axis, b[axis]))),
      high: a.map((v, axis) => Math.max(v + half(axis, v), b[axis] + half(axis, b[axis]))),
    };
  }

  cross() {
    return this.store.state.cross ?? this.autoCross;
  }

  /** Move the crosshair along one axis, to the middle of the voxel that it then is in. */
  moveCross(axis, value) {
    const volume = this.shownPanels().find((p) => p.volume)?.volume;
    if (!volume) return;
    const point = this.cross().map((v, n) => (n === axis ? value : v));
    this.store.set({ cross: volume.nearest(point).map((i, n) => volume.centers[n][i]) });
  }

  /** Put the crosshair on the strongest voxel of the first image that is shown. */
  goToPeak() {
    const volume = this.shownPanels().find((p) => p.volume)?.volume;
    if (volume) this.store.set({ cross: volume.brightest() });
  }

  /** Put the mark where the crosshair is, or take it away where it is there already. */
  toggleMark() {
    const { mark } = this.store.state;
    const cross = this.cross();
    const same = mark && cross && mark.every((v, axis) => Math.abs(v - cross[axis]) < 1e-9);
    this.store.set({ mark: same ? null : cross, ...(same && { clip: false }) });
  }

  look(angles) {
    this.store.set({ ...angles, panX: 0, panY: 0 });
  }

  resetCamera() {
    const { azimuth, elevation, zoom, panX, panY } = DEFAULTS;
    this.store.set({ azimuth, elevation, zoom, panX, panY });
  }

  /** Go to the n-th of the scenes that there are. */
  goToScene(n) {
    const numbers = this.sceneNumbers();
    if (numbers.length) this.store.set({ scene: numbers[Math.min(numbers.length - 1, Math.max(0, n))] });
  }

  stepScene(by) {
    this.goToScene(this.sceneNumbers().indexOf(this.scene()) + by);
  }
}
