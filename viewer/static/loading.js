// Loads what the panels and the measurement show, scene by scene, and says what could not be had.

import { ChangedError, GoneError, readPhase, readVolume } from "./source.js";
import { writeHeading } from "./heading.js";

const MOST_AT_ONCE = 2 ** 24; // voxels; a larger image comes coarse first
const ENDED = "The viewer's server has ended. What was loaded stays on the page; start mimo view again for the rest.";

export class Loading {
  constructor(view) {
    Object.assign(this, { view, generation: 0 });
  }

  /** Load the scene for the panels that are shown, then draw, then fetch what can wait. */
  async load() {
    const generation = (this.generation += 1);
    const scene = this.view.scene();
    writeHeading(this.view);
    const wanted = this.view.neededPanels().filter((p) => !p.loaded || p.loaded !== this.stamp(p, scene));
    let loaded;
    try {
      loaded = await Promise.all(wanted.map((panel) => this.loadPanel(panel, scene, this.isLarge(panel))));
    } catch (error) {
      if (generation === this.generation) await this.failed(error);
      return;
    }
    if (generation !== this.generation) return;
    wanted.forEach((panel, n) => {
      const scores = panel.header?.scene === scene && loaded[n].volume ? panel.scores : {}; // until the new ones are there
      Object.assign(panel, loaded[n], { scores, loaded: this.stamp(panel, scene) });
    });
    this.view.notices.tell("image", "");
    this.view.settle();
    if (["measurement", "history"].includes(this.view.store.state.tab)) await this.loadMeasurement();
    await this.loadFull();
    await this.loadPhases();
    await this.loadScores(wanted, scene, generation);
    await this.loadSetups();
    if (generation === this.generation) this.view.status.scored = generation;
  }

  stamp(panel, scene) {
    return `${panel.facts.version} ${scene}`;
  }

  /** Whether an image is shown coarse first, so that something can be seen within seconds. */
  isLarge({ facts: { grid } }) {
    return this.view.source.hasLevels && grid && grid.x.length * grid.y.length * grid.z.length > MOST_AT_ONCE;
  }

  /** Fetch the images themselves of which coarse versions stand; those that a later call fetches already are waited for. */
  async loadFull() {
    const { view } = this;
    for (const panel of view.neededPanels().filter((p) => p.volume?.cells > 1)) {
      const { loaded } = panel;
      panel.coming = panel.coming?.loaded === loaded ? panel.coming : { loaded, made: this.loadPanel(panel, view.scene()) };
      const made = await panel.coming.made.catch(() => null); // the coarse version stands, and says so
      if (!made?.volume || panel.loaded !== loaded || panel.volume?.cells === 1) continue;
      Object.assign(panel, made);
      view.settle();
    }
  }

  /** What a panel is to show of a scene. */
  async loadPanel(panel, scene, coarse = false) {
    if (scene >= panel.facts.n_scene) {
      return { volume: null, header: null, problem: `There is no scene ${scene} in this file.` };
    }
    const packet = await this.view.source.volume(panel.file, panel.item, scene, panel.facts.version, coarse);
    const { header, volume } = readVolume(packet, panel.facts);
    const refusal = volume && this.view.raycaster ? this.view.raycaster.refusal(volume) : "";
    return { header, volume, problem: header.problem ?? refusal };
  }

  async failed(error) {
    if (error instanceof GoneError) return this.gone();
    if (error instanceof ChangedError) {
      await this.view.following.refresh();
    } else {
      this.view.notices.tell("image", `The image could not be loaded: ${error.message}`);
      this.view.status.error = String(error.message);
      this.view.status.ready = true;
    }
    this.dropOtherScenes();
  }

  /** The server has ended: what was loaded stays, under the scene that it is of. */
  gone() {
    const { view } = this;
    view.notices.tell("server", ENDED);
    view.status.ready = true;
    for (const panel of view.shownPanels().filter((p) => !p.volume)) panel.problem = "Not loaded: the server has ended.";
    view.writeCaptions();
    const shown = view.panels.find((panel) => panel.volume)?.header.scene;
    if (shown !== undefined) view.store.set({ scene: shown });
  }

  /** No image stands under the number of a scene that it does not show. */
  dropOtherScenes() {
    const scene = this.view.scene();
    const others = this.view.shownPanels().filter(({ header }) => header && header.scene !== scene);
    const problem = `Scene ${scene} cannot be read just now.`;
    for (const panel of others) Object.assign(panel, { volume: null, header: null, scores: {}, loaded: "", problem });
    if (others.length) this.view.settle();
  }

  async loadScores(panels, scene, generation) {
    for (const panel of panels) {
      if (panel.truth || !panel.volume || generation !== this.generation) continue;
      const { loaded } = panel;
      const scores = await this.view.source.scores(panel.file, panel.item, scene).catch(() => ({})); // the caption goes without
      if (loaded !== panel.loaded) continue;
      panel.scores = scores;
      this.view.writeCaptions([panel]);
    }
  }

  /** Fetch the phases of the images that are shown, where the sections are to show more than magnitudes. */
  async loadPhases() {
    const { view } = this;
    if (view.store.state.show === "magnitude") return;
    for (const panel of view.neededPanels().filter((p) => p.volume && p.phaseOf !== p.loaded)) {
      const { loaded } = panel;
      const packet = await view.source.phase(panel.file, panel.item, view.scene()).catch(() => null); // magnitudes stand
      if (loaded === panel.loaded) Object.assign(panel, { phase: readPhase(packet), phaseOf: loaded });
    }
    view.paintSections();
  }

  /** Fetch what takes a moment to find out about each file: expected resolution, extent of the scene. */
  async loadSetups() {
    const { view } = this;
    const lacking = view.facts.files.map((file, f) => [file, f]).filter(([file]) => !file.problem && !file.setup);
    if (!lacking.length) return;
    for (const [file, f] of lacking) file.setup = await view.source.setup(f).catch(() => ({})); // the heading goes without
    writeHeading(view);
    if (view.store.state.tab === "measurement") view.paintPlots();
  }

  async loadMeasurement() {
    const stamp = `${this.view.scene()} ${this.view.facts.files.map((f) => f.version)}`;
    if (this.measurementStamp === stamp) return;
    try {
      await this.view.measurement.load(this.view.scene());
      this.measurementStamp = stamp;
      this.view.measurement.build();
      this.view.history.takeMeasurement();
      this.view.paintPlots();
      this.view.notices.tell("measurement", "");
    } catch (error) {
      if (error instanceof GoneError) return this.gone();
      this.view.notices.tell("measurement", `The measurement could not be loaded: ${error.message}`);
    }
  }
}
